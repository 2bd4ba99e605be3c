//! What came of a write, and of the look before it.

use std::sync::Arc;

use super::Level;
use super::condition::{
    BackingOff, Checking, Condition, Doubt, Refused, Sending, Settling, Want, backoff,
    refused_backoff,
};
use super::config::{DOUBT_DEADLINE, Planted, READ_FIRST, READ_WATCHED, RETRY_FIRST, RETRY_MAX};
use super::live::Change;
use super::machine::{Engine, Life};
use crate::journal::{OpId, Outcome, parse_id};
use crate::kind;
use crate::live::Written;
use crate::model::{Live, ResourceId, Value, Verb};
use crate::plan::{Action, Step};
use crate::port::{CallCode, CallError};

impl Engine {
    pub(super) fn wrote(&mut self, op: OpId, result: Result<Written, CallError>) {
        let Some(id) = self.writing.remove(&op) else { return };
        let Some(Condition::Writing(sending)) =
            self.slots.get(&id).map(|slot| slot.condition.clone())
        else {
            return;
        };
        match result {
            Ok(written) => {
                let revision = written.revision.as_ref().map(|it| it.0.clone());
                self.record_outcome(op, Outcome::Done { revision });
                self.say_done(&sending.step);
                self.remember_write(&sending.step);
                self.settling(&id, want(&sending.step, Some(&written)), true);
            }
            Err(error) => self.write_failed(op, &sending.step, &error),
        }
    }

    fn say_done(&mut self, step: &Step) {
        let done = match step.action.verb() {
            Verb::Create => "created",
            Verb::Update => "updated",
            Verb::Adopt => "adopted",
            Verb::Delete => "deleted",
        };
        let mut text = format!("{done} {} ({})", step.id, step.because());
        if self.planted(Planted::SayContent)
            && let Action::Create { after } = &step.action
        {
            text.push_str(&after.canonical);
        }
        self.said.remove(&step.id);
        self.say(Level::Info, Some(&step.id), text);
        if let Some(slot) = self.slots.get_mut(&step.id) {
            slot.failures = 0;
            slot.error = None;
        }
    }

    fn write_failed(&mut self, op: OpId, step: &Arc<Step>, error: &CallError) {
        let id = &step.id;
        match error.code {
            CallCode::NoAnswer | CallCode::Unknown | CallCode::Internal
                if !self.planted(Planted::DoubtIsFailure) =>
            {
                self.doubt(id, op, step, error);
                return;
            }
            CallCode::NoAnswer
            | CallCode::Unknown
            | CallCode::Internal
            | CallCode::InvalidArgument
            | CallCode::NotFound
            | CallCode::AlreadyExists
            | CallCode::PermissionDenied
            | CallCode::ResourceExhausted
            | CallCode::FailedPrecondition
            | CallCode::Unimplemented
            | CallCode::Unavailable
            | CallCode::Barred => {}
        }
        let said = self.hide(step, &error.to_string());
        self.record_outcome(op, Outcome::Refused { error: said });
        let told = self.told(step, error);
        let wanted = match &step.action {
            Action::Create { after }
            | Action::Update { before: _, after, changes: _ }
            | Action::Adopt { live: _, after } => Some(after.digest),
            Action::Delete { before: _ } => None,
        };
        match error.code {
            CallCode::InvalidArgument | CallCode::PermissionDenied | CallCode::Unimplemented => {
                self.fail(id, &told, Some(Refused(wanted)));
            }
            CallCode::NotFound => self.look_why(id, &told, Want::Gone),
            CallCode::AlreadyExists => self.look_why(id, &told, Want::Present),
            CallCode::FailedPrecondition => {
                self.look_why(id, &told, Want::Moved(revision_of(step)));
            }
            CallCode::ResourceExhausted
            | CallCode::Unavailable
            | CallCode::Barred
            | CallCode::NoAnswer
            | CallCode::Unknown
            | CallCode::Internal => self.fail(id, &told, None),
        }
    }

    /// Backs off; `refused`: until the author changes what was wanted.
    pub(super) fn fail(&mut self, id: &ResourceId, text: &str, refused: Option<Refused>) {
        let failures = self.count_failure(id, text);
        let jitter = self.rng.f64();
        let delay = match refused {
            Some(_) => refused_backoff(jitter),
            None => backoff(RETRY_FIRST, RETRY_MAX, failures, jitter),
        };
        let until = self.now.monotonic + delay;
        self.open.remove(id);
        let waiting = BackingOff { until, refused };
        self.put_slot(id, Condition::BackingOff(waiting), Some(until));
        self.quiet();
    }

