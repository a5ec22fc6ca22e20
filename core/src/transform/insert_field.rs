//! `InsertField`: gives keys or values fields that tell where and when a record came from, or a fixed one.
//!
//! Partition and offset are a message's queue and queue offset, which only a sink knows. On a source the partition is
//! left out, and the offset is an error, as in Kafka Connect.

use std::sync::Arc;

use super::named_fields::REPLACE_NULL;
use super::named_fields::{
    NamedFields, Needle, SchemaCache, bad, exact_json, is_consumed, keep_if_fits, parsed, read, replaced, topic_of,
    untrimmed, with_fields,
};
use super::{Outcome, Target, Transform, TransformConfig};
use crate::config::Properties;
use crate::config::key::{ConfigError, ConfigErrors, ConfigKey, KeyKind};
use crate::error::Result;
use crate::json::{Editor, Json};
use crate::position::{Position, RecordOffset, Scalar};
use crate::record::ConnectRecord;
use crate::registry::TransformFactory;
use crate::schema::{Field, FieldType, Logical, Schema};
use crate::value::{Map, Struct, Text, Value};

const WHO: &str = "InsertField";

const fn key(name: &'static str, doc: &'static str) -> ConfigKey {
    ConfigKey { name, aliases: &[], kind: KeyKind::Text, default: Some(""), unit: "", doc }
}

const TOPIC: ConfigKey = key(
    "topic.field",
    "Name of a field for the topic. Here and with the other fields `!` at its end makes it required (a record that has \
     nothing to put there is bad), `?` or nothing optional.",
);
const PARTITION: ConfigKey =
    key("partition.field", "Name of a field for the number of the message queue; sinks only, left out on sources.");
const OFFSET: ConfigKey = key("offset.field", "Name of a field for the queue offset; sinks only, an error on sources.");
const TIMESTAMP: ConfigKey = key(
    "timestamp.field",
    "Name of a field for the record's time: a Timestamp in a struct, milliseconds since 1970-01-01 UTC in a map.",
);
const STATIC: ConfigKey = key("static.field", "Name of a field for `static.value`.");
const STATIC_VALUE: ConfigKey = key("static.value", "The text for `static.field`.");

/// What is put in a field.
enum Source {
    Topic,
    Partition,
    Offset,
    Timestamp,
    Fixed(Text),
}

impl Source {
    /// The value for a record; none if the record doesn't know it.
    fn value(&self, record: &ConnectRecord) -> Result<Option<Value>> {
        Ok(match self {
            Self::Topic => match topic_of(record) {
                Some(topic) => Some(Value::String(topic)),
                None => return Err(bad(format!("{WHO}: the record has no topic"))),
            },
            Self::Partition if is_consumed(record) => Some(Value::Int32(queue(record)?)),
            Self::Partition => None,
            Self::Offset => Some(Value::Int64(offset(record)?)),
            Self::Timestamp => record.timestamp_ms.map(Value::Int64),
            Self::Fixed(text) => Some(Value::String(text.clone())),
        })
    }

    fn schema(&self) -> Schema {
        match self {
            Self::Topic | Self::Fixed(_) => Schema::optional(FieldType::String),
            Self::Partition => Schema::optional(FieldType::Int32),
            Self::Offset => Schema::optional(FieldType::Int64),
            Self::Timestamp => Schema::logical(Logical::Timestamp),
        }
    }
}

/// The number of the queue that a record came from.
fn queue(record: &ConnectRecord) -> Result<i32> {
    let queue = record.position.as_ref().and_then(|position| position.partition.0.get("queueId"));
    let number = match queue {
        Some(Scalar::Text(text)) => text.parse().ok(),
        Some(Scalar::Integer(number)) => i32::try_from(*number).ok(),
        _ => None,
    };
    number.ok_or_else(|| bad(format!("{WHO}: the record's queue is no number")))
}

