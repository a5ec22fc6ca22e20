//! What reports tell of where time goes: steps, latencies, lag, windows, failed records, stalls.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rmqc_core::metrics::{Span, Step, StepUse, TaskReport};
use rmqc_io::remoting::code::request;

use super::support::broker::TestBroker;
use super::support::plane::{Options, Plane, StoreMode, Task};
use super::support::probe::{Call, Probe, Trick, probe};
use super::support::proxy::{Fate, Frame, Proxy};
use super::support::{TempDir, number, on_each_driver, wait_for};

const FIRST: (&str, &str) = ("consume.from.where", "CONSUME_FROM_FIRST_OFFSET");
/// Time that is measured.
const A_WHILE: Duration = Duration::from_millis(400);
/// The least of it that must have been counted: the machine may be busy when it begins and ends.
const MOST_OF_IT_US: u64 = 300_000;

fn report(plane: &Plane, task: &Task) -> TaskReport {
    let report = plane.report(task.shard.0);
    report.tasks.into_iter().find(|one| one.task == task.id).expect("the task reports")
}

fn step(report: &TaskReport, step: Step) -> StepUse {
    report.steps.iter().find(|(one, _)| *one == step).map(|(_, usage)| *usage).expect("the task has that step")
}

/// What all steps of a task did during a while, and how long that was.
fn during(plane: &Plane, task: &Task) -> (impl Fn(Step) -> StepUse + use<>, u64) {
    let started = Instant::now();
    let before = report(plane, task);
    std::thread::sleep(A_WHILE);
    let after = report(plane, task);
    let elapsed_us = u64::try_from(started.elapsed().as_micros()).unwrap();
    let change = move |of: Step| {
        let (before, after) = (step(&before, of), step(&after, of));
        StepUse {
            runs: after.runs - before.runs,
            records: after.records - before.records,
            busy_us: after.busy_us - before.busy_us,
            starved_us: after.starved_us - before.starved_us,
            blocked_us: after.blocked_us - before.blocked_us,
        }
    };
    for (one, _) in report(plane, task).steps {
        let usage = change(one);
        assert!(usage.busy_us + usage.starved_us + usage.blocked_us <= elapsed_us, "{one:?} {usage:?} {elapsed_us}");
    }
    (change, elapsed_us)
}

fn latency(report: &TaskReport, span: Span) -> (u64, u64) {
    let found = report.latencies.iter().find(|one| one.span == span).expect("the latency is measured");
    (found.micros.len(), found.micros.max())
}

fn sink(plane: &Plane, more: &[(&str, &str)]) -> (Task, std::sync::Arc<Probe>) {
    let name = format!("steps-{}", number());
    let config: Vec<_> = [("probe", &*name), ("connect.topicnames", "t"), FIRST, ("commit.interval.ms", "20")]
        .into_iter()
        .chain(more.iter().copied())
        .collect();
    let seen = probe(&name);
    (plane.run(&name, "test-sink", &config), seen)
}

fn fill(broker: &TestBroker, queues: i64, bodies: impl Iterator<Item = String>) {
    broker.make_topic("t", queues);
    bodies.enumerate().for_each(|(at, body)| broker.send("t", at as i64 % queues, body.as_bytes()));
}

