//! What the control plane asks of the cluster, call by call.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;

use bytes::BytesMut;
use rmqc_core::cluster_port::{
    ClusterError, MasterBroker, NewMessage, QueueName, QueueStanding, StoredMessage, TopicQueues,
};
use rmqc_core::id::MessageQueue;
use rmqc_core::limits::{MESSAGE_BODY_BYTES_MAX, MESSAGE_PROPERTIES_BYTES_MAX};
use rmqc_core::record::raw_pairs;
use rmqc_core::tolerance::Backoff;

use crate::driver::Driver;
use crate::local::join_all;
use crate::producer::verdict::{Verdict, judge};
use crate::remoting::client::{AUTO_TOPIC_QUEUES, Client, TEMPLATE_TOPIC};
use crate::remoting::code::{request, response};
use crate::remoting::connection::{CallError, Request, Response};
use crate::remoting::message::{Message, messages, put_item_head, put_item_tail};
use crate::remoting::properties::{KEYS, UNIQ_KEY, put};
use crate::remoting::route::{QueueAddress, Route, queue_index};
use crate::remoting::unique_id::UniqueIds;

/// Most messages of one read.
const READ_MESSAGES_MAX: usize = 1024;
/// A read ends with the message that brings its bodies to so many bytes.
const READ_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Most pulls of one read: brokers with default settings give 8 to 32 messages an answer.
const READ_PULLS_MAX: usize = 256;
/// Queues whose standing is asked for at the same time.
const QUEUES_AT_ONCE: usize = 32;
/// Tries of a send that surely stored nothing.
const SEND_ATTEMPTS_MAX: u32 = 6;

type Outcome<T> = Result<T, ClusterError>;

/// The client, and what the calls keep between them.
pub(super) struct Hand<D> {
    pub client: Client<D>,
    pub ids: RefCell<UniqueIds>,
}

/// Puts what was asked in front of why it failed.
fn failed(what: impl std::fmt::Display) -> impl FnOnce(CallError) -> ClusterError {
    move |error| ClusterError(format!("{what}: {error}"))
}

fn shown(queue: &QueueName) -> String {
    format!("queue {} of topic {} on {}", queue.queue, queue.topic, queue.broker)
}

impl<D: Driver> Hand<D> {
    pub async fn masters(&self) -> Outcome<Vec<MasterBroker>> {
        let masters = self.client.masters().await.map_err(failed("cannot learn the brokers"))?;
        Ok(masters.into_iter().map(|(name, address)| MasterBroker { name, address }).collect())
    }

    pub async fn topic_queues(&self, topic: &Arc<str>) -> Outcome<Option<Vec<TopicQueues>>> {
        let queues = |(broker, read_queues, write_queues): &(Arc<str>, u32, u32)| TopicQueues {
            broker: broker.to_string(),
            read_queues: *read_queues,
            write_queues: *write_queues,
        };
        Ok(self.route(topic).await?.map(|route| route.counts.iter().map(queues).collect()))
    }

    pub async fn create_topic(&self, topic: &str, queues: u32) -> Outcome<()> {
        self.client.create_topic(topic, queues, queues).await.map_err(failed(format!("cannot create topic {topic}")))
    }

    pub async fn topics(&self) -> Outcome<Vec<String>> {
        self.client.topic_names().await.map_err(failed("cannot list the topics"))
    }

    /// Any broker may have members of the group: which ones depends on the topics that they read.
    pub async fn group_members(&self, group: &str) -> Outcome<Vec<String>> {
        let masters = self.masters().await?;
        let answers = masters.iter().map(|master| self.client.group_members(&master.address, group));
        let mut members = BTreeSet::new();
        for answer in join_all(answers).await {
            match answer {
                Ok(ids) => members.extend(ids),
                // That is how a broker says that it has no member of the group.
                Err(error) if error.refusal() == Some(response::SYSTEM_ERROR) => {}
                Err(error) => return Err(failed(format!("cannot learn the members of group {group}"))(error)),
            }
        }
        Ok(members.into_iter().collect())
    }

