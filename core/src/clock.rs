//! Time as the rooms see it: passed in, so that decisions stay pure and tests can steer it.

use std::time::Duration;

/// A point on a monotonic clock, as the distance from an origin that the clock chose.
pub type MonotonicTime = Duration;

/// Tells the time. Implemented by `io` for real time and by [`ManualClock`] for tests.
pub trait Clock {
    /// Milliseconds since 1970-01-01 UTC.
    fn unix_ms(&self) -> i64;
    /// Monotonic time since the clock's origin.
    fn monotonic(&self) -> MonotonicTime;
}

/// A clock that stands still until it is moved.
#[derive(Debug, Default)]
pub struct ManualClock {
    now: std::cell::Cell<Duration>,
}

impl ManualClock {
    /// Moves the clock forward.
    pub fn advance(&self, by: Duration) {
        self.now.set(self.now.get().saturating_add(by));
    }
}

impl Clock for ManualClock {
    fn unix_ms(&self) -> i64 {
        i64::try_from(self.now.get().as_millis()).unwrap_or(i64::MAX)
    }

    fn monotonic(&self) -> MonotonicTime {
        self.now.get()
    }
}
