//! The exam itself: connectors that break one rule each are caught at it, and one that keeps them all passes.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use rmqc_core::config::key::{ConfigKey, KeyKind, check_all};
use rmqc_core::connector::{SinkTask, SourceTask};
use rmqc_core::context::TaskContext;
use rmqc_core::error::{ConnectError, Result, Stage};
use rmqc_core::host::Host;
use rmqc_core::position::{Position, RecordOffset, RecordPartition, Scalar};
use rmqc_core::record::{ConnectRecord, RecordBatch};
use rmqc_core::registry::{ConnectorFactory, TaskBuilder};
use rmqc_core::value::Value;

use super::Exam;

const FAULT: ConfigKey = ConfigKey {
    name: "fault",
    aliases: &[],
    kind: KeyKind::Text,
    default: Some(""),
    unit: "",
    doc: "What the connector does wrong.",
};

const RECORDS: u64 = 40;

/// Counts to 40, or does what its fault says.
struct Source {
    host: Rc<dyn Host>,
    fault: String,
    next: u64,
    kept: Vec<Rc<dyn rmqc_core::host::HostFile>>,
}

impl Source {
    fn new(context: &TaskContext) -> Self {
        let fault = FAULT.text(&context.config).unwrap_or_default().to_owned();
        let stored = context.stored_offset(&RecordPartition::single("p", "1")).and_then(|one| one.offset.get("next"));
        let next = match stored {
            Some(Scalar::Text(text)) if fault != "forgets" => text.parse().unwrap(),
            _ => 0,
        };
        Self { host: context.host.clone(), fault, next, kept: vec![] }
    }

    fn record(&self, number: u64) -> ConnectRecord {
        let offset = RecordOffset::Counter { field: "next", value: number + 1 };
        let position = Position { partition: Arc::new(RecordPartition::single("p", "1")), offset };
        let position = (self.fault != "no position").then_some(position);
        ConnectRecord { value: Value::text(number.to_string()), position, ..ConnectRecord::default() }
    }
}

impl SourceTask for Source {
    async fn start(&mut self) -> Result<()> {
        if self.fault == "leaks" {
            let file = self.host.open_read(std::path::Path::new("/dev/null")).await;
            // A cycle of handles is how a leak happens; a forgotten one shows the same.
            std::mem::forget(file);
        }
        self.kept.clear();
        Ok(())
    }

    async fn poll(&mut self, batch: &mut RecordBatch) -> Result<()> {
        if self.next >= RECORDS {
            return std::future::pending().await;
        }
        while self.next < RECORDS && (self.fault == "overfills" || !batch.is_full()) {
            let number = self.next;
            self.next += 1;
            if self.fault == "awaits in between" {
                self.host.yield_if_needed().await;
            }
            batch.push(self.record(number), 4);
            self.host.yield_if_needed().await;
        }
        Ok(())
    }
}

thread_local!(static TARGET: RefCell<Vec<u64>> = const { RefCell::new(Vec::new()) });

/// Writes to a target in memory after a pause, or does what its fault says.
struct Sink {
    host: Rc<dyn Host>,
    fault: String,
    waiting: Vec<u64>,
}

impl SinkTask for Sink {
    async fn start(&mut self) -> Result<()> {
        Ok(())
    }

