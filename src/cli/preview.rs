//! A look at everything at one moment: what is wanted, what there is, and what would be done.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use super::error::CliError;
use super::session::Session;
use super::setup::Setup;
use crate::adapter::clock::System;
use crate::journal::{State, parse_id};
use crate::kind;
use crate::labels::findings::{Named, named};
use crate::labels::resolve::resolve;
use crate::live::{Coverage, ListFailure, LiveState, Observed};
use crate::manifest::{Reading, Snapshot, decode};
use crate::model::{FingerprintKey, ResourceId, Timestamp, Verb};
use crate::plan::guard::{Begun, Gated, GuardFacts, guard};
use crate::plan::{Action, Input, LabelInput, Plan, check, in_use, kinds};
use crate::port::{Clock as _, Files, NotYet};

/// How long a command waits for a source that is being changed just now. Longer than a `git
/// pull`'s file writes; a person is waiting.
const SOURCE_PATIENCE: Duration = Duration::from_secs(10);

/// Between two tries.
const SOURCE_RETRY: Duration = Duration::from_millis(200);

/// Everything at one moment.
#[derive(Debug)]
pub(super) struct Preview {
    /// The files.
    pub snapshot: Snapshot,
    /// What they say.
    pub reading: Arc<Reading>,
    /// What there is, of the kinds in use.
    pub live: LiveState,
    /// What would be done.
    pub plan: Plan,
    /// How many label commands may matter, and how many of their values are known.
    pub commands: (usize, usize),
    /// What of it may be done at once, as if every pending period were over.
    pub gated: Gated,
}

/// A reading of the source that is under way.
#[derive(Debug)]
pub(super) struct SourceRead(JoinSet<Result<Snapshot, CliError>>);

impl SourceRead {
    /// Waits for the files and says what they mean, and which label commands they name; the
    /// findings about those are among the reading's. Names that are secrets are veiled under the
    /// installation's key. Texts that were applied are shared with what is `known`. Other work
    /// goes on meanwhile.
    ///
    /// # Errors
    /// Why the source cannot be read.
    pub(super) async fn end(
        mut self,
        setup: &Setup,
        key: &FingerprintKey,
        known: &Arc<State>,
    ) -> Result<(Snapshot, Reading, Named), CliError> {
        let lost =
            |error| CliError::new(format!("internal error: reading the source failed: {error}"));
        let Some(ended) = self.0.join_next().await else {
            return Err(CliError::new("internal error: the source was not read"));
        };
        let snapshot = ended.map_err(lost)??;
        let (key, known) = (key.clone(), Arc::clone(known));
        let (rules, agent) = (setup.labels(), setup.config.agent.name.clone());
        let read = move || {
            let mut reading = decode::read_beside(&snapshot, &key, |id| known.applied(id));
            let mut named = named(&reading, &snapshot, &rules, &agent);
            reading.findings.append(&mut named.findings);
            reading.findings.sort();
            (snapshot, reading, named)
        };
        tokio::task::spawn_blocking(read).await.map_err(lost)
    }
}

/// Begins to read the source, patiently; the state is opened meanwhile.
///
/// # Errors
/// A source that is no directory; patterns that are none.
pub(super) async fn begin(setup: &Setup, clock: &System) -> Result<SourceRead, CliError> {
    setup.source_is_there()?;
    let (files, source, clock) = (setup.files()?, setup.source.clone(), *clock);
    let mut task = JoinSet::new();
    task.spawn(async move {
        let give_up = clock.now().monotonic + SOURCE_PATIENCE;
        loop {
            match files.read().await {
                Ok(snapshot) => break Ok(snapshot),
                Err(NotYet { reason }) if clock.now().monotonic >= give_up => {
                    let dir = source.display();
                    break Err(CliError::new(format!("cannot read {dir}: {reason}")));
                }
                Err(_) if !source.exists() => {
                    let dir = source.display();
                    break Err(CliError::new(format!("no such directory: `{dir}`")));
                }
                Err(_) => tokio::time::sleep(SOURCE_RETRY).await,
            }
        }
    });
    // The state is opened without a pause, and on one thread nothing would begin before its end.
    tokio::task::yield_now().await;
    Ok(SourceRead(task))
}

