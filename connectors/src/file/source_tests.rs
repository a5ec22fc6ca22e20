//! The file source against the real file system, short reads, faults and dropped polls.

use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use proptest::prelude::*;
use rmqc_core::connector::SourceTask;
use rmqc_core::error::Retry;
use rmqc_core::limits::FILE_BLOCK_BYTES;
use rmqc_core::position::{RecordOffset, RecordPartition, Scalar, StoredPosition};
use rmqc_core::record::{ConnectRecord, RecordBatch};
use rmqc_core::value::Value;

use super::{FileSource, FileSourceConfig};
use crate::testing::{Call, Random, TempDir, TestHost, context, poll_for, properties, run, text};

/// Polls of a future that has nothing left to do but wait.
const PATIENCE: usize = 10_000;

fn source(host: &Rc<TestHost>, config: &[(&str, &str)], stored: Vec<StoredPosition>) -> FileSource {
    let context = context(host, config, stored);
    let mut source = FileSource::new(FileSourceConfig::parse(&context.config).unwrap(), &context).unwrap();
    run(source.start()).unwrap();
    source
}

fn stored(name: &str, position: Scalar) -> Vec<StoredPosition> {
    let partition = RecordPartition::single("filename", name);
    vec![StoredPosition { partition, offset: [("nextPosition".to_owned(), position)].into() }]
}

fn at(name: &str, position: u64) -> Vec<StoredPosition> {
    stored(name, Scalar::Text(position.to_string()))
}

fn batch() -> RecordBatch {
    RecordBatch::new(65_536, usize::MAX)
}

fn line(record: &ConnectRecord) -> Vec<u8> {
    match &record.value {
        Value::String(text) => text.as_bytes().to_vec(),
        other => panic!("{} is not a line", other.kind()),
    }
}

fn position(record: &ConnectRecord) -> u64 {
    match record.position.as_ref().unwrap().offset {
        RecordOffset::Counter { field: "nextPosition", value } => value,
        ref other => panic!("{other:?}"),
    }
}

/// Everything that can be had without another change: lines and positions.
fn read_all(source: &mut FileSource) -> Vec<(Vec<u8>, u64)> {
    let mut all = Vec::new();
    loop {
        let mut batch = batch();
        let result = poll_for(PATIENCE, source.poll(&mut batch));
        all.extend(batch.records().iter().map(|record| (line(record), position(record))));
        match result {
            Some(result) => result.unwrap(),
            None => return all,
        }
    }
}

fn lines(source: &mut FileSource) -> Vec<String> {
    read_all(source).into_iter().map(|(line, _)| String::from_utf8(line).unwrap()).collect()
}

fn append(path: &Path, content: &[u8]) {
    fs::OpenOptions::new().append(true).create(true).open(path).unwrap().write_all(content).unwrap();
}

/// The lines of some bytes, byte by byte, and where each ends.
fn naive_lines(bytes: &[u8]) -> Vec<(Vec<u8>, u64)> {
    let (mut all, mut line, mut at) = (Vec::new(), Vec::new(), 0);
    while at < bytes.len() {
        let terminator = match &bytes[at..] {
            [b'\r', b'\n', ..] => 2,
            [b'\n', ..] | [b'\r', _, ..] => 1,
            [b'\r'] => break,
            _ => 0,
        };
        if terminator == 0 {
            line.push(bytes[at]);
            at += 1;
        } else {
            at += terminator;
            all.push((std::mem::take(&mut line), at as u64));
        }
    }
    all
}

