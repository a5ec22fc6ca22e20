//! A sink over all cores: how many tasks it gets, on which shards, and that they share the queues.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use rmqc_control::controller::{ConverterDefaults, DefineSettings, Definition, define};
use rmqc_control::worker::{Now, Order, Patience, TaskTable};
use rmqc_core::config::worker::RestartPolicy;

use super::support::broker::{TestBroker, leading_number};
use super::support::plane::{Options, properties};
use super::support::probe::probe;
use super::support::{number, on_each_driver, wait_for};

const SHARDS: usize = 2;

fn defined(more: &[(&str, &str)]) -> Definition {
    let mut config = vec![("connector.class", "test-sink"), ("connect.topicnames", "t")];
    config.extend_from_slice(more);
    let string = "org.apache.rocketmq.connect.runtime.converter.record.StringConverter".to_owned();
    let converters = ConverterDefaults { key: string.clone(), value: string };
    let settings = DefineSettings { converters, shards: SHARDS, providers: Arc::default() };
    define(&properties(&config), &settings).unwrap()
}

fn table() -> TaskTable {
    let second = Duration::from_secs(1);
    let restart = RestartPolicy { max: 0, window: second, backoff: second, backoff_max: second };
    TaskTable::new(SHARDS, Patience { start: second, stop: second, restart }, 1)
}

#[test]
fn a_sink_gets_a_task_a_shard_unless_told_otherwise() {
    let tasks = |more: &[(&str, &str)]| defined(more).tasks.len();
    assert_eq!(tasks(&[]), SHARDS);
    assert_eq!(tasks(&[("max.tasks", "1")]), 1);
    assert_eq!(tasks(&[("tasks.max", "5")]), 5);
    assert_eq!(tasks(&[("ordering.msg.enable", "true")]), 1);
    assert_eq!(tasks(&[("ordering.msg.enable", "true"), ("max.tasks", "3")]), 3);
    assert_eq!(tasks(&[("connector.class", "blackhole-sink")]), SHARDS);
    assert_eq!(tasks(&[("connector.class", "file-sink"), ("filename", "f")]), 1);
    let halves = [("source.task.class", "test-source"), ("sink.task.class", "test-sink")];
    assert_eq!(tasks(&[halves[0], halves[1], ("connector.direct.enable", "true")]), 1);
}

#[test]
fn the_tasks_of_a_sink_share_its_queues_over_the_shards() {
    on_each_driver(|driver| {
        const RECORDS: u64 = 20_000;
        let broker = TestBroker::start(driver);
        broker.make_topic("t", 16);
        let plane = Options::new(driver, broker.address).shards(SHARDS).start();
        let name = format!("spread-{}", number());
        let definition = defined(&[("probe", &*name), ("consume.from.where", "CONSUME_FROM_FIRST_OFFSET")]);
        let mut table = table();
        table.want(&name, definition.desired(false), Now::default());
        let mut tasks = Vec::new();
        for (at, outgoing) in table.step(Now::default()).into_iter().enumerate() {
            let Order::Start(desired) = outgoing.order else { panic!("a start") };
            // Each task notes what it gets under a name of its own.
            let own = format!("{name}-{at}");
            let mut config: Vec<_> = desired.config.iter().map(|(key, text)| (&**key, &**text)).collect();
            config.retain(|(key, _)| *key != "probe");
            config.push(("probe", &*own));
            let task = plane.launch_on(outgoing.shard.0, outgoing.task, "test-sink", &config, false);
            plane.running(&task);
            tasks.push((task, probe(&own)));
        }
        let shards: BTreeSet<_> = tasks.iter().map(|(task, _)| task.shard).collect();
        assert_eq!((tasks.len(), shards.len()), (SHARDS, SHARDS));
        // One message a queue shows whether the group has settled.
        let mut markers = 0;
        let queues = wait_for("an even share", || {
            let before: Vec<_> = tasks.iter().map(|(_, seen)| seen.count()).collect();
            (0..16).for_each(|queue| broker.send("t", queue, b"0 "));
            markers += 16;
            wait_for("markers", || {
                (tasks.iter().map(|(_, seen)| seen.count()).sum::<usize>() >= markers).then_some(())
            });
            let share = |((_, seen), before): (&(_, std::sync::Arc<super::support::probe::Probe>), &usize)| {
                seen.seen.lock().unwrap().iter().skip(*before).map(|seen| seen.queue).collect::<BTreeSet<_>>()
            };
            let shares: Vec<_> = tasks.iter().zip(&before).map(share).collect();
            shares.iter().all(|share| share.len() == 8).then_some(shares)
        });
        assert!(queues[0].is_disjoint(&queues[1]));
        let before: Vec<_> = tasks.iter().map(|(_, seen)| seen.count()).collect();
        let text = RECORDS.to_string();
        let source = plane.run(
            "gen",
            "generator-source",
            // Small batches, so that every queue gets some.
            &[("records", &*text), ("record.bytes", "40"), ("connect.topicname", "t"), ("batch.messages", "20")],
        );
        let all = before.iter().sum::<usize>() + usize::try_from(RECORDS).unwrap();
        wait_for("all records", || (tasks.iter().map(|(_, seen)| seen.count()).sum::<usize>() >= all).then_some(()));
        plane.stop(&source);
        tasks.iter().for_each(|(task, _)| plane.stop(task));
        let mut times: BTreeMap<u64, usize> = BTreeMap::new();
        for ((_, seen), before) in tasks.iter().zip(before) {
            let seen = seen.seen.lock().unwrap();
            assert!(seen.len() > before, "both read");
            for one in seen.iter().skip(before) {
                *times.entry(leading_number(&one.value)).or_default() += 1;
            }
        }
        assert!(times.keys().copied().eq(0..RECORDS) && times.values().all(|times| *times == 1), "each record once");
        plane.shut_down();
    });
}
