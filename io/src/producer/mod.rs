//! The producer of one source task: records into batches, batches to queues, confirmations back.

pub mod batch;
mod lanes;
pub mod properties;
pub mod queue;
pub mod verdict;

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use rmqc_core::error::{ConnectError, Result, Retry, Stage};
use rmqc_core::inflight::Sequence;
use rmqc_core::limits::MESSAGE_BODY_BYTES_MAX;
use rmqc_core::metrics::{Span, Step};
use rmqc_core::tolerance::Backoff;

use self::batch::{OpenBatch, SealedBatch};
use self::lanes::{Lane, Lanes};
use self::queue::{QueueTurns, Rotation};
use self::verdict::{Verdict, judge};
use crate::driver::Driver;
use crate::local::{Event, Permit, Semaphore};
use crate::remoting::client::{AUTO_TOPIC_QUEUES, Client, ROUTE_REFRESH, TEMPLATE_TOPIC};
use crate::remoting::code::request;
use crate::remoting::connection::{CallError, Request, Response};
use crate::remoting::route::{QueueAddress, Route, queue_index};
use crate::shard::latency::{Latencies, TimeRuns};
use crate::shard::steps::{Manner, Passage, Steps};
use crate::shard::trace::SendSpan;
use crate::shard::trouble::Trouble;

/// Attempts for an answer whose cause is not known, before the task fails.
const DOUBTFUL_ATTEMPTS_MAX: u32 = 8;
/// Attempts on an unreachable broker before an unkeyed batch goes elsewhere.
const ATTEMPTS_BEFORE_REROUTE: u32 = 3;
/// Buffers kept for reuse.
const POOLED_BUFFERS_MAX: usize = 16;
/// Room for request overhead below the broker's limit of a batch's body.
const BATCH_BODY_BYTES_MAX: usize = MESSAGE_BODY_BYTES_MAX - 64 * 1024;
/// Prefix of the topics that hold messages for redelivery.
const RETRY_TOPIC_PREFIX: &str = "%RETRY%";
/// Silence between two warnings about one unreachable target.
const WARN_EVERY: Duration = Duration::from_secs(30);

/// Bounds of a producer.
#[derive(Clone, Copy, Debug)]
pub struct ProducerSettings {
    /// Most bytes of one batch request.
    pub batch_bytes_max: usize,
    /// Most messages of one batch request.
    pub batch_messages_max: usize,
    /// Most requests in flight to one broker.
    pub inflight_requests_max: usize,
    /// Keyed records keep their order under all circumstances: a batch never changes its queue.
    pub ordered: bool,
}

/// What has happened to handed-on records since the last look.
#[derive(Debug, Default)]
pub struct Confirmed {
    /// Records that are stored.
    pub sequences: Vec<Range<Sequence>>,
    /// Their number.
    pub records: u64,
    /// Bytes of their bodies.
    pub payload_bytes: u64,
    /// Of these, bytes copied into requests.
    pub copied_bytes: u64,
    /// Requests that carried them.
    pub batches: u64,
    /// Attempts that had to be repeated.
    pub retries: u64,
    /// Messages that the broker will never take.
    pub refused: Vec<Refused>,
}

/// A message that the broker will never take; all others of its batch are stored.
#[derive(Debug)]
pub struct Refused {
    /// Its record.
    pub sequence: Sequence,
    /// Its body.
    pub body: Bytes,
    /// Its properties block.
    pub properties: Bytes,
    /// What the broker said.
    pub error: ConnectError,
}

/// A topic as the producer knows it.
struct Topic {
    name: Arc<str>,
    route: Rc<Route>,
    /// Read and write queues to create it with, if it is not to be created as any other topic.
    queues: Option<(u32, u32)>,
    fetched: Instant,
    rotation: Rotation,
}

/// Handle of a topic inside one producer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TopicIndex(usize);

/// What is told of the way of a task's records.
#[derive(Clone)]
pub struct Watch {
    /// How batches fare.
    pub steps: Rc<Steps>,
    /// How long records take to their confirmation.
    pub latencies: Rc<Latencies>,
}

