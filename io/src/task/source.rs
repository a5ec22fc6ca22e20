//! The source loop: poll → chain → convert → send → confirm → commit the contiguous prefix.
//!
//! Per record of 100 bytes: one copy (into the batch), no system call, no allocation, about 100 ns; system calls,
//! counters and log decisions come once a batch.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rmqc_core::chain::Chain;
use rmqc_core::command::{ShardEvent, TaskSpec};
use rmqc_core::config::connector as keys;
use rmqc_core::connector::DynSourceTask;
use rmqc_core::context::TaskContext;
use rmqc_core::converter::Converter;
use rmqc_core::error::{ConnectError, Result, Retry, Stage};
use rmqc_core::inflight::InFlight;
use rmqc_core::position::{Position, StoredPosition};
use rmqc_core::record::{ConnectRecord, RecordBatch};
use rmqc_core::transform::Outcome;

use super::{
    CloseClient, DRAIN_TIMEOUT, StopDeadline, TaskEnd, chain, commit_interval, converter, size, stand_still,
    task_client, task_context, tell_running, tell_state, topic_of, unique_ids, wait_to_retry,
};
use crate::driver::Driver;
use crate::local::{First, first};
use crate::producer::properties::PropertiesWriter;
use crate::producer::{Producer, ProducerSettings, TopicIndex};
use crate::remoting::client::Client;
use crate::shard::context::{ShardContext, TaskControl, Wanted};
use crate::shard::memory::Share;

/// Most records of one poll.
const POLL_RECORDS_MAX: usize = 8192;
/// Most bytes of one poll.
const POLL_BYTES_MAX: usize = 1024 * 1024;
/// Records between two looks at the clock in the inner loop.
const YIELD_EVERY: usize = 256;

/// Bounds of one source task.
struct Limits {
    uncommitted_records: u64,
    unconfirmed_bytes: u64,
    commit_interval: Duration,
}

/// What turns records into messages.
struct Stages {
    chain: Chain,
    key_converter: Box<dyn Converter>,
    value_converter: Box<dyn Converter>,
    properties: PropertiesWriter,
    default_topic: Arc<str>,
}

/// The part of the loop that goes on while a poll is under way.
struct Flow<D: Driver> {
    shard: Rc<ShardContext>,
    control: Rc<TaskControl>,
    client: Client<D>,
    producer: Producer<D>,
    inflight: InFlight,
    limits: Limits,
    /// The task's part of the shard's memory.
    share: Share,
    last_commit: Option<Instant>,
    /// Positions under way to the store.
    committing: Vec<Position>,
    /// Positions that the store has confirmed and the connector has not been told of.
    committed: Vec<Position>,
    /// Polled records that wait until the cluster tells where their topic is.
    held: Vec<ConnectRecord>,
}

/// Runs a source task until it is told to stop or fails.
pub(super) async fn run<D: Driver>(
    shard: Rc<ShardContext>,
    control: Rc<TaskControl>,
    spec: TaskSpec,
    build: fn(TaskContext) -> Result<Box<dyn DynSourceTask>>,
) -> TaskEnd {
    let mut task = match build(task_context(&shard, &spec)) {
        Ok(task) => task,
        Err(error) => return TaskEnd::Failed(error),
    };
    let (client, number) = task_client::<D>(&shard, &spec);
    let closing = CloseClient(client.clone());
    let config = &spec.config;
    let stages = (|| {
        Ok(Stages {
            chain: chain(config)?,
            key_converter: converter(&keys::KEY_CONVERTER, config, true)?,
            value_converter: converter(&keys::VALUE_CONVERTER, config, false)?,
            properties: PropertiesWriter::new(unique_ids(number)),
            default_topic: topic_of(config),
        })
    })();
    let settings = ProducerSettings {
        batch_bytes_max: size(&keys::BATCH_BYTES, config),
        batch_messages_max: size(&keys::BATCH_MESSAGES, config),
        inflight_requests_max: size(&keys::INFLIGHT_REQUESTS, config).max(1),
        ordered: keys::ORDERING.boolean(config),
    };
    let flow = Flow {
        producer: Producer::new(client.clone(), settings, shard.turns_of(&spec.task.connector)),
        share: shard.memory.share(),
        shard,
        control,
        client: client.clone(),
        inflight: InFlight::default(),
        limits: Limits {
            uncommitted_records: size(&keys::UNCOMMITTED_RECORDS, config) as u64,
            unconfirmed_bytes: size(&keys::UNCOMMITTED_BYTES, config) as u64,
            commit_interval: commit_interval(config),
        },
        last_commit: None,
        committing: Vec::new(),
        committed: Vec::new(),
        held: Vec::new(),
    };
    let outcome = match stages {
        Ok(stages) => run_loop(&mut *task, stages, flow).await,
        Err(error) => Err(error),
    };
    task.stop().await;
    drop(closing);
    match outcome {
        Ok(end) => end,
        Err(error) => TaskEnd::Failed(error),
    }
}

