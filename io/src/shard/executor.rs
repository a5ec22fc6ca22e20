//! Starts one executor per shard and joins them into the port that the control plane talks to.

use std::future::Future;
use std::marker::PhantomData;
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use rmqc_core::command::{DataPlaneInfo, DriverKind, ShardPort};
use rmqc_core::host::Host;
use rmqc_core::id::ShardId;

use super::mailbox::{Commands, EventBell, Events, Mailbox, MailboxSeeds, bind};
use super::pin::{self, CpuFacts, Layout};
use super::port::{DataPlane, Incarnation};
use crate::driver::bell::Bell;
use crate::driver::epoll::Epoll;
use crate::driver::local::{ExecutorEnd, run_executor};
use crate::driver::uring::Uring;
use crate::driver::{Driver, probe};
use crate::host::DriverHost;
use crate::settings::{DataPlaneSettings, DriverWanted, StartError};

/// How long an executor may take to come up.
const START_TIMEOUT: Duration = Duration::from_secs(30);

/// What a shard does with its executor.
pub trait ShardMain: Send + Sync + 'static {
    /// Runs one shard. Completes after the command `Shutdown` was carried out, or when there are no more commands. A
    /// panic ends the executor, and a new one of the same number starts.
    fn run<D: Driver>(&self, seat: Seat<D>) -> impl Future<Output = ()>;
}

/// A shard's place on its executor: who it is, and its ways to the control plane and to the world.
pub struct Seat<D: Driver> {
    /// Which shard.
    pub shard: ShardId,
    /// Which executor of this number, from 0; the next one comes when the one before was replaced.
    pub incarnation: u64,
    /// Commands to carry out.
    pub commands: Commands,
    /// Where events go.
    pub events: Events,
    /// The world outside, for the tasks.
    pub host: Rc<dyn Host>,
    bell: Arc<Bell>,
    driver: PhantomData<D>,
}

impl<D: Driver> Seat<D> {
    /// Whether this incarnation was given up, so that nothing it does matters any more and it should end.
    #[must_use]
    pub fn is_abandoned(&self) -> bool {
        self.bell.is_abandoned()
    }

    /// The same question, to be asked where the seat is not at hand.
    #[must_use]
    pub fn abandonment(&self) -> Box<dyn Fn() -> bool> {
        let bell = Arc::clone(&self.bell);
        Box::new(move || bell.is_abandoned())
    }

    /// Turns of the executor's control loop so far.
    #[must_use]
    pub fn progress(&self) -> u64 {
        self.bell.progress()
    }
}

/// How to start an executor, with driver and main future hidden.
pub(super) trait Launch: Send + Sync {
    /// Starts the thread. `ready` is told when the executor runs, `ended` is called with how it ended.
    fn launch(&self, order: Order) -> std::io::Result<JoinHandle<()>>;
}

/// One executor to start.
pub(super) struct Order {
    pub(super) shard: ShardId,
    pub(super) incarnation: u64,
    pub(super) cpu: Option<usize>,
    pub(super) mailbox: Arc<Mailbox>,
    pub(super) seeds: MailboxSeeds,
    pub(super) doorbell: UnixStream,
    pub(super) ready: Sender<()>,
    pub(super) ended: Box<dyn FnOnce(ExecutorEnd) + Send>,
}

struct Launcher<D, M> {
    main: Arc<M>,
    driver: PhantomData<fn() -> D>,
}

impl<D: Driver, M: ShardMain> Launch for Launcher<D, M> {
    fn launch(&self, order: Order) -> std::io::Result<JoinHandle<()>> {
        let main = Arc::clone(&self.main);
        let name = format!("rmqc-{}", order.shard);
        std::thread::Builder::new().name(name).spawn(move || run_shard::<D, M>(main, order))
    }
}

fn run_shard<D: Driver, M: ShardMain>(main: Arc<M>, order: Order) {
    let Order { shard, incarnation, cpu, mailbox, seeds, doorbell, ready, ended } = order;
    match cpu {
        Some(cpu) if !pin::pin_this_thread(cpu) => tracing::warn!(%shard, cpu, "the shard could not be pinned"),
        Some(_) => {}
        // A replacement is started by the watchdog, which is not pinned either.
        None => pin::unpin_this_thread(),
    }
    let bell = Arc::clone(&mailbox.bell);
    let end = run_executor::<D, _>(Arc::clone(&bell), doorbell, move || async move {
        let (commands, events) = bind::<D>(&mailbox, seeds);
        let host: Rc<dyn Host> = Rc::new(DriverHost::<D>::new());
        let _ = ready.send(());
        main.run(Seat::<D> { shard, incarnation, commands, events, host, bell, driver: PhantomData }).await;
    });
    ended(end);
}

/// Starts the executors on the driver that is wanted and possible.
///
/// # Errors
/// When the driver that was asked for can't be had, or an executor does not start.
pub fn start_shards(settings: &DataPlaneSettings, main: impl ShardMain) -> Result<Arc<dyn ShardPort>, StartError> {
    let layout = pin::decide(&CpuFacts::gather(), settings.cores, settings.pin);
    let (driver, reason) = probe::choose(settings.driver, layout.shards)?;
    let main = Arc::new(main);
    let uring = Launcher { main: Arc::clone(&main), driver: PhantomData::<fn() -> Uring> };
    let epoll = Launcher { main, driver: PhantomData::<fn() -> Epoll> };
    if driver == DriverKind::Epoll {
        return start_on(settings, layout, driver, reason, Arc::new(epoll));
    }
    match start_on(settings, layout.clone(), driver, reason, Arc::new(uring)) {
        Err(error) if settings.driver == DriverWanted::Auto => {
            let reason = format!("io_uring was tried and failed: {error}");
            start_on(settings, layout, DriverKind::Epoll, reason, Arc::new(epoll))
        }
        started => started,
    }
}

fn start_on(
    settings: &DataPlaneSettings,
    layout: Layout,
    driver: DriverKind,
    driver_reason: String,
    launch: Arc<dyn Launch>,
) -> Result<Arc<dyn ShardPort>, StartError> {
    let info = DataPlaneInfo {
        driver,
        driver_reason,
        shards: layout.shards,
        pinned: layout.pinned,
        pin_reason: layout.reason,
        cpus: layout.cpus,
    };
    DataPlane::start(info, settings.stall_timeout, launch).map(|plane| Arc::new(plane) as Arc<dyn ShardPort>)
}

/// Starts one executor and waits until it runs.
pub(super) fn launch_and_wait(
    launch: &dyn Launch,
    shard: ShardId,
    cpu: Option<usize>,
    event_came: &Arc<EventBell>,
    watchdog: &super::watchdog::Alarm,
) -> Result<Incarnation, StartError> {
    let failed = |why: String| {
        StartError::new(
            format!("the executor of {shard} does not start: {why}"),
            "check the limits of threads, open files and lockable memory, or start with --io epoll",
        )
    };
    let (ready, is_ready) = channel();
    let incarnation = Incarnation::launch(launch, shard, 0, cpu, event_came, watchdog, ready)
        .map_err(|error| failed(error.to_string()))?;
    if is_ready.recv_timeout(START_TIMEOUT).is_ok() {
        return Ok(incarnation);
    }
    incarnation.mailbox.close();
    let why = match incarnation.end() {
        Some(ExecutorEnd::Failed(why) | ExecutorEnd::Panicked(why)) => why,
        _ => format!("it did not come up in {} s", START_TIMEOUT.as_secs()),
    };
    Err(failed(why))
}
