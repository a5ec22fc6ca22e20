//! What a task's report tells of its lag, and of what it waits out.

use std::sync::atomic::Ordering;

use rmqc_core::metrics::{Holding, TaskReport};

use super::support::broker::TestBroker;
use super::support::plane::{Options, Plane, Task};
use super::support::probe::{Call, Probe, Trick, probe};
use super::support::{number, on_each_driver, wait_for};

const FIRST: (&str, &str) = ("consume.from.where", "CONSUME_FROM_FIRST_OFFSET");

fn report(plane: &Plane, task: &Task) -> TaskReport {
    let report = plane.report(task.shard.0);
    report.tasks.into_iter().find(|one| one.task == task.id).expect("the task reports")
}

fn wait_lag(plane: &Plane, task: &Task, lag: u64) {
    wait_for(&format!("a lag of {lag}"), || (report(plane, task).lag_records == Some(lag)).then_some(()));
}

fn wait_holding(plane: &Plane, task: &Task) -> Holding {
    wait_for("something to wait out", || report(plane, task).holding.filter(|holding| holding.tries >= 2))
}

fn wait_free(plane: &Plane, task: &Task) {
    wait_for("the end of the wait", || report(plane, task).holding.is_none().then_some(()));
}

#[test]
fn the_lag_is_what_the_sink_has_not_taken() {
    on_each_driver(|driver| {
        let broker = TestBroker::start(driver);
        broker.make_topic("t", 2);
        let send =
            |range: std::ops::Range<i64>| range.for_each(|at| broker.send("t", at % 2, format!("{at} ").as_bytes()));
        send(0..40);
        let plane = Options::new(driver, broker.address).start();
        let name = format!("lag-{}", number());
        let seen = probe(&name);
        seen.gate.store(true, Ordering::SeqCst);
        let config = [("probe", &*name), ("connect.topicnames", "t"), FIRST, ("uncommitted.records", "7")];
        let sink = plane.run(&name, "test-sink", &config);
        wait_lag(&plane, &sink, 40);
        seen.gate.store(false, Ordering::SeqCst);
        wait_lag(&plane, &sink, 0);
        assert_eq!(seen.count(), 40);
        // New messages are seen though the sink takes none.
        seen.gate.store(true, Ordering::SeqCst);
        send(40..46);
        wait_lag(&plane, &sink, 6);
        seen.gate.store(false, Ordering::SeqCst);
        wait_lag(&plane, &sink, 0);
        plane.stop(&sink);

        let source = plane.run(&name, "test-source", &[("probe", &*name), ("connect.topicname", "t")]);
        assert_eq!(report(&plane, &source).lag_records, None, "a source has no queues");
        plane.stop(&source);
        plane.shut_down();
    });
}

/// Plays a trick until it was told of, and then no more. `begin` makes the task call.
fn held_by(plane: &Plane, task: &Task, probe: &Probe, call: Call, begin: impl FnOnce()) -> Holding {
    probe.play(call, Trick::Later, 10_000);
    begin();
    let holding = wait_holding(plane, task);
    probe.tricks.lock().unwrap().clear();
    wait_free(plane, task);
    holding
}

#[test]
fn a_call_that_is_tried_again_is_told_of_until_it_succeeds() {
    on_each_driver(|driver| {
        let broker = TestBroker::start(driver);
        broker.make_topic("t", 1);
        let plane = Options::new(driver, broker.address).start();
        let name = format!("held-{}", number());
        let seen = probe(&name);
        let config = [("probe", &*name), ("connect.topicnames", "t"), FIRST, ("commit.interval.ms", "10")];
        let sink = plane.run(&name, "test-sink", &config);
        assert_eq!(report(&plane, &sink).holding, None);
        for call in [Call::Put, Call::Flush] {
            let holding = held_by(&plane, &sink, &seen, call, || broker.send("t", 0, b"1 "));
            assert_eq!((holding.stage, holding.cause), ("TASK_PUT", format!("a trick in {call:?}")), "{call:?}");
        }
        seen.wait_count(2);
        plane.stop(&sink);

        let source = plane.run(&name, "test-source", &[("probe", &*name), ("connect.topicname", "t")]);
        // The source has nothing to give, so it is its patience that tells that it is well again.
        let holding = held_by(&plane, &source, &seen, Call::Poll, || {});
        assert_eq!(holding.cause, "a trick in Poll");
        // One that pauses waits for nothing.
        seen.play(Call::Poll, Trick::Later, 10_000);
        wait_holding(&plane, &source);
        plane.ask_to_pause(&source);
        plane.paused(&source);
        assert_eq!(report(&plane, &source).holding, None);
        plane.shut_down();
    });
}

#[test]
fn a_broker_that_is_away_is_told_of_by_both_sides() {
    on_each_driver(|driver| {
        let mut broker = TestBroker::start(driver);
        broker.make_topic("t", 1);
        let plane = Options::new(driver, broker.address).start();
        let name = format!("away-{}", number());
        let seen = probe(&name);
        let source = plane.run(&name, "test-source", &[("probe", &*name), ("connect.topicname", "t")]);
        let other = format!("away-{}", number());
        let sink = plane.run(&other, "test-sink", &[("probe", &*other), ("connect.topicnames", "t"), FIRST]);
        seen.allowed.store(1, Ordering::SeqCst);
        probe(&other).wait_count(1);
        broker.stop();
        seen.allowed.store(2, Ordering::SeqCst);
        assert_eq!(wait_holding(&plane, &source).stage, "ROCKETMQ_PRODUCE");
        let holding = wait_holding(&plane, &sink);
        assert!(["CONSUME", "COMMIT"].contains(&holding.stage), "{holding:?}");
        broker.start_again();
        wait_free(&plane, &source);
        wait_free(&plane, &sink);
        probe(&other).wait_count(2);
        plane.shut_down();
    });
}
