//! The header of a frame, in its two forms: JSON and the binary one that the Java side calls ROCKETMQ.
//!
//! Requests are written as JSON, which every server accepts; both forms are read. Field values stay slices of the
//! received header.

mod plain;

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use bytes::{BufMut, Bytes, BytesMut};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};

/// Client version announced in requests: from 401 on, name servers answer in strict JSON.
pub const CLIENT_VERSION: i32 = 477;
/// Flag bit of responses.
pub const FLAG_RESPONSE: i32 = 1;
/// Flag bit of requests that want no response.
pub const FLAG_ONEWAY: i32 = 2;

/// The form of a header, as the frame's fifth byte says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderForm {
    /// One JSON object.
    Json,
    /// The binary form.
    Binary,
}

/// Why a header can't be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed {form:?} header: {reason}")]
pub struct HeaderError {
    form: HeaderForm,
    reason: String,
}

/// The fields of a header by name; values are texts, also where they mean numbers.
#[derive(Clone, Default)]
pub struct Fields {
    /// The header as received, of which most texts are parts: one handle for all of them.
    raw: Bytes,
    entries: Vec<(Text, Text)>,
}

/// A name or a value.
#[derive(Clone)]
enum Text {
    /// A part of the header as received.
    Part(Range<usize>),
    /// Something else.
    Own(Bytes),
}

impl Fields {
    fn bytes<'f>(&'f self, text: &'f Text) -> &'f [u8] {
        match text {
            Text::Part(range) => self.raw.get(range.clone()).unwrap_or_default(),
            Text::Own(bytes) => bytes,
        }
    }

    /// A field's text; `None` when absent or not UTF-8.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        let (_, value) = self.entries.iter().find(|(key, _)| self.bytes(key) == name.as_bytes())?;
        std::str::from_utf8(self.bytes(value)).ok()
    }

    /// A field's number.
    #[must_use]
    pub fn number(&self, name: &str) -> Option<i64> {
        self.get(name)?.trim().parse().ok()
    }

    /// All fields as received.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.entries.iter().map(|(key, value)| (self.bytes(key), self.bytes(value)))
    }

    /// Adds a field.
    pub fn push(&mut self, name: &'static str, value: impl Into<Bytes>) {
        self.entries.push((Text::Own(Bytes::from_static(name.as_bytes())), Text::Own(value.into())));
    }
}

impl PartialEq for Fields {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Fields {}

impl fmt::Debug for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        f.debug_map().entries(self.iter().map(|(key, value)| (text(key), text(value)))).finish()
    }
}

/// A header as received.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// Request code, or response code in a response.
    pub code: i32,
    /// Flag bits.
    pub flag: i32,
    /// Request id.
    pub opaque: i32,
    /// The sender's version.
    pub version: i32,
    /// Error text of responses. Never parse it.
    pub remark: Option<String>,
    /// Fields.
    pub fields: Fields,
}

impl Header {
    /// Whether this answers a request.
    #[must_use]
    pub fn is_response(&self) -> bool {
        self.flag & FLAG_RESPONSE != 0
    }

    /// Whether no response is wanted.
    #[must_use]
    pub fn is_oneway(&self) -> bool {
        self.flag & FLAG_ONEWAY != 0
    }

    /// Reads a header.
    ///
    /// # Errors
    /// Says what is malformed. Never panics and never allocates more than a small multiple of the header's length.
    pub fn decode(form: HeaderForm, bytes: &Bytes) -> Result<Self, HeaderError> {
        match form {
            HeaderForm::Json => decode_json(bytes),
            HeaderForm::Binary => decode_binary(bytes),
        }
    }
}

#[derive(serde::Deserialize)]
struct JsonHeader<'a> {
    code: i32,
    #[serde(default)]
    flag: i32,
    #[serde(default)]
    opaque: i32,
    #[serde(default)]
    version: i32,
    #[serde(default, borrow)]
    remark: Option<Cow<'a, str>>,
    #[serde(default, borrow, rename = "extFields")]
    fields: Option<JsonFields<'a>>,
}

/// Fields as they stand in the JSON text; scalars that are not texts are kept as their text.
struct JsonFields<'a>(Vec<(JsonText<'a>, JsonText<'a>)>);

