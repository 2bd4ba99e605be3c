//! Judges what the engine does, from the truth and from what the engine was told.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::labels::{self, Fate};
use super::limits::{Approvals, Limits, Scene, keeps_labels};
use super::source::{SECRET, SECRET_BASE64};
use super::told::{Look, Told};
use super::truth::Version;
use crate::engine::SETTLE_DEADLINE;
use crate::journal::{OpId, Outcome, Record, State};
use crate::kind::{self, canonical};
use crate::manifest::{Adopt, Reading};
use crate::model::{Digest, Live, ResourceId, Revision, Timestamp, Value, Verb};
use crate::plan::{Action, Step};

/// One broken invariant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Its name, `create_of_present`.
    pub name: &'static str,
    /// What happened.
    pub detail: String,
}

/// What the oracle remembers.
#[derive(Debug, Default)]
pub(super) struct Oracle {
    pub violations: Vec<Violation>,
    /// What we created, wrote or adopted, by the servers' and the disk's account.
    ours: BTreeSet<ResourceId>,
    /// What we created and nobody removed: since when it is committed.
    created: BTreeMap<ResourceId, Duration>,
    /// Of that, what the disk says was done: ours to delete one day.
    pub made: BTreeSet<ResourceId>,
    /// What persons approved.
    pub approvals: Approvals,
    /// How many deletes go without asking.
    pub limits: Limits,
    /// Operations that are intended on disk and not settled there.
    pub open: BTreeMap<OpId, Intent>,
    /// Of this life of the engine.
    pub life: Told,
    /// Of this life, too.
    pub updates: super::futile::Updates,
}

/// What the disk says of an operation, and what the engine could know of its end.
#[derive(Debug)]
pub(super) struct Intent {
    pub id: ResourceId,
    pub verb: Verb,
    pub approval: Option<String>,
    /// What it writes, secrets as fingerprints.
    pub wanted: Option<String>,
    /// The server did it, or the engine was told of what looks as if it had.
    pub proven: bool,
}

impl Oracle {
    pub(super) fn violate(&mut self, name: &'static str, detail: String) {
        self.violations.push(Violation { name, detail });
    }

    /// Records reached the disk, in one transaction; `disk`: what it says now.
    pub(super) fn on_disk(&mut self, at: Duration, records: &[Record], disk: &State) {
        self.limits.managed(at, disk);
        let broken = self.approvals.on_disk(records);
        self.violations.extend(broken);
        for record in records {
            if shows_secret(&format!("{record:?}")) {
                self.violate("secret_shown", "in a record".to_owned());
            }
            match record {
                Record::Adopted { id, .. } => {
                    let Some(id) = crate::journal::parse_id(id) else { continue };
                    if !keeps_labels(&id) {
                        self.judge_will(&id, &format!("adopt {id}"));
                    }
                    self.ours.insert(id);
                }
                Record::Intended { op, run, id, verb, entry, approval, .. } => {
                    if run.0 == 0 {
                        self.violate("run_zero", id.clone());
                    }
                    let Some(id) = crate::journal::parse_id(id) else { continue };
                    let wanted = entry.as_ref().map(|entry| entry.applied.to_string());
                    let approval = approval.clone();
                    let intent = Intent { id, verb: *verb, approval, wanted, proven: false };
                    self.open.insert(*op, intent);
                }
                Record::Settled { op, outcome, at } => self.settled(*op, outcome, *at),
                Record::Forgotten { id, .. } => {
                    crate::journal::parse_id(id).map(|id| self.ours.remove(&id));
                }
                Record::Approved { .. } | Record::Label { .. } => {}
            }
        }
    }

    fn settled(&mut self, op: OpId, outcome: &Outcome, at: Timestamp) {
        let Some(Intent { id, verb, proven, .. }) = self.open.remove(&op) else { return };
        match outcome {
            Outcome::Done { revision: _ } => {
                if !proven {
                    self.violate("done_unproven", format!("{verb} {id}"));
                }
                if verb == Verb::Delete {
                    self.limits.settled(op, Some(at));
                    self.ours.remove(&id);
                    self.approvals.granted.remove(&id);
                } else {
                    if self.created.contains_key(&id) {
                        self.made.insert(id.clone());
                    }
                    self.ours.insert(id);
                }
            }
            Outcome::Refused { error: _ } | Outcome::NotDone => {
                self.limits.settled(op, None);
            }
        }
    }

    /// `reconciler/adopt: never`: what is not ours is not taken.
    fn judge_will(&mut self, id: &ResourceId, what: &str) {
        let manifest = self.life.reading.as_ref().and_then(|it| it.manifests.get(id));
        let never = manifest.is_some_and(|it| it.directives.adopt == Adopt::Never);
        if never && !self.ours.contains(id) {
            self.violate("taken_against_will", what.to_owned());
        }
    }

    /// Something that people may see.
    pub(super) fn shown(&mut self, what: &str, text: &str) {
        if shows_secret(text) {
            self.violate("secret_shown", format!("in {what}"));
        }
    }

