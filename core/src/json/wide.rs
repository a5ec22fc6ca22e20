//! Sixteen bytes at a time: where the plain part of a string ends, and what opens or closes.
//!
//! On x86-64 by SSE2, which every such processor has; elsewhere by words of eight bytes, or byte by byte.

/// Bytes that are looked at in one step.
pub(super) const STEP_BYTES: usize = 16;

/// Place of the first byte that is a quote, a backslash or, with `CHECKED`, a control character, if one is.
#[inline(always)]
pub(super) fn first_special<const CHECKED: bool>(bytes: &[u8; STEP_BYTES]) -> Option<usize> {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: SSE2 belongs to x86-64 itself.
    let place = unsafe { sse2::first_special::<CHECKED>(bytes) };
    #[cfg(not(target_arch = "x86_64"))]
    let place = words::first_special::<CHECKED>(bytes);
    place
}

/// What stands in sixteen bytes, a bit each, the first byte's lowest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Marks {
    pub quotes: u32,
    pub backslashes: u32,
    /// Brackets and braces that open.
    pub opening: u32,
    /// Those that close.
    pub closing: u32,
}

/// Looks at sixteen bytes.
#[inline(always)]
pub(super) fn marks(bytes: &[u8; STEP_BYTES]) -> Marks {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: SSE2 belongs to x86-64 itself.
    let marks = unsafe { sse2::marks(bytes) };
    #[cfg(not(target_arch = "x86_64"))]
    let marks = words::marks(bytes);
    marks
}

/// Whether no byte has its high bit set.
#[inline]
pub(super) fn is_ascii(text: &[u8]) -> bool {
    const HIGHS: u128 = u128::from_ne_bytes([0x80; STEP_BYTES]);
    // The last step overlaps the one before it.
    let Some(last) = text.last_chunk() else { return text.is_ascii() };
    let (steps, _) = text.as_chunks();
    steps.iter().chain([last]).fold(0, |all, bytes| all | u128::from_ne_bytes(*bytes)) & HIGHS == 0
}

#[cfg(target_arch = "x86_64")]
mod sse2 {
    use std::arch::x86_64::{
        __m128i, _mm_cmpeq_epi8, _mm_loadu_si128, _mm_min_epu8, _mm_movemask_epi8, _mm_or_si128, _mm_set1_epi8,
    };

    use super::{Marks, STEP_BYTES};

    #[target_feature(enable = "sse2")]
    #[inline]
    pub(super) fn first_special<const CHECKED: bool>(bytes: &[u8; STEP_BYTES]) -> Option<usize> {
        let all = load(bytes);
        let mut found = _mm_or_si128(equal(all, b'"'), equal(all, b'\\'));
        if CHECKED {
            // What the lesser of itself and 0x1f leaves as it is.
            let controls = _mm_cmpeq_epi8(_mm_min_epu8(all, _mm_set1_epi8(0x1f)), all);
            found = _mm_or_si128(found, controls);
        }
        first(found)
    }

    #[target_feature(enable = "sse2")]
    #[inline]
    pub(super) fn marks(bytes: &[u8; STEP_BYTES]) -> Marks {
        let all = load(bytes);
        // One bit is between a bracket and its brace.
        let braces = _mm_or_si128(all, _mm_set1_epi8(0x20));
        Marks {
            quotes: bits(equal(all, b'"')),
            backslashes: bits(equal(all, b'\\')),
            opening: bits(equal(braces, b'{')),
            closing: bits(equal(braces, b'}')),
        }
    }

