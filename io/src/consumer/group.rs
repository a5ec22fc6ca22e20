//! Membership of a consumer group: heartbeats to the brokers, the list of members, and this member's share of queues.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rmqc_core::id::MessageQueue;

use super::allocate::allocate;
use super::subscription::Subscription;
use crate::driver::Driver;
use crate::local::{Event, first};
use crate::remoting::client::Client;
use crate::remoting::connection::{CallError, Connection};
use crate::remoting::route::QueueAddress;

/// Time between heartbeats; brokers drop a member after 120 s of silence.
const HEARTBEAT: Duration = Duration::from_secs(30);
/// Time between looks at routes and members when nothing tells of a change, as the Java client has it.
const REBALANCE: Duration = Duration::from_secs(20);
/// Time between looks while something is missing: a topic, a broker, the own name in the list of members.
const REBALANCE_SOON: Duration = Duration::from_millis(500);

/// What a group reads, and who we are in it.
pub struct GroupSettings {
    /// Consumer group.
    pub group: Rc<str>,
    /// Topics read.
    pub topics: Vec<Arc<str>>,
    /// Which messages of them.
    pub subscription: Subscription,
    /// `consumeFromWhere` as announced to brokers.
    pub consume_from_where: &'static str,
}

/// This member's share, as the task's loop sees it.
#[derive(Default)]
pub struct Assignment {
    /// Queues that this member is to read now; `None` until the first answer.
    pub queues: RefCell<Option<Vec<QueueAddress>>>,
    /// Happens when `queues` changed.
    pub changed: Event,
    /// Brokers to which a connection was made anew: they may have lost the offsets that were committed last.
    pub returned: RefCell<BTreeSet<Rc<str>>>,
    /// Set to leave the group.
    pub closed: Cell<bool>,
    /// Happens when `closed` is set.
    pub closing: Event,
}

/// Keeps up membership.
pub struct Membership<D> {
    client: Client<D>,
    settings: GroupSettings,
    assignment: Rc<Assignment>,
    /// Happens when there is something for the task's loop.
    arrived: Event,
    sub_version: i64,
}

impl<D: Driver> Membership<D> {
    /// A membership that reports to `assignment`, and rings `arrived` when a broker came back.
    #[must_use]
    pub fn new(client: Client<D>, settings: GroupSettings, assignment: Rc<Assignment>, arrived: Event) -> Self {
        Self { client, settings, assignment, arrived, sub_version: crate::host::unix_ms() }
    }

    /// Stays a member until the assignment is closed, then takes leave of the brokers.
    pub async fn run(self) {
        let mut greeted: BTreeMap<Rc<str>, Connection> = BTreeMap::new();
        let mut met: BTreeSet<Rc<str>> = BTreeSet::new();
        let mut last_heartbeat: Option<Instant> = None;
        let mut last_warning: Option<String> = None;
        loop {
            let closing = self.assignment.closing.seen();
            let changed = self.client.group_changed().seen();
            if self.assignment.closed.get() {
                break;
            }
            let due = last_heartbeat.is_none_or(|last| last.elapsed() >= HEARTBEAT);
            let known = greeted.clone();
            let outcome = self.look(&mut greeted, due).await;
            self.tell_returned(&greeted, &mut met, &known);
            let failed = outcome.is_err();
            let pause = match outcome {
                Ok(complete) => {
                    last_warning = None;
                    if due {
                        last_heartbeat = Some(Instant::now());
                    }
                    if complete { REBALANCE } else { REBALANCE_SOON }
                }
                Err(error) => {
                    let text = error.to_string();
                    if last_warning.as_deref() != Some(&text) {
                        tracing::warn!(group = %self.settings.group, "group membership is held up and tried again: {text}");
                        last_warning = Some(text);
                    }
                    // The broker may be elsewhere by now.
                    self.settings.topics.iter().for_each(|topic| self.client.forget_route(topic));
                    REBALANCE_SOON
                }
            };
            let closing = self.assignment.closing.since(closing);
            if failed {
                // Not woken by a connection that closes as soon as it is made: that would never rest.
                let _ = first(D::sleep(pause), closing).await;
            } else {
                let told = first(self.client.group_changed().since(changed), D::sleep(pause));
                let _ = first(told, closing).await;
            }
        }
        for address in greeted.keys() {
            self.client.unregister(address, None, Some(&self.settings.group)).await;
        }
    }

