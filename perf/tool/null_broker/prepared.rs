//! Answers to pulls, made once: the messages of one full answer, in which only queue and offsets change from one answer
//! to the next.

use std::net::Ipv4Addr;

use bytes::BytesMut;
use rmqc_core::record::Extensions;
use rmqc_io::producer::properties::PropertiesWriter;
use rmqc_io::remoting::message::{MessageParts, put_message};
use rmqc_io::remoting::unique_id::UniqueIds;

const BORN_MS: i64 = 1_795_363_854_815;
/// Where the queue id and the queue's offset stand in a message.
const QUEUE_ID_AT: usize = 12;
const QUEUE_OFFSET_AT: usize = 20;
const PHYSICAL_OFFSET_AT: usize = 28;

/// What the prepared messages hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// Lower-case text.
    Text,
    /// A JSON object, such as a log collector makes.
    Json,
}

/// The messages of one answer, back to back, all of one size.
pub struct Prepared {
    bytes: Vec<u8>,
    message_bytes: usize,
}

impl Prepared {
    /// So many messages with bodies of so many bytes, for one topic; their properties are those that the worker's own
    /// sources give their records.
    pub fn new(topic: &[u8], messages: usize, body_bytes: usize, content: Content) -> Self {
        let mut writer = PropertiesWriter::new(UniqueIds::new(Ipv4Addr::LOCALHOST, std::process::id(), 1));
        let (mut out, mut message_bytes) = (BytesMut::new(), 0);
        let host = [127, 0, 0, 1, 0, 0, 0x2A, 0x9F];
        for number in 0..messages {
            let body = body(number, body_bytes, content);
            let properties = writer.write(BORN_MS, None, &Extensions::Empty, Some(BORN_MS)).unwrap();
            let before = out.len();
            put_message(
                &mut out,
                &MessageParts {
                    queue_id: 0,
                    queue_offset: 0,
                    physical_offset: 0,
                    flag: 0,
                    sys_flag: 0,
                    born_ms: BORN_MS,
                    store_ms: BORN_MS,
                    born_host: host,
                    store_host: host,
                    reconsume_times: 0,
                    body: &body,
                    topic,
                    properties,
                },
            );
            assert!(number == 0 || message_bytes == out.len() - before, "messages of different sizes");
            message_bytes = out.len() - before;
        }
        Self { bytes: out.to_vec(), message_bytes }
    }

    /// Bytes of one message.
    pub fn message_bytes(&self) -> usize {
        self.message_bytes
    }

    /// The first `count` messages as those of a queue from an offset on. One store or two in a message's first cache line.
    pub fn at(&mut self, queue: i64, offset: i64, count: usize) -> &[u8] {
        let queue = u32::try_from(queue).unwrap().to_be_bytes();
        let used = &mut self.bytes[..count * self.message_bytes];
        for (message, offset) in used.chunks_exact_mut(self.message_bytes).zip(offset..) {
            message[QUEUE_ID_AT..QUEUE_ID_AT + 4].copy_from_slice(&queue);
            message[QUEUE_OFFSET_AT..QUEUE_OFFSET_AT + 8].copy_from_slice(&offset.to_be_bytes());
            let physical = offset * self.message_bytes as i64;
            message[PHYSICAL_OFFSET_AT..PHYSICAL_OFFSET_AT + 8].copy_from_slice(&physical.to_be_bytes());
        }
        used
    }
}

fn body(number: usize, bytes: usize, content: Content) -> Vec<u8> {
    match content {
        Content::Text => (0..bytes).map(|at| b'a' + ((at + number) % 26) as u8).collect(),
        Content::Json => {
            let head = format!(
                r#"{{"id":{},"level":"INFO","user":{{"id":7,"geo":{{"city":"Lisbon","lat":38.72}},"city":"Porto"}},"body":""#,
                1_000_000 + number % 1_000_000
            );
            let tail = r#"","ok":true}"#;
            let between = bytes.checked_sub(head.len() + tail.len()).expect("200 bytes or more for a JSON object");
            let words = "the quick brown fox jumps over the lazy dog, ".bytes().cycle().skip(number % 45).take(between);
            head.bytes().chain(words).chain(tail.bytes()).collect()
        }
    }
}

#[cfg(test)]
#[allow(
    dead_code,
    unused_imports,
    reason = "the bench target is built for tests without a harness that would run them"
)]
mod tests {
    use super::*;

    #[test]
    fn the_workers_own_codec_reads_the_messages() {
        for content in [Content::Text, Content::Json] {
            let mut prepared = Prepared::new(b"prepared", 8, 200, content);
            let body = bytes::Bytes::copy_from_slice(prepared.at(3, 1_000, 5));
            let read = rmqc_io::remoting::message::messages(body).map(|message| message.unwrap());
            let read: Vec<_> =
                read.map(|message| (message.queue_id, message.queue_offset, message.body.len())).collect();
            assert_eq!(read, (1_000..1_005).map(|offset| (3, offset, 200)).collect::<Vec<_>>());
        }
    }

    #[test]
    fn json_bodies_are_json() {
        for number in [0, 44, 1_023] {
            let body = body(number, 200, Content::Json);
            let value: serde_json::Value = serde_json::from_slice(&body).unwrap();
            assert_eq!((body.len(), &value["level"]), (200, &serde_json::json!("INFO")));
        }
    }
}
