//! Sends: one message, or a batch of one queue.

use std::net::IpAddr;

use bytes::{Bytes, BytesMut};
use rmqc_core::limits::MESSAGE_BODY_BYTES_MAX;
use rmqc_core::record::raw_pairs;

use super::answer::Answer;
use super::batch;
use super::broker::{Broker, CLUSTER_NAME, Caller};
use super::store;
use super::topics::{self, AUTO_QUEUES_MAX, RETRY_PREFIX, TEMPLATE_TOPIC, TopicSettings, perm};
use crate::remoting::code::{request, response};
use crate::remoting::header::{Fields, Header};
use crate::remoting::message::{MessageParts, message_len, put_message};
use crate::remoting::properties::{self, NAME_END, UNIQ_KEY, VALUE_END};
use crate::remoting::unique_id::ID_LEN;

/// Longest properties block that a message can carry.
const PROPERTIES_BYTES_MAX: usize = 32_767;
/// Bytes of a message id in an answer: store address, port and position as hex.
const MESSAGE_ID_LEN: usize = 32;
/// Batches of more messages are answered with the first message's id only: the list would be a fifth of the traffic, and
/// offsets tell the same.
const MESSAGE_IDS_MAX: usize = 512;
/// Bits of `sysFlag` that a stored message keeps; those about hosts are the broker's.
const SYS_FLAG_KEPT: u32 = !0x30;
/// Bits of `sysFlag` that tell of a transaction.
const SYS_FLAG_TRANSACTION: u32 = 0xC;
/// Property that asks for a delay.
const DELAY: &str = "DELAY";
const REGION: &str = "DefaultRegion";
/// What a broker writes into every message sent alone.
const BROKER_PROPERTIES: [(&str, &str); 3] = [("CLUSTER", CLUSTER_NAME), ("MSG_REGION", REGION), ("TRACE_ON", "true")];

/// Where and how a send wants to be stored.
struct Target {
    topic: String,
    queue: u32,
    sys_flag: u32,
    flag: i32,
    born_ms: i64,
    reconsume_times: i32,
}

/// Names of the fields of a send in its long and its short form.
struct Names {
    topic: &'static str,
    template: &'static str,
    queues: &'static str,
    queue: &'static str,
    sys_flag: &'static str,
    born_ms: &'static str,
    flag: &'static str,
    properties: &'static str,
    reconsume_times: &'static str,
}

const LONG: Names = Names {
    topic: "topic",
    template: "defaultTopic",
    queues: "defaultTopicQueueNums",
    queue: "queueId",
    sys_flag: "sysFlag",
    born_ms: "bornTimestamp",
    flag: "flag",
    properties: "properties",
    reconsume_times: "reconsumeTimes",
};

const SHORT: Names = Names {
    topic: "b",
    template: "c",
    queues: "d",
    queue: "e",
    sys_flag: "f",
    born_ms: "g",
    flag: "h",
    properties: "i",
    reconsume_times: "j",
};

impl Broker {
    pub(super) fn send_one(&mut self, caller: Caller, header: &Header, body: &Bytes) -> Answer {
        let names = if header.code == request::SEND_MESSAGE { &LONG } else { &SHORT };
        self.try_send_one(caller, names, &header.fields, body).unwrap_or_else(|refusal| refusal)
    }

    fn try_send_one(&mut self, caller: Caller, names: &Names, fields: &Fields, body: &[u8]) -> Result<Answer, Answer> {
        if body.is_empty() {
            return Err(Answer::refused(response::SYSTEM_ERROR, "the message body is empty"));
        }
        if body.len() > MESSAGE_BODY_BYTES_MAX {
            return Err(Answer::refused(response::MESSAGE_ILLEGAL, "the message body is larger than 4 MiB"));
        }
        let sent = fields.get(names.properties).unwrap_or_default().as_bytes();
        let target = self.target(names, fields)?;
        refuse_unsupported(&target, sent)?;
        let mut properties = BytesMut::with_capacity(sent.len() + 160);
        let unique_id = self.complete_properties(sent, caller.now.wall_ms, &mut properties);
        if properties.len() > PROPERTIES_BYTES_MAX {
            return Err(Answer::refused(response::MESSAGE_ILLEGAL, "the properties are longer than 32767 bytes"));
        }
        let parts = self.parts(caller, &target, body, &properties);
        let stored = self.store_messages(&target, message_len(&parts), 1, |out, _, _| put_message(out, &parts))?;
        Ok(stored.answer().text("transactionId", unique_id))
    }

    pub(super) fn send_batch(&mut self, caller: Caller, header: &Header, body: &Bytes) -> Answer {
        self.try_send_batch(caller, &header.fields, body).unwrap_or_else(|refusal| refusal)
    }

