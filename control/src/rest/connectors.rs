//! `/connectors/…`.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use axum::http::StatusCode;
use rmqc_core::config::Properties;
use rmqc_core::config::connector::CONNECTOR_CLASS;
use rmqc_core::registry::find_connector;
use rmqc_core::state::TargetState;

use super::dto::{ConnectorInfo, ConnectorStateInfo, Listed, TaskInfo, TaskStateInfo};
use super::error::ApiError;
use super::input::{Input, read};
use super::{Answer, App, raw_json, success};
use crate::controller::{logged, masked};

/// All connectors with state and definition.
pub(super) async fn list(app: &App) -> Result<Answer, ApiError> {
    let snapshot = app.controller.look().await?;
    let entry = |one| Listed::of(one, &app.settings.worker_id, app.settings.mask_secrets);
    let all: BTreeMap<_, _> = snapshot.connectors.iter().map(|one| (one.name.clone(), entry(one))).collect();
    Ok(success(all))
}

/// A connector's definition.
pub(super) async fn config(app: &App, name: &str) -> Result<Answer, ApiError> {
    let snapshot = app.controller.look().await?;
    let missing = || ApiError::missing(format!("Connector[{name}] does not exist"));
    let connector = snapshot.connector(name).ok_or_else(missing)?;
    Ok(success(ConnectorInfo::of(connector, app.settings.mask_secrets)))
}

/// A connector's state.
pub(super) async fn status(app: &App, name: &str) -> Result<Answer, ApiError> {
    let snapshot = app.controller.look().await?;
    let missing = || ApiError::missing(format!("No status found for connector {name}"));
    let connector = snapshot.connector(name).ok_or_else(missing)?;
    Ok(success(ConnectorStateInfo::of(connector, &app.settings.worker_id)))
}

/// The configurations of a connector's tasks; none for an unknown connector.
pub(super) async fn tasks(app: &App, name: &str) -> Result<Answer, ApiError> {
    let snapshot = app.controller.look().await?;
    let mask = app.settings.mask_secrets;
    let infos = |one: &crate::controller::ConnectorView| -> Vec<TaskInfo> {
        one.tasks.iter().map(|task| TaskInfo::of(task, one.factory, mask)).collect()
    };
    Ok(success(snapshot.connector(name).map(infos).unwrap_or_default()))
}

/// One task's state.
pub(super) async fn task_status(app: &App, name: &str, task: &str) -> Result<Answer, ApiError> {
    let index: i32 = task.parse().map_err(|_| ApiError::unusable(format!("For input string: \"{task}\"")))?;
    let snapshot = app.controller.look().await?;
    let tasks = snapshot.connector(name).map(|connector| connector.tasks.as_slice()).unwrap_or_default();
    let found = tasks.iter().find(|view| i64::from(view.task.index) == i64::from(index));
    let missing = || ApiError::missing(format!("No status found for task {name}-{index}"));
    Ok(success(TaskStateInfo::of(found.ok_or_else(missing)?, &app.settings.worker_id)))
}

/// Creates a connector or replaces its configuration; the answer is what was sent.
pub(super) async fn create(app: &App, name: &str, body: &[u8]) -> Result<Answer, ApiError> {
    let input = read(body)?;
    let factory = CONNECTOR_CLASS.text(&input.properties).and_then(find_connector);
    let shown = masked(&input.properties, factory);
    tracing::info!("connect config: {}", logged(&input.properties, factory));
    app.controller.create(name, input.properties.clone()).await?;
    let shown = if app.settings.mask_secrets { &shown } else { &input.properties };
    Ok(raw_json(StatusCode::OK, echo(&input, shown)))
}

/// What was sent, in its order and with its types, but for values that are shown otherwise.
fn echo(input: &Input, shown: &Properties) -> String {
    let mut body = String::from("{\"status\":200,\"body\":{");
    for (index, (name, value)) in input.members.iter().enumerate() {
        let separator = if index > 0 { "," } else { "" };
        let name_json = serde_json::Value::from(name.as_str());
        let value = match shown.get(name).filter(|text| input.properties.get(name) != Some(text)) {
            Some(text) => serde_json::Value::from(text.as_str()).to_string(),
            None => value.clone(),
        };
        // Writing to a String can't fail.
        let _ = write!(body, "{separator}{name_json}:{value}");
    }
    body.push_str("}}");
    body
}

/// Stops a connector, which deletes it.
pub(super) async fn stop(app: &App, name: &str) -> Result<Answer, ApiError> {
    app.controller.remove(name).await?;
    Ok(success(format!("Connector [{name}] deleted successfully")))
}

/// Pauses a connector.
pub(super) async fn pause(app: &App, name: &str) -> Result<Answer, ApiError> {
    app.controller.set_target(name, TargetState::Paused).await?;
    Ok(success(format!("Connector [{name}] paused successfully")))
}

/// Lets a connector go on.
pub(super) async fn resume(app: &App, name: &str) -> Result<Answer, ApiError> {
    app.controller.set_target(name, TargetState::Started).await?;
    Ok(success(format!("Connector [{name}] resumed successfully")))
}

/// Stops and deletes all.
pub(super) async fn stop_all(app: &App) -> Result<Answer, ApiError> {
    let names = app.controller.remove_all().await?;
    if names.is_empty() {
        return Ok(success("No connector needs to be deleted, please add connector first"));
    }
    Ok(success(format!("[{}] connectors are deleted", names.join(", "))))
}

/// Pauses all.
pub(super) async fn pause_all(app: &App) -> Result<Answer, ApiError> {
    Ok(success(match app.controller.set_target_all(TargetState::Paused).await? {
        0 => "No connector needs to be paused, please add connector first".to_owned(),
        count => format!("{count} connectors are suspended"),
    }))
}

/// Lets all go on.
pub(super) async fn resume_all(app: &App) -> Result<Answer, ApiError> {
    Ok(success(match app.controller.set_target_all(TargetState::Started).await? {
        0 => "No connector needs to be resumed, please add connector first".to_owned(),
        count => format!("{count} connectors are resumed"),
    }))
}
