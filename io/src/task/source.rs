//! The source loop: poll → chain → convert → send → confirm → commit the contiguous prefix.
//!
//! Per record of 100 bytes: one copy (into the batch), no system call, no allocation, about 100 ns; system calls,
//! counters and log decisions come once a batch.

use std::collections::{BTreeSet, VecDeque};
use std::future::poll_fn;
use std::ops::Range;
use std::rc::Rc;
use std::task::ready;
use std::time::{Duration, Instant};

use rmqc_core::command::TaskSpec;
use rmqc_core::config::connector as keys;
use rmqc_core::connector::DynSourceTask;
use rmqc_core::context::TaskContext;
use rmqc_core::error::{ConnectError, Result, Retry, Stage};
use rmqc_core::inflight::Sequence;
use rmqc_core::metrics::{Step, WindowUse};
use rmqc_core::position::Position;
use rmqc_core::record::{ConnectRecord, RecordBatch};
use rmqc_core::tap::TapStage;
use rmqc_core::transform::Outcome;

use super::commit::Commits;
use super::errant::{Errant, Place, letter_topic, try_again, unwritable};
use super::records::{Encoded, Stages, topic_name};
use super::{
    CloseClient, DRAIN_TIMEOUT, StopDeadline, TaskEnd, commit_interval, hold, poll_settles, size, stand_still,
    task_client, task_context, tell_running, tell_state, unique_ids, wait_to_retry,
};
use crate::driver::Driver;
use crate::local::{First, first};
use crate::pace::Pace;
use crate::producer::properties::PropertiesWriter;
use crate::producer::{Producer, ProducerSettings, Refused, TopicIndex, Watch};
use crate::remoting::client::Client;
use crate::remoting::properties::{KEYS, find};
use crate::shard::context::{ShardContext, TaskControl, Wanted};
use crate::shard::failures::{Fate, preview, preview_bytes};
use crate::shard::memory::Share;
use crate::shard::steps::{Manner, is_sampled};
use crate::shard::trouble::Call;

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

/// The part of the loop that goes on while a poll is under way.
struct Flow<D: Driver> {
    shard: Rc<ShardContext>,
    control: Rc<TaskControl>,
    client: Client<D>,
    producer: Producer<D>,
    commits: Commits,
    limits: Limits,
    /// The task's part of the shard's memory.
    share: Share,
    /// Records that wait until the cluster tells where their topic is.
    held: VecDeque<Held>,
    errant: Errant,
    /// The dead letter topic, if there is to be one.
    letter_topic: Option<TopicIndex>,
    /// Letters on their way.
    letters: BTreeSet<Sequence>,
    /// Writes the properties of letters whose records are messages already.
    letter_writer: PropertiesWriter,
    /// The message that the broker refused and that stops the task.
    stopped_at: Option<Sequence>,
    /// Records given up since the breaker last looked.
    bad: u64,
    /// When the source was last asked, and when it gave all that it had.
    pace: Pace,
    /// Why the task stops once everything before the record at fault is committed.
    stop: Option<ConnectError>,
}

/// A record on its way through the task.
enum Held {
    /// As it was polled.
    Polled(ConnectRecord),
    /// Through the chain.
    Ready(Ready),
}

/// A record through the chain, with its position.
struct Ready {
    record: ConnectRecord,
    /// As it was before the chain changed it.
    original: Option<Box<ConnectRecord>>,
}

