//! Labels that agents pick a resource by.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;

use super::canonical::WireError;
use super::kube_server::Registered;
use crate::model::{FieldPath, Value};

/// What must be known of a kind that agents pick by its labels.
#[derive(Debug, Clone, Copy)]
pub struct Labelled {
    /// The labels of a canonical form.
    pub parts: fn(&Value) -> LabelParts,
    /// Where the dynamic labels stand, by key.
    pub dynamic: &'static [&'static str],
    /// Takes the dynamic labels out and makes these the static ones.
    pub resolve: fn(&mut Value, BTreeMap<String, String>),
    /// Puts these results beside the commands of the dynamic labels, by key.
    pub forward: fn(&mut Value, BTreeMap<String, String>),
    /// What Kubernetes Services see of the message. Fails for bytes that are none.
    pub registered: fn(Bytes) -> Result<Registered, WireError>,
}

/// The field of a dynamic label that holds program and arguments.
pub const COMMAND: &str = "command";

/// The field of a dynamic label that holds the stored value.
pub const RESULT: &str = "result";

impl Labelled {
    /// Where a field of a dynamic label stands.
    pub fn place(&self, key: &str, field: &str) -> FieldPath {
        let parts = self.dynamic.iter().copied().chain([key, field]);
        parts.fold(FieldPath::default(), |path, part| path.key(part))
    }
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
