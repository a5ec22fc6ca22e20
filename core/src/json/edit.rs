//! Changing an object's text without taking it apart: what stays is copied as it stands, in one piece where it can be.

use std::ops::Range;

use bytes::{Bytes, BytesMut};
use memchr::memchr;

use super::scan::Seen;
use super::{Json, Member, NameHasher, index, write_string};
use crate::error::Result;

/// What becomes of a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MemberChange {
    /// It stays as it is.
    Keep,
    /// It goes.
    Drop,
    /// It stays under this name.
    Rename(String),
    /// It stays with this JSON text as its value.
    Replace(Vec<u8>),
}

/// Builds an object's text from an old one's members and new ones. One allocation, if the first guess of its size holds.
pub struct Editor {
    out: Vec<u8>,
}

impl Editor {
    /// An empty object with room for so many bytes of text.
    #[must_use]
    pub fn with_capacity(bytes: usize) -> Self {
        let mut out = Vec::with_capacity(bytes.saturating_add(2));
        out.push(b'{');
        Self { out }
    }

    /// The whole old object, ready for more members: one copy. An array has no members: it must not come here.
    #[must_use]
    pub fn of(json: &Json, more_bytes: usize) -> Self {
        debug_assert!(json.is_object(), "only an object has members");
        let text = json.text();
        let mut out = Vec::with_capacity(text.len().saturating_add(more_bytes));
        out.extend_from_slice(text.strip_suffix(b"}").unwrap_or(b"{"));
        Self { out }
    }

    fn separate(&mut self) {
        let last = self.out.iter().rfind(|byte| !byte.is_ascii_whitespace());
        if !matches!(last, Some(b'{')) {
            self.out.push(b',');
        }
    }

    /// Adds members as they stood, with what is between them; none if there is no text.
    fn put_members(&mut self, text: &[u8]) {
        if !text.is_empty() {
            self.separate();
            self.out.extend_from_slice(text);
        }
    }

    /// Adds a member as it stood.
    pub fn keep(&mut self, member: &Member<'_>) {
        self.put_raw(member.raw_name, member.raw_value);
    }

    /// Adds a member of this raw name (escapes as they are) and JSON text.
    pub fn put_raw(&mut self, raw_name: &[u8], raw_value: &[u8]) {
        self.separate();
        self.out.push(b'"');
        self.out.extend_from_slice(raw_name);
        self.out.extend_from_slice(b"\":");
        self.out.extend_from_slice(raw_value);
    }

    /// Adds a member of this name and JSON text.
    pub fn put(&mut self, name: &str, raw_value: &[u8]) {
        self.separate();
        write_string(&mut self.out, name);
        self.out.push(b':');
        self.out.extend_from_slice(raw_value);
    }

    /// The object.
    #[must_use]
    pub fn finish(mut self) -> Json {
        self.out.push(b'}');
        Json::unindexed(Bytes::from(self.out))
    }
}

/// Bytes of a block that results are cut from: some dozen records' worth, which live and die together in a batch.
const BLOCK_BYTES: usize = 16 * 1024;

/// Adds one member to many objects, which costs less than an [`Editor`] for each: the results are cut from blocks.
pub struct Appender {
    quoted_name: Vec<u8>,
    is_escaped: bool,
    block: BytesMut,
}

impl Appender {
    /// Prepares the member's name.
    #[must_use]
    pub fn new(name: &str) -> Self {
        let mut quoted_name = Vec::new();
        write_string(&mut quoted_name, name);
        let is_escaped = memchr(b'\\', &quoted_name).is_some();
        Self { quoted_name, is_escaped, block: BytesMut::new() }
    }

    /// The object with a member of that name at its end. An array has no members: it must not come here.
    #[must_use]
    pub fn append(&mut self, json: &Json, raw_value: &[u8]) -> Json {
        debug_assert!(json.is_object(), "only an object has members");
        let old = json.text().strip_suffix(b"}").unwrap_or(b"{");
        // Two more for comma and colon, and one for the brace.
        let parts = [old.len(), self.quoted_name.len(), raw_value.len(), 3];
        let needed = parts.into_iter().fold(0usize, usize::saturating_add);
        if self.block.capacity() < needed {
            self.block = BytesMut::with_capacity(needed.max(BLOCK_BYTES));
        }
        self.block.extend_from_slice(old);
        if !matches!(old.iter().rfind(|byte| !byte.is_ascii_whitespace()), Some(b'{')) {
            self.block.extend_from_slice(b",");
        }
        self.block.extend_from_slice(&self.quoted_name);
        self.block.extend_from_slice(b":");
        self.block.extend_from_slice(raw_value);
        self.block.extend_from_slice(b"}");
        let text = self.block.split().freeze();
        let value_end = text.len().saturating_sub(1);
        let value_start = value_end.saturating_sub(raw_value.len());
        // Between name and value stands the colon, and around the name its quotes.
        let name_end = value_start.saturating_sub(2);
        let name_start = name_end.saturating_add(2).saturating_sub(self.quoted_name.len());
        let seen = Seen { name_start, name_end, is_escaped: self.is_escaped, value_start, value_end };
        let ticket = index::change(json.ticket, |index| index.add(&seen, 0));
        Json { text, ticket }
    }
}

