//! Order: what one source sends to one queue is stored in the order of sending, whatever happens on the way.
//!
//! What may happen: a request whose answer is lost is sent again, so its batch may be stored twice, the copies right
//! behind each other. [`check_order`] allows this and nothing else.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rmqc_io::remoting::route::queue_index;
use rmqc_io::settings::DriverWanted;

use super::support::broker::{Stored, TestBroker};
use super::support::plane::{Options, Plane, Task};
use super::support::proxy::{Fate, Frame, Proxy};
use super::support::{Random, on_each_driver, wait_for};

/// Numbers rise, except that from time to time the writer steps back to a number it has written and repeats, without a
/// gap, all that it wrote from there on, up to the highest number, before anything new.
fn check_order(queue: i64, numbers: &[u64]) {
    let mut firsts: Vec<u64> = Vec::new();
    let mut repeating: Option<usize> = None;
    for number in numbers {
        let expected = repeating.and_then(|at| firsts.get(at));
        if expected == Some(number) {
            repeating = repeating.map(|at| at + 1);
        } else if firsts.last().is_none_or(|last| last < number) && expected.is_none() {
            firsts.push(*number);
            repeating = None;
        } else {
            let back = firsts.binary_search(number).unwrap_or_else(|_| panic!("queue {queue}: {number} came late"));
            // A second repeat may begin in the middle of one only when that was cut short by a third attempt's copy.
            assert!(expected.is_none(), "queue {queue}: {number} came instead of {expected:?}");
            repeating = Some(back + 1);
        }
    }
    assert!(repeating.is_none_or(|at| at == firsts.len()), "queue {queue}: a repeat ends early");
}

#[test]
fn the_check_itself_tells_repeats_from_disorder() {
    check_order(0, &[1, 4, 6, 9, 6, 9, 12, 12, 12]);
    for bad in [&[2u64, 1][..], &[1, 2, 3, 2, 4], &[1, 3, 2], &[1, 2, 3, 2]] {
        assert!(std::panic::catch_unwind(|| check_order(0, bad)).is_err(), "{bad:?}");
    }
}

fn check_content(broker: &TestBroker, topic: &str, records: u64, keyed: bool) -> usize {
    let content = broker.content(topic);
    for (queue, stored) in &content {
        let numbers: Vec<u64> = stored.iter().map(Stored::number).collect();
        check_order(*queue, &numbers);
        for one in stored.iter().filter(|_| keyed) {
            let key = std::str::from_utf8(&one.key).unwrap();
            assert_eq!(key, format!("key-{}", one.number() % 37));
            assert_eq!(queue_index(key, 16) as i64, *queue, "{key}");
        }
    }
    let all: Vec<u64> = content.values().flatten().map(Stored::number).collect();
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len() as u64, records, "lost records");
    all.len() - usize::try_from(records).unwrap()
}

/// Long enough for an answer from a broker that answers, and short enough for a test whose broker does not.
const SHORT_TIMEOUT: Duration = Duration::from_millis(400);

fn start(driver: DriverWanted, proxy: &Proxy, operation_timeout: Duration) -> Plane {
    Options { operation_timeout, ..Options::new(driver, proxy.address()) }.start()
}

fn generate(plane: &Plane, records: u64, keyed: bool) -> Task {
    let records = records.to_string();
    let mut config = vec![
        ("records", &*records),
        ("record.bytes", "60"),
        ("connect.topicname", "t"),
        ("records.per.second", "20000"),
        ("batch.messages", "50"),
    ];
    if keyed {
        config.extend([("key.count", "37"), ("ordering.msg.enable", "true")]);
    }
    plane.run("gen", "generator-source", &config)
}

fn all_committed(plane: &Plane, task: &Task, records: u64) {
    wait_for("all records", || (plane.counters(task).records_committed == records).then_some(()));
}

/// Runs a generator through a proxy while `disturb` does its worst; gives how many records came twice.
fn disturbed(driver: DriverWanted, keyed: bool, disturb: impl FnOnce(&mut TestBroker, &Proxy)) -> usize {
    generated(driver, keyed, SHORT_TIMEOUT, disturb)
}

fn generated(
    driver: DriverWanted,
    keyed: bool,
    operation_timeout: Duration,
    disturb: impl FnOnce(&mut TestBroker, &Proxy),
) -> usize {
    const RECORDS: u64 = 40_000;
    let mut broker = TestBroker::start(driver);
    let proxy = Proxy::start(broker.address, true);
    let plane = start(driver, &proxy, operation_timeout);
    let task = generate(&plane, RECORDS, keyed);
    disturb(&mut broker, &proxy);
    all_committed(&plane, &task, RECORDS);
    plane.stop(&task);
    plane.shut_down();
    check_content(&broker, "t", RECORDS, keyed)
}

fn is_send(frame: Frame) -> bool {
    matches!(frame, Frame::Request(310 | 320))
}

#[test]
fn nothing_disturbed_nothing_twice() {
    on_each_driver(|driver| {
        for keyed in [false, true] {
            // A send that a busy machine answers late would be sent again.
            assert_eq!(generated(driver, keyed, Duration::from_secs(60), |_, _| {}), 0);
        }
    });
}

