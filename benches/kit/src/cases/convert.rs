//! Every converter, both ways.

use std::fmt::Display;
use std::hint::black_box;

use bytes::Bytes;
use rmqc_core::config::Properties;
use rmqc_core::converter::Converter;
use rmqc_core::json::decode;
use rmqc_core::registry::find_converter;

use super::{JSON_SIZES, SIZES, TOPIC};
use crate::case::Case;
use crate::json_records::records;

/// The converters of single numbers, and the bytes of each.
const NUMBERS: [(&str, usize); 5] = [("short", 2), ("integer", 4), ("long", 8), ("float", 4), ("double", 8)];

pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for size in SIZES {
        cases.extend(["string", "bytes"].into_iter().flat_map(|name| both(name, size, &[], vec![b'x'; size])));
    }
    for (name, len) in NUMBERS {
        cases.extend(both(name, len, &[], vec![7; len]));
    }
    for size in JSON_SIZES {
        cases.extend(both("json", size, &[("schemas.enable", "false")], records(size)[0].to_vec()));
        cases.push(parsed(size));
    }
    cases.extend(both("json", "with_schema", &[("schemas.enable", "true")], ENVELOPE.as_bytes().to_vec()));
    cases
}

/// A record of a database's change log: schema and payload.
const ENVELOPE: &str = r#"{"schema":{"type":"struct","optional":false,"name":"orders.Value","fields":[{"field":"id","type":"int64","optional":false},{"field":"customer","type":"string","optional":true},{"field":"amount","type":"double","optional":true},{"field":"paid","type":"boolean","optional":true}]},"payload":{"id":4711,"customer":"Alice","amount":12.5,"paid":true}}"#;

/// A converter with its own keys.
pub fn converter(name: &str, keys: &[(&str, &str)]) -> Box<dyn Converter> {
    let keys: Properties = keys.iter().map(|(key, text)| ((*key).to_owned(), (*text).to_owned())).collect();
    (find_converter(name).expect("a converter of that name").build)(&keys).expect("a right configuration")
}

/// Decoding and encoding of one body.
fn both(name: &'static str, what: impl Display, keys: &'static [(&str, &str)], body: Vec<u8>) -> [Case; 2] {
    let body = Bytes::from(body);
    let input = body.clone();
    [
        Case::each("converter", format!("{name}_decode_{what}"), move || {
            let (converter, body) = (converter(name, keys), input.clone());
            move || converter.decode(TOPIC, Some(black_box(&body).clone())).unwrap()
        }),
        Case::each("converter", format!("{name}_encode_{what}"), move || {
            let converter = converter(name, keys);
            let decoded = converter.decode(TOPIC, Some(body.clone())).unwrap();
            move || converter.encode(TOPIC, decoded.schema.as_deref(), black_box(&decoded.value)).unwrap()
        }),
    ]
}

/// A value that a stage has taken apart is written anew, member by member.
fn parsed(size: usize) -> Case {
    Case::each("converter", format!("json_encode_parsed_{size}"), move || {
        let converter = converter("json", &[("schemas.enable", "false")]);
        let value = decode(records(size)[0].clone()).unwrap().into_parsed();
        move || converter.encode(TOPIC, None, black_box(&value)).unwrap()
    })
}
