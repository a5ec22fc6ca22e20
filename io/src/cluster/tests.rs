//! The port against the embedded broker.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rmqc_core::cluster_port::{ClusterPort, NewMessage, QueueName};

use super::start_cluster_client;
use crate::embedded::broker::{BROKER_NAME, BrokerLimits};
use crate::embedded::{EmbeddedBroker, EmbeddedSettings};
use crate::settings::{ClusterSettings, DriverWanted};

struct World {
    port: Arc<dyn ClusterPort>,
    broker: EmbeddedBroker,
    runtime: tokio::runtime::Runtime,
    _dir: tempfile::TempDir,
}

fn settings(server: String) -> ClusterSettings {
    ClusterSettings {
        name_servers: vec![server],
        credentials: None,
        producer_group: "g".to_owned(),
        auto_create_topic: true,
        operation_timeout: Duration::from_secs(3),
    }
}

/// A broker that gives few messages an answer, and the port to it.
fn world() -> World {
    let dir = tempfile::tempdir().unwrap();
    let address = "127.0.0.1:0".parse().unwrap();
    let broker = EmbeddedSettings { dir: dir.path().to_owned(), address, driver: DriverWanted::Epoll };
    let limits = BrokerLimits { pull_messages_max: 3, ..BrokerLimits::default() };
    let broker = EmbeddedBroker::start_with(broker, limits).unwrap();
    let port = start_cluster_client(&settings(broker.address().to_string())).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    World { port, broker, runtime, _dir: dir }
}

fn queue(topic: &str, queue: u32) -> QueueName {
    QueueName { topic: topic.to_owned(), broker: BROKER_NAME.to_owned(), queue }
}

fn message(topic: &str, properties: &[(&str, &str)], body: impl Into<Bytes>) -> NewMessage {
    let properties = properties.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    NewMessage { topic: topic.to_owned(), properties, body: body.into() }
}

#[test]
fn topics_are_made_and_found_again() {
    let World { port, broker, runtime, _dir } = world();
    let address = broker.address().to_string();
    runtime.block_on(async {
        assert_eq!(port.masters().await.unwrap()[0].address, address);
        assert_eq!(port.topic_queues("made").await.unwrap(), None);
        port.create_topic("made", 3).await.unwrap();
        let queues = port.topic_queues("made").await.unwrap().unwrap();
        assert_eq!((queues[0].read_queues, queues[0].write_queues), (3, 3));
        assert!(port.topics().await.unwrap().contains(&"made".to_owned()));
        let config = port.broker_config(&address).await.unwrap();
        assert_eq!((config["brokerName"].as_str(), config["maxMessageSize"].as_str()), (BROKER_NAME, "4194304"));
    });
    drop(port);
    broker.stop();
    let port = start_cluster_client(&settings(address.clone())).unwrap();
    let error = runtime.block_on(port.masters()).unwrap_err();
    assert!(error.0.contains(&address), "{error}");
}

#[test]
fn messages_are_read_as_they_were_sent() {
    let World { port, runtime, broker: _broker, _dir } = world();
    runtime.block_on(async {
        let error = port.send(message("nowhere", &[], "x")).await.unwrap_err();
        assert!(error.0.contains("topic nowhere") && error.0.contains("create it first"), "{error}");
        assert!(port.topic_queues("nowhere").await.unwrap().is_none(), "a send made a topic");

        port.create_topic("t", 1).await.unwrap();
        let properties = [("KEYS", "k"), ("UNIQ_KEY", "u"), ("own", "ä=1"), ("empty", "")];
        for number in 0..10 {
            let sent = port.send(message("t", &properties, format!("body {number}"))).await.unwrap();
            assert_eq!(sent, (queue("t", 0), number));
        }
        let read = port.read(&queue("t", 0), 0, 8).await.unwrap();
        let offsets: Vec<i64> = read.iter().map(|message| message.offset).collect();
        assert_eq!(offsets, (0..8).collect::<Vec<_>>(), "more than one answer's worth, and not more than asked for");
        let shown: Vec<(&str, &str)> = read[7].properties.iter().map(|(name, value)| (&**name, &**value)).collect();
        assert_eq!((&read[7].body[..], shown.as_slice()), (&b"body 7"[..], &properties[..]));
        assert!(read[7].born_ms > 0 && read[7].store_ms >= read[7].born_ms && read[7].queue == queue("t", 0));

        let bodies = async |offset, count| {
            let read = port.read(&queue("t", 0), offset, count).await.unwrap();
            read.iter().map(|message| message.offset).collect::<Vec<_>>()
        };
        assert_eq!(bodies(-5, 2).await, [0, 1], "from before the first message");
        assert_eq!(bodies(9, 5).await, [9]);
        assert_eq!(bodies(10, 5).await, [0i64; 0], "at the end");
        assert_eq!(bodies(999, 5).await, [0i64; 0], "beyond the end");
        assert_eq!(bodies(0, 0).await, [0i64; 0]);
        for (wrong, told) in [(queue("t", 1), "1 queues"), (queue("u", 0), "topic u does not exist")] {
            let error = port.read(&wrong, 0, 1).await.unwrap_err();
            assert!(error.0.contains(told), "{error}");
        }

        // One without an id gets one; what can't be a property is told.
        port.send(message("t", &[], "plain")).await.unwrap();
        let plain = port.read(&queue("t", 0), 10, 1).await.unwrap();
        assert!(matches!(&plain[0].properties[..], [(name, id)] if name == "UNIQ_KEY" && id.len() == 32));
        let error = port.send(message("t", &[("a", "b\u{2}c")], "x")).await.unwrap_err();
        assert!(error.0.contains("separator"), "{error}");
        let error = port.send(message("t", &[], vec![0; 4 * 1024 * 1024 + 1])).await.unwrap_err();
        assert!(error.0.contains("4194305 bytes"), "{error}");
    });
}

