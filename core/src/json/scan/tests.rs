use proptest::prelude::*;

use super::super::skip::skip_value;
use super::*;
use crate::testing::json::json_text;

/// Where a string of these bytes ends, looked at byte by byte.
fn naive_plain_end<const CHECKED: bool>(text: &[u8], at: usize) -> usize {
    let special = |byte: &u8| matches!(byte, b'"' | b'\\') || CHECKED && *byte < b' ';
    (at..text.len()).find(|place| special(&text[*place])).unwrap_or(text.len())
}

#[test]
fn plain_parts_of_every_length_end_where_they_end() {
    for len in (0..90).chain([127, 128, 129, 1000]) {
        for behind in [0, 1, 15, 16, 40] {
            for byte in [b'"', b'\\', 0, 0x1f, 0x7f, 0x80, 0xff] {
                let text = [&vec![b'x'; len + 3], &[byte][..], &vec![b'y'; behind]].concat();
                for at in 0..3 {
                    assert_eq!(plain_end::<true>(&text, at), naive_plain_end::<true>(&text, at), "{len} {byte}");
                    assert_eq!(plain_end::<false>(&text, at), naive_plain_end::<false>(&text, at), "{len} {byte}");
                }
            }
        }
    }
    assert_eq!(plain_end::<true>(b"x", 5), 5, "behind the end nothing is found");
}

#[test]
fn containers_of_every_length_are_skipped() {
    for len in 0..70 {
        for inner in ["x", "[", "}", "\\\"", "\\\\", "{\\\"]", "é"] {
            let text = format!(r#"[{{"a{0}":"{inner}"}},"{inner}{0}",[[]],"{0}{inner}"] ]"#, "b".repeat(len));
            assert_eq!(skip_value(text.as_bytes(), 0), text.len() - 2, "{text}");
            assert_eq!(skip_value(text.as_bytes(), 1), value_end(text.as_bytes(), 1, |_| {}).unwrap(), "{text}");
        }
    }
}

proptest! {
    #[test]
    fn what_is_skipped_is_what_was_checked(text in json_text()) {
        let text = text.as_bytes();
        let end = value_end(text, 0, |_| {}).unwrap();
        let start = skip_blanks(text, 0);
        for behind in ["", "]", ",\"}}", "                    "] {
            prop_assert_eq!(skip_value(&[&text[..end], behind.as_bytes()].concat(), start), end);
        }
    }

    #[test]
    fn strings_end_where_they_end(text in prop::collection::vec(prop::sample::select(b"ab\"\\\x1f\x80 ".to_vec()), 0..100)) {
        for at in 0..text.len() {
            prop_assert_eq!(plain_end::<true>(&text, at), naive_plain_end::<true>(&text, at));
            prop_assert_eq!(plain_end::<false>(&text, at), naive_plain_end::<false>(&text, at));
        }
    }
}
