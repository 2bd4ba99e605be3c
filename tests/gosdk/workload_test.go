package gosdk

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/gravitational/teleport/api/client"
	"github.com/gravitational/trace"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"

	"reconciler.test/gosdk/workload"
)

// workloads speaks of workload clusters over the SDK's connection.
type workloads struct {
	t    *testing.T
	clt  *client.Client
	file protoreflect.FileDescriptor
}

func connectWorkloads(t *testing.T, clt *client.Client) workloads {
	t.Helper()
	file, err := workload.Messages()
	must(t, "build the messages", err)
	return workloads{t, clt, file}
}

// message makes one from its JSON.
func (w workloads) message(name, json string) *dynamicpb.Message {
	w.t.Helper()
	message := dynamicpb.NewMessage(w.file.Messages().ByName(protoreflect.Name(name)))
	if json != "" {
		must(w.t, "make "+name, protojson.Unmarshal([]byte(json), message))
	}
	return message
}

// call makes a call; the answer has nothing that the published tables do not have.
func (w workloads) call(ctx context.Context, method string, request *dynamicpb.Message, answer string) (*dynamicpb.Message, error) {
	w.t.Helper()
	got := w.message(answer, "")
	path := "/teleport.workloadcluster.v1.WorkloadClusterService/" + method
	err := w.clt.GetConnection().Invoke(ctx, path, request, got)
	if err == nil && len(got.GetUnknown()) > 0 {
		w.t.Fatalf("%s answers fields that nobody knows", method)
	}
	return got, err
}

// text reads a field below a message.
func text(message protoreflect.Message, path ...protoreflect.Name) string {
	for _, name := range path[:len(path)-1] {
		message = message.Get(message.Descriptor().Fields().ByName(name)).Message()
	}
	last := message.Descriptor().Fields().ByName(path[len(path)-1])
	return message.Get(last).String()
}

func cluster(name, region, revision string) string {
	return fmt.Sprintf(`{"cluster": {
		"kind": "workload_cluster", "version": "v1",
		"metadata": {"name": %q, "revision": %q},
		"spec": {
			"regions": [{"name": %q}],
			"bot": {"name": "example-iam"},
			"token": {"join_method": "iam", "allow": [{"aws_account": "account", "aws_arn": "arn"}]}
		}}}`, name, revision, region)
}

func named(name string) string {
	return fmt.Sprintf(`{"name": %q}`, name)
}

// TestWorkloadCluster is the documentation's Go program as far as the parent goes: create, poll
// until active, delete. Its values are those of the unedited sample.
func TestWorkloadCluster(t *testing.T) {
	ctx, clt := connect(t)
	w := connectWorkloads(t, clt)
	get := func() (*dynamicpb.Message, error) {
		return w.call(ctx, "GetWorkloadCluster", w.message("GetWorkloadClusterRequest", named("go-child")), "WorkloadCluster")
	}
	_, err := get()
	is(t, "get what is not there", trace.IsNotFound, err)

	create := w.message("CreateWorkloadClusterRequest", cluster("go-child", "us-west-2", ""))
	made, err := w.call(ctx, "CreateWorkloadCluster", create, "WorkloadCluster")
	must(t, "create", err)
	equal(t, "state after the create", text(made, "status", "state"), "creating")
	_, err = w.call(ctx, "CreateWorkloadCluster", create, "WorkloadCluster")
	is(t, "create again", trace.IsAlreadyExists, err)

	var live *dynamicpb.Message
	for start := time.Now(); ; time.Sleep(100 * time.Millisecond) {
		live, err = get()
		must(t, "get", err)
		if text(live, "status", "state") == "active" {
			break
		}
		if time.Since(start) > patience {
			t.Fatalf("still %q", text(live, "status", "state"))
		}
	}
	if text(live, "status", "domain") == "" {
		t.Fatal("an active cluster has no domain")
	}
	equal(t, "bot", text(live, "spec", "bot", "name"), "example-iam")
	equal(t, "join method", text(live, "spec", "token", "join_method"), "iam")

	revision := text(live, "metadata", "revision")
	update := w.message("UpdateWorkloadClusterRequest", cluster("go-child", "eu-west-1", revision))
	_, err = w.call(ctx, "UpdateWorkloadCluster", update, "WorkloadCluster")
	is(t, "a spec cannot change", trace.IsBadParameter, err)

	remove := w.message("DeleteWorkloadClusterRequest", named("go-child"))
	must(t, "delete", clt.GetConnection().Invoke(ctx,
		"/teleport.workloadcluster.v1.WorkloadClusterService/DeleteWorkloadCluster", remove, w.message("Bot", "")))
	_, err = get()
	is(t, "get what is gone", trace.IsNotFound, err)
	_, err = w.call(ctx, "DeleteWorkloadCluster", remove, "Bot")
	is(t, "delete again", trace.IsNotFound, err)
}

func TestWorkloadClusterPages(t *testing.T) {
	ctx, clt := connect(t)
	w := connectWorkloads(t, clt)
	names := pages("go-cloud", 12)
	for _, name := range names {
		create := w.message("CreateWorkloadClusterRequest", cluster(name, "us-west-2", ""))
		_, err := w.call(ctx, "CreateWorkloadCluster", create, "WorkloadCluster")
		must(t, "create", err)
	}
	allOf(t, names, func(token string) ([]string, string) {
		request := w.message("ListWorkloadClustersRequest", fmt.Sprintf(`{"page_size": 5, "page_token": %q}`, token))
		answer, err := w.call(ctx, "ListWorkloadClusters", request, "ListWorkloadClustersResponse")
		must(t, "list", err)
		clusters := answer.Get(answer.Descriptor().Fields().ByName("clusters")).List()
		page := []string{}
		for i := range clusters.Len() {
			page = append(page, text(clusters.Get(i).Message(), "metadata", "name"))
		}
		return page, text(answer, "next_page_token")
	})
	for _, name := range names {
		remove := w.message("DeleteWorkloadClusterRequest", named(name))
		_, err := w.call(ctx, "DeleteWorkloadCluster", remove, "Bot")
		must(t, "delete", err)
	}
}
