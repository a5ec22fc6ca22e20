//! Makes the metrics' values from reports and views.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use rmqc_core::command::ShardHealth;
use rmqc_core::id::TaskId;
use rmqc_core::metrics::{ShardReport, Span, TaskCounters, TaskReport};
use rmqc_core::registry::ConnectorKind;
use rmqc_core::state::{TargetState, TaskState};

use super::Seen;
use super::catalogue::{self as c, Metric};
use super::family::{Family, Value};
use super::spread::seconds;
use crate::controller::standalone::connector_state;
use crate::controller::{ConnectorView, Reports, Snapshot};
use crate::health::Health;
use crate::worker::TaskView;

/// Tasks shown; further ones are only counted.
pub const TASKS_MAX: usize = 1000;
/// Connectors shown.
pub const CONNECTORS_MAX: usize = 500;
/// Queues shown.
pub const QUEUES_MAX: usize = 1000;

/// States of a connector.
const CONNECTOR_STATES: [&str; 4] = ["RUNNING", "PAUSED", "STOPPED", "FAILED"];

/// All metrics but those of the process itself, in the order of the catalogue.
#[must_use]
pub fn families(seen: &Seen<'_>) -> Vec<Family> {
    let mut families = worker(seen);
    shards(seen, &mut families);
    connectors(seen, &mut families);
    tasks(seen, &mut families);
    families
}

fn worker(seen: &Seen<'_>) -> Vec<Family> {
    let mut build = Family::new(c::BUILD);
    build.push(&[seen.version, seen.commit], true);
    let mut driver = Family::new(c::DRIVER);
    driver.push(&[seen.plane.driver.name(), &seen.plane.driver_reason], true);
    let mut pin = Family::new(c::PIN);
    pin.push(&[if seen.plane.pinned { "true" } else { "false" }, &seen.plane.pin_reason], true);
    let uptime = Family::single(c::UPTIME, seen.uptime.as_secs_f64());
    let mut requests = Family::new(c::REST_REQUESTS);
    seen.rest_requests.iter().for_each(|(code, count)| requests.push(&[code], *count));
    let mut failures = Family::new(c::REPORTER_FAILURES);
    seen.reporter_failures.iter().for_each(|(reporter, count)| failures.push(&[reporter], *count));
    let dropped = Family::single(c::SPANS_DROPPED, seen.spans_dropped);
    vec![build, driver, pin, uptime, requests, failures, dropped]
}

/// A metric of one item, and where its value is.
type Column<T> = (&'static Metric, fn(&T) -> Value);

const SHARD_HEALTH: &[Column<ShardHealth>] = &[
    (c::SHARD_PROGRESS, |shard| shard.progress.into()),
    (c::SHARD_KICKS, |shard| shard.kicks.into()),
    (c::SHARD_REPLACED, |shard| shard.replaced.into()),
    (c::SHARD_COMMANDS, |shard| shard.commands_waiting.into()),
];

const SHARD_REPORT: &[Column<ShardReport>] = &[
    (c::SHARD_TASKS, |shard| shard.tasks.len().into()),
    (c::SHARD_CPU, |shard| seconds(shard.cpu_us).into()),
    (c::SHARD_STALLS, |shard| shard.stalls.into()),
    (c::SHARD_STALLED, |shard| seconds(shard.stalled_us).into()),
    (c::SHARD_CONNECTIONS, |shard| shard.connections.into()),
    (c::SHARD_RECEIVED, |shard| shard.bytes_received.into()),
    (c::SHARD_SENT, |shard| shard.bytes_sent.into()),
    (c::SHARD_MOVED, |shard| shard.bytes_moved.into()),
    (c::SHARD_SPANS_DROPPED, |shard| shard.spans_dropped.into()),
];

fn shards(seen: &Seen<'_>, families: &mut Vec<Family>) {
    for (metric, value) in SHARD_HEALTH {
        let mut family = Family::new(metric);
        seen.shards.iter().for_each(|shard| family.push(&[&shard.shard.0.to_string()], value(shard)));
        families.push(family);
    }
    for (metric, value) in SHARD_REPORT {
        let mut family = Family::new(metric);
        seen.reports.shards.iter().for_each(|(shard, report)| family.push(&[&shard.0.to_string()], value(report)));
        families.push(family);
    }
    let mut steps = Family::new(c::SHARD_STEP);
    for (shard, report) in &seen.reports.shards {
        for (step, micros) in &report.steps {
            steps.push(&[&shard.0.to_string(), step.name()], Value::Micros(Box::new(micros.clone())));
        }
    }
    families.push(steps);
    families.push(Family::single(c::SHARDS_UNREPORTED, seen.reports.missing.len()));
}

/// State of a connector as `/v1` shows it.
fn state_of(connector: &ConnectorView) -> &'static str {
    match (&connector.failure, connector.target) {
        (None, TargetState::Stopped) => TargetState::Stopped.name(),
        _ => connector_state(connector),
    }
}

