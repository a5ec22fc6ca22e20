//! Ports: what a task may use of the world outside. Implemented in `io` on each driver, and in tests by plain fakes.
//!
//! Ports hand out boxed futures: a task calls them once a block or batch, never once a record.

use std::future::Future;
use std::io;
use std::io::IoSlice;
use std::path::Path;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use bytes::BytesMut;

use crate::clock::Clock;

/// A boxed future that stays on its shard.
pub type LocalFuture<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// What identifies a file and how long it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileStatus {
    /// Device number.
    pub device: u64,
    /// Inode number.
    pub inode: u64,
    /// Length in bytes.
    pub len: u64,
    /// Whether it is a regular file (not a directory, pipe or device).
    pub is_file: bool,
    /// When its content was last changed, in milliseconds since 1970; none where that is not known.
    pub modified_ms: Option<i64>,
}

/// An open file. All calls may be dropped halfway; what they then did to the file is unknown for writes, nothing for
/// reads.
pub trait HostFile {
    /// Reads up to `len` bytes at `offset` and appends them to `buffer` (whose spare room grows as needed); gives the
    /// number read, 0 at the end of the file. If the future is dropped halfway `buffer` may be left empty.
    fn read_at<'a>(&'a self, offset: u64, buffer: &'a mut BytesMut, len: usize) -> LocalFuture<'a, io::Result<usize>>;
    /// Writes all buffers in order at the file's end; gives the number of bytes, always their sum.
    /// On an error part of them may be in the file.
    fn append<'a>(&'a self, buffers: &'a mut [IoSlice<'a>]) -> LocalFuture<'a, io::Result<usize>>;
    /// Cuts or extends the file to `len` bytes.
    fn set_len(&self, len: u64) -> LocalFuture<'_, io::Result<()>>;
    /// Puts data (and the length) on stable storage.
    fn sync_data(&self) -> LocalFuture<'_, io::Result<()>>;
    /// Status of the open file itself, also after its name is gone.
    fn status(&self) -> io::Result<FileStatus>;
    /// Puts a mark on the file itself, which stays with it until it is deleted or copied: an extended attribute.
    ///
    /// # Errors
    /// `Unsupported` on a file system without such marks.
    fn set_mark(&self, name: &str) -> io::Result<()>;
    /// Whether the file has that mark; false where there are no marks.
    fn has_mark(&self, name: &str) -> bool;
}

/// Waits for changes of one path: content, length, creation, removal or renaming of the file of that name.
pub trait HostWatch {
    /// Completes once after each change since the last call completed; changes in quick succession count as one. It
    /// also completes from time to time without a change, so callers look again. Safe to drop.
    fn changed(&mut self) -> LocalFuture<'_, ()>;
}

/// The outside world of one shard's tasks.
pub trait Host: Clock {
    /// Opens an existing file for reading.
    fn open_read<'a>(&'a self, path: &'a Path) -> LocalFuture<'a, io::Result<Rc<dyn HostFile>>>;
    /// Opens a file for appending; creates it when it is missing.
    fn open_append<'a>(&'a self, path: &'a Path) -> LocalFuture<'a, io::Result<Rc<dyn HostFile>>>;
    /// Status of a path, following symbolic links.
    fn status<'a>(&'a self, path: &'a Path) -> LocalFuture<'a, io::Result<FileStatus>>;
    /// Watches a path, which need not exist; its directory must.
    ///
    /// # Errors
    /// When the system has no more watches to give, or the directory does not exist.
    fn watch(&self, path: &Path) -> io::Result<Box<dyn HostWatch>>;
    /// Completes after `duration`.
    fn sleep(&self, duration: Duration) -> LocalFuture<'_, ()>;
    /// Gives other tasks of the shard a turn if this one has run for its slice.
    fn yield_if_needed(&self) -> LocalFuture<'_, ()>;
}
