//! Transforms of whole records.

use bytes::Bytes;

use crate::record::{ConnectRecord, Extensions};
use crate::schema::{FieldType, Schema};
use crate::transform::Target;
use crate::transform::testing::{chain, check, outcome};
use crate::value::{Text, Value};

#[test]
fn set_null_keeps_extensions() {
    let mut record = ConnectRecord { key: Value::text("k"), value: Value::text("v"), ..ConnectRecord::default() };
    record.schema = Some(Schema::optional(FieldType::String).into());
    record.extensions.set("a", "1");
    chain("SetNull$Value", &[]).apply(&mut record).unwrap();
    assert_eq!((record.key, record.value, record.schema), (Value::text("k"), Value::Null, None));
    assert_eq!(record.extensions.get("a"), Some(Text::from("1")));
}

#[test]
fn filter_transform() {
    for (input, expected) in [
        ("\"x\"", "\"x:filter\""),
        ("1", "\"1:filter\""),
        ("null", "null"),
        ("true", "\"true:filter\""),
        (r#"{"a":1,"b":null}"#, "\"{a=1, b=null}:filter\""),
    ] {
        crate::transform::testing::check_shapes(
            &crate::transform::testing::MAPS,
            "FilterTransform",
            &[],
            input,
            expected,
        );
    }
    let mut record = ConnectRecord { value: Value::Int32(1), ..ConnectRecord::default() };
    record.schema = Some(Schema::optional(FieldType::Int32).into());
    let chain = chain("org.apache.rocketmq.connect.file.FilterTransform", &[]);
    chain.apply(&mut record).unwrap();
    assert_eq!(record.schema.unwrap().field_type, FieldType::String);
    let malformed = Value::String(Text::from_bytes(Bytes::from_static(b"\xff")));
    let mut record = ConnectRecord { value: malformed, ..ConnectRecord::default() };
    chain.apply(&mut record).unwrap();
    assert_eq!(record.value, Value::String(Text::from_bytes(Bytes::from_static(b"\xff:filter"))));
}

#[test]
fn regex_router() {
    let cases = [
        (r"orders-(\d+)", "all-$1", "orders-17", "all-17"),
        (r"orders-(\d+)", "all-$1", "my-orders-17", "my-orders-17"),
        ("a|ab", "X", "ab", "Xb"),
        (r"(?<region>\w+)\.log", "${region}", "eu.log", "eu"),
        (".*", "$0", "same", "same"),
    ];
    for (regex, replacement, topic, expected) in cases {
        for class in ["RegexRouter", "org.apache.kafka.connect.transforms.RegexRouter", "regex-router"] {
            let mut record = ConnectRecord { topic: Some(topic.into()), ..ConnectRecord::default() };
            let chain = chain(class, &[("regex", regex), ("replacement", replacement)]);
            for _ in 0..2 {
                record.topic = Some(topic.into());
                chain.apply(&mut record).unwrap();
                assert_eq!(record.topic.as_deref(), Some(expected), "{regex} {topic}");
            }
        }
    }
    check("RegexRouter", &[("regex", ".*"), ("replacement", "x")], r#"{"a":1}"#, r#"{"a":1}"#);
}

#[test]
fn a_topic_in_the_extensions_is_routed_on_sources_only() {
    let router = chain("RegexRouter", &[("regex", "in-(.*)"), ("replacement", "out-$1")]);
    let mut record = ConnectRecord::default();
    record.extensions.set("topic", "in-1");
    router.apply(&mut record).unwrap();
    assert_eq!((record.topic, record.extensions.get("topic")), (None, Some(Text::from("out-1"))));
    let message = Extensions::Message(Bytes::from_static(b"connect-ext-topic\x01in-1\x02"));
    let mut record =
        ConnectRecord { topic: Some("in-2".into()), extensions: message.clone(), ..ConnectRecord::default() };
    router.apply(&mut record).unwrap();
    assert_eq!((record.topic.as_deref(), record.extensions), (Some("out-2"), message));
}

#[test]
fn no_topic_may_be_left_over() {
    let router = chain("RegexRouter", &[("regex", "(x*)y"), ("replacement", "$1")]);
    let mut record = ConnectRecord { topic: Some("y".into()), ..ConnectRecord::default() };
    assert!(outcome(&router, &mut record, Target::Value).contains("leaves no topic of y"));
}
