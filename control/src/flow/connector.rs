//! What a connector did lately: its tasks taken together.

use hdrhistogram::Histogram;
use rmqc_core::config::connector::DIRECT_ENABLE;
use rmqc_core::metrics::{Span, Step, TaskCounters, WindowUse};
use rmqc_core::registry::ConnectorKind;
use rmqc_core::state::TaskState;

use super::{Flow, Lately, Shares, TaskFlow, number, rate};
use crate::controller::ConnectorView;
use crate::health::ConnectorHealth;
use crate::limit::{Limit, Situation};
use crate::metrics::latencies_together;
use crate::worker::TaskView;

/// Which way a connector moves records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Towards the broker.
    Source,
    /// From the broker.
    Sink,
    /// From a source to a sink, without a broker.
    Direct,
}

impl Way {
    /// That of a connector; none if this binary does not have it.
    #[must_use]
    pub fn of(connector: &ConnectorView) -> Option<Self> {
        let kind = connector.kind()?;
        Some(match kind {
            _ if DIRECT_ENABLE.boolean(&connector.properties) => Self::Direct,
            ConnectorKind::Source => Self::Source,
            ConnectorKind::Sink => Self::Sink,
        })
    }

    /// The name used in REST.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Sink => "sink",
            Self::Direct => "direct",
        }
    }
}

/// What a connector did lately.
#[derive(Clone, Debug)]
pub struct ConnectorFlow {
    /// Records delivered a second; none as long as nobody can tell.
    pub records_per_second: Option<f64>,
    /// Payload bytes delivered a second.
    pub bytes_per_second: Option<f64>,
    /// Records that wait for all its tasks.
    pub lag_records: Option<u64>,
    /// How old the oldest of what waits is, in milliseconds.
    pub lag_ms: Option<u64>,
    /// Seconds until nothing waits any more if all goes on like this; none while what waits does not get less.
    pub catch_up_seconds: Option<f64>,
    /// How long records took, of the window where it could be compared.
    pub latencies: Vec<(Span, Histogram<u64>)>,
    /// What its steps did with the time of the window: the mean over its tasks.
    pub steps: Vec<(Step, Shares)>,
    /// Use of its bounds, over all tasks.
    pub window: WindowUse,
    /// Records of a batch by what a batch may hold, from 0 to 1.
    pub batch_fill: Option<f64>,
    /// Payload bytes copied in user space a record, of the window.
    pub copied_bytes_per_record: Option<f64>,
    /// Counters since its tasks started.
    pub totals: TaskCounters,
    /// What limits it.
    pub limit: Limit,
}

impl ConnectorFlow {
    /// Takes the tasks of a connector together.
    #[must_use]
    pub fn of(connector: &ConnectorView, health: Option<&ConnectorHealth>, flow: &Flow) -> Self {
        let tasks: Vec<&TaskFlow> = connector.tasks.iter().filter_map(|view| flow.tasks.get(&view.task)).collect();
        let lately: Vec<&Lately> = tasks.iter().filter_map(|task| task.lately.as_ref()).collect();
        // A part of the tasks is no measure of all.
        let complete = !lately.is_empty() && lately.len() == tasks.len();
        let passed = complete.then(|| sum(lately.iter().map(|one| &one.counters)));
        let growth: Option<f64> = lately.iter().map(|one| one.lag_growth).sum::<Option<f64>>().filter(|_| complete);
        let lag_records = total(tasks.iter().map(|task| task.report.lag_records));
        let records_per_second = passed.map(|one| rate(one.records_out, flow.window));
        let window = tasks.iter().fold(WindowUse::default(), |sum, task| joined(sum, task.report.window));
        let steps = mean_steps(&lately);
        let of_batch = |one: TaskCounters| ratio(one.records_in, one.batches.saturating_mul(window.batch_records_max));
        let catch_up_seconds = catch_up_seconds(lag_records, growth);
        let situation = Situation {
            name: &connector.name,
            way: Way::of(connector),
            target: connector.target,
            failure: connector.failure.as_deref(),
            cause: health.map_or("", |one| one.cause.as_str()),
            tasks: connector.tasks.len(),
            running: connector.tasks.iter().filter(|task| task.state == TaskState::Running).count(),
            failed: connector.tasks.iter().find(|task| task.state == TaskState::Failed).map(failure),
            window: flow.window,
            steps: &steps,
            records_per_second,
            moved: passed.map(|one| one.records_in.saturating_add(done(&one))),
            lag_records,
            lag_growth: growth,
            catch_up_seconds,
            window_use: window,
            uncommitted: tasks.iter().map(|task| task.report.counters.records_uncommitted).sum(),
            holding: tasks.iter().find_map(|task| task.report.holding.as_ref()),
            shard_busy: busiest(&tasks, flow),
        };
        Self {
            records_per_second,
            bytes_per_second: passed.map(|one| rate(one.bytes_out, flow.window)),
            lag_records,
            lag_ms: tasks.iter().filter_map(|task| task.report.lag_ms).max(),
            catch_up_seconds,
            latencies: latencies_together(tasks.iter().map(|task| &task.report)).into_iter().collect(),
            window,
            batch_fill: passed.and_then(of_batch).map(|fill| fill.min(1.0)),
            copied_bytes_per_record: passed.and_then(|one| ratio(one.bytes_copied, one.records_in)),
            totals: sum(tasks.iter().map(|task| &task.report.counters)),
            limit: crate::limit::judge(&situation),
            steps,
        }
    }
}

