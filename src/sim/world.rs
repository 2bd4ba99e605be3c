//! Virtual time, the queue of what is to come, and the three phases.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::cluster::SimCluster;
use super::item::{Item, Phase};
use super::oracle::Oracle;
use super::source::Source;
use super::{AGENT, Report, Run, stream};
use crate::engine::{Config, Engine, Event, Mode, Outcome};
use crate::journal::State;
use crate::kind;
use crate::model::{Now, Timestamp};
use crate::plan::Policy;
use crate::plane::{Core, Settings, WatchId};

/// How long things go wrong.
const CHAOS: Duration = Duration::from_mins(4);
/// Within this the engine must be home after everything became quiet: longer than the longest
/// delay between two attempts, several times.
const CALM_MAX: Duration = Duration::from_hours(1);
/// How long nothing may be written afterwards.
const SILENCE: Duration = Duration::from_mins(15);
/// How long reads lag behind writes. Below [`crate::engine::START_LAG`], as a real server's lag
/// is; with the time that a call takes, below both deadlines.
const LAGS: [Duration; 5] = [
    Duration::ZERO,
    Duration::ZERO,
    Duration::from_millis(20),
    Duration::from_secs(1),
    Duration::from_millis(1500),
];
/// How often everything is read again.
const RESYNCS: [Duration; 4] = [
    Duration::from_secs(45),
    Duration::from_mins(2),
    Duration::from_mins(5),
    Duration::from_mins(5),
];
/// Steps of one run; more means that the engine runs in circles.
const STEPS_MAX: u64 = 60_000;
/// Lines of the log that are kept.
const LOG_LINES: usize = 400;

/// Everything.
#[derive(Debug)]
pub(super) struct World {
    pub seed: u64,
    pub phase: Phase,
    pub at: Duration,
    /// Calendar at monotonic zero, milliseconds.
    pub epoch: i64,
    pub queue: BTreeMap<(Duration, u64), Item>,
    pub sequence: u64,
    pub config: Config,
    pub engine: Engine,
    pub life: u64,
    pub alive: bool,
    pub disk: State,
    pub disk_fails: bool,
    pub cluster: SimCluster,
    pub watch: Option<(WatchId, Duration)>,
    /// Watches that were asked for: only the last one is heard.
    pub watches: u64,
    pub source: Source,
    pub oracle: Oracle,
    /// Likelihood of a fault per call, per mille.
    pub faults: u32,
    pub crashes: u32,
    pub chaos: fastrand::Rng,
    pub delays: fastrand::Rng,
    pub slices: fastrand::Rng,
    pub labels: fastrand::Rng,
    /// What goes wrong with the events of the watch.
    pub streams: fastrand::Rng,
    /// What each label command does.
    pub scripts: BTreeMap<String, super::labels::Script>,
    pub dice: fastrand::Rng,
    pub counts: BTreeMap<String, u64>,
    /// Whether what happens is put into words.
    pub told: bool,
    pub trace: u64,
    pub log: VecDeque<String>,
    pub steps: u64,
    pub requests: u64,
    /// How a single pass ended.
    pub ended: Option<Outcome>,
}

impl World {
    pub(super) fn new(seed: u64, run: Run) -> Self {
        let mut options = stream(seed, "options");
        let config = Config {
            mode: Mode::Run,
            resync: draw(&mut stream(seed, "resync"), &RESYNCS),
            prune_delay: Duration::from_secs(options.u64(1..12)),
            poll: Duration::from_secs(options.u64(5..40)),
            policy: Policy {
                agent: AGENT.to_owned(),
                max_delete_percent: 30,
                max_delete_free: options.usize(1..4),
                confirm: kind::find("workload_cluster").map(|it| it.name).into_iter().collect(),
            },
            labels: super::labels::rules(seed),
            planted: run.planted,
            ..Config::default()
        };
        let lag = draw(&mut options, &LAGS);
        let settings = Settings { lag, seed, ..Settings::default() };
        let epoch = 1_700_000_000_000;
        let start = Now { monotonic: Duration::ZERO, wall: Timestamp(epoch) };
        let (core, _changes) = Core::open(settings, start, []);
        Self {
            seed,
            phase: Phase::Chaos,
            at: Duration::ZERO,
            epoch,
            queue: BTreeMap::new(),
            sequence: 0,
            engine: engine(&config, seed, 1),
            config,
            life: 1,
            alive: false,
            disk: State::default(),
            disk_fails: false,
            cluster: SimCluster::new(core, start, super::futile::stubborn(seed)),
            watch: None,
            watches: 0,
            source: Source::default(),
            oracle: Oracle::default(),
            faults: options.u32(0..120),
            crashes: options.u32(0..80),
            chaos: stream(seed, "chaos"),
            delays: stream(seed, "delays"),
            slices: stream(seed, "slices"),
            labels: stream(seed, "labels"),
            streams: stream(seed, "streams"),
            scripts: BTreeMap::new(),
            dice: stream(seed, "dice"),
            counts: BTreeMap::new(),
            told: run.told,
            trace: 0,
            log: VecDeque::new(),
            steps: 0,
            requests: 0,
            ended: None,
        }
    }

