//! What the worker does now: `/v1/flow`, and what of it is in a status.

use std::collections::BTreeSet;

use rmqc_core::config::connector::CONNECTOR_CLASS;
use rmqc_core::id::TaskId;
use rmqc_core::metrics::{FailedRecord, Holding, QueueReport, Step, StepUse, TaskCounters, TaskReport, WindowUse};
use serde_json::{Value, json};

use crate::world::{Wishes, World};

const SINK: &str = "org.apache.rocketmq.connect.file.FileSinkConnector";

/// A world with a sink of one task.
fn world() -> World {
    let world = World::start(Wishes::default());
    world.create("c", &json!({CONNECTOR_CLASS.name: SINK, "filename": "/data/out", "connect.topicnames": "t"}));
    world.wait_for_state("c", 0, "RUNNING");
    world
}

/// What the sink has done after so many records, with ever so much of its time in `put`.
fn report(records: u64, put_us: u64, lag: u64) -> TaskReport {
    let put = StepUse { runs: records, records, busy_us: put_us, ..StepUse::default() };
    TaskReport {
        counters: TaskCounters {
            records_in: records,
            records_out: records,
            bytes_out: records * 100,
            batches: records / 10,
            ..TaskCounters::default()
        },
        steps: vec![(Step::Pull, StepUse::default()), (Step::Put, put)],
        lag_records: Some(lag),
        lag_ms: Some(1500),
        queues: vec![QueueReport {
            topic: "t".to_owned(),
            broker: "a".to_owned(),
            queue_id: 3,
            done: 10,
            end: Some(20),
            lag_records: Some(lag),
            lag_ms: Some(1500),
        }],
        window: WindowUse { records: 5, records_max: 10, bytes: 50, bytes_max: 100, batch_records_max: 20 },
        ..TaskReport::new(TaskId::new("c", 0))
    }
}

/// Makes the sink busy until an answer shows a rate; gives that answer.
fn busy(world: &World) -> Value {
    let mut records = 0;
    let mut flow = Value::Null;
    let began = std::time::Instant::now();
    world.wait("rates", |world| {
        records += 1000;
        // As good as all of its time so far.
        let put_us = u64::try_from(began.elapsed().as_micros()).unwrap();
        world.port.reports.lock().unwrap().insert(0, report(records, put_us, 2_000_000_000 - records));
        flow = world.get("/v1/flow");
        flow["connectors"][0]["records_per_second"].as_f64().is_some_and(|rate| rate > 0.0)
    });
    flow
}

