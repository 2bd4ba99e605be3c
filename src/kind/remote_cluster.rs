//! `remote_cluster`: on a root, what it knows of a leaf.
//!
//! One appears when a leaf joins, and removing one would cut the leaf off: we do neither, and
//! manage its labels, description and expiry alone. `UpdateRemoteCluster` without a mask writes
//! metadata and status under the revision in the metadata, so the status that we carry along
//! is the one of that revision; with a mask it would not look at the revision. (The server
//! tries three times and then says `FailedPrecondition`, as for any stale revision.)
//! Whoever labels one needs `cluster_labels` that let him see it afterwards.

use super::{Call, Follow, Kind, List, Page, Phase, Rpc, Visibility, Writes, check};
use crate::model::{KindName, Readiness};

const REMOTE_CLUSTER_MESSAGE: &str = "types.RemoteClusterV3";

/// The row.
pub(super) static REMOTE_CLUSTER: Kind = Kind {
    name: KindName::new("remote_cluster"),
    words: &["remote_cluster", "remote_clusters", "rc", "rcs"],
    versions: &["v3"],
    message: REMOTE_CLUSTER_MESSAGE,
    phase: Phase::Trust,
    writes: Writes::Conditional,
    keeps_labels: true,
    follow: Follow::Watch("remote_cluster"),
    rpc: Rpc {
        list: List {
            path: "/teleport.presence.v1.PresenceService/ListRemoteClusters",
            request: "teleport.presence.v1.ListRemoteClustersRequest",
            answer: "teleport.presence.v1.ListRemoteClustersResponse",
            items: "remote_clusters",
            page: Some(Page::BY_TOKEN),
        },
        old_list: None,
        get: Call {
            path: "/teleport.presence.v1.PresenceService/GetRemoteCluster",
            request: "teleport.presence.v1.GetRemoteClusterRequest",
            field: Some("name"),
            answer: REMOTE_CLUSTER_MESSAGE,
        },
        create: None,
        update: Some(Call {
            path: "/teleport.presence.v1.PresenceService/UpdateRemoteCluster",
            request: "teleport.presence.v1.UpdateRemoteClusterRequest",
            field: Some("remote_cluster"),
            answer: REMOTE_CLUSTER_MESSAGE,
        }),
        delete: None,
    },
    immutable: &[],
    check: check::metadata,
    normalize: |cluster| super::set_version(cluster, "v3"),
    references: None,
    refers_to: &[],
    readiness: |_| Readiness::Ready,
    presets: &[],
    values: Vec::new,
    keeper: |_| None,
    secret_name: |_| false,
    sight: Visibility::UnlessDenied("cluster_labels"),
    labelled: None,
};
