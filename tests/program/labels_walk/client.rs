//! Agents of a served plane.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::common::Place;
use crate::served::Served;

/// A served plane that plays the Kubernetes Services of this configuration.
pub(crate) fn serving(labels: &str) -> Served {
    let mut served = Served::start();
    let config = format!("[control_plane]\nkind = \"embedded\"\n{labels}");
    fs::write(served.dir.path().join("reconciler.toml"), config).unwrap();
    served.restart(&["--load", "roles"]);
    served
}

/// A place whose agent drives the served plane as a user with that role, over mutual TLS; with a
/// source of its own or that of others.
pub(crate) fn place(
    served: &Served,
    name: &str,
    role: &str,
    source: Option<&Path>,
    labels: &str,
) -> Place {
    let place = Place::new("");
    let identity = served.identity(name, role);
    let own = place.source();
    let text = format!(
        "[agent]\nname = \"{name}\"\n[source]\npath = \"{}\"\nsettle = \"100ms\"\n\
         [control_plane]\nkind = \"teleport\"\naddress = \"{}\"\nidentity_file = \"{}\"\n\
         [safety]\nprune_delay = \"1s\"\n[state]\npath = \"state/state.db\"\n{labels}",
        source.unwrap_or(&own).display(),
        served.address,
        identity.display(),
    );
    fs::write(place.dir.path().join("reconciler.toml"), text).unwrap();
    place
}

/// The served plane's calls by the last part of their method's name.
pub(crate) fn calls(served: &Served) -> BTreeMap<String, u64> {
    let output = served.run(&["plane", "calls", "--state", "state.db"]);
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .filter_map(|line| {
            let (count, method) = line.trim().split_once(' ')?;
            Some((method.trim().rsplit('/').next()?.to_owned(), count.parse().ok()?))
        })
        .collect()
}

/// How often one was called.
pub(crate) fn called(served: &Served, method: &str) -> u64 {
    calls(served).get(method).copied().unwrap_or(0)
}
