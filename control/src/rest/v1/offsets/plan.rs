//! From what is asked to what changes. Pure.

use std::collections::BTreeMap;

use rmqc_core::cluster_port::{QueueName, QueueStanding};
use rmqc_core::position::{RecordPartition, Scalar, StoredPosition};
use serde_json::Value;

use super::{Effect, OffsetEdit};

/// Members of a partition or offset.
pub(super) type Members = BTreeMap<String, Scalar>;

/// A scalar as JSON.
fn json(scalar: &Scalar) -> Value {
    match scalar {
        Scalar::Null => Value::Null,
        Scalar::Boolean(value) => Value::from(*value),
        Scalar::Integer(value) => Value::from(*value),
        Scalar::Float(value) => Value::from(*value),
        Scalar::Text(value) => Value::from(value.as_str()),
    }
}

/// Members as JSON.
pub(super) fn json_members(members: &Members) -> BTreeMap<String, Value> {
    members.iter().map(|(name, value)| (name.clone(), json(value))).collect()
}

/// Members as they are stored.
fn members(json: &BTreeMap<String, Value>) -> Result<Members, String> {
    let scalar = |(name, value): (&String, &Value)| {
        let scalar = match value {
            Value::Null => Scalar::Null,
            Value::Bool(value) => Scalar::Boolean(*value),
            Value::String(value) => Scalar::Text(value.clone()),
            Value::Number(number) => match (number.as_i64(), number.as_f64()) {
                (Some(whole), _) => Scalar::Integer(whole),
                (None, Some(float)) => Scalar::Float(float),
                (None, None) => return Err(format!("{name} is no number that can be stored")),
            },
            Value::Array(_) | Value::Object(_) => {
                return Err(format!("{name} must be a text, a number, true, false or null"));
            }
        };
        Ok((name.clone(), scalar))
    };
    json.iter().map(scalar).collect()
}

/// A whole number, whether stored as one or as its text.
fn whole(scalar: &Scalar) -> Option<i64> {
    match scalar {
        Scalar::Integer(number) => Some(*number),
        Scalar::Text(text) => text.parse().ok(),
        _ => None,
    }
}

/// Whether two scalars mean the same: a number may have been stored as text.
fn alike(a: &Scalar, b: &Scalar) -> bool {
    a == b || whole(a).is_some_and(|number| whole(b) == Some(number))
}

fn same_partition(a: &Members, b: &Members) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|((name, value), (other, given))| name == other && alike(value, given))
}

/// A change of one partition of a source.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct SourceChange {
    /// Which.
    pub partition: Members,
    /// Its offset before.
    pub from: Option<Members>,
    /// Its offset after.
    pub to: Option<Members>,
}

impl SourceChange {
    /// What it does. Where both offsets are one counter the distance is told, in the counter's units.
    pub fn effect(&self) -> Effect {
        let shown = |members: &Option<Members>| {
            members.as_ref().map_or(Value::Null, |members| Value::Object(json_members(members).into_iter().collect()))
        };
        let counter = |members: &Option<Members>| {
            let (name, value) = members.as_ref().filter(|members| members.len() == 1)?.first_key_value()?;
            Some((name.clone(), whole(value)?))
        };
        let distance = match (counter(&self.from), counter(&self.to)) {
            (Some((name, from)), Some((other, to))) if name == other => from.checked_sub(to),
            _ => None,
        };
        Effect {
            partition: json_members(&self.partition),
            from: shown(&self.from),
            to: shown(&self.to),
            records_again: distance.map(|distance| distance.max(0)),
            records_skipped: distance.map(|distance| distance.saturating_neg().max(0)),
        }
    }
}

