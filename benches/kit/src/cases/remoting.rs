//! From a socket's bytes to frames, and headers in both forms.

use std::hint::black_box;

use bytes::{BufMut, Bytes, BytesMut};
use rmqc_io::remoting::code::request;
use rmqc_io::remoting::frame::{self, FrameDecoder};
use rmqc_io::remoting::header::{FLAG_RESPONSE, Header, HeaderForm, JsonHeaderWriter};

use super::{NOW_MS, TOPIC};
use crate::case::Case;

/// Answers that wait in the socket when it is read.
const STREAM_FRAMES: usize = 1_000;
/// Bytes that a read of a split stream brings: a segment of an Ethernet, so that most frames come whole and each read ends
/// within one.
const SEGMENT_BYTES: usize = 1_448;

/// The fields of a broker's answer to a batch.
const ANSWER: [(&str, &str); 6] = [
    ("msgId", "7F00000100002A9F0000000000C0FFEE"),
    ("queueId", "3"),
    ("queueOffset", "123456789"),
    ("transactionId", "7F0000010001000000010102030405060708"),
    ("MSG_REGION", "DefaultRegion"),
    ("TRACE_ON", "true"),
];

pub fn cases() -> Vec<Case> {
    vec![
        frames("decode_one_read", usize::MAX),
        frames("decode_split_reads", SEGMENT_BYTES),
        Case::each("header", "decode_json", || decode(HeaderForm::Json, json_answer())),
        Case::each("header", "decode_binary", || decode(HeaderForm::Binary, binary_answer())),
        Case::each("header", "encode_request", || {
            let mut out = BytesMut::with_capacity(64 * 1024);
            move || {
                out.clear();
                request_head(&mut out, black_box(4_711), 131_072);
                out.len()
            }
        }),
    ]
}

/// The copy into the buffer stands for the kernel's, which a socket costs as well.
fn frames(name: &'static str, read_bytes_max: usize) -> Case {
    Case::new("frame", name, STREAM_FRAMES as u64, move || {
        let mut stream = BytesMut::new();
        for _ in 0..STREAM_FRAMES {
            let mark = frame::begin(&mut stream);
            stream.put_slice(&json_answer());
            frame::finish(&mut stream, mark, 0);
        }
        let mut decoder = FrameDecoder::default();
        move || {
            let (mut rest, mut count) = (&stream[..], 0);
            while !rest.is_empty() {
                let (buffer, len_max) = decoder.read_target();
                let (part, behind) = rest.split_at(len_max.min(rest.len()).min(read_bytes_max));
                buffer.extend_from_slice(part);
                rest = behind;
                while let Some(frame) = decoder.next_frame().unwrap() {
                    black_box(frame);
                    count += 1;
                }
            }
            assert_eq!(count, STREAM_FRAMES);
        }
    })
}

fn decode(form: HeaderForm, header: Bytes) -> impl FnMut() -> Header {
    move || Header::decode(form, black_box(&header)).unwrap()
}

fn json_answer() -> Bytes {
    let mut out = BytesMut::new();
    let mut writer = JsonHeaderWriter::open(&mut out, 0, 4_711, FLAG_RESPONSE);
    ANSWER.iter().for_each(|(name, value)| writer.text(name, value.as_bytes()));
    writer.close();
    out.freeze()
}

/// The same answer as brokers write it to clients that speak the binary form: code, language, version, id, flag, remark,
/// and the fields with their lengths.
fn binary_answer() -> Bytes {
    let mut fields = BytesMut::new();
    for (name, value) in ANSWER {
        fields.put_u16(name.len() as u16);
        fields.put_slice(name.as_bytes());
        fields.put_u32(value.len() as u32);
        fields.put_slice(value.as_bytes());
    }
    let mut out = BytesMut::new();
    out.put_i16(0);
    out.put_u8(0);
    out.put_i16(477);
    out.put_i32(4_711);
    out.put_i32(FLAG_RESPONSE);
    out.put_u32(0);
    out.put_u32(fields.len() as u32);
    out.put_slice(&fields);
    out.freeze()
}

/// The head of a batch request, as a connection writes it.
fn request_head(out: &mut BytesMut, opaque: i32, body_len: usize) {
    let mark = frame::begin(out);
    let mut writer = JsonHeaderWriter::open(out, request::SEND_BATCH_MESSAGE, opaque, 0);
    writer.text("a", b"connect-source");
    writer.text("b", TOPIC.as_bytes());
    writer.text("c", b"TBW102");
    writer.number("d", 8);
    writer.number("e", 3);
    writer.number("f", 0);
    writer.number("g", NOW_MS);
    writer.number("h", 0);
    writer.text("i", b"");
    writer.number("j", 0);
    writer.text("k", b"false");
    writer.text("m", b"true");
    writer.close();
    frame::finish(out, mark, body_len);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_say_the_same() {
        let read = |form, bytes: Bytes| Header::decode(form, &bytes).unwrap();
        let (json, binary) = (read(HeaderForm::Json, json_answer()), read(HeaderForm::Binary, binary_answer()));
        assert_eq!((json.opaque, json.flag, &json.fields), (binary.opaque, binary.flag, &binary.fields));
        assert_eq!(json.fields.number("queueOffset"), Some(123_456_789));
    }
}
