//! What every executor has on its thread whatever the driver: its running futures, its doorbell, and the news of the
//! panic that ends it.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::future::Future;
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use rmqc_core::host::LocalFuture;

use super::bell::Bell;
use super::blocking::BlockingPool;
use super::slots::Slots;
use super::{Driver, StreamRead};

/// How long a future of the data class runs before `yield_if_needed` yields.
const SLICE: Duration = Duration::from_micros(500);
/// How long the data class runs before I/O, timers and the control class get their turn, whether it yields or not.
const TURN: Duration = Duration::from_millis(1);
/// A poll that takes longer is a stall: nothing else of the executor had its turn meanwhile.
const STALL: Duration = Duration::from_millis(10);
/// A pause between two polls from which on the executor has surely looked at I/O: that takes several system calls.
const PAUSE: Duration = Duration::from_micros(2);
/// Bytes of rings taken at once. At most one is unread, apart from the watchdog's.
const RING_BYTES: usize = 64;

thread_local! {
    static HUB: RefCell<Option<Rc<Hub>>> = const { RefCell::new(None) };
}

/// How an executor came to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExecutorEnd {
    /// Its main future completed.
    Done,
    /// It was abandoned and has let go of everything.
    Abandoned,
    /// A future panicked with this message.
    Panicked(String),
    /// The driver could not start it, or its doorbell broke.
    Failed(String),
}

type Running = RefCell<Option<LocalFuture<'static, ()>>>;

/// The executor's own things. Never leaves its thread.
pub(super) struct Hub {
    bell: Arc<Bell>,
    wakers: RefCell<Slots<Option<Waker>>>,
    running: RefCell<Slots<Rc<Running>>>,
    end: RefCell<Option<ExecutorEnd>>,
    root: RefCell<Option<Waker>>,
    closed: Cell<bool>,
    slice_start: Cell<Instant>,
    /// When the executor last looked at I/O, as far as can be told from here.
    turn_start: Cell<Instant>,
    last_poll_end: Cell<Instant>,
    /// Whose future is being polled; 0 for those that nobody has said anything about.
    owner: Cell<u64>,
    on_stall: RefCell<Option<StallHook>>,
    pool: BlockingPool,
}

/// Told after each stall of its executor: whose future it was, and how long it took.
pub type StallHook = Rc<dyn Fn(u64, Duration)>;

/// Makes this thread's executor tell of its stalls.
pub fn on_stall(hook: StallHook) {
    with(|hub| *hub.on_stall.borrow_mut() = Some(hook));
}

/// Says whose future is being polled, until that poll ends.
pub fn poll_belongs_to(owner: u64) {
    with(|hub| hub.owner.set(owner));
}

/// Calls with this thread's hub, if it runs an executor.
pub(super) fn with<R>(call: impl FnOnce(&Rc<Hub>) -> R) -> Option<R> {
    // `try_with`: things are also dropped while the thread ends.
    let hub = HUB.try_with(|hub| hub.borrow().clone()).ok().flatten()?;
    Some(call(&hub))
}

/// Whether the future that runs on this thread has used up its slice.
pub(super) fn slice_is_over() -> bool {
    with(|hub| hub.slice_start.get().elapsed() >= SLICE).unwrap_or(false)
}

impl Hub {
    pub(super) fn bell(&self) -> &Arc<Bell> {
        &self.bell
    }

    pub(super) fn pool(&self) -> &BlockingPool {
        &self.pool
    }

    pub(super) fn add_slot(&self) -> usize {
        self.wakers.borrow_mut().insert(None)
    }

    pub(super) fn set_waker(&self, slot: usize, waker: &Waker) {
        if let Some(place) = self.wakers.borrow_mut().get_mut(slot) {
            match place {
                Some(old) if old.will_wake(waker) => {}
                _ => *place = Some(waker.clone()),
            }
        }
    }

    pub(super) fn remove_slot(&self, slot: usize) {
        let waker = self.wakers.borrow_mut().remove(slot);
        drop(waker);
    }

