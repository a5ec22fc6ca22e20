//! Medians, quantiles, and how they are printed.

use hdrhistogram::Histogram;
use serde_json::{Value, json};

/// Rounds to so many decimal digits.
pub fn rounded(value: f64, digits: i32) -> f64 {
    let scale = 10_f64.powi(digits);
    (value * scale).round() / scale
}

/// Four digits that matter, so that small and large numbers are told alike.
pub fn significant(value: f64) -> f64 {
    if value == 0.0 || !value.is_finite() {
        return 0.0;
    }
    let digits = 3 - value.abs().log10().floor() as i32;
    if digits <= 0 { value.round() } else { rounded(value, digits.min(9)) }
}

/// The value below which a share of the others lies, between neighbours in proportion; 0 of none.
pub fn quantile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let Some(last) = sorted.len().checked_sub(1) else { return 0.0 };
    let place = share.clamp(0.0, 1.0) * last as f64;
    let (low, high) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
    low + (high - low) * place.fract()
}

/// The middle value; 0 of none.
pub fn median(values: &[f64]) -> f64 {
    quantile(values, 0.5)
}

/// Median, least and greatest.
pub fn spread_of(values: &[f64]) -> Value {
    json!({
        "median": significant(median(values)),
        "min": significant(quantile(values, 0.0)),
        "max": significant(quantile(values, 1.0)),
    })
}

/// What is told of waits recorded in µs, in ms.
pub fn quantiles(histogram: &Histogram<u64>) -> Value {
    let ms = |share: f64| rounded(histogram.value_at_quantile(share) as f64 / 1e3, 3);
    json!({
        "count": histogram.len(),
        "p50_ms": ms(0.5),
        "p90_ms": ms(0.9),
        "p99_ms": ms(0.99),
        "p999_ms": ms(0.999),
        "p9999_ms": ms(0.9999),
        "max_ms": rounded(histogram.max() as f64 / 1e3, 3),
    })
}

#[cfg(test)]
#[allow(
    dead_code,
    unused_imports,
    reason = "the bench target is built for tests without a harness that would run them"
)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_lie_between_neighbours() {
        let values = [4.0, 1.0, 3.0, 2.0];
        for (share, wanted) in [(0.0, 1.0), (0.5, 2.5), (0.75, 3.25), (1.0, 4.0)] {
            assert!((quantile(&values, share) - wanted).abs() < 1e-9, "{share}");
        }
        assert!((median(&[7.0]) - 7.0).abs() < 1e-9);
        assert!(median(&[]).abs() < 1e-9);
    }

    #[test]
    fn four_digits_are_kept() {
        for (value, wanted) in [(0.0123456, 0.01235), (1234567.0, 1234567.0), (12.34567, 12.35), (0.0, 0.0)] {
            assert!((significant(value) - wanted).abs() < 1e-9, "{value}: {}", significant(value));
        }
    }
}
