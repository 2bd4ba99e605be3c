//! `on_failure = "drop"`: a command that worked and fails, and one that never worked.

use std::fs;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{cluster, forget, listed};
use crate::common::{Agent, Place, until};

const LABELS: &str = "
[kubernetes]
resources = [{ labels = { env = \"prod\", region = \"us-east-*\" } }]
[kubernetes.dynamic_labels]
allow = [\"sh region.sh\"]
on_failure = \"drop\"
[[kubernetes.service]]
name = \"all\"
resources = [{ labels = { \"*\" = \"*\" } }]
";

const WORKS: &str = "echo $$ >> runs\necho us-east-1\n";
const FAILS: &str = "echo $$ >> runs\nexit 3\n";

fn runs(place: &Place) -> usize {
    fs::read_to_string(place.source().join("runs")).map_or(0, |text| text.lines().count())
}

fn place(script: &str, names: &[&str]) -> Place {
    let place = Place::new(LABELS);
    place.put("region.sh", script);
    let dynamic = "  dynamic_labels: {region: {period: 1s, command: [sh, region.sh]}}\n";
    for name in names {
        place.put(&format!("{name}.yaml"), &(cluster(name, "{env: prod}") + dynamic));
    }
    place
}

/// What the status says of the cluster.
fn status(place: &Place) -> Value {
    let status: Value = serde_json::from_str(&place.ok(&["status", "--format", "json"])).unwrap();
    status["resources"]["kube_cluster/mine"].clone()
}

/// The command has failed several times, and nothing came of it.
fn stays_unknown(place: &Place, agent: &Agent) {
    let before = runs(place);
    until("it has failed", agent, || runs(place) >= before + 4);
    until("the status says so", agent, || {
        status(place)["labels"]["region"]["failing_since"].is_string()
    });
    let said = status(place);
    assert_eq!(said["state"], "waiting", "{said}");
    assert!(said["why"].as_str().unwrap().contains("`region` is not known yet"), "{said}");
    let label = &said["labels"]["region"];
    assert!(label["value"].is_null(), "{label}");
    assert_eq!(label["why"], "it ended with exit code 3", "{label}");
    assert_eq!(place.writes(), 0, "{:?}", place.calls());
    assert!(!agent.log().contains("will be deleted"), "{}", agent.log());
    assert!(agent.log().contains("its value is not known yet"), "{}", agent.log());
}

#[test]
fn a_failing_command_takes_its_label_away_but_not_one_that_was_never_known() {
    let place = place(FAILS, &["mine"]);
    let agent = place.agent();
    // Unknown is not absent: nothing is registered on it.
    stays_unknown(&place, &agent);
    assert!(place.live("kube_cluster/mine").is_none());

    place.put("region.sh", WORKS);
    until("it is served", &agent, || listed(&place) == ["mine env=prod,region=us-east-1"]);

    // What had a value loses it: the cluster goes, after the pending period and not before.
    place.put("region.sh", FAILS);
    let broken = Instant::now();
    until("the label is dropped", &agent, || agent.log().contains("its labels are dropped"));
    until("it is unregistered", &agent, || place.live("kube_cluster/mine").is_none());
    assert!(broken.elapsed() > Duration::from_secs(1), "sooner than `prune_delay`");
    let because = "label region=us-east-1 removed: no selector matches";
    assert!(agent.log().contains("kube_cluster/mine will be deleted"), "{}", agent.log());
    assert!(agent.log().contains(because), "{}", agent.log());
    assert!(listed(&place).is_empty());
    until("it is done", &agent, || status(&place)["state"] == "unmatched");
    let said = status(&place);
    assert_eq!(said["why"], "no selector matches env=prod", "{said}");
    let label = &said["labels"]["region"];
    assert_eq!(label["why"], "it ended with exit code 3", "{label}");
    let since = label["failing_since"].as_str().unwrap().to_owned();
    let text = place.ok(&["status"]);
    let line = format!("failing since {since}: it ended with exit code 3");
    assert!(text.contains(&line), "{line}\n{text}");

    // It goes on failing: still since then, and nothing more is written.
    let (seen, writes) = (runs(&place), place.writes());
    until("it has failed again", &agent, || runs(&place) >= seen + 3);
    assert_eq!(status(&place)["labels"]["region"]["failing_since"], since.as_str());
    assert_eq!(place.writes(), writes, "{:?}", place.calls());

    place.put("region.sh", WORKS);
    until("it is back", &agent, || listed(&place) == ["mine env=prod,region=us-east-1"]);
    agent.kill();

    // A lost journal knows no value, and so has none to drop: what is registered stays.
    forget(&place);
    place.put("region.sh", FAILS);
    let agent = place.agent();
    stays_unknown(&place, &agent);
    assert_eq!(listed(&place), ["mine env=prod,region=us-east-1"]);
    assert!(agent.interrupt().success());
}

#[test]
fn one_command_that_fails_does_not_take_a_fleet_away() {
    let names = ["a", "b", "c", "d", "e"];
    let place = place(WORKS, &names);
    let agent = place.agent();
    until("all are served", &agent, || listed(&place).len() == names.len());
    until("in sync", &agent, || place.ok(&["status"]).contains("Everything is in sync."));
    let writes = place.writes();

    // More than three at once wait for a person, however long.
    place.put("region.sh", FAILS);
    until("they wait for approval", &agent, || {
        place.ok(&["status"]).contains("to approve: reconciler approve ")
    });
    let status = place.ok(&["status"]);
    for name in names {
        assert!(status.contains(&format!("held: delete kube_cluster/{name}: ")), "{status}");
    }
    let seen = runs(&place);
    until("it has failed again", &agent, || runs(&place) >= seen + 3);
    assert_eq!(place.writes(), writes, "{:?}", place.calls());

    place.put("region.sh", WORKS);
    until("in sync", &agent, || place.ok(&["status"]).contains("Everything is in sync."));
    assert!(!place.ok(&["status"]).contains("held: "));
    assert_eq!(listed(&place).len(), names.len());
    assert_eq!(place.writes(), writes, "{:?}", place.calls());
    assert!(agent.interrupt().success());
}