/// What a source's edits change; without edits all that is stored is forgotten. Values keep the form in which a member
/// was stored before.
pub(super) fn source_changes(
    stored: &[StoredPosition],
    edits: Option<&[OffsetEdit]>,
) -> Result<Vec<SourceChange>, String> {
    let Some(edits) = edits else {
        let forget = |one: &StoredPosition| SourceChange {
            partition: one.partition.0.clone(),
            from: Some(one.offset.clone()),
            to: None,
        };
        return Ok(stored.iter().map(forget).collect());
    };
    let mut changes: Vec<SourceChange> = Vec::new();
    for edit in edits {
        let asked = members(&edit.partition).map_err(|wrong| format!("in partition, {wrong}"))?;
        if asked.is_empty() {
            return Err("a partition has no members".to_owned());
        }
        let old = stored.iter().find(|one| same_partition(&one.partition.0, &asked));
        let to = match &edit.offset {
            Value::Null => None,
            Value::Object(offset) => {
                let offset = members(&offset.clone().into_iter().collect());
                Some(offset.map_err(|wrong| format!("in offset, {wrong}"))?)
            }
            _ => return Err("a source's offset must be an object, or null to forget it".to_owned()),
        };
        let partition = old.map_or(asked, |old| old.partition.0.clone());
        if changes.iter().any(|other| same_partition(&other.partition, &partition)) {
            let shown = Value::Object(json_members(&partition).into_iter().collect());
            return Err(format!("partition {shown} is named twice"));
        }
        let from = old.map(|old| old.offset.clone());
        let to = to.map(|to| in_form_of(to, from.as_ref()));
        changes.push(SourceChange { partition, from, to });
    }
    Ok(changes)
}

/// Whole numbers as text where they were text before: the form that the Java worker can read.
fn in_form_of(mut offset: Members, old: Option<&Members>) -> Members {
    for (name, value) in &mut offset {
        if let (Scalar::Integer(number), Some(Scalar::Text(_))) = (&*value, old.and_then(|old| old.get(name))) {
            *value = Scalar::Text(number.to_string());
        }
    }
    offset
}

impl SourceChange {
    /// The partition as the store knows it.
    pub fn key(&self) -> RecordPartition {
        RecordPartition(self.partition.clone())
    }
}

/// Where a sink shall stand in a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// At the first message still there.
    Earliest,
    /// Behind the last message.
    Latest,
    /// At this offset.
    Offset(i64),
    /// At the first message stored at or after this time, in ms since 1970.
    Time(i64),
}

/// Reads a sink's offset.
fn place(offset: &Value) -> Result<Place, String> {
    let wrong =
        "a sink's offset must be {\"queue_offset\": N}, {\"timestamp_ms\": T}, \"earliest\", \"latest\", or null";
    match offset {
        Value::Null => Ok(Place::Earliest),
        Value::String(word) if word == "earliest" => Ok(Place::Earliest),
        Value::String(word) if word == "latest" => Ok(Place::Latest),
        Value::Object(members) if members.len() == 1 => {
            let number = |name: &str| members.get(name).and_then(Value::as_i64).filter(|number| *number >= 0);
            let place = number("queue_offset").map(Place::Offset).or(number("timestamp_ms").map(Place::Time));
            place.ok_or_else(|| wrong.to_owned())
        }
        _ => Err(wrong.to_owned()),
    }
}

/// The queue that a sink's partition means.
fn queue_of<'s>(
    partition: &BTreeMap<String, Value>,
    standing: &'s [QueueStanding],
) -> Result<&'s QueueStanding, String> {
    if let Some(other) = partition.keys().find(|name| !["topic", "broker", "queue"].contains(&name.as_str())) {
        return Err(format!("a sink's partition has topic, broker and queue, not {other}"));
    }
    let topic = partition.get("topic").and_then(Value::as_str).ok_or("a sink's partition needs its topic")?;
    let number = partition.get("queue").and_then(|queue| match queue {
        Value::String(text) => text.parse::<u64>().ok(),
        other => other.as_u64(),
    });
    let number = number.ok_or("a sink's partition needs the number of its queue")?;
    let broker = partition.get("broker").map(|broker| broker.as_str().ok_or("broker must be a text")).transpose()?;
    let mut found = standing.iter().filter(|one| {
        let QueueName { topic: known, broker: on, queue } = &one.queue;
        known == topic && u64::from(*queue) == number && broker.is_none_or(|broker| broker == on)
    });
    let first = found.next().ok_or_else(|| {
        let on = broker.map(|broker| format!(" on broker {broker}")).unwrap_or_default();
        format!("the connector reads no queue {number} of topic {topic}{on}")
    })?;
    if found.next().is_some() {
        return Err(format!("several brokers have queue {number} of topic {topic}; name one as broker"));
    }
    Ok(first)
}

