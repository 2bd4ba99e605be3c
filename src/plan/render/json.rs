//! A plan for programs. Fields are only ever added; when one changes or goes, `format_version` grows.

use serde::Serialize;

use super::super::{Action, Deferred, FieldChange, Step, Unmatched};
use super::{View, told, unknown_fields};
use crate::kind::{self, canonical};
use crate::labels::preview::{Fact, Note};
use crate::live::Coverage;
use crate::manifest::render::JsonFinding;
use crate::model::terminal::is_unsafe;
use crate::model::{Cluster, FingerprintKey, ResourceId, Value, Verb};

/// Version of the document that [`json`] writes.
pub const FORMAT_VERSION: u32 = 1;

/// The plan as JSON, indented; ends with a line break.
pub fn json(view: &View<'_>) -> String {
    let plan = view.plan;
    let count = |verb| plan.steps.iter().filter(|step| step.action.verb() == verb).count();
    let document = Document {
        format_version: FORMAT_VERSION,
        digest: plan.digest.to_string(),
        source_whole: plan.source_whole,
        live_whole: plan.is_live_whole(),
        summary: Summary {
            create: count(Verb::Create),
            update: count(Verb::Update),
            delete: count(Verb::Delete),
            adopt: count(Verb::Adopt),
            deferred: plan.deferred.len(),
            not_applied: plan.not_applied.len(),
            forget: plan.forget.len(),
            unchanged: plan.unchanged,
        },
        steps: plan.steps.iter().map(|step| step_of(view, step)).collect(),
        deferred: plan.deferred.iter().map(|deferred| deferred_of(view, deferred)).collect(),
        unmatched: plan.unmatched.iter().map(|it| unmatched_of(view, it)).collect(),
        forget: plan.forget.iter().map(ToString::to_string).collect(),
        coverage: plan
            .coverage
            .iter()
            .map(|((cluster, kind), coverage)| coverage_of(cluster, kind.as_str(), coverage))
            .collect(),
        serving: view.serving.iter().map(serving_of).collect(),
        findings: view.findings,
        guards: guards_of(view),
        approval: view.gated.and_then(|gated| gated.approval.as_ref()).map(|approval| Approval {
            hash: approval.hash.clone(),
            ids: approval.ids.iter().map(ToString::to_string).collect(),
            guards: approval.guards.iter().copied().collect(),
            expires: approval.expires.map(|until| until.to_string()),
        }),
    };
    let mut text = escaped(serde_json::to_string_pretty(&document).unwrap_or_default());
    text.push('\n');
    text
}

/// The whole document.
#[derive(Serialize)]
struct Document<'a> {
    /// See [`FORMAT_VERSION`].
    format_version: u32,
    /// Of the plan; a saved plan is recognised by it.
    digest: String,
    /// False: some document could not be understood, and nothing is deleted.
    source_whole: bool,
    /// False: some kind's live state is unknown (`coverage` says which and why), and steps may be
    /// missing.
    live_whole: bool,
    summary: Summary,
    /// In the order in which they run.
    steps: Vec<StepOut>,
    /// What was left alone, by id.
    deferred: Vec<DeferredOut>,
    /// What is declared, matches no selector and is not ours.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unmatched: Vec<UnmatchedOut>,
    /// Ids that leave the journal, because nobody declares them and they are gone, or their kind
    /// is never deleted.
    forget: Vec<String>,
    /// How much of the live side was seen.
    coverage: Vec<CoverageOut>,
    /// Who serves the Kubernetes clusters of the steps, in their order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    serving: Vec<ServingOut>,
    /// What is wrong with the manifests, as `validate --format json` has it: path, line, column,
    /// severity, code, message, hint. Absent when there is nothing.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    findings: &'a [JsonFinding],
    /// Steps that wait, one entry for each guard that holds one.
    guards: Vec<HeldOut>,
    /// What a person can let through.
    #[serde(skip_serializing_if = "Option::is_none")]
    approval: Option<Approval>,
}

/// Numbers of steps by action, and of what is not a step.
#[derive(Serialize)]
struct Summary {
    create: usize,
    update: usize,
    delete: usize,
    adopt: usize,
    deferred: usize,
    not_applied: usize,
    forget: usize,
    unchanged: usize,
}

