//! Finding one member in the text of many objects.

use memchr::{memchr, memmem};

use super::{members_of, position_in, raw_member};

/// Whether a text holds an escape, so that a name may be written in more than one way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spelling {
    /// It holds none, nor does any part of it.
    Plain,
    /// It holds one.
    Escaped,
}

impl Spelling {
    /// Looks through a text.
    #[must_use]
    pub fn of(text: &[u8]) -> Self {
        if memchr(b'\\', text).is_some() { Self::Escaped } else { Self::Plain }
    }
}

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
        self.find_spelt(object, Spelling::of(object))
    }

    /// The same in an object of which is known how it is spelt, so that this is found out once.
    #[must_use]
    pub fn find_spelt<'a>(&self, object: &'a [u8], spelling: Spelling) -> Option<&'a [u8]> {
        if spelling == Spelling::Escaped {
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

    /// Whether the object has such a member outside of one of its values, `value`. The members are only gone through where
    /// the name in quotes stands outside of it.
    #[must_use]
    pub fn is_beside(&self, object: &[u8], value: &[u8], spelling: Spelling) -> bool {
        let outside = position_in(object, value).and_then(|start| {
            let (before, rest) = object.split_at_checked(start)?;
            Some((before, rest.get(value.len()..)?))
        });
        match outside {
            Some((before, after)) if spelling == Spelling::Plain => {
                let stands_in = |part: &[u8]| self.quoted.find(part).is_some();
                (stands_in(before) || stands_in(after)) && self.find_spelt(object, spelling).is_some()
            }
            _ => self.find_spelt(object, spelling).is_some(),
        }
    }
}