/// A sink's edits, each with the queue that it means; without edits all queues go to their first message.
pub(super) fn places(
    standing: &[QueueStanding],
    edits: Option<&[OffsetEdit]>,
) -> Result<Vec<(QueueStanding, Place)>, String> {
    let Some(edits) = edits else {
        return Ok(standing.iter().map(|one| (one.clone(), Place::Earliest)).collect());
    };
    let mut places: Vec<(QueueStanding, Place)> = Vec::new();
    for edit in edits {
        let queue = queue_of(&edit.partition, standing)?;
        if places.iter().any(|(other, _)| other.queue == queue.queue) {
            let QueueName { topic, broker, queue } = &queue.queue;
            return Err(format!("queue {queue} of topic {topic} on {broker} is named twice"));
        }
        places.push((queue.clone(), place(&edit.offset)?));
    }
    Ok(places)
}

/// A change of one queue of a sink.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct QueueChange {
    /// Where the group stands before.
    pub standing: QueueStanding,
    /// Offset after.
    pub to: i64,
}

/// The partition of a queue.
pub(super) fn queue_json(queue: &QueueName) -> BTreeMap<String, Value> {
    let QueueName { topic, broker, queue } = queue;
    BTreeMap::from([
        ("topic".to_owned(), Value::from(topic.as_str())),
        ("broker".to_owned(), Value::from(broker.as_str())),
        ("queue".to_owned(), Value::from(*queue)),
    ])
}

impl QueueChange {
    /// The change to an offset, which must be in the queue or right behind it.
    pub fn to_offset(standing: QueueStanding, to: i64) -> Result<Self, String> {
        let QueueStanding { queue: QueueName { topic, broker, queue }, min, max, .. } = &standing;
        if (*min..=*max).contains(&to) {
            return Ok(Self { standing, to });
        }
        Err(format!(
            "queue {queue} of topic {topic} on {broker} has offsets from {min} to {max}, {to} is not among them"
        ))
    }

