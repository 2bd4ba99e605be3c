//! Bad plans, each with the rule that must catch it. A correct plan is bent by hand.

use std::collections::BTreeSet;
use std::sync::Arc;

use reconciler::live::Coverage;
use reconciler::model::Timestamp;
use reconciler::plan::check::{Rule, check};
use reconciler::plan::{Action, Plan, Reason, Step};

use super::world::{World, id, resource};

/// Everything that a plan can hold: a create, an update, an adoption, two deletes.
const ALL: &str = "desired: role/create {}
    desired: role/update {allow: {logins: [root]}}
    live: role/update {}
    inventory: role/update {}
    desired: workload_cluster/adopt {regions: [{name: us-west-2}]}
    live: workload_cluster/adopt {regions: [{name: us-west-2}]}
    desired: trusted_cluster/refers {role_map: [{remote: access, local: [create]}]}
    same: role/same {}
    live: role/delete {}
    inventory: role/delete {}
    live: kube_cluster/delete {}
    inventory: kube_cluster/delete {}
    inventory: role/gone {}
    desired: role/other {}
    live: role/other {} ; owner: other";

/// The rules that a bent plan or a bent world breaks, among them this one.
fn caught(rule: Rule, bend: impl FnOnce(&mut World, &mut Plan)) {
    let mut world = World::parse(ALL);
    let mut plan = world.plan();
    assert_eq!(check(&plan, &world.input()), [], "the straight plan is right");
    bend(&mut world, &mut plan);
    let rules: BTreeSet<Rule> =
        check(&plan, &world.input()).into_iter().map(|violation| violation.rule).collect();
    assert!(rules.contains(&rule), "{rule:?} was not found, only {rules:?}");
}

fn step<'a>(plan: &'a mut Plan, name: &str) -> &'a mut Step {
    plan.steps.iter_mut().find(|step| step.id == id(name)).expect("a step of that id")
}

#[test]
fn two_steps_on_one_resource() {
    caught(Rule::Twice, |_, plan| plan.steps.push(plan.steps[0].clone()));
}

#[test]
fn a_step_on_what_is_frozen() {
    caught(Rule::Frozen, |world, _| {
        world.reading.frozen.insert(id("role/update"), super::world::place("x"));
    });
}

#[test]
fn a_step_on_what_settles() {
    caught(Rule::Busy, |world, _| {
        world.busy.insert(id("role/update"));
    });
}

#[test]
fn a_step_on_what_is_paused() {
    caught(Rule::Paused, |world, _| {
        let manifest = world.reading.manifests.get_mut(&id("role/update")).unwrap();
        manifest.directives.paused_until = Timestamp::parse("2030-01-01T00:00:00Z");
    });
}

#[test]
fn a_create_of_what_nobody_declared() {
    caught(Rule::NotDeclared, |_, plan| {
        let after = Arc::new(resource("role/create", "{allow: {logins: [root]}}"));
        step(plan, "role/create").action = Action::Create { after };
    });
}

#[test]
fn a_create_of_what_is_there() {
    caught(Rule::CreateOfPresent, |world, _| {
        world.have(resource("role/create", "{}"), &[]);
        world.observe();
    });
}

#[test]
fn a_create_of_what_may_be_there() {
    caught(Rule::CreateOfPresent, |world, plan| {
        world.partial.insert("role", "a page was cut".into());
        world.observe();
        let role = reconciler::kind::find("role").unwrap().name;
        let key = (reconciler::model::Cluster::Parent, role);
        plan.coverage.insert(key, Coverage::Partial("a page was cut".into()));
    });
}

#[test]
fn an_update_of_what_has_moved() {
    caught(Rule::StaleBefore, |world, _| {
        world.have(resource("role/update", "{}"), &[]);
        world.observe();
    });
}

#[test]
fn an_update_of_another_agents() {
    caught(Rule::Foreign, |world, plan| {
        world.have(resource("role/update", "{}"), &["owner: other"]);
        world.observe();
        let now = Arc::new(world.lives[&id("role/update")].clone());
        if let Action::Update { before, .. } = &mut step(plan, "role/update").action {
            *before = now;
        }
    });
}

#[test]
fn a_delete_of_another_programs() {
    caught(Rule::Foreign, |world, plan| {
        world.have(resource("role/delete", "{}"), &["origin: kubernetes"]);
        world.observe();
        let before = Arc::new(world.lives[&id("role/delete")].clone());
        step(plan, "role/delete").action = Action::Delete { before };
    });
}

