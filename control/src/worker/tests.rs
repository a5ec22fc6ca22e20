use rmqc_core::config::key::ConfigErrors;
use rmqc_core::error::{ConnectError, Stage};
use rmqc_core::registry::TaskBuilder;

use super::*;

mod random;

static FACTORY: ConnectorFactory = ConnectorFactory {
    name: "fake",
    java_class: "x.FakeSourceConnector",
    java_task_class: "x.FakeSourceTask",
    keys: &[],
    validate: |_| Ok(()),
    task_configs: |config, _| Ok::<_, ConfigErrors>(vec![config.clone()]),
    shardable: false,
    build: TaskBuilder::Source(|_| Err(ConnectError::fatal(Stage::Lifecycle, "a fake"))),
};

/// A table with a clock, and orders as short texts.
struct World {
    table: TaskTable,
    now: Now,
}

impl World {
    fn new(shards: usize) -> Self {
        let restart = RestartPolicy {
            max: 2,
            window: Duration::from_secs(600),
            backoff: Duration::from_secs(3),
            backoff_max: Duration::from_secs(60),
        };
        let patience = Patience { start: Duration::from_secs(10), stop: Duration::from_secs(5), restart };
        Self { table: TaskTable::new(shards, patience, 1), now: Now::default() }
    }

    fn want(&mut self, connector: &str, marks: &[&str], ordered: bool) {
        let desired = marks.iter().map(|mark| {
            let config = Arc::new(Properties::from([("mark".to_owned(), (*mark).to_owned())]));
            Desired { factory: &FACTORY, config, paused: false, ordered }
        });
        self.table.want(connector, desired.collect(), self.now);
    }

    fn step(&mut self) -> Vec<String> {
        let text = |out: Outgoing| {
            let order = match out.order {
                Order::Start(desired) => format!("start{}", if desired.paused { " paused" } else { "" }),
                Order::Pause => "pause".to_owned(),
                Order::Resume => "resume".to_owned(),
                Order::Stop => "stop".to_owned(),
            };
            format!("{} {order} g{} s{}", out.task, out.generation.0, out.shard.0)
        };
        self.table.step(self.now).into_iter().map(text).collect()
    }

    fn hear(&mut self, task: &str, generation: u64, heard: Heard) {
        let (connector, index) = task.rsplit_once('-').unwrap();
        let task = TaskId::new(connector, index.parse().unwrap());
        self.table.hear(&task, Generation(generation), heard, self.now);
    }

    fn fail(&mut self, task: &str, generation: u64, kind: FailureKind) {
        self.hear(task, generation, Heard::Failed { cause: "boom".to_owned(), kind });
    }

    fn pass(&mut self, seconds: u64) {
        self.now.monotonic += Duration::from_secs(seconds);
    }

    fn states(&self) -> Vec<String> {
        self.table.view().iter().map(|view| format!("{} {}", view.task, view.state)).collect()
    }
}

#[test]
fn a_wanted_task_is_started_once_and_runs() {
    let mut world = World::new(2);
    world.want("c", &["a", "b"], false);
    assert_eq!(world.step(), ["c-0 start g1 s0", "c-1 start g2 s1"]);
    assert!(world.step().is_empty());
    world.hear("c-0", 1, Heard::Running);
    assert_eq!(world.states(), ["c-0 RUNNING", "c-1 STARTING"]);
}

#[test]
fn an_ordered_connectors_tasks_share_a_shard() {
    let mut world = World::new(3);
    world.want("c", &["a", "b", "c"], true);
    assert_eq!(world.step(), ["c-0 start g1 s0", "c-1 start g2 s0", "c-2 start g3 s0"]);
}

#[test]
fn an_older_incarnation_is_not_listened_to() {
    let mut world = World::new(1);
    world.want("c", &["a"], false);
    world.step();
    world.fail("c-0", 1, FailureKind::Fault);
    world.pass(4);
    assert_eq!(world.step(), ["c-0 start g2 s0"]);
    world.hear("c-0", 1, Heard::Running);
    assert_eq!(world.states(), ["c-0 STARTING"]);
    assert!(!world.table.is_current(&TaskId::new("c", 0), Generation(1)));
}

