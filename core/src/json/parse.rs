//! From checked JSON text to values.

use std::borrow::Cow;
use std::str::FromStr;

use bigdecimal::BigDecimal;
use bytes::Bytes;
use memchr::memchr;

use super::{scan, skip_value, text_value};
use crate::value::{Map, Value};

/// The value of a text that was checked; all the way down. Recursion is bounded by the check's depth.
pub(super) fn parse(text: &Bytes) -> Value {
    let mut at = 0;
    value(text, &mut at)
}

fn value(text: &Bytes, at: &mut usize) -> Value {
    let start = scan::skip_blanks(text, *at);
    match text.get(start) {
        Some(b'{') => object(text, start, at),
        Some(b'[') => array(text, start, at),
        _ => {
            let end = skip_value(text, start);
            *at = end;
            flat(text, text.get(start..end).unwrap_or_default())
        }
    }
}

fn flat(text: &Bytes, token: &[u8]) -> Value {
    match token {
        b"true" => Value::Boolean(true),
        b"false" => Value::Boolean(false),
        [b'"', inner @ .., b'"'] => Value::String(text_value(text, inner)),
        [b'-' | b'0'..=b'9', ..] => number(token),
        _ => Value::Null,
    }
}

fn object(text: &Bytes, start: usize, at: &mut usize) -> Value {
    let mut pairs = Vec::new();
    let mut here = start.saturating_add(1);
    loop {
        here = scan::skip_blanks(text, here);
        match text.get(here) {
            Some(b'"') => {}
            Some(b',') => {
                here = here.saturating_add(1);
                continue;
            }
            _ => break,
        }
        let name_end = scan::string_end::<false>(text, here.saturating_add(1)).unwrap_or(text.len());
        let inner = text.get(here.saturating_add(1)..name_end.saturating_sub(1)).unwrap_or_default();
        here = scan::skip_blanks(text, name_end).saturating_add(1);
        let value = value(text, &mut here);
        pairs.push((Value::String(text_value(text, inner)), value));
    }
    *at = here.saturating_add(1);
    Value::Map(std::sync::Arc::new(Map::from_pairs(pairs)))
}

fn array(text: &Bytes, start: usize, at: &mut usize) -> Value {
    let mut values = Vec::new();
    let mut here = start.saturating_add(1);
    loop {
        here = scan::skip_blanks(text, here);
        match text.get(here) {
            None | Some(b']') => break,
            Some(b',') => here = here.saturating_add(1),
            Some(_) => values.push(value(text, &mut here)),
        }
    }
    *at = here.saturating_add(1);
    Value::array(values)
}

/// The value of a number's text: a whole one as the narrowest of INT32, INT64 and Decimal that holds it, any other as
/// FLOAT64.
#[must_use]
pub fn number(token: &[u8]) -> Value {
    let text = std::str::from_utf8(token).unwrap_or_default();
    if text.bytes().any(|byte| matches!(byte, b'.' | b'e' | b'E')) {
        return text.parse().map_or(Value::Null, Value::Float64);
    }
    match text.parse::<i64>() {
        Ok(number) => i32::try_from(number).map_or(Value::Int64(number), Value::Int32),
        Err(_) => BigDecimal::from_str(text).map_or(Value::Null, |number| Value::Decimal(Box::new(number))),
    }
}

/// What stands between a checked string's quotes, without its escapes; allocates only if there are any.
#[must_use]
pub fn unescape(inner: &[u8]) -> Cow<'_, str> {
    if memchr(b'\\', inner).is_none() {
        return String::from_utf8_lossy(inner);
    }
    let mut out = Vec::with_capacity(inner.len());
    let mut at = 0;
    while let Some(byte) = inner.get(at) {
        if *byte != b'\\' {
            out.push(*byte);
            at = at.saturating_add(1);
            continue;
        }
        let (character, len) = escape(inner, at);
        out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        at = at.saturating_add(len);
    }
    match String::from_utf8(out) {
        Ok(text) => Cow::Owned(text),
        Err(error) => Cow::Owned(String::from_utf8_lossy(error.as_bytes()).into_owned()),
    }
}

/// The character of the escape at `at`, and its length.
fn escape(inner: &[u8], at: usize) -> (char, usize) {
    let plain = match inner.get(at.saturating_add(1)) {
        Some(b'b') => '\u{8}',
        Some(b'f') => '\u{c}',
        Some(b'n') => '\n',
        Some(b'r') => '\r',
        Some(b't') => '\t',
        Some(b'u') => {
            let high = scan::hex_unit(inner, at).unwrap_or(0xfffd);
            let low = scan::hex_unit(inner, at.saturating_add(6));
            return match (high, low) {
                (0xd800..=0xdbff, Some(low @ 0xdc00..=0xdfff)) => {
                    let code = 0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00);
                    (char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER), 12)
                }
                _ => (char::from_u32(high).unwrap_or(char::REPLACEMENT_CHARACTER), 6),
            };
        }
        Some(other) => char::from(*other),
        None => '\\',
    };
    (plain, 2)
}
