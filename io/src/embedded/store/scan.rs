//! Opening the commit log: every message is read and checked once, which also rebuilds the index.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::StoreLimits;
use super::log::{Log, Segment, file_name};
use crate::remoting::message::{Message, body_crc, messages_of_topics};

/// Read at once: more than the largest message has.
const WINDOW_BYTES: usize = 8 * 1024 * 1024;
/// Bytes of a stored message besides body, topic and properties.
pub(in crate::embedded) const MESSAGE_FIXED_BYTES: usize = 91;

/// A message found in the log.
pub(in crate::embedded) struct Found<'m> {
    /// The message.
    pub message: &'m Message,
    /// Its topic.
    pub topic: &'m [u8],
    /// Its position.
    pub position: u64,
    /// Its bytes.
    pub size: u32,
}

/// Why the commit log can't be opened.
#[derive(Debug, thiserror::Error)]
pub(in crate::embedded) enum ScanError {
    #[error("{path}: {source}")]
    Io { path: PathBuf, source: io::Error },
    #[error("{path} is damaged at byte {at}: {reason}")]
    Damaged { path: PathBuf, at: u64, reason: String },
}

/// See [`super::Store::open`].
pub(super) fn open(
    dir: &Path,
    limits: StoreLimits,
    mut found: impl FnMut(Found<'_>) -> Result<(), String>,
) -> Result<Log, ScanError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| ScanError::Io { path, source }
    };
    let bases = segment_bases(dir).map_err(failed(dir))?;
    let mut segments: Vec<Segment> = Vec::with_capacity(bases.len());
    let last_base = bases.last().copied();
    for base in bases {
        let path = dir.join(file_name(base));
        let expected = segments.last().map_or(base, |before| before.base + before.len);
        if base != expected {
            let reason = format!("it should start at position {expected}: a segment is missing or cut short");
            return Err(ScanError::Damaged { path, at: 0, reason });
        }
        let file = File::options().read(true).write(true).open(&path).map_err(failed(&path))?;
        let scan = Scan { path: &path, base, file: &file };
        let (len, damage) = scan.run(&mut found)?;
        if let Some(reason) = damage {
            if Some(base) != last_base {
                return Err(ScanError::Damaged { path, at: len, reason });
            }
            tracing::warn!(path = %path.display(), at = len, reason, "the embedded broker cuts off the torn end of its commit log");
            // Only the end of the last segment can have been under way when the process or the machine stopped.
            file.set_len(len).and_then(|()| file.sync_all()).map_err(failed(&path))?;
        }
        segments.push(Segment { base, len, file: Arc::new(file) });
    }
    if segments.is_empty() {
        segments.push(Segment::create(dir, 0).map_err(failed(dir))?);
    }
    Ok(Log::new(dir.to_owned(), limits, segments))
}

fn segment_bases(dir: &Path) -> io::Result<Vec<u64>> {
    let mut bases = Vec::new();
    for entry in fs::read_dir(dir)? {
        let name = entry?.file_name();
        let base = name.to_str().and_then(|name| name.strip_suffix(".log")).and_then(|base| base.parse().ok());
        bases.extend::<Option<u64>>(base);
    }
    bases.sort_unstable();
    Ok(bases)
}

struct Scan<'s> {
    path: &'s Path,
    base: u64,
    file: &'s File,
}

impl Scan<'_> {
    /// Gives the bytes that are sound, and what is wrong with those behind them.
    fn run(&self, found: &mut impl FnMut(Found<'_>) -> Result<(), String>) -> Result<(u64, Option<String>), ScanError> {
        let failed = |source| ScanError::Io { path: self.path.to_owned(), source };
        let len = self.file.metadata().map_err(failed)?.len();
        let mut at = 0u64;
        while at < len {
            let window = usize::try_from(len - at).unwrap_or(usize::MAX).min(WINDOW_BYTES);
            let mut bytes = BytesMut::zeroed(window);
            self.file.read_exact_at(&mut bytes, at).map_err(failed)?;
            let start = at;
            let mut damage = None;
            for message in messages_of_topics(bytes.freeze()) {
                match message.map_err(|error| error.to_string()).and_then(|message| self.check(message, at)) {
                    Ok((message, topic, size)) => {
                        found(Found { message: &message, topic: &topic, position: self.base + at, size })
                            .map_err(|reason| ScanError::Damaged { path: self.path.to_owned(), at, reason })?;
                        at += u64::from(size);
                    }
                    Err(reason) => {
                        damage = Some(reason);
                        break;
                    }
                }
            }
            // A message cut by the window's end is read again from the window's start on.
            if damage.is_some() && (at == start || window < WINDOW_BYTES) {
                return Ok((at, damage));
            }
        }
        Ok((at, None))
    }

    fn check(&self, (message, topic): (Message, Bytes), at: u64) -> Result<(Message, Bytes, u32), String> {
        if message.physical_offset != (self.base + at).cast_signed() {
            return Err(format!("a message says that it stands at {}", message.physical_offset));
        }
        if message.body_crc != body_crc(&message.body) {
            return Err("a body's checksum is wrong".to_owned());
        }
        let size = MESSAGE_FIXED_BYTES + message.body.len() + topic.len() + message.properties.len();
        let size = u32::try_from(size).map_err(|_| "a message is too large".to_owned())?;
        Ok((message, topic, size))
    }
}

/// The bytes of a message as a slice of the piece that holds it, with the rest of the piece.
pub(in crate::embedded) fn split_message(piece: &mut Bytes) -> Option<Bytes> {
    let size = u32::from_be_bytes(*piece.first_chunk::<4>()?) as usize;
    (size >= MESSAGE_FIXED_BYTES && size <= piece.len()).then(|| piece.split_to(size))
}