/// Runs a source task until it is told to stop or fails.
pub(super) async fn run<D: Driver>(
    shard: Rc<ShardContext>,
    control: Rc<TaskControl>,
    spec: TaskSpec,
    build: fn(TaskContext) -> Result<Box<dyn DynSourceTask>>,
) -> TaskEnd {
    let mut task = match build(task_context(&shard, &control, &spec)) {
        Ok(task) => task,
        Err(error) => return TaskEnd::Failed(error),
    };
    let (client, number) = task_client::<D>(&shard, &spec);
    let closing = CloseClient(client.clone());
    let config = &spec.config;
    let stages = Stages::build(config, PropertiesWriter::new(unique_ids(number)));
    let settings = ProducerSettings {
        batch_bytes_max: size(&keys::BATCH_BYTES, config),
        batch_messages_max: size(&keys::BATCH_MESSAGES, config),
        inflight_requests_max: size(&keys::INFLIGHT_REQUESTS, config).max(1),
        ordered: keys::ORDERING.boolean(config),
    };
    let letter_ids = shard.next_client();
    let limits = Limits {
        uncommitted_records: size(&keys::UNCOMMITTED_RECORDS, config) as u64,
        unconfirmed_bytes: size(&keys::UNCOMMITTED_BYTES, config) as u64,
        commit_interval: commit_interval(config),
    };
    control.window.set(WindowUse {
        records_max: limits.uncommitted_records,
        bytes_max: limits.unconfirmed_bytes,
        batch_records_max: settings.batch_messages_max as u64,
        ..WindowUse::default()
    });
    let watch = Watch { steps: control.steps.clone(), latencies: control.latencies.clone() };
    let flow = Flow {
        producer: Producer::new(
            client.clone(),
            settings,
            shard.turns_of(&spec.task.connector),
            control.troubles.sending.clone(),
            Some(watch),
        ),
        share: shard.memory.share(),
        commits: Commits::new(shard.clone(), control.clone()),
        shard,
        control,
        client: client.clone(),
        limits,
        held: VecDeque::new(),
        errant: Errant::new(&spec.task, config),
        letter_topic: None,
        letters: BTreeSet::new(),
        letter_writer: PropertiesWriter::new(unique_ids(letter_ids)),
        stopped_at: None,
        bad: 0,
        pace: Pace::default(),
        stop: None,
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
    flow.open_letters().await?;
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
                let drained = flow.drain(false).await?;
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
        if let Some(error) = flow.stop.take() {
            // Everything before the record at fault is delivered, and the committed position points at it.
            return Err(flow.end_with(task, error).await);
        }
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
        let records = batch.len() as u64;
        flow.control.steps.polled(records, batch.is_full());
        flow.pace.gave(!batch.is_full() && flow.control.backlog.get().is_nothing());
        flow.send(&mut stages, &mut batch).await?;
        match polled {
            Ok(()) => {
                failures = 0;
                flow.control.troubles.over(Call::Poll);
            }
            Err(error) if error.retry() == Retry::Later => {
                failures = failures.saturating_add(1);
                wait_to_retry(&flow.control, &flow.client, Call::Poll, error, failures).await?;
            }
            // The source has moved past what it could not read.
            Err(error) if error.retry() == Retry::BadRecord && flow.errant.policy.tolerant => flow.skip(&error),
            Err(error) => {
                if error.retry() == Retry::BadRecord {
                    flow.control.failures.add(Fate::Stopped, &error, "", String::new());
                }
                flow.stop = flow.stop.take().or(Some(error));
            }
        }
        let bad = std::mem::take(&mut flow.bad);
        if let Some(cause) = flow.errant.note(records, bad)
            && flow.stop.is_none()
        {
            flow.drain(true).await?;
            flow.tell_committed(task).await?;
            hold(&flow.shard, &flow.control, cause).await;
        }
    }
}

fn without_position() -> ConnectError {
    ConnectError::fatal(Stage::Poll, "the source gave a record without a position")
}

impl<D: Driver> Flow<D> {
    /// Records that may still be handed on before something is committed.
    fn room(&self) -> usize {
        let room = self.limits.uncommitted_records.saturating_sub(self.commits.inflight.uncommitted());
        usize::try_from(room).unwrap_or(usize::MAX).min(POLL_RECORDS_MAX)
    }

    /// Says how many bytes are held now; gives their number.
    fn note_bytes(&self) -> u64 {
        let bytes = self.producer.unconfirmed_bytes();
        self.share.set(bytes);
        self.control.holds_bytes(bytes);
        bytes
    }

