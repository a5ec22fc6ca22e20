//! The control plane's own calls to the cluster: brokers, routes, topics, groups, single messages. One port, implemented
//! by `io`.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::command::SendFuture;

/// Why a call to the cluster failed: what was asked, of whom, and what came back.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ClusterError(pub String);

/// What a call to the cluster gives.
pub type Answered<'a, T> = SendFuture<'a, Result<T, ClusterError>>;

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

/// One message queue.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QueueName {
    /// Topic.
    pub topic: String,
    /// Broker name.
    pub broker: String,
    /// Number of the queue on that broker.
    pub queue: u32,
}

/// Where a queue begins and ends, and where a group stands in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueStanding {
    /// Which queue.
    pub queue: QueueName,
    /// Offset of the first message still there.
    pub min: i64,
    /// Offset that the next message will get.
    pub max: i64,
    /// Offset that the group will read next; none if it has committed nothing in this queue.
    pub committed: Option<i64>,
}

/// A message as it lies in a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredMessage {
    /// Which queue.
    pub queue: QueueName,
    /// Its offset in the queue.
    pub offset: i64,
    /// When it was made, in ms since 1970.
    pub born_ms: i64,
    /// When the broker stored it, in ms since 1970.
    pub store_ms: i64,
    /// All its properties, `KEYS` and `TAGS` among them, in the order stored.
    pub properties: Vec<(String, String)>,
    /// Its body, decompressed.
    pub body: Bytes,
}

/// A message to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewMessage {
    /// Topic.
    pub topic: String,
    /// Properties; `KEYS` and `TAGS` among them where wanted.
    pub properties: Vec<(String, String)>,
    /// Body, not empty.
    pub body: Bytes,
}

/// Asks and changes the cluster. Every call has its own deadline inside; dropping a call's future gives it up.
pub trait ClusterPort: Send + Sync {
    /// Masters of all clusters that the name servers know.
    fn masters(&self) -> Answered<'_, Vec<MasterBroker>>;
    /// Queues of a topic; `None` when the name servers know no such topic.
    fn topic_queues(&self, topic: &str) -> Answered<'_, Option<Vec<TopicQueues>>>;
    /// Creates a topic on all masters of all clusters, or changes its number of queues.
    fn create_topic(&self, topic: &str, queues: u32) -> Answered<'_, ()>;
    /// Names of all topics that the name servers know, sorted.
    fn topics(&self) -> Answered<'_, Vec<String>>;
    /// Client ids of a group's members; empty for an unknown group or one without members.
    fn group_members(&self, group: &str) -> Answered<'_, Vec<String>>;
    /// All queues of a topic, in order, with the standing of a group in each.
    fn standing(&self, group: &str, topic: &str) -> Answered<'_, Vec<QueueStanding>>;
    /// Commits an offset for a group, whether it has members or not. The broker then holds it.
    fn commit(&self, group: &str, queue: &QueueName, offset: i64) -> Answered<'_, ()>;
    /// Removes a group with its offsets from all brokers; an unknown one is no error.
    fn delete_group(&self, group: &str) -> Answered<'_, ()>;
    /// First offset whose message was stored at or after a time, in ms since 1970.
    fn offset_at(&self, queue: &QueueName, time_ms: i64) -> Answered<'_, i64>;
    /// Messages of a queue from an offset on, at most so many; empty at the queue's end. An offset before the queue's
    /// first message reads from there.
    fn read(&self, queue: &QueueName, offset: i64, count: usize) -> Answered<'_, Vec<StoredMessage>>;
    /// Sends one message, to any queue of its topic; gives where it is stored.
    fn send(&self, message: NewMessage) -> Answered<'_, (QueueName, i64)>;
    /// A broker's settings, as its properties file has them.
    fn broker_config(&self, address: &str) -> Answered<'_, BTreeMap<String, String>>;
}
