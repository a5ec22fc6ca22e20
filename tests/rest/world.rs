//! A worker without a data plane: controller, stores and REST on a thread of its own, reached over TCP.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rmqc_control::controller::standalone::{Settings, start};
use rmqc_control::controller::{Controller, ConverterDefaults};
use rmqc_control::metrics::Monitored;
use rmqc_control::rest::{RestLimits, RestSettings, serve};
use rmqc_control::store::{ConfigStore, StoreError, StoredConnector, Stores};
use rmqc_control::worker::Patience;
use rmqc_core::config::provider::{ProviderSettings, Providers};
use rmqc_core::config::worker::RestartPolicy;
use rmqc_core::limits::SHARD_TASKS_MAX;
use serde_json::Value;

use crate::cluster::FakeCluster;
use crate::fake::FakePort;

/// Nothing that is waited for takes longer than this.
const DEADLINE: Duration = Duration::from_secs(10);

/// How a worker is to be.
#[derive(Clone, Copy)]
pub struct Wishes<'a> {
    pub worker_id: &'a str,
    pub dir: Option<&'a Path>,
    pub real_status: bool,
    pub mask_secrets: bool,
    pub stop_patience: Duration,
    pub limits: RestLimits,
    /// How long a task may take to stop.
    pub task_patience: Duration,
}

impl Default for Wishes<'_> {
    fn default() -> Self {
        Self {
            worker_id: "standalone-worker",
            dir: None,
            real_status: false,
            mask_secrets: true,
            stop_patience: DEADLINE,
            limits: RestLimits::default(),
            task_patience: DEADLINE,
        }
    }
}

/// A store of connectors that can be made to wait in the midst of a change.
struct Gated {
    inner: Box<dyn ConfigStore>,
    gate: Arc<Mutex<Option<Receiver<()>>>>,
}

impl ConfigStore for Gated {
    fn all(&self) -> Vec<StoredConnector> {
        self.inner.all()
    }

    fn put(&mut self, connectors: &[StoredConnector]) -> Result<(), StoreError> {
        let gate = self.gate.lock().unwrap().take();
        if let Some(gate) = gate {
            // A test that is over opens all gates.
            let _ = gate.recv();
        }
        self.inner.put(connectors)
    }

    fn remove(&mut self, names: &[String]) -> Result<(), StoreError> {
        self.inner.remove(names)
    }
}

/// A running worker.
pub struct World {
    pub address: SocketAddr,
    pub port: Arc<FakePort>,
    pub cluster: Arc<FakeCluster>,
    pub controller: Controller,
    /// What is counted, as `/metrics` shows it.
    #[allow(dead_code, reason = "the fuzz run has no reporters")]
    pub monitored: Arc<Monitored>,
    gate: Arc<Mutex<Option<Receiver<()>>>>,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<JoinHandle<Vec<String>>>,
}

/// An HTTP answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub content_type: String,
    pub body: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

async fn run(
    rest: RestSettings,
    (stop_patience, task_patience): (Duration, Duration),
    stores: Stores,
    (port, cluster): (Arc<FakePort>, Arc<FakeCluster>),
    listener: tokio::net::TcpListener,
    stop: tokio::sync::oneshot::Receiver<()>,
    handle: std::sync::mpsc::Sender<Controller>,
) -> Vec<String> {
    let restart = RestartPolicy {
        max: 2,
        window: Duration::from_secs(60),
        backoff: Duration::from_millis(5),
        backoff_max: Duration::from_millis(20),
    };
    let string = "org.apache.rocketmq.connect.runtime.converter.record.StringConverter".to_owned();
    let settings = Settings {
        worker_id: rest.worker_id.clone(),
        converters: ConverterDefaults { key: string.clone(), value: string },
        providers: Arc::new(Providers::registered(&ProviderSettings::default())),
        secrets: Arc::default(),
        patience: Patience { start: DEADLINE, stop: task_patience, restart },
        state_interval: Duration::from_secs(20),
        traces: Arc::clone(&rest.monitored.traces),
    };
    let (controller, running): (Controller, _) =
        start(settings, Arc::<FakePort>::clone(&port), cluster.clone(), stores);
    handle.send(controller.clone()).unwrap();
    let (close, closed) = tokio::sync::oneshot::channel::<()>();
    let server = tokio::spawn(serve(listener, controller.clone(), port, cluster, rest, async {
        let _ = closed.await;
    }));
    let _ = stop.await;
    let left = controller.shutdown(stop_patience).await.unwrap();
    running.await.unwrap();
    close.send(()).unwrap();
    server.await.unwrap();
    left
}

