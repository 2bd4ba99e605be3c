//! The name of a token may be a secret, and then nobody gets to see it.

use std::collections::BTreeMap;

use reconciler::kind::canonical::{decode, from_value, mask, to_value};
use reconciler::kind::{self, KINDS};
use reconciler::manifest::decode::read;
use reconciler::manifest::{Snapshot, render};
use reconciler::model::{Cluster, FingerprintKey, ResourceId, Value};

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

#[test]
fn a_token_that_is_let_in_by_name_is_refused_without_telling_the_name() {
    let good = "{roles: [Node], join_method: token}";
    let github = "{roles: [Node], join_method: github, github: {allow: [{sub: x}]}";
    let texts = [
        token(good),
        token("{roles: [Node]}"),
        token("{roles: [Node], join_method: [token]}"),
        token("{roles: [Node], join_method: token, join_method: iam}"),
        token("{roles: [Node], join_method: \"\", nonsense: 1}"),
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
        token(good).replace("kind: token", "\"kind\": 'token' # really"),
        token("{roles: [Node], join_method: [}"),
        token(good).replace("  name", "\tname"),
        format!("{{kind: token, metadata: {{name: {NAME}}}, spec: [}}\n"),
        format!("{}---\n{}", token(good), token(good)),
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
    let key = FingerprintKey([7; 32]);
    let live = |spec: &str| {
        let text = format!(r#"{{"metadata":{{"name":"{NAME}"}},"spec":{spec}}}"#);
        let wire = from_value(kind, &Value::from_json(&text).unwrap()).unwrap();
        let live = decode(kind, Cluster::Parent, wire).unwrap();
        let value = to_value(kind, &live.wire).unwrap();
        let shown = mask(kind, &value, &key).to_json();
        assert!(!format!("{live:?}").contains(NAME), "{live:?}");
        assert!(!format!("{:?}", live.id).contains(NAME), "{:?}", live.id);
        shown
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
