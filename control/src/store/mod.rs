//! What survives the process: connectors with their target states, positions, and the last known states. Each store is a
//! small trait with a memory form and a file form; both pass one test suite.
//!
//! All calls may block on the disk. They are made on tokio's blocking threads, never on its reactor.

mod codec;
mod file;
mod memory;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::PathBuf;

use rmqc_core::config::Properties;
use rmqc_core::position::{RecordPartition, Scalar, StoredPosition};
use rmqc_core::state::TargetState;

pub use file::{FileConfigStore, FilePositionStore, FileStateStore};
pub use memory::{MemoryConfigStore, MemoryPositionStore, MemoryStateStore};

/// Why a store can't be read or written. Names the file, and what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The disk refused.
    #[error("cannot {what} {}: {cause}", path.display())]
    Io {
        /// What was tried: `read`, `write`, …
        what: &'static str,
        /// Which file or directory.
        path: PathBuf,
        /// What the system said.
        cause: std::io::Error,
    },
    /// The file and its backup hold something else than the store wrote.
    #[error("{} is damaged at byte {position}: {what}; {remedy}", path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// Where in the file, from 0.
        position: usize,
        /// What is wrong there.
        what: String,
        /// What the user can do.
        remedy: String,
    },
}

/// One connector as it is stored.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredConnector {
    /// Its name.
    pub name: String,
    /// Its configuration, as the user gave it, every value as text.
    pub properties: Properties,
    /// What the user wants of it.
    pub target: TargetState,
    /// Milliseconds since 1970 of its last change, larger with each change.
    pub epoch: i64,
    /// Configurations of its tasks. Kept for the Java worker, which reads them back; this worker makes them anew.
    pub tasks: Vec<Properties>,
}

/// The last known state of a connector and its tasks.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredStatus {
    /// The connector.
    pub connector: String,
    /// `RUNNING`, `PAUSED`, `FAILED` or `UNASSIGNED`.
    pub state: String,
    /// Why it failed.
    pub trace: Option<String>,
    /// Which worker says so.
    pub worker_id: String,
    /// Milliseconds since 1970 of the last change.
    pub generation: i64,
    /// Its tasks in order: index, state, cause, time of change.
    pub tasks: Vec<StoredTaskStatus>,
}

/// The last known state of one task.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredTaskStatus {
    /// Index inside the connector.
    pub index: u32,
    /// As in [`StoredStatus::state`].
    pub state: String,
    /// Why it failed.
    pub trace: Option<String>,
    /// Milliseconds since 1970 of the last change.
    pub generation: i64,
}

/// Remembers connectors. A change is durable when the call returns.
pub trait ConfigStore: Send {
    /// All connectors, sorted by name.
    fn all(&self) -> Vec<StoredConnector>;
    /// Adds or replaces connectors, all or none of them.
    ///
    /// # Errors
    /// When it could not be made durable; the store is then as before.
    fn put(&mut self, connectors: &[StoredConnector]) -> Result<(), StoreError>;
    /// Removes connectors; unknown names do nothing.
    ///
    /// # Errors
    /// As for [`ConfigStore::put`].
    fn remove(&mut self, names: &[String]) -> Result<(), StoreError>;
}

/// Remembers how far sources have read. A change is durable when the call returns.
pub trait PositionStore: Send {
    /// The positions of one connector.
    fn of(&self, connector: &str) -> Vec<StoredPosition>;
    /// Replaces the offsets of the named partitions of each connector, all at once.
    ///
    /// # Errors
    /// When it could not be made durable; the store is then as before.
    fn put(&mut self, changes: &[(String, Vec<StoredPosition>)]) -> Result<(), StoreError>;
    /// Replaces the offsets of partitions of one connector, or forgets those that have none here, all at once. Of several
    /// edits of one partition the last one counts.
    ///
    /// # Errors
    /// As for [`PositionStore::put`].
    fn alter(&mut self, connector: &str, edits: &PositionEdits) -> Result<(), StoreError>;
    /// Forgets all positions of a connector; unknown names do nothing.
    ///
    /// # Errors
    /// As for [`PositionStore::put`].
    fn remove(&mut self, connector: &str) -> Result<(), StoreError>;
}

/// A change of a connector's positions: for each partition its offset, or none to forget it.
pub type PositionEdits = Vec<(RecordPartition, Option<BTreeMap<String, Scalar>>)>;

/// Remembers states, for people and for the Java worker. Nothing depends on them.
pub trait StateStore: Send {
    /// What was stored last, sorted by connector.
    fn all(&self) -> Vec<StoredStatus>;
    /// Replaces everything.
    ///
    /// # Errors
    /// When it could not be written.
    fn replace(&mut self, statuses: &[StoredStatus]) -> Result<(), StoreError>;
}

/// The three stores of one worker.
pub struct Stores {
    /// Connectors.
    pub config: Box<dyn ConfigStore>,
    /// Positions.
    pub position: Box<dyn PositionStore>,
    /// States.
    pub state: Box<dyn StateStore>,
}

impl Stores {
    /// Stores that forget everything with the process.
    #[must_use]
    pub fn in_memory() -> Self {
        Self {
            config: Box::new(MemoryConfigStore::default()),
            position: Box::new(MemoryPositionStore::default()),
            state: Box::new(MemoryStateStore::default()),
        }
    }

    /// Opens the files below `root/config`, and reads them.
    ///
    /// # Errors
    /// A file that can't be read, or is damaged together with its backup.
    pub fn in_files(root: &std::path::Path) -> Result<Self, StoreError> {
        let dir = root.join("config");
        Ok(Self {
            config: Box::new(FileConfigStore::open(&dir)?),
            position: Box::new(FilePositionStore::open(&dir)?),
            state: Box::new(FileStateStore::open(&dir)?),
        })
    }
}
