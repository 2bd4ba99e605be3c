//! `mode = "forward"`: the commands go to the control plane, with our last good value beside them;
//! and what becomes of a `result` that somebody wrote.

use std::fs;

use super::{cluster, forget, listed};
use crate::common::{Place, until};

const SERVICE: &str = "
[[kubernetes.service]]
name = \"east\"
resources = [{ labels = { region = \"us-east-*\" } }]
";

fn labels(mode: &str) -> String {
    format!("[kubernetes.dynamic_labels]\nmode = \"{mode}\"\nallow = [\"sh region.sh\"]\n{SERVICE}")
}

const FAILS: &str = "echo $$ >> runs\nexit 3\n";

fn says(region: &str) -> String {
    format!("echo $$ >> runs\necho {region}\n")
}

fn runs(place: &Place) -> usize {
    fs::read_to_string(place.source().join("runs")).map_or(0, |text| text.lines().count())
}

/// `region` from that script, with a result if somebody wrote one.
fn dynamic(script: &str, result: &str) -> String {
    let result = if result.is_empty() { String::new() } else { format!(", result: {result}") };
    format!("  dynamic_labels: {{region: {{period: 1s, command: [sh, {script}]{result}}}}}\n")
}

fn place(mode: &str, name: &str, dynamic: &str) -> Place {
    let place = Place::new(&labels(mode));
    place.put("region.sh", FAILS);
    place.put("mine.yaml", &(cluster(name, "{env: prod}") + dynamic));
    place
}

/// The dynamic labels of what is stored, without a line's indentation.
fn stored(place: &Place) -> Vec<String> {
    let text = place.live("kube_cluster/mine").unwrap();
    let lines = text.lines().skip_while(|line| line.trim() != "dynamic_labels:").skip(1);
    let inside = lines.take_while(|line| line.starts_with("    "));
    inside.map(|line| line.trim().to_owned()).collect()
}

/// The label as it is stored with this result.
fn with_result(result: &str) -> Vec<String> {
    let mut lines = vec!["region:", "command:", "- sh", "- region.sh", "period: 1s"];
    let result = format!("result: {result}");
    if result != "result: " {
        lines.push(&result);
    }
    lines.into_iter().map(str::to_owned).collect()
}

/// Why nobody serves it.
fn unserved(place: &Place) -> String {
    let text = place.ok(&["kube", "ls", "--unserved"]);
    let line = text.lines().find(|line| line.split_whitespace().next() == Some("mine"));
    line.map_or(String::new(), |line| line.trim().split_once(' ').unwrap().1.trim().to_owned())
}

fn names(place: &Place) -> Vec<String> {
    listed(place).iter().map(|line| line.split(' ').next().unwrap().to_owned()).collect()
}

#[test]
fn commands_are_stored_as_written_and_served_by_their_stored_result() {
    let place = place("forward", "mine", &dynamic("region.sh", ""));
    let agent = place.agent();
    until("it is registered", &agent, || place.live("kube_cluster/mine").is_some());
    until("it has failed", &agent, || runs(&place) >= 2);
    assert_eq!(stored(&place), with_result(""));
    assert!(listed(&place).is_empty(), "without a result nobody serves it");
    assert_eq!(unserved(&place), "no stored result yet of the dynamic label `region`");

    place.put("region.sh", &says("us-east-1"));
    until("it is served", &agent, || names(&place) == ["mine"]);
    assert_eq!(stored(&place), with_result("us-east-1"));
    assert_eq!(unserved(&place), "");

    // Another value is another result, and moves it; nobody deletes it.
    place.put("region.sh", &says("eu-1"));
    until("nobody serves it", &agent, || names(&place).is_empty());
    assert_eq!(stored(&place), with_result("eu-1"));
    assert_eq!(unserved(&place), "no configured service selects it");
    place.put("region.sh", &says("us-east-2"));
    until("it is served again", &agent, || names(&place) == ["mine"]);
    assert_eq!(stored(&place), with_result("us-east-2"));
    assert!(!agent.log().contains("will be deleted"), "{}", agent.log());
    agent.kill();

    // The next agent knows the result, though the command fails.
    place.put("region.sh", FAILS);
    let agent = place.agent();
    let seen = runs(&place);
    until("it has failed", &agent, || runs(&place) >= seen + 2);
    until("in sync", &agent, || place.ok(&["status"]).contains("Everything is in sync."));
    assert_eq!(stored(&place), with_result("us-east-2"));
    assert_eq!(names(&place), ["mine"]);
    assert_eq!(place.writes(), 0, "{:?}", place.calls());
    agent.kill();

    // Even without a journal: what is stored stays until somebody knows better.
    forget(&place);
    let agent = place.agent();
    let seen = runs(&place);
    until("it has failed", &agent, || runs(&place) >= seen + 2);
    assert_eq!(stored(&place), with_result("us-east-2"));
    assert_eq!(place.writes(), 0, "{:?}", place.calls());
    place.put("region.sh", &says("us-east-2"));
    until("in sync", &agent, || place.ok(&["status"]).contains("Everything is in sync."));
    assert_eq!(names(&place), ["mine"]);
    assert!(agent.interrupt().success());
}

#[test]
fn a_pasted_result_stands_until_the_command_has_said_something() {
    let place = place("forward", "mine", &dynamic("region.sh", "us-east-9"));
    let told = place.ok(&["validate"]);
    assert!(told.contains("note[L003]") && told.contains("mine.yaml:6:"), "{told}");
    let agent = place.agent();
    until("it is served", &agent, || names(&place) == ["mine"]);
    assert_eq!(stored(&place), with_result("us-east-9"));
    place.put("region.sh", &says("eu-1"));
    until("nobody serves it", &agent, || names(&place).is_empty());
    assert_eq!(stored(&place), with_result("eu-1"));
    assert!(agent.interrupt().success());

    // A command that may not run never says anything: what is written counts.
    let place = Place::new(&labels("forward"));
    place.put("mine.yaml", &(cluster("mine", "{env: prod}") + &dynamic("other.sh", "us-east-9")));
    let told = place.ok(&["validate"]);
    assert!(told.contains("warning[L001]") && !told.contains("L003"), "{told}");
    let agent = place.agent();
    until("it is served", &agent, || names(&place) == ["mine"]);
    assert!(stored(&place).contains(&"result: us-east-9".to_owned()), "{:?}", stored(&place));
    assert!(agent.interrupt().success());
}

#[test]
fn a_pasted_result_is_ignored_where_we_resolve() {
    let place = place("resolve", "mine", &dynamic("region.sh", "us-east-9"));
    let told = place.ok(&["validate"]);
    assert!(told.contains("note[L002]") && told.contains("mine.yaml:6:"), "{told}");
    assert!(told.contains("result: us-east-9"), "{told}");
    let agent = place.agent();
    until("it is registered", &agent, || place.live("kube_cluster/mine").is_some());
    until("it has failed", &agent, || runs(&place) >= 2);
    let text = place.live("kube_cluster/mine").unwrap();
    assert!(!text.contains("us-east-9") && !text.contains("dynamic_labels"), "{text}");
    assert!(agent.log().contains("note[L002]"), "{}", agent.log());
    assert!(place.ok(&["status"]).contains("1 note in the source; run `reconciler validate`"));
    place.put("region.sh", &says("us-east-1"));
    until("it is served", &agent, || listed(&place) == ["mine env=prod,region=us-east-1"]);
    assert!(agent.interrupt().success());
}
