//! Every reason for a step and every reason to wait.

use std::fmt::Write as _;

use expect_test::{Expect, expect};
use reconciler::plan::{Action, Plan, check::check as violations};

use super::world::World;

/// One line a step, a deferral, or something forgotten.
fn brief(plan: &Plan) -> String {
    let mut out = String::new();
    for step in &plan.steps {
        write!(out, "{} {} ({})", step.action.verb(), step.id, step.reason).unwrap();
        if let Action::Update { before: _, after: _, changes } = &step.action {
            for change in changes {
                let side = |value: &Option<reconciler::model::Value>| {
                    value.as_ref().map_or("unset".into(), reconciler::model::Value::to_json)
                };
                let (before, after) = (side(&change.before), side(&change.after));
                write!(out, "\n    {}: {before} -> {after}", change.path).unwrap();
            }
        }
        for first in &step.after {
            write!(out, " after {first}").unwrap();
        }
        out.push('\n');
    }
    for deferred in &plan.deferred {
        writeln!(out, "deferred {}: {}", deferred.id, deferred.why).unwrap();
    }
    for id in &plan.forget {
        writeln!(out, "forget {id}").unwrap();
    }
    writeln!(out, "in sync: {}", plan.unchanged).unwrap();
    out
}

/// Plans, compares, lets the independent check judge, applies, and plans again: nothing is left.
fn check(world: &str, expected: Expect) {
    let mut world = World::parse(world);
    let plan = world.plan();
    expected.assert_eq(&brief(&plan));
    assert_eq!(violations(&plan, &world.input()), [], "the check finds fault");
    assert_eq!(world.plan().digest, plan.digest, "planning is not deterministic");
    world.apply(&plan);
    let again = world.plan();
    assert!(again.steps.is_empty(), "a second plan is not empty:\n{}", brief(&again));
    assert!(again.forget.is_empty(), "forgotten twice");
    assert_eq!(violations(&again, &world.input()), [], "the check finds fault with the second");
}

