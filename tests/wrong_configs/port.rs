//! A controller before a data plane that starts what it is told to, and keeps what it was told.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rmqc_control::controller::standalone::{Settings, start};
use rmqc_control::controller::{Controller, ConverterDefaults, DefineSettings, Snapshot};
use rmqc_control::known_secrets::KnownSecrets;
use rmqc_control::store::Stores;
use rmqc_control::worker::Patience;
use rmqc_core::command::{
    DataPlaneInfo, DriverKind, SendFuture, ShardCommand, ShardEvent, ShardGone, ShardHealth, ShardPort, TaskSpec,
};
use rmqc_core::config::Properties;
use rmqc_core::config::provider::{ProviderSettings, Providers};
use rmqc_core::config::worker::RestartPolicy;
use rmqc_core::id::ShardId;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::cluster::FakeCluster;

/// Nothing that is waited for takes longer than this.
pub const DEADLINE: Duration = Duration::from_secs(10);

/// The data plane.
pub struct Port {
    info: DataPlaneInfo,
    sender: UnboundedSender<ShardEvent>,
    events: tokio::sync::Mutex<UnboundedReceiver<ShardEvent>>,
    pub started: Mutex<Vec<TaskSpec>>,
}

impl Port {
    fn new() -> Self {
        let (sender, receiver) = unbounded_channel();
        let info = DataPlaneInfo {
            driver: DriverKind::Epoll,
            driver_reason: String::new(),
            shards: 1,
            pinned: false,
            pin_reason: String::new(),
            cpus: Vec::new(),
        };
        Self { info, sender, events: tokio::sync::Mutex::new(receiver), started: Mutex::default() }
    }

    pub fn say(&self, event: ShardEvent) {
        self.sender.send(event).unwrap();
    }
}

impl ShardPort for Port {
    fn info(&self) -> &DataPlaneInfo {
        &self.info
    }

    fn health(&self) -> Vec<ShardHealth> {
        Vec::new()
    }

    fn send(&self, shard: ShardId, command: ShardCommand) -> SendFuture<'_, Result<(), ShardGone>> {
        Box::pin(async move {
            match command {
                ShardCommand::StartTask(spec) => {
                    self.say(ShardEvent::TaskRunning(spec.task.clone(), spec.generation));
                    self.started.lock().unwrap().push(*spec);
                }
                ShardCommand::StopTask(task, generation) => self.say(ShardEvent::TaskStopped(task, generation)),
                ShardCommand::Shutdown => self.say(ShardEvent::ShardDown(shard)),
                _ => {}
            }
            Ok(())
        })
    }

    fn next_event(&self) -> SendFuture<'_, Option<ShardEvent>> {
        Box::pin(async { self.events.lock().await.recv().await })
    }
}

/// What configurations are checked with. Files may be read below `root`.
pub fn settings(root: &Path) -> DefineSettings {
    let string = "org.apache.rocketmq.connect.runtime.converter.record.StringConverter".to_owned();
    let allowed = ProviderSettings { roots: vec![root.to_owned()], env: vec!["PATH".to_owned()] };
    DefineSettings {
        converters: ConverterDefaults { key: string.clone(), value: string },
        shards: 1,
        providers: Arc::new(Providers::registered(&allowed)),
    }
}

/// A worker with its stores in `dir`.
pub struct Room {
    pub controller: Controller,
    pub port: Arc<Port>,
    pub secrets: Arc<KnownSecrets>,
}

impl Room {
    /// Starts it on the present runtime.
    pub fn start(dir: &Path, root: &Path) -> Self {
        let second = Duration::from_secs(1);
        let restart = RestartPolicy { max: 0, window: second, backoff: second, backoff_max: second };
        let DefineSettings { converters, providers, .. } = settings(root);
        let secrets = Arc::<KnownSecrets>::default();
        let settings = Settings {
            worker_id: "w".to_owned(),
            converters,
            providers,
            secrets: Arc::clone(&secrets),
            patience: Patience { start: DEADLINE, stop: DEADLINE, restart },
            state_interval: Duration::from_millis(20),
            traces: Arc::default(),
        };
        let port = Arc::new(Port::new());
        let cluster = Arc::new(FakeCluster::default());
        let (controller, _) = start(settings, Arc::<Port>::clone(&port), cluster, Stores::in_files(dir).unwrap());
        Self { controller, port, secrets }
    }

    /// Waits until the worker looks like that.
    pub async fn wait(&self, what: &str, reached: impl Fn(&Snapshot) -> bool) -> Snapshot {
        let start = Instant::now();
        loop {
            let snapshot = self.controller.look().await.unwrap();
            if reached(&snapshot) {
                return snapshot;
            }
            assert!(start.elapsed() < DEADLINE, "waited in vain for {what}");
            tokio::task::yield_now().await;
        }
    }
}

/// Runs a test's future on a runtime of its own.
pub fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

pub fn properties(pairs: &[(&str, &str)]) -> Properties {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

/// All that is in the files below a directory, as one text.
pub fn files_below(dir: &Path) -> String {
    let mut all = String::new();
    for entry in std::fs::read_dir(dir).unwrap().map(Result::unwrap) {
        let path = entry.path();
        all.push_str(&format!("{}\n", path.display()));
        if path.is_dir() {
            all.push_str(&files_below(&path));
        } else {
            all.push_str(&String::from_utf8_lossy(&std::fs::read(&path).unwrap()));
        }
    }
    all
}
