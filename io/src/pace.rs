//! How often something that had little to give is asked again.
//!
//! Who asks at once after every few records spends its time, and that of a broker, on the asking: a wake-up, a system call and
//! a frame on each side. So what has just given all that it had is left alone for a moment. Where less than one thing a
//! moment comes, nothing is ever held up.

use std::cell::Cell;
use std::time::{Duration, Instant};

/// Least time between two askings of something that had no more to give.
pub const MOMENT: Duration = Duration::from_millis(1);

/// When something was last asked, and whether it had more than it gave.
#[derive(Default)]
pub struct Pace {
    asked: Cell<Option<Instant>>,
    had_no_more: Cell<bool>,
}

impl Pace {
    /// It is asked now.
    pub fn ask(&self) {
        self.asked.set(Some(Instant::now()));
    }

    /// It has given something, and had no more than that or did.
    pub fn gave(&self, had_no_more: bool) {
        self.had_no_more.set(had_no_more);
    }

    /// Whether it had no more than it gave.
    #[must_use]
    pub fn had_no_more(&self) -> bool {
        self.had_no_more.get()
    }

    /// How long to wait before it is asked again; nothing when it has more, or the last time is long enough ago.
    #[must_use]
    pub fn rest(&self) -> Option<Duration> {
        if self.had_no_more() { left(self.asked.get()?.elapsed()) } else { None }
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
        assert_eq!(just_asked.rest(), None, "it may have more");
        just_asked.gave(true);
        assert!(just_asked.rest().is_none_or(|rest| rest <= MOMENT));
        assert_eq!(left(Duration::ZERO), Some(MOMENT));
        assert_eq!(left(MOMENT / 4), Some(MOMENT * 3 / 4));
        assert_eq!(left(MOMENT), None);
        assert_eq!(left(MOMENT * 2), None);
    }
}
