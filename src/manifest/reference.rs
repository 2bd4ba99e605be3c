//! References to secrets: `secret://NAME/KEY`, `file://PATH`, `env://NAME` in place of a value.
//!
//! The text of a reference is no secret. What it refers to is read with the source and lies in
//! the snapshot; here it takes the place of the reference before anything else looks at the
//! document.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::codes;
use crate::kind::schema::{Form, Schema};
use crate::model::tree::NodeValue;
use crate::model::{Digest, Findings, Node, Scalar, ScalarStyle, Severity};

/// What a reference refers to. Never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Content(pub Arc<[u8]>);

impl std::fmt::Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Content(…)")
    }
}

/// What the references of a snapshot refer to, or why that could not be read, by their text.
pub type Secrets = BTreeMap<Arc<str>, Result<Content, String>>;

/// A reference, taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reference<'a> {
    /// `secret://NAME/KEY`.
    Secret {
        /// The folder.
        name: &'a str,
        /// The file in it.
        key: &'a str,
    },
    /// `file://PATH`; a relative one counts from the source.
    File(&'a str),
    /// `env://NAME`.
    Variable(&'a str),
}

/// The beginnings of references.
const SECRET: &str = "secret://";
const FILE: &str = "file://";
const VARIABLE: &str = "env://";

/// What all of them have in common.
const MARK: &str = "://";

impl<'a> Reference<'a> {
    /// Takes a text apart.
    ///
    /// # Errors
    /// It begins as a reference, but is none: what is expected.
    pub fn parse(text: &'a str) -> Result<Self, &'static str> {
        let plain = text.chars().all(is_plain);
        let part = |part: &str| !matches!(part, "" | "." | "..") && !part.contains('/');
        if let Some(rest) = text.strip_prefix(SECRET) {
            return match rest.split_once('/') {
                Some((name, key)) if plain && part(name) && part(key) => {
                    Ok(Self::Secret { name, key })
                }
                Some(_) | None => Err("write `secret://NAME/KEY`"),
            };
        }
        if let Some(path) = text.strip_prefix(FILE) {
            let good = plain && !path.is_empty() && !path.ends_with('/');
            return if good { Ok(Self::File(path)) } else { Err("write `file://PATH`") };
        }
        let name = text.strip_prefix(VARIABLE).unwrap_or_default();
        let good = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if !name.is_empty() && name.chars().all(good) && !name.starts_with(|c: char| c.is_numeric())
        {
            Ok(Self::Variable(name))
        } else {
            Err("write `env://NAME`")
        }
    }
}

/// Whether a value is meant as a reference.
pub fn is_meant(text: &str) -> bool {
    [SECRET, FILE, VARIABLE].iter().any(|start| text.trim_start().starts_with(start))
}

/// Whether a value begins as an address does, `vault://`.
fn has_scheme(text: &str) -> bool {
    let scheme = text.trim_start().split_once(MARK).map(|(scheme, _)| scheme);
    scheme.is_some_and(|scheme| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+.-".contains(c))
    })
}

/// Characters of references. What else may stand in the name of a file would need YAML's quotes
/// and escapes, and then nobody could find references without reading documents.
fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '_' | '-' | '+' | '@' | '~' | '=' | ':')
}

/// Everything in a file that looks like a reference, wherever it stands: more than what its
/// documents mean, never less.
pub fn find(bytes: &[u8], found: &mut BTreeSet<Arc<str>>) {
    // A broken document beside a good one must not hide it.
    for chunk in bytes.utf8_chunks().map(|chunk| chunk.valid()) {
        // Most files hold none, which one search tells as well as three.
        if !chunk.contains(MARK) {
            continue;
        }
        for start in [SECRET, FILE, VARIABLE] {
            for (at, _) in chunk.match_indices(start) {
                let rest = chunk.get(at..).unwrap_or_default();
                let end = rest.find(|c| !is_plain(c)).unwrap_or(rest.len());
                let text = rest.get(..end).unwrap_or_default();
                // `key: secret://a/b` has no colon at its end; `secret://a/b: x` is a key.
                let text = text.trim_end_matches(':');
                if Reference::parse(text).is_ok() {
                    found.insert(text.into());
                }
            }
        }
    }
}

/// Everything in a snapshot's files that looks like a reference.
pub fn all(files: &BTreeMap<Arc<str>, Arc<[u8]>>) -> BTreeSet<Arc<str>> {
    let mut found = BTreeSet::new();
    for bytes in files.values() {
        find(bytes, &mut found);
    }
    found
}

/// What a file's documents refer to, and what stood there: the reading of the file holds while
/// this does. `None` for what could not be read.
pub(super) type Used = BTreeMap<Arc<str>, Option<Digest>>;

/// The same for the contents of now.
pub(super) fn state(secrets: &Secrets, text: &str) -> Option<Digest> {
    match secrets.get(text) {
        Some(Ok(content)) => Some(Digest::of(&content.0)),
        Some(Err(_)) | None => None,
    }
}

