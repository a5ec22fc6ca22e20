//! Code of one's own beside the built-in parts: one of each kind, written with nothing but what `rmqc_fast` makes public,
//! and found by its names like everything else. It is the example to read before writing one.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod countdown;
mod parts;

use rmqc_core::config::connector::VALUE_CONVERTER;
use rmqc_core::registry;
use rmqc_fast::prelude::*;

fn properties(pairs: &[(&str, &str)]) -> Properties {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn all_parts_are_found_by_their_names_beside_the_built_in_ones() {
    for asked in ["countdown-source", "com.example.CountdownSourceConnector", "CountdownSource", "file-sink"] {
        assert!(registry::find_connector(asked).is_some(), "{asked}");
    }
    assert!(registry::find_transform("shout").is_some() && registry::find_transform("com.example.Shout").is_some());
    assert!(registry::find_predicate("is-large").is_some());
    assert!(registry::find_converter("reversed").is_some());
    assert!(rmqc_core::config::provider::provider_factories().iter().any(|factory| factory.name == "upper"));
    assert_eq!(registry::duplicate_names(), Vec::<String>::new());
}

#[test]
fn the_connector_passes_the_exam() {
    rmqc_fast::conformance::check("countdown-source", &[("from", "500")]);
}

#[test]
fn a_chain_takes_transform_and_predicate_by_name() {
    let config = properties(&[
        ("transforms", "loud"),
        ("transforms.loud.class", "shout"),
        ("transforms.loud.predicate", "large"),
        ("predicates", "large"),
        ("predicates.large.class", "is-large"),
        ("predicates.large.bytes", "4"),
    ]);
    let chain = rmqc_core::chain::Chain::from_config(&config).unwrap();
    for (value, expected) in [("abc", "abc"), ("abcd", "ABCD")] {
        let mut record = ConnectRecord { value: Value::text(value), ..ConnectRecord::default() };
        assert_eq!(chain.apply(&mut record).unwrap(), Outcome::Keep);
        assert_eq!(record.value, Value::text(expected));
    }
}

#[test]
fn a_converter_is_built_by_name() {
    let config = properties(&[("value.converter", "reversed")]);
    let converter = rmqc_core::converter::converter_from_config(&VALUE_CONVERTER, &config, false).unwrap();
    let encoded = converter.encode("topic", None, &Value::text("abc")).unwrap();
    assert_eq!(encoded.as_deref(), Some(b"cba".as_slice()));
    assert_eq!(converter.decode("topic", encoded).unwrap().value, Value::text("abc"));
}
