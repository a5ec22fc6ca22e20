//! What the controller can be asked beyond the Java worker's API.

use std::collections::BTreeMap;
use std::time::Duration;

use rmqc_control::controller::{Change, ChangeKind, Changed, ConnectorView, ControlError, Edit, Forget, Must, Restart};
use rmqc_control::health::Health;
use rmqc_control::worker::{TaskView, Then};
use rmqc_core::cluster_port::QueueName;
use rmqc_core::command::{FailureKind, ShardEvent};
use rmqc_core::config::Properties;
use rmqc_core::id::TaskId;
use rmqc_core::metrics::TaskCounters;
use rmqc_core::position::{RecordPartition, Scalar, StoredPosition};
use rmqc_core::state::{TargetState, TaskState};

use crate::world::{Wishes, World};

fn properties(pairs: &[(&str, &str)]) -> Properties {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn source(filename: &str) -> Properties {
    properties(&[("connector.class", "FileSource"), ("filename", filename), ("connect.topicname", "t")])
}

fn sink(filename: &str, tasks: &str) -> Properties {
    properties(&[
        ("connector.class", "FileSink"),
        ("filename", filename),
        ("connect.topicnames", "t"),
        ("max.tasks", tasks),
    ])
}

fn to(name: &str, properties: Properties) -> Change {
    Change {
        name: name.to_owned(),
        edit: Edit::Replace(properties),
        must: Must::Either,
        target: None,
        same_is_error: false,
    }
}

fn change(world: &World, change: Change) -> Result<Changed, ControlError> {
    world.answer(world.controller.change(change))
}

fn view(world: &World, name: &str) -> ConnectorView {
    world.answer(world.controller.look()).unwrap().connector(name).unwrap().clone()
}

fn task(world: &World, name: &str) -> TaskView {
    view(world, name).tasks[0].clone()
}

fn target(world: &World, name: &str, target: TargetState) {
    world.answer(world.controller.set_target(name, target)).unwrap();
}

/// Waits until a connector has so many tasks and all are in that state.
#[track_caller]
fn wait_for(world: &World, name: &str, count: usize, state: TaskState) {
    world.wait(&format!("{count} tasks of {name} to be {state}"), |world| {
        let tasks = view(world, name).tasks;
        tasks.len() == count && tasks.iter().all(|task| task.state == state)
    });
}

/// A started source with a stored position.
fn source_with_position(world: &World, name: &str) {
    change(world, to(name, source("f"))).unwrap();
    wait_for(world, name, 1, TaskState::Running);
    let task = TaskId::new(name, 0);
    let generation = world.port.generation(&task).unwrap();
    world.port.say(ShardEvent::Positions(task, generation, vec![position("42")]));
    world.wait_for_order(&format!("stored {name}-0 g{}", generation.0));
}

fn offset(next: &str) -> BTreeMap<String, Scalar> {
    BTreeMap::from([("nextPosition".to_owned(), Scalar::Text(next.to_owned()))])
}

fn position(next: &str) -> StoredPosition {
    StoredPosition { partition: RecordPartition::single("filename", "f"), offset: offset(next) }
}

fn starts(world: &World, task: &str) -> usize {
    world.port.orders().iter().filter(|order| order.starts_with(&format!("start {task} "))).count()
}

#[test]
fn a_change_tells_what_it_did_and_holds_to_what_must_be() {
    let world = World::start(Wishes::default());
    let must = |must| Change { must, ..to("a", source("f")) };
    assert_eq!(change(&world, must(Must::Exist)), Err(ControlError::NotFound("a".to_owned())));
    assert_eq!(change(&world, must(Must::BeNew)), Ok(Changed::Created));
    assert_eq!(change(&world, must(Must::BeNew)), Err(ControlError::Exists("a".to_owned())));
    assert_eq!(change(&world, must(Must::Exist)), Ok(Changed::Same));
    assert_eq!(change(&world, Change { same_is_error: true, ..must(Must::Either) }), Err(ControlError::SameConfig));
    assert_eq!(view(&world, "a").last_change.unwrap().kind, ChangeKind::Created);
    assert_eq!(change(&world, to("a", source("g"))), Ok(Changed::Updated));
    assert_eq!(view(&world, "a").last_change.unwrap().kind, ChangeKind::Updated);
}

#[test]
fn a_patch_sets_and_removes_keys_and_keeps_what_is_masked() {
    let world = World::start(Wishes::default());
    let mut config = source("f");
    config.insert("pass".to_owned(), "secret".to_owned());
    config.insert("note".to_owned(), "x".to_owned());
    change(&world, to("a", config)).unwrap();
    let patch = |name: &str, pairs: &[(&str, Option<&str>)]| {
        let pairs = pairs.iter().map(|(key, value)| ((*key).to_owned(), value.map(str::to_owned)));
        Change { edit: Edit::Patch(pairs.collect()), ..to(name, Properties::new()) }
    };
    assert_eq!(change(&world, patch("no", &[])), Err(ControlError::NotFound("no".to_owned())));
    assert_eq!(change(&world, patch("a", &[("pass", Some("******")), ("never", None)])), Ok(Changed::Same));
    let done = change(&world, patch("a", &[("filename", Some("g")), ("note", None), ("pass", Some("******"))]));
    assert_eq!(done, Ok(Changed::Updated));
    let mut wanted = source("g");
    wanted.insert("pass".to_owned(), "secret".to_owned());
    assert_eq!(*view(&world, "a").properties, wanted);
    let unusable = change(&world, patch("a", &[("connector.class", None)]));
    assert!(matches!(unusable, Err(ControlError::Invalid(_))), "{unusable:?}");
    assert_eq!(*view(&world, "a").properties, wanted, "a refused change changes nothing");
}

#[test]
fn a_new_connector_may_begin_paused_or_stopped_and_an_old_one_keeps_its_target() {
    let world = World::start(Wishes::default());
    let with = |name: &str, target| Change { target: Some(target), ..to(name, source("f")) };
    change(&world, with("paused", TargetState::Paused)).unwrap();
    wait_for(&world, "paused", 1, TaskState::Paused);
    change(&world, with("stopped", TargetState::Stopped)).unwrap();
    assert!(view(&world, "stopped").tasks.is_empty());
    let change_of = Change { target: Some(TargetState::Started), ..to("stopped", source("g")) };
    assert_eq!(change(&world, change_of), Ok(Changed::Updated));
    assert_eq!((view(&world, "stopped").target, starts(&world, "stopped-0")), (TargetState::Stopped, 0));
}

#[test]
fn a_stopped_connector_has_no_tasks_until_it_is_resumed_also_over_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let wishes = Wishes { dir: Some(dir.path()), ..Wishes::default() };
    let world = World::start(wishes);
    source_with_position(&world, "a");
    target(&world, "a", TargetState::Stopped);
    world.wait_for_order("stop a-0");
    wait_for(&world, "a", 0, TaskState::Running);
    assert_eq!(world.get("/connectors/a/status")["body"]["connector"]["state"], "PAUSED", "as the Java API says it");
    let refused = world.answer(world.controller.restart("a", Restart::All));
    assert!(refused.unwrap_err().to_string().contains("is stopped and has no tasks"));
    // Pausing everything gives a stopped connector no tasks.
    assert_eq!(world.answer(world.controller.set_target_all(TargetState::Paused)), Ok(1));
    assert_eq!(view(&world, "a").target, TargetState::Stopped);
    assert!(world.stop().is_empty());

    let world = World::start(wishes);
    assert_eq!((view(&world, "a").target, view(&world, "a").tasks.len()), (TargetState::Stopped, 0));
    target(&world, "a", TargetState::Started);
    wait_for(&world, "a", 1, TaskState::Running);
    world.wait_for_order("start a-0 shard-0 positions=1");
    assert!(world.stop().is_empty());
}

