//! `kube_cluster`: a Kubernetes cluster that Kubernetes Services may register.
//!
//! The server ignores revisions on update (the last writer wins) and returns nothing from a
//! create or update: we read again just before an update or delete, and a window stays open in
//! which another writer's change is lost.

mod check;
pub mod kubeconfig;
mod labels;
pub(super) mod registered;

use super::{Call, Follow, Kind, List, Page, Phase, Rpc, Visibility, Writes};
use crate::model::{KindName, Readiness, Value};

const KUBE_CLUSTER_MESSAGE: &str = "types.KubernetesClusterV3";

/// The row.
pub(super) static KUBE_CLUSTER: Kind = Kind {
    name: KindName::new("kube_cluster"),
    words: &["kube_cluster", "kube_clusters"],
    versions: &["v3"],
    message: KUBE_CLUSTER_MESSAGE,
    phase: Phase::Resources,
    writes: Writes::LastWriterWins,
    keeps_labels: true,
    follow: Follow::Watch("kubernetes_cluster"),
    rpc: Rpc {
        list: List {
            path: "/proto.AuthService/ListKubernetesClusters",
            request: "proto.ListKubernetesClustersRequest",
            answer: "proto.ListKubernetesClustersResponse",
            items: "kubernetes_clusters",
            page: Some(Page::BY_TOKEN),
        },
        old_list: Some(List {
            path: "/proto.AuthService/GetKubernetesClusters",
            request: super::EMPTY,
            answer: "types.KubernetesClusterV3List",
            items: "kubernetes_clusters",
            page: None,
        }),
        get: Call {
            path: "/proto.AuthService/GetKubernetesCluster",
            request: "types.ResourceRequest",
            field: Some("name"),
            answer: KUBE_CLUSTER_MESSAGE,
        },
        create: Some(Call {
            path: "/proto.AuthService/CreateKubernetesCluster",
            request: KUBE_CLUSTER_MESSAGE,
            field: None,
            answer: super::EMPTY,
        }),
        update: Some(Call {
            path: "/proto.AuthService/UpdateKubernetesCluster",
            request: KUBE_CLUSTER_MESSAGE,
            field: None,
            answer: super::EMPTY,
        }),
        delete: Some(Call {
            path: "/proto.AuthService/DeleteKubernetesCluster",
            request: "types.ResourceRequest",
            field: Some("name"),
            answer: super::EMPTY,
        }),
    },
    immutable: &[],
    check: check::check,
    normalize,
    references: None,
    refers_to: &[],
    readiness: |_| Readiness::Ready,
    presets: &[],
    values: Vec::new,
    keeper: |_| None,
    secret_name: |_| false,
    sight: Visibility::WhenAllowed("kubernetes_labels"),
    labelled: Some(labels::LABELLED),
};

/// The server forces the version. (Empty `aws`, `azure` and `gcp`, which it always prints, and
/// an empty `result` of a dynamic label are out already. A `result` is stored as it was sent:
/// agents publish theirs in heartbeats only.) Dynamic labels of names that are not for manifests
/// are left out, as static ones are.
fn normalize(cluster: &mut Value) {
    super::set_version(cluster, "v3");
    let Value::Map(fields) = cluster else { return };
    let Some(Value::Map(spec)) = fields.get_mut("spec") else { return };
    let Some(Value::Map(labels)) = spec.get_mut("dynamic_labels") else { return };
    labels.retain(|key, _| !super::canonical::is_ignored_label(key));
    if labels.is_empty() {
        spec.remove("dynamic_labels");
    }
}
