//! Deletes, by hand: what a moving source and a lagging server have to say about them.

use std::sync::Arc;
use std::time::Duration;

use reconciler::engine::{Config, Event};
use reconciler::journal::{Entry, OpId, Open, State};
use reconciler::manifest::Reading;
use reconciler::model::{ResourceId, Timestamp, Verb};

use crate::by_hand::ByHand as _;
use crate::futile::{BOT, Bench, ROLE, reading};

const STAYS: &str = r#"{"kind":"role","version":"v7","metadata":{"name":"stays"},"spec":{"allow":{"logins":["a"]}}}"#;

/// Long after any delay of these tests, long before the next resync.
const LATER: Duration = Duration::from_mins(1);

fn bench(prune_delay: Duration, reading: Arc<Reading>) -> Bench {
    Bench::with(Config { prune_delay, ..Config::default() }, reading, |_| {})
}

fn became(bench: &mut Bench, reading: Arc<Reading>) {
    bench.reading = reading;
    bench.event(Event::SourceChanged);
}

/// When something was done.
fn done(bench: &Bench, what: &str) -> Option<Duration> {
    bench.writes.iter().find(|(_, it)| it == what).map(|(at, _)| *at)
}

#[test]
fn a_file_that_is_restored_while_its_reading_is_still_due_is_not_deleted() {
    let both = reading(&[ROLE, STAYS]);
    let mut bench = bench(Duration::from_secs(10), Arc::clone(&both)).start_from(State::default());
    bench.run(LATER);
    became(&mut bench, reading(&[STAYS]));
    // It is read after 0.25 s, and due 10 s later: between this hint and its reading.
    bench.run(Duration::from_millis(10_100));
    became(&mut bench, both);
    bench.run(LATER);
    assert_eq!(done(&bench, "delete r"), None, "{:?}", bench.writes);
}

#[test]
fn a_source_that_never_rests_does_not_keep_what_it_lacks() {
    let mut bench = bench(Duration::from_secs(10), reading(&[ROLE, STAYS]));
    bench = bench.start_from(State::default());
    bench.run(LATER);
    bench.reading = reading(&[STAYS]);
    for _ in 0..250 {
        bench.event(Event::SourceChanged);
        bench.run(Duration::from_millis(100));
    }
    let at = done(&bench, "delete r").and_then(|at| at.checked_sub(LATER)).unwrap();
    // It is read after five seconds at the latest, waits for ten, and is read once more.
    assert!(at <= Duration::from_secs(21), "{at:?}");
}

#[test]
fn a_list_without_news_lets_a_delete_go_that_waited_for_it() {
    let mut bench = bench(Duration::ZERO, reading(&[BOT, STAYS])).start_from(State::default());
    bench.run(LATER);
    assert!(done(&bench, "create b").is_some(), "{:?}", bench.writes);
    became(&mut bench, reading(&[STAYS]));
    bench.run(Duration::from_secs(2));
    assert!(done(&bench, "delete b").is_some(), "{:?}", bench.writes);
}

/// What the journal says of roles that were applied as they are declared.
fn known(reading: &Reading) -> State {
    let mut state = State::default();
    for (id, manifest) in &reading.manifests {
        let applied = Arc::clone(&manifest.resource.canonical);
        let entry = Entry { applied, adopted: false, path: "a.yaml".to_owned(), keep: false };
        state.inventory.insert(id.clone(), entry);
    }
    state
}

#[test]
fn what_was_created_just_before_a_restart_is_not_forgotten_because_a_read_lags() {
    let before = reading(&[ROLE, STAYS]);
    let mut bench = bench(Duration::from_secs(10), reading(&[STAYS]));
    let stays = before.manifests.values().find(|it| &*it.resource.id.name == "stays").unwrap();
    let gone = before.manifests.values().find(|it| &*it.resource.id.name == "r").unwrap();
    let live = bench.stored(&stays.resource, |_| {});
    bench.live.insert("stays".to_owned(), live);
    bench = bench.start_from(known(&before));
    bench.run(Duration::from_secs(1));
    // It was there all the time.
    let live = bench.stored(&gone.resource, |_| {});
    bench.live.insert("r".to_owned(), live.clone());
    bench.event(Event::Put(live));
    bench.run(LATER);
    assert!(done(&bench, "delete r").is_some(), "{:?}", bench.writes);
}

#[test]
fn what_a_person_approved_does_not_count_after_a_restart() {
    let name = |number: usize| STAYS.replace("stays", &format!("r{number}"));
    let texts: Vec<String> = (0..8).map(name).collect();
    let all: Vec<&str> = texts.iter().map(String::as_str).collect();
    let before = reading(&all);
    let mut bench = bench(Duration::from_secs(10), reading(&all[6..]));
    for manifest in before.manifests.values().skip(5) {
        let live = bench.stored(&manifest.resource, |_| {});
        bench.live.insert(live.id.name.to_string(), live);
    }
    let mut state = known(&before);
    let approved: Vec<ResourceId> = before.manifests.keys().take(5).cloned().collect();
    for (op, id) in (0..).zip(approved) {
        let (id, at) = (id.to_string(), Timestamp(1_699_999_999_000));
        let open = Open { id, verb: Verb::Delete, entry: None, before: None, approved: true, at };
        state.open.insert(OpId(op), open);
    }
    state.next_op = 5;
    bench = bench.start_from(state);
    bench.run(LATER);
    assert!(done(&bench, "delete r5").is_some(), "{:?}", bench.writes);
}
