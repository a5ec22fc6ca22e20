//! Spans of batches, end to end: the built worker, its tasks, and a collector that is played.

use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use serde_json::json;

use crate::collector::{Batch, Collector, carry_context, check_link, number, told};
use crate::support::worker::{Worker, file_sink, file_source};
use crate::support::{TempDir, wait_until};

/// Spans come with the second round of the collector's worker at the latest.
const DEADLINE: Duration = Duration::from_secs(40);

fn worker(folder: &Path, collector: &Collector, share: &str) -> Worker {
    let (endpoint, share) = (collector.setting(), format!("otlpTraceSample={share}"));
    Worker::start_with(folder, "embedded", &[&endpoint, &share, "otlpInterval=1000"])
}

fn append(file: &Path, text: &str) {
    std::fs::OpenOptions::new().append(true).create(true).open(file).unwrap().write_all(text.as_bytes()).unwrap();
}

fn error(span: &opentelemetry_proto::tonic::trace::v1::Span) -> Option<&str> {
    let status = span.status.as_ref().filter(|status| status.code() == StatusCode::Error)?;
    Some(&status.message)
}

#[test]
fn a_trace_shows_where_the_time_of_a_source_batch_and_of_a_sink_batch_passed() {
    let dir = TempDir::new("spans");
    let (folder, collector) = (dir.path(), Collector::start());
    let mut worker = worker(folder, &collector, "1");
    let (input, output) = (folder.join("in.txt"), folder.join("out.txt"));
    append(&input, "a\nbb\nccc\n");
    let mut source = file_source(&input, "t");
    carry_context(&mut source);
    worker.create("in", &source);
    worker.create("out", &file_sink(&output, "t"));

    let batch = collector.wait_for_batch("in", DEADLINE, |batch| number(&batch.root, "rmqc.records") == Some(3));
    batch.check();
    assert_eq!(batch.root.name, "source batch");
    assert_eq!(batch.steps(), ["poll", "transform", "convert", "send", "commit"]);
    assert!(told(&batch.root, "messaging.destination.name", "t"));
    assert_eq!((number(&batch.root, "rmqc.task"), number(&batch.root, "rmqc.bytes")), (Some(0), Some(6)));
    assert!(number(&batch.root, "rmqc.shard").is_some() && error(&batch.root).is_none());
    let sends: Vec<_> = batch.parts.iter().filter(|span| span.name == "send").collect();
    assert_eq!(sends.iter().filter_map(|span| number(span, "rmqc.records")).sum::<i64>(), 3);
    for send in sends {
        assert_eq!((send.kind(), number(send, "rmqc.retries")), (SpanKind::Producer, Some(0)));
        assert!(number(send, "rmqc.queue").is_some() && send.attributes.iter().any(|one| one.key == "rmqc.broker"));
    }

    let has_all = |batch: &Batch| batch.steps() == ["pull", "convert", "put", "flush", "commit"];
    let batch = collector.wait_for_batch("out", DEADLINE, has_all);
    batch.check();
    assert_eq!((batch.root.name.as_str(), batch.root.kind()), ("sink batch", SpanKind::Consumer));
    let pull = batch.step("pull");
    assert_eq!((pull.kind(), number(pull, "rmqc.first_offset")), (SpanKind::Client, Some(0)));
    assert!(told(pull, "messaging.destination.name", "t") && number(pull, "rmqc.queue").is_some());
    check_link(&batch.root);
    worker.stop();
}

#[test]
fn a_trace_shows_where_the_time_of_a_direct_batch_passed() {
    let dir = TempDir::new("spans");
    let (folder, collector) = (dir.path(), Collector::start());
    let mut worker = worker(folder, &collector, "1");
    let direct = json!({
        "connector.class": "generator-source",
        "connector.direct.enable": "true",
        "source.task.class": "generator-source",
        "sink.task.class": "file-sink",
        "filename": folder.join("out.txt"),
        "connect.topicname": "t",
        "records": "5",
        "max.tasks": "1",
    });
    worker.create("both", &direct);
    let batch = collector.wait_for_batch("both", DEADLINE, |batch| number(&batch.root, "rmqc.records").is_some());
    batch.check();
    assert_eq!(batch.root.name, "direct batch");
    assert_eq!(batch.steps(), ["poll", "transform", "put", "flush", "commit"]);
    assert!(told(&batch.root, "messaging.destination.name", "t"));
    assert_eq!(number(batch.step("put"), "rmqc.records"), number(&batch.root, "rmqc.records"));
    worker.stop();
}

