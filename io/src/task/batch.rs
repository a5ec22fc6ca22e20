//! What a sink gets at once, and how far the queues are when it has taken it.

use std::sync::Arc;

use rmqc_core::error::ConnectError;
use rmqc_core::position::RecordOffset;
use rmqc_core::record::ConnectRecord;

use crate::remoting::message::Message;

/// How far one queue gets when the batch under way is accepted.
pub(super) struct Mark {
    pub queue: usize,
    pub next_offset: i64,
    pub bytes: usize,
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
    pub records: Vec<ConnectRecord>,
    pub marks: Vec<Mark>,
    /// The messages behind `records`, while these may have to be given up.
    pub origins: Vec<Message>,
    pub bad: Vec<Bad>,
    pub payload_bytes: u64,
    pub pulled: u64,
    pub filtered: u64,
    /// Why the task stops once the records before the one at fault are committed.
    pub stop: Option<ConnectError>,
    /// A queue whose next message waits for another try; it is read anew.
    pub again: Option<usize>,
}

impl Batch {
    /// Whether it ends before all that was there.
    pub fn is_cut(&self) -> bool {
        self.stop.is_some() || self.again.is_some()
    }

    /// Ends the batch before the record at `index`; what follows is read again after the next start.
    pub fn cut(&mut self, index: usize, error: ConnectError) {
        let Some(offset) = self.records.get(index).and_then(queue_offset) else { return };
        self.records.truncate(index);
        self.origins.truncate(index);
        let own = self.marks.iter().position(|mark| mark.records_end > index).unwrap_or(self.marks.len());
        self.marks.truncate(own.saturating_add(1));
        if let Some(mark) = self.marks.get_mut(own) {
            (mark.next_offset, mark.records_end) = (offset, index);
        }
        self.bad.retain(|bad| bad.records_before <= index);
        self.pulled = (index as u64).saturating_add(self.bad.len() as u64).saturating_add(self.filtered);
        self.stop = Some(error);
    }
}

/// The queue offset that a record carries.
fn queue_offset(record: &ConnectRecord) -> Option<i64> {
    match &record.position.as_ref()?.offset {
        RecordOffset::Counter { value, .. } => i64::try_from(*value).ok(),
        RecordOffset::Map(_) => None,
    }
}
