//! The runtime alone: between a file and a broker that keeps nothing, on one shard. And the floor of the same work.

use std::path::Path;
use std::time::Instant;

use serde_json::{Value, json};

use super::per_record;
use crate::support::TempDir;
use crate::support::worker::file_source;
use crate::tool::machine::thread_cpu;
use crate::tool::null_broker::{NullBroker, PREPARED, Settings};
use crate::tool::options::{Options, list, setting};
use crate::tool::rounds::{Case, Side, compare, merge};
use crate::tool::stats::rounded;
use crate::tool::workers::{Build, Running, add_beside, throughput, wait_count};
use crate::tool::{floor, lines};

const TOPIC: &str = "load";
/// One shard: the figures are those of a core.
const ONE_SHARD: &[&str] = &["cores=1"];
/// Bytes of a file by default; the records follow from it.
const FILE_BYTES: u64 = 500_000_000;
/// As many messages have to come out of the null broker, which needs no memory for them.
const PULLED_BYTES: u64 = 1_000_000_000;

/// All cases, each at all sizes.
pub fn run(options: &Options) {
    run_with(options, "alone", &Build::chosen(options), true);
}

/// All cases by some builds; with or without the floor.
pub fn run_with(options: &Options, scenario: &str, builds: &[Build], with_floor: bool) {
    for bytes in list("RMQC_RECORD_BYTES", &[100, 1_024]) {
        let bytes = usize::try_from(bytes).unwrap();
        file_to_null(options, scenario, builds, with_floor, bytes);
        null_to_blackhole(options, scenario, builds, with_floor, bytes);
    }
}

/// Records of so many bytes that make up about so many bytes together.
fn records(total_bytes: u64, record_bytes: usize) -> u64 {
    setting("RMQC_RECORDS", total_bytes / record_bytes as u64)
}

fn file_to_null(options: &Options, scenario: &str, builds: &[Build], with_floor: bool, bytes: usize) {
    let records = records(FILE_BYTES, bytes);
    let folder = TempDir::new("alone");
    let file = folder.file("in.txt");
    lines::write(&file, records, bytes).unwrap();
    let case = Case { scenario, name: format!("file to null broker, {bytes} B"), primary: "cpu_us_per_record" };
    let mut sides: Vec<Side> =
        builds.iter().map(|build| Side::new(&build.name, || send(build, &file, records, bytes))).collect();
    if with_floor {
        sides.push(Side::new("floor", || send_floor(&file, records, bytes)));
    }
    compare(options, &case, sides);
}

fn null_to_blackhole(options: &Options, scenario: &str, builds: &[Build], with_floor: bool, bytes: usize) {
    let records = records(PULLED_BYTES, bytes);
    for (caps, raised) in [("32 an answer", false), ("1024 an answer", true)] {
        let settings = Settings { records: records.cast_signed(), body_bytes: bytes, ..Settings::default() };
        let settings = if raised { settings.raised_caps() } else { settings };
        let name = format!("null broker to blackhole, {bytes} B, {caps}");
        let case = Case { scenario, name, primary: "cpu_us_per_record" };
        let mut sides: Vec<Side> =
            builds.iter().map(|build| Side::new(&build.name, move || take(build, settings, ONE_SHARD))).collect();
        if with_floor {
            sides.push(Side::new("floor", move || take_floor(settings)));
        }
        compare(options, &case, sides);
    }
}

fn send(build: &Build, file: &Path, records: u64, bytes: usize) -> Value {
    let null = NullBroker::start(Settings::default());
    let mut running = Running::start(build, &null.address(), ONE_SHARD);
    running.worker.create("source", &file_source(file, TOPIC));
    wait_count("records at the null broker", records, || null.count("received"));
    let mut told = running.measured(records, bytes);
    tell_null(&mut told, &null, records);
    running.worker.stop();
    assert_eq!(null.count("received"), records, "records were repeated");
    told
}

/// Null broker to blackhole by the worker. The end is when all offsets are committed.
pub fn take(build: &Build, settings: Settings, worker: &[&str]) -> Value {
    take_with(build, settings, worker, &json!({}))
}

/// The same with further keys of the connector.
pub fn take_with(build: &Build, settings: Settings, worker: &[&str], more: &Value) -> Value {
    let null = NullBroker::start(settings);
    let mut running = Running::start(build, &null.address(), worker);
    let mut config = json!({
        "connector.class": "blackhole-sink",
        "connect.topicnames": PREPARED,
        "consume.from.where": "CONSUME_FROM_FIRST_OFFSET",
    });
    merge(&mut config, more);
    running.worker.create("sink", &config);
    let records = settings.records.unsigned_abs();
    wait_count("offsets committed at the null broker", records, || null.count("committed"));
    let mut told = running.measured(records, settings.body_bytes);
    tell_null(&mut told, &null, records);
    running.worker.stop();
    assert_eq!(null.count("committed"), records, "committed beyond the end");
    told
}

/// The other side's own cost: where its share of a core is near 1, it is the limit and not the worker.
fn tell_null(told: &mut Value, null: &NullBroker, records: u64) {
    let cpu = null.cpu();
    let seconds = told["seconds"].as_f64().unwrap_or(0.0).max(1e-3);
    add_beside(told, cpu);
    told["null_broker_cpu_us_per_record"] = json!(per_record(cpu, records));
    told["null_broker_cpu_share"] = json!(rounded(cpu.as_secs_f64() / seconds, 3));
}

fn send_floor(file: &Path, records: u64, bytes: usize) -> Value {
    let null = NullBroker::start(Settings::default());
    let (began, cpu) = (Instant::now(), thread_cpu());
    let sent = floor::file_to_topic(file, &null.address(), TOPIC, Settings::default().queues).unwrap();
    let cpu = thread_cpu() - cpu;
    let seconds = began.elapsed().as_secs_f64();
    assert_eq!((sent, null.count("received")), (records, records), "records were lost");
    let mut told = throughput(records, bytes, seconds, cpu);
    tell_null(&mut told, &null, records);
    told
}

fn take_floor(settings: Settings) -> Value {
    let null = NullBroker::start(settings);
    let (began, cpu) = (Instant::now(), thread_cpu());
    let pulled = floor::topic_to_nothing(&null.address(), PREPARED, settings.queues).unwrap();
    let cpu = thread_cpu() - cpu;
    let seconds = began.elapsed().as_secs_f64();
    let records = settings.records.unsigned_abs();
    assert_eq!(pulled.messages, records, "messages were lost");
    let mut told = throughput(records, settings.body_bytes, seconds, cpu);
    tell_null(&mut told, &null, records);
    told
}
