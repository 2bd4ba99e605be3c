//! Effects reach the world, and their answers go back.

use std::time::Duration;

use super::cluster::{CallFault, at_once};
use super::item::{Item, Phase};
use super::limits::Scene;
use super::world::{World, reading};
use crate::engine::{Effect, Event};
use crate::journal::{OpId, Record};
use crate::kind::{self, call};
use crate::live::{Coverage, Observed};
use crate::model::{Cluster, KindName, Live, ResourceId, Timestamp};
use crate::plan::Step;
use crate::port::{CallCode, CallError, NotYet, calls};

/// How long the driver waits for the first message of a watch.
const SILENT_MAX: Duration = Duration::from_secs(30);
/// An event of the watch comes later by so much, at most; those after it wait for it.
const EVENT_LATE_MAX_MS: u64 = 1_500;

/// What a call may fail with.
const CODES: &[(CallCode, &str)] = &[
    (CallCode::NoAnswer, "no answer, not done"),
    (CallCode::Unknown, "unknown"),
    (CallCode::InvalidArgument, "invalid argument"),
    (CallCode::PermissionDenied, "permission denied"),
    (CallCode::ResourceExhausted, "resource exhausted"),
    (CallCode::FailedPrecondition, "failed precondition"),
    (CallCode::Unavailable, "unavailable"),
    (CallCode::Internal, "internal"),
];

impl World {
    /// The engine wants this; it happens a little later.
    pub(super) fn dispatch(&mut self, effect: Effect) {
        self.note("effect", || format!("{effect:?}"));
        match &effect {
            Effect::Say(notice) => {
                let text = notice.text.clone();
                self.oracle.shown("a notice", &text);
                if text.contains("does not keep") || text.contains("does not stay") {
                    self.count("write in vain held");
                } else if text.contains("somebody else writes it") {
                    self.count("fight damped");
                }
                return;
            }
            Effect::Answer { request: _, text } => {
                let answered = if text.is_ok() { "approval taken" } else { "approval refused" };
                self.count(answered);
                return;
            }
            Effect::Stopped => {
                self.count("stopped");
                self.stopped();
                return;
            }
            Effect::Write { op, step } => {
                let now = self.now();
                let present = self.is_present(&step.id);
                let scene = Scene {
                    at: self.at,
                    intended: Timestamp(now.wall.0 - 60_000),
                    disk: &self.disk,
                    config: &self.config,
                    present,
                };
                self.oracle.sent(&scene, *op, step);
                self.count(&format!("step {}", step.action.verb()));
                if self.phase == Phase::Silence {
                    let what = format!("{} {}", step.action.verb(), step.id);
                    self.oracle.violate("not_silent", what);
                }
            }
            Effect::Watch { kinds } => {
                self.oracle.watch_is_over();
                self.close_watch();
                let wait = self.delay();
                self.schedule(wait, Item::Watch(self.watches, kinds.clone()));
                return;
            }
            Effect::Run { ticket, command, timeout: _ } => {
                self.oracle.runs(*ticket, command);
            }
            Effect::Journal { ticket: _, records: _ } => self.oracle.approvals.leaves(self.at),
            Effect::ReadSource | Effect::List { .. } | Effect::Fetch { .. } => {}
        }
        let wait = self.delay();
        self.schedule(wait, Item::Perform(self.life, Box::new(effect)));
    }

    /// Mostly short, seldom long.
    pub(super) fn delay(&mut self) -> Duration {
        let most = if self.delays.u32(..100) < 4 { 4000 } else { 30 };
        Duration::from_millis(self.delays.u64(0..most))
    }

    fn tell(&mut self, event: Event) {
        let wait = self.delay();
        self.schedule(wait, Item::Tell(self.life, Box::new(event)));
    }