    fn is_full(&self) -> bool {
        let bytes = self.note_bytes();
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
        let control = self.control.clone();
        let mut rest = self.pace.rest().map(|rest| Box::pin(D::sleep(rest)));
        if rest.is_some() {
            control.steps.enter(Step::Poll, Manner::Starved);
        } else {
            self.pace.ask();
        }
        loop {
            let changed = self.producer.changed();
            let seen = (changed.seen(), self.control.changed.seen());
            let told = first(changed.since(seen.0), self.control.changed.since(seen.1));
            let waiting = first(first(told, self.commit_due()), poll_settles::<D>(&self.control));
            let pace = &self.pace;
            let rested = poll_fn(|cx| {
                if let Some(sleep) = &mut rest {
                    ready!(sleep.as_mut().poll(cx));
                    rest = None;
                    pace.ask();
                }
                control.steps.poll(cx, &mut poll)
            });
            if let First::A(polled) = first(rested, waiting).await {
                return Ok(polled);
            }
            control.steps.poll_rests();
            if self.control.wanted.get() != Wanted::Run || self.control.answer_due.get() {
                return Ok(Ok(()));
            }
            self.settle().await?;
            if self.stop.is_some() {
                return Ok(Ok(()));
            }
        }
    }

    /// Completes when the confirmed prefix has waited long enough for its commit.
    async fn commit_due(&self) {
        if self.commits.inflight.committable_records() == 0 || self.commits.inflight.is_committing() {
            return std::future::pending().await;
        }
        D::sleep(self.commits.until_due(self.limits.commit_interval)).await;
    }

    /// Takes confirmations and the store's answer, sends what waits for a free line, starts a commit when it is due.
    async fn settle(&mut self) -> Result<()> {
        let confirmed = self.producer.take_confirmed()?;
        self.commits.take_answer()?;
        if confirmed.batches > 0 || confirmed.retries > 0 {
            // While a poll has nothing to give, this is the only place that hears of it.
            self.note_bytes();
            let letters = self.take_letters(&confirmed.sequences);
            self.control.count(|counters| {
                counters.dead_letters = counters.dead_letters.saturating_add(letters);
                counters.records_out = counters.records_out.saturating_add(confirmed.records.saturating_sub(letters));
                counters.bytes_out = counters.bytes_out.saturating_add(confirmed.payload_bytes);
                counters.bytes_copied = counters.bytes_copied.saturating_add(confirmed.copied_bytes);
                counters.batches = counters.batches.saturating_add(confirmed.batches);
                counters.retries = counters.retries.saturating_add(confirmed.retries);
            });
        }
        for refused in confirmed.refused {
            self.take_refused(refused)?;
        }
        for sequences in confirmed.sequences {
            self.commits.confirm(sequences);
        }
        self.producer.flush_if_idle();
        let due = self.commits.until_due(self.limits.commit_interval).is_zero();
        let half_full = self.commits.inflight.committable_records() >= self.limits.uncommitted_records / 2;
        if due || half_full {
            self.commits.start().await;
        }
        let uncommitted = self.commits.inflight.uncommitted();
        self.control.count(|counters| counters.records_uncommitted = uncommitted);
        Ok(())
    }

    /// Tells the connector what has become durable.
    async fn tell_committed(&mut self, task: &mut dyn DynSourceTask) -> Result<()> {
        let committed = self.commits.take_committed();
        if committed.is_empty() { Ok(()) } else { task.committed(&committed).await }
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
        let from = self.commits.inflight.next_sequence();
        self.control.steps.traces().handing_on(from, bytes, batch.records(), &stages.default_topic);
        match self.control.tap() {
            None => {
                let sent = self.send_in_place(stages, batch).await?;
                let rest = batch.drain().skip(sent);
                if sent < usize::try_from(records).unwrap_or(usize::MAX) {
                    self.send_all::<false>(stages, rest.map(Held::Polled)).await?;
                } else {
                    drop(rest);
                    self.producer.flush_if_idle();
                }
            }
            Some(tap) => {
                tap.look_at_records(TapStage::Poll, batch.records());
                self.send_all::<true>(stages, batch.drain().map(Held::Polled)).await?;
            }
        }
        self.handed_on();
        Ok(())
    }

