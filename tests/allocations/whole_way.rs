//! A shard's allocations while records go their whole way, file to topic and topic to file: so few that none can belong
//! to a record. What is left belongs to batches, requests and reads.

use std::collections::BTreeMap;
use std::fs;
use std::sync::atomic::Ordering;

use rmqc_connectors as _;
use rmqc_core::position::Scalar;
use rmqc_io::settings::DriverWanted;

use crate::SHARD_ALLOCATIONS;
use crate::support::broker::TestBroker;
use crate::support::plane::Options;
use crate::support::{TempDir, wait_for};

const RECORDS: u64 = 100_000;
/// Records that share one allocation, at least. A busy machine makes smaller batches, so there is room for that.
const RECORDS_PER_ALLOCATION_MIN: u64 = 5;

/// Waits for the records without asking the shard, since its reports take memory too; fails when the shard asked for
/// memory too often meanwhile.
fn moved(way: &str, arrived: impl Fn() -> bool) {
    let before = SHARD_ALLOCATIONS.load(Ordering::Relaxed);
    wait_for(way, || arrived().then_some(()));
    let allocations = SHARD_ALLOCATIONS.load(Ordering::Relaxed) - before;
    assert!(allocations > 0, "the shard's thread is not known by its name");
    assert!(
        allocations * RECORDS_PER_ALLOCATION_MIN < RECORDS,
        "{way}: {allocations} allocations for {RECORDS} records"
    );
}

#[test]
fn no_allocation_belongs_to_a_record() {
    let (dir, broker) = (TempDir::new(), TestBroker::start(DriverWanted::Epoll));
    let content: String = (0..RECORDS).map(|number| format!("{number:0100}\n")).collect();
    fs::write(dir.file("in"), "").unwrap();
    let plane = Options::new(DriverWanted::Epoll, broker.address).start();

    let source = plane.run("in", "file-source", &[("filename", &dir.file("in")), ("connect.topicname", "lines")]);
    fs::write(dir.file("in"), &content).unwrap();
    let end = BTreeMap::from([("nextPosition".to_owned(), Scalar::Text(content.len().to_string()))]);
    moved("file to topic", || {
        let store = plane.store.lock().unwrap();
        store.positions.get("in").is_some_and(|positions| positions.iter().any(|position| position.offset == end))
    });
    plane.stop(&source);

    let config = [
        ("filename", &*dir.file("out")),
        ("connect.topicnames", "lines"),
        ("consume.from.where", "CONSUME_FROM_FIRST_OFFSET"),
    ];
    let sink = plane.launch("out", "file-sink", &config);
    moved("topic to file", || fs::metadata(dir.file("out")).is_ok_and(|file| file.len() == content.len() as u64));
    plane.stop(&sink);
    plane.shut_down();
}
