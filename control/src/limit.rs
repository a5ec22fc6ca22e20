//! What limits a connector now, in one sentence. Pure: shares of its steps, what waits and what it waits out come in, a
//! judgement with its confidence and an advice come out.

use std::time::Duration;

use rmqc_core::metrics::{Holding, Step, WindowUse};
use rmqc_core::state::TargetState;

use crate::flow::Shares;
use crate::flow::connector::Way;
use crate::words::{count, duration, line, percent, rate};

mod candidates;
#[cfg(test)]
mod tests;

use candidates::{Candidate, candidates, core, is_behind};

/// A step with less of the time is not called the limit.
const SHARE_MIN: f64 = 0.3;
/// A shard that is so busy has no time left to give.
const SHARD_FULL: f64 = 0.9;
/// A step with so much of the time is the limit even of a task on a full shard.
const SHARE_CLEAR: f64 = 0.6;
/// A window so short is not much to go by.
const WINDOW_SHORT: Duration = Duration::from_millis(800);

/// Where the limit is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// A sink's `put` or `flush`.
    Target,
    /// Sending, confirming, pulling or committing.
    Broker,
    /// The converters.
    Converter,
    /// The chain.
    Transform,
    /// The source has nothing more, or is slow itself.
    Source,
    /// The core that its tasks share with others.
    Core,
    /// Nothing: it has done all that there is.
    Nothing,
    /// It can't be told.
    Unknown,
}

impl By {
    /// The name used in REST and on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Target => "target",
            Self::Broker => "broker",
            Self::Converter => "converter",
            Self::Transform => "transform",
            Self::Source => "source",
            Self::Core => "core",
            Self::Nothing => "nothing",
            Self::Unknown => "unknown",
        }
    }
}

/// What limits a connector.
#[derive(Clone, Debug, PartialEq)]
pub struct Limit {
    /// Where it is.
    pub by: By,
    /// All of it for people, with the numbers.
    pub sentence: String,
    /// How clear the numbers are, from 0 to 1.
    pub confidence: f64,
    /// What would help; empty where nothing needs help.
    pub advice: String,
}

/// What there is to judge by.
#[derive(Clone, Copy, Debug)]
pub struct Situation<'a> {
    /// The connector.
    pub name: &'a str,
    /// Which way it moves records, if this binary has it.
    pub way: Option<Way>,
    /// What the user wants.
    pub target: TargetState,
    /// Why its configuration can't be used.
    pub failure: Option<&'a str>,
    /// Why it fares as it does, in a sentence.
    pub cause: &'a str,
    /// Its tasks.
    pub tasks: usize,
    /// Those of them that run.
    pub running: usize,
    /// The first that has failed, with the cause.
    pub failed: Option<(u32, &'a str)>,
    /// The time that shares and rates are of; zero when nothing can be compared.
    pub window: Duration,
    /// Mean shares of its steps, in order.
    pub steps: &'a [(Step, Shares)],
    /// Records delivered a second.
    pub records_per_second: Option<f64>,
    /// Records that came or were done within the window.
    pub moved: Option<u64>,
    /// Records that wait.
    pub lag_records: Option<u64>,
    /// By how many a second they grow.
    pub lag_growth: Option<f64>,
    /// Seconds until none waits.
    pub catch_up_seconds: Option<f64>,
    /// Use of its bounds.
    pub window_use: WindowUse,
    /// Records handed on and not committed.
    pub uncommitted: u64,
    /// A call that fails and is tried again.
    pub holding: Option<&'a Holding>,
    /// How busy the busiest of its shards is.
    pub shard_busy: Option<f64>,
}

/// Judges.
#[must_use]
pub fn judge(situation: &Situation<'_>) -> Limit {
    standing(situation).or_else(|| held(situation)).unwrap_or_else(|| match compared(situation) {
        Some(limit) => limit,
        None => unknown("too little was seen to tell what limits it", "Ask again in a few seconds."),
    })
}