#[test]
fn a_put_that_fails_is_a_span_with_its_error_while_it_is_tried_again() {
    let dir = TempDir::new("spans");
    let (folder, collector) = (dir.path(), Collector::start());
    let mut worker = worker(folder, &collector, "1");
    let (input, target) = (folder.join("in.txt"), folder.join("target"));
    std::fs::create_dir(&target).unwrap();
    append(&input, "a\n");
    worker.create("in", &file_source(&input, "t"));
    worker.create("out", &file_sink(&target.join("out.txt"), "t"));
    wait_until("the first line", DEADLINE, || target.join("out.txt").exists());
    let batches = || collector.spans().iter().filter(|span| span.name == "sink batch").count();
    wait_until("the first batch", DEADLINE, || batches() == 1);
    // The next line still goes to the file that has lost its name; then a new one is to be made, where a folder is needed.
    std::fs::remove_dir_all(&target).unwrap();
    append(&input, "b\n");
    wait_until("the second batch", DEADLINE, || batches() == 2);
    std::fs::write(&target, "in the way").unwrap();
    append(&input, "c\n");
    let failed = |span: &opentelemetry_proto::tonic::trace::v1::Span| {
        span.name == "put" && error(span).is_some_and(|cause| cause.contains("out.txt"))
    };
    wait_until("a put with an error", DEADLINE, || collector.spans().iter().any(failed));
    // The batch itself is told when it is over: the target is back and has it.
    std::fs::remove_file(&target).unwrap();
    std::fs::create_dir(&target).unwrap();
    let batch = collector.wait_for_batch("out", DEADLINE, |batch| batch.parts.iter().any(failed));
    batch.check();
    assert!(number(&batch.root, "rmqc.failed_calls").is_some_and(|calls| calls > 0) && error(&batch.root).is_none());
    assert!(batch.parts.iter().any(|span| span.name == "put" && error(span).is_none()), "{:?}", batch.steps());
    worker.stop();
}

#[test]
fn a_batch_that_ends_its_task_bears_the_cause() {
    let dir = TempDir::new("spans");
    let (folder, collector) = (dir.path(), Collector::start());
    let mut worker = worker(folder, &collector, "1");
    let input = folder.join("in.txt");
    append(&input, "{}\nnot JSON\n");
    let mut source = file_source(&input, "t");
    source["transforms"] = json!("extract");
    source["transforms.extract.class"] = json!("ExtractNestedField$Value");
    source["transforms.extract.input.outer.field.name"] = json!("user");
    source["transforms.extract.input.inner.field.name"] = json!("city");
    worker.create("in", &source);
    let batch = collector.wait_for_batch("in", DEADLINE, |batch| error(&batch.root).is_some());
    batch.check();
    let cause = error(&batch.root).unwrap();
    assert_eq!(error(batch.step("transform")), Some(cause));
    assert_eq!(number(&batch.root, "rmqc.failed_records"), Some(1));
    worker.stop();
}

#[test]
fn without_a_share_nothing_is_traced() {
    let dir = TempDir::new("spans");
    let (folder, collector) = (dir.path(), Collector::start());
    let mut worker = worker(folder, &collector, "0");
    let input = folder.join("in.txt");
    append(&input, "a\nb\n");
    worker.create("in", &file_source(&input, "t"));
    collector.wait_for(DEADLINE, |request| request.sum("rmqc_task_records_out", "connector", "in") == Some(2));
    // Spans of these records would have come with this report or the next one.
    collector.forget();
    collector.wait_for(DEADLINE, |request| request.sum("rmqc_task_commits", "connector", "in").is_some());
    assert!(collector.spans().is_empty());
    let page = worker.answer("GET", "/metrics", "").1;
    assert!(page.lines().any(|line| line == "rmqc_shard_spans_dropped_total{shard=\"0\"} 0"), "{page}");
    worker.stop();
}
