use rmqc_core::config::key::ConfigErrors;
use rmqc_core::error::{ConnectError, Stage};
use rmqc_core::registry::TaskBuilder;

use super::*;

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

    fn fail(&mut self, task: &str, generation: u64, restart: bool) {
        self.hear(task, generation, Heard::Failed { cause: "boom".to_owned(), restart });
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
    world.fail("c-0", 1, true);
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
    world.fail("c-0", 1, true);
    assert_eq!(world.states(), ["c-0 RESTARTING"]);
    let due = world.table.next_due().unwrap();
    assert!((Duration::from_secs(2)..=Duration::from_secs(4)).contains(&due), "{due:?}");
    assert!(world.step().is_empty());
    world.pass(4);
    assert_eq!(world.step(), ["c-0 start g2 s0"]);
    world.fail("c-0", 2, true);
    let pause = world.table.next_due().unwrap() - world.now.monotonic;
    assert!((Duration::from_secs(4)..=Duration::from_secs(8)).contains(&pause), "{pause:?}");
    world.pass(8);
    assert_eq!(world.step(), ["c-0 start g3 s0"]);
    world.fail("c-0", 3, true);
    assert_eq!(world.states(), ["c-0 FAILED"]);
    let cause = world.table.view()[0].cause.clone().unwrap();
    assert!(cause.starts_with("boom\nstarted again 2 times"), "{cause}");
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
        world.fail("c-0", generation, true);
        assert_eq!(world.states(), ["c-0 RESTARTING"], "{generation}");
    }
}

#[test]
fn a_failure_that_a_restart_cannot_mend_stays_until_resumed() {
    let mut world = World::new(1);
    world.want("c", &["a"], false);
    world.step();
    world.fail("c-0", 1, false);
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
    world.fail("c-1", 2, true);
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
    world.fail("c-1", 2, true);
    world.table.halt();
    assert_eq!(world.step(), ["c-0 stop g1 s0", "c-2 stop g3 s0"]);
    assert!(!world.table.is_idle());
    world.hear("c-0", 1, Heard::Stopped);
    world.hear("c-2", 3, Heard::Stopped);
    world.pass(100);
    assert!(world.step().is_empty() && world.table.is_idle());
}
