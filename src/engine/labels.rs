//! The commands of dynamic labels: when each runs, what it said, and what is kept of that.
//!
//! A command that was never run goes at once; then each goes every period, more or less. Of one
//! command at most one run is under way. A value that changes is recorded and planned with; one
//! that does not costs nothing but, now and then, the time at which it was last seen.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::config::{
    COMMANDS_SPREAD, MAX_COMMANDS, Mode, Outcome, PERIOD_MIN, Planted, SEEN_MAX, UNUSED_MAX,
};
use super::machine::{Engine, Life};
use super::{Effect, Level};
use crate::journal::Record;
use crate::labels::OnFailure;
use crate::labels::resolve::{Desired, Resolver};
use crate::labels::value::{Command, Failing, Good, Known, Values};
use crate::manifest::Reading;
use crate::model::ResourceId;
use crate::port::RunError;

/// Everything about labels.
#[derive(Debug, Default)]
pub(super) struct LabelSide {
    /// What the commands last said.
    pub values: Values,
    /// Remembers what manifests say.
    pub resolver: Resolver,
    /// What the last plan was made from.
    pub desired: Option<Arc<Desired>>,
    /// The commands that the reading names and that may matter.
    pub runs: BTreeMap<Arc<Command>, Run>,
    /// When each runs next, in order; mirrors `Run::due`.
    due: BTreeSet<(Duration, Arc<Command>)>,
    /// Whose labels each command is for.
    pub users: BTreeMap<Arc<Command>, BTreeSet<ResourceId>>,
    /// Under way, by ticket: since when.
    in_flight: BTreeMap<u64, (Arc<Command>, Duration)>,
}

/// One command's clock.
#[derive(Debug, Clone)]
pub(super) struct Run {
    /// The shortest of the labels that share it.
    period: Duration,
    /// When it runs next, monotonic; absent while it runs or may not.
    due: Option<Duration>,
    /// Whether a pattern permits it.
    pub allowed: bool,
    /// Whether a run ended in this life.
    ended: bool,
    /// What was wrong the last time.
    pub error: Option<String>,
}

impl LabelSide {
    /// When a command is due that there is a place for.
    pub(super) fn next(&self) -> Option<Duration> {
        let first = self.due.first().map(|(at, _)| *at);
        first.filter(|_| self.in_flight.len() < MAX_COMMANDS)
    }

    fn schedule(&mut self, command: &Arc<Command>, at: Option<Duration>) {
        let Some(run) = self.runs.get_mut(command) else { return };
        if let Some(before) = std::mem::replace(&mut run.due, at) {
            self.due.remove(&(before, Arc::clone(command)));
        }
        if let Some(at) = at {
            self.due.insert((at, Arc::clone(command)));
        }
    }

    fn is_flying(&self, command: &Arc<Command>) -> bool {
        self.in_flight.values().any(|(flying, _)| flying == command)
    }
}

impl Engine {
    /// A new reading: which commands it names, and how often each runs.
    pub(super) fn name_commands(&mut self, reading: &Reading) {
        self.labels.resolver.keep(reading);
        let rules = &self.config.labels;
        let owner = &self.config.policy.agent;
        let mut wanted: BTreeMap<Arc<Command>, Duration> = BTreeMap::new();
        let mut users: BTreeMap<Arc<Command>, BTreeSet<ResourceId>> = BTreeMap::new();
        for (id, manifest) in &reading.manifests {
            let Some(declared) = self.labels.resolver.declared(id, manifest) else { continue };
            if declared.commands.is_empty() || !Resolver::matters(&declared, rules, owner) {
                continue;
            }
            for (key, command) in &declared.commands {
                users.entry(Arc::clone(command)).or_default().insert(id.clone());
                let label = declared.parts.dynamic.get(key);
                let period = label.map_or(PERIOD_MIN, |label| label.period.max(PERIOD_MIN));
                let shortest = wanted.entry(Arc::clone(command)).or_insert(period);
                *shortest = period.min(*shortest);
            }
        }
        self.labels.users = users;
        let gone: Vec<Arc<Command>> =
            self.labels.runs.keys().filter(|it| !wanted.contains_key(*it)).cloned().collect();
        for command in gone {
            self.labels.schedule(&command, None);
            self.labels.runs.remove(&command);
        }
        for (command, period) in wanted {
            self.name_command(&command, period);
        }
    }

    fn name_command(&mut self, command: &Arc<Command>, period: Duration) {
        let now = self.now.monotonic;
        if let Some(run) = self.labels.runs.get_mut(command) {
            let sooner = run.due.filter(|_| period < run.period);
            run.period = period;
            if let Some(due) = sooner {
                self.labels.schedule(command, Some(due.min(now + period)));
            }
            return;
        }
        let allowed = self.config.labels.allow.permits(&command.argv);
        let run = Run { period, due: None, allowed, ended: false, error: None };
        self.labels.runs.insert(Arc::clone(command), run);
        if !allowed || self.labels.is_flying(command) {
            return;
        }
        let is_known = self.labels.values.get(command).is_some_and(|known| known.good.is_some());
        let wait = if is_known && self.config.mode == Mode::Run {
            COMMANDS_SPREAD.min(period).mul_f64(self.rng.f64())
        } else {
            Duration::ZERO
        };
        self.labels.schedule(command, Some(now + wait));
    }