#[test]
fn restarts_reach_all_tasks_or_one_or_those_that_failed() {
    let world = World::start(Wishes::default());
    change(&world, to("s", sink("f", "2"))).unwrap();
    wait_for(&world, "s", 2, TaskState::Running);
    let restart = |which| world.answer(world.controller.restart("s", which));
    restart(Restart::One(1)).unwrap();
    world.wait("a second start of s-1", |world| starts(world, "s-1") == 2);
    wait_for(&world, "s", 2, TaskState::Running);
    restart(Restart::None).unwrap();
    restart(Restart::OnlyFailed).unwrap();
    let first = TaskId::new("s", 0);
    let generation = world.port.generation(&first).unwrap();
    let (cause, kind) = ("boom".to_owned(), FailureKind::Final);
    world.port.say(ShardEvent::TaskFailed { task: first, generation, cause, kind });
    world.wait("s-0 to fail", |world| task(world, "s").state == TaskState::Failed);
    assert_eq!((starts(&world, "s-0"), starts(&world, "s-1")), (1, 2));
    restart(Restart::OnlyFailed).unwrap();
    wait_for(&world, "s", 2, TaskState::Running);
    assert_eq!((starts(&world, "s-0"), starts(&world, "s-1")), (2, 2));
    restart(Restart::All).unwrap();
    world.wait("all to start", |world| (starts(world, "s-0"), starts(world, "s-1")) == (3, 3));
    assert_eq!(restart(Restart::One(2)), Err(ControlError::NoTask("s".to_owned(), 2)));
    let unknown = world.answer(world.controller.restart("no", Restart::All));
    assert_eq!(unknown, Err(ControlError::NotFound("no".to_owned())));
}

