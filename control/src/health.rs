//! Whether connectors do their work, judged by what they deliver and not by whether something runs. Pure: reports, states
//! and the time come in, a judgement comes out.

use std::collections::BTreeMap;
use std::time::Duration;

use rmqc_core::clock::MonotonicTime;
use rmqc_core::config::connector::COMMIT_INTERVAL_MS;
use rmqc_core::id::TaskId;
use rmqc_core::metrics::{Holding, TaskCounters, TaskReport};
use rmqc_core::state::{TargetState, TaskState};

use crate::controller::{ConnectorView, Reports};
use crate::worker::{Now, TaskView};

#[cfg(test)]
mod tests;

/// With work at hand, and nothing delivered for so long, a task has stalled.
const STALLED_AFTER: Duration = Duration::from_secs(10);
/// What went wrong within so long is still told.
const TROUBLE_LASTS: Duration = Duration::from_secs(60);
/// Two samples that are compared are at least so far apart, if there are enough of them.
const COMPARED_APART: Duration = Duration::from_secs(2);
/// A task is behind when working off what waits takes longer than so many seconds at its present pace …
const BEHIND_SECONDS: u64 = 2;
/// … and at least so many records wait, or their number grows while it delivers.
const BEHIND_RECORDS: u64 = 1000;
/// Counters of a task that nobody reports any more are kept so long.
const KEPT: Duration = Duration::from_secs(120);

/// How a task or connector fares. The later, the worse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Health {
    /// It delivers, or has nothing to do.
    Healthy,
    /// Somebody wants it to stand still.
    Paused,
    /// It delivers, but more waits than it delivers soon.
    CatchingUp,
    /// It goes on while it tries again, starts again, writes dead letters or passes records over.
    Degraded,
    /// There is work, and none of it gets done.
    Stalled,
    /// It has given up, until somebody acts.
    Failed,
}

impl Health {
    /// All, the best first.
    pub const ALL: [Self; 6] =
        [Self::Healthy, Self::Paused, Self::CatchingUp, Self::Degraded, Self::Stalled, Self::Failed];

    /// The name used in REST and on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Healthy => "HEALTHY",
            Self::Paused => "PAUSED",
            Self::CatchingUp => "CATCHING_UP",
            Self::Degraded => "DEGRADED",
            Self::Stalled => "STALLED",
            Self::Failed => "FAILED",
        }
    }
}

/// How a connector fares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectorHealth {
    /// That of its worst task, or its own.
    pub health: Health,
    /// Why: one sentence.
    pub cause: String,
    /// Its tasks in order: index, health, and why.
    pub tasks: Vec<(u32, Health, String)>,
}

/// One look at a task's counters.
#[derive(Clone, Debug)]
struct Sample {
    at: MonotonicTime,
    counters: TaskCounters,
    lag_records: Option<u64>,
    holding: Option<Holding>,
}

impl Sample {
    /// Records that the task is done with.
    fn delivered(&self) -> u64 {
        let TaskCounters { records_out, records_filtered, records_skipped, dead_letters, .. } = self.counters;
        [records_filtered, records_skipped, dead_letters].into_iter().fold(records_out, u64::saturating_add)
    }

    fn lag(&self) -> u64 {
        self.lag_records.unwrap_or(0)
    }

    /// Whether it has something to do.
    fn has_work(&self) -> bool {
        self.lag() > 0 || self.counters.records_uncommitted > 0 || self.holding.is_some()
    }
}

/// What is remembered of one task.
#[derive(Clone, Debug)]
struct Track {
    last: Sample,
    previous: Option<Sample>,
    /// When it last delivered something, or had nothing to do; at first, when it was first seen.
    moved_at: MonotonicTime,
    /// What went wrong last though it went on, and when.
    trouble: Option<(MonotonicTime, &'static str)>,
}

impl Track {
    fn new(sample: Sample) -> Self {
        Self { moved_at: sample.at, last: sample, previous: None, trouble: None }
    }

