//! Reads a pattern by Java's grammar and writes it in the engine's.
//!
//! What is written holds no flags and no names: a character is written with all it may match, and groups are counted.

use std::fmt::Write as _;

use regex_syntax::hir::ClassUnicode;

use super::Flags;
use super::class::{folded, write_char, write_set};
use crate::limits::REGEX_DEPTH_MAX;

/// A pattern in the engine's syntax.
pub(super) struct Translated {
    pub pattern: String,
    pub groups: usize,
    pub names: Vec<(String, usize)>,
}

/// A character of the pattern; a quoted one means itself.
#[derive(Clone, Copy)]
struct Char {
    character: char,
    quoted: bool,
}

/// What an escape stands for.
pub(super) enum Escaped {
    Char(char),
    Set(ClassUnicode),
    /// A pattern that can be repeated as a whole.
    Pattern(String),
}

pub(super) struct Parser<'p> {
    chars: &'p [Char],
    pub(super) at: usize,
    pub(super) flags: Flags,
    /// Capturing groups so far.
    pub(super) groups: usize,
    pub(super) names: Vec<(String, usize)>,
    pub(super) depth: usize,
    /// Whether the pattern must match a whole text.
    pub(super) whole: bool,
}

pub(super) fn translate(pattern: &str, flags: Flags, whole: bool) -> Result<Translated, String> {
    let chars = unquoted(pattern, flags.literal);
    let mut parser = Parser { chars: &chars, at: 0, flags, groups: 0, names: Vec::new(), depth: 0, whole };
    let body = parser.alternatives()?;
    if !parser.at_end() {
        return Err(parser.fault("a ) without its ("));
    }
    let pattern = if whole { format!("\\A(?:{body})\\z") } else { body };
    Ok(Translated { pattern, groups: parser.groups, names: parser.names })
}

/// The pattern's characters with `\Q…\E` resolved.
fn unquoted(pattern: &str, literal: bool) -> Vec<Char> {
    let mut chars = Vec::with_capacity(pattern.len());
    let mut rest = pattern;
    let mut quoted = literal;
    while let Some(character) = rest.chars().next() {
        let turn = if quoted { "\\E" } else { "\\Q" };
        if !literal && rest.starts_with(turn) {
            quoted = !quoted;
            rest = rest.get(2..).unwrap_or_default();
            continue;
        }
        chars.push(Char { character, quoted });
        rest = rest.get(character.len_utf8()..).unwrap_or_default();
        // A backslash keeps what follows from beginning a quotation.
        if character == '\\'
            && !quoted
            && let Some(next) = rest.chars().next()
        {
            chars.push(Char { character: next, quoted });
            rest = rest.get(next.len_utf8()..).unwrap_or_default();
        }
    }
    chars
}

