//! Locks on queues, for sinks that must keep an order: while a member holds a queue's lock at the broker, no other member
//! of the group that asks for it reads that queue, so that two never put records of one queue at the same time.
//!
//! A lock lasts 60 s at the broker from the last request that asked for it. Here it counts for less, from the moment at
//! which that request was sent, so that we stop before another member may begin, whatever the network did.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rmqc_core::id::MessageQueue;
use serde::Deserialize;
use serde_json::json;

use crate::driver::Driver;
use crate::local::{Event, first, join_all};
use crate::remoting::client::Client;
use crate::remoting::code::request;
use crate::remoting::connection::{CallError, Request};
use crate::remoting::route::QueueAddress;

/// A lock counts for so long after the request for it was sent: what brokers give, less a margin for a put under way.
const VALID: Duration = Duration::from_secs(50);
/// Time between renewals, as the Java client has it.
const RENEW: Duration = Duration::from_secs(20);
/// Time until a lock that another member holds, or a broker that did not answer, is asked for again.
const AGAIN: Duration = Duration::from_millis(500);
/// Longest time that the farewell to one broker takes.
const UNLOCK_TIMEOUT: Duration = Duration::from_secs(1);

/// Numbers the uninterrupted spans in which queues were held.
pub type Grant = u64;

/// A lock that we hold.
struct Held {
    grant: Grant,
    until: Instant,
    /// The broker that gave it.
    address: Rc<str>,
}

/// The locks of one member, without sockets or clocks.
#[derive(Default)]
struct Table {
    /// Queues whose locks are to be had and kept.
    wanted: Vec<QueueAddress>,
    held: HashMap<MessageQueue, Held>,
    grants: Grant,
}

impl Table {
    /// Whether the lock is held at this time, and since which grant.
    fn grant(&self, queue: &MessageQueue, now: Instant) -> Option<Grant> {
        self.held.get(queue).filter(|held| now < held.until).map(|held| held.grant)
    }

    /// The broker has answered at `now`, to a request sent at `sent`, whether the lock is ours. Gives whether anything has
    /// changed but the time.
    fn answered(&mut self, target: QueueAddress, ours: bool, sent: Instant, now: Instant) -> bool {
        let QueueAddress { queue, address } = target;
        if !ours {
            return self.held.remove(&queue).is_some();
        }
        let until = sent.checked_add(VALID).unwrap_or(sent);
        match self.held.get_mut(&queue) {
            // Asked for in time: nobody else can have had it in between.
            Some(held) if now < held.until => {
                (held.until, held.address) = (until, address);
                false
            }
            _ => {
                self.grants = self.grants.wrapping_add(1);
                self.held.insert(queue, Held { grant: self.grants, until, address });
                true
            }
        }
    }

    /// Forgets the locks that may have ended; gives whether there were any.
    fn expire(&mut self, now: Instant) -> bool {
        let before = self.held.len();
        self.held.retain(|_, held| now < held.until);
        self.held.len() != before
    }

    /// Whether the lock is held at the broker that has the queue now.
    fn has(&self, target: &QueueAddress) -> bool {
        self.held.get(&target.queue).is_some_and(|held| held.address == target.address)
    }

    /// Queues to ask for: all of them, or those that are missing.
    fn to_ask(&self, all: bool) -> Vec<QueueAddress> {
        self.wanted.iter().filter(|target| all || !self.has(target)).cloned().collect()
    }

    /// Takes out the locks that are held and not wanted.
    fn take_unwanted(&mut self) -> Vec<QueueAddress> {
        let wanted = &self.wanted;
        let extra = self.held.extract_if(|queue, _| !wanted.iter().any(|target| target.queue == *queue));
        extra.map(|(queue, Held { address, .. })| QueueAddress { queue, address }).collect()
    }

    /// Time until a lock that is held ends, unless it is renewed.
    fn left(&self, now: Instant) -> Option<Duration> {
        self.held.values().map(|held| held.until.saturating_duration_since(now)).min()
    }

    fn is_complete(&self) -> bool {
        self.wanted.iter().all(|target| self.has(target))
    }
}

/// What the keeper and the task's loop share.
#[derive(Default)]
struct State {
    table: RefCell<Table>,
    /// All locks are to be asked for at once.
    renew: Cell<bool>,
    closed: Cell<bool>,
    /// Happens when something is wanted otherwise, or the keeper is to end.
    woken: Event,
    /// Happens when the keeper has ended.
    ended: Event,
    has_ended: Cell<bool>,
}

/// The locks of one member, as the task's loop sees them. When it is dropped, they are given up.
pub struct Locks(Rc<State>);

impl Locks {
    /// Locks that are kept from now on; `changed` happens when one is gained or lost.
    pub fn keep<D: Driver>(client: Client<D>, group: Rc<str>, changed: Event) -> Self {
        let state = Rc::new(State::default());
        let keeper = Keeper { client, group, changed, state: state.clone() };
        D::spawn(keeper.run());
        Self(state)
    }

    /// The queues that are to be held from now on. Locks on others are given up: commit these queues first.
    pub fn want(&self, queues: Vec<QueueAddress>) {
        self.0.table.borrow_mut().wanted = queues;
        self.0.woken.notify();
    }

