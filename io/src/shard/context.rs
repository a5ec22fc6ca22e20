//! What the tasks of one shard share.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;

use rmqc_core::command::{ShardEvent, TaskSpec};
use rmqc_core::config::connector::is_direct_task;
use rmqc_core::context::Backlog;
use rmqc_core::host::Host;
use rmqc_core::id::{Generation, ShardId, TaskId};
use rmqc_core::metrics::{FailedRecord, Span, Step, TaskCounters, TaskReport, WindowUse};
use rmqc_core::registry::TaskBuilder;
use rmqc_core::tap::TapStage;

use super::failures::Failures;
use super::latency::Latencies;
use super::mailbox::Events;
use super::memory::Memory;
use super::stalls::Stalls;
use super::steps::{Manner, OF_DIRECT, OF_SINK, OF_SOURCE, StepTimes, Steps};
use super::trace::{TaskTraces, Way};
use super::tracer::Tracer;
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
    /// What its steps do with their time.
    pub steps: Rc<Steps>,
    /// How long its records are on their way.
    pub latencies: Rc<Latencies>,
    /// Sources: what the connector says that waits for it.
    pub backlog: Rc<Backlog>,
    /// Its bounds; of what is used of them, the bytes.
    pub window: Cell<WindowUse>,
    /// The last records that failed.
    pub failures: Failures,
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
    pub fn new(spec: &TaskSpec, shard: &ShardContext) -> Self {
        let (task, generation, paused) = (spec.task.clone(), spec.generation, spec.paused);
        let (tap_stages, steps, spans, way): (_, _, &[Span], _) = match spec.factory.build {
            _ if is_direct_task(&spec.config) => (TapStage::OF_DIRECT, OF_DIRECT, &[Span::RecordToPut], Way::Direct),
            TaskBuilder::Source(_) => (TapStage::OF_SOURCE, OF_SOURCE, &[Span::RecordToAck], Way::Source),
            TaskBuilder::Sink(_) => (TapStage::OF_SINK, OF_SINK, &[Span::RecordToPut, Span::StoreToPut], Way::Sink),
        };
        let backlog = Rc::<Backlog>::default();
        let traces = Rc::new(TaskTraces::new(shard.tracer.clone(), task.clone(), shard.shard, way));
        Self {
            task,
            generation,
            wanted: Cell::new(if paused { Wanted::Pause } else { Wanted::Run }),
            changed: Event::default(),
            stored: RefCell::new(None),
            counters: Cell::new(TaskCounters::default()),
            answer_due: Cell::new(!paused),
            steps: Rc::new(Steps::traced(steps, backlog.clone(), shard.step_times.clone(), traces.clone())),
            latencies: Rc::new(Latencies::of(spans)),
            backlog,
            window: Cell::default(),
            failures: Failures::traced(traces),
            troubles: Troubles::default(),
            reading: Rc::default(),
            tap_stages,
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

    /// The task waits for room in its window from now on.
    pub fn blocked(&self) {
        self.steps.enter(Step::Poll, Manner::Blocked);
    }

    /// The task goes on.
    pub fn unblocked(&self) {
        self.steps.leave();
    }

    /// The payload bytes that it holds now.
    pub fn holds_bytes(&self, bytes: u64) {
        self.window.set(WindowUse { bytes, ..self.window.get() });
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

    /// The task's part of a report.
    #[must_use]
    pub fn report(&self) -> TaskReport {
        let now_ms = crate::host::unix_ms();
        // A wait that goes on counts too: the task that stands for good is the one to look at.
        let steps = self.steps.report();
        let counters = TaskCounters { blocked_us: Steps::blocked_us(&steps), ..self.counters.get() };
        let waiting = self.backlog.get();
        let mut window = self.window.get();
        window.records = counters.records_uncommitted;
        window.bytes = window.bytes.max(self.reading.bytes());
        TaskReport {
            counters,
            steps,
            latencies: self.latencies.report(),
            lag_records: self.reading.lag().or(waiting.records),
            lag_ms: self.reading.lag_ms(now_ms).or(waiting.age_ms(now_ms)),
            queues: self.reading.report(now_ms),
            window,
            failed: self.failures.report(),
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
    /// How long the tasks' steps take.
    pub step_times: Rc<StepTimes>,
    /// Chooses the batches that are traced.
    pub tracer: Rc<Tracer>,
    /// Times in which a task did not yield.
    pub stalls: Rc<Stalls>,
    /// What tasks that have ended had to say about records that failed, the last ones only.
    pub left_failures: RefCell<VecDeque<(TaskId, Vec<FailedRecord>)>>,
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

/// Ended tasks whose failed records are kept for their next start.
const LEFT_FAILURES_MAX: usize = 64;

impl ShardContext {
    /// Keeps the failed records of a task that has ended, so that it still tells of them when it runs again here: the one
    /// that stopped it is the one that people ask for.
    pub fn keep_failures(&self, control: &TaskControl) {
        let failed = control.failures.report();
        let mut left = self.left_failures.borrow_mut();
        left.retain(|(task, _)| *task != control.task);
        if !failed.is_empty() {
            left.push_back((control.task.clone(), failed));
        }
        while left.len() > LEFT_FAILURES_MAX {
            left.pop_front();
        }
    }

    /// Hands them to the task's next incarnation.
    pub fn hand_failures_on(&self, control: &TaskControl) {
        let mut left = self.left_failures.borrow_mut();
        if let Some(at) = left.iter().position(|(task, _)| *task == control.task)
            && let Some((_, failed)) = left.remove(at)
        {
            control.failures.go_on_from(failed);
        }
    }

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
