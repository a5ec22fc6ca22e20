//! The whole way of a sink's task from an answer's body to records, and the end of these: what pulling costs beside the
//! socket and the sink.

use std::hint::black_box;

use bytes::{Bytes, BytesMut};
use rmqc_core::config::Properties;
use rmqc_core::record::Extensions;
use rmqc_io::remoting::message::{MessageParts, put_message};
use rmqc_io::task::intake::Intake;

use super::{NOW_MS, TOPIC, properties_writer};
use crate::case::Case;
use crate::json_records::records;

/// Messages of an answer.
const MESSAGES: usize = 1_024;
/// Messages that share a millisecond, about what a busy source makes.
const MESSAGES_A_MS: usize = 256;
/// The JSON converter without the envelope.
const JSON: [(&str, &str); 2] = [("value.converter", "json"), ("value.converter.schemas.enable", "false")];

/// Gives the properties of one message after the other.
type PropertiesOf = Box<dyn FnMut(usize) -> Vec<u8>>;

pub fn cases() -> Vec<Case> {
    let line = || Bytes::from_static(&[b'x'; 100]);
    vec![
        intake("own_100", &[], line, || own(|_| None)),
        intake("own_keyed_100", &[], line, || own(|at| Some(format!("order-{at}")))),
        intake("java_100", &[], line, || Box::new(java)),
        intake("json_173", &JSON, || records(173)[0].clone(), || own(|_| None)),
    ]
}

/// A pull answer's messages become records, and those of the answer before are dropped.
fn intake(
    name: &'static str,
    config: &'static [(&str, &str)],
    body: fn() -> Bytes,
    properties: fn() -> PropertiesOf,
) -> Case {
    Case::new("intake", name, MESSAGES as u64, move || {
        let config: Properties = config.iter().map(|(key, text)| ((*key).to_owned(), (*text).to_owned())).collect();
        let mut intake = Intake::new(&config, TOPIC, 3).unwrap();
        let answer = answer(&body(), properties());
        move || assert_eq!(black_box(intake.take(answer.clone()).unwrap()).len(), MESSAGES)
    })
}

/// The properties that our own producer gives a record with this key.
fn own(key: fn(usize) -> Option<String>) -> PropertiesOf {
    let mut writer = properties_writer();
    Box::new(move |at| {
        let (key, time_ms) = (key(at), stored_ms(at));
        writer.write(time_ms, key.as_deref().map(str::as_bytes), &Extensions::Empty, Some(time_ms)).unwrap().to_vec()
    })
}

fn stored_ms(at: usize) -> i64 {
    NOW_MS + (at / MESSAGES_A_MS) as i64
}

/// The properties of a message that a Java program sends with a tag and a key, in the order in which its hash table and
/// a broker leave them.
fn java(at: usize) -> Vec<u8> {
    let pairs = [
        ("MSG_REGION", "DefaultRegion".to_owned()),
        ("KEYS", format!("order-{at}")),
        ("UNIQ_KEY", format!("7F00000100002A9F0000000000{at:06X}")),
        ("CLUSTER", "DefaultCluster".to_owned()),
        ("WAIT", "true".to_owned()),
        ("TRACE_ON", "true".to_owned()),
        ("TAGS", "orders".to_owned()),
    ];
    pairs.iter().flat_map(|(name, value)| format!("{name}\u{1}{value}\u{2}").into_bytes()).collect()
}

/// A pull answer's body as a connection gives it: part of a larger buffer.
fn answer(body: &[u8], mut properties: PropertiesOf) -> Bytes {
    let mut out = BytesMut::new();
    let host = [127, 0, 0, 1, 0, 0, 0x2A, 0x9F];
    for at in 0..MESSAGES {
        let message = MessageParts {
            queue_id: 3,
            queue_offset: at as i64,
            physical_offset: at as i64 * 300,
            flag: 0,
            sys_flag: 0,
            born_ms: NOW_MS,
            store_ms: stored_ms(at),
            born_host: host,
            store_host: host,
            reconsume_times: 0,
            body,
            topic: TOPIC.as_bytes(),
            properties: &properties(at),
        };
        put_message(&mut out, &message);
    }
    out.split().freeze()
}
