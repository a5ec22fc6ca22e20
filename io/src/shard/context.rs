//! What the tasks of one shard share.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use hdrhistogram::Histogram;
use rmqc_core::command::{ShardEvent, TaskSpec};
use rmqc_core::config::connector::is_direct_task;
use rmqc_core::host::Host;
use rmqc_core::id::{Generation, ShardId, TaskId};
use rmqc_core::metrics::{Latency, Span, TaskCounters, TaskReport};
use rmqc_core::record::ConnectRecord;
use rmqc_core::registry::TaskBuilder;
use rmqc_core::tap::TapStage;

use super::mailbox::Events;
use super::memory::Memory;
use super::trouble::Troubles;
use crate::consumer::reading::Reading;
use crate::local::Event;
use crate::producer::queue::QueueTurns;
use crate::remoting::connection::Traffic;
use crate::settings::ClusterSettings;
use crate::task::tap::Tap;

/// What a task is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Move records.
    Run,
    /// Stand still.
    Pause,
    /// Drain, commit and close.
    Stop,
}

/// The control plane's answer to a task's positions.
pub type StoredAnswer = Result<(), String>;

/// One task as the shard's loop and the task itself see it.
pub struct TaskControl {
    /// Who.
    pub task: TaskId,
    /// Which incarnation.
    pub generation: Generation,
    /// What it is to do.
    pub wanted: Cell<Wanted>,
    /// Happens when `wanted` changed or an answer of the store arrived.
    pub changed: Event,
    /// The store's answer to the positions under way.
    pub stored: RefCell<Option<StoredAnswer>>,
    /// What it has counted.
    pub counters: Cell<TaskCounters>,
    /// It was told to go on and has not answered yet.
    pub answer_due: Cell<bool>,
    /// Since when it waits for room in its window, while it does.
    pub blocked_since: Cell<Option<Instant>>,
    /// Sinks: time from a record's timestamp to its put having returned, in microseconds.
    pub record_to_put: RefCell<Option<Histogram<u64>>>,
    /// What it waits out.
    pub troubles: Troubles,
    /// Sinks: the queues that it reads, and how far.
    pub reading: Rc<Reading>,
    /// The stages that its records pass.
    pub tap_stages: &'static [TapStage],
    /// Who looks at its records, if anybody does.
    tap: RefCell<Option<Rc<Tap>>>,
    /// The number of the last event about its taps.
    pub tap_told: Cell<u64>,
}

impl TaskControl {
    /// A task that is to start.
    #[must_use]
    pub fn new(task: TaskId, generation: Generation, spec: &TaskSpec) -> Self {
        let paused = spec.paused;
        Self {
            task,
            generation,
            wanted: Cell::new(if paused { Wanted::Pause } else { Wanted::Run }),
            changed: Event::default(),
            stored: RefCell::new(None),
            counters: Cell::new(TaskCounters::default()),
            answer_due: Cell::new(!paused),
            blocked_since: Cell::new(None),
            record_to_put: RefCell::new(None),
            troubles: Troubles::default(),
            reading: Rc::default(),
            tap_stages: match spec.factory.build {
                _ if is_direct_task(&spec.config) => TapStage::OF_DIRECT,
                TaskBuilder::Source(_) => TapStage::OF_SOURCE,
                TaskBuilder::Sink(_) => TapStage::OF_SINK,
            },
            tap: RefCell::new(None),
            tap_told: Cell::new(0),
        }
    }

    /// Tells the task what to do.
    pub fn want(&self, wanted: Wanted) {
        self.wanted.set(wanted);
        self.answer_due.set(wanted == Wanted::Run);
        self.changed.notify();
    }

    /// Hands the store's answer over.
    pub fn answer(&self, answer: StoredAnswer) {
        *self.stored.borrow_mut() = Some(answer);
        self.changed.notify();
    }

    /// Changes the counters.
    pub fn count(&self, change: impl FnOnce(&mut TaskCounters)) {
        let mut counters = self.counters.get();
        change(&mut counters);
        self.counters.set(counters);
    }

    /// The task waits for room from now on.
    pub fn blocked(&self) {
        self.blocked_since.set(Some(Instant::now()));
    }