/// A JSON scalar as text, borrowed from the input where it has no escapes.
struct JsonText<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for JsonFields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FieldsVisitor;
        impl<'de> Visitor<'de> for FieldsVisitor {
            type Value = JsonFields<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of texts")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields = Vec::with_capacity(8);
                while let Some((key, value)) = map.next_entry::<JsonText<'de>, JsonText<'de>>()? {
                    fields.push((key, value));
                }
                Ok(JsonFields(fields))
            }
        }
        deserializer.deserialize_map(FieldsVisitor)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for JsonText<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;
        impl<'de> Visitor<'de> for TextVisitor {
            type Value = JsonText<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text, number, truth value or null")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(JsonText(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(JsonText(Cow::Owned(text.to_owned())))
            }
            fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
                Ok(JsonText(Cow::Owned(value.to_string())))
            }
            fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
                Ok(JsonText(Cow::Owned(value.to_string())))
            }
            fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
                Ok(JsonText(Cow::Owned(value.to_string())))
            }
            fn visit_f64<E>(self, value: f64) -> Result<Self::Value, E> {
                Ok(JsonText(Cow::Owned(value.to_string())))
            }
            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(JsonText(Cow::Borrowed("")))
            }
        }
        deserializer.deserialize_any(TextVisitor)
    }
}

fn decode_json(bytes: &Bytes) -> Result<Header, HeaderError> {
    match plain::decode(bytes) {
        Some(header) => Ok(header),
        None => decode_any_json(bytes),
    }
}

/// Reads whatever JSON there may be.
fn decode_any_json(bytes: &Bytes) -> Result<Header, HeaderError> {
    let malformed = |reason: String| HeaderError { form: HeaderForm::Json, reason };
    let header: JsonHeader<'_> = serde_json::from_slice(bytes).map_err(|error| malformed(error.to_string()))?;
    let keep = |text: JsonText<'_>| {
        Text::Own(match text.0 {
            Cow::Borrowed(text) => bytes.slice_ref(text.as_bytes()),
            Cow::Owned(text) => Bytes::from(text),
        })
    };
    let fields = header.fields.map_or_else(Vec::new, |fields| fields.0);
    let entries = fields.into_iter().map(|(key, value)| (keep(key), keep(value))).collect();
    Ok(Header {
        code: header.code,
        flag: header.flag,
        opaque: header.opaque,
        version: header.version,
        remark: header.remark.map(Cow::into_owned),
        fields: Fields { raw: Bytes::new(), entries },
    })
}

/// Goes through a header, never past its end.
struct Cursor<'b> {
    bytes: &'b [u8],
    at: usize,
    end: usize,
}

impl<'b> Cursor<'b> {
    fn take(&mut self, len: usize) -> Result<Range<usize>, HeaderError> {
        let left = self.end.saturating_sub(self.at);
        if len > left {
            let reason = format!("{len} bytes announced, {left} left");
            return Err(HeaderError { form: HeaderForm::Binary, reason });
        }
        let start = self.at;
        self.at = start.saturating_add(len);
        Ok(start..self.at)
    }

    fn part(&mut self, len: usize) -> Result<&'b [u8], HeaderError> {
        let range = self.take(len)?;
        Ok(self.bytes.get(range).unwrap_or_default())
    }

    fn number<const N: usize>(&mut self) -> Result<[u8; N], HeaderError> {
        let mut number = [0; N];
        number.copy_from_slice(self.part(N)?);
        Ok(number)
    }

    fn length(&mut self) -> Result<usize, HeaderError> {
        let length = i32::from_be_bytes(self.number()?);
        usize::try_from(length)
            .map_err(|_| HeaderError { form: HeaderForm::Binary, reason: format!("negative length {length}") })
    }
}

fn decode_binary(bytes: &Bytes) -> Result<Header, HeaderError> {
    let mut cursor = Cursor { bytes, at: 0, end: bytes.len() };
    let code = i32::from(i16::from_be_bytes(cursor.number()?));
    let _language = cursor.take(1)?;
    let version = i32::from(i16::from_be_bytes(cursor.number()?));
    let opaque = i32::from_be_bytes(cursor.number()?);
    let flag = i32::from_be_bytes(cursor.number()?);
    let remark_len = cursor.length()?;
    let remark = cursor.part(remark_len)?;
    let fields_len = cursor.length()?;
    let range = cursor.take(fields_len)?;
    let mut entries = Cursor { bytes, at: range.start, end: range.end };
    let mut fields = Vec::with_capacity(8);
    while entries.at < entries.end {
        let key_len = usize::from(u16::from_be_bytes(entries.number()?));
        let key = entries.take(key_len)?;
        let value_len = entries.length()?;
        fields.push((Text::Part(key), Text::Part(entries.take(value_len)?)));
    }
    let remark = (!remark.is_empty()).then(|| String::from_utf8_lossy(remark).into_owned());
    Ok(Header { code, flag, opaque, version, remark, fields: Fields { raw: bytes.clone(), entries: fields } })
}

/// Writes one header as JSON: `open`, then fields, then `close`.
pub struct JsonHeaderWriter<'b> {
    out: &'b mut BytesMut,
    first: bool,
}

