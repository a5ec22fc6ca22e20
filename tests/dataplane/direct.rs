//! Direct tasks: a source and a sink on one shard, with no broker anywhere.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rmqc_core::position::Scalar;
use rmqc_io::settings::DriverWanted;

use super::support::broker::leading_number;
use super::support::plane::{Options, Plane, Store, StoreMode, Task};
use super::support::probe::{Call, Probe, Trick, probe};
use super::support::{Random, TempDir, number, on_each_driver, wait_for};

/// Nobody listens there, and nobody may be asked.
const NOWHERE: &str = "127.0.0.1:1";
const DIRECT: [(&str, &str); 3] =
    [("task.type", "DIRECT"), ("source.task.class", "test-source"), ("sink.task.class", "rmqc.test.TestSinkTask")];

fn plane(driver: DriverWanted) -> Plane {
    Options::new(driver, NOWHERE).start()
}

fn store() -> Arc<Mutex<Store>> {
    Arc::new(Mutex::new(Store { mode: StoreMode::Keep, positions: BTreeMap::new(), stored: 0 }))
}

/// A direct task between a source and a sink that share one probe; it keeps its place under the name of the probe.
fn launch(plane: &Plane, name: &str, more: &[(&str, &str)]) -> Task {
    let mut config = vec![("probe", name), ("commit.interval.ms", "20")];
    config.extend(DIRECT);
    config.extend_from_slice(more);
    plane.launch(name, "test-source", &config)
}

fn numbers(probe: &Probe) -> Vec<u64> {
    probe.values().iter().map(|value| leading_number(value)).collect()
}

/// Where the source would go on after a restart.
fn committed(store: &Mutex<Store>, name: &str) -> u64 {
    let store = store.lock().unwrap();
    let stored = store.positions.get(name).and_then(|positions| positions.first());
    match stored.and_then(|stored| stored.offset.get("next")) {
        Some(Scalar::Text(text)) => text.parse().unwrap(),
        None => 0,
        other => panic!("{other:?}"),
    }
}

#[test]
fn records_come_in_order_and_are_committed() {
    on_each_driver(|driver| {
        const RECORDS: u64 = 50_000;
        let plane = plane(driver);
        let name = format!("direct-{}", number());
        let seen = probe(&name);
        seen.allowed.store(RECORDS, Ordering::SeqCst);
        let task = launch(&plane, &name, &[("connect.topicname", "of-the-record")]);
        plane.running(&task);
        wait_for("the last commit", || (committed(&plane.store, &name) == RECORDS).then_some(()));
        wait_for("its answer", || (plane.counters(&task).records_committed == RECORDS).then_some(()));
        let counters = plane.counters(&task);
        assert_eq!((counters.records_in, counters.records_out, counters.records_uncommitted), (RECORDS, RECORDS, 0));
        assert_eq!(counters.bytes_in, RECORDS * 8);
        let report = plane.report(0);
        assert_eq!(report.connections, 0, "it talks to nobody");
        assert_eq!(report.tasks[0].latencies.len(), 1);
        plane.stop(&task);
        assert!(numbers(&seen).into_iter().eq(0..RECORDS), "each record once, in order");
        assert!(seen.seen.lock().unwrap().iter().all(|seen| seen.topic.as_deref() == Some("of-the-record")));
        assert_eq!(seen.stops.load(Ordering::SeqCst), 2, "both halves are closed");
        plane.shut_down();
    });
}

#[test]
fn positions_wait_for_the_flush() {
    on_each_driver(|driver| {
        let plane = plane(driver);
        let name = format!("direct-{}", number());
        let seen = probe(&name);
        seen.play(Call::Flush, Trick::Later, 1_000_000);
        seen.allowed.store(1000, Ordering::SeqCst);
        let task = launch(&plane, &name, &[("uncommitted.records", "100")]);
        plane.running(&task);
        wait_for("refused flushes", || (seen.played() >= 2).then_some(()));
        assert_eq!(committed(&plane.store, &name), 0, "nothing is safe yet");
        assert!(seen.count() > 0 && seen.count() <= 100, "{} records", seen.count());
        seen.tricks.lock().unwrap().clear();
        wait_for("the rest", || (committed(&plane.store, &name) == 1000).then_some(()));
        plane.stop(&task);
        assert!(numbers(&seen).into_iter().eq(0..1000), "each record once, in order");
        plane.shut_down();
    });
}

