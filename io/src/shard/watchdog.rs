//! One thread that looks at every shard each second: is it alive, does it move, must it be replaced?
//!
//! A shard without progress is kicked through its doorbell. An idle one answers and sleeps on; one whose own wake-up
//! got lost goes on, which is counted; one that does not answer is named, and replaced after the stall timeout.

use std::sync::atomic::Ordering;
use std::sync::mpsc::channel;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rmqc_core::command::ShardEvent;
use rmqc_core::id::{Generation, TaskId};
use rmqc_core::limits::SHARD_EVENTS_MAX;

use super::port::{Incarnation, Shared, Slot, SlotState};
use crate::driver::local::ExecutorEnd;

/// Time between two looks, at most.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// Looks in one stall timeout, at least.
const LOOKS_PER_TIMEOUT: u32 = 4;
/// From this on a stall is told.
const STALL_TOLD: Duration = Duration::from_secs(1);
/// How long a shard with news gets before its wake-up counts as lost.
const NEWS_GRACE: Duration = Duration::from_millis(20);
/// Pause before an executor that lived for less is started again.
const RESTART_PAUSE: Duration = Duration::from_secs(1);
/// News that nobody takes, beyond which no shard is replaced.
const NEWS_MAX: usize = 4 * SHARD_EVENTS_MAX;

/// Makes the watchdog look at once.
#[derive(Clone, Default)]
pub(super) struct Alarm {
    raised: Arc<(Mutex<bool>, Condvar)>,
}

impl Alarm {
    pub(super) fn raise(&self) {
        *self.raised.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.raised.1.notify_all();
    }

    fn wait(&self, timeout: Duration) {
        let raised = self.raised.0.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.raised.1.wait_timeout_while(raised, timeout, |raised| !*raised);
        let (mut raised, _) = waited.unwrap_or_else(PoisonError::into_inner);
        *raised = false;
    }
}

/// The watchdog's own notes on one shard.
pub(super) struct Watch {
    /// When it was kicked without an answer yet.
    asked: Option<Instant>,
    /// The kick went to a shard that had news and did not move.
    rescue: bool,
    told: bool,
    launched: Instant,
    /// A replacement that is due: what happened, and the tasks that are gone.
    due: Option<(String, Vec<(TaskId, Generation)>)>,
    next_number: u64,
}

impl Watch {
    pub(super) fn new() -> Self {
        Self { asked: None, rescue: false, told: false, launched: Instant::now(), due: None, next_number: 1 }
    }
}

/// Starts the thread; it ends when all shards are down or the port is dropped.
pub(super) fn start(shared: Arc<Shared>, alarm: Alarm) -> std::io::Result<()> {
    let interval = LOOK_INTERVAL.min(shared.stall_timeout / LOOKS_PER_TIMEOUT).max(NEWS_GRACE);
    std::thread::Builder::new().name("rmqc-watchdog".to_owned()).spawn(move || {
        loop {
            alarm.wait(interval);
            if shared.closing.load(Ordering::SeqCst) {
                return;
            }
            for slot in &shared.slots {
                look(&shared, slot, &alarm, interval);
            }
            shared.event_came.ring();
            if shared.slots.iter().all(|slot| slot.lock().down) {
                return;
            }
        }
    })?;
    Ok(())
}

fn look(shared: &Shared, slot: &Slot, alarm: &Alarm, interval: Duration) {
    let mut state = slot.lock();
    if let Some(end) = state.incarnation.as_ref().and_then(Incarnation::end) {
        bury(shared, slot, &mut state, end);
    } else if state.incarnation.is_some() {
        check_progress(shared, slot, &mut state, interval);
    }
    if state.watch.due.is_some() {
        replace(shared, slot, &mut state, alarm);
    }
}

/// Sees to an executor whose thread is over.
fn bury(shared: &Shared, slot: &Slot, state: &mut SlotState, end: ExecutorEnd) {
    let cause = match end {
        ExecutorEnd::Done if state.shutdown_sent => None,
        ExecutorEnd::Done => Some("its main loop ended without being told to".to_owned()),
        ExecutorEnd::Abandoned => Some("it was abandoned".to_owned()),
        ExecutorEnd::Panicked(message) => Some(format!("panic: {message}")),
        ExecutorEnd::Failed(error) => Some(error),
    };
    if let Some(incarnation) = &mut state.incarnation {
        incarnation.join();
    }
    give_up(shared, slot, state, cause);
}

