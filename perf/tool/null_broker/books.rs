//! What the null broker remembers: counts, committed offsets, members. Nothing of any message.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hdrhistogram::Histogram;
use serde_json::{Value, json};

use crate::tool::stats::quantiles;

/// Where a queue stands.
#[derive(Clone, Copy, Debug, Default)]
pub struct Queue {
    /// Messages received: the offset that the next one gets.
    pub received: i64,
    /// Messages given out.
    pub delivered: i64,
}

/// All that is remembered.
pub struct Books {
    topics: HashMap<Vec<u8>, Vec<Queue>>,
    queues: usize,
    committed: BTreeMap<(String, String, i64), i64>,
    members: BTreeMap<String, BTreeSet<String>>,
    changes: Arc<AtomicU64>,
    requests: u64,
    received_bytes: u64,
    /// From the moment that a stamped message was due, and from the one at which it was written, to its arrival, in µs.
    waits: [Histogram<u64>; 2],
}

impl Books {
    /// Empty books; every topic has so many queues.
    pub fn new(queues: usize) -> Self {
        let histogram = || Histogram::new_with_bounds(1, 600_000_000, 3).unwrap();
        Self {
            topics: HashMap::new(),
            queues,
            committed: BTreeMap::new(),
            members: BTreeMap::new(),
            changes: Arc::default(),
            requests: 0,
            received_bytes: 0,
            waits: [histogram(), histogram()],
        }
    }

    /// One queue of a topic; unknown topics come into being.
    ///
    /// # Panics
    /// On a queue that no topic has.
    pub fn queue(&mut self, topic: &[u8], queue: i64) -> &mut Queue {
        if !self.topics.contains_key(topic) {
            self.topics.insert(topic.to_vec(), vec![Queue::default(); self.queues]);
        }
        let queues = self.topics.get_mut(topic).unwrap();
        &mut queues[usize::try_from(queue).expect("a queue id")]
    }

    /// Messages arrived; gives the offset of the first.
    pub fn receive(&mut self, topic: &[u8], queue: i64, messages: i64, bytes: usize) -> i64 {
        self.requests += 1;
        self.received_bytes += bytes as u64;
        let queue = self.queue(topic, queue);
        let first = queue.received;
        queue.received += messages;
        first
    }

    /// A stamped message arrived: µs since it was due, and since it was written.
    pub fn arrived(&mut self, since_due_us: u64, since_written_us: u64) {
        for (histogram, wait) in self.waits.iter_mut().zip([since_due_us, since_written_us]) {
            histogram.saturating_record(wait.max(1));
        }
    }

    /// Forgets the waits so far: the warm-up.
    pub fn forget_waits(&mut self) {
        self.waits.iter_mut().for_each(Histogram::reset);
    }

    /// Messages went out.
    pub fn deliver(&mut self, topic: &[u8], queue: i64, messages: i64) {
        self.requests += 1;
        self.queue(topic, queue).delivered += messages;
    }

    /// A group committed an offset.
    pub fn commit(&mut self, group: &[u8], topic: &[u8], queue: i64, offset: i64) {
        self.committed.insert((text(group), text(topic), queue), offset);
    }

    /// What a group committed.
    pub fn committed(&self, group: &[u8], topic: &[u8], queue: i64) -> Option<i64> {
        self.committed.get(&(text(group), text(topic), queue)).copied()
    }

    /// A client is a member of a group.
    pub fn join(&mut self, group: &str, client: &str) {
        if self.members.entry(group.to_owned()).or_default().insert(client.to_owned()) {
            self.changes.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A client left a group.
    pub fn leave(&mut self, group: &[u8], client: &[u8]) {
        if let Some(members) = self.members.get_mut(&text(group)) {
            members.remove(&text(client));
            self.changes.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts changes of members, of whichever group.
    pub fn changes(&self) -> Arc<AtomicU64> {
        self.changes.clone()
    }

    /// Client ids of a group, in order.
    pub fn members(&self, group: &[u8]) -> Vec<String> {
        self.members.get(&text(group)).into_iter().flatten().cloned().collect()
    }

    /// All topics by name.
    pub fn topic_names(&self) -> Vec<String> {
        self.topics.keys().map(|name| text(name)).collect()
    }

    /// Everything that was counted.
    pub fn figures(&self) -> Value {
        let sum = |count: fn(&Queue) -> i64| self.topics.values().flatten().map(count).sum::<i64>();
        let queues = self.topics.iter().flat_map(|(topic, queues)| {
            let seen = queues.iter().enumerate().filter(|(_, queue)| queue.received + queue.delivered > 0);
            seen.map(|(id, queue)| {
                json!({ "topic": text(topic), "queue": id, "received": queue.received, "delivered": queue.delivered })
            })
        });
        let mut figures = json!({
            "received": sum(|queue| queue.received),
            "delivered": sum(|queue| queue.delivered),
            "committed": self.committed.values().sum::<i64>(),
            "requests": self.requests,
            "received_bytes": self.received_bytes,
            "queues": queues.collect::<Vec<_>>(),
        });
        for (name, waits) in ["since_due", "since_written"].iter().zip(&self.waits) {
            if !waits.is_empty() {
                figures[name] = quantiles(waits);
            }
        }
        figures
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
