//! `JsonConverter`: JSON with the schema beside the value, or without.
//!
//! With a schema a value is converted by it, both ways; without one objects and arrays stay text. What Java's converter
//! takes in silence is an error here: an envelope without its parts, a null where the schema requires a value.

mod cache;
mod decode;
mod encode;
mod fault;
mod logical;
mod schema_text;

use std::cell::RefCell;
use std::sync::Arc;

use bytes::Bytes;

use self::cache::{ParsedSchemas, WrittenSchemas};
use self::decode::Reader;
use self::encode::Writer;
use self::fault::Fault;
use super::{Converter, SchemaAndValue};
use crate::config::Properties;
use crate::config::key::{ConfigErrors, ConfigKey, KeyKind};
use crate::error::{ConnectError, Result, Stage};
use crate::json::{Json, Malformed, decode as decode_json, position_in, write_value};
use crate::limits::JSON_DEPTH_MAX;
use crate::registry::ConverterFactory;
use crate::schema::Schema;
use crate::value::Value;

const CLASS: &str = "org.apache.rocketmq.connect.runtime.converter.record.json.JsonConverter";

const SCHEMAS_ENABLE: ConfigKey = ConfigKey {
    name: "schemas.enable",
    aliases: &[],
    kind: KeyKind::Boolean,
    default: Some("true"),
    unit: "",
    doc: "Whether a body is an object of `schema` and `payload`, or the payload alone.",
};
const CACHE_SIZE: ConfigKey = ConfigKey {
    name: "schemas.cache.size",
    aliases: &[],
    kind: KeyKind::Integer { min: 0, max: 1_000_000 },
    default: Some("1000"),
    unit: "schemas",
    doc: "How many schemas are kept ready, each way; 8 MiB of their text at most.",
};
const DECIMAL_FORMAT: ConfigKey = ConfigKey {
    name: "decimal.format",
    aliases: &[],
    kind: KeyKind::Choice(&["BASE64", "NUMERIC"]),
    default: Some("BASE64"),
    unit: "",
    doc: "How a Decimal is written: its bytes as base64, or a number. Both are read.",
};

/// How a Decimal is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum DecimalFormat {
    Base64,
    Numeric,
}

struct JsonConverter {
    envelope: bool,
    decimals: DecimalFormat,
    parsed: RefCell<ParsedSchemas>,
    written: RefCell<WrittenSchemas>,
}

/// An error of a body that has not the form it must have.
fn bad_body(topic: &str, what: &str) -> ConnectError {
    ConnectError::bad_record(Stage::Convert, format!("topic {topic}: {what}")).in_class(CLASS)
}

impl JsonConverter {
    fn schema_text(&self, topic: &str, schema: &Schema) -> Result<Bytes> {
        if let Some(text) = self.written.borrow().find(schema) {
            return Ok(text);
        }
        let mut out = Vec::new();
        let mut writer = Writer { out: &mut out, decimals: self.decimals };
        let written = writer.schema(schema, None, JSON_DEPTH_MAX.saturating_sub(1));
        written.map_err(|fault| fault.into_error(topic, "schema"))?;
        let text = Bytes::from(out);
        self.written.borrow_mut().keep(schema, text.clone());
        Ok(text)
    }

    fn write_payload(&self, out: &mut Vec<u8>, topic: &str, schema: Option<&Schema>, value: &Value) -> Result<()> {
        match schema {
            None => write_value(out, value).map_err(|error| bad_body(topic, &error.to_string())),
            Some(schema) => {
                let levels = JSON_DEPTH_MAX.saturating_sub(usize::from(self.envelope));
                let written = Writer { out, decimals: self.decimals }.value(schema, value, levels);
                written.map_err(|fault| fault.into_error(topic, "payload"))
            }
        }
    }

    fn read_envelope(&self, topic: &str, body: &Bytes, envelope: &Json) -> Result<SchemaAndValue> {
        let (mut schema, mut payload) = (None, None);
        for member in envelope.members() {
            if member.is_named("schema") {
                schema = Some(member.raw_value);
            } else if member.is_named("payload") {
                payload = Some(member.raw_value);
            }
        }
        let (Some(schema), Some(payload)) = (schema, payload) else {
            let missing = if schema.is_none() { "schema" } else { "payload" };
            let what = format!("the body is an object without a member {missing} (schemas.enable=true)");
            return Err(bad_body(topic, &what));
        };
        if schema == b"null" {
            return Ok(SchemaAndValue { schema: None, value: envelope.value_of(payload) });
        }
        let schema = self.read_schema(body, schema).map_err(|fault| fault.into_error(topic, "schema"))?;
        let start = position_in(body, payload).unwrap_or(body.len());
        let value = Reader::new(body, start).value(&schema).map_err(|fault| fault.into_error(topic, "payload"))?;
        Ok(SchemaAndValue { schema: Some(schema), value })
    }