/// The queue offset of a record.
fn offset(record: &ConnectRecord) -> Result<i64> {
    match &record.position {
        Some(Position { offset: RecordOffset::Counter { value, .. }, .. }) if is_consumed(record) => {
            i64::try_from(*value).map_err(|_| bad(format!("{WHO}: the queue offset is beyond 64 bits")))
        }
        _ => Err(bad(format!("{WHO}: only a sink's record has an offset"))),
    }
}

struct Insertion {
    name: Needle,
    required: bool,
    source: Source,
}

struct InsertField {
    target: Target,
    insertions: Vec<Insertion>,
    replace_null: bool,
    schemas: SchemaCache<Arc<Schema>>,
}

impl InsertField {
    /// The values to put in, in the order of the insertions.
    fn values(&self, record: &ConnectRecord) -> Result<Vec<Option<Value>>> {
        let mut values = Vec::with_capacity(self.insertions.len());
        for insertion in &self.insertions {
            let value = insertion.source.value(record)?;
            if value.is_none() && insertion.required {
                return Err(bad(format!("{WHO}: there is nothing to put in the field \"{}\"", insertion.name.name)));
            }
            values.push(value);
        }
        Ok(values)
    }

    fn schema(&self, old: &Schema) -> Result<Arc<Schema>> {
        let mut fields = old.fields.clone();
        for Insertion { name, required, source } in &self.insertions {
            fields.push(Field::new(name.name.as_str(), Schema { optional: !required, ..source.schema() }));
        }
        with_fields(old, fields)
    }

    fn of_struct(&self, old: &Struct, new_values: Vec<Option<Value>>) -> Result<Struct> {
        let schema = self.schemas.get(old.schema(), |old| self.schema(old))?;
        let mut values = Vec::with_capacity(schema.fields.len());
        values.extend(old.iter().map(|(field, value)| read(&field.schema, value, self.replace_null)));
        for (insertion, value) in self.insertions.iter().zip(new_values) {
            values.push(match (&insertion.source, value) {
                (Source::Timestamp, Some(Value::Int64(time_ms))) => Value::Date(time_ms),
                (_, value) => value.unwrap_or_default(),
            });
        }
        Ok(Struct::new((*schema).clone(), values))
    }

    fn of_map(&self, mut map: Arc<Map>, new_values: Vec<Option<Value>>, schema: &mut Option<Arc<Schema>>) -> Arc<Map> {
        let into = Arc::make_mut(&mut map);
        for (insertion, value) in self.insertions.iter().zip(new_values) {
            if let Some(value) = value {
                keep_if_fits(schema, &value);
                into.insert(Value::text(insertion.name.name.as_str()), value);
            }
        }
        map
    }

    /// The object's text with the fields in it; none if a value has no JSON text of its own.
    fn of_text(&self, old: &Json, new_values: &[Option<Value>]) -> Option<Json> {
        let mut json = old.clone();
        let mut more = Vec::with_capacity(new_values.len());
        let mut more_bytes = 1usize;
        for (insertion, value) in self.insertions.iter().zip(new_values) {
            let Some(value) = value else { continue };
            let (name, raw) = (&insertion.name, exact_json(value)?);
            if name.is_in(old) {
                json = replaced(&json, &name.name, &raw);
            } else {
                more_bytes = more_bytes.saturating_add(name.name.len()).saturating_add(raw.len()).saturating_add(4);
                more.push((name, raw));
            }
        }
        if more.is_empty() {
            return Some(json);
        }
        let mut editor = Editor::of(&json, more_bytes);
        for (name, raw) in more {
            editor.put(&name.name, &raw);
        }
        Some(editor.finish())
    }
}

