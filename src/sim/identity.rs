//! The identity ends without a successor, or is replaced.

use std::time::Duration;

use super::item::Item;
use super::world::World;
use crate::engine::Event;

/// How long a replacement may take. Seconds.
const REPLACED_AFTER: std::ops::Range<u64> = 1..40;

impl World {
    /// No call gets through until there is a new one; the connection with the watch is given up.
    pub(super) fn identity_expires(&mut self) {
        self.cluster.inner().expired = true;
        let wait = Duration::from_secs(self.chaos.u64(REPLACED_AFTER));
        self.schedule(wait, Item::Renew);
        self.tell_renewed();
    }

    /// A new identity is in force.
    pub(super) fn renew(&mut self) {
        self.cluster.inner().expired = false;
        self.count("identity renewed");
        self.tell_renewed();
    }

    fn tell_renewed(&mut self) {
        let told = Item::Tell(self.life, Box::new(Event::Renewed));
        self.schedule(Duration::from_millis(5), told);
    }
}
