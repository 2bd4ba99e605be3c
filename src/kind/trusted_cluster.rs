//! `trusted_cluster`: on a leaf, the trust in a root.
//!
//! Creating one talks to the root before anything is stored, and a root remembers a leaf even
//! when the leaf forgets: most fields cannot change without deleting it on both sides.

mod check;
mod pattern;

use super::{Call, Follow, Kind, List, Page, Phase, Rpc, Visibility, Writes};
use crate::model::{KindName, Readiness, ResourceId, Value};

const TRUSTED_CLUSTER_MESSAGE: &str = "types.TrustedClusterV2";

/// The row.
pub(super) static TRUSTED_CLUSTER: Kind = Kind {
    name: KindName::new("trusted_cluster"),
    words: &["trusted_cluster", "tc", "cluster", "clusters"],
    versions: &["v2"],
    message: TRUSTED_CLUSTER_MESSAGE,
    phase: Phase::Trust,
    writes: Writes::Conditional,
    keeps_labels: true,
    follow: Follow::Poll,
    rpc: Rpc {
        list: List {
            path: "/teleport.trust.v1.TrustService/ListTrustedClusters",
            request: "teleport.trust.v1.ListTrustedClustersRequest",
            answer: "teleport.trust.v1.ListTrustedClustersResponse",
            items: "trusted_clusters",
            page: Some(Page::BY_TOKEN),
        },
        old_list: Some(List {
            path: "/proto.AuthService/GetTrustedClusters",
            request: super::EMPTY,
            answer: "types.TrustedClusterV2List",
            items: "trusted_clusters",
            page: None,
        }),
        get: Call {
            path: "/proto.AuthService/GetTrustedCluster",
            request: "types.ResourceRequest",
            field: Some("name"),
            answer: TRUSTED_CLUSTER_MESSAGE,
        },
        // The older calls rename a resource silently to what its root is called.
        create: Some(Call {
            path: "/teleport.trust.v1.TrustService/CreateTrustedCluster",
            request: "teleport.trust.v1.CreateTrustedClusterRequest",
            field: Some("trusted_cluster"),
            answer: TRUSTED_CLUSTER_MESSAGE,
        }),
        update: Some(Call {
            path: "/teleport.trust.v1.TrustService/UpdateTrustedCluster",
            request: "teleport.trust.v1.UpdateTrustedClusterRequest",
            field: Some("trusted_cluster"),
            answer: TRUSTED_CLUSTER_MESSAGE,
        }),
        delete: Some(Call {
            path: "/proto.AuthService/DeleteTrustedCluster",
            request: "types.ResourceRequest",
            field: Some("name"),
            answer: super::EMPTY,
        }),
    },
    immutable: &["spec.token", "spec.web_proxy_addr", "spec.tunnel_addr", "spec.roles"],
    check: check::check,
    normalize,
    references: Some(references),
    refers_to: &[super::role::ROLE.name],
    readiness: |_| Readiness::Ready,
    presets: &[],
    values: Vec::new,
    keeper: |_| None,
    secret_name: |_| false,
    sight: Visibility::Free,
    labelled: None,
};

/// The server forces the version, and takes the tunnel address from the proxy's.
fn normalize(cluster: &mut Value) {
    super::set_version(cluster, "v2");
    let Value::Map(cluster) = cluster else { return };
    let Some(Value::Map(spec)) = cluster.get_mut("spec") else { return };
    if let Some(proxy) = spec.get("web_proxy_addr").cloned() {
        spec.entry("tunnel_addr".into()).or_insert(proxy);
    }
}

/// The local roles of the role map, except those with an expansion (`$1`), whose names are
/// known only when somebody comes. (Legacy `roles` are not looked up by the server.)
fn references(cluster: &Value) -> Vec<ResourceId> {
    let map = cluster.get("spec").and_then(|spec| spec.get("role_map"));
    let Some(Value::List(entries)) = map else { return Vec::new() };
    let mut names = std::collections::BTreeSet::new();
    for entry in entries {
        if let Some(Value::List(local)) = entry.get("local") {
            names.extend(local.iter().filter_map(Value::as_str).filter(|name| !expands(name)));
        }
    }
    names.into_iter().map(|name| ResourceId::parent(super::role::ROLE.name, name)).collect()
}

/// Whether a local role is a template: a `$` with something after it.
fn expands(name: &str) -> bool {
    name.split('$').skip(1).any(|after| !after.is_empty())
}
