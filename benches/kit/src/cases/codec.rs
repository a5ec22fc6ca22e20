//! The messages of a pull answer, and the properties that come with them.

use std::hint::black_box;

use bytes::{Bytes, BytesMut};
use rmqc_core::record::Extensions;
use rmqc_io::remoting::message::{MessageParts, messages, put_message};
use rmqc_io::remoting::properties::{self, CONNECT_TIMESTAMP, UNIQ_KEY};

use super::{NOW_MS, SIZES, TOPIC, properties_writer};
use crate::case::Case;

pub fn cases() -> Vec<Case> {
    let pulls = [(32_usize, 100), (1_024, 100), (256, 1_024)];
    let pulls = pulls.into_iter().map(|(count, size)| decode(format!("decode_{count}_of_{size}"), count, size));
    // Bodies of the sizes above, each looked at for its checksum.
    let checksums = SIZES.into_iter().map(|size| {
        Case::each("message", format!("body_crc_{size}"), move || {
            let body = vec![b'x'; size];
            move || rmqc_io::remoting::message::body_crc(black_box(&body))
        })
    });
    let found = [("find_first", UNIQ_KEY), ("find_last", CONNECT_TIMESTAMP)].into_iter().map(|(name, key)| {
        Case::each("properties", name, move || {
            let block = rich_block();
            move || properties::find(black_box(&block), key).unwrap().len()
        })
    });
    pulls.chain(checksums).chain(found).collect()
}

/// The properties of a message with a key and two extensions.
pub fn rich_block() -> Bytes {
    let block = properties_writer().write(NOW_MS, Some(b"order-4711"), &extensions(), Some(NOW_MS)).unwrap().to_vec();
    Bytes::from(block)
}

pub fn extensions() -> Extensions {
    let mut extensions = Extensions::Empty;
    extensions.set("TAGS", "orders");
    extensions.set("colour", "red");
    extensions
}

/// A pull answer's body: so many messages that hold the same.
///
/// # Panics
/// Never: the properties are short.
#[must_use]
pub fn pull_answer(count: usize, body: &[u8]) -> Bytes {
    let (mut out, mut writer) = (BytesMut::new(), properties_writer());
    let host = [127, 0, 0, 1, 0, 0, 0x2A, 0x9F];
    for offset in 0..count as i64 {
        let block = writer.write(NOW_MS, None, &Extensions::Empty, Some(NOW_MS)).unwrap();
        let message = MessageParts {
            queue_id: 3,
            queue_offset: offset,
            physical_offset: offset * 300,
            flag: 0,
            sys_flag: 0,
            born_ms: NOW_MS,
            store_ms: NOW_MS,
            born_host: host,
            store_host: host,
            reconsume_times: 0,
            body,
            topic: TOPIC.as_bytes(),
            properties: block,
        };
        put_message(&mut out, &message);
    }
    out.freeze()
}

fn decode(name: String, count: usize, size: usize) -> Case {
    Case::new("message", name, count as u64, move || {
        let body = pull_answer(count, &vec![b'x'; size]);
        move || {
            let mut found = 0;
            for message in messages(body.clone()) {
                black_box(message.unwrap());
                found += 1;
            }
            assert_eq!(found, count);
        }
    })
}
