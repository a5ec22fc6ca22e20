//! Two hundred connectors with little to do each: what a worker costs that is mostly waiting.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use super::per_record;
use crate::support::TempDir;
use crate::support::worker::file_source;
use crate::tool::machine::{memory_kib, monotonic_us, process_cpu};
use crate::tool::null_broker::{NullBroker, Settings};
use crate::tool::options::{Options, setting};
use crate::tool::rounds::{Case, Side, compare};
use crate::tool::stamped::write_line;
use crate::tool::stats::rounded;
use crate::tool::workers::{Build, wait_count};

const CONNECTORS: u64 = 200;
const RATE: u64 = 10;
const SECONDS: u64 = 20;
const WARM_SECONDS: u64 = 5;
const LINE_BYTES: usize = 100;

/// File sources, each into a topic of its own at the null broker, which takes the time of every line.
pub fn run(options: &Options) {
    let (connectors, rate) = (setting("RMQC_CONNECTORS", CONNECTORS), setting("RMQC_RATE", RATE));
    let builds = Build::chosen(options);
    let sides = builds.iter().map(|build| Side::new(&build.name, || measure(build, connectors, rate)));
    let name = format!("{connectors} file sources, {rate} lines a second each");
    compare(options, &Case { scenario: "many", name, primary: "cpu_share" }, sides.collect());
}

fn measure(build: &Build, connectors: u64, rate: u64) -> Value {
    let (warm, seconds) = (setting("RMQC_WARM_SECONDS", WARM_SECONDS), setting("RMQC_SECONDS", SECONDS));
    let home = TempDir::new("many");
    let null = NullBroker::start(Settings { stamped: true, ..Settings::default() });
    let mut worker = build.start(&home.file("worker"), &null.address(), &[]);
    let mut files: Vec<File> = (0..connectors).map(|number| empty_file(&home.file(&format!("{number}.txt")))).collect();
    for number in 0..connectors {
        let config = file_source(&home.file(&format!("{number}.txt")), &format!("many-{number}"));
        worker.create(&format!("source-{number}"), &config);
    }
    for number in 0..connectors {
        worker.wait_state(&format!("source-{number}"), "RUNNING");
    }
    write_evenly(&mut files, rate, warm);
    let warmed = connectors * rate * warm;
    wait_count("lines of the warm-up", warmed, || null.count("received"));
    null.forget_waits();
    let cpu = process_cpu(worker.pid());
    let began = monotonic_us();
    write_evenly(&mut files, rate, seconds);
    let lines = connectors * rate * seconds;
    wait_count("lines at the null broker", warmed + lines, || null.count("received"));
    let cpu = process_cpu(worker.pid()) - cpu;
    let took = Duration::from_micros(monotonic_us() - began);
    let mut told = json!({
        "connectors": connectors, "rate": rate * connectors, "records": lines,
        "cpu_share": rounded(cpu.as_secs_f64() / took.as_secs_f64(), 4),
        "cpu_us_per_record": per_record(cpu, lines),
        "rss_kib": memory_kib(worker.pid(), "VmRSS"), "rss_peak_kib": memory_kib(worker.pid(), "VmHWM"),
        "threads": worker.threads(),
    });
    tell_waits(&mut told, &null.figures());
    worker.stop();
    assert_eq!(null.count("received"), warmed + lines, "lines were repeated");
    told
}

/// Corrected and uncorrected latencies as members of a measurement.
fn tell_waits(told: &mut Value, figures: &Value) {
    for (kind, prefix) in [("since_due", ""), ("since_written", "uncorrected_")] {
        for (name, value) in figures[kind].as_object().into_iter().flatten() {
            told[format!("{prefix}{name}")] = value.clone();
        }
    }
}

fn empty_file(path: &Path) -> File {
    std::fs::write(path, "").unwrap();
    OpenOptions::new().append(true).open(path).unwrap()
}

/// Lines spread evenly over time and files, each written when it is due.
fn write_evenly(files: &mut [File], rate: u64, seconds: u64) {
    let per_second = rate * files.len() as u64;
    let origin = monotonic_us() + 1_000;
    let mut line = Vec::new();
    for number in 0..per_second * seconds {
        let due = origin + number * 1_000_000 / per_second;
        std::thread::sleep(Duration::from_micros(due.saturating_sub(monotonic_us())));
        line.clear();
        write_line(&mut line, due, number, LINE_BYTES);
        let index = usize::try_from(number).unwrap() % files.len();
        files[index].write_all(&line).unwrap();
    }
}
