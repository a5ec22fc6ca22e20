//! The direct loop: source → chain → sink on one shard, without a broker and without converters.
//!
//! One batch is under way at a time. Its positions count as handed on when the sink has accepted it, are confirmed when
//! the sink was flushed, and only then go to the store: so nothing is committed that a crash could lose, and what was
//! not accepted is not committed at all.

use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rmqc_core::chain::Chain;
use rmqc_core::command::TaskSpec;
use rmqc_core::config::connector as keys;
use rmqc_core::config::key::ConfigKey;
use rmqc_core::connector::{DynSinkTask, DynSourceTask};
use rmqc_core::context::ErrantRecords;
use rmqc_core::error::{ConnectError, Result, Retry, Stage};
use rmqc_core::inflight::Sequence;
use rmqc_core::metrics::{Step, WindowUse};
use rmqc_core::position::Position;
use rmqc_core::record::{ConnectRecord, RecordBatch};
use rmqc_core::registry::{ConnectorFactory, ConnectorKind, TaskBuilder, find_task};
use rmqc_core::tap::TapStage;
use rmqc_core::transform::Outcome;

use super::batch::record_to_put;
use super::commit::Commits;
use super::errant::{Errant, Letters, Place, try_again};
use super::{
    CloseClient, DRAIN_TIMEOUT, StopDeadline, TaskEnd, chain, commit_interval, hold, poll_settles, size, stand_still,
    task_client, task_context, tell_running, tell_state, topic_of, wait_to_retry,
};
use crate::driver::Driver;
use crate::local::{First, first};
use crate::remoting::client::Client;
use crate::shard::context::{ShardContext, TaskControl, Wanted};
use crate::shard::failures::{Fate, preview};
use crate::shard::memory::Share;
use crate::shard::steps::Manner;
use crate::shard::trouble::Call;

/// Most records of one batch.
const BATCH_RECORDS_MAX: usize = 4096;
/// Most bytes of one batch.
const BATCH_BYTES_MAX: usize = 1024 * 1024;
/// Records between two looks at the clock in the inner loop.
const YIELD_EVERY: usize = 256;
/// Pause after a poll that brought nothing, so that a source that does not wait by itself leaves the core to others.
const EMPTY_POLL_PAUSE: Duration = Duration::from_millis(5);

/// The two connectors' tasks.
struct Halves {
    source: Box<dyn DynSourceTask>,
    sink: Box<dyn DynSinkTask>,
    sink_class: &'static str,
    reports: Rc<ErrantRecords>,
}

/// A record that is given up when its batch is accepted.
struct Bad {
    record: ConnectRecord,
    error: ConnectError,
    /// Place among the polled records.
    at: usize,
}

/// What was polled and not yet accepted by the sink.
#[derive(Default)]
struct Batch {
    records: Vec<ConnectRecord>,
    /// Place of each record among the polled ones.
    places: Vec<usize>,
    /// Of all polled records, those that the chain dropped too.
    positions: Vec<Position>,
    bad: Vec<Bad>,
    /// Records that the sink has reported as bad: their places in `records`, in order, each once.
    reported: Vec<usize>,
    bytes: u64,
    /// Why the task stops once the records before the one at fault are committed.
    stop: Option<ConnectError>,
}

impl Batch {
    /// Records that the chain dropped.
    fn filtered(&self) -> u64 {
        let in_chain = self.bad.iter().filter(|bad| bad.error.stage() != Stage::Put).count();
        self.positions.len().saturating_sub(self.records.len()).saturating_sub(in_chain) as u64
    }

    /// Ends the batch before the record at `index`, which stops the task.
    fn cut(&mut self, index: usize, error: ConnectError) {
        let place = self.places.get(index).copied().unwrap_or(self.positions.len());
        self.records.truncate(index);
        self.places.truncate(index);
        self.positions.truncate(place);
        self.bad.retain(|bad| bad.at < place);
        self.stop = Some(error);
    }
}

/// Keeps a record that failed for people to look at.
fn note_failed(control: &TaskControl, fate: Fate, error: &ConnectError, record: &ConnectRecord) {
    let value = preview(&record.value);
    match &record.position {
        Some(position) => control.failures.add(fate, error, Place(position), value),
        None => control.failures.add(fate, error, "", value),
    }
}

