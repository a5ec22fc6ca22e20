//! The port that the control plane talks to: one slot per shard, with the incarnation that runs there and its tasks.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rmqc_core::command::{DataPlaneInfo, SendFuture, ShardCommand, ShardEvent, ShardGone, ShardHealth, ShardPort};
use rmqc_core::id::{Generation, ShardId, TaskId};
use tokio::sync::Notify;

use super::executor::{Launch, Order, launch_and_wait};
use super::mailbox::{EventBell, Mailbox};
use super::watchdog::{self, Alarm, Watch};
use crate::driver::bell::Bell;
use crate::driver::local::ExecutorEnd;
use crate::settings::StartError;

/// One executor and its mailbox.
pub(super) struct Incarnation {
    pub(super) mailbox: Arc<Mailbox>,
    ended: Arc<OnceLock<ExecutorEnd>>,
    thread: Option<JoinHandle<()>>,
}

impl Incarnation {
    /// Starts the thread; `ready` is told when its executor runs.
    pub(super) fn launch(
        launch: &dyn Launch,
        shard: ShardId,
        number: u64,
        cpu: Option<usize>,
        event_came: &Arc<EventBell>,
        alarm: &Alarm,
        ready: Sender<()>,
    ) -> std::io::Result<Self> {
        let (bell, doorbell) = Bell::new()?;
        let (mailbox, seeds) = Mailbox::new(bell, Arc::clone(event_came));
        let ended = Arc::new(OnceLock::new());
        let (told, alarm) = (Arc::clone(&ended), alarm.clone());
        let order = Order {
            shard,
            incarnation: number,
            cpu,
            mailbox: Arc::clone(&mailbox),
            seeds,
            doorbell,
            ready,
            ended: Box::new(move |end| {
                let _ = told.set(end);
                alarm.raise();
            }),
        };
        let thread = Some(launch.launch(order)?);
        Ok(Self { mailbox, ended, thread })
    }

    /// How it ended, if it has.
    pub(super) fn end(&self) -> Option<ExecutorEnd> {
        self.ended.get().cloned()
    }

