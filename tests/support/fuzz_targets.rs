//! What is fuzzed: every decoder that reads foreign bytes, and the embedded broker behind them. Shared by the fuzzer's
//! targets and by the mutation loop that runs with the ordinary tests.

use std::cell::RefCell;
use std::path::PathBuf;

use bytes::{Bytes, BytesMut};
use rmqc_core::config::Properties;
use rmqc_core::json;
use rmqc_core::registry::find_converter;
use rmqc_core::value::Value;
use rmqc_io::embedded::broker::{Broker, BrokerLimits, Caller, Moment};
use rmqc_io::remoting::frame::FrameDecoder;
use rmqc_io::remoting::header::{Header, HeaderForm, encode_binary};
use rmqc_io::remoting::message::{batch_items, messages, put_item_head, put_item_tail};

/// A target: takes any bytes, panics when something is wrong.
pub type Target = fn(&[u8]);

/// All targets by name.
pub const TARGETS: [(&str, Target); 8] = [
    ("frame_decoder", frame_decoder),
    ("header_json", header_json),
    ("header_binary", header_binary),
    ("messages", read_messages),
    ("batch_items", read_batch_items),
    ("embedded_request", embedded_request),
    ("json_decode", json_decode),
    ("json_converter", json_converter),
];

/// Frames, whatever way the stream is split: the first byte says how.
pub fn frame_decoder(input: &[u8]) {
    let Some((split, stream)) = input.split_first() else { return };
    let whole = frames(stream, usize::MAX);
    let parts = frames(stream, usize::from(*split) + 1);
    assert_eq!(whole, parts, "the split changes the frames");
}

fn frames(mut stream: &[u8], step: usize) -> Vec<(Bytes, Bytes)> {
    let mut decoder = FrameDecoder::default();
    let mut frames = Vec::new();
    while !stream.is_empty() {
        let (buffer, len_max) = decoder.read_target();
        assert!(buffer.capacity() <= 64 * 1024 * 1024, "too much reserved");
        let (part, rest) = stream.split_at(step.min(len_max).min(stream.len()));
        buffer.extend_from_slice(part);
        stream = rest;
        loop {
            match decoder.next_frame() {
                Ok(Some(frame)) => frames.push((frame.header, frame.body.freeze())),
                Ok(None) => break,
                Err(_) => return frames,
            }
        }
    }
    frames
}

/// A header as JSON.
pub fn header_json(input: &[u8]) {
    let _ = Header::decode(HeaderForm::Json, &Bytes::copy_from_slice(input));
}

/// A binary header: what is read can be written, and gives the same when read again.
pub fn header_binary(input: &[u8]) {
    let Ok(header) = Header::decode(HeaderForm::Binary, &Bytes::copy_from_slice(input)) else { return };
    let mut written = BytesMut::new();
    if encode_binary(&header, &mut written).is_ok() {
        assert_eq!(Header::decode(HeaderForm::Binary, &written.freeze()), Ok(header));
    }
}

/// Messages of a pull answer, with their bodies expanded.
pub fn read_messages(input: &[u8]) {
    for message in messages(Bytes::copy_from_slice(input)).flatten() {
        let _ = message.plain_body();
        let _ = message.offset_message_id();
        let _ = rmqc_core::record::raw_pairs(&message.properties).count();
    }
}

/// Items of a batch: written again they are the same where it matters.
pub fn read_batch_items(input: &[u8]) {
    let Ok(items) = batch_items(Bytes::copy_from_slice(input)) else { return };
    let mut written = BytesMut::new();
    for item in &items {
        if item.properties.len() > 32_000 {
            return;
        }
        put_item_head(&mut written, item.body.len(), item.properties.len());
        written.extend_from_slice(&item.body);
        put_item_tail(&mut written, &item.properties);
    }
    let again = batch_items(written.freeze()).expect("what was written can be read");
    assert_eq!(again.len(), items.len());
    for (again, item) in again.iter().zip(&items) {
        assert_eq!((&again.body, &again.properties), (&item.body, &item.properties));
    }
}

