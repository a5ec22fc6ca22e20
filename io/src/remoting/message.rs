//! Messages: those of a pull answer, read in place, and the items of a batch request, written in one go.

use std::io::Read;

use bytes::{BufMut, Bytes, BytesMut};
use rmqc_core::limits::{MESSAGE_BODY_BYTES_MAX, MESSAGE_PROPERTIES_BYTES_MAX};

/// Magic of messages whose topic length has one byte.
const MAGIC_V1: u32 = 0xDAA3_20A7;
/// Magic of messages whose topic length has two bytes.
const MAGIC_V2: u32 = 0xDAA3_20AB;
/// Bytes of a message up to and with `sysFlag`.
const FIXED_HEAD_BYTES: usize = 40;

/// Bits of `sysFlag`.
mod sys_flag {
    pub const COMPRESSED: u32 = 0x1;
    pub const COMPRESSION_TYPE: u32 = 0x700;
    pub const LZ4: u32 = 0x100;
    pub const ZSTD: u32 = 0x200;
    pub const BORN_HOST_V6: u32 = 0x10;
    pub const STORE_HOST_V6: u32 = 0x20;
}

/// Address and port of a host as received: 8 bytes (IPv4) or 20 (IPv6).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HostBytes {
    bytes: [u8; 20],
    len: u8,
}

impl HostBytes {
    /// Of 8 bytes (IPv4) or 20.
    #[inline(always)]
    fn of(host: &[u8]) -> Option<Self> {
        let mut bytes = [0; 20];
        match host.len() {
            8 => *bytes.first_chunk_mut::<8>()? = *host.first_chunk::<8>()?,
            _ => bytes = *host.first_chunk::<20>()?,
        }
        Some(Self { bytes, len: u8::try_from(host.len()).ok()? })
    }
}

impl std::ops::Deref for HostBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }
}

/// One message of a pull answer. Body and properties are slices of the answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// Queue id.
    pub queue_id: i32,
    /// Offset in its queue.
    pub queue_offset: i64,
    /// Offset in the broker's commit log, in bytes.
    pub physical_offset: i64,
    /// The user's flag.
    pub flag: i32,
    /// System flag: compression, transaction, address kinds.
    pub sys_flag: u32,
    /// CRC-32 of the body with the top bit cleared.
    pub body_crc: u32,
    /// When the producer made it, in ms since 1970.
    pub born_ms: i64,
    /// When the broker stored it, in ms since 1970.
    pub store_ms: i64,
    /// Redeliveries so far.
    pub reconsume_times: i32,
    /// Store host, part of the message id.
    pub store_host: HostBytes,
    /// Body as stored, maybe compressed.
    pub body: Bytes,
    /// Properties block, not split.
    pub properties: Bytes,
}

/// Why a message can't be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// The bytes end too early, or a length leads outside.
    #[error("message cut short: {0}")]
    Cut(&'static str),
    /// Not a message.
    #[error("unknown message magic {0:#010x}")]
    Magic(u32),
    /// The inner lengths do not end where the message ends.
    #[error("message of {announced} bytes has parts of {used}")]
    Length {
        /// Bytes announced.
        announced: usize,
        /// Bytes used by the parts.
        used: usize,
    },
    /// The compressed body can't be expanded.
    #[error("compressed body ({kind}) of message at queue offset {queue_offset} can't be expanded: {reason}")]
    Compression {
        /// Compression type.
        kind: &'static str,
        /// Where.
        queue_offset: i64,
        /// What the decompressor says.
        reason: String,
    },
}

/// Takes big-endian numbers off the front.
struct Reader<'b> {
    rest: &'b [u8],
}

impl<'b> Reader<'b> {
    #[inline]
    fn take(&mut self, len: usize, what: &'static str) -> Result<&'b [u8], MessageError> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or(MessageError::Cut(what))?;
        self.rest = rest;
        Ok(taken)
    }

