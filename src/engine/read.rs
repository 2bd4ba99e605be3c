//! Waiting until reads show what was written.

use std::time::Duration;

use super::Level;
use super::condition::{BackingOff, Condition, Doubt, Refused, Settling, Want, backoff};
use super::config::{
    MET_DEADLINE, ONCE_ATTEMPTS, Planted, READ_FIRST, READ_MAX, RETRY_FIRST, RETRY_MAX,
    SETTLE_DEADLINE,
};
use super::live::KindKey;
use super::machine::{Engine, Life};
use crate::kind;
use crate::model::{Live, ResourceId, Verb};
use crate::port::{CallCode, CallError};

/// Quiet time before planning after the last of many writes was seen: one plan for all.
const QUIET: Duration = Duration::from_millis(200);

/// What is told of a name that is taken by nothing that can be seen.
const NEVER_MET: &str = "; nothing of that name can be seen: it may be held by what was deleted \
                         lately, or be hidden from this identity; wait, or choose another name";

impl Engine {
    /// A slot's time has come.
    pub(super) fn wake(&mut self, id: &ResourceId) {
        let Some(slot) = self.slots.get_mut(id) else { return };
        slot.wake = None;
        match slot.condition.clone() {
            Condition::Settling(settling) => self.wake_settling(id, settling),
            Condition::InDoubt(mut doubt) => {
                doubt.reads = doubt.reads.saturating_add(1);
                let wake = self.read_again(doubt.reads);
                doubt.ticket = Some(self.fetch(id));
                self.put_slot(id, Condition::InDoubt(doubt), Some(wake));
            }
            Condition::BackingOff(_) => {
                if !self.planted(Planted::NoRetry) {
                    self.put_slot(id, Condition::Idle, None);
                    self.replan();
                }
            }
            Condition::Idle
            | Condition::Approved(_)
            | Condition::Checking(_)
            | Condition::Intending(_)
            | Condition::Writing(_) => {}
        }
    }

    fn read_again(&mut self, reads: u32) -> Duration {
        let jitter = self.rng.f64();
        self.now.monotonic + backoff(READ_FIRST, READ_MAX, reads, jitter)
    }

    fn wake_settling(&mut self, id: &ResourceId, mut settling: Settling) {
        let now = self.now.monotonic;
        let met = !settling.done && matches!(settling.want, Want::Present);
        let deadline = if met { MET_DEADLINE } else { SETTLE_DEADLINE };
        let over = now.saturating_sub(settling.since) >= deadline;
        // One read at least: it may say that the name is hidden.
        let asked = settling.reads > 0 && settling.ticket.is_none();
        if met && over && asked {
            return self.never_met(id);
        }
        if over && !met {
            self.list_by(&(id.cluster.clone(), id.kind), now);
            self.open.remove(id);
            if settling.done {
                self.said.remove(id);
                let seconds = SETTLE_DEADLINE.as_secs();
                let text = format!("{id}: what was written has not been seen for {seconds} s");
                self.say(Level::Warn, Some(id), text);
                self.put_slot(id, Condition::Idle, None);
                self.replan();
            } else {
                // Reads never showed why it was refused, which was said: not at once again.
                self.settled(id, &settling);
            }
            return;
        }
        settling.reads = settling.reads.saturating_add(1);
        let last = (settling.since + deadline).max(now + READ_FIRST);
        let wake = self.read_again(settling.reads).min(last);
        if matches!(settling.want, Want::Gone) {
            // Only a whole list begun later shows that something is gone.
            self.list_by(&(id.cluster.clone(), id.kind), now);
        } else {
            settling.ticket = Some(self.fetch(id));
        }
        self.put_slot(id, Condition::Settling(settling), Some(wake));
    }

