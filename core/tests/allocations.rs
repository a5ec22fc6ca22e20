//! How often transforms of JSON text ask for memory: a record that only passes costs none.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use bytes::Bytes;
use rmqc_core::chain::Chain;
use rmqc_core::config::Properties;
use rmqc_core::json::decode;
use rmqc_core::record::ConnectRecord;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

/// The system's allocator, counting on each thread by itself.
struct Counting;

// SAFETY: every call is handed on to the system's allocator as it came; the counter holds nothing that needs dropping.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller keeps to this function's contract, which is the system's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(place, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

const BODY: &str = r#"{"id":12345,"level":"INFO","user":{"name":"alice","city":"Berlin"},"msg":"all fine","ok":true}"#;

/// Allocations of one record, after a few that may warm things up.
fn allocations(keys: &[(&str, &str)]) -> usize {
    let own = keys.iter().map(|(key, value)| (format!("transforms.t.{key}"), (*value).to_owned()));
    let config: Properties = own.chain([("transforms".to_owned(), "t".to_owned())]).collect();
    let chain = Chain::from_config(&config).unwrap();
    let value = decode(Bytes::from_static(BODY.as_bytes())).unwrap();
    let mut last = 0;
    for _ in 0..3 {
        let mut record = ConnectRecord { value: value.clone(), ..ConnectRecord::default() };
        let before = ALLOCATIONS.get();
        chain.apply(&mut record).unwrap();
        last = ALLOCATIONS.get() - before;
    }
    last
}

#[test]
fn a_filter_needs_no_memory() {
    for (pattern, field) in
        [("WARN|ERROR", "level"), ("(?i)info", "level"), (r"a(?=l)(.)\1.*", "msg"), ("x", "ok"), ("x", "nowhere")]
    {
        let keys = [("class", "PatternFilter$Value"), ("pattern", pattern), ("fields", field)];
        assert_eq!(allocations(&keys), 0, "{pattern} {field}");
    }
}

#[test]
fn an_edited_text_is_put_together_once() {
    // The text, and the handle that shares it.
    let keys =
        [("class", "ExtractNestedField$Value"), ("input.outer.field.name", "user"), ("input.inner.field.name", "name")];
    assert!(allocations(&keys) <= 2);
    // The list of names too.
    let keys = [("class", "PatternRename$Value"), ("field.pattern", "^"), ("field.replacement", "x_")];
    assert!(allocations(&keys) <= 3);
    let keys = [("class", "ChangeCase$Value"), ("from", "LOWER_CAMEL"), ("to", "LOWER_UNDERSCORE")];
    assert!(allocations(&keys) <= 1);
}

#[test]
fn routing_to_a_known_topic_needs_no_memory() {
    let config = [("transforms", "t"), ("transforms.t.class", "RegexRouter"), ("transforms.t.regex", "a(.*)")]
        .into_iter()
        .chain([("transforms.t.replacement", "b$1")])
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect();
    let chain = Chain::from_config(&config).unwrap();
    let topic: std::sync::Arc<str> = "a1".into();
    for expected in [None, Some(0)] {
        let mut record = ConnectRecord { topic: Some(topic.clone()), ..ConnectRecord::default() };
        let before = ALLOCATIONS.get();
        chain.apply(&mut record).unwrap();
        assert!(expected.is_none_or(|expected| ALLOCATIONS.get() - before == expected));
    }
}
