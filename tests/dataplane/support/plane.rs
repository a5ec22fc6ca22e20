//! A running data plane, with a control plane that only notes what it hears and stores positions as told.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use rmqc_core::cluster_port::ClusterPort;
use rmqc_core::command::{FailureKind, ShardCommand, ShardEvent, ShardPort, TaskSpec};
use rmqc_core::config::Properties;
use rmqc_core::id::{Generation, ShardId, TaskId};
use rmqc_core::metrics::{ShardReport, TaskCounters};
use rmqc_core::position::StoredPosition;
use rmqc_core::registry::find_connector;
use rmqc_io::settings::{ClusterSettings, CoresWanted, Credentials, DataPlaneSettings, DriverWanted, PinWanted};

use super::DEADLINE;

/// What the store does with positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreMode {
    /// Keeps them and says so.
    Keep,
    /// Keeps them and says so after a while.
    KeepLate(Duration),
    /// Takes them and never says anything.
    Silent,
    /// Refuses them.
    Refuse,
}

/// Positions by connector.
pub struct Store {
    pub mode: StoreMode,
    pub positions: BTreeMap<String, Vec<StoredPosition>>,
    pub stored: u64,
}

impl Store {
    fn keep(&mut self, connector: &str, positions: Vec<StoredPosition>) {
        let known = self.positions.entry(connector.to_owned()).or_default();
        for position in positions {
            known.retain(|old| old.partition != position.partition);
            known.push(position);
        }
        self.stored += 1;
    }
}

struct Heard {
    events: Mutex<VecDeque<ShardEvent>>,
    came: Condvar,
}

/// A data plane and what came from it.
pub struct Plane {
    pub port: Arc<dyn ShardPort>,
    pub store: Arc<Mutex<Store>>,
    /// While set, at most one more event is taken: the mailboxes fill.
    pub deaf: Arc<AtomicBool>,
    heard: Arc<Heard>,
    runtime: tokio::runtime::Runtime,
}

/// A task that was started.
#[derive(Clone, Debug)]
pub struct Task {
    pub id: TaskId,
    pub generation: Generation,
    pub shard: ShardId,
}

/// How to start a plane.
pub struct Options {
    pub driver: DriverWanted,
    pub shards: usize,
    pub name_servers: Vec<String>,
    pub auto_create_topic: bool,
    pub credentials: Option<Credentials>,
    pub operation_timeout: Duration,
}

impl Options {
    pub fn new(driver: DriverWanted, name_server: impl ToString) -> Self {
        Self {
            driver,
            shards: 1,
            name_servers: vec![name_server.to_string()],
            auto_create_topic: true,
            credentials: None,
            operation_timeout: Duration::from_secs(3),
        }
    }

    pub fn shards(self, shards: usize) -> Self {
        Self { shards, ..self }
    }

    pub fn start(self) -> Plane {
        self.start_with(Arc::new(Mutex::new(Store { mode: StoreMode::Keep, positions: BTreeMap::new(), stored: 0 })))
    }

    /// The data plane and the cluster behind it, with nobody who listens.
    pub fn start_port(self) -> (Arc<dyn ShardPort>, Arc<dyn ClusterPort>) {
        let settings = DataPlaneSettings {
            cores: CoresWanted::Exactly(self.shards),
            pin: PinWanted::Off,
            driver: self.driver,
            stall_timeout: Duration::from_secs(30),
            memory_bytes_max: 64 << 20,
            trace_share: 0.0,
            cluster: ClusterSettings {
                name_servers: self.name_servers,
                credentials: self.credentials,
                producer_group: "connector-producer-group".to_owned(),
                auto_create_topic: self.auto_create_topic,
                operation_timeout: self.operation_timeout,
            },
        };
        let cluster = rmqc_io::start_cluster_client(&settings.cluster).unwrap();
        (rmqc_io::start_data_plane(&settings).unwrap(), cluster)
    }

    /// With positions from before.
    pub fn start_with(self, store: Arc<Mutex<Store>>) -> Plane {
        let shards = self.shards;
        let (port, _) = self.start_port();
        assert_eq!(port.info().shards, shards, "{}", port.info().pin_reason);
        let heard = Arc::new(Heard { events: Mutex::default(), came: Condvar::new() });
        let deaf = Arc::<AtomicBool>::default();
        let (listening, notes, kept, ears) = (port.clone(), heard.clone(), store.clone(), deaf.clone());
        std::thread::spawn(move || runtime().block_on(listen(listening, kept, notes, ears)));
        let runtime = runtime();
        Plane { port, store, deaf, heard, runtime }
    }
}

