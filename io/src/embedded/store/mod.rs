//! Where the embedded broker keeps messages and its small tables.
//!
//! Messages stand in one commit log, in the very form in which pull answers carry them; an index in memory says where
//! the messages of each queue are. Tables (topics, groups, offsets) are small JSON files.

mod cache;
pub(super) mod file;
mod index;
mod log;
mod scan;

use std::io;
use std::path::Path;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

pub(super) use index::{QueueIndex, sizes};
pub(super) use scan::{Found, ScanError, split_message};

/// Bounds of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreLimits {
    /// A commit log segment is closed when the next request's messages would make it larger.
    pub segment_bytes_max: u64,
    /// Messages kept in memory; older ones are read from the files.
    pub cache_bytes_max: usize,
}

impl Default for StoreLimits {
    fn default() -> Self {
        Self { segment_bytes_max: 256 * 1024 * 1024, cache_bytes_max: 32 * 1024 * 1024 }
    }
}

/// The messages.
pub(super) struct Store {
    log: log::Log,
}

/// What to take from a queue.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    /// First offset; must be inside the queue.
    pub offset: u64,
    /// Most messages.
    pub messages_max: usize,
    /// Most bytes; a single larger message is given all the same.
    pub bytes_max: usize,
}

/// Consecutive messages of a queue, in the wire form. Each piece holds whole messages.
#[derive(Debug, Default)]
pub(super) struct Taken {
    /// The bytes.
    pub pieces: Vec<Bytes>,
    /// How many messages.
    pub count: usize,
}

impl Store {
    /// Opens the commit log in `dir`, and tells of every message found there, in order. A torn end is cut off.
    pub fn open(
        dir: &Path,
        limits: StoreLimits,
        found: impl FnMut(Found<'_>) -> Result<(), String>,
    ) -> Result<Self, ScanError> {
        Ok(Self { log: scan::open(dir, limits, found)? })
    }

    /// Position after the last message.
    pub fn end(&self) -> u64 {
        self.log.end()
    }

    /// Appends `len` bytes of messages, made by `write`, which gets the position of the first. All of them are stored
    /// and given back with that position, or none and an error is given.
    pub fn append(&mut self, len: usize, write: impl FnOnce(&mut BytesMut, u64)) -> io::Result<(u64, Bytes)> {
        self.log.append(len, write)
    }

    /// Takes messages from a queue.
    pub fn take(&self, index: &QueueIndex, wanted: Wanted) -> io::Result<Taken> {
        index.take(&self.log, wanted)
    }

    /// Time at which the message at `offset` was stored, in ms since 1970.
    pub fn store_ms(&self, index: &QueueIndex, offset: u64) -> io::Result<Option<i64>> {
        let taken = self.take(index, Wanted { offset, messages_max: 1, bytes_max: 0 })?;
        let message = taken.pieces.first().and_then(|piece| piece.get(56..64)).and_then(|at| at.first_chunk::<8>());
        Ok(message.map(|bytes| i64::from_be_bytes(*bytes)))
    }

    /// Files written since the last call, to be synced.
    pub fn unsynced(&mut self) -> Vec<Arc<std::fs::File>> {
        self.log.unsynced()
    }
}
