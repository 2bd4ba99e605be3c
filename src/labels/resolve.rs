//! What label values make of a reading: which resources are meant, and with which labels.
//!
//! | | matching | content |
//! |---|---|---|
//! | mode `resolve` | static labels, hidden by dynamic ones | no commands; known values are static labels |
//! | mode `forward` | as Teleport does with what is stored | the commands as written, each with its last good value as `result` |
//!
//! A value that is not known holds a resource back only where it could change the answer. Where
//! it could not, the resource keeps what the cluster has for it.
//!
//! Deliberately absent: running commands, clocks, and whose a live resource is.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::allow::Allow;
use super::selector::{Matching, Selectors};
use super::value::{Command, Known, Say, Values};
use super::{Labels, Mode, OnFailure};
use crate::kind::{self, Kind, LabelParts, Labelled, ORIGIN_LABEL, OWNER_LABEL, canonical};
use crate::live::{Live, LiveState, Seen};
use crate::manifest::{Manifest, Reading, Resource};
use crate::model::{Digest, ResourceId, Value};

/// What the server writes into [`ORIGIN_LABEL`] of what we create; selectors may ask for it.
const OUR_ORIGIN: &str = "dynamic";

/// Labels named in one text.
const SHOWN_MAX: usize = 4;

/// What decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// Which resources are meant.
    pub selectors: Selectors,
    /// Whether somebody wrote selectors; else everything is meant and nobody wants to read why.
    pub listed: bool,
    /// What becomes of dynamic labels.
    pub mode: Mode,
    /// What becomes of a label whose command fails.
    pub on_failure: OnFailure,
    /// Which commands may run.
    pub allow: Allow,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            selectors: Selectors::everything(),
            listed: false,
            mode: Mode::default(),
            on_failure: OnFailure::default(),
            allow: Allow::default(),
        }
    }
}

/// What is wanted once labels are taken into account.
#[derive(Debug, Clone, Default)]
pub struct Desired {
    /// The reading as it was.
    pub declared: Arc<Reading>,
    /// The same without the manifests that match nothing or are undecided, and with the labels
    /// of the others resolved. (Its findings may be missing.)
    pub reading: Arc<Reading>,
    /// Why.
    pub fits: Fits,
}

/// What selectors say of the manifests of kinds that agents pick by label.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fits {
    /// What matches, and how, for people; empty where nobody wrote selectors.
    pub matched: BTreeMap<ResourceId, String>,
    /// What matches nothing.
    pub unmatched: BTreeMap<ResourceId, Unmatched>,
    /// What nobody can decide yet: the labels that are not known.
    pub undecided: BTreeMap<ResourceId, Undecided>,
}

/// A manifest that no selector matches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unmatched {
    /// What it says.
    pub manifest: Manifest,
    /// Its labels, those without a value unknown.
    pub labels: Labels,
}

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

/// A manifest of which nobody can say whether a selector matches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undecided {
    /// What it says.
    pub manifest: Manifest,
    /// The labels whose values could change the answer.
    pub labels: BTreeSet<String>,
}

/// Whether a declared resource is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meant {
    /// It shall be there.
    Yes,
    /// It shall not.
    No,
    /// Nobody can say yet.
    Undecided,
}

/// Resolves a reading. Total and pure; see [`Resolver`] for many times.
pub fn resolve(
    reading: &Arc<Reading>,
    live: &LiveState,
    values: &Values,
    rules: &Rules,
    owner: &str,
) -> Desired {
    Resolver::default().resolve(reading, live, values, rules, owner)
}

/// The labels of a manifest, and when their commands may matter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Declared {
    /// As written.
    pub parts: LabelParts,
    /// The command of each dynamic label that has one.
    pub commands: BTreeMap<String, Arc<Command>>,
}

/// Reads the labels of a manifest.
pub fn declared(labelled: &Labelled, manifest: &Manifest) -> Declared {
    let value = Value::from_json(&manifest.resource.canonical).unwrap_or(Value::Null);
    let parts = (labelled.parts)(&value);
    let with = parts.dynamic.iter().filter(|(_, label)| !label.command.is_empty());
    let commands = with.map(|(key, label)| {
        (key.clone(), Arc::new(Command::beside(&manifest.at.path, &label.command)))
    });
    Declared { commands: commands.collect(), parts }
}

/// Resolves readings one after the other, without doing again what did not change.
#[derive(Debug, Clone, Default)]
pub struct Resolver {
    read: BTreeMap<ResourceId, Read>,
}

/// What a manifest says, and what was made of it last.
#[derive(Debug, Clone)]
struct Read {
    digest: Digest,
    path: Arc<str>,
    declared: Arc<Declared>,
    made: Option<Made>,
}

impl Read {
    fn is_of(&self, manifest: &Manifest) -> bool {
        self.digest == manifest.resource.digest && self.path == manifest.at.path
    }
}

/// What was made of a manifest.
#[derive(Debug, Clone)]
struct Made {
    says: BTreeMap<String, Say>,
    live: Option<Digest>,
    matching: Matching,
    resource: Arc<Resource>,
}

