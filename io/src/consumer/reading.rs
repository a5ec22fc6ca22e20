//! How far a sink's task has read its queues, and what is wrong with reading them: for its reports.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use rmqc_core::id::MessageQueue;
use rmqc_core::metrics::{Holding, QueueReport};

use crate::shard::trouble::Trouble;

/// One queue that is read.
pub struct QueueReading {
    /// Which.
    pub queue: MessageQueue,
    /// Offset of the first message that the broker still has, as of the last pull.
    pub min: Cell<Option<i64>>,
    /// Offset after its last message, as of the last pull; none before the first.
    pub max: Cell<Option<i64>>,
    /// Everything below is accepted by the sink.
    pub done: Cell<i64>,
    /// When the last message that the sink has accepted was stored, in milliseconds since 1970; before that, when the first
    /// one that was pulled was.
    pub stored_ms: Cell<Option<i64>>,
    /// Why pulls fail, while they do.
    pub trouble: Trouble,
}

impl QueueReading {
    /// A queue that is read from an offset on.
    #[must_use]
    pub fn new(queue: MessageQueue, offset: i64) -> Self {
        Self {
            queue,
            min: Cell::new(None),
            max: Cell::new(None),
            done: Cell::new(offset),
            stored_ms: Cell::new(None),
            trouble: Trouble::default(),
        }
    }

    /// Messages that are not delivered: those that the broker has thrown away do not wait for anybody.
    fn lag(&self) -> Option<u64> {
        let from = self.min.get().map_or(self.done.get(), |min| min.max(self.done.get()));
        self.max.get().map(|max| u64::try_from(max.saturating_sub(from)).unwrap_or(0))
    }

    fn lag_ms(&self, now_ms: i64) -> Option<u64> {
        match self.lag()? {
            0 => Some(0),
            _ => self.stored_ms.get().map(|stored| u64::try_from(now_ms.saturating_sub(stored)).unwrap_or(0)),
        }
    }

    fn report(&self, now_ms: i64) -> QueueReport {
        QueueReport {
            topic: self.queue.topic.to_string(),
            broker: self.queue.broker.to_string(),
            queue_id: self.queue.queue_id,
            done: self.done.get(),
            end: self.max.get(),
            lag_records: self.lag(),
            lag_ms: self.lag_ms(now_ms),
        }
    }
}

/// The queues that one task reads; none before it has its first share.
#[derive(Default)]
pub struct Reading {
    queues: RefCell<Option<Vec<Rc<QueueReading>>>>,
    /// Bytes pulled and not put.
    pub(super) pulled_bytes: Rc<Cell<usize>>,
}

impl Reading {
    /// These are the queues from now on.
    pub fn set(&self, queues: Vec<Rc<QueueReading>>) {
        *self.queues.borrow_mut() = Some(queues);
    }

    /// Bytes pulled and not put.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.pulled_bytes.get() as u64
    }

    /// Messages that the task has not delivered; none while a queue's end is not known.
    #[must_use]
    pub fn lag(&self) -> Option<u64> {
        let queues = self.queues.borrow();
        let mut lag = 0u64;
        for queue in queues.as_ref()? {
            lag = lag.saturating_add(queue.lag()?);
        }
        Some(lag)
    }

    /// How old what waits is: of the queues of which that is known, the most.
    #[must_use]
    pub fn lag_ms(&self, now_ms: i64) -> Option<u64> {
        let queues = self.queues.borrow();
        let queues = queues.as_ref()?;
        if queues.is_empty() {
            return Some(0);
        }
        queues.iter().filter_map(|queue| queue.lag_ms(now_ms)).max()
    }

    /// All queues in order of topic, broker and number.
    #[must_use]
    pub fn report(&self, now_ms: i64) -> Vec<QueueReport> {
        let mut all: Vec<_> = self.queues.borrow().iter().flatten().map(|queue| queue.report(now_ms)).collect();
        all.sort_by(|a, b| (&a.topic, &a.broker, a.queue_id).cmp(&(&b.topic, &b.broker, b.queue_id)));
        all
    }

    /// The trouble of the queue that has had it longest.
    #[must_use]
    pub fn holding(&self) -> Option<Holding> {
        let queues = self.queues.borrow();
        let troubles = queues.iter().flatten().filter_map(|queue| queue.trouble.holding());
        troubles.max_by_key(|holding| holding.since_ms)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn named(queue_id: i32) -> MessageQueue {
        MessageQueue { topic: Arc::from("t"), broker: Arc::from("b"), queue_id }
    }

    #[test]
    fn what_the_broker_has_thrown_away_is_no_lag_and_ages_are_those_of_queues_that_wait() {
        let reading = Reading::default();
        assert_eq!((reading.lag_ms(0), reading.report(0).len()), (None, 0));
        let queue = |id: i32, min: i64, max: i64, done: i64, stored_ms: Option<i64>| {
            let queue = QueueReading::new(named(id), done);
            queue.min.set(Some(min));
            queue.max.set(Some(max));
            queue.stored_ms.set(stored_ms);
            Rc::new(queue)
        };
        let queues = [
            (queue(2, 50, 60, 10, None), (10, None)),
            (queue(1, 0, 60, 60, Some(100)), (0, Some(0))),
            (queue(3, 0, 61, 60, Some(100)), (1, Some(900))),
            (queue(0, 0, 61, 60, Some(2000)), (1, Some(0))),
        ];
        reading.set(queues.iter().map(|(queue, _)| queue.clone()).collect());
        let report = reading.report(1000);
        assert_eq!(report.iter().map(|one| one.queue_id).collect::<Vec<_>>(), [0, 1, 2, 3]);
        for (queue, (lag, lag_ms)) in queues {
            let found = report.iter().find(|one| one.queue_id == queue.queue.queue_id).unwrap();
            assert_eq!((found.lag_records, found.lag_ms), (Some(lag), lag_ms), "{found:?}");
        }
        assert_eq!((reading.lag(), reading.lag_ms(1000)), (Some(12), Some(900)));
        reading.set(Vec::new());
        assert_eq!(reading.lag_ms(1000), Some(0));
    }

    #[test]
    fn the_lag_is_known_when_every_end_is() {
        let reading = Reading::default();
        assert_eq!(reading.lag(), None);
        reading.set(Vec::new());
        assert_eq!(reading.lag(), Some(0));
        let queue = |max: Option<i64>, done: i64| {
            let queue = QueueReading::new(named(0), done);
            queue.max.set(max);
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
