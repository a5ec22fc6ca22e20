//! Ordered sinks: a queue is read by who holds its lock, and by nobody else.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rmqc_core::id::TaskId;
use rmqc_io::remoting::code::request;
use rmqc_io::remoting::connection::Request;

use super::support::broker::{TestBroker, leading_number};
use super::support::plane::{Options, Plane, Task};
use super::support::probe::{Call, Probe, Trick, probe};
use super::support::proxy::{Fate, Frame, Proxy};
use super::support::{number, on_each_driver, wait_for};

const QUEUES: i64 = 16;
/// Long enough for a member that did not wait for a lock to be seen reading.
const A_WHILE: Duration = Duration::from_millis(1500);

struct Member {
    task: Task,
    seen: Arc<Probe>,
}

fn join(plane: &Plane, connector: &str, index: u32) -> Member {
    let name = format!("{connector}-{index}-{}", number());
    let config = [
        ("probe", &*name),
        ("connect.topicnames", "t"),
        ("consume.from.where", "CONSUME_FROM_FIRST_OFFSET"),
        ("ordering.msg.enable", "true"),
        ("commit.interval.ms", "50"),
    ];
    let shard = u16::try_from(index).unwrap();
    let task = plane.launch_on(shard, TaskId::new(connector, index), "test-sink", &config, false);
    plane.running(&task);
    Member { task, seen: probe(&name) }
}

impl Member {
    /// Queues from which it got that record.
    fn queues_of(&self, number: u64) -> BTreeSet<i64> {
        let seen = self.seen.seen.lock().unwrap();
        seen.iter().filter(|seen| leading_number(&seen.value) == number).map(|seen| seen.queue).collect()
    }
}

/// Sends one record to each queue.
fn send_round(broker: &TestBroker, number: u64) {
    (0..QUEUES).for_each(|queue| broker.send("t", queue, format!("{number} ").as_bytes()));
}

/// Sends records until two members have half of the queues each; gives the number of the next record and the share of
/// the first one.
fn settle(broker: &TestBroker, members: [&Member; 2], mut number: u64) -> (u64, BTreeSet<i64>) {
    let share = wait_for("an even share", || {
        number += 1;
        send_round(broker, number);
        let shares = wait_for("a round", || {
            let shares = members.map(|member| member.queues_of(number));
            (shares.iter().map(BTreeSet::len).sum::<usize>() as i64 >= QUEUES).then_some(shares)
        });
        (shares[0].len() == shares[1].len()).then(|| shares[0].clone())
    });
    (number + 1, share)
}

fn times(members: &[&Member]) -> BTreeMap<(i64, i64), usize> {
    let mut times = BTreeMap::new();
    for seen in members.iter().flat_map(|member| member.seen.seen.lock().unwrap().clone()) {
        *times.entry((seen.queue, seen.offset)).or_insert(0) += 1;
    }
    times
}

#[test]
fn a_member_reads_a_queue_only_after_the_other_gave_it_up() {
    on_each_driver(|driver| {
        let broker = TestBroker::start(driver);
        broker.make_topic("t", QUEUES);
        let plane = Options::new(driver, broker.address).shards(2).start();
        let connector = format!("locks-{}", number());
        let group = format!("connect-{connector}");
        let one = join(&plane, &connector, 0);
        send_round(&broker, 0);
        one.seen.wait_count(QUEUES as usize);
        // The first is in the middle of a put when the second comes; half of the queues are the second's by right.
        one.seen.gate.store(true, Ordering::SeqCst);
        send_round(&broker, 1);
        wait_for("a put", || (one.seen.at_gate.load(Ordering::SeqCst) > 0).then_some(()));
        let two = join(&plane, &connector, 1);
        wait_for("both members", || (broker.members(&group) == 2).then_some(()));
        std::thread::sleep(A_WHILE);
        assert_eq!(two.seen.count(), 0, "the first still puts records of these queues");
        one.seen.gate.store(false, Ordering::SeqCst);
        let (next, _) = settle(&broker, [&one, &two], 1);
        // A clean stop gives its locks up at once.
        plane.stop(&two.task);
        let stopped = Instant::now();
        send_round(&broker, next);
        wait_for("the last round", || {
            (one.queues_of(next).len() + two.queues_of(next).len() == QUEUES as usize).then_some(())
        });
        assert!(stopped.elapsed() < Duration::from_secs(20), "{:?}", stopped.elapsed());
        plane.stop(&one.task);
        let times = times(&[&one, &two]);
        assert_eq!(times.len() as u64, (next + 1) * QUEUES as u64, "lost");
        assert!(times.values().all(|times| *times == 1), "put twice");
        plane.shut_down();
    });
}