#[test]
fn the_flow_has_everything_in_its_place() {
    let world = world();
    let flow = busy(&world);
    assert!(flow["window_ms"].as_u64().unwrap() >= 200 && flow["at_ms"].as_i64().unwrap() > 0, "{flow}");
    let worker = &flow["worker"];
    assert_eq!((&worker["id"], &worker["driver"]), (&json!("standalone-worker"), &json!("epoll")));
    assert!(worker["rss_bytes"].as_u64().unwrap() > 100_000 && worker["cpu_share"].as_f64().is_some(), "{worker}");
    assert_eq!(worker["cluster"], "namesrv:9876");
    assert_eq!(flow["shards"].as_array().unwrap().len(), 2);
    assert_eq!(flow["shards"][0]["shard"], 0);
    let one = &flow["connectors"][0];
    assert_eq!((&one["name"], &one["type"], &one["state"]), (&json!("c"), &json!("sink"), &json!("RUNNING")));
    assert_eq!(one["class"], SINK);
    assert_eq!(one["window"], json!({"records": 5, "records_max": 10, "bytes": 50, "bytes_max": 100}));
    assert_eq!((&one["lag_ms"], &one["batch_fill"]), (&json!(1500), &json!(0.5)), "{one}");
    assert_eq!(one["limit"]["by"], "target", "{one}");
    assert!(one["limit"]["sentence"].as_str().unwrap().starts_with("limited by the target: put took"), "{one}");
    let task = &one["tasks"][0];
    assert_eq!(task["queues"][0]["queue_id"], 3);
    assert_eq!(task["steps"][1]["step"], "put");
    assert!(task["steps"][1]["busy"].as_f64().unwrap() > 0.3, "{task}");

    // Only what was asked for.
    let named = |path: &str| -> BTreeSet<String> {
        let flow = world.get(path);
        flow["connectors"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect()
    };
    world.create("d", &json!({CONNECTOR_CLASS.name: SINK, "filename": "/data/d", "connect.topicnames": "t"}));
    assert_eq!(named("/v1/flow"), ["c", "d"].map(str::to_owned).into());
    assert_eq!(named("/v1/flow?connector=d"), ["d".to_owned()].into());
    assert_eq!(world.ask("GET", "/v1/flow?connector=nobody", None).status, 404);
}

#[test]
fn a_worker_that_does_nothing_has_a_flow_too() {
    let world = World::start(Wishes::default());
    let flow = world.get("/v1/flow");
    assert_eq!((&flow["connectors"], flow["shards"].as_array().unwrap().len()), (&json!([]), 2));
    assert_eq!(flow["shards"][0]["busy"], Value::Null, "nothing is known of the first moment");
}

#[test]
fn a_status_names_the_limit_and_the_queues() {
    let world = world();
    busy(&world);
    let status = world.get("/v1/connectors/c/status");
    assert_eq!(status["limit"]["by"], "target", "{status}");
    assert_eq!(status["lag_ms"], 1500);
    assert!(status["lag_records"].as_u64().unwrap() > 1_000_000);
    assert_eq!(status["tasks"][0]["queues"][0]["done"], 10);
    assert_eq!(status["tasks"][0]["lag_ms"], 1500);
}

#[test]
fn records_that_failed_are_shown_without_secrets() {
    let world = World::start(Wishes::default());
    let config =
        json!({CONNECTOR_CLASS.name: "file-source", "filename": "f", "connect.topicname": "t", "pass": "hunter2"});
    world.create("c", &config);
    world.wait_for_state("c", 0, "RUNNING");
    let failed = FailedRecord {
        at_ms: 7,
        stage: "TASK_PUT",
        error: "no user for hunter2".to_owned(),
        position: "f hunter2 3".to_owned(),
        value: "{\"a\":\"hunter2\"}".to_owned(),
        outcome: "skipped",
    };
    let holding = Holding { stage: "TASK_PUT", cause: "hunter2 is refused".to_owned(), since_ms: 5, tries: 2 };
    let report = TaskReport { failed: vec![failed], holding: Some(holding), ..TaskReport::new(TaskId::new("c", 0)) };
    world.port.reports.lock().unwrap().insert(0, report);
    let mut flow = Value::Null;
    world.wait("the report", |world| {
        flow = world.get("/v1/flow");
        !flow["connectors"][0]["tasks"][0]["failed"].as_array().unwrap().is_empty()
    });
    let failed = &flow["connectors"][0]["tasks"][0]["failed"][0];
    assert_eq!((&failed["error"], &failed["outcome"]), (&json!("no user for ******"), &json!("skipped")));
    assert!(!flow.to_string().contains("hunter2"), "{flow}");
    assert_eq!(flow["connectors"][0]["limit"]["by"], "target");
    assert!(!world.get("/v1/connectors/c/status").to_string().contains("hunter2"));
}

#[test]
fn a_pause_is_seen_at_once() {
    let world = world();
    // Long enough for the window of whoever watches.
    busy(&world);
    let paused = |world: &World| world.get("/v1/flow")["connectors"][0]["state"].clone();
    assert_eq!(paused(&world), "RUNNING");
    world.ask("PUT", "/v1/connectors/c/pause", None);
    world.wait("the pause", |world| paused(world) == "PAUSED");
    let flow = world.get("/v1/flow");
    assert_eq!(flow["connectors"][0]["limit"]["by"], "nothing", "{flow}");
    assert_eq!(world.ask("POST", "/v1/flow", Some("{}")).status, 405);
}