    pub async fn standing(&self, group: &str, topic: &Arc<str>) -> Outcome<Vec<QueueStanding>> {
        let Some(route) = self.route(topic).await? else { return Ok(Vec::new()) };
        let has_master = |broker: &Arc<str>| route.masters.iter().any(|(name, _)| name == broker);
        if let Some((broker, ..)) = route.counts.iter().find(|(broker, read, _)| *read > 0 && !has_master(broker)) {
            return Err(ClusterError(format!(
                "cannot learn the offsets of topic {topic}: {broker} has no master now; wait until it is back"
            )));
        }
        let mut standings = Vec::with_capacity(route.read_queues.len());
        for some in route.read_queues.chunks(QUEUES_AT_ONCE) {
            let asked = some.iter().map(|target| self.standing_in(group, target));
            for standing in join_all(asked).await {
                standings.push(standing.map_err(failed(format!("cannot learn the offsets of topic {topic}")))?);
            }
        }
        Ok(standings)
    }

    async fn standing_in(&self, group: &str, target: &QueueAddress) -> Result<QueueStanding, CallError> {
        let (address, queue) = (&target.address, &target.queue);
        // In this order the committed offset of a running group does not lie behind the end.
        let committed = self.client.committed_or_none(address, group, queue).await?;
        let min = self.client.min_offset(address, queue).await?;
        let max = self.client.max_offset(address, queue).await?;
        let queue = QueueName {
            topic: queue.topic.to_string(),
            broker: queue.broker.to_string(),
            queue: u32::try_from(queue.queue_id).unwrap_or(0),
        };
        Ok(QueueStanding { queue, min, max, committed })
    }

    /// Commits and looks whether it is so: some brokers confirm a smaller offset and keep the larger one.
    pub async fn commit(&self, group: &str, queue: &QueueName, offset: i64) -> Outcome<()> {
        let what = || format!("cannot commit offset {offset} for group {group} in {}", shown(queue));
        if offset < 0 {
            return Err(ClusterError(format!("{}: offsets begin at 0", what())));
        }
        let QueueAddress { queue: own, address } = self.find(queue).await?;
        match self.client.commit_offset(&address, group, &own, offset).await {
            Err(error) if error.refusal() == Some(response::SUBSCRIPTION_GROUP_NOT_EXIST) => {
                self.client.create_group_at(&address, group).await.map_err(failed(what()))?;
                self.client.commit_offset(&address, group, &own, offset).await.map_err(failed(what()))?;
            }
            outcome => outcome.map_err(failed(what()))?,
        }
        let kept = self.client.committed_or_none(&address, group, &own).await.map_err(failed(what()))?;
        if kept == Some(offset) {
            return Ok(());
        }
        let kept = kept.map_or_else(|| "none".to_owned(), |kept| kept.to_string());
        Err(ClusterError(format!(
            "{}: {address} confirmed it but tells {kept}; a member of the group may be committing too: stop the group first",
            what()
        )))
    }

    pub async fn delete_group(&self, group: &str) -> Outcome<()> {
        for master in self.masters().await? {
            let what = format!("cannot delete group {group}");
            self.client.delete_group_at(&master.address, group).await.map_err(failed(what))?;
        }
        Ok(())
    }

    pub async fn offset_at(&self, queue: &QueueName, time_ms: i64) -> Outcome<i64> {
        let target = self.find(queue).await?;
        let what = || format!("cannot search {} by time", shown(queue));
        self.client.offset_at(&target.address, &target.queue, time_ms).await.map_err(failed(what()))
    }

    pub async fn read(&self, queue: &QueueName, offset: i64, count: usize) -> Outcome<Vec<StoredMessage>> {
        let QueueAddress { queue: own, address } = self.find(queue).await?;
        let count = count.min(READ_MESSAGES_MAX);
        let (mut found, mut bytes, mut next) = (Vec::new(), 0usize, offset.max(0));
        for _ in 0..READ_PULLS_MAX {
            let left = count.saturating_sub(found.len());
            if left == 0 || bytes >= READ_BYTES_MAX {
                break;
            }
            let asked = i64::try_from(left).unwrap_or(i64::MAX);
            let answer = self.client.look(&address, &own, next, asked).await;
            let answer = answer.map_err(failed(format!("cannot read {}", shown(queue))))?;
            let Some(after) = where_next(queue, next, &answer)? else { break };
            for message in messages(answer.body) {
                let message = message.map_err(|error| unreadable(queue, next, &error))?;
                if message.queue_offset < next || found.len() >= count || bytes >= READ_BYTES_MAX {
                    continue;
                }
                let stored = stored(queue, &message)?;
                bytes = bytes.saturating_add(stored.body.len());
                found.push(stored);
            }
            next = after;
        }
        Ok(found)
    }

