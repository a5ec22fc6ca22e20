//! The sink loop: pull → convert → chain → put → flush → commit queue offsets.
//!
//! Per record of 100 bytes: no copy of the body, one pass over its properties, about 150 ns; system calls, counters and
//! log decisions come once a batch.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use hdrhistogram::Histogram;
use rmqc_core::chain::Chain;
use rmqc_core::command::{ShardEvent, TaskSpec};
use rmqc_core::config::Properties;
use rmqc_core::config::connector as keys;
use rmqc_core::connector::DynSinkTask;
use rmqc_core::context::TaskContext;
use rmqc_core::converter::Converter;
use rmqc_core::error::{ConnectError, Result, Retry, Stage};
use rmqc_core::position::{Position, RecordOffset};
use rmqc_core::record::{ConnectRecord, Extensions};
use rmqc_core::transform::Outcome;

use super::{
    CloseClient, DRAIN_TIMEOUT, StopDeadline, TaskEnd, chain, commit_interval, converter, size, stand_still,
    task_client, task_context, tell_running, tell_state, wait_to_retry,
};
use crate::consumer::offset::StartFrom;
use crate::consumer::pull::{OutOfRange, Pulled};
use crate::consumer::{Consumer, ConsumerSettings, Taken};
use crate::driver::Driver;
use crate::local::first;
use crate::remoting::client::Client;
use crate::remoting::message::Message;
use crate::remoting::properties::{CONNECT_TIMESTAMP, KEYS, find};
use crate::shard::context::{ShardContext, TaskControl, Wanted};

/// Most records of one put.
const PUT_RECORDS_MAX: usize = 4096;

/// What turns messages into records.
struct Stages {
    chain: Chain,
    key_converter: Box<dyn Converter>,
    value_converter: Box<dyn Converter>,
}

/// How far one queue gets when the batch under way is accepted.
struct Mark {
    queue: usize,
    next_offset: i64,
    bytes: usize,
    /// The broker sent the group elsewhere: no records belong to it.
    moved: bool,
}

/// Records collected for one put.
#[derive(Default)]
struct Batch {
    records: Vec<ConnectRecord>,
    marks: Vec<Mark>,
    payload_bytes: u64,
    pulled: u64,
    filtered: u64,
}

struct Flow<D: Driver> {
    shard: Rc<ShardContext>,
    control: Rc<TaskControl>,
    client: Client<D>,
    consumer: Consumer<D>,
    stages: Stages,
    uncommitted_max: u64,
    commit_interval: Duration,
    /// Records accepted by the sink since the last commit.
    uncommitted: u64,
    /// Since when something waits for a commit.
    dirty_since: Option<Instant>,
}

/// Runs a sink task until it is told to stop or fails.
pub(super) async fn run<D: Driver>(
    shard: Rc<ShardContext>,
    control: Rc<TaskControl>,
    spec: TaskSpec,
    build: fn(TaskContext) -> Result<Box<dyn DynSinkTask>>,
) -> TaskEnd {
    let mut task = match build(task_context(&shard, &spec)) {
        Ok(task) => task,
        Err(error) => return TaskEnd::Failed(error),
    };
    let (client, _) = task_client::<D>(&shard, &spec);
    let closing = CloseClient(client.clone());
    let outcome = match flow(&shard, &control, &spec, &client) {
        Ok(mut flow) => {
            let outcome = run_loop(&mut *task, &mut flow).await;
            flow.consumer.leave().await;
            outcome
        }
        Err(error) => Err(error),
    };
    task.stop().await;
    drop(closing);
    match outcome {
        Ok(end) => end,
        Err(error) => TaskEnd::Failed(error),
    }
}

fn flow<D: Driver>(
    shard: &Rc<ShardContext>,
    control: &Rc<TaskControl>,
    spec: &TaskSpec,
    client: &Client<D>,
) -> Result<Flow<D>> {
    let config = &spec.config;
    *control.latency_ms.borrow_mut() = Histogram::new(3).ok();
    Ok(Flow {
        shard: shard.clone(),
        control: control.clone(),
        client: client.clone(),
        consumer: Consumer::new(client.clone(), consumer_settings(spec)?, shard.memory.share()),
        stages: Stages {
            chain: chain(config)?,
            key_converter: converter(&keys::KEY_CONVERTER, config, true)?,
            value_converter: converter(&keys::VALUE_CONVERTER, config, false)?,
        },
        uncommitted_max: size(&keys::UNCOMMITTED_RECORDS, config) as u64,
        commit_interval: commit_interval(config),
        uncommitted: 0,
        dirty_since: None,
    })
}

