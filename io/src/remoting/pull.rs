//! The request for a queue's messages.

use std::time::Duration;

use super::code::request;
use super::connection::Request;

/// The broker may keep the request waiting.
const FLAG_SUSPEND: i64 = 2;
/// The subscription is in the request. Without the flags beside it nothing is committed and nothing waits.
const FLAG_SUBSCRIPTION: i64 = 4;

/// What is asked of one queue.
#[derive(Clone, Copy, Debug)]
pub struct Pull<'a> {
    /// Consumer group.
    pub group: &'a str,
    /// The queue's topic.
    pub topic: &'a str,
    /// The queue's number at its broker.
    pub queue_id: i32,
    /// Offset of the first message wanted.
    pub offset: i64,
    /// Most messages wanted; brokers have caps of their own.
    pub messages_max: i64,
    /// Tags of the messages wanted, `*` for all.
    pub expression: &'a str,
    /// Whether the broker may keep the request waiting for a message.
    pub may_wait: bool,
    /// Longest time that it may, in whole ms.
    pub suspend: Duration,
}

impl Pull<'_> {
    /// The request. It commits nothing.
    #[must_use]
    pub fn request(&self) -> Request {
        let flag = FLAG_SUBSCRIPTION | if self.may_wait { FLAG_SUSPEND } else { 0 };
        Request::new(request::PULL_MESSAGE)
            .with("consumerGroup", self.group)
            .with("topic", self.topic)
            .with("queueId", self.queue_id)
            .with("queueOffset", self.offset)
            .with("maxMsgNums", self.messages_max)
            .with("sysFlag", flag)
            .with("commitOffset", 0)
            .with("suspendTimeoutMillis", i64::try_from(self.suspend.as_millis()).unwrap_or(0))
            .with("subscription", self.expression)
            .with("subVersion", 0)
            .with("expressionType", "TAG")
    }
}
