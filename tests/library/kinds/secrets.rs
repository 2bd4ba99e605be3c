//! The name of a token may be a secret, and then nobody gets to see it.

use std::collections::BTreeMap;

use super::keyed::{KEY, decode, read};
use reconciler::kind::canonical::{from_value, mask_of, name_in, to_value};
use reconciler::kind::{self, KINDS};
use reconciler::manifest::{Snapshot, render};
use reconciler::model::{Cluster, ResourceId, Value};

/// The name of every token below.
const NAME: &str = "hunter2swordfish";

fn token(spec: &str) -> String {
    format!("kind: token\nversion: v2\nmetadata:\n  name: {NAME}\nspec: {spec}\n")
}

/// Everything that a reading says, in every way in which it says it.
fn told(text: &str) -> (reconciler::manifest::Reading, String) {
    let snapshot = Snapshot {
        files: BTreeMap::from([("t.yaml".into(), text.as_bytes().into())]),
        ..Snapshot::default()
    };
    let reading = read(&snapshot);
    let shown = format!(
        "{}\n{}\n{reading:?}\n{:?}",
        render::text(&reading.findings, &snapshot, false),
        serde_json::to_string(&render::json(&reading.findings, &snapshot)).unwrap(),
        reading.frozen.keys().map(ToString::to_string).collect::<Vec<_>>(),
    );
    (reading, shown)
}

/// The ids of what a reading declares.
fn ids(reading: &reconciler::manifest::Reading) -> Vec<String> {
    reading.manifests.keys().chain(reading.frozen.keys()).map(ToString::to_string).collect()
}

#[test]
fn a_token_that_is_let_in_by_name_goes_by_its_fingerprint() {
    let texts = [
        token("{roles: [Node], join_method: token}"),
        token("{roles: [Node]}"),
        token("{roles: [Node], join_method: \"\"}"),
        token("{roles: [Node]}").replace("kind: token", "\"kind\": 'token' # really"),
    ];
    for text in texts {
        let (reading, shown) = told(&text);
        assert!(reading.findings.is_empty(), "{text}\n{shown}");
        assert!(!shown.contains(NAME), "{text}\n{shown}");
        assert_eq!(ids(&reading), [format!("token/{}", KEY.show_name(NAME))], "{text}");
        let (_, manifest) = reading.manifests.iter().next().unwrap();
        assert_eq!(name_in(&manifest.resource.canonical).as_deref(), Some(NAME), "calls need it");
    }
}

#[test]
fn two_documents_that_disagree_whether_the_name_is_secret_are_about_one_token() {
    let open = token("{roles: [Node], join_method: github, github: {allow: [{sub: x}]}}");
    let (reading, shown) = told(&format!("{open}---\n{}", token("{roles: [Node]}")));
    assert!(shown.contains("declared twice") && !shown.contains(NAME), "{shown}");
    assert!(reading.manifests.is_empty());
    assert_eq!(ids(&reading), [format!("token/{}", KEY.show_name(NAME))]);
}

#[test]
fn a_plain_name_cannot_pass_for_a_fingerprint() {
    let name = KEY.show_name(NAME);
    let text = token("{roles: [Node], join_method: github, github: {allow: [{sub: x}]}}");
    let (reading, _) = told(&text.replace(NAME, &format!("\"{name}\"")));
    assert!(!ids(&reading).contains(&format!("token/{name}")), "{:?}", ids(&reading));
    let kind = kind::find("token").unwrap();
    let value = Value::from_json(&format!(
        r#"{{"metadata":{{"name":"{name}"}},"spec":{{"join_method":"iam"}}}}"#
    ));
    let live = decode(kind, Cluster::Parent, from_value(kind, &value.unwrap()).unwrap()).unwrap();
    assert_ne!(live.id.to_string(), format!("token/{name}"));
    assert!(live.id.is_veiled());
}