impl Transform for InsertField {
    fn apply(&self, record: &mut ConnectRecord) -> Result<Outcome> {
        if self.target.of(record).0.is_null() {
            return Ok(Outcome::Keep);
        }
        let new_values = self.values(record);
        let (value, schema) = self.target.of_mut(record);
        let Some(fields) = NamedFields::take(WHO, value, schema.as_ref())? else { return Ok(Outcome::Keep) };
        let new_values = new_values?;
        *value = match fields {
            NamedFields::Struct(old) => {
                let new = self.of_struct(&old, new_values)?;
                *schema = Some(new.schema().clone());
                Value::Struct(Arc::new(new))
            }
            NamedFields::Map(old) => Value::Map(self.of_map(old, new_values, schema)),
            NamedFields::Json(old) => match self.of_text(&old, &new_values) {
                Some(json) => Value::Json(json),
                None => Value::Map(self.of_map(parsed(&old), new_values, schema)),
            },
        };
        Ok(Outcome::Keep)
    }
}

/// What a key asks to insert.
fn insertion(key: &ConfigKey, properties: &Properties, source: Source) -> Option<Insertion> {
    let text = key.text(properties).filter(|text| !text.is_empty())?;
    let (name, required) = match (text.strip_suffix('!'), text.strip_suffix('?')) {
        (Some(name), _) => (name, true),
        (None, Some(name)) => (name, false),
        (None, None) => (text, false),
    };
    Some(Insertion { name: Needle::new(name), required, source })
}

fn build(config: &TransformConfig) -> Result<Box<dyn Transform>, ConfigErrors> {
    let properties = &config.properties;
    let fixed = Source::Fixed(untrimmed(&STATIC_VALUE, properties).into());
    let all = [
        (&TOPIC, Source::Topic),
        (&PARTITION, Source::Partition),
        (&OFFSET, Source::Offset),
        (&TIMESTAMP, Source::Timestamp),
        (&STATIC, fixed),
    ];
    let mut insertions: Vec<Insertion> = Vec::new();
    for (key, source) in all {
        let Some(insertion) = insertion(key, properties, source) else { continue };
        let name = &insertion.name.name;
        if name.is_empty() || insertions.iter().any(|other| other.name.name == *name) {
            let message = format!("Config {} is \"{name}\", expected a name that no other field has", key.name);
            return Err(ConfigError::new(key.name, message).into());
        }
        if matches!(insertion.source, Source::Fixed(_)) && !properties.contains_key(STATIC_VALUE.name) {
            let message = format!("Config {} is needed with {}", STATIC_VALUE.name, key.name);
            return Err(ConfigError::new(STATIC_VALUE.name, message).into());
        }
        insertions.push(insertion);
    }
    if insertions.is_empty() {
        let message = format!("Config {} and the other fields are all empty, expected one of them", TOPIC.name);
        return Err(ConfigError::new(TOPIC.name, message).into());
    }
    Ok(Box::new(InsertField {
        target: config.target.unwrap_or(Target::Value),
        insertions,
        replace_null: REPLACE_NULL.boolean(properties),
        schemas: SchemaCache::default(),
    }))
}

inventory::submit! {
    TransformFactory {
        name: "insert-field",
        java_class: "org.apache.rocketmq.connect.transforms.InsertField",
        aliases: &["org.apache.kafka.connect.transforms.InsertField"],
        targets: true,
        doc: "Puts where and when a record came from, or a fixed text, into fields of the key or value. A null stays null.",
        keys: &[TOPIC, PARTITION, OFFSET, TIMESTAMP, STATIC, STATIC_VALUE, REPLACE_NULL],
        build,
    }
}

#[cfg(test)]
mod tests {
    use super::super::kafka_testing::{
        Form, apply_to, build, check, check_form, config_faults, fails, plain, record, with_default,
    };
    use super::*;

    const ALL: &[(&str, &str)] = &[
        ("topic.field", "t!"),
        ("partition.field", "p?"),
        ("offset.field", "o"),
        ("timestamp.field", "m"),
        ("static.field", "s"),
        ("static.value", " v\" "),
    ];

