//! The bounded bridge between the control plane and one incarnation of a shard: commands in, events out.
//!
//! Full means wait, in both directions. The shard hears of new commands and of room for events through its doorbell;
//! the control plane, on whatever runtime, through [`tokio::sync::Notify`]. Nobody is told twice: a side that is not
//! waiting is left alone.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering, fence};
use std::task::{Poll, Waker};

use crossbeam_queue::ArrayQueue;
use rmqc_core::command::{ShardCommand, ShardEvent};
use rmqc_core::limits::{SHARD_COMMANDS_MAX, SHARD_EVENTS_MAX};
use tokio::sync::Notify;

use crate::driver::Driver;
use crate::driver::bell::{Bell, Notified, NotifiedSeed, Notifier, notifier_for};

/// Wakes the one who takes events, of any shard.
#[derive(Default)]
pub(super) struct EventBell {
    waiting: AtomicBool,
    notify: Notify,
}

impl EventBell {
    pub(super) fn ring(&self) {
        fence(Ordering::SeqCst);
        if self.waiting.load(Ordering::Relaxed) && self.waiting.swap(false, Ordering::Relaxed) {
            self.notify.notify_one();
        }
    }

    /// Says that the taker is about to wait; it must look once more before it does.
    pub(super) fn arm(&self) {
        self.waiting.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    pub(super) async fn wait(&self) {
        self.notify.notified().await;
    }
}

/// Both queues of one incarnation.
pub(super) struct Mailbox {
    pub(super) bell: Arc<Bell>,
    commands: ArrayQueue<ShardCommand>,
    command_came: Notifier,
    /// Senders that wait for room.
    senders: AtomicUsize,
    command_room: Notify,
    events: ArrayQueue<ShardEvent>,
    /// Events taken out so far.
    events_taken: AtomicU64,
    event_came: Arc<EventBell>,
    wants_event_room: AtomicBool,
    event_room: Notifier,
}

/// What the shard needs to bind its side of the mailbox to its executor.
pub(super) struct MailboxSeeds {
    command_came: NotifiedSeed,
    event_room: NotifiedSeed,
}

impl Mailbox {
    pub(super) fn new(bell: Arc<Bell>, event_came: Arc<EventBell>) -> (Arc<Self>, MailboxSeeds) {
        let (command_came, came_seed) = notifier_for(&bell);
        let (event_room, room_seed) = notifier_for(&bell);
        let mailbox = Self {
            bell,
            commands: ArrayQueue::new(SHARD_COMMANDS_MAX),
            command_came,
            senders: AtomicUsize::new(0),
            command_room: Notify::new(),
            events: ArrayQueue::new(SHARD_EVENTS_MAX),
            events_taken: AtomicU64::new(0),
            event_came,
            wants_event_room: AtomicBool::new(false),
            event_room,
        };
        (Arc::new(mailbox), MailboxSeeds { command_came: came_seed, event_room: room_seed })
    }

    /// Puts a command in; gives it back when the mailbox is full.
    pub(super) fn try_send(&self, command: ShardCommand) -> Result<(), ShardCommand> {
        self.commands.push(command)?;
        self.command_came.notify();
        Ok(())
    }

    pub(super) fn commands_waiting(&self) -> usize {
        self.commands.len()
    }

    /// Announces a sender that found the mailbox full. It must try once more before it waits.
    pub(super) fn wait_for_room(&self) -> RoomWait<'_> {
        self.senders.fetch_add(1, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        RoomWait { mailbox: self }
    }

    /// Takes an event out, if there is one.
    pub(super) fn take_event(&self) -> Option<ShardEvent> {
        let event = self.events.pop()?;
        self.events_taken.fetch_add(1, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        // Told at half, so that the shard comes back for many at once. It asked before it found no room, and whoever
        // empties the queue passes here.
        if self.wants_event_room.load(Ordering::Relaxed)
            && self.events.len() <= SHARD_EVENTS_MAX / 2
            && self.wants_event_room.swap(false, Ordering::Relaxed)
        {
            self.event_room.notify();
        }
        Some(event)
    }

    /// Lets go of everyone who waits here: the incarnation is over.
    pub(super) fn close(&self) {
        self.bell.abandon();
        self.command_room.notify_waiters();
    }
}

/// A sender that waits for room.
pub(super) struct RoomWait<'a> {
    mailbox: &'a Mailbox,
}

impl RoomWait<'_> {
    /// Completes when there was room since the wait was announced, or the incarnation is over.
    pub(super) async fn room(&self) {
        let room = self.mailbox.command_room.notified();
        tokio::pin!(room);
        // Registered before the last look, because `close` tells only those who are.
        room.as_mut().enable();
        if self.mailbox.bell.is_abandoned() || !self.mailbox.commands.is_full() {
            return;
        }
        room.await;
    }
}