    /// Waits for a thread that has ended but for its last instructions.
    pub(super) fn join(&mut self) {
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// One shard's place in the port.
pub(super) struct Slot {
    pub(super) shard: ShardId,
    pub(super) cpu: Option<usize>,
    pub(super) state: Mutex<SlotState>,
    pub(super) kicks: AtomicU64,
    pub(super) replaced: AtomicU64,
    /// Told when another incarnation runs, or the shard is down.
    pub(super) changed: Notify,
}

pub(super) struct SlotState {
    /// The incarnation that runs; none while a new one can't be started, and after the shard is down.
    pub(super) incarnation: Option<Incarnation>,
    pub(super) tasks: BTreeMap<TaskId, Generation>,
    pub(super) shutdown_sent: bool,
    pub(super) down: bool,
    /// Progress at the watchdog's last look, and when it was last seen to change.
    pub(super) seen: (u64, Instant),
    /// What the watchdog is about here.
    pub(super) watch: Watch,
}

impl SlotState {
    /// Keeps the table of tasks true to an event that passes.
    pub(super) fn note(&mut self, event: &ShardEvent) {
        if let ShardEvent::TaskStopped(task, generation) | ShardEvent::TaskFailed { task, generation, .. } = event
            && self.tasks.get(task) == Some(generation)
        {
            self.tasks.remove(task);
        }
    }
}

impl Slot {
    pub(super) fn lock(&self) -> MutexGuard<'_, SlotState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends a command if there is room; gives it back, with the mailbox that is full, if not.
    fn try_send(&self, command: ShardCommand) -> Result<(), Refused> {
        let mut state = self.lock();
        if state.down {
            return Err(Refused::Gone);
        }
        let Some(incarnation) = &state.incarnation else { return Err(Refused::Full(Box::new(command), None)) };
        let mailbox = Arc::clone(&incarnation.mailbox);
        let started = match &command {
            ShardCommand::StartTask(spec) => Some((spec.task.clone(), spec.generation)),
            _ => None,
        };
        let is_shutdown = matches!(command, ShardCommand::Shutdown);
        if let Err(command) = mailbox.try_send(command) {
            return Err(Refused::Full(Box::new(command), Some(mailbox)));
        }
        // Under the lock, so that the answer, which also takes it, can't come before the entry.
        state.tasks.extend(started);
        state.shutdown_sent |= is_shutdown;
        Ok(())
    }
}

/// Waits until the mailbox has room, or the shard has another mailbox, or it is down.
async fn wait_for_room(slot: &Slot, full: Option<Arc<Mailbox>>) {
    if let Some(mailbox) = full {
        return mailbox.wait_for_room().room().await;
    }
    let changed = slot.changed.notified();
    tokio::pin!(changed);
    // Registered before the last look, because only those who are get told.
    changed.as_mut().enable();
    let still_empty = {
        let state = slot.lock();
        state.incarnation.is_none() && !state.down
    };
    if still_empty {
        changed.await;
    }
}

enum Refused {
    Gone,
    Full(Box<ShardCommand>, Option<Arc<Mailbox>>),
}

/// What the port and the watchdog share.
pub(super) struct Shared {
    pub(super) slots: Vec<Slot>,
    pub(super) launch: Arc<dyn Launch>,
    pub(super) event_came: Arc<EventBell>,
    pub(super) stall_timeout: Duration,
    /// Events about shards, and the last ones of incarnations that are gone; before those of the shards.
    pub(super) news: Mutex<VecDeque<ShardEvent>>,
    pub(super) closing: std::sync::atomic::AtomicBool,
}

impl Shared {
    pub(super) fn news(&self) -> MutexGuard<'_, VecDeque<ShardEvent>> {
        self.news.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The running data plane. Dropping it abandons the shards; stop them by `Shutdown` first.
pub(super) struct DataPlane {
    info: DataPlaneInfo,
    shared: Arc<Shared>,
    alarm: Alarm,
    /// The shard whose events are looked at first, so that none is favoured.
    first: AtomicUsize,
}

impl DataPlane {
    pub(super) fn start(
        info: DataPlaneInfo,
        stall_timeout: Duration,
        launch: Arc<dyn Launch>,
    ) -> Result<Self, StartError> {
        let event_came = Arc::new(EventBell::default());
        let alarm = Alarm::default();
        let mut slots: Vec<Slot> = Vec::new();
        for number in 0..info.shards {
            let shard = ShardId(u16::try_from(number).unwrap_or(u16::MAX));
            let cpu = info.cpus.get(number).copied();
            match launch_and_wait(launch.as_ref(), shard, cpu, &event_came, &alarm) {
                Ok(incarnation) => slots.push(new_slot(shard, cpu, incarnation)),
                Err(error) => {
                    slots.iter().for_each(abandon);
                    return Err(error);
                }
            }
        }
        let shared = Arc::new(Shared {
            slots,
            launch,
            event_came,
            stall_timeout,
            news: Mutex::new(VecDeque::new()),
            closing: std::sync::atomic::AtomicBool::new(false),
        });
        let plane = Self { info, shared, alarm, first: AtomicUsize::new(0) };
        watchdog::start(Arc::clone(&plane.shared), plane.alarm.clone()).map_err(|error| {
            StartError::new(format!("the watchdog does not start: {error}"), "check the limit of threads")
        })?;
        Ok(plane)
    }

    fn take_event(&self) -> Option<ShardEvent> {
        if let Some(event) = self.shared.news().pop_front() {
            return Some(event);
        }
        let slots = &self.shared.slots;
        let first = self.first.fetch_add(1, Ordering::Relaxed) % slots.len().max(1);
        let (before, after) = slots.split_at(first);
        after.iter().chain(before).find_map(|slot| {
            let mut state = slot.lock();
            let event = state.incarnation.as_ref()?.mailbox.take_event()?;
            state.note(&event);
            Some(event)
        })
    }

    fn all_down(&self) -> bool {
        self.shared.slots.iter().all(|slot| slot.lock().down)
    }
}

fn new_slot(shard: ShardId, cpu: Option<usize>, incarnation: Incarnation) -> Slot {
    let seen = (incarnation.mailbox.bell.progress(), Instant::now());
    let state = SlotState {
        incarnation: Some(incarnation),
        tasks: BTreeMap::new(),
        shutdown_sent: false,
        down: false,
        seen,
        watch: Watch::new(),
    };
    Slot {
        shard,
        cpu,
        state: Mutex::new(state),
        kicks: AtomicU64::new(0),
        replaced: AtomicU64::new(0),
        changed: Notify::new(),
    }
}

fn abandon(slot: &Slot) {
    if let Some(incarnation) = &slot.lock().incarnation {
        incarnation.mailbox.close();
    }
}

impl Drop for DataPlane {
    fn drop(&mut self) {
        self.shared.closing.store(true, Ordering::SeqCst);
        self.shared.slots.iter().for_each(abandon);
        self.alarm.raise();
    }
}

impl ShardPort for DataPlane {
    fn info(&self) -> &DataPlaneInfo {
        &self.info
    }

    fn health(&self) -> Vec<ShardHealth> {
        let of = |slot: &Slot| {
            let state = slot.lock();
            let mailbox = state.incarnation.as_ref().map(|incarnation| &incarnation.mailbox);
            let progress = mailbox.map_or(0, |mailbox| mailbox.bell.progress());
            let (seen, at) = state.seen;
            ShardHealth {
                shard: slot.shard,
                progress,
                since_progress: if progress == seen { at.elapsed() } else { Duration::ZERO },
                kicks: slot.kicks.load(Ordering::Relaxed),
                replaced: slot.replaced.load(Ordering::Relaxed),
                commands_waiting: mailbox.map_or(0, |mailbox| mailbox.commands_waiting()),
            }
        };
        self.shared.slots.iter().map(of).collect()
    }

    fn send(&self, shard: ShardId, command: ShardCommand) -> SendFuture<'_, Result<(), ShardGone>> {
        Box::pin(async move {
            let slot = self.shared.slots.get(shard.index()).ok_or(ShardGone(shard))?;
            let mut command = command;
            loop {
                match slot.try_send(command) {
                    Ok(()) => return Ok(()),
                    Err(Refused::Gone) => return Err(ShardGone(shard)),
                    Err(Refused::Full(back, full)) => {
                        command = *back;
                        wait_for_room(slot, full).await;
                    }
                }
            }
        })
    }

    fn next_event(&self) -> SendFuture<'_, Option<ShardEvent>> {
        Box::pin(async move {
            loop {
                if let Some(event) = self.take_event() {
                    return Some(event);
                }
                // Down is said before the last event is queued away, so ask first, then look once more.
                let ended = self.all_down();
                self.shared.event_came.arm();
                match self.take_event() {
                    Some(event) => return Some(event),
                    None if ended => return None,
                    None => self.shared.event_came.wait().await,
                }
            }
        })
    }
}
