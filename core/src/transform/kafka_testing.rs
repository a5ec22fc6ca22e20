//! Helpers for the tests of these transforms, and the proof that the way over JSON text gives what the way over maps gives.

use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;

use super::Outcome;
use crate::chain::Chain;
use crate::config::Properties;
use crate::error::{Result, Retry, Stage};
use crate::json::{decode, write_value};
use crate::position::{Position, RecordOffset, RecordPartition, Scalar};
use crate::record::ConnectRecord;
use crate::schema::{Field, FieldType, Schema};
use crate::value::{Map, Struct, Value};

/// The forms in which the same fields can come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    Struct,
    MapWithSchema,
    Map,
    Json,
}

impl Form {
    pub const ALL: [Self; 4] = [Self::Struct, Self::MapWithSchema, Self::Map, Self::Json];

    /// The value of a JSON text in this form, and its schema.
    pub fn of(self, text: &str) -> (Value, Option<Arc<Schema>>) {
        let json = decode(Bytes::copy_from_slice(text.as_bytes())).unwrap();
        let map = json.clone().into_parsed();
        match self {
            Self::Json => (json, None),
            Self::Map => (map, None),
            Self::MapWithSchema => {
                let Value::Map(pairs) = &map else {
                    let schema = schema_of(&map);
                    return (map, schema.map(Arc::new));
                };
                let values = pairs.iter().find_map(|(_, value)| schema_of(value)).unwrap_or(text_schema());
                (map, Some(Arc::new(Schema::map(text_schema(), values))))
            }
            Self::Struct => {
                let value = structured(&map);
                let schema = schema_of(&value);
                (value, schema.map(Arc::new))
            }
        }
    }
}

fn text_schema() -> Schema {
    Schema::optional(FieldType::String)
}

/// Maps as structs, all the way down.
fn structured(value: &Value) -> Value {
    let Value::Map(map) = value else { return value.clone() };
    let mut fields = Vec::new();
    let mut values = Vec::new();
    for (key, value) in map.iter() {
        let Value::String(name) = key else { panic!("a JSON object has text keys") };
        let value = structured(value);
        fields.push(Field::new(name.to_str().as_ref(), schema_of(&value).unwrap_or(text_schema())));
        values.push(value);
    }
    Value::Struct(Arc::new(Struct::new(Arc::new(Schema::structure(fields)), values)))
}

fn schema_of(value: &Value) -> Option<Schema> {
    Some(match value {
        Value::Null => return None,
        Value::Boolean(_) => Schema::optional(FieldType::Boolean),
        Value::Int32(_) => Schema::optional(FieldType::Int32),
        Value::Int64(_) => Schema::optional(FieldType::Int64),
        Value::Float64(_) => Schema::optional(FieldType::Float64),
        Value::Decimal(_) => Schema::decimal(0),
        Value::String(_) => text_schema(),
        Value::Array(values) => Schema::array(values.iter().find_map(schema_of).unwrap_or(text_schema())),
        Value::Map(map) => {
            Schema::map(text_schema(), map.iter().find_map(|(_, value)| schema_of(value)).unwrap_or(text_schema()))
        }
        Value::Struct(fields) => fields.schema().as_ref().clone(),
        other => panic!("no JSON text gives a {}", other.kind()),
    })
}

/// A struct of one field.
pub fn struct_of(name: &str, schema: Schema, value: Value) -> (Value, Option<Arc<Schema>>) {
    let schema = Arc::new(Schema::structure(vec![Field::new(name, schema)]));
    (Value::Struct(Arc::new(Struct::new(schema.clone(), vec![value]))), Some(schema))
}

/// A struct of one field that is null and has a default.
pub fn with_default(name: &str, default: Value) -> (Value, Option<Arc<Schema>>) {
    let schema = Schema { default: Some(default.clone()), ..schema_of(&default).unwrap() };
    struct_of(name, schema, Value::Null)
}

/// A record as a source gives it.
pub fn record(value: Value) -> ConnectRecord {
    ConnectRecord { topic: Some("topic".into()), value, ..ConnectRecord::default() }
}

