//! What a shard's thread does with its core: its CPU time, and the times in which it did not come back to its loop.
//!
//! The executor reads the clock before and after each poll anyway, so that a poll which takes long is seen costs nothing.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::rc::Rc;
use std::time::{Duration, Instant};

use rmqc_core::id::TaskId;
use rmqc_core::metrics::Stall;

use crate::driver::local;

/// Silence between two warnings about one task.
const WARN_EVERY: Duration = Duration::from_secs(60);

/// Who has the core while a future is polled.
struct Owner {
    /// None: whoever is not known by name, such as the tasks' deliveries.
    task: Option<TaskId>,
    warned: Option<Instant>,
}

/// The stalls of one shard.
#[derive(Default)]
pub struct Stalls {
    count: Cell<u64>,
    micros: Cell<u64>,
    last: RefCell<Option<Stall>>,
    owners: RefCell<BTreeMap<u64, Owner>>,
    next_owner: Cell<u64>,
}

impl Stalls {
    /// Counts the stalls of this thread's executor from now on.
    #[must_use]
    pub fn watch() -> Rc<Self> {
        let stalls = Rc::new(Self::default());
        let noted = stalls.clone();
        local::on_stall(Rc::new(move |owner, took| noted.note(owner, took)));
        stalls
    }

    /// Runs a future of this task, so that its stalls bear the task's name.
    pub async fn of_task<F: Future>(self: Rc<Self>, task: TaskId, future: F) -> F::Output {
        let owner = self.next_owner.get().saturating_add(1);
        self.next_owner.set(owner);
        self.owners.borrow_mut().insert(owner, Owner { task: Some(task), warned: None });
        let mut future = std::pin::pin!(future);
        let output = poll_fn(|cx| {
            local::poll_belongs_to(owner);
            future.as_mut().poll(cx)
        })
        .await;
        self.owners.borrow_mut().remove(&owner);
        output
    }

    fn note(&self, owner: u64, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.count.set(self.count.get().saturating_add(1));
        self.micros.set(self.micros.get().saturating_add(micros));
        let mut owners = self.owners.borrow_mut();
        // A task that has ended in this very poll is not known any more.
        let owner = if owners.contains_key(&owner) { owner } else { 0 };
        let known = owners.entry(owner).or_insert(Owner { task: None, warned: None });
        if known.warned.is_none_or(|warned| warned.elapsed() >= WARN_EVERY) {
            known.warned = Some(Instant::now());
            let task = known.task.as_ref().map_or_else(|| "a task of the shard".to_owned(), ToString::to_string);
            tracing::warn!(%task, ms = took.as_millis(), "had the core for too long without a yield: the other tasks of its shard stood still");
        }
        let task = known.task.clone();
        *self.last.borrow_mut() = Some(Stall { task, micros, at_ms: crate::host::unix_ms() });
    }

    /// Their number, the microseconds in them, and the last one.
    #[must_use]
    pub fn report(&self) -> (u64, u64, Option<Stall>) {
        (self.count.get(), self.micros.get(), self.last.borrow().clone())
    }
}

/// CPU time of this thread so far, in microseconds; 0 where the system does not tell.
#[must_use]
pub fn thread_cpu_us() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the call writes one `timespec` into the room for one.
    if unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) } != 0 {
        return 0;
    }
    let (seconds, nanos) = (u64::try_from(time.tv_sec).unwrap_or(0), u64::try_from(time.tv_nsec).unwrap_or(0));
    seconds.saturating_mul(1_000_000).saturating_add(nanos / 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stalls_bear_the_name_of_the_task_that_runs() {
        let stalls = Rc::new(Stalls::default());
        futures_lite::future::block_on(stalls.clone().of_task(TaskId::new("slow", 3), async {
            stalls.note(1, Duration::from_millis(30));
            stalls.note(1, Duration::from_millis(40));
        }));
        let (count, micros, last) = stalls.report();
        assert_eq!((count, micros), (2, 70_000));
        let last = last.unwrap();
        assert_eq!((last.task, last.micros), (Some(TaskId::new("slow", 3)), 40_000));
        stalls.note(1, Duration::from_millis(11));
        assert_eq!(stalls.report().2.unwrap().task, None, "the task is gone");
    }

    #[test]
    fn work_takes_cpu_time_and_sleep_does_not() {
        let before = thread_cpu_us();
        std::thread::sleep(Duration::from_millis(50));
        assert!(thread_cpu_us() - before < 40_000);
        while thread_cpu_us() - before < 40_000 {
            std::hint::spin_loop();
        }
    }
}
