//! Messages as records: convert, then transform. What is bad about one is found here, before any sink sees it.

use std::cell::Cell;
use std::sync::Arc;

use bytes::Bytes;
use rmqc_core::chain::Chain;
use rmqc_core::config::Properties;
use rmqc_core::config::connector as keys;
use rmqc_core::converter::Converter;
use rmqc_core::error::{ConnectError, Result, Stage};
use rmqc_core::position::{Position, RecordOffset, RecordPartition};
use rmqc_core::record::{ConnectRecord, Extensions};
use rmqc_core::transform::Outcome;

use super::{chain, converter};
use crate::remoting::message::{Message, MessageError};
use crate::remoting::properties::{CONNECT_TIMESTAMP, KEYS, TOMBSTONE, find, find_each};
use crate::remoting::pulled::MessageSpan;
use crate::shard::steps::Steps;

/// What turns messages into records.
pub(super) struct Stages {
    pub chain: Chain,
    key_converter: Box<dyn Converter>,
    value_converter: Box<dyn Converter>,
    last_time: LastTime,
}

impl Stages {
    /// What the configuration names.
    ///
    /// # Errors
    /// Fatal when something of it can't be built.
    pub fn build(config: &Properties) -> Result<Self> {
        Ok(Self {
            chain: chain(config)?,
            key_converter: converter(&keys::KEY_CONVERTER, config, true)?,
            value_converter: converter(&keys::VALUE_CONVERTER, config, false)?,
            last_time: LastTime::default(),
        })
    }

    /// Makes the record of a message in its place, and says what the chain decides about it. `sampled` is told how the
    /// record's time is divided, if it is to know. Nothing of the message is lost with an error: it can be tried again.
    ///
    /// # Errors
    /// What is wrong with it, with its place; what is in the record then is of no use.
    pub fn make(
        &self,
        from: Source<'_>,
        span: &MessageSpan,
        record: &mut ConnectRecord,
        sampled: Option<&Steps>,
    ) -> Result<Outcome> {
        let place = |error: ConnectError| {
            let what = format!("topic {}, queue {}, offset {}", from.topic, span.queue_id, span.queue_offset);
            error.at_place(what)
        };
        if let Some(steps) = sampled {
            steps.sample();
        }
        self.fill(from, span, record).map_err(place)?;
        if let Some(steps) = sampled {
            steps.left_converters();
        }
        let outcome = if self.chain.is_empty() { Ok(Outcome::Keep) } else { self.chain.apply(record) };
        if let Some(steps) = sampled {
            steps.left_chain();
        }
        outcome.map_err(place)
    }

    /// The record of a message, before the chain.
    #[inline]
    fn fill(&self, from: Source<'_>, span: &MessageSpan, record: &mut ConnectRecord) -> Result<()> {
        let body = if span.is_plain {
            span.body(from.answer)
        } else {
            span.message(from.answer).and_then(|message| message.plain_body()).map_err(not_expanded)?
        };
        place_in(record, from.topic, from.partition, span.queue_offset);
        let properties = Block { whole: from.answer, bytes: span.properties_in(from.answer) };
        self.decode(record, from.topic, (body, properties), span.born_ms)?;
        record.extensions =
            if from.with_extensions { Extensions::Message(span.properties(from.answer)) } else { Extensions::Empty };
        Ok(())
    }

    /// The record of a message, before the chain.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn convert(
        &self,
        topic: &Arc<str>,
        partition: &Arc<RecordPartition>,
        message: &Message,
    ) -> Result<ConnectRecord> {
        let body = message.plain_body().map_err(not_expanded)?;
        let mut record = ConnectRecord::default();
        place_in(&mut record, topic, partition, message.queue_offset);
        let properties = Block { whole: &message.properties, bytes: &message.properties };
        self.decode(&mut record, topic, (body, properties), message.born_ms)?;
        record.extensions = Extensions::Message(message.properties.clone());
        Ok(record)
    }

    /// Key from `KEYS`, value from the body, time from `connect.timestamp` or the born time.
    #[inline]
    fn decode(
        &self,
        record: &mut ConnectRecord,
        topic: &str,
        (body, properties): (Bytes, Block<'_>),
        born_ms: i64,
    ) -> Result<()> {
        let [found_key, time] = find_each(properties.bytes, [KEYS, CONNECT_TIMESTAMP]);
        // All of them are named, since nothing of an earlier record may stay; callers see to the extensions.
        let ConnectRecord { topic: _, position: _, key, key_schema, value, schema, extensions: _, timestamp_ms } =
            record;
        *timestamp_ms = Some(time.and_then(|text| self.last_time.number(text)).unwrap_or(born_ms));
        let key_bytes = found_key.filter(|key| !key.is_empty()).map(|key| properties.whole.slice_ref(key));
        self.key_converter.decode_into(topic, key_bytes, key_schema, key)?;
        let no_value = body.is_empty() && find(properties.bytes, TOMBSTONE).is_some();
        let body = (!no_value).then_some(body);
        self.value_converter.decode_into(topic, body, schema, value)
    }
}

