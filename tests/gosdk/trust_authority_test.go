package gosdk

import (
	"strings"
	"testing"

	"github.com/gravitational/teleport/api/types"
	"github.com/gravitational/trace"
)

func TestCertAuthorities(t *testing.T) {
	ctx, clt := connect(t)
	all, err := clt.GetCertAuthorities(ctx, types.HostCA, false)
	must(t, "list", err)
	equal(t, "how many", len(all), 1)
	keys := all[0].GetActiveKeys()
	equal(t, "certificates", len(keys.TLS), 1)
	equal(t, "private keys", len(keys.TLS[0].Key), 0)
	answer, err := clt.GetClusterCACert(ctx)
	must(t, "the cluster's certificate", err)
	equal(t, "certificate", strings.TrimSpace(string(answer.TLSCA)), strings.TrimSpace(string(keys.TLS[0].Cert)))
	_, err = clt.GetCertAuthority(ctx, types.CertAuthID{Type: types.UserCA, DomainName: "elsewhere"}, false)
	is(t, "of another cluster", trace.IsNotFound, err)
	_, err = clt.GetCertAuthorities(ctx, types.HostCA, true)
	is(t, "with private keys", trace.IsAccessDenied, err)
}
