//! Looks at live records: what each stage lets see, and that nobody who looks holds a task up.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rmqc_control::controller::standalone::{self, Settings};
use rmqc_control::controller::{ControlError, ConverterDefaults};
use rmqc_control::store::Stores;
use rmqc_control::worker::Patience;
use rmqc_core::command::{ShardCommand, ShardEvent};
use rmqc_core::config::worker::RestartPolicy;
use rmqc_core::id::Generation;
use rmqc_core::state::TaskState;
use rmqc_core::tap::{TapRecord, TapSpec, TapStage};

use super::support::broker::TestBroker;
use super::support::plane::{Options, Plane, Task, properties};
use super::support::probe::probe;
use super::support::{DEADLINE, number, on_each_driver, wait_for};

const FIRST: (&str, &str) = ("consume.from.where", "CONSUME_FROM_FIRST_OFFSET");
const EVENS: [(&str, &str); 2] = [("transforms", "odd"), ("transforms.odd.class", "drop-odd")];

fn spec(number: u64) -> TapSpec {
    TapSpec { number, stage: None, every: 1, records_max: 1000, shown_bytes_max: 100, duration_ms: 60_000 }
}

/// Puts a tap on; it is there when this returns, since commands are taken in their order.
fn tap(plane: &Plane, task: &Task, spec: TapSpec) {
    ask_for_tap(plane, task, spec);
    plane.report(task.shard.0);
}

fn ask_for_tap(plane: &Plane, task: &Task, spec: TapSpec) {
    plane.send(task.shard, ShardCommand::TapTask(task.id.clone(), task.generation, spec));
}

/// The next event of a tap: its records, and whether it is over.
fn next(plane: &Plane, wanted: u64) -> (Vec<TapRecord>, bool) {
    plane.event("of a tap", |event| match event {
        ShardEvent::Tapped(_, number, records, over) if *number == wanted => Some((records.clone(), *over)),
        _ => None,
    })
}

/// All events of a tap until it is over.
fn until_over(plane: &Plane, number: u64) -> Vec<Vec<TapRecord>> {
    let mut events = Vec::new();
    loop {
        let (records, over) = next(plane, number);
        events.push(records);
        if over {
            return events;
        }
    }
}

fn of_stage(records: &[TapRecord], stage: TapStage) -> Vec<&TapRecord> {
    records.iter().filter(|record| record.stage == stage).collect()
}

fn values(records: &[TapRecord], stage: TapStage) -> Vec<String> {
    of_stage(records, stage).iter().map(|record| record.value.clone().unwrap().trim().to_owned()).collect()
}

