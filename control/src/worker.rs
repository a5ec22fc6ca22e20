//! The tasks of this worker: what is wanted of each, where it stands, and the next order to its shard. Pure steps: time
//! comes in, orders go out; nothing is sent or awaited here.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use rmqc_core::clock::MonotonicTime;
use rmqc_core::command::FailureKind;
use rmqc_core::config::Properties;
use rmqc_core::config::worker::RestartPolicy;
use rmqc_core::id::{Generation, ShardId, TaskId};
use rmqc_core::registry::ConnectorFactory;
use rmqc_core::state::TaskState;

use crate::placement::{Load, place};

mod entry;
mod history;
#[cfg(test)]
mod tests;

use entry::Entry;
pub(crate) use history::cut;
pub use history::{CAUSE_BYTES_MAX, FAILURES_MAX, TaskFailure, Then};

/// The time of a step.
#[derive(Clone, Copy, Debug, Default)]
pub struct Now {
    /// For deadlines.
    pub monotonic: MonotonicTime,
    /// For people: milliseconds since 1970.
    pub unix_ms: i64,
}

/// What a task shall be.
#[derive(Clone)]
pub struct Desired {
    /// What to build.
    pub factory: &'static ConnectorFactory,
    /// Its full configuration.
    pub config: Arc<Properties>,
    /// Stand still.
    pub paused: bool,
    /// Stay on one shard with the connector's other tasks.
    pub ordered: bool,
}

impl Desired {
    /// Whether a task that runs as `other` need not be stopped to become this.
    fn same_work(&self, other: &Self) -> bool {
        std::ptr::eq(self.factory, other.factory) && self.config == other.config && self.ordered == other.ordered
    }
}

/// An order to a task's shard.
pub enum Order {
    /// Build and start it as it is wanted now.
    Start(Desired),
    /// Stand still.
    Pause,
    /// Go on.
    Resume,
    /// Drain and close.
    Stop,
}

/// An order with its address.
pub struct Outgoing {
    /// To which shard.
    pub shard: ShardId,
    /// Which task.
    pub task: TaskId,
    /// Which incarnation.
    pub generation: Generation,
    /// What to do.
    pub order: Order,
}

/// What a shard said about a task.
#[derive(Clone, Debug)]
pub enum Heard {
    /// It moves records.
    Running,
    /// It stands still.
    Paused,
    /// It is closed, all committed.
    Stopped,
    /// It is closed because of an error.
    Failed {
        /// The cause.
        cause: String,
        /// Whether starting it again may help.
        kind: FailureKind,
    },
}

/// Deadlines and the restart budget.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// A start may take so long.
    pub start: Duration,
    /// A stop may take so long before it is called overdue.
    pub stop: Duration,
    /// Restarts of failed tasks.
    pub restart: RestartPolicy,
}

/// A task as others may see it.
#[derive(Clone)]
pub struct TaskView {
    /// Who.
    pub task: TaskId,
    /// Where it stands.
    pub state: TaskState,
    /// Why it failed, or what it waits for.
    pub cause: Option<String>,
    /// Its shard, while it has one.
    pub shard: Option<ShardId>,
    /// Its configuration: the running one, else the wanted one.
    pub config: Arc<Properties>,
    /// Restarts within the present window.
    pub restarts: usize,
    /// Restarts after failures since the task is known to this process.
    pub restarts_total: u64,
    /// When its state last changed, in milliseconds since 1970.
    pub changed_ms: i64,
    /// Whether it is on its way out: its connector was deleted, stopped or changed.
    pub leaving: bool,
    /// Its last failures, the oldest first; at most [`FAILURES_MAX`].
    pub history: Vec<TaskFailure>,
    /// Since when it neither runs nor is paused, in milliseconds since 1970; none while it does.
    pub down_since_ms: Option<i64>,
}

