//! Findings about what a person wrote.

use std::fmt;
use std::sync::Arc;

use super::place::Place;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The document cannot be used.
    Error,
    /// It can, but probably does not mean what it says.
    Warning,
    /// Worth knowing, `metadata.revision` is ignored.
    Note,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        })
    }
}

/// A stable name of a rule, `M012`. All of them stand in `manifest::codes` with their meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Code(pub &'static str);

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// One finding: place, rule, cause, remedy.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Diagnostic {
    /// Where. Sorting goes by it first.
    pub at: Place,
    /// How bad.
    pub severity: Severity,
    /// Which rule.
    pub code: Code,
    /// What is wrong: a lower-case fragment, what was typed in backticks. Never a secret.
    pub message: String,
    /// Other places that belong to it, each with a label.
    pub also: Vec<(Place, String)>,
    /// What to do.
    pub hint: Option<String>,
}

/// Collects findings about one file.
#[derive(Debug)]
pub struct Findings<'a> {
    /// The file, as in [`Place::path`].
    pub path: Arc<str>,
    /// Where they go.
    pub out: &'a mut Vec<Diagnostic>,
}

impl Findings<'_> {
    /// Adds a finding at a byte range.
    pub fn add(
        &mut self,
        severity: Severity,
        code: Code,
        span: &std::ops::Range<u32>,
        message: impl Into<String>,
        hint: Option<&str>,
    ) {
        self.out.push(Diagnostic {
            at: Place { path: Arc::clone(&self.path), start: span.start, end: span.end },
            severity,
            code,
            message: message.into(),
            also: Vec::new(),
            hint: hint.map(Into::into),
        });
    }
}
