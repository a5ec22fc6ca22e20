use super::*;
use crate::config::Properties;
use crate::record::Extensions;
use crate::registry::find_predicate;
use crate::value::Value;

fn holds(class: &str, keys: &[(&str, &str)], record: &ConnectRecord) -> bool {
    let keys: Properties = keys.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let factory = find_predicate(class).unwrap();
    (factory.build)(&keys).unwrap_or_else(|errors| panic!("{errors}")).test(record).unwrap()
}

#[test]
fn a_header_is_found_under_its_extension_name() {
    let message = Extensions::Message(bytes::Bytes::from_static(b"connect-ext-colour\x01red\x02TAGS\x01t\x02"));
    let record = ConnectRecord { extensions: message, ..ConnectRecord::default() };
    for (name, found) in [("colour", true), ("connect-ext-colour", false), ("MQ-SYS-TAGS", true), ("TAGS", false)] {
        assert_eq!(holds("has-header-key", &[("name", name)], &record), found, "{name}");
    }
    let mut record = ConnectRecord::default();
    assert!(!holds("HasHeaderKey", &[("name", "x")], &record));
    record.extensions.set("x", "");
    assert!(holds("org.apache.kafka.connect.transforms.predicates.HasHeaderKey", &[("name", "x")], &record));
}

#[test]
fn a_tombstone_has_no_value() {
    let mut record = ConnectRecord { key: Value::text("k"), ..ConnectRecord::default() };
    assert!(holds("record-is-tombstone", &[], &record));
    record.value = Value::text("");
    assert!(!holds("RecordIsTombstone", &[], &record));
}

#[test]
fn a_topic_matches_as_a_whole() {
    let record = |topic: &str| ConnectRecord { topic: Some(topic.into()), ..ConnectRecord::default() };
    for (topic, found) in [("orders-1", true), ("my-orders-1", false), ("orders-12x", false)] {
        assert_eq!(holds("topic-name-matches", &[("pattern", r"orders-\d+")], &record(topic)), found, "{topic}");
    }
    assert!(!holds("topic-name-matches", &[("pattern", ".*")], &ConnectRecord::default()));
    let mut named = record("orders-1");
    named.extensions.set("topic", "other");
    assert!(!holds("topic-name-matches", &[("pattern", r"orders-\d+")], &named));
    assert!(holds("topic-name-matches", &[("pattern", "other")], &named));
    named.extensions.set("topic", " ");
    assert!(holds("topic-name-matches", &[("pattern", r"orders-\d+")], &named));
}

#[test]
fn wrong_patterns_name_their_key() {
    let keys = Properties::from([("pattern".to_owned(), "(".to_owned())]);
    let errors = (find_predicate("topic-name-matches").unwrap().build)(&keys).err().unwrap();
    assert_eq!(errors.0[0].key, "pattern");
}
