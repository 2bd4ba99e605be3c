//! Why something matches no selector, for people.

use std::collections::{BTreeMap, BTreeSet};

use super::Labels;
use super::resolve::{Rules, Unmatched};
use super::selector::Matching;
use crate::kind::{self, ORIGIN_LABEL, OWNER_LABEL};
use crate::model::{Live, Resource, Value};

/// Labels named in one text.
const SHOWN_MAX: usize = 4;

impl Unmatched {
    /// Its labels for people, `env=prod, region=eu-1`.
    pub fn shown(&self) -> String {
        shown(&self.labels)
    }

    /// What changed between what is registered and what matches nothing, for people.
    pub fn because(&self, live: &Live, rules: &Rules) -> String {
        let value = Value::from_json(&live.canonical).unwrap_or(Value::Null);
        let labelled = kind::row(live.id.kind).and_then(|kind| kind.labelled.as_ref());
        let parts = labelled.map(|labelled| (labelled.parts)(&value));
        let before = parts.unwrap_or_default().stored();
        let changes: Vec<Change<'_>> = changes(&before, &self.labels);
        // Where taking one change back would do, the others are beside the point.
        let alone = |change: &&Change<'_>| {
            let mut other = self.labels.clone();
            match change.before {
                Some(value) => other.insert(change.key.to_owned(), Some(value.to_owned())),
                None => other.remove(change.key),
            };
            matches!(rules.selectors.look(&other), Matching::Item { .. })
        };
        let decisive: Vec<&Change<'_>> = changes.iter().filter(alone).collect();
        let told = if decisive.is_empty() { changes.iter().collect() } else { decisive };
        if told.is_empty() {
            return format!("selectors changed: none matches {}", self.shown());
        }
        let more = told.len().saturating_sub(SHOWN_MAX);
        let mut text: Vec<String> = told.iter().take(SHOWN_MAX).map(ToString::to_string).collect();
        text.extend((more > 0).then(|| format!("{more} more")));
        let plural = if told.len() == 1 { "label" } else { "labels" };
        format!("{plural} {}: no selector matches", text.join(", "))
    }
}

/// What the commands of a cluster's labels say otherwise than when it was last applied:
/// `label region changed a → b`.
pub fn found_anew(declared: &Resource, applied: &str, wanted: &Resource) -> Option<String> {
    let labelled = kind::row(declared.id.kind)?.labelled?;
    let parts = |text: &str| Value::from_json(text).ok().map(|value| (labelled.parts)(&value));
    let keys: BTreeSet<String> = parts(&declared.canonical)?.dynamic.into_keys().collect();
    let before = parts(applied)?.stored();
    let after: Labels =
        parts(&wanted.canonical)?.stored().into_iter().map(|(key, it)| (key, Some(it))).collect();
    let found = changes(&before, &after).into_iter().filter(|it| keys.contains(it.key));
    let told: Vec<String> = found.map(|it| format!("label {it}")).collect();
    (!told.is_empty()).then(|| told.join(", "))
}

/// A label that is another than before.
struct Change<'a> {
    key: &'a str,
    before: Option<&'a str>,
    after: Option<&'a str>,
}

impl std::fmt::Display for Change<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { key, before, after } = self;
        match (before, after) {
            (Some(before), Some(after)) => write!(f, "{key} changed {before} → {after}"),
            (None, Some(after)) => write!(f, "{key}={after} added"),
            (Some(before), None) => write!(f, "{key}={before} removed"),
            (None, None) => f.write_str(key),
        }
    }
}

fn changes<'a>(before: &'a BTreeMap<String, String>, after: &'a Labels) -> Vec<Change<'a>> {
    let ours = after.keys().filter(|key| *key != ORIGIN_LABEL && *key != OWNER_LABEL);
    let keys: BTreeSet<&String> = before.keys().chain(ours).collect();
    keys.into_iter()
        .filter_map(|key| {
            let before = before.get(key).map(String::as_str);
            let after = after.get(key).and_then(|value| value.as_deref());
            (before != after).then_some(Change { key, before, after })
        })
        .collect()
}

/// `env=prod, region=eu-1`; unknown values as `?`.
fn shown(labels: &Labels) -> String {
    let ours = labels.iter().filter(|(key, _)| *key != ORIGIN_LABEL && *key != OWNER_LABEL);
    let all: Vec<String> =
        ours.map(|(key, value)| format!("{key}={}", value.as_deref().unwrap_or("?"))).collect();
    if all.is_empty() { "no labels".to_owned() } else { all.join(", ") }
}
