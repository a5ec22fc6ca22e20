//! The worker itself: who it is, its shards, its tasks' counters.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::V1;
use super::error::V1Error;
use crate::metrics::COMMIT;
use crate::rest::dto::{TaskInfoV1, WorkerInfoV1};
use crate::rest::{Answer, cluster, json};

/// The cluster is asked for its name no longer than this.
const CLUSTER_NAME_PATIENCE: Duration = Duration::from_secs(1);

/// Who answers.
#[derive(Serialize, ToSchema)]
pub(super) struct ServerInfo {
    /// Version of the program.
    version: &'static str,
    /// The source's commit that it was built from, if the build named it.
    commit: &'static str,
    /// Name of the RocketMQ cluster; where its name servers are while it has not told its name.
    kafka_cluster_id: String,
}

/// Who answers: version, commit and cluster.
#[utoipa::path(get, path = "/v1", tag = "worker", responses((status = 200, body = ServerInfo)))]
pub(super) async fn root(State(v1): State<Arc<V1>>) -> Answer {
    let settings = &v1.app.settings;
    let asked = v1.cluster_name.get_or_try_init(|| async { cluster_name(&v1).await.ok_or(()) });
    let name = tokio::time::timeout(CLUSTER_NAME_PATIENCE, asked).await;
    let name = name.ok().and_then(Result::ok).cloned().unwrap_or_else(|| settings.name_servers.join(";"));
    json(StatusCode::OK, &ServerInfo { version: settings.version, commit: COMMIT, kafka_cluster_id: name })
}

async fn cluster_name(v1: &V1) -> Option<String> {
    let masters = v1.app.cluster.masters().await.ok()?;
    let mut settings = v1.app.cluster.broker_config(&masters.first()?.address).await.ok()?;
    settings.remove("brokerClusterName").filter(|name| !name.is_empty())
}

/// Version, driver, shards, limits.
#[utoipa::path(get, path = "/worker", tag = "worker", responses((status = 200, body = WorkerInfoV1)))]
pub(super) async fn worker(State(v1): State<Arc<V1>>) -> Answer {
    cluster::worker(&v1.app)
}

/// Counters of all tasks.
#[utoipa::path(get, path = "/tasks", tag = "worker", responses((status = 200, body = Vec<TaskInfoV1>)))]
pub(super) async fn tasks(State(v1): State<Arc<V1>>) -> Result<Answer, V1Error> {
    let reports = v1.app.controller.report().await?;
    let tasks =
        reports.shards.iter().flat_map(|(shard, report)| report.tasks.iter().map(|task| TaskInfoV1::of(task, shard.0)));
    Ok(json(StatusCode::OK, &tasks.collect::<Vec<_>>()))
}
