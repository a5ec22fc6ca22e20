//! The texts that Java's `toString` gives for values.

use std::borrow::Cow;

use bigdecimal::BigDecimal;

use crate::value::Value;

/// `Double.toString`.
#[must_use]
pub fn double(value: f64) -> String {
    scientific_or_plain(value, &format!("{value:?}"), &format!("{value:E}"))
}

/// `Float.toString`.
#[must_use]
pub fn float(value: f32) -> String {
    scientific_or_plain(f64::from(value), &format!("{value:?}"), &format!("{value:E}"))
}

fn scientific_or_plain(value: f64, plain: &str, scientific: &str) -> String {
    if value.is_infinite() {
        return if value > 0.0 { "Infinity".to_owned() } else { "-Infinity".to_owned() };
    }
    let magnitude = value.abs();
    if magnitude == 0.0 || !magnitude.is_finite() || (1e-3..1e7).contains(&magnitude) {
        return plain.to_owned();
    }
    match scientific.split_once('E') {
        Some((mantissa, exponent)) if !mantissa.contains('.') => format!("{mantissa}.0E{exponent}"),
        _ => scientific.to_owned(),
    }
}

/// `BigDecimal.toString`: plain unless the number has trailing zeros before the point or begins far behind it.
#[must_use]
pub fn decimal(value: &BigDecimal) -> String {
    let (unscaled, scale) = value.as_bigint_and_exponent();
    let digits = unscaled.magnitude().to_string();
    let sign = if unscaled.sign() == bigdecimal::num_bigint::Sign::Minus { "-" } else { "" };
    let count = i64::try_from(digits.len()).unwrap_or(i64::MAX);
    let exponent = count.saturating_sub(1).saturating_sub(scale);
    if scale == 0 {
        return format!("{sign}{digits}");
    }
    if scale > 0 && exponent >= -6 {
        let point = count.saturating_sub(scale);
        return match usize::try_from(point) {
            Ok(point) if point > 0 => {
                let (whole, fraction) = digits.split_at_checked(point).unwrap_or((&digits, ""));
                format!("{sign}{whole}.{fraction}")
            }
            _ => {
                let zeros = usize::try_from(point.saturating_neg()).unwrap_or(0);
                format!("{sign}0.{}{digits}", "0".repeat(zeros))
            }
        };
    }
    let (first, rest) = digits.split_at_checked(1).unwrap_or((&digits, ""));
    let point = if rest.is_empty() { "" } else { "." };
    format!("{sign}{first}{point}{rest}E{exponent:+}")
}

/// `String.valueOf` of a value. Bytes, whose Java text is the object's identity, give the text they hold; a date gives
/// its milliseconds.
#[must_use]
pub fn value(value: &Value) -> Cow<'_, str> {
    Cow::Owned(match value {
        Value::Null => return Cow::Borrowed("null"),
        Value::Boolean(true) => return Cow::Borrowed("true"),
        Value::Boolean(false) => return Cow::Borrowed("false"),
        Value::Int8(number) => number.to_string(),
        Value::Int16(number) => number.to_string(),
        Value::Int32(number) => number.to_string(),
        Value::Int64(number) => number.to_string(),
        Value::Float32(number) => float(*number),
        Value::Float64(number) => double(*number),
        Value::String(text) => return text.to_str(),
        Value::Bytes(bytes) => return String::from_utf8_lossy(bytes),
        Value::Decimal(number) => decimal(number),
        Value::Date(time_ms) => time_ms.to_string(),
        Value::Array(values) => {
            let parts: Vec<_> = values.iter().map(self::value).collect();
            format!("[{}]", parts.join(", "))
        }
        Value::Map(map) => {
            let parts: Vec<_> =
                map.iter().map(|(key, one)| format!("{}={}", self::value(key), self::value(one))).collect();
            format!("{{{}}}", parts.join(", "))
        }
        Value::Struct(fields) => {
            let set = fields.iter().filter(|(_, one)| !one.is_null());
            let parts: Vec<_> = set.map(|(field, one)| format!("{}={}", field.name, self::value(one))).collect();
            format!("Struct{{{}}}", parts.join(","))
        }
        Value::Json(json) => return Cow::Owned(self::value(&json.parse()).into_owned()),
    })
}

#[cfg(test)]
mod tests {
    use std::str::FromStr;

    use super::*;

    #[test]
    fn numbers_read_as_in_java() {
        let cases = [
            (1.5, "1.5"),
            (2.0, "2.0"),
            (1e30, "1.0E30"),
            (1.25e-5, "1.25E-5"),
            (-0.0, "-0.0"),
            (1e7, "1.0E7"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-Infinity"),
        ];
        for (number, text) in cases {
            assert_eq!(double(number), text);
        }
        assert_eq!((float(1.1).as_str(), float(2.0).as_str(), float(1e10).as_str()), ("1.1", "2.0", "1.0E10"));
    }

    #[test]
    fn decimals_read_as_in_java() {
        for text in [
            "0",
            "1",
            "-1",
            "10.2345",
            "0.001",
            "-0.5",
            "123",
            "1.0",
            "0.000001",
            "1E+3",
            "1.2E+4",
            "1E-7",
            "-1.23E-10",
        ] {
            assert_eq!(decimal(&BigDecimal::from_str(text).unwrap()), text);
        }
    }
}
