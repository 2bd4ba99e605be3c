//! Rough treatment: closed pipes, full disks, signals, a state that is taken away.

use std::fs;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use super::{KUBE, ROLE};
use crate::common::{Agent, Place, bytes_of, until};

fn with_role() -> (Place, Agent) {
    let place = Place::new("");
    place.put("role.yaml", ROLE);
    let agent = place.agent();
    place.ok(&["wait", "role/visitor"]);
    (place, agent)
}

#[test]
fn commands_that_read_need_no_room_for_a_copy() {
    let (place, agent) = with_role();
    place.put("kube.yaml", KUBE);
    place.ok(&["wait", "kube_cluster/mycluster"]);
    // Its last writes are in the logs beside the databases.
    agent.kill();
    assert!(place.state().join("plane.db-wal").exists());
    let before = bytes_of(&place.state());
    let nowhere = place.dir.path().join("nowhere");
    for args in [
        &["get", "role/visitor"][..],
        &["plane", "get", "kube_cluster/mycluster"],
        &["history"],
        &["--dry-run"],
        &["wait", "role/visitor"],
    ] {
        let output = place.command(args).env("TMPDIR", &nowhere).output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(before, bytes_of(&place.state()), "{args:?} changed the state directory");
    }
    let kept = place.ok(&["plane", "get", "kube_cluster/mycluster"]);
    assert!(kept.contains("env: prod"), "what the log alone holds is read: {kept}");
}

#[test]
fn an_agent_whose_state_is_taken_away_ends() {
    let (place, mut agent) = with_role();
    fs::remove_dir_all(place.state()).unwrap();
    place.put("kube.yaml", KUBE);
    let status = agent.ended();
    assert_eq!(status.code(), Some(1), "{}", agent.log());
    assert!(agent.log().contains("was removed or replaced"), "{}", agent.log());
    assert!(!agent.log().contains("created kube_cluster/mycluster"), "{}", agent.log());
    assert!(!place.state().exists(), "it made nothing anew");
}

#[test]
fn an_agent_whose_log_is_taken_away_ends_and_keeps_what_it_knows() {
    let (place, mut agent) = with_role();
    // The outcome is written after the role can be seen.
    until("the outcome is on disk", &agent, || place.ok(&["history"]).contains(": done"));
    let known = place.ok(&["history"]);
    fs::remove_file(place.state().join("state.db-wal")).unwrap();
    place.put("kube.yaml", KUBE);
    let status = agent.ended();
    assert_eq!(status.code(), Some(1), "{}", agent.log());
    assert!(agent.log().contains("its log (`-wal`) or its lock was removed"), "{}", agent.log());
    assert!(!agent.log().contains("created kube_cluster/mycluster"), "{}", agent.log());
    assert!(known.contains("role/visitor"), "{known}");
    assert_eq!(place.ok(&["history"]), known);
    assert!(place.run(&["--once"]).status.success());
    assert!(place.live("kube_cluster/mycluster").is_some());
}

#[test]
fn who_waits_sees_what_agents_do_that_come_and_go() {
    let place = Place::new("");
    // An earlier life left a plane that does not have it.
    assert!(place.run(&["--once"]).status.success());
    let mut waiting = place.command(&["wait", "role/visitor", "--timeout", "60s"]).spawn().unwrap();
    let mut still = |why: &str| {
        thread::sleep(Duration::from_millis(500));
        assert!(waiting.try_wait().unwrap().is_none(), "{why}");
    };
    still("it waits for what is to come");
    let first = place.agent();
    still("it asks the agent by now");
    first.kill();
    still("the agent may come back");
    place.put("role.yaml", ROLE);
    let second = place.agent();
    assert!(waiting.wait().unwrap().success());
    assert!(second.interrupt().success());
}

#[test]
fn a_hangup_ends_it_gracefully() {
    // Whoever has it ignored, as under `nohup`, has it ignored in what is started here, too.
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap();
    if u64::from_str_radix(ignored.trim(), 16).unwrap() & 1 == 1 {
        return;
    }
    let (place, mut agent) = with_role();
    agent.signal("-HUP");
    let status = agent.ended();
    assert!(status.success(), "{status}: {}", agent.log());
    until("it says so", &agent, || agent.log().contains("shutting down"));
    assert!(!place.state().join("reconciler.sock").exists(), "the socket is left");
}

