//! Reads one queue, ahead of the sink: several requests at predicted offsets while there is a backlog, one long poll
//! when there is none.
//!
//! A broker with default settings gives at most 32 messages an answer, so the next offsets are predicted from the size
//! of the last answers. A wrong prediction costs a request, never a record: only what continues at the expected offset
//! is handed on.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use rmqc_core::error::{ConnectError, Retry, Stage};
use rmqc_core::metrics::Step;
use rmqc_core::tolerance::Backoff;

use super::reading::QueueReading;
use super::subscription::Subscription;
use crate::driver::Driver;
use crate::local::{Event, First, first};
use crate::pace::Pace;
use crate::remoting::client::Client;
use crate::remoting::code::{request, response};
use crate::remoting::connection::{CallError, Request, Response};
use crate::remoting::pull::Pull;
use crate::remoting::pulled::{MessageSpan, PulledMessages};
use crate::remoting::route::QueueAddress;
use crate::shard::memory::Share;
use crate::shard::steps::{Manner, Passage, Steps};

/// Longest time that the broker may keep a pull waiting for a new message.
const SUSPEND: Duration = Duration::from_secs(15);
/// Deadline of a pull that may be kept waiting; brokers look at waiting pulls every 5 s only.
const SUSPENDED_TIMEOUT: Duration = Duration::from_secs(30);
/// Most messages asked for at once; brokers cap it by their own settings.
const PULL_MESSAGES_MAX: i64 = 1024;
/// Least of them: the default cap of brokers.
const PULL_MESSAGES_MIN: i64 = 32;
/// Bytes that an answer is to bring, about: smaller ones cost the broker a request each, and larger ones save no time, and are
/// out of the caches before they are read.
const PULL_BYTES: i64 = 512 * 1024;
/// Bytes on their way or waiting to be put, before more is asked of a queue of which some are or do: enough to keep the
/// broker at work while a task puts, and little enough to be still in the caches when they are put.
const READ_AHEAD_BYTES: usize = 2 * 1024 * 1024;
/// An answer that takes as often as long as this allows for as many times as many bytes, up to a bound.
const LONG_WAY: Duration = Duration::from_millis(4);
/// The bound.
const READ_AHEAD_TIMES_MAX: usize = 8;
/// Requests in flight for one queue.
const DEPTH_MAX: usize = 6;
/// First guess of the messages in an answer: the default cap of brokers.
const STEP_FIRST: i64 = 32;

/// What to do when the offset is outside the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutOfRange {
    /// Go on at the first message.
    Earliest,
    /// Go on after the last one.
    Latest,
    /// Fail the task.
    Fail,
}

/// Messages that one answer brought.
#[derive(Debug)]
pub struct Pulled {
    /// Messages in their order, none below the offset that was expected.
    pub messages: PulledMessages,
    /// Where to go on after them.
    pub next_offset: i64,
    /// Bytes of the answer's body; counted against the budget until the sink has taken them.
    pub bytes: usize,
    /// The broker sent the group elsewhere: there are no messages, and what was pulled before and not put may be left.
    pub moved: bool,
    /// When the broker was asked, and when the answer came, if that may be traced.
    pub times: Option<(Instant, Instant)>,
}

/// Bytes pulled and not yet put, shared by the queues of one task.
#[derive(Clone)]
pub struct Budget {
    used: Rc<Cell<usize>>,
    /// Bytes that answers on their way bring, as far as can be guessed.
    on_the_way: Rc<Cell<usize>>,
    limit: usize,
    freed: Event,
    /// The task's part of the shard's memory.
    share: Rc<Share>,
    /// Told when readers wait for room.
    steps: Rc<Steps>,
}

impl Budget {
    /// A budget of so many bytes, within what the shard has; `used` of them are taken.
    #[must_use]
    pub fn new(limit: usize, share: Share, used: Rc<Cell<usize>>, steps: Rc<Steps>) -> Self {
        Self { used, on_the_way: Rc::default(), limit, freed: Event::default(), share: Rc::new(share), steps }
    }

    fn take(&self, bytes: usize) {
        self.used.set(self.used.get().saturating_add(bytes));
        self.share.set(self.used.get() as u64);
    }

