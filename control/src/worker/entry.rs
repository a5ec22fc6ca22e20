//! One task of the table, and what becomes of it when it fails. Pure.

use std::collections::VecDeque;
use std::time::Duration;

use rmqc_core::clock::MonotonicTime;
use rmqc_core::command::FailureKind;
use rmqc_core::config::worker::RestartPolicy;
use rmqc_core::id::{Generation, ShardId};
use rmqc_core::state::TaskState;

use super::history::{History, Then};
use super::{Desired, Now};

/// One task: what is wanted of it and where it stands.
pub(super) struct Entry {
    pub state: TaskState,
    pub desired: Option<Desired>,
    /// What it was last started as.
    pub running: Option<Desired>,
    pub shard: Option<ShardId>,
    pub generation: Generation,
    /// The last pause (true) or resume that was ordered.
    pub asked_pause: bool,
    pub cause: Option<String>,
    /// Starting, Stopping: when to lose patience. Restarting: when to start.
    pub due: Option<MonotonicTime>,
    /// Why it asked to be paused; shown until it is resumed.
    pub held_for: Option<String>,
    /// A stop that was ordered because of this failure.
    pub stopped_for: Option<String>,
    pub restarts: VecDeque<MonotonicTime>,
    /// Restarts after failures since this task is known, whatever budget counted them.
    pub restarts_total: u64,
    /// Starts in a row that failed because something is away.
    pub away: u32,
    /// Somebody asked for it to be started again.
    pub again: bool,
    /// What is wanted now has run since it is wanted.
    pub ran: bool,
    pub history: History,
    pub changed_ms: i64,
    /// Since when it neither runs nor stands still as it should.
    pub down_since_ms: Option<i64>,
}

impl Entry {
    pub fn new(desired: Desired, now: Now) -> Self {
        Self {
            state: TaskState::Unassigned,
            desired: Some(desired),
            running: None,
            shard: None,
            generation: Generation(0),
            asked_pause: false,
            cause: None,
            due: None,
            held_for: None,
            stopped_for: None,
            restarts: VecDeque::new(),
            restarts_total: 0,
            away: 0,
            again: false,
            ran: false,
            history: History::default(),
            changed_ms: now.unix_ms,
            down_since_ms: Some(now.unix_ms),
        }
    }

    /// Goes to another state; an illegal move is our own mistake, told and not made.
    pub fn go(&mut self, to: TaskState, now: Now) {
        match self.state.go(to) {
            Ok(state) => {
                self.state = state;
                self.changed_ms = now.unix_ms;
                if matches!(state, TaskState::Running | TaskState::Paused) {
                    self.down_since_ms = None;
                } else {
                    self.down_since_ms.get_or_insert(now.unix_ms);
                }
            }
            Err(error) => tracing::error!("{error}; the task stays as it is"),
        }
    }

    /// Whether it is on a shard.
    pub fn active(&self) -> bool {
        matches!(self.state, TaskState::Starting | TaskState::Running | TaskState::Paused | TaskState::Stopping)
    }

    /// Whether what runs is what is wanted, pausing aside.
    pub fn right_work(&self) -> bool {
        match (&self.desired, &self.running) {
            (Some(desired), Some(running)) => !self.again && desired.same_work(running),
            _ => false,
        }
    }

    /// It is where it was asked to be; what it waited for is over.
    pub fn arrived(&mut self) {
        self.due = None;
        if self.right_work() {
            self.ran = true;
            self.away = 0;
        }
    }

    /// Whether it waits for someone, or for its next start.
    pub fn failed(&self) -> bool {
        matches!(self.state, TaskState::Failed | TaskState::Restarting)
    }

    /// Makes it start at once if it failed, as if it never had.
    pub fn fresh(&mut self, now: Now) {
        self.restarts.clear();
        self.away = 0;
        if self.failed() {
            self.go(TaskState::Unassigned, now);
            self.due = None;
        }
    }

    /// Decides whether a task that failed starts again: what to tell, and what beside the cause. `chance` is from 0 to 1.
    pub fn after_failure(&mut self, kind: FailureKind, policy: RestartPolicy, chance: f64, now: Now) -> (Then, String) {
        let from = now.monotonic.saturating_sub(policy.window);
        while self.restarts.front().is_some_and(|at| *at < from) {
            self.restarts.pop_front();
        }
        let used = self.restarts.len();
        // A start that finds nobody at the other end is not the task's fault, however often: no budget counts it.
        let waits = kind == FailureKind::Away && self.state == TaskState::Starting && policy.max > 0;
        let pause = if waits {
            self.away = self.away.saturating_add(1);
            backoff(policy, usize::try_from(self.away - 1).unwrap_or(usize::MAX), chance)
        } else if kind != FailureKind::Final && used < usize::try_from(policy.max).unwrap_or(usize::MAX) {
            self.restarts.push_back(now.monotonic);
            backoff(policy, used, chance)
        } else {
            self.go(TaskState::Failed, now);
            let spent = kind != FailureKind::Final && used > 0;
            let seconds = policy.window.as_secs();
            let more = format!(
                "\nstarted again {used} times in the last {seconds} s; not again until the connector is resumed or changed"
            );
            return (Then::StaysFailed, if spent { more } else { String::new() });
        };
        self.due = Some(now.monotonic.saturating_add(pause));
        self.restarts_total = self.restarts_total.saturating_add(1);
        self.go(TaskState::Restarting, now);
        (Then::RestartsIn(u64::try_from(pause.as_millis()).unwrap_or(u64::MAX)), String::new())
    }
}

/// Pause before the restart after `used` earlier ones: doubled each time, up to the longest, a third more or less.
fn backoff(policy: RestartPolicy, used: usize, chance: f64) -> Duration {
    let doublings = u32::try_from(used).unwrap_or(u32::MAX).min(20);
    let whole = policy.backoff.saturating_mul(1 << doublings).min(policy.backoff_max);
    whole.mul_f64(2.0 / 3.0 + chance * 2.0 / 3.0)
}
