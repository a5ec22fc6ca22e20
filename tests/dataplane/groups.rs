//! Two sink tasks of one group on two shards: every queue has one reader, and another when that goes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rmqc_core::id::TaskId;
use rmqc_io::settings::DriverWanted;

use super::support::broker::{TestBroker, leading_number};
use super::support::plane::{Options, Plane, Task};
use super::support::probe::{Probe, probe};
use super::support::{number, on_each_driver, wait_for};

const QUEUES: i64 = 16;

struct Member {
    task: Task,
    seen: std::sync::Arc<Probe>,
}

fn join(plane: &Plane, connector: &str, index: u32) -> Member {
    let name = format!("{connector}-{index}-{}", number());
    let config = [
        ("probe", &*name),
        ("connect.topicnames", "t"),
        ("consume.from.where", "CONSUME_FROM_FIRST_OFFSET"),
        ("commit.interval.ms", "50"),
    ];
    let shard = u16::try_from(index).unwrap();
    let task = plane.launch_on(shard, TaskId::new(connector, index), "test-sink", &config, false);
    plane.running(&task);
    Member { task, seen: probe(&name) }
}

impl Member {
    /// Queues that it reads records from now on, as markers sent to all queues tell.
    fn queues_of(&self, marker: u64) -> BTreeSet<i64> {
        let seen = self.seen.seen.lock().unwrap();
        seen.iter().filter(|seen| leading_number(&seen.value) == marker).map(|seen| seen.queue).collect()
    }
}

struct Group {
    broker: TestBroker,
    marker: u64,
}

impl Group {
    fn start(driver: DriverWanted) -> Self {
        let broker = TestBroker::start(driver);
        broker.make_topic("t", QUEUES);
        Self { broker, marker: 0 }
    }

    /// Sends one message to each queue and tells who got which queues.
    fn mark(&mut self, members: &[&Member]) -> Vec<BTreeSet<i64>> {
        self.marker += 1;
        let marker = self.marker;
        (0..QUEUES).for_each(|queue| self.broker.send("t", queue, format!("{marker} ").as_bytes()));
        wait_for("markers", || {
            let shares: Vec<_> = members.iter().map(|member| member.queues_of(marker)).collect();
            (shares.iter().flatten().collect::<BTreeSet<_>>().len() as i64 == QUEUES).then_some(shares)
        })
    }

    /// Marks until the queues are divided evenly.
    fn settle(&mut self, members: &[&Member]) -> Vec<BTreeSet<i64>> {
        let even = QUEUES as usize / members.len();
        wait_for("an even share", || {
            let shares = self.mark(members);
            shares.iter().all(|share| share.len() == even).then_some(shares)
        })
    }
}

fn counts(members: &[&Member]) -> BTreeMap<(i64, i64), usize> {
    let mut counts = BTreeMap::new();
    for seen in members.iter().flat_map(|member| member.seen.seen.lock().unwrap().clone()) {
        *counts.entry((seen.queue, seen.offset)).or_insert(0) += 1;
    }
    counts
}

#[test]
fn queues_are_divided_and_taken_over() {
    on_each_driver(|driver| {
        let mut group = Group::start(driver);
        let plane = Options::new(driver, group.broker.address).shards(2).start();
        let connector = format!("group-{}", number());
        let one = join(&plane, &connector, 0);
        let two = join(&plane, &connector, 1);
        let shares = group.settle(&[&one, &two]);
        assert!(shares[0].is_disjoint(&shares[1]));
        assert_eq!(shares.iter().map(BTreeSet::len).collect::<Vec<_>>(), [8, 8]);
        // From here on the group is settled: a clean stop hands over without losing or repeating anything.
        let start: usize = counts(&[&one, &two]).values().sum();
        let before = counts(&[&one, &two]).len();
        for _ in 0..20 {
            group.mark(&[&one, &two]);
        }
        plane.stop(&two.task);
        let shares = group.settle(&[&one]);
        assert_eq!(shares[0].len(), 16);
        let all = counts(&[&one, &two]);
        assert_eq!(all.len() as u64, group.marker * 16, "lost");
        assert_eq!(all.values().sum::<usize>() - start, all.len() - before, "repeated");
        // The broker restarts: the same members divide the same queues again.
        let three = join(&plane, &connector, 1);
        group.settle(&[&one, &three]);
        group.broker.stop();
        group.broker.start_again();
        let shares = group.settle(&[&one, &three]);
        assert!(shares[0].is_disjoint(&shares[1]));
        assert_eq!(counts(&[&one, &two, &three]).len() as u64, group.marker * 16, "lost");
        plane.stop(&one.task);
        plane.stop(&three.task);
        plane.shut_down();
    });
}