    /// Gives bytes back.
    pub fn give_back(&self, bytes: usize) {
        self.used.set(self.used.get().saturating_sub(bytes));
        self.share.set(self.used.get() as u64);
        self.freed.notify();
    }

    /// Whether a queue of which nothing is there or on its way is to be read on.
    fn has_room(&self) -> bool {
        self.used.get() < self.limit && !self.share.is_full()
    }

    /// The same for a queue of which something is; its answers take so long.
    fn has_room_ahead(&self, took: Duration) -> bool {
        let near = self.used.get().saturating_add(self.on_the_way.get());
        self.has_room() && near < read_ahead_bytes(took)
    }
}

/// Bytes to have on their way or waiting when answers take so long: what is on a long way is not in the caches yet.
fn read_ahead_bytes(took: Duration) -> usize {
    let ways = took.as_micros() / LONG_WAY.as_micros();
    READ_AHEAD_BYTES.saturating_mul(usize::try_from(ways).unwrap_or(usize::MAX).clamp(1, READ_AHEAD_TIMES_MAX))
}

/// Bytes that an answer on its way is to bring, until it has come or is given up.
struct OnTheWay {
    all: Rc<Cell<usize>>,
    bytes: usize,
}

impl OnTheWay {
    fn new(all: &Rc<Cell<usize>>, bytes: usize) -> Self {
        all.set(all.get().saturating_add(bytes));
        Self { all: all.clone(), bytes }
    }
}

impl Drop for OnTheWay {
    fn drop(&mut self) {
        self.all.set(self.all.get().saturating_sub(self.bytes));
    }
}

/// What a queue's reader and the task's loop share.
pub struct QueueBuffer {
    /// Answers not yet taken.
    pub ready: RefCell<VecDeque<Pulled>>,
    /// The failure that ended the reader, if one did.
    pub failure: RefCell<Option<ConnectError>>,
    /// Things worth telling, e.g. an offset out of range.
    pub warnings: RefCell<Vec<String>>,
    /// Set to end the reader.
    pub closed: Cell<bool>,
    /// Happens when `closed` is set.
    pub closing: Event,
    /// Offset after the queue's last message, as far as known.
    pub max_offset: Cell<i64>,
    /// How far the queue is read; for the task's reports.
    pub reading: Rc<QueueReading>,
}

/// A reader of one queue.
pub struct Puller<D> {
    /// Client of the task.
    pub client: Client<D>,
    /// The queue and its broker.
    pub target: QueueAddress,
    /// Consumer group.
    pub group: Rc<str>,
    /// Which messages to hand on.
    pub subscription: Subscription,
    /// Where to start.
    pub offset: i64,
    /// Policy for an offset outside the queue.
    pub out_of_range: OutOfRange,
    /// Byte that is put behind each body in memory, if any.
    pub value_end: Option<u8>,
    /// Bound of what is buffered.
    pub budget: Budget,
    /// Where answers go.
    pub buffer: Rc<QueueBuffer>,
    /// Happens when there is something for the task's loop.
    pub arrived: Event,
}

type Answer = Pin<Box<dyn Future<Output = Result<Response, CallError>>>>;

struct InFlight {
    offset: i64,
    asked: Instant,
    answer: Answer,
    on_the_way: OnTheWay,
}

/// The reader's place and its guesses.
struct Place {
    /// Next offset to hand on.
    expected: i64,
    /// Next offset to ask for.
    ask: i64,
    /// Guess of the most messages in an answer.
    step: i64,
    /// Requests worth having in flight.
    depth: usize,
    /// Messages to ask for.
    messages: i64,
    /// Bytes of a message, about.
    message_bytes: i64,
    /// How long the last answer took that did not have to wait for its messages.
    took: Duration,
    /// When the queue was last asked, and when that brought all that there was.
    pace: Pace,
    /// When the answer at hand was asked for, and when it came.
    times: Option<(Instant, Instant)>,
}

