//! `RecordIsTombstone`: the record's value is null.

use super::Predicate;
use crate::config::Properties;
use crate::config::key::ConfigErrors;
use crate::error::Result;
use crate::record::ConnectRecord;
use crate::registry::PredicateFactory;

struct RecordIsTombstone;

impl Predicate for RecordIsTombstone {
    fn test(&self, record: &ConnectRecord) -> Result<bool> {
        Ok(record.value.is_null())
    }
}

fn build(_config: &Properties) -> Result<Box<dyn Predicate>, ConfigErrors> {
    Ok(Box::new(RecordIsTombstone))
}

inventory::submit! {
    PredicateFactory {
        name: "record-is-tombstone",
        java_class: "org.apache.kafka.connect.transforms.predicates.RecordIsTombstone",
        doc: "Holds for records without a value.",
        keys: &[],
        build,
    }
}
