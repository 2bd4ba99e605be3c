//! The built agent with identities that are wrong, over, unreadable, or of another cluster.

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Output;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crate::common::{Place, until};
use crate::served::Served;

/// Longer than a pass takes that ends at once, on a busy machine; far less than one that waits.
const AT_ONCE: Duration = Duration::from_secs(30);

/// Longer than five attempts and their delays.
const BOUNDED: Duration = Duration::from_secs(90);

const ROLE: &str = "kind: role\nversion: v7\nmetadata: {name: a}\nspec: {}\n";

/// A place with one role, and its own copy of an identity.
pub(crate) fn place(address: &str, identity: &Path) -> Place {
    let place = Place::new("");
    place.put("a.yaml", ROLE);
    aim(&place, address);
    give(&place, identity);
    place
}

fn aim(place: &Place, address: &str) {
    let text = format!(
        "[agent]\nname = \"edge\"\n[source]\npath = \"desired-state\"\nsettle = \"100ms\"\n\
         [control_plane]\nkind = \"teleport\"\naddress = {address:?}\n\
         identity_file = \"identity\"\n[state]\npath = \"state/state.db\"\n"
    );
    fs::write(place.dir.path().join("reconciler.toml"), text).unwrap();
}

fn give(place: &Place, identity: &Path) {
    let file = place.dir.path().join("identity");
    fs::copy(identity, &file).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
}

pub(crate) fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[&*output.stdout, &*output.stderr].concat()).into_owned()
}

fn has_role(served: &Served) -> bool {
    let args = ["plane", "get", "role/a", "--state", "state.db"];
    served.run(&args).status.success()
}

/// A port on which nobody listens.
fn closed() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

#[test]
fn a_single_pass_ends_where_waiting_is_of_no_use_and_binds_nothing() {
    let (one, other) = (Served::start(), Served::start());
    let (ours, theirs) = (one.identity("edge", "everything"), other.identity("x", "everything"));
    let place = place(&one.address, &theirs);
    let once = |limit: Duration| {
        let started = Instant::now();
        let output = place.run(&["--once"]);
        let took = started.elapsed();
        assert!(took < limit, "{took:?}: {}", said(&output));
        (output.status.code(), said(&output))
    };
    let (code, words) = once(AT_ONCE);
    assert_eq!(code, Some(1), "{words}");
    assert!(words.contains("the pass ends here"), "{words}");
    assert!(words.contains("not signed by the authorities of the identity"), "{words}");
    assert!(words.contains("sign a new identity"), "a remedy: {words}");

    aim(&place, &closed());
    let (code, words) = once(BOUNDED);
    assert_eq!(code, Some(1), "{words}");
    assert!(words.contains("refused"), "{words}");

    // Neither of the two has bound the state: the right one may.
    assert!(!has_role(&one) && !has_role(&other));
    aim(&place, &one.address);
    give(&place, &ours);
    let (code, words) = once(BOUNDED);
    assert_eq!(code, Some(0), "{words}");
    assert!(has_role(&one) && !has_role(&other));
    // And from now on only that one.
    give(&place, &theirs);
    let (code, words) = once(AT_ONCE);
    assert_eq!(code, Some(1), "{words}");
    assert!(words.contains("control plane `teleport:"), "{words}");
}

#[test]
fn commands_ask_the_agent_whatever_has_become_of_the_identitys_file() {
    let served = Served::start();
    let good = served.identity("edge", "everything");
    let place = place(&served.address, &good);
    let file = place.dir.path().join("identity");
    let agent = place.agent();
    let status = || {
        let output = place.run(&["status"]);
        assert_eq!(output.status.code(), Some(0), "{}", said(&output));
        said(&output)
    };
    until("in sync", &agent, || status().contains("Everything is in sync."));
    let asked = |problem: &str| {
        until(problem, &agent, || status().contains(problem));
        let words = status();
        assert!(words.contains("the one of before stays in force"), "{words}");
        let got = place.run(&["get", "role/a"]);
        assert!(got.status.success() && said(&got).contains("name: a"), "{}", said(&got));
        let approve = said(&place.run(&["approve", "0123456789"]));
        assert!(approve.contains("nothing is waiting for approval"), "{approve}");
    };
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.get(..text.len() / 2).unwrap()).unwrap();
    asked("it is not whole");
    assert!(status().contains("it is read again until it is whole"), "{}", status());
    give(&place, &good);
    until("whole again", &agent, || !status().contains("it is not whole"));
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    // The time of the last change is what the agent goes by.
    fs::write(&file, &text).unwrap();
    asked("mode 0644");

    // Without an agent, the file is all there is.
    agent.kill();
    let output = place.run(&["status"]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains("chmod 600"), "{}", said(&output));
}