#[derive(Serialize)]
struct ServingOut {
    name: String,
    /// `served_by`, `nobody`, `unregisters`, `clash`, `no_credentials`.
    fact: &'static str,
    /// Whether somebody should look at it.
    warning: bool,
    /// Names of services: who serves it, or from whom it is unregistered; the clashing host.
    services: Vec<String>,
    /// Names of services for which it depends on a label that is not known yet.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    perhaps: Vec<String>,
}

fn serving_of(note: &Note) -> ServingOut {
    let (fact, services, perhaps) = match &note.fact {
        Fact::ServedBy(by) => ("served_by", by.names.clone(), by.unknown.clone()),
        Fact::Nobody => ("nobody", Vec::new(), Vec::new()),
        Fact::Unregisters(from) => ("unregisters", from.clone(), Vec::new()),
        Fact::Clash(host) => ("clash", vec![host.clone()], Vec::new()),
        Fact::NoCredentials => ("no_credentials", Vec::new(), Vec::new()),
    };
    let warning = note.fact.is_warning();
    ServingOut { name: note.name.clone(), fact, warning, services, perhaps }
}

#[derive(Serialize)]
struct StepOut {
    /// `kind/name`, for a child cluster `cluster:kind/name`.
    id: String,
    /// Null: the cluster that the agent is pointed at.
    cluster: Option<String>,
    kind: &'static str,
    name: String,
    /// `create`, `update`, `adopt`, `delete`.
    action: Verb,
    /// `missing`, `vanished`, `edited`, `drifted`, `edited and drifted`, `adopted`, `reclaimed`,
    /// `pruned`, `unmatched`.
    reason: &'static str,
    /// More about it, for people: `matches item 2: env=test`.
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
    /// Where it is declared.
    #[serde(skip_serializing_if = "Option::is_none")]
    place: Option<PlaceOut>,
    /// Ids of steps that come first.
    after_steps: Vec<String>,
    /// The live resource, masked; null for a create.
    before: Option<serde_json::Value>,
    /// The wanted resource, masked; null for a delete.
    after: Option<serde_json::Value>,
    /// The revision that the step is bound to.
    revision: Option<String>,
    /// Where they differ.
    changes: Vec<ChangeOut>,
    /// What an update keeps without knowing it, for people: `spec.options.field 99 (12 bytes)`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unknown_fields: Vec<String>,
}

#[derive(Serialize)]
struct PlaceOut {
    /// Below the source.
    path: String,
    /// First byte of the document.
    start: u32,
    /// One past its last byte.
    end: u32,
    /// As people write it.
    shown: String,
}

#[derive(Serialize)]
struct ChangeOut {
    /// `spec.allow.logins[1]`.
    path: String,
    /// Null: unset.
    before: Option<serde_json::Value>,
    /// Null: unset.
    after: Option<serde_json::Value>,
    /// True: the values are fingerprints.
    secret: bool,
}

#[derive(Serialize)]
struct DeferredOut {
    id: String,
    /// A stable word, `live_unknown`.
    why: &'static str,
    /// For people.
    text: String,
    /// What to do; absent: it passes by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    place: Option<PlaceOut>,
}

#[derive(Serialize)]
struct UnmatchedOut {
    id: String,
    /// `env=prod, region=eu-1`.
    labels: String,
    place: PlaceOut,
}

