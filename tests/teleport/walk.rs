//! The walk of a user: drop, edit, break, drift, a new identity, a restart of the server, delete.

#![allow(unreachable_pub, reason = "a module of a test")]
use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use crate::common::{Agent, Place, until};
use crate::live::{self, Live};
use crate::{KUBECONFIG, LAG, Server, place, write_identity};

/// Another identity of the same user on the same cluster: what a renewal would bring.
const NEXT: &str = "RECONCILER_TEST_TELEPORT_NEXT";

/// A shell command that restarts the server, and may end before it answers again.
const RESTART: &str = "RECONCILER_TEST_TELEPORT_RESTART";

/// A manifest whose cluster has this label.
fn kube(env: &str) -> String {
    format!(
        "kind: kube_cluster\nversion: v3\nmetadata:\n  name: reconciler-walk\n  labels: {{env: \
         {env}, team: dev}}\nspec:\n  kubeconfig: {KUBECONFIG}\n"
    )
}

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

const USER: &str = "\
kind: user
version: v2
metadata:
  name: reconciler-walk
spec:
  roles: [reconciler-walk]
  traits: {team: [blue]}
";

const TOKEN: &str = "\
kind: token
version: v2
metadata:
  name: reconciler-walk
spec:
  roles: [Node]
  join_method: iam
  allow: [{aws_account: '123456789012'}]
";

const BOT: &str = "\
kind: bot
version: v1
metadata:
  name: reconciler-walk
spec:
  roles: [reconciler-walk]
";