    /// Whether a read shows this.
    pub(super) fn shows(&self, want: &Want, live: &Live) -> bool {
        let ours = self.is_marked(live);
        match want {
            Want::Content { digest, revision } => {
                (revision.is_some() && live.revision == *revision)
                    || (live.digest == *digest && ours)
            }
            Want::Applied(entry) => {
                ours && *self.masked(&live.id, &live.canonical) == *entry.applied
            }
            Want::Gone => false,
            Want::Present => true,
            Want::Moved(revision) => live.revision != *revision,
        }
    }

    /// Whether a read shows that an operation in doubt happened. What bears our mark after a create
    /// was made by it, whatever has become of it since: else it would be nobody's.
    pub(super) fn shows_done(&self, doubt: &Doubt, live: &Live) -> bool {
        let keeps = kind::row(live.id.kind).is_some_and(|kind| kind.keeps_labels);
        self.shows(&doubt.want, live) || doubt.verb == Verb::Create && keeps && self.is_marked(live)
    }

    /// Whether it bears our mark, where its kind bears one.
    pub(super) fn is_marked(&self, live: &Live) -> bool {
        let keeps = kind::row(live.id.kind).is_some_and(|kind| kind.keeps_labels);
        !keeps || live.owner.as_ref() == Some(&self.config.policy.agent)
    }

    /// Something present was seen.
    pub(super) fn settle_seen(&mut self, id: &ResourceId) {
        let Some(live) = self.live.state.look(id).present().cloned() else { return };
        let Some(condition) = self.slots.get(id).map(|slot| slot.condition.clone()) else {
            return;
        };
        match condition {
            Condition::Settling(settling) if self.shows(&settling.want, &live) => {
                self.remember_seen(&settling.want, &live);
                self.settled(id, &settling);
            }
            Condition::InDoubt(doubt) if self.shows_done(&doubt, &live) => {
                self.doubt_resolved(id, live.revision.as_ref().map(|it| it.0.clone()));
            }
            Condition::Settling(_)
            | Condition::InDoubt(_)
            | Condition::Idle
            | Condition::Approved(_)
            | Condition::Checking(_)
            | Condition::Intending(_)
            | Condition::Writing(_)
            | Condition::BackingOff(_) => {}
        }
    }

    /// The watch, or a whole list begun later, says that it is gone.
    pub(super) fn settle_gone(&mut self, id: &ResourceId) {
        let Some(condition) = self.slots.get(id).map(|slot| slot.condition.clone()) else {
            return;
        };
        match condition {
            Condition::Settling(settling)
                if matches!(settling.want, Want::Gone | Want::Moved(_)) =>
            {
                self.settled(id, &settling);
            }
            Condition::InDoubt(doubt) if matches!(doubt.want, Want::Gone) => {
                self.doubt_resolved(id, None);
            }
            Condition::Settling(_)
            | Condition::InDoubt(_)
            | Condition::Idle
            | Condition::Approved(_)
            | Condition::Checking(_)
            | Condition::Intending(_)
            | Condition::Writing(_)
            | Condition::BackingOff(_) => {}
        }
    }

    /// A list came: looks at everything of the kind that waits to be seen.
    pub(super) fn settle_listed(&mut self, key: &KindKey, ticket: u64, complete: bool) {
        let waiting: Vec<ResourceId> = self
            .busy
            .iter()
            .filter(|id| (&id.cluster, id.kind) == (&key.0, key.1))
            .cloned()
            .collect();
        for id in waiting {
            let later = match self.slots.get(&id).map(|slot| &slot.condition) {
                Some(Condition::Settling(settling)) => settling.after < ticket,
                Some(_) | None => false,
            };
            if self.live.state.look(&id).present().is_some() {
                if later || self.is_in_doubt(&id) {
                    self.settle_seen(&id);
                }
            } else if later && complete {
                self.settle_gone(&id);
            }
        }
    }

    fn is_in_doubt(&self, id: &ResourceId) -> bool {
        self.slots.get(id).is_some_and(|slot| matches!(slot.condition, Condition::InDoubt(_)))
    }

