//! From a text to a time.

use super::{DAY_MS, DateFormat, Letter, MONTHS, Piece, SHORT, WEEKDAYS, weekday};
use crate::calendar::{date_of, days_of};

/// Why a text is not a date of a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("at byte {position}: {reason}")]
pub struct DateError {
    /// Where, in bytes from the text's start.
    pub position: usize,
    /// What is wrong.
    pub reason: &'static str,
}

/// Years of two digits below this one are of this century.
const CENTURY_PIVOT: i64 = 70;
/// Digits of a year at most, so that its milliseconds can be counted.
const YEAR_DIGITS_MAX: usize = 8;

/// What was read so far.
#[derive(Default)]
struct Found {
    year: Option<i64>,
    month: Option<i64>,
    day: Option<i64>,
    day_of_year: Option<i64>,
    /// Monday is 0.
    weekday: Option<i64>,
    hour: Option<i64>,
    half_hour: Option<i64>,
    afternoon: bool,
    minute: i64,
    second: i64,
    ms: i64,
    zone_minutes: i64,
}

impl DateFormat {
    /// The time of a text, in milliseconds since 1970-01-01 UTC. What the pattern doesn't tell is that of 1970-01-01
    /// 00:00 UTC. Names are known whole and short, in any case; a year of two digits is one from 1970 to 2069.
    ///
    /// # Errors
    /// Where and why the text does not fit the pattern, or that there is no such date.
    pub fn parse(&self, text: &str) -> Result<i64, DateError> {
        let mut cursor = Cursor { text, at: 0 };
        let mut found = Found::default();
        for (at, piece) in self.pieces.iter().enumerate() {
            match piece {
                Piece::Literal(expected) => cursor.literal(expected)?,
                Piece::Field(letter, count) => {
                    let next_is_number = self.pieces.get(at.saturating_add(1)).is_some_and(Piece::is_number);
                    let digits = if next_is_number && piece.is_number() { Some(*count) } else { None };
                    found.read(&mut cursor, *letter, *count, digits)?;
                }
            }
        }
        if cursor.at < text.len() {
            return Err(cursor.error("something stands behind the date"));
        }
        found.time_ms().map_err(|reason| DateError { position: 0, reason })
    }
}

struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Cursor<'a> {
    fn error(&self, reason: &'static str) -> DateError {
        DateError { position: self.at, reason }
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn take(&mut self, expected: &str) -> bool {
        let found = self.rest().starts_with(expected);
        if found {
            self.at = self.at.saturating_add(expected.len());
        }
        found
    }

    fn literal(&mut self, expected: &str) -> Result<(), DateError> {
        if self.take(expected) { Ok(()) } else { Err(self.error("not the text that the pattern has here")) }
    }

    /// A number: of exactly so many digits if another one follows at once, else of as many as there are.
    fn number(&mut self, digits: Option<usize>, max: i64) -> Result<i64, DateError> {
        let there = self.rest().bytes().take_while(u8::is_ascii_digit).count();
        let count = digits.map_or(there, |digits| digits.min(there));
        if count == 0 || digits.is_some_and(|digits| count < digits) {
            return Err(self.error("expected a digit"));
        }
        let number = self.rest().get(..count).and_then(|text| text.parse::<i64>().ok());
        let Some(number) = number.filter(|number| *number <= max) else {
            return Err(self.error("a number beyond its range"));
        };
        self.at = self.at.saturating_add(count);
        Ok(number)
    }

    /// A number from 1.
    fn number_from_1(&mut self, digits: Option<usize>, max: i64) -> Result<i64, DateError> {
        let start = self.at;
        match self.number(digits, max)? {
            0 => Err(DateError { position: start, reason: "a number beyond its range" }),
            number => Ok(number),
        }
    }

    /// The place of a name in a list, whole or short, in any case.
    fn name(&mut self, names: &[&str]) -> Result<i64, DateError> {
        let rest = self.rest();
        let begins = |name: &str| rest.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name));
        for (at, full) in names.iter().enumerate() {
            let short = full.get(..SHORT).unwrap_or(full);
            for name in [*full, short] {
                if begins(name) {
                    self.at = self.at.saturating_add(name.len());
                    return Ok(i64::try_from(at).unwrap_or(0));
                }
            }
        }
        Err(self.error("not a name that is known here"))
    }

    /// A zone: a name of UTC, or its distance from it; in minutes.
    fn zone(&mut self) -> Result<i64, DateError> {
        for name in ["Coordinated Universal Time", "UTC", "GMT", "Z"] {
            if self.take(name) {
                return if self.rest().starts_with(['+', '-']) { self.distance() } else { Ok(0) };
            }
        }
        self.distance()
    }

    /// `+hh`, `+hhmm` or `+hh:mm`, in minutes.
    fn distance(&mut self) -> Result<i64, DateError> {
        let sign = match self.rest().as_bytes().first() {
            Some(b'+') => 1,
            Some(b'-') => -1,
            _ => return Err(self.error("not a zone that is known here")),
        };
        self.at = self.at.saturating_add(1);
        let hours = self.number(Some(2), 23)?;
        let colon = self.take(":");
        let minutes = match self.rest().as_bytes().first() {
            Some(b'0'..=b'9') => self.number(Some(2), 59)?,
            _ if colon => return Err(self.error("expected a digit")),
            _ => 0,
        };
        Ok(sign * (hours * 60 + minutes))
    }
}

