//! The consumer of one sink task: its share of queues, what was pulled, how far each queue is done and committed.

pub mod allocate;
pub mod group;
pub mod lock;
pub mod offset;
pub mod pull;
pub mod reading;
pub mod subscription;

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use rmqc_core::error::{ConnectError, Result};
use rmqc_core::id::MessageQueue;
use rmqc_core::position::RecordPartition;

use self::group::{Assignment, GroupSettings, Membership};
use self::lock::{Grant, Locks};
use self::offset::StartFrom;
use self::pull::{Budget, OutOfRange, Pulled, Puller, QueueBuffer};
use self::reading::{QueueReading, Reading};
use self::subscription::Subscription;
use crate::driver::Driver;
use crate::local::{Event, first, join_all};
use crate::remoting::client::Client;
use crate::remoting::route::QueueAddress;
use crate::shard::memory::Share;
use crate::shard::steps::Steps;

/// How a consumer reads.
#[derive(Clone)]
pub struct ConsumerSettings {
    /// Consumer group.
    pub group: Rc<str>,
    /// Topics.
    pub topics: Vec<Arc<str>>,
    /// Which messages of them.
    pub subscription: Subscription,
    /// Where to start in a queue without a committed offset.
    pub start_from: StartFrom,
    /// Policy for an offset outside the queue.
    pub out_of_range: OutOfRange,
    /// Most bytes pulled and not yet put.
    pub buffered_bytes_max: usize,
    /// Read a queue only while its lock is held.
    pub ordered: bool,
    /// What the sink writes behind each value; it is put there in memory.
    pub value_end: Option<u8>,
}

/// One queue that this member reads.
pub struct OwnedQueue {
    /// The queue and its broker.
    pub target: QueueAddress,
    /// Its name as records carry it.
    pub partition: Arc<RecordPartition>,
    /// How far it is read: everything below its `done` is accepted by the sink.
    reading: Rc<QueueReading>,
    /// Everything below is committed at the broker; `None` when the broker has set an offset of its own, or may have
    /// lost what was committed.
    pub committed: Option<i64>,
    buffer: Rc<QueueBuffer>,
    /// The grant of its lock under which it is read; none when locks are not asked for.
    grant: Option<Grant>,
}

/// Longest wait for the farewell to the brokers.
const FAREWELL: Duration = Duration::from_secs(1);

/// The consumer of one sink task.
pub struct Consumer<D> {
    client: Client<D>,
    settings: ConsumerSettings,
    assignment: Rc<Assignment>,
    assignment_seen: u64,
    /// The locks of an ordered consumer that is a member.
    locks: Option<Locks>,
    budget: Budget,
    arrived: Event,
    queues: Vec<OwnedQueue>,
    /// The same, for the task's reports.
    reading: Rc<Reading>,
    /// Where the next look for answers starts, so that every queue has its turn.
    turn: usize,
    member: bool,
    /// Happens when the membership has ended.
    left: Event,
}

/// How far a queue is done: everything below the offset is accepted by the sink.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    /// The queue.
    pub queue: MessageQueue,
    /// The first offset that is not done.
    pub next_offset: i64,
}

/// What one queue has for the sink.
pub struct Taken {
    /// Index into [`Consumer::queues`], valid until the next rebalance.
    pub queue: usize,
    /// What was pulled.
    pub pulled: Pulled,
}

impl<D: Driver> Consumer<D> {
    /// A consumer that is not yet a member; `reading` is told how far it reads, `steps` when its readers have no room.
    #[must_use]
    pub fn new(
        client: Client<D>,
        settings: ConsumerSettings,
        share: Share,
        reading: Rc<Reading>,
        steps: Rc<Steps>,
    ) -> Self {
        let budget = Budget::new(settings.buffered_bytes_max, share, reading.pulled_bytes.clone(), steps);
        Self {
            client,
            settings,
            assignment: Rc::default(),
            assignment_seen: 0,
            locks: None,
            budget,
            arrived: Event::default(),
            queues: Vec::new(),
            reading,
            turn: 0,
            member: false,
            left: Event::default(),
        }
    }

    /// Joins the group; the share of queues arrives later.
    pub fn join(&mut self) {
        if std::mem::replace(&mut self.member, true) {
            return;
        }
        if self.settings.ordered {
            let (client, group) = (self.client.clone(), self.settings.group.clone());
            self.locks = Some(Locks::keep(client, group, self.assignment.changed.clone()));
        }
        let settings = GroupSettings {
            group: self.settings.group.clone(),
            topics: self.settings.topics.clone(),
            subscription: self.settings.subscription.clone(),
            consume_from_where: self.settings.start_from.name(),
        };
        let membership = Membership::new(self.client.clone(), settings, self.assignment.clone(), self.arrived.clone());
        let left = self.left.clone();
        D::spawn(async move {
            membership.run().await;
            left.notify();
        });
    }

