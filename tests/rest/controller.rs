//! What the controller does with the data plane, seen from outside.

use std::collections::BTreeMap;
use std::time::Duration;

use rmqc_core::command::ShardEvent;
use rmqc_core::id::{Generation, ShardId, TaskId};
use rmqc_core::position::{RecordPartition, Scalar, StoredPosition};
use serde_json::json;

use crate::world::{Wishes, World};

fn source(world: &World, name: &str) {
    let config = json!({"connector.class": "FileSource", "filename": "f", "connect.topicname": "t"});
    world.create(name, &config);
    world.wait_for_state(name, 0, "RUNNING");
}

fn position(next: u64) -> StoredPosition {
    StoredPosition {
        partition: RecordPartition::single("filename", "f"),
        offset: BTreeMap::from([("nextPosition".to_owned(), Scalar::Text(next.to_string()))]),
    }
}

#[test]
fn connectors_targets_and_positions_survive_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let wishes = Wishes { dir: Some(dir.path()), ..Wishes::default() };
    let world = World::start(wishes);
    source(&world, "a");
    source(&world, "b");
    assert_eq!(world.get("/connectors/b/pause")["status"], 200);
    world.wait_for_state("b", 0, "PAUSED");
    let task = TaskId::new("a", 0);
    let generation = world.port.generation(&task).unwrap();
    world.port.say(ShardEvent::Positions(task, generation, vec![position(42)]));
    world.wait_for_order(&format!("stored a-0 g{}", generation.0));
    let file = std::fs::read_to_string(dir.path().join("config/position.json")).unwrap();
    assert!(file.len() > 20, "stored means on disk: {file}");
    assert!(world.stop().is_empty());

    let world = World::start(wishes);
    world.wait_for_state("a", 0, "RUNNING");
    world.wait_for_state("b", 0, "PAUSED");
    world.wait("a to start from its position", |world| {
        world.port.orders().iter().any(|order| order.starts_with("start a-0") && order.ends_with("positions=1"))
    });
    assert_eq!(world.get("/connectors/b/status")["body"]["connector"]["state"], "PAUSED");
    assert!(world.stop().is_empty());
}

#[test]
fn a_direct_task_goes_on_from_its_connectors_positions() {
    let dir = tempfile::tempdir().unwrap();
    let wishes = Wishes { dir: Some(dir.path()), ..Wishes::default() };
    let world = World::start(wishes);
    let config = json!({"connector.class": "FileSink", "connector.direct.enable": "true", "filename": "f",
        "source.task.class": "FileSourceTask", "sink.task.class": "FileSinkTask"});
    world.create("a", &config);
    world.wait_for_state("a", 0, "RUNNING");
    let task = TaskId::new("a", 0);
    let generation = world.port.generation(&task).unwrap();
    world.port.say(ShardEvent::Positions(task, generation, vec![position(42)]));
    world.wait_for_order(&format!("stored a-0 g{}", generation.0));
    assert!(world.stop().is_empty());
    let world = World::start(wishes);
    world.wait_for_order("start a-0 shard-0 positions=1");
    assert!(world.stop().is_empty());
}

#[test]
fn a_stop_drains_the_tasks_before_it_ends_the_shards() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::start(Wishes { dir: Some(dir.path()), ..Wishes::default() });
    source(&world, "a");
    let port = std::sync::Arc::clone(&world.port);
    assert!(world.stop().is_empty());
    let orders = port.orders();
    let at = |order: &str| orders.iter().position(|one| one == order).unwrap();
    assert!(at("stop a-0") < at("shutdown shard-0") && at("stop a-0") < at("shutdown shard-1"), "{orders:?}");
    let states = std::fs::read_to_string(dir.path().join("config/taskStatus.json")).unwrap();
    assert!(states.starts_with("{\"YQ==\":"), "{states}");
}

#[test]
fn a_stop_that_takes_too_long_says_what_was_left() {
    let world = World::start(Wishes { stop_patience: Duration::from_millis(50), ..Wishes::default() });
    source(&world, "a");
    world.port.deaf.lock().unwrap().push("a".to_owned());
    assert_eq!(world.stop(), ["a-0 did not drain in time"]);
}

#[test]
fn a_failing_task_is_started_again_and_then_stays_failed_with_its_cause() {
    let world = World::start(Wishes::default());
    world.create(
        "bad",
        &json!({"connector.class": "FileSink", "filename": "/nonexistent/x", "connect.topicnames": "t"}),
    );
    let starts = |world: &World| world.port.orders().iter().filter(|order| order.starts_with("start bad-0")).count();
    world.wait("two restarts", |world| starts(world) == 3);
    world.wait("the end of the budget", |world| {
        let status = world.get("/connectors/bad/tasks/0/status");
        status["body"]["trace"]
            .as_str()
            .is_some_and(|trace| trace.starts_with("cannot open the file\nstarted again 2 times"))
    });
    assert_eq!(world.get("/connectors/bad/resume")["status"], 200);
    world.wait("a fresh start by resume", |world| starts(world) > 3);
}

