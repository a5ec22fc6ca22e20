//! The control plane's way to the cluster: the same remoting client as the tasks', on an epoll executor of its own.
//!
//! The thread sleeps while nothing is asked, and its connections close themselves when brokers find them idle.

mod calls;
#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_queue::ArrayQueue;
use rmqc_core::cluster_port::{
    Answered, ClusterError, ClusterPort, MasterBroker, NewMessage, QueueName, QueueStanding, StoredMessage, TopicQueues,
};
use rmqc_core::command::SendFuture;
use rmqc_core::host::LocalFuture;
use tokio::sync::oneshot;

use self::calls::Hand;
use crate::driver::Driver;
use crate::driver::bell::{Bell, NotifiedSeed, Notifier, notifier_for};
use crate::driver::epoll::Epoll;
use crate::driver::local::run_executor;
use crate::local::{First, Semaphore, first};
use crate::remoting::client::Client;
use crate::remoting::unique_id::UniqueIds;
use crate::settings::{ClusterSettings, StartError};

/// Calls that wait for the thread; beyond that a call fails at once.
const CALLS_MAX: usize = 256;
/// Calls under way at the same time.
const AT_ONCE_MAX: usize = 32;
/// Longest time that a call may take, whatever it is made of.
const CALL_DEADLINE: Duration = Duration::from_secs(30);
/// Name of the thread.
const THREAD: &str = "rmqc-cluster";

type Call = Box<dyn FnOnce(Rc<Hand<Epoll>>) -> LocalFuture<'static, ()> + Send>;

struct Desk {
    calls: ArrayQueue<Call>,
    bell: Arc<Bell>,
}

/// Carries calls to the client's thread.
struct ClusterClient {
    desk: Arc<Desk>,
    notifier: Notifier,
    thread: Option<JoinHandle<()>>,
}

/// Starts the control plane's client; it connects when something is asked.
///
/// # Errors
/// When the system gives no descriptors or no thread.
pub fn start_cluster_client(settings: &ClusterSettings) -> Result<Arc<dyn ClusterPort>, StartError> {
    let (bell, doorbell) = Bell::new()
        .map_err(|error| StartError::new(format!("cluster client: {error}"), "raise the limit of open files"))?;
    let (notifier, seed) = notifier_for(&bell);
    let desk = Arc::new(Desk { calls: ArrayQueue::new(CALLS_MAX), bell: Arc::clone(&bell) });
    let (their_desk, settings) = (Arc::clone(&desk), settings.clone());
    let run = move || {
        let end = run_executor::<Epoll, _>(bell, doorbell, move || serve(their_desk, seed, settings));
        tracing::debug!("the cluster client ended: {end:?}");
    };
    let thread = std::thread::Builder::new().name(THREAD.to_owned()).spawn(run).map_err(|error| {
        StartError::new(format!("cluster client: no thread: {error}"), "raise the limit of threads")
    })?;
    Ok(Arc::new(ClusterClient { desk, notifier, thread: Some(thread) }))
}

async fn serve(desk: Arc<Desk>, seed: NotifiedSeed, settings: ClusterSettings) {
    let client_id = format!("{}@rmqc-control-{}", std::net::Ipv4Addr::LOCALHOST, std::process::id());
    let started = u32::try_from(crate::host::unix_ms() & 0x00ff_ffff).unwrap_or(0);
    // Tasks' ids have other numbers: theirs count up from the start time.
    let ids = UniqueIds::new(Ipv4Addr::LOCALHOST, std::process::id(), !started);
    let client = Client::<Epoll>::new(settings, client_id, Rc::default());
    let hand = Rc::new(Hand { client, ids: RefCell::new(ids) });
    let turns = Semaphore::new(AT_ONCE_MAX);
    let news = seed.bind();
    loop {
        let turn = turns.acquire().await;
        let Some(call) = desk.calls.pop() else {
            drop(turn);
            news.wait().await;
            continue;
        };
        let call = call(Rc::clone(&hand));
        Epoll::spawn(async move {
            call.await;
            drop(turn);
        });
    }
}

