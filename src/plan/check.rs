//! An independent check of a finished plan. Shares no code with the planner, the order, the
//! diff or the guards: it asks of every step what must be true for it, from the same input.
//!
//! A violation is our own bug; the engine refuses to run the plan.

mod facts;
mod labels;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use self::facts::{is_foreign, keeps_fixed, presets, rank, targets};
use super::{Action, Plan, Step};
use crate::journal::Entry;
use crate::kind::{self, Kind, Writes};
use crate::live::{Coverage, Seen};
use crate::manifest::{Adopt, Manifest};
use crate::model::{Live, ResourceId};
use crate::plan::Input;

/// What a plan must not do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// Two steps on one resource, or a step on what is deferred or forgotten.
    Twice,
    /// A step on what is frozen.
    Frozen,
    /// A step on what is settling or in doubt.
    Busy,
    /// A step on what is paused.
    Paused,
    /// A create, update or adoption that nobody declared, or with another content.
    NotDeclared,
    /// A create of what is there or may be there.
    CreateOfPresent,
    /// A create or delete of a kind that we never create or delete.
    NotMadeByUs,
    /// A `before` that is not what the cluster reports.
    StaleBefore,
    /// An update or adoption of a preset, of another agent's, or of another program's.
    Foreign,
    /// An adoption that the manifest forbids.
    NotAdopted,
    /// A change of what cannot change.
    Immutable,
    /// An adoption of something that differs from what is wanted.
    AdoptedUnequal,
    /// A step on what is in sync.
    Idle,
    /// A delete of what is declared.
    DeleteOfDeclared,
    /// A delete while some document is in doubt.
    DeleteOnPartialSource,
    /// A delete of what the journal does not know.
    DeleteOfUnknown,
    /// A delete of what does not bear our mark although its kind keeps labels.
    DeleteOfUnmarked,
    /// A delete of what `reconciler/prune: "false"` keeps.
    DeleteOfKept,
    /// A delete of what something declared refers to.
    DeleteOfReferenced,
    /// A step that refers to what is neither there nor created before it.
    MissingReference,
    /// Deletes before writes, or phases out of order.
    Order,
    /// A step that must come after one that is not in the plan before it.
    After,
    /// A write of what no selector matches, or would match once it is written.
    Unmatched,
    /// A step on what nobody can say of whether a selector matches it.
    Undecided,
    /// A difference that is neither a step nor deferred.
    Incomplete,
    /// Forgetting what is declared, what may be there, or what was never known.
    Forget,
    /// A wrong number of resources in sync.
    Unchanged,
    /// Another coverage than the input's.
    Coverage,
}

/// One broken rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Violation {
    /// Which rule.
    pub rule: Rule,
    /// By what; absent where the whole plan is meant.
    pub id: Option<ResourceId>,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.id {
            Some(id) => write!(f, "{:?}: {id}", self.rule),
            None => write!(f, "{:?}", self.rule),
        }
    }
}

/// Finds everything that a correct plan for this input would not do. Sorted.
pub fn check(plan: &Plan, input: &Input<'_>) -> Vec<Violation> {
    let mut judge = Judge { plan, input, out: BTreeSet::new() };
    judge.once();
    for step in &plan.steps {
        judge.step(step);
    }
    judge.order();
    judge.references();
    judge.completeness();
    judge.forgotten();
    judge.coverage();
    judge.labels();
    judge.out.into_iter().collect()
}

struct Judge<'a> {
    plan: &'a Plan,
    input: &'a Input<'a>,
    out: BTreeSet<Violation>,
}

impl<'a> Judge<'a> {
    fn must(&mut self, is_so: bool, rule: Rule, id: &ResourceId) {
        if !is_so {
            self.out.insert(Violation { rule, id: Some(id.clone()) });
        }
    }

