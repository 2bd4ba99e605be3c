//! Source lines without their secrets, for showing.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::ops::Range;

use super::redact;
use super::split::{self, Piece};
use super::suggest::{fold, nearest};
use super::yaml::{self, Parsed};
use crate::kind::schema::{Form, Inside, Schema};
use crate::kind::{self, KINDS, schema};
use crate::model::tree::NodeValue;
use crate::model::{Findings, Node};

/// The text of a file with every secret value replaced, character for character, so that lines
/// and columns stay: what the fields of its kind hold, and, wherever it stands and whatever the
/// kind is, what stands under a key that has nearly the name of any secret field. Bytes that are
/// not UTF-8 become `?`.
pub fn source(bytes: &[u8]) -> String {
    let mut masked = Vec::new();
    let names = secret_names();
    let path = std::sync::Arc::from("");
    let mut findings = Findings { path, out: &mut Vec::new() };
    let mut end = 0;
    for piece in split::pieces(bytes, &mut findings) {
        let (range, tree) = match piece {
            Piece::Broken(range) => (range, None),
            Piece::Text(range) => {
                let text = bytes.get(range.clone()).map(std::str::from_utf8);
                let base = split::span(&range).start;
                let tree = match text {
                    Some(Ok(text)) => match yaml::parse(text, base, &mut findings) {
                        Parsed::Tree(root) => Some(root),
                        Parsed::Empty | Parsed::Broken => None,
                    },
                    Some(Err(_)) | None => None,
                };
                (range, tree)
            }
        };
        end = range.end;
        let kind = tree.as_ref().and_then(|root| root.get("kind")?.text()).and_then(kind::find);
        if let Some(root) = &tree {
            anywhere(root, &names, &mut masked);
        }
        match (&tree, kind) {
            (Some(root), Some(kind)) => {
                message(root, schema::of(kind), &mut masked);
                if kind.name.has_secret_names() {
                    masked.extend(redact::spans(kind, root).iter().map(offsets));
                }
            }
            (Some(_) | None, _) => by_name(bytes, range, &names, &mut masked),
        }
    }
    by_name(bytes, end..bytes.len(), &names, &mut masked);
    replace(bytes, &masked)
}

/// Replaces the ranges.
fn replace(bytes: &[u8], masked: &[Range<usize>]) -> String {
    let mut out = bytes.to_vec();
    for range in masked {
        let range = range.start..remark_end(bytes, range.end);
        let Some(secret) = out.get_mut(range) else { continue };
        for byte in secret {
            *byte = match *byte {
                b'\n' | b'\r' | b' ' => *byte,
                0..0x80 => b'*',
                // Neither lead nor continuation: one `?` for each byte.
                0x80.. => b'?',
            };
        }
    }
    // A byte for a byte, so that places stay true.
    let mut text = String::with_capacity(out.len());
    for chunk in out.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|_| '?'));
    }
    text
}

/// The end of a remark behind a secret on its line, which may repeat it; without one, where the
/// secret ends.
fn remark_end(bytes: &[u8], end: usize) -> usize {
    let rest = bytes.get(end..).unwrap_or_default();
    // Many secrets may stand in one long line: only where there is a remark its end is looked for.
    let is_remark = rest.iter().find(|byte| !matches!(byte, b' ' | b'\t')) == Some(&b'#');
    let line = rest.split(|byte| *byte == b'\n').next().filter(|_| is_remark);
    end + line.map_or(0, <[u8]>::len)
}

fn message(node: &Node, schema: &Schema, masked: &mut Vec<Range<usize>>) {
    let NodeValue::Map(entries) = &node.value else { return };
    for (key, value) in entries {
        let name = key.text().unwrap_or_default();
        // A misspelled name is unknown to the schema, but its value is as secret.
        let known = schema.fields.get(name).or_else(|| {
            let near = nearest(name, schema.fields.keys().map(String::as_str))?;
            schema.fields.get(near)
        });
        let Some(field) = known else { continue };
        if field.secret {
            mask(key, value, masked);
        } else {
            form(value, &field.form, masked);
        }
    }
}

/// Masks what stands under the name of a secret field where the kind has no such field: who put
/// it there by mistake must not see it shown.
fn anywhere(node: &Node, names: &BTreeSet<String>, masked: &mut Vec<Range<usize>>) {
    match &node.value {
        NodeValue::Scalar { .. } => {}
        NodeValue::List(items) => items.iter().for_each(|item| anywhere(item, names, masked)),
        NodeValue::Map(entries) => {
            for (key, value) in entries {
                if key.text().is_some_and(|name| is_near(name, names)) {
                    mask(key, value, masked);
                } else {
                    anywhere(value, names, masked);
                }
            }
        }
    }
}

