//! The one place that decides: what the user wants is stored first, then reached. Everything comes in through one
//! bounded queue of intents or as events of the shards, and is taken one by one.

mod couriers;
mod define;
mod direct;
mod positions;
mod reports;
pub mod standalone;

use std::sync::Arc;
use std::time::Duration;

use rmqc_core::config::Properties;
use rmqc_core::config::connector::{COMMON_KEYS, SINK_KEYS, SOURCE_KEYS, TOPIC_NAME};
use rmqc_core::config::key::{ConfigErrors, ConfigKey, MASK, is_secret};
use rmqc_core::id::ShardId;
use rmqc_core::metrics::ShardReport;
use rmqc_core::registry::{ConnectorFactory, ConnectorKind};
use rmqc_core::state::TargetState;
use tokio::sync::{mpsc, oneshot};

use crate::worker::TaskView;

pub use define::{ConverterDefaults, Definition, define};

/// Intents that wait; who wants to add one waits too.
pub const INTENTS_MAX: usize = 256;

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
    /// Its tasks, in order.
    pub tasks: Vec<TaskView>,
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
    /// Tasks that still drain though their connector was deleted or changed.
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

type Reply<T> = oneshot::Sender<T>;

/// What one may ask of the controller.
pub(crate) enum Intent {
    Create(String, Properties, Reply<Result<(), ControlError>>),
    Remove(String, Reply<Result<(), ControlError>>),
    RemoveAll(Reply<Result<Vec<String>, ControlError>>),
    Target(String, TargetState, Reply<Result<(), ControlError>>),
    TargetAll(TargetState, Reply<Result<usize, ControlError>>),
    Look(Reply<Snapshot>),
    Report(Reply<Reports>),
    Shutdown(Duration, Reply<Vec<String>>),
}

/// Asks the controller. Cheap to clone.
#[derive(Clone)]
pub struct Controller {
    intents: mpsc::Sender<Intent>,
}

impl Controller {
    pub(crate) fn new(intents: mpsc::Sender<Intent>) -> Self {
        Self { intents }
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
        self.ask(|reply| Intent::Create(name.to_owned(), properties, reply)).await?
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

    /// Stops everything in order: tasks drain and commit, states are stored, shards end. Gives what was left undone
    /// when the deadline passed.
    ///
    /// # Errors
    /// When the worker is stopping already.
    pub async fn shutdown(&self, deadline: Duration) -> Result<Vec<String>, ControlError> {
        self.ask(|reply| Intent::Shutdown(deadline, reply)).await
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

/// A configuration with the values of secret keys hidden.
#[must_use]
pub fn masked(properties: &Properties, factory: Option<&'static ConnectorFactory>) -> Properties {
    let keys = known_keys(properties, factory);
    let value = |name: &String, value: &String| if is_secret(name, &keys) { MASK.to_owned() } else { value.clone() };
    properties.iter().map(|(name, text)| (name.clone(), value(name, text))).collect()
}
