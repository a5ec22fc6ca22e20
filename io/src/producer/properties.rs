//! A record's message properties, as the Java runtime writes them.

use bytes::BytesMut;
use rmqc_core::error::{ConnectError, Result, Stage};
use rmqc_core::limits::MESSAGE_PROPERTIES_BYTES_MAX;
use rmqc_core::record::Extensions;

use rmqc_core::record::raw_pairs;

use crate::remoting::properties::{CONNECT_TIMESTAMP, EXTENSION_PREFIX, KEYS, TAGS, TOMBSTONE, UNIQ_KEY, put};
use crate::remoting::unique_id::{ID_LEN, UniqueIds};

/// Writes properties blocks. Records that share a timestamp and have neither key nor extensions share all but their id,
/// so only the id is written anew.
pub struct PropertiesWriter {
    ids: UniqueIds,
    block: BytesMut,
    /// The timestamp for which `block` can be used again, if it can.
    plain_for: Option<Option<i64>>,
}

/// What a letter leaves behind of its message's properties: those that a client or broker gives every message anew.
const NOT_FOR_LETTERS: [&[u8]; 5] = [UNIQ_KEY.as_bytes(), b"WAIT", b"MSG_REGION", b"TRACE_ON", b"CLUSTER"];

/// Where the id stands in a block.
const ID_AT: std::ops::Range<usize> = UNIQ_KEY.len() + 1..UNIQ_KEY.len() + 1 + ID_LEN;

impl PropertiesWriter {
    /// A writer with its own source of ids.
    #[must_use]
    pub fn new(ids: UniqueIds) -> Self {
        Self { ids, block: BytesMut::with_capacity(256), plain_for: None }
    }

    /// The properties of a record made at `now_ms`: `UNIQ_KEY`, `KEYS` from the key, then the extensions (`KEYS` and
    /// `TAGS` keep their names and win over the key, others get the prefix `connect-ext-`, empty values are left out
    /// as the Java codec does), then `connect.timestamp`.
    ///
    /// # Errors
    /// When a name or value holds a separator byte, or all together are too long for a message.
    pub fn write(
        &mut self,
        now_ms: i64,
        key: Option<&[u8]>,
        extensions: &Extensions,
        timestamp_ms: Option<i64>,
    ) -> Result<&[u8]> {
        let plain = key.is_none_or(<[u8]>::is_empty) && extensions.is_empty();
        let id = self.ids.next(now_ms);
        if plain && self.plain_for == Some(timestamp_ms) {
            if let Some(place) = self.block.get_mut(ID_AT) {
                place.copy_from_slice(id);
            }
            return Ok(&self.block);
        }
        self.plain_for = None;
        self.block.clear();
        let written = write_block(&mut self.block, id, key.unwrap_or_default(), extensions, timestamp_ms);
        written.map_err(not_a_property)?;
        if plain {
            self.plain_for = Some(timestamp_ms);
        }
        self.checked()
    }
}

impl PropertiesWriter {
    /// The properties of the last record written.
    #[must_use]
    pub fn block(&self) -> &[u8] {
        &self.block
    }