    #[inline]
    fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], MessageError> {
        let (array, rest) = self.rest.split_first_chunk::<N>().ok_or(MessageError::Cut(what))?;
        self.rest = rest;
        Ok(*array)
    }

    #[inline]
    fn i32(&mut self, what: &'static str) -> Result<i32, MessageError> {
        Ok(i32::from_be_bytes(self.array(what)?))
    }

    #[inline]
    fn i64(&mut self, what: &'static str) -> Result<i64, MessageError> {
        Ok(i64::from_be_bytes(self.array(what)?))
    }

    #[inline]
    fn len(&mut self, what: &'static str) -> Result<usize, MessageError> {
        usize::try_from(self.i32(what)?).map_err(|_| MessageError::Cut(what))
    }
}

/// Reads the messages of a pull answer one by one, in order. After an error it ends.
pub fn messages(body: impl Into<Bytes>) -> impl Iterator<Item = Result<Message, MessageError>> {
    read_all(body.into(), |body, parts| parts.message(body))
}

/// The same, each with its topic.
pub fn messages_of_topics(body: impl Into<Bytes>) -> impl Iterator<Item = Result<(Message, Bytes), MessageError>> {
    read_all(body.into(), |body, parts| (parts.message(body), body.slice_ref(parts.topic)))
}

fn read_all<T>(body: Bytes, take: impl Fn(&Bytes, Parts<'_>) -> T) -> impl Iterator<Item = Result<T, MessageError>> {
    let mut at = 0usize;
    std::iter::from_fn(move || {
        let rest = body.get(at..).filter(|rest| !rest.is_empty())?;
        let parts = Parts::read(rest);
        at = parts.as_ref().map_or(usize::MAX, |parts| at.saturating_add(parts.size));
        Some(parts.map(|parts| take(&body, parts)))
    })
}

/// A message, looked at where it lies.
pub(super) struct Parts<'b> {
    /// Bytes that it takes.
    pub size: usize,
    pub queue_id: i32,
    pub queue_offset: i64,
    physical_offset: i64,
    flag: i32,
    pub sys_flag: u32,
    body_crc: u32,
    pub born_ms: i64,
    pub store_ms: i64,
    reconsume_times: i32,
    store_host: &'b [u8],
    /// Where the body begins.
    pub body_at: usize,
    pub body: &'b [u8],
    topic: &'b [u8],
    /// Properties block, the last part.
    pub properties: &'b [u8],
}

impl<'b> Parts<'b> {
    /// Reads the message at the beginning of `bytes`. Parts of which the caller makes no use cost nothing.
    #[inline(always)]
    pub fn read(bytes: &'b [u8]) -> Result<Self, MessageError> {
        Self::read_with(bytes, None)
    }

    /// Reads it once more, with as many bytes of properties as were found: what lies between them and the body is not
    /// looked at, and may have been written over. It has no topic then.
    pub fn read_again(bytes: &'b [u8], properties_len: usize) -> Result<Self, MessageError> {
        Self::read_with(bytes, Some(properties_len))
    }

