//! Topics of the embedded broker and the messages of their queues.

use std::collections::BTreeMap;
use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::store::QueueIndex;

/// Topic whose settings new topics get when a send creates them.
pub(super) const TEMPLATE_TOPIC: &str = "TBW102";
/// Prefix of the topic that holds a group's messages for redelivery.
pub(super) const RETRY_PREFIX: &str = "%RETRY%";
/// Queues that a send may create, whatever it asks.
pub(super) const AUTO_QUEUES_MAX: u32 = 8;
/// Longest topic name, in bytes.
const NAME_BYTES_MAX: usize = 127;
/// Most topics.
const TOPICS_MAX: usize = 16_384;
/// Most queues of a topic.
pub(super) const QUEUES_MAX: u32 = 4_096;

/// Permission bits.
pub(super) mod perm {
    /// Messages may be read.
    pub const READ: u32 = 4;
    /// Messages may be written.
    pub const WRITE: u32 = 2;
}

/// Settings of a topic, as they are kept in its file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct TopicSettings {
    pub read_queues: u32,
    pub write_queues: u32,
    pub perm: u32,
    pub sys_flag: i64,
    pub order: bool,
    /// Messages of this name before this position of the log belong to a deleted topic.
    pub since: u64,
}

impl TopicSettings {
    pub fn new(queues: u32, since: u64) -> Self {
        let perm = perm::READ | perm::WRITE;
        Self { read_queues: queues, write_queues: queues, perm, sys_flag: 0, order: false, since }
    }

    /// Queue ids that may hold messages: below this.
    pub fn queues(&self) -> u32 {
        self.read_queues.max(self.write_queues)
    }
}

/// A topic.
pub(super) struct Topic {
    pub settings: TopicSettings,
    /// Made when their first message comes; ids beyond the current settings stay readable.
    queues: HashMap<u32, QueueIndex>,
    next_queue: u32,
}

impl Topic {
    pub fn new(settings: TopicSettings) -> Self {
        Self { settings, queues: HashMap::new(), next_queue: 0 }
    }

    /// The queue's messages; `None` when it never had one.
    pub fn queue(&self, id: u32) -> Option<&QueueIndex> {
        self.queues.get(&id)
    }

    pub fn queue_mut(&mut self, id: u32) -> &mut QueueIndex {
        self.queues.entry(id).or_default()
    }

    /// Offset after the queue's last message.
    pub fn queue_end(&self, id: u32) -> u64 {
        self.queue(id).map_or(0, QueueIndex::next)
    }

    /// A queue for a sender that leaves the choice to the broker.
    pub fn choose_queue(&mut self) -> u32 {
        self.next_queue = self.next_queue.wrapping_add(1);
        self.next_queue % self.settings.write_queues.max(1)
    }

    pub fn messages(&self) -> u64 {
        self.queues.values().map(QueueIndex::next).sum()
    }
}

/// Why a topic can't be made.
#[derive(Debug, thiserror::Error)]
pub(super) enum TopicError {
    #[error("topic name: {0}")]
    Name(&'static str),
    #[error("there are {TOPICS_MAX} topics already, the most that the embedded broker keeps")]
    TooMany,
    #[error("a topic has 1 to {QUEUES_MAX} queues")]
    Queues,
}

/// Checks a topic's name.
pub(super) fn check_name(name: &str) -> Result<(), TopicError> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"%|-_".contains(&byte);
    if name.is_empty() {
        Err(TopicError::Name("it is empty"))
    } else if name.len() > NAME_BYTES_MAX {
        Err(TopicError::Name("it is longer than 127 bytes"))
    } else if !name.bytes().all(allowed) {
        Err(TopicError::Name("only letters, digits, %, |, - and _ are allowed"))
    } else {
        Ok(())
    }
}

/// All topics, the template among them.
#[derive(Default)]
pub(super) struct Topics {
    by_name: BTreeMap<String, Topic>,
}

impl Topics {
    pub fn get(&self, name: &str) -> Option<&Topic> {
        self.by_name.get(name)
    }

    pub fn get_mut(&mut self, name: &str) -> Option<&mut Topic> {
        self.by_name.get_mut(name)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &Topic)> {
        self.by_name.iter().map(|(name, topic)| (name.as_str(), topic))
    }

    /// Makes a topic, or changes the settings of one that exists; its messages stay.
    pub fn put(&mut self, name: &str, mut settings: TopicSettings) -> Result<(), TopicError> {
        check_name(name)?;
        let fits = |queues: u32| (1..=QUEUES_MAX).contains(&queues);
        if !fits(settings.read_queues) || !fits(settings.write_queues) {
            return Err(TopicError::Queues);
        }
        if let Some(topic) = self.by_name.get_mut(name) {
            settings.since = topic.settings.since;
            topic.settings = settings;
            return Ok(());
        }
        if self.by_name.len() >= TOPICS_MAX {
            return Err(TopicError::TooMany);
        }
        self.by_name.insert(name.to_owned(), Topic::new(settings));
        Ok(())
    }

    pub fn remove(&mut self, name: &str) -> Option<Topic> {
        self.by_name.remove(name)
    }

    /// Puts a topic back that was just removed.
    pub fn restore(&mut self, name: &str, topic: Topic) {
        self.by_name.insert(name.to_owned(), topic);
    }

    /// Moves every topic's begin to at most `end`; true when any was behind it.
    pub fn clamp_since(&mut self, end: u64) -> bool {
        let mut changed = false;
        for topic in self.by_name.values_mut().filter(|topic| topic.settings.since > end) {
            topic.settings.since = end;
            changed = true;
        }
        changed
    }

    /// All settings, for their file.
    pub fn settings(&self) -> BTreeMap<&str, &TopicSettings> {
        self.iter().map(|(name, topic)| (name, &topic.settings)).collect()
    }
}
