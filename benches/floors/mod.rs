//! What the same work costs at least, done by hand with sonic-rs on these very records, which know nothing of schemas,
//! errors or configuration.
//!
//! They take plain slices: from a `Bytes` sonic-rs makes a counted handle of every member, which would cost more than the
//! work itself.

use std::hint::black_box;

use bytes::{BufMut, BytesMut};
use regex::Regex;
use rmqc_bench_kit::json_records::{DROPPED, FILTERED, INNER, NEW_NAME, OUTER, RENAMED};
use sonic_rs::{JsonValueTrait as _, LazyValue};

/// Room for results that live at the same time.
const ARENA_BYTES: usize = 64 * 1024;

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