#[test]
fn a_record_carries_what_the_java_connector_gives_it() {
    let (dir, host) = (TempDir::new(), TestHost::new());
    let path = dir.path("in.txt");
    fs::write(&path, "Hello\n\nmehr Text: äöü 文件\n".as_bytes()).unwrap();
    host.advance(Duration::from_millis(77));
    let mut source = source(&host, &[("filename", text(&path)), ("topic", "lines")], vec![]);
    let mut batch = batch();
    run(source.poll(&mut batch)).unwrap();
    let record = &batch.records()[2];
    assert_eq!(line(record), "mehr Text: äöü 文件".as_bytes());
    assert_eq!((record.timestamp_ms, record.topic.as_deref()), (Some(77), Some("lines")));
    assert_eq!((&record.key, record.extensions.get("topic").unwrap().to_str().as_ref()), (&Value::Null, "lines"));
    let schema = record.schema.as_ref().unwrap();
    assert_eq!((schema.name.as_deref(), schema.optional), (Some(format!("{}_line", text(&path)).as_str()), false));
    let place = record.position.as_ref().unwrap();
    assert_eq!(*place.partition, RecordPartition::single("filename", text(&path)));
    assert_eq!(place.offset.to_map()["nextPosition"], Scalar::Text("32".to_owned()));
    assert_eq!(line(&batch.records()[1]), b"", "an empty line is a record");
    assert_eq!(batch.bytes(), "Hellomehr Text: äöü 文件".len());
}

#[test]
fn without_the_key_topic_records_name_none() {
    let (dir, host) = (TempDir::new(), TestHost::new());
    fs::write(dir.path("f"), "x\n").unwrap();
    let mut source = source(&host, &[("filename", text(&dir.path("f"))), ("topic", " ")], vec![]);
    let mut batch = batch();
    run(source.poll(&mut batch)).unwrap();
    assert!(batch.records()[0].topic.is_none() && batch.records()[0].extensions.is_empty());
}

#[test]
fn batch_size_bounds_a_poll_and_nothing_gets_stuck() {
    let (dir, host) = (TempDir::new(), TestHost::new());
    let path = dir.path("f");
    fs::write(&path, "line\n".repeat(2005)).unwrap();
    let mut source = source(&host, &[("filename", text(&path)), ("batch.size", "1000")], vec![]);
    let mut sizes = Vec::new();
    for _ in 0..3 {
        let mut batch = batch();
        run(source.poll(&mut batch)).unwrap();
        sizes.push(batch.len());
    }
    assert_eq!(sizes, [1000, 1000, 5]);
    let mut narrow = RecordBatch::new(3, usize::MAX);
    append(&path, b"a\nb\nc\nd\n");
    host.touch();
    run(source.poll(&mut narrow)).unwrap();
    assert_eq!(narrow.len(), 3);
    run(source.poll(&mut narrow)).unwrap();
    assert_eq!(narrow.len(), 3, "a full batch takes nothing");
    assert_eq!(lines(&mut source), ["d"]);
}

#[test]
fn an_empty_and_a_missing_file_are_waited_for() {
    let (dir, host) = (TempDir::new(), TestHost::new());
    let path = dir.path("f");
    let mut source = source(&host, &[("filename", text(&path)), ("start.at", "end")], vec![]);
    assert!(lines(&mut source).is_empty());
    fs::write(&path, "").unwrap();
    host.touch();
    assert!(lines(&mut source).is_empty());
    append(&path, b"first\n");
    assert!(lines(&mut source).is_empty(), "nobody told of a change");
    host.touch();
    assert_eq!(lines(&mut source), ["first"]);
}

#[test]
fn a_file_whose_directory_is_missing_is_looked_for_every_second() {
    let (dir, host) = (TempDir::new(), TestHost::new());
    let path = dir.path("sub").join("f");
    let mut source = source(&host, &[("filename", text(&path))], vec![]);
    let mut batch = batch();
    let mut poll = Box::pin(source.poll(&mut batch));
    assert!(poll_for(100, poll.as_mut()).is_none());
    fs::create_dir(dir.path("sub")).unwrap();
    fs::write(&path, "x\n").unwrap();
    host.advance(Duration::from_secs(1));
    poll_for(100, poll.as_mut()).unwrap().unwrap();
    drop(poll);
    assert_eq!(batch.len(), 1);
}

#[test]
fn an_unterminated_line_is_held_until_it_ends() {
    let (dir, host) = (TempDir::new(), TestHost::new());
    let path = dir.path("f");
    let mut source = source(&host, &[("filename", text(&path))], vec![]);
    for (added, expected) in [
        ("a\nb", vec!["a"]),
        ("c", vec![]),
        ("\r", vec![]),
        ("\nd\r", vec!["bc"]),
        ("e\r", vec!["d"]),
        ("\r", vec!["e"]),
        ("\n", vec![""]),
    ] {
        append(&path, added.as_bytes());
        host.touch();
        assert_eq!(lines(&mut source), expected, "after {added:?}");
    }
}

