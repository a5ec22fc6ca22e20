//! A sink's flush that goes on while records are put.

use std::rc::Rc;
use std::time::Instant;

use rmqc_core::error::Result;
use rmqc_core::host::LocalFuture;
use rmqc_core::metrics::Step;

use crate::consumer::Done;
use crate::shard::steps::{Manner, Passage, Steps};

/// A flush under way, and what is to be committed when it is over.
pub(super) struct Flushing {
    state: State,
    done: Vec<Done>,
    records: u64,
    begin: Instant,
    steps: Rc<Steps>,
    passage: Passage,
}

enum State {
    UnderWay(LocalFuture<'static, Result<()>>),
    Over(Result<()>),
}

impl Flushing {
    /// A flush of everything that a sink had accepted: how far its queues were done then, and how many records of that are
    /// not committed.
    pub fn new(stored: LocalFuture<'static, Result<()>>, done: Vec<Done>, records: u64, steps: Rc<Steps>) -> Self {
        let passage = Passage::begin(Some(steps.clone()), Step::Flush, Manner::Busy);
        steps.traces().flush_begins();
        Self { state: State::UnderWay(stored), done, records, begin: Instant::now(), steps, passage }
    }

    /// Completes when it is over. Safe to drop.
    pub async fn over(&mut self) {
        if let State::UnderWay(stored) = &mut self.state {
            let outcome = stored.as_mut().await;
            self.passage.end(self.records);
            self.steps.traces().flushed(self.begin, self.records, outcome.as_ref().copied());
            self.state = State::Over(outcome);
        }
    }

    /// Whether it is over.
    pub fn is_over(&self) -> bool {
        matches!(self.state, State::Over(_))
    }

    /// Once it is over: the outcome, how far the queues were done when it began, and the number of records.
    pub fn outcome(self) -> Option<(Result<()>, Vec<Done>, u64)> {
        match self.state {
            State::Over(outcome) => Some((outcome, self.done, self.records)),
            State::UnderWay(_) => None,
        }
    }
}
