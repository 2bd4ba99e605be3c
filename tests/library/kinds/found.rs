//! A kind that only the server makes and that we never delete: waited for, changed, let go.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::keyed::{KEY, decode, resource};
use reconciler::journal::Entry;
use reconciler::kind::canonical::{from_value, mask};
use reconciler::kind::{self, Kind, OWNER_LABEL};
use reconciler::live::{Coverage, LiveState, Observed};
use reconciler::manifest::{Directives, Manifest, Reading};
use reconciler::model::{Cluster, Live, Place, Timestamp, Value, Verb};
use reconciler::plan::check::{self, Rule};
use reconciler::plan::{Action, Input, Plan, Policy, plan};

fn kind() -> &'static Kind {
    kind::find("remote_cluster").unwrap()
}

/// One side of `remote_cluster/leaf`, by its label `env`.
#[derive(Default)]
struct Sides {
    wanted: Option<&'static str>,
    live: Option<&'static str>,
    known: Option<&'static str>,
}

fn value(env: &str, extra: &str) -> Value {
    let text = format!(r#"{{"metadata":{{"name":"leaf","labels":{{"env":"{env}"{extra}}}}}}}"#);
    Value::from_json(&text).unwrap()
}

fn live(env: &str) -> Live {
    let mark = format!(r#","{OWNER_LABEL}":"me""#);
    decode(kind(), Cluster::Parent, from_value(kind(), &value(env, &mark)).unwrap()).unwrap()
}

/// The plan, found right by the checker, with everything that it was made from.
fn with<T>(sides: &Sides, look: impl FnOnce(&Plan, &Input<'_>) -> T) -> T {
    let mut reading = Reading::default();
    if let Some(env) = sides.wanted {
        let resource = Arc::new(resource(kind(), Cluster::Parent, "leaf", value(env, "")));
        let at = Place { path: "leaf.yaml".into(), start: 0, end: 0 };
        let manifest = Manifest { at, resource, directives: Directives::default() };
        reading.manifests.insert(manifest.resource.id.clone(), manifest);
    }
    let observed = Observed::new(sides.live.map(live), Coverage::Complete);
    let kinds = BTreeMap::from([((Cluster::Parent, kind().name), observed)]);
    let state = LiveState { kinds, ..LiveState::default() };
    let mut inventory = BTreeMap::new();
    if let Some(env) = sides.known {
        let applied = resource(kind(), Cluster::Parent, "leaf", value(env, ""));
        let value = Value::from_json(&applied.canonical).unwrap();
        let entry = Entry {
            applied: mask(kind(), &value, &KEY).to_json().into(),
            adopted: true,
            path: "leaf.yaml".into(),
            keep: false,
        };
        inventory.insert(applied.id, entry);
    }
    let policy = Policy {
        agent: "me".into(),
        max_delete_percent: 100,
        max_delete_free: 10,
        confirm: Vec::new(),
    };
    let input = Input {
        reading: &reading,
        labels: None,
        live: &state,
        inventory: &inventory,
        busy: &BTreeSet::new(),
        policy: &policy,
        key: &KEY,
        wall: Timestamp(0),
    };
    let plan = plan(&input);
    assert_eq!(check::check(&plan, &input), []);
    look(&plan, &input)
}

#[test]
fn what_is_not_there_yet_is_waited_for() {
    for known in [None, Some("a")] {
        let sides = Sides { wanted: Some("a"), known, ..Sides::default() };
        with(&sides, |plan, _| {
            assert!(plan.steps.is_empty());
            let [deferred] = &plan.deferred[..] else { panic!("{:?}", plan.deferred) };
            assert_eq!(deferred.why.code(), "not_made_by_us");
            assert_eq!(deferred.why.to_string(), "not there, and only Teleport itself makes it");
            assert!(deferred.why.remedy().is_some());
        });
    }
}

#[test]
fn what_is_there_is_changed() {
    let sides = Sides { wanted: Some("b"), live: Some("a"), known: Some("a") };
    with(&sides, |plan, _| {
        let verbs: Vec<Verb> = plan.steps.iter().map(|step| step.action.verb()).collect();
        assert_eq!(verbs, [Verb::Update]);
    });
}

#[test]
fn what_is_no_longer_declared_is_let_go_and_stays() {
    for live in [None, Some("a")] {
        let sides = Sides { wanted: None, live, known: Some("a") };
        with(&sides, |plan, input| {
            assert!(plan.steps.is_empty() && plan.deferred.is_empty());
            assert_eq!(plan.forget.len(), 1);
            assert_eq!(
                plan.forget.iter().collect::<Vec<_>>(),
                input.inventory.keys().collect::<Vec<_>>()
            );
        });
    }
}

#[test]
fn the_checker_finds_a_create_and_a_delete() {
    let sides = Sides { wanted: Some("a"), ..Sides::default() };
    with(&sides, |plan, input| {
        let mut wrong = plan.clone();
        let manifest = input.reading.manifests.values().next().unwrap();
        wrong.deferred.clear();
        wrong.steps.push(step(Action::Create { after: Arc::clone(&manifest.resource) }));
        assert!(check::check(&wrong, input).iter().any(|it| it.rule == Rule::NotMadeByUs));
    });
    let sides = Sides { live: Some("a"), known: Some("a"), ..Sides::default() };
    with(&sides, |plan, input| {
        let mut wrong = plan.clone();
        wrong.forget.clear();
        wrong.steps.push(step(Action::Delete { before: Arc::new(live("a")) }));
        assert!(check::check(&wrong, input).iter().any(|it| it.rule == Rule::NotMadeByUs));
    });
}

fn step(action: Action) -> reconciler::plan::Step {
    reconciler::plan::Step {
        id: reconciler::model::ResourceId::parent(kind().name, "leaf"),
        action,
        reason: reconciler::plan::Reason::Missing,
        note: None,
        at: None,
        after: Vec::new(),
    }
}
