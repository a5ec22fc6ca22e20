//! The record that moves through a task, and the batch in which it moves.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;

use crate::position::Position;
use crate::schema::Schema;
use crate::value::{Text, Value};

/// A record's string-to-string extensions (other systems: headers).
///
/// A record pulled from RocketMQ carries its message's properties block; it is split, and its names are mapped as the
/// Java runtime maps them, only when someone looks: `connect-ext-x` is `x`, the properties that clients and brokers add
/// get the prefix `MQ-SYS-`, and `MQ-SYS-MSG_ID` is the message's id.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Extensions {
    /// None.
    #[default]
    Empty,
    /// A message's properties as received: `key 0x01 value 0x02 …`, the last 0x02 optional.
    Message(Bytes),
    /// Name and value pairs in their order.
    Pairs(Box<Vec<(Text, Text)>>),
}

impl Extensions {
    /// The value of the first extension of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Text> {
        match self {
            Self::Empty => None,
            Self::Message(raw) if name == MESSAGE_ID => message_id(raw),
            Self::Message(raw) => raw_pairs(raw)
                .find(|(key, _)| extension_name(key) == name.as_bytes())
                .map(|(_, value)| Text::from_bytes(raw.slice_ref(value))),
            Self::Pairs(pairs) => {
                pairs.iter().find(|(key, _)| key.as_bytes() == name.as_bytes()).map(|(_, value)| value.clone())
            }
        }
    }

    /// Adds or replaces an extension.
    pub fn set(&mut self, name: impl Into<Text>, value: impl Into<Text>) {
        if let Self::Pairs(pairs) = self {
            return put(pairs, name.into(), value.into());
        }
        let mut pairs = self.to_pairs();
        put(&mut pairs, name.into(), value.into());
        *self = Self::Pairs(Box::new(pairs));
    }

    /// Takes out every extension of that name. A message's properties stay as received when none has it, and stay a
    /// properties block when one has.
    pub fn remove(&mut self, name: &str) {
        if self.get(name).is_none() {
            return;
        }
        match self {
            Self::Empty => {}
            // The client's id is told twice, as a property and as the message's id; only pairs can hold one of the two.
            Self::Message(_) if name.starts_with(SYSTEM_PREFIX) => {
                let mut pairs = self.to_pairs();
                pairs.retain(|(key, _)| key.as_bytes() != name.as_bytes());
                *self = Self::Pairs(Box::new(pairs));
            }
            Self::Message(raw) => *raw = without(raw, name),
            Self::Pairs(pairs) => pairs.retain(|(key, _)| key.as_bytes() != name.as_bytes()),
        }
    }

    /// All pairs in their order.
    #[must_use]
    pub fn to_pairs(&self) -> Vec<(Text, Text)> {
        match self {
            Self::Empty => Vec::new(),
            Self::Message(raw) => {
                let name = |key: &[u8]| match extension_name(key) {
                    Cow::Borrowed(name) => raw.slice_ref(name),
                    Cow::Owned(name) => Bytes::from(name),
                };
                let pair = |(key, value): (&[u8], &[u8])| {
                    (Text::from_bytes(name(key)), Text::from_bytes(raw.slice_ref(value)))
                };
                let id = message_id(raw).map(|id| (Text::from(MESSAGE_ID), id));
                raw_pairs(raw).map(pair).chain(id).collect()
            }
            Self::Pairs(pairs) => pairs.as_ref().clone(),
        }
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Message(raw) => raw.is_empty(),
            Self::Pairs(pairs) => pairs.is_empty(),
        }
    }
}

/// Prefix of the extensions that clients and brokers add.
const SYSTEM_PREFIX: &str = "MQ-SYS-";
/// Extension that holds the message's id.
const MESSAGE_ID: &str = "MQ-SYS-MSG_ID";
/// Property that holds the client's id of a message.
const UNIQUE_ID: &[u8] = b"UNIQ_KEY";
/// Prefix under which a record's own extensions travel.
const OWN_PREFIX: &[u8] = b"connect-ext-";
/// Properties that get the system prefix; all others keep their names.
const SYSTEM_NAMES: [&[u8]; 7] =
    [b"MIN_OFFSET", b"TRACE_ON", b"MAX_OFFSET", b"MSG_REGION", UNIQUE_ID, b"WAIT", b"TAGS"];

