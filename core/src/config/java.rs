//! Reads the text of a Java `.properties` file, the way `java.util.Properties` does, but for one thing: blanks at the
//! end of a value are dropped, because nobody ever means them.

use std::iter::Peekable;
use std::str::Chars;

use super::Properties;
use super::key::{ConfigError, ConfigErrors};

/// Reads `key=value` lines: `=`, `:` or blanks separate, `#` and `!` begin comments, a `\` at a line's end continues it,
/// and `\t \n \r \f \uXXXX` stand for characters. The last of several lines with one key wins.
///
/// # Errors
/// A `\u` that is not followed by four hexadecimal digits, with its line's number; all of them at once.
pub fn parse(text: &str) -> Result<Properties, ConfigErrors> {
    let mut properties = Properties::new();
    let mut errors = Vec::new();
    for (number, line) in logical_lines(text) {
        let mut chars = line.chars().peekable();
        let read = key(&mut chars).and_then(|key| {
            skip_separator(&mut chars);
            value(&mut chars).map(|value| (key, value))
        });
        match read {
            Ok((key, value)) => {
                properties.insert(key, value.trim().to_owned());
            }
            Err(BadEscape) => errors.push(ConfigError::new(
                format!("line {number}"),
                format!("line {number}: \\u must be followed by four hexadecimal digits"),
            )),
        }
    }
    if errors.is_empty() { Ok(properties) } else { Err(ConfigErrors(errors)) }
}

/// A `\u` without its digits.
struct BadEscape;

/// Lines without comments and blanks, continued lines joined, each with the number of its first line from 1.
fn logical_lines(text: &str) -> Vec<(usize, String)> {
    let mut lines = Vec::new();
    let mut open: Option<(usize, String)> = None;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text).replace("\r\n", "\n").replace('\r', "\n");
    for (index, raw) in text.split('\n').enumerate() {
        let line = raw.trim_start_matches([' ', '\t', '\u{c}']);
        if open.is_none() && (line.is_empty() || line.starts_with(['#', '!'])) {
            continue;
        }
        let (number, mut joined) = open.take().unwrap_or((index + 1, String::new()));
        let backslashes = line.chars().rev().take_while(|c| *c == '\\').count();
        if backslashes % 2 == 1 {
            joined.push_str(line.get(..line.len() - 1).unwrap_or_default());
            open = Some((number, joined));
        } else {
            joined.push_str(line);
            lines.push((number, joined));
        }
    }
    lines.extend(open);
    lines
}

fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\u{c}')
}

fn key(chars: &mut Peekable<Chars<'_>>) -> Result<String, BadEscape> {
    let mut key = String::new();
    while let Some(c) = chars.next_if(|c| !is_blank(*c) && !matches!(c, '=' | ':')) {
        push(&mut key, c, chars)?;
    }
    Ok(key)
}

fn skip_separator(chars: &mut Peekable<Chars<'_>>) {
    while chars.next_if(|c| is_blank(*c)).is_some() {}
    if chars.next_if(|c| matches!(c, '=' | ':')).is_some() {
        while chars.next_if(|c| is_blank(*c)).is_some() {}
    }
}

fn value(chars: &mut Peekable<Chars<'_>>) -> Result<String, BadEscape> {
    let mut units: Vec<u16> = Vec::new();
    let mut value = String::new();
    while let Some(c) = chars.next() {
        // Two `\u` escapes may together be one character beyond 16 bits, so they are gathered first.
        if c == '\\' && chars.peek() == Some(&'u') {
            chars.next();
            units.push(unit(chars)?);
            continue;
        }
        flush(&mut units, &mut value);
        push(&mut value, c, chars)?;
    }
    flush(&mut units, &mut value);
    Ok(value)
}

fn flush(units: &mut Vec<u16>, into: &mut String) {
    into.push_str(&String::from_utf16_lossy(units));
    units.clear();
}

fn push(into: &mut String, c: char, chars: &mut Peekable<Chars<'_>>) -> Result<(), BadEscape> {
    if c != '\\' {
        into.push(c);
        return Ok(());
    }
    match chars.next() {
        Some('u') => into.push_str(&String::from_utf16_lossy(&[unit(chars)?])),
        Some('t') => into.push('\t'),
        Some('n') => into.push('\n'),
        Some('r') => into.push('\r'),
        Some('f') => into.push('\u{c}'),
        Some(other) => into.push(other),
        None => {}
    }
    Ok(())
}

fn unit(chars: &mut Peekable<Chars<'_>>) -> Result<u16, BadEscape> {
    let mut unit = 0u16;
    for _ in 0..4 {
        let digit = chars.next().and_then(|c| c.to_digit(16)).ok_or(BadEscape)?;
        unit = (unit << 4) | u16::try_from(digit).map_err(|_| BadEscape)?;
    }
    Ok(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &[(&str, &str)]) {
        let read = parse(text).unwrap();
        let pairs: Vec<_> = read.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        assert_eq!(pairs, expected);
    }

    #[test]
    fn separators_comments_and_blanks() {
        check(
            "a=1\n b : 2\nc 3\n# d=4\n! e=5\n\n  f =  6  \r\ng",
            &[("a", "1"), ("b", "2"), ("c", "3"), ("f", "6"), ("g", "")],
        );
    }

    #[test]
    fn continued_lines_join_without_their_indent() {
        check("a=1,\\\n    2,\\\n    3\nb=x\\\\\nc=1", &[("a", "1,2,3"), ("b", "x\\"), ("c", "1")]);
    }

    #[test]
    fn a_comment_sign_in_a_continued_line_is_text() {
        check("a=1\\\n#2", &[("a", "1#2")]);
    }

    #[test]
    fn escapes_stand_for_characters() {
        check("a\\ b=\\u00e4\\t\\u6587\\ud83d\\ude00\nc\\=d=\\q", &[("a b", "ä\t文😀"), ("c=d", "q")]);
    }

    #[test]
    fn the_last_line_with_a_key_wins() {
        check("a=1\na=2", &[("a", "2")]);
    }

    #[test]
    fn a_bad_escape_names_its_line() {
        let errors = parse("a=1\nb=\\u12\nc=\\u12x4").unwrap_err();
        assert_eq!(errors.0.len(), 2);
        assert!(errors.to_string().starts_with("line 2: "), "{errors}");
    }
}
