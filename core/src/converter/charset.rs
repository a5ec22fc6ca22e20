//! Character sets by their Java names: text ↔ bytes, as `String.getBytes` and `new String` do it. What a set can't express
//! becomes `?`; what is malformed becomes U+FFFD. The tables of the sets are those of the WHATWG encoding standard.

use std::borrow::Cow;

use encoding_rs as sets;
use encoding_rs::{EncoderResult, Encoding};

/// A character set.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Charset {
    Utf8,
    Latin1,
    Ascii,
    /// Two bytes a unit; with a byte order mark before it, or without.
    Utf16 {
        big_endian: bool,
        mark: bool,
    },
    Table(&'static Encoding),
}

const UTF_16: Charset = Charset::Utf16 { big_endian: true, mark: true };
const UTF_16BE: Charset = Charset::Utf16 { big_endian: true, mark: false };
const UTF_16LE: Charset = Charset::Utf16 { big_endian: false, mark: false };
const UTF_16LE_MARKED: Charset = Charset::Utf16 { big_endian: false, mark: true };

/// Names, in lower case, and what they mean: Java's own name first, then its aliases.
const NAMES: &[(&[&str], Charset)] = &[
    (&["utf-8", "utf8", "unicode-1-1-utf-8"], Charset::Utf8),
    (
        &[
            "iso-8859-1",
            "iso8859_1",
            "iso8859-1",
            "iso_8859-1",
            "iso_8859_1",
            "8859_1",
            "latin1",
            "l1",
            "iso-ir-100",
            "ibm819",
            "ibm-819",
            "cp819",
            "csisolatin1",
        ],
        Charset::Latin1,
    ),
    (
        &[
            "us-ascii",
            "ascii",
            "iso646-us",
            "iso-ir-6",
            "ansi_x3.4-1968",
            "ansi_x3.4-1986",
            "ibm367",
            "cp367",
            "us",
            "ascii7",
            "csascii",
            "646",
        ],
        Charset::Ascii,
    ),
    (&["utf-16", "utf_16", "utf16", "unicode", "unicodebig"], UTF_16),
    (&["utf-16be", "utf_16be", "x-utf-16be", "iso-10646-ucs-2", "unicodebigunmarked"], UTF_16BE),
    (&["utf-16le", "utf_16le", "x-utf-16le", "unicodelittleunmarked"], UTF_16LE),
    (&["x-utf-16le-bom", "unicodelittle"], UTF_16LE_MARKED),
    (&["gb18030", "gb18030-2000", "gb18030-2022"], Charset::Table(sets::GB18030)),
    (
        &[
            "gbk",
            "cp936",
            "windows-936",
            "ms936",
            "gb2312",
            "gb2312-80",
            "gb2312-1980",
            "euc_cn",
            "euc-cn",
            "euccn",
            "x-euc-cn",
        ],
        Charset::Table(sets::GBK),
    ),
    (&["big5", "csbig5"], Charset::Table(sets::BIG5)),
    (
        &[
            "shift_jis",
            "sjis",
            "shift-jis",
            "x-sjis",
            "ms_kanji",
            "csshiftjis",
            "windows-31j",
            "ms932",
            "windows-932",
            "cswindows31j",
        ],
        Charset::Table(sets::SHIFT_JIS),
    ),
    (&["euc-jp", "euc_jp", "eucjp", "eucjis", "x-euc-jp", "x-eucjp"], Charset::Table(sets::EUC_JP)),
    (&["iso-2022-jp", "iso2022jp", "jis", "jis_encoding", "csiso2022jp"], Charset::Table(sets::ISO_2022_JP)),
    (
        &[
            "euc-kr",
            "euc_kr",
            "euckr",
            "ksc5601",
            "ksc_5601",
            "ks_c_5601-1987",
            "x-windows-949",
            "ms949",
            "windows-949",
            "windows949",
        ],
        Charset::Table(sets::EUC_KR),
    ),
    (
        &["iso-8859-2", "iso8859_2", "iso8859-2", "iso_8859-2", "8859_2", "latin2", "l2"],
        Charset::Table(sets::ISO_8859_2),
    ),
    (
        &["iso-8859-3", "iso8859_3", "iso8859-3", "iso_8859-3", "8859_3", "latin3", "l3"],
        Charset::Table(sets::ISO_8859_3),
    ),
    (
        &["iso-8859-4", "iso8859_4", "iso8859-4", "iso_8859-4", "8859_4", "latin4", "l4"],
        Charset::Table(sets::ISO_8859_4),
    ),
    (&["iso-8859-5", "iso8859_5", "iso8859-5", "iso_8859-5", "8859_5", "cyrillic"], Charset::Table(sets::ISO_8859_5)),
    (&["iso-8859-6", "iso8859_6", "iso8859-6", "iso_8859-6", "8859_6", "arabic"], Charset::Table(sets::ISO_8859_6)),
    (&["iso-8859-7", "iso8859_7", "iso8859-7", "iso_8859-7", "8859_7", "greek"], Charset::Table(sets::ISO_8859_7)),
    (&["iso-8859-8", "iso8859_8", "iso8859-8", "iso_8859-8", "8859_8", "hebrew"], Charset::Table(sets::ISO_8859_8)),
    (
        &["iso-8859-9", "iso8859_9", "iso8859-9", "iso_8859-9", "8859_9", "latin5", "l5"],
        Charset::Table(sets::WINDOWS_1254),
    ),
    (&["iso-8859-13", "iso8859_13", "iso8859-13", "iso_8859-13", "8859_13"], Charset::Table(sets::ISO_8859_13)),
    (
        &["iso-8859-15", "iso8859_15", "iso8859-15", "iso_8859-15", "8859_15", "latin9", "latin-9", "l9"],
        Charset::Table(sets::ISO_8859_15),
    ),
    (
        &["iso-8859-16", "iso8859_16", "iso8859-16", "iso_8859-16", "8859_16", "latin10", "l10"],
        Charset::Table(sets::ISO_8859_16),
    ),
    (&["windows-1250", "cp1250"], Charset::Table(sets::WINDOWS_1250)),
    (&["windows-1251", "cp1251"], Charset::Table(sets::WINDOWS_1251)),
    (&["windows-1252", "cp1252"], Charset::Table(sets::WINDOWS_1252)),
    (&["windows-1253", "cp1253"], Charset::Table(sets::WINDOWS_1253)),
    (&["windows-1254", "cp1254"], Charset::Table(sets::WINDOWS_1254)),
    (&["windows-1255", "cp1255"], Charset::Table(sets::WINDOWS_1255)),
    (&["windows-1256", "cp1256"], Charset::Table(sets::WINDOWS_1256)),
    (&["windows-1257", "cp1257"], Charset::Table(sets::WINDOWS_1257)),
    (&["windows-1258", "cp1258"], Charset::Table(sets::WINDOWS_1258)),
    (&["x-windows-874", "windows-874", "ms874", "ms-874", "tis-620", "tis620"], Charset::Table(sets::WINDOWS_874)),
    (&["koi8-r", "koi8_r", "koi8", "cskoi8r"], Charset::Table(sets::KOI8_R)),
    (&["koi8-u", "koi8_u"], Charset::Table(sets::KOI8_U)),
    (&["ibm866", "ibm-866", "cp866", "866"], Charset::Table(sets::IBM866)),
    (&["x-macroman", "macroman"], Charset::Table(sets::MACINTOSH)),
    (&["x-maccyrillic", "maccyrillic"], Charset::Table(sets::X_MAC_CYRILLIC)),
];

