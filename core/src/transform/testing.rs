//! Tables for transforms: a configuration, a value as JSON text, and what must come of it, on every kind of value that
//! has fields and on both halves of a record.

use std::sync::Arc;

use bytes::Bytes;

use super::{Outcome, Target};
use crate::chain::Chain;
use crate::config::Properties;
use crate::json::{decode, write_value};
use crate::record::ConnectRecord;
use crate::registry::find_transform;
use crate::schema::{Field, FieldType, Schema};
use crate::value::{Struct, Value};

/// A way to hold an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    Struct,
    MapWithSchema,
    Map,
    Json,
}

pub(crate) const SHAPES: [Shape; 4] = [Shape::Struct, Shape::MapWithSchema, Shape::Map, Shape::Json];
/// All but STRUCT.
pub(crate) const MAPS: [Shape; 3] = [Shape::MapWithSchema, Shape::Map, Shape::Json];

/// Checks what a transform makes of a value in all shapes and, where its class names a half, of both halves. `expected`
/// is the value as compact JSON text, `drop`, or `error: ` and a part of the message.
pub(crate) fn check(class: &str, keys: &[(&str, &str)], input: &str, expected: &str) {
    check_shapes(&SHAPES, class, keys, input, expected);
}

/// The same in some shapes only.
pub(crate) fn check_shapes(shapes: &[Shape], class: &str, keys: &[(&str, &str)], input: &str, expected: &str) {
    let (factory, _) = find_transform(&format!("{class}$Value")).or_else(|| find_transform(class)).unwrap();
    let targets: &[Target] = if factory.targets { &[Target::Key, Target::Value] } else { &[Target::Value] };
    for (shape, target) in shapes.iter().flat_map(|shape| targets.iter().map(move |target| (*shape, *target))) {
        let class = if factory.targets { format!("{class}${target:?}") } else { class.to_owned() };
        let (value, schema) = shaped(shape, input);
        let mut record = record_of(target, value, schema);
        let came = outcome(&chain(&class, keys), &mut record, target);
        let name = format!("{class} {keys:?} on {shape:?} {input}");
        match expected.strip_prefix("error: ") {
            Some(part) => assert!(came.starts_with("error: ") && came.contains(part), "{name}: {came}"),
            None => assert_eq!(came, expected, "{name}"),
        }
        // The other half and the schema fit still.
        let other = if target == Target::Key { Target::Value } else { Target::Key };
        assert_eq!(other.of(&record), (&Value::text("other"), None), "{name}");
        if let (Value::Struct(fields), schema) = target.of(&record) {
            assert_eq!(Some(fields.schema()), schema, "{name}");
        }
    }
}

/// A chain of one transform.
pub(crate) fn chain(class: &str, keys: &[(&str, &str)]) -> Chain {
    let own = keys.iter().map(|(key, value)| (format!("transforms.t.{key}"), (*value).to_owned()));
    let class = [("transforms", "t"), ("transforms.t.class", class)].map(|(k, v)| (k.to_owned(), v.to_owned()));
    let config: Properties = class.into_iter().chain(own).collect();
    Chain::from_config(&config).unwrap_or_else(|errors| panic!("{errors}"))
}

/// A record with a value in one half, and the text `other` in the other.
pub(crate) fn record_of(target: Target, value: Value, schema: Option<Arc<Schema>>) -> ConnectRecord {
    let other = Value::text("other");
    match target {
        Target::Key => ConnectRecord { key: value, key_schema: schema, value: other, ..ConnectRecord::default() },
        Target::Value => ConnectRecord { key: other, value, schema, ..ConnectRecord::default() },
    }
}

/// Applies a chain, and gives what came of one half: its JSON text, `drop`, or `error: ` and the message.
pub(crate) fn outcome(chain: &Chain, record: &mut ConnectRecord, target: Target) -> String {
    match chain.apply(record) {
        Ok(Outcome::Drop) => "drop".to_owned(),
        Ok(Outcome::Keep) => json_text(target.of(record).0),
        Err(error) => {
            assert_eq!(error.retry(), crate::error::Retry::BadRecord, "{error}");
            format!("error: {error}")
        }
    }
}

/// A value as JSON text; structs as objects.
pub(crate) fn json_text(value: &Value) -> String {
    let mut out = Vec::new();
    write_value(&mut out, &plain(value)).unwrap();
    String::from_utf8(out).unwrap()
}

/// The value with all structs and JSON texts in it as maps and lists.
pub(crate) fn plain(value: &Value) -> Value {
    match value {
        Value::Struct(fields) => {
            let pairs = fields.iter().map(|(field, value)| (Value::text(&*field.name), plain(value)));
            Value::Map(Arc::new(pairs.collect()))
        }
        Value::Map(map) => Value::Map(Arc::new(map.iter().map(|(key, value)| (plain(key), plain(value))).collect())),
        Value::Array(values) => Value::array(values.iter().map(plain).collect()),
        Value::Json(json) => plain(&json.parse()),
        other => other.clone(),
    }
}

/// A value of JSON text in a shape, with its schema. What is no object is the same in all shapes.
pub(crate) fn shaped(shape: Shape, text: &str) -> (Value, Option<Arc<Schema>>) {
    let value = decode(Bytes::copy_from_slice(text.as_bytes())).unwrap();
    let Value::Json(json) = &value else { return (value, None) };
    match shape {
        Shape::Struct if json.is_object() => {
            let value = structured(&json.parse());
            let schema = schema_of(&value);
            (value, Some(schema))
        }
        Shape::MapWithSchema if json.is_object() => {
            let text = Schema::optional(FieldType::String);
            (json.parse(), Some(Arc::new(Schema::map(text.clone(), text))))
        }
        Shape::Map => (json.parse(), None),
        _ => (value, None),
    }
}

/// Maps as structs, all the way down.
fn structured(value: &Value) -> Value {
    let Value::Map(map) = value else { return value.clone() };
    let pairs: Vec<_> = map.iter().map(|(name, value)| (json_name(name), structured(value))).collect();
    let fields = pairs.iter().map(|(name, value)| Field::new(name.as_str(), schema_of(value))).collect();
    let schema =
        Schema { name: Some("test".into()), version: Some(3), doc: Some("d".into()), ..Schema::structure(fields) };
    let values = pairs.into_iter().map(|(_, value)| value).collect();
    Value::Struct(Arc::new(Struct::new(Arc::new(schema), values)))
}

fn json_name(name: &Value) -> String {
    match name {
        Value::String(text) => text.to_str().into_owned(),
        other => panic!("{other:?}"),
    }
}

fn schema_of(value: &Value) -> Arc<Schema> {
    let field_type = match value {
        Value::Struct(fields) => return fields.schema().clone(),
        Value::Array(values) => return Arc::new(Schema::array(schema_of(values.first().unwrap_or(&Value::Null)))),
        Value::Boolean(_) => FieldType::Boolean,
        Value::Int32(_) => FieldType::Int32,
        Value::Int64(_) => FieldType::Int64,
        Value::Float64(_) => FieldType::Float64,
        _ => FieldType::String,
    };
    Arc::new(Schema::optional(field_type))
}
