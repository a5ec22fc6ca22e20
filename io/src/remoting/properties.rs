//! A message's properties block: `key 0x01 value 0x02 key 0x01 value 0x02 …`, without escapes.

use bytes::{BufMut, BytesMut};

/// Between a key and its value.
pub const NAME_END: u8 = 1;
/// After a value.
pub const VALUE_END: u8 = 2;

/// Index keys of a message, separated by blanks.
pub const KEYS: &str = "KEYS";
/// Tag of a message.
pub const TAGS: &str = "TAGS";
/// The client's id of a message.
pub const UNIQ_KEY: &str = "UNIQ_KEY";
/// The record's time, in ms since 1970.
pub const CONNECT_TIMESTAMP: &str = "connect.timestamp";
/// Marks a message whose record has no value: its body is empty, and so is that of an empty text.
pub const TOMBSTONE: &str = "connect.tombstone";
/// Prefix of a record's other extensions.
pub const EXTENSION_PREFIX: &str = "connect-ext-";

/// A key or value that holds one of the two separators, which would change the meaning of the block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a property holds byte 0x01 or 0x02, which RocketMQ uses as a separator")]
pub struct SeparatorInside;

/// Appends a property.
///
/// # Errors
/// When key or value hold a separator; nothing is appended then.
pub fn put(out: &mut BytesMut, key: &[u8], value: &[u8]) -> Result<(), SeparatorInside> {
    let separates = |byte: &u8| *byte == NAME_END || *byte == VALUE_END;
    if key.iter().any(separates) || value.iter().any(separates) {
        return Err(SeparatorInside);
    }
    out.put_slice(key);
    out.put_u8(NAME_END);
    out.put_slice(value);
    out.put_u8(VALUE_END);
    Ok(())
}

/// The value of a property.
#[must_use]
pub fn find<'p>(block: &'p [u8], key: &str) -> Option<&'p [u8]> {
    let [value] = find_each(block, [key]);
    value
}

/// The values of properties, each the first of its name, in one pass over the block, up to the last of them.
#[inline]
#[must_use]
pub fn find_each<'p, const N: usize>(block: &'p [u8], keys: [&str; N]) -> [Option<&'p [u8]>; N] {
    let (mut values, mut missing) = ([None; N], N);
    let mut rest = block;
    while !rest.is_empty() && missing > 0 {
        let end = memchr::memchr(VALUE_END, rest).unwrap_or(rest.len());
        let (entry, behind) = rest.split_at_checked(end).unwrap_or((rest, &[]));
        rest = behind.get(1..).unwrap_or_default();
        for (key, value) in keys.iter().zip(&mut values) {
            // Behind the name of another there is seldom a separator at this very place: one look, no comparison.
            if entry.get(key.len()) == Some(&NAME_END)
                && value.is_none()
                && let Some([NAME_END, found @ ..]) = entry.strip_prefix(key.as_bytes())
            {
                *value = Some(found);
                missing = missing.saturating_sub(1);
            }
        }
    }
    values
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The same, entry by entry.
    fn naive<'p>(block: &'p [u8], key: &str) -> Option<&'p [u8]> {
        block
            .split(|byte| *byte == VALUE_END)
            .find_map(|entry| entry.strip_prefix(key.as_bytes())?.strip_prefix(&[NAME_END]))
    }

    proptest! {
        #[test]
        fn any_block_is_searched_as_entry_by_entry(block in proptest::collection::vec(prop_oneof![
            Just(NAME_END), Just(VALUE_END), Just(b'a'), Just(b'b'), any::<u8>()
        ], 0..80)) {
            let keys = ["a", "ab", "", "b", "aaa"];
            prop_assert_eq!(find_each(&block, keys), keys.map(|key| naive(&block, key)));
        }
    }

    #[test]
    fn separators_are_refused_and_blocks_searched() {
        let mut out = BytesMut::new();
        put(&mut out, b"a", b"1").unwrap();
        put(&mut out, b"b", b"").unwrap();
        assert_eq!(put(&mut out, b"c", b"x\x02y"), Err(SeparatorInside));
        assert_eq!(&out[..], b"a\x011\x02b\x01\x02");
        assert_eq!((find(&out, "b"), find(&out, "c")), (Some(&b""[..]), None));
        for (block, found) in [
            (&b"ab\x01no\x02a\x01yes\x02a\x01second"[..], [Some(&b"yes"[..]), None]),
            (b"a\x01open, with \x01 inside", [Some(b"open, with \x01 inside"), None]),
            (b"\x02\x02b\x01\x02a\x02", [None, Some(b"")]),
            (b"", [None, None]),
        ] {
            assert_eq!(find_each(block, ["a", "b"]), found);
        }
    }
}
