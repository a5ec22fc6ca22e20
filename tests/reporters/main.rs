//! Metrics as operators of the Java worker know them, end to end: the built worker, an embedded broker as another cluster, the log.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "in a test a failure is a panic"
)]

#[path = "../support/collector.rs"]
mod collector;
mod spans;
#[path = "../support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::process::Command;
use std::time::{Duration, Instant};

use collector::{Collector, number};
use rmqc_core::cluster_port::ClusterPort;
use rmqc_io::embedded::{EmbeddedBroker, EmbeddedSettings};
use rmqc_io::settings::{ClusterSettings, DriverWanted};
use support::worker::{Worker, file_sink, file_source};
use support::{TempDir, wait_until};

const TOPIC: &str = "connect-metrics";
const CLASS: &str = "org.apache.rocketmq.connect.metrics.reporter.RocketMQScheduledReporter";
/// The first values come after 10 s.
const DEADLINE: Duration = Duration::from_secs(40);

/// All messages of a topic: `KEYS` and body.
async fn read(cluster: &dyn ClusterPort, topic: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    if cluster.topic_queues(topic).await.unwrap().is_none() {
        return found;
    }
    for standing in cluster.standing("nobody", topic).await.unwrap() {
        for message in cluster.read(&standing.queue, standing.min, 1000).await.unwrap() {
            let key = message.properties.iter().find(|(name, _)| name == "KEYS").unwrap().1.clone();
            found.insert(key, String::from_utf8(message.body.to_vec()).unwrap());
        }
    }
    found
}

#[test]
fn every_metric_is_a_message_in_the_topic_of_another_cluster_and_a_line_in_the_log() {
    let dir = TempDir::new("reporters");
    let folder = dir.path();
    let address = "127.0.0.1:0".parse().unwrap();
    let settings = EmbeddedSettings { dir: folder.join("broker"), address, driver: DriverWanted::Epoll };
    let broker = EmbeddedBroker::start(settings).unwrap();
    let other = broker.address().to_string();
    let reporter = folder.join("metrics.properties");
    let lines = format!("metrics.reporter={CLASS}\nmetrics.topic={TOPIC}\nname.srv.addr={other}\ngroup.id=reporters\n");
    std::fs::write(&reporter, lines).unwrap();
    let config = format!("metricsConfigPath={}", reporter.display());
    let logs = folder.join("logs");
    let log_dir = format!("logDir={}", logs.display());
    let mut worker = Worker::start_with(folder, "embedded", &[&config, "openLogMetricReporter=true", &log_dir]);
    let input = folder.join("in.txt");
    std::fs::write(&input, "a\nb\nc\n").unwrap();
    worker.create("in", &file_source(&input, "t"));
    worker.wait_state("in", "RUNNING");
    let cluster = rmqc_io::start_cluster_client(&ClusterSettings {
        name_servers: vec![other],
        credentials: None,
        producer_group: "test".to_owned(),
        auto_create_topic: false,
        operation_timeout: Duration::from_secs(5),
    })
    .unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let total = "rocketmq.connect:source-task-metrics,source-record-write-total,none,connector=in,task=0";
    let mut values = BTreeMap::new();
    wait_until("metrics in the topic", DEADLINE, || {
        values = runtime.block_on(read(&*cluster, TOPIC));
        values.get(total).is_some_and(|value| value == "3.0")
    });
    assert_eq!(values["rocketmq.connect:source-task-metrics,source-record-poll-total,none,connector=in,task=0"], "3.0");
    assert!(values.values().all(|value| value.contains('.') && value.parse::<f64>().is_ok()), "{values:?}");
    wait_until("metrics in the log", DEADLINE, || {
        let log = std::fs::read_to_string(logs.join("connect_runtime.log")).unwrap();
        log.lines().any(|line| {
            line.contains("source-task-metrics connector=in task=0:") && line.contains("source-record-write-total 3.0")
        })
    });
    worker.stop();
    broker.stop();
}

#[test]
fn a_collector_gets_all_metrics_as_otlp_and_may_fail_and_come_back() {
    let dir = TempDir::new("reporters");
    let folder = dir.path();
    let collector = Collector::start();
    let endpoint = collector.setting();
    let settings = [&*endpoint, "otlpTraceSample=1", "otlpInterval=1000", "otlpHeaders=x-token=hush-hush, x-tenant=me"];
    let mut worker = Worker::start_with(folder, "embedded", &settings);
    let input = folder.join("in.txt");
    std::fs::write(&input, "a\nb\nc\n").unwrap();
    worker.create("in", &file_source(&input, "t"));
    worker.wait_state("in", "RUNNING");
    let request =
        collector.wait_for(DEADLINE, |request| request.sum("rmqc_task_records_out", "connector", "in") == Some(3));
    assert_eq!(request.path, "/v1/metrics");
    for header in ["content-type: application/x-protobuf", "x-token: hush-hush", "x-tenant: me"] {
        assert!(request.head.contains(header), "{}", request.head);
    }
    assert_eq!(request.resource("service.name").as_deref(), Some("rmqc-fast"));
    assert!(request.metrics().any(|metric| metric.name == "process_cpu_seconds" && metric.unit == "s"));
    let traced =
        collector.wait_for(DEADLINE, |request| request.spans.iter().any(|span| span.name == "POST /connectors/in"));
    assert_eq!(traced.path, "/v1/traces");
    let span = traced.spans.iter().find(|span| span.name == "POST /connectors/in").unwrap();
    assert_eq!((span.trace_id.len(), span.span_id.len(), span.kind), (16, 8, 2));
    assert!(span.start_time_unix_nano > 0 && span.start_time_unix_nano <= span.end_time_unix_nano);
    collector.answer(503);
    wait_until("failures to be counted", DEADLINE, || {
        let page = worker.answer("GET", "/metrics", "").1;
        let line = page.lines().find_map(|line| line.strip_prefix("rmqc_reporter_failures_total{reporter=\"otlp\"} "));
        line.is_some_and(|count| count.parse::<u64>().unwrap() > 1)
    });
    assert_eq!(worker.task_states("in"), ["RUNNING"]);
    collector.answer(200);
    collector.forget();
    collector.wait_for(DEADLINE, |request| {
        request.sum("rmqc_reporter_failures", "reporter", "otlp").is_some_and(|count| count > 1)
    });
    worker.stop();
    let log = worker.log();
    assert!(!log.contains("hush-hush"), "{log}");
    assert_eq!(log.matches("metrics can't be sent by OTLP").count(), 1, "{log}");
}

