//! `StringConverter`: text in UTF-8. Text that only passes through keeps its very bytes, well-formed or not.

use std::sync::Arc;

use bytes::Bytes;

use super::{Converter, SchemaAndValue};
use crate::config::Properties;
use crate::config::key::{ConfigError, ConfigErrors};
use crate::error::Result;
use crate::java_text;
use crate::registry::ConverterFactory;
use crate::schema::{FieldType, Schema};
use crate::value::{Text, Value};

struct StringConverter {
    schema: Arc<Schema>,
}

impl Converter for StringConverter {
    fn encode(&self, _topic: &str, _schema: Option<&Schema>, value: &Value) -> Result<Option<Bytes>> {
        Ok(match value {
            Value::Null => None,
            Value::String(text) => Some(text.as_bytes().clone()),
            Value::Bytes(bytes) => Some(bytes.clone()),
            other => Some(Bytes::from(java_text::value(other).into_owned())),
        })
    }

    fn decode(&self, _topic: &str, bytes: Option<Bytes>) -> Result<SchemaAndValue> {
        let value = bytes.map_or(Value::Null, |bytes| Value::String(Text::from_bytes(bytes)));
        Ok(SchemaAndValue { schema: Some(self.schema.clone()), value })
    }
}

fn build(config: &Properties) -> Result<Box<dyn Converter>, ConfigErrors> {
    for key in ["serializer.encoding", "deserializer.encoding"] {
        let encoding = config.get(key).map_or("UTF-8", |text| text.trim());
        if !["utf8", "utf-8"].iter().any(|known| known.eq_ignore_ascii_case(encoding)) {
            let message = format!("Config {key} is \"{encoding}\": this version knows UTF-8 only");
            return Err(ConfigError::new(key, message).into());
        }
    }
    Ok(Box::new(StringConverter { schema: Arc::new(Schema::optional(FieldType::String)) }))
}

inventory::submit! {
    ConverterFactory {
        name: "string",
        java_class: "org.apache.rocketmq.connect.runtime.converter.record.StringConverter",
        build,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_passes_through_without_a_copy() {
        let converter = build(&Properties::new()).unwrap();
        let bytes = Bytes::from(vec![b'a', 0xff, b'b']);
        let decoded = converter.decode("t", Some(bytes.clone())).unwrap();
        let encoded = converter.encode("t", None, &decoded.value).unwrap().unwrap();
        assert_eq!(encoded.as_ptr(), bytes.as_ptr());
        assert_eq!(converter.encode("t", None, &Value::Null).unwrap(), None);
    }

    #[test]
    fn unknown_encodings_are_refused() {
        let config = Properties::from([("serializer.encoding".to_owned(), "EBCDIC".to_owned())]);
        assert_eq!(build(&config).err().unwrap().0.first().unwrap().key, "serializer.encoding");
    }
}
