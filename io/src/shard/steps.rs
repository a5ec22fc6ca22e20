//! What the steps of a task do with their time: working, waiting for something to do, or waiting for what comes after.
//!
//! Per batch of any size: about ten readings of the clock (23 ns each), no allocation, no system call. Nothing is done per
//! record, but that of one in [`SAMPLE_EVERY`] records two readings tell chain and converters apart.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use rmqc_core::context::Backlog;
use rmqc_core::host::LocalFuture;
use rmqc_core::metrics::{Step, StepUse};

use super::trace::TaskTraces;

/// Chain and converters alternate record by record, so their common time is measured exactly and divided as it was between
/// them for one in so many records.
const SAMPLE_EVERY: u64 = 128;
/// What a reading of the clock adds to a sample.
const CLOCK_NANOS: u64 = 20;
/// Longest time that a histogram tells from longer ones, so that its memory is bounded: 30 days, about 36 KiB.
const MICROS_MAX: u64 = 30 * 24 * 3600 * 1_000_000;

/// Steps of a source.
pub const OF_SOURCE: &[Step] = &[Step::Poll, Step::Transform, Step::Convert, Step::Send, Step::Ack, Step::Commit];
/// Steps of a sink.
pub const OF_SINK: &[Step] = &[Step::Pull, Step::Transform, Step::Convert, Step::Put, Step::Flush, Step::Commit];
/// Steps of a task without a broker.
pub const OF_DIRECT: &[Step] = &[Step::Poll, Step::Transform, Step::Put, Step::Flush, Step::Commit];

/// What a step does with its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// It works, or waits for an answer to its own work.
    Busy,
    /// It has nothing to do.
    Starved,
    /// What comes after it takes no more.
    Blocked,
}

const MANNERS: usize = 3;

/// Microseconds with two digits, made at the first use and grown as needed.
#[derive(Default)]
pub struct Micros(RefCell<Option<Histogram<u64>>>);

impl Micros {
    /// Adds a time that so many records, or one batch, took.
    pub fn record(&self, micros: u64, count: u64) {
        let mut histogram = self.0.borrow_mut();
        if histogram.is_none() {
            *histogram = Histogram::new(2).ok();
        }
        if let Some(histogram) = histogram.as_mut() {
            // It grows up to the longest time, so this can't fail. Its saturating call would not let it grow.
            let _ = histogram.record_n(micros.min(MICROS_MAX), count);
        }
    }

    /// What was recorded; nothing before the first time.
    #[must_use]
    pub fn get(&self) -> Option<Histogram<u64>> {
        self.0.borrow().clone()
    }
}

/// How long the steps of a shard's tasks took, a batch each.
#[derive(Default)]
pub struct StepTimes([Micros; Step::ALL.len()]);

impl StepTimes {
    fn record(&self, step: Step, took: Duration) {
        if let Some(micros) = self.0.get(step.index()) {
            micros.record(u64::try_from(took.as_micros()).unwrap_or(u64::MAX), 1);
        }
    }

    /// All steps that ran, in order.
    #[must_use]
    pub fn report(&self) -> Vec<(Step, Histogram<u64>)> {
        Step::ALL.iter().zip(&self.0).filter_map(|(step, micros)| Some((*step, micros.get()?))).collect()
    }
}

/// One step of one task. At any time it does one thing or none, so what it reports never adds up to more than has passed.
#[derive(Default)]
struct Meter {
    /// What the task's loop does in it.
    own: Cell<Option<Manner>>,
    /// Things under way beside the loop, by manner; while there are any, the first manner that has some counts.
    beside: [Cell<usize>; MANNERS],
    /// What counts now, and since when it has not been added up.
    counting: Cell<Option<(Manner, Instant)>>,
    nanos: [Cell<u64>; MANNERS],
    /// Nanoseconds of the batch in the loop's hands, without those in which there was nothing to do.
    batch_nanos: Cell<u64>,
    runs: Cell<u64>,
    records: Cell<u64>,
}

impl Meter {
    fn manner(&self) -> Option<Manner> {
        [Manner::Busy, Manner::Starved, Manner::Blocked]
            .into_iter()
            .zip(&self.beside)
            .find_map(|(manner, under_way)| (under_way.get() > 0).then_some(manner))
            .or(self.own.get())
    }

