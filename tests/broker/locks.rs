//! The locks of ordered sinks, as an Apache broker keeps them.

use std::time::Duration;

use serde_json::json;

use super::support::broker::RealBroker;
use super::support::java::{self, Outgoing};
use super::support::worker::{Worker, file_sink, wait_lines};
use super::support::{TempDir, unique, wait_until};

const DEADLINE: Duration = Duration::from_secs(60);

/// While an ordered sink runs, its queues are locked for other members; when it has stopped, they are free at once.
#[test]
fn an_ordered_sink_holds_its_queues() {
    let (broker, home) = (RealBroker::shared(), TempDir::new("locks"));
    let (topic, name, sink) = (unique("locks"), unique("sink"), home.file("out.txt"));
    let group = format!("connect-{name}");
    broker.create_topic(&topic, 2);
    let bodies = ["one", "two"].map(|body| Outgoing { queue: Some(0), ..Outgoing::body(body) });
    java::produce(broker.namesrv(), &topic, &bodies);
    let mut worker = Worker::start(home.path(), broker.namesrv());
    let mut config = file_sink(&sink, &topic);
    config["ordering.msg.enable"] = json!("true");
    worker.create(&name, &config);
    assert_eq!(wait_lines(&sink, 2, DEADLINE), b"one\ntwo\n");
    assert!(!broker.lock(&group, "other", &topic, 0), "the sink holds it");
    worker.stop();
    assert!(broker.lock(&group, "other", &topic, 0), "it is free");

    // A queue that another member holds is not read before that one gives it up.
    java::produce(broker.namesrv(), &topic, &[Outgoing { queue: Some(1), ..Outgoing::body("three") }]);
    java::produce(broker.namesrv(), &topic, &[Outgoing { queue: Some(0), ..Outgoing::body("four") }]);
    worker.start_again();
    worker.ensure(&name, &config);
    assert_eq!(wait_lines(&sink, 3, DEADLINE), b"one\ntwo\nthree\n");
    wait_until("the other queue is committed", DEADLINE, || broker.committed(&group, &topic, 1) == Some(1));
    assert_eq!(std::fs::read(&sink).unwrap(), b"one\ntwo\nthree\n");
    broker.unlock(&group, "other", &topic, 0);
    assert_eq!(wait_lines(&sink, 4, DEADLINE), b"one\ntwo\nthree\nfour\n");
    worker.stop();
}
