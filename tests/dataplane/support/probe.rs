//! A source and a sink that do as a test tells them and note what they see.

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use rmqc_core::connector::{SinkTask, SourceTask};
use rmqc_core::context::{EndedValues, ErrantRecords, TaskContext, ValueBlocks};
use rmqc_core::converter::{Converter, SchemaAndValue};
use rmqc_core::error::{ConnectError, Result, Stage};
use rmqc_core::host::{Host, LocalFuture};
use rmqc_core::position::{Position, RecordOffset, RecordPartition, Scalar};
use rmqc_core::record::{ConnectRecord, Extensions, RecordBatch};
use rmqc_core::registry::{ConnectorFactory, ConverterFactory, TaskBuilder, TransformFactory};
use rmqc_core::schema::Schema;
use rmqc_core::transform::{Outcome, Transform};
use rmqc_core::value::{Text, Value};

use super::broker::leading_number;
use super::wait_for;

/// What a call is to do instead of its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trick {
    /// Panics.
    Panic,
    /// Fails for good.
    Fatal,
    /// Fails because of a record.
    BadRecord,
    /// Fails for now.
    Later,
    /// Returns with nothing done; polls only.
    Nothing,
}

/// The error that stands for nothing done.
const NOTHING: &str = "nothing";

/// A call of a connector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    Start,
    Poll,
    Put,
    Flush,
    /// What a flush gives to be awaited beside the puts.
    FlushBeside,
}

/// A record as a sink got it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// -1 when the record comes from no queue.
    pub queue: i64,
    pub offset: i64,
    pub topic: Option<Arc<str>>,
    pub value: Bytes,
    /// The message's tag, as the record's extensions tell it.
    pub tag: Option<Text>,
    pub at: Instant,
}

/// What a test and its connectors share.
#[derive(Default)]
pub struct Probe {
    /// What sinks accepted, in order.
    pub seen: Mutex<Vec<Seen>>,
    /// Sizes of the puts.
    pub puts: Mutex<Vec<usize>>,
    /// Values that it was given with the byte behind them.
    pub ended: AtomicU64,
    /// While set, `put` waits.
    pub gate: AtomicBool,
    /// The next put keeps the core for so many milliseconds.
    pub hog_ms: AtomicU64,
    /// While set, a flush that goes on beside the puts waits.
    pub flush_gate: AtomicBool,
    /// Flushes beside the puts that were begun.
    pub flushes: AtomicU64,
    /// Records of the put that waits at the gate.
    pub at_gate: AtomicU64,
    /// Tricks to be played, in turn.
    pub tricks: Mutex<VecDeque<(Call, Trick)>>,
    /// How often a trick was played.
    pub played: AtomicU64,
    /// Calls of `stop`.
    pub stops: AtomicU64,
    /// Records that a source made.
    pub made: AtomicU64,
    /// Records that a source may make.
    pub allowed: AtomicU64,
}

static PROBES: Mutex<BTreeMap<String, Arc<Probe>>> = Mutex::new(BTreeMap::new());

/// The probe of that name; made if it is not there.
pub fn probe(name: &str) -> Arc<Probe> {
    let mut probes = PROBES.lock().unwrap_or_else(PoisonError::into_inner);
    probes.entry(name.to_owned()).or_default().clone()
}

impl Probe {
    pub fn count(&self) -> usize {
        self.seen.lock().unwrap().len()
    }

    pub fn values(&self) -> Vec<Bytes> {
        self.seen.lock().unwrap().iter().map(|seen| seen.value.clone()).collect()
    }

    pub fn wait_count(&self, count: usize) {
        wait_for(&format!("{count} records"), || (self.count() >= count).then_some(()));
    }

    pub fn play(&self, call: Call, trick: Trick, times: usize) {
        self.tricks.lock().unwrap().extend(std::iter::repeat_n((call, trick), times));
    }

    pub fn played(&self) -> u64 {
        self.played.load(Ordering::SeqCst)
    }

    fn enter(&self, call: Call) -> Result<()> {
        let mut tricks = self.tricks.lock().unwrap();
        let Some(at) = tricks.iter().position(|(when, _)| *when == call) else { return Ok(()) };
        let trick = tricks.remove(at).unwrap().1;
        drop(tricks);
        self.played.fetch_add(1, Ordering::SeqCst);
        match trick {
            Trick::Panic => panic!("a trick in {call:?}"),
            Trick::Fatal => Err(ConnectError::fatal(Stage::Put, format!("a trick in {call:?}"))),
            Trick::BadRecord => Err(ConnectError::bad_record(Stage::Put, format!("a trick in {call:?}"))),
            Trick::Nothing => Err(ConnectError::later(Stage::Poll, NOTHING)),
            Trick::Later => Err(ConnectError::later(Stage::Put, format!("a trick in {call:?}"))),
        }
    }
}

struct TestSink {
    probe: Arc<Probe>,
    errant: Rc<ErrantRecords>,
    host: Rc<dyn Host>,
    /// Whether it takes records while it flushes.
    flushes_beside: bool,
    reads_extensions: bool,
    value_end: Option<u8>,
    blocks: Rc<ValueBlocks>,
}

