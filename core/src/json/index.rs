//! Where the members of the object stand that this thread has looked at last: the check of a text sees them all, and
//! the transforms behind it need not look for them again.
//!
//! One index a thread, of fixed size, so that nothing is allocated for it. A text and the index know each other by a
//! ticket that is given out once in the process: a text whose index is gone is gone through, which costs more and comes
//! to the same.

use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering};

use super::Member;
use super::scan::Seen;
use crate::limits::JSON_INDEXED_MEMBERS_MAX;

/// Tells which text an index belongs to; [`Ticket::NONE`] belongs to none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ticket(u64);

impl Ticket {
    pub(super) const NONE: Self = Self(0);
}

/// Tickets that a thread takes at a time, so that threads seldom meet; there are as many such stretches.
const STRETCH: u64 = 1 << 32;
/// The first stretch that no thread has taken; none begins with [`Ticket::NONE`].
static STRETCHES: AtomicU64 = AtomicU64::new(1);

/// Where a member stands in its object's text.
#[derive(Clone, Copy)]
pub(super) struct Place {
    /// Behind the opening quote.
    name_start: u32,
    name_len: u32,
    value_start: u32,
    value_len: u32,
}

impl Place {
    /// A member's place in an object that begins at `start`, if it is within reach.
    #[inline]
    fn new(seen: &Seen, start: usize) -> Option<Self> {
        // The last of all places.
        u32::try_from(seen.value_end).ok()?;
        Some(Self {
            name_start: seen.name_start.wrapping_sub(start) as u32,
            name_len: seen.name_end.wrapping_sub(seen.name_start) as u32,
            value_start: seen.value_start.wrapping_sub(start) as u32,
            value_len: seen.value_end.wrapping_sub(seen.value_start) as u32,
        })
    }

    /// The name in the object's text, escapes as they are.
    #[inline]
    pub(super) fn name(self, text: &[u8]) -> &[u8] {
        part(text, self.name_start, self.name_len)
    }

    /// The member in the object's text.
    #[inline]
    pub(super) fn member(self, text: &[u8]) -> Member<'_> {
        Member { raw_name: self.name(text), raw_value: part(text, self.value_start, self.value_len) }
    }
}

#[inline]
fn part(text: &[u8], start: u32, len: u32) -> &[u8] {
    let start = start as usize;
    text.get(start..start.wrapping_add(len as usize)).unwrap_or_default()
}

/// The members of one object, in order, each as often as it stands there.
pub(super) struct Index {
    ticket: Ticket,
    /// The last ticket that this thread gave out.
    last_ticket: u64,
    places: [Place; JSON_INDEXED_MEMBERS_MAX],
    len: usize,
    /// Whether all members are in it.
    whole: bool,
    /// Whether a name is written with an escape.
    escaped: bool,
}

thread_local! {
    static INDEX: RefCell<Index> = const { RefCell::new(Index::new()) };
}

impl Index {
    const fn new() -> Self {
        let nowhere = Place { name_start: 0, name_len: 0, value_start: 0, value_len: 0 };
        Self {
            ticket: Ticket::NONE,
            last_ticket: STRETCH - 1,
            places: [nowhere; JSON_INDEXED_MEMBERS_MAX],
            len: 0,
            whole: false,
            escaped: false,
        }
    }
}

impl Index {
    /// Adds a member behind all others, of an object that begins at `start` in the text where it was seen.
    #[inline]
    pub(super) fn add(&mut self, seen: &Seen, start: usize) {
        match (self.places.get_mut(self.len), Place::new(seen, start)) {
            (Some(free), Some(place)) => *free = place,
            _ => return self.whole = false,
        }
        self.len = self.len.wrapping_add(1);
        self.escaped |= seen.is_escaped;
    }

    /// The value's text of the last member of this name.
    #[inline]
    pub(super) fn find<'t>(&self, text: &'t [u8], name: &str) -> Option<&'t [u8]> {
        let last = if self.escaped {
            self.places().iter().rfind(|place| place.member(text).is_named(name))
        } else {
            let has_len = |place: &&Place| place.name_len as usize == name.len();
            self.places().iter().rev().filter(has_len).find(|place| place.name(text) == name.as_bytes())
        };
        last.map(|place| part(text, place.value_start, place.value_len))
    }

    /// Whether a name is written with an escape, so that names can't be compared by their bytes.
    pub(super) fn is_escaped(&self) -> bool {
        self.escaped
    }

    /// The members' places.
    pub(super) fn places(&self) -> &[Place] {
        self.places.get(..self.len).unwrap_or_default()
    }

    /// A ticket that nothing else in this process has, if all members are there.
    fn take_ticket(&mut self) -> Ticket {
        if !self.whole {
            self.ticket = Ticket::NONE;
            return self.ticket;
        }
        self.last_ticket = self.last_ticket.wrapping_add(1);
        if self.last_ticket.is_multiple_of(STRETCH) {
            self.last_ticket = STRETCHES.fetch_add(1, Ordering::Relaxed).wrapping_mul(STRETCH);
        }
        self.ticket = Ticket(self.last_ticket);
        self.ticket
    }
}

/// Fills the index by what `fill` adds, and gives the ticket of the text whose members these are, if `fill` says that they
/// are an object's.
pub(super) fn fill<E>(fill: impl FnOnce(Option<&mut Index>) -> Result<bool, E>) -> Result<Ticket, E> {
    INDEX.with(|index| {
        // It may be lent to someone who has a callback decode.
        let Ok(mut index) = index.try_borrow_mut() else { return fill(None).map(|_| Ticket::NONE) };
        let index = &mut *index;
        (index.ticket, index.len, index.whole, index.escaped) = (Ticket::NONE, 0, true, false);
        let is_object = fill(Some(index))?;
        Ok(if is_object { index.take_ticket() } else { Ticket::NONE })
    })
}

/// What `look` makes of the index of the text with that ticket; nothing if it is gone.
#[inline]
pub(super) fn look<R>(ticket: Ticket, look: impl FnOnce(&Index) -> R) -> Option<R> {
    if ticket == Ticket::NONE {
        return None;
    }
    INDEX.with(|index| {
        let index = index.try_borrow().ok()?;
        (index.ticket == ticket).then(|| look(&index))
    })
}

/// Has `change` make of the index of the text with that ticket the one of another text, whose ticket is given.
#[inline]
pub(super) fn change(ticket: Ticket, change: impl FnOnce(&mut Index)) -> Ticket {
    if ticket == Ticket::NONE {
        return ticket;
    }
    INDEX.with(|index| match index.try_borrow_mut() {
        Ok(mut index) if index.ticket == ticket => {
            change(&mut index);
            index.take_ticket()
        }
        _ => Ticket::NONE,
    })
}

impl Index {
    /// Members keep their values and get other names: of each member the new name's length, and the length of the new text.
    pub(super) fn rename(&mut self, new_lens: impl Iterator<Item = usize>, text_len: usize) {
        // As long as the text is so short, sums that wrap come out right.
        self.whole &= u32::try_from(text_len).is_ok();
        let mut longer_by = 0u32;
        for (place, new_len) in self.places.iter_mut().take(self.len).zip(new_lens) {
            let new_len = new_len as u32;
            place.name_start = place.name_start.wrapping_add(longer_by);
            longer_by = longer_by.wrapping_add(new_len).wrapping_sub(place.name_len);
            place.name_len = new_len;
            place.value_start = place.value_start.wrapping_add(longer_by);
        }
    }
}

#[cfg(test)]
mod tests;
