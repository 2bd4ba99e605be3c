//! The watch: what it tells, and what its end means.

use super::Level;
use super::condition::backoff;
use super::config::{Planted, RETRY_FIRST, RETRY_MAX, WATCH_LASTING};
use super::live::{Change, Watch};
use super::machine::Engine;
use crate::model::{KindName, Live, ResourceId};

impl Engine {
    pub(super) fn watch_opened(&mut self, kinds: &[KindName]) {
        if self.live.watch != Watch::Opening {
            return;
        }
        self.clocks.watch = None;
        self.live.watch = Watch::Open;
        self.live.watch_opened = self.now.monotonic;
        if self.live.watch_failures == 1 {
            self.say(Level::Info, None, "the watch is open again".to_owned());
        }
        let opened = self.next_ticket;
        self.live.ahead.clear();
        for (key, kind) in &mut self.live.kinds {
            kind.confirmed = kinds.contains(&key.1).then_some(opened);
            kind.followed = false;
        }
        self.list_everything();
    }

    pub(super) fn watch_lost(&mut self, reason: &str) {
        if self.live.watch == Watch::None || matches!(self.live.watch, Watch::Lost(_)) {
            return;
        }
        let lived = self.now.monotonic.saturating_sub(self.live.watch_opened);
        if self.live.watch == Watch::Open && lived >= WATCH_LASTING {
            self.live.watch_failures = 0;
        }
        self.live.watch_failures = self.live.watch_failures.saturating_add(1);
        if self.live.watch_failures == 1 {
            self.say(Level::Warn, None, format!("the watch ended: {reason}"));
        }
        self.live.watch = Watch::Lost(reason.to_owned());
        let jitter = self.rng.f64();
        let delay = backoff(RETRY_FIRST, RETRY_MAX, self.live.watch_failures, jitter);
        self.clocks.watch = Some(self.now.monotonic + delay);
        if self.planted(Planted::IgnoreWatchLoss) {
            return;
        }
        if self.live.unfollow(&format!("the watch ended: {reason}")) {
            self.replan();
        }
        for key in self.live.kinds.keys().cloned().collect::<Vec<_>>() {
            if !self.live.is_unheard_of(&key) {
                self.list(&key);
            }
        }
    }

    /// The watch took too long, or is to be opened again.
    pub(super) fn watch_due(&mut self) {
        match self.live.watch {
            Watch::Opening => self.list_everything(),
            Watch::Lost(_) => self.open_watch(),
            Watch::None | Watch::Open => {}
        }
    }

    pub(super) fn watched_put(&mut self, live: Live) {
        if self.live.watch != Watch::Open {
            return;
        }
        let live = self.veiled_live(live);
        let id = live.id.clone();
        if self.live.ahead.get(&id) == Some(&live.revision) {
            self.live.ahead.remove(&id);
        }
        self.supersede(|other| *other == id);
        self.learn(Change::Put(live));
        self.settle_seen(&id);
    }

    pub(super) fn watched_gone(&mut self, id: &ResourceId) {
        if self.live.watch != Watch::Open {
            return;
        }
        let id = &self.veiled_id(id);
        if self.live.ahead.remove(id).is_some() {
            // It may be what was there before our write: a list knows.
            return self.list_by(&(id.cluster.clone(), id.kind), self.now.monotonic);
        }
        self.supersede(|other| other == id);
        self.learn(Change::Gone(id.clone()));
        self.settle_gone(id);
    }
}