    /// Tells the traces that the batch in hand is on its way, unless some of it waits for its topic.
    fn handed_on(&self) {
        if self.held.is_empty() {
            self.control.steps.traces().handed_on(self.commits.inflight.next_sequence());
        }
    }

    /// Sends the first records of a batch from where they lie, as long as there is no chain, all go to one topic and none
    /// fails; gives their number. A record is 200 bytes: each move of it costs as much as finding a line's end.
    async fn send_in_place(&mut self, stages: &mut Stages, batch: &mut RecordBatch) -> Result<usize> {
        let Some(first) = batch.records().first().filter(|_| stages.chain.is_empty()) else { return Ok(0) };
        let name = topic_name(first, &stages.default_topic).into_owned();
        let Some(topic) = self.find_topic(&name).await? else { return Ok(0) };
        let now_ms = crate::host::unix_ms();
        let control = self.control.clone();
        let mut sent = 0usize;
        control.steps.work();
        for record in batch.records_mut() {
            if sent % YIELD_EVERY == YIELD_EVERY.saturating_sub(1) {
                control.steps.pause_work();
                D::yield_if_needed().await;
                control.steps.work();
            }
            if topic_name(record, &stages.default_topic) != name {
                break;
            }
            if self.send_record::<false>(stages, record, topic, now_ms)?.is_err() {
                break;
            }
            sent = sent.saturating_add(1);
        }
        control.steps.worked(sent as u64, false);
        Ok(sent)
    }

    /// Goes on with what waited for its topic.
    async fn send_held(&mut self, stages: &mut Stages) -> Result<()> {
        let held = std::mem::take(&mut self.held);
        match self.control.tap() {
            None => self.send_all::<false>(stages, held.into_iter()).await?,
            Some(_) => self.send_all::<true>(stages, held.into_iter()).await?,
        }
        self.handed_on();
        Ok(())
    }

    /// Hands records on. Whether somebody may be looking is known when it is compiled, so that nobody looking costs nothing.
    async fn send_all<const LOOKED_AT: bool>(
        &mut self,
        stages: &mut Stages,
        records: impl Iterator<Item = Held>,
    ) -> Result<()> {
        let now_ms = crate::host::unix_ms();
        let mut topic: Option<(String, TopicIndex)> = None;
        let mut records = records.enumerate();
        let (has_chain, mut count) = (!stages.chain.is_empty(), 0u64);
        let control = self.control.clone();
        control.steps.work();
        while let Some((at, held)) = records.next() {
            if at % YIELD_EVERY == YIELD_EVERY.saturating_sub(1) {
                control.steps.pause_work();
                D::yield_if_needed().await;
                control.steps.work();
            }
            count = count.saturating_add(1);
            let is_sampled = has_chain && is_sampled(at as u64);
            if is_sampled {
                control.steps.sample();
            }
            let is_new = matches!(held, Held::Polled(_));
            let ready = match held {
                Held::Ready(ready) => Some(ready),
                Held::Polled(record) if stages.chain.is_empty() => Some(Ready { record, original: None }),
                Held::Polled(record) => self.transform(stages, record, now_ms).await?,
            };
            if is_sampled {
                control.steps.left_chain();
            }
            if LOOKED_AT
                && is_new
                && let Some(ready) = &ready
            {
                self.look_at_record(&ready.record);
            }
            let Some(mut ready) = ready else {
                if self.stop.is_some() {
                    break;
                }
                continue;
            };
            let name = topic_name(&ready.record, &stages.default_topic);
            let known = topic.as_ref().filter(|(known, _)| *known == *name).map(|(_, index)| *index);
            let index = match known {
                Some(index) => index,
                None => {
                    let name = name.into_owned();
                    let Some(index) = self.find_topic(&name).await? else {
                        self.held.push_back(Held::Ready(ready));
                        self.held.extend(records.map(|(_, held)| held));
                        break;
                    };
                    topic = Some((name, index));
                    index
                }
            };
            if let Err(error) = self.send_record::<LOOKED_AT>(stages, &mut ready.record, index, now_ms)? {
                self.send_failed(stages, ready, error, index, now_ms).await?;
            }
            if is_sampled {
                control.steps.left_converters();
            }
            if self.stop.is_some() {
                break;
            }
        }
        self.producer.flush_if_idle();
        control.steps.worked(count, has_chain);
        Ok(())
    }

