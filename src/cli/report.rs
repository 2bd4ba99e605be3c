//! `plan`, `validate`, `approve` and `history`: what would be done, may be done and was done.

use std::io::IsTerminal as _;
use std::sync::Arc;

use super::args::{Format, PlanFormat};
use super::control;
use super::error::CliError;
use super::exit::Exit;
use super::kinds::{other_meaning, parse_one};
use super::kube_ls;
use super::log::{Columns, colour};
use super::output::{Streams, count, written};
use super::preview::{self, Preview};
use super::session::{Access, Session, new_key};
use super::setup::Setup;
use crate::adapter::clock::System;
use crate::adapter::offline::Offline;
use crate::adapter::sqlite::Line;
use crate::driver::Question;
use crate::engine::APPROVAL_DIGITS;
use crate::journal::{APPROVAL_LIFETIME, Outcome, Record};
use crate::manifest::{Reading, Snapshot, render as findings};
use crate::model::{Place, ResourceId, Severity};
use crate::plan::render;
use crate::port::Clock as _;

/// Prints the plan and changes nothing.
///
/// # Errors
/// A source or a state that cannot be read.
pub(super) async fn plan(
    setup: &Setup,
    format: PlanFormat,
    detailed: bool,
    clock: &System,
    to: &mut Streams<'_>,
) -> Result<Exit, CliError> {
    let source = preview::begin(setup, clock).await?;
    let session = Session::open(setup, Access::Read, "plan", clock).await?;
    let seen = preview::take(setup, source, &session, clock).await?;
    let Preview { snapshot, reading, live: _, plan, commands: (commands, known), gated } = &seen;
    to.findings(&reading.findings, snapshot)?;
    if session.known.is_none() && !setup.memory {
        to.remark("note: no journal found; ownership is inferred from owner labels\n")?;
    }
    if *commands > 0 {
        let text = format!(
            "note: previews do not run label commands; {known} of {commands} values known from \
             the journal\n"
        );
        to.remark(&text)?;
    }
    let locate = |place: &Place| written(snapshot, place);
    let serving = kube_ls::notes(setup, &session, plan).await;
    let found = findings::json(&reading.findings, snapshot);
    let view = render::View {
        plan,
        gated: Some(gated),
        key: &session.key,
        locate: &locate,
        colour: colour(to.color, std::io::stdout().is_terminal()),
        serving: &serving,
        findings: &found,
    };
    to.print(&match format {
        PlanFormat::Text => render::text(&view),
        PlanFormat::Json => render::json(&view) + "\n",
        PlanFormat::Markdown => render::markdown(&view),
    })?;
    let failed = reading.has_errors() || !plan.is_live_whole() || !plan.not_applied.is_empty();
    // The order of precedence: what needs a person comes before what merely is to do.
    Ok(match (failed, gated.approval.is_some(), plan.steps.is_empty()) {
        (true, _, _) => Exit::Error,
        (false, true, false) => Exit::Held,
        (false, false, false) if detailed => Exit::Changes,
        (false, _, _) => Exit::Done,
    })
}

/// Checks the manifests without any control plane.
///
/// # Errors
/// A source that cannot be read.
pub(super) async fn validate(
    setup: &Setup,
    format: Format,
    clock: &System,
    to: &mut Streams<'_>,
) -> Result<Exit, CliError> {
    let source = preview::begin(setup, clock).await?;
    let (snapshot, reading, _) = source.end(setup, &new_key()?, &Arc::default()).await?;
    match format {
        Format::Json => to.print(&json_findings(&reading, &snapshot)?)?,
        Format::Text => {
            let coloured = colour(to.color, std::io::stdout().is_terminal());
            to.print(&findings::text(&reading.findings, &snapshot, coloured))?;
            let errors =
                reading.findings.iter().filter(|found| found.severity == Severity::Error).count();
            to.print(&format!(
                "{} in {}: {}, {}.\n",
                count(reading.manifests.len(), "manifest"),
                count(snapshot.files.len(), "file"),
                count(errors, "error"),
                count(reading.findings.len().saturating_sub(errors), "other finding"),
            ))?;
        }
    }
    Ok(if reading.has_errors() { Exit::Error } else { Exit::Done })
}

fn json_findings(reading: &Reading, snapshot: &Snapshot) -> Result<String, CliError> {
    let found = findings::json(&reading.findings, snapshot);
    let value = serde_json::json!({ "format_version": 1, "findings": found });
    serde_json::to_string_pretty(&value)
        .map(|text| text + "\n")
        .map_err(|error| CliError::new(error.to_string()))
}

