//! What a task does with a record between socket and file: `cargo bench --bench records`. The rate that is printed counts
//! records; its inverse is the time that each of them costs on one core.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a measuring tool"
)]

mod memory;

use std::hint::black_box;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use rmqc_connectors::file::{FileSource, FileSourceConfig};
use rmqc_core::config::Properties;
use rmqc_core::connector::SourceTask as _;
use rmqc_core::context::TaskContext;
use rmqc_core::id::TaskId;
use rmqc_core::inflight::InFlight;
use rmqc_core::position::{Position, RecordOffset, RecordPartition};
use rmqc_core::record::RecordBatch;
use rmqc_core::registry::find_converter;

use memory::{Memory, at_once};

/// Records that a task handles at a time.
const RECORDS: usize = 1_024;

criterion_group!(records, in_flight, converters, file_source);
criterion_main!(records);

fn position(partition: &Arc<RecordPartition>, value: u64) -> Position {
    Position { partition: partition.clone(), offset: RecordOffset::Counter { field: "nextPosition", value } }
}

fn in_flight(criterion: &mut Criterion) {
    let partition = Arc::new(RecordPartition::single("filename", "/data/in.txt"));
    let mut group = criterion.benchmark_group("in_flight");
    group.throughput(Throughput::Elements(RECORDS as u64));
    // Four requests' worth of records, whose answers come in either order.
    for (name, answers) in [("answers_in_order", [0, 1, 2, 3]), ("answers_in_reverse", [3, 2, 1, 0])] {
        group.bench_function(name, |bencher| {
            let mut window = InFlight::default();
            bencher.iter(|| {
                let first = window.next_sequence();
                for number in 0..RECORDS as u64 {
                    window.push(position(&partition, number));
                }
                for answer in answers {
                    let start = first + answer * (RECORDS as u64 / 4);
                    window.confirm(start..start + RECORDS as u64 / 4);
                }
                black_box(window.take_committable());
                assert_eq!(window.committed(), RECORDS as u64);
            });
        });
    }
    group.finish();
}

fn converters(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("converter_and_back");
    group.throughput(Throughput::Elements(1));
    let body = Bytes::from(vec![b'x'; 100]);
    for name in ["string", "bytes"] {
        let converter = (find_converter(name).unwrap().build)(&Properties::new()).unwrap();
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let decoded = converter.decode("topic", Some(black_box(&body).clone())).unwrap();
                converter.encode("topic", decoded.schema.as_deref(), &decoded.value).unwrap()
            });
        });
    }
    group.finish();
}

/// From a file in memory to records in batches: the copy that the kernel would make, finding the lines, the records.
fn file_source(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("file_source");
    for size in [100_usize, 1_024] {
        let lines = (8 << 20) / (size + 1);
        let mut content = Vec::with_capacity(lines * (size + 1));
        for _ in 0..lines {
            content.resize(content.len() + size, b'x');
            content.push(b'\n');
        }
        let content = Bytes::from(content);
        group.throughput(Throughput::Elements(lines as u64));
        group.bench_function(BenchmarkId::from_parameter(format!("{size}_bytes")), |bencher| {
            let start = || {
                let config = Arc::new(Properties::from([("filename".to_owned(), "/memory".to_owned())]));
                let host = Rc::new(Memory(content.clone()));
                let parsed = FileSourceConfig::parse(&config).unwrap();
                let context = TaskContext {
                    task: TaskId::new("bench", 0),
                    config,
                    positions: Arc::default(),
                    host,
                    errant: Rc::default(),
                    backlog: Rc::default(),
                };
                let mut source = FileSource::new(parsed, &context).unwrap();
                at_once(source.start()).unwrap();
                (source, RecordBatch::new(8_192, 4 << 20))
            };
            let read_all = |(source, batch): &mut (FileSource, RecordBatch)| {
                let mut seen = 0;
                while seen < lines {
                    at_once(source.poll(batch)).unwrap();
                    seen += batch.len();
                    drop(black_box(batch.drain()));
                }
                assert_eq!(seen, lines);
            };
            bencher.iter_batched_ref(start, read_all, BatchSize::PerIteration);
        });
    }
    group.finish();
}
