//! Files to a topic to a file: the same bytes come out, and nobody copies them more often than told.

use std::fs;
use std::path::Path;

use super::support::broker::TestBroker;
use super::support::plane::{Options, Plane};
use super::support::{TempDir, on_each_driver, wait_for};

fn lines(content: &[u8]) -> Vec<Vec<u8>> {
    let mut lines: Vec<Vec<u8>> = content.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
    assert_eq!(lines.pop(), Some(Vec::new()), "a last line end");
    lines.sort();
    lines
}

fn same_lines(input: &Path, output: &Path) {
    let (expected, found) = (lines(&fs::read(input).unwrap()), lines(&fs::read(output).unwrap()));
    assert_eq!(found.len(), expected.len());
    assert!(found == expected, "the lines differ");
}

struct Moved {
    copied_in: u64,
    copied_out: u64,
    moved: u64,
    payload: u64,
}

/// Moves a file's lines through a topic into another file.
fn move_file(driver: rmqc_io::settings::DriverWanted, content: &[u8]) -> Moved {
    let (dir, broker) = (TempDir::new(), TestBroker::start(driver));
    fs::write(dir.file("in"), content).unwrap();
    let plane: Plane = Options::new(driver, broker.address).start();
    let count = content.iter().filter(|byte| **byte == b'\n').count() as u64;
    let source = plane.run("in", "file-source", &[("filename", &dir.file("in")), ("connect.topicname", "lines")]);
    wait_for("the source", || (plane.counters(&source).records_committed == count).then_some(()));
    let copied_in = plane.counters(&source);
    assert_eq!((copied_in.records_in, copied_in.records_out), (count, count));
    plane.stop(&source);
    // The sink gets a shard's counters of its own, so that its part of the moved bytes is known.
    let before = plane.report(0).bytes_moved;
    let config = [
        ("filename", &*dir.file("out")),
        ("connect.topicnames", "lines"),
        ("consume.from.where", "CONSUME_FROM_FIRST_OFFSET"),
    ];
    let sink = plane.run("out", "file-sink", &config);
    wait_for("the sink", || (plane.counters(&sink).records_committed == count).then_some(()));
    let out = plane.counters(&sink);
    let moved = plane.report(0).bytes_moved - before;
    plane.stop(&sink);
    plane.shut_down();
    same_lines(Path::new(&dir.file("in")), Path::new(&dir.file("out")));
    let payload = content.len() as u64 - count;
    assert_eq!((out.bytes_in, out.bytes_out, copied_in.bytes_out), (payload, payload, payload));
    Moved { copied_in: copied_in.bytes_copied, copied_out: out.bytes_copied, moved, payload }
}

#[test]
fn small_bodies_are_copied_once_and_nothing_else_is() {
    on_each_driver(|driver| {
        let mut content = Vec::new();
        for n in 0..50_000 {
            content.extend_from_slice(format!("{n:0100}\n").as_bytes());
        }
        let moved = move_file(driver, &content);
        assert_eq!((moved.copied_in, moved.copied_out), (moved.payload, 0));
        // The first answers are larger than any frame before them and may straddle two buffers: at most one answer's worth
        // (1024 messages of 100 bytes and 200 more of head and properties) is moved in all, none later.
        assert!(moved.moved < 1024 * 300, "{} bytes moved of {}", moved.moved, moved.payload);
    });
}

#[test]
fn large_bodies_are_not_copied_at_all() {
    on_each_driver(|driver| {
        let mut content = Vec::new();
        for n in 0..2000 {
            content.extend_from_slice(format!("{n:08192}\n").as_bytes());
        }
        let moved = move_file(driver, &content);
        assert_eq!((moved.copied_in, moved.copied_out), (0, 0));
        // A frame larger than any before it may straddle two buffers once; then the reserve fits it.
        assert!(moved.moved < 4 * 1024 * 1024, "{} bytes moved of {}", moved.moved, moved.payload);
    });
}

#[test]
fn lines_of_every_kind_arrive_as_they_are() {
    on_each_driver(|driver| {
        let mut content: Vec<u8> = Vec::new();
        let mut line = |bytes: &[u8]| {
            content.extend_from_slice(bytes);
            content.push(b'\n');
        };
        for len in [1024 * 1024, 4_128_768, 4_000_000] {
            line(&vec![b'x'; len]);
        }
        for n in 0..300u32 {
            line(b"");
            line(b"y");
            line(format!("\u{fc}\u{df} \u{65e5}\u{672c}\u{8a9e} \u{1f600} {n}").as_bytes());
            line(&[0xff, 0xfe, 0x80, 0xc3, 0x28, 1, 2, 0, b'"', b'\\']);
        }
        let moved = move_file(driver, &content);
        assert_eq!(moved.copied_out, 0);
    });
}
