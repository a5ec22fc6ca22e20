use bigdecimal::BigDecimal;
use proptest::prelude::*;
use serde_json::Value as Oracle;

use super::*;
use crate::error::Retry;
use crate::java_text;
use crate::schema::{Field, FieldType, Logical};
use crate::testing::json::{json_text, mutation, plain_value};
use crate::testing::schema::schema_and_value;
use crate::value::{Map, Struct};

fn with(pairs: &[(&str, &str)]) -> Box<dyn Converter> {
    build(&pairs.iter().map(|(key, text)| ((*key).to_owned(), (*text).to_owned())).collect()).unwrap()
}

fn encoded(converter: &dyn Converter, schema: Option<&Schema>, value: &Value) -> String {
    String::from_utf8(converter.encode("t", schema, value).unwrap().unwrap().to_vec()).unwrap()
}

fn refused_value(schema: &Schema, value: &Value) -> String {
    let error = with(&[]).encode("t", Some(schema), value).unwrap_err();
    assert_eq!((error.retry(), error.class(), error.stage()), (Retry::BadRecord, Some(CLASS), Stage::Convert));
    error.to_string()
}

fn decoded(body: &str) -> Result<SchemaAndValue> {
    with(&[]).decode("t", Some(Bytes::copy_from_slice(body.as_bytes())))
}

fn refused_body(body: &str) -> String {
    let error = decoded(body).unwrap_err();
    assert_eq!((error.retry(), error.class()), (Retry::BadRecord, Some(CLASS)));
    error.to_string()
}

/// The value of a payload under a schema, both as JSON.
fn payload(schema: &str, payload: &str) -> Value {
    decoded(&format!("{{\"schema\":{schema},\"payload\":{payload}}}")).unwrap().value
}

fn decimal(text: &str) -> Value {
    Value::Decimal(Box::new(text.parse::<BigDecimal>().unwrap()))
}

fn map(pairs: Vec<(Value, Value)>) -> Value {
    Value::Map(Arc::new(Map::from_pairs(pairs)))
}

fn structure(schema: &Schema, values: Vec<Value>) -> Value {
    Value::Struct(Arc::new(Struct::new(Arc::new(schema.clone()), values)))
}

/// The struct of the captures.
fn captured_struct() -> Schema {
    let default = Schema { default: Some(Value::text("dflt")), ..Schema::optional(FieldType::String) };
    Schema {
        name: Some(Arc::from("com.x.S")),
        version: Some(2),
        doc: Some(Arc::from("d")),
        parameters: vec![(Arc::from("k"), Arc::from("v"))],
        ..Schema::structure(vec![
            Field::new("zid", Schema::required(FieldType::Int64)),
            Field::new("aname", default),
            Field::new("n", Schema::optional(FieldType::String)),
        ])
    }
}

