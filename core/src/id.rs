//! Identities. A validated or numbered thing has its own type, so that two integers never change places.

use std::fmt;
use std::sync::Arc;

/// Number of a shard inside one worker, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ShardId(pub u16);

impl ShardId {
    /// The shard's place in a per-shard table.
    #[must_use]
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

impl fmt::Display for ShardId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "shard-{}", self.0)
    }
}

/// One task of a connector. Displayed as `<connector>-<index>`, the form the Java runtime uses in its logs.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TaskId {
    /// Name of the connector, as given by the user.
    pub connector: Arc<str>,
    /// Index of the task inside the connector, from 0.
    pub index: u32,
}

impl TaskId {
    /// Joins a connector's name and a task's index.
    pub fn new(connector: impl Into<Arc<str>>, index: u32) -> Self {
        Self { connector: connector.into(), index }
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.connector, self.index)
    }
}

/// Counts the incarnations of one task: every start gets a larger one, and events of an older one are ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Generation(pub u64);

/// One message queue of a topic on one broker.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MessageQueue {
    /// Topic name.
    pub topic: Arc<str>,
    /// Broker name (not its address).
    pub broker: Arc<str>,
    /// Queue id, from 0.
    pub queue_id: i32,
}

impl fmt::Display for MessageQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}:{}", self.topic, self.broker, self.queue_id)
    }
}
