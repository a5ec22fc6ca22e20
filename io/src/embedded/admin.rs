//! Requests about topics, routes and figures: what a name server answers, and what tools ask a broker.
//!
//! Java's name server and broker write some maps as no JSON reader accepts them: numbers as keys without quotes, objects
//! as keys. Clients know this and read it, so it is written here in the same way.

use std::fmt::Write as _;

use rmqc_core::limits::MESSAGE_BODY_BYTES_MAX;
use serde_json::{Value, json};

use super::answer::Answer;
use super::broker::{BROKER_NAME, Broker, CLUSTER_NAME, Moment};
use super::topics::{AUTO_QUEUES_MAX, Topic, TopicSettings, perm};
use crate::remoting::code::response;
use crate::remoting::header::{Fields, Header};

/// From this version on a client gets routes as strict JSON.
const STRICT_JSON_VERSION: i32 = 401;

fn no_topic(name: &str) -> Answer {
    Answer::refused(response::TOPIC_NOT_EXIST, format!("there is no topic {name}"))
}

fn name_of(fields: &Fields) -> &str {
    fields.get("topic").unwrap_or_default()
}

fn topic_json(name: &str, settings: &TopicSettings) -> Value {
    json!({
        "topicName": name,
        "readQueueNums": settings.read_queues,
        "writeQueueNums": settings.write_queues,
        "perm": settings.perm,
        "topicFilterType": "SINGLE_TAG",
        "topicSysFlag": settings.sys_flag,
        "order": settings.order,
        "attributes": {},
    })
}

impl Broker {
    /// The only broker as name servers tell it; its id stands in quotes or not.
    fn broker_json(&self, strict: bool) -> String {
        let (quote, address) = (if strict { "\"" } else { "" }, self.address);
        format!(
            "{{\"brokerAddrs\":{{{quote}0{quote}:\"{address}\"}},\"brokerName\":\"{BROKER_NAME}\",\"cluster\":\"{CLUSTER_NAME}\"}}"
        )
    }

    pub(super) fn route(&self, header: &Header) -> Answer {
        let name = name_of(&header.fields);
        let Some(topic) = self.topics.get(name) else { return no_topic(name) };
        let strict =
            header.version >= STRICT_JSON_VERSION || header.fields.get("acceptStandardJsonOnly") == Some("true");
        let settings = &topic.settings;
        let queues = json!({
            "brokerName": BROKER_NAME,
            "perm": settings.perm,
            "readQueueNums": settings.read_queues,
            "topicSysFlag": settings.sys_flag,
            "writeQueueNums": settings.write_queues,
        });
        let broker = self.broker_json(strict);
        Answer::with_body(format!(
            "{{\"brokerDatas\":[{broker}],\"filterServerTable\":{{}},\"queueDatas\":[{queues}]}}"
        ))
    }

    pub(super) fn cluster_info(&self) -> Answer {
        let broker = self.broker_json(false);
        Answer::with_body(format!(
            "{{\"brokerAddrTable\":{{\"{BROKER_NAME}\":{broker}}},\"clusterAddrTable\":{{\"{CLUSTER_NAME}\":[\"{BROKER_NAME}\"]}}}}"
        ))
    }

    pub(super) fn topic_list(&self) -> Answer {
        let names: Vec<&str> = self.topics.iter().map(|(name, _)| name).collect();
        Answer::with_body(json!({ "topicList": names }).to_string())
    }

    pub(super) fn update_topic(&mut self, fields: &Fields) -> Answer {
        let queues = |name: &str| fields.number(name).and_then(|queues| u32::try_from(queues).ok()).unwrap_or(0);
        let permission = fields.number("perm").and_then(|perm| u32::try_from(perm).ok());
        let settings = TopicSettings {
            read_queues: queues("readQueueNums"),
            write_queues: queues("writeQueueNums"),
            perm: permission.unwrap_or(perm::READ | perm::WRITE) & (perm::READ | perm::WRITE),
            sys_flag: fields.number("topicSysFlag").unwrap_or(0),
            order: fields.get("order") == Some("true"),
            since: self.store.end(),
        };
        match self.make_topic(name_of(fields), settings) {
            Ok(()) => Answer::done(),
            Err(error) => error.answer(),
        }
    }

    pub(super) fn delete_topic(&mut self, fields: &Fields) -> Answer {
        let name = name_of(fields);
        let Some(topic) = self.topics.remove(name) else { return Answer::done() };
        if let Err(error) = self.save_topics() {
            self.topics.restore(name, topic);
            return Answer::unavailable("the topic could not be deleted", &error);
        }
        self.groups.forget_topic(name);
        self.note_offsets_changed();
        for pull in self.waiting.take_topic(name) {
            self.finish_pull(pull);
        }
        Answer::done()
    }

    pub(super) fn topic_config(&self, fields: &Fields) -> Answer {
        let name = name_of(fields);
        match self.topics.get(name) {
            Some(topic) => Answer::with_body(topic_json(name, &topic.settings).to_string()),
            None => no_topic(name),
        }
    }

    pub(super) fn all_topic_configs(&self) -> Answer {
        let table: serde_json::Map<String, Value> =
            self.topics.iter().map(|(name, topic)| (name.to_owned(), topic_json(name, &topic.settings))).collect();
        let version =
            json!({ "counter": self.topics.iter().count(), "stateVersion": 0, "timestamp": self.started.wall_ms });
        Answer::with_body(json!({ "dataVersion": version, "topicConfigTable": table }).to_string())
    }

