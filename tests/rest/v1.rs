//! The API in Kafka Connect's shape: every route, its shapes, its codes.

use std::collections::{BTreeMap, BTreeSet};

use rmqc_core::cluster_port::{QueueName, StoredMessage};
use rmqc_core::command::ShardEvent;
use rmqc_core::id::TaskId;
use rmqc_core::position::{RecordPartition, Scalar, StoredPosition};
use serde_json::{Value, json};

use crate::world::{Answer, Wishes, World};

const SOURCE: &str = "org.apache.rocketmq.connect.file.FileSourceConnector";

fn ask(world: &World, method: &str, path: &str, body: &Value) -> Answer {
    let body = (!body.is_null()).then(|| body.to_string());
    world.ask_with(method, path, body.as_deref(), "Content-Type: application/json\r\n")
}

/// Asks and checks the status.
#[track_caller]
fn get(world: &World, method: &str, path: &str, body: &Value, status: u16) -> Value {
    let answer = ask(world, method, path, body);
    assert_eq!(answer.status, status, "{method} {path}: {answer:?}");
    if answer.body.is_empty() { Value::Null } else { answer.json() }
}

/// Checks that a request is refused in the right shape; gives the message.
#[track_caller]
fn refused(world: &World, method: &str, path: &str, body: &Value, status: u16) -> String {
    let answer = get(world, method, path, body, status);
    assert_eq!(answer["error_code"], status, "{method} {path}: {answer}");
    answer["message"].as_str().unwrap().to_owned()
}

fn source() -> Value {
    json!({"connector.class": "FileSource", "filename": "f", "connect.topicname": "t", "pass": "hunter2"})
}

fn world_with_source() -> World {
    let world = World::start(Wishes::default());
    get(&world, "POST", "/v1/connectors", &json!({"name": "c", "config": source()}), 201);
    world.wait_for_state("c", 0, "RUNNING");
    world
}

#[test]
fn the_root_names_version_commit_and_cluster() {
    let world = World::start(Wishes::default());
    let expected = json!({"version": "0.0.0", "commit": "unknown", "kafka_cluster_id": "namesrv:9876"});
    for path in ["/v1", "/v1/"] {
        let root = world.get(path);
        assert_eq!(
            (&root["version"], &root["kafka_cluster_id"]),
            (&expected["version"], &expected["kafka_cluster_id"])
        );
        assert!(root["commit"].is_string());
    }
}

#[test]
fn connectors_are_created_shown_changed_and_deleted() {
    let world = World::start(Wishes::default());
    let created = ask(&world, "POST", "/v1/connectors", &json!({"name": " a b/é ", "config": source()}));
    assert_eq!(created.status, 201, "{created:?}");
    let shown = json!({"name": "a b/é", "type": "source", "tasks": [{"connector": "a b/é", "task": 0}], "config": {
        "name": "a b/é", "connector.class": "FileSource", "filename": "f", "connect.topicname": "t", "pass": "******"}});
    assert_eq!(created.json(), shown);
    let path = "/v1/connectors/a%20b%2F%C3%A9";
    assert_eq!(get(&world, "GET", path, &Value::Null, 200), shown);
    assert_eq!(get(&world, "GET", &format!("{path}/"), &Value::Null, 200), shown, "a slash more does no harm");
    assert_eq!(get(&world, "GET", &format!("{path}/config"), &Value::Null, 200), shown["config"]);
    assert_eq!(get(&world, "GET", "/v1/connectors", &Value::Null, 200), json!(["a b/é"]));
    refused(&world, "POST", "/v1/connectors", &json!({"name": "a b/é", "config": source()}), 409);

    // The masked configuration, sent back, changes nothing; a number is stored as its text.
    let mut config = shown["config"].clone();
    assert_eq!(get(&world, "PUT", &format!("{path}/config"), &config, 200), shown);
    config["max.tasks"] = json!(1);
    let changed = get(&world, "PUT", &format!("{path}/config"), &config, 200);
    assert_eq!(changed["config"]["max.tasks"], "1");
    let patched = get(&world, "PATCH", &format!("{path}/config"), &json!({"max.tasks": null, "filename": "g"}), 200);
    assert_eq!((&patched["config"]["max.tasks"], &patched["config"]["filename"]), (&Value::Null, &json!("g")));
    get(&world, "PUT", "/v1/connectors/new/config", &source(), 201);

    get(&world, "DELETE", path, &Value::Null, 204);
    refused(&world, "DELETE", path, &Value::Null, 404);
    assert_eq!(get(&world, "GET", "/v1/connectors", &Value::Null, 200), json!(["new"]));
}

