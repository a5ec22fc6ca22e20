//! Converters: bytes on the wire ↔ schema and value.

mod bytes;
mod string;

use std::sync::Arc;

use ::bytes::Bytes;

use crate::error::Result;
use crate::schema::Schema;
use crate::value::Value;

/// A value with its shape, as a converter decodes it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SchemaAndValue {
    /// Shape, if the converter knows it.
    pub schema: Option<Arc<Schema>>,
    /// Value.
    pub value: Value,
}

/// Turns values into message bytes and back. Both ways hand handles on where the form allows it, without copying.
pub trait Converter {
    /// Bytes of a value; `None` for null.
    ///
    /// # Errors
    /// A value of a kind that this form can't hold (`Retry::BadRecord`).
    fn encode(&self, topic: &str, schema: Option<&Schema>, value: &Value) -> Result<Option<Bytes>>;

    /// Value of bytes; `None` gives null.
    ///
    /// # Errors
    /// Malformed bytes (`Retry::BadRecord`).
    fn decode(&self, topic: &str, bytes: Option<Bytes>) -> Result<SchemaAndValue>;
}
