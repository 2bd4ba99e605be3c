//! One manifest: its labels for matching, and its content as it shall be stored.

use std::collections::BTreeMap;

use super::resolve::{Declared, Rules};
use super::value::{Known, Say, Values};
use super::{Labels, Mode, OnFailure};
use crate::kind::{Kind, LabelParts, ORIGIN_LABEL, OWNER_LABEL, canonical};
use crate::manifest::Manifest;
use crate::model::{Live, Resource, Value};

/// What the server writes into [`ORIGIN_LABEL`] of what we create; selectors may ask for it.
const OUR_ORIGIN: &str = "dynamic";

/// What is certain: static labels that no dynamic one hides, and what is added on the way.
pub(super) fn known(declared: &Declared, owner: &str) -> Labels {
    let mut labels: Labels = BTreeMap::new();
    labels.insert(ORIGIN_LABEL.to_owned(), Some(OUR_ORIGIN.to_owned()));
    labels.insert(OWNER_LABEL.to_owned(), Some(owner.to_owned()));
    let LabelParts { fixed, dynamic } = &declared.parts;
    let shown = fixed.iter().filter(|(key, _)| !dynamic.contains_key(*key));
    labels.extend(shown.map(|(key, value)| (key.clone(), Some(value.clone()))));
    labels
}

/// One manifest with all that decides about it.
pub(super) struct Case<'a> {
    pub kind: &'a Kind,
    pub manifest: &'a Manifest,
    pub declared: &'a Declared,
    pub rules: &'a Rules,
    pub owner: &'a str,
}

impl Case<'_> {
    pub(super) fn says(&self, values: &Values) -> BTreeMap<String, Say> {
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

    pub(super) fn labels(&self, says: &BTreeMap<String, Say>) -> Labels {
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
    pub(super) fn content(&self, says: &BTreeMap<String, Say>, live: Option<&Live>) -> Resource {
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
        canonical::changed(self.kind, &self.manifest.resource, value)
    }
}

/// What is known of one label.
fn say(known: Option<&Known>, pasted: Option<&String>, on_failure: OnFailure) -> Say {
    let fails = known.is_some_and(|known| known.failing.is_some());
    match known.and_then(|known| known.good.as_ref()) {
        // What never had a value cannot lose it: nobody knows what it would be.
        Some(_) if fails && on_failure == OnFailure::Drop => Say::Dropped,
        Some(good) => Say::Value(good.value.clone()),
        None => pasted.map_or(Say::Unknown, |pasted| Say::Value(pasted.clone())),
    }
}
