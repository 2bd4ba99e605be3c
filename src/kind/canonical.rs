//! Between YAML's view of a resource, its canonical form and the wire.
//!
//! `resource` makes the canonical form of what is wanted, `decode` of what is there; both end in
//! the same function, so that what means the same is the same text. `encode` makes the message
//! to send. `to_value` and `from_value` are the plain view of tctl, without any of this.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use super::codec::{self, Keep};
use super::schema::{self, Field, Form, Schema};
use super::{Kind, OWNER_LABEL};
use crate::model::{
    Cluster, Digest, FingerprintKey, Live, Resource, ResourceId, Revision, Value, secret,
};

/// A message that cannot be read or made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct WireError {
    /// What is wrong, with the message's name.
    pub message: String,
}

impl WireError {
    pub(super) fn new(message: &str, problem: &str) -> Self {
        Self { message: format!("{message}: {problem}") }
    }
}

/// Labels that Teleport sets itself. Never compared, never removed, never set by us.
pub const SERVER_LABELS: &[&str] = &["teleport.dev/", "teleport.internal/"];

/// Labels that are for us; they never leave the manifests.
pub const DIRECTIVE_LABELS: &str = "reconciler/";

/// Whether a label is Teleport's own.
fn is_server_label(key: &str) -> bool {
    SERVER_LABELS.iter().any(|prefix| key.starts_with(prefix))
}

/// Whether a label of that name in a manifest is not one of the resource's own.
pub(super) fn is_ignored_label(key: &str) -> bool {
    is_server_label(key) || key.starts_with(DIRECTIVE_LABELS) || key == OWNER_LABEL
}

/// Makes the canonical form: strips what is server-owned and every `reconciler/` label and the
/// ownership mark, drops nulls and what is empty, sorts unordered lists, applies
/// `Kind::normalize`. A name that is a secret is in the content alone; the id has its
/// fingerprint.
pub fn resource(
    kind: &Kind,
    cluster: Cluster,
    name: &str,
    value: Value,
    key: &FingerprintKey,
) -> Resource {
    let id = id(kind, cluster, name, &value, key);
    let canonical = canonical(kind, name, value);
    let digest = Digest::of(canonical.as_bytes());
    Resource { id, canonical, digest }
}

/// The same resource with another content, in canonical form again.
pub fn changed(kind: &Kind, before: &Resource, value: Value) -> Resource {
    let name = name_in(&before.canonical);
    let canonical = canonical(kind, name.as_deref().unwrap_or(&before.id.name), value);
    let digest = Digest::of(canonical.as_bytes());
    Resource { id: before.id.clone(), canonical, digest }
}

/// The id of a resource: veiled where its name is a secret, and where it is written as if.
pub fn id(
    kind: &Kind,
    cluster: Cluster,
    name: &str,
    value: &Value,
    key: &FingerprintKey,
) -> ResourceId {
    let id = ResourceId { cluster, kind: kind.name, name: name.into() };
    if !kind.name.has_secret_names() {
        return id;
    }
    if secret::is_fingerprint(name) {
        return ResourceId { name: key.show_name(name).into(), ..id };
    }
    if (kind.secret_name)(value) { id.veiled(key) } else { id }
}

/// The name in a canonical form, for calls that take nothing else. **A secret** where the id is
/// veiled.
pub fn name_in(canonical: &str) -> Option<String> {
    let value = Value::from_json(canonical).ok()?;
    value.get("metadata")?.get("name")?.as_str().map(String::from)
}

fn canonical(kind: &Kind, name: &str, value: Value) -> Arc<str> {
    let mut values = entries(value);
    values.insert("kind".into(), Value::String(kind.name.as_str().into()));
    if let Value::Map(metadata) = values.entry("metadata".into()).or_insert_with(Value::map) {
        metadata.insert("name".into(), Value::String(name.into()));
        if let Some(Value::Map(labels)) = metadata.get_mut("labels") {
            labels.retain(|key, _| !is_ignored_label(key));
        }
    }
    codec::tidy(schema::of(kind), &mut values);
    let mut value = Value::Map(values);
    (kind.normalize)(&mut value);
    value.to_json().into()
}

