//! The reporter that sends metrics to a topic, before a cluster that is played.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rmqc_control::metrics::reporters::{Turns, send_metrics};
use rmqc_core::cluster_port::ClusterPort;
use serde_json::json;
use tokio::sync::watch;

use crate::world::{Wishes, World};

const TOPIC: &str = "connect-metrics";

/// Reports to the world's own cluster, on a thread of its own, until the world ends or it is told to leave.
fn report(world: &World, pause: Duration) -> (watch::Sender<()>, std::thread::JoinHandle<()>) {
    let (controller, monitored) = (world.controller.clone(), Arc::clone(&world.monitored));
    let cluster: Arc<dyn ClusterPort> = Arc::<crate::cluster::FakeCluster>::clone(&world.cluster);
    let (leave, leaving) = watch::channel(());
    let reporter = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let turns = Turns::new(controller, pause, leaving);
            send_metrics(turns, cluster, TOPIC.to_owned(), monitored).await;
        });
    });
    (leave, reporter)
}

/// The last value sent for each key.
fn sent(world: &World) -> BTreeMap<String, String> {
    let held = world.cluster.held.lock().unwrap();
    let messages = held.topics.get(TOPIC).into_iter().flatten().flatten();
    let key = |properties: &[(String, String)]| properties.iter().find(|(name, _)| name == "KEYS").unwrap().1.clone();
    messages.map(|one| (key(&one.properties), String::from_utf8(one.body.to_vec()).unwrap())).collect()
}

#[test]
fn metrics_reach_the_topic_and_a_cluster_that_is_away_is_counted_and_hurts_nobody() {
    let world = World::start(Wishes::default());
    let (source, sink) = ("file.FileSourceConnector", "file.FileSinkConnector");
    let class = |name: &str| format!("org.apache.rocketmq.connect.{name}");
    world.create("in", &json!({"connector.class": class(source), "filename": "f", "connect.topicname": "t"}));
    world.create("out", &json!({"connector.class": class(sink), "filename": "f", "connect.topicnames": "t"}));
    world.wait_for_state("in", 0, "RUNNING");
    world.wait_for_state("out", 0, "RUNNING");
    let (_leave, reporter) = report(&world, Duration::from_millis(50));
    let key =
        |group, name, kind, connector| format!("rocketmq.connect:{group},{name},{kind},connector={connector},task=0");
    let poll_total = key("source-task-metrics", "source-record-poll-total", "none", "in");
    let write_total = key("source-task-metrics", "source-record-write-total", "none", "in");
    let poll_rate = key("source-task-metrics", "source-record-poll-rate", "MeanRate", "in");
    let send_total = key("sink-task-metrics", "sink-record-send-total", "none", "out");
    let retries = key("task-error-metrics", "total-retries", "none", "out");
    // They are sent one by one: a look may come in the midst of a round.
    let wanted = [&poll_total, &write_total, &poll_rate, &send_total, &retries];
    world.wait("metrics of both connectors", |world| {
        let sent = sent(world);
        wanted.iter().all(|key| sent.contains_key(*key))
    });
    let values = sent(&world);
    assert_eq!(values[&poll_total], "5.0");
    assert_eq!(values[&write_total], "4.0");
    assert!(values[&poll_rate].parse::<f64>().unwrap() > 0.0);
    assert_eq!(values[&send_total], "4.0");
    assert_eq!(values[&retries], "0.0");
    assert!(!values.contains_key(&key("sink-task-metrics", "sink-record-send-total", "none", "in")));
    assert_eq!(world.cluster.held.lock().unwrap().topics[TOPIC].len(), 16, "the topic was made with Java's queues");
    assert!(
        world.ask("GET", "/metrics", None).body.contains("rmqc_reporter_failures_total{reporter=\"rocketmq\"} 0\n")
    );

    world.cluster.held.lock().unwrap().down = Some("nobody answers".to_owned());
    world.wait("a failure to be counted", |world| {
        world.monitored.reporters.failures().iter().any(|(_, count)| *count > 1)
    });
    assert_eq!(world.get("/v1/connectors/in/status")["tasks"][0]["state"], "RUNNING");
    let page = world.ask("GET", "/metrics", None).body;
    assert!(!page.contains("rmqc_reporter_failures_total{reporter=\"rocketmq\"} 0\n"), "{page}");

    let mut held = world.cluster.held.lock().unwrap();
    (held.down, held.topics) = (None, BTreeMap::new());
    drop(held);
    world.wait("metrics after the cluster came back", |world| sent(world).contains_key(&poll_total));
    world.stop();
    reporter.join().unwrap();
}

#[test]
fn a_reporter_that_is_to_leave_tells_once_more_what_is_counted_now() {
    let world = World::start(Wishes::default());
    let class = "org.apache.rocketmq.connect.file.FileSourceConnector";
    let create = |name| {
        world.create(name, &json!({"connector.class": class, "filename": "f", "connect.topicname": "t"}));
        world.wait_for_state(name, 0, "RUNNING");
    };
    let total = |connector| {
        let key = "rocketmq.connect:source-task-metrics,source-record-poll-total,none,connector=";
        sent(&world).get(&format!("{key}{connector},task=0")).cloned()
    };
    create("early");
    let (leave, reporter) = report(&world, Duration::from_secs(3600));
    world.wait("the first turn", |_| total("early").is_some());
    create("late");
    leave.send(()).unwrap();
    reporter.join().unwrap();
    assert_eq!(total("late").as_deref(), Some("5.0"));
    world.stop();
}