fn queue(position: &Position) -> i64 {
    match position.partition.0.get("queueId") {
        Some(Scalar::Text(text)) => text.parse().unwrap(),
        None => -1,
        other => panic!("{other:?}"),
    }
}

fn seen(record: &ConnectRecord) -> Seen {
    let position = record.position.as_ref().unwrap();
    let RecordOffset::Counter { value: offset, .. } = position.offset else { panic!("a counter") };
    let Value::String(text) = &record.value else { panic!("text, not {}", record.value.kind()) };
    let (topic, value, tag) = (record.topic.clone(), text.as_bytes().clone(), record.extensions.get("MQ-SYS-TAGS"));
    Seen { queue: queue(position), offset: offset.try_into().unwrap(), topic, value, tag, at: Instant::now() }
}

impl SinkTask for TestSink {
    async fn start(&mut self) -> Result<()> {
        self.probe.enter(Call::Start)
    }

    async fn put(&mut self, records: &[ConnectRecord]) -> Result<()> {
        assert!(!records.is_empty());
        self.probe.enter(Call::Put)?;
        // What no connector may do.
        std::thread::sleep(Duration::from_millis(self.probe.hog_ms.swap(0, Ordering::SeqCst)));
        while self.probe.gate.load(Ordering::SeqCst) {
            self.probe.at_gate.store(records.len() as u64, Ordering::SeqCst);
            self.host.sleep(Duration::from_millis(1)).await;
        }
        self.probe.puts.lock().unwrap().push(records.len());
        let blocks = self.blocks.take();
        let mut values = EndedValues::new(&blocks, self.value_end.unwrap_or_default());
        let mut is_ended = |record: &ConnectRecord| match &record.value {
            Value::String(text) => values.find(text.as_bytes()).is_some(),
            _ => false,
        };
        let ended = records.iter().filter(|record| is_ended(record)).count();
        self.probe.ended.fetch_add(ended as u64, Ordering::SeqCst);
        for (index, seen) in records.iter().map(seen).enumerate() {
            if seen.value.starts_with(b"reject") {
                let what = ConnectError::bad_record(Stage::Put, "a value that the test rejects");
                self.errant.report(index, what)?;
            } else {
                self.probe.seen.lock().unwrap().push(seen);
            }
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<()> {
        self.probe.enter(Call::Flush)
    }

    async fn flush_beside(&mut self) -> Result<Option<LocalFuture<'static, Result<()>>>> {
        if !self.flushes_beside {
            return Ok(None);
        }
        self.probe.flushes.fetch_add(1, Ordering::SeqCst);
        let (probe, host) = (self.probe.clone(), self.host.clone());
        Ok(Some(Box::pin(async move {
            while probe.flush_gate.load(Ordering::SeqCst) {
                host.sleep(Duration::from_millis(1)).await;
            }
            probe.enter(Call::FlushBeside)
        })))
    }

    fn reads_extensions(&self) -> bool {
        self.reads_extensions
    }

    fn value_end(&self) -> Option<u8> {
        self.value_end
    }

    async fn stop(&mut self) {
        self.probe.stops.fetch_add(1, Ordering::SeqCst);
    }
}

/// Makes numbers from its position on, as long as it is allowed to.
struct TestSource {
    probe: Arc<Probe>,
    host: Rc<dyn Host>,
    partition: Arc<RecordPartition>,
    next: u64,
}

impl SourceTask for TestSource {
    async fn start(&mut self) -> Result<()> {
        self.probe.enter(Call::Start)
    }

    async fn poll(&mut self, batch: &mut RecordBatch) -> Result<()> {
        loop {
            match self.probe.enter(Call::Poll) {
                Err(error) if error.to_string() == NOTHING => return Ok(()),
                outcome => outcome?,
            }
            while !batch.is_full() && self.next < self.probe.allowed.load(Ordering::SeqCst) {
                let value = Value::String(Text::from(format!("{} ", self.next)));
                self.next += 1;
                self.probe.made.fetch_add(1, Ordering::SeqCst);
                let offset = RecordOffset::Counter { field: "next", value: self.next };
                let position = Some(Position { partition: self.partition.clone(), offset });
                batch.push(ConnectRecord { value, position, extensions: Extensions::Empty, ..Default::default() }, 8);
            }
            if !batch.is_empty() {
                return Ok(());
            }
            self.host.sleep(Duration::from_millis(2)).await;
        }
    }

