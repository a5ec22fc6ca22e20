//! How long one record takes, and what it costs to wait.

use std::io::Write;
use std::time::{Duration, Instant};

use rmqc_io::settings::DriverWanted;

use super::support::broker::TestBroker;
use super::support::plane::Options;
use super::support::probe::probe;
use super::support::{TempDir, alone, number, on_each_driver, wait_for};

const FIRST: (&str, &str) = ("consume.from.where", "CONSUME_FROM_FIRST_OFFSET");

#[test]
fn a_lone_record_arrives_soon() {
    alone("timing::a_lone_record_arrives_soon", || on_each_driver(append_one_by_one));
}

fn append_one_by_one(driver: DriverWanted) {
    let (dir, broker) = (TempDir::new(), TestBroker::start(driver));
    let plane = Options::new(driver, broker.address).start();
    let name = format!("lone-{}", number());
    let seen = probe(&name);
    let mut file = std::fs::File::create(dir.file("in")).unwrap();
    let source = plane.run("in", "file-source", &[("filename", &dir.file("in")), ("connect.topicname", "t")]);
    let sink = plane.run("out", "test-sink", &[("probe", &*name), ("connect.topicnames", "t"), FIRST]);
    file.write_all(b"warm up\n").unwrap();
    seen.wait_count(1);
    let mut waits: Vec<Duration> = (0..200)
        .map(|n| {
            let appended = Instant::now();
            file.write_all(format!("{n}\n").as_bytes()).unwrap();
            seen.wait_count(n + 2);
            let at = seen.seen.lock().unwrap()[n + 1].at;
            at - appended
        })
        .collect();
    waits.sort();
    println!("{driver:?}: from append to put p50 {:?}, p99 {:?}", waits[100], waits[198]);
    assert!(waits[100] < Duration::from_millis(50) && waits[198] < Duration::from_millis(500), "{waits:?}");
    plane.stop(&source);
    plane.stop(&sink);
    plane.shut_down();
}

/// Time that this process has run for, all threads together.
fn cpu_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    // Fields 14 and 15, counted from behind the name, are in hundredths of a second.
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    Duration::from_millis(ticks * 10)
}

#[test]
fn waiting_costs_nearly_nothing() {
    alone("timing::waiting_costs_nearly_nothing", || on_each_driver(stand_idle));
}

fn stand_idle(driver: DriverWanted) {
    let (dir, broker) = (TempDir::new(), TestBroker::start(driver));
    let plane = Options::new(driver, broker.address).shards(2).start();
    std::fs::write(dir.file("in"), "one\n").unwrap();
    let name = format!("idle-{}", number());
    let source = plane.run("in", "file-source", &[("filename", &dir.file("in")), ("connect.topicname", "t")]);
    let sink = plane.run("out", "test-sink", &[("probe", &*name), ("connect.topicnames", "t"), FIRST]);
    probe(&name).wait_count(1);
    // The time itself is what is measured here.
    std::thread::sleep(Duration::from_secs(1));
    let (before, started) = (cpu_time(), Instant::now());
    std::thread::sleep(Duration::from_secs(5));
    let share = (cpu_time() - before).as_secs_f64() / started.elapsed().as_secs_f64();
    println!("{driver:?}: {:.1} % of one CPU while idle (two shards and the broker)", share * 100.0);
    assert!(share < 0.02, "{:.1} % of one CPU while idle", share * 100.0);
    plane.stop(&source);
    plane.stop(&sink);
    plane.shut_down();
}

#[test]
fn many_records_flow() {
    alone("timing::many_records_flow", || on_each_driver(generate_and_drop));
}

/// Prints rates; `RMQC_TEST_RECORDS` sets how many records (of 100 bytes) are moved.
fn generate_and_drop(driver: DriverWanted) {
    let records = std::env::var("RMQC_TEST_RECORDS").unwrap_or_else(|_| "100000".to_owned());
    let count: u64 = records.parse().unwrap();
    let broker = TestBroker::start(driver);
    let plane = Options::new(driver, broker.address).start();
    let started = Instant::now();
    let config = [("records", &*records), ("record.bytes", "100"), ("connect.topicname", "t")];
    let source = plane.run("in", "generator-source", &config);
    wait_for("the source", || (plane.counters(&source).records_committed == count).then_some(()));
    let sent = started.elapsed();
    plane.stop(&source);
    let started = Instant::now();
    let sink = plane.run("out", "blackhole-sink", &[("connect.topicnames", "t"), FIRST]);
    wait_for("the sink", || (plane.counters(&sink).records_committed == count).then_some(()));
    let rate = |time: Duration| count as f64 / time.as_secs_f64();
    println!("{driver:?}: {:.0} records/s in, {:.0} records/s out", rate(sent), rate(started.elapsed()));
    plane.stop(&sink);
    plane.shut_down();
}
