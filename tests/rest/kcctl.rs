//! A session as Kafka Connect's command line clients have it, from the first look to the deletion.

use std::collections::BTreeMap;

use rmqc_core::cluster_port::{QueueName, StoredMessage};
use rmqc_core::command::{FailureKind, ShardEvent};
use rmqc_core::id::TaskId;
use rmqc_core::position::{RecordPartition, Scalar, StoredPosition};
use serde_json::{Value, json};

use crate::world::{Wishes, World};

/// One step: what is asked, and the status that it must have.
#[track_caller]
fn step(world: &World, method: &str, path: &str, body: &Value, status: u16) -> Value {
    let body = (!body.is_null()).then(|| body.to_string());
    let answer = world.ask_with(
        method,
        &format!("/v1{path}"),
        body.as_deref(),
        "Content-Type: application/json\r\nAccept: application/json\r\n",
    );
    assert_eq!(answer.status, status, "{method} {path}: {answer:?}");
    if answer.body.is_empty() { Value::Null } else { answer.json() }
}

#[track_caller]
fn wait_for_task(world: &World, name: &str, task: usize, state: &str) {
    world.wait(&format!("{name}-{task} to be {state}"), |world| {
        world.get(&format!("/v1/connectors/{name}/status"))["tasks"][task]["state"] == state
    });
}

#[track_caller]
fn stop(world: &World, name: &str) {
    step(world, "PUT", &format!("/connectors/{name}/stop"), &Value::Null, 204);
    world.wait("the tasks to drain", |world| {
        let dry = world.ask("DELETE", &format!("/v1/connectors/{name}/offsets?dry_run=true"), None).json();
        dry["refused"].is_null() && dry["dry_run"] == true
    });
    let status = step(world, "GET", &format!("/connectors/{name}/status"), &Value::Null, 200);
    assert_eq!((&status["connector"]["state"], &status["tasks"]), (&json!("STOPPED"), &json!([])));
}

