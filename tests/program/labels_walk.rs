//! Labels from end to end, with the built binary, real files, scripts and processes: clusters
//! that register themselves, on the embedded plane and over mutual TLS.

#![cfg(target_os = "linux")]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "test code"
)]

mod bad;
mod client;
mod drop;
mod dynamic;
mod flap;
mod foretold;
mod forward;
mod hidden;
mod origin;
mod two;

use crate::common::{Agent, Place, until};

/// A kubeconfig that a Kubernetes Service could use; it opens nothing.
const KUBECONFIG: &str = "eyJhcGlWZXJzaW9uIjoidjEiLCJraW5kIjoiQ29uZmlnIiwiY3VycmVudC1jb250ZXh0IjoiayIsImNsdXN0ZXJzIjpbeyJuYW1lIjoiayIsImNsdXN0ZXIiOnsic2VydmVyIjoiaHR0cHM6Ly9rIn19XSwiY29udGV4dHMiOlt7Im5hbWUiOiJrIiwiY29udGV4dCI6eyJjbHVzdGVyIjoiayIsInVzZXIiOiJ1In19XSwidXNlcnMiOlt7Im5hbWUiOiJ1IiwidXNlciI6eyJ0b2tlbiI6InQifX1dfQ==";

/// A manifest.
pub(crate) fn cluster(name: &str, labels: &str) -> String {
    format!(
        "kind: kube_cluster\nversion: v3\nmetadata: {{name: {name}, labels: {labels}}}\nspec:\n  \
         kubeconfig: {KUBECONFIG}\n"
    )
}

/// What `kube ls` says is served: a line for each cluster.
pub(crate) fn listed(place: &Place) -> Vec<String> {
    let text = place.ok(&["kube", "ls", "-q"]);
    text.lines().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()).collect()
}

/// What is registered under that name, secrets as fingerprints.
pub(crate) fn registered(place: &Place, name: &str) -> Option<String> {
    let output = place.run(&["get", &format!("kube_cluster/{name}")]);
    output.status.success().then(|| String::from_utf8(output.stdout).unwrap())
}

/// The journal is lost.
pub(crate) fn forget(place: &Place) {
    for file in std::fs::read_dir(place.state()).unwrap().map(|entry| entry.unwrap().path()) {
        if file.file_name().unwrap().to_str().unwrap().starts_with("state.db") {
            std::fs::remove_file(file).unwrap();
        }
    }
}

/// Only clusters of production are meant; one service serves what has no region but the east.
const LABELS: &str = "
[kubernetes]
resources = [{ labels = { env = \"prod\" } }, { labels = { env = \"test\", team = \"a\" } }]
[[kubernetes.service]]
name = \"all\"
resources = [{ labels = { \"*\" = \"*\" } }]
";

/// The walk looks at what is pending, and a preview takes its time on a busy machine.
const PENDING: &str = "3s";

/// Create with labels, list, add a label, change labels so that nothing matches any more, delete.
fn walk(place: &Place, agent: &Agent) {
    let is = |lines: &[&str]| listed(place) == lines;
    place.put("mine.yaml", &cluster("mine", "{env: prod}"));
    until("it is created and served", agent, || is(&["mine env=prod"]));
    until("it says so", agent, || agent.log().contains("created kube_cluster/mine"));
    assert!(agent.log().contains("matches item 1: env=prod"), "{}", agent.log());

    place.put("mine.yaml", &cluster("mine", "{env: prod, team: b}"));
    until("it has the label", agent, || is(&["mine env=prod,team=b"]));

    // One item of the selectors is as good as another.
    place.put("mine.yaml", &cluster("mine", "{env: test, team: a}"));
    until("the second item matches", agent, || is(&["mine env=test,team=a"]));
    assert!(!agent.log().contains("deleted"), "{}", agent.log());

    place.put("mine.yaml", &cluster("mine", "{env: test, team: b}"));
    until("the deletion waits", agent, || place.ok(&["status"]).contains("pending: delete"));
    let planned = place.ok(&["--dry-run"]);
    let because = "label team changed a → b: no selector matches";
    assert!(planned.contains(because), "{planned}");
    until("it is unregistered", agent, || registered(place, "mine").is_none());
    assert!(agent.log().contains(because), "{}", agent.log());
    assert!(listed(place).is_empty(), "{:?}", listed(place));
    let status = place.ok(&["status"]);
    assert!(status.contains("unmatched") && status.contains("in sync"), "{status}");

    // It flips back within the pending period: nothing happens.
    place.put("mine.yaml", &cluster("mine", "{env: prod}"));
    until("it is back", agent, || is(&["mine env=prod"]));
    let deleted = agent.log().matches("deleted kube_cluster/mine").count();
    place.put("mine.yaml", &cluster("mine", "{env: dev}"));
    until("the deletion waits", agent, || place.ok(&["status"]).contains("pending: delete"));
    place.put("mine.yaml", &cluster("mine", "{env: prod}"));
    until("nothing waits", agent, || !place.ok(&["status"]).contains("pending: delete"));
    std::thread::sleep(std::time::Duration::from_millis(3500));
    assert!(is(&["mine env=prod"]), "{:?}", listed(place));
    assert_eq!(agent.log().matches("deleted kube_cluster/mine").count(), deleted);

    place.remove("mine.yaml");
    // The last manifest is gone: an empty source waits for a person.
    place.put("other.yaml", &cluster("other", "{env: prod}"));
    until("it is deleted", agent, || registered(place, "mine").is_none());
    until("the other one is served", agent, || is(&["other env=prod"]));
}

#[test]
fn the_documentations_walk() {
    let place = Place::new(LABELS);
    place.prune_after(PENDING);
    place.put("empty.yaml", "");
    let agent = place.agent();
    walk(&place, &agent);
    assert!(agent.interrupt().success());
}

#[test]
fn the_documentations_walk_over_mutual_tls() {
    let served = client::serving(LABELS);
    let place = client::place(&served, "edge", "everything", None, LABELS);
    place.prune_after(PENDING);
    let agent = place.agent();
    walk(&place, &agent);
    assert!(agent.interrupt().success());
}