#[test]
fn an_unterminated_line_is_delivered_once_it_rests() {
    let (dir, host) = (TempDir::new(), TestHost::new());
    let path = dir.path("f");
    let config = [("filename", text(&path)), ("unterminated.line", "deliver"), ("unterminated.line.timeout.ms", "100")];
    let mut source = source(&host, &config, vec![]);
    let after = |source: &mut FileSource, ms| {
        host.advance(Duration::from_millis(ms));
        lines(source)
    };
    append(&path, b"ab");
    host.touch();
    assert!(after(&mut source, 0).is_empty());
    assert!(after(&mut source, 99).is_empty());
    append(&path, b"c");
    host.touch();
    assert!(after(&mut source, 1).is_empty(), "it grew");
    assert_eq!(after(&mut source, 100), ["abc"]);
    append(&path, b"\n");
    host.touch();
    assert!(after(&mut source, 500).is_empty(), "the line end belongs to the line delivered before");
    append(&path, b"d\r");
    host.touch();
    assert!(after(&mut source, 0).is_empty());
    assert_eq!(after(&mut source, 100), ["d"]);
    append(&path, b"\ne\n");
    host.touch();
    assert_eq!(after(&mut source, 0), ["e"]);
}

#[test]
fn start_at_end_takes_only_what_is_added_and_a_position_goes_before_it() {
    let (dir, host) = (TempDir::new(), TestHost::new());
    let path = dir.path("f");
    fs::write(&path, "old\nolder\n").unwrap();
    let config = [("filename", text(&path)), ("start.at", "end")];
    let mut fresh = source(&host, &config, vec![]);
    let mut resumed = source(&host, &config, at(text(&path), 4));
    append(&path, b"new\n");
    assert_eq!(lines(&mut fresh), ["new"]);
    assert_eq!(lines(&mut resumed), ["older", "new"]);
}

#[test]
fn positions_of_other_runtimes_are_understood_or_refused() {
    let (dir, host) = (TempDir::new(), TestHost::new());
    let path = dir.path("f");
    fs::write(&path, "a\r\nb\nc\n").unwrap();
    let config = [("filename", text(&path))];
    for (position, expected) in [
        (Scalar::Integer(3), vec!["b", "c"]),
        (Scalar::Text("2".to_owned()), vec!["b", "c"]),
        (Scalar::Text("1".to_owned()), vec!["b", "c"]),
        (Scalar::Null, vec!["a", "b", "c"]),
    ] {
        assert_eq!(lines(&mut source(&host, &config, stored(text(&path), position))), expected);
    }
    let context = context(&host, &config, stored(text(&path), Scalar::Text("-3".to_owned())));
    let error = FileSource::new(FileSourceConfig::parse(&properties(&config)).unwrap(), &context).err().unwrap();
    assert!(error.retry() == Retry::Fatal && error.to_string().contains(text(&path)), "{error}");
}

#[test]
fn a_cut_file_is_read_from_its_beginning() {
    let (dir, host) = (TempDir::new(), TestHost::new());
    let path = dir.path("f");
    fs::write(&path, "one\ntwo\nthr").unwrap();
    let mut source = source(&host, &[("filename", text(&path))], vec![]);
    assert_eq!(lines(&mut source), ["one", "two"]);
    fs::write(&path, "1\n").unwrap();
    host.touch();
    assert_eq!(read_all(&mut source), [(b"1".to_vec(), 2)]);
    fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(0).unwrap();
    host.touch();
    assert!(lines(&mut source).is_empty());
    append(&path, b"2\n");
    host.touch();
    assert_eq!(lines(&mut source), ["2"]);
}

#[test]
fn a_file_shorter_than_the_committed_position_is_a_new_one() {
    let (dir, host) = (TempDir::new(), TestHost::new());
    fs::write(dir.path("f"), "a\nb\n").unwrap();
    let path = dir.path("f");
    let config = [("filename", text(&path))];
    assert_eq!(lines(&mut source(&host, &config, at(text(&path), 5))), ["a", "b"]);
}

