//! The file sink against the real file system, full disks, faults and dropped futures.

use std::fs;
use std::io;
use std::path::Path;
use std::rc::Rc;

use bytes::Bytes;
use proptest::prelude::*;
use rmqc_core::connector::SinkTask;
use rmqc_core::context::{ErrantRecords, TaskContext};
use rmqc_core::error::Retry;
use rmqc_core::record::ConnectRecord;
use rmqc_core::value::{Text, Value};

use super::{FileSink, FileSinkConfig};
use crate::testing::{Call, Random, TempDir, TestHost, context, poll_for, run, text};

fn build(host: &Rc<TestHost>, path: &Path, more: &[(&str, &str)]) -> FileSink {
    let mut config = vec![("filename", text(path))];
    config.extend(more);
    let context = context(host, &config, vec![]);
    FileSink::new(FileSinkConfig::parse(&context.config).unwrap(), &context).unwrap()
}

fn sink(host: &Rc<TestHost>, path: &Path, more: &[(&str, &str)]) -> FileSink {
    let mut sink = build(host, path, more);
    run(sink.start()).unwrap();
    sink
}

fn record(value: Value) -> ConnectRecord {
    ConnectRecord { value, ..ConnectRecord::default() }
}

fn records(lines: &[&str]) -> Vec<ConnectRecord> {
    lines.iter().map(|line| record(Value::String(Text::from(*line)))).collect()
}

fn content(path: &Path) -> String {
    String::from_utf8(fs::read(path).unwrap()).unwrap()
}

#[test]
fn values_are_written_byte_for_byte_or_by_their_text() {
    let (dir, host) = (TempDir::new(), TestHost::new());
    let path = dir.path("out");
    let mut sink = sink(&host, &path, &[]);
    let batch = [
        Value::String(Text::from("äöü 文件")),
        Value::Bytes(Bytes::from_static(b"\x00\xff\r")),
        Value::String(Text::from("")),
        Value::Int64(-5),
        Value::Boolean(true),
        Value::Float64(1e30),
        Value::Null,
    ];
    run(sink.put(&batch.map(record))).unwrap();
    let expected = b"\xc3\xa4\xc3\xb6\xc3\xbc \xe6\x96\x87\xe4\xbb\xb6\n\x00\xff\r\n\n-5\ntrue\n1.0E30\nnull\n";
    assert_eq!(fs::read(&path).unwrap(), expected);
}

#[test]
fn a_missing_value_is_skipped_or_refused_as_configured() {
    let (dir, host) = (TempDir::new(), TestHost::new());
    let path = dir.path("out");
    let batch = [record(Value::Int32(1)), record(Value::Null)];
    let mut skipping = sink(&host, &path, &[("null.value", "skip")]);
    run(skipping.put(&batch)).unwrap();
    run(skipping.put(&batch[1..])).unwrap();
    assert_eq!((content(&path).as_str(), host.count(Call::Append)), ("1\n", 1));
    let error = run(sink(&host, &path, &[("null.value", "fail")]).put(&batch)).unwrap_err();
    assert_eq!(error.retry(), Retry::BadRecord);
    assert_eq!(content(&path), "1\n1\n", "the records before the refused one are accepted");
}

