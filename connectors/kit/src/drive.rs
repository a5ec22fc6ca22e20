//! Runs a task's futures on the test's host: time passes as fast as it is waited for.

use std::future::Future;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use rmqc_core::config::Properties;
use rmqc_core::context::TaskContext;
use rmqc_core::id::TaskId;
use rmqc_core::position::StoredPosition;

use crate::exam::Exam;
use crate::testing::TestHost;

/// The host's time that passes from one look at a future to the next.
const STEP: Duration = Duration::from_millis(20);
/// Looks at a future that doesn't become ready: an hour of the host's time.
const LOOKS_MAX: usize = 180_000;
/// Looks that a source gets when nothing may come any more: 20 s of the host's time.
pub(crate) const LOOKS_WHEN_DRY: usize = 1000;
/// Pause between two looks in real time, once the host's time has been waited for.
const REAL_STEP: Duration = Duration::from_millis(1);

/// What a task of the exam sees.
pub(crate) fn context(host: &Rc<TestHost>, config: &Properties, positions: Vec<StoredPosition>) -> TaskContext {
    TaskContext {
        task: TaskId::new("exam", 0),
        config: Arc::new(config.clone()),
        positions: Arc::new(positions),
        host: host.clone(),
        errant: Rc::default(),
        backlog: Rc::default(),
        blocks: Rc::default(),
    }
}

/// Looks at a future so many times at most, and for the exam's patience in real time; nothing when it is not ready then.
pub(crate) fn look<T>(exam: &Exam<'_>, host: &TestHost, looks: usize, future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    let end = Instant::now() + exam.patience;
    let mut looks = looks;
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut context) {
            return Some(value);
        }
        if looks > 0 {
            looks -= 1;
            host.advance(STEP);
        } else if Instant::now() < end {
            // A thread of the task's own may be at work, which has no event to wait for.
            std::thread::sleep(REAL_STEP);
        } else {
            return None;
        }
    }
}

/// Runs a future that has to become ready.
pub(crate) fn run<T>(
    exam: &Exam<'_>,
    host: &TestHost,
    what: &str,
    future: impl Future<Output = T>,
) -> Result<T, String> {
    look(exam, host, LOOKS_MAX, future)
        .ok_or_else(|| format!("{what} waits for ever; for a system outside, give the exam patience"))
}
