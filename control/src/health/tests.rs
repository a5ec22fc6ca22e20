use std::sync::Arc;

use rmqc_core::config::Properties;
use rmqc_core::id::{ShardId, TaskId};
use rmqc_core::metrics::ShardReport;

use super::*;
use crate::worker::{TaskFailure, Then};

/// Milliseconds since 1970 at the tests' second 0.
const EPOCH_MS: i64 = 1_700_000_000_000;

fn now(second: u64) -> Now {
    let unix_ms = EPOCH_MS + i64::try_from(second).unwrap() * 1000;
    Now { monotonic: Duration::from_secs(second), unix_ms }
}

fn task(state: TaskState) -> TaskView {
    TaskView {
        task: TaskId::new("c", 0),
        state,
        cause: None,
        shard: Some(ShardId(0)),
        config: Arc::new(Properties::from([("commit.interval.ms".to_owned(), "5000".to_owned())])),
        restarts: 0,
        restarts_total: 0,
        changed_ms: EPOCH_MS,
        leaving: false,
        history: Vec::new(),
        down_since_ms: (!matches!(state, TaskState::Running | TaskState::Paused)).then_some(EPOCH_MS),
    }
}

fn connector(tasks: Vec<TaskView>) -> ConnectorView {
    ConnectorView {
        name: "c".to_owned(),
        properties: Arc::new(Properties::new()),
        target: TargetState::Started,
        factory: None,
        failure: None,
        last_change: None,
        tasks,
    }
}

/// What a task did until a second.
#[derive(Clone, Copy, Default)]
struct Seen {
    second: u64,
    out: u64,
    lag: Option<u64>,
    uncommitted: u64,
    retries: u64,
    dead_letters: u64,
    skipped: u64,
    held_ms: u64,
}

fn tracks(seen: &[Seen]) -> Tracks {
    let mut tracks = Tracks::default();
    for one in seen {
        let counters = TaskCounters {
            records_in: one.out,
            records_out: one.out,
            records_uncommitted: one.uncommitted,
            retries: one.retries,
            dead_letters: one.dead_letters,
            records_skipped: one.skipped,
            ..TaskCounters::default()
        };
        let holding = (one.held_ms > 0).then(|| Holding {
            stage: "TASK_PUT",
            cause: "disk full\nmore".to_owned(),
            since_ms: one.held_ms,
            tries: 3,
        });
        let report = TaskReport { counters, lag_records: one.lag, holding, ..TaskReport::new(TaskId::new("c", 0)) };
        let report = Arc::new(ShardReport { tasks: vec![report], ..ShardReport::default() });
        let reports = Reports { shards: vec![(ShardId(0), report)], missing: Vec::new() };
        tracks.take(&reports, Duration::from_secs(one.second));
    }
    tracks
}

fn at(second: u64) -> Seen {
    Seen { second, ..Seen::default() }
}

#[track_caller]
fn check(seen: &[Seen], view: TaskView, second: u64, health: Health, cause: &str) {
    let judged = tracks(seen).judge(&connector(vec![view]), now(second));
    assert_eq!((judged.health, judged.tasks[0].2.as_str()), (health, cause));
}

#[test]
fn a_running_task_is_judged_by_what_it_delivers() {
    use Health::{CatchingUp, Degraded, Healthy, Stalled};
    let lag = |lag: u64| Some(lag);
    let seen: &[(&[Seen], u64, Health, &str)] = &[
        (&[], 0, Healthy, "it runs; its counters are not known yet"),
        (&[at(0), at(100)], 101, Healthy, "it has nothing to do"),
        // Work that came a moment ago is no reason to worry.
        (&[at(0), at(30), Seen { lag: lag(5), ..at(31) }], 32, Healthy, "it is at work"),
        (
            &[at(0), Seen { lag: lag(5), ..at(5) }, Seen { lag: lag(5), ..at(10) }],
            10,
            Stalled,
            "it has delivered nothing for 10 s: 5 records wait",
        ),
        (&[at(0), Seen { lag: lag(5), ..at(5) }, Seen { lag: lag(5), ..at(9) }], 9, Healthy, "it is at work"),
        // It delivers as fast as records come.
        (&[Seen { lag: lag(50), ..at(0) }, Seen { out: 5000, lag: lag(60), ..at(5) }], 5, Healthy, "it is at work"),
        (
            &[Seen { lag: lag(90_000), ..at(0) }, Seen { out: 50_000, lag: lag(40_000), ..at(5) }],
            5,
            CatchingUp,
            "it delivers, and 40000 records wait",
        ),
        (
            &[Seen { lag: lag(40), ..at(0) }, Seen { out: 5, lag: lag(90), ..at(5) }],
            5,
            CatchingUp,
            "it delivers, and 90 records wait",
        ),
        // A commit may take as long as its interval.
        (
            &[at(0), Seen { out: 9, uncommitted: 9, ..at(1) }, Seen { out: 9, uncommitted: 9, ..at(12) }],
            12,
            Healthy,
            "it is at work",
        ),
        (
            &[Seen { out: 9, uncommitted: 9, ..at(0) }, Seen { out: 9, uncommitted: 9, ..at(600) }],
            600,
            Stalled,
            "it has delivered nothing for 600 s: 9 records wait for their commit",
        ),
        // The first sample of a task that waits says enough.
        (
            &[Seen { held_ms: 15_000, ..at(100) }],
            100,
            Stalled,
            "it has delivered nothing for 15 s: TASK_PUT was tried 3 times: disk full",
        ),
        (&[Seen { held_ms: 3_000, ..at(100) }], 100, Degraded, "TASK_PUT was tried 3 times: disk full"),
        (&[at(0), Seen { out: 9, retries: 1, ..at(5) }], 64, Stalled, "its shard has not answered for 59 s"),
        (
            &[at(0), Seen { out: 9, retries: 1, ..at(5) }, Seen { out: 9, retries: 1, ..at(64) }],
            64,
            Degraded,
            "it delivers, but had to try calls again",
        ),
        (
            &[at(0), Seen { out: 9, retries: 1, ..at(5) }, Seen { out: 9, retries: 1, ..at(65) }],
            65,
            Healthy,
            "it has nothing to do",
        ),
        (&[at(0), Seen { out: 9, dead_letters: 1, ..at(5) }], 5, Degraded, "it delivers, but writes dead letters"),
        (&[at(0), Seen { out: 9, skipped: 1, ..at(5) }], 5, Degraded, "it delivers, but passes bad records over"),
        // A new incarnation counts from zero; that is no trouble by itself.
        (&[Seen { out: 9, dead_letters: 4, ..at(0) }, Seen { out: 2, ..at(5) }], 5, Healthy, "it has nothing to do"),
    ];
    for (seen, second, health, cause) in seen {
        check(seen, task(TaskState::Running), *second, *health, cause);
    }
}

