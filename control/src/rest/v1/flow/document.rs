//! The shape of `/v1/flow`. Rates and shares are of the window, counts are totals since a task started, unknown is null.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::rest::LatencyInfo;

/// What the worker did lately.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct FlowV1 {
    /// End of the window, in ms since 1970.
    pub at_ms: i64,
    /// How long the window is; 0 when there is nothing to compare with yet: ask again after a second.
    pub window_ms: u64,
    /// The worker.
    pub worker: WorkerFlow,
    /// Its shards, in order.
    pub shards: Vec<ShardFlowV1>,
    /// Its connectors, by name.
    pub connectors: Vec<ConnectorFlowV1>,
}

/// The worker itself.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct WorkerFlow {
    /// Its name in statuses.
    pub id: String,
    /// Version of the program.
    pub version: String,
    /// The source's commit that it was built from, if the build named it.
    pub commit: String,
    /// Milliseconds since the REST API was opened.
    pub uptime_ms: u64,
    /// `uring` or `epoll`.
    pub driver: String,
    /// Why this driver.
    pub driver_reason: String,
    /// Whether each shard has a CPU of its own.
    pub pinned: bool,
    /// Why (not).
    pub pin_reason: String,
    /// Memory of the process that is in RAM.
    pub rss_bytes: Option<u64>,
    /// CPU seconds a second of the whole process: 1 is one core.
    pub cpu_share: Option<f64>,
    /// Where the cluster is: its name servers, or `embedded`.
    pub cluster: String,
}

/// One shard.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct ShardFlowV1 {
    /// Number.
    pub shard: u16,
    /// Share of the window in which its thread used a CPU, from 0 to 1.
    pub busy: Option<f64>,
    /// Tasks on it; null when it did not answer in time.
    pub tasks: Option<usize>,
    /// Open broker connections.
    pub connections: Option<u64>,
    /// Bytes a second from brokers.
    pub received_bytes_per_second: Option<f64>,
    /// Bytes a second to brokers.
    pub sent_bytes_per_second: Option<f64>,
    /// Times that it did not come back to its loop within 10 ms, since its start.
    pub stalls: Option<u64>,
    /// The last of them.
    pub last_stall: Option<StallV1>,
    /// Executors that were replaced.
    pub replaced: u64,
    /// Commands that wait.
    pub commands_waiting: usize,
    /// How long steps of its tasks took, a batch each.
    pub steps: Vec<StepLatencyV1>,
}

/// A time in which a shard did not come back to its loop.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct StallV1 {
    /// The task that had the core.
    pub task: Option<String>,
    /// How long.
    pub ms: f64,
    /// When it ended, in ms since 1970.
    pub at_ms: i64,
}

/// How long a step took.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct StepLatencyV1 {
    /// `poll`, `pull`, `transform`, `convert`, `send`, `ack`, `put`, `flush` or `commit`.
    pub step: String,
    /// A batch each.
    pub latency_ms: LatencyInfo,
}

/// One connector.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct ConnectorFlowV1 {
    /// Its name.
    pub name: String,
    /// `source`, `sink`, `direct` or `unknown`.
    #[serde(rename = "type")]
    pub kind: String,
    /// `connector.class` of its configuration.
    pub class: String,
    /// `RUNNING`, `PAUSED`, `STOPPED` or `FAILED`.
    pub state: String,
    /// How it fares.
    pub health: HealthV1,
    /// What limits it.
    pub limit: LimitV1,
    /// Records delivered a second.
    pub records_per_second: Option<f64>,
    /// Payload bytes delivered a second.
    pub bytes_per_second: Option<f64>,
    /// Records that wait.
    pub lag_records: Option<u64>,
    /// How old the oldest of what waits is.
    pub lag_ms: Option<u64>,
    /// Seconds until nothing waits, if all goes on like this; null while what waits does not get less.
    pub catch_up_seconds: Option<f64>,
    /// How long records took, from where to where.
    pub latency_ms: Vec<SpanLatencyV1>,
    /// What its steps did with the time, the mean over its tasks.
    pub steps: Vec<StepSharesV1>,
    /// Use of its bounds, over all tasks.
    pub window: WindowV1,
    /// How full batches are, from 0 to 1.
    pub batch_fill: Option<f64>,
    /// Payload bytes copied in user space a record.
    pub copied_bytes_per_record: Option<f64>,
    /// Records delivered since its tasks started.
    pub records_total: u64,
    /// Payload bytes delivered since its tasks started.
    pub bytes_total: u64,
    /// Calls tried again.
    pub retries: u64,
    /// Bad records given up, their dead letters stored.
    pub dead_letters: u64,
    /// Bad records given up without a dead letter.
    pub skipped: u64,
    /// Records dropped on purpose.
    pub filtered: u64,
    /// Restarts of its tasks within the present window of restarts.
    pub restarts: usize,
    /// Its tasks, in order.
    pub tasks: Vec<TaskFlowV1>,
}

