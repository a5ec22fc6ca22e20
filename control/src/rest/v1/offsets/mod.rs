//! Offsets: where connectors stand, and how to set them elsewhere. A source's are the stored positions, a sink's those of
//! its consumer group.

mod plan;
mod sink;
mod source;

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use rmqc_core::config::connector::{DIRECT_ENABLE, TASK_GROUP_ID, sink_topics};
use rmqc_core::registry::ConnectorKind;
use rmqc_core::state::TargetState;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::V1;
use super::connectors::look;
use super::error::{ErrorBody, V1Error};
use super::request::{Asked, JsonBody, Name};
use crate::controller::ConnectorView;
use crate::rest::{Answer, json};

/// Where a connector stands in one partition.
#[derive(Serialize, ToSchema)]
struct OffsetInfo {
    /// Sources: the part of the outside system. Sinks: `topic`, `broker`, `queue`.
    #[schema(value_type = BTreeMap<String, Value>)]
    partition: BTreeMap<String, Value>,
    /// Sources: the stored offset. Sinks: `queue_offset`, the next to read; none if nothing is committed.
    #[schema(value_type = Option<BTreeMap<String, Value>>)]
    offset: Option<BTreeMap<String, Value>>,
    /// Sinks: offset of the first message still there.
    #[serde(skip_serializing_if = "Option::is_none")]
    min: Option<i64>,
    /// Sinks: offset that the next message will get.
    #[serde(skip_serializing_if = "Option::is_none")]
    max: Option<i64>,
    /// Sinks: messages not read yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    lag: Option<i64>,
}

/// Where a connector stands.
#[derive(Serialize, ToSchema)]
pub(super) struct Offsets {
    offsets: Vec<OffsetInfo>,
}

/// What one partition's offset shall be.
#[derive(Clone, Deserialize, ToSchema)]
struct OffsetEdit {
    /// As `GET` shows it. Sinks may leave out `broker` where only one has that queue.
    #[schema(value_type = BTreeMap<String, Value>)]
    partition: BTreeMap<String, Value>,
    /// Null resets the partition: a source forgets it, a sink goes back to the first message still there. Sinks:
    /// `{"queue_offset": N}`, `{"timestamp_ms": T}`, `"earliest"` or `"latest"`.
    offset: Value,
}

/// What offsets shall be.
#[derive(Deserialize, ToSchema)]
pub(super) struct OffsetEdits {
    offsets: Vec<OffsetEdit>,
}

/// What a change would do to one partition, or did.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
struct Effect {
    #[schema(value_type = BTreeMap<String, Value>)]
    partition: BTreeMap<String, Value>,
    /// The offset before; none if there is none.
    from: Value,
    /// The offset after; none if the partition is forgotten.
    to: Value,
    /// Records, or units of the source's counter, that would be read once more; none if that can't be told.
    records_again: Option<i64>,
    /// Those that would not be read; none if that can't be told.
    records_skipped: Option<i64>,
}

/// What a change would do.
#[derive(Serialize, ToSchema)]
pub(super) struct DryRun {
    dry_run: bool,
    offsets: Vec<Effect>,
    /// Why the change itself would be refused now, and what to do first; none if it would not.
    refused: Option<String>,
}

/// What a change did.
#[derive(Serialize, ToSchema)]
pub(super) struct Done {
    message: &'static str,
}

/// Whose offsets they are.
enum Holder {
    /// The position store's.
    Source,
    /// A consumer group's, in these topics.
    Sink { group: String, topics: Vec<String> },
}

impl Holder {
    fn of(connector: &ConnectorView) -> Self {
        let config = &connector.properties;
        if connector.kind() != Some(ConnectorKind::Sink) || DIRECT_ENABLE.boolean(config) {
            return Self::Source;
        }
        let named = TASK_GROUP_ID.text(config).filter(|group| !group.is_empty()).map(str::to_owned);
        let group = named.unwrap_or_else(|| format!("connect-{}", connector.name));
        Self::Sink { group, topics: sink_topics(config) }
    }
}

