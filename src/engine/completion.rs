//! When the engine is through.

use std::collections::BTreeSet;
use std::time::Duration;

use super::Level;
use super::condition::Condition;
use super::config::{
    Mode, ONCE_ATTEMPTS, ONCE_DOUBT, ONCE_SOURCE, ONCE_UNREACHABLE, Outcome, Planted, STOP_PATIENCE,
};
use super::machine::{Engine, Life};
use crate::live::{Coverage, ListFailure, Observed};
use crate::model::{Cluster, KindName, Readiness, ResourceId};
use crate::plan::{Deferred, Plan, Reason, Step};

impl Engine {
    /// Nothing new begins; what is in flight comes to its end.
    pub(super) fn stop(&mut self, outcome: Outcome) {
        if self.life == Life::Stopped {
            return;
        }
        self.life = Life::Stopping;
        self.stop_by.get_or_insert(self.now.monotonic + STOP_PATIENCE);
        if self.outcome == Outcome::Running {
            self.outcome = outcome;
        }
        self.drop_queue();
        self.drop_approved();
        self.keep_seen();
    }

    /// Whether everything is as wanted, as far as known now.
    pub fn converged(&self) -> bool {
        self.verdict() == Outcome::Converged
    }

    /// Whether nothing is under way or will be tried again by itself: what is not as wanted waits
    /// for a person.
    pub fn is_still(&self) -> bool {
        let over = matches!(self.verdict(), Outcome::Converged | Outcome::Incomplete);
        over && !self.slots.keys().any(|id| self.is_backing_off(id))
    }

    /// What a single pass would end with; [`Outcome::Running`] while something is still to
    /// come by itself.
    pub(super) fn verdict(&self) -> Outcome {
        let Some(planned) = &self.planned else { return self.overdue() };
        let moving = self.clocks.plan.is_some_and(|at| at <= self.now.monotonic + SOON)
            || self.clocks.read_at(&self.config).is_some() && self.source.not_yet.is_none()
            || self.source.in_flight.is_some()
            || !self.queue.is_empty()
            || self.busy.iter().any(|id| !self.is_lost(id))
            || self.journaling.is_some()
            || !self.to_journal.records.is_empty()
            || self.clock_jumped.is_some()
            || self.awaits_commands()
            || planned.plan.steps.iter().any(|step| self.waits_for_catch_up(step))
            || planned.plan.forget.iter().any(|id| !self.may_forget(id));
        if self.cut_off().is_some() {
            return Outcome::Incomplete;
        }
        if !self.may_plan() {
            return self.overdue();
        }
        if moving && !self.planted(Planted::EndEarly) {
            return Outcome::Running;
        }
        if planned.broken {
            return Outcome::Incomplete;
        }
        if self.source.not_yet.is_some() || self.is_live_passing() || self.is_unready() {
            return self.overdue();
        }
        let retrying = self.slots.values().any(|slot| match &slot.condition {
            Condition::BackingOff(waiting) => {
                waiting.refused.is_none() && slot.failures < ONCE_ATTEMPTS
            }
            Condition::Idle
            | Condition::Approved(_)
            | Condition::Checking(_)
            | Condition::Intending(_)
            | Condition::Writing(_)
            | Condition::Settling(_)
            | Condition::InDoubt(_) => false,
        });
        let asks = planned.approval.as_ref().filter(|it| it.expires.is_none());
        let asked = |id| asks.is_some_and(|it| it.ids.contains(id));
        let ends = |id| {
            self.is_blocked(&planned.plan, id) || self.is_refused(&(id.cluster.clone(), id.kind))
        };
        let pending = self.pending.keys().any(|id| !asked(id) && !ends(id));
        if retrying || pending {
            return Outcome::Running;
        }
        let stuck = self.slots.keys().any(|id| self.is_backing_off(id) || self.is_lost(id));
        if stuck || self.is_left(planned) || self.is_something_refused() {
            Outcome::Incomplete
        } else if asks.is_some() {
            Outcome::NeedsApproval
        } else {
            Outcome::Converged
        }
    }

    /// Whether a step waits until reads show all that an earlier life wrote.
    pub(super) fn waits_for_catch_up(&self, step: &Step) -> bool {
        step.reason == Reason::Vanished
            && !self.finished.contains(&step.id)
            && !self.is_caught_up(&step.id)
    }

    /// Whether reads of its kind show all that an earlier life wrote.
    pub(super) fn is_caught_up(&self, id: &ResourceId) -> bool {
        self.caught_up.is_some_and(|warm| self.live.is_listed_since(id, warm))
    }

    /// Whether its step waits, perhaps for others that wait in turn, for one that came to nothing.
    fn is_blocked(&self, plan: &Plan, id: &ResourceId) -> bool {
        let (mut seen, mut waits) = (BTreeSet::new(), vec![id]);
        while let Some(id) = waits.pop() {
            if self.is_backing_off(id) || self.is_lost(id) {
                return true;
            }
            if seen.insert(id) {
                let steps = plan.steps.iter().filter(|step| step.id == *id);
                waits.extend(steps.flat_map(|step| &step.after));
            }
        }
        false
    }

    /// Whether a single pass waits no more for the outcome of an operation in doubt: what can be
    /// read settles it at its deadline, so nothing can. It stays in the journal.
    fn is_lost(&self, id: &ResourceId) -> bool {
        let now = self.now.monotonic;
        let lost = match self.slots.get(id).map(|slot| &slot.condition) {
            Some(Condition::InDoubt(doubt)) => now.saturating_sub(doubt.since) >= ONCE_DOUBT,
            Some(_) | None => false,
        };
        lost && self.config.mode == Mode::Once
    }

