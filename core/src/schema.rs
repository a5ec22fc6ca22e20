//! The declared shape of a value.

use std::sync::Arc;

/// The kind of value a schema declares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FieldType {
    /// True or false.
    Boolean,
    /// 64-bit signed integer.
    Int64,
    /// 64-bit IEEE 754 number.
    Float64,
    /// Text.
    String,
    /// Bytes.
    Bytes,
}

/// The declared shape of a value. `name` is the schema's own name, e.g. `/data/in.txt_line`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schema {
    /// Kind of the value.
    pub field_type: FieldType,
    /// Name of the schema, if it has one.
    pub name: Option<Arc<str>>,
    /// Whether null is allowed.
    pub optional: bool,
}

impl Schema {
    /// An unnamed, optional schema of the given kind: what every simple converter answers.
    #[must_use]
    pub fn optional(field_type: FieldType) -> Self {
        Self { field_type, name: None, optional: true }
    }
}
