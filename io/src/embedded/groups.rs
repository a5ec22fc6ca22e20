//! Consumer groups: committed offsets, pending resets, members and queue locks.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::{Deserialize, Serialize};

/// Most groups.
const GROUPS_MAX: usize = 16_384;
/// Most committed offsets of one group.
const OFFSETS_MAX: usize = 65_536;
/// Longest name of a group.
const NAME_BYTES_MAX: usize = 255;
/// Most members of one group, and most topics that one member reads.
const MEMBERS_MAX: usize = 4_096;
/// Most locks of one group.
const LOCKS_MAX: usize = 65_536;

/// Numbers the connections of one broker.
pub type ConnectionId = u64;

/// Offsets by topic and queue.
pub(super) type Offsets = BTreeMap<String, BTreeMap<u32, i64>>;

/// A queue as clients name it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct QueueName {
    pub broker_name: String,
    pub queue_id: i32,
    pub topic: String,
}

/// What a member reads of a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Subscription {
    pub expression: String,
    pub version: i64,
}

/// One client in a group.
pub(super) struct Member {
    pub connection: ConnectionId,
    pub subscriptions: HashMap<String, Subscription>,
}

struct Lock {
    client: String,
    until_ms: u64,
}

/// One group.
#[derive(Default)]
pub(super) struct Group {
    pub offsets: Offsets,
    /// Told once, at the next pull of the queue.
    pub resets: HashMap<(String, u32), i64>,
    /// By client id.
    pub members: BTreeMap<String, Member>,
    locks: HashMap<QueueName, Lock>,
}

impl Group {
    pub fn offset(&self, topic: &str, queue: u32) -> Option<i64> {
        self.offsets.get(topic)?.get(&queue).copied()
    }

    /// Commits; false when the group has too many offsets already.
    pub fn commit(&mut self, topic: &str, queue: u32, offset: i64) -> bool {
        if let Some(known) = self.offsets.get_mut(topic).and_then(|queues| queues.get_mut(&queue)) {
            *known = offset;
            return true;
        }
        if self.offsets.values().map(BTreeMap::len).sum::<usize>() >= OFFSETS_MAX {
            return false;
        }
        self.offsets.entry(topic.to_owned()).or_default().insert(queue, offset);
        true
    }

    /// The newest subscription of any member to a topic.
    pub fn subscription(&self, topic: &str) -> Option<&Subscription> {
        let of_topic = self.members.values().filter_map(|member| member.subscriptions.get(topic));
        of_topic.max_by_key(|subscription| subscription.version)
    }

    /// Adds or renews a member; true when the membership or a subscription changed.
    pub fn join(&mut self, client: &str, member: Member) -> bool {
        if let Some(known) = self.members.get_mut(client) {
            let changed = known.subscriptions.len() != member.subscriptions.len()
                || !member.subscriptions.keys().all(|topic| known.subscriptions.contains_key(topic));
            *known = member;
            return changed;
        }
        if self.members.len() >= MEMBERS_MAX || member.subscriptions.len() > MEMBERS_MAX {
            return false;
        }
        self.members.insert(client.to_owned(), member);
        true
    }

    /// Locks a queue for a client until then, or renews its lock; false when another holds it.
    pub fn lock(&mut self, queue: &QueueName, client: &str, now_ms: u64, until_ms: u64) -> bool {
        if self.locks.len() >= LOCKS_MAX {
            self.locks.retain(|_, lock| lock.until_ms > now_ms);
        }
        let full = self.locks.len() >= LOCKS_MAX;
        match self.locks.get_mut(queue) {
            Some(lock) if lock.client != client && lock.until_ms > now_ms => false,
            Some(lock) => {
                *lock = Lock { client: client.to_owned(), until_ms };
                true
            }
            None if full => false,
            None => {
                self.locks.insert(queue.clone(), Lock { client: client.to_owned(), until_ms });
                true
            }
        }
    }

    /// Gives up a client's lock.
    pub fn unlock(&mut self, queue: &QueueName, client: &str) {
        if self.locks.get(queue).is_some_and(|lock| lock.client == client) {
            self.locks.remove(queue);
        }
    }
}

/// All groups.
#[derive(Default)]
pub(super) struct Groups {
    by_name: BTreeMap<String, Group>,
}

impl Groups {
    pub fn get(&self, name: &str) -> Option<&Group> {
        self.by_name.get(name)
    }

    pub fn get_mut(&mut self, name: &str) -> Option<&mut Group> {
        self.by_name.get_mut(name)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &Group)> {
        self.by_name.iter().map(|(name, group)| (name.as_str(), group))
    }

    /// The group, made if it is new; `None` when the name can't be one or there are too many. The second tells
    /// whether it is new.
    pub fn known_or_new(&mut self, name: &str) -> Option<(&mut Group, bool)> {
        let is_new = !self.by_name.contains_key(name);
        if is_new && (name.is_empty() || name.len() > NAME_BYTES_MAX || self.by_name.len() >= GROUPS_MAX) {
            return None;
        }
        Some((self.by_name.entry(name.to_owned()).or_default(), is_new))
    }

    /// Removes a group with its offsets, locks and members; gives whether it was there.
    pub fn remove(&mut self, name: &str) -> bool {
        self.by_name.remove(name).is_some()
    }

    /// Takes a client out of a group; gives who is left to be told, if it was in.
    pub fn leave(&mut self, group: &str, client: &str) -> Option<BTreeSet<ConnectionId>> {
        let group = self.by_name.get_mut(group)?;
        group.members.remove(client)?;
        Some(group.members.values().map(|member| member.connection).collect())
    }

    /// Takes a closed connection's clients out of all groups; gives the groups concerned and who is left in them.
    pub fn disconnect(&mut self, connection: ConnectionId) -> Vec<(String, BTreeSet<ConnectionId>)> {
        let mut changed = Vec::new();
        for (name, group) in &mut self.by_name {
            let before = group.members.len();
            group.members.retain(|_, member| member.connection != connection);
            if group.members.len() != before {
                changed.push((name.clone(), group.members.values().map(|member| member.connection).collect()));
            }
        }
        changed
    }

    /// Forgets what was committed in a topic.
    pub fn forget_topic(&mut self, topic: &str) {
        for group in self.by_name.values_mut() {
            group.offsets.remove(topic);
            group.resets.retain(|(name, _), _| name != topic);
        }
    }

    /// All offsets by group, for their file.
    pub fn offsets(&self) -> BTreeMap<&str, &Offsets> {
        self.iter().map(|(name, group)| (name, &group.offsets)).collect()
    }
}
