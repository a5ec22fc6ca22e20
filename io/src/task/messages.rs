//! Messages as records: convert, then transform. What is bad about one is found here, before any sink sees it.

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
use crate::remoting::message::Message;
use crate::remoting::properties::{CONNECT_TIMESTAMP, KEYS, TOMBSTONE, find, find_each};
use crate::shard::steps::Steps;

/// What turns messages into records.
pub(super) struct Stages {
    pub chain: Chain,
    key_converter: Box<dyn Converter>,
    value_converter: Box<dyn Converter>,
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
        })
    }

    /// The record of a message, after the chain; nothing when the chain drops it. `sampled` is told how the record's time
    /// is divided, if it is to know.
    ///
    /// # Errors
    /// What is wrong with it, with its place.
    pub fn record(
        &self,
        topic: &Arc<str>,
        partition: &Arc<RecordPartition>,
        message: &Message,
        sampled: Option<&Steps>,
    ) -> Result<Option<ConnectRecord>> {
        let place = |error: ConnectError| {
            let what = format!("topic {topic}, queue {}, offset {}", message.queue_id, message.queue_offset);
            error.at_place(what)
        };
        if let Some(steps) = sampled {
            steps.sample();
        }
        let mut record = self.convert(topic, partition, message).map_err(place)?;
        if let Some(steps) = sampled {
            steps.left_converters();
        }
        let outcome = self.chain.apply(&mut record);
        if let Some(steps) = sampled {
            steps.left_chain();
        }
        match outcome.map_err(place)? {
            Outcome::Keep => Ok(Some(record)),
            Outcome::Drop => Ok(None),
        }
    }

    /// Whether nothing of a message can be wrong and nothing changes its record: [`Stages::take`] will do.
    #[must_use]
    pub fn takes_all(&self) -> bool {
        self.chain.is_empty() && self.key_converter.takes_all() && self.value_converter.takes_all()
    }

    /// The record of a message that is not compressed, of which nothing is left: no handle is made that is not kept.
    ///
    /// # Errors
    /// None, if [`Stages::takes_all`].
    pub fn take(&self, topic: &Arc<str>, partition: &Arc<RecordPartition>, message: Message) -> Result<ConnectRecord> {
        let Message { queue_offset, born_ms, body, properties, .. } = message;
        let mut record = self.decode(topic, body, properties, born_ms)?;
        record.position = Some(position(partition, queue_offset));
        Ok(record)
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
        let body = message
            .plain_body()
            .map_err(|error| ConnectError::bad_record(Stage::Consume, "cannot expand the body").caused_by(error))?;
        let mut record = self.decode(topic, body, message.properties.clone(), message.born_ms)?;
        record.position = Some(position(partition, message.queue_offset));
        Ok(record)
    }

    /// Key from `KEYS`, value from the body, time from `connect.timestamp` or the born time.
    #[inline]
    fn decode(&self, topic: &Arc<str>, body: Bytes, properties: Bytes, born_ms: i64) -> Result<ConnectRecord> {
        let [key, time] = find_each(&properties, [KEYS, CONNECT_TIMESTAMP]);
        let timestamp_ms = Some(time.and_then(number).unwrap_or(born_ms));
        let key = key.filter(|key| !key.is_empty()).map(|key| properties.slice_ref(key));
        let key = self.key_converter.decode(topic, key)?;
        let no_value = body.is_empty() && find(&properties, TOMBSTONE).is_some();
        let value = self.value_converter.decode(topic, (!no_value).then_some(body))?;
        Ok(ConnectRecord {
            topic: Some(topic.clone()),
            key: key.value,
            key_schema: key.schema,
            value: value.value,
            schema: value.schema,
            extensions: Extensions::Message(properties),
            timestamp_ms,
            position: None,
        })
    }
}

fn position(partition: &Arc<RecordPartition>, queue_offset: i64) -> Position {
    let offset = RecordOffset::Counter { field: "queueOffset", value: u64::try_from(queue_offset).unwrap_or(0) };
    Position { partition: partition.clone(), offset }
}

/// The number that a text tells.
fn number(text: &[u8]) -> Option<i64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}
