//! Commits of a task that moves records towards a place of its own: positions go to the store when their records are
//! safe, one commit at a time, and the connector hears of it when the store has answered.
//!
//! The store writes all that has come meanwhile at once, however little that is. So tasks that are in no hurry come at the
//! same moments: many with little to do cost a write each moment, not each.

use std::ops::Range;
use std::rc::Rc;
use std::sync::LazyLock;
use std::time::Duration;
use std::time::Instant;

use rmqc_core::command::ShardEvent;
use rmqc_core::error::{ConnectError, Result, Stage};
use rmqc_core::inflight::{InFlight, Sequence};
use rmqc_core::metrics::Step;
use rmqc_core::position::{Position, StoredPosition};

use crate::shard::context::{ShardContext, TaskControl};
use crate::shard::steps::{Manner, Passage};

/// Time between two moments at which commits begin, if their interval is not shorter.
const MOMENTS: Duration = Duration::from_millis(20);
/// All moments are counted from here, those of all shards.
static ORIGIN: LazyLock<Instant> = LazyLock::new(Instant::now);

/// The last moment up to then.
fn moment_before(then: Instant, moments: Duration) -> Instant {
    let since = then.saturating_duration_since(*ORIGIN).as_nanos();
    let beyond = since.checked_rem(moments.as_nanos()).unwrap_or(0);
    then.checked_sub(Duration::from_nanos(u64::try_from(beyond).unwrap_or(0))).unwrap_or(then)
}

/// When the next commit is due, if what can be committed has waited since then, and the last one was at that time. Never
/// later than the interval after both.
fn due(waiting: Option<Instant>, last: Option<Instant>, interval: Duration) -> Option<Instant> {
    let moments = interval.min(MOMENTS);
    let after = |then: Instant, wait| then.checked_add(wait).map(|then| moment_before(then, moments));
    waiting.and_then(|waiting| after(waiting, moments)).max(last.and_then(|last| after(last, interval)))
}

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
    /// Since when something can be committed.
    waiting: Option<Instant>,
    /// The commit under way.
    passage: Option<Passage>,
    /// Everything before this sequence is in it; and when it began.
    underway: (Sequence, Option<Instant>),
}

impl Commits {
    /// Nothing handed on yet.
    pub fn new(shard: Rc<ShardContext>, control: Rc<TaskControl>) -> Self {
        let (committing, committed) = (Vec::new(), Vec::new());
        let (last_commit, waiting, passage, underway) = (None, None, None, (0, None));
        let inflight = InFlight::default();
        Self { shard, control, inflight, committing, committed, last_commit, waiting, passage, underway }
    }

    /// Records are safe now.
    pub fn confirm(&mut self, sequences: Range<Sequence>) {
        self.inflight.confirm(sequences);
        if self.inflight.committable_records() > 0 {
            self.waiting.get_or_insert_with(Instant::now);
        }
    }

    /// Time until a commit may follow the last one at this interval.
    pub fn until_due(&self, interval: Duration) -> Duration {
        let due = due(self.waiting, self.last_commit, interval);
        due.map_or(Duration::ZERO, |due| due.saturating_duration_since(Instant::now()))
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
        self.waiting = None;
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const INTERVAL: Duration = Duration::from_millis(200);

    fn at(micros: u64) -> Instant {
        *ORIGIN + Duration::from_micros(micros)
    }

    #[test]
    fn what_waits_at_about_the_same_time_is_due_at_the_same_moment() {
        for micros in [20_000, 20_001, 31_000, 39_999] {
            assert_eq!(due(Some(at(micros)), None, INTERVAL), Some(at(40_000)), "{micros}");
        }
        assert_eq!(due(Some(at(250_000)), Some(at(20_100)), INTERVAL), Some(at(260_000)), "the last one is long ago");
        assert_eq!(due(Some(at(30_000)), Some(at(20_100)), INTERVAL), Some(at(220_000)), "it is not");
        assert_eq!((due(None, Some(at(20_100)), INTERVAL), due(None, None, INTERVAL)), (Some(at(220_000)), None));
    }

    proptest! {
        #[test]
        fn nothing_waits_longer_than_the_interval(
            waiting in 0..10_000_000_u64,
            ago in 0..1_000_000_u64,
            interval_ms in 1..1_000_u64,
        ) {
            let (interval, now) = (Duration::from_millis(interval_ms), at(waiting));
            let last = at(waiting.saturating_sub(ago));
            let due = due(Some(now), Some(last), interval).unwrap();
            prop_assert!(due <= now + interval, "{:?}", due - now);
            prop_assert!(due >= now, "a moment that has passed");
        }
    }
}
