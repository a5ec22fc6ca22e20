//! The wire protocol's hot functions, one by one: `cargo bench --bench remoting`. The rate that is printed counts frames,
//! messages or records; its inverse is the time that each of them costs on one core, without sockets.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a measuring tool"
)]

use std::hint::black_box;
use std::net::Ipv4Addr;

use bytes::{Bytes, BytesMut};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use rmqc_core::record::Extensions;
use rmqc_io::producer::batch::OpenBatch;
use rmqc_io::producer::properties::PropertiesWriter;
use rmqc_io::remoting::code::request;
use rmqc_io::remoting::frame::{self, FrameDecoder};
use rmqc_io::remoting::header::{FLAG_RESPONSE, Header, HeaderForm, JsonHeaderWriter};
use rmqc_io::remoting::message::{MessageParts, messages, put_message};
use rmqc_io::remoting::properties;
use rmqc_io::remoting::route::queue_index;
use rmqc_io::remoting::unique_id::UniqueIds;

const NOW_MS: i64 = 1_795_363_854_815;
const TOPIC: &str = "fileTopic";
/// Answers that wait in the socket when it is read.
const STREAM_FRAMES: usize = 1_000;

criterion_group!(remoting, frames, headers, pulled_messages, batches, property_blocks, ids_and_queues);
criterion_main!(remoting);

/// The header of a broker's answer to a batch.
fn answer_header(out: &mut BytesMut) {
    let mut writer = JsonHeaderWriter::open(out, 0, 4_711, FLAG_RESPONSE);
    writer.text("msgId", b"7F00000100002A9F0000000000C0FFEE");
    writer.text("queueId", b"3");
    writer.text("queueOffset", b"123456789");
    writer.text("transactionId", b"7F0000010001000000010102030405060708");
    writer.text("MSG_REGION", b"DefaultRegion");
    writer.text("TRACE_ON", b"true");
    writer.close();
}

/// The head of a batch request, as a connection writes it.
fn request_head(out: &mut BytesMut, opaque: i32, body_len: usize) {
    let mark = frame::begin(out);
    let mut writer = JsonHeaderWriter::open(out, request::SEND_BATCH_MESSAGE, opaque, 0);
    writer.text("a", b"connect-source");
    writer.text("b", TOPIC.as_bytes());
    writer.text("c", b"TBW102");
    writer.number("d", 8);
    writer.number("e", 3);
    writer.number("f", 0);
    writer.number("g", NOW_MS);
    writer.number("h", 0);
    writer.text("i", b"");
    writer.number("j", 0);
    writer.text("k", b"false");
    writer.text("m", b"true");
    writer.close();
    frame::finish(out, mark, body_len);
}

fn writer() -> PropertiesWriter {
    PropertiesWriter::new(UniqueIds::new(Ipv4Addr::LOCALHOST, 4_711, 1))
}

fn frames(criterion: &mut Criterion) {
    let mut stream = BytesMut::new();
    for _ in 0..STREAM_FRAMES {
        let mark = frame::begin(&mut stream);
        answer_header(&mut stream);
        frame::finish(&mut stream, mark, 0);
    }
    let mut group = criterion.benchmark_group("frame");
    group.throughput(Throughput::Elements(STREAM_FRAMES as u64));
    // The copy into the buffer stands for the kernel's, which a socket costs as well.
    group.bench_function("decode", |bencher| {
        let mut decoder = FrameDecoder::default();
        bencher.iter(|| {
            let (mut rest, mut count) = (&stream[..], 0);
            while !rest.is_empty() {
                let (buffer, len_max) = decoder.read_target();
                let (part, behind) = rest.split_at(len_max.min(rest.len()));
                buffer.extend_from_slice(part);
                rest = behind;
                while let Some(frame) = decoder.next_frame().unwrap() {
                    black_box(frame);
                    count += 1;
                }
            }
            assert_eq!(count, STREAM_FRAMES);
        });
    });
    group.finish();
}