    fn look_at_record(&self, record: &ConnectRecord) {
        if let Some(tap) = self.control.tap() {
            tap.look_at_records(TapStage::Transform, std::slice::from_ref(record));
        }
    }

    /// A record through the chain; nothing when it was dropped, given up, or stops the task.
    async fn transform(&mut self, stages: &mut Stages, record: ConnectRecord, now_ms: i64) -> Result<Option<Ready>> {
        let mut record = record;
        let Some(position) = record.position.take() else {
            return Err(without_position());
        };
        // Transforms see the topic to which the record goes if they do not send it elsewhere.
        if record.topic.is_none() && !stages.default_topic.is_empty() {
            record.topic = Some(stages.default_topic.clone());
        }
        let original = Box::new(record.clone());
        let (started, mut attempt) = (Instant::now(), 0u32);
        loop {
            match stages.chain.apply(&mut record) {
                Ok(Outcome::Keep) => {
                    record.position = Some(position);
                    return Ok(Some(Ready { record, original: Some(original) }));
                }
                Ok(Outcome::Drop) => {
                    let sequence = self.commits.inflight.push(position);
                    self.commits.confirm(sequence..sequence.saturating_add(1));
                    self.control
                        .count(|counters| counters.records_filtered = counters.records_filtered.saturating_add(1));
                    return Ok(None);
                }
                Err(error) => {
                    attempt = attempt.saturating_add(1);
                    if !self.try_again(&error, attempt, started).await {
                        self.give_up(stages, &original, position, error, now_ms)?;
                        return Ok(None);
                    }
                    record = (*original).clone();
                }
            }
        }
    }

    async fn try_again(&self, error: &ConnectError, attempt: u32, started: Instant) -> bool {
        try_again::<D>(&self.errant, &self.control, &self.client, error, (attempt, started)).await
    }

    /// The handle of a topic; tried until the cluster tells, or the task is to do something else.
    async fn find_topic(&mut self, name: &str) -> Result<Option<TopicIndex>> {
        if name.is_empty() {
            let what = "source connect lack of topic config: set connect.topicname";
            return Err(ConnectError::fatal(Stage::Send, what));
        }
        if let Some(index) = self.producer.fresh_topic(name) {
            return Ok(Some(index));
        }
        let steps = self.control.steps.clone();
        let _asking = steps.interrupt(Step::Send, Manner::Busy);
        let mut attempt = 0u32;
        loop {
            match self.producer.topic(name).await {
                Ok(index) => {
                    self.control.troubles.over(Call::Topic);
                    return Ok(Some(index));
                }
                Err(error) => {
                    attempt = attempt.saturating_add(1);
                    wait_to_retry(&self.control, &self.client, Call::Topic, error, attempt).await?;
                }
            }
            if self.control.wanted.get() != Wanted::Run {
                return Ok(None);
            }
        }
    }

