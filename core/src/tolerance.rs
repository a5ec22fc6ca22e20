//! What to do about a failure: retry, or stop the task. A pure step; whoever asks does the waiting.

use std::time::Duration;

use crate::error::Retry;

/// What the loop must do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Wait so long, then make the same call again.
    RetryAfter(Duration),
    /// Give up: the task fails with the error.
    Stop,
}

/// Back-off between tries of a call whose target is away: doubles from `first` up to `max`, less a random part.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    /// Delay before the second try.
    pub first: Duration,
    /// Longest delay.
    pub max: Duration,
}

impl Backoff {
    /// For calls to brokers and outside systems.
    pub const TARGET: Self = Self { first: Duration::from_millis(50), max: Duration::from_secs(5) };

    /// Delay before try `attempt` + 1 (the first try is attempt 1), between half and all of the doubled base.
    /// `random` is any evenly spread number.
    #[must_use]
    pub fn delay(&self, attempt: u32, random: u64) -> Duration {
        let doubled =
            self.first.saturating_mul(1u32.checked_shl(attempt.saturating_sub(1).min(20)).unwrap_or(u32::MAX));
        let full = doubled.min(self.max);
        let half = full / 2;
        let jitter_ns = u64::try_from(half.as_nanos()).unwrap_or(u64::MAX).max(1);
        half.saturating_add(Duration::from_nanos(random % jitter_ns))
    }
}

/// Decides about a failed call.
#[must_use]
pub fn decide(retry: Retry, backoff: Backoff, attempt: u32, random: u64) -> Decision {
    match retry {
        Retry::Later => Decision::RetryAfter(backoff.delay(attempt, random)),
        Retry::BadRecord | Retry::Fatal => Decision::Stop,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_cap_and_never_overflow() {
        let backoff = Backoff { first: Duration::from_millis(100), max: Duration::from_secs(1) };
        for attempt in 1..200 {
            let delay = backoff.delay(attempt, u64::MAX / 3);
            let full =
                Duration::from_millis(100).saturating_mul(1 << (attempt - 1).min(10)).min(Duration::from_secs(1));
            assert!(delay >= full / 2 && delay <= full, "attempt {attempt}: {delay:?}");
        }
    }

    #[test]
    fn only_a_target_that_is_away_is_tried_again() {
        assert!(matches!(decide(Retry::Later, Backoff::TARGET, 1, 0), Decision::RetryAfter(_)));
        assert_eq!(decide(Retry::BadRecord, Backoff::TARGET, 1, 0), Decision::Stop);
        assert_eq!(decide(Retry::Fatal, Backoff::TARGET, 1, 0), Decision::Stop);
    }
}