    pub(super) fn perform(&mut self, life: u64, effect: Effect) {
        let current = life == self.life && self.alive;
        // A request that was sent arrives or not, whatever became of who sent it.
        let arrives = current || matches!(effect, Effect::Write { .. }) && self.dice.bool();
        if !arrives {
            return;
        }
        match effect {
            Effect::ReadSource => {
                let result = if self.at < self.source.moving {
                    self.count("source moving");
                    Err(NotYet { reason: "a checkout is under way".to_owned() })
                } else {
                    Ok(reading(&self.source))
                };
                self.tell(Event::SourceRead(result));
            }
            Effect::List { cluster, kind, ticket } => self.list(cluster, kind, ticket),
            Effect::Fetch { ticket, id } => {
                let result = self.fetch(&id);
                self.tell(Event::Fetched { ticket, id, result });
            }
            Effect::Journal { ticket, records } => self.journal(ticket, &records),
            Effect::Write { op, step } => {
                let result = self.write(op, &step);
                if current {
                    self.tell(Event::Wrote { op, result });
                } else {
                    self.count("write after crash");
                }
            }
            Effect::Run { ticket, command, timeout } => self.run_command(ticket, &command, timeout),
            Effect::Watch { .. } | Effect::Answer { .. } | Effect::Say(_) | Effect::Stopped => {}
        }
    }

    /// Perhaps the next call fails.
    fn draw_fault(&mut self, reads: bool) -> Option<CallFault> {
        let fault = if !self.phase.is_faulty() || self.dice.u32(..1000) >= self.faults {
            None
        } else if !reads && self.dice.u32(..3) == 0 {
            self.count("fault answer lost, done");
            Some(CallFault::After)
        } else {
            let (code, name) = CODES.get(self.dice.usize(..CODES.len())).copied()?;
            self.count(&format!("fault {name}"));
            Some(CallFault::Before(code))
        };
        let mut inner = self.cluster.inner();
        inner.fault.clone_from(&fault);
        inner.spare_reads = !reads;
        inner.done = false;
        drop(inner);
        fault
    }

    fn list(&mut self, cluster: Cluster, kind: KindName, ticket: u64) {
        self.now();
        let fault = self.draw_fault(true);
        let Some(row) = kind::row(kind) else { return };
        let mut observed = self.cluster.list(row, cluster.clone());
        if fault.is_some() {
            self.count("list failed");
        } else if self.phase.is_faulty() && self.dice.u32(..1000) < self.faults {
            self.count("list cut");
            let half: Vec<Live> = observed.seen().step_by(2).map(|it| Live::clone(it)).collect();
            observed = Observed::new(half, Coverage::Partial("cut".to_owned()));
        }
        self.tell(Event::Listed { cluster, kind, ticket, observed });
    }

    fn fetch(&mut self, id: &ResourceId) -> Result<Option<Live>, CallError> {
        self.now();
        self.draw_fault(true);
        let row = kind::row(id.kind).ok_or_else(no_kind)?;
        at_once(calls::fetch(&self.cluster, row, id, &super::KEY)).unwrap_or_else(|| Err(no_kind()))
    }

    fn write(&mut self, op: OpId, step: &Step) -> Result<crate::live::Written, CallError> {
        self.now();
        self.draw_fault(false);
        let row = kind::row(step.id.kind).ok_or_else(no_kind)?;
        let written = at_once(calls::write(&self.cluster, row, step, super::AGENT));
        let result = written.unwrap_or_else(|| Err(no_kind()));
        if std::mem::take(&mut self.cluster.inner().dropped) > 0 {
            self.count("field dropped");
        }
        if self.cluster.inner().done {
            self.oracle.committed(self.at, op, step);
        }
        if let Err(error) = &result {
            self.count(&format!("write met {:?}", error.code));
        }
        self.wake_plane();
        result
    }

    fn journal(&mut self, ticket: u64, records: &[Record]) {
        if self.disk_fails {
            self.count("disk failed");
            self.tell(Event::JournalFailed("no space left".to_owned()));
            return;
        }
        for record in records {
            if let Err(damage) = self.disk.replay(record) {
                self.oracle.violate("journal_damaged", damage.to_string());
            }
            match record {
                Record::Adopted { .. } => self.count("step adopt"),
                Record::Forgotten { .. } => self.count("forgotten"),
                Record::Intended { approval: Some(_), .. } => self.count("approval used"),
                Record::Label { .. } => self.count("label recorded"),
                Record::Intended { .. } | Record::Settled { .. } | Record::Approved { .. } => {}
            }
        }
        self.oracle.on_disk(self.at, records, &self.disk);
        self.tell(Event::Journaled(ticket));
    }

