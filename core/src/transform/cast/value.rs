//! One value of another type.

use std::str::FromStr;

use base64::Engine as _;
use bigdecimal::BigDecimal;
use bigdecimal::num_bigint::Sign;

use super::super::date_format::DateFormat;
use crate::java_text;
use crate::schema::{FieldType, Logical, Schema};
use crate::value::Value;

const KIND: &str = "a value of this kind can't be cast";
const RANGE: &str = "the number is beyond its range";
const TEXT: &str = "the text is none";

const DAY_MS: i64 = 86_400_000;
/// Digits before the point of the longest whole number of 64 bits.
const WHOLE_DIGITS_MAX: i64 = 19;

/// A number of any kind.
enum Number<'a> {
    Whole(i64),
    Float(f64),
    Decimal(&'a BigDecimal),
}

/// A value as one of the type `to`. `schema` is its own, if it has one.
///
/// # Errors
/// Why there is no such value.
pub(super) fn cast(value: &Value, schema: Option<&Schema>, to: FieldType) -> Result<Value, &'static str> {
    match value {
        Value::Null => Ok(Value::Null),
        Value::String(text) => of_text(&text.to_str(), to),
        Value::Bytes(bytes) if to == FieldType::String => {
            Ok(Value::text(base64::engine::general_purpose::STANDARD.encode(bytes)))
        }
        Value::Date(time_ms) if to == FieldType::String => date_text(*time_ms, schema),
        Value::Array(_) | Value::Map(_) | Value::Struct(_) | Value::Json(_) | Value::Bytes(_) => Err(KIND),
        _ if to == FieldType::String => Ok(Value::text(java_text::value(value).into_owned())),
        _ => of_number(&number(value, schema).ok_or(KIND)?, to),
    }
}

/// The number that a value is, or stands for in its schema.
fn number<'a>(value: &'a Value, schema: Option<&Schema>) -> Option<Number<'a>> {
    Some(match value {
        Value::Boolean(truth) => Number::Whole(i64::from(*truth)),
        Value::Int8(number) => Number::Whole(i64::from(*number)),
        Value::Int16(number) => Number::Whole(i64::from(*number)),
        Value::Int32(number) => Number::Whole(i64::from(*number)),
        Value::Int64(number) => Number::Whole(*number),
        Value::Float32(number) => Number::Float(f64::from(*number)),
        Value::Float64(number) => Number::Float(*number),
        Value::Decimal(number) => Number::Decimal(number),
        Value::Date(time_ms) => match schema.and_then(Schema::logical_type) {
            Some(Logical::Date) => Number::Whole(time_ms.div_euclid(DAY_MS)),
            _ => Number::Whole(*time_ms),
        },
        _ => return None,
    })
}

impl Number<'_> {
    /// The whole part.
    fn whole(&self) -> Result<i64, &'static str> {
        /// One more than the largest whole number of 64 bits.
        const LIMIT: f64 = 9_223_372_036_854_775_808.0;
        match self {
            Self::Whole(number) => Ok(*number),
            // The bounds leave nothing to cut off but the fraction, which is to go.
            Self::Float(number) if (-LIMIT..LIMIT).contains(&number.trunc()) => Ok(number.trunc() as i64),
            Self::Float(_) => Err(RANGE),
            Self::Decimal(number) => {
                let whole_digits = digits_before_point(number);
                if whole_digits <= 0 || number.sign() == Sign::NoSign {
                    return Ok(0);
                }
                if whole_digits > WHOLE_DIGITS_MAX {
                    return Err(RANGE);
                }
                i64::try_from(number.with_scale(0).as_bigint_and_exponent().0).map_err(|_| RANGE)
            }
        }
    }

    /// The nearest number of 64 bits with a fraction.
    fn float(&self) -> Result<f64, &'static str> {
        match self {
            // Rounding to the nearest is what is asked for here.
            Self::Whole(number) => Ok(*number as f64),
            Self::Float(number) => Ok(*number),
            Self::Decimal(number) => {
                let (unscaled, scale) = number.as_bigint_and_exponent();
                let float = f64::from_str(&format!("{unscaled}e{}", scale.saturating_neg())).ok();
                float.filter(|float| float.is_finite()).ok_or(RANGE)
            }
        }
    }
}

