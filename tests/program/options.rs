//! What an option promises holds: exit codes, formats, required arguments.

use std::process::Output;

use crate::common::Place;
use crate::walk::ROLE;

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn who_gives_up_says_what_was_seen_last() {
    // Two looks are answered, and the third is cut off.
    let slow = Place::new("faults = \"latency 1500\"");
    let output = slow.run(&["wait", "role/none", "--timeout", "4s"]);
    assert_eq!(output.status.code(), Some(1));
    let text = said(&output);
    assert!(text.contains("timed out after 4s waiting for role/none: not found"), "{text}");

    let place = Place::new("");
    place.put("role.yaml", ROLE);
    place.ok(&["--once"]);
    let text = said(&place.run(&["wait", "role/visitor", "--gone", "--timeout", "3s"]));
    assert!(text.contains("timed out after 3s waiting for role/visitor: still exists"), "{text}");
}

/// A plan that waits for approval exits 3, whether or not changes alone would exit 2.
#[test]
fn what_waits_for_approval_comes_before_what_is_to_do() {
    let place = Place::new("");
    place.put("role.yaml", ROLE);
    let detailed = ["--dry-run", "--detailed-exitcode"];
    assert_eq!(place.run(&detailed).status.code(), Some(2), "a create");
    place.ok(&["--once"]);
    assert_eq!(place.run(&detailed).status.code(), Some(0), "nothing to do");
    place.remove("role.yaml");
    for args in [&detailed[..], &["--dry-run"], &["plan", "--detailed-exitcode"]] {
        let output = place.run(args);
        assert_eq!(output.status.code(), Some(3), "{args:?}: {}", said(&output));
    }
}

#[test]
fn a_single_pass_does_not_claim_to_watch() {
    let place = Place::new("");
    place.put("role.yaml", ROLE);
    let log = String::from_utf8(place.run(&["--once"]).stderr).unwrap();
    assert!(log.contains("reading") && !log.contains("watching"), "{log}");
}

#[test]
fn a_question_about_no_labels_is_none() {
    let place = Place::new("");
    let output = place.run(&["kube", "match"]);
    assert_eq!(output.status.code(), Some(64), "{}", said(&output));
    let text = said(&output);
    assert!(text.contains("LABEL"), "{text}");
}

#[test]
fn a_format_that_a_command_does_not_have_is_refused() {
    let place = Place::new("");
    for args in [&["status"][..], &["get", "role"], &["validate"], &["kube", "match", "a=b"]] {
        for (format, code) in [("markdown", 64), ("json", 0)] {
            let output = place.run(&[args, &["--format", format]].concat());
            let text = said(&output);
            assert_eq!(output.status.code(), Some(code), "{args:?} {format}: {text}");
        }
    }
    for format in ["text", "json", "markdown"] {
        place.ok(&["plan", "--format", format]);
    }
}

#[test]
fn who_looks_where_no_agent_has_run_is_told() {
    let place = Place::new("");
    let note = "note: no agent has run with the state ";
    for args in [&["get", "role"][..], &["history"], &["kube", "ls"], &["plane", "get", "role"]] {
        let text = said(&place.run(args));
        assert!(text.contains(note), "{args:?}: {text}");
    }
    place.ok(&["--once"]);
    let text = said(&place.run(&["get", "role"]));
    assert!(!text.contains(note), "{text}");
}

#[test]
fn what_has_no_history_is_named_unless_it_is_a_secret() {
    let place = Place::new("");
    place.ok(&["--once"]);
    let history = |what: &[&str]| said(&place.run(&[&["history"], what].concat()));
    assert_eq!(history(&[]), "no history\n");
    assert_eq!(history(&["role/none"]), "no history for role/none\n");
    assert_eq!(history(&["token/hunter2"]), "no history for a token of that name\n");
}
