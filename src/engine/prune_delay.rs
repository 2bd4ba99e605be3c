//! When a delete may go, and what must be looked at before.

use std::collections::BTreeSet;
use std::time::Duration;

use super::config::Planted;
use super::live::KindKey;
use super::machine::Engine;
use crate::model::ResourceId;

impl Engine {
    /// Whether a delete waited long enough, and what it is compared with is new enough.
    pub(super) fn is_prune_due(&self, id: &ResourceId) -> bool {
        if self.planted(Planted::NoPruneDelay) {
            return true;
        }
        self.due(id).is_some_and(|at| at <= self.now.monotonic) && self.may_delete(id)
    }

    /// When a delete will have waited long enough, if it is pending.
    fn due(&self, id: &ResourceId) -> Option<Duration> {
        self.pending.get(id).map(|since| *since + self.config.prune_delay)
    }

    /// The same of all that are pending.
    fn dues(&self) -> impl Iterator<Item = Duration> {
        self.pending.values().map(|since| *since + self.config.prune_delay)
    }

    /// Whether source and live side are sure enough for a delete.
    pub(super) fn may_delete(&self, id: &ResourceId) -> bool {
        self.clock_jumped.is_none()
            && !self.is_back(id)
            && self.source.not_yet.is_none()
            && self.source_is_quiet(id)
            && self.live.is_current(id, self.source.came)
    }

    /// Whether the source has nothing more to say about a delete: nothing moved since the last
    /// reading, or, where something always does, that reading began when the delete was due.
    pub(super) fn source_is_quiet(&self, id: &ResourceId) -> bool {
        !self.clocks.is_hinted() && self.source.in_flight.is_none()
            || self.due(id).is_some_and(|at| at <= self.source.begun)
    }

    /// Whether some delete has waited long enough.
    pub(super) fn is_any_due(&self) -> bool {
        self.dues().any(|at| at <= self.now.monotonic)
    }

    /// When the next delete has waited long enough, of those that had not when planning.
    pub(super) fn next_prune_due(&self) -> Option<Duration> {
        // While a kind that came into use is not known, whoever lists it asks for the plan.
        let made = self.planned.as_ref().filter(|_| self.may_plan())?.made;
        self.dues().filter(|at| *at > made).min()
    }

    /// A delete needs a list that began after the reading it is compared with.
    pub(super) fn list_for_deletes(&mut self) {
        let came = self.source.came;
        let stale = self.pending.keys().filter(|id| !self.live.is_current(id, came));
        self.list_since(stale.map(key_of).collect(), came);
    }

    /// What seemed to be gone at the start is looked for again, once reads have caught up.
    pub(super) fn list_for_catch_up(&mut self) {
        let (Some(warm), Some(planned)) = (self.caught_up, &self.planned) else { return };
        let steps = planned.plan.steps.iter().filter(|step| self.waits_for_catch_up(step));
        let cold = steps.map(|step| key_of(&step.id)).collect();
        self.list_since(cold, warm);
    }

    /// Asks for a list of each kind, unless one that began after that ticket is under way. What
    /// cannot be listed is tried again at its own times.
    fn list_since(&mut self, kinds: BTreeSet<KindKey>, after: u64) {
        for key in kinds {
            let Some(kind) = self.live.kinds.get(&key) else { continue };
            let is_coming = kind.listing.as_ref().is_some_and(|listing| listing.ticket > after);
            if kind.failures == 0 && !is_coming {
                self.list(&key);
            }
        }
    }

    /// Whether a delete of this kind, or forgetting one of it, waits for a list of it.
    pub(super) fn is_waited_for(&self, key: &KindKey) -> bool {
        let is_of = |id: &ResourceId| (&id.cluster, id.kind) == (&key.0, key.1);
        let came = self.source.came;
        self.absent.keys().any(is_of)
            || self.pending.keys().any(|id| is_of(id) && !self.live.is_current(id, came))
    }
}

fn key_of(id: &ResourceId) -> KindKey {
    (id.cluster.clone(), id.kind)
}
