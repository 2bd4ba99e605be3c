//! From values to bytes.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use prost::encoding::{WireType, encode_key, encode_varint};

use super::Problem;
use super::read::{NANOS_PER_SECOND, Raw, RawValue, fields, message};
use super::tidy::tidy;
use crate::kind::schema::{Field, Form, Schema};
use crate::model::{Value, duration};

/// What becomes of the fields that the server owns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::kind) enum Keep {
    /// They stay as they are in the base; values for them are passed over.
    Base,
    /// They are written like any other.
    Value,
}

/// Writes a message: the values by field number, then what the base has and we don't know or
/// don't own, as it came. Known fields without a value are left out. The same input gives the
/// same bytes.
pub(in crate::kind) fn write(
    schema: &Schema,
    values: &BTreeMap<String, Value>,
    base: &[u8],
    keep: Keep,
) -> Result<Vec<u8>, Problem> {
    if let Some(name) = values.keys().find(|name| !schema.fields.contains_key(*name)) {
        return Err(format!("{} has no field `{name}`", schema.message));
    }
    let mut known: BTreeMap<u32, Vec<&[u8]>> = BTreeMap::new();
    let mut kept = Vec::new();
    for raw in fields(base) {
        let Raw { number, value, bytes } = raw?;
        let ours = schema.numbered(number).is_some_and(|(_, field)| owned(field, keep));
        match (ours, value) {
            (false, _) => kept.extend_from_slice(bytes),
            (true, RawValue::Bytes(inner)) => known.entry(number).or_default().push(inner),
            (true, RawValue::Varint(_) | RawValue::Other) => {}
        }
    }
    let mut out = Vec::new();
    for (name, field) in schema.in_order().filter(|(_, field)| owned(field, keep)) {
        let value = values.get(name).unwrap_or(&Value::Null);
        let bases = known.get(&field.number).map_or(&[][..], |bases| &bases[..]);
        field_into(&mut out, field, value, bases, keep)
            .map_err(|problem| format!("{name}: {problem}"))?;
    }
    out.extend_from_slice(&kept);
    Ok(out)
}

fn owned(field: &Field, keep: Keep) -> bool {
    match keep {
        Keep::Base => !field.server_owned,
        Keep::Value => true,
    }
}

fn field_into(
    out: &mut Vec<u8>,
    field: &Field,
    value: &Value,
    bases: &[&[u8]],
    keep: Keep,
) -> Result<(), Problem> {
    match (&field.form, value) {
        // Unset, but an unknown field inside survives.
        (Form::Message(schema), Value::Null) => {
            let inner = write(schema, &BTreeMap::new(), &bases.concat(), keep)?;
            if !inner.is_empty() {
                put_bytes(out, field.number, &inner);
            }
        }
        (Form::Message(schema), Value::Map(values)) => {
            put_bytes(out, field.number, &write(schema, values, &bases.concat(), keep)?);
        }
        (_, Value::Null) => {}
        (Form::List(item), Value::List(items)) => {
            list_into(out, field.number, item, items, bases, keep)?;
        }
        (Form::Map(item), Value::Map(entries)) => {
            for (key, value) in entries {
                let base = base_of_entry(key, bases)?;
                put_bytes(out, field.number, &entry(key, item, value, base, keep)?);
            }
        }
        (form, value) => {
            if !is_zero(form, value) {
                single_into(out, field.number, form, value)?;
            }
        }
    }
    Ok(())
}

/// Items that say the same as one in the base keep what we don't know of it; in a list of the
/// same length the others keep it by position.
fn list_into(
    out: &mut Vec<u8>,
    number: u32,
    form: &Form,
    items: &[Value],
    bases: &[&[u8]],
    keep: Keep,
) -> Result<(), Problem> {
    let Form::Message(schema) = form else {
        for item in items {
            single_into(out, number, form, item)?;
        }
        return Ok(());
    };
    let mut free: Vec<Option<(&[u8], Value)>> = bases
        .iter()
        .map(|base| {
            let mut values = message(schema, base)?;
            tidy(schema, &mut values);
            Ok(Some((*base, Value::Map(values))))
        })
        .collect::<Result<_, Problem>>()?;
    let mut chosen: Vec<Option<&[u8]>> = vec![None; items.len()];
    for (item, base) in items.iter().zip(&mut chosen) {
        let same = free.iter_mut().find(|slot| matches!(slot, Some((_, value)) if value == item));
        *base = same.and_then(Option::take).map(|(base, _)| base);
    }
    let by_position = items.len() == bases.len();
    for (index, (item, base)) in items.iter().zip(chosen).enumerate() {
        let base = base.or_else(|| {
            let slot = free.get_mut(index).filter(|_| by_position)?;
            slot.take().map(|(base, _)| base)
        });
        let Value::Map(values) = item else { return Err("an item is not a mapping".into()) };
        put_bytes(out, number, &write(schema, values, base.unwrap_or_default(), keep)?);
    }
    Ok(())
}

/// The value of a map's entry in the base.
fn base_of_entry<'a>(wanted: &str, bases: &[&'a [u8]]) -> Result<&'a [u8], Problem> {
    let mut found: &[u8] = &[];
    for entry in bases {
        let mut key: &[u8] = &[];
        let mut value: &[u8] = &[];
        for raw in fields(entry) {
            let raw = raw?;
            match (raw.number, raw.value) {
                (1, RawValue::Bytes(bytes)) => key = bytes,
                (2, RawValue::Bytes(bytes)) => value = bytes,
                _ => {}
            }
        }
        if key == wanted.as_bytes() {
            found = value;
        }
    }
    Ok(found)
}

