//! Apache Kafka Connect, standalone, beside a Kafka broker of its own: the same files, the same machine.
//!
//! Both JVMs run with the heaps and the collector settings of Kafka's own start scripts (broker 1 GiB, Connect 256 MiB to
//! 2 GiB); what they log is thrown away.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::kafka_wire::{create_topic, stored};
use super::{Process, class_path, jars};
use crate::support::worker::{free_port, wait_bytes};
use crate::support::{TempDir, wait_for};
use crate::tool::machine::{memory_kib, process_cpu};
use crate::tool::workers::{PATIENCE, throughput, wait_count};

const PARTITIONS: i32 = 4;
const START_DEADLINE: Duration = Duration::from_secs(120);
const BROKER_HEAP: &[&str] = &["-Xms1G", "-Xmx1G"];
const CONNECT_HEAP: &[&str] = &["-Xms256M", "-Xmx2G"];
const COLLECTOR: &[&str] = &[
    "-server",
    "-XX:+UseG1GC",
    "-XX:MaxGCPauseMillis=20",
    "-XX:InitiatingHeapOccupancyPercent=35",
    "-XX:+ExplicitGCInvokesConcurrent",
    "-XX:-UsePerfData",
    "-Djava.awt.headless=true",
];
/// Any; Kafka wants one.
const CLUSTER_ID: &str = "MkU3OEVBNTcwNTJENDM2Qg";

/// A Kafka broker. It ends with this value.
pub struct Kafka {
    jars: PathBuf,
    address: String,
    process: Process,
    // Dropped last, after the process.
    _folder: TempDir,
}

impl Kafka {
    /// Formats a storage and starts a broker that is its own controller.
    ///
    /// # Panics
    /// If it does not answer in time.
    pub fn start() -> Self {
        let (jars, folder) = (jars("kafka"), TempDir::new("kafka"));
        let (port, controller) = (free_port(), free_port());
        let settings = folder.file("server.properties");
        let text = format!(
            "process.roles=broker,controller\nnode.id=1\ncontroller.quorum.voters=1@127.0.0.1:{controller}\n\
             listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}\n\
             advertised.listeners=PLAINTEXT://127.0.0.1:{port}\ncontroller.listener.names=CONTROLLER\n\
             listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT\nlog.dirs={}\n\
             offsets.topic.replication.factor=1\ntransaction.state.log.replication.factor=1\n\
             transaction.state.log.min.isr=1\ngroup.initial.rebalance.delay.ms=0\n",
            folder.file("data").display()
        );
        std::fs::write(&settings, text).unwrap();
        let mut format = java(&jars, &["-Xmx256M"]);
        format.args(["kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c"]).arg(&settings);
        let output = format.output().expect("java starts");
        assert!(output.status.success(), "StorageTool: {output:?}");
        let log = folder.file("broker.log");
        let mut broker = java(&jars, BROKER_HEAP);
        broker.arg("kafka.Kafka").arg(&settings).stdout(log_file(&log)).stderr(log_file(&log));
        let mut process = Process::spawn(&mut broker);
        let address = format!("127.0.0.1:{port}");
        wait_for("Kafka takes a topic", START_DEADLINE, || {
            process.assert_runs("Kafka", &log);
            create_topic(&address, "first", 1).ok()
        });
        Self { jars, address, process, _folder: folder }
    }

    /// Makes a topic.
    pub fn create_topic(&self, topic: &str) {
        create_topic(&self.address, topic, PARTITIONS).expect("Kafka takes the topic");
    }

    /// Messages in a topic.
    pub fn stored(&self, topic: &str) -> u64 {
        stored(&self.address, topic, PARTITIONS).expect("Kafka tells a topic's end")
    }

