//! The field list of a message as a tree of forms, read from our own descriptors.
//!
//! There is no second list: what a field is called in YAML, whether it is secret, server-owned
//! or unordered stands in the options of `wire/proto/*.proto`.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use foldhash::fast::FixedState;
use indexmap::IndexMap;
use prost_reflect as reflect;
use prost_reflect::{EnumDescriptor, ExtensionDescriptor, FieldDescriptor, MessageDescriptor};

use super::{KINDS, Kind};
use crate::model::{Release, Value};
use crate::wire::DESCRIPTORS;

/// The fields of one message, by the name that stands in YAML.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Schema {
    /// Full protobuf name.
    pub message: String,
    /// By YAML name, in its order. Fields whose YAML name is `-` are absent. The names are ours, so
    /// that nobody chooses their hashes.
    pub fields: IndexMap<String, Field, FixedState>,
    /// Where each stands among them, by field number: every field of a message that arrives is
    /// looked for.
    numbers: BTreeMap<u32, usize>,
}

impl Schema {
    /// The field of a number, if it is written in YAML at all.
    pub fn numbered(&self, number: u32) -> Option<(&str, &Field)> {
        let (name, field) = self.fields.get_index(*self.numbers.get(&number)?)?;
        Some((name, field))
    }

    /// All fields, by number.
    pub fn in_order(&self) -> impl Iterator<Item = (&str, &Field)> {
        let found = self.numbers.values().filter_map(|at| self.fields.get_index(*at));
        found.map(|(name, field)| (&**name, field))
    }
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
    /// The newest server that is known not to have it.
    pub lacked_by: Option<Release>,
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
    /// One of these words, with the number on the wire. The first of a number is shown. Where
    /// `true` or `false` is among the words, a plain boolean is read as that word.
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

/// What stands inside a form, for whoever only walks through it.
#[derive(Debug, Clone, Copy)]
pub enum Inside<'a> {
    /// Nothing with a field list of its own: all forms but the three below.
    Leaf,
    /// Items of this form.
    List(&'a Form),
    /// Entries of this form.
    Map(&'a Form),
    /// These fields.
    Message(&'a Schema),
}

impl Form {
    /// What stands inside.
    pub fn inside(&self) -> Inside<'_> {
        match self {
            Self::List(item) => Inside::List(item),
            Self::Map(entry) => Inside::Map(entry),
            Self::Message(schema) => Inside::Message(schema),
            Self::Text
            | Self::Bool
            | Self::BoolWord
            | Self::BoolOption
            | Self::Int { min: _, max: _ }
            | Self::Bytes
            | Self::Duration
            | Self::DurationMessage
            | Self::Timestamp
            | Self::Enum(_)
            | Self::Labels
            | Self::Traits => Inside::Leaf,
        }
    }

    /// What an item of a list or an entry of a map holds that says nothing.
    pub(super) fn nothing(&self) -> Value {
        if matches!(self, Self::Message(_)) { Value::map() } else { Value::String(String::new()) }
    }
}

/// The field list of a kind's message.
pub fn of(kind: &Kind) -> &'static Schema {
    static SCHEMAS: LazyLock<BTreeMap<&'static str, Schema>> = LazyLock::new(|| {
        let options = Options::find();
        KINDS.iter().map(|kind| (kind.message, options.schema_of_kind(kind))).collect()
    });
    /// For a kind that is not in the table; nothing fits it.
    static NOTHING: LazyLock<Schema> = LazyLock::new(Schema::default);
    SCHEMAS.get(kind.message).unwrap_or(&NOTHING)
}

/// Our extensions of the descriptor options.
struct Options {
    field: Option<ExtensionDescriptor>,
    word: Option<ExtensionDescriptor>,
}

/// The options of one field, as in `options.proto`.
#[derive(Default)]
struct FieldOptions {
    yaml: Option<String>,
    /// Number of `reconciler.Form`.
    form: i32,
    secret: bool,
    server_owned: bool,
    unordered: bool,
    lacked_by: Option<Release>,
}

/// YAML name of a field that is never written.
const HIDDEN: &str = "-";

// Numbers of `reconciler.Form` in `options.proto`.
const FORM_DURATION: i32 = 1;
const FORM_BOOL_WORD: i32 = 2;
const FORM_BOOL_OPTION: i32 = 3;
const FORM_LABELS: i32 = 4;
const FORM_TRAITS: i32 = 5;

impl Options {
    fn find() -> Self {
        Self {
            field: DESCRIPTORS.get_extension_by_name("reconciler.field"),
            word: DESCRIPTORS.get_extension_by_name("reconciler.word"),
        }
    }

