//! `workload_cluster`. (Filled in by the kinds helper.)

use super::{Call, Follow, Kind, List, Phase, Readiness, Rpc, Writes};
use crate::model::KindName;

const TODO_CALL: Call = Call { path: "", request: "", field: None, answer: "" };

/// The row.
pub(super) static WORKLOAD_CLUSTER: Kind = Kind {
    name: KindName::new("workload_cluster"),
    words: &["workload_cluster"],
    versions: &["v3"],
    message: "teleport.workloadcluster.v1.WorkloadCluster",
    phase: Phase::Children,
    writes: Writes::Conditional,
    keeps_labels: true,
    follow: Follow::Poll,
    rpc: Rpc {
        list: List { path: "", request: "", answer: "", items: "", page: None },
        get: TODO_CALL,
        create: TODO_CALL,
        update: None,
        delete: TODO_CALL,
    },
    immutable: &[],
    check: |_, _| {},
    normalize: |_| {},
    references: |_| Vec::new(),
    readiness: |_| Readiness::Ready,
    presets: &[],
};