    /// The engine sends a write.
    pub(super) fn sent(&mut self, now: &Scene<'_>, op: OpId, step: &Step) {
        let id = &step.id;
        let verb = step.action.verb();
        let what = format!("{verb} {id}");
        let intended = now.disk.open.get(&op);
        if intended.is_none_or(|open| open.id != id.to_string() || open.verb != verb) {
            self.violate("intent_on_disk", what.clone());
        }
        if self.life.disk_failed {
            self.violate("write_after_disk_failure", what.clone());
        }
        if self.life.in_flight.values().any(|flying| flying == id) {
            self.violate("two_in_flight", what.clone());
        }
        self.life.in_flight.insert(op, id.clone());
        self.write_sent(op, step);
        let partial = self.life.partial.get(&id.kind).copied().unwrap_or(true);
        if partial && verb != Verb::Update {
            self.violate("write_on_partial", what.clone());
        }
        match &step.action {
            Action::Create { after } => {
                self.judge_wanted(now, step, after.digest, &what);
                if now.present
                    && let Some(at) = self.created.get(id)
                    && now.at.saturating_sub(*at) < SETTLE_DEADLINE
                {
                    self.violate("created_twice", what);
                }
            }
            Action::Update { before, after, changes: _ } => {
                self.judge_wanted(now, step, after.digest, &what);
                if before.owner.as_deref() != Some(super::AGENT) {
                    self.judge_will(id, &what);
                }
            }
            Action::Adopt { .. } => self.violate("adopt_sent", what),
            Action::Delete { before } => {
                self.judge_delete(now, op, id, before.revision.as_ref(), &what);
                self.judge_owner(before, &what);
            }
        }
    }

    fn judge_owner(&mut self, before: &Live, what: &str) {
        let keeps = keeps_labels(&before.id);
        let marked = before.owner.as_deref() == Some(super::AGENT);
        if (keeps && !marked) || !self.ours.contains(&before.id) {
            self.violate("delete_not_ours", what.to_owned());
        }
    }

    fn judge_wanted(&mut self, now: &Scene<'_>, step: &Step, digest: Digest, what: &str) {
        match self.fate(now, &step.id) {
            None => self.violate("write_of_old_reading", what.to_owned()),
            Some(Fate { meant: Some(false), .. }) => {
                self.violate("registered_unmatched", what.to_owned());
            }
            Some(Fate { meant: None, .. }) => self.violate("written_undecided", what.to_owned()),
            Some(Fate { meant: Some(true), digest: wanted }) => {
                if wanted.is_some_and(|wanted| wanted != digest) {
                    self.violate("write_of_old_reading", what.to_owned());
                }
            }
        }
    }

    /// What shall become of something declared, by what the engine was told.
    fn fate(&self, now: &Scene<'_>, id: &ResourceId) -> Option<Fate> {
        let manifest = self.life.reading.as_ref().and_then(|it| it.manifests.get(id))?;
        let said = |word: &str| self.life.heard.said(now.config, word);
        Some(labels::fate(now.config, id, manifest, said))
    }

    fn judge_delete(
        &mut self,
        now: &Scene<'_>,
        op: OpId,
        id: &ResourceId,
        before: Option<&Revision>,
        what: &str,
    ) {
        let reading = self.life.reading.clone().unwrap_or_default();
        if !reading.is_whole() {
            self.violate("delete_while_source_in_doubt", what.to_owned());
        }
        match self.fate(now, id).map(|fate| fate.meant) {
            Some(Some(true)) => self.violate("delete_of_wanted", what.to_owned()),
            Some(None) => self.violate("unregistered_on_unknown", what.to_owned()),
            Some(Some(false)) | None => {}
        }
        let waited = self.life.unwanted.get(id).map(|since| now.at.saturating_sub(*since));
        if waited.is_none_or(|waited| waited < now.config.prune_delay) {
            self.violate("delete_too_early", what.to_owned());
        }
        if self.life.looks.remove(id) != Some(Look(true, before.cloned())) {
            self.violate("delete_without_look", what.to_owned());
        }
        match self.open.get(&op).map(|intent| intent.approval.clone()) {
            Some(Some(hash)) => {
                let given = self.approvals.given.get(&hash);
                if given.is_none_or(|given| given.expires < now.intended) {
                    self.violate("approval_invented", what.to_owned());
                }
            }
            Some(None) => self.judge_limits(now, op, &reading, id, what),
            None => {}
        }
    }

    fn judge_limits(
        &mut self,
        now: &Scene<'_>,
        op: OpId,
        reading: &Reading,
        id: &ResourceId,
        what: &str,
    ) {
        let policy = &now.config.policy;
        if policy.confirm.contains(&id.kind) {
            self.violate("confirm_bypassed", what.to_owned());
        }
        if reading.manifests.is_empty() {
            self.violate("empty_source_bypassed", what.to_owned());
        }
        let percent = usize::try_from(policy.max_delete_percent).unwrap_or(100);
        let (deletes, managed) = self.limits.count(now, op, id);
        if deletes > policy.max_delete_free.max(managed * percent / 100) {
            self.violate("guard_exceeded", format!("{what}: {deletes} of {managed}"));
        }
    }

    /// The server did what we sent.
    pub(super) fn committed(&mut self, at: Duration, op: OpId, step: &Step) {
        if let Some(intent) = self.open.get_mut(&op) {
            intent.proven = true;
        }
        match step.action.verb() {
            Verb::Create => {
                self.ours.insert(step.id.clone());
                self.created.insert(step.id.clone(), at);
            }
            Verb::Update | Verb::Adopt => {
                self.ours.insert(step.id.clone());
            }
            Verb::Delete => {
                self.created.remove(&step.id);
                self.made.remove(&step.id);
            }
        }
    }

    /// Somebody else removed or replaced it.
    pub(super) fn taken(&mut self, id: &ResourceId, version: Option<Version>) {
        self.created.remove(id);
        self.made.remove(id);
        self.update_needed(id);
        self.approvals.taken(id, version);
    }
}

pub(super) fn masked(live: &Live) -> String {
    match (kind::row(live.id.kind), Value::from_json(&live.canonical)) {
        (Some(kind), Ok(value)) => canonical::mask_of(&live.id, kind, value, &super::KEY).to_json(),
        (None, _) | (_, Err(_)) => String::new(),
    }
}

fn shows_secret(text: &str) -> bool {
    text.contains(SECRET) || text.contains(SECRET_BASE64)
}
