//! The engine, by hand: what it runs and when, and what follows.

mod plans;
mod watch;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use reconciler::engine::{Config, Effect, Engine, Event, MAX_COMMANDS, Mode, Outcome};
use reconciler::journal::{Record, State};
use reconciler::kind::canonical;
use reconciler::labels::resolve::Rules;
use reconciler::labels::value::Command;
use reconciler::labels::{Mode as Labels, OnFailure};
use reconciler::live::{Coverage, Observed, Written};
use reconciler::manifest::Reading;
use reconciler::model::{Cluster, FingerprintKey, KindName, Live, Verb};
use reconciler::plan::Action;
use reconciler::port::{CallCode, CallError, RunError};

use super::{AGENT, KEY, dynamic, id, items, reading, resource, rules};
use crate::by_hand::ByHand;

/// The world around one engine: everything works at once, but for what a test answers itself.
struct Bench {
    engine: Engine,
    agent: &'static str,
    at: Duration,
    reading: Arc<Reading>,
    live: BTreeMap<String, Live>,
    disk: State,
    records: usize,
    runs: Vec<(u64, Arc<Command>, Duration)>,
    writes: Vec<String>,
    said: Vec<String>,
    /// What creates are answered with.
    refusal: Option<CallCode>,
    /// What fetches are answered with.
    hidden: bool,
    stopped: bool,
}

impl ByHand for Bench {
    fn engine(&mut self) -> &mut Engine {
        &mut self.engine
    }

    fn at(&self) -> Duration {
        self.at
    }

    fn answer(&mut self, effect: Effect) -> Vec<Event> {
        match effect {
            Effect::ReadSource => vec![Event::SourceRead(Ok(Arc::clone(&self.reading)))],
            Effect::Watch { kinds } => vec![Event::WatchOpened(kinds)],
            Effect::List { cluster, kind, ticket } => {
                let observed = self.observed(kind);
                vec![Event::Listed { cluster, kind, ticket, observed }]
            }
            Effect::Fetch { ticket, id } => {
                let result = if self.hidden {
                    Err(refused(CallCode::PermissionDenied))
                } else {
                    Ok(self.live.get(&*id.name).cloned())
                };
                vec![Event::Fetched { ticket, id, result }]
            }
            Effect::Journal { ticket, records } => {
                for record in &records {
                    self.disk.replay(record).unwrap();
                    self.records += usize::from(matches!(record, Record::Label { .. }));
                }
                vec![Event::Journaled(ticket)]
            }
            Effect::Write { op, step } => {
                self.writes.push(format!(
                    "{} {} ({})",
                    step.action.verb(),
                    step.id.name,
                    step.because()
                ));
                let refusal = self.refusal.filter(|_| step.action.verb() == Verb::Create);
                if let Some(code) = refusal {
                    return vec![Event::Wrote { op, result: Err(refused(code)) }];
                }
                let written = Event::Wrote { op, result: Ok(Written { revision: None }) };
                let news = match &step.action {
                    Action::Create { after } | Action::Update { after, .. } => {
                        let kind = reconciler::kind::row(step.id.kind).unwrap();
                        let wire = canonical::encode(kind, after, None, self.agent).unwrap();
                        let live = canonical::decode(kind, Cluster::Parent, wire, &KEY).unwrap();
                        self.live.insert(step.id.name.to_string(), live.clone());
                        Event::Put(live)
                    }
                    Action::Delete { .. } => {
                        self.live.remove(&*step.id.name);
                        Event::Gone(step.id.clone())
                    }
                    Action::Adopt { .. } => panic!("an adoption is no write"),
                };
                vec![written, news]
            }
            Effect::Run { ticket, command, timeout: _ } => {
                self.runs.push((ticket, command, self.at));
                Vec::new()
            }
            Effect::Say(notice) => {
                self.said.push(notice.text);
                Vec::new()
            }
            Effect::Stopped => {
                self.stopped = true;
                Vec::new()
            }
            Effect::Answer { .. } => Vec::new(),
        }
    }
}

impl Bench {
    fn new(labels: Rules, mode: Mode, disk: State) -> Self {
        let prune_delay = Duration::from_secs(5);
        let config = Config { mode, labels, prune_delay, ..Config::default() };
        Self::of(AGENT, config, disk)
    }

