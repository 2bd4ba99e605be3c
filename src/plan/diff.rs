//! Differences of two canonical forms, and how a person would write them.
//!
//! Masks every secret as it compares: what leaves this file holds fingerprints.

use std::collections::BTreeSet;

use serde::{Serialize, Serializer};
use similar::algorithms::{Capture, Compact, Replace, myers};
use similar::group_diff_ops;
use similar::udiff::UnifiedHunkHeader;

use super::FieldChange;
use crate::kind::schema::{self, Form, Inside, Schema};
use crate::kind::{Kind, OWNER_LABEL, canonical};
use crate::model::{FieldPath, FingerprintKey, ResourceId, Value};

/// Where two resources of a kind differ, in the order of their paths.
pub fn changes(
    kind: &Kind,
    before: &Value,
    after: &Value,
    key: &FingerprintKey,
) -> Vec<FieldChange> {
    let mut walk = Walk { key, out: Vec::new() };
    let at =
        At { path: FieldPath::default(), shape: Shape::Fields(schema::of(kind)), secret: false };
    walk.value(&at, Some(before), Some(after));
    walk.out
}

/// The change that sets our ownership mark; it is no part of the canonical form.
pub fn mark_change(before: Option<&str>, agent: &str) -> FieldChange {
    FieldChange {
        path: FieldPath::default().key("metadata").key("labels").key(OWNER_LABEL),
        before: before.map(|owner| Value::String(owner.to_owned())),
        after: Some(Value::String(agent.to_owned())),
        secret: false,
    }
}

/// What the field list says about a value.
#[derive(Clone, Copy)]
enum Shape<'a> {
    /// A message.
    Fields(&'a Schema),
    /// One form.
    Form(&'a Form),
    /// Nothing: not in the list.
    Unknown,
}

impl<'a> Shape<'a> {
    fn of(form: &'a Form) -> Self {
        match form.inside() {
            Inside::Message(fields) => Self::Fields(fields),
            Inside::Leaf | Inside::List(_) | Inside::Map(_) => Self::Form(form),
        }
    }

    /// The shape of an entry, and whether it is secret.
    fn entry(self, name: &str) -> (Self, bool) {
        match self {
            Self::Fields(fields) => match fields.fields.get(name) {
                Some(field) => (Self::of(&field.form), field.secret),
                None => (Self::Unknown, false),
            },
            Self::Form(Form::Map(inner)) => (Self::of(inner), false),
            Self::Form(_) | Self::Unknown => (Self::Unknown, false),
        }
    }

    /// The shape of a list's items.
    fn item(self) -> Self {
        match self {
            Self::Form(Form::List(inner)) => Self::of(inner),
            Self::Fields(_) | Self::Form(_) | Self::Unknown => Self::Unknown,
        }
    }
}

struct At<'a> {
    path: FieldPath,
    shape: Shape<'a>,
    secret: bool,
}

struct Walk<'a> {
    key: &'a FingerprintKey,
    out: Vec<FieldChange>,
}