struct Flow<D: Driver> {
    shard: Rc<ShardContext>,
    control: Rc<TaskControl>,
    client: Client<D>,
    chain: Chain,
    default_topic: Arc<str>,
    commits: Commits,
    errant: Errant,
    /// What the sink reports record by record.
    reports: Rc<ErrantRecords>,
    sink_class: &'static str,
    /// Where given-up records go, if they go anywhere.
    letters: Option<Letters<D>>,
    batch: Batch,
    batch_bytes_max: usize,
    uncommitted_max: u64,
    commit_interval: Duration,
    /// The task's part of the shard's memory.
    share: Share,
    /// Records accepted, and those given up, since the breaker last looked.
    records: u64,
    bad_records: u64,
    /// Why the task stops when everything accepted is committed.
    stop: Option<ConnectError>,
    /// Accepted by the sink and not flushed: from this sequence on.
    unflushed_from: Sequence,
    /// Since when something waits for a flush.
    dirty_since: Option<Instant>,
}

/// Runs a direct task until it is told to stop or fails.
pub(super) async fn run<D: Driver>(shard: Rc<ShardContext>, control: Rc<TaskControl>, spec: TaskSpec) -> TaskEnd {
    let mut halves = match build(&shard, &control, &spec) {
        Ok(halves) => halves,
        Err(error) => return TaskEnd::Failed(error),
    };
    // It connects only if dead letters are to be written.
    let (client, number) = task_client::<D>(&shard, &spec);
    let closing = CloseClient(client.clone());
    let outcome = match flow(shard, control, &spec, client.clone(), &halves) {
        Ok(mut flow) => match Letters::open(&client, number, &flow.errant, &flow.control).await {
            Ok(letters) => {
                flow.letters = letters;
                run_loop(&mut halves, flow).await
            }
            Err(error) => Err(error),
        },
        Err(error) => Err(error),
    };
    halves.source.stop().await;
    halves.sink.stop().await;
    drop(closing);
    match outcome {
        Ok(end) => end,
        Err(error) => TaskEnd::Failed(error),
    }
}

fn build(shard: &ShardContext, control: &TaskControl, spec: &TaskSpec) -> Result<Halves> {
    let wrong = |key: &ConfigKey| {
        let class = key.text(&spec.config).unwrap_or_default();
        ConnectError::fatal(Stage::Lifecycle, format!("{}: no such task is called {class}", key.name))
    };
    let find = |key: &ConfigKey, kind: ConnectorKind| -> Option<&'static ConnectorFactory> {
        find_task(key.text(&spec.config).unwrap_or_default(), kind)
    };
    let source = find(&keys::SOURCE_TASK_CLASS, ConnectorKind::Source).map(|factory| factory.build);
    let sink = find(&keys::SINK_TASK_CLASS, ConnectorKind::Sink);
    let sink_class = sink.map_or("", |factory| factory.java_task_class);
    let sink = sink.map(|factory| factory.build);
    let Some(TaskBuilder::Source(source)) = source else { return Err(wrong(&keys::SOURCE_TASK_CLASS)) };
    let Some(TaskBuilder::Sink(sink)) = sink else { return Err(wrong(&keys::SINK_TASK_CLASS)) };
    let context = task_context(shard, control, spec);
    let mut sink_context = context.clone();
    sink_context.positions = Arc::default();
    // What waits is the source's to say.
    sink_context.backlog = Rc::default();
    let reports = sink_context.errant.clone();
    Ok(Halves { source: source(context)?, sink: sink(sink_context)?, sink_class, reports })
}

fn flow<D: Driver>(
    shard: Rc<ShardContext>,
    control: Rc<TaskControl>,
    spec: &TaskSpec,
    client: Client<D>,
    halves: &Halves,
) -> Result<Flow<D>> {
    let config = &spec.config;
    let batch_bytes_max = size(&keys::UNCOMMITTED_BYTES, config).min(BATCH_BYTES_MAX);
    let uncommitted_max = size(&keys::UNCOMMITTED_RECORDS, config) as u64;
    control.window.set(WindowUse {
        records_max: uncommitted_max,
        bytes_max: batch_bytes_max as u64,
        batch_records_max: uncommitted_max.min(BATCH_RECORDS_MAX as u64),
        ..WindowUse::default()
    });
    Ok(Flow {
        client,
        chain: chain(config)?,
        default_topic: topic_of(config),
        commits: Commits::new(shard.clone(), control.clone()),
        errant: Errant::new(&spec.task, config),
        reports: halves.reports.clone(),
        sink_class: halves.sink_class,
        letters: None,
        batch: Batch::default(),
        batch_bytes_max,
        uncommitted_max,
        commit_interval: commit_interval(config),
        share: shard.memory.share(),
        records: 0,
        bad_records: 0,
        stop: None,
        unflushed_from: 0,
        dirty_since: None,
        shard,
        control,
    })
}

