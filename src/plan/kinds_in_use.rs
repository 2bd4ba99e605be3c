//! Which kinds are in use: only these are listed and watched, so that an identity needs no rights
//! on the others and nobody hears of them.

use std::collections::{BTreeMap, BTreeSet};

use crate::journal::Entry;
use crate::kind;
use crate::manifest::Reading;
use crate::model::{Cluster, KindName, ResourceId};

/// The kinds of which something is declared or ours, and those that what is declared may refer to.
///
/// A document of which not even the kind is known adds none: nothing is planned for it, and what
/// it declared before is in the inventory if it is ours.
pub fn in_use(
    reading: &Reading,
    inventory: &BTreeMap<ResourceId, Entry>,
) -> BTreeSet<(Cluster, KindName)> {
    let declared = kinds(reading.manifests.keys());
    let mut used = kinds(reading.frozen.keys().chain(inventory.keys()));
    for (cluster, name) in declared {
        let others = kind::row(name).map(|kind| kind.refers_to).unwrap_or_default();
        used.extend(others.iter().map(|other| (cluster.clone(), *other)));
        used.insert((cluster, name));
    }
    used
}

/// The kinds of some ids. Ids of one kind stand together, so that each costs little.
pub fn kinds<'a>(ids: impl Iterator<Item = &'a ResourceId>) -> BTreeSet<(Cluster, KindName)> {
    let mut all = BTreeSet::new();
    let mut last: Option<&ResourceId> = None;
    for id in ids {
        if last.is_none_or(|last| last.kind != id.kind || last.cluster != id.cluster) {
            all.insert((id.cluster.clone(), id.kind));
            last = Some(id);
        }
    }
    all
}
