//! A file through a topic into a file while the worker and the broker are killed: nothing is lost, and what is repeated
//! stays within the in-flight windows.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::PATIENCE;
use super::support::broker::{RAISED_PULL_CAPS, RealBroker};
use super::support::lines::{LINE_BYTES, Tally, append_lines, tally};
use super::support::seeded::{Random, full_size};
use super::support::worker::{Worker, file_sink, file_source, wait_bytes};
use super::support::{TempDir, wait_until};
use serde_json::{Value, json};

/// The in-flight window of each of the two tasks: well below a round's lines, so that a larger one would show.
const WINDOW: u64 = 8192;
const QUEUES: u32 = 4;
const TOPIC: &str = "faults";

struct Size {
    lines: u64,
    worker_kills: u64,
    broker_kills: u64,
}

fn size() -> Size {
    if full_size() {
        Size { lines: 2_000_000, worker_kills: 20, broker_kills: 3 }
    } else {
        Size { lines: 200_000, worker_kills: 5, broker_kills: 1 }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Worker,
    Broker,
}

/// The faults in a random order, the first one being a worker's: a broker's needs a flow that has settled.
fn faults(size: &Size, random: &mut Random) -> Vec<Fault> {
    let mut faults = vec![Fault::Worker; usize::try_from(size.worker_kills).unwrap()];
    for _ in 0..size.broker_kills {
        let at = 1 + usize::try_from(random.below(faults.len() as u64)).unwrap();
        faults.insert(at, Fault::Broker);
    }
    faults
}

struct Run {
    broker: RealBroker,
    worker: Worker,
    source: PathBuf,
    sink: PathBuf,
    source_config: Value,
    sink_config: Value,
}

impl Run {
    fn new(home: &Path) -> Self {
        let broker = RealBroker::start_with(RAISED_PULL_CAPS);
        broker.create_topic(TOPIC, QUEUES);
        let (source, sink) = (home.join("in.txt"), home.join("out.txt"));
        std::fs::write(&source, "").unwrap();
        let windowed = |mut config: Value| {
            config["uncommitted.records"] = json!(WINDOW.to_string());
            config
        };
        let (source_config, sink_config) = (windowed(file_source(&source, TOPIC)), windowed(file_sink(&sink, TOPIC)));
        let worker = Worker::start(home, broker.namesrv());
        let run = Self { broker, worker, source, sink, source_config, sink_config };
        run.ensure_connectors();
        run
    }

    fn ensure_connectors(&self) {
        self.worker.ensure("source", &self.source_config);
        self.worker.ensure("sink", &self.sink_config);
    }

    /// Records that the topic, or the sink's file, holds so far.
    fn progress(&self, in_topic: bool) -> u64 {
        if in_topic {
            u64::try_from(self.broker.stored(TOPIC, QUEUES)).unwrap()
        } else {
            std::fs::metadata(&self.sink).map_or(0, |metadata| metadata.len()) / LINE_BYTES as u64
        }
    }

    /// Waits, closely, until the progress is this far.
    fn wait_progress(&self, in_topic: bool, target: u64) {
        let end = Instant::now() + PATIENCE;
        while self.progress(in_topic) < target {
            assert!(Instant::now() < end, "{} of {target} records within {PATIENCE:?}", self.progress(in_topic));
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn kill_worker(&mut self) {
        self.worker.kill();
        self.worker.start_again();
        self.ensure_connectors();
    }

    /// The broker keeps what it confirmed, but the offsets that groups committed in its last seconds only in memory.
    /// The sink commits them again as it goes on; a worker killed before that may repeat more than its own window, so
    /// the next fault waits for it.
    fn kill_broker(&self, next_lines: std::ops::Range<u64>) {
        let committed = || -> Vec<i64> {
            (0..QUEUES).map(|queue| self.broker.committed("connect-sink", TOPIC, queue).unwrap_or(0)).collect()
        };
        let before = committed();
        self.broker.kill();
        append_lines(&self.source, next_lines).unwrap();
        self.broker.start_again();
        wait_until("the sink commits as far as before the broker was killed", PATIENCE, || {
            committed().iter().zip(&before).all(|(now, before)| now >= before)
        });
    }

    fn wait_all(&self, lines: u64) -> Tally {
        let end = Instant::now() + PATIENCE;
        let mut last = tally(&self.sink, lines).unwrap_or_default();
        let mut moved = Instant::now();
        while last.distinct < lines {
            wait_bytes(&self.sink, 1, PATIENCE);
            let now = tally(&self.sink, lines).unwrap();
            if now != last {
                (last, moved) = (now, Instant::now());
            }
            assert!(Instant::now() < end.max(moved + PATIENCE), "stands still at {last:?}");
            std::thread::sleep(Duration::from_millis(50));
        }
        last
    }
}

#[test]
fn an_undisturbed_run_is_exact() {
    let (size, home) = (size(), TempDir::new("undisturbed"));
    let mut run = Run::new(home.path());
    let began = Instant::now();
    append_lines(&run.source, 0..size.lines).unwrap();
    wait_bytes(&run.sink, size.lines * LINE_BYTES as u64, PATIENCE);
    let elapsed = began.elapsed();
    run.worker.stop();
    let result = tally(&run.sink, size.lines).unwrap();
    println!("undisturbed: {result:?} in {elapsed:.1?}");
    let exact = Tally { lines: size.lines, distinct: size.lines, ..Tally::default() };
    assert_eq!(result, exact);
    assert_eq!(run.broker.stored(TOPIC, QUEUES), size.lines as i64);
}

#[test]
fn kills_lose_nothing_and_repeat_at_most_the_windows() {
    let (size, home, mut random) = (size(), TempDir::new("kills"), Random::seeded());
    let faults = faults(&size, &mut random);
    let mut run = Run::new(home.path());
    let round = size.lines / (faults.len() as u64 + 1);
    let mut written = 0;
    let mut before = Tally::default();
    let mut over = Vec::new();
    for (index, fault) in faults.iter().enumerate() {
        let in_topic = index % 2 == 1;
        let target = run.progress(in_topic) + random.below(round * 3 / 4);
        append_lines(&run.source, written..written + round).unwrap();
        written += round;
        run.wait_progress(in_topic, target);
        match fault {
            Fault::Worker => run.kill_worker(),
            Fault::Broker => {
                let extra = round / 4;
                run.kill_broker(written..written + extra);
                written += extra;
            }
        }
        let after = run.wait_all(written);
        let repeated = after.duplicated - before.duplicated;
        let at = if in_topic { "the topic" } else { "the sink's file" };
        println!("fault {index}: {fault:?} killed, moment by {at}: {repeated} repeated (two windows: {})", 2 * WINDOW);
        if repeated > 2 * WINDOW {
            over.push((index, *fault, repeated));
        }
        before = after;
    }
    append_lines(&run.source, written..size.lines).unwrap();
    run.wait_all(size.lines);
    run.worker.stop();

    let result = tally(&run.sink, size.lines).unwrap();
    let by_source = run.broker.stored(TOPIC, QUEUES) - size.lines as i64;
    println!(
        "{} worker kills, {} broker kills: {result:?}; {by_source} repeated by the source, {} by the sink",
        size.worker_kills,
        size.broker_kills,
        result.duplicated as i64 - by_source
    );
    assert_eq!((result.lost, result.foreign), (0, 0), "{result:?}");
    assert!(over.is_empty(), "more than the windows was repeated: {over:?}");
}
