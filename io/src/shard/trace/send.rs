//! The span of one request with messages to a broker.

use std::rc::Rc;
use std::time::Instant;

use rmqc_core::id::TaskId;
use rmqc_core::trace::{BatchSpan, SpanKind, SpanPlace, SpanValue};

use super::{ERROR_CHARS_MAX, Parent, queue_attributes};
use crate::remoting::route::QueueAddress;
use crate::shard::failures::bounded;
use crate::shard::tracer::{Tracer, span_id};

/// A request on its way, from its batch being sealed to the broker's confirmation. One that is dropped is told as not confirmed.
pub struct SendSpan {
    tracer: Rc<Tracer>,
    task: TaskId,
    parent: Parent,
    target: QueueAddress,
    links: Vec<SpanPlace>,
    begin: Instant,
    /// When it was on the line for the first time.
    on_line: Option<Instant>,
    attempts: u64,
    retry_cause: Option<String>,
    over: bool,
}

impl SendSpan {
    /// A request that begins now.
    pub(super) fn begin(
        tracer: Rc<Tracer>,
        task: TaskId,
        parent: Parent,
        target: QueueAddress,
        links: Vec<SpanPlace>,
    ) -> Self {
        let (begin, on_line, retry_cause) = (Instant::now(), None, None);
        Self { tracer, task, parent, target, links, begin, on_line, attempts: 0, retry_cause, over: false }
    }

    /// It goes on the line to this queue, once more if it was there before.
    pub fn attempt(&mut self, target: &QueueAddress) {
        self.on_line.get_or_insert_with(Instant::now);
        self.attempts = self.attempts.saturating_add(1);
        if self.target.queue != target.queue || self.target.address != target.address {
            self.target = target.clone();
        }
    }

    /// It is to be tried again, for this reason.
    pub fn failed(&mut self, reason: &str) {
        self.retry_cause = Some(bounded(reason, ERROR_CHARS_MAX));
    }

    /// The broker has confirmed so many records of so many bytes.
    pub fn stored(mut self, records: u64, bytes: u64) {
        self.tell(vec![("rmqc.records", records.into()), ("rmqc.bytes", bytes.into())], None);
    }

    /// It is not tried again, for this reason.
    pub fn given_up(mut self, reason: &str) {
        self.tell(Vec::new(), Some(bounded(reason, ERROR_CHARS_MAX)));
    }

    fn tell(&mut self, mut attributes: Vec<(&'static str, SpanValue)>, error: Option<String>) {
        self.over = true;
        let (batch, clock) = self.parent;
        let waited = self.on_line.unwrap_or_else(Instant::now).saturating_duration_since(self.begin);
        attributes.extend(queue_attributes(&self.target));
        attributes.push(("rmqc.retries", self.attempts.saturating_sub(1).into()));
        attributes.push(("rmqc.blocked_us", u64::try_from(waited.as_micros()).unwrap_or(u64::MAX).into()));
        attributes.extend(self.retry_cause.take().map(|cause| ("rmqc.retry_cause", SpanValue::Text(cause))));
        self.tracer.keep(BatchSpan {
            task: self.task.clone(),
            place: SpanPlace { span_id: span_id(), ..batch },
            parent_id: Some(batch.span_id),
            name: "send",
            kind: SpanKind::Producer,
            begin_unix_nanos: clock.unix_nanos(self.begin),
            end_unix_nanos: clock.unix_nanos(Instant::now()),
            attributes,
            links: std::mem::take(&mut self.links),
            error,
        });
    }
}

impl Drop for SendSpan {
    fn drop(&mut self) {
        if !self.over {
            self.tell(Vec::new(), Some("the task ended before the broker confirmed it".to_owned()));
        }
    }
}