    pub(super) fn settling_read(
        &mut self,
        id: &ResourceId,
        result: &Result<Option<Live>, CallError>,
        superseded: bool,
    ) {
        let Some(slot) = self.slots.get_mut(id) else { return };
        let Condition::Settling(settling) = &mut slot.condition else { return };
        settling.ticket = None;
        let moved = matches!(settling.want, Want::Moved(_));
        let want = settling.want.clone();
        let (met, done) = (matches!(settling.want, Want::Present), settling.done);
        match result {
            Err(error) if met && !done && error.code == CallCode::PermissionDenied => {
                self.hidden(id);
            }
            Ok(Some(live)) if !superseded => {
                let is_ours = matches!(want, Want::Content { .. }) && self.shows(&want, live);
                if is_ours && self.live.is_watched(id) {
                    self.live.ahead.insert(id.clone(), live.revision.clone());
                }
                self.settle_seen(id);
            }
            Ok(None) if !superseded && moved => self.settle_gone(id),
            Ok(_) | Err(_) => {}
        }
    }

    /// The server has it and does not show it: nothing but a change of our role, or of the
    /// manifest, helps.
    fn hidden(&mut self, id: &ResourceId) {
        let remedy = match kind::row(id.kind).and_then(|kind| kind.sight.allowed_by()) {
            Some(field) => format!("widen `{field}` of a role of ours, or choose another name"),
            None => "widen a role of ours, or choose another name".to_owned(),
        };
        let text = format!("it exists but is hidden from this identity; {remedy}");
        let desired = self.labels.desired.as_ref();
        let wanted = desired.and_then(|it| it.reading.manifests.get(id));
        let wanted = wanted.map(|manifest| manifest.resource.digest);
        self.fail(id, &text, Some(Refused(wanted)));
    }

    /// The server says that it exists, and no read shows it: nothing was written, and trying
    /// again soon will not help. A single pass gives it up. Said at the first time only.
    fn never_met(&mut self, id: &ResourceId) {
        let Some(slot) = self.slots.get_mut(id) else { return };
        let text = slot.error.clone().unwrap_or_default() + NEVER_MET;
        let is_first = slot.failures < ONCE_ATTEMPTS;
        slot.failures = slot.failures.max(ONCE_ATTEMPTS);
        slot.error = Some(text.clone());
        let failures = slot.failures;
        if is_first {
            self.say(Level::Warn, Some(id), format!("{id}: {text}"));
        }
        self.list_by(&(id.cluster.clone(), id.kind), self.now.monotonic);
        let jitter = self.rng.f64();
        let until = self.now.monotonic + backoff(RETRY_FIRST, RETRY_MAX, failures, jitter);
        self.put_slot(id, Condition::BackingOff(BackingOff { until, refused: None }), Some(until));
        self.quiet();
    }

    /// A read shows what the slot waited for.
    fn settled(&mut self, id: &ResourceId, settling: &Settling) {
        if settling.done {
            self.finish(id);
            return;
        }
        let failures = self.slots.get(id).map_or(1, |slot| slot.failures);
        let jitter = self.rng.f64();
        let delay = backoff(RETRY_FIRST, RETRY_MAX, failures, jitter);
        let until = (settling.since + delay).max(self.now.monotonic);
        let waiting = BackingOff { until, refused: None };
        self.put_slot(id, Condition::BackingOff(waiting), Some(until));
    }

    /// A step came to a good end, and that was seen.
    pub(super) fn finish(&mut self, id: &ResourceId) {
        if self.open.remove(id) {
            self.finished.insert(id.clone());
        }
        self.put_slot(id, Condition::Idle, None);
        self.slots.remove(id);
        self.pending.remove(id);
        self.quiet();
    }

    /// When the plan is through, the next one shows whether it was enough.
    pub(super) fn quiet(&mut self) {
        if self.life == Life::Running && self.queue.is_empty() {
            self.clocks.plan_by(self.now.monotonic + QUIET);
        }
    }
}
