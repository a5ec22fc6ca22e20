//! Dates and times on the command line: RFC 3339, shown in UTC.

use rmqc_core::calendar::{date_of, days_of};

/// Milliseconds since 1970 of `yyyy-mm-ddThh:mm:ss[.fff](Z|±hh:mm)`; nothing for what is no such time.
pub(super) fn ms_of(text: &str) -> Option<i64> {
    let number = |from: usize, to: usize| -> Option<i64> {
        let digits = text.get(from..to)?;
        digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
    };
    let mark = |place: usize, marks: &[u8]| text.as_bytes().get(place).is_some_and(|byte| marks.contains(byte));
    if !(mark(4, b"-") && mark(7, b"-") && mark(10, b"Tt ") && mark(13, b":") && mark(16, b":")) {
        return None;
    }
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    let days = days_of(year, month, day);
    // A day that does not exist comes back as another one.
    let exists = (1..=12).contains(&month) && date_of(days) == (year, month, day);
    if !exists || hour > 23 || minute > 59 || second > 59 || year < 1970 {
        return None;
    }
    let rest = text.get(19..)?;
    let digits =
        rest.strip_prefix('.').map_or("", |rest| rest.split(|c: char| !c.is_ascii_digit()).next().unwrap_or(""));
    let zone = rest.get(if digits.is_empty() { 0 } else { digits.len() + 1 }..)?;
    let millis: i64 = format!("{digits:0<3}").get(..3)?.parse().ok()?;
    let offset_minutes = match zone.as_bytes() {
        b"Z" | b"z" => 0,
        [sign @ (b'+' | b'-'), _, _, b':', _, _] => {
            let (hours, minutes): (i64, i64) = (zone.get(1..3)?.parse().ok()?, zone.get(4..6)?.parse().ok()?);
            let offset = hours * 60 + minutes;
            if *sign == b'-' { -offset } else { offset }
        }
        _ => return None,
    };
    let minutes = (days * 24 + hour) * 60 + minute - offset_minutes;
    Some((minutes * 60 + second) * 1000 + millis)
}

/// A time in ms since 1970 as `yyyy-mm-ddThh:mm:ss.fffZ`.
pub(super) fn shown(ms: i64) -> String {
    let (seconds, millis) = (ms.div_euclid(1000), ms.rem_euclid(1000));
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = date_of(days);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_is_read_again() {
        for (ms, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_753_600_001, "2000-02-28T16:00:00.001Z"),
            (1_709_222_399_123, "2024-02-29T15:59:59.123Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(shown(ms), text);
            assert_eq!(ms_of(text), Some(ms));
        }
        assert_eq!(shown(-1), "1969-12-31T23:59:59.999Z");
    }
}
