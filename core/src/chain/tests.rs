use super::*;
use crate::value::Value;

fn config(pairs: &[(&str, &str)]) -> Properties {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn faults(pairs: &[(&str, &str)]) -> Vec<String> {
    Chain::from_config(&config(pairs))
        .err()
        .map(|errors| errors.0)
        .unwrap_or_default()
        .into_iter()
        .map(|e| e.key)
        .collect()
}

#[test]
fn no_transforms_are_an_empty_chain() {
    assert!(Chain::from_config(&config(&[("transforms", " , ")])).unwrap().is_empty());
}

#[test]
fn everything_wrong_is_named_at_once() {
    let wrong = [
        ("transforms", "a, b, c"),
        ("transforms.a.class", "no.such.Transform"),
        ("transforms.c.class", "InsertHeader"),
        ("transforms.c.predicate", "p"),
        ("predicates", "q"),
        ("predicates.q.type", "no.such.Predicate"),
    ];
    assert_eq!(
        faults(&wrong),
        [
            "predicates.q.class",
            "transforms.a.class",
            "transforms.b.class",
            "transforms.c.header",
            "transforms.c.value.literal",
            "transforms.c.predicate"
        ]
    );
}

#[test]
fn keys_of_a_longer_name_stay_with_it() {
    let own =
        own_keys("transforms", "Replace", &config(&[("transforms.Replace.a", "1"), ("transforms.Replace02.a", "2")]));
    assert_eq!(own, config(&[("a", "1")]));
}

#[test]
fn the_empty_chain_leaves_a_record_alone() {
    let mut record = ConnectRecord { value: Value::text("x"), ..ConnectRecord::default() };
    assert_eq!(Chain::default().apply(&mut record).unwrap(), Outcome::Keep);
    assert_eq!(record.value, Value::text("x"));
}
