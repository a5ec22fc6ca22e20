//! Bytes to frames and back: many frames are cut from one large read, without copying any.

use bytes::{Buf, Bytes, BytesMut};
use rmqc_core::limits::FRAME_BYTES_MAX;

use super::header::HeaderForm;

/// Smallest read buffer, in bytes.
const BUFFER_BYTES_MIN: usize = 256 * 1024;
/// Room at the buffer's end that is kept for completing a frame, at least, in bytes.
const RESERVE_BYTES_MIN: usize = 32 * 1024;
/// Filled buffers that are kept to be read into again once their frames are gone, in bytes together, at most …
const RETIRED_BYTES_MAX: usize = 4 * 1024 * 1024;
/// … and so many.
const RETIRED_BUFFERS_MAX: usize = 16;
/// Bytes of the length field and of the header-length field.
const PREFIX_BYTES: usize = 8;

/// One frame: header and body as parts of the read buffer.
#[derive(Debug, PartialEq, Eq)]
pub struct Frame {
    /// Form of the header.
    pub form: HeaderForm,
    /// Header, not yet decoded.
    pub header: Bytes,
    /// Body; nobody else sees it yet, so it may be changed in place.
    pub body: BytesMut,
}

/// A frame that can't be: the connection must be closed, since nothing after it can be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The length field is out of bounds.
    #[error("frame of {0} bytes announced; 4 to {FRAME_BYTES_MAX} are possible")]
    Length(u32),
    /// The header is longer than its frame.
    #[error("header of {header} bytes announced in a frame of {frame}")]
    HeaderLength {
        /// Bytes announced for the header.
        header: usize,
        /// Bytes of the frame.
        frame: usize,
    },
    /// The header's form is neither JSON (0) nor binary (1).
    #[error("unknown header form {0}")]
    Form(u8),
}

/// Cuts frames from a byte stream, whatever way it is split.
///
/// Reads are bounded so that a frame never straddles two buffers: before the buffer's last part is reached, reading
/// goes on only to the end of the frame under way. So bodies are not moved, but for a frame that is larger than any
/// seen before on this connection; such moves are counted.
///
/// A filled buffer is read into again as soon as nobody has a slice of it any more: memory that was just used is in the
/// caches and mapped, where new memory costs a page fault every 4 KiB.
#[derive(Debug)]
pub struct FrameDecoder {
    buffer: BytesMut,
    /// Filled buffers, the last one behind.
    retired: Vec<Retired>,
    /// Bytes of the present buffer when nothing is in it.
    buffer_bytes: usize,
    frame_max_seen: usize,
    moved: u64,
}

/// A buffer whose frames may still be about.
#[derive(Debug)]
struct Retired {
    buffer: BytesMut,
    /// Bytes that it holds when it is free.
    bytes: usize,
}

impl Default for FrameDecoder {
    fn default() -> Self {
        Self { buffer: BytesMut::new(), retired: Vec::new(), buffer_bytes: 0, frame_max_seen: 0, moved: 0 }
    }
}

impl FrameDecoder {
    /// The buffer to read into and the most bytes to read now (at least one). Call [`FrameDecoder::next_frame`] until
    /// it gives nothing before each call.
    pub fn read_target(&mut self) -> (&mut BytesMut, usize) {
        let reserve = self.frame_max_seen.saturating_add(self.frame_max_seen / 4).max(RESERVE_BYTES_MIN);
        let have = self.buffer.len();
        let spare = self.buffer.capacity().saturating_sub(have);
        if have == 0 && spare <= reserve {
            self.take_empty_buffer(BUFFER_BYTES_MIN.max(reserve.saturating_mul(2)));
        }
        let wanted = self.missing();
        let spare = self.buffer.capacity().saturating_sub(have);
        if wanted > spare {
            self.moved = self.moved.saturating_add(have as u64);
            self.buffer.reserve(wanted.max(BUFFER_BYTES_MIN));
            self.buffer_bytes = self.buffer.capacity();
        }
        let spare = self.buffer.capacity().saturating_sub(have);
        let len_max = if spare > reserve.max(wanted) { spare.saturating_sub(reserve).max(wanted) } else { wanted };
        (&mut self.buffer, len_max.max(1))
    }