    /// Converts a record and hands it to the producer; its position is taken then. Gives the reason of one that can't be
    /// converted.
    fn send_record<const LOOKED_AT: bool>(
        &mut self,
        stages: &mut Stages,
        record: &mut ConnectRecord,
        topic: TopicIndex,
        now_ms: i64,
    ) -> Result<std::result::Result<(), ConnectError>> {
        let position = record.position.take();
        match stages.encode(record, now_ms) {
            Ok(Encoded { key, body, properties }) => {
                let position = position.ok_or_else(without_position)?;
                let sequence = self.commits.inflight.push(position);
                if LOOKED_AT && let Some(tap) = self.control.tap() {
                    let timestamp_ms = record.timestamp_ms;
                    let parts = (self.producer.topic_name(topic), timestamp_ms, key.as_deref(), &body[..], properties);
                    tap.look_at_sent(parts);
                }
                let key = key.as_deref().map(String::from_utf8_lossy);
                let timed = (sequence, record.timestamp_ms);
                self.producer.append_timed(topic, key.as_deref(), &body, properties, timed)?;
                Ok(Ok(()))
            }
            Err(error) => {
                record.position = position;
                Ok(Err(error))
            }
        }
    }

    /// Deals with a record that could not be converted: tries again, gives it up, or stops the task.
    async fn send_failed(
        &mut self,
        stages: &mut Stages,
        ready: Ready,
        error: ConnectError,
        topic: TopicIndex,
        now_ms: i64,
    ) -> Result<()> {
        let (mut ready, mut error) = (ready, error);
        let (started, mut attempt) = (Instant::now(), 1u32);
        while self.try_again(&error, attempt, started).await {
            match self.send_record::<true>(stages, &mut ready.record, topic, now_ms)? {
                Ok(()) => return Ok(()),
                Err(failed) => error = failed,
            }
            attempt = attempt.saturating_add(1);
        }
        let position = ready.record.position.take().ok_or_else(without_position)?;
        let original = ready.original.as_deref().unwrap_or(&ready.record);
        self.give_up(stages, original, position, error, now_ms)
    }

    /// Gives a record up if that is allowed: its letter goes out in its place in the window. Else the task is to stop.
    fn give_up(
        &mut self,
        stages: &mut Stages,
        original: &ConnectRecord,
        position: Position,
        error: ConnectError,
        now_ms: i64,
    ) -> Result<()> {
        let place = Place(&position);
        if !self.errant.policy.tolerant || error.retry() != Retry::BadRecord {
            self.control.failures.add(Fate::Stopped, &error, place, preview(&original.value));
            self.stop = Some(error);
            return Ok(());
        }
        let fate = Fate::given_up(self.letter_topic.is_some());
        self.control.failures.add(fate, &error, place, preview(&original.value));
        self.bad = self.bad.saturating_add(1);
        self.errant.log(&error, format_args!("source record is at {:?} {:?}", position.partition.0, position.offset));
        let sequence = self.commits.inflight.push(position);
        let Some(topic) = self.letter_topic else {
            self.commits.confirm(sequence..sequence.saturating_add(1));
            self.control.count(|counters| counters.records_skipped = counters.records_skipped.saturating_add(1));
            return Ok(());
        };
        let context = self.errant.context(None, &error);
        let letter = stages.letter(original, &context, now_ms).map_err(unwritable)?;
        let key = letter.key.as_deref().map(String::from_utf8_lossy);
        self.producer.append(topic, key.as_deref(), &letter.body, letter.properties, sequence).map_err(unwritable)?;
        self.letters.insert(sequence);
        Ok(())
    }

    /// Gives a message up that the broker will never take, if that is allowed. Else the task is to stop.
    fn take_refused(&mut self, refused: Refused) -> Result<()> {
        let Refused { sequence, body, properties, error } = refused;
        if self.letters.contains(&sequence) {
            return Err(unwritable(error));
        }
        let fate =
            if self.errant.policy.tolerant { Fate::given_up(self.letter_topic.is_some()) } else { Fate::Stopped };
        match self.commits.inflight.position(sequence) {
            Some(position) => self.control.failures.add(fate, &error, Place(&position), preview_bytes(&body)),
            None => self.control.failures.add(fate, &error, "", preview_bytes(&body)),
        }
        if !self.errant.policy.tolerant {
            let first = self.stopped_at.is_none_or(|known| sequence < known);
            if first {
                (self.stopped_at, self.stop) = (Some(sequence), Some(error));
            }
            return Ok(());
        }
        self.bad = self.bad.saturating_add(1);
        self.errant.log(&error, "the broker refused the message");
        let Some(topic) = self.letter_topic else {
            self.commits.confirm(sequence..sequence.saturating_add(1));
            self.control.count(|counters| counters.records_skipped = counters.records_skipped.saturating_add(1));
            return Ok(());
        };
        let context = self.errant.context(None, &error);
        let written = self.letter_writer.write_letter(crate::host::unix_ms(), &properties, &context);
        let written = written.map_err(unwritable)?;
        let key = find(&properties, KEYS).map(String::from_utf8_lossy);
        self.producer.append(topic, key.as_deref(), &body, written, sequence).map_err(unwritable)?;
        self.letters.insert(sequence);
        Ok(())
    }

