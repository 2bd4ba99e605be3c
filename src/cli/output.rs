//! Where a command writes: the result on stdout, remarks and findings on stderr.

use std::io::{IsTerminal as _, Write};

use super::args::{Color, LogFormat};
use super::error::CliError;
use super::log::{self, colour};
use crate::manifest::{Snapshot, render as findings};
use crate::model::{Diagnostic, Place};

/// Where results and remarks go.
pub(super) struct Streams<'a> {
    /// The result.
    pub out: &'a mut dyn Write,
    /// Everything else.
    pub err: &'a mut dyn Write,
    /// What the person said about colours.
    pub color: Color,
    /// Whether `err` is a log of JSON objects, one a line.
    pub log: LogFormat,
}

impl std::fmt::Debug for Streams<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Streams({:?})", self.color)
    }
}

impl Streams<'_> {
    /// Writes the result.
    ///
    /// # Errors
    /// The stream's.
    pub(super) fn print(&mut self, text: &str) -> Result<(), CliError> {
        self.out.write_all(text.as_bytes()).map_err(|error| CliError::output(&error))
    }

    /// Writes a remark.
    ///
    /// # Errors
    /// The stream's.
    pub(super) fn remark(&mut self, text: &str) -> Result<(), CliError> {
        if self.log == LogFormat::Json {
            tracing::info!("{}", text.trim_end());
            return Ok(());
        }
        self.err.write_all(text.as_bytes()).map_err(|error| CliError::output(&error))
    }

    /// Writes findings as remarks.
    ///
    /// # Errors
    /// The stream's.
    pub(super) fn findings(
        &mut self,
        found: &[Diagnostic],
        snapshot: &Snapshot,
    ) -> Result<(), CliError> {
        match self.log {
            LogFormat::Human => {
                let coloured = colour(self.color, std::io::stderr().is_terminal());
                self.remark(&findings::text(found, snapshot, coloured))
            }
            LogFormat::Json => {
                log::findings(found, snapshot);
                Ok(())
            }
        }
    }
}

/// `roles/dev.yaml:4:1`.
pub(super) fn written(snapshot: &Snapshot, place: &Place) -> String {
    let path = &place.path;
    snapshot.files.get(path).map_or_else(
        || path.to_string(),
        |bytes| {
            let (line, column) = findings::position(bytes, place.range().start);
            format!("{path}:{line}:{column}")
        },
    )
}

/// `1 file`, `2 files`.
pub(super) fn count(number: usize, what: &str) -> String {
    match number {
        1 => format!("1 {what}"),
        number => format!("{number} {what}s"),
    }
}
