//! What a shard counts: plain integers, published by batch and on request.

use hdrhistogram::Histogram;

use crate::id::TaskId;
use crate::trace::BatchSpan;

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

/// A step of a task's work, in the order in which a record meets them: those of a source (`Poll` to `Commit`), then those of a
/// sink (`Pull` to `Flush`). A task without a broker polls and puts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// A source's `poll`. Starved while it has nothing to give.
    Poll,
    /// Sinks: from a pull request to its answer, while the loop has nothing else to do. Starved while queues are empty.
    Pull,
    /// The chain.
    Transform,
    /// The converters, and for sources the writing of the message into its batch.
    Convert,
    /// Sources: from a sealed batch to its request being on the line. Blocked while the window or the queue's turn is taken.
    Send,
    /// Sources: from there to the broker's answer.
    Ack,
    /// A sink's `put`. Blocked while the target is away.
    Put,
    /// A sink's `flush`.
    Flush,
    /// Storing positions or queue offsets.
    Commit,
}

impl Step {
    /// All, in order.
    pub const ALL: [Self; 9] = [
        Self::Poll,
        Self::Pull,
        Self::Transform,
        Self::Convert,
        Self::Send,
        Self::Ack,
        Self::Put,
        Self::Flush,
        Self::Commit,
    ];

    /// The name used in REST, in metrics and on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Poll => "poll",
            Self::Pull => "pull",
            Self::Transform => "transform",
            Self::Convert => "convert",
            Self::Send => "send",
            Self::Ack => "ack",
            Self::Put => "put",
            Self::Flush => "flush",
            Self::Commit => "commit",
        }
    }

    /// Its place in [`Step::ALL`].
    #[must_use]
    pub fn index(self) -> usize {
        self as usize
    }
}

/// What one step of one task has done with its time since the task started.
///
/// A step does one thing at a time: the three never add up to more than has passed. Batches that are sent, or waited for,
/// beside one another count as one; of these the busy ones come before the blocked ones. Transform and convert take turns
/// record by record: their common time is measured, and divided as it was between them for some of the records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StepUse {
    /// Times that it ran: once a batch.
    pub runs: u64,
    /// Records that it had in hand.
    pub records: u64,
    /// Working, or waiting for an answer to its own work (a target's write, a broker's answer), in microseconds. A poll that
    /// was waited for is that when it gave all that it was asked for, or its source says that more waits.
    pub busy_us: u64,
    /// Waiting because there was nothing to do, in microseconds.
    pub starved_us: u64,
    /// Waiting because what comes after it takes no more, in microseconds.
    pub blocked_us: u64,
}

/// From where to where a latency is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Span {
    /// Sources: from the record's own time (when the source had it, or its event's) to the broker's confirmation.
    RecordToAck,
    /// Sinks: from the record's own time to `put` having returned.
    RecordToPut,
    /// Sinks: from the message's store time at the broker to `put` having returned.
    StoreToPut,
}

impl Span {
    /// The name used in REST and in metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::RecordToAck => "record_to_ack",
            Self::RecordToPut => "record_to_put",
            Self::StoreToPut => "store_to_put",
        }
    }
}

/// How long records took.
#[derive(Clone, Debug)]
pub struct Latency {
    /// From where to where.
    pub span: Span,
    /// Microseconds, two digits. Records' own times are milliseconds: finer steps tell nothing.
    pub micros: Histogram<u64>,
}

/// One queue that a sink's task reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueReport {
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
    /// Messages not delivered yet: from `done`, or from the first message that the broker still has, to `end`.
    pub lag_records: Option<u64>,
    /// Milliseconds since the last message delivered was stored, while messages wait behind it; 0 without lag, none when not known.
    pub lag_ms: Option<u64>,
}

