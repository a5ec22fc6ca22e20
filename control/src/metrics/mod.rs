//! What `/metrics` and the reporters tell: made from the shards' reports and the controller's view into metrics of one table
//! (`catalogue`), then brought into a form. Labels come from closed sets: shards, states, and what exists, of which at most so much
//! is shown; what is left out is counted.

pub mod catalogue;
pub mod family;
mod gather;
pub mod java;
pub mod otlp;
pub mod process;
mod protobuf;
pub mod reporters;
pub mod spread;
mod text;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rmqc_core::command::{DataPlaneInfo, ShardHealth, ShardPort};

use family::Family;

pub use gather::{CONNECTORS_MAX, QUEUES_MAX, TASKS_MAX, families, latencies_together};
pub use protobuf::protobuf;
pub use text::{open_metrics, prometheus};

use crate::controller::{ControlError, Controller, Reports, Snapshot};
use crate::health::ConnectorHealth;
use crate::trace::Traces;

/// The source's commit that the program was built from, if the build named it.
pub(crate) const COMMIT: &str = match option_env!("RMQC_COMMIT") {
    Some(commit) => commit,
    None => "unknown",
};

/// All that the metrics are made from.
pub struct Seen<'a> {
    /// Version of the program.
    pub version: &'a str,
    /// The source's commit that it was built from.
    pub commit: &'a str,
    /// Time since REST was opened.
    pub uptime: Duration,
    /// The data plane as it was started.
    pub plane: &'a DataPlaneInfo,
    /// The shards as their watchdog sees them.
    pub shards: &'a [ShardHealth],
    /// Connectors and tasks.
    pub snapshot: &'a Snapshot,
    /// What the shards counted.
    pub reports: &'a Reports,
    /// How connectors fare, by name.
    pub health: &'a BTreeMap<String, ConnectorHealth>,
    /// REST requests answered, by class of status.
    pub rest_requests: &'a [(&'static str, u64)],
    /// Failures of reporters, by their names.
    pub reporter_failures: &'a [(&'static str, u64)],
    /// Spans that found no room.
    pub spans_dropped: u64,
}

/// What is counted beside the controller and the shards, and from when on.
#[derive(Debug)]
pub struct Monitored {
    /// Version of the program.
    pub version: &'static str,
    /// When counting began.
    pub begin: Instant,
    /// Requests to REST.
    pub requests: RequestCounts,
    /// Those who are told the metrics.
    pub reporters: ReporterFailures,
    /// Spans of requests to REST, and of batches.
    pub traces: Arc<Traces>,
}

impl Monitored {
    /// Begins to count; nothing is traced.
    #[must_use]
    pub fn new(version: &'static str) -> Self {
        Self::tracing(version, 0.0)
    }

    /// The same, with spans of that share of requests to REST, from 0 to 1.
    #[must_use]
    pub fn tracing(version: &'static str, share: f64) -> Self {
        let (requests, reporters) = (RequestCounts::default(), ReporterFailures::default());
        Self { version, begin: Instant::now(), requests, reporters, traces: Arc::new(Traces::new(share)) }
    }
}

/// All metrics, now; waits for the shards' counters about a second.
///
/// # Errors
/// When the worker is stopping.
pub async fn gather(
    controller: &Controller,
    port: &dyn ShardPort,
    monitored: &Monitored,
) -> Result<Vec<Family>, ControlError> {
    // Together, so that the shards are asked once.
    let (snapshot, reports, health) = tokio::join!(controller.look(), controller.report(), controller.health());
    let mut all = families(&Seen {
        version: monitored.version,
        commit: COMMIT,
        uptime: monitored.begin.elapsed(),
        plane: port.info(),
        shards: &port.health(),
        snapshot: &snapshot?,
        reports: &reports?,
        health: &health?,
        rest_requests: &monitored.requests.counts(),
        reporter_failures: &monitored.reporters.failures(),
        spans_dropped: monitored.traces.dropped(),
    });
    all.extend(process::families());
    Ok(all)
}

/// Answered requests by class of status.
#[derive(Debug, Default)]
pub struct RequestCounts([AtomicU64; 5]);

const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

impl RequestCounts {
    /// One more answer of that HTTP status.
    pub fn add(&self, status: u16) {
        if let Some(count) = usize::from(status / 100).checked_sub(1).and_then(|class| self.0.get(class)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// All classes with their counts.
    #[must_use]
    pub fn counts(&self) -> Vec<(&'static str, u64)> {
        CLASSES.iter().zip(&self.0).map(|(class, count)| (*class, count.load(Ordering::Relaxed))).collect()
    }
}

/// How often each reporter of metrics could not hand on its values.
#[derive(Debug, Default)]
pub struct ReporterFailures(Mutex<BTreeMap<&'static str, u64>>);

impl ReporterFailures {
    /// Makes a reporter known; it has not failed yet.
    pub fn register(&self, reporter: &'static str) {
        self.with(|counts| {
            counts.entry(reporter).or_default();
        });
    }

    /// One more failure.
    pub fn add(&self, reporter: &'static str) {
        self.with(|counts| {
            let count = counts.entry(reporter).or_default();
            *count = count.saturating_add(1);
        });
    }

    /// All known reporters with their failures.
    #[must_use]
    pub fn failures(&self) -> Vec<(&'static str, u64)> {
        self.with(|counts| counts.iter().map(|(reporter, count)| (*reporter, *count)).collect())
    }

    fn with<T>(&self, work: impl FnOnce(&mut BTreeMap<&'static str, u64>) -> T) -> T {
        // Counting can't panic midway, so what a poisoned lock holds is whole.
        work(&mut self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }
}
