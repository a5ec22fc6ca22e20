use proptest::prelude::*;
use serde_json::Value as Oracle;

use super::*;
use crate::testing::json::{json_text, mutation, plain_value};
use crate::value::Map;

fn check(text: &str) -> Result<Value, Malformed> {
    decode(Bytes::copy_from_slice(text.as_bytes()))
}

fn object(text: &str) -> Json {
    match check(text) {
        Ok(Value::Json(json)) => json,
        other => panic!("{text} gives {other:?}"),
    }
}

/// Whether our value is the oracle's. The oracle has all numbers beyond 64 bits, and `-0`, as doubles; its doubles may be
/// one unit off in the last place, for it does not ask for exact ones.
fn same(value: &Value, oracle: &Oracle) -> bool {
    match (value, oracle) {
        (Value::Null, Oracle::Null) => true,
        (Value::Boolean(ours), Oracle::Bool(theirs)) => ours == theirs,
        (Value::Int32(ours), Oracle::Number(theirs)) => {
            theirs.as_i64() == Some(i64::from(*ours)) || *ours == 0 && theirs.as_f64() == Some(0.0)
        }
        (Value::Int64(ours), Oracle::Number(theirs)) => theirs.as_i64() == Some(*ours),
        (Value::Float64(ours), Oracle::Number(theirs)) => near(*ours, theirs.as_f64()),
        (Value::Decimal(ours), Oracle::Number(theirs)) => {
            theirs.as_i64().is_none() && near(ours.to_string().parse().unwrap(), theirs.as_f64())
        }
        (Value::String(ours), Oracle::String(theirs)) => ours.to_str() == *theirs,
        (Value::Array(ours), Oracle::Array(theirs)) => {
            ours.len() == theirs.len() && ours.iter().zip(theirs).all(|(ours, theirs)| same(ours, theirs))
        }
        (Value::Map(ours), Oracle::Object(theirs)) => {
            ours.len() == theirs.len()
                && theirs.iter().all(|(name, theirs)| ours.get(name).is_some_and(|ours| same(ours, theirs)))
        }
        _ => false,
    }
}

fn near(ours: f64, theirs: Option<f64>) -> bool {
    // Below the normal numbers a last place is not a part of the number but a step of its own.
    let last_places = (ours.abs() * 1e-15).max(f64::from_bits(16));
    theirs.is_some_and(|theirs| ours == theirs || (ours - theirs).abs() <= last_places)
}

