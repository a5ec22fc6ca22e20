//! What the worker did lately: two looks at all counters come in, rates, shares and latencies of the time between them come
//! out. Pure. A task that started again counts from zero; whatever can't be compared has no rate rather than a wrong one.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use hdrhistogram::Histogram;
use rmqc_core::clock::MonotonicTime;
use rmqc_core::id::{ShardId, TaskId};
use rmqc_core::metrics::{Latency, ShardReport, Span, Step, StepUse, TaskCounters, TaskReport};

use crate::controller::Reports;
use crate::process::ProcessUse;

pub mod connector;
#[cfg(test)]
mod tests;

/// Looks are kept so far apart.
pub const LOOKS_APART: Duration = Duration::from_millis(900);
/// A window is about so long, if there are enough looks.
const WINDOW: Duration = Duration::from_secs(5);
/// A shorter window tells nothing.
const WINDOW_MIN: Duration = Duration::from_millis(200);
/// Most looks that are kept.
const LOOKS_MAX: usize = 7;
/// Task reports in all looks that are kept, beyond the two that are needed: each holds histograms.
const REPORTS_MAX: usize = 1000;

/// One look at everything that counts.
#[derive(Clone, Default)]
pub struct Look {
    /// When.
    pub at: MonotonicTime,
    /// The same for people: milliseconds since 1970.
    pub at_ms: i64,
    /// What the shards reported.
    pub reports: Reports,
    /// What the process used so far; none where the system does not tell.
    pub process: Option<ProcessUse>,
}

/// The last looks, oldest first.
#[derive(Default)]
pub struct Looks(VecDeque<Arc<Look>>);

impl Looks {
    /// Takes one in and forgets those that no window needs any more.
    pub fn push(&mut self, look: Look) {
        let tasks: usize = look.reports.shards.iter().map(|(_, report)| report.tasks.len()).sum();
        let now = look.at;
        let before = self.0.len().checked_sub(2).and_then(|at| self.0.get(at)).map(|one| one.at);
        // The newest is always there, the others are apart.
        if let (Some(before), Some(last)) = (before, self.0.back())
            && last.at.saturating_sub(before) < LOOKS_APART
        {
            self.0.pop_back();
        }
        self.0.push_back(Arc::new(look));
        let max = (REPORTS_MAX / tasks.max(1)).clamp(2, LOOKS_MAX);
        let age = |one: Option<&Arc<Look>>| one.map_or(Duration::ZERO, |one| now.saturating_sub(one.at));
        while self.0.len() > 2 && (self.0.len() > max || age(self.0.front()) > WINDOW + LOOKS_APART / 2) {
            // A window that is too long is better than one that is too short.
            if self.0.len() <= max && age(self.0.get(1)) < LOOKS_APART {
                break;
            }
            self.0.pop_front();
        }
    }

    /// The newest look, and the one that it is compared with.
    #[must_use]
    pub fn window(&self) -> Option<(Option<Arc<Look>>, Arc<Look>)> {
        let later = self.0.back()?;
        let apart = |one: &&Arc<Look>| later.at.saturating_sub(one.at) >= WINDOW_MIN;
        Some((self.0.front().filter(apart).cloned(), Arc::clone(later)))
    }
}

/// Shares of a time, from 0 to 1.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Shares {
    /// Working, or waiting for an answer to its own work.
    pub busy: f64,
    /// Waiting because there was nothing to do.
    pub starved: f64,
    /// Waiting because what comes after it takes no more.
    pub blocked: f64,
}

impl Shares {
    fn of(used: StepUse, window: Duration) -> Self {
        let share = |us: u64| (number(us) / 1e6 / window.as_secs_f64()).min(1.0);
        Self { busy: share(used.busy_us), starved: share(used.starved_us), blocked: share(used.blocked_us) }
    }
}

/// What a task did in the window.
#[derive(Clone, Debug)]
pub struct TaskFlow {
    /// Its shard.
    pub shard: ShardId,
    /// Its report at the end of the window.
    pub report: TaskReport,
    /// What happened in the window; none where there is nothing to compare with.
    pub lately: Option<Lately>,
}

