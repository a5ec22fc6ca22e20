//! `/plugin/…`.

use serde_json::{Value, json};

use crate::world::{Wishes, World};

fn types(list: &Value) -> Vec<&str> {
    let mut all: Vec<&str> = list["body"].as_array().unwrap().iter().map(|one| one["type"].as_str().unwrap()).collect();
    all.dedup();
    all
}

#[test]
fn plugins_are_listed_by_kind_and_class() {
    let world = World::start(Wishes::default());
    let list = world.get("/plugin/list");
    assert_eq!(types(&list), ["SINK", "SOURCE", "TRANSFORMATION", "CONVERTER"]);
    assert_eq!(types(&world.get("/plugin/list/connectors")), ["SINK", "SOURCE"]);
    let classes = |kind: &str| -> Vec<String> {
        let all = list["body"].as_array().unwrap().iter().filter(|one| one["type"] == kind);
        all.map(|one| one["className"].as_str().unwrap().to_owned()).collect()
    };
    let transforms = classes("TRANSFORMATION");
    assert!(transforms.is_sorted(), "{transforms:?}");
    // What is listed can be used by that name.
    for class in &transforms {
        assert!(rmqc_core::registry::find_transform(class).is_some(), "{class}");
    }
    assert!(
        transforms.iter().any(|class| class.ends_with("$Value")),
        "halves are classes of their own: {transforms:?}"
    );
    assert_eq!(world.ask("POST", "/plugin/reload", None).json()["body"], "Plugin reload succeeded");
}

#[test]
fn a_plugins_keys_are_told() {
    let world = World::start(Wishes::default());
    let key = |plugin: &str, name: &str| {
        let answer = world.get(&format!("/plugin/config?pluginName={plugin}"));
        let found = answer["body"].as_array().unwrap().iter().find(|key| key["name"] == name).cloned();
        found.unwrap_or_else(|| panic!("{plugin} has no {name}: {answer}"))
    };
    let filename = key("FileSource", "filename");
    assert_eq!((&filename["type"], &filename["required"]), (&json!("STRING"), &json!(true)), "{filename}");
    assert_eq!(key("FileSource", "pass")["type"], "PASSWORD");
    let tasks = key("org.apache.rocketmq.connect.file.FileSinkConnector", "max.tasks");
    assert_eq!(
        (&tasks["type"], &tasks["minimum"], &tasks["required"]),
        (&json!("LONG"), &json!(1), &json!(false)),
        "{tasks}"
    );
    assert!(!tasks["documentation"].as_str().unwrap().is_empty());
    assert_eq!(key("JsonConverter", "decimal.format")["values"], json!(["BASE64", "NUMERIC"]));
    assert_eq!(world.get("/plugin/config?pluginName=nope")["errorCode"], 500);
}

#[test]
fn a_configuration_is_checked_and_nothing_is_kept() {
    let world = World::start(Wishes::default());
    let wrong = json!({"max.tasks": "abc", "pass": "hunter2"}).to_string();
    let encoded: String = wrong.bytes().map(|byte| format!("%{byte:02x}")).collect();
    let by_query = world.ask("GET", &format!("/plugin/config/validate?pluginName=FileSource&config={encoded}"), None);
    for answer in [
        by_query,
        world.ask("PUT", "/plugin/config/validate?pluginName=FileSource", Some(&wrong)),
        world.ask("POST", "/plugin/config/validate?pluginName=file-source", Some(&wrong)),
    ] {
        let body = &answer.json()["body"];
        assert_eq!(body["className"], "org.apache.rocketmq.connect.file.FileSourceConnector", "{answer:?}");
        let errors = body["errors"].as_array().unwrap();
        assert_eq!(body["errorCount"], errors.len());
        for (key, reason) in [("filename", "Request config key: filename"), ("max.tasks", "For input string: \"abc\"")]
        {
            assert!(errors.iter().any(|error| error["key"] == key && error["reason"] == reason), "{key}: {answer:?}");
        }
        assert!(!answer.body.contains("hunter2"), "{answer:?}");
    }
    let good = json!({"connector.class": "FileSource", "filename": "f", "connect.topicname": "t"}).to_string();
    let answer = world.ask("PUT", "/plugin/config/validate", Some(&good)).json();
    assert_eq!(answer["body"]["errors"], json!([]), "{answer}");
    let answer = world.ask("PUT", "/plugin/config/validate?pluginName=FileSink", Some(&good)).json();
    assert_eq!(answer["errorCode"], 400, "two classes: {answer}");
    assert_eq!(world.get("/connectors/list")["body"], json!({}));
}