impl Walk<'_> {
    fn value(&mut self, at: &At<'_>, before: Option<&Value>, after: Option<&Value>) {
        if before == after {
            return;
        }
        match (before, after) {
            (Some(Value::Map(before)), Some(Value::Map(after))) => {
                let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
                for name in names {
                    let (shape, secret) = at.shape.entry(name);
                    let inner = At { path: at.path.key(name), shape, secret: at.secret || secret };
                    self.value(&inner, before.get(name), after.get(name));
                }
            }
            (Some(Value::List(before)), Some(Value::List(after))) => self.list(at, before, after),
            (before, after) => self.leaf(at, before, after),
        }
    }

    /// Items at both ends that are equal don't count, so that one item more in the middle is
    /// one change.
    fn list(&mut self, at: &At<'_>, before: &[Value], after: &[Value]) {
        let front = before.iter().zip(after).take_while(|(a, b)| a == b).count();
        let shorter = before.len().min(after.len()).saturating_sub(front);
        let ends = before.iter().rev().zip(after.iter().rev());
        let back = ends.take(shorter).take_while(|(a, b)| a == b).count();
        for index in front..before.len().max(after.len()).saturating_sub(back) {
            let side = |list: &[Value]| index < list.len().saturating_sub(back);
            let inner =
                At { path: at.path.index(index), shape: at.shape.item(), secret: at.secret };
            let old = before.get(index).filter(|_| side(before));
            let new = after.get(index).filter(|_| side(after));
            self.value(&inner, old, new);
        }
    }

    fn leaf(&mut self, at: &At<'_>, before: Option<&Value>, after: Option<&Value>) {
        let show = |value: &Value| self.masked(at.shape, at.secret, value);
        let change = FieldChange {
            path: at.path.clone(),
            before: before.map(show),
            after: after.map(show),
            secret: at.secret,
        };
        self.out.push(change);
    }

    /// A whole subtree may come or go at once, with secrets anywhere in it.
    fn masked(&self, shape: Shape<'_>, secret: bool, value: &Value) -> Value {
        match value {
            Value::Map(entries) if !secret => Value::Map(
                entries
                    .iter()
                    .map(|(name, value)| {
                        let (shape, secret) = shape.entry(name);
                        (name.clone(), self.masked(shape, secret, value))
                    })
                    .collect(),
            ),
            Value::List(items) if !secret => Value::List(
                items.iter().map(|item| self.masked(shape.item(), false, item)).collect(),
            ),
            Value::Null => Value::Null,
            Value::String(text) if text.is_empty() => value.clone(),
            Value::String(text) if secret => Value::String(self.key.show(text)),
            value if secret => Value::String(self.key.show(&value.to_json())),
            Value::Bool(_) | Value::Int(_) | Value::String(_) | Value::List(_) | Value::Map(_) => {
                value.clone()
            }
        }
    }
}

/// The YAML a person would write for a canonical form, secrets as fingerprints.
pub fn yaml_of(id: &ResourceId, kind: &Kind, canonical: &str, key: &FingerprintKey) -> String {
    let value = Value::from_json(canonical).unwrap_or(Value::Null);
    yaml(&canonical::mask_of(id, kind, value, key))
}

/// YAML of a value that holds no secret, with the keys in the order in which people write them.
pub fn yaml(value: &Value) -> String {
    let written = serde_saphyr::to_string(&Ordered { value, first: FIRST });
    written.unwrap_or_else(|_| value.to_json())
}

/// Unified diff of two texts without file names; empty when they are equal.
pub fn unified(before: &str, after: &str) -> String {
    let old: Vec<&str> = before.split_inclusive('\n').collect();
    let new: Vec<&str> = after.split_inclusive('\n').collect();
    // Named, because a choice at run time brings every other algorithm into the program.
    let mut hook = Compact::new(Replace::new(Capture::new()), &old, &new);
    let Ok(()) = myers::diff(&mut hook, &old, 0..old.len(), &new, 0..new.len());
    let mut out = String::new();
    for hunk in group_diff_ops(hook.into_inner().into_inner().into_ops(), CONTEXT_LINES) {
        out.extend([UnifiedHunkHeader::new(&hunk).to_string().as_str(), "\n"]);
        for change in hunk.iter().flat_map(|op| op.iter_changes(&old, &new)) {
            let end = if change.value().ends_with('\n') { "" } else { "\n" };
            out.extend([change.tag().to_string().as_str(), change.value(), end]);
        }
    }
    out
}

/// Lines around a difference; what `diff -u` shows.
const CONTEXT_LINES: usize = 3;

/// Keys of a resource that come before the others.
const FIRST: &[&str] = &["kind", "sub_kind", "version", "metadata", "spec"];

/// Keys of `metadata`, and of what has a name, that come before the others.
const FIRST_INSIDE: &[&str] = &["name", "description"];

/// A value whose maps are written with some keys first.
struct Ordered<'a> {
    value: &'a Value,
    first: &'static [&'static str],
}

impl Serialize for Ordered<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let inside = |value| Ordered { value, first: FIRST_INSIDE };
        match self.value {
            Value::Null => serializer.serialize_unit(),
            Value::Bool(value) => serializer.serialize_bool(*value),
            Value::Int(value) => serializer.serialize_i64(*value),
            Value::String(text) => serializer.serialize_str(text),
            Value::List(items) => serializer.collect_seq(items.iter().map(inside)),
            Value::Map(entries) => {
                let early = self.first.iter().filter_map(|name| entries.get_key_value(*name));
                let late = entries.iter().filter(|(name, _)| !self.first.contains(&name.as_str()));
                serializer.collect_map(early.chain(late).map(|(name, value)| (name, inside(value))))
            }
        }
    }
}
