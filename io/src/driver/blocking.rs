//! The way out for calls that block: a few helper threads per executor, started when they are needed.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::bell::{Notifier, notifier};
use super::local::{self, panic_message};

/// Helper threads of one executor.
const THREADS_MAX: usize = 4;
/// Calls that wait for a helper thread; a caller beyond that waits for room.
const CALLS_MAX: usize = 1024;

type Call = Box<dyn FnOnce() + Send>;

struct Waiting {
    calls: VecDeque<Call>,
    /// Callers that wait for room; told when half of the calls are gone.
    callers: VecDeque<Notifier>,
    threads: usize,
    idle: usize,
    closed: bool,
}

struct Shared {
    waiting: Mutex<Waiting>,
    called: Condvar,
}

/// The helper threads of one executor. Dropping it ends them after the calls that they have begun.
pub(super) struct BlockingPool {
    shared: Arc<Shared>,
}

fn lock(waiting: &Mutex<Waiting>) -> MutexGuard<'_, Waiting> {
    // A call's panic is caught before it could poison anything.
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}

impl BlockingPool {
    pub(super) fn new() -> Self {
        let waiting = Waiting { calls: VecDeque::new(), callers: VecDeque::new(), threads: 0, idle: 0, closed: false };
        Self { shared: Arc::new(Shared { waiting: Mutex::new(waiting), called: Condvar::new() }) }
    }

    /// Hands a call over, or gives it back when there is no room; then `room` is told when there is.
    fn push(&self, call: Call, room: &Notifier) -> Result<(), Call> {
        let mut waiting = lock(&self.shared.waiting);
        if waiting.calls.len() >= CALLS_MAX {
            waiting.callers.push_back(room.clone());
            return Err(call);
        }
        if waiting.idle <= waiting.calls.len() && waiting.threads < THREADS_MAX {
            let shared = Arc::clone(&self.shared);
            let started = std::thread::Builder::new().name("rmqc-blocking".to_owned()).spawn(move || help(&shared));
            match started {
                Ok(_) => waiting.threads += 1,
                // Without a single helper nobody would ever make the call: better here and now than never.
                Err(_) if waiting.threads == 0 => {
                    drop(waiting);
                    call();
                    return Ok(());
                }
                Err(_) => {}
            }
        }
        waiting.calls.push_back(call);
        drop(waiting);
        self.shared.called.notify_one();
        Ok(())
    }
}

impl Drop for BlockingPool {
    fn drop(&mut self) {
        let mut waiting = lock(&self.shared.waiting);
        waiting.closed = true;
        let calls = std::mem::take(&mut waiting.calls);
        drop(waiting);
        drop(calls);
        self.shared.called.notify_all();
    }
}

fn help(shared: &Shared) {
    crate::shard::pin::unpin_this_thread();
    let mut waiting = lock(&shared.waiting);
    loop {
        if let Some(call) = waiting.calls.pop_front() {
            // All at once: some of them may have been dropped meanwhile and would not pass the word on.
            let callers = if waiting.calls.len() <= CALLS_MAX / 2 {
                std::mem::take(&mut waiting.callers)
            } else {
                VecDeque::new()
            };
            drop(waiting);
            callers.iter().for_each(Notifier::notify);
            call();
            waiting = lock(&shared.waiting);
        } else if waiting.closed {
            return;
        } else {
            waiting.idle += 1;
            waiting = shared.called.wait(waiting).unwrap_or_else(PoisonError::into_inner);
            waiting.idle -= 1;
        }
    }
}

/// Makes a blocking call on a helper thread of this thread's executor. A panic in the call goes on in the caller.
pub(super) async fn unblock<T: Send + 'static>(call: impl FnOnce() -> T + Send + 'static) -> T {
    let Some((done, answered)) = notifier() else { return call() };
    let answer = Arc::new(Mutex::new(None));
    let place = Arc::clone(&answer);
    let told = done.clone();
    let mut next: Option<Call> = Some(Box::new(move || {
        let result = catch_unwind(AssertUnwindSafe(call));
        *place.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
        told.notify();
    }));
    loop {
        if let Some(call) = next.take() {
            next = local::with(|hub| hub.pool().push(call, &done).err()).flatten();
        }
        let result = answer.lock().unwrap_or_else(PoisonError::into_inner).take();
        match result {
            Some(Ok(value)) => return value,
            Some(Err(panic)) => std::panic::resume_unwind(Box::new(panic_message(panic.as_ref()))),
            None => answered.wait().await,
        }
    }
}
