//! Collects the shards' reports for whoever asks, one round for all who ask meanwhile.

use std::sync::Arc;
use std::time::Duration;

use rmqc_core::clock::MonotonicTime;
use rmqc_core::command::ShardCommand;
use rmqc_core::id::ShardId;
use rmqc_core::metrics::ShardReport;

use super::couriers::Couriers;
use super::{Reply, Reports};

/// A shard that takes longer is left out.
const PATIENCE: Duration = Duration::from_millis(1000);

/// One round under way.
struct Round {
    number: u64,
    due: MonotonicTime,
    waiting: Vec<ShardId>,
    came: Vec<(ShardId, Arc<ShardReport>)>,
    replies: Vec<Reply<Reports>>,
}

/// The present round, if there is one.
#[derive(Default)]
pub(super) struct Collector {
    last: u64,
    round: Option<Round>,
}

impl Collector {
    /// Joins the present round, or begins one.
    pub fn ask(&mut self, reply: Reply<Reports>, couriers: &Couriers, now: MonotonicTime) {
        self.begin(couriers, now);
        if let Some(round) = &mut self.round {
            round.replies.push(reply);
        }
    }

    /// Begins a round, unless there is one.
    pub fn begin(&mut self, couriers: &Couriers, now: MonotonicTime) {
        if self.round.is_some() {
            return;
        }
        self.last += 1;
        let waiting: Vec<_> = couriers.shards().collect();
        for shard in &waiting {
            couriers.send(*shard, ShardCommand::Report(self.last));
        }
        let due = now.saturating_add(PATIENCE);
        self.round = Some(Round { number: self.last, due, waiting, came: Vec::new(), replies: Vec::new() });
    }

    /// Takes one shard's report; the last one ends the round, of which it gives what came.
    pub fn hear(&mut self, shard: ShardId, number: u64, report: ShardReport) -> Option<Reports> {
        let round = self.round.as_mut().filter(|round| round.number == number)?;
        if let Some(at) = round.waiting.iter().position(|one| *one == shard) {
            round.waiting.swap_remove(at);
            round.came.push((shard, Arc::new(report)));
        }
        if round.waiting.is_empty() { self.end() } else { None }
    }

    /// When the present round ends whatever has come.
    pub fn due(&self) -> Option<MonotonicTime> {
        self.round.as_ref().map(|round| round.due)
    }

    /// Ends the round if its time is up, and gives what came.
    pub fn tick(&mut self, now: MonotonicTime) -> Option<Reports> {
        if self.due().is_some_and(|due| due <= now) { self.end() } else { None }
    }

    fn end(&mut self) -> Option<Reports> {
        let mut round = self.round.take()?;
        round.came.sort_by_key(|(shard, _)| *shard);
        round.waiting.sort_unstable();
        let reports = Reports { shards: round.came, missing: round.waiting };
        for reply in round.replies {
            // Whoever asked may have gone away.
            let _ = reply.send(reports.clone());
        }
        Some(reports)
    }
}