    pub(super) fn wake(&self, slot: usize) {
        let waker = self.wakers.borrow_mut().get_mut(slot).and_then(Option::take);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Notes that a poll begins; tells whether the data class must first let the executor look at I/O.
    fn begin_poll(&self) -> bool {
        let now = Instant::now();
        self.slice_start.set(now);
        if now.duration_since(self.last_poll_end.get()) >= PAUSE {
            self.turn_start.set(now);
        }
        now.duration_since(self.turn_start.get()) >= TURN
    }

    fn end_poll(&self) {
        let now = Instant::now();
        self.last_poll_end.set(now);
        let owner = self.owner.replace(0);
        let took = now.saturating_duration_since(self.slice_start.get());
        if took > STALL {
            let hook = self.on_stall.borrow().clone();
            if let Some(hook) = hook {
                hook(owner, took);
            }
        }
    }

    fn finish(&self, end: ExecutorEnd) {
        self.end.borrow_mut().get_or_insert(end);
        let root = self.root.borrow_mut().take();
        if let Some(root) = root {
            root.wake();
        }
    }

    /// Drops all futures, on their own executor. They may be many and may panic; neither may hold up the end.
    fn close(&self) {
        self.closed.set(true);
        loop {
            let futures = self.running.borrow_mut().take_all();
            if futures.is_empty() {
                return;
            }
            for running in futures {
                let _ = catch_unwind(AssertUnwindSafe(|| drop(running.borrow_mut().take())));
            }
        }
    }
}

/// Which of the two classes a future belongs to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    Data,
    Control,
}

/// A future under the executor's care: a panic in it ends the executor, and the executor's end drops it.
pub(super) struct Guarded {
    /// Weak, because a driver may leak the shells of futures that still waited when it ended.
    hub: Weak<Hub>,
    running: Rc<Running>,
    number: usize,
    class: Class,
    /// Makes a future that completes after the executor has looked at I/O.
    new_turn: fn() -> LocalFuture<'static, ()>,
    /// Such a future, while this one has to wait for it.
    turn: Option<LocalFuture<'static, ()>>,
}

/// Takes a future into the care of this thread's executor; nothing when that is closing or there is none.
pub(super) fn guard<D: Driver>(class: Class, future: impl Future<Output = ()> + 'static) -> Option<Guarded> {
    with(|hub| {
        if hub.closed.get() {
            return None;
        }
        let running: Rc<Running> = Rc::new(RefCell::new(Some(Box::pin(future))));
        let number = hub.running.borrow_mut().insert(Rc::clone(&running));
        let new_turn = || Box::pin(D::yield_now()) as LocalFuture<'static, ()>;
        Some(Guarded { hub: Rc::downgrade(hub), running, number, class, new_turn, turn: None })
    })
    .flatten()
}

impl Future for Guarded {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Some(hub) = self.hub.upgrade() else { return Poll::Ready(()) };
        if let Some(turn) = &mut self.turn {
            std::task::ready!(turn.as_mut().poll(cx));
            self.turn = None;
            hub.turn_start.set(Instant::now());
        }
        if hub.begin_poll() && self.class == Class::Data {
            let mut turn = (self.new_turn)();
            if turn.as_mut().poll(cx).is_pending() {
                self.turn = Some(turn);
                return Poll::Pending;
            }
        }
        let polled = self.poll_running(&hub, cx);
        hub.end_poll();
        polled
    }
}

impl Guarded {
    fn poll_running(&self, hub: &Hub, cx: &mut Context<'_>) -> Poll<()> {
        let mut place = self.running.borrow_mut();
        let Some(future) = place.as_mut() else { return Poll::Ready(()) };
        let polled = catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx)));
        match polled {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(())) => {}
            Err(panic) => hub.finish(ExecutorEnd::Panicked(panic_message(panic.as_ref()))),
        }
        let done = place.take();
        drop(place);
        if !hub.closed.get() {
            hub.running.borrow_mut().remove(self.number);
        }
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| drop(done))) {
            hub.finish(ExecutorEnd::Panicked(panic_message(panic.as_ref())));
        }
        Poll::Ready(())
    }
}

