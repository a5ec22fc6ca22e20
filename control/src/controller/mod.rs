//! The one place that decides: what the user wants is stored first, then reached. Everything comes in through one
//! bounded queue of intents or as events of the shards, and is taken one by one.

mod couriers;
mod define;
mod direct;
mod positions;
mod reports;
mod secrets;
pub mod standalone;
mod taps;
mod validate;
mod warnings;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rmqc_core::config::Properties;
use rmqc_core::config::connector::{COMMON_KEYS, SINK_KEYS, SOURCE_KEYS, TOPIC_NAME};
use rmqc_core::config::key::{ConfigErrors, ConfigKey};
use rmqc_core::config::provider::any_refers;
use rmqc_core::id::ShardId;
use rmqc_core::metrics::ShardReport;
use rmqc_core::position::StoredPosition;
use rmqc_core::registry::{ConnectorFactory, ConnectorKind};
use rmqc_core::state::TargetState;
use rmqc_core::tap::{TapRecord, TapSpec};
use tokio::sync::{mpsc, oneshot};

use crate::flow::Look;
use crate::health::ConnectorHealth;
use crate::worker::TaskView;

pub use crate::store::PositionEdits;
pub use define::{ConverterDefaults, DefineSettings, Definition, define};
pub use secrets::{logged, masked};
pub use validate::{CheckedKey, ConfigWarning, Validation, validate};

/// Intents that wait; who wants to add one waits too.
pub const INTENTS_MAX: usize = 256;
/// Batches of tapped records that wait for whoever looks at them; further ones are not seen.
const TAPPED_MAX: usize = 64;

/// Why the controller did not do what was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ControlError {
    /// The configuration is wrong: everything that is.
    #[error("{0}")]
    Invalid(ConfigErrors),
    /// No connector of that class is in this binary.
    #[error("{0}")]
    UnknownClass(String),
    /// The connector has this very configuration already.
    #[error("Connector with same config already exist.")]
    SameConfig,
    /// There is no such connector.
    #[error("Connector [{0}] does not exist")]
    NotFound(String),
    /// The connector has no task of that index.
    #[error("Task [{0}-{1}] does not exist")]
    NoTask(String, u32),
    /// There is one of that name already.
    #[error("Connector {0} already exists")]
    Exists(String),
    /// Not in the state that it is in: says which, and what to do first.
    #[error("{0}")]
    Conflict(String),
    /// The cluster did not do its part; nothing was changed here.
    #[error("{0}")]
    Cluster(String),
    /// The store refused; nothing was changed.
    #[error("{0}")]
    Store(String),
    /// The worker is stopping.
    #[error("the worker is stopping")]
    Stopping,
}

/// A connector as others may see it.
#[derive(Clone)]
pub struct ConnectorView {
    /// Its name.
    pub name: String,
    /// Its configuration, with secrets.
    pub properties: Arc<Properties>,
    /// What the user wants.
    pub target: TargetState,
    /// What it is built by; none when this binary does not have it.
    pub factory: Option<&'static ConnectorFactory>,
    /// Why it can't be built though it is stored.
    pub failure: Option<String>,
    /// What last became of its configuration; none when that was before this process.
    pub last_change: Option<LastChange>,
    /// Its tasks, in order.
    pub tasks: Vec<TaskView>,
}

/// What last became of a connector's configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastChange {
    /// What.
    pub kind: ChangeKind,
    /// When, in milliseconds since 1970.
    pub at_ms: i64,
    /// Why it was rolled back.
    pub cause: Option<Arc<str>>,
}

/// What may become of a connector's configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    /// It is the first one.
    Created,
    /// Somebody changed it.
    Updated,
    /// Its tasks could not start, so the one before it came back.
    RolledBack,
}

impl ChangeKind {
    /// The name used in REST and on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Updated => "updated",
            Self::RolledBack => "rolled back",
        }
    }
}

impl ConnectorView {
    /// Which way it moves records, if known.
    #[must_use]
    pub fn kind(&self) -> Option<ConnectorKind> {
        self.factory.map(|factory| factory.build.kind())
    }
}