/// Both take a text, and find the same in it, or both refuse it.
fn agree(text: &[u8]) {
    let ours = decode(Bytes::copy_from_slice(text));
    match (ours, serde_json::from_slice::<Oracle>(text)) {
        (Ok(ours), Ok(theirs)) => {
            let parsed = ours.into_parsed();
            assert!(same(&parsed, &theirs), "{} is {parsed:?}, not {theirs}", String::from_utf8_lossy(text));
        }
        (Err(ours), Err(_)) => assert!(ours.position <= text.len(), "{ours}"),
        (ours, theirs) => panic!("{}: {ours:?}, but {theirs:?}", String::from_utf8_lossy(text)),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(384))]

    #[test]
    fn documents_are_read_as_another_parser_reads_them(text in json_text()) {
        agree(text.as_bytes());
        prop_assert!(check(&text).is_ok());
    }

    #[test]
    fn broken_documents_are_refused_by_both(text in json_text(), mutations in prop::collection::vec(mutation(), 1..4)) {
        agree(&mutations.iter().fold(text.into_bytes(), |text, mutation| mutation.of(&text)));
    }

    #[test]
    fn any_bytes_are_taken_or_refused(bytes: Vec<u8>) {
        agree(&bytes);
    }

    #[test]
    fn what_is_written_reads_the_same(value in plain_value()) {
        let mut text = Vec::new();
        write_value(&mut text, &value).unwrap();
        prop_assert!(serde_json::from_slice::<Oracle>(&text).is_ok_and(|theirs| same(&value, &theirs)));
        prop_assert_eq!(decode(Bytes::from(text)).unwrap().into_parsed(), value);
    }

    #[test]
    fn members_in_place_are_those_of_the_parsed_object(text in json_text()) {
        let Ok(Value::Json(json)) = check(&text) else { return Ok(()) };
        match json.parse() {
            Value::Map(map) => {
                for (key, value) in map.iter() {
                    let Value::String(name) = key else { panic!("{key:?}") };
                    prop_assert_eq!(json.member(&name.to_str()).unwrap().into_parsed(), value.clone());
                }
                let names: std::collections::HashSet<_> = json.members().map(|member| member.name()).collect();
                prop_assert_eq!(names.len(), map.len());
                prop_assert_eq!(json.edited(|_| MemberChange::Keep).parse(), json.parse());
                prop_assert_eq!(Editor::of(&json, 0).finish().parse(), json.parse());
            }
            Value::Array(values) => {
                let elements: Vec<_> = elements_of(json.text()).map(|raw| json.value_of(raw).into_parsed()).collect();
                prop_assert_eq!(&elements, &*values);
                prop_assert_eq!(json.members().count(), 0);
                prop_assert_eq!(json.edited(|_| MemberChange::Drop), json);
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn edits_are_those_of_a_map(text in json_text(), name: String, value in plain_value()) {
        let Ok(Value::Json(json)) = check(&text) else { return Ok(()) };
        prop_assume!(json.is_object());
        let mut raw = Vec::new();
        write_value(&mut raw, &value).unwrap();
        let mut editor = Editor::of(&json, raw.len());
        editor.put(&name, &raw);
        let edited = editor.finish();
        let mut appender = Appender::new(&name);
        for _ in 0..3 {
            prop_assert_eq!(&appender.append(&json, &raw), &edited);
        }
        let Value::Map(mut expected) = json.parse() else { panic!("an object") };
        std::sync::Arc::make_mut(&mut expected).insert(Value::text(name.as_str()), value);
        prop_assert_eq!(decode(edited.text().clone()).unwrap().into_parsed(), Value::Map(expected.clone()));
        let dropped = edited.edited(|member| if member.is_named(&name) { MemberChange::Drop } else { MemberChange::Keep });
        std::sync::Arc::make_mut(&mut expected).remove(&name);
        prop_assert_eq!(decode(dropped.text().clone()).unwrap().into_parsed(), Value::Map(expected));
    }

    #[test]
    fn texts_keep_every_character(text: String) {
        let mut out = Vec::new();
        write_string(&mut out, &text);
        prop_assert_eq!(text_of(&out).unwrap(), text.as_str());
        prop_assert_eq!(serde_json::from_slice::<String>(&out).unwrap(), text);
    }
}

#[test]
fn members_are_found_in_place() {
    let json = object(r#" {"a" : 1, "b":{"c":[1,{"d":"x"}]}, "a":"last","\u0065":true} "#);
    assert_eq!(json.raw_member("a"), Some(&b"\"last\""[..]));
    assert_eq!(json.member("b").unwrap().kind(), "map");
    assert_eq!(json.member("e"), Some(Value::Boolean(true)));
    assert_eq!(json.member("c"), None);
    assert_eq!(json.members().count(), 4);
}

#[test]
fn errors_say_where() {
    for (text, position, reason) in [
        ("", 0, "the text ends where a value is expected"),
        ("  ", 2, "the text ends where a value is expected"),
        ("\u{feff}1", 0, "expected a value"),
        ("nul", 0, "expected a value"),
        ("[1,]", 3, "expected a value"),
        ("[1 2]", 3, "expected , or ]"),
        ("[1", 2, "the text ends inside an object or array"),
        ("[1}", 2, "expected , or ]"),
        ("{\"a\":1]", 6, "expected , or }"),
        ("{a:1}", 1, "expected a member's name in quotes"),
        ("{\"a\":1,}", 7, "expected a member's name in quotes"),
        ("{\"a\" 1}", 5, "expected : behind a member's name"),
        ("{\"a\":}", 5, "expected a value"),
        ("1 2", 2, "something stands behind the value"),
        ("01", 0, "a number can't begin with 0"),
        ("-", 1, "expected a digit"),
        ("[1.]", 3, "expected a digit behind the point"),
        ("1e+", 3, "expected a digit in the exponent"),
        ("[1e999]", 1, "a number beyond the range of a double"),
        ("\"abc", 4, "the text ends inside a string"),
        ("\"0123456789\n\"", 11, "a control character must be escaped"),
        ("\"ab\\x\"", 3, "unknown escape"),
        ("\"\\u12g4\"", 1, "expected four hex digits after \\u"),
        ("\"\\ud83d!\"", 1, "half of a surrogate pair stands alone"),
        ("\"\\udc00\"", 1, "half of a surrogate pair stands alone"),
    ] {
        assert_eq!(check(text), Err(Malformed { position, reason }), "{text:?}");
    }
    let error = decode(Bytes::from_static(b"\"a\xffb\"")).unwrap_err();
    assert_eq!(error.to_string(), "malformed JSON at byte 2: not UTF-8");
}

/// Where we and the oracle differ on purpose: it stops one level earlier, takes numbers of any length, and has `-0` and
/// whole numbers beyond 64 bits as doubles.
#[test]
fn bounds_hold_on_both_sides() {
    let nested = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
    assert!(check(&nested(crate::limits::JSON_DEPTH_MAX)).is_ok());
    let too_deep = check(&nested(crate::limits::JSON_DEPTH_MAX + 1)).unwrap_err();
    assert_eq!((too_deep.position, too_deep.reason), (crate::limits::JSON_DEPTH_MAX, "nested too deeply"));
    assert!(check(&"[".repeat(1_000_000)).is_err());
    assert!(check(&"{\"a\":".repeat(1_000_000)).is_err());
    assert!(check(&format!("0.{}", "1".repeat(1022))).is_ok());
    assert!(check(&format!("0.{}", "1".repeat(1023))).is_err());
    // Long, but with a short exponent: beyond a double only together.
    assert!(check(&format!("{}e99", "1".repeat(250))).is_err());
    assert!(check(&format!("{}e99", "1".repeat(200))).is_ok());
    assert_eq!(check("-0").unwrap(), Value::Int32(0));
    assert_eq!(check("9223372036854775808").unwrap().kind(), "decimal");
    assert_eq!(check("1e-999").unwrap(), Value::Float64(0.0));
    assert_eq!(check("1.0").unwrap(), Value::Float64(1.0));
}

#[test]
fn text_is_written_as_the_java_library_writes_it() {
    let mut out = Vec::new();
    write_string(&mut out, "plain ascii / < é文😀 \"\\\u{8}\u{c}\n\r\t\u{1}\u{b}\u{7f}\u{85}\u{2028}\u{2029}");
    let expected = "\"plain ascii / < é文😀 \\\"\\\\\\b\\f\\n\\r\\t\\u0001\\u000B\\u007F\\u0085\\u2028\\u2029\"";
    assert_eq!(String::from_utf8(out).unwrap(), expected);
}

#[test]
fn values_without_a_json_form_are_refused() {
    let written = |value: &Value| {
        let mut out = Vec::new();
        write_value(&mut out, value).map(|()| String::from_utf8(out).unwrap())
    };
    assert!(written(&Value::Date(0)).is_err());
    assert_eq!(written(&Value::Float64(f64::NAN)).unwrap(), "null");
    let numbered = Map::from_pairs(vec![(Value::Int32(5), Value::text("x")), (Value::Int32(1), Value::text("y"))]);
    assert_eq!(written(&Value::Map(std::sync::Arc::new(numbered))).unwrap(), r#"[[5,"x"],[1,"y"]]"#);
    let nested = |depth: usize| (0..depth).fold(Value::Null, |inner, _| Value::array(vec![inner]));
    assert!(written(&nested(crate::limits::JSON_DEPTH_MAX)).is_ok());
    assert!(written(&nested(crate::limits::JSON_DEPTH_MAX + 1)).is_err());
}

#[test]
fn edited_text_may_be_deeper_than_what_is_taken() {
    let mut json = object(&format!("{}{}", "{\"a\":".repeat(127), "{}".to_owned() + &"}".repeat(127)));
    for _ in 0..5 {
        let mut editor = Editor::with_capacity(json.text().len());
        editor.put("outer", json.text());
        json = editor.finish();
    }
    assert_eq!(json.members().count(), 1);
    assert_eq!(json.raw_member("outer").unwrap().len() + "{\"outer\":}".len(), json.text().len());
    assert!(matches!(json.parse(), Value::Map(map) if map.len() == 1));
}

#[test]
fn parts_from_elsewhere_are_copied_not_trusted() {
    let json = object("[1]");
    assert_eq!(json.value_of(b"\"x\""), Value::text("x"));
    assert_eq!(json.value_of(b"[2]").into_parsed(), Value::array(vec![Value::Int32(2)]));
}

fn json(text: &str) -> Json {
    match check(text).unwrap() {
        Value::Json(json) => json,
        other => panic!("{other:?} is no text"),
    }
}

#[test]
fn members_that_stay_are_copied_as_they_stand() {
    let text = r#"{ "a" : 1 , "b":[2], "\u0063": "}" ,"d":null }"#;
    let edited = |text: &str, changes: &[(&str, MemberChange)]| {
        let change = |member: &Member<'_>| {
            let found = changes.iter().find(|(name, _)| member.is_named(name));
            found.map_or(MemberChange::Keep, |(_, change)| change.clone())
        };
        String::from_utf8(json(text).edited(change).text().to_vec()).unwrap()
    };
    let (drop, rename) = (MemberChange::Drop, MemberChange::Rename("é\"".to_owned()));
    let replace = MemberChange::Replace(b"{}".to_vec());
    for (changes, after) in [
        (vec![], r#"{"a" : 1 , "b":[2], "\u0063": "}" ,"d":null}"#),
        (vec![("a", drop.clone())], r#"{"b":[2], "\u0063": "}" ,"d":null}"#),
        (vec![("d", drop.clone())], r#"{"a" : 1 , "b":[2], "\u0063": "}"}"#),
        (vec![("b", drop.clone()), ("c", drop.clone())], r#"{"a" : 1,"d":null}"#),
        (vec![("b", rename), ("c", replace)], r#"{"a" : 1,"é\"":[2],"\u0063":{},"d":null}"#),
        (["a", "b", "c", "d"].map(|name| (name, drop.clone())).to_vec(), "{}"),
    ] {
        assert_eq!(edited(text, &changes), after);
    }
    assert_eq!(edited("{ }", &[]), "{}");
}

#[test]
fn a_value_is_spliced_in() {
    let json = json(r#"{"a":"x","b":[1, 2]}"#);
    let spliced = |name: &str| json.spliced(json.raw_member(name).unwrap(), b"null");
    assert_eq!(spliced("a").text(), &r#"{"a":null,"b":[1, 2]}"#);
    assert_eq!(spliced("b").text(), &r#"{"a":"x","b":null}"#);
}

#[test]
fn a_prepared_name_finds_the_last_of_its_members() {
    let cases = [
        (r#"{"a":1,"b":2}"#, Some("1")),
        (r#"{"a":1,"b":{"a":2}}"#, Some("1")),
        (r#"{"b":{"a":2},"x":"a"}"#, None),
        (r#"{"a":1,"b":2,"a" : [3, 4] }"#, Some("[3, 4]")),
        (r#"{"a":1,"\u0061":"2"}"#, Some("\"2\"")),
        (r#"{"x":"\"a\":1"}"#, None),
        ("{}", None),
    ];
    for (text, expected) in cases {
        let found = MemberName::new("a").find_in(text.as_bytes());
        assert_eq!(found.map(|raw| std::str::from_utf8(raw).unwrap()), expected, "{text}");
    }
}

#[test]
fn names_change_and_all_between_them_stays() {
    let renamed = |text: &str, from: &str, to: &'static str| {
        let Value::Json(json) = check(text).unwrap() else { panic!("{text}") };
        let mut renamer = Renamer::default();
        let mut renamed = || {
            renamer.rename(&json, |raw_name, new| {
                if unescape(raw_name) == from {
                    new.set(to.as_bytes());
                }
                Ok(())
            })
        };
        // What one object leaves behind is no part of the next.
        let first = renamed().unwrap();
        assert_eq!(renamed().unwrap(), first);
        first
    };
    let Renamed::Edited(json) = renamed(r#"{ "b" :1 ,"a": {"a" :[ ]}, "c":0 }"#, "a", "long") else { panic!() };
    assert_eq!(json.text(), r#"{ "b" :1 ,"long": {"a" :[ ]}, "c":0 }"#.as_bytes());
    assert_eq!(renamed(r#"{"b":1}"#, "a", "c"), Renamed::Unchanged);
    // Two of one name, before and behind; and a name that has a second spelling.
    for text in [r#"{"c":1,"a":2}"#, r#"{"a":2,"c":1}"#, r#"{"a":2,"a":1}"#, r#"{"a":1,"\u0063":2}"#] {
        assert_eq!(renamed(text, "a", "c"), Renamed::TakeApart, "{text}");
    }
}
