//! Requests about groups: heartbeats, membership, queue locks.

use std::collections::BTreeSet;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;

use super::answer::Answer;
use super::broker::{Broker, Caller};
use super::groups::{Member, QueueName, Subscription};
use super::topics::{RETRY_PREFIX, TopicSettings};
use crate::remoting::code::response;
use crate::remoting::header::Fields;

/// Most groups that one heartbeat may tell of.
const HEARTBEAT_GROUPS_MAX: usize = 1_024;
/// Longest client id, in bytes.
const CLIENT_ID_BYTES_MAX: usize = 1_024;

#[derive(Deserialize)]
struct Heartbeat {
    #[serde(rename = "clientID")]
    client_id: String,
    #[serde(default, rename = "consumerDataSet")]
    consumers: Vec<HeartbeatGroup>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct HeartbeatGroup {
    group_name: String,
    #[serde(default)]
    message_model: Option<String>,
    #[serde(default, rename = "subscriptionDataSet")]
    subscriptions: Vec<HeartbeatSubscription>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct HeartbeatSubscription {
    topic: String,
    #[serde(default)]
    sub_string: Option<String>,
    #[serde(default)]
    sub_version: i64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Queues {
    consumer_group: String,
    client_id: String,
    #[serde(default)]
    mq_set: Vec<QueueName>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct GroupSettings {
    group_name: String,
}

fn malformed(error: &serde_json::Error) -> Answer {
    Answer::refused(response::SYSTEM_ERROR, format!("the body is malformed: {error}"))
}

impl Broker {
    pub(super) fn heartbeat(&mut self, caller: Caller, body: &Bytes) -> Answer {
        let heartbeat: Heartbeat = match serde_json::from_slice(body) {
            Ok(heartbeat) => heartbeat,
            Err(error) => return malformed(&error),
        };
        let client = heartbeat.client_id;
        if client.len() > CLIENT_ID_BYTES_MAX || heartbeat.consumers.len() > HEARTBEAT_GROUPS_MAX {
            return Answer::refused(response::SYSTEM_ERROR, "the client id is too long, or it is in too many groups");
        }
        for told in heartbeat.consumers {
            let name = told.group_name;
            let subscription = |told: HeartbeatSubscription| {
                let expression = told.sub_string.unwrap_or_else(|| "*".to_owned());
                (told.topic, Subscription { expression, version: told.sub_version })
            };
            let subscriptions = told.subscriptions.into_iter().map(subscription).collect();
            let Some((group, _)) = self.groups.known_or_new(&name) else {
                return Answer::refused(response::SYSTEM_ERROR, "a group's name can't be one, or there are too many");
            };
            let changed = group.join(&client, Member { connection: caller.connection, subscriptions });
            let members: BTreeSet<_> = group.members.values().map(|member| member.connection).collect();
            let shares = told.message_model.as_deref() != Some("BROADCASTING");
            if let Err(refusal) = self.make_retry_topic(&name, shares) {
                return refusal;
            }
            if changed {
                self.tell_members(&name, members);
            }
        }
        Answer::done()
    }

    /// Consumers that share their messages look for this topic's route, and send there what they failed on.
    fn make_retry_topic(&mut self, group: &str, shares: bool) -> Result<(), Answer> {
        let topic = format!("{RETRY_PREFIX}{group}");
        if !shares || self.topics.get(&topic).is_some() || super::topics::check_name(&topic).is_err() {
            return Ok(());
        }
        let settings = TopicSettings::new(1, self.store.end());
        self.make_topic(&topic, settings).map_err(|error| error.answer())
    }

    pub(super) fn unregister(&mut self, fields: &Fields) -> Answer {
        let client = fields.get("clientID").unwrap_or_default();
        if let Some(group) = fields.get("consumerGroup")
            && let Some(left) = self.groups.leave(group, client)
        {
            self.tell_members(group, left);
        }
        Answer::done()
    }

    pub(super) fn consumer_list(&self, fields: &Fields) -> Answer {
        let name = fields.get("consumerGroup").unwrap_or_default();
        match self.groups.get(name).filter(|group| !group.members.is_empty()) {
            Some(group) => {
                let ids: Vec<&String> = group.members.keys().collect();
                Answer::with_body(json!({ "consumerIdList": ids }).to_string())
            }
            None => Answer::refused(response::SYSTEM_ERROR, format!("no consumer of group {name} is connected")),
        }
    }

    pub(super) fn lock_queues(&mut self, caller: Caller, body: &Bytes) -> Answer {
        let queues: Queues = match serde_json::from_slice(body) {
            Ok(queues) => queues,
            Err(error) => return malformed(&error),
        };
        let Some((group, _)) = self.groups.known_or_new(&queues.consumer_group) else {
            return Answer::refused(response::SYSTEM_ERROR, "the group's name can't be one, or there are too many");
        };
        let now_ms = caller.now.mono_ms;
        let until_ms = now_ms.saturating_add(self.limits.lock_ms);
        let locked: Vec<&QueueName> =
            queues.mq_set.iter().filter(|queue| group.lock(queue, &queues.client_id, now_ms, until_ms)).collect();
        Answer::with_body(json!({ "lockOKMQSet": locked }).to_string())
    }

    pub(super) fn unlock_queues(&mut self, body: &Bytes) -> Answer {
        let queues: Queues = match serde_json::from_slice(body) {
            Ok(queues) => queues,
            Err(error) => return malformed(&error),
        };
        if let Some(group) = self.groups.get_mut(&queues.consumer_group) {
            for queue in &queues.mq_set {
                group.unlock(queue, &queues.client_id);
            }
        }
        Answer::done()
    }

    /// Makes a group known; the embedded broker has no settings of groups.
    pub(super) fn update_group(&mut self, body: &Bytes) -> Answer {
        let settings: GroupSettings = match serde_json::from_slice(body) {
            Ok(settings) => settings,
            Err(error) => return malformed(&error),
        };
        match self.groups.known_or_new(&settings.group_name) {
            Some(_) => {
                self.note_offsets_changed();
                Answer::done()
            }
            None => Answer::refused(response::SYSTEM_ERROR, "the group's name can't be one, or there are too many"),
        }
    }

    /// Forgets a group with its offsets. Members that still run make it known again by their next heartbeat.
    pub(super) fn delete_group(&mut self, fields: &Fields) -> Answer {
        if self.groups.remove(fields.get("groupName").unwrap_or_default()) {
            self.note_offsets_changed();
        }
        Answer::done()
    }
}
