//! What waits, for whom, and what lets it through.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use expect_test::{Expect, expect};
use reconciler::journal::APPROVAL_LIFETIME;
use reconciler::model::{ResourceId, Timestamp};
use reconciler::plan::guard::{Begun, Gated, GuardFacts, guard};

use super::world::{KEY, World};

struct Facts {
    approvals: BTreeMap<String, Timestamp>,
    matured: bool,
    begun: Begun,
}

const NOTHING: Begun = Begun { deletes: BTreeSet::new(), gone: 0, granted: BTreeMap::new() };
const FRESH: Facts = Facts { approvals: BTreeMap::new(), matured: false, begun: NOTHING };
const MATURED: Facts = Facts { approvals: BTreeMap::new(), matured: true, begun: NOTHING };

fn gate(world: &World, facts: &Facts) -> Gated {
    let plan = world.plan();
    let matured: BTreeSet<ResourceId> =
        plan.steps.iter().filter(|_| facts.matured).map(|step| step.id.clone()).collect();
    let facts = GuardFacts {
        policy: &world.policy,
        managed: world.inventory.len(),
        source_empty: world.reading.manifests.is_empty(),
        approvals: &facts.approvals,
        wall: world.wall,
        matured: &matured,
        begun: &facts.begun,
        key: &KEY,
    };
    guard(&plan, &facts)
}

fn brief(gated: &Gated) -> String {
    let mut out = String::new();
    for step in &gated.ready {
        writeln!(out, "ready {} {}", step.action.verb(), step.id).unwrap();
    }
    for held in &gated.held {
        writeln!(out, "held {} {}: {}", held.verb, held.id, held.guard).unwrap();
    }
    if let Some(approval) = &gated.approval {
        let ids: Vec<String> = approval.ids.iter().map(ToString::to_string).collect();
        let until = approval.expires.map_or("asked".into(), |until| format!("until {until}"));
        writeln!(out, "approval of {ids:?} for {:?}: {until}", approval.guards).unwrap();
    }
    if gated.consumed.is_some() {
        out.push_str("consumed\n");
    }
    out
}

fn check(world: &World, facts: &Facts, expected: Expect) {
    expected.assert_eq(&brief(&gate(world, facts)));
}

/// The same facts with the pending set approved for an hour from now.
fn approved(world: &World, facts: &Facts) -> Facts {
    let hash = gate(world, facts).approval.expect("something to approve").hash;
    let approvals = BTreeMap::from([(hash, world.wall.plus(APPROVAL_LIFETIME))]);
    Facts { approvals, matured: facts.matured, begun: facts.begun.clone() }
}

fn several(deletes: usize, kept: usize) -> World {
    let mut text = String::new();
    for index in 0..deletes {
        writeln!(text, "live: role/old-{index} {{}}\ninventory: role/old-{index} {{}}").unwrap();
    }
    for index in 0..kept {
        writeln!(text, "same: role/kept-{index} {{}}").unwrap();
    }
    World::parse(&text)
}

