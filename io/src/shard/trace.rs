//! The way of a task's sampled batches as spans: one around the batch, from its first step to the commit that covers it, and one for
//! each step in between.
//!
//! The loops tell of their steps anyway ([`super::steps`]); what a batch goes through is noted here. Without tracing that costs a
//! branch where something is told, about ten a batch, and no allocation. Spans are handed on as they end, so that a batch that is held
//! up can be seen.

mod batch;
mod send;
#[cfg(test)]
mod tests;

use std::cell::{Cell, RefCell};
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rmqc_core::error::{ConnectError, Stage};
use rmqc_core::id::{ShardId, TaskId};
use rmqc_core::inflight::Sequence;
use rmqc_core::metrics::Step;
use rmqc_core::record::ConnectRecord;
use rmqc_core::trace::{BatchSpan, LINKS_MAX, SpanKind, SpanPlace, SpanValue, TRACEPARENT};

use self::batch::{Part, Traced};
pub use self::send::SendSpan;
use super::failures::bounded;
use super::steps::Manner;
use super::tracer::{Clock, Tracer, span_id};
use crate::remoting::properties::find_each;
use crate::remoting::pulled::{MessageSpan, PulledMessages};
use crate::remoting::route::QueueAddress;

/// Spans of one batch besides the one around it.
const SPANS_MAX: u32 = 64;
/// Records of a batch whose trace contexts are looked for.
const LOOKED_AT_MAX: usize = 1024;
/// Most characters of an error.
const ERROR_CHARS_MAX: usize = 512;
/// A trace context among a message's properties: put there by whoever sent it, or as an extension of a record.
const CONTEXT_PROPERTIES: [&str; 2] = [TRACEPARENT, "connect-ext-traceparent"];

/// Which way a task's records go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// To the broker.
    Source,
    /// From the broker.
    Sink,
    /// From source to sink, without a broker.
    Direct,
}

impl Way {
    fn batch_name(self) -> &'static str {
        match self {
            Self::Source => "source batch",
            Self::Sink => "sink batch",
            Self::Direct => "direct batch",
        }
    }
}

/// A call of the loop that may be tried again: a `put`, a `flush`, a commit.
#[derive(Clone, Copy)]
struct Attempt {
    step: Step,
    begin: Instant,
    end: Instant,
}

/// The traced batches of one task.
pub struct TaskTraces {
    tracer: Rc<Tracer>,
    on: bool,
    task: TaskId,
    shard: ShardId,
    way: Way,
    /// At most one in hand, and those that wait for their commit; the tracer bounds them.
    batches: RefCell<Vec<Traced>>,
    /// The call that the loop is in.
    attempt: Cell<Option<(Step, Instant)>>,
    /// The last one that it was in, until its outcome is told.
    done: Cell<Option<Attempt>>,
    /// How long polls had been blocked when the last batch was polled.
    blocked_nanos: Cell<u64>,
}

impl TaskTraces {
    /// Traces the batches that the tracer of the task's shard chooses.
    #[must_use]
    pub fn new(tracer: Rc<Tracer>, task: TaskId, shard: ShardId, way: Way) -> Self {
        Self {
            on: tracer.is_on(),
            tracer,
            task,
            shard,
            way,
            batches: RefCell::default(),
            attempt: Cell::new(None),
            done: Cell::new(None),
            blocked_nanos: Cell::new(0),
        }
    }

    /// Traces nothing.
    #[must_use]
    pub fn off() -> Self {
        Self::new(Rc::default(), TaskId::new("", 0), ShardId(0), Way::Source)
    }