/// How something fares, judged by what it delivers.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct HealthV1 {
    /// `HEALTHY`, `PAUSED`, `CATCHING_UP`, `DEGRADED`, `STALLED` or `FAILED`.
    pub state: String,
    /// Why.
    pub cause: String,
}

/// What limits a connector.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct LimitV1 {
    /// `target`, `broker`, `converter`, `transform`, `source`, `core`, `nothing` or `unknown`.
    pub by: String,
    /// All of it in one sentence, with the numbers.
    pub sentence: String,
    /// How clear the numbers are, from 0 to 1.
    pub confidence: f64,
    /// What would help; empty where nothing needs help.
    pub advice: String,
}

/// How long records took.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct SpanLatencyV1 {
    /// `record_to_ack`, `record_to_put` or `store_to_put`.
    pub span: String,
    /// The percentiles, of the window where it could be compared.
    #[serde(flatten)]
    pub latency: LatencyInfo,
}

/// What a step did with the time: shares from 0 to 1.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct StepSharesV1 {
    /// `poll`, `pull`, `transform`, `convert`, `send`, `ack`, `put`, `flush` or `commit`.
    pub step: String,
    /// Working, or waiting for an answer to its own work.
    pub busy: f64,
    /// Waiting because there was nothing to do.
    pub starved: f64,
    /// Waiting because what comes after it takes no more.
    pub blocked: f64,
}

/// Use of bounds.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct WindowV1 {
    /// Records handed on and not committed.
    pub records: u64,
    /// Most that there may be.
    pub records_max: u64,
    /// Payload bytes held.
    pub bytes: u64,
    /// Most that there may be.
    pub bytes_max: u64,
}

/// One task.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct TaskFlowV1 {
    /// Its number.
    pub task: u32,
    /// Its shard, while it has one.
    pub shard: Option<u16>,
    /// `RUNNING`, `PAUSED`, `UNASSIGNED` or `FAILED`.
    pub state: String,
    /// How it fares.
    pub health: HealthV1,
    /// Records delivered a second.
    pub records_per_second: Option<f64>,
    /// Payload bytes delivered a second.
    pub bytes_per_second: Option<f64>,
    /// Records that wait.
    pub lag_records: Option<u64>,
    /// How old the oldest of what waits is.
    pub lag_ms: Option<u64>,
    /// What its steps did with the time.
    pub steps: Vec<StepSharesV1>,
    /// A call that fails and is tried again.
    pub holding: Option<HoldingV1>,
    /// Sinks: its queues.
    pub queues: Vec<QueueV1>,
    /// The last records that failed, oldest first.
    pub failed: Vec<FailedRecordV1>,
}

/// A call that fails and is tried again.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct HoldingV1 {
    /// The step that fails.
    pub stage: String,
    /// The last error.
    pub cause: String,
    /// Milliseconds since the first of these failures.
    pub since_ms: u64,
    /// Tries so far.
    pub tries: u32,
}

/// A queue that a sink's task reads.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct QueueV1 {
    /// Its topic.
    pub topic: String,
    /// Its broker's name.
    pub broker: String,
    /// Its number at that broker.
    pub queue_id: i32,
    /// Everything below this offset is accepted by the sink.
    pub done: i64,
    /// Offset after its last message, as of the last pull.
    pub end: Option<i64>,
    /// Messages not delivered yet.
    pub lag_records: Option<u64>,
    /// How long ago the last message delivered was stored, while others wait.
    pub lag_ms: Option<u64>,
}

/// A record that failed.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct FailedRecordV1 {
    /// When, in ms since 1970.
    pub at_ms: i64,
    /// The step.
    pub stage: String,
    /// What is wrong.
    pub error: String,
    /// Where the record comes from.
    pub position: String,
    /// The beginning of its value.
    pub value: String,
    /// `dead letter`, `skipped` or `stopped`.
    pub outcome: String,
}