    fn count_failure(&mut self, id: &ResourceId, text: &str) -> u32 {
        let slot = self.slots.entry(id.clone()).or_default();
        slot.failures = slot.failures.saturating_add(1);
        slot.error = Some(text.to_owned());
        let failures = slot.failures;
        self.say_once(Level::Warn, id, format!("{id}: {text}"));
        failures
    }

    /// The server knows something that our reads have not shown yet: waits until they do.
    fn look_why(&mut self, id: &ResourceId, text: &str, want: Want) {
        self.count_failure(id, text);
        self.open.remove(id);
        self.settling(id, want, false);
        self.list_by(&(id.cluster.clone(), id.kind), self.now.monotonic + READ_FIRST);
    }

    /// From now on the resource is settling, unless what is known already shows it.
    fn settling(&mut self, id: &ResourceId, want: Want, done: bool) {
        let now = self.now.monotonic;
        let settling =
            Settling { want, since: now, after: self.next_ticket, reads: 0, ticket: None, done };
        let first = if self.live.is_followed(id) { READ_WATCHED } else { READ_FIRST };
        self.put_slot(id, Condition::Settling(settling), Some(now + first));
        if self.live.state.look(id).present().is_some() {
            self.settle_seen(id);
        } else if self.live.is_followed(id) {
            self.settle_gone(id);
        }
    }

    /// Nobody knows whether the write happened: reads back.
    fn doubt(&mut self, id: &ResourceId, op: OpId, step: &Step, error: &CallError) {
        let text = self.told(step, error);
        let doubt = Doubt {
            op,
            verb: step.action.verb(),
            want: want(step, None),
            since: self.now.monotonic,
            reads: 0,
            ticket: None,
            error: text.clone(),
        };
        self.say_once(Level::Warn, id, format!("{id}: {text}"));
        let wake = self.now.monotonic + READ_FIRST;
        self.put_slot(id, Condition::InDoubt(doubt), Some(wake));
    }

    /// What an earlier life left in doubt.
    pub(super) fn reopen_doubts(&mut self) {
        let now = self.now.monotonic;
        let open: Vec<_> = self.journal.open.iter().map(|(op, open)| (*op, open.clone())).collect();
        for (op, open) in open {
            let Some(id) = parse_id(&open.id) else { continue };
            let want = open.entry.map_or(Want::Gone, Want::Applied);
            let error = format!("it is not known whether the last {} happened", open.verb);
            self.say(Level::Warn, Some(&id), format!("{id}: {error}; reading back"));
            let (verb, since) = (open.verb, now);
            if verb == Verb::Delete && !open.approved {
                self.count_delete(op, &id);
            }
            let doubt = Doubt { op, verb, want, since, reads: 0, ticket: None, error };
            self.put_slot(&id, Condition::InDoubt(doubt), Some(now));
        }
    }

    pub(super) fn fetched(
        &mut self,
        ticket: u64,
        id: &ResourceId,
        result: Result<Option<Live>, CallError>,
    ) {
        let Some((_, superseded)) = self.fetching.remove(&ticket) else { return };
        let Some(condition) = self.slots.get(id).map(|slot| slot.condition.clone()) else {
            return;
        };
        let is_answer = match &condition {
            Condition::Checking(checking) => checking.ticket == ticket,
            Condition::Settling(settling) => settling.ticket == Some(ticket),
            Condition::InDoubt(doubt) => doubt.ticket == Some(ticket),
            Condition::Idle
            | Condition::Approved(_)
            | Condition::Intending(_)
            | Condition::Writing(_)
            | Condition::BackingOff(_) => false,
        };
        if !is_answer {
            return;
        }
        let result = result.map(|live| live.map(|live| self.veiled_live(live)));
        let news = match &result {
            Ok(Some(live)) => Some(Change::Put(live.clone())),
            Ok(None) if proves_absence(&condition) => Some(Change::Gone(self.veiled_id(id))),
            Ok(None) | Err(_) => None,
        };
        if let Some(news) = news.filter(|_| !superseded) {
            self.learn(news);
        }
        match condition {
            Condition::Checking(checking) => self.looked(id, checking, result.err(), superseded),
            Condition::Settling(_) => self.settling_read(id, &result, superseded),
            Condition::InDoubt(doubt) => self.doubt_read(id, &doubt, &result, superseded),
            Condition::Idle
            | Condition::Approved(_)
            | Condition::Intending(_)
            | Condition::Writing(_)
            | Condition::BackingOff(_) => {}
        }
    }

    /// The last look is over.
    fn looked(
        &mut self,
        id: &ResourceId,
        checking: Checking,
        error: Option<CallError>,
        superseded: bool,
    ) {
        let Checking { ticket: _, step, run, approval, valid, intended } = checking;
        let right = error.is_none()
            && self.life == Life::Running
            && valid
            && !superseded
            && self.still_holds(&step)
            && self.may_write(&step);
        match (right, intended) {
            (true, Some(op)) => self.send(id, Sending { op, step, valid }),
            (true, None) => self.intend(step, run, approval),
            (false, intended) => {
                if let Some(op) = intended {
                    self.record_outcome(op, Outcome::NotDone);
                }
                match error {
                    Some(error) => {
                        let text = self.hide(&step, &format!("cannot be read: {error}"));
                        self.fail(id, &text, None);
                    }
                    None => self.give_up(id),
                }
            }
        }
    }