    /// Whether something was left alone that a person must look at.
    fn is_left(&self, planned: &super::planning::Planned) -> bool {
        self.source.reading.as_ref().is_some_and(|it| it.has_errors() || !it.is_whole())
            || planned.plan.deferred.iter().any(|it| it.why.is_left(self.is_meant(&it.id)))
    }

    /// Whether it is declared and no selector leaves it out.
    fn is_meant(&self, id: &ResourceId) -> bool {
        let desired = self.labels.desired.as_ref();
        desired.is_some_and(|it| it.reading.manifests.contains_key(id))
    }

    /// Manifests that are meant for us and are not applied until a person does something.
    pub(super) fn refused(&self) -> Vec<&Deferred> {
        self.planned.iter().flat_map(|it| it.plan.blocked()).collect()
    }

    /// Says once of each manifest that it is not applied, and why.
    pub(super) fn say_refused(&mut self) {
        let told = |it: &Deferred| {
            (it.id.clone(), format!("{} is not applied: {}", it.id, it.why.with_remedy()))
        };
        let all: Vec<(ResourceId, String)> = self.refused().into_iter().map(told).collect();
        for (id, text) in all {
            self.say_once(Level::Warn, &id, text);
        }
    }

    /// Whether a kind in use, be it that others refer to it, is not wholly known and may yet become
    /// so by itself.
    fn is_live_passing(&self) -> bool {
        let mut kinds = self.live.state.kinds.iter();
        kinds.any(|(key, it)| {
            let passes = matches!(it.lack(), Some(ListFailure::Transient | ListFailure::Barred));
            passes && !self.is_given_up(key) && self.live.kinds.contains_key(key)
        })
    }

    /// Whether such a kind will not become known without a person.
    fn is_something_refused(&self) -> bool {
        self.live.state.kinds.keys().any(|key| self.is_refused(key) && self.is_in_use(key))
    }

    /// Whether the server refused to list it: waiting does not help.
    fn is_refused(&self, key: &(Cluster, KindName)) -> bool {
        match self.live.state.kinds.get(key).and_then(Observed::lack) {
            Some(ListFailure::NotAllowed | ListFailure::NoSuchKind) => true,
            Some(ListFailure::Transient | ListFailure::Barred) => self.is_given_up(key),
            None => false,
        }
    }

    /// Whether a single pass waits no more for a kind: its lists have failed for long, or will go
    /// on failing until a person acts. A longer life always tries again.
    fn is_given_up(&self, key: &(Cluster, KindName)) -> bool {
        let lack = self.live.state.kinds.get(key).and_then(Observed::lack);
        let (Some(lack), Some(kind)) = (lack, self.live.kinds.get(key)) else { return false };
        let long = kind.failing_since.is_some_and(|since| {
            self.now.monotonic >= since + ONCE_UNREACHABLE && kind.failures > 1
        });
        let lost = match lack {
            ListFailure::Barred => true,
            ListFailure::Transient => long,
            ListFailure::NotAllowed | ListFailure::NoSuchKind => false,
        };
        self.config.mode == Mode::Once && lost
    }

    /// When a single pass looks next whether it gives a kind up.
    pub(super) fn give_up_at(&self) -> Option<Duration> {
        let since = self.live.kinds.values().filter_map(|kind| kind.failing_since);
        let at = since.map(|since| since + ONCE_UNREACHABLE).filter(|at| *at > self.now.monotonic);
        at.min().filter(|_| self.config.mode == Mode::Once)
    }

    /// Why no kind in use can be listed, when that is how it stays: there is nothing to wait for,
    /// whatever is under way.
    fn cut_off(&self) -> Option<&str> {
        let kinds = &self.live.state.kinds;
        let mut used = kinds.iter().filter(|(key, _)| self.is_in_use(key)).peekable();
        used.peek()?;
        let mut why = None;
        for (key, observed) in used {
            match observed.coverage() {
                Coverage::Partial(reason) if self.is_given_up(key) => why = Some(reason.as_str()),
                Coverage::Partial(_) | Coverage::Complete => return None,
            }
        }
        why
    }

    /// Tells why a single pass ends early, if it does.
    pub(super) fn say_cut_off(&mut self) {
        if let Some(why) = self.cut_off().map(ToOwned::to_owned) {
            let text = format!(
                "the pass ends here: {why}; run it again when that is mended, or the server is back"
            );
            self.say(Level::Error, None, text);
        }
    }

    fn is_in_use(&self, (cluster, kind): &(Cluster, KindName)) -> bool {
        let of = |id: &ResourceId| id.cluster == *cluster && id.kind == *kind;
        let declared = self
            .source
            .reading
            .iter()
            .any(|reading| reading.manifests.keys().any(of) || reading.frozen.keys().any(of));
        declared || self.journal.inventory.keys().any(of)
    }

    /// Whether something that is wanted is on its way to being ready.
    fn is_unready(&self) -> bool {
        let Some(reading) = &self.source.reading else { return true };
        let kinds = self.live.state.kinds.iter().filter(|(key, _)| !self.is_refused(key));
        let mut seen = kinds.flat_map(|(_, observed)| observed.seen());
        seen.any(|live| {
            matches!(live.readiness, Readiness::Waiting(_))
                && reading.manifests.contains_key(&live.id)
        })
    }

    fn overdue(&self) -> Outcome {
        let since = |at| self.now.monotonic.saturating_sub(at);
        let late = since(self.started_at) >= self.config.ready_timeout
            || self.source.dark.is_some_and(|at| since(at) >= ONCE_SOURCE);
        if late { Outcome::Incomplete } else { Outcome::Running }
    }
}

/// A plan due this soon is one that something asked for, not one for a far date.
const SOON: Duration = Duration::from_secs(2);
