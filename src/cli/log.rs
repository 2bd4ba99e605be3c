//! Log lines on stderr: for people, or one JSON object each.

use std::fmt;
use std::io::{self, IsTerminal as _};

use tracing::field::Field;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::{Writer, debug_fn};
use tracing_subscriber::fmt::time::FormatTime;
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;

use super::args::{Color, Common, LogFormat};
use crate::adapter::clock::System;
use crate::manifest::{Snapshot, render};
use crate::model::{Diagnostic, Severity, Timestamp};
use crate::port::Clock as _;

/// Sets the program's log up; once, at the start.
pub(super) fn start(common: &Common, verbose: u8, clock: &System) {
    let ours = |level| Targets::new().with_target(env!("CARGO_CRATE_NAME"), level);
    let filter = match verbose {
        0 => ours(LevelFilter::INFO),
        1 => ours(LevelFilter::DEBUG),
        _ => Targets::new().with_default(LevelFilter::DEBUG),
    };
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(io::stderr)
        .with_target(false)
        .with_timer(Wall(*clock))
        .with_ansi(colour(common.color, io::stderr().is_terminal()));
    let lines = match common.log_format {
        LogFormat::Human => lines.fmt_fields(debug_fn(for_people)).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    tracing_subscriber::registry().with(lines).with(filter).init();
}

/// Says findings as events, one for each, for readers of JSON lines.
pub(super) fn findings(findings: &[Diagnostic], snapshot: &Snapshot) {
    for (finding, shown) in findings.iter().zip(render::json(findings, snapshot)) {
        let (code, help) = (shown.code, shown.hint);
        let place = format!("{}:{}:{}", shown.at.path, shown.at.line, shown.at.column);
        let message = shown.message;
        match finding.severity {
            Severity::Error => tracing::error!(code, place, help, "{message}"),
            Severity::Warning => tracing::warn!(code, place, help, "{message}"),
            Severity::Note => tracing::info!(code, place, help, "{message}"),
        }
    }
}

/// The field that says which resource a line is about. A line for people says it in its text.
const RESOURCE: &str = "resource";

/// Writes one field of a line for people: the message as it is, the others behind it by name.
fn for_people(to: &mut Writer<'_>, field: &Field, value: &dyn fmt::Debug) -> fmt::Result {
    match field.name() {
        "message" => write!(to, "{value:?}"),
        RESOURCE => Ok(()),
        name => write!(to, " {name}={value:?}"),
    }
}

/// Whether to use colours on a stream.
pub(super) fn colour(choice: Color, is_terminal: bool) -> bool {
    match choice {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => is_terminal && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty()),
    }
}

/// RFC 3339, always with milliseconds, so that what follows stands in columns.
pub(super) struct Columns(pub Timestamp);

impl fmt::Display for Columns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0.0) {
            Ok(at) => write!(f, "{at:.3}"),
            Err(_) => write!(f, "{}", self.0),
        }
    }
}

/// The program's one clock.
struct Wall(System);

impl FormatTime for Wall {
    fn format_time(&self, w: &mut Writer<'_>) -> fmt::Result {
        write!(w, "{}", Columns(self.0.now().wall))
    }
}

#[cfg(test)]
mod tests {
    use super::Columns;
    use crate::model::Timestamp;

    #[test]
    fn a_time_is_as_wide_as_any_other() {
        for (millis, shown) in [
            (1_700_000_000_000, "2023-11-14T22:13:20.000Z"),
            (1_700_000_000_100, "2023-11-14T22:13:20.100Z"),
            (1_700_000_000_123, "2023-11-14T22:13:20.123Z"),
        ] {
            assert_eq!(Columns(Timestamp(millis)).to_string(), shown);
        }
    }
}
