//! Time: whatever hangs, the doctor comes to an end.

use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

/// When everything has to be over.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline(Instant);

impl Deadline {
    /// So long from now.
    pub fn after(time: Duration) -> Self {
        let now = Instant::now();
        Self(now.checked_add(time).unwrap_or(now))
    }

    /// At most so much, and no more than is left; never zero, which would mean «no limit» to sockets.
    pub fn step(&self, most: Duration) -> Duration {
        self.0.saturating_duration_since(Instant::now()).min(most).max(Duration::from_millis(1))
    }
}

/// Work on a thread of its own, which is left behind if it hangs.
pub(crate) struct Pending<T>(Option<Receiver<T>>);

impl<T: Send + 'static> Pending<T> {
    /// Starts it.
    pub fn start(work: impl FnOnce() -> T + Send + 'static) -> Self {
        let (done, receiver) = sync_channel(1);
        let thread = std::thread::Builder::new().name("doctor".to_owned()).spawn(move || {
            // Nobody waits any more: the result is not wanted.
            let _ = done.send(work());
        });
        Self(thread.is_ok().then_some(receiver))
    }

    /// Its result; none when it was not there in time.
    pub fn wait(self, time: Duration) -> Option<T> {
        self.0?.recv_timeout(time).ok()
    }
}

/// Does something that may hang; none when it was not done in time.
pub(crate) fn within<T: Send + 'static>(time: Duration, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    Pending::start(work).wait(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_hangs_is_left_behind() {
        let (hold, held) = std::sync::mpsc::channel::<()>();
        assert_eq!(within(Duration::from_millis(20), move || held.recv()), None);
        drop(hold);
        assert_eq!(within(Duration::from_secs(20), || 7), Some(7));
    }

    #[test]
    fn a_step_is_never_zero() {
        assert_eq!(Deadline::after(Duration::ZERO).step(Duration::from_secs(1)), Duration::from_millis(1));
        assert_eq!(Deadline::after(Duration::from_secs(60)).step(Duration::from_secs(1)), Duration::from_secs(1));
    }
}
