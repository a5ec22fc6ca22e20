//! JSON text that is changed in place, and the map that it says: the same comes of both.

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;

use crate::chain::Chain;
use crate::config::Properties;
use crate::json::decode;
use crate::transform::Target;
use crate::transform::testing::{outcome, record_of};
use crate::value::Value;

/// Names that rules hit, that clash, that hold escapes, or are the same in another spelling.
fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => prop_oneof![Just("a"), Just("b"), Just("a_b"), Just("aB"), Just("user_name"), Just("o"), Just("i"), Just("x-y")]
            .prop_map(str::to_owned),
        2 => prop_oneof![Just(r"\u0061"), Just(r"a\u005fb"), Just(r#"q\"q"#), Just(r"t\tt"), Just(r"\/"), Just("é_é"), Just(""), Just(r"\ud83d\ude00")]
            .prop_map(str::to_owned),
        1 => "[a-c_A-C-]{0,6}",
    ]
}

fn blank() -> impl Strategy<Value = &'static str> {
    prop_oneof![6 => Just(""), 1 => Just(" "), 1 => Just("\n\t"), 1 => Just(" \r\n ")]
}

fn flat() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        Just("-0".to_owned()),
        Just("12.50".to_owned()),
        Just("123456789012345678901234567890".to_owned()),
        any::<i32>().prop_map(|number| number.to_string()),
        prop_oneof![
            Just("drop"),
            Just("drop it"),
            Just(r"\u0064rop"),
            Just(r#"\"a\":"#),
            Just("\u{85}"),
            Just("a\u{2028}b"),
            Just(r"\\")
        ]
        .prop_map(|text| format!("\"{text}\"")),
        "[a-z{}:, ]{0,8}".prop_map(|text| format!("\"{text}\"")),
    ]
}

fn object(value: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    let member = (blank(), name(), blank(), value, blank())
        .prop_map(|(b1, name, b2, value, b3)| format!("{b1}\"{name}\"{b2}:{b3}{value}{b2}"));
    (vec(member, 0..7), blank()).prop_map(|(members, blank)| format!("{{{blank}{}}}", members.join(",")))
}

fn json() -> impl Strategy<Value = String> {
    let nested = flat().prop_recursive(3, 24, 6, |inner| {
        prop_oneof![
            3 => object(inner.clone()),
            1 => (vec(inner, 0..4), blank()).prop_map(|(items, blank)| format!("[{blank}{}]", items.join(","))),
        ]
    });
    prop_oneof![12 => object(nested.clone()), 1 => nested]
}

/// The keys of one transform.
fn step() -> impl Strategy<Value = Vec<(&'static str, String)>> {
    let word = || {
        prop_oneof![Just("a"), Just("b"), Just("o"), Just("i"), Just("a_b"), Just("q\"q"), Just("é_é"), Just("t\tt")]
    };
    let case = || {
        prop_oneof![
            Just("LOWER_UNDERSCORE"),
            Just("LOWER_CAMEL"),
            Just("UPPER_CAMEL"),
            Just("LOWER_HYPHEN"),
            Just("UPPER_UNDERSCORE")
        ]
    };
    let of = |class: &str| vec![("class", format!("{class}$Value"))];
    let regex = || {
        prop_oneof![
            Just("a"),
            Just("^user_(.*)$"),
            Just("[_-](.)?"),
            Just("(.)(?=b)"),
            Just(""),
            Just("(?i)drop.*"),
            Just(r"(\w)\1")
        ]
    };
    prop_oneof![
        (regex(), vec(word(), 1..3)).prop_map(move |(pattern, fields)| {
            [of("PatternFilter"), vec![("pattern", pattern.to_owned()), ("fields", fields.join(","))]].concat()
        }),
        (regex(), prop_oneof![Just("b"), Just("<$0>"), Just(""), Just("\\\""), Just("\t")]).prop_map(
            move |(pattern, new)| {
                let keys = vec![("field.pattern", pattern.to_owned()), ("field.replacement", new.to_owned())];
                [of("PatternRename"), keys].concat()
            }
        ),
        (case(), case()).prop_map(move |(from, to)| {
            [of("ChangeCase"), vec![("from", from.to_owned()), ("to", to.to_owned())]].concat()
        }),
        (word(), word(), prop_oneof![Just(""), Just("new"), Just("a"), Just("n\"")]).prop_map(
            move |(outer, inner, new)| {
                let keys = vec![
                    ("input.outer.field.name", outer.to_owned()),
                    ("input.inner.field.name", inner.to_owned()),
                    ("output.field.name", new.to_owned()),
                ];
                [of("ExtractNestedField"), keys].concat()
            }
        ),
    ]
}

fn chain(steps: &[Vec<(&'static str, String)>]) -> Chain {
    let names: Vec<_> = (0..steps.len()).map(|at| format!("t{at}")).collect();
    let mut config = Properties::from([("transforms".to_owned(), names.join(","))]);
    for (name, keys) in names.iter().zip(steps) {
        config.extend(keys.iter().map(|(key, value)| (format!("transforms.{name}.{key}"), value.clone())));
    }
    Chain::from_config(&config).unwrap_or_else(|errors| panic!("{errors}"))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn text_in_place_and_its_map_come_to_the_same(texts in vec(json(), 1..4), steps in vec(step(), 1..4)) {
        // One chain for several records, so that what it remembers is met again.
        let (lazy, eager) = (chain(&steps), chain(&steps));
        for text in texts {
            let value = decode(Bytes::from(text)).unwrap();
            let parsed = value.clone().into_parsed();
            let mut in_place = record_of(Target::Value, value, None);
            let mut taken_apart = record_of(Target::Value, parsed, None);
            let came = outcome(&lazy, &mut in_place, Target::Value);
            prop_assert_eq!(&came, &outcome(&eager, &mut taken_apart, Target::Value));
            if let Value::Json(json) = &in_place.value {
                // What was edited is still what it claims to be.
                prop_assert_eq!(decode(json.text().clone()).unwrap(), in_place.value.clone());
            }
            if !came.starts_with("error") && came != "drop" {
                prop_assert_eq!(in_place.value.into_parsed(), taken_apart.value);
            }
        }
    }
}
