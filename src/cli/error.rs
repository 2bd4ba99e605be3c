//! What a command says when it cannot go on.

use super::exit::Exit;

/// A message for people, and the exit code that goes with it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(super) struct CliError {
    /// Lower case; causes after colons; a remedy on a line of its own. Empty: nothing is to be said.
    pub message: String,
    /// How the program ends.
    pub exit: Exit,
}

impl CliError {
    /// Something failed.
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), exit: Exit::Error }
    }

    /// The result cannot be written. Who closed the pipe has read enough: that is no error.
    pub(super) fn output(error: &std::io::Error) -> Self {
        if error.kind() == std::io::ErrorKind::BrokenPipe {
            return Self { message: String::new(), exit: Exit::Done };
        }
        Self::new(format!("cannot write the result: {error}"))
    }

    /// The command line was wrong.
    pub(super) fn usage(message: impl Into<String>) -> Self {
        Self { message: message.into(), exit: Exit::Usage }
    }
}

/// Whether this is what `SQLite` says of a file that is no whole database.
pub(super) fn is_damaged(text: &str) -> bool {
    ["not a database", "malformed"].iter().any(|words| text.contains(words))
}

/// What to do about a state that is damaged.
const STATE_DAMAGED: &str = "; restore it from a backup, or move it away: ownership is then \
                             inferred from owner labels, for declared resources only";

/// An error and all its causes, after colons.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

impl From<crate::port::StorageError> for CliError {
    fn from(error: crate::port::StorageError) -> Self {
        let remedy = if is_damaged(&error.message) { STATE_DAMAGED } else { "" };
        Self::new(error.message + remedy)
    }
}
