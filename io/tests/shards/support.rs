//! A shard that only does what its tests ask of it, and ways to ask.

use std::cell::Cell;
use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rmqc_core::command::{DriverKind, ShardCommand, ShardEvent, ShardPort, TaskSpec};
use rmqc_core::config::Properties;
use rmqc_core::context::TaskContext;
use rmqc_core::error::Result;
use rmqc_core::id::{Generation, ShardId, TaskId};
use rmqc_core::metrics::ShardReport;
use rmqc_core::registry::{ConnectorFactory, TaskBuilder};
use rmqc_io::driver::Driver;
use rmqc_io::settings::{ClusterSettings, CoresWanted, DataPlaneSettings, DriverWanted, PinWanted, StartError};
use rmqc_io::shard::executor::{Seat, ShardMain, start_shards};

/// Numbers of reports that ask for something else.
pub const PANIC: u64 = u64::MAX;
pub const STALL: u64 = u64::MAX - 1;
pub const BUSY: u64 = u64::MAX - 2;
pub const PANIC_IN_CONTROL: u64 = u64::MAX - 3;

/// How long a test waits for what must come.
pub const DEADLINE: Duration = Duration::from_secs(60);

pub const BOTH: [DriverWanted; 2] = [DriverWanted::Uring, DriverWanted::Epoll];

/// Answers reports and task commands; misbehaves when asked to.
pub struct Obedient;

impl ShardMain for Obedient {
    async fn run<D: Driver>(&self, mut seat: Seat<D>) {
        let stop = Rc::new(Cell::new(false));
        while let Some(command) = seat.commands.recv().await {
            match command {
                ShardCommand::Report(PANIC) => D::spawn(async { panic!("asked to panic") }),
                ShardCommand::Report(PANIC_IN_CONTROL) => D::spawn_control(async { panic!("asked to panic there") }),
                // Blocking the thread is the point: a connector may do so, and only the watchdog can tell.
                ShardCommand::Report(STALL) => D::spawn(async { std::thread::sleep(Duration::from_secs(4)) }),
                ShardCommand::Report(BUSY) => D::spawn(be_busy::<D>(Rc::clone(&stop))),
                ShardCommand::Report(number) => {
                    let report = Box::<ShardReport>::default();
                    seat.events.send(ShardEvent::Report(seat.shard, number, report)).await;
                }
                ShardCommand::StartTask(spec) => {
                    seat.events.send(ShardEvent::TaskRunning(spec.task, spec.generation)).await;
                }
                ShardCommand::StopTask(task, generation) => {
                    seat.events.send(ShardEvent::TaskStopped(task, generation)).await;
                }
                ShardCommand::Shutdown => {
                    stop.set(true);
                    return;
                }
                _ => {}
            }
        }
    }
}

/// Uses up every slice it gets, as a source with endless data does.
async fn be_busy<D: Driver>(stop: Rc<Cell<bool>>) {
    let mut sum = 0_u64;
    while !stop.get() {
        for number in 0..200_u64 {
            sum = std::hint::black_box(sum.wrapping_mul(31).wrapping_add(number));
        }
        D::yield_if_needed().await;
    }
}

pub fn settings(driver: DriverWanted, shards: usize) -> DataPlaneSettings {
    DataPlaneSettings {
        cores: CoresWanted::Exactly(shards),
        pin: PinWanted::Off,
        driver,
        stall_timeout: Duration::from_secs(30),
        memory_bytes_max: 64 << 20,
        trace_share: 0.0,
        cluster: ClusterSettings {
            name_servers: Vec::new(),
            credentials: None,
            producer_group: "tests".to_owned(),
            auto_create_topic: false,
            operation_timeout: Duration::from_secs(3),
        },
    }
}

pub fn start(driver: DriverWanted, shards: usize) -> Arc<dyn ShardPort> {
    start_with(&settings(driver, shards))
}

pub fn start_with(settings: &DataPlaneSettings) -> Arc<dyn ShardPort> {
    try_start(settings).unwrap()
}

pub fn try_start(settings: &DataPlaneSettings) -> std::result::Result<Arc<dyn ShardPort>, StartError> {
    start_shards(settings, Obedient)
}

/// Runs a test's future with a deadline for all of it.
pub fn within<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let limit = DEADLINE.max(Duration::from_secs(2 * stress_seconds()));
    runtime.block_on(async { tokio::time::timeout(limit, future).await.expect("the test's deadline passed") })
}

/// Stops all shards and takes the events until the end.
pub async fn shut_down(port: &dyn ShardPort) -> Vec<ShardEvent> {
    for number in 0..port.info().shards {
        port.send(ShardId(number as u16), ShardCommand::Shutdown).await.unwrap();
    }
    let mut events = Vec::new();
    while let Some(event) = port.next_event().await {
        events.push(event);
    }
    events
}

fn no_task(_: TaskContext) -> Result<Box<dyn rmqc_core::connector::DynSourceTask>> {
    unreachable!("the shard of these tests builds no tasks")
}

static FACTORY: ConnectorFactory = ConnectorFactory {
    name: "none",
    java_class: "none",
    java_task_class: "none",
    keys: &[],
    validate: |_| Ok(()),
    task_configs: |_, _| Ok(vec![Properties::new()]),
    shardable: false,
    build: TaskBuilder::Source(no_task),
};

pub fn start_task(name: &str, generation: u64) -> ShardCommand {
    ShardCommand::StartTask(Box::new(TaskSpec {
        task: TaskId::new(name, 0),
        generation: Generation(generation),
        factory: &FACTORY,
        config: Arc::new(Properties::new()),
        positions: Arc::new(Vec::new()),
        paused: false,
    }))
}

/// Threads that take all the CPU they can get, until dropped.
pub struct Hogs {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Hogs {
    pub fn start(count: usize) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let hog = || {
            let stop = Arc::clone(&stop);
            std::thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            })
        };
        let threads = (0..count).map(|_| hog()).collect();
        Self { stop, threads }
    }
}

impl Drop for Hogs {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.threads.drain(..).for_each(|thread| thread.join().unwrap());
    }
}

/// Seconds of stress in one run; `RMQC_STRESS_SECONDS` makes it a soak.
pub fn stress_seconds() -> u64 {
    std::env::var("RMQC_STRESS_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(2)
}

/// One value of the sorted ones.
pub fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    sorted[(sorted.len() * percent / 100).min(sorted.len() - 1)]
}

/// Sends a report and takes its answer: one hop there and one back.
pub async fn round_trip(port: &dyn ShardPort, shard: ShardId, number: u64) -> Duration {
    let start = Instant::now();
    port.send(shard, ShardCommand::Report(number)).await.unwrap();
    loop {
        match port.next_event().await {
            Some(ShardEvent::Report(from, answered, _)) if (from, answered) == (shard, number) => {
                return start.elapsed();
            }
            Some(_) => {}
            None => panic!("the shards ended"),
        }
    }
}

pub fn name(driver: DriverWanted) -> &'static str {
    match driver {
        DriverWanted::Uring => DriverKind::Uring.name(),
        _ => DriverKind::Epoll.name(),
    }
}