/// The extension's name of a message's property.
fn extension_name(property: &[u8]) -> Cow<'_, [u8]> {
    if let Some(own) = property.strip_prefix(OWN_PREFIX) {
        return Cow::Borrowed(own);
    }
    if SYSTEM_NAMES.contains(&property) {
        return Cow::Owned([SYSTEM_PREFIX.as_bytes(), property].concat());
    }
    Cow::Borrowed(property)
}

fn message_id(raw: &Bytes) -> Option<Text> {
    raw_pairs(raw).find(|(key, _)| *key == UNIQUE_ID).map(|(_, id)| Text::from_bytes(raw.slice_ref(id)))
}

/// Splits a message's properties block; entries without a separator are passed over, as the Java codec does.
pub fn raw_pairs(raw: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    raw.split(|byte| *byte == 2).filter_map(|entry| {
        let at = entry.iter().position(|byte| *byte == 1)?;
        Some((entry.get(..at)?, entry.get(at.saturating_add(1)..)?))
    })
}

fn put(pairs: &mut Vec<(Text, Text)>, name: Text, value: Text) {
    match pairs.iter_mut().find(|(key, _)| *key == name) {
        Some((_, old)) => *old = value,
        None => pairs.push((name, value)),
    }
}

/// A properties block less every extension of a name. What the Java codec passes over is left out too.
fn without(raw: &[u8], name: &str) -> Bytes {
    let mut kept = Vec::with_capacity(raw.len());
    for (key, value) in raw_pairs(raw).filter(|(key, _)| extension_name(key) != name.as_bytes()) {
        kept.extend_from_slice(key);
        kept.push(1);
        kept.extend_from_slice(value);
        kept.push(2);
    }
    Bytes::from(kept)
}

/// A record on its way. Cloning it clones handles, never payload bytes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ConnectRecord {
    /// Topic to send to; none means the connector's `connect.topicname`. On sinks: the topic it came from.
    pub topic: Option<Arc<str>>,
    /// Key, or null.
    pub key: Value,
    /// Shape of the key, if known.
    pub key_schema: Option<Arc<Schema>>,
    /// Value, or null for a tombstone.
    pub value: Value,
    /// Shape of the value, if known.
    pub schema: Option<Arc<Schema>>,
    /// Extensions (headers).
    pub extensions: Extensions,
    /// Milliseconds since 1970-01-01 UTC.
    pub timestamp_ms: Option<i64>,
    /// Where it came from. Always present on records that a source polled.
    pub position: Option<Position>,
}

/// Extension by which a source's record may name its topic.
pub const TOPIC_EXTENSION: &str = "topic";

impl ConnectRecord {
    /// The topic that a source's record names by its extension, which outranks [`ConnectRecord::topic`]; nothing if it is
    /// blank. A record pulled from RocketMQ names none: there the extension is a plain one of its message.
    #[must_use]
    pub fn topic_extension(&self) -> Option<Text> {
        match &self.extensions {
            Extensions::Pairs(_) => {
                self.extensions.get(TOPIC_EXTENSION).filter(|topic| !topic.to_str().trim().is_empty())
            }
            Extensions::Empty | Extensions::Message(_) => None,
        }
    }
}

/// Records that a source hands over at once, bounded in number and bytes.
#[derive(Debug)]
pub struct RecordBatch {
    records: Vec<ConnectRecord>,
    bytes: usize,
    records_max: usize,
    bytes_max: usize,
}

impl RecordBatch {
    /// An empty batch with its bounds. Both bounds are at least one.
    #[must_use]
    pub fn new(records_max: usize, bytes_max: usize) -> Self {
        let records_max = records_max.clamp(1, crate::limits::BATCH_RECORDS_MAX);
        Self { records: Vec::with_capacity(records_max.min(1024)), bytes: 0, records_max, bytes_max: bytes_max.max(1) }
    }

    /// Adds a record of about `bytes` payload bytes. A source stops polling when [`RecordBatch::is_full`] says so;
    /// one record more does no harm.
    pub fn push(&mut self, record: ConnectRecord, bytes: usize) {
        self.bytes = self.bytes.saturating_add(bytes);
        self.records.push(record);
    }