    /// A text without the secrets of a step's resource: servers quote what they were sent.
    fn hide(&self, step: &Step, text: &str) -> String {
        if self.planted(Planted::TellErrors) {
            return text.to_owned();
        }
        let (before, after) = match &step.action {
            Action::Create { after } => (None, Some(after)),
            Action::Update { before, after, changes: _ }
            | Action::Adopt { live: before, after } => (Some(before), Some(after)),
            Action::Delete { before } => (Some(before), None),
        };
        let before = before.map(|live| &live.canonical);
        let all = before.into_iter().chain(after.map(|after| &after.canonical));
        let mut text = text.to_owned();
        for canonical in all {
            text = match (kind::row(step.id.kind), Value::from_json(canonical)) {
                (Some(kind), Ok(value)) => {
                    kind::hide::hide(&step.id, kind, &value, &self.key, &text)
                }
                (None, _) | (_, Err(_)) => "(not shown: it may quote a secret)".to_owned(),
            };
        }
        text
    }

    fn told(&self, step: &Step, error: &CallError) -> String {
        let what = self.hide(step, &format!("cannot {}: {error}", step.action.verb()));
        format!("{what}; {}", error.code.remedy())
    }

    fn may_write(&self, step: &Step) -> bool {
        match step.action.verb() {
            Verb::Create | Verb::Update | Verb::Adopt => true,
            Verb::Delete => self.planted(Planted::NoPruneDelay) || self.may_delete(&step.id),
        }
    }

    fn doubt_read(
        &mut self,
        id: &ResourceId,
        doubt: &Doubt,
        result: &Result<Option<Live>, CallError>,
        superseded: bool,
    ) {
        if let Some(slot) = self.slots.get_mut(id)
            && let Condition::InDoubt(doubt) = &mut slot.condition
        {
            doubt.ticket = None;
        }
        let Ok(seen) = result else { return };
        if superseded {
            return;
        }
        let shown = match seen {
            Some(live) => self.shows_done(doubt, live),
            None => matches!(doubt.want, Want::Gone),
        };
        if shown {
            let revision = seen.as_ref().and_then(|live| live.revision.clone());
            self.doubt_resolved(id, revision.map(|it| it.0));
        } else if self.now.monotonic.saturating_sub(doubt.since) >= DOUBT_DEADLINE {
            self.record_outcome(doubt.op, Outcome::NotDone);
            self.fail(id, &doubt.error.clone(), None);
        }
    }

    /// A read shows that the write in doubt happened.
    pub(super) fn doubt_resolved(&mut self, id: &ResourceId, revision: Option<String>) {
        let Some(Condition::InDoubt(doubt)) = self.slots.get(id).map(|slot| slot.condition.clone())
        else {
            return;
        };
        self.record_outcome(doubt.op, Outcome::Done { revision });
        self.said.remove(id);
        self.say(Level::Info, Some(id), format!("the {} of {id} did happen", doubt.verb));
        if let Some(slot) = self.slots.get_mut(id) {
            slot.failures = 0;
            slot.error = None;
        }
        self.finish(id);
    }
}

/// What a read must show once the step was done.
fn want(step: &Step, written: Option<&Written>) -> Want {
    match &step.action {
        Action::Create { after }
        | Action::Update { before: _, after, changes: _ }
        | Action::Adopt { live: _, after } => Want::Content {
            digest: after.digest,
            revision: written.and_then(|it| it.revision.clone()),
        },
        Action::Delete { before: _ } => Want::Gone,
    }
}

fn revision_of(step: &Step) -> Option<crate::model::Revision> {
    match &step.action {
        Action::Create { after: _ } => None,
        Action::Update { before, after: _, changes: _ }
        | Action::Adopt { live: before, after: _ }
        | Action::Delete { before } => before.revision.clone(),
    }
}

/// A `NotFound` says something only where nothing of ours may still be on its way.
fn proves_absence(condition: &Condition) -> bool {
    match condition {
        Condition::Checking(_) => true,
        Condition::InDoubt(doubt) => matches!(doubt.want, Want::Gone),
        Condition::Settling(settling) => matches!(settling.want, Want::Gone | Want::Moved(_)),
        Condition::Idle
        | Condition::Approved(_)
        | Condition::Intending(_)
        | Condition::Writing(_)
        | Condition::BackingOff(_) => false,
    }
}
