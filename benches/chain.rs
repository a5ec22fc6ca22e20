//! What a JSON record costs between the bytes of one side and those of the other: decoding, transforms, encoding.
//!
//! `cargo bench --bench chain` measures each case alone. `cargo bench --bench chain -- --ratios` measures each case
//! against the least that the same work costs by hand (`floors`), both in turn in one process, in CPU time of this
//! thread, and prints one line of JSON a case: nanoseconds a record, the records that one core does in a second, the ratio
//! to the floor, and the ratio of two measurements of the floor itself, which tells what the machine's noise makes of 1.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a measuring tool"
)]

mod floors;

use std::collections::HashMap;
use std::hint::black_box;

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput};
use rmqc_bench_kit::json_records::{DROPPED, FILTERED, INNER, NEW_NAME, OUTER, RENAMED, records};
use rmqc_core::chain::Chain;
use rmqc_core::config::Properties;
use rmqc_core::converter::Converter;
use rmqc_core::record::{ConnectRecord, Extensions};
use rmqc_core::registry::find_converter;
use rmqc_core::transform::Outcome;
use serde_json::json;

use floors::Floors;

/// Sizes of a record in bytes.
const SIZES: [usize; 2] = [173, 1_023];
/// The same, and the size in which rates of records are told.
const RATIO_SIZES: [usize; 3] = [173, 200, 1_023];
/// Rounds in which everything is measured once, in turn.
const ROUNDS: usize = 15;
/// CPU time of one measurement in nanoseconds, about.
const MEASUREMENT_NS: f64 = 10_000_000.0;

/// A transform and the floor that it is held against.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Step {
    Filter,
    Rename,
    Extract,
}

/// What is measured: the name and the transforms in their order.
const CASES: [(&str, &[Step]); 6] = [
    ("convert", &[]),
    ("filter", &[Step::Filter]),
    ("rename", &[Step::Rename]),
    ("extract", &[Step::Extract]),
    ("filter_extract", &[Step::Filter, Step::Extract]),
    ("filter_rename_extract", &[Step::Filter, Step::Rename, Step::Extract]),
];

impl Step {
    fn class_and_keys(self) -> (&'static str, Vec<(&'static str, String)>) {
        match self {
            Self::Filter => {
                ("PatternFilter$Value", vec![("pattern", DROPPED.to_owned()), ("fields", FILTERED.to_owned())])
            }
            Self::Rename => (
                "PatternRename$Value",
                vec![("field.pattern", format!("^{RENAMED}$")), ("field.replacement", NEW_NAME.to_owned())],
            ),
            Self::Extract => (
                "ExtractNestedField$Value",
                vec![
                    ("input.outer.field.name", OUTER.to_owned()),
                    ("input.inner.field.name", INNER.to_owned()),
                    ("output.field.name", INNER.to_owned()),
                ],
            ),
        }
    }
}

fn chain(steps: &[Step]) -> Chain {
    let mut config = Properties::new();
    let names: Vec<String> = (0..steps.len()).map(|at| format!("step{at}")).collect();
    config.insert("transforms".to_owned(), names.join(","));
    for (name, step) in names.iter().zip(steps) {
        let (class, keys) = step.class_and_keys();
        config.insert(format!("transforms.{name}.class"), format!("org.apache.rocketmq.connect.transforms.{class}"));
        for (key, text) in keys {
            config.insert(format!("transforms.{name}.{key}"), text);
        }
    }
    Chain::from_config(&config).expect("the chain")
}

fn json_converter() -> Box<dyn Converter> {
    let factory = find_converter("json").expect("the converter of JSON");
    let config = Properties::from([("schemas.enable".to_owned(), "false".to_owned())]);
    (factory.build)(&config).expect("a right configuration")
}

/// One record's way: decoded, changed, encoded.
fn convert(converter: &dyn Converter, chain: &Chain, body: &Bytes) -> Option<Bytes> {
    let decoded = converter.decode("topic", Some(body.clone())).expect("JSON");
    let mut record = ConnectRecord {
        topic: None,
        key: Default::default(),
        key_schema: None,
        value: decoded.value,
        schema: decoded.schema,
        extensions: Extensions::Empty,
        timestamp_ms: None,
        position: None,
    };
    assert_eq!(chain.apply(&mut record).expect("a record of the right form"), Outcome::Keep);
    converter.encode("topic", record.schema.as_deref(), &record.value).expect("a value that JSON can hold")
}

/// What comes out must be what the case says: a fast mistake is no result.
fn check(converter: &dyn Converter, steps: &[Step], body: &Bytes) {
    let read = |bytes: &[u8]| serde_json::from_slice::<serde_json::Value>(bytes).unwrap();
    let mut wanted = read(body);
    let members = wanted.as_object_mut().unwrap();
    if steps.contains(&Step::Rename) {
        let value = members.remove(RENAMED).unwrap();
        members.insert(NEW_NAME.to_owned(), value);
    }
    if steps.contains(&Step::Extract) {
        let inner = members[OUTER][INNER].clone();
        members.insert(INNER.to_owned(), inner);
    }
    let made = convert(converter, &chain(steps), body).expect("a value");
    assert_eq!(read(&made), wanted, "{steps:?}");
}

// ---- each case alone ---------------------------------------------------------------------------------------------------