    /// Happens when there may be something to take, to rebalance or to report.
    #[must_use]
    pub fn arrived(&self) -> Event {
        self.arrived.clone()
    }

    /// Happens when the share of queues has changed, or a lock on one was gained or lost.
    #[must_use]
    pub fn assignment_changed(&self) -> Event {
        self.assignment.changed.clone()
    }

    /// Marks the queues of brokers that came back as not committed; gives whether there are any.
    pub fn doubt_returned(&mut self) -> bool {
        let returned = std::mem::take(&mut *self.assignment.returned.borrow_mut());
        if let Some(locks) = self.locks.as_ref().filter(|_| !returned.is_empty()) {
            locks.renew();
        }
        let mut doubted = false;
        for owned in self.queues.iter_mut().filter(|owned| returned.contains(&owned.target.address)) {
            owned.committed = None;
            doubted = true;
        }
        doubted
    }

    /// The queues owned now.
    pub fn queues(&self) -> &[OwnedQueue] {
        &self.queues
    }

    /// Whether the share of queues differs from what is owned.
    #[must_use]
    pub fn needs_rebalance(&self) -> bool {
        self.assignment.changed.seen() != self.assignment_seen
    }

    /// Indexes of owned queues that are no longer this member's, or whose locks were lost.
    #[must_use]
    pub fn revoked(&self) -> Vec<usize> {
        let share = self.assignment.queues.borrow();
        let Some(share) = share.as_ref() else { return Vec::new() };
        let keeps = |owned: &OwnedQueue| reads(share, &owned.target.queue) && owned.is_held(self.locks.as_ref());
        let lost = |(index, owned): (usize, &OwnedQueue)| (!keeps(owned)).then_some(index);
        self.queues.iter().enumerate().filter_map(lost).collect()
    }

    /// Takes over the share: drops revoked queues (commit them first) and starts reading new ones.
    ///
    /// # Errors
    /// `Retry::Later` when a broker can't tell where to start; call again.
    pub async fn rebalance(&mut self) -> Result<()> {
        let seen = self.assignment.changed.seen();
        let assigned = self.assignment.queues.borrow().clone();
        let is_known = assigned.is_some();
        let share = assigned.unwrap_or_default();
        let locks = self.locks.as_ref();
        self.queues.retain(|owned| {
            let keep = reads(&share, &owned.target.queue) && owned.is_held(locks);
            if !keep {
                owned.buffer.close(&self.budget);
            }
            keep
        });
        if let Some(locks) = locks {
            // Only now: what was given up has been committed, and is read no more.
            locks.want(share.clone());
        }
        for target in share {
            if self.queues.iter().any(|owned| owned.target.queue == target.queue) {
                continue;
            }
            let grant = self.locks.as_ref().map(|locks| locks.grant(&target.queue));
            if grant == Some(None) {
                // Its turn comes with its lock.
                continue;
            }
            let (client, group) = (&self.client, &self.settings.group);
            let offset = offset::start_offset(client, group, &target, self.settings.start_from).await?;
            self.start_queue(target, offset, grant.flatten());
        }
        self.assignment_seen = seen;
        if is_known {
            self.reading.set(self.queues.iter().map(|owned| owned.reading.clone()).collect());
        }
        Ok(())
    }

    fn start_queue(&mut self, target: QueueAddress, offset: i64, grant: Option<Grant>) {
        let reading = Rc::new(QueueReading::new(target.queue.clone(), offset));
        let buffer = self.start_reader(&target, &reading);
        let partition = queue_partition(&target);
        self.queues.push(OwnedQueue { target, partition, reading, committed: Some(offset), buffer, grant });
    }

    /// Reads a queue from where the sink is done.
    fn start_reader(&self, target: &QueueAddress, reading: &Rc<QueueReading>) -> Rc<QueueBuffer> {
        let offset = reading.done.get();
        let buffer = Rc::new(QueueBuffer {
            ready: RefCell::new(VecDeque::new()),
            failure: RefCell::new(None),
            warnings: RefCell::default(),
            closed: Cell::new(false),
            closing: Event::default(),
            max_offset: Cell::new(offset),
            reading: reading.clone(),
        });
        let puller = Puller {
            client: self.client.clone(),
            target: target.clone(),
            group: self.settings.group.clone(),
            subscription: self.settings.subscription.clone(),
            offset,
            out_of_range: self.settings.out_of_range,
            value_end: self.settings.value_end,
            budget: self.budget.clone(),
            buffer: buffer.clone(),
            arrived: self.arrived.clone(),
        };
        D::spawn(puller.run());
        buffer
    }