    fn try_send_batch(&mut self, caller: Caller, fields: &Fields, batch: &[u8]) -> Result<Answer, Answer> {
        let names = if fields.get(SHORT.topic).is_some() { &SHORT } else { &LONG };
        if batch.len() > MESSAGE_BODY_BYTES_MAX {
            return Err(Answer::refused(response::SYSTEM_ERROR, "message body size exceeded: more than 4 MiB"));
        }
        let Some(measure) = batch::measure(batch) else {
            return Err(Answer::refused(response::SYSTEM_ERROR, "the batch is malformed; nothing of it was stored"));
        };
        let target = self.target(names, fields)?;
        if target.topic.starts_with(RETRY_PREFIX) {
            return Err(Answer::refused(response::MESSAGE_ILLEGAL, "batches to retry topics are not supported"));
        }
        let empty = self.parts(caller, &target, &[], &[]);
        let len = measure.items * message_len(&empty) + measure.content_bytes;
        let stored = self.store_messages(&target, len, measure.items, |out, mut position, mut offset| {
            for item in batch::items(batch) {
                let parts = MessageParts {
                    flag: item.flag,
                    body: item.body,
                    properties: item.properties,
                    queue_offset: offset,
                    physical_offset: position,
                    ..empty
                };
                put_message(out, &parts);
                offset += 1;
                position += message_len(&parts) as i64;
            }
        })?;
        Ok(stored.answer())
    }

    /// Checks where a send goes; makes the topic where the sender allows it.
    fn target(&mut self, names: &Names, fields: &Fields) -> Result<Target, Answer> {
        let invalid = |what: String| Answer::refused(response::INVALID_PARAMETER, what);
        let number = |name: &str| fields.number(name).and_then(|number| i32::try_from(number).ok());
        let name = fields.get(names.topic).unwrap_or_default();
        topics::check_name(name).map_err(|error| invalid(error.to_string()))?;
        let queue = number(names.queue).ok_or_else(|| invalid("the queue id is missing".to_owned()))?;
        if self.topics.get(name).is_none() {
            self.make_on_send(name, fields.get(names.template).unwrap_or_default(), number(names.queues))?;
        }
        let Some(topic) = self.topics.get_mut(name) else {
            return Err(Answer::refused(response::TOPIC_NOT_EXIST, "no such topic"));
        };
        if topic.settings.perm & perm::WRITE == 0 {
            return Err(Answer::refused(response::NO_PERMISSION, format!("topic {name} may not be written")));
        }
        let queue = match u32::try_from(queue) {
            Ok(queue) if queue >= topic.settings.queues() => {
                let queues = topic.settings.queues();
                return Err(invalid(format!("queue {queue} of topic {name}, which has {queues}")));
            }
            Ok(queue) => queue,
            Err(_) => topic.choose_queue(),
        };
        Ok(Target {
            topic: name.to_owned(),
            queue,
            sys_flag: number(names.sys_flag).unwrap_or(0).cast_unsigned() & SYS_FLAG_KEPT,
            flag: number(names.flag).unwrap_or(0),
            born_ms: fields.number(names.born_ms).unwrap_or(0),
            reconsume_times: number(names.reconsume_times).unwrap_or(0),
        })
    }

    fn make_on_send(&mut self, name: &str, template: &str, queues: Option<i32>) -> Result<(), Answer> {
        let settings = if name.starts_with(RETRY_PREFIX) {
            TopicSettings::new(1, self.store.end())
        } else if template == TEMPLATE_TOPIC {
            let queues = queues.and_then(|queues| u32::try_from(queues).ok()).unwrap_or(0);
            TopicSettings::new(queues.clamp(1, AUTO_QUEUES_MAX), self.store.end())
        } else {
            return Err(Answer::refused(response::TOPIC_NOT_EXIST, format!("there is no topic {name}")));
        };
        self.make_topic(name, settings).map_err(|error| error.answer())
    }

