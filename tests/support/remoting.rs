//! The few administrative requests that tests send themselves, over one blocking connection each. Written apart from
//! the worker's own remoting, so that a mistake there can't hide itself here.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Map, Value, json};

/// Longest wait for an answer.
const ANSWER_DEADLINE: Duration = Duration::from_secs(10);
/// Answers beyond this are not ours.
const ANSWER_BYTES_MAX: usize = 16 << 20;

/// An answer: response code, fields, body.
pub struct Answer {
    /// Response code; 0 is success.
    pub code: i64,
    /// `extFields`.
    pub fields: Map<String, Value>,
    /// Body.
    pub body: Vec<u8>,
}

/// Sends one request with a JSON header and no body, and reads its answer.
pub fn call(address: &str, code: i32, fields: Value) -> io::Result<Answer> {
    call_with_body(address, code, fields, b"")
}

/// The same with a body.
pub fn call_with_body(address: &str, code: i32, fields: Value, body: &[u8]) -> io::Result<Answer> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(ANSWER_DEADLINE))?;
    let header = json!({
        "code": code, "language": "OTHER", "version": 0, "opaque": 1, "flag": 0, "extFields": fields,
        "serializeTypeCurrentRPC": "JSON"
    })
    .to_string();
    let mut frame = Vec::with_capacity(header.len() + body.len() + 8);
    frame.extend_from_slice(&u32::try_from(header.len() + body.len() + 4).unwrap().to_be_bytes());
    frame.extend_from_slice(&u32::try_from(header.len()).unwrap().to_be_bytes());
    frame.extend_from_slice(header.as_bytes());
    frame.extend_from_slice(body);
    stream.write_all(&frame)?;

    let length = read_u32(&mut stream)? as usize;
    let header_length = (read_u32(&mut stream)? & 0x00ff_ffff) as usize;
    if length > ANSWER_BYTES_MAX || header_length + 4 > length {
        return Err(io::Error::other(format!("an answer of {length} bytes with a header of {header_length}")));
    }
    let mut header = vec![0; header_length];
    stream.read_exact(&mut header)?;
    let mut body = vec![0; length - 4 - header_length];
    stream.read_exact(&mut body)?;
    let header: Value = serde_json::from_slice(&header)?;
    Ok(Answer {
        code: header["code"].as_i64().unwrap_or(-1),
        fields: header["extFields"].as_object().cloned().unwrap_or_default(),
        body,
    })
}

fn read_u32(stream: &mut TcpStream) -> io::Result<u32> {
    let mut bytes = [0; 4];
    stream.read_exact(&mut bytes)?;
    Ok(u32::from_be_bytes(bytes))
}

/// A number among the answer's fields; the broker writes them as text.
pub fn number(answer: &Answer, field: &str) -> Option<i64> {
    match answer.fields.get(field)? {
        Value::String(text) => text.parse().ok(),
        Value::Number(number) => number.as_i64(),
        _ => None,
    }
}
