//! Finding one member in the text of many objects.

use memchr::{memchr, memmem};

use super::{Json, index, members_of, raw_member};

/// In objects from this length on, a name that stands nowhere in the rest is searched for, which costs less there than to
/// go through the members.
const SEARCHED_BYTES_MIN: usize = 256;

/// A member's name, prepared to be looked for in many objects.
pub struct MemberName {
    name: String,
    quoted: memmem::Finder<'static>,
}

impl MemberName {
    /// Prepares a name.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        let name = name.into();
        let quoted = memmem::Finder::new(&format!("\"{name}\"")).into_owned();
        Self { name, quoted }
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The text of the member's value in an object: of members of one name the last. An index is used if there is one, which
    /// the object has where it was decoded or edited last.
    #[must_use]
    pub fn find<'a>(&self, object: &'a Json) -> Option<&'a [u8]> {
        let text = object.text();
        let found = index::look(object.ticket, |index| index.find(text, &self.name));
        found.unwrap_or_else(|| self.find_in(text))
    }

    /// The same in the text of an object that was checked.
    ///
    /// Nothing is allocated unless another name is written with an escape.
    #[must_use]
    pub fn find_in<'a>(&self, object: &'a [u8]) -> Option<&'a [u8]> {
        if memchr(b'\\', object).is_some() {
            return raw_member(object, &self.name);
        }
        let is_searched = object.len() >= SEARCHED_BYTES_MIN;
        if is_searched {
            self.quoted.find(object)?;
        }
        let mut members = members_of(object);
        let mut last = None;
        while let Some(member) = members.next() {
            if member.raw_name == self.name.as_bytes() {
                last = Some(member.raw_value);
                if is_searched && self.quoted.find(members.rest()).is_none() {
                    break;
                }
            }
        }
        last
    }
}