/// A record as a sink gets it.
pub fn consumed(value: Value, queue: &str, offset: u64) -> ConnectRecord {
    let text = |text: &str| Scalar::Text(text.to_owned());
    let partition = [("topic", text("topic")), ("brokerName", text("broker")), ("queueId", text(queue))];
    let partition = RecordPartition(partition.map(|(name, value)| (name.to_owned(), value)).into());
    let offset = RecordOffset::Counter { field: "queueOffset", value: offset };
    let position = Some(Position { partition: Arc::new(partition), offset });
    ConnectRecord { position, timestamp_ms: Some(1_234_567_890_123), ..record(value) }
}

fn properties(class: &str, keys: &[(&str, &str)]) -> Properties {
    let own = keys.iter().map(|(key, text)| (format!("transforms.t.{key}"), (*text).to_owned()));
    let head = [("transforms", "t"), ("transforms.t.type", class)];
    head.map(|(key, text)| (key.to_owned(), text.to_owned())).into_iter().chain(own).collect()
}

/// A chain of one transform.
pub fn build(class: &str, keys: &[(&str, &str)]) -> Chain {
    let full = format!("org.apache.kafka.connect.transforms.{class}");
    Chain::from_config(&properties(&full, keys)).unwrap()
}

/// The keys that are wrong.
pub fn config_faults(class: &str, keys: &[(&str, &str)]) -> Vec<String> {
    let wrong = Chain::from_config(&properties(class, keys)).err().expect("the configuration is wrong");
    wrong.0.into_iter().map(|error| error.key).collect()
}

/// What becomes of a record with this value, or this key if the class says so.
pub fn apply_to(
    class: &str,
    keys: &[(&str, &str)],
    value: Value,
    schema: Option<Arc<Schema>>,
) -> Result<ConnectRecord> {
    let mut record = match class.ends_with("$Key") {
        true => ConnectRecord { key: value, key_schema: schema, ..consumed(Value::text("other"), "3", 70) },
        false => ConnectRecord { value, schema, ..consumed(Value::Null, "3", 70) },
    };
    build(class, keys).apply(&mut record)?;
    if class.ends_with("$Key") {
        assert_eq!((&record.value, &record.schema), (&Value::text("other"), &None));
    } else if class.ends_with("$Value") {
        assert_eq!((&record.key, &record.key_schema), (&Value::Null, &None));
    }
    Ok(record)
}

/// Checks a transform of keys and values: in each form, `before` becomes `after`.
pub fn check(class: &str, keys: &[(&str, &str)], before: &str, after: &str) {
    for form in Form::ALL {
        check_form(form, class, keys, before, after);
    }
}

/// The same for one form.
pub fn check_form(form: Form, class: &str, keys: &[(&str, &str)], before: &str, after: &str) {
    for target in ["$Key", "$Value"] {
        let (value, schema) = form.of(before);
        let record = apply_to(&format!("{class}{target}"), keys, value, schema)
            .unwrap_or_else(|error| panic!("{form:?} {before}: {error}"));
        let (value, schema) = match target {
            "$Key" => (record.key, record.key_schema),
            _ => (record.value, record.schema),
        };
        assert_eq!(plain(&value), after, "{form:?} {class}{target} {before}");
        assert_fitting(&value, schema.as_ref());
    }
}

/// A value must be what its schema says.
fn assert_fitting(value: &Value, schema: Option<&Arc<Schema>>) {
    match (value, schema) {
        (Value::Struct(fields), Some(schema)) => {
            assert!(Arc::ptr_eq(fields.schema(), schema) || fields.schema() == schema);
            for (field, value) in fields.iter() {
                assert!(super::named_fields::fits(&field.schema, value), "{} {value:?}", field.name);
            }
        }
        (Value::Map(map), Some(schema)) => {
            let values = schema.value_schema.as_ref().unwrap();
            assert!(map.iter().all(|(_, value)| super::named_fields::fits(values, value)), "{value:?}");
        }
        (Value::Struct(_), None) => panic!("a struct without a schema"),
        (_, Some(schema)) => assert!(super::named_fields::fits(schema, value), "{value:?}"),
        (_, None) => {}
    }
}