impl Place {
    fn at(offset: i64) -> Self {
        let (depth, messages) = (1, PULL_MESSAGES_MAX);
        let (message_bytes, took, pace, times) = (0, Duration::ZERO, Pace::default(), None);
        Self { expected: offset, ask: offset, step: STEP_FIRST, depth, messages, message_bytes, took, pace, times }
    }

    /// Learns from an answer that brought `count` messages of so many bytes and left the queue's end at `max_offset`.
    fn learn(&mut self, count: i64, bytes: i64, max_offset: i64) {
        self.pace.gave(self.expected >= max_offset);
        if count > 0 {
            self.message_bytes = bytes / count;
            self.ask_for(self.message_bytes);
            // What an answer brought is all that one can bring only if it left some.
            let least = if self.pace.had_no_more() { self.step } else { 0 };
            self.step = count.max(least).min(self.messages);
        }
    }

    /// Sets how many messages of so many bytes, about, are to be asked for. Small differences change nothing: answers of
    /// another number than was guessed cost a request each.
    fn ask_for(&mut self, message_bytes: i64) {
        let wanted = (PULL_BYTES / message_bytes.max(1)).clamp(PULL_MESSAGES_MIN, PULL_MESSAGES_MAX);
        if wanted < self.messages / 2 || wanted / 2 > self.messages {
            self.messages = wanted;
        }
    }

    /// Bytes that the answer to the next request brings, about, if the queue ends at `max_offset`. One that has to be waited
    /// for may as well bring nothing.
    fn guess_bytes(&self, max_offset: i64) -> usize {
        let messages = self.step.min(max_offset.saturating_sub(self.ask)).max(0);
        usize::try_from(messages.saturating_mul(self.message_bytes)).unwrap_or(0)
    }

    fn restart_at(&mut self, offset: i64) {
        self.expected = offset;
        self.ask = offset;
        self.depth = 1;
    }
}

impl<D: Driver> Puller<D> {
    /// Reads until the buffer is closed or a failure ends it.
    pub async fn run(self) {
        let mut place = Place::at(self.offset);
        let mut in_flight: VecDeque<InFlight> = VecDeque::new();
        let mut failures = 0u32;
        loop {
            let closing = self.buffer.closing.seen();
            if self.buffer.closed.get() {
                return;
            }
            if in_flight.is_empty() {
                if !self.wait_for_room(place.took, closing).await {
                    return;
                }
                if let Some(rest) = place.pace.rest() {
                    let _ = first(D::sleep(rest), self.buffer.closing.since(closing)).await;
                }
                place.pace.ask();
            }
            if let Err(error) = self.fill(&mut in_flight, &mut place).await {
                failures = failures.saturating_add(1);
                self.back_off(failures, &error, closing).await;
                continue;
            }
            let Some(next) = in_flight.pop_front() else { continue };
            let outcome = match first(next.answer, self.buffer.closing.since(closing)).await {
                First::A(outcome) => outcome,
                First::B(()) => continue,
            };
            if next.on_the_way.bytes > 0 {
                place.took = next.asked.elapsed();
            }
            drop(next.on_the_way);
            place.times = self.budget.steps.traces().now().map(|came| (next.asked, came));
            match outcome.map_err(Trouble::Call).and_then(|answer| self.accept(next.offset, answer, &mut place)) {
                Ok(Continue::Next) => failures = self.went_well(),
                Ok(Continue::Afresh) => {
                    failures = self.went_well();
                    in_flight.clear();
                    place.ask = place.expected;
                }
                Err(trouble) => {
                    in_flight.clear();
                    place.ask = place.expected;
                    place.depth = 1;
                    match trouble {
                        Trouble::Call(error) => {
                            failures = failures.saturating_add(1);
                            self.back_off(failures, &error, closing).await;
                        }
                        Trouble::Fatal(error) => {
                            *self.buffer.failure.borrow_mut() = Some(error);
                            self.arrived.notify();
                            return;
                        }
                    }
                }
            }
        }
    }