#[test]
fn a_replaced_file_is_finished_before_the_new_one() {
    let (dir, host) = (TempDir::new(), TestHost::new());
    let (path, old) = (dir.path("f"), dir.path("f.1"));
    fs::write(&path, "a\n").unwrap();
    let mut source = source(&host, &[("filename", text(&path))], vec![]);
    assert_eq!(lines(&mut source), ["a"]);
    fs::rename(&path, &old).unwrap();
    append(&old, b"b\n");
    host.touch();
    assert_eq!(lines(&mut source), ["b"], "no new file yet");
    fs::write(&path, "").unwrap();
    append(&old, b"c\n");
    host.touch();
    assert_eq!(lines(&mut source), ["c"], "the new file is still empty");
    append(&old, b"d\nlast");
    append(&path, b"A\nB\n");
    host.touch();
    assert_eq!(lines(&mut source), ["d", "last", "A", "B"]);
    fs::remove_file(&path).unwrap();
    fs::write(&path, "again\n").unwrap();
    host.touch();
    assert_eq!(read_all(&mut source), [(b"again".to_vec(), 6)]);
}

#[test]
fn what_is_written_right_before_a_file_is_replaced_is_not_missed() {
    let (dir, host) = (TempDir::new(), TestHost::new());
    let (path, old) = (dir.path("f"), dir.path("f.1"));
    fs::write(&path, "a\n").unwrap();
    let mut source = source(&host, &[("filename", text(&path))], vec![]);
    // The end of the old file was just seen; then its writer adds a line and goes over to the new one.
    let (from, to) = (path.clone(), old);
    host.before_status(move || {
        append(&from, b"b\n");
        fs::rename(&from, to).unwrap();
        fs::write(&from, "c\n").unwrap();
    });
    assert_eq!(lines(&mut source), ["a", "b", "c"]);
}

#[test]
fn a_file_cut_within_its_unterminated_line_keeps_no_bytes_that_are_gone() {
    let (dir, host) = (TempDir::new(), TestHost::new());
    let path = dir.path("f");
    fs::write(&path, "a\nlonger").unwrap();
    let mut source = source(&host, &[("filename", text(&path))], vec![]);
    assert_eq!(lines(&mut source), ["a"]);
    fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(4).unwrap();
    host.touch();
    assert!(lines(&mut source).is_empty());
    append(&path, b"st and found\n");
    host.touch();
    assert_eq!(lines(&mut source), ["lost and found"]);
}

#[test]
fn a_line_longer_than_a_block_is_whole_and_one_longer_than_allowed_is_named() {
    let (dir, host) = (TempDir::new(), TestHost::new());
    let path = dir.path("f");
    let long = "x".repeat(3 * FILE_BLOCK_BYTES + 17);
    fs::write(&path, format!("a\n{long}\r\nb\n")).unwrap();
    let config = |max: usize| [("filename", text(&path).to_owned()), ("line.bytes.max", max.to_string())];
    let open = |max: usize| {
        let config = config(max);
        let config: Vec<_> = config.iter().map(|(k, v)| (*k, v.as_str())).collect();
        source(&host, &config, vec![])
    };
    assert_eq!(lines(&mut open(long.len())), ["a", long.as_str(), "b"]);
    let mut strict = open(long.len() - 1);
    let mut batch = batch();
    run(strict.poll(&mut batch)).unwrap();
    assert_eq!(batch.len(), 1, "what stands before the long line is delivered");
    for _ in 0..2 {
        let error = run(strict.poll(&mut batch)).unwrap_err();
        assert_eq!(error.retry(), Retry::BadRecord);
        assert!(error.to_string().contains("at byte 2 ") && error.to_string().contains(text(&path)), "{error}");
    }
    assert_eq!(batch.len(), 1);
}

#[test]
fn a_long_line_that_grows_is_not_read_again_and_again() {
    let (dir, host) = (TempDir::new(), TestHost::new());
    let path = dir.path("f");
    let mut source = source(&host, &[("filename", text(&path))], vec![]);
    let piece = "y".repeat(1000);
    for _ in 0..1000 {
        append(&path, piece.as_bytes());
        host.touch();
        assert!(lines(&mut source).is_empty());
    }
    append(&path, b"\n");
    host.touch();
    assert_eq!(lines(&mut source), [piece.repeat(1000)]);
    assert!(host.count(Call::Read) <= 1100, "{} reads", host.count(Call::Read));
}

