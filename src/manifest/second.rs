//! The second reader: libyaml, the ancestor of the parser in Go that Teleport uses.
//!
//! Where the two see different structure or different text, one of them is not what Teleport
//! sees, and the document is refused. It costs as much as the first reading, so a document of
//! nothing but plain lines (`key: word`, `- word`, `[word, word]`, simple quotes, comments), where
//! they cannot differ, is spared; a property test compares them on such documents.

use serde_yaml::Value;

use super::codes;
use super::syntax::{Problem, around, tab};
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
    match serde_yaml::from_str::<Value>(text) {
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

/// Whether a document has nothing but lines that no two readers take differently.
pub fn is_plain(text: &str) -> bool {
    let readable = |byte: u8| matches!(byte, b' '..=b'~' | b'\n') && byte != b'\\';
    text.bytes().all(readable) && text.ends_with('\n') && text.lines().all(plain_line)
}

fn plain_line(line: &str) -> bool {
    let mut rest = line.trim_start_matches(' ').trim_end_matches(' ');
    if rest.is_empty() || rest.starts_with('#') || line == "---" {
        return true;
    }
    let mut item = false;
    while let Some(inner) = rest.strip_prefix("- ") {
        item = true;
        rest = inner.trim_start_matches(' ');
    }
    let after_key = match rest.split_once(':') {
        Some((key, value)) if plain_key(key) && (value.is_empty() || value.starts_with(' ')) => {
            Some(value.trim_start_matches(' '))
        }
        Some(_) | None => None,
    };
    match after_key {
        Some("") => true,
        Some(value) => plain_value(value),
        None => item && plain_value(rest),
    }
}

fn plain_key(key: &str) -> bool {
    let word = quoted(key).unwrap_or(key);
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'/' | b'-');
    let starts = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    // `'*'` is the one odd key that every role has.
    (word.len() < key.len() && word == "*")
        || (word.bytes().all(fits) && word.bytes().next().is_some_and(starts))
}

fn plain_value(value: &str) -> bool {
    if let Some(inner) = quoted(value) {
        return !inner.is_empty();
    }
    if let Some(items) = value.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return items.split(',').all(plain_item);
    }
    let starts = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'_' | b'.');
    value.bytes().next().is_some_and(starts)
        && !value.contains(": ")
        && !value.ends_with(':')
        && !value.contains(" #")
}

/// An item of a list on one line: a word, or simple quotes without a comma in them. An empty
/// list has no plain item, and stays with the second reader.
fn plain_item(item: &str) -> bool {
    let item = item.trim_matches(' ');
    if let Some(inner) = quoted(item) {
        return !inner.is_empty();
    }
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'/' | b'-');
    let starts = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'/';
    item.bytes().all(fits) && item.bytes().next().is_some_and(starts)
}

/// The inside of simple quotes that end where the text ends.
fn quoted(text: &str) -> Option<&str> {
    let quote = text.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let inner = text.strip_prefix(quote)?.strip_suffix(quote)?;
    (!inner.contains(['"', '\''])).then_some(inner)
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
