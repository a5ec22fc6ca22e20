//! What a source handed on and what of it is confirmed: only the contiguous confirmed prefix may be committed.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use crate::position::{Position, RecordOffset, RecordPartition};

/// Running number of a record inside one task's life, from 0.
pub type Sequence = u64;

/// Records that follow each other, of one partition and with one kind of offset.
struct Run {
    partition: Arc<RecordPartition>,
    /// The field of their counters, which are in `counters`; none when their offsets are in `others`.
    field: Option<&'static str>,
    len: usize,
}

/// Keeps handed-on records in order until they are committed.
///
/// A record passes three marks: pushed → confirmed (any order) → taken for a commit (in order) → committed. Records come in
/// runs and confirmations in ranges, so a record costs its offset, eight bytes, and no step of its own when it leaves.
#[derive(Default)]
pub struct InFlight {
    /// Sequence of the first record that is not confirmed with all before it.
    head: Sequence,
    /// Sequence behind the last record.
    next: Sequence,
    runs: VecDeque<Run>,
    /// Offsets of the runs that have a field, in order.
    counters: VecDeque<u64>,
    /// Offsets of the other runs, in order.
    others: VecDeque<RecordOffset>,
    /// What is confirmed behind `head`: in order, with a gap before each.
    confirmed: VecDeque<Range<Sequence>>,
    /// Last confirmed position of each partition that no commit has taken yet.
    committable: Vec<Position>,
    /// Records behind `committable`.
    committable_records: u64,
    /// Records behind the commit that is under way.
    committing_records: u64,
}

impl InFlight {
    /// Adds the next record and gives its sequence.
    pub fn push(&mut self, position: Position) -> Sequence {
        let Position { partition, offset } = position;
        let field = match offset {
            RecordOffset::Counter { field, value } => {
                self.counters.push_back(value);
                Some(field)
            }
            other @ RecordOffset::Map(_) => {
                self.others.push_back(other);
                None
            }
        };
        match self.runs.back_mut() {
            Some(run) if run.field == field && Arc::ptr_eq(&run.partition, &partition) => {
                run.len = run.len.saturating_add(1);
            }
            _ => self.runs.push_back(Run { partition, field, len: 1 }),
        }
        let sequence = self.next;
        self.next = sequence.saturating_add(1);
        sequence
    }

    /// The position of a record that is not committed yet.
    #[must_use]
    pub fn position(&self, sequence: Sequence) -> Option<Position> {
        let mut at = usize::try_from(sequence.checked_sub(self.head)?).ok()?;
        let (mut counters, mut others) = (0usize, 0usize);
        for run in &self.runs {
            let before = if run.field.is_some() { &mut counters } else { &mut others };
            let Some(behind) = at.checked_sub(run.len) else {
                let place = before.saturating_add(at);
                let offset = match run.field {
                    Some(field) => RecordOffset::Counter { field, value: *self.counters.get(place)? },
                    None => self.others.get(place)?.clone(),
                };
                return Some(Position { partition: run.partition.clone(), offset });
            };
            *before = before.saturating_add(run.len);
            at = behind;
        }
        None
    }

    /// The sequence that the next pushed record gets.
    #[must_use]
    pub fn next_sequence(&self) -> Sequence {
        self.next
    }

    /// Every record before this sequence is confirmed.
    #[must_use]
    pub fn confirmed_to(&self) -> Sequence {
        self.head
    }

    /// Marks records as delivered (or dropped on purpose). Sequences outside the window are ignored.
    pub fn confirm(&mut self, sequences: Range<Sequence>) {
        let (start, end) = (sequences.start.max(self.head), sequences.end.min(self.next));
        if start >= end {
            return;
        }
        if start > self.head {
            return self.keep(start..end);
        }
        self.advance(end);
        while let Some(first) = self.confirmed.front().filter(|first| first.start <= self.head) {
            let end = first.end;
            self.confirmed.pop_front();
            self.advance(end);
        }
    }

    /// Keeps a range that lies behind a gap; it takes in those that it touches.
    fn keep(&mut self, mut range: Range<Sequence>) {
        let from = self.confirmed.partition_point(|known| known.end < range.start);
        let to = self.confirmed.partition_point(|known| known.start <= range.end);
        for known in self.confirmed.drain(from..to.max(from)) {
            range = range.start.min(known.start)..range.end.max(known.end);
        }
        self.confirmed.insert(from, range);
    }

    /// Moves the records before `end` into `committable`.
    fn advance(&mut self, end: Sequence) {
        let mut left = usize::try_from(end.saturating_sub(self.head)).unwrap_or(0);
        self.head = self.head.saturating_add(left as u64);
        self.committable_records = self.committable_records.saturating_add(left as u64);
        while left > 0 {
            let Some(run) = self.runs.front_mut() else { break };
            let taken = run.len.min(left);
            let offset = match run.field {
                Some(field) => {
                    let value = self.counters.drain(..taken).next_back();
                    value.map(|value| RecordOffset::Counter { field, value })
                }
                None => self.others.drain(..taken).next_back(),
            };
            left = left.saturating_sub(taken);
            run.len = run.len.saturating_sub(taken);
            let partition = run.partition.clone();
            if run.len == 0 {
                self.runs.pop_front();
            }
            if let Some(offset) = offset {
                self.fold(Position { partition, offset });
            }
        }
    }

