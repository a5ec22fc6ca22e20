//! Back to the configuration that ran, when the one that took its place can't start.

use std::sync::Arc;
use std::time::Duration;

use rmqc_core::clock::MonotonicTime;

use super::{Connector, Standalone};
use crate::controller::{ChangeKind, LastChange};
use crate::store::StoredConnector;

/// A rollback that the store refuses is tried again after so long.
const RETRY: Duration = Duration::from_secs(5);

/// A rollback that is due.
pub(super) struct Rollback {
    /// Why.
    cause: String,
    /// When to try it.
    due: MonotonicTime,
}

impl Standalone {
    /// When the next rollback is to be tried.
    pub(super) fn rollback_due(&self) -> Option<MonotonicTime> {
        self.rollbacks.values().map(|rollback| rollback.due).min()
    }

    /// Rolls back the connectors that can't start as they were changed. Runs before tasks are steered, so that none of
    /// them starts once more in between. While the worker is leaving nothing is rolled back: the new configuration is then
    /// what the next start tries.
    pub(super) async fn roll_back_as_needed(&mut self) {
        let now = self.now();
        for (name, cause) in self.table.take_failed_starts() {
            if self.connectors.get(&*name).is_some_and(|connector| connector.fallback.is_some()) {
                let due = now.monotonic;
                self.rollbacks.entry(name.to_string()).or_insert(Rollback { cause, due });
            }
        }
        if self.leaving.is_some() {
            self.rollbacks.clear();
        }
        let due = self.rollbacks.iter().filter(|(_, rollback)| rollback.due <= now.monotonic);
        let names: Vec<String> = due.map(|(name, _)| name.clone()).collect();
        for name in names {
            let Some(rollback) = self.rollbacks.remove(&name) else { continue };
            self.roll_back(name, rollback).await;
        }
    }

    async fn roll_back(&mut self, name: String, rollback: Rollback) {
        let Some(connector) = self.connectors.get(&name) else { return };
        // It may run by now, while the store refused to take the old one back.
        if self.table.has_run(&name) {
            return;
        }
        let Some(fallback) = connector.fallback.clone() else { return };
        let now = self.now();
        let stored = StoredConnector {
            name: name.clone(),
            properties: fallback.properties,
            target: connector.stored.target,
            epoch: now.unix_ms.max(connector.stored.epoch.saturating_add(1)),
            tasks: fallback.tasks,
        };
        if let Err(error) = self.store(vec![stored.clone()]).await {
            tracing::error!("connector {name} can't start and its previous configuration can't be stored: {error}");
            let due = now.monotonic.saturating_add(RETRY);
            self.rollbacks.insert(name, Rollback { due, ..rollback });
            return;
        }
        let Rollback { cause, .. } = rollback;
        tracing::error!("connector {name} could not start as it was changed and is rolled back: {cause}");
        self.table.mark_rolled_back(&name);
        let cause: Arc<str> = Arc::from(crate::worker::cut(&cause));
        let last_change = Some(LastChange { kind: ChangeKind::RolledBack, at_ms: now.unix_ms, cause: Some(cause) });
        self.connectors.insert(name.clone(), Connector { last_change, ..Connector::new(stored) });
        // Why it can't run has been told, and is kept to be asked for.
        let _ = self.aim(&name).await;
    }
}
