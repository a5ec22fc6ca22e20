//! From payload text to values, by their schema: one pass over text that was checked before.

use std::borrow::Cow;
use std::collections::HashMap;
use std::str::FromStr;
use std::sync::Arc;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bigdecimal::BigDecimal;
use bytes::Bytes;

use super::fault::Fault;
use super::logical;
use crate::json::{skip_blanks, skip_value, slice_of, string_end, text_of, text_value, unescape};
use crate::limits::CONVERTED_VALUES_MAX;
use crate::schema::{FieldType, Logical, Schema};
use crate::value::{Map, Struct, Text, Value};

/// As Java's: with or without `=` at the end.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);
/// Up to this many fields a struct's field is found by looking at each.
const FIELDS_FEW: usize = 32;
/// What a Decimal counts for in the bound on values: it can be about this much larger than another value.
const DECIMAL_WEIGHT: usize = 32;

/// Reads values from a body that is well formed.
pub(super) struct Reader<'b> {
    body: &'b Bytes,
    at: usize,
    /// How many more values may come out of this body. A small body of a large schema could give any number else, for
    /// each empty object becomes a struct of all its fields.
    values_left: usize,
}

impl<'b> Reader<'b> {
    /// Reads the value that begins at `at`.
    pub fn new(body: &'b Bytes, at: usize) -> Self {
        Self { body, at, values_left: CONVERTED_VALUES_MAX }
    }

    /// The next value, by its schema.
    pub fn value(&mut self, schema: &Arc<Schema>) -> Result<Value, Fault> {
        self.count(1)?;
        self.at = skip_blanks(self.body, self.at);
        let start = self.at;
        match (schema.field_type, self.body.get(start)) {
            (_, Some(b'n')) => {
                self.at = skip_value(self.body, start);
                self.missing(schema).map_err(|fault| fault.near(start))
            }
            (FieldType::Array, Some(b'[')) => self.list(schema),
            (FieldType::Map, Some(open @ (b'[' | b'{'))) => {
                let shapes = schema.key_schema.as_ref().zip(schema.value_schema.as_ref());
                let (keys, values) =
                    shapes.ok_or_else(|| Fault::at(start, "the map's schema has no keys or values"))?;
                match (keys.field_type == FieldType::String, open) {
                    (true, b'{') => self.object(values),
                    (false, b'[') => self.pairs(keys, values),
                    (true, _) => Err(Fault::at(start, "expected an object, for the map's keys are texts")),
                    (false, _) => Err(Fault::at(start, "expected a list of pairs, for the map's keys are no texts")),
                }
            }
            (FieldType::Struct, Some(b'{')) => self.structure(schema),
            (kind @ (FieldType::Array | FieldType::Map | FieldType::Struct), _) => {
                let raw = self.raw();
                let expected = if kind == FieldType::Array { "a list" } else { "an object" };
                Err(Fault::at(start, format!("expected {expected}, not {}", kind_of(raw))))
            }
            _ => {
                let raw = self.raw();
                flat(self.body, schema, raw).map_err(|fault| fault.near(start))
            }
        }
    }

