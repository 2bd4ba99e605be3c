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
    /// Most findings kept of one file.
    pub const MAX: usize = 1000;

    /// Adds a finding at a byte range.
    pub fn add(
        &mut self,
        severity: Severity,
        code: Code,
        span: &std::ops::Range<u32>,
        message: impl Into<String>,
        hint: Option<&str>,
    ) {
        let at = self.place(span);
        let (message, hint) = (message.into(), hint.map(Into::into));
        self.push(Diagnostic { at, severity, code, message, also: Vec::new(), hint });
    }

    /// Adds an error with another place that belongs to it, and why.
    pub fn add_beside(
        &mut self,
        code: Code,
        span: &std::ops::Range<u32>,
        message: String,
        hint: &str,
        (other, label): (&std::ops::Range<u32>, &str),
    ) {
        let also = vec![(self.place(other), label.to_owned())];
        let (at, hint) = (self.place(span), Some(hint.to_owned()));
        self.push(Diagnostic { at, severity: Severity::Error, code, message, also, hint });
    }

    /// Adds a finding, unless there are more than [`Self::MAX`]: one more tells that some are
    /// missing. An error then takes the last place from what is none, for who asks whether there
    /// is an error must not be deceived.
    pub fn push(&mut self, finding: Diagnostic) {
        if self.out.len() <= Self::MAX {
            self.out.push(finding);
        } else if let Some(last) = self.out.last_mut().filter(|it| finding.severity < it.severity) {
            *last = finding;
        }
    }

    fn place(&self, span: &std::ops::Range<u32>) -> Place {
        Place { path: Arc::clone(&self.path), start: span.start, end: span.end }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_end_at_their_limit_and_an_error_is_among_them() {
        let mut out = Vec::new();
        let mut findings = Findings { path: "".into(), out: &mut out };
        for severity in [Severity::Note, Severity::Error, Severity::Warning] {
            for _ in 0..=Findings::MAX {
                findings.add(severity, Code("M000"), &(0..0), "", None);
            }
        }
        assert_eq!(out.len(), Findings::MAX + 1);
        let errors = out.iter().filter(|it| it.severity == Severity::Error);
        assert_eq!(errors.count(), 1);
    }
}
