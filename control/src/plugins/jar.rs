//! The names in a jar or zip, from its central directory. The file may be anything: what does not fit gives a reason, and
//! no more than one entry's name is held at a time.

use std::io::{self, BufReader, Read, Seek, SeekFrom};

/// Most entries that are looked at.
const ENTRIES_MAX: u64 = 1_000_000;
/// Largest central directory that is read, in bytes.
const DIRECTORY_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// The end record without its comment.
const END_BYTES: usize = 22;
/// Longest comment behind the end record.
const COMMENT_BYTES_MAX: usize = 65_535;
/// The record of 64 bits that points at another end record.
const LOCATOR_BYTES: usize = 20;
/// The other end record's fixed part.
const END_64_BYTES: usize = 56;
/// An entry's fixed part.
const ENTRY_BYTES: usize = 46;

const END_MARK: [u8; 4] = *b"PK\x05\x06";
const LOCATOR_MARK: [u8; 4] = *b"PK\x06\x07";
const END_64_MARK: [u8; 4] = *b"PK\x06\x06";
const ENTRY_MARK: [u8; 4] = *b"PK\x01\x02";

/// Why a jar's names can't be told.
#[derive(Debug, thiserror::Error)]
pub(super) enum JarError {
    /// It is no zip file, or a broken one.
    #[error("it is no whole zip file: {0}")]
    Malformed(&'static str),
    /// It is larger than anything that is read.
    #[error("its list of files is larger than what is looked at ({0})")]
    TooLarge(String),
    /// It can't be read.
    #[error("it can't be read: {0}")]
    Unreadable(#[from] io::Error),
}

/// Where the central directory is.
#[derive(Debug, PartialEq, Eq)]
struct Directory {
    offset: u64,
    bytes: u64,
    entries: u64,
}

/// Hands over the name of every entry, as its bytes, until `visit` says to stop by false.
///
/// # Errors
/// See [`JarError`]; names that were handed over before stay so.
pub(super) fn names(file: &mut (impl Read + Seek), mut visit: impl FnMut(&[u8]) -> bool) -> Result<(), JarError> {
    let directory = find_directory(file)?;
    if directory.entries > ENTRIES_MAX {
        return Err(JarError::TooLarge(format!("{} entries", directory.entries)));
    }
    if directory.bytes > DIRECTORY_BYTES_MAX {
        return Err(JarError::TooLarge(format!("{} bytes", directory.bytes)));
    }
    file.seek(SeekFrom::Start(directory.offset))?;
    let mut reader = BufReader::with_capacity(64 * 1024, file.take(directory.bytes));
    let mut name = Vec::new();
    for _ in 0..directory.entries {
        let mut fixed = [0; ENTRY_BYTES];
        read_all(&mut reader, &mut fixed)?;
        if !fixed.starts_with(&ENTRY_MARK) {
            return Err(JarError::Malformed("its list of files is damaged"));
        }
        name.resize(usize::from(u16_at(&fixed, 28)?), 0);
        read_all(&mut reader, &mut name)?;
        // Lengths of the extra field and the comment: two times 16 bits, which can't overflow.
        let rest = u64::from(u16_at(&fixed, 30)?).saturating_add(u64::from(u16_at(&fixed, 32)?));
        let skipped = io::copy(&mut (&mut reader).take(rest), &mut io::sink())?;
        if skipped < rest {
            return Err(JarError::Malformed("it ends in its list of files"));
        }
        if !visit(&name) {
            break;
        }
    }
    Ok(())
}

fn find_directory(file: &mut (impl Read + Seek)) -> Result<Directory, JarError> {
    let len = file.seek(SeekFrom::End(0))?;
    let tail_bytes = len.min((END_BYTES.saturating_add(COMMENT_BYTES_MAX).saturating_add(LOCATOR_BYTES)) as u64);
    let tail_start = len.saturating_sub(tail_bytes);
    file.seek(SeekFrom::Start(tail_start))?;
    let mut tail = Vec::new();
    file.take(tail_bytes).read_to_end(&mut tail)?;
    let Some(at) = tail.windows(END_BYTES).rposition(is_end) else {
        return Err(JarError::Malformed("its end record is missing; is it truncated?"));
    };
    let end = tail.get(at..).unwrap_or_default();
    let entries = u64::from(u16_at(end, 10)?);
    let (bytes, offset) = (u64::from(u32_at(end, 12)?), u64::from(u32_at(end, 16)?));
    let small = Directory { offset, bytes, entries };
    let needs_64 = entries == u64::from(u16::MAX) || bytes == u64::from(u32::MAX) || offset == u64::from(u32::MAX);
    let locator = at.checked_sub(LOCATOR_BYTES).and_then(|start| tail.get(start..at));
    let directory = match locator.filter(|locator| needs_64 && locator.starts_with(&LOCATOR_MARK)) {
        Some(locator) => directory_64(file, u64_at(locator, 8)?)?,
        None => small,
    };
    match directory.offset.checked_add(directory.bytes) {
        Some(end) if end <= len => Ok(directory),
        _ => Err(JarError::Malformed("its list of files lies beyond its end")),
    }
}

/// Whether an end record can begin here. Its mark may also stand in a comment; the last one that fits counts.
fn is_end(window: &[u8]) -> bool {
    window.starts_with(&END_MARK)
}

fn directory_64(file: &mut (impl Read + Seek), offset: u64) -> Result<Directory, JarError> {
    file.seek(SeekFrom::Start(offset))?;
    let mut end = [0; END_64_BYTES];
    read_all(file, &mut end)?;
    if !end.starts_with(&END_64_MARK) {
        return Err(JarError::Malformed("its end record of 64 bits is missing"));
    }
    Ok(Directory { entries: u64_at(&end, 32)?, bytes: u64_at(&end, 40)?, offset: u64_at(&end, 48)? })
}

fn read_all(reader: &mut impl Read, buffer: &mut [u8]) -> Result<(), JarError> {
    reader.read_exact(buffer).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => JarError::Malformed("it ends in its list of files"),
        _ => JarError::Unreadable(error),
    })
}

