//! What is not told of a document whose name may be a secret.
//!
//! Who writes such a document by hand may put the secret anywhere: as a key, as a date, as a
//! role. So nothing of it is shown but the words that the kind itself knows.

use std::collections::BTreeSet;
use std::ops::Range;

use super::leaf;
use crate::kind::schema::{self, Form, Inside, Schema};
use crate::kind::{KINDS, Kind};
use crate::model::tree::NodeValue;
use crate::model::{Diagnostic, Node, Scalar};

/// What stands in the place of a typed text.
const HIDDEN: &str = "(not shown)";

/// Shorter texts (bytes) are hidden only between backticks: elsewhere they would be found in
/// ordinary words.
const WORD_MIN: usize = 4;

/// Takes what was typed out of findings.
pub(super) fn hide(kind: &Kind, root: &Node, findings: &mut [Diagnostic]) {
    if findings.is_empty() {
        return;
    }
    let known = vocabulary(kind);
    let mut typed = BTreeSet::new();
    each(root, &known, &mut |node| forms_of(node, &mut typed));
    let mut typed: Vec<&str> = typed.iter().map(String::as_str).collect();
    // The longest first: a part must not spoil the whole.
    typed.sort_by_key(|text| std::cmp::Reverse(text.len()));
    let veil = |text: &mut String| *text = veiled(text, &typed, &known);
    for finding in findings {
        veil(&mut finding.message);
        if let Some(hint) = &mut finding.hint {
            veil(hint);
        }
        for (_, label) in &mut finding.also {
            veil(label);
        }
    }
}

/// Where everything stands that is not told.
pub(super) fn spans(kind: &Kind, root: &Node) -> Vec<Range<u32>> {
    let mut spans = Vec::new();
    each(root, &vocabulary(kind), &mut |node| spans.push(node.span.clone()));
    spans
}

/// Every key and value that is no word of the kind.
fn each(node: &Node, known: &BTreeSet<String>, seen: &mut impl FnMut(&Node)) {
    match &node.value {
        NodeValue::Scalar { text, scalar, .. } => {
            let says_nothing = text.is_empty() || matches!(scalar, Scalar::Null | Scalar::Bool(_));
            if !says_nothing && !known.contains(&**text) {
                seen(node);
            }
        }
        NodeValue::List(items) => items.iter().for_each(|item| each(item, known, seen)),
        NodeValue::Map(entries) => {
            for (key, value) in entries {
                each(key, known, seen);
                each(value, known, seen);
            }
        }
    }
}

/// All forms in which a message may show a text.
fn forms_of(node: &Node, out: &mut BTreeSet<String>) {
    let NodeValue::Scalar { text, scalar, .. } = &node.value else { return };
    match scalar {
        Scalar::Int(number) => {
            out.insert(number.to_string());
        }
        Scalar::Float(number) => {
            out.insert(number.to_string());
        }
        Scalar::Null | Scalar::Bool(_) | Scalar::String(_) => {}
    }
    out.insert(text.to_string());
    out.insert(text.trim().to_owned());
    out.insert(leaf::short(text).trim_end_matches('…').to_owned());
    out.remove("");
}

fn veiled(text: &str, typed: &[&str], known: &BTreeSet<String>) -> String {
    let parts = text.split('`').enumerate().map(|(index, part)| {
        let is_quoted = index % 2 == 1;
        // `spec.allow` is made of words of the kind.
        let is_ours = is_quoted && part.split(['.', '"']).all(|word| known.contains(word));
        if is_ours {
            part.to_owned()
        } else if is_quoted && typed.iter().any(|it| part.contains(it)) {
            HIDDEN.to_owned()
        } else {
            let long = typed.iter().filter(|it| it.len() >= WORD_MIN);
            long.fold(part.to_owned(), |part, it| part.replace(it, HIDDEN))
        }
    });
    let told = parts.collect::<Vec<_>>().join("`");
    // A typed backtick upsets the pairs.
    let long = typed.iter().filter(|it| it.contains('`'));
    long.fold(told, |told, it| told.replace(it, HIDDEN))
}

/// The words of a kind: its fields, and what may stand in them.
fn vocabulary(kind: &Kind) -> BTreeSet<String> {
    let mut known = BTreeSet::new();
    collect(schema::of(kind), &mut known);
    known.extend(KINDS.iter().map(|kind| kind.name.to_string()));
    known.extend(kind.versions.iter().map(|version| (*version).to_owned()));
    known.extend((kind.values)().into_iter().map(str::to_owned));
    known
}

fn collect(schema: &Schema, known: &mut BTreeSet<String>) {
    for (name, field) in &schema.fields {
        known.insert(name.clone());
        form(&field.form, known);
    }
}

fn form(form: &Form, known: &mut BTreeSet<String>) {
    if let Form::Enum(words) = form {
        known.extend(words.iter().map(|(word, _)| word.clone()).filter(|word| !word.is_empty()));
    }
    match form.inside() {
        Inside::Message(schema) => collect(schema, known),
        Inside::List(inner) | Inside::Map(inner) => self::form(inner, known),
        Inside::Leaf => {}
    }
}
