//! A world outside that consists of one file in memory, and never makes anybody wait.

use std::future::{Future, pending, ready};
use std::io::{self, IoSlice};
use std::path::Path;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use rmqc_core::clock::{Clock, MonotonicTime};
use rmqc_core::host::{FileStatus, Host, HostFile, HostWatch, LocalFuture};

/// Gives what a future gives that has nothing to wait for.
///
/// # Panics
/// When it waits.
pub fn at_once<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("nothing here can be waited for"),
    }
}

/// The file's content.
#[derive(Clone)]
pub struct Memory(pub Bytes);

fn refused() -> io::Error {
    io::ErrorKind::Unsupported.into()
}

impl Clock for Memory {
    fn unix_ms(&self) -> i64 {
        0
    }
    fn monotonic(&self) -> MonotonicTime {
        Duration::ZERO
    }
}

impl Host for Memory {
    fn open_read<'a>(&'a self, _path: &'a Path) -> LocalFuture<'a, io::Result<Rc<dyn HostFile>>> {
        let file: Rc<dyn HostFile> = Rc::new(self.clone());
        Box::pin(ready(Ok(file)))
    }
    fn open_append<'a>(&'a self, _path: &'a Path) -> LocalFuture<'a, io::Result<Rc<dyn HostFile>>> {
        Box::pin(ready(Err(refused())))
    }
    fn status<'a>(&'a self, _path: &'a Path) -> LocalFuture<'a, io::Result<FileStatus>> {
        Box::pin(ready(HostFile::status(self)))
    }
    fn watch(&self, _path: &Path) -> io::Result<Box<dyn HostWatch>> {
        Ok(Box::new(Unchanged))
    }
    fn sleep(&self, _duration: Duration) -> LocalFuture<'_, ()> {
        Box::pin(pending())
    }
    fn yield_if_needed(&self) -> LocalFuture<'_, ()> {
        Box::pin(ready(()))
    }
}

impl HostFile for Memory {
    fn read_at<'a>(&'a self, offset: u64, buffer: &'a mut BytesMut, len: usize) -> LocalFuture<'a, io::Result<usize>> {
        let rest = self.0.get(usize::try_from(offset).unwrap()..).unwrap_or_default();
        let part = &rest[..len.min(rest.len())];
        buffer.extend_from_slice(part);
        Box::pin(ready(Ok(part.len())))
    }
    fn append<'a>(&'a self, _buffers: &'a mut [IoSlice<'a>]) -> LocalFuture<'a, io::Result<usize>> {
        Box::pin(ready(Err(refused())))
    }
    fn set_len(&self, _len: u64) -> LocalFuture<'_, io::Result<()>> {
        Box::pin(ready(Err(refused())))
    }
    fn sync_data(&self) -> LocalFuture<'_, io::Result<()>> {
        Box::pin(ready(Err(refused())))
    }
    fn status(&self) -> io::Result<FileStatus> {
        Ok(FileStatus { device: 1, inode: 1, len: self.0.len() as u64, is_file: true, modified_ms: None })
    }
    fn set_mark(&self, _name: &str) -> io::Result<()> {
        Err(refused())
    }
    fn has_mark(&self, _name: &str) -> bool {
        false
    }
}

struct Unchanged;

impl HostWatch for Unchanged {
    fn changed(&mut self) -> LocalFuture<'_, ()> {
        Box::pin(pending())
    }
}
