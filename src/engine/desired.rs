//! What selectors make of the reading.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::config::{Planted, VALUE_QUIET};
use super::machine::Engine;
use crate::journal::Entry;
use crate::labels::resolve::{Desired, Matches, Meant};
use crate::labels::value::Command;
use crate::live::Observed;
use crate::manifest::Reading;
use crate::model::{Live, ResourceId};

impl Engine {
    /// What is wanted, from what is known now.
    pub(super) fn resolve(&mut self, reading: &Arc<Reading>) -> Arc<Desired> {
        let (values, rules) = (&self.labels.values, &self.config.labels);
        let owner = &self.config.policy.agent;
        let resolver = &mut self.labels.resolver;
        let desired = resolver.resolve(reading, &self.live.state, values, rules, owner);
        let desired = Arc::new(self.planted_desired(desired));
        self.labels.desired = Some(Arc::clone(&desired));
        desired
    }

    /// Whether a declared resource is meant; nothing that is not declared is.
    fn meant(&self, id: &ResourceId) -> Meant {
        let manifest = self.source.reading.as_ref().and_then(|it| it.manifests.get(id));
        let Some(manifest) = manifest else { return Meant::No };
        let (values, rules) = (&self.labels.values, &self.config.labels);
        let owner = &self.config.policy.agent;
        let meant = self.labels.resolver.meant(id, manifest, values, rules, owner);
        match meant {
            Meant::Undecided if self.planted(Planted::UnknownIsUnmatched) => Meant::No,
            Meant::No if self.planted(Planted::RegisterUnmatched) => Meant::Yes,
            Meant::Yes | Meant::No | Meant::Undecided => meant,
        }
    }

    /// Whether it is wanted, or may be.
    pub(super) fn is_wanted(&self, id: &ResourceId) -> bool {
        self.meant(id) != Meant::No
    }

    /// Whether what was to be deleted is wanted again, or may be, since the plan was made. (What
    /// became of the source meanwhile has dropped the plan.)
    pub(super) fn is_back(&self, id: &ResourceId) -> bool {
        let stale = self.planted(Planted::KeepStalePlan) || self.planted(Planted::IgnoreFlap);
        !stale && self.is_wanted(id)
    }

    /// What is wanted again, or may be, is not pending and not approved any more, even if it is
    /// unwanted again at once.
    pub(super) fn cancel_deletes(&mut self) {
        let Some(reading) = self.source.reading.clone() else { return };
        let whole = reading.is_whole();
        let pending = std::mem::take(&mut self.pending);
        let stays = pending.into_iter().filter(|(id, _)| whole && !self.is_wanted(id));
        self.pending = stays.collect();
        let grants = std::mem::take(&mut self.allowance.grants);
        let stays = grants
            .into_iter()
            .filter(|(id, _)| !self.is_wanted(id) && !reading.frozen.contains_key(id));
        self.allowance.grants = stays.collect();
    }

    /// A label has another value: what was planned from the old one is not begun.
    pub(super) fn label_changed(&mut self, command: &Arc<Command>) {
        let ids = self.labels.users.get(command).cloned().unwrap_or_default();
        if !self.planted(Planted::IgnoreFlap) {
            let ours = |id: &ResourceId| ids.contains(id);
            if self.pending.keys().any(ours) || self.allowance.grants.keys().any(ours) {
                self.cancel_deletes();
            }
            let before = self.queue.len();
            self.queue.retain(|step| !ids.contains(&step.id));
            if self.queue.len() < before {
                self.open.retain(|id| !ids.contains(id) || self.busy.contains(id));
            }
            self.drop_begun(|id| ids.contains(id));
        }
        self.clocks.plan_by(self.now.monotonic + VALUE_QUIET);
    }

    /// Whether the independent check must be kept from seeing a planted bug first.
    pub(super) fn has_planted_labels(&self) -> bool {
        self.planted(Planted::UnknownIsUnmatched) || self.planted(Planted::RegisterUnmatched)
    }

    fn planted_desired(&self, mut desired: Desired) -> Desired {
        if !self.has_planted_labels() {
            return desired;
        }
        let Matches { matched: _, unmatched, undecided } = &mut desired.fits;
        if self.planted(Planted::UnknownIsUnmatched) {
            let unknown = std::mem::take(undecided).into_iter();
            unmatched.extend(unknown.map(|(id, it)| {
                let manifest = it.manifest;
                let labels = BTreeMap::new();
                (id, crate::labels::resolve::Unmatched { manifest, labels })
            }));
        } else {
            let mut reading = Reading::clone(&desired.reading);
            let all = std::mem::take(unmatched).into_iter();
            reading.manifests.extend(all.map(|(id, it)| (id, it.manifest)));
            desired.reading = Arc::new(reading);
        }
        desired
    }

    pub(super) fn planted_reading(&self, reading: Arc<Reading>) -> Arc<Reading> {
        if !self.planted(Planted::FrozenIsAbsent) {
            return reading;
        }
        let mut reading = Reading::clone(&reading);
        reading.frozen.clear();
        reading.unknown.clear();
        Arc::new(reading)
    }

    pub(super) fn planted_inventory(&self) -> Option<BTreeMap<ResourceId, Entry>> {
        self.planted(Planted::EverythingIsOurs).then(|| {
            let all = self.live.state.kinds.values().flat_map(Observed::seen);
            let entry = |live: &Arc<Live>| Entry {
                applied: self.masked(&live.id, &live.canonical).into(),
                adopted: true,
                path: String::new(),
                keep: false,
            };
            all.map(|live| (live.id.clone(), entry(live))).collect()
        })
    }
}
