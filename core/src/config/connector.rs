//! The keys that every connector has, whatever its class.

use super::Properties;
use super::key::{ConfigKey, KeyKind};

/// Largest number that a bounded integer key may have when nothing tighter fits.
const MANY: i64 = i32::MAX as i64;

/// `connector.class`.
pub const CONNECTOR_CLASS: ConfigKey = ConfigKey {
    name: "connector.class",
    aliases: &[],
    kind: KeyKind::Text,
    default: None,
    unit: "",
    doc: "Which connector: its name (`file-source`), its Java class, or that class's simple name.",
};
/// `max.tasks`.
pub const MAX_TASKS: ConfigKey = ConfigKey {
    name: "max.tasks",
    aliases: &["tasks.max"],
    kind: KeyKind::Integer { min: 1, max: 1024 },
    default: Some("1"),
    unit: "tasks",
    doc: "Upper bound of the tasks that the connector may split its work into.",
};
/// `key.converter`.
pub const KEY_CONVERTER: ConfigKey = ConfigKey {
    name: "key.converter",
    aliases: &[],
    kind: KeyKind::Text,
    default: Some("org.apache.rocketmq.connect.runtime.converter.record.StringConverter"),
    unit: "",
    doc: "Converter of the record's key: name or Java class. The worker's `keyConverter` is the default.",
};
/// `value.converter`.
pub const VALUE_CONVERTER: ConfigKey = ConfigKey {
    name: "value.converter",
    aliases: &[],
    kind: KeyKind::Text,
    default: Some("org.apache.rocketmq.connect.runtime.converter.record.StringConverter"),
    unit: "",
    doc: "Converter of the record's value: name or Java class. The worker's `valueConverter` is the default.",
};
/// `ordering.msg.enable`.
pub const ORDERING: ConfigKey = ConfigKey {
    name: "ordering.msg.enable",
    aliases: &["ordering.msg.enabled"],
    kind: KeyKind::Boolean,
    default: Some("false"),
    unit: "",
    doc: "Keep the order of records with one key: each queue belongs to one shard and has one request in flight.",
};
/// `connect.topicname`.
pub const TOPIC_NAME: ConfigKey = ConfigKey {
    name: "connect.topicname",
    aliases: &[],
    kind: KeyKind::Text,
    default: Some(""),
    unit: "",
    doc: "Source: topic of records that do not name one themselves.",
};
/// `connect.topicnames`.
pub const TOPIC_NAMES: ConfigKey = ConfigKey {
    name: "connect.topicnames",
    aliases: &[],
    kind: KeyKind::List,
    default: Some(""),
    unit: "",
    doc: "Sink: topics to read, separated by `;` or `,`.",
};
/// `task.group.id`.
pub const TASK_GROUP_ID: ConfigKey = ConfigKey {
    name: "task.group.id",
    aliases: &[],
    kind: KeyKind::Text,
    default: Some(""),
    unit: "",
    doc: "Sink: consumer group. Empty means `connect-` and the connector's name.",
};
/// `consume.from.where`.
pub const CONSUME_FROM_WHERE: ConfigKey = ConfigKey {
    name: "consume.from.where",
    aliases: &[],
    kind: KeyKind::Choice(&["CONSUME_FROM_FIRST_OFFSET", "CONSUME_FROM_LAST_OFFSET", "CONSUME_FROM_TIMESTAMP"]),
    default: Some("CONSUME_FROM_LAST_OFFSET"),
    unit: "",
    doc: "Sink: where to start in a queue in which the group has committed nothing yet. As with the Java client, the \
          broker starts a group at the first message while that is still stored in memory, whatever this key says.",
};
/// `consume.timestamp`.
pub const CONSUME_TIMESTAMP: ConfigKey = ConfigKey {
    name: "consume.timestamp",
    aliases: &["consume.from.timestamp"],
    kind: KeyKind::Integer { min: 0, max: i64::MAX },
    default: Some("0"),
    unit: "ms since 1970",
    doc: "Sink: with `consume.from.where=CONSUME_FROM_TIMESTAMP`, the store time from which to read.",
};
/// `offset.out.of.range`.
pub const OFFSET_OUT_OF_RANGE: ConfigKey = ConfigKey {
    name: "offset.out.of.range",
    aliases: &[],
    kind: KeyKind::Choice(&["earliest", "latest", "fail"]),
    default: Some("earliest"),
    unit: "",
    doc: "Sink: where to go on when the committed offset is no longer (or not yet) in the queue. Always reported.",
};
/// `batch.bytes`.
pub const BATCH_BYTES: ConfigKey = ConfigKey {
    name: "batch.bytes",
    aliases: &[],
    kind: KeyKind::Integer { min: 1024, max: 4_000_000 },
    default: Some("1048576"),
    unit: "bytes",
    doc: "Source: most bytes in one batch request to a queue. A busy source fills it, an idle one sends at once.",
};
/// `batch.messages`.
pub const BATCH_MESSAGES: ConfigKey = ConfigKey {
    name: "batch.messages",
    aliases: &[],
    kind: KeyKind::Integer { min: 1, max: 65_536 },
    default: Some("4096"),
    unit: "records",
    doc: "Source: most messages in one batch request.",
};
/// `inflight.requests`.
pub const INFLIGHT_REQUESTS: ConfigKey = ConfigKey {
    name: "inflight.requests",
    aliases: &[],
    kind: KeyKind::Integer { min: 1, max: 1024 },
    default: Some("8"),
    unit: "requests",
    doc: "Source: most batch requests in flight per broker connection.",
};
/// `uncommitted.records`.
pub const UNCOMMITTED_RECORDS: ConfigKey = ConfigKey {
    name: "uncommitted.records",
    aliases: &[],
    kind: KeyKind::Integer { min: 1, max: MANY },
    default: Some("65536"),
    unit: "records",
    doc: "The in-flight window: most records of one task that are handed on but not yet committed. A crash repeats at \
          most so many.",
};
/// `uncommitted.bytes`.
pub const UNCOMMITTED_BYTES: ConfigKey = ConfigKey {
    name: "uncommitted.bytes",
    aliases: &[],
    kind: KeyKind::Integer { min: 1024, max: MANY },
    default: Some("16777216"),
    unit: "bytes",
    doc: "Most payload bytes of one task that are read but not yet delivered.",
};
/// `commit.interval.ms`.
pub const COMMIT_INTERVAL_MS: ConfigKey = ConfigKey {
    name: "commit.interval.ms",
    aliases: &[],
    kind: KeyKind::Integer { min: 1, max: MANY },
    default: Some("200"),
    unit: "ms",
    doc: "Longest time that a confirmed position or queue offset stays uncommitted. A half-full in-flight window commits earlier.",
};

