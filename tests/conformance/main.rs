//! Every registered connector sits the exam of `connectors/kit`; the table of connectors is compared with the folders.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod table;

use std::fmt::Write as _;

use rmqc_connectors as _;
use rmqc_fast::conformance::testing::TempDir;
use rmqc_fast::conformance::{Exam, check, check_all};

#[test]
fn all_definitions_pass() {
    check_all();
}

#[test]
fn generator_source_passes() {
    check("generator-source", &[("records", "500"), ("record.bytes", "40"), ("key.count", "3")]);
    check("generator-source", &[("records", "50"), ("records.per.second", "100")]);
    check("generator-source", &[("records", "300"), ("record.content", "json"), ("record.bytes", "200")]);
}

#[test]
fn file_source_passes_with_one_file_and_with_several() {
    let dir = TempDir::new();
    let names: Vec<_> = (0..3).map(|file| dir.path(&format!("{file}.txt")).to_str().unwrap().to_owned()).collect();
    for (file, name) in names.iter().enumerate() {
        let mut text = String::new();
        (0..40 * (file + 1)).for_each(|line| writeln!(text, "file {file} line {line}").unwrap());
        std::fs::write(name, text).unwrap();
    }
    check("file-source", &[("filename", &names[0])]);
    check("file-source", &[("filename", &names.join(",")), ("batch.size", "4"), ("topic", "t")]);
}

#[test]
fn file_sink_passes_whenever_it_syncs() {
    for fsync in ["never", "commit", "batch"] {
        let dir = TempDir::new();
        let path = dir.path("out.txt");
        let written = || {
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            text.lines().map(|line| line.strip_prefix("record ").unwrap().parse().unwrap()).collect()
        };
        let config = [("filename", path.to_str().unwrap()), ("fsync", fsync)];
        Exam::of("file-sink", &config).with_written(written).pass();
        assert!(std::fs::metadata(&path).unwrap().len() > 10_000);
    }
}

#[test]
fn blackhole_sink_passes() {
    check("blackhole-sink", &[]);
    check("blackhole-sink", &[("put.delay.ms", "50")]);
}