#[test]
fn an_adoption_that_is_forbidden() {
    caught(Rule::NotAdopted, |world, _| {
        let manifest = world.reading.manifests.get_mut(&id("workload_cluster/adopt")).unwrap();
        manifest.directives.adopt = reconciler::manifest::Adopt::Never;
    });
}

#[test]
fn a_change_of_what_cannot_change() {
    caught(Rule::Immutable, |world, plan| {
        let after = Arc::new(resource("workload_cluster/adopt", "{regions: [{name: eu}]}"));
        let before = Arc::new(world.lives[&id("workload_cluster/adopt")].clone());
        step(plan, "workload_cluster/adopt").action =
            Action::Update { before, after, changes: Vec::new() };
    });
}

#[test]
fn an_adoption_of_what_differs() {
    caught(Rule::AdoptedUnequal, |world, plan| {
        let live = Arc::new(world.lives[&id("role/update")].clone());
        let after = Arc::new(resource("role/update", "{allow: {logins: [root]}}"));
        step(plan, "role/update").action = Action::Adopt { live, after };
    });
}

#[test]
fn a_step_on_what_is_in_sync() {
    caught(Rule::Idle, |world, plan| {
        let live = Arc::new(world.lives[&id("role/same")].clone());
        let after = Arc::new(resource("role/same", "{}"));
        let action = Action::Adopt { live, after };
        let same = id("role/same");
        let step =
            Step { id: same, action, reason: Reason::Adopted, note: None, at: None, after: vec![] };
        plan.steps.insert(0, step);
    });
}

#[test]
fn a_delete_of_what_is_declared() {
    caught(Rule::DeleteOfDeclared, |world, _| {
        world.want(resource("role/delete", "{}"), &[]);
    });
}

#[test]
fn a_delete_while_a_document_is_in_doubt() {
    caught(Rule::DeleteOnPartialSource, |world, _| {
        world.reading.unknown.push(super::world::place("broken"));
    });
}

#[test]
fn a_delete_of_what_the_journal_does_not_know() {
    caught(Rule::DeleteOfUnknown, |world, _| {
        world.inventory.remove(&id("role/delete"));
    });
}

#[test]
fn a_delete_of_what_bears_no_mark() {
    caught(Rule::DeleteOfUnmarked, |world, plan| {
        world.have(resource("role/delete", "{}"), &["unmarked"]);
        world.observe();
        let before = Arc::new(world.lives[&id("role/delete")].clone());
        step(plan, "role/delete").action = Action::Delete { before };
    });
}

#[test]
fn a_delete_of_what_is_kept() {
    caught(Rule::DeleteOfKept, |world, _| {
        world.inventory.get_mut(&id("role/delete")).unwrap().keep = true;
    });
}

#[test]
fn a_delete_of_what_is_referred_to() {
    caught(Rule::DeleteOfReferenced, |world, _| {
        let refers = "{role_map: [{remote: access, local: [delete]}]}";
        world.want(resource("trusted_cluster/refers", refers), &[]);
    });
}

#[test]
fn a_reference_to_what_is_not_there() {
    caught(Rule::MissingReference, |_, plan| {
        plan.steps.retain(|step| step.id != id("role/create"));
    });
}

#[test]
fn a_reference_that_is_not_waited_for() {
    caught(Rule::MissingReference, |_, plan| step(plan, "trusted_cluster/refers").after.clear());
}

#[test]
fn phases_out_of_order() {
    caught(Rule::Order, |_, plan| plan.steps.reverse());
}

#[test]
fn a_step_before_what_it_waits_for() {
    caught(Rule::After, |_, plan| {
        let first = plan.steps.iter().position(|step| step.id == id("role/create")).unwrap();
        let moved = plan.steps.remove(first);
        plan.steps.push(moved);
    });
}

#[test]
fn a_difference_that_nobody_speaks_of() {
    caught(Rule::Incomplete, |_, plan| plan.steps.retain(|step| step.id != id("role/update")));
    caught(Rule::Incomplete, |_, plan| plan.steps.retain(|step| step.id != id("role/delete")));
    caught(Rule::Incomplete, |_, plan| plan.deferred.clear());
}

#[test]
fn something_forgotten_that_is_there() {
    caught(Rule::Forget, |world, _| {
        world.have(resource("role/gone", "{}"), &[]);
        world.observe();
    });
    caught(Rule::Forget, |world, _| {
        world.reading.unknown.push(super::world::place("broken"));
    });
}

#[test]
fn a_wrong_count() {
    caught(Rule::Unchanged, |_, plan| plan.unchanged += 1);
}

#[test]
fn a_wrong_coverage() {
    caught(Rule::Coverage, |_, plan| plan.coverage.clear());
    caught(Rule::Coverage, |_, plan| plan.source_whole = false);
}
