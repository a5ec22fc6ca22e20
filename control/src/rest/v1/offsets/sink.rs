//! Queue offsets of sinks' groups.

use std::collections::BTreeMap;

use rmqc_core::cluster_port::{QueueName, QueueStanding};
use serde_json::Value;

use super::plan::{self, Place, QueueChange, queue_json};
use super::{OffsetEdit, OffsetInfo};
use crate::rest::v1::V1;
use crate::rest::v1::error::V1Error;

/// A group's standing in all queues of its topics.
async fn standing(v1: &V1, group: &str, topics: &[String]) -> Result<Vec<QueueStanding>, V1Error> {
    let mut all = Vec::new();
    for topic in topics {
        all.extend(v1.app.cluster.standing(group, topic).await?);
    }
    Ok(all)
}

/// All offsets.
pub(super) async fn offsets(v1: &V1, group: &str, topics: &[String]) -> Result<Vec<OffsetInfo>, V1Error> {
    let info = |one: &QueueStanding| OffsetInfo {
        partition: queue_json(&one.queue),
        offset: one.committed.map(|offset| BTreeMap::from([("queue_offset".to_owned(), Value::from(offset))])),
        min: Some(one.min),
        max: Some(one.max),
        lag: Some(one.max.saturating_sub(one.committed.unwrap_or(one.min).max(one.min)).max(0)),
    };
    Ok(standing(v1, group, topics).await?.iter().map(info).collect())
}

/// What edits change.
pub(super) async fn plan(
    v1: &V1,
    group: &str,
    topics: &[String],
    edits: Option<Vec<OffsetEdit>>,
) -> Result<Vec<QueueChange>, V1Error> {
    let standing = standing(v1, group, topics).await?;
    let places = plan::places(&standing, edits.as_deref()).map_err(V1Error::bad_request)?;
    let mut changes = Vec::with_capacity(places.len());
    for (standing, place) in places {
        let to = match place {
            Place::Earliest => standing.min,
            Place::Latest => standing.max,
            Place::Offset(offset) => offset,
            Place::Time(time_ms) => {
                let found = v1.app.cluster.offset_at(&standing.queue, time_ms).await?;
                found.clamp(standing.min, standing.max)
            }
        };
        changes.push(QueueChange::to_offset(standing, to).map_err(V1Error::bad_request)?);
    }
    Ok(changes)
}

/// Commits changes and reads them back: some brokers keep a larger offset and say nothing.
pub(super) async fn apply(v1: &V1, group: &str, changes: &[QueueChange]) -> Result<(), V1Error> {
    for (done, change) in changes.iter().enumerate() {
        v1.app.cluster.commit(group, &change.standing.queue, change.to).await.map_err(|error| {
            let QueueName { topic, broker, queue } = &change.standing.queue;
            V1Error::cluster(format!(
                "queue {queue} of topic {topic} on {broker} could not be set: {error}; {done} of {} queues are set. \
                 Ask again: the same offsets do no harm",
                changes.len()
            ))
        })?;
    }
    let mut topics: Vec<&str> = changes.iter().map(|change| change.standing.queue.topic.as_str()).collect();
    topics.sort_unstable();
    topics.dedup();
    for topic in topics {
        let standing = v1.app.cluster.standing(group, topic).await?;
        for change in changes.iter().filter(|change| change.standing.queue.topic == topic) {
            let queue = &change.standing.queue;
            let now = standing.iter().find(|one| one.queue == *queue).and_then(|one| one.committed);
            if now != Some(change.to) {
                let stands = now.map_or_else(|| "nowhere".to_owned(), |now| format!("at {now}"));
                return Err(V1Error::cluster(format!(
                    "the broker {} confirmed offset {} for queue {} of topic {topic}, but group {group} stands {stands}; \
                     see that the group has no members, and ask again",
                    queue.broker, change.to, queue.queue
                )));
            }
        }
    }
    Ok(())
}
