//! Headers in JSON as servers write them: no blanks, no escapes, members that are known or flat. Everything else is left to
//! the reader of any JSON, so this one says nothing about errors.

use std::ops::Range;

use bytes::Bytes;
use memchr::memchr2;

use super::{Fields, Header, Text};

/// The header; none if it is not of that plain kind.
pub(super) fn decode(bytes: &Bytes) -> Option<Header> {
    if !bytes.is_ascii() {
        return None;
    }
    let mut reader = Reader { text: bytes, at: 0 };
    let mut header = Header::default();
    let (mut seen, mut has_code) = (0u8, false);
    reader.take(b'{')?;
    loop {
        let name = reader.string()?;
        reader.take(b':')?;
        let member = match bytes.get(name)? {
            b"code" => {
                has_code = true;
                header.code = reader.number()?;
                1
            }
            b"flag" => {
                header.flag = reader.number()?;
                2
            }
            b"opaque" => {
                header.opaque = reader.number()?;
                4
            }
            b"version" => {
                header.version = reader.number()?;
                8
            }
            b"remark" => {
                header.remark = reader.string_or_null()?.and_then(|remark| text(bytes, remark)).map(str::to_owned);
                16
            }
            b"extFields" => {
                header.fields = Fields { raw: bytes.clone(), entries: reader.fields()? };
                32
            }
            // Of no meaning here, as long as it is as flat as it should be.
            _ => {
                reader.string()?;
                0
            }
        };
        // Two members of one name are an error to the other reader.
        if seen & member != 0 {
            return None;
        }
        seen |= member;
        match reader.next()? {
            b',' => {}
            b'}' => break,
            _ => return None,
        }
    }
    (has_code && reader.at == bytes.len()).then_some(header)
}

fn text(bytes: &[u8], range: Range<usize>) -> Option<&str> {
    std::str::from_utf8(bytes.get(range)?).ok()
}

struct Reader<'b> {
    text: &'b [u8],
    at: usize,
}

impl Reader<'_> {
    fn next(&mut self) -> Option<u8> {
        let byte = *self.text.get(self.at)?;
        self.at = self.at.saturating_add(1);
        Some(byte)
    }

    fn take(&mut self, expected: u8) -> Option<()> {
        (self.next()? == expected).then_some(())
    }

    /// Where a string's text is, without its quotes.
    fn string(&mut self) -> Option<Range<usize>> {
        self.take(b'"')?;
        let start = self.at;
        let rest = self.text.get(start..)?;
        let len = memchr2(b'"', b'\\', rest)?;
        let inside = rest.get(..len)?;
        if rest.get(len) != Some(&b'"') || inside.iter().any(|byte| *byte < 0x20) {
            return None;
        }
        let end = start.saturating_add(len);
        self.at = end.saturating_add(1);
        Some(start..end)
    }

    /// The same; nothing inside for null.
    fn string_or_null(&mut self) -> Option<Option<Range<usize>>> {
        if self.text.get(self.at..)?.starts_with(b"null") {
            self.at = self.at.saturating_add(4);
            return Some(None);
        }
        self.string().map(Some)
    }

    /// A whole number of at most nine digits and so surely of 32 bits, or eleven characters that are.
    fn number(&mut self) -> Option<i32> {
        let rest = self.text.get(self.at..)?;
        let len = rest.iter().take_while(|byte| byte.is_ascii_digit() || **byte == b'-').count();
        let digits = rest.get(..len)?;
        let unsigned = digits.strip_prefix(b"-").unwrap_or(digits);
        // Zeroes in front are no JSON, and -0 is a fraction to some.
        if unsigned.first() == Some(&b'0') && digits.len() > 1 {
            return None;
        }
        self.at = self.at.saturating_add(len);
        std::str::from_utf8(digits).ok()?.parse().ok()
    }

    fn fields(&mut self) -> Option<Vec<(Text, Text)>> {
        self.take(b'{')?;
        let mut entries = Vec::with_capacity(10);
        if self.text.get(self.at) == Some(&b'}') {
            self.at = self.at.saturating_add(1);
            return Some(entries);
        }
        loop {
            let name = self.string()?;
            self.take(b':')?;
            let value = self.string()?;
            entries.push((Text::Part(name), Text::Part(value)));
            match self.next()? {
                b',' => {}
                b'}' => return Some(entries),
                _ => return None,
            }
        }
    }
}
