//! What the Java client sees of our messages, and we of its.

use std::time::Duration;

use serde_json::json;

use super::support::broker::RealBroker;
use super::support::java::{self, Outgoing};
use super::support::worker::{Worker, file_sink, file_source, wait_bytes, wait_lines};
use super::support::{TempDir, unique};

const DEADLINE: Duration = Duration::from_secs(60);

/// Bodies, times and unique keys of our messages, as Apache RocketMQ's own client reads and finds them.
#[test]
fn the_java_client_reads_and_finds_our_messages() {
    let (broker, home) = (RealBroker::shared(), TempDir::new("ours"));
    let (topic, source) = (unique("ours"), home.file("in.txt"));
    broker.create_topic(&topic, 4);
    let long = "x".repeat(20_000);
    let sent: Vec<String> = vec!["first".into(), String::new(), "ünï — 漢字".into(), long, "last".into()];
    std::fs::write(&source, sent.iter().map(|line| format!("{line}\n")).collect::<String>()).unwrap();
    let worker = Worker::start(home.path(), broker.namesrv());
    worker.create("source", &file_source(&source, &topic));

    let got = java::consume(broker.namesrv(), &topic, sent.len(), DEADLINE);
    let mut bodies: Vec<String> = got.iter().map(|message| String::from_utf8(message.body.clone()).unwrap()).collect();
    let mut wanted = sent.clone();
    bodies.sort();
    wanted.sort();
    assert_eq!(bodies, wanted);
    for message in &got {
        let unique_key = message.properties.get("UNIQ_KEY").expect("every message has a unique key");
        assert_eq!(unique_key.len(), 32, "{unique_key}");
        assert_eq!(&message.msg_id, unique_key);
    }
    let mut unique_keys: Vec<&String> = got.iter().map(|message| &message.msg_id).collect();
    unique_keys.sort();
    unique_keys.dedup();
    assert_eq!(unique_keys.len(), sent.len());

    let one = got.iter().find(|message| message.body == b"first").unwrap();
    let found = java::by_unique_key(broker.namesrv(), &topic, &one.msg_id);
    assert_eq!((found.queue_id, found.queue_offset, &found.body), (one.queue_id, one.queue_offset, &one.body));
}

/// Bodies that the Java client sends, plain and compressed, with every kind of property, reach the file unchanged.
#[test]
fn we_read_what_the_java_client_sends() {
    let (broker, home) = (RealBroker::shared(), TempDir::new("theirs"));
    let (topic, sink) = (unique("theirs"), home.file("out.txt"));
    broker.create_topic(&topic, 1);
    let compressed = "the same words again and again ".repeat(1000);
    let messages = [
        Outgoing::body("plain"),
        Outgoing { keys: Some("k1 k2".into()), tags: Some("T".into()), ..Outgoing::body("ünï — 漢字") },
        Outgoing {
            properties: vec![
                ("connect-ext-colour".into(), "blue".into()),
                ("connect.timestamp".into(), "1700000000000".into()),
            ],
            ..Outgoing::body("with extensions")
        },
        Outgoing::body(compressed.clone()),
    ];
    let places = java::produce(broker.namesrv(), &topic, &messages);
    assert_eq!(places, [(0, 0), (0, 1), (0, 2), (0, 3)]);

    let mut worker = Worker::start(home.path(), broker.namesrv());
    worker.create("sink", &file_sink(&sink, &topic));
    let got = String::from_utf8(wait_lines(&sink, messages.len(), DEADLINE)).unwrap();
    assert_eq!(got, format!("plain\nünï — 漢字\nwith extensions\n{compressed}\n"));
    worker.stop();
    assert_eq!(broker.committed("connect-sink", &topic, 0), Some(4));
}

/// Two sinks with groups of their own each get everything; a sink with a group that has committed goes on there.
#[test]
fn a_group_goes_on_where_it_committed() {
    let (broker, home) = (RealBroker::shared(), TempDir::new("groups"));
    let (topic, group) = (unique("groups"), unique("group"));
    broker.create_topic(&topic, 1);
    let bodies = ["one", "two"].map(Outgoing::body);
    java::produce(broker.namesrv(), &topic, &bodies);
    let mut worker = Worker::start(home.path(), broker.namesrv());
    let with_group = |name: &str| {
        let mut config = file_sink(&home.file(name), &topic);
        config["task.group.id"] = json!(group);
        config
    };
    worker.create("first", &with_group("first.txt"));
    worker.create("other", &file_sink(&home.file("other.txt"), &topic));
    assert_eq!(wait_lines(&home.file("first.txt"), 2, DEADLINE), b"one\ntwo\n");
    assert_eq!(wait_lines(&home.file("other.txt"), 2, DEADLINE), b"one\ntwo\n");
    worker.delete("first");

    java::produce(broker.namesrv(), &topic, &[Outgoing::body("three")]);
    worker.create("second", &with_group("second.txt"));
    wait_bytes(&home.file("second.txt"), 1, DEADLINE);
    worker.stop();
    assert_eq!(std::fs::read(home.file("second.txt")).unwrap(), b"three\n");
    assert_eq!(std::fs::read(home.file("other.txt")).unwrap(), b"one\ntwo\nthree\n");
}
