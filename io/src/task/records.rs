//! Records as messages: convert, and write the properties.

use std::borrow::Cow;
use std::ops::Deref;
use std::sync::Arc;

use bytes::Bytes;
use rmqc_core::chain::Chain;
use rmqc_core::config::Properties;
use rmqc_core::config::connector as keys;
use rmqc_core::converter::Converter;
use rmqc_core::error::{ConnectError, Result, Stage};
use rmqc_core::java_text;
use rmqc_core::limits::MESSAGE_BODY_BYTES_MAX;
use rmqc_core::record::{ConnectRecord, Extensions};
use rmqc_core::value::Value;

use super::{chain, converter, topic_of};
use crate::producer::properties::PropertiesWriter;

/// What turns records into messages.
pub(super) struct Stages {
    pub chain: Chain,
    key_converter: Box<dyn Converter>,
    value_converter: Box<dyn Converter>,
    properties: PropertiesWriter,
    pub default_topic: Arc<str>,
}

/// A message's body.
pub(super) enum Body<'r> {
    /// The record's own bytes.
    Own(&'r Bytes),
    /// Made by a converter.
    Made(Bytes),
}

impl Deref for Body<'_> {
    type Target = Bytes;

    fn deref(&self) -> &Bytes {
        match self {
            Self::Own(bytes) => bytes,
            Self::Made(bytes) => bytes,
        }
    }
}

/// A record as a message.
pub(super) struct Encoded<'s, 'r> {
    pub key: Option<Bytes>,
    pub body: Body<'r>,
    pub properties: &'s [u8],
}

impl Stages {
    /// What the configuration names.
    ///
    /// # Errors
    /// Fatal when something of it can't be built.
    pub fn build(config: &Properties, properties: PropertiesWriter) -> Result<Self> {
        Ok(Self {
            chain: chain(config)?,
            key_converter: converter(&keys::KEY_CONVERTER, config, true)?,
            value_converter: converter(&keys::VALUE_CONVERTER, config, false)?,
            properties,
            default_topic: topic_of(config),
        })
    }