/// Reads a message from the server. Unknown fields are kept in `Live::wire`.
///
/// # Errors
/// Bytes that are not such a message, or one without a name.
pub fn decode(
    kind: &Kind,
    cluster: Cluster,
    wire: Bytes,
    key: &FingerprintKey,
) -> Result<Live, WireError> {
    let value = to_value(kind, &wire)?;
    let metadata = value.get("metadata");
    let text = |key| metadata.and_then(|metadata| metadata.get(key)).and_then(Value::as_str);
    let label = |key| {
        let labels = metadata.and_then(|metadata| metadata.get("labels"));
        let value = labels.and_then(|labels| labels.get(key)).and_then(Value::as_str);
        value.filter(|value| !value.is_empty()).map(String::from)
    };
    let name = text("name")
        .filter(|name| !name.is_empty())
        .ok_or_else(|| WireError::new(kind.message, "it has no name"))?
        .to_owned();
    let id = id(kind, cluster, &name, &value, key);
    let revision = text("revision").map(|revision| Revision(revision.into()));
    let owner = label(OWNER_LABEL);
    let origin = (kind.keeper)(&value).map(String::from).or_else(|| label(super::ORIGIN_LABEL));
    let readiness = (kind.readiness)(&value);
    let canonical = canonical(kind, &name, value);
    let digest = Digest::of(canonical.as_bytes());
    Ok(Live { id, revision, canonical, digest, owner, origin, readiness, wire })
}

/// Makes the message to send: the wanted fields, our ownership mark where the kind keeps labels
/// (an owner without a name has none), and, over a `base`, its revision, its server-owned labels
/// (`teleport.dev/`, `teleport.internal/`) and every field that we don't know. The same input
/// gives the same bytes.
///
/// # Errors
/// A canonical form that does not fit the message.
pub fn encode(
    kind: &Kind,
    resource: &Resource,
    base: Option<&Live>,
    owner: &str,
) -> Result<Bytes, WireError> {
    let problem = |problem: &str| WireError::new(kind.message, problem);
    let value = Value::from_json(&resource.canonical)
        .map_err(|_secret| problem("the canonical form is not JSON"))?;
    let mut values = entries(value);
    let mut labels = match base {
        // What was not kept would be lost by writing over it.
        Some(base) if base.wire.is_empty() => return Err(problem("what is there was not kept")),
        Some(base) => server_labels(kind, &base.wire)?,
        None => BTreeMap::new(),
    };
    if kind.keeps_labels && !owner.is_empty() {
        labels.insert(OWNER_LABEL.into(), Value::String(owner.into()));
    }
    if !labels.is_empty()
        && let Value::Map(metadata) = values.entry("metadata".into()).or_insert_with(Value::map)
        && let Value::Map(wanted) = metadata.entry("labels".into()).or_insert_with(Value::map)
    {
        wanted.extend(labels);
    }
    let base = base.map_or(&[][..], |base| &base.wire);
    codec::write(schema::of(kind), &values, base, Keep::Base)
        .map(Bytes::from)
        .map_err(|found| problem(&found))
}

/// The labels of a live resource that are Teleport's own.
fn server_labels(kind: &Kind, wire: &[u8]) -> Result<BTreeMap<String, Value>, WireError> {
    let mut live = entries(to_value(kind, wire)?);
    let mut metadata = live.remove("metadata").map(entries).unwrap_or_default();
    let mut labels = metadata.remove("labels").map(entries).unwrap_or_default();
    labels.retain(|key, _| is_server_label(key));
    Ok(labels)
}

