//! What a person approved, and what was begun without asking.
//!
//! An approved set is recorded as a whole, in the transaction that uses its approval up; its
//! steps then go one by one, whatever is planned meanwhile, each with the last look of every
//! delete. One that cannot go (the manifest is back, the server refuses) lets go of its intent
//! and keeps its grant: the next plan takes it up again without asking.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::condition::{Approved, Checking, Condition};
use super::config::{MAX_IN_FLIGHT, Planted};
use super::machine::Engine;
use super::write::Turn;
use crate::journal::{OpId, Outcome};
use crate::kind;
use crate::model::{Digest, ResourceId, Timestamp, Value};
use crate::plan::guard::{Begun, Guard, Held};
use crate::plan::{Action, Plan, Step};

/// A delete that a person let through and that is not done yet.
#[derive(Debug, Clone)]
pub(super) struct Grant {
    /// Hash of the set that it was approved with.
    pub hash: String,
    /// Until when, by the calendar.
    pub expires: Timestamp,
    /// Until when, monotonic: a calendar that is set back does not make it last longer.
    pub until: Duration,
    /// The content that the person saw.
    pub digest: Digest,
}

/// What the guards go by beyond one plan.
#[derive(Debug, Default)]
pub(super) struct Allowance {
    /// Deletes that nobody approved, by operation: of what, and until when they count, monotonic.
    pub begun: BTreeMap<OpId, (ResourceId, Duration)>,
    /// Approved and not done.
    pub grants: BTreeMap<ResourceId, Grant>,
    /// Approved, recorded and not begun, in the plan's order.
    pub queue: VecDeque<ResourceId>,
}

impl Engine {
    /// What counts beside the next plan.
    pub(super) fn begun(&mut self) -> Begun {
        let (now, wall) = (self.now.monotonic, self.now.wall);
        let inventory = &self.journal.inventory;
        self.allowance.begun.retain(|_, (_, until)| *until > now);
        let is_open = |id: &ResourceId, grant: &Grant| {
            inventory.contains_key(id) && grant.expires > wall && grant.until > now
        };
        self.allowance.grants.retain(|id, grant| is_open(id, grant));
        let looking = self.in_flight.iter().filter(|id| {
            let condition = self.slots.get(*id).map(|slot| &slot.condition);
            matches!(condition, Some(Condition::Checking(it)) if it.approval.is_none()
                && matches!(it.step.action, Action::Delete { before: _ }))
        });
        let begun = self.allowance.begun.values().map(|(id, _)| id);
        let deletes: BTreeSet<ResourceId> = begun.chain(looking).cloned().collect();
        if self.planted(Planted::ForgetDeletes) {
            return Begun::default();
        }
        let forget = self.planted(Planted::ForgetGrants);
        let grants = self.allowance.grants.iter();
        let grants = grants.filter(|_| !forget);
        let granted = grants.map(|(id, grant)| (id.clone(), grant.digest)).collect();
        Begun {
            gone: deletes.iter().filter(|id| !inventory.contains_key(*id)).count(),
            deletes,
            granted,
        }
    }

    /// A delete that nobody approved counts from now on.
    pub(super) fn count_delete(&mut self, op: OpId, id: &ResourceId) {
        let until = self.now.monotonic + self.config.resync;
        self.allowance.begun.insert(op, (id.clone(), until));
    }

    /// What earlier lives deleted without asking counts on.
    pub(super) fn count_earlier_deletes(&mut self) {
        if self.planted(Planted::ForgetAtStart) {
            return;
        }
        let now = self.now;
        for (op, id, left) in self.journal.deleted_within(self.config.resync, now.wall) {
            self.allowance.begun.insert(op, (id, now.monotonic + left));
        }
    }

    /// Plans again when the oldest of the counted deletes does not count any more.
    pub(super) fn wait_for_allowance(&mut self, held: &[Held]) {
        let waits = held.iter().any(|it| match it.guard {
            Guard::DeleteShare { deletes: _, before, allowed: _ } => before > 0,
            Guard::EmptySource | Guard::Confirm | Guard::PruneDelay => false,
        });
        let first = self.allowance.begun.values().map(|(_, until)| *until).min();
        if let Some(first) = first.filter(|_| waits) {
            self.clocks.plan_by(first);
        }
    }

