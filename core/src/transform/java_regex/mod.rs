//! Regular expressions as `java.util.regex.Pattern` understands them.
//!
//! A pattern is read by Java's grammar and written anew for the crate `fancy-regex`, which runs it on the linear
//! engine of the crate `regex` where it can and backtracks, within a bound, where look-around, back references or
//! possessive quantifiers ask for it. As in Java: `\d`, `\w` and `\s` mean ASCII, `.` stops at all of Java's line
//! terminators, `$` matches before a last one, and ignoring case means ASCII unless `UNICODE_CASE` is set.
//!
//! Refused, with the reason: `CANON_EQ`, `\X`, `\N{…}`, `\b{g}`, Unicode blocks (`\p{InGreek}`), a back reference before
//! its group, and a quantifier in braces behind another one. Where Java looks at UTF-16 units this looks at characters.
//! A back reference that ignores case ignores it for all letters, not for ASCII alone; `\b` takes marks for letters.

mod class;
mod escapes;
mod lines;
mod named_class;
mod replacement;
mod translate;

use crate::error::{ConnectError, Result, Stage};
use crate::limits::{REGEX_BACKTRACK_STEPS_MAX, REGEX_PROGRAM_MAX, REGEX_SIZE_BYTES_MAX};

pub use replacement::Replacement;

/// How a pattern is read; `(?i)` and the like change it within the pattern.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags {
    case_insensitive: bool,
    unicode_case: bool,
    multiline: bool,
    dotall: bool,
    comments: bool,
    literal: bool,
    unix_lines: bool,
    unicode_classes: bool,
}

impl Flags {
    /// Reads a comma list of names of Java's `Pattern` constants.
    ///
    /// # Errors
    /// The name that is unknown, or known but impossible here.
    pub fn parse(list: &str) -> Result<Self, String> {
        let mut flags = Self::default();
        for name in list.split(',').map(str::trim).filter(|name| !name.is_empty()) {
            match name {
                "CASE_INSENSITIVE" => flags.case_insensitive = true,
                "UNICODE_CASE" => flags.unicode_case = true,
                "MULTILINE" => flags.multiline = true,
                "DOTALL" => flags.dotall = true,
                "COMMENTS" => flags.comments = true,
                "LITERAL" => flags.literal = true,
                "UNIX_LINES" => flags.unix_lines = true,
                "UNICODE_CHARACTER_CLASS" => flags = Self { unicode_classes: true, unicode_case: true, ..flags },
                "CANON_EQ" => return Err("the flag CANON_EQ is not supported".to_owned()),
                _ => return Err(format!("there is no flag {name}")),
            }
        }
        Ok(flags)
    }

    /// Whether a character ends a line.
    fn ends_line(self, character: char) -> bool {
        character == '\n' || !self.unix_lines && matches!(character, '\r' | '\u{85}' | '\u{2028}' | '\u{2029}')
    }
}

/// A compiled pattern.
pub struct JavaRegex {
    regex: fancy_regex::Regex,
    groups: usize,
    /// Names of groups and their numbers.
    names: Vec<(String, usize)>,
}

impl JavaRegex {
    /// A pattern that is looked for anywhere in a text: Java's `find`.
    ///
    /// # Errors
    /// What is wrong with the pattern, and where.
    pub fn search(pattern: &str, flags: Flags) -> Result<Self, String> {
        Self::compile(pattern, flags, false)
    }

    /// A pattern that must match a whole text: Java's `matches`.
    ///
    /// # Errors
    /// What is wrong with the pattern, and where.
    pub fn whole(pattern: &str, flags: Flags) -> Result<Self, String> {
        Self::compile(pattern, flags, true)
    }

    fn compile(pattern: &str, flags: Flags, whole: bool) -> Result<Self, String> {
        let translated = translate::translate(pattern, flags, whole)?;
        let regex = fancy_regex::RegexBuilder::new(&translated.pattern)
            .backtrack_limit(REGEX_BACKTRACK_STEPS_MAX)
            .delegate_size_limit(REGEX_SIZE_BYTES_MAX)
            .max_prog_size(REGEX_PROGRAM_MAX)
            .build()
            .map_err(|error| format!("the pattern can't be used: {error}"))?;
        Ok(Self { regex, groups: translated.groups, names: translated.names })
    }

    /// Whether it matches.
    ///
    /// # Errors
    /// A text on which the pattern backtracks without end (`Retry::BadRecord`).
    pub fn is_match(&self, text: &str) -> Result<bool> {
        self.regex.is_match(text).map_err(gave_up)
    }

    /// Reads a replacement in Java's syntax: `$1`, `${name}`, `\$`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn replacement(&self, text: &str) -> Result<Replacement, String> {
        Replacement::parse(text, self.groups, &self.names)
    }

    /// The text with every match replaced, as Java's `replaceAll`; `None` when there is no match.
    ///
    /// # Errors
    /// A text on which the pattern backtracks without end (`Retry::BadRecord`).
    pub fn replace_all(&self, text: &str, replacement: &Replacement) -> Result<Option<String>> {
        self.replace(text, replacement, usize::MAX)
    }

    /// The text with the first match replaced, as Java's `replaceFirst`; `None` when there is no match.
    ///
    /// # Errors
    /// A text on which the pattern backtracks without end (`Retry::BadRecord`).
    pub fn replace_first(&self, text: &str, replacement: &Replacement) -> Result<Option<String>> {
        self.replace(text, replacement, 1)
    }

    /// The engine's own loop passes over an empty match right behind another match; Java's does not.
    fn replace(&self, text: &str, replacement: &Replacement, times: usize) -> Result<Option<String>> {
        let mut out = String::new();
        let (mut copied, mut from, mut found) = (0, 0, 0);
        while found < times && from <= text.len() {
            let Some(captures) = self.regex.captures_from_pos(text, from).map_err(gave_up)? else { break };
            let Some(hit) = captures.get(0) else { break };
            found = found.saturating_add(1);
            out.push_str(text.get(copied..hit.start()).unwrap_or_default());
            replacement.expand(&mut out, |group| captures.get(group).map(|part| part.as_str()));
            copied = hit.end();
            let next = text.get(hit.end()..).and_then(|rest| rest.chars().next()).map_or(1, char::len_utf8);
            from = if hit.start() == hit.end() { hit.end().saturating_add(next) } else { hit.end() };
        }
        if found == 0 {
            return Ok(None);
        }
        out.push_str(text.get(copied..).unwrap_or_default());
        Ok(Some(out))
    }
}

fn gave_up(error: fancy_regex::Error) -> ConnectError {
    let what = format!("the pattern needs more than {REGEX_BACKTRACK_STEPS_MAX} steps back on this text");
    ConnectError::bad_record(Stage::Transform, what).caused_by(error)
}

#[cfg(test)]
mod tests;
