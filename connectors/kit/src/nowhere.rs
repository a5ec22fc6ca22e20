//! A host that may not be asked for anything.

use std::io;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use rmqc_core::clock::{Clock, MonotonicTime};
use rmqc_core::config::Properties;
use rmqc_core::context::TaskContext;
use rmqc_core::host::{FileStatus, Host, HostFile, HostWatch, LocalFuture};
use rmqc_core::id::TaskId;

/// Surroundings of a task that is built and never started.
pub(crate) fn context(config: Properties) -> TaskContext {
    TaskContext {
        task: TaskId::new("exam", 0),
        config: Arc::new(config),
        positions: Arc::default(),
        host: Rc::new(Nowhere),
        errant: Rc::default(),
        backlog: Rc::default(),
        blocks: Rc::default(),
    }
}

struct Nowhere;

impl Clock for Nowhere {
    fn unix_ms(&self) -> i64 {
        panic!("building a task asked for the time")
    }
    fn monotonic(&self) -> MonotonicTime {
        panic!("building a task asked for the time")
    }
}

impl Host for Nowhere {
    fn open_read<'a>(&'a self, path: &'a Path) -> LocalFuture<'a, io::Result<Rc<dyn HostFile>>> {
        panic!("building a task opened {}", path.display())
    }
    fn open_append<'a>(&'a self, path: &'a Path) -> LocalFuture<'a, io::Result<Rc<dyn HostFile>>> {
        panic!("building a task opened {}", path.display())
    }
    fn status<'a>(&'a self, path: &'a Path) -> LocalFuture<'a, io::Result<FileStatus>> {
        panic!("building a task looked at {}", path.display())
    }
    fn watch(&self, path: &Path) -> io::Result<Box<dyn HostWatch>> {
        panic!("building a task watched {}", path.display())
    }
    fn sleep(&self, _duration: Duration) -> LocalFuture<'_, ()> {
        panic!("building a task slept")
    }
    fn yield_if_needed(&self) -> LocalFuture<'_, ()> {
        panic!("building a task yielded")
    }
}