#[derive(Serialize)]
struct CoverageOut {
    cluster: Option<String>,
    kind: &'static str,
    complete: bool,
    /// Why it is not complete.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

#[derive(Serialize)]
struct HeldOut {
    id: String,
    action: Verb,
    /// `empty-source`, `delete-share`, `confirm`, `prune-delay`.
    guard: &'static str,
    /// For people.
    text: String,
    /// The way through.
    way: String,
}

#[derive(Serialize)]
struct Approval {
    /// For `reconciler approve`.
    hash: String,
    ids: Vec<String>,
    guards: Vec<&'static str>,
    /// Null: not approved.
    expires: Option<String>,
}

fn step_of(view: &View<'_>, step: &Step) -> StepOut {
    let Step { id, action, reason, note, at, after } = step;
    let (before, wanted, changes): (_, _, &[FieldChange]) = match action {
        Action::Create { after } => (None, Some(after), &[]),
        Action::Update { before, after, changes } => (Some(before), Some(after), changes),
        Action::Adopt { live, after } => (Some(live), Some(after), &[]),
        Action::Delete { before } => (Some(before), None, &[]),
    };
    StepOut {
        id: id.to_string(),
        cluster: cluster_of(&id.cluster),
        kind: id.kind.as_str(),
        name: id.name.to_string(),
        action: action.verb(),
        reason: reason.as_str(),
        note: note.clone(),
        place: at.as_ref().map(|at| place_of(view, at)),
        after_steps: after.iter().map(ToString::to_string).collect(),
        before: before.map(|live| masked(id, &live.canonical, view.key)),
        after: wanted.map(|resource| masked(id, &resource.canonical, view.key)),
        revision: before.and_then(|live| live.revision.as_ref()).map(ToString::to_string),
        changes: changes.iter().map(change_of).collect(),
        unknown_fields: unknown_fields(step).iter().map(told).collect(),
    }
}

fn masked(id: &ResourceId, canonical: &str, key: &FingerprintKey) -> serde_json::Value {
    match (kind::row(id.kind), Value::from_json(canonical)) {
        (Some(kind), Ok(value)) => canonical::mask_of(id, kind, value, key).to_serde(),
        (_, _) => serde_json::Value::Null,
    }
}

fn change_of(change: &FieldChange) -> ChangeOut {
    let FieldChange { path, before, after, secret } = change;
    ChangeOut {
        path: path.to_string(),
        before: before.as_ref().map(Value::to_serde),
        after: after.as_ref().map(Value::to_serde),
        secret: *secret,
    }
}

fn deferred_of(view: &View<'_>, deferred: &Deferred) -> DeferredOut {
    let Deferred { id, why, at } = deferred;
    DeferredOut {
        id: id.to_string(),
        why: why.code(),
        text: why.to_string(),
        remedy: why.remedy(),
        place: at.as_ref().map(|at| place_of(view, at)),
    }
}

fn unmatched_of(view: &View<'_>, unmatched: &Unmatched) -> UnmatchedOut {
    let Unmatched { id, labels, at } = unmatched;
    UnmatchedOut { id: id.to_string(), labels: labels.clone(), place: place_of(view, at) }
}

fn place_of(view: &View<'_>, at: &crate::model::Place) -> PlaceOut {
    PlaceOut { path: at.path.to_string(), start: at.start, end: at.end, shown: (view.locate)(at) }
}

fn cluster_of(cluster: &Cluster) -> Option<String> {
    match cluster {
        Cluster::Parent => None,
        Cluster::Child(name) => Some(name.to_string()),
    }
}

fn coverage_of(cluster: &Cluster, kind: &'static str, coverage: &Coverage) -> CoverageOut {
    let reason = match coverage {
        Coverage::Complete => None,
        Coverage::Partial(reason) => Some(reason.clone()),
    };
    CoverageOut { cluster: cluster_of(cluster), kind, complete: reason.is_none(), reason }
}

fn guards_of(view: &View<'_>) -> Vec<HeldOut> {
    let Some(gated) = view.gated else { return Vec::new() };
    let hash = gated.approval.as_ref().map(|approval| approval.hash.as_str());
    let held = gated.held.iter();
    held.map(|held| HeldOut {
        id: held.id.to_string(),
        action: held.verb,
        guard: held.guard.name(),
        text: held.guard.to_string(),
        way: held.guard.way_through(hash),
    })
    .collect()
}

/// JSON may hold characters that steer a terminal; inside its strings they can be escaped.
fn escaped(text: String) -> String {
    let is_raw = |c: char| c != '\n' && is_unsafe(c);
    if !text.contains(is_raw) {
        return text;
    }
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if is_raw(c) {
            // All of them are in the Basic Multilingual Plane: four digits are enough.
            out.extend([format!("\\u{:04x}", u32::from(c))]);
        } else {
            out.push(c);
        }
    }
    out
}
