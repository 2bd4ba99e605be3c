//! The way of one write: last look, intent on disk, sent.

use std::collections::VecDeque;
use std::sync::Arc;

use super::condition::{Checking, Condition, Sending};
use super::config::{MAX_IN_FLIGHT, Outcome, Planted};
use super::machine::{Batch, Engine, Life};
use super::{Effect, Level};
use crate::journal::{self, OpId, Record, RunId};
use crate::kind::{self, Writes};
use crate::model::{ResourceId, Verb};
use crate::plan::{Action, Step};

/// Whether a step may begin.
pub(super) enum Turn {
    Now,
    Later,
    Never,
}

impl Engine {
    /// Begins what may begin, in the plan's order, up to the limit.
    pub(super) fn pump(&mut self) {
        if self.life != Life::Running {
            return;
        }
        self.pump_approved();
        let was_queued = !self.queue.is_empty();
        let mut later = VecDeque::new();
        while self.in_flight.len() < MAX_IN_FLIGHT
            && let Some(step) = self.queue.pop_front()
        {
            match self.turn(&step) {
                Turn::Now => self.begin(step),
                Turn::Later => later.push_back(step),
                Turn::Never => {
                    self.open.remove(&step.id);
                }
            }
        }
        let is_over = later.is_empty() && self.queue.is_empty() && was_queued;
        while let Some(step) = later.pop_back() {
            self.queue.push_front(step);
        }
        if is_over && self.planned.as_ref().is_some_and(|it| it.begun) {
            self.quiet();
        }
    }

    fn turn(&mut self, step: &Step) -> Turn {
        if let Some(slot) = self.slots.get(&step.id) {
            match slot.condition {
                Condition::Idle => {}
                Condition::Settling(_) if self.planted(Planted::PlanSettling) => {}
                Condition::Writing(_) | Condition::Settling(_)
                    if self.planted(Planted::TwoAtOnce) => {}
                Condition::Approved(_)
                | Condition::Checking(_)
                | Condition::Intending(_)
                | Condition::Writing(_)
                | Condition::Settling(_)
                | Condition::InDoubt(_)
                | Condition::BackingOff(_) => return Turn::Never,
            }
        }
        let (mut later, mut never) = (false, false);
        let is_delete = step.action.verb() == Verb::Delete;
        for needed in &step.after {
            if self.finished.contains(needed) {
                // As good as it gets may still refer to what is to go.
                never |= is_delete && self.refers(needed, &step.id);
            } else {
                later |= self.open.contains(needed);
                never |= !self.open.contains(needed);
            }
        }
        if !self.planted(Planted::KeepStalePlan) && !self.still_holds(step) {
            self.replan();
            return Turn::Never;
        }
        match (never || self.waits_for_catch_up(step), later) {
            (true, _) => Turn::Never,
            (false, true) => Turn::Later,
            (false, false) => Turn::Now,
        }
    }

    fn begin(&mut self, step: Arc<Step>) {
        let run = self.planned.as_ref().map_or(self.journal.next_run, |it| it.run);
        if let Some(planned) = &mut self.planned {
            planned.begun = true;
        }
        let approval = self.grant_of(&step);
        if let Action::Adopt { live: _, after } = &step.action {
            let entry = self.entry(&step, after, true);
            let text = format!("adopted {} ({})", step.id, step.because());
            self.say(Level::Info, Some(&step.id), text);
            let id = step.id.to_string();
            self.record(Record::Adopted { id, entry, at: self.now.wall });
            self.finish(&step.id);
        } else if needs_look(&step) && !self.planted(Planted::NoLookBeforeDelete) {
            let id = step.id.clone();
            let ticket = self.fetch(&id);
            let checking = Checking { ticket, step, run, approval, valid: true, intended: None };
            self.put_slot(&id, Condition::Checking(checking), None);
        } else {
            self.intend(step, run, approval);
        }
    }

    /// Reads one resource.
    pub(super) fn fetch(&mut self, id: &ResourceId) -> u64 {
        let ticket = self.ticket();
        self.fetching.insert(ticket, (id.clone(), false));
        self.out.push(Effect::Fetch { ticket, id: id.clone() });
        ticket
    }

    /// The last look is over: the intent goes to the disk.
    pub(super) fn intend(&mut self, step: Arc<Step>, run: u64, approval: Option<String>) {
        let op = self.record_intent(&step, run, approval);
        let id = step.id.clone();
        self.to_journal.sends.push((op, id.clone()));
        if self.planted(Planted::WriteBeforeIntent) {
            self.out.push(Effect::Write { op, step: Arc::clone(&step) });
        }
        let sending = Sending { op, step, valid: true };
        self.put_slot(&id, Condition::Intending(sending), None);
    }

    /// Puts the intent in line for the disk.
    pub(super) fn record_intent(
        &mut self,
        step: &Step,
        run: u64,
        approval: Option<String>,
    ) -> OpId {
        let op = OpId(self.journal.next_op);
        let (before, entry) = match &step.action {
            Action::Create { after } | Action::Adopt { live: _, after } => {
                (None, Some(self.entry(step, after, false)))
            }
            Action::Update { before, after, changes: _ } => {
                (before.revision.as_ref(), Some(self.entry(step, after, true)))
            }
            Action::Delete { before } => (before.revision.as_ref(), None),
        };
        if step.action.verb() == Verb::Delete && approval.is_none() {
            self.count_delete(op, &step.id);
        }
        let record = Record::Intended {
            op,
            run: RunId(run),
            id: step.id.to_string(),
            verb: step.action.verb(),
            reason: step.because(),
            before: before.map(|revision| revision.0.clone()),
            entry,
            approval,
            at: self.now.wall,
        };
        self.record(record);
        op
    }

