//! `TimestampRouter`: sends a record to a topic whose name tells its time.

use std::sync::Arc;

use super::date_format::DateFormat;
use super::named_fields::{bad, is_consumed, topic_of, untrimmed};
use super::{Outcome, Transform, TransformConfig};
use crate::config::key::{ConfigError, ConfigErrors, ConfigKey, KeyKind};
use crate::error::Result;
use crate::record::ConnectRecord;
use crate::registry::TransformFactory;

const TOPIC_FORMAT: ConfigKey = ConfigKey {
    name: "topic.format",
    aliases: &[],
    kind: KeyKind::Text,
    default: Some("${topic}-${timestamp}"),
    unit: "",
    doc: "The new topic; `${topic}` stands for the old one and `${timestamp}` for the record's time.",
};
const TIMESTAMP_FORMAT: ConfigKey = ConfigKey {
    name: "timestamp.format",
    aliases: &[],
    kind: KeyKind::Text,
    default: Some("yyyyMMdd"),
    unit: "",
    doc: "How the time is written, as a pattern of Java's SimpleDateFormat, in UTC. Letters: y M L d D E u a H k K h m \
          s S z Z X.",
};

/// A piece of the new topic's name.
enum Piece {
    Literal(String),
    Topic,
    Timestamp,
}

struct TimestampRouter {
    pieces: Vec<Piece>,
    format: DateFormat,
}

impl Transform for TimestampRouter {
    fn apply(&self, record: &mut ConnectRecord) -> Result<Outcome> {
        let Some(time_ms) = record.timestamp_ms else {
            return Err(bad("TimestampRouter: the record has no timestamp"));
        };
        let Some(old) = topic_of(record) else { return Err(bad("TimestampRouter: the record has no topic")) };
        let mut topic = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Literal(text) => topic.push_str(text),
                Piece::Topic => topic.push_str(&old.to_str()),
                Piece::Timestamp => topic.push_str(&self.format.format(time_ms)),
            }
        }
        if topic.trim().is_empty() {
            return Err(bad("TimestampRouter: the new topic is blank"));
        }
        // On a source an extension of this name outranks the record's topic.
        if !is_consumed(record) && record.extensions.get("topic").is_some() {
            record.extensions.set("topic", topic.as_str());
        }
        record.topic = Some(Arc::from(topic));
        Ok(Outcome::Keep)
    }
}

fn pieces(format: &str) -> Vec<Piece> {
    const NAMES: [(&str, Piece); 2] = [("${topic}", Piece::Topic), ("${timestamp}", Piece::Timestamp)];
    let mut pieces = Vec::new();
    let mut rest = format;
    loop {
        let found = NAMES.into_iter().filter_map(|(name, piece)| Some((rest.find(name)?, name, piece)));
        let Some((at, name, piece)) = found.min_by_key(|(at, ..)| *at) else { break };
        let (before, after) = rest.split_at_checked(at).unwrap_or((rest, ""));
        pieces.push(Piece::Literal(before.to_owned()));
        pieces.push(piece);
        rest = after.strip_prefix(name).unwrap_or_default();
    }
    pieces.push(Piece::Literal(rest.to_owned()));
    pieces
}

fn build(config: &TransformConfig) -> Result<Box<dyn Transform>, ConfigErrors> {
    let pattern = untrimmed(&TIMESTAMP_FORMAT, &config.properties);
    let format = DateFormat::new(&pattern).map_err(|reason| {
        let key = TIMESTAMP_FORMAT.name;
        ConfigErrors::from(ConfigError::new(key, format!("Config {key} is \"{pattern}\": {reason}")))
    })?;
    Ok(Box::new(TimestampRouter { pieces: pieces(&untrimmed(&TOPIC_FORMAT, &config.properties)), format }))
}

inventory::submit! {
    TransformFactory {
        name: "timestamp-router",
        java_class: "org.apache.rocketmq.connect.transforms.TimestampRouter",
        aliases: &["org.apache.kafka.connect.transforms.TimestampRouter"],
        targets: false,
        doc: "Gives a record a topic made of its old topic and its timestamp.",
        keys: &[TOPIC_FORMAT, TIMESTAMP_FORMAT],
        build,
    }
}

#[cfg(test)]
mod tests {
    use super::super::kafka_testing::{build, config_faults, consumed, record};
    use super::*;
    use crate::value::Value;

    fn routed(keys: &[(&str, &str)], mut record: ConnectRecord) -> ConnectRecord {
        record.timestamp_ms = Some(1_234_567_890_123);
        build("TimestampRouter", keys).apply(&mut record).unwrap();
        record
    }

    #[test]
    fn the_topic_tells_the_time() {
        for (keys, topic) in [
            (&[][..], "topic-20090213"),
            (&[("topic.format", "x")], "x"),
            (
                &[("topic.format", "${timestamp}/${topic}/${topic}"), ("timestamp.format", "yyyy-MM")],
                "2009-02/topic/topic",
            ),
            (&[("topic.format", "${Topic}${topic")], "${Topic}${topic"),
        ] {
            assert_eq!(routed(keys, record(Value::Null)).topic.as_deref(), Some(topic));
        }
        let faults = config_faults("TimestampRouter", &[("timestamp.format", "YYYY")]);
        assert_eq!(faults, ["transforms.t.timestamp.format"]);
    }

    #[test]
    fn the_extension_counts_on_sources_only() {
        let mut produced = record(Value::Null);
        produced.extensions.set("topic", "own");
        let produced = routed(&[], produced);
        assert_eq!(produced.topic.as_deref(), Some("own-20090213"));
        assert_eq!(produced.extensions.get("topic").unwrap().to_str(), "own-20090213");
        let mut pulled = consumed(Value::Null, "3", 7);
        pulled.extensions.set("topic", "own");
        let pulled = routed(&[], pulled);
        assert_eq!(pulled.topic.as_deref(), Some("topic-20090213"));
        assert_eq!(pulled.extensions.get("topic").unwrap().to_str(), "own");
    }

    #[test]
    fn neither_time_nor_topic_is_made_up() {
        let router = build("TimestampRouter", &[]);
        let mut timeless = ConnectRecord { timestamp_ms: None, ..record(Value::Null) };
        assert!(router.apply(&mut timeless).unwrap_err().to_string().contains("no timestamp"));
        let mut homeless = ConnectRecord { topic: None, timestamp_ms: Some(0), ..record(Value::Null) };
        assert!(router.apply(&mut homeless).unwrap_err().to_string().contains("no topic"));
    }
}
