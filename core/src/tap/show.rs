//! Records as someone who looks at them sees them: texts of bounded length, whatever the record holds. What is cut is not
//! even walked through, so that a look at a large record costs as little as one at a small record.

use std::sync::Arc;

use base64::Engine as _;

use super::{TapRecord, TapStage};
use crate::id::TaskId;
use crate::java_text;
use crate::json::write_string;
use crate::limits::JSON_DEPTH_MAX;
use crate::position::{Position, RecordOffset, Scalar};
use crate::record::{ConnectRecord, raw_pairs};
use crate::value::Value;

/// Most properties that are shown.
const PROPERTIES_MAX: usize = 64;
/// In front of what is no text.
const BASE64: &str = "base64:";
/// Bits of the largest number whose digits are shown.
const NUMBER_BITS_MAX: u64 = 4096;

/// Collects texts of one record, each of at most so many bytes.
struct Show {
    bytes_max: usize,
    cut: bool,
}

/// A message's parts, before they become a record or after a record has become them.
#[derive(Clone, Copy, Debug)]
pub struct MessageParts<'m> {
    /// Topic.
    pub topic: &'m Arc<str>,
    /// Queue and offset, once it has them.
    pub place: Option<(u32, i64)>,
    /// Its time, in ms since 1970.
    pub timestamp_ms: Option<i64>,
    /// Its key.
    pub key: Option<&'m [u8]>,
    /// Its body.
    pub body: &'m [u8],
    /// Its properties block.
    pub properties: &'m [u8],
}

/// A record as it is seen at a stage.
#[must_use]
pub fn record(task: &TaskId, stage: TapStage, record: &ConnectRecord, bytes_max: usize) -> TapRecord {
    let mut show = Show { bytes_max, cut: false };
    let place = record.position.as_ref().and_then(queue_place);
    let position = record.position.as_ref().filter(|_| place.is_none()).map(|position| show.position(position));
    let pairs = record.extensions.to_pairs();
    let pairs = pairs.iter().map(|(name, value)| (&name.as_bytes()[..], &value.as_bytes()[..]));
    TapRecord {
        task: task.clone(),
        stage,
        topic: record.topic.clone(),
        place,
        position,
        timestamp_ms: record.timestamp_ms,
        key: show.value(&record.key),
        value: show.value(&record.value),
        schema: record.schema.as_ref().map_or(String::new(), |schema| schema.field_type.java_name().to_owned()),
        properties: show.properties(pairs),
        cut: show.cut,
    }
}

/// A message as it is seen at a stage.
#[must_use]
pub fn message(task: &TaskId, stage: TapStage, parts: &MessageParts<'_>, bytes_max: usize) -> TapRecord {
    let mut show = Show { bytes_max, cut: false };
    TapRecord {
        task: task.clone(),
        stage,
        topic: Some(parts.topic.clone()),
        place: parts.place,
        position: None,
        timestamp_ms: parts.timestamp_ms,
        key: parts.key.map(|key| show.bytes(key)),
        value: Some(show.bytes(parts.body)),
        schema: String::new(),
        properties: show.properties(raw_pairs(parts.properties)),
        cut: show.cut,
    }
}

/// Where a pulled record lay: its position names the queue.
fn queue_place(position: &Position) -> Option<(u32, i64)> {
    let RecordOffset::Counter { field: "queueOffset", value } = position.offset else { return None };
    let Some(Scalar::Text(queue)) = position.partition.0.get("queueId") else { return None };
    Some((queue.parse().ok()?, i64::try_from(value).ok()?))
}

impl Show {
    /// Text as it is, anything else as base64.
    fn bytes(&mut self, bytes: &[u8]) -> String {
        let head = bytes.get(..self.bytes_max).unwrap_or(bytes);
        let is_cut = head.len() < bytes.len();
        self.cut |= is_cut;
        match std::str::from_utf8(head) {
            Ok(text) => text.to_owned(),
            // A character in the middle of which it was cut.
            Err(error) if is_cut && error.error_len().is_none() => {
                String::from_utf8_lossy(head.get(..error.valid_up_to()).unwrap_or_default()).into_owned()
            }
            Err(_) => format!("{BASE64}{}", base64::engine::general_purpose::STANDARD.encode(head)),
        }
    }

    fn value(&mut self, value: &Value) -> Option<String> {
        Some(match value {
            Value::Null => return None,
            Value::String(text) => self.bytes(text.as_bytes()),
            Value::Bytes(bytes) => self.bytes(bytes),
            Value::Json(json) => self.bytes(json.text()),
            other => self.json(|out| out.value(other, JSON_DEPTH_MAX)),
        })
    }

    fn json(&mut self, write: impl FnOnce(&mut Json)) -> String {
        let mut out = Json { text: Vec::new(), bytes_max: self.bytes_max, cut: false };
        write(&mut out);
        self.cut |= out.cut;
        // A cut may fall into the middle of a character.
        let end = std::str::from_utf8(&out.text).map_or_else(|error| error.valid_up_to(), str::len);
        out.text.truncate(end);
        String::from_utf8(out.text).unwrap_or_default()
    }

