//! The loops that move records: what is common to sources and sinks.

mod batch;
mod commit;
mod direct;
mod errant;
mod flushing;
pub mod intake;
mod messages;
mod records;
mod rows;
pub mod sink;
pub mod source;
pub mod tap;

use std::net::Ipv4Addr;
use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_lite::FutureExt as _;
use rmqc_core::chain::Chain;
use rmqc_core::command::{FailureKind, ShardEvent, TaskSpec};
use rmqc_core::config::Properties;
use rmqc_core::config::connector as keys;
use rmqc_core::config::key::ConfigKey;
use rmqc_core::context::{ErrantRecords, TaskContext};
use rmqc_core::converter::{Converter, converter_from_config};
use rmqc_core::error::{ConnectError, Result, Retry, Stage};
use rmqc_core::host::LocalFuture;
use rmqc_core::metrics::Step;
use rmqc_core::registry::TaskBuilder;
use rmqc_core::tolerance::{Backoff, ErrorPolicy};

use crate::driver::Driver;
use crate::local::{First, first};
use crate::remoting::client::Client;
use crate::remoting::unique_id::UniqueIds;
use crate::shard::context::{ShardContext, TaskControl, Wanted};
use crate::shard::steps::Manner;
use crate::shard::trouble::Call;

/// Longest time that a stopping or pausing task waits for its records to be confirmed.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);

/// A poll that failed before and has now waited for so long is called well.
const POLL_SETTLES: Duration = Duration::from_secs(5);

/// How a task ended.
#[derive(Debug)]
pub enum TaskEnd {
    /// Drained, committed, closed.
    Stopped,
    /// With an error.
    Failed(ConnectError),
    /// This incarnation of the shard was given up; nobody listens.
    Abandoned,
}

/// Runs one task from start to end and tells the control plane how it ended. A panic of the connector ends this task
/// only.
///
/// `ended` is called when nothing of the task runs any more, before the control plane hears of it.
pub async fn run_task<D: Driver>(
    shard: Rc<ShardContext>,
    control: Rc<TaskControl>,
    spec: TaskSpec,
    ended: impl FnOnce(),
) {
    let body: LocalFuture<'static, TaskEnd> = match spec.factory.build {
        _ if keys::is_direct_task(&spec.config) => Box::pin(direct::run::<D>(shard.clone(), control.clone(), spec)),
        TaskBuilder::Source(build) => Box::pin(source::run::<D>(shard.clone(), control.clone(), spec, build)),
        TaskBuilder::Sink(build) => Box::pin(sink::run::<D>(shard.clone(), control.clone(), spec, build)),
    };
    let (task, generation) = (control.task.clone(), control.generation);
    let end = AssertUnwindSafe(body).catch_unwind().await;
    ended();
    let cause = match &end {
        Ok(TaskEnd::Failed(error)) => Some(error.to_string()),
        Ok(TaskEnd::Stopped | TaskEnd::Abandoned) => None,
        Err(_) => Some("the connector panicked".to_owned()),
    };
    control.steps.traces().end(cause.as_deref());
    let event = match end {
        Ok(TaskEnd::Stopped) => ShardEvent::TaskStopped(task, generation),
        Ok(TaskEnd::Abandoned) => return,
        Ok(TaskEnd::Failed(error)) => {
            let kind = failure_kind(&error);
            let cause = format!("{}: {error}", error.stage().name());
            ShardEvent::TaskFailed { task, generation, cause, kind }
        }
        Err(panic) => {
            let message = crate::driver::local::panic_message(&*panic);
            let cause = format!("{}: the connector panicked: {message}", Stage::Lifecycle.name());
            ShardEvent::TaskFailed { task, generation, cause, kind: FailureKind::Fault }
        }
    };
    shard.tell(event).await;
}

/// What starting the task again may do about an error. What this machine itself refuses, such as a folder that is missing,
/// does not come back like a server that is away: someone has to see to it.
fn failure_kind(error: &ConnectError) -> FailureKind {
    use std::io::ErrorKind::{NotADirectory, NotFound, PermissionDenied, ReadOnlyFilesystem};
    if error.retry() != Retry::Later {
        return FailureKind::Final;
    }
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(one) = cause {
        let kind = one.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
        if matches!(kind, Some(NotFound | NotADirectory | PermissionDenied | ReadOnlyFilesystem)) {
            return FailureKind::Fault;
        }
        cause = one.source();
    }
    FailureKind::Away
}