    /// Names the brokers that were greeted before and now over another connection. A broker keeps the last seconds'
    /// offsets in memory only, so one that was killed does not know them any more.
    fn tell_returned(
        &self,
        greeted: &BTreeMap<Rc<str>, Connection>,
        met: &mut BTreeSet<Rc<str>>,
        known: &BTreeMap<Rc<str>, Connection>,
    ) {
        for (address, connection) in greeted {
            let anew = known.get(address).is_none_or(|before| !before.is(connection));
            if anew && !met.insert(address.clone()) {
                self.assignment.returned.borrow_mut().insert(address.clone());
                self.arrived.notify();
            }
        }
    }

    /// One look at routes and members. Gives whether everything was there.
    async fn look(&self, greeted: &mut BTreeMap<Rc<str>, Connection>, heartbeat_due: bool) -> Result<bool, CallError> {
        let mut complete = true;
        let mut share: Vec<QueueAddress> = Vec::new();
        for topic in &self.settings.topics {
            let Some(route) = self.client.route(topic).await? else {
                complete = false;
                continue;
            };
            let brokers: BTreeSet<Rc<str>> = route.masters.iter().map(|(_, address)| address.clone()).collect();
            // A broker forgets a member whose connection is gone, though another may have been made since.
            greeted.retain(|address, on| self.client.open_connection(address).is_some_and(|open| open.is(on)));
            for address in &brokers {
                if heartbeat_due || !greeted.contains_key(address) {
                    let connection = self.client.connection(address).await?;
                    self.client.heartbeat(address, self.heartbeat_body()).await?;
                    greeted.insert(address.clone(), connection);
                }
            }
            let Some(asked) = brokers.first() else {
                complete = false;
                continue;
            };
            let members = self.client.group_members(asked, &self.settings.group).await?;
            let queues: Vec<MessageQueue> = route.read_queues.iter().map(|target| target.queue.clone()).collect();
            let mine = allocate(self.client.client_id(), &members, &queues);
            complete &= members.iter().any(|member| member == self.client.client_id());
            let address =
                |queue: &MessageQueue| route.read_queues.iter().find(|target| target.queue == *queue).cloned();
            share.extend(mine.iter().filter_map(address));
        }
        self.publish(share, complete);
        Ok(complete)
    }

    /// A share is taken over when it is known for all topics; a partial one would give queues up for nothing.
    fn publish(&self, share: Vec<QueueAddress>, complete: bool) {
        let mut queues = self.assignment.queues.borrow_mut();
        if queues.as_ref() == Some(&share) || (!complete && queues.as_ref().is_some_and(|known| !known.is_empty())) {
            return;
        }
        *queues = Some(share);
        drop(queues);
        self.assignment.changed.notify();
    }

    fn heartbeat_body(&self) -> Bytes {
        let subscription = |topic: &Arc<str>| self.settings.subscription.heartbeat(topic, self.sub_version);
        let body = serde_json::json!({
            "clientID": self.client.client_id(),
            "producerDataSet": [],
            "consumerDataSet": [{
                "groupName": &*self.settings.group,
                "consumeType": "CONSUME_ACTIVELY",
                "messageModel": "CLUSTERING",
                "consumeFromWhere": self.settings.consume_from_where,
                "unitMode": false,
                "subscriptionDataSet": self.settings.topics.iter().map(subscription).collect::<Vec<_>>(),
            }],
        });
        Bytes::from(body.to_string())
    }
}
