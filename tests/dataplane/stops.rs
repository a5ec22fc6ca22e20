//! Stops, crashes and pauses at any moment: nothing is lost, nothing comes twice after a clean stop.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rmqc_core::id::TaskId;

use super::support::broker::{TestBroker, leading_number};
use super::support::plane::{Options, Store, StoreMode};
use super::support::probe::{Call, Probe, Trick, probe};
use super::support::{Random, number, on_each_driver, wait_for};

const FIRST: (&str, &str) = ("consume.from.where", "CONSUME_FROM_FIRST_OFFSET");

fn numbers(probe: &Probe) -> Vec<u64> {
    probe.values().iter().map(|value| leading_number(value)).collect()
}

fn each_once(mut numbers: Vec<u64>, records: u64) {
    numbers.sort_unstable();
    let expected: Vec<u64> = (0..records).collect();
    assert!(numbers == expected, "{} records of {records}, {} different", numbers.len(), {
        numbers.iter().collect::<BTreeSet<_>>().len()
    });
}

#[test]
fn a_clean_stop_at_any_moment_loses_and_repeats_nothing() {
    on_each_driver(|driver| {
        const RECORDS: u64 = 100_000;
        let broker = TestBroker::start(driver);
        let plane = Options::new(driver, broker.address).start();
        let mut random = Random::new("stop");
        let name = format!("stop-{}", number());
        let seen = probe(&name);
        let records = RECORDS.to_string();
        let from = [
            ("records", &*records),
            ("record.bytes", "40"),
            ("connect.topicname", "t"),
            ("records.per.second", "60000"),
            ("commit.interval.ms", "30"),
        ];
        let to = [("probe", &*name), ("connect.topicnames", "t"), FIRST, ("commit.interval.ms", "30")];
        let mut stops = 0;
        let mut made = 0;
        while made < RECORDS {
            let source = plane.launch("gen", "generator-source", &from);
            let sink = plane.launch("out", "test-sink", &to);
            std::thread::sleep(Duration::from_millis(random.below(250)));
            plane.ask_to_stop(&source);
            plane.ask_to_stop(&sink);
            plane.stopped(&source);
            plane.stopped(&sink);
            stops += 1;
            made = broker.numbers("t").len() as u64;
        }
        each_once(broker.numbers("t"), RECORDS);
        let sink = plane.run("out", "test-sink", &to);
        seen.wait_count(RECORDS as usize);
        plane.stop(&sink);
        println!("{driver:?}: {stops} stops");
        each_once(numbers(&seen), RECORDS);
        plane.shut_down();
    });
}

#[test]
fn a_crash_repeats_at_most_the_window() {
    on_each_driver(|driver| {
        const WINDOW: u64 = 500;
        let broker = TestBroker::start(driver);
        let from =
            [("records", "40000"), ("record.bytes", "40"), ("connect.topicname", "t"), ("uncommitted.records", "500")];
        let store = Arc::new(Mutex::new(Store { mode: StoreMode::Keep, positions: BTreeMap::new(), stored: 0 }));
        let mut random = Random::new("crash");
        let mut crashes = 0;
        loop {
            let plane = Options::new(driver, broker.address).start_with(store.clone());
            let source = plane.run("gen", "generator-source", &from);
            std::thread::sleep(Duration::from_millis(random.below(60)));
            // The store hears no more: as if the worker were gone. What it still sends is what a crash leaves behind.
            store.lock().unwrap().mode = StoreMode::Silent;
            wait_for("the window", || {
                let counters = plane.counters(&source);
                assert!(counters.records_uncommitted <= WINDOW);
                let all_out = counters.records_out == counters.records_in;
                (all_out && (counters.records_uncommitted == WINDOW || stored_end(&store) == 40_000)
                    || counters.records_uncommitted == 40_000 - stored_end(&store))
                .then_some(())
            });
            drop(plane);
            let stored = broker.numbers("t");
            let different: BTreeSet<u64> = stored.iter().copied().collect();
            crashes += 1;
            assert!(different.iter().copied().eq(0..different.len() as u64), "nothing is missing");
            let twice = (stored.len() - different.len()) as u64;
            assert!(twice <= crashes * WINDOW, "{twice} repeated after {crashes} crashes");
            assert!(different.len() as u64 <= stored_end(&store) + WINDOW);
            store.lock().unwrap().mode = StoreMode::Keep;
            if different.len() == 40_000 || crashes > 15 {
                println!("{driver:?}: {twice} repeated after {crashes} crashes");
                break;
            }
        }
        let plane = Options::new(driver, broker.address).start_with(store.clone());
        let source = plane.run("gen", "generator-source", &from);
        wait_for("the end", || (stored_end(&store) == 40_000).then_some(()));
        plane.stop(&source);
        assert_eq!(broker.numbers("t").into_iter().collect::<BTreeSet<_>>().len(), 40_000);
        plane.shut_down();
    });
}

