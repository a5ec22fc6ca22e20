//! The pages of a worker that was made up.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use hdrhistogram::Histogram;
use rmqc_core::command::{DataPlaneInfo, DriverKind, ShardHealth};
use rmqc_core::id::{ShardId, TaskId};
use rmqc_core::metrics::{
    Holding, Latency, QueueReport, ShardReport, Span, Step, StepUse, TaskCounters, TaskReport, WindowUse,
};
use rmqc_core::state::{TargetState, TaskState};

use super::family::Family;
use super::*;
use crate::controller::ConnectorView;
use crate::health::Health;
use crate::worker::TaskView;

const ODD: &str = "a\n\"b";

fn micros(value: u64, count: u64) -> Histogram<u64> {
    let mut micros = Histogram::new(2).unwrap();
    micros.record_n(value, count).unwrap();
    micros
}

fn queue(number: i32) -> QueueReport {
    let (topic, broker) = ("t".to_owned(), "broker-a".to_owned());
    QueueReport { topic, broker, queue_id: number, done: 5, end: Some(12), lag_records: Some(7), lag_ms: Some(1500) }
}

fn task_report(connector: &str, index: u32) -> TaskReport {
    TaskReport {
        counters: TaskCounters {
            records_in: 9,
            records_out: 8,
            batches: 2,
            blocked_us: 2_500_000,
            ..TaskCounters::default()
        },
        steps: vec![(
            Step::Pull,
            StepUse { runs: 3, records: 9, busy_us: 500_000, starved_us: 1_000_000, blocked_us: 0 },
        )],
        latencies: vec![Latency { span: Span::RecordToPut, micros: micros(5_000, 10) }],
        lag_records: Some(12),
        lag_ms: Some(1500),
        queues: vec![queue(0), queue(1)],
        window: WindowUse { records: 3, records_max: 10, bytes: 30, bytes_max: 100, batch_records_max: 8 },
        holding: Some(Holding { stage: "TASK_PUT", cause: "away".to_owned(), since_ms: 5_000, tries: 2 }),
        ..TaskReport::new(TaskId::new(connector, index))
    }
}

fn view(connector: &str, index: u32) -> TaskView {
    TaskView {
        task: TaskId::new(connector, index),
        state: TaskState::Running,
        cause: None,
        shard: Some(ShardId(0)),
        config: Arc::default(),
        restarts: 1,
        restarts_total: 4,
        changed_ms: 0,
        leaving: false,
        history: Vec::new(),
        down_since_ms: None,
    }
}

/// A worker with one connector of two tasks on two shards, of which one is silent.
struct Made {
    plane: DataPlaneInfo,
    shards: Vec<ShardHealth>,
    snapshot: Snapshot,
    reports: Reports,
    health: BTreeMap<String, ConnectorHealth>,
}

impl Made {
    fn new() -> Self {
        let plane = DataPlaneInfo {
            driver: DriverKind::Epoll,
            driver_reason: "asked \"so\"".to_owned(),
            shards: 1,
            pinned: false,
            pin_reason: "two CPUs".to_owned(),
            cpus: Vec::new(),
        };
        let shard = ShardHealth {
            shard: ShardId(0),
            progress: 7,
            since_progress: Duration::ZERO,
            kicks: 1,
            replaced: 0,
            commands_waiting: 2,
        };
        let well =
            TaskReport { lag_records: None, lag_ms: None, holding: None, queues: Vec::new(), ..task_report(ODD, 1) };
        let report = ShardReport {
            tasks: vec![task_report(ODD, 0), well],
            steps: vec![(Step::Put, micros(2_000, 4))],
            cpu_us: 1_500_000,
            bytes_moved: 3,
            ..ShardReport::default()
        };
        let connector = ConnectorView {
            name: ODD.to_owned(),
            properties: Arc::new([("connector.class".to_owned(), "file-sink".to_owned())].into()),
            target: TargetState::Started,
            factory: None,
            failure: None,
            last_change: None,
            tasks: vec![view(ODD, 0), view(ODD, 1)],
        };
        let tasks = vec![(0, Health::Stalled, "why".to_owned()), (1, Health::Healthy, String::new())];
        let health = ConnectorHealth { health: Health::Stalled, cause: "why".to_owned(), tasks };
        Self {
            plane,
            shards: vec![shard],
            snapshot: Snapshot { connectors: vec![connector], ..Snapshot::default() },
            reports: Reports { shards: vec![(ShardId(0), Arc::new(report))], missing: vec![ShardId(1)] },
            health: [(ODD.to_owned(), health)].into(),
        }
    }

