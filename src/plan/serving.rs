//! Who will serve the Kubernetes clusters that a plan touches.

use super::{Action, Plan, Step};
use crate::kind::kube_server::{Registered, Servers, of_live, of_resource};
use crate::labels::preview::{self, Note};
use crate::labels::serve::Service;
use crate::model::{Live, ResourceId};

/// One note after the other, in the order of the steps. A resource that does not fit its message
/// has none: the plan's own check refuses it.
pub fn notes(plan: &Plan, agent: &str, services: &[Service], seen: &Servers) -> Vec<Note> {
    let mut notes = Vec::new();
    for step in &plan.steps {
        // Nothing changes for anybody else.
        if matches!(step.action, Action::Adopt { live: _, after: _ }) {
            continue;
        }
        let (before, after) = sides(step, agent);
        if before.is_none() && after.is_none() {
            continue;
        }
        notes.extend(preview::notes(services, seen, before.as_ref(), after.as_ref()));
    }
    notes
}

/// What services will see of a cluster once the plan is done, where `live` is there now; none if
/// it will not be registered.
pub fn after(plan: &Plan, agent: &str, id: &ResourceId, live: Option<&Live>) -> Option<Registered> {
    match plan.steps.iter().find(|step| step.id == *id) {
        Some(step) => sides(step, agent).1,
        None => live.and_then(stored),
    }
}

/// What services see of a cluster before and after a step.
fn sides(step: &Step, agent: &str) -> (Option<Registered>, Option<Registered>) {
    match &step.action {
        Action::Create { after } => (None, of_resource(after, None, agent).ok().flatten()),
        Action::Update { before, after, changes: _ } => {
            (stored(before), of_resource(after, Some(before), agent).ok().flatten())
        }
        Action::Adopt { live, after: _ } => (stored(live), stored(live)),
        Action::Delete { before } => (stored(before), None),
    }
}

fn stored(live: &Live) -> Option<Registered> {
    of_live(live).ok().flatten()
}