    /// Passes over something that the source could not read.
    fn skip(&mut self, error: &ConnectError) {
        self.bad = self.bad.saturating_add(1);
        self.errant.log(error, "the source has no record");
        self.control.failures.add(Fate::Skipped, error, "", String::new());
        self.control.count(|counters| counters.records_skipped = counters.records_skipped.saturating_add(1));
    }

    /// Letters among confirmed records; they are no longer on their way.
    fn take_letters(&mut self, confirmed: &[Range<Sequence>]) -> u64 {
        if self.letters.is_empty() {
            return 0;
        }
        let before = self.letters.len();
        self.letters.retain(|letter| !confirmed.iter().any(|range| range.contains(letter)));
        before.saturating_sub(self.letters.len()) as u64
    }

    /// Finds the dead letter topic, if there is to be one; tried until the cluster tells, or the task is to stop.
    async fn open_letters(&mut self) -> Result<()> {
        let Some(queue) = self.errant.letter_queue().cloned() else { return Ok(()) };
        let mut attempt = 0u32;
        while self.control.wanted.get() != Wanted::Stop {
            match letter_topic(&mut self.producer, &queue).await {
                Ok(index) => {
                    self.letter_topic = Some(index);
                    self.control.troubles.over(Call::Topic);
                    return Ok(());
                }
                Err(error) => {
                    attempt = attempt.saturating_add(1);
                    wait_to_retry(&self.control, &self.client, Call::Topic, error, attempt).await?;
                }
            }
        }
        Ok(())
    }

    /// Delivers and commits everything before the record at fault; gives the error to end with.
    async fn end_with(&mut self, task: &mut dyn DynSourceTask, error: ConnectError) -> ConnectError {
        if let Err(other) = self.drain(true).await {
            tracing::warn!(task = %self.control.task, "ending because of another failure: {other}");
            return error;
        }
        if let Err(other) = self.tell_committed(task).await {
            tracing::warn!(task = %self.control.task, "the source could not be told what was committed: {other}");
        }
        error
    }

    /// Whether all is committed up to the message that stops the task; what was sent behind it comes again.
    fn has_come_to_its_end(&self) -> bool {
        self.stopped_at.is_some_and(|sequence| self.commits.inflight.has_come_to(sequence))
    }

    /// Waits until everything handed on is confirmed and committed; false when the task is to run again before that. A
    /// task that is `ending` for a reason of its own is to run all the same.
    async fn drain(&mut self, ending: bool) -> Result<bool> {
        let mut deadline = StopDeadline::default();
        loop {
            let changed = self.producer.changed();
            let seen = (changed.seen(), self.control.changed.seen());
            self.settle().await?;
            self.producer.flush();
            if self.commits.inflight.uncommitted() == 0 || self.has_come_to_its_end() {
                return Ok(true);
            }
            if !ending && self.control.wanted.get() == Wanted::Run {
                return Ok(false);
            }
            if self.commits.inflight.committable_records() > 0 {
                self.commits.start().await;
            }
            let left = deadline.left(&self.control);
            if left.is_some_and(|left| left.is_zero()) {
                let what = format!(
                    "{} records were still not confirmed or committed after {} s; they are sent again at the next start",
                    self.commits.inflight.uncommitted(),
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
