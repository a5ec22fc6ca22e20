//! Dead letters: what was given up, and how to give it another chance.

mod letter;
mod replay;

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use rmqc_core::cluster_port::{ClusterPort, QueueStanding, StoredMessage};
use rmqc_core::config::connector::{DLQ_TOPIC, sink_topics};
use serde::Serialize;
use utoipa::ToSchema;

use super::V1;
use super::connectors::look;
use super::error::{ErrorBody, V1Error};
use super::request::{Asked, JsonBody, Name};
use crate::controller::ConnectorView;
use crate::rest::{Answer, json};
use letter::{Letter, error_text, is_of};
use replay::{Replay, ReplayBody, Replayed};

/// Letters shown if nobody says how many.
const LETTERS_DEFAULT: i64 = 20;
/// Most letters of one answer.
const LETTERS_MAX: i64 = 200;
/// Letters that a summary looks into if nobody says how many.
const LAST_DEFAULT: i64 = 200;
/// Most letters that a summary looks into.
const LAST_MAX: i64 = 2000;
/// Letters read at once.
const READ_COUNT: usize = 32;

/// Letters of a connector.
#[derive(Serialize, ToSchema)]
pub(super) struct Letters {
    /// The dead letter topic.
    topic: String,
    /// The newest first; from an offset on, the oldest first.
    letters: Vec<Letter>,
    /// Letters of other connectors that share the topic, among those that were looked at.
    of_others: usize,
    /// With `from`: the offset to go on from; none at the queue's end.
    next: Option<i64>,
}

/// One queue of letters.
#[derive(Serialize, ToSchema)]
struct LetterQueue {
    broker: String,
    queue: u32,
    /// Offset of the first letter still there.
    min: i64,
    /// Offset that the next letter will get.
    max: i64,
    /// Letters there, of all connectors that share the topic.
    letters: i64,
    /// Offset from which the next replay goes on; none before the first.
    replayed_to: Option<i64>,
    /// When its first letter was stored, in ms since 1970.
    oldest_ms: Option<i64>,
    /// When its last letter was stored, in ms since 1970.
    newest_ms: Option<i64>,
}

/// A connector's dead letter queue at a glance.
#[derive(Serialize, ToSchema)]
pub(super) struct LetterSummary {
    /// The dead letter topic.
    topic: String,
    queues: Vec<LetterQueue>,
    /// Letters there, of all connectors that share the topic.
    letters: i64,
    oldest_ms: Option<i64>,
    newest_ms: Option<i64>,
    /// How many of the connector's last letters the counts below are of.
    looked_at: usize,
    /// Letters by the stage at which they were given up.
    by_stage: BTreeMap<String, usize>,
    /// Letters by the class of the error.
    by_exception: BTreeMap<String, usize>,
}

/// A connector's dead letter queue.
struct Desk {
    topic: String,
    /// The group whose offsets say how far letters were replayed.
    group: String,
    /// The connector's only topic.
    only_topic: Option<String>,
    queues: Vec<QueueStanding>,
}

impl Desk {
    async fn of(cluster: &dyn ClusterPort, connector: &ConnectorView) -> Result<Self, V1Error> {
        let name = &connector.name;
        let topic = DLQ_TOPIC.text(&connector.properties).unwrap_or_default().to_owned();
        if topic.is_empty() {
            return Err(V1Error::missing(format!(
                "Connector {name} names no dead letter queue: set {}",
                DLQ_TOPIC.name
            )));
        }
        let group = format!("connect-dlq-{name}");
        let queues = match cluster.topic_queues(&topic).await? {
            // It is created with the connector's first task.
            None => Vec::new(),
            Some(_) => cluster.standing(&group, &topic).await?,
        };
        let mut topics = sink_topics(&connector.properties);
        let only_topic = topics.pop().filter(|_| topics.is_empty());
        Ok(Self { topic, group, only_topic, queues })
    }

