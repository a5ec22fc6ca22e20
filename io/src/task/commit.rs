//! Commits of a task that moves records towards a place of its own: positions go to the store when their records are
//! safe, one commit at a time, and the connector hears of it when the store has answered.

use std::rc::Rc;
use std::time::Duration;
use std::time::Instant;

use rmqc_core::command::ShardEvent;
use rmqc_core::error::{ConnectError, Result, Stage};
use rmqc_core::inflight::{InFlight, Sequence};
use rmqc_core::metrics::Step;
use rmqc_core::position::{Position, StoredPosition};

use crate::shard::context::{ShardContext, TaskControl};
use crate::shard::steps::{Manner, Passage};

/// Positions on their way to the store.
pub(super) struct Commits {
    shard: Rc<ShardContext>,
    control: Rc<TaskControl>,
    /// What was handed on, in order.
    pub inflight: InFlight,
    /// Positions under way to the store.
    committing: Vec<Position>,
    /// Positions that the store has confirmed and the connector has not been told of.
    committed: Vec<Position>,
    last_commit: Option<Instant>,
    /// The commit under way.
    passage: Option<Passage>,
    /// Everything before this sequence is in it; and when it began.
    underway: (Sequence, Option<Instant>),
}

impl Commits {
    /// Nothing handed on yet.
    pub fn new(shard: Rc<ShardContext>, control: Rc<TaskControl>) -> Self {
        let (committing, committed) = (Vec::new(), Vec::new());
        let (last_commit, passage, underway) = (None, None, (0, None));
        Self { shard, control, inflight: InFlight::default(), committing, committed, last_commit, passage, underway }
    }

    /// Time until a commit may follow the last one at this interval.
    pub fn until_due(&self, interval: Duration) -> Duration {
        self.last_commit.map_or(Duration::ZERO, |last| interval.saturating_sub(last.elapsed()))
    }

    /// Sends the confirmed prefix to the store, unless there is nothing new or a commit is under way.
    pub async fn start(&mut self) {
        let positions = self.inflight.take_committable();
        if positions.is_empty() {
            return;
        }
        let stored = |position: &Position| StoredPosition {
            partition: (*position.partition).clone(),
            offset: position.offset.to_map(),
        };
        let event = ShardEvent::Positions(
            self.control.task.clone(),
            self.control.generation,
            positions.iter().map(stored).collect(),
        );
        self.committing = positions;
        self.last_commit = Some(Instant::now());
        self.underway = (self.inflight.confirmed_to(), self.last_commit);
        self.passage = Some(Passage::begin(Some(self.control.steps.clone()), Step::Commit, Manner::Busy));
        self.shard.tell(event).await;
    }

    /// Takes the store's answer, if it is there.
    ///
    /// # Errors
    /// The store's refusal; the records behind it come again at the next start.
    pub fn take_answer(&mut self) -> Result<()> {
        let Some(answer) = self.control.stored.borrow_mut().take() else { return Ok(()) };
        let passage = self.passage.take();
        let (to, begin) = (self.underway.0, self.underway.1.unwrap_or_else(Instant::now));
        if let Err(reason) = answer {
            self.control.steps.traces().committed(to, begin, Err(&reason));
            let what = format!("the positions could not be stored: {reason}");
            return Err(ConnectError::later(Stage::Commit, what));
        }
        let records = self.inflight.committed();
        self.control.steps.traces().committed(to, begin, Ok(records));
        if let Some(passage) = passage {
            passage.end(records);
        }
        self.committed.append(&mut self.committing);
        let uncommitted = self.inflight.uncommitted();
        self.control.count(|counters| {
            counters.commits = counters.commits.saturating_add(1);
            counters.records_committed = counters.records_committed.saturating_add(records);
            counters.records_uncommitted = uncommitted;
        });
        Ok(())
    }

    /// What has become durable since the last call.
    pub fn take_committed(&mut self) -> Vec<Position> {
        std::mem::take(&mut self.committed)
    }
}
