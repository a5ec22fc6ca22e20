//! The state machine and its files, without sockets.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;

use super::broker::{Broker, BrokerLimits, Caller, Moment, StoreLimits};
use crate::remoting::code::{request, response};
use crate::remoting::frame::FrameDecoder;
use crate::remoting::header::{Fields, Header};
use crate::remoting::message::{Message, messages, put_item_head, put_item_tail};

/// A directory that is deleted in the end.
struct TempDir(PathBuf);

impl TempDir {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("rmqc-embedded-unit-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        Self(dir)
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

struct Bench {
    broker: Broker,
    now: Moment,
}

const ADDRESS: &str = "127.0.0.1:10911";

fn small() -> BrokerLimits {
    let store = StoreLimits { segment_bytes_max: 3_000, cache_bytes_max: 1_500 };
    BrokerLimits { store, pull_messages_max: 7, pull_bytes_max: 2_000, ..BrokerLimits::default() }
}

impl Bench {
    fn open(dir: &Path, limits: BrokerLimits) -> Self {
        Self::try_open(dir, limits).unwrap()
    }

    fn try_open(dir: &Path, limits: BrokerLimits) -> Result<Self, String> {
        let now = Moment { wall_ms: 1_800_000_000_000, mono_ms: 0 };
        let address: SocketAddr = ADDRESS.parse().unwrap();
        let broker = Broker::open(dir, address, limits, now).map_err(|error| error.to_string())?;
        Ok(Self { broker, now })
    }

    /// Calls, and gives all frames that the broker then wants sent.
    fn call(&mut self, code: i32, fields: &[(&'static str, &str)], body: &[u8]) -> Vec<(Header, Bytes)> {
        let mut header = Header { code, opaque: 5, version: 477, fields: Fields::default(), ..Header::default() };
        for (name, value) in fields {
            header.fields.push(name, (*value).to_owned());
        }
        let caller = Caller { connection: 1, address: "127.0.0.1:5".parse().unwrap(), now: self.now };
        self.broker.request(caller, &header, &Bytes::copy_from_slice(body));
        self.sent()
    }

    fn sent(&mut self) -> Vec<(Header, Bytes)> {
        let mut decoder = FrameDecoder::default();
        let mut sent = Vec::new();
        for part in self.broker.take_outbox().into_iter().flat_map(|outgoing| outgoing.parts) {
            decoder.read_target().0.extend_from_slice(&part);
        }
        while let Some(frame) = decoder.next_frame().unwrap() {
            sent.push((Header::decode(frame.form, &frame.header).unwrap(), frame.body.freeze()));
        }
        sent
    }

    fn one(&mut self, code: i32, fields: &[(&'static str, &str)], body: &[u8]) -> (Header, Bytes) {
        let mut sent = self.call(code, fields, body);
        assert_eq!(sent.len(), 1);
        sent.remove(0)
    }

    fn send(&mut self, topic: &str, queue: &str, body: &[u8]) -> i64 {
        let fields = [("a", "p"), ("b", topic), ("c", "TBW102"), ("d", "4"), ("e", queue), ("f", "0"), ("g", "9")];
        let (header, _) = self.one(request::SEND_MESSAGE_V2, &fields, body);
        assert_eq!(header.code, response::SUCCESS, "{header:?}");
        header.fields.number("queueOffset").unwrap()
    }

    fn send_batch(&mut self, topic: &str, queue: &str, bodies: &[Vec<u8>]) -> i64 {
        let mut batch = BytesMut::new();
        for body in bodies {
            put_item_head(&mut batch, body.len(), 4);
            batch.extend_from_slice(body);
            put_item_tail(&mut batch, b"k\x01v\x02");
        }
        let fields = [("a", "p"), ("b", topic), ("c", "TBW102"), ("d", "4"), ("e", queue), ("m", "true")];
        let (header, _) = self.one(request::SEND_BATCH_MESSAGE, &fields, &batch);
        assert_eq!(header.code, response::SUCCESS, "{header:?}");
        header.fields.number("queueOffset").unwrap()
    }

    fn pull(&mut self, topic: &str, queue: &str, offset: usize, flags: &str) -> Vec<(Header, Bytes)> {
        let offset = offset.to_string();
        let fields = [
            ("consumerGroup", "g"),
            ("topic", topic),
            ("queueId", queue),
            ("queueOffset", &*offset),
            ("maxMsgNums", "32"),
            ("sysFlag", flags),
            ("suspendTimeoutMillis", "1000"),
            ("subscription", "*"),
        ];
        self.call(request::PULL_MESSAGE, &fields, b"")
    }

    /// The whole queue, from `offset` on.
    fn read(&mut self, topic: &str, queue: &str, mut offset: usize) -> Vec<Message> {
        let mut all = Vec::new();
        loop {
            let (header, body) = self.pull(topic, queue, offset, "4").remove(0);
            if header.code != response::SUCCESS {
                assert_eq!(header.code, response::PULL_NOT_FOUND, "{header:?}");
                return all;
            }
            let found: Vec<Message> = messages(body).map(Result::unwrap).collect();
            assert!(!found.is_empty());
            for message in &found {
                assert_eq!(message.queue_offset, offset as i64);
                offset += 1;
            }
            all.extend(found);
        }
    }

    fn bodies(&mut self, topic: &str, queue: &str) -> Vec<Vec<u8>> {
        self.read(topic, queue, 0).into_iter().map(|message| message.body.to_vec()).collect()
    }
}

fn last_segment(dir: &Path) -> PathBuf {
    let files = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|path| path.extension().is_some_and(|extension| extension == "log")).max().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Whatever is sent in whatever mixture over small segments and a small cache is read back, before and after a
    /// restart, from any offset.
    #[test]
    fn what_was_sent_is_read_back(
        sends in proptest::collection::vec((0usize..3, proptest::collection::vec(1usize..400, 1..12), any::<bool>()), 1..30),
        from in 0usize..20,
    ) {
        let dir = TempDir::new();
        let mut bench = Bench::open(&dir.0, small());
        let mut expected = vec![Vec::new(); 3];
        for (at, (queue, sizes, single)) in sends.iter().enumerate() {
            let bodies: Vec<Vec<u8>> = sizes.iter().map(|size| vec![at as u8; *size]).collect();
            let id = queue.to_string();
            if *single {
                prop_assert_eq!(bench.send("t", &id, &bodies[0]), expected[*queue].len() as i64);
                expected[*queue].push(bodies[0].clone());
            } else {
                prop_assert_eq!(bench.send_batch("t", &id, &bodies), expected[*queue].len() as i64);
                expected[*queue].extend(bodies);
            }
        }
        for _ in 0..2 {
            for (queue, expected) in expected.iter().enumerate() {
                prop_assert_eq!(&bench.bodies("t", &queue.to_string()), expected);
                if from < expected.len() {
                    let read = bench.read("t", &queue.to_string(), from);
                    prop_assert_eq!(read.len(), expected.len() - from);
                }
            }
            drop(bench);
            bench = Bench::open(&dir.0, small());
        }
    }

    /// Any request, with any fields and body, is answered or ignored.
    #[test]
    fn foreign_requests_never_panic(
        code in prop_oneof![0i32..400, Just(310), Just(320), Just(11), Just(34), Just(41), any::<i32>()],
        fields in proptest::collection::vec((0usize..FIELD_NAMES.len(), "\\PC{0,12}|-?[0-9]{1,20}|TBW102"), 0..12),
        body in proptest::collection::vec(any::<u8>(), 0..80),
    ) {
        let dir = TempDir::new();
        let mut bench = Bench::open(&dir.0, BrokerLimits::default());
        let fields: Vec<_> = fields.iter().map(|(name, value)| (FIELD_NAMES[*name], value.as_str())).collect();
        bench.call(code, &fields, &body);
        bench.broker.tick(Moment { mono_ms: u64::MAX, ..bench.now });
        bench.broker.disconnect(1);
    }
}

const FIELD_NAMES: [&str; 24] = [
    "a",
    "b",
    "c",
    "d",
    "e",
    "f",
    "g",
    "h",
    "i",
    "topic",
    "queueId",
    "queueOffset",
    "maxMsgNums",
    "sysFlag",
    "commitOffset",
    "suspendTimeoutMillis",
    "subscription",
    "subVersion",
    "consumerGroup",
    "group",
    "timestamp",
    "clientID",
    "readQueueNums",
    "writeQueueNums",
];

#[test]
fn a_torn_end_is_cut_and_nothing_else() {
    let dir = TempDir::new();
    let mut bench = Bench::open(&dir.0, BrokerLimits::default());
    for number in 0..5u8 {
        bench.send("t", "0", &[number; 20]);
    }
    drop(bench);
    let path = last_segment(&dir.0);
    let whole = std::fs::read(&path).unwrap();
    let message_len = whole.len() / 5;
    for cut in [1, 3, 50, message_len - 1, message_len] {
        std::fs::write(&path, &whole[..whole.len() - cut]).unwrap();
        let mut bench = Bench::open(&dir.0, BrokerLimits::default());
        assert_eq!(bench.bodies("t", "0").len(), 4, "cut by {cut}");
        assert_eq!(bench.send("t", "0", b"next"), 4);
        assert_eq!(bench.bodies("t", "0")[4], b"next");
    }
    // A body that did not reach the disk: the file is long enough, its content is not there.
    let mut hole = whole.clone();
    let body_at = whole.len() - message_len + 88;
    hole[body_at..body_at + 20].fill(0);
    std::fs::write(&path, &hole).unwrap();
    assert_eq!(Bench::open(&dir.0, BrokerLimits::default()).bodies("t", "0").len(), 4);
}

#[test]
fn damage_before_the_last_segment_is_an_error() {
    let dir = TempDir::new();
    let mut bench = Bench::open(&dir.0, small());
    for _ in 0..10 {
        bench.send("t", "0", &[7; 900]);
    }
    drop(bench);
    let first = dir.0.join("00000000000000000000.log");
    let mut content = std::fs::read(&first).unwrap();
    content[100] ^= 1;
    std::fs::write(&first, content).unwrap();
    let error = Bench::try_open(&dir.0, small()).err().unwrap();
    assert!(error.contains("damaged at byte 0"), "{error}");
}

#[test]
fn a_deleted_topic_stays_deleted_and_starts_anew() {
    let dir = TempDir::new();
    let mut bench = Bench::open(&dir.0, BrokerLimits::default());
    bench.send("t", "0", b"old");
    bench.send("kept", "0", b"kept");
    assert_eq!(bench.one(request::DELETE_TOPIC_IN_BROKER, &[("topic", "t")], b"").0.code, response::SUCCESS);
    drop(bench);
    let mut bench = Bench::open(&dir.0, BrokerLimits::default());
    assert_eq!(bench.pull("t", "0", 0, "4")[0].0.code, response::TOPIC_NOT_EXIST);
    assert_eq!(bench.send("t", "0", b"new"), 0);
    drop(bench);
    let mut bench = Bench::open(&dir.0, BrokerLimits::default());
    assert_eq!((bench.bodies("t", "0"), bench.bodies("kept", "0")), (vec![b"new".to_vec()], vec![b"kept".to_vec()]));
}

#[test]
fn a_topic_made_after_a_lost_end_keeps_its_messages() {
    let dir = TempDir::new();
    let mut bench = Bench::open(&dir.0, BrokerLimits::default());
    bench.send("old", "0", &[1; 500]);
    bench.send("new", "0", b"lost");
    drop(bench);
    std::fs::write(last_segment(&dir.0), b"").unwrap();
    let mut bench = Bench::open(&dir.0, BrokerLimits::default());
    assert_eq!(bench.send("new", "0", b"stays"), 0);
    drop(bench);
    assert_eq!(Bench::open(&dir.0, BrokerLimits::default()).bodies("new", "0"), [b"stays".to_vec()]);
}

#[test]
fn offsets_and_settings_survive_a_restart() {
    let dir = TempDir::new();
    let mut bench = Bench::open(&dir.0, BrokerLimits::default());
    let create = [("topic", "t"), ("readQueueNums", "3"), ("writeQueueNums", "2"), ("perm", "4")];
    assert_eq!(bench.one(request::UPDATE_AND_CREATE_TOPIC, &create, b"").0.code, response::SUCCESS);
    bench.pull("t", "0", 0, "4");
    let commit = [("consumerGroup", "g"), ("topic", "t"), ("queueId", "1"), ("commitOffset", "12")];
    assert_eq!(bench.one(request::UPDATE_CONSUMER_OFFSET, &commit, b"").0.code, response::SUCCESS);
    bench.broker.flush_work().run().unwrap();
    assert!(bench.broker.flush_work().is_empty());
    drop(bench);
    let mut bench = Bench::open(&dir.0, BrokerLimits::default());
    let (known, _) = bench.one(request::QUERY_CONSUMER_OFFSET, &commit[..3], b"");
    assert_eq!(known.fields.number("offset"), Some(12));
    let (_, config) = bench.one(request::GET_TOPIC_CONFIG, &create[..1], b"");
    let config = String::from_utf8(config.to_vec()).unwrap();
    assert!(config.contains("\"readQueueNums\":3") && config.contains("\"perm\":4"), "{config}");
    let fields = [("b", "t"), ("e", "0")];
    assert_eq!(bench.one(request::SEND_MESSAGE_V2, &fields, b"x").0.code, response::NO_PERMISSION);
}

#[test]
fn one_directory_one_broker() {
    let dir = TempDir::new();
    let first = Bench::open(&dir.0, BrokerLimits::default());
    let error = Bench::try_open(&dir.0, BrokerLimits::default()).err().unwrap();
    assert!(error.contains("another process uses this directory"), "{error}");
    drop(first);
    Bench::open(&dir.0, BrokerLimits::default());
}

#[test]
fn a_waiting_pull_ends_on_time_by_a_message_or_with_its_connection() {
    let dir = TempDir::new();
    let mut bench = Bench::open(&dir.0, BrokerLimits::default());
    bench.send("t", "0", b"first");
    assert!(bench.pull("t", "0", 1, "6").is_empty());
    bench.broker.tick(Moment { mono_ms: 999, ..bench.now });
    assert!(bench.sent().is_empty());
    bench.broker.tick(Moment { mono_ms: 1_000, ..bench.now });
    assert_eq!(bench.sent()[0].0.code, response::PULL_NOT_FOUND);

    assert!(bench.pull("t", "0", 1, "6").is_empty());
    let fields = [("a", "p"), ("b", "t"), ("e", "0")];
    let sent = bench.call(request::SEND_MESSAGE_V2, &fields, b"second");
    assert_eq!(sent.len(), 2, "the sender's answer and the pull's");
    assert_eq!(messages(sent[0].1.clone()).next().unwrap().unwrap().body, &b"second"[..]);

    assert!(bench.pull("t", "0", 2, "6").is_empty());
    bench.broker.disconnect(1);
    bench.broker.tick(Moment { mono_ms: u64::MAX, ..bench.now });
    assert!(bench.sent().is_empty());
}

#[test]
fn a_lock_lasts_a_minute() {
    let dir = TempDir::new();
    let mut bench = Bench::open(&dir.0, BrokerLimits::default());
    let lock = |bench: &mut Bench, client: &str| {
        let body = format!(
            r#"{{"consumerGroup":"g","clientId":"{client}","mqSet":[{{"topic":"t","brokerName":"b","queueId":0}}]}}"#
        );
        bench.one(request::LOCK_BATCH_MQ, &[], body.as_bytes()).1.len() > r#"{"lockOKMQSet":[]}"#.len()
    };
    assert!(lock(&mut bench, "one") && !lock(&mut bench, "two"));
    bench.now.mono_ms = 59_999;
    assert!(!lock(&mut bench, "two"));
    bench.now.mono_ms = 60_000;
    assert!(lock(&mut bench, "two") && !lock(&mut bench, "one"));
}

#[test]
fn what_it_cannot_do_is_refused() {
    let dir = TempDir::new();
    let mut bench = Bench::open(&dir.0, BrokerLimits::default());
    let refused = |bench: &mut Bench, more: (&'static str, &str)| {
        bench.one(request::SEND_MESSAGE_V2, &[("b", "t"), ("c", "TBW102"), ("d", "1"), ("e", "0"), more], b"x").0.code
    };
    assert_eq!(refused(&mut bench, ("f", "4")), response::SYSTEM_ERROR);
    assert_eq!(refused(&mut bench, ("i", "DELAY\u{1}3\u{2}")), response::SYSTEM_ERROR);
    assert_eq!(bench.one(request::CONSUMER_SEND_MSG_BACK, &[], b"").0.code, response::REQUEST_CODE_NOT_SUPPORTED);
}
