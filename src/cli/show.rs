//! `status`: the agent and its resources at a glance.

use super::args::Format;
use super::control;
use super::error::CliError;
use super::exit::Exit;
use super::report::Streams;
use super::served;
use super::session::{Access, Session};
use super::setup::Setup;
use super::survey;
use crate::adapter::clock::System;
use crate::driver::Question;
use crate::engine::{LabelStatus, ResourceStatus, Status};
use crate::plan::render::{self, clean};

/// Prints how everything is: asked of a running agent, else looked up.
///
/// # Errors
/// A source or a state that cannot be read.
pub(super) async fn status(
    setup: &Setup,
    format: Format,
    clock: &System,
    to: &mut Streams<'_>,
) -> Result<Exit, CliError> {
    let mut session = Session::open(setup, Access::Read, "status", clock).await?;
    let Some(agent) = &session.agent else {
        let source = survey::begin(setup, clock)?;
        let seen = survey::take(setup, source, &mut session, clock).await?;
        to.remark("no agent is running; this is what one would do\n")?;
        to.print(&format!("{}\n", render::summary(&seen.plan)))?;
        return Ok(Exit::Done);
    };
    let json = control::ask_agent(agent, &Question::Status).await?;
    match format {
        Format::Json => to.print(&(json + "\n"))?,
        Format::Text | Format::Markdown => {
            let status: Status = serde_json::from_str(&json).map_err(|error| {
                CliError::new(format!("the agent's answer is unreadable: {error}"))
            })?;
            to.print(&text(&status))?;
            to.print(&served::status_lines(setup, &session).await?)?;
        }
    }
    Ok(Exit::Done)
}

/// One dynamic label: value, age, and what is wrong.
fn label_line(key: &str, label: &LabelStatus) -> String {
    let LabelStatus { command, value, age_ms, failing_since, why } = label;
    let value = match (value, age_ms) {
        (Some(value), Some(age)) => format!("{value} (seen {} s ago)", age / 1000),
        (Some(value), None) => value.clone(),
        (None, _) => "not known".to_owned(),
    };
    let since = failing_since.as_ref().map(|since| format!("failing since {since}"));
    let said: Vec<&str> = [&since, why].into_iter().flatten().map(String::as_str).collect();
    let said = if said.is_empty() { String::new() } else { format!("; {}", said.join(": ")) };
    clean(&format!("  label {key}: {value}, from `{command}`{said}")).into_owned()
}

fn text(status: &Status) -> String {
    let width = status.resources.keys().map(String::len).max().unwrap_or(0);
    let mut lines = Vec::new();
    for (id, resource) in &status.resources {
        let ResourceStatus { state, why, error, readiness, .. } = resource;
        let details: Vec<&str> =
            [readiness, why, error].into_iter().flatten().map(String::as_str).collect();
        let details =
            if details.is_empty() { String::new() } else { format!("  ({})", details.join("; ")) };
        lines.push(format!("{id:width$}  {state}{details}"));
        lines.extend(resource.labels.iter().map(|(key, label)| label_line(key, label)));
    }
    for pending in &status.pending {
        let seconds = pending.left_ms.div_ceil(1000);
        let id = &pending.id;
        lines.push(format!("pending: delete {id} in {seconds} s; restore its manifest to keep it"));
    }
    for held in &status.held {
        lines.push(format!("held: {} {}: {}", held.verb, held.id, held.why));
    }
    if let Some(hash) = &status.approval {
        lines.push(format!("to let it through: reconciler approve {hash}"));
    }
    if let Some(problem) = &status.source_problem {
        lines.push(format!("the source cannot be read just now: {problem}"));
    }
    for (kind, known) in &status.kinds {
        if let Some(missing) = &known.missing {
            lines.push(format!("{kind}: not wholly known: {missing}"));
        }
    }
    for (severity, count) in &status.findings {
        let plural = if *count == 1 { "" } else { "s" };
        lines.push(format!("the source has {count} {severity}{plural}; see `reconciler validate`"));
    }
    lines.push(
        if status.converged { "Everything is in sync." } else { "Not everything is in sync yet." }
            .to_owned(),
    );
    lines.join("\n") + "\n"
}