#[test]
fn a_member_that_panicked_leaves_its_queues_to_others() {
    on_each_driver(|driver| {
        let mut group = Group::start(driver);
        let plane = Options::new(driver, group.broker.address).shards(2).start();
        let connector = format!("group-{}", number());
        let one = join(&plane, &connector, 0);
        let two = join(&plane, &connector, 1);
        group.settle(&[&one, &two]);
        two.seen.play(super::support::probe::Call::Put, super::support::probe::Trick::Panic, 1);
        group.marker += 1;
        (0..QUEUES).for_each(|queue| group.broker.send("t", queue, format!("{} ", group.marker).as_bytes()));
        plane.failed(&two.task);
        group.settle(&[&one]);
        assert_eq!(counts(&[&one, &two]).len() as u64, group.marker * 16, "lost");
        assert_eq!(two.seen.stops.load(Ordering::SeqCst), 0);
        plane.stop(&one.task);
        plane.shut_down();
    });
}

#[test]
fn members_greet_a_restarted_broker_at_once() {
    on_each_driver(|driver| {
        let mut group = Group::start(driver);
        let plane = Options::new(driver, group.broker.address).shards(2).start();
        let connector = format!("group-{}", number());
        let one = join(&plane, &connector, 0);
        let two = join(&plane, &connector, 1);
        group.settle(&[&one, &two]);
        let name = format!("connect-{connector}");
        group.broker.stop();
        group.broker.start_again();
        let restarted = Instant::now();
        wait_for("both members", || (group.broker.members(&name) == 2).then_some(()));
        // Connections are tried again with a back-off of up to five seconds; heartbeats come every thirty.
        assert!(restarted.elapsed() < Duration::from_secs(12), "{:?}", restarted.elapsed());
        plane.stop(&one.task);
        plane.stop(&two.task);
        wait_for("no members", || (group.broker.members(&name) == 0).then_some(()));
        plane.shut_down();
    });
}

#[test]
fn offsets_that_a_broker_lost_are_committed_again() {
    on_each_driver(|driver| {
        let mut group = Group::start(driver);
        let plane = Options::new(driver, group.broker.address).start();
        let connector = format!("group-{}", number());
        let one = join(&plane, &connector, 0);
        group.settle(&[&one]);
        let name = format!("connect-{connector}");
        let committed =
            |broker: &TestBroker| (0..QUEUES).map(|queue| broker.committed(&name, "t", queue)).collect::<Vec<_>>();
        let all = vec![Some(i64::try_from(group.marker).unwrap()); QUEUES as usize];
        wait_for("everything is committed", || (committed(&group.broker) == all).then_some(()));
        // A broker that is killed forgets what was committed in its last seconds. Here it does so out of sight, at
        // another address, lest the sink be faster.
        let address = group.broker.address;
        group.broker.stop();
        group.broker.start_again_at("127.0.0.1:0".parse().unwrap());
        (0..QUEUES).for_each(|queue| group.broker.commit(&name, "t", queue, 0));
        group.broker.stop();
        group.broker.start_again_at(address);
        wait_for("everything is committed again, with nothing new to read", || {
            (committed(&group.broker) == all).then_some(())
        });
        assert_eq!(counts(&[&one]).values().sum::<usize>() as u64, group.marker * 16, "repeated");
        plane.stop(&one.task);
        plane.shut_down();
    });
}
