//! The clocks: each has one reason to ring, and none rings for another.

use std::time::Duration;

use super::config::{CLOCK_JUMP, Config};
use crate::model::Now;

/// Everything that waits for a time of its own. Resources have theirs in their slots, kinds in
/// `live`.
#[derive(Debug, Clone, Default)]
pub(super) struct Clocks {
    /// Settle: when the first and the last hint came.
    hints: Option<(Duration, Duration)>,
    /// When a reading that failed is tried again.
    pub reread: Option<Duration>,
    /// Resync: when everything is read again.
    pub resync: Option<Duration>,
    /// When the watch is opened again, or no longer waited for.
    pub watch: Option<Duration>,
    /// When the plan is made.
    pub plan: Option<Duration>,
    /// When reads show all that an earlier life wrote.
    pub catch_up: Option<Duration>,
    /// Calendar minus monotonic, milliseconds, at the last step.
    offset: Option<i64>,
}

impl Clocks {
    /// Something moved in the source.
    pub(super) fn hint(&mut self, now: Duration) {
        let first = self.hints.map_or(now, |(first, _)| first);
        self.hints = Some((first, now));
    }

    /// Whether something moved in the source since the last reading began.
    pub(super) fn is_hinted(&self) -> bool {
        self.hints.is_some()
    }

    /// When the source is to be read: after quiet time, but not for ever later.
    pub(super) fn read_at(&self, config: &Config) -> Option<Duration> {
        let hinted =
            self.hints.map(|(first, last)| (last + config.settle).min(first + config.settle_max));
        match (hinted, self.reread) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        }
    }

    /// A reading begins: the hints so far are spent.
    pub(super) fn reading(&mut self) {
        self.hints = None;
        self.reread = None;
    }

    /// Asks for a plan soon.
    pub(super) fn plan_by(&mut self, at: Duration) {
        self.plan = Some(self.plan.map_or(at, |before| before.min(at)));
    }

    /// By how much calendar and monotonic time moved apart since the last step, if by more
    /// than they may. Milliseconds; negative: the calendar went back.
    pub(super) fn jump(&mut self, now: Now) -> Option<i64> {
        let monotonic = i64::try_from(now.monotonic.as_millis()).unwrap_or(i64::MAX);
        let offset = now.wall.0.saturating_sub(monotonic);
        let moved = offset.saturating_sub(self.offset.replace(offset).unwrap_or(offset));
        let allowed = u64::try_from(CLOCK_JUMP.as_millis()).unwrap_or(u64::MAX);
        (moved.unsigned_abs() > allowed).then_some(moved)
    }

    /// The next time that anything here rings.
    pub(super) fn next(&self, config: &Config) -> Option<Duration> {
        [self.read_at(config), self.resync, self.watch, self.plan, self.catch_up]
            .into_iter()
            .flatten()
            .min()
    }
}