    /// The text of the next value.
    fn raw(&mut self) -> &'b [u8] {
        let start = self.at;
        self.at = skip_value(self.body, start);
        self.body.get(start..self.at).unwrap_or_default()
    }

    /// What stands for a value that is not there.
    fn missing(&mut self, schema: &Schema) -> Result<Value, Fault> {
        match &schema.default {
            Some(default) => {
                if matches!(default, Value::Decimal(_)) {
                    self.count(DECIMAL_WEIGHT)?;
                }
                Ok(default.clone())
            }
            None if schema.optional => Ok(Value::Null),
            None => Err(Fault::new("null or missing, but the schema requires a value and has no default")),
        }
    }

    fn count(&mut self, values: usize) -> Result<(), Fault> {
        let left = self.values_left.checked_sub(values);
        let too_many = || Fault::at(self.at, format!("the body holds more than {CONVERTED_VALUES_MAX} values"));
        self.values_left = left.ok_or_else(too_many)?;
        Ok(())
    }

    /// Goes on to the next item or member: false behind the last one.
    fn next(&mut self) -> bool {
        self.at = skip_blanks(self.body, self.at);
        if self.body.get(self.at) == Some(&b',') {
            self.at = skip_blanks(self.body, self.at.saturating_add(1));
        }
        let more = !matches!(self.body.get(self.at), None | Some(b']' | b'}'));
        if !more {
            self.at = self.at.saturating_add(1).min(self.body.len());
        }
        more
    }

    /// The next member's raw name; its value comes next.
    fn name(&mut self) -> &'b [u8] {
        let start = self.at.saturating_add(1);
        let end = string_end::<false>(self.body, start).unwrap_or(self.body.len());
        self.at = skip_blanks(self.body, end).saturating_add(1);
        self.body.get(start..end.saturating_sub(1)).unwrap_or_default()
    }

    fn list(&mut self, schema: &Schema) -> Result<Value, Fault> {
        let no_items = || Fault::at(self.at, "the array's schema has no items");
        let element = schema.value_schema.as_ref().ok_or_else(no_items)?;
        self.at = self.at.saturating_add(1);
        let mut values = Vec::new();
        while self.next() {
            values.push(self.value(element).map_err(|fault| fault.in_item(values.len()))?);
        }
        Ok(Value::array(values))
    }

    fn object(&mut self, schema: &Arc<Schema>) -> Result<Value, Fault> {
        self.at = self.at.saturating_add(1);
        let mut pairs = Vec::new();
        while self.next() {
            let name = self.name();
            let value = self.value(schema).map_err(|fault| fault.in_member(&unescape(name)))?;
            pairs.push((Value::String(text_value(self.body, name)), value));
        }
        Ok(Value::Map(Arc::new(Map::from_pairs(pairs))))
    }

    fn pairs(&mut self, keys: &Arc<Schema>, values: &Arc<Schema>) -> Result<Value, Fault> {
        self.at = self.at.saturating_add(1);
        let mut pairs = Vec::new();
        while self.next() {
            let pair = self.pair(keys, values).map_err(|fault| fault.in_item(pairs.len()))?;
            pairs.push(pair);
        }
        Ok(Value::Map(Arc::new(Map::from_pairs(pairs))))
    }

    fn pair(&mut self, keys: &Arc<Schema>, values: &Arc<Schema>) -> Result<(Value, Value), Fault> {
        let start = self.at;
        let no_pair = || Fault::at(start, "expected a list of a key and a value");
        if self.body.get(start) != Some(&b'[') {
            return Err(no_pair());
        }
        self.at = start.saturating_add(1);
        let mut item = |schema, index| {
            if self.next() { self.value(schema).map_err(|fault| fault.in_item(index)) } else { Err(no_pair()) }
        };
        let pair = (item(keys, 0)?, item(values, 1)?);
        if self.next() { Err(no_pair()) } else { Ok(pair) }
    }

    fn structure(&mut self, schema: &Arc<Schema>) -> Result<Value, Fault> {
        let start = self.at;
        self.count(schema.fields.len())?;
        self.at = start.saturating_add(1);
        let mut values = vec![Value::Null; schema.fields.len()];
        let mut lookup = FieldLookup { schema, next: 0, table: None };
        while self.next() {
            let name = unescape(self.name());
            let found = lookup.find(&name);
            match found.and_then(|index| Some((schema.fields.get(index)?, values.get_mut(index)?))) {
                Some((field, value)) => {
                    *value = self.value(&field.schema).map_err(|fault| fault.in_member(&field.name))?;
                }
                None => {
                    self.at = skip_blanks(self.body, self.at);
                    self.raw();
                }
            }
        }
        for (field, value) in schema.fields.iter().zip(&mut values).filter(|(_, value)| value.is_null()) {
            *value = self.missing(&field.schema).map_err(|fault| fault.near(start).in_member(&field.name))?;
        }
        Ok(Value::Struct(Arc::new(Struct::new(schema.clone(), values))))
    }
}

/// Finds a struct's fields by name. Most texts have them in the schema's order.
struct FieldLookup<'s> {
    schema: &'s Schema,
    next: usize,
    table: Option<HashMap<&'s str, usize>>,
}

impl<'s> FieldLookup<'s> {
    fn find(&mut self, name: &str) -> Option<usize> {
        let fields = &self.schema.fields;
        let found = if fields.get(self.next).is_some_and(|field| &*field.name == name) {
            self.next
        } else if fields.len() <= FIELDS_FEW {
            self.schema.field_index(name)?
        } else {
            let table = || fields.iter().enumerate().map(|(index, field)| (&*field.name, index)).collect();
            let table: &mut HashMap<&'s str, usize> = self.table.get_or_insert_with(table);
            *table.get(name)?
        };
        self.next = found.saturating_add(1);
        Some(found)
    }
}

/// What a JSON text is, in words.
fn kind_of(raw: &[u8]) -> &'static str {
    match raw.first() {
        Some(b'{') => "an object",
        Some(b'[') => "a list",
        Some(b'"') => "a text",
        Some(b't' | b'f') => "true or false",
        Some(b'n') => "null",
        _ => "a number",
    }
}