    fn manifest(&self, id: &ResourceId) -> Option<&'a Manifest> {
        self.input.reading.manifests.get(id)
    }

    /// The manifest of what no selector matches.
    fn unmatched(&self, id: &ResourceId) -> Option<&'a Manifest> {
        let fits = self.input.labels.map(|labels| labels.fits)?;
        fits.unmatched.get(id).map(|unmatched| &unmatched.manifest)
    }

    fn entry(&self, id: &ResourceId) -> Option<&'a Entry> {
        self.input.inventory.get(id)
    }

    fn present(&self, id: &ResourceId) -> Option<&'a Live> {
        match self.input.live.look(id) {
            Seen::Present(live) => Some(live.as_ref()),
            Seen::Absent | Seen::Unknown(_) => None,
        }
    }

    fn is_absent(&self, id: &ResourceId) -> bool {
        matches!(self.input.live.look(id), Seen::Absent)
    }

    fn bears_mark(&self, kind: &Kind, live: &Live) -> bool {
        kind.keeps_labels && live.owner.as_deref() == Some(self.input.policy.agent.as_str())
    }

    /// Gone, or there but of a kind that is never deleted by us.
    fn may_be_forgotten(&self, id: &ResourceId) -> bool {
        let stays = kind::row(id.kind).is_some_and(|kind| kind.rpc.delete.is_none());
        match self.input.live.look(id) {
            Seen::Absent => true,
            Seen::Present(_) => stays,
            Seen::Unknown(_) => false,
        }
    }

    /// Wanted, there, equal, known and marked: nothing is left to do.
    fn is_in_sync(&self, id: &ResourceId) -> bool {
        let (Some(manifest), Some(live), Some(kind)) =
            (self.manifest(id), self.present(id), kind::row(id.kind))
        else {
            return false;
        };
        let is_marked =
            self.bears_mark(kind, live) || !kind.keeps_labels || kind.writes == Writes::Immutable;
        let is_known = self.entry(id).is_some_and(|entry| entry.keep == manifest.directives.keep);
        live.canonical == manifest.resource.canonical && is_marked && is_known
    }

    fn once(&mut self) {
        let mut seen = BTreeSet::new();
        let steps = self.plan.steps.iter().map(|step| &step.id);
        let deferred = self.plan.deferred.iter().map(|deferred| &deferred.id);
        for id in steps.chain(deferred).chain(&self.plan.forget) {
            self.must(seen.insert(id), Rule::Twice, id);
        }
    }

    fn step(&mut self, step: &Step) {
        let Step { id, action, reason: _, note: _, at: _, after: _ } = step;
        self.must(!self.input.reading.frozen.contains_key(id), Rule::Frozen, id);
        self.must(!self.input.busy.contains(id), Rule::Busy, id);
        let until = self.manifest(id).and_then(|manifest| manifest.directives.paused_until);
        self.must(until.is_none_or(|until| until <= self.input.wall), Rule::Paused, id);
        self.must(!self.is_in_sync(id), Rule::Idle, id);
        match action {
            Action::Create { after } => {
                let wanted = self.manifest(id).map(|manifest| &manifest.resource);
                self.must(wanted == Some(after), Rule::NotDeclared, id);
                self.must(self.is_absent(id), Rule::CreateOfPresent, id);
                let is_made = kind::row(id.kind).is_some_and(|kind| kind.rpc.create.is_some());
                self.must(is_made, Rule::NotMadeByUs, id);
                let is_preset = kind::row(id.kind).is_none_or(|kind| presets(kind, id));
                self.must(!is_preset, Rule::Foreign, id);
            }
            Action::Update { before, after, changes: _ } => {
                let wanted = self.manifest(id).map(|manifest| &manifest.resource);
                self.must(wanted == Some(after), Rule::NotDeclared, id);
                self.contact(id, before);
                let is_allowed = kind::row(id.kind)
                    .is_some_and(|kind| keeps_fixed(kind, &before.canonical, &after.canonical));
                self.must(is_allowed, Rule::Immutable, id);
            }
            Action::Adopt { live, after } if self.unmatched(id).is_some() => {
                self.reclaim(id, live);
                self.must(live.canonical == after.canonical, Rule::AdoptedUnequal, id);
            }
            Action::Adopt { live, after } => {
                let wanted = self.manifest(id).map(|manifest| &manifest.resource);
                self.must(wanted == Some(after), Rule::NotDeclared, id);
                self.contact(id, live);
                self.must(live.canonical == after.canonical, Rule::AdoptedUnequal, id);
            }
            Action::Delete { before } => self.delete(id, before),
        }
    }

    /// What must be true before we write over, or call ours, something that is there.
    fn contact(&mut self, id: &ResourceId, before: &Live) {
        self.must(self.present(id) == Some(before), Rule::StaleBefore, id);
        let (Some(kind), Some(manifest)) = (kind::row(id.kind), self.manifest(id)) else {
            return self.must(false, Rule::NotDeclared, id);
        };
        let adopt = manifest.directives.adopt;
        let is_others =
            kind.keeps_labels && before.owner.is_some() && !self.bears_mark(kind, before);
        self.must(!is_others || adopt == Adopt::Always, Rule::Foreign, id);
        self.must(!is_foreign(before) && !presets(kind, id), Rule::Foreign, id);
        let is_ours = self.entry(id).is_some() || self.bears_mark(kind, before);
        self.must(is_ours || adopt != Adopt::Never, Rule::NotAdopted, id);
    }

    fn delete(&mut self, id: &ResourceId, before: &Live) {
        let reading = self.input.reading;
        let is_whole = reading.unknown.is_empty() && reading.frozen.is_empty();
        self.must(is_whole, Rule::DeleteOnPartialSource, id);
        self.must(self.manifest(id).is_none(), Rule::DeleteOfDeclared, id);
        self.must(self.present(id) == Some(before), Rule::StaleBefore, id);
        self.must(self.entry(id).is_some(), Rule::DeleteOfUnknown, id);
        let is_kept = match self.unmatched(id) {
            Some(manifest) => manifest.directives.keep,
            None => self.entry(id).is_some_and(|entry| entry.keep),
        };
        self.must(!is_kept, Rule::DeleteOfKept, id);
        let is_deleted = kind::row(id.kind).is_some_and(|kind| kind.rpc.delete.is_some());
        self.must(is_deleted, Rule::NotMadeByUs, id);
        let is_marked = kind::row(id.kind)
            .is_some_and(|kind| !kind.keeps_labels || self.bears_mark(kind, before));
        self.must(is_marked, Rule::DeleteOfUnmarked, id);
        let is_preset = kind::row(id.kind).is_some_and(|kind| presets(kind, id));
        self.must(!is_preset && !is_foreign(before), Rule::Foreign, id);
    }

    /// Writes by phase, then deletes by phase backwards; and nothing before what it waits for.
    fn order(&mut self) {
        let mut last: Option<(bool, i8)> = None;
        let mut done = BTreeSet::new();
        for Step { id, action, reason: _, note: _, at: _, after } in &self.plan.steps {
            let is_delete = matches!(action, Action::Delete { before: _ });
            let rank = kind::row(id.kind).map_or(-1, |kind| rank(kind.phase));
            let place = (is_delete, if is_delete { -rank } else { rank });
            self.must(last <= Some(place), Rule::Order, id);
            last = Some(place);
            let is_after = after.iter().all(|first| done.contains(first));
            self.must(is_after, Rule::After, id);
            done.insert(id);
        }
    }

    fn references(&mut self) {
        let mut created = BTreeSet::new();
        let mut deleted = BTreeSet::new();
        for step in &self.plan.steps {
            match &step.action {
                Action::Create { after } => {
                    self.reference_of(step, &after.canonical, &created);
                    created.insert(&step.id);
                }
                Action::Update { before: _, after, changes: _ } => {
                    self.reference_of(step, &after.canonical, &created);
                }
                Action::Adopt { live: _, after: _ } => {}
                Action::Delete { before: _ } => {
                    deleted.insert(step.id.clone());
                }
            }
        }
        if deleted.is_empty() {
            return;
        }
        for (id, manifest) in &self.input.reading.manifests {
            for target in targets(id, &manifest.resource.canonical) {
                self.must(!deleted.contains(&target), Rule::DeleteOfReferenced, &target);
            }
        }
    }

    fn reference_of(&mut self, step: &Step, canonical: &str, created: &BTreeSet<&ResourceId>) {
        for target in targets(&step.id, canonical) {
            let is_there = self.present(&target).is_some();
            let is_made = created.contains(&target) && step.after.contains(&target);
            self.must(is_there || is_made, Rule::MissingReference, &step.id);
        }
    }

    fn completeness(&mut self) {
        let steps = self.plan.steps.iter().map(|step| &step.id);
        let spoken: BTreeSet<&ResourceId> =
            steps.chain(self.plan.deferred.iter().map(|deferred| &deferred.id)).collect();
        let reading = self.input.reading;
        let mut in_sync = 0;
        for id in reading.manifests.keys() {
            if !spoken.contains(id) {
                in_sync += 1;
                self.must(self.is_in_sync(id), Rule::Incomplete, id);
            }
        }
        for id in reading.frozen.keys() {
            self.must(spoken.contains(id), Rule::Incomplete, id);
        }
        for id in self.input.inventory.keys() {
            let is_declared = self.manifest(id).is_some()
                || reading.frozen.contains_key(id)
                || self.input.labels.is_some_and(|it| it.fits.undecided.contains_key(id));
            if !is_declared && !spoken.contains(id) {
                self.must(self.may_be_forgotten(id), Rule::Incomplete, id);
            }
        }
        if in_sync != self.plan.unchanged {
            self.out.insert(Violation { rule: Rule::Unchanged, id: None });
        }
    }

    fn forgotten(&mut self) {
        let reading = self.input.reading;
        let is_whole = reading.unknown.is_empty() && reading.frozen.is_empty();
        for id in &self.plan.forget {
            let is_undecided =
                self.input.labels.is_some_and(|it| it.fits.undecided.contains_key(id));
            let is_wanted =
                self.manifest(id).is_some() || is_undecided || self.input.busy.contains(id);
            let is_known = self.entry(id).is_some();
            let is_right = is_whole && is_known && !is_wanted && self.may_be_forgotten(id);
            self.must(is_right, Rule::Forget, id);
        }
    }

    fn coverage(&mut self) {
        let input: BTreeMap<_, &Coverage> =
            self.input.live.kinds.iter().map(|(key, seen)| (key, seen.coverage())).collect();
        let told: BTreeMap<_, &Coverage> = self.plan.coverage.iter().collect();
        let reading = self.input.reading;
        let is_whole = reading.unknown.is_empty() && reading.frozen.is_empty();
        if input != told || is_whole != self.plan.source_whole {
            self.out.insert(Violation { rule: Rule::Coverage, id: None });
        }
    }
}