/// A batch that still takes records, with their times.
#[derive(Default)]
struct Open {
    batch: OpenBatch,
    times: TimeRuns,
}

struct Shared<D> {
    client: Client<D>,
    settings: ProducerSettings,
    turns: QueueTurns,
    windows: RefCell<HashMap<Rc<str>, Semaphore>>,
    confirmed: RefCell<Confirmed>,
    failure: RefCell<Option<ConnectError>>,
    changed: Event,
    /// Batches sealed and not yet confirmed.
    underway: Cell<usize>,
    /// Payload bytes in them.
    underway_bytes: Cell<u64>,
    buffers: RefCell<Vec<BytesMut>>,
    last_warning: Cell<Option<Instant>>,
    /// Told why deliveries are held up, while they are.
    trouble: Rc<Trouble>,
    /// Told how deliveries fare, if anybody wants to know.
    watch: Option<Watch>,
    /// The producer is gone: deliveries end at their next step.
    closed: Cell<bool>,
}

/// Sends the records of one source task.
pub struct Producer<D> {
    shared: Rc<Shared<D>>,
    topics: Vec<Topic>,
    by_name: HashMap<Arc<str>, TopicIndex>,
    open: Lanes<Open>,
    open_bytes: u64,
}

impl<D: Driver> Producer<D> {
    /// A producer over the task's client; `turns` are shared by the tasks of one connector on this shard. `trouble` is told
    /// what deliveries wait out, `watch` how they fare.
    #[must_use]
    pub fn new(
        client: Client<D>,
        settings: ProducerSettings,
        turns: QueueTurns,
        trouble: Rc<Trouble>,
        watch: Option<Watch>,
    ) -> Self {
        let shared = Shared {
            client,
            settings,
            turns,
            windows: RefCell::default(),
            confirmed: RefCell::default(),
            failure: RefCell::new(None),
            changed: Event::default(),
            underway: Cell::new(0),
            underway_bytes: Cell::new(0),
            buffers: RefCell::default(),
            last_warning: Cell::new(None),
            trouble,
            watch,
            closed: Cell::new(false),
        };
        Self {
            shared: Rc::new(shared),
            topics: Vec::new(),
            by_name: HashMap::new(),
            open: Lanes::default(),
            open_bytes: 0,
        }
    }

    /// The topic's handle. Looks its route up at first use and when that is old; creates a missing topic with 16
    /// queues on all masters when that is allowed.
    ///
    /// # Errors
    /// `Retry::Later` when the cluster can't be asked; fatal when the topic is missing and may not be created.
    pub async fn topic(&mut self, name: &str) -> Result<TopicIndex> {
        self.topic_with_queues(name, None).await
    }

    /// The same; a missing topic is created with these numbers of read and write queues, whether topics may be created or
    /// not.
    ///
    /// # Errors
    /// As for [`Producer::topic`].
    pub async fn topic_with_queues(&mut self, name: &str, queues: Option<(u32, u32)>) -> Result<TopicIndex> {
        if let Some(index) = self.by_name.get(name).copied() {
            let old = self.topics.get(index.0).is_none_or(|topic| topic.fetched.elapsed() > ROUTE_REFRESH);
            if !old {
                return Ok(index);
            }
            return self.refresh(index).await.map(|()| index);
        }
        let name: Arc<str> = Arc::from(name);
        let route = find_or_create_topic(&self.shared.client, &name, queues).await?;
        let start = usize::try_from(self.shared.client.random() >> 40).unwrap_or(0);
        let index = TopicIndex(self.topics.len());
        let rotation = Rotation::starting_at(start);
        self.topics.push(Topic { name: name.clone(), route, queues, fetched: Instant::now(), rotation });
        self.by_name.insert(name, index);
        Ok(index)
    }

    /// The handle of a topic whose route is known and fresh: what [`Producer::topic`] would give without waiting.
    #[must_use]
    pub fn fresh_topic(&self, name: &str) -> Option<TopicIndex> {
        let index = self.by_name.get(name).copied()?;
        let fresh = self.topics.get(index.0).is_some_and(|topic| topic.fetched.elapsed() <= ROUTE_REFRESH);
        fresh.then_some(index)
    }