#[test]
fn a_task_that_keeps_failing_stays_failed_with_its_history_until_only_failed_ones_are_restarted() {
    let world = World::start(Wishes::default());
    change(&world, to("bad", sink("/nonexistent/x", "1"))).unwrap();
    wait_for(&world, "bad", 1, TaskState::Failed);
    let failed = task(&world, "bad");
    assert!(failed.cause.unwrap().contains("started again 2 times"));
    let then: Vec<_> = failed.history.iter().map(|failure| failure.then).collect();
    assert!(matches!(then[..], [Then::RestartsIn(_), Then::RestartsIn(_), Then::StaysFailed]), "{then:?}");
    assert!(failed.history.iter().all(|failure| failure.at_ms > 0 && &*failure.cause == "cannot open the file"));
    assert_eq!(starts(&world, "bad-0"), 3);
    assert!(view(&world, "bad").last_change.unwrap().cause.is_none(), "there is nothing to go back to");
    world.answer(world.controller.restart("bad", Restart::OnlyFailed)).unwrap();
    world.wait("a fresh budget", |world| starts(world, "bad-0") == 6);
}

#[test]
fn a_task_whose_other_end_is_away_is_tried_for_ever() {
    let world = World::start(Wishes::default());
    change(&world, to("a", sink("/away/x", "1"))).unwrap();
    world.wait("many tries", |world| starts(world, "a-0") > 8);
    assert_ne!(task(&world, "a").state, TaskState::Failed);
    world.wait("the cause", |world| task(world, "a").cause.as_deref() == Some("nobody answers"));
}

#[test]
fn a_change_that_cannot_start_is_rolled_back_durably() {
    let dir = tempfile::tempdir().unwrap();
    let wishes = Wishes { dir: Some(dir.path()), ..Wishes::default() };
    let world = World::start(wishes);
    change(&world, to("s", sink("f", "2"))).unwrap();
    change(&world, to("other", source("f"))).unwrap();
    wait_for(&world, "s", 2, TaskState::Running);
    wait_for(&world, "other", 1, TaskState::Running);
    for (bad, tasks) in [("/nonexistent/x", "3"), ("/away/x", "2")] {
        assert_eq!(change(&world, to("s", sink(bad, tasks))), Ok(Changed::Updated));
        world.wait("the rollback", |world| view(world, "s").last_change.unwrap().kind == ChangeKind::RolledBack);
        wait_for(&world, "s", 2, TaskState::Running);
        let back = view(&world, "s");
        assert_eq!(*back.properties, sink("f", "2"));
        let cause = back.last_change.unwrap().cause.unwrap();
        assert!(["cannot open the file", "nobody answers"].contains(&&*cause), "{cause}");
        let told = |task: &TaskView| task.history.last().is_some_and(|failure| failure.then == Then::RolledBack);
        // A third task needs not wait for an old one to drain: it fails first, and goes with the rollback.
        assert_eq!(back.tasks.iter().any(told), tasks == "2");
    }
    assert_eq!(starts(&world, "other-0"), 1, "other connectors are left alone");
    assert!(world.stop().is_empty());
    let world = World::start(wishes);
    assert_eq!(*view(&world, "s").properties, sink("f", "2"));
    assert!(world.stop().is_empty());
}

#[test]
fn a_rollback_goes_to_the_last_configuration_that_ran_and_the_next_change_takes_its_note_away() {
    let world = World::start(Wishes::default());
    change(&world, to("s", sink("f", "1"))).unwrap();
    wait_for(&world, "s", 1, TaskState::Running);
    // The old task drains meanwhile, so that neither of the next two has a chance to start.
    world.port.deaf.lock().unwrap().push("s".to_owned());
    change(&world, to("s", sink("g", "1"))).unwrap();
    change(&world, to("s", sink("/nonexistent/x", "1"))).unwrap();
    world.wait_for_order("stop s-0");
    world.port.hear_again("s");
    world.wait("the rollback", |world| view(world, "s").last_change.unwrap().kind == ChangeKind::RolledBack);
    assert_eq!(*view(&world, "s").properties, sink("f", "1"));
    wait_for(&world, "s", 1, TaskState::Running);
    change(&world, to("s", sink("h", "1"))).unwrap();
    assert_eq!(view(&world, "s").last_change.unwrap().kind, ChangeKind::Updated);
}