/// How much of its bounds a task uses now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WindowUse {
    /// Records handed on and not committed.
    pub records: u64,
    /// Most that there may be.
    pub records_max: u64,
    /// Payload bytes held: not confirmed (sources), pulled and not put (sinks).
    pub bytes: u64,
    /// Most that there may be.
    pub bytes_max: u64,
    /// Records that one batch may hold; with [`TaskCounters::batches`] the fill of batches.
    pub batch_records_max: u64,
}

/// A record that failed, for people to look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedRecord {
    /// When, in milliseconds since 1970.
    pub at_ms: i64,
    /// The step, as [`crate::error::Stage::name`] says it.
    pub stage: &'static str,
    /// What is wrong, without secrets, bounded.
    pub error: String,
    /// Where the record comes from: topic, queue and offset, or the source's partition and offset.
    pub position: String,
    /// The beginning of its value as text, bounded; what is no text is shown as hexadecimal.
    pub value: String,
    /// What became of it: `dead letter`, `skipped` or `stopped`.
    pub outcome: &'static str,
}

/// One task's part of a report.
#[derive(Clone, Debug)]
pub struct TaskReport {
    /// Who.
    pub task: TaskId,
    /// Counters.
    pub counters: TaskCounters,
    /// What its steps do with their time, in order; only those that it has.
    pub steps: Vec<(Step, StepUse)>,
    /// How long its records took.
    pub latencies: Vec<Latency>,
    /// Records that wait for the task: messages in a sink's queues that it has not delivered yet, as of its last pulls, or what
    /// a source says it has not read; none where that is not known.
    pub lag_records: Option<u64>,
    /// How old what waits is, in milliseconds: the most of a sink's queues, or a source's own word; none where that is not known.
    pub lag_ms: Option<u64>,
    /// Sinks: the queues, in order.
    pub queues: Vec<QueueReport>,
    /// Use of its bounds.
    pub window: WindowUse,
    /// The last records that failed, oldest first; at most [`FAILED_RECORDS_MAX`].
    pub failed: Vec<FailedRecord>,
    /// What the task is waiting out now; none while calls succeed.
    pub holding: Option<Holding>,
}

impl TaskReport {
    /// A report of a task that has done nothing yet.
    #[must_use]
    pub fn new(task: TaskId) -> Self {
        Self {
            task,
            counters: TaskCounters::default(),
            steps: Vec::new(),
            latencies: Vec::new(),
            lag_records: None,
            lag_ms: None,
            queues: Vec::new(),
            window: WindowUse::default(),
            failed: Vec::new(),
            holding: None,
        }
    }
}

/// Failed records that a task keeps for its reports.
pub const FAILED_RECORDS_MAX: usize = 8;

/// A time in which a shard did not come back to its loop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stall {
    /// The task that had the core, if it is known.
    pub task: Option<TaskId>,
    /// How long, in microseconds.
    pub micros: u64,
    /// When it ended, in milliseconds since 1970.
    pub at_ms: i64,
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
    /// How long the steps of its tasks took, a batch each: microseconds, two digits. What a batch was blocked counts, what a
    /// step was starved does not.
    pub steps: Vec<(Step, Histogram<u64>)>,
    /// CPU time of its thread so far, in microseconds.
    pub cpu_us: u64,
    /// Times without a yield of more than 10 ms, by the wall clock: a core that was taken away by others looks the same.
    pub stalls: u64,
    /// Microseconds in them.
    pub stalled_us: u64,
    /// The last of them.
    pub last_stall: Option<Stall>,
    /// Spans of sampled batches since the last report, which takes them along: if it is lost, so are they.
    pub spans: Vec<BatchSpan>,
    /// Spans, and samples of whole batches, that found no room.
    pub spans_dropped: u64,
    /// Open broker connections.
    pub connections: u64,
    /// Bytes read from brokers.
    pub bytes_received: u64,
    /// Bytes written to brokers.
    pub bytes_sent: u64,
    /// Received bytes that had to be moved in user space because their frame was larger than any before it.
    pub bytes_moved: u64,
}