impl Json {
    /// The object with each member changed as `change` says; an array as it is. The caller sees to it that no two members
    /// end up with one name. Members that stay are copied together with what is between them.
    #[must_use]
    pub fn edited(&self, mut change: impl FnMut(&Member<'_>) -> MemberChange) -> Self {
        if !self.is_object() {
            return self.clone();
        }
        let mut editor = Editor::with_capacity(self.text().len());
        let mut staying = 0..0;
        for member in self.members() {
            let change = change(&member);
            if change == MemberChange::Keep {
                if staying.is_empty() {
                    staying.start = self.place(member.raw_name).saturating_sub(1);
                }
                staying.end = self.place(member.raw_value).saturating_add(member.raw_value.len());
                continue;
            }
            editor.put_members(self.text().get(staying).unwrap_or_default());
            staying = 0..0;
            match change {
                MemberChange::Keep | MemberChange::Drop => {}
                MemberChange::Rename(name) => editor.put(&name, member.raw_value),
                MemberChange::Replace(value) => editor.put_raw(member.raw_name, &value),
            }
        }
        editor.put_members(self.text().get(staying).unwrap_or_default());
        editor.finish()
    }

    /// The same text with another JSON text in the place of a member's value, which is a part of this one: two copies.
    #[must_use]
    pub fn spliced(&self, raw_value: &[u8], new_value: &[u8]) -> Self {
        let start = self.place(raw_value);
        let end = start.saturating_add(raw_value.len());
        let (before, after) = (self.text().get(..start), self.text().get(end..));
        Self::unindexed(Bytes::from([before.unwrap_or_default(), new_value, after.unwrap_or_default()].concat()))
    }

    /// Where a part of this text begins.
    fn place(&self, part: &[u8]) -> usize {
        part.as_ptr().addr().saturating_sub(self.text().as_ptr().addr())
    }
}

/// Gives the members of many objects other names. Results are cut from blocks and its memory is used again, so an object
/// costs no allocation of its own.
#[derive(Default)]
pub struct Renamer {
    block: BytesMut,
    names: Names,
}

impl Renamer {
    /// The object under other names: `rename` is told each member's name, escapes as they are, and sets a new one or
    /// leaves it. Everything between the names is copied as it stands.
    ///
    /// # Errors
    /// The first one of `rename`.
    pub fn rename(
        &mut self,
        json: &Json,
        mut rename: impl FnMut(&[u8], &mut NewName<'_>) -> Result<()>,
    ) -> Result<Renamed> {
        let text = json.text();
        let indexed = index::look(json.ticket, |index| {
            // Only names that are spelt in one way can be compared by their bytes.
            let names = index.places().iter().map(|place| place.name(text));
            (!index.is_escaped()).then(|| self.rename_members(json, names, false, &mut rename))
        });
        let renamed = match indexed.flatten() {
            Some(renamed) => renamed,
            None => {
                let names = json.members().map(|member| member.raw_name);
                self.rename_members(json, names, memchr(b'\\', text).is_some(), &mut rename)
            }
        }?;
        Ok(match renamed {
            Renamed::Edited(mut renamed) => {
                let lens = self.names.places.iter().map(|(place, _)| place.len());
                renamed.ticket = index::change(json.ticket, |index| index.rename(lens, renamed.text.len()));
                Renamed::Edited(renamed)
            }
            other => other,
        })
    }

    fn rename_members<'j>(
        &mut self,
        json: &'j Json,
        raw_names: impl Iterator<Item = &'j [u8]>,
        may_be_escaped: bool,
        rename: &mut impl FnMut(&[u8], &mut NewName<'_>) -> Result<()>,
    ) -> Result<Renamed> {
        let text = json.text();
        self.names.clear();
        // An error may have left something behind.
        self.block.clear();
        let mut new = NewName { block: &mut self.block, text, copied: 0, at: 0..0 };
        for raw_name in raw_names {
            if may_be_escaped && raw_name.contains(&b'\\') {
                return Ok(given_up(&mut self.block));
            }
            new.at.start = json.place(raw_name);
            new.at.end = new.at.start.saturating_add(raw_name.len());
            let before = new.copied;
            rename(raw_name, &mut new)?;
            if new.copied == before {
                self.names.add(&new.at, false);
                continue;
            }
            let end = new.block.len();
            let name = new.block.get(new.at.start..end).unwrap_or_default();
            if name.contains(&b'\\') {
                return Ok(given_up(&mut self.block));
            }
            self.names.add(&(new.at.start..end), true);
        }
        // Behind every name stands at least its quote, so something is copied once one is new.
        let copied = new.copied;
        if copied == 0 {
            return Ok(Renamed::Unchanged);
        }
        self.block.extend_from_slice(text.get(copied..).unwrap_or_default());
        if self.names.clash(text, &self.block) {
            return Ok(given_up(&mut self.block));
        }
        Ok(Renamed::Edited(Json::unindexed(self.block.split().freeze())))
    }
}

fn given_up(block: &mut BytesMut) -> Renamed {
    block.clear();
    Renamed::TakeApart
}

/// Where a member's new name is written.
pub struct NewName<'o> {
    block: &'o mut BytesMut,
    text: &'o [u8],
    /// Bytes of the old text that are in the new one, or replaced there.
    copied: usize,
    /// The old name in the old text; the new one in the new text once it is written.
    at: Range<usize>,
}

impl NewName<'_> {
    /// Writes it: once a member, and what it is between its quotes.
    pub fn set(&mut self, name: &[u8]) {
        if self.copied == 0 {
            let needed =
                self.text.len().saturating_add(self.text.len() / 4).saturating_add(name.len()).saturating_add(16);
            if self.block.capacity() < needed {
                *self.block = BytesMut::with_capacity(needed.max(BLOCK_BYTES));
            }
        }
        self.block.extend_from_slice(self.text.get(self.copied..self.at.start).unwrap_or_default());
        self.copied = self.at.end;
        self.at.start = self.block.len();
        self.block.extend_from_slice(name);
    }
}