fn kind_of(connector: &ConnectorView) -> &'static str {
    match connector.kind() {
        Some(ConnectorKind::Source) => "source",
        Some(ConnectorKind::Sink) => "sink",
        None => "unknown",
    }
}

/// The latencies of all tasks of each connector taken together, by connector and span.
fn merged_latencies(reports: &Reports) -> BTreeMap<(String, Span), Histogram<u64>> {
    let mut of_connectors: BTreeMap<&str, Vec<&TaskReport>> = BTreeMap::new();
    for task in reports.shards.iter().flat_map(|(_, report)| &report.tasks) {
        of_connectors.entry(&task.task.connector).or_default().push(task);
    }
    let mut merged = BTreeMap::new();
    for (name, tasks) in of_connectors {
        merged.extend(latencies_together(tasks).into_iter().map(|(span, micros)| ((name.to_owned(), span), micros)));
    }
    merged
}

/// The latencies of some tasks taken together, by span.
#[must_use]
pub fn latencies_together<'t>(tasks: impl IntoIterator<Item = &'t TaskReport>) -> BTreeMap<Span, Histogram<u64>> {
    let mut together: BTreeMap<Span, Histogram<u64>> = BTreeMap::new();
    for (task, latency) in tasks.into_iter().flat_map(|task| task.latencies.iter().map(move |latency| (task, latency)))
    {
        match together.entry(latency.span) {
            std::collections::btree_map::Entry::Vacant(vacant) => {
                let mut micros = latency.micros.clone();
                micros.auto(true);
                vacant.insert(micros);
            }
            std::collections::btree_map::Entry::Occupied(mut sum) => {
                // It grows as needed; what could fail is the memory for it, which is a few kilobytes.
                if let Err(error) = sum.get_mut().add(&latency.micros) {
                    tracing::warn!("the latencies of {} are left out of its connector's: {error}", task.task);
                }
            }
        }
    }
    together
}

fn connectors(seen: &Seen<'_>, families: &mut Vec<Family>) {
    let all = &seen.snapshot.connectors;
    let shown = all.get(..CONNECTORS_MAX.min(all.len())).unwrap_or_default();
    families.push(Family::single(c::CONNECTORS, all.len()));
    families.push(Family::single(c::CONNECTORS_NOT_SHOWN, all.len().saturating_sub(shown.len())));
    let mut info = Family::new(c::CONNECTOR);
    let mut states = Family::new(c::CONNECTOR_STATE);
    let mut health = Family::new(c::CONNECTOR_HEALTH);
    let mut restarts = Family::new(c::CONNECTOR_RESTARTS);
    let mut latencies = Family::new(c::CONNECTOR_LATENCY);
    let mut merged = merged_latencies(seen.reports);
    for connector in shown {
        let name = connector.name.as_str();
        let class = connector.properties.get("connector.class").map_or("", String::as_str);
        info.push(&[name, kind_of(connector), class], true);
        let present = state_of(connector);
        for state in CONNECTOR_STATES {
            states.push(&[name, state], state == present);
        }
        if let Some(own) = seen.health.get(name) {
            for one in Health::ALL {
                health.push(&[name, one.name()], one == own.health);
            }
        }
        restarts.push(&[name], connector.tasks.iter().map(|task| task.restarts_total).fold(0, u64::saturating_add));
        for span in [Span::RecordToAck, Span::RecordToPut, Span::StoreToPut] {
            if let Some(micros) = merged.remove(&(name.to_owned(), span)) {
                latencies.push(&[name, span.name()], Value::Micros(Box::new(micros)));
            }
        }
    }
    families.extend([info, states, health, restarts, latencies]);
}

