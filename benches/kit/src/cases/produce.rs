//! From a record's body to its place in a batch request: properties, id, queue.

use std::hint::black_box;
use std::net::Ipv4Addr;

use bytes::{Bytes, BytesMut};
use rmqc_core::dlq::{Consumed, context};
use rmqc_core::error::{ConnectError, Stage};
use rmqc_core::id::TaskId;
use rmqc_core::record::Extensions;
use rmqc_io::producer::batch::{OpenBatch, SealedBatch};
use rmqc_io::remoting::route::queue_index;
use rmqc_io::remoting::unique_id::UniqueIds;

use super::codec::{extensions, rich_block};
use super::{NOW_MS, properties_writer};
use crate::case::Case;

/// Bytes of a batch's buffer.
const BUFFER_BYTES: usize = 256 * 1_024;

pub fn cases() -> Vec<Case> {
    vec![
        Case::each("properties", "write_plain", || {
            let mut writer = properties_writer();
            move || writer.write(black_box(NOW_MS), None, &Extensions::Empty, Some(NOW_MS)).unwrap().len()
        }),
        Case::each("properties", "write_key_and_two_extensions", || {
            let (mut writer, extensions) = (properties_writer(), extensions());
            move || writer.write(NOW_MS, Some(black_box(b"order-4711")), &extensions, Some(NOW_MS)).unwrap().len()
        }),
        batch("build_copied_100", 1_024, 100),
        batch("build_copied_1024", 256, 1_024),
        batch("build_gathered_16384", 64, 16 * 1_024),
        Case::each("batch", "of_one_reused_buffer", || {
            let (body, mut buffer) = (Bytes::from_static(&[b'x'; 100]), BytesMut::with_capacity(BUFFER_BYTES));
            move || {
                let sealed = of_one(std::mem::take(&mut buffer), &body);
                buffer = sealed.into_buffer().unwrap();
            }
        }),
        Case::each("batch", "of_one_new_buffer", || {
            let body = Bytes::from_static(&[b'x'; 100]);
            move || of_one(BytesMut::with_capacity(black_box(BUFFER_BYTES)), &body)
        }),
        Case::each("dead_letter", "context_and_properties", letter),
        Case::each("unique_id", "next", || {
            let mut ids = UniqueIds::new(Ipv4Addr::LOCALHOST, 4_711, 1);
            move || *ids.next(black_box(NOW_MS))
        }),
        Case::each("route", "queue_index_16_characters", || {
            || queue_index(black_box("order-0123456789"), black_box(8))
        }),
    ]
}

fn of_one(buffer: BytesMut, body: &Bytes) -> SealedBatch {
    let mut batch = OpenBatch::new(buffer);
    batch.push(black_box(body), b"", 0);
    batch.seal()
}

/// With each message's properties. As in the producer, a batch's buffer comes back once the batch is on its way.
fn batch(name: &'static str, count: u64, size: usize) -> Case {
    Case::new("batch", name, count, move || {
        let payload = Bytes::from(vec![b'x'; size]);
        let mut writer = properties_writer();
        let mut buffer = Some(BytesMut::with_capacity(1 << 20));
        move || {
            let mut batch = OpenBatch::new(buffer.take().unwrap_or_default());
            for sequence in 0..count {
                let block = writer.write(NOW_MS, None, &Extensions::Empty, Some(NOW_MS)).unwrap();
                batch.push(black_box(&payload), block, sequence);
            }
            let sealed = black_box(batch.seal());
            assert_eq!(sealed.messages as u64, count);
            buffer = sealed.into_buffer();
        }
    })
}

/// What a dead letter of a pulled message gets besides its body, errors told.
fn letter() -> impl FnMut() -> usize {
    let task = TaskId::new("orders", 0);
    let consumed =
        Consumed { topic: "orders".into(), queue_id: 3, queue_offset: 4_711, born_ms: NOW_MS, store_ms: NOW_MS };
    let error = ConnectError::bad_record(Stage::Convert, "malformed JSON at byte 17").in_class("a.JsonConverter");
    let (mut writer, original) = (properties_writer(), rich_block());
    move || {
        let context = context(&task, Some(black_box(&consumed)), &error);
        writer.write_letter(NOW_MS, &original, &context).unwrap().len()
    }
}
