//! Ten thousand requests, proper, mutated and hostile, over several connections at once: none is answered by HTTP 500 or
//! not at all, and the process does not grow. A target of its own, so that nothing else moves its memory.
//!
//! The seed is printed; `RMQC_SEED` repeats the requests.

// Helpers of tests are tests: what fails here is a failed test.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::print_stdout)]
#![allow(dead_code, reason = "the world has more than this target needs")]

mod cluster;
mod fake;
#[path = "../support/seeded.rs"]
mod seeded;
mod world;

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use rmqc_control::rest::RestLimits;
use seeded::Random;
use world::{Wishes, World};

/// Requests of the whole run.
const REQUESTS: usize = 10_000;
/// Requests after which whatever is filled once is filled.
const WARM_UP: usize = 2_500;
/// Connections that ask at the same time.
const CONNECTIONS: usize = 4;
/// A connection deletes all connectors after so many of its requests.
const RESET_EVERY: usize = 100;
/// Longest time for an answer.
const DEADLINE: Duration = Duration::from_secs(10);
/// Memory that the process may gain between warm-up and end: connectors and buffers that are under way.
const GROWTH_KIB_MAX: u64 = 24 * 1024;

/// The Java worker's routes, and those of this worker that stand beside them.
const ROUTES: &[(&str, &str)] = &[
    ("GET", "/getClusterInfo"),
    ("GET", "/connectors/list"),
    ("GET", "/allocated/connectors"),
    ("GET", "/allocated/tasks"),
    ("GET", "/connectors/{name}/config"),
    ("GET", "/connectors/{name}/status"),
    ("GET", "/connectors/{name}/tasks"),
    ("GET", "/connectors/{name}/tasks/{task}/status"),
    ("GET", "/connectors/{name}"),
    ("POST", "/connectors/{name}"),
    ("PUT", "/connectors/{name}"),
    ("DELETE", "/connectors/{name}"),
    ("GET", "/connectors/{name}/stop"),
    ("GET", "/connectors/{name}/pause"),
    ("GET", "/connectors/{name}/resume"),
    ("GET", "/connectors/{name}/delete"),
    ("GET", "/connectors/stop/all"),
    ("GET", "/connectors/pause/all"),
    ("GET", "/connectors/resume/all"),
    ("GET", "/plugin/reload"),
    ("GET", "/plugin/list"),
    ("GET", "/plugin/list/connectors"),
    ("GET", "/plugin/config"),
    ("GET", "/plugin/config/validate"),
    ("PUT", "/plugin/config/validate"),
    ("GET", "/getConfigInfo"),
    ("GET", "/getAllocatedInfo"),
    ("GET", "/getAllocatedConnectors"),
    ("GET", "/getAllocatedTasks"),
    ("GET", "/connectors/stopAll"),
    ("GET", "/v1/worker"),
    ("GET", "/v1/tasks"),
    ("GET", "/v1/flow"),
    ("GET", "/v1/openapi.json"),
    ("GET", "/health"),
    ("GET", "/ready"),
    ("GET", "/metrics"),
];

const NAMES: &[&str] = &[
    "c0",
    "c1",
    "c2",
    "c3",
    "c4",
    "list",
    "all",
    "stop",
    "a%20b",
    "a%2Fb",
    "%E6%96%87",
    "..",
    "%2e%2e%2f",
    "%00",
    "%ff%fe",
    "%",
    "%zz",
    "%7B%7D",
    "*",
    "'--",
    "-1",
    "0",
    "99999999999999999999",
    "\u{7f}",
    "~",
    "a;b",
    "a+b",
    "a=b&c",
];

const WORDS: &[&str] = &[
    "connector.class",
    "filename",
    "connect.topicname",
    "connect.topicnames",
    "max.tasks",
    "tasks.max",
    "transforms",
    "transforms.a.class",
    "value.converter",
    "errors.tolerance",
    "pass",
    "task.id",
    "name",
    "",
    "\u{0}",
    "文件",
];

