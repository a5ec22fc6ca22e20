//! The sink loop: pull → convert → chain → put → flush → commit queue offsets.
//!
//! Per record of 100 bytes: no copy of the body, one pass over its properties, about 150 ns; system calls, counters and
//! log decisions come once a batch.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_lite::future::poll_once;
use rmqc_core::command::{ShardEvent, TaskSpec};
use rmqc_core::config::Properties;
use rmqc_core::config::connector as keys;
use rmqc_core::connector::DynSinkTask;
use rmqc_core::context::{ErrantRecords, TaskContext, ValueBlocks};
use rmqc_core::error::{ConnectError, Result, Retry, Stage};
use rmqc_core::metrics::{Step, WindowUse};
use rmqc_core::record::ConnectRecord;
use rmqc_core::tap::TapStage;
use rmqc_core::transform::Outcome;

use super::batch::{Bad, Batch, Mark};
use super::errant::{Errant, Letters, Place, consumed, try_again};
use super::flushing::Flushing;
use super::messages::{Source, Stages};
use super::rows::Rows;
use super::{
    CloseClient, DRAIN_TIMEOUT, StopDeadline, TaskEnd, commit_interval, hold, size, stand_still, task_client,
    task_context, tell_running, tell_state, wait_to_retry,
};
use crate::consumer::offset::StartFrom;
use crate::consumer::pull::{OutOfRange, Pulled};
use crate::consumer::subscription::Subscription;
use crate::consumer::{Consumer, ConsumerSettings, Done, Taken};
use crate::driver::Driver;
use crate::local::first;
use crate::remoting::client::Client;
use crate::remoting::message::{Message, MessageError};
use crate::remoting::pulled::MessageSpan;
use crate::shard::context::{ShardContext, TaskControl, Wanted};
use crate::shard::failures::{Fate, preview, preview_bytes};
use crate::shard::steps::{Manner, is_sampled};
use crate::shard::trouble::Call;

/// Most records of one put while puts are quick: they are in the caches still, and the broker answers the next pulls
/// meanwhile.
const PUT_RECORDS_QUICK: usize = 512;
/// Most records of one put.
const PUT_RECORDS_MAX: usize = 4096;
/// A put that takes as long has a price that does not depend on its records, such as a request to the target or a flush of
/// its disk: the next one may have twice as many.
const PUT_SLOW: Duration = Duration::from_millis(2);

/// Records for which a task that waits keeps room.
const SPARE_RECORDS_MAX: usize = 1024;

/// What came of a put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Put {
    /// The sink has the batch, as far as it goes.
    Accepted,
    /// The task is to do something else first; nothing of the batch is written.
    Interrupted,
}

struct Flow<D: Driver> {
    shard: Rc<ShardContext>,
    control: Rc<TaskControl>,
    client: Client<D>,
    consumer: Consumer<D>,
    stages: Stages,
    errant: Errant,
    /// The Java class of the sink's tasks.
    sink_class: &'static str,
    /// Whether the sink looks at its records' extensions.
    reads_extensions: bool,
    /// What the sink writes behind each value.
    value_end: Option<u8>,
    /// What the sink reports record by record.
    reports: Rc<ErrantRecords>,
    /// What the values of a put are parts of.
    blocks: Rc<ValueBlocks>,
    /// Where given-up messages go, if they go anywhere.
    letters: Option<Letters<D>>,
    uncommitted_max: u64,
    /// Most records of the next put, within what may be uncommitted.
    put_records: Cell<usize>,
    letters_bytes_max: u64,
    commit_interval: Duration,
    /// Room for the records of a batch, used again and again: it is large enough to be mapped anew otherwise.
    spare_records: Rows,
    /// Room for the store times of a batch, used again and again.
    stored_runs: Vec<(i64, usize)>,
    /// Records accepted by the sink since the last commit.
    uncommitted: u64,
    /// Since when something waits for a flush and a commit.
    dirty_since: Option<Instant>,
    /// The flush that goes on beside the puts, if one does.
    flushing: Option<Flushing>,
}

