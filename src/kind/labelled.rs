//! Labels that agents pick a resource by.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::model::Value;

/// What must be known of a kind that agents pick by its labels.
#[derive(Debug, Clone, Copy)]
pub struct Labelled {
    /// The field of a role that says which of them an identity may see, `kubernetes_labels`.
    pub access: &'static str,
    /// The labels of a canonical form.
    pub parts: fn(&Value) -> LabelParts,
    /// Takes the dynamic labels out and makes these the static ones.
    pub resolve: fn(&mut Value, BTreeMap<String, String>),
    /// Puts these results beside the commands of the dynamic labels, by key.
    pub forward: fn(&mut Value, BTreeMap<String, String>),
}

/// The labels of one resource.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LabelParts {
    /// As written.
    pub fixed: BTreeMap<String, String>,
    /// Found by commands. They hide static ones of the same key.
    pub dynamic: BTreeMap<String, DynamicLabel>,
}

impl LabelParts {
    /// What Teleport matches with: static labels, hidden by the stored results of dynamic ones.
    pub fn stored(&self) -> BTreeMap<String, String> {
        let mut all = self.fixed.clone();
        all.extend(self.dynamic.iter().map(|(key, label)| (key.clone(), label.result.clone())));
        all
    }
}

/// A label whose value a command prints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DynamicLabel {
    /// Program and arguments; empty: there never will be a value.
    pub command: Vec<String>,
    /// Between two runs; at least a second in a manifest without errors.
    pub period: Duration,
    /// The stored value; empty: none.
    pub result: String,
}
