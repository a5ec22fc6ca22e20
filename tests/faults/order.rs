//! Keyed records through a topic with several queues into a file, ordered on both sides, on two cores, while the broker
//! is restarted twice and the worker is killed: each key's records arrive in their order, none is lost. The source makes
//! records until all that has happened, however long a broker takes to come back.
//!
//! What comes twice is not disorder as long as it came before: an answer that a dying broker did not give leaves the
//! outcome unknown, so its batch is sent again, and a killed worker repeats what it had not committed.

use std::fs::File;
use std::io::{BufRead, BufReader, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde_json::{Value, json};

use super::PATIENCE;
use super::support::TempDir;
use super::support::broker::{RAISED_PULL_CAPS, RealBroker};
use super::support::seeded::{Random, full_size};
use super::support::worker::{Worker, file_sink};

const TOPIC: &str = "ordered";
const QUEUES: u32 = 8;
/// Bytes of each value.
const RECORD_BYTES: usize = 100;
/// Time in which the least number of records is made while nobody holds the source up.
const SECONDS: u64 = 40;
/// Tasks of the source. Each must make whole keys, so the number of keys is a multiple of it.
const SOURCE_TASKS: u64 = 2;

struct Size {
    keys: u64,
    /// The least number of records of a key.
    records_per_key: u64,
}

impl Size {
    fn wanted() -> Self {
        if full_size() {
            Self { keys: 10_000, records_per_key: 100 }
        } else {
            Self { keys: 2_000, records_per_key: 50 }
        }
    }

    /// The least number of records.
    fn records(&self) -> u64 {
        self.keys * self.records_per_key
    }
}

/// Record `n` of the generator has the key `n % keys`, and is that key's record number `n / keys`.
fn source(size: &Size) -> Value {
    json!({
        "connector.class": "generator-source",
        "connect.topicname": TOPIC,
        "ordering.msg.enable": "true",
        "max.tasks": SOURCE_TASKS.to_string(),
        "record.bytes": RECORD_BYTES.to_string(),
        "records.per.second": (size.records() / SECONDS / SOURCE_TASKS).to_string(),
        "uncommitted.records": (size.records() / 50).to_string(),
        "key.count": size.keys.to_string(),
    })
}

fn sink(file: &Path) -> Value {
    let mut config = file_sink(file, TOPIC);
    config["ordering.msg.enable"] = json!("true");
    config
}

/// Lines of the sink's file between two faults.
#[derive(Debug, Default)]
struct Phase {
    lines: u64,
    repeated: u64,
}

/// Reads the sink's file as it grows, and holds every line against what its key has had so far.
struct Ledger {
    file: PathBuf,
    keys: u64,
    /// Bytes of whole lines that are read.
    read: u64,
    /// For each key the number of the record whose turn it is.
    next: Vec<u64>,
    /// Records that are there.
    distinct: u64,
    phase: Phase,
}

impl Ledger {
    fn new(file: &Path, size: &Size) -> Self {
        let next = vec![0; usize::try_from(size.keys).unwrap()];
        Self { file: file.to_owned(), keys: size.keys, read: 0, next, distinct: 0, phase: Phase::default() }
    }

    /// Reads the whole lines that have come since the last call. A last line without its end is not yet a line.
    ///
    /// # Panics
    /// At a line that nobody made, and at a record that comes before one of its key that should have come first.
    fn read_on(&mut self) {
        let Ok(mut file) = File::open(&self.file) else { return };
        file.seek(SeekFrom::Start(self.read)).unwrap();
        let mut reader = BufReader::with_capacity(1 << 20, file);
        let mut line = Vec::with_capacity(RECORD_BYTES + 1);
        while reader.read_until(b'\n', &mut line).unwrap() > 0 && line.last() == Some(&b'\n') {
            self.take(&line);
            self.read += line.len() as u64;
            line.clear();
        }
    }

    fn take(&mut self, line: &[u8]) {
        let text = std::str::from_utf8(line).ok().filter(|line| line.len() == RECORD_BYTES + 1);
        let Some(number) = text.and_then(|line| line.split(' ').next()?.parse::<u64>().ok()) else {
            panic!("byte {}: nobody made {:?}", self.read, String::from_utf8_lossy(line));
        };
        let (key, record) = (number % self.keys, number / self.keys);
        let next = &mut self.next[usize::try_from(key).unwrap()];
        assert!(record <= *next, "byte {}: key {key} has its record {record} before its record {next}", self.read);
        self.phase.lines += 1;
        if record == *next {
            *next += 1;
            self.distinct += 1;
        } else {
            self.phase.repeated += 1;
        }
    }

    /// Ends a phase; gives what it held.
    fn end_phase(&mut self, what: &str) -> Phase {
        self.read_on();
        let phase = std::mem::take(&mut self.phase);
        println!("{what}: {} lines, {} of them repeated", phase.lines, phase.repeated);
        phase
    }

    /// Waits until so many different records are there.
    fn wait(&mut self, distinct: u64) {
        let mut moved = (self.distinct, Instant::now());
        loop {
            self.read_on();
            if self.distinct >= distinct {
                return;
            }
            if self.distinct > moved.0 {
                moved = (self.distinct, Instant::now());
            }
            assert!(moved.1.elapsed() < PATIENCE, "stands still at {} of {distinct} records", self.distinct);
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// The broker is stopped in order and started again.
    BrokerStopped,
    /// The broker is killed and started again.
    BrokerKilled,
    /// The worker is killed and started again.
    WorkerKilled,
}

/// The three faults in a random order.
fn faults(random: &mut Random) -> [Fault; 3] {
    let mut faults = [Fault::BrokerStopped, Fault::BrokerKilled, Fault::WorkerKilled];
    for last in (1..faults.len()).rev() {
        faults.swap(last, usize::try_from(random.below(last as u64 + 1)).unwrap());
    }
    faults
}

/// Waits for a fault's moment, which is told by the records stored in the topic or by those in the sink's file.
fn wait_moment(broker: &RealBroker, ledger: &mut Ledger, by_topic: bool, records: u64) {
    if !by_topic {
        return ledger.wait(records);
    }
    let end = Instant::now() + PATIENCE;
    while u64::try_from(broker.stored(TOPIC, QUEUES)).unwrap() < records {
        assert!(Instant::now() < end, "not {records} records in the topic within {PATIENCE:?}");
    }
}

/// How many records each task of the source has made and committed.
fn made(worker: &Worker) -> Vec<u64> {
    let answer = worker.request("GET", "/v1/connectors/source/offsets", "");
    let offset = |task: u64| {
        let stripe = format!("{task}/{SOURCE_TASKS}");
        let all = answer["offsets"].as_array().unwrap_or_else(|| panic!("{answer}"));
        let own =
            all.iter().find(|one| one["partition"]["stripe"] == json!(stripe)).unwrap_or_else(|| panic!("{answer}"));
        let next = &own["offset"]["next"];
        next.as_u64().or_else(|| next.as_str()?.parse().ok()).unwrap_or_else(|| panic!("{answer}"))
    };
    // The number of the record that would have been next, of those that are the task's: every so many.
    (0..SOURCE_TASKS).map(|task| (offset(task) - task) / SOURCE_TASKS).collect()
}

#[test]
fn every_key_keeps_its_order_through_restarts_and_a_kill() {
    let (size, home, mut random) = (Size::wanted(), TempDir::new("order"), Random::seeded());
    let records = size.records();
    let file = home.file("out.txt");
    let broker = RealBroker::start_with(RAISED_PULL_CAPS);
    broker.create_topic(TOPIC, QUEUES);
    let mut worker = Worker::start_with(home.path(), broker.namesrv(), &["cores=2"]);
    let connectors = [("source", source(&size)), ("sink", sink(&file))];
    let ensure = |worker: &Worker| connectors.iter().for_each(|(name, config)| worker.ensure(name, config));
    ensure(&worker);

    let mut ledger = Ledger::new(&file, &size);
    let mut killed = false;
    let mut before_the_kill = 0;
    for (at, fault) in (1..).zip(faults(&mut random)) {
        let moment = records * at / 5 + random.below(records / 10);
        wait_moment(&broker, &mut ledger, random.below(2) == 0, moment);
        match fault {
            Fault::BrokerStopped => broker.stop(),
            Fault::BrokerKilled => broker.kill(),
            Fault::WorkerKilled => worker.kill(),
        }
        let phase = ledger.end_phase(&format!("until {fault:?} at {moment} records"));
        before_the_kill += if killed { 0 } else { phase.repeated };
        assert!(at > 1 || phase.repeated == 0, "repeats before anything happened: {phase:?}");
        if fault == Fault::WorkerKilled {
            killed = true;
            worker.start_again();
            ensure(&worker);
        } else {
            broker.start_again();
        }
    }
    // The last fault has to be followed by records that were not made before it.
    ledger.read_on();
    ledger.wait(records.max(ledger.distinct + records / 10));
    worker.pause("source");
    worker.wait_state("source", "PAUSED");
    let made = made(&worker);
    ledger.wait(made.iter().sum());
    worker.stop();
    ledger.end_phase("until the end");

    let by_source = broker.stored(TOPIC, QUEUES) - i64::try_from(ledger.distinct).unwrap();
    println!("{before_the_kill} repeated before the worker was killed; {by_source} stored more than once in all");
    for (key, next) in (0..).zip(&ledger.next) {
        let (stripe, turn) = (key % SOURCE_TASKS, key / SOURCE_TASKS);
        let (keys, made) = (size.keys / SOURCE_TASKS, made[usize::try_from(stripe).unwrap()]);
        assert_eq!(*next, (made + keys - 1 - turn) / keys, "key {key}");
    }
    assert_eq!(broker.write_queues(TOPIC), QUEUES, "the topic has other queues now, so keys have changed theirs");
}
