//! What comes from outside gets the ids under which everything here goes: a name that anybody
//! says is a secret has the same veiled id in the files, in the cluster and in the journal.

use std::sync::Arc;

use super::machine::Engine;
use crate::journal::{State, parse_id};
use crate::live::Observed;
use crate::manifest::Reading;
use crate::model::{Live, ResourceId};

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
