//! A host for tests: the real file system, blocking, with time and changes driven by the test and faults on demand.

mod host;

use std::cell::Cell;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, Waker};

pub use host::{Call, TestHost};
use rmqc_core::config::Properties;
use rmqc_core::context::TaskContext;
use rmqc_core::id::TaskId;
use rmqc_core::position::StoredPosition;

/// A directory of its own that goes away with the value.
pub struct TempDir(PathBuf);

impl Default for TempDir {
    fn default() -> Self {
        Self::new()
    }
}

impl TempDir {
    /// Makes one.
    ///
    /// # Panics
    /// When it can't be made.
    #[must_use]
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("rmqc-connectors-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// A path inside it.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Polls a future `polls` times at most, then drops it.
pub fn poll_for<T>(polls: usize, future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..polls {
        if let Poll::Ready(value) = future.as_mut().poll(&mut context) {
            return Some(value);
        }
    }
    None
}

/// Runs a future that must not wait for anything but the host's own small pauses.
///
/// # Panics
/// When it waits for something else.
pub fn run<T>(future: impl Future<Output = T>) -> T {
    poll_for(100_000, future).expect("the future waits for something that nobody does")
}

/// What a task sees: a configuration, positions, the host.
#[must_use]
pub fn context(host: &Rc<TestHost>, config: &[(&str, &str)], positions: Vec<StoredPosition>) -> TaskContext {
    TaskContext {
        task: TaskId::new("test", 0),
        config: Arc::new(properties(config)),
        positions: Arc::new(positions),
        host: host.clone(),
        errant: Rc::default(),
        backlog: Rc::default(),
        blocks: Rc::default(),
    }
}

/// A configuration from its pairs.
#[must_use]
pub fn properties(pairs: &[(&str, &str)]) -> Properties {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

/// A path as text.
///
/// # Panics
/// When it is none.
#[must_use]
pub fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A small repeatable source of numbers.
pub struct Random(Cell<u64>);

impl Random {
    /// The numbers of a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(Cell::new(seed | 1))
    }

    /// A number below `bound`, which is at least 1.
    #[must_use]
    pub fn below(&self, bound: usize) -> usize {
        let mut x = self.0.get();
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        self.0.set(x);
        (x >> 11) as usize % bound
    }
}
