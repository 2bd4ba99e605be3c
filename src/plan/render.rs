//! Plans for people and programs. Everything shown is masked; control characters are escaped.

mod json;
mod markdown;
mod text;

use std::fmt::Write as _;

pub use json::{FORMAT_VERSION, json};
pub use markdown::{COMMENT_BYTES_MAX, markdown};
pub use text::text;

use super::guard::Gated;
use super::{Action, FieldChange, Plan, Step, diff};
use crate::kind;
use crate::kind::unknown::{self, Unknown};
use crate::labels::preview::Note;
use crate::live::Coverage;
use crate::manifest::render::JsonFinding;
use crate::model::{Cluster, FingerprintKey, Place, ResourceId, Value, Verb};

/// What is shown, and how.
#[derive(Clone, Copy)]
pub struct View<'a> {
    /// The plan.
    pub plan: &'a Plan,
    /// What the guards said, if they were asked.
    pub gated: Option<&'a Gated>,
    /// Key of the fingerprints of secrets.
    pub key: &'a FingerprintKey,
    /// How a place is written; who has the files makes `roles/dev.yaml:4` of it.
    pub locate: &'a dyn Fn(&Place) -> String,
    /// Whether to colour the text.
    pub colour: bool,
    /// Who serves the Kubernetes clusters that the plan touches.
    pub serving: &'a [Note],
    /// Findings about the manifests. The text leaves them to who prints it, with their lines.
    pub findings: &'a [JsonFinding],
}

impl std::fmt::Debug for View<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "View({})", self.plan.digest.short())
    }
}

/// How a place is written by somebody who has not the files: its path.
pub fn path_only(place: &Place) -> String {
    place.path.to_string()
}

/// The last line: `Plan: 3 to create, 1 to update, 0 to delete, 2 deferred.`
pub fn summary(plan: &Plan) -> String {
    let count = |verb| plan.steps.iter().filter(|step| step.action.verb() == verb).count();
    let deferred = match plan.deferred.len().saturating_sub(plan.not_applied.len()) {
        0 => String::new(),
        count => format!(", {count} deferred"),
    };
    let deferred = match plan.not_applied.len() {
        0 => deferred,
        count => format!(", {count} not applied{deferred}"),
    };
    let deferred = match plan.unmatched.len() {
        0 => deferred,
        count => format!("{deferred}, {count} matching no selector"),
    };
    let forget = match plan.forget.len() {
        0 => String::new(),
        count => format!(", {count} to forget"),
    };
    let lacking = incomplete(plan);
    if plan.steps.is_empty() {
        // What was not seen may need any change.
        let none = match (lacking.is_empty(), plan.not_applied.is_empty()) {
            (true, true) => "No changes.",
            (true, false) => "Nothing can be done.",
            (false, _) => "No changes in the rest.",
        };
        return match plan.unchanged {
            1 => format!("{lacking}{none} 1 resource in sync{deferred}{forget}."),
            count => format!("{lacking}{none} {count} resources in sync{deferred}{forget}."),
        };
    }
    let adopted = match count(Verb::Adopt) {
        0 => String::new(),
        count => format!(", {count} to adopt"),
    };
    format!(
        "{lacking}Plan: {} to create, {} to update, {} to delete{adopted}{deferred}{forget}.",
        count(Verb::Create),
        count(Verb::Update),
        count(Verb::Delete),
    )
}

/// Says first of all which kinds' live state is unknown, if any is.
fn incomplete(plan: &Plan) -> String {
    let lacking = plan.coverage.iter().filter(|(_, coverage)| **coverage != Coverage::Complete);
    let names: Vec<String> =
        lacking.map(|((cluster, kind), _)| format!("{}{kind}", prefix(cluster))).collect();
    if names.is_empty() {
        return String::new();
    }
    format!("Incomplete: the live state of {} is unknown. ", names.join(", "))
}

/// What stands before the kind of a resource in a child cluster.
fn prefix(cluster: &Cluster) -> String {
    match cluster {
        Cluster::Parent => String::new(),
        Cluster::Child(name) => format!("{name}:"),
    }
}

/// `+ ~ - =`.
const fn symbol(verb: Verb) -> &'static str {
    match verb {
        Verb::Create => "+",
        Verb::Update => "~",
        Verb::Adopt => "=",
        Verb::Delete => "-",
    }
}

/// What a step shows below its line: YAML of a create, the unified diff of an update.
fn details(step: &Step, key: &FingerprintKey) -> String {
    let Some(kind) = kind::row(step.id.kind) else { return String::new() };
    match &step.action {
        Action::Create { after } => diff::yaml_of(&step.id, kind, &after.canonical, key),
        Action::Update { before, after, changes } => {
            let before = diff::yaml_of(&step.id, kind, &before.canonical, key);
            let after = diff::yaml_of(&step.id, kind, &after.canonical, key);
            let mut shown = diff::unified(&before, &after);
            // The mark is no part of the YAML.
            for change in changes.iter().filter(|change| is_mark(change)) {
                let side = |value: &Option<Value>| {
                    value.as_ref().map_or_else(|| "unset".to_owned(), Value::to_json)
                };
                let (before, after) = (side(&change.before), side(&change.after));
                #[expect(clippy::let_underscore_must_use, reason = "writing to a string")]
                let _ = writeln!(shown, "{}: {before} -> {after}", change.path);
            }
            let kept: Vec<String> = unknown_fields(step).iter().map(told).collect();
            if !kept.is_empty() {
                shown.extend(["# kept, unknown to this version: ", &kept.join(", "), "\n"]);
            }
            shown
        }
        Action::Adopt { live: _, after: _ } | Action::Delete { before: _ } => String::new(),
    }
}

/// What an update leaves in a live resource because this version does not know it.
fn unknown_fields(step: &Step) -> Vec<Unknown> {
    match (&step.action, kind::row(step.id.kind)) {
        // What came from the server was read once already.
        (Action::Update { before, after: _, changes: _ }, Some(kind)) => {
            unknown::fields(kind, &before.wire).unwrap_or_default()
        }
        (Action::Update { .. }, None)
        | (Action::Create { .. } | Action::Adopt { .. } | Action::Delete { .. }, _) => Vec::new(),
    }
}

/// `spec.options.field 99 (12 bytes)`.
fn told(unknown: &Unknown) -> String {
    let Unknown { path, number, bytes } = unknown;
    let dot = if path.is_empty() { "" } else { "." };
    format!("{path}{dot}field {number} ({bytes} bytes)")
}

/// Why a resource leaves the journal without a delete.
fn forgotten_because(id: &ResourceId) -> &'static str {
    match kind::row(id.kind) {
        Some(kind) if kind.rpc.delete.is_none() => "no longer declared; this kind is never deleted",
        Some(_) | None => "gone from the cluster, no longer declared",
    }
}

fn is_mark(change: &FieldChange) -> bool {
    let mark = diff::mark_change(None, "");
    change.path == mark.path
}

/// Lines about what was not wholly known.
fn unknowns(plan: &Plan) -> Vec<String> {
    let mut lines = Vec::new();
    for ((cluster, kind), coverage) in &plan.coverage {
        if let Coverage::Partial(reason) = coverage {
            let place = prefix(cluster);
            lines.push(format!("live state of {place}{kind} unknown: {reason}"));
        }
    }
    if !plan.source_whole {
        lines.push("some documents could not be understood: nothing is deleted".to_owned());
    }
    lines
}
