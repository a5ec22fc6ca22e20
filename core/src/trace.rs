//! Spans of sampled batches, as shards report them, and W3C trace contexts as messages and requests carry them.

use crate::id::TaskId;

/// Most links of one span.
pub const LINKS_MAX: usize = 8;
/// Name of the property, header or extension that carries a trace context.
pub const TRACEPARENT: &str = "traceparent";

/// A span of anybody's: what a trace context names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SpanPlace {
    /// The trace; never all zeros.
    pub trace_id: [u8; 16],
    /// The span in it; never all zeros.
    pub span_id: [u8; 8],
}

/// What a span is to others, in OpenTelemetry's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpanKind {
    /// Work inside the worker.
    Internal,
    /// A call to a server.
    Client,
    /// Messages on their way to a broker.
    Producer,
    /// What is done with messages of a broker.
    Consumer,
}

/// Value of an attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SpanValue {
    /// A number.
    Whole(u64),
    /// A text.
    Text(String),
}

impl From<u64> for SpanValue {
    fn from(value: u64) -> Self {
        Self::Whole(value)
    }
}

impl From<&str> for SpanValue {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

/// One span of a batch, over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchSpan {
    /// Whose batch.
    pub task: TaskId,
    /// Where it belongs.
    pub place: SpanPlace,
    /// The span around it; none of a batch as a whole.
    pub parent_id: Option<[u8; 8]>,
    /// Name: a step's, or that of a batch as a whole.
    pub name: &'static str,
    /// What it is to others.
    pub kind: SpanKind,
    /// When it began, in nanoseconds since 1970.
    pub begin_unix_nanos: u64,
    /// When it ended, in nanoseconds since 1970; never before its beginning.
    pub end_unix_nanos: u64,
    /// What is known of it besides; bounded texts.
    pub attributes: Vec<(&'static str, SpanValue)>,
    /// Spans elsewhere that led to it; at most [`LINKS_MAX`].
    pub links: Vec<SpanPlace>,
    /// What went wrong, without secrets, bounded; none if it went well.
    pub error: Option<String>,
}

/// The span that a `traceparent` names (W3C Trace Context: `00-<32 hex>-<16 hex>-<2 hex>`, later versions with more behind it), and
/// whether it is sampled; nothing of a malformed one.
#[must_use]
pub fn read_traceparent(text: &[u8]) -> Option<(SpanPlace, bool)> {
    let text = std::str::from_utf8(text).ok()?;
    let mut parts = text.trim().split('-');
    let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let is_hex = |text: &str, digits: usize| text.len() == digits && text.bytes().all(|b| b.is_ascii_hexdigit());
    if !is_hex(version, 2) || version == "ff" || !is_hex(trace, 32) || !is_hex(span, 16) || !is_hex(flags, 2) {
        return None;
    }
    if version == "00" && parts.next().is_some() {
        return None;
    }
    let trace = u128::from_str_radix(trace, 16).ok().filter(|id| *id != 0)?;
    let span = u64::from_str_radix(span, 16).ok().filter(|id| *id != 0)?;
    let flags = u8::from_str_radix(flags, 16).ok()?;
    Some((SpanPlace { trace_id: trace.to_be_bytes(), span_id: span.to_be_bytes() }, flags & 1 == 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_well_formed_contexts_are_read() {
        let good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let (place, sampled) = read_traceparent(good.as_bytes()).unwrap();
        assert_eq!((place.trace_id[0], place.trace_id[15], place.span_id[0], sampled), (0x0a, 0x9c, 0xb7, true));
        assert!(!read_traceparent(good.replace("-01", "-02").as_bytes()).unwrap().1);
        assert!(read_traceparent(format!("{}-more", good.replacen("00", "01", 1)).as_bytes()).is_some());
        for odd in [
            String::new(),
            "00".to_owned(),
            "00-0-0-01".to_owned(),
            good.replace("0af", "xyz"),
            good.replace("0af", "+af"),
            good.replacen("00", "ff", 1),
            format!("{good}-more"),
            format!("00-{}-b7ad6b7169203331-01", "0".repeat(32)),
            format!("00-0af7651916cd43dd8448eb211c80319c-{}-01", "0".repeat(16)),
        ] {
            assert_eq!(read_traceparent(odd.as_bytes()), None, "{odd}");
        }
        assert_eq!(read_traceparent(&[0xff, 0xfe]), None);
    }
}
