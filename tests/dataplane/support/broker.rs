//! The embedded broker of a test, and raw looks at what it holds.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::Future;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use rmqc_core::record::raw_pairs;
use rmqc_io::driver::Driver as _;
use rmqc_io::driver::bell::Bell;
use rmqc_io::driver::epoll::Epoll;
use rmqc_io::driver::local::{ExecutorEnd, run_executor};
use rmqc_io::embedded::broker::BrokerLimits;
use rmqc_io::embedded::{EmbeddedBroker, EmbeddedSettings};
use rmqc_io::local::Event;
use rmqc_io::remoting::code::{request, response};
use rmqc_io::remoting::connection::{Connection, Request, Response, Traffic};
use rmqc_io::remoting::message::messages;
use rmqc_io::remoting::properties::{KEYS, find};
use rmqc_io::settings::DriverWanted;

use super::{DEADLINE, TempDir};

/// One stored message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    pub key: Vec<u8>,
    pub properties: Vec<u8>,
    pub body: Vec<u8>,
    pub store_ms: i64,
}

impl Stored {
    /// The number at the start of a generated record.
    pub fn number(&self) -> u64 {
        leading_number(&self.body)
    }
}

/// The number at the start of a generated record's value.
pub fn leading_number(value: &[u8]) -> u64 {
    let digits = value.split(|byte| *byte == b' ').next().unwrap();
    std::str::from_utf8(digits).unwrap().parse().unwrap()
}

/// A broker in a directory of its own.
pub struct TestBroker {
    dir: TempDir,
    driver: DriverWanted,
    limits: BrokerLimits,
    pub address: SocketAddr,
    running: Option<EmbeddedBroker>,
}

impl TestBroker {
    pub fn start(driver: DriverWanted) -> Self {
        Self::start_at(driver, "127.0.0.1:0".parse().unwrap())
    }

    pub fn start_at(driver: DriverWanted, address: SocketAddr) -> Self {
        Self::start_within(driver, address, BrokerLimits::default())
    }

    /// With locks that last so long.
    pub fn start_with_locks(driver: DriverWanted, lock: Duration) -> Self {
        let lock_ms = u64::try_from(lock.as_millis()).unwrap();
        let limits = BrokerLimits { lock_ms, ..BrokerLimits::default() };
        Self::start_within(driver, "127.0.0.1:0".parse().unwrap(), limits)
    }

    fn start_within(driver: DriverWanted, address: SocketAddr, limits: BrokerLimits) -> Self {
        let dir = TempDir::new();
        let running = launch(&dir, driver, address, limits);
        Self { address: running.address(), dir, driver, limits, running: Some(running) }
    }

    /// Stops; the directory stays.
    pub fn stop(&mut self) {
        self.running.take().unwrap().stop();
    }

    /// Starts again on the same directory and port.
    pub fn start_again(&mut self) {
        self.start_again_at(self.address);
    }

    pub fn start_again_at(&mut self, address: SocketAddr) {
        let broker = launch(&self.dir, self.driver, address, self.limits);
        self.address = broker.address();
        self.running = Some(broker);
    }

    /// One raw request.
    pub fn call(&self, request: Request) -> Response {
        call(self.address, request)
    }

    /// Makes a topic.
    pub fn make_topic(&self, topic: &str, queues: i64) {
        let request = Request::new(request::UPDATE_AND_CREATE_TOPIC)
            .with("topic", topic)
            .with("defaultTopic", "TBW102")
            .with("readQueueNums", queues)
            .with("writeQueueNums", queues)
            .with("perm", 6)
            .with("topicFilterType", "SINGLE_TAG")
            .with("topicSysFlag", 0)
            .with("order", "false");
        assert_eq!(self.call(request).header.code, response::SUCCESS);
    }

    /// Queues of a topic that may be written to.
    pub fn write_queues(&self, topic: &str) -> u64 {
        let answer = self.call(Request::new(request::GET_TOPIC_CONFIG).with("topic", topic));
        let config: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        config["writeQueueNums"].as_u64().unwrap()
    }

    /// Sends one message.
    pub fn send(&self, topic: &str, queue: i64, body: &[u8]) {
        self.send_tagged(topic, queue, "", body);
    }

    /// Sends one message with a tag, unless that is empty.
    pub fn send_tagged(&self, topic: &str, queue: i64, tag: &str, body: &[u8]) {
        let properties = if tag.is_empty() { String::new() } else { format!("TAGS\x01{tag}\x02") };
        let answer = self.call(
            Request::new(request::SEND_MESSAGE_V2)
                .with("a", "test")
                .with("b", topic)
                .with("c", "TBW102")
                .with("d", 4)
                .with("e", queue)
                .with("f", 0)
                .with("g", 0)
                .with("h", 0)
                .with("i", &*properties)
                .with_body(body.to_vec()),
        );
        assert_eq!(answer.header.code, response::SUCCESS, "{:?}", answer.header.remark);
    }

