//! Where a sink starts to read, topics that are missing, and clusters that are not there yet.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use rmqc_io::remoting::code::request;
use rmqc_io::remoting::connection::Request;
use rmqc_io::settings::DriverWanted;

use super::support::broker::{TestBroker, leading_number};
use super::support::plane::{Options, Plane, Task};
use super::support::probe::{Probe, probe};
use super::support::proxy::{Fate, Frame, Proxy};
use super::support::{number, on_each_driver, wait_for};

fn sink(plane: &Plane, more: &[(&str, &str)]) -> (Task, Arc<Probe>) {
    let name = format!("start-{}", number());
    let mut config = vec![("probe", &*name), ("connect.topicnames", "t"), ("commit.interval.ms", "20")];
    config.extend_from_slice(more);
    (plane.run(&name, "test-sink", &config), probe(&name))
}

fn first_of(seen: &Probe) -> u64 {
    seen.wait_count(1);
    leading_number(&seen.values()[0])
}

fn filled(driver: DriverWanted, messages: u64) -> TestBroker {
    let broker = TestBroker::start(driver);
    broker.make_topic("t", 1);
    (0..messages).for_each(|n| broker.send("t", 0, format!("{n} ").as_bytes()));
    broker
}

#[test]
fn a_group_without_an_offset_starts_where_it_is_told() {
    on_each_driver(|driver| {
        let broker = filled(driver, 5);
        // As a broker does whose first messages are no longer in memory.
        let proxy = Proxy::start(broker.address, true);
        proxy.judge(|frame, _| if frame == Frame::Request(14) { Fate::Refuse(22) } else { Fate::Pass });
        let plane = Options::new(driver, proxy.address()).start();
        let (one, first) = sink(&plane, &[("consume.from.where", "CONSUME_FROM_FIRST_OFFSET")]);
        assert_eq!(first_of(&first), 0);
        plane.stop(&one);
        wait_for("the next millisecond", || {
            broker.send("t", 0, b"5 ");
            let stored = &broker.content("t")[&0];
            (stored[stored.len() - 1].store_ms > stored[4].store_ms).then_some(())
        });
        let stored = broker.content("t")[&0].clone();
        let time = stored[stored.len() - 1].store_ms.to_string();
        let expected = stored.iter().position(|one| one.store_ms.to_string() == time).unwrap();
        let (two, timed) =
            sink(&plane, &[("consume.from.where", "CONSUME_FROM_TIMESTAMP"), ("consume.timestamp", &time)]);
        timed.wait_count(1);
        assert_eq!(timed.seen.lock().unwrap()[0].offset, expected as i64);
        let (three, last) = sink(&plane, &[]);
        // The sink asks for the end when it gets its queue: only what is sent after that is its own.
        let sent = wait_for("the first record after the start", || {
            broker.send("t", 0, b"77 ");
            (last.count() > 0).then(|| broker.content("t")[&0].len())
        });
        let start = last.seen.lock().unwrap()[0].offset;
        assert!(start >= stored.len() as i64, "LAST started at {start} of {sent}");
        [two, three].iter().for_each(|task| plane.stop(task));
        plane.shut_down();
    });
}

#[test]
fn offsets_out_of_range_are_told_and_followed() {
    on_each_driver(|driver| {
        let broker = filled(driver, 5);
        let plane = Options::new(driver, broker.address).start();
        for (policy, goes_on_at) in [("earliest", 0), ("latest", 5)] {
            let group = format!("range-{}", number());
            broker.commit(&group, "t", 0, 1000);
            let (task, seen) = sink(&plane, &[("task.group.id", &group), ("offset.out.of.range", policy)]);
            let warning = plane.warning(&task);
            assert_eq!(
                warning,
                format!(
                    "t@rmqc-embedded:0: offset 1000 is outside the queue (0 to {}); going on at {goes_on_at} \
                     (offset.out.of.range={policy})",
                    5
                )
            );
            if policy == "earliest" {
                assert_eq!(first_of(&seen), 0);
                seen.wait_count(5);
            }
            wait_for("the commit", || (broker.committed(&group, "t", 0) == Some(5)).then_some(()));
            plane.stop(&task);
            assert_eq!(seen.count(), if policy == "earliest" { 5 } else { 0 });
        }
        let group = format!("range-{}", number());
        broker.commit(&group, "t", 0, 1000);
        let config = [
            ("probe", "unused"),
            ("connect.topicnames", "t"),
            ("task.group.id", &*group),
            ("offset.out.of.range", "fail"),
        ];
        let task = plane.launch("fails", "test-sink", &config);
        let (cause, restart) = plane.failed(&task);
        assert!(cause.contains("offset 1000") && cause.contains("offset.out.of.range=fail") && !restart, "{cause}");
        assert_eq!(broker.committed(&group, "t", 0), Some(1000), "a failure commits nothing");
        plane.shut_down();
    });
}

