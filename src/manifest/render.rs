//! Findings as text and as JSON. Never shows a secret.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Element, Group, Level, Origin, Renderer, Snippet};

use super::Snapshot;
use super::mask;
use crate::model::{Diagnostic, Place, Severity, clean};

use super::lines::Lines;
pub use super::lines::position;
pub use super::locate::locate;

/// Most bytes of a line that are shown on each side of the beginning of a finding.
const LINE_MAX: usize = 200;

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

/// All places of a finding.
fn places(finding: &Diagnostic) -> impl Iterator<Item = &Place> {
    std::iter::once(&finding.at).chain(finding.also.iter().map(|(at, _)| at))
}

/// All findings, each with its line underlined, other places and remedy.
pub fn text(findings: &[Diagnostic], snapshot: &Snapshot, colour: bool) -> String {
    let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
    let renderer = renderer.decor_style(DecorStyle::Ascii);
    let mut sources: BTreeMap<Arc<str>, Option<String>> = BTreeMap::new();
    for place in findings.iter().flat_map(places) {
        sources
            .entry(Arc::clone(&place.path))
            .or_insert_with(|| snapshot.files.get(&place.path).map(|bytes| mask::source(bytes)));
    }
    let sources: BTreeMap<&str, Source<'_>> = sources
        .iter()
        .filter_map(|(path, text)| {
            let text = text.as_deref()?;
            Some((&**path, Source { text, lines: Lines::of(text.as_bytes()) }))
        })
        .collect();
    let source = |place: &Place| sources.get(&*place.path);
    let mut out = String::new();
    for finding in findings {
        out.push_str(&renderer.render(&[group(finding, &source)]));
        out.push_str("\n\n");
    }
    out
}

/// A file for showing.
struct Source<'a> {
    text: &'a str,
    lines: Lines<'a>,
}

fn group<'a>(
    finding: &'a Diagnostic,
    source: &impl Fn(&Place) -> Option<&'a Source<'a>>,
) -> Group<'a> {
    let level = match finding.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
        Severity::Note => Level::NOTE,
    };
    let title = level.primary_title(&finding.message).id(finding.code.0);
    let mut group = Group::with_title(title);
    match snippet(&finding.at, source(&finding.at), AnnotationKind::Primary, "") {
        Some(elements) => group = group.elements(elements),
        None => group = group.element(Origin::path(clean(&finding.at.path))),
    }
    for (place, label) in &finding.also {
        let elements = snippet(place, source(place), AnnotationKind::Context, label);
        group = group.elements(elements.into_iter().flatten());
    }
    match &finding.hint {
        Some(hint) => group.element(Level::HELP.message(hint)),
        None => group,
    }
}

/// The first line of a place with the place underlined; of a long line, what surrounds it.
fn snippet<'a>(
    place: &'a Place,
    source: Option<&'a Source<'a>>,
    kind: AnnotationKind,
    label: &'a str,
) -> Option<Vec<Element<'a>>> {
    let Source { text, lines } = source?;
    let at = place.range().start.min(text.len());
    let first = text.floor_char_boundary(at.saturating_sub(LINE_MAX));
    let before = text.get(first..at)?;
    let newline = before.rfind('\n');
    let start = newline.map_or(first, |newline| first + newline + 1);
    let last = text.floor_char_boundary(at + LINE_MAX);
    let after = text.get(at..last)?;
    let end = after.find('\n').map_or(last, |newline| at + newline);
    let (number, column) = lines.position(at);
    let line = text.get(start..end)?.trim_end();
    let from = (at - start).min(line.len());
    let to = place.range().end.saturating_sub(start).clamp(from, line.len());
    let span: Range<usize> = from..to;
    let annotation = kind.span(span);
    let annotation = if label.is_empty() { annotation } else { annotation.label(label) };
    let snippet = Snippet::source(line).line_start(number).annotation(annotation);
    let path = clean(&place.path);
    if newline.is_some() || first == 0 {
        return Some(vec![snippet.path(path).into()]);
    }
    // Columns count from the beginning of the line, which is not shown.
    let origin = Origin::path(path).line(number).char_column(column);
    Some(vec![origin.into(), snippet.into()])
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
    let mut files: BTreeMap<&str, Lines<'_>> = BTreeMap::new();
    for place in findings.iter().flat_map(places) {
        let bytes: &[u8] = snapshot.files.get(&place.path).map_or(&[], |bytes| bytes);
        files.entry(&place.path).or_insert_with(|| Lines::of(bytes));
    }
    let place = |place: &Place| {
        let at = |offset| files.get(&*place.path).map_or((1, 1), |lines| lines.position(offset));
        let (line, column) = at(place.range().start);
        let (end_line, end_column) = at(place.range().end);
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
