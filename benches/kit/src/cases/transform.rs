//! Every transform and predicate, on JSON text without a schema and on structs, and a chain of three.
//!
//! A transform changes its record, so each call gets a record of its own: a copy of handles, about the same for all.

use std::hint::black_box;
use std::sync::Arc;

use bytes::Bytes;
use rmqc_core::chain::Chain;
use rmqc_core::config::Properties;
use rmqc_core::json::decode;
use rmqc_core::record::{ConnectRecord, Extensions};
use rmqc_core::registry::find_predicate;
use rmqc_core::schema::{Field, FieldType, Schema};
use rmqc_core::value::{Struct, Value};

use super::codec::rich_block;
use super::convert::converter;
use super::{JSON_SIZES, NOW_MS, TOPIC};
use crate::case::Case;
use crate::json_records::{DROPPED, FILTERED, INNER, NEW_NAME, OUTER, RENAMED, records};

/// A transform's keys.
type Keys = &'static [(&'static str, &'static str)];

/// Transforms that work on a record's value: name, class, keys.
const OF_VALUES: [(&str, &str, Keys); 19] = [
    ("filter-transform", "org.apache.rocketmq.connect.file.FilterTransform", &[]),
    ("cast", "Cast$Value", &[("spec", "id:string,ok:string")]),
    ("change-case", "ChangeCase$Value", &[("from", "LOWER_CAMEL"), ("to", "UPPER_UNDERSCORE")]),
    ("extract-field", "ExtractField$Value", &[("field", OUTER)]),
    (
        "extract-nested-field",
        "ExtractNestedField$Value",
        &[("input.outer.field.name", OUTER), ("input.inner.field.name", INNER), ("output.field.name", INNER)],
    ),
    ("flatten", "Flatten$Value", &[]),
    ("header-from", "HeaderFrom$Value", &[("fields", FILTERED), ("headers", FILTERED), ("operation", "copy")]),
    ("hoist-field", "HoistField$Value", &[("field", "whole")]),
    ("insert-field", "InsertField$Value", &[("static.field", "source"), ("static.value", "bench")]),
    ("mask-field", "MaskField$Value", &[("fields", FILTERED)]),
    ("pattern-filter", "PatternFilter$Value", &[("pattern", DROPPED), ("fields", FILTERED)]),
    ("pattern-rename", "PatternRename$Value", &[("field.pattern", "^ok$"), ("field.replacement", NEW_NAME)]),
    ("replace-field", "ReplaceField$Value", &[("exclude", "id"), ("renames", "ok:healthy")]),
    ("set-maximum-precision", "SetMaximumPrecision$Value", &[("precision.max", "10")]),
    ("set-null", "SetNull$Value", &[]),
    ("set-schema-metadata", "SetSchemaMetadata$Value", &[("schema.name", "orders.Value"), ("schema.version", "2")]),
    (
        "timestamp-converter",
        "TimestampConverter$Value",
        &[("field", "id"), ("target.type", "string"), ("format", "yyyy-MM-dd'T'HH:mm:ss.SSS")],
    ),
    ("value-to-key", "ValueToKey", &[("fields", "id")]),
    ("filter", "Filter", &[]),
];
/// Transforms that don't look at the value.
const OF_RECORDS: [(&str, &str, Keys); 4] = [
    ("drop-headers", "DropHeaders", &[("headers", "colour")]),
    ("insert-header", "InsertHeader", &[("header", "source"), ("value.literal", "bench")]),
    ("regex-router", "RegexRouter", &[("regex", "file(.*)"), ("replacement", "lines$1")]),
    ("timestamp-router", "TimestampRouter", &[]),
];
const PREDICATES: [(&str, Keys); 3] = [
    ("has-header-key", &[("name", "colour")]),
    ("record-is-tombstone", &[]),
    ("topic-name-matches", &[("pattern", "file.*")]),
];

pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, class, keys) in OF_VALUES {
        // Only structs have a schema that could tell a precision or be given a name.
        if !matches!(name, "set-maximum-precision" | "set-schema-metadata") {
            cases.push(applied(format!("{name}_json_{}", JSON_SIZES[0]), class, keys, json_record));
        }
        cases.push(applied(format!("{name}_struct"), class, keys, struct_record));
    }
    for (name, class, keys) in OF_RECORDS {
        cases.push(applied(format!("{name}_any"), class, keys, json_record));
    }
    for (name, keys) in PREDICATES {
        cases.push(Case::each("predicate", name, move || {
            let keys: Properties = keys.iter().map(|(key, text)| ((*key).to_owned(), (*text).to_owned())).collect();
            let predicate = (find_predicate(name).unwrap().build)(&keys).unwrap();
            let record = json_record();
            move || predicate.test(black_box(&record)).unwrap()
        }));
    }
    cases.extend(JSON_SIZES.into_iter().map(chain_of_three));
    cases
}

