//! What holds for every world.

use proptest::prelude::*;
use reconciler::plan::check::check;
use reconciler::plan::guard::{Begun, GuardFacts, guard};
use reconciler::plan::render::{View, json, markdown, text};

use super::world::{KEY, World, view};

/// Starts every secret of these tests; it must never be seen.
const SECRET: &str = "c2VjcmV0";

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        "[abc]".prop_map(|name| format!("role/{name}")),
        Just("role/editor".to_owned()),
        "[ab]".prop_map(|name| format!("kube_cluster/{name}")),
        "[ab]".prop_map(|name| format!("trusted_cluster/{name}")),
        "[ab]".prop_map(|name| format!("workload_cluster/{name}")),
    ]
}

/// A name with a specification that fits its kind.
fn named() -> impl Strategy<Value = String> {
    (name(), 0..3_u8, "[abc]").prop_map(|(name, variant, role)| {
        let spec = match name.split('/').next().unwrap() {
            "role" => format!("{{allow: {{logins: [user-{variant}]}}}}"),
            "kube_cluster" => format!("{{kubeconfig: {SECRET}LTA{variant}}}"),
            "trusted_cluster" => format!(
                "{{token: {SECRET}{}, enabled: {}, role_map: [{{remote: x, local: [{role}]}}]}}",
                variant / 2,
                variant == 1
            ),
            _ => format!("{{regions: [{{name: us-west-{variant}}}]}}"),
        };
        format!("{name} {spec}")
    })
}

fn line() -> impl Strategy<Value = String> {
    let desired = prop_oneof![
        5 => Just(""),
        1 => Just(" ; keep"),
        1 => Just(" ; adopt: never"),
        1 => Just(" ; adopt: always"),
        1 => Just(" ; paused: 2030-01-01T00:00:00Z"),
    ];
    let live = prop_oneof![
        5 => Just(""),
        2 => Just(" ; unmarked"),
        1 => Just(" ; owner: other"),
        1 => Just(" ; origin: kubernetes"),
    ];
    let known = prop_oneof![5 => Just(""), 1 => Just(" ; keep")];
    prop_oneof![
        6 => (named(), desired).prop_map(|(what, with)| format!("desired: {what}{with}")),
        6 => (named(), live).prop_map(|(what, with)| format!("live: {what}{with}")),
        6 => (named(), known).prop_map(|(what, with)| format!("inventory: {what}{with}")),
        4 => named().prop_map(|what| format!("same: {what}")),
    ]
}

/// What makes a side unknown; in every third world or so.
fn doubt() -> impl Strategy<Value = Vec<String>> {
    let one = prop_oneof![
        name().prop_map(|name| format!("frozen: {name}")),
        name().prop_map(|name| format!("busy: {name}")),
        Just("unknown: broken".to_owned()),
        Just("partial: role a page was cut".to_owned()),
        Just("partial: trusted_cluster unavailable".to_owned()),
    ];
    prop_oneof![2 => Just(Vec::new()), 1 => prop::collection::vec(one, 1..3)]
}

fn world() -> impl Strategy<Value = String> {
    (prop::collection::vec(line(), 0..16), doubt()).prop_map(|(mut lines, doubt)| {
        lines.extend(doubt);
        lines.join("\n")
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn plans_are_right_repeatable_and_bring_everything_home(text in world()) {
        let mut world = World::parse(&text);
        // A document in doubt is not decoded.
        let frozen = world.reading.frozen.clone();
        world.reading.manifests.retain(|id, _| !frozen.contains_key(id));
        let plan = world.plan();
        prop_assert_eq!(check(&plan, &world.input()), vec![], "{}", text);
        prop_assert_eq!(world.plan().digest, plan.digest);
        world.apply(&plan);
        let again = world.plan();
        prop_assert_eq!(check(&again, &world.input()), vec![], "again: {}", text);
        prop_assert!(again.steps.is_empty(), "not home: {:?}", again.steps);
    }

    #[test]
    fn no_secret_is_ever_shown(text_of_world in world()) {
        let world = World::parse(&text_of_world);
        let plan = world.plan();
        let facts = GuardFacts {
            policy: &world.policy,
            managed: world.inventory.len(),
            source_empty: world.reading.manifests.is_empty(),
            approvals: &std::collections::BTreeMap::new(),
            wall: world.wall,
            matured: &std::collections::BTreeSet::new(),
            begun: &Begun::default(),
            key: &KEY,
        };
        let gated = guard(&plan, &facts);
        let view = View { colour: true, ..view(&plan, Some(&gated)) };
        for out in [text(&view), json(&view), markdown(&view), format!("{plan:?}{gated:?}")] {
            prop_assert!(!out.contains(SECRET), "{}", out);
        }
    }
}

#[test]
fn the_secrets_of_these_worlds_are_there_to_be_shown() {
    let world = World::parse(&format!("desired: kube_cluster/a {{kubeconfig: {SECRET}LTAw}}"));
    let manifest = world.reading.manifests.values().next().unwrap();
    assert!(manifest.resource.canonical.contains(SECRET), "the canonical form holds it");
    let plan = world.plan();
    assert!(
        text(&view(&plan, None)).contains("kubeconfig: (secret "),
        "and it is shown as a fingerprint"
    );
}