async fn run_loop<D: Driver>(task: &mut dyn DynSourceTask, mut stages: Stages, mut flow: Flow<D>) -> Result<TaskEnd> {
    task.start().await?;
    let mut failures = 0u32;
    loop {
        if (flow.shard.abandoned)() {
            return Ok(TaskEnd::Abandoned);
        }
        match flow.control.wanted.get() {
            Wanted::Run => tell_running(&flow.shard, &flow.control).await,
            wanted => {
                let drained = flow.drain().await?;
                flow.tell_committed(task).await?;
                if !drained || flow.control.wanted.get() != wanted {
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
        flow.tell_committed(task).await?;
        flow.settle().await?;
        if flow.is_full() {
            flow.wait_for_room().await;
            continue;
        }
        if !flow.held.is_empty() {
            flow.send_held(&mut stages).await?;
            continue;
        }
        let mut batch = RecordBatch::new(flow.room(), POLL_BYTES_MAX);
        let polled = flow.poll(task, &mut batch).await?;
        flow.send(&mut stages, &mut batch).await?;
        match polled {
            Ok(()) => failures = 0,
            Err(error) => {
                failures = failures.saturating_add(1);
                wait_to_retry(&flow.control, &flow.client, error, failures).await?;
            }
        }
    }
}

impl<D: Driver> Flow<D> {
    /// Records that may still be handed on before something is committed.
    fn room(&self) -> usize {
        let room = self.limits.uncommitted_records.saturating_sub(self.inflight.uncommitted());
        usize::try_from(room).unwrap_or(usize::MAX).min(POLL_RECORDS_MAX)
    }

    fn is_full(&self) -> bool {
        let bytes = self.producer.unconfirmed_bytes();
        self.share.set(bytes);
        self.room() == 0 || bytes >= self.limits.unconfirmed_bytes || self.share.is_full()
    }

    /// Waits until something is confirmed or stored, or the task is told something.
    async fn wait_for_room(&mut self) {
        self.control.blocked();
        let changed = self.producer.changed();
        let seen = (changed.seen(), self.control.changed.seen(), self.share.freed().seen());
        if self.control.stored.borrow().is_none() {
            let told = first(changed.since(seen.0), self.control.changed.since(seen.1));
            let freed = first(told, self.share.freed().since(seen.2));
            let _ = first(freed, self.commit_due()).await;
        }
        self.control.unblocked();
    }

    /// Polls; confirmations and commits go on meanwhile. The poll is dropped only when the task is told something else.
    async fn poll(&mut self, task: &mut dyn DynSourceTask, batch: &mut RecordBatch) -> Result<Result<()>> {
        let mut poll = task.poll(batch);
        loop {
            let changed = self.producer.changed();
            let seen = (changed.seen(), self.control.changed.seen());
            let told = first(changed.since(seen.0), self.control.changed.since(seen.1));
            let waiting = first(told, self.commit_due());
            if let First::A(polled) = first(&mut poll, waiting).await {
                return Ok(polled);
            }
            if self.control.wanted.get() != Wanted::Run || self.control.answer_due.get() {
                return Ok(Ok(()));
            }
            self.settle().await?;
        }
    }

    /// Completes when the confirmed prefix has waited long enough for its commit.
    async fn commit_due(&self) {
        if self.inflight.committable_records() == 0 || self.inflight.is_committing() {
            return std::future::pending().await;
        }
        let since = self.last_commit.map_or(self.limits.commit_interval, |last| last.elapsed());
        D::sleep(self.limits.commit_interval.saturating_sub(since)).await;
    }

    /// Takes confirmations and the store's answer, sends what waits for a free line, starts a commit when it is due.
    async fn settle(&mut self) -> Result<()> {
        let confirmed = self.producer.take_confirmed()?;
        let stored = self.control.stored.borrow_mut().take();
        if let Some(answer) = stored {
            self.take_answer(answer)?;
        }
        if confirmed.batches > 0 || confirmed.retries > 0 {
            self.control.count(|counters| {
                counters.records_out = counters.records_out.saturating_add(confirmed.records);
                counters.bytes_out = counters.bytes_out.saturating_add(confirmed.payload_bytes);
                counters.bytes_copied = counters.bytes_copied.saturating_add(confirmed.copied_bytes);
                counters.batches = counters.batches.saturating_add(confirmed.batches);
                counters.retries = counters.retries.saturating_add(confirmed.retries);
            });
        }
        for sequences in confirmed.sequences {
            self.inflight.confirm(sequences);
        }
        self.producer.flush_if_idle();
        let due = self.last_commit.is_none_or(|last| last.elapsed() >= self.limits.commit_interval);
        let half_full = self.inflight.committable_records() >= self.limits.uncommitted_records / 2;
        if due || half_full {
            self.start_commit().await;
        }
        let uncommitted = self.inflight.uncommitted();
        self.control.count(|counters| counters.records_uncommitted = uncommitted);
        Ok(())
    }

    async fn start_commit(&mut self) {
        let positions = self.inflight.take_committable();
        if positions.is_empty() {
            return;
        }
        let stored = |position: &Position| StoredPosition {
            partition: (*position.partition).clone(),
            offset: position.offset.to_map(),
        };
        let event = ShardEvent::Positions(
            self.control.task.clone(),
            self.control.generation,
            positions.iter().map(stored).collect(),
        );
        self.committing = positions;
        self.last_commit = Some(Instant::now());
        self.shard.tell(event).await;
    }

    fn take_answer(&mut self, answer: std::result::Result<(), String>) -> Result<()> {
        match answer {
            Ok(()) => {
                let records = self.inflight.committed();
                self.committed.append(&mut self.committing);
                self.control.count(|counters| {
                    counters.commits = counters.commits.saturating_add(1);
                    counters.records_committed = counters.records_committed.saturating_add(records);
                });
                Ok(())
            }
            Err(reason) => {
                let what = format!("the positions could not be stored: {reason}");
                Err(ConnectError::later(Stage::Commit, what))
            }
        }
    }

    /// Tells the connector what has become durable.
    async fn tell_committed(&mut self, task: &mut dyn DynSourceTask) -> Result<()> {
        if self.committed.is_empty() {
            return Ok(());
        }
        let committed = std::mem::take(&mut self.committed);
        task.committed(&committed).await
    }

    /// Hands a batch on.
    async fn send(&mut self, stages: &mut Stages, batch: &mut RecordBatch) -> Result<()> {
        let bytes = batch.bytes() as u64;
        let records = batch.len() as u64;
        if records == 0 {
            return Ok(());
        }
        self.control.count(|counters| {
            counters.records_in = counters.records_in.saturating_add(records);
            counters.bytes_in = counters.bytes_in.saturating_add(bytes);
        });
        self.send_all(stages, batch.drain()).await
    }

    /// Goes on with what waited for its topic.
    async fn send_held(&mut self, stages: &mut Stages) -> Result<()> {
        let held = std::mem::take(&mut self.held);
        self.send_all(stages, held.into_iter()).await
    }

    async fn send_all(&mut self, stages: &mut Stages, records: impl Iterator<Item = ConnectRecord>) -> Result<()> {
        let now_ms = crate::host::unix_ms();
        let mut topic: Option<(Option<Arc<str>>, TopicIndex)> = None;
        let mut records = records.enumerate();
        while let Some((at, record)) = records.next() {
            if at % YIELD_EVERY == YIELD_EVERY.saturating_sub(1) {
                D::yield_if_needed().await;
            }
            let known = topic.as_ref().filter(|(name, _)| *name == record.topic).map(|(_, index)| *index);
            let index = match known {
                Some(index) => index,
                None => {
                    let Some(index) = self.find_topic(stages, &record).await? else {
                        self.held.push(record);
                        self.held.extend(records.map(|(_, record)| record));
                        break;
                    };
                    topic = Some((record.topic.clone(), index));
                    index
                }
            };
            self.send_record(stages, record, index, now_ms)?;
        }
        self.producer.flush_if_idle();
        Ok(())
    }

    /// The handle of a record's topic; tried until the cluster tells, or the task is to do something else.
    async fn find_topic(&mut self, stages: &Stages, record: &ConnectRecord) -> Result<Option<TopicIndex>> {
        let name =
            record.topic.as_ref().filter(|name| !name.trim().is_empty()).unwrap_or(&stages.default_topic).clone();
        if name.is_empty() {
            let what = "source connect lack of topic config: set connect.topicname";
            return Err(ConnectError::fatal(Stage::Send, what));
        }
        let mut attempt = 0u32;
        loop {
            match self.producer.topic(&name).await {
                Ok(index) => return Ok(Some(index)),
                Err(error) => {
                    attempt = attempt.saturating_add(1);
                    wait_to_retry(&self.control, &self.client, error, attempt).await?;
                }
            }
            if self.control.wanted.get() != Wanted::Run {
                return Ok(None);
            }
        }
    }

    fn send_record(
        &mut self,
        stages: &mut Stages,
        record: ConnectRecord,
        topic: TopicIndex,
        now_ms: i64,
    ) -> Result<()> {
        let mut record = record;
        let Some(position) = record.position.take() else {
            let what = "the source gave a record without a position";
            return Err(ConnectError::fatal(Stage::Poll, what));
        };
        let sequence = self.inflight.push(position);
        if !stages.chain.is_empty() {
            if stages.chain.apply(&mut record)? == Outcome::Drop {
                self.inflight.confirm(sequence..sequence.saturating_add(1));
                self.control.count(|counters| counters.records_filtered = counters.records_filtered.saturating_add(1));
                return Ok(());
            }
        }
        let topic_name = record.topic.as_deref().unwrap_or(&stages.default_topic);
        let key = stages.key_converter.encode(topic_name, record.key_schema.as_deref(), &record.key)?;
        let body =
            stages.value_converter.encode(topic_name, record.schema.as_deref(), &record.value)?.unwrap_or_default();
        let properties = stages.properties.write(now_ms, key.as_deref(), &record.extensions, record.timestamp_ms)?;
        let key_text = key.as_deref().map(String::from_utf8_lossy);
        let appended = self.producer.append(topic, key_text.as_deref(), &body, properties, sequence);
        appended.map_err(|error| match error.retry() {
            Retry::BadRecord => ConnectError::fatal(error.stage(), "the record can't be sent").caused_by(error),
            _ => error,
        })
    }

    /// Waits until everything handed on is confirmed and committed; false when the task is to run again before that.
    async fn drain(&mut self) -> Result<bool> {
        let mut deadline = StopDeadline::default();
        loop {
            let changed = self.producer.changed();
            let seen = (changed.seen(), self.control.changed.seen());
            self.settle().await?;
            self.producer.flush();
            if self.inflight.uncommitted() == 0 {
                return Ok(true);
            }
            if self.control.wanted.get() == Wanted::Run {
                return Ok(false);
            }
            if self.inflight.committable_records() > 0 {
                self.start_commit().await;
            }
            let left = deadline.left(&self.control);
            if left.is_some_and(|left| left.is_zero()) {
                let what = format!(
                    "{} records were still not confirmed or committed after {} s; they are sent again at the next start",
                    self.inflight.uncommitted(),
                    DRAIN_TIMEOUT.as_secs()
                );
                return Err(ConnectError::fatal(Stage::Lifecycle, what));
            }
            let told = first(changed.since(seen.0), self.control.changed.since(seen.1));
            match left {
                Some(left) => {
                    let _ = first(told, D::sleep(left)).await;
                }
                None => {
                    let _ = told.await;
                }
            }
        }
    }
}
