//! What others may see of connectors and tasks, and what of it is stored for people and for the Java worker.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

use rmqc_core::state::TargetState;
use tokio::task::JoinHandle;

use super::{Connector, Standalone};
use crate::controller::{ConnectorView, Snapshot};
use crate::store::{StoredStatus, StoredTaskStatus};

impl Standalone {
    pub(super) fn look(&self) -> Snapshot {
        let mut tasks = BTreeMap::<Arc<str>, Vec<_>>::new();
        let mut leaving = Vec::new();
        for view in self.table.view() {
            if view.leaving {
                leaving.push(view);
            } else {
                tasks.entry(Arc::clone(&view.task.connector)).or_default().push(view);
            }
        }
        let view = |(name, connector): (&String, &Connector)| ConnectorView {
            name: name.clone(),
            properties: Arc::clone(&connector.properties),
            target: connector.stored.target,
            factory: connector.factory,
            failure: connector.failure.clone(),
            last_change: connector.last_change.clone(),
            tasks: tasks.remove(name.as_str()).unwrap_or_default(),
        };
        let connectors = self.connectors.iter().map(view).collect();
        Snapshot { connectors, leaving, stopping: self.leaving.is_some() }
    }

    /// Writes the states; the handle ends when they are written.
    pub(super) fn write_states(&self, statuses: Vec<StoredStatus>) -> JoinHandle<()> {
        *self.states_written.lock().unwrap_or_else(PoisonError::into_inner) = statuses;
        let (states, latest) = (Arc::clone(&self.states), Arc::clone(&self.states_written));
        tokio::task::spawn_blocking(move || {
            let mut states = states.lock().unwrap_or_else(PoisonError::into_inner);
            // Of two writes under way the later one may come first: both write what is latest.
            let statuses = latest.lock().unwrap_or_else(PoisonError::into_inner).clone();
            if let Err(error) = states.replace(&statuses) {
                tracing::warn!("states are not stored, nothing depends on them: {error}");
            }
        })
    }

    pub(super) fn statuses(&self) -> Vec<StoredStatus> {
        let snapshot = self.look();
        let status = |connector: ConnectorView| {
            let generation = self.connectors.get(&connector.name).map_or(0, |known| known.stored.epoch);
            StoredStatus {
                state: connector_state(&connector).to_owned(),
                trace: connector.failure.clone(),
                worker_id: self.settings.worker_id.clone(),
                generation: connector.tasks.iter().map(|task| task.changed_ms).fold(generation, i64::max),
                tasks: connector
                    .tasks
                    .iter()
                    .map(|task| StoredTaskStatus {
                        index: task.task.index,
                        state: task.state.java_name().to_owned(),
                        trace: task.cause.clone(),
                        generation: task.changed_ms,
                    })
                    .collect(),
                connector: connector.name,
            }
        };
        snapshot.connectors.into_iter().map(status).collect()
    }
}

/// The state of a connector itself, apart from its tasks.
#[must_use]
pub fn connector_state(connector: &ConnectorView) -> &'static str {
    match (&connector.failure, connector.target) {
        (Some(_), _) => "FAILED",
        (None, TargetState::Paused | TargetState::Stopped) => "PAUSED",
        (None, TargetState::Started) => "RUNNING",
    }
}
