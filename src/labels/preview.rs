//! Who serves which cluster: what is seen of it, what a change makes of it, and why nobody does.
//!
//! A Kubernetes Service matches on what is stored of a cluster: its labels, hidden by the stored
//! results of its commands. A command without a result counts as the empty value.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::Labels;
use super::selector::Matching;
use super::serve::{ServedBy, Service, served_by};
use crate::kind::kube_server::{Registered, Server, Servers};

/// One thing to say of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// The cluster.
    pub name: String,
    /// What.
    pub fact: Fact,
}

/// What a change does to a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact {
    /// These services pick it up, these perhaps.
    ServedBy(ServedBy),
    /// None of the configured services does.
    Nobody,
    /// These serve it now and will not.
    Unregisters(Vec<String>),
    /// A host has a cluster of that name in its own configuration.
    Clash(String),
    /// There is no way into it, and each look at it ends a service's round with an error.
    NoCredentials,
}

impl Fact {
    /// Whether somebody should look at it.
    pub const fn is_warning(&self) -> bool {
        match self {
            Self::Nobody | Self::Clash(_) | Self::NoCredentials => true,
            Self::ServedBy(_) | Self::Unregisters(_) => false,
        }
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, fact } = self;
        match fact {
            Fact::ServedBy(ServedBy { names, unknown }) if names.is_empty() => {
                write!(f, "{name} → perhaps served by {}", unknown.join(", "))
            }
            Fact::ServedBy(ServedBy { names, unknown }) => {
                write!(f, "{name} → served by {}", names.join(", "))?;
                if unknown.is_empty() {
                    return Ok(());
                }
                write!(f, ", perhaps by {}", unknown.join(", "))
            }
            Fact::Nobody => write!(f, "{name} → no service will pick this up"),
            Fact::Unregisters(from) => {
                write!(f, "{name} → this unregisters it from {}", from.join(", "))
            }
            Fact::Clash(host) => write!(
                f,
                "{name} → {host} has a cluster of this name in its own configuration and ignores \
                 this one"
            ),
            Fact::NoCredentials => {
                write!(f, "{name} → it has no credentials: every service that selects it fails")
            }
        }
    }
}

/// What a change of one cluster does: `before` it and `after` it, each absent where there is none.
pub fn notes(
    services: &[Service],
    seen: &Servers,
    before: Option<&Registered>,
    after: Option<&Registered>,
) -> Vec<Note> {
    let mut facts = Vec::new();
    let now = after.map(|it| served_by(services, &known(it))).unwrap_or_default();
    if let Some(after) = after {
        if let Some(host) = static_host(seen, &after.name) {
            facts.push(Fact::Clash(host.to_owned()));
        }
        if !after.credentials {
            facts.push(Fact::NoCredentials);
        }
        let served = !now.names.is_empty() || !now.unknown.is_empty();
        match (services.is_empty(), served) {
            (true, _) => {}
            // Those that select it fail: who they are is no news.
            (false, true) if !after.credentials => {}
            (false, true) => facts.push(Fact::ServedBy(now.clone())),
            (false, false) => facts.push(Fact::Nobody),
        }
    }
    // What nobody could serve is taken from nobody.
    let whole = before.filter(|it| it.credentials);
    let mut lost = whole.map(|it| served_by(services, &known(it)).names).unwrap_or_default();
    lost.retain(|name| !now.names.contains(name) && !now.unknown.contains(name));
    if !lost.is_empty() {
        facts.push(Fact::Unregisters(lost));
    }
    let name = after.or(before).map(|it| it.name.clone()).unwrap_or_default();
    facts.into_iter().map(|fact| Note { name: name.clone(), fact }).collect()
}

/// Why a registered cluster is served by nobody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unserved {
    /// What is served could not be read.
    Unknown(String),
    /// A host has a cluster of that name in its own configuration.
    Clash(String),
    /// There is no way into it.
    NoCredentials,
    /// No service is described, so that nothing can be said.
    NoServices,
    /// It depends on these labels, whose commands have no result yet.
    NoResult(BTreeSet<String>),
    /// No service selects it.
    NotSelected,
    /// These select it. They may not have looked yet, or fail.
    NotYet(Vec<String>),
}