    /// The topic's name.
    #[must_use]
    pub fn topic_name(&self, topic: TopicIndex) -> Option<&Arc<str>> {
        self.topics.get(topic.0).map(|topic| &topic.name)
    }

    /// Looks at the route again; batches whose queue number may have changed its meaning go out first.
    async fn refresh(&mut self, index: TopicIndex) -> Result<()> {
        let known = self.topics.get(index.0).map(|topic| (topic.name.clone(), topic.queues));
        let Some((name, queues)) = known else { return Ok(()) };
        // A name server that is away for a while does not stop a producer that knows its brokers.
        let route = match find_or_create_topic(&self.shared.client, &name, queues).await {
            Err(error) if error.retry() == Retry::Later => None,
            route => Some(route?),
        };
        let changed = match (&route, self.topics.get(index.0)) {
            (Some(route), Some(topic)) => route.write_queues != topic.route.write_queues,
            _ => false,
        };
        if changed {
            self.flush();
        }
        if let Some(topic) = self.topics.get_mut(index.0) {
            topic.fetched = Instant::now();
            if let Some(route) = route {
                topic.route = route;
            }
        }
        Ok(())
    }

    /// Adds a record to its batch; full batches go on their way at once.
    ///
    /// # Errors
    /// When the body is too large for a message.
    pub fn append(
        &mut self,
        topic: TopicIndex,
        key: Option<&str>,
        body: &Bytes,
        properties: &[u8],
        sequence: Sequence,
    ) -> Result<()> {
        self.append_timed(topic, key, body, properties, (sequence, None))
    }

    /// The same for a record whose time from then to its confirmation counts: its sequence comes with its time in ms since
    /// 1970, if it has one.
    ///
    /// # Errors
    /// As for [`Producer::append`].
    pub fn append_timed(
        &mut self,
        topic: TopicIndex,
        key: Option<&str>,
        body: &Bytes,
        properties: &[u8],
        (sequence, time_ms): (Sequence, Option<i64>),
    ) -> Result<()> {
        if body.len() > MESSAGE_BODY_BYTES_MAX {
            let what = format!("body of {} bytes; a message holds at most {MESSAGE_BODY_BYTES_MAX}", body.len());
            return Err(ConnectError::new(Stage::Send, Retry::BadRecord, what));
        }
        let queues = self.topics.get(topic.0).map_or(0, |topic| topic.route.write_queues.len());
        let queue = key.filter(|key| !key.is_empty()).map(|key| queue_index(key, queues));
        let lane = Lane { topic, queue };
        let settings = self.shared.settings;
        let open = self.open.batch(lane, || self.shared.open());
        let batch = &open.batch;
        let full = batch.messages() > 0
            && (batch.messages() >= settings.batch_messages_max
                || self.topics.get(topic.0).is_some_and(|topic| topic.name.starts_with(RETRY_TOPIC_PREFIX))
                || batch.bytes_with(body.len(), properties.len()) > settings.batch_bytes_max.min(BATCH_BODY_BYTES_MAX));
        let full = full.then(|| std::mem::replace(open, self.shared.open()));
        open.times.push(open.batch.messages(), time_ms);
        open.batch.push(body, properties, sequence);
        if let Some(full) = full {
            self.dispatch(lane, full);
        }
        self.open_bytes = self.open_bytes.saturating_add(body.len() as u64);
        Ok(())
    }

    /// Sends every open batch, full or not.
    pub fn flush(&mut self) {
        for (lane, open) in self.open.take_all() {
            self.dispatch(lane, open);
        }
    }

    /// Sends open batches if the line is free: an idle source's records go at once, a busy one's wait for company.
    pub fn flush_if_idle(&mut self) {
        if self.shared.underway.get() == 0 {
            self.flush();
        }
    }

    /// Whether records wait in open batches.
    #[must_use]
    pub fn has_open(&self) -> bool {
        !self.open.is_empty()
    }

