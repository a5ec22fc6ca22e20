//! What tests and measurements share: a real broker, the worker as a process, Apache RocketMQ's own client as the other
//! side, and files of numbered lines. Waiting is always for an event, with a deadline; never a fixed sleep.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "every test target takes its part of these helpers, and in a test a failure is a panic"
)]

pub mod broker;
pub mod java;
pub mod lines;
pub mod remoting;
pub mod seccomp;
pub mod seeded;
pub mod worker;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// How often a condition is looked at again while waiting for it.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// Waits until the condition holds.
///
/// # Panics
/// After the deadline, naming what was waited for.
pub fn wait_until(what: &str, deadline: Duration, mut condition: impl FnMut() -> bool) {
    wait_for(what, deadline, || condition().then_some(()));
}

/// Waits until there is a value, and gives it.
///
/// # Panics
/// After the deadline, naming what was waited for.
pub fn wait_for<T>(what: &str, deadline: Duration, mut value: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + deadline;
    loop {
        if let Some(value) = value() {
            return value;
        }
        assert!(Instant::now() < end, "{what}: not within {deadline:?}");
        std::thread::sleep(LOOK_AGAIN);
    }
}

/// A name that no other test, in this process or another one, uses.
pub fn unique(name: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("{name}-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// The repository's top folder; the package that these helpers are compiled into may be below it.
pub fn repository() -> &'static Path {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.ancestors().find(|folder| folder.join("tests/support/rocketmq").exists()).expect("the repository")
}

/// A folder that is removed with this value, unless the test failed.
pub struct TempDir(PathBuf);

impl TempDir {
    /// Makes one.
    pub fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(unique(&format!("rmqc-{name}")));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// A path inside it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("kept for a look: {}", self.0.display());
        } else {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }
}