fn consumer_settings(spec: &TaskSpec) -> Result<ConsumerSettings> {
    let config = &spec.config;
    let topics: Vec<Arc<str>> = keys::sink_topics(config).iter().map(|topic| Arc::from(topic.as_str())).collect();
    if topics.is_empty() {
        let what =
            "Sink connector topics config can be null, please check sink connector config info: connect.topicnames";
        return Err(ConnectError::fatal(Stage::Lifecycle, what));
    }
    let group = match keys::TASK_GROUP_ID.text(config).unwrap_or_default() {
        "" => format!("connect-{}", spec.task.connector),
        group => group.to_owned(),
    };
    Ok(ConsumerSettings {
        group: Rc::from(group),
        topics,
        start_from: start_from(config),
        out_of_range: out_of_range(config),
        buffered_bytes_max: size(&keys::UNCOMMITTED_BYTES, config),
    })
}

fn start_from(config: &Properties) -> StartFrom {
    match keys::CONSUME_FROM_WHERE.text(config).unwrap_or_default().to_ascii_uppercase().as_str() {
        "CONSUME_FROM_FIRST_OFFSET" => StartFrom::First,
        "CONSUME_FROM_TIMESTAMP" => StartFrom::Time(keys::CONSUME_TIMESTAMP.integer(config)),
        _ => StartFrom::Last,
    }
}

fn out_of_range(config: &Properties) -> OutOfRange {
    match keys::OFFSET_OUT_OF_RANGE.text(config).unwrap_or_default().to_ascii_lowercase().as_str() {
        "latest" => OutOfRange::Latest,
        "fail" => OutOfRange::Fail,
        _ => OutOfRange::Earliest,
    }
}

async fn run_loop<D: Driver>(task: &mut dyn DynSinkTask, flow: &mut Flow<D>) -> Result<TaskEnd> {
    task.start().await?;
    flow.consumer.join();
    loop {
        if (flow.shard.abandoned)() {
            return Ok(TaskEnd::Abandoned);
        }
        match flow.control.wanted.get() {
            Wanted::Run => tell_running(&flow.shard, &flow.control).await,
            wanted => {
                flow.commit(task).await?;
                if flow.control.wanted.get() != wanted {
                    continue;
                }
                if wanted == Wanted::Stop {
                    return Ok(TaskEnd::Stopped);
                }
                tell_state(&flow.shard, &flow.control, true).await;
                stand_still(&flow.control).await;
                continue;
            }
        }
        flow.rebalance(task).await?;
        flow.tell_warnings().await;
        let seen = flow.consumer.arrived().seen();
        if flow.consumer.doubt_returned() {
            flow.dirty_since.get_or_insert_with(Instant::now);
        }
        let batch = flow.collect().await?;
        if !batch.marks.is_empty() {
            if !flow.put(task, &batch).await? {
                flow.give_back(&batch);
                continue;
            }
            flow.accepted(&batch);
        }
        if flow.commit_is_due() {
            flow.commit(task).await?;
        } else if batch.marks.is_empty() {
            flow.wait(seen).await;
        }
    }
}

impl<D: Driver> Flow<D> {
    /// Takes over a changed share of queues: what is given up is committed first.
    async fn rebalance(&mut self, task: &mut dyn DynSinkTask) -> Result<()> {
        let mut attempt = 0u32;
        while self.consumer.needs_rebalance() && self.control.wanted.get() == Wanted::Run {
            if self.consumer.follow_brokers() {
                tracing::info!(task = %self.control.task, "a broker has another address now");
                self.dirty_since.get_or_insert_with(Instant::now);
            }
            if !self.consumer.revoked().is_empty() {
                self.commit_what_is_given_up(task).await?;
            }
            if let Err(error) = self.consumer.rebalance().await {
                attempt = attempt.saturating_add(1);
                wait_to_retry(&self.control, &self.client, error, attempt).await?;
            }
        }
        Ok(())
    }

    /// Commits before queues are given up. A broker that is gone for good must not hold up the others: after a while
    /// its queues go without, and whoever reads them next repeats what was not committed.
    async fn commit_what_is_given_up(&mut self, task: &mut dyn DynSinkTask) -> Result<()> {
        let started = Instant::now();
        let mut attempt = 0u32;
        while let Err(error) = self.try_commit(task).await {
            attempt = attempt.saturating_add(1);
            if started.elapsed() >= DRAIN_TIMEOUT && error.retry() == Retry::Later {
                tracing::warn!(task = %self.control.task, "queues are given up without a commit: {error}");
                return Ok(());
            }
            wait_to_retry(&self.control, &self.client, error, attempt).await?;
            if self.control.wanted.get() != Wanted::Run {
                return Ok(());
            }
        }
        Ok(())
    }

