//! A well-behaved data plane without records: every order is answered at once, and told.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use rmqc_core::command::{
    DataPlaneInfo, DriverKind, FailureKind, SendFuture, ShardCommand, ShardEvent, ShardGone, ShardHealth, ShardPort,
    TaskSpec,
};
use rmqc_core::config::Properties;
use rmqc_core::config::key::{ConfigErrors, ConfigKey, KeyKind};
use rmqc_core::error::{ConnectError, Stage};
use rmqc_core::id::{Generation, ShardId, TaskId};
use rmqc_core::metrics::{Latency, ShardReport, Span, TaskCounters, TaskReport};
use rmqc_core::registry::{ConnectorFactory, TaskBuilder};
use rmqc_core::tap::{TapRecord, TapStage};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

const FILENAME: ConfigKey =
    ConfigKey { name: "filename", aliases: &[], kind: KeyKind::Text, default: None, unit: "", doc: "A file." };
const PASSWORD: ConfigKey =
    ConfigKey { name: "pass", aliases: &[], kind: KeyKind::Secret, default: Some(""), unit: "", doc: "A secret." };

fn one_task(config: &Properties, _: usize) -> Result<Vec<Properties>, ConfigErrors> {
    Ok(vec![config.clone()])
}

/// One task for the files of the captures, as the real file sink has; elsewhere as many as are asked for.
fn sink_tasks(config: &Properties, max: usize) -> Result<Vec<Properties>, ConfigErrors> {
    let captured = config.get("filename").is_some_and(|name| name.starts_with("/data/"));
    Ok(vec![config.clone(); if captured { 1 } else { max }])
}

inventory::submit! {
    ConnectorFactory {
        name: "file-source",
        java_class: "org.apache.rocketmq.connect.file.FileSourceConnector",
        java_task_class: "org.apache.rocketmq.connect.file.FileSourceTask",
        keys: &[FILENAME, PASSWORD],
        validate: |_| Ok(()),
        task_configs: one_task,
        shardable: false,
        build: TaskBuilder::Source(|_| Err(ConnectError::fatal(Stage::Lifecycle, "never built"))),
    }
}

inventory::submit! {
    ConnectorFactory {
        name: "file-sink",
        java_class: "org.apache.rocketmq.connect.file.FileSinkConnector",
        java_task_class: "org.apache.rocketmq.connect.file.FileSinkTask",
        keys: &[FILENAME],
        validate: |_| Ok(()),
        task_configs: sink_tasks,
        shardable: false,
        build: TaskBuilder::Sink(|_| Err(ConnectError::fatal(Stage::Lifecycle, "never built"))),
    }
}

/// A record that a tap shows.
fn tapped(task: &TaskId, number: u32) -> TapRecord {
    TapRecord {
        task: task.clone(),
        stage: TapStage::Put,
        topic: Some("t".into()),
        place: Some((0, i64::from(number))),
        position: None,
        timestamp_ms: Some(7),
        key: Some("k".to_owned()),
        value: Some(format!("{{\"number\":{number},\"password\":\"hush\"}}")),
        schema: String::new(),
        properties: vec![("api.token".to_owned(), "hush".to_owned()), ("colour".to_owned(), "red".to_owned())],
        cut: false,
    }
}

/// Makes a shard's report for its tasks.
pub type Reporting = fn(&[TaskId]) -> ShardReport;

/// What the fake remembers of a task.
struct Task {
    generation: Generation,
    shard: ShardId,
}

/// The data plane.
pub struct FakePort {
    info: DataPlaneInfo,
    sender: UnboundedSender<ShardEvent>,
    events: tokio::sync::Mutex<UnboundedReceiver<ShardEvent>>,
    tasks: Mutex<BTreeMap<TaskId, Task>>,
    orders: Mutex<Vec<String>>,
    /// Tasks of these connectors never say that they stopped.
    pub deaf: Mutex<Vec<String>>,
    /// What tasks report, by their index.
    pub counters: Mutex<BTreeMap<u32, TaskCounters>>,
    /// What tasks report altogether, by their index; these go before `counters`.
    pub reports: Mutex<BTreeMap<u32, TaskReport>>,
    /// Makes a shard's report for its tasks in the place of the usual one.
    pub reporting: Mutex<Option<Reporting>>,
}

impl FakePort {
    pub fn new(shards: usize) -> Self {
        let (sender, receiver) = unbounded_channel();
        let info = DataPlaneInfo {
            driver: DriverKind::Epoll,
            driver_reason: "it is played".to_owned(),
            shards,
            pinned: false,
            pin_reason: "there is nothing to pin".to_owned(),
            cpus: Vec::new(),
        };
        let events = tokio::sync::Mutex::new(receiver);
        Self {
            info,
            sender,
            events,
            tasks: Mutex::default(),
            orders: Mutex::default(),
            deaf: Mutex::default(),
            counters: Mutex::default(),
            reports: Mutex::default(),
            reporting: Mutex::default(),
        }
    }

    /// Says something as a shard would.
    pub fn say(&self, event: ShardEvent) {
        self.sender.send(event).unwrap();
    }

    /// The tasks of a connector that tried to stop while it was deaf say so now.
    pub fn hear_again(&self, connector: &str) {
        self.deaf.lock().unwrap().retain(|deaf| deaf != connector);
        let mut tasks = self.tasks.lock().unwrap();
        let theirs: Vec<TaskId> = tasks.keys().filter(|task| *task.connector == *connector).cloned().collect();
        for task in theirs {
            let generation = tasks.remove(&task).unwrap().generation;
            self.say(ShardEvent::TaskStopped(task, generation));
        }
    }

