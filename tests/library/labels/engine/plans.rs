//! Plans with selectors: what they say, and what the independent check makes of wrong ones.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use reconciler::journal::Entry;
use reconciler::kind::{canonical, row};
use reconciler::labels::Mode;
use reconciler::labels::resolve::{Desired, Rules, Unmatched, resolve};
use reconciler::labels::value::Values;
use reconciler::live::{Coverage, LiveState, Observed, Seen};
use reconciler::manifest::Reading;
use reconciler::model::{Cluster, Resource, ResourceId, Timestamp, Value, Verb};
use reconciler::plan::check::{Rule, check};
use reconciler::plan::render::{json, markdown, text};
use reconciler::plan::{Action, Input, LabelInput, Plan, Policy, plan};

use super::super::{AGENT, KEY, dynamic, id, items, reading, resource, rules};
use crate::plans::world::view;

/// All that a plan is made from.
struct Table {
    live: LiveState,
    inventory: BTreeMap<ResourceId, Entry>,
    policy: Policy,
    rules: Rules,
    values: Values,
}

impl Table {
    /// These are live and ours.
    fn new(ours: Vec<Resource>) -> Self {
        let kind = row(id("a").kind).unwrap();
        let mut inventory = BTreeMap::new();
        let mut lives = Vec::new();
        for resource in ours {
            let value = Value::from_json(&resource.canonical).unwrap();
            let applied = canonical::mask(kind, &value, &KEY).to_json();
            let entry =
                Entry { applied: applied.into(), adopted: false, path: String::new(), keep: false };
            inventory.insert(resource.id.clone(), entry);
            let wire = canonical::encode(kind, &resource, None, AGENT).unwrap();
            lives.push(canonical::decode(kind, Cluster::Parent, wire, &KEY).unwrap());
        }
        let observed = Observed::new(lives, Coverage::Complete);
        let policy = Policy {
            agent: AGENT.into(),
            max_delete_percent: 30,
            max_delete_free: 3,
            confirm: Vec::new(),
        };
        let selectors = items(&[&[("env", "prod")], &[("env", "test"), ("region", "us-*")]]);
        Self {
            live: LiveState {
                kinds: [((Cluster::Parent, kind.name), observed)].into(),
                ..LiveState::default()
            },
            inventory,
            policy,
            rules: rules(Mode::Resolve, selectors),
            values: Values::new(),
        }
    }

    fn desired(&self, reading: &Arc<Reading>) -> Desired {
        resolve(reading, &self.live, &self.values, &self.rules, AGENT)
    }

