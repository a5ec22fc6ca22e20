//! What a task gets to know and may ask of its worker.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use crate::config::Properties;
use crate::error::{ConnectError, Result, Retry};
use crate::host::Host;
use crate::id::TaskId;
use crate::position::{RecordPartition, StoredPosition};

/// A task's surroundings: who it is, its configuration, the committed positions, and the outside world.
#[derive(Clone)]
pub struct TaskContext {
    /// Who the task is.
    pub task: TaskId,
    /// The task's own configuration: the connector's keys and what the connector added for this task.
    pub config: Arc<Properties>,
    /// The connector's committed positions when the task started. Empty for sinks.
    pub positions: Arc<Vec<StoredPosition>>,
    /// The outside world.
    pub host: Rc<dyn Host>,
    /// Where a sink reports bad records one by one.
    pub errant: Rc<ErrantRecords>,
}

/// The bad records of a sink's put, reported one by one. The runtime looks at it after every [`SinkTask::put`].
///
/// [`SinkTask::put`]: crate::connector::SinkTask::put
#[derive(Debug, Default)]
pub struct ErrantRecords {
    tolerant: Cell<bool>,
    reported: RefCell<Vec<(usize, ConnectError)>>,
    stopped_at: Cell<Option<usize>>,
}

impl ErrantRecords {
    /// A list for a task that may give bad records up, or must not.
    #[must_use]
    pub fn new(tolerant: bool) -> Self {
        Self { tolerant: Cell::new(tolerant), ..Self::default() }
    }

    /// Reports that the record at `index` of the slice given to `put` is bad. `Ok`: leave it out and go on with the
    /// next; the runtime writes its dead letter.
    ///
    /// # Errors
    /// The task may not give records up: accept the records before this one, none after it, and return this error from
    /// `put`.
    pub fn report(&self, index: usize, error: ConnectError) -> Result<()> {
        if !self.tolerant.get() || error.retry() != Retry::BadRecord {
            self.stopped_at.set(Some(index));
            return Err(error);
        }
        self.reported.borrow_mut().push((index, error));
        Ok(())
    }

    /// Takes what was reported since the last call, in the order of the reports.
    #[must_use]
    pub fn take(&self) -> Vec<(usize, ConnectError)> {
        self.reported.take()
    }

    /// Takes the index of the record at which the task has to stop, if one was reported so.
    #[must_use]
    pub fn take_stop(&self) -> Option<usize> {
        self.stopped_at.take()
    }
}

impl TaskContext {
    /// The committed offset of one partition, if there is one.
    #[must_use]
    pub fn stored_offset(&self, partition: &RecordPartition) -> Option<&StoredPosition> {
        self.positions.iter().find(|stored| stored.partition == *partition)
    }
}
