//! The same checks for the embedded broker and for an Apache broker: raw requests, and the code and fields that must
//! come back. What differs between the two is named in [`Server`].

mod groups;
mod pulls;
mod sends;
mod topics;

use std::fmt::Debug;
use std::future::Future;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use rmqc_io::driver::bell::Bell;
use rmqc_io::driver::epoll::Epoll;
use rmqc_io::driver::local::{ExecutorEnd, run_executor};
use rmqc_io::driver::uring::Uring;
use rmqc_io::driver::{Driver, probe};
use rmqc_io::local::Event;
use rmqc_io::remoting::code::{request, response};
use rmqc_io::remoting::connection::{Connection, Request, Response, Traffic};
use rmqc_io::remoting::message::{Message, messages, put_item_head, put_item_tail};
use serde_json::Value;

/// Deadline of everything that must happen.
const DEADLINE: Duration = Duration::from_secs(20);
const QUEUES: i64 = 4;
static NAMES: AtomicU32 = AtomicU32::new(0);

/// Which server is examined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Server {
    /// The broker in the box.
    Embedded,
    /// Apache RocketMQ 5.x with its defaults.
    Apache,
}

/// Runs all checks against a name server, on each driver that this machine allows, or on the one that `RMQC_IO` names.
/// Panics where one fails.
pub fn run(name_server: SocketAddr, server: Server) {
    let wanted = std::env::var("RMQC_IO").unwrap_or_default();
    let is_wanted = |driver| ["", "auto", driver].contains(&wanted.as_str());
    assert!(is_wanted("epoll") || is_wanted("uring"), "RMQC_IO={wanted} is no driver");
    if is_wanted("epoll") {
        on_driver::<Epoll, _>(move || checks::<Epoll>(name_server, server));
    }
    match probe::obstacle(1) {
        None if is_wanted("uring") => on_driver::<Uring, _>(move || checks::<Uring>(name_server, server)),
        Some(obstacle) if wanted == "uring" => panic!("io_uring was asked for: {}", obstacle.reason()),
        Some(obstacle) => eprintln!("not run on io_uring: {}", obstacle.reason()),
        None => {}
    }
}

/// Runs a future on an executor of its own, on this thread. Panics if it does.
pub fn on_driver<D: Driver, F: Future<Output = ()> + 'static>(main: impl FnOnce() -> F + 'static) {
    let (bell, doorbell) = Bell::new().unwrap();
    let end = run_executor::<D, F>(bell, doorbell, main);
    assert_eq!(end, ExecutorEnd::Done);
}

/// One client with its connections.
pub struct Client {
    /// To the name server.
    pub names: Connection,
    /// To the broker.
    pub broker: Connection,
    /// The broker's name.
    pub broker_name: String,
    /// Happens when the broker tells of a changed group.
    pub notified: Event,
    server: Server,
}

fn unique(what: &str) -> String {
    format!("suite-{what}-{}-{}", std::process::id(), NAMES.fetch_add(1, Ordering::Relaxed))
}

async fn connect<D: Driver>(address: SocketAddr, notified: Event) -> Connection {
    let socket = D::connect(address, DEADLINE).await.unwrap();
    Connection::start::<D>(address, socket, None, notified, Rc::new(Traffic::default()))
}