#[test]
fn a_replaced_shards_tasks_start_again_and_late_words_of_the_old_ones_are_refused() {
    let world = World::start(Wishes::default());
    source(&world, "a");
    let task = TaskId::new("a", 0);
    let old = world.port.generation(&task).unwrap();
    let tasks = vec![(task.clone(), old)];
    world.port.say(ShardEvent::ShardReplaced { shard: ShardId(0), cause: "it stood still".to_owned(), tasks });
    world.wait("a second incarnation", |world| world.port.generation(&task) > Some(old));
    world.wait_for_state("a", 0, "RUNNING");
    world.port.say(ShardEvent::Positions(task, old, vec![position(1)]));
    world.wait_for_order(&format!("refused a-0 g{}: a later incarnation of this task runs", old.0));
}

#[test]
fn a_changed_configuration_stops_and_starts_the_tasks_and_keeps_the_pause() {
    let world = World::start(Wishes::default());
    source(&world, "a");
    world.get("/connectors/a/pause");
    world.wait_for_state("a", 0, "PAUSED");
    world.create("a", &json!({"connector.class": "FileSource", "filename": "g", "connect.topicname": "t"}));
    world.wait("a second start", |world| world.port.generation(&TaskId::new("a", 0)) > Some(Generation(1)));
    world.wait_for_state("a", 0, "PAUSED");
    assert!(world.port.orders().contains(&"stop a-0".to_owned()));
}

#[test]
fn a_sinks_tasks_shrink_with_its_number() {
    let world = World::start(Wishes::default());
    let config = |tasks: &str| json!({"connector.class": "FileSink", "filename": "f", "connect.topicnames": "t", "max.tasks": tasks});
    world.create("s", &config("3"));
    world.wait_for_state("s", 2, "RUNNING");
    world.create("s", &config("1"));
    world.wait("two tasks to go", |world| {
        world.get("/connectors/s/status")["body"]["tasks"].as_array().unwrap().len() == 1
    });
    world.wait_for_order("stop s-2");
}

#[test]
fn a_store_that_refuses_leaves_nothing_changed() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::start(Wishes { dir: Some(dir.path()), ..Wishes::default() });
    // A directory in the way makes every write fail, also for root.
    std::fs::create_dir(dir.path().join("config/connectorConfig.json.tmp")).unwrap();
    let config = json!({"connector.class": "FileSource", "filename": "f"}).to_string();
    let answer = world.ask("POST", "/connectors/a", Some(&config)).json();
    assert!(answer["message"].as_str().unwrap().contains("cannot create"), "{answer}");
    assert_eq!(world.get("/connectors/list")["body"], json!({}));
    std::fs::create_dir(dir.path().join("config/position.json.tmp")).unwrap();
    std::fs::remove_dir(dir.path().join("config/connectorConfig.json.tmp")).unwrap();
    source(&world, "b");
    let task = TaskId::new("b", 0);
    let generation = world.port.generation(&task).unwrap();
    world.port.say(ShardEvent::Positions(task, generation, vec![position(1)]));
    world.wait("a refusal", |world| world.port.orders().iter().any(|order| order.starts_with("refused b-0")));
}

#[test]
fn a_stored_connector_that_this_binary_does_not_have_is_kept_and_says_why() {
    let dir = tempfile::tempdir().unwrap();
    let wishes = Wishes { dir: Some(dir.path()), ..Wishes::default() };
    let mut stores = rmqc_control::store::Stores::in_files(dir.path()).unwrap();
    let properties = BTreeMap::from([("connector.class".to_owned(), "com.example.Gone".to_owned())]);
    let stored = rmqc_control::store::StoredConnector {
        name: "old".to_owned(),
        properties,
        target: rmqc_core::state::TargetState::Started,
        epoch: 1,
        tasks: Vec::new(),
    };
    stores.config.put(&[stored]).unwrap();
    let world = World::start(wishes);
    let status = world.get("/connectors/old/status");
    assert_eq!((&status["body"]["connector"]["state"], &status["body"]["type"]), (&json!("FAILED"), &json!("UNKNOWN")));
    assert!(status["body"]["connector"]["trace"].as_str().unwrap().contains("com.example.Gone"), "{status}");
    assert_eq!(world.get("/connectors/old/stop")["status"], 200);
    assert_eq!(world.get("/connectors/list")["body"], json!({}));
}

#[test]
fn a_connector_whose_records_are_bad_is_paused_and_says_why_until_it_is_resumed() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::start(Wishes { dir: Some(dir.path()), ..Wishes::default() });
    source(&world, "a");
    source(&world, "b");
    let task = TaskId::new("a", 0);
    let generation = world.port.generation(&task).unwrap();
    let wish =
        |generation| ShardEvent::PauseWanted(task.clone(), generation, "500 of 1000 records were bad".to_owned());
    // What an older incarnation wants is of no interest.
    world.port.say(wish(Generation(generation.0 + 7)));
    world.port.say(wish(generation));
    world.wait_for_state("a", 0, "PAUSED");
    let trace = |world: &World| world.get("/connectors/a/tasks/0/status")["body"]["trace"].clone();
    assert_eq!(trace(&world), "500 of 1000 records were bad");
    assert_eq!(world.get("/connectors/a/status")["body"]["connector"]["state"], "PAUSED");
    world.wait_for_state("b", 0, "RUNNING");
    assert_eq!(world.get("/connectors/a/resume")["status"], 200);
    world.wait_for_state("a", 0, "RUNNING");
    assert_ne!(trace(&world), "500 of 1000 records were bad");
    assert_eq!(world.get("/connectors/b/status")["body"]["connector"]["state"], "RUNNING");
}
