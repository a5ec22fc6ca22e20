//! Access control: every request is signed, and the secret is nowhere to be seen.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

use rmqc_io::remoting::sign;
use rmqc_io::settings::Credentials;
use tracing_subscriber::fmt::MakeWriter;

use super::support::plane::Options;
use super::support::proxy::{body, frame, header, read_frame};
use super::support::{on_each_driver, wait_for};

const ACCOUNT: &str = "alice-of-the-test";
const SECRET: &str = "s3cret-of-the-test";

fn credentials() -> Credentials {
    Credentials { access_key: ACCOUNT.to_owned(), secret_key: SECRET.to_owned() }
}

#[test]
fn the_signature_is_hmac_sha1() {
    // The second case of RFC 2202.
    let key = Credentials { access_key: String::new(), secret_key: "Jefe".to_owned() };
    let parts: [&[u8]; 2] = [b"what do ya ", b"want for "];
    let signature = sign::signature(&key, parts.into_iter(), std::iter::once(&b"nothing?"[..]));
    assert_eq!(signature, "7/zfauXrL6LSdBbV8YTfnCWafHk=");
}

/// A name server and broker that checks signatures, and answers sends as told.
struct Guard {
    address: SocketAddr,
    /// Code of the answer to sends.
    send_code: AtomicI64,
    checked: AtomicU64,
    bad: AtomicBool,
    saw_secret: AtomicBool,
}

fn guard() -> Arc<Guard> {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let guard = Arc::new(Guard {
        address: listener.local_addr().unwrap(),
        send_code: AtomicI64::new(0),
        checked: AtomicU64::new(0),
        bad: AtomicBool::new(false),
        saw_secret: AtomicBool::new(false),
    });
    let serving = guard.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let guard = serving.clone();
            std::thread::spawn(move || guard.serve(stream));
        }
    });
    guard
}

impl Guard {
    fn serve(&self, mut stream: TcpStream) {
        while let Some(request) = read_frame(&mut stream) {
            self.check(&request);
            let head = header(&request);
            let (code, fields, content) = self.answer(head["code"].as_i64().unwrap());
            let answer = serde_json::json!({
                "code": code, "flag": 1, "opaque": head["opaque"], "language": "JAVA", "version": 477,
                "serializeTypeCurrentRPC": "JSON", "extFields": fields, "remark": "as the test wants",
            });
            if stream.write_all(&frame(&answer, content.as_bytes())).is_err() {
                return;
            }
        }
    }

    fn check(&self, request: &[u8]) {
        let shown = String::from_utf8_lossy(request);
        self.saw_secret.fetch_or(shown.contains(SECRET), Ordering::SeqCst);
        let head = header(request);
        let fields = head["extFields"].as_object().cloned().unwrap_or_default();
        let mut signed: BTreeMap<String, String> =
            fields.iter().map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned())).collect();
        let given = signed.remove("Signature");
        let values = signed.values().map(String::as_bytes);
        let expected = sign::signature(&credentials(), values, std::iter::once(body(request)));
        let good = given.as_deref() == Some(&*expected) && signed.get("AccessKey").map(String::as_str) == Some(ACCOUNT);
        self.bad.fetch_or(!good, Ordering::SeqCst);
        self.checked.fetch_add(1, Ordering::SeqCst);
    }

    fn answer(&self, code: i64) -> (i64, serde_json::Value, String) {
        let none = serde_json::json!({});
        match code {
            105 => {
                let route = serde_json::json!({
                    "brokerDatas": [{"brokerName": "b", "cluster": "c", "brokerAddrs": {"0": self.address.to_string()}}],
                    "queueDatas": [{"brokerName": "b", "readQueueNums": 4, "writeQueueNums": 4, "perm": 6, "topicSysFlag": 0}],
                });
                (0, none, route.to_string())
            }
            310 | 320 => {
                let fields = serde_json::json!({"msgId": "x", "queueId": "0", "queueOffset": "0"});
                (self.send_code.load(Ordering::SeqCst), fields, String::new())
            }
            14 => (0, serde_json::json!({"offset": "0"}), String::new()),
            38 => (1, none, String::new()),
            _ => (0, none, String::new()),
        }
    }
}

/// Looks at every line that is logged.
#[derive(Clone, Copy)]
struct Watcher;

static LINES: AtomicU64 = AtomicU64::new(0);
static LEAKED: AtomicBool = AtomicBool::new(false);

impl Write for Watcher {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        LINES.fetch_add(1, Ordering::SeqCst);
        LEAKED.fetch_or(String::from_utf8_lossy(bytes).contains(SECRET), Ordering::SeqCst);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'w> MakeWriter<'w> for Watcher {
    type Writer = Self;

    fn make_writer(&'w self) -> Self {
        *self
    }
}

#[test]
fn every_request_is_signed_and_the_secret_stays_one() {
    let log = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(Watcher).finish();
    tracing::subscriber::set_global_default(log).unwrap();
    on_each_driver(|driver| {
        let guard = guard();
        let plane = Options { credentials: Some(credentials()), ..Options::new(driver, guard.address) }.start();
        let config = [("records", "1000"), ("key.count", "3"), ("connect.topicname", "t")];
        let source = plane.run("gen", "generator-source", &config);
        let sink = plane.run("out", "blackhole-sink", &[("connect.topicnames", "t")]);
        wait_for("records", || (plane.counters(&source).records_committed == 1000).then_some(()));
        plane.stop(&source);
        // Who may not send learns that, and nothing about keys.
        guard.send_code.store(16, Ordering::SeqCst);
        let source = plane.launch("no", "generator-source", &config);
        let (cause, restart) = plane.failed(&source);
        assert!(cause.contains("code 16") && !cause.contains(SECRET) && !restart, "{cause}");
        wait_for("log lines", || (LINES.load(Ordering::SeqCst) > 0).then_some(()));
        plane.stop(&sink);
        plane.shut_down();
        assert!(guard.checked.load(Ordering::SeqCst) > 5);
        assert!(!guard.bad.load(Ordering::SeqCst), "a request without a good signature");
        assert!(!guard.saw_secret.load(Ordering::SeqCst), "the secret was sent");
        assert!(!LEAKED.load(Ordering::SeqCst), "the secret was logged");
    });
}
