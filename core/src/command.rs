//! Everything that crosses between the control plane and a shard: one enum each way, and the port that carries them.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use crate::config::Properties;
use crate::id::{Generation, ShardId, TaskId};
use crate::metrics::ShardReport;
use crate::position::StoredPosition;
use crate::registry::ConnectorFactory;
use crate::tap::{TapRecord, TapSpec};

/// All that a shard needs to run a task.
#[derive(Clone)]
pub struct TaskSpec {
    /// Who.
    pub task: TaskId,
    /// Which incarnation. Events carry it; older ones are ignored.
    pub generation: Generation,
    /// What to build.
    pub factory: &'static ConnectorFactory,
    /// The task's full configuration, worker defaults filled in.
    pub config: Arc<Properties>,
    /// The connector's committed positions; empty for sinks.
    pub positions: Arc<Vec<StoredPosition>>,
    /// Start in the paused state.
    pub paused: bool,
}

/// From the control plane to a shard. Taken one by one, in order. A command for an unknown task or an older
/// generation is ignored.
pub enum ShardCommand {
    /// Build and start a task. Answer: `TaskRunning`, `TaskPaused` or `TaskFailed`. If lost, the task stays
    /// `STARTING` and the controller's start deadline fails it.
    StartTask(Box<TaskSpec>),
    /// Stop polling (or pulling), deliver and commit what is in flight, stand still. Answer: `TaskPaused`.
    PauseTask(TaskId, Generation),
    /// Go on. Answer: `TaskRunning`.
    ResumeTask(TaskId, Generation),
    /// Stop polling, deliver and commit what is in flight, close. Answer: `TaskStopped` or `TaskFailed`.
    StopTask(TaskId, Generation),
    /// The positions of one `Positions` event are durable. If lost, the task waits: its window fills and it stands.
    PositionsStored(TaskId, Generation),
    /// The positions of one `Positions` event could not be stored: the task fails with this cause.
    PositionsRefused(TaskId, Generation, String),
    /// Show a sample of the task's records until the spec's bounds are reached; a later tap of the same task takes the
    /// place of an earlier one. Answers: `Tapped`, at least one. If lost, nobody sees records.
    TapTask(TaskId, Generation, TapSpec),
    /// Send a report. Answer: `Report` with the same number. If lost, the asker's deadline passes.
    Report(u64),
    /// Stop all tasks (drain and commit), then end the executor. Answer: `ShardDown` without a cause.
    Shutdown,
}

/// What starting a failed task again may bring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// Nothing: its configuration or its surroundings must change first.
    Final,
    /// It may help, but the fault may be the task's own: only so often.
    Fault,
    /// Something that it needs does not answer: it helps as soon as that is back.
    Away,
}

/// From a shard to the control plane.
pub enum ShardEvent {
    /// The task moves records.
    TaskRunning(TaskId, Generation),
    /// The task stands still with nothing in flight and everything committed.
    TaskPaused(TaskId, Generation),
    /// The task is closed with nothing in flight and everything committed.
    TaskStopped(TaskId, Generation),
    /// The task is closed because of an error; what it had in flight is repeated at its next start.
    TaskFailed {
        /// Who.
        task: TaskId,
        /// Which incarnation.
        generation: Generation,
        /// The cause: one or more lines, without secrets.
        cause: String,
        /// Whether starting it again may help.
        kind: FailureKind,
    },
    /// Store these positions durably, then send `PositionsStored`. At most one per task is under way.
    Positions(TaskId, Generation, Vec<StoredPosition>),
    /// Pause the connector of this task, for this cause: too many of its records are bad. The task stands still until
    /// it is told to pause. If lost, it stands until someone pauses or stops it.
    PauseWanted(TaskId, Generation, String),
    /// A task met something that someone should know, and went on: e.g. an offset out of range.
    TaskWarning(TaskId, Generation, String),
    /// Records of the tap of that number, in the order in which they passed; `true`: it is over. Never more than one of
    /// them waits in the mailbox for a task; what passes meanwhile is not seen. If lost, nobody sees these records.
    Tapped(TaskId, u64, Vec<TapRecord>, bool),
    /// The answer to `Report`.
    Report(ShardId, u64, Box<ShardReport>),
    /// The executor made no progress for so long though it was kicked; it is abandoned and replaced by a new one of
    /// the same number. All its tasks are gone and must be started again.
    ShardReplaced {
        /// Which shard.
        shard: ShardId,
        /// What happened: a panic's message or the stall.
        cause: String,
        /// The tasks it had.
        tasks: Vec<(TaskId, Generation)>,
    },
    /// The executor ended after `Shutdown`.
    ShardDown(ShardId),
}

/// The kind of I/O driver under the shards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DriverKind {
    /// glommio on io_uring.
    Uring,
    /// One tokio runtime of a single thread per shard, on epoll.
    Epoll,
}

impl DriverKind {
    /// The name used in configuration, REST and metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Uring => "uring",
            Self::Epoll => "epoll",
        }
    }
}

/// The data plane as it was started: for the boot log, `/v1/worker` and the metrics.
#[derive(Clone, Debug)]
pub struct DataPlaneInfo {
    /// The driver that runs.
    pub driver: DriverKind,
    /// Why this one: one sentence.
    pub driver_reason: String,
    /// Number of shards.
    pub shards: usize,
    /// Whether each shard is pinned to a CPU of its own.
    pub pinned: bool,
    /// Why (not): one sentence, including a clamp of the number asked for.
    pub pin_reason: String,
    /// CPU of each shard when pinned.
    pub cpus: Vec<usize>,
}

/// One shard's health as its watchdog sees it.
#[derive(Clone, Debug)]
pub struct ShardHealth {
    /// Which shard.
    pub shard: ShardId,
    /// Turns of the control loop so far.
    pub progress: u64,
    /// Time since the last turn, as far as the watchdog looks (about a second).
    pub since_progress: Duration,
    /// Kicks by the watchdog that were followed by progress although the shard's own wake had not been.
    pub kicks: u64,
    /// Executors of this number that were replaced.
    pub replaced: u64,
    /// Commands waiting.
    pub commands_waiting: usize,
}

/// A future that may move between threads.
pub type SendFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The shard is gone for good (the worker is stopping).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} has ended")]
pub struct ShardGone(pub ShardId);

/// Carries commands and events; implemented by `io` over the bounded mailboxes.
pub trait ShardPort: Send + Sync {
    /// How the data plane was started.
    fn info(&self) -> &DataPlaneInfo;
    /// Health of all shards, in order. Never waits.
    fn health(&self) -> Vec<ShardHealth>;
    /// Sends a command; waits while the mailbox is full. Safe to drop: the command is then either sent or not.
    fn send(&self, shard: ShardId, command: ShardCommand) -> SendFuture<'_, Result<(), ShardGone>>;
    /// The next event of any shard; `None` after all shards have ended. One caller at a time. Safe to drop.
    fn next_event(&self) -> SendFuture<'_, Option<ShardEvent>>;
}