const VALUES: &[&str] = &[
    "FileSource",
    "FileSink",
    "org.apache.rocketmq.connect.file.FileSourceConnector",
    "f",
    "/nonexistent/f",
    "t",
    "2",
    "abc",
    "-1",
    "1e309",
    "a,b",
    "JsonConverter",
    "all",
    "******",
    "${env:HOME}",
    "${file:/etc/passwd:x}",
    "${",
    "true",
    "",
];

/// One request as bytes, and whether it is whole enough to be answered.
struct Request {
    bytes: Vec<u8>,
    head_only: bool,
    mutated: bool,
}

/// Makes requests from routes.
struct Maker {
    random: Random,
    routes: Vec<(String, String)>,
}

impl Maker {
    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len())]
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.random.below(bound as u64)).unwrap()
    }

    /// Once in so many times.
    fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    fn segment(&mut self) -> String {
        match self.below(30) {
            0 => "x".repeat(self.below(9000)),
            1 => (0..self.below(12)).map(|_| format!("%{:02x}", self.below(256))).collect(),
            2..=17 => format!("c{}", self.below(5)),
            _ => self.pick(NAMES).to_owned(),
        }
    }

    fn path(&mut self, template: &str) -> String {
        let mut path = String::new();
        for part in template.split('/').skip(1) {
            path.push('/');
            if part.starts_with('{') || self.once_in(60) {
                path.push_str(&self.segment());
            } else {
                path.push_str(part);
            }
        }
        match self.below(40) {
            0 => path.push('/'),
            1 => path.push_str("//"),
            2 => path = path.to_uppercase(),
            3 => path.truncate(path.char_indices().nth(3).map_or(1, |(at, _)| at)),
            _ => {}
        }
        path
    }

    /// A configuration: mostly one that is accepted.
    fn config(&mut self) -> Vec<u8> {
        let mut config = json!({"connector.class": "FileSource", "filename": "f", "connect.topicname": "t"});
        if self.once_in(3) {
            config = json!({"connector.class": "FileSink", "filename": "f", "connect.topicnames": "t", "max.tasks": 3});
        }
        for _ in 0..self.below(3) {
            let value = match self.below(8) {
                0 => Value::Null,
                1 => json!(self.random.below(1 << 40)),
                2 => json!([1, {"a": [null]}]),
                _ => json!(self.pick(VALUES)),
            };
            config[self.pick(WORDS)] = value;
        }
        match self.below(40) {
            0 => b"null".to_vec(),
            1 => "[".repeat(self.below(5000)).into_bytes(),
            2 => format!("{{\"a\":{}", "{\"a\":".repeat(self.below(5000))).into_bytes(),
            3 => vec![0xff; self.below(50)],
            4 => b" ".to_vec(),
            5 if self.once_in(8) => vec![b' '; 1_000_000 + self.below(100_000)],
            6 => json!({"name": "c1", "config": config}).to_string().into_bytes(),
            _ => config.to_string().into_bytes(),
        }
    }

    fn query(&mut self) -> String {
        let config = self.config();
        let config: String = config.iter().take(3000).map(|byte| format!("%{byte:02x}")).collect();
        match self.below(8) {
            0 => format!("?config={config}"),
            1 => format!("?pluginName={}&config={config}", self.pick(VALUES)),
            2 => format!("?pluginName={}", self.pick(&["FileSource", "string", "mask-field", "nope", ""])),
            3 => "?%&&==&config&%zz=%".to_owned(),
            4 => format!("?expand=status&limit={}&dry_run={}", self.pick(NAMES), self.pick(&["true", "x"])),
            _ => String::new(),
        }
    }

    fn headers(&mut self) -> String {
        let mut headers = String::new();
        for _ in 0..self.below(3) {
            headers.push_str(match self.below(9) {
                0 => "Accept: application/json\r\n",
                1 => "Accept: */*;q=x,,\r\n",
                2 => "Content-Type: application/json\r\n",
                3 => "Content-Type: text/\u{e9}\r\n",
                4 => "Expect: 100-continue\r\n",
                5 => "X-Forwarded-For: ::1\r\n",
                6 => "Connection: keep-alive, upgrade\r\nUpgrade: h2c\r\n",
                7 => "Cookie: a=b; a=b\r\n",
                _ => "X:\r\n",
            });
        }
        headers
    }

    fn request(&mut self) -> Request {
        let at = self.below(self.routes.len());
        let (method, template) = self.routes[at].clone();
        let methods = ["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE", "CONNECT", "FOO"];
        let method = if self.once_in(8) { self.pick(&methods).to_owned() } else { method };
        let target = format!("{}{}", self.path(&template), self.query());
        let headers = self.headers();
        let body = if matches!(method.as_str(), "POST" | "PUT" | "PATCH") || self.once_in(20) {
            self.config()
        } else {
            Vec::new()
        };
        let mut bytes = format!("{method} {target} HTTP/1.1\r\nHost: t\r\n{headers}").into_bytes();
        if !body.is_empty() && self.once_in(4) {
            bytes.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n");
            for piece in body.chunks(1 + self.below(body.len())) {
                bytes.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
                bytes.extend_from_slice(piece);
                bytes.extend_from_slice(b"\r\n");
            }
            bytes.extend_from_slice(b"0\r\n\r\n");
        } else {
            bytes.extend_from_slice(format!("Content-Length: {}\r\n\r\n", body.len()).as_bytes());
            bytes.extend_from_slice(&body);
        }
        let mutated = self.once_in(10);
        if mutated {
            self.mutate(&mut bytes);
        }
        Request { bytes, head_only: method == "HEAD", mutated }
    }

    fn mutate(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..=self.below(4) {
            let at = self.below(bytes.len().max(1));
            let byte = u8::try_from(self.below(256)).unwrap();
            match self.below(4) {
                0 => bytes.truncate(at),
                1 => bytes.insert(at.min(bytes.len()), byte),
                _ if bytes.is_empty() => {}
                2 => bytes[at] = byte,
                _ => drop(bytes.remove(at)),
            }
        }
    }
}

