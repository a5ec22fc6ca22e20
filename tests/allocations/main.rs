//! Allocations and copies of a record between the bytes of one side and those of the other: none, when it only passes
//! through and when it is only looked at. A binary of its own, since the allocator that counts is the whole process's.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "in a test a failure is a panic"
)]

mod copies;
#[allow(dead_code, reason = "shared with tests that use more of it")]
#[path = "../dataplane/support/mod.rs"]
mod support;
mod whole_way;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use rmqc_core::chain::Chain;
use rmqc_core::config::Properties;
use rmqc_core::id::{ShardId, TaskId};
use rmqc_core::metrics::{Span, Step};
use rmqc_core::position::{Position, RecordOffset, RecordPartition};
use rmqc_core::record::{ConnectRecord, Extensions};
use rmqc_core::registry::find_converter;
use rmqc_core::transform::Outcome;
use rmqc_io::shard::latency::{Latencies, TimeRuns};
use rmqc_io::shard::steps::{Manner, OF_SOURCE, Passage, Steps};
use rmqc_io::shard::trace::{TaskTraces, Way};
use rmqc_io::shard::tracer::Tracer;

thread_local! {
    /// Allocations of this thread; the test runner's other threads are none of our business.
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
    /// Whether this thread is known to be a shard's.
    static OF_SHARD: Cell<bool> = const { Cell::new(false) };
}

/// Allocations of all shards' threads.
static SHARD_ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

/// The system's allocator, counting.
struct Counting;

impl Counting {
    fn count() {
        // A thread that ends may allocate when its counter is already gone.
        let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
        if OF_SHARD.try_with(Self::is_of_shard).unwrap_or(false) {
            SHARD_ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Asks the system for the thread's name, until it is a shard's: a thread gets its name after it has begun.
    fn is_of_shard(known: &Cell<bool>) -> bool {
        if !known.get() {
            let mut name = [0_u8; 16];
            // SAFETY: the system writes at most 16 bytes, for which there is room.
            unsafe { libc::prctl(libc::PR_GET_NAME, name.as_mut_ptr()) };
            known.set(name.starts_with(b"rmqc-shard"));
        }
        known.get()
    }
}

// SAFETY: everything is handed on to the system's allocator unchanged, so its guarantees hold.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        Self::count();
        // SAFETY: the caller's promises about the layout are those that are needed.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        Self::count();
        // SAFETY: the caller's promises about the layout are those that are needed.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, old: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        Self::count();
        // SAFETY: what was allocated here came from the system's allocator, with this layout.
        unsafe { System.realloc(old, layout, size) }
    }

