//! The field list of a message as a tree of forms, read from our own descriptors.
//!
//! There is no second list: what a field is called in YAML, whether it is secret, server-owned
//! or unordered stands in the options of `wire/proto/*.proto`.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Kind;

/// The fields of one message, by the name that stands in YAML.
#[derive(Debug, PartialEq, Eq)]
pub struct Schema {
    /// Full protobuf name.
    pub message: String,
    /// By YAML name. Fields whose YAML name is `-` are absent.
    pub fields: BTreeMap<String, Field>,
}

/// One field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// Field number, to find it in a message.
    pub number: u32,
    /// What may stand there.
    pub form: Form,
    /// Never shown, logged or stored in clear.
    pub secret: bool,
    /// Set by the server: accepted in a manifest, ignored with a note, never compared.
    pub server_owned: bool,
    /// A list whose order means nothing.
    pub unordered: bool,
}

/// What may stand in a field, and how [`crate::model::Value`] holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Form {
    /// Text.
    Text,
    /// `true` or `false`.
    Bool,
    /// A boolean, or one of Teleport's words for one (`yes`, `off`, …); held as a boolean.
    BoolWord,
    /// As `BoolWord`, but unset differs from false.
    BoolOption,
    /// A whole number between these.
    Int {
        /// Least.
        min: i64,
        /// Greatest.
        max: i64,
    },
    /// Standard base64; held as text without line breaks.
    Bytes,
    /// Go's duration syntax; held as Go writes it. Nanoseconds on the wire.
    Duration,
    /// The same, but a `google.protobuf.Duration` on the wire.
    DurationMessage,
    /// RFC 3339, held in UTC.
    Timestamp,
    /// One of these words, with the number on the wire. The first is shown.
    Enum(Vec<(String, i32)>),
    /// name → one value or several; held as text where there is one, else as a list.
    Labels,
    /// name → list of values.
    Traits,
    /// Several of them.
    List(Box<Form>),
    /// By any key.
    Map(Box<Form>),
    /// Fields of their own.
    Message(Arc<Schema>),
}

/// The field list of a kind's message.
pub fn of(_kind: &Kind) -> &'static Schema {
    todo!("kinds helper")
}