    fn families(&self) -> Vec<Family> {
        let mut all = families(&Seen {
            version: "1.2.3",
            commit: "abc",
            uptime: Duration::from_millis(1500),
            plane: &self.plane,
            shards: &self.shards,
            snapshot: &self.snapshot,
            reports: &self.reports,
            health: &self.health,
            rest_requests: &[("2xx", 3)],
            reporter_failures: &[("log", 0)],
            spans_dropped: 0,
        });
        all.extend(process::families());
        all
    }
}

fn assert_lines(page: &str, lines: &[&str]) {
    for line in lines {
        assert!(page.lines().any(|one| one == *line), "{line}\n{page}");
    }
}

#[test]
fn every_metric_of_the_table_is_on_the_page_once() {
    let families = Made::new().families();
    let on_page: BTreeSet<&str> = families.iter().map(|family| family.metric.name).collect();
    let in_table: BTreeSet<&str> = catalogue::ALL.iter().map(|metric| metric.name).collect();
    assert_eq!(on_page, in_table);
    assert_eq!(families.len(), on_page.len());
    for family in &families {
        assert!(!family.samples.is_empty(), "{} has no series", family.metric.name);
        let labels: BTreeSet<_> = family.samples.iter().map(|sample| &sample.labels).collect();
        assert_eq!(labels.len(), family.samples.len(), "{} has a series twice", family.metric.name);
        assert!(family.samples.iter().all(|sample| sample.labels.len() == family.metric.labels.len()));
    }
}

#[test]
fn prometheus_text_has_what_was_counted() {
    let page = prometheus(&Made::new().families());
    let lines = [
        "# TYPE rmqc_build_info gauge",
        "rmqc_build_info{version=\"1.2.3\",commit=\"abc\"} 1",
        "rmqc_driver_info{driver=\"epoll\",reason=\"asked \\\"so\\\"\"} 1",
        "rmqc_shard_progress_total{shard=\"0\"} 7",
        "rmqc_shard_moved_bytes_total{shard=\"0\"} 3",
        "rmqc_shard_cpu_seconds_total{shard=\"0\"} 1.5",
        "rmqc_shard_step_seconds_bucket{shard=\"0\",step=\"put\",le=\"0.001\"} 0",
        "rmqc_shard_step_seconds_bucket{shard=\"0\",step=\"put\",le=\"0.0025\"} 4",
        "rmqc_shards_unreported 1",
        "# TYPE rmqc_task_records_in_total counter",
        "rmqc_task_records_in_total{connector=\"a\\n\\\"b\",task=\"1\"} 9",
        "rmqc_task_blocked_seconds_total{connector=\"a\\n\\\"b\",task=\"1\"} 2.5",
        "rmqc_task_step_seconds_total{connector=\"a\\n\\\"b\",task=\"0\",step=\"pull\",state=\"starved\"} 1",
        "rmqc_task_batch_fill_ratio{connector=\"a\\n\\\"b\",task=\"0\"} 0.5",
        "rmqc_task_lag_seconds{connector=\"a\\n\\\"b\",task=\"0\"} 1.5",
        "rmqc_task_holding{connector=\"a\\n\\\"b\",task=\"0\"} 1",
        "rmqc_task_holding{connector=\"a\\n\\\"b\",task=\"1\"} 0",
        "rmqc_task_holding_seconds{connector=\"a\\n\\\"b\",task=\"0\",stage=\"TASK_PUT\"} 5",
        "rmqc_queue_lag_records{connector=\"a\\n\\\"b\",task=\"0\",topic=\"t\",broker=\"broker-a\",queue=\"1\"} 7",
        "rmqc_connector_latency_seconds_bucket{connector=\"a\\n\\\"b\",span=\"record_to_put\",le=\"0.0025\"} 0",
        "rmqc_connector_latency_seconds_bucket{connector=\"a\\n\\\"b\",span=\"record_to_put\",le=\"0.005\"} 20",
        "rmqc_connector_latency_seconds_bucket{connector=\"a\\n\\\"b\",span=\"record_to_put\",le=\"+Inf\"} 20",
        "rmqc_connector_latency_seconds_count{connector=\"a\\n\\\"b\",span=\"record_to_put\"} 20",
        "rmqc_connector_restarts_total{connector=\"a\\n\\\"b\"} 8",
        "rmqc_connector_health{connector=\"a\\n\\\"b\",health=\"STALLED\"} 1",
        "rmqc_connector_health{connector=\"a\\n\\\"b\",health=\"HEALTHY\"} 0",
        "rmqc_task_health{connector=\"a\\n\\\"b\",task=\"1\",health=\"HEALTHY\"} 1",
        "rmqc_tasks{state=\"RUNNING\"} 2",
        "rmqc_rest_requests_total{code=\"2xx\"} 3",
    ];
    assert_lines(&page, &lines);
    assert!(!page.contains("rmqc_task_lag_records{connector=\"a\\n\\\"b\",task=\"1\""), "an unknown lag is not 0");
}

