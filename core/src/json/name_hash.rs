//! A hash of members' names that costs a few nanoseconds.

use std::hash::Hasher;

/// Takes eight bytes at a time. It withstands no attacks, so whoever uses it bounds what a collision can cost.
#[derive(Default)]
pub(crate) struct NameHasher(u64);

impl NameHasher {
    /// The hash of one name.
    pub(crate) fn hash(name: &[u8]) -> u64 {
        let mut hasher = Self::default();
        hasher.write(name);
        hasher.finish()
    }

    fn add(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

impl Hasher for NameHasher {
    fn finish(&self) -> u64 {
        self.0 ^ self.0 >> 32
    }

    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.add(u64::from_le_bytes(*word));
        }
        let mut last = [0; 8];
        if let Some(last) = last.get_mut(..rest.len()) {
            last.copy_from_slice(rest);
        }
        self.add(u64::from_le_bytes(last));
    }

    fn write_usize(&mut self, number: usize) {
        self.add(u64::try_from(number).unwrap_or(u64::MAX));
    }
}
