//! The journal: fold, disk, lock, reading without a trace.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "test code")]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use proptest::prelude::*;
use reconciler::adapter::lock::{Lock, LockError};
use reconciler::adapter::memory::Memory;
use reconciler::adapter::offline::Offline;
use reconciler::adapter::sqlite::Sqlite;
use reconciler::journal::{Damaged, Entry, OpId, Outcome, Record, RunId, State, parse_id};
use reconciler::labels::value::{Command, Failing, Good, Known};
use reconciler::model::{Cluster, FingerprintKey, Timestamp, Verb};
use reconciler::port::Storage;

/// One database of each version, newest last.
const FIXTURES: [&str; 3] =
    ["tests/data/journal/v1.db", "tests/data/journal/v2.db", "tests/data/journal/v3.db"];

const NEWEST: &str = FIXTURES[FIXTURES.len() - 1];
const KEY: FingerprintKey = FingerprintKey([7; 32]);

fn entry(applied: &str) -> Entry {
    Entry { applied: applied.into(), adopted: false, path: "a.yaml".into(), keep: false }
}

fn intended(op: u64, id: &str, verb: Verb, approval: Option<&str>) -> Record {
    Record::Intended {
        op: OpId(op),
        run: RunId(op / 2),
        id: id.into(),
        verb,
        reason: "missing".into(),
        before: Some("r1".into()),
        entry: (verb != Verb::Delete).then(|| entry(&format!("{{\"op\":{op}}}"))),
        approval: approval.map(Into::into),
        at: Timestamp(1000),
    }
}

fn settled(op: u64, outcome: Outcome) -> Record {
    Record::Settled { op: OpId(op), outcome, at: Timestamp(5000) }
}

fn done(op: u64) -> Record {
    settled(op, Outcome::Done { revision: Some("r2".into()) })
}

/// One of everything: known kinds, a child's, an unknown kind, an open one, approvals.
fn story() -> Vec<Record> {
    vec![
        intended(0, "role/visitor", Verb::Create, None),
        done(0),
        intended(1, "kube_cluster/mycluster", Verb::Create, None),
        settled(1, Outcome::Refused { error: "InvalidArgument: no".into() }),
        Record::Adopted { id: "lost:role/editor".into(), entry: entry("{}"), at: Timestamp(9) },
        Record::Adopted { id: "gadget/from/later".into(), entry: entry("{}"), at: Timestamp(9) },
        Record::Approved { hash: "old".into(), expires: Timestamp(10), at: Timestamp(5) },
        Record::Approved { hash: "abc".into(), expires: Timestamp(99_000), at: Timestamp(20) },
        Record::Approved { hash: "def".into(), expires: Timestamp(99_000), at: Timestamp(21) },
        Record::Adopted { id: "role/gone".into(), entry: entry("{}"), at: Timestamp(30) },
        intended(2, "role/gone", Verb::Delete, Some("abc")),
        done(2),
        intended(3, "role/visitor", Verb::Update, None),
    ]
}

#[test]
fn a_story_is_folded() {
    let records = story();
    let state = State::fold(&records).unwrap();
    let ids: Vec<String> = state.inventory.keys().map(ToString::to_string).collect();
    assert_eq!(ids, ["role/visitor", "lost:role/editor"]);
    assert_eq!(state.unknown.keys().collect::<Vec<_>>(), ["gadget/from/later"]);
    assert_eq!(state.approvals.keys().collect::<Vec<_>>(), ["def"], "one expired, one was used");
    let open: Vec<_> = state.in_doubt().map(|(op, open)| (op.0, open.id.as_str())).collect();
    assert_eq!(open, [(3, "role/visitor")]);
    assert_eq!((state.next_op, state.next_run), (4, 2));
    assert_eq!(*state.entry("role/visitor").unwrap().applied, *"{\"op\":0}", "3 is not settled");
}

#[test]
fn outcomes_that_changed_nothing_leave_the_inventory() {
    for outcome in [Outcome::NotDone, Outcome::Refused { error: "no".into() }] {
        let mut state = State::default();
        state.apply(&Record::Adopted { id: "role/a".into(), entry: entry("{}"), at: Timestamp(0) });
        state.apply(&intended(0, "role/a", Verb::Delete, None));
        let touched = state.apply(&settled(0, outcome));
        assert!(touched.inventory.is_empty());
        assert!(state.entry("role/a").is_some());
        assert!(state.open.is_empty());
    }
}

