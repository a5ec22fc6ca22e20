//! Sinks that take records while they make earlier ones durable: what is committed is what was durable, and no more.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use rmqc_io::settings::DriverWanted;

use super::support::broker::TestBroker;
use super::support::plane::{Options, Plane, Task};
use super::support::probe::{Call, Probe, Trick, probe};
use super::support::{number, on_each_driver, wait_for};

const GROUP: &str = "connect-out";

/// A sink of topic `t` that flushes beside its puts, every 10 ms.
struct Setup {
    broker: TestBroker,
    plane: Plane,
    sink: Task,
    probe: Arc<Probe>,
    sent: u64,
}

impl Setup {
    fn start(driver: DriverWanted, more: &[(&str, &str)]) -> Self {
        let broker = TestBroker::start(driver);
        broker.make_topic("t", 1);
        let plane = Options::new(driver, broker.address).start();
        let name = format!("flushes-{}", number());
        let probe = probe(&name);
        probe.flush_gate.store(true, Ordering::SeqCst);
        let config = [
            ("probe", &*name),
            ("flushes.beside", "true"),
            ("connect.topicnames", "t"),
            ("consume.from.where", "CONSUME_FROM_FIRST_OFFSET"),
            ("commit.interval.ms", "10"),
        ];
        let sink = plane.run("out", "test-sink", &[&config[..], more].concat());
        Self { broker, plane, sink, probe, sent: 0 }
    }

    fn send(&mut self, records: u64) {
        for number in self.sent..self.sent + records {
            self.broker.send("t", 0, format!("{number} ").as_bytes());
        }
        self.sent += records;
    }

    /// Waits until the sink has all that was sent.
    fn put(&mut self, records: u64) {
        self.send(records);
        self.probe.wait_count(self.sent as usize);
    }

    fn wait_flushes(&self, flushes: u64) {
        wait_for("a flush", || (self.probe.flushes.load(Ordering::SeqCst) >= flushes).then_some(()));
    }

    fn committed(&self) -> i64 {
        self.broker.committed(GROUP, "t", 0).unwrap_or(0)
    }

    fn wait_committed(&self, offset: i64) {
        wait_for("the commit", || (self.committed() == offset).then_some(()));
    }

    /// Lets the shard look for something to do some times more.
    fn wait_for_turns(&self) {
        for _ in 0..20 {
            self.plane.report(self.sink.shard.0);
        }
    }

    fn let_go(&self) {
        self.probe.flush_gate.store(false, Ordering::SeqCst);
    }
}

#[test]
fn records_are_put_while_earlier_ones_are_made_durable() {
    on_each_driver(|driver| {
        let mut setup = Setup::start(driver, &[]);
        setup.put(10);
        setup.wait_flushes(1);
        setup.put(20);
        assert_eq!(setup.committed(), 0, "nothing is durable yet");
        assert_eq!(setup.probe.flushes.load(Ordering::SeqCst), 1, "one flush at a time");
        assert_eq!(setup.plane.counters(&setup.sink).records_uncommitted, 30);
        setup.let_go();
        setup.wait_committed(30);
        wait_for("the counters", || (setup.plane.counters(&setup.sink).records_uncommitted == 0).then_some(()));
        let counters = setup.plane.counters(&setup.sink);
        assert_eq!((counters.records_out, counters.records_committed), (30, 30));
        setup.plane.stop(&setup.sink);
        assert_eq!(setup.probe.count(), 30, "each once");
        setup.plane.shut_down();
    });
}

#[test]
fn a_full_window_waits_for_the_flush() {
    on_each_driver(|driver| {
        let mut setup = Setup::start(driver, &[("uncommitted.records", "50")]);
        setup.send(200);
        setup.wait_flushes(1);
        wait_for("the full window", || (setup.probe.count() == 50).then_some(()));
        setup.wait_for_turns();
        assert_eq!((setup.probe.count(), setup.committed()), (50, 0));
        setup.let_go();
        setup.wait_committed(200);
        setup.plane.stop(&setup.sink);
        setup.plane.shut_down();
    });
}

#[test]
fn what_a_flush_failed_to_make_durable_is_not_committed() {
    on_each_driver(|driver| {
        let mut setup = Setup::start(driver, &[]);
        setup.put(10);
        setup.wait_flushes(1);
        setup.put(5);
        setup.probe.play(Call::FlushBeside, Trick::Fatal, 1);
        setup.let_go();
        let (cause, _) = setup.plane.failed(&setup.sink);
        assert!(cause.contains("a trick in FlushBeside"), "{cause}");
        assert_eq!(setup.committed(), 0);
        setup.plane.shut_down();
    });
}

#[test]
fn a_target_that_is_away_is_flushed_again_as_a_whole() {
    on_each_driver(|driver| {
        let mut setup = Setup::start(driver, &[]);
        setup.put(10);
        setup.wait_flushes(1);
        setup.put(5);
        setup.probe.play(Call::FlushBeside, Trick::Later, 1);
        setup.probe.play(Call::Flush, Trick::Later, 2);
        setup.let_go();
        setup.wait_committed(15);
        assert_eq!(setup.probe.played(), 3);
        assert_eq!(setup.probe.count(), 15, "no record is put again");
        setup.plane.stop(&setup.sink);
        setup.plane.shut_down();
    });
}

#[test]
fn a_stop_waits_for_the_flush_and_repeats_nothing() {
    on_each_driver(|driver| {
        let mut setup = Setup::start(driver, &[]);
        setup.put(10);
        setup.wait_flushes(1);
        setup.put(7);
        setup.plane.ask_to_stop(&setup.sink);
        setup.let_go();
        setup.plane.stopped(&setup.sink);
        assert_eq!(setup.committed(), 17);
        setup.plane.shut_down();
    });
}
