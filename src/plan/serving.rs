//! Who will serve the Kubernetes clusters that a plan touches.

use super::{Action, Plan};
use crate::kind::kube_server::{of_live, of_resource};
use crate::labels::preview::{self, Note, Registered, Seen};
use crate::labels::serve::Service;
use crate::live::Live;

/// One note after the other, in the order of the steps. A resource that does not fit its message
/// has none: the plan's own check refuses it.
pub fn notes(plan: &Plan, agent: &str, services: &[Service], seen: &Seen) -> Vec<Note> {
    let live = |live: &Live| of_live(live).ok().flatten();
    let mut notes = Vec::new();
    for step in &plan.steps {
        let (before, after): (Option<Registered>, Option<Registered>) = match &step.action {
            Action::Create { after } => (None, of_resource(after, None, agent).ok().flatten()),
            Action::Update { before, after, changes: _ } => {
                (live(before), of_resource(after, Some(before), agent).ok().flatten())
            }
            // Nothing changes for anybody else.
            Action::Adopt { live: _, after: _ } => continue,
            Action::Delete { before } => (live(before), None),
        };
        if before.is_none() && after.is_none() {
            continue;
        }
        notes.extend(preview::notes(services, seen, before.as_ref(), after.as_ref()));
    }
    notes
}