    fn schema_of_kind(&self, kind: &Kind) -> Schema {
        let found = DESCRIPTORS.get_message_by_name(kind.message);
        let mut schema = found.map(|found| self.schema(&found)).unwrap_or_default();
        // All kinds share one message for metadata, so its options cannot say this.
        if kind.name.has_secret_names()
            && let Some(Field { form: Form::Message(metadata), .. }) =
                schema.fields.get_mut("metadata")
            && let Some(metadata) = Arc::get_mut(metadata)
            && let Some(name) = metadata.fields.get_mut("name")
        {
            name.secret = true;
        }
        schema
    }

    fn schema(&self, message: &MessageDescriptor) -> Schema {
        let mut schema = Schema { message: message.full_name().into(), ..Schema::default() };
        for field in message.fields() {
            let options = self.field_options(&field);
            let name = options.yaml.clone().unwrap_or_else(|| field.name().into());
            if name == HIDDEN {
                continue;
            }
            let form = self.form(&field, &options);
            let FieldOptions { yaml: _, form: _, secret, server_owned, unordered, lacked_by } =
                options;
            let number = field.number();
            let field = Field { number, form, secret, server_owned, unordered, lacked_by };
            schema.fields.insert(name, field);
        }
        schema.fields.sort_unstable_keys();
        let numbers = schema.fields.values().map(|field| field.number).zip(0..);
        schema.numbers = numbers.collect();
        schema
    }

    fn field_options(&self, field: &FieldDescriptor) -> FieldOptions {
        let Some(extension) = &self.field else { return FieldOptions::default() };
        let options = field.options();
        let value = options.get_extension(extension);
        let Some(set) = value.as_message() else { return FieldOptions::default() };
        let flag = |name| {
            set.get_field_by_name(name).and_then(|value| value.as_bool()).unwrap_or_default()
        };
        let text =
            |name| set.get_field_by_name(name).and_then(|value| value.as_str().map(String::from));
        FieldOptions {
            yaml: text("yaml").filter(|name| !name.is_empty()),
            form: set
                .get_field_by_name("form")
                .and_then(|value| value.as_enum_number())
                .unwrap_or_default(),
            secret: flag("secret"),
            server_owned: flag("server_owned"),
            unordered: flag("unordered"),
            lacked_by: text("lacked_by").and_then(|text| Release::parse(&text)),
        }
    }

    fn form(&self, field: &FieldDescriptor, options: &FieldOptions) -> Form {
        match options.form {
            FORM_DURATION => return Form::Duration,
            FORM_BOOL_WORD => return Form::BoolWord,
            FORM_BOOL_OPTION => return Form::BoolOption,
            FORM_LABELS => return Form::Labels,
            FORM_TRAITS => return Form::Traits,
            _ => {}
        }
        if field.is_map() {
            let entry = field.kind();
            let value = entry
                .as_message()
                .map_or(Form::Text, |entry| self.single(&entry.map_entry_value_field().kind()));
            Form::Map(Box::new(value))
        } else if field.is_list() {
            Form::List(Box::new(self.single(&field.kind())))
        } else {
            self.single(&field.kind())
        }
    }

    fn single(&self, kind: &reflect::Kind) -> Form {
        use reflect::Kind as Wire;
        match kind {
            Wire::String => Form::Text,
            Wire::Bool => Form::Bool,
            Wire::Bytes => Form::Bytes,
            Wire::Int32 | Wire::Sint32 | Wire::Sfixed32 => {
                Form::Int { min: i32::MIN.into(), max: i32::MAX.into() }
            }
            Wire::Uint32 | Wire::Fixed32 => Form::Int { min: 0, max: u32::MAX.into() },
            Wire::Uint64 | Wire::Fixed64 => Form::Int { min: 0, max: i64::MAX },
            Wire::Int64 | Wire::Sint64 | Wire::Sfixed64 | Wire::Float | Wire::Double => {
                Form::Int { min: i64::MIN, max: i64::MAX }
            }
            Wire::Enum(words) => self.words(words),
            Wire::Message(message) => match message.full_name() {
                "google.protobuf.Timestamp" => Form::Timestamp,
                "google.protobuf.Duration" => Form::DurationMessage,
                _ => Form::Message(Arc::new(self.schema(message))),
            },
        }
    }

    /// An enum without words is written as its number.
    fn words(&self, numbers: &EnumDescriptor) -> Form {
        let mut words = Vec::new();
        for value in numbers.values() {
            let Some(extension) = &self.word else { continue };
            let options = value.options();
            let list = options.get_extension(extension);
            for word in list.as_list().unwrap_or_default() {
                words.extend(word.as_str().map(|word| (String::from(word), value.number())));
            }
        }
        if words.is_empty() {
            Form::Int { min: 0, max: i32::MAX.into() }
        } else {
            Form::Enum(words)
        }
    }
}