/// What a panic said, as far as it is text.
#[must_use]
pub fn panic_message(panic: &(dyn Any + Send)) -> String {
    if let Some(text) = panic.downcast_ref::<&str>() {
        return (*text).to_owned();
    }
    panic.downcast_ref::<String>().cloned().unwrap_or_else(|| "a panic without a message".to_owned())
}

/// Runs an executor on this thread until the future that `main` makes completes, a future panics, or the bell's
/// owner abandons it.
pub fn run_executor<D, F>(bell: Arc<Bell>, doorbell: UnixStream, main: impl FnOnce() -> F + 'static) -> ExecutorEnd
where
    D: Driver,
    F: Future<Output = ()> + 'static,
{
    let hub = Rc::new(Hub {
        bell,
        wakers: RefCell::new(Slots::new()),
        running: RefCell::new(Slots::new()),
        end: RefCell::new(None),
        root: RefCell::new(None),
        closed: Cell::new(false),
        slice_start: Cell::new(Instant::now()),
        turn_start: Cell::new(Instant::now()),
        last_poll_end: Cell::new(Instant::now()),
        owner: Cell::new(0),
        on_stall: RefCell::new(None),
        pool: BlockingPool::new(),
    });
    HUB.with(|place| *place.borrow_mut() = Some(Rc::clone(&hub)));
    let root = Rc::clone(&hub);
    let run = catch_unwind(AssertUnwindSafe(|| {
        D::block_on(async move {
            D::spawn_control(listen::<D>(Rc::clone(&root), doorbell));
            D::spawn_control(run_main(Rc::clone(&root), main));
            ended(&root).await;
            root.close();
        })
    }));
    HUB.with(|place| *place.borrow_mut() = None);
    match run {
        Ok(Ok(())) => hub.end.borrow_mut().take().unwrap_or(ExecutorEnd::Done),
        Ok(Err(error)) => ExecutorEnd::Failed(error.to_string()),
        Err(panic) => ExecutorEnd::Panicked(panic_message(panic.as_ref())),
    }
}

async fn run_main<F: Future<Output = ()>>(hub: Rc<Hub>, main: impl FnOnce() -> F) {
    main().await;
    hub.finish(ExecutorEnd::Done);
}

async fn ended(hub: &Hub) {
    std::future::poll_fn(|cx| {
        if hub.end.borrow().is_some() {
            return Poll::Ready(());
        }
        *hub.root.borrow_mut() = Some(cx.waker().clone());
        Poll::Pending
    })
    .await;
}

/// The control loop under everything: hears the doorbell, wakes the futures that it rang for, counts the turn.
async fn listen<D: Driver>(hub: Rc<Hub>, doorbell: UnixStream) {
    let mut doorbell = match D::doorbell(doorbell) {
        Ok(doorbell) => doorbell,
        Err(error) => return hub.finish(ExecutorEnd::Failed(format!("the executor's doorbell: {error}"))),
    };
    let mut rings = BytesMut::with_capacity(RING_BYTES);
    loop {
        hub.bell.drain(&hub);
        if hub.bell.is_abandoned() {
            return hub.finish(ExecutorEnd::Abandoned);
        }
        if !hub.bell.arm() {
            D::yield_now().await;
            continue;
        }
        rings.clear();
        rings.reserve(RING_BYTES);
        match std::future::poll_fn(|cx| doorbell.poll_read(cx, &mut rings, RING_BYTES)).await {
            Ok(1..) => {}
            Ok(0) => return hub.finish(ExecutorEnd::Abandoned),
            Err(error) => return hub.finish(ExecutorEnd::Failed(format!("the executor's doorbell: {error}"))),
        }
    }
}
