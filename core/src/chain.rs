//! The chain: transforms in order, between converter and task.

use crate::error::Result;
use crate::record::ConnectRecord;

/// Changes a record, or drops it on purpose.
pub trait Transform {
    /// The record to go on with; `None` when it is filtered out.
    ///
    /// # Errors
    /// A record that can't be transformed (`Retry::BadRecord`).
    fn apply(&self, record: ConnectRecord) -> Result<Option<ConnectRecord>>;
}

/// Transforms in their order. The empty chain hands every record on untouched and unseen.
#[derive(Default)]
pub struct Chain {
    steps: Vec<Box<dyn Transform>>,
}

impl Chain {
    /// A chain of the given steps.
    #[must_use]
    pub fn new(steps: Vec<Box<dyn Transform>>) -> Self {
        Self { steps }
    }

    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Applies all steps.
    ///
    /// # Errors
    /// The first step's that fails.
    pub fn apply(&self, record: ConnectRecord) -> Result<Option<ConnectRecord>> {
        let mut record = record;
        for step in &self.steps {
            match step.apply(record)? {
                Some(next) => record = next,
                None => return Ok(None),
            }
        }
        Ok(Some(record))
    }
}