    fn position(&mut self, position: &Position) -> String {
        let offset = position.offset.to_map();
        self.json(|out| {
            out.put(b"{\"partition\":");
            out.object(position.partition.0.iter(), |out, value| out.scalar(value));
            out.put(b",\"offset\":");
            out.object(offset.iter(), |out, value| out.scalar(value));
            out.put(b"}");
        })
    }

    /// Of many or long ones the first.
    fn properties<'p>(&mut self, pairs: impl Iterator<Item = (&'p [u8], &'p [u8])>) -> Vec<(String, String)> {
        let (mut shown, mut bytes) = (Vec::new(), 0usize);
        for (name, value) in pairs {
            if shown.len() >= PROPERTIES_MAX || bytes >= self.bytes_max.saturating_mul(2) {
                self.cut = true;
                break;
            }
            let pair = (self.bytes(name), self.bytes(value));
            bytes = bytes.saturating_add(pair.0.len()).saturating_add(pair.1.len());
            shown.push(pair);
        }
        shown
    }
}

/// JSON that ends at a number of bytes.
struct Json {
    text: Vec<u8>,
    bytes_max: usize,
    cut: bool,
}

impl Json {
    fn put(&mut self, bytes: &[u8]) {
        let room = self.bytes_max.saturating_sub(self.text.len());
        self.text.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
        self.cut |= bytes.len() > room;
    }

    fn text(&mut self, text: &[u8]) {
        let head = text.get(..self.bytes_max).unwrap_or(text);
        let mut quoted = Vec::with_capacity(head.len().saturating_add(2));
        write_string(&mut quoted, &String::from_utf8_lossy(head));
        self.put(&quoted);
        self.cut |= head.len() < text.len();
    }

    fn scalar(&mut self, scalar: &Scalar) {
        match scalar {
            Scalar::Null => self.put(b"null"),
            Scalar::Boolean(yes) => self.put(yes.to_string().as_bytes()),
            Scalar::Integer(number) => self.put(number.to_string().as_bytes()),
            Scalar::Float(number) => self.put(java_text::double(*number).as_bytes()),
            Scalar::Text(text) => self.text(text.as_bytes()),
        }
    }

