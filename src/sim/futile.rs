//! A server that does not keep a field, and how often the engine may write all the same.

use std::collections::BTreeMap;

use prost::Message as _;

use super::oracle::Oracle;
use super::stream;
use crate::engine::FUTILE_MAX;
use crate::journal::OpId;
use crate::model::{Digest, ResourceId};
use crate::plan::{Action, Reason, Step};
use crate::wire::message::{proto, types};

/// Updates that may be done of one wish in one life of the engine while nobody else writes: until
/// the loss is noticed, those that prove it, and one more for news that came late.
const UPDATES_MAX: u32 = FUTILE_MAX + 2;

/// The role of which the server drops a field, in some of the seeds.
pub(super) fn stubborn(seed: u64) -> Option<String> {
    let mut draws = stream(seed, "stubborn");
    (draws.u32(..3) == 0).then(|| format!("role-{}", draws.u32(..6)))
}

/// The same request without the logins, if it writes that role.
pub(super) fn without_field(name: &str, path: &str, request: &[u8]) -> Option<Vec<u8>> {
    let strip = |role: &mut Option<types::RoleV6>| {
        let role = role
            .as_mut()
            .filter(|role| role.metadata.as_ref().is_some_and(|metadata| metadata.name == name))?;
        role.spec.as_mut()?.allow.as_mut()?.logins.clear();
        Some(())
    };
    match path {
        "/proto.AuthService/CreateRole" => {
            let mut request = proto::CreateRoleRequest::decode(request).ok()?;
            strip(&mut request.role).map(|()| request.encode_to_vec())
        }
        "/proto.AuthService/UpdateRole" => {
            let mut request = proto::UpdateRoleRequest::decode(request).ok()?;
            strip(&mut request.role).map(|()| request.encode_to_vec())
        }
        _other => None,
    }
}

/// Updates of one life of the engine.
#[derive(Debug, Default)]
pub(super) struct Updates {
    sent: BTreeMap<OpId, (ResourceId, Digest)>,
    /// How often what was last wanted was written, by the answers that the engine got.
    done: BTreeMap<ResourceId, (Digest, u32)>,
}

impl Oracle {
    /// A write is on its way. What is deleted, or made for another reason than that somebody took
    /// it away, begins anew.
    pub(super) fn write_sent(&mut self, op: OpId, step: &Step) {
        match &step.action {
            Action::Update { before: _, after, changes: _ } => {
                self.updates.sent.insert(op, (step.id.clone(), after.digest));
            }
            Action::Create { .. } if step.reason == Reason::Vanished => {}
            Action::Create { .. } | Action::Adopt { .. } | Action::Delete { .. } => {
                self.updates.done.remove(&step.id);
            }
        }
    }

    /// The engine is told that a write was done, or was not.
    pub(super) fn write_told(&mut self, op: OpId, is_done: bool) {
        let Some((id, digest)) = self.updates.sent.remove(&op).filter(|_| is_done) else { return };
        let done = self.updates.done.entry(id.clone()).or_insert((digest, 0));
        if done.0 != digest {
            *done = (digest, 0);
        }
        done.1 += 1;
        if done.1 > UPDATES_MAX {
            let detail = format!("{id}: {} times", done.1);
            self.violate("written_in_vain", detail);
        }
    }

    /// Somebody else wrote it: what comes now may be needed.
    pub(super) fn update_needed(&mut self, id: &ResourceId) {
        self.updates.done.remove(id);
    }
}
