//! An engine that a test drives by hand, with a clock that stands still meanwhile.
#![expect(clippy::unwrap_used, reason = "test code")]

use std::collections::VecDeque;
use std::time::Duration;

use reconciler::engine::{Effect, Engine, Event};
use reconciler::model::{Now, Timestamp};

/// The world around one engine.
pub(crate) trait ByHand {
    fn engine(&mut self) -> &mut Engine;

    /// How long it has been there.
    fn at(&self) -> Duration;

    /// What the world does about an effect, at once.
    fn answer(&mut self, effect: Effect) -> Vec<Event>;

    fn now(&self) -> Now {
        let wall = 1_700_000_000_000 + i64::try_from(self.at().as_millis()).unwrap();
        Now { monotonic: self.at(), wall: Timestamp(wall) }
    }

    /// Something happens, and all that follows from it.
    fn event(&mut self, event: Event) {
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            let now = self.now();
            for effect in self.engine().step(now, event) {
                events.extend(self.answer(effect));
            }
        }
    }
}
