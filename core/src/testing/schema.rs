//! Random schemas, and values that fit them.

use std::collections::BTreeMap;
use std::sync::Arc;

use bigdecimal::BigDecimal;
use bigdecimal::num_bigint::BigInt;
use bytes::Bytes;
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

use crate::schema::{DECIMAL_SCALE, Field, FieldType, Logical, Schema};
use crate::value::{Map, Struct, Value};

fn name() -> impl Strategy<Value = String> {
    prop_oneof![4 => "[a-z]{1,8}", 1 => "\\PC{1,5}"]
}

fn flat_schema() -> impl Strategy<Value = Schema> {
    let plain = FieldType::ALL
        .into_iter()
        .filter(|kind| !matches!(kind, FieldType::Array | FieldType::Map | FieldType::Struct));
    prop_oneof![
        3 => prop::sample::select(plain.collect::<Vec<_>>()).prop_map(Schema::optional),
        1 => prop::sample::select(vec![Logical::Date, Logical::Time, Logical::Timestamp]).prop_map(Schema::logical),
        1 => (-3i64..12).prop_map(Schema::decimal),
    ]
}

/// The same schema with whatever does not change its kind.
fn decorated(schema: Schema) -> impl Strategy<Value = Schema> {
    let names = (prop::option::of(name()), prop::option::of(name()), prop::option::of(any::<i32>()));
    (any::<bool>(), names, btree_map(name(), ".{0,5}", 0..3)).prop_map(move |(optional, (name, doc, version), more)| {
        let mut schema = Schema { optional, doc: doc.map(Arc::from), ..schema.clone() };
        if schema.logical_type().is_none() {
            schema.name = name.map(Arc::from);
            schema.version = version;
        }
        let more = more.into_iter().filter(|(name, _)| name != DECIMAL_SCALE);
        schema.parameters.extend(more.map(|(name, text)| (Arc::from(name), Arc::from(text))));
        schema
    })
}

/// The same schema, perhaps with a default.
fn with_default(schema: Schema) -> BoxedStrategy<Arc<Schema>> {
    let required = Arc::new(Schema { optional: false, ..schema.clone() });
    let plain = Arc::new(schema.clone());
    let default =
        value_of(&required).prop_map(move |value| Arc::new(Schema { default: Some(value), ..schema.clone() }));
    prop_oneof![3 => Just(plain), 1 => default].boxed()
}

/// Schemas of every kind.
pub(crate) fn schema() -> impl Strategy<Value = Arc<Schema>> {
    let flat = flat_schema().prop_flat_map(decorated).prop_flat_map(with_default);
    flat.prop_recursive(3, 16, 5, |inner| {
        let fields = vec((name(), inner.clone()), 0..5).prop_map(|fields| {
            let unique: BTreeMap<_, _> = fields.into_iter().collect();
            Schema::structure(unique.into_iter().rev().map(|(name, schema)| Field::new(name, schema)).collect())
        });
        let text = Arc::new(Schema::optional(FieldType::String));
        prop_oneof![
            inner.clone().prop_map(Schema::array),
            inner.clone().prop_map(move |values| Schema::map(text.clone(), values)),
            (inner.clone(), inner).prop_map(|(keys, values)| Schema::map(keys, values)),
            fields,
        ]
        .prop_flat_map(decorated)
        .prop_map(Arc::new)
    })
}

/// Values that fit a schema and that JSON has a form for; no null where a default would take its place.
pub(crate) fn value_of(schema: &Arc<Schema>) -> BoxedStrategy<Value> {
    let some = some_value_of(schema);
    if schema.optional && schema.default.is_none() {
        prop_oneof![4 => some, 1 => Just(Value::Null)].boxed()
    } else {
        some
    }
}

fn some_value_of(schema: &Arc<Schema>) -> BoxedStrategy<Value> {
    if let Some(logical) = schema.logical_type() {
        return logical_value(schema, logical);
    }
    match schema.field_type {
        FieldType::Int8 => any::<i8>().prop_map(Value::Int8).boxed(),
        FieldType::Int16 => any::<i16>().prop_map(Value::Int16).boxed(),
        FieldType::Int32 => any::<i32>().prop_map(Value::Int32).boxed(),
        FieldType::Int64 => any::<i64>().prop_map(Value::Int64).boxed(),
        FieldType::Float32 => {
            any::<f32>().prop_filter("no form", |one| one.is_finite()).prop_map(Value::Float32).boxed()
        }
        FieldType::Float64 => {
            any::<f64>().prop_filter("no form", |one| one.is_finite()).prop_map(Value::Float64).boxed()
        }
        FieldType::Boolean => any::<bool>().prop_map(Value::Boolean).boxed(),
        FieldType::String => any::<String>().prop_map(Value::text).boxed(),
        FieldType::Bytes => vec(any::<u8>(), 0..20).prop_map(|bytes| Value::Bytes(Bytes::from(bytes))).boxed(),
        FieldType::Array => vec(value_of(schema.value_schema.as_ref().unwrap()), 0..5).prop_map(Value::array).boxed(),
        FieldType::Map => {
            let keys = schema.key_schema.as_ref().unwrap();
            // Names in an object can't be null.
            let key = if keys.field_type == FieldType::String { some_value_of(keys) } else { value_of(keys) };
            let pairs = vec((key, value_of(schema.value_schema.as_ref().unwrap())), 0..5);
            pairs.prop_map(|pairs| Value::Map(Arc::new(Map::from_pairs(pairs)))).boxed()
        }
        FieldType::Struct => {
            let shape = schema.clone();
            let fields: Vec<_> = schema.fields.iter().map(|field| value_of(&field.schema)).collect();
            fields.prop_map(move |values| Value::Struct(Arc::new(Struct::new(shape.clone(), values)))).boxed()
        }
    }
}

fn logical_value(schema: &Schema, logical: Logical) -> BoxedStrategy<Value> {
    match logical {
        Logical::Date => any::<i32>().prop_map(|days| Value::Date(i64::from(days) * 86_400_000)).boxed(),
        Logical::Time => (0..=86_400_000i64).prop_map(Value::Date).boxed(),
        Logical::Timestamp => any::<i64>().prop_map(Value::Date).boxed(),
        Logical::Decimal => {
            let scale = schema.decimal_scale().unwrap();
            let number = move |unscaled: i128| Value::Decimal(Box::new(BigDecimal::new(BigInt::from(unscaled), scale)));
            any::<i128>().prop_map(number).boxed()
        }
    }
}

/// A schema and a value that fits it.
pub(crate) fn schema_and_value() -> impl Strategy<Value = (Arc<Schema>, Value)> {
    schema().prop_flat_map(|schema| {
        let value = value_of(&schema);
        (Just(schema), value)
    })
}