    /// Goes over to an empty buffer of at least so many bytes: the last one of which nobody has a slice, or a new one.
    fn take_empty_buffer(&mut self, bytes: usize) {
        if self.buffer.try_reclaim(bytes) {
            return;
        }
        let found = self.retired.iter_mut().rposition(|retired| retired.buffer.try_reclaim(bytes));
        let next = match found {
            Some(found) => self.retired.remove(found).buffer,
            None => BytesMut::with_capacity(bytes),
        };
        let next_bytes = next.capacity();
        let filled = std::mem::replace(&mut self.buffer, next);
        let filled = Retired { buffer: filled, bytes: std::mem::replace(&mut self.buffer_bytes, next_bytes) };
        // What is too small for the frames that come now is of no use any more.
        self.retired.retain(|retired| retired.bytes >= bytes);
        if filled.bytes >= bytes {
            let kept: usize = self.retired.iter().map(|retired| retired.bytes).sum();
            if self.retired.len() >= RETIRED_BUFFERS_MAX || kept.saturating_add(filled.bytes) > RETIRED_BYTES_MAX {
                self.retired.drain(..1.min(self.retired.len()));
            }
            self.retired.push(filled);
        }
    }

    /// Bytes that the frame under way still lacks (or its length field).
    fn missing(&self) -> usize {
        match self.buffer.first_chunk::<4>() {
            None => 4usize.saturating_sub(self.buffer.len()),
            Some(length) => (u32::from_be_bytes(*length) as usize).saturating_add(4).saturating_sub(self.buffer.len()),
        }
    }

    /// The next whole frame, if there is one.
    ///
    /// # Errors
    /// When the bytes can't be a frame; then the stream is of no further use.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, FrameError> {
        let Some(length) = self.buffer.first_chunk::<4>() else { return Ok(None) };
        let length = u32::from_be_bytes(*length);
        let frame_len = length as usize;
        if !(4..=FRAME_BYTES_MAX).contains(&frame_len) {
            return Err(FrameError::Length(length));
        }
        let Some([_, _, _, _, form, mark @ ..]) = self.buffer.first_chunk::<PREFIX_BYTES>() else { return Ok(None) };
        let [high, middle, low] = *mark;
        let header_len = u32::from_be_bytes([0, high, middle, low]) as usize;
        let form = match form {
            0 => HeaderForm::Json,
            1 => HeaderForm::Binary,
            other => return Err(FrameError::Form(*other)),
        };
        if header_len > frame_len.saturating_sub(4) {
            return Err(FrameError::HeaderLength { header: header_len, frame: frame_len });
        }
        let whole = frame_len.saturating_add(4);
        if self.buffer.len() < whole {
            return Ok(None);
        }
        self.frame_max_seen = self.frame_max_seen.max(whole);
        let mut frame = self.buffer.split_to(whole);
        frame.advance(PREFIX_BYTES);
        let header = frame.split_to(header_len).freeze();
        Ok(Some(Frame { form, header, body: frame }))
    }

    /// Bytes that had to be moved in user space because a frame straddled two buffers.
    #[must_use]
    pub fn moved_bytes(&self) -> u64 {
        self.moved
    }
}

/// Starts a frame at the end of `out`: leaves room for the prefix and gives the mark for [`finish`].
#[must_use]
pub fn begin(out: &mut BytesMut) -> usize {
    let mark = out.len();
    out.extend_from_slice(&[0; PREFIX_BYTES]);
    mark
}