/// What the Java converter wrote of a schema and a value.
fn captured() -> Vec<(Schema, Value, String)> {
    let flat = |kind, value, name: &str, payload: &str| {
        let body = format!(r#"{{"schema":{{"optional":true,"type":"{name}"}},"payload":{payload}}}"#);
        (Schema::optional(kind), value, body)
    };
    let logical = |logical: Logical, time_ms, kind: &str, payload: i64| {
        let name = logical.schema_name();
        let body = format!(
            r#"{{"schema":{{"type":"{kind}","name":"{name}","version":1,"optional":true}},"payload":{payload}}}"#
        );
        (Schema::logical(logical), Value::Date(time_ms), body)
    };
    let text = Schema::optional(FieldType::String);
    let number = Schema::optional(FieldType::Int32);
    let line = Schema { name: Some(Arc::from("/data/in.txt_line")), ..Schema::required(FieldType::String) };
    let mut all = vec![
        flat(FieldType::Boolean, Value::Boolean(true), "boolean", "true"),
        flat(FieldType::Int8, Value::Int8(-3), "int8", "-3"),
        flat(FieldType::Int16, Value::Int16(300), "int16", "300"),
        flat(FieldType::Int32, Value::Int32(7), "int32", "7"),
        flat(FieldType::Int64, Value::Int64(9_007_199_254_740_993), "int64", "9007199254740993"),
        flat(FieldType::Float32, Value::Float32(1.1), "float", "1.1"),
        flat(FieldType::Float32, Value::Float32(2.0), "float", "2.0"),
        flat(FieldType::Float64, Value::Float64(1.1), "double", "1.1"),
        flat(FieldType::Float64, Value::Float64(2.0), "double", "2.0"),
        flat(FieldType::Float64, Value::Float64(1e30), "double", "1.0E30"),
        flat(FieldType::String, Value::text("x"), "string", "\"x\""),
        flat(FieldType::Bytes, Value::Bytes(Bytes::from_static(&[1, 2, 0xff])), "bytes", "\"AQL/\""),
        flat(FieldType::Int32, Value::Null, "int32", "null"),
        logical(Logical::Date, 3 * 86_400_000, "int32", 3),
        logical(Logical::Time, 3_661_000, "int32", 3_661_000),
        logical(Logical::Timestamp, 1_700_000_000_123, "int64", 1_700_000_000_123),
        (
            Schema::array(number.clone()),
            Value::array(vec![Value::Int32(1), Value::Null, Value::Int32(3)]),
            r#"{"schema":{"optional":true,"type":"array","items":{"optional":true,"type":"int32"}},"payload":[1,null,3]}"#.to_owned(),
        ),
        (
            Schema::map(text.clone(), number.clone()),
            map(vec![(Value::text("zeta"), Value::Int32(1)), (Value::text("a"), Value::Int32(2))]),
            r#"{"schema":{"type":"map","optional":true,"keys":{"type":"string","optional":true},"values":{"type":"int32","optional":true}},"payload":{"zeta":1,"a":2}}"#.to_owned(),
        ),
        (
            Schema::map(number, text),
            map(vec![(Value::Int32(5), Value::text("x")), (Value::Int32(1), Value::text("y"))]),
            r#"{"schema":{"type":"map","optional":true,"keys":{"type":"int32","optional":true},"values":{"type":"string","optional":true}},"payload":[[5,"x"],[1,"y"]]}"#.to_owned(),
        ),
        (
            captured_struct(),
            structure(&captured_struct(), vec![Value::Int64(1), Value::text("dflt"), Value::Null]),
            r#"{"schema":{"type":"struct","name":"com.x.S","version":2,"doc":"d","parameters":{"k":"v"},"optional":true,"fields":[{"field":"zid","type":"int64","optional":false},{"field":"aname","type":"string","optional":true,"default":"dflt"},{"field":"n","type":"string","optional":true}]},"payload":{"zid":1,"aname":"dflt","n":null}}"#.to_owned(),
        ),
        (
            Schema::decimal(4),
            decimal("10.2345"),
            r#"{"schema":{"type":"bytes","name":"io.openmessaging.connector.api.data.logical.Decimal","version":1,"parameters":{"scale":"4"},"optional":true},"payload":"AY/J"}"#.to_owned(),
        ),
    ];
    for text in ["RocketMQ", "Hello", "Connect", ""] {
        let body = format!(
            r#"{{"schema":{{"name":"/data/in.txt_line","optional":false,"type":"string","parameters":{{}}}},"payload":"{text}"}}"#
        );
        all.push((line.clone(), Value::text(text), body));
    }
    all
}

#[test]
fn bodies_are_those_of_the_java_converter() {
    let converter = with(&[]);
    for (schema, value, body) in captured() {
        let ours = encoded(&*converter, Some(&schema), &value);
        let (ours_read, theirs) = (serde_json::from_str::<Oracle>(&ours), serde_json::from_str::<Oracle>(&body));
        assert_eq!(ours_read.unwrap(), theirs.unwrap(), "{ours}");
        // The payload is the same byte for byte.
        let payload = |body: &str| body.rsplit_once("\"payload\":").unwrap().1.to_owned();
        assert_eq!(payload(&ours), payload(&body));
        let back = decoded(&body).unwrap();
        assert_eq!(back, SchemaAndValue { schema: Some(Arc::new(schema)), value }, "{body}");
    }
}

#[test]
fn without_envelopes_a_body_is_the_payload() {
    let converter = with(&[("schemas.enable", "false")]);
    let line = Schema { name: Some(Arc::from("/data/in.txt_line")), ..Schema::required(FieldType::String) };
    for text in ["RocketMQ", "Hello", "Connect", ""] {
        assert_eq!(encoded(&*converter, Some(&line), &Value::text(text)), format!("\"{text}\""));
    }
    let body = Bytes::from_static(br#"{"a": [1, {"b":null}]}"#);
    let back = converter.decode("t", Some(body.clone())).unwrap();
    assert!(matches!(back, SchemaAndValue { schema: None, value: Value::Json(_) }));
    assert_eq!(converter.encode("t", None, &back.value).unwrap().unwrap().as_ptr(), body.as_ptr());
    assert_eq!(converter.decode("t", Some(Bytes::from_static(b"null"))).unwrap(), SchemaAndValue::default());
    for (body, reason) in [("", "the body is empty"), ("{\"a\":}", "at byte 5"), ("[1", "at byte 2")] {
        let error = converter.decode("t", Some(Bytes::from(body))).unwrap_err();
        assert_eq!((error.retry(), error.class()), (Retry::BadRecord, Some(CLASS)));
        assert!(error.to_string().contains(reason), "{error}");
    }
    let error = converter.encode("t", None, &Value::Date(0)).unwrap_err();
    assert_eq!((error.retry(), error.class()), (Retry::BadRecord, Some(CLASS)));
}

#[test]
fn nothing_is_nothing_and_a_null_with_a_schema_is_something() {
    for converter in [with(&[]), with(&[("schemas.enable", "false")])] {
        assert_eq!(converter.encode("t", None, &Value::Null).unwrap(), None);
        assert_eq!(converter.decode("t", None).unwrap(), SchemaAndValue::default());
    }
    assert_eq!(encoded(&*with(&[]), None, &Value::Int32(1)), r#"{"schema":null,"payload":1}"#);
    let plain = decoded(r#" {"payload" : {"a":1}, "schema" : null, "field":"x"} "#).unwrap();
    assert_eq!(plain.schema, None);
    assert!(matches!(plain.value, Value::Json(json) if json.text() == &Bytes::from_static(b"{\"a\":1}")));
}

#[test]
fn decimals_are_written_as_asked_and_read_either_way() {
    let converter = with(&[("decimal.format", "numeric")]);
    for (number, scale, payload) in
        [("10.2345", 4, "10.2345"), ("10.2", 4, "10.2000"), ("-0.00", 2, "0.00"), ("1200", -2, "1.2E+3")]
    {
        let body = encoded(&*converter, Some(&Schema::decimal(scale)), &decimal(number));
        assert!(body.ends_with(&format!("\"payload\":{payload}}}")), "{body}");
        let Value::Decimal(back) = decoded(&body).unwrap().value else { panic!("{body}") };
        assert_eq!((java_text::decimal(&back), back.as_bigint_and_exponent().1), (payload.to_owned(), scale));
    }
    let shape =
        r#"{"type":"bytes","name":"io.openmessaging.connector.api.data.logical.Decimal","parameters":{"scale":2}}"#;
    for (text, expected) in
        [("10", "10.00"), ("1.5", "1.50"), ("1e3", "1000.00"), ("0e99", "0.00"), ("\"Ag==\"", "0.02")]
    {
        let Value::Decimal(number) = payload(shape, text) else { panic!("{text}") };
        assert_eq!(java_text::decimal(&number), expected);
    }
    for (text, reason) in
        [("1.234", "does not fit the scale 2"), ("1e-300", "fit the scale"), ("\"\"", "without bytes")]
    {
        let error = refused_body(&format!("{{\"schema\":{shape},\"payload\":{text}}}"));
        assert!(error.contains(reason), "{error}");
    }
    assert!(refused_value(&Schema::decimal(2), &decimal("1.234")).contains("does not fit the scale 2"));
}

#[test]
fn what_java_can_not_read_is_read() {
    let kind = |name: &str| format!("{{\"type\":\"{name}\",\"field\":\"stray\",\"unknown\":[1]}}");
    for (name, text, value) in [
        ("float", "1.1", Value::Float32(1.1)),
        ("float", "3", Value::Float32(3.0)),
        ("double", "5", Value::Float64(5.0)),
        ("int32", "\"7\"", Value::Int32(7)),
        ("int8", "\"-128\"", Value::Int8(-128)),
        ("boolean", "\"TRUE\"", Value::Boolean(true)),
        ("string", "5.50", Value::text("5.50")),
        ("string", "true", Value::text("true")),
        ("string", "{\"a\": 1}", Value::text("{\"a\": 1}")),
        ("string", "\"\\u00e9\"", Value::text("é")),
        ("bytes", "\"AQ\"", Value::Bytes(Bytes::from_static(&[1]))),
    ] {
        assert_eq!(payload(&kind(name), text), value, "{name} {text}");
    }
}

#[test]
fn nulls_need_a_default_or_leave() {
    let shape = |optional: &str, default: &str| format!("{{\"type\":\"int32\"{optional}{default}}}");
    assert_eq!(payload(&shape(",\"optional\":true", ""), "null"), Value::Null);
    assert_eq!(payload(&shape("", ",\"default\":4"), "null"), Value::Int32(4));
    assert_eq!(payload(&shape(",\"optional\":true", ",\"default\":4"), "null"), Value::Int32(4));
    assert!(!decoded(r#"{"schema":{"type":"int32"},"payload":1}"#).unwrap().schema.unwrap().optional);
    for optional in ["", ",\"optional\":false", ",\"optional\":\"true\""] {
        let error = refused_body(&format!("{{\"schema\":{},\"payload\":null}}", shape(optional, "")));
        assert!(error.contains("payload: null or missing"), "{error}");
    }
    assert!(refused_value(&Schema::required(FieldType::Int32), &Value::Null).contains("requires a value"));
}

#[test]
fn a_default_of_a_struct_survives() {
    let fields = vec![Field::new("a", Schema::required(FieldType::Int32))];
    let plain = Schema::structure(fields.clone());
    let default = structure(&plain, vec![Value::Int32(5)]);
    let inner = Schema { default: Some(default.clone()), ..plain };
    let outer = Schema::structure(vec![Field::new("inner", inner)]);
    let body = encoded(&*with(&[]), Some(&outer), &structure(&outer, vec![Value::Null]));
    assert!(body.ends_with(r#""payload":{"inner":{"a":5}}}"#), "{body}");
    let missing = body.replace(r#""payload":{"inner":{"a":5}}"#, "\"payload\":{}");
    let back = decoded(&missing).unwrap();
    let Value::Struct(fields) = &back.value else { panic!("a struct") };
    assert_eq!(fields.values(), [default]);
    // What was decoded is encoded again to the same.
    assert_eq!(encoded(&*with(&[]), back.schema.as_deref(), &back.value), body);
}

#[test]
fn errors_name_path_and_place() {
    let item = r#"{"type":"struct","fields":[{"field":"price","type":"int32"}]}"#;
    let shape = format!(r#"{{"type":"struct","fields":[{{"field":"items","type":"array","items":{item}}}]}}"#);
    let body = format!(r#"{{"schema":{shape},"payload":{{"items":[{{"price":1}},{{"price":"x"}}]}}}}"#);
    let error = refused_body(&body);
    let place = body.rfind("\"x\"").unwrap();
    let what = "expected a whole number of 64 bits, not this text";
    assert_eq!(error, format!("topic t: payload.items[1].price: {what}, at byte {place} of the body"));

    let item = Schema::structure(vec![Field::new("price", Schema::required(FieldType::Int32))]);
    let outer = Schema::structure(vec![Field::new("items", Schema::array(item.clone()))]);
    let one = |price| structure(&item, vec![price]);
    let value = structure(&outer, vec![Value::array(vec![one(Value::Int32(1)), one(Value::text("secret"))])]);
    let error = refused_value(&outer, &value);
    assert_eq!(error, "topic t: payload.items[1].price: the schema says INT32, the value is of kind string");

    let pairs = Schema::map(Schema::optional(FieldType::Int32), Schema::optional(FieldType::Int8));
    let error = refused_value(&pairs, &map(vec![(Value::Int32(1), Value::Int32(300))]));
    assert_eq!(error, "topic t: payload[0][1]: a number beyond INT8");
}

#[test]
fn malformed_payloads_are_refused() {
    for (kind, text) in [
        ("int8", "128"),
        ("int16", "-32769"),
        ("int32", "2147483648"),
        ("int64", "9223372036854775808"),
        ("int32", "1.0"),
        ("int32", "1e2"),
        ("int32", "true"),
        ("int32", "{}"),
        ("float", "1e39"),
        ("float", "\"1\""),
        ("double", "\"NaN\""),
        ("boolean", "1"),
        ("boolean", "\"yes\""),
        ("bytes", "\"*\""),
        ("bytes", "1"),
        ("bytes", "[1]"),
    ] {
        refused_body(&format!("{{\"schema\":{{\"type\":\"{kind}\"}},\"payload\":{text}}}"));
    }
    let list = r#"{"type":"array","items":{"type":"int32"}}"#;
    let object = r#"{"type":"map","keys":{"type":"string"},"values":{"type":"int32"}}"#;
    let pairs = r#"{"type":"map","keys":{"type":"int32"},"values":{"type":"int32"}}"#;
    let fields = r#"{"type":"struct","fields":[{"field":"a","type":"int32"}]}"#;
    for (schema, texts) in [
        (list, &["{}", "1", "[1,null]"][..]),
        (object, &["[]", "[[1,2]]", "\"x\"", "{\"a\":null}"]),
        (pairs, &["{}", "[1]", "[[1]]", "[[1,2,3]]", "[{}]", "[[]]"]),
        (fields, &["[]", "{}", "{\"a\":null}", "{\"A\":1}", "\"\""]),
    ] {
        for text in texts {
            refused_body(&format!("{{\"schema\":{schema},\"payload\":{text}}}"));
        }
    }
    for logical in [Logical::Date, Logical::Time, Logical::Timestamp] {
        let (kind, name) = if logical == Logical::Timestamp { ("int64", logical) } else { ("int32", logical) };
        let shape = format!("{{\"type\":\"{kind}\",\"name\":\"{}\"}}", name.schema_name());
        for text in ["\"1\"", "1.5", "true", "99999999999999999999"] {
            refused_body(&format!("{{\"schema\":{shape},\"payload\":{text}}}"));
        }
    }
    let time = Schema::logical(Logical::Time);
    assert!(refused_value(&time, &Value::Date(86_400_001)).contains("within a day"));
    assert!(refused_value(&Schema::logical(Logical::Date), &Value::Date(1)).contains("time of day"));
    assert!(refused_value(&Schema::logical(Logical::Date), &Value::Int32(1)).contains("logical Date"));
}

#[test]
fn malformed_envelopes_and_schemas_are_refused() {
    for (body, reason) in [
        ("", "the body is empty"),
        ("null", "the body is a JSON null"),
        ("5", "the body is a JSON int32"),
        ("\"x\"", "the body is a JSON string"),
        ("[1]", "the body is a JSON array"),
        ("{", "malformed JSON at byte 1"),
        ("{}", "without a member schema"),
        ("{\"a\":1}", "without a member schema"),
        ("{\"schema\":null}", "without a member payload"),
        ("{\"payload\":1}", "without a member schema"),
        ("{\"schema\":5,\"payload\":1}", "schema: expected a schema, which is an object, at byte 10 of the body"),
        ("{\"schema\":{},\"payload\":1}", "schema.type: the schema has no type, at byte 10"),
        ("{\"schema\":{\"type\":\"date\"},\"payload\":1}", "schema.type: expected one of int8"),
        ("{\"schema\":{\"type\":7},\"payload\":1}", "schema.type: expected a text, at byte 18"),
        ("{\"schema\":{\"type\":\"array\"},\"payload\":[]}", "schema.items: missing"),
        ("{\"schema\":{\"type\":\"map\",\"keys\":{\"type\":\"int8\"}},\"payload\":[]}", "schema.values: missing"),
        ("{\"schema\":{\"type\":\"struct\"},\"payload\":{}}", "schema.fields: expected a list"),
        (
            "{\"schema\":{\"type\":\"struct\",\"fields\":[{\"type\":\"int8\"}]},\"payload\":{}}",
            "schema.fields[0].field",
        ),
        (
            "{\"schema\":{\"type\":\"struct\",\"fields\":[{\"field\":\"a\",\"type\":\"int8\"},{\"field\":\"a\",\"type\":\"int8\"}]},\"payload\":{}}",
            "schema.fields[1].field: another field has this name",
        ),
        (
            "{\"schema\":{\"type\":\"int8\",\"default\":999},\"payload\":1}",
            "schema.default: a number beyond INT8, at byte 35",
        ),
        ("{\"schema\":{\"type\":\"int8\",\"parameters\":[]},\"payload\":1}", "schema.parameters: expected an object"),
    ] {
        let error = refused_body(body);
        assert!(error.contains(reason), "{body}: {error}");
    }
    // A version that is no whole number of 32 bits is left out, as with Java; `@type` means nothing.
    for version in ["\"1\"", "1.0", "2147483648", "null"] {
        let body = format!(
            "{{\"schema\":{{\"type\":\"int8\",\"version\":{version},\"@type\":\"x\"}},\"payload\":1,\"@type\":\"y\"}}"
        );
        assert_eq!(decoded(&body).unwrap().schema.unwrap().version, None);
    }
}

#[test]
fn values_that_do_not_fit_their_schema_are_refused() {
    let text = Schema::optional(FieldType::String);
    for (schema, value) in [
        (Schema::optional(FieldType::Int8), Value::Int32(128)),
        (Schema::optional(FieldType::Int32), Value::Float64(1.0)),
        (Schema::optional(FieldType::Float32), Value::Float64(1.0)),
        (Schema::optional(FieldType::Boolean), Value::text("true")),
        (text.clone(), Value::Int32(1)),
        (Schema::optional(FieldType::Bytes), Value::text("x")),
        (Schema::optional(FieldType::Array), Value::array(vec![])),
        (Schema::array(text.clone()), map(vec![])),
        (Schema::map(text.clone(), text.clone()), map(vec![(Value::Int32(1), Value::Null)])),
        (Schema::map(text.clone(), text.clone()), Value::array(vec![])),
        (Schema::structure(vec![]), map(vec![])),
        (captured_struct(), structure(&Schema::structure(vec![]), vec![])),
        (
            Schema { optional: false, ..Schema::array(Schema::required(FieldType::String)) },
            Value::array(vec![Value::Null]),
        ),
    ] {
        refused_value(&schema, &value);
    }
    // Text that nobody has taken apart is taken apart by the schema.
    let json = crate::json::decode(Bytes::from_static(b"{\"zid\":5}")).unwrap();
    let body = encoded(&*with(&[]), Some(&captured_struct()), &json);
    assert!(body.ends_with(r#""payload":{"zid":5,"aname":"dflt","n":null}}"#), "{body}");
    refused_value(&Schema::array(text), &json);
    // A narrower number fits.
    assert!(encoded(&*with(&[]), Some(&Schema::optional(FieldType::Int64)), &Value::Int32(5)).ends_with(":5}"));
}

#[test]
fn a_small_body_does_not_become_a_huge_value() {
    let fields: Vec<_> =
        (0..5_000).map(|at| format!("{{\"field\":\"f{at}\",\"type\":\"int8\",\"optional\":true}}")).collect();
    let schema = format!("{{\"type\":\"array\",\"items\":{{\"type\":\"struct\",\"fields\":[{}]}}}}", fields.join(","));
    let body = format!("{{\"schema\":{schema},\"payload\":[{}]}}", vec!["{}"; 2_000].join(","));
    assert!(refused_body(&body).contains("more than 4194304 values"));
    // Fields out of order are found all the same.
    let members: Vec<_> = (0..5_000).rev().map(|at| format!("\"f{at}\":{}", at % 100)).collect();
    let body = format!("{{\"schema\":{schema},\"payload\":[{{{}}}]}}", members.join(","));
    let Value::Array(items) = decoded(&body).unwrap().value else { panic!("a list") };
    assert!(matches!(items.first(), Some(Value::Struct(fields)) if fields.values()[4_999] == Value::Int8(99)));
    let large = "x".repeat(crate::limits::JSON_SCHEMA_BYTES_MAX);
    let body = format!("{{\"schema\":{{\"type\":\"int8\",\"doc\":\"{large}\"}},\"payload\":1}}");
    assert!(refused_body(&body).contains("a schema of more than"));
}

#[test]
fn schemas_are_kept_within_bounds_and_never_mixed_up() {
    let converter = with(&[("schemas.cache.size", "2")]);
    let body = |kind: &str| Bytes::from(format!("{{\"schema\":{{\"type\":\"{kind}\"}},\"payload\":1}}"));
    let first = converter.decode("t", Some(body("int8"))).unwrap().schema.unwrap();
    let again = converter.decode("t", Some(body("int8"))).unwrap().schema.unwrap();
    assert!(Arc::ptr_eq(&first, &again));
    for kind in ["int16", "int32", "int64", "double", "int8"] {
        let decoded = converter.decode("t", Some(body(kind))).unwrap();
        let written = encoded(&*converter, decoded.schema.as_deref(), &decoded.value);
        assert!(written.contains(&format!("\"type\":\"{kind}\"")), "{written}");
    }
    // Another schema at the same address.
    let mut schema = Schema::optional(FieldType::String);
    for name in ["a", "b", "c"] {
        schema.name = Some(Arc::from(name));
        for version in [None, Some(1)] {
            schema.version = version;
            let written = encoded(&*converter, Some(&schema), &Value::text("x"));
            assert_eq!(decoded(&written).unwrap().schema.unwrap(), Arc::new(schema.clone()));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(384))]

    #[test]
    fn what_is_encoded_decodes_to_the_same((schema, value) in schema_and_value(), numeric: bool) {
        let converter = with(&[("decimal.format", if numeric { "NUMERIC" } else { "BASE64" })]);
        let body = converter.encode("t", Some(&schema), &value).unwrap().unwrap();
        prop_assert!(serde_json::from_slice::<Oracle>(&body).is_ok());
        let back = converter.decode("t", Some(body.clone())).unwrap();
        prop_assert_eq!(java_text::value(&back.value), java_text::value(&value));
        prop_assert_eq!(&back, &SchemaAndValue { schema: Some(schema), value });
        // Once more, from what was decoded and with the schema's text at hand.
        let again = converter.encode("t", back.schema.as_deref(), &back.value).unwrap().unwrap();
        prop_assert_eq!(again, body);
    }

    #[test]
    fn without_a_schema_values_survive_too(value in plain_value()) {
        for enable in ["true", "false"] {
            let converter = with(&[("schemas.enable", enable)]);
            let body = converter.encode("t", None, &value).unwrap();
            let back = converter.decode("t", body).unwrap();
            prop_assert_eq!(back.schema, None);
            prop_assert_eq!(back.value.into_parsed(), value.clone());
        }
    }

    #[test]
    fn any_envelope_is_decoded_or_refused(
        (schema, value) in schema_and_value(),
        mutations in prop::collection::vec(mutation(), 1..4),
        other in json_text(),
    ) {
        let converter = with(&[]);
        let body = converter.encode("t", Some(&schema), &value).unwrap().unwrap();
        let mutated = mutations.iter().fold(body.to_vec(), |body, mutation| mutation.of(&body));
        let text = std::str::from_utf8(&body).unwrap();
        let schema_text = text.split_once("\"schema\":").unwrap().1.rsplit_once(",\"payload\":").unwrap().0;
        let strange = format!("{{\"schema\":{schema_text},\"payload\":{other}}}");
        for body in [Bytes::from(mutated), Bytes::from(strange)] {
            match converter.decode("t", Some(body)) {
                Ok(back) => drop(converter.encode("t", back.schema.as_deref(), &back.value).unwrap()),
                Err(error) => prop_assert_eq!(error.retry(), Retry::BadRecord),
            }
        }
    }
}