    fn of(agent: &'static str, mut config: Config, disk: State) -> Self {
        agent.clone_into(&mut config.policy.agent);
        let engine = Engine::new(config, FingerprintKey([7; 32]), fastrand::Rng::with_seed(1));
        Self {
            engine,
            agent,
            at: Duration::ZERO,
            reading: Arc::default(),
            live: BTreeMap::new(),
            disk,
            records: 0,
            runs: Vec::new(),
            writes: Vec::new(),
            said: Vec::new(),
            refusal: None,
            hidden: false,
            stopped: false,
        }
    }

    fn start(&mut self, reading: Arc<Reading>) {
        self.reading = reading;
        let disk = self.disk.clone();
        self.event(Event::Started(disk));
    }

    fn observed(&self, kind: KindName) -> Observed {
        let all = self.live.values().filter(|live| live.id.kind == kind).cloned();
        Observed::new(all, Coverage::Complete)
    }

    /// Lets time pass.
    fn pass(&mut self, time: Duration) {
        let end = self.at + time;
        while let Some(at) = self.engine.deadline().filter(|at| *at <= end) {
            self.at = self.at.max(at);
            self.event(Event::Deadline);
        }
        self.at = end;
    }

    /// Answers every run so far.
    fn answer_runs(&mut self, result: &Result<&str, RunError>) -> Vec<Duration> {
        let runs = std::mem::take(&mut self.runs);
        for (ticket, _, _) in &runs {
            let result = result.clone().map(str::to_owned);
            self.event(Event::Ran { ticket: *ticket, result });
        }
        runs.into_iter().map(|(_, _, at)| at).collect()
    }

    fn status(&self) -> reconciler::engine::Status {
        self.engine.status(self.now())
    }
}

fn refused(code: CallCode) -> CallError {
    CallError { code, message: "no".into() }
}

const RUN: Mode = Mode::Run;

fn us_only(mode: Labels) -> Rules {
    rules(mode, items(&[&[("env", "prod")], &[("env", "test"), ("region", "us-*")]]))
}