    /// Payload bytes handed on and not yet confirmed.
    #[must_use]
    pub fn unconfirmed_bytes(&self) -> u64 {
        self.shared.underway_bytes.get().saturating_add(self.open_bytes)
    }

    /// Happens whenever something was confirmed or failed.
    #[must_use]
    pub fn changed(&self) -> Event {
        self.shared.changed.clone()
    }

    /// Takes what was confirmed since the last call.
    ///
    /// # Errors
    /// The failure that ends the task, if there was one.
    pub fn take_confirmed(&self) -> Result<Confirmed> {
        match self.shared.failure.borrow_mut().take() {
            Some(failure) => Err(failure),
            None => Ok(self.shared.confirmed.take()),
        }
    }

    /// Starts the delivery of a batch. Its place in its queue's line is taken here, in the order of these calls.
    fn dispatch(&mut self, lane: Lane, open: Open) {
        let (batch, times) = (open.batch.seal(), open.times);
        self.open_bytes = self.open_bytes.saturating_sub(batch.payload_bytes);
        let shared = self.shared.clone();
        let Some(topic) = self.topics.get_mut(lane.topic.0) else { return };
        let target = match lane.queue {
            Some(queue) => topic.route.write_queues.get(queue),
            None => topic.rotation.next(&topic.route, None),
        };
        let Some(target) = target.cloned() else {
            let what = format!("topic {} has no writable queue", topic.name);
            shared.fail(ConnectError::fatal(Stage::Send, what));
            return;
        };
        shared.underway.set(shared.underway.get().saturating_add(1));
        shared.underway_bytes.set(shared.underway_bytes.get().saturating_add(batch.payload_bytes));
        let turn = shared.turns.of(&target.queue).acquire();
        let steps = shared.watch.as_ref().map(|watch| watch.steps.clone());
        let delivery = Delivery {
            span: steps.as_ref().and_then(|steps| steps.traces().sending(&batch.sequences, &target)),
            passage: Passage::begin(steps, Step::Send, Manner::Blocked),
            times,
            shared,
            topic: topic.name.clone(),
            queues: topic.queues,
            keyed: lane.queue.is_some(),
            target,
            batch,
        };
        D::spawn(async move {
            let turn = turn.await;
            delivery.run(turn).await;
        });
    }
}

impl<D> Drop for Producer<D> {
    fn drop(&mut self) {
        self.shared.closed.set(true);
    }
}

/// One batch on its way to one queue.
struct Delivery<D> {
    shared: Rc<Shared<D>>,
    topic: Arc<str>,
    queues: Option<(u32, u32)>,
    keyed: bool,
    target: QueueAddress,
    batch: SealedBatch,
    /// The times of its records.
    times: TimeRuns,
    /// Its way through the steps, from its being sealed to its confirmation.
    passage: Passage,
    /// The same as a span, if it carries records of a traced batch.
    span: Option<Box<SendSpan>>,
}

impl<D: Driver> Delivery<D> {
    /// Tries until the batch is stored or can't be. `turn` is the right to send to the target queue.
    async fn run(mut self, turn: Permit) {
        let mut turn = turn;
        let mut attempt = 0u32;
        loop {
            attempt = attempt.saturating_add(1);
            if self.shared.closed.get() || self.shared.failure.borrow().is_some() {
                return;
            }
            let outcome = self.attempt().await;
            match judge(&outcome) {
                Verdict::Stored => return self.stored(),
                Verdict::Never(Retry::BadRecord) => return self.find_refused(&outcome).await,
                Verdict::Never(retry) => return self.give_up(retry, &outcome),
                Verdict::Doubtful if attempt >= DOUBTFUL_ATTEMPTS_MAX => return self.give_up(Retry::Fatal, &outcome),
                Verdict::Doubtful => self.pause(attempt, true, &outcome).await,
                Verdict::Again { reroute } => self.pause(attempt, reroute, &outcome).await,
            }
            if attempt >= ATTEMPTS_BEFORE_REROUTE && !self.keyed && !self.shared.settings.ordered {
                turn = self.go_elsewhere(turn).await;
            }
        }
    }