    /// Waits until the task has taken enough; false when the reader is to end.
    async fn wait_for_room(&self, took: Duration, closing: u64) -> bool {
        loop {
            let freed = (self.budget.freed.seen(), self.budget.share.freed().seen());
            if self.buffer.closed.get() {
                return false;
            }
            let waits = !self.buffer.ready.borrow().is_empty();
            let has_room = if waits { self.budget.has_room_ahead(took) } else { self.budget.has_room() };
            if has_room {
                return true;
            }
            let _waiting = Passage::begin(Some(self.budget.steps.clone()), Step::Pull, Manner::Blocked);
            let room = first(self.budget.freed.since(freed.0), self.budget.share.freed().since(freed.1));
            let _ = first(room, self.buffer.closing.since(closing)).await;
        }
    }

    async fn fill(&self, in_flight: &mut VecDeque<InFlight>, place: &mut Place) -> Result<(), CallError> {
        while in_flight.len() < place.depth.max(1) {
            let is_first = in_flight.is_empty();
            if !is_first && !self.budget.has_room_ahead(place.took) {
                return Ok(());
            }
            let connection = self.client.connection(&self.target.address).await?;
            // Only a lone request may be kept waiting; predicted ones are asked below the known end only.
            let timeout = if is_first { SUSPENDED_TIMEOUT } else { self.client.settings().operation_timeout };
            let answer = connection.call(&self.request(place, is_first), timeout);
            in_flight.push_back(InFlight {
                offset: place.ask,
                asked: Instant::now(),
                answer: Box::pin(answer),
                on_the_way: OnTheWay::new(&self.budget.on_the_way, place.guess_bytes(self.buffer.max_offset.get())),
            });
            place.ask = place.ask.saturating_add(place.step);
        }
        Ok(())
    }

    fn request(&self, place: &Place, may_wait: bool) -> Request {
        let queue = &self.target.queue;
        let pull = Pull {
            group: &self.group,
            topic: &queue.topic,
            queue_id: queue.queue_id,
            offset: place.ask,
            messages_max: place.messages,
            expression: self.subscription.expression(),
            may_wait,
            suspend: SUSPEND,
        };
        pull.request()
    }

    /// A pull succeeded; gives the number of failures since.
    fn went_well(&self) -> u32 {
        self.buffer.reading.trouble.over();
        0
    }

    async fn back_off(&self, failures: u32, error: &CallError, closing: u64) {
        self.buffer.reading.trouble.failed(Stage::Consume, error);
        if failures == 1 || failures.is_multiple_of(20) {
            tracing::warn!(queue = %self.target.queue, "pulling is held up and tried again: {error}");
        }
        let delay = Backoff::TARGET.delay(failures, self.client.random());
        let _ = first(D::sleep(delay), self.buffer.closing.since(closing)).await;
    }

    /// Takes one answer to the request at `offset`.
    fn accept(&self, offset: i64, answer: Response, place: &mut Place) -> Result<Continue, Trouble> {
        let fields = &answer.header.fields;
        let next = fields.number("nextBeginOffset");
        if let Some(max) = fields.number("maxOffset") {
            self.buffer.max_offset.set(max);
            self.buffer.reading.max.set(Some(max));
        }
        if let Some(min) = fields.number("minOffset") {
            self.buffer.reading.min.set(Some(min));
        }
        if offset > place.expected {
            // The prediction was too far: what lies between must be asked for.
            return Ok(Continue::Afresh);
        }
        match answer.header.code {
            response::SUCCESS => {
                let next = next.ok_or_else(|| self.malformed("nextBeginOffset is missing"))?;
                self.found(offset, next, answer.body, place)
            }
            response::PULL_NOT_FOUND | response::PULL_RETRY_IMMEDIATELY => {
                if let Some(next) = next.filter(|next| *next > place.expected) {
                    // Only messages that are not wanted lie between: the group is done with them.
                    self.hand_on(Pulled {
                        messages: PulledMessages::default(),
                        next_offset: next,
                        bytes: 0,
                        moved: false,
                        times: place.times,
                    });
                    place.expected = next;
                }
                place.restart_at(place.expected);
                Ok(Continue::Afresh)
            }
            response::PULL_OFFSET_MOVED => {
                let moved = self.moved(offset, next, fields.number("minOffset"), fields.number("maxOffset"))?;
                place.restart_at(moved);
                self.hand_on(Pulled {
                    messages: PulledMessages::default(),
                    next_offset: moved,
                    bytes: 0,
                    moved: true,
                    times: place.times,
                });
                Ok(Continue::Afresh)
            }
            code => Err(Trouble::Call(CallError::Refused {
                address: self.target.address.to_string(),
                request: request::PULL_MESSAGE,
                code,
                remark: answer.header.remark.unwrap_or_default(),
            })),
        }
    }