#[test]
fn a_closed_pipe_is_no_error_and_a_full_disk_is_one() {
    let place = Place::new("");
    place.put("role.yaml", ROLE);
    for args in [&["completions", "bash"][..], &["--help"], &["validate"], &["--dry-run"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = place.command(args).stdout(writer).stderr(Stdio::piped()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(0), "{args:?}: {said}");
        assert!(!said.contains("panicked") && !said.contains("error"), "{args:?}: {said}");

        let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let output = place.command(args).stdout(full).stderr(Stdio::piped()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{args:?}: {said}");
        assert!(said.contains("error: cannot write the result: No space left"), "{args:?}: {said}");
    }
}

#[test]
fn a_state_may_lie_below_a_long_path() {
    let place = Place::new("");
    place.put("role.yaml", ROLE);
    let name = "n".repeat(60);
    let state = place.dir.path().join(&name).join(&name).join("state.db");
    let state = state.to_str().unwrap();
    assert!(state.len() > 120, "longer than an address of a socket");
    place.ok(&["--once", "--state", state]);
    let agent = Agent::started(place.command(&["--state", state]));
    until("it answers", &agent, || {
        place.run(&["plane", "calls", "--state", state]).status.success()
    });
    // Without its socket this would need the lock, which it holds.
    until("commands that change reach it", &agent, || {
        place.run(&["plane", "rm", "role/visitor", "--state", state]).status.success()
    });
    assert!(agent.interrupt().success());
}

#[test]
fn colours_go_through_a_pipe_when_they_are_asked_for() {
    let place = Place::new("");
    place.put("role.yaml", ROLE);
    place.put("bad.yaml", "kind: role\nversion: v7\nmetadata: {nam: x}\n");
    for (args, stdout) in
        [(&["--dry-run"][..], true), (&["validate"], true), (&["--dry-run"], false)]
    {
        for (choice, coloured) in [("always", true), ("never", false), ("auto", false)] {
            let output = place.run(&[args, &["--color", choice]].concat());
            let text = if stdout { output.stdout } else { output.stderr };
            let text = String::from_utf8(text).unwrap();
            assert!(!text.is_empty(), "{args:?}");
            assert_eq!(text.contains('\u{1b}'), coloured, "{args:?} {choice}: {text}");
        }
    }
}

#[test]
fn a_json_log_is_json_lines() {
    let place = Place::new("");
    place.put("role.yaml", ROLE);
    place.put("bad.yaml", "kind: role\nversion: v7\nmetadata: {nam: x}\n");
    for args in [&["--once"][..], &["--dry-run"], &["get", "nonsense"]] {
        let output = place.run(&[args, &["--log-format", "json"]].concat());
        let text = String::from_utf8(output.stderr).unwrap();
        let read = |line: &str| match serde_json::from_str::<serde_json::Value>(line) {
            Ok(serde_json::Value::Object(object)) => object,
            other => panic!("{args:?}: {other:?} of `{line}`"),
        };
        let lines: Vec<_> = text.lines().map(read).collect();
        if args == ["get", "nonsense"] {
            let last = lines.last().unwrap();
            assert_eq!(last["level"], "ERROR");
            assert!(last["message"].as_str().unwrap().contains("nonsense"), "{text}");
            continue;
        }
        let found =
            lines.iter().find(|line| line.get("code").is_some_and(|it| it == "M030")).unwrap();
        assert_eq!(found["level"], "ERROR");
        assert!(found["place"].as_str().unwrap().starts_with("bad.yaml:3:"), "{text}");
        assert!(found["message"].as_str().unwrap().contains("`nam`"), "{text}");
        assert!(found.contains_key("help"), "{text}");
    }
}

#[test]
fn a_link_is_the_state_that_it_leads_to() {
    let (place, agent) = with_role();
    std::os::unix::fs::symlink("state/state.db", place.dir.path().join("link.db")).unwrap();
    let second = place.run(&["--once", "--state", "link.db"]);
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert_eq!(second.status.code(), Some(1), "one state, one agent: {said}");
    place.put("kube.yaml", KUBE);
    place.ok(&["wait", "kube_cluster/mycluster"]);
    // What it did last is in the log beside the file, not beside the link.
    agent.kill();
    let known = place.ok(&["history"]);
    assert!(known.contains("create kube_cluster/mycluster"), "{known}");
    assert_eq!(place.ok(&["history", "--state", "link.db"]), known);
}

#[test]
#[expect(clippy::disallowed_methods, reason = "real time is what is measured")]
fn who_waits_waits_no_longer_than_was_said() {
    let place = Place::new("faults = \"latency 6000\"");
    let begun = std::time::Instant::now();
    let output = place.run(&["wait", "role/visitor", "--timeout", "1s"]);
    let took = begun.elapsed();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("timed out after 1s waiting for role/visitor: no answer yet"), "{said}");
    assert!(took < Duration::from_secs(4), "{took:?}");
}

#[test]
fn without_an_agent_the_status_says_what_is_wrong_and_what_waits() {
    let place = Place::new("");
    place.put("role.yaml", ROLE);
    place.put("other.yaml", &ROLE.replace("name: visitor", "name: other"));
    place.ok(&["--once"]);
    let well = place.ok(&["status"]);
    assert!(well.contains("role/visitor") && well.contains("Everything is in sync."), "{well}");
    place.put("broken.yaml", "x: [");
    let broken = place.ok(&["status"]);
    assert!(broken.contains("1 error in the source; run `reconciler validate`"), "{broken}");
    assert!(broken.contains("Not everything is in sync yet."), "{broken}");
    for name in ["broken.yaml", "role.yaml", "other.yaml"] {
        place.remove(name);
    }
    let empty = place.ok(&["status"]);
    assert!(empty.contains("held: delete role/visitor: "), "{empty}");
    assert!(empty.contains("to approve: reconciler approve "), "{empty}");
}

/// A create whose answer was lost with the agent, of what nobody declares any more.
#[test]
fn what_is_in_doubt_is_shown_though_nobody_declares_it() {
    let place = Place::new("faults = \"hold-after /proto.AuthService/CreateRole\"");
    place.put("kube.yaml", KUBE);
    place.put("role.yaml", ROLE);
    let agent = place.agent();
    until("the create is intended", &agent, || {
        place.run(&["history"]).stdout.windows(8).any(|it| it == b"in doubt")
    });
    agent.kill();
    place.configure("");
    place.remove("role.yaml");
    let seen = place.ok(&["status"]);
    assert!(seen.contains("role/visitor") && !seen.contains("Everything is in sync."), "{seen}");
    let preview = place.ok(&["--dry-run"]);
    assert!(preview.contains("role/visitor"), "{preview}");
}