    pub(super) fn topic_stats(&self, fields: &Fields) -> Answer {
        let name = name_of(fields);
        let Some(topic) = self.topics.get(name) else { return no_topic(name) };
        let mut table = Table::open("{\"offsetTable\":{");
        for queue in 0..topic.settings.queues() {
            let end = topic.queue_end(queue);
            let figures =
                json!({ "lastUpdateTimestamp": self.last_stored(topic, queue), "maxOffset": end, "minOffset": 0 });
            table.put(name, queue, &figures);
        }
        Answer::with_body(table.close("},\"topicPutTps\":0.0}"))
    }

    pub(super) fn consume_stats(&self, fields: &Fields) -> Answer {
        let group = self.groups.get(fields.get("consumerGroup").unwrap_or_default());
        let only = fields.get("topic").filter(|topic| !topic.is_empty());
        let mut table = Table::open("{\"consumeTps\":0.0,\"offsetTable\":{");
        for (name, offsets) in group.iter().flat_map(|group| &group.offsets) {
            let Some(topic) = self.topics.get(name).filter(|_| only.is_none_or(|only| only == name)) else { continue };
            for queue in 0..topic.settings.read_queues {
                let consumed = offsets.get(&queue).copied().unwrap_or(0);
                let figures = json!({
                    "brokerOffset": topic.queue_end(queue),
                    "consumerOffset": consumed,
                    "lastTimestamp": self.last_read(topic, queue, consumed),
                    "pullOffset": consumed,
                });
                table.put(name, queue, &figures);
            }
        }
        Answer::with_body(table.close("}}"))
    }

    fn last_stored(&self, topic: &Topic, queue: u32) -> i64 {
        let last = topic.queue_end(queue).checked_sub(1);
        last.map_or(0, |last| self.last_read(topic, queue, last.cast_signed().saturating_add(1)))
    }

    /// When the message before `offset` was stored; 0 if that is not known.
    fn last_read(&self, topic: &Topic, queue: u32, offset: i64) -> i64 {
        let before = u64::try_from(offset).ok().and_then(|offset| offset.checked_sub(1));
        let before = before.filter(|before| *before < topic.queue_end(queue));
        let time = topic.queue(queue).zip(before).and_then(|(index, before)| self.store.store_ms(index, before).ok());
        time.flatten().unwrap_or(0)
    }

    /// The settings under the names that a broker's file has for them, a line each.
    pub(super) fn settings_text(&self) -> Answer {
        let (address, limits) = (self.address, self.limits);
        let settings = [
            ("autoCreateSubscriptionGroup", "true".to_owned()),
            ("autoCreateTopicEnable", "true".to_owned()),
            ("brokerClusterName", CLUSTER_NAME.to_owned()),
            ("brokerIP1", address.ip().to_string()),
            ("brokerId", "0".to_owned()),
            ("brokerName", BROKER_NAME.to_owned()),
            ("brokerPermission", (perm::READ | perm::WRITE).to_string()),
            ("brokerRole", "ASYNC_MASTER".to_owned()),
            ("defaultTopicQueueNums", AUTO_QUEUES_MAX.to_string()),
            ("enablePropertyFilter", "false".to_owned()),
            ("flushDiskType", "ASYNC_FLUSH".to_owned()),
            ("listenPort", address.port().to_string()),
            ("maxMessageSize", MESSAGE_BODY_BYTES_MAX.to_string()),
            ("maxTransferBytesOnMessageInMemory", limits.pull_bytes_max.to_string()),
            ("maxTransferCountOnMessageInMemory", limits.pull_messages_max.to_string()),
            ("storePathRootDir", self.dir.display().to_string()),
        ];
        let lines = settings.iter().map(|(name, value)| format!("{name}={value}\n"));
        Answer::with_body(lines.collect::<String>())
    }

    pub(super) fn runtime_info(&self, now: Moment) -> Answer {
        let messages: u64 = self.topics.iter().map(|(_, topic)| topic.messages()).sum();
        let table = json!({
            "bootTimestamp": self.started.wall_ms.to_string(),
            "brokerActive": "true",
            "brokerVersion": "0",
            "brokerVersionDesc": format!("rmqc-fast embedded {}", env!("CARGO_PKG_VERSION")),
            "commitLogMaxOffset": self.store.end().to_string(),
            "commitLogMinOffset": "0",
            "getMessageEntireTimes": self.delivered.to_string(),
            "msgGetTotalTodayNow": self.delivered.to_string(),
            "msgPutTotalTodayNow": self.received.to_string(),
            "putMessageTimesTotal": self.received.to_string(),
            "messagesTotal": messages.to_string(),
            "runtimeMs": now.wall_ms.saturating_sub(self.started.wall_ms).to_string(),
        });
        Answer::with_body(json!({ "table": table }).to_string())
    }
}

/// A map whose keys are queues, as objects.
struct Table {
    text: String,
    empty: bool,
}

impl Table {
    fn open(head: &str) -> Self {
        Self { text: head.to_owned(), empty: true }
    }

    fn put(&mut self, topic: &str, queue: u32, figures: &Value) {
        let key = json!({ "brokerName": BROKER_NAME, "queueId": queue, "topic": topic });
        let comma = if self.empty { "" } else { "," };
        // Writing to a String never fails.
        let _ = write!(self.text, "{comma}{key}:{figures}");
        self.empty = false;
    }

    fn close(mut self, tail: &str) -> String {
        self.text.push_str(tail);
        self.text
    }
}
