//! File to topic and topic to file with a real Apache RocketMQ, beside a client with nothing around it and RocketMQ's own
//! Java client.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::per_record;
use crate::support::broker::RAISED_PULL_CAPS;
use crate::support::worker::{file_sink, file_source, wait_bytes};
use crate::support::{TempDir, wait_until};
use crate::tool::bare::{Producer, Pulled, pull};
use crate::tool::floor::{batches, file_to_topic};
use crate::tool::lines::{self, Tally};
use crate::tool::machine::{process_cpu, thread_cpu, warm_memory};
use crate::tool::options::{Options, list, setting};
use crate::tool::own_client;
use crate::tool::peer::rocketmq::RocketClient;
use crate::tool::real_broker::{Cpus, Placed};
use crate::tool::rounds::{Case, Side, compare_with, warm_up};
use crate::tool::workers::{Build, PATIENCE, Running, add_beside, throughput, wait_count};

const QUEUES: u32 = 4;
/// Batches of the client with nothing around it: as large as the worker's, as many under way.
const BATCH_BYTES: usize = 1 << 20;
const BATCH_MESSAGES: usize = 4_096;
const WINDOW: usize = 8;

/// Bytes that a broker keeps of a message of one line beside the line, about.
const MESSAGE_BYTES: u64 = 250;

/// A real broker, a file of numbered lines, and topics made one after another.
pub struct Stage {
    broker: Placed,
    folder: TempDir,
    file: PathBuf,
    records: u64,
    bytes: usize,
    made: Cell<u32>,
}

impl Stage {
    /// Starts a broker and makes the file.
    pub fn set(records: u64, bytes: usize, cpus: Cpus, settings: &[&str]) -> Self {
        let folder = TempDir::new("stage");
        let file = folder.file("in.txt");
        lines::write(&file, records, bytes).unwrap();
        let broker = Placed::start(cpus, settings);
        Self { broker, folder, file, records, bytes, made: Cell::new(0) }
    }

    /// Its file.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// What every result tells of its broker.
    pub fn facts(&self) -> &Value {
        self.broker.facts()
    }

    fn file_bytes(&self) -> u64 {
        self.records * self.bytes as u64
    }

    fn new_name(&self) -> String {
        self.made.set(self.made.get() + 1);
        format!("load-{}", self.made.get())
    }

    fn new_topic(&self) -> String {
        let topic = self.new_name();
        self.broker.make_only_topic(&topic, QUEUES);
        warm_memory(self.file_bytes() + self.records * MESSAGE_BYTES);
        topic
    }

    fn stored(&self, topic: &str) -> u64 {
        self.broker.stored(topic, QUEUES).unsigned_abs()
    }

    /// A topic with all lines of the file.
    pub fn filled_topic(&self) -> String {
        let topic = self.new_topic();
        file_to_topic(&self.file, self.broker.address(), &topic, QUEUES as usize).unwrap();
        wait_count("records in the topic", self.records, || self.stored(&topic));
        topic
    }

    /// File to topic by the worker.
    pub fn send(&self, build: &Build) -> Value {
        let topic = self.new_topic();
        let broker = process_cpu(self.broker.pid());
        let mut running = Running::start(build, self.broker.namesrv(), &[]);
        running.worker.create("source", &file_source(&self.file, &topic));
        wait_count("records in the topic", self.records, || self.stored(&topic));
        let mut told = running.measured(self.records, self.bytes);
        self.tell_broker(&mut told, broker);
        running.worker.stop();
        assert_eq!(self.stored(&topic), self.records, "records were repeated");
        told
    }

    /// Topic to file by the worker.
    pub fn take(&self, build: &Build, topic: &str) -> Value {
        // Its name makes the consumer group: one that has read the topic before would find nothing new.
        let name = self.new_name();
        let file = self.folder.file(&format!("{name}.out"));
        warm_memory(self.file_bytes());
        let broker = process_cpu(self.broker.pid());
        let mut running = Running::start(build, self.broker.namesrv(), &[]);
        running.worker.create(&name, &file_sink(&file, topic));
        wait_bytes(&file, self.file_bytes(), PATIENCE);
        let mut told = running.measured(self.records, self.bytes);
        self.tell_broker(&mut told, broker);
        running.worker.stop();
        check_and_remove(&file, self.records);
        told
    }

    fn send_bare(&self) -> Value {
        let address = self.broker.address();
        self.sent_by(|topic, batches| {
            let mut producer = Producer::connect(address, topic, QUEUES as usize, WINDOW).unwrap();
            batches.iter().for_each(|batch| producer.send(batch).unwrap());
            producer.finish().unwrap();
        })
    }

    fn send_own(&self) -> Value {
        let (address, window) = (self.broker.address(), u32::try_from(WINDOW).unwrap());
        self.sent_by(|topic, batches| own_client::send(address, topic, QUEUES as usize, window, batches))
    }

    /// All lines, in batches made beforehand, sent by one thread.
    fn sent_by(&self, send: impl FnOnce(&str, Vec<Vec<u8>>) + Send) -> Value {
        let topic = self.new_topic();
        let batches = batches(&self.file, BATCH_BYTES, BATCH_MESSAGES).unwrap();
        let broker = process_cpu(self.broker.pid());
        let began = Instant::now();
        let ((), cpu) = on_a_thread(|| send(&topic, batches));
        wait_count("records in the topic", self.records, || self.stored(&topic));
        let mut told = throughput(self.records, self.bytes, began.elapsed().as_secs_f64(), cpu);
        self.tell_broker(&mut told, broker);
        told
    }

