//! Everything that may be the limit, with its share of the time.

use rmqc_core::metrics::{Step, WindowUse};

use super::{By, SHARE_MIN, Situation};
use crate::flow::Shares;
use crate::flow::connector::Way;

/// What is delivered within so many seconds at the present pace does not wait …
const SOON_SECONDS: f64 = 2.0;
/// … nor do so few records.
const SOON_RECORDS: f64 = 10.0;

/// One thing that may be the limit.
pub(super) struct Candidate {
    /// Where it is.
    pub by: By,
    /// The step, and what it does: `put took`.
    pub what: &'static str,
    /// Its share of the time, from 0 to 1.
    pub share: f64,
    /// What would help.
    pub advice: String,
}

/// Whether more waits than is delivered soon: the look may have come in the midst of what just arrived.
pub(super) fn is_behind(now: &Situation<'_>) -> bool {
    let soon = (now.records_per_second.unwrap_or(0.0) * SOON_SECONDS).max(SOON_RECORDS);
    now.lag_records.is_some_and(|lag| crate::flow::number(lag) > soon)
}

/// The core as the limit of a task on a shard that is so busy.
pub(super) fn core(now: &Situation<'_>, busy: f64) -> Candidate {
    let advice = if now.tasks > 1 {
        "Give the worker more cores (cores), or move connectors to another worker."
    } else {
        "Raise max.tasks where the connector can be split, give the worker more cores (cores), or move connectors to \
         another worker."
    };
    Candidate { by: By::Core, what: "its shard's thread was busy", share: busy, advice: advice.to_owned() }
}

/// Everything that may be the limit, with its share of the time.
pub(super) fn candidates(now: &Situation<'_>) -> Vec<Candidate> {
    let (put, flush) = (own(now, Step::Put), own(now, Step::Flush));
    let what = if put >= flush { "put took" } else { "flush took" };
    let several = "Raise max.tasks where the connector can be split, so that more cores share the work.";
    let mut all = vec![
        candidate(By::Target, what, (put + flush).min(1.0), target_advice(now)),
        candidate(By::Converter, "converting took", own(now, Step::Convert), several),
        candidate(By::Transform, "the transforms took", own(now, Step::Transform), several),
    ];
    match now.way {
        Some(Way::Sink) => all.extend(of_sink(now)),
        _ => all.extend(of_source(now)),
    }
    all
}

fn candidate(by: By, what: &'static str, share: f64, advice: &str) -> Candidate {
    Candidate { by, what, share, advice: advice.to_owned() }
}

fn of(now: &Situation<'_>, step: Step) -> Shares {
    now.steps.iter().find(|(one, _)| *one == step).map(|(_, shares)| *shares).unwrap_or_default()
}

/// The time that a step takes from the others.
fn own(now: &Situation<'_>, step: Step) -> f64 {
    let shares = of(now, step);
    shares.busy + shares.blocked
}

/// What only a sink does: it reads from the broker.
fn of_sink(now: &Situation<'_>) -> [Candidate; 3] {
    // Its being blocked tells of what comes after it.
    let pull = of(now, Step::Pull);
    let more_queues = "Give the topic more queues, and raise max.tasks and uncommitted.bytes; see the broker's disk and \
                       its limits for pulls (maxTransferCountOnMessageInMemory, maxTransferBytesOnMessageInMemory).";
    let less_often = "Raise commit.interval.ms, so that offsets are stored less often.";
    [
        candidate(By::Broker, "waiting for the answer to a pull took", pull.busy, more_queues),
        if is_behind(now) {
            candidate(By::Broker, "queues gave nothing though messages wait, for", pull.starved, more_queues)
        } else {
            candidate(By::Nothing, "queues were empty for", pull.starved, "")
        },
        candidate(By::Broker, "committing took", own(now, Step::Commit), less_often),
    ]
}

/// What only a source does, or a task without a broker: it reads from outside.
fn of_source(now: &Situation<'_>) -> [Candidate; 5] {
    let (poll, send) = (of(now, Step::Poll), of(now, Step::Send));
    // Sending, waiting for confirmations and storing positions go on beside the rest: they count for what that leaves.
    let rest = [Step::Convert, Step::Transform, Step::Put, Step::Flush].map(|step| own(now, step));
    let left = (1.0 - poll.starved - poll.busy - rest.iter().sum::<f64>()).max(0.0);
    let (sending, confirming) = (own(now, Step::Send).min(left), of(now, Step::Ack).busy.min(left));
    // The requests that sending waits for are being confirmed meanwhile: of the two, sending says more.
    let (what, waiting) = if sending < SHARE_MIN.min(confirming) {
        ("waiting for the broker's confirmation took", confirming)
    } else if send.blocked > send.busy {
        ("sending waited for room or for the queue's turn,", sending)
    } else {
        ("sending took", sending)
    };
    let slow = "The source itself is slow: see its disk or network; raise max.tasks where it can be split.";
    let positions = "Raise commit.interval.ms or uncommitted.records; see the disk below storePathRootDir.";
    let nothing_to_do = "It is read as fast as it gives; nothing to do here.";
    // A store that is slow holds nothing up as long as there is room for what is not stored yet.
    let storing = if is_full(now) { own(now, Step::Commit).min(left) } else { 0.0 };
    let (after, advice) = match now.way {
        Some(Way::Direct) => (By::Target, target_advice(now)),
        _ => (By::Broker, source_broker_advice(now)),
    };
    [
        candidate(after, "poll waited for room in the in-flight window for", poll.blocked, advice),
        candidate(By::Source, "poll had nothing to read for", poll.starved, nothing_to_do),
        candidate(By::Source, "poll took", poll.busy, slow),
        candidate(By::Broker, what, waiting, source_broker_advice(now)),
        candidate(By::Broker, "storing positions took", storing, positions),
    ]
}

fn target_advice(now: &Situation<'_>) -> &'static str {
    if now.tasks > 1 {
        "See the target's disk, network and locks; raise max.tasks if it takes more writes at once."
    } else {
        "See the target's disk and network; raise max.tasks if the topic has several queues and the target takes writes \
         side by side."
    }
}

fn source_broker_advice(now: &Situation<'_>) -> &'static str {
    if is_full(now) {
        "The in-flight window is full: raise uncommitted.records or uncommitted.bytes, give the topic more queues, and see \
         the broker's disk."
    } else {
        "Give the topic more queues, raise batch.bytes and inflight.requests, and see the broker's disk and replication."
    }
}

/// Whether the in-flight window has as good as no room left.
fn is_full(now: &Situation<'_>) -> bool {
    let WindowUse { records, records_max, bytes, bytes_max, .. } = now.window_use;
    let full = |used: u64, max: u64| max > 0 && used >= max / 10 * 8;
    full(records, records_max) || full(bytes, bytes_max)
}
