//! What the same work costs at least, done by hand with sonic-rs on these very records, which know nothing of schemas,
//! errors or configuration. And the records themselves.
//!
//! They take plain slices: from a `Bytes` sonic-rs makes a counted handle of every member, which would cost more than the
//! work itself.

use std::hint::black_box;

use bytes::{BufMut, Bytes, BytesMut};
use regex::Regex;
use sonic_rs::{JsonValueTrait as _, LazyValue};

/// Field whose text the filter looks at.
pub const FILTERED: &str = "level";
/// Texts that the filter drops; no record here has one of them.
pub const DROPPED: &str = "ERROR|FATAL";
/// Field that the rename renames.
pub const RENAMED: &str = "ok";
/// Its new name.
pub const NEW_NAME: &str = "healthy";
/// Member from which the nested field is taken.
pub const OUTER: &str = "user";
/// The nested field.
pub const INNER: &str = "city";

/// Different records of one size.
const VARIETY: u32 = 64;
/// Room for results that live at the same time.
const ARENA_BYTES: usize = 64 * 1024;

/// JSON objects of one size, as log collectors make them: what is looked for stands in front, in the middle and at the
/// end. From about 1 KiB on most of the text is one long member.
pub fn records(size: usize) -> Vec<Bytes> {
    (0..VARIETY).map(|number| record(number, size)).collect()
}

fn record(number: u32, size: usize) -> Bytes {
    let levels = ["INFO", "WARN"];
    let level = levels[number as usize % levels.len()];
    let head = format!(
        r#"{{"id":{},"level":"{level}","user":{{"id":{},"geo":{{"city":"Lisbon","lat":38.72,"lon":-9.14}},"city":"Porto"}}"#,
        1_000_000 + number,
        100 + number
    );
    let tail = r#","ok":true}"#;
    let between = size.checked_sub(head.len() + tail.len() + r#","body":"""#.len()).expect("room for the body");
    let words = "the quick brown fox jumps over the lazy dog, ".chars().cycle().skip(number as usize);
    let body: String = words.take(between).collect();
    let text = format!(r#"{head},"body":"{body}"{tail}"#);
    assert_eq!(text.len(), size);
    Bytes::from(text)
}

/// One way of doing it, and the memory for its results.
pub struct Floors {
    dropped: Regex,
    arena: BytesMut,
}

impl Floors {
    pub fn new() -> Self {
        let dropped = Regex::new(&format!("^(?:{DROPPED})$")).expect("a pattern");
        Self { dropped, arena: BytesMut::with_capacity(ARENA_BYTES) }
    }

    /// Looks once over the whole text: every converter that must not hand on broken JSON does at least this.
    pub fn validate(&mut self, json: &[u8]) {
        black_box(sonic_rs::from_slice::<LazyValue>(black_box(json)).expect("JSON"));
    }

    /// Finds one member and matches its text.
    pub fn filter(&mut self, json: &[u8]) {
        let level = sonic_rs::get_from_slice(black_box(json), &[FILTERED]).expect("the member");
        assert!(!black_box(self.dropped.is_match(level.as_str().expect("a text"))));
    }

    /// Finds a nested member and appends it: everything before the last brace is copied at once.
    pub fn extract(&mut self, json: &[u8]) {
        let found = sonic_rs::get_from_slice(black_box(json), &[OUTER, INNER]).expect("the member");
        let raw = found.as_raw_str().as_bytes();
        self.arena.reserve(json.len() + INNER.len() + raw.len() + 8);
        self.arena.put_slice(&json[..json.len() - 1]);
        self.put_name(INNER.as_bytes());
        self.arena.put_slice(raw);
        self.arena.put_u8(b'}');
        black_box(self.arena.split().freeze());
    }

    /// Walks over the members and writes each as it stood, one of them under another name.
    pub fn rename(&mut self, json: &[u8]) {
        self.arena.reserve(json.len() + NEW_NAME.len() + 64);
        let mut separator = b'{';
        for member in sonic_rs::to_object_iter(black_box(json)) {
            let (name, value) = member.expect("JSON");
            let name = if name == RENAMED { NEW_NAME } else { name.as_ref() };
            let raw = value.as_raw_str().as_bytes();
            self.arena.put_u8(separator);
            self.arena.put_u8(b'"');
            self.arena.put_slice(name.as_bytes());
            self.arena.put_slice(b"\":");
            self.arena.put_slice(raw);
            separator = b',';
        }
        self.arena.put_u8(b'}');
        black_box(self.arena.split().freeze());
    }

    fn put_name(&mut self, name: &[u8]) {
        self.arena.put_slice(b",\"");
        self.arena.put_slice(name);
        self.arena.put_slice(b"\":");
    }
}