#[test]
fn a_broken_document_about_a_token_tells_nothing_of_its_name() {
    let good = "{roles: [Node], join_method: token}";
    let github = "{roles: [Node], join_method: github, github: {allow: [{sub: x}]}";
    let texts = [
        token("{roles: [Node], join_method: [token]}"),
        token("{roles: [Nodule]}"),
        // A remark on the same line says it again.
        token(good).replace("swordfish\n", "swordfish/a b # not hunter2swordfish\n"),
        token(good).replace("  name: hunter2swordfish", "  {name: hunter2swordfish, x: y} # z"),
        // The finding stands on the line of the name.
        format!(
            "{{kind: token, version: v2, metadata: {{nonsense: 1, name: {NAME}}}, spec: {good}}}\n"
        ),
        format!(
            "{{kind: token, version: v2, spec: {good}, metadata: {{x: 1,\n name: {NAME} # {NAME}\n}}}}\n"
        ),
        token("{roles: [Node], join_method: token, join_method: iam}"),
        token("{roles: [Node], join_method: \"\", nonsense: 1}"),
        // In places where no secret belongs.
        token("{roles: [Node], hunter2swordfish: name}"),
        token("{roles: [Node], token: {hunter2swordfish: name}}"),
        token("{roles: [Node], token: hunter2swordfish}"),
        token("{roles: [hunter2swordfish]}"),
        token("{roles: hunter2swordfish}"),
        token("{roles: [Node], join_method: hunter2swordfish}"),
        token("{roles: [Node], hunter2swordfish: 1, hunter2swordfish: 2}"),
        token(good).replace("spec:", "  expires: hunter2swordfish\nspec:"),
        token(good).replace("spec:", "  labels: {hunter2swordfish@: x}\nspec:"),
        token(good).replace("spec:", "hunter2swordfish: x\nspec:"),
        token(good).replace("version: v2", "version: hunter2swordfish"),
        // Not certain: something else is wrong with it.
        token(&format!("{github}, nonsense: 1}}")),
        token(&format!("{github}, roles: [x]}}")),
        token(good).replace("name: ", "nme: "),
        token(good).replace("name: ", "Name: "),
        token(good).replace("name: ", "name: &"),
        token(good).replace("name: hunter2swordfish", "name: [hunter2swordfish]"),
        token(good).replace("name: ", "name: \"\\q ").replace("fish\n", "fish\"\n"),
        token(good).replace("hunter2swordfish", "hunter2swordfish x y"),
        token(good).replace("kind: token", "kind: tokens"),
        token(good).replace("kind: token", "kind: Token"),
        token("{roles: [Node], join_method: [}"),
        token(good).replace("  name", "\tname"),
        format!("{{kind: token, metadata: {{name: {NAME}}}, spec: [}}\n"),
    ];
    for text in texts {
        let (reading, shown) = told(&text);
        assert!(!reading.findings.is_empty(), "{text}");
        assert!(!shown.contains(NAME), "{text}\n{shown}");
        assert!(reading.manifests.is_empty() && reading.frozen.is_empty(), "{text}");
        assert!(!reading.unknown.is_empty(), "nothing may be pruned now: {text}");
    }
    let number = token(good).replace(NAME, "123456789012");
    let (_, shown) = told(&number);
    assert!(!shown.contains("123456789012"), "{shown}");
}

#[test]
fn what_the_kind_itself_knows_is_told() {
    let (_, shown) = told(&token("{roles: [Node, Node], join_method: iam, alow: [x]}"));
    assert!(shown.contains("there is no field `(not shown)` in `spec`"), "{shown}");
    assert!(shown.contains("did you mean `allow`?"), "{shown}");
    let (_, shown) = told(&token("{roles: [Node, Node], join_method: iam}"));
    assert!(shown.contains("the role `Node` stands twice"), "{shown}");
    assert!(shown.contains("the join method `iam` needs `allow` rules"), "{shown}");
}