/// Fills in the prefix of a frame begun at `mark`, whose JSON header ends at the end of `out`, and whose body of
/// `body_len` bytes follows.
pub fn finish(out: &mut BytesMut, mark: usize, body_len: usize) {
    let header_len = out.len().saturating_sub(mark).saturating_sub(PREFIX_BYTES);
    let total = header_len.saturating_add(body_len).saturating_add(4);
    debug_assert!(total <= FRAME_BYTES_MAX);
    let length = u32::try_from(total).unwrap_or(u32::MAX).to_be_bytes();
    let header = u32::try_from(header_len).unwrap_or(u32::MAX) & 0x00FF_FFFF;
    if let Some(prefix) = out.get_mut(mark..).and_then(|rest| rest.first_chunk_mut::<PREFIX_BYTES>()) {
        let [a, b, c, d] = length;
        let [e, f, g, h] = header.to_be_bytes();
        *prefix = [a, b, c, d, e, f, g, h];
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frame(header: &[u8], body: &[u8]) -> Vec<u8> {
        let mut out = BytesMut::new();
        let mark = begin(&mut out);
        out.extend_from_slice(header);
        finish(&mut out, mark, body.len());
        out.extend_from_slice(body);
        out.to_vec()
    }

    /// Feeds a stream as a socket would: at most `len_max` at a time, cut at the given sizes.
    fn feed(decoder: &mut FrameDecoder, mut stream: &[u8], cuts: &[usize]) -> Vec<Frame> {
        let mut frames = Vec::new();
        let mut cuts = cuts.iter().cycle();
        while !stream.is_empty() {
            let (buffer, len_max) = decoder.read_target();
            let spare = buffer.capacity() - buffer.len();
            assert!(len_max <= spare, "the caller reads into spare room only");
            let len = (*cuts.next().unwrap()).clamp(1, len_max).min(stream.len());
            buffer.extend_from_slice(&stream[..len]);
            stream = &stream[len..];
            while let Some(frame) = decoder.next_frame().unwrap() {
                frames.push(frame);
            }
        }
        frames
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same_frames(
            sizes in proptest::collection::vec((0usize..80, prop_oneof![0usize..300, 0usize..90_000]), 1..40),
            cuts in proptest::collection::vec(1usize..400_000, 1..20),
        ) {
            let parts: Vec<_> = sizes.iter().enumerate()
                .map(|(at, (header, body))| (vec![at as u8; *header], vec![!at as u8; *body])).collect();
            let stream: Vec<u8> = parts.iter().flat_map(|(header, body)| frame(header, body)).collect();
            let frames = feed(&mut FrameDecoder::default(), &stream, &cuts);
            prop_assert_eq!(frames.len(), parts.len());
            for (frame, (header, body)) in frames.iter().zip(&parts) {
                prop_assert_eq!((&frame.header[..], &frame.body[..]), (&header[..], &body[..]));
            }
        }

        #[test]
        fn foreign_bytes_never_panic_nor_reserve_much(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let mut decoder = FrameDecoder::default();
            let (buffer, _) = decoder.read_target();
            buffer.extend_from_slice(&bytes);
            while let Ok(Some(_)) = decoder.next_frame() {}
        }
    }

    #[test]
    fn frames_of_a_known_size_are_never_moved() {
        let one = frame(&[b'h'; 100], &[b'b'; 8_000]);
        let stream: Vec<u8> = std::iter::repeat_n(one, 500).flatten().collect();
        let mut decoder = FrameDecoder::default();
        assert_eq!(feed(&mut decoder, &stream, &[usize::MAX, 5, 70_000, 3]).len(), 500);
        assert_eq!(decoder.moved_bytes(), 0);
    }

    #[test]
    fn a_buffer_is_read_into_again_once_its_frames_are_gone() {
        let mut decoder = FrameDecoder::default();
        let (mut held, mut places) = (std::collections::VecDeque::new(), std::collections::BTreeSet::new());
        for number in 0..5_000u32 {
            let body = number.to_be_bytes().repeat(2_000);
            for frame in feed(&mut decoder, &frame(b"h", &body), &[usize::MAX]) {
                places.insert(frame.body.as_ptr().addr());
                held.push_back(frame);
            }
            // What is held for longer than a buffer lasts is left alone.
            if held.len() > 100 {
                let oldest = held.pop_front().unwrap();
                assert_eq!(oldest.body, (number - 100).to_be_bytes().repeat(2_000));
            }
        }
        assert!(places.len() < 300, "{} places for 5,000 frames", places.len());
        assert!(decoder.retired.len() <= 6, "{}", decoder.retired.len());
    }

    #[test]
    fn hostile_lengths_are_refused() {
        let cases: [(&[u8], FrameError); 4] = [
            (&[0, 0, 0, 3, 0, 0, 0, 0], FrameError::Length(3)),
            (&[0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0], FrameError::Length(0x7fff_ffff)),
            (&[0, 0, 0, 8, 0, 0, 0, 5], FrameError::HeaderLength { header: 5, frame: 8 }),
            (&[0, 0, 0, 8, 9, 0, 0, 0], FrameError::Form(9)),
        ];
        for (bytes, error) in cases {
            let mut decoder = FrameDecoder::default();
            decoder.read_target().0.extend_from_slice(bytes);
            assert_eq!(decoder.next_frame(), Err(error));
        }
    }
}
