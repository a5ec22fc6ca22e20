//! Changes that the user asks for: stored durably first, then reached.

use std::sync::{Arc, PoisonError};

use rmqc_core::config::Properties;
use rmqc_core::state::TargetState;

use super::{Connector, Fallback, Standalone};
use crate::controller::secrets::unmask;
use crate::controller::{Change, ChangeKind, Changed, ControlError, Edit, LastChange, Must, Restart};
use crate::store::{StoreError, StoredConnector};

impl Standalone {
    /// Creates a connector or changes its configuration.
    pub(super) async fn change(&mut self, change: Change) -> Result<Changed, ControlError> {
        let Change { name, edit, must, target, same_is_error } = change;
        let old = self.connectors.get(&name);
        match (must, old) {
            (Must::BeNew, Some(_)) => return Err(ControlError::Exists(name)),
            (Must::Exist, None) => return Err(ControlError::NotFound(name)),
            _ => {}
        }
        self.forgetting.refuse(&name)?;
        let properties = edited(&name, edit, old)?;
        // The class comes first in the Java worker's checks, but an equal configuration has the same class.
        if old.is_some_and(|old| *old.properties == properties) {
            return if same_is_error { Err(ControlError::SameConfig) } else { Ok(Changed::Same) };
        }
        let definition = self.defined(&properties).await?;
        self.settings.secrets.learn(&name, &definition.secrets);
        let now = self.now();
        let stored = StoredConnector {
            name: name.clone(),
            properties: properties.clone(),
            target: old.map_or(target.unwrap_or(TargetState::Started), |old| old.stored.target),
            epoch: now.unix_ms.max(old.map_or(0, |old| old.stored.epoch.saturating_add(1))),
            tasks: definition.tasks.iter().map(|task| task.as_ref().clone()).collect(),
        };
        let fallback = old.and_then(|old| self.fallback_of(&name, old));
        let (kind, done) = match old {
            None => (ChangeKind::Created, Changed::Created),
            Some(_) => (ChangeKind::Updated, Changed::Updated),
        };
        self.store(vec![stored.clone()]).await?;
        for warning in &definition.warnings {
            tracing::warn!("connector {name}: {}", warning.message);
        }
        tracing::info!("Connector {name} start");
        tracing::info!("Start connector {name} and set target state {} successed!!", stored.target.java_name());
        let last_change = Some(LastChange { kind, at_ms: now.unix_ms, cause: None });
        self.rollbacks.remove(&name);
        self.connectors.insert(name.clone(), Connector { fallback, last_change, ..Connector::new(stored) });
        self.aim(&name).await?;
        Ok(done)
    }

    /// What to go back to if a connector's next configuration can't start: the present one if it has run, else the one
    /// that the present one would go back to.
    fn fallback_of(&self, name: &str, connector: &Connector) -> Option<Fallback> {
        if self.table.has_run(name) {
            let StoredConnector { properties, tasks, .. } = connector.stored.clone();
            return Some(Fallback { properties, tasks });
        }
        connector.fallback.clone()
    }

    /// Lets the tasks of a connector become what its configuration and target say. One that can't be built is kept, and
    /// says why.
    pub(super) async fn aim(&mut self, name: &str) -> Result<(), ControlError> {
        let Some(connector) = self.connectors.get(name) else { return Ok(()) };
        let properties = Arc::clone(&connector.properties);
        let defined = self.defined(&properties).await;
        let now = self.now();
        let Some(connector) = self.connectors.get_mut(name) else { return Ok(()) };
        match defined {
            Ok(definition) => {
                self.settings.secrets.learn(name, &definition.secrets);
                connector.factory = Some(definition.factory);
                connector.failure = None;
                let desired = match connector.stored.target {
                    TargetState::Stopped => Vec::new(),
                    target => definition.desired(target == TargetState::Paused),
                };
                self.table.want(name, desired, now);
                Ok(())
            }
            Err(error) => {
                tracing::error!("connector {name} is stored but can't run: {error}");
                connector.failure = Some(error.to_string());
                Err(error)
            }
        }
    }

    /// Deletes connectors; unknown ones do nothing. Their states go with them.
    pub(super) async fn remove(&mut self, names: Vec<String>) -> Result<(), ControlError> {
        let known: Vec<String> = names.into_iter().filter(|name| self.connectors.contains_key(name)).collect();
        if known.is_empty() {
            return Ok(());
        }
        let configs = Arc::clone(&self.configs);
        let list = known.clone();
        blocking(move || configs.lock().unwrap_or_else(PoisonError::into_inner).remove(&list)).await?;
        for name in known {
            tracing::info!("Stopping connector {name}");
            self.connectors.remove(&name);
            self.rollbacks.remove(&name);
            self.table.want(&name, Vec::new(), self.now());
        }
        self.states_due = self.now().monotonic;
        Ok(())
    }