    fn read_schema(&self, body: &Bytes, raw: &[u8]) -> Result<Arc<Schema>, Fault> {
        if let Some(schema) = self.parsed.borrow_mut().find(raw) {
            return Ok(schema);
        }
        // A copy, for a schema that is kept must not keep the whole body.
        let text = Bytes::copy_from_slice(raw);
        let parsed = schema_text::parse(&text);
        let schema = Arc::new(parsed.map_err(|fault| fault.behind(position_in(body, raw).unwrap_or(0)))?);
        self.parsed.borrow_mut().keep(text, &schema);
        Ok(schema)
    }
}

impl Converter for JsonConverter {
    fn encode(&self, topic: &str, schema: Option<&Schema>, value: &Value) -> Result<Option<Bytes>> {
        match (schema, value) {
            (None, Value::Null) => return Ok(None),
            (None, Value::Json(json)) if !self.envelope => return Ok(Some(json.text().clone())),
            _ => {}
        }
        let schema_text = match schema.filter(|_| self.envelope) {
            Some(schema) => self.schema_text(topic, schema)?,
            None => Bytes::from_static(b"null"),
        };
        let mut out = Vec::with_capacity(size_guess(value).saturating_add(schema_text.len()));
        if self.envelope {
            out.extend_from_slice(b"{\"schema\":");
            out.extend_from_slice(&schema_text);
            out.extend_from_slice(b",\"payload\":");
        }
        self.write_payload(&mut out, topic, schema, value)?;
        if self.envelope {
            out.push(b'}');
        }
        Ok(Some(Bytes::from(out)))
    }

    fn decode(&self, topic: &str, bytes: Option<Bytes>) -> Result<SchemaAndValue> {
        let Some(body) = bytes else { return Ok(SchemaAndValue::default()) };
        if body.is_empty() {
            return Err(bad_body(topic, "the body is empty, expected JSON"));
        }
        let malformed = |malformed: Malformed| bad_body(topic, &malformed.to_string());
        if !self.envelope {
            return Ok(SchemaAndValue { schema: None, value: decode_json(body).map_err(malformed)? });
        }
        match &decode_json(body.clone()).map_err(malformed)? {
            Value::Json(json) if json.is_object() => self.read_envelope(topic, &body, json),
            other => {
                let what = format!(
                    "the body is a JSON {}, expected an object of schema and payload (schemas.enable=true)",
                    other.kind()
                );
                Err(bad_body(topic, &what))
            }
        }
    }
}

/// About how many bytes a value's text has, with what stands around it.
fn size_guess(value: &Value) -> usize {
    let around = 64usize;
    around.saturating_add(match value {
        Value::String(text) => text.as_bytes().len(),
        Value::Bytes(bytes) => bytes.len().saturating_mul(4) / 3,
        Value::Json(json) => json.text().len(),
        Value::Array(values) => values.len().saturating_mul(16),
        Value::Map(map) => map.len().saturating_mul(32),
        Value::Struct(fields) => fields.values().len().saturating_mul(32),
        _ => 0,
    })
}

fn build(config: &Properties) -> Result<Box<dyn Converter>, ConfigErrors> {
    let cache_size = usize::try_from(CACHE_SIZE.integer(config)).unwrap_or(0);
    let numeric = DECIMAL_FORMAT.text(config).is_some_and(|text| text.eq_ignore_ascii_case("NUMERIC"));
    Ok(Box::new(JsonConverter {
        envelope: SCHEMAS_ENABLE.boolean(config),
        decimals: if numeric { DecimalFormat::Numeric } else { DecimalFormat::Base64 },
        parsed: RefCell::new(ParsedSchemas::new(cache_size)),
        written: RefCell::new(WrittenSchemas::new(cache_size)),
    }))
}

inventory::submit! {
    ConverterFactory {
        name: "json",
        java_class: CLASS,
        doc: "JSON, with the schema in each body or without.",
        keys: &[SCHEMAS_ENABLE, DECIMAL_FORMAT, CACHE_SIZE],
        build,
    }
}

#[cfg(test)]
mod tests;
