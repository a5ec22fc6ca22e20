//! Files of numbered lines of any length, and the check that each of them arrived once.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use super::floor::for_each_line;

const DIGITS: usize = 10;

/// Writes so many lines of so many bytes each, terminator included.
pub fn write(path: &Path, lines: u64, bytes: usize) -> io::Result<()> {
    assert!(bytes > DIGITS, "a line has at least {} bytes", DIGITS + 1);
    let mut out = BufWriter::with_capacity(1 << 20, File::create(path)?);
    let mut line = vec![b'.'; bytes];
    line[bytes - 1] = b'\n';
    for number in 0..lines {
        let mut rest = number;
        for digit in line[..DIGITS].iter_mut().rev() {
            *digit = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        // Text that is not the same on every line, as in a log.
        line[DIGITS..bytes - 1].fill(b'a' + (number % 26) as u8);
        out.write_all(&line)?;
    }
    out.flush()
}

/// Lines of a file whose numbers are `0..expected`: missing, and beyond the first of a number (or of a foreign one).
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Numbers that are not there.
    pub lost: u64,
    /// Lines too many.
    pub repeated: u64,
}

/// Reads a file once.
pub fn tally(path: &Path, expected: u64) -> io::Result<Tally> {
    let mut seen = vec![0_u64; usize::try_from(expected).unwrap().div_ceil(64)];
    let (mut distinct, mut lines) = (0, 0);
    for_each_line(path, |line| {
        lines += 1;
        let number = line.get(..DIGITS).and_then(|digits| std::str::from_utf8(digits).ok()?.parse::<u64>().ok());
        if let Some(number) = number.filter(|number| *number < expected) {
            let (word, bit) = (usize::try_from(number / 64).unwrap(), 1_u64 << (number % 64));
            distinct += u64::from(seen[word] & bit == 0);
            seen[word] |= bit;
        }
    })?;
    Ok(Tally { lost: expected - distinct, repeated: lines - distinct })
}

#[cfg(test)]
#[allow(
    dead_code,
    unused_imports,
    reason = "the bench target is built for tests without a harness that would run them"
)]
mod tests {
    use super::*;
    use crate::support::TempDir;

    #[test]
    fn what_is_lost_and_what_is_repeated_is_counted() {
        let folder = TempDir::new("lines");
        let path = folder.file("lines.txt");
        write(&path, 5_000, 100).unwrap();
        assert_eq!(tally(&path, 5_000).unwrap(), Tally::default());
        assert_eq!(tally(&path, 5_001).unwrap(), Tally { lost: 1, repeated: 0 });
        let text = std::fs::read(&path).unwrap();
        std::fs::write(&path, [&text[100..], &text[100..300]].concat()).unwrap();
        assert_eq!(tally(&path, 5_000).unwrap(), Tally { lost: 1, repeated: 2 });
    }
}
