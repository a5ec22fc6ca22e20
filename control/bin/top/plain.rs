//! A frame without a terminal.

use rmqc_control::rest::flow::{ConnectorFlowV1, FlowV1, ShardFlowV1};
use rmqc_control::words::{bytes, count, duration, percent, rate};

use super::view::{latency, whole};
use crate::command::output::{line, table};

/// Everything that the terminal's first page has, as text; `-` stands for what is not known.
pub(super) fn page(flow: &FlowV1) -> String {
    let worker = &flow.worker;
    let mut text = format!(
        "Worker {}, version {}, driver {}, up {}, RSS {}, CPU {}, cluster {}\nRates are of the last {}.\n\n",
        line(&worker.id),
        line(&worker.version),
        line(&worker.driver),
        duration(whole(worker.uptime_ms) / 1000.0),
        or_dash(worker.rss_bytes, bytes),
        or_dash(worker.cpu_share, |share| format!("{:.0} %", share * 100.0)),
        line(&worker.cluster),
        duration(whole(flow.window_ms) / 1000.0),
    );
    let shards: Vec<_> = flow.shards.iter().map(shard_row).collect();
    text.push_str(&table(&["SHARD", "BUSY", "TASKS", "RECEIVED/S", "SENT/S", "STALLS"], &shards));
    text.push('\n');
    if flow.connectors.is_empty() {
        return text + "No connectors.\n";
    }
    let rows: Vec<_> = flow.connectors.iter().map(row).collect();
    let headers = ["CONNECTOR", "STATE", "HEALTH", "RECORDS/S", "MB/S", "LAG", "P50 MS", "P99 MS", "LIMIT"];
    text + &table(&headers, &rows)
}

fn or_dash<T>(value: Option<T>, text: impl FnOnce(T) -> String) -> String {
    value.map_or_else(|| "-".to_owned(), text)
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "shown with a few digits")]
fn size(value: f64) -> String {
    bytes(value.max(0.0).round() as u64)
}

fn shard_row(shard: &ShardFlowV1) -> Vec<String> {
    vec![
        shard.shard.to_string(),
        or_dash(shard.busy, percent),
        or_dash(shard.tasks, |tasks| tasks.to_string()),
        or_dash(shard.received_bytes_per_second, size),
        or_dash(shard.sent_bytes_per_second, size),
        or_dash(shard.stalls, count),
    ]
}

fn row(one: &ConnectorFlowV1) -> Vec<String> {
    let ms = latency(one).map(|latency| &latency.latency);
    vec![
        one.name.clone(),
        one.state.clone(),
        one.health.state.clone(),
        or_dash(one.records_per_second, rate),
        or_dash(one.bytes_per_second, |bytes| format!("{:.1}", bytes / 1e6)),
        or_dash(one.lag_records, count),
        or_dash(ms, |ms| format!("{:.1}", ms.p50)),
        or_dash(ms, |ms| format!("{:.1}", ms.p99)),
        one.limit.sentence.clone(),
    ]
}
