//! What the engine knows, as data for people and programs. Holds no secret.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::condition::Condition;
use super::config::Outcome;
use super::live::Watch;
use super::machine::Engine;
use crate::live::{Coverage, LiveState, Observed};
use crate::manifest::Reading;
use crate::model::{Now, Readiness, ResourceId};
use crate::plan::guard::Held;
use crate::plan::{DeferReason, Deferred, Plan};

/// Of a [`Status`] as JSON. Fields are only ever added; when one changes or goes, this grows.
pub const FORMAT_VERSION: u32 = 1;

/// A snapshot of everything worth showing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// See [`FORMAT_VERSION`].
    #[serde(default)]
    pub format_version: u32,
    /// How the engine ended, or `running`.
    pub outcome: Outcome,
    /// Everything is as wanted.
    pub converged: bool,
    /// SHA-256 of the last reading of the source.
    pub source: Option<String>,
    /// Why the source cannot be read just now.
    pub source_problem: Option<String>,
    /// Findings of the last reading, by severity.
    pub findings: BTreeMap<String, usize>,
    /// `none`, `opening`, `open`, or why it ended.
    pub watch: String,
    /// What is wrong with identity and connection, for people; filled in by who holds them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub connection: Vec<String>,
    /// What is known of each kind.
    pub kinds: BTreeMap<String, KindStatus>,
    /// Each resource that is declared, ours, or being worked on.
    pub resources: BTreeMap<String, ResourceStatus>,
    /// Deletes that wait for their time.
    pub pending: Vec<PendingStatus>,
    /// Steps that guards hold.
    pub held: Vec<HeldStatus>,
    /// Manifests that are meant for us and not applied until a person does something.
    #[serde(default)]
    pub not_applied: Vec<NotApplied>,
    /// What `reconciler approve` would take.
    pub approval: Option<String>,
    /// Until when the set that is held is approved: it goes once its pending period is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approved_until: Option<String>,
    /// Number of the last plan that did something, from 1.
    pub last_run: Option<u64>,
}

/// What is known of one kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KindStatus {
    /// Resources seen.
    pub seen: usize,
    /// Why not all were seen; absent: they were.
    pub missing: Option<String>,
    /// Whether the watch follows it; else it is polled.
    pub watched: bool,
}

/// What is known of one resource.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceStatus {
    /// `in sync`, `planned`, `writing`, `settling`, `in doubt`, `backing off`, `waiting`, …
    pub state: String,
    /// Why it waits, for people.
    pub why: Option<String>,
    /// The last error.
    pub error: Option<String>,
    /// Failures in a row.
    pub failures: u32,
    /// Milliseconds until the next attempt.
    pub retry_in_ms: Option<u128>,
    /// What it says of its own readiness, if it is not ready.
    pub readiness: Option<String>,
    /// Its dynamic labels, by key.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, LabelStatus>,
}

/// What is known of one dynamic label.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LabelStatus {
    /// The command line.
    pub command: String,
    /// Its last good value.
    pub value: Option<String>,
    /// How long ago it was last seen so, milliseconds.
    pub age_ms: Option<u128>,
    /// Since when it fails, RFC 3339.
    pub failing_since: Option<String>,
    /// Why there is no newer value.
    pub why: Option<String>,
}

/// A delete that waits for its time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingStatus {
    /// What.
    pub id: String,
    /// Milliseconds left.
    pub left_ms: u128,
}

/// A manifest that is not applied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotApplied {
    /// What.
    pub id: String,
    /// Why not.
    pub why: String,
    /// What can be done about it.
    pub remedy: Option<String>,
}

/// A step that a guard holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldStatus {
    /// What.
    pub id: String,
    /// What would be done.
    pub verb: String,
    /// The guard's name, `delete-share`.
    pub guard: String,
    /// The guard's words.
    pub why: String,
}

impl Engine {
    /// Everything worth showing; `now` tells how much of each delay is left.
    pub fn status(&self, now: Now) -> Status {
        let reading = self.source.reading.as_ref();
        let findings = reading.map(|it| findings_of(it)).unwrap_or_default();
        let planned = self.planned.as_ref();
        let asked = planned.and_then(|it| it.approval.as_ref());
        Status {
            format_version: FORMAT_VERSION,
            outcome: self.outcome,
            converged: self.converged(),
            source: reading.and_then(|it| it.digest).map(|digest| digest.to_string()),
            source_problem: self.source.not_yet.clone(),
            findings,
            watch: match &self.live.watch {
                Watch::None => "none".to_owned(),
                Watch::Opening => "opening".to_owned(),
                Watch::Open => "open".to_owned(),
                Watch::Lost(reason) => reason.clone(),
            },
            connection: Vec::new(),
            kinds: self.kinds_status(),
            resources: self.resources_status(now),
            pending: self
                .pending
                .iter()
                .map(|(id, since)| PendingStatus {
                    id: id.to_string(),
                    left_ms: (*since + self.config.prune_delay)
                        .saturating_sub(now.monotonic)
                        .as_millis(),
                })
                .collect(),
            held: planned.iter().flat_map(|it| &it.held).map(HeldStatus::from).collect(),
            not_applied: self.refused().into_iter().map(NotApplied::from).collect(),
            approval: asked.filter(|it| it.expires.is_none()).map(|it| it.hash.clone()),
            approved_until: asked.and_then(|it| it.expires).map(|until| until.to_string()),
            last_run: self.journal.next_run.checked_sub(1).filter(|run| *run > 0),
        }
    }