/// A connection that is made again when the worker closed it.
struct Line {
    address: SocketAddr,
    socket: Option<TcpStream>,
}

impl Line {
    fn socket(&mut self) -> TcpStream {
        self.socket.take().unwrap_or_else(|| {
            let socket = TcpStream::connect(self.address).unwrap();
            socket.set_read_timeout(Some(DEADLINE)).unwrap();
            socket.set_write_timeout(Some(DEADLINE)).unwrap();
            socket
        })
    }

    /// Sends a request; gives the answer's status, or none where the worker closed the connection instead.
    fn ask(&mut self, request: &Request) -> Result<Option<u16>, String> {
        let kept = self.socket.is_some();
        match self.ask_once(request)? {
            // A kept connection may have been closed before the worker saw the request.
            None if kept => self.ask_once(request),
            answer => Ok(answer),
        }
    }

    fn ask_once(&mut self, request: &Request) -> Result<Option<u16>, String> {
        let mut socket = self.socket();
        // A worker that refuses may close before it has read everything.
        let _ = socket.write_all(&request.bytes);
        if request.mutated {
            // What is no whole request is not waited for.
            let _ = socket.shutdown(Shutdown::Write);
        }
        let Some(head) = head(&mut socket)? else { return Ok(None) };
        let status = head.split(' ').nth(1).and_then(|text| text.parse().ok()).ok_or(format!("no status: {head}"))?;
        let lower = head.to_ascii_lowercase();
        let length = lower.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
        let closes = lower.contains("connection: close") || request.mutated;
        // An answer without a length may go on for ever; its head is enough.
        let Some(length) = length.filter(|_| !closes) else { return Ok(Some(status)) };
        let mut body = vec![0; if request.head_only { 0 } else { length }];
        socket.read_exact(&mut body).map_err(|error| format!("the body of {head}: {error}"))?;
        self.socket = Some(socket);
        Ok(Some(status))
    }
}

