//! Where lines begin and end for Java, which knows more line terminators than the engine.

use super::translate::Parser;

impl Parser<'_> {
    pub(super) fn any(&self) -> &'static str {
        match (self.flags.dotall, self.flags.unix_lines) {
            (true, _) => r"[\x{0}-\x{10ffff}]",
            (false, true) => r"[^\x{a}]",
            (false, false) => r"[^\x{a}\x{d}\x{85}\x{2028}\x{2029}]",
        }
    }

    pub(super) fn line_start(&self) -> &'static str {
        // Java finds no line at the very end of a text, not even in an empty one.
        match (self.flags.multiline, self.flags.unix_lines) {
            (false, _) => r"\A",
            (true, true) => r"(?:(?:\A|(?<=\x{a}))(?!\z))",
            (true, false) => r"(?:(?:\A|(?<=[\x{a}\x{85}\x{2028}\x{2029}])|(?<=\x{d})(?!\x{a}))(?!\z))",
        }
    }

    pub(super) fn line_end(&self) -> &'static str {
        if self.flags.unix_lines {
            r"(?:(?=\x{a})|\z)"
        } else {
            r"(?:(?<!\x{d})(?=\x{a})|(?=[\x{d}\x{85}\x{2028}\x{2029}])|\z)"
        }
    }

    /// The end, or the place before a terminator that ends the text.
    pub(super) fn last_line_end(&self) -> &'static str {
        // Behind it nothing can match any more, so that it must be the very end; and the engine needs no look-ahead.
        if self.whole && self.depth == 0 && (self.at_end() || self.peek_operator() == Some('|')) {
            return r"\z";
        }
        if self.flags.unix_lines {
            r"(?=\x{a}?\z)"
        } else {
            r"(?:(?=\x{d}\x{a}\z)|(?<!\x{d})(?=\x{a}\z)|(?=[\x{d}\x{85}\x{2028}\x{2029}]\z)|\z)"
        }
    }
}