    /// Reads a queue anew from where the sink is done: what was taken from it and not put comes again.
    pub fn read_again(&mut self, queue: usize) {
        let Some(owned) = self.queues.get_mut(queue) else { return };
        // An offset that the broker moved is told only once.
        let moved = owned.buffer.ready.borrow().iter().rev().find(|pulled| pulled.moved).map(|p| p.next_offset);
        if let Some(moved) = moved {
            owned.reading.done.set(moved);
            owned.committed = None;
        }
        owned.buffer.close(&self.budget);
        let (target, reading) = (owned.target.clone(), owned.reading.clone());
        let warnings = std::mem::take(&mut *owned.buffer.warnings.borrow_mut());
        let buffer = self.start_reader(&target, &reading);
        buffer.warnings.borrow_mut().extend(warnings);
        if let Some(owned) = self.queues.get_mut(queue) {
            owned.buffer = buffer;
        }
    }

    /// Goes to where the brokers of the owned queues are now; gives whether one has another address. Call only when
    /// everything taken is put.
    pub fn follow_brokers(&mut self) -> bool {
        let share = self.assignment.queues.borrow().clone().unwrap_or_default();
        let mut moved = Vec::new();
        for (index, owned) in self.queues.iter_mut().enumerate() {
            let target = share.iter().find(|target| target.queue == owned.target.queue);
            if let Some(target) = target.filter(|target| target.address != owned.target.address) {
                owned.target.address = target.address.clone();
                owned.committed = None;
                moved.push(index);
            }
        }
        moved.iter().for_each(|queue| self.read_again(*queue));
        !moved.is_empty()
    }

    /// Takes the next answer of some queue, if there is one, or its first `messages_max` messages; every queue has its
    /// turn.
    ///
    /// # Errors
    /// The failure that ended a queue's reader.
    pub fn take(&mut self, messages_max: usize) -> Result<Option<Taken>> {
        for step in 0..self.queues.len() {
            let index = self.turn.wrapping_add(step) % self.queues.len().max(1);
            let Some(owned) = self.queues.get(index).filter(|owned| owned.is_held(self.locks.as_ref())) else {
                continue;
            };
            if let Some(failure) = owned.buffer.failure.borrow_mut().take() {
                return Err(failure);
            }
            if let Some(pulled) = take_front(&mut owned.buffer.ready.borrow_mut(), messages_max) {
                self.turn = index.wrapping_add(1);
                return Ok(Some(Taken { queue: index, pulled }));
            }
        }
        Ok(None)
    }

    /// Things worth telling since the last call.
    #[must_use]
    pub fn take_warnings(&self) -> Vec<String> {
        self.queues.iter().flat_map(|owned| std::mem::take(&mut *owned.buffer.warnings.borrow_mut())).collect()
    }

    /// The sink has accepted everything of `queue` below `next_offset`, the last message of which was stored at `stored_ms`;
    /// `bytes` of the buffer are free again.
    pub fn done(&mut self, queue: usize, next_offset: i64, stored_ms: Option<i64>, bytes: usize) {
        if let Some(owned) = self.queues.get_mut(queue) {
            owned.reading.done.set(next_offset);
            owned.reading.stored_ms.set(stored_ms.or(owned.reading.stored_ms.get()));
        }
        self.budget.give_back(bytes);
    }

    /// The broker sent the group to `next_offset`, and may have committed any offset by itself.
    pub fn moved(&mut self, queue: usize, next_offset: i64) {
        if let Some(owned) = self.queues.get_mut(queue) {
            owned.reading.done.set(next_offset);
            owned.committed = None;
        }
    }

    /// So many bytes of the buffer are free again, though the sink has not taken them.
    pub fn undone(&mut self, bytes: usize) {
        self.budget.give_back(bytes);
    }

    /// How far every queue is done now.
    #[must_use]
    pub fn done_so_far(&self) -> Vec<Done> {
        let done =
            |owned: &OwnedQueue| Done { queue: owned.target.queue.clone(), next_offset: owned.reading.done.get() };
        self.queues.iter().map(done).collect()
    }

    /// Commits how far queues were done when the sink's flush began. Call only after that has returned. A queue that was given
    /// up since, or that the broker has set back, is left out; so is one whose lock was lost: another member may have
    /// committed more.
    ///
    /// # Errors
    /// The first failure; what was committed by then stays so.
    pub async fn commit_done(&mut self, done: &[Done]) -> Result<()> {
        let locks = self.locks.as_ref();
        let commits = done.iter().filter_map(|Done { queue, next_offset }| {
            let owned = self.queues.iter().enumerate().find(|(_, owned)| owned.target.queue == *queue);
            let (index, owned) = owned?;
            let is_set_back = owned.reading.done.get() < *next_offset;
            if owned.committed == Some(*next_offset) || is_set_back || !owned.is_held(locks) {
                return None;
            }
            let (client, group, done) = (&self.client, &self.settings.group, *next_offset);
            Some(async move { (index, done, offset::commit(client, group, &owned.target, done).await) })
        });
        // All at once: one after the other they would cost the sink a round trip a queue.
        let outcomes = join_all(commits).await;
        let mut failure: Option<ConnectError> = None;
        for (index, done, outcome) in outcomes {
            match (outcome, self.queues.get_mut(index)) {
                (Ok(()), Some(owned)) => owned.committed = Some(done),
                (Ok(()), None) => {}
                (Err(error), _) => failure = failure.or(Some(error)),
            }
        }
        failure.map_or(Ok(()), Err)
    }