#[test]
fn a_crash_loses_nothing_and_repeats_at_most_the_window() {
    on_each_driver(|driver| {
        const RECORDS: u64 = 30_000;
        const WINDOW: usize = 500;
        let mut store = store();
        let name = format!("direct-{}", number());
        let seen = probe(&name);
        seen.allowed.store(RECORDS, Ordering::SeqCst);
        let mut random = Random::new("direct crash");
        let mut crashes = 0;
        while committed(&store, &name) < RECORDS && crashes < 15 {
            let plane = Options::new(driver, NOWHERE).start_with(store.clone());
            let start = committed(&store, &name);
            let task = launch(&plane, &name, &[("uncommitted.records", "500")]);
            plane.running(&task);
            std::thread::sleep(Duration::from_millis(random.below(40)));
            // The store hears no more: as if the worker were gone. What is put until the window is full is what a crash
            // leaves behind.
            store.lock().unwrap().mode = StoreMode::Silent;
            wait_for("a full window", || {
                let counters = plane.counters(&task);
                assert!(counters.records_uncommitted <= WINDOW as u64);
                let stored = committed(&store, &name);
                let full = counters.records_uncommitted == WINDOW as u64;
                let end = stored + counters.records_uncommitted == RECORDS;
                (start + counters.records_committed == stored && (full || end)).then_some(())
            });
            plane.shut_down_at_once();
            crashes += 1;
            // The old one stays silent: what went with the worker never comes back.
            let positions = store.lock().unwrap().positions.clone();
            store = Arc::new(Mutex::new(Store { mode: StoreMode::Keep, positions, stored: 0 }));
        }
        seen.allowed.store(RECORDS + 1, Ordering::SeqCst);
        let plane = Options::new(driver, NOWHERE).start_with(store.clone());
        let task = launch(&plane, &name, &[("uncommitted.records", "500")]);
        wait_for("the end", || (committed(&store, &name) == RECORDS + 1).then_some(()));
        plane.running(&task);
        plane.stop(&task);
        let mut all = numbers(&seen);
        let put = all.len();
        all.sort_unstable();
        all.dedup();
        assert!(all.into_iter().eq(0..=RECORDS), "nothing is missing");
        let twice = put - usize::try_from(RECORDS + 1).unwrap();
        println!("{driver:?}: {twice} repeated after {crashes} crashes");
        assert!(twice <= crashes * WINDOW, "{twice} repeated after {crashes} crashes");
        plane.shut_down();
    });
}

#[test]
fn clean_stops_and_pauses_repeat_nothing() {
    on_each_driver(|driver| {
        let store = store();
        let plane = Options::new(driver, NOWHERE).start_with(store.clone());
        let name = format!("direct-{}", number());
        let seen = probe(&name);
        seen.allowed.store(u64::MAX, Ordering::SeqCst);
        let mut random = Random::new("direct stop");
        for _ in 0..10 {
            let task = launch(&plane, &name, &[("uncommitted.records", "2000")]);
            plane.running(&task);
            std::thread::sleep(Duration::from_millis(random.below(30)));
            plane.ask_to_pause(&task);
            plane.paused(&task);
            let count = seen.count();
            assert_eq!(committed(&store, &name), count as u64, "a pause has everything committed");
            std::thread::sleep(Duration::from_millis(20));
            assert_eq!(seen.count(), count, "it stands still");
            plane.ask_to_resume(&task);
            plane.running(&task);
            std::thread::sleep(Duration::from_millis(random.below(30)));
            plane.stop(&task);
            assert_eq!(committed(&store, &name), seen.count() as u64, "so has a stop");
        }
        let count = seen.count() as u64;
        assert!(count > 0 && numbers(&seen).into_iter().eq(0..count), "each record once, in order");
        plane.shut_down();
    });
}

#[test]
fn a_sink_whose_target_is_away_holds_the_source() {
    on_each_driver(|driver| {
        let plane = plane(driver);
        let name = format!("direct-{}", number());
        let seen = probe(&name);
        seen.allowed.store(10, Ordering::SeqCst);
        let task = launch(&plane, &name, &[]);
        plane.running(&task);
        wait_for("the commit", || (committed(&plane.store, &name) == 10).then_some(()));
        seen.play(Call::Put, Trick::Later, 1_000_000);
        seen.allowed.store(50_000, Ordering::SeqCst);
        wait_for("refused puts", || (seen.played() >= 3).then_some(()));
        let made = seen.made.load(Ordering::SeqCst);
        plane.ask_to_pause(&task);
        plane.paused(&task);
        plane.ask_to_resume(&task);
        plane.running(&task);
        let played = seen.played();
        wait_for("refused puts", || (seen.played() >= played + 2).then_some(()));
        assert_eq!((seen.made.load(Ordering::SeqCst), seen.count()), (made, 10), "one batch waits, no more are read");
        assert_eq!(committed(&plane.store, &name), 10);
        // What was not accepted is no hindrance to a clean stop: it comes again.
        plane.stop(&task);
        assert_eq!(committed(&plane.store, &name), 10);
        let task = launch(&plane, &name, &[]);
        plane.running(&task);
        wait_for("refused puts", || (seen.played() >= played + 4).then_some(()));
        seen.tricks.lock().unwrap().clear();
        wait_for("the rest", || (committed(&plane.store, &name) == 50_000).then_some(()));
        plane.stop(&task);
        assert!(numbers(&seen).into_iter().eq(0..50_000), "each record once, in order");
        plane.shut_down();
    });
}