fn unknown(sentence: &str, advice: &str) -> Limit {
    Limit { by: By::Unknown, sentence: sentence.to_owned(), confidence: 0.0, advice: advice.to_owned() }
}

/// What does not run is not limited by any step.
fn standing(now: &Situation<'_>) -> Option<Limit> {
    let Situation { name, target, failure, failed, tasks, running, cause, .. } = *now;
    let still = |sentence: &str| Limit {
        by: By::Nothing,
        sentence: sentence.to_owned(),
        confidence: 1.0,
        advice: format!("rmqc-fast connectors resume {name} lets it go on."),
    };
    if let Some(failure) = failure {
        let sentence = format!("it stands still: its configuration can't be used: {}", line(failure));
        return Some(unknown(&sentence, &format!("See rmqc-fast connectors describe {name}.")));
    }
    match target {
        TargetState::Paused => return Some(still("it is paused: nothing moves until somebody resumes it")),
        TargetState::Stopped => return Some(still("it is stopped: nothing moves until somebody resumes it")),
        TargetState::Started => {}
    }
    match failed {
        Some((index, why)) if running == 0 => {
            let sentence = format!("it stands still: task {index} failed: {}", line(why));
            let advice = format!("Remove the cause, then rmqc-fast connectors restart {name} --only-failed.");
            Some(unknown(&sentence, &advice))
        }
        _ if running == 0 => {
            let what = if tasks == 0 { "it has no tasks yet" } else { "none of its tasks runs" };
            Some(unknown(&format!("{what}: {}", line(cause)), "Ask again in a few seconds."))
        }
        _ => None,
    }
}

/// A call that fails and is tried again is the limit, whatever else takes time.
fn held(now: &Situation<'_>) -> Option<Limit> {
    let Holding { stage, cause, since_ms, tries } = now.holding?;
    let (by, advice) = match *stage {
        "TASK_PUT" => (By::Target, "See to the target; what it did not take is put again until it does."),
        "ROCKETMQ_PRODUCE" => (By::Broker, "See to the broker: rmqc-fast doctor looks at all of them."),
        "CONSUME" | "COMMIT" => {
            (By::Broker, "See to the broker and this worker's disk: rmqc-fast doctor looks at both.")
        }
        "CONVERTER" => {
            (By::Converter, "See errors.retry.timeout and errors.tolerance for how long it may be tried again.")
        }
        "TRANSFORMATION" => {
            (By::Transform, "See errors.retry.timeout and errors.tolerance for how long it may be tried again.")
        }
        "TASK_POLL" => (By::Source, "See to the source; it is read on as soon as it answers."),
        _ => (By::Unknown, "See the worker's log."),
    };
    let sentence = format!(
        "{}: it has failed for {} and {tries} tries: {}{}",
        limited_by(by),
        duration(crate::flow::number(*since_ms) / 1000.0),
        line(cause),
        waiting(now)
    );
    Some(Limit { by, sentence, confidence: if by == By::Unknown { 0.3 } else { 0.97 }, advice: advice.to_owned() })
}

fn limited_by(by: By) -> &'static str {
    match by {
        By::Target => "limited by the target",
        By::Broker => "limited by the broker",
        By::Converter => "limited by the converter",
        By::Transform => "limited by the transforms",
        By::Source => "limited by the source",
        By::Core => "limited by the core",
        By::Nothing => "limited by nothing",
        By::Unknown => "held up",
    }
}