    async fn tell_warnings(&self) {
        for warning in self.consumer.take_warnings() {
            tracing::warn!(task = %self.control.task, "{warning}");
            let (task, generation) = (self.control.task.clone(), self.control.generation);
            self.shard.tell(ShardEvent::TaskWarning(task, generation, warning)).await;
        }
    }

    /// Takes what has arrived, up to one put's worth, as records.
    async fn collect(&mut self) -> Result<Batch> {
        let mut batch = Batch::default();
        let room = self.uncommitted_max.saturating_sub(self.uncommitted);
        let room = usize::try_from(room).unwrap_or(usize::MAX).clamp(1, PUT_RECORDS_MAX);
        while batch.records.len() < room {
            let left = room.saturating_sub(batch.records.len());
            let Some(Taken { queue, mut pulled }) = self.consumer.take(left)? else { break };
            let Some(owned) = self.consumer.queues().get(queue) else { continue };
            let topic = owned.target.queue.topic.clone();
            let partition = owned.partition.clone();
            for message in std::mem::take(&mut pulled.messages) {
                batch.pulled = batch.pulled.saturating_add(1);
                batch.payload_bytes = batch.payload_bytes.saturating_add(message.body.len() as u64);
                let offset = u64::try_from(message.queue_offset).unwrap_or(0);
                let mut record = self.record(&topic, message)?;
                let offset = RecordOffset::Counter { field: "queueOffset", value: offset };
                record.position = Some(Position { partition: partition.clone(), offset });
                match self.stages.chain.apply(&mut record)? {
                    Outcome::Keep => batch.records.push(record),
                    Outcome::Drop => batch.filtered = batch.filtered.saturating_add(1),
                }
            }
            let Pulled { next_offset, bytes, moved, .. } = pulled;
            batch.marks.push(Mark { queue, next_offset, bytes, moved });
            D::yield_if_needed().await;
        }
        Ok(batch)
    }

    /// A message as a record: key from `KEYS`, value from the body, time from `connect.timestamp` or the born time.
    fn record(&self, topic: &Arc<str>, message: Message) -> Result<ConnectRecord> {
        let body = message.plain_body().map_err(|error| {
            ConnectError::new(Stage::Consume, Retry::BadRecord, format!("topic {topic}")).caused_by(error)
        })?;
        let properties = &message.properties;
        let key_bytes = find(properties, KEYS).filter(|key| !key.is_empty()).map(|key| properties.slice_ref(key));
        let place = |error: ConnectError| {
            let what = format!("topic {topic}, queue {}, offset {}", message.queue_id, message.queue_offset);
            ConnectError::new(error.stage(), error.retry(), what).caused_by(error)
        };
        let key = self.stages.key_converter.decode(topic, key_bytes).map_err(place)?;
        let value = self.stages.value_converter.decode(topic, Some(body)).map_err(place)?;
        Ok(ConnectRecord {
            topic: Some(topic.clone()),
            key: key.value,
            key_schema: key.schema,
            value: value.value,
            schema: value.schema,
            extensions: Extensions::Message(properties.clone()),
            timestamp_ms: Some(timestamp(properties).unwrap_or(message.born_ms)),
            position: None,
        })
    }