impl Drop for RoomWait<'_> {
    fn drop(&mut self) {
        self.mailbox.senders.fetch_sub(1, Ordering::SeqCst);
    }
}

/// The shard's side: where its commands come from.
pub struct Commands {
    mailbox: Arc<Mailbox>,
    came: Notified,
}

impl Commands {
    /// The next command, in order; nothing when this incarnation was abandoned: then let go of everything. Safe to
    /// drop.
    pub async fn recv(&mut self) -> Option<ShardCommand> {
        poll_fn(|cx| {
            if self.mailbox.bell.is_abandoned() {
                return Poll::Ready(None);
            }
            loop {
                if let Some(command) = self.try_recv() {
                    return Poll::Ready(Some(command));
                }
                if self.came.poll(cx).is_pending() {
                    return Poll::Pending;
                }
            }
        })
        .await
    }

    /// A command that is there already.
    pub fn try_recv(&mut self) -> Option<ShardCommand> {
        let command = self.mailbox.commands.pop()?;
        fence(Ordering::SeqCst);
        if self.mailbox.senders.load(Ordering::Relaxed) > 0 {
            self.mailbox.command_room.notify_one();
        }
        Some(command)
    }
}

/// The shard's side: where its events go. Clones are for the shard's tasks.
#[derive(Clone)]
pub struct Events {
    mailbox: Arc<Mailbox>,
    /// Events put in so far; only this shard puts any in.
    sent: Rc<Cell<u64>>,
    /// Senders on this shard that wait for room.
    waiting: Rc<RefCell<Vec<Waker>>>,
}

impl Events {
    /// Sends an event; waits while the mailbox is full. Safe to drop: the event is then either sent or not. Events of
    /// an abandoned incarnation go nowhere.
    pub async fn send(&self, event: ShardEvent) {
        let mut event = Some(event);
        poll_fn(|cx| {
            let Some(next) = event.take() else { return Poll::Ready(()) };
            let Err(back) = self.try_send(next) else { return Poll::Ready(()) };
            self.mailbox.wants_event_room.store(true, Ordering::Relaxed);
            fence(Ordering::SeqCst);
            let Err(back) = self.try_send(back) else { return Poll::Ready(()) };
            event = Some(back);
            let mut waiting = self.waiting.borrow_mut();
            if !waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
                waiting.push(cx.waker().clone());
            }
            Poll::Pending
        })
        .await;
    }

    /// Sends an event if there is room, or gives it back.
    ///
    /// # Errors
    /// The event, when the mailbox is full.
    // The event comes back by value on purpose: boxing it would allocate for each one.
    #[allow(clippy::result_large_err)]
    pub fn try_send(&self, event: ShardEvent) -> Result<(), ShardEvent> {
        if self.mailbox.bell.is_abandoned() {
            return Ok(());
        }
        self.mailbox.events.push(event)?;
        self.sent.set(self.sent.get().wrapping_add(1));
        self.mailbox.event_came.ring();
        Ok(())
    }

    /// Number of events sent so far. The event sent last waits in the mailbox while [`Events::taken`] is smaller.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.sent.get()
    }

    /// Number of events that the control plane has taken so far.
    #[must_use]
    pub fn taken(&self) -> u64 {
        self.mailbox.events_taken.load(Ordering::Relaxed)
    }
}

/// Binds the shard's side to the executor of this thread.
pub(super) fn bind<D: Driver>(mailbox: &Arc<Mailbox>, seeds: MailboxSeeds) -> (Commands, Events) {
    let commands = Commands { mailbox: Arc::clone(mailbox), came: seeds.command_came.bind() };
    let waiting: Rc<RefCell<Vec<Waker>>> = Rc::default();
    let (room, told) = (seeds.event_room.bind(), Rc::clone(&waiting));
    // An own future hears of room and passes it on: a sender that heard it itself could be dropped with the news.
    D::spawn_control(async move {
        loop {
            room.wait().await;
            let senders = std::mem::take(&mut *told.borrow_mut());
            senders.into_iter().for_each(Waker::wake);
        }
    });
    (commands, Events { mailbox: Arc::clone(mailbox), sent: Rc::default(), waiting })
}
