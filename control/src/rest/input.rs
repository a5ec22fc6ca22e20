//! Reads the configuration in a create request: a JSON object whose values become texts, as the Java worker makes them.

use std::fmt;

use rmqc_core::config::Properties;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::error::ApiError;

/// A configuration as it was sent.
#[derive(Debug)]
pub(super) struct Input {
    /// Members in the order sent, each with its compact JSON text; of equal names the last.
    pub members: Vec<(String, String)>,
    /// The same with every value as text.
    pub properties: Properties,
}

/// Members of an object, in order, values unread.
struct Members(Vec<(String, Box<RawValue>)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Members;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members: Vec<(String, Box<RawValue>)> = Vec::new();
                while let Some((name, value)) = map.next_entry::<String, Box<RawValue>>()? {
                    members.push((name, value));
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

/// Reads a body or query parameter.
///
/// # Errors
/// Nothing there, or anything but an object without nulls.
pub(super) fn read(bytes: &[u8]) -> Result<Input, ApiError> {
    let malformed = || ApiError::bad_request("Failed! query param 'config' is malformed");
    let text = std::str::from_utf8(bytes).map_err(|_| malformed())?;
    if text.trim().is_empty() {
        return Err(ApiError::bad_request("Failed! query param 'config' is required "));
    }
    let Members(raw) = serde_json::from_str(text).map_err(|_| malformed())?;
    let mut input = Input { members: Vec::new(), properties: Properties::new() };
    for (name, value) in raw {
        let compact = compact(value.get());
        let text = as_text(&compact).ok_or_else(malformed)?;
        if input.properties.insert(name.clone(), text).is_some() {
            input.members.retain(|(known, _)| *known != name);
        }
        input.members.push((name, compact));
    }
    Ok(input)
}

/// JSON without the blanks between its parts.
fn compact(json: &str) -> String {
    let mut inside = false;
    let mut escaped = false;
    let keep = |c: &char| {
        let blank = !inside && c.is_ascii_whitespace();
        if escaped {
            escaped = false;
        } else if inside && *c == '\\' {
            escaped = true;
        } else if *c == '"' {
            inside = !inside;
        }
        !blank
    };
    json.chars().filter(keep).collect()
}

/// The text that a value of any JSON is stored as; none for null.
pub(super) fn text_of(json: &str) -> Option<String> {
    as_text(&compact(json))
}

/// The text that a compact value is stored as; none for null.
fn as_text(json: &str) -> Option<String> {
    match json.chars().next()? {
        'n' => None,
        '"' => serde_json::from_str(json).ok(),
        '-' | '0'..='9' => Some(number_text(json)),
        _ => Some(json.to_owned()),
    }
}

/// A number as Java's `Integer`, `Long`, `BigInteger` or `BigDecimal` writes it.
fn number_text(json: &str) -> String {
    let (sign, unsigned) = json.strip_prefix('-').map_or(("", json), |rest| ("-", rest));
    let (mantissa, exponent) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let Ok(exponent) = exponent.parse::<i32>() else { return json.to_owned() };
    let all = format!("{whole}{fraction}");
    let digits = match all.trim_start_matches('0') {
        "" => "0",
        significant => significant,
    };
    let sign = if digits == "0" { "" } else { sign };
    let scale = i64::try_from(fraction.len()).unwrap_or(0) - i64::from(exponent);
    let length = i64::try_from(digits.len()).unwrap_or(0);
    let adjusted = length - 1 - scale;
    if scale == 0 {
        format!("{sign}{digits}")
    } else if scale > 0 && adjusted >= -6 {
        let width = usize::try_from(scale + 1).unwrap_or(0);
        let padded = format!("{digits:0>width$}");
        let point = padded.len() - usize::try_from(scale).unwrap_or(0);
        let (before, after) = padded.split_at_checked(point).unwrap_or((&padded, ""));
        format!("{sign}{before}.{after}")
    } else {
        let (first, rest) = digits.split_at_checked(1).unwrap_or((digits, ""));
        let point = if rest.is_empty() { "" } else { "." };
        format!("{sign}{first}{point}{rest}E{adjusted:+}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_become_the_texts_that_java_makes() {
        for (json, text) in [
            ("true", "true"),
            ("3", "3"),
            ("-0", "0"),
            ("1.50", "1.50"),
            ("-1.5", "-1.5"),
            ("1e3", "1E+3"),
            ("1.5e3", "1.5E+3"),
            ("1e-3", "0.001"),
            ("1E-10", "1E-10"),
            ("0.0", "0.0"),
            ("123456789012345678901234567890", "123456789012345678901234567890"),
            (r#""a\u00e4\n""#, "aä\n"),
            (r#"[1, 2, "a b"]"#, r#"[1,2,"a b"]"#),
            (r#"{ "a" : "x \" y" }"#, r#"{"a":"x \" y"}"#),
        ] {
            let input = read(format!("{{\"k\": {json} }}").as_bytes()).unwrap();
            assert_eq!(input.properties["k"], text, "{json}");
        }
    }

    #[test]
    fn the_echo_keeps_types_and_order_and_the_last_of_equal_names() {
        let input = read(br#"{"b":1,"a":"x","b":true}"#).unwrap();
        assert_eq!(input.members, [("a".to_owned(), "\"x\"".to_owned()), ("b".to_owned(), "true".to_owned())]);
    }

    #[test]
    fn what_is_no_object_without_nulls_is_refused() {
        for text in
            ["{\"a\":", "not json", "[1,2]", "\"text\"", "5", "null", "{\"a\":null}", "{} x", "{\"a\":\"\\ud800\"}"]
        {
            let error = read(text.as_bytes()).unwrap_err();
            assert_eq!(error, ApiError::bad_request("Failed! query param 'config' is malformed"), "{text}");
        }
        for text in ["", "  \n"] {
            let error = read(text.as_bytes()).unwrap_err();
            assert_eq!(error, ApiError::bad_request("Failed! query param 'config' is required "));
        }
        assert!(read(b"\xff").is_err());
        assert!(read("[".repeat(100_000).as_bytes()).is_err());
        assert!(read(format!("{{\"a\":{}", "[".repeat(100_000)).as_bytes()).is_err());
    }
}
