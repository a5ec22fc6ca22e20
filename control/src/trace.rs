//! Spans of REST requests, sampled: how long a change took until it was durable and answered. They wait in a bounded queue until they
//! are sent; without a share to sample they cost a comparison a request.

use std::collections::VecDeque;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

/// Spans that wait; further ones are dropped and counted.
const WAITING_MAX: usize = 1024;
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
        if let Some((trace_id, parent_id, sampled)) = traceparent.and_then(asker) {
            return sampled.then_some(Place { trace_id, span_id, parent_id: Some(parent_id) });
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

    /// All that wait.
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

/// Trace, span and whether it is looked at, of `00-<32 hex>-<16 hex>-<2 hex>`.
fn asker(traceparent: &str) -> Option<([u8; 16], [u8; 8], bool)> {
    let mut parts = traceparent.trim().split('-');
    let (version, trace, parent, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let is_hex = |text: &str, digits: usize| text.len() == digits && text.bytes().all(|b| b.is_ascii_hexdigit());
    if !is_hex(version, 2) || version == "ff" || !is_hex(trace, 32) || !is_hex(parent, 16) || !is_hex(flags, 2) {
        return None;
    }
    let trace = u128::from_str_radix(trace, 16).ok().filter(|id| *id != 0)?;
    let parent = u64::from_str_radix(parent, 16).ok().filter(|id| *id != 0)?;
    let flags = u8::from_str_radix(flags, 16).ok()?;
    Some((trace.to_be_bytes(), parent.to_be_bytes(), flags & 1 == 1))
}

#[cfg(test)]
mod tests {
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