    async fn stop(&mut self) {
        self.probe.stops.fetch_add(1, Ordering::SeqCst);
    }
}

fn of(context: &TaskContext) -> Arc<Probe> {
    probe(&context.config["probe"])
}

inventory::submit! {
    ConnectorFactory {
        name: "test-sink",
        java_class: "rmqc.test.TestSinkConnector",
        java_task_class: "rmqc.test.TestSinkTask",
        keys: &[],
        validate: |_| Ok(()),
        task_configs: |properties, max_tasks| Ok(vec![properties.clone(); max_tasks]),
        shardable: true,
        build: TaskBuilder::Sink(|context| {
            let (probe, host, errant) = (of(&context), context.host.clone(), context.errant.clone());
            let flushes_beside = context.config.contains_key("flushes.beside");
            let reads_extensions = !context.config.contains_key("no.extensions");
            let value_end = context.config.get("value.end").and_then(|end| end.bytes().next());
            let blocks = context.blocks.clone();
            Ok(Box::new(TestSink { probe, errant, host, flushes_beside, reads_extensions, value_end, blocks }))
        }),
    }
}

inventory::submit! {
    ConnectorFactory {
        name: "test-source",
        java_class: "rmqc.test.TestSourceConnector",
        java_task_class: "rmqc.test.TestSourceTask",
        keys: &[],
        validate: |_| Ok(()),
        task_configs: |properties, _| Ok(vec![properties.clone()]),
        shardable: false,
        build: TaskBuilder::Source(|context| {
            let partition = RecordPartition::single("numbers", "all");
            let stored = context.stored_offset(&partition).and_then(|stored| stored.offset.get("next"));
            let next = stored.map_or(0, |next| match next {
                Scalar::Text(text) => text.parse().unwrap(),
                other => panic!("{other:?}"),
            });
            let (probe, host) = (of(&context), context.host.clone());
            Ok(Box::new(TestSource { probe, host, partition: Arc::new(partition), next }))
        }),
    }
}

/// Refuses texts that begin with a word, both ways.
struct Picky {
    refused: String,
}

impl Picky {
    fn check(&self, text: &[u8]) -> Result<()> {
        let number = || std::str::from_utf8(text).ok()?.split(' ').next()?.parse::<u64>().ok();
        let refused = match self.refused.as_str() {
            "sevens" => number().is_some_and(|number| number % 10 == 7),
            word => text.starts_with(word.as_bytes()),
        };
        if refused { Err(ConnectError::bad_record(Stage::Convert, "a text that the test refuses")) } else { Ok(()) }
    }
}

impl Converter for Picky {
    fn encode(&self, _topic: &str, _schema: Option<&Schema>, value: &Value) -> Result<Option<Bytes>> {
        let Value::String(text) = value else { panic!("text, not {}", value.kind()) };
        self.check(text.as_bytes())?;
        Ok(Some(text.as_bytes().clone()))
    }

    fn decode(&self, _topic: &str, bytes: Option<Bytes>) -> Result<SchemaAndValue> {
        let bytes = bytes.unwrap();
        self.check(&bytes)?;
        Ok(SchemaAndValue { schema: None, value: Value::String(Text::from_bytes(bytes)) })
    }
}

inventory::submit! {
    ConverterFactory {
        name: "test-picky",
        java_class: "rmqc.test.PickyConverter",
        doc: "Refuses texts that begin with a word.",
        keys: &[],
        build: |config| Ok(Box::new(Picky { refused: config["refused"].clone() })),
    }
}

/// Drops what `drops` says, by the number at the record's start.
struct Drops(fn(u64) -> bool);

impl Transform for Drops {
    fn apply(&self, record: &mut ConnectRecord) -> Result<Outcome> {
        let Value::String(text) = &record.value else { panic!("text, not {}", record.value.kind()) };
        Ok(if (self.0)(leading_number(text.as_bytes())) { Outcome::Drop } else { Outcome::Keep })
    }
}

inventory::submit! {
    TransformFactory {
        name: "drop-odd",
        java_class: "rmqc.test.DropOdd",
        aliases: &[],
        targets: false,
        doc: "Drops records with odd numbers.",
        keys: &[],
        build: |_| Ok(Box::new(Drops(|number| number % 2 == 1))),
    }
}

inventory::submit! {
    TransformFactory {
        name: "drop-all",
        java_class: "rmqc.test.DropAll",
        aliases: &[],
        targets: false,
        doc: "Drops all records.",
        keys: &[],
        build: |_| Ok(Box::new(Drops(|_| true))),
    }
}

/// Makes bad records of those whose number ends with 7: every other one fails here, the rest is for the sink to reject.
struct Sevens;

impl Transform for Sevens {
    fn apply(&self, record: &mut ConnectRecord) -> Result<Outcome> {
        let Value::String(text) = &record.value else { panic!("text, not {}", record.value.kind()) };
        let number = leading_number(text.as_bytes());
        match number % 20 {
            7 => return Err(ConnectError::bad_record(Stage::Transform, "a record that the test refuses")),
            17 => record.value = Value::String(Text::from(format!("reject {number} "))),
            _ => {}
        }
        Ok(Outcome::Keep)
    }
}

inventory::submit! {
    TransformFactory {
        name: "test-sevens",
        java_class: "rmqc.test.Sevens",
        aliases: &[],
        targets: false,
        doc: "Makes bad records of those whose number ends with 7.",
        keys: &[],
        build: |_| Ok(Box::new(Sevens)),
    }
}
