//! Calls that fail and are tried again: what a task waits out, for whoever asks.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Instant;

use rmqc_core::error::{ConnectError, Stage};
use rmqc_core::metrics::Holding;

/// Most characters of a cause that are kept.
const CAUSE_CHARS_MAX: usize = 2000;

/// The calls of a task's loop that are tried again, each on its own: that one succeeds says nothing of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// A source's poll.
    Poll,
    /// A converter or transform.
    Convert,
    /// Looking for the topic to send to, or for the dead letter topic.
    Topic,
    /// A sink's put.
    Put,
    /// A flush, and the commit that follows.
    Commit,
    /// Taking over a share of queues.
    Assign,
    /// Standing still until the control plane has paused the connector.
    Pause,
}

/// Number of calls.
const CALLS: usize = Call::Pause as usize + 1;

struct Failing {
    stage: Stage,
    cause: String,
    since: Instant,
    tries: u32,
}

/// What is wrong with one call now, if anything. While it succeeds it costs a look.
#[derive(Default)]
pub struct Trouble(RefCell<Option<Failing>>);

impl Trouble {
    /// It failed, for the first time or again.
    pub fn failed(&self, stage: Stage, cause: &impl std::fmt::Display) {
        let cause: String = cause.to_string().chars().take(CAUSE_CHARS_MAX).collect();
        let mut failing = self.0.borrow_mut();
        let (since, tries) = failing.as_ref().map_or_else(|| (Instant::now(), 0), |known| (known.since, known.tries));
        *failing = Some(Failing { stage, cause, since, tries: tries.saturating_add(1) });
    }

    /// It succeeded, or is not tried any more.
    pub fn over(&self) {
        if self.0.borrow().is_some() {
            *self.0.borrow_mut() = None;
        }
    }

    /// What to report.
    #[must_use]
    pub fn holding(&self) -> Option<Holding> {
        self.0.borrow().as_ref().map(|failing| Holding {
            stage: failing.stage.name(),
            cause: failing.cause.clone(),
            since_ms: u64::try_from(failing.since.elapsed().as_millis()).unwrap_or(u64::MAX),
            tries: failing.tries,
        })
    }
}

/// All that one task may wait out.
#[derive(Default)]
pub struct Troubles {
    calls: [Trouble; CALLS],
    /// Sending to brokers, shared with the task's producers.
    pub sending: Rc<Trouble>,
}

impl Troubles {
    /// A call of the loop failed and is tried again.
    pub fn failed(&self, call: Call, error: &ConnectError) {
        if let Some(trouble) = self.calls.get(call as usize) {
            trouble.failed(error.stage(), error);
        }
    }

    /// A call of the loop succeeded, or is not tried any more.
    pub fn over(&self, call: Call) {
        if let Some(trouble) = self.calls.get(call as usize) {
            trouble.over();
        }
    }

    /// Whether a call of the loop is being tried again.
    #[must_use]
    pub fn is_failing(&self, call: Call) -> bool {
        self.calls.get(call as usize).is_some_and(|trouble| trouble.0.borrow().is_some())
    }

    /// The loop stands still: none of its calls is tried.
    pub fn all_over(&self) {
        self.calls.iter().for_each(Trouble::over);
    }

    /// The one that lasts longest.
    #[must_use]
    pub fn longest(&self, more: Option<Holding>) -> Option<Holding> {
        let all = self.calls.iter().filter_map(Trouble::holding).chain(self.sending.holding()).chain(more);
        all.max_by_key(|holding| holding.since_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_success_ends_its_own_trouble_only() {
        let troubles = Troubles::default();
        assert_eq!(troubles.longest(None), None);
        let error = |what: &str| ConnectError::later(Stage::Put, what);
        troubles.failed(Call::Put, &error("first"));
        troubles.failed(Call::Put, &error("second"));
        troubles.over(Call::Poll);
        let told = troubles.longest(None).unwrap();
        assert_eq!((told.stage, told.cause.as_str(), told.tries), ("TASK_PUT", "second", 2));
        let older = Holding { since_ms: 1_000_000, ..told };
        assert_eq!(troubles.longest(Some(older.clone())), Some(older));
        troubles.over(Call::Put);
        assert_eq!(troubles.longest(None), None);
        troubles.sending.failed(Stage::Send, &"x".repeat(10_000));
        assert_eq!(troubles.longest(None).unwrap().cause.len(), CAUSE_CHARS_MAX);
    }
}
