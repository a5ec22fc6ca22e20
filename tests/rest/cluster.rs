//! A cluster of one broker in memory: topics, their messages, and groups' offsets.

use std::collections::BTreeMap;
use std::sync::Mutex;

use rmqc_core::cluster_port::{
    Answered, ClusterError, ClusterPort, MasterBroker, NewMessage, QueueName, QueueStanding, StoredMessage, TopicQueues,
};

const BROKER: &str = "broker-a";

/// What it holds; tests look into it and change it.
#[derive(Default)]
pub struct Held {
    /// Messages of each queue of each topic.
    pub topics: BTreeMap<String, Vec<Vec<StoredMessage>>>,
    /// Offsets by group and queue.
    pub offsets: BTreeMap<(String, QueueName), i64>,
    /// Members by group.
    pub members: BTreeMap<String, Vec<String>>,
    /// Every call fails with this.
    pub down: Option<String>,
    /// So many more messages are stored; each further one is refused.
    pub refuse_sends_after: Option<usize>,
    /// Commits are confirmed and not kept.
    pub forget_commits: bool,
}

/// The cluster.
#[derive(Default)]
pub struct FakeCluster {
    pub held: Mutex<Held>,
}

impl FakeCluster {
    fn answer<'a, T: Send + 'a>(&self, work: impl FnOnce(&mut Held) -> T) -> Answered<'a, T> {
        let mut held = self.held.lock().unwrap();
        let answer = match &held.down {
            Some(cause) => Err(ClusterError(cause.clone())),
            None => Ok(work(&mut held)),
        };
        Box::pin(async move { answer })
    }
}

fn length(queue: &[StoredMessage]) -> i64 {
    i64::try_from(queue.len()).unwrap()
}

impl ClusterPort for FakeCluster {
    fn masters(&self) -> Answered<'_, Vec<MasterBroker>> {
        self.answer(|_| vec![MasterBroker { name: BROKER.to_owned(), address: "127.0.0.1:10911".to_owned() }])
    }

    fn topic_queues(&self, topic: &str) -> Answered<'_, Option<Vec<TopicQueues>>> {
        self.answer(|held| {
            let count = u32::try_from(held.topics.get(topic)?.len()).unwrap();
            Some(vec![TopicQueues { broker: BROKER.to_owned(), read_queues: count, write_queues: count }])
        })
    }

    fn create_topic(&self, topic: &str, queues: u32) -> Answered<'_, ()> {
        self.answer(|held| {
            let topic = held.topics.entry(topic.to_owned()).or_default();
            topic.resize(usize::try_from(queues).unwrap(), Vec::new());
        })
    }

    fn topics(&self) -> Answered<'_, Vec<String>> {
        self.answer(|held| held.topics.keys().cloned().collect())
    }

    fn group_members(&self, group: &str) -> Answered<'_, Vec<String>> {
        self.answer(|held| held.members.get(group).cloned().unwrap_or_default())
    }

    fn standing(&self, group: &str, topic: &str) -> Answered<'_, Vec<QueueStanding>> {
        self.answer(|held| {
            let queues = held.topics.get(topic).cloned().unwrap_or_default();
            let standing = |(number, messages): (u32, &Vec<StoredMessage>)| {
                let queue = QueueName { topic: topic.to_owned(), broker: BROKER.to_owned(), queue: number };
                let committed = held.offsets.get(&(group.to_owned(), queue.clone())).copied();
                QueueStanding { queue, min: 0, max: length(messages), committed }
            };
            (0u32..).zip(&queues).map(standing).collect()
        })
    }

    fn commit(&self, group: &str, queue: &QueueName, offset: i64) -> Answered<'_, ()> {
        self.answer(|held| {
            if !held.forget_commits {
                held.offsets.insert((group.to_owned(), queue.clone()), offset);
            }
        })
    }

    fn delete_group(&self, group: &str) -> Answered<'_, ()> {
        self.answer(|held| {
            held.offsets.retain(|(owner, _), _| owner != group);
            held.members.remove(group);
        })
    }

    fn offset_at(&self, queue: &QueueName, time_ms: i64) -> Answered<'_, i64> {
        self.answer(|held| {
            let messages = held.topics.get(&queue.topic).and_then(|queues| queues.get(queue.queue as usize));
            let before =
                |messages: &Vec<StoredMessage>| messages.iter().take_while(|one| one.store_ms < time_ms).count();
            i64::try_from(messages.map(before).unwrap_or_default()).unwrap()
        })
    }

    fn read(&self, queue: &QueueName, offset: i64, count: usize) -> Answered<'_, Vec<StoredMessage>> {
        self.answer(|held| {
            let messages = held.topics.get(&queue.topic).and_then(|queues| queues.get(queue.queue as usize));
            let from = usize::try_from(offset.max(0)).unwrap();
            messages.map(|messages| messages.iter().skip(from).take(count).cloned().collect()).unwrap_or_default()
        })
    }

    fn send(&self, message: NewMessage) -> Answered<'_, (QueueName, i64)> {
        let room = match &mut self.held.lock().unwrap().refuse_sends_after {
            Some(0) => false,
            Some(left) => {
                *left -= 1;
                true
            }
            None => true,
        };
        if !room {
            return Box::pin(async { Err(ClusterError("the broker's disk is full".to_owned())) });
        }
        self.answer(|held| {
            let topic = held.topics.entry(message.topic.clone()).or_insert_with(|| vec![Vec::new()]);
            let queue = QueueName { topic: message.topic, broker: BROKER.to_owned(), queue: 0 };
            let offset = length(&topic[0]);
            let stored = StoredMessage {
                queue: queue.clone(),
                offset,
                born_ms: offset,
                store_ms: offset,
                properties: message.properties,
                body: message.body,
            };
            topic[0].push(stored);
            (queue, offset)
        })
    }

    fn broker_config(&self, _: &str) -> Answered<'_, BTreeMap<String, String>> {
        self.answer(|_| BTreeMap::new())
    }
}
