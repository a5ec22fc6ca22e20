//! A record's key or value, and the kinds it can have.

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;

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

/// A key or value. Structured kinds (array, map, struct) join with the JSON converter.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Value {
    /// No value; as a record's value: a tombstone.
    #[default]
    Null,
    /// Java `Boolean`.
    Boolean(bool),
    /// Java `Integer` or `Long`.
    Integer(i64),
    /// Java `Float` or `Double`.
    Float(f64),
    /// Java `String`.
    String(Text),
    /// Java `byte[]`.
    Bytes(Bytes),
}

impl Value {
    /// The kind's name, for error messages.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Boolean(_) => "boolean",
            Self::Integer(_) => "integer",
            Self::Float(_) => "float",
            Self::String(_) => "string",
            Self::Bytes(_) => "bytes",
        }
    }
}