/// Why a connector's offsets can't be changed now.
async fn unready(v1: &V1, connector: &ConnectorView) -> Result<Option<String>, V1Error> {
    let name = &connector.name;
    if connector.target != TargetState::Stopped {
        return Ok(Some(format!(
            "Connector {name} must be in the STOPPED state before its offsets can be modified: \
             PUT /v1/connectors/{name}/stop first, and resume it afterwards"
        )));
    }
    let snapshot = v1.app.controller.look().await?;
    if snapshot.leaving.iter().any(|task| *task.task.connector == **name) {
        return Ok(Some(format!("tasks of connector {name} are still draining; try again soon")));
    }
    let Holder::Sink { group, .. } = Holder::of(connector) else { return Ok(None) };
    let members = v1.app.cluster.group_members(&group).await?;
    Ok((!members.is_empty()).then(|| {
        format!("consumer group {group} has members: {}; stop them, or wait until they are gone", members.join(", "))
    }))
}

/// The offsets of a connector.
#[utoipa::path(get, path = "/connectors/{name}/offsets", tag = "offsets",
    params(("name" = String, Path, description = "Connector")),
    responses((status = 200, body = Offsets), (status = 404, body = ErrorBody), (status = 502, body = ErrorBody)))]
pub(super) async fn get(State(v1): State<Arc<V1>>, Name(name): Name) -> Result<Answer, V1Error> {
    let connector = look(&v1, &name).await?;
    let offsets = match Holder::of(&connector) {
        Holder::Source => source::offsets(&v1, &name).await?,
        Holder::Sink { group, topics } => sink::offsets(&v1, &group, &topics).await?,
    };
    Ok(json(StatusCode::OK, &Offsets { offsets }))
}

/// Sets offsets of a stopped connector. They are stored when this is answered.
#[utoipa::path(patch, path = "/connectors/{name}/offsets", tag = "offsets", request_body = OffsetEdits,
    params(("name" = String, Path, description = "Connector"),
        ("dry_run" = Option<bool>, Query, description = "Change nothing and say what would be")),
    responses((status = 200, description = "`message`, or what would be", body = DryRun),
        (status = 400, body = ErrorBody), (status = 404, body = ErrorBody), (status = 409, body = ErrorBody),
        (status = 502, body = ErrorBody)))]
pub(super) async fn patch(
    State(v1): State<Arc<V1>>,
    Name(name): Name,
    asked: Asked,
    JsonBody(edits): JsonBody<OffsetEdits>,
) -> Result<Answer, V1Error> {
    if edits.offsets.is_empty() {
        return Err(V1Error::bad_request("Partitions / offsets need to be provided for an alter offsets request"));
    }
    let message = "The offsets for this connector have been altered successfully";
    change(&v1, &name, asked.flag("dry_run", false)?, Some(edits.offsets), message).await
}

/// Resets all offsets of a stopped connector: a source forgets them, a sink goes back to the first messages still there.
#[utoipa::path(delete, path = "/connectors/{name}/offsets", tag = "offsets",
    params(("name" = String, Path, description = "Connector"),
        ("dry_run" = Option<bool>, Query, description = "Change nothing and say what would be")),
    responses((status = 200, description = "`message`, or what would be", body = DryRun),
        (status = 404, body = ErrorBody), (status = 409, body = ErrorBody), (status = 502, body = ErrorBody)))]
pub(super) async fn delete(State(v1): State<Arc<V1>>, Name(name): Name, asked: Asked) -> Result<Answer, V1Error> {
    let message = "The offsets for this connector have been reset successfully";
    change(&v1, &name, asked.flag("dry_run", false)?, None, message).await
}

/// Changes offsets, all of them to nothing without edits.
async fn change(
    v1: &V1,
    name: &str,
    dry_run: bool,
    edits: Option<Vec<OffsetEdit>>,
    message: &'static str,
) -> Result<Answer, V1Error> {
    let connector = look(v1, name).await?;
    let refused = unready(v1, &connector).await?;
    if let Some(refused) = refused.as_ref().filter(|_| !dry_run) {
        return Err(V1Error::conflict(refused.clone()));
    }
    let offsets = match Holder::of(&connector) {
        Holder::Source => {
            let changes = source::plan(v1, name, edits).await?;
            if !dry_run {
                source::apply(v1, name, &changes).await?;
            }
            changes.iter().map(plan::SourceChange::effect).collect()
        }
        Holder::Sink { group, topics } => {
            let changes = sink::plan(v1, &group, &topics, edits).await?;
            if !dry_run {
                sink::apply(v1, &group, &changes).await?;
            }
            changes.iter().map(plan::QueueChange::effect).collect()
        }
    };
    if dry_run {
        return Ok(json(StatusCode::OK, &DryRun { dry_run, offsets, refused }));
    }
    Ok(json(StatusCode::OK, &Done { message }))
}