    /// The first files, the first life of the engine, and all that will happen to both.
    pub(super) fn open(&mut self) {
        self.begin();
        self.schedule(Duration::ZERO, Item::Restart(1));
        self.schedule(Duration::from_secs(1), Item::Chaos);
        self.schedule(Duration::from_secs(3), Item::Person);
        self.schedule(Duration::from_secs(2), Item::Labels);
        if self.slices.bool() {
            let first = Duration::from_secs(self.slices.u64(20..200));
            let slices = self.slices.u32(3..10);
            self.schedule(first, Item::Slice(slices));
        }
    }

    pub(super) fn run(mut self) -> Report {
        self.open();
        self.run_until(CHAOS, |_| false);
        self.quieten();
        // Home, then once through everything that clocks alone bring, and home again.
        self.run_until(self.at + CALM_MAX, Self::is_home);
        self.run_until(self.at + self.config.resync * 2, |_| false);
        // A delete may have been on its way while its author changed their mind.
        self.give_up_blocked();
        self.run_until(self.at + CALM_MAX, Self::is_home);
        if self.oracle.violations.is_empty() && !self.is_home() {
            let status = self.engine.status(self.now());
            let left = format!("{}; {status:?}", self.untrue());
            self.oracle.violate("not_converged", left);
        }
        self.phase = Phase::Silence;
        let limit = self.at + SILENCE;
        self.run_until(limit, |_| false);
        self.report()
    }

    pub(super) fn report(self) -> Report {
        Report {
            seed: self.seed,
            violations: self.oracle.violations,
            counts: self.counts,
            trace: self.trace,
            log: self.log.into(),
        }
    }

    pub(super) fn run_until(&mut self, limit: Duration, done: impl Fn(&Self) -> bool) {
        while self.oracle.violations.is_empty() && !done(self) {
            self.steps += 1;
            if self.steps > STEPS_MAX {
                self.oracle.violate("runs_in_circles", format!("{STEPS_MAX} steps"));
                return;
            }
            let next = self.queue.first_key_value().map(|((at, _), _)| *at);
            let wake = self.engine.deadline().filter(|_| self.alive);
            match (next, wake) {
                (Some(at), wake) if at <= limit && wake.is_none_or(|wake| at <= wake) => {
                    self.at = self.at.max(at);
                    if let Some((_, item)) = self.queue.pop_first() {
                        self.happen(item);
                    }
                }
                (_, Some(wake)) if wake <= limit => {
                    self.at = self.at.max(wake);
                    self.step(Event::Deadline);
                }
                _nothing_before_the_limit => {
                    self.at = limit;
                    return;
                }
            }
            self.watch_events();
        }
    }

    fn happen(&mut self, item: Item) {
        match item {
            Item::Tell(life, event) if life == self.life && self.alive => self.step(*event),
            Item::Watched(number, event) if number == self.watches && self.alive => {
                self.step(*event);
            }
            Item::Watch(number, kinds) if number == self.watches && self.alive => {
                self.open_watch(&kinds);
            }
            Item::Tell(_, _) | Item::Watch(_, _) | Item::Watched(_, _) => {}
            Item::Renew => self.renew(),
            Item::Perform(life, effect) => self.perform(life, *effect),
            Item::Chaos => self.happen_chaos(),
            Item::Slice(left) => self.slice(left),
            Item::Labels => self.happen_to_labels(),
            Item::Person => self.person(),
            Item::Restart(life) => self.restart(life),
            Item::Tick => {
                let now = self.now();
                let _changes = self.cluster.inner().core.tick(now);
            }
        }
    }