    /// Only queues of this number, on this broker, where they are given.
    fn keep(&mut self, queue: Option<u32>, broker: Option<&str>) -> Result<(), V1Error> {
        self.queues.retain(|one| {
            queue.is_none_or(|queue| queue == one.queue.queue) && broker.is_none_or(|broker| broker == one.queue.broker)
        });
        if self.queues.is_empty() && (queue.is_some() || broker.is_some()) {
            return Err(V1Error::missing(format!("topic {} has no such queue", self.topic)));
        }
        Ok(())
    }
}

/// Letters of a queue from an offset on, at most so many, however many the broker gives at once.
async fn read(
    cluster: &dyn ClusterPort,
    queue: &QueueStanding,
    from: i64,
    count: usize,
) -> Result<Vec<StoredMessage>, V1Error> {
    let mut letters: Vec<StoredMessage> = Vec::new();
    let mut offset = from.max(queue.min);
    while letters.len() < count && offset < queue.max {
        let wanted = READ_COUNT.min(count.saturating_sub(letters.len()));
        let some = cluster.read(&queue.queue, offset, wanted).await?;
        let Some(last) = some.last() else { break };
        offset = last.offset.saturating_add(1).max(offset.saturating_add(1));
        letters.extend(some.into_iter().filter(|one| one.offset < queue.max));
    }
    Ok(letters)
}

/// The last letters of all queues, the newest first.
async fn newest(cluster: &dyn ClusterPort, desk: &Desk, count: i64) -> Result<Vec<StoredMessage>, V1Error> {
    let most = usize::try_from(count).unwrap_or(0);
    let mut all = Vec::new();
    for queue in &desk.queues {
        all.extend(read(cluster, queue, queue.max.saturating_sub(count), most).await?);
        all.sort_by_key(|one| std::cmp::Reverse((one.store_ms, one.offset)));
        all.truncate(most);
    }
    Ok(all)
}

/// Dead letters of a connector: the last ones, or those of one queue from an offset on.
#[utoipa::path(get, path = "/connectors/{name}/dlq", tag = "records",
    params(("name" = String, Path, description = "Connector"),
        ("queue" = Option<u32>, Query, description = "Only this queue"),
        ("broker" = Option<String>, Query, description = "Only on this broker"),
        ("from" = Option<i64>, Query, description = "From this offset on, the oldest first; needs one queue"),
        ("limit" = Option<u32>, Query, description = "Most letters, up to 200; default 20")),
    responses((status = 200, body = Letters), (status = 400, body = ErrorBody), (status = 404, body = ErrorBody),
        (status = 502, body = ErrorBody)))]
pub(super) async fn list(State(v1): State<Arc<V1>>, Name(name): Name, asked: Asked) -> Result<Answer, V1Error> {
    let queue = asked.number("queue", 0..=i64::from(u32::MAX))?.and_then(|queue| u32::try_from(queue).ok());
    let from = asked.number("from", 0..=i64::MAX)?;
    let limit = asked.number("limit", 1..=LETTERS_MAX)?.unwrap_or(LETTERS_DEFAULT);
    let connector = look(&v1, &name).await?;
    let cluster = v1.app.cluster.as_ref();
    let mut desk = Desk::of(cluster, &connector).await?;
    desk.keep(queue, asked.text("broker"))?;
    let (messages, next) = match (from, desk.queues.as_slice()) {
        (None, _) => (newest(cluster, &desk, limit).await?, None),
        (Some(_), []) => (Vec::new(), None),
        (Some(from), [queue]) => {
            let messages = read(cluster, queue, from, usize::try_from(limit).unwrap_or(0)).await?;
            let next = messages.last().map(|last| last.offset.saturating_add(1)).filter(|next| *next < queue.max);
            (messages, next)
        }
        (Some(_), _) => {
            return Err(V1Error::bad_request("from needs one queue: give queue, and broker if several have it"));
        }
    };
    let looked_at = messages.len();
    let letters: Vec<Letter> = messages.iter().filter(|one| is_of(one, &name)).map(Letter::of).collect();
    let of_others = looked_at.saturating_sub(letters.len());
    Ok(json(StatusCode::OK, &Letters { topic: desk.topic, letters, of_others, next }))
}