#[test]
fn what_is_equal_stays() {
    check(
        "same: role/dev {allow: {logins: [root]}}",
        expect![[r#"
        in sync: 1
    "#]],
    );
}

#[test]
fn what_is_missing_is_created() {
    check(
        "desired: role/dev {allow: {logins: [root]}}",
        expect![[r#"
        create role/dev (missing)
        in sync: 0
    "#]],
    );
}

#[test]
fn what_vanished_is_created_again() {
    check(
        "desired: role/dev {allow: {logins: [root]}}
         inventory: role/dev {allow: {logins: [root]}}",
        expect![[r#"
            create role/dev (vanished)
            in sync: 0
        "#]],
    );
}

#[test]
fn an_edit_is_an_update() {
    check(
        "desired: role/dev {allow: {logins: [ops, root]}}
         live: role/dev {allow: {logins: [root]}}
         inventory: role/dev {allow: {logins: [root]}}",
        expect![[r#"
            update role/dev (edited)
                spec.allow.logins[0]: unset -> "ops"
            in sync: 0
        "#]],
    );
}

#[test]
fn a_drift_is_undone() {
    check(
        "desired: role/dev {allow: {logins: [root]}}
         live: role/dev {allow: {logins: [root, ubuntu]}}
         inventory: role/dev {allow: {logins: [root]}}",
        expect![[r#"
            update role/dev (drifted)
                spec.allow.logins[1]: "ubuntu" -> unset
            in sync: 0
        "#]],
    );
}

#[test]
fn an_edit_and_a_drift_are_told_apart() {
    check(
        "desired: role/dev {allow: {logins: [ops]}}
         live: role/dev {allow: {logins: [ubuntu]}}
         inventory: role/dev {allow: {logins: [root]}}",
        expect![[r#"
            update role/dev (edited and drifted)
                spec.allow.logins[0]: "ubuntu" -> "ops"
            in sync: 0
        "#]],
    );
}

#[test]
fn a_mark_that_was_taken_off_is_a_drift() {
    check(
        "desired: role/dev {allow: {logins: [root]}}
         live: role/dev {allow: {logins: [root]}} ; unmarked
         inventory: role/dev {allow: {logins: [root]}}",
        expect![[r#"
            update role/dev (drifted)
                metadata.labels["teleport.hidden/reconciler-owner"]: unset -> "reconciler"
            in sync: 0
        "#]],
    );
}

#[test]
fn what_nobody_owns_is_adopted_with_its_diff() {
    check(
        "desired: role/dev {allow: {logins: [root]}}
         live: role/dev {allow: {logins: [root, ubuntu]}} ; unmarked
         desired: role/same {allow: {logins: [root]}}
         live: role/same {allow: {logins: [root]}} ; unmarked",
        expect![[r#"
            update role/dev (adopted)
                spec.allow.logins[1]: "ubuntu" -> unset
                metadata.labels["teleport.hidden/reconciler-owner"]: unset -> "reconciler"
            update role/same (adopted)
                metadata.labels["teleport.hidden/reconciler-owner"]: unset -> "reconciler"
            in sync: 0
        "#]],
    );
}

#[test]
fn what_cannot_be_changed_is_adopted_in_the_journal_alone() {
    check(
        "desired: workload_cluster/acme {regions: [{name: us-west-2}]}
         live: workload_cluster/acme {regions: [{name: us-west-2}]}",
        expect![[r#"
            adopt workload_cluster/acme (adopted)
            in sync: 0
        "#]],
    );
}

#[test]
fn what_bears_our_mark_is_ours_again_after_a_lost_journal() {
    check(
        "desired: role/dev {allow: {logins: [root]}}
         live: role/dev {allow: {logins: [root]}}
         desired: role/ops {allow: {logins: [root]}}
         live: role/ops {allow: {logins: [ops]}}
         live: role/undeclared {}",
        expect![[r#"
            adopt role/dev (reclaimed)
            update role/ops (reclaimed)
                spec.allow.logins[0]: "ops" -> "root"
            in sync: 0
        "#]],
    );
}

#[test]
fn what_is_ours_and_no_longer_declared_is_deleted() {
    check(
        "live: role/dev {}
         inventory: role/dev {}
         live: workload_cluster/acme {regions: [{name: us-west-2}]}
         inventory: workload_cluster/acme {regions: [{name: us-west-2}]}
         live: role/somebodys {} ; unmarked",
        expect![[r#"
            delete workload_cluster/acme (pruned)
            delete role/dev (pruned)
            in sync: 0
        "#]],
    );
}

#[test]
fn what_is_gone_and_not_wanted_is_forgotten() {
    check(
        "inventory: role/dev {}",
        expect![[r#"
        forget role/dev
        in sync: 0
    "#]],
    );
}

#[test]
fn what_is_gone_is_not_forgotten_while_a_document_is_in_doubt() {
    check(
        "inventory: role/dev {}\nunknown: broken",
        expect![[r#"
        in sync: 0
    "#]],
    );
}

#[test]
fn a_new_keep_directive_reaches_the_journal() {
    check(
        "desired: role/dev {} ; keep
         live: role/dev {}
         inventory: role/dev {}",
        expect![[r#"
            adopt role/dev (edited)
            in sync: 0
        "#]],
    );
}

#[test]
fn frozen_things_stay_and_nothing_is_pruned_meanwhile() {
    check(
        "frozen: role/broken
         live: role/broken {}
         inventory: role/broken {}
         live: role/old {}
         inventory: role/old {}
         desired: role/new {}",
        expect![[r#"
            create role/new (missing)
            deferred role/broken: its document is in doubt
            deferred role/old: no longer declared, but some document could not be understood
            in sync: 0
        "#]],
    );
}

#[test]
fn an_unknown_document_prevents_pruning_alone() {
    check(
        "unknown: broken
         live: role/old {}
         inventory: role/old {}
         desired: role/new {}",
        expect![[r#"
            create role/new (missing)
            deferred role/old: no longer declared, but some document could not be understood
            in sync: 0
        "#]],
    );
}

#[test]
fn nothing_is_created_or_pruned_on_a_cut_list_but_what_was_seen_is_updated() {
    check(
        "partial: role a page was cut
         desired: role/new {}
         desired: role/seen {allow: {logins: [root]}}
         live: role/seen {}
         inventory: role/seen {}
         inventory: role/old {}
         desired: kube_cluster/k {}",
        expect![[r#"
            update role/seen (edited)
                spec.allow: unset -> {"logins":["root"]}
            create kube_cluster/k (missing)
            deferred role/new: the live side of its kind is not wholly known: a page was cut
            deferred role/old: the live side of its kind is not wholly known: a page was cut
            in sync: 0
        "#]],
    );
}

#[test]
fn what_settles_is_left_alone() {
    check(
        "busy: role/new
         desired: role/new {}
         busy: role/old
         live: role/old {}
         inventory: role/old {}
         desired: trusted_cluster/root {role_map: [{remote: access, local: [new]}]}",
        expect![[r#"
            deferred role/new: an earlier write has not been seen yet
            deferred role/old: an earlier write has not been seen yet
            deferred trusted_cluster/root: an earlier write has not been seen yet
            in sync: 0
        "#]],
    );
}

#[test]
fn a_pause_holds_changes_back_until_its_date() {
    check(
        "desired: role/later {} ; paused: 2030-01-01T00:00:00Z
         desired: role/over {} ; paused: 2020-01-01T00:00:00Z
         desired: role/equal {} ; paused: 2030-01-01T00:00:00Z
         live: role/equal {}
         inventory: role/equal {}",
        expect![[r#"
            create role/over (missing)
            deferred role/later: paused until 2030-01-01T00:00:00Z
            in sync: 1
        "#]],
    );
}

#[test]
fn what_the_directive_keeps_stays() {
    check(
        "live: role/dev {}\ninventory: role/dev {} ; keep",
        expect![[r#"
        deferred role/dev: no longer wanted, but kept by `reconciler/prune: "false"`
        in sync: 0
    "#]],
    );
}

#[test]
fn another_agents_resources_are_never_taken_over() {
    check(
        "desired: role/equal {}
         live: role/equal {} ; owner: other
         desired: role/known {allow: {logins: [root]}}
         live: role/known {} ; owner: other
         inventory: role/known {}
         live: role/undeclared {} ; owner: other
         inventory: role/undeclared {}",
        expect![[r#"
            deferred role/equal: owned by agent `other`
            deferred role/known: owned by agent `other`
            deferred role/undeclared: owned by agent `other`
            in sync: 0
        "#]],
    );
}

#[test]
fn adopt_always_takes_over() {
    check(
        "desired: role/dev {} ; adopt: always
         live: role/dev {} ; owner: other",
        expect![[r#"
            update role/dev (adopted)
                metadata.labels["teleport.hidden/reconciler-owner"]: "other" -> "reconciler"
            in sync: 0
        "#]],
    );
}

#[test]
fn what_comes_from_elsewhere_stays_there() {
    check(
        "desired: kube_cluster/k {} ; adopt: always
         live: kube_cluster/k {} ; unmarked ; origin: cloud
         live: kube_cluster/old {} ; origin: kubernetes
         inventory: kube_cluster/old {}",
        expect![[r#"
            deferred kube_cluster/k: kept by another program (origin `cloud`)
            deferred kube_cluster/old: kept by another program (origin `kubernetes`)
            in sync: 0
        "#]],
    );
}

#[test]
fn presets_are_teleports() {
    check(
        "desired: role/editor {allow: {logins: [root]}}
         live: role/editor {} ; unmarked
         live: role/access {}
         inventory: role/access {}",
        expect![[r#"
            deferred role/access: made by Teleport itself
            deferred role/editor: made by Teleport itself
            in sync: 0
        "#]],
    );
}

#[test]
fn what_lost_our_mark_is_not_deleted() {
    check(
        "live: role/dev {} ; unmarked\ninventory: role/dev {}",
        expect![[r#"
        deferred role/dev: no longer declared, but it no longer has our owner label
        in sync: 0
    "#]],
    );
}

#[test]
fn adopt_never_leaves_alone_what_exists() {
    check(
        "desired: role/dev {} ; adopt: never
         live: role/dev {} ; unmarked
         desired: role/new {} ; adopt: never",
        expect![[r#"
            create role/new (missing)
            deferred role/dev: it exists, and `reconciler/adopt: never` is set
            in sync: 0
        "#]],
    );
}

#[test]
fn what_cannot_change_is_not_changed() {
    check(
        "desired: workload_cluster/acme {regions: [{name: us-west-2}]}
         live: workload_cluster/acme {regions: [{name: eu-central-1}]}
         inventory: workload_cluster/acme {regions: [{name: eu-central-1}]}
         desired: trusted_cluster/root {token: new-secret, enabled: true}
         live: trusted_cluster/root {token: old-secret}
         inventory: trusted_cluster/root {token: old-secret}",
        expect![[r#"
            deferred trusted_cluster/root: cannot be changed once it exists: `spec.token`
            deferred workload_cluster/acme: cannot be changed once it exists: `spec.regions[0].name`
            in sync: 0
        "#]],
    );
}

#[test]
fn references_come_first_or_hold_back() {
    check(
        "desired: trusted_cluster/a {role_map: [{remote: access, local: [fresh, old]}]}
         desired: role/fresh {}
         live: role/old {} ; unmarked
         desired: trusted_cluster/b {role_map: [{remote: access, local: [nowhere]}]}",
        expect![[r#"
            create role/fresh (missing)
            create trusted_cluster/a (missing) after role/fresh
            deferred trusted_cluster/b: refers to `role/nowhere`, which is not there
            in sync: 0
        "#]],
    );
}

#[test]
fn references_into_the_unknown_hold_back() {
    check(
        "partial: role a page was cut
         desired: trusted_cluster/a {role_map: [{remote: access, local: [maybe]}]}",
        expect![[r#"
            deferred trusted_cluster/a: the live side of its kind is not wholly known: a page was cut
            in sync: 0
        "#]],
    );
}

#[test]
fn what_is_referred_to_is_not_deleted() {
    check(
        "live: role/used {}
         inventory: role/used {}
         same: trusted_cluster/a {role_map: [{remote: access, local: [used]}]}
         live: role/by-kept {}
         inventory: role/by-kept {}
         live: trusted_cluster/kept {role_map: [{remote: access, local: [by-kept]}]}
         inventory: trusted_cluster/kept {role_map: [{remote: access, local: [by-kept]}]} ; keep",
        expect![[r#"
            deferred role/by-kept: no longer declared, but `trusted_cluster/kept` refers to it
            deferred role/used: no longer declared, but `trusted_cluster/a` refers to it
            deferred trusted_cluster/kept: no longer wanted, but kept by `reconciler/prune: "false"`
            in sync: 1
        "#]],
    );
}

#[test]
fn deletes_run_backwards_and_after_what_lets_go() {
    check(
        "live: role/a {}
         inventory: role/a {}
         live: role/b {}
         inventory: role/b {}
         live: kube_cluster/k {}
         inventory: kube_cluster/k {}
         live: trusted_cluster/gone {role_map: [{remote: access, local: [a]}]}
         inventory: trusted_cluster/gone {role_map: [{remote: access, local: [a]}]}
         desired: trusted_cluster/stays {role_map: [{remote: access, local: [c]}]}
         live: trusted_cluster/stays {role_map: [{remote: access, local: [b]}]}
         inventory: trusted_cluster/stays {role_map: [{remote: access, local: [b]}]}
         desired: role/c {}",
        expect![[r#"
            create role/c (missing)
            update trusted_cluster/stays (edited)
                spec.role_map[0].local[0]: "b" -> "c" after role/c
            delete trusted_cluster/gone (pruned)
            delete kube_cluster/k (pruned)
            delete role/a (pruned) after trusted_cluster/gone
            delete role/b (pruned) after trusted_cluster/stays
            in sync: 0
        "#]],
    );
}

#[test]
fn secrets_are_compared_and_never_shown() {
    check(
        "desired: kube_cluster/k {kubeconfig: bmV3LWt1YmVjb25maWc=}
         live: kube_cluster/k {kubeconfig: b2xkLWt1YmVjb25maWc=}
         inventory: kube_cluster/k {kubeconfig: b2xkLWt1YmVjb25maWc=}",
        expect![[r#"
            update kube_cluster/k (edited)
                spec.kubeconfig: "(secret 34aae5ad)" -> "(secret 95bca40d)"
            in sync: 0
        "#]],
    );
}

#[test]
fn what_the_server_would_drop_is_not_written_at_all() {
    check(
        "server: 18.0.0
         desired: role/new {allow: {mcp: {tools: [x]}, logins: [root]}}
         desired: role/edited {deny: {linux_desktop_logins: [root], logins: [root]}}
         live: role/edited {deny: {logins: [root]}}
         inventory: role/edited {deny: {logins: [root]}}
         same: role/kept {allow: {mcp: {tools: [x]}}}
         desired: role/old {allow: {logins: [root]}}",
        expect![[r#"
            create role/old (missing)
            deferred role/edited: Teleport 18.0.0 does not keep `spec.deny.linux_desktop_logins`
            deferred role/new: Teleport 18.0.0 does not keep `spec.allow.mcp`
            in sync: 1
        "#]],
    );
}

#[test]
fn of_a_server_that_is_newer_or_unheard_of_nothing_is_assumed() {
    for server in ["server: 18.0.1", ""] {
        check(
            &format!("{server}\n desired: role/new {{allow: {{mcp: {{tools: [x]}}}}}}"),
            expect![[r#"
                create role/new (missing)
                in sync: 0
            "#]],
        );
    }
}
