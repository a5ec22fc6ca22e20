use super::super::kafka_testing::{
    Form as Of, apply_to, check, check_form, config_faults, fails, plain, struct_of, with_default,
};
use super::*;

/// 2009-02-13 23:31:30.123 UTC.
const TIME: i64 = 1_234_567_890_123;

#[test]
fn a_field_gets_another_form() {
    let seconds = &[("field", "a"), ("target.type", "unix"), ("format", "yyyy-MM-dd"), ("unix.precision", "seconds")];
    check("TimestampConverter", seconds, r#"{"a":"2009-02-13","b":"x"}"#, r#"{"a":1234483200,"b":"x"}"#);
    let text = &[("field", "a"), ("target.type", "string"), ("format", "yyyy-MM-dd HH:mm:ss.SSS")];
    check("TimestampConverter", text, r#"{"a":1234567890123}"#, r#"{"a":"2009-02-13 23:31:30.123"}"#);
    check("TimestampConverter", text, r#"{"a":null,"b":"x"}"#, r#"{"a":null,"b":"x"}"#);
    check("TimestampConverter", text, r#"{"b":"x"}"#, r#"{"b":"x"}"#);
    check("TimestampConverter", text, "null", "null");
    for (target, after) in [("Date", 1_234_483_200_000), ("Time", 84_690_123), ("Timestamp", TIME)] {
        let keys = &[("field", "a"), ("target.type", target)];
        check("TimestampConverter", keys, r#"{"a":1234567890123}"#, &format!(r#"{{"a":{after}}}"#));
    }
    for form in [Of::Map, Of::Json] {
        check_form(form, "TimestampConverter", text, r#"{"a":5}"#, r#"{"a":"1970-01-01 00:00:00.005"}"#);
    }
}

#[test]
fn a_whole_value_gets_another_form() {
    let date = &[("target.type", "Date"), ("format", "yyyy-MM-dd")];
    check("TimestampConverter", date, "\"2009-02-13\"", "1234483200000");
    check("TimestampConverter", date, "1234567890123", "1234483200000");
    check("TimestampConverter", date, "null", "null");
    let (value, schema) = Of::Struct.of("1234567890123");
    let record = apply_to("TimestampConverter$Key", date, value, schema).unwrap();
    assert_eq!(record.key_schema, Some(Arc::new(Schema::logical(Logical::Date))));
}

#[test]
fn numbers_are_of_the_unit_that_is_named() {
    for (unit, number, back) in [
        ("seconds", 1_234_567_890, 1_234_567_890_000),
        ("milliseconds", TIME, TIME),
        ("microseconds", 1_234_567_890_123_456, TIME),
        ("nanoseconds", 1_234_567_890_123_456_789, TIME),
    ] {
        let keys = [("target.type", "Timestamp"), ("unix.precision", unit)];
        let record = apply_to("TimestampConverter$Value", &keys, Value::Int64(number), None).unwrap();
        assert_eq!(record.value, Value::Date(back), "{unit}");
        let keys = [("target.type", "unix"), ("unix.precision", unit)];
        let record = apply_to("TimestampConverter$Value", &keys, Value::Date(back), None).unwrap();
        let scale = if unit == "microseconds" {
            1000
        } else if unit == "nanoseconds" {
            1_000_000
        } else {
            1
        };
        assert_eq!(record.value, Value::Int64(number / scale * scale), "{unit}");
    }
    for (target, unit, value) in [
        ("Date", "seconds", Value::Int64(i64::MAX)),
        ("unix", "nanoseconds", Value::Date(i64::MAX)),
        ("Date", "milliseconds", Value::Date(i64::MIN)),
    ] {
        let keys = [("target.type", target), ("unix.precision", unit)];
        let error = apply_to("TimestampConverter$Value", &keys, value, None).unwrap_err();
        assert!(error.to_string().contains("beyond its range"), "{error}");
    }
}

#[test]
fn every_logical_type_is_read() {
    for logical in [Logical::Date, Logical::Time, Logical::Timestamp] {
        let (value, schema) = struct_of("a", Schema::logical(logical), Value::Date(86_400_000));
        let keys = [("field", "a"), ("target.type", "string"), ("format", "yyyy-MM-dd")];
        let record = apply_to("TimestampConverter$Value", &keys, value, schema).unwrap();
        assert_eq!(plain(&record.value), r#"{"a":"1970-01-02"}"#);
        assert_eq!(record.schema.unwrap().fields[0].schema.field_type, FieldType::String);
    }
}

#[test]
fn what_is_no_time_is_an_error() {
    let day = &[("field", "a"), ("target.type", "unix"), ("format", "yyyy-MM-dd")];
    let reason =
        "field \"a\" of kind string \"2009-02-30\": not a time of the format \"yyyy-MM-dd\", at byte 0: there is";
    fails(&Of::ALL, "TimestampConverter", day, r#"{"a":"2009-02-30"}"#, reason);
    fails(&Of::ALL, "TimestampConverter", day, r#"{"a":true}"#, "of kind boolean: a value of this kind is no time");
    fails(&Of::ALL, "TimestampConverter", day, r#"{"a":[1]}"#, "of kind array: a value of this kind is no time");
    fails(&[Of::Struct, Of::MapWithSchema], "TimestampConverter", day, r#"{"a":5}"#, "of kind int32");
    fails(&Of::ALL, "TimestampConverter", day, "[1]", "needs a struct or a map, not a value of kind array");
    let bare = &[("field", "a"), ("target.type", "unix")];
    fails(&Of::ALL, "TimestampConverter", bare, r#"{"a":"x"}"#, "a text needs the key format");
}

#[test]
fn wrong_configurations_are_named() {
    for (keys, fault) in [
        (&[][..], "target.type"),
        (&[("target.type", "year")], "target.type"),
        (&[("target.type", "string")], "format"),
        (&[("target.type", "unix"), ("format", "YYYY")], "format"),
        (&[("target.type", "unix"), ("unix.precision", "days")], "unix.precision"),
    ] {
        assert_eq!(config_faults("TimestampConverter$Key", keys), [format!("transforms.t.{fault}")]);
    }
}

#[test]
fn a_null_becomes_the_default_if_wished() {
    for (replace, expected) in [("true", r#"{"a":"1970"}"#), ("false", r#"{"a":null}"#)] {
        let (value, schema) = with_default("a", Value::Int64(5));
        let keys =
            [("field", "a"), ("target.type", "string"), ("format", "yyyy"), ("replace.null.with.default", replace)];
        assert_eq!(plain(&apply_to("TimestampConverter$Value", &keys, value, schema).unwrap().value), expected);
    }
}