#[test]
fn every_stage_lets_its_records_be_seen() {
    on_each_driver(|driver| {
        let broker = TestBroker::start(driver);
        broker.make_topic("t", 1);
        let plane = Options::new(driver, broker.address).start();
        let (all, evens) = (["0", "1", "2", "3"], ["0", "2"]);

        let name = format!("tapped-{}", number());
        let made = probe(&name);
        let mut config = vec![("probe", &*name), ("connect.topicname", "t")];
        config.extend(EVENS);
        let source = plane.run(&name, "test-source", &config);
        tap(&plane, &source, spec(1));
        made.allowed.store(4, Ordering::SeqCst);
        wait_for("the source", || (plane.counters(&source).records_out == 2).then_some(()));
        plane.stop(&source);
        let seen = until_over(&plane, 1).concat();
        assert_eq!(values(&seen, TapStage::Poll), all);
        assert_eq!(values(&seen, TapStage::Transform), evens);
        assert_eq!(values(&seen, TapStage::Send), evens);
        assert!(seen.iter().all(|record| record.task == source.id && !record.cut && record.place.is_none()));
        let polled = of_stage(&seen, TapStage::Poll)[0];
        let position = r#"{"partition":{"numbers":"all"},"offset":{"next":"1"}}"#;
        assert_eq!((polled.position.as_deref(), polled.topic.as_deref()), (Some(position), None));
        let sent = of_stage(&seen, TapStage::Send)[0];
        assert_eq!(sent.topic.as_deref(), Some("t"));
        assert!(sent.properties.iter().any(|(name, id)| name == "UNIQ_KEY" && id.len() == 32), "{sent:?}");

        // The sink is looked at from its first message on.
        broker.make_topic("u", 1);
        let name = format!("tapped-{}", number());
        let mut config = vec![("probe", &*name), ("connect.topicnames", "u"), FIRST];
        config.extend(EVENS);
        let sink = plane.run(&name, "test-sink", &config);
        tap(&plane, &sink, spec(2));
        all.iter().for_each(|value| broker.send("u", 0, format!("{value} ").as_bytes()));
        wait_for("the sink", || (plane.counters(&sink).records_in == 4).then_some(()));
        plane.stop(&sink);
        let seen = until_over(&plane, 2).concat();
        for (stage, wanted) in [
            (TapStage::Pull, &all[..]),
            (TapStage::Convert, &all),
            (TapStage::Transform, &evens),
            (TapStage::Put, &evens),
        ] {
            assert_eq!(values(&seen, stage), wanted, "{stage:?}");
            let last = of_stage(&seen, stage).pop().unwrap();
            let offset = last.value.as_deref().unwrap().trim().parse().unwrap();
            assert_eq!((last.place, last.topic.as_deref()), (Some((0, offset)), Some("u")), "{stage:?}");
        }

        let name = format!("tapped-{}", number());
        let mut config = vec![
            ("probe", &*name),
            ("task.type", "DIRECT"),
            ("source.task.class", "test-source"),
            ("sink.task.class", "rmqc.test.TestSinkTask"),
        ];
        config.extend(EVENS);
        let direct = plane.run(&name, "test-source", &config);
        tap(&plane, &direct, TapSpec { shown_bytes_max: 1, ..spec(3) });
        probe(&name).allowed.store(4, Ordering::SeqCst);
        wait_for("the direct task", || (plane.counters(&direct).records_in == 4).then_some(()));
        plane.stop(&direct);
        let seen = until_over(&plane, 3).concat();
        for (stage, wanted) in [(TapStage::Poll, &all[..]), (TapStage::Transform, &evens), (TapStage::Put, &evens)] {
            assert_eq!(values(&seen, stage), wanted, "{stage:?}");
        }
        assert!(seen.iter().all(|record| record.cut), "each value has two bytes and only one is to be shown");
        plane.shut_down();
    });
}

#[test]
fn a_tap_ends_by_its_bounds_or_for_another() {
    on_each_driver(|driver| {
        let broker = TestBroker::start(driver);
        broker.make_topic("t", 1);
        let plane = Options::new(driver, broker.address).start();
        let name = format!("tapped-{}", number());
        let made = probe(&name);
        let source = plane.run(&name, "test-source", &[("probe", &*name), ("connect.topicname", "t")]);

        tap(&plane, &source, TapSpec { stage: Some(TapStage::Send), every: 3, records_max: 2, ..spec(1) });
        made.allowed.store(20, Ordering::SeqCst);
        assert_eq!(values(&until_over(&plane, 1).concat(), TapStage::Send), ["0", "3"]);

        tap(&plane, &source, TapSpec { duration_ms: 1, ..spec(2) });
        assert_eq!(until_over(&plane, 2).concat(), []);
        tap(&plane, &source, TapSpec { stage: Some(TapStage::Put), ..spec(3) });
        assert_eq!(until_over(&plane, 3).concat(), [], "a source has no such stage");

        tap(&plane, &source, spec(4));
        tap(&plane, &source, spec(5));
        assert_eq!(until_over(&plane, 4).concat(), []);
        made.allowed.store(21, Ordering::SeqCst);
        assert!(!next(&plane, 5).0.is_empty());
        plane.stop(&source);
        until_over(&plane, 5);

        tap(&plane, &source, spec(6));
        assert_eq!(until_over(&plane, 6).concat(), [], "the task is gone");
        let other = Task { generation: Generation(u64::MAX), ..source };
        tap(&plane, &other, spec(7));
        until_over(&plane, 7);
        plane.shut_down();
    });
}