fn stored_end(store: &Mutex<Store>) -> u64 {
    use rmqc_core::position::Scalar;
    let store = store.lock().unwrap();
    let stored = store.positions.get("gen").and_then(|positions| positions.first());
    match stored.and_then(|stored| stored.offset.get("next")) {
        Some(Scalar::Text(text)) => text.parse().unwrap(),
        None => 0,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_pause_stands_still_with_everything_committed() {
    on_each_driver(|driver| {
        let broker = TestBroker::start(driver);
        let plane = Options::new(driver, broker.address).start();
        let name = format!("pause-{}", number());
        let seen = probe(&name);
        seen.allowed.store(u64::MAX, Ordering::SeqCst);
        let from = [("probe", &*name), ("connect.topicname", "t"), ("uncommitted.records", "2000")];
        let source = plane.run("gen", "test-source", &from);
        let sink = plane.run("out", "test-sink", &[("probe", &*name), ("connect.topicnames", "t"), FIRST]);
        for round in 1..4 {
            seen.wait_count(round * 5000);
            plane.ask_to_pause(&source);
            plane.paused(&source);
            let stored = broker.numbers("t").len();
            let counters = plane.counters(&source);
            assert_eq!((counters.records_uncommitted, counters.records_committed), (0, stored as u64));
            plane.ask_to_pause(&sink);
            plane.paused(&sink);
            let (count, counters) = (seen.count(), plane.counters(&sink));
            assert_eq!((counters.records_uncommitted, counters.records_committed), (0, count as u64));
            let committed: i64 = (0..16).filter_map(|queue| broker.committed("connect-out", "t", queue)).sum();
            assert_eq!(committed, count as i64);
            // Long enough for many commits and batches of a task that did not stand still.
            std::thread::sleep(Duration::from_millis(500));
            assert_eq!((broker.numbers("t").len(), seen.count()), (stored, count));
            plane.ask_to_resume(&sink);
            plane.running(&sink);
            plane.ask_to_resume(&source);
            plane.running(&source);
        }
        plane.ask_to_pause(&source);
        plane.paused(&source);
        plane.stop(&source);
        let stored = broker.numbers("t").len();
        seen.wait_count(stored);
        plane.ask_to_pause(&sink);
        plane.paused(&sink);
        plane.stop(&sink);
        each_once(numbers(&seen), stored as u64);
        plane.shut_down();
    });
}

#[test]
fn a_task_may_start_paused_and_every_resume_is_answered() {
    on_each_driver(|driver| {
        let broker = TestBroker::start(driver);
        let plane = Options::new(driver, broker.address).start();
        let from = [("records", "100"), ("connect.topicname", "t")];
        let source = plane.launch_on(0, TaskId::new("gen", 0), "generator-source", &from, true);
        plane.paused(&source);
        assert_eq!(plane.counters(&source).records_in, 0);
        plane.ask_to_resume(&source);
        plane.running(&source);
        wait_for("records", || (plane.counters(&source).records_committed == 100).then_some(()));
        for _ in 0..20 {
            // Taken back before the task looked, mostly.
            plane.ask_to_pause(&source);
            plane.ask_to_resume(&source);
            plane.running(&source);
        }
        plane.stop(&source);
        plane.shut_down();
    });
}

#[test]
fn pause_and_stop_while_the_broker_is_away() {
    on_each_driver(|driver| {
        let mut broker = TestBroker::start(driver);
        let plane =
            Options { operation_timeout: Duration::from_millis(500), ..Options::new(driver, broker.address) }.start();
        let name = format!("away-{}", number());
        let seen = probe(&name);
        seen.allowed.store(u64::MAX, Ordering::SeqCst);
        let from = [("probe", &*name), ("connect.topicname", "t"), ("uncommitted.records", "2000")];
        let to = [("probe", &*name), ("connect.topicnames", "t"), FIRST, ("commit.interval.ms", "5000")];
        let (source, sink) = (plane.run("gen", "test-source", &from), plane.run("out", "test-sink", &to));
        seen.wait_count(5000);
        broker.stop();
        wait_for("a full window", || (plane.counters(&source).records_uncommitted == 2000).then_some(()));
        plane.ask_to_pause(&source);
        plane.ask_to_pause(&sink);
        // Nothing can be committed now: neither pauses, and neither fails, however long it takes.
        std::thread::sleep(Duration::from_secs(11));
        assert!(!plane.heard(|event| matches!(event, rmqc_core::command::ShardEvent::TaskFailed { .. })));
        broker.start_again();
        plane.paused(&source);
        plane.paused(&sink);
        let committed: i64 = (0..16).filter_map(|queue| broker.committed("connect-out", "t", queue)).sum();
        assert_eq!(committed, seen.count() as i64);
        plane.ask_to_resume(&source);
        plane.running(&source);
        plane.ask_to_resume(&sink);
        plane.running(&sink);
        seen.wait_count(12_000);
        broker.stop();
        std::thread::sleep(Duration::from_millis(300));
        plane.ask_to_stop(&source);
        plane.ask_to_stop(&sink);
        // Back within the drain's deadline: the stop is still a clean one.
        std::thread::sleep(Duration::from_millis(500));
        broker.start_again();
        plane.stopped(&source);
        plane.stopped(&sink);
        let stored = broker.numbers("t").into_iter().collect::<BTreeSet<_>>();
        assert!(stored.iter().copied().eq(0..stored.len() as u64));
        broker.stop();
        let seen_numbers = numbers(&seen);
        assert!(seen_numbers.iter().all(|number| stored.contains(number)));
        plane.shut_down();
    });
}

#[test]
fn stop_and_pause_while_the_sinks_target_is_away() {
    on_each_driver(|driver| {
        let broker = TestBroker::start(driver);
        let plane = Options::new(driver, broker.address).start();
        let name = format!("target-{}", number());
        let seen = probe(&name);
        let to = [("probe", &*name), ("connect.topicnames", "t"), FIRST, ("commit.interval.ms", "60000")];
        broker.make_topic("t", 4);
        let send = |n: u64| broker.send("t", (n % 4) as i64, format!("{n} ").as_bytes());
        (0..20).for_each(send);
        let sink = plane.run("out", "test-sink", &to);
        seen.wait_count(20);
        seen.play(Call::Put, Trick::Later, 100_000);
        (20..40).for_each(send);
        wait_for("refused puts", || (seen.played() >= 3).then_some(()));
        plane.ask_to_pause(&sink);
        plane.paused(&sink);
        let committed: i64 = (0..4).filter_map(|queue| broker.committed("connect-out", "t", queue)).sum();
        assert_eq!(committed, 20, "what was accepted is committed, nothing else");
        plane.ask_to_resume(&sink);
        plane.running(&sink);
        let played = seen.played();
        wait_for("refused puts", || (seen.played() >= played + 2).then_some(()));
        plane.stop(&sink);
        seen.tricks.lock().unwrap().clear();
        let sink = plane.run("out", "test-sink", &to);
        seen.wait_count(40);
        plane.stop(&sink);
        each_once(numbers(&seen), 40);
        plane.shut_down();
    });
}