async fn run_loop<D: Driver>(halves: &mut Halves, mut flow: Flow<D>) -> Result<TaskEnd> {
    halves.sink.start().await?;
    halves.source.start().await?;
    let mut failures = 0u32;
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
                let drained = flow.drain(&mut *halves.sink, false).await?;
                flow.tell_committed(&mut *halves.source).await?;
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
        flow.settle(&mut *halves.sink).await?;
        flow.tell_committed(&mut *halves.source).await?;
        if flow.control.wanted.get() != Wanted::Run || !flow.put(&mut *halves.sink).await? {
            continue;
        }
        if let Some(cause) = flow.too_many_bad() {
            flow.drain(&mut *halves.sink, true).await?;
            flow.tell_committed(&mut *halves.source).await?;
            hold(&flow.shard, &flow.control, cause).await;
            continue;
        }
        if let Some(error) = flow.stop.take() {
            // Everything before the record at fault is done, and the committed position points at it.
            flow.drain(&mut *halves.sink, true).await?;
            flow.tell_committed(&mut *halves.source).await?;
            return Err(error);
        }
        if flow.room() == 0 {
            flow.wait_for_room().await;
            continue;
        }
        let polled = flow.poll(halves).await?;
        match polled {
            Ok(()) => {
                failures = 0;
                flow.control.troubles.over(Call::Poll);
            }
            // The source has moved past what it could not read.
            Err(error) if error.retry() == Retry::BadRecord && flow.errant.policy.tolerant => {
                flow.errant.log(&error, "the source has no record");
                flow.control.failures.add(Fate::Skipped, &error, "", String::new());
                flow.control.count(|counters| counters.records_skipped = counters.records_skipped.saturating_add(1));
                flow.bad_records = flow.bad_records.saturating_add(1);
            }
            Err(error) if error.retry() != Retry::Later => {
                if error.retry() == Retry::BadRecord {
                    flow.control.failures.add(Fate::Stopped, &error, "", String::new());
                }
                flow.batch.stop = flow.batch.stop.take().or(Some(error));
            }
            Err(error) => {
                // What came before the trouble is delivered first.
                flow.put(&mut *halves.sink).await?;
                failures = failures.saturating_add(1);
                wait_to_retry(&flow.control, &flow.client, Call::Poll, error, failures).await?;
            }
        }
    }
}

impl<D: Driver> Flow<D> {
    /// Records that may still be handed on before something is committed.
    fn room(&self) -> usize {
        let room = self.uncommitted_max.saturating_sub(self.commits.inflight.uncommitted());
        usize::try_from(room).unwrap_or(usize::MAX).min(BATCH_RECORDS_MAX)
    }

    /// Waits until something is stored or due, or the task is told something.
    async fn wait_for_room(&self) {
        self.control.blocked();
        let seen = self.control.changed.seen();
        if self.control.stored.borrow().is_none() {
            let _ = first(self.control.changed.since(seen), self.commit_due()).await;
        }
        self.control.unblocked();
    }

    /// Polls a batch and takes it through the chain; commits go on meanwhile. The poll is dropped only when the task is
    /// told something else; what it pushed by then stays and is put later.
    async fn poll(&mut self, halves: &mut Halves) -> Result<Result<()>> {
        let mut polled = RecordBatch::new(self.room(), self.batch_bytes_max);
        let outcome = self.poll_into(halves, &mut polled).await?;
        self.control.steps.polled(polled.len() as u64, polled.is_full());
        D::yield_if_needed().await;
        let empty = polled.is_empty();
        self.take(&mut polled).await?;
        if empty && outcome.is_ok() {
            let seen = self.control.changed.seen();
            if self.control.wanted.get() == Wanted::Run {
                self.control.steps.enter(Step::Poll, Manner::Starved);
                let _ = first(D::sleep(EMPTY_POLL_PAUSE), self.control.changed.since(seen)).await;
                self.control.steps.leave();
            }
        }
        Ok(outcome)
    }

    async fn poll_into(&mut self, halves: &mut Halves, polled: &mut RecordBatch) -> Result<Result<()>> {
        let mut poll = halves.source.poll(polled);
        let control = self.control.clone();
        loop {
            let seen = self.control.changed.seen();
            let told = first(self.control.changed.since(seen), self.commit_due());
            let waiting = first(told, poll_settles::<D>(&self.control));
            if let First::A(outcome) = first(poll_fn(|cx| control.steps.poll(cx, &mut poll)), waiting).await {
                return Ok(outcome);
            }
            control.steps.poll_rests();
            if self.control.wanted.get() != Wanted::Run || self.control.answer_due.get() {
                return Ok(Ok(()));
            }
            self.settle(&mut *halves.sink).await?;
        }
    }

