//! A look at a task's records while they pass: what a stage lets see is rendered and kept until a courier of the tap's own
//! takes it to the control plane.
//!
//! Nobody who looks can hold the task up. The task only ever adds to a bounded buffer, and passes on when that is full;
//! the courier never has more than one event of a task in the mailbox. Without a tap a task asks once a batch whether
//! there is one, and nothing else.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rmqc_core::command::ShardEvent;
use rmqc_core::id::TaskId;
use rmqc_core::position::RecordPartition;
use rmqc_core::record::ConnectRecord;
use rmqc_core::tap::show::{self, MessageParts};
use rmqc_core::tap::{TapRecord, TapSpec, TapStage};

use super::messages::Stages;
use crate::driver::Driver;
use crate::local::{Event, first};
use crate::remoting::message::Message;
use crate::remoting::properties::{KEYS, find};
use crate::shard::context::TaskControl;
use crate::shard::mailbox::Events;

/// Records of one stage that wait for the courier.
const WAITING_MAX: u32 = 16;
/// Bytes of all records that wait for the courier; the last one may lead beyond.
const WAITING_BYTES_MAX: usize = 64 * 1024;
/// Most bytes of one text that are shown, whatever was asked for.
const SHOWN_BYTES_MAX: usize = 16 * 1024;
/// Longest life of a tap, whatever was asked for.
const DURATION_MAX: Duration = Duration::from_secs(3600);
/// Pause between two events, in which records gather.
const GATHER: Duration = Duration::from_millis(20);

/// What one stage has let see.
#[derive(Default)]
struct Tally {
    /// Records that passed.
    passed: Cell<u64>,
    /// Of these, those that were shown.
    shown: Cell<u32>,
    /// Of these, those that wait for the courier.
    waiting: Cell<u32>,
}

/// A message on its way to its batch: topic, time, key, body, properties.
type Sent<'m> = (Option<&'m Arc<str>>, Option<i64>, Option<&'m [u8]>, &'m [u8], &'m [u8]);

/// One tap of one task.
pub struct Tap {
    task: TaskId,
    spec: TapSpec,
    /// The stages that are looked at: none when the task has no such stage.
    stages: Vec<TapStage>,
    tallies: [Tally; TapStage::ALL.len()],
    waiting: RefCell<Vec<TapRecord>>,
    waiting_bytes: Cell<usize>,
    until: Instant,
    ended: Cell<bool>,
    /// Happens when there is something to take, and when the tap is to end.
    changed: Event,
}

impl Tap {
    /// A tap on a task with these stages, from now on.
    #[must_use]
    pub fn new(task: TaskId, spec: TapSpec, stages: &[TapStage]) -> Self {
        let duration = Duration::from_millis(spec.duration_ms).min(DURATION_MAX);
        let wanted = |stage: &TapStage| spec.stage.is_none_or(|only| only == *stage);
        let now = Instant::now();
        Self {
            task,
            stages: stages.iter().copied().filter(wanted).collect(),
            spec,
            tallies: Default::default(),
            waiting: RefCell::default(),
            waiting_bytes: Cell::new(0),
            until: now.checked_add(duration).unwrap_or(now),
            ended: Cell::new(false),
            changed: Event::default(),
        }
    }

    /// Most bytes of one text that are shown.
    #[must_use]
    pub fn bytes_max(&self) -> usize {
        self.spec.shown_bytes_max.min(SHOWN_BYTES_MAX)
    }

    /// Lets see what passes a stage at once; `show` renders one of them, or has nothing to show.
    pub fn look<T>(&self, stage: TapStage, passing: &[T], show: impl Fn(&TaskId, usize, &T) -> Option<TapRecord>) {
        if passing.is_empty() || !self.stages.contains(&stage) {
            return;
        }
        let Some(tally) = self.tallies.get(stage as usize) else { return };
        let every = u64::from(self.spec.every.max(1));
        let passed = tally.passed.get();
        tally.passed.set(passed.wrapping_add(passing.len() as u64));
        let skipped = usize::try_from((every - passed % every) % every).unwrap_or(usize::MAX);
        let step = usize::try_from(every).unwrap_or(usize::MAX);
        for one in passing.iter().skip(skipped).step_by(step) {
            if !self.has_room(tally) {
                break;
            }
            if let Some(record) = show(&self.task, self.bytes_max(), one) {
                self.keep(tally, record);
            }
        }
    }

