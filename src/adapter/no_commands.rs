//! Stands where commands of labels cannot be run.

use std::time::Duration;

use crate::labels::value::Command;
use crate::port::{Commands, RunError};

/// Runs nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoCommands;

impl Commands for NoCommands {
    async fn run(&self, _command: &Command, _timeout: Duration) -> Result<String, RunError> {
        Err(RunError::NotStarted { reason: "this version runs no commands".to_owned() })
    }
}
