//! The broker's state, without sockets or clocks: a request and the time go in, frames for connections come out.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use super::answer::{Answer, Outgoing, answer_frame, group_changed_frame};
use super::groups::{Groups, Offsets};
use super::pull::Waiting;
use super::store::{self, Found, Store};
use super::topics::{AUTO_QUEUES_MAX, QUEUES_MAX, TEMPLATE_TOPIC, TopicError, TopicSettings, Topics};
use crate::remoting::code::{request as code, response};
use crate::remoting::header::Header;
use crate::remoting::unique_id::UniqueIds;

pub use super::groups::ConnectionId;
pub use super::store::StoreLimits;

/// Name of the only broker.
pub const BROKER_NAME: &str = "rmqc-embedded";
/// Name of the only cluster.
pub const CLUSTER_NAME: &str = "DefaultCluster";
const TOPICS_FILE: &str = "topics.json";
const OFFSETS_FILE: &str = "offsets.json";
const LOCK_FILE: &str = "lock";

/// How the broker is set up.
#[derive(Clone, Copy, Debug)]
pub struct BrokerLimits {
    /// Bounds of the store.
    pub store: StoreLimits,
    /// Most messages of one pull answer.
    pub pull_messages_max: usize,
    /// Most bytes of one pull answer of several messages.
    pub pull_bytes_max: usize,
    /// A queue's lock that is not renewed lasts so long, in ms.
    pub lock_ms: u64,
}

impl Default for BrokerLimits {
    /// Larger pull answers than an Apache broker's default of 32 messages and 256 KiB, since a laptop's trial should
    /// not be slowed by round trips.
    fn default() -> Self {
        Self { store: StoreLimits::default(), pull_messages_max: 1024, pull_bytes_max: 1024 * 1024, lock_ms: 60_000 }
    }
}

/// A point in time, by both clocks.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// Wall clock, ms since 1970.
    pub wall_ms: i64,
    /// A clock that never goes backwards, in ms.
    pub mono_ms: u64,
}

/// Whom a request came from.
#[derive(Clone, Copy, Debug)]
pub struct Caller {
    /// The connection.
    pub connection: ConnectionId,
    /// The client's address.
    pub address: SocketAddr,
    /// Now.
    pub now: Moment,
}

/// Why the broker can't be opened.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {reason}")]
pub struct OpenError {
    path: PathBuf,
    reason: String,
}

impl OpenError {
    fn new(path: impl Into<PathBuf>, reason: impl ToString) -> Self {
        Self { path: path.into(), reason: reason.to_string() }
    }
}

/// Name server and broker in one, with one directory.
pub struct Broker {
    pub(super) dir: PathBuf,
    pub(super) address: SocketAddr,
    pub(super) limits: BrokerLimits,
    pub(super) topics: Topics,
    pub(super) groups: Groups,
    pub(super) store: Store,
    pub(super) waiting: Waiting,
    pub(super) unique_ids: UniqueIds,
    pub(super) started: Moment,
    pub(super) received: u64,
    pub(super) delivered: u64,
    outbox: Vec<Outgoing>,
    offsets_changed: bool,
    /// Held for the lock on it.
    _lock: File,
}

/// What is to be made durable; see [`Broker::flush_work`].
#[derive(Default)]
pub struct FlushWork {
    files: Vec<Arc<File>>,
    offsets: Option<(PathBuf, Vec<u8>)>,
}

impl FlushWork {
    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.files.is_empty() && self.offsets.is_none()
    }

    /// Writes and syncs. Blocks.
    ///
    /// # Errors
    /// The first error; the rest was tried.
    pub fn run(self) -> io::Result<()> {
        let synced = self.files.iter().map(|file| file.sync_data()).fold(Ok(()), Result::and);
        let replaced = self.offsets.map_or(Ok(()), |(dir, content)| store::file::replace(&dir, OFFSETS_FILE, &content));
        synced.and(replaced)
    }
}

