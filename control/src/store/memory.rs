//! The stores without a disk: for tests, and for trying things out.

use std::collections::BTreeMap;

use rmqc_core::position::StoredPosition;

use super::{ConfigStore, PositionEdits, PositionStore, StateStore, StoreError, StoredConnector, StoredStatus};

/// Connectors, in memory.
#[derive(Clone, Default)]
pub struct MemoryConfigStore {
    connectors: BTreeMap<String, StoredConnector>,
}

impl ConfigStore for MemoryConfigStore {
    fn all(&self) -> Vec<StoredConnector> {
        self.connectors.values().cloned().collect()
    }

    fn put(&mut self, connectors: &[StoredConnector]) -> Result<(), StoreError> {
        for connector in connectors {
            self.connectors.insert(connector.name.clone(), connector.clone());
        }
        Ok(())
    }

    fn remove(&mut self, names: &[String]) -> Result<(), StoreError> {
        for name in names {
            self.connectors.remove(name);
        }
        Ok(())
    }
}

impl MemoryConfigStore {
    /// A store that holds these.
    pub(super) fn of(connectors: Vec<StoredConnector>) -> Self {
        Self { connectors: connectors.into_iter().map(|one| (one.name.clone(), one)).collect() }
    }
}

/// Positions, in memory.
#[derive(Clone, Default)]
pub struct MemoryPositionStore {
    pub(super) positions: BTreeMap<String, Vec<StoredPosition>>,
}

impl PositionStore for MemoryPositionStore {
    fn of(&self, connector: &str) -> Vec<StoredPosition> {
        self.positions.get(connector).cloned().unwrap_or_default()
    }

    fn put(&mut self, changes: &[(String, Vec<StoredPosition>)]) -> Result<(), StoreError> {
        for (connector, changed) in changes {
            let stored = self.positions.entry(connector.clone()).or_default();
            for position in changed {
                match stored.iter_mut().find(|known| known.partition == position.partition) {
                    Some(known) => known.offset = position.offset.clone(),
                    None => stored.push(position.clone()),
                }
            }
        }
        Ok(())
    }

    fn alter(&mut self, connector: &str, edits: &PositionEdits) -> Result<(), StoreError> {
        for (partition, offset) in edits {
            match offset {
                Some(offset) => {
                    let position = StoredPosition { partition: partition.clone(), offset: offset.clone() };
                    self.put(&[(connector.to_owned(), vec![position])])?;
                }
                None => {
                    if let Some(stored) = self.positions.get_mut(connector) {
                        stored.retain(|known| known.partition != *partition);
                    }
                }
            }
        }
        Ok(())
    }

    fn remove(&mut self, connector: &str) -> Result<(), StoreError> {
        self.positions.remove(connector);
        Ok(())
    }
}

/// States, in memory.
#[derive(Clone, Default)]
pub struct MemoryStateStore {
    pub(super) statuses: Vec<StoredStatus>,
}

impl StateStore for MemoryStateStore {
    fn all(&self) -> Vec<StoredStatus> {
        self.statuses.clone()
    }

    fn replace(&mut self, statuses: &[StoredStatus]) -> Result<(), StoreError> {
        self.statuses = statuses.to_vec();
        self.statuses.sort_by(|a, b| a.connector.cmp(&b.connector));
        Ok(())
    }
}