/// Looking at and taking characters.
impl Parser<'_> {
    pub(super) fn at_end(&self) -> bool {
        self.at >= self.chars.len()
    }

    pub(super) fn fault(&self, what: &str) -> String {
        format!("{what}, near character {} of the pattern", self.at.saturating_add(1))
    }

    /// The next character, if it is not quoted.
    pub(super) fn peek_operator(&self) -> Option<char> {
        self.chars.get(self.at).filter(|next| !next.quoted).map(|next| next.character)
    }

    /// The one behind the next; a quoted one shows as a letter.
    pub(super) fn peek_second_operator(&self) -> Option<char> {
        self.chars.get(self.at.saturating_add(1)).map(|next| if next.quoted { 'q' } else { next.character })
    }

    pub(super) fn take(&mut self) -> Option<char> {
        let next = self.chars.get(self.at)?;
        self.at = self.at.saturating_add(1);
        Some(next.character)
    }

    pub(super) fn eat(&mut self, wanted: char) -> bool {
        let found = self.peek_operator() == Some(wanted);
        self.at = self.at.saturating_add(usize::from(found));
        found
    }

    pub(super) fn eat_all(&mut self, wanted: &str) -> bool {
        let start = self.at;
        let found = wanted.chars().all(|character| self.eat(character));
        if !found {
            self.at = start;
        }
        found
    }

    /// With `COMMENTS`: passes over blanks, and over `#` to the end of its line.
    pub(super) fn skip_comments(&mut self) {
        while self.flags.comments {
            match self.peek_operator() {
                Some('\t'..='\r' | ' ') => self.at = self.at.saturating_add(1),
                Some('#') => {
                    while let Some(character) = self.take() {
                        if self.flags.ends_line(character) {
                            break;
                        }
                    }
                }
                _ => return,
            }
        }
    }

    /// Goes one level deeper, within bounds.
    pub(super) fn nested<T>(&mut self, inner: impl FnOnce(&mut Self) -> Result<T, String>) -> Result<T, String> {
        if self.depth >= REGEX_DEPTH_MAX {
            return Err(self.fault("nested too deeply"));
        }
        self.depth = self.depth.saturating_add(1);
        let result = inner(self);
        self.depth = self.depth.saturating_sub(1);
        result
    }

    /// The next character as a digit, taken if it is one.
    pub(super) fn digit(&mut self, radix: u32) -> Option<u32> {
        let value = self.chars.get(self.at)?.character.to_digit(radix)?;
        self.at = self.at.saturating_add(1);
        Some(value)
    }

    fn number(&mut self) -> Option<String> {
        let mut digits = String::new();
        while let Some(digit) = self.peek_operator().filter(char::is_ascii_digit) {
            digits.push(digit);
            self.at = self.at.saturating_add(1);
        }
        (!digits.is_empty()).then_some(digits)
    }
}

