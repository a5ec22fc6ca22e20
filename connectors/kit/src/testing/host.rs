//! The host itself.

use std::cell::{Cell, RefCell};
use std::fs::{File, OpenOptions};
use std::future::poll_fn;
use std::io::{self, IoSlice, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use bytes::BytesMut;
use rmqc_core::clock::{Clock, ManualClock, MonotonicTime};
use rmqc_core::host::{FileStatus, Host, HostFile, HostWatch, LocalFuture};

use super::Random;

/// A kind of call to the outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// `Host::open_read`.
    OpenRead,
    /// `Host::open_append`.
    OpenAppend,
    /// `Host::status`.
    Status,
    /// `HostFile::read_at`.
    Read,
    /// `HostFile::append`.
    Append,
    /// `HostFile::set_len`.
    SetLen,
    /// `HostFile::sync_data`.
    Sync,
    /// `Host::watch`.
    Watch,
}

/// What files and host share.
#[derive(Default)]
struct World {
    clock: ManualClock,
    calls: RefCell<Vec<Call>>,
    /// Fails calls of that kind with that error, in turn.
    faults: RefCell<Vec<(Call, io::ErrorKind)>>,
    /// Each call waits once before it does anything.
    hesitant: Cell<bool>,
    /// Reads bring a random part of what was asked.
    short_reads: RefCell<Option<Random>>,
    /// Marked files, by inode.
    marks: RefCell<std::collections::BTreeSet<(u64, String)>>,
    /// Bytes that may still be appended before the disk is full.
    room: Cell<Option<u64>>,
    /// What somebody else does right before the next look at a path.
    before_status: RefCell<Option<Box<dyn FnOnce()>>>,
    /// Changes of any watched path so far.
    changes: Cell<u64>,
    /// Files and watches that somebody holds.
    held: Cell<usize>,
}

impl World {
    async fn enter(&self, call: Call) -> io::Result<()> {
        let mut waited = !self.hesitant.get();
        poll_fn(|_| if std::mem::replace(&mut waited, true) { Poll::Ready(()) } else { Poll::Pending }).await;
        self.note(call)
    }

    fn note(&self, call: Call) -> io::Result<()> {
        self.calls.borrow_mut().push(call);
        let mut faults = self.faults.borrow_mut();
        match faults.iter().position(|(kind, _)| *kind == call) {
            Some(at) => Err(faults.remove(at).1.into()),
            None => Ok(()),
        }
    }
}

/// One file or watch that is held; tells when it is let go.
struct Held(Rc<World>);

impl Held {
    fn new(world: &Rc<World>) -> Self {
        world.held.set(world.held.get() + 1);
        Self(Rc::clone(world))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.held.set(self.0.held.get() - 1);
    }
}

/// The outside world of a test: the real file system, a clock that the test moves, faults on demand.
#[derive(Default)]
pub struct TestHost(Rc<World>);

impl TestHost {
    /// A world in which nothing has happened yet.
    #[must_use]
    pub fn new() -> Rc<Self> {
        Rc::new(Self::default())
    }
    /// Tells all watches of a change.
    pub fn touch(&self) {
        self.0.changes.set(self.0.changes.get() + 1);
    }
    /// Moves the clock forward.
    pub fn advance(&self, by: Duration) {
        self.0.clock.advance(by);
    }
    /// Lets the next call of that kind fail; said twice, the next two.
    pub fn fail(&self, call: Call, error: io::ErrorKind) {
        self.0.faults.borrow_mut().push((call, error));
    }
    /// Forgets the faults that have not come up yet; gives whether there were any.
    pub fn forget_faults(&self) -> bool {
        !std::mem::take(&mut *self.0.faults.borrow_mut()).is_empty()
    }
    /// Whether every call waits once before it does anything, so that a future can be dropped there.
    pub fn hesitate(&self, hesitant: bool) {
        self.0.hesitant.set(hesitant);
    }
    /// Lets reads bring a random part of what was asked for, at least a byte.
    pub fn shorten_reads(&self, seed: u64) {
        *self.0.short_reads.borrow_mut() = Some(Random::new(seed));
    }
    /// Leaves so many bytes until the disk is full; none: it never is.
    pub fn leave_room(&self, bytes: Option<u64>) {
        self.0.room.set(bytes);
    }
    /// What somebody else does right before the next look at a path.
    pub fn before_status(&self, action: impl FnOnce() + 'static) {
        *self.0.before_status.borrow_mut() = Some(Box::new(action));
    }
    /// Calls of that kind so far.
    #[must_use]
    pub fn count(&self, call: Call) -> usize {
        self.0.calls.borrow().iter().filter(|made| **made == call).count()
    }
    /// Files and watches that somebody holds.
    #[must_use]
    pub fn held(&self) -> usize {
        self.0.held.get()
    }
}

struct TestFile {
    file: File,
    world: Rc<World>,
    _held: Held,
}

fn file_status(metadata: &std::fs::Metadata) -> FileStatus {
    let (device, inode) = (metadata.dev(), metadata.ino());
    let modified_ms = Some(metadata.mtime().saturating_mul(1000).saturating_add(metadata.mtime_nsec() / 1_000_000));
    FileStatus { device, inode, len: metadata.len(), is_file: metadata.is_file(), modified_ms }
}