#[test]
fn a_change_that_ran_is_not_rolled_back_by_a_later_failure() {
    let world = World::start(Wishes::default());
    change(&world, to("s", sink("f", "1"))).unwrap();
    wait_for(&world, "s", 1, TaskState::Running);
    change(&world, to("s", sink("g", "1"))).unwrap();
    world.wait("the new task", |world| starts(world, "s-0") == 2);
    wait_for(&world, "s", 1, TaskState::Running);
    let id = TaskId::new("s", 0);
    let generation = world.port.generation(&id).unwrap();
    let (cause, kind) = ("boom".to_owned(), FailureKind::Final);
    world.port.say(ShardEvent::TaskFailed { task: id, generation, cause, kind });
    world.wait("the failure", |world| task(world, "s").state == TaskState::Failed);
    assert_eq!(
        (&*view(&world, "s").properties, view(&world, "s").last_change.unwrap().kind),
        (&sink("g", "1"), ChangeKind::Updated)
    );
}

#[test]
fn positions_are_read_and_altered_only_while_the_connector_is_stopped_and_drained() {
    let world = World::start(Wishes::default());
    source_with_position(&world, "a");
    let positions = || world.answer(world.controller.positions("a")).unwrap();
    assert_eq!(positions(), [position("42")]);
    let alter = |name: &str, next: Option<&str>| {
        let edits = vec![(position("").partition, next.map(offset))];
        world.answer(world.controller.alter_positions(name, edits))
    };
    assert!(alter("a", Some("7")).unwrap_err().to_string().contains("is not stopped; stop it"));
    assert_eq!(alter("no", None), Err(ControlError::NotFound("no".to_owned())));
    change(&world, to("s", sink("f", "1"))).unwrap();
    assert!(alter("s", None).unwrap_err().to_string().contains("is a sink"));
    world.port.deaf.lock().unwrap().push("a".to_owned());
    target(&world, "a", TargetState::Stopped);
    assert!(alter("a", Some("7")).unwrap_err().to_string().contains("still drain"));
    world.port.hear_again("a");
    world.wait("the tasks to leave", |world| world.answer(world.controller.look()).unwrap().leaving.is_empty());
    alter("a", Some("7")).unwrap();
    assert_eq!(positions(), [position("7")]);
    alter("a", None).unwrap();
    assert_eq!(positions(), []);
    assert_eq!(world.answer(world.controller.positions("no")), Ok(Vec::new()));
}

#[test]
fn a_deleted_source_forgets_its_positions_after_its_tasks_have_left() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::start(Wishes { dir: Some(dir.path()), ..Wishes::default() });
    source_with_position(&world, "a");
    world.port.deaf.lock().unwrap().push("a".to_owned());
    let (controller, forget) = (world.controller.clone(), Forget { positions: true, group: true });
    let deletion = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(controller.remove_and_forget("a", forget))
    });
    world.wait_for_order("stop a-0");
    // Neither does the controller wait, nor may a new connector of that name lose its first positions.
    let again = change(&world, to("a", source("f")));
    assert!(again.unwrap_err().to_string().contains("is being forgotten"));
    assert_eq!(world.answer(world.controller.positions("a")).unwrap().len(), 1);
    world.port.hear_again("a");
    assert_eq!(deletion.join().unwrap(), Ok(()));
    assert_eq!(world.answer(world.controller.positions("a")), Ok(Vec::new()));
    assert_eq!(std::fs::read_to_string(dir.path().join("config/position.json")).unwrap(), "{}");
    change(&world, to("a", source("f"))).unwrap();
    let unknown = world.answer(world.controller.remove_and_forget("no", forget));
    assert_eq!(unknown, Err(ControlError::NotFound("no".to_owned())));
}

