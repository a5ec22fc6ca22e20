//! Where lines end. A line ends with `\n`, `\r\n` or `\r`; a `\r` that is the last byte there is may be half of a
//! `\r\n`, so it ends nothing until the next byte is known.

use memchr::memchr2;

/// The first line of some bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// Length without the terminator.
    pub len: usize,
    /// Where the next line begins.
    pub next: usize,
}

/// Finds the first line that is known to be complete.
#[inline]
pub(super) fn first_line(bytes: &[u8]) -> Option<Line> {
    let len = memchr2(b'\n', b'\r', bytes)?;
    let behind = len.saturating_add(1);
    match (bytes.get(len), bytes.get(behind)) {
        (Some(b'\n'), _) => Some(Line { len, next: behind }),
        (_, Some(b'\n')) => Some(Line { len, next: behind.saturating_add(1) }),
        (_, Some(_)) => Some(Line { len, next: behind }),
        (_, None) => None,
    }
}

/// What follows a position from which reading goes on, as far as it belongs to the line before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Leftover {
    /// Bytes to pass over.
    pub len: u64,
    /// Whether a line begins behind them for sure; otherwise the byte behind them has to be looked at first.
    pub settled: bool,
}

/// Tells how much of a terminator still follows a position, from the bytes around it: `bytes` begins one byte before
/// the position and holds up to two bytes behind it. A terminator right behind a position that does not stand behind
/// a terminator ends the line that was delivered before, so it makes no empty line of its own.
pub(super) fn leftover(bytes: &[u8]) -> Leftover {
    let (len, settled) = match bytes {
        [b'\n', ..] => (0, true),
        [b'\r', b'\n', ..] => (1, true),
        [b'\r', _, ..] => (0, true),
        [_, b'\n', ..] => (1, true),
        [_, b'\r', b'\n', ..] => (2, true),
        [_, b'\r', _, ..] => (1, true),
        // The `\r` may be half of a terminator; seen from behind it the second rule decides.
        [_, b'\r'] => (1, false),
        [_, _, ..] => (0, true),
        [_] | [] => (0, false),
    };
    Leftover { len, settled }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_terminators_end_lines_and_a_last_cr_waits() {
        let line = |len, next| Some(Line { len, next });
        for (bytes, expected) in [
            (&b""[..], None),
            (b"abc", None),
            (b"abc\n", line(3, 4)),
            (b"abc\nd", line(3, 4)),
            (b"abc\r", None),
            (b"abc\r\n", line(3, 5)),
            (b"abc\rd", line(3, 4)),
            (b"\n\n", line(0, 1)),
            (b"\r\r\n", line(0, 1)),
            (b"\r\n\r\n", line(0, 2)),
        ] {
            assert_eq!(first_line(bytes), expected, "{bytes:?}");
        }
    }

    #[test]
    fn a_terminator_behind_an_unterminated_place_belongs_to_the_line_before() {
        for (bytes, len, settled) in [
            (&b"\n"[..], 0, true),
            (b"\n\n", 0, true),
            (b"\r", 0, false),
            (b"\r\n", 1, true),
            (b"\rx", 0, true),
            (b"a", 0, false),
            (b"a\n", 1, true),
            (b"a\r", 1, false),
            (b"a\r\n", 2, true),
            (b"a\rx", 1, true),
            (b"ab", 0, true),
        ] {
            assert_eq!(leftover(bytes), Leftover { len, settled }, "{bytes:?}");
        }
    }
}