    /// Lets see records as they are.
    pub(super) fn look_at_records(&self, stage: TapStage, records: &[ConnectRecord]) {
        self.look(stage, records, |task, bytes_max, record| Some(show::record(task, stage, record, bytes_max)));
    }

    /// Lets see messages as they were pulled, their bodies expanded.
    pub(super) fn look_at_pulled(&self, topic: &Arc<str>, messages: &[Message]) {
        self.look(TapStage::Pull, messages, |task, bytes_max, message| {
            let body = message.plain_body().unwrap_or_else(|_| message.body.clone());
            let parts = MessageParts {
                topic,
                place: Some((u32::try_from(message.queue_id).unwrap_or(0), message.queue_offset)),
                timestamp_ms: Some(message.born_ms),
                key: find(&message.properties, KEYS),
                body: &body,
                properties: &message.properties,
            };
            Some(show::message(task, TapStage::Pull, &parts, bytes_max))
        });
    }

    /// Lets see messages as records before the chain. They are converted once more for that, so that the way that all
    /// records go has no stop for those who look; those that can't be converted are not seen.
    pub(super) fn look_at_converted(
        &self,
        stages: &Stages,
        topic: &Arc<str>,
        partition: &Arc<RecordPartition>,
        messages: &[Message],
    ) {
        self.look(TapStage::Convert, messages, |task, bytes_max, message| {
            let record = stages.convert(topic, partition, message).ok()?;
            Some(show::record(task, TapStage::Convert, &record, bytes_max))
        });
    }

    /// Lets see a message as it is sent: its topic, time, key, body and properties.
    pub(super) fn look_at_sent(&self, message: Sent<'_>) {
        self.look(TapStage::Send, &[message], |task, bytes_max, (topic, timestamp_ms, key, body, properties)| {
            let parts = MessageParts {
                topic: (*topic)?,
                place: None,
                timestamp_ms: *timestamp_ms,
                key: *key,
                body,
                properties,
            };
            Some(show::message(task, TapStage::Send, &parts, bytes_max))
        });
    }

    fn has_room(&self, tally: &Tally) -> bool {
        tally.shown.get() < self.spec.records_max
            && tally.waiting.get() < WAITING_MAX
            && self.waiting_bytes.get() < WAITING_BYTES_MAX
    }

    fn keep(&self, tally: &Tally, record: TapRecord) {
        tally.shown.set(tally.shown.get().saturating_add(1));
        tally.waiting.set(tally.waiting.get().saturating_add(1));
        self.waiting_bytes.set(self.waiting_bytes.get().saturating_add(record.bytes()));
        let mut waiting = self.waiting.borrow_mut();
        waiting.push(record);
        if waiting.len() == 1 {
            self.changed.notify();
        }
    }

    fn take(&self) -> Vec<TapRecord> {
        self.tallies.iter().for_each(|tally| tally.waiting.set(0));
        self.waiting_bytes.set(0);
        self.waiting.take()
    }

    /// Ends it; the courier says so.
    pub fn end(&self) {
        self.ended.set(true);
        self.changed.notify();
    }

    /// Whether nothing more will be seen.
    fn is_over(&self) -> bool {
        let has_all = |stage: &TapStage| {
            self.tallies.get(*stage as usize).is_none_or(|tally| tally.shown.get() >= self.spec.records_max)
        };
        self.ended.get() || Instant::now() >= self.until || self.stages.iter().all(has_all)
    }
}

