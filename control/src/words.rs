//! Numbers and times as people read them.

use crate::flow::number;

/// `93 %`.
#[must_use]
pub fn percent(share: f64) -> String {
    format!("{:.0} %", share.clamp(0.0, 1.0) * 100.0)
}

/// A count: whole with commas below a million, `1.2 M` from there on.
#[must_use]
pub fn count(value: u64) -> String {
    match value {
        0..=999_999 => grouped(value),
        1_000_000..=999_999_999 => format!("{:.1} M", number(value) / 1e6),
        _ => format!("{:.1} G", number(value) / 1e9),
    }
}

/// A rate: one decimal below 10, else whole.
#[must_use]
pub fn rate(value: f64) -> String {
    if value < 9.95 {
        return format!("{:.1}", value.max(0.0)).trim_end_matches(".0").to_owned();
    }
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "more than 9; too large is the largest")]
    count(value.round() as u64)
}

/// `4 s`, `1 min 40 s`, `2 h 5 min`, `3 d 4 h`.
#[must_use]
pub fn duration(seconds: f64) -> String {
    if seconds < 0.95 {
        return format!("{:.1} s", seconds.max(0.1));
    }
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive; too large is the largest")]
    let seconds = seconds.round() as u64;
    let (large, small, units) = match seconds {
        0..60 => return format!("{seconds} s"),
        60..3600 => (seconds / 60, seconds % 60, ("min", "s")),
        3600..86_400 => (seconds / 3600, seconds % 3600 / 60, ("h", "min")),
        86_400..8_640_000 => (seconds / 86_400, seconds % 86_400 / 3600, ("d", "h")),
        _ => return "more than 100 d".to_owned(),
    };
    let (large_unit, small_unit) = units;
    if small == 0 { format!("{large} {large_unit}") } else { format!("{large} {large_unit} {small} {small_unit}") }
}

/// The first line of a cause: one sentence is asked for.
pub(crate) fn line(cause: &str) -> &str {
    cause.lines().next().unwrap_or_default()
}

/// `512 B`, `34.0 MB`: a thousand of one is one of the next.
#[must_use]
pub fn bytes(value: u64) -> String {
    match value {
        0..1000 => format!("{value} B"),
        1000..1_000_000 => format!("{:.1} kB", number(value) / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", number(value) / 1e6),
        _ => format!("{:.1} GB", number(value) / 1e9),
    }
}

fn grouped(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::with_capacity(digits.len() + 2);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        let counts = [(0, "0"), (999, "999"), (12_400, "12,400"), (999_999, "999,999"), (1_234_567, "1.2 M")];
        counts.iter().for_each(|(value, text)| assert_eq!(count(*value), *text));
        assert_eq!(count(u64::MAX), "18446744073.7 G");
        let rates = [(0.0, "0"), (0.25, "0.2"), (3.0, "3"), (9.97, "10"), (12_400.4, "12,400"), (-1.0, "0")];
        rates.iter().for_each(|(value, text)| assert_eq!(rate(*value), *text));
    }

    #[test]
    fn sizes_are_short() {
        for (value, text) in [(0, "0 B"), (1000, "1.0 kB"), (34_000_000, "34.0 MB"), (7_100_000_000, "7.1 GB")] {
            assert_eq!(bytes(value), text);
        }
    }

    #[test]
    fn times_have_two_units_at_most() {
        for (seconds, text) in [
            (0.0, "0.1 s"),
            (0.5, "0.5 s"),
            (5.0, "5 s"),
            (60.0, "1 min"),
            (100.0, "1 min 40 s"),
            (7500.0, "2 h 5 min"),
            (273_600.0, "3 d 4 h"),
            (1e300, "more than 100 d"),
        ] {
            assert_eq!(duration(seconds), text);
        }
    }
}