/// What a walk did beside converging.
pub struct Walked {
    pub first: BTreeMap<String, u64>,
    pub second: BTreeMap<String, u64>,
    pub new_identity: bool,
    pub restarted: bool,
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

pub fn writes(calls: &BTreeMap<String, u64>) -> u64 {
    let is_write = |method: &str| {
        let name = method.rsplit('/').next().unwrap_or_default();
        ["Create", "Update", "Upsert", "Delete"].iter().any(|verb| name.starts_with(verb))
    };
    calls.iter().filter(|(method, _)| is_write(method)).map(|(_, count)| count).sum()
}

fn in_sync(place: &Place) -> bool {
    place.ok(&["--dry-run"]).contains("No changes. 5 resources in sync")
}

/// Walks.
pub fn walk(server: &Server) -> Walked {
    let place = place(server, "walk", "");
    let live = Live::connect(&server.address, &place.dir.path().join("identity"), server);
    live.remove_leftovers();
    std::thread::sleep(LAG);

    drop_all(&place);
    let agent = place.agent();
    until("everything is there", &agent, || {
        let kinds = [live::ROLE, live::USER, live::TOKEN, live::BOT];
        live.label("env").as_deref() == Some("prod") && kinds.iter().all(|kind| live.exists(kind))
    });
    edit(&place, &live, &agent);
    break_and_mend(&place, &live, &agent);
    drift(server, &place, &live, &agent);
    let new_identity = take_the_next_identity(&place, &live, &agent);
    let restarted = restart_the_server(&place, &live, &agent);

    // Everything is quiet, and a new agent on the same state finds nothing to do.
    place.put("kube.yaml", &kube("stage"));
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

    delete(&place, &live, &agent);
    assert!(agent.interrupt().success());
    live.remove_leftovers();
    Walked { first, second, new_identity, restarted }
}

fn drop_all(place: &Place) {
    place.put("kube.yaml", &kube("prod"));
    place.put("role.yaml", ROLE);
    place.put("user.yaml", USER);
    place.put("token.yaml", TOKEN);
    place.put("bot.yaml", BOT);
}

fn edit(place: &Place, live: &Live, agent: &Agent) {
    place.put("kube.yaml", &kube("test"));
    // Then edit at once again, while reads still show the old state.
    std::thread::sleep(Duration::from_millis(400));
    place.put("kube.yaml", &kube("stage"));
    place.put("user.yaml", &USER.replace("[blue]", "[blue, green]"));
    place.put("token.yaml", &TOKEN.replace("123456789012", "210987654321"));
    until("the last edits are live", agent, || {
        live.label("env").as_deref() == Some("stage")
            && live.holds(&live::USER, "green")
            && live.holds(&live::TOKEN, "210987654321")
    });
}

/// Break: a finding with its place, and nothing is touched.
fn break_and_mend(place: &Place, live: &Live, agent: &Agent) {
    place.put("kube.yaml", &kube("stage").replace("labels:", "lables:"));
    until("the finding is shown", agent, || agent.log().contains("kube.yaml:5:3"));
    std::thread::sleep(LAG);
    assert_eq!(live.label("env").as_deref(), Some("stage"), "a broken file touched something");
    place.put("kube.yaml", &kube("stage"));
}

/// Drift is undone and what somebody removed is made again, under a torn identity file.
fn drift(server: &Server, place: &Place, live: &Live, agent: &Agent) {
    let identity = std::fs::read_to_string(&server.identity).unwrap();
    write_identity(place, identity.get(..identity.len() / 2).unwrap());
    std::thread::sleep(LAG);
    live.set_label("env", "drift");
    until("the drift is undone", agent, || live.label("env").as_deref() == Some("stage"));
    until("the torn file was told", agent, || agent.log().contains("is not whole"));
    write_identity(place, &identity);
    live.remove(&live::TOKEN);
    until("the token was made again", agent, || {
        agent.log().matches("created token/reconciler-walk").count() == 2
            && live.exists(&live::TOKEN)
    });
}

/// Written in place under the running agent. False: there is none.
fn take_the_next_identity(place: &Place, live: &Live, agent: &Agent) -> bool {
    let Some(path) = std::env::var_os(NEXT) else { return false };
    let identity = std::fs::read_to_string(path).expect("the next identity is readable");
    write_identity(place, &identity);
    until("it is in force", agent, || agent.log().contains("a new identity of"));
    place.put("kube.yaml", &kube("rotated"));
    until("work goes on", agent, || live.label("env").as_deref() == Some("rotated"));
    live.set_label("env", "drift");
    until("so does the watch", agent, || live.label("env").as_deref() == Some("rotated"));
    true
}

/// Edits fall before, into and after the restart. False: there is no command for it.
fn restart_the_server(place: &Place, live: &Live, agent: &Agent) -> bool {
    let Some(command) = std::env::var_os(RESTART) else { return false };
    place.put("kube.yaml", &kube("before"));
    let mut restart = Command::new("sh").arg("-c").arg(command).spawn().expect("a shell");
    std::thread::sleep(Duration::from_secs(1));
    place.put("kube.yaml", &kube("meanwhile"));
    assert!(restart.wait().unwrap().success(), "the restart failed");
    until("the edit is live", agent, || live.label("env").as_deref() == Some("meanwhile"));
    live.set_label("env", "drift");
    until("it watches again", agent, || live.label("env").as_deref() == Some("meanwhile"));
    true
}

/// Delete, change one's mind, delete; and more deletes than go through unasked.
fn delete(place: &Place, live: &Live, agent: &Agent) {
    let revision = live.revision();
    place.remove("kube.yaml");
    until("the deletion is pending", agent, || place.ok(&["status"]).contains("pending"));
    place.put("kube.yaml", &kube("stage"));
    std::thread::sleep(LAG);
    assert_eq!(live.revision(), revision, "restoring the file did not cancel");
    place.remove("kube.yaml");
    place.put("role.yaml", &ROLE.replace("[visitor]", "[visitor, guest]"));
    until("it is gone", agent, || live.revision().is_none());
    until("the role is edited", agent, || live.holds(&live::ROLE, "guest"));

    for name in ["user.yaml", "token.yaml", "bot.yaml"] {
        place.remove(name);
    }
    let hash = || {
        let status = place.ok(&["status"]);
        let (_, rest) = status.split_once("reconciler approve ")?;
        Some(rest.chars().take_while(char::is_ascii_hexdigit).collect::<String>())
    };
    until("it asks", agent, || hash().is_some());
    std::thread::sleep(LAG);
    for kind in [live::USER, live::TOKEN, live::BOT] {
        assert!(live.exists(&kind), "{} went unasked", kind.get);
    }
    place.ok(&["approve", &hash().unwrap()]);
    until("they are gone", agent, || {
        ![live::USER, live::TOKEN, live::BOT].iter().any(|kind| live.exists(kind))
    });
    assert!(live.exists(&live::ROLE));
}