#[test]
fn locks_of_a_member_that_is_gone_end_by_themselves() {
    on_each_driver(|driver| {
        const LOCK: Duration = Duration::from_secs(4);
        let broker = TestBroker::start_with_locks(driver, LOCK);
        broker.make_topic("t", QUEUES);
        let plane = Options::new(driver, broker.address).shards(2).start();
        let connector = format!("locks-{}", number());
        let start = Instant::now();
        let one = join(&plane, &connector, 0);
        let two = join(&plane, &connector, 1);
        let (next, share) = settle(&broker, [&one, &two], 0);
        one.seen.play(Call::Put, Trick::Panic, 1);
        send_round(&broker, next);
        plane.failed(&one.task);
        wait_for("the queues of the first", || {
            let found = two.queues_of(next).len() + one.queues_of(next).len();
            (found == QUEUES as usize).then_some(())
        });
        let first = two.seen.seen.lock().unwrap().iter().find(|seen| share.contains(&seen.queue)).unwrap().at;
        assert!(first.duration_since(start) >= LOCK, "taken over after {:?}", first.duration_since(start));
        plane.stop(&two.task);
        assert_eq!(times(&[&one, &two]).len() as u64, next * QUEUES as u64, "lost");
        plane.shut_down();
    });
}

/// Asks for, or gives up, the lock of queue 0 as another member of the group; tells whether it is that one's now.
fn other(broker: &TestBroker, code: i32, group: &str) -> bool {
    let body = format!(
        r#"{{"consumerGroup":"{group}","clientId":"other","mqSet":[{{"topic":"t","brokerName":"rmqc-embedded","queueId":0}}]}}"#
    );
    let answer = broker.call(Request::new(code).with_body(body));
    assert_eq!(answer.header.code, 0);
    String::from_utf8_lossy(&answer.body).contains("queueId")
}

#[test]
fn a_queue_whose_lock_another_got_is_left_at_once() {
    on_each_driver(|driver| {
        let broker = TestBroker::start_with_locks(driver, Duration::from_secs(2));
        broker.make_topic("t", 1);
        let proxy = Proxy::start(broker.address, true);
        let asked = Arc::new(AtomicU64::new(0));
        let count = asked.clone();
        proxy.judge(move |frame, _| {
            if frame == Frame::Request(i64::from(request::LOCK_BATCH_MQ)) {
                count.fetch_add(1, Ordering::SeqCst);
            }
            Fate::Pass
        });
        let plane = Options::new(driver, proxy.address()).start();
        let connector = format!("locks-{}", number());
        let group = format!("connect-{connector}");
        let one = join(&plane, &connector, 0);
        broker.send("t", 0, b"0 ");
        one.seen.wait_count(1);
        // The broker's lock ends long before the member renews it, as if the network had been away.
        wait_for("the lock of the other", || other(&broker, request::LOCK_BATCH_MQ, &group).then_some(()));
        let before = asked.load(Ordering::SeqCst);
        proxy.cut();
        // It asks when its broker is back, hears that it has lost the lock, and asks again and again.
        wait_for("two requests", || {
            assert!(other(&broker, request::LOCK_BATCH_MQ, &group), "the other keeps its lock");
            (asked.load(Ordering::SeqCst) >= before + 2).then_some(())
        });
        broker.send("t", 0, b"1 ");
        let started = Instant::now();
        while started.elapsed() < A_WHILE {
            assert!(other(&broker, request::LOCK_BATCH_MQ, &group), "the other keeps its lock");
            assert_eq!(one.seen.count(), 1, "the queue is the other's");
            std::thread::sleep(Duration::from_millis(20));
        }
        other(&broker, request::UNLOCK_BATCH_MQ, &group);
        one.seen.wait_count(2);
        plane.stop(&one.task);
        assert!(other(&broker, request::LOCK_BATCH_MQ, &group), "a stop gives the lock up");
        assert_eq!(broker.committed(&group, "t", 0), Some(2));
        assert!(times(&[&one]).values().all(|times| *times == 1), "put twice");
        plane.shut_down();
    });
}
