//! `role`. (Filled in by the kinds helper.)

use super::{Call, Follow, Kind, List, Phase, Readiness, Rpc, Writes};
use crate::model::KindName;

const TODO_CALL: Call = Call { path: "", request: "", field: None, answer: "" };

/// The row.
pub(super) static ROLE: Kind = Kind {
    name: KindName::new("role"),
    words: &["role"],
    versions: &["v3"],
    message: "types.RoleV6",
    phase: Phase::Access,
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
