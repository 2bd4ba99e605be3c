//! Which kinds are listed and watched: those in use, and nothing else.
//!
//! A kind that comes into use is listed before anything is planned, and the watch is opened anew
//! if it can carry it. One that falls out of use is forgotten; a watch that still carries it is
//! not opened again for that.

use std::collections::BTreeSet;

use super::Effect;
use super::condition::Condition;
use super::config::{Planted, WATCH_PATIENCE};
use super::live::{KindKey, KindLive, LiveSide, Watch};
use super::machine::{Engine, Life};
use crate::journal::parse_id;
use crate::kind::{self, Follow};
use crate::live::ListFailure;
use crate::manifest::Reading;
use crate::model::{KindName, ResourceId};
use crate::plan::{in_use, kinds};

impl LiveSide {
    /// The watch says nothing from now on: of the kinds that it told of anything may be missed
    /// until they are listed again, those included of which a list is still to come since it was
    /// opened. Whether something was wholly known until now.
    pub(super) fn unfollow(&mut self, reason: &str) -> bool {
        let mut was_known = false;
        for (key, kind) in &mut self.kinds {
            kind.followed = false;
            // One that was not open did not tell of anything.
            if kind.confirmed.take().is_none() {
                continue;
            }
            if let Some(observed) = self.state.kinds.get_mut(key)
                && observed.lack().is_none()
            {
                observed.degrade(reason, ListFailure::Transient);
                was_known = true;
            }
        }
        was_known
    }
}

impl Engine {
    /// Takes kinds into use that source or journal ask for now.
    pub(super) fn take_into_use(&mut self) {
        let new: Vec<KindKey> =
            self.needed().into_iter().filter(|key| !self.live.kinds.contains_key(key)).collect();
        for key in &new {
            self.live.kinds.insert(key.clone(), KindLive::default());
        }
        if new.iter().any(|key| is_watched(key.1)) {
            self.open_watch();
        } else if self.live.watch != Watch::Opening {
            // When the watch is opened everything is listed anyway.
            for key in &new {
                self.list(key);
            }
        }
    }

    /// Forgets kinds of which nothing is declared, ours or under way. While the source is not
    /// understood as a whole none is: what is in doubt may come back at any moment.
    pub(super) fn drop_out_of_use(&mut self) {
        let is_sure = self.source.reading.as_ref().is_some_and(|reading| reading.is_whole())
            && self.source.not_yet.is_none();
        if !is_sure {
            return;
        }
        let needed = self.needed();
        self.live.kinds.retain(|key, _| needed.contains(key));
        self.live.state.kinds.retain(|key, _| needed.contains(key));
    }

    fn needed(&self) -> BTreeSet<KindKey> {
        let nothing = Reading::default();
        let reading = self.source.reading.as_deref().unwrap_or(&nothing);
        let mut needed = in_use(reading, &self.journal.inventory);
        let open: Vec<ResourceId> =
            self.journal.open.values().filter_map(|open| parse_id(&open.id)).collect();
        let is_alive = |condition: &Condition| !matches!(condition, Condition::Idle);
        let slots = self.slots.iter().filter(|(_, slot)| is_alive(&slot.condition));
        needed.extend(kinds(open.iter().chain(slots.map(|(id, _)| id))));
        needed
    }

    /// Opens the watch over the kinds in use, instead of the one there is.
    pub(super) fn open_watch(&mut self) {
        if self.life != Life::Running {
            return;
        }
        self.live.unfollow("the watch is opened anew");
        let names: BTreeSet<KindName> =
            self.live.kinds.keys().map(|key| key.1).filter(|name| is_watched(*name)).collect();
        if names.is_empty() {
            self.live.watch = Watch::None;
            self.clocks.watch = None;
            return self.list_everything();
        }
        self.live.watch = Watch::Opening;
        self.clocks.watch = Some(self.now.monotonic + WATCH_PATIENCE);
        self.out.push(Effect::Watch { kinds: names.into_iter().collect() });
    }

    /// There is a new identity, or the old one is over: the watch goes to the new connection, and
    /// what was refused or could not be sent may go now.
    pub(super) fn renewed(&mut self) {
        if self.life != Life::Running {
            return;
        }
        self.open_watch();
        if self.planted(Planted::NoRetry) {
            return;
        }
        let waiting: Vec<ResourceId> = self
            .slots
            .iter()
            .filter(|(_, slot)| matches!(slot.condition, Condition::BackingOff(_)))
            .map(|(id, _)| id.clone())
            .collect();
        for id in waiting {
            self.put_slot(&id, Condition::Idle, None);
        }
        self.replan();
    }
}

fn is_watched(name: KindName) -> bool {
    kind::row(name).is_some_and(|kind| matches!(kind.follow, Follow::Watch(_)))
}