#[test]
fn a_failure_stops_before_its_batch() {
    on_each_driver(|driver| {
        let plane = plane(driver);
        for (call, trick) in [
            (Call::Put, Trick::Fatal),
            (Call::Put, Trick::BadRecord),
            (Call::Put, Trick::Panic),
            (Call::Flush, Trick::Fatal),
            (Call::Poll, Trick::Fatal),
            (Call::Start, Trick::Fatal),
        ] {
            let name = format!("direct-{}", number());
            let seen = probe(&name);
            if call != Call::Start {
                seen.allowed.store(10, Ordering::SeqCst);
                let task = launch(&plane, &name, &[]);
                wait_for("the commit", || (committed(&plane.store, &name) == 10).then_some(()));
                plane.stop(&task);
            }
            let before = committed(&plane.store, &name);
            seen.play(call, trick, 1);
            seen.allowed.store(20, Ordering::SeqCst);
            let task = launch(&plane, &name, &[]);
            let (cause, restart) = plane.failed(&task);
            assert!(cause.contains(&format!("a trick in {call:?}")), "{cause}");
            assert_eq!(restart, trick == Trick::Panic);
            assert_eq!(committed(&plane.store, &name), before, "{call:?} {trick:?}: nothing more is committed");
            let task = launch(&plane, &name, &[]);
            wait_for("the rest", || (committed(&plane.store, &name) == 20).then_some(()));
            plane.stop(&task);
            let mut all = numbers(&seen);
            all.sort_unstable();
            all.dedup();
            assert!(all.into_iter().eq(0..20), "{call:?} {trick:?}");
        }
        plane.shut_down();
    });
}

#[test]
fn what_the_chain_drops_is_done() {
    on_each_driver(|driver| {
        let plane = plane(driver);
        for (drops, kept) in [("drop-odd", 500), ("drop-all", 0)] {
            let name = format!("direct-{}", number());
            let seen = probe(&name);
            seen.allowed.store(1000, Ordering::SeqCst);
            let chain = [("transforms", "d"), ("transforms.d.class", drops)];
            let task = launch(&plane, &name, &chain);
            plane.running(&task);
            wait_for("the commit", || (committed(&plane.store, &name) == 1000).then_some(()));
            plane.stop(&task);
            assert_eq!(seen.count(), kept);
            assert!(numbers(&seen).into_iter().eq((0..kept as u64).map(|n| 2 * n)));
        }
        plane.shut_down();
    });
}

#[test]
fn polls_may_bring_nothing() {
    on_each_driver(|driver| {
        let plane = plane(driver);
        let name = format!("direct-{}", number());
        let seen = probe(&name);
        seen.play(Call::Poll, Trick::Nothing, 5);
        seen.play(Call::Poll, Trick::Later, 1);
        seen.allowed.store(100, Ordering::SeqCst);
        let task = launch(&plane, &name, &[("uncommitted.records", "1")]);
        plane.running(&task);
        wait_for("the commit", || (committed(&plane.store, &name) == 100).then_some(()));
        plane.stop(&task);
        assert_eq!(seen.played(), 6);
        assert!(numbers(&seen).into_iter().eq(0..100));
        plane.shut_down();
    });
}

#[test]
fn a_silent_store_stops_it_at_its_window() {
    on_each_driver(|driver| {
        let plane = plane(driver);
        plane.store.lock().unwrap().mode = StoreMode::Silent;
        for window in [1usize, 50, 3000] {
            let name = format!("direct-{}", number());
            let seen = probe(&name);
            seen.allowed.store(u64::MAX, Ordering::SeqCst);
            let text = window.to_string();
            let task = launch(&plane, &name, &[("uncommitted.records", &*text)]);
            seen.wait_count(window);
            std::thread::sleep(Duration::from_millis(200));
            assert_eq!((seen.count(), plane.counters(&task).records_uncommitted), (window, window as u64));
        }
        plane.shut_down_at_once();
    });
}

#[test]
fn a_file_becomes_records_of_a_sink() {
    on_each_driver(|driver| {
        let dir = TempDir::new();
        let lines: String = (0..20_000).map(|n| format!("{n} line\n")).collect();
        std::fs::write(dir.file("in"), lines).unwrap();
        let plane = plane(driver);
        let name = format!("direct-{}", number());
        let config = [
            ("task.type", "DIRECT"),
            ("source.task.class", "org.apache.rocketmq.connect.file.FileSourceTask"),
            ("sink.task.class", "TestSink"),
            ("filename", &*dir.file("in")),
            ("probe", &*name),
        ];
        let task = plane.run(&name, "file-source", &config);
        wait_for("records", || (plane.counters(&task).records_committed == 20_000).then_some(()));
        plane.stop(&task);
        assert!(numbers(&probe(&name)).into_iter().eq(0..20_000));
        let nobody =
            [("task.type", "DIRECT"), ("source.task.class", "file-source"), ("sink.task.class", "file-source")];
        let task = plane.launch("nobody", "file-source", &nobody);
        let (cause, restart) = plane.failed(&task);
        assert!(cause.contains("sink.task.class") && cause.contains("file-source") && !restart, "{cause}");
        plane.shut_down();
    });
}