/// The control plane takes no event for the whole run, and every record is delivered all the same.
#[test]
fn a_tap_that_nobody_reads_holds_nothing_up() {
    on_each_driver(|driver| {
        const RECORDS: u64 = 30_000;
        let broker = TestBroker::start(driver);
        broker.make_topic("t", 2);
        let plane = Options::new(driver, broker.address).start();
        let config = [("records", "30000"), ("connect.topicname", "t")];
        let source = plane.run("gen", "generator-source", &config);
        wait_for("records", || (plane.counters(&source).records_committed == RECORDS).then_some(()));
        plane.stop(&source);

        let name = format!("tapped-{}", number());
        let (seen, config) = (probe(&name), [("probe", &*name), ("connect.topicnames", "t"), FIRST]);
        seen.gate.store(true, Ordering::SeqCst);
        let sink = plane.run(&name, "test-sink", &config);
        plane.deaf.store(true, Ordering::SeqCst);
        ask_for_tap(&plane, &sink, TapSpec { records_max: u32::MAX, ..spec(1) });
        seen.gate.store(false, Ordering::SeqCst);
        seen.wait_count(RECORDS as usize);
        plane.deaf.store(false, Ordering::SeqCst);
        plane.stop(&sink);
        let events = until_over(&plane, 1);
        // One was taken before the ears closed, one waited, and what had gathered came when they opened.
        assert!(events.len() <= 5, "{} events were sent to nobody", events.len());
        assert!(events.iter().all(|records| records.len() <= 64), "an event is bounded");
        assert!(events.iter().any(|records| !records.is_empty()), "something was seen");
        assert_eq!(seen.count(), RECORDS as usize);
        plane.shut_down();
    });
}

