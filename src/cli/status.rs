//! `status`: the agent and its resources at a glance.

use std::collections::BTreeMap;

use super::args::Format;
use super::control;
use super::error::CliError;
use super::exit::Exit;
use super::kube_ls;
use super::output::Streams;
use super::preview::{self, Preview};
use super::session::{Access, Session};
use super::setup::Setup;
use crate::adapter::clock::System;
use crate::driver::Question;
use crate::engine::status::{FORMAT_VERSION, findings_of, plan_status, readiness_status};
use crate::engine::{
    HeldStatus, KindStatus, LabelStatus, NotApplied, Outcome, ResourceStatus, Status,
};
use crate::journal::State;
use crate::labels::allow::Allow;
use crate::labels::resolve::Resolver;
use crate::labels::value::Values;
use crate::manifest::Reading;
use crate::model::{ResourceId, Timestamp, clean};
use crate::port::Clock as _;

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
    let Some(agent) = Session::agent_of(setup).await else {
        let session = Session::open(setup, Access::Read, "status", clock).await?;
        let source = preview::begin(setup, clock).await?;
        let seen = preview::take(setup, source, &session, clock).await?;
        to.remark("no agent is running; this is what it would do\n")?;
        let known = &session.known.clone().unwrap_or_default();
        let allow = &setup.labels().allow;
        let labels = stored(&seen.reading, &known.labels, allow, clock.now().wall);
        let status = without_agent(&seen, known, &labels);
        match format {
            Format::Json => {
                let status = serde_json::to_string(&status);
                let status = status.map_err(|error| CliError::new(error.to_string()))?;
                to.print(&(status + "\n"))?;
            }
            Format::Text => to.print(&text(&status))?,
        }
        return Ok(Exit::Done);
    };
    let json = control::ask_agent(&agent, &Question::Status).await?;
    match format {
        Format::Json => to.print(&(json + "\n"))?,
        Format::Text => {
            let status: Status = serde_json::from_str(&json).map_err(|error| {
                CliError::new(format!("the agent's answer is unreadable: {error}"))
            })?;
            to.print(&text(&status))?;
            if !setup.config.kubernetes.services.is_empty() {
                let session = Session::open(setup, Access::Read, "status", clock).await?;
                to.print(&kube_ls::status_lines(setup, &session).await?)?;
            }
        }
    }
    Ok(Exit::Done)
}

/// What an agent that is not there would say: the last word of the journal, and what a plan of
/// this moment says.
fn without_agent(seen: &Preview, known: &State, labels: &Labels) -> Status {
    let Preview { snapshot: _, reading, live, plan, commands: _, gated } = seen;
    let mut resources = BTreeMap::new();
    for id in reading.manifests.keys().chain(known.inventory.keys()) {
        let state = "in sync".to_owned();
        let labels = labels.get(&id.to_string()).cloned().unwrap_or_default();
        let one = ResourceStatus { state, labels, ..ResourceStatus::default() };
        resources.insert(id.to_string(), one);
    }
    for unmatched in &plan.unmatched {
        let one = resources.entry(unmatched.id.to_string()).or_default();
        "unmatched".clone_into(&mut one.state);
        one.why = Some(format!("no selector matches {}", unmatched.labels));
    }
    plan_status(plan, |_| true, |_| true, &mut resources);
    readiness_status(live, &mut resources);
    let kinds = live.kinds.iter();
    let kinds = kinds.map(|((_, kind), it)| (kind.to_string(), KindStatus::of(Some(it), false)));
    let is_meant = |id: &ResourceId| {
        reading.manifests.contains_key(id) && !plan.unmatched.iter().any(|it| it.id == *id)
    };
    let is_left = plan.deferred.iter().any(|it| it.why.is_left(is_meant(&it.id)));
    let asked = gated.approval.as_ref();
    let open = asked.filter(|it| it.expires.is_none());
    Status {
        format_version: FORMAT_VERSION,
        outcome: Outcome::Stopped,
        converged: plan.steps.is_empty()
            && plan.is_live_whole()
            && !is_left
            && !reading.has_errors()
            && reading.is_whole(),
        source: reading.digest.map(|digest| digest.to_string()),
        source_problem: None,
        findings: findings_of(reading),
        watch: "no agent is running".to_owned(),
        connection: Vec::new(),
        kinds: kinds.collect(),
        resources,
        pending: Vec::new(),
        held: gated.held.iter().map(HeldStatus::from).collect(),
        not_applied: plan.blocked().map(NotApplied::from).collect(),
        approval: open.map(|it| it.hash.clone()),
        approved_until: asked.and_then(|it| it.expires).map(|until| until.to_string()),
        last_run: known.next_run.checked_sub(1).filter(|run| *run > 0),
    }
}

