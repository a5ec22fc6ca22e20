//! How often something that had little to give is asked again.
//!
//! Who asks at once after every few records spends its time, and that of a broker, on the asking: a wake-up, a system call and
//! a frame on each side. So what has just given all that it had is left alone for a moment. Where less than one thing a
//! moment comes, nothing is ever held up.
//!
//! What was waited at for longer is left alone for a breath all the same: a broker answers with the first message of a batch
//! that it is just making known, and if it was asked at once, with the next few. Not what gives so rarely that a timer for
//! each time costs more than the asking.

use std::cell::Cell;
use std::time::{Duration, Instant};

/// Least time between two askings of something that had no more to give.
pub const MOMENT: Duration = Duration::from_millis(1);
/// Least time between what it gave and the next asking.
const BREATH: Duration = Duration::from_micros(300);
/// What had to be waited at for so long gives rarely.
const RARELY: Duration = Duration::from_millis(20);

/// When something was last asked, and when it gave all that it had.
#[derive(Default)]
pub struct Pace {
    asked: Cell<Option<Instant>>,
    emptied: Cell<Option<Instant>>,
}

impl Pace {
    /// It is asked now.
    pub fn ask(&self) {
        self.asked.set(Some(Instant::now()));
    }

    /// It has given something, and had no more than that or did.
    pub fn gave(&self, had_no_more: bool) {
        self.emptied.set(had_no_more.then(Instant::now));
    }

    /// Whether it had no more than it gave.
    #[must_use]
    pub fn had_no_more(&self) -> bool {
        self.emptied.get().is_some()
    }

    /// How long to wait before it is asked again; nothing when it has more, or the last time is long enough ago.
    #[must_use]
    pub fn rest(&self) -> Option<Duration> {
        let emptied = self.emptied.get()?.elapsed();
        left(self.asked.get()?.elapsed(), emptied)
    }
}

fn left(since_asked: Duration, since_emptied: Duration) -> Option<Duration> {
    if since_asked.saturating_sub(since_emptied) >= RARELY {
        return None;
    }
    let left = MOMENT.saturating_sub(since_asked).max(BREATH.saturating_sub(since_emptied));
    (!left.is_zero()).then_some(left)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_gave_all_is_left_alone() {
        let pace = Pace::default();
        assert_eq!((pace.rest(), pace.had_no_more()), (None, false));
        pace.ask();
        assert_eq!((pace.rest(), pace.had_no_more()), (None, false), "it may have more");
        pace.gave(true);
        assert!(pace.rest().is_none_or(|rest| rest <= MOMENT) && pace.had_no_more());
        pace.gave(false);
        assert_eq!((pace.rest(), pace.had_no_more()), (None, false), "it has more");
    }

    #[test]
    fn a_moment_since_the_asking_and_a_breath_since_the_answer_pass() {
        assert_eq!(left(Duration::ZERO, Duration::ZERO), Some(MOMENT));
        assert_eq!(left(MOMENT / 4, Duration::ZERO), Some(MOMENT * 3 / 4));
        assert_eq!(left(MOMENT * 19, Duration::ZERO), Some(BREATH));
        assert_eq!(left(MOMENT * 19, BREATH / 3), Some(BREATH * 2 / 3));
        assert_eq!(left(RARELY, Duration::ZERO), None, "it gives rarely");
        assert_eq!((left(MOMENT, BREATH), left(MOMENT * 2, MOMENT)), (None, None));
    }
}
