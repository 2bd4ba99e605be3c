//! Who will serve a cluster of given labels.

use super::Labels;
use super::selector::{Matching, Selectors};

/// A Kubernetes Service that runs elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// What people call it.
    pub name: String,
    /// Its `kubernetes_service.resources`.
    pub resources: Selectors,
}

/// Who picks a cluster up. Names in the order of the configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServedBy {
    /// Those that do.
    pub names: Vec<String>,
    /// Those for which it depends on a label that is not known yet.
    pub unknown: Vec<String>,
}

/// Asks every service.
pub fn served_by(services: &[Service], labels: &Labels) -> ServedBy {
    let mut served = ServedBy::default();
    for service in services {
        match service.resources.look(labels) {
            Matching::Item { .. } => served.names.push(service.name.clone()),
            Matching::Unknown(_) => served.unknown.push(service.name.clone()),
            Matching::Nothing => {}
        }
    }
    served
}
