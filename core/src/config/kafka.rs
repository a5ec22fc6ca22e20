//! Names of Kafka Connect that have no effect here, with the reason. Names that do have one are aliases of our keys.

/// A key of Kafka Connect's that is accepted and does nothing.
#[derive(Clone, Copy, Debug)]
pub struct ForeignKey {
    /// Its name; with a dot at its end: all names that begin so.
    pub name: &'static str,
    /// Why it does nothing, and what does instead.
    pub why: &'static str,
    /// The key that does instead.
    pub instead: Option<&'static str>,
}

const fn key(name: &'static str, why: &'static str, instead: Option<&'static str>) -> ForeignKey {
    ForeignKey { name, why, instead }
}

/// Keys of connectors.
pub const CONNECTOR_FOREIGN_KEYS: &[ForeignKey] = &[
    key("topics.regex", "a sink names its topics one by one", Some("connect.topicnames")),
    key("header.converter", "headers are properties of messages, and texts", None),
    key("config.action.reload", "references are looked up whenever a task starts", None),
    key("exactly.once.support", "delivery is at least once", None),
    key("transaction.boundary", "delivery is at least once", None),
    key("offset.flush.interval.ms", "here it is a matter of time of each connector", Some("commit.interval.ms")),
    key("offset.flush.timeout.ms", "a commit is waited for, not given up", None),
    key("errors.deadletterqueue.topic.replication.factor", "copies of a topic are the broker's matter", None),
    key("consumer.override.", "there is no Kafka client", None),
    key("producer.override.", "there is no Kafka client", None),
    key("admin.override.", "there is no Kafka client", None),
    key("topic.creation.", "missing topics are created with the broker's defaults", None),
];

/// Finds the foreign key that a name is.
#[must_use]
pub fn find<'k>(name: &str, keys: &'k [ForeignKey]) -> Option<&'k ForeignKey> {
    keys.iter().find(|key| if key.name.ends_with('.') { name.starts_with(key.name) } else { name == key.name })
}
