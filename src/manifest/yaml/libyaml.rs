//! The second reader: libyaml, the ancestor of the parser in Go that Teleport uses.
//!
//! Where the two see different structure or different text, one of them is not what Teleport
//! sees, and the document is refused. What a text means (a number, what its tag makes of it) is
//! no matter here: Teleport's own rules for that are `scalar`'s. It costs as much as the first
//! reading, so a document of nothing but plain lines (`key: word`, `- word`, `[word, word]`,
//! simple quotes, comments), where they cannot differ, is spared; a property test compares them
//! on such documents.

use std::cell::Cell;
use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::syntax::{Problem, around, tab};
use crate::manifest::codes;
use crate::model::tree::NodeValue;
use crate::model::{Node, ScalarStyle};

/// Reads the text again and compares. `base` is the offset of `text` in its file.
///
/// # Errors
/// The refusal, or the first place where they differ.
pub fn agrees(text: &str, base: u32, node: &Node) -> Result<(), Problem> {
    let last = Cell::new(node.span.start);
    let same = |json| Same { node, json, last: &last };
    // Teleport reads JSON by a reader of JSON, which knows escapes that YAML does not (`\ud83d\ude80`).
    if text.trim_start().starts_with('{') {
        let mut reader = serde_json::Deserializer::from_str(text);
        match same(true).deserialize(&mut reader).and_then(|()| reader.end()) {
            Ok(()) => return Ok(()),
            Err(error) if error.is_data() && serde_json::from_str::<IgnoredAny>(text).is_ok() => {
                return Err(difference(text, base, last.get()));
            }
            Err(_not_json) => last.set(node.span.start),
        }
    }
    let Err(error) = same(false).deserialize(serde_yaml::Deserializer::from_str(text)) else {
        return Ok(());
    };
    if error.to_string() == REPETITION {
        return Err(Problem {
            code: codes::TOO_MANY_NODES,
            range: around(text, offset(base, last.get())),
            message: "the document repeats aliases too often".into(),
            hint: Some("write out what is needed".into()),
        });
    }
    // What comparing complains of may quote the document. A reading that looks at no value
    // complains of syntax alone, in words that are the same for every document.
    let Err(error) = serde_yaml::from_str::<IgnoredAny>(text) else {
        return Err(difference(text, base, last.get()));
    };
    let at = error.location().map_or(0, |location| location.index());
    // A tab is the usual reason; else the words without their line and column.
    if let Some(found) = tab(text, at) {
        return Err(found);
    }
    let words = error.to_string();
    let words = words.split(" at line ").next().unwrap_or_default();
    let message = format!("Teleport's YAML reader refuses this: {words}");
    Err(disagreement(around(text, at), message))
}

/// What the reader says of aliases that stand for far more than was written.
const REPETITION: &str = "repetition limit exceeded";

fn offset(base: u32, at: u32) -> usize {
    usize::try_from(at.saturating_sub(base)).unwrap_or(0)
}

fn difference(text: &str, base: u32, at: u32) -> Problem {
    let message = "Teleport's YAML reader would understand this differently";
    disagreement(around(text, offset(base, at)), message.into())
}

fn disagreement(range: std::ops::Range<usize>, message: String) -> Problem {
    let hint = Some("write it more plainly: quote text, and put spaces after colons".into());
    Problem { code: codes::READERS_DISAGREE, range, message, hint }
}

/// Reads what must have the same structure as a node, and the same text wherever that is text.
#[derive(Clone, Copy)]
struct Same<'a> {
    node: &'a Node<'a>,
    /// JSON has no text of what is no string.
    json: bool,
    /// Where the last node begins that was compared.
    last: &'a Cell<u32>,
}

impl<'a> Same<'a> {
    fn of(self, node: &'a Node<'a>) -> Self {
        Self { node, ..self }
    }

    fn check<E: de::Error>(is_same: bool) -> Result<(), E> {
        if is_same { Ok(()) } else { Err(E::custom("different")) }
    }

    /// For what JSON writes without quotes.
    fn bare<E: de::Error>(self) -> Result<(), E> {
        let is_plain = matches!(&self.node.value,
            NodeValue::Scalar { style, .. } if *style == ScalarStyle::Plain);
        Self::check(self.json && is_plain)
    }
}

impl<'de> DeserializeSeed<'de> for Same<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<(), D::Error> {
        self.last.set(self.node.span.start);
        match &self.node.value {
            NodeValue::Scalar { .. } | NodeValue::List(_) | NodeValue::Map(_) if self.json => {
                reader.deserialize_any(self)
            }
            // Gives every scalar as it was written, whatever its tag.
            NodeValue::Scalar { .. } => reader.deserialize_str(self),
            NodeValue::List(_) => reader.deserialize_seq(self),
            NodeValue::Map(_) => reader.deserialize_map(self),
        }
    }
}