fn one() -> Arc<Reading> {
    reading(vec![resource("a", r#"{"env":"test"}"#, &dynamic("region", ""))])
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_value_registers_and_unregisters() {
    let mut bench = Bench::new(us_only(Labels::Resolve), RUN, State::default());
    bench.start(one());
    bench.pass(5 * SECOND);
    assert!(bench.writes.is_empty(), "unknown is not unmatched, nor matched: {:?}", bench.writes);
    assert_eq!(bench.runs.len(), 1, "it goes at once, and never twice at a time");
    assert_eq!(bench.status().resources["kube_cluster/a"].state, "waiting");
    bench.answer_runs(&Ok("us-1"));
    bench.pass(SECOND);
    let created = "create a (missing, matches item 2: env=test, region=us-1)";
    assert_eq!(bench.writes, [created]);

    bench.pass(70 * SECOND);
    bench.answer_runs(&Ok("eu-1"));
    bench.pass(SECOND);
    assert_eq!(bench.status().pending.len(), 1);
    let because = "label region changed us-1 → eu-1: no selector matches";
    assert!(bench.said.iter().any(|it| it.contains(because)), "{:?}", bench.said);
    bench.pass(30 * SECOND);
    assert_eq!(bench.writes[1..], [format!("delete a ({because})")]);

    bench.pass(60 * SECOND);
    bench.answer_runs(&Ok("us-2"));
    bench.pass(SECOND);
    assert_eq!(bench.writes.len(), 3);
    assert!(bench.writes[2].starts_with("create a (missing, matches item 2"), "{:?}", bench.writes);
}

#[test]
fn a_value_that_flips_back_in_time_changes_nothing() {
    let labels = us_only(Labels::Resolve);
    let config = Config { labels, prune_delay: 100 * SECOND, ..Config::default() };
    let mut bench = Bench::of(AGENT, config, State::default());
    bench.start(one());
    bench.answer_runs(&Ok("us-1"));
    bench.pass(70 * SECOND);
    bench.answer_runs(&Ok("eu-1"));
    bench.pass(70 * SECOND);
    assert_eq!(bench.status().pending.len(), 1);
    bench.answer_runs(&Ok("us-1"));
    bench.pass(70 * SECOND);
    assert!(bench.status().pending.is_empty());
    // It counts anew from the next flip.
    bench.answer_runs(&Ok("eu-1"));
    bench.pass(90 * SECOND);
    assert_eq!(bench.writes.len(), 1, "{:?}", bench.writes);
    bench.pass(20 * SECOND);
    assert_eq!(bench.writes.len(), 2, "{:?}", bench.writes);
}

#[test]
fn runs_come_every_period_and_cost_the_journal_nothing() {
    let mut bench = Bench::new(us_only(Labels::Resolve), RUN, State::default());
    bench.start(one());
    let mut times = Vec::new();
    for _ in 0..120 {
        bench.pass(30 * SECOND);
        times.extend(bench.answer_runs(&Ok("us-1")));
    }
    assert!((55..=66).contains(&times.len()), "{} runs in an hour", times.len());
    assert_eq!(times[0], Duration::ZERO);
    assert!(times.windows(2).all(|pair| pair[1] >= pair[0] + 54 * SECOND), "{times:?}");
    assert!(bench.records <= 2, "{} records", bench.records);
    bench.event(Event::Stop);
    assert!(bench.stopped);
    let known = bench.disk.labels.values().next().unwrap();
    let seen = known.good.as_ref().unwrap().seen;
    assert!(bench.now().wall.since(seen) < 90 * SECOND, "the journal knows the age at the end");

    // The next life begins with it, and nothing is done while the command is on its way.
    let mut next = Bench::new(us_only(Labels::Resolve), RUN, bench.disk.clone());
    next.live = bench.live.clone();
    next.start(one());
    next.pass(11 * SECOND);
    assert!(next.writes.is_empty(), "{:?}", next.writes);
    assert_eq!(next.runs.len(), 1);
    assert_eq!(
        next.status().resources["kube_cluster/a"].labels["region"].value.as_deref(),
        Some("us-1")
    );
}

#[test]
fn a_failure_keeps_the_last_value_and_says_since_when() {
    let mut bench = Bench::new(us_only(Labels::Resolve), RUN, State::default());
    bench.start(one());
    bench.answer_runs(&Ok("us-1"));
    bench.pass(70 * SECOND);
    for _ in 0..5 {
        bench.answer_runs(&Err(RunError::Failed { code: 3 }));
        bench.pass(70 * SECOND);
    }
    assert_eq!(bench.writes.len(), 1, "{:?}", bench.writes);
    assert_eq!(bench.said.iter().filter(|it| it.contains("exit code 3")).count(), 1);
    let label = bench.status().resources["kube_cluster/a"].labels["region"].clone();
    assert_eq!(label.value.as_deref(), Some("us-1"));
    assert!(label.failing_since.is_some() && label.why.unwrap().contains("exit code 3"));
    let records = bench.records;
    bench.answer_runs(&Ok("us-1"));
    bench.pass(SECOND);
    assert_eq!(bench.records, records + 1, "one record for the end of the trouble");
    assert!(bench.status().resources["kube_cluster/a"].labels["region"].failing_since.is_none());
}

/// With `drop`, too: what never had a value has none to lose.
#[test]
fn a_failure_before_the_first_value_leaves_it_unknown() {
    let labels = Rules { on_failure: OnFailure::Drop, ..us_only(Labels::Resolve) };
    let mut bench = Bench::new(labels.clone(), RUN, State::default());
    bench.start(one());
    for _ in 0..3 {
        bench.answer_runs(&Err(RunError::Failed { code: 3 }));
        bench.pass(70 * SECOND);
    }
    assert!(bench.writes.is_empty() && bench.status().pending.is_empty(), "{:?}", bench.writes);
    let status = bench.status().resources["kube_cluster/a"].clone();
    assert_eq!(status.state, "waiting");
    assert!(status.why.unwrap().contains("`region` is not known yet"));
    assert!(status.labels["region"].failing_since.is_some());
    assert_eq!(bench.said.iter().filter(|it| it.contains("its value is not known yet")).count(), 1);

    // So it is in the next life, with a cluster that is ours.
    bench.answer_runs(&Ok("us-1"));
    bench.pass(SECOND);
    assert_eq!(bench.writes.len(), 1, "{:?}", bench.writes);
    let mut disk = bench.disk.clone();
    disk.labels.clear();
    let mut next = Bench::new(labels, RUN, disk);
    next.live = bench.live.clone();
    next.start(one());
    next.answer_runs(&Err(RunError::Failed { code: 3 }));
    next.pass(300 * SECOND);
    assert!(next.writes.is_empty() && next.status().pending.is_empty(), "{:?}", next.writes);

    // One that had a value loses it.
    next.answer_runs(&Ok("us-1"));
    next.pass(70 * SECOND);
    next.answer_runs(&Err(RunError::Failed { code: 3 }));
    next.pass(20 * SECOND);
    let because = "label region=us-1 removed: no selector matches";
    assert_eq!(next.writes, [format!("delete a ({because})")]);
}

/// What bears our mark and is declared is ours, though the journal was lost: it is unregistered
/// like anything of ours as soon as its labels are known, and not before.
#[test]
fn a_lost_journal_leaves_nothing_registered_for_good() {
    let mut bench = Bench::new(us_only(Labels::Resolve), RUN, State::default());
    bench.start(one());
    bench.answer_runs(&Ok("us-1"));
    bench.pass(SECOND);
    let mut next = Bench::new(us_only(Labels::Resolve), RUN, State::default());
    next.live = bench.live.clone();
    next.start(one());
    next.pass(300 * SECOND);
    assert!(next.writes.is_empty() && next.disk.inventory.is_empty(), "nobody knows the label");
    next.answer_runs(&Ok("eu-1"));
    next.pass(2 * SECOND);
    assert!(next.disk.inventory.contains_key(&id("a")), "it is ours again");
    assert_eq!(next.status().pending.len(), 1);
    assert!(next.writes.is_empty(), "it has its pending period: {:?}", next.writes);
    next.pass(30 * SECOND);
    let because = "label region changed us-1 → eu-1: no selector matches";
    assert_eq!(next.writes, [format!("delete a ({because})")]);
    assert!(next.disk.inventory.is_empty());

    // Within the pending period it may flip back, and stays.
    let mut next = Bench::new(us_only(Labels::Resolve), RUN, State::default());
    next.live = bench.live.clone();
    next.start(one());
    next.answer_runs(&Ok("us-1"));
    next.pass(300 * SECOND);
    assert!(next.writes.is_empty() && next.status().pending.is_empty(), "{:?}", next.writes);

    // What bears no mark, or another's, or is not declared, stays.
    for agent in ["east", ""] {
        let mut next = Bench::new(us_only(Labels::Resolve), RUN, State::default());
        next.live = bench.live.clone();
        next.live.get_mut("a").unwrap().owner = Some(agent.to_owned()).filter(|it| !it.is_empty());
        next.start(one());
        next.answer_runs(&Ok("eu-1"));
        next.pass(300 * SECOND);
        assert!(next.writes.is_empty() && next.disk.inventory.is_empty(), "{agent}");
    }
    let mut next = Bench::new(us_only(Labels::Resolve), RUN, State::default());
    next.live = bench.live.clone();
    next.start(reading(vec![resource("b", r#"{"env":"test"}"#, "{}")]));
    next.pass(300 * SECOND);
    assert!(next.writes.is_empty() && next.disk.inventory.is_empty(), "{:?}", next.writes);
}

#[test]
fn what_is_not_allowed_never_runs_and_many_wait_their_turn() {
    let mut all = vec![resource("no", r#"{"env":"test"}"#, &dynamic("other", ""))];
    let count = MAX_COMMANDS * 2;
    for number in 0..count {
        let spec = dynamic(&format!("word{number}"), "");
        all.push(resource(&format!("k{number}"), r#"{"env":"test"}"#, &spec));
    }
    let words: Vec<String> = (0..count).map(|number| format!("say word{number}")).collect();
    let mut rules = us_only(Labels::Resolve);
    rules.allow = reconciler::labels::allow::Allow::new(&words).unwrap();
    let mut bench = Bench::new(rules, RUN, State::default());
    bench.start(reading(all));
    bench.pass(SECOND);
    assert_eq!(bench.runs.len(), MAX_COMMANDS);
    bench.answer_runs(&Ok("us-1"));
    assert_eq!(bench.runs.len(), MAX_COMMANDS, "the others follow at once");
    bench.answer_runs(&Ok("us-1"));
    bench.pass(10 * SECOND);
    assert_eq!(bench.writes.len(), count);
    let why = bench.status().resources["kube_cluster/no"].labels["region"].why.clone().unwrap();
    assert!(why.contains("to allow it, add"), "{why}");
}

#[test]
fn forwarding_sends_the_last_value_and_then_holds_still() {
    let mut bench = Bench::new(us_only(Labels::Forward), RUN, State::default());
    bench.start(one());
    bench.answer_runs(&Ok("us-1"));
    bench.pass(600 * SECOND);
    assert_eq!(bench.writes.len(), 1, "{:?}", bench.writes);
    assert!(bench.live["a"].canonical.contains(r#""result":"us-1""#));
    bench.answer_runs(&Ok("us-2"));
    bench.pass(600 * SECOND);
    assert_eq!(bench.writes.len(), 2, "{:?}", bench.writes);
    assert!(bench.live["a"].canonical.contains(r#""result":"us-2""#));
}

#[test]
fn a_single_pass_runs_each_command_once_and_waits_for_it() {
    let once = Mode::Once;
    let mut bench = Bench::new(us_only(Labels::Resolve), once, State::default());
    bench.start(one());
    bench.pass(20 * SECOND);
    assert!(!bench.stopped, "the command is still on its way");
    assert_eq!(bench.answer_runs(&Ok("us-1")).len(), 1);
    bench.pass(20 * SECOND);
    assert!(bench.stopped && bench.writes.len() == 1, "{:?}", bench.writes);
    assert_eq!(bench.engine.outcome(), Outcome::Converged);

    let mut bench = Bench::new(us_only(Labels::Resolve), once, State::default());
    bench.start(one());
    bench.answer_runs(&Err(RunError::Failed { code: 1 }));
    bench.pass(20 * SECOND);
    assert!(bench.stopped && bench.writes.is_empty(), "{:?}", bench.writes);
    assert_eq!(bench.engine.outcome(), Outcome::Incomplete, "somebody must look at the command");
}

#[test]
fn what_is_hidden_is_told_and_not_tried_again() {
    let mut bench = Bench::new(Rules::default(), RUN, State::default());
    bench.refusal = Some(CallCode::AlreadyExists);
    bench.hidden = true;
    bench.start(reading(vec![resource("a", "{}", "{}")]));
    bench.pass(300 * SECOND);
    assert_eq!(bench.writes.len(), 1, "{:?}", bench.writes);
    let error = bench.status().resources["kube_cluster/a"].error.clone().unwrap();
    assert!(error.contains("hidden from this identity"), "{error}");
    assert!(error.contains("kubernetes_labels"), "{error}");
    // An edit is a reason to try again.
    bench.reading = reading(vec![resource("a", r#"{"env":"x"}"#, "{}")]);
    bench.event(Event::SourceChanged);
    bench.pass(10 * SECOND);
    assert_eq!(bench.writes.len(), 2, "{:?}", bench.writes);
}

#[test]
fn a_refusal_that_reads_do_not_explain_is_said_and_not_repeated() {
    let mut bench = Bench::new(Rules::default(), RUN, State::default());
    bench.refusal = Some(CallCode::AlreadyExists);
    bench.start(reading(vec![resource("a", "{}", "{}")]));
    bench.pass(600 * SECOND);
    assert!(bench.writes.len() > 2, "{:?}", bench.writes);
    let said: Vec<_> = bench.said.iter().filter(|it| it.contains("kube_cluster/a")).collect();
    let [first, second] = &said[..] else { panic!("{said:?}") };
    assert!(first.contains("cannot create: AlreadyExists: no"), "{first}");
    assert!(second.contains("nothing of that name can be seen"), "{second}");
}

#[test]
fn a_cluster_moves_from_one_agent_to_the_other() {
    let selectors = |region| rules(Labels::Resolve, items(&[&[("region", region)]]));
    let mut west = Bench::new(selectors("us-west"), RUN, State::default());
    let config = Config { labels: selectors("us-east"), ..Config::default() };
    let mut east = Bench::of("east", config, State::default());
    let at =
        |region: &str| reading(vec![resource("a", &format!(r#"{{"region":"{region}"}}"#), "{}")]);
    west.start(at("us-west"));
    west.pass(SECOND);
    assert_eq!(west.writes.len(), 1);
    // Both see the edit. East meets what bears the mark of the other, and waits.
    east.live = west.live.clone();
    east.start(at("us-east"));
    east.pass(4 * SECOND);
    assert!(east.writes.is_empty(), "{:?}", east.writes);
    let why = east.status().resources["kube_cluster/a"].why.clone().unwrap();
    assert!(why.contains(AGENT), "{why}");
    west.reading = at("us-east");
    west.event(Event::SourceChanged);
    west.pass(10 * SECOND);
    assert!(west.writes[1].starts_with("delete a (label region changed"), "{:?}", west.writes);
    // It is gone: East takes its turn at once.
    east.live.clear();
    east.event(Event::Gone(id("a")));
    east.pass(SECOND);
    assert_eq!(east.writes, ["create a (missing, matches item 1: region=us-east)"]);
    west.pass(600 * SECOND);
    assert_eq!(west.writes.len(), 2, "and West leaves it alone: {:?}", west.writes);
}
