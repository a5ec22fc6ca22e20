//! Sampled traces of a worker between another system and an Apache broker: what a message carries is linked, on both sides.

use std::time::Duration;

use opentelemetry_proto::tonic::trace::v1::Span;

use super::collector::{Batch, Collector, carry_context, check_link, context, number, told};
use super::support::broker::RealBroker;
use super::support::java::{self, Outgoing};
use super::support::worker::{Worker, file_sink, file_source, wait_lines};
use super::support::{TempDir, unique};

const DEADLINE: Duration = Duration::from_secs(60);

fn worker(home: &TempDir, broker: &RealBroker, collector: &Collector) -> Worker {
    let settings = [&*collector.setting(), "otlpTraceSample=1", "otlpInterval=1000"];
    Worker::start_with(home.path(), broker.namesrv(), &settings)
}

fn has(span: &Span, key: &str) -> bool {
    span.attributes.iter().any(|one| one.key == key)
}

/// Where the offsets of a topic's only queue begin that steps of this name tell.
fn first_offsets(batch: &Batch, step: &str) -> Vec<i64> {
    let steps = batch.parts.iter().filter(|span| span.name == step);
    steps.filter_map(|span| number(span, "rmqc.first_offset")).collect()
}

#[test]
fn a_batch_of_a_java_producer_is_linked_to_the_trace_that_its_messages_carry() {
    let (broker, home, collector) = (RealBroker::shared(), TempDir::new("traces"), Collector::start());
    let (topic, name, sink) = (unique("traces"), unique("sink"), home.file("out.txt"));
    broker.create_topic(&topic, 1);
    let message = |body: &str| Outgoing {
        properties: vec![("traceparent".to_owned(), context())],
        ..Outgoing::body(body.to_owned())
    };
    java::produce(broker.namesrv(), &topic, &[message("one"), message("two")]);
    let mut worker = worker(&home, broker, &collector);
    worker.create(&name, &file_sink(&sink, &topic));
    assert_eq!(wait_lines(&sink, 2, DEADLINE), b"one\ntwo\n");

    let has_all = |batch: &Batch| batch.steps() == ["pull", "convert", "put", "flush", "commit"];
    let batch = collector.wait_for_batch(&name, DEADLINE, has_all);
    batch.check();
    check_link(&batch.root);
    assert_eq!(first_offsets(&batch, "pull"), [0]);
    assert!(told(batch.step("pull"), "messaging.destination.name", &topic));
    worker.stop();
}

#[test]
fn a_batch_that_an_apache_broker_stored_tells_its_sends_and_leaves_the_context_in_the_messages() {
    let (broker, home, collector) = (RealBroker::shared(), TempDir::new("traces"), Collector::start());
    let (topic, name, source) = (unique("traces"), unique("source"), home.file("in.txt"));
    broker.create_topic(&topic, 1);
    std::fs::write(&source, "one\ntwo\nthree\n").unwrap();
    let mut config = file_source(&source, &topic);
    carry_context(&mut config);
    let mut worker = worker(&home, broker, &collector);
    worker.create(&name, &config);

    let is_all = |batch: &Batch| number(&batch.root, "rmqc.records") == Some(3);
    let batch = collector.wait_for_batch(&name, DEADLINE, is_all);
    batch.check();
    assert_eq!(batch.steps(), ["poll", "transform", "convert", "send", "commit"]);
    let send = batch.step("send");
    assert_eq!((number(send, "rmqc.records"), number(send, "rmqc.queue")), (Some(3), Some(0)));
    assert!(has(send, "rmqc.broker") && told(send, "messaging.destination.name", &topic));
    for message in java::consume(broker.namesrv(), &topic, 3, DEADLINE) {
        assert_eq!(message.properties["connect-ext-traceparent"], context());
    }
    worker.stop();
}
