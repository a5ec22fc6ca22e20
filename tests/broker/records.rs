//! Keys, tags, extensions and times of records, both ways: what our source sends as the Java client reads it, and what
//! the Java client sends as our sink is given it.

use std::future::pending;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rmqc_core::command::{ShardCommand, ShardEvent, ShardPort, TaskSpec};
use rmqc_core::config::Properties;
use rmqc_core::connector::{SinkTask, SourceTask};
use rmqc_core::error::Result;
use rmqc_core::id::{Generation, ShardId, TaskId};
use rmqc_core::position::{Position, RecordOffset, RecordPartition};
use rmqc_core::record::{ConnectRecord, Extensions, RecordBatch};
use rmqc_core::registry::{ConnectorFactory, TaskBuilder, find_connector};
use rmqc_core::value::{Text, Value};
use rmqc_io::settings::{ClusterSettings, CoresWanted, DataPlaneSettings, DriverWanted, PinWanted};

use super::support::broker::RealBroker;
use super::support::java::{self, Outgoing};
use super::support::{unique, wait_until};

const DEADLINE: Duration = Duration::from_secs(60);
const COUNT: u64 = 3;

/// Gives a few records with everything that a record can have, then nothing more.
struct FullSource {
    next: u64,
}

impl SourceTask for FullSource {
    async fn start(&mut self) -> Result<()> {
        Ok(())
    }

    async fn poll(&mut self, batch: &mut RecordBatch) -> Result<()> {
        if self.next == COUNT {
            return pending().await;
        }
        while self.next < COUNT {
            let number = self.next;
            self.next += 1;
            let mut extensions = Extensions::Empty;
            extensions.set("TAGS", format!("tag{number}"));
            extensions.set("colour", "ünï blue");
            let position = Position {
                partition: Arc::new(RecordPartition::single("full", "1")),
                offset: RecordOffset::Counter { field: "next", value: self.next },
            };
            let record = ConnectRecord {
                key: Value::String(Text::from(format!("order-{number}"))),
                value: Value::String(Text::from(format!("value {number}"))),
                extensions,
                timestamp_ms: Some(1_700_000_000_000 + i64::try_from(number).unwrap()),
                position: Some(position),
                ..ConnectRecord::default()
            };
            batch.push(record, 7);
        }
        Ok(())
    }
}

static TAKEN: Mutex<Vec<ConnectRecord>> = Mutex::new(Vec::new());

/// Keeps what it is given.
struct KeepSink;

impl SinkTask for KeepSink {
    async fn start(&mut self) -> Result<()> {
        Ok(())
    }

    async fn put(&mut self, records: &[ConnectRecord]) -> Result<()> {
        TAKEN.lock().unwrap().extend_from_slice(records);
        Ok(())
    }

    async fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}

inventory::submit! {
    ConnectorFactory {
        name: "full-source",
        java_class: "tests.FullSource",
        java_task_class: "tests.FullSourceTask",
        keys: &[],
        validate: |_| Ok(()),
        task_configs: |config, _| Ok(vec![config.clone()]),
        shardable: false,
        build: TaskBuilder::Source(|_| Ok(Box::new(FullSource { next: 0 }))),
    }
}

inventory::submit! {
    ConnectorFactory {
        name: "keep-sink",
        java_class: "tests.KeepSink",
        java_task_class: "tests.KeepSinkTask",
        keys: &[],
        validate: |_| Ok(()),
        task_configs: |config, _| Ok(vec![config.clone()]),
        shardable: false,
        build: TaskBuilder::Sink(|_| Ok(Box::new(KeepSink))),
    }
}

fn plane(name_server: &str) -> Arc<dyn ShardPort> {
    let driver = match std::env::var("RMQC_IO").as_deref() {
        Ok("uring") => DriverWanted::Uring,
        Ok("epoll") => DriverWanted::Epoll,
        _ => DriverWanted::Auto,
    };
    let settings = DataPlaneSettings {
        cores: CoresWanted::Exactly(1),
        pin: PinWanted::Off,
        driver,
        stall_timeout: Duration::from_secs(30),
        memory_bytes_max: 64 << 20,
        trace_share: 0.0,
        cluster: ClusterSettings {
            name_servers: vec![name_server.to_owned()],
            credentials: None,
            producer_group: "connector-producer-group".to_owned(),
            auto_create_topic: true,
            operation_timeout: Duration::from_secs(3),
        },
    };
    rmqc_io::start_data_plane(&settings).unwrap()
}

