//! A mass removal that comes in slices, with a restart after each.

use crate::common::{Place, until};

const ROLES: u32 = 20;
/// 30 % of [`ROLES`].
const FREE: u32 = 6;

fn file(number: u32) -> String {
    format!("r{number}.yaml")
}

fn with_roles() -> Place {
    let place = Place::new("");
    for number in 0..ROLES {
        let text = format!("{{kind: role, version: v7, metadata: {{name: r{number}}}}}");
        place.put(&file(number), &text);
    }
    place
}

fn remove(place: &Place, numbers: std::ops::Range<u32>) {
    for number in numbers {
        place.remove(&file(number));
    }
}

/// What waits, as something printed it: `reconciler approve HASH`.
fn hash_in(text: &str) -> String {
    let (_, rest) = text.split_once("reconciler approve ").unwrap_or_default();
    rest.chars().take_while(char::is_ascii_hexdigit).collect()
}

#[test]
fn one_pass_after_the_other_has_no_new_allowance() {
    let place = with_roles();
    place.ok(&["--once"]);
    remove(&place, 0..FREE);
    place.ok(&["--once"]);
    assert!(place.live("role/r0").is_none(), "the first slice goes without asking");

    remove(&place, FREE..FREE + 2);
    let held = place.run(&["--once"]);
    let log = String::from_utf8_lossy(&held.stderr).into_owned();
    assert_eq!(held.status.code(), Some(3), "{log}");
    assert!(place.live("role/r6").is_some(), "the second slice waits:\n{log}");
    let hash = hash_in(&log);
    let preview = place.run(&["--dry-run"]);
    assert_eq!(preview.status.code(), Some(3));
    assert_eq!(hash_in(&String::from_utf8_lossy(&preview.stdout)), hash, "{log}");

    place.ok(&["approve", &hash]);
    place.ok(&["--once"]);
    assert!(place.live("role/r6").is_none() && place.live("role/r7").is_none());
    assert!(place.live("role/r8").is_some());
}

#[test]
fn what_was_held_is_still_held_after_a_kill() {
    let place = with_roles();
    let agent = place.agent();
    place.ok(&["wait", "role/r0"]);
    until("everything is there", &agent, || {
        (0..ROLES).all(|number| place.live(&format!("role/r{number}")).is_some())
    });
    remove(&place, 0..FREE);
    until("the first slice is gone", &agent, || {
        (0..FREE).all(|number| place.live(&format!("role/r{number}")).is_none())
    });
    remove(&place, FREE..FREE + 2);
    until("the second waits", &agent, || place.ok(&["status"]).contains("reconciler approve"));
    agent.kill();

    let agent = place.agent();
    until("it waits again", &agent, || place.ok(&["status"]).contains("reconciler approve"));
    assert!(place.live("role/r6").is_some() && place.live("role/r7").is_some());
    assert!(agent.interrupt().success());
}
