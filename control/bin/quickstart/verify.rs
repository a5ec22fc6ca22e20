//! What the two files say: looks at nothing else.

use std::fs::File;
use std::io::{BufRead as _, BufReader, BufWriter, Write as _};
use std::path::Path;

use anyhow::{Context as _, bail};
use sha1::{Digest as _, Sha1};

/// Bytes of a line's number, in decimal with leading zeros.
const NUMBER_BYTES: usize = 12;

/// Writes `lines` lines of `size` bytes each: its number, a blank, and letters that follow from the number.
///
/// # Errors
/// When the file can't be written.
pub(crate) fn write_lines(path: &Path, lines: u64, size: usize) -> anyhow::Result<()> {
    let file = File::create(path).with_context(|| format!("cannot create {}", path.display()))?;
    let mut file = BufWriter::with_capacity(1 << 20, file);
    let mut line = Vec::with_capacity(size + 1);
    for number in 0..lines {
        line.clear();
        write!(line, "{number:0NUMBER_BYTES$} ")?;
        let mut state = number;
        while line.len() < size {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            line.push(b'a' + u8::try_from((state >> 33) % 26).unwrap_or(0));
        }
        line.push(b'\n');
        file.write_all(&line)?;
    }
    file.into_inner()?.sync_all().with_context(|| format!("cannot write {}", path.display()))
}

/// What one file holds, whatever the order of its lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Contents {
    /// Lines.
    pub lines: u64,
    /// Sum of the lines' hashes, modulo 2^128.
    sum: u128,
    /// Exclusive or of them.
    xor: u128,
}

/// What the comparison of the two files says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// Lines of the first file.
    pub lines: u64,
    /// Lines of the first file that are not in the second.
    pub lost: u64,
    /// Lines of the second file that are there more than once, not counting the first.
    pub duplicated: u64,
    /// Lines of the second file that are not in the first, or are changed.
    pub foreign: u64,
    /// Least number of ordered sequences that the second file can be merged from.
    pub sequences: usize,
}

/// Reads both files and compares them.
///
/// # Errors
/// When a file can't be read, or the first is not one of numbered lines.
pub(crate) fn compare(input: &Path, output: &Path) -> anyhow::Result<Verdict> {
    let mut hashes: Vec<u128> = Vec::new();
    let mut before = Contents::default();
    each_line(input, |line| {
        let hash = before.add(line);
        if number_of(line) != Some(hashes.len()) {
            bail!("{} holds something else than numbered lines", input.display());
        }
        hashes.push(hash);
        Ok(())
    })?;
    let mut after = Contents::default();
    let mut times: Vec<u32> = vec![0; hashes.len()];
    let mut verdict = Verdict { lines: before.lines, ..Verdict::default() };
    let mut sequences = Sequences::default();
    each_line(output, |line| {
        let hash = after.add(line);
        let number = number_of(line).filter(|number| hashes.get(*number) == Some(&hash));
        match number.and_then(|number| Some((number, times.get_mut(number)?))) {
            Some((number, times)) => {
                *times = times.saturating_add(1);
                sequences.add(number);
            }
            None => verdict.foreign += 1,
        }
        Ok(())
    })?;
    for times in &times {
        verdict.lost += u64::from(*times == 0);
        verdict.duplicated += u64::from(times.saturating_sub(1));
    }
    verdict.sequences = sequences.ends.len();
    // Two ways to the same answer: by number, and by hashes that know no order.
    let clean = verdict.lost == 0 && verdict.duplicated == 0 && verdict.foreign == 0;
    if clean != (before == after) {
        bail!("the count by number and the count by hash differ: {verdict:?}, {before:?}, {after:?}");
    }
    Ok(verdict)
}

impl Contents {
    /// Adds a line; gives its hash.
    fn add(&mut self, line: &[u8]) -> u128 {
        let digest = Sha1::digest(line);
        let hash = digest.iter().take(16).fold(0u128, |hash, byte| (hash << 8) | u128::from(*byte));
        self.lines += 1;
        self.sum = self.sum.wrapping_add(hash);
        self.xor ^= hash;
        hash
    }
}

/// Merging undone: each number joins the sequence whose end is the nearest below it. That needs the fewest sequences.
#[derive(Default)]
struct Sequences {
    /// The last number of each, largest first.
    ends: Vec<usize>,
}

impl Sequences {
    fn add(&mut self, number: usize) {
        let at = self.ends.partition_point(|end| *end >= number);
        match self.ends.get_mut(at) {
            Some(end) => *end = number,
            None => self.ends.push(number),
        }
    }
}

fn number_of(line: &[u8]) -> Option<usize> {
    std::str::from_utf8(line.get(..NUMBER_BYTES)?).ok()?.parse().ok()
}

/// Calls `take` with each line, without its end.
fn each_line(path: &Path, mut take: impl FnMut(&[u8]) -> anyhow::Result<()>) -> anyhow::Result<()> {
    let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    let mut file = BufReader::with_capacity(1 << 20, file);
    let mut line = Vec::new();
    loop {
        line.clear();
        if file.read_until(b'\n', &mut line).with_context(|| format!("cannot read {}", path.display()))? == 0 {
            return Ok(());
        }
        take(line.strip_suffix(b"\n").unwrap_or(&line))?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The verdict on an output made of the input's lines.
    fn verdict(change: impl Fn(&mut Vec<String>)) -> Verdict {
        let dir = tempfile::tempdir().unwrap();
        let (input, output) = (dir.path().join("in"), dir.path().join("out"));
        write_lines(&input, 8, 40).unwrap();
        let mut lines: Vec<String> = std::fs::read_to_string(&input).unwrap().lines().map(str::to_owned).collect();
        assert!(lines.iter().all(|line| line.len() == 40));
        change(&mut lines);
        std::fs::write(&output, lines.iter().map(|line| format!("{line}\n")).collect::<String>()).unwrap();
        compare(&input, &output).unwrap()
    }

    #[test]
    fn the_same_lines_in_any_order_are_right() {
        let clean = Verdict { lines: 8, sequences: 1, ..Verdict::default() };
        assert_eq!(verdict(|_| {}), clean);
        assert_eq!(verdict(|lines| lines.swap(2, 3)), Verdict { sequences: 2, ..clean });
        assert_eq!(verdict(|lines| lines.reverse()), Verdict { sequences: 8, ..clean });
        let two_queues = |lines: &mut Vec<String>| lines.sort_by_key(|line| number_of(line.as_bytes()).unwrap() % 2);
        assert_eq!(verdict(two_queues), Verdict { sequences: 2, ..clean });
    }

    #[test]
    fn lost_doubled_and_changed_lines_are_counted() {
        let clean = Verdict { lines: 8, sequences: 1, ..Verdict::default() };
        assert_eq!(verdict(|lines| drop(lines.remove(3))), Verdict { lost: 1, ..clean });
        assert_eq!(
            verdict(|lines| lines.insert(3, lines[3].clone())),
            Verdict { duplicated: 1, sequences: 2, ..clean }
        );
        assert_eq!(verdict(|lines| lines[3].push('x')), Verdict { lost: 1, foreign: 1, ..clean });
        assert_eq!(
            verdict(|lines| lines[3] = lines[4].clone()),
            Verdict { lost: 1, duplicated: 1, sequences: 2, ..clean }
        );
        assert_eq!(verdict(|lines| lines.push("nonsense".to_owned())), Verdict { foreign: 1, ..clean });
    }
}
