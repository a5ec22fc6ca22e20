//! Where a source stands in the outside system, and where a sink stands in a message queue.

use std::collections::BTreeMap;
use std::sync::Arc;

/// A member of a partition or offset map. Numbers are compared by value, whatever width they were stored with.
#[derive(Clone, Debug, PartialEq)]
pub enum Scalar {
    /// JSON null.
    Null,
    /// True or false.
    Boolean(bool),
    /// A whole number.
    Integer(i64),
    /// A number with a fraction or beyond 64 bits.
    Float(f64),
    /// Text: the only kind that is safe to share with the Java runtime.
    Text(String),
}

/// Names one independently read part of the outside system, e.g. `{"filename": "/data/in.txt"}`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RecordPartition(pub BTreeMap<String, Scalar>);

impl RecordPartition {
    /// A partition with one text member.
    pub fn single(name: &str, value: impl Into<String>) -> Self {
        Self(BTreeMap::from([(name.to_owned(), Scalar::Text(value.into()))]))
    }
}

/// How far a partition has been read: the state from which to go on *after* the record that carries it.
#[derive(Clone, Debug, PartialEq)]
pub enum RecordOffset {
    /// One member holding a counter, kept as a number on the way and stored as decimal text.
    Counter {
        /// The member's name, e.g. `nextPosition`.
        field: &'static str,
        /// The counter.
        value: u64,
    },
    /// Any other map.
    Map(Arc<BTreeMap<String, Scalar>>),
}

impl RecordOffset {
    /// The offset as the map that is stored.
    #[must_use]
    pub fn to_map(&self) -> BTreeMap<String, Scalar> {
        match self {
            Self::Counter { field, value } => BTreeMap::from([((*field).to_owned(), Scalar::Text(value.to_string()))]),
            Self::Map(map) => map.as_ref().clone(),
        }
    }
}

/// A record's place in the outside system: partition and offset.
#[derive(Clone, Debug, PartialEq)]
pub struct Position {
    /// The part of the outside system.
    pub partition: Arc<RecordPartition>,
    /// The place from which to go on after this record.
    pub offset: RecordOffset,
}

/// A committed place of one partition, as the store keeps it.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredPosition {
    /// The part of the outside system.
    pub partition: RecordPartition,
    /// The offset's members.
    pub offset: BTreeMap<String, Scalar>,
}
