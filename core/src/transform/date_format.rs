//! Dates as texts: the patterns of Java's `SimpleDateFormat`, in UTC and English.
//!
//! Differs from Java on purpose: parsing takes a whole text and only dates that exist (Java passes over what follows, and
//! takes the 32nd of a month for the 1st of the next); the calendar is Gregorian all the way back.

mod parse;

use std::fmt::Write as _;

use crate::calendar::{date_of, days_of};

const DAY_MS: i64 = 86_400_000;

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
/// Monday first, as the pattern letter `u` counts.
const WEEKDAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
/// Letters of a short name.
const SHORT: usize = 3;

/// What a run of one pattern letter stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Letter {
    Year,
    Month,
    Day,
    DayOfYear,
    WeekdayName,
    WeekdayNumber,
    HalfDay,
    /// Hours 0 to 23.
    Hour,
    /// Hours 1 to 24.
    HourFrom1,
    /// Hours 0 to 11.
    HalfHour,
    /// Hours 1 to 12.
    HalfHourFrom1,
    Minute,
    Second,
    Millisecond,
    ZoneName,
    /// `+0000`.
    ZoneOffset,
    /// `Z`.
    ZoneIso,
}

impl Letter {
    fn of(letter: char) -> Option<Self> {
        Some(match letter {
            'y' => Self::Year,
            'M' | 'L' => Self::Month,
            'd' => Self::Day,
            'D' => Self::DayOfYear,
            'E' => Self::WeekdayName,
            'u' => Self::WeekdayNumber,
            'a' => Self::HalfDay,
            'H' => Self::Hour,
            'k' => Self::HourFrom1,
            'K' => Self::HalfHour,
            'h' => Self::HalfHourFrom1,
            'm' => Self::Minute,
            's' => Self::Second,
            'S' => Self::Millisecond,
            'z' => Self::ZoneName,
            'Z' => Self::ZoneOffset,
            'X' => Self::ZoneIso,
            _ => return None,
        })
    }
}

/// A piece of a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    /// Text as it is.
    Literal(String),
    /// A run of so many of one letter.
    Field(Letter, usize),
}

impl Piece {
    /// Whether it is written in digits only.
    fn is_number(&self) -> bool {
        match self {
            Self::Field(Letter::Month, count) => *count < SHORT,
            Self::Field(letter, _) => !matches!(
                letter,
                Letter::WeekdayName | Letter::HalfDay | Letter::ZoneName | Letter::ZoneOffset | Letter::ZoneIso
            ),
            Self::Literal(_) => false,
        }
    }
}

/// A pattern, ready for use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DateFormat {
    pattern: String,
    pieces: Vec<Piece>,
}

impl DateFormat {
    /// Reads a pattern.
    ///
    /// # Errors
    /// A letter that is not known here, a quote that is not closed, or no pattern at all; as a part of a sentence.
    pub fn new(pattern: &str) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut rest = pattern.chars().peekable();
        while let Some(first) = rest.next() {
            if first == '\'' {
                literal(&mut pieces, &quoted(&mut rest)?);
            } else if first.is_ascii_alphabetic() {
                let mut count = 1usize;
                while rest.next_if_eq(&first).is_some() {
                    count = count.saturating_add(1);
                }
                let letter =
                    Letter::of(first).ok_or_else(|| format!("the pattern letter {first} is not known here"))?;
                if letter == Letter::ZoneIso && count > 3 {
                    return Err("more than three X in a pattern mean nothing".to_owned());
                }
                pieces.push(Piece::Field(letter, count));
            } else {
                literal(&mut pieces, first.encode_utf8(&mut [0; 4]));
            }
        }
        if pieces.is_empty() {
            Err("the pattern is empty".to_owned())
        } else {
            Ok(Self { pattern: pattern.to_owned(), pieces })
        }
    }

    /// The pattern.
    #[must_use]
    pub fn pattern(&self) -> &str {
        &self.pattern
    }

    /// The text of a time in milliseconds since 1970-01-01 UTC.
    #[must_use]
    pub fn format(&self, time_ms: i64) -> String {
        let time = Moment::of(time_ms);
        let mut out = String::with_capacity(self.pattern.len().saturating_add(8));
        for piece in &self.pieces {
            match piece {
                Piece::Literal(text) => out.push_str(text),
                Piece::Field(letter, count) => time.write(&mut out, *letter, *count),
            }
        }
        out
    }
}

