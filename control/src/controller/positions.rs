//! Commits the positions of all tasks together: whatever waits while one commit is on its way to the disk goes with the
//! next, with one sync for all. A task hears `PositionsStored` only after that.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use rmqc_core::command::ShardCommand;
use rmqc_core::id::{Generation, ShardId, TaskId};
use rmqc_core::position::StoredPosition;
use tokio::sync::Notify;

use super::couriers::Couriers;
use crate::store::PositionStore;

/// What one task waits for.
struct Waiting {
    shard: ShardId,
    generation: Generation,
    positions: Vec<StoredPosition>,
}

/// At most one entry a task: a task has at most one commit under way.
type Pending = BTreeMap<TaskId, Waiting>;

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
        pending.insert(task, Waiting { shard, generation, positions });
        self.something.notify_one();
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
            if taken.is_empty() {
                continue;
            }
            let changes: Vec<_> =
                taken.iter().map(|(task, waiting)| (task.connector.to_string(), waiting.positions.clone())).collect();
            let store = Arc::clone(&self.store);
            let put = move || store.lock().unwrap_or_else(PoisonError::into_inner).put(&changes);
            let result = match tokio::task::spawn_blocking(put).await {
                Ok(result) => result.map_err(|error| error.to_string()),
                Err(error) => Err(format!("the position store failed: {error}")),
            };
            if let Err(error) = &result {
                tracing::error!("positions of {} tasks are not stored: {error}", taken.len());
            }
            for (task, waiting) in taken {
                let command = match &result {
                    Ok(()) => ShardCommand::PositionsStored(task, waiting.generation),
                    Err(cause) => ShardCommand::PositionsRefused(task, waiting.generation, cause.clone()),
                };
                couriers.send(waiting.shard, command);
            }
        }
    }
}
