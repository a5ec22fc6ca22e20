//! Connectors that panic, fail, or try the patience: the right event comes, others notice nothing, nothing stays behind.

use std::sync::atomic::Ordering;

use rmqc_io::settings::DriverWanted;

use super::support::broker::{TestBroker, leading_number};
use super::support::plane::{Options, Plane, Task};
use super::support::probe::{Call, Probe, Trick, probe};
use super::support::{alone, number, on_each_driver, wait_for};

const FIRST: (&str, &str) = ("consume.from.where", "CONSUME_FROM_FIRST_OFFSET");

/// A pipeline whose sink must go on whatever its neighbours do.
struct Neighbour {
    source: Task,
    sink: Task,
    seen: std::sync::Arc<Probe>,
}

impl Neighbour {
    fn start(plane: &Plane) -> Self {
        let name = format!("neighbour-{}", number());
        let from = [("records.per.second", "2000"), ("connect.topicname", &*name)];
        let source = plane.run(&format!("{name}-in"), "generator-source", &from);
        let sink = plane.run(&name, "test-sink", &[("probe", &*name), ("connect.topicnames", &*name), FIRST]);
        Self { source, sink, seen: probe(&name) }
    }

    fn goes_on(&self) {
        self.seen.wait_count(self.seen.count() + 500);
    }

    /// All that was made arrived, once.
    fn stop(self, plane: &Plane) {
        plane.ask_to_pause(&self.source);
        plane.paused(&self.source);
        let made = plane.counters(&self.source).records_committed;
        plane.stop(&self.source);
        self.seen.wait_count(usize::try_from(made).unwrap());
        plane.stop(&self.sink);
        let mut numbers: Vec<u64> = self.seen.values().iter().map(|value| leading_number(value)).collect();
        numbers.sort_unstable();
        assert!(numbers.into_iter().eq(0..made));
    }
}

#[test]
fn every_trick_of_a_connector_is_its_own_affair() {
    on_each_driver(|driver| {
        let broker = TestBroker::start(driver);
        let plane = Options::new(driver, broker.address).start();
        let neighbour = Neighbour::start(&plane);
        broker.make_topic("t", 4);
        broker.send("t", 0, b"1 ");
        let connections = plane.report(0).connections;
        for (class, call) in [
            ("test-source", Call::Start),
            ("test-source", Call::Poll),
            ("test-sink", Call::Start),
            ("test-sink", Call::Put),
            ("test-sink", Call::Flush),
        ] {
            for trick in [Trick::Panic, Trick::Fatal] {
                let name = format!("trick-{}", number());
                let script = probe(&name);
                script.play(call, trick, 1);
                script.allowed.store(1, Ordering::SeqCst);
                let config = [("probe", &*name), ("connect.topicname", "other"), ("connect.topicnames", "t"), FIRST];
                let task = plane.launch(&name, class, &config);
                let (cause, restart) = plane.failed(&task);
                assert!(cause.contains(&format!("a trick in {call:?}")), "{cause}");
                assert_eq!(restart, trick == Trick::Panic, "{cause}");
                assert_eq!(script.stops.load(Ordering::SeqCst), u64::from(trick == Trick::Fatal));
                neighbour.goes_on();
                // A new incarnation is not hindered by what the old one left.
                script.allowed.store(5, Ordering::SeqCst);
                let again = plane.run(&name, class, &config);
                if class == "test-sink" {
                    script.wait_count(1);
                } else {
                    wait_for("records", || (plane.counters(&again).records_committed == 5).then_some(()));
                }
                plane.stop(&again);
            }
        }
        wait_for("closed connections", || (plane.report(0).connections == connections).then_some(()));
        neighbour.stop(&plane);
        plane.shut_down();
    });
}

#[test]
fn what_fails_for_now_is_tried_again() {
    on_each_driver(|driver| {
        let broker = TestBroker::start(driver);
        let plane = Options::new(driver, broker.address).start();
        let name = format!("later-{}", number());
        let script = probe(&name);
        script.allowed.store(1000, Ordering::SeqCst);
        script.play(Call::Poll, Trick::Later, 3);
        script.play(Call::Put, Trick::Later, 4);
        script.play(Call::Flush, Trick::Later, 2);
        let source = plane.run(&format!("{name}-in"), "test-source", &[("probe", &*name), ("connect.topicname", "t")]);
        let sink = plane.run(&name, "test-sink", &[("probe", &*name), ("connect.topicnames", "t"), FIRST]);
        wait_for("records", || (plane.counters(&sink).records_committed == 1000).then_some(()));
        assert_eq!((plane.counters(&source).retries, plane.counters(&sink).retries), (3, 6));
        plane.stop(&sink);
        plane.stop(&source);
        assert_eq!((script.count(), script.played()), (1000, 9), "each record once");
        plane.shut_down();
    });
}

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn a_thousand_starts_leave_nothing_behind() {
    alone("failures::a_thousand_starts_leave_nothing_behind", || on_each_driver(start_and_stop));
}

fn start_and_stop(driver: DriverWanted) {
    let broker = TestBroker::start(driver);
    broker.make_topic("t", 4);
    let plane = Options::new(driver, broker.address).start();
    let round = |times: usize| {
        for _ in 0..times {
            let tasks: Vec<Task> = (0..25)
                .map(|n| {
                    let config = [("records", "20"), ("connect.topicname", "t"), ("connect.topicnames", "t")];
                    let class = if n % 2 == 0 { "generator-source" } else { "blackhole-sink" };
                    plane.launch(&format!("churn-{n}"), class, &config)
                })
                .collect();
            tasks.iter().for_each(|task| plane.running(task));
            tasks.iter().for_each(|task| plane.ask_to_stop(task));
            tasks.iter().for_each(|task| plane.stopped(task));
        }
    };
    round(8);
    let (before, connections) = (resident_kib(), plane.report(0).connections);
    round(40);
    wait_for("closed connections", || (plane.report(0).connections == 0).then_some(()));
    let grown = resident_kib().saturating_sub(before);
    println!("{driver:?}: {connections} connections and {before} KiB before, {grown} KiB more after 1000 tasks");
    assert!(grown < 40 * 1024, "{grown} KiB more after 1000 tasks");
    plane.shut_down();
}