#[test]
fn a_sink_that_takes_long_is_busy_and_one_whose_target_is_away_is_blocked() {
    on_each_driver(|driver| {
        let broker = TestBroker::start(driver);
        fill(&broker, 2, (0..40).map(|n| format!("{n} ")));
        let plane = Options::new(driver, broker.address).start();
        let (task, seen) = sink(&plane, &[("uncommitted.records", "50")]);
        wait_for("the records", || (report(&plane, &task).counters.records_committed == 40).then_some(()));
        let all = report(&plane, &task);
        assert_eq!((all.window.records_max, all.window.batch_records_max, all.window.records), (50, 50, 0));
        assert_eq!((latency(&all, Span::RecordToPut).0, latency(&all, Span::StoreToPut).0), (40, 40));
        for one in [Step::Pull, Step::Convert, Step::Put, Step::Flush, Step::Commit] {
            assert!(step(&all, one).runs > 0 && step(&all, one).records == 40, "{one:?} {:?}", step(&all, one));
        }
        assert_eq!(step(&all, Step::Transform), StepUse::default(), "there is no chain");
        // With nothing to do.
        let (idle, elapsed_us) = during(&plane, &task);
        assert!(idle(Step::Pull).starved_us >= MOST_OF_IT_US, "{:?} of {elapsed_us}", idle(Step::Pull));
        assert!(idle(Step::Put).busy_us < 10_000);
        // With a target that takes its time.
        seen.gate.store(true, Ordering::SeqCst);
        broker.send("t", 0, b"40 ");
        wait_for("a put", || (seen.at_gate.load(Ordering::SeqCst) > 0).then_some(()));
        let (slow, _) = during(&plane, &task);
        assert!(slow(Step::Put).busy_us >= MOST_OF_IT_US, "{:?}", slow(Step::Put));
        assert!(slow(Step::Pull).starved_us < 10_000, "{:?}", slow(Step::Pull));
        let held = report(&plane, &task);
        assert!(held.window.bytes > 0 && held.window.bytes < held.window.bytes_max, "{:?}", held.window);
        assert!(held.lag_ms.is_some_and(|ms| ms >= 300), "{:?}", held.lag_ms);
        // With a target that is away.
        seen.play(Call::Put, Trick::Later, 10_000);
        seen.gate.store(false, Ordering::SeqCst);
        broker.send("t", 0, b"41 ");
        wait_for("a failed put", || (seen.played() > 1).then_some(()));
        let (away, _) = during(&plane, &task);
        assert!(away(Step::Put).blocked_us >= MOST_OF_IT_US, "{:?}", away(Step::Put));
        seen.tricks.lock().unwrap().clear();
        seen.wait_count(42);
        wait_for("no lag", || (report(&plane, &task).lag_ms == Some(0)).then_some(()));
        let shard = plane.report(0);
        let puts = shard.steps.iter().find(|(one, _)| *one == Step::Put).expect("the shard has put").1.clone();
        assert!(puts.len() >= 3 && puts.max() >= MOST_OF_IT_US, "{} {}", puts.len(), puts.max());
        assert!(shard.cpu_us > 0);
        plane.stop(&task);
        plane.shut_down();
    });
}

#[test]
fn a_sink_without_room_for_more_does_not_pull() {
    on_each_driver(|driver| {
        let broker = TestBroker::start(driver);
        fill(&broker, 1, (0..30).map(|n| format!("{n} {}", "x".repeat(100_000))));
        let plane = Options::new(driver, broker.address).start();
        let name = format!("steps-{}", number());
        let seen = probe(&name);
        seen.gate.store(true, Ordering::SeqCst);
        let bounds = [("uncommitted.bytes", "200000"), ("uncommitted.records", "2")];
        let config = [&[("probe", &*name), ("connect.topicnames", "t"), FIRST][..], &bounds].concat();
        let task = plane.run(&name, "test-sink", &config);
        wait_for("a put", || (seen.at_gate.load(Ordering::SeqCst) > 0).then_some(()));
        wait_for("a full budget", || {
            let window = report(&plane, &task).window;
            (window.bytes >= window.bytes_max).then_some(())
        });
        let (full, _) = during(&plane, &task);
        assert!(full(Step::Pull).blocked_us >= MOST_OF_IT_US, "{:?}", full(Step::Pull));
        seen.gate.store(false, Ordering::SeqCst);
        seen.wait_count(30);
        plane.stop(&task);
        plane.shut_down();
    });
}