#[test]
fn structured_values_become_java_text_or_json() {
    let json = rmqc_core::json::decode(Bytes::from_static(br#"{"a":1, "b":["x",null]}"#)).unwrap();
    for (format, line) in [("text", "{a=1, b=[x, null]}\n"), ("json", "{\"a\":1, \"b\":[\"x\",null]}\n")] {
        let (dir, host) = (TempDir::new(), TestHost::new());
        let path = dir.path("out");
        run(sink(&host, &path, &[("value.format", format)]).put(&[record(json.clone())])).unwrap();
        assert_eq!(content(&path), line);
    }
}

#[test]
fn bad_records_are_reported_one_by_one() {
    let (dir, host) = (TempDir::new(), TestHost::new());
    let path = dir.path("out");
    let config = [("filename", text(&path)), ("null.value", "fail")];
    let context = TaskContext { errant: Rc::new(ErrantRecords::new(true)), ..context(&host, &config, vec![]) };
    let mut sink = FileSink::new(FileSinkConfig::parse(&context.config).unwrap(), &context).unwrap();
    let batch = [Value::Null, Value::Int32(1), Value::Null, Value::Int32(2)].map(record);
    run(sink.put(&batch)).unwrap();
    assert_eq!(content(&path), "1\n2\n");
    assert_eq!(context.errant.take().iter().map(|(index, _)| *index).collect::<Vec<_>>(), [0, 2]);
    assert_eq!(context.errant.take_stop(), None);
}

#[test]
fn many_records_take_few_writes_and_keep_their_order() {
    let (dir, host) = (TempDir::new(), TestHost::new());
    let path = dir.path("out");
    let mut sink = sink(&host, &path, &[]);
    let lines: Vec<String> = (0..5000).map(|n| format!("line {n}")).collect();
    run(sink.put(&records(&lines.iter().map(String::as_str).collect::<Vec<_>>()))).unwrap();
    assert_eq!(content(&path), lines.join("\n") + "\n");
    assert_eq!(host.count(Call::Append), (2usize * 5000).div_ceil(1024));
}

/// Values of which each has its newline behind it in memory, and the block of which they are parts.
fn ended(lines: &[String]) -> (Vec<ConnectRecord>, Bytes) {
    let block = Bytes::from(lines.iter().map(|line| format!("{line}\n#")).collect::<String>());
    let mut at = 0;
    let value = |line: &String| {
        let value = block.slice(at..at + line.len());
        at += line.len() + 2;
        record(Value::Bytes(value))
    };
    (lines.iter().map(value).collect(), block)
}

#[test]
fn a_newline_that_stands_there_already_is_no_piece_of_its_own() {
    let (dir, host) = (TempDir::new(), TestHost::new());
    let path = dir.path("out");
    fs::write(&path, "half a line").unwrap();
    let context = context(&host, &[("filename", text(&path))], vec![]);
    let mut sink = FileSink::new(FileSinkConfig::parse(&context.config).unwrap(), &context).unwrap();
    run(sink.start()).unwrap();
    let lines: Vec<String> = (0..5000).map(|n| format!("line {n}")).collect();
    // Every hundredth lies elsewhere.
    let (mut batch, block) = ended(&lines);
    batch.iter_mut().zip(&lines).step_by(100).for_each(|(one, line)| *one = record(Value::text(line.as_str())));
    context.blocks.set([block].into_iter());
    run(sink.put(&batch)).unwrap();
    assert_eq!(content(&path), format!("half a line\n{}\n", lines.join("\n")));
    assert_eq!(host.count(Call::Append), (1usize + 5000 + 50).div_ceil(1023));
    assert!(context.blocks.take().is_empty(), "nothing is held any longer than the put");
    // The same without the block: what was told before counts no more.
    run(sink.put(&batch)).unwrap();
    let all = lines.join("\n");
    assert_eq!(content(&path), format!("half a line\n{all}\n{all}\n"));
}

#[test]
fn syncs_are_made_when_configured_and_only_when_something_was_written() {
    for (policy, expected) in [("never", 0), ("commit", 2), ("batch", 3)] {
        let (dir, host) = (TempDir::new(), TestHost::new());
        let mut sink = sink(&host, &dir.path("out"), &[("fsync", policy)]);
        run(sink.flush()).unwrap();
        run(sink.put(&records(&["a"]))).unwrap();
        run(sink.put(&records(&["b"]))).unwrap();
        run(sink.flush()).unwrap();
        run(sink.flush()).unwrap();
        run(sink.put(&records(&["c"]))).unwrap();
        run(sink.flush()).unwrap();
        assert_eq!(host.count(Call::Sync), expected, "{policy}");
    }
}

#[test]
fn a_full_disk_leaves_nothing_of_the_batch_and_the_same_batch_succeeds_later() {
    let (dir, host) = (TempDir::new(), TestHost::new());
    let path = dir.path("out");
    let mut sink = sink(&host, &path, &[]);
    run(sink.put(&records(&["kept"]))).unwrap();
    let lines: Vec<String> = (0..1000).map(|n| format!("line {n}")).collect();
    let batch = records(&lines.iter().map(String::as_str).collect::<Vec<_>>());
    for room in [0, 1, 3, 6000] {
        host.leave_room(Some(room));
        let error = run(sink.put(&batch)).unwrap_err();
        assert_eq!(error.retry(), Retry::Later);
        assert!(error.to_string().contains(text(&path)), "{error}");
        assert_eq!(content(&path), "kept\n");
    }
    host.leave_room(None);
    run(sink.put(&batch)).unwrap();
    run(sink.flush()).unwrap();
    assert_eq!(content(&path), format!("kept\n{}\n", lines.join("\n")));
}

#[test]
fn what_could_not_be_cut_at_once_is_cut_before_anything_else() {
    let (dir, host) = (TempDir::new(), TestHost::new());
    let path = dir.path("out");
    let mut sink = sink(&host, &path, &[]);
    run(sink.put(&records(&["kept"]))).unwrap();
    host.leave_room(Some(3));
    host.fail(Call::SetLen, io::ErrorKind::Other);
    assert_eq!(run(sink.put(&records(&["torn line"]))).unwrap_err().retry(), Retry::Later);
    assert_eq!(content(&path), "kept\ntor");
    host.fail(Call::SetLen, io::ErrorKind::Other);
    assert_eq!(run(sink.flush()).unwrap_err().retry(), Retry::Later, "no commit over a torn file");
    assert_eq!(host.count(Call::Sync), 0);
    host.leave_room(None);
    run(sink.put(&records(&["torn line"]))).unwrap();
    assert_eq!(content(&path), "kept\ntorn line\n");
}

#[test]
fn a_stop_cuts_what_is_torn() {
    let (dir, host) = (TempDir::new(), TestHost::new());
    let path = dir.path("out");
    let mut sink = sink(&host, &path, &[]);
    host.leave_room(Some(3));
    host.fail(Call::SetLen, io::ErrorKind::Other);
    run(sink.put(&records(&["torn line"]))).unwrap_err();
    run(sink.stop());
    assert_eq!(content(&path), "");
}

#[test]
fn lines_of_somebody_else_are_never_cut_away() {
    let (dir, host) = (TempDir::new(), TestHost::new());
    let path = dir.path("out");
    let mut sink = sink(&host, &path, &[]);
    host.leave_room(Some(1));
    host.fail(Call::SetLen, io::ErrorKind::Other);
    run(sink.put(&records(&["mine"]))).unwrap_err();
    let others = "somebody else's line\n";
    fs::write(&path, format!("m{others}")).unwrap();
    let error = run(sink.put(&records(&["mine"]))).unwrap_err();
    assert_eq!(error.retry(), Retry::Fatal);
    assert_eq!(content(&path), format!("m{others}"));
}

#[test]
fn a_failed_sync_is_never_followed_by_a_commit() {
    let (dir, host) = (TempDir::new(), TestHost::new());
    let mut sink = sink(&host, &dir.path("out"), &[]);
    run(sink.put(&records(&["a"]))).unwrap();
    host.fail(Call::Sync, io::ErrorKind::Other);
    assert_eq!(run(sink.flush()).unwrap_err().retry(), Retry::Fatal);
}

#[test]
fn half_a_line_of_the_sinks_own_is_cut_after_a_crash() {
    let (dir, host) = (TempDir::new(), TestHost::new());
    let path = dir.path("out");
    run(sink(&host, &path, &[]).put(&records(&["whole"]))).unwrap();
    let long = "x".repeat(rmqc_core::limits::FILE_BLOCK_BYTES + 7);
    for (torn, kept) in [("ha", "whole\n"), (long.as_str(), "whole\n")] {
        fs::write(&path, format!("{kept}{torn}")).unwrap();
        let mut again = sink(&host, &path, &[]);
        run(again.start()).unwrap();
        assert_eq!(content(&path), kept);
    }
    let mut again = sink(&host, &path, &[]);
    run(again.put(&records(&["half"]))).unwrap();
    assert_eq!(content(&path), "whole\nhalf\n");
}

#[test]
fn half_a_line_that_was_there_before_does_not_swallow_the_next_one() {
    let (dir, host) = (TempDir::new(), TestHost::new());
    let path = dir.path("out");
    fs::write(&path, "whole\nhal").unwrap();
    let mut sink = sink(&host, &path, &[]);
    host.leave_room(Some(2));
    run(sink.put(&records(&["half", "next"]))).unwrap_err();
    assert_eq!(content(&path), "whole\nhal");
    host.leave_room(None);
    run(sink.put(&records(&["half", "next"]))).unwrap();
    run(sink.put(&records(&["last"]))).unwrap();
    assert_eq!(content(&path), "whole\nhal\nhalf\nnext\nlast\n");
}

#[test]
fn a_moved_or_removed_file_is_followed_by_a_new_one() {
    let (dir, host) = (TempDir::new(), TestHost::new());
    let path = dir.path("out");
    let mut sink = sink(&host, &path, &[]);
    run(sink.put(&records(&["a"]))).unwrap();
    fs::rename(&path, dir.path("old")).unwrap();
    run(sink.put(&records(&["b"]))).unwrap();
    run(sink.flush()).unwrap();
    assert_eq!(host.count(Call::Sync), 1, "the old file is stored before it is left");
    run(sink.put(&records(&["c"]))).unwrap();
    run(sink.flush()).unwrap();
    fs::remove_file(&path).unwrap();
    run(sink.flush()).unwrap();
    assert!(!path.exists(), "a new file comes with the next record");
    run(sink.put(&records(&["d"]))).unwrap();
    assert_eq!((content(&dir.path("old")).as_str(), content(&path).as_str()), ("a\nb\n", "d\n"));
}

#[test]
fn what_can_never_be_written_fails_at_the_start_with_a_remedy() {
    let (dir, host) = (TempDir::new(), TestHost::new());
    let missing = dir.path("sub").join("out");
    let error = run(build(&host, &missing, &[]).start()).unwrap_err();
    assert!(error.retry() == Retry::Fatal && error.to_string().contains("create its directory"), "{error}");
    assert!(error.to_string().contains(text(&dir.path("sub"))), "{error}");
    let error = run(build(&host, &dir.path(""), &[]).start()).unwrap_err();
    assert!(error.retry() == Retry::Fatal && error.to_string().contains("directory"), "{error}");
}

proptest! {
    /// Batches that fail, are dropped halfway and come again are in the file exactly once, in order.
    #[test]
    fn failed_and_dropped_batches_are_written_once(sizes in proptest::collection::vec(1usize..700, 1..6), seed: u64) {
        let (dir, host) = (TempDir::new(), TestHost::new());
        let path = dir.path("out");
        host.hesitate(true);
        let mut sink = sink(&host, &path, &[]);
        let random = Random::new(seed);
        let mut expected = String::new();
        for (index, size) in sizes.iter().enumerate() {
            let lines: Vec<String> = (0..*size).map(|n| format!("{index}/{n}")).collect();
            let batch = records(&lines.iter().map(String::as_str).collect::<Vec<_>>());
            for _ in 0..random.below(6) {
                host.leave_room(Some(random.below(size * 3) as u64));
                if random.below(3) == 0 {
                    host.fail(Call::SetLen, io::ErrorKind::Other);
                }
                let result = poll_for(1 + random.below(4), sink.put(&batch));
                if let Some(result) = result {
                    prop_assert_eq!(result.unwrap_err().retry(), Retry::Later);
                }
            }
            host.leave_room(None);
            while run(sink.put(&batch)).is_err() {}
            expected.extend(lines.iter().map(|line| format!("{line}\n")));
            prop_assert_eq!(&content(&path), &expected);
        }
    }
}
