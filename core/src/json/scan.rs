//! One pass over JSON text: is it well formed, and where does a value end?
//!
//! Strings are looked at sixteen bytes at a time. Nothing is copied or allocated; nesting is kept in two words.
//!
//! Sums of places wrap: a place is at most the text's length, so they don't; and a wrong one would only find no byte there.

use memchr::memchr2;

use super::wide::{self, STEP_BYTES};
use crate::limits::JSON_DEPTH_MAX;

/// Digits and signs of the longest number that is taken.
const NUMBER_BYTES_MAX: usize = 1024;
/// Numbers up to this length, with an exponent of two digits at most, are surely within a double's range: 10^200 * 10^99.
const PLAIN_NUMBER_BYTES: usize = 200;

/// Why a text is not JSON, or not such JSON as is taken here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed JSON at byte {position}: {reason}")]
pub struct Malformed {
    /// Where, in bytes from the text's start.
    pub position: usize,
    /// What is wrong.
    pub reason: &'static str,
}

const fn malformed(position: usize, reason: &'static str) -> Malformed {
    Malformed { position, reason }
}

/// Which container each open level is: a bit of one for objects, the innermost one last.
#[derive(Default)]
struct Nesting {
    levels: u128,
    depth: usize,
}

impl Nesting {
    #[inline]
    fn open(&mut self, is_object: bool, at: usize) -> Result<(), Malformed> {
        if self.depth == JSON_DEPTH_MAX {
            return Err(malformed(at, "nested too deeply"));
        }
        self.levels = self.levels << 1 | u128::from(is_object);
        self.depth = self.depth.wrapping_add(1);
        Ok(())
    }

    #[inline]
    fn close(&mut self) {
        self.levels >>= 1;
        self.depth = self.depth.saturating_sub(1);
    }

    /// Whether the innermost container is an object.
    #[inline]
    fn in_object(&self) -> bool {
        self.levels & 1 == 1
    }
}

/// A member of the outermost object, as the check comes by it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seen {
    /// Behind the name's opening quote.
    pub name_start: usize,
    /// At its closing one.
    pub name_end: usize,
    /// Whether the name holds an escape.
    pub is_escaped: bool,
    /// Where the value's text begins.
    pub value_start: usize,
    /// Behind its last byte.
    pub value_end: usize,
}

/// Checks the value that begins at `at` (blanks before it allowed) and gives its end. `see` is told of each member that
/// the value itself has; they count only if no error comes behind them.
///
/// # Errors
/// Where and why the text is malformed.
pub fn value_end(text: &[u8], at: usize, mut see: impl FnMut(&Seen)) -> Result<usize, Malformed> {
    let mut nesting = Nesting::default();
    let mut member = Seen::default();
    let (mut at, mut byte) = token(text, at);
    loop {
        if nesting.in_object() {
            let name = name_at(text, at, byte)?;
            (at, byte) = token(text, name.behind_colon);
            if nesting.depth == 1 {
                member = Seen { value_start: at, ..name.seen };
            }
        }
        match byte {
            b'"' => at = string_end::<true>(text, at.wrapping_add(1))?,
            b'{' | b'[' => {
                nesting.open(byte == b'{', at)?;
                let opened = byte;
                (at, byte) = token(text, at.wrapping_add(1));
                // Both pairs of bytes lie apart by two.
                if byte != opened.wrapping_add(2) {
                    continue;
                }
                nesting.close();
                at = at.wrapping_add(1);
            }
            b'-' | b'0'..=b'9' => at = number_end(text, at)?,
            b't' => at = word_end(text, at, b"true")?,
            b'f' => at = word_end(text, at, b"false")?,
            b'n' => at = word_end(text, at, b"null")?,
            _ if at < text.len() => return Err(malformed(at, "expected a value")),
            _ => return Err(malformed(at, "the text ends where a value is expected")),
        }
        loop {
            let in_object = nesting.in_object();
            match nesting.depth {
                0 => return Ok(at),
                1 if in_object => {
                    member.value_end = at;
                    see(&member);
                }
                _ => {}
            }
            (at, byte) = token(text, at);
            match byte {
                b',' => {
                    (at, byte) = token(text, at.wrapping_add(1));
                    break;
                }
                b'}' if in_object => nesting.close(),
                b']' if !in_object => nesting.close(),
                _ if at >= text.len() => return Err(malformed(at, "the text ends inside an object or array")),
                _ if in_object => return Err(malformed(at, "expected , or }")),
                _ => return Err(malformed(at, "expected , or ]")),
            }
            at = at.wrapping_add(1);
        }
    }
}

