//! The commit log: segments of bounded size, each named by the position of its first byte. A position is the same
//! number that clients see as a message's physical offset.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::StoreLimits;
use super::cache::Cache;

/// Memory is taken in chunks of so many bytes; messages are encoded there, written from there and served from there.
const CHUNK_BYTES: usize = 1024 * 1024;

/// One file of the log.
pub(super) struct Segment {
    /// Position of its first byte.
    pub base: u64,
    /// Bytes in it.
    pub len: u64,
    /// The file.
    pub file: Arc<File>,
}

impl Segment {
    /// Makes a new, empty segment.
    pub fn create(dir: &Path, base: u64) -> io::Result<Self> {
        let path = dir.join(file_name(base));
        let file = File::options().read(true).write(true).create(true).truncate(true).open(path)?;
        File::open(dir)?.sync_all()?;
        Ok(Self { base, len: 0, file: Arc::new(file) })
    }
}

/// Name of the segment that starts at `base`.
pub(super) fn file_name(base: u64) -> String {
    format!("{base:020}.log")
}

/// The log.
pub(super) struct Log {
    dir: PathBuf,
    segment_bytes_max: u64,
    /// Oldest first; never empty.
    segments: Vec<Segment>,
    end: u64,
    chunk: BytesMut,
    cache: Cache,
    unsynced: Vec<Arc<File>>,
    /// A failed write could not be undone: nothing can be appended any more.
    broken: bool,
}

impl Log {
    /// The log over the segments found, oldest first.
    pub fn new(dir: PathBuf, limits: StoreLimits, segments: Vec<Segment>) -> Self {
        let end = segments.last().map_or(0, |last| last.base + last.len);
        Self {
            dir,
            segment_bytes_max: limits.segment_bytes_max,
            segments,
            end,
            chunk: BytesMut::new(),
            cache: Cache::new(limits.cache_bytes_max),
            unsynced: Vec::new(),
            broken: false,
        }
    }

    pub fn end(&self) -> u64 {
        self.end
    }

    /// See [`super::Store::append`].
    pub fn append(&mut self, len: usize, write: impl FnOnce(&mut BytesMut, u64)) -> io::Result<(u64, Bytes)> {
        if self.broken {
            return Err(io::Error::other("the commit log could not be repaired after a failed write"));
        }
        self.roll_if_full(len as u64)?;
        if self.chunk.capacity() < len {
            self.chunk = BytesMut::with_capacity(CHUNK_BYTES.max(len));
        }
        let position = self.end;
        write(&mut self.chunk, position);
        let content = self.chunk.split().freeze();
        debug_assert_eq!(content.len(), len);
        let Some(last) = self.segments.last_mut() else { return Err(io::Error::other("no segment")) };
        if let Err(error) = last.file.write_all_at(&content, last.len) {
            self.broken = last.file.set_len(last.len).is_err();
            return Err(error);
        }
        if self.unsynced.last().is_none_or(|file| !Arc::ptr_eq(file, &last.file)) {
            self.unsynced.push(last.file.clone());
        }
        last.len += content.len() as u64;
        self.end += content.len() as u64;
        self.cache.push(position, content.clone());
        Ok((position, content))
    }

    fn roll_if_full(&mut self, more: u64) -> io::Result<()> {
        let full = |last: &Segment| last.len > 0 && last.len.saturating_add(more) > self.segment_bytes_max;
        if self.segments.last().is_none_or(full) {
            self.segments.push(Segment::create(&self.dir, self.end)?);
        }
        Ok(())
    }

    /// Adds the bytes from `position` on to `pieces`. Pieces start and end where `position`, `position + len`, an
    /// append or a segment does, so they hold whole messages if the range does.
    pub fn read(&self, position: u64, len: usize, pieces: &mut Vec<Bytes>) -> io::Result<()> {
        let before = pieces.len();
        if self.cache.read(position, len, pieces) {
            return Ok(());
        }
        pieces.truncate(before);
        let mut at = position;
        let end = position.saturating_add(len as u64);
        while at < end {
            let next = self.segments.partition_point(|segment| segment.base <= at);
            let segment = next.checked_sub(1).and_then(|index| self.segments.get(index));
            let segment = segment.filter(|segment| at < segment.base + segment.len);
            let segment = segment.ok_or_else(|| io::Error::other("position outside the commit log"))?;
            let part = end.min(segment.base + segment.len) - at;
            let mut bytes = BytesMut::zeroed(usize::try_from(part).unwrap_or(usize::MAX));
            segment.file.read_exact_at(&mut bytes, at - segment.base)?;
            pieces.push(bytes.freeze());
            at += part;
        }
        Ok(())
    }

    pub fn unsynced(&mut self) -> Vec<Arc<File>> {
        std::mem::take(&mut self.unsynced)
    }
}