    fn object<'v, K: AsRef<str>, V: 'v>(
        &mut self,
        members: impl Iterator<Item = (K, &'v V)>,
        mut write: impl FnMut(&mut Self, &'v V),
    ) {
        self.put(b"{");
        for (at, (name, value)) in members.enumerate() {
            if self.cut {
                return;
            }
            if at > 0 {
                self.put(b",");
            }
            self.text(name.as_ref().as_bytes());
            self.put(b":");
            write(self, value);
        }
        self.put(b"}");
    }

    fn list<T>(&mut self, items: impl Iterator<Item = T>, mut write: impl FnMut(&mut Self, T)) {
        self.put(b"[");
        for (at, item) in items.enumerate() {
            if self.cut {
                return;
            }
            if at > 0 {
                self.put(b",");
            }
            write(self, item);
        }
        self.put(b"]");
    }

    /// A value that may have so many more levels.
    fn value(&mut self, value: &Value, levels: usize) {
        let Some(levels) = levels.checked_sub(1).filter(|_| !self.cut) else {
            self.cut = true;
            return;
        };
        match value {
            Value::Null => self.put(b"null"),
            Value::String(text) => self.text(text.as_bytes()),
            Value::Bytes(bytes) => {
                let head = bytes.get(..self.bytes_max).unwrap_or(bytes);
                self.text(base64::engine::general_purpose::STANDARD.encode(head).as_bytes());
                self.cut |= head.len() < bytes.len();
            }
            Value::Json(json) => self.put(json.text()),
            Value::Array(values) => self.list(values.iter(), |out, value| out.value(value, levels)),
            Value::Struct(fields) => {
                let members = fields.iter().map(|(field, value)| (&field.name, value));
                self.object(members, |out, value| out.value(value, levels));
            }
            Value::Map(map) if map.has_text_keys() => {
                let name = |key: &Value| match key {
                    Value::String(text) => text.to_str().into_owned(),
                    _ => String::new(),
                };
                self.object(map.iter().map(|(key, value)| (name(key), value)), |out, value| out.value(value, levels));
            }
            Value::Map(map) => self.list(map.iter(), |out, (key, value)| {
                out.list([key, value].into_iter(), |out, value| out.value(value, levels));
            }),
            Value::Decimal(number) if number.as_bigint_and_exponent().0.bits() > NUMBER_BITS_MAX => self.cut = true,
            // Numbers, dates, true and false.
            other => self.put(java_text::value(other).as_bytes()),
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::position::RecordPartition;
    use crate::record::Extensions;
    use crate::schema::{Field, FieldType, Schema};
    use crate::value::{Map, Struct};

    fn shown(value: Value, bytes_max: usize) -> (Option<String>, bool) {
        let one = ConnectRecord { value, ..ConnectRecord::default() };
        let seen = record(&TaskId::new("c", 0), TapStage::Poll, &one, bytes_max);
        (seen.value, seen.cut)
    }

    #[test]
    fn values_are_text_base64_or_json_and_cut_where_the_bound_is() {
        let map = |pairs: Vec<(Value, Value)>| Value::Map(Arc::new(Map::from_pairs(pairs)));
        let list = Value::array(vec![Value::Int32(1), Value::text("a\"b"), Value::Null, Value::Boolean(true)]);
        let cases = [
            (Value::Null, 10, None, false),
            (Value::text("plain"), 5, Some("plain"), false),
            (Value::text("plain"), 4, Some("plai"), true),
            (Value::text("aéé"), 4, Some("aé"), true),
            (Value::text(""), 5, Some(""), false),
            (Value::Bytes(Bytes::from_static(b"text")), 5, Some("text"), false),
            (Value::Bytes(Bytes::from_static(b"\xff\xfe\xfd")), 9, Some("base64://79"), false),
            (Value::Bytes(Bytes::from_static(b"\xff\xfe\xfd\xfc")), 3, Some("base64://79"), true),
            (Value::Int64(-7), 9, Some("-7"), false),
            (list.clone(), 99, Some(r#"[1,"a\"b",null,true]"#), false),
            (list, 6, Some(r#"[1,"a\"#), true),
            (map(vec![(Value::text("k"), Value::Float64(1.5))]), 99, Some(r#"{"k":1.5}"#), false),
            (map(vec![(Value::Int8(1), Value::Date(5))]), 99, Some("[[1,5]]"), false),
        ];
        for (value, bytes_max, text, cut) in cases {
            assert_eq!(shown(value.clone(), bytes_max), (text.map(str::to_owned), cut), "{value:?} to {bytes_max}");
        }
    }

    #[test]
    fn structs_show_their_fields_and_deep_or_endless_values_end() {
        let field = |name: &str| Field::new(name, Schema::optional(FieldType::String));
        let schema = Schema::structure(vec![field("a"), field("b")]);
        let value = Struct::new(Arc::new(schema.clone()), vec![Value::text("x")]);
        let one = ConnectRecord {
            value: Value::Struct(Arc::new(value)),
            schema: Some(Arc::new(schema)),
            ..ConnectRecord::default()
        };
        let seen = record(&TaskId::new("c", 0), TapStage::Put, &one, 99);
        assert_eq!((seen.value.as_deref(), &*seen.schema), (Some(r#"{"a":"x","b":null}"#), "STRUCT"));

        let deep = (0..JSON_DEPTH_MAX + 50).fold(Value::Null, |inner, _| Value::array(vec![inner]));
        assert!(shown(deep, 10_000).1);
        let long = Value::array(vec![Value::text("y".repeat(1000)); 100_000]);
        let (text, cut) = shown(long, 2_500);
        assert!(cut && text.unwrap().len() == 2_500);
    }

    #[test]
    fn places_positions_and_properties_are_told() {
        let task = TaskId::new("c", 1);
        let source = ConnectRecord {
            position: Some(Position {
                partition: Arc::new(RecordPartition::single("filename", "in.txt")),
                offset: RecordOffset::Counter { field: "nextPosition", value: 12 },
            }),
            extensions: Extensions::Message(Bytes::from_static(b"connect-ext-x\x011\x02bin\x01\xff\x02")),
            ..ConnectRecord::default()
        };
        let seen = record(&task, TapStage::Poll, &source, 100);
        let position = r#"{"partition":{"filename":"in.txt"},"offset":{"nextPosition":"12"}}"#;
        assert_eq!((seen.position.as_deref(), seen.place), (Some(position), None));
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(seen.properties, [pair("x", "1"), pair("bin", "base64:/w==")]);

        let pulled = ConnectRecord {
            position: Some(Position {
                partition: Arc::new(RecordPartition::single("queueId", "3")),
                offset: RecordOffset::Counter { field: "queueOffset", value: 9 },
            }),
            ..ConnectRecord::default()
        };
        let seen = record(&task, TapStage::Put, &pulled, 100);
        assert_eq!((seen.position, seen.place), (None, Some((3, 9))));

        let block: Vec<u8> = (0..1000).flat_map(|at| format!("n{at}\u{1}v\u{2}").into_bytes()).collect();
        let topic: Arc<str> = Arc::from("t");
        let parts = MessageParts {
            topic: &topic,
            place: Some((0, 7)),
            timestamp_ms: None,
            key: Some(b"k"),
            body: b"body",
            properties: &block,
        };
        let seen = message(&task, TapStage::Pull, &parts, 1000);
        assert!(seen.cut && seen.properties.len() == PROPERTIES_MAX);
        assert_eq!((seen.key.as_deref(), seen.value.as_deref(), seen.place), (Some("k"), Some("body"), Some((0, 7))));
        assert!(seen.bytes() > 4 && message(&task, TapStage::Pull, &parts, 10).properties.len() < 10);
    }
}
