//! What a worker tells to monitoring: the forms of `/metrics`, latencies, and that the dashboard and the alert rules that are shipped
//! ask for what is there.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use hdrhistogram::Histogram;
use hdrhistogram::serialization::Deserializer;
use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};
use promql_parser::parser::{AggregateExpr, Expr, LabelModifier, VectorSelector};
use promql_parser::util::{ExprVisitor, walk_expr};
use prost::Message as _;
use rmqc_core::id::TaskId;
use rmqc_core::metrics::{
    Holding, Latency, QueueReport, ShardReport, Span, Step, StepUse, TaskCounters, TaskReport, WindowUse,
};
use serde_json::{Value, json};

use crate::world::{Wishes, World};

const SOURCE: &str = "org.apache.rocketmq.connect.file.FileSourceConnector";
const SINK: &str = "org.apache.rocketmq.connect.file.FileSinkConnector";

/// Latencies in microseconds of a task: one, and a hundred times as many ten times as fast.
fn spread(task: u32) -> Histogram<u64> {
    let mut micros = Histogram::new(2).unwrap();
    micros.record(50_000 * u64::from(task + 1)).unwrap();
    micros.record_n(5_000 * u64::from(task + 1), 100).unwrap();
    micros
}

/// A task of which everything is known, and which can't commit.
fn busy(task: &TaskId) -> TaskReport {
    let used = StepUse { runs: 10, records: 100, busy_us: 900_000, starved_us: 50_000, blocked_us: 50_000 };
    let (topic, broker) = ("t".to_owned(), "broker-a".to_owned());
    let queue =
        QueueReport { topic, broker, queue_id: 0, done: 1, end: Some(9), lag_records: Some(8), lag_ms: Some(2_000) };
    let spans = [Span::RecordToAck, Span::RecordToPut, Span::StoreToPut];
    TaskReport {
        counters: TaskCounters { records_in: 101, records_out: 100, batches: 10, ..TaskCounters::default() },
        steps: Step::ALL.into_iter().map(|step| (step, used)).collect(),
        latencies: spans.into_iter().map(|span| Latency { span, micros: spread(task.index) }).collect(),
        lag_records: Some(8),
        lag_ms: Some(2_000),
        queues: vec![queue],
        window: WindowUse { records: 1, records_max: 10, bytes: 1, bytes_max: 10, batch_records_max: 20 },
        holding: Some(Holding { stage: "COMMIT", cause: "away".to_owned(), since_ms: 5_000, tries: 2 }),
        ..TaskReport::new(task.clone())
    }
}

fn busy_shard(tasks: &[TaskId]) -> ShardReport {
    ShardReport {
        tasks: tasks.iter().map(busy).collect(),
        steps: Step::ALL.into_iter().map(|step| (step, spread(0))).collect(),
        cpu_us: 1_000,
        ..ShardReport::default()
    }
}

/// A worker with a source, and a sink of two tasks, which are busy.
fn busy_world() -> World {
    let world = World::start(Wishes::default());
    world.create("in", &json!({"connector.class": SOURCE, "filename": "f", "connect.topicname": "t"}));
    world
        .create("out", &json!({"connector.class": SINK, "filename": "f", "connect.topicnames": "t", "max.tasks": "2"}));
    world.wait_for_state("in", 0, "RUNNING");
    world.wait_for_state("out", 1, "RUNNING");
    world.monitored.reporters.register("rocketmq");
    *world.port.reporting.lock().unwrap() = Some(busy_shard);
    world
}

/// Label names with their values, by the name of the series, as the page has them.
type Known = BTreeMap<String, BTreeMap<String, BTreeSet<String>>>;

