//! The way out: first the tasks, then the shards.

use std::time::Duration;

use rmqc_core::command::ShardCommand;

use super::{Leaving, Standalone};
use crate::controller::Reply;
use crate::worker::Now;

/// After the tasks' deadline has passed, the shards have so long to end.
const SHARDS_END_PATIENCE: Duration = Duration::from_secs(5);

impl Standalone {
    pub(super) fn begin_to_leave(&mut self, patience: Duration, reply: Reply<Vec<String>>) {
        let mut states = self.statuses();
        for task in states.iter_mut().flat_map(|status| &mut status.tasks).filter(|task| task.state != "FAILED") {
            "UNASSIGNED".clone_into(&mut task.state);
        }
        self.table.halt();
        let due = self.now().monotonic.saturating_add(patience);
        let shards_up = self.couriers.shards().collect();
        self.leaving = Some(Leaving { reply, due, left: Vec::new(), states, shards_told: false, shards_up });
    }

    /// Goes on with the way out: first the tasks, then the shards.
    pub(super) async fn leave(&mut self, now: Now) {
        let Some(leaving) = &mut self.leaving else { return };
        let late = leaving.due <= now.monotonic;
        if !leaving.shards_told {
            if !self.table.is_idle() && !late {
                return;
            }
            leaving.left.extend(self.table.active().into_iter().map(|task| format!("{task} did not drain in time")));
            leaving.shards_told = true;
            leaving.due = now.monotonic.saturating_add(SHARDS_END_PATIENCE);
            for shard in self.couriers.shards() {
                self.couriers.send(shard, ShardCommand::Shutdown);
            }
            let states = std::mem::take(&mut leaving.states);
            // A failed write has been told; nothing depends on it.
            let _ = self.write_states(states).await;
        } else if late {
            let left = std::mem::take(&mut leaving.shards_up);
            leaving.left.extend(left.into_iter().map(|shard| format!("{shard} did not end in time")));
        }
    }
}
