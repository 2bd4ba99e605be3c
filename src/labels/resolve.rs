//! What label values make of a reading: which resources are meant, and with which labels.
//!
//! | | matching | content |
//! |---|---|---|
//! | mode `resolve` | static labels, hidden by dynamic ones | no commands; known values are static labels |
//! | mode `forward` | as Teleport does with what is stored | the commands as written, each with its last good value as `result` |
//!
//! A value that is not known holds a resource back only where it could change the answer. Where
//! it could not, the resource keeps what the cluster has for it. A command that fails and never
//! worked has no value that could be dropped: what is not known yet is not absent.
//!
//! Deliberately absent: running commands, clocks, and whose a live resource is.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::allow::Allow;
use super::candidate::{Case, known};
use super::selector::{Matching, Selectors};
use super::value::{Command, Say, Values};
use super::{Labels, Mode, OnFailure};
use crate::kind::{self, LabelParts, Labelled};
use crate::live::{LiveState, Seen};
use crate::manifest::{Manifest, Reading};
use crate::model::{Digest, Live, Resource, ResourceId, Value};

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
    pub fits: Matches,
}

/// What selectors say of the manifests of kinds that agents pick by label.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Matches {
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
        let mut fits = Matches::default();
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
        Desired { declared: Arc::clone(reading), reading: put(reading, &changed), fits }
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

    /// What selectors say of one declared resource from what is known now, and its labels as they
    /// see them; `None`: nobody picks its kind by them.
    pub fn matching(
        &self,
        id: &ResourceId,
        manifest: &Manifest,
        values: &Values,
        rules: &Rules,
        owner: &str,
    ) -> Option<(Matching, Labels)> {
        let (declared, kind) = (self.look(id, manifest)?, kind::row(id.kind)?);
        let case = Case { kind, manifest, declared: &declared, rules, owner };
        let labels = case.labels(&case.says(values));
        Some((rules.selectors.look(&labels), labels))
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
        match self.matching(id, manifest, values, rules, owner) {
            None | Some((Matching::Item { .. }, _)) => Meant::Yes,
            Some((Matching::Nothing, _)) => Meant::No,
            Some((Matching::Unknown(_), _)) => Meant::Undecided,
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
    changed: &BTreeMap<ResourceId, Option<Arc<Resource>>>,
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
