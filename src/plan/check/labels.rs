//! What selectors ask of a plan. Reads the labels of a manifest and the values of its commands
//! by itself; only what a selector means is shared.

use std::collections::BTreeMap;

use super::facts::{is_foreign, presets};
use super::{Judge, Rule};
use crate::kind::{self, Labelled, ORIGIN_LABEL, OWNER_LABEL};
use crate::labels::selector::Matching;
use crate::labels::value::Command;
use crate::labels::{Labels, Mode, OnFailure};
use crate::manifest::Manifest;
use crate::model::{Live, ResourceId, Value, Verb};
use crate::plan::LabelInput;
use crate::plan::{Action, DeferReason, Step};

impl Judge<'_> {
    /// Nothing unmatched is written, nothing undecided is touched, and both are told.
    pub(super) fn labels(&mut self) {
        let Some(labels) = self.input.labels else { return };
        for step in &self.plan.steps {
            let labelled = kind::row(step.id.kind).and_then(|kind| kind.labelled.as_ref());
            let manifest = labels.declared.manifests.get(&step.id);
            if let (Some(labelled), Some(manifest)) = (labelled, manifest) {
                self.judge(step, labelled, manifest, labels);
            }
        }
        for id in labels.fits.undecided.keys() {
            let told = |it: &&super::super::Deferred| it.id == *id;
            let why = self.plan.deferred.iter().find(told).map(|it| &it.why);
            self.must(matches!(why, Some(DeferReason::LabelUnknown(_))), Rule::Incomplete, id);
        }
        let told: Vec<&ResourceId> = self.plan.unmatched.iter().map(|it| &it.id).collect();
        let others = labels.fits.unmatched.keys();
        let others = others.filter(|id| !self.input.inventory.contains_key(*id));
        let (lost, others): (Vec<_>, Vec<_>) = others.partition(|id| self.is_to_reclaim(id));
        for id in lost {
            let is_told = self.plan.steps.iter().any(|step| step.id == *id);
            self.must(is_told, Rule::Incomplete, id);
        }
        for id in others.iter().filter(|id| !told.contains(id)) {
            self.must(false, Rule::Incomplete, id);
        }
        for id in told.iter().filter(|id| !others.contains(id)) {
            self.must(false, Rule::Unmatched, id);
        }
    }

    /// Something that no selector matches may be called ours again only by its mark, while the
    /// journal does not know it.
    pub(super) fn reclaim(&mut self, id: &ResourceId, live: &Live) {
        self.must(self.present(id) == Some(live), Rule::StaleBefore, id);
        let is_marked = kind::row(id.kind)
            .is_some_and(|kind| self.bears_mark(kind, live) && !presets(kind, id));
        self.must(is_marked && !is_foreign(live), Rule::Foreign, id);
        self.must(self.entry(id).is_none(), Rule::Idle, id);
        let until = self.unmatched(id).and_then(|manifest| manifest.directives.paused_until);
        self.must(until.is_none_or(|until| until <= self.input.wall), Rule::Paused, id);
    }

    /// Whether such a thing is there and nothing stands in the way of calling it ours.
    fn is_to_reclaim(&self, id: &ResourceId) -> bool {
        let until = self.unmatched(id).and_then(|manifest| manifest.directives.paused_until);
        let (Some(kind), Some(live)) = (kind::row(id.kind), self.present(id)) else {
            return false;
        };
        self.bears_mark(kind, live)
            && !presets(kind, id)
            && !is_foreign(live)
            && self.entry(id).is_none()
            && !self.input.busy.contains(id)
            && until.is_none_or(|until| until <= self.input.wall)
    }

    fn judge(
        &mut self,
        step: &Step,
        labelled: &Labelled,
        manifest: &Manifest,
        labels: LabelInput<'_>,
    ) {
        let id = &step.id;
        let wanted = self.wanted(labelled, manifest, labels);
        let matching = labels.rules.selectors.look(&wanted);
        self.must(!matches!(matching, Matching::Unknown(_)), Rule::Undecided, id);
        let is_reclaimed =
            step.action.verb() == Verb::Adopt && labels.fits.unmatched.contains_key(id);
        match &step.action {
            Action::Adopt { live: _, after: _ } if is_reclaimed => {
                self.must(matching == Matching::Nothing, Rule::Unmatched, id);
            }
            Action::Create { after }
            | Action::Update { before: _, after, changes: _ }
            | Action::Adopt { live: _, after } => {
                let is_meant = matches!(matching, Matching::Item { .. });
                self.must(is_meant, Rule::Unmatched, id);
                // What will be stored must match as well: agents look at nothing else.
                let stored = labelled_parts(labelled, &after.canonical).stored();
                let mut stored: Labels =
                    stored.into_iter().map(|(key, value)| (key, Some(value))).collect();
                self.add_ours(&mut stored);
                let kept = matches!(labels.rules.selectors.look(&stored), Matching::Item { .. });
                self.must(kept, Rule::Unmatched, id);
            }
            Action::Delete { before: _ } => {
                self.must(matching == Matching::Nothing, Rule::DeleteOfDeclared, id);
                let until = manifest.directives.paused_until;
                let over = until.is_none_or(|until| until <= self.input.wall);
                self.must(over, Rule::Paused, id);
            }
        }
    }

    fn wanted(&self, labelled: &Labelled, manifest: &Manifest, input: LabelInput<'_>) -> Labels {
        let parts = labelled_parts(labelled, &manifest.resource.canonical);
        let mut all: Labels =
            parts.fixed.into_iter().map(|(key, value)| (key, Some(value))).collect();
        self.add_ours(&mut all);
        for (key, label) in parts.dynamic {
            all.remove(&key);
            let known = input.values.get(&Command::beside(&manifest.at.path, &label.command));
            let is_forward = input.rules.mode == Mode::Forward;
            let lost = known.is_some_and(|it| it.failing.is_some() && it.good.is_some());
            if lost && input.rules.on_failure == OnFailure::Drop {
                if is_forward {
                    all.insert(key, Some(String::new()));
                }
                continue;
            }
            let good = known.and_then(|known| known.good.as_ref()).map(|it| it.value.clone());
            let may_run = input.rules.allow.permits(&label.command);
            let pasted = is_forward && !may_run && !label.result.is_empty();
            all.insert(key, good.or_else(|| pasted.then_some(label.result)));
        }
        all
    }

    fn add_ours(&self, labels: &mut BTreeMap<String, Option<String>>) {
        let owner = self.input.policy.agent.clone();
        labels.entry(OWNER_LABEL.to_owned()).or_insert(Some(owner));
        labels.entry(ORIGIN_LABEL.to_owned()).or_insert(Some("dynamic".to_owned()));
    }
}

fn labelled_parts(labelled: &Labelled, canonical: &str) -> kind::LabelParts {
    (labelled.parts)(&Value::from_json(canonical).unwrap_or(Value::Null))
}
