//! Words for what is wrong with a text that is not YAML.

use std::ops::Range;

use granit_parser::{ErrorKind, ScanError};

use super::DEPTH_MAX;
use crate::manifest::codes;
use crate::model::Code;

/// What ends the reading of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The rule.
    pub code: Code,
    /// Bytes of the document.
    pub range: Range<usize>,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}

/// The first line that says something, if it is a directive (`%YAML 1.2`).
pub(super) fn directive(text: &str) -> Option<Range<usize>> {
    let mut offset = 0;
    for line in text.split_inclusive('\n') {
        let written = line.trim_end();
        if written.starts_with('%') {
            return Some(offset..offset + written.len());
        }
        if !written.is_empty() && !written.starts_with('#') {
            return None;
        }
        offset += line.len();
    }
    None
}

/// Puts the parser's complaint into words.
#[expect(clippy::wildcard_enum_match_arm, reason = "the rest keeps the parser's own words")]
pub(super) fn problem(text: &str, error: &ScanError) -> Problem {
    let offset = error.marker().byte_offset().unwrap_or(text.len()).min(text.len());
    if let Some(found) = tab(text, offset) {
        return found;
    }
    let (code, message, hint) = match error.kind() {
        ErrorKind::RecursionLimitExceeded => (
            codes::TOO_DEEP,
            format!("nested deeper than {DEPTH_MAX} levels"),
            Some("no resource is nested that deep"),
        ),
        ErrorKind::UnclosedQuotedScalar | ErrorKind::DocumentIndicatorInQuotedScalar => {
            (codes::SYNTAX, "a quote is not closed".into(), Some("close it"))
        }
        ErrorKind::UnclosedFlowCollection { open } => {
            (codes::SYNTAX, format!("`{open}` is not closed"), Some("close it"))
        }
        ErrorKind::InvalidQuotedScalarIndent => (
            codes::SYNTAX,
            "a quote is not closed, or its text is not indented".into(),
            Some("close it on the same line"),
        ),
        ErrorKind::MismatchedFlowCollectionEnd { open, close } => (
            codes::SYNTAX,
            format!("`{open}` is closed by `{close}`"),
            Some("close it with its own bracket"),
        ),
        ErrorKind::UnexpectedEofFlowSequence => {
            (codes::SYNTAX, "`[` is not closed".into(), Some("close it with `]`"))
        }
        ErrorKind::UnexpectedEofFlowMapping | ErrorKind::UnexpectedEofImplicitFlowMapping => {
            (codes::SYNTAX, "`{` is not closed".into(), Some("close it with `}`"))
        }
        ErrorKind::UnknownAnchor => {
            let hint = "define the anchor (`&name`) earlier in the same document";
            (codes::SYNTAX, "an alias without an anchor".into(), Some(hint))
        }
        ErrorKind::SimpleKeyExpected | ErrorKind::InvalidSimpleKey => (
            codes::SYNTAX,
            "this is no `key: value`".into(),
            Some("look for a missing colon or quote"),
        ),
        ErrorKind::TabNotAllowed
        | ErrorKind::TabInBlockIndentation
        | ErrorKind::TabInIndentation
        | ErrorKind::TabAtBlockScalarStart => {
            (codes::TAB, "a tab where spaces belong".into(), Some("use spaces"))
        }
        _ => {
            let hint =
                "quote text that contains special characters of YAML, and check the indentation";
            (codes::SYNTAX, error.info(), Some(hint))
        }
    };
    let of_quote = matches!(
        error.kind(),
        ErrorKind::UnclosedQuotedScalar
            | ErrorKind::DocumentIndicatorInQuotedScalar
            | ErrorKind::InvalidQuotedScalarIndent
    );
    // The parser notices it where the text behind the quote ends.
    let offset = of_quote.then(|| open_quote(text, offset)).flatten().unwrap_or(offset);
    Problem { code, range: around(text, offset), message, hint: hint.map(Into::into) }
}

/// The last quote before an offset that is not closed on its line.
fn open_quote(text: &str, offset: usize) -> Option<usize> {
    let end = text.get(offset..)?.find('\n').map_or(text.len(), |newline| offset + newline);
    let mut line_end = end;
    for line in text.get(..end)?.rsplit('\n') {
        let start = line_end - line.len();
        if let Some(found) = unclosed(line) {
            return Some(start + found);
        }
        line_end = start.saturating_sub(1);
    }
    None
}

/// Where a quote opens in a line that does not close it.
fn unclosed(line: &str) -> Option<usize> {
    let mut open: Option<(usize, char)> = None;
    let (mut before, mut escaped) = (' ', false);
    for (at, c) in line.char_indices() {
        open = match open {
            Some(_) if escaped => open,
            Some((_, quote)) if c == quote => None,
            // Quotes inside a word are letters like others.
            None if matches!(c, '"' | '\'') && matches!(before, ' ' | '[' | '{' | ',' | ':') => {
                Some((at, c))
            }
            Some(_) | None => open,
        };
        escaped = !escaped && c == '\\' && matches!(open, Some((_, '"')));
        before = c;
    }
    open.map(|(at, _)| at)
}

/// One character at an offset, or the last one of the line before it.
pub(super) fn around(text: &str, offset: usize) -> Range<usize> {
    let mut offset = offset.min(text.len());
    while !text.is_char_boundary(offset) {
        offset -= 1;
    }
    let rest = text.get(offset..).unwrap_or_default();
    if let Some(next) = rest.chars().next().filter(|next| !next.is_whitespace()) {
        return offset..offset + next.len_utf8();
    }
    let before = text.get(..offset).unwrap_or_default().trim_end();
    let width = before.chars().next_back().map_or(0, char::len_utf8);
    before.len() - width..before.len()
}

/// A tab in the indentation of the line of an offset, or of its neighbours: the usual reason.
pub(super) fn tab(text: &str, offset: usize) -> Option<Problem> {
    let mut end = offset;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let before = text.get(..end)?;
    let this = before.rfind('\n').map_or(0, |newline| newline + 1);
    let previous = text.get(..this.saturating_sub(1))?.rfind('\n').map_or(0, |newline| newline + 1);
    let next = text.get(end..)?.find('\n').map_or(text.len(), |newline| end + newline + 1);
    let start = [this, previous, next].into_iter().find_map(|start| {
        let line = text.get(start..)?;
        let indent = line.find(|c: char| c != ' ' && c != '\t')?;
        line.get(..indent)?.find('\t').map(|tab| start + tab)
    })?;
    Some(Problem {
        code: codes::TAB,
        range: start..start + 1,
        message: "a tab in the indentation".into(),
        hint: Some("use spaces".into()),
    })
}
