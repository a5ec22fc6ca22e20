//! One task's view of the cluster: connections to name servers and brokers, routes, and the calls that are not data.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::net::{SocketAddr, ToSocketAddrs};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rmqc_core::id::MessageQueue;
use rmqc_core::tolerance::Backoff;

use super::code::{request, response};
use super::connection::{CallError, Connection, Request, Response, Traffic};
use super::route::{Route, parse_masters, parse_route};
use crate::driver::Driver;
use crate::local::{Event, Semaphore};
use crate::settings::ClusterSettings;

/// A route is asked for again after this time.
pub const ROUTE_REFRESH: Duration = Duration::from_secs(30);
/// Queues of an automatically created topic, as the Java runtime creates them.
pub const AUTO_TOPIC_QUEUES: u32 = 16;
/// Topic whose settings auto-created topics copy.
pub const TEMPLATE_TOPIC: &str = "TBW102";
/// Routes kept at most.
const ROUTES_MAX: usize = 1024;

struct CachedRoute {
    route: Rc<Route>,
    fetched: Instant,
}

/// One broker or name server that has been connected to.
struct Peer {
    connection: RefCell<Option<Connection>>,
    /// One attempt to connect at a time.
    connecting: Semaphore,
    failures: Cell<u32>,
    /// Why the last attempt failed.
    reason: RefCell<String>,
    not_before: Cell<Option<Instant>>,
}

struct Inner {
    settings: ClusterSettings,
    client_id: String,
    peers: RefCell<HashMap<Rc<str>, Rc<Peer>>>,
    routes: RefCell<HashMap<Arc<str>, CachedRoute>>,
    name_server_turn: Cell<usize>,
    group_changed: Event,
    traffic: Rc<Traffic>,
    random: Cell<u64>,
    closed: Cell<bool>,
}

/// A client of one cluster. Clones share it.
pub struct Client<D> {
    inner: Rc<Inner>,
    driver: std::marker::PhantomData<D>,
}

impl<D> Clone for Client<D> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), driver: std::marker::PhantomData }
    }
}

impl<D: Driver> Client<D> {
    /// A client that announces itself as `client_id`; connects when something is asked.
    #[must_use]
    pub fn new(settings: ClusterSettings, client_id: String, traffic: Rc<Traffic>) -> Self {
        let random = client_id.bytes().fold(0x9E37_79B9_7F4A_7C15, |seed: u64, byte| {
            (seed ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3)
        });
        let inner = Inner {
            settings,
            client_id,
            peers: RefCell::default(),
            routes: RefCell::default(),
            name_server_turn: Cell::new(0),
            group_changed: Event::default(),
            traffic,
            random: Cell::new(random | 1),
            closed: Cell::new(false),
        };
        Self { inner: Rc::new(inner), driver: std::marker::PhantomData }
    }

    /// Who we say we are.
    #[must_use]
    pub fn client_id(&self) -> &str {
        &self.inner.client_id
    }

    /// How we talk to the cluster.
    #[must_use]
    pub fn settings(&self) -> &ClusterSettings {
        &self.inner.settings
    }

    /// Happens when a broker says that a group's membership changed, and when a connection is gone.
    #[must_use]
    pub fn group_changed(&self) -> &Event {
        &self.inner.group_changed
    }

    /// An evenly spread number, for jitter and rotation. Not for secrets.
    #[must_use]
    pub fn random(&self) -> u64 {
        let mut x = self.inner.random.get();
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        self.inner.random.set(x);
        x
    }

    /// Closes all connections; calls under way fail, and so does every later one.
    pub fn close(&self) {
        self.inner.closed.set(true);
        let peers = std::mem::take(&mut *self.inner.peers.borrow_mut());
        for peer in peers.into_values() {
            if let Some(connection) = peer.connection.borrow_mut().take() {
                connection.close("client closed");
            }
        }
    }

    fn peer(&self, address: &str) -> Rc<Peer> {
        let mut peers = self.inner.peers.borrow_mut();
        if let Some(peer) = peers.get(address) {
            return peer.clone();
        }
        let peer = Rc::new(Peer {
            connection: RefCell::new(None),
            connecting: Semaphore::new(1),
            failures: Cell::new(0),
            reason: RefCell::default(),
            not_before: Cell::new(None),
        });
        peers.insert(Rc::from(address), peer.clone());
        peer
    }

