//! The Java worker's metrics by their names, made from this worker's counters. Pure: reports and the time come in, values go out.
//!
//! A name is here when there is something that it can honestly say. Rates are means since the look before the task was first seen; averages and
//! totals are those of the task since it started; the longest call (`…-max-time-ms`) is that of all tasks of the task's shard.

use std::collections::BTreeMap;
use std::fmt;

use rmqc_core::clock::MonotonicTime;
use rmqc_core::id::TaskId;
use rmqc_core::java_text;
use rmqc_core::metrics::{ShardReport, Step, StepUse, TaskCounters, TaskReport};
use rmqc_core::registry::ConnectorKind;

use crate::controller::{Reports, Snapshot};

const COMMON: &str = "connector-task-metrics";
const SOURCE: &str = "source-task-metrics";
const SINK: &str = "sink-task-metrics";
const ERRORS: &str = "task-error-metrics";

/// What a value is, as Java's registry keys say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JavaKind {
    /// A mean number a second.
    MeanRate,
    /// The largest value.
    Max,
    /// The average value.
    Avg,
    /// A count.
    Counter,
}

impl JavaKind {
    fn name(self) -> &'static str {
        match self {
            Self::MeanRate => "MeanRate",
            Self::Max => "Max",
            Self::Avg => "Avg",
            Self::Counter => "none",
        }
    }
}

/// One value of one task.
#[derive(Clone, Debug, PartialEq)]
pub struct JavaMetric {
    /// `source-task-metrics`, …
    pub group: &'static str,
    /// `source-record-poll-rate`, …
    pub name: &'static str,
    /// What the value is.
    pub kind: JavaKind,
    /// Whose.
    pub task: TaskId,
    /// The value.
    pub value: f64,
}

impl JavaMetric {
    /// The key in Java's registry, `rocketmq.connect:<group>,<name>,<type>,connector=<name>,task=<index>`. What would break a reader
    /// of such keys, or of a message's `KEYS`, is written as in a URL: `%`, `,`, `=`, blanks and control characters.
    #[must_use]
    pub fn registry_key(&self) -> String {
        let Self { group, name, kind, task, .. } = self;
        let connector = encoded(&task.connector);
        format!("rocketmq.connect:{group},{name},{},connector={connector},task={}", kind.name(), task.index)
    }

    /// The value as Java writes a double.
    #[must_use]
    pub fn value_text(&self) -> String {
        java_text::double(self.value)
    }
}

impl fmt::Display for JavaMetric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.value_text())
    }
}

fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c == ',' || c == '=' || c == '%' || c.is_whitespace() || c.is_control() {
            let mut bytes = [0; 4];
            c.encode_utf8(&mut bytes).bytes().for_each(|byte| out.push_str(&format!("%{byte:02X}")));
        } else {
            out.push(c);
        }
    }
    out
}

/// What is remembered of a task between two looks.
#[derive(Clone, Copy, Debug)]
struct Track {
    /// The last look at which there was no such incarnation.
    begin: MonotonicTime,
    last: TaskCounters,
    active_sum: u64,
    active_max: u64,
    looks: u64,
}

impl Track {
    fn new(begin: MonotonicTime) -> Self {
        Self { begin, last: TaskCounters::default(), active_sum: 0, active_max: 0, looks: 0 }
    }

    /// Events a second since the task began.
    fn rate(&self, now: MonotonicTime, count: fn(&TaskCounters) -> u64) -> f64 {
        let seconds = now.saturating_sub(self.begin).as_secs_f64();
        if seconds > 0.0 { count(&self.last) as f64 / seconds } else { 0.0 }
    }
}

/// Makes the values; keeps what rates and averages need. Of tasks that are gone it keeps nothing.
#[derive(Debug, Default)]
pub struct JavaMetrics {
    tracks: BTreeMap<TaskId, Track>,
    last_look: MonotonicTime,
}

