//! Payload bytes that the tasks of one shard hold together: a bound over their own ones, so that many tasks do not need
//! many times the memory.

use std::cell::Cell;
use std::rc::Rc;

use crate::local::Event;

/// The bytes of one shard.
#[derive(Clone)]
pub struct Memory(Rc<State>);

struct State {
    used: Cell<u64>,
    limit: u64,
    freed: Event,
}

impl Memory {
    /// Room for so many bytes.
    #[must_use]
    pub fn new(limit: u64) -> Self {
        Self(Rc::new(State { used: Cell::new(0), limit, freed: Event::default() }))
    }

    /// Bytes held now.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.0.used.get()
    }

    /// A task's part of it, nothing yet.
    #[must_use]
    pub fn share(&self) -> Share {
        Share { memory: self.clone(), bytes: Cell::new(0) }
    }
}

/// What one task holds; given back when dropped.
pub struct Share {
    memory: Memory,
    bytes: Cell<u64>,
}

impl Share {
    /// The task holds so many bytes now.
    pub fn set(&self, bytes: u64) {
        let before = self.bytes.replace(bytes);
        let state = &self.memory.0;
        state.used.set(state.used.get().saturating_sub(before).saturating_add(bytes));
        if bytes < before {
            state.freed.notify();
        }
    }

    /// Whether the shard has no room for more of this task. A task that holds nothing always has room, so that none
    /// starves behind the others.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.bytes.get() > 0 && self.memory.0.used.get() >= self.memory.0.limit
    }

    /// Happens when some task of the shard has given bytes back.
    #[must_use]
    pub fn freed(&self) -> &Event {
        &self.memory.0.freed
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.set(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_shard_still_has_room_for_a_task_that_holds_nothing() {
        let memory = Memory::new(100);
        let (first, second) = (memory.share(), memory.share());
        first.set(100);
        assert!(first.is_full() && !second.is_full());
        second.set(1);
        assert!(second.is_full());
        let seen = second.freed().seen();
        drop(first);
        assert!(!second.is_full() && memory.used() == 1 && second.freed().seen() != seen);
    }
}
