//! Requests about offsets: committed ones, the ends of queues, searches by time, resets.

use serde_json::json;

use super::answer::Answer;
use super::broker::{BROKER_NAME, Broker};
use super::topics::Topic;
use crate::remoting::code::response;
use crate::remoting::header::Fields;

/// The queue that a request names.
fn queue_id(fields: &Fields) -> Option<u32> {
    fields.number("queueId").and_then(|queue| u32::try_from(queue).ok())
}

fn topic_name(fields: &Fields) -> &str {
    fields.get("topic").unwrap_or_default()
}

fn missing(name: &str) -> Answer {
    Answer::refused(response::INVALID_PARAMETER, format!("field {name} is missing or not a number"))
}

impl Broker {
    pub(super) fn query_offset(&self, fields: &Fields) -> Answer {
        let Some(queue) = queue_id(fields) else { return missing("queueId") };
        let group = self.groups.get(fields.get("consumerGroup").unwrap_or_default());
        if let Some(offset) = group.and_then(|group| group.offset(topic_name(fields), queue)) {
            return Answer::done().number("offset", offset);
        }
        // Every queue starts at 0, so a group without an offset starts there, unless it wants to know.
        match fields.get("setZeroIfNotFound") {
            Some("false") => Answer::refused(response::QUERY_NOT_FOUND, "the group has committed nothing there yet"),
            _ => Answer::done().number("offset", 0),
        }
    }

    pub(super) fn update_offset(&mut self, fields: &Fields) -> Answer {
        let Some(queue) = queue_id(fields) else { return missing("queueId") };
        let Some(offset) = fields.number("commitOffset") else { return missing("commitOffset") };
        let topic = topic_name(fields);
        if self.topics.get(topic).is_none_or(|known| queue >= known.settings.queues()) {
            return Answer::refused(response::TOPIC_NOT_EXIST, format!("there is no topic {topic} with queue {queue}"));
        }
        let name = fields.get("consumerGroup").unwrap_or_default();
        let Some(group) = self.groups.get_mut(name) else {
            let what = format!("group {name} is not known: it must send a heartbeat or pull before it commits");
            return Answer::refused(response::SUBSCRIPTION_GROUP_NOT_EXIST, what);
        };
        if !group.commit(topic, queue, offset) {
            return Answer::refused(response::SYSTEM_ERROR, "the group has too many offsets");
        }
        self.note_offsets_changed();
        Answer::done()
    }

    pub(super) fn max_offset(&self, fields: &Fields) -> Answer {
        let Some(queue) = queue_id(fields) else { return missing("queueId") };
        let end = self.topics.get(topic_name(fields)).map_or(0, |topic| topic.queue_end(queue));
        Answer::done().number("offset", end.cast_signed())
    }

    pub(super) fn min_offset(&self, fields: &Fields) -> Answer {
        if queue_id(fields).is_none() {
            return missing("queueId");
        }
        Answer::done().number("offset", 0)
    }

    pub(super) fn earliest_store_time(&self, fields: &Fields) -> Answer {
        let Some(queue) = queue_id(fields) else { return missing("queueId") };
        let index = self.topics.get(topic_name(fields)).and_then(|topic| topic.queue(queue));
        match index.map_or(Ok(None), |index| self.store.store_ms(index, 0)) {
            Ok(time) => Answer::done().number("timestamp", time.unwrap_or(-1)),
            Err(error) => Answer::unavailable("the commit log could not be read", &error),
        }
    }

    pub(super) fn search_offset(&self, fields: &Fields) -> Answer {
        let Some(queue) = queue_id(fields) else { return missing("queueId") };
        let Some(time) = fields.number("timestamp") else { return missing("timestamp") };
        let topic = self.topics.get(topic_name(fields));
        match topic.map_or(Ok(0), |topic| self.offset_at(topic, queue, time)) {
            Ok(offset) => Answer::done().number("offset", offset),
            Err(error) => Answer::unavailable("the commit log could not be read", &error),
        }
    }

    /// The first offset whose message was stored at or after `time`; the end if there is none.
    fn offset_at(&self, topic: &Topic, queue: u32, time: i64) -> std::io::Result<i64> {
        let Some(index) = topic.queue(queue) else { return Ok(0) };
        let (mut low, mut high) = (0, index.next());
        while low < high {
            let middle = low + (high - low) / 2;
            if self.store.store_ms(index, middle)?.is_some_and(|stored| stored < time) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(low.cast_signed())
    }

    /// Sets a group's offsets by time (-1: the ends), and has the next pull of each queue told.
    pub(super) fn reset_offsets(&mut self, fields: &Fields) -> Answer {
        let name = topic_name(fields);
        let Some(topic) = self.topics.get(name) else {
            return Answer::refused(response::TOPIC_NOT_EXIST, format!("there is no topic {name}"));
        };
        let Some(time) = fields.number("timestamp") else { return missing("timestamp") };
        let one = queue_id(fields);
        let queues = (0..topic.settings.queues()).filter(|queue| one.is_none_or(|one| one == *queue));
        let found: std::io::Result<Vec<(u32, i64)>> = queues
            .map(|queue| match time {
                -1 => Ok((queue, topic.queue_end(queue).cast_signed())),
                time => self.offset_at(topic, queue, time).map(|offset| (queue, offset)),
            })
            .collect();
        let offsets = match found {
            Ok(offsets) => offsets,
            Err(error) => return Answer::unavailable("the commit log could not be read", &error),
        };
        let group_name = fields.get("group").unwrap_or_default();
        let Some((group, _)) = self.groups.known_or_new(group_name) else {
            return Answer::refused(response::SYSTEM_ERROR, "the group's name can't be one, or there are too many");
        };
        let mut table = String::from("{\"offsetTable\":{");
        for (at, (queue, offset)) in offsets.iter().enumerate() {
            if group.commit(name, *queue, *offset) {
                group.resets.insert((name.to_owned(), *queue), *offset);
            }
            let key = json!({"brokerName": BROKER_NAME, "queueId": queue, "topic": name});
            table.push_str(&format!("{}{key}:{offset}", if at == 0 { "" } else { "," }));
        }
        table.push_str("}}");
        self.note_offsets_changed();
        // Waiting pulls are told at once.
        for (queue, _) in offsets {
            let topic = name.to_owned();
            self.wake_pulls(&topic, queue);
        }
        Answer::with_body(table)
    }
}