    #[inline(always)]
    fn read_with(bytes: &'b [u8], properties_len: Option<usize>) -> Result<Self, MessageError> {
        let size =
            bytes.first_chunk::<4>().map(|size| u32::from_be_bytes(*size) as usize).ok_or(MessageError::Cut("size"))?;
        let mut reader = Reader { rest: bytes.get(..size).ok_or(MessageError::Cut("size"))? };
        // Taken at once: one look at what is left for all of them.
        let head: [u8; FIXED_HEAD_BYTES] = reader.array("size")?;
        let mut head = Reader { rest: &head };
        let _size = head.i32("size")?;
        let magic = u32::from_be_bytes(head.array("magic")?);
        if magic != MAGIC_V1 && magic != MAGIC_V2 {
            return Err(MessageError::Magic(magic));
        }
        let body_crc = u32::from_be_bytes(head.array("crc")?);
        let queue_id = head.i32("queue id")?;
        let flag = head.i32("flag")?;
        let queue_offset = head.i64("queue offset")?;
        let physical_offset = head.i64("physical offset")?;
        let sys_flag = u32::from_be_bytes(head.array("sysFlag")?);
        let host_len = |flag: u32| if sys_flag & flag == 0 { 8 } else { 20 };
        let born_ms = reader.i64("born time")?;
        reader.take(host_len(sys_flag::BORN_HOST_V6), "born host")?;
        let store_ms = reader.i64("store time")?;
        let store_host = reader.take(host_len(sys_flag::STORE_HOST_V6), "store host")?;
        let reconsume_times = reader.i32("reconsume times")?;
        let _prepared = reader.i64("transaction offset")?;
        let body_len = reader.len("body length")?;
        let body_at = size.saturating_sub(reader.rest.len());
        let body = reader.take(body_len, "body")?;
        let (topic, properties_len) = match properties_len {
            Some(known) => {
                let between = reader.rest.len().checked_sub(known).ok_or(MessageError::Cut("properties"))?;
                reader.take(between, "topic")?;
                (&[][..], known)
            }
            None => {
                let topic_len = match magic {
                    MAGIC_V2 => usize::from(u16::from_be_bytes(reader.array("topic length")?)),
                    _ => usize::from(u8::from_be_bytes(reader.array("topic length")?)),
                };
                let topic = reader.take(topic_len, "topic")?;
                (topic, usize::from(u16::from_be_bytes(reader.array("properties length")?)))
            }
        };
        let properties = reader.take(properties_len, "properties")?;
        if !reader.rest.is_empty() {
            return Err(MessageError::Length { announced: size, used: size.saturating_sub(reader.rest.len()) });
        }
        Ok(Self {
            size,
            queue_id,
            queue_offset,
            physical_offset,
            flag,
            sys_flag,
            body_crc,
            born_ms,
            store_ms,
            reconsume_times,
            store_host,
            body_at,
            body,
            topic,
            properties,
        })
    }

    /// The message, with handles of the answer of which it is a part. Each costs two atomic steps in its life, so there
    /// is one for each part that is kept, and none for what is only looked at.
    #[inline(always)]
    pub fn message(&self, answer: &Bytes) -> Message {
        Message {
            queue_id: self.queue_id,
            queue_offset: self.queue_offset,
            physical_offset: self.physical_offset,
            flag: self.flag,
            sys_flag: self.sys_flag,
            body_crc: self.body_crc,
            born_ms: self.born_ms,
            store_ms: self.store_ms,
            reconsume_times: self.reconsume_times,
            store_host: HostBytes::of(self.store_host).unwrap_or_default(),
            body: answer.slice_ref(self.body),
            properties: answer.slice_ref(self.properties),
        }
    }
}

/// Whether a body is as the producer gave it.
pub(super) fn is_plain(sys_flag: u32, body_len: usize) -> bool {
    sys_flag & sys_flag::COMPRESSED == 0 || body_len == 0
}

impl Message {
    /// Whether the body is as the producer gave it.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        is_plain(self.sys_flag, self.body.len())
    }

    /// The body as the producer gave it: the received slice itself, or the expanded bytes of a compressed one. Never
    /// more than four times the largest allowed body.
    ///
    /// # Errors
    /// When a compressed body can't be expanded.
    pub fn plain_body(&self) -> Result<Bytes, MessageError> {
        if self.is_plain() {
            return Ok(self.body.clone());
        }
        let limit = MESSAGE_BODY_BYTES_MAX.saturating_mul(4);
        let input = &self.body[..];
        let (kind, expanded) = match self.sys_flag & sys_flag::COMPRESSION_TYPE {
            sys_flag::LZ4 => ("lz4", expand(lz4_flex::frame::FrameDecoder::new(input), limit)),
            sys_flag::ZSTD => (
                "zstd",
                ruzstd::decoding::StreamingDecoder::new(input)
                    .map_err(|error| error.to_string())
                    .and_then(|decoder| expand(decoder, limit)),
            ),
            _ => ("zlib", expand(flate2::read::ZlibDecoder::new(input), limit)),
        };
        expanded.map_err(|reason| MessageError::Compression { kind, queue_offset: self.queue_offset, reason })
    }

    /// The message id that Java tools show: store address, port and physical offset as upper-case hex.
    #[must_use]
    pub fn offset_message_id(&self) -> String {
        use std::fmt::Write as _;
        let mut id = String::with_capacity(56);
        for byte in self.store_host.iter().chain(&self.physical_offset.to_be_bytes()) {
            let _ = write!(id, "{byte:02X}");
        }
        id
    }
}