/// All connectors and tasks at one moment.
#[derive(Clone, Default)]
pub struct Snapshot {
    /// Connectors, sorted by name.
    pub connectors: Vec<ConnectorView>,
    /// Tasks that still drain though their connector was deleted, stopped or changed.
    pub leaving: Vec<TaskView>,
    /// Whether the worker is on its way out.
    pub stopping: bool,
}

impl Snapshot {
    /// One connector.
    #[must_use]
    pub fn connector(&self, name: &str) -> Option<&ConnectorView> {
        self.connectors.iter().find(|connector| connector.name == name)
    }
}

/// What the shards answered to one request for reports.
#[derive(Clone, Default)]
pub struct Reports {
    /// Reports that came, in the order of their shards.
    pub shards: Vec<(ShardId, Arc<ShardReport>)>,
    /// Shards that did not answer in time.
    pub missing: Vec<ShardId>,
}

/// Whether whoever asks for the flow goes on asking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watch {
    /// This once: what was seen by the way will do.
    Glance,
    /// For some seconds from now on the shards are asked every second, so that the next answer has something to tell.
    Stay,
}

/// What the controller saw lately.
#[derive(Clone)]
pub struct Seen {
    /// The look that the newest is compared with; none where there was no other.
    pub earlier: Option<Arc<Look>>,
    /// The newest look, about a second old at most.
    pub later: Arc<Look>,
    /// Connectors and tasks as they are now.
    pub snapshot: Snapshot,
    /// How connectors fare, by name.
    pub health: BTreeMap<String, ConnectorHealth>,
}

/// What shall become of a connector's configuration.
#[derive(Clone, Debug)]
pub enum Edit {
    /// This one in the place of the old.
    Replace(Properties),
    /// The old one with these keys set, or removed where there is no value.
    Patch(BTreeMap<String, Option<String>>),
}

/// Whether there has to be a connector of that name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Must {
    /// There may be one, or not.
    Either,
    /// There must be none: [`ControlError::Exists`].
    BeNew,
    /// There must be one: [`ControlError::NotFound`].
    Exist,
}

/// A change of one connector.
#[derive(Clone, Debug)]
pub struct Change {
    /// Its name.
    pub name: String,
    /// Its configuration.
    pub edit: Edit,
    /// Whether there has to be one.
    pub must: Must,
    /// Its target state if it is new; none: started. One that exists keeps its own.
    pub target: Option<TargetState>,
    /// Whether an equal configuration is an error, as in the Java worker's API: [`ControlError::SameConfig`].
    pub same_is_error: bool,
}

/// What a change did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Changed {
    /// The connector is new.
    Created,
    /// Its configuration is another one.
    Updated,
    /// It had this configuration already.
    Same,
}

/// Which tasks of a connector to start again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restart {
    /// All of them.
    All,
    /// Those that failed.
    OnlyFailed,
    /// One, by its index, whatever its state.
    One(u32),
    /// None: only what concerns the connector itself, such as a configuration that could not be used.
    None,
}

/// What to forget with a connector that is deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Forget {
    /// A source's positions.
    pub positions: bool,
    /// A sink's consumer group with its offsets, unless the configuration names the group: others may use it.
    pub group: bool,
}

type Reply<T> = oneshot::Sender<T>;

/// What one may ask of the controller.
pub(crate) enum Intent {
    Remove(String, Reply<Result<(), ControlError>>),
    RemoveAll(Reply<Result<Vec<String>, ControlError>>),
    Target(String, TargetState, Reply<Result<(), ControlError>>),
    TargetAll(TargetState, Reply<Result<usize, ControlError>>),
    Change(Change, Reply<Result<Changed, ControlError>>),
    RemoveAndForget(String, Forget, Reply<Result<(), ControlError>>),
    Restart(String, Restart, Reply<Result<(), ControlError>>),
    Positions(String, Reply<Result<Vec<StoredPosition>, ControlError>>),
    AlterPositions(String, PositionEdits, Reply<Result<(), ControlError>>),
    Tap(String, TapSpec, mpsc::Sender<Vec<TapRecord>>, Reply<Result<(), ControlError>>),
    Look(Reply<Snapshot>),
    Report(Reply<Reports>),
    Health(Reply<BTreeMap<String, ConnectorHealth>>),
    Flow(Watch, Reply<Seen>),
    Shutdown(Duration, Reply<Vec<String>>),
}