impl Resolver {
    /// Which commands a reading names, with the labels that they are for.
    pub fn declared(&mut self, id: &ResourceId, manifest: &Manifest) -> Option<Arc<Declared>> {
        if let Some(read) = self.read.get(id).filter(|read| read.is_of(manifest)) {
            return Some(Arc::clone(&read.declared));
        }
        let declared = self.look(id, manifest)?;
        let digest = manifest.resource.digest;
        let path = Arc::clone(&manifest.at.path);
        let read = Read { digest, path, declared: Arc::clone(&declared), made: None };
        self.read.insert(id.clone(), read);
        Some(declared)
    }

    /// Forgets what is not declared any more.
    pub fn keep(&mut self, reading: &Reading) {
        self.read.retain(|id, _| reading.manifests.contains_key(id));
    }

    /// As [`resolve`].
    pub fn resolve(
        &mut self,
        reading: &Arc<Reading>,
        live: &LiveState,
        values: &Values,
        rules: &Rules,
        owner: &str,
    ) -> Desired {
        let mut fits = Fits::default();
        let mut changed: BTreeMap<ResourceId, Option<Arc<Resource>>> = BTreeMap::new();
        for (id, manifest) in &reading.manifests {
            let Some(declared) = self.declared(id, manifest) else { continue };
            let Some(kind) = kind::row(id.kind) else { continue };
            let present = match live.look(id) {
                Seen::Present(live) => Some(live.as_ref()),
                Seen::Absent | Seen::Unknown(_) => None,
            };
            let case = Case { kind, manifest, declared: &declared, rules, owner };
            let made = self.made(id, &case, present, values);
            match &made.matching {
                Matching::Item { index, by } => {
                    if rules.listed {
                        fits.matched.insert(id.clone(), format!("matches item {index}: {by}"));
                    }
                    if made.resource.digest != manifest.resource.digest {
                        changed.insert(id.clone(), Some(Arc::clone(&made.resource)));
                    }
                }
                Matching::Nothing => {
                    let labels = case.labels(&made.says);
                    let unmatched = Unmatched { manifest: manifest.clone(), labels };
                    fits.unmatched.insert(id.clone(), unmatched);
                    changed.insert(id.clone(), None);
                }
                Matching::Unknown(labels) => {
                    let labels = labels.clone();
                    let undecided = Undecided { manifest: manifest.clone(), labels };
                    fits.undecided.insert(id.clone(), undecided);
                    changed.insert(id.clone(), None);
                }
            }
        }
        Desired { declared: Arc::clone(reading), reading: put(reading, changed), fits }
    }

    /// The labels of a manifest; `None`: nobody picks its kind by them.
    pub fn look(&self, id: &ResourceId, manifest: &Manifest) -> Option<Arc<Declared>> {
        let labelled = kind::row(id.kind)?.labelled.as_ref()?;
        let read = self.read.get(id).filter(|read| read.is_of(manifest));
        Some(match read {
            Some(read) => Arc::clone(&read.declared),
            None => Arc::new(declared(labelled, manifest)),
        })
    }

    /// Whether one declared resource is meant, from what is known now.
    pub fn meant(
        &self,
        id: &ResourceId,
        manifest: &Manifest,
        values: &Values,
        rules: &Rules,
        owner: &str,
    ) -> Meant {
        let (Some(declared), Some(kind)) = (self.look(id, manifest), kind::row(id.kind)) else {
            return Meant::Yes;
        };
        let case = Case { kind, manifest, declared: &declared, rules, owner };
        match rules.selectors.look(&case.labels(&case.says(values))) {
            Matching::Item { .. } => Meant::Yes,
            Matching::Nothing => Meant::No,
            Matching::Unknown(_) => Meant::Undecided,
        }
    }

    /// Whether the values of a manifest's commands can matter at all: none can where the static
    /// labels alone rule every selector out.
    pub fn matters(declared: &Declared, rules: &Rules, owner: &str) -> bool {
        let mut labels = known(declared, owner);
        labels.extend(declared.parts.dynamic.keys().map(|key| (key.clone(), None)));
        !matches!(rules.selectors.look(&labels), Matching::Nothing)
    }

    fn made(
        &mut self,
        id: &ResourceId,
        case: &Case<'_>,
        live: Option<&Live>,
        values: &Values,
    ) -> Made {
        let says = case.says(values);
        let is_open = says.values().any(|say| *say == Say::Unknown);
        let live = live.filter(|_| is_open);
        let seen = live.map(|live| live.digest);
        let before = self.read.get(id).and_then(|read| read.made.as_ref());
        if let Some(made) = before
            && made.says == says
            && made.live == seen
        {
            return made.clone();
        }
        let matching = case.rules.selectors.look(&case.labels(&says));
        let resource = if says.is_empty() || !matches!(matching, Matching::Item { .. }) {
            Arc::clone(&case.manifest.resource)
        } else {
            Arc::new(case.content(&says, live))
        };
        let made = Made { says, live: seen, matching, resource };
        if let Some(read) = self.read.get_mut(id) {
            read.made = Some(made.clone());
        }
        made
    }
}