    fn kinds_status(&self) -> BTreeMap<String, KindStatus> {
        let kinds = self.live.kinds.iter().map(|((cluster, kind), follow)| {
            let observed = self.live.state.kinds.get(&(cluster.clone(), *kind));
            (kind.to_string(), KindStatus::of(observed, follow.followed))
        });
        kinds.collect()
    }

    fn resources_status(&self, now: Now) -> BTreeMap<String, ResourceStatus> {
        let mut all: BTreeMap<String, ResourceStatus> = BTreeMap::new();
        let declared = self.source.reading.iter().flat_map(|it| it.manifests.keys());
        for id in declared.chain(self.journal.inventory.keys()) {
            let is_listed = self.live.state.kinds.contains_key(&(id.cluster.clone(), id.kind));
            let state = if self.planned.is_some() && is_listed { "in sync" } else { "unknown" };
            let one = ResourceStatus { state: state.to_owned(), ..ResourceStatus::default() };
            all.insert(id.to_string(), one);
        }
        self.labels_status(now.wall, &mut all);
        if let Some(planned) = &self.planned {
            let is_open = |id: &ResourceId| !self.finished.contains(id);
            plan_status(&planned.plan, is_open, |id| !self.is_backing_off(id), &mut all);
        }
        for (id, slot) in &self.slots {
            // What came to nothing and is neither declared nor ours.
            if matches!(slot.condition, Condition::Idle) && !all.contains_key(&id.to_string()) {
                continue;
            }
            let one = all.entry(id.to_string()).or_default();
            slot_status(slot, now.monotonic, one);
        }
        readiness_status(&self.live.state, &mut all);
        all
    }
}

impl KindStatus {
    /// Of what a list, and perhaps a watch, has shown.
    pub fn of(observed: Option<&Observed>, watched: bool) -> Self {
        let missing =
            observed.map_or(Some("not listed yet".to_owned()), |it| match it.coverage() {
                Coverage::Complete => None,
                Coverage::Partial(reason) => Some(reason.clone()),
            });
        Self { seen: observed.map_or(0, |it| it.seen().count()), missing, watched }
    }
}

impl From<&Deferred> for NotApplied {
    fn from(it: &Deferred) -> Self {
        Self {
            id: it.id.to_string(),
            why: it.why.to_string(),
            remedy: it.why.remedy().map(str::to_owned),
        }
    }
}

impl From<&Held> for HeldStatus {
    fn from(held: &Held) -> Self {
        Self {
            id: held.id.to_string(),
            verb: held.verb.to_string(),
            guard: held.guard.name().to_owned(),
            why: held.guard.to_string(),
        }
    }
}

/// How many findings a reading has, by severity.
pub fn findings_of(reading: &Reading) -> BTreeMap<String, usize> {
    let mut findings = BTreeMap::new();
    for finding in &reading.findings {
        *findings.entry(finding.severity.to_string()).or_insert(0) += 1;
    }
    findings
}

/// What a plan says of each resource; a step that is not `open` says nothing any more, and nor
/// does the wait for an earlier write that is not `unseen`.
pub fn plan_status(
    plan: &Plan,
    open: impl Fn(&ResourceId) -> bool,
    unseen: impl Fn(&ResourceId) -> bool,
    all: &mut BTreeMap<String, ResourceStatus>,
) {
    for step in plan.steps.iter().filter(|it| open(&it.id)) {
        let one = all.entry(step.id.to_string()).or_default();
        "planned".clone_into(&mut one.state);
        one.why = Some(format!("{} ({})", step.action.verb(), step.because()));
    }
    for deferred in
        plan.deferred.iter().filter(|it| it.why != DeferReason::Settling || unseen(&it.id))
    {
        let one = all.entry(deferred.id.to_string()).or_default();
        "waiting".clone_into(&mut one.state);
        one.why = Some(deferred.why.to_string());
    }
}

/// What resources say of their own readiness.
pub fn readiness_status(live: &LiveState, all: &mut BTreeMap<String, ResourceStatus>) {
    for live in live.kinds.values().flat_map(Observed::seen) {
        let Readiness::Waiting(word) = &live.readiness else { continue };
        let Some(one) = all.get_mut(&live.id.to_string()) else { continue };
        one.readiness = Some(word.to_owned());
        if one.state == "in sync" {
            "waiting".clone_into(&mut one.state);
            one.why = Some(format!("it says `{word}` of itself"));
        }
    }
}

fn slot_status(slot: &super::condition::Slot, now: Duration, one: &mut ResourceStatus) {
    one.failures = slot.failures;
    one.error.clone_from(&slot.error);
    match &slot.condition {
        Condition::Idle => {}
        Condition::Settling(settling) if !settling.done => {
            slot.condition.name().clone_into(&mut one.state);
            one.why = Some("nothing was written; reading why".to_owned());
        }
        Condition::BackingOff(waiting) => {
            slot.condition.name().clone_into(&mut one.state);
            let left = waiting.until.saturating_sub(now);
            one.retry_in_ms = Some(left.as_millis());
        }
        Condition::Approved(_)
        | Condition::Checking(_)
        | Condition::Intending(_)
        | Condition::Writing(_)
        | Condition::Settling(_)
        | Condition::InDoubt(_) => slot.condition.name().clone_into(&mut one.state),
    }
}
