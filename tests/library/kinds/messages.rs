//! Messages survive the way through the canonical form.

use std::collections::BTreeMap;

use bytes::Bytes;
use prost_reflect::prost::Message as _;
use prost_reflect::{DynamicMessage, ReflectMessage as _, UnknownField};
use reconciler::kind::canonical::{encode, from_value, name_in, to_value};
use reconciler::kind::{self, Kind, OWNER_LABEL, unknown};
use reconciler::model::{Cluster, Live, Resource, Value};
use reconciler::wire::DESCRIPTORS;

use super::keyed::{decode, resource};
use super::recorded::{
    Found, Line, RECORDED, answer_type, lines, request_type, resource_in, resources,
};

const OWNER: &str = "reconciler";

fn wanted(live: &Live) -> Resource {
    Resource { id: live.id.clone(), canonical: live.canonical.clone(), digest: live.digest }
}

fn named(found: &Found) -> Option<Live> {
    match decode(found.kind, Cluster::Parent, found.wire.clone()) {
        Ok(live) => Some(live),
        Err(error) => {
            assert!(error.message.contains("it has no name"), "{}: {error}", found.from);
            None
        }
    }
}

fn reflected(kind: &Kind, wire: &Bytes) -> DynamicMessage {
    let descriptor = DESCRIPTORS.get_message_by_name(kind.message).unwrap();
    DynamicMessage::decode(descriptor, wire.clone()).unwrap()
}

fn canonical_json(live: &Live) -> Value {
    Value::from_json(&live.canonical).unwrap()
}

#[test]
fn what_was_recorded_comes_back() {
    let mut seen = BTreeMap::new();
    for found in resources() {
        let Some(live) = named(&found) else { continue };
        *seen.entry(found.kind.name.as_str()).or_insert(0) += 1;
        let created = encode(found.kind, &wanted(&live), None, OWNER).expect(&found.from);
        let again = decode(found.kind, Cluster::Parent, created).expect(&found.from);
        assert_eq!(again.canonical, live.canonical, "{}: created", found.from);
        assert_eq!(again.digest, live.digest, "{}", found.from);
        assert_eq!(again.owner.as_deref(), found.kind.keeps_labels.then_some(OWNER));
        assert_eq!(again.revision, None, "{}: a create bears no revision", found.from);

        let updated = encode(found.kind, &wanted(&live), Some(&live), OWNER).expect(&found.from);
        let again = decode(found.kind, Cluster::Parent, updated.clone()).expect(&found.from);
        assert_eq!(again.canonical, live.canonical, "{}: updated", found.from);
        assert_eq!(again.revision, live.revision, "{}", found.from);
        assert_eq!(again.origin, live.origin, "{}", found.from);
        assert_eq!(
            encode(found.kind, &wanted(&live), Some(&live), OWNER).unwrap(),
            updated,
            "{}: the same bytes every time",
            found.from
        );
    }
    assert!(seen["role"] > 60, "{seen:?}");
    assert!(seen["kube_cluster"] > 60, "{seen:?}");
    assert!(seen["trusted_cluster"] > 20, "{seen:?}");
    assert!(seen["user"] > 20 && seen["bot"] > 15 && seen["token"] > 20, "{seen:?}");
    assert!(seen.contains_key("remote_cluster"), "{seen:?}");
}

/// The plain view loses nothing that reflection sees, except fields without a name in YAML.
#[test]
fn the_plain_view_is_the_whole_message() {
    let hidden = |message: &mut DynamicMessage| {
        if let Some(metadata) =
            message.get_field_by_name_mut("metadata").and_then(|v| v.as_message_mut())
        {
            metadata.clear_field_by_name("namespace");
        }
        if let Some(spec) = message.get_field_by_name_mut("spec").and_then(|v| v.as_message_mut()) {
            for part in ["allow", "deny"] {
                if spec.has_field_by_name(part)
                    && let Some(part) = spec.get_field_by_name_mut(part).unwrap().as_message_mut()
                {
                    part.clear_field_by_name("namespaces");
                }
            }
        }
    };
    let mut compared = 0;
    for found in resources() {
        let value = to_value(found.kind, &found.wire).expect(&found.from);
        let back = from_value(found.kind, &value).expect(&found.from);
        assert_eq!(to_value(found.kind, &back).unwrap(), value, "{}", found.from);
        let mut sent = reflected(found.kind, &found.wire);
        hidden(&mut sent);
        let mut back = reflected(found.kind, &back);
        hidden(&mut back);
        assert_eq!(simplify(&back), simplify(&sent), "{}", found.from);
        compared += 1;
    }
    assert!(compared > 150, "{compared}");
}

