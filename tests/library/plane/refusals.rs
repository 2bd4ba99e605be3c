//! Documents that a running 18.0.0 took or refused: the plane does the same, in the same words,
//! and `validate` says so beforehand where it can.

use std::collections::BTreeMap;

use prost::Message as _;
use reconciler::kind::{self, call, canonical};
use reconciler::manifest::{Snapshot, decode};
use reconciler::model::{FingerprintKey, Severity, Value};
use reconciler::plane::Settings;
use reconciler::plane::status::code;
use reconciler::wire::message::teleport::users::v1 as users;
use reconciler::wire::message::{proto, types};
use serde::Deserialize;

use super::support::{AUTH, World};

/// What was given to a real server by `tctl create -f`, and its words, if it refused.
const TABLE: &str = include_str!("../../data/refusals.jsonl");

/// What the source of 18.0.0 says of further documents.
const FROM_SOURCE: &str = include_str!("../../data/source-refusals.jsonl");

/// Expressions, and whether Go compiles them.
const EXPRESSIONS: &str = include_str!("../../data/go-expressions.jsonl");

#[derive(Deserialize)]
struct Row {
    document: serde_json::Value,
    refused: Option<String>,
}

impl Row {
    /// What only an enterprise edition takes: nobody knows the edition beforehand.
    fn by_edition(&self) -> bool {
        self.refused.as_ref().is_some_and(|text| text.contains("enterprise"))
    }
}

fn rows() -> Vec<Row> {
    let lines = TABLE.lines().chain(FROM_SOURCE.lines());
    let rows: Vec<Row> = lines.map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(rows.len() > 85, "{}", rows.len());
    rows
}

#[test]
fn the_plane_refuses_what_a_real_server_refuses() {
    for row in rows() {
        let mut world = World::new(Settings::default());
        let shown = row.document.to_string();
        let kind = kind::find(row.document["kind"].as_str().unwrap()).unwrap();
        // As YAML: durations and switches are words there.
        let snapshot = snapshot(&row.document);
        let reading = decode::read(&snapshot, &FingerprintKey([0; 32]));
        let value = match reading.manifests.values().next() {
            Some(manifest) => Value::from_json(&manifest.resource.canonical).unwrap(),
            None => Value::from_serde(row.document.clone()),
        };
        let Ok(body) = canonical::from_value(kind, &value) else { panic!("{shown}") };
        let request = call::create(kind, body).unwrap();
        let answer = world.raw(request.path, &request.body);
        match (&row.refused, answer) {
            (None, Ok(_)) => {}
            (Some(text), Err(status)) => {
                let last = status.message.lines().last().unwrap().trim();
                assert_eq!(last, text, "{shown}");
                let expected =
                    if row.by_edition() { code::PERMISSION_DENIED } else { code::INVALID_ARGUMENT };
                assert_eq!(status.code, expected, "{shown}");
            }
            (expected, got) => panic!("{shown}: {expected:?}, but the plane: {got:?}"),
        }
    }
}

fn snapshot(document: &serde_json::Value) -> Snapshot {
    let bytes = document.to_string().into_bytes();
    Snapshot { files: BTreeMap::from([("x.json".into(), bytes.into())]), ..Snapshot::default() }
}

#[test]
fn validation_says_so_beforehand() {
    for row in rows() {
        let reading = decode::read(&snapshot(&row.document), &FingerprintKey([0; 32]));
        let errors: Vec<_> =
            reading.findings.iter().filter(|it| it.severity == Severity::Error).collect();
        let expected = row.refused.is_some() && !row.by_edition();
        assert_eq!(!errors.is_empty(), expected, "{}: {errors:?}", row.document);
    }
}

#[test]
fn what_is_upserted_is_looked_at_as_well() {
    let mut world = World::new(Settings::default());
    let role = |name: &str| {
        let mut role = super::support::role(name);
        let spec = role.spec.get_or_insert_default();
        spec.options.get_or_insert_default().require_mfa_type = 2;
        proto::UpsertRoleRequest { role: Some(role) }
    };
    let path = format!("{AUTH}UpsertRoleV2");
    let refused = world.raw(&path, &role("a").encode_to_vec()).unwrap_err();
    assert_eq!(refused.code, code::PERMISSION_DENIED);
    // An enterprise edition has them.
    let mut world = World::new(Settings { enterprise: true, ..Settings::default() });
    world.raw(&path, &role("a").encode_to_vec()).unwrap();
    let refused = world.raw(&path, &role("a/b").encode_to_vec()).unwrap_err();
    assert_eq!(refused.code, code::INVALID_ARGUMENT);
    assert!(refused.message.ends_with("\"/roles/a/b/params\""), "{}", refused.message);
}

#[derive(Deserialize)]
struct Expression {
    expression: String,
    valid: bool,
}

fn trusting(remote: &str) -> types::TrustedClusterV2 {
    let mut cluster = super::support::trusted("root");
    remote.clone_into(&mut cluster.spec.as_mut().unwrap().role_map[0].remote);
    cluster
}

