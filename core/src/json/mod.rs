//! JSON text as a value that nobody has taken apart: checked once, then looked at in place.
//!
//! Of members of one name the last one counts, as in Java. Nothing here allocates but what says so.

mod edit;
mod find;
mod index;
mod name_hash;
mod parse;
mod scan;
mod skip;
mod wide;
mod write;

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;
use memchr::memchr;

pub use edit::{Appender, Editor, MemberChange, NewName, Renamed, Renamer};
pub use find::MemberName;
pub(crate) use name_hash::NameHasher;
pub use parse::{number, unescape};
pub use scan::Malformed;
pub(crate) use scan::{skip_blanks, string_end};
pub(crate) use skip::skip_value;
pub(crate) use write::{write_base64, write_display};
pub use write::{write_string, write_value};

use crate::value::{Text, Value};
use index::Ticket;

/// The text of a JSON object or array: well formed, UTF-8, without blanks around it.
#[derive(Clone)]
pub struct Json {
    text: Bytes,
    /// Of the index of its members, if there is one.
    ticket: Ticket,
}

impl PartialEq for Json {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Json {}

/// One member of an object, in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member<'a> {
    /// The name between its quotes, escapes as they are.
    pub raw_name: &'a [u8],
    /// The value's text.
    pub raw_value: &'a [u8],
}

impl<'a> Member<'a> {
    /// The name; allocates only if it holds an escape.
    #[must_use]
    pub fn name(&self) -> Cow<'a, str> {
        unescape(self.raw_name)
    }

    /// Whether it has this name.
    #[must_use]
    pub fn is_named(&self, name: &str) -> bool {
        self.raw_name == name.as_bytes() || memchr(b'\\', self.raw_name).is_some() && self.name() == name
    }
}

/// A value of JSON text: objects and arrays stay text, what lies flat becomes what it is.
///
/// # Errors
/// Where and why the text is not JSON, or not such JSON as is taken: nested deeper than
/// [`crate::limits::JSON_DEPTH_MAX`], a number beyond a double's range, half a surrogate pair.
pub fn decode(text: Bytes) -> Result<Value, Malformed> {
    if !wide::is_ascii(&text)
        && let Err(error) = std::str::from_utf8(&text)
    {
        return Err(Malformed { position: error.valid_up_to(), reason: "not UTF-8" });
    }
    let start = scan::skip_blanks(&text, 0);
    let mut end = start;
    let ticket = index::fill(|mut index| {
        end = scan::value_end(&text, start, |member| {
            if let Some(index) = &mut index {
                index.add(member, start);
            }
        })?;
        Ok(text.get(start) == Some(&b'{'))
    })?;
    let rest = scan::skip_blanks(&text, end);
    if rest < text.len() {
        return Err(Malformed { position: rest, reason: "something stands behind the value" });
    }
    let mut text = text;
    text.truncate(end);
    bytes::Buf::advance(&mut text, start);
    Ok(value_in_place(text, ticket))
}

/// The value of a text that was checked: an object or array stays text.
fn value_in_place(text: Bytes, ticket: Ticket) -> Value {
    match text.first() {
        Some(b'{' | b'[') => Value::Json(Json { text, ticket }),
        _ => parse::parse(&text),
    }
}

impl Json {
    /// The text.
    #[must_use]
    pub fn text(&self) -> &Bytes {
        &self.text
    }

    /// A text of which no index is known.
    fn unindexed(text: Bytes) -> Self {
        Self { text, ticket: Ticket::NONE }
    }

    /// Whether it is an object; else it is an array.
    #[must_use]
    pub fn is_object(&self) -> bool {
        self.text.first() == Some(&b'{')
    }