/// The first byte from `at` on that is no blank, with its place; zero at the text's end, which no token begins with.
#[inline]
fn token(text: &[u8], at: usize) -> (usize, u8) {
    match text.get(at) {
        // Most text has no blanks.
        Some(byte) if *byte > b' ' => (at, *byte),
        _ => {
            let at = behind_blanks(text, at);
            (at, text.get(at).copied().unwrap_or_default())
        }
    }
}

/// The bytes of one step from `at` on, if there are so many.
#[inline]
pub(super) fn step(text: &[u8], at: usize) -> Option<&[u8; STEP_BYTES]> {
    text.get(at..at.checked_add(STEP_BYTES)?)?.first_chunk()
}

/// The first byte from `at` on that is no blank, or the end.
#[inline]
pub fn skip_blanks(text: &[u8], at: usize) -> usize {
    // Most text has none.
    if text.get(at).is_some_and(|byte| *byte > b' ') { at } else { behind_blanks(text, at) }
}

#[inline(never)]
fn behind_blanks(text: &[u8], at: usize) -> usize {
    let rest = text.get(at..).unwrap_or_default();
    let blanks = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\n' | b'\r' | b'\t')).count();
    at.saturating_add(blanks)
}

/// A member's name that was checked.
struct Name {
    seen: Seen,
    behind_colon: usize,
}

/// The member's name that begins at `at` with this byte, and its colon.
#[inline]
fn name_at(text: &[u8], at: usize, byte: u8) -> Result<Name, Malformed> {
    if byte != b'"' {
        return Err(malformed(at, "expected a member's name in quotes"));
    }
    let name_start = at.wrapping_add(1);
    let plain = plain_end::<true>(text, name_start);
    let is_escaped = text.get(plain) != Some(&b'"');
    let end = if is_escaped { special_string_end::<true>(text, plain)? } else { plain.wrapping_add(1) };
    let (colon, byte) = token(text, end);
    if byte != b':' {
        return Err(malformed(colon, "expected : behind a member's name"));
    }
    let seen = Seen { name_start, name_end: end.wrapping_sub(1), is_escaped, ..Seen::default() };
    Ok(Name { seen, behind_colon: colon.wrapping_add(1) })
}

fn word_end(text: &[u8], at: usize, word: &[u8]) -> Result<usize, Malformed> {
    let end = at.saturating_add(word.len());
    if text.get(at..end) == Some(word) { Ok(end) } else { Err(malformed(at, "expected a value")) }
}

const ONES: u64 = 0x0101_0101_0101_0101;
pub(super) const HIGHS: u64 = 0x8080_8080_8080_8080;

/// A high bit at the first of eight bytes that is below `limit`, if there is one; bits behind it may be wrong, for the
/// subtraction borrows.
const fn below(word: u64, limit: u64) -> u64 {
    word.wrapping_sub(ONES.wrapping_mul(limit)) & !word & HIGHS
}

/// A high bit at the first of eight bytes that is a quote, a backslash or, with `CHECKED`, a control character; bits behind
/// it may be wrong.
pub(super) const fn special<const CHECKED: bool>(word: u64) -> u64 {
    let quote = below(word ^ ONES.wrapping_mul(0x22), 1);
    let backslash = below(word ^ ONES.wrapping_mul(0x5c), 1);
    let control = if CHECKED { below(word, 0x20) } else { 0 };
    control | quote | backslash
}