#[test]
fn a_changed_configuration_stops_the_task_before_it_starts_anew() {
    let mut world = World::new(1);
    world.want("c", &["a"], false);
    world.step();
    world.hear("c-0", 1, Heard::Running);
    world.want("c", &["b"], false);
    assert_eq!(world.step(), ["c-0 stop g1 s0"]);
    assert!(world.step().is_empty(), "no second incarnation beside the first");
    world.hear("c-0", 1, Heard::Stopped);
    assert_eq!(world.step(), ["c-0 start g2 s0"]);
}

#[test]
fn an_unchanged_configuration_disturbs_nothing() {
    let mut world = World::new(1);
    world.want("c", &["a"], false);
    world.step();
    world.hear("c-0", 1, Heard::Running);
    world.want("c", &["a"], false);
    assert!(world.step().is_empty());
}

#[test]
fn pause_and_resume_are_ordered_one_at_a_time() {
    let mut world = World::new(1);
    world.want("c", &["a"], false);
    world.step();
    world.hear("c-0", 1, Heard::Running);
    world.table.pause("c", true, world.now);
    assert_eq!(world.step(), ["c-0 pause g1 s0"]);
    world.table.pause("c", false, world.now);
    assert!(world.step().is_empty(), "the pause must be reached first");
    world.hear("c-0", 1, Heard::Paused);
    assert_eq!(world.step(), ["c-0 resume g1 s0"]);
    world.hear("c-0", 1, Heard::Running);
    assert!(world.step().is_empty());
}

#[test]
fn a_task_paused_before_it_ran_starts_paused_or_is_paused_when_it_runs() {
    let mut world = World::new(1);
    world.want("c", &["a"], false);
    world.table.pause("c", true, world.now);
    assert_eq!(world.step(), ["c-0 start paused g1 s0"]);
    world.table.pause("c", false, world.now);
    world.hear("c-0", 1, Heard::Paused);
    assert_eq!(world.step(), ["c-0 resume g1 s0"]);
}

#[test]
fn a_failed_task_restarts_with_growing_pauses_and_then_stays_failed() {
    let mut world = World::new(1);
    world.want("c", &["a"], false);
    world.step();
    world.fail("c-0", 1, FailureKind::Fault);
    assert_eq!(world.states(), ["c-0 RESTARTING"]);
    let due = world.table.next_due().unwrap();
    assert!((Duration::from_secs(2)..=Duration::from_secs(4)).contains(&due), "{due:?}");
    assert!(world.step().is_empty());
    world.pass(4);
    assert_eq!(world.step(), ["c-0 start g2 s0"]);
    world.fail("c-0", 2, FailureKind::Fault);
    let pause = world.table.next_due().unwrap() - world.now.monotonic;
    assert!((Duration::from_secs(4)..=Duration::from_secs(8)).contains(&pause), "{pause:?}");
    world.pass(8);
    assert_eq!(world.step(), ["c-0 start g3 s0"]);
    world.fail("c-0", 3, FailureKind::Fault);
    assert_eq!(world.states(), ["c-0 FAILED"]);
    let cause = world.table.view()[0].cause.clone().unwrap();
    assert!(cause.starts_with("boom\nstarted again 2 times"), "{cause}");
    assert_eq!(world.table.view()[0].restarts_total, 2);
    world.pass(10_000);
    assert!(world.step().is_empty());
}

#[test]
fn failures_long_ago_do_not_count() {
    let mut world = World::new(1);
    world.want("c", &["a"], false);
    for generation in 1..6 {
        world.pass(700);
        world.step();
        world.fail("c-0", generation, FailureKind::Fault);
        assert_eq!(world.states(), ["c-0 RESTARTING"], "{generation}");
    }
}

#[test]
fn a_failure_that_a_restart_cannot_mend_stays_until_resumed() {
    let mut world = World::new(1);
    world.want("c", &["a"], false);
    world.step();
    world.fail("c-0", 1, FailureKind::Final);
    assert_eq!(world.states(), ["c-0 FAILED"]);
    world.table.pause("c", false, world.now);
    assert_eq!(world.step(), ["c-0 start g2 s0"]);
}

