//! Fingerprints where secrets belong: copied from our own output.

use super::Kind;
use super::schema::{self, Form, Inside, Schema};
use crate::model::{Value, secret};

/// The path of the first secret field that holds a fingerprint, `spec.token`.
pub fn fingerprint(kind: &Kind, resource: &Value) -> Option<String> {
    message(schema::of(kind), resource)
}

fn message(schema: &Schema, value: &Value) -> Option<String> {
    schema.fields.iter().find_map(|(name, field)| {
        let value = value.get(name)?;
        let inner = if field.secret { any(value) } else { form(&field.form, value) }?;
        Some(if inner.is_empty() { name.clone() } else { format!("{name}.{inner}") })
    })
}

fn form(form: &Form, value: &Value) -> Option<String> {
    match (form.inside(), value) {
        (Inside::Message(schema), value) => message(schema, value),
        (Inside::List(inner), Value::List(items)) => {
            items.iter().find_map(|item| self::form(inner, item))
        }
        (Inside::Map(inner), Value::Map(entries)) => {
            entries.values().find_map(|value| self::form(inner, value))
        }
        (Inside::Leaf | Inside::List(_) | Inside::Map(_), _) => None,
    }
}

/// Whether a fingerprint stands anywhere in a secret.
fn any(value: &Value) -> Option<String> {
    let found = match value {
        Value::String(text) => secret::is_shown(text),
        Value::List(items) => items.iter().any(|item| any(item).is_some()),
        Value::Map(entries) => entries.values().any(|value| any(value).is_some()),
        Value::Null | Value::Bool(_) | Value::Int(_) => false,
    };
    found.then(String::new)
}