fn alone(criterion: &mut Criterion) {
    let converter = json_converter();
    let mut group = criterion.benchmark_group("chain");
    group.throughput(Throughput::Elements(1));
    for size in SIZES {
        let bodies = records(size);
        for (name, steps) in CASES {
            let chain = chain(steps);
            let mut bodies = bodies.iter().cycle();
            group.bench_function(BenchmarkId::new(name, size), |bencher| {
                bencher.iter(|| convert(&*converter, &chain, black_box(bodies.next().unwrap())));
            });
        }
    }
    group.finish();
}

// ---- against the floors ------------------------------------------------------------------------------------------------

/// CPU time that this thread has used, in nanoseconds.
fn thread_cpu_ns() -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel writes one timespec, which lives here.
    assert_eq!(unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) }, 0);
    time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
}

/// Something to measure: does its work on one record.
type Work<'a> = Box<dyn FnMut(&Bytes) + 'a>;

/// Nanoseconds a record, over so many passes through the bodies.
fn measure(work: &mut Work<'_>, bodies: &[Bytes], passes: usize) -> f64 {
    let began = thread_cpu_ns();
    for _ in 0..passes {
        bodies.iter().for_each(&mut *work);
    }
    (thread_cpu_ns() - began) / (passes * bodies.len()) as f64
}

/// Passes that take about as long as a measurement should.
fn passes(work: &mut Work<'_>, bodies: &[Bytes]) -> usize {
    measure(work, bodies, 50);
    let pass_ns = measure(work, bodies, 50) * bodies.len() as f64;
    (MEASUREMENT_NS / pass_ns).ceil() as usize
}

/// The floors of a size, each by its step; none is the check of the text, which every case needs.
fn floor_works() -> Vec<(Option<Step>, Work<'static>)> {
    let work = |floor: fn(&mut Floors, &[u8])| -> Work<'static> {
        let mut floors = Floors::new();
        Box::new(move |body| floor(&mut floors, body))
    };
    vec![
        (None, work(Floors::validate)),
        (Some(Step::Filter), work(Floors::filter)),
        (Some(Step::Rename), work(Floors::rename)),
        (Some(Step::Extract), work(Floors::extract)),
    ]
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn ratios() {
    let converter = json_converter();
    for size in RATIO_SIZES {
        let bodies = records(size);
        CASES.iter().for_each(|(_, steps)| check(&*converter, steps, &bodies[0]));
        let chains: Vec<Chain> = CASES.iter().map(|(_, steps)| chain(steps)).collect();
        let mut ours: Vec<Work<'_>> = Vec::new();
        for chain in &chains {
            let converter = &*converter;
            ours.push(Box::new(move |body| drop(black_box(convert(converter, chain, black_box(body))))));
        }
        let mut floors = floor_works();
        let ours_passes: Vec<usize> = ours.iter_mut().map(|work| passes(work, &bodies)).collect();
        let floor_passes: Vec<usize> = floors.iter_mut().map(|(_, work)| passes(work, &bodies)).collect();

        let mut rounds = Vec::new();
        for _ in 0..ROUNDS {
            let mut all_floors = || -> HashMap<Option<Step>, f64> {
                let each = floors.iter_mut().zip(&floor_passes);
                each.map(|((step, work), passes)| (*step, measure(work, &bodies, *passes))).collect()
            };
            let before = all_floors();
            let ours: Vec<f64> =
                ours.iter_mut().zip(&ours_passes).map(|(work, passes)| measure(work, &bodies, *passes)).collect();
            rounds.push((before, ours, all_floors()));
        }
        for (at, (name, steps)) in CASES.iter().enumerate() {
            report(name, size, steps, rounds.iter().map(|(before, ours, after)| (before, ours[at], after)));
        }
    }
}

/// Prints one case. The floor of a round is the mean of its two measurements, before and after ours.
fn report<'a>(
    name: &str,
    size: usize,
    steps: &[Step],
    rounds: impl Iterator<Item = (&'a HashMap<Option<Step>, f64>, f64, &'a HashMap<Option<Step>, f64>)>,
) {
    let floor = |each: &HashMap<Option<Step>, f64>| -> f64 {
        each[&None] + steps.iter().map(|step| each[&Some(*step)]).sum::<f64>()
    };
    let rounds: Vec<(f64, f64, f64)> =
        rounds.map(|(before, ours, after)| (floor(before), ours, floor(after))).collect();
    let of = |value: fn(&(f64, f64, f64)) -> f64| median(rounds.iter().map(value).collect());
    let rounded = |value: f64, places: i32| (value * 10f64.powi(places)).round() / 10f64.powi(places);
    let line = json!({
        "name": name,
        "size": size,
        "records_per_second": rounded(of(|(_, ours, _)| 1e9 / ours), 0),
        "ours_ns": rounded(of(|(_, ours, _)| *ours), 1),
        "floor_ns": rounded(of(|(before, _, after)| (before + after) / 2.0), 1),
        "ratio": rounded(of(|(before, ours, after)| ours / ((before + after) / 2.0)), 3),
        "aa_ratio": rounded(of(|(before, _, after)| after / before), 3),
    });
    println!("{line}");
}

fn main() {
    if std::env::args().any(|argument| argument == "--ratios") {
        return ratios();
    }
    let mut criterion = Criterion::default().configure_from_args();
    alone(&mut criterion);
    criterion.final_summary();
}