/// Takes the incarnation out: what it had said is passed on, and what it did not say is said for it.
fn give_up(shared: &Shared, slot: &Slot, state: &mut SlotState, cause: Option<String>) {
    if let Some(incarnation) = state.incarnation.take() {
        incarnation.mailbox.close();
        let mut news = shared.news();
        while let Some(event) = incarnation.mailbox.take_event() {
            state.note(&event);
            news.push_back(event);
        }
    }
    let tasks: Vec<_> = std::mem::take(&mut state.tasks).into_iter().collect();
    if let Some(cause) = cause {
        tracing::error!(shard = %slot.shard, %cause, tasks = %names(&tasks), "the shard is given up, its tasks are gone");
        slot.replaced.fetch_add(1, Ordering::Relaxed);
        if !state.shutdown_sent {
            state.watch.due = Some((cause, tasks));
            return;
        }
        shared.news().push_back(ShardEvent::ShardReplaced { shard: slot.shard, cause, tasks });
    }
    shared.news().push_back(ShardEvent::ShardDown(slot.shard));
    // Last: whoever sees this finds the news.
    state.down = true;
    slot.changed.notify_waiters();
}

fn check_progress(shared: &Shared, slot: &Slot, state: &mut SlotState, interval: Duration) {
    let Some(incarnation) = &state.incarnation else { return };
    let bell = Arc::clone(&incarnation.mailbox.bell);
    let now = Instant::now();
    if bell.progress() != state.seen.0 {
        state.seen = (bell.progress(), now);
        state.watch.asked = None;
        state.watch.told = false;
        if std::mem::take(&mut state.watch.rescue) {
            slot.kicks.fetch_add(1, Ordering::Relaxed);
        }
        return;
    }
    let stalled = now.duration_since(state.seen.1);
    let unanswered = state.watch.asked.is_some_and(|asked| now.duration_since(asked) >= interval / 2);
    if unanswered && stalled >= shared.stall_timeout {
        let cause = format!("no progress for {} ms", stalled.as_millis());
        return give_up(shared, slot, state, Some(cause));
    }
    if unanswered && stalled >= STALL_TOLD && !state.watch.told {
        state.watch.told = true;
        let tasks: Vec<_> = state.tasks.iter().map(|(task, generation)| (task.clone(), *generation)).collect();
        tracing::warn!(shard = %slot.shard, stalled_ms = stalled.as_millis(), tasks = %names(&tasks), "the shard stalls");
    }
    if state.watch.asked.is_none() && bell.has_news() {
        std::thread::sleep(NEWS_GRACE);
        state.watch.rescue = bell.has_news() && bell.progress() == state.seen.0;
    }
    state.watch.asked.get_or_insert(now);
    bell.kick();
}

/// Starts the next executor of that number, then says so.
fn replace(shared: &Shared, slot: &Slot, state: &mut SlotState, alarm: &Alarm) {
    if state.watch.launched.elapsed() < RESTART_PAUSE || shared.news().len() >= NEWS_MAX {
        return;
    }
    state.watch.launched = Instant::now();
    let number = state.watch.next_number;
    // Nobody waits for it to be ready: if it does not come up, it ends, and is replaced in turn.
    let (ready, _) = channel();
    let launch = shared.launch.as_ref();
    match Incarnation::launch(launch, slot.shard, number, slot.cpu, &shared.event_came, alarm, ready) {
        Ok(incarnation) => {
            state.seen = (incarnation.mailbox.bell.progress(), Instant::now());
            state.incarnation = Some(incarnation);
            state.watch.next_number += 1;
            state.watch.asked = None;
            state.watch.told = false;
            state.watch.rescue = false;
        }
        Err(error) => {
            tracing::error!(shard = %slot.shard, %error, "no new executor can be started; trying again");
            return;
        }
    }
    if let Some((cause, tasks)) = state.watch.due.take() {
        shared.news().push_back(ShardEvent::ShardReplaced { shard: slot.shard, cause, tasks });
    }
    slot.changed.notify_waiters();
}

fn names(tasks: &[(TaskId, Generation)]) -> String {
    let names: Vec<String> = tasks.iter().map(|(task, _)| task.to_string()).collect();
    names.join(", ")
}