#[test]
fn damage_is_told_with_its_position() {
    let twice =
        [intended(4, "role/a", Verb::Create, None), intended(4, "role/b", Verb::Create, None)];
    assert_eq!(State::fold(&twice), Err((1, Damaged::IntendedTwice(OpId(4)))));
    assert_eq!(State::fold(&[done(1)]), Err((0, Damaged::NotOpen(OpId(1)))));
    let last = [intended(u64::MAX, "role/a", Verb::Create, None)];
    assert_eq!(State::fold(&last), Err((0, Damaged::NumberTooLarge(u64::MAX))));
}

#[test]
#[should_panic(expected = "a record of this run follows from the state")]
fn a_record_of_ours_that_cannot_follow_is_a_bug() {
    State::default().apply(&done(1));
}

#[test]
fn ids_come_back_from_their_text() {
    for text in ["role/visitor", "role/a/b:c", "child-1:kube_cluster/x", "trusted_cluster/a.b"] {
        assert_eq!(parse_id(text).unwrap().to_string(), text);
    }
    assert_eq!(parse_id("c:role/x").unwrap().cluster, Cluster::Child("c".into()));
    for text in ["", "role", "role/", "/x", ":role/x", "gadget/x", "Role/x", "a:b:role/x"] {
        assert_eq!(parse_id(text), None, "{text}");
    }
}

fn any_record() -> impl Strategy<Value = Record> {
    let id = prop_oneof![
        Just("role/a".to_owned()),
        Just("c:role/a".to_owned()),
        Just("gadget/a".to_owned()),
        ".{0,12}"
    ];
    let op = prop_oneof![0_u64..6, Just(u64::MAX)];
    let verb =
        prop_oneof![Just(Verb::Create), Just(Verb::Update), Just(Verb::Delete), Just(Verb::Adopt)];
    let outcome = prop_oneof![
        Just(Outcome::NotDone),
        ".{0,8}".prop_map(|error| Outcome::Refused { error }),
        proptest::option::of("[a-z]{1,4}").prop_map(|revision| Outcome::Done { revision }),
    ];
    (0..5, op, id, verb, outcome, any::<i64>(), proptest::option::of("[a-z]{1,3}")).prop_map(
        |(which, op, id, verb, outcome, at, hash)| match which {
            0 => intended(op.min(1000), &id, verb, hash.as_deref()),
            1 => settled(op, outcome),
            2 => Record::Adopted { id, entry: entry("{}"), at: Timestamp(at) },
            3 => Record::Forgotten { id, at: Timestamp(at) },
            _ => Record::Approved {
                hash: hash.unwrap_or_default(),
                expires: Timestamp(at),
                at: Timestamp(at.saturating_sub(5)),
            },
        },
    )
}

