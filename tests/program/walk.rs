//! The user's walk with the built binary and real files: create, edit, break, drift, delete,
//! approve, restart, and `kill -9` at two moments.

#![expect(clippy::unwrap_used, reason = "test code")]

mod names;
mod rough;
mod slices;

use crate::common::{Agent, Place, bytes_of, until};

pub(super) const ROLE: &str = "\
kind: role
version: v7
metadata:
  name: visitor
spec:
  allow:
    logins: [visitor]
    node_labels: {'*': '*'}
";

const KUBE: &str = "\
kind: kube_cluster
version: v3
metadata:
  name: mycluster
  labels: {env: prod, team: dev}
spec:
  kubeconfig: eyJhcGlWZXJzaW9uIjoidjEiLCJraW5kIjoiQ29uZmlnIiwiY3VycmVudC1jb250ZXh0IjoiayIsImNsdXN0ZXJzIjpbeyJuYW1lIjoiayIsImNsdXN0ZXIiOnsic2VydmVyIjoiaHR0cHM6Ly9rIn19XSwiY29udGV4dHMiOlt7Im5hbWUiOiJrIiwiY29udGV4dCI6eyJjbHVzdGVyIjoiayIsInVzZXIiOiJ1In19XSwidXNlcnMiOlt7Im5hbWUiOiJ1IiwidXNlciI6eyJ0b2tlbiI6InQifX1dfQ==
";

const TRUST: &str = "\
kind: trusted_cluster
version: v2
metadata:
  name: rootcluster.example.com
spec:
  enabled: true
  token: abcd123-insecure-do-not-use-this
  role_map:
    - remote: access
      local: [visitor]
  tunnel_addr: rootcluster.example.com:443
  web_proxy_addr: rootcluster.example.com:443
";

const WORKLOAD: &str = "\
kind: workload_cluster
version: v1
metadata:
  name: company-organization
spec:
  regions:
    - name: us-west-2
  bot:
    name: example-iam
  token:
    join_method: iam
    allow:
      - aws_account: \"123456789012\"
        aws_arn: \"arn:aws:sts::123456789012:assumed-role/example-tbot-role/session-name\"
";

fn has(place: &Place, what: &str, text: &str) -> bool {
    place.live(what).is_some_and(|live| live.contains(text))
}

fn start_with_everything(place: &Place) -> Agent {
    for (name, text) in
        [("role.yaml", ROLE), ("kube.yaml", KUBE), ("trust.yaml", TRUST), ("child.yaml", WORKLOAD)]
    {
        place.put(name, text);
    }
    let agent = place.agent();
    for what in [
        "role/visitor",
        "kube_cluster/mycluster",
        "trusted_cluster/rootcluster.example.com",
        "workload_cluster/company-organization",
    ] {
        place.ok(&["wait", what, "--timeout", "30s"]);
    }
    agent
}

