//! Spans of REST requests, sampled: how long a change took until it was durable and answered; and the spans of sampled batches that
//! come with the shards' reports. They wait in bounded queues until they are sent; without a share to sample they cost a comparison a
//! request.

use std::collections::VecDeque;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use rmqc_core::trace::{BatchSpan, read_traceparent};

/// Spans of requests that wait; further ones are dropped and counted.
const WAITING_MAX: usize = 1024;
/// Spans of batches that wait; further ones are dropped and counted.
const BATCHES_WAITING_MAX: usize = 8192;
/// Characters of a path that are kept.
const PATH_CHARS_MAX: usize = 200;

/// Where a span belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The trace.
    pub trace_id: [u8; 16],
    /// The span itself.
    pub span_id: [u8; 8],
    /// The span of the asker, if it told one.
    pub parent_id: Option<[u8; 8]>,
}

/// One request to REST.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestSpan {
    /// Where it belongs.
    pub place: Place,
    /// HTTP method.
    pub method: String,
    /// Path without its query, bounded.
    pub path: String,
    /// HTTP status of the answer.
    pub status: u16,
    /// When the request came.
    pub begin: SystemTime,
    /// Time to the answer.
    pub took: Duration,
}

/// Collects spans.
#[derive(Debug, Default)]
pub struct Traces {
    /// Share of requests that are looked at, from 0 to 1.
    share: f64,
    waiting: Mutex<VecDeque<RequestSpan>>,
    /// Spans of batches.
    batches: Mutex<Vec<BatchSpan>>,
    dropped: AtomicU64,
}

impl Traces {
    /// Looks at that share of requests, from 0 to 1.
    #[must_use]
    pub fn new(share: f64) -> Self {
        Self { share, ..Self::default() }
    }

    /// Whether a request is looked at, and as what. One whose asker says in its `traceparent` (W3C Trace Context) whether it is, is what
    /// the asker says.
    #[must_use]
    pub fn sampled(&self, traceparent: Option<&str>) -> Option<Place> {
        if self.share <= 0.0 {
            return None;
        }
        let span_id = random().to_be_bytes();
        if let Some((asker, sampled)) = traceparent.and_then(|text| read_traceparent(text.as_bytes())) {
            return sampled.then_some(Place { trace_id: asker.trace_id, span_id, parent_id: Some(asker.span_id) });
        }
        // 53 bits are what a double holds.
        let chance = (random() >> 11) as f64 / (1_u64 << 53) as f64;
        let trace_id = (u128::from(random()) << 64 | u128::from(random())).to_be_bytes();
        (chance < self.share).then_some(Place { trace_id, span_id, parent_id: None })
    }

    /// Takes a span, if there is room.
    pub fn add(&self, mut span: RequestSpan) {
        if let Some((end, _)) = span.path.char_indices().nth(PATH_CHARS_MAX) {
            span.path.truncate(end);
        }
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() < WAITING_MAX {
            waiting.push_back(span);
        } else {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Takes the spans of batches that a shard reports, as far as there is room. Where nobody sends them there are none.
    pub fn add_batches(&self, mut spans: Vec<BatchSpan>) {
        if spans.is_empty() {
            return;
        }
        let mut waiting = self.batches.lock().unwrap_or_else(PoisonError::into_inner);
        let room = BATCHES_WAITING_MAX.saturating_sub(waiting.len());
        self.dropped.fetch_add(spans.len().saturating_sub(room) as u64, Ordering::Relaxed);
        spans.truncate(room);
        waiting.append(&mut spans);
    }

    /// All spans of batches that wait.
    #[must_use]
    pub fn take_batches(&self) -> Vec<BatchSpan> {
        std::mem::take(&mut *self.batches.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// All spans of requests that wait.
    #[must_use]
    pub fn take(&self) -> Vec<RequestSpan> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).drain(..).collect()
    }

    /// Spans that found no room.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

/// Sixty-four bits by chance, never 0, which an id must not be.
fn random() -> u64 {
    RandomState::new().build_hasher().finish().max(1)
}

#[cfg(test)]
mod tests {
    use rmqc_core::id::TaskId;
    use rmqc_core::trace::{SpanKind, SpanPlace};

    use super::*;

    fn span(path: &str) -> RequestSpan {
        RequestSpan {
            place: Place { trace_id: [1; 16], span_id: [2; 8], parent_id: None },
            method: "GET".to_owned(),
            path: path.to_owned(),
            status: 200,
            begin: SystemTime::UNIX_EPOCH,
            took: Duration::from_millis(1),
        }
    }

    #[test]
    fn the_asker_decides_and_else_the_share() {
        let yes = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let no = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";
        let half = Traces::new(0.5);
        let place = half.sampled(Some(yes)).unwrap();
        assert_eq!((place.trace_id[0], place.parent_id.unwrap()[0]), (0x0a, 0xb7));
        assert_eq!(half.sampled(Some(no)), None);
        assert_eq!(Traces::new(0.0).sampled(Some(yes)), None);
        let many = (0..2_000).filter(|_| half.sampled(None).is_some()).count();
        assert!((700..1_300).contains(&many), "{many}");
        let all = Traces::new(1.0);
        for odd in
            ["", "00", "00-0-0-01", &yes.replace("0af", "xyz"), &format!("00-{}-b7ad6b7169203331-01", "0".repeat(32))]
        {
            assert_eq!(all.sampled(Some(odd)).unwrap().parent_id, None, "{odd}");
        }
    }

    fn batch_span() -> BatchSpan {
        BatchSpan {
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
        }
    }

    #[test]
    fn spans_of_batches_without_room_are_counted() {
        let traces = Traces::new(1.0);
        traces.add_batches(vec![batch_span(); BATCHES_WAITING_MAX - 1]);
        traces.add_batches(vec![batch_span(); 5]);
        assert_eq!(traces.dropped(), 4);
        assert_eq!((traces.take_batches().len(), traces.take_batches().len()), (BATCHES_WAITING_MAX, 0));
    }

    #[test]
    fn what_finds_no_room_is_counted() {
        let traces = Traces::new(1.0);
        (0..WAITING_MAX + 3).for_each(|_| traces.add(span(&"é".repeat(300))));
        assert_eq!(traces.dropped(), 3);
        let taken = traces.take();
        assert_eq!((taken.len(), taken[0].path.chars().count()), (WAITING_MAX, PATH_CHARS_MAX));
        assert!(traces.take().is_empty());
    }
}