fn is_number(raw: &[u8]) -> bool {
    matches!(raw.first(), Some(b'-' | b'0'..=b'9'))
}

/// A value that is neither list nor object, from its text.
fn flat(body: &Bytes, schema: &Schema, raw: &[u8]) -> Result<Value, Fault> {
    if let Some(logical) = schema.logical_type() {
        return logical_value(schema, logical, raw);
    }
    Ok(match schema.field_type {
        FieldType::Boolean => Value::Boolean(boolean(raw)?),
        FieldType::Int8 => Value::Int8(narrow(raw, "INT8")?),
        FieldType::Int16 => Value::Int16(narrow(raw, "INT16")?),
        FieldType::Int32 => Value::Int32(narrow(raw, "INT32")?),
        FieldType::Int64 => Value::Int64(whole(raw)?),
        FieldType::Float32 => Value::Float32(float(raw, "FLOAT32", f32::is_finite)?),
        FieldType::Float64 => Value::Float64(float(raw, "FLOAT64", f64::is_finite)?),
        FieldType::String => Value::String(match raw {
            [b'"', inner @ .., b'"'] => text_value(body, inner),
            _ => Text::from_bytes(slice_of(body, raw)),
        }),
        FieldType::Bytes => Value::Bytes(Bytes::from(base64(raw)?)),
        FieldType::Array | FieldType::Map | FieldType::Struct => {
            return Err(Fault::new(format!("expected a list or an object, not {}", kind_of(raw))));
        }
    })
}

fn boolean(raw: &[u8]) -> Result<bool, Fault> {
    let text = text_of(raw).unwrap_or_else(|| String::from_utf8_lossy(raw));
    match () {
        () if text.eq_ignore_ascii_case("true") => Ok(true),
        () if text.eq_ignore_ascii_case("false") => Ok(false),
        () => Err(Fault::new(format!("expected true or false, not {}", kind_of(raw)))),
    }
}

/// A whole number, or a text of one.
fn whole(raw: &[u8]) -> Result<i64, Fault> {
    let text = match text_of(raw) {
        Some(text) => text,
        None if is_number(raw) => String::from_utf8_lossy(raw),
        None => return Err(Fault::new(format!("expected a whole number, not {}", kind_of(raw)))),
    };
    text.parse().map_err(|_| Fault::new(format!("expected a whole number of 64 bits, not this {}", noun(raw))))
}

fn noun(raw: &[u8]) -> &'static str {
    if is_number(raw) { "number" } else { "text" }
}

fn narrow<T: TryFrom<i64>>(raw: &[u8], kind: &str) -> Result<T, Fault> {
    T::try_from(whole(raw)?).map_err(|_| Fault::new(format!("a number beyond {kind}")))
}

fn float<T: FromStr + Copy>(raw: &[u8], kind: &str, is_finite: impl Fn(T) -> bool) -> Result<T, Fault> {
    if !is_number(raw) {
        return Err(Fault::new(format!("expected a number, not {}", kind_of(raw))));
    }
    let number = String::from_utf8_lossy(raw).parse().ok().filter(|number| is_finite(*number));
    number.ok_or_else(|| Fault::new(format!("a number beyond {kind}")))
}

fn base64(raw: &[u8]) -> Result<Vec<u8>, Fault> {
    let text: Cow<'_, str> =
        text_of(raw).ok_or_else(|| Fault::new(format!("expected a text of base64, not {}", kind_of(raw))))?;
    BASE64.decode(text.as_bytes()).map_err(|error| Fault::new(format!("expected a text of base64: {error}")))
}

fn logical_value(schema: &Schema, logical: Logical, raw: &[u8]) -> Result<Value, Fault> {
    if logical != Logical::Decimal && !is_number(raw) {
        return Err(Fault::new(format!("expected a whole number for a {logical:?}, not {}", kind_of(raw))));
    }
    Ok(match logical {
        Logical::Date => Value::Date(logical::date_of(narrow(raw, "32 bits of days")?)),
        Logical::Time => Value::Date(logical::check_time(whole(raw)?)?),
        Logical::Timestamp => Value::Date(whole(raw)?),
        Logical::Decimal => {
            let scale = logical::scale_of(schema)?;
            let number = if is_number(raw) {
                let text = String::from_utf8_lossy(raw);
                let number = BigDecimal::from_str(&text);
                let number = number.map_err(|error| Fault::new(format!("not a Decimal's number: {error}")))?;
                BigDecimal::new(logical::unscaled(&number, scale)?, scale)
            } else {
                logical::decimal_of(&base64(raw)?, scale)?
            };
            Value::Decimal(Box::new(number))
        }
    })
}
