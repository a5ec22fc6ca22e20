//! Transforms: a record becomes another record, or none. One built-in a file.
//!
//! A transform of a value works alike on a STRUCT, on a MAP and on a map without a schema, whose JSON text it changes
//! in place where it can.

pub(crate) mod common;
mod date_format;
pub mod java_regex;
mod named_fields;
mod renaming;

mod cast;
mod change_case;
mod drop_headers;
mod extract_field;
mod extract_nested_field;
mod filter;
mod filter_transform;
mod flatten;
mod header_from;
mod hoist_field;
mod insert_field;
mod insert_header;
mod mask_field;
mod pattern_filter;
mod pattern_rename;
mod regex_router;
mod replace_field;
mod set_maximum_precision;
mod set_null;
mod set_schema_metadata;
mod timestamp_converter;
mod timestamp_router;
mod value_to_key;

#[cfg(test)]
mod kafka_testing;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use crate::config::Properties;
use crate::error::Result;
use crate::record::ConnectRecord;
use crate::schema::Schema;
use crate::value::Value;

/// What became of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It goes on.
    Keep,
    /// It is left out on purpose.
    Drop,
}

/// Changes a record, or drops it on purpose.
pub trait Transform {
    /// Changes the record. After an error it may be changed in part; nobody uses it then.
    ///
    /// # Errors
    /// A record that can't be transformed (`Retry::BadRecord`), stage [`crate::error::Stage::Transform`].
    fn apply(&self, record: &mut ConnectRecord) -> Result<Outcome>;
}

/// The half of a record that a transform works on: `$Key` or `$Value` at the end of its class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// Key and its schema.
    Key,
    /// Value and its schema.
    Value,
}

impl Target {
    /// The half, to look at.
    #[must_use]
    pub fn of(self, record: &ConnectRecord) -> (&Value, Option<&Arc<Schema>>) {
        match self {
            Self::Key => (&record.key, record.key_schema.as_ref()),
            Self::Value => (&record.value, record.schema.as_ref()),
        }
    }

    /// The half, to change.
    pub fn of_mut(self, record: &mut ConnectRecord) -> (&mut Value, &mut Option<Arc<Schema>>) {
        match self {
            Self::Key => (&mut record.key, &mut record.key_schema),
            Self::Value => (&mut record.value, &mut record.schema),
        }
    }
}

/// What a transform is built from.
#[derive(Clone, Debug)]
pub struct TransformConfig {
    /// Its own keys, prefix stripped, checked against its definitions.
    pub properties: Properties,
    /// The half of the record that its class names; always there when the factory's `targets` is true.
    pub target: Option<Target>,
}
