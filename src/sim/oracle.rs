//! Judges what the engine does, from the truth and from what the engine was told.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::source::{SECRET, SECRET_BASE64, universe};
use crate::engine::{Config, Event, SETTLE_DEADLINE};
use crate::journal::{OpId, Outcome, Record, State};
use crate::kind;
use crate::live::Coverage;
use crate::manifest::Reading;
use crate::model::{KindName, ResourceId, Revision, Timestamp};
use crate::plan::{Action, Step, Verb};

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
    /// Approvals that a person gave, with expiry.
    pub approved: BTreeMap<String, Timestamp>,
    /// Deletes without approval per run.
    pub deletes: BTreeMap<u64, usize>,
    /// The approval of each intent.
    intents: BTreeMap<OpId, (u64, Option<String>)>,
    ids: BTreeMap<OpId, ResourceId>,
    /// Of this life of the engine.
    pub life: Told,
}

/// What the last read said: whether it was there, and its revision.
#[derive(Debug, PartialEq, Eq)]
struct Look(bool, Option<Revision>);

/// What one life of the engine was told.
#[derive(Debug, Default)]
pub(super) struct Told {
    reading: Option<Arc<Reading>>,
    /// Since when each resource is unwanted by whole readings.
    unwanted: BTreeMap<ResourceId, Duration>,
    partial: BTreeMap<KindName, bool>,
    /// What the last read said of each: its revision.
    looks: BTreeMap<ResourceId, Look>,
    in_flight: BTreeMap<OpId, ResourceId>,
    disk_failed: bool,
    watching: bool,
}

impl Oracle {
    pub(super) fn violate(&mut self, name: &'static str, detail: String) {
        self.violations.push(Violation { name, detail });
    }

    /// The engine is about to be told this.
    pub(super) fn told(&mut self, now: Duration, event: &Event) {
        match event {
            Event::SourceRead(Ok(reading)) => self.told_reading(now, reading),
            Event::Listed { kind, observed, .. } => {
                let partial = matches!(observed.coverage(), Coverage::Partial(_));
                self.life.partial.insert(*kind, partial);
            }
            Event::WatchOpened(_) => self.life.watching = true,
            // A watch that was not open did not tell of anything.
            Event::WatchLost(_) if !std::mem::take(&mut self.life.watching) => {}
            Event::WatchLost(_) => {
                for kind in kind::KINDS {
                    if matches!(kind.follow, kind::Follow::Watch(_)) {
                        self.life.partial.insert(kind.name, true);
                    }
                }
            }
            Event::Fetched { id, result: Ok(seen), .. } => {
                let look =
                    Look(seen.is_some(), seen.as_ref().and_then(|live| live.revision.clone()));
                self.life.looks.insert(id.clone(), look);
            }
            Event::Wrote { op, .. } => {
                self.life.in_flight.remove(op);
            }
            Event::JournalFailed(_) => self.life.disk_failed = true,
            Event::Fetched { .. }
            | Event::Started(_)
            | Event::Deadline
            | Event::SourceChanged
            | Event::SourceRead(Err(_))
            | Event::Put(_)
            | Event::Gone(_)
            | Event::Journaled(_)
            | Event::Approve { .. }
            | Event::Stop => {}
        }
    }

    fn told_reading(&mut self, now: Duration, reading: &Arc<Reading>) {
        let life = &mut self.life;
        if !reading.is_whole() {
            life.unwanted.clear();
        }
        life.unwanted.retain(|id, _| !reading.manifests.contains_key(id));
        if reading.is_whole() {
            for id in universe().into_iter().filter(|id| !reading.manifests.contains_key(id)) {
                life.unwanted.entry(id).or_insert(now);
            }
        }
        life.reading = Some(Arc::clone(reading));
    }