#[test]
fn an_idle_source_is_starved_and_one_whose_window_is_full_is_blocked() {
    on_each_driver(|driver| {
        let broker = TestBroker::start(driver);
        let plane = Options::new(driver, broker.address).start();
        let name = format!("steps-{}", number());
        let seen = probe(&name);
        let config = [("probe", &*name), ("connect.topicname", "t"), ("uncommitted.records", "10")];
        let task = plane.run(&name, "test-source", &config);
        wait_for("a poll", || (step(&report(&plane, &task), Step::Poll).starved_us > 0).then_some(()));
        let (idle, elapsed_us) = during(&plane, &task);
        assert!(idle(Step::Poll).starved_us >= MOST_OF_IT_US, "{:?} of {elapsed_us}", idle(Step::Poll));
        assert_eq!(idle(Step::Poll).runs, 0);
        plane.store.lock().unwrap().mode = StoreMode::Silent;
        seen.allowed.store(1000, Ordering::SeqCst);
        wait_for("the window", || (report(&plane, &task).counters.records_out == 10).then_some(()));
        let (full, _) = during(&plane, &task);
        assert!(full(Step::Poll).blocked_us >= MOST_OF_IT_US, "{:?}", full(Step::Poll));
        assert!(full(Step::Commit).busy_us >= MOST_OF_IT_US, "the store has not answered: {:?}", full(Step::Commit));
        let held = report(&plane, &task);
        assert_eq!((held.window.records, held.window.records_max, held.window.bytes), (10, 10, 0));
        assert_eq!((held.lag_records, held.lag_ms), (None, None), "the source says nothing about what waits");
        plane.shut_down_at_once();
    });
}

#[test]
fn a_broker_that_answers_late_is_waited_for() {
    on_each_driver(|driver| {
        let broker = TestBroker::start(driver);
        let proxy = Proxy::start(broker.address, true);
        let late = Duration::from_millis(50);
        proxy.judge(move |frame, _| {
            let is_send = [request::SEND_BATCH_MESSAGE, request::SEND_MESSAGE_V2].map(i64::from);
            if matches!(frame, Frame::Request(code) if is_send.contains(&code)) { Fate::Late(late) } else { Fate::Pass }
        });
        let plane = Options::new(driver, proxy.address()).start();
        let config = [
            ("connect.topicname", "t"),
            ("uncommitted.records", "20000"),
            ("transforms", "drop"),
            ("transforms.drop.class", "rmqc.test.DropOdd"),
        ];
        let task = plane.run("slow", "generator-source", &config);
        wait_for("records", || (report(&plane, &task).counters.records_out > 0).then_some(()));
        let (slow, _) = during(&plane, &task);
        assert!(slow(Step::Ack).busy_us >= MOST_OF_IT_US, "{:?}", slow(Step::Ack));
        assert!(slow(Step::Poll).blocked_us > slow(Step::Poll).busy_us, "{:?}", slow(Step::Poll));
        let all = report(&plane, &task);
        for one in [Step::Poll, Step::Transform, Step::Convert, Step::Send, Step::Ack] {
            assert!(step(&all, one).runs > 0 && step(&all, one).records > 0, "{one:?}");
        }
        assert!(step(&all, Step::Transform).busy_us > 0 && step(&all, Step::Convert).busy_us > 0);
        assert!(all.window.bytes > 0, "{:?}", all.window);
        plane.stop(&task);
        let shard = plane.report(0);
        let acks = shard.steps.iter().find(|(one, _)| *one == Step::Ack).expect("the shard has ack").1.clone();
        assert!(acks.min() >= 49_000, "{}", acks.min());
        plane.shut_down();
    });
}