/// Lets one guarded plan through: told to the agent, or, when none runs, written down for the
/// next one after the hash was found to be that of what waits now.
///
/// # Errors
/// Nothing waits under that hash.
pub(super) async fn approve(
    setup: &Setup,
    hash: &str,
    clock: &System,
    to: &mut Streams<'_>,
) -> Result<Exit, CliError> {
    if let Some(agent) = Session::agent_of(setup).await {
        let text = control::ask_agent(&agent, &Question::Approve { hash: hash.to_owned() }).await?;
        to.print(&(text + "\n"))?;
        return Ok(Exit::Done);
    }
    let session = Session::open(setup, Access::Change, "approve", clock).await?;
    let source = preview::begin(setup, clock).await?;
    let seen = preview::take(setup, source, &session, clock).await?;
    let waiting = seen.gated.approval.map(|pending| pending.hash);
    let full = match waiting {
        Some(full) if hash.len() >= APPROVAL_DIGITS && full.starts_with(hash) => full,
        Some(_) if hash.len() < APPROVAL_DIGITS => {
            let text = format!("at least {APPROVAL_DIGITS} digits of the hash are required");
            return Err(CliError::new(text));
        }
        Some(full) => {
            return Err(CliError::new(format!(
                "no plan with hash {hash} is waiting; the plan that waits now is {full}"
            )));
        }
        None => return Err(CliError::new("nothing is waiting for approval")),
    };
    let at = clock.now().wall;
    let expires = at.plus(APPROVAL_LIFETIME);
    if let Some(storage) = &session.storage {
        storage.append(&[Record::Approved { hash: full.clone(), expires, at }])?;
    }
    to.print(&format!("approved {full} until {expires}; the next run will apply it\n"))?;
    Ok(Exit::Done)
}

/// What was intended and what became of it, oldest first.
///
/// # Errors
/// A word that is no kind, a state that cannot be read.
pub(super) fn history(
    setup: &Setup,
    what: Option<&str>,
    limit: usize,
    to: &mut Streams<'_>,
) -> Result<Exit, CliError> {
    let id = match what {
        Some(what) => Some(parse_one(what).map_err(CliError::usage)?.1),
        None => None,
    };
    let limit = u32::try_from(limit).unwrap_or(u32::MAX);
    let of = |id: Option<&ResourceId>| -> Result<Vec<Line>, CliError> {
        let id = id.map(ToString::to_string);
        Ok(Offline::history(&setup.state, limit, id.as_deref())?.unwrap_or_default())
    };
    let mut found = of(id.as_ref())?;
    if found.is_empty()
        && let Some(id) = id.as_ref().filter(|id| id.kind.has_secret_names())
        && let Some(offline) = Offline::read(&setup.state)?
        && let Some(other) = other_meaning(id, &offline.identity.key)
    {
        found = of(Some(&other))?;
    }
    found.reverse();
    let text = lines(&found);
    if text.is_empty() {
        let of = match &id {
            // What was typed may be a secret with a letter missing.
            Some(id) if id.kind.has_secret_names() => format!(" for a {} of that name", id.kind),
            Some(id) => format!(" for {id}"),
            None => String::new(),
        };
        to.remark(&format!("no history{of}\n"))?;
    }
    to.print(&text)?;
    Ok(Exit::Done)
}

/// One line for each operation, approval and adoption; an operation without an outcome is in
/// doubt.
fn lines(history: &[Line]) -> String {
    let mut text = String::new();
    for line in history {
        let at = Columns(line.at);
        let said = match &line.record {
            Record::Intended { run, id, verb, reason, .. } => {
                let outcome = match &line.outcome {
                    None => "in doubt".to_owned(),
                    Some(Outcome::Done { revision: _ }) => "done".to_owned(),
                    Some(Outcome::Refused { error }) => format!("refused: {error}"),
                    Some(Outcome::NotDone) => "not done".to_owned(),
                };
                format!("{at}  run {}  {verb} {id} ({reason}): {outcome}\n", run.0)
            }
            Record::Settled { .. } | Record::Label { .. } => continue,
            Record::Adopted { id, .. } => format!("{at}  adopted {id}\n"),
            Record::Forgotten { id, .. } => format!("{at}  forgot {id}: no longer declared\n"),
            Record::Approved { hash, expires, .. } => {
                format!("{at}  approved {hash} until {expires}\n")
            }
        };
        text.push_str(&said);
    }
    text
}
