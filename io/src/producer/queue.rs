//! Which queue a record goes to, and the turns that requests to one queue take.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use rmqc_core::id::MessageQueue;

use crate::local::Semaphore;
use crate::remoting::route::{QueueAddress, Route};

/// One turn per queue: at most one request is in flight to a queue, since two may be stored in either order.
///
/// All tasks of one connector on a shard share the turns.
#[derive(Clone, Default)]
pub struct QueueTurns(Rc<RefCell<HashMap<MessageQueue, Semaphore>>>);

impl QueueTurns {
    /// The turns of one queue.
    #[must_use]
    pub fn of(&self, queue: &MessageQueue) -> Semaphore {
        let mut turns = self.0.borrow_mut();
        match turns.get(queue) {
            Some(turn) => turn.clone(),
            None => turns.entry(queue.clone()).or_insert_with(|| Semaphore::new(1)).clone(),
        }
    }
}

/// Takes the queues of a route one after the other.
#[derive(Debug, Default)]
pub struct Rotation {
    next: usize,
}

impl Rotation {
    /// Starts at some queue, so that many tasks do not all start at the first.
    #[must_use]
    pub fn starting_at(next: usize) -> Self {
        Self { next }
    }

    /// The next queue; another broker's than `avoid`, if there is one.
    pub fn next<'r>(&mut self, route: &'r Route, avoid: Option<&str>) -> Option<&'r QueueAddress> {
        let queues = &route.write_queues;
        for _ in 0..queues.len() {
            let queue = queues.get(self.next % queues.len().max(1))?;
            self.next = self.next.wrapping_add(1);
            if avoid.is_none_or(|address| address != &*queue.address) {
                return Some(queue);
            }
        }
        queues.get(self.next % queues.len().max(1))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn route(addresses: &[&str]) -> Route {
        let queue = |(id, address): (usize, &&str)| QueueAddress {
            queue: MessageQueue { topic: Arc::from("t"), broker: Arc::from(*address), queue_id: id as i32 },
            address: Rc::from(*address),
        };
        Route { write_queues: addresses.iter().enumerate().map(queue).collect(), ..Route::default() }
    }

    #[test]
    fn rotation_avoids_a_broker_only_if_it_can() {
        let route_two = route(&["a", "a", "b"]);
        let mut rotation = Rotation::default();
        let ids: Vec<_> = (0..4).map(|_| rotation.next(&route_two, None).unwrap().queue.queue_id).collect();
        assert_eq!(ids, [0, 1, 2, 0]);
        assert_eq!(&*rotation.next(&route_two, Some("a")).unwrap().address, "b");
        assert_eq!(&*rotation.next(&route(&["a"]), Some("a")).unwrap().address, "a");
        assert!(rotation.next(&route(&[]), None).is_none());
    }
}
