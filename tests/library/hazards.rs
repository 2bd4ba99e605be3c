//! The engine by hand, where lists, reads or the server's word go wrong in the worst moment.
#![expect(clippy::unwrap_used, reason = "test code")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use reconciler::engine::{Config, Effect, Engine, Event, Mode, Outcome, Status};
use reconciler::journal::{OpId, Open, State};
use reconciler::kind::{self, canonical};
use reconciler::live::{Coverage, ListFailure, Observed, Written};
use reconciler::manifest::{Directives, Manifest, Reading};
use reconciler::model::{
    Cluster, Digest, FingerprintKey, Live, Place, Resource, Revision, Timestamp, Value, Verb,
};
use reconciler::plan::{Action, Step};
use reconciler::port::{CallCode, CallError};

use crate::by_hand::ByHand;

const KEY: FingerprintKey = FingerprintKey([7; 32]);
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_mins(1);

/// How one list of a kind goes.
#[derive(Clone, Copy)]
enum Listing {
    Whole,
    /// Complete, by its own word, and without a single resource.
    Empty,
    Failed(ListFailure),
    /// Not answered before somebody lets it go.
    Held,
}

/// A world that answers at once, unless it is told otherwise.
struct World {
    engine: Engine,
    at: Duration,
    reading: Arc<Reading>,
    live: BTreeMap<String, Live>,
    disk: State,
    /// What the server says to a write instead of doing it.
    refuse: fn(&Step) -> Option<CallCode>,
    /// By kind, and by the number of its list, from 1.
    list: fn(&str, usize) -> Listing,
    lists: BTreeMap<String, usize>,
    /// What reads of one resource fail with.
    fetch: Option<CallCode>,
    hold_writes: bool,
    held: Vec<Event>,
    watch_dies: bool,
    /// What the server makes of what it is sent.
    keep: fn(&mut Value),
    writes: Vec<String>,
    stopped: bool,
}

impl ByHand for World {
    fn engine(&mut self) -> &mut Engine {
        &mut self.engine
    }

    fn at(&self) -> Duration {
        self.at
    }

    fn answer(&mut self, effect: Effect) -> Vec<Event> {
        match effect {
            Effect::ReadSource => vec![Event::SourceRead(Ok(Arc::clone(&self.reading)))],
            Effect::Watch { kinds } if self.watch_dies => {
                vec![Event::WatchOpened(kinds), Event::WatchLost("it ended".to_owned())]
            }
            Effect::Watch { kinds } => vec![Event::WatchOpened(kinds)],
            Effect::List { cluster, kind, ticket } => {
                let number = self.lists.entry(kind.to_string()).or_insert(0);
                *number += 1;
                let how = (self.list)(kind.as_str(), *number);
                let all = self.live.values().filter(|live| live.id.kind == kind).cloned();
                let observed = match how {
                    Listing::Whole | Listing::Held => Observed::new(all, Coverage::Complete),
                    Listing::Empty => Observed::new([], Coverage::Complete),
                    Listing::Failed(lack) => {
                        let mut observed = Observed::unknown("");
                        observed.degrade("it cannot be listed", lack);
                        observed
                    }
                };
                let listed = Event::Listed { cluster, kind, ticket, observed };
                self.unless(matches!(how, Listing::Held), vec![listed])
            }
            Effect::Fetch { ticket, id } => {
                let result = match self.fetch {
                    Some(code) => Err(CallError { code, message: "no".to_owned() }),
                    None => Ok(self.live.get(&id.to_string()).cloned()),
                };
                vec![Event::Fetched { ticket, id, result }]
            }
            Effect::Journal { ticket, records } => {
                for record in &records {
                    self.disk.replay(record).unwrap();
                }
                vec![Event::Journaled(ticket)]
            }
            Effect::Write { op, step } => {
                self.writes.push(format!("{} {}", step.action.verb(), step.id));
                if let Some(code) = (self.refuse)(&step) {
                    let result = Err(CallError { code, message: "no".to_owned() });
                    return vec![Event::Wrote { op, result }];
                }
                let (Action::Create { after } | Action::Update { after, .. }) = &step.action else {
                    self.live.remove(&step.id.to_string());
                    let done = Event::Wrote { op, result: Ok(Written { revision: None }) };
                    return vec![done, Event::Gone(step.id.clone())];
                };
                let live = self.stored(after);
                self.live.insert(step.id.to_string(), live.clone());
                let result = Ok(Written { revision: live.revision.clone() });
                self.unless(self.hold_writes, vec![Event::Wrote { op, result }, Event::Put(live)])
            }
            Effect::Stopped => {
                self.stopped = true;
                Vec::new()
            }
            Effect::Say(_) | Effect::Answer { .. } | Effect::Run { .. } => Vec::new(),
        }
    }
}

