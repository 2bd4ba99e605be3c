//! What the exit code says, one constant each.

use std::process::ExitCode;

/// Done; nothing is left to do, or everything was done.
pub const DONE: u8 = 0;
/// Something failed; the message is on stderr.
pub const ERROR: u8 = 1;
/// Only with `--detailed-exitcode`: there are changes to make, or no selector is sure to match.
pub const CHANGES: u8 = 2;
/// Refused by a guard, or waiting for `reconciler approve`.
pub const HELD: u8 = 3;
/// The command line was wrong, or the source that it or the configuration names is no directory.
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
