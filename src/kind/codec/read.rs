//! From bytes to values.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};

use super::Problem;
use crate::kind::schema::{Field, Form, Inside, Schema};
use crate::model::{Value, duration};

/// One field as it stands in a message.
#[derive(Debug, Clone, Copy)]
pub(in crate::kind) struct Raw<'a> {
    /// Field number.
    pub(in crate::kind) number: u32,
    /// What it holds.
    pub(in crate::kind) value: RawValue<'a>,
    /// Key and value, to be copied unread.
    pub(in crate::kind) bytes: &'a [u8],
}

/// The value of a field, before its form is known.
#[derive(Debug, Clone, Copy)]
pub(in crate::kind) enum RawValue<'a> {
    /// Numbers, booleans, enums.
    Varint(u64),
    /// Texts, bytes, messages, map entries.
    Bytes(&'a [u8]),
    /// None of our forms.
    Other,
}

/// The fields of a message in the order in which they arrived.
pub(in crate::kind) fn fields(mut rest: &[u8]) -> impl Iterator<Item = Result<Raw<'_>, Problem>> {
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let field = next(&mut rest);
        if field.is_err() {
            rest = &[];
        }
        Some(field)
    })
}

fn next<'a>(rest: &mut &'a [u8]) -> Result<Raw<'a>, Problem> {
    let whole = *rest;
    let broken = |error: prost::DecodeError| error.to_string();
    let (number, wire) = decode_key(rest).map_err(broken)?;
    let value = match wire {
        WireType::Varint => RawValue::Varint(decode_varint(rest).map_err(broken)?),
        WireType::LengthDelimited => {
            let length = decode_varint(rest).map_err(broken)?;
            let split =
                usize::try_from(length).ok().and_then(|length| rest.split_at_checked(length));
            let (bytes, after) = split.ok_or("a field is longer than its message")?;
            *rest = after;
            RawValue::Bytes(bytes)
        }
        WireType::SixtyFourBit
        | WireType::StartGroup
        | WireType::EndGroup
        | WireType::ThirtyTwoBit => {
            skip_field(wire, number, rest, DecodeContext::default()).map_err(broken)?;
            RawValue::Other
        }
    };
    let length = whole.len().saturating_sub(rest.len());
    let bytes = whole.get(..length).unwrap_or_default();
    Ok(Raw { number, value, bytes })
}

/// Reads the fields of a message that stand in YAML; the others are passed over.
pub(in crate::kind) fn message(
    schema: &Schema,
    wire: &[u8],
) -> Result<BTreeMap<String, Value>, Problem> {
    let mut map = BTreeMap::new();
    read_into(schema, wire, &mut map)?;
    Ok(map)
}

fn read_into(
    schema: &Schema,
    wire: &[u8],
    map: &mut BTreeMap<String, Value>,
) -> Result<(), Problem> {
    for raw in fields(wire) {
        let raw = raw?;
        let Some((name, field)) = schema.numbered(raw.number) else { continue };
        add(field, raw.value, name, map).map_err(|problem| format!("{name}: {problem}"))?;
    }
    Ok(())
}

/// Adds one occurrence of a field: repeated ones collect, messages merge, others replace.
fn add(
    field: &Field,
    raw: RawValue<'_>,
    name: &str,
    map: &mut BTreeMap<String, Value>,
) -> Result<(), Problem> {
    match field.form.inside() {
        Inside::List(item) => {
            let list = map.entry(name.into()).or_insert_with(|| Value::List(Vec::new()));
            if let Value::List(items) = list {
                items.push(single(item, raw)?);
            }
        }
        Inside::Map(item) => {
            let (key, value) = entry(item, bytes(raw)?)?;
            if let Value::Map(entries) = map.entry(name.into()).or_insert_with(Value::map) {
                entries.insert(key, value);
            }
        }
        Inside::Message(schema) => {
            if let Value::Map(inner) = map.entry(name.into()).or_insert_with(Value::map) {
                read_into(schema, bytes(raw)?, inner)?;
            }
        }
        Inside::Leaf => {
            let value = single(&field.form, raw)?;
            // A time that stands for "never" says nothing.
            if value == Value::Null {
                map.remove(name);
            } else {
                map.insert(name.into(), value);
            }
        }
    }
    Ok(())
}

