//! Apache RocketMQ's own client as the other side: `java/Client.java`, compiled once and run as a process.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::{repository, unique};

const SOURCE: &str = include_str!("java/Client.java");

/// A message for the Java client to send.
#[derive(Debug, Clone, Default)]
pub struct Outgoing {
    /// Body; the client compresses it beyond 4 KiB.
    pub body: Vec<u8>,
    /// `KEYS`.
    pub keys: Option<String>,
    /// `TAGS`.
    pub tags: Option<String>,
    /// Queue, or the client's choice.
    pub queue: Option<u32>,
    /// User properties.
    pub properties: Vec<(String, String)>,
}

impl Outgoing {
    /// A message of a body only.
    pub fn body(body: impl Into<Vec<u8>>) -> Self {
        Self { body: body.into(), ..Self::default() }
    }
}

/// A message as the Java client read it.
#[derive(Debug, Clone)]
pub struct Incoming {
    /// Body, decompressed by the client.
    pub body: Vec<u8>,
    /// All properties.
    pub properties: HashMap<String, String>,
    /// Queue.
    pub queue_id: u32,
    /// Place in the queue.
    pub queue_offset: i64,
    /// The client's id of the message: its `UNIQ_KEY`.
    pub msg_id: String,
    /// Bytes of the message as the broker stored it: less than the body if that was compressed.
    pub store_size: u64,
    /// When it was made, ms since 1970.
    pub born_timestamp: i64,
}

/// Sends messages, in order, and gives each one's queue and offset.
pub fn produce(namesrv: &str, topic: &str, messages: &[Outgoing]) -> Vec<(u32, i64)> {
    let mut input = String::new();
    for message in messages {
        let mut line = json!({ "body": STANDARD.encode(&message.body) });
        if let Some(keys) = &message.keys {
            line["keys"] = json!(keys);
        }
        if let Some(tags) = &message.tags {
            line["tags"] = json!(tags);
        }
        if let Some(queue) = message.queue {
            line["queue"] = json!(queue);
        }
        line["properties"] = message.properties.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
        input.push_str(&line.to_string());
        input.push('\n');
    }
    run(&["produce", namesrv, topic], &input)
        .iter()
        .map(|sent| (sent["queueId"].as_u64().unwrap() as u32, sent["queueOffset"].as_i64().unwrap()))
        .collect()
}

/// Reads so many messages from the first on.
///
/// # Panics
/// If there are fewer within the deadline.
pub fn consume(namesrv: &str, topic: &str, count: usize, deadline: Duration) -> Vec<Incoming> {
    let arguments = ["consume", namesrv, topic, &count.to_string(), &deadline.as_secs().to_string()];
    run(&arguments, "").iter().map(incoming).collect()
}

/// The messages that the broker's index has under a key.
pub fn by_key(namesrv: &str, topic: &str, key: &str) -> Vec<Incoming> {
    run(&["key", namesrv, topic, key], "").iter().map(incoming).collect()
}

/// The message with a unique key.
pub fn by_unique_key(namesrv: &str, topic: &str, key: &str) -> Incoming {
    let found = run(&["view", namesrv, topic, key], "");
    incoming(found.first().expect("the message"))
}

/// A member of a consumer group, in a process of its own. It leaves the group when dropped.
pub struct GroupMember {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<Value>,
    /// Its client id, once it has told it.
    pub client_id: String,
    /// The queues that it last said were its own.
    pub queues: Vec<u32>,
    /// The messages that it has read.
    pub messages: Vec<Incoming>,
}

impl GroupMember {
    /// Joins a group of one topic.
    pub fn join(namesrv: &str, topic: &str, group: &str) -> Self {
        let mut child = command(&["group", namesrv, topic, group]).stderr(Stdio::null()).spawn().expect("java starts");
        let stdin = child.stdin.take();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok).filter(|line| line.starts_with('{')) {
                if sender.send(serde_json::from_str(&line).unwrap()).is_err() {
                    break;
                }
            }
        });
        Self { child, stdin, lines, client_id: String::new(), queues: Vec::new(), messages: Vec::new() }
    }

    /// Takes in what the member says until the condition holds.
    ///
    /// # Panics
    /// After the deadline, or if the member ended.
    pub fn wait(&mut self, what: &str, deadline: Duration, mut condition: impl FnMut(&Self) -> bool) {
        let end = Instant::now() + deadline;
        while !condition(self) {
            let left = end.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "{what}: not within {deadline:?}; {} has {:?}", self.client_id, self.queues);
            // A short turn: the condition may also depend on the worker under test.
            match self.lines.recv_timeout(left.min(Duration::from_millis(100))) {
                Ok(line) => self.take_in(&line),
                Err(std::sync::mpsc::RecvTimeoutError::Timeout) => {}
                Err(gone) => panic!("{what}: the Java member ended: {gone}"),
            }
        }
    }

    fn take_in(&mut self, line: &Value) {
        if let Some(queues) = line["queues"].as_array() {
            self.client_id = line["clientId"].as_str().unwrap().to_owned();
            self.queues = queues.iter().map(|queue| queue.as_u64().unwrap() as u32).collect();
        } else {
            self.messages.push(incoming(line));
        }
    }

    /// Leaves the group in order, committing what it read.
    pub fn leave(mut self) {
        drop(self.stdin.take());
        let status = self.child.wait().unwrap();
        assert!(status.success(), "the Java member ended with {status}");
    }
}

