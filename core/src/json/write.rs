//! From values to JSON text, as the Java runtime's JSON library writes it.

use std::io::Write as _;

use crate::error::{ConnectError, Result, Retry, Stage};
use crate::java_text;
use crate::value::{Map, Value};

/// Writes a text in quotes.
pub fn write_string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    let mut plain = 0;
    for (at, character) in text.char_indices() {
        let escape: &[u8] = match character {
            '"' => b"\\\"",
            '\\' => b"\\\\",
            '\u{8}' => b"\\b",
            '\u{c}' => b"\\f",
            '\n' => b"\\n",
            '\r' => b"\\r",
            '\t' => b"\\t",
            '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' => b"",
            _ => continue,
        };
        out.extend_from_slice(text.get(plain..at).unwrap_or_default().as_bytes());
        plain = at.saturating_add(character.len_utf8());
        if escape.is_empty() {
            let _ = write!(out, "\\u{:04X}", u32::from(character));
        } else {
            out.extend_from_slice(escape);
        }
    }
    out.extend_from_slice(text.get(plain..).unwrap_or_default().as_bytes());
    out.push(b'"');
}

/// Writes a value that has no schema. A map whose keys are all texts becomes an object, any other an array of pairs; numbers that
/// JSON has no form for become null.
///
/// # Errors
/// A date or a struct: without a schema Java's converter has no form for them (`Retry::BadRecord`).
pub fn write_value(out: &mut Vec<u8>, value: &Value) -> Result<()> {
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
        Value::Array(values) => return write_list(out, values.iter(), write_value),
        Value::Map(map) if map.has_text_keys() => return write_object(out, map),
        Value::Map(map) => {
            return write_list(out, map.iter(), |out, (key, value)| {
                write_list(out, [key, value].into_iter(), write_value)
            });
        }
        Value::Json(json) => out.extend_from_slice(json.text()),
        Value::Date(_) | Value::Struct(_) => {
            let what = format!("a {} without a schema has no JSON form", value.kind());
            return Err(ConnectError::new(Stage::Convert, Retry::BadRecord, what));
        }
    }
    Ok(())
}

fn write_display(out: &mut Vec<u8>, number: impl std::fmt::Display) {
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
pub(crate) fn write_list<T>(
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

fn write_object(out: &mut Vec<u8>, map: &Map) -> Result<()> {
    out.push(b'{');
    for (at, (key, value)) in map.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        if let Value::String(name) = key {
            write_string(out, &name.to_str());
        }
        out.push(b':');
        write_value(out, value)?;
    }
    out.push(b'}');
    Ok(())
}