    /// Stops reading and leaves the group, so that other members take over at once. What was pulled and not done is
    /// dropped; it stays at the broker.
    pub async fn leave(&mut self) {
        for owned in self.queues.drain(..) {
            owned.buffer.close(&self.budget);
        }
        // Before the others hear that there is a share to take over.
        if let Some(locks) = self.locks.take() {
            let _ = first(locks.give_up(), D::sleep(FAREWELL)).await;
        }
        let seen = self.left.seen();
        self.assignment.closed.set(true);
        self.assignment.closing.notify();
        if std::mem::take(&mut self.member) {
            let _ = first(self.left.since(seen), D::sleep(FAREWELL)).await;
        }
    }
}

impl<D> Drop for Consumer<D> {
    /// A consumer that goes without leaving (its task panicked) must not stay a member that reads nothing.
    fn drop(&mut self) {
        for owned in &self.queues {
            owned.buffer.close(&self.budget);
        }
        self.assignment.closed.set(true);
        self.assignment.closing.notify();
    }
}

impl OwnedQueue {
    /// Whether it may be read on: its lock, if locks are asked for, has been held without a break.
    fn is_held(&self, locks: Option<&Locks>) -> bool {
        locks.is_none_or(|locks| locks.grant(&self.target.queue) == self.grant)
    }
}

fn reads(share: &[QueueAddress], queue: &MessageQueue) -> bool {
    share.iter().any(|target| target.queue == *queue)
}

/// The first answer, or the first `messages_max` messages of it. Its bytes count as long as the rest of it is there.
fn take_front(ready: &mut VecDeque<Pulled>, messages_max: usize) -> Option<Pulled> {
    let mut pulled = ready.pop_front()?;
    if let Some(next_offset) = pulled.messages.spans().get(messages_max).map(|message| message.queue_offset) {
        let messages = pulled.messages.split_off(messages_max);
        let Pulled { bytes, next_offset: end, moved, times, .. } = pulled;
        ready.push_front(Pulled { messages, next_offset: end, bytes, moved, times });
        pulled = Pulled { messages: pulled.messages, next_offset, bytes: 0, moved: false, times };
    }
    Some(pulled)
}

impl QueueBuffer {
    /// Ends the reader and frees what it had buffered.
    fn close(&self, budget: &Budget) {
        self.closed.set(true);
        let dropped = std::mem::take(&mut *self.ready.borrow_mut());
        budget.give_back(dropped.iter().map(|pulled| pulled.bytes).sum());
        self.closing.notify();
    }
}

/// A queue as the partition map that the Java runtime gives to sinks: all members are texts.
fn queue_partition(target: &QueueAddress) -> Arc<RecordPartition> {
    use rmqc_core::position::Scalar::Text;
    let queue = &target.queue;
    Arc::new(RecordPartition(
        [
            ("topic".to_owned(), Text(queue.topic.to_string())),
            ("brokerName".to_owned(), Text(queue.broker.to_string())),
            ("queueId".to_owned(), Text(queue.queue_id.to_string())),
        ]
        .into(),
    ))
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;

    use super::*;
    use crate::remoting::message::{MessageParts, put_message};
    use crate::remoting::pulled::PulledMessages;

    fn pulled(offsets: std::ops::Range<i64>, bytes: usize) -> Pulled {
        let mut body = BytesMut::new();
        let next_offset = offsets.end;
        for queue_offset in offsets {
            let message = MessageParts { queue_offset, body: b"x", topic: b"t", ..MessageParts::default() };
            put_message(&mut body, &message);
        }
        Pulled {
            next_offset,
            messages: PulledMessages::read(body, 0, |_, _| true).unwrap(),
            bytes,
            moved: false,
            times: None,
        }
    }

    #[test]
    fn an_answer_larger_than_the_room_is_taken_in_parts() {
        let mut ready = VecDeque::from([pulled(10..15, 500), pulled(15..16, 100)]);
        let mut parts = Vec::new();
        while let Some(part) = take_front(&mut ready, 2) {
            parts.push((part.messages.spans().len(), part.next_offset, part.bytes));
        }
        assert_eq!(parts, [(2, 12, 0), (2, 14, 0), (1, 15, 500), (1, 16, 100)]);
    }
}
