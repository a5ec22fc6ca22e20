use std::str::FromStr;

use bigdecimal::BigDecimal;

use super::super::kafka_testing::{
    Form, apply_to, check, check_form, config_faults, fails, plain, struct_of, with_default,
};
use super::*;
use crate::schema::Logical;

fn decimal(text: &str) -> Value {
    Value::Decimal(Box::new(BigDecimal::from_str(text).unwrap()))
}

#[test]
fn fields_are_cast_and_the_others_stay() {
    check("Cast", &[("spec", "a:string, n:int8")], r#"{"a":7,"b":8}"#, r#"{"a":"7","b":8}"#);
    check("Cast", &[("spec", "a:INT32")], r#"{"a":"7","b":"x"}"#, r#"{"a":7,"b":"x"}"#);
    check("Cast", &[("spec", "a:boolean,b:float64")], r#"{"a":1,"b":2}"#, r#"{"a":true,"b":2.0}"#);
    check("Cast", &[("spec", "a:int64")], r#"{"a":null,"b":"x"}"#, r#"{"a":null,"b":"x"}"#);
    check("Cast", &[("spec", "a:int64")], r#"{"b":"x"}"#, r#"{"b":"x"}"#);
    check("Cast", &[("spec", "a:int64")], "null", "null");
    check_form(Form::Json, "Cast", &[("spec", "a:int8")], r#"{"a":300,"b":{"c":1},"a":3}"#, r#"{"a":3,"b":{"c":1}}"#);
}

#[test]
fn a_whole_value_is_cast() {
    check("Cast", &[("spec", "string")], "7", "\"7\"");
    check("Cast", &[("spec", "int8")], "\"7\"", "7");
    check("Cast", &[("spec", "float64")], "true", "1.0");
    check("Cast", &[("spec", "int8")], "null", "null");
    fails(&Form::ALL, "Cast", &[("spec", "string")], r#"{"a":1}"#, "can't be cast");
    fails(&Form::ALL, "Cast", &[("spec", "string")], "[1]", "Cast can't make string of array");
}

#[test]
fn errors_name_field_and_kind_and_show_little() {
    let a = &[("spec", "a:int8")];
    fails(&Form::ALL, "Cast", a, r#"{"a":"x"}"#, "Cast can't make int8 of field \"a\" of kind string \"x\"");
    fails(&Form::ALL, "Cast", a, r#"{"a":300}"#, "of field \"a\" of kind int32: the number is beyond its range");
    fails(&Form::ALL, "Cast", a, r#"{"a":[1]}"#, "of kind array: a value of this kind can't be cast");
    fails(&Form::ALL, "Cast", a, "7", "Cast needs a struct or a map, not a value of kind int32");
    let (value, schema) = Form::Map.of(&format!(r#"{{"a":"{}"}}"#, "y".repeat(5000)));
    assert!(apply_to("Cast$Value", a, value, schema).unwrap_err().to_string().len() < 300);
}

#[test]
fn every_kind_has_its_casts() {
    use FieldType::{Boolean, Float32, Float64, Int8, Int16, Int32, Int64, String};
    let date = Schema::logical(Logical::Date);
    let time = Schema::logical(Logical::Time);
    for (value, schema, to, expected) in [
        (Value::Int64(-128), None, Int8, Some(Value::Int8(-128))),
        (Value::Int64(128), None, Int8, None),
        (Value::Int8(5), None, Int16, Some(Value::Int16(5))),
        (Value::Float64(1.9), None, Int32, Some(Value::Int32(1))),
        (Value::Float64(-1.9), None, Int64, Some(Value::Int64(-1))),
        (Value::Float64(1e19), None, Int64, None),
        (Value::Float64(9_223_372_036_854_775_808.0), None, Int64, None),
        (Value::Float64(-9_223_372_036_854_775_808.0), None, Int64, Some(Value::Int64(i64::MIN))),
        (Value::Float64(f64::NAN), None, Int64, None),
        (Value::Float64(1e39), None, Float32, None),
        (Value::Float64(f64::INFINITY), None, Float32, Some(Value::Float32(f32::INFINITY))),
        (Value::Float32(1.5), None, Float64, Some(Value::Float64(1.5))),
        (Value::Float64(0.5), None, Boolean, Some(Value::Boolean(false))),
        (Value::Float64(-2.0), None, Boolean, Some(Value::Boolean(true))),
        (Value::Int16(0), None, Boolean, Some(Value::Boolean(false))),
        (Value::Boolean(true), None, Float32, Some(Value::Float32(1.0))),
        (Value::Boolean(true), None, String, Some(Value::text("true"))),
        (Value::Float32(1.0), None, String, Some(Value::text("1.0"))),
        (decimal("12.75"), None, Int32, Some(Value::Int32(12))),
        (decimal("0.75"), None, Int32, Some(Value::Int32(0))),
        (decimal("0.75"), None, Boolean, Some(Value::Boolean(false))),
        (decimal("12.75"), None, Float64, Some(Value::Float64(12.75))),
        (decimal("12.750"), None, String, Some(Value::text("12.750"))),
        (decimal("9223372036854775807"), None, Int64, Some(Value::Int64(i64::MAX))),
        (decimal("9223372036854775808"), None, Int64, None),
        (decimal("1e999999999"), None, Int64, None),
        (decimal("1e999999999"), None, String, Some(Value::text("1E+999999999"))),
        (decimal("0e999"), None, Int8, Some(Value::Int8(0))),
        (decimal("1e999999999"), None, Float64, None),
        (decimal("1e-999999999"), None, Int64, Some(Value::Int64(0))),
        (Value::text("+5"), None, Int8, Some(Value::Int8(5))),
        (Value::text(" 5"), None, Int8, None),
        (Value::text("1.5"), None, Int8, None),
        (Value::text(" 1.5f "), None, Float64, Some(Value::Float64(1.5))),
        (Value::text("-Infinity"), None, Float64, Some(Value::Float64(f64::NEG_INFINITY))),
        (Value::text("inf"), None, Float64, None),
        (Value::text("TRUE"), None, Boolean, Some(Value::Boolean(true))),
        (Value::text("yes"), None, Boolean, None),
        (Value::text("é"), None, String, Some(Value::text("é"))),
        (Value::Bytes("xy".into()), None, String, Some(Value::text("eHk="))),
        (Value::Bytes("xy".into()), None, Int8, None),
        (Value::Date(86_400_000), Some(&date), Int32, Some(Value::Int32(1))),
        (Value::Date(86_400_000), Some(&date), String, Some(Value::text("1970-01-02"))),
        (Value::Date(1), Some(&time), String, Some(Value::text("00:00:00.001Z"))),
        (Value::Date(1), None, String, Some(Value::text("1970-01-01T00:00:00.001Z"))),
        (Value::Date(7), None, Int64, Some(Value::Int64(7))),
        (Value::Null, None, Int64, Some(Value::Null)),
    ] {
        assert_eq!(cast(&value, schema, to).ok(), expected, "{value:?} {to:?}");
    }
}

#[test]
fn the_schema_of_a_cast_field_keeps_what_still_holds() {
    let old = Schema { default: Some(Value::Date(0)), ..Schema::logical(Logical::Date) };
    let (value, schema) = struct_of("a", old, Value::Date(86_400_000));
    let record = apply_to("Cast$Value", &[("spec", "a:string")], value, schema).unwrap();
    let expected = Schema { default: Some(Value::text("1970-01-01")), ..Schema::optional(FieldType::String) };
    assert_eq!(*record.schema.unwrap().fields[0].schema, expected);
    for (spec, kept) in [("a:string", true), ("a:int8", false)] {
        let (value, schema) = Form::MapWithSchema.of(r#"{"a":"7"}"#);
        let record = apply_to("Cast$Value", &[("spec", spec)], value, schema.clone()).unwrap();
        assert_eq!(record.schema, schema.filter(|_| kept));
    }
}

#[test]
fn wrong_configurations_are_named() {
    for spec in ["", "a", "a:", ":int8", "a:bytes", "int8,string", "int8,a:string", "a:int8,a:int16", "a:b:int8"] {
        assert_eq!(config_faults("Cast$Key", &[("spec", spec)]), ["transforms.t.spec"], "{spec}");
    }
}

#[test]
fn a_null_becomes_the_default_if_wished() {
    for (replace, expected) in [("true", r#"{"a":"5"}"#), ("false", r#"{"a":null}"#)] {
        let (value, schema) = with_default("a", Value::Int32(5));
        let keys = [("spec", "a:string"), ("replace.null.with.default", replace)];
        assert_eq!(plain(&apply_to("Cast$Value", &keys, value, schema).unwrap().value), expected);
    }
}