    fn parts<'m>(&self, caller: Caller, target: &'m Target, body: &'m [u8], properties: &'m [u8]) -> MessageParts<'m> {
        MessageParts {
            queue_id: target.queue.cast_signed(),
            queue_offset: self.topics.get(&target.topic).map_or(0, |topic| topic.queue_end(target.queue)).cast_signed(),
            physical_offset: self.store.end().cast_signed(),
            flag: target.flag,
            sys_flag: target.sys_flag,
            born_ms: target.born_ms,
            store_ms: caller.now.wall_ms,
            born_host: host(caller.address),
            store_host: host(self.address),
            reconsume_times: target.reconsume_times,
            body,
            topic: target.topic.as_bytes(),
            properties,
        }
    }

    /// Writes `count` messages of `len` bytes with `write`, which gets position and queue offset of the first; then
    /// wakes who waits for them.
    fn store_messages(
        &mut self,
        target: &Target,
        len: usize,
        count: usize,
        write: impl FnOnce(&mut BytesMut, i64, i64),
    ) -> Result<Stored, Answer> {
        let topic = self.topics.get_mut(&target.topic);
        let Some(topic) = topic else { return Err(Answer::refused(response::TOPIC_NOT_EXIST, "no such topic")) };
        let queue = topic.queue_mut(target.queue);
        if !queue.has_room(count) {
            return Err(Answer::refused(response::SERVICE_NOT_AVAILABLE, "the queue has no more offsets"));
        }
        let first = queue.next().cast_signed();
        let written = self.store.append(len, |out, position| write(out, position.cast_signed(), first));
        let (mut position, messages) = written.map_err(|error| {
            tracing::error!(%error, "the embedded broker could not write its commit log; the send was refused");
            Answer::unavailable("the commit log could not be written", &error)
        })?;
        let store_host = host(self.address);
        let ids_wanted = if count > MESSAGE_IDS_MAX { 1 } else { count };
        let mut ids = BytesMut::with_capacity((MESSAGE_ID_LEN + 1) * ids_wanted);
        for size in store::sizes(&messages) {
            if ids.len() < (MESSAGE_ID_LEN + 1) * ids_wanted - 1 {
                put_message_id(&mut ids, store_host, position);
            }
            queue.push(position, u32::try_from(size).unwrap_or(u32::MAX));
            position += size as u64;
        }
        self.received = self.received.saturating_add(count as u64);
        self.wake_pulls(&target.topic, target.queue);
        Ok(Stored { queue: target.queue, first, ids: ids.freeze() })
    }

    /// The properties of a message sent alone, as a broker keeps them: without empty values, with the broker's own.
    /// Gives the message's `UNIQ_KEY`.
    fn complete_properties(&mut self, sent: &[u8], now_ms: i64, out: &mut BytesMut) -> Bytes {
        let own = |name: &[u8]| BROKER_PROPERTIES.iter().any(|(own, _)| own.as_bytes() == name);
        let mut unique_id = None;
        for (name, value) in raw_pairs(sent) {
            if value.is_empty() || own(name) {
                continue;
            }
            if name == UNIQ_KEY.as_bytes() {
                unique_id = Some(Bytes::copy_from_slice(value));
            }
            put_pair(out, name, value);
        }
        for (name, value) in BROKER_PROPERTIES {
            put_pair(out, name.as_bytes(), value.as_bytes());
        }
        unique_id.unwrap_or_else(|| {
            let id: [u8; ID_LEN] = *self.unique_ids.next(now_ms);
            put_pair(out, UNIQ_KEY.as_bytes(), &id);
            Bytes::copy_from_slice(&id)
        })
    }
}

fn put_pair(out: &mut BytesMut, name: &[u8], value: &[u8]) {
    for part in [name, &[NAME_END], value, &[VALUE_END]] {
        out.extend_from_slice(part);
    }
}

/// What the embedded broker can't do is refused, not done by halves.
fn refuse_unsupported(target: &Target, sent: &[u8]) -> Result<(), Answer> {
    if target.sys_flag & SYS_FLAG_TRANSACTION != 0 {
        return Err(Answer::refused(response::SYSTEM_ERROR, "the embedded broker has no transactions"));
    }
    // A consumer's redelivery asks for a delay too; it is better delivered at once than not at all.
    if properties::find(sent, DELAY).is_some() && !target.topic.starts_with(RETRY_PREFIX) {
        return Err(Answer::refused(response::SYSTEM_ERROR, "the embedded broker has no delayed messages"));
    }
    Ok(())
}

/// Where messages went.
struct Stored {
    queue: u32,
    first: i64,
    ids: Bytes,
}

impl Stored {
    fn answer(self) -> Answer {
        Answer::done()
            .text("msgId", self.ids)
            .number("queueId", i64::from(self.queue))
            .number("queueOffset", self.first)
            .text("MSG_REGION", Bytes::from_static(REGION.as_bytes()))
            .text("TRACE_ON", Bytes::from_static(b"true"))
    }
}

/// Address and port in the form of a message; an IPv6 address has no place there and becomes 0.0.0.0.
fn host(address: std::net::SocketAddr) -> [u8; 8] {
    let [a, b, c, d] = match address.ip().to_canonical() {
        IpAddr::V4(ip) => ip.octets(),
        IpAddr::V6(_) => [0; 4],
    };
    let [e, f] = address.port().to_be_bytes();
    [a, b, c, d, 0, 0, e, f]
}

/// Adds a message id to a comma list.
fn put_message_id(ids: &mut BytesMut, store_host: [u8; 8], position: u64) {
    if !ids.is_empty() {
        ids.extend_from_slice(b",");
    }
    let mut id = [0u8; MESSAGE_ID_LEN];
    let bytes = store_host.into_iter().chain(position.to_be_bytes());
    for (pair, byte) in id.chunks_exact_mut(2).zip(bytes) {
        let digit = |nibble: u8| if nibble < 10 { b'0' + nibble } else { b'A' + (nibble - 10) };
        pair.copy_from_slice(&[digit(byte >> 4), digit(byte & 15)]);
    }
    ids.extend_from_slice(&id);
}
