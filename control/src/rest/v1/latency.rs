//! How long a connector's records take: percentiles, or the histograms themselves in a form that HdrHistogram's tools read.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::IntoResponse as _;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, Tag};
use rmqc_core::metrics::Span;
use serde::Serialize;
use utoipa::ToSchema;

use super::V1;
use super::connectors::look;
use super::error::{ErrorBody, V1Error};
use super::request::{Asked, Name};
use crate::controller::Reports;
use crate::metrics::latencies_together;
use crate::rest::dto::LatencyInfo;
use crate::rest::{Answer, json};

/// All spans, in order.
const SPANS: [Span; 3] = [Span::RecordToAck, Span::RecordToPut, Span::StoreToPut];

/// Latencies of one span, in milliseconds.
#[derive(Serialize, ToSchema)]
struct SpanLatency {
    /// From where to where: `record_to_ack` (sources: the record's own time to the broker's confirmation), `record_to_put`
    /// (sinks: the record's own time to `put` having returned) or `store_to_put` (sinks: from the message's store time).
    span: &'static str,
    /// The shortest.
    min: f64,
    /// The average.
    mean: f64,
    #[serde(flatten)]
    percentiles: LatencyInfo,
}

impl SpanLatency {
    fn of(span: Span, micros: &Histogram<u64>) -> Self {
        let min = Duration::from_micros(micros.min()).as_secs_f64() * 1e3;
        Self { span: span.name(), min, mean: micros.mean() / 1e3, percentiles: LatencyInfo::of(micros) }
    }
}

/// Latencies of one task.
#[derive(Serialize, ToSchema)]
struct TaskLatency {
    task: u32,
    latency_ms: Vec<SpanLatency>,
}

/// Latencies of a connector since its tasks started.
#[derive(Serialize, ToSchema)]
pub(super) struct ConnectorLatency {
    connector: String,
    /// Of all tasks together; empty before the first record.
    latency_ms: Vec<SpanLatency>,
    /// Of each task, when asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    tasks: Option<Vec<TaskLatency>>,
}

/// One histogram, and of which task it is; none: of all.
struct Measured {
    task: Option<u32>,
    span: Span,
    micros: Histogram<u64>,
}

/// What there is of a connector: first of all tasks together, then task by task if asked for.
fn measured(reports: &Reports, connector: &str, by_task: bool) -> Vec<Measured> {
    let tasks = reports.shards.iter().flat_map(|(_, report)| &report.tasks);
    let mut tasks: Vec<_> = tasks.filter(|task| *task.task.connector == *connector).collect();
    let mut merged = latencies_together(tasks.iter().copied());
    let together = SPANS.into_iter().filter_map(|span| {
        let micros = merged.remove(&span)?;
        Some(Measured { task: None, span, micros })
    });
    let mut all: Vec<Measured> = together.collect();
    if by_task {
        tasks.sort_by_key(|task| task.task.index);
        for task in tasks {
            let index = Some(task.task.index);
            let one = |span, micros: &Histogram<u64>| Measured { task: index, span, micros: micros.clone() };
            all.extend(task.latencies.iter().map(|latency| one(latency.span, &latency.micros)));
        }
    }
    all
}

/// Latencies of a connector's records.
#[utoipa::path(get, path = "/connectors/{name}/latency", tag = "connectors",
    params(("name" = String, Path, description = "Connector"),
        ("tasks" = Option<bool>, Query, description = "Each task by itself too"),
        ("span" = Option<String>, Query, description = "Only this span: `record_to_ack`, `record_to_put` or `store_to_put`"),
        ("format" = Option<String>, Query, description = "`json`, or `hdr`: an HdrHistogram log with the histograms in microseconds")),
    responses((status = 200, description = "Percentiles in milliseconds, or the log",
            content((ConnectorLatency = "application/json"), (String = "text/plain"))),
        (status = 400, body = ErrorBody), (status = 404, body = ErrorBody)))]
