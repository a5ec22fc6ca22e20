//! Dead letters: what a record that was given up carries to its queue.

use crate::error::{ConnectError, Retry};
use crate::id::TaskId;

/// Longest exception message in a letter, in bytes.
const MESSAGE_BYTES_MAX: usize = 1024;
/// Longest chain of causes in a letter, in bytes.
const CAUSES_BYTES_MAX: usize = 4096;

/// Where a consumed message stood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consumed {
    /// Its topic.
    pub topic: String,
    /// Its queue.
    pub queue_id: i32,
    /// Its offset in the queue.
    pub queue_offset: i64,
    /// When it was made, in ms since 1970.
    pub born_ms: i64,
    /// When the broker stored it, in ms since 1970.
    pub store_ms: i64,
}

/// The `__connect.errors.*` properties of a letter, under the Java runtime's names and in its order. No value holds a
/// separator of message properties.
#[must_use]
pub fn context(task: &TaskId, consumed: Option<&Consumed>, error: &ConnectError) -> Vec<(&'static str, String)> {
    let mut properties = Vec::with_capacity(10);
    if let Some(consumed) = consumed {
        properties.push(("__connect.errors.topic", consumed.topic.clone()));
        properties.push(("__connect.errors.partition", consumed.queue_id.to_string()));
        properties.push(("__connect.errors.offset", consumed.queue_offset.to_string()));
    }
    let exception = exception_class(error.retry());
    let causes = format!("{exception}: {error}");
    properties.extend([
        ("__connect.errors.connector.name", task.connector.to_string()),
        ("__connect.errors.task.id", task.index.to_string()),
        ("__connect.errors.stage", error.stage().name().to_owned()),
        ("__connect.errors.class.name", error.class().unwrap_or_default().to_owned()),
        ("__connect.errors.exception.class.name", exception.to_owned()),
        ("__connect.errors.exception.message", clean(&error.to_string(), MESSAGE_BYTES_MAX)),
        ("__connect.errors.exception.stacktrace", clean(&causes, CAUSES_BYTES_MAX)),
    ]);
    properties
}

/// The Java exception that stands for an error.
fn exception_class(retry: Retry) -> &'static str {
    match retry {
        Retry::Later => "io.openmessaging.connector.api.errors.RetriableException",
        Retry::BadRecord | Retry::Fatal => "io.openmessaging.connector.api.errors.ConnectException",
    }
}

/// The text without separators of properties, and not longer than `bytes_max`.
fn clean(text: &str, bytes_max: usize) -> String {
    let mut end = text.len().min(bytes_max);
    while !text.is_char_boundary(end) {
        end = end.saturating_sub(1);
    }
    text.get(..end).unwrap_or_default().replace(['\u{1}', '\u{2}'], " ")
}

/// The log line of a record that was given up, in the Java runtime's words.
#[must_use]
pub fn log_line(task: &TaskId, error: &ConnectError, record: Option<&str>) -> String {
    let (stage, class) = (error.stage().name(), error.class().unwrap_or_default());
    let record = record.map(|record| format!(", where {record}")).unwrap_or_default();
    format!("Error encountered in task {task}. Executing stage '{stage}' with class '{class}'{record}.")
}

impl std::fmt::Display for Consumed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "consumed record is {{topic='{}', partition={}, offset={}, bornTimestamp={}, storeTimestamp={}}}",
            self.topic, self.queue_id, self.queue_offset, self.born_ms, self.store_ms
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Stage;

    #[test]
    fn letters_carry_the_captured_names_in_their_order() {
        let error = ConnectError::bad_record(Stage::Convert, "bad \u{1}byte\u{2}").in_class("a.JsonConverter");
        let consumed = Consumed { topic: "inTopic".into(), queue_id: 11, queue_offset: 0, born_ms: 1, store_ms: 2 };
        let properties = context(&TaskId::new("dsnk2", 0), Some(&consumed), &error);
        let shown: Vec<_> =
            properties.iter().map(|(k, v)| format!("{}={v}", k.trim_start_matches("__connect.errors."))).collect();
        assert_eq!(
            shown,
            [
                "topic=inTopic",
                "partition=11",
                "offset=0",
                "connector.name=dsnk2",
                "task.id=0",
                "stage=CONVERTER",
                "class.name=a.JsonConverter",
                "exception.class.name=io.openmessaging.connector.api.errors.ConnectException",
                "exception.message=bad  byte ",
                "exception.stacktrace=io.openmessaging.connector.api.errors.ConnectException: bad  byte ",
            ]
        );
        assert_eq!(
            log_line(&TaskId::new("dsnk2", 0), &error, Some(&consumed.to_string())),
            "Error encountered in task dsnk2-0. Executing stage 'CONVERTER' with class 'a.JsonConverter', where consumed \
             record is {topic='inTopic', partition=11, offset=0, bornTimestamp=1, storeTimestamp=2}."
        );
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        assert_eq!(clean("äöü", 3), "ä");
        let error = ConnectError::bad_record(Stage::Put, "ü".repeat(10_000));
        let properties = context(&TaskId::new("c", 0), None, &error);
        assert!(properties.iter().map(|(_, value)| value.len()).sum::<usize>() < 6000);
    }
}
