//! A real Apache RocketMQ: name server and broker as processes of their own, on loopback, on ports of their own.

use std::os::fd::AsRawFd as _;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use serde_json::{Value, json};

use super::remoting::{Answer, call, call_with_body, number};
use super::{repository, unique, wait_for};

/// Lines of broker.conf that lift the caps of 32 messages and 256 KiB on one pull.
pub const RAISED_PULL_CAPS: &[&str] =
    &["maxTransferCountOnMessageInMemory=1024", "maxTransferBytesOnMessageInMemory=1048576"];

/// How long the broker may take to do what an administrative request asks for.
const ADMIN_DEADLINE: Duration = Duration::from_secs(30);

/// The broker's name in its configuration.
const BROKER_NAME: &str = "broker-a";

const UPDATE_AND_CREATE_TOPIC: i32 = 17;
const GET_MAX_OFFSET: i32 = 30;
const QUERY_CONSUMER_OFFSET: i32 = 14;
const LOCK_BATCH_MQ: i32 = 41;
const UNLOCK_BATCH_MQ: i32 = 42;
const GET_CONSUMER_LIST_BY_GROUP: i32 = 38;
const GET_ROUTE_INFO: i32 = 105;

/// One name server and one broker. Both are gone, with their data, when this value is dropped or its process ends.
pub struct RealBroker {
    folder: PathBuf,
    namesrv: String,
    address: String,
    topics: Mutex<Vec<String>>,
}

impl RealBroker {
    /// Starts one with default limits.
    ///
    /// # Panics
    /// If it can't be started; the helper's own output says why.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts one with further `key=value` lines of broker.conf.
    ///
    /// # Panics
    /// If it can't be started; the helper's own output says why.
    pub fn start_with(settings: &[&str]) -> Self {
        let folder = std::env::temp_dir().join(unique("rmqc-broker"));
        let mut broker = Self { folder, namesrv: String::new(), address: String::new(), topics: Mutex::default() };
        let addresses = broker.helper("start", settings);
        let mut words = addresses.split_whitespace().map(str::to_owned);
        broker.namesrv = words.next().expect("the name server's address");
        broker.address = words.next().expect("the broker's address");
        broker
    }

    /// The one that all tests of this process share which don't stop it. Its process watcher ends it.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<RealBroker> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    /// The name server's address, `host:port`.
    pub fn namesrv(&self) -> &str {
        &self.namesrv
    }

    /// The broker's address, `host:port`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Pid of the broker's JVM.
    ///
    /// # Panics
    /// If the broker does not run.
    pub fn pid(&self) -> u32 {
        let text = std::fs::read_to_string(self.folder.join("broker.pid")).expect("the broker runs");
        text.split_whitespace().next().and_then(|pid| pid.parse().ok()).expect("a pid")
    }

    /// `kill -9` of the broker; the name server stays.
    pub fn kill(&self) {
        self.helper("kill-broker", &[]);
    }

    /// Stops the broker in order; it flushes and deregisters.
    pub fn stop(&self) {
        self.helper("stop-broker", &[]);
    }

    /// Starts the broker again on the same data and ports, and waits until it is registered with its topics.
    pub fn start_again(&self) {
        self.helper("start-broker", &[]);
        for topic in self.topics.lock().unwrap().iter() {
            self.wait_routed(topic);
        }
    }

    /// `kill -9` and start again. The page cache survives a killed process, so what the broker confirmed is still there.
    pub fn restart(&self) {
        self.kill();
        self.start_again();
    }

    /// Makes a topic with so many queues, and waits until the name server knows it.
    pub fn create_topic(&self, topic: &str, queues: u32) {
        let fields = json!({
            "topic": topic, "defaultTopic": "TBW102", "readQueueNums": queues.to_string(),
            "writeQueueNums": queues.to_string(), "perm": "6", "topicFilterType": "SINGLE_TAG", "topicSysFlag": "0",
            "order": "false"
        });
        wait_for("the broker takes the topic", ADMIN_DEADLINE, || self.ask(UPDATE_AND_CREATE_TOPIC, fields.clone()));
        self.wait_routed(topic);
        self.topics.lock().unwrap().push(topic.to_owned());
    }

    fn wait_routed(&self, topic: &str) {
        wait_for("the name server knows the topic", ADMIN_DEADLINE, || {
            let answer = call(&self.namesrv, GET_ROUTE_INFO, json!({ "topic": topic })).ok()?;
            let here = String::from_utf8_lossy(&answer.body).contains(&format!("\"{}\"", self.address));
            (answer.code == 0 && here).then_some(())
        });
    }