    fn add(&self, manner: Manner, nanos: u64) {
        if let Some(sum) = self.nanos.get(manner as usize) {
            sum.set(sum.get().saturating_add(nanos));
        }
    }

    /// Adds up what counted until now, and goes on with what counts from now on.
    fn turn(&self, now: Instant) {
        if let Some((manner, since)) = self.counting.get() {
            let nanos = nanos(now.saturating_duration_since(since));
            self.add(manner, nanos);
            if manner != Manner::Starved {
                self.batch_nanos.set(self.batch_nanos.get().saturating_add(nanos));
            }
        }
        self.counting.set(self.manner().map(|manner| (manner, now)));
    }

    fn report(&self) -> StepUse {
        let micros = |manner: Manner| self.nanos.get(manner as usize).map_or(0, |sum| sum.get() / 1000);
        StepUse {
            runs: self.runs.get(),
            records: self.records.get(),
            busy_us: micros(Manner::Busy),
            starved_us: micros(Manner::Starved),
            blocked_us: micros(Manner::Blocked),
        }
    }
}

/// A source's poll that is not ready. Whether it works or has nothing to do is known when it is.
#[derive(Default)]
struct Pending {
    since: Cell<Option<Instant>>,
    nanos: Cell<u64>,
}

/// The time that chain and converters share.
#[derive(Default)]
struct Work {
    /// Since when the loop is at it.
    since: Cell<Option<Instant>>,
    /// When the part that is being sampled began.
    mark: Cell<Option<Instant>>,
    chain_nanos: Cell<u64>,
    converters_nanos: Cell<u64>,
    /// Sum of the batch so far, for each of the two.
    batch: Cell<(u64, u64)>,
}

/// The steps of one task, as its loop, its deliveries and its readers tell of them.
pub struct Steps {
    of: &'static [Step],
    meters: [Meter; Step::ALL.len()],
    /// The step that the loop is in.
    current: Cell<Option<Step>>,
    pending: Pending,
    work: Work,
    /// What the source says that waits for it.
    backlog: Rc<Backlog>,
    times: Rc<StepTimes>,
    /// Told of the same, for the batches that are traced.
    traces: Rc<TaskTraces>,
}

impl Steps {
    /// Steps that have not run; what they take is also counted for the shard.
    #[must_use]
    pub fn new(of: &'static [Step], backlog: Rc<Backlog>, times: Rc<StepTimes>) -> Self {
        Self::traced(of, backlog, times, Rc::new(TaskTraces::off()))
    }

    /// The same; what is traced is told to those.
    #[must_use]
    pub fn traced(of: &'static [Step], backlog: Rc<Backlog>, times: Rc<StepTimes>, traces: Rc<TaskTraces>) -> Self {
        let (pending, work) = (Pending::default(), Work::default());
        Self { of, meters: Default::default(), current: Cell::new(None), pending, work, backlog, times, traces }
    }

    /// The task's traced batches.
    #[must_use]
    pub fn traces(&self) -> &TaskTraces {
        &self.traces
    }

    fn meter(&self, step: Step) -> Option<&Meter> {
        self.meters.get(step.index())
    }

    fn go(&self, to: Option<(Step, Manner)>, now: Instant) {
        let before = self.current.replace(to.map(|(step, _)| step));
        if let Some(meter) = before.filter(|step| to.is_none_or(|(next, _)| next != *step)).and_then(|s| self.meter(s))
        {
            meter.own.set(None);
            meter.turn(now);
        }
        if let Some((step, manner)) = to
            && let Some(meter) = self.meter(step)
        {
            meter.own.set(Some(manner));
            meter.turn(now);
        }
        if self.traces.is_on() {
            self.traces.moved(to, now);
        }
    }

    /// The loop is in this step from now on, and in no other.
    pub fn enter(&self, step: Step, manner: Manner) {
        self.go(Some((step, manner)), Instant::now());
    }

    /// The loop is in no step from now on.
    pub fn leave(&self) {
        if self.current.get().is_some() {
            self.go(None, Instant::now());
        }
    }

    /// The loop has taken a batch of so many records through a step.
    pub fn ran(&self, step: Step, records: u64) {
        if let Some(meter) = self.meter(step) {
            self.ran_for(step, records, Duration::from_nanos(meter.batch_nanos.take()));
        }
        if self.traces.is_on() {
            self.traces.ran(step, records);
        }
    }

