//! How any thread gets the attention of an executor: a queue of notes and a doorbell, which is a socket pair that the
//! executor polls like any other socket.
//!
//! No waker ever crosses a thread: a wake-up from outside can get lost in a sleeping glommio executor, a byte in a
//! socket can't. The bell rings once for many notes; a ring costs one `send` and only when the executor asked for it.

use std::future::Future;
use std::io::{self, Write};
use std::os::unix::net::UnixStream;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering, fence};
use std::task::{Context, Poll};

use crossbeam_queue::SegQueue;

use super::local::{self, Hub};

/// Slot number of a cell that nobody awaits yet.
const NO_SLOT: usize = usize::MAX;

/// The outer side of one executor's doorbell; shared by all who may ring.
pub struct Bell {
    socket: UnixStream,
    /// The executor wants a ring: it has drained the notes and is about to sleep.
    armed: AtomicBool,
    /// Cells with news. Each cell is in here at most once, so it is as long as there are cells.
    pending: SegQueue<Arc<Cell>>,
    progress: AtomicU64,
    abandoned: AtomicBool,
}

impl Bell {
    /// A bell, and the socket on which the executor hears it.
    ///
    /// # Errors
    /// When the system has no more descriptors.
    pub fn new() -> io::Result<(Arc<Self>, UnixStream)> {
        let (socket, inner) = UnixStream::pair()?;
        socket.set_nonblocking(true)?;
        inner.set_nonblocking(true)?;
        let bell = Self {
            socket,
            armed: AtomicBool::new(false),
            pending: SegQueue::new(),
            progress: AtomicU64::new(0),
            abandoned: AtomicBool::new(false),
        };
        Ok((Arc::new(bell), inner))
    }

    /// Rings, whether the executor asked for it or not. Never waits.
    pub fn kick(&self) {
        // A full socket means that a ring is waiting already, a closed one that the executor is gone: both are fine.
        let _ = (&self.socket).write(&[1]);
    }

    /// Turns of the executor's control loop so far.
    pub fn progress(&self) -> u64 {
        self.progress.load(Ordering::Relaxed)
    }

