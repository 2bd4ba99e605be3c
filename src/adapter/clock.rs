//! The real clocks. Nothing else in the program reads them.

use std::time::{Duration, Instant, SystemTime};

use crate::model::{Now, Timestamp};
use crate::port::Clock;

/// The operating system's monotonic and calendar clocks.
#[derive(Debug, Clone, Copy)]
pub struct System {
    start: Instant,
}

impl System {
    /// A clock whose monotonic time begins now.
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads clocks")]
    pub fn start() -> Self {
        Self { start: Instant::now() }
    }
}

impl Clock for System {
    fn now(&self) -> Now {
        Now { monotonic: self.start.elapsed(), wall: wall() }
    }
}

/// The calendar time, to the millisecond.
pub(super) fn wall() -> Timestamp {
    Timestamp(i64::try_from(since_1970().as_millis()).unwrap_or(i64::MAX))
}

/// Time since 1970, to the nanosecond; zero for a clock that stands before it.
#[expect(clippy::disallowed_methods, reason = "this is the one place that reads clocks")]
pub(super) fn since_1970() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO)
}
