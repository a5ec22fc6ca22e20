use std::time::Duration;

use bytes::{Bytes, BytesMut};
use rmqc_core::id::MessageQueue;
use rmqc_core::record::Extensions;

use super::super::steps::{OF_DIRECT, OF_SINK, OF_SOURCE, Steps};
use super::*;
use crate::remoting::message::{Message, MessageParts, put_message};

/// A task whose batches are all traced.
fn task(way: Way) -> (Rc<Tracer>, Steps) {
    let tracer = Tracer::new(1.0);
    let of = match way {
        Way::Source => OF_SOURCE,
        Way::Sink => OF_SINK,
        Way::Direct => OF_DIRECT,
    };
    let traces = TaskTraces::new(tracer.clone(), TaskId::new("lines", 2), ShardId(1), way);
    (tracer, Steps::traced(of, Rc::default(), Rc::default(), Rc::new(traces)))
}

fn queue(number: i32) -> QueueAddress {
    let queue = MessageQueue { topic: Arc::from("t"), broker: Arc::from("b"), queue_id: number };
    QueueAddress { queue, address: Rc::from("127.0.0.1:1") }
}

fn message(queue_offset: i64, properties: String) -> Message {
    let (body, properties) = (Bytes::from_static(b"body"), Bytes::from(properties));
    Message { queue_offset, body, properties, ..Message::default() }
}

/// An answer that brings these messages.
fn answer(messages: &[Message]) -> PulledMessages {
    let mut body = BytesMut::new();
    for message in messages {
        let parts = MessageParts {
            queue_offset: message.queue_offset,
            store_ms: message.store_ms,
            body: &message.body,
            topic: b"t",
            properties: &message.properties,
            ..MessageParts::default()
        };
        put_message(&mut body, &parts);
    }
    PulledMessages::read(body.freeze(), messages.len(), |_, _| true).unwrap()
}

fn context(number: u8) -> String {
    format!("00-{:032x}-{:016x}-01", u128::from(number), u64::from(number))
}

/// Polls a batch of so many records.
fn poll(steps: &Steps, records: u64, from: Sequence) {
    steps.enter(Step::Poll, Manner::Busy);
    steps.polled(records, true);
    steps.traces().handing_on(from, records * 4, &[], &Arc::from("t"));
}

/// What a span tells, if it does.
fn attribute<'s>(span: &'s BatchSpan, name: &str) -> Option<&'s SpanValue> {
    span.attributes.iter().find(|(known, _)| *known == name).map(|(_, value)| value)
}

/// All spans by their names; checks that those of a batch are its children and lie within it.
fn taken(tracer: &Tracer) -> Vec<(&'static str, Option<String>)> {
    let spans = tracer.take().0;
    let roots: Vec<_> = spans.iter().filter(|span| span.parent_id.is_none()).collect();
    for span in &spans {
        assert!(span.begin_unix_nanos > 0 && span.begin_unix_nanos <= span.end_unix_nanos, "{span:?}");
        let root = roots.iter().find(|root| root.place.trace_id == span.place.trace_id);
        if let (Some(root), Some(parent)) = (root, span.parent_id) {
            assert_eq!(parent, root.place.span_id);
            assert!(root.begin_unix_nanos <= span.begin_unix_nanos, "{span:?} {root:?}");
            assert!(root.end_unix_nanos >= span.end_unix_nanos, "{span:?} {root:?}");
        }
    }
    spans.into_iter().map(|span| (span.name, span.error)).collect()
}