/// Runs one task, with every position called stored, until the test's own thread has seen enough.
fn run_task(port: Arc<dyn ShardPort>, name: &str, config: &[(&str, &str)], seen_enough: impl FnOnce()) {
    let task = TaskId::new(unique(name), 0);
    let spec = TaskSpec {
        task: task.clone(),
        generation: Generation(1),
        factory: find_connector(name).unwrap(),
        config: Arc::new(config.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect::<Properties>()),
        positions: Arc::default(),
        paused: false,
    };
    let (stop, mut stopping) = tokio::sync::oneshot::channel::<()>();
    let control = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            port.send(ShardId(0), ShardCommand::StartTask(Box::new(spec))).await.unwrap();
            let mut told = false;
            loop {
                tokio::select! {
                    event = port.next_event() => match event.unwrap() {
                        ShardEvent::Positions(task, generation, _) => {
                            port.send(ShardId(0), ShardCommand::PositionsStored(task, generation)).await.unwrap();
                        }
                        ShardEvent::TaskFailed { cause, .. } => panic!("{cause}"),
                        ShardEvent::TaskStopped(..) => return,
                        _ => {}
                    },
                    _ = &mut stopping, if !told => {
                        told = true;
                        port.send(ShardId(0), ShardCommand::StopTask(task.clone(), Generation(1))).await.unwrap();
                    }
                }
            }
        });
    });
    seen_enough();
    drop(stop);
    control.join().unwrap();
}

#[test]
fn the_java_client_reads_keys_tags_and_extensions_of_our_records() {
    let broker = RealBroker::shared();
    let topic = unique("full");
    broker.create_topic(&topic, 4);
    run_task(plane(broker.namesrv()), "full-source", &[("connect.topicname", &topic)], || {
        let mut got = java::consume(broker.namesrv(), &topic, usize::try_from(COUNT).unwrap(), DEADLINE);
        got.sort_by(|a, b| a.body.cmp(&b.body));
        for (number, message) in got.iter().enumerate() {
            assert_eq!(message.body, format!("value {number}").into_bytes());
            let property = |name: &str| message.properties.get(name).map(String::as_str);
            assert_eq!(property("KEYS"), Some(format!("order-{number}").as_str()));
            assert_eq!(property("TAGS"), Some(format!("tag{number}").as_str()));
            assert_eq!(property("connect-ext-colour"), Some("ünï blue"));
            assert_eq!(
                property("connect.timestamp"),
                Some(format!("{}", 1_700_000_000_000_u64 + number as u64).as_str())
            );
        }
        wait_until("the broker's index to have the key", DEADLINE, || {
            java::by_key(broker.namesrv(), &topic, "order-1").iter().any(|message| message.body == b"value 1")
        });
    });
}

#[test]
fn our_sinks_get_keys_tags_and_extensions_of_the_java_client() {
    let broker = RealBroker::shared();
    let topic = unique("kept");
    broker.create_topic(&topic, 1);
    let properties = vec![
        ("connect-ext-colour".to_owned(), "blau".to_owned()),
        ("connect.timestamp".to_owned(), "1700000000123".to_owned()),
    ];
    let sent = Outgoing { keys: Some("k1 k2".into()), tags: Some("T".into()), properties, ..Outgoing::body("body") };
    java::produce(broker.namesrv(), &topic, &[sent]);
    let config = [("connect.topicnames", topic.as_str()), ("consume.from.where", "CONSUME_FROM_FIRST_OFFSET")];
    run_task(plane(broker.namesrv()), "keep-sink", &config, || {
        wait_until("the record to be put", DEADLINE, || !TAKEN.lock().unwrap().is_empty());
    });
    let taken = TAKEN.lock().unwrap();
    let [record] = &taken[..] else { panic!("{taken:?}") };
    assert_eq!(record.key, Value::String("k1 k2".into()));
    assert_eq!(record.value, Value::String("body".into()));
    assert_eq!(record.timestamp_ms, Some(1_700_000_000_123));
    let extension = |name: &str| record.extensions.get(name).map(|text| text.to_str().into_owned());
    assert_eq!(extension("colour").as_deref(), Some("blau"));
    assert_eq!(extension("MQ-SYS-TAGS").as_deref(), Some("T"));
    assert_eq!(extension("KEYS").as_deref(), Some("k1 k2"));
    assert_eq!(extension("MQ-SYS-MSG_ID"), extension("MQ-SYS-UNIQ_KEY"));
    assert_eq!(record.topic.as_deref(), Some(topic.as_str()));
}
