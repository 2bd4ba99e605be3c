//! A file's bytes cut into documents, before any parser sees them.
//!
//! Cutting first is what tctl does too (at lines that begin with `---`), and a document that is
//! broken cannot hide what is wrong with the others.

use std::ops::Range;

use super::codes;
use crate::model::{Findings, Severity};

/// Largest file, bytes. A directory of ten thousand manifests in one file has 10 MiB.
pub const FILE_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Largest document, bytes. Teleport's own messages end at 4 MiB.
pub const DOCUMENT_BYTES_MAX: usize = 1024 * 1024;

/// Most documents in one file.
pub const DOCUMENTS_MAX: usize = 20_000;

/// The UTF-8 byte order mark.
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// A document's bytes in its file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// To be parsed; text without control characters.
    Text(Range<usize>),
    /// Already found unreadable, and reported.
    Broken(Range<usize>),
}

/// Cuts a file. Reports what makes a piece unreadable.
pub fn pieces(bytes: &[u8], findings: &mut Findings<'_>) -> Vec<Piece> {
    if bytes.len() > FILE_BYTES_MAX {
        let message =
            format!("the file has {} bytes, more than the limit of {FILE_BYTES_MAX}", bytes.len());
        let hint = Some("split it");
        findings.add(Severity::Error, codes::FILE_TOO_LARGE, &(0..0), message, hint);
        return vec![Piece::Broken(0..0)];
    }
    if bytes.starts_with(b"\xFF\xFE") || bytes.starts_with(b"\xFE\xFF") {
        let hint = Some("save the file as UTF-8");
        findings.add(Severity::Error, codes::NOT_UTF8, &(0..2), "the file is UTF-16", hint);
        return vec![Piece::Broken(0..bytes.len())];
    }
    let mut start = 0;
    if bytes.starts_with(BYTE_ORDER_MARK) {
        start = BYTE_ORDER_MARK.len();
        let message = "the byte order mark is ignored";
        let hint = Some("save the file without it");
        findings.add(Severity::Note, codes::BYTE_ORDER_MARK, &span(&(0..start)), message, hint);
    }
    let mut out = Vec::new();
    for range in ranges(bytes, start) {
        if out.len() == DOCUMENTS_MAX {
            let message = format!("the file has more than {DOCUMENTS_MAX} documents");
            let at = span(&(range.start..range.start));
            findings.add(
                Severity::Error,
                codes::TOO_MANY_DOCUMENTS,
                &at,
                message,
                Some("split it"),
            );
            out.push(Piece::Broken(range.start..bytes.len()));
            break;
        }
        out.push(piece(bytes, range, findings));
    }
    out
}

/// Offsets of a file within [`FILE_BYTES_MAX`] fit.
pub fn span(range: &Range<usize>) -> Range<u32> {
    let offset = |offset: usize| u32::try_from(offset).unwrap_or(u32::MAX);
    offset(range.start)..offset(range.end)
}

/// Ranges of the documents: between `---` lines, and JSON objects one by one.
fn ranges(bytes: &[u8], start: usize) -> Vec<Range<usize>> {
    let mut out = Vec::new();
    let mut at = start;
    let mut line = start;
    while line < bytes.len() {
        let rest = bytes.get(line..).unwrap_or_default();
        if line > at && is_marker(rest) {
            json_ranges(bytes, at..line, &mut out);
            at = line;
        }
        line += rest.iter().position(|&byte| byte == b'\n').map_or(rest.len(), |found| found + 1);
    }
    json_ranges(bytes, at..bytes.len(), &mut out);
    out
}

/// Whether a line begins a document.
fn is_marker(line: &[u8]) -> bool {
    line.strip_prefix(b"---").is_some_and(|rest| {
        rest.first().is_none_or(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n'))
    })
}

/// Concatenated JSON objects are documents of their own; anything else is one.
fn json_ranges(bytes: &[u8], range: Range<usize>, out: &mut Vec<Range<usize>>) {
    let text = bytes.get(range.clone()).unwrap_or_default();
    let first = text.iter().find(|byte| !byte.is_ascii_whitespace());
    if first == Some(&b'{') {
        let mut objects = Vec::new();
        let mut start = 0;
        let mut stream =
            serde_json::Deserializer::from_slice(text).into_iter::<serde::de::IgnoredAny>();
        let mut whole = true;
        while let Some(object) = stream.next() {
            whole &= object.is_ok();
            if !whole {
                break;
            }
            let end = stream.byte_offset();
            objects.push(range.start + start..range.start + end);
            start = end;
        }
        if whole && objects.len() > 1 {
            out.append(&mut objects);
            return;
        }
    }
    out.push(range);
}

/// Judges the bytes of one document.
fn piece(bytes: &[u8], range: Range<usize>, findings: &mut Findings<'_>) -> Piece {
    let raw = bytes.get(range.clone()).unwrap_or_default();
    if raw.len() > DOCUMENT_BYTES_MAX {
        let message = format!(
            "the document has {} bytes, more than the limit of {DOCUMENT_BYTES_MAX}",
            raw.len()
        );
        let at = span(&(range.start..range.start));
        let hint = Some("split it into several resources: none needs that much");
        findings.add(Severity::Error, codes::DOCUMENT_TOO_LARGE, &at, message, hint);
        return Piece::Broken(range);
    }
    let text = match std::str::from_utf8(raw) {
        Ok(text) => text,
        Err(error) => {
            let bad = range.start + error.valid_up_to();
            let end = (bad + error.error_len().unwrap_or(1)).min(range.end);
            let byte = bytes.get(bad).copied().unwrap_or_default();
            let message = format!("the byte 0x{byte:02X} is not UTF-8");
            let hint = Some("save the file as UTF-8");
            findings.add(Severity::Error, codes::NOT_UTF8, &span(&(bad..end)), message, hint);
            return Piece::Broken(range);
        }
    };
    if let Some((offset, bad)) = forbidden(text) {
        let at = range.start + offset;
        let message = format!("the control character U+{:04X}", u32::from(bad));
        let hint = Some("remove it, or write it as an escape inside double quotes");
        let at = span(&(at..at + bad.len_utf8()));
        findings.add(Severity::Error, codes::CONTROL_CHARACTER, &at, message, hint);
        return Piece::Broken(range);
    }
    Piece::Text(range)
}

/// The first character that YAML 1.1 forbids in a text.
fn forbidden(text: &str) -> Option<(usize, char)> {
    let plain = |byte: u8| matches!(byte, b' '..=b'~' | b'\n' | b'\t' | b'\r');
    // Looking at all of them takes less time than stopping at the first: several at once.
    if text.bytes().fold(true, |all, byte| all & plain(byte)) {
        return None;
    }
    text.char_indices().find(|(_, c)| {
        !matches!(c, '\t' | '\n' | '\r' | ' '..='~' | '\u{85}' | '\u{A0}'..='\u{D7FF}'
            | '\u{E000}'..='\u{FEFE}' | '\u{FF00}'..='\u{FFFD}' | '\u{10000}'..)
    })
}
