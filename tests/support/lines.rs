//! Files of numbered lines, and the streaming check that none of them was lost.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::ops::Range;
use std::path::Path;

/// Bytes of a line with its terminator.
pub const LINE_BYTES: usize = 100;
/// Digits of the number that a line starts with.
const DIGITS: usize = 10;

/// Writes one line: its number in ten digits, then padding that depends on it, then the terminator.
pub fn write_line(out: &mut impl Write, number: u64) -> io::Result<()> {
    let pad = b'a' + (number % 26) as u8;
    let mut line = [pad; LINE_BYTES];
    line[LINE_BYTES - 1] = b'\n';
    let mut rest = number;
    for digit in line[..DIGITS].iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    out.write_all(&line)
}

/// Appends numbered lines to a file, making it if needed.
pub fn append_lines(path: &Path, numbers: Range<u64>) -> io::Result<()> {
    let mut out = BufWriter::with_capacity(1 << 20, OpenOptions::new().create(true).append(true).open(path)?);
    for number in numbers {
        write_line(&mut out, number)?;
    }
    out.flush()
}

/// What a file holds, compared to the lines that it should hold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Complete lines in the file.
    pub lines: u64,
    /// Expected lines that are there at least once.
    pub distinct: u64,
    /// Expected lines that are not there.
    pub lost: u64,
    /// Lines beyond the first of each number.
    pub duplicated: u64,
    /// Lines that nobody wrote: wrong padding, length or number.
    pub foreign: u64,
}

/// Reads a file once and compares it with the lines `0..expected`. A last line without terminator is not yet a line.
pub fn tally(path: &Path, expected: u64) -> io::Result<Tally> {
    let mut seen = vec![0_u64; usize::try_from(expected).unwrap().div_ceil(64)];
    let mut tally = Tally::default();
    let mut reader = BufReader::with_capacity(1 << 20, File::open(path)?);
    let (mut line, mut wanted) = (Vec::with_capacity(LINE_BYTES), Vec::with_capacity(LINE_BYTES));
    loop {
        line.clear();
        if reader.read_until(b'\n', &mut line)? == 0 || line.last() != Some(&b'\n') {
            break;
        }
        tally.lines += 1;
        let number = line.get(..DIGITS).and_then(|digits| std::str::from_utf8(digits).ok()?.parse::<u64>().ok());
        let Some(number) = number.filter(|number| *number < expected) else {
            tally.foreign += 1;
            continue;
        };
        wanted.clear();
        write_line(&mut wanted, number)?;
        if line != wanted {
            tally.foreign += 1;
            continue;
        }
        let (word, bit) = (number as usize / 64, 1 << (number % 64));
        if seen[word] & bit == 0 {
            seen[word] |= bit;
            tally.distinct += 1;
        } else {
            tally.duplicated += 1;
        }
    }
    tally.lost = expected - tally.distinct;
    Ok(tally)
}
