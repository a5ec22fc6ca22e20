//! Random JSON texts, and values as a JSON body without a schema gives them.

use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;

use crate::value::{Map, Value};

/// Blanks between JSON's tokens.
fn blanks() -> impl Strategy<Value = &'static str> {
    prop_oneof![6 => Just(""), 1 => Just(" "), 1 => Just("\n\t"), 1 => Just("  \r\n ")]
}

/// A JSON string, quotes included; with halves of surrogate pairs now and then, which nobody takes.
pub(crate) fn json_string() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        8 => "[a-z0-9 ]{0,9}",
        2 => any::<char>().prop_filter("must be escaped", |one| *one >= ' ' && !"\"\\".contains(*one)).prop_map(String::from),
        1 => prop::sample::select(vec!["\\\"", "\\\\", "\\/", "\\b", "\\f", "\\n", "\\r", "\\t"]).prop_map(String::from),
        1 => (0u16..0xd800).prop_map(|unit| format!("\\u{unit:04x}")),
        1 => (0x1_0000u32..0x11_0000).prop_map(|code| {
            let code = code - 0x1_0000;
            format!("\\u{:04X}\\u{:04X}", 0xd800 + (code >> 10), 0xdc00 + (code & 0x3ff))
        }),
    ];
    vec(piece, 0..4).prop_map(|pieces| format!("\"{}\"", pieces.concat()))
}

/// A JSON number within a double's range.
pub(crate) fn json_number() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<i64>().prop_map(|number| number.to_string()),
        (-300i32..300).prop_map(|number| number.to_string()),
        "(-?[1-9][0-9]{0,40})",
        "-?(0|[1-9][0-9]{0,8})\\.[0-9]{1,8}",
        "-?(0|[1-9][0-9]{0,3})(\\.[0-9]{1,3})?[eE][+-]?[0-9]{1,2}",
    ]
}

/// A JSON text of any kind, with blanks, escapes and names that come twice.
pub(crate) fn json_text() -> impl Strategy<Value = String> {
    let flat = prop_oneof![
        prop::sample::select(vec!["null", "true", "false"]).prop_map(String::from),
        json_number(),
        json_string(),
    ];
    let name =
        prop_oneof![prop::sample::select(vec!["\"a\"", "\"b\"", "\"\\u0061\""]).prop_map(String::from), json_string()]
            .boxed();
    flat.prop_recursive(5, 40, 6, move |inner| {
        let spaced =
            (blanks(), inner, blanks()).prop_map(|(before, text, behind)| format!("{before}{text}{behind}")).boxed();
        let member =
            (name.clone(), blanks(), spaced.clone()).prop_map(|(name, blank, text)| format!("{name}{blank}:{text}"));
        prop_oneof![
            vec(spaced, 0..6).prop_map(|items| format!("[{}]", items.join(","))),
            (blanks(), vec(member, 0..6)).prop_map(|(blank, members)| format!("{{{blank}{}}}", members.join(","))),
        ]
    })
}

/// A change of some bytes of a text.
#[derive(Clone, Debug)]
pub(crate) struct Mutation {
    at: prop::sample::Index,
    removed: usize,
    inserted: Vec<u8>,
}

impl Mutation {
    /// The text after the change.
    pub(crate) fn of(&self, text: &[u8]) -> Vec<u8> {
        let at = self.at.index(text.len() + 1);
        let end = text.len().min(at + self.removed);
        [&text[..at], &self.inserted, &text[end..]].concat()
    }
}

/// Changes that are likely to make JSON malformed in a way that is hard to see.
pub(crate) fn mutation() -> impl Strategy<Value = Mutation> {
    let byte =
        prop_oneof![prop::sample::select(b"\"\\{}[]:,-+.eEu0dD/ntf \n\x00\x1f\x7f\x80\xff".to_vec()), any::<u8>()];
    let inserted = vec(byte, 0..3);
    (any::<prop::sample::Index>(), 0..4usize, inserted).prop_map(|(at, removed, inserted)| Mutation {
        at,
        removed,
        inserted,
    })
}

/// Values without a schema as a JSON body gives them: whole numbers in the narrowest kind, maps with texts as keys.
pub(crate) fn plain_value() -> impl Strategy<Value = Value> {
    let whole = |number: i64| i32::try_from(number).map_or(Value::Int64(number), Value::Int32);
    let flat = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Boolean),
        any::<i64>().prop_map(whole),
        any::<i32>().prop_map(Value::Int32),
        any::<f64>().prop_filter("no form", |one| one.is_finite()).prop_map(Value::Float64),
        any::<String>().prop_map(Value::text),
    ];
    flat.prop_recursive(4, 30, 6, |inner| {
        let pair = (any::<String>().prop_map(Value::text), inner.clone());
        prop_oneof![
            vec(inner, 0..6).prop_map(Value::array),
            vec(pair, 0..6).prop_map(|pairs| Value::Map(Arc::new(Map::from_pairs(pairs)))),
        ]
    })
}