/// All names that are known.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    NAMES.iter().flat_map(|(names, _)| names.iter().copied())
}

impl Charset {
    /// The set of this name, in any case.
    pub(super) fn find(name: &str) -> Option<Self> {
        let known = |(names, _): &&(&[&str], Self)| names.iter().any(|known| known.eq_ignore_ascii_case(name));
        NAMES.iter().find(known).map(|(_, charset)| *charset)
    }

    /// The bytes of a text.
    pub(super) fn encode<'t>(self, text: &'t str) -> Cow<'t, [u8]> {
        match self {
            Self::Utf8 => Cow::Borrowed(text.as_bytes()),
            Self::Latin1 | Self::Ascii if text.is_ascii() => Cow::Borrowed(text.as_bytes()),
            Self::Latin1 => Cow::Owned(text.chars().map(|one| u8::try_from(u32::from(one)).unwrap_or(b'?')).collect()),
            Self::Ascii => {
                let byte = |one: char| u8::try_from(u32::from(one)).ok().filter(u8::is_ascii).unwrap_or(b'?');
                Cow::Owned(text.chars().map(byte).collect())
            }
            Self::Utf16 { big_endian, mark } => {
                let mark = (mark && !text.is_empty()).then_some(0xfeff);
                let units = mark.into_iter().chain(text.encode_utf16());
                Cow::Owned(
                    units.flat_map(|unit| if big_endian { unit.to_be_bytes() } else { unit.to_le_bytes() }).collect(),
                )
            }
            Self::Table(set) => encode_by_table(set, text),
        }
    }

    /// The text of bytes; borrowed if it is just those bytes in UTF-8.
    pub(super) fn decode(self, bytes: &[u8]) -> Cow<'_, str> {
        match self {
            Self::Utf8 => String::from_utf8_lossy(bytes),
            Self::Latin1 | Self::Ascii if bytes.is_ascii() => String::from_utf8_lossy(bytes),
            Self::Latin1 => Cow::Owned(bytes.iter().map(|byte| char::from(*byte)).collect()),
            Self::Ascii => {
                let one = |byte: &u8| if byte.is_ascii() { char::from(*byte) } else { char::REPLACEMENT_CHARACTER };
                Cow::Owned(bytes.iter().map(one).collect())
            }
            Self::Utf16 { big_endian, mark } => Cow::Owned(decode_utf16(bytes, big_endian, mark)),
            Self::Table(set) => set.decode_without_bom_handling(bytes).0,
        }
    }
}

