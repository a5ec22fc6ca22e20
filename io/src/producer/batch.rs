//! One batch request being filled.
//!
//! Per record of 100 bytes: one copy of body and properties into the frame (about 200 bytes), no allocation, no system
//! call, about 30 ns with its properties. Bodies of 8 KiB and more are not copied: they become parts of a gathered write.

use std::ops::Range;

use bytes::{BufMut, Bytes, BytesMut};
use rmqc_core::inflight::Sequence;
use rmqc_core::limits::GATHER_BODY_BYTES_MIN;

use crate::remoting::message::{BatchItem, ITEM_FIXED_BYTES, MessageError, batch_items, put_item_head, put_item_tail};

/// A batch that still takes records.
#[derive(Debug, Default)]
pub struct OpenBatch {
    parts: Vec<Bytes>,
    current: BytesMut,
    bytes: usize,
    messages: usize,
    payload_bytes: u64,
    copied_bytes: u64,
    sequences: Vec<Range<Sequence>>,
}

/// A batch on its way.
#[derive(Debug, Default)]
pub struct SealedBatch {
    /// The request's body.
    pub parts: Vec<Bytes>,
    /// Number of messages.
    pub messages: usize,
    /// Bytes of the request's body.
    pub bytes: usize,
    /// Bytes of the messages' bodies.
    pub payload_bytes: u64,
    /// Of these, bytes copied into the request.
    pub copied_bytes: u64,
    /// Which records are inside.
    pub sequences: Vec<Range<Sequence>>,
}

impl OpenBatch {
    /// An empty batch that writes into `buffer`.
    #[must_use]
    pub fn new(buffer: BytesMut) -> Self {
        Self { current: buffer, ..Self::default() }
    }

    /// Bytes of the request's body if a message of these lengths were added.
    #[must_use]
    pub fn bytes_with(&self, body_len: usize, properties_len: usize) -> usize {
        self.bytes.saturating_add(ITEM_FIXED_BYTES).saturating_add(body_len).saturating_add(properties_len)
    }

    /// Number of messages so far.
    #[must_use]
    pub fn messages(&self) -> usize {
        self.messages
    }

    /// Adds a message.
    pub fn push(&mut self, body: &Bytes, properties: &[u8], sequence: Sequence) {
        self.bytes = self.bytes_with(body.len(), properties.len());
        self.messages = self.messages.saturating_add(1);
        self.payload_bytes = self.payload_bytes.saturating_add(body.len() as u64);
        put_item_head(&mut self.current, body.len(), properties.len());
        if body.len() >= GATHER_BODY_BYTES_MIN {
            self.parts.push(self.current.split().freeze());
            self.parts.push(body.clone());
        } else {
            self.copied_bytes = self.copied_bytes.saturating_add(body.len() as u64);
            self.current.put_slice(body);
        }
        put_item_tail(&mut self.current, properties);
        match self.sequences.last_mut() {
            Some(range) if range.end == sequence => range.end = sequence.saturating_add(1),
            _ => self.sequences.push(sequence..sequence.saturating_add(1)),
        }
    }

    /// Ends the batch.
    #[must_use]
    pub fn seal(mut self) -> SealedBatch {
        self.parts.push(self.current.freeze());
        SealedBatch {
            parts: self.parts,
            messages: self.messages,
            bytes: self.bytes,
            payload_bytes: self.payload_bytes,
            copied_bytes: self.copied_bytes,
            sequences: self.sequences,
        }
    }
}

/// One message of a batch, as a batch of its own.
#[derive(Debug)]
pub struct Single {
    /// Its record.
    pub sequence: Sequence,
    /// Its body and properties.
    pub item: BatchItem,
    /// The batch that holds nothing else.
    pub batch: SealedBatch,
}

impl SealedBatch {
    /// Takes the batch apart, in order.
    ///
    /// # Errors
    /// When the request's body is not what was put into it.
    pub fn into_singles(self) -> Result<Vec<Single>, MessageError> {
        let items = batch_items(Bytes::from(self.parts.concat()))?;
        let single = |(sequence, item): (Sequence, BatchItem)| {
            let mut batch = OpenBatch::default();
            batch.push(&item.body, &item.properties, sequence);
            Single { sequence, item, batch: batch.seal() }
        };
        Ok(self.sequences.into_iter().flatten().zip(items).map(single).collect())
    }