#[test]
fn writes_pass_and_deletes_wait_for_their_period() {
    let mut world = several(1, 9);
    world.want(super::world::resource("role/new", "{}"), &[]);
    check(
        &world,
        &FRESH,
        expect![[r#"
        ready create role/new
        held delete role/old-0: prune_delay has not elapsed
    "#]],
    );
    check(
        &world,
        &MATURED,
        expect![[r#"
        ready create role/new
        ready delete role/old-0
    "#]],
    );
}

#[test]
fn an_empty_source_deletes_nothing_unasked() {
    let world = several(1, 0);
    check(
        &world,
        &MATURED,
        expect![[r#"
        held delete role/old-0: the source is empty
        approval of ["role/old-0"] for {"empty-source"}: asked
    "#]],
    );
    check(
        &world,
        &approved(&world, &MATURED),
        expect![[r#"
        ready delete role/old-0
        consumed
    "#]],
    );
}

#[test]
fn the_share_is_the_greater_of_both_limits() {
    check(
        &several(3, 1),
        &MATURED,
        expect![[r#"
        ready delete role/old-0
        ready delete role/old-1
        ready delete role/old-2
    "#]],
    );
    check(
        &several(4, 1),
        &MATURED,
        expect![[r#"
        held delete role/old-0: 4 deletes in one plan, 3 are allowed without approval
        held delete role/old-1: 4 deletes in one plan, 3 are allowed without approval
        held delete role/old-2: 4 deletes in one plan, 3 are allowed without approval
        held delete role/old-3: 4 deletes in one plan, 3 are allowed without approval
        approval of ["role/old-0", "role/old-1", "role/old-2", "role/old-3"] for {"delete-share"}: asked
    "#]],
    );
    assert_eq!(gate(&several(6, 14), &MATURED).ready.len(), 6, "30 % of 20 are 6");
    assert_eq!(gate(&several(7, 13), &MATURED).ready.len(), 0, "7 are more than 30 % of 20");
}

const CONFIRM: &str = "same: role/kept {}
    live: role/old {}
    inventory: role/old {}
    live: workload_cluster/acme {regions: [{name: us-west-2}]}
    inventory: workload_cluster/acme {regions: [{name: us-west-2}]}";

#[test]
fn some_kinds_are_confirmed() {
    check(
        &World::parse(CONFIRM),
        &MATURED,
        expect![[r#"
        ready delete role/old
        held delete workload_cluster/acme: deleting this kind needs confirmation
        approval of ["workload_cluster/acme"] for {"confirm"}: asked
    "#]],
    );
}

#[test]
fn an_approved_set_still_waits_for_its_period() {
    let world = World::parse(CONFIRM);
    check(
        &world,
        &approved(&world, &FRESH),
        expect![[r#"
        held delete workload_cluster/acme: prune_delay has not elapsed
        held delete role/old: prune_delay has not elapsed
        approval of ["workload_cluster/acme"] for {"confirm"}: until 2026-06-01T01:00:00Z
    "#]],
    );
}

#[test]
fn an_approval_works_until_its_last_moment() {
    let mut world = World::parse(CONFIRM);
    let facts = approved(&world, &MATURED);
    world.wall = world.wall.plus(APPROVAL_LIFETIME);
    world.wall.0 -= 1;
    assert!(gate(&world, &facts).consumed.is_some(), "it is still good");
    world.wall = world.wall.plus(std::time::Duration::from_millis(1));
    let gated = gate(&world, &facts);
    assert!(gated.consumed.is_none(), "it has expired");
    assert_eq!(gated.ready.len(), 1, "only the role goes");
}

#[test]
fn an_approval_by_a_clock_that_was_ahead_does_not_outlive_its_hour() {
    let mut world = World::parse(CONFIRM);
    let facts = approved(&world, &MATURED);
    world.wall.0 -= 1;
    assert_eq!(gate(&world, &facts).consumed, None, "nobody can have given it yet");
}

#[test]
fn an_approval_is_for_exactly_its_set() {
    let world = several(5, 1);
    let facts = approved(&world, &MATURED);
    assert_eq!(gate(&world, &facts).ready.len(), 5, "the approved set goes");
    let one_more = several(6, 1);
    assert_eq!(gate(&one_more, &facts).ready.len(), 0, "one more is another set");
    let mut one_less = several(5, 1);
    one_less.inventory.pop_first();
    one_less.inventory.pop_first();
    assert_eq!(gate(&one_less, &facts).consumed, None, "one less is another set");
    let mut changed = several(5, 1);
    let drifted = super::world::resource("role/old-0", "{allow: {logins: [root]}}");
    changed.have(drifted, &[]);
    changed.observe();
    assert_eq!(gate(&changed, &facts).ready.len(), 0, "another content is another set");
    let mut revised = several(5, 1);
    revised.have(super::world::resource("role/old-0", "{}"), &[]);
    revised.observe();
    assert_eq!(gate(&revised, &facts).ready.len(), 5, "a revision alone is not");
}

#[test]
fn what_comes_after_a_held_step_waits_with_it() {
    let mut world = World::parse(
        "same: role/kept {}
         live: role/old {}
         inventory: role/old {}
         live: trusted_cluster/root {role_map: [{remote: access, local: [old]}]}
         inventory: trusted_cluster/root {role_map: [{remote: access, local: [old]}]}",
    );
    world.policy.confirm = vec![super::world::id("trusted_cluster/root").kind];
    check(
        &world,
        &MATURED,
        expect![[r#"
        held delete trusted_cluster/root: deleting this kind needs confirmation
        held delete role/old: deleting this kind needs confirmation
        approval of ["trusted_cluster/root", "role/old"] for {"confirm"}: asked
    "#]],
    );
}

#[test]
fn the_hash_does_not_give_secrets_away() {
    // Under another key, the same set has another hash: without the key nothing can be guessed.
    let world = World::parse(
        "live: kube_cluster/k {kubeconfig: aHVudGVyMg==}
         inventory: kube_cluster/k {kubeconfig: aHVudGVyMg==}",
    );
    let plan = world.plan();
    let empty = (BTreeMap::new(), BTreeSet::new());
    let hash = |key: &reconciler::model::FingerprintKey| {
        let facts = GuardFacts {
            policy: &world.policy,
            managed: 1,
            source_empty: true,
            approvals: &empty.0,
            wall: world.wall,
            matured: &empty.1,
            begun: &Begun::default(),
            key,
        };
        guard(&plan, &facts).approval.unwrap().hash
    };
    assert_ne!(hash(&KEY), hash(&reconciler::model::FingerprintKey([8; 32])));
}

#[test]
fn deletes_in_slices_count_together() {
    let id = |name: &str| super::world::resource(name, "{}").id;
    let gone: BTreeSet<ResourceId> = ["role/a", "role/b", "role/c"].map(id).into();
    let begun = Begun { gone: gone.len(), deletes: gone, granted: BTreeMap::new() };
    // Three went already: a fourth is one too many of seven, and not of fourteen.
    let facts = Facts { approvals: BTreeMap::new(), matured: true, begun };
    check(
        &several(1, 3),
        &facts,
        expect![[r#"
        held delete role/old-0: 4 deletes with those begun a short while ago (3), 3 are allowed without approval
        approval of ["role/old-0"] for {"delete-share"}: asked
    "#]],
    );
    check(
        &several(1, 10),
        &facts,
        expect![[r#"
        ready delete role/old-0
    "#]],
    );
}

#[test]
fn what_was_granted_asks_for_nothing_and_counts_for_nothing() {
    let world = several(5, 1);
    let mut begun = Begun::default();
    for step in world.plan().steps.iter().take(3) {
        if let reconciler::plan::Action::Delete { before } = &step.action {
            begun.granted.insert(step.id.clone(), before.digest);
        }
    }
    let facts = Facts { approvals: BTreeMap::new(), matured: true, begun };
    check(
        &world,
        &facts,
        expect![[r#"
        ready delete role/old-0
        ready delete role/old-1
        ready delete role/old-2
        ready delete role/old-3
        ready delete role/old-4
    "#]],
    );
}

#[test]
fn a_grant_is_for_the_content_that_was_seen() {
    let world = several(4, 1);
    let mut begun = Begun::default();
    for step in &world.plan().steps {
        begun.granted.insert(step.id.clone(), reconciler::model::Digest::of(b"another"));
    }
    let facts = Facts { approvals: BTreeMap::new(), matured: true, begun };
    let held = gate(&world, &facts).held;
    assert_eq!(held.len(), 4, "{held:?}");
}

#[test]
fn a_consumed_approval_names_its_set() {
    let world = several(4, 1);
    let gated = gate(&world, &approved(&world, &MATURED));
    assert_eq!(gated.approved.len(), 4);
    assert!(gated.consumed.is_some() && gated.approval.is_none());
}