/// Asks the controller. Cheap to clone.
#[derive(Clone)]
pub struct Controller {
    intents: mpsc::Sender<Intent>,
    define: DefineSettings,
}

impl Controller {
    pub(crate) fn new(intents: mpsc::Sender<Intent>, define: DefineSettings) -> Self {
        Self { intents, define }
    }

    async fn ask<T>(&self, intent: impl FnOnce(Reply<T>) -> Intent) -> Result<T, ControlError> {
        let (reply, answer) = oneshot::channel();
        self.intents.send(intent(reply)).await.map_err(|_| ControlError::Stopping)?;
        answer.await.map_err(|_| ControlError::Stopping)
    }

    /// Creates a connector or replaces its configuration. Stored durably when it returns; tasks start after that.
    ///
    /// # Errors
    /// Everything wrong with the configuration, or the store's refusal; then nothing has changed.
    pub async fn create(&self, name: &str, properties: Properties) -> Result<(), ControlError> {
        let (edit, must) = (Edit::Replace(properties), Must::Either);
        let change = Change { name: name.to_owned(), edit, must, target: None, same_is_error: true };
        self.change(change).await.map(drop)
    }

    /// Deletes a connector; unknown names do nothing. Its tasks drain after that.
    ///
    /// # Errors
    /// The store's refusal; then nothing has changed.
    pub async fn remove(&self, name: &str) -> Result<(), ControlError> {
        self.ask(|reply| Intent::Remove(name.to_owned(), reply)).await?
    }

    /// Deletes all connectors and names them.
    ///
    /// # Errors
    /// The store's refusal; then nothing has changed.
    pub async fn remove_all(&self) -> Result<Vec<String>, ControlError> {
        self.ask(Intent::RemoveAll).await?
    }

    /// Pauses a connector, or lets it go on, which also starts its failed tasks again.
    ///
    /// # Errors
    /// An unknown name, or the store's refusal; then nothing has changed.
    pub async fn set_target(&self, name: &str, target: TargetState) -> Result<(), ControlError> {
        self.ask(|reply| Intent::Target(name.to_owned(), target, reply)).await?
    }

    /// The same for all connectors; gives their number.
    ///
    /// # Errors
    /// The store's refusal; then nothing has changed.
    pub async fn set_target_all(&self, target: TargetState) -> Result<usize, ControlError> {
        self.ask(|reply| Intent::TargetAll(target, reply)).await?
    }

    /// Creates a connector or changes its configuration. Stored durably when it returns; only its tasks start again.
    ///
    /// # Errors
    /// Everything wrong with the configuration, [`Must`] not met, or the store's refusal; then nothing has changed.
    pub async fn change(&self, change: Change) -> Result<Changed, ControlError> {
        self.ask(|reply| Intent::Change(change, reply)).await?
    }

    /// Deletes a connector. With something to forget it returns when that is forgotten, which is after its tasks have
    /// drained.
    ///
    /// # Errors
    /// An unknown name, unless positions of it are left that shall be forgotten; the store's or the cluster's refusal, or
    /// tasks that take too long to drain: the connector is then deleted, what should be forgotten is named in the error.
    pub async fn remove_and_forget(&self, name: &str, forget: Forget) -> Result<(), ControlError> {
        self.ask(|reply| Intent::RemoveAndForget(name.to_owned(), forget, reply)).await?
    }

    /// Starts tasks of a connector again, with a fresh budget of restarts. Running ones drain and commit first.
    ///
    /// # Errors
    /// An unknown name or task; a stopped connector, which has no tasks.
    pub async fn restart(&self, name: &str, which: Restart) -> Result<(), ControlError> {
        self.ask(|reply| Intent::Restart(name.to_owned(), which, reply)).await?
    }

    /// The committed positions of a source connector, or of a name that has some left.
    ///
    /// # Errors
    /// When the worker is stopping.
    pub async fn positions(&self, name: &str) -> Result<Vec<StoredPosition>, ControlError> {
        self.ask(|reply| Intent::Positions(name.to_owned(), reply)).await?
    }

    /// Changes the positions of a stopped source connector. Stored durably when it returns.
    ///
    /// # Errors
    /// An unknown name; a connector that is not stopped, or whose tasks still drain; the store's refusal.
    pub async fn alter_positions(&self, name: &str, edits: PositionEdits) -> Result<(), ControlError> {
        self.ask(|reply| Intent::AlterPositions(name.to_owned(), edits, reply)).await?
    }