/// Names that are compared each with each; of more, hashes tell whether any two may be the same.
const COMPARED_NAMES_MAX: usize = 32;

/// The names of a new object: where each stands, in the new text if it is new, else in the old one.
#[derive(Default)]
struct Names {
    places: Vec<(Range<usize>, bool)>,
}

impl Names {
    fn clear(&mut self) {
        self.places.clear();
    }

    fn add(&mut self, place: &Range<usize>, is_new: bool) {
        self.places.push((place.clone(), is_new));
    }

    /// Whether a new name is another one's too.
    fn clash(&self, old: &[u8], new: &[u8]) -> bool {
        let name = |(place, is_new): &(Range<usize>, bool)| if *is_new { new } else { old }.get(place.clone());
        if self.places.len() > COMPARED_NAMES_MAX && !self.seen_twice(name) {
            return false;
        }
        let is_twice = |(at, one): (usize, &(Range<usize>, bool))| {
            let same = |(other_at, other): (usize, &(Range<usize>, bool))| {
                other_at != at && other.0.len() == one.0.len() && name(other) == name(one)
            };
            self.places.iter().enumerate().any(same)
        };
        self.places.iter().enumerate().filter(|(_, one)| one.1).any(is_twice)
    }

    /// Whether two names have one hash: as long as none is seen twice, no two names are the same.
    fn seen_twice<'n>(&'n self, name: impl Fn(&'n (Range<usize>, bool)) -> Option<&'n [u8]>) -> bool {
        let mut seen = [0u64; 64];
        self.places.iter().any(|place| {
            let hash = NameHasher::hash(name(place).unwrap_or_default());
            let bit = 1 << (hash & 63);
            let word = seen.get_mut(usize::try_from(hash >> 6 & 63).unwrap_or(0));
            word.is_none_or(|word| std::mem::replace(word, *word | bit) & bit != 0)
        })
    }
}

/// What became of an object that was to get other names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Renamed {
    /// All names stay.
    Unchanged,
    /// The object under its new names.
    Edited(Json),
    /// Two members would have one name, or a name is written with escapes: the object must be taken apart.
    TakeApart,
}
