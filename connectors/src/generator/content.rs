//! What the values of the generator look like.

use std::io::Write;

use bytes::{BufMut, Bytes, BytesMut};
use rmqc_core::error::{ConnectError, Result, Stage};
use rmqc_core::json;
use rmqc_core::value::{Text, Value};

/// Letters that values are cut from.
const POOL_BYTES: usize = 64 * 1024;

const JSON_HEAD: &str = r#"{"id":"#;
const JSON_MIDDLE: &str =
    r#","level":"INFO","user":{"id":7,"geo":{"city":"Lisbon","lat":38.72},"city":"Porto"},"body":""#;
const JSON_TAIL: &str = r#"","ok":true}"#;
/// Digits of the largest number of a record.
const NUMBER_BYTES_MAX: usize = 20;

/// Form of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// The record's number in decimal, a blank, and letters.
    Text,
    /// A JSON object such as a log collector makes, with the record's number as `id` and letters as `body`.
    Json,
}

impl Content {
    /// The fewest bytes that hold such a value, whatever the record's number.
    #[must_use]
    pub const fn bytes_min(self) -> usize {
        match self {
            Self::Text => NUMBER_BYTES_MAX + 1,
            Self::Json => JSON_HEAD.len() + NUMBER_BYTES_MAX + JSON_MIDDLE.len() + JSON_TAIL.len(),
        }
    }

    /// A value of the bytes that [`Letters::write`] wrote. JSON is checked as the JSON converter would check it.
    ///
    /// # Errors
    /// Never with such bytes.
    pub fn value(self, bytes: Bytes) -> Result<Value> {
        match self {
            Self::Text => Ok(Value::String(Text::from_bytes(bytes))),
            Self::Json => json::decode(bytes).map_err(|fault| {
                let what = format!("the generator made no JSON: byte {}: {}", fault.position, fault.reason);
                ConnectError::fatal(Stage::Poll, what)
            }),
        }
    }
}

/// The letters of one seed.
pub(super) struct Letters(Bytes);

impl Letters {
    /// Lower-case letters, the same for the same seed.
    pub fn new(seed: u64) -> Self {
        let letter = |index: u64| b'a'.saturating_add((scramble(seed ^ scramble(index)) % 26) as u8);
        Self((0..POOL_BYTES as u64).map(letter).collect())
    }

    /// Writes the value of one record, up to length `end` of the block.
    pub fn write(&self, content: Content, number: u64, end: usize, block: &mut BytesMut) {
        // Writing to memory does not fail.
        match content {
            Content::Text => {
                let _ = write!(block.writer(), "{number} ");
                self.fill(number, end, block);
            }
            Content::Json => {
                let _ = write!(block.writer(), "{JSON_HEAD}{number}{JSON_MIDDLE}");
                self.fill(number, end.saturating_sub(JSON_TAIL.len()), block);
                block.extend_from_slice(JSON_TAIL.as_bytes());
            }
        }
    }

    fn fill(&self, number: u64, end: usize, block: &mut BytesMut) {
        let mut at = usize::try_from(scramble(number)).unwrap_or_default() % POOL_BYTES;
        while block.len() < end {
            let letters = self.0.get(at..).unwrap_or_default();
            block.extend_from_slice(letters.get(..end.saturating_sub(block.len())).unwrap_or(letters));
            at = 0;
        }
    }
}

/// A well-mixed function of a number (the finisher of splitmix64).
fn scramble(number: u64) -> u64 {
    let mut x = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_their_size_and_number_from_the_least_size_on() {
        let letters = Letters::new(7);
        for content in [Content::Text, Content::Json] {
            for (number, more) in [(0, 0), (u64::MAX, 0), (u64::MAX, 1), (12_345, 70_000)] {
                let mut block = BytesMut::from(&b"before"[..]);
                let size = content.bytes_min() + more;
                letters.write(content, number, block.len() + size, &mut block);
                let bytes = block.freeze().slice(6..);
                assert_eq!(bytes.len(), size, "{content:?} {number}");
                match content.value(bytes).unwrap() {
                    Value::String(text) => assert!(text.to_str().starts_with(&format!("{number} "))),
                    Value::Json(json) => {
                        assert_eq!(json.raw_member("id"), Some(number.to_string().as_bytes()));
                        assert_eq!(json.raw_member("ok"), Some(&b"true"[..]));
                        let body = json.raw_member("body").unwrap();
                        assert!(body[1..body.len() - 1].iter().all(u8::is_ascii_lowercase));
                    }
                    other => panic!("{}", other.kind()),
                }
            }
        }
    }

    #[test]
    fn bytes_that_are_no_json_are_refused() {
        let error = Content::Json.value(Bytes::from_static(b"{\"id\":")).unwrap_err().to_string();
        assert!(error.contains("no JSON"), "{error}");
    }
}