    fn found(&self, offset: i64, next: i64, body: BytesMut, place: &mut Place) -> Result<Continue, Trouble> {
        let bytes = body.len();
        let room = usize::try_from(place.step.clamp(0, PULL_MESSAGES_MAX)).unwrap_or(0);
        let (mut count, mut new) = (0i64, false);
        let wants = |message: &MessageSpan, properties: &[u8]| {
            count = count.saturating_add(1);
            let is_new = message.queue_offset >= place.expected;
            new |= is_new;
            is_new && self.subscription.takes(properties)
        };
        let found = match self.value_end {
            Some(end) => PulledMessages::read_ended(body, room, end, wants),
            None => PulledMessages::read(body, room, wants),
        };
        let found = found.map_err(|error| self.malformed(&error.to_string()))?;
        if let (None, Some(first)) = (self.buffer.reading.stored_ms.get(), found.spans().first()) {
            self.buffer.reading.stored_ms.set(Some(first.store_ms));
        }
        if next <= place.expected && new {
            return Err(self.malformed("nextBeginOffset does not lie behind the messages"));
        }
        let asked_to = offset.saturating_add(place.step);
        place.expected = place.expected.max(next);
        place.learn(count, i64::try_from(bytes).unwrap_or(i64::MAX), self.buffer.max_offset.get());
        let backlog = self.buffer.max_offset.get().saturating_sub(place.ask.max(place.expected));
        let worth = usize::try_from(backlog / place.step.max(1)).unwrap_or(0);
        // How far an answer leads that leaves messages out can't be guessed.
        place.depth = if self.subscription.is_all() { worth.clamp(1, DEPTH_MAX) } else { 1 };
        self.hand_on(Pulled { messages: found, next_offset: place.expected, bytes, moved: false, times: place.times });
        // Further requests were sent for the offsets that follow the guess; they are of use only if it was right.
        if place.expected == asked_to { Ok(Continue::Next) } else { Ok(Continue::Afresh) }
    }

    fn hand_on(&self, pulled: Pulled) {
        if self.buffer.closed.get() {
            return;
        }
        self.budget.take(pulled.bytes);
        self.buffer.ready.borrow_mut().push_back(pulled);
        self.arrived.notify();
    }

    /// Where to go on after the broker said that the offset has moved.
    fn moved(&self, offset: i64, next: Option<i64>, min: Option<i64>, max: Option<i64>) -> Result<i64, Trouble> {
        let next = next.ok_or_else(|| self.malformed("nextBeginOffset is missing"))?;
        let (min, max) = (min.unwrap_or(next), max.unwrap_or(next));
        let queue = &self.target.queue;
        if (min..=max).contains(&offset) {
            self.warn(format!("{queue}: the group's offset was reset from {offset} to {next}; going on there"));
            return Ok(next);
        }
        let target = match self.out_of_range {
            OutOfRange::Earliest => min,
            OutOfRange::Latest => max,
            OutOfRange::Fail => {
                let what = format!(
                    "{queue}: offset {offset} is outside the queue ({min} to {max}) and offset.out.of.range=fail; reset \
                     the group's offset or choose earliest or latest"
                );
                return Err(Trouble::Fatal(ConnectError::fatal(Stage::Consume, what)));
            }
        };
        let policy = if self.out_of_range == OutOfRange::Earliest { "earliest" } else { "latest" };
        self.warn(format!("{queue}: offset {offset} is outside the queue ({min} to {max}); going on at {target} (offset.out.of.range={policy})"));
        Ok(target)
    }

    fn warn(&self, text: String) {
        self.buffer.warnings.borrow_mut().push(text);
        self.arrived.notify();
    }

