//! What a task does with a record besides: reading its line, keeping its place, waiting, counting.

use std::future::Future;
use std::hint::black_box;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use hdrhistogram::Histogram;
use rmqc_connectors::file::{FileSource, FileSourceConfig};
use rmqc_core::config::Properties;
use rmqc_core::connector::SourceTask as _;
use rmqc_core::context::TaskContext;
use rmqc_core::id::TaskId;
use rmqc_core::inflight::InFlight;
use rmqc_core::position::{Position, RecordOffset, RecordPartition};
use rmqc_core::record::RecordBatch;
use rmqc_io::local::{Event, Semaphore};

use super::SIZES;
use crate::case::{CALLS, Case};
use crate::memory::{Memory, at_once};

/// Records that a task handles at a time.
const RECORDS: u64 = 1_024;
/// Bytes of the file whose lines are read, about.
const FILE_BYTES: usize = 512 * 1_024;

pub fn cases() -> Vec<Case> {
    let mut cases: Vec<Case> = SIZES.into_iter().map(lines).collect();
    cases.extend([
        in_flight("answers_in_order", [0, 1, 2, 3]),
        in_flight("answers_in_reverse", [3, 2, 1, 0]),
        Case::each("local", "event_wait_and_notify", event),
        Case::each("local", "semaphore_acquire_and_give_back", || {
            let semaphore = Semaphore::new(1);
            move || drop(at_once(semaphore.acquire()))
        }),
        Case::each("histogram", "record", || histogram(|micros, value| micros.saturating_record(value))),
        Case::each("histogram", "record_n", || histogram(|micros, value| micros.saturating_record_n(value, 256))),
    ]);
    cases
}

/// From a file in memory to records in batches: the copy that the kernel would make, finding the lines, the records.
fn lines(size: usize) -> Case {
    let count = FILE_BYTES / (size + 1);
    Case::new("file_source", format!("poll_lines_{size}"), count as u64, move || {
        let mut content = Vec::with_capacity(count * (size + 1));
        for _ in 0..count {
            content.resize(content.len() + size, b'x');
            content.push(b'\n');
        }
        let content = Bytes::from(content);
        let mut batch = RecordBatch::new(8_192, 4 << 20);
        move || {
            let mut source = file_source(content.clone());
            let mut seen = 0;
            while seen < count {
                at_once(source.poll(&mut batch)).unwrap();
                seen += batch.len();
                drop(black_box(batch.drain()));
            }
            assert_eq!(seen, count);
        }
    })
}

/// A source that has just started on a file of this content.
///
/// # Panics
/// When it can't start.
pub fn file_source(content: Bytes) -> FileSource {
    let config = Arc::new(Properties::from([("filename".to_owned(), "/memory".to_owned())]));
    let parsed = FileSourceConfig::parse(&config).unwrap();
    let context = TaskContext {
        task: TaskId::new("bench", 0),
        config,
        positions: Arc::default(),
        host: Rc::new(Memory(content)),
        errant: Rc::default(),
        backlog: Rc::default(),
        blocks: Rc::default(),
    };
    let mut source = FileSource::new(parsed, &context).unwrap();
    at_once(source.start()).unwrap();
    source
}

/// Four requests' worth of records, whose answers come in this order: handed on, confirmed, committed.
fn in_flight(name: &'static str, answers: [u64; 4]) -> Case {
    Case::new("in_flight", name, RECORDS, move || {
        let partition = Arc::new(RecordPartition::single("filename", "/data/in.txt"));
        let mut window = InFlight::default();
        move || {
            let first = window.next_sequence();
            for value in 0..RECORDS {
                let offset = RecordOffset::Counter { field: "nextPosition", value };
                window.push(Position { partition: partition.clone(), offset });
            }
            for answer in answers {
                let start = first + answer * (RECORDS / 4);
                window.confirm(start..start + RECORDS / 4);
            }
            black_box(window.take_committable());
            assert_eq!(window.committed(), RECORDS);
        }
    })
}

/// Somebody waits, it happens, and he goes on.
fn event() -> impl FnMut() {
    let event = Event::default();
    move || {
        let mut waiting = pin!(event.since(event.seen()));
        let mut cx = Context::from_waker(Waker::noop());
        assert!(waiting.as_mut().poll(&mut cx).is_pending());
        event.notify();
        assert_eq!(waiting.poll(&mut cx), Poll::Ready(()));
    }
}

/// Values over the whole range of what is measured, in microseconds.
fn histogram(record: fn(&mut Histogram<u64>, u64)) -> impl FnMut() {
    let mut micros = Histogram::new_with_bounds(1, 60_000_000, 2).unwrap();
    let mut number = 0;
    move || {
        number = (number + 1) % CALLS;
        record(&mut micros, black_box(1 + number * 97));
    }
}
