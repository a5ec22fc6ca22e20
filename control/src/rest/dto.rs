//! The JSON shapes, members in the order in which the Java worker writes them.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use rmqc_core::config::Properties;
use rmqc_core::config::key::{ConfigError, ConfigKey, KeyKind};
use rmqc_core::metrics::{Span, TaskCounters, TaskReport};
use rmqc_core::registry::{ConnectorFactory, ConnectorKind};
use rmqc_core::state::TaskState;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::controller::standalone::connector_state;
use crate::controller::{CheckedKey, ConfigWarning, ConnectorView, Snapshot, Validation, masked};
use crate::worker::TaskView;

/// A configuration as answers show it.
pub(super) fn shown(properties: &Properties, factory: Option<&'static ConnectorFactory>, mask: bool) -> Properties {
    if mask { masked(properties, factory) } else { properties.clone() }
}

/// `SOURCE`, `SINK`, or `UNKNOWN` for a connector that this binary does not have.
fn kind(connector: &ConnectorView) -> &'static str {
    match connector.kind() {
        Some(ConnectorKind::Source) => "SOURCE",
        Some(ConnectorKind::Sink) => "SINK",
        None => "UNKNOWN",
    }
}

/// Names a task.
#[derive(Serialize)]
pub(super) struct TaskIdInfo {
    connector: String,
    task: u32,
}

impl TaskIdInfo {
    fn of(task: &TaskView) -> Self {
        Self { connector: task.task.connector.to_string(), task: task.task.index }
    }
}

/// A connector's definition.
#[derive(Serialize)]
pub(super) struct ConnectorInfo {
    name: String,
    config: Properties,
    tasks: Vec<TaskIdInfo>,
    #[serde(rename = "type")]
    kind: &'static str,
}

impl ConnectorInfo {
    pub fn of(connector: &ConnectorView, mask: bool) -> Self {
        Self {
            name: connector.name.clone(),
            config: shown(&connector.properties, connector.factory, mask),
            tasks: connector.tasks.iter().map(TaskIdInfo::of).collect(),
            kind: kind(connector),
        }
    }
}

/// A task's configuration.
#[derive(Serialize)]
pub(super) struct TaskInfo {
    id: TaskIdInfo,
    config: Properties,
}

impl TaskInfo {
    pub fn of(task: &TaskView, factory: Option<&'static ConnectorFactory>, mask: bool) -> Self {
        Self { id: TaskIdInfo::of(task), config: shown(&task.config, factory, mask) }
    }
}

/// State of a connector itself.
#[derive(Serialize)]
struct StateInfo {
    state: &'static str,
    trace: Option<String>,
    #[serde(rename = "workerId")]
    worker_id: String,
}

/// State of a task.
#[derive(Serialize)]
pub(super) struct TaskStateInfo {
    state: &'static str,
    trace: Option<String>,
    #[serde(rename = "workerId")]
    worker_id: String,
    id: u32,
}

impl TaskStateInfo {
    pub fn of(task: &TaskView, worker_id: &str) -> Self {
        Self {
            state: task.state.java_name(),
            trace: task.cause.clone(),
            worker_id: worker_id.to_owned(),
            id: task.task.index,
        }
    }
}

/// State of a connector and its tasks.
#[derive(Serialize)]
pub(super) struct ConnectorStateInfo {
    name: String,
    connector: StateInfo,
    tasks: Vec<TaskStateInfo>,
    #[serde(rename = "type")]
    kind: &'static str,
}

impl ConnectorStateInfo {
    pub fn of(connector: &ConnectorView, worker_id: &str) -> Self {
        let state = StateInfo {
            state: connector_state(connector),
            trace: connector.failure.clone(),
            worker_id: worker_id.to_owned(),
        };
        Self {
            name: connector.name.clone(),
            connector: state,
            tasks: connector.tasks.iter().map(|task| TaskStateInfo::of(task, worker_id)).collect(),
            kind: kind(connector),
        }
    }
}

/// One entry of `/connectors/list`.
#[derive(Serialize)]
pub(super) struct Listed {
    status: ConnectorStateInfo,
    info: ConnectorInfo,
}

impl Listed {
    pub fn of(connector: &ConnectorView, worker_id: &str, mask: bool) -> Self {
        Self { status: ConnectorStateInfo::of(connector, worker_id), info: ConnectorInfo::of(connector, mask) }
    }
}

/// A task in `/allocated/tasks`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AllocatedTask {
    connector_name: String,
    config: Properties,
    task_state: &'static str,
}

/// `/allocated/tasks`: this worker's tasks by where they are in their life.
#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct AllocatedTasks {
    pending_tasks: Vec<AllocatedTask>,
    stopped_tasks: Vec<AllocatedTask>,
    error_tasks: Vec<AllocatedTask>,
    stopping_tasks: Vec<AllocatedTask>,
    running_tasks: Vec<AllocatedTask>,
}

