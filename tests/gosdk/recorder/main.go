// Recorder is a server made of the SDK's generated stubs. It prints every resource that it is sent
// as the SDK understands it, one JSON object a line, and sends it back.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"

	"github.com/gravitational/teleport/api/client/proto"
	machineid "github.com/gravitational/teleport/api/gen/proto/go/teleport/machineid/v1"
	presence "github.com/gravitational/teleport/api/gen/proto/go/teleport/presence/v1"
	trust "github.com/gravitational/teleport/api/gen/proto/go/teleport/trust/v1"
	users "github.com/gravitational/teleport/api/gen/proto/go/teleport/users/v1"
	"github.com/gravitational/teleport/api/types"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	pb "google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"
	"google.golang.org/protobuf/types/known/emptypb"

	"reconciler.test/gosdk/workload"
)

func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fail(err)
	}
	file, err := workload.Messages()
	if err != nil {
		fail(err)
	}
	server := grpc.NewServer(grpc.UnknownServiceHandler(children{file}.handle))
	proto.RegisterAuthServiceServer(server, &auth{})
	trust.RegisterTrustServiceServer(server, trusts{})
	users.RegisterUsersServiceServer(server, people{})
	machineid.RegisterBotServiceServer(server, bots{})
	presence.RegisterPresenceServiceServer(server, remotes{})
	fmt.Println(listener.Addr())
	// The starting test ends this process by closing its standard input.
	go func() {
		var nothing [1]byte
		os.Stdin.Read(nothing[:])
		os.Exit(0)
	}()
	fail(server.Serve(listener))
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// note prints what was received.
func note(method string, resource any) {
	text, err := json.Marshal(map[string]any{"method": method, "resource": resource})
	if err != nil {
		fail(err)
	}
	fmt.Println(string(text))
}

// noteProto prints a message of the newer kind, which has no JSON of Go's own.
func noteProto(method string, message pb.Message) {
	text, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(message)
	if err != nil {
		fail(err)
	}
	note(method, json.RawMessage(text))
}

type auth struct {
	proto.UnimplementedAuthServiceServer
}

func (auth) CreateRole(_ context.Context, req *proto.CreateRoleRequest) (*types.RoleV6, error) {
	note("CreateRole", req.Role)
	return req.Role, nil
}

func (auth) UpdateRole(_ context.Context, req *proto.UpdateRoleRequest) (*types.RoleV6, error) {
	note("UpdateRole", req.Role)
	return req.Role, nil
}

func (auth) CreateKubernetesCluster(_ context.Context, req *types.KubernetesClusterV3) (*emptypb.Empty, error) {
	note("CreateKubernetesCluster", req)
	return &emptypb.Empty{}, nil
}

func (auth) UpdateKubernetesCluster(_ context.Context, req *types.KubernetesClusterV3) (*emptypb.Empty, error) {
	note("UpdateKubernetesCluster", req)
	return &emptypb.Empty{}, nil
}

func (auth) CreateTokenV2(_ context.Context, req *proto.CreateTokenV2Request) (*emptypb.Empty, error) {
	note("CreateTokenV2", req.GetV2())
	return &emptypb.Empty{}, nil
}

func (auth) UpsertTokenV2(_ context.Context, req *proto.UpsertTokenV2Request) (*emptypb.Empty, error) {
	note("UpsertTokenV2", req.GetV2())
	return &emptypb.Empty{}, nil
}

type trusts struct {
	trust.UnimplementedTrustServiceServer
}

func (trusts) CreateTrustedCluster(_ context.Context, req *trust.CreateTrustedClusterRequest) (*types.TrustedClusterV2, error) {
	note("CreateTrustedCluster", req.TrustedCluster)
	return req.TrustedCluster, nil
}

func (trusts) UpdateTrustedCluster(_ context.Context, req *trust.UpdateTrustedClusterRequest) (*types.TrustedClusterV2, error) {
	note("UpdateTrustedCluster", req.TrustedCluster)
	return req.TrustedCluster, nil
}

type people struct {
	users.UnimplementedUsersServiceServer
}

func (people) CreateUser(_ context.Context, req *users.CreateUserRequest) (*users.CreateUserResponse, error) {
	note("CreateUser", req.User)
	return &users.CreateUserResponse{User: req.User}, nil
}

func (people) UpdateUser(_ context.Context, req *users.UpdateUserRequest) (*users.UpdateUserResponse, error) {
	note("UpdateUser", req.User)
	return &users.UpdateUserResponse{User: req.User}, nil
}

type bots struct {
	machineid.UnimplementedBotServiceServer
}

func (bots) CreateBot(_ context.Context, req *machineid.CreateBotRequest) (*machineid.Bot, error) {
	noteProto("CreateBot", req.Bot)
	return req.Bot, nil
}

func (bots) UpdateBot(_ context.Context, req *machineid.UpdateBotRequest) (*machineid.Bot, error) {
	noteProto("UpdateBot", req.Bot)
	return req.Bot, nil
}

func (bots) UpsertBot(_ context.Context, req *machineid.UpsertBotRequest) (*machineid.Bot, error) {
	noteProto("UpsertBot", req.Bot)
	return req.Bot, nil
}

type remotes struct {
	presence.UnimplementedPresenceServiceServer
}

func (remotes) UpdateRemoteCluster(_ context.Context, req *presence.UpdateRemoteClusterRequest) (*types.RemoteClusterV3, error) {
	note("UpdateRemoteCluster", req.RemoteCluster)
	return req.RemoteCluster, nil
}

// children answers for workload clusters, of which the SDK has no stub.
type children struct {
	file protoreflect.FileDescriptor
}

func (c children) handle(_ any, stream grpc.ServerStream) error {
	path, _ := grpc.MethodFromServerStream(stream)
	for _, method := range []string{"CreateWorkloadCluster", "UpdateWorkloadCluster"} {
		if path != "/teleport.workloadcluster.v1.WorkloadClusterService/"+method {
			continue
		}
		message := c.file.Messages().ByName(protoreflect.Name(method + "Request"))
		request := dynamicpb.NewMessage(message)
		if err := stream.RecvMsg(request); err != nil {
			return err
		}
		cluster := request.Get(message.Fields().ByName("cluster")).Message().Interface()
		noteProto(method, cluster)
		return stream.SendMsg(cluster)
	}
	return status.Error(codes.Unimplemented, path)
}
