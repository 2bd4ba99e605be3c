//! The engine itself: what it holds, and which part handles which event.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::approved::Allowance;
use super::clocks::Clocks;
use super::condition::{Condition, Slot};
use super::config::{Config, Mode, Outcome, PLAN_QUIET, Planted, START_LAG};
use super::damping::Repeats;
use super::labels::LabelSide;
use super::live::LiveSide;
use super::planning::Planned;
use super::source::Source;
use super::{Effect, Event, Level, Notice};
use crate::journal::{OpId, Record, State};
use crate::model::{FingerprintKey, Now, ResourceId, SecretNames, Timestamp};
use crate::plan::Step;

/// The reconcile state machine. Level-triggered: an event says that something may have changed,
/// what is done follows from what is known.
#[derive(Debug)]
pub struct Engine {
    pub(super) config: Config,
    pub(super) key: FingerprintKey,
    pub(super) rng: fastrand::Rng,
    pub(super) now: Now,
    /// When it started, monotonic.
    pub(super) started_at: Duration,
    /// Lists with a greater ticket show all that an earlier life wrote.
    pub(super) caught_up: Option<u64>,
    pub(super) life: Life,
    /// While stopping: until when what is in flight is waited for, monotonic.
    pub(super) stop_by: Option<Duration>,
    pub(super) outcome: Outcome,
    pub(super) journal: State,
    pub(super) clocks: Clocks,
    /// When the calendar jumped: deletes wait for a reading and lists that began later.
    pub(super) clock_jumped: Option<Duration>,
    pub(super) source: Source,
    pub(super) live: LiveSide,
    /// Which names are secrets, whoever says so.
    pub(super) veil: SecretNames,
    pub(super) labels: LabelSide,
    pub(super) slots: BTreeMap<ResourceId, Slot>,
    /// `Slot::wake` of all slots, in order.
    pub(super) wakes: BTreeSet<(Duration, ResourceId)>,
    /// Ids whose slot is in flight.
    pub(super) in_flight: BTreeSet<ResourceId>,
    /// Ids whose slot is busy.
    pub(super) busy: BTreeSet<ResourceId>,
    /// Writes that were sent and not answered.
    pub(super) writing: BTreeMap<OpId, ResourceId>,
    /// Deletes that wait: since when.
    pub(super) pending: BTreeMap<ResourceId, Duration>,
    /// What is ours, undeclared and not there: since when, monotonic.
    pub(super) absent: BTreeMap<ResourceId, Duration>,
    pub(super) planned: Option<Planned>,
    /// Steps of `planned` that were not begun.
    pub(super) queue: VecDeque<Arc<Step>>,
    /// Steps of `planned` that may still come to a good end.
    pub(super) open: BTreeSet<ResourceId>,
    /// Steps of `planned` that came to a good end, for those that come after them.
    pub(super) finished: BTreeSet<ResourceId>,
    /// What is to be put on disk next.
    pub(super) to_journal: Batch,
    /// What is on its way there: one batch at a time, so that the order on disk is ours.
    pub(super) journaling: Option<(u64, Batch)>,
    /// Fetches on their way, by ticket: of what, and whether something newer came meanwhile.
    pub(super) fetching: BTreeMap<u64, (ResourceId, bool)>,
    /// The last problem said about each resource, so that it is said once.
    pub(super) said: BTreeMap<ResourceId, String>,
    /// Writes that may have been in vain.
    pub(super) repeats: Repeats,
    pub(super) next_ticket: u64,
    /// What the guards go by beyond one plan.
    pub(super) allowance: Allowance,
    pub(super) out: Vec<Effect>,
}

/// What the engine may still do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Life {
    /// [`Event::Started`] has not come.
    New,
    /// Everything.
    Running,
    /// Finish what is in flight.
    Stopping,
    /// [`Effect::Stopped`] was said.
    Stopped,
}

/// Records on their way to the disk, and what happens when they are there.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) records: Vec<Record>,
    /// Writes to send.
    pub(super) sends: Vec<(OpId, ResourceId)>,
    /// Whom to tell that their approval stands.
    pub(super) requests: Vec<(u64, String)>,
}