#[test]
fn a_reset_of_the_group_is_followed() {
    on_each_driver(|driver| {
        let broker = filled(driver, 5);
        let plane = Options::new(driver, broker.address).start();
        let group = format!("reset-{}", number());
        let (task, seen) = sink(&plane, &[("task.group.id", &group)]);
        seen.wait_count(5);
        wait_for("the commit", || (broker.committed(&group, "t", 0) == Some(5)).then_some(()));
        let reset = Request::new(request::INVOKE_BROKER_TO_RESET_OFFSET)
            .with("topic", "t")
            .with("group", &*group)
            .with("timestamp", 0)
            .with("isForce", "true")
            .with("queueId", 0);
        assert_eq!(broker.call(reset).header.code, 0);
        let warning = plane.warning(&task);
        assert!(warning.contains("reset from 5 to 0"), "{warning}");
        seen.wait_count(10);
        plane.stop(&task);
        assert_eq!(broker.committed(&group, "t", 0), Some(5));
        plane.shut_down();
    });
}

#[test]
fn a_missing_topic_is_made_or_named() {
    on_each_driver(|driver| {
        let broker = TestBroker::start(driver);
        let strict = Options { auto_create_topic: false, ..Options::new(driver, broker.address) }.start();
        let config = [("records", "1000"), ("connect.topicname", "nowhere")];
        let task = strict.launch("gen", "generator-source", &config);
        let (cause, restart) = strict.failed(&task);
        assert_eq!(
            (&*cause, restart),
            ("ROCKETMQ_PRODUCE: topic nowhere does not exist: create it, or set autoCreateTopicEnable=true", false)
        );
        strict.shut_down();
        let plane = Options::new(driver, broker.address).start();
        // A sink may be there before its topic.
        let (sink, seen) = sink(&plane, &[("connect.topicnames", "nowhere")]);
        let task = plane.run("gen", "generator-source", &[("batch.messages", "10"), config[0], config[1]]);
        seen.wait_count(1000);
        let route = Request::new(request::GET_ROUTEINFO_BY_TOPIC).with("topic", "nowhere");
        let route: serde_json::Value = serde_json::from_slice(&broker.call(route).body).unwrap();
        let queues = &route["queueDatas"][0];
        assert_eq!((&queues["readQueueNums"], &queues["writeQueueNums"]), (&16.into(), &16.into()));
        assert_eq!(broker.content("nowhere").len(), 16, "unkeyed batches use all queues");
        plane.stop(&task);
        plane.stop(&sink);
        plane.shut_down();
    });
}

/// An address where nobody listens.
fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

#[test]
fn a_cluster_may_come_later() {
    on_each_driver(|driver| {
        let address = nobody();
        let plane = Options::new(driver, address).start();
        let source = plane.run("gen", "generator-source", &[("records", "10"), ("connect.topicname", "t")]);
        let (sink, seen) = sink(&plane, &[]);
        // Neither a pause nor a stop has to wait for the cluster.
        plane.ask_to_pause(&source);
        plane.paused(&source);
        plane.ask_to_resume(&source);
        plane.running(&source);
        let other = plane.run("other", "generator-source", &[("records", "10"), ("connect.topicname", "t2")]);
        std::thread::sleep(Duration::from_millis(200));
        plane.stop(&other);
        let broker = TestBroker::start_at(driver, address);
        seen.wait_count(10);
        let mut numbers: Vec<u64> = seen.values().iter().map(|value| leading_number(value)).collect();
        numbers.sort_unstable();
        assert!(numbers.into_iter().eq(0..10));
        plane.stop(&source);
        plane.stop(&sink);
        assert!(broker.content("t2").is_empty());
        plane.shut_down();
    });
}

#[test]
fn a_dead_name_server_is_passed_over() {
    on_each_driver(|driver| {
        let broker = TestBroker::start(driver);
        let servers = vec![nobody().to_string(), broker.address.to_string(), nobody().to_string()];
        let plane = Options { name_servers: servers, ..Options::new(driver, broker.address) }.start();
        let source = plane.run("gen", "generator-source", &[("records", "10"), ("connect.topicname", "t")]);
        let (sink, seen) = sink(&plane, &[]);
        seen.wait_count(10);
        plane.stop(&source);
        plane.stop(&sink);
        plane.shut_down();
    });
}
