//! `ByteArrayConverter`: bytes as they are.

use std::sync::Arc;

use bytes::Bytes;

use super::{Converter, SchemaAndValue, put_schema};
use crate::config::Properties;
use crate::config::key::ConfigErrors;
use crate::error::{ConnectError, Result, Stage};
use crate::registry::ConverterFactory;
use crate::schema::{FieldType, Schema};
use crate::value::Value;

const CLASS: &str = "org.apache.rocketmq.connect.runtime.converter.record.ByteArrayConverter";

struct ByteArrayConverter {
    schema: Arc<Schema>,
}

impl Converter for ByteArrayConverter {
    fn encode(&self, topic: &str, schema: Option<&Schema>, value: &Value) -> Result<Option<Bytes>> {
        if let Some(schema) = schema.filter(|schema| schema.field_type != FieldType::Bytes) {
            let what = format!("topic {topic}: ByteArrayConverter needs a BYTES schema, not {:?}", schema.field_type);
            return Err(ConnectError::bad_record(Stage::Convert, what).in_class(CLASS));
        }
        match value {
            Value::Null => Ok(None),
            Value::Bytes(bytes) => Ok(Some(bytes.clone())),
            other => {
                let what = format!("topic {topic}: ByteArrayConverter needs a bytes value, not {}", other.kind());
                Err(ConnectError::bad_record(Stage::Convert, what).in_class(CLASS))
            }
        }
    }

    fn own_bytes<'v>(&self, schema: Option<&Schema>, value: &'v Value) -> Option<&'v Bytes> {
        match value {
            Value::Bytes(bytes) if schema.is_none_or(|schema| schema.field_type == FieldType::Bytes) => Some(bytes),
            _ => None,
        }
    }

    fn decode(&self, _topic: &str, bytes: Option<Bytes>) -> Result<SchemaAndValue> {
        Ok(SchemaAndValue { schema: Some(self.schema.clone()), value: bytes.map_or(Value::Null, Value::Bytes) })
    }

    fn decode_into(
        &self,
        _topic: &str,
        bytes: Option<Bytes>,
        schema: &mut Option<Arc<Schema>>,
        value: &mut Value,
    ) -> Result<()> {
        put_schema(schema, &self.schema);
        *value = bytes.map_or(Value::Null, Value::Bytes);
        Ok(())
    }
}

fn build(_config: &Properties) -> Result<Box<dyn Converter>, ConfigErrors> {
    Ok(Box::new(ByteArrayConverter { schema: Arc::new(Schema::optional(FieldType::Bytes)) }))
}

inventory::submit! {
    ConverterFactory {
        name: "bytes",
        java_class: CLASS,
        doc: "Bytes as they are.",
        keys: &[],
        build,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Retry;

    #[test]
    fn bytes_pass_and_text_is_refused() {
        let converter = build(&Properties::new()).unwrap();
        let value = Value::Bytes(Bytes::from_static(b"\x00\xff"));
        assert_eq!(converter.encode("t", None, &value).unwrap().unwrap(), Bytes::from_static(b"\x00\xff"));
        let error = converter.encode("t", None, &Value::String("x".into())).unwrap_err();
        assert_eq!((error.retry(), error.class()), (Retry::BadRecord, Some(CLASS)));
        let schema = Schema::optional(FieldType::String);
        assert_eq!(converter.encode("t", Some(&schema), &value).unwrap_err().retry(), Retry::BadRecord);
        assert_eq!(converter.encode("t", None, &Value::Null).unwrap(), None);
        let decoded = converter.decode("t", Some(Bytes::new())).unwrap();
        assert_eq!((decoded.value, decoded.schema.unwrap().field_type), (Value::Bytes(Bytes::new()), FieldType::Bytes));
    }
}
