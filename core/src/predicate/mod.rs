//! Predicates: whether a transform applies to a record. One built-in a file.

mod has_header_key;
mod record_is_tombstone;
mod topic_name_matches;

#[cfg(test)]
mod tests;

use crate::error::Result;
use crate::record::ConnectRecord;

/// Looks at a record and says yes or no.
pub trait Predicate {
    /// Whether it holds for the record.
    ///
    /// # Errors
    /// A record about which it can't say (`Retry::BadRecord`), stage [`crate::error::Stage::Transform`].
    fn test(&self, record: &ConnectRecord) -> Result<bool>;
}
