//! Teleport's defaults of a role, by version.

use std::collections::BTreeMap;

use crate::model::Value;

type Fields = BTreeMap<String, Value>;

/// Version that the server gives to a role with a version that it does not know.
const NEWEST: &str = "v8";

/// Longest session that a role without a limit gives.
const MAX_SESSION_TTL: &str = "30h0m0s";

/// Fills in what the server fills in. Idempotent.
pub(super) fn normalize(role: &mut Value) {
    let Value::Map(role) = role else { return };
    let version = version(role);
    within(role, "spec", |spec| {
        within(spec, "options", |fields| options(fields, version));
        within(spec, "allow", |allow| {
            if version == 3 {
                wildcard_labels(allow);
            }
            kubernetes_resources(allow, version);
        });
        within(spec, "deny", |deny| kubernetes_verbs(deny, version));
        spec.retain(|_, part| *part != Value::map());
    });
}

/// The number in the role's version; unknown ones become the newest.
fn version(role: &mut Fields) -> u8 {
    let known = match role.get("version").and_then(Value::as_str) {
        Some("v3") => Some(3),
        Some("v4") => Some(4),
        Some("v5") => Some(5),
        Some("v6") => Some(6),
        Some("v7") => Some(7),
        Some(NEWEST) => Some(8),
        Some(_) | None => None,
    };
    known.unwrap_or_else(|| {
        role.insert("version".into(), text(NEWEST));
        8
    })
}

fn options(options: &mut Fields, version: u8) {
    default(options, "cert_format", text("standard"));
    let limit = options.get("max_session_ttl").and_then(Value::as_str);
    if limit.is_none_or(|limit| limit.starts_with('-')) {
        options.insert("max_session_ttl".into(), text(MAX_SESSION_TTL));
    }
    default(options, "enhanced_recording", texts(&["command", "network"]));
    // Only when it is absent as a whole: what a written one leaves out stays unset.
    let recording = [("default", text("best_effort")), ("desktop", Value::Bool(true))];
    let recording = recording.map(|(name, value)| (name.to_owned(), value));
    default(options, "record_session", Value::Map(recording.into()));
    for (name, value) in [
        ("desktop_clipboard", true),
        ("desktop_directory_sharing", true),
        ("ssh_file_copy", true),
        ("create_desktop_user", false),
        ("create_db_user", false),
    ] {
        default(options, name, Value::Bool(value));
    }
    if version < 8 {
        within(options, "idp", |idp| {
            within(idp, "saml", |saml| default(saml, "enabled", Value::Bool(true)));
        });
    }
}

/// Version 3 gives everything to who can log in.
fn wildcard_labels(allow: &mut Fields) {
    let any = Value::Map(BTreeMap::from([("*".into(), text("*"))]));
    if allow.contains_key("logins") {
        default(allow, "node_labels", any.clone());
    }
    for labels in ["app_labels", "kubernetes_labels", "db_labels"] {
        default(allow, labels, any.clone());
    }
}

/// Who may use a Kubernetes cluster may use what is in it.
fn kubernetes_resources(allow: &mut Fields, version: u8) {
    kubernetes_verbs(allow, version);
    let matches_clusters = ["kubernetes_labels", "kubernetes_labels_expression"]
        .into_iter()
        .any(|name| allow.contains_key(name));
    if !matches_clusters {
        return;
    }
    match version {
        ..=5 => default(allow, RESOURCES, Value::List(vec![everything("pod")])),
        6 => {}
        7 => default(allow, RESOURCES, Value::List(vec![everything("*")])),
        // Servers differ in how they write the default of version 8 (`api_group: "*"` or none),
        // so that here the default is written as absence.
        _ => {
            if is_default_of_8(allow.get(RESOURCES)) {
                allow.remove(RESOURCES);
            }
        }
    }
}

const RESOURCES: &str = "kubernetes_resources";

fn everything(kind: &str) -> Value {
    Value::Map(BTreeMap::from([
        ("kind".into(), text(kind)),
        ("namespace".into(), text("*")),
        ("name".into(), text("*")),
        ("verbs".into(), texts(&["*"])),
    ]))
}

fn is_default_of_8(resources: Option<&Value>) -> bool {
    let Some(Value::List(items)) = resources else { return false };
    let [Value::Map(item)] = items.as_slice() else { return false };
    let mut item = item.clone();
    if item.get("api_group").and_then(Value::as_str) == Some("*") {
        item.remove("api_group");
    }
    Value::Map(item) == everything("*")
}

/// Before version 7 an entry without verbs means all of them.
fn kubernetes_verbs(conditions: &mut Fields, version: u8) {
    if version > 6 {
        return;
    }
    let Some(Value::List(items)) = conditions.get_mut(RESOURCES) else { return };
    for item in items {
        if let Value::Map(item) = item {
            default(item, "verbs", texts(&["*"]));
        }
    }
}

/// Changes the fields of a message inside a message, which is made where it is absent.
fn within(parent: &mut Fields, name: &str, change: impl FnOnce(&mut Fields)) {
    if let Value::Map(fields) = parent.entry(name.into()).or_insert_with(Value::map) {
        change(fields);
    }
}

fn default(fields: &mut Fields, name: &str, value: Value) {
    fields.entry(name.into()).or_insert(value);
}

fn text(text: &str) -> Value {
    Value::String(text.into())
}

fn texts(items: &[&str]) -> Value {
    Value::List(items.iter().map(|item| text(item)).collect())
}
