//! A document's tree against the field list of its kind.
//!
//! Gives the value in the form of [`crate::model::Value`] and a finding for everything that
//! tctl refuses, and for what it would silently drop.

use std::fmt;

use super::codes;
use super::scalar_check::{self, At};
use super::suggest::nearest;
use crate::kind::schema::{Field, Form, Schema};
use crate::model::tree::NodeValue;
use crate::model::{Findings, Node, Scalar, Severity, Value};

/// Where a field stands, outermost first when shown. Put together only for a finding: nearly all
/// fields are right.
struct Path<'a> {
    outer: Option<&'a Path<'a>>,
    name: &'a str,
}

impl<'a> Path<'a> {
    fn is_root(&self) -> bool {
        self.outer.is_none() && self.name.is_empty()
    }

    fn field(&'a self, name: &'a str) -> Self {
        Path { outer: (!self.is_root()).then_some(self), name }
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(outer) = self.outer {
            write!(f, "{outer}.")?;
        }
        f.write_str(&scalar_check::short(self.name))
    }
}

/// Reads a whole document. Fields that the server owns are left out, with a note; what is
/// wrong is left out, with an error.
pub fn document(root: &Node, schema: &Schema, findings: &mut Findings<'_>) -> Value {
    message(root, schema, &Path { outer: None, name: "" }, findings)
}

fn message(node: &Node, schema: &Schema, path: &Path<'_>, findings: &mut Findings<'_>) -> Value {
    let NodeValue::Map(entries) = &node.value else {
        if !node.is_null() {
            let at = At { node, name: path.name, secret: false };
            at.wrong(
                "a mapping of fields",
                "write its fields below it, each as `field: value`",
                findings,
            );
        }
        return Value::map();
    };
    let mut out = std::collections::BTreeMap::new();
    for (key, value) in entries {
        let Some(name) = key.text() else { continue };
        let Some(field) = schema.fields.get(name) else {
            let inner = path.field(name).to_string();
            if PASTED.contains(&inner.as_str()) {
                server_owned(key, value, &inner, findings);
                continue;
            }
            unknown_field(key, name, schema, path, findings);
            continue;
        };
        let inner = path.field(name);
        if field.server_owned {
            server_owned(key, value, &inner.to_string(), findings);
            continue;
        }
        if let Some(read) = read(value, field, &inner, findings) {
            out.insert(name.to_owned(), read);
        }
    }
    Value::Map(out)
}

/// Fields that `tctl get` prints or printed, which no field list has for every kind.
const PASTED: &[&str] = &["metadata.id", "metadata.revision", "metadata.namespace", "status"];

fn server_owned(key: &Node, value: &Node, path: &str, findings: &mut Findings<'_>) {
    if !value.is_null() {
        let message = format!("`{path}` is set by the server and ignored here");
        findings.add(
            Severity::Note,
            codes::SERVER_OWNED,
            &key.span,
            message,
            Some("you can remove it"),
        );
    }
}

/// A field's value; nothing where it is unset or wrong.
fn read(node: &Node, field: &Field, path: &Path<'_>, findings: &mut Findings<'_>) -> Option<Value> {
    if node.is_null() {
        return None;
    }
    form(node, &field.form, field.secret, path, findings)
}

/// What an entry or an item means that was written as nothing.
fn empty(form: &Form) -> Option<Value> {
    match form {
        Form::Text | Form::Bytes => Some(Value::String(String::new())),
        Form::Bool | Form::BoolWord => Some(Value::Bool(false)),
        Form::Int { .. } => Some(Value::Int(0)),
        Form::List(_) => Some(Value::List(Vec::new())),
        Form::Map(_) | Form::Message(_) | Form::Labels | Form::Traits => Some(Value::map()),
        Form::BoolOption
        | Form::Duration
        | Form::DurationMessage
        | Form::Timestamp
        | Form::Enum(_) => None,
    }
}