/// What the shares of the steps say; none when there are none.
fn compared(now: &Situation<'_>) -> Option<Limit> {
    let moved = now.moved.filter(|_| !now.window.is_zero())?;
    let waits = now.lag_records.unwrap_or(0) > 0 || now.uncommitted > 0;
    if moved == 0 && !waits {
        return Some(idle(now));
    }
    if now.steps.is_empty() {
        return None;
    }
    let mut candidates = candidates(now);
    candidates.sort_by(|one, other| other.share.total_cmp(&one.share));
    let second = |by: By| candidates.iter().find(|one| one.by != by).map_or(0.0, |one| one.share);
    let second = second(candidates.first()?.by);
    let best = candidates.swap_remove(0);
    let best = match (now.shard_busy, best.by) {
        (Some(busy), by) if busy >= SHARD_FULL && best.share < SHARE_CLEAR && by != By::Core => core(now, busy),
        _ => best,
    };
    if keeps_up(now, &best) {
        return Some(keeping_up(now, second));
    }
    if best.share < SHARE_MIN {
        return Some(unclear(now, &best, moved));
    }
    let sentence = format!(
        "{}: {} {} of the last {}{}{}",
        limited_by(best.by),
        best.what,
        percent(best.share),
        duration(now.window.as_secs_f64()),
        pace(now),
        waiting(now)
    );
    let confidence = confidence(best.share, second, now.window);
    Some(Limit { by: best.by, sentence, confidence, advice: best.advice })
}

/// Whether nothing holds it up: it waits for records most of the time, and none waits for it.
fn keeps_up(now: &Situation<'_>, best: &Candidate) -> bool {
    best.by == By::Nothing || (best.share < SHARE_MIN && now.lag_records.is_some() && !is_behind(now))
}

/// Confidence by how much the first is ahead of the second, and how long was looked.
fn confidence(best: f64, second: f64, window: Duration) -> f64 {
    let ahead = (best - second).clamp(0.0, 1.0);
    let seen = if window < WINDOW_SHORT { 0.6 } else { 1.0 };
    let confidence = (0.35 * best + 0.65 * ahead).clamp(0.0, 0.99) * seen;
    (confidence * 100.0).round() / 100.0
}

/// No step has much of the time.
fn unclear(now: &Situation<'_>, best: &Candidate, moved: u64) -> Limit {
    if moved == 0 {
        let sentence = format!("nothing moves, and no step says why{}", waiting(now));
        return unknown(&sentence, "See rmqc-fast connectors describe and the worker's log for errors.");
    }
    let (what, share) = (best.what, percent(best.share));
    let seconds = duration(now.window.as_secs_f64());
    let sentence =
        format!("no step stands out: {what} most, {share} of the last {seconds}{}{}", pace(now), waiting(now));
    Limit { confidence: 0.2, ..unknown(&sentence, "") }
}

fn idle(now: &Situation<'_>) -> Limit {
    let what = match now.way {
        Some(Way::Sink) => "every message of its queues is delivered",
        _ => "the source has nothing new, and everything that it gave is delivered",
    };
    Limit { by: By::Nothing, sentence: format!("idle: {what}"), confidence: 0.95, advice: String::new() }
}

fn keeping_up(now: &Situation<'_>, second: f64) -> Limit {
    let sentence = format!("keeps up: what comes is delivered at once{}{}", pace(now), waiting(now));
    let confidence = confidence(0.95, second, now.window);
    Limit { by: By::Nothing, sentence, confidence, advice: String::new() }
}

/// `, 12,400 records/s`.
fn pace(now: &Situation<'_>) -> String {
    now.records_per_second.map_or_else(String::new, |records| format!(", {} records/s", rate(records)))
}

/// `; 1.2 M records wait, done in about 1 min 40 s`.
fn waiting(now: &Situation<'_>) -> String {
    let Some(lag) = now.lag_records.filter(|lag| *lag > 0) else { return String::new() };
    let outlook = match (now.catch_up_seconds, now.lag_growth) {
        (Some(seconds), _) => format!(", done in about {}", duration(seconds)),
        (None, Some(growth)) if growth >= 0.5 => format!(", and it falls behind by {} records/s", rate(growth)),
        (None, Some(_)) => ", as many as before".to_owned(),
        (None, None) => String::new(),
    };
    let (records, verb) = if lag == 1 { ("record", "waits") } else { ("records", "wait") };
    format!("; {} {records} {verb}{outlook}", count(lag))
}
