//! Just enough of the remoting frame: a request's fields found by one scan of its header, and answers written by hand.
//! Apart from the worker's own codec, so that neither can hide a mistake of the other.

use std::io::Write;

/// Bytes of the length field and of the header-length field.
pub const PREFIX_BYTES: usize = 8;
/// Most fields of a header that are looked at.
const FIELDS_MAX: usize = 40;

/// A request as it lies in the read buffer.
pub struct Request<'b> {
    fields: [(&'b [u8], &'b [u8]); FIELDS_MAX],
    used: usize,
    /// Body.
    pub body: &'b [u8],
}

impl<'b> Request<'b> {
    /// Cuts the first frame off a buffer, if it is whole: the request, and the bytes of the frame.
    ///
    /// # Panics
    /// On bytes that are no frame with a JSON header.
    pub fn cut(buffer: &'b [u8]) -> Option<(Self, usize)> {
        let whole = whole_len(buffer)?;
        if buffer.len() < whole {
            return None;
        }
        assert_eq!(buffer[4], 0, "the null broker reads JSON headers only");
        let header_len = u32::from_be_bytes([0, buffer[5], buffer[6], buffer[7]]) as usize;
        let (header, body) = buffer[PREFIX_BYTES..whole].split_at(header_len);
        let mut request = Self { fields: [(b"", b""); FIELDS_MAX], used: 0, body };
        request.scan(header);
        Some((request, whole))
    }

    /// Names and scalar values of the header and of its `extFields`, which share no name.
    fn scan(&mut self, header: &'b [u8]) {
        let mut rest = header;
        while self.used < FIELDS_MAX {
            let Some(name) = take_text(&mut rest) else { return };
            let Some(colon) = rest.iter().position(|byte| !byte.is_ascii_whitespace()) else { return };
            if rest[colon] != b':' {
                continue;
            }
            rest = &rest[colon + 1..];
            let start = rest.iter().position(|byte| !byte.is_ascii_whitespace()).unwrap_or(0);
            rest = &rest[start..];
            let value = match rest.first() {
                Some(b'"') => take_text(&mut rest).unwrap_or_default(),
                Some(b'{') => {
                    rest = &rest[1..];
                    continue;
                }
                _ => {
                    let end = rest.iter().position(|byte| matches!(byte, b',' | b'}')).unwrap_or(rest.len());
                    let (value, after) = rest.split_at(end);
                    rest = after;
                    value.trim_ascii()
                }
            };
            self.fields[self.used] = (name, value);
            self.used += 1;
        }
    }

    /// A field, or an empty text. Escapes stay as they are: the names that matter have none.
    pub fn text(&self, name: &str) -> &'b [u8] {
        let found = self.fields[..self.used].iter().find(|(key, _)| *key == name.as_bytes());
        found.map_or(&b""[..], |(_, value)| value)
    }

    /// A number, or 0.
    pub fn number(&self, name: &str) -> i64 {
        let text = self.text(name);
        let (negative, digits) = text.strip_prefix(b"-").map_or((false, text), |digits| (true, digits));
        let value = digits.iter().fold(0_i64, |value, digit| value * 10 + i64::from(digit.wrapping_sub(b'0') % 10));
        if negative { -value } else { value }
    }
}

/// Bytes of the frame that starts a buffer, once they can be told.
pub fn whole_len(buffer: &[u8]) -> Option<usize> {
    let length = buffer.first_chunk::<4>()?;
    (buffer.len() >= PREFIX_BYTES).then(|| u32::from_be_bytes(*length) as usize + 4)
}

/// Takes the next quoted text, without its quotes.
fn take_text<'b>(rest: &mut &'b [u8]) -> Option<&'b [u8]> {
    let open = rest.iter().position(|byte| *byte == b'"')?;
    let text = &rest[open + 1..];
    let mut end = 0;
    while *text.get(end)? != b'"' {
        end += if text[end] == b'\\' { 2 } else { 1 };
    }
    *rest = &text[end + 1..];
    Some(&text[..end])
}

