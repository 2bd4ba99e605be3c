//! What people and programs see.

use expect_test::{expect, expect_file};
use reconciler::manifest::render::{JsonFinding, JsonPlace};
use reconciler::plan::guard::{Begun, Gated, GuardFacts, guard};
use reconciler::plan::render::{COMMENT_BYTES_MAX, View, json, markdown, text};
use reconciler::plan::{Plan, diff};

use super::world::{KEY, World, view};

const MIXED: &str = "desired: kube_cluster/new {kubeconfig: bmV3LWt1YmVjb25maWc=}
    desired: role/edited {allow: {logins: [ops, root]}}
    live: role/edited {allow: {logins: [root]}}
    inventory: role/edited {allow: {logins: [root]}}
    live: role/old {}
    inventory: role/old {}
    desired: workload_cluster/found {regions: [{name: us-west-2}]}
    live: workload_cluster/found {regions: [{name: us-west-2}]}
    desired: role/other {}
    live: role/other {} ; owner: other
    same: role/same {}
    live: workload_cluster/acme {regions: [{name: us-west-2}]}
    inventory: workload_cluster/acme {regions: [{name: us-west-2}]}";

fn gated(world: &World, plan: &Plan) -> Gated {
    let facts = GuardFacts {
        policy: &world.policy,
        managed: world.inventory.len(),
        source_empty: false,
        approvals: &std::collections::BTreeMap::new(),
        wall: world.wall,
        matured: &std::collections::BTreeSet::new(),
        begun: &Begun::default(),
        key: &KEY,
    };
    guard(plan, &facts)
}