#[test]
fn the_list_expands_to_status_and_info() {
    let world = world_with_source();
    let all = world.get("/v1/connectors?expand=status&expand=info");
    assert_eq!(all["c"]["info"]["name"], "c");
    assert_eq!(all["c"]["status"]["connector"]["state"], "RUNNING");
    assert!(world.get("/v1/connectors?expand=info")["c"]["status"].is_null());
    assert!(world.get("/v1/connectors?expand=status")["c"]["info"].is_null());
}

#[test]
fn a_status_has_kafkas_members_and_our_own() {
    let world = world_with_source();
    let status = world.get("/v1/connectors/c/status");
    let connector = json!({"state": "RUNNING", "worker_id": "standalone-worker", "version": "0.0.0"});
    assert_eq!((&status["name"], &status["type"], &status["connector"]), (&json!("c"), &json!("source"), &connector));
    let task = &status["tasks"][0];
    for (member, value) in [
        ("id", json!(0)),
        ("state", json!("RUNNING")),
        ("phase", json!("RUNNING")),
        ("worker_id", json!("standalone-worker")),
        ("restarts", json!(0)),
        ("history", json!([])),
        ("holding", json!(null)),
    ] {
        assert_eq!(task[member], value, "{member}");
    }
    assert!(task.get("trace").is_none() && task["shard"].is_number(), "{task}");
    assert_eq!(status["last_change"]["kind"], "created");
    assert_eq!(status["health"]["state"], "HEALTHY");
    let mut alone = world.get("/v1/connectors/c/tasks/0/status");
    // How it fares is told with the time.
    alone["health"] = task["health"].clone();
    assert_eq!(alone, *task);

    get(&world, "PUT", "/v1/connectors/bad/config", &json!({"connector.class": "FileSource", "filename": "f"}), 201);
    world.wait_for_state("bad", 0, "FAILED");
    let task = world.get("/v1/connectors/bad/tasks/0/status");
    assert_eq!(task["trace"], "source connect lack of topic config");
    assert_eq!(task["history"][0]["then"], "stays failed", "{task}");
}

#[test]
fn a_connectors_tasks_and_topics_are_shown() {
    let world = world_with_source();
    let tasks = world.get("/v1/connectors/c/tasks");
    assert_eq!(tasks[0]["id"], json!({"connector": "c", "task": 0}));
    assert_eq!(
        (&tasks[0]["config"]["connector.class"], &tasks[0]["config"]["pass"]),
        (&json!(SOURCE), &json!("******"))
    );
    assert_eq!(world.get("/v1/connectors/c/tasks-config")["c-0"], tasks[0]["config"]);
    assert_eq!(world.get("/v1/connectors/c/topics"), json!({"c": {"topics": ["t"]}}));
    get(&world, "PUT", "/v1/connectors/c/topics/reset", &Value::Null, 200);
}

