//! A label whose command's output changes, and an agent that is killed in between.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{cluster, forget, listed};
use crate::common::{Agent, Place, until};

/// Only the east is registered; a label of one second's period says what is the east.
const LABELS: &str = "
[kubernetes]
resources = [{ labels = { env = \"prod\", region = \"us-east-*\" } }]
[kubernetes.dynamic_labels]
allow = [\"sh region.sh\"]
timeout = \"5s\"
[[kubernetes.service]]
name = \"east\"
resources = [{ labels = { region = \"us-east-*\" } }]
";

const SCRIPT: &str = "echo $$ >> runs\ncat region\n";

fn says(place: &Place, region: &str) {
    let (beside, path) = (place.source().join(".region"), place.source().join("region"));
    fs::write(&beside, format!("{region}\n")).unwrap();
    fs::rename(beside, path).unwrap();
}

fn runs(place: &Place) -> usize {
    fs::read_to_string(place.source().join("runs")).map_or(0, |text| text.lines().count())
}

fn place() -> Place {
    let place = Place::new(LABELS);
    place.put("region.sh", SCRIPT);
    let dynamic = "  dynamic_labels: {region: {period: 1s, command: [sh, region.sh]}}\n";
    place.put("mine.yaml", &(cluster("mine", "{env: prod}") + dynamic));
    place
}

/// What the agent's status says of the label.
fn label(place: &Place) -> Value {
    let status: Value = serde_json::from_str(&place.ok(&["status", "--format", "json"])).unwrap();
    status["resources"]["kube_cluster/mine"]["labels"]["region"].clone()
}

fn is_served_from(place: &Place, region: &str) -> bool {
    listed(place) == [format!("mine env=prod,region={region}")]
}

fn running(place: &Place, region: &str) -> Agent {
    says(place, region);
    let agent = place.agent();
    until("it is served", &agent, || is_served_from(place, region));
    agent
}

#[test]
fn a_label_moves_a_cluster_in_and_out_within_its_period() {
    let place = place();
    let agent = running(&place, "us-east-1");
    assert!(agent.log().contains("matches item 1: env=prod, region=us-east-1"), "{}", agent.log());

    // Within the selector: another value of the same cluster.
    says(&place, "us-east-2");
    until("it is served from there", &agent, || is_served_from(&place, "us-east-2"));
    assert!(!agent.log().contains("deleted"), "{}", agent.log());
    let because = "label region changed us-east-1 → us-east-2; matches item 1";
    assert!(agent.log().contains(because), "nobody edited anything: {}", agent.log());

    // Out of it: after the period and the pending time, neither sooner nor much later.
    says(&place, "eu-1");
    let changed = Instant::now();
    until("nobody serves it", &agent, || listed(&place).is_empty());
    let took = changed.elapsed();
    assert!(took > Duration::from_secs(1), "sooner than `prune_delay`: {took:?}");
    assert!(took < Duration::from_secs(15), "{took:?}");
    assert!(place.live("kube_cluster/mine").is_none());
    let because = "label region changed us-east-2 → eu-1: no selector matches";
    assert!(agent.log().contains(because), "{}", agent.log());
    assert!(place.ok(&["status"]).contains("no selector matches"));

    // Back again, and nobody touched a manifest.
    says(&place, "us-east-1");
    until("it is back", &agent, || is_served_from(&place, "us-east-1"));

    // The clock: a period of one second, give or take a tenth.
    let (before, started) = (runs(&place), Instant::now());
    until("six more runs", &agent, || runs(&place) >= before + 6);
    let took = started.elapsed();
    assert!(took > Duration::from_millis(4400), "six runs within {took:?}");
    assert!(took < Duration::from_secs(20), "six runs took {took:?}");
    assert!(agent.interrupt().success());
}

#[test]
fn kill_9_loses_no_value_and_unregisters_nothing() {
    let place = place();
    running(&place, "us-east-1").kill();

    // Nothing but an agent runs commands.
    let before = runs(&place);
    for args in [&["--dry-run"][..], &["validate"], &["status"], &["kube", "ls"]] {
        place.run(args);
    }
    assert_eq!(runs(&place), before, "a preview ran a command");
    let status = place.ok(&["status"]);
    assert!(status.contains("label region: us-east-1 (seen "), "{status}");

    // The value outlives the agent, though its command says nothing any more.
    place.put("region.sh", "echo $$ >> runs\nexit 3\n");
    let agent = place.agent();
    until("the command has failed", &agent, || label(&place)["failing_since"].is_string());
    let said = label(&place);
    assert_eq!(said["value"], "us-east-1", "{said}");
    assert_eq!(said["why"], "it ended with exit code 3", "{said}");
    until("in sync", &agent, || place.ok(&["status"]).contains("Everything is in sync."));
    assert!(is_served_from(&place, "us-east-1"), "{:?}", listed(&place));
    assert_eq!(place.writes(), 0, "{:?}", place.calls());
    let since = said["failing_since"].clone();
    agent.kill();

    // So does since when it fails. A run that goes well ends that.
    let agent = place.agent();
    let before = runs(&place);
    until("it has run again", &agent, || runs(&place) > before + 1);
    assert_eq!(label(&place)["failing_since"], since);
    place.put("region.sh", SCRIPT);
    until("it works again", &agent, || label(&place)["failing_since"].is_null());
    until("it says so", &agent, || agent.log().contains("it works again"));

    // Killed while a deletion waits: the next agent waits for all of the time, and deletes.
    says(&place, "eu-1");
    until("the deletion waits", &agent, || agent.log().contains("will be deleted"));
    agent.kill();
    assert!(place.live("kube_cluster/mine").is_some(), "it did not wait");
    let agent = place.agent();
    until("it is unregistered", &agent, || place.live("kube_cluster/mine").is_none());
    says(&place, "us-east-1");
    until("it is back", &agent, || is_served_from(&place, "us-east-1"));
    agent.kill();

    // Without a journal nobody knows the value: nothing is touched until somebody does.
    forget(&place);
    place.put("region.sh", "echo $$ >> runs\nexit 3\n");
    let agent = place.agent();
    until("nobody knows the value", &agent, || {
        label(&place)["failing_since"].is_string() && label(&place)["value"].is_null()
    });
    until("it says so", &agent, || place.ok(&["status"]).contains("waiting"));
    thread::sleep(Duration::from_millis(2500));
    assert!(is_served_from(&place, "us-east-1"), "{}", place.ok(&["status"]));
    assert_eq!(place.writes(), 0, "{:?}", place.calls());

    // Once it is known not to be the east, the cluster is unregistered: it bears our mark and its
    // manifest is there. It is ours again first, and waits like anything of ours.
    says(&place, "eu-1");
    place.put("region.sh", SCRIPT);
    until("it is ours again", &agent, || agent.log().contains("adopted kube_cluster/mine"));
    until("it is unregistered", &agent, || place.live("kube_cluster/mine").is_none());
    assert!(agent.log().contains("kube_cluster/mine will be deleted"), "{}", agent.log());
    assert!(agent.log().contains("label region changed us-east-1 → eu-1"), "{}", agent.log());
    says(&place, "us-east-1");
    until("it is back", &agent, || is_served_from(&place, "us-east-1"));
    agent.kill();

    // Known to be the east, it is ours again without a write.
    forget(&place);
    let agent = place.agent();
    until("it is ours again", &agent, || agent.log().contains("adopted kube_cluster/mine"));
    until("in sync", &agent, || place.ok(&["status"]).contains("Everything is in sync."));
    assert_eq!(place.writes(), 0, "{:?}", place.calls());
    says(&place, "eu-1");
    until("it is unregistered", &agent, || place.live("kube_cluster/mine").is_none());
    assert!(agent.interrupt().success());
}