async fn listen(port: Arc<dyn ShardPort>, store: Arc<Mutex<Store>>, heard: Arc<Heard>, deaf: Arc<AtomicBool>) {
    let shards = u16::try_from(port.info().shards).unwrap();
    while let Some(event) = port.next_event().await {
        let ShardEvent::Positions(task, generation, positions) = event else {
            heard.events.lock().unwrap().push_back(event);
            heard.came.notify_all();
            while deaf.load(Ordering::SeqCst) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            continue;
        };
        let mode = store.lock().unwrap().mode;
        let answer = match mode {
            StoreMode::Silent => continue,
            StoreMode::Refuse => ShardCommand::PositionsRefused(task.clone(), generation, "disk full".to_owned()),
            StoreMode::Keep | StoreMode::KeepLate(_) => {
                store.lock().unwrap().keep(&task.connector, positions);
                ShardCommand::PositionsStored(task.clone(), generation)
            }
        };
        if let StoreMode::KeepLate(late) = mode {
            tokio::time::sleep(late).await;
        }
        // Only the shard that has the task takes it.
        match answer {
            ShardCommand::PositionsStored(task, generation) => {
                for shard in 0..shards {
                    let stored = ShardCommand::PositionsStored(task.clone(), generation);
                    let _ = port.send(ShardId(shard), stored).await;
                }
            }
            refused => drop(port.send(ShardId(0), refused).await),
        }
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// A configuration from pairs.
pub fn properties(pairs: &[(&str, &str)]) -> Properties {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

impl Plane {
    pub fn send(&self, shard: ShardId, command: ShardCommand) {
        self.runtime.block_on(self.port.send(shard, command)).unwrap();
    }

    /// Sends a task to shard 0.
    pub fn launch(&self, name: &str, class: &str, config: &[(&str, &str)]) -> Task {
        self.launch_on(0, TaskId::new(name, 0), class, config, false)
    }

    pub fn launch_on(&self, shard: u16, id: TaskId, class: &str, config: &[(&str, &str)], paused: bool) -> Task {
        static GENERATIONS: AtomicU64 = AtomicU64::new(1);
        let generation = Generation(GENERATIONS.fetch_add(1, Ordering::Relaxed));
        let positions = self.store.lock().unwrap().positions.get(&*id.connector).cloned().unwrap_or_default();
        let spec = TaskSpec {
            task: id.clone(),
            generation,
            factory: find_connector(class).unwrap(),
            config: Arc::new(properties(config)),
            positions: Arc::new(positions),
            paused,
        };
        self.send(ShardId(shard), ShardCommand::StartTask(Box::new(spec)));
        Task { id, generation, shard: ShardId(shard) }
    }

    /// Sends a task to shard 0 and waits until it runs.
    pub fn run(&self, name: &str, class: &str, config: &[(&str, &str)]) -> Task {
        let task = self.launch(name, class, config);
        self.running(&task);
        task
    }

    /// The first event for which `pick` gives something, within the deadline; it is taken.
    pub fn event<T>(&self, what: &str, mut pick: impl FnMut(&ShardEvent) -> Option<T>) -> T {
        let until = Instant::now() + DEADLINE;
        let mut events = self.heard.events.lock().unwrap();
        loop {
            let found = events.iter().enumerate().find_map(|(at, event)| Some((at, pick(event)?)));
            if let Some((at, found)) = found {
                events.remove(at);
                return found;
            }
            let left = until.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "no event {what}; heard: {:?}", events.iter().map(shown).collect::<Vec<_>>());
            events = self.heard.came.wait_timeout(events, left).unwrap().0;
        }
    }

    /// Whether such an event is there now; it is not taken.
    pub fn heard(&self, matches: impl Fn(&ShardEvent) -> bool) -> bool {
        self.heard.events.lock().unwrap().iter().any(matches)
    }

    fn own_event(&self, what: &str, task: &Task, matches: impl Fn(&ShardEvent) -> bool) {
        self.event(&format!("{what} of {}", task.id), |event| {
            if let ShardEvent::TaskFailed { generation, cause, .. } = event
                && *generation == task.generation
            {
                panic!("{} failed instead of {what}: {cause}", task.id);
            }
            matches(event).then_some(())
        });
    }

    pub fn running(&self, task: &Task) {
        self.own_event(
            "running",
            task,
            |event| matches!(event, ShardEvent::TaskRunning(_, g) if *g == task.generation),
        );
    }

    pub fn paused(&self, task: &Task) {
        self.own_event("paused", task, |event| matches!(event, ShardEvent::TaskPaused(_, g) if *g == task.generation));
    }

    pub fn stopped(&self, task: &Task) {
        self.own_event(
            "stopped",
            task,
            |event| matches!(event, ShardEvent::TaskStopped(_, g) if *g == task.generation),
        );
    }

    /// Cause of a failure, and whether a restart may help.
    pub fn failed(&self, task: &Task) -> (String, bool) {
        self.event(&format!("failure of {}", task.id), |event| match event {
            ShardEvent::TaskFailed { generation, cause, kind, .. } if *generation == task.generation => {
                Some((cause.clone(), *kind != FailureKind::Final))
            }
            _ => None,
        })
    }

    pub fn warning(&self, task: &Task) -> String {
        self.event(&format!("warning of {}", task.id), |event| match event {
            ShardEvent::TaskWarning(_, generation, text) if *generation == task.generation => Some(text.clone()),
            _ => None,
        })
    }

    pub fn ask_to_stop(&self, task: &Task) {
        self.send(task.shard, ShardCommand::StopTask(task.id.clone(), task.generation));
    }

    pub fn stop(&self, task: &Task) {
        self.ask_to_stop(task);
        self.stopped(task);
    }

    pub fn ask_to_pause(&self, task: &Task) {
        self.send(task.shard, ShardCommand::PauseTask(task.id.clone(), task.generation));
    }

    pub fn ask_to_resume(&self, task: &Task) {
        self.send(task.shard, ShardCommand::ResumeTask(task.id.clone(), task.generation));
    }

    pub fn report(&self, shard: u16) -> ShardReport {
        static REPORTS: AtomicU64 = AtomicU64::new(1);
        let number = REPORTS.fetch_add(1, Ordering::Relaxed);
        self.send(ShardId(shard), ShardCommand::Report(number));
        self.event("report", |event| match event {
            ShardEvent::Report(_, n, report) if *n == number => Some((**report).clone()),
            _ => None,
        })
    }

    pub fn counters(&self, task: &Task) -> TaskCounters {
        let report = self.report(task.shard.0);
        report.tasks.iter().find(|one| one.task == task.id).map(|one| one.counters).unwrap_or_default()
    }

    /// Stops everything and waits until it has ended.
    pub fn shut_down(self) {
        // A shard that only goes on because its watchdog kicked it has slept through an event.
        for health in self.port.health().iter().filter(|health| health.kicks > 0) {
            println!("{:?}: {} kicks of {}", self.port.info().driver, health.kicks, health.shard);
        }
        let shards = u16::try_from(self.port.info().shards).unwrap();
        (0..shards).for_each(|shard| self.send(ShardId(shard), ShardCommand::Shutdown));
        for _ in 0..shards {
            self.event("shard down", |event| matches!(event, ShardEvent::ShardDown(_)).then_some(()));
        }
    }
}

impl Plane {
    /// Ends without a drain, as a process that is killed does.
    pub fn shut_down_at_once(self) {
        drop(self);
    }
}

fn shown(event: &ShardEvent) -> String {
    match event {
        ShardEvent::TaskRunning(task, _) => format!("{task} runs"),
        ShardEvent::TaskPaused(task, _) => format!("{task} paused"),
        ShardEvent::TaskStopped(task, _) => format!("{task} stopped"),
        ShardEvent::TaskFailed { task, cause, .. } => format!("{task} failed: {cause}"),
        ShardEvent::Positions(task, ..) => format!("positions of {task}"),
        ShardEvent::PauseWanted(task, _, text) => format!("{task} wants a pause: {text}"),
        ShardEvent::TaskWarning(task, _, text) => format!("warning of {task}: {text}"),
        ShardEvent::Report(shard, ..) => format!("report of {shard}"),
        ShardEvent::ShardReplaced { shard, cause, .. } => format!("{shard} replaced: {cause}"),
        ShardEvent::ShardDown(shard) => format!("{shard} down"),
        ShardEvent::Tapped(task, number, records, _) => format!("{} records of {task} for tap {number}", records.len()),
    }
}
