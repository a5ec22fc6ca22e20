//! `UNIQ_KEY`: the client's message id in the Java client's form, so that its query and trace tools find our messages.
//!
//! 16 bytes as upper-case hex: IPv4 address (4), process id (2), a number of the id's maker (4), milliseconds since the
//! start of the month (4), a counter (2).

use std::net::Ipv4Addr;

use rmqc_core::calendar::{date_of, days_of};

/// Length of an id in characters.
pub const ID_LEN: usize = 32;
const HEX: &[u8; 16] = b"0123456789ABCDEF";

/// Makes ids for one shard or task. Two makers of one process must have different numbers.
pub struct UniqueIds {
    text: [u8; ID_LEN],
    month_start_ms: i64,
    next_month_ms: i64,
    counter: u16,
}

impl UniqueIds {
    /// A maker for this process.
    #[must_use]
    pub fn new(address: Ipv4Addr, process: u32, maker: u32) -> Self {
        let mut bytes = [0u8; 16];
        let [a, b, c, d] = address.octets();
        let [_, _, e, f] = process.to_be_bytes();
        let [g, h, i, j] = maker.to_be_bytes();
        if let Some(head) = bytes.first_chunk_mut::<10>() {
            *head = [a, b, c, d, e, f, g, h, i, j];
        }
        let mut ids = Self { text: [b'0'; ID_LEN], month_start_ms: 0, next_month_ms: 0, counter: 0 };
        ids.write(0, &bytes);
        ids
    }

    /// The next id, for a message made at `now_ms` (ms since 1970).
    pub fn next(&mut self, now_ms: i64) -> &[u8; ID_LEN] {
        if now_ms < self.month_start_ms || now_ms >= self.next_month_ms {
            (self.month_start_ms, self.next_month_ms) = month_around(now_ms);
        }
        let since = u32::try_from(now_ms.saturating_sub(self.month_start_ms)).unwrap_or(u32::MAX);
        let [a, b, c, d] = since.to_be_bytes();
        let [e, f] = self.counter.to_be_bytes();
        self.counter = self.counter.wrapping_add(1);
        self.write(20, &[a, b, c, d, e, f]);
        &self.text
    }

    fn write(&mut self, at: usize, bytes: &[u8]) {
        let Some(target) = self.text.get_mut(at..) else { return };
        for (pair, byte) in target.chunks_exact_mut(2).zip(bytes) {
            let digit = |nibble: u8| HEX.get(usize::from(nibble)).copied().unwrap_or(b'0');
            pair.copy_from_slice(&[digit(byte >> 4), digit(byte & 15)]);
        }
    }
}

/// Start of the month (UTC) around a time, and of the next one, in ms since 1970.
fn month_around(now_ms: i64) -> (i64, i64) {
    const DAY_MS: i64 = 86_400_000;
    let days = now_ms.div_euclid(DAY_MS);
    let (year, month, _) = date_of(days);
    let first = days_of(year, month, 1);
    let next = if month == 12 { days_of(year.saturating_add(1), 1, 1) } else { days_of(year, month + 1, 1) };
    (first.saturating_mul(DAY_MS), next.saturating_mul(DAY_MS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_have_the_java_form() {
        let mut ids = UniqueIds::new(Ipv4Addr::new(127, 0, 0, 1), 0x0001_ABCD, 0x1234_5678);
        // 2026-11-23T07:30:00Z is 1927800000 ms after the month's start.
        let now = 1_795_419_000_000;
        assert_eq!(ids.next(now), b"7F000001ABCD1234567872E7E4C00000");
        assert_eq!(ids.next(now), b"7F000001ABCD1234567872E7E4C00001");
    }

    #[test]
    fn months_of_known_dates() {
        // (a time, start of its month, start of the next)
        let cases = [
            (1_795_419_000_000, 1_793_491_200_000, 1_796_083_200_000), // 2026-11-23
            (1_709_164_800_000, 1_706_745_600_000, 1_709_251_200_000), // 2024-02-29
            (1_677_628_799_999, 1_675_209_600_000, 1_677_628_800_000), // 2023-02-28
            (951_782_400_000, 949_363_200_000, 951_868_800_000),       // 2000-02-29
            (1_735_689_599_999, 1_733_011_200_000, 1_735_689_600_000), // 2024-12-31
            (1_735_689_600_000, 1_735_689_600_000, 1_738_368_000_000), // 2025-01-01
        ];
        for (now, start, next) in cases {
            assert_eq!(month_around(now), (start, next), "{now}");
        }
    }
}
