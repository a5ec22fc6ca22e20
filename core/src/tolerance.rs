//! What to do about a failure: try again, give the record up, or stop the task. A pure step; whoever asks does the
//! waiting.

use std::time::Duration;

use crate::config::Properties;
use crate::config::connector as keys;
use crate::error::{Retry, Stage};

/// What the loop must do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Wait so long, then make the same call again.
    RetryAfter(Duration),
    /// Give the record up: it goes to the dead letter queue, if there is one, and counts as done.
    GiveUp,
    /// The task fails with the error.
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

/// A failed call.
#[derive(Clone, Copy, Debug)]
pub struct Failure {
    /// Where it failed.
    pub stage: Stage,
    /// What its error says about trying again.
    pub retry: Retry,
    /// How often it was tried so far, at least once.
    pub attempt: u32,
    /// Time since the first try.
    pub elapsed: Duration,
    /// An evenly spread number.
    pub random: u64,
}

/// A dead letter queue, as configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetterQueue {
    /// Its topic.
    pub topic: String,
    /// Read queues, when the topic has to be created.
    pub read_queues: u32,
    /// Write queues, when the topic has to be created.
    pub write_queues: u32,
    /// Whether letters carry the `__connect.errors.*` properties.
    pub context: bool,
}

/// What a task may give up on: the `errors.*` keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorPolicy {
    /// Whether bad records may be given up (`errors.tolerance=all`).
    pub tolerant: bool,
    /// How long a converter or transform that says «later» is tried again; `None` for ever.
    pub retry_timeout: Option<Duration>,
    /// Longest pause between these tries.
    pub retry_delay_max: Duration,
    /// Whether each record given up is logged.
    pub log: bool,
    /// Whether that log line names the record.
    pub log_messages: bool,
    /// Where given-up records go.
    pub dead_letters: Option<DeadLetterQueue>,
    /// Share of bad records, in percent, from which the task is paused; 0 for never.
    pub breaker_percent: u32,
    /// Records over which that share is taken.
    pub breaker_records: u32,
}

/// First pause between the tries of a converter or transform.
const RETRY_FIRST: Duration = Duration::from_millis(300);

impl ErrorPolicy {
    /// The policy of a connector's configuration, whose keys were checked.
    #[must_use]
    pub fn from_config(config: &Properties) -> Self {
        let number = |key: &keys::ConfigKey| u32::try_from(key.integer(config)).unwrap_or(0);
        let topic = keys::DLQ_TOPIC.text(config).unwrap_or_default();
        let dead_letters = (!topic.is_empty()).then(|| DeadLetterQueue {
            topic: topic.to_owned(),
            read_queues: number(&keys::DLQ_READ_QUEUES),
            write_queues: number(&keys::DLQ_WRITE_QUEUES),
            context: keys::DLQ_CONTEXT.boolean(config),
        });
        let tolerance = keys::ERRORS_TOLERANCE.text(config).unwrap_or_default();
        Self {
            tolerant: tolerance.eq_ignore_ascii_case("all"),
            retry_timeout: u64::try_from(keys::ERRORS_RETRY_TIMEOUT.integer(config)).ok().map(Duration::from_millis),
            retry_delay_max: Duration::from_millis(u64::from(number(&keys::ERRORS_RETRY_DELAY_MAX_MS))),
            log: keys::ERRORS_LOG.boolean(config),
            log_messages: keys::ERRORS_LOG_MESSAGES.boolean(config),
            dead_letters,
            breaker_percent: number(&keys::BREAKER_PERCENT),
            breaker_records: number(&keys::BREAKER_RECORDS),
        }
    }

    /// Decides about a failed call.
    ///
    /// A bad record is given up if that is allowed. A target that is away is waited for: its records are good. Only a
    /// converter or transform is tried for no longer than `errors.retry.timeout`; then the task stops, since giving
    /// records up because something is away would empty the topic into the dead letter queue.
    #[must_use]
    pub fn decide(&self, failure: Failure) -> Decision {
        match failure.retry {
            Retry::Fatal => Decision::Stop,
            Retry::BadRecord if self.tolerant => Decision::GiveUp,
            Retry::BadRecord => Decision::Stop,
            Retry::Later if matches!(failure.stage, Stage::Convert | Stage::Transform) => self.decide_by_time(failure),
            Retry::Later => Decision::RetryAfter(Backoff::TARGET.delay(failure.attempt, failure.random)),
        }
    }

    fn decide_by_time(&self, failure: Failure) -> Decision {
        let backoff = Backoff { first: RETRY_FIRST, max: self.retry_delay_max.max(Duration::from_millis(1)) };
        let delay = backoff.delay(failure.attempt, failure.random);
        match self.retry_timeout {
            None => Decision::RetryAfter(delay),
            Some(timeout) if failure.elapsed >= timeout => Decision::Stop,
            Some(timeout) => Decision::RetryAfter(delay.min(timeout.saturating_sub(failure.elapsed))),
        }
    }
}

