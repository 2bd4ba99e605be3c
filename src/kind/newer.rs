//! Fields that a server is known not to have: it drops them without a word.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use super::schema::{self, Form, Inside, Schema};
use super::{KINDS, Kind};
use crate::model::{FieldPath, KindName, Release, Value};

/// What a resource says that a server of that version drops, in the order of its paths.
///
/// Reads nothing but texts that may hold such a field: most never do.
pub fn lacking(kind: &Kind, canonical: &str, server: Release) -> Vec<FieldPath> {
    static LACKED: LazyLock<BTreeMap<KindName, Lacked>> =
        LazyLock::new(|| KINDS.iter().map(|kind| (kind.name, Lacked::of(kind))).collect());
    let mut found = Vec::new();
    if LACKED.get(&kind.name).is_some_and(|it| it.may_be_in(canonical, server))
        && let Ok(value) = Value::from_json(canonical)
    {
        message(schema::of(kind), &value, server, &FieldPath::default(), &mut found);
    }
    found
}

/// The keys, as they stand in canonical text, that servers are known not to have, with the newest
/// server without them.
struct Lacked(BTreeMap<String, Release>);

impl Lacked {
    fn of(kind: &Kind) -> Self {
        let mut lacked = Self(BTreeMap::new());
        lacked.add(schema::of(kind));
        lacked
    }

    fn add(&mut self, schema: &Schema) {
        for (name, field) in &schema.fields {
            if let Some(last) = field.lacked_by {
                let newest = self.0.entry(format!("\"{name}\":")).or_insert(last);
                *newest = last.max(*newest);
            }
            if let Some(inner) = inside(&field.form) {
                self.add(inner);
            }
        }
    }

    fn may_be_in(&self, canonical: &str, server: Release) -> bool {
        self.0.iter().any(|(key, last)| server <= *last && canonical.contains(key.as_str()))
    }
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