/// Checks that in these forms the record is bad, for a reason that holds `reason`.
pub fn fails(forms: &[Form], class: &str, keys: &[(&str, &str)], before: &str, reason: &str) {
    let (factory, _) = crate::registry::find_transform(class).unwrap();
    for form in forms {
        for target in if factory.targets { &["$Key", "$Value"][..] } else { &[""] } {
            let (value, schema) = form.of(before);
            let error = apply_to(&format!("{class}{target}"), keys, value, schema).err();
            let error = error.unwrap_or_else(|| panic!("{form:?} {class}{target} {before} did not fail"));
            assert!(error.to_string().contains(reason), "{form:?} {error}");
            assert_eq!((error.stage(), error.retry()), (Stage::Transform, Retry::BadRecord));
            assert_eq!(error.class(), Some(factory.java_class));
        }
    }
}

/// A record's extensions as `name=value`.
pub fn headers(record: &ConnectRecord) -> Vec<String> {
    let pairs = record.extensions.to_pairs();
    pairs.iter().map(|(name, value)| format!("{}={}", name.to_str(), value.to_str())).collect()
}

/// A value as JSON text, structs as objects and dates as their milliseconds.
pub fn plain(value: &Value) -> String {
    let mut out = Vec::new();
    write_value(&mut out, &unstructured(value)).unwrap();
    String::from_utf8(out).unwrap()
}

/// All of a value taken apart, without structs and dates, and with whole numbers as wide as they need to be.
fn unstructured(value: &Value) -> Value {
    let whole = |number: i64| i32::try_from(number).map_or(Value::Int64(number), Value::Int32);
    match value {
        Value::Json(json) => unstructured(&json.parse()),
        Value::Date(time_ms) => whole(*time_ms),
        Value::Int8(number) => whole((*number).into()),
        Value::Int16(number) => whole((*number).into()),
        Value::Int64(number) => whole(*number),
        Value::Decimal(number)
            if number.sign() == bigdecimal::num_bigint::Sign::NoSign && number.as_bigint_and_exponent().1 == 0 =>
        {
            Value::Int32(0)
        }
        Value::Array(values) => Value::array(values.iter().map(unstructured).collect()),
        Value::Map(map) => {
            Value::Map(Arc::new(map.iter().map(|(key, value)| (unstructured(key), unstructured(value))).collect()))
        }
        Value::Struct(fields) => {
            let pairs = fields.iter().map(|(field, value)| (Value::text(&*field.name), unstructured(value)));
            Value::Map(Arc::new(pairs.collect::<Map>()))
        }
        other => other.clone(),
    }
}

fn name() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["a", "b", "c", "d", r"\u0061", r#"a\""#, "é"])
}

fn blank() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["", "", "", " ", "\n\t"])
}

