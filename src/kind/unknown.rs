//! Fields of a live resource that this version does not know: kept in every update, and shown
//! as what they are, a number and a size.

use prost_reflect::{DynamicMessage, Value as Wire};

use super::Kind;
use super::canonical::WireError;
use super::schema::{self, Form, Inside, Schema};
use crate::wire::DESCRIPTORS;

/// One field that no field list has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unknown {
    /// Names of the fields around it, `spec.options`; empty at the top. An item of a list is
    /// not told from another.
    pub path: String,
    /// Its number in the message.
    pub number: u32,
    /// How long it is with its key, in bytes.
    pub bytes: usize,
}

impl std::fmt::Display for Unknown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { path, number, bytes } = self;
        let dot = if path.is_empty() { "" } else { "." };
        write!(f, "{path}{dot}field {number}: {bytes} bytes, unknown to this version")
    }
}

/// Every such field of a message, in the order of the fields around them.
///
/// # Errors
/// Bytes that are not such a message.
pub fn fields(kind: &Kind, wire: &[u8]) -> Result<Vec<Unknown>, WireError> {
    let descriptor = DESCRIPTORS
        .get_message_by_name(kind.message)
        .ok_or_else(|| WireError::new(kind.message, "there is no such message"))?;
    let message = DynamicMessage::decode(descriptor, wire)
        .map_err(|error| WireError::new(kind.message, &error.to_string()))?;
    let mut found = Vec::new();
    collect(&message, Some(schema::of(kind)), "", &mut found);
    Ok(found)
}

fn collect(message: &DynamicMessage, schema: Option<&Schema>, path: &str, out: &mut Vec<Unknown>) {
    for field in message.unknown_fields() {
        let (number, bytes) = (field.number(), field.encoded_len());
        out.push(Unknown { path: path.into(), number, bytes });
    }
    for (field, value) in message.fields() {
        // A field that is never written in YAML is known all the same.
        let written = schema.and_then(|schema| schema.numbered(field.number()));
        let name = written.map_or_else(|| field.name(), |(name, _)| name);
        let path = if path.is_empty() { name.into() } else { format!("{path}.{name}") };
        let inner = written.and_then(|(_, field)| inside(&field.form));
        match value {
            Wire::Message(message) => collect(message, inner, &path, out),
            Wire::List(items) => {
                for message in items.iter().filter_map(Wire::as_message) {
                    collect(message, inner, &path, out);
                }
            }
            Wire::Map(entries) => {
                for message in entries.values().filter_map(Wire::as_message) {
                    collect(message, inner, &path, out);
                }
            }
            Wire::Bool(_)
            | Wire::I32(_)
            | Wire::I64(_)
            | Wire::U32(_)
            | Wire::U64(_)
            | Wire::F32(_)
            | Wire::F64(_)
            | Wire::String(_)
            | Wire::Bytes(_)
            | Wire::EnumNumber(_) => {}
        }
    }
}

/// The field list of what stands in a field.
fn inside(form: &Form) -> Option<&Schema> {
    match form.inside() {
        Inside::Message(schema) => Some(schema),
        Inside::List(item) | Inside::Map(item) => inside(item),
        Inside::Leaf => None,
    }
}