    /// Records the intents of an approved set, all at once. Nothing else may come between: what
    /// one event adds to the journal goes there in one transaction.
    pub(super) fn intend_approved(
        &mut self,
        plan: &Plan,
        hash: &str,
        ids: &[ResourceId],
        run: u64,
    ) {
        let Some(expires) = self.journal.approvals.get(hash).copied() else { return };
        let most = if self.planted(Planted::SplitApproval) { 1 } else { ids.len() };
        for step in plan.steps.iter().filter(|step| ids.contains(&step.id)).take(most) {
            let Action::Delete { before } = &step.action else { continue };
            let id = step.id.clone();
            let until = self.now.monotonic + expires.since(self.now.wall);
            let grant = Grant { hash: hash.to_owned(), expires, until, digest: before.digest };
            self.allowance.grants.insert(id.clone(), grant);
            let step = Arc::new(step.clone());
            let op = self.record_intent(&step, run, Some(hash.to_owned()));
            self.to_journal.sends.push((op, id.clone()));
            let approved = Approved { op, step, run, valid: true, on_disk: false };
            self.put_slot(&id, Condition::Approved(approved), None);
            self.allowance.queue.push_back(id);
        }
    }

    /// Begins what was approved, in the plan's order, up to the limit.
    pub(super) fn pump_approved(&mut self) {
        let mut later = VecDeque::new();
        while self.in_flight.len() < MAX_IN_FLIGHT
            && let Some(id) = self.allowance.queue.pop_front()
        {
            let Some(Condition::Approved(approved)) =
                self.slots.get(&id).map(|slot| slot.condition.clone())
            else {
                continue;
            };
            match self.approved_turn(&approved) {
                Turn::Now => {
                    let Approved { op, step, run, valid, on_disk: _ } = approved;
                    let ticket = self.fetch(&id);
                    let approval = self.grant_of(&step);
                    let checking =
                        Checking { ticket, step, run, approval, valid, intended: Some(op) };
                    self.put_slot(&id, Condition::Checking(checking), None);
                }
                Turn::Later => later.push_back(id),
                Turn::Never => {
                    self.record_outcome(approved.op, Outcome::NotDone);
                    self.give_up(&id);
                }
            }
        }
        while let Some(id) = later.pop_back() {
            self.allowance.queue.push_front(id);
        }
    }

    /// The approval that lets a step through, if it needs one.
    pub(super) fn grant_of(&self, step: &Step) -> Option<String> {
        let Action::Delete { before } = &step.action else { return None };
        let grant = self.allowance.grants.get(&step.id);
        grant.filter(|it| it.digest == before.digest).map(|it| it.hash.clone())
    }

    fn approved_turn(&self, approved: &Approved) -> Turn {
        let step = &approved.step;
        if !approved.valid || !self.still_holds(step) {
            return Turn::Never;
        }
        // What was approved waits for the source's next word; it is not asked about again.
        if !self.source_is_quiet(&step.id) {
            return Turn::Later;
        }
        if !self.may_delete(&step.id) {
            return Turn::Never;
        }
        let is_coming = |id: &ResourceId| {
            self.busy.contains(id) || self.queue.iter().any(|queued| queued.id == *id)
        };
        if !approved.on_disk || step.after.iter().any(is_coming) {
            Turn::Later
        } else if step.after.iter().any(|first| self.refers(first, &step.id)) {
            Turn::Never
        } else {
            Turn::Now
        }
    }

    /// Whether, as far as known, one resource refers to another of its cluster.
    pub(super) fn refers(&self, from: &ResourceId, to: &ResourceId) -> bool {
        let Some(live) = self.live.state.look(from).present() else { return false };
        let Some(row) = kind::row(from.kind) else { return true };
        let Some(references) = row.references else { return false };
        Value::from_json(&live.canonical).map_or(true, |value| {
            references(&value).iter().any(|target| target.kind == to.kind && target.name == to.name)
        })
    }

    /// The program ends: what was approved and not begun stays undone.
    pub(super) fn drop_approved(&mut self) {
        for id in std::mem::take(&mut self.allowance.queue) {
            if let Some(Condition::Approved(approved)) =
                self.slots.get(&id).map(|slot| slot.condition.clone())
            {
                self.record_outcome(approved.op, Outcome::NotDone);
                self.put_slot(&id, Condition::Idle, None);
            }
        }
    }
}