impl JavaMetrics {
    /// All values now, task by task. No task may have begun before the clock's origin.
    pub fn take(&mut self, snapshot: &Snapshot, reports: &Reports, now: MonotonicTime) -> Vec<JavaMetric> {
        let mut tracks = BTreeMap::new();
        let mut values = Vec::new();
        let tasks = reports.shards.iter().flat_map(|(_, shard)| shard.tasks.iter().map(move |task| (shard, task)));
        for (shard, report) in tasks {
            let kind = snapshot.connector(&report.task.connector).and_then(|connector| connector.kind());
            // A task that still drains though its connector is gone is no more of anyone's interest.
            let Some(kind) = kind else { continue };
            let track = self.tracked(report);
            let mut of_task = Values { task: &report.task, values: &mut values };
            of_task.common(report, shard, &track);
            match kind {
                ConnectorKind::Source => of_task.source(report, shard, &track, now),
                ConnectorKind::Sink => of_task.sink(report, shard, &track, now),
            }
            tracks.insert(report.task.clone(), track);
        }
        (self.tracks, self.last_look) = (tracks, now);
        values
    }

    fn tracked(&self, report: &TaskReport) -> Track {
        let counters = report.counters;
        let known = self.tracks.get(&report.task).copied();
        // A new incarnation counts from zero again.
        let goes_on = known
            .filter(|track| track.last.records_in <= counters.records_in && track.last.batches <= counters.batches);
        let mut track = goes_on.unwrap_or_else(|| Track::new(self.last_look));
        track.last = counters;
        track.looks = track.looks.saturating_add(1);
        track.active_sum = track.active_sum.saturating_add(counters.records_uncommitted);
        track.active_max = track.active_max.max(counters.records_uncommitted);
        track
    }
}

/// Collects the values of one task.
struct Values<'a> {
    task: &'a TaskId,
    values: &'a mut Vec<JavaMetric>,
}

impl Values<'_> {
    fn push(&mut self, group: &'static str, name: &'static str, kind: JavaKind, value: f64) {
        self.values.push(JavaMetric { group, name, kind, task: self.task.clone(), value });
    }

    fn count(&mut self, group: &'static str, name: &'static str, value: u64) {
        self.push(group, name, JavaKind::Counter, value as f64);
    }

    /// The longest and the average run of a step, in milliseconds.
    fn times(
        &mut self,
        group: &'static str,
        names: [&'static str; 2],
        step: Step,
        report: &TaskReport,
        shard: &ShardReport,
    ) {
        let [max, avg] = names;
        let longest = shard.steps.iter().find(|(one, _)| *one == step).map(|(_, micros)| micros.max());
        if let Some(micros) = longest {
            self.push(group, max, JavaKind::Max, micros as f64 / 1e3);
        }
        if let Some(used) = used(report, step) {
            self.push(group, avg, JavaKind::Avg, ratio(used.busy_us, used.runs) / 1e3);
        }
    }

    fn common(&mut self, report: &TaskReport, shard: &ShardReport, track: &Track) {
        let counters = &track.last;
        self.times(COMMON, ["offset-commit-max-time-ms", "offset-commit-avg-time-ms"], Step::Commit, report, shard);
        self.push(COMMON, "batch-size-avg", JavaKind::Avg, ratio(counters.records_out, counters.batches));
        self.count(COMMON, "offset-commit-success-count", counters.commits);
        let given_up = counters.records_skipped.saturating_add(counters.dead_letters);
        self.count(ERRORS, "total-record-failures", given_up);
        self.count(ERRORS, "total-record-errors", given_up.saturating_add(counters.retries));
        self.count(ERRORS, "total-records-skipped", given_up);
        self.count(ERRORS, "total-retries", counters.retries);
    }

    fn source(&mut self, report: &TaskReport, shard: &ShardReport, track: &Track, now: MonotonicTime) {
        let counters = &track.last;
        self.push(SOURCE, "source-record-poll-rate", JavaKind::MeanRate, track.rate(now, |c| c.records_in));
        self.count(SOURCE, "source-record-poll-total", counters.records_in);
        self.push(SOURCE, "source-record-write-rate", JavaKind::MeanRate, track.rate(now, |c| c.records_out));
        self.count(SOURCE, "source-record-write-total", counters.records_out);
        self.times(SOURCE, ["poll-batch-max-time-ms", "poll-batch-avg-time-ms"], Step::Poll, report, shard);
        self.push(SOURCE, "source-record-active-count-max", JavaKind::Max, track.active_max as f64);
        self.push(SOURCE, "source-record-active-count-avg", JavaKind::Avg, ratio(track.active_sum, track.looks));
    }

    fn sink(&mut self, report: &TaskReport, shard: &ShardReport, track: &Track, now: MonotonicTime) {
        let counters = &track.last;
        self.push(SINK, "sink-record-read-rate", JavaKind::MeanRate, track.rate(now, |c| c.records_in));
        self.count(SINK, "sink-record-read-total", counters.records_in);
        self.push(SINK, "sink-record-send-rate", JavaKind::MeanRate, track.rate(now, |c| c.records_out));
        self.count(SINK, "sink-record-send-total", counters.records_out);
        self.push(SINK, "offset-commit-completion-rate", JavaKind::MeanRate, track.rate(now, |c| c.commits));
        self.count(SINK, "offset-commit-completion-total", counters.commits);
        self.times(SINK, ["put-batch-max-time-ms", "put-batch-avg-time-ms"], Step::Put, report, shard);
    }
}

