//! Writes that do not last, by hand: the engine against a server that keeps something else,
//! and against another writer.
#![expect(clippy::unwrap_used, clippy::panic, reason = "test code")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use reconciler::engine::{Config, Effect, Engine, Event, FUTILE_MAX, LASTING, Mode, Outcome};
use reconciler::journal::State;
use reconciler::kind::{self, Kind, canonical};
use reconciler::live::{Coverage, Observed, Written};
use reconciler::manifest::{Directives, Manifest, Reading};
use reconciler::model::{Cluster, FingerprintKey, Live, Place, Resource, Revision, Value};
use reconciler::plan::Action;

use crate::by_hand::ByHand;

const KEY: FingerprintKey = FingerprintKey([7; 32]);
const AGENT: &str = "reconciler";

/// What the server makes of what it is sent.
pub(crate) type Keep = fn(&mut Value);

/// A server that answers at once and keeps what it likes.
pub(crate) struct Bench {
    engine: Engine,
    at: Duration,
    pub(crate) reading: Arc<Reading>,
    pub(crate) live: BTreeMap<String, Live>,
    keep: Keep,
    /// Whether writes and reads tell a revision.
    revisions: bool,
    /// Whether the watch says what was sent before it says what is kept.
    shows: bool,
    pub(crate) writes: Vec<(Duration, String)>,
    said: Vec<String>,
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
                let all = self.live.values().filter(|live| live.id.kind == kind).cloned();
                let observed = Observed::new(all, Coverage::Complete);
                vec![Event::Listed { cluster, kind, ticket, observed }]
            }
            Effect::Fetch { ticket, id } => {
                let result = Ok(self.live.get(&*id.name).cloned());
                vec![Event::Fetched { ticket, id, result }]
            }
            Effect::Journal { ticket, records: _ } => vec![Event::Journaled(ticket)],
            Effect::Write { op, step } => {
                let name = step.id.name.to_string();
                self.writes.push((self.at, format!("{} {name}", step.action.verb())));
                let (Action::Create { after } | Action::Update { after, .. }) = &step.action else {
                    self.live.remove(&name);
                    let done = Event::Wrote { op, result: Ok(Written { revision: None }) };
                    return vec![done, Event::Gone(step.id.clone())];
                };
                let sent = self.stored(after, |_| {});
                let live = self.stored(after, self.keep);
                self.live.insert(name, live.clone());
                let revision = live.revision.clone();
                let mut events = vec![Event::Wrote { op, result: Ok(Written { revision }) }];
                if self.shows {
                    events.push(Event::Put(sent));
                }
                events.push(Event::Put(live));
                events
            }
            Effect::Say(notice) => {
                self.said.push(notice.text);
                Vec::new()
            }
            Effect::Stopped => {
                self.stopped = true;
                Vec::new()
            }
            Effect::Run { .. } | Effect::Answer { .. } => Vec::new(),
        }
    }
}

impl Bench {
    fn new(mode: Mode, reading: Arc<Reading>, keep: Keep) -> Self {
        Self::with(Config { mode, ..Config::default() }, reading, keep)
    }

    pub(crate) fn with(config: Config, reading: Arc<Reading>, keep: Keep) -> Self {
        let engine = Engine::new(config, KEY, fastrand::Rng::with_seed(1));
        Self {
            engine,
            at: Duration::ZERO,
            reading,
            live: BTreeMap::new(),
            keep,
            revisions: true,
            shows: false,
            writes: Vec::new(),
            said: Vec::new(),
            stopped: false,
        }
    }

    fn start(self) -> Self {
        self.start_from(State::default())
    }

    pub(crate) fn start_from(mut self, state: State) -> Self {
        self.event(Event::Started(state));
        self
    }

    /// What is there after a write, by anybody.
    pub(crate) fn stored(&self, after: &Resource, keep: impl Fn(&mut Value)) -> Live {
        let kind = row(after);
        let wire = canonical::encode(kind, after, None, AGENT).unwrap();
        let mut value = canonical::to_value(kind, &wire).unwrap();
        keep(&mut value);
        let wire = canonical::from_value(kind, &value).unwrap();
        let mut live = canonical::decode(kind, Cluster::Parent, wire, &KEY).unwrap();
        live.revision =
            self.revisions.then(|| Revision(format!("r{}", self.writes.len()).as_str().into()));
        live
    }

    pub(crate) fn run(&mut self, time: Duration) {
        let end = self.at + time;
        while !self.stopped {
            let Some(at) = self.engine.deadline().filter(|at| *at <= end) else {
                self.at = end;
                return;
            };
            self.at = self.at.max(at);
            self.event(Event::Deadline);
        }
    }

    /// Somebody writes it by hand.
    fn drift(&mut self, name: &str, how: Keep) {
        let after = self.reading.manifests.values().find(|it| &*it.resource.id.name == name);
        let after = Arc::clone(&after.unwrap().resource);
        let mut live = self.stored(&after, how);
        live.revision = Some(Revision(format!("hand {}", self.at.as_millis()).as_str().into()));
        self.live.insert(name.to_owned(), live.clone());
        self.event(Event::Put(live));
    }