    fn with<T>(&self, desired: &Desired, job: impl FnOnce(&Input<'_>) -> T) -> T {
        job(&Input {
            reading: &desired.reading,
            labels: Some(LabelInput {
                declared: &desired.declared,
                fits: &desired.fits,
                rules: &self.rules,
                values: &self.values,
            }),
            live: &self.live,
            inventory: &self.inventory,
            busy: &BTreeSet::new(),
            policy: &self.policy,
            key: &KEY,
            wall: Timestamp(0),
        })
    }

    fn plan(&self, desired: &Desired) -> Plan {
        self.with(desired, plan)
    }

    fn broken(&self, plan: &Plan, desired: &Desired) -> Vec<Rule> {
        self.with(desired, |input| check(plan, input).into_iter().map(|it| it.rule).collect())
    }
}

fn four() -> (Table, Arc<Reading>) {
    let table = Table::new(vec![
        resource("gone", r#"{"env":"test","region":"us-1"}"#, "{}"),
        resource("held", r#"{"env":"test","region":"us-1"}"#, "{}"),
    ]);
    let all = reading(vec![
        resource("gone", r#"{"env":"test","region":"eu-1"}"#, "{}"),
        resource("held", r#"{"env":"test"}"#, &dynamic("region", "")),
        resource("new", r#"{"env":"prod"}"#, "{}"),
        resource("other", r#"{"env":"dev"}"#, "{}"),
    ]);
    (table, all)
}

#[test]
fn a_plan_tells_what_matches_what_does_not_and_what_nobody_knows() {
    let (table, all) = four();
    let desired = table.desired(&all);
    let plan = table.plan(&desired);
    assert_eq!(table.broken(&plan, &desired), []);
    let view = view(&plan, None);
    let shown = text(&view);
    for line in [
        "+ kube_cluster/new  (missing, matches item 1: env=prod)",
        "- kube_cluster/gone  (label region changed us-1 → eu-1: no selector matches)",
        "kube_cluster/held: the value of the label `region` is not known yet",
        "Matches no selector:",
        "kube_cluster/other: env=dev",
        "1 matching no selector",
    ] {
        assert!(shown.contains(line), "{line}\n{shown}");
    }
    let value: serde_json::Value = serde_json::from_str(&json(&view)).unwrap();
    assert_eq!(value["steps"][0]["note"], "matches item 1: env=prod");
    assert_eq!(value["steps"][1]["reason"], "unmatched");
    assert_eq!(value["deferred"][0]["why"], "label_unknown");
    assert_eq!(value["unmatched"][0]["labels"], "env=dev");
    let page = markdown(&view);
    assert!(page.contains("matches no selector: <code>kube&#95;cluster/other</code>"), "{page}");
}

#[test]
fn a_plan_that_registers_what_matches_nothing_is_refused() {
    let (table, all) = four();
    let right = table.desired(&all);
    let mut wrong = right.clone();
    let mut reading = Reading::clone(&wrong.reading);
    for (id, unmatched) in std::mem::take(&mut wrong.fits.unmatched) {
        reading.manifests.insert(id, unmatched.manifest);
    }
    wrong.reading = Arc::new(reading);
    let plan = table.plan(&wrong);
    assert!(table.broken(&plan, &wrong).contains(&Rule::Unmatched), "by its own account as well");
    assert!(table.broken(&plan, &right).contains(&Rule::Unmatched));
}

/// The journal was lost: what bears our mark and matches nothing is ours again first.
#[test]
fn a_plan_reclaims_by_the_mark_and_by_nothing_else() {
    let (mut table, all) = four();
    table.inventory.clear();
    let desired = table.desired(&all);
    let plan = table.plan(&desired);
    assert_eq!(table.broken(&plan, &desired), []);
    let steps: Vec<_> = plan.steps.iter().map(|it| (&*it.id.name, it.action.verb())).collect();
    assert_eq!(steps, [("new", Verb::Create), ("gone", Verb::Adopt)]);
    let left: Vec<_> = plan.unmatched.iter().map(|it| &*it.id.name).collect();
    assert_eq!(left, ["other"]);
    let view = view(&plan, None);
    let because = "label region changed us-1 → eu-1: no selector matches";
    let shown = format!("kube_cluster/gone  (reclaimed, {because})  journal only");
    assert!(text(&view).contains(&shown), "{}", text(&view));

    // One that leaves it out, or does it to what is not ours, is refused.
    let mut less = plan.clone();
    less.steps.retain(|step| step.id != id("gone"));
    assert!(table.broken(&less, &desired).contains(&Rule::Incomplete));
    let (known, _) = four();
    assert!(known.broken(&plan, &desired).contains(&Rule::Idle), "the journal knows it");
    let observed = table.live.kinds.values().next().unwrap();
    let unmarked = observed.seen().map(|live| {
        let mut live = live.as_ref().clone();
        live.owner = None;
        live
    });
    let observed = Observed::new(unmarked.collect::<Vec<_>>(), Coverage::Complete);
    table.live.kinds = [((Cluster::Parent, id("a").kind), observed)].into();
    let mut wrong = plan.clone();
    for step in &mut wrong.steps {
        if let Action::Adopt { live, .. } = &mut step.action {
            let Seen::Present(unmarked) = table.live.look(&step.id) else { panic!("it is there") };
            live.clone_from(unmarked);
        }
    }
    let broken = table.broken(&wrong, &desired);
    assert!(broken.contains(&Rule::Foreign), "{broken:?}");
    let plan = table.plan(&desired);
    assert_eq!(table.broken(&plan, &desired), []);
    assert!(plan.steps.iter().all(|step| step.id != id("gone")), "{:?}", plan.steps);
}

#[test]
fn a_plan_that_unregisters_what_nobody_knows_is_refused() {
    let (table, all) = four();
    let mut wrong = table.desired(&all);
    for (id, undecided) in std::mem::take(&mut wrong.fits.undecided) {
        let unmatched = Unmatched { manifest: undecided.manifest, labels: BTreeMap::new() };
        wrong.fits.unmatched.insert(id, unmatched);
    }
    let plan = table.plan(&wrong);
    assert!(table.broken(&plan, &wrong).contains(&Rule::Undecided));
}