/// A message's properties, looked at where they lie: a handle of them costs two atomic steps.
#[derive(Clone, Copy)]
struct Block<'m> {
    /// Of which they are a part.
    whole: &'m Bytes,
    bytes: &'m [u8],
}

/// Where messages come from that are to be records: what these share.
#[derive(Clone, Copy)]
pub(super) struct Source<'s> {
    pub topic: &'s Arc<str>,
    pub partition: &'s Arc<RecordPartition>,
    /// The answer in which the messages lie.
    pub answer: &'s Bytes,
    /// Whether somebody may look at the records' extensions; without them a record has one handle of its answer instead of
    /// two.
    pub with_extensions: bool,
}

fn not_expanded(error: MessageError) -> ConnectError {
    ConnectError::bad_record(Stage::Consume, "cannot expand the body").caused_by(error)
}

/// Tells a record where it comes from; what it knows already is not shared once more.
#[inline]
fn place_in(record: &mut ConnectRecord, topic: &Arc<str>, partition: &Arc<RecordPartition>, queue_offset: i64) {
    if !record.topic.as_ref().is_some_and(|there| Arc::ptr_eq(there, topic)) {
        record.topic = Some(topic.clone());
    }
    let offset = RecordOffset::Counter { field: "queueOffset", value: u64::try_from(queue_offset).unwrap_or(0) };
    match &mut record.position {
        Some(there) if Arc::ptr_eq(&there.partition, partition) => there.offset = offset,
        other => *other = Some(Position { partition: partition.clone(), offset }),
    }
}

/// Digits of a time in ms, from 2001 to 2286.
const TIME_DIGITS: usize = 13;

/// The time that a message told last, which those that were made in the same millisecond tell again: a comparison costs a
/// quarter of reading the digits.
#[derive(Default)]
struct LastTime(Cell<([u8; TIME_DIGITS], Option<i64>)>);

impl LastTime {
    /// The number that a text tells.
    #[inline]
    fn number(&self, text: &[u8]) -> Option<i64> {
        let Ok(digits) = <[u8; TIME_DIGITS]>::try_from(text) else { return number(text) };
        let (last, told) = self.0.get();
        if last == digits {
            return told;
        }
        let told = number(text);
        self.0.set((digits, told));
        told
    }
}

/// Digits that always fit.
const DIGITS_SAFE: usize = 18;

/// The number that a text tells.
#[inline]
fn number(text: &[u8]) -> Option<i64> {
    if text.is_empty() || text.len() > DIGITS_SAFE {
        return other_number(text);
    }
    let mut number = 0i64;
    for byte in text {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return other_number(text);
        }
        number = number.wrapping_mul(10).wrapping_add(i64::from(digit));
    }
    Some(number)
}