fn bytes_at<const N: usize>(record: &[u8], at: usize) -> Result<[u8; N], JarError> {
    let bytes = record.get(at..).and_then(|rest| rest.first_chunk::<N>());
    bytes.copied().ok_or(JarError::Malformed("a record is too short"))
}

fn u16_at(record: &[u8], at: usize) -> Result<u16, JarError> {
    bytes_at(record, at).map(u16::from_le_bytes)
}

fn u32_at(record: &[u8], at: usize) -> Result<u32, JarError> {
    bytes_at(record, at).map(u32::from_le_bytes)
}

fn u64_at(record: &[u8], at: usize) -> Result<u64, JarError> {
    bytes_at(record, at).map(u64::from_le_bytes)
}

#[cfg(test)]
pub(super) mod tests {
    use std::io::Cursor;

    use super::*;

    /// A zip file whose list names these files; they have no content.
    pub(crate) fn zip(names: &[&str]) -> Vec<u8> {
        let mut directory = Vec::new();
        for name in names {
            let mut entry = [0; ENTRY_BYTES];
            entry[..4].copy_from_slice(&ENTRY_MARK);
            entry[28..30].copy_from_slice(&u16::try_from(name.len()).unwrap().to_le_bytes());
            entry[30..32].copy_from_slice(&3_u16.to_le_bytes());
            directory.extend(entry);
            directory.extend(name.as_bytes());
            directory.extend(b"ext");
        }
        let mut all = b"front".to_vec();
        all.extend(&directory);
        let mut end = [0; END_BYTES];
        end[..4].copy_from_slice(&END_MARK);
        end[10..12].copy_from_slice(&u16::try_from(names.len()).unwrap().to_le_bytes());
        end[12..16].copy_from_slice(&u32::try_from(directory.len()).unwrap().to_le_bytes());
        end[16..20].copy_from_slice(&5_u32.to_le_bytes());
        all.extend(end);
        all
    }

    fn read(bytes: &[u8]) -> Result<Vec<String>, String> {
        let mut found = Vec::new();
        let visit = |name: &[u8]| {
            found.push(String::from_utf8_lossy(name).into_owned());
            true
        };
        names(&mut Cursor::new(bytes), visit).map_err(|error| error.to_string())?;
        Ok(found)
    }

    /// A file whose numbers stand in the records of 64 bits.
    fn zip_64(names: &[&str], entries: u64) -> Vec<u8> {
        let small = zip(names);
        let (front, end) = small.split_at(small.len() - END_BYTES);
        let mut all = front.to_vec();
        let at = all.len() as u64;
        let mut end_64 = [0; END_64_BYTES];
        end_64[..4].copy_from_slice(&END_64_MARK);
        for (place, number) in [(32, entries), (40, at - 5), (48, 5)] {
            end_64[place..place + 8].copy_from_slice(&number.to_le_bytes());
        }
        all.extend(end_64);
        let mut locator = [0; LOCATOR_BYTES];
        locator[..4].copy_from_slice(&LOCATOR_MARK);
        locator[8..16].copy_from_slice(&at.to_le_bytes());
        all.extend(locator);
        let mut end = end.to_vec();
        end[10..12].copy_from_slice(&[0xff; 2]);
        end[12..20].copy_from_slice(&[0xff; 8]);
        all.extend(end);
        all
    }

    #[test]
    fn names_are_read_whatever_stands_around_the_list() {
        let names = ["a/B.class", "", "META-INF/MANIFEST.MF"];
        assert_eq!(read(&zip(&names)).unwrap(), names);
        let mut with_comment = zip(&names);
        with_comment.extend([b'x'; COMMENT_BYTES_MAX]);
        assert_eq!(read(&with_comment).unwrap(), names);
        assert_eq!(read(&zip_64(&names, 3)).unwrap(), names);
        assert_eq!(read(&zip(&[])).unwrap(), Vec::<String>::new());
    }

    #[test]
    fn hostile_files_give_a_reason() {
        for (bytes, reason) in [
            (vec![], "end record is missing"),
            (b"PK".to_vec(), "end record is missing"),
            (vec![0; 200_000], "end record is missing"),
            (zip_64(&["a"], u64::MAX), "18446744073709551615 entries"),
            (zip_64(&["a"], 2), "ends in its list"),
        ] {
            let error = read(&bytes).unwrap_err();
            assert!(error.contains(reason), "{error}");
        }
        let mut beyond = zip(&["a"]);
        let at = beyond.len() - 6;
        beyond[at..at + 4].copy_from_slice(&0x7fff_ffff_u32.to_le_bytes());
        assert!(read(&beyond).unwrap_err().contains("beyond its end"));
        let mut damaged = zip(&["a", "b"]);
        damaged[5] = b'X';
        assert!(read(&damaged).unwrap_err().contains("damaged"));
    }

    #[test]
    fn no_cut_and_no_flipped_byte_panics() {
        for whole in [zip(&["a/B.class", "c"]), zip_64(&["a/B.class", "c"], 2)] {
            for cut in 0..whole.len() {
                assert!(read(&whole[..cut]).is_err(), "{cut}");
            }
            for at in 0..whole.len() {
                for value in [0, 1, 0x7f, 0xff] {
                    let mut changed = whole.clone();
                    changed[at] = value;
                    let _ = read(&changed);
                }
            }
        }
    }
}