    /// All orders so far, one line each.
    pub fn orders(&self) -> Vec<String> {
        self.orders.lock().unwrap().clone()
    }

    /// Forgets them, so that memory can be watched.
    #[allow(dead_code, reason = "the fuzz run needs it, the other tests do not")]
    pub fn forget_orders(&self) {
        *self.orders.lock().unwrap() = Vec::new();
    }

    /// The present incarnation of a task.
    pub fn generation(&self, task: &TaskId) -> Option<Generation> {
        self.tasks.lock().unwrap().get(task).map(|task| task.generation)
    }

    fn start(&self, shard: ShardId, spec: TaskSpec) {
        let TaskSpec { task, generation, config, positions, paused, .. } = spec;
        let text = |key: &str| config.get(key).map(String::as_str).unwrap_or_default();
        self.note(format!("start {task} {shard} positions={}", positions.len()));
        let failure = if text("filename").starts_with("/away") {
            Some(("nobody answers", FailureKind::Away))
        } else if text("filename").starts_with("/nonexistent") {
            Some(("cannot open the file", FailureKind::Fault))
        } else if text("task.class").ends_with("SourceTask") && text("connect.topicname").is_empty() {
            Some(("source connect lack of topic config", FailureKind::Final))
        } else if text("task.class").ends_with("SinkTask") && text("value.converter").ends_with("JsonConverter") {
            Some(("Tolerance exceeded in error handler", FailureKind::Final))
        } else {
            None
        };
        if let Some((cause, kind)) = failure {
            return self.say(ShardEvent::TaskFailed { task, generation, cause: cause.to_owned(), kind });
        }
        self.tasks.lock().unwrap().insert(task.clone(), Task { generation, shard });
        self.say(if paused {
            ShardEvent::TaskPaused(task, generation)
        } else {
            ShardEvent::TaskRunning(task, generation)
        });
    }

    fn note(&self, order: String) {
        self.orders.lock().unwrap().push(order);
    }

    fn report(&self, shard: ShardId) -> ShardReport {
        let reporting = *self.reporting.lock().unwrap();
        if let Some(reporting) = reporting {
            let tasks = self.tasks.lock().unwrap();
            let theirs = tasks.iter().filter(|(_, task)| task.shard == shard).map(|(task, _)| task.clone());
            return reporting(&theirs.collect::<Vec<_>>());
        }
        let mut report = ShardReport::default();
        for (task, _) in self.tasks.lock().unwrap().iter().filter(|(_, task)| task.shard == shard) {
            if let Some(whole) = self.reports.lock().unwrap().get(&task.index) {
                report.tasks.push(TaskReport { task: task.clone(), ..whole.clone() });
                continue;
            }
            let mut latency = hdrhistogram::Histogram::new(3).unwrap();
            latency.record(7_000).unwrap();
            let given = self.counters.lock().unwrap().get(&task.index).copied();
            let counters = TaskCounters { records_in: 5, records_out: 4, ..TaskCounters::default() };
            let counters = given.unwrap_or(counters);
            report.tasks.push(TaskReport {
                counters,
                latencies: vec![Latency { span: Span::RecordToPut, micros: latency }],
                ..TaskReport::new(task.clone())
            });
        }
        report
    }

    fn take(&self, shard: ShardId, command: ShardCommand) {
        match command {
            ShardCommand::StartTask(spec) => self.start(shard, *spec),
            ShardCommand::PauseTask(task, generation) => {
                self.note(format!("pause {task}"));
                self.say(ShardEvent::TaskPaused(task, generation));
            }
            ShardCommand::ResumeTask(task, generation) => {
                self.note(format!("resume {task}"));
                self.say(ShardEvent::TaskRunning(task, generation));
            }
            ShardCommand::StopTask(task, generation) => {
                self.note(format!("stop {task}"));
                if !self.deaf.lock().unwrap().contains(&task.connector.to_string()) {
                    self.tasks.lock().unwrap().remove(&task);
                    self.say(ShardEvent::TaskStopped(task, generation));
                }
            }
            ShardCommand::PositionsStored(task, generation) => self.note(format!("stored {task} g{}", generation.0)),
            ShardCommand::PositionsRefused(task, generation, cause) => {
                self.note(format!("refused {task} g{}: {cause}", generation.0));
            }
            ShardCommand::Report(number) => {
                self.say(ShardEvent::Report(shard, number, Box::new(self.report(shard))));
            }
            ShardCommand::TapTask(task, _, spec) => {
                self.note(format!("tap {task}"));
                let records = (0..3).map(|number| tapped(&task, number)).collect();
                self.say(ShardEvent::Tapped(task, spec.number, records, true));
            }
            ShardCommand::Shutdown => {
                self.note(format!("shutdown {shard}"));
                self.say(ShardEvent::ShardDown(shard));
            }
        }
    }
}

impl ShardPort for FakePort {
    fn info(&self) -> &DataPlaneInfo {
        &self.info
    }

    fn health(&self) -> Vec<ShardHealth> {
        let health = |index: usize| ShardHealth {
            shard: ShardId(u16::try_from(index).unwrap()),
            progress: 1,
            since_progress: Duration::ZERO,
            kicks: 0,
            replaced: 0,
            commands_waiting: 0,
        };
        (0..self.info.shards).map(health).collect()
    }

    fn send(&self, shard: ShardId, command: ShardCommand) -> SendFuture<'_, Result<(), ShardGone>> {
        Box::pin(async move {
            self.take(shard, command);
            Ok(())
        })
    }

    fn next_event(&self) -> SendFuture<'_, Option<ShardEvent>> {
        Box::pin(async { self.events.lock().await.recv().await })
    }
}
