//! End-to-end measurements against a real Apache RocketMQ: `perf/run SCENARIO`. Each prints one JSON object a line.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a measuring tool"
)]

#[path = "../tests/support/mod.rs"]
mod support;

use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Seek, SeekFrom, Write};
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::broker::{RAISED_PULL_CAPS, RealBroker};
use support::lines::{LINE_BYTES, append_lines, tally};
use support::worker::{Worker, file_sink, file_source, wait_bytes};
use support::{TempDir, repository, wait_until};

/// Left out of the latencies: a broker that has just started compiles itself on the same cores.
const WARM_SECONDS: u64 = 15;
const QUEUES: u32 = 4;
const TOPIC: &str = "load";
const PATIENCE: Duration = Duration::from_secs(60);

const USAGE: &str = "usage: perf/run [file] [latency] [start]  (perf/README.md says what each of them measures)";

fn main() -> ExitCode {
    // Cargo adds --bench; a plain `cargo bench` asks every target, and starting a broker is nothing to do unasked.
    let chosen: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    if chosen.is_empty() {
        println!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    let known = [("file", file as fn()), ("latency", latency), ("start", start)];
    let find = |name: &String| known.iter().find(|(known, _)| known == name).map(|(_, run)| *run);
    let Some(scenarios) = chosen.iter().map(find).collect::<Option<Vec<_>>>() else {
        println!("{USAGE}");
        return ExitCode::from(2);
    };
    scenarios.iter().for_each(|run| run());
    ExitCode::SUCCESS
}

/// A number from the environment, or its default.
fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
}

/// Adds what every result needs to be compared, and prints it.
fn report(scenario: &str, load_before: &str, mut result: Value) {
    let commit = Command::new("git").args(["-C"]).arg(repository()).args(["rev-parse", "--short=12", "HEAD"]).output();
    let commit = commit.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default();
    let changed = Command::new("git").arg("-C").arg(repository()).args(["status", "--porcelain"]).output();
    let changed = changed.is_ok_and(|output| !output.stdout.is_empty());
    result["scenario"] = json!(scenario);
    result["commit"] = json!(if changed { format!("{commit}+changes") } else { commit });
    result["driver"] = json!(std::env::var("RMQC_IO").unwrap_or_else(|_| "default".to_owned()));
    result["cores"] = json!(std::thread::available_parallelism().map_or(0, usize::from));
    result["load_before"] = json!(load_before);
    result["load_after"] = json!(load());
    println!("{result}");
}

/// The load average of the last minute.
fn load() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().next().unwrap_or_default().to_owned()
}

fn settings() -> Vec<String> {
    std::env::var("RMQC_WORKER").unwrap_or_default().split_whitespace().map(str::to_owned).collect()
}

fn worker(home: &Path, broker: &RealBroker) -> Worker {
    let settings = settings();
    Worker::start_with(home, broker.namesrv(), &settings.iter().map(String::as_str).collect::<Vec<_>>())
}

// ---- throughput ------------------------------------------------------------------------------------------------------

/// File to topic, then topic to file, of the same records, each alone. Counted where they arrive, and nothing lost.
fn file() {
    let records = setting("RMQC_RECORDS", 2_000_000);
    let home = TempDir::new("load");
    let broker = RealBroker::start_with(RAISED_PULL_CAPS);
    broker.create_topic(TOPIC, QUEUES);
    let (source, sink) = (home.file("in.txt"), home.file("out.txt"));
    append_lines(&source, 0..records).unwrap();

    let load_before = load();
    let mut running = worker(home.path(), &broker);
    let meter = Meter::start(&running);
    running.create("source", &file_source(&source, TOPIC));
    wait_until("all records are in the topic", PATIENCE.max(Duration::from_secs(records / 5_000)), || {
        broker.stored(TOPIC, QUEUES) >= records as i64
    });
    let result = meter.stop(&running, records);
    running.stop();
    assert_eq!(broker.stored(TOPIC, QUEUES), records as i64, "records were repeated");
    report("file-to-topic", &load_before, result);

    let load_before = load();
    let mut running = worker(&home.file("second"), &broker);
    let meter = Meter::start(&running);
    running.create("sink", &file_sink(&sink, TOPIC));
    wait_bytes(&sink, records * LINE_BYTES as u64, PATIENCE);
    let result = meter.stop(&running, records);
    running.stop();
    let tally = tally(&sink, records).unwrap();
    assert_eq!((tally.lost, tally.duplicated, tally.foreign), (0, 0, 0), "{tally:?}");
    report("topic-to-file", &load_before, result);
}

struct Meter {
    began: Instant,
    cpu: Duration,
}

impl Meter {
    fn start(worker: &Worker) -> Self {
        Self { began: Instant::now(), cpu: worker.cpu() }
    }

    fn stop(self, worker: &Worker, records: u64) -> Value {
        let (seconds, cpu) = (self.began.elapsed().as_secs_f64(), worker.cpu() - self.cpu);
        json!({
            "records": records,
            "record_bytes": LINE_BYTES,
            "seconds": rounded(seconds, 3),
            "records_per_second": (records as f64 / seconds).round(),
            "cpu_us_per_record": rounded(cpu.as_secs_f64() * 1e6 / records as f64, 3),
            "rss_peak_kib": worker.memory_kib("VmHWM"),
            "threads": worker.threads(),
        })
    }
}

fn rounded(value: f64, digits: i32) -> f64 {
    let scale = 10_f64.powi(digits);
    (value * scale).round() / scale
}

// ---- latency ---------------------------------------------------------------------------------------------------------

