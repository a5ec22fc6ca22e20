//! Times in which the machine ran nothing of ours: what no program on it can answer for.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::stats::rounded;

/// Sleep between two looks at the clock.
const STEP: Duration = Duration::from_millis(1);
/// A look that is so late tells of a stall.
const LEAST: Duration = Duration::from_millis(4);

/// A thread that sleeps and looks how late it wakes, before all others where it may.
pub struct Stalls {
    ended: Arc<AtomicBool>,
    thread: JoinHandle<Value>,
}

impl Stalls {
    /// Begins to watch.
    pub fn watch() -> Self {
        let ended = Arc::new(AtomicBool::new(false));
        let until = ended.clone();
        let thread = std::thread::spawn(move || {
            let before_all = goes_before_all();
            let (mut late, mut last) = (Vec::new(), Instant::now());
            while !until.load(Ordering::Relaxed) {
                std::thread::sleep(STEP);
                let now = Instant::now();
                late.extend(Some(now - last).filter(|passed| *passed >= LEAST));
                last = now;
            }
            told(&late, before_all)
        });
        Self { ended, thread }
    }

    /// Ends, and tells how many there were, of how many milliseconds together, and the longest. Without real-time priority
    /// they may also be times in which other programs were at work (`real_time`).
    pub fn end(self) -> Value {
        self.ended.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

fn told(late: &[Duration], before_all: bool) -> Value {
    let ms = |duration: Duration| rounded(duration.as_secs_f64() * 1e3, 1);
    json!({
        "count": late.len(),
        "ms": ms(late.iter().sum()),
        "longest_ms": ms(late.iter().copied().max().unwrap_or_default()),
        "real_time": before_all,
    })
}

/// Gives the thread real-time priority; false when it may not have it.
fn goes_before_all() -> bool {
    let parameters = libc::sched_param { sched_priority: 1 };
    // SAFETY: the pointer is to a live value; 0 is the calling thread.
    unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &raw const parameters) == 0 }
}

#[cfg(test)]
#[allow(
    dead_code,
    unused_imports,
    reason = "the bench target is built for tests without a harness that would run them"
)]
mod tests {
    use super::*;

    #[test]
    fn their_number_sum_and_longest_are_told() {
        let ms = Duration::from_millis;
        let none = json!({ "count": 0, "ms": 0.0, "longest_ms": 0.0, "real_time": false });
        assert_eq!(told(&[], false), none);
        let some = json!({ "count": 2, "ms": 27.0, "longest_ms": 20.0, "real_time": true });
        assert_eq!(told(&[ms(7), ms(20)], true), some);
    }
}
