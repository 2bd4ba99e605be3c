//! `workload_cluster`: a child Teleport Cloud cluster.
//!
//! Only `spec` can be relied upon to come back from the server, it never changes, and a deleted
//! name stays taken for fourteen days.

mod check;

use super::{Call, Follow, Kind, List, Page, Phase, Rpc, Visibility, Writes};
use crate::model::{KindName, Readiness, Value};

const WORKLOAD_CLUSTER_MESSAGE: &str = "teleport.workloadcluster.v1.WorkloadCluster";

/// State of a child that can be built upon. The states are an open list; all others wait.
const ACTIVE: &str = "active";

/// The row.
pub(super) static WORKLOAD_CLUSTER: Kind = Kind {
    name: KindName::new("workload_cluster"),
    words: &["workload_cluster", "workload_clusters"],
    versions: &["v1"],
    message: WORKLOAD_CLUSTER_MESSAGE,
    phase: Phase::Children,
    writes: Writes::Conditional,
    // The published examples show nothing but the name in `metadata`.
    keeps_labels: false,
    follow: Follow::Poll,
    rpc: Rpc {
        list: List {
            path: "/teleport.workloadcluster.v1.WorkloadClusterService/ListWorkloadClusters",
            request: "teleport.workloadcluster.v1.ListWorkloadClustersRequest",
            answer: "teleport.workloadcluster.v1.ListWorkloadClustersResponse",
            items: "clusters",
            page: Some(Page::BY_TOKEN),
        },
        old_list: None,
        get: Call {
            path: "/teleport.workloadcluster.v1.WorkloadClusterService/GetWorkloadCluster",
            request: "teleport.workloadcluster.v1.GetWorkloadClusterRequest",
            field: Some("name"),
            answer: WORKLOAD_CLUSTER_MESSAGE,
        },
        create: Some(Call {
            path: "/teleport.workloadcluster.v1.WorkloadClusterService/CreateWorkloadCluster",
            request: "teleport.workloadcluster.v1.CreateWorkloadClusterRequest",
            field: Some("cluster"),
            answer: WORKLOAD_CLUSTER_MESSAGE,
        }),
        update: Some(Call {
            path: "/teleport.workloadcluster.v1.WorkloadClusterService/UpdateWorkloadCluster",
            request: "teleport.workloadcluster.v1.UpdateWorkloadClusterRequest",
            field: Some("cluster"),
            answer: WORKLOAD_CLUSTER_MESSAGE,
        }),
        delete: Some(Call {
            path: "/teleport.workloadcluster.v1.WorkloadClusterService/DeleteWorkloadCluster",
            request: "teleport.workloadcluster.v1.DeleteWorkloadClusterRequest",
            field: Some("name"),
            answer: super::EMPTY,
        }),
    },
    immutable: &["spec"],
    check: check::check,
    normalize,
    references: None,
    refers_to: &[],
    readiness,
    presets: &[],
    values: Vec::new,
    keeper: |_| None,
    secret_name: |_| false,
    sight: Visibility::Free,
    labelled: None,
};

/// Labels, description and expiry do not come back from the server, so they are no part of what
/// is compared.
fn normalize(cluster: &mut Value) {
    super::set_version(cluster, "v1");
    let Value::Map(cluster) = cluster else { return };
    if let Some(Value::Map(metadata)) = cluster.get_mut("metadata") {
        metadata.retain(|name, _| name == "name");
    }
}

fn readiness(cluster: &Value) -> Readiness {
    let state = cluster.get("status").and_then(|status| status.get("state"));
    match state.and_then(Value::as_str) {
        Some(ACTIVE) => Readiness::Ready,
        Some(state) => Readiness::Waiting(state.into()),
        None => Readiness::Waiting("no state yet".into()),
    }
}
