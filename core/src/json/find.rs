//! Finding one member in the text of many objects.

use memchr::{memchr, memmem};

use super::{members_of, raw_member};

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

    /// The text of the member's value in the text of an object that was checked: of members of one name the last.
    ///
    /// The search ends early where the name in quotes stands nowhere in the rest of the text, which costs less than to
    /// go through its members. Nothing is allocated unless another name is written with an escape.
    #[must_use]
    pub fn find_in<'a>(&self, object: &'a [u8]) -> Option<&'a [u8]> {
        if memchr(b'\\', object).is_some() {
            return raw_member(object, &self.name);
        }
        self.quoted.find(object)?;
        let mut members = members_of(object);
        let mut last = None;
        while let Some(member) = members.next() {
            if member.raw_name == self.name.as_bytes() {
                last = Some(member.raw_value);
                if self.quoted.find(members.rest()).is_none() {
                    break;
                }
            }
        }
        last
    }
}
