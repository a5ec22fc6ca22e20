//! Waiting inside one shard: an event, a fair semaphore, a one-time slot. Nothing here may leave its thread.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// Something that happens again and again. A waiter sees everything that happened since it last looked.
#[derive(Clone, Default)]
pub struct Event(Rc<EventState>);

#[derive(Default)]
struct EventState {
    count: Cell<u64>,
    waiters: RefCell<Vec<Waker>>,
}

impl Event {
    /// It happens; all waiters go on.
    pub fn notify(&self) {
        self.0.count.set(self.0.count.get().wrapping_add(1));
        let waiters = std::mem::take(&mut *self.0.waiters.borrow_mut());
        for waiter in waiters {
            waiter.wake();
        }
    }

    /// How often it happened so far: take this before looking at the state that one waits for.
    #[must_use]
    pub fn seen(&self) -> u64 {
        self.0.count.get()
    }

    /// Completes as soon as it has happened more often than `seen`. Safe to drop.
    pub async fn since(&self, seen: u64) {
        poll_fn(|cx| {
            if self.0.count.get() != seen {
                return Poll::Ready(());
            }
            let mut waiters = self.0.waiters.borrow_mut();
            if !waiters.iter().any(|waiter| waiter.will_wake(cx.waker())) {
                waiters.push(cx.waker().clone());
            }
            Poll::Pending
        })
        .await;
    }
}

/// Permits, given out in the order in which they were asked for.
#[derive(Clone)]
pub struct Semaphore(Rc<SemaphoreState>);

struct SemaphoreState {
    free: Cell<usize>,
    waiters: RefCell<VecDeque<Rc<Ticket>>>,
}

#[derive(Default)]
struct Ticket {
    granted: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

/// One permit; gives itself back when dropped.
pub struct Permit(Semaphore);

/// A place in the queue for a permit.
pub struct Acquire {
    semaphore: Semaphore,
    ticket: Option<Rc<Ticket>>,
}

impl Semaphore {
    /// A semaphore of so many permits.
    #[must_use]
    pub fn new(permits: usize) -> Self {
        Self(Rc::new(SemaphoreState { free: Cell::new(permits), waiters: RefCell::default() }))
    }

    /// Takes a place in the queue now; the future completes when it is this place's turn.
    #[must_use]
    pub fn acquire(&self) -> Acquire {
        let ticket = Rc::new(Ticket::default());
        self.0.waiters.borrow_mut().push_back(ticket.clone());
        self.grant();
        Acquire { semaphore: self.clone(), ticket: Some(ticket) }
    }

    fn grant(&self) {
        while self.0.free.get() > 0 {
            let Some(ticket) = self.0.waiters.borrow_mut().pop_front() else { return };
            self.0.free.set(self.0.free.get().saturating_sub(1));
            ticket.granted.set(true);
            let waker = ticket.waker.borrow_mut().take();
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }

    fn give_back(&self) {
        self.0.free.set(self.0.free.get().saturating_add(1));
        self.grant();
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.give_back();
    }
}

impl Future for Acquire {
    type Output = Permit;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Permit> {
        let granted = self.ticket.as_ref().is_none_or(|ticket| ticket.granted.get());
        if granted {
            self.ticket = None;
            return Poll::Ready(Permit(self.semaphore.clone()));
        }
        if let Some(ticket) = &self.ticket {
            *ticket.waker.borrow_mut() = Some(cx.waker().clone());
        }
        Poll::Pending
    }
}

impl Drop for Acquire {
    fn drop(&mut self) {
        let Some(ticket) = self.ticket.take() else { return };
        if ticket.granted.get() {
            self.semaphore.give_back();
        } else {
            self.semaphore.0.waiters.borrow_mut().retain(|waiting| !Rc::ptr_eq(waiting, &ticket));
        }
    }
}

/// The giving end of a one-time slot; dropped without a value, the other end completes with `None`.
pub struct SlotSender<T>(Rc<SlotState<T>>);

/// The taking end of a one-time slot.
pub struct SlotReceiver<T>(Rc<SlotState<T>>);

struct SlotState<T> {
    value: Cell<Option<T>>,
    closed: Cell<bool>,
    waker: Cell<Option<Waker>>,
}

/// A slot for one value.
#[must_use]
pub fn slot<T>() -> (SlotSender<T>, SlotReceiver<T>) {
    let state = Rc::new(SlotState { value: Cell::new(None), closed: Cell::new(false), waker: Cell::new(None) });
    (SlotSender(state.clone()), SlotReceiver(state))
}

impl<T> SlotSender<T> {
    /// Gives the value.
    pub fn send(self, value: T) {
        self.0.value.set(Some(value));
    }