impl Broker {
    /// Opens the broker in `dir`, which is made if it is not there. `address` is told to clients.
    ///
    /// # Errors
    /// When another broker uses the directory, or a file can't be read or is damaged.
    pub fn open(dir: &Path, address: SocketAddr, limits: BrokerLimits, now: Moment) -> Result<Self, OpenError> {
        fs::create_dir_all(dir).map_err(|error| OpenError::new(dir, error))?;
        let lock = lock(&dir.join(LOCK_FILE))?;
        let mut topics = Topics::default();
        for (name, settings) in read_json::<BTreeMap<String, TopicSettings>>(dir, TOPICS_FILE)?.unwrap_or_default() {
            topics.put(&name, settings).map_err(|error| OpenError::new(dir.join(TOPICS_FILE), error))?;
        }
        let mut groups = Groups::default();
        for (name, offsets) in read_json::<BTreeMap<String, Offsets>>(dir, OFFSETS_FILE)?.unwrap_or_default() {
            if let Some((group, _)) = groups.known_or_new(&name) {
                group.offsets = offsets;
            }
        }
        let store = Store::open(dir, limits.store, |found| index_found(&mut topics, &found))
            .map_err(|error| OpenError::new(dir, error))?;
        let ip = match address.ip() {
            IpAddr::V4(ip) => ip,
            IpAddr::V6(_) => Ipv4Addr::LOCALHOST,
        };
        let mut broker = Self {
            dir: dir.to_owned(),
            address,
            limits,
            topics,
            groups,
            store,
            waiting: Waiting::default(),
            unique_ids: UniqueIds::new(ip, std::process::id(), u32::from(address.port())),
            started: now,
            received: 0,
            delivered: 0,
            outbox: Vec::new(),
            offsets_changed: false,
            _lock: lock,
        };
        // After a crash of the machine the log may end before the place where a topic was made.
        if broker.topics.clamp_since(broker.store.end()) {
            broker.save_topics().map_err(|error| OpenError::new(dir.join(TOPICS_FILE), error))?;
        }
        if broker.topics.get(TEMPLATE_TOPIC).is_none() {
            let template = TopicSettings::new(AUTO_QUEUES_MAX, 0);
            broker.make_topic(TEMPLATE_TOPIC, template).map_err(|error| OpenError::new(dir, error.remark()))?;
        }
        Ok(broker)
    }

    /// Takes a request. What is to be sent stands in [`Broker::take_outbox`] afterwards.
    pub fn request(&mut self, caller: Caller, header: &Header, body: &Bytes) {
        if header.is_response() {
            return;
        }
        let Some(answer) = self.carry_out(caller, header, body) else { return };
        if !header.is_oneway() {
            self.outbox.push(answer_frame(caller.connection, header.opaque, answer));
        }
    }

    /// `None` when the answer comes later.
    fn carry_out(&mut self, caller: Caller, header: &Header, body: &Bytes) -> Option<Answer> {
        let fields = &header.fields;
        Some(match header.code {
            code::SEND_MESSAGE | code::SEND_MESSAGE_V2 => self.send_one(caller, header, body),
            code::SEND_BATCH_MESSAGE => self.send_batch(caller, header, body),
            code::PULL_MESSAGE | code::LITE_PULL_MESSAGE => return self.pull(caller, header),
            code::QUERY_CONSUMER_OFFSET => self.query_offset(fields),
            code::UPDATE_CONSUMER_OFFSET => self.update_offset(fields),
            code::SEARCH_OFFSET_BY_TIMESTAMP => self.search_offset(fields),
            code::GET_MAX_OFFSET => self.max_offset(fields),
            code::GET_MIN_OFFSET => self.min_offset(fields),
            code::GET_EARLIEST_MSG_STORETIME => self.earliest_store_time(fields),
            code::HEART_BEAT => self.heartbeat(caller, body),
            code::UNREGISTER_CLIENT => self.unregister(fields),
            code::GET_CONSUMER_LIST_BY_GROUP => self.consumer_list(fields),
            code::LOCK_BATCH_MQ => self.lock_queues(caller, body),
            code::UNLOCK_BATCH_MQ => self.unlock_queues(body),
            code::INVOKE_BROKER_TO_RESET_OFFSET => self.reset_offsets(fields),
            code::GET_ROUTEINFO_BY_TOPIC => self.route(header),
            code::GET_BROKER_CLUSTER_INFO => self.cluster_info(),
            code::GET_ALL_TOPIC_LIST_FROM_NAMESERVER => self.topic_list(),
            code::UPDATE_AND_CREATE_TOPIC => self.update_topic(fields),
            code::DELETE_TOPIC_IN_BROKER => self.delete_topic(fields),
            code::DELETE_TOPIC_IN_NAMESRV => Answer::done(),
            code::GET_ALL_TOPIC_CONFIG => self.all_topic_configs(),
            code::GET_TOPIC_CONFIG => self.topic_config(fields),
            code::UPDATE_AND_CREATE_SUBSCRIPTIONGROUP => self.update_group(body),
            code::GET_TOPIC_STATS_INFO => self.topic_stats(fields),
            code::GET_CONSUME_STATS => self.consume_stats(fields),
            code::DELETE_SUBSCRIPTIONGROUP => self.delete_group(fields),
            code::GET_BROKER_CONFIG => self.settings_text(),
            code::GET_BROKER_RUNTIME_INFO => self.runtime_info(caller.now),
            other => Answer::refused(
                response::REQUEST_CODE_NOT_SUPPORTED,
                format!("request code {other} is not supported by the embedded broker"),
            ),
        })
    }