impl Drop for GroupMember {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn incoming(line: &Value) -> Incoming {
    let properties = line["properties"].as_object().unwrap();
    Incoming {
        body: STANDARD.decode(line["body"].as_str().unwrap()).unwrap(),
        properties: properties.iter().map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned())).collect(),
        queue_id: line["queueId"].as_u64().unwrap() as u32,
        queue_offset: line["queueOffset"].as_i64().unwrap(),
        msg_id: line["msgId"].as_str().unwrap().to_owned(),
        store_size: line["storeSize"].as_u64().unwrap(),
        born_timestamp: line["bornTimestamp"].as_i64().unwrap(),
    }
}

fn run(arguments: &[&str], input: &str) -> Vec<Value> {
    let mut child = command(arguments).stderr(Stdio::piped()).spawn().expect("java starts");
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    // A thread of its own: the answers must be read while the questions are written.
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output().unwrap();
    let _ = writer.join().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    let errors: Vec<&str> = errors.lines().filter(|line| !line.contains("|-")).collect();
    assert!(output.status.success(), "Client {}: {}\n{}", arguments.join(" "), output.status, errors.join("\n"));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().filter(|line| line.starts_with('{')).map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn command(arguments: &[&str]) -> Command {
    let compiled = compiled();
    let mut command = Command::new("java");
    command
        .args(["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-XX:-UsePerfData", "-Xmx256m"])
        .arg(format!("-Duser.home={}", compiled.logs.display()))
        .arg(format!("-Drocketmq.client.logRoot={}", compiled.logs.display()))
        .arg("-cp")
        .arg(format!("{}:{}/*", compiled.classes.display(), compiled.jars.display()))
        .arg("Client")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    command
}

struct Compiled {
    classes: PathBuf,
    jars: PathBuf,
    logs: PathBuf,
}

/// The program's classes, in a folder named by the source's hash beside the jars: compiled once a change.
fn compiled() -> &'static Compiled {
    static COMPILED: OnceLock<Compiled> = OnceLock::new();
    COMPILED.get_or_init(|| {
        let output = Command::new(repository().join("tests/support/rocketmq")).arg("jars").output().unwrap();
        assert!(output.status.success(), "rocketmq jars: {}", String::from_utf8_lossy(&output.stderr));
        let jars = PathBuf::from(String::from_utf8(output.stdout).unwrap().trim());
        let mut hasher = DefaultHasher::new();
        (SOURCE, &jars).hash(&mut hasher);
        let cache = jars.parent().unwrap();
        let classes = cache.join(format!("client-{:016x}", hasher.finish()));
        if !classes.is_dir() {
            compile(cache, &jars, &classes);
        }
        Compiled { classes, logs: std::env::temp_dir().join("rmqc-java-logs"), jars }
    })
}

fn compile(cache: &Path, jars: &Path, classes: &Path) {
    let work = cache.join(unique(".compile"));
    std::fs::create_dir_all(&work).unwrap();
    let output = Command::new("javac")
        .args(["-nowarn", "-proc:none", "-cp"])
        .arg(format!("{}/*", jars.display()))
        .arg("-d")
        .arg(&work)
        .arg(repository().join("tests/support/java/Client.java"))
        .output()
        .expect("javac starts");
    assert!(output.status.success(), "javac: {}", String::from_utf8_lossy(&output.stderr));
    // Whoever renames first wins; the other one's folder is not needed.
    if std::fs::rename(&work, classes).is_err() {
        std::fs::remove_dir_all(&work).unwrap();
    }
}
