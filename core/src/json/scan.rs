//! One pass over JSON text: is it well formed, and where does a value end?
//!
//! Strings are looked at eight bytes at a time. Nothing is copied or allocated; nesting is kept in two words.

use memchr::memchr2;

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

/// Which container each open level is: a bit of one for objects.
#[derive(Default)]
struct Nesting {
    levels: [u64; JSON_DEPTH_MAX / 64],
    depth: usize,
}

impl Nesting {
    fn open(&mut self, is_object: bool, at: usize) -> Result<(), Malformed> {
        let (word, bit) = (self.depth / 64, self.depth % 64);
        let Some(level) = self.levels.get_mut(word) else { return Err(malformed(at, "nested too deeply")) };
        *level = *level & !(1 << bit) | u64::from(is_object) << bit;
        self.depth = self.depth.saturating_add(1);
        Ok(())
    }

    fn close(&mut self) {
        self.depth = self.depth.saturating_sub(1);
    }

    /// Whether the innermost container is an object; nothing outside of all.
    fn innermost(&self) -> Option<bool> {
        let top = self.depth.checked_sub(1)?;
        self.levels.get(top / 64).map(|level| level >> (top % 64) & 1 == 1)
    }
}

/// Checks the value that begins at `at` (blanks before it allowed) and gives its end.
///
/// # Errors
/// Where and why the text is malformed.
pub fn value_end(text: &[u8], at: usize) -> Result<usize, Malformed> {
    let mut nesting = Nesting::default();
    let mut at = at;
    loop {
        at = skip_blanks(text, at);
        match text.get(at) {
            Some(b'"') => at = string_end::<true>(text, at.saturating_add(1))?,
            Some(b'{') => {
                nesting.open(true, at)?;
                at = skip_blanks(text, at.saturating_add(1));
                if text.get(at) != Some(&b'}') {
                    at = after_colon(text, at)?;
                    continue;
                }
                nesting.close();
                at = at.saturating_add(1);
            }
            Some(b'[') => {
                nesting.open(false, at)?;
                at = skip_blanks(text, at.saturating_add(1));
                if text.get(at) != Some(&b']') {
                    continue;
                }
                nesting.close();
                at = at.saturating_add(1);
            }
            Some(b'-' | b'0'..=b'9') => at = number_end(text, at)?,
            Some(b't') => at = word_end(text, at, b"true")?,
            Some(b'f') => at = word_end(text, at, b"false")?,
            Some(b'n') => at = word_end(text, at, b"null")?,
            Some(_) => return Err(malformed(at, "expected a value")),
            None => return Err(malformed(at, "the text ends where a value is expected")),
        }
        loop {
            let Some(in_object) = nesting.innermost() else { return Ok(at) };
            at = skip_blanks(text, at);
            match text.get(at) {
                Some(b',') if in_object => {
                    at = after_colon(text, skip_blanks(text, at.saturating_add(1)))?;
                    break;
                }
                Some(b',') => {
                    at = at.saturating_add(1);
                    break;
                }
                Some(b'}') if in_object => nesting.close(),
                Some(b']') if !in_object => nesting.close(),
                Some(_) if in_object => return Err(malformed(at, "expected , or }")),
                Some(_) => return Err(malformed(at, "expected , or ]")),
                None => return Err(malformed(at, "the text ends inside an object or array")),
            }
            at = at.saturating_add(1);
        }
    }
}

/// The end of the value that begins at `at` in text that was checked before, however deep it is: parts of edited text may
/// lie deeper than any text that is taken.
pub fn skip_value(text: &[u8], at: usize) -> usize {
    let mut depth = 0usize;
    let mut at = at;
    loop {
        match text.get(at) {
            Some(b'"') => at = string_end::<false>(text, at.saturating_add(1)).unwrap_or(text.len()),
            Some(b'{' | b'[') => {
                depth = depth.saturating_add(1);
                at = at.saturating_add(1);
            }
            Some(b'}' | b']') => {
                depth = depth.saturating_sub(1);
                at = at.saturating_add(1);
            }
            Some(_) if depth > 0 => {
                at = at.saturating_add(1);
                continue;
            }
            Some(_) => {
                let rest = text.get(at..).unwrap_or_default();
                let part = |byte: &&u8| matches!(byte, b'0'..=b'9' | b'a'..=b'z' | b'+' | b'-' | b'.' | b'E');
                return at.saturating_add(rest.iter().take_while(part).count());
            }
            None => return text.len(),
        }
        if depth == 0 {
            return at;
        }
    }
}

/// The first byte from `at` on that is no blank, or the end.
pub fn skip_blanks(text: &[u8], at: usize) -> usize {
    // Most text has none.
    if text.get(at).is_some_and(|byte| *byte > b' ') {
        return at;
    }
    let rest = text.get(at..).unwrap_or_default();
    let blanks = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\n' | b'\r' | b'\t')).count();
    at.saturating_add(blanks)
}

/// A member's name begins at `at`; gives the place behind its colon.
fn after_colon(text: &[u8], at: usize) -> Result<usize, Malformed> {
    if text.get(at) != Some(&b'"') {
        return Err(malformed(at, "expected a member's name in quotes"));
    }
    let end = string_end::<true>(text, at.saturating_add(1))?;
    let colon = skip_blanks(text, end);
    if text.get(colon) != Some(&b':') {
        return Err(malformed(colon, "expected : behind a member's name"));
    }
    Ok(colon.saturating_add(1))
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

/// A high bit at the first of eight bytes that is a quote, a backslash or a control character; bits behind it may be wrong.
pub(super) const fn special(word: u64) -> u64 {
    let quote = below(word ^ ONES.wrapping_mul(0x22), 1);
    let backslash = below(word ^ ONES.wrapping_mul(0x5c), 1);
    below(word, 0x20) | quote | backslash
}

/// Whether one of eight bytes is this one.
pub(super) const fn holds(word: u64, byte: u64) -> bool {
    below(word ^ ONES.wrapping_mul(byte), 1) != 0
}

/// The first byte from `at` on that is a quote, a backslash or (with `CHECKED`) a control character; less far only near the
/// text's end.
fn skip_plain<const CHECKED: bool>(text: &[u8], at: usize) -> usize {
    let mut at = at;
    // Most strings are short, and end within these.
    for _ in 0..2 {
        let Some(eight) = text.get(at..).and_then(<[u8]>::first_chunk::<8>) else { return at };
        let found = special(u64::from_le_bytes(*eight));
        if found != 0 {
            return at.saturating_add(usize::try_from(found.trailing_zeros() / 8).unwrap_or(0));
        }
        at = at.saturating_add(8);
    }
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
pub fn string_end<const CHECKED: bool>(text: &[u8], at: usize) -> Result<usize, Malformed> {
    let mut at = at;
    loop {
        at = skip_plain::<CHECKED>(text, at);
        match text.get(at) {
            Some(b'"') => return Ok(at.saturating_add(1)),
            Some(b'\\') if CHECKED => at = escape_end(text, at)?,
            Some(b'\\') => at = at.saturating_add(2),
            Some(0..=0x1f) => return Err(malformed(at, "a control character must be escaped")),
            Some(_) => at = at.saturating_add(1),
            None => return Err(malformed(text.len(), "the text ends inside a string")),
        }
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

fn digits_end(text: &[u8], at: usize) -> usize {
    let rest = text.get(at..).unwrap_or_default();
    at.saturating_add(rest.iter().take_while(|byte| byte.is_ascii_digit()).count())
}

fn number_end(text: &[u8], start: usize) -> Result<usize, Malformed> {
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