/// JSON in place: what is found in it is what taking it apart gives, and what is written of that reads the same.
pub fn json_decode(input: &[u8]) {
    let Ok(value) = json::decode(Bytes::copy_from_slice(input)) else { return };
    let parsed = value.clone().into_parsed();
    if let (Value::Json(json), Value::Map(map)) = (&value, &parsed) {
        for (key, member) in map.iter() {
            let Value::String(name) = key else { panic!("{key:?} is no name") };
            let found = json.member(&name.to_str()).expect("a member that is there");
            assert_eq!(found.into_parsed(), *member, "{name:?}");
        }
        assert!(json.members().count() >= map.len());
    }
    let mut written = Vec::new();
    json::write_value(&mut written, &parsed).expect("what was read can be written");
    let again = json::decode(Bytes::from(written)).expect("what was written can be read");
    assert_eq!(again.into_parsed(), parsed);
}

/// Envelopes of the JSON converter, and bodies without: what decodes encodes again, and then decodes to the same.
pub fn json_converter(input: &[u8]) {
    for enable in ["true", "false"] {
        let own = Properties::from([("schemas.enable".to_owned(), enable.to_owned())]);
        let factory = find_converter("json").expect("the converter is built in");
        let converter = (factory.build)(&own).expect("a right configuration");
        let Ok(decoded) = converter.decode("topic", Some(Bytes::copy_from_slice(input))) else { continue };
        let encoded = converter.encode("topic", decoded.schema.as_deref(), &decoded.value);
        let Some(body) = encoded.expect("what was decoded encodes") else { continue };
        let again = converter.decode("topic", Some(body)).expect("what was encoded decodes");
        assert_eq!(again.schema, decoded.schema);
        // By their texts: a member that stays text may be spaced otherwise.
        assert_eq!(again.value.into_parsed(), decoded.value.into_parsed());
    }
}

/// Requests after which the broker is closed and opened again on its files.
const REOPEN_AFTER: u32 = 5_000;

struct Running {
    broker: Option<Broker>,
    dir: PathBuf,
    requests: u32,
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.broker.take());
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

thread_local! {
    static RUNNING: RefCell<Option<Running>> = const { RefCell::new(None) };
}

fn open(dir: &std::path::Path) -> Broker {
    let address = "127.0.0.1:10911".parse().expect("an address");
    let now = Moment { wall_ms: 0, mono_ms: 0 };
    Broker::open(dir, address, BrokerLimits::default(), now).expect("its own files can always be opened")
}

fn start() -> Running {
    // In memory where possible: every new topic is synced.
    let memory = PathBuf::from("/dev/shm");
    let base = if memory.is_dir() { memory } else { std::env::temp_dir() };
    let thread = std::thread::current().id();
    let dir = base.join(format!("rmqc-fuzz-{}-{thread:?}", std::process::id()).replace(['(', ')'], ""));
    let _ = std::fs::remove_dir_all(&dir);
    Running { broker: Some(open(&dir)), dir, requests: 0 }
}

/// A stream of requests to the embedded broker, which lives on from input to input and now and then is started anew.
pub fn embedded_request(input: &[u8]) {
    RUNNING.with_borrow_mut(|running| {
        let running = running.get_or_insert_with(start);
        serve(running, input);
        if running.requests > REOPEN_AFTER {
            drop(running.broker.take());
            drop(open(&running.dir));
            *running = start();
        }
    });
}

fn serve(running: &mut Running, input: &[u8]) {
    let Some(broker) = &mut running.broker else { return };
    let mut decoder = FrameDecoder::default();
    decoder.read_target().0.extend_from_slice(input);
    while let Ok(Some(frame)) = decoder.next_frame() {
        let Ok(header) = Header::decode(frame.form, &frame.header) else { break };
        running.requests += 1;
        let now = Moment { wall_ms: i64::from(running.requests), mono_ms: u64::from(running.requests) };
        let caller = Caller { connection: 1, address: "127.0.0.1:9".parse().expect("an address"), now };
        broker.request(caller, &header, &frame.body.freeze());
        for outgoing in broker.take_outbox() {
            check_outgoing(&outgoing.parts);
        }
    }
    broker.tick(Moment { wall_ms: 0, mono_ms: u64::MAX });
    broker.disconnect(1);
    broker.take_outbox();
}

/// What the broker sends is a frame, with a header and messages that can be read.
fn check_outgoing(parts: &[Bytes]) {
    let mut decoder = FrameDecoder::default();
    let (buffer, _) = decoder.read_target();
    for part in parts {
        buffer.extend_from_slice(part);
    }
    let frame = decoder.next_frame().expect("a frame").expect("a whole one");
    Header::decode(frame.form, &frame.header).expect("a header");
    assert_eq!(decoder.next_frame(), Ok(None));
}