    /// A batch of so many records went through a step beside the loop.
    pub fn ran_for(&self, step: Step, records: u64, took: Duration) {
        if let Some(meter) = self.meter(step) {
            meter.runs.set(meter.runs.get().saturating_add(1));
            meter.records.set(meter.records.get().saturating_add(records));
        }
        self.times.record(step, took);
    }

    fn beside(&self, at: Option<(Step, Manner)>, change: impl Fn(usize) -> usize, now: Instant) {
        let Some((step, manner)) = at else { return };
        let Some(meter) = self.meter(step) else { return };
        if let Some(under_way) = meter.beside.get(manner as usize) {
            under_way.set(change(under_way.get()));
        }
        if meter.counting.get().map(|(manner, _)| manner) != meter.manner() {
            meter.turn(now);
        }
    }

    /// Polls a source once: what it does until it returns is work, and so is what comes then if it turns out that something
    /// waited for it.
    pub fn poll<T>(&self, cx: &mut Context<'_>, poll: &mut LocalFuture<'_, T>) -> Poll<T> {
        let now = Instant::now();
        self.add_pending(now);
        self.go(Some((Step::Poll, Manner::Busy)), now);
        let polled = poll.as_mut().poll(cx);
        if polled.is_pending() {
            let now = Instant::now();
            self.go(None, now);
            self.pending.since.set(Some(now));
        }
        polled
    }

    /// The loop does something else while the source is not ready.
    pub fn poll_rests(&self) {
        if self.pending.since.get().is_some() {
            self.add_pending(Instant::now());
        }
    }

    fn add_pending(&self, now: Instant) {
        if let Some(since) = self.pending.since.take() {
            let waited = nanos(now.saturating_duration_since(since));
            self.pending.nanos.set(self.pending.nanos.get().saturating_add(waited));
        }
    }

    /// The poll is over. A source that gave as much as it was asked for, or says that more waits, was at work all the time;
    /// any other has given all that it had, so what it waited for was something to give.
    pub fn polled(&self, records: u64, is_full: bool) {
        let now = Instant::now();
        self.add_pending(now);
        if self.current.get().is_some() {
            self.go(None, now);
        }
        self.settle_pending(is_full);
        if records > 0 {
            if self.traces.is_on()
                && let Some(meter) = self.meter(Step::Poll)
            {
                let blocked_nanos = meter.nanos.get(Manner::Blocked as usize).map_or(0, Cell::get);
                self.traces.polled(records, Duration::from_nanos(meter.batch_nanos.get()), blocked_nanos, now);
            }
            self.ran(Step::Poll, records);
        }
    }

    fn settle_pending(&self, is_full: bool) {
        let waited = self.pending.nanos.take();
        let Some(meter) = self.meter(Step::Poll).filter(|_| waited > 0) else { return };
        if is_full || self.backlog.get().is_something() {
            meter.add(Manner::Busy, waited);
            meter.batch_nanos.set(meter.batch_nanos.get().saturating_add(waited));
        } else {
            meter.add(Manner::Starved, waited);
        }
    }

    /// Chain and converters are at work from now on: until [`Steps::pause_work`].
    pub fn work(&self) {
        self.leave();
        let now = Instant::now();
        self.work.since.set(Some(now));
        if self.traces.is_on() {
            let waited = self.meter(Step::Pull).map_or(0, |meter| meter.batch_nanos.get());
            self.traces.work(Duration::from_nanos(waited), now);
        }
    }

    /// A record whose way is measured is next, if [`is_sampled`] says so. What it goes through first begins here.
    pub fn sample(&self) {
        self.work.mark.set(Some(Instant::now()));
    }

    /// The sampled record has left the chain.
    pub fn left_chain(&self) {
        self.end_part(&self.work.chain_nanos);
    }

    /// The sampled record has left the converters.
    pub fn left_converters(&self) {
        self.end_part(&self.work.converters_nanos);
    }

    /// Ends a part of the record's way, if it is a sample; the other part begins.
    fn end_part(&self, sum: &Cell<u64>) {
        if let Some(mark) = self.work.mark.get() {
            let now = Instant::now();
            let took = nanos(now.saturating_duration_since(mark)).saturating_sub(CLOCK_NANOS).max(1);
            sum.set(sum.get().saturating_add(took));
            self.work.mark.set(Some(now));
        }
    }