    /// Body and properties of the only message of this batch.
    #[must_use]
    pub fn single(&self) -> Option<(Bytes, Bytes)> {
        if let [_head, body, tail] = &self.parts[..] {
            // A gathered body stands between its head and the length of its properties.
            return Some((body.clone(), tail.slice(2.min(tail.len())..)));
        }
        let [part] = &self.parts[..] else { return None };
        let [item]: [_; 1] = batch_items(part.clone()).ok()?.try_into().ok()?;
        Some((item.body, item.properties))
    }

    /// The buffer that the batch was written into, if nobody else holds on to it.
    #[must_use]
    pub fn into_buffer(self) -> Option<BytesMut> {
        let [part]: [Bytes; 1] = self.parts.try_into().ok()?;
        let mut buffer = part.try_into_mut().ok()?;
        buffer.clear();
        Some(buffer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joined(batch: &SealedBatch) -> Bytes {
        Bytes::from(batch.parts.concat())
    }

    #[test]
    fn small_bodies_are_copied_once_and_large_ones_not_at_all() {
        let mut batch = OpenBatch::default();
        let small = Bytes::from(vec![b's'; 100]);
        let large = Bytes::from(vec![b'l'; GATHER_BODY_BYTES_MIN]);
        for (sequence, body) in [&small, &large, &small].into_iter().enumerate() {
            batch.push(body, b"k\x01v\x02", sequence as u64 + 5);
        }
        let expected = batch.bytes_with(0, 0) - ITEM_FIXED_BYTES;
        let sealed = batch.seal();
        assert_eq!((sealed.messages, sealed.copied_bytes, sealed.bytes), (3, 200, expected));
        assert_eq!(sealed.sequences.as_slice(), std::slice::from_ref(&(5..8)));
        assert!(sealed.parts.iter().any(|part| part.as_ptr() == large.as_ptr()));
        let items = batch_items(joined(&sealed)).unwrap();
        assert_eq!(items.iter().map(|item| item.body.len()).collect::<Vec<_>>(), [100, GATHER_BODY_BYTES_MIN, 100]);
        assert_eq!(joined(&sealed).len(), sealed.bytes);
    }

    #[test]
    fn a_lone_message_can_leave_its_batch() {
        for len in [0, 10, GATHER_BODY_BYTES_MIN] {
            let mut batch = OpenBatch::default();
            batch.push(&Bytes::from(vec![b'b'; len]), b"k\x01v\x02", 0);
            let (body, properties) = batch.seal().single().unwrap();
            assert_eq!((body.len(), &properties[..]), (len, &b"k\x01v\x02"[..]));
        }
    }

    #[test]
    fn a_batch_comes_apart_into_its_messages() {
        let mut batch = OpenBatch::default();
        for (sequence, len) in [(3, 10), (4, GATHER_BODY_BYTES_MIN), (9, 0)] {
            batch.push(&Bytes::from(vec![b'b'; len]), b"k\x01v\x02", sequence);
        }
        let singles = batch.seal().into_singles().unwrap();
        let shown: Vec<_> = singles.iter().map(|one| (one.sequence, one.item.body.len(), one.batch.messages)).collect();
        assert_eq!(shown, [(3, 10, 1), (4, GATHER_BODY_BYTES_MIN, 1), (9, 0, 1)]);
        assert!(singles.iter().all(|one| batch_items(joined(&one.batch)).unwrap()[0].properties == "k\x01v\x02"));
    }

    #[test]
    fn a_delivered_batch_gives_its_buffer_back() {
        let mut batch = OpenBatch::new(BytesMut::with_capacity(4096));
        batch.push(&Bytes::from_static(b"x"), b"", 0);
        let buffer = batch.seal().into_buffer().unwrap();
        assert!(buffer.is_empty() && buffer.capacity() >= 4000);
    }
}