impl Engine {
    /// An engine that waits for [`Event::Started`]. `rng` gives the jitter of the delays.
    pub fn new(config: Config, key: FingerprintKey, rng: fastrand::Rng) -> Self {
        Self {
            config,
            veil: SecretNames::new(&key),
            key,
            rng,
            now: Now { monotonic: Duration::ZERO, wall: Timestamp(0) },
            started_at: Duration::ZERO,
            caught_up: None,
            life: Life::New,
            stop_by: None,
            outcome: Outcome::Running,
            journal: State::default(),
            clocks: Clocks::default(),
            clock_jumped: None,
            source: Source::default(),
            live: LiveSide::default(),
            labels: LabelSide::default(),
            slots: BTreeMap::new(),
            wakes: BTreeSet::new(),
            in_flight: BTreeSet::new(),
            busy: BTreeSet::new(),
            writing: BTreeMap::new(),
            pending: BTreeMap::new(),
            absent: BTreeMap::new(),
            planned: None,
            queue: VecDeque::new(),
            open: BTreeSet::new(),
            finished: BTreeSet::new(),
            to_journal: Batch::default(),
            journaling: None,
            fetching: BTreeMap::new(),
            said: BTreeMap::new(),
            repeats: Repeats::new(),
            next_ticket: 0,
            allowance: Allowance::default(),
            out: Vec::new(),
        }
    }

    /// Takes one event and returns what to do, in order. Never blocks, never fails.
    pub fn step(&mut self, now: Now, event: Event) -> Vec<Effect> {
        self.now = now;
        if self.life == Life::Stopped {
            return Vec::new();
        }
        if let Some(moved) = self.clocks.jump(now) {
            self.clock_moved(moved);
        }
        self.take(event);
        self.fire_timers();
        self.pump();
        self.pump_commands();
        self.flush();
        self.end_if_through();
        self.flush();
        std::mem::take(&mut self.out)
    }

    /// When [`Event::Deadline`] is wanted if nothing happens before, monotonic.
    pub fn deadline(&self) -> Option<Duration> {
        match self.life {
            Life::Running => {}
            Life::Stopping => return self.stop_by,
            Life::New | Life::Stopped => return None,
        }
        let wake = self.wakes.first().map(|(at, _)| *at);
        let live = self.live.next();
        let clocks = self.clocks.next(&self.config);
        let all =
            [clocks, wake, live, self.next_prune_due(), self.labels.next(), self.give_up_at()];
        all.into_iter().flatten().min()
    }

