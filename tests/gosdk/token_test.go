package gosdk

import (
	"testing"
	"time"

	"github.com/gravitational/teleport/api/types"
	"github.com/gravitational/trace"
)

func tokens(t *testing.T) map[string]types.ProvisionToken {
	t.Helper()
	specs := map[string]types.ProvisionTokenSpecV2{
		"token": {JoinMethod: types.JoinMethodToken},
		"iam": {
			JoinMethod: types.JoinMethodIAM,
			Allow:      []*types.TokenRule{{AWSAccount: "123456789012", AWSARN: "arn:aws:sts::123456789012:assumed-role/r/*"}},
		},
		"github": {
			JoinMethod: types.JoinMethodGitHub,
			GitHub: &types.ProvisionTokenSpecV2GitHub{
				Allow: []*types.ProvisionTokenSpecV2GitHub_Rule{{Repository: "o/r"}},
			},
		},
		"kubernetes": {
			JoinMethod: types.JoinMethodKubernetes,
			Kubernetes: &types.ProvisionTokenSpecV2Kubernetes{
				Type:  types.KubernetesJoinTypeInCluster,
				Allow: []*types.ProvisionTokenSpecV2Kubernetes_Rule{{ServiceAccount: "default:agent"}},
			},
		},
		"gcp": {
			JoinMethod: types.JoinMethodGCP,
			GCP: &types.ProvisionTokenSpecV2GCP{
				Allow: []*types.ProvisionTokenSpecV2GCP_Rule{{ProjectIDs: []string{"p"}}},
			},
		},
		"azure": {
			JoinMethod: types.JoinMethodAzure,
			Azure: &types.ProvisionTokenSpecV2Azure{
				Allow: []*types.ProvisionTokenSpecV2Azure_Rule{{Subscription: "s"}},
			},
		},
	}
	made := map[string]types.ProvisionToken{}
	for method, spec := range specs {
		spec.Roles = types.SystemRoles{types.RoleNode}
		token, err := types.NewProvisionTokenFromSpec("go-token-"+method, time.Now().Add(time.Hour), spec)
		must(t, "make a token of "+method, err)
		made[method] = token
	}
	return made
}

func TestToken(t *testing.T) {
	ctx, clt := connect(t)
	for method, token := range tokens(t) {
		t.Run(method, func(t *testing.T) {
			name := token.GetName()
			_, err := clt.GetToken(ctx, name)
			is(t, "get what is not there", trace.IsNotFound, err)
			is(t, "delete what is not there", trace.IsNotFound, clt.DeleteToken(ctx, name))
			must(t, "create", clt.CreateToken(ctx, token))
			is(t, "create again", trace.IsAlreadyExists, clt.CreateToken(ctx, token))
			got, err := clt.GetToken(ctx, name)
			must(t, "get", err)
			equal(t, "method", string(got.GetJoinMethod()), method)
			equal(t, "roles", got.GetRoles().String(), "Node")
			sent, back := token.(*types.ProvisionTokenV2), got.(*types.ProvisionTokenV2)
			equal(t, "spec", back.Spec.String(), sent.Spec.String())
			all, err := clt.GetTokens(ctx)
			must(t, "list", err)
			equal(t, "listed times", times(all, name), 1)
			must(t, "upsert", clt.UpsertToken(ctx, token))
			must(t, "delete", clt.DeleteToken(ctx, name))
			_, err = clt.GetToken(ctx, name)
			is(t, "get what is gone", trace.IsNotFound, err)
		})
	}
}

func TestTokenIsRefused(t *testing.T) {
	ctx, clt := connect(t)
	bad := tokens(t)["iam"].(*types.ProvisionTokenV2)
	bad.Spec.Allow = nil
	is(t, "no rule", trace.IsBadParameter, clt.CreateToken(ctx, bad))
}

func TestTokenWatch(t *testing.T) {
	ctx, clt := connect(t)
	watcher := watch(t, ctx, clt, types.WatchKind{Kind: types.KindToken})
	token := tokens(t)["iam"]
	token.SetName("go-token-watch")
	must(t, "create", clt.CreateToken(ctx, token))
	hears(t, watcher, types.OpPut, "go-token-watch")
	must(t, "delete", clt.DeleteToken(ctx, "go-token-watch"))
	hears(t, watcher, types.OpDelete, "go-token-watch")
}