fn is_near(name: &str, names: &BTreeSet<String>) -> bool {
    nearest(name, names.iter().map(String::as_str)).is_some()
}

fn form(node: &Node, form: &Form, masked: &mut Vec<Range<usize>>) {
    match (form.inside(), &node.value) {
        (Inside::Message(schema), _) => message(node, schema, masked),
        (Inside::List(inner), NodeValue::List(items)) => {
            for item in items {
                self::form(item, inner, masked);
            }
        }
        (Inside::Map(inner), NodeValue::Map(entries)) => {
            for (_, value) in entries {
                self::form(value, inner, masked);
            }
        }
        (Inside::Leaf | Inside::List(_) | Inside::Map(_), _) => {}
    }
}

/// All between the colon and the end of the value: a secret may begin like an anchor or a tag.
fn mask(key: &Node, value: &Node, masked: &mut Vec<Range<usize>>) {
    masked.push(offsets(&value.span));
    // The value of an alias stands elsewhere.
    if key.span.end < value.span.start {
        masked.push(offset(key.span.end) + 1..offset(value.span.start));
    }
}

fn offset(offset: u32) -> usize {
    usize::try_from(offset).unwrap_or(0)
}

fn offsets(span: &Range<u32>) -> Range<usize> {
    offset(span.start)..offset(span.end)
}

/// The field that is secret in some kinds only.
const NAME: &str = "name";

/// Whether a text that cannot be read has a line that says `kind:` of a kind whose names may be
/// secrets.
fn tells_secret_kind(text: &[u8]) -> bool {
    let text = String::from_utf8_lossy(text);
    text.split(['\n', ',', '{']).any(|part| {
        let Some((key, value)) = part.split_once(':') else { return false };
        let plain = |text: &str| {
            let quote = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '}' | '-');
            text.trim_matches(quote).to_owned()
        };
        let value = value.split('#').next().unwrap_or_default();
        fold(&plain(key)) == "kind"
            && kind::find_word(&plain(value)).is_some_and(|kind| kind.name.has_secret_names())
    })
}

/// Names of all secret fields, folded.
fn secret_names() -> BTreeSet<String> {
    fn collect(schema: &Schema, out: &mut BTreeSet<String>) {
        for (name, field) in &schema.fields {
            // Everything has a name; where it may be a secret, the kind says so.
            if field.secret && name != NAME {
                out.insert(fold(name));
            }
            collect_form(&field.form, out);
        }
    }
    fn collect_form(form: &Form, out: &mut BTreeSet<String>) {
        match form.inside() {
            Inside::Message(schema) => collect(schema, out),
            Inside::List(inner) | Inside::Map(inner) => collect_form(inner, out),
            Inside::Leaf => {}
        }
    }
    let mut out = BTreeSet::new();
    for kind in KINDS {
        collect(schema::of(kind), &mut out);
    }
    out
}

/// Masks what follows a secret's name: the rest of its line, and the deeper lines below.
fn by_name(
    bytes: &[u8],
    range: Range<usize>,
    names: &BTreeSet<String>,
    masked: &mut Vec<Range<usize>>,
) {
    let mut names = Cow::Borrowed(names);
    if tells_secret_kind(bytes.get(range.clone()).unwrap_or_default()) {
        names.to_mut().insert(NAME.into());
    }
    let mut start = range.start;
    // Indentation of the line with the secret, while its block lasts.
    let mut block: Option<usize> = None;
    let text = bytes.get(range).unwrap_or_default();
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        let indent = line.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        let blank = line.iter().all(u8::is_ascii_whitespace);
        if block.is_some_and(|above| indent > above) && !blank {
            masked.push(start + indent..start + line.len());
        } else if let Some(colon) = secret_colon(line, &names) {
            masked.push(start + colon + 1..start + line.len());
            block = Some(indent);
        } else if !blank {
            block = None;
        }
        start += line.len();
    }
}

/// The colon after the first secret's name in a line.
fn secret_colon(line: &[u8], names: &BTreeSet<String>) -> Option<usize> {
    let word = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    line.iter().enumerate().filter(|(_, byte)| **byte == b':').map(|(at, _)| at).find(|at| {
        let before = line.get(..*at).unwrap_or_default().trim_ascii_end();
        let before = before.strip_suffix(b"\"").or(before.strip_suffix(b"'")).unwrap_or(before);
        let name: Vec<u8> = before.iter().rev().take_while(|byte| word(byte)).copied().collect();
        let name: String = name.iter().rev().map(|byte| char::from(*byte)).collect();
        is_near(&name, names)
    })
}