pub(super) async fn latency(State(v1): State<Arc<V1>>, Name(name): Name, asked: Asked) -> Result<Answer, V1Error> {
    let by_task = asked.flag("tasks", false)?;
    let span = asked_span(&asked)?;
    let as_log = match asked.text("format") {
        None | Some("json") => false,
        Some("hdr") => true,
        Some(other) => return Err(V1Error::bad_request(format!("format is \"{other}\", expected json or hdr"))),
    };
    look(&v1, &name).await?;
    let mut all = measured(&v1.app.controller.report().await?, &name, by_task);
    all.retain(|one| span.is_none_or(|span| span == one.span));
    if as_log {
        let log = hdr_log(&name, &all, span.is_some(), v1.app.started.elapsed(), SystemTime::now());
        let log = log.map_err(|error| V1Error::new(StatusCode::INTERNAL_SERVER_ERROR, error))?;
        let kind = (CONTENT_TYPE, "text/plain; charset=utf-8");
        let download = (CONTENT_DISPOSITION, "attachment; filename=\"latency.hlog\"");
        return Ok((StatusCode::OK, [kind, download], log).into_response());
    }
    Ok(json(StatusCode::OK, &as_json(name, &all, by_task)))
}

fn asked_span(asked: &Asked) -> Result<Option<Span>, V1Error> {
    let Some(text) = asked.text("span") else { return Ok(None) };
    let known = SPANS.map(Span::name).join(", ");
    let wrong = || V1Error::bad_request(format!("span is \"{text}\", expected one of {known}"));
    SPANS.into_iter().find(|span| span.name() == text).map(Some).ok_or_else(wrong)
}

fn as_json(connector: String, all: &[Measured], by_task: bool) -> ConnectorLatency {
    let of = |task: Option<u32>| -> Vec<SpanLatency> {
        all.iter().filter(|one| one.task == task).map(|one| SpanLatency::of(one.span, &one.micros)).collect()
    };
    let mut indexes: Vec<u32> = all.iter().filter_map(|one| one.task).collect();
    indexes.dedup();
    let tasks =
        by_task.then(|| indexes.iter().map(|task| TaskLatency { task: *task, latency_ms: of(Some(*task)) }).collect());
    ConnectorLatency { connector, latency_ms: of(None), tasks }
}

/// The histograms as an interval log of one interval, which ends now. Tags name the span, and the task where it is one task's; with
/// one span chosen that of all tasks has no tag, as the tools read it by themselves.
fn hdr_log(
    connector: &str,
    all: &[Measured],
    one_span: bool,
    uptime: Duration,
    now: SystemTime,
) -> Result<Vec<u8>, String> {
    let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let begin = now.saturating_sub(uptime);
    let failed = |error: &dyn std::fmt::Display| format!("the histograms can't be written: {error}");
    let mut log = Vec::new();
    let mut serializer = V2DeflateSerializer::new();
    let whose = format!("[Latencies of the records of connector {}]", connector.replace(char::is_control, " "));
    let mut writer = IntervalLogWriterBuilder::new()
        .add_comment("[Histogram log format version 1.3]")
        .add_comment(&whose)
        .add_comment("[Values are microseconds: -outputValueUnitRatio 1000 shows milliseconds]")
        .with_start_time(UNIX_EPOCH + begin)
        .with_max_value_divisor(1000.0)
        .begin_log_with(&mut log, &mut serializer)
        .map_err(|error| failed(&error))?;
    for one in all {
        let tag = match one.task {
            None if one_span => None,
            None => Some(one.span.name().to_owned()),
            Some(task) => Some(format!("{}.task-{task}", one.span.name())),
        };
        let tag = tag.as_deref().and_then(Tag::new);
        writer.write_histogram(&one.micros, begin, uptime, tag).map_err(|error| failed(&error))?;
    }
    Ok(log)
}