#[test]
fn errors_reach_the_runtime_and_lose_nothing() {
    let (dir, host) = (TempDir::new(), TestHost::new());
    let path = dir.path("f");
    let mut source = source(&host, &[("filename", text(&path))], vec![]);
    fs::write(&path, "a\nb\n").unwrap();
    for (call, kind) in [
        (Call::OpenRead, io::ErrorKind::PermissionDenied),
        (Call::Read, io::ErrorKind::WouldBlock),
        (Call::Read, io::ErrorKind::Other),
    ] {
        host.fail(call, kind);
        let mut batch = batch();
        let error = run(source.poll(&mut batch)).unwrap_err();
        assert!(batch.is_empty() && error.retry() == Retry::Later, "{error}");
        assert!(error.to_string().contains(text(&path)), "{error}");
    }
    assert_eq!(lines(&mut source), ["a", "b"]);
}

#[test]
fn trouble_with_one_file_does_not_hold_up_another() {
    let (dir, host) = (TempDir::new(), TestHost::new());
    let (a, b) = (dir.path("a"), dir.path("b"));
    let config = format!("{},{}", text(&a), text(&b));
    let mut source = source(&host, &[("filename", &config)], vec![]);
    fs::write(&a, "a\n").unwrap();
    fs::write(&b, "b\n").unwrap();
    host.fail(Call::Read, io::ErrorKind::Other);
    let mut all = lines(&mut source);
    all.sort();
    assert_eq!(all, ["a", "b"]);
}

#[test]
fn a_busy_file_does_not_starve_the_others() {
    let (dir, host) = (TempDir::new(), TestHost::new());
    let (a, b) = (dir.path("a"), dir.path("b"));
    fs::write(&a, "a\n".repeat(100)).unwrap();
    fs::write(&b, "b\n".repeat(10)).unwrap();
    let config = format!("{},{}", text(&a), text(&b));
    let mut source = source(&host, &[("filename", &config), ("batch.size", "10")], vec![]);
    let mut batch = batch();
    run(source.poll(&mut batch)).unwrap();
    run(source.poll(&mut batch)).unwrap();
    let partitions: Vec<_> = batch.records().iter().map(|r| r.position.as_ref().unwrap().partition.clone()).collect();
    assert_ne!(partitions[0], partitions[10]);
}

#[test]
fn what_can_never_be_followed_fails_at_the_start() {
    let (dir, host) = (TempDir::new(), TestHost::new());
    let config = properties(&[("filename", text(&dir.path("")))]);
    let context = context(&host, &[], vec![]);
    let mut source = FileSource::new(FileSourceConfig::parse(&config).unwrap(), &context).unwrap();
    let error = run(source.start()).unwrap_err();
    assert!(error.retry() == Retry::Fatal && error.to_string().contains("not a regular file"), "{error}");
}

/// Bytes in which terminators are frequent.
fn content() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![4 => Just(b'a'), 2 => Just(b'\n'), 2 => Just(b'\r'), 1 => Just(0xff), 1 => any::<u8>()];
    proptest::collection::vec(byte, 0..200)
}

