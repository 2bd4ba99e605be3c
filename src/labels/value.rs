//! What a command is, as the middle knows it.

use std::sync::Arc;

/// One command and where it runs. Labels with the same one share a run.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Command {
    /// The program and its arguments; no shell reads them.
    pub argv: Vec<String>,
    /// The manifest's directory below the source, with `/` between names; empty for the source
    /// itself.
    pub dir: Arc<str>,
}