    fn take_bare(&self, topic: &str) -> Value {
        let address = self.broker.address();
        self.pulled_by(|| pull_all(address, topic))
    }

    fn take_own(&self, topic: &str) -> Value {
        let address = self.broker.address();
        self.pulled_by(|| own_client::pull(address, topic, QUEUES))
    }

    /// The whole topic, read by one thread.
    fn pulled_by(&self, pull: impl FnOnce() -> Pulled + Send) -> Value {
        let broker = process_cpu(self.broker.pid());
        let began = Instant::now();
        let (pulled, cpu) = on_a_thread(pull);
        let mut told = throughput(self.records, self.bytes, began.elapsed().as_secs_f64(), cpu);
        assert_eq!(pulled.messages, self.records, "messages were lost");
        told["messages_per_answer"] = json!(pulled.messages as f64 / pulled.answers.max(1) as f64);
        self.tell_broker(&mut told, broker);
        told
    }

    fn send_java(&self, client: &RocketClient) -> Value {
        let topic = self.new_topic();
        let broker = process_cpu(self.broker.pid());
        let mut told = client.produce(self.broker.namesrv(), &topic, &self.file, self.records, self.bytes);
        self.tell_broker(&mut told, broker);
        wait_until("the Java client's records are in the topic", PATIENCE, || self.stored(&topic) >= self.records);
        told
    }

    fn take_java(&self, client: &RocketClient, topic: &str, at_once: u64) -> Value {
        let broker = process_cpu(self.broker.pid());
        let mut told = client.pull(self.broker.namesrv(), topic, self.records, self.bytes, at_once);
        self.tell_broker(&mut told, broker);
        told
    }

    fn tell_broker(&self, told: &mut Value, before: Duration) {
        let cpu = process_cpu(self.broker.pid()) - before;
        add_beside(told, cpu);
        told["broker_cpu_us_per_record"] = json!(per_record(cpu, self.records));
    }
}

fn pull_all(address: &str, topic: &str) -> Pulled {
    pull(address, topic, QUEUES as usize, None).unwrap()
}

/// Does work on a thread of its own: an executor leaves its thread with a timer that interrupts system calls. Gives the
/// thread's CPU time.
fn on_a_thread<T: Send>(work: impl FnOnce() -> T + Send) -> (T, Duration) {
    std::thread::scope(|threads| threads.spawn(|| (work(), thread_cpu())).join()).unwrap()
}

/// Every line is in a file once; then the file goes, for the room that it takes.
pub fn check_and_remove(file: &Path, records: u64) {
    assert_eq!(lines::tally(file, records).unwrap(), Tally { lost: 0, repeated: 0 }, "{}", file.display());
    std::fs::remove_file(file).unwrap();
}

/// Records of so many bytes, of `total` bytes together by default.
pub fn records(bytes: u64, total: u64) -> u64 {
    setting("RMQC_RECORDS", total / bytes)
}

/// Bytes together that take a second at least, of which the start of a worker is a small part; `raised` are read only, with
/// raised caps.
fn total_bytes(bytes: u64, raised: bool) -> u64 {
    if bytes < 1_000 && !raised { 200_000_000 } else { 1_000_000_000 }
}

/// All sizes; reading with the caps that brokers have by default, and with raised ones.
pub fn run(options: &Options) {
    let client = options.peers.then(RocketClient::compile);
    let builds = Build::chosen(options);
    for bytes in list("RMQC_RECORD_BYTES", &[100, 1_024]) {
        let size = usize::try_from(bytes).unwrap();
        for (caps, at_once, settings) in [("32", 32, &[][..]), ("1024", 1_024, RAISED_PULL_CAPS)] {
            let records = records(bytes, total_bytes(bytes, !settings.is_empty()));
            let stage = Stage::set(records, size, Cpus::Apart, settings);
            if settings.is_empty() {
                let case = case(format!("file to topic, {bytes} B"));
                let mut sides: Vec<Side> =
                    builds.iter().map(|build| Side::new(&build.name, || stage.send(build))).collect();
                sides.push(Side::new("own client", || stage.send_own()));
                sides.push(Side::new("bare client", || stage.send_bare()));
                sides.extend(client.iter().map(|client| Side::new("java client", || stage.send_java(client))));
                warm_up(&mut sides, records);
                compare_with(options, &case, stage.facts(), sides);
            }
            let topic = stage.filled_topic();
            let case = case(format!("topic to file, {bytes} B, {caps} an answer"));
            let mut sides: Vec<Side> =
                builds.iter().map(|build| Side::new(&build.name, || stage.take(build, &topic))).collect();
            sides.push(Side::new("own client", || stage.take_own(&topic)));
            sides.push(Side::new("bare client", || stage.take_bare(&topic)));
            let (stage, topic) = (&stage, &topic);
            let java = |client| Side::new("java client", move || stage.take_java(client, topic, at_once));
            sides.extend(client.iter().map(java));
            warm_up(&mut sides, records);
            compare_with(options, &case, stage.facts(), sides);
        }
    }
}

fn case(name: String) -> Case<'static> {
    Case { scenario: "broker", name, primary: "cpu_us_per_record" }
}