/// Quotes keys that are plain numbers, which Java's servers do not.
fn strict(text: &[u8]) -> Value {
    let text = String::from_utf8(text.to_vec()).unwrap();
    let text = text.replace("{0:", "{\"0\":").replace(",0:", ",\"0\":");
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

impl Client {
    /// Connects to a name server and to the only broker that it knows.
    pub async fn start<D: Driver>(name_server: SocketAddr, server: Server) -> Self {
        let notified = Event::default();
        let names = connect::<D>(name_server, notified.clone()).await;
        let route = Request::new(request::GET_BROKER_CLUSTER_INFO);
        let info = strict(&names.call(&route, DEADLINE).await.unwrap().body);
        let (broker_name, broker) = info["brokerAddrTable"].as_object().unwrap().iter().next().unwrap();
        let address: SocketAddr = broker["brokerAddrs"]["0"].as_str().unwrap().parse().unwrap();
        let broker = connect::<D>(address, notified.clone()).await;
        Self { names, broker, broker_name: broker_name.clone(), notified, server }
    }

    /// Calls the broker.
    pub async fn call(&self, request: Request) -> Response {
        let answer = self.broker.call(&request, DEADLINE).await.unwrap();
        if let (true, Some(remark)) = (answer.header.code != response::SUCCESS, &answer.header.remark) {
            // Shown with a test that fails only.
            println!("request {} answered with {}: {remark}", request.code, answer.header.code);
        }
        answer
    }

    async fn code(&self, request: Request) -> i32 {
        self.call(request).await.header.code
    }

    async fn make_topic(&self, topic: &str) {
        let made = self.call(create_topic(topic)).await;
        check("create topic", made.header.code, response::SUCCESS);
        let asked = Instant::now();
        loop {
            let route = Request::new(request::GET_ROUTEINFO_BY_TOPIC).with("topic", topic);
            let answer = self.names.call(&route, DEADLINE).await.unwrap();
            if answer.header.code == response::SUCCESS {
                let route: Value = serde_json::from_slice(&answer.body).unwrap();
                check("write queues of the route", route["queueDatas"][0]["writeQueueNums"].as_i64(), Some(QUEUES));
                check("broker of the route", route["brokerDatas"][0]["brokerName"].as_str(), Some(&*self.broker_name));
                return;
            }
            assert!(asked.elapsed() < DEADLINE, "no route to {topic}: {:?}", answer.header);
        }
    }

    async fn send(&self, topic: &str, queue: i64, body: &'static [u8], properties: &[u8]) -> Response {
        self.call(send(topic, queue, properties).with_body(Bytes::from_static(body))).await
    }

    async fn send_batch(&self, topic: &str, queue: i64, items: &[(Vec<u8>, Vec<u8>)]) -> Response {
        let mut body = BytesMut::new();
        for (content, properties) in items {
            put_item_head(&mut body, content.len(), properties.len());
            body.extend_from_slice(content);
            put_item_tail(&mut body, properties);
        }
        self.call(batch(topic, queue).with_body(body.freeze())).await
    }

    /// Pulls until the queue gives what is there from `offset` on: a broker indexes a little after it acknowledged.
    async fn pull_found(&self, pull: impl Fn() -> Request) -> (Vec<Message>, i64) {
        let asked = Instant::now();
        loop {
            let answer = self.call(pull()).await;
            if answer.header.code == response::SUCCESS {
                let next = answer.header.fields.number("nextBeginOffset").unwrap();
                return (messages(answer.body).map(Result::unwrap).collect(), next);
            }
            assert!(asked.elapsed() < DEADLINE, "nothing found: {:?}", answer.header);
        }
    }

    /// All messages of a queue from `offset` up to `end`.
    async fn read(&self, group: &str, topic: &str, queue: i64, mut offset: i64, end: i64) -> Vec<Message> {
        let mut read = Vec::new();
        while offset < end {
            let (found, next) = self.pull_found(|| pull(group, topic, queue, offset)).await;
            assert!(next > offset, "a pull goes forward");
            offset = next;
            read.extend(found);
        }
        read
    }
}

fn check<T: PartialEq + Debug>(what: &str, found: T, expected: T) {
    assert_eq!(found, expected, "{what}");
}

fn create_topic(topic: &str) -> Request {
    Request::new(request::UPDATE_AND_CREATE_TOPIC)
        .with("topic", topic)
        .with("defaultTopic", "TBW102")
        .with("readQueueNums", QUEUES)
        .with("writeQueueNums", QUEUES)
        .with("perm", 6)
        .with("topicFilterType", "SINGLE_TAG")
        .with("topicSysFlag", 0)
        .with("order", "false")
}

/// A request to send one message; body and properties are the caller's.
pub fn send(topic: &str, queue: i64, properties: &[u8]) -> Request {
    Request::new(request::SEND_MESSAGE_V2)
        .with("a", "suite-producer")
        .with("b", topic)
        .with("c", "TBW102")
        .with("d", QUEUES)
        .with("e", queue)
        .with("f", 0)
        .with("g", 1_700_000_000_000i64)
        .with("h", 77)
        .with("i", Bytes::copy_from_slice(properties))
        .with("j", 0)
        .with("k", "false")
        .with("m", "false")
}

/// A request to send a batch; the body is the caller's.
pub fn batch(topic: &str, queue: i64) -> Request {
    let mut request = send(topic, queue, b"");
    request.code = request::SEND_BATCH_MESSAGE;
    for (name, value) in &mut request.fields {
        if *name == "m" {
            *value = "true".into();
        }
    }
    request
}

/// A request to pull without waiting, with its subscription.
pub fn pull(group: &str, topic: &str, queue: i64, offset: i64) -> Request {
    pull_with(group, topic, queue, offset, 4, "*")
}

fn pull_with(group: &str, topic: &str, queue: i64, offset: i64, flags: i64, tags: &str) -> Request {
    Request::new(request::PULL_MESSAGE)
        .with("consumerGroup", group)
        .with("topic", topic)
        .with("queueId", queue)
        .with("queueOffset", offset)
        .with("maxMsgNums", 1024)
        .with("sysFlag", flags)
        .with("commitOffset", 0)
        .with("suspendTimeoutMillis", if flags & 2 == 0 { 0 } else { 15_000 })
        .with("subscription", tags)
        .with("subVersion", 1)
        .with("expressionType", "TAG")
}

async fn checks<D: Driver>(name_server: SocketAddr, server: Server) {
    let client = Client::start::<D>(name_server, server).await;
    topics::unknown_things(&client).await;
    topics::routes_and_lists(&client).await;
    topics::topics_come_and_go(&client).await;
    sends::single_sends(&client).await;
    sends::refused_sends(&client).await;
    sends::batches(&client).await;
    sends::malformed_batches_store_nothing(&client).await;
    pulls::ends_of_queues(&client).await;
    pulls::filters(&client).await;
    pulls::long_poll_wakes(&client).await;
    pulls::long_poll_ends(&client).await;
    groups::commits(&client).await;
    groups::resets(&client).await;
    groups::members::<D>(&client, name_server).await;
    groups::subscriptions(&client).await;
    groups::locks(&client).await;
    sends::oneway_sends(&client).await;
    groups::statistics(&client).await;
}

fn now_ms() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    i64::try_from(now.as_millis()).unwrap()
}