#[test]
fn errors_have_kafkas_shape_and_their_real_status() {
    let world = world_with_source();
    for path in [
        "",
        "/config",
        "/status",
        "/tasks",
        "/tasks-config",
        "/topics",
        "/offsets",
        "/dlq",
        "/dlq/summary",
        "/tap",
        "/tasks/0/status",
    ] {
        refused(&world, "GET", &format!("/v1/connectors/nope{path}"), &Value::Null, 404);
    }
    for path in ["pause", "resume", "stop", "topics/reset"] {
        refused(&world, "PUT", &format!("/v1/connectors/nope/{path}"), &Value::Null, 404);
    }
    for path in ["restart", "tasks/0/restart"] {
        refused(&world, "POST", &format!("/v1/connectors/nope/{path}"), &Value::Null, 404);
    }
    for (method, path, body, status) in [
        ("GET", "/v1/nope", json!(null), 404),
        ("GET", "/v1/connectors//status", json!(null), 400),
        ("DELETE", "/v1/connectors", json!(null), 405),
        ("PATCH", "/v1/connectors/c", json!({}), 405),
        ("GET", "/v1/connectors/c/tasks/9/status", json!(null), 404),
        ("GET", "/v1/connectors/c/tasks/x/status", json!(null), 404),
        ("POST", "/v1/connectors/c/tasks/9/restart", json!(null), 404),
        ("POST", "/v1/connectors/c/restart?onlyFailed=maybe", json!(null), 400),
        ("POST", "/v1/connectors", json!({"config": {}}), 400),
        ("POST", "/v1/connectors", json!({"name": "  ", "config": source()}), 400),
        ("POST", "/v1/connectors", json!({"name": "a\nb", "config": source()}), 400),
        ("POST", "/v1/connectors", json!({"name": "x".repeat(1001), "config": source()}), 400),
        ("POST", "/v1/connectors", json!({"name": "x", "config": source(), "initial_state": "ASLEEP"}), 400),
        ("POST", "/v1/connectors", json!({"name": "x"}), 400),
        ("PUT", "/v1/connectors/x/config", json!([1]), 400),
        ("PUT", "/v1/connectors/x/config", json!({"name": "y"}), 400),
        ("PUT", "/v1/connectors/x/config", json!({"filename": null}), 400),
        ("PUT", "/v1/connectors/a%00b/config", source(), 400),
        ("PUT", "/v1/connectors/%ff/config", source(), 400),
        ("PATCH", "/v1/connectors/nope/config", json!({}), 404),
        ("GET", "/v1/connectors/c/dlq", json!(null), 404),
        ("GET", "/v1/connectors/c/tap?stage=nowhere", json!(null), 400),
        ("GET", "/v1/connectors/c/tap?seconds=100000", json!(null), 400),
        ("GET", "/v1/connector-plugins/nope/config", json!(null), 404),
        ("PUT", "/v1/connector-plugins/nope/config/validate", json!({}), 404),
        ("GET", "/v1/admin/loggers/nope", json!(null), 404),
        ("PUT", "/v1/admin/loggers/root", json!({"level": "LOUD"}), 400),
        ("PUT", "/v1/admin/loggers/root", json!({}), 400),
    ] {
        refused(&world, method, path, &body, status);
    }
    let malformed = world.ask_with("PUT", "/v1/connectors/x/config", Some("{"), "Content-Type: application/json\r\n");
    assert_eq!((malformed.status, &malformed.json()["error_code"]), (400, &json!(400)));
    let form = world.ask_with("PUT", "/v1/connectors/x/config", Some("a=b"), "Content-Type: text/plain\r\n");
    assert_eq!((form.status, &form.json()["error_code"]), (415, &json!(415)));
    let long = world.ask("PUT", "/v1/connectors/x/config", Some(&" ".repeat(1_000_001)));
    assert_eq!((long.status, &long.json()["error_code"]), (413, &json!(413)));
    assert_eq!(world.get("/v1/connectors"), json!(["c"]), "nothing of it is kept");
}

#[test]
fn a_refused_configuration_names_every_fault_with_its_key() {
    let world = World::start(Wishes::default());
    let config = json!({"connector.class": "FileSink", "max.tasks": "abc"});
    let answer = get(&world, "PUT", "/v1/connectors/s/config", &config, 400);
    let keys: BTreeSet<_> =
        answer["errors"].as_array().unwrap().iter().map(|one| one["key"].as_str().unwrap()).collect();
    assert_eq!(keys, BTreeSet::from(["connect.topicnames", "filename", "max.tasks"]), "{answer}");
    for error in answer["errors"].as_array().unwrap() {
        assert!(
            error["reason"].is_string() && error.get("value").is_some() && error.get("remedy").is_some(),
            "{error}"
        );
    }
}

