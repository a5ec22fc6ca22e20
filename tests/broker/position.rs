//! A position file that a Java worker left behind is continued at the right byte.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::support::broker::RealBroker;
use super::support::worker::{Worker, file_sink, file_source, wait_lines};
use super::support::{TempDir, unique};

const DEADLINE: Duration = Duration::from_secs(60);

/// The file as a standalone Java worker writes it: one object, key and value each base64 of JSON text.
fn java_position_file(connector: &str, filename: &str, next_position: u64) -> String {
    let key = json!({ "namespace": connector, "partition": { "filename": filename } }).to_string();
    let value = json!({ "offset": { "nextPosition": next_position.to_string() } }).to_string();
    format!("{{\"{}\":\"{}\"}}", STANDARD.encode(key), STANDARD.encode(value))
}

#[test]
fn a_java_workers_position_is_continued() {
    let (broker, home) = (RealBroker::shared(), TempDir::new("position"));
    let (topic, source, sink) = (unique("position"), home.file("in.txt"), home.file("out.txt"));
    broker.create_topic(&topic, 1);
    std::fs::write(&source, "hello rocketmq\nsecond\nthird\nfourth\n").unwrap();
    let config_folder = home.path().join("store/config");
    std::fs::create_dir_all(&config_folder).unwrap();
    let position = java_position_file("source", source.to_str().unwrap(), 22);
    std::fs::write(config_folder.join("position.json"), position).unwrap();

    let mut worker = Worker::start(home.path(), broker.namesrv());
    worker.create("source", &file_source(&source, &topic));
    worker.create("sink", &file_sink(&sink, &topic));
    assert_eq!(String::from_utf8(wait_lines(&sink, 2, DEADLINE)).unwrap(), "third\nfourth\n");
    worker.stop();
    assert_eq!(broker.stored(&topic, 1), 2);

    // And back: what the worker leaves behind says where it stopped, in the same form.
    let left = std::fs::read_to_string(config_folder.join("position.json")).unwrap();
    let left: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&left).unwrap();
    let positions: Vec<(serde_json::Value, serde_json::Value)> =
        left.iter().map(|(key, value)| (decoded(key), decoded(value.as_str().unwrap()))).collect();
    let wanted = json!({ "namespace": "source", "partition": { "filename": source.to_str().unwrap() } });
    let (_, offset) = positions.iter().find(|(key, _)| *key == wanted).expect("the source's position");
    assert_eq!(*offset, json!({ "offset": { "nextPosition": "35" } }));
}

fn decoded(text: &str) -> serde_json::Value {
    serde_json::from_slice(&STANDARD.decode(text).unwrap()).unwrap()
}
