//! The second reader: libyaml, the ancestor of the parser in Go that Teleport uses.
//!
//! Where the two see different structure or different text, one of them is not what Teleport
//! sees, and the document is refused. It costs as much as the first reading, so a document of
//! nothing but plain lines (`key: word`, `- word`, `[word, word]`, simple quotes, comments), where
//! they cannot differ, is spared; a property test compares them on such documents.

use serde_yaml::Value;

use super::syntax::{Problem, around, tab};
use crate::manifest::codes;
use crate::model::tree::NodeValue;
use crate::model::{Node, Scalar, ScalarStyle};

/// Reads the text again and compares.
///
/// # Errors
/// The refusal, or the first place where they differ.
pub fn agrees(text: &str, node: &Node) -> Result<(), Problem> {
    let disagreement = |range, message: String| Problem {
        code: codes::READERS_DISAGREE,
        range,
        message,
        hint: Some("write it more plainly: quote text, put spaces after colons".into()),
    };
    // Teleport reads JSON by a reader of JSON, which knows escapes that YAML does not (`\ud83d\ude80`).
    let is_json = text.trim_start().starts_with('{');
    let json = is_json.then(|| serde_json::from_str::<Value>(text).ok()).flatten();
    match json.map_or_else(|| serde_yaml::from_str::<Value>(text), Ok) {
        Err(error) => {
            let offset = error.location().map_or(0, |location| location.index());
            // A tab is the usual reason; else libyaml's own words without its line and column.
            if let Some(found) = tab(text, offset) {
                return Err(found);
            }
            let words = error.to_string();
            let words = words.split(" at line ").next().unwrap_or_default();
            Err(disagreement(
                around(text, offset),
                format!("Teleport's YAML reader refuses this: {words}"),
            ))
        }
        Ok(theirs) if same(&theirs, node) => Ok(()),
        Ok(_) => {
            let message = "Teleport's YAML reader would understand this document differently";
            let start = text.find(|c: char| !c.is_whitespace()).unwrap_or(0);
            Err(disagreement(around(text, start), message.into()))
        }
    }
}

/// Whether both have the same structure, and the same text wherever theirs is text.
fn same(theirs: &Value, ours: &Node) -> bool {
    match (theirs, &ours.value) {
        (Value::Tagged(tagged), NodeValue::Scalar { .. }) => {
            !matches!(tagged.value, Value::Sequence(_) | Value::Mapping(_))
        }
        (Value::Tagged(tagged), NodeValue::List(_) | NodeValue::Map(_)) => {
            same(&tagged.value, ours)
        }
        (Value::String(theirs), NodeValue::Scalar { text, .. }) => theirs == text,
        (
            Value::Null | Value::Bool(_) | Value::Number(_),
            NodeValue::Scalar { scalar, style, .. },
        ) => *style == ScalarStyle::Plain || !matches!(scalar, Scalar::String(_)),
        (Value::Sequence(theirs), NodeValue::List(ours)) => {
            theirs.len() == ours.len() && theirs.iter().zip(ours).all(|(t, o)| same(t, o))
        }
        (Value::Mapping(theirs), NodeValue::Map(ours)) => {
            theirs.len() == ours.len()
                && theirs.iter().zip(ours).all(|((their_key, their_value), (key, value))| {
                    same(their_key, key) && same(their_value, value)
                })
        }
        (
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Sequence(_)
            | Value::Mapping(_),
            _,
        ) => false,
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