/// What the connector's task gets to know.
fn task_context(shard: &ShardContext, control: &TaskControl, spec: &TaskSpec) -> TaskContext {
    TaskContext {
        task: spec.task.clone(),
        config: spec.config.clone(),
        positions: spec.positions.clone(),
        host: shard.host.clone(),
        errant: Rc::new(ErrantRecords::new(ErrorPolicy::from_config(&spec.config).tolerant)),
        backlog: control.backlog.clone(),
        blocks: Rc::default(),
    }
}

/// A client of the cluster for one task. Its id has the Java client's form: address, `@`, instance.
fn task_client<D: Driver>(shard: &ShardContext, spec: &TaskSpec) -> (Client<D>, u32) {
    let number = shard.next_client();
    let (process, nonce) = (std::process::id(), shard.nonce);
    let id = format!("{}@rmqc-{}-{process}-{nonce:x}#{number:x}", Ipv4Addr::LOCALHOST, spec.task);
    (Client::new(shard.cluster.clone(), id, shard.traffic.clone()), number)
}

/// Closes a task's client when the task is gone, however it went: a connector's panic must leave no connection behind.
struct CloseClient<D: Driver>(Client<D>);

impl<D: Driver> Drop for CloseClient<D> {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// Ids for the messages of one client.
fn unique_ids(client_number: u32) -> UniqueIds {
    // The start time tells processes apart that get the same process id.
    let started = u32::try_from(crate::host::unix_ms() & 0x00ff_ffff).unwrap_or(0);
    UniqueIds::new(Ipv4Addr::LOCALHOST, std::process::id(), client_number.rotate_left(8) ^ started)
}

/// A key's number as a size.
fn size(key: &ConfigKey, config: &Properties) -> usize {
    usize::try_from(key.integer(config)).unwrap_or(0)
}

fn commit_interval(config: &Properties) -> Duration {
    Duration::from_millis(u64::try_from(keys::COMMIT_INTERVAL_MS.integer(config)).unwrap_or(0))
}

/// Builds the converter that `key` names, with its own keys.
fn converter(key: &ConfigKey, config: &Properties, is_key: bool) -> Result<Box<dyn Converter>> {
    let built = converter_from_config(key, config, is_key);
    built.map_err(|errors| ConnectError::fatal(Stage::Lifecycle, errors.to_string()))
}

/// Builds the transforms that the configuration names.
fn chain(config: &Properties) -> Result<Chain> {
    Chain::from_config(config).map_err(|errors| ConnectError::fatal(Stage::Lifecycle, errors.to_string()))
}

/// Waits after a failed call as its error says, and lets the task's reports tell of it until the call is said to be over;
/// gives the error back when the task must end. Ends early when the task
/// is told to do something else: whoever tries again must look at that first.
async fn wait_to_retry<D: Driver>(
    control: &TaskControl,
    client: &Client<D>,
    call: Call,
    error: ConnectError,
    attempt: u32,
) -> Result<()> {
    control.steps.traces().failed(&error);
    if error.retry() != Retry::Later {
        return Err(error);
    }
    control.count(|counters| counters.retries = counters.retries.saturating_add(1));
    control.troubles.failed(call, &error);
    if attempt == 1 || attempt.is_multiple_of(20) {
        tracing::warn!(task = %control.task, attempt, "held up and tried again: {error}");
    }
    let delay = Backoff::TARGET.delay(attempt, client.random());
    let _waiting = waits_in(call, error.stage()).map(|(step, manner)| control.steps.interrupt(step, manner));
    wait_while::<D>(control, control.wanted.get(), delay).await;
    Ok(())
}

/// Where the time goes in which a call waits for its next try. A target that is away blocks; a source that is away, or a
/// broker that is to tell something, has an answer to give.
fn waits_in(call: Call, stage: Stage) -> Option<(Step, Manner)> {
    match call {
        Call::Poll => Some((Step::Poll, Manner::Busy)),
        Call::Convert if stage == Stage::Transform => Some((Step::Transform, Manner::Blocked)),
        Call::Convert => Some((Step::Convert, Manner::Blocked)),
        Call::Topic => Some((Step::Send, Manner::Blocked)),
        Call::Put => Some((Step::Put, Manner::Blocked)),
        Call::Commit if stage == Stage::Put => Some((Step::Flush, Manner::Blocked)),
        Call::Commit => Some((Step::Commit, Manner::Blocked)),
        Call::Assign => Some((Step::Pull, Manner::Busy)),
        Call::Pause => None,
    }
}

/// Waits for so long; false as soon as the task is to do something else.
async fn wait_while<D: Driver>(control: &TaskControl, wanted: Wanted, delay: Duration) -> bool {
    let mut sleep = std::pin::pin!(D::sleep(delay));
    while control.wanted.get() == wanted {
        let seen = control.changed.seen();
        if let First::A(()) = first(&mut sleep, control.changed.since(seen)).await {
            return true;
        }
    }
    false
}

/// Completes when a poll that follows failures has gone on for so long that it waits for data and not for its source: then
/// the trouble is over, though nothing has come yet.
async fn poll_settles<D: Driver>(control: &TaskControl) {
    if !control.troubles.is_failing(Call::Poll) {
        return std::future::pending().await;
    }
    D::sleep(POLL_SETTLES).await;
    control.troubles.over(Call::Poll);
}

/// Asks the control plane to pause the connector and stands still until it has told the task so.
async fn hold(shard: &ShardContext, control: &TaskControl, cause: String) {
    tracing::warn!(task = %control.task, "{cause}");
    control.troubles.failed(Call::Pause, &ConnectError::later(Stage::Lifecycle, cause.clone()));
    shard.tell(ShardEvent::PauseWanted(control.task.clone(), control.generation, cause)).await;
    loop {
        let seen = control.changed.seen();
        if control.wanted.get() != Wanted::Run || (shard.abandoned)() {
            return control.troubles.over(Call::Pause);
        }
        control.changed.since(seen).await;
    }
}

/// A deadline that runs while the task is told to stop: a task that pauses has all the time in the world.
#[derive(Default)]
struct StopDeadline(Option<Instant>);

impl StopDeadline {
    /// Time that is left; `None` without end.
    fn left(&mut self, control: &TaskControl) -> Option<Duration> {
        if control.wanted.get() != Wanted::Stop {
            return None;
        }
        let since = *self.0.get_or_insert_with(Instant::now);
        Some(DRAIN_TIMEOUT.saturating_sub(since.elapsed()))
    }