impl fmt::Display for Unserved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |names: &BTreeSet<String>| {
            names.iter().map(|it| format!("`{it}`")).collect::<Vec<_>>().join(", ")
        };
        match self {
            Self::Unknown(why) => write!(f, "unknown: {why}"),
            Self::Clash(host) => {
                write!(f, "{host} has a cluster of this name in its own configuration")
            }
            Self::NoCredentials => f.write_str("it has no credentials"),
            Self::NoServices => {
                f.write_str("unknown: no [[kubernetes.service]] is configured that should")
            }
            Self::NoResult(labels) => {
                write!(f, "no stored result yet of the dynamic label {}", list(labels))
            }
            Self::NotSelected => f.write_str("no configured service selects it"),
            Self::NotYet(names) => {
                let select = if names.len() == 1 { "selects" } else { "select" };
                write!(f, "{} {select} it and did not register it yet", names.join(", "))
            }
        }
    }
}

/// Who will serve a registered cluster, once all have looked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prediction {
    /// Those who will, and those who may.
    pub by: ServedBy,
    /// Why nobody is sure to; none if somebody is.
    pub why_not: Option<Unserved>,
}

/// Foretells who will serve a cluster, whoever serves it now.
pub fn predict(services: &[Service], seen: &Servers, cluster: &Registered) -> Prediction {
    let now = served_by(services, &known(cluster)).names;
    let nobody = |unknown: Vec<String>, why| Prediction {
        by: ServedBy { names: Vec::new(), unknown },
        why_not: Some(why),
    };
    if let Some(host) = static_host(seen, &cluster.name) {
        // Which of the services runs on that host is not known.
        return nobody(now, Unserved::Clash(host.to_owned()));
    }
    if !cluster.credentials {
        return nobody(Vec::new(), Unserved::NoCredentials);
    }
    if services.is_empty() {
        return nobody(Vec::new(), Unserved::NoServices);
    }
    let open = with_open(cluster);
    let may = served_by(services, &open).unknown;
    let may: Vec<String> = may.into_iter().filter(|name| !now.contains(name)).collect();
    if !now.is_empty() {
        return Prediction { by: ServedBy { names: now, unknown: may }, why_not: None };
    }
    let missing = missing_results(services, &open);
    let why = if missing.is_empty() { Unserved::NotSelected } else { Unserved::NoResult(missing) };
    nobody(may, why)
}

/// Why nobody serves a registered cluster; none if somebody does.
pub fn unserved(services: &[Service], seen: &Servers, cluster: &Registered) -> Option<Unserved> {
    let servers = match seen {
        Servers::Known(servers) => servers,
        Servers::Unknown(why) => return Some(Unserved::Unknown(why.clone())),
    };
    let mut of_name = servers.iter().filter(|it| it.name == cluster.name);
    if of_name.any(|it| !it.is_static()) {
        return None;
    }
    let Prediction { by, why_not } = predict(services, seen, cluster);
    Some(why_not.unwrap_or(Unserved::NotYet(by.names)))
}

/// Why a cluster that is listed as served is not served any more; none if it may well be.
///
/// With 18.0.0, what a service drops stays on the list, heartbeat and all, until the service begins
/// anew. `registered` are all clusters, if all could be read.
pub fn leftover(
    services: &[Service],
    registered: Option<&BTreeMap<String, Registered>>,
    server: &Server,
) -> Option<&'static str> {
    if server.is_static() {
        return None;
    }
    match registered?.get(&server.name) {
        None => Some("it is no longer registered"),
        Some(_) if services.is_empty() => None,
        Some(cluster) => {
            let now = served_by(services, &known(cluster));
            now.names.is_empty().then_some("no configured service selects it any longer")
        }
    }
}

/// The labels without a result that some service waits for.
fn missing_results(services: &[Service], open: &Labels) -> BTreeSet<String> {
    let looks = services.iter().map(|service| service.resources.look(open));
    let unknown = looks.filter_map(|matching| match matching {
        Matching::Unknown(labels) => Some(labels),
        Matching::Item { index: _, by: _ } | Matching::Nothing => None,
    });
    unknown.flatten().collect()
}

/// The stored labels, those without a result unknown.
fn with_open(cluster: &Registered) -> Labels {
    let mut labels = known(cluster);
    labels.extend(cluster.open.iter().map(|key| (key.clone(), None)));
    labels
}

fn static_host<'a>(seen: &'a Servers, name: &str) -> Option<&'a str> {
    match seen {
        Servers::Known(servers) => {
            servers.iter().find(|it| it.name == name && it.is_static()).map(Server::host)
        }
        Servers::Unknown(_) => None,
    }
}

/// The stored labels: to a service each has a value, if only the empty one.
fn known(cluster: &Registered) -> Labels {
    cluster.labels.iter().map(|(key, value)| (key.clone(), Some(value.clone()))).collect()
}

#[cfg(test)]
mod tests;