#[test]
fn a_sinks_life() {
    let world = World::start(Wishes::default());
    let filled = |count: i64| {
        let message = |offset| StoredMessage {
            queue: QueueName { topic: "in".to_owned(), broker: "broker-a".to_owned(), queue: 0 },
            offset,
            born_ms: offset,
            store_ms: 1000 + offset,
            properties: Vec::new(),
            body: "x".into(),
        };
        (0..count).map(message).collect::<Vec<_>>()
    };
    world.cluster.held.lock().unwrap().topics.insert("in".to_owned(), vec![filled(10), filled(4)]);
    let queue = |number| QueueName { topic: "in".to_owned(), broker: "broker-a".to_owned(), queue: number };
    let committed =
        |number| world.cluster.held.lock().unwrap().offsets.get(&("connect-s".to_owned(), queue(number))).copied();

    // kcctl info, get plugins, apply
    assert_eq!(step(&world, "GET", "/", &Value::Null, 200)["version"], "0.0.0");
    let plugins = step(&world, "GET", "/connector-plugins", &Value::Null, 200);
    let class = plugins.as_array().unwrap().iter().find(|one| one["type"] == "sink").unwrap()["class"].clone();
    let config =
        json!({"name": "s", "connector.class": class, "filename": "f", "connect.topicnames": "in", "tasks.max": "2"});
    let path = format!("/connector-plugins/{}/config/validate", class.as_str().unwrap());
    assert_eq!(step(&world, "PUT", &path, &config, 200)["error_count"], 0);
    let created = step(&world, "PUT", "/connectors/s/config", &config, 201);
    assert_eq!((&created["config"], &created["type"]), (&config, &json!("sink")));
    step(&world, "PUT", "/connectors/s/config", &config, 200);
    wait_for_task(&world, "s", 1, "RUNNING");

    // get, describe, patch
    let all = step(&world, "GET", "/connectors?expand=info&expand=status", &Value::Null, 200);
    assert_eq!((&all["s"]["info"]["config"], &all["s"]["status"]["type"]), (&config, &json!("sink")));
    assert_eq!(step(&world, "GET", "/connectors/s/topics", &Value::Null, 200), json!({"s": {"topics": ["in"]}}));
    let patched = step(&world, "PATCH", "/connectors/s/config", &json!({"commit.interval.ms": "100"}), 200);
    assert_eq!(patched["config"]["commit.interval.ms"], "100");
    wait_for_task(&world, "s", 1, "RUNNING");

    // restart only what failed
    let fail = TaskId::new("s", 0);
    world.wait("a second start", |world| world.port.generation(&fail).is_some_and(|generation| generation.0 > 2));
    wait_for_task(&world, "s", 0, "RUNNING");
    let (first, second) = (world.port.generation(&fail).unwrap(), world.port.generation(&TaskId::new("s", 1)).unwrap());
    let cause = "the disk is full".to_owned();
    world.port.say(ShardEvent::TaskFailed { task: fail.clone(), generation: first, cause, kind: FailureKind::Final });
    wait_for_task(&world, "s", 0, "FAILED");
    let status = step(&world, "GET", "/connectors/s/status", &Value::Null, 200);
    assert_eq!(status["tasks"][0]["trace"], "the disk is full");
    let restarted = step(&world, "POST", "/connectors/s/restart?includeTasks=true&onlyFailed=true", &Value::Null, 202);
    assert_eq!(restarted["name"], "s");
    wait_for_task(&world, "s", 0, "RUNNING");
    assert_eq!(world.port.generation(&TaskId::new("s", 1)), Some(second), "the other task was left alone");
    step(&world, "POST", "/connectors/s/restart", &Value::Null, 204);
    step(&world, "POST", "/connectors/s/tasks/1/restart", &Value::Null, 204);
    world.wait("the task's next start", |world| world.port.generation(&TaskId::new("s", 1)) > Some(second));

    // pause and resume
    wait_for_task(&world, "s", 1, "RUNNING");
    step(&world, "PUT", "/connectors/s/pause", &Value::Null, 202);
    wait_for_task(&world, "s", 1, "PAUSED");
    assert_eq!(step(&world, "GET", "/connectors/s/status", &Value::Null, 200)["connector"]["state"], "PAUSED");
    step(&world, "PUT", "/connectors/s/resume", &Value::Null, 202);
    wait_for_task(&world, "s", 1, "RUNNING");

    // offsets: look, dry, real
    world.cluster.held.lock().unwrap().offsets.insert(("connect-s".to_owned(), queue(0)), 6);
    let offsets = step(&world, "GET", "/connectors/s/offsets", &Value::Null, 200);
    assert_eq!(
        offsets["offsets"][0],
        json!({"partition": {"topic": "in", "broker": "broker-a", "queue": 0}, "offset": {"queue_offset": 6},
            "min": 0, "max": 10, "lag": 4})
    );
    assert_eq!((&offsets["offsets"][1]["offset"], &offsets["offsets"][1]["lag"]), (&json!(null), &json!(4)));
    let edit = json!({"offsets": [{"partition": {"topic": "in", "queue": 0}, "offset": {"queue_offset": 2}},
        {"partition": {"topic": "in", "queue": 1}, "offset": {"timestamp_ms": 1003}}]});
    step(&world, "PATCH", "/connectors/s/offsets", &edit, 409);
    stop(&world, "s");
    let dry = step(&world, "PATCH", "/connectors/s/offsets?dry_run=true", &edit, 200);
    let effect =
        |at: usize| ["from", "to", "records_again", "records_skipped"].map(|name| dry["offsets"][at][name].clone());
    assert_eq!(effect(0), [json!(6), json!(2), json!(4), json!(0)]);
    assert_eq!(effect(1), [json!(null), json!(3), json!(0), json!(3)]);
    assert_eq!((committed(0), committed(1)), (Some(6), None), "a dry run changes nothing");
    let done = step(&world, "PATCH", "/connectors/s/offsets", &edit, 200);
    assert_eq!(done["message"], "The offsets for this connector have been altered successfully");
    assert_eq!((committed(0), committed(1)), (Some(2), Some(3)));
    let done = step(&world, "DELETE", "/connectors/s/offsets", &Value::Null, 200);
    assert_eq!(done["message"], "The offsets for this connector have been reset successfully");
    assert_eq!((committed(0), committed(1)), (Some(0), Some(0)));
    step(&world, "PUT", "/connectors/s/resume", &Value::Null, 202);
    wait_for_task(&world, "s", 1, "RUNNING");

    // delete, with the group
    step(&world, "DELETE", "/connectors/s?group=true", &Value::Null, 204);
    step(&world, "GET", "/connectors/s", &Value::Null, 404);
    assert_eq!((step(&world, "GET", "/connectors", &Value::Null, 200), committed(0)), (json!([]), None));
    assert!(world.stop().is_empty());
}