    /// Takes polled records through the chain and keeps them for the sink.
    async fn take(&mut self, polled: &mut RecordBatch) -> Result<()> {
        self.batch.bytes = polled.bytes() as u64;
        self.share.set(self.batch.bytes);
        self.control.holds_bytes(self.batch.bytes);
        let records = polled.len() as u64;
        let tap = self.control.tap();
        if let Some(tap) = &tap {
            tap.look_at_records(TapStage::Poll, polled.records());
        }
        let (before, from) = (self.batch.records.len(), self.commits.inflight.next_sequence());
        self.control.steps.traces().handing_on(from, self.batch.bytes, polled.records(), &self.default_topic);
        self.control.steps.enter(Step::Transform, Manner::Busy);
        for (at, mut record) in polled.drain().enumerate() {
            if at % YIELD_EVERY == YIELD_EVERY.saturating_sub(1) {
                self.control.steps.leave();
                D::yield_if_needed().await;
                self.control.steps.enter(Step::Transform, Manner::Busy);
            }
            let Some(position) = record.position.clone() else {
                let what = "the source gave a record without a position";
                return Err(ConnectError::fatal(Stage::Poll, what));
            };
            if record.topic.is_none() && !self.default_topic.is_empty() {
                record.topic = Some(self.default_topic.clone());
            }
            let place = self.batch.positions.len();
            let original = (!self.chain.is_empty()).then(|| record.clone());
            match self.transform(&mut record, original.as_ref()).await {
                Ok(Outcome::Keep) => {
                    self.batch.records.push(record);
                    self.batch.places.push(place);
                }
                Ok(Outcome::Drop) => {}
                Err(error) if self.errant.policy.tolerant && error.retry() == Retry::BadRecord => {
                    self.batch.bad.push(Bad { record: original.unwrap_or(record), error, at: place });
                }
                Err(error) => {
                    let value = preview(&original.as_ref().unwrap_or(&record).value);
                    self.control.failures.add(Fate::Stopped, &error, Place(&position), value);
                    self.batch.stop = Some(error);
                    break;
                }
            }
            self.batch.positions.push(position);
        }
        self.control.steps.leave();
        if records > 0 {
            self.control.steps.ran(Step::Transform, records);
        }
        if let Some(tap) = &tap {
            tap.look_at_records(TapStage::Transform, self.batch.records.get(before..).unwrap_or_default());
        }
        Ok(())
    }

    /// Takes a record through the chain; a transform that asks for a later try gets it as long as the policy says.
    async fn transform(&self, record: &mut ConnectRecord, original: Option<&ConnectRecord>) -> Result<Outcome> {
        let Some(original) = original else { return Ok(Outcome::Keep) };
        let (started, mut attempt) = (Instant::now(), 0u32);
        loop {
            let error = match self.chain.apply(record) {
                Ok(outcome) => return Ok(outcome),
                Err(error) => error,
            };
            attempt = attempt.saturating_add(1);
            if !try_again::<D>(&self.errant, &self.control, &self.client, &error, (attempt, started)).await {
                return Err(error);
            }
            record.clone_from(original);
        }
    }

    /// Puts the batch until the sink accepts it; a sink whose target is away is tried again with back-off. False when the
    /// task is to do something else first: the batch waits for its return.
    async fn put(&mut self, sink: &mut dyn DynSinkTask) -> Result<bool> {
        if self.batch.positions.is_empty() && self.batch.stop.is_none() {
            return Ok(true);
        }
        if let Some(tap) = self.control.tap() {
            tap.look_at_records(TapStage::Put, &self.batch.records);
        }
        let mut attempt = 0u32;
        while !self.batch.records.is_empty() {
            self.control.steps.enter(Step::Put, Manner::Busy);
            let outcome = sink.put(&self.batch.records).await;
            self.control.steps.leave();
            let (reported, stop) = (self.reports.take(), self.reports.take_stop());
            match (outcome, stop) {
                (Ok(()), _) => {
                    self.take_reported(reported);
                    break;
                }
                (Err(error), Some(index)) if error.retry() != Retry::Later => {
                    self.take_reported(reported.into_iter().filter(|(at, _)| *at < index).collect());
                    self.note_stopped(index, &error);
                    self.batch.cut(index, error);
                    break;
                }
                // The only record there is must be the bad one.
                (Err(error), None)
                    if error.retry() == Retry::BadRecord
                        && self.errant.policy.tolerant
                        && self.batch.records.len() == 1 =>
                {
                    self.take_reported(vec![(0, error)]);
                    break;
                }
                (Err(error), _) => {
                    if error.retry() == Retry::BadRecord && self.batch.records.len() == 1 {
                        self.note_stopped(0, &error);
                    }
                    attempt = attempt.saturating_add(1);
                    wait_to_retry(&self.control, &self.client, Call::Put, error, attempt).await?;
                }
            }
            if self.control.wanted.get() != Wanted::Run {
                return Ok(false);
            }
        }
        self.accepted()?;
        Ok(true)
    }