    /// The broker will never take the batch: sends its messages one by one, in order, and reports those that are at fault.
    async fn find_refused(mut self, outcome: &std::result::Result<Response, CallError>) {
        let whole = std::mem::take(&mut self.batch);
        let alone = whole.messages == 1;
        if let Some(span) = self.span.take() {
            let how = if alone { "" } else { "; its messages are sent one by one" };
            span.given_up(&format!("{} will never take it{how}: {}", self.target.queue, reason(outcome)));
        }
        let parts = match whole.into_singles() {
            Ok(parts) => parts,
            Err(reason) => {
                let what = format!("cannot take a batch for {} apart: {reason}", self.target.queue);
                return self.shared.fail(ConnectError::fatal(Stage::Send, what));
            }
        };
        self.shared.singled_out(parts.len());
        let mut times = self.times.singles(parts.len());
        for single in parts {
            self.times = times.next().unwrap_or_default();
            let (sequence, item) = (single.sequence, single.item.clone());
            self.batch = single.batch;
            let refusal = if alone { Some(reason(outcome)) } else { self.send_single().await };
            let Some(refusal) = refusal else {
                if self.batch.messages > 0 {
                    return;
                }
                continue;
            };
            let what = format!("{} will never take the message", self.target.queue);
            let error = ConnectError::bad_record(Stage::Send, what).caused_by(refusal);
            let refused = Refused { sequence, body: item.body, properties: item.properties, error };
            self.shared.refuse(std::mem::take(&mut self.batch), refused);
        }
    }

    /// Tries until one message is stored, which empties the batch, or refused, which gives the reason. Nothing of both when
    /// the producer has ended.
    async fn send_single(&mut self) -> Option<String> {
        let mut attempt = 0u32;
        loop {
            attempt = attempt.saturating_add(1);
            if self.shared.closed.get() || self.shared.failure.borrow().is_some() {
                return None;
            }
            let outcome = self.attempt().await;
            match judge(&outcome) {
                Verdict::Stored => {
                    self.stored();
                    return None;
                }
                Verdict::Never(Retry::BadRecord) => return Some(reason(&outcome)),
                Verdict::Never(retry) => {
                    self.give_up(retry, &outcome);
                    return None;
                }
                Verdict::Doubtful if attempt >= DOUBTFUL_ATTEMPTS_MAX => {
                    self.give_up(Retry::Fatal, &outcome);
                    return None;
                }
                Verdict::Doubtful => self.pause(attempt, true, &outcome).await,
                Verdict::Again { reroute } => self.pause(attempt, reroute, &outcome).await,
            }
        }
    }

    /// The broker has confirmed what was sent.
    fn stored(&mut self) {
        let batch = std::mem::take(&mut self.batch);
        self.passage.end(batch.messages as u64);
        if let Some(span) = self.span.take() {
            span.stored(batch.messages as u64, batch.payload_bytes);
        }
        if let Some(watch) = &self.shared.watch {
            watch.latencies.record_runs(Span::RecordToAck, &self.times, batch.messages, crate::host::unix_ms());
        }
        self.shared.confirm(batch);
    }

    /// Sends to where the queue's broker is, as far as anybody knows by now.
    async fn attempt(&mut self) -> std::result::Result<Response, CallError> {
        let route = self.shared.client.known_route(&self.topic);
        let known = route.as_ref().and_then(|route| route.write_queues.iter().find(|at| at.queue == self.target.queue));
        if let Some(found) = known.filter(|found| found.address != self.target.address) {
            self.target.address = found.address.clone();
        }
        let window = self.shared.window(&self.target.address);
        let _permit = window.acquire().await;
        self.passage.turn(Step::Send, Manner::Busy);
        if let Some(span) = &mut self.span {
            span.attempt(&self.target);
        }
        let client = &self.shared.client;
        let connection = client.connection(&self.target.address).await?;
        let timeout = client.settings().operation_timeout;
        let answer = connection.call(&self.request(client), timeout);
        self.passage.pass(self.batch.messages as u64, Step::Ack, Manner::Busy);
        answer.await
    }