/// Reflection's view without fields that say nothing: a Go server writes empty messages where
/// ours leaves them out.
fn simplify(message: &DynamicMessage) -> String {
    fn value(wire: &prost_reflect::Value) -> Option<String> {
        match wire {
            prost_reflect::Value::Message(inner)
                if inner.descriptor().full_name() == "types.BoolValue" =>
            {
                Some(format!("{inner:?}"))
            }
            // Go's zero time is in the year 1.
            prost_reflect::Value::Message(inner)
                if inner.descriptor().full_name() == "google.protobuf.Timestamp"
                    && inner
                        .get_field_by_number(1)
                        .and_then(|seconds| seconds.as_i64())
                        .is_none_or(|seconds| seconds <= 0) =>
            {
                None
            }
            prost_reflect::Value::Message(inner) => {
                Some(simplify(inner)).filter(|text| !text.is_empty())
            }
            prost_reflect::Value::List(items) => Some(format!(
                "[{}]",
                items
                    .iter()
                    .map(|item| value(item).unwrap_or_default())
                    .collect::<Vec<_>>()
                    .join(", ")
            )),
            prost_reflect::Value::Map(entries) => {
                let entries: BTreeMap<String, String> = entries
                    .iter()
                    .map(|(key, item)| (format!("{key:?}"), value(item).unwrap_or_default()))
                    .collect();
                Some(format!("{entries:?}"))
            }
            other => Some(format!("{other:?}")),
        }
    }
    let fields: Vec<String> = message
        .fields()
        .filter_map(|(field, inner)| Some(format!("{}: {}", field.name(), value(inner)?)))
        .collect();
    fields.join("; ")
}

/// Server defaults are no drift: what was sent and what the server made of it are one.
#[test]
fn what_the_server_made_of_a_write_is_what_was_sent() {
    let lines = lines(RECORDED);
    let mut compared = BTreeMap::new();
    for line in lines.iter().filter(|line| line.code == "OK") {
        let Some((_, name)) = line.method.rsplit_once('/') else { continue };
        if !["Create", "Update", "Upsert"].iter().any(|verb| name.starts_with(verb))
            || OTHER_WRITES.contains(&name)
        {
            continue;
        }
        let sent = resource_in(
            &request_type(&line.method).unwrap(),
            line.request.as_ref().expect(&line.case),
        );
        // Where the write answers with nothing, the next read does.
        let read = |other: &&Line| {
            other.case == line.case && other.step == line.step + 1 && other.code == "OK"
        };
        let stored = match answer_type(&line.method) {
            Some(_) => Some(line),
            None => lines.iter().find(read),
        };
        let Some(stored) = stored.filter(|stored| stored.answer.is_some()) else { continue };
        let Some(answer) = answer_type(&stored.method) else { continue };
        let stored = resource_in(&answer, stored.answer.as_ref().unwrap());
        assert_eq!(stored.kind.name, sent.kind.name);
        let kind = sent.kind;
        let sent = decode(kind, Cluster::Parent, sent.wire).unwrap();
        let stored = decode(kind, Cluster::Parent, stored.wire).unwrap();
        assert_eq!(sent.canonical, stored.canonical, "{} {}", line.case, line.step);
        *compared.entry(kind.name.as_str()).or_insert(0) += 1;
    }
    let least = [("role", 25), ("kube_cluster", 20), ("user", 8), ("bot", 5), ("token", 6)];
    for (kind, least) in least {
        assert!(compared[kind] >= least, "{kind}: {compared:?}");
    }
}

/// Writes of something else than our kinds, and those that change what was sent on purpose.
const OTHER_WRITES: &[&str] = &[
    "CreateResetPasswordToken",
    "CreateAuthenticateChallenge",
    "CreateTrustedCluster",
    "UpdateTrustedCluster",
    "UpsertTrustedCluster",
    // Sent with a mask: the rest of the message means nothing.
    "UpdateRemoteCluster",
];