fn expand(decoder: impl Read, limit: usize) -> Result<Bytes, String> {
    let mut expanded = Vec::new();
    let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    decoder.take(most).read_to_end(&mut expanded).map_err(|error| error.to_string())?;
    if expanded.len() > limit {
        return Err(format!("more than {limit} bytes"));
    }
    Ok(Bytes::from(expanded))
}

/// Bytes of an item's fixed part: size, magic, crc, flag, body length, properties length.
pub const ITEM_FIXED_BYTES: usize = 22;

/// Writes the head of one item of a batch request: everything before the body.
pub fn put_item_head(out: &mut BytesMut, body_len: usize, properties_len: usize) {
    debug_assert!(body_len <= MESSAGE_BODY_BYTES_MAX && properties_len <= MESSAGE_PROPERTIES_BYTES_MAX);
    let size = ITEM_FIXED_BYTES.saturating_add(body_len).saturating_add(properties_len);
    let mut head = [0u8; 20];
    let (size_field, rest) = head.split_at_mut(4);
    size_field.copy_from_slice(&u32::try_from(size).unwrap_or(u32::MAX).to_be_bytes());
    if let Some(length_field) = rest.last_chunk_mut::<4>() {
        *length_field = u32::try_from(body_len).unwrap_or(u32::MAX).to_be_bytes();
    }
    out.put_slice(&head);
}

/// Writes the tail of one item of a batch request: everything after the body.
pub fn put_item_tail(out: &mut BytesMut, properties: &[u8]) {
    out.put_u16(u16::try_from(properties.len()).unwrap_or(u16::MAX));
    out.put_slice(properties);
}

/// One item of a batch request, as a server reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchItem {
    /// The user's flag.
    pub flag: i32,
    /// Body.
    pub body: Bytes,
    /// Properties block.
    pub properties: Bytes,
}

/// Reads the items of a batch request's body.
///
/// # Errors
/// When a length leads outside; then none of the items may be stored.
pub fn batch_items(body: Bytes) -> Result<Vec<BatchItem>, MessageError> {
    let mut items = Vec::new();
    let mut rest = &body[..];
    while !rest.is_empty() {
        let size = rest.first_chunk::<4>().map(|size| u32::from_be_bytes(*size) as usize);
        let size =
            size.filter(|size| *size >= ITEM_FIXED_BYTES && *size <= rest.len()).ok_or(MessageError::Cut("item"))?;
        let (item, behind) = rest.split_at_checked(size).ok_or(MessageError::Cut("item"))?;
        rest = behind;
        let mut reader = Reader { rest: item };
        let _head: [u8; 12] = reader.array("item head")?;
        let flag = reader.i32("flag")?;
        let body_len = reader.len("body length")?;
        let own = body.slice_ref(reader.take(body_len, "body")?);
        let properties_len = usize::from(u16::from_be_bytes(reader.array("properties length")?));
        let properties = body.slice_ref(reader.take(properties_len, "properties")?);
        if !reader.rest.is_empty() {
            return Err(MessageError::Length { announced: size, used: size.saturating_sub(reader.rest.len()) });
        }
        items.push(BatchItem { flag, body: own, properties });
    }
    Ok(items)
}

/// The body CRC that brokers store: CRC-32 (IEEE) with the top bit cleared; 0 for an empty body.
#[must_use]
pub fn body_crc(body: &[u8]) -> u32 {
    if body.is_empty() { 0 } else { crc32fast::hash(body) & 0x7FFF_FFFF }
}