fn form(
    node: &Node,
    form: &Form,
    secret: bool,
    path: &Path<'_>,
    findings: &mut Findings<'_>,
) -> Option<Value> {
    let at = At { node, name: path.name, secret };
    match form {
        Form::Text => at.text(findings).map(Value::String),
        Form::Bool => at.boolean(findings).map(Value::Bool),
        Form::BoolWord | Form::BoolOption => at.boolean_word(findings).map(Value::Bool),
        Form::Int { min, max } => at.integer(*min, *max, findings).map(Value::Int),
        Form::Bytes => at.bytes(findings).map(Value::String),
        Form::Duration | Form::DurationMessage => at.duration(findings).map(Value::String),
        Form::Timestamp => at.timestamp(findings).map(Value::String),
        Form::Enum(words) => at.word(words, findings).map(Value::String),
        Form::Labels => {
            entries(&at, findings, |name, value, findings| labels(value, name, findings))
        }
        Form::Traits => entries(&at, findings, |name, value, findings| {
            if value.is_null() {
                return Some(Value::List(Vec::new()));
            }
            items(value, &Form::Text, false, &Path { outer: None, name }, findings)
        }),
        Form::List(inner) => items(node, inner, secret, path, findings),
        Form::Map(inner) => entries(&at, findings, |name, value, findings| {
            let path = path.field(name);
            if value.is_null() {
                empty(inner)
            } else {
                self::form(value, inner, secret, &path, findings)
            }
        }),
        Form::Message(schema) => Some(message(node, schema, path, findings)),
    }
}

/// Label values: one text or several.
fn labels(node: &Node, name: &str, findings: &mut Findings<'_>) -> Option<Value> {
    match &node.value {
        NodeValue::List(values) => {
            let read = items(node, &Form::Text, false, &Path { outer: None, name }, findings)?;
            // One value in a list is that value.
            match read {
                Value::List(mut read) if values.len() == 1 => read.pop(),
                Value::Null
                | Value::Bool(_)
                | Value::Int(_)
                | Value::String(_)
                | Value::List(_)
                | Value::Map(_) => Some(read),
            }
        }
        NodeValue::Scalar { scalar: Scalar::Null, .. } => Some(Value::String(String::new())),
        NodeValue::Scalar { .. } => {
            At { node, name, secret: false }.text(findings).map(Value::String)
        }
        NodeValue::Map(_) => {
            let at = At { node, name, secret: false };
            at.wrong("text or a list of text", "write one value, or `[one, another]`", findings);
            None
        }
    }
}

fn items(
    node: &Node,
    inner: &Form,
    secret: bool,
    path: &Path<'_>,
    findings: &mut Findings<'_>,
) -> Option<Value> {
    let NodeValue::List(items) = &node.value else {
        let at = At { node, name: path.name, secret };
        at.wrong("a list", &scalar_check::as_list_hint(&at), findings);
        return None;
    };
    let read = |item: &Node, findings: &mut Findings<'_>| {
        if item.is_null() { empty(inner) } else { form(item, inner, secret, path, findings) }
    };
    Some(Value::List(items.iter().filter_map(|item| read(item, findings)).collect()))
}

fn entries(
    at: &At<'_>,
    findings: &mut Findings<'_>,
    mut read: impl FnMut(&str, &Node, &mut Findings<'_>) -> Option<Value>,
) -> Option<Value> {
    let NodeValue::Map(entries) = &at.node.value else {
        at.wrong("a mapping", "write its entries below it, each as `key: value`", findings);
        return None;
    };
    let mut out = std::collections::BTreeMap::new();
    for (key, value) in entries {
        let Some(name) = key.text() else { continue };
        if let Some(value) = read(name, value, findings) {
            out.insert(name.to_owned(), value);
        }
    }
    Some(Value::Map(out))
}

fn unknown_field(
    key: &Node,
    name: &str,
    schema: &Schema,
    path: &Path<'_>,
    findings: &mut Findings<'_>,
) {
    let place = if path.is_root() { String::new() } else { format!(" in `{path}`") };
    let message = format!("there is no field `{name}`{place}");
    let ours = schema.fields.iter().filter(|(_, field)| !field.server_owned);
    let known: Vec<&str> = ours.map(|(name, _)| name.as_str()).collect();
    let hint = match nearest(name, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None if known.is_empty() => "remove it".into(),
        None => format!("known fields: {}", list(&known)),
    };
    findings.add(Severity::Error, codes::UNKNOWN_FIELD, &key.span, message, Some(&hint));
}

/// Most words that a hint lists.
const LISTED_MAX: usize = 12;

/// `` `a`, `b`, `c` ``, cut when it gets long.
pub(super) fn list(words: &[&str]) -> String {
    let shown: Vec<String> =
        words.iter().take(LISTED_MAX).map(|word| format!("`{word}`")).collect();
    let more = if words.len() > LISTED_MAX { ", …" } else { "" };
    format!("{}{more}", shown.join(", "))
}
