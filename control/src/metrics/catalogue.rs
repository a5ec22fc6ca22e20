//! The one table of all metrics: what each is called, counts, and is told apart by. The pages, the reference and the tests
//! read it; nothing else names a metric.

/// What a metric's value does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows, from the start of what it belongs to.
    Counter,
    /// Goes up and down.
    Gauge,
    /// How values are spread.
    Histogram,
    /// Always 1; what is to be told is in the labels.
    Info,
}

impl Kind {
    /// The name in OpenMetrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
            Self::Info => "info",
        }
    }

    /// What a sample's name has beyond its metric's.
    #[must_use]
    pub fn suffix(self) -> &'static str {
        match self {
            Self::Counter => "_total",
            Self::Info => "_info",
            Self::Gauge | Self::Histogram => "",
        }
    }
}

/// A metric.
#[derive(Debug, PartialEq, Eq)]
pub struct Metric {
    /// Its name without [`Kind::suffix`]. With a unit it ends with the unit.
    pub name: &'static str,
    /// What its value does.
    pub kind: Kind,
    /// `seconds`, `bytes`, `ratio`, `records`; empty for what is merely counted.
    pub unit: &'static str,
    /// Names of its labels, in order.
    pub labels: &'static [&'static str],
    /// One sentence or two.
    pub help: &'static str,
}

impl Metric {
    const fn new(
        kind: Kind,
        name: &'static str,
        unit: &'static str,
        labels: &'static [&'static str],
        help: &'static str,
    ) -> Self {
        Self { name, kind, unit, labels, help }
    }

    /// The name of its samples.
    #[must_use]
    pub fn sample_name(&self) -> String {
        format!("{}{}", self.name, self.kind.suffix())
    }
}

type Labels = &'static [&'static str];

const NONE: Labels = &[];
const SHARD: Labels = &["shard"];

const TASK: Labels = &["connector", "task"];
const STEP: Labels = &["connector", "task", "step"];
const QUEUE: Labels = &["connector", "task", "topic", "broker", "queue"];