    /// Writes so far to a resource.
    fn count(&self, name: &str) -> usize {
        self.writes.iter().filter(|(_, what)| what.ends_with(name)).count()
    }

    fn state(&self, id: &str) -> (String, Option<String>) {
        let one = self.engine.status(self.now()).resources.remove(id).unwrap();
        (one.state, one.error)
    }
}

fn row(resource: &Resource) -> &'static Kind {
    kind::row(resource.id.kind).unwrap()
}

pub(crate) fn reading(texts: &[&str]) -> Arc<Reading> {
    let mut reading = Reading::default();
    for text in texts {
        let value = Value::from_json(text).unwrap();
        let word = |key| value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let kind = kind::find(&word("kind")).unwrap();
        let name = value.get("metadata").and_then(|it| it.get("name")).and_then(Value::as_str);
        let name = name.unwrap().to_owned();
        let resource = canonical::resource(kind, Cluster::Parent, &name, value, &KEY);
        let at = Place { path: "a.yaml".into(), start: 0, end: 1 };
        let (id, resource) = (resource.id.clone(), Arc::new(resource));
        reading.manifests.insert(id, Manifest { at, resource, directives: Directives::default() });
    }
    let all: Vec<_> = texts.iter().map(|text| text.as_bytes()).collect();
    reading.digest = Some(reconciler::model::Digest::of_parts(all));
    Arc::new(reading)
}

pub(crate) const ROLE: &str = r#"{"kind":"role","version":"v7","metadata":{"name":"r"},"spec":{"allow":{"logins":["a"],"node_labels":{"a":"b"}}}}"#;
const EDITED: &str = r#"{"kind":"role","version":"v7","metadata":{"name":"r"},"spec":{"allow":{"logins":["b"],"node_labels":{"a":"b"}}}}"#;
const USER: &str =
    r#"{"kind":"user","version":"v2","metadata":{"name":"u"},"spec":{"roles":["r"]}}"#;
pub(crate) const BOT: &str =
    r#"{"kind":"bot","version":"v1","metadata":{"name":"b"},"spec":{"roles":["access"]}}"#;
/// Its kubeconfig is a secret.
const KUBE: &str = r#"{"kind":"kube_cluster","version":"v3","metadata":{"name":"k"},"spec":{"kubeconfig":"aHVudGVyMgoN"}}"#;

fn inside<'a>(value: &'a mut Value, path: &[&str]) -> &'a mut BTreeMap<String, Value> {
    let mut value = value;
    for key in path {
        let Value::Map(map) = value else { panic!("no map around {key}") };
        value = map.entry((*key).to_owned()).or_insert_with(Value::map);
    }
    let Value::Map(map) = value else { panic!("no map") };
    map
}

fn no_logins(value: &mut Value) {
    if value.get("kind").and_then(Value::as_str) == Some("role") {
        inside(value, &["spec", "allow"]).remove("logins");
    }
}

fn other_logins(value: &mut Value) {
    let other = Value::List(vec![Value::String("theirs".to_owned())]);
    inside(value, &["spec", "allow"]).insert("logins".to_owned(), other);
}

fn everything(_: &mut Value) {}

const MINUTE: Duration = Duration::from_mins(1);

#[test]
fn what_the_server_does_not_keep_is_written_a_few_times_and_held() {
    let mut bench = Bench::new(Mode::Run, reading(&[ROLE]), no_logins).start();
    bench.run(MINUTE);
    assert_eq!(bench.count("r"), 1 + FUTILE_MAX as usize, "{:?}", bench.writes);
    let (state, error) = bench.state("role/r");
    assert_eq!(state, "backing off");
    let error = error.unwrap();
    assert!(
        error.contains("Teleport does not keep `spec.allow.logins` (wrote [\"a\"], reads nothing)"),
        "{error}"
    );
    assert!(error.contains("when its manifest or it changes"), "{error}");
    assert!(bench.said.iter().any(|it| it.contains(&error)), "{:?}", bench.said);
    // Seldom from now on: once in ten minutes or so, for ever.
    bench.run(Duration::from_hours(2));
    let later = bench.count("r") - 1 - FUTILE_MAX as usize;
    assert!((9..=16).contains(&later), "{later} in two hours");
}

#[test]
fn a_kind_without_revisions_is_held_too() {
    let keep: Keep = |value| {
        let other = Value::String("30h0m0s".to_owned());
        inside(value, &["spec"]).insert("max_session_ttl".to_owned(), other);
    };
    let mut bench = Bench::new(Mode::Run, reading(&[BOT]), keep);
    bench.revisions = false;
    let mut bench = bench.start();
    bench.run(Duration::from_mins(3));
    assert_eq!(bench.count("b"), 1 + FUTILE_MAX as usize, "{:?}", bench.writes);
    let error = bench.state("bot/b").1.unwrap();
    assert!(error.contains("what is written does not stay: `spec.max_session_ttl`"), "{error}");
}