    fn fold(&mut self, position: Position) {
        let same = |partition: &Arc<RecordPartition>| {
            Arc::ptr_eq(partition, &position.partition) || **partition == *position.partition
        };
        match self.committable.iter_mut().find(|known| same(&known.partition)) {
            Some(known) => known.offset = position.offset,
            None => self.committable.push(position),
        }
    }

    /// Takes what may be committed now; empty when there is nothing new or a commit is under way.
    #[must_use]
    pub fn take_committable(&mut self) -> Vec<Position> {
        if self.committing_records > 0 {
            return Vec::new();
        }
        self.committing_records = std::mem::take(&mut self.committable_records);
        std::mem::take(&mut self.committable)
    }

    /// The commit under way became durable. Gives the number of records behind it.
    pub fn committed(&mut self) -> u64 {
        std::mem::take(&mut self.committing_records)
    }

    /// Whether nothing before this record is left to be confirmed or committed.
    #[must_use]
    pub fn has_come_to(&self, sequence: Sequence) -> bool {
        self.head == sequence && self.committable_records == 0 && self.committing_records == 0
    }

    /// Records handed on and not yet confirmed.
    #[must_use]
    pub fn unconfirmed(&self) -> usize {
        usize::try_from(self.next.saturating_sub(self.head)).unwrap_or(usize::MAX)
    }

    /// Records handed on and not yet committed: what a crash would repeat at most.
    #[must_use]
    pub fn uncommitted(&self) -> u64 {
        self.committable_records
            .saturating_add(self.committing_records)
            .saturating_add(self.next.saturating_sub(self.head))
    }

    /// Records confirmed and not yet taken for a commit.
    #[must_use]
    pub fn committable_records(&self) -> u64 {
        self.committable_records
    }

    /// Whether a commit is under way.
    #[must_use]
    pub fn is_committing(&self) -> bool {
        self.committing_records > 0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn position(partition: &Arc<RecordPartition>, value: u64) -> Position {
        Position { partition: partition.clone(), offset: RecordOffset::Counter { field: "n", value } }
    }

    fn partitions() -> Vec<Arc<RecordPartition>> {
        ["a", "b"].iter().map(|name| Arc::new(RecordPartition::single("f", *name))).collect()
    }

    #[test]
    fn a_gap_holds_the_commit_back() {
        let [a, _] = &partitions()[..] else { panic!("two partitions") };
        let mut inflight = InFlight::default();
        for n in 0..4 {
            inflight.push(position(a, n));
        }
        inflight.confirm(1..3);
        assert_eq!([0, 3, 4].map(|n| inflight.position(n)), [Some(position(a, 0)), Some(position(a, 3)), None]);
        assert!(inflight.take_committable().is_empty());
        inflight.confirm(0..1);
        assert_eq!(inflight.take_committable(), vec![position(a, 2)]);
        assert_eq!((inflight.uncommitted(), inflight.unconfirmed()), (4, 1));
        inflight.confirm(3..4);
        assert!(inflight.take_committable().is_empty(), "one commit at a time");
        assert_eq!(inflight.committed(), 3);
        assert_eq!(inflight.take_committable(), vec![position(a, 3)]);
    }

    proptest! {
        /// Against a naive model: for each partition, the last position before the first unconfirmed record.
        #[test]
        fn equals_a_naive_model(steps in proptest::collection::vec((0u8..3, 0usize..40, 1usize..6, 0usize..2), 1..120)) {
            let partitions = partitions();
            let mut inflight = InFlight::default();
            let mut model: Vec<(usize, u64, bool)> = Vec::new();
            let mut taken: [Option<u64>; 2] = [None, None];
            for (kind, at, len, which) in steps {
                match kind {
                    0 => {
                        let value = model.len() as u64;
                        prop_assert_eq!(inflight.push(position(&partitions[which], value)), value);
                        model.push((which, value, false));
                    }
                    1 => {
                        inflight.confirm(at as u64..(at + len) as u64);
                        for entry in model.iter_mut().skip(at).take(len) { entry.2 = true; }
                    }
                    _ => {
                        for position in inflight.take_committable() {
                            let which = usize::from(position.partition == partitions[1]);
                            let RecordOffset::Counter { value, .. } = position.offset else { panic!("a counter") };
                            prop_assert!(taken[which].is_none_or(|old| old < value));
                            taken[which] = Some(value);
                        }
                        inflight.committed();
                        for (which, taken) in taken.iter().enumerate() {
                            let expected = model.iter().take_while(|entry| entry.2).filter(|entry| entry.0 == which).map(|entry| entry.1).last();
                            prop_assert_eq!(*taken, expected);
                        }
                    }
                }
            }
        }
    }
}
