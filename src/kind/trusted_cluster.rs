//! `trusted_cluster`. (Filled in by the kinds helper.)

use super::{Call, Follow, Kind, List, Phase, Readiness, Rpc, Writes};
use crate::model::KindName;

const TODO_CALL: Call = Call { path: "", request: "", field: None, answer: "" };

/// The row.
pub(super) static TRUSTED_CLUSTER: Kind = Kind {
    name: KindName::new("trusted_cluster"),
    words: &["trusted_cluster"],
    versions: &["v3"],
    message: "types.TrustedClusterV2",
    phase: Phase::Trust,
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