/// Puts contents in the place of references.
pub(super) struct Filling<'a> {
    pub(super) secrets: &'a Secrets,
    pub(super) used: &'a mut Used,
}

impl Filling<'_> {
    /// Fills in a whole document. A reference that cannot be followed is reported where it
    /// stands, and unset.
    pub(super) fn document(
        &mut self,
        root: &mut Node,
        schema: &Schema,
        findings: &mut Findings<'_>,
    ) {
        self.message(root, schema, &["metadata", "name"], findings);
    }

    /// `untouched`: the way to the name, which says what the document is about.
    fn message(
        &mut self,
        node: &mut Node,
        schema: &Schema,
        untouched: &[&str],
        findings: &mut Findings<'_>,
    ) {
        let NodeValue::Map(entries) = &mut node.value else { return };
        for (key, value) in entries {
            let Some(name) = key.text() else { continue };
            let Some(field) = schema.fields.get(name) else { continue };
            let inner = match untouched {
                [first] if *first == name => continue,
                [first, rest @ ..] if *first == name => rest,
                [..] => &[],
            };
            if !field.server_owned {
                self.form(value, &field.form, field.secret, (name, inner), findings);
            }
        }
    }

    fn form(
        &mut self,
        node: &mut Node,
        form: &Form,
        secret: bool,
        (name, untouched): (&str, &[&str]),
        findings: &mut Findings<'_>,
    ) {
        match form {
            Form::Message(schema) => self.message(node, schema, untouched, findings),
            Form::Text if secret => self.leaf(node, false, name, findings),
            Form::Bytes if secret => self.leaf(node, true, name, findings),
            Form::List(inner) => {
                if let NodeValue::List(items) = &mut node.value {
                    for item in items {
                        self.form(item, inner, secret, (name, &[]), findings);
                    }
                }
            }
            Form::Map(inner) => {
                if let NodeValue::Map(entries) = &mut node.value {
                    for (_, value) in entries {
                        self.form(value, inner, secret, (name, &[]), findings);
                    }
                }
            }
            Form::Text
            | Form::Bytes
            | Form::Bool
            | Form::BoolWord
            | Form::BoolOption
            | Form::Int { .. }
            | Form::Duration
            | Form::DurationMessage
            | Form::Timestamp
            | Form::Enum(_)
            | Form::Labels
            | Form::Traits => {}
        }
    }

    fn leaf(&mut self, node: &mut Node, bytes: bool, name: &str, findings: &mut Findings<'_>) {
        let NodeValue::Scalar { scalar: Scalar::String(value), .. } = &node.value else { return };
        let content = if is_meant(value) {
            let text = value.trim().to_owned();
            self.content(&text, bytes).map_err(|(why, hint)| {
                (format!("refers to a secret that cannot be read: {why}"), hint)
            })
        } else if !bytes && has_scheme(value) {
            // It would be stored as the secret, and everybody who reads the file would know it.
            let hint = "write `secret://NAME/KEY`, `file://PATH` or `env://NAME`";
            Err(("looks like a reference, but there is none that begins so".to_owned(), hint))
        } else {
            return;
        };
        let filled = match content {
            Ok(filled) => Scalar::String(filled.into()),
            Err((why, hint)) => {
                let message = format!("`{name}` {why}");
                findings.add(
                    Severity::Error,
                    codes::SECRET_REFERENCE,
                    &node.span,
                    message,
                    Some(hint),
                );
                Scalar::Null
            }
        };
        let text = match &filled {
            Scalar::String(text) => text.clone(),
            Scalar::Null | Scalar::Bool(_) | Scalar::Int(_) | Scalar::Float(_) => "".into(),
        };
        node.value = NodeValue::Scalar { scalar: filled, text, style: ScalarStyle::Text };
    }

    fn content(&mut self, text: &str, bytes: bool) -> Result<String, (String, &'static str)> {
        let again = "until it can be read, the resource stays as it is";
        Reference::parse(text)
            .map_err(|expected| ("it is not a reference".to_owned(), expected))?;
        self.used.insert(text.into(), state(self.secrets, text));
        let content = match self.secrets.get(text) {
            Some(Ok(content)) => content,
            Some(Err(reason)) => return Err((reason.clone(), again)),
            None => {
                let reason = "it was not found in the text of the file".to_owned();
                return Err((reason, "write it without escapes"));
            }
        };
        if bytes {
            return Ok(STANDARD.encode(&content.0));
        }
        let value = std::str::from_utf8(&content.0)
            .map_err(|_position| ("it is not text (UTF-8)".to_owned(), again))?;
        // What `echo` puts at the end of a file is no part of a token.
        Ok(value.strip_suffix('\n').map_or(value, |line| line.trim_end_matches('\r')).to_owned())
    }
}
