//! From values to payload text, by their schema.

use bigdecimal::BigDecimal;
use bytes::Bytes;

use super::DecimalFormat;
use super::decode::Reader;
use super::fault::Fault;
use super::logical;
use crate::java_text;
use crate::json::{self, Json, write_base64, write_display, write_string};
use crate::limits::ENCODED_BYTES_MAX;
use crate::schema::{FieldType, Logical, Schema};
use crate::value::{Struct, Value};

/// Writes the payload of values.
pub(super) struct Writer<'o> {
    pub out: &'o mut Vec<u8>,
    pub decimals: DecimalFormat,
}

impl Writer<'_> {
    /// Writes a value that may have so many levels of lists and objects.
    pub fn value(&mut self, schema: &Schema, value: &Value, levels: usize) -> Result<(), Fault> {
        if self.out.len() > ENCODED_BYTES_MAX {
            return Err(Fault::new(format!("the value takes more than {ENCODED_BYTES_MAX} bytes")));
        }
        match (schema.field_type, value) {
            (_, Value::Null) => self.null(schema, levels),
            (_, Value::Json(json)) => self.text(schema, json, levels),
            (FieldType::Array, Value::Array(values)) => self.list(schema, values, inner(levels)?),
            (FieldType::Map, Value::Map(map)) => {
                let key = schema.key_schema.as_deref().ok_or_else(|| Fault::new("the map's schema has no keys"))?;
                if key.field_type == FieldType::String {
                    self.object(schema, map.iter(), inner(levels)?)
                } else {
                    self.pairs(schema, key, map.iter(), inner(inner(levels)?)?)
                }
            }
            (FieldType::Struct, Value::Struct(fields)) => self.structure(schema, fields, inner(levels)?),
            _ => self.flat(schema, value),
        }
    }

    fn null(&mut self, schema: &Schema, levels: usize) -> Result<(), Fault> {
        match &schema.default {
            Some(default) if !default.is_null() => self.value(schema, default, levels),
            _ if schema.optional => {
                self.out.extend_from_slice(b"null");
                Ok(())
            }
            _ => Err(Fault::new("null, but the schema requires a value and has no default")),
        }
    }

    /// A value that is still JSON text must fit the schema too.
    fn text(&mut self, schema: &Schema, json: &Json, levels: usize) -> Result<(), Fault> {
        let value = Reader::new(json.text(), 0).value(&schema.clone().into()).map_err(Fault::without_position)?;
        self.value(schema, &value, levels)
    }

    fn list(&mut self, schema: &Schema, values: &[Value], levels: usize) -> Result<(), Fault> {
        let element = schema.value_schema.as_deref().ok_or_else(|| Fault::new("the array's schema has no items"))?;
        self.out.push(b'[');
        for (index, value) in values.iter().enumerate() {
            self.separate(index);
            self.value(element, value, levels).map_err(|fault| fault.in_item(index))?;
        }
        self.out.push(b']');
        Ok(())
    }

    fn object<'v>(
        &mut self,
        schema: &Schema,
        pairs: impl Iterator<Item = &'v (Value, Value)>,
        levels: usize,
    ) -> Result<(), Fault> {
        let values = value_schema(schema)?;
        self.out.push(b'{');
        for (index, (key, value)) in pairs.enumerate() {
            self.separate(index);
            let Value::String(name) = key else {
                let what = format!("expected a text as the map's key, not {}", key.kind());
                return Err(Fault::new(what).in_item(index));
            };
            let name = name.to_str();
            write_string(self.out, &name);
            self.out.push(b':');
            self.value(values, value, levels).map_err(|fault| fault.in_member(&name))?;
        }
        self.out.push(b'}');
        Ok(())
    }

    fn pairs<'v>(
        &mut self,
        schema: &Schema,
        keys: &Schema,
        pairs: impl Iterator<Item = &'v (Value, Value)>,
        levels: usize,
    ) -> Result<(), Fault> {
        let values = value_schema(schema)?;
        self.out.push(b'[');
        for (index, (key, value)) in pairs.enumerate() {
            self.separate(index);
            self.out.push(b'[');
            self.value(keys, key, levels).map_err(|fault| fault.in_item(0).in_item(index))?;
            self.out.push(b',');
            self.value(values, value, levels).map_err(|fault| fault.in_item(1).in_item(index))?;
            self.out.push(b']');
        }
        self.out.push(b']');
        Ok(())
    }

    fn structure(&mut self, schema: &Schema, value: &Struct, levels: usize) -> Result<(), Fault> {
        let own = value.schema();
        if !std::ptr::eq(&raw const **own, schema) && (own.name != schema.name || own.fields != schema.fields) {
            return Err(Fault::new("the struct has another schema than the one declared here"));
        }
        self.out.push(b'{');
        for (index, (field, value)) in value.iter().enumerate() {
            self.separate(index);
            write_string(self.out, &field.name);
            self.out.push(b':');
            self.value(&field.schema, value, levels).map_err(|fault| fault.in_member(&field.name))?;
        }
        self.out.push(b'}');
        Ok(())
    }

    fn flat(&mut self, schema: &Schema, value: &Value) -> Result<(), Fault> {
        if let Some(logical) = schema.logical_type() {
            return self.logical(schema, logical, value);
        }
        match (schema.field_type, value) {
            (FieldType::Boolean, Value::Boolean(true)) => self.out.extend_from_slice(b"true"),
            (FieldType::Boolean, Value::Boolean(false)) => self.out.extend_from_slice(b"false"),
            (FieldType::Float32, Value::Float32(number)) | (FieldType::Float64, Value::Float32(number)) => {
                self.float(number.is_finite(), || java_text::float(*number));
            }
            (FieldType::Float64, Value::Float64(number)) => {
                self.float(number.is_finite(), || java_text::double(*number));
            }
            (FieldType::String, Value::String(text)) => write_string(self.out, &text.to_str()),
            (FieldType::Bytes, Value::Bytes(bytes)) => write_base64(self.out, bytes),
            (kind, value) => match (range(kind), whole(value)) {
                (Some(range), Some(number)) if range.contains(&number) => write_display(self.out, number),
                (Some(_), Some(_)) => return Err(Fault::new(format!("a number beyond {}", kind.java_name()))),
                _ => return Err(unfit(kind.java_name(), value)),
            },
        }
        Ok(())
    }

    /// A number with a fraction; what JSON has no form for is null, as with Java.
    fn float(&mut self, finite: bool, text: impl FnOnce() -> String) {
        if finite {
            self.out.extend_from_slice(text().as_bytes());
        } else {
            self.out.extend_from_slice(b"null");
        }
    }

    fn logical(&mut self, schema: &Schema, logical: Logical, value: &Value) -> Result<(), Fault> {
        match (logical, value) {
            (Logical::Date, Value::Date(time_ms)) => write_display(self.out, logical::days_of(*time_ms)?),
            (Logical::Time, Value::Date(time_ms)) => write_display(self.out, logical::check_time(*time_ms)?),
            (Logical::Timestamp, Value::Date(time_ms)) => write_display(self.out, time_ms),
            (Logical::Decimal, Value::Decimal(number)) => {
                let scale = logical::scale_of(schema)?;
                let unscaled = logical::unscaled(number, scale)?;
                match self.decimals {
                    DecimalFormat::Base64 => write_base64(self.out, &unscaled.to_signed_bytes_be()),
                    DecimalFormat::Numeric => self.number(java_text::decimal(&BigDecimal::new(unscaled, scale)))?,
                }
            }
            (_, value) => return Err(unfit(&format!("logical {logical:?}"), value)),
        }
        Ok(())
    }

    /// A Decimal as a number, if whoever reads it takes such a number.
    fn number(&mut self, text: String) -> Result<(), Fault> {
        let text = Bytes::from(text);
        if json::decode(text.clone()).is_err() {
            return Err(Fault::new("a Decimal beyond the numbers of JSON, for which decimal.format BASE64 has a form"));
        }
        self.out.extend_from_slice(&text);
        Ok(())
    }

    fn separate(&mut self, index: usize) {
        if index > 0 {
            self.out.push(b',');
        }
    }
}