    /// Puts until the sink accepts; a sink whose target is away is tried again with back-off. False when the task is to
    /// do something else first: nothing of the batch is written then.
    async fn put(&self, task: &mut dyn DynSinkTask, batch: &Batch) -> Result<bool> {
        let mut attempt = 0u32;
        while !batch.records.is_empty() {
            match task.put(&batch.records).await {
                Ok(()) => return Ok(true),
                Err(error) => {
                    attempt = attempt.saturating_add(1);
                    wait_to_retry(&self.control, &self.client, error, attempt).await?;
                }
            }
            if self.control.wanted.get() != Wanted::Run || self.consumer.needs_rebalance() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The batch's records are to be pulled again.
    fn give_back(&mut self, batch: &Batch) {
        for mark in &batch.marks {
            if mark.moved {
                self.consumer.moved(mark.queue, mark.next_offset);
                self.dirty_since.get_or_insert_with(Instant::now);
            } else {
                self.consumer.undone(mark.bytes);
            }
        }
        let mut queues: Vec<usize> = batch.marks.iter().map(|mark| mark.queue).collect();
        queues.sort_unstable();
        queues.dedup();
        for queue in queues {
            self.consumer.read_again(queue);
        }
    }

    fn accepted(&mut self, batch: &Batch) {
        for mark in &batch.marks {
            if mark.moved {
                self.consumer.moved(mark.queue, mark.next_offset);
            } else {
                self.consumer.done(mark.queue, mark.next_offset, mark.bytes);
            }
        }
        let records = batch.records.len() as u64;
        self.uncommitted = self.uncommitted.saturating_add(batch.pulled);
        self.dirty_since.get_or_insert_with(Instant::now);
        let uncommitted = self.uncommitted;
        self.control.count(|counters| {
            counters.records_in = counters.records_in.saturating_add(batch.pulled);
            counters.bytes_in = counters.bytes_in.saturating_add(batch.payload_bytes);
            counters.records_out = counters.records_out.saturating_add(records);
            counters.bytes_out = counters.bytes_out.saturating_add(batch.payload_bytes);
            counters.records_filtered = counters.records_filtered.saturating_add(batch.filtered);
            counters.batches = counters.batches.saturating_add(1);
            counters.records_uncommitted = uncommitted;
        });
        self.record_latency(&batch.records);
    }

    fn record_latency(&self, records: &[ConnectRecord]) {
        let now_ms = crate::host::unix_ms();
        let mut latency = self.control.latency_ms.borrow_mut();
        let Some(latency) = latency.as_mut() else { return };
        for run in records.chunk_by(|a, b| a.timestamp_ms == b.timestamp_ms) {
            let Some(then_ms) = run.first().and_then(|record| record.timestamp_ms) else { continue };
            let waited_ms = u64::try_from(now_ms.saturating_sub(then_ms)).unwrap_or(0);
            latency.saturating_record_n(waited_ms, run.len() as u64);
        }
    }

    fn commit_is_due(&self) -> bool {
        let long = self.dirty_since.is_some_and(|since| since.elapsed() >= self.commit_interval);
        long || self.uncommitted >= self.uncommitted_max / 2 && self.uncommitted > 0
    }

    /// Flushes the sink, then commits the queue offsets; both are tried again while their target is away, but only for
    /// a while when the task is to stop.
    async fn commit(&mut self, task: &mut dyn DynSinkTask) -> Result<()> {
        let mut attempt = 0u32;
        let mut deadline = StopDeadline::default();
        while let Err(error) = self.try_commit(task).await {
            if deadline.passed(&self.control) {
                let what = format!(
                    "{} records were still not committed after {} s; they are put again at the next start",
                    self.uncommitted,
                    DRAIN_TIMEOUT.as_secs()
                );
                return Err(ConnectError::fatal(Stage::Lifecycle, what).caused_by(error));
            }
            attempt = attempt.saturating_add(1);
            wait_to_retry(&self.control, &self.client, error, attempt).await?;
            self.consumer.follow_brokers();
        }
        Ok(())
    }

    async fn try_commit(&mut self, task: &mut dyn DynSinkTask) -> Result<()> {
        if self.dirty_since.is_none() {
            return Ok(());
        }
        task.flush().await?;
        self.consumer.commit().await?;
        let records = std::mem::take(&mut self.uncommitted);
        self.dirty_since = None;
        self.control.count(|counters| {
            counters.commits = counters.commits.saturating_add(1);
            counters.records_committed = counters.records_committed.saturating_add(records);
            counters.records_uncommitted = 0;
        });
        Ok(())
    }

    /// Waits until something arrives, is to be told, or is due.
    async fn wait(&self, arrived_seen: u64) {
        let control_seen = self.control.changed.seen();
        if self.control.wanted.get() != Wanted::Run || self.consumer.needs_rebalance() {
            return;
        }
        let assignment = self.consumer.assignment_changed();
        let assignment_seen = assignment.seen();
        let arrived = self.consumer.arrived();
        let told = first(self.control.changed.since(control_seen), assignment.since(assignment_seen));
        let something = first(arrived.since(arrived_seen), told);
        match self.dirty_since {
            Some(since) => {
                let left = self.commit_interval.saturating_sub(since.elapsed());
                let _ = first(something, D::sleep(left)).await;
            }
            None => {
                let _ = something.await;
            }
        }
    }
}

/// The record's time as the source wrote it.
fn timestamp(properties: &Bytes) -> Option<i64> {
    std::str::from_utf8(find(properties, CONNECT_TIMESTAMP)?).ok()?.parse().ok()
}