const TASK_COUNTERS: &[Column<TaskCounters>] = &[
    (c::TASK_RECORDS_IN, |c| c.records_in.into()),
    (c::TASK_RECORDS_OUT, |c| c.records_out.into()),
    (c::TASK_FILTERED, |c| c.records_filtered.into()),
    (c::TASK_SKIPPED, |c| c.records_skipped.into()),
    (c::TASK_DEAD_LETTERS, |c| c.dead_letters.into()),
    (c::TASK_IN_BYTES, |c| c.bytes_in.into()),
    (c::TASK_OUT_BYTES, |c| c.bytes_out.into()),
    (c::TASK_COPIED_BYTES, |c| c.bytes_copied.into()),
    (c::TASK_BATCHES, |c| c.batches.into()),
    (c::TASK_RETRIES, |c| c.retries.into()),
    (c::TASK_COMMITS, |c| c.commits.into()),
    (c::TASK_COMMITTED, |c| c.records_committed.into()),
    (c::TASK_UNCOMMITTED, |c| c.records_uncommitted.into()),
    (c::TASK_BLOCKED, |c| seconds(c.blocked_us).into()),
];

fn tasks(seen: &Seen<'_>, families: &mut Vec<Family>) {
    states(seen.snapshot, families);
    // By id, so that a task that two shards tell of while it moves is there once.
    let all = seen.reports.shards.iter().flat_map(|(_, report)| &report.tasks);
    let all: BTreeMap<&TaskId, &TaskReport> = all.map(|report| (&report.task, report)).collect();
    families.push(Family::single(c::TASKS_NOT_SHOWN, all.len().saturating_sub(TASKS_MAX)));
    let views: Vec<&TaskView> =
        seen.snapshot.connectors.iter().flat_map(|connector| &connector.tasks).take(TASKS_MAX).collect();
    task_views(seen, &views, families);
    let shown: Vec<Shown<'_>> = all.into_values().take(TASKS_MAX).map(Shown::of).collect();
    for (metric, value) in TASK_COUNTERS {
        let mut family = Family::new(metric);
        shown.iter().for_each(|one| family.push(&one.labels(), value(&one.report.counters)));
        families.push(family);
    }
    steps(&shown, families);
    waiting(&shown, families);
    windows(&shown, families);
    queues(&shown, families);
}

/// A task that is shown, with its index as text.
struct Shown<'a> {
    report: &'a TaskReport,
    index: String,
}

impl<'a> Shown<'a> {
    fn of(report: &'a TaskReport) -> Self {
        Self { report, index: report.task.index.to_string() }
    }

    fn labels(&self) -> [&str; 2] {
        [&self.report.task.connector, &self.index]
    }
}

fn states(snapshot: &Snapshot, families: &mut Vec<Family>) {
    let mut family = Family::new(c::TASKS);
    for state in TaskState::ALL {
        let all = snapshot.connectors.iter().flat_map(|one| &one.tasks).chain(&snapshot.leaving);
        family.push(&[&state.to_string()], all.filter(|task| task.state == state).count());
    }
    families.push(family);
}

fn task_views(seen: &Seen<'_>, views: &[&TaskView], families: &mut Vec<Family>) {
    let mut states = Family::new(c::TASK_STATE);
    let mut health = Family::new(c::TASK_HEALTH);
    let mut restarts = Family::new(c::TASK_RESTARTS);
    for view in views {
        let (connector, index) = (view.task.connector.as_ref(), view.task.index.to_string());
        for state in TaskState::ALL {
            states.push(&[connector, &index, &state.to_string()], state == view.state);
        }
        let of_connector = seen.health.get(connector).map(|one| one.tasks.as_slice()).unwrap_or_default();
        if let Some((_, own, _)) = of_connector.iter().find(|(index, ..)| *index == view.task.index) {
            for one in Health::ALL {
                health.push(&[connector, &index, one.name()], one == *own);
            }
        }
        restarts.push(&[connector, &index], view.restarts_total);
    }
    families.extend([states, health, restarts]);
}

