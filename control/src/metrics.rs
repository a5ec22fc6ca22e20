//! The `/metrics` page, in Prometheus' text form. Labels come from a closed set: shards, states, and the tasks that
//! exist, of which at most [`TASKS_MAX`] are shown.

use std::fmt::{Display, Write as _};

use rmqc_core::command::{DataPlaneInfo, ShardHealth};
use rmqc_core::metrics::{Span, TaskCounters, TaskReport};
use rmqc_core::state::TaskState;

use crate::controller::{Reports, Snapshot};

/// Tasks on the page; further ones are only counted.
pub const TASKS_MAX: usize = 1000;
/// Characters of a connector's name in a label.
const LABEL_CHARS_MAX: usize = 120;

/// A metric of one task: name, help, and where its value is.
type TaskMetric = (&'static str, &'static str, fn(&TaskCounters) -> u64);

/// Counters of tasks.
const TASK_COUNTERS: &[TaskMetric] = &[
    ("rmqc_task_records_in_total", "Records polled from the source or pulled from the broker.", |c| c.records_in),
    ("rmqc_task_records_out_total", "Records confirmed by the broker or accepted by the sink.", |c| c.records_out),
    ("rmqc_task_records_filtered_total", "Records dropped on purpose by the chain.", |c| c.records_filtered),
    ("rmqc_task_records_skipped_total", "Bad records given up without a dead letter.", |c| c.records_skipped),
    ("rmqc_task_dead_letters_total", "Bad records given up, their dead letters stored.", |c| c.dead_letters),
    ("rmqc_task_in_bytes_total", "Payload bytes in.", |c| c.bytes_in),
    ("rmqc_task_out_bytes_total", "Payload bytes out.", |c| c.bytes_out),
    ("rmqc_task_copied_bytes_total", "Payload bytes copied in user space.", |c| c.bytes_copied),
    ("rmqc_task_batches_total", "Batches sent to the broker or put to the sink.", |c| c.batches),
    ("rmqc_task_retries_total", "Calls that were tried again.", |c| c.retries),
    ("rmqc_task_commits_total", "Commits that became durable.", |c| c.commits),
    ("rmqc_task_records_committed_total", "Records behind those commits.", |c| c.records_committed),
    ("rmqc_task_blocked_microseconds_total", "Time spent waiting for room in the in-flight window.", |c| c.blocked_us),
];

/// Gauges of tasks.
const TASK_GAUGES: &[TaskMetric] =
    &[("rmqc_task_records_uncommitted", "Records handed on and not yet committed.", |c| c.records_uncommitted)];

/// Writes the page.
#[must_use]
pub fn page(
    version: &str,
    plane: &DataPlaneInfo,
    health: &[ShardHealth],
    snapshot: &Snapshot,
    reports: &Reports,
) -> String {
    let mut page = Page::default();
    page.head("rmqc_build_info", "gauge", "The program.");
    page.line("rmqc_build_info", &[("version", version)], 1);
    page.head("rmqc_driver_info", "gauge", "The I/O driver that runs, and why.");
    page.line("rmqc_driver_info", &[("driver", plane.driver.name()), ("reason", &plane.driver_reason)], 1);
    page.head("rmqc_pin_info", "gauge", "Whether shards are pinned, and why.");
    page.line(
        "rmqc_pin_info",
        &[("pinned", if plane.pinned { "true" } else { "false" }), ("reason", &plane.pin_reason)],
        1,
    );
    shards(&mut page, health, reports);
    states(&mut page, snapshot);
    tasks(&mut page, reports);
    page.text
}