    /// A batch request; a single one for what can't be batched.
    fn request(&self, client: &Client<D>) -> Request {
        let settings = client.settings();
        let alone = if must_go_alone(&self.topic, &self.batch) { self.batch.single() } else { None };
        let code = if alone.is_some() { request::SEND_MESSAGE_V2 } else { request::SEND_BATCH_MESSAGE };
        let (body, properties) = match alone {
            Some((body, properties)) => (vec![body], properties),
            None => (self.batch.parts.clone(), Bytes::new()),
        };
        let mut request = Request::new(code)
            .with("a", settings.producer_group.as_str())
            .with("b", &*self.topic)
            .with("c", TEMPLATE_TOPIC)
            .with("d", i64::from(AUTO_TOPIC_QUEUES))
            .with("e", self.target.queue.queue_id)
            .with("f", 0)
            .with("g", crate::host::unix_ms())
            .with("h", 0)
            .with("i", properties)
            .with("j", 0)
            .with("k", "false")
            .with("m", if code == request::SEND_BATCH_MESSAGE { "true" } else { "false" })
            .with("n", &*self.target.queue.broker);
        request.body = body;
        request
    }

    async fn pause(&mut self, attempt: u32, reroute: bool, outcome: &std::result::Result<Response, CallError>) {
        self.shared.retried(&self.target, outcome);
        if let Some(span) = &mut self.span {
            span.failed(&reason(outcome));
        }
        self.passage.turn(Step::Send, Manner::Blocked);
        D::sleep(Backoff::TARGET.delay(attempt, self.shared.client.random())).await;
        if !reroute || self.shared.closed.get() {
            return;
        }
        // A deleted topic is made again, a moved master is found; failing that the next attempt tells.
        let _ = find_or_create_topic(&self.shared.client, &self.topic, self.queues).await;
    }

    /// Unkeyed batches leave a queue whose broker is away for one of another broker. Another queue of the same broker would be
    /// as far away, and later batches may be there already.
    async fn go_elsewhere(&mut self, turn: Permit) -> Permit {
        let route = self.shared.client.route(&self.topic).await.ok().flatten();
        let start = usize::try_from(self.shared.client.random() >> 40).unwrap_or(0);
        let avoid = Some(&*self.target.address);
        let other = route.as_ref().and_then(|route| Rotation::starting_at(start).next(route, avoid).cloned());
        match other.filter(|other| other.address != self.target.address) {
            Some(other) => {
                drop(turn);
                self.target = other;
                self.shared.turns.of(&self.target.queue).acquire().await
            }
            None => turn,
        }
    }

    fn give_up(&mut self, retry: Retry, outcome: &std::result::Result<Response, CallError>) {
        let what = format!("cannot send {} messages to {}", self.batch.messages, self.target.queue);
        let error = ConnectError::new(Stage::Send, retry, what).caused_by(reason(outcome));
        if let Some(span) = self.span.take() {
            span.given_up(&error.to_string());
        }
        self.shared.fail(error);
    }
}

fn reason(outcome: &std::result::Result<Response, CallError>) -> String {
    match outcome {
        Ok(answer) => {
            let remark = answer.header.remark.as_deref().unwrap_or_default();
            format!("the broker answered with code {}: {remark}", answer.header.code)
        }
        Err(error) => error.to_string(),
    }
}

impl<D> Shared<D> {
    fn window(&self, address: &Rc<str>) -> Semaphore {
        let mut windows = self.windows.borrow_mut();
        let permits = self.settings.inflight_requests_max;
        windows.entry(address.clone()).or_insert_with(|| Semaphore::new(permits)).clone()
    }

    fn open(&self) -> Open {
        let pooled = self.buffers.borrow_mut().pop();
        let buffer = pooled.unwrap_or_else(|| BytesMut::with_capacity(8 * 1024));
        Open { batch: OpenBatch::new(buffer), times: TimeRuns::default() }
    }