fn steps(shown: &[Shown<'_>], families: &mut Vec<Family>) {
    let mut time = Family::new(c::TASK_STEP);
    let mut runs = Family::new(c::TASK_STEP_RUNS);
    let mut records = Family::new(c::TASK_STEP_RECORDS);
    for one in shown {
        let [connector, task] = one.labels();
        for (step, used) in &one.report.steps {
            let step = step.name();
            for (state, micros) in [("busy", used.busy_us), ("starved", used.starved_us), ("blocked", used.blocked_us)]
            {
                time.push(&[connector, task, step, state], seconds(micros));
            }
            runs.push(&[connector, task, step], used.runs);
            records.push(&[connector, task, step], used.records);
        }
    }
    families.extend([time, runs, records]);
}

fn waiting(shown: &[Shown<'_>], families: &mut Vec<Family>) {
    let mut records = Family::new(c::TASK_LAG_RECORDS);
    let mut age = Family::new(c::TASK_LAG_SECONDS);
    let mut holding = Family::new(c::TASK_HOLDING);
    let mut held = Family::new(c::TASK_HOLDING_SECONDS);
    for one in shown {
        let [connector, task] = one.labels();
        if let Some(lag) = one.report.lag_records {
            records.push(&one.labels(), lag);
        }
        if let Some(lag_ms) = one.report.lag_ms {
            age.push(&one.labels(), seconds(lag_ms.saturating_mul(1000)));
        }
        holding.push(&one.labels(), one.report.holding.is_some());
        if let Some(call) = &one.report.holding {
            held.push(&[connector, task, call.stage], seconds(call.since_ms.saturating_mul(1000)));
        }
    }
    families.extend([records, age, holding, held]);
}

const WINDOWS: &[Column<TaskReport>] = &[
    (c::TASK_WINDOW_RECORDS, |task| task.window.records.into()),
    (c::TASK_WINDOW_RECORDS_MAX, |task| task.window.records_max.into()),
    (c::TASK_WINDOW_BYTES, |task| task.window.bytes.into()),
    (c::TASK_WINDOW_BYTES_MAX, |task| task.window.bytes_max.into()),
    (c::TASK_BATCH_RECORDS_MAX, |task| task.window.batch_records_max.into()),
];

fn windows(shown: &[Shown<'_>], families: &mut Vec<Family>) {
    for (metric, value) in WINDOWS {
        let mut family = Family::new(metric);
        shown.iter().for_each(|one| family.push(&one.labels(), value(one.report)));
        families.push(family);
    }
    let mut fill = Family::new(c::TASK_BATCH_FILL);
    for one in shown {
        if let Some(ratio) = batch_fill(&one.report.counters, one.report.window.batch_records_max) {
            fill.push(&one.labels(), ratio);
        }
    }
    families.push(fill);
}

/// How full batches were, from 0 to 1; none before the first one, or without a bound.
fn batch_fill(counters: &TaskCounters, batch_records_max: u64) -> Option<f64> {
    let room = counters.batches.checked_mul(batch_records_max).filter(|room| *room > 0)?;
    Some((counters.records_out as f64 / room as f64).min(1.0))
}

fn queues(shown: &[Shown<'_>], families: &mut Vec<Family>) {
    let mut done = Family::new(c::QUEUE_DONE);
    let mut end = Family::new(c::QUEUE_END);
    let mut records = Family::new(c::QUEUE_LAG_RECORDS);
    let mut age = Family::new(c::QUEUE_LAG_SECONDS);
    let all = shown.iter().flat_map(|one| one.report.queues.iter().map(move |queue| (one, queue)));
    for (one, queue) in all.clone().take(QUEUES_MAX) {
        let ([connector, task], id) = (one.labels(), queue.queue_id.to_string());
        let labels = [connector, task, &queue.topic, &queue.broker, &id];
        done.push(&labels, offset(queue.done));
        if let Some(after_last) = queue.end {
            end.push(&labels, offset(after_last));
        }
        if let Some(lag) = queue.lag_records {
            records.push(&labels, lag);
        }
        if let Some(lag_ms) = queue.lag_ms {
            age.push(&labels, seconds(lag_ms.saturating_mul(1000)));
        }
    }
    let left_out = all.count().saturating_sub(QUEUES_MAX);
    families.extend([done, end, records, age, Family::single(c::QUEUES_NOT_SHOWN, left_out)]);
}

/// An offset; one below 0 means that there is none yet.
fn offset(offset: i64) -> Value {
    u64::try_from(offset).map_or(Value::Real(-1.0), Value::Whole)
}