    /// How the engine ended, once it said [`Effect::Stopped`].
    pub fn outcome(&self) -> Outcome {
        self.outcome
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Started(state) => self.start(state),
            Event::Deadline => {}
            Event::SourceChanged => self.clocks.hint(self.now.monotonic),
            Event::SourceRead(result) => self.source_read(result),
            Event::Listed { cluster, kind, ticket, observed } => {
                self.listed(&(cluster, kind), ticket, observed);
            }
            Event::Server(release) => {
                if self.live.state.server.replace(release) != Some(release) {
                    self.replan();
                }
            }
            Event::WatchOpened(kinds) => self.watch_opened(&kinds),
            Event::WatchLost(reason) => self.watch_lost(&reason),
            Event::Put(live) => self.watched_put(live),
            Event::Gone(id) => self.watched_gone(&id),
            Event::Renewed => self.renewed(),
            Event::Journaled(ticket) => self.journaled(ticket),
            Event::JournalFailed(error) => self.journal_failed(&error),
            Event::Wrote { op, result } => self.wrote(op, result),
            Event::Fetched { ticket, id, result } => self.fetched(ticket, &id, result),
            Event::Ran { ticket, result } => self.ran(ticket, result),
            Event::Approve { hash, request } => self.approve(&hash, request),
            Event::Stop => self.stop(Outcome::Stopped),
        }
    }

    fn start(&mut self, state: State) {
        if self.life != Life::New {
            return;
        }
        self.life = Life::Running;
        self.started_at = self.now.monotonic;
        self.learn_journal(&state);
        self.labels.values = state.labels.clone();
        self.journal = state;
        self.count_earlier_deletes();
        self.reopen_doubts();
        if self.journal.inventory.is_empty() {
            self.caught_up = Some(0);
        } else {
            self.clocks.catch_up = Some(self.started_at + START_LAG);
        }
        self.read_source();
        self.clocks.resync = Some(self.now.monotonic + self.config.resync);
        // What the journal knows; the rest when the files have been read.
        self.take_into_use();
    }

    /// Does what is due.
    fn fire_timers(&mut self) {
        if self.life != Life::Running {
            return;
        }
        let now = self.now.monotonic;
        let due = |at: Option<Duration>| at.is_some_and(|at| at <= now);
        if due(self.clocks.resync) {
            self.clocks.resync = Some(now + self.config.resync);
            self.read_source();
            if self.clock_jumped.is_some() {
                self.live.invalidate();
            }
            self.list_everything();
            self.drop_unused_values();
            self.replan();
        }
        if due(self.clocks.catch_up) {
            self.clocks.catch_up = None;
            self.caught_up = Some(self.next_ticket);
            self.replan();
        }
        if due(self.clocks.watch) {
            self.clocks.watch = None;
            self.watch_due();
        }
        if due(self.clocks.read_at(&self.config)) {
            self.read_source();
        }
        for key in self.live.due(now) {
            self.list(&key);
        }
        while let Some((at, id)) = self.wakes.first().cloned() {
            if at > now {
                break;
            }
            self.wakes.remove(&(at, id.clone()));
            self.wake(&id);
        }
        if due(self.next_prune_due()) {
            self.clocks.plan_by(now);
        }
        if due(self.clocks.plan) {
            self.clocks.plan = None;
            // If something is missing, whoever brings it asks again.
            if self.may_plan() {
                self.make_plan();
            }
        }
    }

    /// Something that the plan depends on changed.
    pub(super) fn replan(&mut self) {
        self.clocks.plan_by(self.now.monotonic + PLAN_QUIET);
    }

    fn clock_moved(&mut self, moved: i64) {
        if self.life != Life::Running {
            return;
        }
        self.clock_jumped = Some(self.now.monotonic);
        // Likely the machine slept: look at everything again, and soon.
        self.clocks.resync = Some(self.now.monotonic);
        let text = format!("the wall clock jumped by {moved} ms; deletes wait for a full reading");
        self.say(Level::Warn, None, text);
    }

    /// Tells the log.
    pub(super) fn say(&mut self, level: Level, id: Option<&ResourceId>, text: String) {
        self.out.push(Effect::Say(Notice { level, id: id.cloned(), text }));
    }

    /// Tells the log about a resource's problem, unless that was the last thing said about it.
    pub(super) fn say_once(&mut self, level: Level, id: &ResourceId, text: String) {
        if self.said.get(id) != Some(&text) {
            self.said.insert(id.clone(), text.clone());
            self.say(level, Some(id), text);
        }
    }

    /// A new number for a request.
    pub(super) fn ticket(&mut self) -> u64 {
        self.next_ticket += 1;
        self.next_ticket
    }

    /// Puts a resource into a state, to be looked at again at `wake`.
    pub(super) fn put_slot(
        &mut self,
        id: &ResourceId,
        condition: Condition,
        wake: Option<Duration>,
    ) {
        let slot = self.slots.entry(id.clone()).or_default();
        if let Some(before) = slot.wake {
            self.wakes.remove(&(before, id.clone()));
        }
        if let Some(at) = wake {
            self.wakes.insert((at, id.clone()));
        }
        slot.wake = wake;
        if condition.is_in_flight() {
            self.in_flight.insert(id.clone());
        } else {
            self.in_flight.remove(id);
        }
        if condition.is_busy() {
            self.busy.insert(id.clone());
        } else {
            self.busy.remove(id);
        }
        slot.condition = condition;
    }

    /// Whether this bug is planted.
    pub(super) fn planted(&self, bug: Planted) -> bool {
        self.config.planted == Some(bug)
    }

    /// Ends a single pass when there is nothing more to do, and any life when nothing is in
    /// flight any more.
    fn end_if_through(&mut self) {
        if self.life == Life::Running && self.config.mode == Mode::Once {
            let outcome = self.verdict();
            if outcome != Outcome::Running {
                self.say_cut_off();
                self.stop(outcome);
            }
        }
        let idle = self.in_flight.is_empty()
            && (self.outcome == Outcome::StorageFailed
                || (self.journaling.is_none() && self.to_journal.records.is_empty()));
        let late = self.stop_by.is_some_and(|at| at <= self.now.monotonic);
        if self.life == Life::Stopping && (idle || late) {
            if !idle {
                let text = "what was sent last was not answered; it is read back at the next start";
                self.say(Level::Warn, None, text.to_owned());
            }
            self.life = Life::Stopped;
            self.out.push(Effect::Stopped);
        }
    }
}