    /// An open connection to `address` (`host:port`), if there is one now.
    #[must_use]
    pub fn open_connection(&self, address: &str) -> Option<Connection> {
        let peers = self.inner.peers.borrow();
        let connection = peers.get(address)?.connection.borrow().clone();
        connection.filter(Connection::is_open)
    }

    /// A connection to `address` (`host:port`): the open one, or a new one. After failures new attempts wait for a
    /// jittered back-off.
    ///
    /// # Errors
    /// When the connection can't be made now.
    pub async fn connection(&self, address: &str) -> Result<Connection, CallError> {
        if let Some(connection) = self.open_connection(address) {
            return Ok(connection);
        }
        let peer = self.peer(address);
        let failures = peer.failures.get();
        let _turn = peer.connecting.acquire().await;
        if let Some(connection) = self.open_connection(address) {
            return Ok(connection);
        }
        if peer.failures.get() > failures {
            // The attempt that this one waited for stands for it: one back-off after the other would take minutes.
            let reason = peer.reason.borrow().clone();
            return Err(CallError::Connect { address: address.to_owned(), reason });
        }
        if let Some(not_before) = peer.not_before.get() {
            D::sleep(not_before.saturating_duration_since(Instant::now())).await;
        }
        if self.inner.closed.get() {
            return Err(closed(address));
        }
        match self.connect(address).await {
            // Whoever closed the client could not see this connection, so it would stay open for ever.
            Ok(connection) if self.inner.closed.get() => {
                connection.close("client closed");
                Err(closed(address))
            }
            Ok(connection) => {
                peer.failures.set(0);
                peer.not_before.set(None);
                *peer.connection.borrow_mut() = Some(connection.clone());
                Ok(connection)
            }
            Err(reason) => {
                let failures = peer.failures.get().saturating_add(1);
                peer.failures.set(failures);
                peer.reason.borrow_mut().clone_from(&reason);
                let delay = Backoff::TARGET.delay(failures, self.random());
                peer.not_before.set(Instant::now().checked_add(delay));
                Err(CallError::Connect { address: address.to_owned(), reason })
            }
        }
    }

    async fn connect(&self, address: &str) -> Result<Connection, String> {
        let timeout = self.inner.settings.operation_timeout;
        let mut reason = "the name has no address".to_owned();
        for socket_address in resolve::<D>(address).await? {
            match D::connect(socket_address, timeout).await {
                Ok(halves) => {
                    let credentials = self.inner.settings.credentials.clone();
                    let notified = self.inner.group_changed.clone();
                    let traffic = self.inner.traffic.clone();
                    return Ok(Connection::start::<D>(socket_address, halves, credentials, notified, traffic));
                }
                Err(error) => reason = error.to_string(),
            }
        }
        Err(reason)
    }

    /// Calls `address` and expects success.
    ///
    /// # Errors
    /// See [`CallError`]; any response code but 0 is a refusal.
    pub async fn call(&self, address: &str, request: &Request, timeout: Duration) -> Result<Response, CallError> {
        let connection = self.connection(address).await?;
        let answer = connection.call(request, timeout).await?;
        expect_success(address, request.code, answer)
    }

    /// Calls the name servers one after the other until one answers.
    pub(super) async fn call_name_server(&self, request: &Request) -> Result<Response, CallError> {
        let servers = &self.inner.settings.name_servers;
        let turn = self.inner.name_server_turn.get();
        let none =
            || CallError::Connect { address: "name server".to_owned(), reason: "namesrvAddr is empty".to_owned() };
        let mut last = none();
        for step in 0..servers.len() {
            let at = turn.wrapping_add(step) % servers.len().max(1);
            let Some(server) = servers.get(at) else { continue };
            match self.call(server, request, self.inner.settings.operation_timeout).await {
                Err(error) if error.refusal() != Some(response::TOPIC_NOT_EXIST) => {
                    last = error;
                    self.inner.name_server_turn.set(at.wrapping_add(1));
                }
                answer => return answer,
            }
        }
        Err(last)
    }