    /// Sends to the queue of the message's key, as a source does; one without a key goes to any. What may have been
    /// stored is not sent again.
    pub async fn send(&self, message: NewMessage) -> Outcome<(QueueName, i64)> {
        let topic: Arc<str> = Arc::from(message.topic.as_str());
        let what = || format!("cannot send a message to topic {topic}");
        let body = self.item(&message).map_err(|reason| ClusterError(format!("{}: {reason}", what())))?;
        let route = self.route(&topic).await?;
        let queues = route.as_ref().map(|route| &route.write_queues[..]).filter(|queues| !queues.is_empty());
        let Some(queues) = queues else {
            let why = if route.is_some() { "it has no queue that may be written to" } else { "it does not exist" };
            return Err(ClusterError(format!("{}: {why}; create it first", what())));
        };
        let key = message.properties.iter().find(|(name, _)| name == KEYS).map(|(_, key)| key.as_str());
        let key = key.filter(|key| !key.is_empty());
        let random = usize::try_from(self.client.random() >> 40).unwrap_or(0);
        let first = key.map_or(random % queues.len().max(1), |key| queue_index(key, queues.len()));
        let Some(mut target) = queues.get(first) else { return Err(ClusterError(what())) };
        let mut attempt = 0u32;
        loop {
            attempt = attempt.saturating_add(1);
            let request = sending(&self.client, target, body.clone().freeze());
            let outcome = match self.client.connection(&target.address).await {
                Ok(connection) => connection.call(&request, self.client.settings().operation_timeout).await,
                Err(error) => Err(error),
            };
            let verdict = judge(&outcome);
            let not_stored =
                matches!(outcome, Ok(_) | Err(CallError::Connect { .. })) && matches!(verdict, Verdict::Again { .. });
            match outcome {
                Ok(answer) if verdict == Verdict::Stored => return place(target, &answer),
                outcome if !not_stored || attempt >= SEND_ATTEMPTS_MAX => {
                    return Err(unsent(what(), &target.address, outcome));
                }
                _ => D::sleep(Backoff::TARGET.delay(attempt, self.client.random())).await,
            }
            let mut others = queues.iter().cycle().skip(first).take(queues.len());
            if key.is_none()
                && let Some(other) = others.find(|other| other.address != target.address)
            {
                target = other;
            }
        }
    }

    pub async fn broker_config(&self, address: &str) -> Outcome<BTreeMap<String, String>> {
        self.client.broker_config(address).await.map_err(failed(format!("cannot learn the settings of {address}")))
    }

    async fn route(&self, topic: &Arc<str>) -> Outcome<Option<Rc<Route>>> {
        self.client.fetch_route(topic).await.map_err(failed(format!("cannot find topic {topic}")))
    }

    /// Where a queue's master is.
    async fn find(&self, queue: &QueueName) -> Outcome<QueueAddress> {
        let topic: Arc<str> = Arc::from(queue.topic.as_str());
        let Some(route) = self.route(&topic).await? else {
            return Err(ClusterError(format!("topic {topic} does not exist")));
        };
        let count = route.counts.iter().find(|(broker, ..)| **broker == *queue.broker);
        let count = count.map_or(0, |(_, read, write)| (*read).max(*write));
        if queue.queue >= count {
            return Err(ClusterError(format!("there is no {}: the topic has {count} queues there", shown(queue))));
        }
        let Some((broker, address)) = route.masters.iter().find(|(broker, _)| **broker == *queue.broker) else {
            return Err(ClusterError(format!("{} has no master now; wait until it is back", queue.broker)));
        };
        let queue_id = i32::try_from(queue.queue).unwrap_or(i32::MAX);
        Ok(QueueAddress { queue: MessageQueue { topic, broker: broker.clone(), queue_id }, address: address.clone() })
    }

