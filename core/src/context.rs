//! What a task gets to know and may ask of its worker.

use std::rc::Rc;
use std::sync::Arc;

use crate::config::Properties;
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
}

impl TaskContext {
    /// The committed offset of one partition, if there is one.
    #[must_use]
    pub fn stored_offset(&self, partition: &RecordPartition) -> Option<&StoredPosition> {
        self.positions.iter().find(|stored| stored.partition == *partition)
    }
}
