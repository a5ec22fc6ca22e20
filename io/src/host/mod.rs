//! The world outside as a shard's tasks see it: files, time and changes of files, on either driver.

mod file;
mod watch;

use std::io;
use std::marker::PhantomData;
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rmqc_core::clock::{Clock, MonotonicTime};
use rmqc_core::host::{FileStatus, Host, HostFile, HostWatch, LocalFuture};

use crate::driver::Driver;

/// Milliseconds since 1970-01-01 UTC.
#[must_use]
pub fn unix_ms() -> i64 {
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_millis()).map_or(i64::MIN, |ms| -ms),
    }
}

/// The real world, through one driver.
pub struct DriverHost<D> {
    origin: Instant,
    driver: PhantomData<D>,
}

impl<D: Driver> DriverHost<D> {
    /// A host whose monotonic clock starts now.
    #[must_use]
    pub fn new() -> Self {
        Self { origin: Instant::now(), driver: PhantomData }
    }
}

impl<D: Driver> Default for DriverHost<D> {
    fn default() -> Self {
        Self::new()
    }
}

impl<D: Driver> Clock for DriverHost<D> {
    fn unix_ms(&self) -> i64 {
        unix_ms()
    }

    fn monotonic(&self) -> MonotonicTime {
        self.origin.elapsed()
    }
}

impl<D: Driver> Host for DriverHost<D> {
    fn open_read<'a>(&'a self, path: &'a Path) -> LocalFuture<'a, io::Result<Rc<dyn HostFile>>> {
        let path = path.to_owned();
        Box::pin(async move {
            let (file, in_memory) = D::unblock(move || file::open_read(&path)).await?;
            Ok(Rc::new(file::DriverFile::<D>::new(file, in_memory)) as Rc<dyn HostFile>)
        })
    }

    fn open_append<'a>(&'a self, path: &'a Path) -> LocalFuture<'a, io::Result<Rc<dyn HostFile>>> {
        let path = path.to_owned();
        Box::pin(async move {
            let file = D::unblock(move || file::open_append(&path)).await?;
            Ok(Rc::new(file::DriverFile::<D>::new(file, false)) as Rc<dyn HostFile>)
        })
    }

    fn status<'a>(&'a self, path: &'a Path) -> LocalFuture<'a, io::Result<FileStatus>> {
        // On the spot: followers ask after every change, and a helper thread would cost more than all the rest. The
        // names in use are in the kernel's cache, and a network is not asked.
        Box::pin(std::future::ready(file::status_of_path(path)))
    }

    fn watch(&self, path: &Path) -> io::Result<Box<dyn HostWatch>> {
        Ok(Box::new(watch::DriverWatch::<D>::new(path)?))
    }

    fn sleep(&self, duration: Duration) -> LocalFuture<'_, ()> {
        Box::pin(D::sleep(duration))
    }

    fn yield_if_needed(&self) -> LocalFuture<'_, ()> {
        Box::pin(D::yield_if_needed())
    }
}