proptest! {
    /// Whatever parts the bytes come in, and however short the reads are, the lines are the same.
    #[test]
    fn any_split_gives_the_same_lines(bytes in content(), seed: u64, parts in 1usize..20) {
        let (dir, host) = (TempDir::new(), TestHost::new());
        let path = dir.path("f");
        host.shorten_reads(seed);
        let random = Random::new(seed);
        let mut source = source(&host, &[("filename", text(&path))], vec![]);
        let mut all = Vec::new();
        let mut written = 0;
        for part in 0..parts {
            let to = if part + 1 == parts { bytes.len() } else { written + random.below(bytes.len() - written + 1) };
            append(&path, &bytes[written..to]);
            written = to;
            host.touch();
            all.extend(read_all(&mut source));
        }
        prop_assert_eq!(&all, &naive_lines(&bytes));
        let end = all.last().map_or(0, |(_, position)| *position as usize);
        prop_assert!(bytes[end..].iter().rev().skip(1).all(|byte| *byte != b'\n'), "only an unterminated line is left");
    }

    /// From each position that a record carries, exactly the rest comes.
    #[test]
    fn every_position_resumes_with_the_rest(bytes in content(), seed: u64) {
        let (dir, host) = (TempDir::new(), TestHost::new());
        let path = dir.path("f");
        fs::write(&path, &bytes).unwrap();
        host.shorten_reads(seed);
        let expected = naive_lines(&bytes);
        for (index, (_, position)) in expected.iter().enumerate() {
            let mut source = source(&host, &[("filename", text(&path))], at(text(&path), *position));
            prop_assert_eq!(&read_all(&mut source)[..], &expected[index + 1..]);
        }
    }

    /// Polls that are dropped at any await neither lose nor repeat a line, whatever fails meanwhile.
    #[test]
    fn dropped_polls_lose_nothing(bytes in content(), seed: u64, batch_size in 1usize..9, rotate: bool) {
        let (dir, host) = (TempDir::new(), TestHost::new());
        let path = dir.path("f");
        fs::write(&path, &bytes).unwrap();
        host.shorten_reads(seed);
        host.hesitate(true);
        let size = batch_size.to_string();
        let mut source = source(&host, &[("filename", text(&path)), ("batch.size", &size)], vec![]);
        let random = Random::new(seed);
        let mut all = Vec::new();
        let mut expected = naive_lines(&bytes);
        for round in 0..600 {
            if rotate && round == 200 {
                fs::rename(&path, dir.path("old")).unwrap();
                fs::write(&path, "x\n").unwrap();
                let end = expected.last().map_or(0, |(_, position)| *position as usize);
                let mut rest = bytes[end..].to_vec();
                if !rest.is_empty() {
                    if rest.last() == Some(&b'\r') { rest.pop(); }
                    expected.push((rest, bytes.len() as u64));
                }
                expected.push((b"x".to_vec(), 2));
                host.touch();
            }
            if random.below(10) == 0 {
                host.fail([Call::Read, Call::Status, Call::OpenRead][random.below(3)], io::ErrorKind::WouldBlock);
            }
            let mut batch = batch();
            let result = poll_for(1 + random.below(12), source.poll(&mut batch));
            if let Some(Err(error)) = &result {
                prop_assert!(batch.is_empty() && error.retry() == Retry::Later);
            }
            all.extend(batch.records().iter().map(|record| (line(record), position(record))));
        }
        all.extend(read_all_despite_faults(&mut source));
        prop_assert_eq!(all, expected);
    }
}

fn read_all_despite_faults(source: &mut FileSource) -> Vec<(Vec<u8>, u64)> {
    let mut all = Vec::new();
    loop {
        let mut batch = batch();
        let result = poll_for(PATIENCE, source.poll(&mut batch));
        all.extend(batch.records().iter().map(|record| (line(record), position(record))));
        if result.is_none() {
            return all;
        }
    }
}

#[test]
fn what_is_not_read_yet_is_told_after_each_poll() {
    let (host, dir) = (TestHost::new(), TempDir::new());
    let path = dir.path("in");
    fs::write(&path, "12345678\n".repeat(10) + "unfinished").unwrap();
    let context = context(&host, &[("filename", text(&path)), ("batch.size", "4")], vec![]);
    let backlog = context.backlog.clone();
    let mut source = FileSource::new(FileSourceConfig::parse(&context.config).unwrap(), &context).unwrap();
    run(source.start()).unwrap();
    let mut poll = || {
        let mut batch = batch();
        poll_for(PATIENCE, source.poll(&mut batch)).map(Result::unwrap);
        let waiting = backlog.get();
        assert_eq!(waiting.since_ms.is_some(), waiting.is_something(), "{waiting:?}");
        (batch.len(), waiting.bytes, waiting.records)
    };
    // The unfinished line is not told apart before it is looked at.
    assert_eq!(poll(), (4, Some(6 * 9 + 10), Some(8)));
    assert_eq!(poll(), (4, Some(2 * 9 + 10), Some(4)));
    assert_eq!(poll(), (2, Some(0), Some(0)));
    assert_eq!(poll(), (0, Some(0), Some(0)));
    append(&path, b" line\n12345678\n");
    host.touch();
    assert_eq!(poll(), (2, Some(0), Some(0)));
}