/// What happened to a task in the window.
#[derive(Clone, Debug)]
pub struct Lately {
    /// Counted in the window; `records_uncommitted` is that of its end.
    pub counters: TaskCounters,
    /// What its steps did with the window.
    pub steps: Vec<(Step, Shares)>,
    /// By how many records a second what waits grew; less than zero where it shrank.
    pub lag_growth: Option<f64>,
}

/// What a shard did in the window.
#[derive(Clone, Debug, Default)]
pub struct ShardFlow {
    /// Share of the window in which its thread used a CPU.
    pub busy: Option<f64>,
    /// Bytes a second from brokers.
    pub received_bytes_per_second: Option<f64>,
    /// Bytes a second to brokers.
    pub sent_bytes_per_second: Option<f64>,
    /// How long steps took, a batch each, in microseconds.
    pub steps: Vec<(Step, Histogram<u64>)>,
}

/// What the worker did lately.
#[derive(Clone, Debug, Default)]
pub struct Flow {
    /// Milliseconds since 1970 at the end of the window.
    pub at_ms: i64,
    /// How long it is; zero when there is only one look.
    pub window: Duration,
    /// CPU seconds a second that the process used: 1 is one core.
    pub cpu_share: Option<f64>,
    /// Memory of the process now.
    pub rss_bytes: Option<u64>,
    /// The shards that answered, with what they reported.
    pub shards: BTreeMap<ShardId, (Arc<ShardReport>, ShardFlow)>,
    /// Tasks of these shards.
    pub tasks: BTreeMap<TaskId, TaskFlow>,
}

impl Flow {
    /// Compares two looks; with only one, nothing has a rate.
    #[must_use]
    pub fn between(earlier: Option<&Look>, later: &Look) -> Self {
        let apart = earlier.map_or(Duration::ZERO, |earlier| later.at.saturating_sub(earlier.at));
        let window = if apart < WINDOW_MIN { Duration::ZERO } else { apart };
        let earlier = earlier.filter(|_| !window.is_zero());
        let known: BTreeMap<ShardId, &Arc<ShardReport>> =
            earlier.into_iter().flat_map(|look| &look.reports.shards).map(|(shard, report)| (*shard, report)).collect();
        // A task may have changed its shard.
        let tasks_before: BTreeMap<&TaskId, &TaskReport> =
            known.values().flat_map(|report| &report.tasks).map(|report| (&report.task, report)).collect();
        let mut flow = Self { at_ms: later.at_ms, window, ..Self::default() };
        if let Some(process) = later.process {
            flow.rss_bytes = Some(process.rss_bytes);
            let before = earlier.and_then(|look| look.process);
            flow.cpu_share = before.map(|before| rate(process.cpu_us.saturating_sub(before.cpu_us), window) / 1e6);
        }
        for (shard, report) in &later.reports.shards {
            let lately = shard_between(known.get(shard).map(|one| &***one), report, window);
            flow.shards.insert(*shard, (Arc::clone(report), lately));
            for task in &report.tasks {
                let before = tasks_before.get(&task.task).copied();
                // Nobody can have missed it: it started within the window and counts from zero.
                let zero = TaskReport::new(task.task.clone());
                let new = earlier.is_some_and(|look| look.reports.missing.is_empty()).then_some(&zero);
                let lately = before.or(new).map(|before| task_between(before, task, window));
                let mut report = task.clone();
                if let Some(before) = before {
                    report.latencies = latencies_between(before, task);
                }
                flow.tasks.insert(task.task.clone(), TaskFlow { shard: *shard, report, lately });
            }
        }
        flow
    }
}

fn shard_between(before: Option<&ShardReport>, now: &ShardReport, window: Duration) -> ShardFlow {
    let Some(before) = before else { return ShardFlow { steps: now.steps.clone(), ..ShardFlow::default() } };
    // A shard whose executor was replaced counts from zero.
    let zero = ShardReport::default();
    let again = now.cpu_us < before.cpu_us || now.bytes_received < before.bytes_received;
    let before = if again { &zero } else { before };
    let per_second = |now: u64, before: u64| Some(rate(now.saturating_sub(before), window));
    let steps = now.steps.iter().map(|(step, micros)| {
        let old = before.steps.iter().find(|(one, _)| one == step).map(|(_, micros)| micros);
        (*step, histogram_between(old, micros))
    });
    ShardFlow {
        busy: per_second(now.cpu_us, before.cpu_us).map(|us| (us / 1e6).min(1.0)),
        received_bytes_per_second: per_second(now.bytes_received, before.bytes_received),
        sent_bytes_per_second: per_second(now.bytes_sent, before.bytes_sent),
        steps: steps.collect(),
    }
}

