//! From values to JSON text, as the Java runtime's JSON library writes it.

use std::io::Write as _;

use super::scan::{HIGHS, holds, special};
use crate::error::{ConnectError, Result, Stage};
use crate::java_text;
use crate::limits::JSON_DEPTH_MAX;
use crate::value::{Map, Value};

/// Writes a text in quotes.
pub fn write_string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    let mut rest = text;
    loop {
        let (plain, more) = rest.split_at_checked(plain_len(rest.as_bytes())).unwrap_or((rest, ""));
        out.extend_from_slice(plain.as_bytes());
        let mut characters = more.chars();
        let Some(character) = characters.next() else { break };
        write_character(out, character);
        rest = characters.as_str();
    }
    out.push(b'"');
}

/// Length of the part at the beginning that stands for itself: ASCII, eight bytes at a time.
fn plain_len(text: &[u8]) -> usize {
    let mut at = 0usize;
    while let Some(eight) = text.get(at..).and_then(<[u8]>::first_chunk::<8>) {
        let word = u64::from_le_bytes(*eight);
        if word & HIGHS != 0 || special::<true>(word) != 0 || holds(word, 0x7f) {
            break;
        }
        at = at.saturating_add(8);
    }
    let rest = text.get(at..).unwrap_or_default();
    let plain = |byte: &u8| matches!(byte, 0x20 | 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
    at.saturating_add(rest.iter().take_while(|byte| plain(byte)).count())
}

/// Writes a character as it is, or the escape that Java's library has for it.
fn write_character(out: &mut Vec<u8>, character: char) {
    let escape: &[u8] = match character {
        '"' => b"\\\"",
        '\\' => b"\\\\",
        '\u{8}' => b"\\b",
        '\u{c}' => b"\\f",
        '\n' => b"\\n",
        '\r' => b"\\r",
        '\t' => b"\\t",
        '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' => {
            let _ = write!(out, "\\u{:04X}", u32::from(character));
            return;
        }
        _ => {
            out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
            return;
        }
    };
    out.extend_from_slice(escape);
}

/// Writes a value that has no schema. A map whose keys are all texts becomes an object, any other an array of pairs;
/// numbers that JSON has no form for become null.
///
/// # Errors
/// A date or a struct: without a schema Java's converter has no form for them; lists and maps inside each other beyond
/// [`JSON_DEPTH_MAX`] (`Retry::BadRecord`).
pub fn write_value(out: &mut Vec<u8>, value: &Value) -> Result<()> {
    write_at(out, value, JSON_DEPTH_MAX)
}

/// Writes a value that may have so many more levels.
fn write_at(out: &mut Vec<u8>, value: &Value, levels: usize) -> Result<()> {
    let inner = |levels: usize| {
        let too_deep = || ConnectError::bad_record(Stage::Convert, "lists and maps lie too deep inside each other");
        levels.checked_sub(1).ok_or_else(too_deep)
    };
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Boolean(true) => out.extend_from_slice(b"true"),
        Value::Boolean(false) => out.extend_from_slice(b"false"),
        Value::Int8(number) => write_display(out, number),
        Value::Int16(number) => write_display(out, number),
        Value::Int32(number) => write_display(out, number),
        Value::Int64(number) => write_display(out, number),
        Value::Float32(number) if number.is_finite() => out.extend_from_slice(java_text::float(*number).as_bytes()),
        Value::Float64(number) if number.is_finite() => out.extend_from_slice(java_text::double(*number).as_bytes()),
        Value::Float32(_) | Value::Float64(_) => out.extend_from_slice(b"null"),
        Value::Decimal(number) => out.extend_from_slice(java_text::decimal(number).as_bytes()),
        Value::String(text) => write_string(out, &text.to_str()),
        Value::Bytes(bytes) => write_base64(out, bytes),
        Value::Array(values) => {
            let levels = inner(levels)?;
            return write_list(out, values.iter(), |out, value| write_at(out, value, levels));
        }
        Value::Map(map) if map.has_text_keys() => return write_object(out, map, inner(levels)?),
        Value::Map(map) => {
            let levels = inner(inner(levels)?)?;
            return write_list(out, map.iter(), |out, (key, value)| {
                write_list(out, [key, value].into_iter(), |out, value| write_at(out, value, levels))
            });
        }
        Value::Json(json) => out.extend_from_slice(json.text()),
        Value::Date(_) | Value::Struct(_) => {
            let what = format!("a {} without a schema has no JSON form", value.kind());
            return Err(ConnectError::bad_record(Stage::Convert, what));
        }
    }
    Ok(())
}

/// Writes a whole number.
pub(crate) fn write_display(out: &mut Vec<u8>, number: impl std::fmt::Display) {
    let _ = write!(out, "{number}");
}

/// Writes bytes as base64 in quotes.
pub(crate) fn write_base64(out: &mut Vec<u8>, bytes: &[u8]) {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(bytes);
    out.push(b'"');
    out.extend_from_slice(text.as_bytes());
    out.push(b'"');
}

/// Writes a list of whatever `write` writes.
fn write_list<T>(
    out: &mut Vec<u8>,
    items: impl Iterator<Item = T>,
    write: impl Fn(&mut Vec<u8>, T) -> Result<()>,
) -> Result<()> {
    out.push(b'[');
    for (at, item) in items.enumerate() {
        if at > 0 {
            out.push(b',');
        }
        write(out, item)?;
    }
    out.push(b']');
    Ok(())
}

fn write_object(out: &mut Vec<u8>, map: &Map, levels: usize) -> Result<()> {
    out.push(b'{');
    for (at, (key, value)) in map.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        if let Value::String(name) = key {
            write_string(out, &name.to_str());
        }
        out.push(b':');
        write_at(out, value, levels)?;
    }
    out.push(b'}');
    Ok(())
}
