//! File to topic to file, with the content compared byte by byte.

use std::fs::OpenOptions;
use std::io::Write;
use std::time::Duration;

use super::support::broker::RealBroker;
use super::support::worker::{Worker, file_sink, file_source, wait_bytes, wait_lines};
use super::support::{TempDir, lines, unique, wait_until};

const DEADLINE: Duration = Duration::from_secs(60);

/// One queue keeps the order, so the two files can be compared as they are.
#[test]
fn a_file_arrives_as_it_was() {
    let (broker, home) = (RealBroker::shared(), TempDir::new("file"));
    let (topic, source, sink) = (unique("file"), home.file("in.txt"), home.file("out.txt"));
    broker.create_topic(&topic, 1);
    let content = "plain\n\n  leading and trailing  \nümläut — 漢字 🦀\n\n\ttab\nquote \" and \\ backslash\nlast\n";
    std::fs::write(&source, content).unwrap();

    let mut worker = Worker::start(home.path(), broker.namesrv());
    worker.create("source", &file_source(&source, &topic));
    worker.create("sink", &file_sink(&sink, &topic));
    let got = wait_lines(&sink, content.matches('\n').count(), DEADLINE);
    assert_eq!(String::from_utf8(got).unwrap(), content);
    worker.stop();
    assert_eq!(std::fs::read_to_string(&sink).unwrap(), content, "the clean stop added or removed something");
}

/// Both line ends are taken off; the sink writes its own.
#[test]
fn windows_line_ends_are_taken_off() {
    let (broker, home) = (RealBroker::shared(), TempDir::new("crlf"));
    let (topic, source, sink) = (unique("crlf"), home.file("in.txt"), home.file("out.txt"));
    broker.create_topic(&topic, 1);
    std::fs::write(&source, "one\r\n\r\ntwo\nthree\r\n").unwrap();
    let worker = Worker::start(home.path(), broker.namesrv());
    worker.create("source", &file_source(&source, &topic));
    worker.create("sink", &file_sink(&sink, &topic));
    assert_eq!(wait_lines(&sink, 4, DEADLINE), b"one\n\ntwo\nthree\n");
}

/// A last line without terminator is not a record yet: it may be half written.
#[test]
fn an_unfinished_line_waits_for_its_end() {
    let (broker, home) = (RealBroker::shared(), TempDir::new("half"));
    let (topic, source, sink) = (unique("half"), home.file("in.txt"), home.file("out.txt"));
    broker.create_topic(&topic, 1);
    std::fs::write(&source, "whole\nhal").unwrap();
    let worker = Worker::start(home.path(), broker.namesrv());
    worker.create("source", &file_source(&source, &topic));
    worker.create("sink", &file_sink(&sink, &topic));
    assert_eq!(wait_lines(&sink, 1, DEADLINE), b"whole\n");
    OpenOptions::new().append(true).open(&source).unwrap().write_all(b"f\nnext\n").unwrap();
    assert_eq!(wait_lines(&sink, 3, DEADLINE), b"whole\nhalf\nnext\n");
    assert_eq!(broker.stored(&topic, 1), 3);
}

/// Four queues, thousands of lines, a clean stop in the middle and another at the end: nothing twice, nothing lost.
#[test]
fn a_clean_stop_repeats_nothing() {
    const LINES: u64 = 30_000;
    let (broker, home) = (RealBroker::shared(), TempDir::new("stop"));
    let (topic, source, sink) = (unique("stop"), home.file("in.txt"), home.file("out.txt"));
    broker.create_topic(&topic, 4);
    lines::append_lines(&source, 0..LINES / 2).unwrap();
    let (source_config, sink_config) = (file_source(&source, &topic), file_sink(&sink, &topic));

    let mut worker = Worker::start(home.path(), broker.namesrv());
    worker.create("source", &source_config);
    worker.create("sink", &sink_config);
    wait_bytes(&sink, 1, DEADLINE);
    worker.stop();

    lines::append_lines(&source, LINES / 2..LINES).unwrap();
    worker.start_again();
    worker.ensure("source", &source_config);
    worker.ensure("sink", &sink_config);
    wait_bytes(&sink, LINES * lines::LINE_BYTES as u64, DEADLINE);
    worker.stop();

    let tally = lines::tally(&sink, LINES).unwrap();
    assert_eq!((tally.lost, tally.duplicated, tally.foreign), (0, 0, 0), "{tally:?}");
    assert_eq!(broker.stored(&topic, 4), LINES as i64, "the source sent something twice");
    let group = "connect-sink";
    let committed: i64 = (0..4).map(|queue| broker.committed(group, &topic, queue).unwrap_or(0)).sum();
    assert_eq!(committed, LINES as i64, "a clean stop commits everything");
}

/// A paused source sends nothing, a resumed one goes on where it was.
#[test]
fn pause_and_resume() {
    let (broker, home) = (RealBroker::shared(), TempDir::new("pause"));
    let (topic, source) = (unique("pause"), home.file("in.txt"));
    broker.create_topic(&topic, 1);
    lines::append_lines(&source, 0..10).unwrap();
    let worker = Worker::start(home.path(), broker.namesrv());
    worker.create("source", &file_source(&source, &topic));
    wait_until("the first lines are stored", DEADLINE, || broker.stored(&topic, 1) == 10);
    worker.pause("source");
    worker.wait_state("source", "PAUSED");
    lines::append_lines(&source, 10..20).unwrap();
    worker.resume("source");
    worker.wait_state("source", "RUNNING");
    wait_until("the other lines are stored", DEADLINE, || broker.stored(&topic, 1) >= 20);
    worker.delete("source");
    assert_eq!(broker.stored(&topic, 1), 20);
}