#[test]
fn a_fingerprint_in_any_secret_field_is_found() {
    let pasted = |word: &str, text: &str| {
        let value = Value::from_json(text).unwrap();
        kind::pasted::fingerprint(kind::find(word).unwrap(), &value)
    };
    let found = |word, text, path: &str| assert_eq!(pasted(word, text).as_deref(), Some(path));
    found("trusted_cluster", r#"{"spec":{"token":"(secret 386f2819)"}}"#, "spec.token");
    found("kube_cluster", r#"{"spec":{"kubeconfig":"(secret 386f2819)"}}"#, "spec.kubeconfig");
    found("token", r#"{"metadata":{"name":"(secret 386f2819386f2819)"}}"#, "metadata.name");
    found(
        "token",
        r#"{"spec":{"bound_keypair":{"onboarding":{"registration_secret":"(secret 386f2819)"}}}}"#,
        "spec.bound_keypair.onboarding.registration_secret",
    );
    for plain in ["(secret)", "(secret 386f281)", "(secret gggggggg)", "secret 386f2819", "x"] {
        let text = format!(r#"{{"spec":{{"token":"{plain}"}}}}"#);
        assert_eq!(pasted("trusted_cluster", &text), None, "{plain}");
    }
    assert_eq!(pasted("role", r#"{"metadata":{"name":"(secret 386f2819)"}}"#), None);
}

#[test]
fn a_token_of_another_method_has_a_name_like_anything_else() {
    let text = token("{roles: [Node], join_method: github, github: {allow: [{sub: x}]}}");
    let (reading, _) = told(&text);
    assert!(reading.findings.is_empty(), "{:?}", reading.findings);
    let names: Vec<String> = reading.manifests.keys().map(ToString::to_string).collect();
    assert_eq!(names, [format!("token/{NAME}")]);
}

#[test]
fn a_live_token_is_shown_without_its_name_where_that_lets_in() {
    let kind = kind::find("token").unwrap();
    let live = |spec: &str| {
        let text = format!(r#"{{"metadata":{{"name":"{NAME}"}},"spec":{spec}}}"#);
        let wire = from_value(kind, &Value::from_json(&text).unwrap()).unwrap();
        let live = decode(kind, Cluster::Parent, wire).unwrap();
        let value = to_value(kind, &live.wire).unwrap();
        let shown = mask_of(&live.id, kind, value, &KEY).to_json();
        assert!(!format!("{live:?}").contains(NAME), "{live:?}");
        assert!(!format!("{:?}", live.id).contains(NAME), "{:?}", live.id);
        format!("{} {shown}", live.id)
    };
    let secret = live(r#"{"roles":["Node"],"join_method":"token"}"#);
    assert!(!secret.contains(NAME) && secret.contains("(secret "), "{secret}");
    let bare = live(r#"{"roles":["Node"]}"#);
    assert!(!bare.contains(NAME), "{bare}");
    let open = live(r#"{"roles":["Node"],"join_method":"iam","allow":[{"aws_account":"1"}]}"#);
    assert!(open.contains(NAME) && !open.contains("(secret "), "{open}");
    let bound = live(
        r#"{"join_method":"bound_keypair","bound_keypair":{"onboarding":{"registration_secret":"s3cret-w0rd"}}}"#,
    );
    assert!(!bound.contains("s3cret-w0rd"), "{bound}");
}

#[test]
fn only_kinds_that_say_so_have_secret_names() {
    let named: Vec<&str> = KINDS
        .iter()
        .filter(|kind| kind.name.has_secret_names())
        .map(|kind| kind.name.as_str())
        .collect();
    assert_eq!(named, ["token"]);
    for kind in KINDS.iter().filter(|kind| !kind.name.has_secret_names()) {
        assert!(!(kind.secret_name)(&Value::map()), "{}", kind.name);
        let id = ResourceId::parent(kind.name, "visible");
        assert!(format!("{id:?}").contains("visible"));
    }
}