/// The text of a quoted part behind its opening quote; two quotes together are one.
fn quoted(rest: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Result<String, String> {
    if rest.next_if_eq(&'\'').is_some() {
        return Ok("'".to_owned());
    }
    let mut text = String::new();
    loop {
        match rest.next() {
            Some('\'') if rest.next_if_eq(&'\'').is_some() => text.push('\''),
            Some('\'') => return Ok(text),
            Some(other) => text.push(other),
            None => return Err("a quote in the pattern is not closed".to_owned()),
        }
    }
}

fn literal(pieces: &mut Vec<Piece>, text: &str) {
    match pieces.last_mut() {
        Some(Piece::Literal(before)) => before.push_str(text),
        _ => pieces.push(Piece::Literal(text.to_owned())),
    }
}

/// A time taken apart.
struct Moment {
    year: i64,
    /// From 1.
    month: i64,
    /// From 1.
    day: i64,
    /// Since 1970-01-01.
    days: i64,
    /// Of the day.
    ms: i64,
}

impl Moment {
    fn of(time_ms: i64) -> Self {
        let days = time_ms.div_euclid(DAY_MS);
        let (year, month, day) = date_of(days);
        Self { year, month, day, days, ms: time_ms.rem_euclid(DAY_MS) }
    }

    fn write(&self, out: &mut String, letter: Letter, count: usize) {
        let hour = self.ms / 3_600_000;
        let from_1 = |value: i64, span: i64| if value == 0 { span } else { value };
        let number = match letter {
            // Years before the first one are counted backwards, as Java does.
            Letter::Year => {
                let year = if self.year > 0 { self.year } else { 1i64.saturating_sub(self.year) };
                if count == 2 { year % 100 } else { year }
            }
            Letter::Month if count >= SHORT => return out.push_str(name(&MONTHS, self.month.saturating_sub(1), count)),
            Letter::Month => self.month,
            Letter::Day => self.day,
            Letter::DayOfYear => self.days.saturating_sub(days_of(self.year, 1, 1)).saturating_add(1),
            Letter::WeekdayName => return out.push_str(name(&WEEKDAYS, weekday(self.days), count)),
            Letter::WeekdayNumber => weekday(self.days).saturating_add(1),
            Letter::HalfDay => return out.push_str(if hour < 12 { "AM" } else { "PM" }),
            Letter::Hour => hour,
            Letter::HourFrom1 => from_1(hour, 24),
            Letter::HalfHour => hour % 12,
            Letter::HalfHourFrom1 => from_1(hour % 12, 12),
            Letter::Minute => self.ms / 60_000 % 60,
            Letter::Second => self.ms / 1000 % 60,
            Letter::Millisecond => self.ms % 1000,
            Letter::ZoneName if count > SHORT => return out.push_str("Coordinated Universal Time"),
            Letter::ZoneName => return out.push_str("UTC"),
            Letter::ZoneOffset => return out.push_str("+0000"),
            Letter::ZoneIso => return out.push('Z'),
        };
        let _ = write!(out, "{number:0count$}");
    }
}

/// A name of a month or weekday, short for up to three letters.
fn name(names: &'static [&'static str], at: i64, count: usize) -> &'static str {
    let full = usize::try_from(at).ok().and_then(|at| names.get(at)).copied().unwrap_or_default();
    if count > SHORT { full } else { full.get(..SHORT).unwrap_or(full) }
}

/// Monday is 0.
fn weekday(days: i64) -> i64 {
    days.saturating_add(3).rem_euclid(7)
}

#[cfg(test)]
mod tests;
