//! The user's walk against a running Teleport, with the built binary and real files.
//!
//! Left out unless asked for:
//! `RECONCILER_TEST_TELEPORT='ADDRESS,IDENTITY_FILE[,CA_FILE]' cargo test --test teleport -- --ignored`
//! Several of these may follow each other with `;` between them: the proxy and the Auth Service
//! of one cluster, for example. The identity needs everything that `reconciler doctor` asks for.
//! What was seen is written to `report.json` beside this file.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "test code"
)]

#[path = "../common/mod.rs"]
mod common;
mod live;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use common::{Agent, Place, until};
use live::Live;

/// Where the server under test is.
const VARIABLE: &str = "RECONCILER_TEST_TELEPORT";

/// Longer than a default server's cache lags behind a write.
const LAG: Duration = Duration::from_millis(2500);

const KUBE: &str = "\
kind: kube_cluster
version: v3
metadata:
  name: reconciler-walk
  labels: {env: prod, team: dev}
spec:
  kubeconfig: eyJhcGlWZXJzaW9uIjoidjEiLCJraW5kIjoiQ29uZmlnIiwiY3VycmVudC1jb250ZXh0IjoiayIsImNsdXN0ZXJzIjpbeyJuYW1lIjoiayIsImNsdXN0ZXIiOnsic2VydmVyIjoiaHR0cHM6Ly9rIn19XSwiY29udGV4dHMiOlt7Im5hbWUiOiJrIiwiY29udGV4dCI6eyJjbHVzdGVyIjoiayIsInVzZXIiOiJ1In19XSwidXNlcnMiOlt7Im5hbWUiOiJ1IiwidXNlciI6eyJ0b2tlbiI6InQifX1dfQ==
";

const ROLE: &str = "\
kind: role
version: v7
metadata:
  name: reconciler-walk
spec:
  allow:
    logins: [visitor]
    node_labels: {'*': '*'}
";

/// One server, as named in the environment.
struct Server {
    address: String,
    identity: String,
    ca_file: Option<String>,
}

fn servers() -> Vec<Server> {
    let text = std::env::var_os(VARIABLE).unwrap_or_default();
    let text = text.to_string_lossy().into_owned();
    let servers = text.split(';').filter(|part| !part.trim().is_empty()).map(|part| {
        let mut words = part.trim().split(',').map(str::to_owned);
        let (Some(address), Some(identity)) = (words.next(), words.next()) else {
            panic!("{VARIABLE} is not `ADDRESS,IDENTITY_FILE[,CA_FILE]`: {part}");
        };
        Server { address, identity, ca_file: words.next() }
    });
    let servers: Vec<Server> = servers.collect();
    assert!(!servers.is_empty(), "{VARIABLE} names no server");
    servers
}

/// A place of its own whose configuration names the server.
fn place(server: &Server) -> Place {
    let place = Place::new("");
    let identity = std::fs::read_to_string(&server.identity).expect("the identity is readable");
    write_identity(&place, &identity);
    let ca_file = match &server.ca_file {
        Some(path) => {
            let path = Path::new(path).canonicalize().expect("the CA file is there");
            format!("ca_file = \"{}\"\n", path.display())
        }
        None => String::new(),
    };
    let text = format!(
        "[agent]\nname = \"walk\"\n[source]\npath = \"desired-state\"\nsettle = \"100ms\"\n\
         [control_plane]\nkind = \"teleport\"\naddress = \"{}\"\nidentity_file = \"identity\"\n\
         {ca_file}[safety]\nprune_delay = \"1s\"\n[state]\npath = \"state/state.db\"\n",
        server.address
    );
    std::fs::write(place.dir.path().join("reconciler.toml"), text).unwrap();
    place
}

