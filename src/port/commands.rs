//! Running a command that gives a label its value.

use std::future::Future;
use std::time::Duration;

use crate::labels::value::Command;

/// Where commands of dynamic labels run.
pub trait Commands: Send + Sync {
    /// Runs once and gives what the command printed. When the future is done or dropped, the
    /// command and all of its process group are gone.
    ///
    /// # Errors
    /// Why there is no value. Nothing that the command printed is in it.
    fn run(
        &self,
        command: &Command,
        timeout: Duration,
    ) -> impl Future<Output = Result<String, RunError>> + Send;
}

/// Why a run gave no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RunError {
    /// There is no program of that name.
    #[error("there is no program `{program}`")]
    NotFound {
        /// As written.
        program: String,
    },
    /// No pattern of the configuration allows it.
    #[error("no pattern of `allow` permits this command; to permit it, add {line}")]
    NotAllowed {
        /// The entry that would, in TOML's quotes.
        line: String,
    },
    /// The directory or the program lies where commands may not run.
    #[error("{reason}")]
    OutOfPlace {
        /// For people, lower case.
        reason: String,
    },
    /// The operating system did not start it, or lost it.
    #[error("it did not run: {reason}")]
    NotStarted {
        /// The operating system's words.
        reason: String,
    },
    /// It ended with a code other than zero.
    #[error("it ended with exit code {code}")]
    Failed {
        /// The exit code.
        code: i32,
    },
    /// A signal ended it.
    #[error("signal {signal} ended it")]
    Killed {
        /// The signal's number.
        signal: i32,
    },
    /// It ran longer than it may.
    #[error("it was ended after {} ms", after.as_millis())]
    TimedOut {
        /// How long it may run.
        after: Duration,
    },
    /// It printed more than a label may hold.
    #[error("it printed more than {most} bytes")]
    TooMuch {
        /// Bytes that are taken.
        most: usize,
    },
    /// What it printed is not one line of text.
    #[error("{0}")]
    NotText(NotText),
}

/// Why an output is no value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotText {
    /// Not UTF-8.
    #[error("it printed bytes that are not UTF-8")]
    Encoding,
    /// More than one line after trimming.
    #[error("it printed more than one line")]
    Lines,
    /// NUL, escape sequences and the like.
    #[error("it printed a control character")]
    Control,
}