/// The same for what is not a few digits.
#[cold]
fn other_number(text: &[u8]) -> Option<i64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use bytes::BytesMut;
    use rmqc_core::error::Retry;

    use super::super::rows::Rows;
    use super::*;
    use crate::remoting::message::{MessageParts, put_message};
    use crate::remoting::pulled::PulledMessages;

    fn stages(config: &[(&str, &str)]) -> Stages {
        let config: Properties = config.iter().map(|(key, text)| ((*key).to_owned(), (*text).to_owned())).collect();
        Stages::build(&config).unwrap()
    }

    /// An answer with messages of these bodies, properties and system flags.
    fn pulled(messages: &[(&[u8], &[u8], u32)]) -> PulledMessages {
        let mut body = BytesMut::new();
        for (offset, (text, properties, sys_flag)) in (0..).zip(messages) {
            let parts = MessageParts {
                queue_id: 3,
                queue_offset: offset,
                sys_flag: *sys_flag,
                born_ms: 11 + offset,
                store_ms: 12,
                body: text,
                topic: b"t",
                properties,
                ..MessageParts::default()
            };
            put_message(&mut body, &parts);
        }
        PulledMessages::read(body.freeze(), 0, |_, _| true).unwrap()
    }

    #[test]
    fn a_used_place_makes_the_very_record_of_a_new_one() {
        let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
        zlib.write_all(br#"{"long":1}"#).unwrap();
        let zlib = zlib.finish().unwrap();
        let messages = pulled(&[
            (br#"{"id":1}"#, b"KEYS\x01k\x02connect.timestamp\x015\x02", 0),
            (br#"{"id":2}"#, b"UNIQ_KEY\x017F\x02", 0),
            (b"", b"connect.tombstone\x01true\x02", 0),
            (b"[]", b"KEYS\x01\x02connect.timestamp\x01x\x02", 0),
            (&zlib, b"KEYS\x01z\x02", 1),
        ]);
        let (topic, partition) = (Arc::from("t"), Arc::new(RecordPartition::single("queueId", "3")));
        let from = Source { topic: &topic, partition: &partition, answer: messages.body(), with_extensions: true };
        let bare = Source { with_extensions: false, ..from };
        for converter in ["string", "bytes", "json"] {
            let stages = stages(&[("value.converter", converter)]);
            let mut rows = Rows::default();
            // Each message into the place of each other, too.
            for turn in 0..messages.spans().len() * 2 {
                rows.clear();
                for span in messages.spans().iter().cycle().skip(turn).take(messages.spans().len()) {
                    let made = stages.make(from, span, rows.next(), None);
                    let fresh = stages.convert(&topic, &partition, &span.message(messages.body()).unwrap());
                    match (made, fresh) {
                        (Ok(outcome), Ok(mut fresh)) => {
                            assert_eq!((outcome, rows.last().unwrap()), (Outcome::Keep, &fresh), "{converter}");
                            // The same place once more, for a sink that looks at no extensions.
                            rows.drop_last();
                            assert!(matches!(stages.make(bare, span, rows.next(), None), Ok(Outcome::Keep)));
                            fresh.extensions = Extensions::Empty;
                            assert_eq!(rows.last().unwrap(), &fresh, "{converter}");
                        }
                        (Err(made), Err(fresh)) => assert_eq!(made.retry(), fresh.retry()),
                        other => panic!("{converter}: {other:?}"),
                    }
                }
            }
            let shared = Arc::strong_count(&topic);
            rows.clear();
            assert_eq!(Arc::strong_count(&topic), shared, "what is shared stays");
        }
    }

    #[test]
    fn a_message_that_cannot_be_converted_is_still_whole() {
        let messages = pulled(&[(b"no JSON", b"KEYS\x01k\x02", 0), (b"cut", b"", 1)]);
        let (topic, partition) = (Arc::from("t"), Arc::new(RecordPartition::default()));
        let from = Source { topic: &topic, partition: &partition, answer: messages.body(), with_extensions: true };
        let stages = stages(&[("value.converter", "json"), ("value.converter.schemas.enable", "false")]);
        for (span, text) in messages.spans().iter().zip(["no JSON", "cut"]) {
            let mut rows = Rows::default();
            let error = stages.make(from, span, rows.next(), None).unwrap_err();
            assert_eq!(error.retry(), Retry::BadRecord);
            assert!(error.to_string().contains(&format!("topic t, queue 3, offset {}", span.queue_offset)), "{error}");
            assert_eq!(span.message(messages.body()).unwrap().body, text);
        }
    }

    #[test]
    fn numbers_are_what_their_texts_say() {
        for text in [
            "0",
            "007",
            "1795363854815",
            "999999999999999999",
            "9223372036854775807",
            "9223372036854775808",
            "-5",
            "+5",
            "",
            "-",
            "1a",
            "a1",
            "1 ",
            "\u{661}",
            "000000000000000000000001",
        ] {
            assert_eq!(number(text.as_bytes()), text.parse().ok(), "{text:?}");
        }
        let last = LastTime::default();
        for text in
            ["1795363854815", "1795363854815", "1795363854816", "no number, no", "17953638548157", "1795363854815"]
        {
            assert_eq!(last.number(text.as_bytes()), text.parse().ok(), "{text:?}");
        }
        assert_eq!(LastTime::default().number(&[0; TIME_DIGITS]), None);
        assert_eq!(number(b"\xff"), None);
    }
}