impl<'b> JsonHeaderWriter<'b> {
    /// Starts a header.
    pub fn open(out: &'b mut BytesMut, code: i32, opaque: i32, flag: i32) -> Self {
        out.put_slice(b"{\"code\":");
        put_decimal(out, i64::from(code));
        out.put_slice(b",\"flag\":");
        put_decimal(out, i64::from(flag));
        out.put_slice(b",\"language\":\"OTHER\",\"opaque\":");
        put_decimal(out, i64::from(opaque));
        out.put_slice(b",\"serializeTypeCurrentRPC\":\"JSON\",\"version\":");
        put_decimal(out, i64::from(CLIENT_VERSION));
        Self { out, first: true }
    }

    /// Adds the remark; before any field.
    pub fn remark(&mut self, remark: &str) {
        self.out.put_slice(b",\"remark\":\"");
        put_escaped(self.out, remark.as_bytes());
        self.out.put_u8(b'"');
    }

    /// Adds a text field.
    pub fn text(&mut self, name: &str, value: &[u8]) {
        self.name(name);
        put_escaped(self.out, value);
        self.out.put_u8(b'"');
    }

    /// Adds a number field.
    pub fn number(&mut self, name: &str, value: i64) {
        self.name(name);
        put_decimal(self.out, value);
        self.out.put_u8(b'"');
    }

    fn name(&mut self, name: &str) {
        self.out.put_slice(if self.first { b",\"extFields\":{\"" } else { b",\"" });
        self.first = false;
        put_escaped(self.out, name.as_bytes());
        self.out.put_slice(b"\":\"");
    }

    /// Ends the header.
    pub fn close(self) {
        self.out.put_slice(if self.first { b"}" } else { b"}}" });
    }
}

/// Writes a decimal number.
pub fn put_decimal(out: &mut BytesMut, value: i64) {
    let mut digits = [0u8; 20];
    let mut rest = value.unsigned_abs();
    let mut used = 0usize;
    for digit in digits.iter_mut().rev() {
        *digit = b'0'.wrapping_add(u8::try_from(rest % 10).unwrap_or(0));
        rest /= 10;
        used = used.wrapping_add(1);
        if rest == 0 {
            break;
        }
    }
    if value < 0 {
        out.put_u8(b'-');
    }
    out.put_slice(digits.get(digits.len().wrapping_sub(used)..).unwrap_or_default());
}

/// Writes text with the escapes that JSON demands: quote, backslash, control characters. Malformed UTF-8 becomes
/// U+FFFD, since a header must be text.
fn put_escaped(out: &mut BytesMut, text: &[u8]) {
    // Nearly all there is: texts of ASCII without anything to escape.
    if text.iter().all(|byte| matches!(*byte, 0x20 | 0x21 | 0x23..=0x5b | 0x5d..=0x7e)) {
        out.put_slice(text);
        return;
    }
    let lossy = String::from_utf8_lossy(text);
    let text = lossy.as_bytes();
    let plain = |byte: &u8| *byte >= 0x20 && *byte != b'"' && *byte != b'\\';
    let mut rest = text;
    loop {
        let run = rest.iter().position(|byte| !plain(byte)).unwrap_or(rest.len());
        let (head, tail) = rest.split_at(run);
        out.put_slice(head);
        let Some((special, tail)) = tail.split_first() else { return };
        match special {
            b'"' => out.put_slice(b"\\\""),
            b'\\' => out.put_slice(b"\\\\"),
            control => {
                let hex = |nibble: u8| {
                    if nibble < 10 { b'0'.wrapping_add(nibble) } else { b'a'.wrapping_add(nibble.wrapping_sub(10)) }
                };
                out.put_slice(b"\\u00");
                out.put_u8(hex(control >> 4));
                out.put_u8(hex(control & 15));
            }
        }
        rest = tail;
    }
}