/// The text of a JSON value, with blanks, escapes and members of one name.
fn json_text() -> impl Strategy<Value = String> {
    let numbers = vec!["0", "-7", "300", "7000000000", "99999999999999999999", "1.50", "-0.0", "1e3", "1234567890123"];
    let texts = vec![r#""""#, r#""x""#, r#""12""#, r#""true""#, r#""é\n\u0041""#, r#""2020-02-29""#];
    let words = vec!["true", "false", "null", "null"];
    let flat = prop::sample::select([numbers, texts, words].concat()).prop_map(str::to_owned);
    flat.prop_recursive(3, 24, 5, |inner| {
        let member = (blank(), name(), blank(), inner.clone())
            .prop_map(|(a, name, b, value)| format!("{a}\"{name}\"{b}:{a}{value}{b}"));
        let object = prop::collection::vec(member, 0..5).prop_map(|members| format!("{{{}}}", members.join(",")));
        let array = prop::collection::vec(inner, 0..3).prop_map(|values| format!("[{}]", values.join(" ,")));
        prop_oneof![4 => object, 1 => array]
    })
}

/// One transform with its keys, on whatever half.
fn step() -> impl Strategy<Value = (String, Vec<(&'static str, &'static str)>)> {
    let steps: Vec<(&str, Vec<(&'static str, &'static str)>)> = vec![
        ("ReplaceField", vec![("exclude", "a"), ("renames", "b:x")]),
        ("ReplaceField", vec![("include", "a,b,x"), ("renames", "a:b,b:a")]),
        ("ReplaceField", vec![("renames", "c:b,d:b")]),
        ("MaskField", vec![("fields", "a,b,é")]),
        ("MaskField", vec![("fields", "c,f"), ("replacement", "12")]),
        ("MaskField", vec![("fields", "b,d"), ("replacement", "7000000000")]),
        ("MaskField", vec![("fields", "a"), ("replacement", "x\"y")]),
        ("InsertField", vec![("topic.field", "a"), ("offset.field", "f!"), ("partition.field", "p?")]),
        ("InsertField", vec![("static.field", "d"), ("static.value", "s\n"), ("timestamp.field", "t")]),
        ("ExtractField", vec![("field", "a")]),
        ("ExtractField", vec![("field", "x")]),
        ("HoistField", vec![("field", "a")]),
        ("HoistField", vec![("field", "h\"")]),
        ("ValueToKey", vec![("fields", "a,b,d")]),
        ("HeaderFrom", vec![("fields", "a,d"), ("headers", "h,topic"), ("operation", "copy")]),
        ("HeaderFrom", vec![("fields", "b,c"), ("headers", "h,i"), ("operation", "move")]),
        ("Cast", vec![("spec", "a:string,b:int64,c:boolean")]),
        ("Cast", vec![("spec", "a:int8,d:float32,t:string")]),
        ("Cast", vec![("spec", "string")]),
        ("Flatten", vec![("delimiter", ".")]),
        ("Flatten", vec![("delimiter", "")]),
        ("TimestampConverter", vec![("field", "a"), ("target.type", "string"), ("format", "yyyy-MM-dd")]),
        ("TimestampConverter", vec![("field", "t"), ("target.type", "unix"), ("unix.precision", "seconds")]),
        ("TimestampConverter", vec![("field", "b"), ("target.type", "Date"), ("format", "yyyy-MM-dd")]),
        ("TimestampRouter", vec![]),
        ("DropHeaders", vec![("headers", "h")]),
        ("InsertHeader", vec![("header", "i"), ("value.literal", "v")]),
    ];
    (prop::sample::select(steps), prop::sample::select(vec!["$Key", "$Value", "$Value"])).prop_map(
        |((class, keys), target)| {
            let targets = crate::registry::find_transform(class).unwrap().0.targets;
            (if targets { format!("{class}{target}") } else { class.to_owned() }, keys)
        },
    )
}

/// The outcome and all that can be seen of a record.
fn seen(chain: &Chain, mut record: ConnectRecord) -> Option<(Outcome, String)> {
    let outcome = chain.apply(&mut record).ok()?;
    let halves = [&record.key, &record.value].map(|value| format!("{:?}", unstructured(value)));
    let schemas = (&record.key_schema, &record.schema);
    Some((outcome, format!("{:?} {halves:?} {schemas:?} {:?}", record.topic, headers(&record))))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]
    #[test]
    fn json_text_and_its_map_have_the_same_fate(
        key in json_text(),
        value in json_text(),
        steps in prop::collection::vec(step(), 1..5),
        pulled: bool,
    ) {
        let mut config = Properties::new();
        let names: Vec<String> = (0..steps.len()).map(|at| format!("t{at}")).collect();
        config.insert("transforms".to_owned(), names.join(","));
        for (name, (class, keys)) in names.iter().zip(&steps) {
            config.insert(format!("transforms.{name}.class"), class.clone());
            config.extend(keys.iter().map(|(key, text)| (format!("transforms.{name}.{key}"), (*text).to_owned())));
        }
        let chain = Chain::from_config(&config).unwrap();
        let record = |form: Form| {
            let record = if pulled { consumed(Value::Null, "3", 70) } else { record(Value::Null) };
            ConnectRecord { key: form.of(&key).0, value: form.of(&value).0, timestamp_ms: Some(70_000), ..record }
        };
        prop_assert_eq!(seen(&chain, record(Form::Json)), seen(&chain, record(Form::Map)), "{:?}", steps);
    }
}