impl ClusterClient {
    fn call<T: Send + 'static>(
        &self,
        what: impl FnOnce(Rc<Hand<Epoll>>) -> LocalFuture<'static, Result<T, ClusterError>> + Send + 'static,
    ) -> SendFuture<'_, Result<T, ClusterError>> {
        let (mut answer, answered) = oneshot::channel();
        let call: Call = Box::new(move |hand| {
            Box::pin(async move {
                let in_time = first(what(hand), Epoll::sleep(CALL_DEADLINE));
                // The asker may give up.
                let outcome = match first(in_time, answer.closed()).await {
                    First::A(First::A(outcome)) => outcome,
                    First::A(First::B(())) => Err(late()),
                    First::B(()) => return,
                };
                let _ = answer.send(outcome);
            })
        });
        let full = self.desk.calls.push(call).is_err();
        self.notifier.notify();
        Box::pin(async move {
            if full {
                return Err(ClusterError(format!("{CALLS_MAX} calls to the cluster are waiting already")));
            }
            answered.await.unwrap_or_else(|_| Err(ClusterError("the cluster client has ended".to_owned())))
        })
    }
}

fn late() -> ClusterError {
    ClusterError(format!(
        "the cluster did not answer in {} s; what was asked may have been done or not: look at the brokers, then try again",
        CALL_DEADLINE.as_secs()
    ))
}

impl ClusterPort for ClusterClient {
    fn masters(&self) -> Answered<'_, Vec<MasterBroker>> {
        self.call(|hand| Box::pin(async move { hand.masters().await }))
    }

    fn topic_queues(&self, topic: &str) -> Answered<'_, Option<Vec<TopicQueues>>> {
        let topic: Arc<str> = Arc::from(topic);
        self.call(move |hand| Box::pin(async move { hand.topic_queues(&topic).await }))
    }

    fn create_topic(&self, topic: &str, queues: u32) -> Answered<'_, ()> {
        let topic = topic.to_owned();
        self.call(move |hand| Box::pin(async move { hand.create_topic(&topic, queues).await }))
    }

    fn topics(&self) -> Answered<'_, Vec<String>> {
        self.call(|hand| Box::pin(async move { hand.topics().await }))
    }

    fn group_members(&self, group: &str) -> Answered<'_, Vec<String>> {
        let group = group.to_owned();
        self.call(move |hand| Box::pin(async move { hand.group_members(&group).await }))
    }

    fn standing(&self, group: &str, topic: &str) -> Answered<'_, Vec<QueueStanding>> {
        let (group, topic) = (group.to_owned(), Arc::<str>::from(topic));
        self.call(move |hand| Box::pin(async move { hand.standing(&group, &topic).await }))
    }

    fn commit(&self, group: &str, queue: &QueueName, offset: i64) -> Answered<'_, ()> {
        let (group, queue) = (group.to_owned(), queue.clone());
        self.call(move |hand| Box::pin(async move { hand.commit(&group, &queue, offset).await }))
    }

    fn delete_group(&self, group: &str) -> Answered<'_, ()> {
        let group = group.to_owned();
        self.call(move |hand| Box::pin(async move { hand.delete_group(&group).await }))
    }

    fn offset_at(&self, queue: &QueueName, time_ms: i64) -> Answered<'_, i64> {
        let queue = queue.clone();
        self.call(move |hand| Box::pin(async move { hand.offset_at(&queue, time_ms).await }))
    }

    fn read(&self, queue: &QueueName, offset: i64, count: usize) -> Answered<'_, Vec<StoredMessage>> {
        let queue = queue.clone();
        self.call(move |hand| Box::pin(async move { hand.read(&queue, offset, count).await }))
    }

    fn send(&self, message: NewMessage) -> Answered<'_, (QueueName, i64)> {
        self.call(move |hand| Box::pin(async move { hand.send(message).await }))
    }

    fn broker_config(&self, address: &str) -> Answered<'_, BTreeMap<String, String>> {
        let address = address.to_owned();
        self.call(move |hand| Box::pin(async move { hand.broker_config(&address).await }))
    }
}

impl Drop for ClusterClient {
    fn drop(&mut self) {
        self.desk.bell.abandon();
        self.desk.bell.kick();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the cluster client's thread panicked");
        }
    }
}