    /// A broker has come back, perhaps without its locks: asks for all at once.
    pub fn renew(&self) {
        self.0.renew.set(true);
        self.0.woken.notify();
    }

    /// Since which grant the queue's lock is held now, if it is.
    #[must_use]
    pub fn grant(&self, queue: &MessageQueue) -> Option<Grant> {
        self.0.table.borrow().grant(queue, Instant::now())
    }

    /// Gives all locks up; returns when the brokers know it or could not be told.
    pub async fn give_up(&self) {
        self.close();
        loop {
            let seen = self.0.ended.seen();
            if self.0.has_ended.get() {
                return;
            }
            self.0.ended.since(seen).await;
        }
    }

    fn close(&self) {
        self.0.closed.set(true);
        self.0.woken.notify();
    }
}

impl Drop for Locks {
    fn drop(&mut self) {
        self.close();
    }
}

/// Asks for locks, renews them, and gives them up.
struct Keeper<D> {
    client: Client<D>,
    group: Rc<str>,
    changed: Event,
    state: Rc<State>,
}

/// Tells when the keeper is gone, however it went.
struct Ended(Rc<State>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.has_ended.set(true);
        self.0.ended.notify();
    }
}

impl<D: Driver> Keeper<D> {
    async fn run(self) {
        let _ended = Ended(self.state.clone());
        let mut renewed = Instant::now();
        loop {
            let woken = self.state.woken.seen();
            if self.state.closed.get() {
                break;
            }
            self.give_up_unwanted().await;
            let due = renewed.elapsed() >= RENEW || self.state.renew.take();
            let asked = self.state.table.borrow().to_ask(due);
            let all_answered = self.ask(asked).await;
            if due && all_answered {
                renewed = Instant::now();
            } else if due {
                // A broker that did not answer is asked again soon, long before its locks end.
                self.state.renew.set(true);
            }
            let pause = self.pause(renewed.elapsed());
            let _ = first(D::sleep(pause), self.state.woken.since(woken)).await;
            if self.state.table.borrow_mut().expire(Instant::now()) {
                self.changed.notify();
            }
        }
        self.state.table.borrow_mut().wanted.clear();
        self.give_up_unwanted().await;
    }

    /// Time until there is something to do.
    fn pause(&self, since_renewal: Duration) -> Duration {
        let table = self.state.table.borrow();
        let next =
            if self.state.renew.get() || !table.is_complete() { AGAIN } else { RENEW.saturating_sub(since_renewal) };
        table.left(Instant::now()).map_or(next, |left| next.min(left))
    }

    /// Asks every broker for the locks on its queues; false when one did not answer.
    async fn ask(&self, queues: Vec<QueueAddress>) -> bool {
        // All brokers at once: one that is away must not keep the others' locks from being renewed.
        let asked = by_address(queues).into_iter().map(|(address, queues)| self.ask_one(address, queues));
        join_all(asked).await.into_iter().all(|answered| answered)
    }

    async fn ask_one(&self, address: Rc<str>, queues: Vec<MessageQueue>) -> bool {
        let sent = Instant::now();
        let locked = match self.call(request::LOCK_BATCH_MQ, &address, &queues, None).await {
            Ok(locked) => locked,
            Err(error) => {
                tracing::debug!(group = %self.group, "locks are asked for again: {error}");
                return false;
            }
        };
        let now = Instant::now();
        let mut changed = false;
        for queue in queues {
            let ours = locked.contains(&queue);
            let target = QueueAddress { queue, address: address.clone() };
            changed |= self.state.table.borrow_mut().answered(target, ours, sent, now);
        }
        if changed {
            self.changed.notify();
        }
        true
    }

    /// Gives up what is held and not wanted. A broker that can't be told finds out when the locks end.
    async fn give_up_unwanted(&self) {
        let unwanted = self.state.table.borrow_mut().take_unwanted();
        let brokers = by_address(unwanted).into_iter();
        let told = brokers.map(|(address, queues)| async move {
            let told = self.call(request::UNLOCK_BATCH_MQ, &address, &queues, Some(UNLOCK_TIMEOUT)).await;
            if let Err(error) = told {
                tracing::debug!(group = %self.group, "locks are left to end by themselves: {error}");
            }
        });
        join_all(told).await;
    }

    /// One request about locks; gives the queues that the answer names.
    async fn call(
        &self,
        code: i32,
        address: &str,
        queues: &[MessageQueue],
        timeout: Option<Duration>,
    ) -> Result<Vec<MessageQueue>, CallError> {
        let name = |queue: &MessageQueue| json!({ "topic": &*queue.topic, "brokerName": &*queue.broker, "queueId": queue.queue_id });
        let body = json!({
            "consumerGroup": &*self.group,
            "clientId": self.client.client_id(),
            "onlyThisBroker": false,
            "mqSet": queues.iter().map(name).collect::<Vec<_>>(),
        });
        let asked = Request::new(code).with_body(body.to_string());
        let timeout = timeout.unwrap_or(self.client.settings().operation_timeout);
        let answer = self.client.call(address, &asked, timeout).await?;
        locked(&answer.body).map_err(|error| CallError::Malformed {
            address: address.to_owned(),
            request: code,
            reason: error.to_string(),
        })
    }
}

