//! What connectors do: status, pause, resume, stop, restart.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use rmqc_core::id::TaskId;
use rmqc_core::metrics::TaskReport;
use rmqc_core::state::TargetState;
use serde::Serialize;
use utoipa::ToSchema;

use super::V1;
use super::connectors::{kind, look};
use super::error::{ErrorBody, V1Error};
use super::flow::document::{LimitV1, QueueV1};
use super::flow::{limit_of, queue_of, rounded};
use super::request::{Asked, Name, TaskIndex};
use crate::controller::standalone::connector_state;
use crate::controller::{ConnectorView, Restart, Watch};
use crate::flow::Flow;
use crate::flow::connector::ConnectorFlow;
use crate::health::ConnectorHealth;
use crate::rest::{Answer, RestSettings, json};
use crate::worker::TaskView;

/// State of a connector itself.
#[derive(Serialize, ToSchema)]
struct ConnectorState {
    /// `RUNNING`, `PAUSED`, `STOPPED`, `UNASSIGNED` or `FAILED`.
    state: &'static str,
    worker_id: String,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    trace: Option<String>,
    /// Version of the program, which has the connector built in.
    version: &'static str,
}

/// State of a task.
#[derive(Serialize, ToSchema)]
pub(super) struct TaskStatus {
    id: u32,
    /// `RUNNING`, `PAUSED`, `UNASSIGNED` or `FAILED`.
    state: &'static str,
    worker_id: String,
    /// Why it failed, or what it waits for.
    #[serde(skip_serializing_if = "Option::is_none")]
    trace: Option<String>,
    /// The state in full: also `STARTING`, `STOPPING`, `RESTARTING`.
    phase: String,
    /// When the state last changed, in ms since 1970.
    changed_ms: i64,
    /// Its shard, while it has one.
    shard: Option<u16>,
    /// Restarts within the present window.
    restarts: usize,
    /// Its last failures, the oldest first.
    history: Vec<FailureInfo>,
    /// A call that fails and is tried again.
    holding: Option<HoldingInfo>,
    /// Records that wait for the task: in a sink's queues, or at a source that can tell.
    lag_records: Option<u64>,
    /// How old the oldest of what waits is, in ms.
    lag_ms: Option<u64>,
    /// Sinks: the task's queues.
    queues: Vec<QueueV1>,
    health: Option<HealthInfo>,
}

/// One failure of a task.
#[derive(Serialize, ToSchema)]
struct FailureInfo {
    /// When, in ms since 1970.
    at_ms: i64,
    cause: String,
    /// What was done about it.
    then: String,
}

/// How a connector or task fares, judged by what it delivers.
#[derive(Serialize, ToSchema)]
struct HealthInfo {
    /// `HEALTHY`, `PAUSED`, `CATCHING_UP`, `DEGRADED`, `STALLED` or `FAILED`.
    state: &'static str,
    /// Why.
    cause: String,
}

/// What last became of a connector's configuration.
#[derive(Serialize, ToSchema)]
struct LastChangeInfo {
    /// `created`, `updated` or `rolled back`.
    kind: &'static str,
    /// When, in ms since 1970.
    at_ms: i64,
    /// Why it was rolled back.
    cause: Option<String>,
}

/// What a task waits out.
#[derive(Serialize, ToSchema)]
struct HoldingInfo {
    /// The step that fails.
    stage: &'static str,
    /// The last error.
    cause: String,
    /// Milliseconds since the first of these failures.
    since_ms: u64,
    /// Tries so far.
    tries: u32,
}

/// State of a connector and its tasks.
#[derive(Serialize, ToSchema)]
pub(super) struct ConnectorStatus {
    name: String,
    connector: ConnectorState,
    tasks: Vec<TaskStatus>,
    /// `source`, `sink` or `unknown`.
    #[serde(rename = "type")]
    kind: &'static str,
    health: Option<HealthInfo>,
    /// What limits it now.
    limit: LimitV1,
    /// Records that wait for its tasks.
    lag_records: Option<u64>,
    /// How old the oldest of what waits is, in ms.
    lag_ms: Option<u64>,
    /// Seconds until nothing waits, if all goes on like this; null while what waits does not get less.
    catch_up_seconds: Option<f64>,
    /// None when the last change was before this process.
    last_change: Option<LastChangeInfo>,
}