impl World {
    /// Starts a worker.
    pub fn start(wishes: Wishes<'_>) -> Self {
        assert_eq!(SHARD_TASKS_MAX, 4096, "the tests rely on there being room for a few tasks");
        let gate = Arc::default();
        let mut stores = wishes.dir.map_or_else(Stores::in_memory, |dir| Stores::in_files(dir).unwrap());
        stores.config = Box::new(Gated { inner: stores.config, gate: Arc::clone(&gate) });
        let port = Arc::new(FakePort::new(2));
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let inner = Arc::clone(&port);
        let cluster = Arc::new(FakeCluster::default());
        let theirs = Arc::clone(&cluster);
        let monitored = Arc::new(Monitored::new("0.0.0"));
        let rest = RestSettings {
            worker_id: wishes.worker_id.to_owned(),
            allowed_origins: vec!["https://console.example".to_owned()],
            real_status: wishes.real_status,
            mask_secrets: wishes.mask_secrets,
            version: "0.0.0",
            name_servers: vec!["namesrv:9876".to_owned()],
            embedded: false,
            stall_timeout: Duration::from_secs(30),
            limits: wishes.limits,
            log_levels: Arc::new(rmqc_control::logs::NoLog),
            plugin_paths: Arc::default(),
            monitored: Arc::clone(&monitored),
        };
        let patience = (wishes.stop_patience, wishes.task_patience);
        let (handle, controller) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                run(rest, patience, stores, (inner, theirs), listener, stopped, handle).await
            })
        });
        let controller = controller.recv_timeout(DEADLINE).unwrap();
        Self { address, port, cluster, controller, monitored, gate, stop: Some(stop), thread: Some(thread) }
    }

    /// Waits for what the controller answers.
    pub fn answer<T>(&self, answer: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async { tokio::time::timeout(DEADLINE, answer).await.unwrap() })
    }

    /// The next change of a connector waits in the store until `released` hears something, and the controller with it.
    pub fn block_store(&self, released: Receiver<()>) {
        *self.gate.lock().unwrap() = Some(released);
    }

    /// Stops it in order; gives what was left undone.
    pub fn stop(mut self) -> Vec<String> {
        self.stop.take().unwrap().send(()).unwrap();
        self.thread.take().unwrap().join().unwrap()
    }

    /// One request.
    pub fn ask(&self, method: &str, path: &str, body: Option<&str>) -> Answer {
        self.ask_with(method, path, body, "")
    }

    /// One request with further header lines, each ended by CR LF.
    pub fn ask_with(&self, method: &str, path: &str, body: Option<&str>, headers: &str) -> Answer {
        let mut socket = TcpStream::connect(self.address).unwrap();
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        let body = body.unwrap_or_default();
        let length = body.len();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
        );
        // A server that refuses the body may close before it has read all of it.
        let _ = socket.write_all(request.as_bytes());
        let mut bytes = Vec::new();
        let _ = socket.read_to_end(&mut bytes);
        let text = String::from_utf8(bytes).unwrap();
        let (head, body) =
            text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer to {method} {path}: {text}"));
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let content_type = head
            .lines()
            .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-type: ").map(str::to_owned))
            .unwrap_or_default();
        Answer { status, content_type, body: body.to_owned() }
    }

    /// `GET` of what is no text: content type and body.
    #[allow(dead_code, reason = "the fuzz run reads texts only")]
    pub fn ask_bytes(&self, path: &str, headers: &str) -> (String, Vec<u8>) {
        let mut socket = TcpStream::connect(self.address).unwrap();
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n{headers}\r\n");
        socket.write_all(request.as_bytes()).unwrap();
        let mut bytes = Vec::new();
        socket.read_to_end(&mut bytes).unwrap();
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap().to_ascii_lowercase();
        let kind = head.lines().find_map(|line| line.strip_prefix("content-type: ")).unwrap_or_default();
        (kind.to_owned(), bytes[end + 4..].to_vec())
    }

    /// `GET` as JSON.
    pub fn get(&self, path: &str) -> Value {
        self.ask("GET", path, None).json()
    }

    /// Creates a connector; panics when it is refused.
    pub fn create(&self, name: &str, config: &Value) {
        let answer = self.ask("POST", &format!("/connectors/{name}"), Some(&config.to_string())).json();
        assert_eq!(answer["status"], 200, "{answer}");
    }

    /// Waits until `reached` says so; looks again and again, with a deadline.
    #[track_caller]
    pub fn wait(&self, what: &str, mut reached: impl FnMut(&Self) -> bool) {
        let start = Instant::now();
        while !reached(self) {
            assert!(start.elapsed() < DEADLINE, "waited in vain for {what}; orders: {:#?}", self.port.orders());
            std::thread::yield_now();
        }
    }

    /// Waits until a task has that state.
    #[track_caller]
    pub fn wait_for_state(&self, connector: &str, task: u32, state: &str) {
        let path = format!("/connectors/{connector}/tasks/{task}/status");
        self.wait(&format!("{connector}-{task} to be {state}"), |world| world.get(&path)["body"]["state"] == state);
    }

    /// Waits until an order was given.
    #[track_caller]
    pub fn wait_for_order(&self, order: &str) {
        self.wait(order, |world| world.port.orders().iter().any(|one| one == order));
    }
}
