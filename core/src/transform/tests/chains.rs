//! Chains of real transforms and predicates.

use crate::chain::Chain;
use crate::config::Properties;
use crate::config::key::ConfigErrors;
use crate::record::ConnectRecord;
use crate::registry::{duplicate_names, predicates, transforms};
use crate::transform::Target;
use crate::transform::testing::{outcome, record_of};
use crate::value::Value;

fn build(pairs: &[(&str, &str)]) -> Result<Chain, ConfigErrors> {
    let config: Properties = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    Chain::from_config(&config)
}

#[test]
fn keys_of_a_longer_name_never_reach_the_shorter() {
    let mut pairs = vec![
        ("transforms", "Replace,Replace02"),
        ("transforms.Replace.class", "org.apache.rocketmq.connect.transforms.PatternRename$Value"),
        ("transforms.Replace.field.pattern", "a"),
        ("transforms.Replace.field.replacement", "b"),
        ("transforms.Replace02.class", "org.apache.rocketmq.connect.transforms.PatternRename$Value"),
        ("transforms.Replace02.field.pattern", "b"),
        ("transforms.Replace02.field.pattern.flags", "CASE_INSENSITIVE"),
        ("transforms.Replace02.field.replacement", "c"),
    ];
    let chain = build(&pairs).unwrap();
    let value = crate::json::decode(bytes::Bytes::from_static(br#"{"a":1,"A":2,"B":3}"#)).unwrap();
    let mut record = record_of(Target::Value, value, None);
    // With the second one's flag the first would turn A into b too.
    assert_eq!(outcome(&chain, &mut record, Target::Value), r#"{"c":3,"A":2}"#);
    pairs.retain(|(key, _)| *key != "transforms.Replace.field.pattern");
    let errors = build(&pairs).err().unwrap();
    assert_eq!(
        errors.0.iter().map(|error| error.key.as_str()).collect::<Vec<_>>(),
        ["transforms.Replace.field.pattern"]
    );
}

#[test]
fn a_predicate_decides_and_can_be_turned_round() {
    let mut pairs = vec![
        ("transforms", "t"),
        ("transforms.t.type", "filter-transform"),
        ("transforms.t.predicate", "orders"),
        ("predicates", "orders"),
        ("predicates.orders.type", "org.apache.kafka.connect.transforms.predicates.TopicNameMatches"),
        ("predicates.orders.pattern", "orders-.*"),
    ];
    for negate in ["false", "true"] {
        pairs.push(("transforms.t.negate", negate));
        let chain = build(&pairs).unwrap();
        for (topic, matches) in [("orders-1", true), ("other", false)] {
            let mut record =
                ConnectRecord { topic: Some(topic.into()), value: Value::text("v"), ..ConnectRecord::default() };
            let expected = if matches == (negate == "false") { "\"v:filter\"" } else { "\"v\"" };
            assert_eq!(outcome(&chain, &mut record, Target::Value), expected, "{topic} {negate}");
        }
    }
}

#[test]
fn a_predicate_that_gives_up_is_named() {
    let pairs = [
        ("transforms", "t"),
        ("transforms.t.class", "SetNull$Key"),
        ("transforms.t.predicate", "p"),
        ("predicates", "p"),
        ("predicates.p.class", "topic-name-matches"),
        ("predicates.p.pattern", r"(?:(a|aa)\1?)+b"),
    ];
    let mut record = ConnectRecord { topic: Some("a".repeat(200).into()), ..ConnectRecord::default() };
    let error = build(&pairs).unwrap().apply(&mut record).unwrap_err();
    assert_eq!(error.class(), Some("org.apache.kafka.connect.transforms.predicates.TopicNameMatches"));
}

/// Class, keys, the key at fault, and a part of the reason.
type Refused = (&'static str, &'static [(&'static str, &'static str)], &'static str, &'static str);

#[test]
fn a_bad_transform_is_refused_with_its_reason() {
    let cases: [Refused; 12] = [
        ("PatternFilter$Value", &[("pattern", "("), ("fields", "a")], "pattern", "a ) is missing"),
        ("PatternFilter$Value", &[("pattern", "a"), ("fields", " , ")], "fields", "it names no field"),
        ("PatternFilter$Value", &[("fields", "a")], "pattern", "Request config key"),
        ("PatternFilter", &[("pattern", "a"), ("fields", "a")], "class", "$Key"),
        ("PatternRename$Key", &[("field.pattern", "a"), ("field.replacement", "$1")], "field.replacement", "group 1"),
        (
            "PatternRename$Key",
            &[("field.pattern", "a"), ("field.pattern.flags", "CANON_EQ"), ("field.replacement", "b")],
            "field.pattern.flags",
            "CANON_EQ",
        ),
        ("ChangeCase$Value", &[("from", "lower_camel"), ("to", "shouting")], "to", "expected one of LOWER_HYPHEN"),
        ("ExtractNestedField$Value", &[("input.outer.field.name", "a")], "input.inner.field.name", "Request"),
        ("SetMaximumPrecision$Value", &[], "precision.max", "Request config key"),
        ("SetMaximumPrecision$Value", &[("precision.max", "0")], "precision.max", "from 1 to"),
        ("RegexRouter", &[("regex", "[a"), ("replacement", "b")], "regex", "a ] is missing"),
        ("RegexRouter", &[("regex", "a"), ("replacement", "${x}")], "replacement", "no group called x"),
    ];
    for (class, keys, key, reason) in cases {
        let mut pairs = vec![("transforms".to_owned(), "t"), ("transforms.t.class".to_owned(), class)];
        pairs.extend(keys.iter().map(|(key, value)| (format!("transforms.t.{key}"), *value)));
        let pairs: Vec<(&str, &str)> = pairs.iter().map(|(key, value)| (key.as_str(), *value)).collect();
        let errors = build(&pairs).err().unwrap();
        assert_eq!(errors.0.len(), 1, "{errors}");
        assert_eq!(errors.0[0].key, format!("transforms.t.{key}"), "{errors}");
        assert!(errors.0[0].message.contains(reason), "{errors}");
    }
}

#[test]
fn every_entry_has_words_for_the_user() {
    assert_eq!(duplicate_names(), Vec::<String>::new());
    for (name, doc, keys) in transforms()
        .iter()
        .map(|one| (one.name, one.doc, one.keys))
        .chain(predicates().iter().map(|one| (one.name, one.doc, one.keys)))
    {
        assert!(doc.ends_with('.') && keys.iter().all(|key| key.doc.ends_with('.')), "{name}");
    }
}
