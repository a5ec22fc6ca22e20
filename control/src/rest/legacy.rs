//! The one place of old habits: creating by `GET`, and the paths and shapes that the Java project's command line tool
//! still asks for although its own server no longer has them.

use std::collections::BTreeMap;

use axum::http::{StatusCode, Uri};
use rmqc_core::config::Properties;
use serde::Serialize;

use super::error::ApiError;
use super::route::Route;
use super::{Answer, App, cluster, connectors, dto, json, query, success};

/// Old paths, tried after all others.
pub(super) fn route(segments: &[&str], has_config: bool) -> Option<Route> {
    Some(match segments {
        ["connectors", "stopAll"] if !has_config => Route::StopAll,
        ["connectors", name] => Route::CreateByGet((*name).to_owned()),
        ["getConfigInfo"] => Route::List,
        ["getAllocatedInfo"] => Route::OldAllocatedInfo,
        ["getAllocatedConnectors"] => Route::OldAllocatedConnectors,
        ["getAllocatedTasks"] => Route::OldAllocatedTasks,
        _ => return None,
    })
}

/// `GET /connectors/N?config=…`.
pub(super) async fn create_by_get(app: &App, name: &str, uri: &Uri) -> Result<Answer, ApiError> {
    let config = query(uri, "config").unwrap_or_default();
    connectors::create(app, name, config.as_bytes()).await
}

#[derive(Serialize)]
struct AllocatedInfo {
    connectors: BTreeMap<String, Properties>,
    tasks: dto::AllocatedTasks,
}

/// Both `/allocated` answers in one.
pub(super) async fn allocated_info(app: &App) -> Result<Answer, ApiError> {
    let snapshot = app.controller.look().await?;
    let connectors = cluster::connector_configs(app, &snapshot);
    Ok(success(AllocatedInfo { connectors, tasks: dto::AllocatedTasks::of(&snapshot, app.settings.mask_secrets) }))
}

#[derive(Serialize)]
struct OldProperties {
    properties: Properties,
}

/// The key names of before 0.0.1 beside the present ones.
fn with_old_names(mut properties: Properties) -> OldProperties {
    for (new, old) in [
        ("connect.topicname", "topic"),
        ("connect.topicnames", "topicNames"),
        ("task.class", "task-class"),
        ("task.id", "task-id"),
    ] {
        if let Some(value) = properties.get(new).cloned() {
            properties.entry(old.to_owned()).or_insert(value);
        }
    }
    OldProperties { properties }
}

/// `{name: {properties: {…}}}`, without the usual shape around it.
pub(super) async fn allocated_connectors(app: &App) -> Result<Answer, ApiError> {
    let snapshot = app.controller.look().await?;
    let all: BTreeMap<_, _> = cluster::connector_configs(app, &snapshot)
        .into_iter()
        .map(|(name, properties)| (name, with_old_names(properties)))
        .collect();
    Ok(json(StatusCode::OK, &all))
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct OldTask {
    connector_name: String,
    state: &'static str,
    configs: OldProperties,
}

/// `{name: [{connectorName, state, configs: {properties: {…}}}]}`, without the usual shape around it.
pub(super) async fn allocated_tasks(app: &App) -> Result<Answer, ApiError> {
    let snapshot = app.controller.look().await?;
    let mut all = BTreeMap::<String, Vec<OldTask>>::new();
    for connector in &snapshot.connectors {
        let tasks = connector.tasks.iter().map(|task| OldTask {
            connector_name: connector.name.clone(),
            state: dto::life_cycle(task.state),
            configs: with_old_names(dto::shown(&task.config, connector.factory, app.settings.mask_secrets)),
        });
        all.insert(connector.name.clone(), tasks.collect());
    }
    Ok(json(StatusCode::OK, &all))
}