    /// The task goes on.
    pub fn unblocked(&self) {
        let waited = self.blocked_us();
        self.blocked_since.set(None);
        self.count(|counters| counters.blocked_us = counters.blocked_us.saturating_add(waited));
    }

    fn blocked_us(&self) -> u64 {
        self.blocked_since.get().map_or(0, |since| u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX))
    }

    /// The tap on it, if there is one: the one look a batch that taps cost a task without one.
    #[must_use]
    pub fn tap(&self) -> Option<Rc<Tap>> {
        self.tap.borrow().clone()
    }

    /// Puts a tap in the place of the one before, which ends.
    pub fn set_tap(&self, tap: Option<Rc<Tap>>) {
        let before = self.tap.replace(tap);
        if let Some(before) = before {
            before.end();
        }
    }

    /// Takes a tap that is over off.
    pub fn forget_tap(&self, tap: &Rc<Tap>) {
        let mut present = self.tap.borrow_mut();
        if present.as_ref().is_some_and(|present| Rc::ptr_eq(present, tap)) {
            *present = None;
        }
    }

    /// Records how long each of the records that a sink has just accepted was on its way; those without a time don't
    /// count.
    pub fn record_latency(&self, records: &[ConnectRecord]) {
        let now_ms = crate::host::unix_ms();
        let mut latency = self.record_to_put.borrow_mut();
        let Some(latency) = latency.as_mut() else { return };
        for run in records.chunk_by(|a, b| a.timestamp_ms == b.timestamp_ms) {
            let Some(then_ms) = run.first().and_then(|record| record.timestamp_ms) else { continue };
            let waited_ms = u64::try_from(now_ms.saturating_sub(then_ms)).unwrap_or(0);
            latency.saturating_record_n(waited_ms.saturating_mul(1000), run.len() as u64);
        }
    }

    /// The task's part of a report.
    #[must_use]
    pub fn report(&self) -> TaskReport {
        let mut counters = self.counters.get();
        // A wait that goes on counts too: the task that stands for good is the one to look at.
        counters.blocked_us = counters.blocked_us.saturating_add(self.blocked_us());
        let record_to_put = self.record_to_put.borrow().clone();
        TaskReport {
            counters,
            latencies: record_to_put.map(|micros| Latency { span: Span::RecordToPut, micros }).into_iter().collect(),
            lag_records: self.reading.lag(),
            holding: self.troubles.longest(self.reading.holding()),
            ..TaskReport::new(self.task.clone())
        }
    }
}

/// What the tasks of one shard share.
pub struct ShardContext {
    /// Which shard.
    pub shard: ShardId,
    /// Which executor of this number; part of client ids.
    pub incarnation: u64,
    /// The way to the control plane.
    pub events: Events,
    /// The world outside.
    pub host: Rc<dyn Host>,
    /// The cluster.
    pub cluster: ClusterSettings,
    /// Payload bytes that the tasks hold.
    pub memory: Memory,
    /// Bytes over all connections.
    pub traffic: Rc<Traffic>,
    /// Tells whether this incarnation was given up.
    pub abandoned: Box<dyn Fn() -> bool>,
    /// Turns at queues, by connector.
    pub turns: RefCell<HashMap<Arc<str>, QueueTurns>>,
    /// Clients made so far; part of client ids.
    pub clients: Cell<u32>,
    /// Tells this shard's clients from those of other processes: in containers the process id does not.
    pub nonce: u64,
}

impl ShardContext {
    /// Tells the control plane; waits while it has no room.
    pub async fn tell(&self, event: ShardEvent) {
        self.events.send(event).await;
    }

    /// The turns that the tasks of a connector share.
    #[must_use]
    pub fn turns_of(&self, connector: &Arc<str>) -> QueueTurns {
        self.turns.borrow_mut().entry(connector.clone()).or_default().clone()
    }

    /// A number that no other client of this process has.
    #[must_use]
    pub fn next_client(&self) -> u32 {
        let number = self.clients.get().wrapping_add(1);
        self.clients.set(number);
        let incarnation = u32::try_from(self.incarnation & 0xff).unwrap_or(0);
        (u32::from(self.shard.0) << 24) ^ (incarnation << 16) ^ number
    }
}