/// All tasks of this worker.
pub struct TaskTable {
    entries: BTreeMap<TaskId, Entry>,
    shards: usize,
    patience: Patience,
    random: u64,
    last_generation: u64,
    /// Connectors of which a task failed before what is wanted of it had ever run, with the cause.
    failed_starts: BTreeMap<Arc<str>, String>,
    /// Something changed since the last step.
    changed: bool,
    /// The earliest due time, as of the last step.
    due: Option<MonotonicTime>,
}

impl TaskTable {
    /// An empty table for so many shards. `seed` feeds the jitter of the back-off.
    #[must_use]
    pub fn new(shards: usize, patience: Patience, seed: u64) -> Self {
        Self {
            entries: BTreeMap::new(),
            shards,
            patience,
            random: seed,
            last_generation: 0,
            failed_starts: BTreeMap::new(),
            changed: false,
            due: None,
        }
    }

    /// What a connector's tasks shall be; tasks beyond the list shall not be. Failed tasks get a fresh start.
    pub fn want(&mut self, connector: &str, desired: Vec<Desired>, now: Now) {
        self.changed = true;
        let name: Arc<str> = Arc::from(connector);
        let mut wanted = BTreeMap::new();
        for (index, one) in (0u32..).zip(desired) {
            wanted.insert(TaskId::new(Arc::clone(&name), index), one);
        }
        self.failed_starts.remove(&name);
        for (task, entry) in self.entries.range_mut(tasks_of(&name)) {
            let desired = wanted.remove(task);
            let same = matches!((&desired, &entry.desired), (Some(new), Some(old)) if new.same_work(old));
            entry.ran &= same;
            entry.desired = desired;
            entry.held_for = None;
            if entry.failed() {
                entry.cause = None;
            }
            entry.fresh(now);
        }
        for (task, one) in wanted {
            self.entries.insert(task, Entry::new(one, now));
        }
    }

    /// Pauses a connector's tasks or lets them go on. Going on also starts failed tasks again, with a fresh budget.
    pub fn pause(&mut self, connector: &str, paused: bool, now: Now) {
        self.changed = true;
        for (_, entry) in self.entries.range_mut(tasks_of(&Arc::from(connector))) {
            if let Some(desired) = &mut entry.desired {
                desired.paused = paused;
            }
            if !paused {
                entry.held_for = None;
                if entry.failed() {
                    entry.fresh(now);
                }
            }
        }
    }

    /// Starts tasks of a connector again with a fresh budget: one of them or all, or only those that failed. What runs
    /// drains first. Gives their number.
    pub fn restart(&mut self, connector: &str, index: Option<u32>, only_failed: bool, now: Now) -> usize {
        self.changed = true;
        let mut count = 0;
        for (task, entry) in self.entries.range_mut(tasks_of(&Arc::from(connector))) {
            let meant = entry.desired.is_some() && index.is_none_or(|index| index == task.index);
            if !meant || (only_failed && !entry.failed()) {
                continue;
            }
            count += 1;
            entry.again = entry.active();
            entry.fresh(now);
        }
        count
    }

    /// Connectors of which a task failed before what is wanted of it had ever run, each with the first cause. They are
    /// told once.
    pub fn take_failed_starts(&mut self) -> BTreeMap<Arc<str>, String> {
        std::mem::take(&mut self.failed_starts)
    }

    /// Whether all tasks that are wanted of a connector have run as they are wanted; false if none is wanted.
    #[must_use]
    pub fn has_run(&self, connector: &str) -> bool {
        let name = Arc::from(connector);
        let wanted = || self.entries.range(tasks_of(&name)).filter(|(_, entry)| entry.desired.is_some());
        wanted().next().is_some() && wanted().all(|(_, entry)| entry.ran)
    }

    /// The last failure of each task that never ran as it is wanted is the reason for going back to what was before.
    pub fn mark_rolled_back(&mut self, connector: &str) {
        for (_, entry) in self.entries.range_mut(tasks_of(&Arc::from(connector))) {
            if entry.failed() && !entry.ran {
                entry.history.amend(Then::RolledBack);
            }
        }
    }

