//! Full means wait: a sink that does not take, a store that does not answer.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::support::broker::TestBroker;
use super::support::plane::{Options, StoreMode};
use super::support::probe::probe;
use super::support::{number, on_each_driver, wait_for};

const FIRST: (&str, &str) = ("consume.from.where", "CONSUME_FROM_FIRST_OFFSET");
/// Long enough for a task that went on to be seen doing so.
const A_WHILE: Duration = Duration::from_millis(400);

#[test]
fn a_blocked_sink_takes_its_window_and_no_more() {
    on_each_driver(|driver| {
        let broker = TestBroker::start(driver);
        let plane = Options::new(driver, broker.address).start();
        let source = plane.run("gen", "generator-source", &[("records", "20000"), ("connect.topicname", "t")]);
        wait_for("records", || (plane.counters(&source).records_committed == 20_000).then_some(()));
        plane.stop(&source);
        for window in [1usize, 7, 100, 2500] {
            let name = format!("blocked-{}", number());
            let seen = probe(&name);
            seen.gate.store(true, Ordering::SeqCst);
            let text = window.to_string();
            let sink = plane.run(
                &name,
                "test-sink",
                &[("probe", &*name), ("connect.topicnames", "t"), FIRST, ("uncommitted.records", &*text)],
            );
            wait_for("a put", || (seen.at_gate.load(Ordering::SeqCst) > 0).then_some(()));
            assert!(seen.at_gate.load(Ordering::SeqCst) as usize <= window);
            std::thread::sleep(A_WHILE);
            assert_eq!((seen.count(), plane.counters(&sink).records_in), (0, 0), "nothing was accepted");
            seen.gate.store(false, Ordering::SeqCst);
            seen.wait_count(3000.min(window * 200));
            plane.stop(&sink);
            let puts = seen.puts.lock().unwrap();
            assert!(puts.iter().all(|put| *put <= window), "{window}: {puts:?}");
        }
        plane.shut_down();
    });
}

#[test]
fn pulled_bytes_are_bounded() {
    on_each_driver(|driver| {
        let broker = TestBroker::start(driver);
        broker.make_topic("t", 1);
        let plane = Options::new(driver, broker.address).start();
        let config = [("records", "4000"), ("record.bytes", "10000"), ("connect.topicname", "t")];
        let source = plane.run("gen", "generator-source", &config);
        wait_for("records", || (plane.counters(&source).records_committed == 4000).then_some(()));
        plane.stop(&source);
        let name = format!("bytes-{}", number());
        let seen = probe(&name);
        seen.gate.store(true, Ordering::SeqCst);
        let before = plane.report(0).bytes_received;
        let to = [
            ("probe", &*name),
            ("connect.topicnames", "t"),
            FIRST,
            ("uncommitted.bytes", "1000000"),
            ("uncommitted.records", "10"),
        ];
        let sink = plane.run(&name, "test-sink", &to);
        wait_for("a put", || (seen.at_gate.load(Ordering::SeqCst) > 0).then_some(()));
        std::thread::sleep(A_WHILE);
        let received = plane.report(0).bytes_received - before;
        // Requests under way when the bound is reached still bring their answers: six at most, of a mebibyte each.
        assert!(received > 500_000 && received < 1_000_000 + 7 * (1 << 20), "{received} of 40000000 bytes");
        seen.gate.store(false, Ordering::SeqCst);
        seen.wait_count(4000);
        plane.stop(&sink);
        plane.shut_down();
    });
}

#[test]
fn a_silent_store_stops_the_source_at_its_window() {
    on_each_driver(|driver| {
        let broker = TestBroker::start(driver);
        let plane = Options::new(driver, broker.address).start();
        plane.store.lock().unwrap().mode = StoreMode::Silent;
        for window in [1u64, 50, 3000] {
            let name = format!("silent-{window}");
            let text = window.to_string();
            let config = [("connect.topicname", &*name), ("uncommitted.records", &*text)];
            let source = plane.run(&name, "generator-source", &config);
            wait_for("the window", || (plane.counters(&source).records_out == window).then_some(()));
            let blocked = plane.counters(&source).blocked_us;
            std::thread::sleep(A_WHILE);
            let counters = plane.counters(&source);
            assert_eq!(
                (counters.records_in, counters.records_out, counters.records_uncommitted),
                (window, window, window)
            );
            assert_eq!((counters.records_committed, counters.commits), (0, 0));
            assert!(counters.blocked_us >= blocked + 300_000, "{} µs", counters.blocked_us);
            assert_eq!(broker.numbers(&name).len() as u64, window);
        }
        plane.shut_down_at_once();
    });
}

#[test]
fn positions_that_are_refused_or_late() {
    on_each_driver(|driver| {
        let broker = TestBroker::start(driver);
        let plane = Options::new(driver, broker.address).start();
        plane.store.lock().unwrap().mode = StoreMode::Refuse;
        let source = plane.launch("gen", "generator-source", &[("records", "10"), ("connect.topicname", "t")]);
        let (cause, restart) = plane.failed(&source);
        assert!(cause.contains("COMMIT") && cause.contains("disk full") && restart, "{cause}");
        plane.store.lock().unwrap().mode = StoreMode::KeepLate(Duration::from_millis(100));
        let config = [("records", "1000"), ("connect.topicname", "t"), ("uncommitted.records", "100")];
        let source = plane.run("gen", "generator-source", &config);
        wait_for("records", || {
            let counters = plane.counters(&source);
            assert!(counters.records_uncommitted <= 100);
            (counters.records_committed == 1000).then_some(())
        });
        plane.stop(&source);
        plane.shut_down();
    });
}