#[test]
fn every_record_of_a_source_has_a_latency() {
    on_each_driver(|driver| {
        let (dir, broker) = (TempDir::new(), TestBroker::start(driver));
        let plane = Options::new(driver, broker.address).start();
        let lines = 30_000;
        std::fs::write(dir.file("in"), "a line\n".repeat(lines)).unwrap();
        let config = [("filename", &*dir.file("in")), ("connect.topicname", "t")];
        let task = plane.run("in", "file-source", &config);
        wait_for("records", || (report(&plane, &task).counters.records_committed == lines as u64).then_some(()));
        let all = report(&plane, &task);
        let (count, max_us) = latency(&all, Span::RecordToAck);
        assert!(count == lines as u64 && max_us < 60_000_000, "{count} {max_us}");
        assert_eq!((all.window.bytes, all.window.records), (0, 0), "an idle source holds nothing");
        wait_for("the end of the file", || {
            let all = report(&plane, &task);
            (all.lag_records == Some(0) && all.lag_ms == Some(0)).then_some(())
        });
        plane.stop(&task);
        plane.shut_down();
    });
}

#[test]
fn each_queue_tells_how_far_it_is_read() {
    on_each_driver(|driver| {
        let broker = TestBroker::start(driver);
        fill(&broker, 2, (0..20).map(|n| format!("{n} ")));
        let plane = Options::new(driver, broker.address).start();
        let (task, seen) = sink(&plane, &[]);
        seen.wait_count(20);
        wait_for("no lag", || (report(&plane, &task).lag_records == Some(0)).then_some(()));
        plane.stop(&task);
        // What comes while it is stopped waits for its return.
        (0..3).for_each(|n| broker.send("t", 1, format!("{n} ").as_bytes()));
        seen.gate.store(true, Ordering::SeqCst);
        let name = task.id.connector.to_string();
        let config = [("probe", &*name), ("connect.topicnames", "t"), FIRST];
        let task = plane.run(&name, "test-sink", &config);
        let queues = wait_for("the lag", || {
            let found = report(&plane, &task);
            let known = found.lag_records == Some(3) && found.lag_ms.is_some_and(|ms| ms > 0);
            known.then_some(found.queues)
        });
        let told: Vec<_> = queues.iter().map(|q| (&*q.topic, q.queue_id, q.done, q.end, q.lag_records)).collect();
        assert_eq!(told, [("t", 0, 10, Some(10), Some(0)), ("t", 1, 10, Some(13), Some(3))]);
        assert_eq!(queues[0].lag_ms, Some(0));
        assert!(queues[1].lag_ms.is_some() && !queues[1].broker.is_empty(), "{queues:?}");
        seen.gate.store(false, Ordering::SeqCst);
        plane.stop(&task);
        plane.shut_down();
    });
}

#[test]
fn records_that_failed_are_listed_with_what_became_of_them() {
    on_each_driver(|driver| {
        let broker = TestBroker::start(driver);
        let bodies = (0..12).map(|n| format!("{}{n} ", ["bad ", "reject ", ""][n % 3]));
        fill(&broker, 1, bodies);
        let plane = Options::new(driver, broker.address).start();
        let picky = [("value.converter", "test-picky"), ("value.converter.refused", "bad")];
        for (letters, outcome) in
            [(Some(("errors.deadletterqueue.topic.name", "dead")), "dead letter"), (None, "skipped")]
        {
            let more: Vec<_> = picky.into_iter().chain([("errors.tolerance", "ALL")]).chain(letters).collect();
            let (task, seen) = sink(&plane, &more);
            seen.wait_count(4);
            let all = wait_for("the commit", || {
                let found = report(&plane, &task);
                (found.counters.records_committed == 12).then_some(found)
            });
            assert_eq!(all.failed.len(), 8, "{:?}", all.failed);
            assert!(all.failed.iter().all(|one| one.outcome == outcome && one.at_ms > 0), "{:?}", all.failed);
            for (stage, value, error) in [
                ("CONVERTER", "bad 9 ", "a text that the test refuses"),
                ("TASK_PUT", "reject 10 ", "a value that the test rejects"),
            ] {
                let place = format!("topic=t queueId=0 queueOffset={}", value.trim().rsplit(' ').next().unwrap());
                let found =
                    all.failed.iter().find(|one| one.value == value).unwrap_or_else(|| panic!("{:?}", all.failed));
                assert_eq!((found.stage, &*found.position), (stage, &*place));
                assert!(found.error.contains(error), "{}", found.error);
            }
            assert_eq!((latency(&all, Span::RecordToPut).0, latency(&all, Span::StoreToPut).0), (4, 4));
            plane.stop(&task);
        }
        plane.shut_down();
    });
}