fn known(page: &str) -> Known {
    let scraped = prometheus_parse::Scrape::parse(page.lines().map(|line| Ok(line.to_owned()))).unwrap();
    let mut known = Known::new();
    for sample in scraped.samples {
        let histogram = matches!(sample.value, prometheus_parse::Value::Histogram(_));
        let name = if histogram { format!("{}_bucket", sample.metric) } else { sample.metric.clone() };
        let labels = known.entry(name).or_default();
        for (label, value) in sample.labels.iter() {
            labels.entry(label.clone()).or_default().insert(value.clone());
        }
        if histogram {
            labels.entry("le".to_owned()).or_default();
        }
    }
    // Prometheus adds it.
    for labels in known.values_mut() {
        labels.entry("instance".to_owned()).or_default();
    }
    known
}

/// Finds what a query asks for.
#[derive(Default)]
struct Query {
    selectors: Vec<VectorSelector>,
    by: Vec<String>,
}

impl ExprVisitor for Query {
    type Error = String;
    fn pre_visit(&mut self, expr: &Expr) -> Result<bool, String> {
        match expr {
            Expr::VectorSelector(selector) => self.selectors.push(selector.clone()),
            Expr::MatrixSelector(matrix) => self.selectors.push(matrix.vs.clone()),
            Expr::Aggregate(AggregateExpr { modifier: Some(LabelModifier::Include(labels)), .. }) => {
                self.by.extend(labels.labels.iter().cloned());
            }
            _ => {}
        }
        Ok(true)
    }
}

/// Checks that a query asks for series, labels and values that exist, and that what is written beside it has its labels.
#[track_caller]
fn check_query(expr: &str, shown: &str, known: &Known) -> usize {
    let parsed = promql_parser::parser::parse(expr).unwrap_or_else(|error| panic!("{error}\n{expr}"));
    let mut query = Query::default();
    walk_expr(&mut query, &parsed).unwrap();
    assert!(!query.selectors.is_empty(), "{expr} asks for nothing");
    let mut labels = BTreeSet::new();
    for selector in &query.selectors {
        let name = selector.name.as_deref().unwrap();
        let has = known.get(name).unwrap_or_else(|| panic!("no series {name} on the page, which is wanted by {expr}"));
        labels.extend(has.keys().map(String::as_str));
        for matcher in &selector.matchers.matchers {
            let values =
                has.get(&matcher.name).unwrap_or_else(|| panic!("{name} has no label {}: {expr}", matcher.name));
            let free = ["instance", "connector"].contains(&matcher.name.as_str()) || matcher.value.is_empty();
            // REST has not answered with an error.
            let wanted: Vec<&str> = matcher.value.split('|').collect();
            let negative = matcher.op.to_string().starts_with('!');
            assert!(
                free || negative || wanted.iter().all(|one| values.contains(*one)),
                "{matcher:?} in {expr}: {values:?}"
            );
        }
    }
    for label in &query.by {
        assert!(labels.contains(label.as_str()), "nothing has the label {label}: {expr}");
    }
    for part in shown.split("{{").skip(1) {
        let inner = part.split("}}").next().unwrap().trim();
        let label = inner.trim_start_matches("$labels.");
        assert!(inner.starts_with("$value") || labels.contains(label), "{shown} shows {label}: {expr}");
    }
    query.selectors.len()
}

fn shipped(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("conf").join(name)).unwrap()
}