#[test]
fn keys_go_where_a_source_would_send_them() {
    let World { port, runtime, broker: _broker, _dir } = world();
    runtime.block_on(async {
        port.create_topic("keyed", 8).await.unwrap();
        for (key, number) in [("abc", 2), ("order-1", 6), ("order-2", 5)] {
            let (at, _) = port.send(message("keyed", &[("KEYS", key)], "x")).await.unwrap();
            assert_eq!(at.queue, number, "{key}");
        }
    });
}

#[test]
fn a_group_stands_where_it_was_put() {
    let World { port, runtime, broker: _broker, _dir } = world();
    runtime.block_on(async {
        assert_eq!(port.standing("g", "nowhere").await.unwrap(), []);
        port.create_topic("t", 2).await.unwrap();
        for _ in 0..4 {
            port.send(message("t", &[("KEYS", "a")], "x")).await.unwrap();
        }
        let ends = port.standing("g", "t").await.unwrap();
        let full = ends.iter().find(|one| one.max == 4).unwrap().queue.clone();
        assert_eq!(ends.iter().map(|one| one.committed).collect::<Vec<_>>(), [None, None]);
        assert_eq!((ends[0].queue.queue, ends[1].queue.queue), (0, 1));

        // A group that no broker knows yet, forwards, backwards, and 0, which is not the same as nothing.
        for offset in [3, 4, 1, 0] {
            port.commit("g", &full, offset).await.unwrap();
            let standing = port.standing("g", "t").await.unwrap();
            let there = standing.iter().find(|one| one.queue == full).unwrap();
            assert_eq!((there.min, there.max, there.committed), (0, 4, Some(offset)));
        }
        assert!(port.commit("g", &full, -1).await.is_err());
        assert!(port.commit("g", &queue("t", 2), 0).await.unwrap_err().0.contains("there is no queue 2"));

        assert_eq!(port.group_members("g").await.unwrap(), [""; 0]);
        port.delete_group("g").await.unwrap();
        port.delete_group("g").await.unwrap();
        let standing = port.standing("g", "t").await.unwrap();
        assert_eq!(standing.iter().filter_map(|one| one.committed).count(), 0);
    });
}

#[test]
fn time_finds_the_first_message_stored_by_then() {
    let World { port, runtime, broker: _broker, _dir } = world();
    runtime.block_on(async {
        port.create_topic("t", 1).await.unwrap();
        port.send(message("t", &[], "first")).await.unwrap();
        let first = port.read(&queue("t", 0), 0, 1).await.unwrap()[0].store_ms;
        let deadline = Instant::now() + Duration::from_secs(10);
        let later = loop {
            let (_, offset) = port.send(message("t", &[], "later")).await.unwrap();
            let stored = port.read(&queue("t", 0), offset, 1).await.unwrap()[0].clone();
            if stored.store_ms > first {
                break stored;
            }
            assert!(Instant::now() < deadline, "the clock stands still");
        };
        assert_eq!(port.offset_at(&queue("t", 0), first).await.unwrap(), 0);
        assert_eq!(port.offset_at(&queue("t", 0), later.store_ms).await.unwrap(), later.offset);
        assert_eq!(port.offset_at(&queue("t", 0), later.store_ms + 3_600_000).await.unwrap(), later.offset + 1);
    });
}

#[test]
fn compressed_bodies_are_read_expanded() {
    use std::io::Write as _;
    let World { port, runtime, broker, _dir } = world();
    runtime.block_on(port.create_topic("t", 1)).unwrap();
    let plain = vec![b'x'; 5_000];
    let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    zlib.write_all(&plain).unwrap();
    send_raw(&broker, &[("b", "t"), ("e", "0"), ("f", "1"), ("g", "7")], &zlib.finish().unwrap());
    let read = runtime.block_on(port.read(&queue("t", 0), 0, 1)).unwrap();
    assert!(read[0].body == plain && read[0].born_ms == 7);
}

/// A send request with flags that the port never sets, over a blocking socket.
fn send_raw(broker: &EmbeddedBroker, fields: &[(&str, &str)], body: &[u8]) {
    use std::io::{Read as _, Write as _};
    let fields: serde_json::Map<String, serde_json::Value> =
        fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).into())).collect();
    let header = serde_json::json!({"code": 310, "opaque": 1, "flag": 0, "version": 477, "extFields": fields});
    let header = header.to_string();
    let mut frame = u32::try_from(4 + header.len() + body.len()).unwrap().to_be_bytes().to_vec();
    frame.extend_from_slice(&u32::try_from(header.len()).unwrap().to_be_bytes());
    frame.extend_from_slice(header.as_bytes());
    frame.extend_from_slice(body);
    let mut socket = std::net::TcpStream::connect(broker.address()).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    socket.write_all(&frame).unwrap();
    let mut head = [0u8; 8];
    socket.read_exact(&mut head).unwrap();
}