/// Dynamic labels by key, by manifest.
type Labels = BTreeMap<String, BTreeMap<String, LabelStatus>>;

/// The dynamic labels that manifests declare, with what an agent last wrote down about each.
fn stored(reading: &Reading, values: &Values, allow: &Allow, wall: Timestamp) -> Labels {
    let resolver = Resolver::default();
    let mut all = Labels::new();
    for (id, manifest) in &reading.manifests {
        let Some(declared) = resolver.look(id, manifest) else { continue };
        for (key, command) in &declared.commands {
            let known = values.get(command);
            let good = known.and_then(|known| known.good.as_ref());
            let failing = known.and_then(|known| known.failing.as_ref());
            let why = match failing {
                _ if !allow.permits(&command.argv) => Some(format!(
                    "not allowed to run; to allow it, add {} to `kubernetes.dynamic_labels.allow`",
                    Allow::line_to_add(&command.argv)
                )),
                Some(failing) => Some(failing.why.clone()),
                None if good.is_none() => Some("not run yet".to_owned()),
                None => None,
            };
            let label = LabelStatus {
                command: command.to_string(),
                value: good.map(|good| good.value.clone()),
                age_ms: good.map(|good| wall.since(good.seen).as_millis()),
                failing_since: failing.map(|failing| failing.since.to_string()),
                why,
            };
            all.entry(id.to_string()).or_default().insert(key.clone(), label);
        }
    }
    all
}

/// One dynamic label: value, age, and what is wrong.
fn label_line(key: &str, label: &LabelStatus) -> String {
    let LabelStatus { command, value, age_ms, failing_since, why } = label;
    let value = match (value, age_ms) {
        (Some(value), Some(age)) => format!("{value} (seen {} s ago)", age / 1000),
        (Some(value), None) => value.clone(),
        (None, _) => "unknown".to_owned(),
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
    // One whose time is over is held, written or gone: its own line says so.
    for pending in status.pending.iter().filter(|pending| pending.left_ms > 0) {
        let seconds = pending.left_ms.div_ceil(1000);
        let id = &pending.id;
        lines.push(format!("pending: delete {id} in {seconds} s; restore its manifest to keep it"));
    }
    for held in &status.held {
        lines.push(format!("held: {} {}: {}", held.verb, held.id, held.why));
    }
    if let Some(hash) = &status.approval {
        lines.push(format!("to approve: reconciler approve {hash}"));
    }
    if let Some(until) = &status.approved_until {
        lines.push(format!("approved until {until}: it goes when the pending period is over"));
    }
    if let Some(problem) = &status.source_problem {
        lines.push(format!("the source cannot be read: {problem}"));
    }
    lines.extend(status.connection.iter().map(|text| format!("control plane: {}", clean(text))));
    for (kind, known) in &status.kinds {
        if let Some(missing) = &known.missing {
            lines.push(format!("{kind}: live state incomplete: {missing}"));
        }
    }
    for (severity, count) in &status.findings {
        let plural = if *count == 1 { "" } else { "s" };
        lines.push(format!("{count} {severity}{plural} in the source; run `reconciler validate`"));
    }
    for NotApplied { id, why, remedy } in &status.not_applied {
        let remedy = remedy.as_ref().map(|remedy| format!("; {remedy}")).unwrap_or_default();
        lines.push(clean(&format!("not applied: {id}: {why}{remedy}")).into_owned());
    }
    lines.push(match (status.converged, status.not_applied.len()) {
        (true, _) => "Everything is in sync.".to_owned(),
        (false, 0) => "Not everything is in sync yet.".to_owned(),
        (false, 1) => "Not everything is in sync: 1 manifest is not applied.".to_owned(),
        (false, n) => format!("Not everything is in sync: {n} manifests are not applied."),
    });
    lines.join("\n") + "\n"
}