    /// Divides the time since [`Steps::work`] between chain and converters. Call before anything is awaited.
    pub fn pause_work(&self) {
        let Some(since) = self.work.since.take() else { return };
        self.work.mark.set(None);
        let passed = nanos(since.elapsed());
        let (chain, converters) = (self.work.chain_nanos.get(), self.work.converters_nanos.get());
        let share = |part: u64| {
            let sum = u128::from(chain).saturating_add(u128::from(converters));
            let scaled = u128::from(passed).saturating_mul(u128::from(part)).checked_div(sum).unwrap_or(0);
            u64::try_from(scaled).unwrap_or(0).min(passed)
        };
        let of_chain = share(chain);
        let of_converters = passed.saturating_sub(of_chain);
        for (step, nanos) in [(Step::Transform, of_chain), (Step::Convert, of_converters)] {
            if let Some(meter) = self.meter(step) {
                meter.add(Manner::Busy, nanos);
            }
        }
        let (a, b) = self.work.batch.get();
        self.work.batch.set((a.saturating_add(of_chain), b.saturating_add(of_converters)));
    }

    /// Chain (unless it is empty) and converters have taken a batch of so many records through.
    pub fn worked(&self, records: u64, has_chain: bool) {
        self.pause_work();
        let (chain, converters) = self.work.batch.take();
        if has_chain {
            self.ran_for(Step::Transform, records, Duration::from_nanos(chain));
        }
        self.ran_for(Step::Convert, records, Duration::from_nanos(converters));
        if self.traces.is_on() {
            let chain = has_chain.then(|| Duration::from_nanos(chain));
            self.traces.worked(chain, Duration::from_nanos(converters), records);
        }
        self.work.chain_nanos.set(0);
        self.work.converters_nanos.set(0);
    }

    /// Waits beside what the loop does: gives a guard of a wait, after which the loop goes on where it was.
    #[must_use]
    pub fn interrupt(&self, step: Step, manner: Manner) -> Interrupted<'_> {
        let was_at_work = self.work.since.get().is_some();
        self.pause_work();
        let before = self.current.get().and_then(|step| Some((step, self.meter(step)?.own.get()?)));
        self.enter(step, manner);
        Interrupted { steps: self, before, was_at_work }
    }

    /// What the steps have done with their time up to now.
    #[must_use]
    pub fn report(&self) -> Vec<(Step, StepUse)> {
        let now = Instant::now();
        if self.pending.since.get().is_some() {
            self.add_pending(now);
            self.pending.since.set(Some(now));
            self.settle_pending(false);
        }
        self.meters.iter().filter(|meter| meter.counting.get().is_some()).for_each(|meter| meter.turn(now));
        self.of.iter().filter_map(|step| Some((*step, self.meter(*step)?.report()))).collect()
    }

    /// Microseconds in which the first step waited for what comes after it.
    #[must_use]
    pub fn blocked_us(uses: &[(Step, StepUse)]) -> u64 {
        uses.iter().find(|(step, _)| *step == Step::Poll).map_or(0, |(_, poll)| poll.blocked_us)
    }
}

/// Whether the record at this place among those of its batch is measured on its way through chain and converters.
#[must_use]
pub fn is_sampled(at: u64) -> bool {
    at.is_multiple_of(SAMPLE_EVERY)
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// A wait in the middle of something else; when it is dropped, the loop is where it was.
pub struct Interrupted<'s> {
    steps: &'s Steps,
    before: Option<(Step, Manner)>,
    was_at_work: bool,
}

impl Drop for Interrupted<'_> {
    fn drop(&mut self) {
        if self.was_at_work {
            self.steps.work();
        } else {
            self.steps.go(self.before, Instant::now());
        }
    }
}

/// Something under way beside the loop, such as a delivery: it is in one step at a time, until it is dropped.
pub struct Passage {
    steps: Option<Rc<Steps>>,
    at: Cell<Option<(Step, Manner)>>,
    /// When it entered the step that it is in.
    since: Cell<Instant>,
}