#[test]
fn every_panel_of_the_dashboard_asks_for_what_is_there() {
    let page = busy_world().ask("GET", "/metrics", None).body;
    let known = known(&page);
    let dashboard: Value = serde_json::from_str(&shipped("grafana-dashboard.json")).unwrap();
    assert!(dashboard["schemaVersion"].as_u64().unwrap() >= 38, "Grafana 10 has 38");
    let variables: Vec<&str> =
        dashboard["templating"]["list"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert_eq!(variables, ["datasource", "instance", "connector"]);
    let panels = dashboard["panels"].as_array().unwrap();
    let rows: Vec<&str> =
        panels.iter().filter(|one| one["type"] == "row").map(|one| one["title"].as_str().unwrap()).collect();
    assert_eq!(rows, ["Overview", "Throughput", "Latency", "Lag", "Steps", "Shards", "Errors"]);
    let (mut ids, mut queries) = (BTreeSet::new(), 0);
    for panel in panels {
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{panel}");
        if panel["type"] == "row" {
            continue;
        }
        let title = &panel["title"];
        assert!(panel["description"].as_str().is_some_and(|text| text.ends_with('.')), "{title} has no description");
        assert!(panel["fieldConfig"]["defaults"]["unit"].is_string(), "{title} has no unit");
        assert_eq!(panel["datasource"]["uid"], "${datasource}", "{title}");
        for target in panel["targets"].as_array().unwrap() {
            let expr = target["expr"].as_str().unwrap();
            let expr = expr.replace("$__rate_interval", "1m").replace("$instance", ".*").replace("$connector", ".*");
            assert!(!expr.contains('$'), "{expr} has a variable that nobody sets");
            check_query(&expr, target["legendFormat"].as_str().unwrap(), &known);
            queries += 1;
        }
    }
    assert!(queries > 40, "{queries}");
    // No two panels lie over each other.
    let mut taken = BTreeSet::new();
    for panel in panels {
        let at = |member: &str| panel["gridPos"][member].as_u64().unwrap();
        for x in at("x")..at("x") + at("w") {
            for y in at("y")..at("y") + at("h") {
                assert!(x < 24 && taken.insert((x, y)), "{} lies over another at {x}, {y}", panel["title"]);
            }
        }
    }
}

#[test]
fn every_alert_asks_for_what_is_there() {
    let known = known(&busy_world().ask("GET", "/metrics", None).body);
    let rules = shipped("alerts.yaml");
    let mut names = BTreeSet::new();
    for rule in rules.split("- alert: ").skip(1) {
        let name = rule.lines().next().unwrap();
        let line = |key: &str| {
            let found = rule.lines().find_map(|line| line.trim().strip_prefix(key));
            found.unwrap_or_else(|| panic!("{name} has no {key}")).to_owned()
        };
        let shown = format!("{} {}", line("summary: "), line("description: "));
        check_query(&line("expr: "), &shown, &known);
        assert!(["critical", "warning"].contains(&line("severity: ").as_str()), "{name}");
        assert!(names.insert(name), "{name} is there twice");
    }
    for name in ["ConnectorStalled", "LagGrows", "DeadLetters", "ShardReplaced", "CommitFails"] {
        assert!(names.contains(name), "{name}");
    }
}

/// The first fields of a family, as any reader of Prometheus' protobuf sees them.
#[derive(Clone, PartialEq, prost::Message)]
struct Named {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    help: String,
}

#[test]
fn metrics_come_in_the_form_that_is_asked_for() {
    let world = busy_world();
    let text = world.ask("GET", "/metrics", None);
    assert_eq!(text.content_type, "text/plain; version=0.0.4; charset=utf-8");
    assert!(
        text.body.contains("\nrmqc_connector_latency_seconds_count{connector=\"out\",span=\"record_to_put\"} 202\n")
    );
    assert!(text.body.contains("\nrmqc_connector_health{connector=\"out\",health=\"DEGRADED\"} 1\n"), "{}", text.body);
    let open = world.ask_with("GET", "/metrics", None, "Accept: application/openmetrics-text; version=1.0.0\r\n");
    assert_eq!(open.content_type, "application/openmetrics-text; version=1.0.0; charset=utf-8");
    assert!(open.body.ends_with("# EOF\n"), "{}", open.body);
    let wanted = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited";
    let answer = world.ask_bytes("/metrics", &format!("Accept: {wanted}\r\n"));
    assert_eq!(answer.0, wanted.to_ascii_lowercase());
    let (mut rest, mut names) = (answer.1.as_slice(), BTreeSet::new());
    while !rest.is_empty() {
        let family = Named::decode_length_delimited(&mut rest).unwrap();
        assert!(!family.help.is_empty() && names.insert(family.name.clone()), "{family:?}");
    }
    let of_text = known(&text.body).into_keys().filter(|name| !name.ends_with("_sum") && !name.ends_with("_count"));
    assert_eq!(names, of_text.map(|name| name.trim_end_matches("_bucket").to_owned()).collect());
}

#[test]
fn requests_are_counted_by_their_status() {
    let world = World::start(Wishes::default());
    world.ask("GET", "/v1/connectors/none", None);
    world.ask("GET", "/nothing", None);
    let page = world.ask("GET", "/metrics", None).body;
    assert!(page.contains("\nrmqc_rest_requests_total{code=\"4xx\"} 2\n"), "{page}");
    assert!(page.contains("\nrmqc_rest_requests_total{code=\"2xx\"} 0\n"), "{page}");
}

#[test]
fn latencies_are_told_for_all_tasks_and_for_each() {
    let world = busy_world();
    let answer = world.get("/v1/connectors/out/latency");
    assert_eq!((&answer["connector"], &answer["tasks"]), (&json!("out"), &Value::Null));
    let spans: Vec<&str> =
        answer["latency_ms"].as_array().unwrap().iter().map(|one| one["span"].as_str().unwrap()).collect();
    assert_eq!(spans, ["record_to_ack", "record_to_put", "store_to_put"]);
    let put = &answer["latency_ms"][1];
    let near = |member: &str, expected: f64| {
        let value = put[member].as_f64().unwrap();
        assert!((value - expected).abs() <= expected * 0.01, "{member}: {value}, expected {expected}");
    };
    assert_eq!(put["count"], 202);
    near("min", 5.0);
    near("p50", 10.0);
    near("p90", 10.0);
    near("p999", 100.0);
    near("p9999", 100.0);
    near("max", 100.0);
    near("mean", (500.0 + 1_000.0 + 50.0 + 100.0) / 202.0);
    let each = world.get("/v1/connectors/out/latency?tasks=true&span=store_to_put");
    let counts: Vec<(&Value, &Value, usize)> = each["tasks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|task| (&task["task"], &task["latency_ms"][0]["count"], task["latency_ms"].as_array().unwrap().len()))
        .collect();
    assert_eq!(counts, [(&json!(0), &json!(101), 1), (&json!(1), &json!(101), 1)]);
    for (path, status) in [("none/latency", 404), ("out/latency?format=xml", 400), ("out/latency?span=x", 400)] {
        let answer = world.ask("GET", &format!("/v1/connectors/{path}"), None);
        assert_eq!((answer.status, &answer.json()["error_code"]), (status, &json!(status)), "{path}");
    }
}

#[test]
fn the_histogram_log_is_read_back_as_it_was_recorded() {
    let world = busy_world();
    let log = world.ask("GET", "/v1/connectors/out/latency?format=hdr&tasks=true", None);
    assert!(log.content_type.starts_with("text/plain"), "{log:?}");
    let mut read = BTreeMap::new();
    for entry in IntervalLogIterator::new(log.body.as_bytes()) {
        let LogEntry::Interval(interval) = entry.unwrap() else { continue };
        let bytes =
            base64::Engine::decode(&base64::engine::general_purpose::STANDARD, interval.encoded_histogram()).unwrap();
        let micros: Histogram<u64> = Deserializer::new().deserialize(&mut bytes.as_slice()).unwrap();
        read.insert(interval.tag().unwrap().as_str().to_owned(), micros);
    }
    let mut both = spread(0);
    both.add(spread(1)).unwrap();
    assert_eq!(read.len(), 9, "three spans, of all and of two tasks: {:?}", read.keys());
    assert_eq!(read["record_to_put"], both);
    assert_eq!(read["store_to_put.task-1"], spread(1));
    let one = world.ask("GET", "/v1/connectors/out/latency?format=hdr&span=record_to_put", None).body;
    let lines: Vec<&str> = one.lines().filter(|line| !line.starts_with('#')).collect();
    // The beginning of a compressed histogram of version 2, which Java's tools know it by.
    assert!(lines.len() == 1 && !lines[0].starts_with("Tag=") && lines[0].contains(",HISTFAAA"), "{one}");
}
