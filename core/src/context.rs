//! What a task gets to know and may ask of its worker.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;

use crate::config::Properties;
use crate::error::{ConnectError, Result, Retry};
use crate::host::Host;
use crate::id::TaskId;
use crate::position::{RecordPartition, StoredPosition};

/// A task's surroundings: who it is, its configuration, the committed positions, and the outside world.
#[derive(Clone)]
pub struct TaskContext {
    /// Who the task is.
    pub task: TaskId,
    /// The task's own configuration: the connector's keys and what the connector added for this task.
    pub config: Arc<Properties>,
    /// The connector's committed positions when the task started. Empty for sinks.
    pub positions: Arc<Vec<StoredPosition>>,
    /// The outside world.
    pub host: Rc<dyn Host>,
    /// Where a sink reports bad records one by one.
    pub errant: Rc<ErrantRecords>,
    /// Where a source says what waits for it.
    pub backlog: Rc<Backlog>,
    /// What a sink's values are parts of, if it asked for a byte behind them.
    pub blocks: Rc<ValueBlocks>,
}

/// What waits in a source's outside system, in the source's own words: for people, never for decisions about records.
///
/// A source that knows says it at the end of a poll; one that does not leaves it alone, and its lag is not known.
#[derive(Debug, Default)]
pub struct Backlog {
    waiting: Cell<Waiting>,
}

/// What waits for a source, as far as it is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Waiting {
    /// Records, perhaps estimated.
    pub records: Option<u64>,
    /// Bytes.
    pub bytes: Option<u64>,
    /// When the oldest of it came to wait, in milliseconds since 1970.
    pub since_ms: Option<i64>,
}

impl Waiting {
    /// Nothing waits.
    pub const NOTHING: Self = Self { records: Some(0), bytes: Some(0), since_ms: None };

    /// Whether something is known to wait.
    #[must_use]
    pub fn is_something(&self) -> bool {
        self.records.or(self.bytes).is_some_and(|count| count > 0)
    }

    /// Whether nothing is known to wait.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        self.records.or(self.bytes) == Some(0)
    }

    /// How long the oldest has waited at this time, in milliseconds: 0 when nothing waits, none when that is not known.
    #[must_use]
    pub fn age_ms(&self, now_ms: i64) -> Option<u64> {
        if self.records.or(self.bytes)? == 0 {
            return Some(0);
        }
        self.since_ms.map(|since_ms| u64::try_from(now_ms.saturating_sub(since_ms)).unwrap_or(0))
    }
}

impl Backlog {
    /// This is what waits now.
    pub fn set(&self, waiting: Waiting) {
        self.waiting.set(waiting);
    }

    /// What was said last.
    #[must_use]
    pub fn get(&self) -> Waiting {
        self.waiting.get()
    }
}

/// The bad records of a sink's put, reported one by one. The runtime looks at it after every [`SinkTask::put`].
///
/// [`SinkTask::put`]: crate::connector::SinkTask::put
#[derive(Debug, Default)]
pub struct ErrantRecords {
    tolerant: Cell<bool>,
    reported: RefCell<Vec<(usize, ConnectError)>>,
    stopped_at: Cell<Option<usize>>,
}

impl ErrantRecords {
    /// A list for a task that may give bad records up, or must not.
    #[must_use]
    pub fn new(tolerant: bool) -> Self {
        Self { tolerant: Cell::new(tolerant), ..Self::default() }
    }

    /// Reports that the record at `index` of the slice given to `put` is bad. `Ok`: leave it out and go on with the
    /// next; the runtime writes its dead letter.
    ///
    /// # Errors
    /// The task may not give records up: accept the records before this one, none after it, and return this error from
    /// `put`.
    pub fn report(&self, index: usize, error: ConnectError) -> Result<()> {
        if !self.tolerant.get() || error.retry() != Retry::BadRecord {
            self.stopped_at.set(Some(index));
            return Err(error);
        }
        self.reported.borrow_mut().push((index, error));
        Ok(())
    }

    /// Takes what was reported since the last call, in the order of the reports.
    #[must_use]
    pub fn take(&self) -> Vec<(usize, ConnectError)> {
        self.reported.take()
    }

    /// Takes the index of the record at which the task has to stop, if one was reported so.
    #[must_use]
    pub fn take_stop(&self) -> Option<usize> {
        self.stopped_at.take()
    }
}

