package gosdk

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/gravitational/teleport/api/client/proto"
	"github.com/gravitational/teleport/api/types"
	"github.com/gravitational/trace"
)

func kube(t *testing.T, name string) types.KubeCluster {
	t.Helper()
	cluster, err := types.NewKubernetesClusterV3(
		types.Metadata{Name: name, Labels: map[string]string{"env": "prod"}},
		types.KubernetesClusterSpecV3{
			Kubeconfig: []byte("apiVersion: v1\nkind: Config\n"),
			DynamicLabels: map[string]types.CommandLabelV2{
				"hostname": {Period: types.Duration(time.Minute), Command: []string{"hostname"}, Result: "h"},
			},
			AWS: types.KubeAWS{Region: "us-west-2", AccountID: "123456789012", Name: name},
		})
	must(t, "make a cluster", err)
	return cluster
}

func TestKubeCluster(t *testing.T) {
	ctx, clt := connect(t)
	walk(t, ctx, "go-kube", life[types.KubeCluster]{
		fresh: func(name string) types.KubeCluster { return kube(t, name) },
		change: func(cluster types.KubeCluster) {
			cluster.SetStaticLabels(map[string]string{"env": "test"})
		},
		mark:   func(cluster types.KubeCluster) string { return cluster.GetStaticLabels()["env"] },
		create: clt.CreateKubernetesCluster,
		get:    clt.GetKubernetesCluster,
		list:   clt.GetKubernetesClusters,
		update: clt.UpdateKubernetesCluster,
		remove: clt.DeleteKubernetesCluster,
		// Its update checks no revision.
		conditional: false,
		missing:     trace.IsNotFound,
	})
}

func TestKubeClusterKeepsEveryField(t *testing.T) {
	ctx, clt := connect(t)
	sent := kube(t, "go-kube-fields")
	must(t, "create", clt.CreateKubernetesCluster(ctx, sent))
	got, err := clt.GetKubernetesCluster(ctx, "go-kube-fields")
	must(t, "get", err)
	equal(t, "kind", got.GetKind(), types.KindKubernetesCluster)
	equal(t, "version", got.GetVersion(), types.V3)
	equal(t, "namespace", got.GetNamespace(), "default")
	equal(t, "kubeconfig", string(got.GetKubeconfig()), string(sent.GetKubeconfig()))
	aws := got.GetAWSConfig()
	equal(t, "aws", aws.String(), (&types.KubeAWS{Region: "us-west-2", AccountID: "123456789012", Name: "go-kube-fields"}).String())
	label := got.GetDynamicLabels()["hostname"]
	equal(t, "period", label.GetPeriod(), time.Minute)
	equal(t, "result", label.GetResult(), "h")
	equal(t, "command", label.GetCommand()[0], "hostname")
	must(t, "delete", clt.DeleteKubernetesCluster(ctx, "go-kube-fields"))
}

// TestKubeClusterKeepsBytesAndResults sends a kubeconfig that is no text, and labels as odd as the
// server takes them.
func TestKubeClusterKeepsBytesAndResults(t *testing.T) {
	ctx, clt := connect(t)
	sent := kube(t, "go-kube-bytes")
	config := []byte{0x00, 0xff, '\n', 0xc3, 0x28, 0x00}
	sent.SetKubeconfig(config)
	sent.SetDynamicLabels(map[string]types.CommandLabel{
		"region":  &types.CommandLabelV2{Period: types.Duration(90 * time.Second), Command: []string{"sh", "-c", "echo 'a  b'", ""}, Result: "us-east-1"},
		"unknown": &types.CommandLabelV2{Period: types.Duration(time.Nanosecond), Command: []string{"true"}},
	})
	must(t, "create", clt.CreateKubernetesCluster(ctx, sent))
	got, err := clt.GetKubernetesCluster(ctx, "go-kube-bytes")
	must(t, "get", err)
	equal(t, "kubeconfig", string(got.GetKubeconfig()), string(config))
	labels := got.GetDynamicLabels()
	equal(t, "labels", len(labels), 2)
	equal(t, "arguments", strings.Join(labels["region"].GetCommand(), "|"), "sh|-c|echo 'a  b'|")
	equal(t, "period", labels["region"].GetPeriod(), 90*time.Second)
	equal(t, "result", labels["region"].GetResult(), "us-east-1")
	equal(t, "short period", labels["unknown"].GetPeriod(), time.Nanosecond)
	equal(t, "no result", labels["unknown"].GetResult(), "")

	// What it matches on is the stored result.
	region, _ := got.GetLabel("region")
	equal(t, "the label's value", region, "us-east-1")
	labels["region"].SetResult("eu-1")
	got.SetDynamicLabels(labels)
	must(t, "update", clt.UpdateKubernetesCluster(ctx, got))
	all, err := clt.GetKubernetesClusters(ctx)
	must(t, "list", err)
	for _, cluster := range all {
		if cluster.GetName() == "go-kube-bytes" {
			equal(t, "result", cluster.GetDynamicLabels()["region"].GetResult(), "eu-1")
			equal(t, "kubeconfig", string(cluster.GetKubeconfig()), string(config))
		}
	}
	equal(t, "times", times(all, "go-kube-bytes"), 1)
	must(t, "delete", clt.DeleteKubernetesCluster(ctx, "go-kube-bytes"))
}

