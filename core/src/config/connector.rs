//! The keys that every connector has, whatever its class.

use super::Properties;
pub use super::key::ConfigKey;
use super::key::KeyKind;
use crate::chain::{PREDICATES, TRANSFORMS};

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
    doc: "Upper bound of the tasks that the connector may split its work into. A sink whose tasks may write side by \
          side gets one task a shard when this is not given, unless it is ordered or direct.",
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
/// `connector.direct.enable`.
pub const DIRECT_ENABLE: ConfigKey = ConfigKey {
    name: "connector.direct.enable",
    aliases: &[],
    kind: KeyKind::Boolean,
    default: Some("false"),
    unit: "",
    doc: "Move records from a source task straight to a sink task, without a broker and without converters. \
          `connector.class` still names the connector that splits the work.",
};
/// `source.task.class`.
pub const SOURCE_TASK_CLASS: ConfigKey = ConfigKey {
    name: "source.task.class",
    aliases: &[],
    kind: KeyKind::Text,
    default: Some(""),
    unit: "",
    doc: "With `connector.direct.enable=true`, where records come from: a Java task class or a connector's name.",
};
/// `sink.task.class`.
pub const SINK_TASK_CLASS: ConfigKey = ConfigKey {
    name: "sink.task.class",
    aliases: &[],
    kind: KeyKind::Text,
    default: Some(""),
    unit: "",
    doc: "With `connector.direct.enable=true`, where records go to: a Java task class or a connector's name.",
};
/// `ordering.msg.enable`.
pub const ORDERING: ConfigKey = ConfigKey {
    name: "ordering.msg.enable",
    aliases: &["ordering.msg.enabled"],
    kind: KeyKind::Boolean,
    default: Some("false"),
    unit: "",
    doc: "Keep the order of records with one key: each queue belongs to one shard and has one request in flight. A sink \
          reads a queue only while it holds the broker's lock on it.",
};
/// `connect.topicname`.
pub const TOPIC_NAME: ConfigKey = ConfigKey {
    name: "connect.topicname",
    aliases: &["topic"],
    kind: KeyKind::Text,
    default: Some(""),
    unit: "",
    doc: "Source: topic of records that do not name one themselves.",
};
/// `connect.topicnames`.
pub const TOPIC_NAMES: ConfigKey = ConfigKey {
    name: "connect.topicnames",
    aliases: &["topics"],
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
/// `subscription.tags`.
pub const SUBSCRIPTION_TAGS: ConfigKey = ConfigKey {
    name: "subscription.tags",
    aliases: &["consume.tags"],
    kind: KeyKind::Text,
    default: Some("*"),
    unit: "",
    doc: "Sink: tags to read, separated by `||`; `*` means all messages. Messages with other tags or none are passed over. \
          All members of a group must name the same tags.",
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

/// `errors.tolerance`.
pub const ERRORS_TOLERANCE: ConfigKey = ConfigKey {
    name: "errors.tolerance",
    aliases: &[],
    kind: KeyKind::Choice(&["none", "all"]),
    default: Some("none"),
    unit: "",
    doc: "What becomes of a record that can't be converted, transformed, sent or put: `none` stops the task with the \
          position at that record; `all` gives the record up, into the dead letter queue if one is named. A target that \
          is away is waited for in either case.",
};
/// `errors.retry.timeout`.
pub const ERRORS_RETRY_TIMEOUT: ConfigKey = ConfigKey {
    name: "errors.retry.timeout",
    aliases: &[],
    kind: KeyKind::Integer { min: -1, max: i64::MAX },
    default: Some("0"),
    unit: "ms",
    doc: "How long a converter or transform that asks for a later try is tried again before the task stops; -1 for ever.",
};
/// `errors.retry.delay.max.ms`.
pub const ERRORS_RETRY_DELAY_MAX_MS: ConfigKey = ConfigKey {
    name: "errors.retry.delay.max.ms",
    aliases: &[],
    kind: KeyKind::Integer { min: 0, max: MANY },
    default: Some("60000"),
    unit: "ms",
    doc: "Longest pause between these tries; the first is 300 ms, each further one doubles.",
};
/// `errors.log.enable`.
pub const ERRORS_LOG: ConfigKey = ConfigKey {
    name: "errors.log.enable",
    aliases: &[],
    kind: KeyKind::Boolean,
    default: Some("false"),
    unit: "",
    doc: "Log every record that is given up, at level ERROR.",
};
/// `errors.log.include.messages`.
pub const ERRORS_LOG_MESSAGES: ConfigKey = ConfigKey {
    name: "errors.log.include.messages",
    aliases: &[],
    kind: KeyKind::Boolean,
    default: Some("false"),
    unit: "",
    doc: "Say in that log line which record it was: topic, queue, offset and times, or the source's position.",
};
/// `errors.deadletterqueue.topic.name`.
pub const DLQ_TOPIC: ConfigKey = ConfigKey {
    name: "errors.deadletterqueue.topic.name",
    aliases: &[],
    kind: KeyKind::Text,
    default: Some(""),
    unit: "",
    doc: "Topic for records that are given up (`errors.tolerance=all`), created when missing. Empty: they are dropped and \
          counted. A record counts as done only after its letter is stored.",
};
/// `errors.deadletterqueue.read.queue.nums`.
pub const DLQ_READ_QUEUES: ConfigKey = ConfigKey {
    name: "errors.deadletterqueue.read.queue.nums",
    aliases: &[],
    kind: KeyKind::Integer { min: 1, max: 1024 },
    default: Some("8"),
    unit: "queues",
    doc: "Read queues of the dead letter topic when it has to be created.",
};
/// `errors.deadletterqueue.write.queue.nums`.
pub const DLQ_WRITE_QUEUES: ConfigKey = ConfigKey {
    name: "errors.deadletterqueue.write.queue.nums",
    aliases: &[],
    kind: KeyKind::Integer { min: 1, max: 1024 },
    default: Some("8"),
    unit: "queues",
    doc: "Write queues of the dead letter topic when it has to be created.",
};
/// `errors.deadletterqueue.context.properties.enable`.
pub const DLQ_CONTEXT: ConfigKey = ConfigKey {
    name: "errors.deadletterqueue.context.properties.enable",
    aliases: &["errors.deadletterqueue.context.headers.enable"],
    kind: KeyKind::Boolean,
    default: Some("false"),
    unit: "",
    doc: "Give letters the properties `__connect.errors.*`: where the record came from, what failed and why.",
};
/// `errors.breaker.percent`.
pub const BREAKER_PERCENT: ConfigKey = ConfigKey {
    name: "errors.breaker.percent",
    aliases: &[],
    kind: KeyKind::Integer { min: 0, max: 100 },
    default: Some("0"),
    unit: "percent",
    doc: "Pause the connector when this share of `errors.breaker.records` records was given up; 0 for never. It goes on \
          when someone resumes it.",
};
/// `errors.breaker.records`.
pub const BREAKER_RECORDS: ConfigKey = ConfigKey {
    name: "errors.breaker.records",
    aliases: &[],
    kind: KeyKind::Integer { min: 1, max: MANY },
    default: Some("1000"),
    unit: "records",
    doc: "Records of a task over which that share is taken.",
};

/// Keys of every connector.
pub const COMMON_KEYS: &[ConfigKey] = &[
    CONNECTOR_CLASS,
    MAX_TASKS,
    KEY_CONVERTER,
    VALUE_CONVERTER,
    DIRECT_ENABLE,
    SOURCE_TASK_CLASS,
    SINK_TASK_CLASS,
    ORDERING,
    UNCOMMITTED_RECORDS,
    UNCOMMITTED_BYTES,
    COMMIT_INTERVAL_MS,
    TRANSFORMS,
    PREDICATES,
    ERRORS_TOLERANCE,
    ERRORS_RETRY_TIMEOUT,
    ERRORS_RETRY_DELAY_MAX_MS,
    ERRORS_LOG,
    ERRORS_LOG_MESSAGES,
    DLQ_TOPIC,
    DLQ_READ_QUEUES,
    DLQ_WRITE_QUEUES,
    DLQ_CONTEXT,
    BREAKER_PERCENT,
    BREAKER_RECORDS,
];
/// Further keys of sources.
pub const SOURCE_KEYS: &[ConfigKey] = &[TOPIC_NAME, BATCH_BYTES, BATCH_MESSAGES, INFLIGHT_REQUESTS];
/// Further keys of sinks.
pub const SINK_KEYS: &[ConfigKey] =
    &[TOPIC_NAMES, TASK_GROUP_ID, SUBSCRIPTION_TAGS, CONSUME_FROM_WHERE, CONSUME_TIMESTAMP, OFFSET_OUT_OF_RANGE];

/// Key of a task's configuration that says which loop it runs in; set by the runtime.
pub const TASK_TYPE: &str = "task.type";
/// Value of [`TASK_TYPE`] for tasks that hold a source and a sink.
pub const DIRECT_TASK: &str = "DIRECT";

/// Whether a task's configuration is that of a direct task.
#[must_use]
pub fn is_direct_task(config: &Properties) -> bool {
    config.get(TASK_TYPE).is_some_and(|kind| kind == DIRECT_TASK)
}

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
