//! `status`: the agent and its resources at a glance.

use std::fmt::Write as _;

use super::args::Format;
use super::control;
use super::error::CliError;
use super::exit::Exit;
use super::report::Streams;
use super::session::{Access, Session};
use super::setup::Setup;
use super::survey;
use crate::adapter::clock::System;
use crate::driver::Question;
use crate::engine::Status;
use crate::plan::render;

/// Prints how everything is: asked of a running agent, else looked up.
///
/// # Errors
/// A source or a state that cannot be read.
pub async fn status(
    setup: &Setup,
    format: Format,
    clock: &System,
    to: &mut Streams<'_>,
) -> Result<Exit, CliError> {
    let session = Session::open(setup, Access::Read, "status", clock).await?;
    let Some(agent) = &session.agent else {
        let seen = survey::take(setup, &session, clock).await?;
        to.remark("no agent is running; this is what one would do\n")?;
        to.print(&format!("{}\n", render::summary(&seen.plan)))?;
        return Ok(Exit::Done);
    };
    let json = control::ask(agent, &Question::Status).await?;
    match format {
        Format::Json => to.print(&(json + "\n"))?,
        Format::Text | Format::Markdown => {
            let status: Status = serde_json::from_str(&json).map_err(|error| {
                CliError::new(format!("the agent's answer is unreadable: {error}"))
            })?;
            to.print(&text(&status))?;
        }
    }
    Ok(Exit::Done)
}

fn text(status: &Status) -> String {
    let mut out = String::new();
    let width = status.resources.keys().map(String::len).max().unwrap_or(0);
    for (id, resource) in &status.resources {
        let _ = write!(out, "{id:width$}  {}", resource.state);
        for detail in [&resource.readiness, &resource.why, &resource.error].into_iter().flatten() {
            let _ = write!(out, "  ({detail})");
        }
        out.push('\n');
    }
    for pending in &status.pending {
        let seconds = pending.left_ms.div_ceil(1000);
        let _ = writeln!(
            out,
            "pending: delete {} in {seconds} s; restore its manifest to keep it",
            pending.id
        );
    }
    for held in &status.held {
        let _ = writeln!(out, "held: {} {}: {}", held.verb, held.id, held.why);
    }
    if let Some(hash) = &status.approval {
        let _ = writeln!(out, "to let it through: reconciler approve {hash}");
    }
    if let Some(problem) = &status.source_problem {
        let _ = writeln!(out, "the source cannot be read just now: {problem}");
    }
    for (kind, known) in &status.kinds {
        if let Some(missing) = &known.missing {
            let _ = writeln!(out, "{kind}: not wholly known: {missing}");
        }
    }
    for (severity, count) in &status.findings {
        let _ = writeln!(out, "{count} {severity}s in the source");
    }
    out.push_str(if status.converged {
        "Everything is in sync.\n"
    } else {
        "Not everything is in sync yet.\n"
    });
    out
}