#[test]
fn a_sources_life() {
    let world = World::start(Wishes::default());
    let config = json!({"connector.class": "FileSource", "filename": "f", "connect.topicname": "t"});
    let new = json!({"name": "c", "config": config, "initial_state": "STOPPED"});
    step(&world, "POST", "/connectors", &new, 201);
    step(&world, "POST", "/connectors", &new, 409);
    let status = step(&world, "GET", "/connectors/c/status", &Value::Null, 200);
    assert_eq!((&status["connector"]["state"], &status["tasks"]), (&json!("STOPPED"), &json!([])));
    step(&world, "POST", "/connectors/c/restart?includeTasks=true", &Value::Null, 409);
    step(&world, "PUT", "/connectors/c/resume", &Value::Null, 202);
    wait_for_task(&world, "c", 0, "RUNNING");
    assert_eq!(step(&world, "GET", "/connectors/c/offsets", &Value::Null, 200), json!({"offsets": []}));

    let task = TaskId::new("c", 0);
    let generation = world.port.generation(&task).unwrap();
    let position = |file: &str, next: i64| StoredPosition {
        partition: RecordPartition::single("filename", file),
        offset: BTreeMap::from([("next".to_owned(), Scalar::Integer(next))]),
    };
    world.port.say(ShardEvent::Positions(task, generation, vec![position("f", 50), position("g", 8)]));
    world.wait_for_order(&format!("stored c-0 g{}", generation.0));
    let edit = json!({"offsets": [{"partition": {"filename": "f"}, "offset": {"next": 20}},
        {"partition": {"filename": "g"}, "offset": null}]});
    step(&world, "PATCH", "/connectors/c/offsets", &edit, 409);
    stop(&world, "c");
    let dry = step(&world, "PATCH", "/connectors/c/offsets?dry_run=true", &edit, 200);
    let effect =
        |at: usize| ["from", "to", "records_again", "records_skipped"].map(|name| dry["offsets"][at][name].clone());
    assert_eq!(effect(0), [json!({"next": 50}), json!({"next": 20}), json!(30), json!(0)]);
    assert_eq!(effect(1), [json!({"next": 8}), json!(null), json!(null), json!(null)]);
    let stored = |world: &World| step(world, "GET", "/connectors/c/offsets", &Value::Null, 200)["offsets"].clone();
    assert_eq!(stored(&world).as_array().unwrap().len(), 2, "a dry run changes nothing");
    step(&world, "PATCH", "/connectors/c/offsets", &edit, 200);
    assert_eq!(stored(&world), json!([{"partition": {"filename": "f"}, "offset": {"next": 20}}]));
    step(&world, "DELETE", "/connectors/c/offsets", &Value::Null, 200);
    assert_eq!(stored(&world), json!([]));
    step(&world, "PUT", "/connectors/c/resume", &Value::Null, 202);
    wait_for_task(&world, "c", 0, "RUNNING");
    let starts = world.port.orders().into_iter().rfind(|order| order.starts_with("start c-0"));
    assert!(starts.unwrap().ends_with("positions=0"), "it starts from the beginning");
    step(&world, "DELETE", "/connectors/c?positions=true", &Value::Null, 204);
    step(&world, "GET", "/connectors/c/status", &Value::Null, 404);
    assert!(world.stop().is_empty());
}
