//! Labels and selectors in the status.

use std::collections::BTreeMap;

use super::machine::Engine;
use super::status::{LabelStatus, ResourceStatus};
use crate::labels::allow::Allow;
use crate::labels::value::Command;
use crate::model::Timestamp;

impl Engine {
    /// What selectors and commands say of each declared resource.
    pub(super) fn labels_status(
        &self,
        wall: Timestamp,
        all: &mut BTreeMap<String, ResourceStatus>,
    ) {
        let Some(reading) = &self.source.reading else { return };
        for (id, manifest) in &reading.manifests {
            let Some(declared) = self.labels.resolver.look(id, manifest) else { continue };
            let Some(one) = all.get_mut(&id.to_string()) else { continue };
            for key in declared.parts.dynamic.keys() {
                let status = match declared.commands.get(key) {
                    Some(command) => self.label_status(command, wall),
                    None => LabelStatus {
                        why: Some("it has no command".to_owned()),
                        ..LabelStatus::default()
                    },
                };
                one.labels.insert(key.clone(), status);
            }
        }
        let fits = self.labels.desired.as_ref().map(|desired| &desired.fits);
        for (id, unmatched) in fits.into_iter().flat_map(|fits| &fits.unmatched) {
            let Some(one) = all.get_mut(&id.to_string()) else { continue };
            "unmatched".clone_into(&mut one.state);
            one.why = Some(format!("no selector matches {}", unmatched.shown()));
        }
    }

    fn label_status(&self, command: &Command, wall: Timestamp) -> LabelStatus {
        let known = self.labels.values.get(command);
        let good = known.and_then(|known| known.good.as_ref());
        let failing = known.and_then(|known| known.failing.as_ref());
        let run = self.labels.runs.get(command);
        let why = match (run, failing) {
            (Some(run), _) if !run.allowed => Some(format!(
                "not allowed to run; to allow it, add {} to `kubernetes.dynamic_labels.allow`",
                Allow::line_to_add(&command.argv)
            )),
            (Some(run), Some(failing)) => {
                Some(run.error.clone().unwrap_or_else(|| failing.why.clone()))
            }
            (None, Some(failing)) => Some(failing.why.clone()),
            (Some(_), None) if good.is_none() => Some("it has not ended yet".to_owned()),
            (Some(_), None) => None,
            (None, None) => Some("not run: it makes no difference here".to_owned()),
        };
        LabelStatus {
            command: command.to_string(),
            value: good.map(|good| good.value.clone()),
            age_ms: good.map(|good| wall.since(good.seen).as_millis()),
            failing_since: failing.map(|failing| failing.since.to_string()),
            why,
        }
    }
}