    /// A connection is gone: its pulls and memberships end.
    pub fn disconnect(&mut self, connection: ConnectionId) {
        self.waiting.disconnect(connection);
        for (group, members) in self.groups.disconnect(connection) {
            self.tell_members(&group, members);
        }
    }

    /// Ends the long polls whose time is over.
    pub fn tick(&mut self, now: Moment) {
        for pull in self.waiting.take_overdue(now.mono_ms) {
            self.finish_pull(pull);
        }
    }

    /// The frames to be sent, in order.
    pub fn take_outbox(&mut self) -> Vec<Outgoing> {
        std::mem::take(&mut self.outbox)
    }

    /// What was stored but perhaps not yet made durable. Run it off this thread.
    pub fn flush_work(&mut self) -> FlushWork {
        let offsets = std::mem::take(&mut self.offsets_changed)
            .then(|| serde_json::to_vec(&self.groups.offsets()).ok())
            .flatten()
            .map(|content| (self.dir.clone(), content));
        FlushWork { files: self.store.unsynced(), offsets }
    }

    pub(super) fn post(&mut self, outgoing: Outgoing) {
        self.outbox.push(outgoing);
    }

    pub(super) fn note_offsets_changed(&mut self) {
        self.offsets_changed = true;
    }

    /// Tells the members of a group that its membership changed.
    pub(super) fn tell_members(&mut self, group: &str, members: BTreeSet<ConnectionId>) {
        self.outbox.extend(members.into_iter().map(|to| group_changed_frame(to, group)));
    }

    /// Makes or changes a topic, durably.
    pub(super) fn make_topic(&mut self, name: &str, settings: TopicSettings) -> Result<(), MakeTopicError> {
        let before = self.topics.get(name).map(|topic| topic.settings.clone());
        if before.as_ref().is_some_and(|before| TopicSettings { since: before.since, ..settings.clone() } == *before) {
            return Ok(());
        }
        self.topics.put(name, settings)?;
        if let Err(error) = self.save_topics() {
            // What is not durable is not there.
            match before {
                Some(before) => drop(self.topics.put(name, before)),
                None => drop(self.topics.remove(name)),
            }
            return Err(error.into());
        }
        Ok(())
    }

    pub(super) fn save_topics(&self) -> io::Result<()> {
        let content = serde_json::to_vec(&self.topics.settings()).map_err(io::Error::other)?;
        store::file::replace(&self.dir, TOPICS_FILE, &content)
    }
}

/// Why a topic was not made.
#[derive(Debug, thiserror::Error)]
pub(super) enum MakeTopicError {
    #[error(transparent)]
    Refused(#[from] TopicError),
    #[error("{TOPICS_FILE} could not be written: {0}")]
    Io(#[from] io::Error),
}

impl MakeTopicError {
    fn remark(&self) -> String {
        self.to_string()
    }

    pub fn answer(&self) -> Answer {
        let code = match self {
            Self::Refused(TopicError::Name(_)) => response::INVALID_PARAMETER,
            Self::Refused(_) => response::SYSTEM_ERROR,
            Self::Io(_) => response::SERVICE_NOT_AVAILABLE,
        };
        Answer::refused(code, self.remark())
    }
}

fn lock(path: &Path) -> Result<File, OpenError> {
    let file = File::options().create(true).truncate(false).write(true).open(path);
    let file = file.map_err(|error| OpenError::new(path, error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => {
            Err(OpenError::new(path, "another process uses this directory; give each embedded broker its own"))
        }
        Err(fs::TryLockError::Error(error)) => Err(OpenError::new(path, error)),
    }
}

fn read_json<T: serde::de::DeserializeOwned>(dir: &Path, name: &str) -> Result<Option<T>, OpenError> {
    let path = || dir.join(name);
    let content = store::file::read(dir, name).map_err(|error| OpenError::new(path(), error))?;
    content.map(|content| serde_json::from_slice(&content).map_err(|error| OpenError::new(path(), error))).transpose()
}

/// Puts a message found at the start into its queue's index; those of deleted topics are passed over.
fn index_found(topics: &mut Topics, found: &Found<'_>) -> Result<(), String> {
    let message = found.message;
    let Some(topic) = std::str::from_utf8(found.topic).ok().and_then(|name| topics.get_mut(name)) else {
        return Ok(());
    };
    if found.position < topic.settings.since {
        return Ok(());
    }
    let queue_id = u32::try_from(message.queue_id).ok().filter(|id| *id < QUEUES_MAX);
    let queue_id = queue_id.ok_or_else(|| format!("a message of queue {}", message.queue_id))?;
    let queue = topic.queue_mut(queue_id);
    if message.queue_offset != queue.next().cast_signed() {
        return Err(format!("queue offset {} where {} should follow", message.queue_offset, queue.next()));
    }
    queue.push(found.position, found.size);
    Ok(())
}