proptest! {
    #[test]
    fn any_records_fold_without_a_panic(records in proptest::collection::vec(any_record(), 0..40)) {
        let mut state = State::default();
        for record in &records {
            let before = state.clone();
            match state.replay(record) {
                Err(_) => prop_assert_eq!(&before, &state, "an error changes nothing"),
                Ok(touched) => {
                    // What is not named as touched is as it was.
                    for (id, entry) in &before.inventory {
                        if !touched.inventory.contains(&id.to_string()) {
                            prop_assert_eq!(state.inventory.get(id), Some(entry));
                        }
                    }
                    for (op, open) in &before.open {
                        if !touched.open.contains(op) {
                            prop_assert_eq!(state.open.get(op), Some(open));
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn records_come_back_from_json(record in any_record()) {
        let text = serde_json::to_string(&record).unwrap();
        prop_assert_eq!(serde_json::from_str::<Record>(&text).unwrap(), record);
    }
}

proptest! {
    // Each case writes to a disk, and waits for it.
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn disk_and_memory_agree(records in proptest::collection::vec(any_record(), 0..12)) {
        let dir = tempfile::tempdir().unwrap();
        let disk = Sqlite::open(&dir.path().join("state.db"), &KEY).unwrap();
        let memory = Memory::default();
        for pair in records.chunks(2) {
            prop_assert_eq!(disk.append(pair).is_ok(), memory.append(pair).is_ok());
            prop_assert_eq!(disk.load().unwrap(), memory.load().unwrap());
        }
    }
}

#[test]
fn what_was_appended_is_there_after_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("deep/er/state.db");
    let records = story();
    for record in &records {
        // Opened anew for each: nothing may live in memory alone.
        Sqlite::open(&path, &KEY).unwrap().append(std::slice::from_ref(record)).unwrap();
    }
    let storage = Sqlite::open(&path, &FingerprintKey([9; 32])).unwrap();
    assert_eq!(storage.load().unwrap(), State::fold(&records).unwrap());
    assert_eq!(storage.identity().unwrap().key, KEY, "the first key stays");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&path), 0o600);
    assert_eq!(mode(path.parent().unwrap()), 0o700);
    assert_eq!(mode(&path.with_file_name("state.db-wal")), 0o600);
}

#[test]
fn a_damaged_record_is_refused_whole() {
    let dir = tempfile::tempdir().unwrap();
    let storage = Sqlite::open(&dir.path().join("state.db"), &KEY).unwrap();
    storage.append(&story()).unwrap();
    let before = storage.load().unwrap();
    let error = storage.append(&[done(3), done(3)]).unwrap_err();
    assert!(error.message.contains("operation 3 was settled but is not open"), "{error}");
    assert_eq!(storage.load().unwrap(), before, "the first of the two is not on disk either");
    storage.append(&[done(3)]).unwrap();
}

#[test]
fn history_is_searched_by_resource() {
    let dir = tempfile::tempdir().unwrap();
    let storage = Sqlite::open(&dir.path().join("state.db"), &KEY).unwrap();
    storage.append(&story()).unwrap();
    let lines = storage.history(10, Some("role/gone")).unwrap();
    let kept = |at: usize| {
        // History leaves out what the inventory or the open operation holds.
        let mut record = story()[at].clone();
        if let Record::Intended { entry, .. } = &mut record {
            *entry = None;
        }
        record
    };
    let shown: Vec<_> = lines.iter().map(|line| (&line.record, &line.outcome)).collect();
    let done = Some(Outcome::Done { revision: Some("r2".into()) });
    assert_eq!(shown, [(&kept(10), &done), (&kept(9), &None)]);
    assert_eq!(storage.history(2, None).unwrap().len(), 2);
    let last = storage.history(1, None).unwrap();
    assert_eq!((&last[0].record, &last[0].outcome), (&kept(12), &None), "it is in doubt");
}

#[test]
fn what_settles_a_large_batch_does_not_hide_what_began_it() {
    const BATCH: u64 = 100;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state.db");
    let storage = Sqlite::open(&path, &KEY).unwrap();
    let name = |op: u64| format!("role/rr{op}");
    let begun = (0..BATCH).map(|op| intended(op, &name(op), Verb::Create, None));
    storage.append(&begun.chain((0..BATCH).map(done)).collect::<Vec<_>>()).unwrap();
    for lines in [storage.history(50, None), Offline::history(&path, 50, None).map(Option::unwrap)]
    {
        let lines = lines.unwrap();
        assert_eq!(lines.len(), 50);
        assert!(lines.iter().all(|line| matches!(line.outcome, Some(Outcome::Done { .. }))));
    }
    let one = storage.history(1, Some("role/rr90")).unwrap();
    assert!(matches!(&one[..], [line] if line.outcome.is_some()), "{one:?}");
}

#[test]
fn another_control_plane_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let storage = Sqlite::open(&dir.path().join("state.db"), &KEY).unwrap();
    assert_eq!(storage.identity().unwrap().control_plane, None);
    storage.claim("embedded").unwrap();
    storage.claim("embedded").unwrap();
    let error = storage.claim("parent.teleport.sh sha256:12").unwrap_err().message;
    assert!(error.contains("belongs to the control plane `embedded`"), "{error}");
    assert!(error.contains("`state.path`"), "{error}");
    assert_eq!(storage.identity().unwrap().control_plane.as_deref(), Some("embedded"));
}

/// Makes the fixture of the newest version. Run once per version, by hand:
/// `cargo test --test library make_fixture -- --ignored`.
#[test]
#[ignore = "writes into tests/data; run when the schema gets a new version"]
fn make_fixture() {
    fs::remove_file(NEWEST).unwrap_or_default();
    let storage = Sqlite::open(Path::new(NEWEST), &KEY).unwrap();
    storage.claim("embedded").unwrap();
    storage.append(&story()).unwrap();
    storage.append(&labels()).unwrap();
    storage.append(&unasked()).unwrap();
}

/// What version 2 brought: a value, one that fails, one that was forgotten.
fn labels() -> Vec<Record> {
    let command = |word: &str| Command { dir: "eu".into(), argv: vec!["say".into(), word.into()] };
    let good = |value: &str| Some(Good { value: value.into(), seen: Timestamp(7000) });
    let failing = Some(Failing { since: Timestamp(8000), why: "exit code 1".into() });
    let known = |good, failing| Some(Known { good, failing });
    vec![
        Record::Label { command: command("a"), known: known(good("us-1"), None) },
        Record::Label { command: command("b b"), known: known(good("old"), None) },
        Record::Label { command: command("b b"), known: known(good("new"), failing) },
        Record::Label { command: command("c"), known: known(None, None) },
        Record::Label { command: command("c"), known: None },
    ]
}

/// What version 3 brought: a delete that nobody had approved.
fn unasked() -> Vec<Record> {
    vec![
        Record::Adopted { id: "role/c".into(), entry: entry("{}"), at: Timestamp(40) },
        intended(4, "role/c", Verb::Delete, None),
        done(4),
    ]
}

#[test]
fn deletes_without_approval_are_remembered_for_a_day() {
    let hours = |hours: u64| Duration::from_hours(hours);
    let at = |time: Duration| Timestamp(5000).plus(time);
    let mut state = State::fold(&[story(), unasked()].concat()).unwrap();
    let counted = |state: &State, window, wall| {
        let all = state.deleted_within(window, wall);
        all.map(|(op, id, left)| (op.0, id.to_string(), left)).collect::<Vec<_>>()
    };
    let c = |left| vec![(4, "role/c".to_owned(), left)];
    // Done at 5,000; what a person approved (2) does not count.
    assert_eq!(counted(&state, hours(3), at(hours(1))), c(hours(2)));
    assert_eq!(counted(&state, hours(3), at(hours(3))), []);
    // The clock was set back: it counts as new.
    assert_eq!(counted(&state, hours(3), Timestamp(0)), c(hours(3)));
    let again = |op, after| {
        [
            intended(op, "role/d", Verb::Delete, None),
            Record::Settled {
                op: OpId(op),
                outcome: Outcome::Done { revision: None },
                at: at(after),
            },
        ]
    };
    for record in again(5, hours(23)) {
        state.apply(&record);
    }
    assert_eq!(counted(&state, hours(100), at(hours(23))).len(), 2);
    let [begun, settled] = again(6, hours(24));
    state.apply(&begun);
    let touched = state.apply(&settled);
    assert_eq!(touched.deleted, [OpId(4), OpId(6)].into(), "the row of 4 goes");
    assert_eq!(counted(&state, hours(100), at(hours(24))).len(), 2);
}

#[test]
fn deletes_of_an_older_version_count_on() {
    let dir = tempfile::tempdir().unwrap();
    let path = copy_of_fixture(FIXTURES[1], dir.path());
    let sql = rusqlite::Connection::open(&path).unwrap();
    let add =
        "INSERT INTO records (at, op, id, verb, outcome, record) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    let day = 86_400_000_i64;
    for (op, at, approval) in
        [(50, 0, None), (51, day, None), (52, day, Some("abc")), (53, 2 * day, None)]
    {
        let begun = intended(op, "role/x", Verb::Delete, approval);
        let ended = Record::Settled {
            op: OpId(op),
            outcome: Outcome::Done { revision: None },
            at: Timestamp(at),
        };
        for (record, outcome) in [(begun, None), (ended, Some("done"))] {
            let text = serde_json::to_string(&record).unwrap();
            let op = i64::try_from(op).unwrap();
            sql.execute(add, rusqlite::params![at, op, "role/x", "delete", outcome, text]).unwrap();
        }
    }
    drop(sql);
    let state = Sqlite::open(&path, &KEY).unwrap().load().unwrap();
    assert_eq!(state.deleted.keys().map(|op| op.0).collect::<Vec<_>>(), [53]);
}

fn copy_of_fixture(fixture: &str, dir: &Path) -> PathBuf {
    let copy = dir.join("state.db");
    fs::copy(fixture, &copy).unwrap();
    copy
}

#[test]
fn every_version_is_still_read() {
    let stories = [story(), [story(), labels()].concat(), [story(), labels(), unasked()].concat()];
    assert_eq!(stories.len(), FIXTURES.len());
    for (fixture, records) in FIXTURES.into_iter().zip(stories) {
        let dir = tempfile::tempdir().unwrap();
        let path = copy_of_fixture(fixture, dir.path());
        let looked = Offline::read(&path).unwrap().unwrap();
        assert_eq!(looked.state, State::fold(&records).unwrap(), "{fixture}");
        let storage = Sqlite::open(&path, &FingerprintKey([0; 32])).unwrap();
        assert_eq!(storage.load().unwrap(), State::fold(&records).unwrap(), "{fixture}");
        assert_eq!(storage.identity().unwrap().key, KEY);
        assert_eq!(storage.identity().unwrap().control_plane.as_deref(), Some("embedded"));
        // Values of labels have no history.
        let is_line = |it: &&Record| !matches!(it, Record::Settled { .. } | Record::Label { .. });
        let lines = records.iter().filter(is_line).count();
        assert_eq!(storage.history(100, None).unwrap().len(), lines);
        // What an older version had, the newest can go on with.
        storage.append(&labels()).unwrap();
        let state = Sqlite::open(&path, &KEY).unwrap().load().unwrap();
        assert_eq!(state.labels.len(), 2, "{fixture}");
    }
}

#[test]
fn a_newer_version_and_other_files_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = copy_of_fixture(NEWEST, dir.path());
    let sql = rusqlite::Connection::open(&path).unwrap();
    sql.execute("UPDATE schema_version SET version = 99", []).unwrap();
    drop(sql);
    let bytes = fs::read(&path).unwrap();
    for error in
        [Sqlite::open(&path, &KEY).unwrap_err().message, Offline::read(&path).unwrap_err().message]
    {
        assert!(error.contains("schema version 99"), "{error}");
        assert!(error.contains("use the newer `reconciler`"), "{error}");
    }
    assert_eq!(fs::read(&path).unwrap(), bytes);

    let path = dir.path().join("text.db");
    fs::write(&path, "this is a shopping list, and a rather long one at that\n".repeat(99))
        .unwrap();
    let error = Sqlite::open(&path, &KEY).unwrap_err().message;
    assert!(error.contains("not a database"), "{error}");
}

type Bytes = BTreeMap<PathBuf, (Vec<u8>, i64, i64)>;

fn everything(dir: &Path) -> Bytes {
    fs::read_dir(dir)
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let stat = fs::metadata(&path).unwrap();
            (path.clone(), (fs::read(&path).unwrap(), stat.mtime(), stat.mtime_nsec()))
        })
        .collect()
}

