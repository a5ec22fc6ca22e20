//! A transform, a predicate, a converter and a config provider.

use rmqc_fast::bytes::Bytes;
use rmqc_fast::prelude::*;

/// Writes text values in capitals.
struct Shout;

impl Transform for Shout {
    fn apply(&self, record: &mut ConnectRecord) -> Result<Outcome> {
        if let Value::String(text) = &record.value {
            record.value = Value::text(text.to_str().to_uppercase());
        }
        Ok(Outcome::Keep)
    }
}

register! {
    TransformFactory {
        name: "shout",
        java_class: "com.example.Shout",
        aliases: &[],
        targets: false,
        doc: "Writes text values in capitals.",
        keys: &[],
        build: |_| Ok(Box::new(Shout)),
    }
}

const BYTES: ConfigKey = ConfigKey {
    name: "bytes",
    aliases: &[],
    kind: KeyKind::Integer { min: 1, max: 4 * 1024 * 1024 },
    default: Some("1024"),
    unit: "bytes",
    doc: "Least size of a large value.",
};

/// Whether a text value has at least so many bytes.
struct IsLarge {
    bytes_min: i64,
}

impl Predicate for IsLarge {
    fn test(&self, record: &ConnectRecord) -> Result<bool> {
        match &record.value {
            Value::String(text) => Ok(i64::try_from(text.as_bytes().len()).unwrap_or(i64::MAX) >= self.bytes_min),
            other => {
                Err(ConnectError::bad_record(Stage::Transform, format!("{} has no size; give texts", other.kind())))
            }
        }
    }
}

register! {
    PredicateFactory {
        name: "is-large",
        java_class: "com.example.IsLarge",
        doc: "Holds for text values of at least so many bytes.",
        keys: &[BYTES],
        build: |properties| Ok(Box::new(IsLarge { bytes_min: BYTES.integer(properties) })),
    }
}

/// Texts back to front.
struct Reversed;

impl Converter for Reversed {
    fn encode(&self, _topic: &str, _schema: Option<&Schema>, value: &Value) -> Result<Option<Bytes>> {
        match value {
            Value::Null => Ok(None),
            Value::String(text) => Ok(Some(text.as_bytes().iter().rev().copied().collect())),
            other => Err(ConnectError::bad_record(Stage::Convert, format!("{} can't be reversed", other.kind()))),
        }
    }

    fn decode(&self, _topic: &str, bytes: Option<Bytes>) -> Result<SchemaAndValue> {
        let Some(bytes) = bytes else { return Ok(SchemaAndValue::default()) };
        let text: Bytes = bytes.iter().rev().copied().collect();
        Ok(SchemaAndValue { schema: None, value: Value::String(Text::from_bytes(text)) })
    }
}

register! {
    ConverterFactory {
        name: "reversed",
        java_class: "com.example.ReversedConverter",
        doc: "Texts back to front.",
        keys: &[],
        build: |_| Ok(Box::new(Reversed)),
    }
}

/// `${upper:WORD}` stands for the word in capitals.
struct Upper;

impl ConfigProvider for Upper {
    fn value(&self, _path: &str, key: &str) -> Result<String, ProviderError> {
        if key.is_empty() {
            return Err(ProviderError::new("${upper:} names no word", "write ${upper:WORD}"));
        }
        Ok(key.to_uppercase())
    }
}

register! {
    ProviderFactory {
        name: "upper",
        doc: "The key itself in capitals.",
        build: |_| Box::new(Upper),
    }
}