    /// The members of an object, in order, each as often as it stands there; of an array nothing.
    #[must_use]
    pub fn members(&self) -> Members<'_> {
        members_of(&self.text)
    }

    /// The text of the value of a member.
    #[must_use]
    pub fn raw_member(&self, name: &str) -> Option<&[u8]> {
        let found = index::look(self.ticket, |index| index.find(&self.text, name));
        found.unwrap_or_else(|| raw_member(&self.text, name))
    }

    /// The value of a member, without a copy: objects and arrays stay text.
    #[must_use]
    pub fn member(&self, name: &str) -> Option<Value> {
        self.raw_member(name).map(|raw| self.value_of(raw))
    }

    /// The value of a part of this text, without a copy: the whole text of a member's value, for example.
    #[must_use]
    pub fn value_of(&self, raw: &[u8]) -> Value {
        value_in_place(slice_of(&self.text, raw), Ticket::NONE)
    }

    /// All of it taken apart, in maps, lists and values.
    #[must_use]
    pub fn parse(&self) -> Value {
        parse::parse(&self.text)
    }
}

impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.text))
    }
}

/// The text of a member's value in the text of an object that was checked.
#[must_use]
pub fn raw_member<'a>(object: &'a [u8], name: &str) -> Option<&'a [u8]> {
    members_of(object).filter(|member| member.is_named(name)).last().map(|member| member.raw_value)
}

/// The members of an object's text that was checked.
#[must_use]
pub fn members_of(object: &[u8]) -> Members<'_> {
    let at = if object.first() == Some(&b'{') { 1 } else { object.len() };
    Members { text: object, at }
}

/// The texts of the elements of an array's text that was checked.
pub(crate) fn elements_of(array: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut at = if array.first() == Some(&b'[') { 1 } else { array.len() };
    std::iter::from_fn(move || {
        at = scan::skip_blanks(array, at);
        if array.get(at) == Some(&b',') {
            at = scan::skip_blanks(array, at.saturating_add(1));
        }
        let start = at;
        at = skip_value(array, start);
        array.get(start..at).filter(|element| !element.is_empty() && *element != b"]")
    })
}

/// Members of an object, in order.
#[derive(Clone, Debug)]
pub struct Members<'a> {
    text: &'a [u8],
    /// Behind the opening brace or the last member.
    at: usize,
}

impl<'a> Members<'a> {
    /// The text behind the last member that was given.
    fn rest(&self) -> &'a [u8] {
        self.text.get(self.at..).unwrap_or_default()
    }
}

impl<'a> Iterator for Members<'a> {
    type Item = Member<'a>;

    fn next(&mut self) -> Option<Member<'a>> {
        let mut start = scan::skip_blanks(self.text, self.at);
        if self.text.get(start) == Some(&b',') {
            start = scan::skip_blanks(self.text, start.wrapping_add(1));
        }
        if self.text.get(start) != Some(&b'"') {
            return None;
        }
        let name_end = scan::string_end::<false>(self.text, start.wrapping_add(1)).ok()?;
        let raw_name = self.text.get(start.wrapping_add(1)..name_end.wrapping_sub(1))?;
        let colon = scan::skip_blanks(self.text, name_end);
        let value = scan::skip_blanks(self.text, colon.wrapping_add(1));
        let end = skip_value(self.text, value);
        self.at = end;
        Some(Member { raw_name, raw_value: self.text.get(value..end)? })
    }
}

/// The text of a string's raw JSON (quotes included), without a copy where it holds no escape.
#[must_use]
pub fn text_of(raw: &[u8]) -> Option<Cow<'_, str>> {
    raw.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")).map(unescape)
}

/// The text between a string's quotes as a value, without a copy where it holds no escape.
pub(crate) fn text_value(whole: &Bytes, inner: &[u8]) -> Text {
    if memchr(b'\\', inner).is_some() {
        Text::from(unescape(inner).into_owned())
    } else {
        Text::from_bytes(slice_of(whole, inner))
    }
}

/// A part of `whole` without a copy; bytes from elsewhere are copied.
pub(crate) fn slice_of(whole: &Bytes, part: &[u8]) -> Bytes {
    match position_in(whole, part) {
        Some(start) => whole.slice(start..start.saturating_add(part.len())),
        None => Bytes::copy_from_slice(part),
    }
}

/// Where `part` lies in `whole`, if it does.
pub(crate) fn position_in(whole: &[u8], part: &[u8]) -> Option<usize> {
    let start = part.as_ptr().addr().checked_sub(whole.as_ptr().addr())?;
    (start.checked_add(part.len())? <= whole.len()).then_some(start)
}

#[cfg(test)]
mod tests;