#[test]
fn plugins_tell_their_keys_and_check_configurations() {
    let world = World::start(Wishes::default());
    let plugins = world.get("/v1/connector-plugins");
    assert!(plugins.as_array().unwrap().contains(&json!({"class": SOURCE, "type": "source", "version": "0.0.0"})));
    let all = world.get("/v1/connector-plugins?connectorsOnly=false");
    let kinds: BTreeSet<_> =
        all.as_array().unwrap().iter().map(|one| one["type"].as_str().unwrap().to_owned()).collect();
    for kind in ["source", "sink", "converter", "transformation", "predicate"] {
        assert!(kinds.contains(kind), "{kind} is not in {kinds:?}");
    }
    let keys = world.get("/v1/connector-plugins/FileSource/config");
    let key = |name: &str| keys.as_array().unwrap().iter().find(|key| key["name"] == name).unwrap().clone();
    assert_eq!((&key("filename")["required"], &key("pass")["type"]), (&json!(true), &json!("PASSWORD")));
    assert_eq!(key("max.tasks")["default_value"], "1");

    let path = "/v1/connector-plugins/FileSource/config/validate";
    let config = json!({"name": "n", "max.tasks": "abc", "pass": "hunter2", "flename": "f"});
    let answer = ask(&world, "PUT", path, &config);
    assert!(!answer.body.contains("hunter2"), "{answer:?}");
    let report = answer.json();
    assert_eq!((&report["name"], &report["error_count"]), (&json!(SOURCE), &json!(2)));
    assert!(report["groups"].as_array().unwrap().contains(&json!("Common")), "{report}");
    let value = |name: &str| {
        let configs = report["configs"].as_array().unwrap();
        configs.iter().find(|one| one["definition"]["name"] == name).unwrap()["value"].clone()
    };
    assert_eq!(value("filename")["errors"][0], "Request config key: filename");
    assert_eq!(value("max.tasks")["details"][0]["key"], "max.tasks");
    assert_eq!(value("pass")["value"], "******");
    assert_eq!(report["warnings"][0]["key"], "flename", "{report}");
    let good = get(&world, "PUT", path, &json!({"filename": "f", "connector.class": SOURCE}), 200);
    assert_eq!(good["error_count"], 0);
    refused(&world, "PUT", path, &json!({"filename": "f", "connector.class": "FileSink"}), 400);
    assert_eq!(world.get("/v1/connectors"), json!([]), "nothing is created");
}