/// The blocks of memory of which the values of the next put are parts: filled before each [`SinkTask::put`] for tasks that
/// have a [`SinkTask::value_end`].
///
/// [`SinkTask::put`]: crate::connector::SinkTask::put
/// [`SinkTask::value_end`]: crate::connector::SinkTask::value_end
#[derive(Debug, Default)]
pub struct ValueBlocks {
    blocks: RefCell<Vec<Bytes>>,
}

impl ValueBlocks {
    /// Sets the blocks, in the order of the values.
    pub fn set(&self, blocks: impl Iterator<Item = Bytes>) {
        let mut all = self.blocks.borrow_mut();
        all.clear();
        all.extend(blocks);
    }

    /// Takes the blocks: what is kept of them keeps their memory.
    #[must_use]
    pub fn take(&self) -> Vec<Bytes> {
        self.blocks.take()
    }
}

/// Finds values with the byte behind each, in blocks.
#[derive(Debug)]
pub struct EndedValues<'b> {
    blocks: &'b [Bytes],
    end: u8,
    /// Block of the last one found; the next value is mostly there too.
    at: usize,
}

impl<'b> EndedValues<'b> {
    /// Values of these blocks that end with this byte.
    #[must_use]
    pub fn new(blocks: &'b [Bytes], end: u8) -> Self {
        Self { blocks, end, at: 0 }
    }

    /// A value and the byte behind it, if the value is a part of a block and this byte stands there.
    #[inline]
    pub fn find(&mut self, value: &[u8]) -> Option<&'b [u8]> {
        let place = value.as_ptr().addr();
        let part = |block: &'b Bytes| {
            let start = place.checked_sub(block.as_ptr().addr())?;
            block.get(start..=start.checked_add(value.len())?)
        };
        let found = self.blocks.get(self.at).and_then(part).or_else(|| {
            let (at, found) = self.blocks.iter().enumerate().find_map(|(at, block)| Some((at, part(block)?)))?;
            self.at = at;
            Some(found)
        });
        found.filter(|ended| ended.last() == Some(&self.end))
    }
}

impl TaskContext {
    /// The committed offset of one partition, if there is one.
    #[must_use]
    pub fn stored_offset(&self, partition: &RecordPartition) -> Option<&StoredPosition> {
        self.positions.iter().find(|stored| stored.partition == *partition)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_with_what_stands_behind_them() {
        let blocks =
            [Bytes::from_static(b"one\ntwo\tthree\n"), Bytes::from_static(b"four\n"), Bytes::from_static(b"five")];
        let [first, second, third] = &blocks;
        let mut values = EndedValues::new(&blocks, b'\n');
        for (value, expected) in [
            (first.slice(0..3), Some(&b"one\n"[..])),
            (first.slice(4..7), None),
            (first.slice(8..13), Some(b"three\n")),
            (first.slice(4..13), Some(b"two\tthree\n")),
            (second.slice(0..4), Some(b"four\n")),
            (second.clone(), None),
            (third.clone(), None),
            (first.slice(8..13), Some(b"three\n")),
            (Bytes::copy_from_slice(b"one"), None),
            (Bytes::new(), None),
        ] {
            assert_eq!(values.find(&value), expected, "{value:?}");
        }
        assert_eq!(EndedValues::new(&[], b'\n').find(first), None);
    }

    #[test]
    fn what_waits_grows_older_by_itself() {
        let backlog = Backlog::default();
        assert_eq!((backlog.get().is_something(), backlog.get().age_ms(5)), (false, None), "nothing was said");
        for (waiting, is_something, age_ms) in [
            (Waiting::NOTHING, false, Some(0)),
            (Waiting { records: Some(3), bytes: None, since_ms: Some(900) }, true, Some(100)),
            (Waiting { records: None, bytes: Some(3), since_ms: Some(900) }, true, Some(100)),
            (Waiting { records: Some(3), bytes: None, since_ms: None }, true, None),
            (Waiting { records: Some(3), bytes: None, since_ms: Some(2000) }, true, Some(0)),
            (Waiting { records: Some(0), bytes: Some(7), since_ms: Some(900) }, false, Some(0)),
        ] {
            backlog.set(waiting);
            assert_eq!(
                (backlog.get().is_something(), backlog.get().age_ms(1000)),
                (is_something, age_ms),
                "{waiting:?}"
            );
        }
    }
}