#[test]
fn the_record_that_stops_a_source_is_still_told_when_it_runs_again() {
    on_each_driver(|driver| {
        let broker = TestBroker::start(driver);
        let plane = Options::new(driver, broker.address).start();
        let name = format!("steps-{}", number());
        let seen = probe(&name);
        seen.allowed.store(20, Ordering::SeqCst);
        let bad = [("value.converter", "test-picky"), ("value.converter.refused", "sevens")];
        let config = [&[("probe", &*name), ("connect.topicname", "t")][..], &bad].concat();
        let task = plane.launch(&name, "test-source", &config);
        plane.failed(&task);
        let task = plane.run(&name, "test-source", &config[..2]);
        let failed = report(&plane, &task).failed;
        assert_eq!(failed.len(), 1, "{failed:?}");
        let told = (failed[0].stage, &*failed[0].position, &*failed[0].value, failed[0].outcome);
        assert_eq!(told, ("CONVERTER", "numbers=all next=8", "7 ", "stopped"));
        plane.stop(&task);
        plane.shut_down();
    });
}

#[test]
fn a_direct_task_tells_of_its_steps() {
    on_each_driver(|driver| {
        let plane = Options::new(driver, "127.0.0.1:1").start();
        let name = format!("steps-{}", number());
        let seen = probe(&name);
        seen.allowed.store(5000, Ordering::SeqCst);
        let config = [
            ("probe", &*name),
            ("commit.interval.ms", "20"),
            ("task.type", "DIRECT"),
            ("source.task.class", "test-source"),
            ("sink.task.class", "rmqc.test.TestSinkTask"),
            ("transforms", "drop"),
            ("transforms.drop.class", "rmqc.test.DropOdd"),
        ];
        let task = plane.launch(&name, "test-source", &config);
        plane.running(&task);
        wait_for("the commit", || (report(&plane, &task).counters.records_committed == 5000).then_some(()));
        let all = report(&plane, &task);
        for (one, records) in
            [(Step::Poll, 5000), (Step::Transform, 5000), (Step::Put, 2500), (Step::Flush, 5000), (Step::Commit, 5000)]
        {
            assert!(step(&all, one).runs > 0 && step(&all, one).records == records, "{one:?} {:?}", step(&all, one));
        }
        let (idle, _) = during(&plane, &task);
        assert!(idle(Step::Poll).starved_us >= MOST_OF_IT_US, "{:?}", idle(Step::Poll));
        plane.stop(&task);
        plane.shut_down();
    });
}

#[test]
fn a_task_that_keeps_the_core_is_named() {
    on_each_driver(|driver| {
        let broker = TestBroker::start(driver);
        broker.make_topic("t", 1);
        let plane = Options::new(driver, broker.address).start();
        let (other, _) = sink(&plane, &[]);
        let (task, seen) = sink(&plane, &[]);
        seen.hog_ms.store(30, Ordering::SeqCst);
        broker.send("t", 0, b"1 ");
        seen.wait_count(1);
        // Other threads may take the core away for as long, so there may be more stalls than that.
        let shard = wait_for("the stall", || {
            let shard = plane.report(0);
            (shard.stalled_us >= 30_000).then_some(shard)
        });
        let last = shard.last_stall.expect("a stall");
        assert!(shard.stalls >= 1 && last.at_ms > 0);
        if shard.stalls == 1 {
            assert_eq!(last.task.as_ref(), Some(&task.id), "{last:?}");
            assert!(last.micros >= 30_000 && last.micros < 30_000_000, "{last:?}");
        }
        assert!(last.task.as_ref() != Some(&other.id) || shard.stalls > 1);
        plane.stop(&task);
        plane.stop(&other);
        plane.shut_down();
    });
}