#[test]
fn live_records_are_shown_without_secrets_up_to_the_limit() {
    let world = world_with_source();
    let look = |query: &str| {
        let answer = world.ask("GET", &format!("/v1/connectors/c/tap?seconds=5{query}"), None);
        assert_eq!((answer.status, answer.content_type.as_str()), (200, "application/x-ndjson"), "{answer:?}");
        let lines = answer.body.split(['\r', '\n']).filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.filter(Value::is_object).collect::<Vec<_>>()
    };
    let lines = look("&stage=put&limit=2");
    assert_eq!(lines.len(), 2);
    assert_eq!((&lines[0]["stage"], &lines[1]["queue_offset"]), (&json!("put"), &json!(1)));
    assert_eq!(lines[0]["value"], r#"{"number":0,"password":"******"}"#);
    assert_eq!(lines[0]["properties"], json!({"api.token": "******", "colour": "red"}));
    assert_eq!(look("").len(), 3);
    assert_eq!(look("&task=7").len(), 0);
}

fn letter(offset: i64, connector: &str, topic: &str) -> StoredMessage {
    let properties = [
        ("KEYS", format!("k{offset}")),
        ("UNIQ_KEY", offset.to_string()),
        ("__connect.errors.topic", topic.to_owned()),
        ("__connect.errors.connector.name", connector.to_owned()),
        ("__connect.errors.stage", "CONVERTER".to_owned()),
        ("__connect.errors.exception.class.name", "a.ConnectException".to_owned()),
    ];
    StoredMessage {
        queue: QueueName { topic: "letters".to_owned(), broker: "broker-a".to_owned(), queue: 0 },
        offset,
        born_ms: offset,
        store_ms: 100 + offset,
        properties: properties.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
        body: format!("body {offset}").into_bytes().into(),
    }
}

fn world_with_letters() -> World {
    let world = World::start(Wishes::default());
    let config = json!({"connector.class": "FileSink", "filename": "f", "connect.topicnames": "in;other",
        "errors.tolerance": "all", "errors.deadletterqueue.topic.name": "letters"});
    get(&world, "PUT", "/v1/connectors/s/config", &config, 201);
    let letters = (0..6).map(|offset| letter(offset, if offset == 2 { "another" } else { "s" }, "in")).collect();
    let mut held = world.cluster.held.lock().unwrap();
    held.topics.insert("letters".to_owned(), vec![letters, Vec::new()]);
    held.topics.insert("in".to_owned(), vec![Vec::new()]);
    drop(held);
    world
}

#[test]
fn dead_letters_are_shown_newest_first_or_from_an_offset() {
    let world = world_with_letters();
    let offsets = |path: &str| {
        let answer = world.get(path);
        let letters = answer["letters"].as_array().unwrap_or_else(|| panic!("{answer}")).clone();
        (letters.iter().map(|one| one["queue_offset"].as_i64().unwrap()).collect::<Vec<_>>(), answer)
    };
    assert_eq!(offsets("/v1/connectors/s/dlq").0, [5, 4, 3, 1, 0]);
    let (newest, answer) = offsets("/v1/connectors/s/dlq?limit=2");
    assert_eq!((newest, &answer["topic"]), (vec![5, 4], &json!("letters")));
    let letter = &answer["letters"][0];
    assert_eq!(
        (&letter["body"], &letter["encoding"], &letter["error"]["stage"]),
        (&json!("body 5"), &json!("text"), &json!("CONVERTER"))
    );
    assert_eq!(letter["properties"], json!({"KEYS": "k5", "UNIQ_KEY": "5"}));
    let (page, answer) = offsets("/v1/connectors/s/dlq?queue=0&from=1&limit=3");
    assert_eq!((page, &answer["next"], &answer["of_others"]), (vec![1, 3], &json!(4), &json!(1)));
    refused(&world, "GET", "/v1/connectors/s/dlq?from=1", &Value::Null, 400);
    refused(&world, "GET", "/v1/connectors/s/dlq?queue=9", &Value::Null, 404);
    refused(&world, "GET", "/v1/connectors/s/dlq?limit=100000", &Value::Null, 400);

    let summary = world.get("/v1/connectors/s/dlq/summary");
    for (member, value) in [
        ("letters", json!(6)),
        ("oldest_ms", json!(100)),
        ("newest_ms", json!(105)),
        ("looked_at", json!(5)),
        ("by_stage", json!({"CONVERTER": 5})),
        ("by_exception", json!({"a.ConnectException": 5})),
    ] {
        assert_eq!(summary[member], value, "{member}");
    }
    assert_eq!(summary["queues"].as_array().unwrap().len(), 2);
    world.cluster.held.lock().unwrap().down = Some("nobody is there".to_owned());
    assert!(refused(&world, "GET", "/v1/connectors/s/dlq", &Value::Null, 502).contains("nobody is there"));
}

#[test]
fn letters_are_replayed_once_unless_a_range_is_asked_for() {
    let world = world_with_letters();
    let replay = |body: Value| get(&world, "POST", "/v1/connectors/s/dlq/replay", &body, 200);
    let sent = |topic: &str| {
        let held = world.cluster.held.lock().unwrap();
        held.topics[topic]
            .iter()
            .flatten()
            .map(|one| String::from_utf8_lossy(&one.body).into_owned())
            .collect::<Vec<_>>()
    };
    let dry = replay(json!({"dry_run": true}));
    assert_eq!((&dry["replayed"], &dry["by_topic"], sent("in").len()), (&json!(5), &json!({"in": 5}), 0));
    let first = replay(json!({"limit": 2}));
    assert_eq!((&first["replayed"], &first["left"]), (&json!(2), &json!(4)));
    let second = replay(json!({}));
    assert_eq!((&second["replayed"], &second["of_others"], &second["left"]), (&json!(3), &json!(1), &json!(0)));
    assert_eq!(replay(json!({}))["replayed"], 0);
    assert_eq!(sent("in"), ["body 0", "body 1", "body 3", "body 4", "body 5"]);
    let properties = world.cluster.held.lock().unwrap().topics["in"][0][0].properties.clone();
    assert_eq!(properties, [("KEYS".to_owned(), "k0".to_owned())], "nothing of the error is sent on");

    let ranged = replay(json!({"queue": 0, "from": 3, "to": 5, "topic": "aside"}));
    assert_eq!((&ranged["replayed"], sent("aside")), (&json!(2), vec!["body 3".to_owned(), "body 4".to_owned()]));
    assert_eq!(replay(json!({}))["replayed"], 0, "the range changes nothing for the next");
    for body in [
        json!({"from": 1}),
        json!({"queue": 0, "from": 3, "to": 1}),
        json!({"limit": 0}),
        json!({"unknown": 1}),
        json!({"topic": "letters"}),
    ] {
        refused(&world, "POST", "/v1/connectors/s/dlq/replay", &body, 400);
    }
}

#[test]
fn a_replay_that_fails_midway_goes_on_at_the_letter_that_failed() {
    let world = world_with_letters();
    world.cluster.held.lock().unwrap().refuse_sends_after = Some(2);
    let message = refused(&world, "POST", "/v1/connectors/s/dlq/replay", &json!({}), 502);
    assert!(message.contains("letter 3 of queue 0") && message.contains("2 letters were sent before"), "{message}");
    world.cluster.held.lock().unwrap().refuse_sends_after = None;
    assert_eq!(get(&world, "POST", "/v1/connectors/s/dlq/replay", &json!({}), 200)["replayed"], 3);
    assert_eq!(world.cluster.held.lock().unwrap().topics["in"][0].len(), 5);
}

#[test]
fn a_letter_without_a_topic_needs_one() {
    let world = world_with_letters();
    world.cluster.held.lock().unwrap().topics.get_mut("letters").unwrap()[0][0].properties.clear();
    let message = refused(&world, "POST", "/v1/connectors/s/dlq/replay", &json!({}), 409);
    assert!(message.contains("give topic"), "{message}");
    assert_eq!(
        get(&world, "POST", "/v1/connectors/s/dlq/replay", &json!({"topic": "in", "limit": 1}), 200)["replayed"],
        1
    );
}

#[test]
fn offsets_are_changed_only_when_stopped_and_without_members() {
    let world = world_with_letters();
    let path = "/v1/connectors/s/offsets";
    world.cluster.held.lock().unwrap().topics.insert("other".to_owned(), vec![vec![letter(0, "s", "x"); 4]]);
    let edit = json!({"offsets": [{"partition": {"topic": "other", "queue": 0}, "offset": "latest"}]});
    assert!(refused(&world, "PATCH", path, &edit, 409).contains("STOPPED"));
    assert!(refused(&world, "DELETE", path, &Value::Null, 409).contains("/stop"));
    get(&world, "PUT", "/v1/connectors/s/stop", &Value::Null, 204);
    world.wait("tasks to be gone", |world| world.get("/v1/connectors/s/status")["tasks"] == json!([]));
    world.cluster.held.lock().unwrap().members.insert("connect-s".to_owned(), vec!["someone@1".to_owned()]);
    assert!(refused(&world, "PATCH", path, &edit, 409).contains("someone@1"));
    let dry = get(&world, "PATCH", &format!("{path}?dry_run=true"), &edit, 200);
    assert!(dry["refused"].as_str().unwrap().contains("someone@1"), "{dry}");
    world.cluster.held.lock().unwrap().members.clear();
    get(&world, "PATCH", path, &edit, 200);
    for body in [
        json!({"offsets": []}),
        json!({}),
        json!({"offsets": [{"partition": {"topic": "other", "queue": 0}}]}),
        json!({"offsets": [{"partition": {"topic": "nope", "queue": 0}, "offset": null}]}),
        json!({"offsets": [{"partition": {"topic": "other", "queue": 0}, "offset": {"queue_offset": 99}}]}),
    ] {
        refused(&world, "PATCH", path, &body, 400);
    }
    // A broker that says yes and does nothing is found out.
    world.cluster.held.lock().unwrap().forget_commits = true;
    let edit = json!({"offsets": [{"partition": {"topic": "other", "queue": 0}, "offset": "earliest"}]});
    assert!(refused(&world, "PATCH", path, &edit, 502).contains("stands at 4"));
}

#[test]
fn positions_of_a_source_keep_their_form() {
    let world = world_with_source();
    let task = TaskId::new("c", 0);
    let generation = world.port.generation(&task).unwrap();
    let position = StoredPosition {
        partition: RecordPartition::single("filename", "f"),
        offset: BTreeMap::from([("nextPosition".to_owned(), Scalar::Text("42".to_owned()))]),
    };
    world.port.say(ShardEvent::Positions(task, generation, vec![position]));
    world.wait_for_order(&format!("stored c-0 g{}", generation.0));
    let path = "/v1/connectors/c/offsets";
    let shown = json!({"offsets": [{"partition": {"filename": "f"}, "offset": {"nextPosition": "42"}}]});
    assert_eq!(world.get(path), shown);
    get(&world, "PUT", "/v1/connectors/c/stop", &Value::Null, 204);
    world.wait("tasks to be gone", |world| world.get("/v1/connectors/c/status")["tasks"] == json!([]));
    let edit = json!({"offsets": [{"partition": {"filename": "f"}, "offset": {"nextPosition": 7}}]});
    world.wait("the drain", |world| ask(world, "PATCH", path, &edit).status == 200);
    assert_eq!(world.get(path)["offsets"][0]["offset"]["nextPosition"], "7");
    assert_eq!(world.get("/v1/connectors/c/status")["connector"]["state"], "STOPPED");
}

/// Every route of the API.
const ROUTES: &[&str] = &[
    "GET /v1",
    "GET /v1/worker",
    "GET /v1/tasks",
    "GET /v1/flow",
    "GET /v1/openapi.json",
    "GET /v1/connectors",
    "POST /v1/connectors",
    "GET /v1/connectors/{name}",
    "DELETE /v1/connectors/{name}",
    "GET /v1/connectors/{name}/config",
    "PUT /v1/connectors/{name}/config",
    "PATCH /v1/connectors/{name}/config",
    "GET /v1/connectors/{name}/status",
    "GET /v1/connectors/{name}/tasks",
    "GET /v1/connectors/{name}/tasks-config",
    "GET /v1/connectors/{name}/tasks/{task}/status",
    "POST /v1/connectors/{name}/tasks/{task}/restart",
    "POST /v1/connectors/{name}/restart",
    "PUT /v1/connectors/{name}/pause",
    "PUT /v1/connectors/{name}/resume",
    "PUT /v1/connectors/{name}/stop",
    "GET /v1/connectors/{name}/topics",
    "PUT /v1/connectors/{name}/topics/reset",
    "GET /v1/connectors/{name}/latency",
    "GET /v1/connectors/{name}/offsets",
    "PATCH /v1/connectors/{name}/offsets",
    "DELETE /v1/connectors/{name}/offsets",
    "GET /v1/connectors/{name}/dlq",
    "GET /v1/connectors/{name}/dlq/summary",
    "POST /v1/connectors/{name}/dlq/replay",
    "GET /v1/connectors/{name}/tap",
    "GET /v1/connector-plugins",
    "GET /v1/connector-plugins/{name}/config",
    "PUT /v1/connector-plugins/{name}/config/validate",
    "GET /v1/plugins/paths",
    "GET /v1/admin/loggers",
    "GET /v1/admin/loggers/{name}",
    "PUT /v1/admin/loggers/{name}",
];

#[test]
fn every_route_is_served_and_described() {
    let world = World::start(Wishes::default());
    let api = world.get("/v1/openapi.json");
    assert!(api["openapi"].as_str().unwrap().starts_with("3.1"));
    let mut described = BTreeSet::new();
    for (path, item) in api["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            described.insert(format!("{} {path}", method.to_uppercase()));
            assert!(operation["responses"].as_object().is_some_and(|all| !all.is_empty()), "{method} {path}");
            let named =
                |name: &str| operation["parameters"].as_array().into_iter().flatten().any(|one| one["name"] == name);
            for name in ["name", "task"].into_iter().filter(|name| path.contains(&format!("{{{name}}}"))) {
                assert!(named(name), "{method} {path} does not describe {name}");
            }
        }
    }
    assert_eq!(described, ROUTES.iter().map(|route| (*route).to_owned()).collect());
    for route in ROUTES {
        let (method, path) = route.split_once(' ').unwrap();
        let path = path.replace("{name}", "x").replace("{task}", "0");
        let answer = ask(&world, method, &path, &Value::Null);
        assert_ne!(answer.status, 405, "{route}: {answer:?}");
        assert!(!answer.body.contains("no such path"), "{route}: {answer:?}");
    }
    // Every reference in it leads somewhere.
    let text = api.to_string();
    for part in text.split("\"$ref\":\"").skip(1) {
        let to = part.split('"').next().unwrap().trim_start_matches('#');
        assert!(api.pointer(to).is_some(), "{to}");
    }
}

#[test]
fn secrets_are_never_shown_even_where_the_java_api_shows_them() {
    let world = World::start(Wishes { mask_secrets: false, ..Wishes::default() });
    get(&world, "PUT", "/v1/connectors/c/config", &source(), 201);
    for path in ["", "/config", "/tasks", "/tasks-config", "/status"] {
        let body = world.ask("GET", &format!("/v1/connectors/c{path}"), None).body;
        assert!(!body.contains("hunter2"), "{path}: {body}");
    }
    assert!(!world.ask("GET", "/v1/connectors?expand=info", None).body.contains("hunter2"));
    assert!(world.ask("GET", "/connectors/c/config", None).body.contains("hunter2"));
}
