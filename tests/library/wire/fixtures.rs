//! Every manifest of the repository that is accepted, through the wire and back.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use reconciler::kind::KINDS;
use reconciler::live::Seen;
use reconciler::manifest::Reading;
use reconciler::model::{Cluster, ResourceId};
use reconciler::plan::DeferReason;

use super::stack::{Stack, below, errors, read, read_right, row, shown};

/// What each fixture's first plan does, one line each: `NAME = STEPS`, or `! CODE` at the end
/// where the server refuses what the manifest says. `UPDATE_EXPECT=1` writes it anew; read what
/// it wrote.
const EXPECTED: &str = "tests/fixtures/wire/steps.txt";

/// One piece of text that is a set of manifests.
struct Fixture {
    name: String,
    text: String,
}

fn files(folder: &str) -> Vec<Fixture> {
    let mut found = Vec::new();
    let mut folders = vec![below(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|it| it == "yaml") {
                let name = path.strip_prefix(below("")).unwrap().display().to_string();
                found.push(Fixture { name, text: fs::read_to_string(&path).unwrap() });
            }
        }
    }
    found.sort_by(|one, other| one.name.cmp(&other.name));
    assert!(!found.is_empty(), "nothing in {folder}");
    found
}

/// The cases of `tests/fixtures/manifests`: each begins with `#=== NAME`; lines that stand for
/// findings are comments or begin with carets, and go with the cases that have errors.
fn cases() -> Vec<Fixture> {
    let mut found = Vec::new();
    for file in files("tests/fixtures/manifests") {
        for case in file.text.split("#=== ").skip(1) {
            let (name, text) = case.split_once('\n').unwrap();
            if ["<TAB>", "<NUL>", "<FF>", "<BOM>", "<CUT>"].iter().any(|odd| text.contains(odd)) {
                continue;
            }
            found.push(Fixture { name: format!("{}: {name}", file.name), text: text.to_owned() });
        }
    }
    found
}

/// What tctl was given, from its recorded answers.
fn vectors() -> Vec<Fixture> {
    let path = "tests/data/vectors/manifests.jsonl";
    let text = fs::read_to_string(below(path)).unwrap();
    let row = |line: &str| {
        let row: serde_json::Value = serde_json::from_str(line).unwrap();
        let name = format!("{path}: {}", row["name"].as_str().unwrap());
        Fixture { name, text: row["yaml"].as_str().unwrap().to_owned() }
    };
    text.lines().map(row).collect()
}

fn all() -> Vec<Fixture> {
    let mut all = files("tests/data/seeds");
    all.extend(cases());
    all.extend(vectors());
    // The folder is one set: its trusted cluster maps to its own role.
    let set: Vec<String> = files("desired-state").into_iter().map(|file| file.text).collect();
    all.push(Fixture { name: "desired-state".to_owned(), text: set.join("\n---\n") });
    all
}

/// The roles that something here refers to and that are not here.
fn needed(reading: &Reading) -> String {
    let mut text = String::new();
    let mut seen = BTreeSet::new();
    for manifest in reading.manifests.values() {
        let resource = &manifest.resource;
        let value = reconciler::model::Value::from_json(&resource.canonical).unwrap();
        for id in row(&resource.id).references.map(|read| read(&value)).unwrap_or_default() {
            let preset = row(&id).presets.contains(&&*id.name);
            if !preset && !reading.manifests.contains_key(&id) && seen.insert(id.clone()) {
                write!(text, "---\nkind: role\nversion: v8\nmetadata:\n  name: {}\n", id.name)
                    .unwrap();
            }
        }
    }
    text
}

