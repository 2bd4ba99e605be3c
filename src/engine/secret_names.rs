//! What comes from outside gets the ids under which everything here goes: a name that anybody
//! says is a secret has the same veiled id in the files, in the cluster and in the journal.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::machine::Engine;
use crate::journal::{State, parse_id};
use crate::live::Observed;
use crate::manifest::Reading;
use crate::model::{KindName, Live, ResourceId};

impl Engine {
    /// What the journal says is secret stays so.
    pub(super) fn learn_journal(&mut self, state: &State) {
        self.veil.learn(state.inventory.keys());
        let open: Vec<ResourceId> =
            state.open.values().filter_map(|open| parse_id(&open.id)).collect();
        self.veil.learn(&open);
    }

    /// A reading under the veil.
    pub(super) fn veiled_reading(&mut self, reading: &Arc<Reading>) -> Arc<Reading> {
        self.learn_names(reading.manifests.keys());
        reading.under(&self.veil).map_or_else(|| Arc::clone(reading), Arc::new)
    }

    /// A list under the veil.
    pub(super) fn veil_list(&mut self, observed: &mut Observed) {
        self.learn_names(observed.seen().map(|live| &live.id));
        observed.put_under(&self.veil);
    }

    /// A whole list of a kind came: names that neither it nor anything of ours speaks of are not
    /// remembered any longer. Others may make any number of them.
    pub(super) fn forget_names(&mut self, kind: KindName) {
        if !kind.has_secret_names() {
            return;
        }
        let open: BTreeSet<ResourceId> =
            self.journal.open.values().filter_map(|open| parse_id(&open.id)).collect();
        let (live, journal, slots) = (&self.live.state, &self.journal, &self.slots);
        let reading = self.source.reading.as_ref();
        self.veil.retain(kind, |id| {
            live.look(id).present().is_some()
                || journal.inventory.contains_key(id)
                || open.contains(id)
                || slots.contains_key(id)
                || reading
                    .is_none_or(|it| it.manifests.contains_key(id) || it.frozen.contains_key(id))
        });
    }

    /// One resource under the veil.
    pub(super) fn veiled_live(&mut self, mut live: Live) -> Live {
        self.learn_names([&live.id]);
        live.id = self.veiled_id(&live.id);
        live
    }

    /// One id under the veil.
    pub(super) fn veiled_id(&self, id: &ResourceId) -> ResourceId {
        self.veil.over(id).unwrap_or_else(|| id.clone())
    }

    /// Takes in which names are secrets; what went by a plain name until now goes by the new id,
    /// and what was planned for it is dropped.
    fn learn_names<'a>(&mut self, ids: impl IntoIterator<Item = &'a ResourceId>) {
        if !self.veil.learn(ids) {
            return;
        }
        let moved = self.live.state.put_under(&self.veil);
        let reading = self.source.reading.as_ref().and_then(|it| it.under(&self.veil));
        if !moved && reading.is_none() {
            return;
        }
        if let Some(reading) = reading {
            self.source.reading = Some(Arc::new(reading));
        }
        self.drop_plan();
        self.replan();
    }
}