    fn take(&mut self, sample: Sample) {
        let (old, new) = (&self.last.counters, &sample.counters);
        // A new incarnation counts from zero again.
        let again = new.records_in < old.records_in || new.batches < old.batches;
        let zero = TaskCounters::default();
        let old = if again { &zero } else { old };
        let delivered = if again { 0 } else { self.last.delivered() };
        let moved = sample.delivered() > delivered || new.records_committed > old.records_committed;
        if moved || !sample.has_work() {
            self.moved_at = sample.at;
        }
        let trouble = if new.dead_letters > old.dead_letters {
            Some("writes dead letters")
        } else if new.records_skipped > old.records_skipped {
            Some("passes bad records over")
        } else {
            (new.retries > old.retries).then_some("had to try calls again")
        };
        if let Some(trouble) = trouble {
            self.trouble = Some((sample.at, trouble));
        }
        let last = std::mem::replace(&mut self.last, sample);
        let apart = |previous: &Sample| last.at.saturating_sub(previous.at) >= COMPARED_APART;
        if again {
            self.previous = None;
        } else if self.previous.as_ref().is_none_or(apart) {
            self.previous = Some(last);
        }
    }

    /// Whether something happens to it.
    fn is_busy(&self) -> bool {
        let changed = self.previous.as_ref().is_none_or(|previous| previous.counters != self.last.counters);
        changed || self.last.has_work()
    }

    /// Whether more waits than is delivered soon.
    fn is_behind(&self) -> bool {
        let Some(previous) = &self.previous else { return self.last.lag() >= BEHIND_RECORDS };
        let ms = u64::try_from(self.last.at.saturating_sub(previous.at).as_millis()).unwrap_or(u64::MAX).max(1);
        let delivered = self.last.delivered().saturating_sub(previous.delivered());
        let soon = delivered.saturating_mul(BEHIND_SECONDS * 1000) / ms;
        let lag = self.last.lag();
        lag > soon && (lag >= BEHIND_RECORDS || (delivered > 0 && lag > previous.lag()))
    }
}

/// What is remembered of all tasks: two samples each.
#[derive(Default)]
pub(crate) struct Tracks {
    tracks: BTreeMap<TaskId, Track>,
}

impl Tracks {
    /// Takes in what the shards reported.
    pub fn take(&mut self, reports: &Reports, now: MonotonicTime) {
        for report in reports.shards.iter().flat_map(|(_, report)| &report.tasks) {
            let TaskReport { task, counters, lag_records, holding, .. } = report;
            let (counters, lag_records, holding) = (*counters, *lag_records, holding.clone());
            let sample = Sample { at: now, counters, lag_records, holding };
            match self.tracks.get_mut(task) {
                Some(track) => track.take(sample),
                None => drop(self.tracks.insert(task.clone(), Track::new(sample))),
            }
        }
        self.tracks.retain(|_, track| now.saturating_sub(track.last.at) < KEPT);
    }

    /// Whether some task has something to do.
    pub fn are_busy(&self) -> bool {
        self.tracks.values().any(Track::is_busy)
    }