/// What a stored message consists of; see [`put_message`].
#[derive(Clone, Copy, Debug, Default)]
pub struct MessageParts<'m> {
    /// Queue id.
    pub queue_id: i32,
    /// Offset in its queue.
    pub queue_offset: i64,
    /// Offset in the commit log.
    pub physical_offset: i64,
    /// The user's flag.
    pub flag: i32,
    /// System flag; the bits for IPv6 hosts must not be set.
    pub sys_flag: u32,
    /// When the producer made it.
    pub born_ms: i64,
    /// When it was stored.
    pub store_ms: i64,
    /// IPv4 address and port of the producer.
    pub born_host: [u8; 8],
    /// IPv4 address and port of the broker.
    pub store_host: [u8; 8],
    /// Redeliveries so far.
    pub reconsume_times: i32,
    /// Body.
    pub body: &'m [u8],
    /// Topic, at most 127 bytes.
    pub topic: &'m [u8],
    /// Properties block.
    pub properties: &'m [u8],
}

/// Bytes that [`put_message`] writes.
#[must_use]
pub fn message_len(parts: &MessageParts<'_>) -> usize {
    91usize.saturating_add(parts.body.len()).saturating_add(parts.topic.len()).saturating_add(parts.properties.len())
}

/// Bytes of a message (V1, IPv4 hosts) before its body.
const HEAD_BYTES: usize = 88;