    /// Tells the engine something and sends its effects on their way; now and then it dies
    /// in between.
    pub(super) fn step(&mut self, event: Event) {
        self.note("event", || match &event {
            Event::Started(state) => format!("Started({} open)", state.open.len()),
            Event::SourceRead(Ok(reading)) => format!("SourceRead({:?})", reading.digest),
            other @ (Event::Deadline
            | Event::SourceChanged
            | Event::SourceRead(Err(_))
            | Event::Listed { .. }
            | Event::Server(_)
            | Event::WatchOpened(_)
            | Event::WatchLost(_)
            | Event::Put(_)
            | Event::Gone(_)
            | Event::Renewed
            | Event::Journaled(_)
            | Event::JournalFailed(_)
            | Event::Wrote { .. }
            | Event::Fetched { .. }
            | Event::Ran { .. }
            | Event::Approve { .. }
            | Event::Stop) => format!("{other:?}"),
        });
        self.oracle.told(self.at, &self.config, &event);
        let now = self.now();
        let effects = self.engine.step(now, event);
        for effect in effects {
            if self.phase == Phase::Chaos && self.dice.u32(..10_000) < self.crashes {
                self.count("crash");
                self.die();
                return;
            }
            self.dispatch(effect);
        }
    }

    /// The process ends here and now; what is on its way stays on its way.
    pub(super) fn die(&mut self) {
        self.note("crash", String::new);
        self.alive = false;
        if let Some((id, _)) = self.watch.take() {
            self.cluster.inner().core.close_watch(id);
        }
        let wait = Duration::from_millis(self.delays.u64(1..8000));
        self.schedule(wait, Item::Restart(self.life + 1));
    }

    fn restart(&mut self, life: u64) {
        self.life = life;
        self.watches += 1;
        self.alive = true;
        self.disk_fails = false;
        self.engine = engine(&self.config, self.seed, life);
        self.oracle.life = super::told::Told::default();
        self.oracle.updates = super::futile::Updates::default();
        let now = self.now();
        self.oracle.limits.restarted(&self.config, now);
        self.oracle.approvals.granted.clear();
        self.step(Event::Started(self.disk.clone()));
    }

    pub(super) fn schedule(&mut self, wait: Duration, item: Item) {
        self.sequence += 1;
        self.queue.insert((self.at + wait, self.sequence), item);
    }

    pub(super) fn now(&self) -> Now {
        let millis = i64::try_from(self.at.as_millis()).unwrap_or(i64::MAX);
        let now = Now { monotonic: self.at, wall: Timestamp(self.epoch + millis) };
        self.cluster.inner().now = now;
        now
    }

    pub(super) fn count(&mut self, what: &str) {
        *self.counts.entry(what.to_owned()).or_default() += 1;
    }

    /// Goes into the trace and the log, where they are wanted: making the words of everything is
    /// a good part of a run.
    pub(super) fn note(&mut self, what: &str, text: impl FnOnce() -> String) {
        if !self.told {
            return;
        }
        let line = format!("{:>10.3} {what} {}", self.at.as_secs_f64(), text());
        for byte in line.bytes() {
            self.trace = (self.trace ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
        }
        if self.log.len() == LOG_LINES {
            self.log.pop_front();
        }
        self.log.push_back(line);
    }
}

fn engine(config: &Config, seed: u64, life: u64) -> Engine {
    let rng = stream(seed, &format!("jitter {life}"));
    Engine::new(config.clone(), super::KEY, rng)
}

/// One of these.
fn draw(from: &mut fastrand::Rng, all: &[Duration]) -> Duration {
    all.get(from.usize(..all.len())).copied().unwrap_or_default()
}

/// A reading as the engine gets it.
pub(super) fn reading(source: &Source) -> Arc<crate::manifest::Reading> {
    Arc::new(source.read())
}
