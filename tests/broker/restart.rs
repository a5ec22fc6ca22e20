//! The broker goes away in the middle and comes back.

use std::time::Duration;

use super::support::broker::RealBroker;
use super::support::worker::{Worker, file_sink, file_source, wait_bytes};
use super::support::{TempDir, lines, wait_until};

const PATIENCE: Duration = Duration::from_secs(90);

/// A killed broker is an outage, not an error: both tasks wait, then go on, and nothing is lost.
#[test]
fn a_killed_broker_is_waited_for() {
    const LINES: u64 = 40_000;
    let (broker, home) = (RealBroker::start(), TempDir::new("restart"));
    let (source, sink) = (home.file("in.txt"), home.file("out.txt"));
    broker.create_topic("restart", 4);
    let mut worker = Worker::start(home.path(), broker.namesrv());
    lines::append_lines(&source, 0..LINES / 2).unwrap();
    worker.create("source", &file_source(&source, "restart"));
    worker.create("sink", &file_sink(&sink, "restart"));
    wait_bytes(&sink, 1, PATIENCE);

    broker.kill();
    // Lines that come during the outage wait in their file.
    lines::append_lines(&source, LINES / 2..LINES).unwrap();
    broker.start_again();

    wait_until("every line has arrived", PATIENCE, || {
        lines::tally(&sink, LINES).is_ok_and(|tally| tally.distinct == LINES)
    });
    for connector in ["source", "sink"] {
        worker.wait_state(connector, "RUNNING");
    }
    worker.stop();
    let tally = lines::tally(&sink, LINES).unwrap();
    println!("broker killed once: {tally:?}");
    assert_eq!((tally.lost, tally.foreign), (0, 0), "{tally:?}");
}