    /// Whether a bound is reached.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.records.len() >= self.records_max || self.bytes >= self.bytes_max
    }

    /// Number of records.
    #[must_use]
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Payload bytes, as told by the source.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The records so far.
    #[must_use]
    pub fn records(&self) -> &[ConnectRecord] {
        &self.records
    }

    /// The records so far, to be changed in place.
    #[must_use]
    pub fn records_mut(&mut self) -> &mut [ConnectRecord] {
        &mut self.records
    }

    /// Empties the batch and hands its records out, keeping the room for the next ones.
    pub fn drain(&mut self) -> std::vec::Drain<'_, ConnectRecord> {
        self.bytes = 0;
        self.records.drain(..)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message_properties_are_named_as_the_java_runtime_names_them() {
        let raw =
            b"KEYS\x01k\x02TAGS\x01t\x02connect-ext-colour\x01red\x02UNIQ_KEY\x017F\x02connect.timestamp\x015\x02";
        let extensions = Extensions::Message(Bytes::from_static(raw));
        let pairs: Vec<_> =
            extensions.to_pairs().iter().map(|(k, v)| format!("{}={}", k.to_str(), v.to_str())).collect();
        let named = ["KEYS=k", "MQ-SYS-TAGS=t", "colour=red", "MQ-SYS-UNIQ_KEY=7F", "connect.timestamp=5"];
        assert_eq!(pairs[..5], named);
        assert_eq!(pairs[5..], ["MQ-SYS-MSG_ID=7F"]);
        for (name, value) in [("colour", "red"), ("MQ-SYS-TAGS", "t"), ("MQ-SYS-MSG_ID", "7F"), ("KEYS", "k")] {
            assert_eq!(extensions.get(name).unwrap().to_str(), value);
        }
        assert_eq!(extensions.get("TAGS"), None);
    }

    #[test]
    fn extensions_are_found_without_a_closing_separator() {
        let extensions = Extensions::Message(Bytes::from_static(b"a\x011\x02bad\x02b\x01\x02c\x013"));
        assert_eq!(extensions.get("c").unwrap().to_str(), "3");
        assert_eq!(extensions.get("b").unwrap().to_str(), "");
        assert_eq!(extensions.get("bad"), None);
        assert_eq!(extensions.to_pairs().len(), 3);
    }

    #[test]
    fn set_replaces_in_place() {
        let mut extensions = Extensions::Message(Bytes::from_static(b"a\x011\x02b\x012\x02"));
        extensions.set("a", "9");
        extensions.set("z", "0");
        let names: Vec<_> =
            extensions.to_pairs().iter().map(|(k, v)| format!("{}={}", k.to_str(), v.to_str())).collect();
        assert_eq!(names, ["a=9", "b=2", "z=0"]);
    }

    #[test]
    fn remove_keeps_a_message_a_message_where_it_can() {
        let raw = b"a\x011\x02connect-ext-b\x012\x02UNIQ_KEY\x017F\x02";
        let names = |extensions: &Extensions| -> Vec<String> {
            extensions.to_pairs().iter().map(|(name, _)| name.to_str().into_owned()).collect()
        };
        for (name, stays_message, left) in [
            ("no such", true, &["a", "b", "MQ-SYS-UNIQ_KEY", "MQ-SYS-MSG_ID"][..]),
            ("b", true, &["a", "MQ-SYS-UNIQ_KEY", "MQ-SYS-MSG_ID"]),
            ("MQ-SYS-MSG_ID", false, &["a", "b", "MQ-SYS-UNIQ_KEY"]),
            ("MQ-SYS-UNIQ_KEY", false, &["a", "b", "MQ-SYS-MSG_ID"]),
            ("MQ-SYS-TAGS", true, &["a", "b", "MQ-SYS-UNIQ_KEY", "MQ-SYS-MSG_ID"]),
        ] {
            let mut extensions = Extensions::Message(Bytes::from_static(raw));
            extensions.remove(name);
            assert_eq!(matches!(extensions, Extensions::Message(_)), stays_message, "{name}");
            assert_eq!(names(&extensions), left, "{name}");
            extensions.remove("a");
            extensions.remove("a");
            assert_eq!(names(&extensions), left[1..], "{name}");
        }
        Extensions::Empty.remove("a");
    }

    #[test]
    fn a_batch_is_full_by_records_or_bytes() {
        let mut batch = RecordBatch::new(2, 10);
        batch.push(ConnectRecord::default(), 4);
        assert!(!batch.is_full());
        batch.push(ConnectRecord::default(), 1);
        assert!(batch.is_full());
        assert_eq!(batch.drain().count(), 2);
        batch.push(ConnectRecord::default(), 10);
        assert!(batch.is_full() && batch.bytes() == 10);
    }
}