/// Lines appended to a source's file at a fixed rate, whatever comes out; each is timed from the moment it was due to
/// be appended until it can be read in the sink's file. A late appender counts as latency: the loop is open.
fn latency() {
    let (rate, seconds) = (setting("RMQC_RATE", 1_000), setting("RMQC_SECONDS", 30));
    let warm = rate * WARM_SECONDS;
    let total = warm + rate * seconds;
    let home = TempDir::new("latency");
    let broker = RealBroker::start_with(RAISED_PULL_CAPS);
    broker.create_topic(TOPIC, QUEUES);
    let (source, sink) = (home.file("in.txt"), home.file("out.txt"));
    std::fs::write(&source, "").unwrap();
    std::fs::write(&sink, "").unwrap();
    let load_before = load();
    let mut running = worker(home.path(), &broker);
    running.create("source", &file_source(&source, TOPIC));
    running.create("sink", &file_sink(&sink, TOPIC));
    running.wait_state("source", "RUNNING");
    running.wait_state("sink", "RUNNING");

    let cpu = running.cpu();
    let origin = Instant::now() + Duration::from_millis(200);
    let due = move |number: u64| origin + Duration::from_nanos(number * 1_000_000_000 / rate);
    let appended = source.clone();
    let appender = std::thread::spawn(move || {
        let mut file = OpenOptions::new().append(true).open(appended).unwrap();
        let (mut number, mut block) = (0, Vec::new());
        while number < total {
            std::thread::sleep(due(number).saturating_duration_since(Instant::now()));
            block.clear();
            while number < total && due(number) <= Instant::now() {
                support::lines::write_line(&mut block, number).unwrap();
                number += 1;
            }
            file.write_all(&block).unwrap();
        }
    });
    let waits = read_arrivals(&sink, total, due);
    appender.join().unwrap();
    let cpu = running.cpu() - cpu;
    running.stop();
    let mut histogram = hdrhistogram::Histogram::<u64>::new(3).unwrap();
    for wait in &waits[usize::try_from(warm).unwrap()..] {
        histogram.record(u64::try_from(wait.as_micros()).unwrap().max(1)).unwrap();
    }
    let milliseconds = |microseconds: u64| rounded(microseconds as f64 / 1e3, 3);
    report(
        "latency",
        &load_before,
        json!({
            "rate": rate,
            "records": histogram.len(),
            "p50_ms": milliseconds(histogram.value_at_quantile(0.5)),
            "p90_ms": milliseconds(histogram.value_at_quantile(0.9)),
            "p99_ms": milliseconds(histogram.value_at_quantile(0.99)),
            "max_ms": milliseconds(histogram.max()),
            "cpu_us_per_record": rounded(cpu.as_secs_f64() * 1e6 / total as f64, 3),
        }),
    );
}

/// Reads the sink's file as it grows. A line's wait ends when its block has been read.
fn read_arrivals(sink: &Path, total: u64, due: impl Fn(u64) -> Instant) -> Vec<Duration> {
    let mut waits: Vec<Option<Duration>> = vec![None; usize::try_from(total).unwrap()];
    let (mut seen, mut line) = (0, Vec::new());
    let mut reader = BufReader::new(std::fs::File::open(sink).unwrap());
    let mut moved = Instant::now();
    while seen < total {
        assert!(moved.elapsed() < PATIENCE, "stands still after {seen} of {total} lines");
        let at = reader.stream_position().unwrap();
        line.clear();
        reader.read_until(b'\n', &mut line).unwrap();
        if line.last() != Some(&b'\n') {
            reader.seek(SeekFrom::Start(at)).unwrap();
            // The finest step that does not take a core from those who are measured.
            std::thread::sleep(Duration::from_micros(200));
            continue;
        }
        let now = Instant::now();
        let number: u64 = std::str::from_utf8(&line[..10]).unwrap().parse().unwrap();
        let wait = &mut waits[usize::try_from(number).unwrap()];
        assert!(wait.is_none(), "line {number} arrived twice");
        *wait = Some(now.saturating_duration_since(due(number)));
        (seen, moved) = (seen + 1, now);
    }
    waits.into_iter().map(Option::unwrap).collect()
}

// ---- start-up and rest -----------------------------------------------------------------------------------------------

/// From exec to the first answer, the time to stop, and what a worker without connectors costs.
fn start() {
    let (runs, idle) = (setting("RMQC_RUNS", 15), Duration::from_secs(setting("RMQC_IDLE_SECONDS", 10)));
    let home = TempDir::new("start");
    let broker = RealBroker::start();
    let load_before = load();
    let mut running = worker(home.path(), &broker);
    let (mut starts, mut stops) = (Vec::new(), Vec::new());
    for _ in 0..runs {
        stops.push(running.stop().as_secs_f64() * 1e3);
        starts.push(running.start_again().as_secs_f64() * 1e3);
    }
    let cpu = running.cpu();
    std::thread::sleep(idle); // measured is what happens in this time
    let cpu = running.cpu() - cpu;
    report(
        "start",
        &load_before,
        json!({
            "runs": runs,
            "start_ms_min": rounded(least(&starts), 2),
            "start_ms_median": rounded(median(&mut starts), 2),
            "stop_ms_median": rounded(median(&mut stops), 2),
            "idle_rss_kib": running.memory_kib("VmRSS"),
            "idle_threads": running.threads(),
            "idle_seconds": idle.as_secs(),
            "idle_cpu_ms": cpu.as_millis() as u64,
        }),
    );
}

fn least(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::INFINITY, f64::min)
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