    /// What it does. Messages that are gone already are read by nobody, whatever the group has committed.
    pub fn effect(&self) -> Effect {
        let QueueStanding { queue, min, committed, .. } = &self.standing;
        let stands = committed.unwrap_or(*min).max(*min);
        Effect {
            partition: queue_json(queue),
            from: committed.map_or(Value::Null, Value::from),
            to: Value::from(self.to),
            records_again: Some(stands.saturating_sub(self.to).max(0)),
            records_skipped: Some(self.to.saturating_sub(stands).max(0)),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn edit(partition: Value, offset: Value) -> OffsetEdit {
        serde_json::from_value(json!({"partition": partition, "offset": offset})).unwrap()
    }

    fn stored(file: &str, next: Scalar) -> StoredPosition {
        StoredPosition {
            partition: RecordPartition::single("filename", file),
            offset: BTreeMap::from([("next".to_owned(), next)]),
        }
    }

    #[test]
    fn a_sources_counter_tells_what_is_read_again_or_skipped() {
        let known = [stored("f", Scalar::Text("42".to_owned())), stored("g", Scalar::Integer(7))];
        for (partition, offset, to, again, skipped) in [
            (json!({"filename": "f"}), json!({"next": 2}), json!({"next": "2"}), Some(40), Some(0)),
            (json!({"filename": "f"}), json!({"next": "50"}), json!({"next": "50"}), Some(0), Some(8)),
            (json!({"filename": "g"}), json!({"next": 9}), json!({"next": 9}), Some(0), Some(2)),
            (json!({"filename": "f"}), json!({"other": 2}), json!({"other": 2}), None, None),
            (json!({"filename": "f"}), Value::Null, Value::Null, None, None),
            (json!({"filename": "new"}), json!({"next": 2}), json!({"next": 2}), None, None),
        ] {
            let changes = source_changes(&known, Some(&[edit(partition.clone(), offset)])).unwrap();
            let effect = changes[0].effect();
            let expected = (to, again, skipped);
            assert_eq!((effect.to, effect.records_again, effect.records_skipped), expected, "{partition}");
        }
        assert_eq!(source_changes(&known, None).unwrap().len(), 2);
    }

    #[test]
    fn a_sources_edits_must_be_storable_and_each_partition_named_once() {
        let known = [stored("f", Scalar::Integer(1))];
        for edits in [
            vec![edit(json!({"filename": ["x"]}), Value::Null)],
            vec![edit(json!({}), Value::Null)],
            vec![edit(json!({"filename": "f"}), json!("earliest"))],
            vec![edit(json!({"filename": "f"}), json!({"next": {}}))],
            vec![edit(json!({"filename": "f"}), Value::Null), edit(json!({"filename": "f"}), json!({}))],
        ] {
            assert!(source_changes(&known, Some(&edits)).is_err());
        }
        assert!(serde_json::from_value::<OffsetEdit>(json!({"partition": {}})).is_err(), "no offset is not null");
    }

    fn standing(broker: &str, queue: u32, committed: Option<i64>) -> QueueStanding {
        let queue = QueueName { topic: "t".to_owned(), broker: broker.to_owned(), queue };
        QueueStanding { queue, min: 10, max: 100, committed }
    }

    #[test]
    fn a_sinks_partition_means_one_of_its_queues() {
        let known = [standing("a", 0, None), standing("a", 1, None), standing("b", 1, None)];
        for (partition, found) in [
            (json!({"topic": "t", "queue": 0}), true),
            (json!({"topic": "t", "queue": "0", "broker": "a"}), true),
            (json!({"topic": "t", "queue": 1, "broker": "b"}), true),
            (json!({"topic": "t", "queue": 1}), false),
            (json!({"topic": "t", "queue": 2}), false),
            (json!({"topic": "u", "queue": 0}), false),
            (json!({"topic": "t", "queue": 0, "x": 1}), false),
            (json!({"topic": "t"}), false),
        ] {
            let edits = [edit(partition.clone(), json!("latest"))];
            assert_eq!(places(&known, Some(&edits)).is_ok(), found, "{partition}");
        }
    }

    #[test]
    fn a_sinks_offset_is_a_number_a_time_or_a_word() {
        for (offset, expected) in [
            (Value::Null, Some(Place::Earliest)),
            (json!("earliest"), Some(Place::Earliest)),
            (json!("latest"), Some(Place::Latest)),
            (json!({"queue_offset": 5}), Some(Place::Offset(5))),
            (json!({"timestamp_ms": 5}), Some(Place::Time(5))),
            (json!({"queue_offset": -5}), None),
            (json!({"queue_offset": 5, "timestamp_ms": 5}), None),
            (json!("now"), None),
            (json!(5), None),
        ] {
            assert_eq!(place(&offset).ok(), expected, "{offset}");
        }
    }

    #[test]
    fn a_sinks_change_tells_what_is_read_again_or_skipped() {
        for (committed, to, again, skipped) in
            [(Some(50), 20, 30, 0), (Some(50), 60, 0, 10), (None, 30, 0, 20), (Some(5), 10, 0, 0)]
        {
            let effect = QueueChange::to_offset(standing("a", 0, committed), to).unwrap().effect();
            assert_eq!((effect.records_again, effect.records_skipped), (Some(again), Some(skipped)), "{committed:?}");
        }
        assert!(QueueChange::to_offset(standing("a", 0, None), 9).is_err());
        assert!(QueueChange::to_offset(standing("a", 0, None), 101).is_err());
    }
}