impl HostFile for TestFile {
    fn read_at<'a>(&'a self, offset: u64, buffer: &'a mut BytesMut, len: usize) -> LocalFuture<'a, io::Result<usize>> {
        Box::pin(async move {
            // As the port says: a dropped or failed read may leave an empty buffer.
            let before = std::mem::take(buffer);
            self.world.enter(Call::Read).await?;
            *buffer = before;
            let len = match &*self.world.short_reads.borrow() {
                Some(random) if len > 0 => 1 + random.below(len),
                _ => len,
            };
            let start = buffer.len();
            buffer.resize(start + len, 0);
            let read = self.file.read_at(&mut buffer[start..], offset)?;
            buffer.truncate(start + read);
            Ok(read)
        })
    }

    fn append<'a>(&'a self, buffers: &'a mut [IoSlice<'a>]) -> LocalFuture<'a, io::Result<usize>> {
        Box::pin(async move {
            assert!(buffers.len() <= rmqc_core::limits::WRITE_VECTORS_MAX);
            self.world.enter(Call::Append).await?;
            let all: Vec<u8> = buffers.iter().flat_map(|slice| slice.iter().copied()).collect();
            let room = self.world.room.get().map_or(all.len(), |room| (room as usize).min(all.len()));
            (&self.file).write_all(&all[..room])?;
            if room < all.len() {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.world.room.set(self.world.room.get().map(|left| left - room as u64));
            Ok(room)
        })
    }

    fn set_len(&self, len: u64) -> LocalFuture<'_, io::Result<()>> {
        Box::pin(async move {
            self.world.enter(Call::SetLen).await?;
            self.file.set_len(len)
        })
    }

    fn sync_data(&self) -> LocalFuture<'_, io::Result<()>> {
        Box::pin(async move {
            self.world.enter(Call::Sync).await?;
            self.file.sync_data()
        })
    }

    fn status(&self) -> io::Result<FileStatus> {
        Ok(file_status(&self.file.metadata()?))
    }

    fn set_mark(&self, name: &str) -> io::Result<()> {
        let inode = self.status()?.inode;
        self.world.marks.borrow_mut().insert((inode, name.to_owned()));
        Ok(())
    }

    fn has_mark(&self, name: &str) -> bool {
        self.status().is_ok_and(|status| self.world.marks.borrow().contains(&(status.inode, name.to_owned())))
    }
}

struct TestWatch {
    seen: u64,
    world: Rc<World>,
    _held: Held,
}

impl HostWatch for TestWatch {
    fn changed(&mut self) -> LocalFuture<'_, ()> {
        Box::pin(poll_fn(|_| {
            let changes = self.world.changes.get();
            if std::mem::replace(&mut self.seen, changes) == changes { Poll::Pending } else { Poll::Ready(()) }
        }))
    }
}

impl Clock for TestHost {
    fn unix_ms(&self) -> i64 {
        self.0.clock.unix_ms()
    }
    fn monotonic(&self) -> MonotonicTime {
        self.0.clock.monotonic()
    }
}

impl TestHost {
    async fn open(&self, call: Call, options: &OpenOptions, path: &Path) -> io::Result<Rc<dyn HostFile>> {
        self.0.enter(call).await?;
        Ok(Rc::new(TestFile { file: options.open(path)?, world: self.0.clone(), _held: Held::new(&self.0) }))
    }
}

impl Host for TestHost {
    fn open_read<'a>(&'a self, path: &'a Path) -> LocalFuture<'a, io::Result<Rc<dyn HostFile>>> {
        Box::pin(async move { self.open(Call::OpenRead, OpenOptions::new().read(true), path).await })
    }

    fn open_append<'a>(&'a self, path: &'a Path) -> LocalFuture<'a, io::Result<Rc<dyn HostFile>>> {
        Box::pin(async move { self.open(Call::OpenAppend, OpenOptions::new().append(true).create(true), path).await })
    }

    fn status<'a>(&'a self, path: &'a Path) -> LocalFuture<'a, io::Result<FileStatus>> {
        Box::pin(async move {
            self.0.enter(Call::Status).await?;
            if let Some(action) = self.0.before_status.take() {
                action();
            }
            Ok(file_status(&std::fs::metadata(path)?))
        })
    }

    fn watch(&self, path: &Path) -> io::Result<Box<dyn HostWatch>> {
        self.0.note(Call::Watch)?;
        if !path.parent().is_some_and(Path::is_dir) {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(Box::new(TestWatch { seen: self.0.changes.get(), world: self.0.clone(), _held: Held::new(&self.0) }))
    }

    fn sleep(&self, duration: Duration) -> LocalFuture<'_, ()> {
        let until = self.0.clock.monotonic() + duration;
        Box::pin(poll_fn(move |_| if self.0.clock.monotonic() < until { Poll::Pending } else { Poll::Ready(()) }))
    }

    fn yield_if_needed(&self) -> LocalFuture<'_, ()> {
        let mut waited = !self.0.hesitant.get();
        Box::pin(poll_fn(move |_| if std::mem::replace(&mut waited, true) { Poll::Ready(()) } else { Poll::Pending }))
    }
}