    fn malformed(&self, reason: &str) -> Trouble {
        let what = format!("{} of {}: {reason}", self.target.queue, self.target.address);
        Trouble::Fatal(ConnectError::new(Stage::Consume, Retry::Fatal, what))
    }
}

/// How to go on after an answer.
enum Continue {
    /// The requests in flight follow on.
    Next,
    /// They do not: ask again from the expected offset.
    Afresh,
}

/// Why an answer was of no use.
enum Trouble {
    /// Try again.
    Call(CallError),
    /// End the task.
    Fatal(ConnectError),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shard::memory::Memory;

    #[test]
    fn what_is_on_its_way_counts_for_queues_that_have_something_already() {
        let (memory, times) = (Memory::new(u64::MAX), Rc::default());
        let steps = Rc::new(Steps::new(&[Step::Pull], Rc::default(), times));
        let budget = Budget::new(4 * READ_AHEAD_BYTES, memory.share(), Rc::default(), steps);
        let room = |took| (budget.has_room(), budget.has_room_ahead(took));
        let (near, far) = (LONG_WAY, LONG_WAY * 3);
        let way = OnTheWay::new(&budget.on_the_way, READ_AHEAD_BYTES - 1);
        assert_eq!(room(near), (true, true));
        budget.take(1);
        assert_eq!((room(near), room(far)), ((true, false), (true, true)));
        budget.take(2 * READ_AHEAD_BYTES);
        assert_eq!((room(far), room(LONG_WAY * 100)), ((true, false), (true, true)));
        drop(way);
        assert_eq!((room(far), room(near)), ((true, true), (true, false)));
        budget.take(2 * READ_AHEAD_BYTES);
        assert_eq!(room(LONG_WAY * 100), (false, false), "the task's own limit");
        budget.give_back(4 * READ_AHEAD_BYTES);
        assert_eq!(room(near), (true, true));
    }

    #[test]
    fn a_longer_way_has_room_for_more_up_to_a_bound() {
        let times = |took: Duration| read_ahead_bytes(took) / READ_AHEAD_BYTES;
        let of = [Duration::ZERO, LONG_WAY * 2 - Duration::from_micros(1), LONG_WAY * 2, LONG_WAY * 7, Duration::MAX];
        assert_eq!(of.map(times), [1, 1, 2, 7, READ_AHEAD_TIMES_MAX]);
    }

    #[test]
    fn the_bytes_of_an_answer_are_guessed_from_those_before_it() {
        let mut place = Place::at(100);
        assert_eq!(place.guess_bytes(1_000), 0, "nothing is known yet");
        (place.expected, place.ask) = (132, 132);
        place.learn(32, 3_200, 1_000);
        assert_eq!(place.guess_bytes(1_000), 3_200);
        assert_eq!(place.guess_bytes(142), 1_000, "ten are left");
        assert_eq!(place.guess_bytes(132), 0, "it has to be waited for");
        assert_eq!(place.guess_bytes(0), 0);
    }

    #[test]
    fn only_answers_that_leave_messages_tell_how_many_one_brings_at_most() {
        // Messages in the answer, those left behind it, and the guess that follows.
        let mut place = Place::at(0);
        let answers =
            [(32, 500, 32), (32, 0, 32), (7, 0, 32), (57, 0, 57), (3, 0, 57), (64, 1000, 64), (40, 9, 40), (9, 0, 40)];
        for (count, left, step) in answers {
            place.expected += count;
            place.learn(count, count * 200, place.expected + left);
            assert_eq!(
                (place.step, place.pace.had_no_more()),
                (step, left == 0),
                "after {count} messages with {left} left"
            );
        }
    }

    #[test]
    fn a_queue_is_left_alone_only_when_it_had_no_more() {
        let mut place = Place::at(0);
        place.pace.ask();
        assert_eq!(place.pace.rest(), None);
        place.learn(1, 200, 1);
        assert_eq!(place.pace.rest(), None, "there is more");
        place.expected = 1;
        place.learn(1, 200, 1);
        // The moment may be over by now.
        assert!(place.pace.rest().is_none_or(|rest| !rest.is_zero()) && place.pace.had_no_more());
    }
}