func TestKubeClusterIsRefused(t *testing.T) {
	ctx, clt := connect(t)
	bad := &types.KubernetesClusterV3{
		Kind:     types.KindKubernetesCluster,
		Version:  types.V3,
		Metadata: types.Metadata{Name: "not a name!", Namespace: "default"},
	}
	is(t, "a bad name", trace.IsBadParameter, clt.CreateKubernetesCluster(ctx, bad))
}

func TestKubeClusterPages(t *testing.T) {
	ctx, clt := connect(t)
	names := pages("go-kube-page", 25)
	for _, name := range names {
		must(t, "create", clt.CreateKubernetesCluster(ctx, kube(t, name)))
	}
	all, err := clt.GetKubernetesClusters(ctx)
	must(t, "list", err)
	for _, name := range names {
		equal(t, "times of "+name, times(all, name), 1)
		must(t, "delete", clt.DeleteKubernetesCluster(ctx, name))
	}
}

func TestKubeClusterWatch(t *testing.T) {
	ctx, clt := connect(t)
	watcher := watch(t, ctx, clt, types.WatchKind{Kind: types.KindKubernetesCluster})
	must(t, "create", clt.CreateKubernetesCluster(ctx, kube(t, "go-kube-watch")))
	put := hears(t, watcher, types.OpPut, "go-kube-watch")
	live, err := clt.GetKubernetesCluster(ctx, "go-kube-watch")
	must(t, "get", err)
	equal(t, "the event's revision", put.GetRevision(), live.GetRevision())
	must(t, "update", clt.UpdateKubernetesCluster(ctx, live))
	hears(t, watcher, types.OpPut, "go-kube-watch")
	must(t, "delete", clt.DeleteKubernetesCluster(ctx, "go-kube-watch"))
	gone := hears(t, watcher, types.OpDelete, "go-kube-watch")
	equal(t, "the kind of what is gone", gone.GetKind(), types.KindKubernetesCluster)
}

func TestWatchRefusesWhatCannotBeWatched(t *testing.T) {
	ctx, clt := connect(t)
	watcher, err := clt.NewWatcher(ctx, types.Watch{
		Kinds: []types.WatchKind{{Kind: types.KindTrustedCluster}},
	})
	must(t, "the stream opens", err)
	defer watcher.Close()
	select {
	case <-watcher.Done():
		is(t, "trusted_cluster", trace.IsBadParameter, watcher.Error())
	case event := <-watcher.Events():
		t.Fatalf("an event of what cannot be watched: %v", event)
	case <-time.After(patience):
		t.Fatal("nothing came")
	}
}

func TestPing(t *testing.T) {
	ctx, clt := connect(t)
	pong, err := clt.Ping(ctx)
	must(t, "ping", err)
	equal(t, "cluster", pong.ClusterName, "embedded.local")
	equal(t, "version", pong.ServerVersion, "18.0.0")
	name, err := clt.GetDomainName(ctx)
	must(t, "domain name", err)
	equal(t, "domain name", name, pong.ClusterName)
}

func TestWhatIsUnknownIsNotImplemented(t *testing.T) {
	ctx, clt := connect(t)
	_, err := clt.GetApps(ctx)
	is(t, "apps", trace.IsNotImplemented, err)
}

// TestRolesAreEnforced calls as somebody who has the role `access` alone.
func TestRolesAreEnforced(t *testing.T) {
	ctx, admin := connect(t)
	must(t, "create", admin.CreateKubernetesCluster(ctx, kube(t, "go-kube-denied")))
	defer func() { must(t, "delete", admin.DeleteKubernetesCluster(ctx, "go-kube-denied")) }()
	_, visitor := connectAs(t, "PLANE_VISITOR")
	denied := func(doing string, err error) {
		t.Helper()
		is(t, doing, trace.IsAccessDenied, err)
	}
	denied("create", visitor.CreateKubernetesCluster(ctx, kube(t, "go-kube-other")))
	denied("delete", visitor.DeleteKubernetesCluster(ctx, "go-kube-denied"))
	_, err := visitor.CreateRole(ctx, role(t, "go-denied"))
	denied("create a role", err)
	_, err = visitor.ListRoles(ctx, &proto.ListRolesRequest{Limit: 10})
	denied("list roles", err)
	_, err = visitor.Ping(ctx)
	must(t, "ping needs no role", err)
}

// TestManyAtOnce shares one connection among many calls.
func TestManyAtOnce(t *testing.T) {
	ctx, clt := connect(t)
	names := pages("go-kube-many", 64)
	failed := make(chan error, len(names))
	each := func(do func(context.Context, string) error) {
		t.Helper()
		for _, name := range names {
			go func() { failed <- do(ctx, name) }()
		}
		for range names {
			must(t, "one of many", <-failed)
		}
	}
	clusters := map[string]types.KubeCluster{}
	for _, name := range names {
		clusters[name] = kube(t, name)
	}
	each(func(ctx context.Context, name string) error {
		return clt.CreateKubernetesCluster(ctx, clusters[name])
	})
	each(clt.DeleteKubernetesCluster)
}
