//! JSON objects as log collectors make them, and what the transforms look for in them.

use bytes::Bytes;

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

/// JSON objects of one size: what is looked for stands in front, in the middle and at the end. From about 1 KiB on most
/// of the text is one long member.
#[must_use]
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
