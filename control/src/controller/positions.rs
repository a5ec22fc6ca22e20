//! Commits the positions of all tasks together: whatever waits while one commit is on its way to the disk goes with the
//! next, with one sync for all. A task hears `PositionsStored` only after that.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use rmqc_core::command::ShardCommand;
use rmqc_core::id::{Generation, ShardId, TaskId};
use rmqc_core::position::StoredPosition;
use tokio::sync::{Notify, oneshot};

use super::couriers::Couriers;
use crate::store::{PositionEdits, PositionStore, StoreError};

/// What one task waits for.
struct Waiting {
    shard: ShardId,
    generation: Generation,
    positions: Vec<StoredPosition>,
}

/// What waits for the disk.
#[derive(Default)]
struct Pending {
    /// At most one entry a task: a task has at most one commit under way.
    commits: BTreeMap<TaskId, Waiting>,
    /// What people change, after all commits before it. Few: the controller asks for one at a time.
    changes: Vec<Change>,
}

/// A change that somebody asked for.
struct Change {
    connector: String,
    /// None: forget all.
    edits: Option<PositionEdits>,
    reply: oneshot::Sender<Result<(), String>>,
}

/// The committer. Cheap to clone.
#[derive(Clone)]
pub(super) struct Positions {
    store: Arc<Mutex<Box<dyn PositionStore>>>,
    pending: Arc<Mutex<Pending>>,
    something: Arc<Notify>,
}

impl Positions {
    /// Sets the committer going.
    pub fn start(store: Box<dyn PositionStore>, couriers: Couriers) -> Self {
        let store = Arc::new(Mutex::new(store));
        let this = Self { store, pending: Arc::default(), something: Arc::default() };
        tokio::spawn(this.clone().run(couriers));
        this
    }

    /// Takes the positions of one event. Never waits.
    pub fn commit(&self, task: TaskId, generation: Generation, shard: ShardId, positions: Vec<StoredPosition>) {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        pending.commits.insert(task, Waiting { shard, generation, positions });
        self.something.notify_one();
    }

    /// Changes positions of a connector; durable when it returns. After all commits that were taken before.
    ///
    /// # Errors
    /// The store's refusal, in words; then nothing has changed.
    pub async fn alter(&self, connector: &str, edits: PositionEdits) -> Result<(), String> {
        self.change(connector, Some(edits)).await
    }

    /// Forgets all positions of a connector, likewise.
    ///
    /// # Errors
    /// As for [`Positions::alter`].
    pub async fn forget(&self, connector: &str) -> Result<(), String> {
        self.change(connector, None).await
    }

    async fn change(&self, connector: &str, edits: Option<PositionEdits>) -> Result<(), String> {
        let (reply, answer) = oneshot::channel();
        let change = Change { connector: connector.to_owned(), edits, reply };
        self.pending.lock().unwrap_or_else(PoisonError::into_inner).changes.push(change);
        self.something.notify_one();
        answer.await.unwrap_or_else(|_| Err("the position store has ended".to_owned()))
    }

    /// The committed positions of a connector, after what is on its way to the disk.
    pub async fn of(&self, connector: &str) -> Vec<StoredPosition> {
        let store = Arc::clone(&self.store);
        let connector = connector.to_owned();
        let read = move || store.lock().unwrap_or_else(PoisonError::into_inner).of(&connector);
        tokio::task::spawn_blocking(read).await.unwrap_or_default()
    }

    async fn run(self, couriers: Couriers) {
        loop {
            self.something.notified().await;
            let taken = std::mem::take(&mut *self.pending.lock().unwrap_or_else(PoisonError::into_inner));
            self.store_commits(taken.commits, &couriers).await;
            for change in taken.changes {
                self.store_change(change).await;
            }
        }
    }

    async fn store_commits(&self, commits: BTreeMap<TaskId, Waiting>, couriers: &Couriers) {
        if commits.is_empty() {
            return;
        }
        let changes: Vec<_> =
            commits.iter().map(|(task, waiting)| (task.connector.to_string(), waiting.positions.clone())).collect();
        let result = self.blocking(move |store| store.put(&changes)).await;
        if let Err(error) = &result {
            tracing::error!("positions of {} tasks are not stored: {error}", commits.len());
        }
        for (task, waiting) in commits {
            let command = match &result {
                Ok(()) => ShardCommand::PositionsStored(task, waiting.generation),
                Err(cause) => ShardCommand::PositionsRefused(task, waiting.generation, cause.clone()),
            };
            couriers.send(waiting.shard, command);
        }
    }

    async fn store_change(&self, change: Change) {
        let Change { connector, edits, reply } = change;
        let result = self
            .blocking(move |store| match edits {
                Some(edits) => store.alter(&connector, &edits),
                None => store.remove(&connector),
            })
            .await;
        // Whoever asked may have gone away.
        let _ = reply.send(result);
    }

    /// Runs a store's call where it may block.
    async fn blocking(
        &self,
        call: impl FnOnce(&mut dyn PositionStore) -> Result<(), StoreError> + Send + 'static,
    ) -> Result<(), String> {
        let store = Arc::clone(&self.store);
        let call = move || call(&mut **store.lock().unwrap_or_else(PoisonError::into_inner));
        match tokio::task::spawn_blocking(call).await {
            Ok(result) => result.map_err(|error| error.to_string()),
            Err(error) => Err(format!("the position store failed: {error}")),
        }
    }
}