    /// Looks at records of all running tasks of a connector; they come through the receiver until the spec's bounds are
    /// reached or it is dropped. The spec's number is given by the controller.
    ///
    /// # Errors
    /// An unknown name, or no running task.
    pub async fn tap(&self, name: &str, spec: TapSpec) -> Result<mpsc::Receiver<Vec<TapRecord>>, ControlError> {
        let (records, receiver) = mpsc::channel(TAPPED_MAX);
        self.ask(|reply| Intent::Tap(name.to_owned(), spec, records, reply)).await??;
        Ok(receiver)
    }

    /// Everything that there is to say about a configuration; nothing is changed. The controller's own loop has no part
    /// in it, so that a provider that is slow to answer holds nobody up.
    ///
    /// # Errors
    /// When it takes longer than a few seconds.
    pub async fn validate(&self, properties: Properties) -> Result<Validation, ControlError> {
        let settings = self.define.clone();
        aside(&properties.clone(), move || validate(&properties, &settings)).await
    }

    /// All connectors and tasks, now.
    ///
    /// # Errors
    /// When the worker is stopping.
    pub async fn look(&self) -> Result<Snapshot, ControlError> {
        self.ask(Intent::Look).await
    }

    /// Counters of all shards; waits for them about a second.
    ///
    /// # Errors
    /// When the worker is stopping.
    pub async fn report(&self) -> Result<Reports, ControlError> {
        self.ask(Intent::Report).await
    }

    /// How all connectors fare, by name; waits for the shards' counters about a second.
    ///
    /// # Errors
    /// When the worker is stopping.
    pub async fn health(&self) -> Result<BTreeMap<String, ConnectorHealth>, ControlError> {
        self.ask(Intent::Health).await
    }

    /// What everything did lately.
    ///
    /// # Errors
    /// When the worker is stopping.
    pub async fn flow(&self, watch: Watch) -> Result<Seen, ControlError> {
        self.ask(|reply| Intent::Flow(watch, reply)).await
    }

    /// Stops everything in order: tasks drain and commit, states are stored, shards end. Gives what was left undone
    /// when the deadline passed.
    ///
    /// # Errors
    /// When the worker is stopping already.
    pub async fn shutdown(&self, deadline: Duration) -> Result<Vec<String>, ControlError> {
        self.ask(|reply| Intent::Shutdown(deadline, reply)).await
    }
}

/// Longest time that references of one configuration may take to be looked up.
const PROVIDERS_PATIENCE: Duration = Duration::from_secs(10);

/// Does work on a configuration: at once if it holds no references, else where it may block, with a deadline.
async fn aside<T: Send + 'static>(
    properties: &Properties,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ControlError> {
    if !any_refers(properties) {
        return Ok(work());
    }
    match tokio::time::timeout(PROVIDERS_PATIENCE, tokio::task::spawn_blocking(work)).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(_)) => Err(ControlError::Conflict("a config provider broke; see the log".to_owned())),
        Err(_) => Err(ControlError::Conflict(format!(
            "the config providers did not answer within {} s; see to what the references name",
            PROVIDERS_PATIENCE.as_secs()
        ))),
    }
}

/// All keys that a connector of this kind knows.
pub fn keys_of(factory: &'static ConnectorFactory) -> impl Iterator<Item = &'static ConfigKey> {
    let more = match factory.build.kind() {
        ConnectorKind::Source => SOURCE_KEYS,
        ConnectorKind::Sink => SINK_KEYS,
    };
    COMMON_KEYS.iter().chain(more).chain(factory.keys)
}

/// All keys that a connector of this kind knows with this configuration: a direct one knows those of its two tasks too.
#[must_use]
pub fn known_keys(properties: &Properties, factory: Option<&'static ConnectorFactory>) -> Vec<ConfigKey> {
    let mut keys: Vec<ConfigKey> = factory.into_iter().flat_map(keys_of).copied().collect();
    if let Ok(Some(halves)) = direct::Halves::of(properties) {
        let more = std::iter::once(&TOPIC_NAME).chain(halves.source.keys).chain(halves.sink.keys);
        keys.extend(more.copied());
    }
    keys
}