#[test]
fn the_canonical_form_is_its_own() {
    for found in resources() {
        let Some(live) = named(&found) else { continue };
        let again = resource(
            found.kind,
            Cluster::Parent,
            &name_in(&live.canonical).unwrap(),
            canonical_json(&live),
        );
        assert_eq!(again.canonical, live.canonical, "{}", found.from);
        assert_eq!(again.canonical.as_ref(), canonical_json(&live).to_json(), "{}", found.from);
    }
}

fn unknown_field(text: &str) -> Vec<u8> {
    // Field 900, length-delimited.
    let mut bytes = vec![0xa2, 0x38, u8::try_from(text.len()).unwrap()];
    bytes.extend_from_slice(text.as_bytes());
    bytes
}

/// A role of a newer server, with a field that we don't know at every level.
fn newer_role() -> Bytes {
    let descriptor = DESCRIPTORS.get_message_by_name("types.RoleV6").unwrap();
    let kind = kind::find("role").unwrap();
    let value = Value::from_json(
        r#"{"kind":"role","version":"v7","metadata":{"name":"r","revision":"7","labels":{
            "teleport.dev/x":"1","team":"a"}},"spec":{"allow":{"logins":["root"],
            "rules":[{"resources":["a"],"verbs":["read"]},{"resources":["b"],"verbs":["read"]}]}}}"#,
    )
    .unwrap();
    let wire = from_value(kind, &value).unwrap();
    let mut message = DynamicMessage::decode(descriptor, wire).unwrap();
    mark(&mut message, "top");
    message.encode_to_vec().into()
}

fn mark(message: &mut DynamicMessage, path: &str) {
    use prost_reflect::prost::Message as _;
    message.merge(unknown_field(path).as_slice()).unwrap();
    for (field, value) in message.fields_mut() {
        let path = format!("{path}.{}", field.name());
        match value {
            prost_reflect::Value::Message(inner) => mark(inner, &path),
            prost_reflect::Value::List(items) => {
                for (index, item) in items.iter_mut().enumerate() {
                    if let prost_reflect::Value::Message(inner) = item {
                        mark(inner, &format!("{path}.{index}"));
                    }
                }
            }
            _ => {}
        }
    }
}

/// The marks of [`mark`] that are still there.
fn marks(message: &DynamicMessage, out: &mut Vec<String>) {
    for field in message.unknown_fields() {
        let field: &UnknownField = field;
        let mut bytes = Vec::new();
        field.encode(&mut bytes);
        out.push(String::from_utf8(bytes[3..].to_vec()).unwrap());
    }
    for (_, value) in message.fields() {
        match value {
            prost_reflect::Value::Message(inner) => marks(inner, out),
            prost_reflect::Value::List(items) => {
                for item in items {
                    if let prost_reflect::Value::Message(inner) = item {
                        marks(inner, out);
                    }
                }
            }
            _ => {}
        }
    }
}

fn marks_of(wire: &Bytes) -> Vec<String> {
    let mut out = Vec::new();
    marks(&reflected(kind::find("role").unwrap(), wire), &mut out);
    out.sort();
    out
}

