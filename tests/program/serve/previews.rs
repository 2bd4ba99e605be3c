//! Previews that could not read everything say so, and are no success.

use std::fs;
use std::net::TcpListener;

use super::identities::{place, said};
use crate::common::Place;
use crate::served::Served;

const USER: &str = "kind: user\nversion: v2\nmetadata: {name: u}\nspec: {roles: [a]}\n";

/// A role that may read roles and nothing else.
const FEW: &str = "kind: role\nversion: v7\nmetadata: {name: few}\nspec:\n  allow:\n    \
    rules: [{resources: [role], verbs: [list, read]}]\n";

/// All ways to ask for a preview, with the code that says that all is well.
const WAYS: &[&[&str]] = &[
    &["--dry-run"],
    &["plan"],
    &["plan", "--detailed-exitcode"],
    &["plan", "--format", "json"],
    &["plan", "--format", "markdown"],
];

fn all_fail(place: &Place, word: &str) {
    for args in WAYS {
        let output = place.run(args);
        let words = said(&output);
        assert_eq!(output.status.code(), Some(1), "{args:?}: {words}");
        assert!(words.contains(word), "{args:?}: {words}");
        assert!(!words.contains("No changes."), "{args:?}: {words}");
    }
}

#[test]
fn a_preview_that_read_nothing_is_an_error() {
    let (one, other) = (Served::start(), Served::start());
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let ours = one.identity("edge", "everything");
    all_fail(&place(&closed, &ours), "the control plane cannot be read: ");
    let theirs = other.identity("edge", "everything");
    all_fail(&place(&one.address, &theirs), "not signed by the authorities of the identity");
}

#[test]
fn a_preview_that_could_not_read_a_kind_says_which() {
    let mut served = Served::start();
    fs::write(served.dir.path().join("roles/few.yaml"), FEW).unwrap();
    served.restart(&["--load", "roles"]);
    let place = place(&served.address, &served.identity("edge", "few"));
    // What can be read is all that there is to read.
    assert_eq!(place.run(&["plan", "--detailed-exitcode"]).status.code(), Some(2));
    place.put("u.yaml", USER);
    for args in WAYS {
        let output = place.run(args);
        let words = said(&output);
        assert_eq!(output.status.code(), Some(1), "{args:?}: {words}");
        assert!(words.contains("role/a"), "the rest is planned: {args:?}: {words}");
        if args.contains(&"json") {
            let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
            assert_eq!(json["live_whole"], false, "{json}");
            assert_eq!(json["format_version"], 1);
        } else {
            let first = "Incomplete: the live state of user is unknown.";
            assert!(words.contains(first), "{args:?}: {words}");
            assert!(words.contains("live state of user unknown: "), "{args:?}: {words}");
        }
    }
    // Where nothing may be read, there is nothing to be told but that.
    place.remove("a.yaml");
    let output = place.run(&["plan"]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains("No changes in the rest."), "{}", said(&output));
}
