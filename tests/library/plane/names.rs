//! Recorded messages with other names, other ids and rounded times in them.

use std::collections::{BTreeMap, BTreeSet};

use prost_reflect::{DynamicMessage, FieldDescriptor, ReflectMessage as _, Value};

/// Names that the server or the recording's set-up gave, and that other things refer to.
const KEPT: &[&str] = &[
    "access",
    "admin",
    "auditor",
    "cluster-auth-preference",
    "editor",
    "everything",
    "static-root",
];

/// Visits every string that is not the key of a map.
pub fn strings(message: &mut DynamicMessage, act: &mut dyn FnMut(&FieldDescriptor, &mut String)) {
    for (field, value) in message.fields_mut() {
        visit(&field, value, act);
    }
}

fn visit(
    field: &FieldDescriptor,
    value: &mut Value,
    act: &mut dyn FnMut(&FieldDescriptor, &mut String),
) {
    match value {
        Value::String(text) => act(field, text),
        Value::Message(inner) => strings(inner, act),
        Value::List(items) => {
            for item in items {
                visit(field, item, act);
            }
        }
        Value::Map(items) => {
            let mut sorted: Vec<_> = items.iter_mut().collect();
            sorted.sort_by_key(|(key, _)| format!("{key:?}"));
            for (_, item) in sorted {
                visit(field, item, act);
            }
        }
        _ => {}
    }
}

/// Whether every byte of the message means something to us.
pub fn is_whole(message: &DynamicMessage) -> bool {
    fn whole(value: &Value) -> bool {
        match value {
            Value::Message(inner) => is_whole(inner),
            Value::List(items) => items.iter().all(whole),
            Value::Map(items) => items.values().all(whole),
            _ => true,
        }
    }
    message.unknown_fields().next().is_none() && message.fields().all(|(_, value)| whole(value))
}

/// What the resources of one case are called from now on: each name gets the same random prefix,
/// which keeps their order and what is right or wrong in them.
#[derive(Debug, Default)]
pub struct Names {
    prefix: String,
    known: BTreeSet<String>,
}

impl Names {
    pub fn new(rng: &mut fastrand::Rng) -> Self {
        let mut prefix: String = (0..rng.usize(3..7)).map(|_| rng.char('a'..='x')).collect();
        prefix.push('-');
        Self { prefix, known: BTreeSet::new() }
    }

    /// Takes note of the names in a message.
    pub fn learn(&mut self, message: &mut DynamicMessage) {
        strings(message, &mut |field, text| {
            let parent = field.parent_message().name().to_owned();
            let names = parent == "Metadata" || parent.ends_with("Request");
            if names && ["name", "bot_name"].contains(&field.name()) {
                self.know(text);
            }
        });
    }

    pub fn know(&mut self, name: &str) {
        let speaks = name.contains(|it: char| it.is_ascii_alphanumeric());
        if speaks && !KEPT.contains(&name) && hex_ids(name).is_empty() {
            self.known.insert(name.to_owned());
        }
    }

    pub fn rename(&self, message: &mut DynamicMessage) {
        strings(message, &mut |field, text| {
            if !["kind", "sub_kind", "version", "resource_type"].contains(&field.name()) {
                *text = self.text(text);
            }
        });
    }

    /// The text with the new names: also quoted as Go does it, masked, or begun in a search.
    pub fn text(&self, text: &str) -> String {
        if self.known.is_empty() {
            return text.to_owned();
        }
        for name in &self.known {
            let (old, new) = (masked(name), masked(&self.text_of(name)));
            if text == format!("provisioning token({old}) not found") {
                return format!("provisioning token({new}) not found");
            }
        }
        let mut out = String::new();
        let mut rest = text;
        while let Some(next) = rest.chars().next() {
            let begins = !out.ends_with(|it: char| it.is_ascii_alphanumeric());
            let name = if begins { self.name_at(rest) } else { None };
            let length = name.map_or(next.len_utf8(), |name| {
                out.push_str(&self.prefix);
                name
            });
            let (done, left) = rest.split_at(length);
            out.push_str(done);
            rest = left;
        }
        out
    }

    fn text_of(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// How long the name is that the text begins with.
    fn name_at(&self, text: &str) -> Option<usize> {
        let forms = self.known.iter().flat_map(|name| [name.clone(), quoted(name)]);
        let fits = forms.filter(|name| {
            text.strip_prefix(name.as_str()).is_some_and(|after| {
                // The token of the next page of users is a name with a zero behind it.
                after == "0"
                    || !after.starts_with(|it: char| it.is_ascii_alphanumeric() || it == '_')
            })
        });
        let whole = fits.map(|name| name.len()).max();
        // A search is for a part of names.
        let part = self.known.iter().any(|name| text.len() > 3 && name.starts_with(text));
        whole.or(part.then_some(text.len()))
    }
}

fn quoted(name: &str) -> String {
    name.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

fn masked(name: &str) -> String {
    let hidden = name.chars().count() * 3 / 4;
    "*".repeat(hidden) + &name.chars().skip(hidden).collect::<String>()
}

/// The generated ids in a text, in order: UUIDs, and runs of 32 hexadecimal digits.
pub fn ids(text: &str) -> Vec<String> {
    let is_uuid = |it: &str| {
        it.bytes().enumerate().all(|(index, byte)| match index {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
    };
    let uuids = (0..text.len().saturating_sub(35))
        .filter_map(|at| text.get(at..at + 36))
        .filter(|it| is_uuid(it))
        .map(str::to_owned);
    uuids.chain(hex_ids(text)).collect()
}

fn hex_ids(text: &str) -> Vec<String> {
    let runs = text.split(|it: char| !it.is_ascii_hexdigit());
    runs.filter(|run| run.len() == 32).map(str::to_owned).collect()
}

/// All ids of a message, in order.
pub fn ids_of(message: &mut DynamicMessage) -> Vec<String> {
    let mut all = Vec::new();
    strings(message, &mut |_, text| all.extend(ids(text)));
    all
}

pub fn replace_ids(message: &mut DynamicMessage, ours: &BTreeMap<String, String>) {
    strings(message, &mut |_, text| {
        for (old, new) in ours {
            if text.contains(old.as_str()) {
                *text = text.replace(old, new);
            }
        }
    });
}

/// Rounds times near the recording to whole hours from it.
pub fn round_times(message: &mut DynamicMessage, now: i64) {
    const NEAR: i64 = 3 * 24 * 60 * 60;
    const HOUR: i64 = 60 * 60;
    if message.descriptor().full_name() == "google.protobuf.Timestamp" {
        let seconds = message.get_field_by_name("seconds").and_then(|it| it.as_i64()).unwrap_or(0);
        if (seconds - now).abs() < NEAR {
            let hours = (seconds - now + HOUR / 2).div_euclid(HOUR);
            message.set_field_by_name("seconds", Value::I64(now + hours * HOUR));
            message.clear_field_by_name("nanos");
        }
        return;
    }
    for (_, value) in message.fields_mut() {
        match value {
            Value::Message(inner) => round_times(inner, now),
            Value::List(items) => {
                let messages = items.iter_mut().filter_map(Value::as_message_mut);
                messages.for_each(|inner| round_times(inner, now));
            }
            _ => {}
        }
    }
}