    /// A file's lines into a topic, by Connect.
    pub fn file_to_topic(&self, file: &Path, topic: &str, records: u64, bytes: usize) -> Value {
        let connect = self.connect();
        let broker = process_cpu(self.process.pid());
        let (began, cpu) = (Instant::now(), process_cpu(connect.process.pid()));
        connect.create(
            "source",
            &json!({
                "connector.class": "org.apache.kafka.connect.file.FileStreamSourceConnector", "tasks.max": "1",
                "file": file.to_str().unwrap(), "topic": topic, "batch.size": "2000",
            }),
        );
        wait_count("records in Kafka", records, || self.stored(topic));
        let seconds = began.elapsed().as_secs_f64();
        let told = connect.measured(records, bytes, seconds, cpu, process_cpu(self.process.pid()) - broker);
        drop(connect);
        assert_eq!(self.stored(topic), records, "records were repeated");
        told
    }

    /// A topic into a file, by Connect.
    pub fn topic_to_file(&self, topic: &str, file: &Path, records: u64, bytes: usize) -> Value {
        let connect = self.connect();
        let broker = process_cpu(self.process.pid());
        let (began, cpu) = (Instant::now(), process_cpu(connect.process.pid()));
        connect.create(
            "sink",
            &json!({
                "connector.class": "org.apache.kafka.connect.file.FileStreamSinkConnector", "tasks.max": "1",
                "file": file.to_str().unwrap(), "topics": topic,
                "consumer.override.auto.offset.reset": "earliest",
            }),
        );
        wait_bytes(file, records * bytes as u64, PATIENCE);
        let seconds = began.elapsed().as_secs_f64();
        connect.measured(records, bytes, seconds, cpu, process_cpu(self.process.pid()) - broker)
    }

    /// A Connect worker without connectors, once it answers.
    fn connect(&self) -> Connect {
        let (folder, port) = (TempDir::new("kafka-connect"), free_port());
        let settings = folder.file("connect.properties");
        let text = format!(
            "bootstrap.servers={}\nkey.converter=org.apache.kafka.connect.storage.StringConverter\n\
             value.converter=org.apache.kafka.connect.storage.StringConverter\n\
             offset.storage.file.filename={}\nlisteners=http://127.0.0.1:{port}\nplugin.discovery=only_scan\n\
             connector.client.config.override.policy=All\n",
            self.address,
            folder.file("offsets").display()
        );
        std::fs::write(&settings, text).unwrap();
        let log = folder.file("connect.log");
        let mut command = java(&self.jars, CONNECT_HEAP);
        command.arg("org.apache.kafka.connect.cli.ConnectStandalone").arg(&settings);
        command.stdout(log_file(&log)).stderr(log_file(&log));
        let began = Instant::now();
        let mut connect = Connect {
            process: Process::spawn(&mut command),
            url: format!("http://127.0.0.1:{port}"),
            started: began.elapsed(),
            _folder: folder,
        };
        wait_for("Kafka Connect answers", START_DEADLINE, || {
            connect.process.assert_runs("Kafka Connect", &log);
            ureq::get(format!("{}/connectors", connect.url)).call().ok()
        });
        connect.started = began.elapsed();
        connect
    }
}

struct Connect {
    process: Process,
    url: String,
    started: Duration,
    _folder: TempDir,
}

impl Connect {
    fn create(&self, name: &str, config: &Value) {
        let body = json!({ "name": name, "config": config }).to_string();
        let request = ureq::post(format!("{}/connectors", self.url)).header("Content-Type", "application/json");
        request.send(body.as_bytes()).expect("Kafka Connect takes the connector");
    }

    fn measured(&self, records: u64, bytes: usize, seconds: f64, before: Duration, broker: Duration) -> Value {
        let mut told = throughput(records, bytes, seconds, process_cpu(self.process.pid()) - before);
        told["broker_cpu_us_per_record"] = json!(super::super::scenario::per_record(broker, records));
        told["rss_peak_kib"] = json!(memory_kib(self.process.pid(), "VmHWM"));
        told["start_ms"] = json!(u64::try_from(self.started.as_millis()).unwrap());
        told
    }
}

fn java(jars: &Path, heap: &[&str]) -> Command {
    let mut command = Command::new("java");
    command.args(heap).args(COLLECTOR).args(["-cp", &class_path(None, jars)]).stdin(Stdio::null());
    command
}

fn log_file(path: &Path) -> File {
    File::options().create(true).append(true).open(path).unwrap()
}