/// A failed task's number and why.
fn failure(task: &TaskView) -> (u32, &str) {
    (task.task.index, task.cause.as_deref().unwrap_or("no cause is known"))
}

/// Records that a task is done with.
pub(crate) fn done(counters: &TaskCounters) -> u64 {
    let TaskCounters { records_out, records_filtered, records_skipped, dead_letters, .. } = *counters;
    [records_filtered, records_skipped, dead_letters].into_iter().fold(records_out, u64::saturating_add)
}

/// Seconds until nothing waits any more, if what waits changes like this; none while it does not get less.
#[must_use]
pub fn catch_up_seconds(lag_records: Option<u64>, lag_growth: Option<f64>) -> Option<f64> {
    match (lag_records?, lag_growth) {
        (0, _) => Some(0.0),
        // Less than one record in ten seconds is no trend.
        (lag, Some(growth)) if growth < -0.1 => Some(number(lag) / -growth),
        _ => None,
    }
}

/// The sum of those that are known; none if none is.
fn total(values: impl Iterator<Item = Option<u64>>) -> Option<u64> {
    values.flatten().reduce(u64::saturating_add)
}

fn ratio(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| number(part) / number(whole))
}

fn sum<'a>(counters: impl Iterator<Item = &'a TaskCounters>) -> TaskCounters {
    counters.fold(TaskCounters::default(), |sum, one| {
        let add = |count: fn(&TaskCounters) -> u64| count(&sum).saturating_add(count(one));
        TaskCounters {
            records_in: add(|one| one.records_in),
            records_out: add(|one| one.records_out),
            records_filtered: add(|one| one.records_filtered),
            records_skipped: add(|one| one.records_skipped),
            dead_letters: add(|one| one.dead_letters),
            bytes_in: add(|one| one.bytes_in),
            bytes_out: add(|one| one.bytes_out),
            bytes_copied: add(|one| one.bytes_copied),
            batches: add(|one| one.batches),
            retries: add(|one| one.retries),
            commits: add(|one| one.commits),
            records_committed: add(|one| one.records_committed),
            records_uncommitted: add(|one| one.records_uncommitted),
            blocked_us: add(|one| one.blocked_us),
        }
    })
}

fn joined(one: WindowUse, other: WindowUse) -> WindowUse {
    WindowUse {
        records: one.records.saturating_add(other.records),
        records_max: one.records_max.saturating_add(other.records_max),
        bytes: one.bytes.saturating_add(other.bytes),
        bytes_max: one.bytes_max.saturating_add(other.bytes_max),
        // All tasks of a connector have the same.
        batch_records_max: one.batch_records_max.max(other.batch_records_max),
    }
}

/// The mean over tasks, for each step that one of them has.
fn mean_steps(lately: &[&Lately]) -> Vec<(Step, Shares)> {
    let mean = |step: Step| {
        let own = |one: &&Lately| one.steps.iter().find(|(own, _)| *own == step).map(|(_, shares)| *shares);
        let all: Vec<Shares> = lately.iter().filter_map(own).collect();
        let count = number(u64::try_from(all.len()).unwrap_or(u64::MAX));
        let mean = |share: fn(&Shares) -> f64| all.iter().map(share).sum::<f64>() / count;
        let shares = || Shares {
            busy: mean(|one| one.busy),
            starved: mean(|one| one.starved),
            blocked: mean(|one| one.blocked),
        };
        (!all.is_empty()).then(|| (step, shares()))
    };
    Step::ALL.into_iter().filter_map(mean).collect()
}

/// How busy the busiest shard of its tasks is.
fn busiest(tasks: &[&TaskFlow], flow: &Flow) -> Option<f64> {
    let busy = |task: &&TaskFlow| flow.shards.get(&task.shard).and_then(|(_, shard)| shard.busy);
    tasks.iter().filter_map(busy).reduce(f64::max)
}
