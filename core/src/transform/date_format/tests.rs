use proptest::prelude::*;

use super::parse::DateError;
use super::*;

/// 2009-02-13 23:31:30.123 UTC, a Friday.
const TIME: i64 = 1_234_567_890_123;

fn format(pattern: &str, time_ms: i64) -> String {
    DateFormat::new(pattern).unwrap().format(time_ms)
}

fn parse(pattern: &str, text: &str) -> Result<i64, DateError> {
    DateFormat::new(pattern).unwrap().parse(text)
}

#[test]
fn times_are_written_as_java_writes_them() {
    for (pattern, text) in [
        ("yyyy-MM-dd'T'HH:mm:ss.SSS'Z'", "2009-02-13T23:31:30.123Z"),
        ("yyyyMMdd", "20090213"),
        ("yy M d H m s S", "09 2 13 23 31 30 123"),
        ("y", "2009"),
        ("EEE, dd MMM yyyy hh:mm a z", "Fri, 13 Feb 2009 11:31 PM UTC"),
        ("EEEE, MMMM D u", "Friday, February 44 5"),
        ("Z X XX XXX zzzz", "+0000 Z Z Z Coordinated Universal Time"),
        ("SSSSSS", "000123"),
        ("yyyyyy", "002009"),
        ("''yyyy 'o''clock'", "'2009 o'clock"),
        ("k K", "23 11"),
        ("日yyyy", "日2009"),
    ] {
        assert_eq!(format(pattern, TIME), text, "{pattern}");
    }
    assert_eq!(format("k h K H", 0), "24 12 0 0");
    assert_eq!(format("yyyy-MM-dd HH:mm:ss.SSS", -1), "1969-12-31 23:59:59.999");
    assert_eq!(format("yyyy-MM-dd", 951_782_400_000), "2000-02-29");
    assert_eq!(format("yyyy", i64::MIN), "292275056");
    assert_eq!(format("yyyy", i64::MAX), "292278994");
}

#[test]
fn texts_are_read() {
    for (pattern, text, time) in [
        ("yyyy-MM-dd'T'HH:mm:ss.SSS'Z'", "2009-02-13T23:31:30.123Z", TIME),
        ("yyyy-M-d", "1970-1-2", DAY_MS),
        ("yyyyMMddHHmmssSSS", "20090213233130123", TIME),
        ("EEE, dd MMM yyyy hh:mm:ss a", "fri, 13 FEBRUARY 2009 11:31:30 pm", TIME - 123),
        ("yyyy-MM-dd HH:mm Z", "1970-01-01 02:30 +0230", 0),
        ("yyyy-MM-dd HH:mmXXX", "1970-01-01 00:00-01:00", 3_600_000),
        ("HH:mmX", "00:00Z", 0),
        ("HH:mm z", "01:00 GMT+01:00", 0),
        ("yyyy D", "1972 366", 1_095 * DAY_MS),
        ("yy", "69", 3_124_224_000_000),
        ("yy", "70", 0),
        ("hh a", "12 AM", 0),
        ("kk", "24", 0),
        ("S", "7", 7),
    ] {
        assert_eq!(parse(pattern, text), Ok(time), "{pattern} {text}");
    }
}

#[test]
fn texts_that_are_no_dates_are_refused_with_their_place() {
    for (pattern, text, position, reason) in [
        ("yyyy-MM-dd", "2009-02-30", 0, "there is no such day"),
        ("yyyy-MM-dd", "2009-13-01", 5, "a number beyond its range"),
        ("yyyy-MM-dd", "2009-00-01", 5, "a number beyond its range"),
        ("yyyy-MM-dd", "2009-02-13x", 10, "something stands behind the date"),
        ("yyyy-MM-dd", "2009/02/13", 4, "not the text that the pattern has here"),
        ("yyyy-MM-dd", "", 0, "expected a digit"),
        ("yyyyMMdd", "200902", 6, "expected a digit"),
        ("yyyyMMdd", "20090", 4, "expected a digit"),
        ("SSS", "1234", 0, "a number beyond its range"),
        ("EEE yyyy-MM-dd", "Thu 2009-02-13", 0, "the date is not on that day of the week"),
        ("MMM", "Foo", 0, "not a name that is known here"),
        ("z", "CET", 0, "not a zone that is known here"),
        ("X", "+1:", 1, "expected a digit"),
        ("yyyy", "999999999", 0, "a number beyond its range"),
        ("yyyy", "99999999999999999999", 0, "a number beyond its range"),
        ("yyyy", "日", 0, "expected a digit"),
    ] {
        assert_eq!(parse(pattern, text), Err(DateError { position, reason }), "{pattern} {text}");
    }
}

#[test]
fn patterns_that_mean_something_else_here_are_refused() {
    for pattern in ["", "YYYY", "yyyy-ww", "G", "yyyy'", "XXXX", "foo"] {
        assert!(DateFormat::new(pattern).is_err(), "{pattern}");
    }
    assert_eq!(DateFormat::new("YYYY").unwrap_err(), "the pattern letter Y is not known here");
}

proptest! {
    #[test]
    fn reading_gives_what_was_written(time_ms in -62_135_596_800_000i64..253_402_300_800_000) {
        for pattern in ["yyyy-MM-dd'T'HH:mm:ss.SSSXXX", "EEEE d MMMM yyyy hh:mm:ss.SSS a", "yyyyDDD kkmmssSSS z"] {
            let format = DateFormat::new(pattern).unwrap();
            prop_assert_eq!(format.parse(&format.format(time_ms)), Ok(time_ms), "{}", pattern);
        }
    }

    #[test]
    fn nothing_makes_it_panic(pattern in "[yMdHhmsSEazZX'-:é ]{0,12}", text in "\\PC{0,20}", time_ms: i64) {
        if let Ok(format) = DateFormat::new(&pattern) {
            let _ = format.parse(&text);
            let _ = format.parse(&format.format(time_ms));
        }
    }
}