#[test]
fn a_start_that_takes_too_long_fails_with_that_cause() {
    let mut world = World::new(1);
    world.want("c", &["a"], false);
    world.step();
    world.pass(10);
    assert_eq!(world.step(), ["c-0 stop g1 s0"]);
    world.hear("c-0", 1, Heard::Stopped);
    assert_eq!(world.table.view()[0].cause.as_deref(), Some("did not start within 10000 ms"));
    assert_eq!(world.states(), ["c-0 RESTARTING"]);
}

#[test]
fn a_start_that_its_shard_never_heard_of_is_given_up() {
    let mut world = World::new(1);
    world.want("c", &["a"], false);
    world.step();
    world.pass(10);
    world.step();
    world.pass(5);
    assert!(world.step().is_empty());
    assert_eq!(world.states(), ["c-0 RESTARTING"]);
}

#[test]
fn an_overdue_stop_is_told_and_waited_for() {
    let mut world = World::new(1);
    world.want("c", &["a"], false);
    world.step();
    world.hear("c-0", 1, Heard::Running);
    world.want("c", &["b"], false);
    world.step();
    world.pass(6);
    assert!(world.step().is_empty());
    assert_eq!(world.table.view()[0].cause.as_deref(), Some("did not stop within 5000 ms"));
    world.hear("c-0", 1, Heard::Stopped);
    assert_eq!(world.step(), ["c-0 start g2 s0"]);
}

#[test]
fn a_deleted_connectors_tasks_drain_and_vanish() {
    let mut world = World::new(1);
    world.want("c", &["a", "b"], false);
    world.step();
    world.hear("c-0", 1, Heard::Running);
    world.want("c", &[], false);
    assert_eq!(world.step(), ["c-0 stop g1 s0", "c-1 stop g2 s0"]);
    world.hear("c-0", 1, Heard::Stopped);
    world.fail("c-1", 2, FailureKind::Fault);
    assert!(world.step().is_empty());
    assert!(world.states().is_empty());
}

#[test]
fn a_replaced_shards_tasks_start_again() {
    let mut world = World::new(2);
    world.want("c", &["a", "b"], false);
    world.step();
    world.hear("c-0", 1, Heard::Running);
    world.hear("c-1", 2, Heard::Running);
    world.table.shard_replaced(ShardId(0), "panicked", world.now);
    assert_eq!(world.states(), ["c-0 RESTARTING", "c-1 RUNNING"]);
    world.pass(4);
    assert_eq!(world.step(), ["c-0 start g3 s0"]);
}

#[test]
fn halting_stops_all_and_starts_nothing() {
    let mut world = World::new(1);
    world.want("c", &["a", "b", "d"], false);
    world.step();
    world.hear("c-0", 1, Heard::Running);
    world.fail("c-1", 2, FailureKind::Fault);
    world.table.halt();
    assert_eq!(world.step(), ["c-0 stop g1 s0", "c-2 stop g3 s0"]);
    assert!(!world.table.is_idle());
    world.hear("c-0", 1, Heard::Stopped);
    world.hear("c-2", 3, Heard::Stopped);
    world.pass(100);
    assert!(world.step().is_empty() && world.table.is_idle());
}

#[test]
fn a_start_that_finds_nobody_is_tried_for_ever_at_the_longest_pause_and_eats_no_budget() {
    let mut world = World::new(1);
    world.want("c", &["a"], false);
    for generation in 1..50 {
        assert_eq!(world.step(), [format!("c-0 start g{generation} s0")]);
        world.fail("c-0", generation, FailureKind::Away);
        assert_eq!(world.states(), ["c-0 RESTARTING"]);
        let pause = world.table.next_due().unwrap() - world.now.monotonic;
        let whole = Duration::from_secs((3 << (generation - 1).min(10)).min(60));
        assert!((whole * 2 / 3..=whole * 4 / 3).contains(&pause), "{generation}: {pause:?}");
        world.now.monotonic += pause;
    }
    assert_eq!(world.table.view()[0].restarts, 0);
    // Once it ran, the next failed start is a first one again.
    world.step();
    world.hear("c-0", 50, Heard::Running);
    world.fail("c-0", 50, FailureKind::Away);
    assert_eq!(world.table.view()[0].restarts, 1, "what fails after its start is within the budget");
}

#[test]
fn without_restarts_nothing_is_tried_again() {
    let mut world = World::new(1);
    world.table.patience.restart.max = 0;
    world.want("c", &["a"], false);
    world.step();
    world.fail("c-0", 1, FailureKind::Away);
    assert_eq!(world.states(), ["c-0 FAILED"]);
}