/// Whether one of eight bytes is this one.
pub(super) const fn holds(word: u64, byte: u64) -> bool {
    below(word ^ ONES.wrapping_mul(byte), 1) != 0
}

/// The first byte from `at` on that is a quote, a backslash or (with `CHECKED`) a control character, or the end.
#[inline]
fn plain_end<const CHECKED: bool>(text: &[u8], at: usize) -> usize {
    // Most strings end within one step.
    match step(text, at).and_then(wide::first_special::<CHECKED>) {
        Some(found) => at.wrapping_add(found),
        None => far_plain_end::<CHECKED>(text, at),
    }
}

/// Steps in a string before a search that takes longer to begin and is faster then.
const SHORT_STEPS: usize = 4;

/// The same for what is longer, or near the text's end.
#[inline(never)]
fn far_plain_end<const CHECKED: bool>(text: &[u8], at: usize) -> usize {
    let mut at = at;
    for _ in 0..SHORT_STEPS {
        let Some(bytes) = step(text, at) else { return last_plain_end::<CHECKED>(text, at) };
        if let Some(found) = wide::first_special::<CHECKED>(bytes) {
            return at.wrapping_add(found);
        }
        at = at.wrapping_add(STEP_BYTES);
    }
    long_plain_end::<CHECKED>(text, at)
}

/// The same where less than a step is left.
fn last_plain_end<const CHECKED: bool>(text: &[u8], at: usize) -> usize {
    let rest = text.get(at..).unwrap_or_default();
    let is_special = |byte: &u8| matches!(byte, b'"' | b'\\') || CHECKED && *byte < 0x20;
    at.wrapping_add(rest.iter().position(is_special).unwrap_or(rest.len()))
}

/// The same in a long string.
fn long_plain_end<const CHECKED: bool>(text: &[u8], at: usize) -> usize {
    let rest = text.get(at..).unwrap_or_default();
    let plain = memchr2(b'"', b'\\', rest).unwrap_or(rest.len());
    let looked_at = rest.get(..plain).unwrap_or_default();
    // The least byte of all is found by vector code, where a search for one below a bound would not be.
    if CHECKED && looked_at.iter().fold(u8::MAX, |least, byte| least.min(*byte)) < 0x20 {
        let control = looked_at.iter().position(|byte| *byte < 0x20);
        return at.saturating_add(control.unwrap_or(plain));
    }
    at.saturating_add(plain)
}

/// The place behind a string's closing quote; `at` is behind its opening one. With `CHECKED` the text may be anything;
/// without, it must have been checked before, and escapes are not looked at.
#[inline]
pub fn string_end<const CHECKED: bool>(text: &[u8], at: usize) -> Result<usize, Malformed> {
    let end = plain_end::<CHECKED>(text, at);
    // Most strings hold no escape.
    if text.get(end) == Some(&b'"') { Ok(end.wrapping_add(1)) } else { special_string_end::<CHECKED>(text, end) }
}

/// The same where the string's plain part ends at `at`, at an escape or what should not be there.
#[inline(never)]
fn special_string_end<const CHECKED: bool>(text: &[u8], at: usize) -> Result<usize, Malformed> {
    let mut at = at;
    loop {
        match text.get(at) {
            Some(b'"') => return Ok(at.saturating_add(1)),
            Some(b'\\') if CHECKED => at = escape_end(text, at)?,
            Some(b'\\') => at = at.saturating_add(2),
            Some(_) => return Err(malformed(at, "a control character must be escaped")),
            None => return Err(malformed(text.len(), "the text ends inside a string")),
        }
        at = plain_end::<CHECKED>(text, at);
    }
}