/// The queues of each broker.
fn by_address(queues: Vec<QueueAddress>) -> Vec<(Rc<str>, Vec<MessageQueue>)> {
    let mut brokers: Vec<(Rc<str>, Vec<MessageQueue>)> = Vec::new();
    for QueueAddress { queue, address } in queues {
        match brokers.iter_mut().find(|(known, _)| *known == address) {
            Some((_, queues)) => queues.push(queue),
            None => brokers.push((address, vec![queue])),
        }
    }
    brokers
}

/// The queues that an answer names as locked; none when it has no body, as that to an unlock.
fn locked(body: &[u8]) -> Result<Vec<MessageQueue>, serde_json::Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Queue {
        topic: String,
        broker_name: String,
        queue_id: i32,
    }
    #[derive(Deserialize, Default)]
    struct Answer {
        #[serde(default, rename = "lockOKMQSet")]
        locked: Vec<Queue>,
    }
    if body.is_empty() {
        return Ok(Vec::new());
    }
    let answer: Answer = serde_json::from_slice(body)?;
    let queue = |queue: Queue| MessageQueue {
        topic: Arc::from(queue.topic),
        broker: Arc::from(queue.broker_name),
        queue_id: queue.queue_id,
    };
    Ok(answer.locked.into_iter().map(queue).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(queue_id: i32) -> QueueAddress {
        let queue = MessageQueue { topic: Arc::from("t"), broker: Arc::from("b"), queue_id };
        QueueAddress { queue, address: Rc::from(format!("host:{}", queue_id % 2)) }
    }

    #[test]
    fn a_lock_counts_from_the_request_that_asked_for_it() {
        let (queue, start) = (&target(0).queue, Instant::now());
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        let mut table = Table::default();
        assert!(table.answered(target(0), true, at(0), at(3)), "gained");
        assert_eq!((table.grant(queue, at(49)), table.grant(queue, at(50))), (Some(1), None));
        assert!(!table.answered(target(0), true, at(20), at(21)), "renewed");
        assert_eq!((table.grant(queue, at(69)), table.grant(queue, at(70))), (Some(1), None));
        assert!(!table.expire(at(69)) && table.expire(at(70)));
        assert_eq!(table.left(at(70)), None);
    }

    #[test]
    fn a_lock_that_may_have_been_anothers_is_a_new_one() {
        let (queue, start) = (&target(0).queue, Instant::now());
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        let mut table = Table::default();
        table.answered(target(0), true, at(0), at(0));
        // Sent in time, answered too late to be sure.
        assert!(table.answered(target(0), true, at(49), at(51)));
        assert_eq!(table.grant(queue, at(60)), Some(2));
        assert!(table.answered(target(0), false, at(61), at(61)), "another has it");
        assert!(!table.answered(target(0), false, at(62), at(62)));
        assert!(table.answered(target(0), true, at(63), at(63)));
        assert_eq!(table.grant(queue, at(63)), Some(3));
    }

    #[test]
    fn what_is_missing_is_asked_for_and_what_is_not_wanted_given_up() {
        let now = Instant::now();
        let mut table = Table { wanted: vec![target(0), target(1)], ..Table::default() };
        table.answered(target(0), true, now, now);
        assert!(!table.is_complete());
        assert_eq!(table.to_ask(false), [target(1)]);
        assert_eq!(table.to_ask(true), [target(0), target(1)]);
        // The queue's broker is elsewhere now: that one is asked too.
        let moved = QueueAddress { address: Rc::from("elsewhere:1"), ..target(0) };
        table.wanted = vec![moved.clone()];
        assert_eq!(table.to_ask(false), std::slice::from_ref(&moved));
        assert!(!table.answered(moved.clone(), true, now, now) && table.is_complete());
        table.wanted = vec![target(1)];
        assert_eq!(table.take_unwanted(), [moved]);
        assert_eq!(table.grant(&target(0).queue, now), None);
        table.answered(target(1), true, now, now);
        assert!(table.is_complete() && table.take_unwanted().is_empty());
    }

    #[test]
    fn answers_are_read_and_requests_go_broker_by_broker() {
        let body = br#"{"lockOKMQSet":[{"brokerName":"b","queueId":1,"topic":"t"}],"more":1}"#;
        assert_eq!(locked(body).unwrap(), [target(1).queue]);
        assert!(locked(b"").unwrap().is_empty() && locked(b"{}").unwrap().is_empty());
        assert!(locked(b"{").is_err() && locked(br#"{"lockOKMQSet":[{"queueId":1}]}"#).is_err());
        let brokers = by_address(vec![target(0), target(1), target(2)]);
        let ids = |at: usize| brokers[at].1.iter().map(|queue| queue.queue_id).collect::<Vec<_>>();
        assert_eq!((brokers.len(), ids(0), ids(1)), (2, vec![0, 2], vec![1]));
    }
}