    /// Adds properties behind those of the last record written.
    ///
    /// # Errors
    /// When a value holds a separator byte, or all together are too long for a message.
    pub fn add(&mut self, more: &[(&'static str, String)]) -> Result<&[u8]> {
        self.plain_for = None;
        for (name, value) in more {
            put(&mut self.block, name.as_bytes(), value.as_bytes()).map_err(not_a_property)?;
        }
        self.checked()
    }

    /// Marks the last record written as one without a value.
    ///
    /// # Errors
    /// When all together are too long for a message.
    pub fn add_tombstone(&mut self) -> Result<&[u8]> {
        self.add(&[(TOMBSTONE, "true".to_owned())])
    }

    /// The properties of a dead letter: an id of its own, those of the message that `original` holds, and the context,
    /// of which the long texts are left out when there is no room.
    ///
    /// # Errors
    /// When the message's own properties are too long for another message.
    pub fn write_letter(&mut self, now_ms: i64, original: &[u8], context: &[(&'static str, String)]) -> Result<&[u8]> {
        self.plain_for = None;
        self.block.clear();
        put(&mut self.block, UNIQ_KEY.as_bytes(), self.ids.next(now_ms)).map_err(not_a_property)?;
        for (name, value) in raw_pairs(original).filter(|(name, _)| !NOT_FOR_LETTERS.contains(name)) {
            put(&mut self.block, name, value).map_err(not_a_property)?;
        }
        for (name, value) in context {
            let len = name.len().saturating_add(value.len()).saturating_add(2);
            if self.block.len().saturating_add(len) <= MESSAGE_PROPERTIES_BYTES_MAX {
                put(&mut self.block, name.as_bytes(), value.as_bytes()).map_err(not_a_property)?;
            }
        }
        self.checked()
    }

    /// The block, if a message can hold it.
    fn checked(&self) -> Result<&[u8]> {
        if self.block.len() > MESSAGE_PROPERTIES_BYTES_MAX {
            let what = format!(
                "the record's key and extensions need {} bytes of message properties; {MESSAGE_PROPERTIES_BYTES_MAX} are possible",
                self.block.len()
            );
            return Err(ConnectError::bad_record(Stage::Send, what));
        }
        Ok(&self.block)
    }
}

fn not_a_property(error: crate::remoting::properties::SeparatorInside) -> ConnectError {
    let what = "the record's key or extensions can't be message properties";
    ConnectError::bad_record(Stage::Send, what).caused_by(error)
}

fn write_block(
    block: &mut BytesMut,
    id: &[u8],
    key: &[u8],
    extensions: &Extensions,
    timestamp_ms: Option<i64>,
) -> std::result::Result<(), crate::remoting::properties::SeparatorInside> {
    put(block, UNIQ_KEY.as_bytes(), id)?;
    let pairs = extensions.to_pairs();
    let keys =
        pairs.iter().find(|(name, _)| name.as_bytes() == KEYS.as_bytes()).map(|(_, value)| &value.as_bytes()[..]);
    let keys = keys.unwrap_or(key);
    if !keys.is_empty() {
        put(block, KEYS.as_bytes(), keys)?;
    }
    for (name, value) in
        pairs.iter().filter(|(name, value)| name.as_bytes() != KEYS.as_bytes() && !value.as_bytes().is_empty())
    {
        if name.as_bytes() == TAGS.as_bytes() {
            put(block, TAGS.as_bytes(), value.as_bytes())?;
        } else {
            put(block, &[EXTENSION_PREFIX.as_bytes(), name.as_bytes()].concat(), value.as_bytes())?;
        }
    }
    if let Some(timestamp_ms) = timestamp_ms {
        put(block, CONNECT_TIMESTAMP.as_bytes(), timestamp_ms.to_string().as_bytes())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use rmqc_core::error::Retry;

    use super::*;

    fn writer() -> PropertiesWriter {
        PropertiesWriter::new(UniqueIds::new(Ipv4Addr::LOCALHOST, 1, 2))
    }

    fn shown(block: &[u8]) -> Vec<String> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        raw_pairs(block).map(|(k, v)| format!("{}={}", text(k), text(v))).collect()
    }

    #[test]
    fn plain_records_differ_by_their_id_only() {
        let mut writer = writer();
        let first = writer.write(1000, None, &Extensions::Empty, Some(77)).unwrap().to_vec();
        let second = writer.write(1000, None, &Extensions::Empty, Some(77)).unwrap().to_vec();
        assert_ne!(first, second);
        assert_eq!(shown(&first)[1..], ["connect.timestamp=77"]);
        assert_eq!(shown(&second)[1..], ["connect.timestamp=77"]);
        let other_time = writer.write(1000, None, &Extensions::Empty, None).unwrap();
        assert_eq!(shown(other_time).len(), 1);
    }

    #[test]
    fn keys_tags_and_extensions_as_in_java() {
        let mut extensions = Extensions::Empty;
        extensions.set("TAGS", "tag");
        extensions.set("colour", "red");
        extensions.set("topic", "");
        let mut writer = writer();
        let block = writer.write(0, Some(b"order-1"), &extensions, Some(5)).unwrap();
        assert_eq!(shown(block)[1..], ["KEYS=order-1", "TAGS=tag", "connect-ext-colour=red", "connect.timestamp=5"]);
        extensions.set("KEYS", "mine");
        let block = writer.write(0, Some(b"order-1"), &extensions, None).unwrap();
        assert_eq!(shown(block)[1], "KEYS=mine");
    }

    #[test]
    fn a_letter_keeps_what_is_the_messages_own() {
        let original = b"UNIQ_KEY\x01old\x02KEYS\x01k\x02TAGS\x01t\x02MSG_REGION\x01r\x02connect.timestamp\x015\x02";
        let mut writer = writer();
        let context = [("__connect.errors.stage", "CONVERTER".to_owned())];
        let block = writer.write_letter(0, original, &context).unwrap();
        assert_eq!(shown(block)[1..], ["KEYS=k", "TAGS=t", "connect.timestamp=5", "__connect.errors.stage=CONVERTER"]);
        assert!(!shown(block)[0].ends_with("=old"));
        // Without room for the context the letter goes without it.
        let long = format!("k\x01{}\x02", "v".repeat(MESSAGE_PROPERTIES_BYTES_MAX - 60));
        assert_eq!(shown(writer.write_letter(0, long.as_bytes(), &context).unwrap()).len(), 2);
    }

    #[test]
    fn a_record_without_a_value_is_marked() {
        let mut writer = writer();
        writer.write(0, None, &Extensions::Empty, None).unwrap();
        assert_eq!(shown(writer.add_tombstone().unwrap())[1..], ["connect.tombstone=true"]);
        assert_eq!(shown(writer.write(0, None, &Extensions::Empty, None).unwrap()).len(), 1);
    }

    #[test]
    fn what_is_no_property_is_a_bad_record() {
        let mut writer = writer();
        let error = writer.write(0, Some(b"a\x01b"), &Extensions::Empty, None).unwrap_err();
        assert_eq!(error.retry(), Retry::BadRecord);
        let long = vec![b'k'; MESSAGE_PROPERTIES_BYTES_MAX];
        assert!(writer.write(0, Some(&long), &Extensions::Empty, None).is_err());
        assert_eq!(shown(writer.write(0, None, &Extensions::Empty, Some(1)).unwrap()).len(), 2);
    }
}
