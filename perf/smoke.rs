//! The measuring tool at work on small sizes: every scenario that needs no Java gives a line for each measurement and a
//! summary, and a report can be made of them. The numbers themselves are of no interest here.
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

use serde_json::json;
use support::remoting::{call_with_body, number};
use tool::null_broker::{ENVIRONMENT, NullBroker, Settings, serve};
use under_test::{Expected, measure};

/// The null broker as a process of its own is this executable, with this test alone. Without being asked to be one it
/// starts one and looks whether it counts.
#[test]
fn null_broker() {
    if let Ok(words) = std::env::var(ENVIRONMENT) {
        let words: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
        return serve(Settings::parse(&words).unwrap());
    }
    let null = NullBroker::start(Settings { records: 10, pull_messages: 4, ..Settings::default() });
    let send = |queue: &str, body: &[u8]| {
        let fields = json!({ "a": "group", "b": "topic", "e": queue, "m": "true" });
        call_with_body(&null.address(), 320, fields, body).unwrap()
    };
    let mut batch = Vec::new();
    tool::floor::put_item(&mut batch, b"one", b"");
    tool::floor::put_item(&mut batch, b"two", b"KEYS\x01k\x02");
    assert_eq!(number(&send("2", &batch), "queueOffset"), Some(0));
    assert_eq!(number(&send("2", &batch), "queueOffset"), Some(2), "offsets grow with the messages");
    assert_eq!(number(&send("1", &batch), "queueOffset"), Some(0), "each queue has its own");
    let figures = null.figures();
    assert_eq!((&figures["received"], &figures["requests"]), (&json!(6), &json!(3)));
    assert_eq!(figures["received_bytes"], json!(3 * batch.len()));
    let pulled = tool::bare::pull(&null.address(), "prepared", 4, None).unwrap();
    assert_eq!((pulled.messages, null.count("delivered")), (10, 10), "three, three, two and two of its queues");
}

/// A scenario as `perf/run` starts it is this executable, too.
#[test]
fn as_the_tool() {
    under_test::as_the_tool();
}

const SMALL: &[(&str, &str)] = &[("RMQC_RECORDS", "5000"), ("RMQC_RECORD_BYTES", "100")];

#[test]
fn alone_measures_the_worker_and_the_floor() {
    let cases: &[&str] = &[
        "file to null broker, 100 B",
        "null broker to blackhole, 100 B, 32 an answer",
        "null broker to blackhole, 100 B, 1024 an answer",
    ];
    measure("--rounds 2 alone", SMALL, &Expected::throughput(cases, &["worker", "floor"], 2));
}

#[test]
fn another_build_is_measured_in_turn() {
    let program = support::worker::binary();
    let command = format!("--against {} --rounds 1 chain", program.display());
    let sides = ["worker", "worker without transforms", "against", "against without transforms"];
    measure(&command, SMALL, &Expected::throughput(&["filter, rename and extract, JSON of 200 B"], &sides, 1));
}

#[test]
fn drivers_are_measured_in_turn() {
    let cases: &[&str] = &[
        "file to null broker, 100 B",
        "null broker to blackhole, 100 B, 32 an answer",
        "null broker to blackhole, 100 B, 1024 an answer",
    ];
    let uring = rmqc_io::driver::probe::choose(rmqc_io::settings::DriverWanted::Uring, 1).is_ok();
    // Where io_uring is not allowed there is one driver, and nothing to compare.
    let sides: &[&str] = if uring { &["worker uring", "worker epoll"] } else { &["worker epoll"] };
    measure("--rounds 1 drivers", SMALL, &Expected::throughput(cases, sides, 1));
}