/// The grammar: alternatives, sequences, atoms, quantifiers, groups.
impl Parser<'_> {
    fn alternatives(&mut self) -> Result<String, String> {
        let mut out = String::new();
        loop {
            self.sequence(&mut out)?;
            if !self.eat('|') {
                return Ok(out);
            }
            out.push('|');
        }
    }

    fn sequence(&mut self, out: &mut String) -> Result<(), String> {
        loop {
            self.skip_comments();
            if self.at_end() || matches!(self.peek_operator(), Some('|' | ')')) {
                return Ok(());
            }
            if let Some(atom) = self.atom()? {
                let repeated = self.repeated(atom)?;
                out.push_str(&repeated);
            }
        }
    }

    /// One thing that can be repeated; nothing for a group that only sets flags.
    fn atom(&mut self) -> Result<Option<String>, String> {
        let mut out = String::new();
        match self.peek_operator() {
            Some('(') => {
                self.at = self.at.saturating_add(1);
                return self.nested(Self::group);
            }
            Some('[') => {
                self.at = self.at.saturating_add(1);
                let class = self.class()?;
                write_set(&mut out, &class);
            }
            Some('\\') => {
                self.at = self.at.saturating_add(1);
                match self.escape(false)? {
                    Escaped::Char(character) => self.write_literal(&mut out, character),
                    Escaped::Set(class) => write_set(&mut out, &class),
                    Escaped::Pattern(pattern) => out = pattern,
                }
            }
            Some(assertion @ ('^' | '$' | '.')) => {
                self.at = self.at.saturating_add(1);
                out.push_str(match assertion {
                    '^' => self.line_start(),
                    '$' if self.flags.multiline => self.line_end(),
                    '$' => self.last_line_end(),
                    _ => self.any(),
                });
            }
            Some('*' | '+' | '?') => return Err(self.fault("nothing stands before the quantifier")),
            Some('{') => return Err(self.fault("nothing stands before the {")),
            _ => {
                if let Some(character) = self.take() {
                    self.write_literal(&mut out, character);
                }
            }
        }
        Ok(Some(out))
    }

    fn write_literal(&self, out: &mut String, character: char) {
        if self.flags.case_insensitive {
            let class = folded(character, character, self.flags);
            if class.iter().map(|range| range.len()).sum::<usize>() > 1 {
                write_set(out, &class);
                return;
            }
        }
        write_char(out, character);
    }

    /// The atom with the quantifier that follows it, if one does.
    fn repeated(&mut self, atom: String) -> Result<String, String> {
        self.skip_comments();
        let quantifier = match self.peek_operator() {
            Some(simple @ ('*' | '+' | '?')) => {
                self.at = self.at.saturating_add(1);
                simple.to_string()
            }
            Some('{') => {
                self.at = self.at.saturating_add(1);
                self.counted()?
            }
            _ => return Ok(atom),
        };
        self.skip_comments();
        if self.eat('+') {
            return Ok(format!("(?>{atom}{quantifier})"));
        }
        let lazy = if self.eat('?') { "?" } else { "" };
        Ok(format!("(?:{atom}{quantifier}{lazy})"))
    }

    /// `{n}`, `{n,}` or `{n,m}` behind its brace.
    fn counted(&mut self) -> Result<String, String> {
        let too_large = |parser: &Self| parser.fault("the count is too large");
        let Some(least) = self.number() else { return Err(self.fault("a count must stand behind {")) };
        let least: u32 = least.parse().map_err(|_| too_large(self))?;
        let mut out = format!("{{{least}");
        if self.eat(',') {
            out.push(',');
            self.skip_comments();
            if let Some(most) = self.number() {
                let most: u32 = most.parse().map_err(|_| too_large(self))?;
                if most < least {
                    return Err(self.fault("the counts run backwards"));
                }
                let _ = write!(out, "{most}");
            }
        }
        self.skip_comments();
        if !self.eat('}') {
            return Err(self.fault("a } is missing"));
        }
        out.push('}');
        Ok(out)
    }

    /// The group whose `(` was just taken.
    fn group(&mut self) -> Result<Option<String>, String> {
        let flags = self.flags;
        self.skip_comments();
        let open = if self.eat('?') { self.special_group()? } else { Some(self.capture()) };
        // A group that only sets flags has taken its `)`, and they hold to the end of the group around it.
        let Some(open) = open else { return Ok(None) };
        let body = self.alternatives()?;
        if !self.eat(')') {
            return Err(self.fault("a ) is missing"));
        }
        self.flags = flags;
        Ok(Some(format!("{open}{body})")))
    }

    fn capture(&mut self) -> String {
        self.groups = self.groups.saturating_add(1);
        "(".to_owned()
    }

    /// The opening of a group whose `(?` was just taken; nothing if it only sets flags.
    fn special_group(&mut self) -> Result<Option<String>, String> {
        for open in ["<=", "<!", ":", "=", "!", ">"] {
            if self.eat_all(open) {
                return Ok(Some(format!("(?{open}")));
            }
        }
        if self.eat('<') {
            let name = self.name('>')?;
            if self.names.iter().any(|(known, _)| *known == name) {
                return Err(self.fault("two groups of one name"));
            }
            let open = self.capture();
            self.names.push((name, self.groups));
            return Ok(Some(open));
        }
        self.set_flags(true)?;
        if self.eat('-') {
            self.set_flags(false)?;
        }
        if self.eat(')') {
            return Ok(None);
        }
        if self.eat(':') { Ok(Some("(?:".to_owned())) } else { Err(self.fault("unknown kind of group")) }
    }

    fn set_flags(&mut self, on: bool) -> Result<(), String> {
        while let Some(letter) = self.peek_operator().filter(char::is_ascii_alphabetic) {
            match letter {
                'i' => self.flags.case_insensitive = on,
                'm' => self.flags.multiline = on,
                's' => self.flags.dotall = on,
                'd' => self.flags.unix_lines = on,
                'u' => self.flags.unicode_case = on,
                'x' => self.flags.comments = on,
                'U' => self.flags = Flags { unicode_classes: on, unicode_case: on, ..self.flags },
                _ => return Err(self.fault("unknown flag")),
            }
            self.at = self.at.saturating_add(1);
        }
        Ok(())
    }

    /// A group's name up to `close`, which is taken.
    pub(super) fn name(&mut self, close: char) -> Result<String, String> {
        let mut name = String::new();
        while let Some(letter) = self.peek_operator().filter(char::is_ascii_alphanumeric) {
            name.push(letter);
            self.at = self.at.saturating_add(1);
        }
        if !name.starts_with(|first: char| first.is_ascii_alphabetic()) || !self.eat(close) {
            return Err(self.fault("a group's name is letters and digits, a letter first"));
        }
        Ok(name)
    }
}