impl Passage {
    /// Something that begins here. Without steps it is not counted.
    #[must_use]
    pub fn begin(steps: Option<Rc<Steps>>, step: Step, manner: Manner) -> Self {
        let now = Instant::now();
        if let Some(steps) = &steps {
            steps.beside(Some((step, manner)), |count| count.saturating_add(1), now);
        }
        Self { steps, at: Cell::new(Some((step, manner))), since: Cell::new(now) }
    }

    fn go(&self, to: Option<(Step, Manner)>) -> Instant {
        let now = Instant::now();
        let from = self.at.replace(to);
        if let Some(steps) = &self.steps {
            steps.beside(to, |count| count.saturating_add(1), now);
            steps.beside(from, |count| count.saturating_sub(1), now);
        }
        now
    }

    /// It goes on in another manner; or in another step, without being through with the one before.
    pub fn turn(&self, step: Step, manner: Manner) {
        let is_new = self.at.get().is_none_or(|(before, _)| before != step);
        let now = self.go(Some((step, manner)));
        if is_new {
            self.since.set(now);
        }
    }

    /// It is through with its step, with so many records, and goes on in another one.
    pub fn pass(&self, records: u64, step: Step, manner: Manner) {
        let done = self.at.get();
        let now = self.go(Some((step, manner)));
        let took = now.saturating_duration_since(self.since.replace(now));
        if let (Some(steps), Some((step, _))) = (&self.steps, done) {
            steps.ran_for(step, records, took);
        }
    }

    /// It is through with its last step, with so many records.
    pub fn end(&self, records: u64) {
        let done = self.at.get();
        let now = self.go(None);
        if let (Some(steps), Some((step, _))) = (&self.steps, done) {
            steps.ran_for(step, records, now.saturating_duration_since(self.since.get()));
        }
    }
}