fn applied(name: String, class: &'static str, keys: Keys, record: fn() -> ConnectRecord) -> Case {
    Case::each("transform", name, move || {
        let (chain, record) = (chain(&[(class, keys)]), record());
        move || {
            let mut record = black_box(&record).clone();
            chain.apply(&mut record).unwrap();
            record
        }
    })
}

/// JSON in, a filter, a rename, an extraction, JSON out: what a connector that looks into its records does.
fn chain_of_three(size: usize) -> Case {
    let names = ["pattern-filter", "pattern-rename", "extract-nested-field"];
    let of =
        |name: &str| OF_VALUES.into_iter().find(|(known, ..)| *known == name).map(|(_, class, keys)| (class, keys));
    let steps: Vec<(&'static str, Keys)> = names.into_iter().filter_map(of).collect();
    let body = records(size)[0].clone();
    Case::each("chain", format!("json_three_{size}"), move || {
        let (chain, converter, body) = (chain(&steps), converter("json", &[("schemas.enable", "false")]), body.clone());
        move || {
            let value = converter.decode(TOPIC, Some(black_box(&body).clone())).unwrap().value;
            let mut record = ConnectRecord { value, ..ConnectRecord::default() };
            chain.apply(&mut record).unwrap();
            converter.encode(TOPIC, None, &record.value).unwrap()
        }
    })
}

/// A chain of these transforms: classes and their keys.
///
/// # Panics
/// When there is no such chain.
pub fn chain(steps: &[(&str, Keys)]) -> Chain {
    let names: Vec<String> = (0..steps.len()).map(|at| format!("step{at}")).collect();
    let mut config = Properties::from([("transforms".to_owned(), names.join(","))]);
    for (name, (class, keys)) in names.iter().zip(steps) {
        config.insert(format!("transforms.{name}.class"), (*class).to_owned());
        config.extend(keys.iter().map(|(key, text)| (format!("transforms.{name}.{key}"), (*text).to_owned())));
    }
    Chain::from_config(&config).expect("the chain")
}

fn record(value: Value, schema: Option<Arc<Schema>>) -> ConnectRecord {
    ConnectRecord {
        topic: Some(Arc::from(TOPIC)),
        value,
        schema,
        extensions: Extensions::Message(rich_block()),
        timestamp_ms: Some(NOW_MS),
        ..ConnectRecord::default()
    }
}

fn json_record() -> ConnectRecord {
    record(decode(records(JSON_SIZES[0])[0].clone()).unwrap(), None)
}

/// The same fields as in the JSON records, and a decimal that is not there.
fn struct_record() -> ConnectRecord {
    let field = |name: &str, kind| Field::new(name, Schema::optional(kind));
    let made = |fields, values| {
        let schema = Arc::new(Schema::structure(fields));
        (schema.clone(), Value::Struct(Arc::new(Struct::new(schema, values))))
    };
    let text =
        |text: &'static str| Value::String(rmqc_core::value::Text::from_bytes(Bytes::from_static(text.as_bytes())));
    let (geo_schema, geo) = made(
        vec![field("city", FieldType::String), field("lat", FieldType::Float64), field("lon", FieldType::Float64)],
        vec![text("Lisbon"), Value::Float64(38.72), Value::Float64(-9.14)],
    );
    let (user_schema, user) = made(
        vec![field("id", FieldType::Int32), Field::new("geo", geo_schema), field(INNER, FieldType::String)],
        vec![Value::Int32(100), geo, text("Porto")],
    );
    let (schema, value) = made(
        vec![
            field("id", FieldType::Int64),
            field(FILTERED, FieldType::String),
            Field::new(OUTER, user_schema),
            field("body", FieldType::String),
            field(RENAMED, FieldType::Boolean),
            Field::new("amount", Schema::decimal(2)),
        ],
        vec![
            Value::Int64(1_000_000),
            text("INFO"),
            user,
            text("the quick brown fox"),
            Value::Boolean(true),
            Value::Null,
        ],
    );
    record(value, Some(schema))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chain_of_three_does_its_work() {
        let case = chain_of_three(JSON_SIZES[0]);
        case.prepare()();
        let record = {
            let steps: Vec<(&str, Keys)> = OF_VALUES
                .iter()
                .filter(|(name, ..)| name.contains("nested"))
                .map(|(_, class, keys)| (*class, *keys))
                .collect();
            let mut record = json_record();
            chain(&steps).apply(&mut record).unwrap();
            converter("json", &[("schemas.enable", "false")]).encode(TOPIC, None, &record.value).unwrap().unwrap()
        };
        assert!(record.ends_with(br#","city":"Porto"}"#), "{record:?}");
    }
}