    fn confirm(&self, mut batch: SealedBatch) {
        let mut confirmed = self.confirmed.borrow_mut();
        confirmed.sequences.append(&mut batch.sequences);
        confirmed.records = confirmed.records.saturating_add(batch.messages as u64);
        confirmed.payload_bytes = confirmed.payload_bytes.saturating_add(batch.payload_bytes);
        confirmed.copied_bytes = confirmed.copied_bytes.saturating_add(batch.copied_bytes);
        confirmed.batches = confirmed.batches.saturating_add(1);
        drop(confirmed);
        self.trouble.over();
        self.underway.set(self.underway.get().saturating_sub(1));
        self.underway_bytes.set(self.underway_bytes.get().saturating_sub(batch.payload_bytes));
        let mut buffers = self.buffers.borrow_mut();
        if buffers.len() < POOLED_BUFFERS_MAX {
            buffers.extend(batch.into_buffer());
        }
        drop(buffers);
        self.changed.notify();
    }

    /// One batch has become so many.
    fn singled_out(&self, batches: usize) {
        self.underway.set(self.underway.get().saturating_sub(1).saturating_add(batches));
    }

    /// A message is not on its way any more, and not stored.
    fn refuse(&self, batch: SealedBatch, refused: Refused) {
        self.confirmed.borrow_mut().refused.push(refused);
        self.underway.set(self.underway.get().saturating_sub(1));
        self.underway_bytes.set(self.underway_bytes.get().saturating_sub(batch.payload_bytes));
        self.changed.notify();
    }

    fn fail(&self, error: ConnectError) {
        self.failure.borrow_mut().get_or_insert(error);
        self.changed.notify();
    }

    fn retried(&self, target: &QueueAddress, outcome: &std::result::Result<Response, CallError>) {
        let mut confirmed = self.confirmed.borrow_mut();
        confirmed.retries = confirmed.retries.saturating_add(1);
        self.trouble.failed(Stage::Send, &format_args!("cannot send to {}: {}", target.queue, reason(outcome)));
        if self.last_warning.get().is_none_or(|last| last.elapsed() > WARN_EVERY) {
            self.last_warning.set(Some(Instant::now()));
            tracing::warn!(queue = %target.queue, "sending is held up and tried again: {}", reason(outcome));
        }
    }
}

/// Brokers refuse batches to retry topics, and batches beyond the size of one message.
fn must_go_alone(topic: &str, batch: &SealedBatch) -> bool {
    batch.messages == 1 && (topic.starts_with(RETRY_TOPIC_PREFIX) || batch.bytes > BATCH_BODY_BYTES_MAX)
}

/// The route of a topic, which is created when it is missing and may be.
async fn find_or_create_topic<D: Driver>(
    client: &Client<D>,
    topic: &Arc<str>,
    queues: Option<(u32, u32)>,
) -> Result<Rc<Route>> {
    let later = |error: CallError| {
        let retry = match error.refusal() {
            Some(crate::remoting::code::response::NO_PERMISSION) => Retry::Fatal,
            _ => Retry::Later,
        };
        ConnectError::new(Stage::Send, retry, format!("cannot find topic {topic}")).caused_by(error)
    };
    if let Some(route) = client.fetch_route(topic).await.map_err(later)?.filter(|route| !route.write_queues.is_empty())
    {
        return Ok(route);
    }
    if queues.is_none() && !client.settings().auto_create_topic {
        let what = format!("topic {topic} does not exist: create it, or set autoCreateTopicEnable=true");
        return Err(ConnectError::fatal(Stage::Send, what));
    }
    let (read, write) = queues.unwrap_or((AUTO_TOPIC_QUEUES, AUTO_TOPIC_QUEUES));
    client.create_missing_topic(topic, read, write).await.map_err(later)?;
    for _ in 0..50 {
        if let Some(route) = client.fetch_route(topic).await.map_err(later)?.filter(|r| !r.write_queues.is_empty()) {
            return Ok(route);
        }
        D::sleep(Duration::from_millis(20)).await;
    }
    let what =
        format!("the brokers have topic {topic}, but the name server tells no queue of it that may be written to");
    Err(ConnectError::later(Stage::Send, what))
}