/// Whether the task started again between two reports. One that has already counted further than before is not noticed:
/// then less is told than happened, never more.
fn started_again(before: &TaskReport, now: &TaskReport) -> bool {
    let fewer = |count: fn(&TaskCounters) -> u64| count(&now.counters) < count(&before.counters);
    let steps = now.steps.iter().any(|(step, used)| {
        step_of(before, *step).is_some_and(|old| used.runs < old.runs || used.busy_us < old.busy_us)
    });
    steps
        || fewer(|one| one.records_in)
        || fewer(|one| one.records_out)
        || fewer(|one| one.batches)
        || fewer(|one| one.bytes_in)
        || fewer(|one| one.bytes_out)
        || fewer(|one| one.commits)
}

fn step_of(report: &TaskReport, step: Step) -> Option<StepUse> {
    report.steps.iter().find(|(one, _)| *one == step).map(|(_, used)| *used)
}

fn task_between(before: &TaskReport, now: &TaskReport, window: Duration) -> Lately {
    let zero = TaskReport::new(now.task.clone());
    let again = started_again(before, now);
    let base = if again { &zero } else { before };
    let step = |(step, used): &(Step, StepUse)| {
        let old = step_of(base, *step).unwrap_or_default();
        let passed = StepUse {
            runs: used.runs.saturating_sub(old.runs),
            records: used.records.saturating_sub(old.records),
            busy_us: used.busy_us.saturating_sub(old.busy_us),
            starved_us: used.starved_us.saturating_sub(old.starved_us),
            blocked_us: used.blocked_us.saturating_sub(old.blocked_us),
        };
        (*step, Shares::of(passed, window))
    };
    let lag = base.lag_records.zip(now.lag_records);
    Lately {
        counters: counted_between(&base.counters, &now.counters),
        steps: now.steps.iter().map(step).collect(),
        lag_growth: lag.map(|(before, now)| (number(now) - number(before)) / window.as_secs_f64()),
    }
}

fn counted_between(before: &TaskCounters, now: &TaskCounters) -> TaskCounters {
    let passed = |count: fn(&TaskCounters) -> u64| count(now).saturating_sub(count(before));
    TaskCounters {
        records_in: passed(|one| one.records_in),
        records_out: passed(|one| one.records_out),
        records_filtered: passed(|one| one.records_filtered),
        records_skipped: passed(|one| one.records_skipped),
        dead_letters: passed(|one| one.dead_letters),
        bytes_in: passed(|one| one.bytes_in),
        bytes_out: passed(|one| one.bytes_out),
        bytes_copied: passed(|one| one.bytes_copied),
        batches: passed(|one| one.batches),
        retries: passed(|one| one.retries),
        commits: passed(|one| one.commits),
        records_committed: passed(|one| one.records_committed),
        records_uncommitted: now.records_uncommitted,
        blocked_us: passed(|one| one.blocked_us),
    }
}

fn latencies_between(before: &TaskReport, now: &TaskReport) -> Vec<Latency> {
    let old = |span: Span| before.latencies.iter().find(|one| one.span == span).map(|one| &one.micros);
    let passed = now
        .latencies
        .iter()
        .map(|one| Latency { span: one.span, micros: histogram_between(old(one.span), &one.micros) });
    passed.collect()
}

/// What came to a histogram since then; all of it where the two don't fit together.
fn histogram_between(before: Option<&Histogram<u64>>, now: &Histogram<u64>) -> Histogram<u64> {
    let Some(before) = before else { return now.clone() };
    let mut passed = now.clone();
    match passed.subtract(before) {
        Ok(()) => passed,
        // It counts from zero again.
        Err(_) => now.clone(),
    }
}

/// So many a second.
pub(crate) fn rate(count: u64, window: Duration) -> f64 {
    if window.is_zero() { 0.0 } else { number(count) / window.as_secs_f64() }
}

/// A count to calculate with.
#[allow(clippy::cast_precision_loss, reason = "rates are told with a few digits")]
pub(crate) fn number(count: u64) -> f64 {
    count as f64
}