impl World {
    fn new(mode: Mode, reading: Arc<Reading>, (disk, live): Made) -> Self {
        let config = Config { mode, ..Config::default() };
        Self {
            engine: Engine::new(config, KEY, fastrand::Rng::with_seed(1)),
            at: Duration::ZERO,
            reading,
            live,
            disk,
            refuse: |_| None,
            list: |_, _| Listing::Whole,
            lists: BTreeMap::new(),
            fetch: None,
            hold_writes: false,
            held: Vec::new(),
            watch_dies: false,
            keep: |_| {},
            writes: Vec::new(),
            stopped: false,
        }
    }

    fn start(&mut self, time: Duration) {
        self.event(Event::Started(self.disk.clone()));
        self.run(time);
    }

    fn run(&mut self, time: Duration) {
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

    fn became(&mut self, reading: Arc<Reading>, time: Duration) {
        self.reading = reading;
        self.event(Event::SourceChanged);
        self.run(time);
    }

    /// Keeps events back, if so.
    fn unless(&mut self, held: bool, events: Vec<Event>) -> Vec<Event> {
        if !held {
            return events;
        }
        self.held.extend(events);
        Vec::new()
    }

    fn stored(&self, after: &Resource) -> Live {
        let kind = kind::row(after.id.kind).unwrap();
        let wire = canonical::encode(kind, after, None, "reconciler").unwrap();
        let mut value = canonical::to_value(kind, &wire).unwrap();
        (self.keep)(&mut value);
        let wire = canonical::from_value(kind, &value).unwrap();
        let mut live = canonical::decode(kind, Cluster::Parent, wire, &KEY).unwrap();
        live.revision = Some(Revision(format!("r{}", self.writes.len()).as_str().into()));
        live
    }

    fn status(&self) -> Status {
        self.engine.status(self.now())
    }

    fn has(&self, write: &str) -> bool {
        self.writes.iter().any(|it| it == write)
    }
}

/// What a life leaves behind: the journal, and what is there.
type Made = (State, BTreeMap<String, Live>);

fn nothing() -> Made {
    (State::default(), BTreeMap::new())
}

/// What is left behind once all of this was applied.
fn made(texts: &[&str]) -> Made {
    let mut world = World::new(Mode::Run, plain(texts), nothing());
    world.start(MINUTE);
    assert!(world.status().converged, "{:?}", world.status());
    (world.disk, world.live)
}

fn read(texts: &[(&str, Directives)]) -> Arc<Reading> {
    let mut reading = Reading::default();
    for (text, directives) in texts {
        let value = Value::from_json(text).unwrap();
        let kind = kind::find(value.get("kind").and_then(Value::as_str).unwrap()).unwrap();
        let name = value.get("metadata").and_then(|it| it.get("name")).and_then(Value::as_str);
        let name = name.unwrap().to_owned();
        let resource = Arc::new(canonical::resource(kind, Cluster::Parent, &name, value, &KEY));
        let at = Place { path: "a.yaml".into(), start: 0, end: 1 };
        let manifest = Manifest { at, directives: directives.clone(), resource };
        reading.manifests.insert(manifest.resource.id.clone(), manifest);
    }
    let parts: Vec<_> = texts.iter().map(|(text, it)| format!("{text}{it:?}")).collect();
    reading.digest = Some(Digest::of_parts(parts.iter().map(String::as_bytes)));
    Arc::new(reading)
}

fn plain(texts: &[&str]) -> Arc<Reading> {
    let texts: Vec<_> = texts.iter().map(|text| (*text, Directives::default())).collect();
    read(&texts)
}

fn role(name: &str) -> String {
    format!(
        r#"{{"kind":"role","version":"v7","metadata":{{"name":"{name}"}},"spec":{{"allow":{{"logins":["a"],"node_labels":{{"a":"b"}}}}}}}}"#
    )
}

fn user(role: &str) -> String {
    format!(
        r#"{{"kind":"user","version":"v2","metadata":{{"name":"u"}},"spec":{{"roles":["{role}"]}}}}"#
    )
}

const TRUST: &str = r#"{"kind":"trusted_cluster","version":"v2","metadata":{"name":"t"},"spec":{"enabled":true,"token":"abc","tunnel_addr":"x:3024","web_proxy_addr":"x:3080","role_map":[{"remote":"a","local":["stays"]}]}}"#;

fn is_user(step: &Step) -> bool {
    step.id.kind.as_str() == "user"
}

#[test]
fn a_single_pass_ends_when_a_delete_waits_for_one_that_is_refused() {
    let (old, user, stays, other) = (role("r"), user("r"), role("stays"), role("other"));
    let before = made(&[&old, &user, &stays, &other]);
    let mut world = World::new(Mode::Once, plain(&[&stays, &other]), before);
    world.refuse = |step| is_user(step).then_some(CallCode::PermissionDenied);
    world.start(60 * MINUTE);
    assert_eq!((world.stopped, world.engine.outcome()), (true, Outcome::Incomplete));
    assert!(!world.has("delete role/r"), "{:?}", world.writes);
}

#[test]
fn a_single_pass_ends_when_a_delete_waits_for_an_update_that_is_refused() {
    let (old, stays) = (role("r"), role("stays"));
    let before = made(&[&old, &user("r"), &stays]);
    let mut world = World::new(Mode::Once, plain(&[&user("stays"), &stays]), before);
    world.refuse = |step| is_user(step).then_some(CallCode::InvalidArgument);
    world.start(60 * MINUTE);
    assert_eq!((world.stopped, world.engine.outcome()), (true, Outcome::Incomplete));
    assert!(!world.has("delete role/r"), "{:?}", world.writes);
}

#[test]
fn what_was_never_listed_is_not_in_sync() {
    let stays = role("stays");
    let mut world = World::new(Mode::Run, plain(&[&stays]), made(&[&stays]));
    world.list = |kind, _| if kind == "trusted_cluster" { Listing::Held } else { Listing::Whole };
    world.start(MINUTE);
    world.became(plain(&[&stays, TRUST]), 20 * SECOND);
    let status = world.status();
    assert!(!status.converged, "{status:?}");
    let state = status.resources.get("trusted_cluster/t").map(|it| it.state.as_str());
    assert_eq!(state, Some("unknown"));
}

#[test]
fn a_single_pass_does_not_end_before_a_new_kind_was_looked_at() {
    let stays = role("stays");
    let mut world = World::new(Mode::Once, plain(&[&stays]), nothing());
    world.list = |kind, _| if kind == "trusted_cluster" { Listing::Held } else { Listing::Whole };
    world.hold_writes = true;
    world.start(2 * SECOND);
    world.became(plain(&[&stays, TRUST]), SECOND);
    world.hold_writes = false;
    let (lists, writes): (Vec<Event>, Vec<Event>) = std::mem::take(&mut world.held)
        .into_iter()
        .partition(|event| matches!(event, Event::Listed { .. }));
    // The write is answered a second before the list.
    for event in writes {
        world.event(event);
    }
    world.run(SECOND);
    assert!(!world.stopped && !lists.is_empty());
    for event in lists {
        world.event(event);
    }
    world.run(MINUTE);
    assert_eq!(world.engine.outcome(), Outcome::Converged);
    assert!(world.live.contains_key("trusted_cluster/t"), "{:?}", world.writes);
}

#[test]
fn a_single_pass_ends_with_an_operation_in_doubt_that_may_not_be_read() {
    let (user, stays) = (user("stays"), role("stays"));
    let (mut disk, live) = made(&[&stays, &user]);
    let (id, at) = ("user/u".to_owned(), Timestamp(1_699_999_999_000));
    let open = Open { id, verb: Verb::Delete, entry: None, before: None, approved: false, at };
    disk.open.insert(OpId(disk.next_op), open);
    disk.next_op += 1;
    let mut world = World::new(Mode::Once, plain(&[&stays, &user]), (disk, live));
    world.fetch = Some(CallCode::PermissionDenied);
    world.list = |kind, _| match kind {
        "user" => Listing::Failed(ListFailure::NotAllowed),
        _ => Listing::Whole,
    };
    world.start(60 * MINUTE);
    assert_eq!((world.stopped, world.engine.outcome()), (true, Outcome::Incomplete));
    assert_eq!(world.disk.open.len(), 1, "the next life looks again");
}

#[test]
fn a_directive_to_keep_counts_though_its_manifest_is_paused() {
    let (kept, stays) = (role("r"), role("stays"));
    let directives = Directives {
        keep: true,
        paused_until: Some(Timestamp(1_800_000_000_000)),
        ..Directives::default()
    };
    let mut world = World::new(Mode::Run, plain(&[&kept, &stays]), made(&[&kept, &stays]));
    world.start(MINUTE);
    world.became(read(&[(&kept, directives), (&stays, Directives::default())]), MINUTE);
    world.became(plain(&[&stays]), MINUTE);
    assert!(world.writes.is_empty(), "{:?}", world.writes);
}

#[test]
fn a_directive_to_keep_counts_though_the_edit_beside_it_is_refused() {
    let (kept, stays) = (role("r"), role("stays"));
    let keep = Directives { keep: true, ..Directives::default() };
    let edited = kept.replace(r#""logins":["a"]"#, r#""logins":["b"]"#);
    let mut world = World::new(Mode::Run, plain(&[&kept, &stays]), made(&[&kept, &stays]));
    world.refuse = |step| (step.action.verb() == Verb::Update).then_some(CallCode::InvalidArgument);
    world.start(MINUTE);
    world.became(read(&[(&edited, keep), (&stays, Directives::default())]), MINUTE);
    world.became(plain(&[&stays]), MINUTE);
    assert_eq!(world.writes, ["update role/r"]);
}

#[test]
fn a_delete_does_not_overtake_an_update_that_does_not_last() {
    let (old, stays) = (role("r"), role("stays"));
    let before = made(&[&old, &user("r"), &stays]);
    let mut world = World::new(Mode::Run, plain(&[&user("stays"), &stays]), before);
    // Whatever is sent, the user keeps the old role.
    world.keep = |value| {
        let is_user = value.get("kind").and_then(Value::as_str) == Some("user");
        if let Value::Map(all) = value
            && let Some(Value::Map(spec)) = all.get_mut("spec").filter(|_| is_user)
        {
            spec.insert("roles".into(), Value::List(vec![Value::String("r".into())]));
        }
    };
    world.start(20 * MINUTE);
    assert!(world.has("update user/u") && !world.has("delete role/r"), "{:?}", world.writes);
}

#[test]
fn what_may_not_be_listed_does_not_hold_up_an_approved_set() {
    let roles: Vec<String> = (0..6).map(|number| role(&format!("r{number}"))).collect();
    let (user, stays) = (user("stays"), role("stays"));
    let mut all: Vec<&str> = roles.iter().map(String::as_str).collect();
    all.extend([user.as_str(), stays.as_str()]);
    let mut world = World::new(Mode::Run, plain(&all), made(&all));
    world.list = |kind, number| match kind {
        "user" if number > 1 => Listing::Failed(ListFailure::NotAllowed),
        _ => Listing::Whole,
    };
    world.start(10 * SECOND);
    world.event(Event::WatchLost("it ended".to_owned()));
    world.run(30 * SECOND);
    world.became(plain(&[&stays]), MINUTE);
    let hash = world.status().approval.unwrap();
    world.event(Event::Approve { hash, request: 1 });
    world.run(MINUTE);
    assert_eq!(world.writes.len(), 6, "{:?}", world.writes);
    assert!(world.live.contains_key("user/u"));
}

#[test]
fn a_watch_that_is_accepted_and_ends_at_once_is_asked_for_ever_more_seldom() {
    let stays = role("stays");
    let mut world = World::new(Mode::Run, plain(&[&stays]), made(&[&stays]));
    world.watch_dies = true;
    world.start(10 * MINUTE);
    let lists = world.lists.get("role").copied().unwrap();
    assert!(lists < 60, "{lists} lists in ten minutes");
}

#[test]
fn one_list_without_a_resource_does_not_forget_it() {
    let roles: Vec<String> = (0..6).map(|number| role(&format!("r{number}"))).collect();
    let stays = role("stays");
    let mut all: Vec<&str> = roles.iter().map(String::as_str).collect();
    all.push(&stays);
    let mut world = World::new(Mode::Run, plain(&[&stays]), made(&all));
    world.list = |kind, number| match (kind, number) {
        ("role", 4) => Listing::Empty,
        _ => Listing::Whole,
    };
    world.start(60 * MINUTE);
    assert!(world.lists.get("role").is_some_and(|number| *number > 4));
    assert_eq!(world.disk.inventory.len(), 7);
    assert!(world.status().approval.is_some(), "six deletes still wait");
}

#[test]
fn what_two_lists_do_not_show_is_forgotten() {
    let (old, stays) = (role("r"), role("stays"));
    let (disk, mut live) = made(&[&old, &stays]);
    live.remove("role/r");
    let mut world = World::new(Mode::Run, plain(&[&stays]), (disk, live));
    world.start(MINUTE);
    assert_eq!(world.disk.inventory.len(), 1);
    assert!(world.writes.is_empty() && world.status().converged);
}

#[test]
fn what_has_expired_is_not_made_again() {
    // A minute after the start, which is at 22:13:20.
    let role = role("r").replace(r#""name":"r""#, r#""name":"r","expires":"2023-11-14T22:14:20Z""#);
    let mut world = World::new(Mode::Run, plain(&[&role]), nothing());
    world.start(MINUTE);
    let live = world.live.remove("role/r").unwrap();
    world.event(Event::Gone(live.id));
    world.run(10 * MINUTE);
    assert_eq!(world.writes, ["create role/r"]);
    let status = world.status();
    assert!(status.converged, "{status:?}");
    let why = status.resources.get("role/r").and_then(|it| it.why.as_deref()).unwrap();
    assert!(why.contains("expired at 2023-11-14T22:14:20Z"), "{why}");
}

#[test]
fn an_engine_that_is_told_to_stop_does_not_wait_for_ever_for_an_answer() {
    let mut world = World::new(Mode::Run, plain(&[&role("r")]), nothing());
    world.hold_writes = true;
    world.start(2 * SECOND);
    world.event(Event::Stop);
    world.run(9 * SECOND);
    assert!(!world.stopped, "an answer may still come");
    world.run(2 * SECOND);
    assert!(world.stopped);
    assert_eq!(world.disk.open.len(), 1, "the next life reads it back");
}

#[test]
fn a_list_of_a_kind_that_is_only_referred_to_is_tried_again() {
    let stays = role("stays");
    let (_, live) = made(&[&stays]);
    let before = (State::default(), live);
    let mut world = World::new(Mode::Once, plain(&[&user("stays")]), before);
    world.list = |kind, number| match (kind, number) {
        ("role", 1) => Listing::Failed(ListFailure::Transient),
        _ => Listing::Whole,
    };
    world.start(MINUTE);
    assert_eq!(world.engine.outcome(), Outcome::Converged, "{:?}", world.writes);
}

#[test]
fn a_create_in_doubt_that_somebody_edited_meanwhile_is_ours() {
    let (new, stays) = (role("r"), role("stays"));
    let mut world = World::new(Mode::Run, plain(&[&new, &stays]), made(&[&stays]));
    world.refuse = |step| (step.action.verb() == Verb::Create).then_some(CallCode::NoAnswer);
    world.start(2 * SECOND);
    world.keep = |value| {
        if let Value::Map(all) = value
            && let Some(Value::Map(metadata)) = all.get_mut("metadata")
        {
            metadata.insert("description".into(), Value::String("edited".into()));
        }
    };
    let wanted = world.reading.manifests.values().find(|it| &*it.resource.id.name == "r").unwrap();
    let live = world.stored(&Arc::clone(&wanted.resource));
    world.live.insert("role/r".to_owned(), live.clone());
    world.event(Event::Put(live));
    world.became(plain(&[&stays]), 10 * MINUTE);
    assert!(!world.live.contains_key("role/r"), "nobody would ever delete it");
}