/// A connector's dead letter queue at a glance.
#[utoipa::path(get, path = "/connectors/{name}/dlq/summary", tag = "records",
    params(("name" = String, Path, description = "Connector"),
        ("last" = Option<u32>, Query, description = "Count stages and errors of so many of the last letters, up to 2000; default 200")),
    responses((status = 200, body = LetterSummary), (status = 400, body = ErrorBody), (status = 404, body = ErrorBody),
        (status = 502, body = ErrorBody)))]
pub(super) async fn summary(State(v1): State<Arc<V1>>, Name(name): Name, asked: Asked) -> Result<Answer, V1Error> {
    let last = asked.number("last", 1..=LAST_MAX)?.unwrap_or(LAST_DEFAULT);
    let connector = look(&v1, &name).await?;
    let cluster = v1.app.cluster.as_ref();
    let desk = Desk::of(cluster, &connector).await?;
    let mut queues = Vec::with_capacity(desk.queues.len());
    for queue in &desk.queues {
        let oldest = read(cluster, queue, queue.min, 1).await?;
        let newest = read(cluster, queue, queue.max.saturating_sub(1), 1).await?;
        queues.push(LetterQueue {
            broker: queue.queue.broker.clone(),
            queue: queue.queue.queue,
            min: queue.min,
            max: queue.max,
            letters: queue.max.saturating_sub(queue.min).max(0),
            replayed_to: queue.committed,
            oldest_ms: oldest.first().map(|one| one.store_ms),
            newest_ms: newest.last().map(|one| one.store_ms),
        });
    }
    let messages = newest(cluster, &desk, last).await?;
    let own: Vec<_> = messages.iter().filter(|one| is_of(one, &name)).collect();
    let count = |what: &str| {
        let mut counts = BTreeMap::<String, usize>::new();
        for one in &own {
            *counts.entry(error_text(one, what).unwrap_or("unknown").to_owned()).or_default() += 1;
        }
        counts
    };
    let summary = LetterSummary {
        topic: desk.topic,
        letters: queues.iter().map(|queue| queue.letters).sum(),
        oldest_ms: queues.iter().filter_map(|queue| queue.oldest_ms).min(),
        newest_ms: queues.iter().filter_map(|queue| queue.newest_ms).max(),
        queues,
        looked_at: own.len(),
        by_stage: count("stage"),
        by_exception: count("exception.class.name"),
    };
    Ok(json(StatusCode::OK, &summary))
}

/// Sends letters to where they came from. Without a range it goes on behind the last replay, and a letter that was
/// confirmed is not sent again.
#[utoipa::path(post, path = "/connectors/{name}/dlq/replay", tag = "records", request_body = ReplayBody,
    params(("name" = String, Path, description = "Connector")),
    responses((status = 200, body = Replayed), (status = 400, body = ErrorBody), (status = 404, body = ErrorBody),
        (status = 409, body = ErrorBody), (status = 502, body = ErrorBody)))]
pub(super) async fn replay(
    State(v1): State<Arc<V1>>,
    Name(name): Name,
    JsonBody(body): JsonBody<ReplayBody>,
) -> Result<Answer, V1Error> {
    let connector = look(&v1, &name).await?;
    let busy = |_| V1Error::conflict("a replay of dead letters is under way on this worker; wait until it is done");
    let alone = Arc::clone(&v1.replay).try_lock_owned().map_err(busy)?;
    let cluster = Arc::clone(&v1.app.cluster);
    // A task of its own: a client that goes away does not cut it between a send and its commit.
    let work = tokio::spawn(async move {
        let _alone = alone;
        let desk = Desk::of(cluster.as_ref(), &connector).await?;
        Replay::new(cluster.as_ref(), &connector.name, desk, body)?.run().await
    });
    let replayed = work.await.map_err(|error| V1Error::cluster(format!("the replay broke: {error}")))??;
    Ok(json(StatusCode::OK, &replayed))
}