#[test]
fn a_task_that_does_not_run_is_judged_by_how_long() {
    let failed = |state| TaskView { cause: Some("boom\nat line 1".to_owned()), ..task(state) };
    check(&[], failed(TaskState::Failed), 0, Health::Failed, "it failed: boom");
    check(&[], failed(TaskState::Restarting), 9, Health::Degraded, "it is restarting: boom");
    check(&[], failed(TaskState::Restarting), 10, Health::Stalled, "it has not run for 10 s and is restarting: boom");
    check(&[], task(TaskState::Starting), 9, Health::Healthy, "it is starting");
    check(&[], task(TaskState::Starting), 10, Health::Stalled, "it has not run for 10 s and is starting");
}

#[test]
fn a_task_that_runs_again_is_degraded_for_a_minute() {
    let failure = TaskFailure { at_ms: EPOCH_MS, cause: Arc::from("boom"), then: Then::RestartsIn(1) };
    let view = || TaskView { history: vec![failure.clone()], ..task(TaskState::Running) };
    check(&[at(55)], view(), 59, Health::Degraded, "it runs again after a failure: boom");
    check(&[at(55)], view(), 60, Health::Healthy, "it has nothing to do");
}

#[test]
fn the_worst_task_speaks_for_the_connector() {
    let view = |index, state| TaskView { task: TaskId::new("c", index), cause: Some("boom".to_owned()), ..task(state) };
    let mut all = connector(vec![
        view(0, TaskState::Running),
        view(1, TaskState::Restarting),
        view(2, TaskState::Failed),
        view(3, TaskState::Failed),
    ]);
    let judge = |all: &ConnectorView| {
        let ConnectorHealth { health, cause, tasks } = Tracks::default().judge(all, now(1));
        (health, cause, tasks.into_iter().map(|(index, health, _)| (index, health)).collect::<Vec<_>>())
    };
    let (health, cause, tasks) = judge(&all);
    assert_eq!((health, cause.as_str()), (Health::Failed, "task 2: it failed: boom"));
    assert_eq!(tasks[..3], [(0, Health::Healthy), (1, Health::Degraded), (2, Health::Failed)]);
    all.target = TargetState::Paused;
    assert_eq!(judge(&all).0, Health::Failed, "a failure does not hide behind a pause");
    all.tasks = vec![TaskView { cause: None, ..view(0, TaskState::Paused) }];
    assert_eq!((judge(&all).0, judge(&all).1.as_str()), (Health::Paused, "it is paused"));
    (all.target, all.tasks) = (TargetState::Stopped, Vec::new());
    assert_eq!((judge(&all).0, judge(&all).1.as_str()), (Health::Paused, "it is stopped"));
    all.failure = Some("no such class".to_owned());
    assert_eq!(
        (judge(&all).0, judge(&all).1.as_str()),
        (Health::Failed, "its configuration can't be used: no such class")
    );
}

#[test]
fn what_is_remembered_is_bounded_and_idle_is_not_busy() {
    let mut tracks = tracks(&[at(0), at(5)]);
    assert!(!tracks.are_busy());
    tracks.take(&Reports::default(), Duration::from_secs(200));
    assert!(tracks.tracks.is_empty());
}
