//! One form for what means the same, whatever the kind.

use std::collections::BTreeMap;

use crate::kind::schema::{Field, Form, Schema};
use crate::model::{Value, duration};

/// Drops what equals unset (nulls, empty texts, lists, maps and messages, zeros, `false` where
/// it is no choice of its own), what is not in the field list and what the server owns, writes
/// words, durations and times in their one form, and sorts lists without an order.
///
/// Items of lists and entries of maps stay even when they are empty: their presence says
/// something.
pub(in crate::kind) fn tidy(schema: &Schema, values: &mut BTreeMap<String, Value>) {
    values.retain(|name, value| match schema.fields.get(name) {
        Some(field) => !field.server_owned && keep(field, value),
        None => false,
    });
}

fn keep(field: &Field, value: &mut Value) -> bool {
    settle(&field.form, value);
    if field.unordered
        && let Value::List(items) = value
    {
        items.sort();
    }
    !is_unset(&field.form, value)
}

fn is_unset(form: &Form, value: &Value) -> bool {
    match (form, value) {
        (Form::BoolOption, Value::Bool(_)) => false,
        (Form::Duration | Form::DurationMessage, Value::String(text)) => {
            text.is_empty() || text == "0s"
        }
        (Form::Enum(words), Value::String(text)) => {
            text.is_empty() || words.iter().any(|(word, number)| word == text && *number == 0)
        }
        (_, Value::Null) => true,
        (_, Value::Bool(value)) => !value,
        (_, Value::Int(value)) => *value == 0,
        (_, Value::String(text)) => text.is_empty(),
        (_, Value::List(items)) => items.is_empty(),
        (_, Value::Map(entries)) => entries.is_empty(),
    }
}

/// Brings a value to its one form in place. What does not fit stays as it is; writing the
/// message reports it.
fn settle(form: &Form, value: &mut Value) {
    match form {
        Form::Message(schema) => match value {
            Value::Map(values) => tidy(schema, values),
            Value::Null | Value::Bool(_) | Value::Int(_) | Value::String(_) | Value::List(_) => {}
        },
        Form::List(item) => {
            if let Value::List(items) = value {
                for value in items {
                    settle_item(item, value);
                }
            }
        }
        Form::Map(item) => {
            if let Value::Map(entries) = value {
                for value in entries.values_mut() {
                    settle_item(item, value);
                }
            }
        }
        Form::Labels => {
            if let Value::Map(labels) = value {
                labels.values_mut().for_each(settle_label);
            }
        }
        Form::Traits => {
            if let Value::Map(traits) = value {
                for values in traits.values_mut() {
                    if *values == Value::Null {
                        *values = Value::List(Vec::new());
                    }
                }
            }
        }
        Form::Duration | Form::DurationMessage => {
            if let Some(Ok(nanoseconds)) = value.as_str().map(duration::parse) {
                *value = Value::String(duration::show(nanoseconds));
            }
        }
        Form::Timestamp => {
            if let Some(Ok(at)) = value.as_str().map(str::parse::<jiff::Timestamp>) {
                let set = at.as_second() > 0;
                *value = if set { Value::String(at.to_string()) } else { Value::Null };
            }
        }
        Form::Enum(words) => {
            if let Some(word) = shown_word(words, value) {
                *value = Value::String(word.into());
            }
        }
        Form::Bytes => {
            if let Value::String(text) = value {
                text.retain(|c| !c.is_ascii_whitespace());
            }
        }
        Form::Text | Form::Bool | Form::BoolWord | Form::BoolOption | Form::Int { .. } => {}
    }
}

/// An item is there, even when it says nothing.
fn settle_item(form: &Form, value: &mut Value) {
    if *value == Value::Null {
        *value = form.nothing();
    }
    settle(form, value);
}

/// One value or a list of one are the same; the order of several means nothing (any of them
/// may match).
fn settle_label(value: &mut Value) {
    match value {
        Value::Null => *value = Value::String(String::new()),
        Value::List(items) if items.len() == 1 => {
            if let Some(only) = items.pop() {
                *value = only;
            }
        }
        Value::List(items) => items.sort(),
        Value::Bool(_) | Value::Int(_) | Value::String(_) | Value::Map(_) => {}
    }
}

/// The first word of the number that a word (or a plain boolean) stands for.
fn shown_word<'a>(words: &'a [(String, i32)], value: &Value) -> Option<&'a str> {
    let text = match value {
        Value::String(text) => text.as_str(),
        Value::Bool(true) => "true",
        Value::Bool(false) => "false",
        Value::Null | Value::Int(_) | Value::List(_) | Value::Map(_) => return None,
    };
    let (_, number) = words.iter().find(|(word, _)| word == text)?;
    words.iter().find(|(_, other)| other == number).map(|(word, _)| word.as_str())
}