#[test]
fn status_tells_of_an_identity_that_is_over() {
    let served = Served::start();
    let path = served.dir.path().join("short.pem");
    let args = [
        "plane",
        "identity",
        "--state",
        "state.db",
        "--user",
        "edge",
        "--roles",
        "everything",
        "--ttl",
        "15s",
        "-o",
        "short.pem",
    ];
    let minted = served.run(&args);
    assert!(minted.status.success(), "{}", said(&minted));
    let place = place(&served.address, &path);
    let agent = place.agent();
    let status = || {
        let output = place.run(&["status"]);
        assert_eq!(output.status.code(), Some(0), "{}", said(&output));
        said(&output)
    };
    until("expired", &agent, || status().contains("control plane: identity expired at "));
    let file = place.dir.path().join("identity");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.get(..text.len() / 2).unwrap()).unwrap();
    until("torn", &agent, || status().contains("it is not whole"));
    assert!(!status().contains("stays in force"), "{}", status());
    assert!(status().contains("is over since"), "{}", status());
    give(&place, &served.identity("edge", "everything"));
    until("in sync", &agent, || status().contains("Everything is in sync."));
    assert!(!status().contains("control plane:"), "{}", status());
}

/// Passes connections on to where it is told to.
struct Forwarder {
    address: String,
    to: Arc<Mutex<String>>,
    open: Arc<Mutex<Vec<TcpStream>>>,
}

impl Forwarder {
    fn to(address: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let forwarder = Self {
            address: listener.local_addr().unwrap().to_string(),
            to: Arc::new(Mutex::new(address.to_owned())),
            open: Arc::default(),
        };
        let (to, open) = (Arc::clone(&forwarder.to), Arc::clone(&forwarder.open));
        thread::spawn(move || {
            for near in listener.incoming() {
                let near = near.unwrap();
                let Ok(far) = TcpStream::connect(&*to.lock().unwrap()) else { continue };
                let ends = [&near, &far].map(|end| end.try_clone().unwrap());
                open.lock().unwrap().extend(ends);
                let (back_to, back_from) = (near.try_clone().unwrap(), far.try_clone().unwrap());
                thread::spawn(move || pass(near, far));
                thread::spawn(move || pass(back_from, back_to));
            }
        });
        forwarder
    }

    /// Leads elsewhere from now on, and breaks what there is.
    fn lead_to(&self, address: &str) {
        address.clone_into(&mut self.to.lock().unwrap());
        for end in self.open.lock().unwrap().drain(..) {
            drop(end.shutdown(Shutdown::Both));
        }
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream) {
    let mut buffer = [0; 16 * 1024];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        let Some(bytes) = buffer.get(..count) else { break };
        if to.write_all(bytes).is_err() {
            break;
        }
    }
    drop((from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both)));
}

#[test]
fn a_running_agent_does_not_move_to_another_cluster_of_the_same_name() {
    let (one, other) = (Served::start(), Served::start());
    let (ours, theirs) = (one.identity("edge", "everything"), other.identity("x", "everything"));
    let forwarder = Forwarder::to(&one.address);
    let place = place(&forwarder.address, &ours);
    let agent = place.agent();
    let status = || said(&place.run(&["status"]));
    until("in sync", &agent, || status().contains("Everything is in sync."));
    assert!(has_role(&one));

    forwarder.lead_to(&other.address);
    give(&place, &theirs);
    until("told", &agent, || {
        let words = status();
        words.contains("no authority in common") && words.contains("not signed by the authorities")
    });
    let words = status();
    assert!(words.contains("state.path"), "a remedy: {words}");
    assert!(agent.log().contains("no authority in common"), "{}", agent.log());
    // It would have written by now: a resync at each new connection, and a new manifest.
    place.put("b.yaml", &ROLE.replace("name: a", "name: b"));
    thread::sleep(Duration::from_secs(4));
    assert!(!has_role(&other), "{}", agent.log());
    assert!(!agent.log().contains("is in force, until"), "{}", agent.log());

    // Back home, with the identity of home, it goes on.
    give(&place, &ours);
    forwarder.lead_to(&one.address);
    until("home", &agent, || {
        status().contains("Everything is in sync.")
            && one.run(&["plane", "get", "role/b", "--state", "state.db"]).status.success()
    });
    assert!(!has_role(&other));
    assert!(agent.interrupt().success());
}
