// Package workload has the messages of workload clusters, which the SDK's version lacks.
package workload

import (
	_ "github.com/gravitational/teleport/api/gen/proto/go/teleport/header/v1"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
)

// Messages builds them.
func Messages() (protoreflect.FileDescriptor, error) {
	text := &descriptorpb.FileDescriptorProto{}
	if err := prototext.Unmarshal([]byte(messages), text); err != nil {
		return nil, err
	}
	return protodesc.NewFile(text, protoregistry.GlobalFiles)
}

// The SDK's version has no workload clusters. Their messages are written here a second time, from
// the published field tables and not from the program's own .proto files.
const messages = `
name: "gosdk/workloadcluster.proto"
package: "teleport.workloadcluster.v1"
syntax: "proto3"
dependency: "teleport/header/v1/metadata.proto"
dependency: "google/protobuf/empty.proto"
message_type { name: "WorkloadCluster"
  field { name: "kind" number: 1 type: TYPE_STRING label: LABEL_OPTIONAL }
  field { name: "sub_kind" number: 2 type: TYPE_STRING label: LABEL_OPTIONAL }
  field { name: "version" number: 3 type: TYPE_STRING label: LABEL_OPTIONAL }
  field { name: "metadata" number: 4 type: TYPE_MESSAGE label: LABEL_OPTIONAL type_name: ".teleport.header.v1.Metadata" }
  field { name: "spec" number: 5 type: TYPE_MESSAGE label: LABEL_OPTIONAL type_name: ".teleport.workloadcluster.v1.WorkloadClusterSpec" }
  field { name: "status" number: 6 type: TYPE_MESSAGE label: LABEL_OPTIONAL type_name: ".teleport.workloadcluster.v1.WorkloadClusterStatus" }
}
message_type { name: "WorkloadClusterSpec"
  field { name: "regions" number: 1 type: TYPE_MESSAGE label: LABEL_REPEATED type_name: ".teleport.workloadcluster.v1.Region" }
  field { name: "bot" number: 2 type: TYPE_MESSAGE label: LABEL_OPTIONAL type_name: ".teleport.workloadcluster.v1.Bot" }
  field { name: "token" number: 3 type: TYPE_MESSAGE label: LABEL_OPTIONAL type_name: ".teleport.workloadcluster.v1.Token" }
}
message_type { name: "Region"
  field { name: "name" number: 1 type: TYPE_STRING label: LABEL_OPTIONAL }
}
message_type { name: "Bot"
  field { name: "name" number: 1 type: TYPE_STRING label: LABEL_OPTIONAL }
}
message_type { name: "Token"
  field { name: "join_method" number: 1 type: TYPE_STRING label: LABEL_OPTIONAL }
  field { name: "allow" number: 2 type: TYPE_MESSAGE label: LABEL_REPEATED type_name: ".teleport.workloadcluster.v1.Allow" }
}
message_type { name: "Allow"
  field { name: "aws_account" number: 1 type: TYPE_STRING label: LABEL_OPTIONAL }
  field { name: "aws_arn" number: 2 type: TYPE_STRING label: LABEL_OPTIONAL }
}
message_type { name: "WorkloadClusterStatus"
  field { name: "state" number: 1 type: TYPE_STRING label: LABEL_OPTIONAL }
  field { name: "domain" number: 2 type: TYPE_STRING label: LABEL_OPTIONAL }
}
message_type { name: "GetWorkloadClusterRequest"
  field { name: "name" number: 1 type: TYPE_STRING label: LABEL_OPTIONAL }
}
message_type { name: "CreateWorkloadClusterRequest"
  field { name: "cluster" number: 1 type: TYPE_MESSAGE label: LABEL_OPTIONAL type_name: ".teleport.workloadcluster.v1.WorkloadCluster" }
}
message_type { name: "UpdateWorkloadClusterRequest"
  field { name: "cluster" number: 1 type: TYPE_MESSAGE label: LABEL_OPTIONAL type_name: ".teleport.workloadcluster.v1.WorkloadCluster" }
}
message_type { name: "DeleteWorkloadClusterRequest"
  field { name: "name" number: 1 type: TYPE_STRING label: LABEL_OPTIONAL }
}
message_type { name: "ListWorkloadClustersRequest"
  field { name: "page_size" number: 1 type: TYPE_INT32 label: LABEL_OPTIONAL }
  field { name: "page_token" number: 2 type: TYPE_STRING label: LABEL_OPTIONAL }
}
message_type { name: "ListWorkloadClustersResponse"
  field { name: "clusters" number: 1 type: TYPE_MESSAGE label: LABEL_REPEATED type_name: ".teleport.workloadcluster.v1.WorkloadCluster" }
  field { name: "next_page_token" number: 2 type: TYPE_STRING label: LABEL_OPTIONAL }
  field { name: "total_count" number: 3 type: TYPE_INT32 label: LABEL_OPTIONAL }
}
`