    /// Keeps the record that stops the task for people to look at.
    fn note_stopped(&self, index: usize, error: &ConnectError) {
        if let Some(record) = self.batch.records.get(index) {
            note_failed(&self.control, Fate::Stopped, error, record);
        }
    }

    /// Records that the sink has reported as bad are given up.
    fn take_reported(&mut self, reported: Vec<(usize, ConnectError)>) {
        for (index, error) in reported {
            if let (Some(record), Some(at)) = (self.batch.records.get(index), self.batch.places.get(index)) {
                let error = error.in_class(self.sink_class);
                self.batch.reported.push(index);
                self.batch.bad.push(Bad { record: record.clone(), error, at: *at });
            }
        }
        self.batch.reported.sort_unstable();
        self.batch.reported.dedup();
    }

    /// Logs what is bad and sends its letters on their way.
    fn give_up(&mut self, bad: &[Bad]) -> Result<()> {
        for Bad { record, error, .. } in bad {
            self.errant.log(error, format_args!("source record is at {:?}", record.position));
            note_failed(&self.control, Fate::given_up(self.letters.is_some()), error, record);
            let context = self.errant.context(None, error);
            match &mut self.letters {
                Some(letters) => letters.send_record(record, &context)?,
                None => {
                    self.control.count(|counters| counters.records_skipped = counters.records_skipped.saturating_add(1))
                }
            }
        }
        self.bad_records = self.bad_records.saturating_add(bad.len() as u64);
        let stored = self.letters.as_mut().map_or(Ok(0), Letters::settle)?;
        self.control.count(|counters| counters.dead_letters = counters.dead_letters.saturating_add(stored));
        Ok(())
    }

    /// Gives the reason to pause when too many records were bad since the last call.
    fn too_many_bad(&mut self) -> Option<String> {
        let (records, bad) = (std::mem::take(&mut self.records), std::mem::take(&mut self.bad_records));
        self.errant.note(records, bad)
    }

    fn accepted(&mut self) -> Result<()> {
        let batch = std::mem::take(&mut self.batch);
        self.control.troubles.over(Call::Put);
        self.share.set(0);
        self.control.holds_bytes(0);
        self.give_up(&batch.bad)?;
        let filtered = batch.filtered();
        let reported = batch.bad.iter().filter(|bad| bad.error.stage() == Stage::Put).count();
        let polled = batch.positions.len() as u64;
        let put = batch.records.len().saturating_sub(reported) as u64;
        self.records = self.records.saturating_add(polled);
        self.stop = batch.stop;
        let nothing_to_flush = batch.records.is_empty() && batch.bad.is_empty();
        if !batch.records.is_empty() {
            self.control.steps.ran(Step::Put, batch.records.len() as u64);
            record_to_put(&batch.records, &batch.reported, &self.control.latencies, crate::host::unix_ms());
        }
        for position in batch.positions {
            self.commits.inflight.push(position);
        }
        self.control.steps.traces().handed_on(self.commits.inflight.next_sequence());
        if nothing_to_flush && self.dirty_since.is_none() {
            // Nothing of it needs a flush.
            self.confirm();
        } else {
            self.dirty_since.get_or_insert_with(Instant::now);
        }
        let uncommitted = self.commits.inflight.uncommitted();
        self.control.count(|counters| {
            counters.records_in = counters.records_in.saturating_add(polled);
            counters.bytes_in = counters.bytes_in.saturating_add(batch.bytes);
            counters.records_out = counters.records_out.saturating_add(put);
            counters.bytes_out = counters.bytes_out.saturating_add(batch.bytes);
            counters.records_filtered = counters.records_filtered.saturating_add(filtered);
            counters.batches = counters.batches.saturating_add(1);
            counters.records_uncommitted = uncommitted;
        });
        Ok(())
    }