    /// A record as a message.
    ///
    /// # Errors
    /// What is wrong with the record.
    pub fn encode<'r>(&mut self, record: &'r ConnectRecord, now_ms: i64) -> Result<Encoded<'_, 'r>> {
        let topic = topic_name(record, &self.default_topic);
        let key = self.key_converter.encode(&topic, record.key_schema.as_deref(), &record.key)?;
        let (body, tombstone) = match self.value_converter.own_bytes(record.schema.as_deref(), &record.value) {
            Some(bytes) => (Body::Own(bytes), false),
            None => {
                let value = self.value_converter.encode(&topic, record.schema.as_deref(), &record.value)?;
                let tombstone = value.is_none();
                (Body::Made(value.unwrap_or_default()), tombstone)
            }
        };
        if body.len() > MESSAGE_BODY_BYTES_MAX {
            let what = format!("body of {} bytes; a message holds at most {MESSAGE_BODY_BYTES_MAX}", body.len());
            return Err(ConnectError::bad_record(Stage::Send, what));
        }
        self.properties.write(now_ms, key.as_deref(), &record.extensions, record.timestamp_ms)?;
        let properties = if tombstone { self.properties.add_tombstone()? } else { self.properties.block() };
        Ok(Encoded { key, body, properties })
    }

    /// A record that was given up as a letter.
    ///
    /// # Errors
    /// A record that no message can hold.
    pub fn letter(
        &mut self,
        record: &ConnectRecord,
        context: &[(&'static str, String)],
        now_ms: i64,
    ) -> Result<Encoded<'_, 'static>> {
        letter(&mut self.properties, record, context, now_ms)
    }
}

/// A record that was given up as a letter: its value's own bytes, its key and extensions, and the context.
///
/// # Errors
/// A record that no message can hold.
pub(super) fn letter<'w>(
    properties: &'w mut PropertiesWriter,
    record: &ConnectRecord,
    context: &[(&'static str, String)],
    now_ms: i64,
) -> Result<Encoded<'w, 'static>> {
    let text = |value: &Value| match value {
        Value::Null => None,
        Value::String(text) => Some(text.as_bytes().clone()),
        Value::Bytes(bytes) => Some(bytes.clone()),
        Value::Json(json) => Some(json.text().clone()),
        other => Some(Bytes::from(java_text::value(other).into_owned())),
    };
    let (key, body) = (text(&record.key), text(&record.value).unwrap_or_default());
    if properties.write(now_ms, key.as_deref(), &record.extensions, record.timestamp_ms).is_err() {
        // Key or extensions may be what is bad about it.
        properties.write(now_ms, None, &Extensions::Empty, record.timestamp_ms)?;
    }
    Ok(Encoded { key, body: Body::Made(body), properties: properties.add(context)? })
}

/// The topic of a record: its extension `topic`, else its own, else the connector's.
pub(super) fn topic_name<'r>(record: &'r ConnectRecord, default: &'r Arc<str>) -> Cow<'r, str> {
    let filled = |name: &str| name.bytes().any(|byte| byte > b' ');
    if !record.extensions.is_empty()
        && let Some(text) = record.extensions.get("topic")
        && filled(&text.to_str())
    {
        return Cow::Owned(text.to_str().into_owned());
    }
    Cow::Borrowed(record.topic.as_deref().filter(|name| filled(name)).unwrap_or(default))
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use rmqc_core::position::RecordPartition;
    use rmqc_core::value::Text;

    use super::super::messages;
    use super::*;
    use crate::remoting::message::Message;
    use crate::remoting::unique_id::UniqueIds;

    fn stages() -> Stages {
        Stages::build(&Properties::new(), PropertiesWriter::new(UniqueIds::new(Ipv4Addr::LOCALHOST, 1, 2))).unwrap()
    }

    #[test]
    fn null_and_empty_texts_stay_what_they_are_on_their_way() {
        let (mut stages, back) = (stages(), messages::Stages::build(&Properties::new()).unwrap());
        for value in [Value::Null, Value::String(Text::from("")), Value::String(Text::from("x"))] {
            let record = ConnectRecord { value: value.clone(), ..ConnectRecord::default() };
            let Encoded { body, properties, .. } = stages.encode(&record, 0).unwrap();
            let message =
                Message { body: body.clone(), properties: Bytes::copy_from_slice(properties), ..Message::default() };
            let (topic, partition) = (Arc::from("t"), Arc::new(RecordPartition::default()));
            assert_eq!(back.convert(&topic, &partition, &message).unwrap().value, value);
        }
    }

    #[test]
    fn an_extension_names_the_topic_before_the_record_and_the_connector() {
        let default: Arc<str> = Arc::from("connector's");
        let mut record = ConnectRecord::default();
        assert_eq!(topic_name(&record, &default), "connector's");
        record.topic = Some(Arc::from("own"));
        assert_eq!(topic_name(&record, &default), "own");
        record.extensions.set("topic", " ");
        assert_eq!(topic_name(&record, &default), "own");
        record.extensions.set("topic", "extension's");
        assert_eq!(topic_name(&record, &default), "extension's");
    }

    #[test]
    fn what_no_message_can_hold_is_a_bad_record() {
        let value = Value::Bytes(Bytes::from(vec![0; MESSAGE_BODY_BYTES_MAX + 1]));
        let error = stages().encode(&ConnectRecord { value, ..ConnectRecord::default() }, 0).err().unwrap();
        assert_eq!((error.stage(), error.retry()), (Stage::Send, rmqc_core::error::Retry::BadRecord));
    }

    #[test]
    fn a_letter_goes_without_the_key_that_made_it_one() {
        let record = ConnectRecord { key: Value::text("a\u{1}b"), value: Value::text("v"), ..ConnectRecord::default() };
        assert!(stages().encode(&record, 0).is_err());
        let mut stages = stages();
        let letter = stages.letter(&record, &[("__connect.errors.stage", "CONVERTER".to_owned())], 0).unwrap();
        assert_eq!(*letter.body, "v");
        assert!(String::from_utf8_lossy(letter.properties).contains("__connect.errors.stage\u{1}CONVERTER"));
    }
}