    unsafe fn dealloc(&self, old: *mut u8, layout: Layout) {
        // SAFETY: what was allocated here came from the system's allocator, with this layout.
        unsafe { System.dealloc(old, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// Records of one measurement.
const RECORDS: usize = 10_000;
/// Records before each measurement, so that everything which is made once has been made.
const WARM_UP: usize = 100;

/// Bodies as they come from a socket: slices of one read buffer.
fn bodies(texts: &[&str]) -> Vec<Bytes> {
    let mut block = BytesMut::new();
    texts.iter().for_each(|text| block.extend_from_slice(text.as_bytes()));
    let mut block = block.freeze();
    texts.iter().map(|text| block.split_to(text.len())).collect()
}

/// Sends records through a converter and a chain, as a sink's task and then a source's would, and counts the
/// allocations after the warm-up; also gives how many records were kept.
fn run(converter: &str, chain: &[(&str, &str)], bodies: &[Bytes]) -> (u64, usize) {
    run_and_look(converter, chain, bodies, |body, encoded| assert_eq!(body, encoded, "kept records pass unchanged"))
}

/// The same where records come out changed.
fn run_changing(converter: &str, chain: &[(&str, &str)], bodies: &[Bytes]) -> (u64, usize) {
    run_and_look(converter, chain, bodies, |body, encoded| assert_ne!(body, encoded, "every record is changed"))
}

fn run_and_look(
    converter: &str,
    chain: &[(&str, &str)],
    bodies: &[Bytes],
    look: impl Fn(&Bytes, &Bytes),
) -> (u64, usize) {
    let factory = find_converter(converter).expect("the converter");
    let config = Properties::from([("schemas.enable".to_owned(), "false".to_owned())]);
    let converter = (factory.build)(&config).expect("a right configuration");
    let chain: Properties = chain.iter().map(|(key, text)| ((*key).to_owned(), (*text).to_owned())).collect();
    let chain = Chain::from_config(&chain).expect("the chain");
    let topic: Arc<str> = Arc::from("topic");
    let partition = Arc::new(RecordPartition::single("topic", "topic"));
    let properties = Bytes::from_static(b"UNIQ_KEY\x01abc\x02");
    let pass = |body: &Bytes, number: usize| -> bool {
        let decoded = converter.decode(&topic, Some(body.clone())).expect("a good record");
        let offset = RecordOffset::Counter { field: "queueOffset", value: number as u64 };
        let mut record = ConnectRecord {
            topic: Some(topic.clone()),
            key: Default::default(),
            key_schema: None,
            value: decoded.value,
            schema: decoded.schema,
            extensions: Extensions::Message(properties.clone()),
            timestamp_ms: Some(0),
            position: Some(Position { partition: partition.clone(), offset }),
        };
        if chain.apply(&mut record).expect("a record of the right form") == Outcome::Drop {
            return false;
        }
        let encoded = converter.encode(&topic, record.schema.as_deref(), &record.value).expect("a value");
        look(body, &encoded.expect("bytes"));
        true
    };
    let pass_all =
        |records: usize| (0..records).zip(bodies.iter().cycle()).filter(|(number, body)| pass(body, *number)).count();
    pass_all(WARM_UP);
    let before = ALLOCATIONS.get();
    let kept = pass_all(RECORDS);
    (ALLOCATIONS.get() - before, kept)
}

#[test]
fn the_counter_counts() {
    let before = ALLOCATIONS.get();
    drop(std::hint::black_box(Box::new(7)));
    assert_eq!(ALLOCATIONS.get() - before, 1);
}

#[test]
fn what_is_counted_is_not_allocated() {
    let (steps, latencies) =
        (Rc::new(Steps::new(OF_SOURCE, Rc::default(), Rc::default())), Latencies::of(&[Span::RecordToAck]));
    let count_batch = |records: usize| {
        steps.enter(Step::Poll, Manner::Starved);
        steps.leave();
        steps.ran(Step::Poll, records as u64);
        steps.work();
        let passage = Passage::begin(Some(steps.clone()), Step::Send, Manner::Blocked);
        let mut times = TimeRuns::default();
        (0..records).for_each(|at| times.push(at, Some(at as i64 / 10)));
        steps.worked(records as u64, true);
        passage.turn(Step::Send, Manner::Busy);
        passage.pass(records as u64, Step::Ack, Manner::Busy);
        passage.end(records as u64);
        latencies.record_runs(Span::RecordToAck, &times, records, 1_000_000);
        // The longest that the histograms have to hold, so that they need not grow later.
        Step::ALL.iter().for_each(|step| steps.ran_for(*step, 1, Duration::from_secs(3600)));
    };
    (0..WARM_UP).for_each(|_| count_batch(300));
    let before = ALLOCATIONS.get();
    (0..RECORDS).for_each(|_| count_batch(300));
    assert_eq!(ALLOCATIONS.get() - before, 0);
}

#[test]
fn only_the_few_batches_that_are_traced_allocate() {
    let traces = TaskTraces::new(Tracer::new(1.0), TaskId::new("t", 0), ShardId(0), Way::Source);
    let steps = Steps::traced(OF_SOURCE, Rc::default(), Rc::default(), Rc::new(traces));
    let topic: Arc<str> = Arc::from("t");
    let count_batch = |at: u64| {
        steps.enter(Step::Poll, Manner::Busy);
        steps.polled(3, true);
        steps.traces().handing_on(at, 30, &[], &topic);
        steps.work();
        steps.worked(3, true);
        steps.traces().handed_on(at + 3);
        steps.traces().committed(at + 3, Instant::now(), Ok(3));
        // The longest that the histograms have to hold, so that they need not grow later.
        Step::ALL.iter().for_each(|step| steps.ran_for(*step, 1, Duration::from_secs(3600)));
    };
    (0..WARM_UP as u64).for_each(|at| count_batch(at * 3));
    let (before, began) = (ALLOCATIONS.get(), Instant::now());
    (WARM_UP as u64..(WARM_UP + RECORDS) as u64).for_each(|at| count_batch(at * 3));
    let allocations = ALLOCATIONS.get() - before;
    // Twenty batches begin to be traced within a second; each has five spans, and each of these a list and a few texts.
    let batches_max = (began.elapsed().as_secs() + 2) * 20;
    assert!(allocations <= batches_max * 50, "{allocations} allocations for at most {batches_max} traced batches");
    assert!(batches_max < RECORDS as u64 / 10, "most batches are not traced");
}

#[test]
fn what_passes_through_is_not_allocated() {
    let bodies = bodies(&["a line", "another line, which is longer than one that would fit into a handle", ""]);
    for converter in ["string", "bytes"] {
        assert_eq!(run(converter, &[], &bodies), (0, RECORDS), "converter {converter}");
    }
}

#[test]
fn a_filter_that_looks_into_json_allocates_nothing() {
    let bodies = bodies(&[
        r#"{"id":1,"level":"INFO","user":{"id":42,"geo":{"city":"Lisbon"}},"body":"all is well","ok":true}"#,
        r#"{"id":2,"level":"ERROR","user":{"id":43,"geo":{"city":"Porto"}},"body":"it is not","ok":false}"#,
    ]);
    let filter = [
        ("transforms", "filter"),
        ("transforms.filter.class", "org.apache.rocketmq.connect.transforms.PatternFilter$Value"),
        ("transforms.filter.pattern", "ERROR|FATAL"),
        ("transforms.filter.fields", "level"),
    ];
    assert_eq!(run("json", &filter, &bodies), (0, RECORDS / 2), "half of the records are dropped");
}

#[test]
fn a_chain_of_three_allocates_only_what_it_edits() {
    let bodies = rmqc_bench_kit::json_records::records(200);
    let chain = [
        ("transforms", "filter,rename,extract"),
        ("transforms.filter.class", "PatternFilter$Value"),
        ("transforms.filter.pattern", "ERROR|FATAL"),
        ("transforms.filter.fields", "level"),
        ("transforms.rename.class", "PatternRename$Value"),
        ("transforms.rename.field.pattern", "^ok$"),
        ("transforms.rename.field.replacement", "healthy"),
        ("transforms.extract.class", "ExtractNestedField$Value"),
        ("transforms.extract.input.outer.field.name", "user"),
        ("transforms.extract.input.inner.field.name", "city"),
    ];
    // Two edits: each puts the text together once and makes the handle that shares it; the rename keeps a list of names too.
    let (allocations, kept) = run_changing("json", &chain, &bodies);
    assert_eq!(kept, RECORDS);
    assert!(allocations <= 4 * RECORDS as u64, "{} allocations a record", allocations as f64 / RECORDS as f64);
}