    async fn put(&mut self, records: &[ConnectRecord]) -> Result<()> {
        let number = |record: &ConnectRecord| match &record.value {
            Value::String(text) => text.to_str().rsplit(' ').next().unwrap().parse::<u64>().unwrap(),
            other => panic!("{}", other.kind()),
        };
        let numbers = records.iter().map(number);
        if self.fault == "repeats" {
            self.waiting.extend(numbers.clone());
        }
        let looked = self.host.status(std::path::Path::new("/")).await;
        looked.map_err(|error| ConnectError::later(Stage::Put, "can't look").caused_by(error))?;
        if self.fault == "loses" {
            self.waiting.extend(numbers.skip(1));
        } else if self.fault != "repeats" {
            self.waiting.extend(numbers);
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<()> {
        TARGET.with_borrow_mut(|target| target.append(&mut self.waiting));
        Ok(())
    }
}

inventory::submit! {
    ConnectorFactory {
        name: "exam-source",
        java_class: "exam.ExamSourceConnector",
        java_task_class: "exam.ExamSourceTask",
        keys: &[FAULT],
        validate: |properties| check_all(&[FAULT], properties),
        task_configs: |properties, _| Ok(vec![properties.clone()]),
        shardable: false,
        build: TaskBuilder::Source(|context| Ok(Box::new(Source::new(&context)))),
    }
}

inventory::submit! {
    ConnectorFactory {
        name: "exam-sink",
        java_class: "exam.ExamSinkConnector",
        java_task_class: "exam.ExamSinkTask",
        keys: &[FAULT],
        validate: |properties| check_all(&[FAULT], properties),
        task_configs: |properties, _| Ok(vec![properties.clone()]),
        shardable: false,
        build: TaskBuilder::Sink(|context| {
            let fault = FAULT.text(&context.config).unwrap_or_default().to_owned();
            Ok(Box::new(Sink { host: context.host.clone(), fault, waiting: vec![] }))
        }),
    }
}

const SIZE: ConfigKey = ConfigKey {
    name: "size",
    kind: KeyKind::Integer { min: 1, max: 9 },
    default: Some("20"),
    doc: "No sentence",
    ..FAULT
};

/// Its default is bad, its validation sees nothing, its split is too large, and building it asks for the time.
static CARELESS: ConnectorFactory = ConnectorFactory {
    name: "Careless",
    java_class: "exam.Careless",
    java_task_class: "exam.Careless",
    keys: &[SIZE],
    validate: |_| Ok(()),
    task_configs: |_, max_tasks| Ok(vec![rmqc_core::config::Properties::new(); max_tasks + 1]),
    shardable: false,
    build: TaskBuilder::Source(|context| {
        let _ = context.host.unix_ms();
        Ok(Box::new(Source::new(&context)))
    }),
};

fn broken(name: &str, fault: &str) -> Vec<&'static str> {
    let exam = Exam::of(name, &[("fault", fault)]).with_written(|| TARGET.with_borrow(Clone::clone));
    exam.examine().iter().map(|violation| violation.rule).collect()
}

#[test]
fn a_source_is_caught_at_what_it_does_wrong() {
    assert_eq!(broken("exam-source", ""), Vec::<&str>::new());
    for (fault, rule) in [
        ("forgets", "every position resumes with the next record"),
        ("no position", "a source gives records with positions"),
        ("leaks", "start and stop leave nothing open"),
        ("overfills", "a batch is not filled beyond its bound"),
        ("awaits in between", "poll may be dropped at every await"),
    ] {
        let rules = broken("exam-source", fault);
        assert!(rules.contains(&rule), "{fault}: {rules:?}");
    }
}

#[test]
fn a_sink_is_caught_at_what_it_does_wrong() {
    assert_eq!(broken("exam-sink", ""), Vec::<&str>::new());
    for (fault, rule) in [
        ("loses", "a sink takes records and flushes them"),
        ("repeats", "a batch that failed is taken when it comes again"),
    ] {
        let rules = broken("exam-sink", fault);
        assert!(rules.contains(&rule), "{fault}: {rules:?}");
    }
}

#[test]
fn a_careless_definition_is_caught() {
    let rules: Vec<_> = super::definition::examine(&CARELESS).iter().map(|violation| violation.rule).collect();
    for rule in [
        "the connector is found by all its names",
        "keys are explained, unambiguous, and have good defaults",
        "the required keys are enough",
        "a bad value is refused and its key named",
        "all faults are told at once",
        "the split into tasks is bounded, repeatable and valid",
    ] {
        assert!(rules.contains(&rule), "{rule}: {rules:?}");
    }
    let touching = ConnectorFactory { keys: &[], task_configs: |own, _| Ok(vec![own.clone()]), ..CARELESS };
    let found = super::definition::examine(&touching);
    assert!(found.iter().any(|violation| violation.found.contains("asked for the time")), "{found:?}");
}

#[test]
#[should_panic(
    expected = "exam-source breaks 1 of the rules for connectors:\n  a batch is not filled beyond its bound: "
)]
fn a_broken_rule_fails_the_test_and_is_told() {
    super::check("exam-source", &[("fault", "overfills")]);
}

#[test]
#[should_panic(expected = "no connector of this test is called unknown; it has exam-sink, exam-source.")]
fn an_unknown_connector_fails_the_test() {
    super::check("unknown", &[]);
}
