//! Looks at the tasks' counters now and then, so that whoever asks how they fare hears what they did, not only where they
//! are. Often while someone asks or something moves, else seldom, and never without tasks: an idle worker stays idle.

use std::collections::BTreeMap;
use std::time::Duration;

use rmqc_core::clock::MonotonicTime;

use super::Standalone;
use crate::controller::{ConnectorView, Reply, Reports};
use crate::health::{ConnectorHealth, Tracks};
use crate::worker::Now;

/// Pause between two looks while someone asks or something moves.
const OFTEN: Duration = Duration::from_secs(5);
/// Pause between two looks else.
const SELDOM: Duration = Duration::from_secs(30);
/// Someone asks, if it is not longer ago.
const ASKED_LASTS: Duration = Duration::from_secs(60);

/// What the looks gave.
#[derive(Default)]
pub(super) struct Sampler {
    tracks: Tracks,
    /// Whether something moved at the last look.
    busy: bool,
    looked_at: Option<MonotonicTime>,
    asked_at: Option<MonotonicTime>,
    /// Who waits for the present look.
    waiting: Vec<Reply<BTreeMap<String, ConnectorHealth>>>,
}

impl Sampler {
    /// When to look again.
    fn due(&self) -> MonotonicTime {
        let Some(looked_at) = self.looked_at else { return MonotonicTime::ZERO };
        let asked = self.asked_at.is_some_and(|at| looked_at < at.saturating_add(ASKED_LASTS));
        looked_at.saturating_add(if self.busy || asked { OFTEN } else { SELDOM })
    }
}

impl Standalone {
    /// When the next look is due; none while one is under way, and without tasks.
    pub(super) fn sample_due(&self) -> Option<MonotonicTime> {
        let looks = self.reports.due().is_none() && self.leaving.is_none() && !self.table.is_idle();
        looks.then(|| self.sampler.due())
    }

    /// Begins or ends a look that is due.
    pub(super) fn sample(&mut self, now: MonotonicTime) {
        if let Some(reports) = self.reports.tick(now) {
            self.sampled(&reports, self.now());
        }
        if self.sample_due().is_some_and(|due| due <= now) {
            self.reports.begin(&self.couriers, now);
        }
    }

    /// Takes in what a look gave, whoever asked for it.
    pub(super) fn sampled(&mut self, reports: &Reports, now: Now) {
        self.sampler.tracks.take(reports, now.monotonic);
        self.sampler.busy = self.sampler.tracks.are_busy();
        self.sampler.looked_at = Some(now.monotonic);
        if self.sampler.waiting.is_empty() {
            return;
        }
        let snapshot = self.look();
        let judged = |one: &ConnectorView| (one.name.clone(), self.sampler.tracks.judge(one, now));
        let health: BTreeMap<_, _> = snapshot.connectors.iter().map(judged).collect();
        for reply in std::mem::take(&mut self.sampler.waiting) {
            // Whoever asked may have gone away.
            let _ = reply.send(health.clone());
        }
    }

    /// Looks at once, for someone who wants to know how the connectors fare.
    pub(super) fn ask_for_health(&mut self, reply: Reply<BTreeMap<String, ConnectorHealth>>) {
        let now = self.now().monotonic;
        self.sampler.asked_at = Some(now);
        self.sampler.waiting.push(reply);
        self.reports.begin(&self.couriers, now);
    }
}
