//! How often something that had little to give is asked again.
//!
//! Who asks at once after every few records spends its time, and that of a broker, on the asking: a wake-up, a system call and
//! a frame on each side. So what has just given all that it had is left alone for a moment. Where less than one thing a
//! moment comes, nothing is ever held up.

use std::cell::Cell;
use std::time::{Duration, Instant};

/// Least time between two askings of something that had no more to give.
pub const MOMENT: Duration = Duration::from_millis(1);

/// When something was last asked.
#[derive(Default)]
pub struct Pace {
    asked: Cell<Option<Instant>>,
}

impl Pace {
    /// It is asked now.
    pub fn ask(&self) {
        self.asked.set(Some(Instant::now()));
    }

    /// How long to wait before it is asked again; nothing when the last time is long enough ago.
    #[must_use]
    pub fn rest(&self) -> Option<Duration> {
        left(self.asked.get()?.elapsed())
    }
}

fn left(since_asked: Duration) -> Option<Duration> {
    MOMENT.checked_sub(since_asked).filter(|left| !left.is_zero())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_asked_within_the_moment_is_left_alone() {
        assert_eq!(Pace::default().rest(), None);
        let just_asked = Pace::default();
        just_asked.ask();
        assert!(just_asked.rest().is_none_or(|rest| rest <= MOMENT));
        assert_eq!(left(Duration::ZERO), Some(MOMENT));
        assert_eq!(left(MOMENT / 4), Some(MOMENT * 3 / 4));
        assert_eq!(left(MOMENT), None);
        assert_eq!(left(MOMENT * 2), None);
    }
}