/// Writes a message as a broker stores it and as a pull answer carries it (V1, IPv4 hosts).
pub fn put_message(out: &mut BytesMut, parts: &MessageParts<'_>) {
    let size = u32::try_from(message_len(parts)).unwrap_or(u32::MAX);
    out.reserve(size as usize);
    // Filled on the stack first: one bounds check on `out` instead of one a field.
    let mut head = [0u8; HEAD_BYTES];
    head[0..4].copy_from_slice(&size.to_be_bytes());
    head[4..8].copy_from_slice(&MAGIC_V1.to_be_bytes());
    head[8..12].copy_from_slice(&body_crc(parts.body).to_be_bytes());
    head[12..16].copy_from_slice(&parts.queue_id.to_be_bytes());
    head[16..20].copy_from_slice(&parts.flag.to_be_bytes());
    head[20..28].copy_from_slice(&parts.queue_offset.to_be_bytes());
    head[28..36].copy_from_slice(&parts.physical_offset.to_be_bytes());
    head[36..40].copy_from_slice(&parts.sys_flag.to_be_bytes());
    head[40..48].copy_from_slice(&parts.born_ms.to_be_bytes());
    head[48..56].copy_from_slice(&parts.born_host);
    head[56..64].copy_from_slice(&parts.store_ms.to_be_bytes());
    head[64..72].copy_from_slice(&parts.store_host);
    head[72..76].copy_from_slice(&parts.reconsume_times.to_be_bytes());
    let body_len = u32::try_from(parts.body.len()).unwrap_or(u32::MAX);
    head[84..88].copy_from_slice(&body_len.to_be_bytes());
    out.put_slice(&head);
    out.put_slice(parts.body);
    out.put_u8(u8::try_from(parts.topic.len()).unwrap_or(u8::MAX));
    out.put_slice(parts.topic);
    out.put_u16(u16::try_from(parts.properties.len()).unwrap_or(u16::MAX));
    out.put_slice(parts.properties);
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use proptest::prelude::*;

    use super::*;

    fn parts<'m>(body: &'m [u8], properties: &'m [u8], sys_flag: u32) -> MessageParts<'m> {
        MessageParts {
            queue_id: 3,
            queue_offset: 7,
            physical_offset: 1234,
            flag: 5,
            sys_flag,
            born_ms: 11,
            store_ms: 12,
            born_host: [127, 0, 0, 1, 0, 0, 0, 9],
            store_host: [127, 0, 0, 1, 0, 0, 0x2a, 0x9f],
            reconsume_times: 0,
            body,
            topic: b"topic",
            properties,
        }
    }

    fn written(parts: &MessageParts<'_>) -> Bytes {
        let mut out = BytesMut::new();
        put_message(&mut out, parts);
        assert_eq!(out.len(), message_len(parts));
        out.freeze()
    }

    #[test]
    fn messages_are_slices_of_the_answer() {
        let mut answer = BytesMut::new();
        put_message(&mut answer, &parts(b"first", b"a\x011\x02", 0));
        put_message(&mut answer, &parts(b"", b"", 0));
        let answer = answer.freeze();
        let read: Vec<_> = messages(answer.clone()).collect::<Result<_, _>>().unwrap();
        assert_eq!(read.len(), 2);
        assert_eq!((&read[0].body[..], &read[0].properties[..]), (&b"first"[..], &b"a\x011\x02"[..]));
        let topics = messages_of_topics(answer.clone()).map(|read| read.unwrap().1);
        assert_eq!(topics.collect::<Vec<_>>(), ["topic", "topic"]);
        assert!(answer.as_ptr_range().contains(&read[0].body.as_ptr()));
        assert_eq!((read[0].queue_offset, read[0].queue_id, read[0].born_ms, read[0].store_ms), (7, 3, 11, 12));
        assert_eq!(read[0].offset_message_id(), "7F00000100002A9F00000000000004D2");
        assert_eq!(read[1].body_crc, 0);
    }

    #[test]
    fn compressed_bodies_are_expanded() {
        let plain = vec![b'x'; 10_000];
        let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
        zlib.write_all(&plain).unwrap();
        let mut lz4 = lz4_flex::frame::FrameEncoder::new(Vec::new());
        lz4.write_all(&plain).unwrap();
        let zstd = ruzstd::encoding::compress_to_vec(&plain[..], ruzstd::encoding::CompressionLevel::Fastest);
        for (flag, body) in [(0x301, zlib.finish().unwrap()), (0x101, lz4.finish().unwrap()), (0x201, zstd)] {
            let message = messages(written(&parts(&body, b"", flag))).next().unwrap().unwrap();
            assert_eq!(message.plain_body().unwrap(), plain, "flag {flag:#x}");
            let broken = written(&parts(&body[..body.len() / 2], b"", flag));
            assert!(messages(broken).next().unwrap().unwrap().plain_body().is_err(), "flag {flag:#x}");
        }
    }

    proptest! {
        #[test]
        fn cut_or_changed_messages_never_panic(cut in 0usize..200, at in 0usize..150, with: u8) {
            let whole = written(&parts(b"body of a message", b"KEYS\x01k\x02", 0));
            let mut changed = whole.to_vec();
            let at = at % changed.len();
            changed[at] = with;
            for message in messages(Bytes::from(changed)).flatten() { let _ = message.plain_body(); }
            let cut = whole.slice(..cut.min(whole.len()));
            prop_assert_eq!(messages(cut.clone()).all(|m| m.is_ok()), cut.is_empty() || cut.len() == whole.len());
        }

        #[test]
        fn batches_give_back_what_was_written(items in proptest::collection::vec((proptest::collection::vec(any::<u8>(), 0..50), proptest::collection::vec(any::<u8>(), 0..50)), 0..10)) {
            let mut out = BytesMut::new();
            for (body, properties) in &items {
                put_item_head(&mut out, body.len(), properties.len());
                out.put_slice(body);
                put_item_tail(&mut out, properties);
            }
            let read = batch_items(out.freeze()).unwrap();
            prop_assert_eq!(read.len(), items.len());
            for (read, (body, properties)) in read.iter().zip(&items) {
                prop_assert_eq!((&read.body[..], &read.properties[..]), (&body[..], &properties[..]));
            }
        }

        #[test]
        fn foreign_batches_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..120)) {
            let _ = batch_items(Bytes::from(bytes));
        }
    }
}