/// The place behind the escape that begins at `at`, both halves of a surrogate pair together.
fn escape_end(text: &[u8], at: usize) -> Result<usize, Malformed> {
    match text.get(at.saturating_add(1)) {
        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok(at.saturating_add(2)),
        Some(b'u') => {
            let Some(unit) = hex_unit(text, at) else {
                return Err(malformed(at, "expected four hex digits after \\u"));
            };
            let end = at.saturating_add(6);
            match unit {
                0xd800..=0xdbff if hex_unit(text, end).is_some_and(|low| (0xdc00..=0xdfff).contains(&low)) => {
                    Ok(end.saturating_add(6))
                }
                0xd800..=0xdfff => Err(malformed(at, "half of a surrogate pair stands alone")),
                _ => Ok(end),
            }
        }
        _ => Err(malformed(at, "unknown escape")),
    }
}

/// The UTF-16 unit of the escape `\uXXXX` at `at`.
pub fn hex_unit(text: &[u8], at: usize) -> Option<u32> {
    let (head, digits) = text.get(at..at.saturating_add(6))?.split_at_checked(2)?;
    if head != b"\\u" {
        return None;
    }
    digits.iter().try_fold(0u32, |unit, digit| Some(unit << 4 | char::from(*digit).to_digit(16)?))
}

#[inline]
fn digits_end(text: &[u8], at: usize) -> usize {
    let mut at = at;
    while let Some(b'0'..=b'9') = text.get(at) {
        at = at.wrapping_add(1);
    }
    at
}

/// The end of the number that begins at `start`.
#[inline]
fn number_end(text: &[u8], start: usize) -> Result<usize, Malformed> {
    // Most are short, begin with no zero and have no exponent.
    let first = start.wrapping_add(usize::from(text.get(start) == Some(&b'-')));
    let mut end = digits_end(text, first);
    let mut is_plain = matches!(text.get(first), Some(b'1'..=b'9'));
    if text.get(end) == Some(&b'.') {
        let fraction = end.wrapping_add(1);
        end = digits_end(text, fraction);
        is_plain &= end > fraction;
    }
    is_plain &= !matches!(text.get(end), Some(b'e' | b'E'));
    if is_plain && end.wrapping_sub(start) <= PLAIN_NUMBER_BYTES { Ok(end) } else { any_number_end(text, start) }
}

#[inline(never)]
fn any_number_end(text: &[u8], start: usize) -> Result<usize, Malformed> {
    let minus = usize::from(text.get(start) == Some(&b'-'));
    let first = start.saturating_add(minus);
    let mut at = digits_end(text, first);
    match text.get(first) {
        Some(b'0') if at > first.saturating_add(1) => return Err(malformed(first, "a number can't begin with 0")),
        Some(b'0'..=b'9') => {}
        _ => return Err(malformed(first, "expected a digit")),
    }
    if text.get(at) == Some(&b'.') {
        let fraction = at.saturating_add(1);
        at = digits_end(text, fraction);
        if at == fraction {
            return Err(malformed(at, "expected a digit behind the point"));
        }
    }
    let mut long_exponent = false;
    if matches!(text.get(at), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(text.get(at.saturating_add(1)), Some(b'+' | b'-')));
        let exponent = at.saturating_add(1).saturating_add(sign);
        at = digits_end(text, exponent);
        if at == exponent {
            return Err(malformed(at, "expected a digit in the exponent"));
        }
        long_exponent = at.saturating_sub(exponent) > 2;
    }
    let len = at.saturating_sub(start);
    if len > NUMBER_BYTES_MAX {
        return Err(malformed(start, "a number of more than 1024 characters"));
    }
    if long_exponent || len > PLAIN_NUMBER_BYTES {
        let number = text.get(start..at).and_then(|token| std::str::from_utf8(token).ok());
        if !number.and_then(|token| token.parse::<f64>().ok()).is_some_and(f64::is_finite) {
            return Err(malformed(start, "a number beyond the range of a double"));
        }
    }
    Ok(at)
}

#[cfg(test)]
mod tests;
