//! Reads one open file block by block and hands out its lines as slices of the blocks.
//!
//! A block begins at the first byte that is in no complete line yet. So the piece of a line at a block's end is read
//! from the file once more instead of being copied in front of the next block. A piece that fills a whole block is
//! read on in place, with doubling room, up to the longest line allowed.
//!
//! Per line of 100 bytes: one reading of the bytes by the kernel, no copy after it, no allocation, 1/2600 of a read
//! and of a status call.

use std::io;

use bytes::{Buf, Bytes, BytesMut};
use rmqc_core::host::{FileStatus, HostFile};
use rmqc_core::limits::FILE_BLOCK_BYTES;

use super::lines::{first_line, leftover};

/// Least room for a piece of a line that grows bit by bit.
const TAIL_BYTES_MIN: usize = 4096;

/// A line and the position behind its terminator.
pub(super) struct FileLine {
    pub text: Bytes,
    pub next_position: u64,
}

/// What one attempt to read brought.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// There may be more lines.
    Read,
    /// Nothing new: the end of the file.
    End,
    /// The file is shorter than what was read of it; reading goes on at its beginning.
    Truncated { position: u64, len: u64 },
}

/// A line of more bytes than allowed begins at the reader's position.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct LineTooLong {
    pub position: u64,
}

/// Lines of one open file, from a position on.
pub(super) struct Reader {
    line_bytes_max: usize,
    /// Byte position of the first byte of `block` or `tail`: everything before it is handed out.
    position: u64,
    /// Whether a line begins at `position` for sure, or the byte before has to be looked at.
    settled: bool,
    /// Bytes that may hold complete lines.
    block: Bytes,
    /// Bytes that hold no complete line. Empty while `block` is not.
    tail: BytesMut,
    /// Length of the file when it was last read, and when it had last been changed by then, in ms since 1970.
    seen: (u64, Option<i64>),
}

impl Reader {
    pub fn new(position: u64, line_bytes_max: usize) -> Self {
        let (block, tail) = (Bytes::new(), BytesMut::new());
        Self { line_bytes_max, position, settled: position == 0, block, tail, seen: (position, None) }
    }

    /// The place from which reading would go on after the lines handed out so far.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Length of the unterminated line at the end of what was read.
    pub fn tail_len(&self) -> usize {
        self.tail.len()
    }

    /// Bytes of the file that were not handed out and are no unfinished line at its end, as of the last read; and when the
    /// file had last been changed by then, in ms since 1970.
    pub fn waiting(&self) -> (u64, Option<i64>) {
        let (end, changed_ms) = self.seen;
        (end.saturating_sub(self.position).saturating_sub(self.tail.len() as u64), changed_ms)
    }

    /// The next complete line of the current block.
    #[inline]
    pub fn next_line(&mut self) -> Result<Option<FileLine>, LineTooLong> {
        let Some(line) = first_line(&self.block) else { return Ok(None) };
        if line.len > self.line_bytes_max {
            return Err(LineTooLong { position: self.position });
        }
        let text = self.block.slice(..line.len);
        self.block.advance(line.next);
        self.position = self.position.saturating_add(line.next as u64);
        Ok(Some(FileLine { text, next_position: self.position }))
    }

    /// Takes the unterminated line at the end of what was read, if there is one.
    pub fn take_tail(&mut self) -> Option<FileLine> {
        if self.tail.is_empty() {
            return None;
        }
        let mut text = std::mem::take(&mut self.tail).freeze();
        self.position = self.position.saturating_add(text.len() as u64);
        self.settled = false;
        if text.last() == Some(&b'\r') {
            text = text.slice(..text.len().saturating_sub(1));
        }
        Some(FileLine { text, next_position: self.position })
    }

    /// Reads the next block, after [`Reader::next_line`] found nothing more. Safe to drop.
    ///
    /// # Errors
    /// What the file answers; the same call may follow.
    pub async fn read_on(&mut self, file: &dyn HostFile) -> io::Result<Progress> {
        self.block = Bytes::new();
        let FileStatus { len, modified_ms, .. } = file.status()?;
        self.seen = (len, modified_ms);
        if len < self.position {
            let position = std::mem::replace(self, Self::new(0, self.line_bytes_max)).position;
            return Ok(Progress::Truncated { position, len });
        }
        if !self.settled && !self.settle(file).await? {
            return Ok(Progress::End);
        }
        let available = usize::try_from(len.saturating_sub(self.position)).unwrap_or(usize::MAX);
        if available < self.tail.len() {
            self.tail = BytesMut::new();
        }
        if available == self.tail.len() {
            return Ok(Progress::End);
        }
        self.read_block(file, available).await
    }

    /// Reads more of `available` bytes behind the tail, or instead of it when it needs more room.
    async fn read_block(&mut self, file: &dyn HostFile, available: usize) -> io::Result<Progress> {
        // The buffer leaves `self`, so that a dropped future leaves no half-filled one behind.
        let mut buffer = std::mem::take(&mut self.tail);
        let doubled = buffer.len().saturating_mul(2);
        let most = self.line_bytes_max.saturating_add(2).max(FILE_BLOCK_BYTES);
        let wanted = available.min(doubled.max(FILE_BLOCK_BYTES)).min(most);
        if buffer.capacity() < wanted {
            buffer = BytesMut::with_capacity(wanted.max(doubled.min(most)).max(TAIL_BYTES_MIN));
        }
        let searched = buffer.len();
        let from = self.position.saturating_add(searched as u64);
        let read = file.read_at(from, &mut buffer, wanted.saturating_sub(searched)).await?;
        // Of the part searched before only a last `\r` can turn out to end a line.
        let fresh = buffer.get(searched.saturating_sub(1)..).unwrap_or_default();
        if first_line(fresh).is_some() {
            self.block = buffer.freeze();
        } else {
            self.tail = buffer;
        }
        Ok(if read == 0 { Progress::End } else { Progress::Read })
    }

    /// Whether the tail alone is longer than a line may be.
    pub fn check_tail(&self) -> Result<(), LineTooLong> {
        let pending_cr = usize::from(self.tail.last() == Some(&b'\r'));
        if self.tail.len().saturating_sub(pending_cr) > self.line_bytes_max {
            return Err(LineTooLong { position: self.position });
        }
        Ok(())
    }

    /// Passes over what is left of a terminator behind the position; gives whether a line begins there for sure.
    async fn settle(&mut self, file: &dyn HostFile) -> io::Result<bool> {
        let mut around = BytesMut::with_capacity(3);
        let before = self.position.saturating_sub(1);
        while around.len() < 3 {
            let from = before.saturating_add(around.len() as u64);
            let missing = 3usize.saturating_sub(around.len());
            if file.read_at(from, &mut around, missing).await? == 0 {
                break;
            }
        }
        let leftover = leftover(&around);
        self.position = self.position.saturating_add(leftover.len);
        self.settled = leftover.settled;
        Ok(self.settled)
    }
}