    /// Whether there is news that the executor has not seen yet.
    pub fn has_news(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Tells the executor that nobody waits for it any more: it ends as soon as it can.
    pub fn abandon(&self) {
        self.abandoned.store(true, Ordering::SeqCst);
        self.kick();
    }

    /// Whether the executor was abandoned.
    pub fn is_abandoned(&self) -> bool {
        self.abandoned.load(Ordering::Relaxed)
    }

    fn post(&self, cell: Arc<Cell>) {
        self.pending.push(cell);
        // Pairs with the fence in `arm`: either we see the bell armed, or the executor sees our note.
        fence(Ordering::SeqCst);
        if self.armed.load(Ordering::Relaxed) && self.armed.swap(false, Ordering::Relaxed) {
            self.kick();
        }
    }

    /// Asks for a ring at the next note. False: there is one already, look again.
    pub(super) fn arm(&self) -> bool {
        self.armed.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        if self.pending.is_empty() {
            return true;
        }
        self.armed.store(false, Ordering::Relaxed);
        false
    }

    /// Wakes all local futures for which there is news, and counts the turn.
    pub(super) fn drain(&self, hub: &Hub) {
        self.progress.fetch_add(1, Ordering::Relaxed);
        // What comes while we drain belongs to the next turn, so that a flood can't hold us here.
        for _ in 0..self.pending.len() {
            let Some(cell) = self.pending.pop() else { break };
            // First make room for the next note, then wake: a note in between is queued again, never lost.
            cell.queued.store(false, Ordering::SeqCst);
            hub.wake(cell.slot.load(Ordering::SeqCst));
        }
    }
}

struct Cell {
    /// There is news that `Notified` has not taken.
    set: AtomicBool,
    /// `Notified` found none and is to be woken.
    waits: AtomicBool,
    /// The cell is in the bell's queue.
    queued: AtomicBool,
    slot: AtomicUsize,
}

impl Cell {
    /// Takes the news, if there is some; nobody waits then.
    fn take_news(&self) -> bool {
        let taken = self.set.swap(false, Ordering::SeqCst);
        if taken {
            self.waits.store(false, Ordering::SeqCst);
        }
        taken
    }
}

/// Completes the [`Notified`] it was made with, from any thread.
#[derive(Clone)]
pub struct Notifier {
    bell: Arc<Bell>,
    cell: Arc<Cell>,
}

impl Notifier {
    /// Tells the future that there is news. Many calls before it looks count as one; none wakes an executor whose future is
    /// busy with something else. Never waits.
    pub fn notify(&self) {
        self.cell.set.store(true, Ordering::SeqCst);
        // The future says that it waits before it looks for news the last time: one of us sees the other.
        if self.cell.waits.swap(false, Ordering::SeqCst) && !self.cell.queued.swap(true, Ordering::SeqCst) {
            self.bell.post(Arc::clone(&self.cell));
        }
    }
}

/// The future's half before it reached its executor.
pub struct NotifiedSeed {
    cell: Arc<Cell>,
}

impl NotifiedSeed {
    /// Binds it to the executor of this thread, which must be the one whose bell it was made with.
    #[must_use]
    pub fn bind(self) -> Notified {
        let slot = local::with(|hub| hub.add_slot()).unwrap_or(NO_SLOT);
        self.cell.slot.store(slot, Ordering::SeqCst);
        Notified { cell: self.cell, slot }
    }
}

/// A notifier for the executor with that bell, before or after it started.
#[must_use]
pub fn notifier_for(bell: &Arc<Bell>) -> (Notifier, NotifiedSeed) {
    let cell = Arc::new(Cell {
        set: AtomicBool::new(false),
        waits: AtomicBool::new(false),
        queued: AtomicBool::new(false),
        slot: AtomicUsize::new(NO_SLOT),
    });
    (Notifier { bell: Arc::clone(bell), cell: Arc::clone(&cell) }, NotifiedSeed { cell })
}

/// A notifier for the executor of this thread; nothing outside of one.
#[must_use]
pub fn notifier() -> Option<(Notifier, Notified)> {
    let bell = local::with(|hub| Arc::clone(hub.bell()))?;
    let (notifier, seed) = notifier_for(&bell);
    Some((notifier, seed.bind()))
}

/// Waits for its [`Notifier`]. One waiter at a time.
pub struct Notified {
    cell: Arc<Cell>,
    slot: usize,
}

impl Notified {
    /// Completes when there was a `notify` since it last completed. Safe to drop.
    pub fn wait(&self) -> impl Future<Output = ()> + '_ {
        Waiting { notified: self }
    }

    /// The same, to be polled. News is taken by completing.
    pub fn poll(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.cell.set.load(Ordering::Relaxed) && self.cell.take_news() {
            return Poll::Ready(());
        }
        // Registered before the notes are drained again: draining happens on this thread, so nothing slips through.
        local::with(|hub| hub.set_waker(self.slot, cx.waker()));
        self.cell.waits.store(true, Ordering::SeqCst);
        if self.cell.take_news() { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl Drop for Notified {
    fn drop(&mut self) {
        self.cell.slot.store(NO_SLOT, Ordering::SeqCst);
        local::with(|hub| hub.remove_slot(self.slot));
    }
}

struct Waiting<'a> {
    notified: &'a Notified,
}

impl Future for Waiting<'_> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.notified.poll(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_waits_is_woken_and_news_is_never_lost() {
        let (bell, _doorbell) = Bell::new().unwrap();
        let (notifier, seed) = notifier_for(&bell);
        let notified = seed.bind();
        let mut context = Context::from_waker(std::task::Waker::noop());
        let mut poll = || notified.poll(&mut context);
        notifier.notify();
        assert!(!bell.has_news(), "nobody waits");
        assert_eq!((poll(), poll()), (Poll::Ready(()), Poll::Pending));
        notifier.notify();
        notifier.notify();
        assert_eq!(bell.pending.len(), 1);
        assert_eq!(poll(), Poll::Ready(()));
        bell.pending.pop().unwrap().queued.store(false, Ordering::SeqCst);
        notifier.notify();
        assert!(!bell.has_news(), "nobody waits any more");
        assert_eq!((poll(), poll()), (Poll::Ready(()), Poll::Pending));
    }
}
