//! What the worker does now: rates, shares, latencies, and what limits each connector.

pub mod document;

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use hdrhistogram::Histogram;
use rmqc_core::command::ShardHealth;
use rmqc_core::config::connector::CONNECTOR_CLASS;
use rmqc_core::metrics::{FailedRecord, Holding, QueueReport, Stall, Step, WindowUse};

use self::document::{
    ConnectorFlowV1, FailedRecordV1, FlowV1, HealthV1, HoldingV1, LimitV1, QueueV1, ShardFlowV1, SpanLatencyV1,
    StallV1, StepLatencyV1, StepSharesV1, TaskFlowV1, WindowV1, WorkerFlow,
};
use super::V1;
use super::error::{ErrorBody, V1Error};
use super::request::Asked;
use super::running::state_of;
use crate::controller::{ConnectorView, Seen, Watch};
use crate::flow::connector::{ConnectorFlow, Way};
use crate::flow::{Flow, Shares, TaskFlow};
use crate::health::{ConnectorHealth, Health};
use crate::limit::Limit;
use crate::metrics::COMMIT;
use crate::rest::{Answer, App, LatencyInfo, json};
use crate::worker::TaskView;

/// What the worker does now: rates and shares of the last seconds, latencies, what waits, and what limits each connector.
/// While this is asked for, the shards are looked at every second.
#[utoipa::path(get, path = "/flow", tag = "worker",
    params(("connector" = Option<String>, Query, description = "Only this one; may be given more than once")),
    responses((status = 200, body = FlowV1), (status = 404, body = ErrorBody)))]
pub(super) async fn flow(State(v1): State<Arc<V1>>, asked: Asked) -> Result<Answer, V1Error> {
    let seen = v1.app.controller.flow(Watch::Stay).await?;
    if let Some(missing) = asked.all("connector").find(|name| seen.snapshot.connector(name).is_none()) {
        return Err(V1Error::missing(format!("Connector {missing} not found")));
    }
    let wanted = |name: &str| asked.all("connector").next().is_none() || asked.all("connector").any(|one| one == name);
    Ok(json(StatusCode::OK, &document_of(&v1.app, &seen, wanted)))
}

fn document_of(app: &App, seen: &Seen, wanted: impl Fn(&str) -> bool) -> FlowV1 {
    let flow = Flow::between(seen.earlier.as_deref(), &seen.later);
    let connectors = seen.snapshot.connectors.iter().filter(|one| wanted(&one.name));
    FlowV1 {
        at_ms: flow.at_ms,
        window_ms: u64::try_from(flow.window.as_millis()).unwrap_or(u64::MAX),
        worker: worker_of(app, &flow),
        shards: app.port.health().into_iter().map(|health| shard_of(&health, &flow)).collect(),
        connectors: connectors.map(|one| connector_of(one, seen.health.get(&one.name), &flow)).collect(),
    }
}

fn worker_of(app: &App, flow: &Flow) -> WorkerFlow {
    let (plane, settings) = (app.port.info(), &app.settings);
    let cluster = if settings.embedded { "embedded".to_owned() } else { settings.name_servers.join(";") };
    WorkerFlow {
        id: settings.worker_id.clone(),
        version: settings.version.to_owned(),
        commit: COMMIT.to_owned(),
        uptime_ms: u64::try_from(app.started.elapsed().as_millis()).unwrap_or(u64::MAX),
        driver: plane.driver.name().to_owned(),
        driver_reason: plane.driver_reason.clone(),
        pinned: plane.pinned,
        pin_reason: plane.pin_reason.clone(),
        rss_bytes: flow.rss_bytes,
        cpu_share: flow.cpu_share.map(rounded),
        cluster,
    }
}

fn shard_of(health: &ShardHealth, flow: &Flow) -> ShardFlowV1 {
    let answered = flow.shards.get(&health.shard);
    let report = answered.map(|(report, _)| report);
    let lately = answered.map(|(_, lately)| lately);
    let stall = |stall: &Stall| StallV1 {
        task: stall.task.as_ref().map(ToString::to_string),
        ms: rounded(crate::flow::number(stall.micros) / 1e3),
        at_ms: stall.at_ms,
    };
    let step = |(step, micros): &(Step, Histogram<u64>)| StepLatencyV1 {
        step: step.name().to_owned(),
        latency_ms: LatencyInfo::of(micros),
    };
    ShardFlowV1 {
        shard: health.shard.0,
        busy: lately.and_then(|one| one.busy).map(rounded),
        tasks: report.map(|one| one.tasks.len()),
        connections: report.map(|one| one.connections),
        received_bytes_per_second: lately.and_then(|one| one.received_bytes_per_second).map(rounded),
        sent_bytes_per_second: lately.and_then(|one| one.sent_bytes_per_second).map(rounded),
        stalls: report.map(|one| one.stalls),
        last_stall: report.and_then(|one| one.last_stall.as_ref()).map(stall),
        replaced: health.replaced,
        commands_waiting: health.commands_waiting,
        steps: lately.map(|one| one.steps.iter().map(step).collect()).unwrap_or_default(),
    }
}

