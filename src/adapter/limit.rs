//! How many calls may be in flight: halved when the server has had enough, one more for each
//! call that goes well.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// Most calls in flight. A real server gains nothing from more.
pub(super) const IN_FLIGHT_MAX: usize = 64;

/// The limit of one control plane.
#[derive(Debug)]
pub(super) struct Limit {
    state: Mutex<State>,
    freed: Notify,
}

#[derive(Debug)]
struct State {
    most: usize,
    in_flight: usize,
}

impl Default for Limit {
    fn default() -> Self {
        let state = State { most: IN_FLIGHT_MAX, in_flight: 0 };
        Self { state: Mutex::new(state), freed: Notify::new() }
    }
}

/// One call in flight; over when dropped.
#[derive(Debug)]
pub(super) struct Turn<'a> {
    limit: &'a Limit,
}

impl Limit {
    /// Waits for a turn.
    pub(super) async fn turn(&self) -> Turn<'_> {
        loop {
            // Made before the look, so that no turn that ends in between is missed.
            let freed = self.freed.notified();
            {
                let mut state = self.state();
                if state.in_flight < state.most {
                    state.in_flight = state.in_flight.saturating_add(1);
                    return Turn { limit: self };
                }
            }
            freed.await;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turn<'_> {
    /// The server answered: one more may be tried.
    pub(super) fn went_well(&self) {
        let mut state = self.limit.state();
        state.most = state.most.saturating_add(1).min(IN_FLIGHT_MAX);
    }

    /// The server had enough: half as many.
    pub(super) fn was_too_much(&self) {
        let mut state = self.limit.state();
        state.most = (state.most / 2).max(1);
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut state = self.limit.state();
        state.in_flight = state.in_flight.saturating_sub(1);
        drop(state);
        // Two, because the limit may have grown by one as well.
        self.limit.freed.notify_one();
        self.limit.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{IN_FLIGHT_MAX, Limit};

    #[tokio::test]
    async fn halves_when_it_is_too_much_and_grows_by_one() {
        let limit = Limit::default();
        let mut turns = Vec::new();
        for _ in 0..IN_FLIGHT_MAX {
            turns.push(limit.turn().await);
        }
        let wait = Duration::from_millis(20);
        assert!(tokio::time::timeout(wait, limit.turn()).await.is_err(), "one too many");
        turns[0].was_too_much();
        turns.truncate(IN_FLIGHT_MAX / 2);
        assert!(tokio::time::timeout(wait, limit.turn()).await.is_err(), "the limit was halved");
        turns[0].went_well();
        turns.push(tokio::time::timeout(wait, limit.turn()).await.unwrap());
        assert!(tokio::time::timeout(wait, limit.turn()).await.is_err(), "it grew by one only");
        for _ in 0..10 {
            turns[0].was_too_much();
        }
        turns.clear();
        let one = limit.turn().await;
        assert!(tokio::time::timeout(wait, limit.turn()).await.is_err(), "one is the least");
        drop(one);
        tokio::time::timeout(wait, limit.turn()).await.unwrap();
    }
}