    /// Whether nobody waits for the value any more.
    #[must_use]
    pub fn is_abandoned(&self) -> bool {
        Rc::strong_count(&self.0) < 2
    }
}

impl<T> Drop for SlotSender<T> {
    fn drop(&mut self) {
        self.0.closed.set(true);
        if let Some(waker) = self.0.waker.take() {
            waker.wake();
        }
    }
}

impl<T> Future for SlotReceiver<T> {
    type Output = Option<T>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        if let Some(value) = self.0.value.take() {
            return Poll::Ready(Some(value));
        }
        if self.0.closed.get() {
            return Poll::Ready(None);
        }
        self.0.waker.set(Some(cx.waker().clone()));
        Poll::Pending
    }
}

/// What ended first.
pub enum First<A, B> {
    /// The first future.
    A(A),
    /// The second one.
    B(B),
}

/// Runs two futures until one ends; the other is dropped. Looks at `a` first.
pub async fn first<A: Future, B: Future>(a: A, b: B) -> First<A::Output, B::Output> {
    let mut a = std::pin::pin!(a);
    let mut b = std::pin::pin!(b);
    poll_fn(|cx| {
        if let Poll::Ready(value) = a.as_mut().poll(cx) {
            return Poll::Ready(First::A(value));
        }
        b.as_mut().poll(cx).map(First::B)
    })
    .await
}

/// Runs all futures together and gives their values in the order of the futures.
pub async fn join_all<F: Future>(futures: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut running: Vec<_> = futures.map(Box::pin).collect();
    let mut values: Vec<Option<F::Output>> = running.iter().map(|_| None).collect();
    poll_fn(|cx| {
        let mut waiting = false;
        for (future, value) in running.iter_mut().zip(&mut values).filter(|(_, value)| value.is_none()) {
            match future.as_mut().poll(cx) {
                Poll::Ready(ready) => *value = Some(ready),
                Poll::Pending => waiting = true,
            }
        }
        if waiting { Poll::Pending } else { Poll::Ready(()) }
    })
    .await;
    values.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use futures_lite::future::{block_on, poll_once};

    use super::*;

    #[test]
    fn permits_go_out_in_the_order_of_asking() {
        block_on(async {
            let semaphore = Semaphore::new(1);
            let first = semaphore.acquire().await;
            let mut second = semaphore.acquire();
            let mut third = semaphore.acquire();
            assert!(poll_once(&mut third).await.is_none() && poll_once(&mut second).await.is_none());
            drop(first);
            assert!(poll_once(&mut third).await.is_none());
            let permit = poll_once(&mut second).await.unwrap();
            drop(permit);
            assert!(poll_once(&mut third).await.is_some());
        });
    }

    #[test]
    fn a_dropped_place_is_passed_over() {
        block_on(async {
            let semaphore = Semaphore::new(1);
            let held = semaphore.acquire().await;
            let given_up = semaphore.acquire();
            let granted_but_unused = semaphore.acquire();
            let mut last = semaphore.acquire();
            drop(given_up);
            drop(held);
            drop(granted_but_unused);
            assert!(poll_once(&mut last).await.is_some());
        });
    }

    #[test]
    fn an_event_between_look_and_wait_is_not_missed() {
        block_on(async {
            let event = Event::default();
            let seen = event.seen();
            event.notify();
            event.since(seen).await;
            let seen = event.seen();
            assert!(poll_once(event.since(seen)).await.is_none());
        });
    }

    #[test]
    fn all_values_come_in_the_order_of_their_futures() {
        block_on(async {
            let event = Event::default();
            let seen = event.seen();
            let late = async |value: u8| {
                event.since(seen).await;
                value
            };
            let early = async |value: u8| {
                event.notify();
                value
            };
            let both: Vec<std::pin::Pin<Box<dyn Future<Output = u8>>>> = vec![Box::pin(late(1)), Box::pin(early(2))];
            assert_eq!(join_all(both.into_iter()).await, [1, 2]);
        });
    }

    #[test]
    fn a_slot_gives_its_value_or_nothing() {
        block_on(async {
            let (sender, receiver) = slot();
            sender.send(7);
            assert_eq!(receiver.await, Some(7));
            let (sender, receiver) = slot::<u8>();
            assert!(!sender.is_abandoned());
            drop(sender);
            assert_eq!(receiver.await, None);
        });
    }
}