    /// How a connector fares.
    pub fn judge(&self, connector: &ConnectorView, now: Now) -> ConnectorHealth {
        let judged = |view: &TaskView| {
            let (health, cause) = judge(self.tracks.get(&view.task), view, connector.target, now);
            (view.task.index, health, cause)
        };
        let tasks: Vec<_> = connector.tasks.iter().map(judged).collect();
        // Of several that are equally bad the first one speaks.
        let worst = tasks.iter().rev().max_by_key(|(_, health, _)| *health);
        let (health, cause) = match (&connector.failure, connector.target, worst) {
            (Some(failure), _, _) => (Health::Failed, format!("its configuration can't be used: {}", line(failure))),
            (None, TargetState::Stopped, _) => (Health::Paused, "it is stopped".to_owned()),
            (None, _, Some((index, health, cause))) if *health > Health::Paused => {
                (*health, format!("task {index}: {cause}"))
            }
            (None, _, Some((_, health, cause))) => (*health, cause.clone()),
            (None, TargetState::Paused, None) => (Health::Paused, "it is paused".to_owned()),
            (None, TargetState::Started, None) => (Health::Degraded, "it has no tasks yet".to_owned()),
        };
        ConnectorHealth { health, cause, tasks }
    }
}

/// How a task fares, and why.
fn judge(track: Option<&Track>, view: &TaskView, target: TargetState, now: Now) -> (Health, String) {
    if view.state == TaskState::Failed {
        return (Health::Failed, format!("it failed: {}", line(view.cause.as_deref().unwrap_or("no cause is known"))));
    }
    if target != TargetState::Started {
        let why = view.cause.as_deref().map(|cause| format!("it is paused: {}", line(cause)));
        return (Health::Paused, why.unwrap_or_else(|| "it is paused".to_owned()));
    }
    match (view.state, track) {
        (TaskState::Running, Some(track)) => judge_running(track, view, now),
        (TaskState::Running, None) => (Health::Healthy, "it runs; its counters are not known yet".to_owned()),
        (TaskState::Paused, _) => (Health::Healthy, "it is about to go on".to_owned()),
        _ => judge_down(view, now),
    }
}

/// A task that should run and does not.
fn judge_down(view: &TaskView, now: Now) -> (Health, String) {
    let down_ms = view.down_since_ms.map_or(0, |since| u64::try_from(now.unix_ms.saturating_sub(since)).unwrap_or(0));
    let cause = view.cause.as_deref().map(|cause| format!(": {}", line(cause))).unwrap_or_default();
    let state = view.state.to_string().to_lowercase();
    if Duration::from_millis(down_ms) >= STALLED_AFTER {
        (Health::Stalled, format!("it has not run for {} s and is {state}{cause}", down_ms / 1000))
    } else if cause.is_empty() {
        (Health::Healthy, format!("it is {state}"))
    } else {
        (Health::Degraded, format!("it is {state}{cause}"))
    }
}

fn judge_running(track: &Track, view: &TaskView, now: Now) -> (Health, String) {
    let Track { last, moved_at, trouble, .. } = track;
    let silent = now.monotonic.saturating_sub(last.at);
    if silent >= STALLED_AFTER {
        return (Health::Stalled, format!("its shard has not answered for {} s", silent.as_secs()));
    }
    let uncommitted = last.counters.records_uncommitted;
    let (work, patience) = match (&last.holding, last.lag()) {
        (Some(holding), _) => {
            let Holding { stage, cause, tries, .. } = holding;
            (format!("{stage} was tried {tries} times: {}", line(cause)), STALLED_AFTER)
        }
        (None, 0) => (format!("{uncommitted} records wait for their commit"), STALLED_AFTER + commit_interval(view)),
        (None, lag) => (format!("{lag} records wait"), STALLED_AFTER),
    };
    let held = last.holding.as_ref().map_or(Duration::ZERO, |holding| Duration::from_millis(holding.since_ms));
    // Before there are two samples, the task's own word has to do.
    let stood = now.monotonic.saturating_sub(*moved_at);
    let stood = if track.previous.is_none() { stood.max(held) } else { stood };
    if last.has_work() && stood >= patience {
        return (Health::Stalled, format!("it has delivered nothing for {} s: {work}", stood.as_secs()));
    }
    if last.holding.is_some() {
        return (Health::Degraded, work);
    }
    if let Some((_, what)) = trouble.filter(|(at, _)| now.monotonic.saturating_sub(*at) < TROUBLE_LASTS) {
        return (Health::Degraded, format!("it delivers, but {what}"));
    }
    let recently = i64::try_from(TROUBLE_LASTS.as_millis()).unwrap_or(i64::MAX);
    if let Some(failure) = view.history.last().filter(|last| now.unix_ms.saturating_sub(last.at_ms) < recently) {
        return (Health::Degraded, format!("it runs again after a failure: {}", line(&failure.cause)));
    }
    if track.is_behind() {
        return (Health::CatchingUp, format!("it delivers, and {} records wait", last.lag()));
    }
    let why = if last.has_work() { "it is at work" } else { "it has nothing to do" };
    (Health::Healthy, why.to_owned())
}

/// How long a task may take to commit what it delivered.
fn commit_interval(view: &TaskView) -> Duration {
    Duration::from_millis(u64::try_from(COMMIT_INTERVAL_MS.integer(&view.config)).unwrap_or(0))
}

/// The first line of a cause: one sentence is asked for.
fn line(cause: &str) -> &str {
    cause.lines().next().unwrap_or_default()
}
