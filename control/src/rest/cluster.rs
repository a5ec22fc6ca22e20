//! The worker itself: its cluster, what runs on it, its health and its counters.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use rmqc_core::config::Properties;
use rmqc_core::limits;

use super::dto::{self, AllocatedTasks, ShardInfoV1, WorkerInfoV1};
use super::error::ApiError;
use super::{Answer, App, json, success, text};
use crate::controller::Snapshot;

/// The workers of the cluster: this one.
pub(super) fn info(app: &App) -> Answer {
    success([&app.settings.worker_id])
}

/// Configurations by connector.
pub(super) fn connector_configs(app: &App, snapshot: &Snapshot) -> BTreeMap<String, Properties> {
    let mask = app.settings.mask_secrets;
    let config = |one: &crate::controller::ConnectorView| dto::shown(&one.properties, one.factory, mask);
    snapshot.connectors.iter().map(|one| (one.name.clone(), config(one))).collect()
}

/// Connectors on this worker.
pub(super) async fn allocated_connectors(app: &App) -> Result<Answer, ApiError> {
    let snapshot = app.controller.look().await?;
    Ok(success(connector_configs(app, &snapshot)))
}

/// Tasks on this worker.
pub(super) async fn allocated_tasks(app: &App) -> Result<Answer, ApiError> {
    let snapshot = app.controller.look().await?;
    Ok(success(AllocatedTasks::of(&snapshot, app.settings.mask_secrets)))
}

/// Version, driver, shards, limits.
pub(super) fn worker(app: &App) -> Answer {
    let plane = app.port.info();
    let shard = |health: rmqc_core::command::ShardHealth| ShardInfoV1 {
        shard: health.shard.0,
        cpu: plane.cpus.get(health.shard.index()).copied().filter(|_| plane.pinned),
        progress: health.progress,
        since_progress_ms: u64::try_from(health.since_progress.as_millis()).unwrap_or(u64::MAX),
        kicks: health.kicks,
        replaced: health.replaced,
        commands_waiting: health.commands_waiting,
    };
    let bounds = [
        ("frame_bytes_max", limits::FRAME_BYTES_MAX),
        ("message_body_bytes_max", limits::MESSAGE_BODY_BYTES_MAX),
        ("shard_commands_max", limits::SHARD_COMMANDS_MAX),
        ("shard_events_max", limits::SHARD_EVENTS_MAX),
        ("shard_tasks_max", limits::SHARD_TASKS_MAX),
        ("batch_records_max", limits::BATCH_RECORDS_MAX),
        ("intents_max", crate::controller::INTENTS_MAX),
        ("request_body_bytes_max", super::body::BODY_BYTES_MAX),
        ("requests_max", super::REQUESTS_MAX),
    ];
    let bound = |(name, value): (&str, usize)| (name.to_owned(), u64::try_from(value).unwrap_or(u64::MAX));
    let info = WorkerInfoV1 {
        worker_id: app.settings.worker_id.clone(),
        version: app.settings.version.to_owned(),
        uptime_seconds: app.started.elapsed().as_secs(),
        driver: plane.driver.name().to_owned(),
        driver_reason: plane.driver_reason.clone(),
        pinned: plane.pinned,
        pin_reason: plane.pin_reason.clone(),
        embedded_broker: app.settings.embedded,
        name_servers: app.settings.name_servers.clone(),
        shards: app.port.health().into_iter().map(shard).collect(),
        limits: bounds.into_iter().map(bound).collect(),
    };
    json(StatusCode::OK, &info)
}

/// Whether all shards move.
pub(super) fn health(app: &App) -> Answer {
    let stands = app.port.health().iter().any(|shard| shard.since_progress >= app.settings.stall_timeout);
    if stands { text(StatusCode::SERVICE_UNAVAILABLE, "a shard stands still\n") } else { text(StatusCode::OK, "ok\n") }
}

/// Whether the controller takes orders.
pub(super) async fn ready(app: &App) -> Answer {
    match app.controller.look().await {
        Ok(snapshot) if !snapshot.stopping => text(StatusCode::OK, "ready\n"),
        _ => text(StatusCode::SERVICE_UNAVAILABLE, "stopping\n"),
    }
}