/// Looks at everything and plans.
///
/// # Errors
/// A source that cannot be read, or a plan that our own check refuses.
pub(super) async fn take(
    setup: &Setup,
    source: SourceRead,
    session: &Session,
    clock: &System,
) -> Result<Preview, CliError> {
    let state = &session.known.clone().unwrap_or_default();
    let policy = setup.policy();
    let ((snapshot, mut reading, named), mut live) =
        both_sides(setup, source, session, state).await?;
    if let Some(why) = unreadable(&live) {
        return Err(CliError::new(format!("the control plane cannot be read: {why}")));
    }
    let mut veil = session.veil();
    veil.learn(reading.manifests.keys());
    veil.learn(live.kinds.values().flat_map(Observed::seen).map(|live| &live.id));
    live.put_under(&veil);
    if let Some(veiled) = reading.under(&veil) {
        reading = veiled;
    }
    let reading = Arc::new(reading);
    let wall = clock.now().wall;
    // What is in doubt is read back by the agent before anything is planned for it.
    let busy: BTreeSet<_> = state.open.values().filter_map(|open| parse_id(&open.id)).collect();
    let rules = setup.labels();
    // Stored values, else unknown: a preview runs nothing.
    let desired = resolve(&reading, &live, &state.labels, &rules, &policy.agent);
    let input = Input {
        reading: &desired.reading,
        labels: Some(LabelInput {
            declared: &desired.declared,
            fits: &desired.fits,
            rules: &rules,
            values: &state.labels,
        }),
        live: &live,
        inventory: &state.inventory,
        busy: &busy,
        policy: &policy,
        key: &session.key,
        wall,
    };
    let plan = crate::plan::plan(&input);
    let wrong = check::check(&plan, &input);
    if let Some(first) = wrong.first() {
        return Err(CliError::new(format!(
            "internal error: the plan failed verification, nothing was done: {first}"
        )));
    }
    let deletes = plan.steps.iter().filter(|step| matches!(step.action, Action::Delete { .. }));
    let matured = deletes.map(|step| step.id.clone()).collect();
    let begun = begun(setup, state, wall);
    let gated = guard(
        &plan,
        &GuardFacts {
            policy: &policy,
            managed: state.inventory.len(),
            source_empty: reading.manifests.is_empty(),
            approvals: &state.approvals,
            wall,
            matured: &matured,
            begun: &begun,
            key: &session.key,
        },
    );
    let commands = (named.commands.len(), named.known(&state.labels));
    Ok(Preview { snapshot, reading, live, plan, commands, gated })
}

/// Reads the source, and at the same time what there is.
async fn both_sides(
    setup: &Setup,
    source: SourceRead,
    session: &Session,
    state: &Arc<State>,
) -> Result<((Snapshot, Reading, Named), LiveState), CliError> {
    // The kinds of what is ours are listed whatever the source says.
    let ours = kinds(state.inventory.keys());
    let reading = source.end(setup, &session.key, state);
    // Who has a broken source waits for no server.
    let listing = async { Ok(session.live(ours, |id| state.applied(id)).await) };
    let (read, mut live) = tokio::try_join!(reading, listing)?;
    let (_, reading, _) = &read;
    let mut others = in_use(reading, &state.inventory);
    others.retain(|kind| !live.kinds.contains_key(kind));
    let declared = |id: &ResourceId| reading.manifests.get(id).map(|it| &it.resource.canonical);
    live.extend(session.live(others, declared).await);
    // Nothing is written over what is as it is declared, if no labels make something else of it.
    let agent = &setup.config.agent.name;
    live.drop_messages(|live| {
        declared(&live.id) == Some(&live.canonical)
            && live.owner.as_ref() == Some(agent)
            && kind::row(live.id.kind).is_some_and(|kind| kind.labelled.is_none())
    });
    Ok((read, live))
}

/// What counts beside the plan, as the next agent will count it.
fn begun(setup: &Setup, state: &State, wall: Timestamp) -> Begun {
    let window = setup.config.source.resync;
    let in_doubt = state.open.values().filter(|open| open.verb == Verb::Delete && !open.approved);
    let in_doubt = in_doubt.filter_map(|open| parse_id(&open.id));
    let done = state.deleted_within(window, wall).map(|(_, id, _)| id);
    let deletes: BTreeSet<_> = done.chain(in_doubt).collect();
    let gone = deletes.iter().filter(|id| !state.inventory.contains_key(*id)).count();
    Begun { deletes, gone, ..Begun::default() }
}

/// Why nothing at all could be read, if it was not for a lack of rights: a plan over nothing
/// would look like one without changes.
fn unreadable(live: &LiveState) -> Option<&str> {
    let mut why = None;
    for observed in live.kinds.values() {
        match (observed.lack(), observed.coverage()) {
            (Some(ListFailure::Transient | ListFailure::Barred), Coverage::Partial(reason))
                if observed.seen().next().is_none() =>
            {
                why = why.or(Some(reason.as_str()));
            }
            (None | Some(_), Coverage::Partial(_) | Coverage::Complete) => return None,
        }
    }
    why
}