#[test]
fn reading_offline_leaves_no_trace() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state.db");
    assert_eq!(Offline::read(&path).unwrap(), None);
    assert!(everything(dir.path()).is_empty());

    // While another process has it open, with its write-ahead log not yet taken in.
    let storage = Sqlite::open(&path, &KEY).unwrap();
    storage.append(&story()).unwrap();
    let before = everything(dir.path());
    assert!(before.len() >= 2, "there is a log beside the database");
    let read = Offline::read(&path).unwrap().unwrap();
    assert_eq!(read.state, State::fold(&story()).unwrap());
    assert_eq!(read.identity.key, KEY);
    assert_eq!(Offline::history(&path, 3, None).unwrap().unwrap().len(), 3);
    assert_eq!(everything(dir.path()), before);

    drop(storage);
    let before = everything(dir.path());
    assert_eq!(Offline::read(&path).unwrap().unwrap().state, read.state);
    assert_eq!(everything(dir.path()), before);
}

#[test]
fn one_lock_at_a_time_and_it_names_the_holder() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state.db");
    assert_eq!(Lock::holder(&state), None);
    let lock = Lock::take(&state, "reconciler desired-state").unwrap();
    let error = Lock::take(&state, "reconciler").unwrap_err();
    let LockError::Held { state: _, holder } = &error else { panic!("{error}") };
    assert!(holder.starts_with(&format!("process {} (`", std::process::id())), "{holder}");
    assert!(holder.contains("(`reconciler desired-state`) since 20"), "{holder}");
    assert_eq!(Lock::holder(&state).as_deref(), Some(holder.as_str()));
    drop(lock);
    assert_eq!(Lock::holder(&state), None);
    Lock::take(&state, "again").unwrap();
}

#[test]
fn who_asks_for_the_holder_locks_nobody_out() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state.db");
    let over = AtomicBool::new(false);
    let taken = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                let _holder = Lock::holder(&state);
                std::thread::sleep(Duration::from_micros(100));
            }
        });
        let taken: Vec<_> = (0..500).map(|_| Lock::take(&state, "agent").map(drop)).collect();
        over.store(true, Ordering::Relaxed);
        taken
    });
    taken.into_iter().collect::<Result<(), _>>().unwrap();
}