/// From the controller's front door to a task and back: a reader that reads nothing holds nothing up, and one that reads
/// sees the records until it has as many as it wanted.
#[test]
fn whoever_asks_the_controller_sees_records() {
    on_each_driver(|driver| {
        const RECORDS: u64 = 20_000;
        let broker = TestBroker::start(driver);
        broker.make_topic("t", 1);
        let (port, cluster) = Options::new(driver, broker.address).start_port();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let name = format!("tapped-{}", number());
        let seen = probe(&name);
        runtime.block_on(async {
            let (controller, running) = standalone::start(settings(), port, cluster, Stores::in_memory());
            assert!(matches!(controller.tap(&name, spec(0)).await, Err(ControlError::NotFound(_))));
            let config =
                [("connector.class", "rmqc.test.TestSourceConnector"), ("probe", &*name), ("connect.topicname", "t")];
            controller.create(&name, properties(&config)).await.unwrap();
            let runs = async || {
                let snapshot = controller.look().await.unwrap();
                snapshot.connector(&name).unwrap().tasks.iter().any(|task| task.state == TaskState::Running)
            };
            let deadline = tokio::time::Instant::now() + DEADLINE;
            while !runs().await {
                assert!(tokio::time::Instant::now() < deadline, "the task does not run");
                tokio::time::sleep(Duration::from_millis(2)).await;
            }

            let unread = controller.tap(&name, TapSpec { records_max: u32::MAX, ..spec(0) }).await.unwrap();
            seen.allowed.store(RECORDS, Ordering::SeqCst);
            let sent = async || {
                let reports = controller.report().await.unwrap();
                reports
                    .shards
                    .iter()
                    .flat_map(|(_, report)| &report.tasks)
                    .map(|task| task.counters.records_out)
                    .sum::<u64>()
            };
            while sent().await < RECORDS {
                assert!(tokio::time::Instant::now() < deadline, "the source is held up");
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            drop(unread);

            let wanted = TapSpec { stage: Some(TapStage::Send), records_max: 3, ..spec(0) };
            let mut reader = controller.tap(&name, wanted).await.unwrap();
            // The shard takes its commands in order, and its report comes after the tap is on.
            controller.report().await.unwrap();
            seen.allowed.store(RECORDS + 10, Ordering::SeqCst);
            let mut records = Vec::new();
            while let Some(more) = tokio::time::timeout(DEADLINE, reader.recv()).await.expect("the tap ends") {
                records.extend(more);
            }
            let first: Vec<String> = (RECORDS..RECORDS + 3).map(|number| number.to_string()).collect();
            assert_eq!(values(&records, TapStage::Send), first);
            assert_eq!(controller.shutdown(DEADLINE).await.unwrap(), [""; 0]);
            running.await.unwrap();
        });
    });
}

fn settings() -> Settings {
    let restart = RestartPolicy { max: 0, window: DEADLINE, backoff: DEADLINE, backoff_max: DEADLINE };
    let string = "org.apache.rocketmq.connect.runtime.converter.record.StringConverter".to_owned();
    Settings {
        worker_id: "tapped".to_owned(),
        converters: ConverterDefaults { key: string.clone(), value: string },
        providers: Arc::new(rmqc_core::config::provider::Providers::registered(
            &rmqc_core::config::provider::ProviderSettings::default(),
        )),
        secrets: Arc::default(),
        patience: Patience { start: DEADLINE, stop: DEADLINE, restart },
        state_interval: DEADLINE,
        traces: Arc::default(),
    }
}

#[test]
fn a_sink_that_reads_no_extensions_has_those_that_others_look_at() {
    on_each_driver(|driver| {
        let broker = TestBroker::start(driver);
        let plane = Options::new(driver, broker.address).start();
        let tags = |config: &[(&'static str, &'static str)], tapped: bool| {
            let name = format!("tags-{}", number());
            let probe = probe(&name);
            broker.make_topic(&name, 1);
            broker.send_tagged(&name, 0, "red", b"0 ");
            let mut all = vec![("probe", &*name), ("connect.topicnames", &*name), FIRST];
            all.extend(config);
            probe.gate.store(true, Ordering::SeqCst);
            let sink = plane.run(&name, "test-sink", &all);
            wait_for("the first put", || (probe.at_gate.load(Ordering::SeqCst) == 1).then_some(()));
            if tapped {
                tap(&plane, &sink, TapSpec { stage: Some(TapStage::Put), ..spec(7) });
            }
            broker.send_tagged(&name, 0, "red", b"2 ");
            probe.gate.store(false, Ordering::SeqCst);
            wait_for("the second record", || probe.values().iter().any(|value| value == "2 ").then_some(()));
            plane.stop(&sink);
            let seen = probe.seen.lock().unwrap();
            let tag = |value: &str| seen.iter().find(|seen| seen.value == value).unwrap().tag.clone();
            [tag("0 "), tag("2 ")].map(|tag| tag.map(|tag| tag.to_str().into_owned()))
        };
        let (red, none) = (Some("red".to_owned()), None);
        assert_eq!(tags(&[], false), [red.clone(), red.clone()]);
        assert_eq!(tags(&[("no.extensions", "")], false), [none.clone(), none.clone()]);
        assert_eq!(tags(&[("no.extensions", ""), EVENS[0], EVENS[1]], false), [red.clone(), red.clone()]);
        assert_eq!(tags(&[("no.extensions", "")], true), [none, red]);
        let told = until_over(&plane, 7).concat();
        assert_eq!(told[0].properties[0], ("MQ-SYS-TAGS".to_owned(), "red".to_owned()), "{told:?}");
        plane.shut_down();
    });
}