/// Counts bad records among all, and says when they are too many.
#[derive(Clone, Debug, Default)]
pub struct Breaker {
    /// Bad records of one window at which it opens; 0 for never.
    limit: u64,
    window: u64,
    records: u64,
    bad: u64,
}

impl Breaker {
    /// A breaker for this policy.
    #[must_use]
    pub fn new(policy: &ErrorPolicy) -> Self {
        let window = u64::from(policy.breaker_records).max(1);
        let limit = window.saturating_mul(u64::from(policy.breaker_percent)).div_ceil(100);
        Self { limit, window, records: 0, bad: 0 }
    }

    /// Takes so many records in, of which so many were bad. Gives the number of bad ones in the window if they are too
    /// many; then it starts anew.
    pub fn note(&mut self, records: u64, bad: u64) -> Option<u64> {
        if self.limit == 0 {
            return None;
        }
        self.records = self.records.saturating_add(records);
        self.bad = self.bad.saturating_add(bad);
        let open = (self.bad >= self.limit).then_some(self.bad);
        if open.is_some() || self.records >= self.window {
            (self.records, self.bad) = (0, 0);
        }
        open
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(pairs: &[(&str, &str)]) -> ErrorPolicy {
        ErrorPolicy::from_config(&pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect())
    }

    fn failure(stage: Stage, retry: Retry, elapsed_ms: u64) -> Failure {
        Failure { stage, retry, attempt: 1, elapsed: Duration::from_millis(elapsed_ms), random: 7 }
    }

    const STAGES: [Stage; 6] = [Stage::Poll, Stage::Convert, Stage::Transform, Stage::Send, Stage::Consume, Stage::Put];

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
    fn bad_records_are_given_up_only_when_that_is_allowed() {
        for (tolerance, decision) in [("none", Decision::Stop), ("ALL", Decision::GiveUp), ("x", Decision::Stop)] {
            let policy = policy(&[("errors.tolerance", tolerance)]);
            for stage in STAGES {
                assert_eq!(policy.decide(failure(stage, Retry::BadRecord, 0)), decision);
                assert_eq!(policy.decide(failure(stage, Retry::Fatal, 0)), Decision::Stop);
            }
        }
    }

    #[test]
    fn a_target_that_is_away_is_waited_for_and_never_given_up() {
        let policy = policy(&[("errors.tolerance", "all"), ("errors.deadletterqueue.topic.name", "d")]);
        for stage in [Stage::Poll, Stage::Send, Stage::Consume, Stage::Put, Stage::Commit] {
            let decision = policy.decide(failure(stage, Retry::Later, 3_600_000));
            assert!(matches!(decision, Decision::RetryAfter(_)), "{stage:?}: {decision:?}");
        }
    }

    #[test]
    fn converters_and_transforms_are_tried_again_within_their_time() {
        let never = policy(&[("errors.tolerance", "all")]);
        let some = policy(&[("errors.retry.timeout", "1000"), ("errors.retry.delay.max.ms", "0")]);
        let for_ever = policy(&[("errors.retry.timeout", "-1"), ("errors.retry.delay.max.ms", "200")]);
        for stage in [Stage::Convert, Stage::Transform] {
            assert_eq!(never.decide(failure(stage, Retry::Later, 0)), Decision::Stop);
            assert!(
                matches!(some.decide(failure(stage, Retry::Later, 999)), Decision::RetryAfter(delay) if delay <= Duration::from_millis(1))
            );
            assert_eq!(some.decide(failure(stage, Retry::Later, 1000)), Decision::Stop);
            for attempt in [1, 56, 1000] {
                let late = Failure { attempt, ..failure(stage, Retry::Later, u64::from(u32::MAX)) };
                let decision = for_ever.decide(late);
                assert!(matches!(decision, Decision::RetryAfter(delay) if delay <= Duration::from_millis(200)));
            }
        }
    }

    #[test]
    fn the_breaker_opens_at_its_share_and_not_before() {
        let mut breaker = Breaker::new(&policy(&[("errors.breaker.percent", "5"), ("errors.breaker.records", "100")]));
        assert_eq!(breaker.note(96, 4), None);
        assert_eq!(breaker.note(4, 0), None, "the window ends");
        assert_eq!(breaker.note(10, 4), None);
        assert_eq!(breaker.note(1, 1), Some(5));
        assert_eq!(breaker.note(10, 4), None, "it starts anew");
        assert_eq!(Breaker::new(&policy(&[])).note(10, 10), None);
    }
}