/// Takes what a tap has seen to the control plane, until it is over.
pub async fn carry<D: Driver>(tap: Rc<Tap>, control: Rc<TaskControl>, events: Events) {
    loop {
        let seen = tap.changed.seen();
        let over = tap.is_over();
        let has_news = over || !tap.waiting.borrow().is_empty();
        // One event of a task at a time, so that a control plane that is behind is not flooded.
        if has_news && events.taken() >= control.tap_told.get() {
            let event = ShardEvent::Tapped(tap.task.clone(), tap.spec.number, tap.take(), over);
            // Without room in the mailbox these records are not seen; that it is over is told later.
            if events.try_send(event).is_ok() {
                control.tap_told.set(events.sent());
                if over {
                    break;
                }
            }
        }
        if has_news {
            D::sleep(GATHER).await;
        } else {
            let left = tap.until.saturating_duration_since(Instant::now());
            let _ = first(tap.changed.since(seen), D::sleep(left)).await;
        }
    }
    control.forget_tap(&tap);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(stage: Option<TapStage>, every: u32, records_max: u32) -> TapSpec {
        TapSpec { number: 1, stage, every, records_max, shown_bytes_max: 100_000, duration_ms: 60_000 }
    }

    fn tap(spec: TapSpec) -> Tap {
        Tap::new(TaskId::new("c", 0), spec, TapStage::OF_SOURCE)
    }

    fn shown(task: &TaskId, bytes_max: usize, value: &u32) -> Option<TapRecord> {
        Some(TapRecord {
            task: task.clone(),
            stage: TapStage::Poll,
            topic: None,
            place: None,
            position: None,
            timestamp_ms: None,
            key: None,
            value: Some(if *value == 999 { "x".repeat(bytes_max) } else { value.to_string() }),
            schema: String::new(),
            properties: Vec::new(),
            cut: false,
        })
    }

    fn values(tap: &Tap) -> Vec<u32> {
        tap.take().into_iter().map(|record| record.value.unwrap().parse().unwrap()).collect()
    }

    #[test]
    fn every_so_many_th_record_is_seen_across_batches() {
        let tap = tap(spec(Some(TapStage::Poll), 3, 100));
        for batch in [&[0, 1][..], &[2], &[], &[3, 4, 5, 6, 7], &[8, 9, 10]] {
            tap.look(TapStage::Poll, batch, shown);
            tap.look(TapStage::Send, batch, shown);
        }
        assert_eq!(values(&tap), [0, 3, 6, 9]);
        assert!(!tap.is_over());
    }

    #[test]
    fn it_is_over_when_each_stage_has_shown_enough() {
        let tap = tap(spec(None, 1, 2));
        for stage in [TapStage::Poll, TapStage::Transform] {
            tap.look(stage, &[1, 2, 3], shown);
        }
        assert_eq!(values(&tap), [1, 2, 1, 2]);
        assert!(!tap.is_over());
        tap.look(TapStage::Send, &[7, 8], shown);
        assert!(tap.is_over());
        // What the task has no stage for is over at once, and so is what lasts no time.
        assert!(super::Tap::new(TaskId::new("c", 0), spec(Some(TapStage::Pull), 1, 1), TapStage::OF_SOURCE).is_over());
        assert!(super::Tap::new(TaskId::new("c", 0), TapSpec { duration_ms: 0, ..spec(None, 1, 1) }, &[]).is_over());
        let ended = super::Tap::new(TaskId::new("c", 0), spec(None, 1, 1), TapStage::OF_SOURCE);
        ended.end();
        assert!(ended.is_over());
    }

    #[test]
    fn what_nobody_takes_is_bounded() {
        let tap = tap(spec(None, 1, u32::MAX));
        let many: Vec<u32> = (0..500).collect();
        for _ in 0..10 {
            tap.look(TapStage::Poll, &many, shown);
        }
        assert_eq!(values(&tap).len(), WAITING_MAX as usize);
        // After that the next ones are seen again, however many passed.
        tap.look(TapStage::Poll, &[1, 2], shown);
        assert_eq!(values(&tap), [1, 2]);
        tap.look(TapStage::Poll, &[999; 500], shown);
        let bytes: usize = tap.take().iter().map(TapRecord::bytes).sum();
        assert!((WAITING_BYTES_MAX..WAITING_BYTES_MAX + SHOWN_BYTES_MAX).contains(&bytes), "{bytes}");
    }
}