fn encode_by_table<'t>(set: &'static Encoding, text: &'t str) -> Cow<'t, [u8]> {
    if text.is_ascii() && set.is_ascii_compatible() {
        return Cow::Borrowed(text.as_bytes());
    }
    let mut encoder = set.new_encoder();
    let mut out = Vec::new();
    let mut rest = text;
    loop {
        let room = encoder.max_buffer_length_from_utf8_without_replacement(rest.len());
        out.reserve(room.unwrap_or_else(|| rest.len().saturating_mul(4)).max(16));
        let (result, read) = encoder.encode_from_utf8_to_vec_without_replacement(rest, &mut out, true);
        rest = rest.get(read..).unwrap_or_default();
        match result {
            EncoderResult::InputEmpty => return Cow::Owned(out),
            EncoderResult::OutputFull => {}
            EncoderResult::Unmappable(_) => out.push(b'?'),
        }
    }
}

fn decode_utf16(bytes: &[u8], big_endian: bool, mark: bool) -> String {
    let (bytes, big_endian) = match bytes {
        [0xfe, 0xff, rest @ ..] if mark => (rest, true),
        [0xff, 0xfe, rest @ ..] if mark => (rest, false),
        _ => (bytes, big_endian),
    };
    let (pairs, odd) = bytes.as_chunks::<2>();
    let units = pairs.iter().map(|pair| if big_endian { u16::from_be_bytes(*pair) } else { u16::from_le_bytes(*pair) });
    let mut text: String = char::decode_utf16(units).map(|one| one.unwrap_or(char::REPLACEMENT_CHARACTER)).collect();
    if !odd.is_empty() {
        text.push(char::REPLACEMENT_CHARACTER);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_have_the_bytes_of_java() {
        let cases: [(&str, &str, &[u8]); 12] = [
            ("ISO-8859-1", "aü€", b"a\xfc?"),
            ("US-ASCII", "aü", b"a?"),
            ("UTF-16", "aü", &[0xfe, 0xff, 0, b'a', 0, 0xfc]),
            ("UTF-16", "", &[]),
            ("UTF-16BE", "\u{1f600}", &[0xd8, 0x3d, 0xde, 0x00]),
            ("UTF-16LE", "a", &[b'a', 0]),
            ("UnicodeLittle", "a", &[0xff, 0xfe, b'a', 0]),
            ("gbk", "文件😀x", &[0xce, 0xc4, 0xbc, 0xfe, b'?', b'x']),
            ("GB18030", "文", &[0xce, 0xc4]),
            ("Cp1252", "€", &[0x80]),
            ("iso8859_15", "€", &[0xa4]),
            ("ISO-2022-JP", "日😀", &[0x1b, b'$', b'B', 0x46, 0x7c, 0x1b, b'(', b'B', b'?']),
        ];
        for (name, text, bytes) in cases {
            assert_eq!(&*Charset::find(name).unwrap().encode(text), bytes, "{name} {text}");
        }
    }

    #[test]
    fn malformed_bytes_are_replaced_and_never_panic() {
        assert_eq!(Charset::find("ascii").unwrap().decode(b"a\xff"), "a\u{fffd}");
        assert_eq!(UTF_16.decode(&[0xff, 0xfe, b'a', 0, 1]), "a\u{fffd}");
        assert_eq!(UTF_16BE.decode(&[0xd8, 0x3d, 0, b'a']), "\u{fffd}a");
        for (names, charset) in NAMES {
            let all: Vec<u8> = (0..=255).collect();
            for start in 0..256 {
                let text = charset.decode(all.get(start..).unwrap());
                let _ = charset.encode(&text);
            }
            assert!(charset.decode(&[]).is_empty(), "{names:?}");
        }
    }

    #[test]
    fn no_name_stands_for_two_sets() {
        let mut all: Vec<_> = names().collect();
        all.sort_unstable();
        assert!(all.windows(2).all(|pair| pair[0] != pair[1]));
        assert!(all.iter().all(|name| name.to_ascii_lowercase() == *name));
        assert_eq!(Charset::find("EBCDIC"), None);
    }
}
