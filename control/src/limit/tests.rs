use rmqc_core::config::connector::{COMMON_KEYS, SINK_KEYS, SOURCE_KEYS};
use rmqc_core::config::worker::WORKER_KEYS;

use super::*;

/// Steps with their shares in hundredths: busy, starved, blocked.
type Steps = &'static [(Step, [u8; 3])];

/// A situation of the table; what is not said is as in a running task of which nothing is known to wait.
#[derive(Clone, Copy)]
struct Given {
    way: Way,
    steps: Steps,
    window_ms: u64,
    records_per_second: f64,
    lag: Option<u64>,
    growth: Option<f64>,
    uncommitted: u64,
    holding: Option<&'static str>,
    shard_busy: f64,
    target: TargetState,
    failure: Option<&'static str>,
    failed: Option<(u32, &'static str)>,
    tasks: usize,
    running: usize,
    window_use: WindowUse,
}

const GIVEN: Given = Given {
    way: Way::Sink,
    steps: &[],
    window_ms: 5000,
    records_per_second: 0.0,
    lag: None,
    growth: None,
    uncommitted: 0,
    holding: None,
    shard_busy: 0.5,
    target: TargetState::Started,
    failure: None,
    failed: None,
    tasks: 1,
    running: 1,
    window_use: WindowUse { records: 0, records_max: 0, bytes: 0, bytes_max: 0, batch_records_max: 0 },
};

fn limit_of(given: Given) -> Limit {
    let share = |hundredths: u8| f64::from(hundredths) / 100.0;
    let steps: Vec<(Step, Shares)> = given
        .steps
        .iter()
        .map(|(step, [busy, starved, blocked])| {
            (*step, Shares { busy: share(*busy), starved: share(*starved), blocked: share(*blocked) })
        })
        .collect();
    let holding =
        given.holding.map(|stage| Holding { stage, cause: "disk full\nmore".to_owned(), since_ms: 12_000, tries: 7 });
    let known = !given.steps.is_empty();
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let moved = known.then_some((given.records_per_second * 5.0) as u64);
    judge(&Situation {
        name: "c",
        way: Some(given.way),
        target: given.target,
        failure: given.failure,
        cause: "it is starting",
        tasks: given.tasks,
        running: given.running,
        failed: given.failed,
        window: Duration::from_millis(given.window_ms),
        steps: &steps,
        records_per_second: known.then_some(given.records_per_second),
        moved,
        lag_records: given.lag,
        lag_growth: given.growth,
        catch_up_seconds: crate::flow::connector::catch_up_seconds(given.lag, given.growth),
        window_use: given.window_use,
        uncommitted: given.uncommitted,
        holding: holding.as_ref(),
        shard_busy: Some(given.shard_busy),
    })
}

const PUT_BUSY: Steps = &[(Step::Pull, [2, 3, 0]), (Step::Convert, [1, 0, 0]), (Step::Put, [93, 0, 0])];
const SINK_IDLE: Steps = &[(Step::Pull, [1, 98, 0]), (Step::Put, [1, 0, 0])];
const SOURCE_IDLE: Steps = &[(Step::Poll, [1, 98, 0]), (Step::Send, [0, 0, 0]), (Step::Ack, [1, 0, 0])];

const LAGGING_STORE: Steps =
    &[(Step::Poll, [5, 0, 0]), (Step::Convert, [31, 0, 0]), (Step::Ack, [56, 0, 0]), (Step::Commit, [68, 0, 0])];
const FULL: WindowUse = WindowUse { records: 99, records_max: 100, bytes: 0, bytes_max: 0, batch_records_max: 0 };

/// What is given, who is the limit, confidence at least, and the sentence.
#[rustfmt::skip]
const TABLE: &[(Given, By, f64, &str)] = &[
    // Sinks.
    (Given { steps: PUT_BUSY, records_per_second: 12_400.0, lag: Some(1_240_000), growth: Some(-12_400.0), ..GIVEN },
        By::Target, 0.8, "limited by the target: put took 93 % of the last 5 s, 12,400 records/s; 1.2 M records wait, done in about 1 min 40 s"),
    (Given { steps: PUT_BUSY, records_per_second: 100.0, lag: Some(5000), growth: Some(250.0), ..GIVEN },
        By::Target, 0.8, "limited by the target: put took 93 % of the last 5 s, 100 records/s; 5,000 records wait, and it falls behind by 250 records/s"),
    (Given { steps: PUT_BUSY, records_per_second: 100.0, lag: Some(5000), growth: Some(0.0), ..GIVEN },
        By::Target, 0.8, "limited by the target: put took 93 % of the last 5 s, 100 records/s; 5,000 records wait, as many as before"),
    (Given { steps: &[(Step::Put, [5, 0, 80]), (Step::Flush, [5, 0, 0])], records_per_second: 1.0, lag: Some(1), ..GIVEN },
        By::Target, 0.8, "limited by the target: put took 90 % of the last 5 s, 1 records/s; 1 record waits"),
    (Given { steps: &[(Step::Put, [10, 0, 0]), (Step::Flush, [70, 0, 0])], records_per_second: 5.0, lag: Some(90), ..GIVEN },
        By::Target, 0.8, "limited by the target: flush took 80 % of the last 5 s, 5 records/s; 90 records wait"),
    (Given { steps: &[(Step::Pull, [85, 0, 0]), (Step::Put, [10, 0, 0])], records_per_second: 900.0, lag: Some(50_000), ..GIVEN },
        By::Broker, 0.7, "limited by the broker: waiting for the answer to a pull took 85 % of the last 5 s, 900 records/s; 50,000 records wait"),
    (Given { steps: &[(Step::Pull, [5, 90, 0]), (Step::Put, [2, 0, 0])], records_per_second: 10.0, lag: Some(50_000), ..GIVEN },
        By::Broker, 0.7, "limited by the broker: queues gave nothing though messages wait, for 90 % of the last 5 s, 10 records/s; 50,000 records wait"),
    (Given { steps: &[(Step::Pull, [5, 0, 0]), (Step::Commit, [80, 0, 0])], records_per_second: 10.0, lag: Some(500), ..GIVEN },
        By::Broker, 0.7, "limited by the broker: committing took 80 % of the last 5 s, 10 records/s; 500 records wait"),
    (Given { steps: &[(Step::Convert, [80, 0, 0]), (Step::Put, [15, 0, 0])], records_per_second: 10.0, lag: Some(500), shard_busy: 0.97, ..GIVEN },
        By::Converter, 0.6, "limited by the converter: converting took 80 % of the last 5 s, 10 records/s; 500 records wait"),
    (Given { steps: &[(Step::Transform, [70, 0, 0]), (Step::Put, [15, 0, 0])], records_per_second: 10.0, lag: Some(500), ..GIVEN },
        By::Transform, 0.55, "limited by the transforms: the transforms took 70 % of the last 5 s, 10 records/s; 500 records wait"),
    (Given { steps: &[(Step::Convert, [20, 0, 0]), (Step::Put, [25, 0, 0])], records_per_second: 10.0, lag: Some(500), shard_busy: 0.97, ..GIVEN },
        By::Core, 0.7, "limited by the core: its shard's thread was busy 97 % of the last 5 s, 10 records/s; 500 records wait"),
    (Given { steps: SINK_IDLE, records_per_second: 10.0, lag: Some(0), growth: Some(0.0), ..GIVEN },
        By::Nothing, 0.8, "keeps up: what comes is delivered at once, 10 records/s"),
    (Given { steps: SINK_IDLE, records_per_second: 1000.0, lag: Some(12), ..GIVEN },
        By::Nothing, 0.8, "keeps up: what comes is delivered at once, 1,000 records/s; 12 records wait"),
    (Given { steps: SINK_IDLE, lag: Some(0), ..GIVEN }, By::Nothing, 0.9, "idle: every message of its queues is delivered"),
    (Given { steps: &[(Step::Pull, [1, 0, 0]), (Step::Put, [2, 0, 0])], lag: Some(500), growth: Some(0.0), ..GIVEN },
        By::Unknown, 0.0, "nothing moves, and no step says why; 500 records wait, as many as before"),
    (Given { steps: &[(Step::Pull, [20, 0, 0]), (Step::Put, [22, 0, 0])], records_per_second: 30.0, lag: Some(500), ..GIVEN },
        By::Unknown, 0.0, "no step stands out: put took most, 22 % of the last 5 s, 30 records/s; 500 records wait"),
    // Sources.
    (Given { way: Way::Source, steps: SOURCE_IDLE, ..GIVEN },
        By::Nothing, 0.9, "idle: the source has nothing new, and everything that it gave is delivered"),
    (Given { way: Way::Source, steps: SOURCE_IDLE, records_per_second: 20.0, ..GIVEN },
        By::Source, 0.8, "limited by the source: poll had nothing to read for 98 % of the last 5 s, 20 records/s"),
    (Given { way: Way::Source, steps: &[(Step::Poll, [85, 0, 0]), (Step::Ack, [90, 0, 0])], records_per_second: 20.0, ..GIVEN },
        By::Source, 0.7, "limited by the source: poll took 85 % of the last 5 s, 20 records/s"),
    (Given { way: Way::Source, steps: &[(Step::Poll, [5, 0, 0]), (Step::Send, [5, 0, 80]), (Step::Ack, [95, 0, 0])], records_per_second: 20.0, ..GIVEN },
        By::Broker, 0.7, "limited by the broker: sending waited for room or for the queue's turn, 85 % of the last 5 s, 20 records/s"),
    (Given { way: Way::Source, steps: &[(Step::Poll, [5, 0, 0]), (Step::Send, [5, 0, 0]), (Step::Ack, [80, 0, 0])], records_per_second: 20.0, ..GIVEN },
        By::Broker, 0.7, "limited by the broker: waiting for the broker's confirmation took 80 % of the last 5 s, 20 records/s"),
    (Given { way: Way::Source, steps: &[(Step::Poll, [40, 0, 0]), (Step::Convert, [50, 0, 0]), (Step::Send, [0, 0, 90])], records_per_second: 20.0, shard_busy: 0.99, ..GIVEN },
        By::Core, 0.4, "limited by the core: its shard's thread was busy 99 % of the last 5 s, 20 records/s"),
    (Given { steps: &[(Step::Pull, [1, 2, 95]), (Step::Put, [90, 0, 0])], records_per_second: 20.0, lag: Some(99), ..GIVEN },
        By::Target, 0.8, "limited by the target: put took 90 % of the last 5 s, 20 records/s; 99 records wait"),
    // Storing positions goes on all the time; it matters when the window is full.
    (Given { way: Way::Source, steps: LAGGING_STORE, records_per_second: 20.0, ..GIVEN },
        By::Broker, 0.3, "limited by the broker: waiting for the broker's confirmation took 56 % of the last 5 s, 20 records/s"),
    (Given { way: Way::Source, steps: LAGGING_STORE, records_per_second: 20.0, window_use: FULL, ..GIVEN },
        By::Broker, 0.4, "limited by the broker: storing positions took 64 % of the last 5 s, 20 records/s"),
    (Given { way: Way::Source, steps: &[(Step::Poll, [5, 0, 85]), (Step::Ack, [60, 0, 0])], records_per_second: 20.0, window_use: FULL, ..GIVEN },
        By::Broker, 0.8, "limited by the broker: poll waited for room in the in-flight window for 85 % of the last 5 s, 20 records/s"),
    (Given { way: Way::Direct, steps: &[(Step::Poll, [5, 5, 0]), (Step::Put, [85, 0, 0])], records_per_second: 20.0, ..GIVEN },
        By::Target, 0.7, "limited by the target: put took 85 % of the last 5 s, 20 records/s"),
    // Calls that fail, whatever the shares say.
    (Given { steps: PUT_BUSY, holding: Some("TASK_PUT"), lag: Some(3), ..GIVEN },
        By::Target, 0.9, "limited by the target: it has failed for 12 s and 7 tries: disk full; 3 records wait"),
    (Given { way: Way::Source, holding: Some("ROCKETMQ_PRODUCE"), ..GIVEN },
        By::Broker, 0.9, "limited by the broker: it has failed for 12 s and 7 tries: disk full"),
    (Given { way: Way::Source, holding: Some("TASK_POLL"), ..GIVEN },
        By::Source, 0.9, "limited by the source: it has failed for 12 s and 7 tries: disk full"),
    // What stands still.
    (Given { target: TargetState::Paused, steps: PUT_BUSY, ..GIVEN }, By::Nothing, 1.0, "it is paused: nothing moves until somebody resumes it"),
    (Given { target: TargetState::Stopped, tasks: 0, running: 0, ..GIVEN }, By::Nothing, 1.0, "it is stopped: nothing moves until somebody resumes it"),
    (Given { failure: Some("no class\nat x"), ..GIVEN }, By::Unknown, 0.0, "it stands still: its configuration can't be used: no class"),
    (Given { failed: Some((2, "table is gone\nat x")), running: 0, ..GIVEN }, By::Unknown, 0.0, "it stands still: task 2 failed: table is gone"),
    (Given { running: 0, ..GIVEN }, By::Unknown, 0.0, "none of its tasks runs: it is starting"),
    (Given { running: 0, tasks: 0, ..GIVEN }, By::Unknown, 0.0, "it has no tasks yet: it is starting"),
    // Too little to go by.
    (Given { window_ms: 0, steps: PUT_BUSY, ..GIVEN }, By::Unknown, 0.0, "too little was seen to tell what limits it"),
    (GIVEN, By::Unknown, 0.0, "too little was seen to tell what limits it"),
];

#[test]
fn the_limit_is_told_with_the_numbers() {
    for (given, by, confidence, sentence) in TABLE {
        let limit = limit_of(*given);
        assert_eq!((limit.by, limit.sentence.as_str()), (*by, *sentence), "{limit:?}");
        assert!((*confidence..=1.0).contains(&limit.confidence), "{limit:?}");
        assert!(*by != By::Unknown || limit.confidence <= 0.3, "{limit:?}");
        let moves = !matches!(by, By::Nothing);
        assert!(!moves || !limit.advice.is_empty() || sentence.starts_with("no step"), "{limit:?}");
    }
}

#[test]
fn what_is_less_clear_is_less_sure() {
    let sure = |steps: Steps, window_ms| {
        limit_of(Given { steps, window_ms, records_per_second: 9.0, lag: Some(99), ..GIVEN }).confidence
    };
    let close: Steps = &[(Step::Convert, [45, 0, 0]), (Step::Put, [50, 0, 0])];
    assert!(sure(close, 5000) < sure(PUT_BUSY, 5000));
    assert!(sure(PUT_BUSY, 500) < sure(PUT_BUSY, 5000));
}

#[test]
fn a_full_window_is_told() {
    let steps: Steps = &[(Step::Send, [5, 0, 80])];
    let given = Given { way: Way::Source, steps, records_per_second: 9.0, ..GIVEN };
    assert!(limit_of(Given { window_use: FULL, ..given }).advice.contains("uncommitted.records"));
    assert!(limit_of(given).advice.contains("inflight.requests"));
}

#[test]
fn advice_names_only_keys_that_exist() {
    let lists = [COMMON_KEYS, SINK_KEYS, SOURCE_KEYS, WORKER_KEYS];
    let known = |word: &str| lists.iter().any(|keys| keys.iter().any(|key| key.name == word));
    let is_key = |word: &&str| {
        let camel = word.chars().any(char::is_lowercase) && word.chars().skip(1).any(char::is_uppercase);
        // The broker's own keys are named as such.
        (word.contains('.') || camel) && !word.starts_with("maxTransfer")
    };
    let mut seen = 0;
    for (given, ..) in TABLE {
        let advice = limit_of(*given).advice;
        let words = advice.split([' ', ',', ';', ':', '(', ')']).map(|word| word.trim_end_matches('.'));
        for word in words.filter(is_key) {
            assert!(known(word), "{word} in {advice}");
            seen += 1;
        }
    }
    assert!(seen > 10, "{seen}");
}
