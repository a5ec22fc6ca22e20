//! The two requests that Kafka is asked: make a topic, and where its partitions end.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

const LIST_OFFSETS: (i16, i16) = (2, 1);
const CREATE_TOPICS: (i16, i16) = (19, 2);
const LATEST: i64 = -1;
const TIMEOUT_MS: i32 = 10_000;
/// No answer to these requests is larger.
const ANSWER_BYTES_MAX: usize = 1 << 20;

struct Cursor(Vec<u8>, usize);

impl Cursor {
    fn take(&mut self, len: usize) -> io::Result<&[u8]> {
        let taken = self.0.get(self.1..self.1 + len).ok_or(io::ErrorKind::UnexpectedEof)?;
        self.1 += len;
        Ok(taken)
    }

    fn i16(&mut self) -> io::Result<i16> {
        Ok(i16::from_be_bytes(self.take(2)?.try_into().unwrap()))
    }

    fn i32(&mut self) -> io::Result<i32> {
        Ok(i32::from_be_bytes(self.take(4)?.try_into().unwrap()))
    }

    fn i64(&mut self) -> io::Result<i64> {
        Ok(i64::from_be_bytes(self.take(8)?.try_into().unwrap()))
    }

    fn text(&mut self) -> io::Result<()> {
        let len = self.i16()?;
        self.take(usize::try_from(len).unwrap_or(0)).map(drop)
    }
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(&i16::try_from(text.len()).unwrap().to_be_bytes());
    out.extend_from_slice(text.as_bytes());
}

fn call(address: &str, (key, version): (i16, i16), body: &[u8]) -> io::Result<Cursor> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    let mut request = Vec::new();
    request.extend_from_slice(&key.to_be_bytes());
    request.extend_from_slice(&version.to_be_bytes());
    request.extend_from_slice(&7_i32.to_be_bytes());
    put_text(&mut request, "perf");
    request.extend_from_slice(body);
    stream.write_all(&u32::try_from(request.len()).unwrap().to_be_bytes())?;
    stream.write_all(&request)?;
    let mut len = [0; 4];
    stream.read_exact(&mut len)?;
    let len = u32::from_be_bytes(len) as usize;
    if len > ANSWER_BYTES_MAX {
        return Err(io::Error::other(format!("an answer of {len} bytes")));
    }
    let mut answer = vec![0; len];
    stream.read_exact(&mut answer)?;
    let mut cursor = Cursor(answer, 0);
    cursor.i32()?; // the request's number again
    Ok(cursor)
}

/// Makes a topic.
///
/// # Errors
/// When the broker refuses or does not answer.
pub fn create_topic(address: &str, topic: &str, partitions: i32) -> io::Result<()> {
    let mut body = Vec::new();
    body.extend_from_slice(&1_i32.to_be_bytes());
    put_text(&mut body, topic);
    body.extend_from_slice(&partitions.to_be_bytes());
    body.extend_from_slice(&1_i16.to_be_bytes());
    body.extend_from_slice(&[0; 8]); // no assignments, no settings
    body.extend_from_slice(&TIMEOUT_MS.to_be_bytes());
    body.push(0);
    let mut answer = call(address, CREATE_TOPICS, &body)?;
    answer.i32()?; // throttled for so long
    answer.i32()?;
    answer.text()?;
    match answer.i16()? {
        0 => Ok(()),
        code => Err(io::Error::other(format!("Kafka refuses to make topic {topic}: code {code}"))),
    }
}

/// Messages of a topic that was never trimmed: the sum of its partitions' ends.
///
/// # Errors
/// When the broker refuses or does not answer.
pub fn stored(address: &str, topic: &str, partitions: i32) -> io::Result<u64> {
    let mut body = Vec::new();
    body.extend_from_slice(&(-1_i32).to_be_bytes());
    body.extend_from_slice(&1_i32.to_be_bytes());
    put_text(&mut body, topic);
    body.extend_from_slice(&partitions.to_be_bytes());
    for partition in 0..partitions {
        body.extend_from_slice(&partition.to_be_bytes());
        body.extend_from_slice(&LATEST.to_be_bytes());
    }
    let mut answer = call(address, LIST_OFFSETS, &body)?;
    answer.i32()?;
    answer.text()?;
    let mut sum = 0;
    for _ in 0..answer.i32()? {
        answer.i32()?;
        match answer.i16()? {
            0 => {}
            code => return Err(io::Error::other(format!("Kafka does not tell the end of {topic}: code {code}"))),
        }
        answer.i64()?;
        sum += u64::try_from(answer.i64()?).unwrap_or(0);
    }
    Ok(sum)
}