/// Defines metrics as constants, and [`ALL`] with each of them.
macro_rules! catalogue {
    ($($constant:ident = $kind:ident, $name:literal, $unit:literal, $labels:expr, $help:literal;)*) => {
        $(#[doc = $help] pub const $constant: &Metric = &Metric::new(Kind::$kind, $name, $unit, $labels, $help);)*

        /// All metrics, in the order of the pages.
        pub const ALL: &[&Metric] = &[$($constant),*];
    };
}

catalogue! {
    BUILD = Info, "rmqc_build", "", &["version", "commit"], "The program.";
    DRIVER = Info, "rmqc_driver", "", &["driver", "reason"], "The I/O driver that runs, and why.";
    PIN = Info, "rmqc_pin", "", &["pinned", "reason"], "Whether shards are pinned to CPUs, and why.";
    UPTIME = Gauge, "rmqc_uptime_seconds", "seconds", NONE, "Time since REST was opened.";
    REST_REQUESTS = Counter, "rmqc_rest_requests", "", &["code"], "REST requests answered, by class of status.";
    REPORTER_FAILURES = Counter, "rmqc_reporter_failures", "", &["reporter"],
        "Times that a metrics reporter could not hand on its values.";
    SPANS_DROPPED = Counter, "rmqc_spans_dropped", "", NONE, "Spans that found no room in the control plane before they were sent.";

    PROCESS_CPU = Counter, "process_cpu_seconds", "seconds", NONE, "CPU time of the process, user and system.";
    PROCESS_RESIDENT = Gauge, "process_resident_memory_bytes", "bytes", NONE, "Resident memory.";
    PROCESS_VIRTUAL = Gauge, "process_virtual_memory_bytes", "bytes", NONE, "Virtual memory.";
    PROCESS_START = Gauge, "process_start_time_seconds", "seconds", NONE, "Start of the process since 1970.";
    PROCESS_FDS = Gauge, "process_open_fds", "", NONE, "Open file descriptors.";
    PROCESS_FDS_MAX = Gauge, "process_max_fds", "", NONE, "Most file descriptors that may be open.";
    PROCESS_THREADS = Gauge, "process_threads", "", NONE, "Threads.";

    SHARD_PROGRESS = Counter, "rmqc_shard_progress", "", SHARD, "Turns of the control loop.";
    SHARD_KICKS = Counter, "rmqc_shard_kicks", "", SHARD, "Kicks by the watchdog that were needed.";
    SHARD_REPLACED = Counter, "rmqc_shard_replaced", "", SHARD, "Executors that were replaced.";
    SHARD_COMMANDS = Gauge, "rmqc_shard_commands_waiting", "", SHARD, "Commands that wait.";
    SHARD_TASKS = Gauge, "rmqc_shard_tasks", "", SHARD, "Tasks on the shard.";
    SHARD_CPU = Counter, "rmqc_shard_cpu_seconds", "seconds", SHARD, "CPU time of the shard's thread.";
    SHARD_STALLS = Counter, "rmqc_shard_stalls", "", SHARD, "Times that the shard did not come back to its loop for more than 10 ms.";
    SHARD_STALLED = Counter, "rmqc_shard_stalled_seconds", "seconds", SHARD, "Time spent in such stalls.";
    SHARD_CONNECTIONS = Gauge, "rmqc_shard_connections", "", SHARD, "Open broker connections.";
    SHARD_RECEIVED = Counter, "rmqc_shard_received_bytes", "bytes", SHARD, "Bytes read from brokers.";
    SHARD_SENT = Counter, "rmqc_shard_sent_bytes", "bytes", SHARD, "Bytes written to brokers.";
    SHARD_MOVED = Counter, "rmqc_shard_moved_bytes", "bytes", SHARD,
        "Received bytes moved in user space because their frame was larger than any before it.";
    SHARD_SPANS_DROPPED = Counter, "rmqc_shard_spans_dropped", "", SHARD,
        "Spans of batches, and samples of whole batches, that found no room on the shard.";
    SHARD_STEP = Histogram, "rmqc_shard_step_seconds", "seconds", &["shard", "step"],
        "How long the steps of the shard's tasks took, a batch each.";
    SHARDS_UNREPORTED = Gauge, "rmqc_shards_unreported", "", NONE,
        "Shards that did not send their counters in time; theirs are missing here.";

    CONNECTORS = Gauge, "rmqc_connectors", "", NONE, "Connectors.";
    CONNECTORS_NOT_SHOWN = Gauge, "rmqc_connectors_not_shown", "", NONE, "Connectors that are left out of this page.";
    CONNECTOR = Info, "rmqc_connector", "", &["connector", "type", "class"], "A connector: source or sink, and its class.";
    CONNECTOR_STATE = Gauge, "rmqc_connector_state", "", &["connector", "state"], "1 for the state that the connector is in, else 0.";
    CONNECTOR_HEALTH = Gauge, "rmqc_connector_health", "", &["connector", "health"],
        "1 for how the connector fares, judged by what it delivers, else 0.";
    CONNECTOR_RESTARTS = Counter, "rmqc_connector_restarts", "", &["connector"],
        "Restarts of the connector's tasks after failures.";
    CONNECTOR_LATENCY = Histogram, "rmqc_connector_latency_seconds", "seconds", &["connector", "span"],
        "How long records took, over the connector's tasks; begins anew for a task that starts again.";

    TASKS = Gauge, "rmqc_tasks", "", &["state"], "Tasks by state.";
    TASKS_NOT_SHOWN = Gauge, "rmqc_tasks_not_shown", "", NONE, "Tasks that are left out of this page.";
    TASK_STATE = Gauge, "rmqc_task_state", "", &["connector", "task", "state"], "1 for the state that the task is in, else 0.";
    TASK_HEALTH = Gauge, "rmqc_task_health", "", &["connector", "task", "health"],
        "1 for how the task fares, judged by what it delivers, else 0.";
    TASK_RESTARTS = Counter, "rmqc_task_restarts", "", TASK, "Restarts after failures.";
    TASK_RECORDS_IN = Counter, "rmqc_task_records_in", "", TASK, "Records polled from the source or pulled from the broker.";
    TASK_RECORDS_OUT = Counter, "rmqc_task_records_out", "", TASK, "Records confirmed by the broker or accepted by the sink.";
    TASK_FILTERED = Counter, "rmqc_task_records_filtered", "", TASK, "Records dropped on purpose by the chain.";
    TASK_SKIPPED = Counter, "rmqc_task_records_skipped", "", TASK, "Bad records given up without a dead letter.";
    TASK_DEAD_LETTERS = Counter, "rmqc_task_dead_letters", "", TASK, "Bad records given up, their dead letters stored.";
    TASK_IN_BYTES = Counter, "rmqc_task_in_bytes", "bytes", TASK, "Payload bytes in.";
    TASK_OUT_BYTES = Counter, "rmqc_task_out_bytes", "bytes", TASK, "Payload bytes out.";
    TASK_COPIED_BYTES = Counter, "rmqc_task_copied_bytes", "bytes", TASK, "Payload bytes copied in user space.";
    TASK_BATCHES = Counter, "rmqc_task_batches", "", TASK, "Batches sent to the broker or put to the sink.";
    TASK_RETRIES = Counter, "rmqc_task_retries", "", TASK, "Calls that were tried again.";
    TASK_COMMITS = Counter, "rmqc_task_commits", "", TASK, "Commits that became durable.";
    TASK_COMMITTED = Counter, "rmqc_task_records_committed", "", TASK, "Records behind those commits.";
    TASK_UNCOMMITTED = Gauge, "rmqc_task_uncommitted_records", "records", TASK, "Records handed on and not yet committed.";
    TASK_BLOCKED = Counter, "rmqc_task_blocked_seconds", "seconds", TASK, "Time spent waiting for room in the in-flight window.";
    TASK_STEP = Counter, "rmqc_task_step_seconds", "seconds", &["connector", "task", "step", "state"],
        "What a step does with its time: busy with its own work, starved of work, or blocked by what comes after it.";
    TASK_STEP_RUNS = Counter, "rmqc_task_step_runs", "", STEP, "Times that a step ran, once a batch.";
    TASK_STEP_RECORDS = Counter, "rmqc_task_step_records", "records", STEP, "Records that a step had in hand.";
    TASK_LAG_RECORDS = Gauge, "rmqc_task_lag_records", "records", TASK,
        "Records that wait for the task: undelivered messages of a sink's queues, or what a source has not read; missing while unknown.";
    TASK_LAG_SECONDS = Gauge, "rmqc_task_lag_seconds", "seconds", TASK, "How old what waits is; missing while unknown.";
    TASK_HOLDING = Gauge, "rmqc_task_holding", "", TASK, "Whether the task waits to try a failed call again: 1 while it does.";
    TASK_HOLDING_SECONDS = Gauge, "rmqc_task_holding_seconds", "seconds", &["connector", "task", "stage"],
        "Time since the first failure of the call that is tried again; missing while calls succeed.";
    TASK_WINDOW_RECORDS = Gauge, "rmqc_task_window_records", "records", TASK, "Records handed on and not committed, which the window bounds.";
    TASK_WINDOW_RECORDS_MAX = Gauge, "rmqc_task_window_max_records", "records", TASK, "Most records that the window holds.";
    TASK_WINDOW_BYTES = Gauge, "rmqc_task_window_bytes", "bytes", TASK, "Payload bytes that the task holds.";
    TASK_WINDOW_BYTES_MAX = Gauge, "rmqc_task_window_max_bytes", "bytes", TASK, "Most payload bytes that it may hold.";
    TASK_BATCH_RECORDS_MAX = Gauge, "rmqc_task_batch_max_records", "records", TASK, "Most records of one batch.";
    TASK_BATCH_FILL = Gauge, "rmqc_task_batch_fill_ratio", "ratio", TASK,
        "How full batches were since the task started, from 0 to 1. A sink whose puts are quick gets an eighth at a time.";

    QUEUE_DONE = Gauge, "rmqc_queue_done_offset", "", QUEUE, "Sinks: everything below this offset is accepted by the sink.";
    QUEUE_END = Gauge, "rmqc_queue_end_offset", "", QUEUE, "Sinks: offset after the queue's last message, as of the last pull.";
    QUEUE_LAG_RECORDS = Gauge, "rmqc_queue_lag_records", "records", QUEUE, "Sinks: messages of the queue that are not delivered yet.";
    QUEUE_LAG_SECONDS = Gauge, "rmqc_queue_lag_seconds", "seconds", QUEUE,
        "Sinks: time since the last message delivered was stored, while messages wait behind it.";
    QUEUES_NOT_SHOWN = Gauge, "rmqc_queues_not_shown", "", NONE, "Queues that are left out of this page.";
}

/// The reference page of all metrics, in Markdown.
#[must_use]
pub fn reference_page() -> String {
    let mut page = String::from(
        "# Metrics\n\nWritten by the program from its own table; change that, then run \
         `UPDATE_REFERENCE=1 cargo test --test reference`.\n\n\
         `GET /metrics` gives them as Prometheus text 0.0.4, as OpenMetrics text 1.0.0 (`Accept: application/openmetrics-text`), \
         or as Prometheus' protobuf (`Accept: application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; \
         encoding=delimited`), where histograms are native ones too (schema 3). Counters count from the start of the worker; \
         those of a task from the start of the task. The buckets of histograms are the same everywhere, from 10 µs to 60 s; \
         values are kept to two digits.\n\n| Metric | Type | Unit | Labels | Meaning |\n|---|---|---|---|---|\n",
    );
    for metric in ALL {
        let labels: Vec<String> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
        let (name, kind, unit) = (metric.sample_name(), metric.kind.name(), metric.unit);
        page.push_str(&format!("| `{name}` | {kind} | {unit} | {} | {} |\n", labels.join(", "), metric.help));
    }
    page
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_follow_the_rules() {
        let mut seen = BTreeSet::new();
        for metric in ALL {
            let name = metric.name;
            assert!(seen.insert(name), "{name} is there twice");
            assert!(name.starts_with("rmqc_") || name.starts_with("process_"), "{name}");
            assert!(name.chars().all(|c| c.is_ascii_lowercase() || c == '_'), "{name}");
            assert!(!["_total", "_info", "_count", "_sum", "_bucket"].iter().any(|end| name.ends_with(end)), "{name}");
            assert!(metric.unit.is_empty() || name.ends_with(&format!("_{}", metric.unit)), "{name}: {}", metric.unit);
            for unit in ["milliseconds", "microseconds", "percent", "_ms", "_us", "mib"] {
                assert!(!name.contains(unit), "{name} is not in a base unit");
            }
            assert!(
                !["seconds", "bytes", "ratio"].iter().any(|unit| name.ends_with(unit) && *unit != metric.unit),
                "{name}"
            );
            assert!(metric.help.ends_with('.') && !metric.help.contains('\n'), "{name}: {}", metric.help);
            assert_eq!(metric.kind == Kind::Info, metric.kind.suffix() == "_info");
        }
    }
}