#[test]
fn a_single_pass_ends_and_says_why() {
    let mut bench = Bench::new(Mode::Once, reading(&[ROLE]), no_logins).start();
    bench.run(MINUTE);
    assert!(bench.stopped);
    assert_eq!(bench.engine.outcome(), Outcome::Incomplete);
    assert!(bench.said.iter().any(|it| it.contains("does not keep `spec.allow.logins`")));
    assert!(bench.writes.len() <= 1 + FUTILE_MAX as usize);
}

#[test]
fn what_refers_to_a_held_resource_goes_on() {
    let mut bench = Bench::new(Mode::Run, reading(&[ROLE]), no_logins).start();
    bench.run(MINUTE);
    bench.reading = reading(&[ROLE, USER]);
    bench.event(Event::SourceChanged);
    bench.run(MINUTE);
    assert_eq!(bench.count("u"), 1);
}

#[test]
fn an_edit_ends_the_waiting() {
    let mut bench = Bench::new(Mode::Run, reading(&[ROLE]), no_logins).start();
    bench.run(MINUTE);
    let before = bench.count("r");
    bench.reading = reading(&[EDITED]);
    bench.keep = everything;
    bench.event(Event::SourceChanged);
    bench.run(Duration::from_secs(10));
    assert_eq!(bench.count("r"), before + 1);
    assert_eq!(bench.state("role/r"), ("in sync".to_owned(), None));
}

#[test]
fn another_hand_that_mends_it_ends_the_waiting() {
    let mut bench = Bench::new(Mode::Run, reading(&[ROLE]), no_logins).start();
    bench.run(MINUTE);
    let before = bench.count("r");
    bench.drift("r", everything);
    bench.run(MINUTE);
    assert_eq!(bench.count("r"), before);
    assert_eq!(bench.state("role/r"), ("in sync".to_owned(), None));
}

#[test]
fn a_change_by_hand_is_undone_at_once() {
    let mut bench = Bench::new(Mode::Run, reading(&[ROLE]), everything).start();
    for round in 1..=3 {
        bench.run(LASTING + MINUTE);
        bench.drift("r", other_logins);
        bench.run(Duration::from_millis(100));
        assert_eq!(bench.count("r"), 1 + round, "{:?}", bench.writes);
    }
    // Not even the second time within minutes it waits.
    bench.run(MINUTE);
    bench.drift("r", other_logins);
    bench.run(Duration::from_millis(100));
    assert_eq!(bench.count("r"), 5, "{:?}", bench.writes);
}

#[test]
fn a_fight_slows_down_and_never_ends_for_good() {
    let mut bench = Bench::new(Mode::Run, reading(&[ROLE]), other_logins);
    bench.shows = true;
    let mut bench = bench.start();
    bench.run(Duration::from_hours(1));
    let times: Vec<_> = bench.writes.iter().map(|(at, _)| *at).collect();
    assert!((15..40).contains(&times.len()), "{times:?}");
    let pauses: Vec<_> = times.windows(2).map(|two| two[1].saturating_sub(two[0])).collect();
    assert!(pauses.iter().all(|pause| *pause <= Duration::from_mins(6)), "{pauses:?}");
    assert!(pauses.last().unwrap() > &Duration::from_mins(2), "{pauses:?}");
    let error = bench.state("role/r").1.unwrap();
    assert!(error.contains("somebody else writes it, too"), "{error}");
    assert!(error.contains("`spec.allow.logins[0]` (wrote \"a\", reads \"theirs\")"), "{error}");
}

#[test]
fn a_single_pass_does_not_fight_for_ever() {
    let mut bench = Bench::new(Mode::Once, reading(&[ROLE]), other_logins);
    bench.shows = true;
    let mut bench = bench.start();
    bench.run(Duration::from_mins(5));
    assert!(bench.stopped);
    assert_eq!(bench.engine.outcome(), Outcome::Incomplete);
}

#[test]
fn secrets_are_told_as_fingerprints() {
    let keep: Keep = |value| {
        let other = Value::String("bm90aGluZwo=".to_owned());
        inside(value, &["spec"]).insert("kubeconfig".to_owned(), other);
    };
    let mut bench = Bench::new(Mode::Run, reading(&[KUBE]), keep).start();
    bench.run(Duration::from_mins(3));
    assert_eq!(bench.count("k"), 1 + FUTILE_MAX as usize, "{:?}", bench.writes);
    let all = format!("{:?} {:?}", bench.said, bench.engine.status(bench.now()));
    assert!(all.contains("`spec.kubeconfig` (wrote \\\"(secret "), "{all}");
    for secret in ["aHVudGVyM", "hunter2", "bm90aGluZwo"] {
        assert!(!all.contains(secret), "{all}");
    }
}
