//! What is on the server, and whether it is what the files want.

use super::cluster::Said;
use super::item::Phase;
use super::labels::{self, Fate};
use super::world::World;
use crate::kind::{self, canonical};
use crate::manifest::Manifest;
use crate::model::{Cluster, Digest, Live, ResourceId, Revision};
use crate::plan::DeferReason;

/// A version of a resource.
#[derive(Debug)]
pub(super) struct Version {
    digest: Digest,
    revision: Revision,
}

impl Version {
    /// Whether this is it; some kinds do not tell their revision.
    pub(super) fn is_of(&self, live: &Live) -> bool {
        live.digest == self.digest && live.revision.as_ref().is_none_or(|it| *it == self.revision)
    }
}

impl World {
    /// Whether the server has it.
    pub(super) fn is_present(&self, id: &ResourceId) -> bool {
        let now = self.now();
        let inner = self.cluster.inner();
        inner.core.items(id.kind.as_str(), now).any(|(name, _)| name == &*id.name)
    }

    pub(super) fn is_home(&self) -> bool {
        self.alive && self.engine.is_still() && self.untrue().is_empty()
    }

    /// What differs between the files and the server and may not.
    pub(super) fn untrue(&self) -> String {
        let reading = self.source.read();
        let excused = |id: &ResourceId| {
            let plan = self.engine.plan_now();
            plan.is_none_or(|plan| {
                plan.deferred.iter().any(|it| {
                    it.id == *id
                        && !matches!(it.why, DeferReason::LiveUnknown(_) | DeferReason::Settling)
                })
            })
        };
        let mut left = Vec::new();
        for (id, manifest) in &reading.manifests {
            let Fate { meant, digest } = self.fate(id, manifest);
            let is_right = match digest {
                Some(digest) => self.truth(id) == Some(digest),
                None => self.is_present(id),
            };
            if meant == Some(true) && !is_right && !excused(id) {
                left.push(id.to_string());
            }
            // Whether the journal knows it or not: it bears our mark, and no selector matches it.
            let paused = manifest.directives.paused_until.is_some();
            if meant == Some(false) && self.is_marked(id) && !paused && !excused(id) {
                left.push(format!("{id} still registered"));
            }
        }
        let is_wanted = |id: &ResourceId| {
            let manifest = reading.manifests.get(id);
            manifest.is_some_and(|it| self.fate(id, it).meant != Some(false))
        };
        for id in self.disk.inventory.keys() {
            if !is_wanted(id) && self.is_present(id) && !excused(id) {
                left.push(format!("{id} still there"));
            }
        }
        // What we made and lost from sight is nobody's for ever.
        for id in &self.oracle.made {
            let is_known = self.disk.inventory.contains_key(id);
            if !is_wanted(id) && !is_known && self.is_present(id) && !excused(id) {
                left.push(format!("{id} left behind"));
            }
        }
        left.join(", ")
    }

    /// What shall become of it: at the end by what the commands would say, during a single pass
    /// by what they said.
    pub(super) fn fate(&self, id: &ResourceId, manifest: &Manifest) -> Fate {
        labels::fate(&self.config, id, manifest, |word| match self.phase {
            Phase::Once => self.oracle.life.heard.said(&self.config, word),
            Phase::Chaos | Phase::Calm | Phase::Silence => self.truth_of(word),
        })
    }

    fn truth(&self, id: &ResourceId) -> Option<Digest> {
        self.said(id).map(|said| said.digest)
    }

    /// Which version of it the server has.
    pub(super) fn version(&self, id: &ResourceId) -> Option<Version> {
        let digest = self.truth(id)?;
        let now = self.now();
        let inner = self.cluster.inner();
        let (_, item) =
            inner.core.items(id.kind.as_str(), now).find(|(name, _)| *name == &*id.name)?;
        Some(Version { digest, revision: Revision(item.revision.clone()) })
    }

    /// Whether the server has it with our mark, and no other program keeps it.
    fn is_marked(&self, id: &ResourceId) -> bool {
        self.said(id).is_some_and(|said| said.is_ours)
    }

    fn said(&self, id: &ResourceId) -> Option<Said> {
        let now = self.now();
        let kind = kind::row(id.kind)?;
        let mut inner = self.cluster.inner();
        let key = {
            let mut items = inner.core.items(id.kind.as_str(), now);
            let (_, item) = items.find(|(name, _)| *name == &*id.name)?;
            (kind.name, item.value.clone())
        };
        if let Some(said) = inner.said.get(&key) {
            return Some(*said);
        }
        let live = canonical::decode(kind, Cluster::Parent, key.1.clone(), &super::KEY).ok()?;
        let origin = live.origin.as_deref();
        let is_ours = live.owner.as_deref() == Some(super::AGENT)
            && origin.is_none_or(|origin| !kind::FOREIGN_ORIGINS.contains(&origin));
        let said = Said { digest: live.digest, is_ours };
        inner.said.insert(key, said);
        Some(said)
    }
}
