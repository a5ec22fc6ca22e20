//! A look at live records.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse as _;
use futures_lite::stream;
use rmqc_core::tap::{TapRecord, TapSpec, TapStage};
use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use utoipa::ToSchema;

use super::error::{ErrorBody, V1Error};
use super::request::{Asked, Name};
use super::{TAPS_MAX, V1, mask};
use crate::rest::Answer;

/// Records shown if nobody says how many.
const RECORDS_DEFAULT: i64 = 100;
/// Most records of one look.
const RECORDS_MAX: i64 = 10_000;
/// Seconds of a look if nobody says how many.
const SECONDS_DEFAULT: i64 = 10;
/// Longest look, in seconds.
const SECONDS_MAX: i64 = 600;
/// The tasks end a look by themselves; if one does not, it is ended after so much more.
const GRACE: Duration = Duration::from_secs(2);
/// Most bytes of a key, value or property that are shown.
const SHOWN_BYTES_MAX: usize = 4096;

/// A record as it was seen: one line of the answer.
#[derive(Serialize, ToSchema)]
pub(super) struct TappedRecord {
    connector: String,
    task: u32,
    /// `poll`, `pull`, `convert`, `transform`, `send` or `put`.
    stage: &'static str,
    topic: Option<String>,
    queue: Option<u32>,
    queue_offset: Option<i64>,
    /// The source's position.
    position: Option<String>,
    timestamp_ms: Option<i64>,
    key: Option<String>,
    /// Text, JSON, or base64 behind `base64:`. What looks like a secret is masked.
    value: Option<String>,
    /// Type of the schema; empty without one.
    schema: String,
    properties: BTreeMap<String, String>,
    /// Whether something was cut.
    cut: bool,
}

impl TappedRecord {
    fn of(record: &TapRecord) -> Self {
        // What was cut is no JSON any more, so members that look like secrets can't be told from others.
        let masked = |text: &String| mask::cut_text(text, record.cut);
        Self {
            connector: record.task.connector.to_string(),
            task: record.task.index,
            stage: record.stage.name(),
            topic: record.topic.as_deref().map(str::to_owned),
            queue: record.place.map(|(queue, _)| queue),
            queue_offset: record.place.map(|(_, offset)| offset),
            position: record.position.clone(),
            timestamp_ms: record.timestamp_ms,
            key: record.key.as_ref().map(masked),
            value: record.value.as_ref().map(masked),
            schema: record.schema.clone(),
            properties: record
                .properties
                .iter()
                .map(|(name, value)| (name.clone(), mask::property(name, value)))
                .collect(),
            cut: record.cut,
        }
    }
}

/// Records on their way to whoever looks.
struct Look {
    records: mpsc::Receiver<Vec<TapRecord>>,
    /// Only those of this task.
    task: Option<u32>,
    /// How many more.
    left: usize,
    deadline: tokio::time::Instant,
    _place: OwnedSemaphorePermit,
}

impl Look {
    /// The next lines; none at the end.
    async fn lines(&mut self) -> Option<Bytes> {
        while self.left > 0 {
            let batch = tokio::time::timeout_at(self.deadline, self.records.recv()).await.ok().flatten()?;
            let mut lines = Vec::new();
            for record in batch.iter().filter(|one| self.task.is_none_or(|task| task == one.task.index)) {
                if self.left == 0 {
                    break;
                }
                // What can't be written as JSON does not exist: all members are texts and numbers.
                if serde_json::to_writer(&mut lines, &TappedRecord::of(record)).is_ok() {
                    lines.push(b'\n');
                    self.left -= 1;
                }
            }
            if !lines.is_empty() {
                return Some(lines.into());
            }
        }
        None
    }
}

/// Shows a sample of the records that pass through a connector now, one JSON object a line, until a bound is reached.
#[utoipa::path(get, path = "/connectors/{name}/tap", tag = "records",
    params(("name" = String, Path, description = "Connector"),
        ("stage" = Option<String>, Query, description = "`poll`, `pull`, `convert`, `transform`, `send` or `put`; all without it"),
        ("every" = Option<u32>, Query, description = "Every so many-th record; default 1"),
        ("limit" = Option<u32>, Query, description = "Most records, up to 10000; default 100"),
        ("seconds" = Option<u32>, Query, description = "Longest look, up to 600; default 10"),
        ("task" = Option<u32>, Query, description = "Only this task")),
    responses((status = 200, description = "One object a line", body = TappedRecord, content_type = "application/x-ndjson"),
        (status = 400, body = ErrorBody), (status = 404, body = ErrorBody), (status = 409, body = ErrorBody),
        (status = 503, body = ErrorBody)))]
pub(super) async fn tap(State(v1): State<Arc<V1>>, Name(name): Name, asked: Asked) -> Result<Answer, V1Error> {
    let stages = || TapStage::ALL.map(TapStage::name).join(", ");
    let read = |word: &str| {
        let unknown = || V1Error::bad_request(format!("stage is \"{word}\", expected one of {}", stages()));
        TapStage::parse(word).ok_or_else(unknown)
    };
    let stage = asked.text("stage").map(read).transpose()?;
    let every = asked.number("every", 1..=i64::from(u32::MAX))?.unwrap_or(1);
    let limit = asked.number("limit", 1..=RECORDS_MAX)?.unwrap_or(RECORDS_DEFAULT);
    let seconds = asked.number("seconds", 1..=SECONDS_MAX)?.unwrap_or(SECONDS_DEFAULT);
    let task = asked.number("task", 0..=i64::from(u32::MAX))?;
    let duration_ms = u64::try_from(seconds).unwrap_or(1).saturating_mul(1000);
    let spec = TapSpec {
        number: 0,
        stage,
        every: u32::try_from(every).unwrap_or(1),
        records_max: u32::try_from(limit).unwrap_or(1),
        shown_bytes_max: SHOWN_BYTES_MAX,
        duration_ms,
    };
    let full = |_| {
        let message = format!("{TAPS_MAX} looks at records are under way already; wait until one ends");
        V1Error::new(StatusCode::SERVICE_UNAVAILABLE, message)
    };
    let place = Arc::clone(&v1.taps).try_acquire_owned().map_err(full)?;
    let records = v1.app.controller.tap(&name, spec).await?;
    let deadline = tokio::time::Instant::now() + Duration::from_millis(duration_ms) + GRACE;
    let task = task.and_then(|task| u32::try_from(task).ok());
    let look = Look { records, task, left: usize::try_from(limit).unwrap_or(1), deadline, _place: place };
    let lines = stream::unfold(look, |mut look| async move {
        look.lines().await.map(|lines| (Ok::<_, std::convert::Infallible>(lines), look))
    });
    Ok(([(CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(lines)).into_response())
}