/// Writes an answer's prefix and header; `body_len` bytes are to follow.
pub fn put_answer(out: &mut Vec<u8>, code: i32, opaque: i64, fields: &[(&str, i64)], body_len: usize) {
    let mark = out.len();
    out.extend_from_slice(&[0; PREFIX_BYTES]);
    write!(out, r#"{{"code":{code},"flag":1,"language":"JAVA","opaque":{opaque},"version":513,"#).unwrap();
    out.extend_from_slice(br#""serializeTypeCurrentRPC":"JSON","extFields":{"#);
    for (index, (name, value)) in fields.iter().enumerate() {
        write!(out, r#"{}"{name}":"{value}""#, if index == 0 { "" } else { "," }).unwrap();
    }
    out.extend_from_slice(b"}}");
    let header_len = u32::try_from(out.len() - mark - PREFIX_BYTES).unwrap();
    let total = header_len + 4 + u32::try_from(body_len).unwrap();
    out[mark..mark + 4].copy_from_slice(&total.to_be_bytes());
    out[mark + 4..mark + 8].copy_from_slice(&header_len.to_be_bytes());
}

/// Writes a request without an answer: members of the group came or went.
pub fn put_members_changed(out: &mut Vec<u8>, group: &str) {
    let header = serde_json::json!({
        "code": 40, "flag": 2, "language": "JAVA", "opaque": 0, "version": 477, "extFields": { "consumerGroup": group }
    });
    let header = header.to_string();
    out.extend_from_slice(&(header.len() as u32 + 4).to_be_bytes());
    out.extend_from_slice(&(header.len() as u32).to_be_bytes());
    out.extend_from_slice(header.as_bytes());
}

#[cfg(test)]
#[allow(
    dead_code,
    unused_imports,
    reason = "the bench target is built for tests without a harness that would run them"
)]
mod tests {
    use super::*;

    fn frame(header: &str, body: &[u8]) -> Vec<u8> {
        let mut frame = u32::try_from(4 + header.len() + body.len()).unwrap().to_be_bytes().to_vec();
        frame.extend_from_slice(&u32::try_from(header.len()).unwrap().to_be_bytes());
        frame.extend_from_slice(header.as_bytes());
        frame.extend_from_slice(body);
        frame
    }

    #[test]
    fn fields_are_found_wherever_they_stand() {
        let header = r#"{ "extFields" : {"e":"3","i":"a\u0001\"b","offset":"-7"}, "code":320,"flag": 0 , "opaque":42}"#;
        let bytes = frame(header, b"body");
        let (request, len) = Request::cut(&bytes).unwrap();
        let numbers = ["code", "opaque", "flag", "e", "offset", "absent"].map(|name| request.number(name));
        assert_eq!(numbers, [320, 42, 0, 3, -7, 0]);
        assert_eq!((request.body, len), (&b"body"[..], bytes.len()));
        assert_eq!(request.text("i"), br#"a\u0001\"b"#);
    }

    #[test]
    fn a_frame_is_cut_when_it_is_whole() {
        let bytes = frame("{}", b"body");
        for len in 0..bytes.len() {
            assert!(Request::cut(&bytes[..len]).is_none(), "{len} of {} bytes", bytes.len());
        }
        let two = [&bytes[..], &bytes[..]].concat();
        assert_eq!(Request::cut(&two).unwrap().1, bytes.len());
    }

    #[test]
    fn the_workers_own_codec_reads_the_answers() {
        let mut out = Vec::new();
        put_answer(&mut out, 19, 7, &[("minOffset", 0), ("nextBeginOffset", 12)], 0);
        let mut decoder = rmqc_io::remoting::frame::FrameDecoder::default();
        decoder.read_target().0.extend_from_slice(&out);
        let frame = decoder.next_frame().unwrap().unwrap();
        let header = rmqc_io::remoting::header::Header::decode(frame.form, &frame.header).unwrap();
        assert_eq!((header.code, header.opaque, header.is_response()), (19, 7, true));
        assert_eq!(header.fields.number("nextBeginOffset"), Some(12));
    }
}
