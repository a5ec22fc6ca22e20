//! Transforms of one half of a record: on every shape, on both halves.

use std::str::FromStr as _;
use std::sync::Arc;

use bigdecimal::BigDecimal;

use crate::schema::{Field, FieldType, Schema};
use crate::transform::Target;
use crate::transform::testing::{MAPS, Shape, chain, check, check_shapes, outcome, record_of};
use crate::value::{Struct, Value};

/// Values without fields, which every transform of fields refuses, and null, which passes.
fn check_wrong_kinds(class: &str, keys: &[(&str, &str)]) {
    for (input, kind) in
        [("\"x\"", "string"), ("1", "int32"), ("true", "boolean"), ("1.5", "float64"), ("[{\"a\":1}]", "array")]
    {
        let expected =
            format!("error: org.apache.rocketmq.connect.transforms.{class} can't work on a value of kind {kind}");
        check(class, keys, input, &expected);
    }
    check(class, keys, "null", "null");
    check(class, keys, "{}", "{}");
}

#[test]
fn change_case() {
    let keys: &[_] = &[("from", "LOWER_UNDERSCORE"), ("to", "lower_camel")];
    for (input, expected) in [
        (r#"{"user_name":"x","id":1}"#, r#"{"userName":"x","id":1}"#),
        (r#"{"id":1,"b":{"inner_name":2}}"#, r#"{"id":1,"b":{"inner_name":2}}"#),
        (r#"{"a_b":null,"é_ü":[1]}"#, r#"{"aB":null,"éü":[1]}"#),
    ] {
        check("ChangeCase", keys, input, expected);
    }
    // On maps the last of two stays, at the first one's place; a struct can't hold both.
    check_shapes(&MAPS, "ChangeCase", keys, r#"{"a_b":1,"x":2,"a__b":3}"#, r#"{"aB":3,"x":2}"#);
    check_shapes(
        &[Shape::Struct],
        "ChangeCase",
        keys,
        r#"{"a_b":1,"a__b":3}"#,
        "error: would give two fields the name aB",
    );
    check_wrong_kinds("ChangeCase", keys);
}

#[test]
fn pattern_rename() {
    let keys: &[_] = &[("field.pattern", "^user([_-])(.*)$"), ("field.replacement", "u$1$2")];
    for (input, expected) in [
        (r#"{"user_name":"x","id":1,"user-id":2}"#, r#"{"u_name":"x","id":1,"u-id":2}"#),
        (r#"{"id":1,"b":{"user_name":2}}"#, r#"{"id":1,"b":{"user_name":2}}"#),
        (r#"{ "user_a" : null , "z":[ 1 ] }"#, r#"{"u_a":null,"z":[1]}"#),
    ] {
        check("PatternRename", keys, input, expected);
    }
    let flagged: &[_] =
        &[("field.pattern", "B"), ("field.pattern.flags", "CASE_INSENSITIVE, DOTALL"), ("field.replacement", "\\$")];
    check("PatternRename", flagged, r#"{"abBa":1,"c":2}"#, r#"{"a$$a":1,"c":2}"#);
    let literal: &[_] = &[("field.pattern", "a.b"), ("field.pattern.flags", "LITERAL"), ("field.replacement", "x\"y")];
    check("PatternRename", literal, r#"{"a.b":1,"axb":2}"#, r#"{"x\"y":1,"axb":2}"#);
    let all: &[_] = &[("field.pattern", ".+"), ("field.replacement", "same")];
    check_shapes(&MAPS, "PatternRename", all, r#"{"a":1,"b":2}"#, r#"{"same":2}"#);
    check_shapes(
        &[Shape::Struct],
        "PatternRename",
        all,
        r#"{"a":1,"b":2}"#,
        "error: would give two fields the name same",
    );
    check_wrong_kinds("PatternRename", keys);
}

#[test]
fn pattern_filter() {
    let keys: &[_] = &[("pattern", "(?i)drop.*"), ("fields", "a, b")];
    for (input, expected) in [
        (r#"{"a":"drop it"}"#, "drop"),
        (r#"{"x":1,"a":"keep","b":"DROP"}"#, "drop"),
        (r#"{"a":"don't drop","b":"x"}"#, r#"{"a":"don't drop","b":"x"}"#),
        (r#"{"c":"drop"}"#, r#"{"c":"drop"}"#),
        (r#"{"a":null,"b":[1]}"#, r#"{"a":null,"b":[1]}"#),
        (r#"{"a":{"a":"drop"}}"#, r#"{"a":{"a":"drop"}}"#),
        (r#"{"a":"\u0064rop"}"#, "drop"),
    ] {
        check("PatternFilter", keys, input, expected);
    }
    check_shapes(&[Shape::Json], "PatternFilter", keys, r#"{"a":"drop","a":"keep"}"#, r#"{"a":"keep"}"#);
    check("PatternFilter", &[("pattern", r"(\d)\1"), ("fields", "n")], r#"{"n":11}"#, r#"{"n":11}"#);
    check_wrong_kinds("PatternFilter", keys);
}

#[test]
fn endless_patterns_are_bad_records() {
    let keys: &[_] = &[("pattern", r"(?:(a|aa)\1?)+b"), ("fields", "a")];
    check("PatternFilter", keys, &format!(r#"{{"a":"{}"}}"#, "a".repeat(200)), "error: steps back");
}

#[test]
fn extract_nested_field() {
    let keys: &[_] = &[("input.outer.field.name", "o"), ("input.inner.field.name", "i")];
    for (input, expected) in [
        (r#"{"o":{"i":5,"j":6},"x":1}"#, r#"{"o":{"i":5,"j":6},"x":1,"i":5}"#),
        (r#"{"o":{"i":{"k":[1,"a"]}}}"#, r#"{"o":{"i":{"k":[1,"a"]}},"i":{"k":[1,"a"]}}"#),
        (r#"{"o":{"i":null}}"#, r#"{"o":{"i":null},"i":null}"#),
        (r#"{"o":{"i":1},"i":2}"#, "error: can't add the field i"),
        (r#"{"o":"text"}"#, "error: needs a struct or map in the field o, not string"),
        (r#"{"o":[1]}"#, "error: needs a struct or map in the field o, not array"),
    ] {
        check("ExtractNestedField", keys, input, expected);
    }
    for (input, missing) in
        [(r#"{"o":{"j":1}}"#, "finds no field i"), (r#"{"x":1}"#, "finds no field o"), (r#"{"o":null}"#, "not null")]
    {
        check_shapes(&[Shape::Struct], "ExtractNestedField", keys, input, &format!("error: {missing}"));
        check_shapes(&MAPS, "ExtractNestedField", keys, input, input);
    }
    let named: &[_] =
        &[("input.outer.field.name", "o"), ("input.inner.field.name", "i"), ("output.field.name", "o\"i")];
    check("ExtractNestedField", named, r#"{"i":0,"o":{"i":1}}"#, r#"{"i":0,"o":{"i":1},"o\"i":1}"#);
    for (input, kind) in [("\"x\"", "string"), ("1", "int32"), ("[1]", "array")] {
        check(
            "ExtractNestedField",
            keys,
            input,
            &format!("error: ExtractNestedField can't work on a value of kind {kind}"),
        );
    }
    check("ExtractNestedField", keys, "null", "null");
    check_shapes(&MAPS, "ExtractNestedField", keys, "{}", "{}");
}

#[test]
fn set_null() {
    for input in ["null", "1", "\"x\"", "[1]", r#"{"a":1}"#] {
        check("SetNull", &[], input, "null");
        check("SetNull", &[("field.pattern", "(")], input, "null");
    }
}

fn decimal(parameters: &[(&str, &str)]) -> Schema {
    let more = parameters.iter().map(|(name, value)| (Arc::from(*name), Arc::from(*value)));
    let mut schema = Schema::decimal(2);
    schema.parameters.extend(more);
    Schema { doc: Some("kept".into()), optional: false, ..schema }
}

#[test]
fn precision_is_lowered_and_values_stay() {
    let lowering = chain("SetMaximumPrecision$Value", &[("precision.max", "32")]);
    let of = |schema: Schema| {
        let fields = vec![Field::new("d", schema), Field::new("s", Schema::optional(FieldType::String))];
        let schema =
            Arc::new(Schema { name: Some("n".into()), version: Some(7), optional: false, ..Schema::structure(fields) });
        let number = Value::Decimal(Box::new(BigDecimal::from_str("123.45").unwrap()));
        let value = Value::Struct(Arc::new(Struct::new(schema.clone(), vec![number, Value::Null])));
        record_of(Target::Value, value, Some(schema))
    };
    let cases = [
        (decimal(&[]), decimal(&[("connect.decimal.precision", "32")])),
        (decimal(&[("connect.decimal.precision", "38")]), decimal(&[("connect.decimal.precision", "32")])),
        (decimal(&[("connect.decimal.precision", "8")]), decimal(&[("connect.decimal.precision", "8")])),
        (Schema::optional(FieldType::Bytes), Schema::optional(FieldType::Bytes)),
    ];
    for (before, after) in cases {
        let mut record = of(before);
        lowering.apply(&mut record).unwrap();
        assert_eq!(record, of(after));
    }
    let mut record = of(decimal(&[("connect.decimal.precision", "many")]));
    assert!(outcome(&lowering, &mut record, Target::Value).contains("many"));
}

#[test]
fn precision_of_maps() {
    let keys: &[_] = &[("precision.max", "10")];
    check("SetMaximumPrecision", keys, r#"{"a":1,"b":"x"}"#, r#"{"a":1,"b":"x"}"#);
    check_wrong_kinds("SetMaximumPrecision", keys);
    let schema = Schema::map(Schema::optional(FieldType::String), decimal(&[]));
    let mut record = record_of(Target::Key, Value::Map(Arc::default()), Some(Arc::new(schema)));
    chain("SetMaximumPrecision$Key", keys).apply(&mut record).unwrap();
    let lowered = record.key_schema.unwrap().value_schema.clone().unwrap();
    assert_eq!(lowered.parameter("connect.decimal.precision"), Some("10"));
}

/// Class, keys, and the fields' names in the end.
type Reshaped = (&'static str, &'static [(&'static str, &'static str)], &'static [&'static str]);

#[test]
fn schemas_keep_their_attributes() {
    let inner = Schema::structure(vec![Field::new("i", Schema::required(FieldType::Int32))]);
    let fields = vec![Field::new("o_p", inner.clone())];
    let outer = Schema {
        name: Some("n".into()),
        version: Some(7),
        doc: Some("d".into()),
        optional: false,
        parameters: vec![("k".into(), "v".into())],
        ..Schema::structure(fields)
    };
    let value = |schema: &Schema| {
        let inner = Value::Struct(Arc::new(Struct::new(Arc::new(inner.clone()), vec![Value::Int32(4)])));
        Value::Struct(Arc::new(Struct::new(Arc::new(schema.clone()), vec![inner])))
    };
    let outer = Schema { default: Some(value(&outer)), ..outer };
    let configs: [Reshaped; 3] = [
        ("ChangeCase", &[("from", "LOWER_UNDERSCORE"), ("to", "LOWER_CAMEL")], &["oP"]),
        ("PatternRename", &[("field.pattern", "_"), ("field.replacement", "-")], &["o-p"]),
        ("ExtractNestedField", &[("input.outer.field.name", "o_p"), ("input.inner.field.name", "i")], &["o_p", "i"]),
    ];
    for (class, keys, names) in configs {
        let mut record = record_of(Target::Value, value(&outer), Some(Arc::new(outer.clone())));
        let chain = chain(&format!("{class}$Value"), keys);
        chain.apply(&mut record).unwrap();
        let schema = record.schema.unwrap();
        assert_eq!(schema.fields.iter().map(|field| &*field.name).collect::<Vec<_>>(), names);
        let Some(Value::Struct(default)) = &schema.default else { panic!("{class}: the default is gone") };
        assert_eq!(default.iter().map(|(field, _)| &*field.name).collect::<Vec<_>>(), names);
        assert_eq!(default.values().last().unwrap(), value(&outer).inner_number(names.len()), "{class}");
        let kept = Schema { fields: outer.fields.clone(), default: outer.default.clone(), ..Schema::clone(&schema) };
        assert_eq!(kept, outer, "{class}");
    }
}

impl Value {
    /// Of the struct above: its only value, or the number in that when a field was added.
    fn inner_number(&self, fields: usize) -> &Self {
        let Self::Struct(outer) = self else { panic!("{self:?}") };
        match (&outer.values()[0], fields) {
            (Self::Struct(inner), 2) => &inner.values()[0],
            (inner, _) => inner,
        }
    }
}

#[test]
fn a_nested_default_stands_in_for_null() {
    let number = Schema { default: Some(Value::Int32(9)), ..Schema::optional(FieldType::Int32) };
    let inner = Arc::new(Schema::structure(vec![Field::new("i", number)]));
    let outer = Arc::new(Schema::structure(vec![Field::new("o", inner.clone())]));
    let inner = Value::Struct(Arc::new(Struct::new(inner, vec![Value::Null])));
    let value = Value::Struct(Arc::new(Struct::new(outer.clone(), vec![inner])));
    let mut record = record_of(Target::Value, value, Some(outer));
    let keys: &[_] = &[("input.outer.field.name", "o"), ("input.inner.field.name", "i")];
    let text = outcome(&chain("ExtractNestedField$Value", keys), &mut record, Target::Value);
    assert_eq!(text, r#"{"o":{"i":null},"i":9}"#);
}
