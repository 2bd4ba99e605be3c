//! What is not told of a document whose name may be a secret.
//!
//! Who writes such a document by hand may put the secret anywhere: as a key, as a date, as a
//! role. So nothing of it is shown but the words that the kind itself knows.

use std::collections::BTreeSet;
use std::ops::{Bound, Range};

use super::scalar_check;
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
    let mut typed = Typed::default();
    each(root, &known, &mut |node| typed.learn(node));
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

/// What was typed, to be found in messages: in time that does not grow with how much it is.
#[derive(Default)]
struct Typed {
    /// All forms in which a message may show a text, cut to [`START_MAX`].
    starts: BTreeSet<String>,
    /// Whether a backtick is among it, which upsets the pairs in messages.
    has_backticks: bool,
}

/// Characters of a typed text that are looked for; what follows them is hidden with them.
const START_MAX: usize = scalar_check::SHOWN_MAX;

impl Typed {
    fn learn(&mut self, node: &Node) {
        let NodeValue::Scalar { text, scalar, .. } = &node.value else { return };
        self.has_backticks |= text.contains('`');
        match scalar {
            Scalar::Int(number) => self.form(&number.to_string()),
            Scalar::Float(number) => self.form(&number.to_string()),
            Scalar::Null | Scalar::Bool(_) | Scalar::String(_) => {}
        }
        self.form(text);
        self.form(text.trim());
        self.form(scalar_check::short(text).trim_end_matches('…'));
    }

    fn form(&mut self, text: &str) {
        if !text.is_empty() {
            self.starts.insert(text.chars().take(START_MAX).collect());
        }
    }

    /// The longest of the typed texts that a text begins with.
    fn at_start<'a>(&self, text: &'a str) -> Option<&'a str> {
        // All that begins like the one that is wanted stands between it and `text`, in order:
        // so does the nearest before `text`, and what both have in common begins with it too.
        let mut rest = text;
        loop {
            let up_to = (Bound::Unbounded, Bound::Included(rest));
            let near = self.starts.range::<str, _>(up_to).next_back()?;
            let common = rest.char_indices().zip(near.chars()).find(|((_, a), b)| a != b);
            let Some(((at, _), _)) = common else { return rest.get(..near.len()) };
            rest = rest.get(..at)?;
        }
    }

    fn is_in(&self, text: &str) -> bool {
        text.char_indices().any(|(at, _)| self.at_start(text.get(at..).unwrap_or("")).is_some())
    }

    /// A text without what was typed.
    fn taken_from(&self, text: &str) -> String {
        let (mut out, mut rest) = (String::with_capacity(text.len()), text);
        while let Some(first) = rest.chars().next() {
            let typed = self.at_start(rest).filter(|typed| typed.len() >= WORD_MIN);
            let Some(typed) = typed else {
                out.push(first);
                rest = rest.get(first.len_utf8()..).unwrap_or_default();
                continue;
            };
            out.push_str(HIDDEN);
            // Of a text that was cut nobody knows where it ends.
            let is_whole = typed.chars().count() < START_MAX;
            rest = rest.get(typed.len()..).filter(|_| is_whole).unwrap_or_default();
        }
        out
    }
}

fn veiled(text: &str, typed: &Typed, known: &BTreeSet<String>) -> String {
    if let (true, Some(first), Some(last)) = (typed.has_backticks, text.find('`'), text.rfind('`'))
    {
        let outside = |part: Option<&str>| typed.taken_from(part.unwrap_or_default());
        return format!(
            "{}`{HIDDEN}`{}",
            outside(text.get(..first)),
            outside(text.get(last + 1..))
        );
    }
    let parts = text.split('`').enumerate().map(|(index, part)| {
        let is_quoted = index % 2 == 1;
        // `spec.allow` is made of words of the kind.
        let is_ours = is_quoted && part.split(['.', '"']).all(|word| known.contains(word));
        if is_ours {
            part.to_owned()
        } else if is_quoted && typed.is_in(part) {
            HIDDEN.to_owned()
        } else {
            typed.taken_from(part)
        }
    });
    parts.collect::<Vec<_>>().join("`")
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
