//! How much is logged.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::V1;
use super::error::{ErrorBody, V1Error};
use super::request::{JsonBody, Name};
use crate::logs::{LogLevel, LoggerLevel, ROOT};
use crate::rest::{Answer, json};

/// A logger's level.
#[derive(Serialize, ToSchema)]
pub(super) struct LoggerInfo {
    /// `OFF`, `ERROR`, `WARN`, `INFO`, `DEBUG` or `TRACE`.
    level: &'static str,
    /// When it was last changed by hand, in ms since 1970.
    last_modified: Option<i64>,
}

/// A level to set.
#[derive(Deserialize, ToSchema)]
pub(super) struct NewLevel {
    /// `OFF`, `ERROR`, `WARN`, `INFO`, `DEBUG` or `TRACE`, in any case.
    #[serde(default)]
    level: Option<String>,
}

impl LoggerInfo {
    fn of(level: LoggerLevel) -> Self {
        Self { level: level.level.name(), last_modified: level.changed_ms }
    }
}

/// All loggers that have a level, `root` among them.
#[utoipa::path(get, path = "/admin/loggers", tag = "loggers",
    responses((status = 200, body = BTreeMap<String, LoggerInfo>)))]
pub(super) async fn list(State(v1): State<Arc<V1>>) -> Answer {
    let levels = v1.app.settings.log_levels.levels();
    let all: BTreeMap<_, _> = levels.into_iter().map(|(name, level)| (name, LoggerInfo::of(level))).collect();
    json(StatusCode::OK, &all)
}

/// One logger's level: its own, else that of what it is within.
#[utoipa::path(get, path = "/admin/loggers/{name}", tag = "loggers",
    params(("name" = String, Path, description = "`root`, or a part of the program, e.g. `rmqc_io::consumer`")),
    responses((status = 200, body = LoggerInfo), (status = 404, body = ErrorBody)))]
pub(super) async fn get(State(v1): State<Arc<V1>>, Name(name): Name) -> Result<Answer, V1Error> {
    let levels = v1.app.settings.log_levels.levels();
    let holds = |logger: &str| name == logger || name.strip_prefix(logger).is_some_and(|rest| rest.starts_with("::"));
    let found = levels.iter().filter(|(logger, _)| logger.as_str() != ROOT && holds(logger));
    let found = found.max_by_key(|(logger, _)| logger.len()).map(|(_, level)| *level);
    let root = || levels.get(ROOT).copied().filter(|_| name == ROOT);
    let level = found.or_else(root).ok_or_else(|| V1Error::missing(format!("Logger {name} not found.")))?;
    Ok(json(StatusCode::OK, &LoggerInfo::of(level)))
}

/// Gives a logger, and all within it, a level until the worker ends.
#[utoipa::path(put, path = "/admin/loggers/{name}", tag = "loggers", request_body = NewLevel,
    params(("name" = String, Path, description = "`root`, or a part of the program, e.g. `rmqc_io::consumer`")),
    responses((status = 200, description = "Names of the loggers that have changed", body = Vec<String>),
        (status = 400, body = ErrorBody)))]
pub(super) async fn put(
    State(v1): State<Arc<V1>>,
    Name(name): Name,
    JsonBody(new): JsonBody<NewLevel>,
) -> Result<Answer, V1Error> {
    let missing = || V1Error::bad_request("Desired 'level' parameter was not specified in request.");
    let word = new.level.ok_or_else(missing)?;
    let unknown = || {
        let known: Vec<_> = LogLevel::ALL.iter().map(|level| level.name()).collect();
        V1Error::bad_request(format!("invalid log level '{word}', expected one of {}", known.join(", ")))
    };
    let level = LogLevel::parse(&word).ok_or_else(unknown)?;
    let changed = v1.app.settings.log_levels.set(&name, level).map_err(V1Error::bad_request)?;
    tracing::info!("logger {name} is set to {}", level.name());
    Ok(json(StatusCode::OK, &changed))
}