fn connector_of(connector: &ConnectorView, health: Option<&ConnectorHealth>, flow: &Flow) -> ConnectorFlowV1 {
    let lately = ConnectorFlow::of(connector, health, flow);
    let task = |view: &TaskView| {
        let own = health.and_then(|one| one.tasks.iter().find(|(index, ..)| *index == view.task.index));
        let own = own.map(|(_, health, cause)| health_of(*health, cause)).unwrap_or_default();
        task_of(view, own, flow.tasks.get(&view.task), flow)
    };
    let span = |(span, micros): &(rmqc_core::metrics::Span, Histogram<u64>)| SpanLatencyV1 {
        span: span.name().to_owned(),
        latency: LatencyInfo::of(micros),
    };
    ConnectorFlowV1 {
        name: connector.name.clone(),
        kind: Way::of(connector).map_or("unknown", Way::name).to_owned(),
        class: connector.properties.get(CONNECTOR_CLASS.name).cloned().unwrap_or_default(),
        state: state_of(connector).to_owned(),
        health: health.map(|one| health_of(one.health, &one.cause)).unwrap_or_default(),
        limit: limit_of(&lately.limit),
        records_per_second: lately.records_per_second.map(rounded),
        bytes_per_second: lately.bytes_per_second.map(rounded),
        lag_records: lately.lag_records,
        lag_ms: lately.lag_ms,
        catch_up_seconds: lately.catch_up_seconds.map(rounded),
        latency_ms: lately.latencies.iter().map(span).collect(),
        steps: steps_of(&lately.steps),
        window: window_of(lately.window),
        batch_fill: lately.batch_fill.map(rounded),
        copied_bytes_per_record: lately.copied_bytes_per_record.map(rounded),
        records_total: lately.totals.records_out,
        bytes_total: lately.totals.bytes_out,
        retries: lately.totals.retries,
        dead_letters: lately.totals.dead_letters,
        skipped: lately.totals.records_skipped,
        filtered: lately.totals.records_filtered,
        restarts: connector.tasks.iter().map(|task| task.restarts).sum(),
        tasks: connector.tasks.iter().map(task).collect(),
    }
}

fn task_of(view: &TaskView, health: HealthV1, task: Option<&TaskFlow>, flow: &Flow) -> TaskFlowV1 {
    let report = task.map(|one| &one.report);
    let lately = task.and_then(|one| one.lately.as_ref());
    let per_second = |count: u64| rounded(crate::flow::rate(count, flow.window));
    TaskFlowV1 {
        task: view.task.index,
        shard: view.shard.map(|shard| shard.0),
        state: view.state.java_name().to_owned(),
        health,
        records_per_second: lately.map(|one| per_second(one.counters.records_out)),
        bytes_per_second: lately.map(|one| per_second(one.counters.bytes_out)),
        lag_records: report.and_then(|one| one.lag_records),
        lag_ms: report.and_then(|one| one.lag_ms),
        steps: lately.map(|one| steps_of(&one.steps)).unwrap_or_default(),
        holding: report.and_then(|one| one.holding.as_ref()).map(holding_of),
        queues: report.map(|one| one.queues.iter().map(queue_of).collect()).unwrap_or_default(),
        failed: report.map(|one| one.failed.iter().map(failed_of).collect()).unwrap_or_default(),
    }
}

fn health_of(health: Health, cause: &str) -> HealthV1 {
    HealthV1 { state: health.name().to_owned(), cause: cause.to_owned() }
}

pub(super) fn limit_of(limit: &Limit) -> LimitV1 {
    LimitV1 {
        by: limit.by.name().to_owned(),
        sentence: limit.sentence.clone(),
        confidence: rounded(limit.confidence),
        advice: limit.advice.clone(),
    }
}

fn steps_of(steps: &[(Step, Shares)]) -> Vec<StepSharesV1> {
    let one = |(step, shares): &(Step, Shares)| StepSharesV1 {
        step: step.name().to_owned(),
        busy: rounded(shares.busy),
        starved: rounded(shares.starved),
        blocked: rounded(shares.blocked),
    };
    steps.iter().map(one).collect()
}

fn window_of(window: WindowUse) -> WindowV1 {
    let WindowUse { records, records_max, bytes, bytes_max, .. } = window;
    WindowV1 { records, records_max, bytes, bytes_max }
}

fn holding_of(holding: &Holding) -> HoldingV1 {
    HoldingV1 {
        stage: holding.stage.to_owned(),
        cause: holding.cause.clone(),
        since_ms: holding.since_ms,
        tries: holding.tries,
    }
}

pub(super) fn queue_of(queue: &QueueReport) -> QueueV1 {
    QueueV1 {
        topic: queue.topic.clone(),
        broker: queue.broker.clone(),
        queue_id: queue.queue_id,
        done: queue.done,
        end: queue.end,
        lag_records: queue.lag_records,
        lag_ms: queue.lag_ms,
    }
}

fn failed_of(failed: &FailedRecord) -> FailedRecordV1 {
    FailedRecordV1 {
        at_ms: failed.at_ms,
        stage: failed.stage.to_owned(),
        error: failed.error.clone(),
        position: failed.position.clone(),
        value: failed.value.clone(),
        outcome: failed.outcome.to_owned(),
    }
}

/// With three decimals: more would be noise.
pub(super) fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}
