//! Hides what looks like a secret in records that people look at.

use rmqc_core::config::key::MASK;
use rmqc_core::config::secret::{looks_secret, shown};
use serde_json::Value;

/// A record's text. In JSON the values of members whose names look like secrets are hidden; other text stays, but for
/// passwords in addresses.
pub(super) fn text(text: &str) -> String {
    if let Ok(mut json) = serde_json::from_str::<Value>(text)
        && hide(&mut json)
    {
        return json.to_string();
    }
    shown(text, false).into_owned()
}

/// A record's text that may have been cut. What begins as JSON and was cut can't be looked into, so if any secret might be in
/// it, it is not shown.
pub(super) fn cut_text(given: &str, cut: bool) -> String {
    let broken = cut && given.trim_start().starts_with(['{', '[']) && serde_json::from_str::<Value>(given).is_err();
    if broken && looks_secret(given) { MASK.to_owned() } else { text(given) }
}

/// A property's value.
pub(super) fn property(name: &str, value: &str) -> String {
    if looks_secret(name) { MASK.to_owned() } else { text(value) }
}

/// Hides members in all depths; gives whether there was any.
fn hide(json: &mut Value) -> bool {
    match json {
        Value::Object(members) => {
            let mut found = false;
            for (name, value) in members {
                if looks_secret(name) && !value.is_null() {
                    *value = Value::from(MASK);
                    found = true;
                } else {
                    found |= hide(value);
                }
            }
            found
        }
        Value::Array(items) => items.iter_mut().fold(false, |found, item| hide(item) | found),
        Value::String(text) => match shown(text, false) {
            std::borrow::Cow::Owned(masked) => {
                *text = masked;
                true
            }
            std::borrow::Cow::Borrowed(_) => false,
        },
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_that_look_like_secrets_are_hidden_in_all_depths() {
        for (given, expected) in [
            (r#"{"a":[{"db.password":"x","b":1}]}"#, r#"{"a":[{"b":1,"db.password":"******"}]}"#),
            (r#"{"z": 1.50, "a": "x"}"#, r#"{"z": 1.50, "a": "x"}"#),
            ("plain password=x", "plain password=x"),
        ] {
            assert_eq!(text(given), expected);
        }
        assert_eq!(cut_text(r#"{"password": "hun"#, true), "******");
        assert_eq!(cut_text(r#"{"colour": "re"#, true), r#"{"colour": "re"#);
        assert_eq!(property("my_token", "x"), "******");
        assert_eq!(property("colour", "red"), "red");
    }
}