fn single(form: &Form, raw: RawValue<'_>) -> Result<Value, Problem> {
    Ok(match form {
        Form::Text => Value::String(text(raw)?.into()),
        Form::Bool | Form::BoolWord => Value::Bool(varint(raw)? != 0),
        Form::BoolOption => Value::Bool(number(bytes(raw)?, 1)? != 0),
        Form::Int { .. } => Value::Int(varint(raw)?.cast_signed()),
        Form::Bytes => Value::String(STANDARD.encode(bytes(raw)?)),
        Form::Duration => Value::String(duration::show(varint(raw)?.cast_signed())),
        Form::DurationMessage => Value::String(duration::show(nanoseconds(bytes(raw)?)?)),
        Form::Timestamp => timestamp(bytes(raw)?)?,
        Form::Enum(words) => {
            let number = varint(raw)?.cast_signed();
            let word = words.iter().find(|(_, value)| i64::from(*value) == number);
            Value::String(word.map_or_else(|| number.to_string(), |(word, _)| word.clone()))
        }
        Form::Labels => labels(bytes(raw)?, true)?,
        Form::Traits => labels(bytes(raw)?, false)?,
        Form::Message(schema) => Value::Map(message(schema, bytes(raw)?)?),
        // Not possible in protobuf: lists and maps do not nest.
        Form::List(_) | Form::Map(_) => Value::Null,
    })
}

/// A map's entry: key and value are fields 1 and 2 of a message, each absent when it is zero.
fn entry(form: &Form, wire: &[u8]) -> Result<(String, Value), Problem> {
    let mut key = String::new();
    let mut value = None;
    for raw in fields(wire) {
        let raw = raw?;
        match raw.number {
            1 => key = text(raw.value)?.into(),
            2 => value = Some(single(form, raw.value)?),
            _ => {}
        }
    }
    Ok((key, value.unwrap_or_else(|| form.nothing())))
}

/// `wrappers.LabelValues`: field 1 is a map to messages whose field 1 repeats the values.
/// A single value stands for itself where that is the `short` way to write it.
fn labels(wire: &[u8], short: bool) -> Result<Value, Problem> {
    let mut labels = BTreeMap::new();
    for raw in fields(wire) {
        let raw = raw?;
        if raw.number == 1 {
            let (key, mut values) = label(bytes(raw.value)?)?;
            let value = match (short && values.len() == 1).then(|| values.pop()).flatten() {
                Some(only) => only,
                None => Value::List(values),
            };
            labels.insert(key, value);
        }
    }
    Ok(Value::Map(labels))
}

fn label(wire: &[u8]) -> Result<(String, Vec<Value>), Problem> {
    let mut key = String::new();
    let mut values = Vec::new();
    for raw in fields(wire) {
        let raw = raw?;
        match raw.number {
            1 => key = text(raw.value)?.into(),
            2 => {
                for raw in fields(bytes(raw.value)?) {
                    let raw = raw?;
                    if raw.number == 1 {
                        values.push(Value::String(text(raw.value)?.into()));
                    }
                }
            }
            _ => {}
        }
    }
    Ok((key, values))
}

/// One numeric field of a message; zero when it is absent.
fn number(wire: &[u8], wanted: u32) -> Result<u64, Problem> {
    let mut found = 0;
    for raw in fields(wire) {
        let raw = raw?;
        if raw.number == wanted {
            found = varint(raw.value)?;
        }
    }
    Ok(found)
}

fn nanoseconds(wire: &[u8]) -> Result<i64, Problem> {
    let seconds = number(wire, 1)?.cast_signed();
    let nanos = number(wire, 2)?.cast_signed();
    Ok(seconds.saturating_mul(NANOS_PER_SECOND).saturating_add(nanos))
}

/// Nanoseconds in a second.
pub(super) const NANOS_PER_SECOND: i64 = 1_000_000_000;

/// A time before 1970 stands for "never" (Go's zero time is in the year 1).
fn timestamp(wire: &[u8]) -> Result<Value, Problem> {
    let seconds = number(wire, 1)?.cast_signed();
    let nanos = i32::try_from(number(wire, 2)?.cast_signed()).unwrap_or(0);
    if seconds <= 0 {
        return Ok(Value::Null);
    }
    let at = jiff::Timestamp::new(seconds, nanos).map_err(|error| error.to_string())?;
    Ok(Value::String(at.to_string()))
}

fn varint(raw: RawValue<'_>) -> Result<u64, Problem> {
    match raw {
        RawValue::Varint(value) => Ok(value),
        RawValue::Bytes(_) | RawValue::Other => Err("not a number on the wire".into()),
    }
}

fn bytes(raw: RawValue<'_>) -> Result<&[u8], Problem> {
    match raw {
        RawValue::Bytes(bytes) => Ok(bytes),
        RawValue::Varint(_) | RawValue::Other => Err("not bytes on the wire".into()),
    }
}

fn text(raw: RawValue<'_>) -> Result<&str, Problem> {
    std::str::from_utf8(bytes(raw)?).map_err(|error| error.to_string())
}
