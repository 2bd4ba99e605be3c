//! Against a running Teleport, with the built binary and real files. What was seen is written to
//! `report.json` beside this file. Left out unless asked for:
//!
//! `RECONCILER_TEST_TELEPORT='ADDRESS,IDENTITY_FILE[,CA_FILE]' cargo test --test teleport -- --ignored`
//!
//! Several of these may follow each other with `;` between them: the proxy and the Auth Service
//! of one cluster, for example. The identity needs everything that `reconciler doctor` asks for.
//! One word more runs one test: `walk`, `services`, `creates`. These variables add to it:
//!
//! - `RECONCILER_TEST_TELEPORT_NEXT`: a second identity file of the same user (`tctl auth sign`
//!   once more). The walk then writes it over the first one under the running agent.
//! - `RECONCILER_TEST_TELEPORT_RESTART`: a shell command that restarts the server. The walk then
//!   does so, with edits before and meanwhile.
//! - `RECONCILER_TEST_TSH`: `tsh`, for `services`, which compares what is foretold with what is
//!   served. It wants a Kubernetes Service whose `resources` are those of `selectors.yaml`, and
//!   the first server to be a proxy (`SSL_CERT_FILE` if its certificate is of an authority of
//!   yours). Without it `services` is left out.
//! - `RECONCILER_TEST_BINARY`: a release build, for the figures of `creates`, which wants Go (and
//!   `go mod download` in `tests/gosdk`) and the last server to be an Auth Service.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "test code"
)]

#[path = "../common/mod.rs"]
mod common;
mod creates;
mod live;
mod services;
mod walk;

use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use common::Place;
use serde_json::Value;

/// Where the server under test is.
const VARIABLE: &str = "RECONCILER_TEST_TELEPORT";

/// Longer than a default server's cache lags behind a write.
const LAG: Duration = Duration::from_millis(2500);

/// A kubeconfig that leads nowhere.
const KUBECONFIG: &str = "eyJhcGlWZXJzaW9uIjoidjEiLCJraW5kIjoiQ29uZmlnIiwiY3VycmVudC1jb250ZXh0IjoiayIsImNsdXN0ZXJzIjpbeyJuYW1lIjoiayIsImNsdXN0ZXIiOnsic2VydmVyIjoiaHR0cHM6Ly9rIn19XSwiY29udGV4dHMiOlt7Im5hbWUiOiJrIiwiY29udGV4dCI6eyJjbHVzdGVyIjoiayIsInVzZXIiOiJ1In19XSwidXNlcnMiOlt7Im5hbWUiOiJ1IiwidXNlciI6eyJ0b2tlbiI6InQifX1dfQ==";

/// One at a time: they use one server, and one of them measures it.
static TURN: Mutex<()> = Mutex::new(());

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

/// A place of its own whose configuration names the server and ends with `more`.
fn place(server: &Server, agent: &str, more: &str) -> Place {
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
        "[agent]\nname = \"{agent}\"\n[source]\npath = \"desired-state\"\nsettle = \"100ms\"\n\
         [control_plane]\nkind = \"teleport\"\naddress = \"{}\"\nidentity_file = \"identity\"\n\
         {ca_file}[safety]\nprune_delay = \"1s\"\n[state]\npath = \"state/state.db\"\n{more}",
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

/// Two lines of `doctor`: how the server was reached, and its version.
fn doctor(server: &Server) -> (String, String) {
    let text = place(server, "doctor", "").ok(&["doctor"]);
    let line = |what: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(what));
        line.unwrap_or_else(|| panic!("no {what} in {text}")).trim().to_owned()
    };
    let version = line("server").split([' ', ';']).nth(1).unwrap_or_default().to_owned();
    (line("reached"), version)
}

/// Writes one part of the report anew; the others stay as they are.
fn report(part: &str, seen: Value) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/teleport/report.json");
    let old = std::fs::read(&path).unwrap();
    let mut report: serde_json::Map<String, Value> = serde_json::from_slice(&old).unwrap();
    report.insert(part.to_owned(), seen);
    std::fs::write(path, format!("{:#}\n", Value::Object(report))).unwrap();
}

#[test]
#[ignore = "needs a running Teleport, named by RECONCILER_TEST_TELEPORT"]
fn the_walk_on_a_running_teleport() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let mut walks = Vec::new();
    for server in servers() {
        let (reached, version) = doctor(&server);
        let started = Instant::now();
        let walked = walk::walk(&server);
        walks.push(serde_json::json!({
            "server_version": version,
            "reached": reached,
            "converged": true,
            "kinds": ["bot", "kube_cluster", "role", "token", "user"],
            "new_identity_under_the_agent": walked.new_identity,
            "server_restarted_under_the_agent": walked.restarted,
            "seconds": started.elapsed().as_secs(),
            "writes_of_second_run": walk::writes(&walked.second),
            "calls": walked.first,
            "calls_of_second_run": walked.second,
        }));
    }
    report("walks", walks.into());
}

#[test]
#[ignore = "needs a running Teleport, a Kubernetes Service and tsh"]
fn services_serve_what_was_foretold() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let servers = servers();
    match std::env::var_os(services::TSH) {
        Some(tsh) => report("services", services::compare(servers.first().unwrap(), &tsh)),
        None => eprintln!("left out: {} names no tsh", services::TSH),
    }
}

#[test]
#[ignore = "needs a running Teleport that does nothing else"]
fn creates_take_as_long_as_the_server_needs() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let servers = servers();
    // The last one: the Auth Service itself, if it is named.
    report("creates", creates::measure(servers.last().unwrap()));
}