fn names(told: &[(&'static str, Option<String>)]) -> Vec<&'static str> {
    told.iter().map(|(name, _)| *name).collect()
}

#[test]
fn a_source_batch_has_its_steps_and_its_requests() {
    let (tracer, steps) = task(Way::Source);
    poll(&steps, 6, 10);
    steps.work();
    let mut first = steps.traces().sending(std::slice::from_ref(&(8..13)), &queue(0)).unwrap();
    steps.worked(6, true);
    steps.traces().handed_on(16);
    let second = steps.traces().sending(std::slice::from_ref(&(13..16)), &queue(1)).unwrap();
    assert!(steps.traces().sending(&[0..10, 16..20], &queue(1)).is_none(), "nothing of it is traced");
    first.attempt(&queue(0));
    first.failed("busy");
    first.attempt(&queue(3));
    first.stored(5, 20);
    second.stored(3, 12);
    steps.traces().committed(15, Instant::now(), Ok(5));
    assert_eq!(
        names(&taken(&tracer)),
        ["poll", "transform", "convert", "send", "send"],
        "the commit does not cover it"
    );
    steps.traces().committed(16, Instant::now(), Err("disk full"));
    steps.traces().committed(16, Instant::now(), Ok(6));
    let told = taken(&tracer);
    assert_eq!(names(&told), ["commit", "commit", "source batch"]);
    assert_eq!((told[0].1.as_deref(), &told[2].1), (Some("disk full"), &None));
    steps.traces().committed(20, Instant::now(), Ok(4));
    assert!(taken(&tracer).is_empty());
}

#[test]
fn a_request_tells_its_queue_its_tries_and_other_batches() {
    let (tracer, steps) = task(Way::Source);
    for from in [0, 2] {
        poll(&steps, 2, from);
        steps.traces().handed_on(from + 2);
    }
    let mut send = steps.traces().sending(std::slice::from_ref(&(0..4)), &queue(0)).unwrap();
    send.attempt(&queue(0));
    send.failed("busy");
    send.attempt(&queue(3));
    send.stored(4, 16);
    drop(steps.traces().sending(std::slice::from_ref(&(3..4)), &queue(0)));
    steps.traces().end(Some("no more"));
    let spans = tracer.take().0;
    let root_of = |at: usize| spans.iter().filter(|span| span.name == "source batch").nth(at).unwrap();
    let sends: Vec<_> = spans.iter().filter(|span| span.name == "send").collect();
    assert_eq!(sends[0].parent_id, Some(root_of(0).place.span_id));
    assert_eq!((sends[0].links.as_slice(), sends[0].kind), ([root_of(1).place].as_slice(), SpanKind::Producer));
    for (name, value) in [
        ("rmqc.retries", SpanValue::Whole(1)),
        ("rmqc.retry_cause", "busy".into()),
        ("rmqc.queue", SpanValue::Whole(3)),
        ("rmqc.broker", "b".into()),
        ("rmqc.records", SpanValue::Whole(4)),
    ] {
        assert_eq!(attribute(sends[0], name), Some(&value));
    }
    assert!(sends[1].error.as_deref().unwrap().contains("before the broker confirmed"));
    for (name, value) in [
        ("rmqc.shard", SpanValue::Whole(1)),
        ("rmqc.records", SpanValue::Whole(2)),
        ("rmqc.bytes", SpanValue::Whole(8)),
        ("messaging.destination.name", "t".into()),
    ] {
        assert_eq!(attribute(root_of(0), name), Some(&value));
    }
    assert_eq!((root_of(0).task.clone(), root_of(0).error.as_deref()), (TaskId::new("lines", 2), Some("no more")));
}

/// Pulls a batch of these messages and converts it.
fn pull(steps: &Steps, messages: &[Message]) {
    steps.enter(Step::Pull, Manner::Busy);
    steps.work();
    let now = Instant::now();
    steps.traces().pulled(&queue(7), &answer(messages), Some((now - Duration::from_secs(3), now)));
    steps.pause_work();
    if !messages.is_empty() {
        steps.ran(Step::Pull, messages.len() as u64);
        steps.worked(messages.len() as u64, false);
    }
}

fn call(steps: &Steps, step: Step) {
    steps.enter(step, Manner::Busy);
    steps.leave();
}

#[test]
fn a_sink_batch_has_its_failed_puts_and_waits_for_its_commit() {
    let (tracer, steps) = task(Way::Sink);
    pull(&steps, &[message(40, String::new()), message(41, String::new())]);
    call(&steps, Step::Put);
    steps.traces().failed(&ConnectError::later(Stage::Put, "the target is away"));
    let waiting = steps.interrupt(Step::Put, Manner::Blocked);
    drop(waiting);
    call(&steps, Step::Put);
    steps.ran(Step::Put, 2);
    call(&steps, Step::Flush);
    steps.traces().failed(&ConnectError::later(Stage::Put, "no space"));
    call(&steps, Step::Flush);
    steps.ran(Step::Flush, 2);
    // Another batch is pulled before the commit: it is not covered.
    pull(&steps, &[message(42, String::new())]);
    call(&steps, Step::Commit);
    steps.ran(Step::Commit, 2);
    let told = taken(&tracer);
    let all = ["pull", "convert", "put", "put", "flush", "flush", "pull", "convert", "commit", "sink batch"];
    assert_eq!(names(&told), all);
    let errors: Vec<_> = told.iter().filter_map(|(name, error)| Some((*name, error.as_deref()?))).collect();
    assert_eq!(errors, [("put", "the target is away"), ("flush", "no space")]);
    steps.traces().given_back();
    let told = taken(&tracer);
    assert_eq!(names(&told), ["sink batch"]);
    assert!(told[0].1.as_deref().unwrap().contains("given back"));
}

#[test]
fn a_flush_beside_the_puts_covers_what_waited_when_it_began() {
    let (tracer, steps) = task(Way::Sink);
    let put = |offset| {
        pull(&steps, &[message(offset, String::new())]);
        call(&steps, Step::Put);
        steps.ran(Step::Put, 1);
    };
    put(40);
    steps.traces().flush_begins();
    let begin = Instant::now();
    put(41);
    steps.traces().flushed(begin, 1, Ok(()));
    call(&steps, Step::Commit);
    steps.ran(Step::Commit, 1);
    let told = taken(&tracer);
    let each = ["pull", "convert", "put"];
    assert_eq!(names(&told), [&each[..], &each, &["flush", "commit", "sink batch"]].concat());
    // It fails: the one after it covers the next batch too, whatever began when.
    steps.traces().flush_begins();
    put(42);
    steps.traces().flushed(begin, 1, Err(&ConnectError::later(Stage::Put, "no space")));
    for step in [Step::Flush, Step::Commit] {
        call(&steps, step);
        steps.ran(step, 2);
    }
    let told = taken(&tracer);
    let both = ["flush", "flush", "flush", "commit", "commit", "sink batch", "sink batch"];
    assert_eq!(names(&told), [&each[..], &both].concat());
    let errors: Vec<_> = told.iter().filter_map(|(name, error)| Some((*name, error.as_deref()?))).collect();
    assert_eq!(errors, [("flush", "no space")]);
}

#[test]
fn a_sink_batch_is_linked_to_what_its_messages_name() {
    let (tracer, steps) = task(Way::Sink);
    let mut messages = vec![message(0, "traceparent\u{1}00-nonsense\u{2}".to_owned())];
    for number in 1..=20u8 {
        let name = if number % 2 == 0 { "traceparent" } else { "connect-ext-traceparent" };
        messages.push(message(i64::from(number), format!("A\u{1}b\u{2}{name}\u{1}{}\u{2}", context(number))));
        messages.push(message(i64::from(number), format!("traceparent\u{1}{}\u{2}", context(1))));
    }
    pull(&steps, &messages);
    steps.traces().end(None);
    let spans = tracer.take().0;
    let root = spans.iter().find(|span| span.name == "sink batch").unwrap();
    let linked: Vec<u8> = root.links.iter().map(|place| place.span_id[7]).collect();
    assert_eq!(linked, (1..=8).collect::<Vec<_>>());
    assert_eq!(root.links[0].trace_id[15], 1);
    let pull = spans.iter().find(|span| span.name == "pull").unwrap();
    assert_eq!((pull.kind, pull.end_unix_nanos - pull.begin_unix_nanos), (SpanKind::Client, 3_000_000_000));
    for (name, value) in [("rmqc.queue", 7), ("rmqc.first_offset", 0), ("rmqc.last_offset", 20), ("rmqc.records", 41)] {
        assert_eq!(attribute(pull, name), Some(&SpanValue::Whole(value)));
    }
}

#[test]
fn a_pull_that_the_broker_kept_waiting_begins_with_its_first_message() {
    let (tracer, steps) = task(Way::Sink);
    let mut one = message(0, String::new());
    one.store_ms = crate::host::unix_ms() - 1_000;
    pull(&steps, std::slice::from_ref(&one));
    let spans = tracer.take().0;
    assert_eq!((spans[0].name, spans[0].begin_unix_nanos), ("pull", one.store_ms as u64 * 1_000_000));
}

#[test]
fn a_direct_batch_goes_from_poll_to_commit() {
    let (tracer, steps) = task(Way::Direct);
    let record = ConnectRecord {
        extensions: Extensions::Pairs(Box::new(vec![("traceparent".into(), context(5).into())])),
        topic: Some(Arc::from("own")),
        ..ConnectRecord::default()
    };
    steps.enter(Step::Poll, Manner::Busy);
    steps.polled(1, false);
    steps.traces().handing_on(0, 4, std::slice::from_ref(&record), &Arc::from("t"));
    call(&steps, Step::Transform);
    call(&steps, Step::Transform);
    steps.traces().record_failed(&ConnectError::bad_record(Stage::Transform, "no such field"), false);
    steps.ran(Step::Transform, 1);
    call(&steps, Step::Put);
    steps.ran(Step::Put, 1);
    steps.traces().handed_on(1);
    call(&steps, Step::Flush);
    steps.ran(Step::Flush, 1);
    steps.traces().committed(1, Instant::now(), Ok(1));
    let spans = tracer.take().0;
    let told: Vec<_> = spans.iter().map(|span| (span.name, span.error.as_deref())).collect();
    let chain = ("transform", Some("no such field"));
    let all = [("poll", None), chain, ("put", None), ("flush", None), ("commit", None), ("direct batch", None)];
    assert_eq!(told, all);
    assert_eq!(spans[5].links.len(), 1);
    assert_eq!(attribute(&spans[5], "rmqc.failed_records"), Some(&SpanValue::Whole(1)));
    assert_eq!(attribute(&spans[5], "rmqc.failed_record_cause"), Some(&"no such field".into()));
    assert_eq!(attribute(&spans[5], "messaging.destination.name"), Some(&"own".into()));
}

#[test]
fn a_record_that_stops_the_task_is_the_batchs_error() {
    let (tracer, steps) = task(Way::Source);
    poll(&steps, 3, 0);
    steps.traces().record_failed(&ConnectError::bad_record(Stage::Convert, "not JSON"), true);
    steps.work();
    steps.worked(1, false);
    // Nothing of it was handed on, so no commit will cover it.
    steps.traces().handed_on(0);
    let told = taken(&tracer);
    assert_eq!(names(&told), ["poll", "convert", "source batch"]);
    assert_eq!(told[1].1.as_deref(), Some("not JSON"));
    assert_eq!(told[2].1.as_deref(), Some("not JSON"));
}

#[test]
fn a_batch_that_is_tried_again_and_again_keeps_a_bounded_number_of_spans() {
    let (tracer, steps) = task(Way::Sink);
    pull(&steps, &[message(0, String::new())]);
    for _ in 0..1000 {
        call(&steps, Step::Put);
        steps.traces().failed(&ConnectError::later(Stage::Put, "x".repeat(5_000)));
    }
    steps.traces().end(None);
    let spans = tracer.take().0;
    assert_eq!(spans.len(), SPANS_MAX as usize + 1);
    assert!(spans.iter().all(|span| span.error.as_ref().is_none_or(|error| error.chars().count() <= ERROR_CHARS_MAX)));
    let root = spans.last().unwrap();
    assert_eq!(attribute(root, "rmqc.failed_calls"), Some(&SpanValue::Whole(1000)));
    assert_eq!(attribute(root, "rmqc.spans_left_out"), Some(&SpanValue::Whole(1000 + 2 - u64::from(SPANS_MAX))));
}

#[test]
fn a_queue_that_only_moved_on_makes_no_trace() {
    let (tracer, steps) = task(Way::Sink);
    pull(&steps, &[]);
    steps.ran(Step::Put, 0);
    call(&steps, Step::Commit);
    steps.ran(Step::Commit, 0);
    assert!(tracer.take().0.is_empty());
}

#[test]
fn nothing_is_traced_when_tracing_is_off() {
    let steps = Steps::new(OF_SINK, Rc::default(), Rc::default());
    assert!(!steps.traces().is_on() && steps.traces().now().is_none());
    pull(&steps, &[message(0, String::new())]);
    call(&steps, Step::Put);
    steps.ran(Step::Put, 1);
    steps.traces().end(None);
    assert!(steps.traces().tracer.take().0.is_empty() && steps.traces().batches.borrow().is_empty());
}
