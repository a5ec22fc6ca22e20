//! The newest part of the commit log in memory, as slices of the chunks it was written from.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use rmqc_core::limits::GATHER_BODY_BYTES_MIN;

/// Bytes counted for an entry besides its content.
const ENTRY_BYTES: usize = 64;

/// What was appended last, one entry an append, without gaps.
pub(super) struct Cache {
    entries: VecDeque<(u64, Bytes)>,
    bytes: usize,
    bytes_max: usize,
}

impl Cache {
    pub fn new(bytes_max: usize) -> Self {
        Self { entries: VecDeque::new(), bytes: 0, bytes_max }
    }

    /// Adds what was appended at `position`; the oldest entries make room.
    pub fn push(&mut self, position: u64, content: Bytes) {
        self.bytes += content.len() + ENTRY_BYTES;
        self.entries.push_back((position, content));
        while self.bytes > self.bytes_max {
            let Some((_, oldest)) = self.entries.pop_front() else { return };
            self.bytes -= oldest.len() + ENTRY_BYTES;
        }
    }

    /// Adds the bytes from `position` on to `pieces`, if they are all here. Large parts are slices; small ones are
    /// copied together, since many slices cost more than the copy.
    pub fn read(&self, position: u64, len: usize, pieces: &mut Vec<Bytes>) -> bool {
        let next = self.entries.partition_point(|(start, _)| *start <= position);
        let Some(first) = next.checked_sub(1) else { return false };
        let mut joined = BytesMut::new();
        let mut at = position;
        let mut rest = len;
        for (start, content) in self.entries.range(first..) {
            let skip = usize::try_from(at.saturating_sub(*start)).unwrap_or(usize::MAX);
            let part = content.len().saturating_sub(skip).min(rest);
            let Some(bytes) = content.get(skip..skip.saturating_add(part)) else { return false };
            if part < GATHER_BODY_BYTES_MIN && part < len {
                joined.reserve(rest);
                joined.extend_from_slice(bytes);
            } else {
                if !joined.is_empty() {
                    pieces.push(joined.split().freeze());
                }
                pieces.push(content.slice(skip..skip + part));
            }
            at += part as u64;
            rest -= part;
            if rest == 0 {
                break;
            }
        }
        if !joined.is_empty() {
            pieces.push(joined.freeze());
        }
        rest == 0
    }
}