/// What is known of tasks beside their states.
#[derive(Default)]
pub(super) struct Reported {
    /// What the shards reported, by task.
    tasks: BTreeMap<TaskId, TaskReport>,
    /// How connectors fare, by name.
    health: BTreeMap<String, ConnectorHealth>,
    /// What they did lately.
    flow: Flow,
}

impl Reported {
    /// Asks the shards.
    pub async fn ask(v1: &V1) -> Result<Self, V1Error> {
        let reports = v1.app.controller.report().await?;
        let health = v1.app.controller.health().await?;
        let seen = v1.app.controller.flow(Watch::Glance).await?;
        let flow = Flow::between(seen.earlier.as_deref(), &seen.later);
        let tasks = reports.shards.iter().flat_map(|(_, report)| &report.tasks);
        Ok(Self { tasks: tasks.map(|task| (task.task.clone(), task.clone())).collect(), health, flow })
    }
}

impl TaskStatus {
    fn of(task: &TaskView, worker_id: &str, reported: &Reported) -> Self {
        let report = reported.tasks.get(&task.task);
        let holding = report.and_then(|report| report.holding.as_ref());
        Self {
            id: task.task.index,
            state: task.state.java_name(),
            worker_id: worker_id.to_owned(),
            trace: task.cause.clone(),
            phase: task.state.to_string(),
            changed_ms: task.changed_ms,
            shard: task.shard.map(|shard| shard.0),
            restarts: task.restarts,
            history: task
                .history
                .iter()
                .map(|one| FailureInfo { at_ms: one.at_ms, cause: one.cause.to_string(), then: one.then.to_string() })
                .collect(),
            holding: holding.map(|holding| HoldingInfo {
                stage: holding.stage,
                cause: holding.cause.clone(),
                since_ms: holding.since_ms,
                tries: holding.tries,
            }),
            lag_records: report.and_then(|report| report.lag_records),
            lag_ms: report.and_then(|report| report.lag_ms),
            queues: report.map(|report| report.queues.iter().map(queue_of).collect()).unwrap_or_default(),
            health: reported.health.get(&*task.task.connector).and_then(|of_connector| {
                let own = of_connector.tasks.iter().find(|(index, ..)| *index == task.task.index);
                own.map(|(_, health, cause)| HealthInfo { state: health.name(), cause: cause.clone() })
            }),
        }
    }
}

impl ConnectorStatus {
    pub fn of(connector: &ConnectorView, settings: &RestSettings, reported: &Reported) -> Self {
        let state = ConnectorState {
            state: state_of(connector),
            worker_id: settings.worker_id.clone(),
            trace: connector.failure.clone(),
            version: settings.version,
        };
        let task = |task| TaskStatus::of(task, &settings.worker_id, reported);
        let lately = ConnectorFlow::of(connector, reported.health.get(&connector.name), &reported.flow);
        Self {
            name: connector.name.clone(),
            connector: state,
            tasks: connector.tasks.iter().map(task).collect(),
            kind: kind(connector),
            health: reported
                .health
                .get(&connector.name)
                .map(|one| HealthInfo { state: one.health.name(), cause: one.cause.clone() }),
            limit: limit_of(&lately.limit),
            lag_records: lately.lag_records,
            lag_ms: lately.lag_ms,
            catch_up_seconds: lately.catch_up_seconds.map(rounded),
            last_change: connector.last_change.as_ref().map(|change| LastChangeInfo {
                kind: change.kind.name(),
                at_ms: change.at_ms,
                cause: change.cause.as_deref().map(str::to_owned),
            }),
        }
    }
}

/// The state of a connector itself, apart from its tasks.
pub(super) fn state_of(connector: &ConnectorView) -> &'static str {
    match connector.target {
        TargetState::Stopped => TargetState::Stopped.name(),
        TargetState::Started | TargetState::Paused => connector_state(connector),
    }
}

async fn status_of(v1: &V1, name: &str) -> Result<ConnectorStatus, V1Error> {
    let reported = Reported::ask(v1).await?;
    Ok(ConnectorStatus::of(&look(v1, name).await?, &v1.app.settings, &reported))
}

/// State of a connector and its tasks.
#[utoipa::path(get, path = "/connectors/{name}/status", tag = "connectors",
    params(("name" = String, Path, description = "Connector")),
    responses((status = 200, body = ConnectorStatus), (status = 404, body = ErrorBody)))]