/// The Java worker's word for where a task is in its life.
pub(super) fn life_cycle(state: TaskState) -> &'static str {
    match state {
        TaskState::Unassigned | TaskState::Starting => "PENDING",
        TaskState::Running | TaskState::Paused => "RUNNING",
        TaskState::Stopping => "STOPPING",
        TaskState::Restarting | TaskState::Failed => "ERROR",
    }
}

impl AllocatedTasks {
    pub fn of(snapshot: &Snapshot, mask: bool) -> Self {
        let mut all = Self::default();
        let staying = snapshot.connectors.iter().flat_map(|one| one.tasks.iter().map(|task| (task, one.factory)));
        // A leaving task's connector is gone, and with it the definition of its keys; their names must do.
        for (task, factory) in staying.chain(snapshot.leaving.iter().map(|task| (task, class_of(task)))) {
            let allocated = AllocatedTask {
                connector_name: task.task.connector.to_string(),
                config: shown(&task.config, factory, mask),
                task_state: life_cycle(task.state),
            };
            match task.state {
                TaskState::Unassigned | TaskState::Starting => all.pending_tasks.push(allocated),
                TaskState::Running | TaskState::Paused => all.running_tasks.push(allocated),
                TaskState::Stopping => all.stopping_tasks.push(allocated),
                TaskState::Restarting | TaskState::Failed => all.error_tasks.push(allocated),
            }
        }
        all
    }
}

fn class_of(task: &TaskView) -> Option<&'static ConnectorFactory> {
    task.config.get("connector.class").and_then(|class| rmqc_core::registry::find_connector(class))
}

/// One entry of `/plugin/list`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PluginInfo {
    pub class_name: String,
    #[serde(rename = "type")]
    pub kind: &'static str,
    pub version: &'static str,
}

/// One key in `/plugin/config`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct KeyInfo {
    name: &'static str,
    aliases: &'static [&'static str],
    #[serde(rename = "type")]
    kind: &'static str,
    /// The words that it may be; empty: any.
    values: &'static [&'static str],
    minimum: Option<i64>,
    maximum: Option<i64>,
    unit: &'static str,
    required: bool,
    default_value: Option<&'static str>,
    documentation: &'static str,
}

impl KeyInfo {
    pub fn of(key: &ConfigKey) -> Self {
        let (kind, values, minimum, maximum): (_, &[&str], _, _) = match key.kind {
            KeyKind::Text => ("STRING", &[], None, None),
            KeyKind::Boolean => ("BOOLEAN", &["true", "false"], None, None),
            KeyKind::Integer { min, max } => ("LONG", &[], Some(min), Some(max)),
            KeyKind::CountOrAuto { max } => ("STRING", &[], Some(1), Some(max)),
            KeyKind::Choice(words) => ("STRING", words, None, None),
            KeyKind::List => ("LIST", &[], None, None),
            KeyKind::Secret => ("PASSWORD", &[], None, None),
        };
        Self {
            name: key.name,
            aliases: key.aliases,
            kind,
            values,
            minimum,
            maximum,
            unit: key.unit,
            required: key.default.is_none(),
            default_value: key.default,
            documentation: key.doc,
        }
    }
}

/// `/plugin/config/validate`: what there is to say about a configuration.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ValidationInfo {
    class_name: Option<&'static str>,
    error_count: usize,
    errors: Vec<ConfigErrorInfo>,
    warnings: Vec<ConfigWarningInfo>,
    configs: Vec<CheckedKeyInfo>,
}

#[derive(Serialize)]
struct ConfigErrorInfo {
    key: String,
    value: Option<String>,
    reason: String,
    remedy: Option<String>,
}

#[derive(Serialize)]
struct ConfigWarningInfo {
    key: String,
    message: String,
    likely: Option<String>,
}

#[derive(Serialize)]
struct CheckedKeyInfo {
    name: String,
    group: String,
    value: Option<String>,
    errors: Vec<String>,
}

impl ValidationInfo {
    pub fn of(validation: &Validation) -> Self {
        let error = |error: &ConfigError| ConfigErrorInfo {
            key: error.key.clone(),
            value: error.value.clone(),
            reason: error.message.clone(),
            remedy: error.remedy.clone(),
        };
        let warning = |warning: &ConfigWarning| ConfigWarningInfo {
            key: warning.key.clone(),
            message: warning.message.clone(),
            likely: warning.likely.clone(),
        };
        let checked = |key: &CheckedKey| CheckedKeyInfo {
            name: key.name.clone(),
            group: key.group.clone(),
            value: key.value.clone(),
            errors: key.errors.iter().map(|error| error.message.clone()).collect(),
        };
        Self {
            class_name: validation.class.map(|factory| factory.java_class),
            error_count: validation.errors.len(),
            errors: validation.errors.iter().map(error).collect(),
            warnings: validation.warnings.iter().map(warning).collect(),
            configs: validation.keys.iter().map(checked).collect(),
        }
    }
}