    /// Whether it has passed.
    fn passed(&mut self, control: &TaskControl) -> bool {
        self.left(control).is_some_and(|left| left.is_zero())
    }
}

/// Tells the control plane that the task goes on, if it waits to hear that.
async fn tell_running(shard: &ShardContext, control: &TaskControl) {
    if control.answer_due.take() {
        tell_state(shard, control, false).await;
    }
}

/// Tells the control plane that the task moves records, or stands still.
async fn tell_state(shard: &ShardContext, control: &TaskControl, paused: bool) {
    if paused {
        control.troubles.all_over();
    }
    let (task, generation) = (control.task.clone(), control.generation);
    let event =
        if paused { ShardEvent::TaskPaused(task, generation) } else { ShardEvent::TaskRunning(task, generation) };
    shard.tell(event).await;
}

/// Waits until the task is to do something else than to pause.
async fn stand_still(control: &TaskControl) {
    loop {
        let seen = control.changed.seen();
        if control.wanted.get() != Wanted::Pause {
            return;
        }
        control.changed.since(seen).await;
    }
}

/// The topic's name as the record or the connector gives it.
fn topic_of(config: &Properties) -> Arc<str> {
    Arc::from(keys::TOPIC_NAME.text(config).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn what_the_machine_refuses_is_no_server_that_is_away() {
        let later = |kind| ConnectError::later(Stage::Put, "can't open f").caused_by(io::Error::from(kind));
        for (error, kind) in [
            (later(io::ErrorKind::NotADirectory), FailureKind::Fault),
            (later(io::ErrorKind::ConnectionRefused), FailureKind::Away),
            (ConnectError::later(Stage::Send, "no answer"), FailureKind::Away),
            (ConnectError::fatal(Stage::Lifecycle, "wrong"), FailureKind::Final),
        ] {
            assert_eq!(failure_kind(&error), kind, "{error}");
        }
    }
}