#[test]
fn unknown_fields_survive_an_update_at_every_level() {
    let kind = kind::find("role").unwrap();
    let live = decode(kind, Cluster::Parent, newer_role()).unwrap();
    let before = marks_of(&live.wire);
    assert_eq!(
        before,
        [
            "top",
            "top.metadata",
            "top.spec",
            "top.spec.allow",
            "top.spec.allow.rules.0",
            "top.spec.allow.rules.1"
        ]
    );
    let same = encode(kind, &wanted(&live), Some(&live), OWNER).unwrap();
    assert_eq!(marks_of(&same), before);

    // The first rule goes: the second keeps what is its own, and so does what is now empty.
    let changed = Value::from_json(
        r#"{"version":"v7","spec":{"allow":{"rules":[{"resources":["b"],"verbs":["read"]}]}}}"#,
    )
    .unwrap();
    let changed = resource(kind, Cluster::Parent, "r", changed);
    let sent = encode(kind, &changed, Some(&live), OWNER).unwrap();
    assert_eq!(
        marks_of(&sent),
        ["top", "top.metadata", "top.spec", "top.spec.allow", "top.spec.allow.rules.1"]
    );
    let value = to_value(kind, &sent).unwrap();
    let metadata = value.get("metadata").unwrap();
    assert_eq!(metadata.get("revision").and_then(Value::as_str), Some("7"));
    let labels = metadata.get("labels").unwrap().to_json();
    assert_eq!(labels, format!(r#"{{"teleport.dev/x":"1","{OWNER_LABEL}":"{OWNER}"}}"#));
    assert_eq!(value.get("spec").unwrap().get("allow").unwrap().get("logins"), None);

    // Nothing is wanted of `allow` any more.
    let nothing =
        resource(kind, Cluster::Parent, "r", Value::from_json(r#"{"version":"v7"}"#).unwrap());
    let sent = encode(kind, &nothing, Some(&live), OWNER).unwrap();
    assert_eq!(marks_of(&sent), ["top", "top.metadata", "top.spec", "top.spec.allow"]);
}

#[test]
fn unknown_fields_are_shown_by_number_and_size() {
    let kind = kind::find("role").unwrap();
    let shown: Vec<String> =
        unknown::fields(kind, &newer_role()).unwrap().iter().map(ToString::to_string).collect();
    assert_eq!(
        shown,
        [
            "field 900: 6 bytes, unknown to this version",
            "metadata.field 900: 15 bytes, unknown to this version",
            "spec.field 900: 11 bytes, unknown to this version",
            "spec.allow.field 900: 17 bytes, unknown to this version",
            "spec.allow.rules.field 900: 25 bytes, unknown to this version",
            "spec.allow.rules.field 900: 25 bytes, unknown to this version",
        ]
    );
    for found in resources() {
        assert_eq!(unknown::fields(found.kind, &found.wire).unwrap(), [], "{}", found.from);
    }
    assert!(unknown::fields(kind, b"\xff").is_err());
}

#[test]
fn what_the_server_owns_of_a_user_survives_an_update() {
    let kind = kind::find("user").unwrap();
    let live = Value::from_json(
        r#"{"metadata":{"name":"u","revision":"1"},"spec":{"roles":["a"],
        "github_identities":[{"connector_id":"g","username":"u"}],
        "status":{"is_locked":true,"locked_message":"m"},
        "created_by":{"time":"2024-01-01T00:00:00Z","user":{"name":"admin"}}},
        "status":{"password_state":2}}"#,
    )
    .unwrap();
    let live = decode(kind, Cluster::Parent, from_value(kind, &live).unwrap()).unwrap();
    assert_eq!(live.origin, None);
    let value = Value::from_json(r#"{"spec":{"roles":["b"],"status":{"is_locked":false}}}"#);
    let desired = resource(kind, Cluster::Parent, "u", value.unwrap());
    assert!(!desired.canonical.contains("is_locked"), "{}", desired.canonical);
    let sent = encode(kind, &desired, Some(&live), OWNER).unwrap();
    let sent = to_value(kind, &sent).unwrap().to_json();
    for kept in ["\"admin\"", "\"is_locked\":true", "\"username\":\"u\"", "password_state"] {
        assert!(sent.contains(kept), "{kept}: {sent}");
    }
    assert!(sent.contains(r#""roles":["b"]"#), "{sent}");
}

#[test]
fn who_else_keeps_something_shows_as_its_origin() {
    let cases = [
        ("user", r#"{"spec":{"created_by":{"connector":{"id":"gh","type":"github"}}}}"#, "sso"),
        ("user", r#"{"metadata":{"labels":{"teleport.internal/bot":"b"}}}"#, "bot"),
        ("role", r#"{"metadata":{"labels":{"teleport.internal/bot":"b"}}}"#, "bot"),
        (
            "user",
            r#"{"metadata":{"labels":{"teleport.internal/resource-type":"system"}}}"#,
            "system",
        ),
        (
            "token",
            r#"{"metadata":{"labels":{"teleport.dev/origin":"config-file"}}}"#,
            "config-file",
        ),
        ("user", r#"{"spec":{"created_by":{"connector":{"id":"","type":""}}}}"#, ""),
        ("role", r#"{"metadata":{"labels":{"teleport.internal/resource-type":"preset"}}}"#, ""),
    ];
    for (name, json, origin) in cases {
        let kind = kind::find(name).unwrap();
        let Value::Map(mut value) = Value::from_json(json).unwrap() else { panic!("{json}") };
        let metadata = value.entry("metadata".into()).or_insert_with(Value::map);
        let Value::Map(metadata) = metadata else { panic!("{json}") };
        metadata.insert("name".into(), Value::String("x".into()));
        let wire = from_value(kind, &Value::Map(value)).unwrap();
        let live = decode(kind, Cluster::Parent, wire).unwrap();
        assert_eq!(live.origin.as_deref().unwrap_or_default(), origin, "{json}");
        assert!(origin.is_empty() || kind::FOREIGN_ORIGINS.contains(&origin), "{origin}");
    }
}

#[test]
fn hidden_fields_survive_an_update() {
    let kind = kind::find("role").unwrap();
    let answer =
        resources().into_iter().find(|found| found.from.starts_with("role/labels-v8 2")).unwrap();
    let live = decode(kind, Cluster::Parent, answer.wire).unwrap();
    let sent = encode(kind, &wanted(&live), Some(&live), OWNER).unwrap();
    let message = reflected(kind, &sent);
    let spec = message.get_field_by_name("spec").unwrap().into_owned();
    let allow = spec.as_message().unwrap().get_field_by_name("allow").unwrap().into_owned();
    let namespaces =
        allow.as_message().unwrap().get_field_by_name("namespaces").unwrap().into_owned();
    assert_eq!(namespaces.as_list().unwrap()[0].as_str(), Some("default"));
}

#[test]
fn nothing_is_written_over_a_message_that_was_not_kept() {
    let kind = kind::find("role").unwrap();
    let found = resources().into_iter().find(|found| found.kind.name == kind.name).unwrap();
    let mut live = decode(kind, Cluster::Parent, found.wire).unwrap();
    assert!(encode(kind, &wanted(&live), Some(&live), OWNER).is_ok());
    live.wire = Bytes::new();
    assert!(encode(kind, &wanted(&live), Some(&live), OWNER).is_err());
}

#[test]
fn the_stored_result_of_a_label_is_compared_and_sent() {
    let kind = kind::find("kube_cluster").unwrap();
    let value = |result: &str| {
        Value::from_json(&format!(
            r#"{{"metadata":{{"name":"k"}},"spec":{{"dynamic_labels":{{"region":{{"period":"1h",
            "command":["x"],"result":"{result}"}}}}}}}}"#
        ))
        .unwrap()
    };
    let live =
        |result| decode(kind, Cluster::Parent, from_value(kind, &value(result)).unwrap()).unwrap();
    let desired = resource(kind, Cluster::Parent, "k", value("eu"));
    assert_ne!(desired.canonical, live("us").canonical);
    assert_eq!(desired.canonical, live("eu").canonical);
    // An empty one is none, as agents see it.
    assert_eq!(resource(kind, Cluster::Parent, "k", value("")).canonical, live("").canonical);
    for base in [Some(live("us")), None] {
        let sent = encode(kind, &desired, base.as_ref(), OWNER).unwrap();
        let sent = to_value(kind, &sent).unwrap();
        assert!(sent.to_json().contains(r#""result":"eu""#), "{}", sent.to_json());
    }
}

#[test]
fn an_error_names_the_field_and_not_the_secret() {
    let kind = kind::find("kube_cluster").unwrap();
    let value = Value::from_json(r#"{"spec":{"kubeconfig":"not base64: s3cret"}}"#).unwrap();
    let error = from_value(kind, &value).unwrap_err().message;
    assert_eq!(error, "types.KubernetesClusterV3: spec: kubeconfig: not standard base64");
    let error = from_value(kind, &Value::from_json(r#"{"nonsense":1}"#).unwrap()).unwrap_err();
    assert!(error.message.contains("no field `nonsense`"), "{error}");
}

#[test]
fn broken_bytes_are_errors() {
    let kind = kind::find("role").unwrap();
    let good = resources().into_iter().find(|found| found.kind.name == kind.name).unwrap().wire;
    for length in 1..good.len() {
        // Whatever is left of it, there is an answer, and no panic.
        drop(decode(kind, Cluster::Parent, good.slice(..length)));
    }
    assert!(decode(kind, Cluster::Parent, good.slice(..good.len() - 1)).is_err());
    assert!(decode(kind, Cluster::Parent, Bytes::from_static(b"\xff")).is_err());
    assert!(decode(kind, Cluster::Parent, Bytes::new()).unwrap_err().message.contains("no name"));
}
