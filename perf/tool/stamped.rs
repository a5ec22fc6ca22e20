//! Lines that say when they were due to be written and when they were: what arrives tells its own latency.
//!
//! From the moment at which a line was *due* is the wait that a user of the system sees, whatever the writer did meanwhile
//! (the loop is open). From the moment at which it was written a writer that was held up hides the very stalls that
//! are looked for. Both are told.

use std::io::Write;

use super::machine::monotonic_us;

/// Digits of each stamp, in µs of the machine's monotonic clock.
const STAMP: usize = 16;
/// Digits of the line's number, behind the two stamps.
const NUMBER: usize = 10;
/// Shortest line with its terminator.
pub const BYTES_MIN: usize = 2 * STAMP + NUMBER + 1;

/// Writes a line of so many bytes, terminator included.
pub fn write_line(out: &mut Vec<u8>, due_us: u64, number: u64, bytes: usize) {
    let start = out.len();
    write!(out, "{due_us:016}{:016}{number:010}", monotonic_us()).unwrap();
    out.resize(start + bytes.max(BYTES_MIN) - 1, b'.');
    out.push(b'\n');
}

/// µs since a line was due and since it was written; nothing of other bytes.
pub fn since(line: &[u8]) -> Option<(u64, u64)> {
    let (due, written) = (digits(line.get(..STAMP)?)?, digits(line.get(STAMP..2 * STAMP)?)?);
    let now = monotonic_us();
    Some((now.saturating_sub(due), now.saturating_sub(written)))
}

/// The line's number; nothing of other bytes.
pub fn number(line: &[u8]) -> Option<u64> {
    digits(line.get(2 * STAMP..2 * STAMP + NUMBER)?)
}

fn digits(text: &[u8]) -> Option<u64> {
    text.iter().try_fold(0_u64, |value, byte| {
        byte.is_ascii_digit().then(|| value.wrapping_mul(10).wrapping_add(u64::from(byte - b'0')))
    })
}
