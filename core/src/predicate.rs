//! Predicates: whether a transform applies to a record.

use crate::record::ConnectRecord;

/// Looks at a record and says yes or no.
pub trait Predicate {
    /// Whether it holds for the record.
    fn test(&self, record: &ConnectRecord) -> bool;
}