    /// Whether a task of that connector is on any shard, wanted or not.
    #[must_use]
    pub fn is_active(&self, connector: &str) -> bool {
        self.entries.range(tasks_of(&Arc::from(connector))).any(|(_, entry)| entry.active())
    }

    /// A task asks for its connector to be paused, for this cause. Gives whether anybody should listen.
    pub fn hold(&mut self, task: &TaskId, generation: Generation, cause: String) -> bool {
        if !self.is_current(task, generation) {
            return false;
        }
        if let Some(entry) = self.entries.get_mut(task) {
            entry.held_for = Some(cause);
        }
        true
    }

    /// From now on nothing is wanted any more: all tasks drain and end.
    pub fn halt(&mut self) {
        self.changed = true;
        for entry in self.entries.values_mut() {
            entry.desired = None;
        }
    }

    /// Whether no task is on any shard.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        !self.entries.values().any(Entry::active)
    }

    /// Names of the tasks that are still on a shard.
    #[must_use]
    pub fn active(&self) -> Vec<String> {
        self.entries.iter().filter(|(_, entry)| entry.active()).map(|(task, _)| task.to_string()).collect()
    }

    /// Whether an event of that incarnation is worth looking at.
    #[must_use]
    pub fn is_current(&self, task: &TaskId, generation: Generation) -> bool {
        self.entries.get(task).is_some_and(|entry| entry.generation == generation && entry.active())
    }

    /// The shard that a task is on.
    #[must_use]
    pub fn shard_of(&self, task: &TaskId) -> Option<ShardId> {
        self.entries.get(task).and_then(|entry| entry.shard)
    }

    /// What a task runs as, or was last started as.
    #[must_use]
    pub fn running(&self, task: &TaskId) -> Option<&Desired> {
        self.entries.get(task).and_then(|entry| entry.running.as_ref())
    }

    /// A connector's tasks that move records now, and where they are.
    #[must_use]
    pub fn moving(&self, connector: &str) -> Vec<(TaskId, Generation, ShardId)> {
        let own = self.entries.iter().filter(|(task, entry)| {
            *task.connector == *connector && entry.state == TaskState::Running && entry.desired.is_some()
        });
        own.filter_map(|(task, entry)| Some((task.clone(), entry.generation, entry.shard?))).collect()
    }

    /// Takes in what a shard said. Older incarnations are not listened to.
    pub fn hear(&mut self, task: &TaskId, generation: Generation, heard: Heard, now: Now) {
        if !self.is_current(task, generation) {
            return;
        }
        self.changed = true;
        let Some(entry) = self.entries.get_mut(task) else { return };
        match heard {
            Heard::Running if matches!(entry.state, TaskState::Starting | TaskState::Paused) => {
                entry.go(TaskState::Running, now);
                entry.arrived();
                entry.cause = None;
            }
            Heard::Paused if matches!(entry.state, TaskState::Starting | TaskState::Running) => {
                entry.go(TaskState::Paused, now);
                entry.arrived();
                entry.cause = entry.held_for.clone();
            }
            // A stop is under way, or nothing changed.
            Heard::Running | Heard::Paused => {}
            Heard::Stopped => match entry.stopped_for.take() {
                Some(cause) => self.fail(task, cause, FailureKind::Fault, now),
                None => {
                    if entry.state != TaskState::Stopping {
                        entry.go(TaskState::Stopping, now);
                    }
                    entry.go(TaskState::Unassigned, now);
                    (entry.shard, entry.due, entry.cause) = (None, None, None);
                }
            },
            Heard::Failed { cause, kind } => {
                let cause = entry.stopped_for.take().unwrap_or(cause);
                self.fail(task, cause, kind, now);
            }
        }
    }

    /// A shard is gone with all its tasks; a new one of that number is there.
    pub fn shard_replaced(&mut self, shard: ShardId, cause: &str, now: Now) {
        self.changed = true;
        let lost: Vec<_> = self
            .entries
            .iter()
            .filter(|(_, entry)| entry.shard == Some(shard) && entry.active())
            .map(|(task, _)| task.clone())
            .collect();
        for task in lost {
            self.fail(&task, format!("{shard} was replaced: {cause}"), FailureKind::Fault, now);
        }
    }

    /// The task is closed because of `cause`: decides whether it starts again, and when.
    fn fail(&mut self, task: &TaskId, cause: String, kind: FailureKind, now: Now) {
        let policy = self.patience.restart;
        let chance = self.chance();
        let Some(entry) = self.entries.get_mut(task) else { return };
        (entry.shard, entry.due, entry.stopped_for) = (None, None, None);
        if !entry.right_work() {
            // It is not wanted any more, or wanted otherwise: the failure is of no interest.
            entry.go(TaskState::Failed, now);
            entry.go(TaskState::Unassigned, now);
            entry.cause = None;
            return;
        }
        let (then, more) = entry.after_failure(kind, policy, chance, now);
        entry.history.push(now.unix_ms, &cause, then);
        if !entry.ran {
            self.failed_starts.entry(Arc::clone(&task.connector)).or_insert_with(|| cause.clone());
        }
        entry.cause = Some(cause + &more);
    }

    /// A number from 0 to 1.
    fn chance(&mut self) -> f64 {
        // splitmix64: enough to spread restarts, and the same seed gives the same steps.
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let top = u32::try_from((mixed ^ (mixed >> 31)) >> 32).unwrap_or(0);
        f64::from(top) / f64::from(u32::MAX)
    }

    /// Brings every task one order nearer to what is wanted. Call after each change and at [`TaskTable::next_due`].
    pub fn step(&mut self, now: Now) -> Vec<Outgoing> {
        let mut outgoing = Vec::new();
        // Most calls come with nothing to do: positions and reports change no task.
        if !self.changed && self.due.is_none_or(|due| due > now.monotonic) {
            return outgoing;
        }
        let tasks: Vec<TaskId> = self.entries.keys().cloned().collect();
        for task in tasks {
            self.lose_patience(&task, now);
            let Some(entry) = self.entries.get(&task) else { continue };
            match entry.state {
                TaskState::Unassigned | TaskState::Failed | TaskState::Restarting if entry.desired.is_none() => {
                    self.entries.remove(&task);
                }
                TaskState::Unassigned => outgoing.extend(self.start(&task, now)),
                TaskState::Restarting if entry.due.is_none_or(|due| due <= now.monotonic) => {
                    outgoing.extend(self.start(&task, now));
                }
                TaskState::Starting | TaskState::Running | TaskState::Paused => outgoing.extend(self.steer(&task, now)),
                TaskState::Restarting | TaskState::Failed | TaskState::Stopping => {}
            }
        }
        self.changed = false;
        self.due = self.earliest_due();
        outgoing
    }

    /// Deals with a start or stop that takes too long.
    fn lose_patience(&mut self, task: &TaskId, now: Now) {
        let patience = self.patience;
        let Some(entry) = self.entries.get_mut(task) else { return };
        if entry.due.is_none_or(|due| due > now.monotonic) {
            return;
        }
        match entry.state {
            TaskState::Starting => {
                entry.due = None;
                entry.stopped_for = Some(format!("did not start within {} ms", patience.start.as_millis()));
            }
            TaskState::Stopping => {
                entry.due = None;
                match entry.stopped_for.take() {
                    // It never said that it started, nor does it say that it stopped: its shard does not know it.
                    Some(cause) => self.fail(task, cause, FailureKind::Fault, now),
                    // Not started again before it ended: two incarnations would both move its records.
                    None => {
                        let cause = format!("did not stop within {} ms", patience.stop.as_millis());
                        tracing::warn!("{task} {cause}");
                        entry.cause = Some(cause);
                    }
                }
            }
            _ => {}
        }
    }

    fn start(&mut self, task: &TaskId, now: Now) -> Option<Outgoing> {
        let mut loads = vec![Load::default(); self.shards];
        let mut home = None;
        for (other, entry) in self.entries.iter().filter(|(_, entry)| entry.active()) {
            let Some(shard) = entry.shard else { continue };
            let sibling = other.connector == task.connector;
            if let Some(load) = loads.get_mut(shard.index()) {
                load.tasks += 1;
                load.siblings += usize::from(sibling);
            }
            if sibling {
                home = Some(shard);
            }
        }
        let entry = self.entries.get_mut(task)?;
        let desired = entry.desired.clone()?;
        let Some(shard) = place(&loads, home.filter(|_| desired.ordered)) else {
            entry.cause = Some("waits for room: the shards have as many tasks as they can take".to_owned());
            return None;
        };
        self.last_generation += 1;
        entry.generation = Generation(self.last_generation);
        entry.shard = Some(shard);
        entry.running = Some(desired.clone());
        entry.asked_pause = desired.paused;
        entry.again = false;
        entry.due = Some(now.monotonic.saturating_add(self.patience.start));
        // The old cause stays to be read until the task runs.
        entry.go(TaskState::Starting, now);
        Some(Outgoing { shard, task: task.clone(), generation: entry.generation, order: Order::Start(desired) })
    }

    /// A task that is on a shard: stop, pause or resume it, or leave it be.
    fn steer(&mut self, task: &TaskId, now: Now) -> Option<Outgoing> {
        let stop = self.patience.stop;
        let entry = self.entries.get_mut(task)?;
        let shard = entry.shard?;
        let paused = entry.desired.as_ref().is_some_and(|desired| desired.paused);
        let order = if !entry.right_work() || entry.stopped_for.is_some() {
            entry.go(TaskState::Stopping, now);
            entry.due = Some(now.monotonic.saturating_add(stop));
            Order::Stop
        } else if entry.state == TaskState::Running && paused && !entry.asked_pause {
            entry.asked_pause = true;
            Order::Pause
        } else if entry.state == TaskState::Paused && !paused && entry.asked_pause {
            entry.asked_pause = false;
            Order::Resume
        } else {
            return None;
        };
        Some(Outgoing { shard, task: task.clone(), generation: entry.generation, order })
    }

    /// When [`TaskTable::step`] has something to do though nothing was heard.
    #[must_use]
    pub fn next_due(&self) -> Option<MonotonicTime> {
        if self.changed { self.earliest_due() } else { self.due }
    }

    fn earliest_due(&self) -> Option<MonotonicTime> {
        self.entries.values().filter_map(|entry| entry.due).min()
    }

    /// All tasks, in order.
    #[must_use]
    pub fn view(&self) -> Vec<TaskView> {
        let one = |(task, entry): (&TaskId, &Entry)| {
            let shown =
                entry.running.as_ref().filter(|_| entry.active()).or(entry.desired.as_ref()).or(entry.running.as_ref());
            TaskView {
                task: task.clone(),
                state: entry.state,
                cause: entry.cause.clone(),
                shard: entry.shard,
                config: shown.map(|one| Arc::clone(&one.config)).unwrap_or_default(),
                restarts: entry.restarts.len(),
                restarts_total: entry.restarts_total,
                changed_ms: entry.changed_ms,
                leaving: entry.desired.is_none(),
                history: entry.history.to_vec(),
                down_since_ms: entry.down_since_ms,
            }
        };
        self.entries.iter().map(one).collect()
    }
}

/// The ids of all tasks that a connector can have.
fn tasks_of(connector: &Arc<str>) -> (Bound<TaskId>, Bound<TaskId>) {
    let end = |index| Bound::Included(TaskId::new(Arc::clone(connector), index));
    (end(0), end(u32::MAX))
}
