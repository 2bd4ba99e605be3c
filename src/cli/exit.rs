//! Exit codes, one constant each. If several apply, [`ERROR`] comes before [`HELD`], and [`HELD`]
//! before [`CHANGES`]. `--help` and the README say the same.

use std::process::ExitCode;

/// Done.
pub const DONE: u8 = 0;
/// Error; the message is on stderr.
pub const ERROR: u8 = 1;
/// Changes pending, or no certain match; only with `--detailed-exitcode`.
pub const CHANGES: u8 = 2;
/// Refused by a guard, or waiting for approval.
pub const HELD: u8 = 3;
/// Usage: wrong command line, or the source is not a directory.
pub const USAGE: u8 = 64;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// See [`DONE`].
    Done,
    /// See [`ERROR`].
    Error,
    /// See [`CHANGES`].
    Changes,
    /// See [`HELD`].
    Held,
    /// See [`USAGE`].
    Usage,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Done => DONE,
            Exit::Error => ERROR,
            Exit::Changes => CHANGES,
            Exit::Held => HELD,
            Exit::Usage => USAGE,
        })
    }
}