    /// Sets what is wanted of all connectors; gives their number. One that is stopped stands still already: pausing all
    /// would give it tasks again.
    pub(super) async fn set_target_all(&mut self, target: TargetState) -> Result<usize, ControlError> {
        let pausing = target == TargetState::Paused;
        let concerned =
            self.connectors.iter().filter(|(_, one)| !(pausing && one.stored.target == TargetState::Stopped));
        let names = concerned.map(|(name, _)| name.clone()).collect();
        self.set_target(names, target).await?;
        Ok(self.connectors.len())
    }

    /// Sets what is wanted of connectors.
    pub(super) async fn set_target(&mut self, names: Vec<String>, target: TargetState) -> Result<(), ControlError> {
        let now = self.now();
        let mut changed = Vec::new();
        for name in &names {
            let connector = self.connectors.get(name).ok_or_else(|| ControlError::NotFound(name.clone()))?;
            let mut stored = connector.stored.clone();
            if stored.target != target {
                stored.target = target;
                stored.epoch = now.unix_ms.max(stored.epoch.saturating_add(1));
                changed.push(stored);
            }
        }
        if !changed.is_empty() {
            self.store(changed.clone()).await?;
        }
        for name in names {
            let stored = changed.iter().position(|stored| stored.name == name).map(|at| changed.swap_remove(at));
            self.reach_target(&name, stored, target).await;
        }
        Ok(())
    }

    /// Lets a connector's tasks become what is wanted now. `stored`: what has just been stored, if it changed.
    async fn reach_target(&mut self, name: &str, stored: Option<StoredConnector>, target: TargetState) {
        let now = self.now();
        let Some(connector) = self.connectors.get_mut(name) else { return };
        let was_stopped = connector.stored.target == TargetState::Stopped;
        if let Some(stored) = stored {
            connector.stored = stored;
        }
        if target == TargetState::Stopped {
            // What comes back later starts from scratch: nothing runs that a failed start would have replaced.
            connector.fallback = None;
            self.table.want(name, Vec::new(), now);
        } else if was_stopped || connector.failure.is_some() {
            // Why it can't run has been told, and is kept to be asked for.
            let _ = self.aim(name).await;
        } else {
            self.table.pause(name, target == TargetState::Paused, now);
        }
    }

    /// Starts tasks again; a connector that could not be built is tried again first.
    pub(super) async fn restart(&mut self, name: &str, which: Restart) -> Result<(), ControlError> {
        let connector = self.connectors.get(name).ok_or_else(|| ControlError::NotFound(name.to_owned()))?;
        if connector.failure.is_some() {
            return self.aim(name).await;
        }
        if which != Restart::None && connector.stored.target == TargetState::Stopped {
            return Err(ControlError::Conflict(format!(
                "Connector [{name}] is stopped and has no tasks that could be restarted; resume it first"
            )));
        }
        let now = self.now();
        match which {
            Restart::None => {}
            Restart::All => drop(self.table.restart(name, None, false, now)),
            Restart::OnlyFailed => drop(self.table.restart(name, None, true, now)),
            Restart::One(index) => {
                if self.table.restart(name, Some(index), false, now) == 0 {
                    return Err(ControlError::NoTask(name.to_owned(), index));
                }
            }
        }
        Ok(())
    }

    /// Stores connectors durably.
    pub(super) async fn store(&self, connectors: Vec<StoredConnector>) -> Result<(), ControlError> {
        let configs = Arc::clone(&self.configs);
        blocking(move || configs.lock().unwrap_or_else(PoisonError::into_inner).put(&connectors)).await
    }
}

/// The configuration that an edit makes.
fn edited(name: &str, edit: Edit, old: Option<&Connector>) -> Result<Properties, ControlError> {
    let mut properties = match (edit, old) {
        (Edit::Replace(properties), _) => properties,
        (Edit::Patch(_), None) => return Err(ControlError::NotFound(name.to_owned())),
        (Edit::Patch(changes), Some(old)) => {
            let mut properties = old.properties.as_ref().clone();
            for (key, value) in changes {
                match value {
                    Some(value) => properties.insert(key, value),
                    None => properties.remove(&key),
                };
            }
            properties
        }
    };
    if let Some(old) = old {
        unmask(&mut properties, &old.properties, old.factory);
    }
    Ok(properties)
}

/// Runs a store's call where it may block.
async fn blocking(call: impl FnOnce() -> Result<(), StoreError> + Send + 'static) -> Result<(), ControlError> {
    match tokio::task::spawn_blocking(call).await {
        Ok(result) => result.map_err(|error| ControlError::Store(error.to_string())),
        Err(error) => Err(ControlError::Store(format!("the store failed: {error}"))),
    }
}