impl Found {
    fn read(
        &mut self,
        cursor: &mut Cursor<'_>,
        letter: Letter,
        count: usize,
        digits: Option<usize>,
    ) -> Result<(), DateError> {
        match letter {
            Letter::Year => {
                let start = cursor.at;
                let year = cursor.number(digits, 10i64.pow(8) - 1)?;
                let len = cursor.at.saturating_sub(start);
                if len > YEAR_DIGITS_MAX {
                    return Err(DateError { position: start, reason: "a number beyond its range" });
                }
                let century = if year < CENTURY_PIVOT { 2000 } else { 1900 };
                self.year = Some(if count == 2 && len == 2 { year + century } else { year });
            }
            Letter::Month if count >= SHORT => self.month = Some(cursor.name(&MONTHS)? + 1),
            Letter::Month => self.month = Some(cursor.number_from_1(digits, 12)?),
            Letter::Day => self.day = Some(cursor.number_from_1(digits, 31)?),
            Letter::DayOfYear => self.day_of_year = Some(cursor.number_from_1(digits, 366)?),
            Letter::WeekdayName => self.weekday = Some(cursor.name(&WEEKDAYS)?),
            Letter::WeekdayNumber => self.weekday = Some(cursor.number_from_1(digits, 7)? - 1),
            Letter::HalfDay => self.afternoon = cursor.name(&["AM", "PM"])? == 1,
            Letter::Hour => self.hour = Some(cursor.number(digits, 23)?),
            Letter::HourFrom1 => self.hour = Some(cursor.number_from_1(digits, 24)? % 24),
            Letter::HalfHour => self.half_hour = Some(cursor.number(digits, 11)?),
            Letter::HalfHourFrom1 => self.half_hour = Some(cursor.number_from_1(digits, 12)? % 12),
            Letter::Minute => self.minute = cursor.number(digits, 59)?,
            Letter::Second => self.second = cursor.number(digits, 59)?,
            Letter::Millisecond => self.ms = cursor.number(digits, 999)?,
            Letter::ZoneName | Letter::ZoneOffset | Letter::ZoneIso => self.zone_minutes = cursor.zone()?,
        }
        Ok(())
    }

    fn time_ms(&self) -> Result<i64, &'static str> {
        let year = self.year.unwrap_or(1970);
        let days = match (self.day_of_year, self.month, self.day) {
            (Some(day), None, None) => days_of(year, 1, 1) + day - 1,
            (_, month, day) => days_of(year, month.unwrap_or(1), day.unwrap_or(1)),
        };
        let (real_year, real_month, real_day) = date_of(days);
        let other = |found: Option<i64>, real: i64| found.is_some_and(|found| found != real);
        if real_year != year || other(self.month, real_month) || other(self.day, real_day) {
            return Err("there is no such day");
        }
        let whole_date = self.day.is_some() || self.day_of_year.is_some();
        if whole_date && other(self.weekday, weekday(days)) {
            return Err("the date is not on that day of the week");
        }
        let half = if self.afternoon { 12 } else { 0 };
        let hour = self.hour.unwrap_or(self.half_hour.map_or(0, |hour| hour + half));
        let minutes = hour * 60 + self.minute - self.zone_minutes;
        Ok(days * DAY_MS + minutes * 60_000 + self.second * 1000 + self.ms)
    }
}