impl<'de> Visitor<'de> for Same<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the same")
    }

    fn visit_str<E: de::Error>(self, theirs: &str) -> Result<(), E> {
        Self::check(matches!(&self.node.value, NodeValue::Scalar { text, .. } if &**text == theirs))
    }

    fn visit_bool<E: de::Error>(self, _: bool) -> Result<(), E> {
        self.bare()
    }

    fn visit_i64<E: de::Error>(self, _: i64) -> Result<(), E> {
        self.bare()
    }

    fn visit_u64<E: de::Error>(self, _: u64) -> Result<(), E> {
        self.bare()
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<(), E> {
        self.bare()
    }

    fn visit_unit<E: de::Error>(self) -> Result<(), E> {
        self.bare()
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut theirs: A) -> Result<(), A::Error> {
        let NodeValue::List(ours) = &self.node.value else { return Self::check(false) };
        for item in ours {
            Self::check(theirs.next_element_seed(self.of(item))?.is_some())?;
        }
        Self::check(theirs.next_element::<IgnoredAny>()?.is_none())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut theirs: A) -> Result<(), A::Error> {
        let NodeValue::Map(ours) = &self.node.value else { return Self::check(false) };
        for (key, value) in ours {
            Self::check(theirs.next_key_seed(self.of(key))?.is_some())?;
            theirs.next_value_seed(self.of(value))?;
        }
        Self::check(theirs.next_key::<IgnoredAny>()?.is_none())
    }
}

/// Whether a document has nothing but lines that no two readers take differently. Every document
/// goes through this, byte by byte.
pub fn is_plain(text: &str) -> bool {
    let readable = |byte: u8| matches!(byte, b' '..=b'~' | b'\n') && byte != b'\\';
    let mut lines = text.as_bytes().split(|byte| *byte == b'\n');
    // Looking at all of them takes less time than stopping at the first: several at once.
    let all_readable = text.bytes().fold(true, |all, byte| all & readable(byte));
    text.ends_with('\n') && all_readable && lines.all(plain_line)
}

fn plain_line(line: &[u8]) -> bool {
    let mut rest = line.trim_ascii();
    if rest.is_empty() || rest.starts_with(b"#") || line == b"---" {
        return true;
    }
    let mut item = false;
    while let Some(inner) = rest.strip_prefix(b"- ") {
        item = true;
        rest = inner.trim_ascii_start();
    }
    let mut sides = rest.splitn(2, |byte| *byte == b':');
    let after_key = match (sides.next(), sides.next()) {
        (Some(key), Some(value))
            if plain_key(key) && (value.is_empty() || value.starts_with(b" ")) =>
        {
            Some(value.trim_ascii_start())
        }
        (_, _) => None,
    };
    match after_key {
        Some([]) => true,
        Some(value) => plain_value(value),
        None => item && plain_value(rest),
    }
}

/// What a word is made of.
const fn fits(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'/' | b'-')
}

fn plain_key(key: &[u8]) -> bool {
    let word = quoted(key).unwrap_or(key);
    let starts = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    // `'*'` is the one odd key that every role has.
    (word.len() < key.len() && word == b"*")
        || (word.iter().copied().all(fits) && word.first().is_some_and(starts))
}

fn plain_value(value: &[u8]) -> bool {
    if let Some(inner) = quoted(value) {
        return !inner.is_empty();
    }
    if let [b'[', items @ .., b']'] = value {
        return items.split(|byte| *byte == b',').all(plain_item);
    }
    let starts = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'_' | b'.');
    value.first().is_some_and(starts)
        && !value.ends_with(b":")
        && !value.windows(2).any(|pair| matches!(pair, b": " | b" #"))
}

/// An item of a list on one line: a word, or simple quotes without a comma in them. An empty
/// list has no plain item, and stays with the second reader.
fn plain_item(item: &[u8]) -> bool {
    let item = item.trim_ascii();
    if let Some(inner) = quoted(item) {
        return !inner.is_empty();
    }
    let starts = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'/';
    item.iter().copied().all(fits) && item.first().is_some_and(starts)
}

/// The inside of simple quotes that end where the text ends.
fn quoted(text: &[u8]) -> Option<&[u8]> {
    match text {
        [quote @ (b'"' | b'\''), inner @ .., end] if quote == end => {
            (!inner.iter().any(|byte| matches!(byte, b'"' | b'\''))).then_some(inner)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_documents_are_spared_and_others_are_not() {
        let plain = "---\n# role\nkind: role\nmetadata:\n  name: dev\nspec:\n  allow:\n    logins:\n    \
            - root\n    - 'ops'\n    node_labels:\n      '*': '*'\n    rules:\n    - resources:\n      \
            - arn:aws:sts::1:x/y\n      verbs: [list, 'read', \"a-b.c/d\"]\n";
        assert!(is_plain(plain));
        for odd in [
            "a: [b\n",
            "a: []\n",
            "a: [b,]\n",
            "a: [b, [c]]\n",
            "a: [b: c]\n",
            "a: [{b: c}]\n",
            "a: ['b, c']\n",
            "a: [*b]\n",
            "a: [-]\n",
            "a: [b c]\n",
            "a: [b] # c\n",
            "a: [b]]\n",
            "[b]\n",
            "? [b]\n",
            "a: &x b\n",
            "a: *x\n",
            "a: |\n  b\n",
            "a: b\n  c\n",
            "a: \"b\\n\"\n",
            "a: ü\n",
            "a:\tb\n",
            "? a\n",
            "a: !t b\n",
            "a: 'b''c'\n",
            "a: b",
            "a: \"b\n",
            "%YAML\n",
            "a: 'x' y\n",
            "a: b: c\n",
            "a: b # c\n",
            "\"*\"x: 1\n",
            "a: -\n",
            "- - [\n",
            "...\n",
        ] {
            assert!(!is_plain(odd), "{odd}");
        }
    }
}