/// Writes a header in the binary form. Codes outside 16 bits do not fit.
///
/// # Errors
/// When the code or a length does not fit its field.
pub fn encode_binary(header: &Header, out: &mut BytesMut) -> Result<(), HeaderError> {
    let unfit = |what: &str| HeaderError { form: HeaderForm::Binary, reason: format!("{what} does not fit") };
    out.put_i16(i16::try_from(header.code).map_err(|_| unfit("the code"))?);
    out.put_u8(7);
    out.put_i16(i16::try_from(header.version).map_err(|_| unfit("the version"))?);
    out.put_i32(header.opaque);
    out.put_i32(header.flag);
    let remark = header.remark.as_deref().unwrap_or_default();
    out.put_i32(i32::try_from(remark.len()).map_err(|_| unfit("the remark"))?);
    out.put_slice(remark.as_bytes());
    let mut fields = BytesMut::new();
    for (key, value) in header.fields.iter() {
        fields.put_u16(u16::try_from(key.len()).map_err(|_| unfit("a field's name"))?);
        fields.put_slice(key);
        fields.put_i32(i32::try_from(value.len()).map_err(|_| unfit("a field"))?);
        fields.put_slice(value);
    }
    out.put_i32(i32::try_from(fields.len()).map_err(|_| unfit("the fields"))?);
    out.put_slice(&fields);
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn json(header: &Header) -> Bytes {
        let mut out = BytesMut::new();
        let mut writer = JsonHeaderWriter::open(&mut out, header.code, header.opaque, header.flag);
        if let Some(remark) = &header.remark {
            writer.remark(remark);
        }
        for (key, value) in header.fields.iter() {
            writer.text(std::str::from_utf8(key).unwrap(), value);
        }
        writer.close();
        out.freeze()
    }

    #[test]
    fn a_java_answer_is_read() {
        let text = r#"{"code":0,"extFields":{"nextBeginOffset":"32","minOffset":"0","suggestWhichBrokerId":"0","x":7,"y":null},"flag":1,"language":"JAVA","opaque":12,"remark":"FOUND","serializeTypeCurrentRPC":"JSON","version":513,"new":[1,{}]}"#;
        let header = Header::decode(HeaderForm::Json, &Bytes::from_static(text.as_bytes())).unwrap();
        assert!(header.is_response() && !header.is_oneway());
        assert_eq!((header.code, header.opaque, header.version), (0, 12, 513));
        assert_eq!(header.fields.number("nextBeginOffset"), Some(32));
        assert_eq!(
            (header.fields.get("x"), header.fields.get("y"), header.fields.get("z")),
            (Some("7"), Some(""), None)
        );
    }

    #[test]
    fn answers_as_servers_write_them_are_read_the_quick_way() {
        for text in [
            r#"{"code":0,"extFields":{"nextBeginOffset":"32","suggestWhichBrokerId":"0","e":""},"flag":1,"language":"JAVA","opaque":12,"remark":"FOUND","serializeTypeCurrentRPC":"JSON","version":513}"#,
            r#"{"code":0,"flag":1,"language":"RUST","opaque":-7,"remark":null,"extFields":{}}"#,
        ] {
            let bytes = Bytes::from_static(text.as_bytes());
            assert_eq!(plain::decode(&bytes).unwrap(), decode_any_json(&bytes).unwrap());
        }
    }

    #[test]
    fn absent_and_null_members_are_fine() {
        for text in [r#"{"code":3}"#, r#"{"code":3,"extFields":null,"remark":null,"flag":1}"#] {
            let header = Header::decode(HeaderForm::Json, &Bytes::from_static(text.as_bytes())).unwrap();
            assert_eq!((header.code, header.remark), (3, None));
        }
    }

    #[test]
    fn decimals() {
        for value in [0, 1, -1, 10, 987_654_321, i64::MAX, i64::MIN] {
            let mut out = BytesMut::new();
            put_decimal(&mut out, value);
            assert_eq!(out, value.to_string().as_bytes());
        }
    }

    proptest! {
        #[test]
        fn both_forms_give_back_what_was_written(
            code in -30000i32..30000, flag in 0i32..4, opaque: i32, remark in proptest::option::of(".{1,40}"),
            pairs in proptest::collection::vec(("[a-zA-Z]{1,8}", "\\PC*|[\\x00-\\x1f\"\\\\]*"), 0..6),
        ) {
            let entries = pairs.into_iter().map(|(k, v)| (Text::Own(Bytes::from(k)), Text::Own(Bytes::from(v)))).collect();
            let fields = Fields { raw: Bytes::new(), entries };
            let header = Header { code, flag, opaque, version: CLIENT_VERSION, remark, fields };
            prop_assert_eq!(&Header::decode(HeaderForm::Json, &json(&header)).unwrap(), &header);
            let mut binary = BytesMut::new();
            encode_binary(&header, &mut binary).unwrap();
            prop_assert_eq!(Header::decode(HeaderForm::Binary, &binary.freeze()).unwrap(), header);
        }

        /// What the quick way reads, the other one reads alike.
        #[test]
        fn there_is_one_meaning(
            text in "\\{(\"(code|flag|opaque|version|remark|x)\":(-?[0-9]{1,11}|\"[a-z ]{0,4}\"|null|true|[0-9]e1),?){0,5}(\"extFields\":(null|\\{(\"[a-c]\":(\"[a-z\\\\]{0,3}\"|-?[0-9]{1,3}|null|true),?){0,3}\\}))?\\} ?"
        ) {
            let bytes = Bytes::from(text);
            if let Some(quick) = plain::decode(&bytes) {
                prop_assert_eq!(decode_any_json(&bytes).unwrap(), quick);
            }
        }

        #[test]
        fn foreign_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let bytes = Bytes::from(bytes);
            let _ = Header::decode(HeaderForm::Json, &bytes);
            let _ = Header::decode(HeaderForm::Binary, &bytes);
        }
    }
}