#[test]
fn the_broker_goes_and_comes_back() {
    on_each_driver(|driver| {
        for keyed in [false, true] {
            let twice = disturbed(driver, keyed, |broker, proxy| {
                for _ in 0..3 {
                    std::thread::sleep(Duration::from_millis(200));
                    broker.stop();
                    std::thread::sleep(Duration::from_millis(100));
                    broker.start_again();
                    proxy.cut();
                }
            });
            println!("{driver:?}, keyed {keyed}: {twice} records twice");
        }
    });
}

#[test]
fn connections_are_cut_and_requests_torn() {
    on_each_driver(|driver| {
        for keyed in [false, true] {
            let mut random = Random::new("cut");
            let twice = disturbed(driver, keyed, |_, proxy| {
                proxy.judge(move |frame, _| match (is_send(frame), random.below(60)) {
                    (true, 0) => Fate::Half,
                    (_, 1) => Fate::Cut,
                    (_, 2) => Fate::Late(Duration::from_millis(20)),
                    _ => Fate::Pass,
                });
            });
            println!("{driver:?}, keyed {keyed}: {twice} records twice");
        }
    });
}

#[test]
fn answers_get_lost_and_the_outcome_is_unknown() {
    on_each_driver(|driver| {
        for keyed in [false, true] {
            let mut random = Random::new("lost");
            let twice = disturbed(driver, keyed, |_, proxy| {
                proxy.judge(move |frame, _| match (frame, random.below(60)) {
                    (Frame::Answer(_), 0) => Fate::Lost,
                    _ => Fate::Pass,
                });
            });
            println!("{driver:?}, keyed {keyed}: {twice} records twice");
            assert!(twice > 0, "a lost answer is a repeated batch");
        }
    });
}

#[test]
fn a_silent_path_is_left() {
    on_each_driver(|driver| {
        disturbed(driver, true, |_, proxy| {
            let before = proxy.accepted();
            // Nothing comes back any more, though the connections stay: only who gives them up gets on.
            proxy.judge(|frame, _| if matches!(frame, Frame::Answer(_)) { Fate::Lost } else { Fate::Pass });
            wait_for("new connections", || (proxy.accepted() > before).then_some(()));
            proxy.judge(|_, _| Fate::Pass);
        });
    });
}

#[test]
fn a_busy_broker_is_asked_again() {
    on_each_driver(|driver| {
        for keyed in [false, true] {
            let mut random = Random::new("busy");
            let twice = disturbed(driver, keyed, |_, proxy| {
                proxy.judge(move |frame, _| match (is_send(frame), random.below(20)) {
                    (true, 0) => Fate::Refuse(2),
                    _ => Fate::Pass,
                });
            });
            assert_eq!(twice, 0, "a busy broker has stored nothing");
        }
    });
}

/// A broker that comes back stands in the name server's answers from one moment to the next. A producer that asks for
/// the topic before and for the brokers after must not take the topic for missing: made anew with 16 queues, it would
/// have other queues for the same keys.
#[test]
fn a_topic_that_has_no_route_for_a_moment_keeps_its_queues() {
    on_each_driver(|driver| {
        let broker = TestBroker::start(driver);
        broker.make_topic("t", 4);
        let proxy = Proxy::start(broker.address, true);
        let plane = start(driver, &proxy, SHORT_TIMEOUT);
        let task = generate(&plane, 20_000, true);
        wait_for("records", || (plane.counters(&task).records_committed > 1_000).then_some(()));
        let asked = Arc::new(AtomicBool::new(false));
        let brokers_asked = asked.clone();
        proxy.judge(move |frame, _| match frame {
            Frame::Request(105) if !brokers_asked.load(Ordering::SeqCst) => Fate::Refuse(17),
            Frame::Request(106) => {
                brokers_asked.store(true, Ordering::SeqCst);
                Fate::Pass
            }
            Frame::Request(310 | 320) if !brokers_asked.load(Ordering::SeqCst) => Fate::Cut,
            _ => Fate::Pass,
        });
        wait_for("a look for the brokers", || asked.load(Ordering::SeqCst).then_some(()));
        all_committed(&plane, &task, 20_000);
        plane.stop(&task);
        plane.shut_down();
        assert_eq!(broker.write_queues("t"), 4);
        for (queue, stored) in broker.content("t") {
            check_order(queue, &stored.iter().map(Stored::number).collect::<Vec<_>>());
        }
    });
}

#[test]
fn a_broker_with_another_address_is_found() {
    on_each_driver(|driver| {
        let mut broker = TestBroker::start(driver);
        let names = Proxy::start(broker.address, false);
        let plane = start(driver, &names, SHORT_TIMEOUT);
        let source = generate(&plane, 30_000, true);
        let sink = plane.run(
            "out",
            "blackhole-sink",
            &[("connect.topicnames", "t"), ("consume.from.where", "CONSUME_FROM_FIRST_OFFSET")],
        );
        wait_for("records", || (plane.counters(&sink).records_in > 1000).then_some(()));
        broker.stop();
        broker.start_again_at("127.0.0.1:0".parse().unwrap());
        names.go_to(broker.address);
        names.cut();
        all_committed(&plane, &source, 30_000);
        let twice = check_content(&broker, "t", 30_000, true) as u64;
        wait_for("the sink", || (plane.counters(&sink).records_committed >= 30_000 + twice).then_some(()));
        plane.stop(&sink);
        plane.stop(&source);
        plane.shut_down();
    });
}
