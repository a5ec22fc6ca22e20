//! A record's key or value, and the kinds it can have.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use bigdecimal::BigDecimal;
use bytes::Bytes;

use crate::json::Json;
use crate::schema::{Field, Schema};

mod unique;

/// Text as it came from outside: bytes that should be UTF-8.
///
/// They are not checked until someone looks ([`Text::to_str`]), so that a record that only passes through keeps its
/// very bytes. Looking at malformed text replaces what is malformed, as the Java runtime's decoder does.
#[derive(Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Text(Bytes);

impl Text {
    /// Wraps bytes without looking at them.
    #[must_use]
    pub fn from_bytes(bytes: Bytes) -> Self {
        Self(bytes)
    }

    /// The bytes as they came.
    #[must_use]
    pub fn as_bytes(&self) -> &Bytes {
        &self.0
    }

    /// Gives the bytes away.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        self.0
    }

    /// The text, with U+FFFD in place of malformed parts.
    #[must_use]
    pub fn to_str(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.0)
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self(Bytes::copy_from_slice(text.as_bytes()))
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self(Bytes::from(text))
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.to_str(), f)
    }
}

/// A key or value. Cloning it clones handles, never payload bytes.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Value {
    /// No value; as a record's value: a tombstone.
    #[default]
    Null,
    /// Java `Boolean`.
    Boolean(bool),
    /// Java `Byte`.
    Int8(i8),
    /// Java `Short`.
    Int16(i16),
    /// Java `Integer`.
    Int32(i32),
    /// Java `Long`.
    Int64(i64),
    /// Java `Float`.
    Float32(f32),
    /// Java `Double`.
    Float64(f64),
    /// Java `String`.
    String(Text),
    /// Java `byte[]`.
    Bytes(Bytes),
    /// Java `BigDecimal`: the logical type Decimal, and whole numbers beyond 64 bits.
    Decimal(Box<BigDecimal>),
    /// Java `java.util.Date`: milliseconds since 1970-01-01 UTC. The schema says whether it means a Date, a Time or a
    /// Timestamp; without a schema it is a Timestamp.
    Date(i64),
    /// Java `List`.
    Array(Arc<Vec<Value>>),
    /// Java `Map`, in its order.
    Map(Arc<Map>),
    /// Java `Struct`.
    Struct(Arc<Struct>),
    /// A JSON object or array of a value without a schema, still as its text: a [`Value::Map`] with text keys, or a
    /// [`Value::Array`], that nobody has taken apart yet.
    Json(Json),
}

/// The pairs of a map, each key once, in the order in which they were put in.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Map(Vec<(Value, Value)>);

impl Map {
    /// An empty map with room for so many pairs.
    #[must_use]
    pub fn with_capacity(pairs: usize) -> Self {
        Self(Vec::with_capacity(pairs))
    }

    /// The value of a key that is a text.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.0.iter().find(|(known, _)| is_text(known, key)).map(|(_, value)| value)
    }

    /// The value of a key that is a text, to change.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Value> {
        self.0.iter_mut().find(|(known, _)| is_text(known, key)).map(|(_, value)| value)
    }

    /// Puts a pair in: at the place of the same key, else at the end. Gives the value that was there.
    pub fn insert(&mut self, key: Value, value: Value) -> Option<Value> {
        match self.0.iter_mut().find(|(known, _)| *known == key) {
            Some((_, old)) => Some(std::mem::replace(old, value)),
            None => {
                self.0.push((key, value));
                None
            }
        }
    }

    /// Takes out the pair of a key that is a text.
    pub fn remove(&mut self, key: &str) -> Option<Value> {
        let at = self.0.iter().position(|(known, _)| is_text(known, key))?;
        Some(self.0.remove(at).1)
    }

    /// All pairs, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &(Value, Value)> {
        self.0.iter()
    }

    /// Number of pairs.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether all keys are texts.
    #[must_use]
    pub fn has_text_keys(&self) -> bool {
        self.0.iter().all(|(key, _)| matches!(key, Value::String(_)))
    }
}

fn is_text(value: &Value, text: &str) -> bool {
    matches!(value, Value::String(known) if known.as_bytes() == text.as_bytes())
}

impl Map {
    /// Of pairs with the same key the last value stays, at the first one's place.
    #[must_use]
    pub fn from_pairs(pairs: Vec<(Value, Value)>) -> Self {
        Self(unique::unique(pairs))
    }
}

impl FromIterator<(Value, Value)> for Map {
    /// Of pairs with the same key the last value stays, at the first one's place.
    fn from_iter<I: IntoIterator<Item = (Value, Value)>>(pairs: I) -> Self {
        Self::from_pairs(pairs.into_iter().collect())
    }
}

/// The values of a struct's fields, in the order of its schema's fields.
#[derive(Clone, Debug, PartialEq)]
pub struct Struct {
    schema: Arc<Schema>,
    values: Vec<Value>,
}

impl Struct {
    /// A struct of a schema of type STRUCT; missing values are null, values beyond its fields are left out.
    #[must_use]
    pub fn new(schema: Arc<Schema>, mut values: Vec<Value>) -> Self {
        values.resize(schema.fields.len(), Value::Null);
        Self { schema, values }
    }

    /// Its schema.
    #[must_use]
    pub fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    /// The values, in the order of the schema's fields.
    #[must_use]
    pub fn values(&self) -> &[Value] {
        &self.values
    }

    /// Value of a field; `None` when there is no such field. A null of a field with a default reads as that default, as
    /// with Java's `Struct.get`.
    #[must_use]
    pub fn get(&self, field: &str) -> Option<&Value> {
        let index = self.schema.field_index(field)?;
        let value = self.values.get(index)?;
        match value {
            Value::Null => {
                self.schema.fields.get(index).and_then(|field| field.schema.default.as_ref()).or(Some(value))
            }
            _ => Some(value),
        }
    }

    /// Fields and values, in order; nulls as they are.
    pub fn iter(&self) -> impl Iterator<Item = (&Field, &Value)> {
        self.schema.fields.iter().zip(&self.values)
    }
}

impl Value {
    /// Text.
    pub fn text(text: impl Into<Text>) -> Self {
        Self::String(text.into())
    }

    /// A list.
    #[must_use]
    pub fn array(values: Vec<Self>) -> Self {
        Self::Array(Arc::new(values))
    }

    /// The kind's name, for error messages.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Boolean(_) => "boolean",
            Self::Int8(_) => "int8",
            Self::Int16(_) => "int16",
            Self::Int32(_) => "int32",
            Self::Int64(_) => "int64",
            Self::Float32(_) => "float32",
            Self::Float64(_) => "float64",
            Self::String(_) => "string",
            Self::Bytes(_) => "bytes",
            Self::Decimal(_) => "decimal",
            Self::Date(_) => "date",
            Self::Array(_) => "array",
            Self::Map(_) => "map",
            Self::Struct(_) => "struct",
            Self::Json(json) if json.is_object() => "map",
            Self::Json(_) => "array",
        }
    }

    /// Whether there is no value.
    #[must_use]
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// The same value with its outermost JSON text taken apart: never [`Value::Json`] itself; what lies deeper is taken
    /// apart too.
    #[must_use]
    pub fn into_parsed(self) -> Self {
        match self {
            Self::Json(json) => json.parse(),
            other => other,
        }
    }
}
