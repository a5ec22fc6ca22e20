//! What the captured bytes mean, byte for byte.

use bytes::{Bytes, BytesMut};
use rmqc_io::embedded::broker::{Broker, BrokerLimits, Caller, Moment};
use rmqc_io::remoting::code::response;
use rmqc_io::remoting::frame::{Frame, FrameDecoder};
use rmqc_io::remoting::header::{Header, HeaderForm};
use rmqc_io::remoting::message::{
    Message, MessageParts, batch_items, body_crc, messages, messages_of_topics, put_message,
};
use rmqc_io::remoting::properties;

use super::{capture, captures};

fn frames(stream: &[u8]) -> Vec<Frame> {
    let mut decoder = FrameDecoder::default();
    decoder.read_target().0.extend_from_slice(stream);
    let frames: Vec<_> = std::iter::from_fn(|| decoder.next_frame().unwrap()).collect();
    let bytes: usize = frames.iter().map(|frame| 8 + frame.header.len() + frame.body.len()).sum();
    assert_eq!(bytes, stream.len(), "whole frames only");
    frames
}

fn decoded(name: &str) -> (Header, Bytes) {
    let mut frames = frames(&capture(name));
    assert_eq!(frames.len(), 1, "{name}");
    let frame = frames.remove(0);
    (Header::decode(frame.form, &frame.header).unwrap(), frame.body.freeze())
}

fn messages_of(name: &str) -> Vec<Message> {
    messages(decoded(name).1).map(Result::unwrap).collect()
}

#[test]
fn answers_have_the_codes_that_we_expect() {
    let check = |name: &str, code: i32, opaque: i32| {
        let (header, _) = decoded(&format!("{name}.response"));
        assert!(header.is_response() && !header.is_oneway(), "{name}");
        assert_eq!((header.code, header.opaque, header.version), (code, opaque, 513), "{name}");
    };
    check("route", response::SUCCESS, 1);
    check("route-unknown", response::TOPIC_NOT_EXIST, 1);
    check("cluster", response::SUCCESS, 1);
    check("send-json", response::SUCCESS, 7);
    check("send-binary", response::SUCCESS, 8);
    check("batch", response::SUCCESS, 9);
    check("batch-malformed", response::SYSTEM_ERROR, 10);
    check("pull-json", response::SUCCESS, 11);
    check("pull-with-binary-header", response::SUCCESS, 12);
    check("pull-end", response::PULL_NOT_FOUND, 13);
    check("pull-beyond", response::PULL_OFFSET_MOVED, 14);
    check("unknown-request", response::REQUEST_CODE_NOT_SUPPORTED, 15);
    check("lock", response::SUCCESS, 18);
}

#[test]
fn both_header_forms_carry_the_same_request() {
    for (name, form, body) in
        [("send-json", HeaderForm::Json, "Hello"), ("send-binary", HeaderForm::Binary, "mehr Text: äöü 文件")]
    {
        let stream = capture(&format!("{name}.request"));
        let frame = frames(&stream).remove(0);
        assert_eq!(frame.form, form);
        let header = Header::decode(frame.form, &frame.header).unwrap();
        assert_eq!((header.code, header.version, &frame.body[..]), (310, 477, body.as_bytes()));
        assert_eq!((header.fields.get("b"), header.fields.number("g")), (Some("fileTopic"), Some(1_795_363_854_815)));
        assert!(header.fields.get("i").unwrap().starts_with("connect.timestamp\u{1}17953638"));
    }
    // A Java server answers in JSON, whatever form it was asked in.
    let asked = frames(&capture("pull-with-binary-header.request")).remove(0);
    let answered = frames(&capture("pull-with-binary-header.response")).remove(0);
    assert_eq!((asked.form, answered.form), (HeaderForm::Binary, HeaderForm::Json));
}

#[test]
fn a_string_converter_s_message_is_stored_with_the_broker_s_properties() {
    let (message, topic) = messages_of_topics(decoded("pull-json.response").1).next().unwrap().unwrap();
    assert_eq!((&message.body[..], &topic[..]), (&b"Hello"[..], &b"fileTopic"[..]));
    assert_eq!((message.queue_id, message.queue_offset, message.flag, message.sys_flag), (8, 0, 0, 0));
    let property = |name| properties::find(&message.properties, name).map(|value| String::from_utf8_lossy(value));
    assert_eq!(property("connect.timestamp").as_deref(), Some("1795363854815"));
    assert_eq!(property("CLUSTER").as_deref(), Some("DefaultCluster"));
    assert_eq!(property("MSG_REGION").as_deref(), Some("DefaultRegion"));
    assert_eq!(property("TRACE_ON").as_deref(), Some("true"));
    let sent = decoded("send-json.response").0;
    assert_eq!(property("UNIQ_KEY").as_deref(), sent.fields.get("transactionId"));
    assert_eq!(Some(&*message.offset_message_id()), sent.fields.get("msgId"));
    let text = messages_of("pull-binary-sent.response").remove(0);
    assert_eq!((text.queue_id, &text.body[..]), (1, "mehr Text: äöü 文件".as_bytes()));
}