    pub(super) fn open_watch(&mut self, kinds: &[KindName]) {
        let now = self.now();
        let expired = self.cluster.inner().expired;
        if expired || self.phase.is_faulty() && self.dice.u32(..1000) < self.faults * 2 {
            self.count("watch refused");
            let wait = self.delay();
            let lost = Event::WatchLost("refused".to_owned());
            self.schedule(wait, Item::Watched(self.watches, Box::new(lost)));
            return;
        }
        if self.phase.is_faulty() && self.streams.u32(..1000) < self.faults {
            // Accepted, and nothing is ever said.
            self.count("watch silent");
            let lost = Event::WatchLost("no INIT".to_owned());
            self.schedule(SILENT_MAX, Item::Watched(self.watches, Box::new(lost)));
            return;
        }
        let rows: Vec<_> = kinds.iter().filter_map(|name| kind::row(*name)).collect();
        let request = call::watch(&rows);
        let caller = crate::plane::Caller::admin();
        let opened = self.cluster.inner().core.subscribe(now, &caller, &request.body);
        match opened {
            Ok(id) => self.watch = Some((id, self.at)),
            Err(status) => {
                let wait = self.delay();
                let lost = Event::WatchLost(status.to_string());
                self.schedule(wait, Item::Watched(self.watches, Box::new(lost)));
            }
        }
    }

    /// Nothing of the watch is heard any more: another one was asked for.
    fn close_watch(&mut self) {
        self.watches += 1;
        if let Some((id, _)) = self.watch.take() {
            self.count("watch moved");
            self.cluster.inner().core.close_watch(id);
        }
    }

    /// Passes on what the watch has to say, in order.
    pub(super) fn watch_events(&mut self) {
        let Some((id, mut last)) = self.watch else { return };
        if !self.cluster.inner().core.watches_ready() {
            return;
        }
        let now = self.now();
        let poll = self.cluster.inner().core.poll_watch(now, id);
        let mut events = Vec::new();
        for event in poll.events {
            match call::watched(&Cluster::Parent, event.into(), &super::KEY) {
                Ok(call::Watched::Opened(kinds)) => events.push(Event::WatchOpened(kinds)),
                Ok(call::Watched::Put(live)) => events.push(Event::Put(live)),
                Ok(call::Watched::Gone(id)) => events.push(Event::Gone(id)),
                Ok(call::Watched::Other) => {}
                Err(error) => events.push(Event::WatchLost(error.to_string())),
            }
        }
        let ended = poll.ended.is_some();
        if ended {
            events.push(Event::WatchLost("reset".to_owned()));
        }
        for event in events {
            last = last.max(self.at + self.delay() / 4);
            let is_faulty = self.phase.is_faulty();
            if is_faulty && self.streams.u32(..1000) < self.faults {
                self.count("watch event late");
                last += Duration::from_millis(self.streams.u64(..EVENT_LATE_MAX_MS));
            }
            let wait = last.saturating_sub(self.at);
            if is_faulty && self.streams.u32(..1000) < self.faults {
                self.count("watch event twice");
                self.schedule(wait, Item::Watched(self.watches, Box::new(event.clone())));
            }
            self.schedule(wait, Item::Watched(self.watches, Box::new(event)));
        }
        self.watch = (!ended).then_some((id, last));
    }

    /// Comes back when the plane has something to do by itself.
    pub(super) fn wake_plane(&mut self) {
        let now = self.now();
        let wake = self.cluster.inner().core.next_wakeup(now);
        if let Some(wait) = wake {
            self.schedule(wait, Item::Tick);
        }
    }
}

fn no_kind() -> CallError {
    CallError { code: CallCode::Internal, message: "the call would wait".to_owned() }
}
