//! What a shard counts: plain integers, published by batch and on request.

use hdrhistogram::Histogram;

use crate::id::TaskId;

/// Counters of one task since it started. Records are counted once they are delivered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TaskCounters {
    /// Records polled from the source, or pulled from the broker.
    pub records_in: u64,
    /// Records confirmed by the broker, or accepted by the sink.
    pub records_out: u64,
    /// Records dropped on purpose by the chain.
    pub records_filtered: u64,
    /// Bad records that were given up without a dead letter.
    pub records_skipped: u64,
    /// Bad records that were given up and whose dead letters are stored.
    pub dead_letters: u64,
    /// Payload bytes in.
    pub bytes_in: u64,
    /// Payload bytes out.
    pub bytes_out: u64,
    /// Payload bytes copied in user space on the way.
    pub bytes_copied: u64,
    /// Batches sent to the broker, or put to the sink.
    pub batches: u64,
    /// Calls that were tried again.
    pub retries: u64,
    /// Commits that became durable.
    pub commits: u64,
    /// Records behind those commits.
    pub records_committed: u64,
    /// Records handed on and not yet committed, now.
    pub records_uncommitted: u64,
    /// Time spent waiting for room in the in-flight window, in microseconds.
    pub blocked_us: u64,
}

/// One task's part of a report.
#[derive(Clone, Debug)]
pub struct TaskReport {
    /// Who.
    pub task: TaskId,
    /// Counters.
    pub counters: TaskCounters,
    /// Sinks: time from the record's timestamp to its `put` having returned, in milliseconds. Three digits.
    pub latency_ms: Option<Histogram<u64>>,
    /// Sinks: messages in the task's queues that it has not delivered yet, as of its last pulls; none where that is not
    /// known.
    pub lag_records: Option<u64>,
    /// What the task is waiting out now; none while calls succeed.
    pub holding: Option<Holding>,
}

/// A call that fails and is tried again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holding {
    /// The step, as [`crate::error::Stage::name`] says it.
    pub stage: &'static str,
    /// The last error, without secrets.
    pub cause: String,
    /// Milliseconds since the first of these failures.
    pub since_ms: u64,
    /// Tries so far.
    pub tries: u32,
}

/// One shard's answer to `ShardCommand::Report`.
#[derive(Clone, Debug, Default)]
pub struct ShardReport {
    /// Its tasks, in order of their ids.
    pub tasks: Vec<TaskReport>,
    /// Open broker connections.
    pub connections: u64,
    /// Bytes read from brokers.
    pub bytes_received: u64,
    /// Bytes written to brokers.
    pub bytes_sent: u64,
    /// Received bytes that had to be moved in user space because their frame was larger than any before it.
    pub bytes_moved: u64,
}