    #[test]
    fn all_that_a_pulled_record_knows_is_put_in() {
        let after = r#"{"a":"x","t":"topic","p":3,"o":70,"m":1234567890123,"s":" v\" "}"#;
        check("InsertField", ALL, r#"{"a":"x"}"#, after);
        check("InsertField", ALL, "null", "null");
        fails(&Form::ALL, "InsertField", ALL, "7", "InsertField needs a struct or a map, not a value of kind int32");
        for form in [Form::Map, Form::Json] {
            check_form(form, "InsertField", &[("topic.field", "a")], "{}", r#"{"a":"topic"}"#);
        }
    }

    #[test]
    fn a_field_that_is_there_is_replaced_in_a_map_and_an_error_in_a_struct() {
        let keys = &[("static.field", "a"), ("static.value", "new"), ("topic.field", "z")];
        for form in [Form::MapWithSchema, Form::Map, Form::Json] {
            check_form(form, "InsertField", keys, r#"{"a":"x","b":"a"}"#, r#"{"a":"new","b":"a","z":"topic"}"#);
        }
        fails(&[Form::Struct], "InsertField", keys, r#"{"a":"x"}"#, "two fields would be called \"a\"");
    }

    #[test]
    fn a_map_whose_values_no_longer_fit_loses_its_schema() {
        for (field, kept) in [("topic.field", true), ("offset.field", false)] {
            let (value, schema) = Form::MapWithSchema.of(r#"{"a":"x"}"#);
            let record = apply_to("InsertField$Value", &[(field, "f")], value, schema.clone()).unwrap();
            assert_eq!(record.schema, schema.filter(|_| kept));
        }
    }

    #[test]
    fn a_struct_gets_fields_as_optional_as_asked() {
        let (value, schema) = Form::Struct.of(r#"{"a":"x"}"#);
        let record = apply_to("InsertField$Value", ALL, value, schema).unwrap();
        let schema = record.schema.unwrap();
        let required: Vec<_> = schema.fields.iter().filter(|field| !field.schema.optional).collect();
        assert_eq!(required.iter().map(|field| &*field.name).collect::<Vec<_>>(), ["t"]);
        assert_eq!(schema.field("m").unwrap().schema.logical_type(), Some(Logical::Timestamp));
    }

    #[test]
    fn a_source_has_no_partition_and_no_offset() {
        let apply = |keys: &[(&str, &str)], form: Form| {
            let (value, schema) = form.of(r#"{"a":"x"}"#);
            let mut record = ConnectRecord { schema, ..record(value) };
            build("InsertField$Value", keys).apply(&mut record).map(|_| plain(&record.value))
        };
        for form in Form::ALL {
            let partition = apply(&[("partition.field", "p"), ("timestamp.field", "m")], form).unwrap();
            let nulls = if form == Form::Struct { r#"{"a":"x","p":null,"m":null}"# } else { r#"{"a":"x"}"# };
            assert_eq!(partition, nulls, "{form:?}");
            for (key, reason) in [
                (("partition.field", "p!"), "nothing to put in the field \"p\""),
                (("timestamp.field", "m!"), "nothing to put in the field \"m\""),
                (("offset.field", "o"), "only a sink's record has an offset"),
            ] {
                assert!(apply(&[key], form).unwrap_err().to_string().contains(reason), "{key:?}");
            }
        }
    }

    #[test]
    fn wrong_configurations_are_named() {
        for (keys, fault) in [
            (&[][..], "topic.field"),
            (&[("static.field", "a")], "static.value"),
            (&[("topic.field", "!")], "topic.field"),
            (&[("topic.field", "a!"), ("offset.field", "a")], "offset.field"),
        ] {
            assert_eq!(config_faults("InsertField$Key", keys), [format!("transforms.t.{fault}")]);
        }
    }

    #[test]
    fn a_null_becomes_the_default_if_wished() {
        for (replace, expected) in [("true", r#"{"a":5,"t":"topic"}"#), ("false", r#"{"a":null,"t":"topic"}"#)] {
            let (value, schema) = with_default("a", Value::Int32(5));
            let keys = [("topic.field", "t"), ("replace.null.with.default", replace)];
            assert_eq!(plain(&apply_to("InsertField$Value", &keys, value, schema).unwrap().value), expected);
        }
    }
}