    /// Route of a topic: from the cache when it is fresh, else from a name server. `None`: the topic does not exist.
    ///
    /// # Errors
    /// When no name server gives a usable answer.
    pub async fn route(&self, topic: &Arc<str>) -> Result<Option<Rc<Route>>, CallError> {
        let fresh = |cached: &CachedRoute| cached.fetched.elapsed() < ROUTE_REFRESH;
        let cached = self.inner.routes.borrow().get(topic).filter(|cached| fresh(cached)).map(|c| c.route.clone());
        match cached {
            Some(route) => Ok(Some(route)),
            None => self.fetch_route(topic).await,
        }
    }

    /// Asks a name server for a topic's route, whatever the cache says.
    ///
    /// # Errors
    /// When no name server gives a usable answer.
    pub async fn fetch_route(&self, topic: &Arc<str>) -> Result<Option<Rc<Route>>, CallError> {
        let code = request::GET_ROUTEINFO_BY_TOPIC;
        let request = Request::new(code).with("topic", &**topic).with("acceptStandardJsonOnly", "true");
        let answer = match self.call_name_server(&request).await {
            Err(error) if error.refusal() == Some(response::TOPIC_NOT_EXIST) => {
                self.forget_route(topic);
                return Ok(None);
            }
            answer => answer?,
        };
        let malformed = |reason| CallError::Malformed { address: "name server".to_owned(), request: code, reason };
        let route = Rc::new(parse_route(topic, &answer.body).map_err(malformed)?);
        let mut routes = self.inner.routes.borrow_mut();
        if routes.len() >= ROUTES_MAX {
            routes.clear();
        }
        routes.insert(topic.clone(), CachedRoute { route: route.clone(), fetched: Instant::now() });
        Ok(Some(route))
    }

    /// The route as it was last told, however long ago.
    #[must_use]
    pub fn known_route(&self, topic: &str) -> Option<Rc<Route>> {
        self.inner.routes.borrow().get(topic).map(|cached| cached.route.clone())
    }

    /// Makes the next [`Client::route`] ask again.
    pub fn forget_route(&self, topic: &Arc<str>) {
        self.inner.routes.borrow_mut().remove(topic);
    }

    /// Masters of all clusters: broker name and address.
    ///
    /// # Errors
    /// When no name server gives a usable answer.
    pub async fn masters(&self) -> Result<Vec<(String, String)>, CallError> {
        let code = request::GET_BROKER_CLUSTER_INFO;
        let answer = self.call_name_server(&Request::new(code)).await?;
        let malformed = |reason| CallError::Malformed { address: "name server".to_owned(), request: code, reason };
        parse_masters(&answer.body).map_err(malformed)
    }

    /// Creates a topic with so many read and write queues on all masters of all clusters, or changes their number.
    ///
    /// # Errors
    /// When no master can be found, or one refuses.
    pub async fn create_topic(&self, topic: &str, read_queues: u32, write_queues: u32) -> Result<(), CallError> {
        let request = creation(topic, read_queues, write_queues);
        for address in &self.some_masters().await? {
            self.call(address, &request, self.inner.settings.operation_timeout).await?;
        }
        Ok(())
    }

    /// Creates a topic on those masters that lack it. One that has it keeps its queues, whatever the name servers say:
    /// they know nothing of the topics of a broker that is just coming back.
    ///
    /// # Errors
    /// When no master can be found, or one refuses.
    pub async fn create_missing_topic(
        &self,
        topic: &str,
        read_queues: u32,
        write_queues: u32,
    ) -> Result<(), CallError> {
        let timeout = self.inner.settings.operation_timeout;
        let look = Request::new(request::GET_TOPIC_STATS_INFO).with("topic", topic);
        let creation = creation(topic, read_queues, write_queues);
        for address in &self.some_masters().await? {
            let Err(error) = self.call(address, &look, timeout).await else { continue };
            match error.refusal() {
                // It lacks the topic, or will never tell: then what it says to the creation counts.
                Some(response::TOPIC_NOT_EXIST | response::REQUEST_CODE_NOT_SUPPORTED | response::NO_PERMISSION) => {
                    self.call(address, &creation, timeout).await?
                }
                _ => return Err(error),
            };
        }
        Ok(())
    }