    pub fn commit(&self, group: &str, topic: &str, queue: i64, offset: i64) {
        let made = Request::new(request::UPDATE_AND_CREATE_SUBSCRIPTIONGROUP)
            .with_body(format!("{{\"groupName\":\"{group}\"}}"));
        assert_eq!(self.call(made).header.code, response::SUCCESS);
        let commit = Request::new(request::UPDATE_CONSUMER_OFFSET)
            .with("consumerGroup", group)
            .with("topic", topic)
            .with("queueId", queue)
            .with("commitOffset", offset);
        assert_eq!(self.call(commit).header.code, response::SUCCESS);
    }

    /// The group's committed offset.
    pub fn committed(&self, group: &str, topic: &str, queue: i64) -> Option<i64> {
        let asked = Request::new(request::QUERY_CONSUMER_OFFSET)
            .with("consumerGroup", group)
            .with("topic", topic)
            .with("queueId", queue)
            .with("setZeroIfNotFound", "false");
        self.call(asked).header.fields.number("offset")
    }

    /// Number of members that a group has now.
    pub fn members(&self, group: &str) -> usize {
        let answer = self.call(Request::new(request::GET_CONSUMER_LIST_BY_GROUP).with("consumerGroup", group));
        if answer.header.code != response::SUCCESS {
            return 0;
        }
        let list: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        list["consumerIdList"].as_array().unwrap().len()
    }

    /// All that a topic holds, by queue.
    pub fn content(&self, topic: &str) -> BTreeMap<i64, Vec<Stored>> {
        let topic = topic.to_owned();
        ask(self.address, move |connection| async move {
            let mut all = BTreeMap::new();
            for queue in 0..16 {
                let found = queue_content(&connection, &topic, queue).await;
                if !found.is_empty() {
                    all.insert(queue, found);
                }
            }
            all
        })
    }

    /// Names and values of the properties of each message that a topic holds.
    pub fn properties(&self, topic: &str) -> Vec<Vec<(String, String)>> {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let pairs = |stored: &Stored| raw_pairs(&stored.properties).map(|(k, v)| (text(k), text(v))).collect();
        self.content(topic).values().flatten().map(pairs).collect()
    }

    /// Numbers of the generated records that a topic holds, in no order.
    pub fn numbers(&self, topic: &str) -> Vec<u64> {
        self.content(topic).values().flatten().map(Stored::number).collect()
    }
}

fn launch(dir: &TempDir, driver: DriverWanted, address: SocketAddr, limits: BrokerLimits) -> EmbeddedBroker {
    let settings = EmbeddedSettings { dir: dir.path().join("broker"), address, driver };
    EmbeddedBroker::start_with(settings, limits).unwrap()
}

async fn queue_content(connection: &Connection, topic: &str, queue: i64) -> Vec<Stored> {
    let mut found = Vec::new();
    let mut offset = 0;
    loop {
        let pull = Request::new(request::PULL_MESSAGE)
            .with("consumerGroup", "look")
            .with("topic", topic)
            .with("queueId", queue)
            .with("queueOffset", offset)
            .with("maxMsgNums", 1024)
            .with("sysFlag", 4)
            .with("commitOffset", 0)
            .with("suspendTimeoutMillis", 0)
            .with("subscription", "*")
            .with("subVersion", 0)
            .with("expressionType", "TAG");
        let answer = connection.call(&pull, DEADLINE).await.unwrap();
        if answer.header.code != response::SUCCESS {
            return found;
        }
        for message in messages(answer.body) {
            let message = message.unwrap();
            assert_eq!(message.queue_offset, offset, "no gap in queue {queue}");
            offset += 1;
            let key = find(&message.properties, KEYS).unwrap_or_default().to_vec();
            let (properties, body) = (message.properties.to_vec(), message.body.to_vec());
            found.push(Stored { key, properties, body, store_ms: message.store_ms });
        }
    }
}

/// One raw request on a connection of its own.
pub fn call(address: SocketAddr, request: Request) -> Response {
    ask(address, move |connection| async move { connection.call(&request, DEADLINE).await.unwrap() })
}

/// Runs raw calls on this thread.
pub fn ask<T: 'static, F: Future<Output = T>>(address: SocketAddr, calls: impl FnOnce(Connection) -> F + 'static) -> T {
    let (bell, doorbell) = Bell::new().unwrap();
    let result = Rc::new(RefCell::new(None));
    let given = result.clone();
    let end = run_executor::<Epoll, _>(bell, doorbell, move || async move {
        let started = Instant::now();
        let socket = loop {
            match Epoll::connect(address, DEADLINE).await {
                Ok(socket) => break socket,
                Err(error) => assert!(started.elapsed() < DEADLINE, "{address}: {error}"),
            }
            Epoll::sleep(Duration::from_millis(5)).await;
        };
        let connection =
            Connection::start::<Epoll>(address, socket, None, Event::default(), Rc::new(Traffic::default()));
        let answer = calls(connection.clone()).await;
        *given.borrow_mut() = Some(answer);
        connection.close("done");
    });
    assert_eq!(end, ExecutorEnd::Done);
    result.take().unwrap()
}
