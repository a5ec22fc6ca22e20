//! The control plane's way to the cluster: the same remoting client as the tasks', on an epoll executor of its own.
//!
//! The thread sleeps while nothing is asked, and its connections close themselves when brokers find them idle.

use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;

use crossbeam_queue::ArrayQueue;
use rmqc_core::cluster_port::{ClusterError, ClusterPort, MasterBroker, TopicQueues};
use rmqc_core::command::SendFuture;
use rmqc_core::host::LocalFuture;
use tokio::sync::oneshot;

use crate::driver::Driver;
use crate::driver::bell::{Bell, NotifiedSeed, Notifier, notifier_for};
use crate::driver::epoll::Epoll;
use crate::driver::local::run_executor;
use crate::remoting::client::Client;
use crate::settings::{ClusterSettings, StartError};

/// Calls that wait for the thread; beyond that a call fails at once.
const CALLS_MAX: usize = 256;
/// Name of the thread.
const THREAD: &str = "rmqc-cluster";

type Call = Box<dyn FnOnce(Client<Epoll>) -> LocalFuture<'static, ()> + Send>;

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
    let client = Client::<Epoll>::new(settings, client_id, Rc::default());
    let news = seed.bind();
    loop {
        while let Some(call) = desk.calls.pop() {
            Epoll::spawn(call(client.clone()));
        }
        news.wait().await;
    }
}

impl ClusterClient {
    fn call<T: Send + 'static>(
        &self,
        what: impl FnOnce(Client<Epoll>) -> LocalFuture<'static, Result<T, ClusterError>> + Send + 'static,
    ) -> SendFuture<'_, Result<T, ClusterError>> {
        let (answer, answered) = oneshot::channel();
        let call: Call = Box::new(move |client| {
            Box::pin(async move {
                let outcome = what(client).await;
                // The asker may have given up.
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

impl ClusterPort for ClusterClient {
    fn masters(&self) -> SendFuture<'_, Result<Vec<MasterBroker>, ClusterError>> {
        self.call(|client| {
            Box::pin(async move {
                let masters = client.masters().await.map_err(|error| ClusterError(error.to_string()))?;
                Ok(masters.into_iter().map(|(name, address)| MasterBroker { name, address }).collect())
            })
        })
    }

    fn topic_queues(&self, topic: &str) -> SendFuture<'_, Result<Option<Vec<TopicQueues>>, ClusterError>> {
        let topic: Arc<str> = Arc::from(topic);
        self.call(move |client| {
            Box::pin(async move {
                let route = client.fetch_route(&topic).await.map_err(|error| ClusterError(error.to_string()))?;
                let queues = |(broker, read_queues, write_queues): &(Arc<str>, u32, u32)| TopicQueues {
                    broker: broker.to_string(),
                    read_queues: *read_queues,
                    write_queues: *write_queues,
                };
                Ok(route.map(|route| route.counts.iter().map(queues).collect()))
            })
        })
    }

    fn create_topic(&self, topic: &str, queues: u32) -> SendFuture<'_, Result<(), ClusterError>> {
        let topic = topic.to_owned();
        self.call(move |client| {
            Box::pin(async move {
                client.create_topic(&topic, queues, queues).await.map_err(|error| ClusterError(error.to_string()))
            })
        })
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::embedded::{EmbeddedBroker, EmbeddedSettings};
    use crate::settings::DriverWanted;

    #[test]
    fn topics_are_made_and_found_again() {
        let dir = tempfile::tempdir().unwrap();
        let address = "127.0.0.1:0".parse().unwrap();
        let broker = EmbeddedBroker::start(EmbeddedSettings {
            dir: dir.path().to_owned(),
            address,
            driver: DriverWanted::Epoll,
        })
        .unwrap();
        let settings = |server: String| ClusterSettings {
            name_servers: vec![server],
            credentials: None,
            producer_group: "g".to_owned(),
            auto_create_topic: true,
            operation_timeout: Duration::from_secs(3),
        };
        let port = start_cluster_client(&settings(broker.address().to_string())).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            assert_eq!(port.masters().await.unwrap()[0].address, broker.address().to_string());
            assert_eq!(port.topic_queues("made").await.unwrap(), None);
            port.create_topic("made", 3).await.unwrap();
            let queues = port.topic_queues("made").await.unwrap().unwrap();
            assert_eq!((queues[0].read_queues, queues[0].write_queues), (3, 3));
        });
        let address = broker.address().to_string();
        drop(port);
        broker.stop();
        let port = start_cluster_client(&settings(address.clone())).unwrap();
        let error = runtime.block_on(port.masters()).unwrap_err();
        assert!(error.0.contains(&address), "{error}");
    }
}
