//! The control plane's own calls to the cluster: brokers, routes, topics. One port, implemented by `io`.

use crate::command::SendFuture;

/// Why a call to the cluster failed: what was asked, of whom, and what came back.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ClusterError(pub String);

/// A master broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MasterBroker {
    /// Broker name.
    pub name: String,
    /// `host:port`.
    pub address: String,
}

/// A topic's queues on one broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicQueues {
    /// Broker name.
    pub broker: String,
    /// Readable queues.
    pub read_queues: u32,
    /// Writable queues.
    pub write_queues: u32,
}

/// Asks and changes the cluster. Every call has its own deadline inside; dropping a call's future gives it up.
pub trait ClusterPort: Send + Sync {
    /// Masters of all clusters that the name servers know.
    fn masters(&self) -> SendFuture<'_, Result<Vec<MasterBroker>, ClusterError>>;
    /// Queues of a topic; `None` when the name servers know no such topic.
    fn topic_queues(&self, topic: &str) -> SendFuture<'_, Result<Option<Vec<TopicQueues>>, ClusterError>>;
    /// Creates a topic on all masters of all clusters, or changes its number of queues.
    fn create_topic(&self, topic: &str, queues: u32) -> SendFuture<'_, Result<(), ClusterError>>;
}
