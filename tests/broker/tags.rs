//! Tags: what an Apache broker filters by hash, and we by the tag itself.

use std::time::Duration;

use serde_json::json;

use super::support::broker::RealBroker;
use super::support::java::{self, Outgoing};
use super::support::worker::{Worker, file_sink, wait_lines};
use super::support::{TempDir, unique, wait_until};

const DEADLINE: Duration = Duration::from_secs(60);

/// Messages with other tags or none stay out, also the one whose tag has a wanted tag's hash, and the group is done with
/// them: a long run of them at the end too.
#[test]
fn a_sink_reads_the_tags_it_is_told() {
    let (broker, home) = (RealBroker::shared(), TempDir::new("tags"));
    let (topic, name, sink) = (unique("tags"), unique("sink"), home.file("out.txt"));
    let group = format!("connect-{name}");
    broker.create_topic(&topic, 1);
    let tagged = |tag: &str, body: &str| Outgoing {
        tags: (!tag.is_empty()).then(|| tag.to_owned()),
        ..Outgoing::body(body.to_owned())
    };
    let mut messages = vec![
        tagged("Aa", "one"),
        tagged("BB", "same hash"),
        tagged("", "no tag"),
        tagged("other", "other"),
        tagged("x", "two"),
    ];
    messages.extend((0..100).map(|_| tagged("other", "other")));
    java::produce(broker.namesrv(), &topic, &messages);
    let mut worker = Worker::start(home.path(), broker.namesrv());
    let mut config = file_sink(&sink, &topic);
    config["subscription.tags"] = json!("Aa || x");
    worker.create(&name, &config);
    assert_eq!(wait_lines(&sink, 2, DEADLINE), b"one\ntwo\n");
    wait_until("the group is done with all", DEADLINE, || broker.committed(&group, &topic, 0) == Some(105));
    java::produce(broker.namesrv(), &topic, &[tagged("BB", "same hash"), tagged("x", "three")]);
    assert_eq!(wait_lines(&sink, 3, DEADLINE), b"one\ntwo\nthree\n");
    worker.stop();
    assert_eq!(broker.committed(&group, &topic, 0), Some(107));
}