/// Runs a sink task until it is told to stop or fails.
pub(super) async fn run<D: Driver>(
    shard: Rc<ShardContext>,
    control: Rc<TaskControl>,
    spec: TaskSpec,
    build: fn(TaskContext) -> Result<Box<dyn DynSinkTask>>,
) -> TaskEnd {
    let context = task_context(&shard, &control, &spec);
    let shared = (context.errant.clone(), context.blocks.clone());
    let mut task = match build(context) {
        Ok(task) => task,
        Err(error) => return TaskEnd::Failed(error),
    };
    let (client, number) = task_client::<D>(&shard, &spec);
    let closing = CloseClient(client.clone());
    let outcome = match flow(&shard, &control, &spec, &client, &*task, shared) {
        Ok(mut flow) => {
            let outcome = match Letters::open(&client, number, &flow.errant, &flow.control).await {
                Ok(letters) => {
                    flow.letters = letters;
                    run_loop(&mut *task, &mut flow).await
                }
                Err(error) => Err(error),
            };
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
    task: &dyn DynSinkTask,
    (reports, blocks): (Rc<ErrantRecords>, Rc<ValueBlocks>),
) -> Result<Flow<D>> {
    let config = &spec.config;
    let value_end = task.value_end();
    let uncommitted_max = size(&keys::UNCOMMITTED_RECORDS, config) as u64;
    control.window.set(WindowUse {
        records_max: uncommitted_max,
        bytes_max: size(&keys::UNCOMMITTED_BYTES, config) as u64,
        batch_records_max: uncommitted_max.clamp(1, PUT_RECORDS_MAX as u64),
        ..WindowUse::default()
    });
    Ok(Flow {
        shard: shard.clone(),
        control: control.clone(),
        client: client.clone(),
        consumer: Consumer::new(
            client.clone(),
            consumer_settings(spec, value_end)?,
            shard.memory.share(),
            control.reading.clone(),
            control.steps.clone(),
        ),
        stages: Stages::build(config)?,
        errant: Errant::new(&spec.task, config),
        sink_class: spec.factory.java_task_class,
        reads_extensions: task.reads_extensions(),
        value_end,
        reports,
        blocks,
        letters: None,
        letters_bytes_max: size(&keys::UNCOMMITTED_BYTES, config) as u64 / 2,
        uncommitted_max,
        put_records: Cell::new(PUT_RECORDS_QUICK),
        commit_interval: commit_interval(config),
        spare_records: Rows::default(),
        stored_runs: Vec::new(),
        uncommitted: 0,
        dirty_since: None,
        flushing: None,
    })
}

fn consumer_settings(spec: &TaskSpec, value_end: Option<u8>) -> Result<ConsumerSettings> {
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
        subscription: Subscription::parse(keys::SUBSCRIPTION_TAGS.text(config).unwrap_or_default()),
        start_from: start_from(config),
        out_of_range: out_of_range(config),
        buffered_bytes_max: size(&keys::UNCOMMITTED_BYTES, config),
        ordered: keys::ORDERING.boolean(config),
        value_end,
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

/// Most records of a put after one that could have so many and took so long.
fn put_records_after(records: usize, time: Duration) -> usize {
    let next = if time >= PUT_SLOW { records.saturating_mul(2) } else { records / 2 };
    next.clamp(PUT_RECORDS_QUICK, PUT_RECORDS_MAX)
}

async fn run_loop<D: Driver>(task: &mut dyn DynSinkTask, flow: &mut Flow<D>) -> Result<TaskEnd> {
    task.start().await?;
    flow.consumer.join();
    loop {
        if (flow.shard.abandoned)() {
            return Ok(TaskEnd::Abandoned);
        }
        match flow.control.wanted.get() {
            Wanted::Run => {
                // No record is tried again here: the last one's tries are over.
                flow.control.troubles.over(Call::Convert);
                tell_running(&flow.shard, &flow.control).await;
            }
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
        flow.end_flush(task).await?;
        let seen = flow.consumer.arrived().seen();
        if flow.consumer.doubt_returned() {
            flow.dirty_since.get_or_insert_with(Instant::now);
        }
        let mut batch = flow.collect().await?;
        if !batch.marks.is_empty() {
            if flow.put(task, &mut batch).await? == Put::Interrupted {
                flow.give_back(&batch);
                continue;
            }
            flow.accepted(&mut batch)?;
            flow.spare_records = batch.take_room();
            if let Some(error) = batch.stop {
                // Everything before the record at fault is done, and the committed offset points at it.
                flow.commit(task).await?;
                return Err(error);
            }
            if let Some(queue) = batch.again {
                flow.consumer.read_again(queue);
            }
            if let Some(cause) = flow.errant.note(batch.pulled, batch.bad.len() as u64) {
                flow.commit(task).await?;
                hold(&flow.shard, &flow.control, cause).await;
                continue;
            }
        }
        if flow.flushing.is_none() && flow.commit_is_due() {
            flow.begin_flush(task).await?;
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
            match self.consumer.rebalance().await {
                Ok(()) => self.control.troubles.over(Call::Assign),
                Err(error) => {
                    attempt = attempt.saturating_add(1);
                    wait_to_retry(&self.control, &self.client, Call::Assign, error, attempt).await?;
                }
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
                self.control
                    .steps
                    .traces()
                    .end(Some("queues were given up without a commit; their records come again"));
                self.control.troubles.over(Call::Commit);
                return Ok(());
            }
            wait_to_retry(&self.control, &self.client, Call::Commit, error, attempt).await?;
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
        let (stored, records) = (std::mem::take(&mut self.stored_runs), std::mem::take(&mut self.spare_records));
        let mut batch = Batch { stored, records, ..Batch::default() };
        batch.stored.clear();
        let room = self.uncommitted_max.saturating_sub(self.uncommitted);
        let room = usize::try_from(room).unwrap_or(usize::MAX).clamp(1, self.put_records.get());
        while batch.records.len() < room && batch.bad.len() < room && !batch.is_cut() {
            let left = room.saturating_sub(batch.records.len());
            let Some(Taken { queue, pulled }) = self.consumer.take(left)? else { break };
            self.control.steps.work();
            self.take_in(&mut batch, queue, pulled).await?;
            self.control.steps.pause_work();
            D::yield_if_needed().await;
        }
        if batch.pulled > 0 {
            self.control.steps.ran(Step::Pull, batch.pulled);
            self.control.steps.worked(batch.pulled, !self.stages.chain.is_empty());
        }
        Ok(batch)
    }

    /// Makes records of one queue's messages, up to the first that stops the task.
    async fn take_in(&self, batch: &mut Batch, queue: usize, pulled: Pulled) -> Result<()> {
        let Some(owned) = self.consumer.queues().get(queue) else { return Ok(()) };
        let (topic, partition) = (owned.target.queue.topic.clone(), owned.partition.clone());
        let Pulled { messages, mut next_offset, bytes, moved, times } = pulled;
        self.control.steps.traces().pulled(&owned.target, &messages, times);
        let keep = self.errant.keeps_origins();
        let tap = self.control.tap();
        if let Some(tap) = &tap {
            let messages = messages.messages();
            tap.look_at_pulled(&topic, &messages);
            tap.look_at_converted(&self.stages, &topic, &partition, &messages);
        }
        let before = batch.records.len();
        let has_chain = !self.stages.chain.is_empty();
        let with_extensions = self.reads_extensions || has_chain || tap.is_some();
        let from = Source { topic: &topic, partition: &partition, answer: messages.body(), with_extensions };
        let stored_ms = messages.spans().last().map(|message| message.store_ms);
        batch.records.reserve(messages.spans().len());
        for span in messages.spans() {
            let sampled = (has_chain && is_sampled(batch.pulled)).then_some(&*self.control.steps);
            let record = batch.records.next();
            let mut made = self.stages.make(from, span, record, sampled);
            if made.is_err() {
                made = self.try_again(from, span, record, made).await;
            }
            match made {
                Ok(Outcome::Keep) => {
                    batch.stored_at(span.store_ms);
                    if keep {
                        batch.origins.push(*span);
                    }
                }
                Ok(Outcome::Drop) => {
                    batch.records.drop_last();
                    batch.filtered = batch.filtered.saturating_add(1);
                }
                Err(error) => {
                    batch.records.drop_last();
                    let message = span.message(from.answer).map_err(unreadable)?;
                    if self.errant.policy.tolerant && error.retry() == Retry::BadRecord {
                        let records_before = batch.records.len();
                        batch.bad.push(Bad { topic: topic.clone(), message, error, records_before });
                    } else {
                        next_offset = span.queue_offset;
                        match error.retry() {
                            Retry::Later if self.control.wanted.get() != Wanted::Run => batch.again = Some(queue),
                            _ => {
                                let place = place_of(&topic, &message);
                                self.control.failures.add(Fate::Stopped, &error, place, preview_of(&message));
                                batch.stop = Some(error);
                            }
                        }
                        break;
                    }
                }
            }
            batch.pulled = batch.pulled.saturating_add(1);
            batch.payload_bytes = batch.payload_bytes.saturating_add(span.body_len() as u64);
        }
        if let Some(tap) = &tap {
            tap.look_at_records(TapStage::Transform, batch.records.get(before..).unwrap_or_default());
        }
        let records_end = batch.records.len();
        if keep || self.value_end.is_some() {
            batch.answers.push((records_end, from.answer.clone()));
        }
        batch.marks.push(Mark { queue, next_offset, bytes, stored_ms, moved, records_end });
        Ok(())
    }

    /// Tries a converter or transform that failed again, as long as its error and the policy say so.
    async fn try_again(
        &self,
        from: Source<'_>,
        span: &MessageSpan,
        record: &mut ConnectRecord,
        failed: Result<Outcome>,
    ) -> Result<Outcome> {
        let (mut made, started, mut attempt) = (failed, Instant::now(), 0u32);
        loop {
            attempt = attempt.saturating_add(1);
            let Err(error) = &made else { return made };
            if !try_again::<D>(&self.errant, &self.control, &self.client, error, (attempt, started)).await {
                return made;
            }
            made = self.stages.make(from, span, record, None);
        }
    }

    /// Puts until the sink accepts; a sink whose target is away is tried again with back-off.
    async fn put(&self, task: &mut dyn DynSinkTask, batch: &mut Batch) -> Result<Put> {
        if let Some(tap) = self.control.tap() {
            tap.look_at_records(TapStage::Put, &batch.records);
        }
        let mut attempt = 0u32;
        while !batch.records.is_empty() {
            self.control.steps.enter(Step::Put, Manner::Busy);
            if self.value_end.is_some() {
                self.blocks.set(batch.answers.iter().map(|(_, answer)| answer.clone()));
            }
            let began = Instant::now();
            let outcome = task.put(&batch.records).await;
            self.put_records.set(put_records_after(self.put_records.get(), began.elapsed()));
            self.control.steps.leave();
            let (reported, stop) = (self.reports.take(), self.reports.take_stop());
            match (outcome, stop) {
                (Ok(()), _) => {
                    self.take_reported(batch, reported);
                    return Ok(Put::Accepted);
                }
                (Err(error), Some(index)) if error.retry() != Retry::Later => {
                    self.take_reported(batch, reported.into_iter().filter(|(at, _)| *at < index).collect());
                    self.note_stopped(batch, index, &error);
                    batch.cut(index, error);
                    return Ok(Put::Accepted);
                }
                // The only record there is must be the bad one.
                (Err(error), None)
                    if error.retry() == Retry::BadRecord && self.errant.policy.tolerant && batch.records.len() == 1 =>
                {
                    self.take_reported(batch, vec![(0, error)]);
                    return Ok(Put::Accepted);
                }
                (Err(error), _) => {
                    if error.retry() == Retry::BadRecord && batch.records.len() == 1 {
                        self.note_stopped(batch, 0, &error);
                    }
                    attempt = attempt.saturating_add(1);
                    wait_to_retry(&self.control, &self.client, Call::Put, error, attempt).await?;
                }
            }
            if self.control.wanted.get() != Wanted::Run || self.consumer.needs_rebalance() {
                return Ok(Put::Interrupted);
            }
        }
        Ok(Put::Accepted)
    }

    /// Keeps the record that stops the task for people to look at.
    fn note_stopped(&self, batch: &Batch, index: usize, error: &ConnectError) {
        let Some(record) = batch.records.get(index) else { return };
        let value = preview(&record.value);
        match &record.position {
            Some(position) => self.control.failures.add(Fate::Stopped, error, Place(position), value),
            None => self.control.failures.add(Fate::Stopped, error, "", value),
        }
    }

    /// Records that the sink has reported as bad are given up with their messages.
    fn take_reported(&self, batch: &mut Batch, reported: Vec<(usize, ConnectError)>) {
        let class = self.sink_class;
        for (index, error) in reported {
            let topic = batch.records.get(index).and_then(|record| record.topic.clone());
            if let (Some(topic), Some(message)) = (topic, batch.origin(index)) {
                batch.reported.push(index);
                batch.bad.push(Bad { topic, message, error: error.in_class(class), records_before: index });
            }
        }
        batch.reported.sort_unstable();
        batch.reported.dedup();
    }

    /// The batch's records are to be pulled again.
    fn give_back(&mut self, batch: &Batch) {
        self.control.steps.traces().given_back();
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

    /// The sink has the batch: its queues have got further, and what is bad goes to the dead letter queue.
    fn accepted(&mut self, batch: &mut Batch) -> Result<()> {
        self.control.troubles.over(Call::Put);
        for mark in &batch.marks {
            if mark.moved {
                self.consumer.moved(mark.queue, mark.next_offset);
            } else {
                self.consumer.done(mark.queue, mark.next_offset, mark.stored_ms, mark.bytes);
            }
        }
        self.uncommitted = self.uncommitted.saturating_add(batch.pulled);
        self.dirty_since.get_or_insert_with(Instant::now);
        self.give_up(&batch.bad)?;
        let (uncommitted, bad) = (self.uncommitted, batch.bad.len() as u64);
        let reported = batch.bad.iter().filter(|bad| bad.error.stage() == Stage::Put).count() as u64;
        let records = (batch.records.len() as u64).saturating_sub(reported);
        let skipped = if self.letters.is_some() { 0 } else { bad };
        self.control.count(|counters| {
            counters.records_in = counters.records_in.saturating_add(batch.pulled);
            counters.bytes_in = counters.bytes_in.saturating_add(batch.payload_bytes);
            counters.records_out = counters.records_out.saturating_add(records);
            counters.bytes_out = counters.bytes_out.saturating_add(batch.payload_bytes);
            counters.records_filtered = counters.records_filtered.saturating_add(batch.filtered);
            counters.records_skipped = counters.records_skipped.saturating_add(skipped);
            counters.batches = counters.batches.saturating_add(1);
            counters.records_uncommitted = uncommitted;
        });
        self.control.steps.ran(Step::Put, batch.records.len() as u64);
        batch.record_latencies(&self.control.latencies);
        self.stored_runs = std::mem::take(&mut batch.stored);
        Ok(())
    }

    /// Logs what is bad and sends its letters on their way.
    fn give_up(&mut self, bad: &[Bad]) -> Result<()> {
        for Bad { topic, message, error, .. } in bad {
            let place = consumed(topic, message);
            self.errant.log(error, &place);
            let fate = Fate::given_up(self.letters.is_some());
            self.control.failures.add(fate, error, place_of(topic, message), preview_of(message));
            if let Some(letters) = &mut self.letters {
                letters.send(message, &self.errant.context(Some(&place), error))?;
            }
        }
        self.settle_letters()
    }

    fn settle_letters(&mut self) -> Result<()> {
        let stored = self.letters.as_mut().map_or(Ok(0), Letters::settle)?;
        self.count_letters(stored);
        Ok(())
    }

    fn count_letters(&self, stored: u64) {
        self.control.count(|counters| counters.dead_letters = counters.dead_letters.saturating_add(stored));
    }

    fn commit_is_due(&self) -> bool {
        let long = self.dirty_since.is_some_and(|since| since.elapsed() >= self.commit_interval);
        let letters = self.letters.as_ref().is_some_and(|one| one.unconfirmed_bytes() >= self.letters_bytes_max);
        long || letters || self.uncommitted >= self.uncommitted_max / 2 && self.uncommitted > 0
    }

    /// Begins to flush the sink, so that a commit can follow while further records are put. A sink that can't, and letters that
    /// are on their way, are waited for instead.
    async fn begin_flush(&mut self, task: &mut dyn DynSinkTask) -> Result<()> {
        if self.letters.as_ref().is_some_and(|letters| letters.unconfirmed_bytes() > 0) {
            return self.commit(task).await;
        }
        let stored = match task.flush_beside().await {
            Ok(Some(stored)) => stored,
            Err(error) if error.retry() != Retry::Later => return Err(error),
            _ => return self.commit(task).await,
        };
        let done = self.consumer.done_so_far();
        self.flushing = Some(Flushing::new(stored, done, self.uncommitted, self.control.steps.clone()));
        self.dirty_since = None;
        self.end_flush(task).await
    }

    /// Commits what the flush under way covered, if that is over; waits for it when the window is full.
    async fn end_flush(&mut self, task: &mut dyn DynSinkTask) -> Result<()> {
        let is_full = self.uncommitted >= self.uncommitted_max;
        match &mut self.flushing {
            Some(flushing) if is_full => flushing.over().await,
            Some(flushing) => {
                let _ = poll_once(flushing.over()).await;
            }
            None => return Ok(()),
        }
        match self.commit_flushed().await {
            Err(error) if error.retry() == Retry::Later => self.commit(task).await,
            outcome => outcome,
        }
    }

    /// Commits what a flush covered that is over. After an error all of it waits for a flush again.
    async fn commit_flushed(&mut self) -> Result<()> {
        let over = self.flushing.take_if(|flushing| flushing.is_over());
        let Some((flushed, done, records)) = over.and_then(Flushing::outcome) else { return Ok(()) };
        let outcome = match flushed {
            Ok(()) => {
                let committed = self.commit_done(&done).await;
                if let Err(error) = &committed {
                    self.control.steps.traces().failed(error);
                }
                committed
            }
            Err(error) => Err(error),
        };
        if outcome.is_ok() {
            self.committed(records);
        } else {
            self.dirty_since.get_or_insert_with(Instant::now);
        }
        outcome
    }

    /// Commits how far the queues were done when what they brought was flushed.
    async fn commit_done(&mut self, done: &[Done]) -> Result<()> {
        self.control.steps.enter(Step::Commit, Manner::Busy);
        let committed = self.consumer.commit_done(done).await;
        self.control.steps.leave();
        committed
    }

    /// So many more records are committed.
    fn committed(&mut self, records: u64) {
        self.uncommitted = self.uncommitted.saturating_sub(records);
        let uncommitted = self.uncommitted;
        self.control.steps.ran(Step::Commit, records);
        self.control.troubles.over(Call::Commit);
        self.control.count(|counters| {
            counters.commits = counters.commits.saturating_add(1);
            counters.records_committed = counters.records_committed.saturating_add(records);
            counters.records_uncommitted = uncommitted;
        });
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
            wait_to_retry(&self.control, &self.client, Call::Commit, error, attempt).await?;
            self.consumer.follow_brokers();
        }
        Ok(())
    }

    async fn try_commit(&mut self, task: &mut dyn DynSinkTask) -> Result<()> {
        if let Some(flushing) = &mut self.flushing {
            flushing.over().await;
            self.commit_flushed().await?;
        }
        if self.dirty_since.is_none() {
            return Ok(());
        }
        let steps = self.control.steps.clone();
        steps.enter(Step::Flush, Manner::Busy);
        let flushed = task.flush().await;
        steps.leave();
        flushed?;
        steps.ran(Step::Flush, self.uncommitted);
        if let Some(letters) = &mut self.letters {
            let stored = letters.flush().await?;
            self.count_letters(stored);
        }
        let done = self.consumer.done_so_far();
        self.commit_done(&done).await?;
        self.dirty_since = None;
        self.committed(self.uncommitted);
        Ok(())
    }

    /// Waits until something arrives, is to be told, or is due.
    async fn wait(&mut self, arrived_seen: u64) {
        let control_seen = self.control.changed.seen();
        if self.control.wanted.get() != Wanted::Run || self.consumer.needs_rebalance() {
            return;
        }
        let assignment = self.consumer.assignment_changed();
        let assignment_seen = assignment.seen();
        let arrived = self.consumer.arrived();
        let told = first(self.control.changed.since(control_seen), assignment.since(assignment_seen));
        let something = first(arrived.since(arrived_seen), told);
        // What is known to lie at the broker is on its way; else there is nothing to pull.
        let is_asked_for = self.control.reading.lag().is_some_and(|lag| lag > 0);
        let manner = if is_asked_for { Manner::Busy } else { Manner::Starved };
        self.control.steps.enter(Step::Pull, manner);
        if self.spare_records.room() > SPARE_RECORDS_MAX {
            self.spare_records = Rows::default();
        }
        match (&mut self.flushing, self.dirty_since) {
            (Some(flushing), _) => {
                let _ = first(something, flushing.over()).await;
            }
            (None, Some(since)) => {
                let left = self.commit_interval.saturating_sub(since.elapsed());
                let _ = first(something, D::sleep(left)).await;
            }
            (None, None) => {
                let _ = something.await;
            }
        }
        self.control.steps.leave();
    }
}

/// The message in an answer can't be read as it was when it came.
fn unreadable(error: MessageError) -> ConnectError {
    ConnectError::fatal(Stage::Consume, "a pulled message can't be read again").caused_by(error)
}

/// Where a message stands, as people read it.
fn place_of(topic: &Arc<str>, message: &Message) -> String {
    format!("topic={topic} queueId={} queueOffset={}", message.queue_id, message.queue_offset)
}

/// The beginning of a message's body.
fn preview_of(message: &Message) -> String {
    preview_bytes(&message.plain_body().unwrap_or_else(|_| message.body.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn puts_grow_while_they_are_slow_and_shrink_when_they_are_quick() {
        let mut records = PUT_RECORDS_QUICK;
        let mut after = |time| {
            records = put_records_after(records, time);
            records
        };
        let (slow, quick) = (PUT_SLOW, PUT_SLOW / 2);
        assert_eq!([slow, slow, slow, slow].map(&mut after), [1024, 2048, PUT_RECORDS_MAX, PUT_RECORDS_MAX]);
        assert_eq!([quick, slow, quick, quick].map(&mut after), [2048, PUT_RECORDS_MAX, 2048, 1024]);
        assert_eq!([quick, quick].map(&mut after), [PUT_RECORDS_QUICK; 2]);
    }
}
