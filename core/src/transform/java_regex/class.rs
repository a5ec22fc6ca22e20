//! Character classes in brackets: unions, `&&`, ranges. They are worked out to plain sets of ranges.

use std::fmt::Write as _;

use regex_syntax::hir::ClassUnicode;

use super::Flags;
use super::named_class::{negated, set};
use super::translate::{Escaped, Parser};

/// Writes a set in the engine's syntax.
pub(super) fn write_set(out: &mut String, class: &ClassUnicode) {
    if class.iter().next().is_none() {
        out.push_str(r"[^\x{0}-\x{10ffff}]");
        return;
    }
    out.push('[');
    for range in class.iter() {
        write_char(out, range.start());
        if range.start() != range.end() {
            out.push('-');
            write_char(out, range.end());
        }
    }
    out.push(']');
}

/// Writes a character so that it means itself.
pub(super) fn write_char(out: &mut String, character: char) {
    if character.is_ascii_alphanumeric() || character == '_' {
        out.push(character);
    } else {
        let _ = write!(out, "\\x{{{:x}}}", u32::from(character));
    }
}

/// The characters that a range stands for when case may be ignored.
pub(super) fn folded(first: char, last: char, flags: Flags) -> ClassUnicode {
    let mut class = set(&[(first, last)]);
    if flags.case_insensitive && flags.unicode_case {
        // Without the tables the set stays as it is; they are always built in.
        let _ = class.try_case_fold_simple();
    } else if flags.case_insensitive {
        for letter in 'a'..='z' {
            let upper = letter.to_ascii_uppercase();
            if (first..=last).contains(&letter) || (first..=last).contains(&upper) {
                class.union(&set(&[(letter, letter), (upper, upper)]));
            }
        }
    }
    class
}

impl Parser<'_> {
    /// The class whose `[` was just taken.
    pub(super) fn class(&mut self) -> Result<ClassUnicode, String> {
        self.nested(|parser| {
            let negate = parser.eat('^');
            let class = parser.class_items()?;
            if !parser.eat(']') {
                return Err(parser.fault("a ] is missing"));
            }
            Ok(if negate { negated(class) } else { class })
        })
    }

    /// Items up to a `]`, which stays. A `]` that stands first means itself.
    fn class_items(&mut self) -> Result<ClassUnicode, String> {
        let mut all: Option<ClassUnicode> = None;
        loop {
            self.skip_comments();
            if self.peek_operator().is_none() && self.at_end() {
                return Err(self.fault("a ] is missing"));
            }
            if self.peek_operator() == Some(']')
                && let Some(all) = all
            {
                return Ok(all);
            }
            if self.eat_all("&&") {
                let right = self.right_side()?;
                match (&mut all, right) {
                    (Some(left), Some(right)) => left.intersect(&right),
                    (None, Some(right)) => all = Some(right),
                    (_, None) => return Err(self.fault("nothing stands behind &&")),
                }
                continue;
            }
            let item = if self.eat('[') { self.class()? } else { self.range()? };
            match &mut all {
                Some(all) => all.union(&item),
                None => all = Some(item),
            }
        }
    }

    /// What stands between `&&` and the next `&` or `]`.
    fn right_side(&mut self) -> Result<Option<ClassUnicode>, String> {
        let mut right: Option<ClassUnicode> = None;
        loop {
            self.skip_comments();
            if matches!(self.peek_operator(), Some(']' | '&')) || self.at_end() {
                return Ok(right);
            }
            // A part without brackets takes all that follows, further && included.
            let part = if self.eat('[') { self.class()? } else { self.nested(Self::class_items)? };
            match &mut right {
                Some(right) => right.union(&part),
                None => right = Some(part),
            }
        }
    }

    /// One character, one range, or one named set.
    fn range(&mut self) -> Result<ClassUnicode, String> {
        let first = match self.class_char()? {
            Ok(first) => first,
            Err(class) => return Ok(class),
        };
        self.skip_comments();
        if self.peek_operator() != Some('-') || matches!(self.peek_second_operator(), Some('[' | ']') | None) {
            return Ok(folded(first, first, self.flags));
        }
        self.eat('-');
        self.skip_comments();
        let Ok(last) = self.class_char()? else {
            return Err(self.fault("a range can't end with a set"));
        };
        if last < first {
            return Err(self.fault("a range runs backwards"));
        }
        Ok(folded(first, last, self.flags))
    }

    /// A character, or (as `Err`) a set that a class may hold.
    fn class_char(&mut self) -> Result<Result<char, ClassUnicode>, String> {
        if !self.eat('\\') {
            return self.take().map(Ok).ok_or_else(|| self.fault("a ] is missing"));
        }
        match self.escape(true)? {
            Escaped::Char(character) => Ok(Ok(character)),
            Escaped::Set(class) => Ok(Err(class)),
            Escaped::Pattern(_) => Err(self.fault("this escape can't stand in a class")),
        }
    }
}