#[test]
fn scaling_has_a_side_for_each_number_of_shards() {
    let sides: Vec<String> = (1..=tool::machine::cores()).map(|shards| format!("{shards} shards")).collect();
    let sides: Vec<&str> = sides.iter().map(String::as_str).collect();
    let cases = [
        "null broker to blackhole, 100 B, 8 queues",
        "filter, rename and extract, JSON, 8 queues",
        "generator to blackhole, 100 B, nothing beside",
        "filter, rename and extract, JSON of 200 B, nothing beside",
    ];
    // No multiple of the tasks: their parts differ.
    let sizes = [("RMQC_RECORDS", "50001"), ("RMQC_RECORD_BYTES", "100")];
    let summaries = measure("--rounds 1 scaling", &sizes, &Expected::throughput(&cases, &sides, 1));
    for summary in &summaries {
        for side in &sides[1..] {
            let ratio = &summary["others_to_first"][side];
            assert!(ratio["min"].as_f64().is_some_and(|ratio| ratio > 0.0), "{side}: {summary}");
        }
        let beside = |side: &str| summary["sides"][side]["beside_cpu_share"]["median"].as_f64().unwrap();
        assert!(sides.iter().all(|side| beside(side) >= 0.0), "{summary}");
        assert!(!summary["case"].as_str().unwrap().starts_with("null broker") || beside(sides[0]) > 0.0, "{summary}");
    }
}

#[test]
fn many_connectors_tell_both_latencies() {
    let sizes = [("RMQC_CONNECTORS", "10"), ("RMQC_SECONDS", "1"), ("RMQC_WARM_SECONDS", "1")];
    let expected = Expected {
        cases: &["10 file sources, 10 lines a second each"],
        sides: &["worker"],
        rounds: 1,
        numbers: &["cpu_share", "rss_kib", "p50_ms", "p9999_ms", "uncorrected_p50_ms", "uncorrected_max_ms"],
    };
    measure("--rounds 1 many", &sizes, &expected);
}

#[test]
fn latency_is_measured_at_shares_of_the_capacity() {
    let sizes = [
        ("RMQC_VIA", "embedded"),
        ("RMQC_RECORDS", "5000"),
        ("RMQC_SHARES", "1 2"),
        ("RMQC_SECONDS", "1"),
        ("RMQC_WARM_SECONDS", "1"),
    ];
    let expected = Expected {
        cases: &["capacity, embedded broker", "1 % of capacity, embedded broker", "2 % of capacity, embedded broker"],
        sides: &["worker"],
        rounds: 1,
        numbers: &["records_per_second", "cpu_us_per_record"],
    };
    let summaries = measure("--rounds 1 latency", &sizes, &expected);
    for summary in &summaries[1..] {
        let told = &summary["sides"]["worker"];
        let median = |name: &str| told[name]["median"].as_f64().unwrap();
        assert!(median("p50_ms") <= median("p99_ms") && median("p99_ms") <= median("max_ms"), "{told}");
        assert!(median("uncorrected_p50_ms") <= median("p50_ms"), "a line is written when it is due, or later: {told}");
    }
}

#[test]
fn start_and_rest_are_measured() {
    let sizes = [("RMQC_RUNS", "1"), ("RMQC_IDLE_SECONDS", "1")];
    let expected = Expected {
        cases: &["start, rest and stop"],
        sides: &["worker"],
        rounds: 1,
        numbers: &["start_ms", "stop_ms", "idle_rss_kib"],
    };
    measure("--rounds 1 start", &sizes, &expected);
}

#[test]
fn what_can_not_be_understood_is_named() {
    for (words, wanted) in [
        ("nothing-like-it", "there is no scenario nothing-like-it"),
        ("--rounds 0 alone", "--rounds"),
        ("--against /no/such/file alone", "/no/such/file"),
        ("--fast alone", "--fast: unknown"),
        ("null-broker --port x", "port"),
        ("report", "folder"),
        ("report /tmp /no/such/results", "/no/such/results"),
    ] {
        let words: Vec<String> = words.split(' ').map(str::to_owned).collect();
        let error = tool::run(&words).unwrap_err();
        assert!(error.contains(wanted), "{words:?}: {error}");
    }
}
