//! The scenarios of the measuring tool that start JVMs, on small sizes. They fetch Apache RocketMQ and Apache Kafka once, and
//! are run by name only: `cargo test --test perf_java`, or `./ci-test peers`.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test, and parts of a tool of which it does not use all"
)]

#[path = "../tests/support/mod.rs"]
mod support;
mod tool;
#[path = "tool/under_test.rs"]
mod under_test;

use rmqc_io::shard::pin::CpuFacts;
use serde_json::json;
use under_test::{Expected, measure};

const SMALL: &[(&str, &str)] = &[("RMQC_RECORDS", "5000"), ("RMQC_RECORD_BYTES", "100")];

/// A scenario as `perf/run` starts it is this executable.
#[test]
fn as_the_tool() {
    under_test::as_the_tool();
}

#[test]
fn clients_of_one_broker_are_measured_beside_the_worker() {
    let cases: &[&str] =
        &["file to topic, 100 B", "topic to file, 100 B, 32 an answer", "topic to file, 100 B, 1024 an answer"];
    let sides = ["worker", "own client", "bare client", "java client"];
    let summaries = measure("--rounds 1 broker", SMALL, &Expected::throughput(cases, &sides, 1));
    let cpus = CpuFacts::gather().cpus;
    let brokers = if cpus.len() < 2 { json!(null) } else { json!(cpus[..cpus.len() / 2]) };
    assert_eq!(summaries[0]["broker_cpus"], brokers, "the broker has half of the CPUs");
}

#[test]
fn kafka_connect_is_measured_beside_the_worker() {
    let cases: &[&str] = &["file to topic, 100 B", "topic to file, 100 B"];
    measure("--rounds 1 peers", SMALL, &Expected::throughput(cases, &["worker", "kafka connect"], 1));
}

#[test]
fn latency_is_measured_through_a_real_broker() {
    let sizes = [("RMQC_RATES", "100"), ("RMQC_SECONDS", "1"), ("RMQC_WARM_SECONDS", "1")];
    let expected = Expected {
        cases: &["100 lines a second, broker"],
        sides: &["worker", "bare client"],
        rounds: 1,
        numbers: &["p50_ms", "uncorrected_p50_ms", "max_ms"],
    };
    let summaries = measure("--rounds 1 latency", &sizes, &expected);
    let settings = &summaries[0]["broker_settings"];
    assert_eq!(settings["mappedFileSizeCommitLog"], "1073741824", "Apache's own size: {settings}");
}