#[test]
fn a_restart_drains_what_runs_and_starts_what_failed_at_once() {
    let mut world = World::new(1);
    world.want("c", &["a", "b", "d"], false);
    world.step();
    world.hear("c-0", 1, Heard::Running);
    world.fail("c-1", 2, FailureKind::Fault);
    world.fail("c-2", 3, FailureKind::Final);
    assert_eq!(world.table.restart("c", None, true, world.now), 2);
    assert_eq!(world.step(), ["c-1 start g4 s0", "c-2 start g5 s0"]);
    assert_eq!(world.table.view()[1].restarts, 0, "a fresh budget");
    assert_eq!(world.table.restart("c", Some(0), false, world.now), 1);
    assert_eq!(world.step(), ["c-0 stop g1 s0"]);
    assert!(world.step().is_empty(), "no second incarnation beside the first");
    world.hear("c-0", 1, Heard::Stopped);
    assert_eq!(world.step(), ["c-0 start g6 s0"]);
    assert_eq!(world.table.restart("c", Some(9), false, world.now), 0);
    assert_eq!(world.table.restart("other", None, false, world.now), 0);
}

#[test]
fn a_paused_task_restarts_paused() {
    let mut world = World::new(1);
    world.want("c", &["a"], false);
    world.step();
    world.hear("c-0", 1, Heard::Running);
    world.table.pause("c", true, world.now);
    world.step();
    world.hear("c-0", 1, Heard::Paused);
    world.table.restart("c", None, false, world.now);
    assert_eq!(world.step(), ["c-0 stop g1 s0"]);
    world.hear("c-0", 1, Heard::Stopped);
    assert_eq!(world.step(), ["c-0 start paused g2 s0"]);
}

#[test]
fn only_what_fails_before_it_ever_ran_is_a_failed_start() {
    let mut world = World::new(1);
    world.want("c", &["a", "b"], false);
    assert!(!world.table.has_run("c"));
    world.step();
    world.hear("c-0", 1, Heard::Running);
    assert!(!world.table.has_run("c"), "not all of them");
    world.fail("c-0", 1, FailureKind::Fault);
    assert!(world.table.take_failed_starts().is_empty());
    // A start that takes too long is one.
    world.pass(10);
    world.step();
    world.hear("c-1", 2, Heard::Stopped);
    let failed: Vec<_> = world.table.take_failed_starts().into_iter().collect();
    assert_eq!(failed, [(Arc::from("c"), "did not start within 10000 ms".to_owned())]);
    assert!(world.table.take_failed_starts().is_empty(), "told once");
    // What was wanted and ran before counts as having run while nothing else is wanted.
    world.want("c", &["a"], false);
    assert!(world.table.has_run("c"));
    world.want("c", &["z"], false);
    assert!(!world.table.has_run("c"));
    assert!(!world.table.has_run("other"));
}

#[test]
fn failures_are_remembered_with_what_was_done() {
    let mut world = World::new(1);
    world.now.unix_ms = 77;
    world.want("c", &["a"], false);
    world.step();
    world.fail("c-0", 1, FailureKind::Fault);
    world.pass(4);
    world.step();
    world.fail("c-0", 2, FailureKind::Final);
    let history = world.table.view()[0].history.clone();
    assert!(matches!(history[0].then, Then::RestartsIn(2000..=4000)), "{history:?}");
    assert_eq!((history[1].at_ms, &*history[1].cause, history[1].then), (77, "boom", Then::StaysFailed));
    world.table.mark_rolled_back("c");
    world.want("c", &["b"], false);
    let view = &world.table.view()[0];
    assert_eq!((view.history[1].then, view.cause.as_deref()), (Then::RolledBack, None));
}

#[test]
fn a_connectors_tasks_are_those_of_its_very_name() {
    let mut world = World::new(1);
    world.want("c", &["a"], false);
    world.want("c-0", &["a"], false);
    world.want("ca", &["a"], false);
    world.step();
    assert_eq!(world.table.restart("c", None, false, world.now), 1);
    assert_eq!(world.step(), ["c-0 stop g1 s0"]);
    assert!(world.table.is_active("ca") && !world.table.is_active("b"));
}
