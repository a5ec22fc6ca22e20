//! What a source handed on and what of it is confirmed: only the contiguous confirmed prefix may be committed.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use crate::position::{Position, RecordPartition};

/// Running number of a record inside one task's life, from 0.
pub type Sequence = u64;

struct Entry {
    position: Position,
    confirmed: bool,
}

/// Keeps handed-on records in order until they are committed.
///
/// A record passes three marks: pushed → confirmed (any order) → taken for a commit (in order) → committed.
#[derive(Default)]
pub struct InFlight {
    /// Sequence of the first entry.
    head: Sequence,
    entries: VecDeque<Entry>,
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
        let sequence = self.next_sequence();
        self.entries.push_back(Entry { position, confirmed: false });
        sequence
    }

    /// The sequence that the next pushed record gets.
    #[must_use]
    pub fn next_sequence(&self) -> Sequence {
        self.head.saturating_add(self.entries.len() as u64)
    }

    /// Marks records as delivered (or dropped on purpose). Sequences outside the window are ignored.
    pub fn confirm(&mut self, sequences: Range<Sequence>) {
        let from = usize::try_from(sequences.start.saturating_sub(self.head)).unwrap_or(usize::MAX);
        let to = usize::try_from(sequences.end.saturating_sub(self.head)).unwrap_or(usize::MAX).min(self.entries.len());
        if from < to {
            for entry in self.entries.range_mut(from..to) {
                entry.confirmed = true;
            }
        }
        self.advance();
    }

    /// Moves the confirmed prefix into `committable`.
    fn advance(&mut self) {
        let mut last: Option<Position> = None;
        while self.entries.front().is_some_and(|entry| entry.confirmed) {
            let Some(entry) = self.entries.pop_front() else { break };
            self.head = self.head.saturating_add(1);
            self.committable_records = self.committable_records.saturating_add(1);
            match &mut last {
                Some(position) if Arc::ptr_eq(&position.partition, &entry.position.partition) => {
                    position.offset = entry.position.offset;
                }
                _ => {
                    if let Some(position) = last.replace(entry.position) {
                        self.fold(position);
                    }
                }
            }
        }
        if let Some(position) = last {
            self.fold(position);
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
        self.entries.len()
    }

    /// Records handed on and not yet committed: what a crash would repeat at most.
    #[must_use]
    pub fn uncommitted(&self) -> u64 {
        self.committable_records.saturating_add(self.committing_records).saturating_add(self.entries.len() as u64)
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
    use crate::position::RecordOffset;

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