fn shards(page: &mut Page, health: &[ShardHealth], reports: &Reports) {
    type Metric = (&'static str, &'static str, &'static str, fn(&ShardHealth) -> u64);
    let seen: [Metric; 4] = [
        ("rmqc_shard_progress_total", "counter", "Turns of the control loop.", |shard| shard.progress),
        ("rmqc_shard_kicks_total", "counter", "Kicks by the watchdog that were needed.", |shard| shard.kicks),
        ("rmqc_shard_replaced_total", "counter", "Executors that were replaced.", |shard| shard.replaced),
        ("rmqc_shard_commands_waiting", "gauge", "Commands that wait.", |shard| {
            u64::try_from(shard.commands_waiting).unwrap_or(u64::MAX)
        }),
    ];
    for (name, kind, help, value) in seen {
        page.head(name, kind, help);
        for shard in health {
            page.line(name, &[("shard", &shard.shard.0.to_string())], value(shard));
        }
    }
    type Told = (&'static str, &'static str, &'static str, fn(&rmqc_core::metrics::ShardReport) -> u64);
    let told: [Told; 4] = [
        (
            "rmqc_shard_moved_bytes_total",
            "counter",
            "Received bytes moved in user space because their frame was larger than any before it.",
            |shard| shard.bytes_moved,
        ),
        ("rmqc_shard_connections", "gauge", "Open broker connections.", |shard| shard.connections),
        ("rmqc_shard_received_bytes_total", "counter", "Bytes read from brokers.", |shard| shard.bytes_received),
        ("rmqc_shard_sent_bytes_total", "counter", "Bytes written to brokers.", |shard| shard.bytes_sent),
    ];
    for (name, kind, help, value) in told {
        page.head(name, kind, help);
        for (shard, report) in &reports.shards {
            page.line(name, &[("shard", &shard.0.to_string())], value(report));
        }
    }
    page.head(
        "rmqc_shards_unreported",
        "gauge",
        "Shards that did not send their counters in time; theirs are missing here.",
    );
    page.line("rmqc_shards_unreported", &[], reports.missing.len());
}

fn states(page: &mut Page, snapshot: &Snapshot) {
    page.head("rmqc_connectors", "gauge", "Connectors.");
    page.line("rmqc_connectors", &[], snapshot.connectors.len());
    page.head("rmqc_tasks", "gauge", "Tasks by state.");
    for state in TaskState::ALL {
        let all = snapshot.connectors.iter().flat_map(|one| &one.tasks).chain(&snapshot.leaving);
        page.line("rmqc_tasks", &[("state", &state.to_string())], all.filter(|task| task.state == state).count());
    }
}

fn tasks(page: &mut Page, reports: &Reports) {
    let all: Vec<&TaskReport> = reports.shards.iter().flat_map(|(_, report)| &report.tasks).collect();
    let shown = all.get(..TASKS_MAX.min(all.len())).unwrap_or_default();
    page.head("rmqc_tasks_not_shown", "gauge", "Tasks whose counters are left out of this page.");
    page.line("rmqc_tasks_not_shown", &[], all.len() - shown.len());
    for (kind, metrics) in [("counter", TASK_COUNTERS), ("gauge", TASK_GAUGES)] {
        for (name, help, value) in metrics {
            page.head(name, kind, help);
            for report in shown {
                let index = report.task.index.to_string();
                page.line(name, &[("connector", &report.task.connector), ("task", &index)], value(&report.counters));
            }
        }
    }
    let name = "rmqc_task_lag_records";
    page.head(name, "gauge", "Sinks: messages in the task's queues that it has not delivered, as of its last pulls.");
    for (report, lag) in shown.iter().filter_map(|report| Some((report, report.lag_records?))) {
        let index = report.task.index.to_string();
        page.line(name, &[("connector", &report.task.connector), ("task", &index)], lag);
    }
    let name = "rmqc_task_holding";
    page.head(name, "gauge", "Whether the task waits to try a failed call again: 1 while it does.");
    for report in shown {
        let index = report.task.index.to_string();
        let holding = u8::from(report.holding.is_some());
        page.line(name, &[("connector", &report.task.connector), ("task", &index)], holding);
    }
    let name = "rmqc_task_latency_microseconds";
    page.head(name, "summary", "Sinks: from a record's timestamp to its being put.");
    for report in shown {
        let Some(latency) = report.latencies.iter().find(|latency| latency.span == Span::RecordToPut) else { continue };
        let histogram = &latency.micros;
        let index = report.task.index.to_string();
        let (connector, task) = (("connector", report.task.connector.as_ref()), ("task", index.as_str()));
        for (label, quantile) in [("0.5", 0.5), ("0.9", 0.9), ("0.99", 0.99), ("0.999", 0.999)] {
            page.line(name, &[connector, task, ("quantile", label)], histogram.value_at_quantile(quantile));
        }
        let sum: u128 = histogram
            .iter_recorded()
            .map(|step| u128::from(step.value_iterated_to()) * u128::from(step.count_at_value()))
            .sum();
        page.line(&format!("{name}_sum"), &[connector, task], sum);
        page.line(&format!("{name}_count"), &[connector, task], histogram.len());
    }
}

/// The page as it is written.
#[derive(Default)]
struct Page {
    text: String,
}

impl Page {
    // Writing to a String can't fail, so results are dropped here.
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn line(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        self.text.push_str(name);
        for (index, (label, text)) in labels.iter().enumerate() {
            let _ = write!(self.text, "{}{label}=\"{}\"", if index == 0 { '{' } else { ',' }, escaped(text));
        }
        let _ = writeln!(self.text, "{} {value}", if labels.is_empty() { "" } else { "}" });
    }
}

/// A label's text, bounded, with `\`, `"` and line ends escaped.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars().take(LABEL_CHARS_MAX) {
        match c {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use rmqc_core::command::DriverKind;
    use rmqc_core::id::{ShardId, TaskId};
    use rmqc_core::metrics::{Holding, Latency, ShardReport};

    use super::*;

    #[test]
    fn the_page_holds_driver_shards_and_tasks_with_escaped_labels() {
        let plane = DataPlaneInfo {
            driver: DriverKind::Epoll,
            driver_reason: "asked \"so\"".to_owned(),
            shards: 1,
            pinned: false,
            pin_reason: "two CPUs".to_owned(),
            cpus: Vec::new(),
        };
        let health = ShardHealth {
            shard: ShardId(0),
            progress: 7,
            since_progress: Duration::ZERO,
            kicks: 1,
            replaced: 0,
            commands_waiting: 2,
        };
        let mut histogram = hdrhistogram::Histogram::new(3).unwrap();
        histogram.record_n(5, 10).unwrap();
        let task = TaskReport {
            counters: TaskCounters { records_in: 9, ..TaskCounters::default() },
            latencies: vec![Latency { span: Span::RecordToPut, micros: histogram }],
            lag_records: Some(12),
            holding: Some(Holding { stage: "TASK_PUT", cause: "away".to_owned(), since_ms: 5, tries: 2 }),
            ..TaskReport::new(TaskId::new("a\n\"b", 1))
        };
        let well = TaskReport { task: TaskId::new("b", 0), lag_records: None, holding: None, ..task.clone() };
        let report = ShardReport { tasks: vec![task, well], bytes_moved: 3, ..ShardReport::default() };
        let reports = Reports { shards: vec![(ShardId(0), Arc::new(report))], missing: vec![ShardId(1)] };
        let page = page("1.2.3", &plane, &[health], &Snapshot::default(), &reports);
        for line in [
            "rmqc_build_info{version=\"1.2.3\"} 1",
            "rmqc_driver_info{driver=\"epoll\",reason=\"asked \\\"so\\\"\"} 1",
            "rmqc_shard_progress_total{shard=\"0\"} 7",
            "rmqc_shard_moved_bytes_total{shard=\"0\"} 3",
            "rmqc_shards_unreported 1",
            "rmqc_task_records_in_total{connector=\"a\\n\\\"b\",task=\"1\"} 9",
            "rmqc_task_latency_microseconds{connector=\"a\\n\\\"b\",task=\"1\",quantile=\"0.99\"} 5",
            "rmqc_task_latency_microseconds_sum{connector=\"a\\n\\\"b\",task=\"1\"} 50",
            "rmqc_task_latency_microseconds_count{connector=\"a\\n\\\"b\",task=\"1\"} 10",
            "rmqc_task_lag_records{connector=\"a\\n\\\"b\",task=\"1\"} 12",
            "rmqc_task_holding{connector=\"a\\n\\\"b\",task=\"1\"} 1",
            "rmqc_task_holding{connector=\"b\",task=\"0\"} 0",
            "rmqc_tasks{state=\"RUNNING\"} 0",
        ] {
            assert!(page.lines().any(|one| one == line), "{line}\n{page}");
        }
        assert!(!page.contains("rmqc_task_lag_records{connector=\"b\""), "an unknown lag is not 0");
    }
}
