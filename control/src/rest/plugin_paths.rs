//! `/v1/plugins/paths` and `/plugin/reload`: what lies under `pluginPaths`.

use std::time::Duration;

use axum::http::StatusCode;
use serde::Serialize;
use tokio::sync::oneshot;
use utoipa::ToSchema;

use super::error::ApiError;
use super::{Answer, App, json, success};
use crate::controller::ControlError;
use crate::plugins::{Finding, PathReport};

/// Longest wait for a scan that a request asks for.
const SCAN_WAIT: Duration = Duration::from_secs(10);

/// The last scan.
#[derive(Serialize, ToSchema)]
pub(super) struct PathsInfo<'a> {
    /// Whether a scan has ended since the start.
    scanned: bool,
    paths: Vec<PathInfo<'a>>,
}

#[derive(Serialize, ToSchema)]
struct PathInfo<'a> {
    entry: &'a str,
    found: Vec<FindingInfo<'a>>,
    problems: &'a [String],
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct FindingInfo<'a> {
    path: String,
    kind: &'static str,
    /// Always false: what is under these paths is never loaded.
    loaded: bool,
    built_in: &'a [String],
    not_available: &'a [String],
    reason: &'a str,
}

impl<'a> From<&'a Finding> for FindingInfo<'a> {
    fn from(finding: &'a Finding) -> Self {
        Self {
            path: finding.path.to_string_lossy().into_owned(),
            kind: finding.kind.name(),
            loaded: false,
            built_in: &finding.built_in,
            not_available: &finding.not_available,
            reason: &finding.reason,
        }
    }
}

impl<'a> From<&'a PathReport> for PathInfo<'a> {
    fn from(report: &'a PathReport) -> Self {
        let found = report.found.iter().map(FindingInfo::from).collect();
        Self { entry: &report.entry, found, problems: &report.problems }
    }
}

/// What the last scan found.
pub(super) fn told(app: &App) -> Answer {
    let last = app.settings.plugin_paths.last();
    let paths = last.iter().flat_map(|reports| reports.iter()).map(PathInfo::from).collect();
    json(StatusCode::OK, &PathsInfo { scanned: last.is_some(), paths })
}

/// Scans again and waits for its end.
pub(super) async fn reload(app: &App) -> Result<Answer, ApiError> {
    let (send, done) = oneshot::channel();
    let started = app.settings.plugin_paths.scan_aside(move || {
        // Nobody waits any more when the request took too long.
        let _ = send.send(());
    });
    let conflict = |text: String| ControlError::Conflict(text);
    started.map_err(|error| conflict(format!("no thread can be started to scan pluginPaths: {error}; try again")))?;
    match tokio::time::timeout(SCAN_WAIT, done).await {
        Ok(Ok(())) => Ok(success("Plugin reload succeeded")),
        Ok(Err(_)) => Err(conflict("a scan of pluginPaths is running; try again when it has ended".to_owned()).into()),
        Err(_) => {
            let waited = SCAN_WAIT.as_secs();
            let text =
                format!("the scan of pluginPaths takes longer than {waited} s; GET /v1/plugins/paths has it later");
            Err(conflict(text).into())
        }
    }
}