    /// Takes a record into the state and puts it in line for the disk. Memory may run ahead of
    /// the disk: if the disk fails nothing more is sent, and the next life starts from the disk.
    pub(super) fn record(&mut self, record: Record) {
        self.journal.apply(&record);
        self.to_journal.records.push(record);
    }

    /// Sends the next batch to the disk, if none is on its way.
    pub(super) fn flush(&mut self) {
        if self.journaling.is_some()
            || self.to_journal.records.is_empty()
            || self.outcome == Outcome::StorageFailed
        {
            return;
        }
        let ticket = self.ticket();
        let batch = std::mem::take(&mut self.to_journal);
        self.out.push(Effect::Journal { ticket, records: batch.records.clone() });
        self.journaling = Some((ticket, batch));
    }

    pub(super) fn journaled(&mut self, ticket: u64) {
        if self.journaling.as_ref().is_none_or(|(waited, _)| *waited != ticket) {
            return;
        }
        let Some((_, batch)) = self.journaling.take() else { return };
        let Batch { records: _, sends, requests } = batch;
        for (op, id) in sends {
            self.intended(op, &id);
        }
        for (request, text) in requests {
            self.out.push(Effect::Answer { request, text: Ok(text) });
            self.replan();
        }
    }

    /// The intent is on disk: sends the write, or lets it have its turn.
    fn intended(&mut self, op: OpId, id: &ResourceId) {
        match self.slots.get_mut(id).map(|slot| &mut slot.condition) {
            Some(Condition::Approved(approved)) if approved.op == op => approved.on_disk = true,
            Some(Condition::Intending(sending)) if sending.op == op => {
                let sending = sending.clone();
                self.send(id, sending);
            }
            Some(
                Condition::Idle
                | Condition::Approved(_)
                | Condition::Checking(_)
                | Condition::Intending(_)
                | Condition::Writing(_)
                | Condition::Settling(_)
                | Condition::InDoubt(_)
                | Condition::BackingOff(_),
            )
            | None => {}
        }
    }

    /// Sends a write if it is still right to.
    pub(super) fn send(&mut self, id: &ResourceId, sending: Sending) {
        let op = sending.op;
        let is_delete = matches!(sending.step.action, Action::Delete { before: _ });
        let right = self.planted(Planted::KeepStalePlan)
            || (sending.valid
                && self.still_holds(&sending.step)
                && (!is_delete || self.planted(Planted::NoPruneDelay) || self.may_delete(id)));
        if self.life == Life::Running && right {
            if !self.planted(Planted::WriteBeforeIntent) {
                self.out.push(Effect::Write { op, step: Arc::clone(&sending.step) });
            }
            self.writing.insert(op, id.clone());
            self.put_slot(id, Condition::Writing(sending), None);
        } else {
            self.record_outcome(op, journal::Outcome::NotDone);
            self.give_up(id);
        }
    }

    pub(super) fn record_outcome(&mut self, op: OpId, outcome: journal::Outcome) {
        match &outcome {
            journal::Outcome::Done { revision: _ } => {}
            // It deleted nothing.
            journal::Outcome::Refused { error: _ } | journal::Outcome::NotDone => {
                self.allowance.begun.remove(&op);
            }
        }
        self.record(Record::Settled { op, outcome, at: self.now.wall });
    }

    /// Lets a step go that is not right any more; the next plan knows better.
    pub(super) fn give_up(&mut self, id: &ResourceId) {
        self.open.remove(id);
        self.put_slot(id, Condition::Idle, None);
        self.replan();
    }

    pub(super) fn journal_failed(&mut self, error: &str) {
        let text = format!("the journal cannot be written, so nothing is: {error}");
        self.say(Level::Error, None, text);
        let lost = self.journaling.take().map(|(_, batch)| batch.requests).unwrap_or_default();
        for (request, _) in lost.into_iter().chain(std::mem::take(&mut self.to_journal).requests) {
            let text = Err("the journal cannot be written".to_owned());
            self.out.push(Effect::Answer { request, text });
        }
        self.stop(Outcome::StorageFailed);
        self.outcome = Outcome::StorageFailed;
        // What was to be sent never will be.
        let unsent: Vec<ResourceId> = self
            .in_flight
            .iter()
            .filter(|id| !self.writing.values().any(|writing| writing == *id))
            .cloned()
            .collect();
        for id in unsent {
            self.put_slot(&id, Condition::Idle, None);
        }
    }
}

/// Deletes carry no revision, and some kinds' updates ignore it: those look again just before.
fn needs_look(step: &Step) -> bool {
    match step.action.verb() {
        Verb::Create | Verb::Adopt => false,
        Verb::Delete => true,
        Verb::Update => kind::row(step.id.kind)
            .is_none_or(|kind| matches!(kind.writes, Writes::LastWriterWins | Writes::Immutable)),
    }
}
