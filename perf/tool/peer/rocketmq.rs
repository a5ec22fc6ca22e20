//! Apache RocketMQ's Java client: `perf/peers/RocketClient.java`.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{Process, class_path, jars};
use crate::support::{TempDir, repository};
use crate::tool::machine::{memory_kib, process_cpu};
use crate::tool::workers::throughput;

/// Longest time for a JVM to come up, or for the whole work.
const PATIENCE: Duration = Duration::from_secs(300);

/// The compiled client.
pub struct RocketClient {
    jars: PathBuf,
    classes: TempDir,
}

impl RocketClient {
    /// Compiles it.
    ///
    /// # Panics
    /// If there is no JDK, or the jars can't be fetched.
    pub fn compile() -> Self {
        let (jars, classes) = (jars("rocketmq"), TempDir::new("rocket-client"));
        let mut javac = Command::new("javac");
        javac.args(["-nowarn", "-cp", &class_path(None, &jars), "-d"]).arg(classes.path());
        let output = javac.arg(repository().join("perf/peers/RocketClient.java")).output().expect("javac starts");
        assert!(output.status.success(), "javac: {}", String::from_utf8_lossy(&output.stderr));
        Self { jars, classes }
    }

    /// Sends a file's lines in batches of 100, with one request a queue in flight.
    pub fn produce(&self, namesrv: &str, topic: &str, file: &Path, records: u64, bytes: usize) -> Value {
        self.work(&["produce", namesrv, topic, &file.display().to_string()], records, bytes)
    }

    /// Reads a topic from its beginning, asking for so many messages at once.
    pub fn pull(&self, namesrv: &str, topic: &str, records: u64, bytes: usize, at_once: u64) -> Value {
        self.work(&["pull", namesrv, topic, &records.to_string(), &at_once.to_string()], records, bytes)
    }

    fn work(&self, arguments: &[&str], records: u64, bytes: usize) -> Value {
        let home = self.classes.file("home");
        let mut java = Command::new("java");
        java.arg("-XX:-UsePerfData").arg(format!("-Duser.home={}", home.display()));
        java.arg(format!("-Drocketmq.client.logRoot={}", home.display()));
        java.args(["-cp", &class_path(Some(self.classes.path()), &self.jars), "RocketClient"]).args(arguments);
        java.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = Process::spawn(&mut java);
        let mut commands = process.0.stdin.take().unwrap();
        let output = BufReader::new(process.0.stdout.take().unwrap());
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        let wait = |wanted: &str| -> String {
            let end = Instant::now() + PATIENCE;
            loop {
                let left = end.saturating_duration_since(Instant::now());
                let line =
                    lines.recv_timeout(left).unwrap_or_else(|error| panic!("the Java client is not {wanted}: {error}"));
                if let Some(rest) = line.strip_prefix(wanted) {
                    return rest.trim().to_owned();
                }
            }
        };
        wait("ready");
        let (began, cpu) = (Instant::now(), process_cpu(process.pid()));
        writeln!(commands).unwrap();
        let count = wait("done");
        let seconds = began.elapsed().as_secs_f64();
        let cpu = process_cpu(process.pid()) - cpu;
        assert!(count.parse().is_ok_and(|count: u64| count >= records), "the Java client moved {count} of {records}");
        let mut told = throughput(records, bytes, seconds, cpu);
        told["rss_peak_kib"] = json!(memory_kib(process.pid(), "VmHWM"));
        told
    }
}