    /// Everything accepted is safe.
    fn confirm(&mut self) {
        let end = self.commits.inflight.next_sequence();
        self.commits.confirm(self.unflushed_from..end);
        self.unflushed_from = end;
        self.dirty_since = None;
    }

    /// Time until a commit is due; nothing while there is nothing to commit, or a commit is under way.
    fn until_commit(&self) -> Option<Duration> {
        let inflight = &self.commits.inflight;
        let waiting = inflight.uncommitted();
        if waiting == 0 || inflight.is_committing() {
            return None;
        }
        if waiting >= self.uncommitted_max / 2 {
            return Some(Duration::ZERO);
        }
        let accepted =
            self.dirty_since.map_or(Duration::ZERO, |since| self.commit_interval.saturating_sub(since.elapsed()));
        Some(accepted.max(self.commits.until_due(self.commit_interval)))
    }

    async fn commit_due(&self) {
        match self.until_commit() {
            Some(left) => D::sleep(left).await,
            None => std::future::pending().await,
        }
    }

    /// Takes the store's answer; flushes the sink and starts a commit when it is due.
    async fn settle(&mut self, sink: &mut dyn DynSinkTask) -> Result<()> {
        self.commits.take_answer()?;
        let mut attempt = 0u32;
        while self.until_commit().is_some_and(|left| left.is_zero()) && self.control.wanted.get() == Wanted::Run {
            if let Err(error) = self.commit(sink).await {
                attempt = attempt.saturating_add(1);
                wait_to_retry(&self.control, &self.client, Call::Commit, error, attempt).await?;
            }
        }
        Ok(())
    }

    /// Flushes the sink, then sends the positions of what it has accepted to the store.
    async fn commit(&mut self, sink: &mut dyn DynSinkTask) -> Result<()> {
        if self.dirty_since.is_some() {
            let steps = self.control.steps.clone();
            steps.enter(Step::Flush, Manner::Busy);
            let flushed = sink.flush().await;
            steps.leave();
            flushed?;
            steps.ran(Step::Flush, self.commits.inflight.uncommitted());
            if let Some(letters) = &mut self.letters {
                let stored = letters.flush().await?;
                self.control.count(|counters| counters.dead_letters = counters.dead_letters.saturating_add(stored));
            }
            self.confirm();
        }
        self.control.troubles.over(Call::Commit);
        self.commits.start().await;
        Ok(())
    }

    /// Tells the source what has become durable.
    async fn tell_committed(&mut self, source: &mut dyn DynSourceTask) -> Result<()> {
        let committed = self.commits.take_committed();
        if committed.is_empty() { Ok(()) } else { source.committed(&committed).await }
    }

    /// Waits until everything accepted is flushed and committed; false when the task is to run again before that. What
    /// the sink has not accepted is not in the way: it waits for a resume, or comes again at the next start. A task that is
    /// `ending` for a reason of its own is to run all the same.
    async fn drain(&mut self, sink: &mut dyn DynSinkTask, ending: bool) -> Result<bool> {
        let mut deadline = StopDeadline::default();
        let mut attempt = 0u32;
        loop {
            let seen = self.control.changed.seen();
            self.commits.take_answer()?;
            let uncommitted = self.commits.inflight.uncommitted();
            if uncommitted == 0 {
                return Ok(true);
            }
            if !ending && self.control.wanted.get() == Wanted::Run {
                return Ok(false);
            }
            let mut trouble = None;
            if !self.commits.inflight.is_committing() {
                trouble = self.commit(sink).await.err();
            }
            let left = deadline.left(&self.control);
            if left.is_some_and(|left| left.is_zero()) {
                let what = format!(
                    "{uncommitted} records were still not committed after {} s; they are put again at the next start",
                    DRAIN_TIMEOUT.as_secs()
                );
                let late = ConnectError::fatal(Stage::Lifecycle, what);
                return Err(match trouble {
                    Some(trouble) => late.caused_by(trouble),
                    None => late,
                });
            }
            if let Some(error) = trouble {
                attempt = attempt.saturating_add(1);
                wait_to_retry(&self.control, &self.client, Call::Commit, error, attempt).await?;
                continue;
            }
            let told = self.control.changed.since(seen);
            match left {
                Some(left) => {
                    let _ = first(told, D::sleep(left)).await;
                }
                None => told.await,
            }
        }
    }
}
