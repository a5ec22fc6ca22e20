//! What the captures do not show: order of members, other forms of errors, old paths, secrets, and our own routes.

use serde_json::json;

use crate::world::{Wishes, World};

const SOURCE: &str = "org.apache.rocketmq.connect.file.FileSourceConnector";

fn world_with_source() -> World {
    let world = World::start(Wishes::default());
    world.create("c", &json!({"connector.class": "FileSource", "filename": "f", "connect.topicname": "t"}));
    world.wait_for_state("c", 0, "RUNNING");
    world
}

#[test]
fn members_stand_in_the_java_order() {
    let world = world_with_source();
    for (path, body) in [
        (
            "/connectors/c/status",
            r#"{"status":200,"body":{"name":"c","connector":{"state":"RUNNING","trace":null,"workerId":"standalone-worker"},"tasks":[{"state":"RUNNING","trace":null,"workerId":"standalone-worker","id":0}],"type":"SOURCE"}}"#,
        ),
        (
            "/connectors/c/config",
            r#"{"status":200,"body":{"name":"c","config":{"connect.topicname":"t","connector.class":"FileSource","filename":"f"},"tasks":[{"connector":"c","task":0}],"type":"SOURCE"}}"#,
        ),
        (
            "/connectors/c/tasks/0/status",
            r#"{"status":200,"body":{"state":"RUNNING","trace":null,"workerId":"standalone-worker","id":0}}"#,
        ),
        ("/connectors/x/config", r#"{"errorCode":500,"message":"Connector[x] does not exist"}"#),
    ] {
        assert_eq!(world.ask("GET", path, None).body, body);
    }
    let tasks = world.get("/connectors/c/tasks");
    assert_eq!(tasks["body"][0]["config"]["connector.class"], SOURCE, "the alias is expanded for tasks");
}

#[test]
fn unknown_paths_answer_as_text_or_as_json() {
    let world = World::start(Wishes::default());
    let answer = world.ask_with("GET", "/nope", None, "Accept: application/json\r\n");
    assert_eq!((answer.status, answer.content_type.as_str()), (404, "application/json"));
    assert_eq!(
        answer.body,
        "{\n    \"title\": \"Not found\",\n    \"status\": 404,\n    \"type\": \
         \"https://javalin.io/documentation#notfoundresponse\",\n    \"details\": {}\n}"
    );
    assert_eq!(world.ask("GET", "/connectors//stop", None).status, 404);
}

#[test]
fn a_body_beyond_the_limit_is_refused_and_one_at_the_limit_is_read() {
    let world = World::start(Wishes::default());
    let answer = world.ask("POST", "/connectors/c", Some(&" ".repeat(1_000_001)));
    assert_eq!((answer.status, answer.body.as_str()), (413, "Payload Too Large"));
    let answer = world.ask("POST", "/connectors/c", Some(&" ".repeat(1_000_000)));
    assert_eq!(answer.json()["errorCode"], 400);
}

#[test]
fn real_status_codes_are_given_when_asked_for() {
    let world = World::start(Wishes { real_status: true, ..Wishes::default() });
    let config = json!({"connector.class": SOURCE, "filename": "f"});
    world.create("c", &config);
    for (method, path, body, status) in [
        ("GET", "/connectors/x/config", None, 404),
        ("GET", "/connectors/x/pause", None, 404),
        ("POST", "/connectors/c", Some(config.to_string()), 409),
        ("POST", "/connectors/c", Some("{}".to_owned()), 400),
        ("POST", "/connectors/c", Some("nonsense".to_owned()), 400),
        ("GET", "/plugin/config/validate", None, 400),
        ("GET", "/plugin/config?pluginName=x", None, 404),
        ("GET", "/connectors/c/config", None, 200),
    ] {
        assert_eq!(world.ask(method, path, body.as_deref()).status, status, "{method} {path}");
    }
}

#[test]
fn all_faults_of_a_configuration_are_named_at_once() {
    let world = World::start(Wishes::default());
    let config = json!({"connector.class": "FileSink", "max.tasks": "abc", "ordering.msg.enable": "maybe",
        "transforms": "a,b", "transforms.a.class": "x.A", "value.converter": "x.C"});
    let answer = world.ask("POST", "/connectors/c", Some(&config.to_string())).json();
    let message = answer["message"].as_str().unwrap();
    for part in [
        "Config connect.topicnames cannot be empty",
        "Request config key: filename",
        "For input string: \"abc\"",
        "Config ordering.msg.enable is \"maybe\"",
        "RecordConverter and which name matches x.C",
        "Transform and which name matches x.A",
    ] {
        assert!(message.contains(part), "{part} is not in {message}");
    }
    assert_eq!(world.get("/connectors/list")["body"], json!({}), "nothing of it is kept");
}

#[test]
fn a_direct_connector_must_name_both_tasks() {
    let world = World::start(Wishes::default());
    let direct = |source: &str, sink: &str| {
        json!({"connector.class": "FileSink", "connector.direct.enable": "true", "source.task.class": source,
            "sink.task.class": sink, "filename": "f"})
    };
    let refused = |config: &serde_json::Value| {
        let answer = world.ask("POST", "/connectors/c", Some(&config.to_string())).json();
        assert_ne!(answer["status"], 200, "{answer}");
        answer["message"].as_str().unwrap().to_owned()
    };
    let message = refused(&json!({"connector.class": "FileSink", "connector.direct.enable": "true", "filename": "f"}));
    assert_eq!(message, "Request config key: source.task.class; Request config key: sink.task.class");
    let message = refused(&direct("FileSinkTask", "x.NoTask"));
    for part in [
        "implements SourceTask and which name matches FileSinkTask",
        "implements SinkTask and which name matches x.NoTask",
        "org.apache.rocketmq.connect.file.FileSinkTask",
    ] {
        assert!(message.contains(part), "{part} is not in {message}");
    }
    let mut config = direct("FileSourceTask", "file-sink");
    config.as_object_mut().unwrap().remove("filename");
    assert_eq!(refused(&config), "Request config key: filename", "a fault of all parts is told once");
    let mut config = direct("FileSourceTask", "file-sink");
    config["max.tasks"] = json!(2);
    assert!(refused(&config).contains("max.tasks"), "two tasks would read the same");
    // A sink's topics are not asked for: nothing is read from any.
    world.create("c", &direct("FileSourceTask", "file-sink"));
    world.wait_for_state("c", 0, "RUNNING");
    let config = &world.get("/connectors/c/tasks")["body"][0]["config"];
    for (key, value) in [
        ("task.type", "DIRECT"),
        ("source.task.class", "FileSourceTask"),
        ("sink.task.class", "file-sink"),
        ("task.class", "org.apache.rocketmq.connect.file.FileSinkTask"),
        ("task.id", "0"),
    ] {
        assert_eq!(config[key], value, "{config}");
    }
}

#[test]
fn a_direct_connectors_secrets_are_those_of_both_tasks() {
    let world = World::start(Wishes { mask_secrets: true, ..Wishes::default() });
    let config = json!({"connector.class": "FileSink", "connector.direct.enable": "true", "filename": "f",
        "source.task.class": "FileSourceTask", "sink.task.class": "FileSinkTask", "pass": "hush"});
    world.create("c", &config);
    for path in ["/connectors/c/config", "/connectors/c/tasks", "/connectors/list"] {
        assert!(!world.ask("GET", path, None).body.contains("hush"), "{path}");
    }
}

#[test]
fn a_wrong_converter_key_is_refused_at_creation() {
    let world = World::start(Wishes::default());
    let config = json!({"connector.class": "FileSource", "filename": "/data/in.txt", "connect.topicname": "t",
        "key.converter.serializer.encoding": "UTF-88", "value.converter": "JsonConverter",
        "value.converter.decimal.format": "HEX"});
    let answer = world.ask("POST", "/connectors/c", Some(&config.to_string())).json();
    let message = answer["message"].as_str().unwrap();
    for part in [
        "Config key.converter.serializer.encoding is \"UTF-88\"",
        "Config value.converter.decimal.format is \"HEX\", expected one of BASE64, NUMERIC",
    ] {
        assert!(message.contains(part), "{part} is not in {message}");
    }
    assert_eq!(world.get("/connectors/list")["body"], json!({}), "nothing of it is kept");
}

#[test]
fn secrets_are_masked_and_their_mask_keeps_them() {
    let world = World::start(Wishes::default());
    let config = json!({"connector.class": SOURCE, "filename": "f", "connect.topicname": "t", "pass": "hunter2"});
    let echo = world.ask("POST", "/connectors/c", Some(&config.to_string()));
    assert_eq!(echo.json()["body"]["pass"], "******");
    world.wait_for_state("c", 0, "RUNNING");
    for path in [
        "/connectors/c/config",
        "/connectors/c/tasks",
        "/connectors/list",
        "/allocated/connectors",
        "/allocated/tasks",
        "/getAllocatedInfo",
        "/getAllocatedConnectors",
        "/getAllocatedTasks",
    ] {
        let body = world.ask("GET", path, None).body;
        assert!(body.contains("******") && !body.contains("hunter2"), "{path}: {body}");
    }
    let mut shown = world.get("/connectors/c/config")["body"]["config"].clone();
    let answer = world.ask("POST", "/connectors/c", Some(&shown.to_string())).json();
    assert_eq!(answer["message"], "Connector with same config already exist.", "the mask stands for the stored value");
    shown["filename"] = json!("g");
    world.create("c", &shown);
    let answer = world.ask("POST", "/connectors/d", Some(&shown.to_string())).json();
    assert!(answer["message"].as_str().unwrap().contains("pass is the mask of a secret"), "{answer}");
}

#[test]
fn secrets_are_shown_when_asked_for() {
    let world = World::start(Wishes { mask_secrets: false, ..Wishes::default() });
    world.create("c", &json!({"connector.class": SOURCE, "filename": "f", "pass": "hunter2"}));
    assert_eq!(world.get("/connectors/c/config")["body"]["config"]["pass"], "hunter2");
}

#[test]
fn the_old_command_line_tools_paths_are_served() {
    let world = world_with_source();
    assert_eq!(world.get("/getConfigInfo")["body"]["c"]["info"]["name"], "c");
    assert_eq!(world.get("/getAllocatedConnectors")["c"]["properties"]["topic"], "t");
    assert_eq!(world.get("/getAllocatedTasks")["c"][0]["configs"]["properties"]["task-id"], "0");
    assert_eq!(world.get("/getAllocatedInfo")["body"]["tasks"]["runningTasks"][0]["connectorName"], "c");
    assert_eq!(world.get("/connectors/c/delete")["body"], "Connector [c] deleted successfully");
    assert_eq!(world.get("/connectors/stopAll")["status"], 200);
}

#[test]
fn the_worker_tells_about_itself() {
    let world = world_with_source();
    let worker = world.get("/v1/worker");
    assert_eq!((&worker["driver"], &worker["driver_reason"]), (&json!("epoll"), &json!("it is played")));
    assert_eq!(worker["shards"].as_array().unwrap().len(), 2);
    assert_eq!(worker["name_servers"][0], "namesrv:9876");
    let tasks = world.get("/v1/tasks");
    assert_eq!((&tasks[0]["connector"], &tasks[0]["records_in"]), (&json!("c"), &json!(5)));
    assert_eq!(tasks[0]["latency_ms"]["p99"].as_f64().unwrap().round(), 7.0);
    assert_eq!(world.ask("GET", "/health", None).status, 200);
    assert_eq!(world.ask("GET", "/ready", None).status, 200);
    let metrics = world.ask("GET", "/metrics", None);
    assert!(metrics.content_type.starts_with("text/plain; version=0.0.4"), "{metrics:?}");
    for line in [
        "rmqc_driver_info{driver=\"epoll\",reason=\"it is played\"} 1",
        "rmqc_task_records_in_total{connector=\"c\",task=\"0\"} 5",
        "rmqc_tasks{state=\"RUNNING\"} 1",
    ] {
        assert!(metrics.body.lines().any(|one| one == line), "{line}\n{}", metrics.body);
    }
}