fn used(report: &TaskReport, step: Step) -> Option<StepUse> {
    report.steps.iter().find(|(one, _)| *one == step).map(|(_, used)| *used)
}

fn ratio(sum: u64, count: u64) -> f64 {
    if count == 0 { 0.0 } else { sum as f64 / count as f64 }
}

/// Records a second of all sources and all sinks, between two looks.
#[derive(Debug, Default)]
pub struct Pace {
    at: MonotonicTime,
    counted: BTreeMap<TaskId, u64>,
}

impl Pace {
    /// Records that sources polled and that sinks delivered since the last look, a second; at first since the start of the tasks.
    pub fn take(&mut self, snapshot: &Snapshot, reports: &Reports, now: MonotonicTime) -> (f64, f64) {
        let (mut source, mut sink) = (0_u64, 0_u64);
        let mut counted = BTreeMap::new();
        for report in reports.shards.iter().flat_map(|(_, shard)| &shard.tasks) {
            let kind = snapshot.connector(&report.task.connector).and_then(|connector| connector.kind());
            let (sum, count) = match kind {
                Some(ConnectorKind::Source) => (&mut source, report.counters.records_in),
                Some(ConnectorKind::Sink) => (&mut sink, report.counters.records_out),
                None => continue,
            };
            let before = self.counted.get(&report.task).copied().filter(|before| *before <= count).unwrap_or(0);
            *sum = sum.saturating_add(count.saturating_sub(before));
            counted.insert(report.task.clone(), count);
        }
        let seconds = now.saturating_sub(self.at).as_secs_f64();
        (self.at, self.counted) = (now, counted);
        let pace = |records: u64| if seconds > 0.0 { records as f64 / seconds } else { 0.0 };
        (pace(source), pace(sink))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use rmqc_core::config::key::ConfigErrors;
    use rmqc_core::error::{ConnectError, Stage};
    use rmqc_core::id::ShardId;
    use rmqc_core::registry::{ConnectorFactory, TaskBuilder};
    use rmqc_core::state::TargetState;

    use super::*;
    use crate::controller::ConnectorView;

    const fn factory(build: TaskBuilder) -> ConnectorFactory {
        ConnectorFactory {
            name: "x",
            java_class: "x.X",
            java_task_class: "x.T",
            keys: &[],
            validate: |_| Ok(()),
            task_configs: |_, _| Err(ConfigErrors(Vec::new())),
            shardable: false,
            build,
        }
    }

    static SOURCE_FACTORY: ConnectorFactory =
        factory(TaskBuilder::Source(|_| Err(ConnectError::fatal(Stage::Lifecycle, "never built"))));
    static SINK_FACTORY: ConnectorFactory =
        factory(TaskBuilder::Sink(|_| Err(ConnectError::fatal(Stage::Lifecycle, "never built"))));

    fn snapshot() -> Snapshot {
        let view = |name: &str, factory| ConnectorView {
            name: name.to_owned(),
            properties: Arc::default(),
            target: TargetState::Started,
            factory: Some(factory),
            failure: None,
            last_change: None,
            tasks: Vec::new(),
        };
        let connectors = vec![view("in", &SOURCE_FACTORY), view("out", &SINK_FACTORY)];
        Snapshot { connectors, ..Snapshot::default() }
    }

    fn reports(records: u64) -> Reports {
        let counters = TaskCounters {
            records_in: records,
            records_out: records / 2,
            records_skipped: 1,
            dead_letters: 2,
            retries: 4,
            batches: 10,
            commits: 5,
            records_uncommitted: records / 10,
            ..TaskCounters::default()
        };
        let used = StepUse { runs: 4, records: 8, busy_us: 10_000, starved_us: 0, blocked_us: 0 };
        let steps = vec![(Step::Poll, used), (Step::Put, used), (Step::Commit, used)];
        let task = |name: &str| TaskReport { counters, steps: steps.clone(), ..TaskReport::new(TaskId::new(name, 0)) };
        let mut micros = hdrhistogram::Histogram::new(3).unwrap();
        micros.record(7_000).unwrap();
        let steps = vec![(Step::Put, micros)];
        let report =
            ShardReport { tasks: vec![task("in"), task("out"), task("gone")], steps, ..ShardReport::default() };
        Reports { shards: vec![(ShardId(0), Arc::new(report))], missing: Vec::new() }
    }

    #[test]
    fn names_say_what_they_promise() {
        let mut metrics = JavaMetrics::default();
        metrics.take(&snapshot(), &reports(100), Duration::from_secs(1));
        let values = metrics.take(&snapshot(), &reports(300), Duration::from_secs(10));
        let value = |connector: &str, name: &str| {
            values.iter().find(|one| one.name == name && *one.task.connector == *connector).map(|one| one.value)
        };
        let table = [
            ("in", "source-record-poll-rate", 30.0),
            ("in", "source-record-poll-total", 300.0),
            ("in", "source-record-write-rate", 15.0),
            ("in", "source-record-write-total", 150.0),
            ("in", "source-record-active-count-max", 30.0),
            ("in", "source-record-active-count-avg", 20.0),
            ("in", "poll-batch-avg-time-ms", 2.5),
            ("out", "sink-record-read-total", 300.0),
            ("out", "sink-record-send-rate", 15.0),
            ("out", "sink-record-send-total", 150.0),
            ("out", "offset-commit-completion-total", 5.0),
            ("out", "put-batch-max-time-ms", 7.0),
            ("out", "put-batch-avg-time-ms", 2.5),
            ("out", "batch-size-avg", 15.0),
            ("out", "total-record-failures", 3.0),
            ("out", "total-record-errors", 7.0),
            ("out", "total-retries", 4.0),
        ];
        for (connector, name, expected) in table {
            let found = value(connector, name).unwrap_or_else(|| panic!("no {name} of {connector}: {values:?}"));
            assert!((found - expected).abs() <= expected * 0.001, "{name}: {found}, expected {expected}");
        }
        assert_eq!(value("in", "sink-record-read-total"), None);
        assert!(values.iter().all(|one| &*one.task.connector != "gone"));
    }

    #[test]
    fn a_task_that_starts_again_has_a_new_rate() {
        let mut metrics = JavaMetrics::default();
        metrics.take(&snapshot(), &reports(1_000), Duration::from_secs(0));
        metrics.take(&snapshot(), &reports(10), Duration::from_secs(10));
        let values = metrics.take(&snapshot(), &reports(110), Duration::from_secs(20));
        let rate = values.iter().find(|one| one.name == "source-record-poll-rate").unwrap();
        assert_eq!(rate.value, 5.5, "since the look at which it had not begun");
        let key = "rocketmq.connect:source-task-metrics,source-record-poll-rate,MeanRate,connector=in,task=0";
        assert_eq!((rate.registry_key(), rate.value_text()), (key.to_owned(), "5.5".to_owned()));
    }

    #[test]
    fn the_pace_is_that_of_the_last_interval_on_both_sides() {
        let mut pace = Pace::default();
        pace.take(&snapshot(), &reports(1_000), Duration::from_secs(10));
        assert_eq!(pace.take(&snapshot(), &reports(1_600), Duration::from_secs(70)), (10.0, 5.0));
        assert_eq!(pace.take(&snapshot(), &reports(1_600), Duration::from_secs(130)), (0.0, 0.0));
    }
}