/// The next head that is no interim one; none when the connection ends first.
fn head(socket: &mut TcpStream) -> Result<Option<String>, String> {
    loop {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            match socket.read(&mut byte) {
                Ok(0) => return Ok(None),
                Ok(_) => head.push(byte[0]),
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return Ok(None),
                Err(error) => return Err(format!("no answer within {DEADLINE:?}: {error}")),
            }
        }
        let head = String::from_utf8(head).map_err(|error| error.to_string())?;
        if !head.starts_with("HTTP/1.1 1") {
            return Ok(Some(head));
        }
    }
}

/// Sends so many requests; every answer is one.
fn storm(address: SocketAddr, mut maker: Maker, count: usize) {
    let mut line = Line { address, socket: None };
    let reset = Request {
        bytes: b"POST /connectors/stop/all HTTP/1.1\r\nHost: t\r\nContent-Length: 0\r\n\r\n".to_vec(),
        head_only: false,
        mutated: false,
    };
    for number in 0..count {
        let request = maker.request();
        let fault = match line.ask(&request) {
            Ok(None) if !request.mutated => Some("closed without an answer".to_owned()),
            Ok(Some(status)) if status == 500 || status == 503 => Some(format!("HTTP {status}")),
            Ok(_) => None,
            Err(error) => Some(error),
        };
        if let Some(fault) = fault {
            let text = String::from_utf8_lossy(&request.bytes[..request.bytes.len().min(2000)]);
            panic!("request {number}: {fault}\n{text}");
        }
        if number % RESET_EVERY == RESET_EVERY - 1 {
            assert_eq!(line.ask(&reset), Ok(Some(200)));
        }
    }
}

/// All routes: those of the document that the worker serves, and the table's.
fn routes(world: &World) -> Vec<(String, String)> {
    let mut all: Vec<_> = ROUTES.iter().map(|(method, path)| ((*method).to_owned(), (*path).to_owned())).collect();
    let document = world.ask("GET", "/v1/openapi.json", None);
    if document.status == 200 {
        for (path, operations) in document.json()["paths"].as_object().unwrap() {
            for method in operations.as_object().unwrap().keys().filter(|key| *key != "parameters") {
                all.push((method.to_ascii_uppercase(), path.clone()));
            }
        }
    }
    all
}

/// Memory of this process, in KiB.
fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

#[test]
fn ten_thousand_requests_are_answered_without_growth() {
    let mut seeds = Random::seeded();
    let limits = RestLimits { head_timeout: Duration::from_secs(2), ..RestLimits::default() };
    let world = World::start(Wishes { limits, ..Wishes::default() });
    let routes = routes(&world);
    let began = Instant::now();
    let mut run = |count: usize| {
        std::thread::scope(|scope| {
            for _ in 0..CONNECTIONS {
                let maker = Maker { random: seeds.fork(), routes: routes.clone() };
                scope.spawn(|| storm(world.address, maker, count / CONNECTIONS));
            }
        });
        assert_eq!(world.ask("POST", "/connectors/stop/all", None).status, 200);
        world.wait("all tasks to be gone", |world| {
            world.get("/allocated/tasks")["body"].as_object().unwrap().values().all(|tasks| tasks == &json!([]))
        });
        // The played data plane remembers its orders; the worker does not.
        world.port.forget_orders();
        resident_kib()
    };
    let before = run(WARM_UP);
    let after = run(REQUESTS - WARM_UP);
    println!(
        "{} routes, {before} KiB after {WARM_UP}, {after} KiB after {REQUESTS}, {:?}",
        routes.len(),
        began.elapsed()
    );
    assert!(after.saturating_sub(before) < GROWTH_KIB_MAX, "grew from {before} to {after} KiB");
    assert!(world.stop().is_empty());
}
