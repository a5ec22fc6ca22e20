//! Where the messages of one queue are: runs of messages that stand side by side in the log. A batch of thousands takes
//! a few entries; only a message between those of other queues takes an entry of its own (16 bytes).

use std::io;

use bytes::Bytes;

use super::log::Log;
use super::{Taken, Wanted};

/// Most messages of a run: to find one inside, so many sizes are read.
const RUN_MESSAGES_MAX: u64 = 128;
/// Most bytes of a run of several messages: to find one inside, so many bytes are read when they are not in memory.
const RUN_BYTES_MAX: u64 = 64 * 1024;
const COUNT_BITS: u32 = 16;

#[derive(Clone, Copy)]
struct Run {
    /// Position in the log (upper 48 bits) and number of messages (lower 16 bits).
    place: u64,
    bytes: u32,
    /// Queue offset of the first message.
    first: u32,
}

impl Run {
    fn position(self) -> u64 {
        self.place >> COUNT_BITS
    }

    fn count(self) -> u64 {
        self.place & ((1 << COUNT_BITS) - 1)
    }
}

const _: () = assert!(size_of::<Run>() == 16);

/// The index of one queue. Offsets start at 0.
#[derive(Default)]
pub(in crate::embedded) struct QueueIndex {
    runs: Vec<Run>,
    next: u32,
}

impl QueueIndex {
    /// Offset after the last message.
    pub fn next(&self) -> u64 {
        u64::from(self.next)
    }

    /// Whether so many messages more can be numbered.
    pub fn has_room(&self, messages: usize) -> bool {
        u64::from(u32::MAX - self.next) >= messages as u64
    }

    /// Notes the next message.
    pub fn push(&mut self, position: u64, bytes: u32) {
        let first = self.next;
        self.next = self.next.saturating_add(1);
        if let Some(last) = self.runs.last_mut() {
            let joined = u64::from(last.bytes) + u64::from(bytes);
            let beside = last.position() + u64::from(last.bytes) == position;
            if beside && last.count() < RUN_MESSAGES_MAX && joined <= RUN_BYTES_MAX {
                last.place += 1;
                last.bytes += bytes;
                return;
            }
        }
        self.runs.push(Run { place: (position << COUNT_BITS) | 1, bytes, first });
    }

    /// See [`super::Store::take`].
    pub(super) fn take(&self, log: &Log, wanted: Wanted) -> io::Result<Taken> {
        let mut ranges = Ranges::default();
        let mut count = 0usize;
        let mut bytes = 0usize;
        let start = self.runs.partition_point(|run| u64::from(run.first) <= wanted.offset).saturating_sub(1);
        for run in self.runs.iter().skip(start) {
            let skip = wanted.offset.saturating_sub(u64::from(run.first));
            if skip >= run.count() && count == 0 {
                break;
            }
            let room = Room {
                messages: wanted.messages_max.saturating_sub(count),
                bytes: wanted.bytes_max.saturating_sub(bytes),
                first: count == 0,
            };
            let part = if skip == 0 && run.count() <= room.messages as u64 && run.bytes as usize <= room.bytes {
                Part { position: run.position(), bytes: run.bytes as usize, count: run.count() as usize, whole: true }
            } else {
                part_of(log, *run, skip, &room)?
            };
            ranges.add(part.position, part.bytes);
            count += part.count;
            bytes += part.bytes;
            if !part.whole {
                break;
            }
        }
        let mut pieces = Vec::with_capacity(ranges.0.len());
        for (position, len) in ranges.0 {
            log.read(position, len, &mut pieces)?;
        }
        Ok(Taken { pieces, count })
    }
}

struct Room {
    messages: usize,
    bytes: usize,
    /// Nothing was taken yet: one message may be larger than the room.
    first: bool,
}

struct Part {
    position: u64,
    bytes: usize,
    count: usize,
    /// Whether it goes up to the end of its run.
    whole: bool,
}

/// The part of a run from its message number `skip` on that fits the room.
fn part_of(log: &Log, run: Run, skip: u64, room: &Room) -> io::Result<Part> {
    let mut pieces = Vec::new();
    log.read(run.position(), run.bytes as usize, &mut pieces)?;
    let mut skipped = 0usize;
    let mut part = Part { position: run.position(), bytes: 0, count: 0, whole: true };
    for (number, size) in pieces.iter().flat_map(sizes).enumerate() {
        if (number as u64) < skip {
            skipped += size;
            continue;
        }
        let alone = room.first && part.count == 0;
        if part.count >= room.messages || (part.bytes + size > room.bytes && !alone) {
            part.whole = false;
            break;
        }
        part.bytes += size;
        part.count += 1;
    }
    part.position += skipped as u64;
    Ok(part)
}

/// Sizes of the messages that stand one after the other in `piece`.
pub(in crate::embedded) fn sizes(piece: &Bytes) -> impl Iterator<Item = usize> {
    let mut rest = &piece[..];
    std::iter::from_fn(move || {
        let size = u32::from_be_bytes(*rest.first_chunk::<4>()?) as usize;
        rest = rest.get(size.max(4)..)?;
        Some(size)
    })
}

/// Ranges of the log, joined where they touch.
#[derive(Default)]
struct Ranges(Vec<(u64, usize)>);

impl Ranges {
    fn add(&mut self, position: u64, len: usize) {
        if len == 0 {
            return;
        }
        match self.0.last_mut() {
            Some((start, joined)) if *start + *joined as u64 == position => *joined += len,
            _ => self.0.push((position, len)),
        }
    }
}
