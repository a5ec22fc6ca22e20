//! The embedded broker, from outside: the suite that an Apache broker passes too, restarts, kills, hostile clients.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::unreachable,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test fails by panicking and tells by printing"
)]

#[path = "../support/client_suite/mod.rs"]
mod client_suite;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rmqc_io::driver::probe;
use rmqc_io::embedded::{EmbeddedBroker, EmbeddedSettings};
use rmqc_io::settings::DriverWanted;

const DEADLINE: Duration = Duration::from_secs(20);

/// A directory of its own for each test; deleted in the end.
struct TempDir(PathBuf);

impl TempDir {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("rmqc-embedded-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        Self(dir)
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn settings(dir: &TempDir, driver: DriverWanted) -> EmbeddedSettings {
    EmbeddedSettings { dir: dir.0.clone(), address: "127.0.0.1:0".parse().unwrap(), driver }
}

fn drivers() -> Vec<DriverWanted> {
    let uring = probe::obstacle(2).is_none().then_some(DriverWanted::Uring);
    std::iter::once(DriverWanted::Epoll).chain(uring).collect()
}

#[test]
fn passes_the_client_suite_on_each_driver() {
    for driver in drivers() {
        let dir = TempDir::new();
        let broker = EmbeddedBroker::start(settings(&dir, driver)).unwrap();
        client_suite::run(broker.address(), client_suite::Server::Embedded);
        broker.stop();
    }
}

/// A connection that speaks raw bytes.
fn raw(broker: &EmbeddedBroker) -> TcpStream {
    let stream = TcpStream::connect(broker.address()).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream
}

/// A request as a frame.
fn frame(code: i32, fields: &str, body: &[u8]) -> Vec<u8> {
    let header = format!(r#"{{"code":{code},"flag":0,"opaque":1,"version":477,"extFields":{{{fields}}}}}"#);
    let total = u32::try_from(4 + header.len() + body.len()).unwrap();
    let header_len = u32::try_from(header.len()).unwrap();
    [&total.to_be_bytes()[..], &header_len.to_be_bytes(), header.as_bytes(), body].concat()
}

/// Asks, and gives the whole answer as text.
fn ask(stream: &mut TcpStream, request: &[u8]) -> String {
    stream.write_all(request).unwrap();
    let mut length = [0; 4];
    stream.read_exact(&mut length).unwrap();
    let mut answer = vec![0; u32::from_be_bytes(length) as usize];
    stream.read_exact(&mut answer).unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

fn send_frame(number: usize) -> Vec<u8> {
    let fields = r#""a":"p","b":"kept","c":"TBW102","d":"1","e":"0","f":"0","g":"0","h":"0""#;
    frame(310, fields, format!("body {number}.").as_bytes())
}

fn pull_frame(offset: usize) -> Vec<u8> {
    let fields = format!(
        r#""consumerGroup":"g","topic":"kept","queueId":"0","queueOffset":"{offset}","maxMsgNums":"1024","sysFlag":"4""#
    );
    frame(11, &fields, b"")
}

#[test]
fn hostile_bytes_close_their_connection_only() {
    let hostile: [&[u8]; 6] = [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        &[0xff; 64],
        &[0, 0, 0, 3, 0, 0, 0, 0],
        &[0, 0, 0, 8, 0, 0, 0, 9, 1, 2, 3, 4],
        &[0, 0, 0, 8, 0, 0, 0, 4, b'{', b'{', b'{', b'{'],
        &[0, 0, 0, 8, 7, 0, 0, 4, b'{', b'{', b'{', b'{'],
    ];
    for driver in drivers() {
        let dir = TempDir::new();
        let broker = EmbeddedBroker::start(settings(&dir, driver)).unwrap();
        let mut good = raw(&broker);
        for bytes in hostile {
            let mut bad = raw(&broker);
            bad.write_all(bytes).unwrap();
            let mut rest = Vec::new();
            // Closed, by an end or by a reset; a timeout would be neither.
            if let Err(error) = bad.read_to_end(&mut rest) {
                assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{bytes:?}");
            }
            assert!(rest.is_empty());
            assert!(ask(&mut good, &frame(106, "", b"")).contains("\"code\":0"));
        }
        broker.stop();
    }
}

#[test]
fn what_was_acknowledged_survives_a_kill_and_a_stop() {
    for driver in drivers() {
        let dir = TempDir::new();
        let broker = EmbeddedBroker::start(settings(&dir, driver)).unwrap();
        let mut client = raw(&broker);
        for number in 0..50 {
            assert!(ask(&mut client, &send_frame(number)).contains(&format!("\"queueOffset\":\"{number}\"")));
        }
        // What a killed process leaves is what its files hold now, synced or not.
        let copy = TempDir::new();
        for entry in std::fs::read_dir(&dir.0).unwrap() {
            let entry = entry.unwrap();
            std::fs::copy(entry.path(), copy.0.join(entry.file_name())).unwrap();
        }
        broker.stop();
        for left in [&copy, &dir] {
            let broker = EmbeddedBroker::start(settings(left, driver)).unwrap();
            let mut client = raw(&broker);
            let answer = ask(&mut client, &pull_frame(0));
            assert!((0..50).all(|number| answer.contains(&format!("body {number}."))), "all bodies");
            assert!(ask(&mut client, &send_frame(50)).contains("\"queueOffset\":\"50\""));
            broker.stop();
        }
    }
}

#[test]
fn a_taken_address_and_a_taken_directory_are_told() {
    let (dir, other) = (TempDir::new(), TempDir::new());
    let broker = EmbeddedBroker::start(settings(&dir, DriverWanted::Epoll)).unwrap();
    let same_dir = EmbeddedBroker::start(settings(&dir, DriverWanted::Epoll)).err().unwrap().to_string();
    assert!(same_dir.contains("uses this directory"), "{same_dir}");
    let taken = EmbeddedSettings { address: broker.address(), ..settings(&other, DriverWanted::Epoll) };
    let same_port = EmbeddedBroker::start(taken).err().unwrap().to_string();
    assert!(same_port.contains("cannot listen on"), "{same_port}");
    broker.stop();
}

/// A client that asks for much and reads nothing must not fill the broker's memory, nor keep it from stopping.
#[test]
fn a_client_that_does_not_read_is_not_served_without_end() {
    for driver in drivers() {
        let dir = TempDir::new();
        let broker = EmbeddedBroker::start(settings(&dir, driver)).unwrap();
        let mut client = raw(&broker);
        let body = vec![b'x'; 500_000];
        let fields = r#""a":"p","b":"kept","c":"TBW102","d":"1","e":"0","f":"0","g":"0","h":"0""#;
        assert!(ask(&mut client, &frame(310, fields, &body)).contains("\"queueOffset\":\"0\""));
        client.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
        let pulls: Vec<u8> = std::iter::repeat_n(pull_frame(0), 1_000).flatten().collect();
        // Every round asks for half a gigabyte; the broker stops reading long before it has sent that.
        let mut asked = 0;
        while asked < 400 * pulls.len() {
            match client.write(&pulls) {
                Ok(len) => asked += len,
                Err(_) => break,
            }
        }
        assert!(asked < 400 * pulls.len(), "it took {asked} bytes of requests");
        assert!(ask(&mut raw(&broker), &frame(106, "", b"")).contains("\"code\":0"), "others are served");
        broker.stop();
    }
}
