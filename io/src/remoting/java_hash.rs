//! Java's hash code of a text, by which clients choose queues and brokers know tags.

/// `String.hashCode()`: over UTF-16 code units, wrapping around.
#[must_use]
pub fn java_hash(text: &str) -> i32 {
    text.encode_utf16().fold(0i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_of_a_java_machine() {
        for (text, hash) in [("", 0), ("abc", 96354), ("order-1", -1_207_111_310), ("polygenelubricants", i32::MIN)] {
            assert_eq!(java_hash(text), hash, "{text}");
        }
        assert_eq!(java_hash("Aa"), java_hash("BB"));
    }
}
