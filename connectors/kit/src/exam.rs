//! What is examined, and what came out.

use std::fmt;
use std::time::Duration;

use rmqc_core::config::Properties;
use rmqc_core::record::ConnectRecord;
use rmqc_core::registry::{ConnectorFactory, TaskBuilder, connectors, find_connector};
use rmqc_core::value::Value;

use crate::{definition, sink, source};

/// A rule that a connector breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The rule, in a few words.
    pub rule: &'static str,
    /// What was found, and what was expected.
    pub found: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}", self.rule, self.found)
    }
}

/// What a rule gives: nothing, or what it found.
pub(crate) type Verdict = Result<(), String>;

/// The numbers of the records in a target.
type Written<'a> = Box<dyn Fn() -> Vec<u64> + 'a>;

/// The exam of one connector.
pub struct Exam<'a> {
    factory: &'static ConnectorFactory,
    pub(crate) config: Properties,
    pub(crate) record: Box<dyn Fn(u64) -> ConnectRecord + 'a>,
    pub(crate) written: Option<Written<'a>>,
    pub(crate) patience: Duration,
}

impl<'a> Exam<'a> {
    /// The exam of a registered connector with a configuration with which it works. A source must have at least two
    /// records to give, and always the same; of more than 300 the first 300 are looked at.
    ///
    /// # Panics
    /// If no connector of this binary has the name.
    #[must_use]
    pub fn of(name: &str, config: &[(&str, &str)]) -> Self {
        let factory = find_connector(name).unwrap_or_else(|| {
            let names: Vec<_> = connectors().iter().map(|factory| factory.name).collect();
            panic!(
                "no connector of this test is called {name}; it has {}. Name the crate that registers it: \
                 `use my_crate as _;`",
                names.join(", ")
            )
        });
        let config = config.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let record = Box::new(|number| ConnectRecord {
            topic: Some("exam".into()),
            value: Value::text(format!("record {number}")),
            ..ConnectRecord::default()
        });
        Self { factory, config, record, written: None, patience: Duration::ZERO }
    }

    /// What a sink is given: the record of a number. Without this, the text `record NUMBER`.
    #[must_use]
    pub fn with_records(mut self, record: impl Fn(u64) -> ConnectRecord + 'a) -> Self {
        self.record = Box::new(record);
        self
    }

    /// How to tell the numbers of the records that are in a sink's target now, in their order there. Without this, loss
    /// and repeats are not checked.
    #[must_use]
    pub fn with_written(mut self, written: impl Fn() -> Vec<u64> + 'a) -> Self {
        self.written = Some(Box::new(written));
        self
    }

    /// How long in real time a task may wait for something outside, for tasks with threads of their own. Without this
    /// it may wait for the host only, whose time passes as fast as it is asked for.
    #[must_use]
    pub fn with_patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Asks everything; gives the rules that are broken.
    #[must_use]
    pub fn examine(&self) -> Vec<Violation> {
        let mut broken = definition::examine(self.factory);
        let violated = |rule: &'static str, verdict: Verdict| verdict.err().map(|found| Violation { rule, found });
        match self.factory.build {
            TaskBuilder::Source(build) => {
                let rules = source::rules();
                broken.extend(rules.iter().filter_map(|(rule, ask)| violated(rule, ask(self, build))));
            }
            TaskBuilder::Sink(build) => {
                let rules = sink::rules();
                broken.extend(rules.iter().filter_map(|(rule, ask)| violated(rule, ask(self, build))));
            }
        }
        broken
    }

    /// Asks everything.
    ///
    /// # Panics
    /// If a rule is broken; the message names all that are.
    pub fn pass(&self) {
        fail_if_any(self.factory.name, &self.examine());
    }
}

/// Examines a connector with a configuration with which it works; see [`Exam::of`].
///
/// # Panics
/// If there is no such connector, or it breaks a rule; the message names all rules that are broken.
pub fn check(name: &str, config: &[(&str, &str)]) {
    Exam::of(name, config).pass();
}

/// Asks every connector of this binary what can be asked without an outside system: the part "definition".
///
/// # Panics
/// If one breaks a rule, or there is none.
pub fn check_all() {
    let all = connectors();
    assert!(!all.is_empty(), "no connector is registered; name the crate that does it: `use my_crate as _;`");
    for factory in all {
        fail_if_any(factory.name, &definition::examine(factory));
    }
}

fn fail_if_any(name: &str, broken: &[Violation]) {
    if !broken.is_empty() {
        let list: Vec<_> = broken.iter().map(|violation| format!("\n  {violation}")).collect();
        panic!("{name} breaks {} of the rules for connectors:{}", broken.len(), list.concat());
    }
}
