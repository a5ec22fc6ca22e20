//! Looks at the tasks' counters now and then, so that whoever asks how they fare hears what they did, not only where they
//! are. Often while someone asks or something moves, else seldom, and never without tasks: an idle worker stays idle. Whoever
//! watches the flow has a look every second, as long as they watch.

use std::collections::BTreeMap;
use std::time::Duration;

use rmqc_core::clock::MonotonicTime;

use super::Standalone;
use crate::controller::{Reply, Reports, Seen, Snapshot, Watch};
use crate::flow::{LOOKS_APART, Look, Looks};
use crate::health::{ConnectorHealth, Tracks};
use crate::process::ProcessUse;
use crate::worker::Now;

/// Pause between two looks while someone asks or something moves.
const OFTEN: Duration = Duration::from_secs(5);
/// Pause between two looks else.
const SELDOM: Duration = Duration::from_secs(30);
/// Someone asks, if it is not longer ago.
const ASKED_LASTS: Duration = Duration::from_secs(60);
/// Pause between two looks while someone watches the flow.
const WATCHING: Duration = Duration::from_secs(1);
/// Someone watches the flow, if they asked not longer ago.
const WATCHED_LASTS: Duration = Duration::from_secs(10);

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
    looks: Looks,
    watched_at: Option<MonotonicTime>,
    /// Who waits for the present look to see the flow.
    watching: Vec<Reply<Seen>>,
}

impl Sampler {
    /// When to look again.
    fn due(&self) -> MonotonicTime {
        let Some(looked_at) = self.looked_at else { return MonotonicTime::ZERO };
        let lasts = |at: Option<MonotonicTime>, lasts| at.is_some_and(|at| looked_at < at.saturating_add(lasts));
        let pause = if lasts(self.watched_at, WATCHED_LASTS) {
            WATCHING
        } else if self.busy || lasts(self.asked_at, ASKED_LASTS) {
            OFTEN
        } else {
            SELDOM
        };
        looked_at.saturating_add(pause)
    }

    /// How all connectors fare.
    fn judge(&self, snapshot: &Snapshot, now: Now) -> BTreeMap<String, ConnectorHealth> {
        snapshot.connectors.iter().map(|one| (one.name.clone(), self.tracks.judge(one, now))).collect()
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
        let process = ProcessUse::now();
        let look = Look { at: now.monotonic, at_ms: now.unix_ms, reports: reports.clone(), process };
        self.sampler.looks.push(look);
        if self.sampler.waiting.is_empty() && self.sampler.watching.is_empty() {
            return;
        }
        let snapshot = self.look();
        let health = self.sampler.judge(&snapshot, now);
        for reply in std::mem::take(&mut self.sampler.waiting) {
            // Whoever asked may have gone away.
            let _ = reply.send(health.clone());
        }
        let watching = std::mem::take(&mut self.sampler.watching);
        if let Some((earlier, later)) = self.sampler.looks.window() {
            let seen = Seen { earlier, later, snapshot, health };
            for reply in watching {
                let _ = reply.send(seen.clone());
            }
        }
    }

    /// Tells what was seen lately; looks at once when that is too long ago.
    pub(super) fn ask_for_flow(&mut self, watch: Watch, reply: Reply<Seen>) {
        let now = self.now();
        if watch == Watch::Stay {
            self.sampler.watched_at = Some(now.monotonic);
        }
        if let Some((earlier, later)) = self.sampler.looks.window()
            && (earlier.is_some() || watch == Watch::Glance)
            && now.monotonic.saturating_sub(later.at) < LOOKS_APART
        {
            let snapshot = self.look();
            let health = self.sampler.judge(&snapshot, now);
            let _ = reply.send(Seen { earlier, later, snapshot, health });
            return;
        }
        self.sampler.watching.push(reply);
        self.reports.begin(&self.couriers, now.monotonic);
    }

    /// Looks at once, for someone who wants to know how the connectors fare.
    pub(super) fn ask_for_health(&mut self, reply: Reply<BTreeMap<String, ConnectorHealth>>) {
        let now = self.now().monotonic;
        self.sampler.asked_at = Some(now);
        self.sampler.waiting.push(reply);
        self.reports.begin(&self.couriers, now);
    }
}
