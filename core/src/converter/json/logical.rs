//! Logical types: what their values look like in JSON, both ways.

use bigdecimal::BigDecimal;
use bigdecimal::num_bigint::{BigInt, Sign};

use super::fault::Fault;
use crate::schema::Schema;

/// Milliseconds of a day.
const DAY_MS: i64 = 86_400_000;
/// Longest unscaled value of a Decimal, in bytes. Java knows no bound; arithmetic on such numbers takes square time.
const DECIMAL_BYTES_MAX: usize = 1024;
/// Largest scale of a Decimal, either way.
const SCALE_MAX: i64 = 2048;

/// Days since 1970-01-01 of a Date.
pub(super) fn days_of(time_ms: i64) -> Result<i32, Fault> {
    if time_ms.rem_euclid(DAY_MS) != 0 {
        return Err(Fault::new("a Date must not have a time of day"));
    }
    i32::try_from(time_ms.div_euclid(DAY_MS)).map_err(|_| Fault::new("a Date beyond 32 bits of days"))
}

/// The Date of days since 1970-01-01.
pub(super) fn date_of(days: i32) -> i64 {
    i64::from(days).saturating_mul(DAY_MS)
}

/// Checks the milliseconds of a Time.
pub(super) fn check_time(time_ms: i64) -> Result<i64, Fault> {
    if (0..=DAY_MS).contains(&time_ms) {
        Ok(time_ms)
    } else {
        Err(Fault::new("a Time must lie within a day, from 0 to 86400000 ms"))
    }
}

/// The scale that a schema of Decimals declares.
pub(super) fn scale_of(schema: &Schema) -> Result<i64, Fault> {
    match schema.decimal_scale() {
        Some(scale) if (-SCALE_MAX..=SCALE_MAX).contains(&scale) => Ok(scale),
        Some(scale) => {
            Err(Fault::new(format!("a Decimal's scale must lie from -{SCALE_MAX} to {SCALE_MAX}, not {scale}")))
        }
        None => Err(Fault::new("a Decimal's schema needs the parameter scale, a whole number")),
    }
}

/// The unscaled value of a Decimal at its schema's scale. Its two's complement, big-endian, is the Decimal's form.
///
/// # Errors
/// When digits would be lost, or there are too many.
pub(super) fn unscaled(number: &BigDecimal, scale: i64) -> Result<BigInt, Fault> {
    let (unscaled, own) = number.as_bigint_and_scale();
    let lost = || Fault::new(format!("a Decimal of scale {own} does not fit the scale {scale} of its schema"));
    let whole = if own == scale || unscaled.sign() == Sign::NoSign {
        unscaled.into_owned()
    } else {
        let shift = scale.checked_sub(own).filter(|shift| shift.unsigned_abs() <= 2 * SCALE_MAX.unsigned_abs());
        let shift = shift.ok_or_else(lost)?;
        let power = BigInt::from(10).pow(u32::try_from(shift.unsigned_abs()).map_err(|_| lost())?);
        if shift > 0 {
            unscaled.as_ref() * power
        } else {
            let whole = unscaled.as_ref() / &power;
            if &whole * power != *unscaled.as_ref() {
                return Err(lost());
            }
            whole
        }
    };
    if whole.to_signed_bytes_be().len() > DECIMAL_BYTES_MAX {
        return Err(Fault::new(format!("a Decimal of more than {DECIMAL_BYTES_MAX} bytes")));
    }
    Ok(whole)
}

/// The Decimal of such bytes.
pub(super) fn decimal_of(bytes: &[u8], scale: i64) -> Result<BigDecimal, Fault> {
    match bytes.len() {
        0 => Err(Fault::new("a Decimal without bytes")),
        1..=DECIMAL_BYTES_MAX => Ok(BigDecimal::new(BigInt::from_signed_bytes_be(bytes), scale)),
        _ => Err(Fault::new(format!("a Decimal of more than {DECIMAL_BYTES_MAX} bytes"))),
    }
}