/// Keys of every connector.
pub const COMMON_KEYS: &[ConfigKey] = &[
    CONNECTOR_CLASS,
    MAX_TASKS,
    KEY_CONVERTER,
    VALUE_CONVERTER,
    ORDERING,
    UNCOMMITTED_RECORDS,
    UNCOMMITTED_BYTES,
    COMMIT_INTERVAL_MS,
];
/// Further keys of sources.
pub const SOURCE_KEYS: &[ConfigKey] = &[TOPIC_NAME, BATCH_BYTES, BATCH_MESSAGES, INFLIGHT_REQUESTS];
/// Further keys of sinks.
pub const SINK_KEYS: &[ConfigKey] =
    &[TOPIC_NAMES, TASK_GROUP_ID, CONSUME_FROM_WHERE, CONSUME_TIMESTAMP, OFFSET_OUT_OF_RANGE];

/// The topics of a sink: `connect.topicnames` split at `;` and `,`, blanks dropped, each once, in order.
#[must_use]
pub fn sink_topics(properties: &Properties) -> Vec<String> {
    let mut topics: Vec<String> = Vec::new();
    for name in TOPIC_NAMES.text(properties).unwrap_or_default().split([';', ',']).map(str::trim) {
        if !name.is_empty() && !topics.iter().any(|known| known == name) {
            topics.push(name.to_owned());
        }
    }
    topics
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_split_at_both_separators() {
        let properties = Properties::from([("connect.topicnames".to_owned(), " a; b,,a ;c".to_owned())]);
        assert_eq!(sink_topics(&properties), ["a", "b", "c"]);
    }
}