    /// Records reached the disk.
    pub(super) fn on_disk(&mut self, records: &[Record]) {
        for record in records {
            if shows_secret(&format!("{record:?}")) {
                self.violate("secret_shown", "in a record".to_owned());
            }
            match record {
                Record::Adopted { id, .. } => {
                    self.ours.extend(crate::journal::parse_id(id));
                }
                Record::Intended { op, run, id, approval, .. } => {
                    self.intents.insert(*op, (run.0, approval.clone()));
                    self.ids.extend(crate::journal::parse_id(id).map(|id| (*op, id)));
                }
                Record::Settled { op, outcome: Outcome::Done { .. }, .. } => {
                    // Without labels nobody can tell whose an equal resource is that a lost
                    // create finds; it counts as adopted.
                    self.ours.extend(self.ids.get(op).filter(|id| !keeps_labels(id)).cloned());
                }
                Record::Settled { .. } | Record::Forgotten { .. } | Record::Approved { .. } => {}
            }
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
        let partial = self.life.partial.get(&id.kind).copied().unwrap_or(true);
        if partial && verb != Verb::Update {
            self.violate("write_on_partial", what.clone());
        }
        match &step.action {
            Action::Create { after } => {
                self.judge_wanted(step, after.digest, &what);
                if now.present
                    && let Some(at) = self.created.get(id)
                    && now.at.saturating_sub(*at) < SETTLE_DEADLINE
                {
                    self.violate("created_twice", what);
                }
            }
            Action::Update { before: _, after, changes: _ } => {
                self.judge_wanted(step, after.digest, &what);
            }
            Action::Adopt { .. } => self.violate("adopt_sent", what),
            Action::Delete { before } => {
                self.judge_delete(now, op, id, before.revision.as_ref(), &what);
                self.judge_owner(before, &what);
            }
        }
    }

    fn judge_owner(&mut self, before: &crate::live::Live, what: &str) {
        let keeps = keeps_labels(&before.id);
        let marked = before.owner.as_deref() == Some(super::AGENT);
        if (keeps && !marked) || !self.ours.contains(&before.id) {
            self.violate("delete_not_ours", what.to_owned());
        }
    }

    fn judge_wanted(&mut self, step: &Step, digest: crate::model::Digest, what: &str) {
        let wanted = self.life.reading.as_ref().and_then(|it| it.manifests.get(&step.id));
        if wanted.is_none_or(|manifest| manifest.resource.digest != digest) {
            self.violate("write_of_old_reading", what.to_owned());
        }
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
        if reading.manifests.contains_key(id) {
            self.violate("delete_of_wanted", what.to_owned());
        }
        let waited = self.life.unwanted.get(id).map(|since| now.at.saturating_sub(*since));
        if waited.is_none_or(|waited| waited < now.config.prune_delay) {
            self.violate("delete_too_early", what.to_owned());
        }
        if self.life.looks.remove(id) != Some(Look(true, before.cloned())) {
            self.violate("delete_without_look", what.to_owned());
        }
        let Some((run, approval)) = self.intents.get(&op).cloned() else { return };
        match approval {
            Some(hash) => {
                if self.approved.get(&hash).is_none_or(|expires| *expires < now.intended) {
                    self.violate("approval_invented", what.to_owned());
                }
            }
            None => self.judge_limits(now, &reading, id, run, what),
        }
    }

    fn judge_limits(
        &mut self,
        now: &Scene<'_>,
        reading: &Reading,
        id: &ResourceId,
        run: u64,
        what: &str,
    ) {
        let policy = &now.config.policy;
        if policy.confirm.contains(&id.kind) {
            self.violate("confirm_bypassed", what.to_owned());
        }
        if reading.manifests.is_empty() {
            self.violate("empty_source_bypassed", what.to_owned());
        }
        let count = self.deletes.entry(run).or_default();
        *count += 1;
        let deletes = *count;
        let managed = now.disk.inventory.len() + deletes;
        let percent = usize::try_from(policy.max_delete_percent).unwrap_or(100);
        if deletes > policy.max_delete_free.max(managed * percent / 100) {
            self.violate("guard_exceeded", what.to_owned());
        }
    }

    /// The server did what we sent.
    pub(super) fn committed(&mut self, at: Duration, step: &Step) {
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
            }
        }
    }

    /// Somebody else removed or replaced it.
    pub(super) fn taken(&mut self, id: &ResourceId) {
        self.created.remove(id);
    }
}

/// The moment at which a write is sent.
#[derive(Debug)]
pub(super) struct Scene<'a> {
    pub at: Duration,
    /// When approvals are judged: a minute of grace for what was under way.
    pub intended: Timestamp,
    pub disk: &'a State,
    pub config: &'a Config,
    /// Whether the server has it.
    pub present: bool,
}

fn keeps_labels(id: &ResourceId) -> bool {
    kind::row(id.kind).is_some_and(|kind| kind.keeps_labels)
}

fn shows_secret(text: &str) -> bool {
    text.contains(SECRET) || text.contains(SECRET_BASE64)
}
