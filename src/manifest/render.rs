//! Findings as text and as JSON. Never shows a secret.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};

use super::Snapshot;
use super::mask;
use crate::model::{Diagnostic, Place, Severity, clean};

pub use super::locate::locate;

/// Longest line that is shown in full, bytes; of a longer one, what surrounds the finding.
const LINE_MAX: usize = 200;

/// Line and column of an offset: from one, in characters. Bytes that are not UTF-8 count one.
pub fn position(bytes: &[u8], offset: usize) -> (usize, usize) {
    let before = bytes.get(..offset.min(bytes.len())).unwrap_or_default();
    let line = before.split(|byte| *byte == b'\n').count();
    let start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
    let written = before.get(start..).unwrap_or_default();
    let columns: usize = written
        .utf8_chunks()
        .map(|chunk| {
            let valid = chunk.valid().chars().filter(|c| *c != '\u{FEFF}').count();
            valid + chunk.invalid().len()
        })
        .sum();
    (line, columns + 1)
}

fn place_of(place: &Place, snapshot: &Snapshot) -> (usize, usize) {
    snapshot.files.get(&place.path).map_or((1, 1), |bytes| position(bytes, place.range().start))
}

/// `roles/dev.yaml:4:15: error[M031]: …`
pub fn line(finding: &Diagnostic, snapshot: &Snapshot) -> String {
    let (line, column) = place_of(&finding.at, snapshot);
    let Diagnostic { at, severity, code, message, .. } = finding;
    let path = clean(&at.path);
    format!("{path}:{line}:{column}: {severity}[{code}]: {message}")
}

/// All findings, each with its line underlined, other places and remedy.
pub fn text(findings: &[Diagnostic], snapshot: &Snapshot, colour: bool) -> String {
    let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
    let renderer = renderer.decor_style(DecorStyle::Ascii);
    let mut sources: BTreeMap<Arc<str>, Option<String>> = BTreeMap::new();
    for finding in findings {
        for place in std::iter::once(&finding.at).chain(finding.also.iter().map(|(at, _)| at)) {
            sources.entry(Arc::clone(&place.path)).or_insert_with(|| {
                snapshot.files.get(&place.path).map(|bytes| mask::source(bytes))
            });
        }
    }
    let source = |place: &Place| sources.get(&place.path).and_then(Option::as_deref);
    let mut out = String::new();
    for finding in findings {
        out.push_str(&renderer.render(&[group(finding, &source)]));
        out.push_str("\n\n");
    }
    out
}

fn group<'a>(finding: &'a Diagnostic, source: &impl Fn(&Place) -> Option<&'a str>) -> Group<'a> {
    let level = match finding.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
        Severity::Note => Level::NOTE,
    };
    let title = level.primary_title(&finding.message).id(finding.code.0);
    let mut group = match snippet(&finding.at, source(&finding.at), AnnotationKind::Primary, "") {
        Some(snippet) => title.element(snippet),
        None => title.element(Origin::path(clean(&finding.at.path))),
    };
    for (place, label) in &finding.also {
        if let Some(snippet) = snippet(place, source(place), AnnotationKind::Context, label) {
            group = group.element(snippet);
        }
    }
    match &finding.hint {
        Some(hint) => group.element(Level::HELP.message(hint)),
        None => group,
    }
}

/// The first line of a place with the place underlined.
fn snippet<'a>(
    place: &'a Place,
    source: Option<&'a str>,
    kind: AnnotationKind,
    label: &'a str,
) -> Option<Snippet<'a, annotate_snippets::Annotation<'a>>> {
    let source = source?;
    let at = place.range().start.min(source.len());
    let before = source.get(..at)?;
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let end = source.get(at..)?.find('\n').map_or(source.len(), |newline| at + newline);
    let number = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
    let line = source.get(start..end)?.trim_end();
    let line = cut(line, LINE_MAX.max(at - start + LINE_MAX / 2));
    let from = (at - start).min(line.len());
    let to = place.range().end.saturating_sub(start).clamp(from, line.len());
    let span: Range<usize> = from..to;
    let annotation = kind.span(span);
    let annotation = if label.is_empty() { annotation } else { annotation.label(label) };
    Some(Snippet::source(line).line_start(number).path(clean(&place.path)).annotation(annotation))
}

/// A line cut at a character.
fn cut(line: &str, at: usize) -> &str {
    let mut at = at.min(line.len());
    while !line.is_char_boundary(at) {
        at -= 1;
    }
    line.get(..at).unwrap_or(line)
}

/// A finding for programs. Lines and columns as in [`position`].
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct JsonFinding {
    /// Where.
    #[serde(flatten)]
    pub at: JsonPlace,
    /// `error`, `warning` or `note`.
    pub severity: String,
    /// `M012`.
    pub code: &'static str,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
    /// Other places.
    pub also: Vec<JsonAlso>,
}

/// A place in a file.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct JsonPlace {
    /// Below the source.
    pub path: String,
    /// First character's line.
    pub line: usize,
    /// First character's column.
    pub column: usize,
    /// Line where the place ends.
    pub end_line: usize,
    /// Column behind the last character.
    pub end_column: usize,
}

/// Another place, and why it matters.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct JsonAlso {
    /// Where.
    pub at: JsonPlace,
    /// Why.
    pub label: String,
}

/// All findings for `--format json`.
pub fn json(findings: &[Diagnostic], snapshot: &Snapshot) -> Vec<JsonFinding> {
    let place = |place: &Place| {
        let bytes: &[u8] = snapshot.files.get(&place.path).map_or(&[], |bytes| bytes);
        let (line, column) = position(bytes, place.range().start);
        let (end_line, end_column) = position(bytes, place.range().end);
        JsonPlace { path: place.path.to_string(), line, column, end_line, end_column }
    };
    findings
        .iter()
        .map(|finding| JsonFinding {
            at: place(&finding.at),
            severity: finding.severity.to_string(),
            code: finding.code.0,
            message: finding.message.clone(),
            hint: finding.hint.clone(),
            also: finding
                .also
                .iter()
                .map(|(at, label)| JsonAlso { at: place(at), label: label.clone() })
                .collect(),
        })
        .collect()
}