impl Drop for Passage {
    fn drop(&mut self) {
        if self.at.get().is_some() {
            self.go(None);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    const MS: u64 = 1000;

    /// Lets time pass: it is what is measured here.
    fn pass(ms: u64) {
        std::thread::sleep(Duration::from_millis(ms));
    }

    fn steps(of: &'static [Step]) -> (Rc<Steps>, Rc<Backlog>, Rc<StepTimes>) {
        let (backlog, times) = (Rc::<Backlog>::default(), Rc::<StepTimes>::default());
        (Rc::new(Steps::new(of, backlog.clone(), times.clone())), backlog, times)
    }

    fn of(steps: &Steps, step: Step) -> StepUse {
        steps.report().into_iter().find(|(one, _)| *one == step).unwrap().1
    }

    fn sum(one: &StepUse) -> u64 {
        one.busy_us + one.starved_us + one.blocked_us
    }

    #[test]
    fn the_loop_is_in_one_step_at_a_time_and_what_goes_on_counts() {
        let (steps, _, times) = steps(OF_SINK);
        let started = Instant::now();
        steps.enter(Step::Pull, Manner::Starved);
        pass(20);
        steps.enter(Step::Put, Manner::Busy);
        pass(20);
        let waiting = steps.interrupt(Step::Put, Manner::Blocked);
        pass(20);
        drop(waiting);
        pass(5);
        let put = of(&steps, Step::Put);
        assert!(put.busy_us >= 25 * MS && put.blocked_us >= 20 * MS && put.starved_us == 0, "{put:?}");
        assert_eq!(put.runs, 0);
        pass(5);
        steps.leave();
        steps.ran(Step::Put, 7);
        let (pull, put) = (of(&steps, Step::Pull), of(&steps, Step::Put));
        assert!(pull.starved_us >= 20 * MS && pull.busy_us == 0 && put.busy_us >= 30 * MS, "{pull:?} {put:?}");
        assert_eq!((put.runs, put.records), (1, 7));
        pass(5);
        let again = (of(&steps, Step::Pull), of(&steps, Step::Put));
        assert_eq!(again, (pull, put), "nobody is in a step");
        let elapsed = u64::try_from(started.elapsed().as_micros()).unwrap();
        assert!(sum(&pull) + sum(&put) <= elapsed);
        let times = times.report();
        assert_eq!((times.len(), times[0].0, times[0].1.len()), (1, Step::Put, 1));
        assert!(times[0].1.max() >= 50 * MS, "{}", times[0].1.max());
        let names: Vec<_> = steps.report().iter().map(|(step, _)| *step).collect();
        assert_eq!(names, OF_SINK);
    }

    #[test]
    fn things_beside_the_loop_never_count_twice() {
        let (steps, _, times) = steps(OF_SOURCE);
        let started = Instant::now();
        let begin = || Passage::begin(Some(steps.clone()), Step::Send, Manner::Blocked);
        let (first, second) = (begin(), begin());
        pass(10);
        first.turn(Step::Send, Manner::Busy);
        first.pass(3, Step::Ack, Manner::Busy);
        second.pass(4, Step::Ack, Manner::Busy);
        pass(10);
        first.end(3);
        pass(10);
        drop(second);
        pass(5);
        let (send, ack) = (of(&steps, Step::Send), of(&steps, Step::Ack));
        assert!(send.blocked_us >= 10 * MS && ack.busy_us >= 20 * MS, "{send:?} {ack:?}");
        assert_eq!((send.runs, send.records, ack.runs, ack.records), (2, 7, 1, 3));
        assert!(sum(&send) + sum(&ack) <= u64::try_from(started.elapsed().as_micros()).unwrap() - 5 * MS);
        assert_eq!(
            times.report().iter().map(|(step, all)| (*step, all.len())).collect::<Vec<_>>(),
            [(Step::Send, 2), (Step::Ack, 1)]
        );
    }

    #[test]
    fn a_poll_that_is_not_ready_is_judged_by_what_it_gives() {
        let waiting = rmqc_core::context::Waiting { records: Some(5), ..Default::default() };
        for (is_full, said, busy) in [(false, None, false), (true, None, true), (false, Some(waiting), true)] {
            let (steps, backlog, _) = steps(OF_SOURCE);
            let mut ready = false;
            let mut poll: LocalFuture<'_, ()> = Box::pin(std::future::poll_fn(move |_| {
                if std::mem::replace(&mut ready, true) { Poll::Ready(()) } else { Poll::Pending }
            }));
            let mut cx = Context::from_waker(Waker::noop());
            assert!(steps.poll(&mut cx, &mut poll).is_pending());
            pass(20);
            if let Some(said) = said {
                backlog.set(said);
            }
            assert!(steps.poll(&mut cx, &mut poll).is_ready());
            steps.polled(5, is_full);
            let poll = of(&steps, Step::Poll);
            assert_eq!(
                (poll.busy_us >= 20 * MS, poll.starved_us >= 20 * MS),
                (busy, !busy),
                "{is_full} {said:?} {poll:?}"
            );
            assert_eq!((poll.runs, poll.records), (1, 5));
        }
        // One that waits for good is starved as soon as somebody asks.
        let (steps, ..) = steps(OF_SOURCE);
        let mut never: LocalFuture<'_, ()> = Box::pin(std::future::pending());
        assert!(steps.poll(&mut Context::from_waker(Waker::noop()), &mut never).is_pending());
        pass(10);
        let first = of(&steps, Step::Poll).starved_us;
        pass(10);
        assert!(first >= 10 * MS && of(&steps, Step::Poll).starved_us >= first + 10 * MS);
    }

    #[test]
    fn chain_and_converters_divide_their_time_as_the_samples_say() {
        let (steps, ..) = steps(OF_SOURCE);
        let started = Instant::now();
        for _batch in 0..2 {
            steps.work();
            for at in 0..SAMPLE_EVERY {
                if is_sampled(at) {
                    steps.sample();
                    pass(12);
                    steps.left_chain();
                    pass(3);
                    steps.left_converters();
                }
            }
            steps.pause_work();
            pass(10);
            steps.work();
            steps.worked(SAMPLE_EVERY, true);
        }
        let (chain, converters) = (of(&steps, Step::Transform), of(&steps, Step::Convert));
        assert_eq!((chain.runs, chain.records, converters.runs), (2, 2 * SAMPLE_EVERY, 2));
        assert!(chain.busy_us > 2 * converters.busy_us && converters.busy_us > 0, "{chain:?} {converters:?}");
        let elapsed = u64::try_from(started.elapsed().as_micros()).unwrap();
        assert!(sum(&chain) + sum(&converters) <= elapsed - 20 * MS, "the pause does not count");
        // Without a chain everything is the converters'.
        steps.work();
        pass(5);
        steps.worked(1, false);
        assert_eq!(of(&steps, Step::Transform), chain);
        assert!(of(&steps, Step::Convert).busy_us >= converters.busy_us + 5 * MS);
    }
}