/// `/v1/worker`: the worker and its shards.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct WorkerInfoV1 {
    /// Name in statuses.
    pub worker_id: String,
    /// Version of the program.
    pub version: String,
    /// Seconds since the REST API was opened.
    pub uptime_seconds: u64,
    /// `uring` or `epoll`.
    pub driver: String,
    /// Why this driver.
    pub driver_reason: String,
    /// Whether each shard has a CPU of its own.
    pub pinned: bool,
    /// Why (not).
    pub pin_reason: String,
    /// Whether the broker is inside this process.
    pub embedded_broker: bool,
    /// Where the cluster is.
    pub name_servers: Vec<String>,
    /// The shards, in order.
    pub shards: Vec<ShardInfoV1>,
    /// Bounds that are no configuration keys.
    pub limits: BTreeMap<String, u64>,
}

/// One shard in `/v1/worker`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ShardInfoV1 {
    /// Number.
    pub shard: u16,
    /// CPU that it is pinned to.
    pub cpu: Option<usize>,
    /// Turns of its loop so far.
    pub progress: u64,
    /// Milliseconds since the last turn, as the watchdog saw it.
    pub since_progress_ms: u64,
    /// Kicks that were needed.
    pub kicks: u64,
    /// Executors that were replaced.
    pub replaced: u64,
    /// Commands that wait.
    pub commands_waiting: usize,
}

/// One task in `/v1/tasks`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct TaskInfoV1 {
    /// Its connector.
    pub connector: String,
    /// Its index.
    pub task: u32,
    /// Its shard.
    pub shard: u16,
    /// Records polled or pulled.
    pub records_in: u64,
    /// Records delivered.
    pub records_out: u64,
    /// Records dropped on purpose.
    pub records_filtered: u64,
    /// Bad records given up without a dead letter.
    pub records_skipped: u64,
    /// Bad records given up, their dead letters stored.
    pub dead_letters: u64,
    /// Payload bytes in.
    pub bytes_in: u64,
    /// Payload bytes out.
    pub bytes_out: u64,
    /// Payload bytes copied in user space.
    pub bytes_copied: u64,
    /// Batches sent or put.
    pub batches: u64,
    /// Calls tried again.
    pub retries: u64,
    /// Commits.
    pub commits: u64,
    /// Records behind those commits.
    pub records_committed: u64,
    /// Records handed on and not yet committed.
    pub records_uncommitted: u64,
    /// Microseconds spent waiting for room in the in-flight window.
    pub blocked_us: u64,
    /// Sinks: from a record's timestamp to its being put.
    pub latency_ms: Option<LatencyInfo>,
    /// Sinks: messages in the task's queues that it has not delivered yet.
    #[serde(default)]
    pub lag_records: Option<u64>,
}

/// Latencies in milliseconds.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct LatencyInfo {
    /// Records measured.
    pub count: u64,
    /// Half of them took at most so long.
    pub p50: f64,
    /// Nine of ten.
    pub p90: f64,
    /// 99 of 100.
    pub p99: f64,
    /// 999 of 1000.
    pub p999: f64,
    /// 9,999 of 10,000.
    pub p9999: f64,
    /// All.
    pub max: f64,
}

impl LatencyInfo {
    /// What a histogram of microseconds holds.
    pub(in crate::rest) fn of(micros: &Histogram<u64>) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "shown with two digits")]
        let ms = |micros: u64| micros as f64 / 1e3;
        let at = |quantile: f64| ms(micros.value_at_quantile(quantile));
        Self {
            count: micros.len(),
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p999: at(0.999),
            p9999: at(0.9999),
            max: ms(micros.max()),
        }
    }
}

impl TaskInfoV1 {
    pub(super) fn of(report: &TaskReport, shard: u16) -> Self {
        let TaskCounters {
            records_in,
            records_out,
            records_filtered,
            records_skipped,
            dead_letters,
            bytes_in,
            bytes_out,
            bytes_copied,
            batches,
            retries,
            commits,
            records_committed,
            records_uncommitted,
            blocked_us,
        } = report.counters;
        let to_put = report.latencies.iter().find(|latency| latency.span == Span::RecordToPut);
        let latency_ms = to_put.map(|latency| LatencyInfo::of(&latency.micros));
        Self {
            connector: report.task.connector.to_string(),
            task: report.task.index,
            shard,
            records_in,
            records_out,
            records_filtered,
            records_skipped,
            dead_letters,
            bytes_in,
            bytes_out,
            bytes_copied,
            batches,
            retries,
            commits,
            records_committed,
            records_uncommitted,
            blocked_us,
            latency_ms,
            lag_records: report.lag_records,
        }
    }
}