#[test]
fn positions_that_a_deleted_connector_left_can_be_forgotten_later() {
    let world = World::start(Wishes::default());
    source_with_position(&world, "a");
    world.answer(world.controller.remove_and_forget("a", Forget::default())).unwrap();
    assert_eq!(world.answer(world.controller.positions("a")).unwrap().len(), 1);
    let forget = Forget { positions: true, group: false };
    assert_eq!(world.answer(world.controller.remove_and_forget("a", forget)), Ok(()));
    assert_eq!(world.answer(world.controller.positions("a")), Ok(Vec::new()));
}

#[test]
fn tasks_that_take_too_long_keep_what_should_be_forgotten() {
    let world = World::start(Wishes { task_patience: Duration::from_millis(50), ..Wishes::default() });
    source_with_position(&world, "a");
    world.port.deaf.lock().unwrap().push("a".to_owned());
    let forget = Forget { positions: true, group: false };
    let error = world.answer(world.controller.remove_and_forget("a", forget)).unwrap_err().to_string();
    assert_eq!(
        error,
        "Connector [a] is deleted, but its tasks did not drain within 50 ms; not forgotten: its positions"
    );
    assert_eq!(world.answer(world.controller.positions("a")).unwrap().len(), 1);
}

#[test]
fn a_deleted_sinks_group_goes_unless_it_is_named() {
    let world = World::start(Wishes::default());
    let queue = QueueName { topic: "t".to_owned(), broker: "broker-a".to_owned(), queue: 0 };
    let groups = ["connect-s", "connect-named", "shared"];
    let mut held = world.cluster.held.lock().unwrap();
    held.offsets.extend(groups.iter().map(|group| (((*group).to_owned(), queue.clone()), 5)));
    drop(held);
    let forget = Forget { positions: false, group: true };
    let mut named = sink("f", "1");
    named.insert("task.group.id".to_owned(), "shared".to_owned());
    for (name, config) in [("s", sink("f", "1")), ("named", named)] {
        change(&world, to(name, config)).unwrap();
        world.answer(world.controller.remove_and_forget(name, forget)).unwrap();
    }
    let left: Vec<_> = world.cluster.held.lock().unwrap().offsets.keys().map(|(group, _)| group.clone()).collect();
    assert_eq!(left, ["connect-named", "shared"]);
    world.cluster.held.lock().unwrap().down = Some("no broker answers".to_owned());
    change(&world, to("s", sink("f", "1"))).unwrap();
    let error = world.answer(world.controller.remove_and_forget("s", forget)).unwrap_err();
    assert!(matches!(&error, ControlError::Cluster(text) if text.contains("connect-s is not: no broker")), "{error}");
    assert!(world.answer(world.controller.look()).unwrap().connectors.is_empty());
}

#[test]
fn a_deleted_connectors_states_go_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::start(Wishes { dir: Some(dir.path()), ..Wishes::default() });
    let rows = |file: &str| std::fs::read_to_string(dir.path().join("config").join(file)).unwrap_or_default();
    change(&world, to("a", source("f"))).unwrap();
    world.wait("states on disk", |_| rows("taskStatus.json").contains("YQ=="));
    world.answer(world.controller.remove("a")).unwrap();
    world.wait("the states to go", |_| rows("connectorStatus.json") == "{}" && rows("taskStatus.json") == "{}");
}

#[test]
fn health_tells_how_connectors_fare_and_why() {
    let world = World::start(Wishes::default());
    change(&world, to("good", sink("f", "1"))).unwrap();
    change(&world, to("bad", sink("/nonexistent/x", "1"))).unwrap();
    change(&world, Change { target: Some(TargetState::Stopped), ..to("off", source("f")) }).unwrap();
    wait_for(&world, "good", 1, TaskState::Running);
    wait_for(&world, "bad", 1, TaskState::Failed);
    let health = || world.answer(world.controller.health()).unwrap();
    let first = health();
    let of = |name: &str| (first[name].health, first[name].cause.as_str());
    assert_eq!(of("good"), (Health::Healthy, "it has nothing to do"));
    assert_eq!(of("bad"), (Health::Failed, "task 0: it failed: cannot open the file"));
    assert_eq!(of("off"), (Health::Paused, "it is stopped"));
    assert_eq!(first["bad"].tasks.len(), 1);
    let worse = TaskCounters { records_in: 9, records_out: 8, dead_letters: 1, ..TaskCounters::default() };
    world.port.counters.lock().unwrap().insert(0, worse);
    assert_eq!(health()["good"].cause, "task 0: it delivers, but writes dead letters");
    assert_eq!(health()["good"].health, Health::Degraded, "it is told for a while");
}