    /// Runs what is due, as far as there is a place for it.
    pub(super) fn pump_commands(&mut self) {
        if self.life != Life::Running {
            return;
        }
        let now = self.now.monotonic;
        while self.labels.in_flight.len() < MAX_COMMANDS
            && let Some((at, command)) = self.labels.due.first().cloned()
            && at <= now
        {
            let again = self.planted(Planted::RunTwice).then_some(now + PERIOD_MIN);
            self.labels.schedule(&command, again);
            let ticket = self.ticket();
            self.labels.in_flight.insert(ticket, (Arc::clone(&command), now));
            let timeout = self.config.command_timeout;
            self.out.push(Effect::Run { ticket, command, timeout });
        }
    }

    pub(super) fn ran(&mut self, ticket: u64, result: Result<String, RunError>) {
        let Some((command, started)) = self.labels.in_flight.remove(&ticket) else { return };
        let jitter = self.rng.f64();
        let now = self.now.monotonic;
        // What no manifest names any more says something all the same.
        if let Some(run) = self.labels.runs.get_mut(&command) {
            run.ended = true;
            run.error = result.as_ref().err().map(ToString::to_string);
            let next = started + run.period.mul_f64(0.9 + jitter / 5.0);
            if !self.planted(Planted::RunTwice) {
                self.labels.schedule(&command, Some(next.max(now)));
            }
        }
        match result {
            Ok(value) => self.has_value(&command, value),
            Err(error) => self.has_failed(&command, &error),
        }
    }

    fn has_value(&mut self, command: &Arc<Command>, value: String) {
        let known = self.labels.values.entry(Arc::clone(command)).or_default();
        let is_new = known.good.as_ref().is_none_or(|good| good.value != value);
        let recovered = known.failing.take().is_some();
        known.good = Some(Good { value, seen: self.now.wall });
        let known = known.clone();
        let before = self.journal.labels.get(command).and_then(|known| known.good.as_ref());
        let is_old = before.is_none_or(|good| self.now.wall.since(good.seen) >= SEEN_MAX);
        if is_new || recovered || is_old {
            self.record_label(command, Some(known));
        }
        if recovered {
            self.say(Level::Info, None, format!("label command `{command}`: it works again"));
        }
        if is_new || (recovered && self.config.labels.on_failure == OnFailure::Drop) {
            self.label_changed(command);
        }
    }

    fn has_failed(&mut self, command: &Arc<Command>, error: &RunError) {
        let since = self.now.wall;
        let known = self.labels.values.entry(Arc::clone(command)).or_default();
        if known.failing.is_some() {
            return;
        }
        known.failing = Some(Failing { since, why: error.to_string() });
        let (known, worked) = (known.clone(), known.good.is_some());
        self.record_label(command, Some(known));
        let then = match (worked, self.config.labels.on_failure) {
            (false, _) => "its value is not known yet",
            (true, OnFailure::KeepLast) => "its last value stays",
            (true, OnFailure::Drop) => "its labels are dropped",
        };
        let text = format!("label command `{command}`: {error}; {then}");
        self.say(Level::Warn, None, text);
        if self.config.labels.on_failure == OnFailure::Drop {
            self.label_changed(command);
        }
    }

    fn record_label(&mut self, command: &Arc<Command>, known: Option<Known>) {
        self.record(Record::Label { command: Command::clone(command), known });
    }

    /// Whether a command must still be heard: in a single pass each once, else those whose value
    /// nobody knows.
    pub(super) fn awaits_commands(&self) -> bool {
        let once = self.config.mode == Mode::Once;
        let is_known =
            |command| self.labels.values.get(command).is_some_and(|it| it.good.is_some());
        let mut runs = self.labels.runs.iter().filter(|(_, run)| run.allowed && !run.ended);
        runs.any(|(command, _)| once || !is_known(command))
    }

    /// The program ends: the journal learns when each value was last seen.
    pub(super) fn keep_seen(&mut self) {
        if self.outcome == Outcome::StorageFailed {
            return;
        }
        let is_newer = |(command, known): &(&Arc<Command>, &Known)| {
            self.journal.labels.get(*command).is_some_and(|on_disk| on_disk.good != known.good)
        };
        let all = self.labels.values.iter().filter(is_newer);
        let all: Vec<_> =
            all.map(|(command, known)| (Arc::clone(command), known.clone())).collect();
        for (command, known) in all {
            self.record_label(&command, Some(known));
        }
    }

    /// Forgets the values of commands that no manifest has named for long.
    pub(super) fn drop_unused_values(&mut self) {
        if !self.source.reading.as_ref().is_some_and(|reading| reading.is_whole()) {
            return;
        }
        let wall = self.now.wall;
        let is_old = |known: &Known| {
            let good = known.good.as_ref().map(|good| good.seen);
            let last = good.max(known.failing.as_ref().map(|failing| failing.since));
            last.is_none_or(|last| wall.since(last) >= UNUSED_MAX)
        };
        let unused =
            self.labels.values.iter().filter(|(command, known)| {
                !self.labels.runs.contains_key(*command) && is_old(known)
            });
        for command in unused.map(|(command, _)| Arc::clone(command)).collect::<Vec<_>>() {
            self.labels.values.remove(&command);
            self.record_label(&command, None);
        }
    }
}
