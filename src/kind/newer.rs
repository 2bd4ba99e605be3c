//! Fields that a server is known not to have: it drops them without a word.

use std::sync::LazyLock;

use super::schema::{self, Field, Form, Inside, Schema};
use super::{KINDS, Kind};
use crate::model::{FieldPath, Release, Value};

/// What a resource says that a server of that version drops, in the order of its paths.
///
/// Costs nothing where the server has every field that we know.
pub fn lacking(kind: &Kind, canonical: &str, server: Release) -> Vec<FieldPath> {
    static LAST: LazyLock<Option<Release>> =
        LazyLock::new(|| KINDS.iter().filter_map(|kind| last(schema::of(kind))).max());
    if LAST.is_none_or(|last| server > last) {
        return Vec::new();
    }
    let mut found = Vec::new();
    if let Ok(value) = Value::from_json(canonical) {
        message(schema::of(kind), &value, server, &FieldPath::default(), &mut found);
    }
    found
}

/// The newest server that lacks any of these fields.
fn last(schema: &Schema) -> Option<Release> {
    let of = |field: &Field| field.lacked_by.max(inside(&field.form).and_then(last));
    schema.fields.values().filter_map(of).max()
}

/// The field list somewhere inside a form.
fn inside(form: &Form) -> Option<&Schema> {
    match form.inside() {
        Inside::Message(schema) => Some(schema),
        Inside::List(inner) | Inside::Map(inner) => inside(inner),
        Inside::Leaf => None,
    }
}

fn message(
    schema: &Schema,
    value: &Value,
    server: Release,
    at: &FieldPath,
    found: &mut Vec<FieldPath>,
) {
    let Value::Map(values) = value else { return };
    for (name, value) in values {
        let Some(field) = schema.fields.get(name) else { continue };
        let at = at.key(name);
        if field.lacked_by.is_some_and(|last| server <= last) {
            found.push(at);
        } else {
            form(&field.form, value, server, &at, found);
        }
    }
}

fn form(form: &Form, value: &Value, server: Release, at: &FieldPath, found: &mut Vec<FieldPath>) {
    match (form.inside(), value) {
        (Inside::Message(schema), value) => message(schema, value, server, at, found),
        (Inside::List(inner), Value::List(items)) => {
            for (index, item) in items.iter().enumerate() {
                self::form(inner, item, server, &at.index(index), found);
            }
        }
        (Inside::Map(inner), Value::Map(entries)) => {
            for (name, entry) in entries {
                self::form(inner, entry, server, &at.key(name), found);
            }
        }
        (Inside::Leaf | Inside::List(_) | Inside::Map(_), _) => {}
    }
}