    /// Addresses of the masters, at least one.
    async fn some_masters(&self) -> Result<Vec<String>, CallError> {
        let masters = self.masters().await?;
        if masters.is_empty() {
            let reason = "no broker is registered at the name server".to_owned();
            return Err(CallError::Connect { address: "broker".to_owned(), reason });
        }
        Ok(masters.into_iter().map(|(_, address)| address).collect())
    }

    /// Creates the subscription group on all masters, with the defaults that the Java runtime uses.
    ///
    /// # Errors
    /// When a master refuses.
    pub async fn create_group(&self, group: &str) -> Result<(), CallError> {
        for (_, address) in &self.masters().await? {
            self.create_group_at(address, group).await?;
        }
        Ok(())
    }

    /// The same on one broker.
    ///
    /// # Errors
    /// When the broker can't be reached or refuses.
    pub async fn create_group_at(&self, address: &str, group: &str) -> Result<(), CallError> {
        let body = serde_json::json!({
            "groupName": group, "consumeEnable": true, "consumeFromMinEnable": true, "consumeBroadcastEnable": true,
            "retryQueueNums": 1, "retryMaxTimes": 16, "brokerId": 0, "whichBrokerWhenConsumeSlowly": 1,
            "notifyConsumerIdsChangedEnable": true,
        });
        let request = Request::new(request::UPDATE_AND_CREATE_SUBSCRIPTIONGROUP).with_body(body.to_string());
        self.call(address, &request, self.inner.settings.operation_timeout).await.map(drop)
    }

    /// Sends a heartbeat's body to one broker.
    ///
    /// # Errors
    /// When the broker can't be reached or refuses.
    pub async fn heartbeat(&self, address: &str, body: Bytes) -> Result<(), CallError> {
        let request = Request::new(request::HEART_BEAT).with_body(body);
        self.call(address, &request, self.inner.settings.operation_timeout).await.map(drop)
    }

    /// Takes leave of one broker as a member of the given groups; errors don't matter any more.
    pub async fn unregister(&self, address: &str, producer_group: Option<&str>, consumer_group: Option<&str>) {
        let mut request = Request::new(request::UNREGISTER_CLIENT).with("clientID", self.client_id());
        if let Some(group) = producer_group {
            request = request.with("producerGroup", group);
        }
        if let Some(group) = consumer_group {
            request = request.with("consumerGroup", group);
        }
        if self.open_connection(address).is_some() {
            let _ = self.call(address, &request, Duration::from_secs(1)).await;
        }
    }