#[test]
fn text_of_a_mixed_plan() {
    let world = World::parse(MIXED);
    let plan = world.plan();
    let gated = gated(&world, &plan);
    expect![[r#"
        ~ role/edited  (edited)  role/edited.yaml
            @@ -5,6 +5,7 @@
             spec:
               allow:
                 logins:
            +    - ops
                 - root
               options:
                 cert_format: standard
        + kube_cluster/new  (missing)  kube_cluster/new.yaml
            kind: kube_cluster
            version: v3
            metadata:
              name: new
            spec:
              kubeconfig: (secret 95bca40d)
        = workload_cluster/found  (adopted)  journal only  workload_cluster/found.yaml
        - workload_cluster/acme  (pruned)
        - role/old  (pruned)

        Not applied:
          role/other: owned by agent `other`  role/other.yaml
            remove it from the other agent, or set `reconciler/adopt: always`

        Held by guards:
          delete workload_cluster/acme: deleting this kind needs confirmation (confirm)
          delete workload_cluster/acme: prune_delay has not elapsed (prune-delay)
          delete role/old: prune_delay has not elapsed (prune-delay)
          to approve: reconciler approve e78c23e306b7f4d6251c4a78e16e74f048be85485052f382463bd457180acf97

        Plan: 1 to create, 1 to update, 2 to delete, 1 to adopt, 1 not applied.
    "#]].assert_eq(&text(&view(&plan, Some(&gated))));
}

#[test]
fn json_of_a_mixed_plan() {
    let world = World::parse(MIXED);
    let plan = world.plan();
    let gated = gated(&world, &plan);
    let shown = json(&view(&plan, Some(&gated)));
    let read: serde_json::Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(read["format_version"], 1);
    expect_file!["../../fixtures/plans/mixed.json"].assert_eq(&shown);
}

#[test]
fn markdown_of_a_mixed_plan() {
    let world = World::parse(MIXED);
    let plan = world.plan();
    let gated = gated(&world, &plan);
    expect![[r#"
        **Plan: 1 to create, 1 to update, 2 to delete, 1 to adopt, 1 not applied.**

        - held: delete <code>workload&#95;cluster/acme</code>: deleting this kind needs confirmation
        - held: delete <code>workload&#95;cluster/acme</code>: prune_delay has not elapsed
        - held: delete <code>role/old</code>: prune_delay has not elapsed
        - to approve: `reconciler approve e78c23e306b7f4d6251c4a78e16e74f048be85485052f382463bd457180acf97`

        <details><summary><code>~ role/edited</code> update (edited) role/edited.yaml</summary>

        ```diff
        @@ -5,6 +5,7 @@
         spec:
           allow:
             logins:
        +    - ops
             - root
           options:
             cert_format: standard
        ```

        </details>

        <details><summary><code>+ kube&#95;cluster/new</code> create (missing) kube&#95;cluster/new.yaml</summary>

        ```yaml
        kind: kube_cluster
        version: v3
        metadata:
          name: new
        spec:
          kubeconfig: (secret 95bca40d)
        ```

        </details>

        <code>= workload&#95;cluster/found</code> adopt (adopted) workload&#95;cluster/found.yaml<br>

        <code>- workload&#95;cluster/acme</code> delete (pruned)<br>

        <code>- role/old</code> delete (pruned)<br>

        - not applied: <code>role/other</code>: owned by agent &#96;other&#96;; remove it from the other agent, or set &#96;reconciler/adopt: always&#96; (role/other.yaml)
        Plan `ddc5edc713a4`
    "#]].assert_eq(&markdown(&view(&plan, Some(&gated))));
}

#[test]
fn no_changes() {
    let world = World::parse("same: role/a {}\nsame: role/b {}");
    expect![[r#"
        No changes. 2 resources in sync.
    "#]]
    .assert_eq(&text(&view(&world.plan(), None)));
}

#[test]
fn what_leaves_the_journal_is_said() {
    let world = World::parse(
        "inventory: role/gone {}
        live: remote_cluster/leaf {}
        inventory: remote_cluster/leaf {}",
    );
    let plan = world.plan();
    expect![[r#"
        forget remote_cluster/leaf (no longer declared; this kind is never deleted)
        forget role/gone (gone from the cluster, no longer declared)

        No changes. 0 resources in sync, 2 to forget.
    "#]]
    .assert_eq(&text(&view(&plan, None)));
    let shown = markdown(&view(&plan, None));
    assert!(shown.contains("- forget: <code>role/gone</code> (gone from the cluster"), "{shown}");
    let read: serde_json::Value = serde_json::from_str(&json(&view(&plan, None))).unwrap();
    assert_eq!(read["forget"], serde_json::json!(["remote_cluster/leaf", "role/gone"]));
    assert_eq!(read["summary"]["forget"], 2);
}

#[test]
fn what_an_update_keeps_without_knowing_it_is_said_once() {
    let mut world = World::parse(
        "desired: role/dev {allow: {logins: [root]}}
        live: role/dev {}
        inventory: role/dev {}",
    );
    for live in world.lives.values_mut() {
        // Field 9999 is a number; field 9998 a text of two bytes.
        live.wire = bytes::Bytes::from_static(b"\xf8\xf0\x04\x01\xf2\xf0\x04\x02hi");
    }
    world.observe();
    let plan = world.plan();
    let told = "# kept, unknown to this version: field 9998 (6 bytes), field 9999 (4 bytes)\n";
    for shown in [text(&view(&plan, None)), markdown(&view(&plan, None))] {
        assert_eq!(shown.matches(told).count(), 1, "{shown}");
    }
    let read: serde_json::Value = serde_json::from_str(&json(&view(&plan, None))).unwrap();
    let told = serde_json::json!(["field 9998 (6 bytes)", "field 9999 (4 bytes)"]);
    assert_eq!(read["steps"][0]["unknown_fields"], told);
    let known = World::parse("desired: role/dev {allow: {logins: [root]}}\nlive: role/dev {}");
    let known = known.plan();
    assert!(!text(&view(&known, None)).contains("unknown to"), "nothing is unknown in it");
}

#[test]
fn a_name_that_is_a_secret_is_in_no_rendering() {
    let world = World::parse(
        "desired: token/hunter2-new {roles: [Node]}
        desired: token/hunter2-edited {roles: [Node, Kube], join_method: token}
        live: token/hunter2-edited {roles: [Node], join_method: token}
        live: token/hunter2-gone {roles: [Node], join_method: token}
        inventory: token/hunter2-gone {roles: [Node], join_method: token}",
    );
    let plan = world.plan();
    let gated = gated(&world, &plan);
    let shown = view(&plan, Some(&gated));
    for out in [text(&shown), json(&shown), markdown(&shown), format!("{plan:?}{gated:?}")] {
        assert!(!out.contains("hunter2"), "{out}");
        assert!(out.contains("token/(secret ") || out.contains("(secret "), "{out}");
    }
    assert_eq!(plan.steps.len(), 3, "{:?}", plan.steps);
}

#[test]
fn what_is_not_known_is_said() {
    let world = World::parse("partial: role a page was cut\nunknown: broken");
    expect![[r#"
        Not known:
          live state of role unknown: a page was cut
          some documents could not be understood: nothing is deleted

        Incomplete: the live state of role is unknown. No changes in the rest. 0 resources in sync.
    "#]]
    .assert_eq(&text(&view(&world.plan(), None)));
}

#[test]
fn findings_stand_in_what_others_read() {
    let found = |severity: &str, line: usize, hint: Option<&str>| JsonFinding {
        at: JsonPlace { path: "a_b.yaml".into(), line, column: 3, end_line: line, end_column: 9 },
        severity: severity.into(),
        code: "M031",
        message: "unknown field `lables`".into(),
        hint: hint.map(Into::into),
        also: Vec::new(),
    };
    let all = [found("note", 1, None), found("error", 5, Some("did you mean `labels`?"))];
    let world = World::parse(MIXED);
    let plan = world.plan();
    let shown = View { findings: &all, ..view(&plan, None) };
    let page = markdown(&shown);
    let error = "- error M031: <code>a&#95;b.yaml:5:3</code>: unknown field &#96;lables&#96; \
                 (did you mean &#96;labels&#96;?)\n";
    let at = |text: &str| page.find(text).unwrap_or_else(|| panic!("no {text} in {page}"));
    assert!(at(error) < at("<details>"), "{page}");
    assert!(at("- note M031: <code>a&#95;b.yaml:1:3</code>") > at("<details>"), "{page}");
    let read: serde_json::Value = serde_json::from_str(&json(&shown)).unwrap();
    let second = &read["findings"][1];
    assert_eq!((&second["path"], &second["line"]), (&"a_b.yaml".into(), &5.into()));
    assert_eq!(second["hint"], "did you mean `labels`?");
    assert_eq!(read["format_version"], 1);
}

#[test]
fn colour_is_only_for_who_asks() {
    let world = World::parse(MIXED);
    let plan = world.plan();
    let bare = view(&plan, None);
    assert!(!text(&bare).contains('\u{1b}'), "no escape sequence without colour");
    assert!(text(&View { colour: true, ..bare }).contains("\u{1b}[32m+ "), "green creates");
}

#[test]
fn nothing_written_can_steer_a_terminal() {
    let evil = "desired: role/dev {allow: {logins: [\"\\e[2Jx\\u202ey\\x9bz\"]}}
        live: role/dev {allow: {logins: [\"\\e]0;title\\a\"]}} ; owner: reconciler";
    let world = World::parse(evil);
    let plan = world.plan();
    let shown = view(&plan, None);
    for out in [text(&shown), json(&shown), markdown(&shown)] {
        let bad = out.chars().find(|c| *c != '\n' && (c.is_control() || *c == '\u{202e}'));
        assert_eq!(bad, None, "{out}");
    }
    let read: serde_json::Value = serde_json::from_str(&json(&shown)).unwrap();
    let login = &read["steps"][0]["after"]["spec"]["allow"]["logins"][0];
    assert_eq!(login, "\u{1b}[2Jx\u{202e}y\u{9b}z", "JSON says the same");
    assert_eq!(reconciler::model::clean("a\u{1b}b"), "a\\u{1b}b");
}

#[test]
fn markdown_cannot_be_broken_out_of() {
    let world = World::parse("desired: role/dev {allow: {logins: [\"```</details> @everyone\"]}}");
    let plan = world.plan();
    let shown = markdown(&view(&plan, None));
    assert!(shown.contains("\n````yaml\n"), "the fence is longer than what is inside:\n{shown}");
}

#[test]
fn a_comment_stays_below_its_limit() {
    let mut world = World::empty();
    for index in 0..500 {
        let name = format!("role/role-{index}");
        world.want(super::world::resource(&name, "{allow: {logins: [root]}}"), &[]);
    }
    let plan = world.plan();
    let shown = markdown(&view(&plan, None));
    assert!(shown.len() <= COMMENT_BYTES_MAX, "{} bytes", shown.len());
    assert!(shown.contains("more that do not fit here"));
}

#[test]
fn yaml_reads_back_as_what_it_was() {
    for awkward in ["no", "010", "1e3", "123456789012", "~", "a: b", "- x", "", " lead", "x\ny\n"] {
        let value = reconciler::model::Value::String(awkward.into());
        let yaml = diff::yaml(&value);
        let read: serde_json::Value = serde_yaml::from_str(&yaml).unwrap();
        assert_eq!(read, serde_json::Value::String(awkward.into()), "{yaml}");
    }
}
