// Recorder is a server made of the SDK's generated stubs. It prints every resource that it is sent
// as the SDK understands it, one JSON object a line, and sends it back.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"strings"

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
	server := grpc.NewServer(grpc.UnaryInterceptor(heard), grpc.UnknownServiceHandler(children{file}.handle))
	proto.RegisterAuthServiceServer(server, &proto.UnimplementedAuthServiceServer{})
	trust.RegisterTrustServiceServer(server, trust.UnimplementedTrustServiceServer{})
	users.RegisterUsersServiceServer(server, users.UnimplementedUsersServiceServer{})
	machineid.RegisterBotServiceServer(server, machineid.UnimplementedBotServiceServer{})
	presence.RegisterPresenceServiceServer(server, presence.UnimplementedPresenceServiceServer{})
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

// heard takes every call of the generated stubs once its request is decoded: it prints the resource
// in it and answers with that, or with nothing where the call does.
func heard(_ context.Context, request any, info *grpc.UnaryServerInfo, _ grpc.UnaryHandler) (any, error) {
	_, method, _ := strings.Cut(strings.TrimPrefix(info.FullMethod, "/"), "/")
	switch req := request.(type) {
	case interface{ GetRole() *types.RoleV6 }:
		note(method, req.GetRole())
		return req.GetRole(), nil
	case *types.KubernetesClusterV3:
		note(method, req)
		return &emptypb.Empty{}, nil
	case interface {
		GetTrustedCluster() *types.TrustedClusterV2
	}:
		note(method, req.GetTrustedCluster())
		return req.GetTrustedCluster(), nil
	case interface{ GetUser() *types.UserV2 }:
		note(method, req.GetUser())
		// The answers to Create and Update are the same on the wire.
		return &users.CreateUserResponse{User: req.GetUser()}, nil
	case interface {
		GetV2() *types.ProvisionTokenV2
	}:
		note(method, req.GetV2())
		return &emptypb.Empty{}, nil
	case interface{ GetBot() *machineid.Bot }:
		noteProto(method, req.GetBot())
		return req.GetBot(), nil
	case *presence.UpdateRemoteClusterRequest:
		if req.UpdateMask != nil {
			return nil, status.Error(codes.InvalidArgument, "a mask turns the comparison of revisions off")
		}
		note(method, req.RemoteCluster)
		return req.RemoteCluster, nil
	}
	return nil, status.Error(codes.Unimplemented, info.FullMethod)
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
