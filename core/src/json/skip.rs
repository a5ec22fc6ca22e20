//! Going past a value of text that was checked before, without looking at what is in it.

use super::scan::{step, string_end};
use super::wide::{self, STEP_BYTES};

/// The end of the value that begins at `at` in text that was checked before, however deep it is: parts of edited text may
/// lie deeper than any text that is taken.
pub fn skip_value(text: &[u8], at: usize) -> usize {
    match text.get(at) {
        Some(b'"') => string_end::<false>(text, at.wrapping_add(1)).unwrap_or(text.len()),
        Some(b'{' | b'[') => skip_container(text, at.wrapping_add(1)),
        _ => {
            let mut at = at;
            while let Some(b'0'..=b'9' | b'a'..=b'z' | b'+' | b'-' | b'.' | b'E') = text.get(at) {
                at = at.wrapping_add(1);
            }
            at
        }
    }
}

/// The end of an object or array; `at` is behind its opening brace or bracket.
fn skip_container(text: &[u8], at: usize) -> usize {
    let mut open = Open { at, depth: 1, in_string: false };
    loop {
        if let Some(end) = open.skip_steps(text) {
            return end;
        }
        // An escape comes, or less than a step is left.
        if open.in_string {
            open.in_string = false;
            open.at = string_end::<false>(text, open.at).unwrap_or(text.len());
            continue;
        }
        let mut rest = text.iter().skip(open.at);
        let Some(found) = rest.position(|byte| matches!(byte, b'"' | b'{' | b'}' | b'[' | b']')) else {
            return text.len();
        };
        let place = open.at.wrapping_add(found);
        open.at = place.wrapping_add(1);
        match text.get(place) {
            Some(b'"') => open.in_string = true,
            Some(b'{' | b'[') => open.depth = open.depth.wrapping_add(1),
            _ => open.depth = open.depth.wrapping_sub(1),
        }
        if open.depth == 0 {
            return open.at;
        }
    }
}

/// How far someone has come who looks for the end of an object or array.
struct Open {
    at: usize,
    /// Objects and arrays that are not closed yet, this one among them.
    depth: usize,
    in_string: bool,
}

impl Open {
    /// Goes on in steps, as long as there are whole ones without an escape; gives the end if it comes by.
    #[inline]
    fn skip_steps(&mut self, text: &[u8]) -> Option<usize> {
        while let Some(bytes) = step(text, self.at) {
            let marks = wide::marks(bytes);
            if marks.backslashes != 0 {
                return None;
            }
            // Whether an odd number of quotes stands before each byte or at it: those bytes are a string's.
            let mut inside = marks.quotes;
            for shift in [1, 2, 4, 8] {
                inside ^= inside << shift;
            }
            if self.in_string {
                inside = !inside;
            }
            self.in_string = inside >> (STEP_BYTES - 1) & 1 == 1;
            let closing = marks.closing & !inside;
            let mut left = marks.opening & !inside | closing;
            while left != 0 {
                let bit = left & left.wrapping_neg();
                left ^= bit;
                if closing & bit == 0 {
                    self.depth = self.depth.wrapping_add(1);
                    continue;
                }
                self.depth = self.depth.wrapping_sub(1);
                if self.depth == 0 {
                    return Some(self.at.wrapping_add(bit.trailing_zeros() as usize).wrapping_add(1));
                }
            }
            self.at = self.at.wrapping_add(STEP_BYTES);
        }
        None
    }
}
