//! What a sink gets at once, and how far the queues are when it has taken it.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use rmqc_core::error::ConnectError;
use rmqc_core::metrics::Span;
use rmqc_core::position::RecordOffset;
use rmqc_core::record::ConnectRecord;

use super::rows::Rows;
use crate::remoting::message::Message;
use crate::remoting::pulled::MessageSpan;
use crate::shard::latency::Latencies;

/// How far one queue gets when the batch under way is accepted.
pub(super) struct Mark {
    pub queue: usize,
    pub next_offset: i64,
    pub bytes: usize,
    /// When the last of its messages was stored, in ms since 1970.
    pub stored_ms: Option<i64>,
    /// The broker sent the group elsewhere: no records belong to it.
    pub moved: bool,
    /// Records of the batch up to the end of this answer.
    pub records_end: usize,
}

/// A message that is given up when its batch is accepted.
pub(super) struct Bad {
    pub topic: Arc<str>,
    pub message: Message,
    pub error: ConnectError,
    /// Records of the batch that were found before it.
    pub records_before: usize,
}

/// Records collected for one put.
#[derive(Default)]
pub(super) struct Batch {
    pub records: Rows,
    pub marks: Vec<Mark>,
    /// Where the messages behind `records` lie, while these may have to be given up.
    pub origins: Vec<MessageSpan>,
    /// The answers in which they lie, each with the end of its records.
    pub answers: Vec<(usize, Bytes)>,
    pub bad: Vec<Bad>,
    /// When the messages behind `records` were stored, in ms since 1970: runs of records, each with its end.
    pub stored: Vec<(i64, usize)>,
    /// Records that the sink has reported as bad: their places, in order, each once.
    pub reported: Vec<usize>,
    pub payload_bytes: u64,
    pub pulled: u64,
    pub filtered: u64,
    /// Why the task stops once the records before the one at fault are committed.
    pub stop: Option<ConnectError>,
    /// A queue whose next message waits for another try; it is read anew.
    pub again: Option<usize>,
}

impl Batch {
    /// The room that its records took, for the next batch.
    pub fn take_room(&mut self) -> Rows {
        self.records.clear();
        std::mem::take(&mut self.records)
    }

    /// The message behind the record at `index`, if it was kept.
    pub fn origin(&self, index: usize) -> Option<Message> {
        let answer = self.answers.partition_point(|(end, _)| *end <= index);
        let (_, answer) = self.answers.get(answer)?;
        self.origins.get(index)?.message(answer).ok()
    }

    /// Whether it ends before all that was there.
    pub fn is_cut(&self) -> bool {
        self.stop.is_some() || self.again.is_some()
    }

    /// Notes when the message behind the record just added was stored.
    pub fn stored_at(&mut self, stored_ms: i64) {
        let end = self.records.len();
        match self.stored.last_mut() {
            Some((known, until)) if *known == stored_ms => *until = end,
            _ => self.stored.push((stored_ms, end)),
        }
    }

    /// Counts how long the records that the sink has just taken were on their way.
    pub fn record_latencies(&self, latencies: &Latencies) {
        let now_ms = crate::host::unix_ms();
        record_to_put(&self.records, &self.reported, latencies, now_ms);
        let mut start = 0usize;
        for (stored_ms, end) in &self.stored {
            let end = (*end).min(self.records.len());
            latencies.record(Span::StoreToPut, *stored_ms, now_ms, taken(&self.reported, start..end));
            start = end;
        }
    }

    /// Ends the batch before the record at `index`; what follows is read again after the next start.
    pub fn cut(&mut self, index: usize, error: ConnectError) {
        let Some(offset) = self.records.get(index).and_then(queue_offset) else { return };
        self.records.truncate(index);
        self.origins.truncate(index);
        let own = self.marks.iter().position(|mark| mark.records_end > index).unwrap_or(self.marks.len());
        self.marks.truncate(own.saturating_add(1));
        if let Some(mark) = self.marks.get_mut(own) {
            (mark.next_offset, mark.records_end, mark.stored_ms) = (offset, index, None);
        }
        self.bad.retain(|bad| bad.records_before <= index);
        self.pulled = (index as u64).saturating_add(self.bad.len() as u64).saturating_add(self.filtered);
        self.stop = Some(error);
    }
}