fn value_schema(schema: &Schema) -> Result<&Schema, Fault> {
    schema.value_schema.as_deref().ok_or_else(|| Fault::new("the map's schema has no values"))
}

/// One level less, for what lies inside.
fn inner(levels: usize) -> Result<usize, Fault> {
    levels.checked_sub(1).ok_or_else(|| Fault::new("lists and objects lie too deep inside each other"))
}

fn unfit(expected: &str, value: &Value) -> Fault {
    Fault::new(format!("the schema says {expected}, the value is of kind {}", value.kind()))
}

/// The numbers of a whole type.
fn range(kind: FieldType) -> Option<std::ops::RangeInclusive<i64>> {
    Some(match kind {
        FieldType::Int8 => i64::from(i8::MIN)..=i64::from(i8::MAX),
        FieldType::Int16 => i64::from(i16::MIN)..=i64::from(i16::MAX),
        FieldType::Int32 => i64::from(i32::MIN)..=i64::from(i32::MAX),
        FieldType::Int64 => i64::MIN..=i64::MAX,
        _ => return None,
    })
}

/// The number of a whole value.
fn whole(value: &Value) -> Option<i64> {
    Some(match value {
        Value::Int8(number) => i64::from(*number),
        Value::Int16(number) => i64::from(*number),
        Value::Int32(number) => i64::from(*number),
        Value::Int64(number) => *number,
        _ => return None,
    })
}