    /// The message as the only item of a batch, the form in which nothing of it is changed on its way.
    fn item(&self, message: &NewMessage) -> Result<BytesMut, String> {
        if message.body.len() > MESSAGE_BODY_BYTES_MAX {
            return Err(format!("its body has {} bytes, {MESSAGE_BODY_BYTES_MAX} are possible", message.body.len()));
        }
        let mut properties = BytesMut::new();
        if !message.properties.iter().any(|(name, _)| name == UNIQ_KEY) {
            let mut ids = self.ids.borrow_mut();
            put(&mut properties, UNIQ_KEY.as_bytes(), ids.next(crate::host::unix_ms())).map_err(|e| e.to_string())?;
        }
        for (name, value) in &message.properties {
            put(&mut properties, name.as_bytes(), value.as_bytes()).map_err(|error| error.to_string())?;
        }
        if properties.len() > MESSAGE_PROPERTIES_BYTES_MAX {
            return Err(format!(
                "its properties need {} bytes, {MESSAGE_PROPERTIES_BYTES_MAX} are possible",
                properties.len()
            ));
        }
        let mut item = BytesMut::with_capacity(message.body.len().saturating_add(properties.len()).saturating_add(22));
        put_item_head(&mut item, message.body.len(), properties.len());
        item.extend_from_slice(&message.body);
        put_item_tail(&mut item, &properties);
        Ok(item)
    }
}

fn sending<D: Driver>(client: &Client<D>, target: &QueueAddress, item: bytes::Bytes) -> Request {
    Request::new(request::SEND_BATCH_MESSAGE)
        .with("a", client.settings().producer_group.as_str())
        .with("b", &*target.queue.topic)
        .with("c", TEMPLATE_TOPIC)
        .with("d", i64::from(AUTO_TOPIC_QUEUES))
        .with("e", target.queue.queue_id)
        .with("f", 0)
        .with("g", crate::host::unix_ms())
        .with("h", 0)
        .with("i", "")
        .with("j", 0)
        .with("k", "false")
        .with("m", "true")
        .with("n", &*target.queue.broker)
        .with_body(item)
}

/// Where a confirmed message lies.
fn place(target: &QueueAddress, answer: &Response) -> Outcome<(QueueName, i64)> {
    let fields = &answer.header.fields;
    let queue = fields.number("queueId").unwrap_or(i64::from(target.queue.queue_id));
    let (Ok(queue), Some(offset)) = (u32::try_from(queue), fields.number("queueOffset")) else {
        return Err(ClusterError(format!(
            "a message for {} is stored, but {} does not tell where",
            target.queue, target.address
        )));
    };
    let (topic, broker) = (target.queue.topic.to_string(), target.queue.broker.to_string());
    Ok((QueueName { topic, broker, queue }, offset))
}

fn unsent(what: String, address: &str, outcome: Result<Response, CallError>) -> ClusterError {
    match outcome {
        Ok(answer) => {
            let remark = answer.header.remark.unwrap_or_default();
            ClusterError(format!("{what}: {address} answered with code {}: {remark}", answer.header.code))
        }
        Err(error @ (CallError::Broken { .. } | CallError::Timeout { .. })) => {
            ClusterError(format!("{what}: {error}; it may be stored or not: look before you send it again"))
        }
        Err(error) => failed(what)(error),
    }
}

/// Where a read goes on after an answer to a pull at `offset`; nothing at the queue's end.
fn where_next(queue: &QueueName, offset: i64, answer: &Response) -> Outcome<Option<i64>> {
    let fields = &answer.header.fields;
    let told = fields.number("nextBeginOffset");
    let further = told.filter(|next| *next > offset);
    match answer.header.code {
        response::SUCCESS | response::PULL_RETRY_IMMEDIATELY => match further {
            Some(next) => Ok(Some(next)),
            None => Err(unreadable(queue, offset, &format!("the broker says to go on at {told:?}"))),
        },
        // What lay there is gone, or there is nothing yet.
        response::PULL_NOT_FOUND => Ok(further),
        response::PULL_OFFSET_MOVED => Ok(fields.number("minOffset").filter(|min| *min > offset)),
        code => {
            let remark = answer.header.remark.as_deref().unwrap_or_default();
            Err(unreadable(queue, offset, &format!("the broker answered with code {code}: {remark}")))
        }
    }
}

fn unreadable(queue: &QueueName, offset: i64, reason: &dyn std::fmt::Display) -> ClusterError {
    ClusterError(format!("cannot read {} at offset {offset}: {reason}", shown(queue)))
}

fn stored(queue: &QueueName, message: &Message) -> Outcome<StoredMessage> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok(StoredMessage {
        queue: queue.clone(),
        offset: message.queue_offset,
        born_ms: message.born_ms,
        store_ms: message.store_ms,
        properties: raw_pairs(&message.properties).map(|(name, value)| (text(name), text(value))).collect(),
        body: message.plain_body().map_err(|error| unreadable(queue, message.queue_offset, &error))?,
    })
}