/// A message as tctl shows it, with status, revision and all labels. **Secrets in clear**: show
/// it through [`mask`] only.
///
/// # Errors
/// Bytes that are not such a message.
pub fn to_value(kind: &Kind, wire: &[u8]) -> Result<Value, WireError> {
    codec::message(schema::of(kind), wire)
        .map(Value::Map)
        .map_err(|problem| WireError::new(kind.message, &problem))
}

/// The message that such a value says, server-owned fields included, without our mark.
///
/// # Errors
/// A value that does not fit the message.
pub fn from_value(kind: &Kind, value: &Value) -> Result<Bytes, WireError> {
    let problem = |problem: &str| WireError::new(kind.message, problem);
    let Value::Map(values) = value else { return Err(problem("not a mapping")) };
    codec::write(schema::of(kind), values, &[], Keep::Value)
        .map(Bytes::from)
        .map_err(|found| problem(&found))
}

/// The same value with every secret replaced by its fingerprint; the name too, where it is one
/// by what the resource says. What has an id goes through [`mask_of`].
pub fn mask(kind: &Kind, value: &Value, key: &FingerprintKey) -> Value {
    mask_named(kind, value.clone(), key, (kind.secret_name)(value))
}

/// [`mask`] for a resource whose id is known: a name that the id veils is veiled here, too.
pub fn mask_of(id: &ResourceId, kind: &Kind, value: Value, key: &FingerprintKey) -> Value {
    let secret_name = id.is_veiled() || (kind.secret_name)(&value);
    mask_named(kind, value, key, secret_name)
}

fn mask_named(kind: &Kind, mut value: Value, key: &FingerprintKey, secret_name: bool) -> Value {
    // The field list holds every name of such a kind for secret, and shows it like any secret.
    let name = if kind.name.has_secret_names() {
        value.get("metadata").and_then(|metadata| metadata.get("name")).cloned()
    } else {
        None
    };
    mask_message(schema::of(kind), &mut value, key);
    if let Some(name) = name
        && let Value::Map(fields) = &mut value
        && let Some(Value::Map(metadata)) = fields.get_mut("metadata")
    {
        let shown = match name {
            Value::String(text) if secret_name || secret::is_fingerprint(&text) => {
                Value::String(key.show_name(&text))
            }
            Value::Null
            | Value::Bool(_)
            | Value::Int(_)
            | Value::String(_)
            | Value::List(_)
            | Value::Map(_) => name,
        };
        metadata.insert("name".into(), shown);
    }
    value
}

fn mask_message(schema: &Schema, value: &mut Value, key: &FingerprintKey) {
    let Value::Map(values) = value else { return };
    for (name, value) in values {
        if let Some(field) = schema.fields.get(name) {
            mask_field(field, value, key);
        }
    }
}

fn mask_field(field: &Field, value: &mut Value, key: &FingerprintKey) {
    match (field.secret, &*value) {
        (true, Value::Null) => {}
        (true, Value::String(text)) if text.is_empty() => {}
        (true, Value::String(text)) => *value = Value::String(key.show(text)),
        (true, other) => *value = Value::String(key.show(&other.to_json())),
        (false, _) => mask_form(&field.form, value, key),
    }
}

fn mask_form(form: &Form, value: &mut Value, key: &FingerprintKey) {
    match (form, value) {
        (Form::Message(schema), value) => mask_message(schema, value, key),
        (Form::List(form), Value::List(items)) => {
            for item in items {
                mask_form(form, item, key);
            }
        }
        (Form::Map(form), Value::Map(entries)) => {
            for item in entries.values_mut() {
                mask_form(form, item, key);
            }
        }
        (_, _) => {}
    }
}

/// The entries of a map; nothing of anything else.
fn entries(value: Value) -> BTreeMap<String, Value> {
    match value {
        Value::Map(entries) => entries,
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::String(_) | Value::List(_) => {
            BTreeMap::new()
        }
    }
}
