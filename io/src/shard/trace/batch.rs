//! One batch that is traced, and what is known of it so far.

use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use rmqc_core::error::Stage;
use rmqc_core::inflight::Sequence;
use rmqc_core::metrics::Step;
use rmqc_core::trace::{LINKS_MAX, SpanKind, SpanPlace, SpanValue, read_traceparent};

use crate::shard::tracer::Sample;

/// What a span has besides its place.
pub(super) struct Part {
    pub name: &'static str,
    pub kind: SpanKind,
    /// Nanoseconds since 1970, from and to.
    pub nanos: (u64, u64),
    pub attributes: Vec<(&'static str, SpanValue)>,
    pub error: Option<String>,
}

/// A batch that is traced.
pub(super) struct Traced {
    pub sample: Sample,
    pub begin_unix_nanos: u64,
    /// When chain and converters began with it.
    pub work_begin: Option<Instant>,
    pub records: u64,
    pub bytes: u64,
    pub topic: Option<Arc<str>>,
    /// Of its records, while they are handed on with an open end; for sinks without a meaning.
    pub sequences: Range<Sequence>,
    /// The loop is at it. Afterwards it waits for its commit.
    pub in_hand: bool,
    /// A flush that goes on beside the loop covers it, and the commit that follows.
    pub flushing: bool,
    pub spans: u32,
    pub spans_left_out: u32,
    pub links: Vec<SpanPlace>,
    pub failed_calls: u64,
    /// Why a call failed, the last time.
    pub failed_call_cause: Option<String>,
    pub records_failed: u64,
    /// The first record that failed on its way.
    pub bad: Option<(Stage, String)>,
    /// Why it stops the task.
    pub error: Option<String>,
}

impl Traced {
    /// A batch that begins in the loop's hands.
    pub fn new(sample: Sample, begin_unix_nanos: u64, records: u64) -> Self {
        Self {
            sample,
            begin_unix_nanos,
            work_begin: None,
            records,
            bytes: 0,
            topic: None,
            sequences: 0..0,
            in_hand: true,
            flushing: false,
            spans: 0,
            spans_left_out: 0,
            links: Vec::new(),
            failed_calls: 0,
            failed_call_cause: None,
            records_failed: 0,
            bad: None,
            error: None,
        }
    }

    /// What is told of it as a whole.
    pub fn attributes(&self) -> Vec<(&'static str, SpanValue)> {
        let mut attributes = vec![("rmqc.records", self.records.into()), ("rmqc.bytes", self.bytes.into())];
        attributes.extend(self.topic.as_deref().map(|topic| ("messaging.destination.name", topic.into())));
        for (name, count) in [
            ("rmqc.failed_records", self.records_failed),
            ("rmqc.failed_calls", self.failed_calls),
            ("rmqc.spans_left_out", u64::from(self.spans_left_out)),
        ] {
            if count > 0 {
                attributes.push((name, count.into()));
            }
        }
        attributes.extend(self.failed_call_cause.as_deref().map(|cause| ("rmqc.failed_call_cause", cause.into())));
        attributes.extend(self.bad.as_ref().map(|(_, cause)| ("rmqc.failed_record_cause", cause.as_str().into())));
        attributes
    }

    /// A span of one of its steps.
    pub fn part(&self, step: Step, begin: Instant, end: Instant, records: u64) -> Part {
        let clock = &self.sample.clock;
        Part {
            name: step.name(),
            kind: SpanKind::Internal,
            nanos: (clock.unix_nanos(begin), clock.unix_nanos(end)),
            attributes: vec![("rmqc.records", records.into())],
            error: None,
        }
    }

    /// What is wrong with a record of it in that step.
    pub fn error_of(&self, step: Step) -> Option<String> {
        let (stage, error) = self.bad.as_ref()?;
        let at = match stage {
            Stage::Transform => Step::Transform,
            Stage::Convert | Stage::Consume => Step::Convert,
            Stage::Put => Step::Put,
            Stage::Poll | Stage::Send | Stage::Commit | Stage::Lifecycle => return None,
        };
        (at == step).then(|| error.clone())
    }

    /// Notes what led to it: as many as a span may have, each once; malformed contexts are left out.
    pub fn link<'t>(&mut self, contexts: impl Iterator<Item = &'t [u8]>) {
        for (place, _) in contexts.filter_map(read_traceparent) {
            if self.links.len() >= LINKS_MAX {
                return;
            }
            if !self.links.contains(&place) {
                self.links.push(place);
            }
        }
    }
}
