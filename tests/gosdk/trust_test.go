package gosdk

import (
	"context"
	"testing"

	"github.com/gravitational/teleport/api/types"
	"github.com/gravitational/trace"
)

func trust(t *testing.T, name string) types.TrustedCluster {
	t.Helper()
	made, err := types.NewTrustedCluster(name, types.TrustedClusterSpecV2{
		Enabled:              true,
		Token:                "abcd123-insecure-do-not-use-this",
		ProxyAddress:         "root.example.com:443",
		ReverseTunnelAddress: "root.example.com:443",
		RoleMap:              types.RoleMap{{Remote: "access", Local: []string{"access"}}},
	})
	must(t, "make a trusted cluster", err)
	return made
}

func TestTrustedCluster(t *testing.T) {
	ctx, clt := connect(t)
	walk(t, ctx, "go-root.example.com", life[types.TrustedCluster]{
		fresh: func(name string) types.TrustedCluster { return trust(t, name) },
		change: func(cluster types.TrustedCluster) {
			cluster.SetRoleMap(types.RoleMap{{Remote: "auditor", Local: []string{"auditor"}}})
		},
		mark: func(cluster types.TrustedCluster) string { return cluster.GetRoleMap()[0].Remote },
		create: func(ctx context.Context, cluster types.TrustedCluster) error {
			_, err := clt.CreateTrustedCluster(ctx, cluster)
			return err
		},
		get:  clt.GetTrustedCluster,
		list: clt.GetTrustedClusters,
		update: func(ctx context.Context, cluster types.TrustedCluster) error {
			_, err := clt.UpdateTrustedCluster(ctx, cluster)
			return err
		},
		remove:      clt.DeleteTrustedCluster,
		conditional: true,
		missing:     trace.IsNotFound,
	})
}

func TestTrustedClusterIsRefused(t *testing.T) {
	ctx, clt := connect(t)
	change := map[string]func(*types.TrustedClusterSpecV2){
		"no local role of that name": func(spec *types.TrustedClusterSpecV2) {
			spec.RoleMap = types.RoleMap{{Remote: "access", Local: []string{"no-such-role"}}}
		},
		"a pattern that is none": func(spec *types.TrustedClusterSpecV2) {
			spec.RoleMap = types.RoleMap{{Remote: "^(access$", Local: []string{"access"}}}
		},
	}
	for what, apply := range change {
		t.Run(what, func(t *testing.T) {
			cluster := trust(t, "go-refused.example.com").(*types.TrustedClusterV2)
			apply(&cluster.Spec)
			_, err := clt.CreateTrustedCluster(ctx, cluster)
			if err == nil {
				t.Fatal("it was taken")
			}
			_, err = clt.GetTrustedCluster(ctx, cluster.GetName())
			is(t, "nothing is left", trace.IsNotFound, err)
		})
	}
}