    /// Queues of a topic that may be written to, as the name server tells clients; waits while it tells none, as it does
    /// when a broker that comes back has not yet told it of its topics.
    pub fn write_queues(&self, topic: &str) -> u32 {
        wait_for("the name server tells the topic's queues", ADMIN_DEADLINE, || {
            let answer = call(&self.namesrv, GET_ROUTE_INFO, json!({ "topic": topic })).ok()?;
            // Not JSON to every parser: broker numbers come as keys without quotes.
            let route = String::from_utf8_lossy(&answer.body).into_owned();
            let (_, count) = route.split_once("\"writeQueueNums\":")?;
            count.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
        })
    }

    /// Offset after the last message of one queue.
    pub fn max_offset(&self, topic: &str, queue: u32) -> i64 {
        wait_for("the broker tells a queue's end", ADMIN_DEADLINE, || {
            let answer = self.ask(GET_MAX_OFFSET, json!({ "topic": topic, "queueId": queue.to_string() }))?;
            number(&answer, "offset")
        })
    }

    /// Messages ever stored in so many queues of a topic.
    pub fn stored(&self, topic: &str, queues: u32) -> i64 {
        (0..queues).map(|queue| self.max_offset(topic, queue)).sum()
    }

    /// What the group has committed for one queue, if anything.
    pub fn committed(&self, group: &str, topic: &str, queue: u32) -> Option<i64> {
        let fields = json!({
            "consumerGroup": group, "topic": topic, "queueId": queue.to_string(), "setZeroIfNotFound": "false"
        });
        number(&self.ask(QUERY_CONSUMER_OFFSET, fields)?, "offset")
    }

    /// Gives back the room of messages that nobody will read again: all files of the log but the one that is written to
    /// and the one that is ready become holes. The broker itself would remove files by the hour only.
    ///
    /// # Panics
    /// If the file system can't.
    pub fn free_old_messages(&self) {
        let files = std::fs::read_dir(self.folder.join("store/commitlog")).unwrap();
        let mut files: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
        files.sort();
        for path in files.iter().rev().skip(2) {
            let file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
            let len = libc::off_t::try_from(file.metadata().unwrap().len()).unwrap();
            let mode = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
            // SAFETY: the descriptor is open, and the call takes no pointers.
            let freed = unsafe { libc::fallocate(file.as_raw_fd(), mode, 0, len) };
            assert_eq!(freed, 0, "{}: {}", path.display(), std::io::Error::last_os_error());
        }
    }

    /// Client ids of a group's members, sorted as brokers and clients sort them.
    pub fn members(&self, group: &str) -> Vec<String> {
        let Some(answer) = self.ask(GET_CONSUMER_LIST_BY_GROUP, json!({ "consumerGroup": group })) else {
            return Vec::new();
        };
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let ids = body["consumerIdList"].as_array().cloned().unwrap_or_default();
        let mut ids: Vec<String> = ids.iter().filter_map(Value::as_str).map(str::to_owned).collect();
        ids.sort();
        ids
    }

    /// Asks for a queue's lock as a member of the group; tells whether it is that member's now.
    ///
    /// # Panics
    /// If the broker refuses the request.
    pub fn lock(&self, group: &str, client: &str, topic: &str, queue: u32) -> bool {
        let answer = self.about_lock(LOCK_BATCH_MQ, group, client, topic, queue);
        let locked: Value = serde_json::from_slice(&answer.body).expect("an answer about locks");
        locked["lockOKMQSet"].as_array().is_some_and(|locked| !locked.is_empty())
    }

    /// Gives a queue's lock up.
    ///
    /// # Panics
    /// If the broker refuses the request.
    pub fn unlock(&self, group: &str, client: &str, topic: &str, queue: u32) {
        self.about_lock(UNLOCK_BATCH_MQ, group, client, topic, queue);
    }

    fn about_lock(&self, code: i32, group: &str, client: &str, topic: &str, queue: u32) -> Answer {
        let body = json!({
            "consumerGroup": group, "clientId": client, "onlyThisBroker": false,
            "mqSet": [{"topic": topic, "brokerName": BROKER_NAME, "queueId": queue}]
        });
        let answer = call_with_body(&self.address, code, json!({}), body.to_string().as_bytes()).expect("an answer");
        assert_eq!(answer.code, 0, "the broker refuses request {code}");
        answer
    }

    /// A successful answer, or nothing.
    fn ask(&self, code: i32, fields: Value) -> Option<Answer> {
        call(&self.address, code, fields).ok().filter(|answer| answer.code == 0)
    }

    fn helper(&self, command: &str, arguments: &[&str]) -> String {
        let output = Command::new(repository().join("tests/support/rocketmq"))
            .arg(command)
            .arg(&self.folder)
            .args(arguments)
            .env("RMQC_OWNER_PID", std::process::id().to_string())
            .output()
            .expect("bash starts");
        assert!(
            output.status.success(),
            "rocketmq {command}: {}\n{}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).expect("text")
    }
}

impl Drop for RealBroker {
    fn drop(&mut self) {
        self.helper("discard", &[]);
    }
}