#[test]
fn a_stop_sends_what_was_counted_since_the_last_round() {
    let dir = TempDir::new("reporters");
    let folder = dir.path();
    let collector = Collector::start();
    let endpoint = collector.setting();
    let mut worker = Worker::start_with(folder, "embedded", &[&endpoint, "otlpTraceSample=1", "otlpInterval=3600000"]);
    collector.wait_for(DEADLINE, |request| request.metrics().next().is_some());
    let (input, output) = (folder.join("in.txt"), folder.join("out.txt"));
    std::fs::write(&input, "a\nb\nc\n").unwrap();
    worker.create("in", &file_source(&input, "t"));
    worker.create("out", &file_sink(&output, "t"));
    wait_until("all lines", DEADLINE, || std::fs::read_to_string(&output).is_ok_and(|text| text.len() == 6));
    worker.stop();
    let soon = Duration::from_secs(1);
    collector.wait_for(soon, |request| request.sum("rmqc_task_records_out", "connector", "in") == Some(3));
    let batch = collector.wait_for_batch("in", soon, |batch| number(&batch.root, "rmqc.records") == Some(3));
    batch.check();
}

#[test]
fn a_collector_that_does_not_answer_holds_a_stop_up_for_a_moment_only() {
    let dir = TempDir::new("reporters");
    let folder = dir.path();
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("otlpEndpoint=http://{}", silent.local_addr().unwrap());
    let mut worker = Worker::start_with(folder, "embedded", &[&endpoint, "otlpInterval=1000"]);
    let socket = silent.accept().unwrap();
    let began = Instant::now();
    worker.stop();
    // Two seconds for the collector, and what a stop takes anyway.
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    let log = worker.log();
    assert!(log.contains("the last metrics may not be sent by OTLP"), "{log}");
    drop(socket);
}

#[test]
fn a_collector_behind_tls_is_trusted_if_its_authority_is() {
    let dir = TempDir::new("reporters");
    let folder = dir.path();
    let (collector, certificate) = Collector::start_safe();
    let authority = folder.join("authority.pem");
    std::fs::write(&authority, certificate).unwrap();
    let endpoint = collector.setting();
    let settings = [&*endpoint, "otlpInterval=1000"];
    let trusting = [("SSL_CERT_FILE", authority.to_str().unwrap())];
    let mut worker = Worker::start_in(folder, "embedded", &settings, &trusting);
    collector.wait_for(DEADLINE, |request| request.metrics().next().is_some());
    worker.stop();
    assert!(!worker.log().contains("can't be sent"), "{}", worker.log());

    collector.forget();
    let dir = TempDir::new("reporters");
    let mut worker = Worker::start_with(dir.path(), "embedded", &settings);
    wait_until("a refusal", DEADLINE, || worker.log().contains("metrics can't be sent by OTLP"));
    worker.stop();
    let log = worker.log();
    assert!(log.contains("certificate") && log.contains(&collector.url), "{log}");
    assert!(collector.is_empty(), "it was told though nobody trusts it");
}

#[test]
fn an_unknown_reporter_is_refused_at_the_start_with_the_names_of_those_that_exist() {
    let dir = TempDir::new("reporters");
    let folder = dir.path();
    let reporter = folder.join("metrics.properties");
    std::fs::write(&reporter, "metrics.reporter=com.example.Mine\n").unwrap();
    let conf = folder.join("connect.conf");
    let lines = format!(
        "storePathRootDir={0}/store\nlogDir={0}/logs\nmetricsConfigPath={1}\n",
        folder.display(),
        reporter.display()
    );
    std::fs::write(&conf, lines).unwrap();
    for arguments in [&["--check"][..], &[]] {
        let run = Command::new(env!("CARGO_BIN_EXE_rmqc-fast")).arg("-c").arg(&conf).args(arguments).output().unwrap();
        let said = String::from_utf8_lossy(&run.stderr).into_owned();
        assert_eq!(run.status.code(), Some(2), "{said}");
        for word in ["com.example.Mine", CLASS, "metrics.topic", "name.srv.addr"] {
            assert!(said.contains(word), "{word} is not in {said}");
        }
    }
}