fn walk(place: &Place) {
    let agent = start_with_everything(place);
    assert!(has(place, "workload_cluster/company-organization", "state: active"));

    // Edit.
    place.put("kube.yaml", &KUBE.replace("env: prod", "env: test"));
    until("the edit is live", &agent, || has(place, "kube_cluster/mycluster", "env: test"));

    // Break: a finding with its place, and nothing is touched.
    place.put("kube.yaml", &KUBE.replace("labels:", "lables:"));
    until("the finding is shown", &agent, || agent.log().contains("kube.yaml:5:3"));
    assert!(has(place, "kube_cluster/mycluster", "env: test"), "a broken file touched something");
    place.put("kube.yaml", &KUBE.replace("env: prod", "env: test"));

    // Drift: undone.
    let drifted = place.live("kube_cluster/mycluster").unwrap().replace("env: test", "env: drift");
    let file = place.dir.path().join("drift.yaml");
    std::fs::write(&file, drifted).unwrap();
    place.ok(&["plane", "set", file.to_str().unwrap()]);
    until("the drift is undone", &agent, || has(place, "kube_cluster/mycluster", "env: test"));
    until("and said so", &agent, || agent.log().contains("drift"));

    // Removed by somebody else: made again.
    place.ok(&["plane", "rm", "role/visitor"]);
    until("the role is back", &agent, || place.live("role/visitor").is_some());

    // Delete, and change one's mind within the pending period.
    place.remove("kube.yaml");
    until("the deletion is pending", &agent, || place.ok(&["status"]).contains("pending"));
    place.put("kube.yaml", &KUBE.replace("env: prod", "env: test"));
    std::thread::sleep(std::time::Duration::from_millis(1800));
    assert!(place.live("kube_cluster/mycluster").is_some(), "restoring the file did not cancel");

    // Delete for good.
    place.remove("kube.yaml");
    until("it is gone", &agent, || place.live("kube_cluster/mycluster").is_none());

    // A workload cluster waits for approval.
    place.remove("child.yaml");
    until("approval is asked for", &agent, || hash_of(place).is_some());
    assert!(has(place, "workload_cluster/company-organization", "state: active"));
    let wrong = place.run(&["approve", "0123456789abcdef"]);
    assert!(!wrong.status.success(), "a wrong hash was accepted");
    place.ok(&["approve", &hash_of(place).unwrap()]);
    until("it is gone", &agent, || place.live("workload_cluster/company-organization").is_none());

    assert!(!agent.log().contains("abcd123-insecure"), "a secret is in the log");
    assert!(agent.interrupt().success(), "Ctrl-C is a clean end");

    // Starting again does nothing, because nothing changed.
    let before = bytes_of(&place.state()).len();
    let agent = place.agent();
    until("in sync", &agent, || place.ok(&["status"]).contains("in sync"));
    std::thread::sleep(std::time::Duration::from_millis(500));
    assert_eq!(place.writes(), 0, "{:?}", place.calls());
    assert!(agent.interrupt().success());
    assert!(before > 0);
}

fn hash_of(place: &Place) -> Option<String> {
    let status = place.ok(&["status"]);
    let (_, rest) = status.split_once("reconciler approve ")?;
    Some(rest.chars().take_while(char::is_ascii_hexdigit).collect())
}

#[test]
fn the_whole_walk() {
    walk(&Place::new(""));
}

#[test]
fn the_whole_walk_when_reads_lag_a_second() {
    walk(&Place::new("lag = \"1s\""));
}