fn headers(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("header");
    group.throughput(Throughput::Elements(1));
    let mut answer = BytesMut::new();
    answer_header(&mut answer);
    let answer = answer.freeze();
    group.bench_function("decode_json", |bencher| {
        bencher.iter(|| Header::decode(HeaderForm::Json, black_box(&answer)).unwrap());
    });
    group.bench_function("encode_request", |bencher| {
        let mut out = BytesMut::with_capacity(64 * 1024);
        bencher.iter(|| {
            out.clear();
            request_head(&mut out, black_box(4_711), 131_072);
            black_box(out.len())
        });
    });
    group.finish();
}

fn pulled_messages(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("message_decode");
    for count in [32_usize, 1_024] {
        let (mut body, mut writer) = (BytesMut::new(), writer());
        for offset in 0..count as i64 {
            let block = writer.write(NOW_MS, None, &Extensions::Empty, Some(NOW_MS)).unwrap();
            let host = [127, 0, 0, 1, 0, 0, 0x2A, 0x9F];
            put_message(
                &mut body,
                &MessageParts {
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
                    body: &[b'x'; 100],
                    topic: TOPIC.as_bytes(),
                    properties: block,
                },
            );
        }
        let body = body.freeze();
        group.throughput(Throughput::Elements(count as u64));
        group.bench_function(BenchmarkId::from_parameter(count), |bencher| {
            bencher.iter(|| {
                let mut found = 0;
                for message in messages(body.clone()) {
                    black_box(message.unwrap());
                    found += 1;
                }
                assert_eq!(found, count);
            });
        });
    }
    group.finish();
}

fn batches(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("batch_build");
    for (size, count) in [(100_usize, 1_024_u64), (1_024, 512), (16 * 1_024, 64)] {
        let payload = Bytes::from(vec![b'x'; size]);
        let mut writer = writer();
        // As in the producer: a batch's buffer comes back once the batch is on its way.
        let mut buffer = Some(BytesMut::with_capacity(1 << 20));
        group.throughput(Throughput::Elements(count));
        group.bench_function(BenchmarkId::from_parameter(format!("{size}_bytes")), |bencher| {
            bencher.iter(|| {
                let mut batch = OpenBatch::new(buffer.take().unwrap_or_default());
                for sequence in 0..count {
                    let block = writer.write(NOW_MS, None, &Extensions::Empty, Some(NOW_MS)).unwrap();
                    batch.push(black_box(&payload), block, sequence);
                }
                let sealed = black_box(batch.seal());
                assert_eq!(sealed.messages as u64, count);
                buffer = sealed.into_buffer();
            });
        });
    }
    group.finish();
}

fn property_blocks(criterion: &mut Criterion) {
    let mut extensions = Extensions::Empty;
    extensions.set("TAGS", "orders");
    extensions.set("colour", "red");
    let mut group = criterion.benchmark_group("properties");
    group.throughput(Throughput::Elements(1));
    group.bench_function("write_plain", |bencher| {
        let mut writer = writer();
        bencher.iter(|| black_box(writer.write(NOW_MS, None, &Extensions::Empty, Some(NOW_MS)).unwrap()).len());
    });
    group.bench_function("write_key_and_two_extensions", |bencher| {
        let mut writer = writer();
        bencher.iter(|| black_box(writer.write(NOW_MS, Some(b"order-4711"), &extensions, Some(NOW_MS)).unwrap()).len());
    });
    let block = writer().write(NOW_MS, Some(b"order-4711"), &extensions, Some(NOW_MS)).unwrap().to_vec();
    for (name, key) in [("find_first", properties::UNIQ_KEY), ("find_last", properties::CONNECT_TIMESTAMP)] {
        group.bench_function(name, |bencher| {
            bencher.iter(|| properties::find(black_box(&block), key).unwrap().len());
        });
    }
    group.finish();
}

fn ids_and_queues(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("choice");
    group.throughput(Throughput::Elements(1));
    group.bench_function("unique_id", |bencher| {
        let mut ids = UniqueIds::new(Ipv4Addr::LOCALHOST, 4_711, 1);
        bencher.iter(|| *black_box(ids.next(black_box(NOW_MS))));
    });
    group.bench_function("queue_index_16_characters", |bencher| {
        bencher.iter(|| queue_index(black_box("order-0123456789"), black_box(8)));
    });
    group.finish();
}
