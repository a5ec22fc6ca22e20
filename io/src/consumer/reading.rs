//! How far a sink's task has read its queues, and what is wrong with reading them: for its reports.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use rmqc_core::metrics::Holding;

use crate::shard::trouble::Trouble;

/// One queue that is read.
#[derive(Default)]
pub struct QueueReading {
    /// Offset after its last message, as of the last pull; none before the first.
    pub max: Cell<Option<i64>>,
    /// Everything below is accepted by the sink.
    pub done: Cell<i64>,
    /// Why pulls fail, while they do.
    pub trouble: Trouble,
}

/// The queues that one task reads; none before it has its first share.
#[derive(Default)]
pub struct Reading(RefCell<Option<Vec<Rc<QueueReading>>>>);

impl Reading {
    /// These are the queues from now on.
    pub fn set(&self, queues: Vec<Rc<QueueReading>>) {
        *self.0.borrow_mut() = Some(queues);
    }

    /// Messages that the task has not delivered; none while a queue's end is not known.
    #[must_use]
    pub fn lag(&self) -> Option<u64> {
        let queues = self.0.borrow();
        let mut lag = 0u64;
        for queue in queues.as_ref()? {
            let behind = queue.max.get()?.saturating_sub(queue.done.get());
            lag = lag.saturating_add(u64::try_from(behind).unwrap_or(0));
        }
        Some(lag)
    }

    /// The trouble of the queue that has had it longest.
    #[must_use]
    pub fn holding(&self) -> Option<Holding> {
        let queues = self.0.borrow();
        let troubles = queues.iter().flatten().filter_map(|queue| queue.trouble.holding());
        troubles.max_by_key(|holding| holding.since_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lag_is_known_when_every_end_is() {
        let reading = Reading::default();
        assert_eq!(reading.lag(), None);
        reading.set(Vec::new());
        assert_eq!(reading.lag(), Some(0));
        let queue = |max: Option<i64>, done: i64| {
            let queue = QueueReading::default();
            queue.max.set(max);
            queue.done.set(done);
            Rc::new(queue)
        };
        for (queues, lag) in [
            (vec![queue(Some(10), 4), queue(Some(3), 3)], Some(6)),
            (vec![queue(Some(10), 4), queue(None, 3)], None),
            (vec![queue(Some(5), 9), queue(Some(7), 6)], Some(1)),
        ] {
            reading.set(queues);
            assert_eq!(reading.lag(), lag);
        }
    }
}