#[test]
fn a_preview_changes_nothing() {
    let place = Place::new("");
    let agent = start_with_everything(&place);
    assert!(agent.interrupt().success());
    // One of each: a create, an update, a delete.
    place.put("new.yaml", &ROLE.replace("name: visitor", "name: another"));
    place.put("role.yaml", &ROLE.replace("[visitor]", "[visitor, guest]"));
    place.remove("kube.yaml");
    // What a reader leaves whose agent ended under it; the next agent writes on in these.
    let files = bytes_of(&place.state()).into_keys();
    let databases: Vec<_> = files.filter(|it| it.extension() == Some("db".as_ref())).collect();
    assert_eq!(databases.len(), 2, "{databases:?}");
    for database in databases {
        std::fs::write(database.with_extension("db-wal"), "").unwrap();
    }

    let before = bytes_of(&place.state());
    let output = place.run(&["--dry-run", "--detailed-exitcode"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert_eq!(before, bytes_of(&place.state()), "the state directory changed");
    assert!(text.contains("role/another") && text.contains("guest"), "{text}");
    assert!(text.contains("kube_cluster/mycluster"), "{text}");
    assert!(!text.contains("abcd123") && !text.contains("YXBpVmVyc2lvbjog"), "{text}");
    let json = place.run(&["--dry-run", "--format", "json"]);
    let plan: serde_json::Value = serde_json::from_slice(&json.stdout).expect("JSON");
    assert_eq!(plan["format_version"], 1);
    assert_eq!(before, bytes_of(&place.state()), "the state directory changed");
}

#[test]
fn a_preview_beside_a_running_agent_writes_nothing() {
    let place = Place::new("");
    let agent = start_with_everything(&place);
    let other = place.dir.path().join("other");
    std::fs::create_dir(&other).unwrap();
    std::fs::write(other.join("a.yaml"), ROLE.replace("[visitor]", "[root-of-preview]")).unwrap();
    std::fs::write(other.join("b.yaml"), ROLE.replace("name: visitor", "name: b")).unwrap();
    let before = place.writes();
    assert!(before >= 4, "{:?}", place.calls());
    let output = place.run(&["--dry-run", "other"]);
    let text = String::from_utf8(output.stdout).unwrap();
    // The other directory lacks a workload cluster, whose deletion waits for approval.
    assert_eq!(output.status.code(), Some(3), "{text}");
    assert!(text.contains("1 to create, 1 to update, 3 to delete"), "{text}");
    assert_eq!(place.writes(), before, "{:?}", place.calls());
    assert!(agent.interrupt().success());
}

#[test]
fn a_second_agent_is_refused_and_told_who_is_there() {
    let place = Place::new("");
    place.put("role.yaml", ROLE);
    let agent = place.agent();
    let second = place.run(&["--once"]);
    assert_eq!(second.status.code(), Some(1));
    let text = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(text.contains(&agent.child.id().to_string()), "{text}");
    assert!(agent.interrupt().success());
}

/// Kills the agent while the plane holds the answer to its create; then it must find out by
/// reading what became of it, and never create twice.
fn killed_while_the_answer_is_held(moment: &str, committed: bool) {
    let create = "/proto.AuthService/CreateKubernetesCluster";
    let place = Place::new(&format!("faults = \"{moment} {create}\""));
    place.put("kube.yaml", KUBE);
    let agent = place.agent();
    until("the intent is on disk", &agent, || {
        place.ok(&["history", "kube_cluster/mycluster"]).contains("in doubt")
    });
    if committed {
        until("the plane has committed", &agent, || place.calls().contains_key(create));
    }
    agent.kill();

    place.configure("");
    let live = place.live("kube_cluster/mycluster").is_some();
    assert_eq!(live, committed, "the plane held its answer at another moment");
    let agent = place.agent();
    let waited = place.run(&["wait", "kube_cluster/mycluster", "--timeout", "30s"]);
    assert!(waited.status.success(), "{}\n{}", place.ok(&["status", "-v"]), agent.log());
    until("the doubt is settled", &agent, || {
        !place.ok(&["history", "kube_cluster/mycluster"]).contains("in doubt")
    });
    let created = place.calls().get(create).copied().unwrap_or(0);
    assert_eq!(created, u64::from(!committed), "{:?}", place.calls());
    // It is ours: when the file goes, it goes.
    place.remove("kube.yaml");
    place.put("role.yaml", ROLE);
    until("it is pruned", &agent, || place.live("kube_cluster/mycluster").is_none());
    assert!(agent.interrupt().success());
}

#[test]
fn kill_9_before_the_planes_commit() {
    killed_while_the_answer_is_held("hold-before", false);
}

#[test]
fn kill_9_after_the_planes_commit() {
    killed_while_the_answer_is_held("hold-after", true);
}

/// The embedded plane plays 18.0.0, which has no `mcp`.
#[test]
fn a_single_pass_ends_at_what_the_server_is_too_old_for() {
    let place = Place::new("");
    let text = ROLE.replace("    logins: [visitor]\n", "    mcp: {tools: [search]}\n");
    place.put("role.yaml", &text);
    let output = place.run(&["--once"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains(
            "role/visitor is not applied: Teleport 18.0.0 does not keep `spec.allow.mcp`"
        ),
        "{said}"
    );
    assert!(place.live("role/visitor").is_none(), "not even the rest of it is written");
    let preview = place.run(&["--dry-run"]);
    let shown = String::from_utf8_lossy(&preview.stdout).into_owned();
    assert!(shown.contains("Teleport 18.0.0 does not keep `spec.allow.mcp`"), "{shown}");
}
