//! One courier a shard: takes commands from the controller without making it wait, and hands them to the port, which
//! may. So a shard that is waiting for room to say something never waits for a controller that is waiting for it.

use std::sync::Arc;

use rmqc_core::command::{ShardCommand, ShardPort};
use rmqc_core::id::ShardId;
use rmqc_core::limits::SHARD_TASKS_MAX;
use tokio::sync::mpsc;

/// Commands that wait at one courier. A task has at most a start, a stop, a pause and an answer to its positions under
/// way at once, so this is never reached.
const NEEDED_MAX: usize = 4 * SHARD_TASKS_MAX + 64;
/// Further commands that wait at one courier: those that may be dropped.
const SPARE_MAX: usize = 1024;

/// The couriers of all shards. Cheap to clone.
#[derive(Clone)]
pub(super) struct Couriers {
    shards: Arc<[mpsc::Sender<ShardCommand>]>,
}

impl Couriers {
    /// Sets one courier going for each shard of the port.
    pub fn start(port: &Arc<dyn ShardPort>) -> Self {
        let courier = |index: usize| {
            let shard = ShardId(u16::try_from(index).unwrap_or(u16::MAX));
            let (sender, mut receiver) = mpsc::channel(NEEDED_MAX + SPARE_MAX);
            let port = Arc::clone(port);
            tokio::spawn(async move {
                while let Some(command) = receiver.recv().await {
                    if let Err(gone) = port.send(shard, command).await {
                        tracing::debug!("a command was not sent: {gone}");
                    }
                }
            });
            sender
        };
        Self { shards: (0..port.info().shards).map(courier).collect() }
    }

    /// Number of shards.
    pub fn len(&self) -> usize {
        self.shards.len()
    }

    /// All shards.
    pub fn shards(&self) -> impl Iterator<Item = ShardId> + use<> {
        (0..self.len()).filter_map(|index| u16::try_from(index).ok().map(ShardId))
    }

    /// Hands a command over that nothing depends on, unless so many wait that the room is kept for others; gives whether
    /// it was taken. Never waits.
    pub fn offer(&self, shard: ShardId, command: ShardCommand) -> bool {
        let courier = self.shards.get(shard.index()).filter(|courier| courier.capacity() > NEEDED_MAX);
        courier.is_some_and(|courier| courier.try_send(command).is_ok())
    }

    /// Hands a command over. Never waits.
    pub fn send(&self, shard: ShardId, command: ShardCommand) {
        match self.shards.get(shard.index()) {
            None => tracing::error!("there is no {shard}; a command for it is dropped"),
            Some(courier) => {
                if let Err(error) = courier.try_send(command) {
                    tracing::error!("{shard} takes no more commands: {error}");
                }
            }
        }
    }
}
