//! Sends letters to where they came from, one by one: a letter counts when the broker has confirmed it, and how far the
//! replay has come is then committed for the group `connect-dlq-CONNECTOR`. So a crash repeats one letter at most.

use std::collections::BTreeMap;
use std::time::Duration;

use rmqc_core::cluster_port::{ClusterPort, QueueName, QueueStanding, StoredMessage};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use utoipa::ToSchema;

use super::letter::{is_of, reborn};
use super::{Desk, READ_COUNT, read};
use crate::rest::v1::error::V1Error;

/// Letters of one replay if nobody says how many.
const LIMIT_DEFAULT: usize = 1000;
/// Most letters of one replay.
const LIMIT_MAX: usize = 100_000;
/// A replay ends by itself after this, and says what is left.
const TIME_MAX: Duration = Duration::from_secs(60);

/// What to send again.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::rest::v1) struct ReplayBody {
    /// Only letters of this queue.
    #[serde(default)]
    queue: Option<u32>,
    /// Only letters on this broker.
    #[serde(default)]
    broker: Option<String>,
    /// From this offset on, though it may have been sent before. Needs one queue.
    #[serde(default)]
    from: Option<i64>,
    /// Up to this offset, itself not included. Needs one queue.
    #[serde(default)]
    to: Option<i64>,
    /// Most letters, up to 100000; default 1000.
    #[serde(default)]
    limit: Option<usize>,
    /// Send nothing and say what would be sent.
    #[serde(default)]
    dry_run: bool,
    /// Send all to this topic. Without it each letter goes to the topic that it names, or else to the connector's only one.
    #[serde(default)]
    topic: Option<String>,
}

/// What was done in one queue.
#[derive(Debug, Serialize, ToSchema)]
struct ReplayedQueue {
    broker: String,
    queue: u32,
    /// Offset of the first letter looked at.
    from: i64,
    /// Offset behind the last letter done with.
    to: i64,
    replayed: usize,
    /// Letters of the range that are still to be looked at.
    left: i64,
}

/// What was sent.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::rest::v1) struct Replayed {
    /// The dead letter topic.
    topic: String,
    dry_run: bool,
    /// Letters sent and confirmed; with `dry_run` those that would be sent.
    replayed: usize,
    /// Letters of other connectors that share the topic.
    of_others: usize,
    /// Letters of the range that are still to be looked at: ask again.
    left: i64,
    /// Letters by the topic that they were sent to.
    by_topic: BTreeMap<String, usize>,
    queues: Vec<ReplayedQueue>,
}

/// One replay under way.
pub(super) struct Replay<'c> {
    cluster: &'c dyn ClusterPort,
    connector: &'c str,
    desk: Desk,
    body: ReplayBody,
    limit: usize,
    deadline: Instant,
    done: Replayed,
}

/// Letters of a queue to go through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Range {
    from: i64,
    to: i64,
}

/// The range of a replay: what is asked for, else from where the last one came to, up to the queue's end.
fn range(queue: &QueueStanding, from: Option<i64>, to: Option<i64>) -> Range {
    let from = from.or(queue.committed).unwrap_or(queue.min).max(queue.min);
    Range { from, to: to.unwrap_or(queue.max).min(queue.max).max(from) }
}

impl<'c> Replay<'c> {
    pub fn new(
        cluster: &'c dyn ClusterPort,
        connector: &'c str,
        mut desk: Desk,
        body: ReplayBody,
    ) -> Result<Self, V1Error> {
        desk.keep(body.queue, body.broker.as_deref())?;
        if (body.from.is_some() || body.to.is_some()) && desk.queues.len() > 1 {
            let message = "from and to need one queue: give queue, and broker if several have it";
            return Err(V1Error::bad_request(message));
        }
        if let (Some(from), Some(to)) = (body.from, body.to)
            && to < from
        {
            return Err(V1Error::bad_request(format!("to is {to}, which is before from, {from}")));
        }
        let limit = body.limit.unwrap_or(LIMIT_DEFAULT);
        if !(1..=LIMIT_MAX).contains(&limit) {
            return Err(V1Error::bad_request(format!("limit is {limit}, expected a number from 1 to {LIMIT_MAX}")));
        }
        if body.topic.as_deref() == Some(desk.topic.as_str()) {
            return Err(V1Error::bad_request("topic is the dead letter topic itself"));
        }
        let done = Replayed {
            topic: desk.topic.clone(),
            dry_run: body.dry_run,
            replayed: 0,
            of_others: 0,
            left: 0,
            by_topic: BTreeMap::new(),
            queues: Vec::new(),
        };
        Ok(Self { cluster, connector, desk, body, limit, deadline: Instant::now() + TIME_MAX, done })
    }