    /// Members of a consumer group as one broker knows them.
    ///
    /// # Errors
    /// When the broker can't be reached or does not know the group.
    pub async fn group_members(&self, address: &str, group: &str) -> Result<Vec<String>, CallError> {
        #[derive(serde::Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Members {
            #[serde(default)]
            consumer_id_list: Vec<String>,
        }
        let code = request::GET_CONSUMER_LIST_BY_GROUP;
        let request = Request::new(code).with("consumerGroup", group);
        let answer = self.call(address, &request, self.inner.settings.operation_timeout).await?;
        let malformed = |error: serde_json::Error| CallError::Malformed {
            address: address.to_owned(),
            request: code,
            reason: error.to_string(),
        };
        let members: Members = serde_json::from_slice(&answer.body).map_err(malformed)?;
        Ok(members.consumer_id_list)
    }

    /// A queue's number: request `code` with topic and queue id and the given further fields; gives field `field`.
    pub(super) async fn queue_number(
        &self,
        address: &str,
        request: Request,
        queue: &MessageQueue,
        field: &str,
    ) -> Result<i64, CallError> {
        let request = request.with("topic", &*queue.topic).with("queueId", queue.queue_id);
        let answer = self.call(address, &request, self.inner.settings.operation_timeout).await?;
        answer.header.fields.number(field).ok_or_else(|| CallError::Malformed {
            address: address.to_owned(),
            request: request.code,
            reason: format!("field {field} is missing"),
        })
    }

    /// The group's committed offset in a queue: the offset of the next message to read. `None`: nothing committed.
    ///
    /// # Errors
    /// When the broker can't be reached or refuses.
    pub async fn committed_offset(
        &self,
        address: &str,
        group: &str,
        queue: &MessageQueue,
    ) -> Result<Option<i64>, CallError> {
        let request = Request::new(request::QUERY_CONSUMER_OFFSET).with("consumerGroup", group);
        match self.queue_number(address, request, queue, "offset").await {
            Ok(offset) => Ok(Some(offset).filter(|offset| *offset >= 0)),
            Err(error) if error.refusal() == Some(response::QUERY_NOT_FOUND) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Commits the group's offset in a queue.
    ///
    /// # Errors
    /// When the broker can't be reached or refuses.
    pub async fn commit_offset(
        &self,
        address: &str,
        group: &str,
        queue: &MessageQueue,
        offset: i64,
    ) -> Result<(), CallError> {
        let request = Request::new(request::UPDATE_CONSUMER_OFFSET)
            .with("consumerGroup", group)
            .with("topic", &*queue.topic)
            .with("queueId", queue.queue_id)
            .with("commitOffset", offset);
        self.call(address, &request, self.inner.settings.operation_timeout).await.map(drop)
    }

    /// Offset of the first message of a queue.
    ///
    /// # Errors
    /// When the broker can't be reached or refuses.
    pub async fn min_offset(&self, address: &str, queue: &MessageQueue) -> Result<i64, CallError> {
        self.queue_number(address, Request::new(request::GET_MIN_OFFSET), queue, "offset").await
    }

    /// Offset after the last message of a queue. It may lag an acknowledged send by some milliseconds.
    ///
    /// # Errors
    /// When the broker can't be reached or refuses.
    pub async fn max_offset(&self, address: &str, queue: &MessageQueue) -> Result<i64, CallError> {
        self.queue_number(address, Request::new(request::GET_MAX_OFFSET), queue, "offset").await
    }

    /// First offset whose message was stored at or after a time (ms since 1970).
    ///
    /// # Errors
    /// When the broker can't be reached or refuses.
    pub async fn offset_at(&self, address: &str, queue: &MessageQueue, time_ms: i64) -> Result<i64, CallError> {
        let request = Request::new(request::SEARCH_OFFSET_BY_TIMESTAMP).with("timestamp", time_ms);
        self.queue_number(address, request, queue, "offset").await
    }
}

/// The request to create a topic, or to change its number of queues.
fn creation(topic: &str, read_queues: u32, write_queues: u32) -> Request {
    Request::new(request::UPDATE_AND_CREATE_TOPIC)
        .with("topic", topic)
        .with("defaultTopic", TEMPLATE_TOPIC)
        .with("readQueueNums", i64::from(read_queues))
        .with("writeQueueNums", i64::from(write_queues))
        .with("perm", 6)
        .with("topicFilterType", "SINGLE_TAG")
        .with("topicSysFlag", 0)
        .with("order", "false")
}

fn closed(address: &str) -> CallError {
    CallError::Connect { address: address.to_owned(), reason: "the client is closed".to_owned() }
}

fn expect_success(address: &str, request: i32, answer: Response) -> Result<Response, CallError> {
    if answer.header.code == response::SUCCESS {
        return Ok(answer);
    }
    Err(CallError::Refused {
        address: address.to_owned(),
        request,
        code: answer.header.code,
        remark: answer.header.remark.unwrap_or_default(),
    })
}

/// Addresses of `host:port`; a literal address needs no look-up, a name is looked up on a helper thread.
async fn resolve<D: Driver>(address: &str) -> Result<Vec<SocketAddr>, String> {
    if let Ok(address) = address.parse() {
        return Ok(vec![address]);
    }
    let name = address.to_owned();
    D::unblock(move || name.to_socket_addrs().map(Iterator::collect::<Vec<_>>))
        .await
        .map(|mut addresses| {
            // Brokers and name servers mostly listen on IPv4 only.
            addresses.sort_by_key(SocketAddr::is_ipv6);
            addresses
        })
        .map_err(|error| format!("cannot look up {address}: {error}"))
}
