//! Escapes: characters, sets, assertions, back references.

use regex_syntax::hir::ClassUnicode;

use super::named_class;
use super::translate::{Escaped, Parser};

impl Parser<'_> {
    /// The escape whose backslash was just taken.
    pub(super) fn escape(&mut self, in_class: bool) -> Result<Escaped, String> {
        let Some(letter) = self.take() else { return Err(self.fault("nothing stands behind the last \\")) };
        if let Some(class) = named_class::escape(letter, self.flags) {
            return Ok(Escaped::Set(class));
        }
        let character = match letter {
            't' => '\t',
            'n' => '\n',
            'r' => '\r',
            'f' => '\u{c}',
            'a' => '\u{7}',
            'e' => '\u{1b}',
            '0' => self.octal()?,
            'x' => self.hexadecimal()?,
            'u' => self.unit_escape()?,
            'c' => {
                let control = self.take().and_then(|letter| char::from_u32(u32::from(letter) ^ 64));
                control.ok_or_else(|| self.fault("nothing stands behind \\c"))?
            }
            'p' | 'P' => return self.property(letter == 'P').map(Escaped::Set),
            _ if !letter.is_ascii_alphanumeric() => letter,
            _ if in_class => return Err(self.fault("this escape can't stand in a class")),
            _ => return self.assertion(letter).map(Escaped::Pattern),
        };
        Ok(Escaped::Char(character))
    }

    fn assertion(&mut self, letter: char) -> Result<String, String> {
        Ok(match letter {
            'A' => r"\A".to_owned(),
            'z' => r"\z".to_owned(),
            'Z' => self.last_line_end().to_owned(),
            'b' if self.peek_operator() == Some('{') => return Err(self.fault("\\b{g} is not supported")),
            'b' => r"\b".to_owned(),
            'B' => r"\B".to_owned(),
            'G' => r"\G".to_owned(),
            'R' => r"(?:\x{d}\x{a}|[\x{a}-\x{d}\x{85}\x{2028}\x{2029}])".to_owned(),
            'k' => {
                if !self.eat('<') {
                    return Err(self.fault("a group's name in < > must stand behind \\k"));
                }
                let name = self.name('>')?;
                let known = self.names.iter().find(|(known, _)| *known == name).map(|(_, number)| *number);
                self.back_reference(known.ok_or_else(|| self.fault("no group of this name stands before"))?)
            }
            '1'..='9' => self.numbered_reference(letter)?,
            'X' | 'N' => return Err(self.fault(&format!("\\{letter} is not supported"))),
            _ => return Err(self.fault("unknown escape")),
        })
    }

    /// Of the digits only so many count as make a group that there is.
    fn numbered_reference(&mut self, first: char) -> Result<String, String> {
        let digit = |digit: char| digit.to_digit(10).and_then(|digit| usize::try_from(digit).ok()).unwrap_or(0);
        let mut number = digit(first);
        if number > self.groups {
            return Err(self.fault("a back reference stands before its group"));
        }
        while let Some(next) = self.peek_operator().filter(char::is_ascii_digit) {
            let longer = number.saturating_mul(10).saturating_add(digit(next));
            if longer > self.groups {
                break;
            }
            number = longer;
            self.at = self.at.saturating_add(1);
        }
        Ok(self.back_reference(number))
    }

    fn back_reference(&self, number: usize) -> String {
        if self.flags.case_insensitive { format!("(?i:\\{number})") } else { format!("(?:\\{number})") }
    }

    fn property(&mut self, negate: bool) -> Result<ClassUnicode, String> {
        let mut name = String::new();
        if self.eat('{') {
            loop {
                match self.take() {
                    Some('}') => break,
                    Some(letter) => name.push(letter),
                    None => return Err(self.fault("a } is missing")),
                }
            }
        } else {
            name.extend(self.take());
        }
        let class = named_class::property_class(&name, self.flags).map_err(|error| self.fault(&error))?;
        Ok(if negate { named_class::negated(class) } else { class })
    }

    /// `\0n`, `\0nn` or `\0mnn` with m up to 3.
    fn octal(&mut self) -> Result<char, String> {
        let Some(first) = self.digit(8) else { return Err(self.fault("octal digits must stand behind \\0")) };
        let mut code = first;
        for _ in 0..if first <= 3 { 2 } else { 1 } {
            match self.digit(8) {
                Some(next) => code = code << 3 | next,
                None => break,
            }
        }
        char::from_u32(code).ok_or_else(|| self.fault("no such character"))
    }

    /// `\xhh` or `\x{h…h}`.
    fn hexadecimal(&mut self) -> Result<char, String> {
        if !self.eat('{') {
            let code = self.hex_digits(2)?;
            return char::from_u32(code).ok_or_else(|| self.fault("no such character"));
        }
        let mut code: u32 = 0;
        while let Some(next) = self.digit(16) {
            code = code.saturating_mul(16).saturating_add(next);
        }
        let character = char::from_u32(code).filter(|_| self.eat('}'));
        character.ok_or_else(|| self.fault("no such character"))
    }

    fn hex_digits(&mut self, count: usize) -> Result<u32, String> {
        let mut code = 0;
        for _ in 0..count {
            let Some(next) = self.digit(16) else { return Err(self.fault("hex digits are missing")) };
            code = code << 4 | next;
        }
        Ok(code)
    }

    /// `\uhhhh`, two of them for a surrogate pair.
    fn unit_escape(&mut self) -> Result<char, String> {
        let high = self.hex_digits(4)?;
        let code = match high {
            0xd800..=0xdbff if self.eat_all("\\u") => match self.hex_digits(4)? {
                low @ 0xdc00..=0xdfff => 0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00),
                _ => high,
            },
            _ => high,
        };
        char::from_u32(code).ok_or_else(|| self.fault("half of a surrogate pair stands alone"))
    }
}