/// Digits that a decimal has before its point; not more than one too many.
fn digits_before_point(number: &BigDecimal) -> i64 {
    let (unscaled, scale) = number.as_bigint_and_exponent();
    let digits = i64::try_from(unscaled.magnitude().to_string().len()).unwrap_or(i64::MAX);
    digits.saturating_sub(scale)
}

fn of_number(number: &Number<'_>, to: FieldType) -> Result<Value, &'static str> {
    Ok(match to {
        FieldType::Int8 => Value::Int8(i8::try_from(number.whole()?).map_err(|_| RANGE)?),
        FieldType::Int16 => Value::Int16(i16::try_from(number.whole()?).map_err(|_| RANGE)?),
        FieldType::Int32 => Value::Int32(i32::try_from(number.whole()?).map_err(|_| RANGE)?),
        FieldType::Int64 => Value::Int64(number.whole()?),
        FieldType::Float32 => {
            let wide = number.float()?;
            // Rounding to the nearest is what is asked for here.
            let narrow = wide as f32;
            if narrow.is_infinite() && wide.is_finite() {
                return Err(RANGE);
            }
            Value::Float32(narrow)
        }
        FieldType::Float64 => Value::Float64(number.float()?),
        FieldType::Boolean => Value::Boolean(match number {
            Number::Float(number) => number.is_finite() && number.trunc() != 0.0 || number.is_infinite(),
            Number::Decimal(number) => digits_before_point(number) > 0 && number.sign() != Sign::NoSign,
            Number::Whole(number) => *number != 0,
        }),
        _ => return Err(KIND),
    })
}

/// A text read as Java's parsers do, but that a boolean must be `true` or `false`.
fn of_text(text: &str, to: FieldType) -> Result<Value, &'static str> {
    let value = match to {
        FieldType::Int8 => text.parse().ok().map(Value::Int8),
        FieldType::Int16 => text.parse().ok().map(Value::Int16),
        FieldType::Int32 => text.parse().ok().map(Value::Int32),
        FieldType::Int64 => text.parse().ok().map(Value::Int64),
        FieldType::Float32 => float(text).map(Value::Float32),
        FieldType::Float64 => float(text).map(Value::Float64),
        FieldType::Boolean if text.eq_ignore_ascii_case("true") => Some(Value::Boolean(true)),
        FieldType::Boolean if text.eq_ignore_ascii_case("false") => Some(Value::Boolean(false)),
        FieldType::String => Some(Value::text(text)),
        _ => None,
    };
    value.ok_or(TEXT)
}

/// `Double.parseDouble` of decimal texts: blanks around it and a type letter at its end are allowed; of words only `NaN`
/// and `Infinity` count.
fn float<F: FromStr>(text: &str) -> Option<F> {
    let text = text.trim();
    let bare = text.strip_prefix(['+', '-']).unwrap_or(text);
    if matches!(bare, "NaN" | "Infinity") {
        return text.parse().ok();
    }
    let number = text.strip_suffix(['f', 'F', 'd', 'D']).unwrap_or(text);
    let plain = number.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E'));
    if plain { number.parse().ok() } else { None }
}

/// The text of a date: what its schema says it is, else a timestamp.
fn date_text(time_ms: i64, schema: Option<&Schema>) -> Result<Value, &'static str> {
    let pattern = match schema.and_then(Schema::logical_type) {
        Some(Logical::Date) => "yyyy-MM-dd",
        Some(Logical::Time) => "HH:mm:ss.SSS'Z'",
        _ => "yyyy-MM-dd'T'HH:mm:ss.SSS'Z'",
    };
    let format = DateFormat::new(pattern).map_err(|_| KIND)?;
    Ok(Value::text(format.format(time_ms)))
}