/// Values of series by name and labels, as a parser of others' making reads them.
#[test]
fn prometheus_text_is_read_by_a_foreign_parser() {
    let page = prometheus(&Made::new().families());
    let scraped = prometheus_parse::Scrape::parse(page.lines().map(|line| Ok(line.to_owned()))).unwrap();
    let names: BTreeSet<&str> = scraped.samples.iter().map(|sample| sample.metric.as_str()).collect();
    for metric in catalogue::ALL {
        assert!(names.contains(metric.sample_name().as_str()), "{} is not read", metric.name);
        let help = scraped.docs.get(&metric.sample_name());
        assert_eq!(help.map(String::as_str), Some(metric.help));
    }
    let latency = scraped.samples.iter().find(|sample| sample.metric == "rmqc_connector_latency_seconds").unwrap();
    let prometheus_parse::Value::Histogram(buckets) = &latency.value else { panic!("{latency:?}") };
    assert_eq!(buckets.len(), spread::BOUNDS_US.len() + 1);
    assert_eq!(buckets.last().unwrap().count, 20.0);
}

#[test]
fn open_metrics_text_keeps_its_rules() {
    let page = open_metrics(&Made::new().families());
    assert!(page.ends_with("\n# EOF\n") && page.matches("# EOF").count() == 1);
    let lines = [
        "# TYPE rmqc_build info",
        "rmqc_build_info{version=\"1.2.3\",commit=\"abc\"} 1",
        "# TYPE rmqc_shard_cpu_seconds counter",
        "# UNIT rmqc_shard_cpu_seconds seconds",
        "rmqc_shard_cpu_seconds_total{shard=\"0\"} 1.5",
        "rmqc_connector_latency_seconds_bucket{connector=\"a\\n\\\"b\",span=\"record_to_put\",le=\"1.0\"} 20",
    ];
    assert_lines(&page, &lines);
    let mut family = ("", "");
    for line in page.lines().filter(|line| *line != "# EOF") {
        if let Some(head) = line.strip_prefix("# TYPE ") {
            family = head.split_once(' ').unwrap();
        } else if !line.starts_with('#') {
            let name = line.split(['{', ' ']).next().unwrap();
            let ends: &[&str] = match family.1 {
                "counter" => &["_total"],
                "info" => &["_info"],
                "gauge" => &[""],
                _ => &["_bucket", "_sum", "_count"],
            };
            assert!(ends.iter().any(|end| name.strip_suffix(end) == Some(family.0)), "{line} belongs to {family:?}");
        }
    }
}

#[test]
fn what_is_too_much_is_left_out_and_counted() {
    let mut made = Made::new();
    let mut busy = task_report("z", 0);
    busy.queues = (0..2_000).map(queue).collect();
    let tasks = (0..1_500).map(|index| task_report("m", index)).chain([busy]).collect();
    let report = ShardReport { tasks, ..ShardReport::default() };
    made.reports = Reports { shards: vec![(ShardId(0), Arc::new(report))], missing: Vec::new() };
    let connector = made.snapshot.connectors[0].clone();
    made.snapshot.connectors =
        (0..600).map(|number| ConnectorView { name: format!("c{number}"), ..connector.clone() }).collect();
    let page = prometheus(&made.families());
    assert_lines(&page, &["rmqc_tasks_not_shown 501", "rmqc_connectors_not_shown 100", "rmqc_queues_not_shown 1000"]);
    assert_eq!(page.matches("\nrmqc_task_records_in_total{").count(), TASKS_MAX);
}