    /// Goes through all queues.
    pub async fn run(mut self) -> Result<Replayed, V1Error> {
        for queue in std::mem::take(&mut self.desk.queues) {
            let range = range(&queue, self.body.from, self.body.to);
            let before = self.done.replayed;
            let reached = self.go_through(&queue, range).await?;
            let left = range.to.saturating_sub(reached);
            self.done.left = self.done.left.saturating_add(left);
            self.done.queues.push(ReplayedQueue {
                broker: queue.queue.broker,
                queue: queue.queue.queue,
                from: range.from,
                to: reached,
                replayed: self.done.replayed.saturating_sub(before),
                left,
            });
        }
        Ok(self.done)
    }

    fn may_go_on(&self) -> bool {
        self.done.replayed < self.limit && Instant::now() < self.deadline
    }

    /// Sends the letters of one range; gives the offset behind the last one done with.
    async fn go_through(&mut self, queue: &QueueStanding, range: Range) -> Result<i64, V1Error> {
        let mut at = range.from;
        let mut committed = queue.committed;
        while at < range.to && self.may_go_on() {
            let letters = read(self.cluster, queue, at, READ_COUNT).await.map_err(|error| self.so_far(error))?;
            if letters.is_empty() {
                break;
            }
            for letter in letters.into_iter().filter(|one| one.offset >= range.from) {
                if letter.offset >= range.to {
                    return Ok(range.to);
                }
                if !self.may_go_on() {
                    return Ok(at);
                }
                self.send(&letter).await?;
                at = letter.offset.saturating_add(1);
                // What lies before an asked range and was never sent must not be passed over by the next replay.
                let joins = committed.unwrap_or(queue.min).max(queue.min) >= range.from;
                if !self.body.dry_run && joins && committed.is_none_or(|committed| committed < at) {
                    self.commit(&queue.queue, at).await?;
                    committed = Some(at);
                }
            }
        }
        Ok(at)
    }

    async fn send(&mut self, letter: &StoredMessage) -> Result<(), V1Error> {
        if !is_of(letter, self.connector) {
            self.done.of_others = self.done.of_others.saturating_add(1);
            return Ok(());
        }
        let QueueName { broker, queue, .. } = &letter.queue;
        let place = || format!("letter {} of queue {queue} on {broker}", letter.offset);
        let message = reborn(letter, self.body.topic.as_deref(), self.desk.only_topic.as_deref()).ok_or_else(|| {
            let message = format!(
                "{} names no topic, and the connector has not exactly one: give topic, or set \
                 errors.deadletterqueue.context.properties.enable=true for letters to come",
                place()
            );
            self.so_far(V1Error::conflict(message))
        })?;
        let topic = message.topic.clone();
        if !self.body.dry_run {
            let sent = self.cluster.send(message).await;
            sent.map_err(|error| {
                self.so_far(V1Error::cluster(format!("{} was not sent to {topic}: {error}", place())))
            })?;
        }
        self.done.replayed = self.done.replayed.saturating_add(1);
        *self.done.by_topic.entry(topic).or_default() += 1;
        Ok(())
    }

    async fn commit(&self, queue: &QueueName, offset: i64) -> Result<(), V1Error> {
        self.cluster.commit(&self.desk.group, queue, offset).await.map_err(|error| {
            let last = offset.saturating_sub(1);
            self.so_far(V1Error::cluster(format!(
                "letter {last} of queue {} on {} was sent, but this could not be remembered: {error}; the next replay \
                 sends it again",
                queue.queue, queue.broker
            )))
        })
    }

    /// An error, with what was done before it.
    fn so_far(&self, error: V1Error) -> V1Error {
        if self.body.dry_run {
            return error;
        }
        error.and(&format!("{} letters were sent before", self.done.replayed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replay_goes_on_behind_the_last_unless_a_range_is_asked_for() {
        let queue = |committed| QueueStanding {
            queue: QueueName { topic: "d".to_owned(), broker: "b".to_owned(), queue: 0 },
            min: 10,
            max: 20,
            committed,
        };
        for (committed, from, to, expected) in [
            (None, None, None, (10, 20)),
            (Some(15), None, None, (15, 20)),
            (Some(5), None, None, (10, 20)),
            (Some(15), Some(12), None, (12, 20)),
            (Some(15), Some(0), Some(11), (10, 11)),
            (Some(15), None, Some(12), (15, 15)),
            (None, Some(30), None, (30, 30)),
        ] {
            let range = range(&queue(committed), from, to);
            assert_eq!((range.from, range.to), expected, "{committed:?} {from:?} {to:?}");
        }
    }
}
