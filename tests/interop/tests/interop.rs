//! The worker and rocketmq-client-rust read each other's messages.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "in a test a failure is a panic"
)]

#[path = "../../support/mod.rs"]
mod support;

use std::time::Duration;

use rmqc_interop::{Seen, consume, produce};
use support::broker::RealBroker;
use support::worker::{Worker, file_sink, file_source, wait_lines};
use support::{TempDir, unique};

const DEADLINE: Duration = Duration::from_secs(60);

fn bodies() -> Vec<String> {
    vec!["first".into(), "ünï — 漢字".into(), "the same again ".repeat(1_000), "last".into()]
}

#[test]
fn the_rust_client_reads_our_messages() {
    let (broker, home) = (RealBroker::shared(), TempDir::new("interop-ours"));
    let (topic, source) = (unique("ours"), home.file("in.txt"));
    broker.create_topic(&topic, 4);
    std::fs::write(&source, bodies().iter().map(|line| format!("{line}\n")).collect::<String>()).unwrap();
    let worker = Worker::start(home.path(), broker.namesrv());
    worker.create("source", &file_source(&source, &topic));

    let seen = consume(broker.namesrv(), &topic, bodies().len(), DEADLINE).unwrap();
    let mut got: Vec<String> = seen.iter().map(|message| String::from_utf8(message.body.clone()).unwrap()).collect();
    let mut wanted = bodies();
    got.sort();
    wanted.sort();
    assert_eq!(got, wanted);
    for message in &seen {
        assert_eq!(message.unique_key.len(), 32, "{:?}", message.unique_key);
    }
}

#[test]
fn we_read_the_rust_clients_messages() {
    let (broker, home) = (RealBroker::shared(), TempDir::new("interop-theirs"));
    let (topic, sink) = (unique("theirs"), home.file("out.txt"));
    broker.create_topic(&topic, 1);
    let messages: Vec<Seen> = bodies()
        .iter()
        .map(|body| Seen {
            body: body.clone().into_bytes(),
            keys: "k".into(),
            tags: "T".into(),
            unique_key: String::new(),
        })
        .collect();
    produce(broker.namesrv(), &topic, &messages).unwrap();
    let worker = Worker::start(home.path(), broker.namesrv());
    worker.create("sink", &file_sink(&sink, &topic));
    let got = String::from_utf8(wait_lines(&sink, messages.len(), DEADLINE)).unwrap();
    assert_eq!(got, bodies().iter().map(|line| format!("{line}\n")).collect::<String>());
}

/// The oracle against itself: a deaf one would prove nothing.
#[test]
fn the_rust_client_reads_its_own_messages() {
    let broker = RealBroker::shared();
    let topic = unique("self");
    broker.create_topic(&topic, 1);
    let sent = Seen { body: b"x".to_vec(), keys: "k".into(), tags: "T".into(), unique_key: String::new() };
    produce(broker.namesrv(), &topic, std::slice::from_ref(&sent)).unwrap();
    let seen = consume(broker.namesrv(), &topic, 1, DEADLINE).unwrap();
    assert_eq!((&seen[0].body, &seen[0].keys, &seen[0].tags), (&sent.body, &sent.keys, &sent.tags));
}