/// In place, as `tbot` does.
fn write_identity(place: &Place, text: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    let path = place.dir.path().join("identity");
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

/// Calls per method that an agent's log tells of.
fn calls(agent: &Agent) -> BTreeMap<String, u64> {
    let mut calls = BTreeMap::new();
    for line in agent.log().lines() {
        if let Some((_, method)) = line.split_once(" call /") {
            let method = method.split_whitespace().next().unwrap_or_default();
            *calls.entry(format!("/{method}")).or_insert(0) += 1;
        }
    }
    assert!(!calls.is_empty(), "the log tells of no call:\n{}", agent.log());
    calls
}

fn writes(calls: &BTreeMap<String, u64>) -> u64 {
    let is_write = |method: &str| {
        let name = method.rsplit('/').next().unwrap_or_default();
        ["Create", "Update", "Upsert", "Delete"].iter().any(|verb| name.starts_with(verb))
    };
    calls.iter().filter(|(method, _)| is_write(method)).map(|(_, count)| count).sum()
}

fn in_sync(place: &Place) -> bool {
    place.ok(&["--dry-run"]).contains("No changes. 2 resources in sync")
}

/// Walks; what the first agent and the second one called.
fn walk(server: &Server) -> (BTreeMap<String, u64>, BTreeMap<String, u64>) {
    let place = place(server);
    let live = Live::connect(&server.address, &place.dir.path().join("identity"), server);
    live.remove_leftovers();
    std::thread::sleep(LAG);

    // Drop two files.
    place.put("kube.yaml", KUBE);
    place.put("role.yaml", ROLE);
    let agent = place.agent();
    until("the cluster is there", &agent, || live.label("env").as_deref() == Some("prod"));
    until("the role is there", &agent, || live.role_exists());

    // Edit; then edit at once again, while reads still show the old state.
    place.put("kube.yaml", &KUBE.replace("env: prod", "env: test"));
    std::thread::sleep(Duration::from_millis(400));
    place.put("kube.yaml", &KUBE.replace("env: prod", "env: stage"));
    until("the last edit is live", &agent, || live.label("env").as_deref() == Some("stage"));

    // Break: a finding with its place, and nothing is touched.
    place.put("kube.yaml", &KUBE.replace("labels:", "lables:"));
    until("the finding is shown", &agent, || agent.log().contains("kube.yaml:5:3"));
    std::thread::sleep(LAG);
    assert_eq!(live.label("env").as_deref(), Some("stage"), "a broken file touched something");
    place.put("kube.yaml", &KUBE.replace("env: prod", "env: stage"));

    // A torn identity file stops nothing.
    let identity = std::fs::read_to_string(&server.identity).unwrap();
    write_identity(&place, identity.get(..identity.len() / 2).unwrap());
    std::thread::sleep(LAG);

    // Drift is undone; what somebody removed is made again.
    live.set_label("env", "drift");
    until("the drift is undone", &agent, || live.label("env").as_deref() == Some("stage"));
    until("the torn file was told", &agent, || agent.log().contains("is not whole"));
    write_identity(&place, &identity);
    live.remove_role();
    until("the role was made again", &agent, || {
        agent.log().matches("created role/reconciler-walk").count() == 2 && live.role_exists()
    });

    // Everything is quiet, and a new agent on the same state finds nothing to do.
    until("in sync", &agent, || in_sync(&place));
    std::thread::sleep(LAG);
    let first = calls(&agent);
    assert!(agent.interrupt().success());
    let revision = live.revision();
    let agent = place.agent();
    until("in sync", &agent, || in_sync(&place));
    std::thread::sleep(LAG);
    let second = calls(&agent);
    assert_eq!(writes(&second), 0, "the second run wrote: {second:?}\n{}", agent.log());
    assert_eq!(live.revision(), revision);

    // Delete, change one's mind, delete.
    place.remove("kube.yaml");
    until("the deletion is pending", &agent, || place.ok(&["status"]).contains("pending"));
    place.put("kube.yaml", &KUBE.replace("env: prod", "env: stage"));
    std::thread::sleep(LAG);
    assert_eq!(live.revision(), revision, "restoring the file did not cancel");
    place.remove("kube.yaml");
    place.put("role.yaml", &ROLE.replace("[visitor]", "[visitor, guest]"));
    until("it is gone", &agent, || live.revision().is_none());
    assert!(live.role_exists());
    assert!(agent.interrupt().success());
    live.remove_leftovers();
    (first, second)
}

/// Two lines of `doctor`: how the server was reached, and its version.
fn doctor(server: &Server) -> (String, String) {
    let text = place(server).ok(&["doctor"]);
    let line = |what: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(what));
        line.unwrap_or_else(|| panic!("no {what} in {text}")).trim().to_owned()
    };
    (line("reached"), line("server"))
}

#[test]
#[ignore = "needs a running Teleport, named by RECONCILER_TEST_TELEPORT"]
fn the_walk_on_a_running_teleport() {
    let mut walks = Vec::new();
    let mut version = String::new();
    for server in servers() {
        let (reached, server_version) = doctor(&server);
        version = server_version.split([' ', ';']).nth(1).unwrap_or_default().to_owned();
        let started = Instant::now();
        let (first, second) = walk(&server);
        walks.push(serde_json::json!({
            "reached": reached,
            "converged": true,
            "seconds": started.elapsed().as_secs(),
            "calls": first,
            "writes_of_second_run": writes(&second),
            "calls_of_second_run": second,
        }));
    }
    let report = serde_json::json!({ "server_version": version, "walks": walks });
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/teleport/report.json");
    std::fs::write(path, format!("{report:#}\n")).unwrap();
}