    #[target_feature(enable = "sse2")]
    #[inline]
    fn load(bytes: &[u8; STEP_BYTES]) -> __m128i {
        // SAFETY: reads sixteen bytes, which the array has, from any alignment.
        unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) }
    }

    #[target_feature(enable = "sse2")]
    #[inline]
    fn equal(all: __m128i, byte: u8) -> __m128i {
        _mm_cmpeq_epi8(all, _mm_set1_epi8(byte.cast_signed()))
    }

    /// The first byte that is not zero, of bytes that are all ones or zero.
    #[target_feature(enable = "sse2")]
    #[inline]
    fn first(found: __m128i) -> Option<usize> {
        let bits = bits(found);
        (bits != 0).then(|| bits.trailing_zeros() as usize)
    }

    /// A bit for each of these bytes.
    #[target_feature(enable = "sse2")]
    #[inline]
    fn bits(found: __m128i) -> u32 {
        _mm_movemask_epi8(found).cast_unsigned()
    }
}

/// The same without vectors.
#[cfg(any(test, not(target_arch = "x86_64")))]
mod words {
    use super::{Marks, STEP_BYTES};
    use crate::json::scan::special;

    pub(super) fn first_special<const CHECKED: bool>(bytes: &[u8; STEP_BYTES]) -> Option<usize> {
        let mut at = 0usize;
        for eight in bytes.as_chunks::<8>().0 {
            let found = special::<CHECKED>(u64::from_le_bytes(*eight));
            if found != 0 {
                return Some(at.wrapping_add(found.trailing_zeros() as usize / 8));
            }
            at = at.wrapping_add(8);
        }
        None
    }

    pub(super) fn marks(bytes: &[u8; STEP_BYTES]) -> Marks {
        let bits =
            |wanted: fn(u8) -> bool| bytes.iter().rev().fold(0, |bits, byte| bits << 1 | u32::from(wanted(*byte)));
        Marks {
            quotes: bits(|byte| byte == b'"'),
            backslashes: bits(|byte| byte == b'\\'),
            opening: bits(|byte| matches!(byte, b'{' | b'[')),
            closing: bits(|byte| matches!(byte, b'}' | b']')),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn naive(bytes: &[u8; STEP_BYTES], wanted: impl Fn(u8) -> bool) -> Option<usize> {
        bytes.iter().position(|byte| wanted(*byte))
    }

    fn check(bytes: [u8; STEP_BYTES]) {
        let unchecked = naive(&bytes, |byte| matches!(byte, b'"' | b'\\'));
        let checked = naive(&bytes, |byte| matches!(byte, b'"' | b'\\' | 0..=0x1f));
        assert_eq!((first_special::<false>(&bytes), words::first_special::<false>(&bytes)), (unchecked, unchecked));
        assert_eq!((first_special::<true>(&bytes), words::first_special::<true>(&bytes)), (checked, checked));
        let bits = |wanted: &[u8]| {
            (0..STEP_BYTES).filter(|at| wanted.contains(&bytes[*at])).fold(0, |bits, at| bits | 1 << at)
        };
        let expected =
            Marks { quotes: bits(b"\""), backslashes: bits(b"\\"), opening: bits(b"{["), closing: bits(b"}]") };
        assert_eq!((marks(&bytes), words::marks(&bytes)), (expected, expected));
    }

    #[test]
    fn every_byte_is_told_at_every_place() {
        for byte in 0..=u8::MAX {
            for filler in [b'a', 0x20, 0x21, 0x23, 0x5b ^ 0x20, 0x80, 0xff] {
                for place in 0..STEP_BYTES {
                    let mut bytes = [filler; STEP_BYTES];
                    bytes[place] = byte;
                    check(bytes);
                }
            }
        }
    }

    #[test]
    fn one_high_bit_is_seen_wherever_it_is() {
        for len in 0..70 {
            let mut text = vec![0x7f; len];
            assert!(is_ascii(&text), "{len}");
            for at in 0..len {
                text[at] = 0x80;
                assert!(!is_ascii(&text), "{len} {at}");
                text[at] = 0x7f;
            }
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_told(bytes: [u8; STEP_BYTES]) {
            check(bytes);
        }

        #[test]
        fn bytes_that_matter_are_told(
            bytes in prop::array::uniform16(prop::sample::select(b"\"\\{}[]\x00\x1f \x7f\x80az".to_vec())),
        ) {
            check(bytes);
        }
    }
}