/// Counts how long the records of a put were on their way, but for those `reported` as bad: their places, in order. Those
/// without a time don't count.
pub(super) fn record_to_put(records: &[ConnectRecord], reported: &[usize], latencies: &Latencies, now_ms: i64) {
    let mut start = 0usize;
    for run in records.chunk_by(|a, b| a.timestamp_ms == b.timestamp_ms) {
        let end = start.saturating_add(run.len());
        if let Some(then_ms) = run.first().and_then(|record| record.timestamp_ms) {
            latencies.record(Span::RecordToPut, then_ms, now_ms, taken(reported, start..end));
        }
        start = end;
    }
}

/// Records at these places that were not reported.
fn taken(reported: &[usize], places: Range<usize>) -> u64 {
    let before = |end: usize| reported.partition_point(|place| *place < end);
    let bad = before(places.end).saturating_sub(before(places.start));
    places.len().saturating_sub(bad) as u64
}

/// The queue offset that a record carries.
fn queue_offset(record: &ConnectRecord) -> Option<i64> {
    match &record.position.as_ref()?.offset {
        RecordOffset::Counter { value, .. } => i64::try_from(*value).ok(),
        RecordOffset::Map(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;

    use super::*;
    use crate::remoting::message::{MessageParts, put_message};
    use crate::remoting::pulled::PulledMessages;

    #[test]
    fn only_what_the_sink_has_taken_has_a_latency() {
        let mut batch = Batch::default();
        for (time_ms, stored_ms) in [(Some(1), 10), (Some(1), 10), (None, 10), (Some(2), 20), (Some(3), 30)] {
            batch.records.next().timestamp_ms = time_ms;
            batch.stored_at(stored_ms);
        }
        assert_eq!(batch.stored, [(10, 3), (20, 4), (30, 5)]);
        let counted = |batch: &Batch| {
            let latencies = Latencies::of(&[Span::RecordToPut, Span::StoreToPut]);
            batch.record_latencies(&latencies);
            latencies.report().iter().map(|one| one.micros.len()).collect::<Vec<_>>()
        };
        assert_eq!(counted(&batch), [4, 5]);
        batch.reported.push(1);
        assert_eq!(counted(&batch), [3, 4]);
        // As after a cut.
        batch.records.truncate(3);
        assert_eq!(counted(&batch), [1, 2]);
    }

    #[test]
    fn records_lead_back_to_their_messages() {
        let mut batch = Batch::default();
        // Of the second answer no record is left.
        for texts in [&["a", "b"][..], &[], &["c"]] {
            let mut body = BytesMut::new();
            for (queue_offset, text) in (0..).zip(texts) {
                put_message(&mut body, &parts(queue_offset, text.as_bytes()));
            }
            let messages = PulledMessages::read(body.freeze(), 0, |_, _| true).unwrap();
            for span in messages.spans() {
                batch.records.next();
                batch.origins.push(*span);
            }
            batch.answers.push((batch.records.len(), messages.body().clone()));
        }
        let texts = |batch: &Batch| (0..4).map(|at| batch.origin(at).map(|message| message.body)).collect::<Vec<_>>();
        let text = |text: &'static str| Some(Bytes::from(text));
        assert_eq!(texts(&batch), [text("a"), text("b"), text("c"), None]);
        batch.records.next();
        assert_eq!(texts(&batch)[3], None);
        assert_eq!(Batch::default().origin(0), None);
    }

    fn parts(queue_offset: i64, body: &[u8]) -> MessageParts<'_> {
        MessageParts { queue_offset, body, topic: b"t", ..MessageParts::default() }
    }
}