/// The reading with these manifests replaced or, where there is nothing, taken out.
fn put(
    reading: &Arc<Reading>,
    changed: BTreeMap<ResourceId, Option<Arc<Resource>>>,
) -> Arc<Reading> {
    if changed.is_empty() {
        return Arc::clone(reading);
    }
    let manifests = reading.manifests.iter().filter_map(|(id, manifest)| match changed.get(id) {
        None => Some((id.clone(), manifest.clone())),
        Some(None) => None,
        Some(Some(resource)) => {
            let resource = Arc::clone(resource);
            Some((id.clone(), Manifest { resource, ..manifest.clone() }))
        }
    });
    Arc::new(Reading {
        digest: reading.digest,
        manifests: manifests.collect(),
        frozen: reading.frozen.clone(),
        unknown: reading.unknown.clone(),
        ..Reading::default()
    })
}

/// What is certain: static labels that no dynamic one hides, and what is added on the way.
fn known(declared: &Declared, owner: &str) -> Labels {
    let mut labels: Labels = BTreeMap::new();
    labels.insert(ORIGIN_LABEL.to_owned(), Some(OUR_ORIGIN.to_owned()));
    labels.insert(OWNER_LABEL.to_owned(), Some(owner.to_owned()));
    let LabelParts { fixed, dynamic } = &declared.parts;
    let shown = fixed.iter().filter(|(key, _)| !dynamic.contains_key(*key));
    labels.extend(shown.map(|(key, value)| (key.clone(), Some(value.clone()))));
    labels
}

/// One manifest with all that decides about it.
struct Case<'a> {
    kind: &'a Kind,
    manifest: &'a Manifest,
    declared: &'a Declared,
    rules: &'a Rules,
    owner: &'a str,
}

impl Case<'_> {
    fn says(&self, values: &Values) -> BTreeMap<String, Say> {
        let dynamic = self.declared.parts.dynamic.iter();
        dynamic
            .map(|(key, label)| {
                let command = self.declared.commands.get(key);
                let known = command.and_then(|command| values.get(command));
                let pasted = Some(&label.result).filter(|result| {
                    self.rules.mode == Mode::Forward
                        && !result.is_empty()
                        && !self.rules.allow.permits(&label.command)
                });
                (key.clone(), say(known, pasted, self.rules.on_failure))
            })
            .collect()
    }

    fn labels(&self, says: &BTreeMap<String, Say>) -> Labels {
        let mut labels = known(self.declared, self.owner);
        for (key, say) in says {
            match (say, self.rules.mode) {
                (Say::Value(value), _) => labels.insert(key.clone(), Some(value.clone())),
                (Say::Unknown, _) => labels.insert(key.clone(), None),
                (Say::Dropped, Mode::Resolve) => None,
                // Teleport takes a label without a result for an empty one.
                (Say::Dropped, Mode::Forward) => labels.insert(key.clone(), Some(String::new())),
            };
        }
        labels
    }

    /// The resource as it shall be stored.
    fn content(&self, says: &BTreeMap<String, Say>, live: Option<&Live>) -> Resource {
        let Some(labelled) = &self.kind.labelled else {
            return Resource::clone(&self.manifest.resource);
        };
        let parse = |canonical: &str| Value::from_json(canonical).unwrap_or(Value::Null);
        let stored = live.map(|live| (labelled.parts)(&parse(&live.canonical)).stored());
        let stored = stored.unwrap_or_default();
        let mut value = parse(&self.manifest.resource.canonical);
        match self.rules.mode {
            Mode::Resolve => {
                let mut labels = self.declared.parts.fixed.clone();
                for (key, say) in says {
                    match say {
                        Say::Value(value) => labels.insert(key.clone(), value.clone()),
                        Say::Dropped => labels.remove(key),
                        Say::Unknown => match stored.get(key).filter(|value| !value.is_empty()) {
                            Some(value) => labels.insert(key.clone(), value.clone()),
                            None => labels.remove(key),
                        },
                    };
                }
                (labelled.resolve)(&mut value, labels);
            }
            Mode::Forward => {
                let dynamic = &self.declared.parts.dynamic;
                let results = says.iter().map(|(key, say)| {
                    let result = match say {
                        Say::Value(value) => value.clone(),
                        Say::Dropped => String::new(),
                        Say::Unknown => {
                            let pasted = dynamic.get(key).map(|label| &label.result);
                            stored.get(key).or(pasted).cloned().unwrap_or_default()
                        }
                    };
                    (key.clone(), result)
                });
                (labelled.forward)(&mut value, results.collect());
            }
        }
        let id = &self.manifest.resource.id;
        canonical::resource(self.kind, id.cluster.clone(), &id.name, value)
    }
}

/// What is known of one label.
fn say(known: Option<&Known>, pasted: Option<&String>, on_failure: OnFailure) -> Say {
    let fails = known.is_some_and(|known| known.failing.is_some());
    match known.and_then(|known| known.good.as_ref()) {
        _ if fails && on_failure == OnFailure::Drop => Say::Dropped,
        Some(good) => Say::Value(good.value.clone()),
        None => pasted.map_or(Say::Unknown, |pasted| Say::Value(pasted.clone())),
    }
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
