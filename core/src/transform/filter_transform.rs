//! `FilterTransform`, the sample of the Java file connector: appends `:filter` to the value's text.
//!
//! As in Java: any value is taken by its text. Not as in Java: a value that was no text gets the schema of a text.

use std::sync::Arc;

use super::{Outcome, Transform, TransformConfig};
use crate::config::key::ConfigErrors;
use crate::error::Result;
use crate::java_text;
use crate::record::ConnectRecord;
use crate::registry::TransformFactory;
use crate::schema::{FieldType, Schema};
use crate::value::{Text, Value};

const ENDING: &str = ":filter";

struct FilterTransform;

impl Transform for FilterTransform {
    fn apply(&self, record: &mut ConnectRecord) -> Result<Outcome> {
        let bytes = match &record.value {
            Value::Null => return Ok(Outcome::Keep),
            // The very bytes, whatever they are.
            Value::String(text) => [text.as_bytes(), ENDING.as_bytes()].concat(),
            other => {
                record.schema = Some(Arc::new(Schema::optional(FieldType::String)));
                format!("{}{ENDING}", java_text::value(other)).into_bytes()
            }
        };
        record.value = Value::String(Text::from_bytes(bytes.into()));
        Ok(Outcome::Keep)
    }
}

fn build(_config: &TransformConfig) -> Result<Box<dyn Transform>, ConfigErrors> {
    Ok(Box::new(FilterTransform))
}

inventory::submit! {
    TransformFactory {
        name: "filter-transform",
        java_class: "org.apache.rocketmq.connect.file.FilterTransform",
        aliases: &[],
        targets: false,
        doc: "Appends `:filter` to the value's text: a sample.",
        keys: &[],
        build,
    }
}
