use super::*;

fn check(text: &str) -> Result<Value, Malformed> {
    decode(&Bytes::copy_from_slice(text.as_bytes()))
}

#[test]
fn members_are_found_in_place() {
    let Value::Json(json) = check(r#" {"a" : 1, "b":{"c":[1,{"d":"x"}]}, "a":"last","\u0065":true} "#).unwrap() else {
        panic!("an object stays text")
    };
    assert_eq!(json.raw_member("a"), Some(&b"\"last\""[..]));
    assert_eq!(json.member("b").unwrap().kind(), "map");
    assert_eq!(json.member("e"), Some(Value::Boolean(true)));
    assert_eq!(json.member("c"), None);
    assert_eq!(json.members().count(), 4);
}