/// Sends one fixture through the wire; what its first plan did.
async fn through(fixture: &Fixture, reading: Reading) -> String {
    let mut stack = Stack::new();
    let others = needed(&reading);
    if !others.is_empty() {
        // Somebody else's: only the fixture itself counts.
        drop(stack.converge(&read_right(&[&others])).await);
        stack = stack.without_memory();
    }
    let before = presets(&stack).await;
    let plan = stack.plan(&reading).await;
    let mut line = shown(&plan).join(", ");
    match stack.execute(&reading, &plan).await {
        Ok(()) => {
            for deferred in &plan.deferred {
                // Nobody can create a remote cluster; its leaf joins.
                assert_eq!(
                    deferred.why,
                    DeferReason::NotMadeByUs,
                    "{}: {deferred:?}",
                    fixture.name
                );
                write!(line, "left {}", deferred.id).unwrap();
            }
            stack.assert_silent(&reading).await;
            // Readiness, caches and expiry must not make it look changed later.
            stack.wait(std::time::Duration::from_secs(30));
            stack.assert_silent(&reading).await;
        }
        Err((id, error)) => write!(line, " ! {id} {:?}", error.code).unwrap(),
    }
    assert_eq!(presets(&stack).await, before, "{}: touched what is Teleport's", fixture.name);
    line
}

/// Name, revision and bytes of every preset that the plane made.
async fn presets(stack: &Stack) -> Vec<(ResourceId, String, Vec<u8>)> {
    let live = stack.live().await;
    let mut found = Vec::new();
    for kind in KINDS {
        for name in kind.presets {
            let id = ResourceId { cluster: Cluster::Parent, kind: kind.name, name: (*name).into() };
            if let Seen::Present(live) = live.look(&id) {
                found.push((id, format!("{:?}", live.revision), live.wire.to_vec()));
            }
        }
    }
    assert_eq!(found.len(), 3, "access, auditor and editor");
    found
}

#[tokio::test]
async fn every_fixture_is_planned_applied_and_then_silent() {
    let mut got = String::new();
    let mut kinds = BTreeSet::new();
    for fixture in all() {
        let reading = read(&[&fixture.text]);
        if !errors(&reading).is_empty() || reading.manifests.is_empty() {
            continue;
        }
        kinds.extend(reading.manifests.keys().map(|id| id.kind));
        let name = fixture.name.clone();
        writeln!(got, "{name} = {}", through(&fixture, reading).await).unwrap();
    }
    assert_eq!(kinds.len(), KINDS.len(), "a kind has no fixture: {kinds:?}");
    compare(&below(EXPECTED), &got);
}

fn compare(path: &Path, got: &str) {
    if std::env::var("UPDATE_EXPECT").is_ok() {
        fs::write(path, got).unwrap();
        return;
    }
    let wanted = fs::read_to_string(path).unwrap_or_default();
    if got != wanted {
        let diff = similar::TextDiff::from_lines(wanted.as_str(), got);
        panic!("{}:\n{}", path.display(), diff.unified_diff().header("wanted", "got"));
    }
}

#[tokio::test]
async fn a_declared_preset_is_left_alone() {
    let mut stack = Stack::new();
    let text = "kind: role\nversion: v7\nmetadata: {name: editor}\nspec: {allow: {logins: [x]}}\n";
    let reading = read(&[text]);
    let before = presets(&stack).await;
    let plan = stack.plan(&reading).await;
    assert!(plan.steps.is_empty() && plan.deferred.len() == 1, "{:?}", plan.deferred);
    stack.execute(&reading, &plan).await.unwrap();
    assert_eq!(presets(&stack).await, before);
}

#[tokio::test]
async fn what_goes_from_the_files_goes_from_the_plane_and_nothing_else() {
    let files: Vec<String> = files("desired-state").into_iter().map(|file| file.text).collect();
    let texts: Vec<&str> = files.iter().map(String::as_str).collect();
    let mut stack = Stack::new();
    let before = presets(&stack).await;
    let first = stack.converge(&read_right(&texts)).await;
    assert_eq!(first.steps.len(), 6, "{:?}", shown(&first));
    let last = stack.converge(&read_right(&[])).await;
    let order: Vec<&str> = last.steps.iter().map(|step| step.id.kind.as_str()).collect();
    assert_eq!(
        order,
        ["workload_cluster", "trusted_cluster", "kube_cluster", "role", "role", "role"]
    );
    assert_eq!(presets(&stack).await, before);
    assert_eq!(stack.journal().inventory.len(), 0);
    let left: usize = stack.live().await.kinds.values().map(|it| it.seen().count()).sum();
    assert_eq!(left, 3, "only the presets are left");
}