    /// Whether batches may be traced: nothing else need be told if not.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.on
    }

    /// Now, if anybody may want to know.
    #[must_use]
    pub fn now(&self) -> Option<Instant> {
        self.on.then(Instant::now)
    }

    fn with_in_hand(&self, tell: impl FnOnce(&mut Traced)) {
        if self.on
            && let Some(traced) = self.batches.borrow_mut().iter_mut().find(|traced| traced.in_hand)
        {
            tell(traced);
        }
    }

    fn begin(&self, begin: Instant, records: u64) {
        let Some(sample) = self.tracer.sample() else { return };
        self.done.set(None);
        let begin_unix_nanos = sample.clock.unix_nanos(begin);
        self.batches.borrow_mut().push(Traced::new(sample, begin_unix_nanos, records));
    }

    /// Keeps a span inside a batch, which reaches from the first to the last of them.
    fn keep(&self, traced: &mut Traced, part: Part) {
        traced.begin_unix_nanos = traced.begin_unix_nanos.min(part.nanos.0);
        if traced.spans >= SPANS_MAX {
            traced.spans_left_out = traced.spans_left_out.saturating_add(1);
            return;
        }
        traced.spans = traced.spans.saturating_add(1);
        let batch = traced.sample.place;
        let place = SpanPlace { span_id: span_id(), ..batch };
        self.hand_on(place, Some(batch.span_id), part, Vec::new());
    }

    fn hand_on(&self, place: SpanPlace, parent_id: Option<[u8; 8]>, part: Part, links: Vec<SpanPlace>) {
        let Part { name, kind, nanos: (begin_unix_nanos, end), attributes, error } = part;
        let task = self.task.clone();
        let end_unix_nanos = end.max(begin_unix_nanos);
        self.tracer.keep(BatchSpan {
            task,
            place,
            parent_id,
            name,
            kind,
            begin_unix_nanos,
            end_unix_nanos,
            attributes,
            links,
            error,
        });
    }

    /// A batch is over, with the spans of its steps before it.
    fn finish(&self, traced: Traced, now: Instant) {
        let mut attributes = vec![("rmqc.shard", u64::from(self.shard.0).into())];
        attributes.extend(traced.attributes());
        let part = Part {
            name: self.way.batch_name(),
            kind: if self.way == Way::Sink { SpanKind::Consumer } else { SpanKind::Internal },
            nanos: (traced.begin_unix_nanos, traced.sample.clock.unix_nanos(now)),
            attributes,
            error: traced.error,
        };
        self.hand_on(traced.sample.place, None, part, traced.links);
    }

    /// Ends those batches of which that holds.
    fn finish_all(&self, now: Instant, is_over: impl Fn(&Traced) -> bool) {
        let over: Vec<Traced> = self.batches.borrow_mut().extract_if(.., |traced| is_over(traced)).collect();
        over.into_iter().for_each(|traced| self.finish(traced, now));
    }

    /// A source gave a batch; its poll took so long, without the time in which there was nothing to give. `blocked_nanos` is how
    /// long its polls were blocked so far.
    pub fn polled(&self, records: u64, took: Duration, blocked_nanos: u64, now: Instant) {
        let begin = now.checked_sub(took).unwrap_or(now);
        let blocked = blocked_nanos.saturating_sub(self.blocked_nanos.replace(blocked_nanos));
        self.begin(begin, records);
        self.with_in_hand(|traced| {
            let mut part = traced.part(Step::Poll, begin, now, records);
            part.attributes.push(("rmqc.blocked_us", (blocked / 1000).into()));
            self.keep(traced, part);
        });
    }

    /// Chain and converters are at work. For a sink a batch begins here, whose pull the loop waited for so long.
    pub fn work(&self, waited: Duration, now: Instant) {
        if self.way == Way::Sink && !self.batches.borrow().iter().any(|traced| traced.in_hand) {
            self.begin(now.checked_sub(waited).unwrap_or(now), 0);
        }
        self.with_in_hand(|traced| {
            traced.work_begin.get_or_insert(now);
        });
    }

    /// They have taken so many records through, in so much time each. They take turns record by record; their spans follow one
    /// another.
    pub fn worked(&self, chain: Option<Duration>, converters: Duration, records: u64) {
        self.with_in_hand(|traced| {
            let Some(mut begin) = traced.work_begin.take() else { return };
            let mut steps = [(Step::Transform, chain), (Step::Convert, Some(converters))];
            if self.way == Way::Sink {
                steps.reverse();
            }
            for (step, took) in steps {
                let Some(took) = took else { continue };
                let end = begin.checked_add(took).unwrap_or(begin);
                let mut part = traced.part(step, begin, end, records);
                part.error = traced.error_of(step);
                self.keep(traced, part);
                begin = end;
            }
        });
    }

    /// The polled batch's records get sequences from this one on.
    pub fn handing_on(&self, from: Sequence, bytes: u64, records: &[ConnectRecord], default_topic: &Arc<str>) {
        self.with_in_hand(|traced| {
            traced.sequences = from..Sequence::MAX;
            traced.bytes = bytes;
            let own = records.first().and_then(|record| record.topic.clone());
            traced.topic = own.or_else(|| Some(default_topic.clone()).filter(|topic| !topic.is_empty()));
            let contexts = records.iter().take(LOOKED_AT_MAX).filter_map(|one| one.extensions.get(TRACEPARENT));
            let contexts: Vec<_> = contexts.take(LINKS_MAX).collect();
            traced.link(contexts.iter().map(|text| &text.as_bytes()[..]));
        });
    }

    /// The batch's records have sequences up to this one, exclusively; it waits for its commit.
    pub fn handed_on(&self, to: Sequence) {
        self.with_in_hand(|traced| {
            traced.sequences.end = to;
            traced.in_hand = false;
        });
        if self.on {
            self.finish_all(Instant::now(), |traced| !traced.in_hand && traced.sequences.is_empty());
        }
    }

    /// Messages of that queue belong to the batch; `times` are when the broker was asked for them and when they came.
    pub fn pulled(&self, from: &QueueAddress, messages: &PulledMessages, times: Option<(Instant, Instant)>) {
        let spans = messages.spans();
        let (Some((asked, came)), Some(first), Some(last)) = (times, spans.first(), spans.last()) else { return };
        self.with_in_hand(|traced| {
            let bytes = spans.iter().fold(0u64, |sum, one| sum.saturating_add(one.body_len() as u64));
            let count = spans.len() as u64;
            traced.records = traced.records.saturating_add(count);
            traced.bytes = traced.bytes.saturating_add(bytes);
            traced.topic.get_or_insert_with(|| from.queue.topic.clone());
            let properties = spans.iter().take(LOOKED_AT_MAX).map(|one| one.properties_in(messages.body()));
            for properties in properties {
                traced.link(find_each(properties, CONTEXT_PROPERTIES).into_iter().flatten());
            }
            let mut part = traced.part(Step::Pull, asked, came, count);
            part.kind = SpanKind::Client;
            // A request that the broker kept waiting did nothing until there was a message.
            let stored = u64::try_from(first.store_ms).unwrap_or(0).saturating_mul(1_000_000);
            part.nanos.0 = part.nanos.0.max(stored.min(part.nanos.1));
            let offset = |message: &MessageSpan| u64::try_from(message.queue_offset).unwrap_or(0);
            part.attributes.extend(queue_attributes(from));
            part.attributes.push(("rmqc.bytes", bytes.into()));
            part.attributes.push(("rmqc.first_offset", offset(first).into()));
            part.attributes.push(("rmqc.last_offset", offset(last).into()));
            self.keep(traced, part);
        });
    }

    /// The batch is given back: its records are pulled again.
    pub fn given_back(&self) {
        self.with_in_hand(|traced| {
            traced.in_hand = false;
            let why = "the batch is given back, its records are pulled again: the task has something else to do first";
            traced.error = Some(why.to_owned());
        });
        if self.on {
            self.finish_all(Instant::now(), |traced| !traced.in_hand && traced.error.is_some());
        }
    }

    /// The loop is in another step from now on, or in none.
    pub fn moved(&self, to: Option<(Step, Manner)>, now: Instant) {
        if let Some((step, begin)) = self.attempt.take() {
            self.done.set(Some(Attempt { step, begin, end: now }));
        }
        let Some((step, Manner::Busy)) = to else { return };
        match (step, self.done.get()) {
            // The chain stops now and then to let others work.
            (Step::Transform, Some(Attempt { step: Step::Transform, begin, .. })) => {
                self.attempt.set(Some((step, begin)));
            }
            (Step::Transform | Step::Put | Step::Flush | Step::Commit, _) => self.attempt.set(Some((step, now))),
            _ => {}
        }
    }

    fn outcome(&self, step: Step) -> Option<Attempt> {
        let done = self.done.get().filter(|done| done.step == step)?;
        self.done.set(None);
        Some(done)
    }

    /// The loop has taken so many records through a step.
    pub fn ran(&self, step: Step, records: u64) {
        let done = self.outcome(step);
        match step {
            Step::Transform | Step::Put => {
                if let Some(done) = done {
                    self.tell_batches(done, records, None);
                }
                if step == Step::Put && self.way == Way::Sink {
                    self.accepted();
                }
            }
            Step::Flush | Step::Commit => {
                let Some(done) = done else { return };
                self.tell_batches(done, records, None);
                if step == Step::Commit {
                    let covers = self.covers(step);
                    self.finish_all(Instant::now(), covers);
                }
            }
            Step::Poll | Step::Pull | Step::Convert | Step::Send | Step::Ack => {}
        }
    }

    /// The sink has the batch.
    fn accepted(&self) {
        // Where a queue has only moved on, there is nothing to tell.
        self.batches.borrow_mut().retain(|traced| !traced.in_hand || traced.spans > 0);
        self.with_in_hand(|traced| traced.in_hand = false);
    }

    /// Which batches a call was about: the one in hand, or those that waited when the flush began.
    fn covers(&self, step: Step) -> impl Fn(&Traced) -> bool + use<> {
        let of_hand = matches!(step, Step::Transform | Step::Put);
        let of_flush = !of_hand && self.batches.borrow().iter().any(|traced| traced.flushing);
        move |traced| if of_flush { traced.flushing } else { traced.in_hand == of_hand }
    }

    /// A flush begins that goes on beside the loop. It covers the batches that wait now, and so does the commit that follows.
    pub fn flush_begins(&self) {
        if self.on {
            self.batches.borrow_mut().iter_mut().for_each(|traced| traced.flushing = !traced.in_hand);
        }
    }

    /// Such a flush of so many records, which began then, is over.
    pub fn flushed(&self, begin: Instant, records: u64, outcome: Result<(), &ConnectError>) {
        if !self.on {
            return;
        }
        let done = Attempt { step: Step::Flush, begin, end: Instant::now() };
        match outcome {
            Ok(()) => self.tell_batches(done, records, None),
            Err(error) => {
                self.done.set(Some(done));
                self.failed(error);
            }
        }
    }

    /// Keeps a span of a call: of the batch in hand, or of all that wait for what it did.
    fn tell_batches(&self, done: Attempt, records: u64, error: Option<&str>) {
        let covers = self.covers(done.step);
        for traced in self.batches.borrow_mut().iter_mut().filter(|traced| covers(traced)) {
            let mut part = traced.part(done.step, done.begin, done.end, records);
            part.error = error.map(str::to_owned).or_else(|| traced.error_of(done.step));
            self.keep(traced, part);
        }
    }

    /// The call that the loop was in has failed; without one, what it did last with the batch in hand is tried again, or ends the
    /// task.
    pub fn failed(&self, error: &ConnectError) {
        if !self.on || self.batches.borrow().is_empty() {
            return;
        }
        let text = bounded(&error.to_string(), ERROR_CHARS_MAX);
        match self.done.take() {
            Some(done) if matches!(done.step, Step::Put | Step::Flush | Step::Commit) => {
                let covers = self.covers(done.step);
                for traced in self.batches.borrow_mut().iter_mut().filter(|traced| covers(traced)) {
                    // What comes next covers all that waits by then.
                    traced.flushing = false;
                    traced.failed_calls = traced.failed_calls.saturating_add(1);
                    let mut part = traced.part(done.step, done.begin, done.end, traced.records);
                    part.error = Some(text.clone());
                    self.keep(traced, part);
                }
            }
            done => {
                self.done.set(done);
                self.with_in_hand(|traced| {
                    traced.failed_calls = traced.failed_calls.saturating_add(1);
                    traced.failed_call_cause = Some(text);
                });
            }
        }
    }

    /// A record has failed: it is given up, or `stops` the task.
    pub fn record_failed(&self, error: &ConnectError, stops: bool) {
        // What the broker refuses is told by its request; what can't be polled or committed belongs to no batch in hand.
        if !self.on || matches!(error.stage(), Stage::Poll | Stage::Send | Stage::Commit | Stage::Lifecycle) {
            return;
        }
        self.with_in_hand(|traced| {
            let text = bounded(&error.to_string(), ERROR_CHARS_MAX);
            traced.records_failed = traced.records_failed.saturating_add(1);
            if stops {
                traced.error = Some(text.clone());
            }
            traced.bad.get_or_insert((error.stage(), text));
        });
    }

    /// A request with records of these sequences is on its way to a queue: its span, if one of them is of a traced batch.
    #[must_use]
    pub fn sending(&self, sequences: &[Range<Sequence>], target: &QueueAddress) -> Option<Box<SendSpan>> {
        if !self.on {
            return None;
        }
        let mut batches = self.batches.borrow_mut();
        let touches = |traced: &Traced| {
            let own = &traced.sequences;
            sequences.iter().any(|range| range.start < own.end && own.start < range.end)
        };
        let mut touched = batches.iter_mut().filter(|traced| touches(traced));
        let first = touched.next()?;
        if first.spans >= SPANS_MAX {
            first.spans_left_out = first.spans_left_out.saturating_add(1);
            return None;
        }
        first.spans = first.spans.saturating_add(1);
        let (parent, clock) = (first.sample.place, first.sample.clock);
        let links = touched.map(|traced| traced.sample.place).take(LINKS_MAX).collect();
        Some(Box::new(SendSpan::begin(self.tracer.clone(), self.task.clone(), (parent, clock), target.clone(), links)))
    }

    /// A commit that began then has made durable what lies before this sequence, so many records; or it has not, for this reason.
    /// Batches that lie before it are over then.
    pub fn committed(&self, to: Sequence, begin: Instant, outcome: Result<u64, &str>) {
        if !self.on {
            return;
        }
        let now = Instant::now();
        let is_covered = |traced: &Traced| !traced.in_hand && traced.sequences.end <= to;
        for traced in self.batches.borrow_mut().iter_mut().filter(|traced| is_covered(traced)) {
            let mut part = traced.part(Step::Commit, begin, now, outcome.unwrap_or(traced.records));
            part.error = outcome.err().map(|reason| bounded(reason, ERROR_CHARS_MAX));
            self.keep(traced, part);
        }
        if outcome.is_ok() {
            self.finish_all(now, is_covered);
        }
    }

    /// The task is over, or gives up what it read, for this reason if there is one: so are its batches, without a commit.
    pub fn end(&self, cause: Option<&str>) {
        if !self.on {
            return;
        }
        let cause = bounded(cause.unwrap_or("the task ended before the batch was committed"), ERROR_CHARS_MAX);
        self.batches.borrow_mut().iter_mut().for_each(|traced| {
            traced.error.get_or_insert_with(|| cause.clone());
        });
        self.finish_all(Instant::now(), |_| true);
    }
}

/// Where messages come from or go to.
fn queue_attributes(at: &QueueAddress) -> [(&'static str, SpanValue); 5] {
    [
        ("messaging.system", "rocketmq".into()),
        ("messaging.destination.name", (&*at.queue.topic).into()),
        ("rmqc.broker", (&*at.queue.broker).into()),
        ("rmqc.queue", u64::try_from(at.queue.queue_id).unwrap_or(0).into()),
        ("server.address", (&*at.address).into()),
    ]
}

/// What [`SendSpan`] needs of the batch that it belongs to: the batch's span, and its time.
type Parent = (SpanPlace, Clock);
