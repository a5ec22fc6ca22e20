//! Which batches of a shard are traced, and their spans until the next report takes them along.
//!
//! Nothing here waits or slows a task: what finds no room is dropped and counted.

use std::cell::{Cell, RefCell};
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rmqc_core::trace::{BatchSpan, SpanPlace};

/// Batches of one shard that are traced at the same time.
const BATCHES_MAX: usize = 128;
/// Batches of one shard that begin to be traced within a second.
const BATCHES_PER_SECOND_MAX: u32 = 20;
/// Spans that wait for a report, each less than a kilobyte with the usual names.
const WAITING_MAX: usize = 2048;

/// A reading of both clocks: what happens later, or happened before, is told from it by monotonic time.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    at: Instant,
    unix_nanos: u64,
}

impl Clock {
    /// Reads both.
    #[must_use]
    pub fn read() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { at: Instant::now(), unix_nanos: nanos(since) }
    }

    /// Nanoseconds since 1970 at that instant.
    #[must_use]
    pub fn unix_nanos(&self, at: Instant) -> u64 {
        match at.checked_duration_since(self.at) {
            Some(later) => self.unix_nanos.saturating_add(nanos(later)),
            None => self.unix_nanos.saturating_sub(nanos(self.at.saturating_duration_since(at))),
        }
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// The sampler of one shard.
#[derive(Default)]
pub struct Tracer {
    /// Share of batches that are traced, from 0 to 1.
    share: f64,
    /// Batches that are traced now.
    traced: Cell<usize>,
    /// Since when the present second lasts, and the batches that began in it.
    second: Cell<(Option<Instant>, u32)>,
    waiting: RefCell<Vec<BatchSpan>>,
    dropped: Cell<u64>,
}

/// A batch's right to be traced; it ends when this is dropped.
pub struct Sample {
    tracer: Rc<Tracer>,
    /// The span of the batch as a whole.
    pub place: SpanPlace,
    /// The batch's time.
    pub clock: Clock,
}

impl Drop for Sample {
    fn drop(&mut self) {
        self.tracer.traced.set(self.tracer.traced.get().saturating_sub(1));
    }
}

impl Tracer {
    /// Traces that share of batches, from 0 to 1.
    #[must_use]
    pub fn new(share: f64) -> Rc<Self> {
        Rc::new(Self { share, ..Self::default() })
    }

    /// Whether anything is traced at all.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.share > 0.0
    }

    /// Decides about one batch.
    #[must_use]
    pub fn sample(self: &Rc<Self>) -> Option<Sample> {
        // 53 bits are what a double holds.
        let chance = (random() >> 11) as f64 / (1_u64 << 53) as f64;
        if chance >= self.share {
            return None;
        }
        if !self.has_room(Instant::now()) {
            self.dropped();
            return None;
        }
        self.traced.set(self.traced.get().saturating_add(1));
        let trace_id = (u128::from(random()) << 64 | u128::from(random())).to_be_bytes();
        Some(Sample { tracer: self.clone(), place: SpanPlace { trace_id, span_id: span_id() }, clock: Clock::read() })
    }

    fn has_room(&self, now: Instant) -> bool {
        let (since, begun) = self.second.get();
        let (since, begun) = match since {
            Some(since) if now.saturating_duration_since(since) < Duration::from_secs(1) => (since, begun),
            _ => (now, 0),
        };
        let has_room = self.traced.get() < BATCHES_MAX && begun < BATCHES_PER_SECOND_MAX;
        self.second.set((Some(since), begun.saturating_add(u32::from(has_room))));
        has_room
    }

    /// Keeps a span for the next report.
    pub fn keep(&self, span: BatchSpan) {
        let mut waiting = self.waiting.borrow_mut();
        if waiting.len() < WAITING_MAX {
            waiting.push(span);
        } else {
            drop(waiting);
            self.dropped();
        }
    }

    /// Something found no room.
    pub fn dropped(&self) {
        self.dropped.set(self.dropped.get().saturating_add(1));
    }

    /// All spans since the last call, and how much was dropped so far.
    #[must_use]
    pub fn take(&self) -> (Vec<BatchSpan>, u64) {
        (self.waiting.take(), self.dropped.get())
    }
}

/// An id for a span.
#[must_use]
pub fn span_id() -> [u8; 8] {
    random().to_be_bytes()
}

/// Sixty-four bits by chance, never 0, which an id must not be.
fn random() -> u64 {
    RandomState::new().build_hasher().finish().max(1)
}

#[cfg(test)]
mod tests {
    use rmqc_core::id::TaskId;
    use rmqc_core::trace::SpanKind;

    use super::*;

    #[test]
    fn nothing_is_traced_without_a_share_and_no_more_than_the_bounds_with_one() {
        assert!(!Tracer::new(0.0).is_on());
        assert!((0..1000).all(|_| Tracer::new(0.0).sample().is_none()));
        let all = Tracer::new(1.0);
        let samples: Vec<_> = (0..BATCHES_PER_SECOND_MAX + 5).filter_map(|_| all.sample()).collect();
        assert_eq!((samples.len(), all.take().1), (BATCHES_PER_SECOND_MAX as usize, 5));
        let mut ids: Vec<_> = samples.iter().map(|sample| sample.place).collect();
        ids.sort_by_key(|place| (place.trace_id, place.span_id));
        ids.dedup();
        assert_eq!(ids.len(), samples.len(), "ids are random");
        assert_eq!(all.traced.get(), samples.len());
        drop(samples);
        assert_eq!(all.traced.get(), 0);
        // Another second, as many again, until too many are under way.
        let mut held = Vec::new();
        for second in 1..100u64 {
            let then = Instant::now() - Duration::from_secs(second + 1);
            all.second.set((Some(then), BATCHES_PER_SECOND_MAX));
            held.extend((0..BATCHES_PER_SECOND_MAX).filter_map(|_| all.sample()));
        }
        assert_eq!(held.len(), BATCHES_MAX);
    }

    #[test]
    fn a_share_of_the_batches_is_traced() {
        let some = Tracer::new(0.25);
        let traced = (0..4_000).filter(|_| {
            some.second.set((None, 0));
            some.sample().is_some()
        });
        let count = traced.count();
        assert!((800..1_200).contains(&count), "{count}");
    }

    #[test]
    fn spans_without_room_are_counted() {
        let tracer = Tracer::new(1.0);
        let span = BatchSpan {
            task: TaskId::new("a", 0),
            place: SpanPlace { trace_id: [1; 16], span_id: [2; 8] },
            parent_id: None,
            name: "put",
            kind: SpanKind::Internal,
            begin_unix_nanos: 1,
            end_unix_nanos: 2,
            attributes: Vec::new(),
            links: Vec::new(),
            error: None,
        };
        (0..WAITING_MAX + 3).for_each(|_| tracer.keep(span.clone()));
        let (taken, dropped) = tracer.take();
        assert_eq!((taken.len(), dropped), (WAITING_MAX, 3));
        assert!(tracer.take().0.is_empty());
    }

    #[test]
    fn a_clock_tells_times_before_and_behind_its_reading() {
        let clock = Clock::read();
        let (before, behind) = (clock.at - Duration::from_secs(1), clock.at + Duration::from_secs(2));
        assert_eq!(clock.unix_nanos(behind) - clock.unix_nanos(before), 3_000_000_000);
        assert_eq!(clock.unix_nanos(clock.at), clock.unix_nanos);
    }
}