#[test]
fn batches_are_stored_as_sent() {
    let items = batch_items(decoded("batch.request").1).unwrap();
    let stored = messages_of("pull-batch.response");
    assert_eq!((items.len(), stored.len()), (3, 3));
    for (at, (item, message)) in items.iter().zip(&stored).enumerate() {
        assert_eq!((&item.body, &item.properties), (&message.body, &message.properties));
        assert_eq!((message.queue_offset, message.body_crc), (at as i64, body_crc(&item.body)));
    }
    assert!(stored[1].body.is_empty() && properties::find(&stored[1].properties, "e") == Some(b""));
    assert!(batch_items(decoded("batch-malformed.request").1).is_err());
}

#[test]
fn our_messages_have_the_broker_s_bytes() {
    for name in ["pull-json.response", "pull-binary-sent.response", "pull-batch.response"] {
        let (_, body) = decoded(name);
        let mut written = BytesMut::new();
        for message in messages_of_topics(body.clone()) {
            let (message, topic) = message.unwrap();
            // The born host is not part of what is read; it stands at a fixed place.
            let born_host = body[written.len() + 48..][..8].try_into().unwrap();
            let parts = MessageParts {
                queue_id: message.queue_id,
                queue_offset: message.queue_offset,
                physical_offset: message.physical_offset,
                flag: message.flag,
                sys_flag: message.sys_flag,
                born_ms: message.born_ms,
                store_ms: message.store_ms,
                born_host,
                store_host: message.store_host[..].try_into().unwrap(),
                reconsume_times: message.reconsume_times,
                body: &message.body,
                topic: &topic,
                properties: &message.properties,
            };
            put_message(&mut written, &parts);
        }
        assert_eq!(written, body, "{name}");
    }
}

#[test]
fn a_changed_group_is_told_before_the_heartbeat_is_answered() {
    let frames = frames(&capture("heartbeat.response"));
    let headers: Vec<_> = frames.iter().map(|frame| Header::decode(frame.form, &frame.header).unwrap()).collect();
    assert_eq!((headers[0].code, headers[0].is_oneway(), headers[0].is_response()), (40, true, false));
    assert_eq!(headers[0].fields.get("consumerGroup"), Some("cap"));
    assert_eq!((headers[1].code, headers[1].opaque, headers[1].is_response()), (response::SUCCESS, 16, true));
}

/// The same requests to the embedded broker: the same codes, at least the same fields, the same values where they do not
/// depend on time and place.
#[test]
fn the_embedded_broker_answers_as_the_captured_one() {
    let dir = std::env::temp_dir().join(format!("rmqc-wire-{}", std::process::id()));
    let now = Moment { wall_ms: 1_795_363_854_815, mono_ms: 0 };
    let address = "127.0.0.1:10911".parse().unwrap();
    let mut broker = Broker::open(&dir, address, BrokerLimits::default(), now).unwrap();
    let caller = Caller { connection: 1, address: "127.0.0.1:7".parse().unwrap(), now };
    let mut create = Header { code: 17, ..Header::default() };
    for (name, value) in [("topic", "fileTopic"), ("readQueueNums", "16"), ("writeQueueNums", "16"), ("perm", "6")] {
        create.fields.push(name, value);
    }
    broker.request(caller, &create, &Bytes::new());
    broker.take_outbox();
    // Sends before pulls.
    let mut names: Vec<_> =
        captures().into_iter().filter_map(|(name, _)| name.strip_suffix(".request").map(str::to_owned)).collect();
    names.sort_by_key(|name| name.starts_with("pull"));
    for name in names {
        let (request, body) = decoded(&format!("{name}.request"));
        broker.request(caller, &request, &body);
        let expected = frames(&capture(&format!("{name}.response")));
        let expected = expected.last().unwrap();
        let expected_header = Header::decode(expected.form, &expected.header).unwrap();
        let answer: Vec<u8> = broker.take_outbox().pop().unwrap().parts.concat();
        let answer = frames(&answer).remove(0);
        let header = Header::decode(answer.form, &answer.header).unwrap();
        assert_eq!((header.code, header.opaque), (expected_header.code, expected_header.opaque), "{name}");
        for (field, value) in expected_header.fields.iter() {
            let field = std::str::from_utf8(field).unwrap();
            if ["msgId", "transactionId"].contains(&field) || name == "heartbeat" {
                continue;
            }
            assert_eq!(header.fields.get(field).map(str::as_bytes), Some(value), "{name}, field {field}");
        }
        if name.starts_with("pull") {
            let content = |body: &[u8]| -> Vec<_> {
                let found = messages(Bytes::copy_from_slice(body)).map(Result::unwrap);
                found.map(|message| (message.queue_id, message.queue_offset, message.body, message.body_crc)).collect()
            };
            assert_eq!(content(&answer.body), content(&expected.body), "{name}");
        }
    }
    drop(broker);
    std::fs::remove_dir_all(dir).unwrap();
}