#[test]
fn expressions_of_role_maps_are_gos() {
    let mut world = World::new(Settings::default());
    let mut seen = 0;
    let mut wrong = Vec::new();
    for line in EXPRESSIONS.lines() {
        let Expression { expression, valid } = serde_json::from_str(line).unwrap();
        let cluster = trusting(&expression);
        let answer = world.raw(&format!("{AUTH}UpsertTrustedCluster"), &cluster.encode_to_vec());
        let said = answer.err().map(|status| status.message).unwrap_or_default();
        let refused = said.contains("error parsing regexp");
        if refused == valid {
            wrong.push(format!("{expression}, valid {valid}: {said}"));
        }
        // The check beforehand is no parser, but refuses nothing that is good.
        let document = serde_json::json!({"kind": "trusted_cluster", "version": "v2",
            "metadata": {"name": "root"}, "spec": {"web_proxy_addr": "a:443", "token": "t",
            "role_map": [{"remote": expression, "local": ["access"]}]}});
        let reading = decode::read(&snapshot(&document), &FingerprintKey([0; 32]));
        let found = reading.findings.iter().find(|it| it.code.0 == "K045");
        if valid && found.is_some() {
            wrong.push(format!("{expression} beforehand: {found:?}"));
        }
        seen += 1;
    }
    assert_eq!(wrong, [""; 0]);
    assert!(seen > 600, "{seen}");
}

#[test]
#[expect(clippy::disallowed_methods, reason = "what is measured is real time")]
fn a_long_expression_is_read_in_time() {
    let mut world = World::new(Settings::default());
    for part in ["{", "[[:", "(?", "\\Q", "[a-", "{1", "a*\\Q\\E", "(a)*", "(?:"] {
        let remote = format!("^{}$", part.repeat(160_000 / part.len()));
        let start = std::time::Instant::now();
        let cluster = trusting(&remote);
        let _answer = world.raw(&format!("{AUTH}UpsertTrustedCluster"), &cluster.encode_to_vec());
        let document = serde_json::json!({"kind": "trusted_cluster", "version": "v2",
            "metadata": {"name": "root"}, "spec": {"role_map": [{"remote": remote}]}});
        decode::read(&snapshot(&document), &FingerprintKey([0; 32]));
        // Quadratic work takes tens of seconds here.
        let took = start.elapsed();
        assert!(took < std::time::Duration::from_secs(8), "{part}: {took:?}");
    }
}

#[test]
fn requests_for_kinds_of_newer_servers_are_warned_of() {
    for kind in ["pods", "deployments"] {
        let document = serde_json::json!({"kind": "role", "version": "v8",
            "metadata": {"name": "r"},
            "spec": {"allow": {"request": {"kubernetes_resources": [{"kind": kind}]}}}});
        let reading = decode::read(&snapshot(&document), &FingerprintKey([0; 32]));
        let found: Vec<_> = reading.findings.iter().map(|it| (it.code.0, it.severity)).collect();
        assert_eq!(found, [("K027", Severity::Warning)]);
    }
}

#[test]
fn there_is_one_namespace() {
    let mut world = World::new(Settings::default());
    let metadata = || {
        let namespace = "foo".to_owned();
        Some(types::Metadata { name: "a".to_owned(), namespace, ..Default::default() })
    };
    let role = types::RoleV6 { metadata: metadata(), ..super::support::role("a") };
    let user = types::UserV2 { metadata: metadata(), ..super::support::user("a", &[]) };
    let token = types::ProvisionTokenV2 { metadata: metadata(), ..Default::default() };
    let trusted = types::TrustedClusterV2 { metadata: metadata(), ..trusting("access") };
    let token = proto::create_token_v2_request::Token::V2(token);
    let users = super::support::USERS;
    for (path, body) in [
        (
            format!("{AUTH}CreateRole"),
            proto::CreateRoleRequest { role: Some(role) }.encode_to_vec(),
        ),
        (
            format!("{users}CreateUser"),
            users::CreateUserRequest { user: Some(user) }.encode_to_vec(),
        ),
        (
            format!("{AUTH}CreateTokenV2"),
            proto::CreateTokenV2Request { token: Some(token) }.encode_to_vec(),
        ),
        (format!("{AUTH}UpsertTrustedCluster"), trusted.encode_to_vec()),
    ] {
        let refused = world.raw(&path, &body).unwrap_err();
        assert_eq!(refused.code, code::INVALID_ARGUMENT, "{path}");
        assert_eq!(
            refused.message,
            "namespace \"foo\" invalid, custom namespaces are deprecated; the namespace field \
             should be omitted or set to \"default\"",
            "{path}"
        );
    }
}

#[test]
fn authorities_of_endorsement_keys_are_certificates() {
    let key = "-----BEGIN PUBLIC KEY-----\nMAA=\n-----END PUBLIC KEY-----\n";
    let broken = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
    let whole = rcgen::generate_simple_self_signed(Vec::new()).unwrap().cert.pem();
    let rows = [
        ("nonsense", Some("ekcert_allowed_cas[0]: no pem block found"), true),
        (key, Some("ekcert_allowed_cas[0]: pem block is not 'CERTIFICATE' type"), true),
        // What is inside of a certificate is for the server to read.
        (broken, Some("ekcert_allowed_cas[0]: parsing certificate"), false),
        (whole.as_str(), None, false),
    ];
    for (authority, expected, found_beforehand) in rows {
        let document = serde_json::json!({"kind": "token", "version": "v2",
            "metadata": {"name": "t"}, "spec": {"roles": ["Node"], "join_method": "tpm",
            "tpm": {"ekcert_allowed_cas": [authority], "allow": [{"ek_public_hash": "a"}]}}});
        let reading = decode::read(&snapshot(&document), &FingerprintKey([0; 32]));
        let found = reading.findings.iter().any(|it| it.code.0 == "K075");
        assert_eq!(found, found_beforehand, "{authority}");
        let kind = kind::find("token").unwrap();
        let body = canonical::from_value(kind, &Value::from_serde(document)).unwrap();
        let request = call::create(kind, body).unwrap();
        let mut world = World::new(Settings { enterprise: true, ..Settings::default() });
        let refused = world.raw(request.path, &request.body).err();
        let last = refused.map(|it| it.message.lines().last().unwrap().trim().to_owned());
        assert_eq!(last.as_deref(), expected, "{authority}");
    }
}