fn entry(
    key: &str,
    form: &Form,
    value: &Value,
    base: &[u8],
    keep: Keep,
) -> Result<Vec<u8>, Problem> {
    let mut out = Vec::new();
    put_bytes(&mut out, 1, key.as_bytes());
    match (form, value) {
        (Form::Message(schema), Value::Map(values)) => {
            put_bytes(&mut out, 2, &write(schema, values, base, keep)?);
        }
        (Form::Message(schema), Value::Null) => {
            put_bytes(&mut out, 2, &write(schema, &BTreeMap::new(), base, keep)?);
        }
        (_, Value::Null) => put_bytes(&mut out, 2, b""),
        (form, value) => {
            single_into(&mut out, 2, form, value).map_err(|problem| format!("{key}: {problem}"))?;
        }
    }
    Ok(out)
}

/// What proto3 leaves out.
fn is_zero(form: &Form, value: &Value) -> bool {
    match (form, value) {
        // Set, whatever it says.
        (Form::BoolOption, _) | (_, Value::Null | Value::List(_) | Value::Map(_)) => false,
        (_, Value::Bool(value)) => !value,
        (_, Value::Int(value)) => *value == 0,
        (_, Value::String(text)) => text.is_empty(),
    }
}

fn single_into(out: &mut Vec<u8>, number: u32, form: &Form, value: &Value) -> Result<(), Problem> {
    match (form, value) {
        (Form::Text, Value::String(text)) => put_bytes(out, number, text.as_bytes()),
        (Form::Bool | Form::BoolWord, Value::Bool(value)) => {
            put_varint(out, number, u64::from(*value));
        }
        (Form::BoolOption, Value::Bool(value)) => {
            let mut inner = Vec::new();
            if *value {
                put_varint(&mut inner, 1, 1);
            }
            put_bytes(out, number, &inner);
        }
        (Form::Int { min, max }, Value::Int(value)) if (min..=max).contains(&value) => {
            put_varint(out, number, value.cast_unsigned());
        }
        (Form::Bytes, Value::String(text)) => {
            let text: String = text.split_ascii_whitespace().collect();
            let bytes = STANDARD.decode(text).map_err(|_secret| "not standard base64")?;
            put_bytes(out, number, &bytes);
        }
        (Form::Duration, Value::String(text)) => {
            put_varint(out, number, duration::parse(text)?.cast_unsigned());
        }
        (Form::DurationMessage, Value::String(text)) => {
            let total = duration::parse(text)?;
            let (seconds, nanos) = (total / NANOS_PER_SECOND, total % NANOS_PER_SECOND);
            put_bytes(out, number, &seconds_and_nanos(seconds, nanos));
        }
        (Form::Timestamp, Value::String(text)) => {
            let at: jiff::Timestamp =
                text.parse().map_err(|error: jiff::Error| error.to_string())?;
            let nanos = i64::from(at.subsec_nanosecond());
            put_bytes(out, number, &seconds_and_nanos(at.as_second(), nanos));
        }
        (Form::Enum(words), value) => put_varint(out, number, enum_number(words, value)?),
        (Form::Labels | Form::Traits, Value::Map(labels)) => {
            put_bytes(out, number, &label_values(labels)?);
        }
        (Form::Message(schema), Value::Map(values)) => {
            put_bytes(out, number, &write(schema, values, &[], Keep::Value)?);
        }
        _ => return Err("a value of another type was expected".into()),
    }
    Ok(())
}

/// A word, or the number of one that we don't know.
fn enum_number(words: &[(String, i32)], value: &Value) -> Result<u64, Problem> {
    let number = match value {
        Value::String(text) => words
            .iter()
            .find_map(|(word, number)| (word == text).then_some(i64::from(*number)))
            .or_else(|| text.parse().ok()),
        Value::Bool(value) => {
            let text = if *value { "true" } else { "false" };
            words.iter().find_map(|(word, number)| (word == text).then_some(i64::from(*number)))
        }
        Value::Int(number) => Some(*number),
        Value::Null | Value::List(_) | Value::Map(_) => None,
    };
    number.map(i64::cast_unsigned).ok_or_else(|| "not one of its words".into())
}

fn label_values(labels: &BTreeMap<String, Value>) -> Result<Vec<u8>, Problem> {
    let mut out = Vec::new();
    for (key, value) in labels {
        let mut values = Vec::new();
        let items = match value {
            Value::List(items) => &items[..],
            Value::Null => &[],
            Value::Bool(_) | Value::Int(_) | Value::String(_) | Value::Map(_) => {
                std::slice::from_ref(value)
            }
        };
        for item in items {
            let text = item.as_str().ok_or_else(|| format!("{key}: a value is not text"))?;
            put_bytes(&mut values, 1, text.as_bytes());
        }
        let mut entry = Vec::new();
        put_bytes(&mut entry, 1, key.as_bytes());
        put_bytes(&mut entry, 2, &values);
        put_bytes(&mut out, 1, &entry);
    }
    Ok(out)
}

/// The content of a `google.protobuf.Timestamp` or `Duration`.
fn seconds_and_nanos(seconds: i64, nanos: i64) -> Vec<u8> {
    let mut out = Vec::new();
    for (number, part) in [(1, seconds), (2, nanos)] {
        if part != 0 {
            put_varint(&mut out, number, part.cast_unsigned());
        }
    }
    out
}

fn put_varint(out: &mut Vec<u8>, number: u32, value: u64) {
    encode_key(number, WireType::Varint, out);
    encode_varint(value, out);
}

fn put_bytes(out: &mut Vec<u8>, number: u32, bytes: &[u8]) {
    encode_key(number, WireType::LengthDelimited, out);
    encode_varint(u64::try_from(bytes.len()).unwrap_or(u64::MAX), out);
    out.extend_from_slice(bytes);
}