pub(super) async fn status(State(v1): State<Arc<V1>>, Name(name): Name) -> Result<Answer, V1Error> {
    Ok(json(StatusCode::OK, &status_of(&v1, &name).await?))
}

/// State of one task.
#[utoipa::path(get, path = "/connectors/{name}/tasks/{task}/status", tag = "connectors",
    params(("name" = String, Path, description = "Connector"), ("task" = u32, Path, description = "Task")),
    responses((status = 200, body = TaskStatus), (status = 404, body = ErrorBody)))]
pub(super) async fn task_status(
    State(v1): State<Arc<V1>>,
    Name(name): Name,
    TaskIndex(task): TaskIndex,
) -> Result<Answer, V1Error> {
    let status = status_of(&v1, &name).await?;
    let found = status.tasks.into_iter().find(|one| one.id == task);
    let found = found.ok_or_else(|| V1Error::missing(format!("No status found for task {name}-{task}")))?;
    Ok(json(StatusCode::OK, &found))
}

/// Starts a connector again: by itself only what concerns the connector, on wish its tasks too.
#[utoipa::path(post, path = "/connectors/{name}/restart", tag = "connectors",
    params(("name" = String, Path, description = "Connector"),
        ("includeTasks" = Option<bool>, Query, description = "Its tasks too"),
        ("onlyFailed" = Option<bool>, Query, description = "Only what has failed")),
    responses((status = 202, body = ConnectorStatus), (status = 204, description = "Done, without includeTasks"),
        (status = 404, body = ErrorBody), (status = 409, body = ErrorBody)))]
pub(super) async fn restart(State(v1): State<Arc<V1>>, Name(name): Name, asked: Asked) -> Result<Answer, V1Error> {
    let (tasks, only_failed) = (asked.flag("includeTasks", false)?, asked.flag("onlyFailed", false)?);
    let which = match (tasks, only_failed) {
        (true, false) => Restart::All,
        (true, true) => Restart::OnlyFailed,
        (false, _) => Restart::None,
    };
    v1.app.controller.restart(&name, which).await?;
    if !tasks && !only_failed {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    Ok(json(StatusCode::ACCEPTED, &status_of(&v1, &name).await?))
}

/// Starts one task again, whatever its state.
#[utoipa::path(post, path = "/connectors/{name}/tasks/{task}/restart", tag = "connectors",
    params(("name" = String, Path, description = "Connector"), ("task" = u32, Path, description = "Task")),
    responses((status = 204, description = "Ordered"), (status = 404, body = ErrorBody), (status = 409, body = ErrorBody)))]
pub(super) async fn restart_task(
    State(v1): State<Arc<V1>>,
    Name(name): Name,
    TaskIndex(task): TaskIndex,
) -> Result<Answer, V1Error> {
    v1.app.controller.restart(&name, Restart::One(task)).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Lets a connector stand still; its tasks stay where they are.
#[utoipa::path(put, path = "/connectors/{name}/pause", tag = "connectors",
    params(("name" = String, Path, description = "Connector")),
    responses((status = 202, description = "Stored; tasks pause after that"), (status = 404, body = ErrorBody)))]
pub(super) async fn pause(State(v1): State<Arc<V1>>, Name(name): Name) -> Result<Answer, V1Error> {
    v1.app.controller.set_target(&name, TargetState::Paused).await?;
    Ok(StatusCode::ACCEPTED.into_response())
}

/// Lets a paused or stopped connector go on.
#[utoipa::path(put, path = "/connectors/{name}/resume", tag = "connectors",
    params(("name" = String, Path, description = "Connector")),
    responses((status = 202, description = "Stored; tasks go on after that"), (status = 404, body = ErrorBody)))]
pub(super) async fn resume(State(v1): State<Arc<V1>>, Name(name): Name) -> Result<Answer, V1Error> {
    v1.app.controller.set_target(&name, TargetState::Started).await?;
    Ok(StatusCode::ACCEPTED.into_response())
}

/// Ends a connector's tasks and keeps its configuration and place, so that its offsets can be changed.
#[utoipa::path(put, path = "/connectors/{name}/stop", tag = "connectors",
    params(("name" = String, Path, description = "Connector")),
    responses((status = 204, description = "Stored; tasks drain after that"), (status = 404, body = ErrorBody)))]
pub(super) async fn stop(State(v1): State<Arc<V1>>, Name(name): Name) -> Result<Answer, V1Error> {
    v1.app.controller.set_target(&name, TargetState::Stopped).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
