//! Bad records: what is given up lies in the dead letter queue and nowhere else, what is not stops the task at its place.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rmqc_core::command::ShardEvent;
use rmqc_core::position::Scalar;
use rmqc_io::remoting::code::request;
use rmqc_io::remoting::connection::Request;

use super::support::broker::{TestBroker, leading_number};
use super::support::plane::{Options, Plane, Task};
use super::support::probe::{Call, Probe, Trick, probe};
use super::support::proxy::{Fate, Frame, Proxy, body, header};
use super::support::{number, on_each_driver, wait_for};

const QUEUES: i64 = 2;
const TOLERANT: [(&str, &str); 5] = [
    ("errors.tolerance", "ALL"),
    ("errors.deadletterqueue.topic.name", "dead"),
    ("errors.deadletterqueue.read.queue.nums", "3"),
    ("errors.deadletterqueue.write.queue.nums", "3"),
    ("errors.deadletterqueue.context.properties.enable", "true"),
];

/// A sink of topic `t` whose converter refuses what begins with `bad`.
fn sink_config<'a>(name: &'a str, more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let own = [
        ("probe", name),
        ("connect.topicnames", "t"),
        ("consume.from.where", "CONSUME_FROM_FIRST_OFFSET"),
        ("commit.interval.ms", "20"),
        ("value.converter", "test-picky"),
        ("value.converter.refused", "bad"),
        // What is given up is whole although something was written behind its body.
        ("value.end", "\n"),
    ];
    own.iter().chain(more).copied().collect()
}

struct Sink {
    name: String,
    task: Task,
    probe: Arc<Probe>,
}

impl Sink {
    fn start(plane: &Plane, more: &[(&str, &str)]) -> Self {
        let name = format!("errors-{}", number());
        let task = plane.launch(&name, "test-sink", &sink_config(&name, more));
        Self { probe: probe(&name), name, task }
    }

    fn committed(&self, broker: &TestBroker) -> Vec<i64> {
        let group = format!("connect-{}", self.name);
        (0..QUEUES).map(|queue| broker.committed(&group, "t", queue).unwrap_or(0)).collect()
    }
}

/// Messages of both queues: every tenth is bad in the converter, every tenth in the sink.
fn fill(broker: &TestBroker) -> (BTreeSet<Vec<u8>>, BTreeSet<Vec<u8>>) {
    broker.make_topic("t", QUEUES);
    let (mut good, mut bad) = (BTreeSet::new(), BTreeSet::new());
    for number in 0..200 {
        let (word, set) = match number % 10 {
            3 => ("bad ", &mut bad),
            7 => ("reject ", &mut bad),
            _ => ("", &mut good),
        };
        let body = format!("{word}{number} ").into_bytes();
        broker.send("t", number % QUEUES, &body);
        set.insert(body);
    }
    (good, bad)
}

fn bodies(broker: &TestBroker, topic: &str) -> Vec<Vec<u8>> {
    broker.content(topic).into_values().flatten().map(|stored| stored.body).collect()
}

fn values(probe: &Probe) -> Vec<Vec<u8>> {
    probe.values().iter().map(|value| value.to_vec()).collect()
}

/// Exactly these, each once.
fn assert_exactly(found: Vec<Vec<u8>>, expected: &BTreeSet<Vec<u8>>) {
    assert_eq!(found.len(), expected.len());
    assert_eq!(&found.into_iter().collect::<BTreeSet<_>>(), expected);
}

#[test]
fn given_up_records_lie_in_the_dead_letter_queue() {
    on_each_driver(|driver| {
        let broker = TestBroker::start(driver);
        let (good, bad) = fill(&broker);
        let plane = Options::new(driver, broker.address).start();
        let sink = Sink::start(&plane, &TOLERANT);
        plane.running(&sink.task);
        wait_for("everything is committed", || (sink.committed(&broker) == [100, 100]).then_some(()));
        assert_exactly(values(&sink.probe), &good);
        assert_exactly(bodies(&broker, "dead"), &bad);
        let rejected = bad.iter().filter(|body| body.starts_with(b"reject")).count();
        assert_eq!(sink.probe.ended.load(Ordering::SeqCst), (good.len() + rejected) as u64, "each in one piece");
        assert!(broker.content("dead").keys().all(|queue| *queue < 3), "created with three queues");
        let counters = plane.counters(&sink.task);
        assert_eq!((counters.records_in, counters.records_out), (200, 160));
        assert_eq!((counters.dead_letters, counters.records_skipped), (40, 0));
        plane.stop(&sink.task);
        plane.shut_down();
    });
}

#[test]
fn letters_keep_what_they_had_and_tell_why() {
    on_each_driver(|driver| {
        let broker = TestBroker::start(driver);
        broker.make_topic("t", QUEUES);
        let properties = "KEYS\u{1}key-1\u{2}TAGS\u{1}tag\u{2}connect-ext-colour\u{1}red\u{2}";
        broker.call(
            Request::new(request::SEND_MESSAGE_V2)
                .with("a", "test")
                .with("b", "t")
                .with("c", "TBW102")
                .with("d", 4)
                .with("e", 1)
                .with("f", 0)
                .with("g", 0)
                .with("h", 0)
                .with("i", properties)
                .with_body(b"bad \xff\x00".to_vec()),
        );
        let plane = Options::new(driver, broker.address).start();
        let sink = Sink::start(&plane, &TOLERANT);
        plane.running(&sink.task);
        let letter = wait_for("the letter", || broker.properties("dead").pop());
        let find = |name: &str| letter.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
        for (name, value) in [
            ("KEYS", "key-1"),
            ("TAGS", "tag"),
            ("connect-ext-colour", "red"),
            ("__connect.errors.topic", "t"),
            ("__connect.errors.partition", "1"),
            ("__connect.errors.offset", "0"),
            ("__connect.errors.connector.name", &sink.name),
            ("__connect.errors.task.id", "0"),
            ("__connect.errors.stage", "CONVERTER"),
            ("__connect.errors.exception.class.name", "io.openmessaging.connector.api.errors.ConnectException"),
            ("__connect.errors.exception.message", "topic t, queue 1, offset 0: a text that the test refuses"),
        ] {
            assert_eq!(find(name), Some(value), "{name}");
        }
        assert_eq!(bodies(&broker, "dead"), [b"bad \xff\x00".to_vec()]);
        plane.stop(&sink.task);
        plane.shut_down();
    });
}

#[test]
fn without_tolerance_the_task_stops_at_the_record() {
    on_each_driver(|driver| {
        let broker = TestBroker::start(driver);
        let plane = Options::new(driver, broker.address).start();
        broker.make_topic("t", QUEUES);
        for (queue, at, word) in [(0, 40, "bad"), (1, 25, "reject")] {
            for offset in 0..60 {
                let word = if offset == at { format!("{word} ") } else { String::new() };
                broker.send("t", queue, format!("{word}{offset} ").as_bytes());
            }
        }
        let sink = Sink::start(&plane, &[]);
        let (cause, restart) = plane.failed(&sink.task);
        assert!(!restart, "it would fail there again");
        let committed = sink.committed(&broker);
        let (stage, queue, at) =
            if cause.starts_with("CONVERTER") { ("CONVERTER", 0usize, 40) } else { ("TASK_PUT", 1, 25) };
        assert!(cause.starts_with(stage), "{cause}");
        assert_eq!(committed[queue], at, "{cause}");
        // What is committed was delivered, once; nothing else was.
        let mut seen: Vec<(i64, i64)> =
            sink.probe.seen.lock().unwrap().iter().map(|seen| (seen.queue, seen.offset)).collect();
        seen.sort_unstable();
        let expected: Vec<_> =
            (0..QUEUES).flat_map(|queue| (0..committed[queue as usize]).map(move |offset| (queue, offset))).collect();
        assert_eq!(seen, expected);
        // With tolerance it goes on from there and repeats nothing.
        let again = plane.launch(&sink.name, "test-sink", &sink_config(&sink.name, &TOLERANT));
        plane.running(&again);
        wait_for("everything is committed", || (sink.committed(&broker) == [60, 60]).then_some(()));
        assert_eq!((sink.probe.count(), bodies(&broker, "dead").len()), (118, 2));
        plane.stop(&again);
        plane.shut_down();
    });
}

#[test]
fn nothing_is_committed_before_its_letter_is_stored() {
    on_each_driver(|driver| {
        let broker = TestBroker::start(driver);
        let (good, bad) = fill(&broker);
        let proxy = Proxy::start(broker.address, true);
        let open = Arc::new(AtomicBool::new(false));
        let gate = open.clone();
        proxy.judge(move |frame, _| match frame {
            // Letters are the only thing that is sent here.
            Frame::Request(320 | 310) if !gate.load(Ordering::SeqCst) => Fate::Refuse(2),
            _ => Fate::Pass,
        });
        let plane = Options::new(driver, proxy.address()).start();
        let sink = Sink::start(&plane, &TOLERANT);
        plane.running(&sink.task);
        wait_for("all good records", || (sink.probe.count() == good.len()).then_some(()));
        wait_for("letters are tried again", || (plane.counters(&sink.task).retries > 3).then_some(()));
        assert_eq!(sink.committed(&broker), [0, 0]);
        open.store(true, Ordering::SeqCst);
        wait_for("everything is committed", || (sink.committed(&broker) == [100, 100]).then_some(()));
        assert_exactly(bodies(&broker, "dead"), &bad);
        plane.stop(&sink.task);
        plane.shut_down();
    });
}

#[test]
fn a_target_that_is_away_fills_no_dead_letter_queue() {
    on_each_driver(|driver| {
        let broker = TestBroker::start(driver);
        let (good, bad) = fill(&broker);
        let plane = Options::new(driver, broker.address).start();
        let name = format!("errors-{}", number());
        probe(&name).play(Call::Put, Trick::Later, 6);
        let task = plane.launch(&name, "test-sink", &sink_config(&name, &TOLERANT));
        let sink = Sink { probe: probe(&name), name, task };
        plane.running(&sink.task);
        wait_for("the target is away", || (sink.probe.played() >= 4).then_some(()));
        assert_eq!((sink.committed(&broker), bodies(&broker, "dead").len()), (vec![0, 0], 0));
        wait_for("everything is committed", || (sink.committed(&broker) == [100, 100]).then_some(()));
        assert_exactly(values(&sink.probe), &good);
        assert_exactly(bodies(&broker, "dead"), &bad);
        plane.stop(&sink.task);
        plane.shut_down();
    });
}

#[test]
fn without_a_dead_letter_queue_bad_records_are_dropped_and_counted() {
    on_each_driver(|driver| {
        let broker = TestBroker::start(driver);
        let (good, _) = fill(&broker);
        let plane = Options::new(driver, broker.address).start();
        let sink = Sink::start(&plane, &[("errors.tolerance", "all")]);
        plane.running(&sink.task);
        wait_for("everything is committed", || (sink.committed(&broker) == [100, 100]).then_some(()));
        assert_exactly(values(&sink.probe), &good);
        assert_eq!(plane.counters(&sink.task).records_skipped, 40);
        plane.stop(&sink.task);
        plane.shut_down();
    });
}

#[test]
fn too_many_bad_records_ask_for_a_pause() {
    on_each_driver(|driver| {
        let broker = TestBroker::start(driver);
        broker.make_topic("t", QUEUES);
        (0..100).for_each(|number| broker.send("t", 0, format!("bad {number} ").as_bytes()));
        let plane = Options::new(driver, broker.address).start();
        let breaker = [("errors.breaker.percent", "50"), ("errors.breaker.records", "20")];
        let sink = Sink::start(&plane, &[&TOLERANT[..], &breaker].concat());
        plane.running(&sink.task);
        let cause = plane.event("a wish to pause", |event| match event {
            ShardEvent::PauseWanted(_, generation, cause) if *generation == sink.task.generation => Some(cause.clone()),
            _ => None,
        });
        assert!(cause.contains("errors.breaker.percent=50"), "{cause}");
        // What was given up by then is stored and committed, and the task stands still.
        let letters = bodies(&broker, "dead").len() as i64;
        assert_eq!(sink.committed(&broker), [letters, 0]);
        broker.send("t", 1, b"1 ");
        plane.ask_to_pause(&sink.task);
        plane.paused(&sink.task);
        assert_eq!(sink.probe.count(), 0);
        plane.ask_to_resume(&sink.task);
        plane.running(&sink.task);
        wait_for("it goes on", || (sink.probe.count() == 1).then_some(()));
        plane.stop(&sink.task);
        plane.shut_down();
    });
}

/// A source whose converter refuses every number that ends with 7.
fn source(plane: &Plane, name: &str, allowed: u64, more: &[(&str, &str)]) -> Task {
    probe(name).allowed.store(allowed, Ordering::SeqCst);
    let own = [
        ("probe", name),
        ("connect.topicname", "out"),
        ("commit.interval.ms", "20"),
        ("value.converter", "test-picky"),
        ("value.converter.refused", "sevens"),
    ];
    let config: Vec<_> = own.iter().chain(more).copied().collect();
    plane.launch(name, "test-source", &config)
}

#[test]
fn a_sources_bad_records_lie_in_the_dead_letter_queue_too() {
    on_each_driver(|driver| {
        let broker = TestBroker::start(driver);
        let plane = Options::new(driver, broker.address).start();
        let name = format!("errors-{}", number());
        let task = source(&plane, &name, 1000, &TOLERANT);
        plane.running(&task);
        wait_for("all committed", || (plane.counters(&task).records_committed == 1000).then_some(()));
        let numbers = |topic: &str| {
            let mut numbers: Vec<u64> = bodies(&broker, topic).iter().map(|body| leading_number(body)).collect();
            numbers.sort_unstable();
            numbers
        };
        assert!(numbers("out").into_iter().eq((0..1000).filter(|number| number % 10 != 7)));
        assert!(numbers("dead").into_iter().eq((0..1000).filter(|number| number % 10 == 7)));
        let counters = plane.counters(&task);
        assert_eq!((counters.records_out, counters.dead_letters), (900, 100));
        let letter = broker.properties("dead").pop().unwrap();
        assert!(letter.contains(&("__connect.errors.stage".to_owned(), "CONVERTER".to_owned())), "{letter:?}");
        plane.stop(&task);
        plane.shut_down();
    });
}

#[test]
fn a_source_stops_at_its_bad_record_with_everything_before_it_committed() {
    on_each_driver(|driver| {
        let broker = TestBroker::start(driver);
        let plane = Options::new(driver, broker.address).start();
        let name = format!("errors-{}", number());
        let task = source(&plane, &name, 1000, &[]);
        let (cause, restart) = plane.failed(&task);
        assert!(cause.starts_with("CONVERTER") && !restart, "{cause}");
        assert!(broker.numbers("out").into_iter().collect::<BTreeSet<_>>().into_iter().eq(0..7));
        // With tolerance it goes on there and repeats nothing.
        let again = source(&plane, &name, 1000, &TOLERANT);
        plane.running(&again);
        wait_for("all committed", || (plane.counters(&again).records_committed == 993).then_some(()));
        assert_eq!((broker.numbers("out").len(), broker.numbers("dead").len()), (900, 100));
        plane.stop(&again);
        plane.shut_down();
    });
}

#[test]
fn a_crash_between_letters_loses_none() {
    on_each_driver(|driver| {
        let broker = TestBroker::start(driver);
        let (good, bad) = fill(&broker);
        let name = format!("errors-{}", number());
        for round in 0..4u32 {
            let plane = Options::new(driver, broker.address).start();
            let config = sink_config(&name, &TOLERANT);
            let slow = [&config[..], &[("uncommitted.records", "30")]].concat();
            let task = plane.launch(&name, "test-sink", &slow);
            plane.running(&task);
            wait_for("some more", || (probe(&name).count() as u32 > round * 40).then_some(()));
            plane.shut_down_at_once();
        }
        let plane = Options::new(driver, broker.address).start();
        let task = plane.launch(&name, "test-sink", &sink_config(&name, &TOLERANT));
        let sink = Sink { probe: probe(&name), name, task };
        plane.running(&sink.task);
        wait_for("everything is committed", || (sink.committed(&broker) == [100, 100]).then_some(()));
        assert_eq!(&values(&sink.probe).into_iter().collect::<BTreeSet<_>>(), &good);
        assert_eq!(&bodies(&broker, "dead").into_iter().collect::<BTreeSet<_>>(), &bad);
        plane.stop(&sink.task);
        plane.shut_down();
    });
}

/// From a source straight to a sink, with bad records from the chain and from the sink.
fn direct(plane: &Plane, name: &str, allowed: u64, more: &[(&str, &str)]) -> Task {
    probe(name).allowed.store(allowed, Ordering::SeqCst);
    let own = [
        ("probe", name),
        ("commit.interval.ms", "20"),
        ("task.type", "DIRECT"),
        ("source.task.class", "test-source"),
        ("sink.task.class", "test-sink"),
        ("transforms", "sevens"),
        ("transforms.sevens.class", "test-sevens"),
    ];
    let config: Vec<_> = own.iter().chain(more).copied().collect();
    plane.launch(name, "test-source", &config)
}

#[test]
fn a_direct_tasks_bad_records_lie_in_the_dead_letter_queue() {
    on_each_driver(|driver| {
        let broker = TestBroker::start(driver);
        let plane = Options::new(driver, broker.address).start();
        let name = format!("errors-{}", number());
        let task = direct(&plane, &name, 1000, &TOLERANT);
        plane.running(&task);
        wait_for("all committed", || (plane.counters(&task).records_committed == 1000).then_some(()));
        let delivered: Vec<u64> = probe(&name).values().iter().map(|value| leading_number(value)).collect();
        assert!(delivered.into_iter().eq((0..1000).filter(|number| number % 10 != 7)), "in order, once");
        let letters: BTreeSet<Vec<u8>> = bodies(&broker, "dead").into_iter().collect();
        let expected = (0..1000).filter_map(|number| match number % 20 {
            7 => Some(format!("{number} ").into_bytes()),
            17 => Some(format!("reject {number} ").into_bytes()),
            _ => None,
        });
        assert_eq!(letters, expected.collect());
        let counters = plane.counters(&task);
        assert_eq!((counters.records_in, counters.records_out, counters.records_filtered), (1000, 900, 0));
        assert_eq!((counters.dead_letters, counters.records_skipped), (100, 0));
        let stages: BTreeSet<String> = broker
            .properties("dead")
            .into_iter()
            .flatten()
            .filter_map(|(key, value)| (key == "__connect.errors.stage").then_some(value))
            .collect();
        assert_eq!(stages.into_iter().collect::<Vec<_>>(), ["TASK_PUT", "TRANSFORMATION"]);
        plane.stop(&task);
        plane.shut_down();
    });
}

#[test]
fn a_direct_task_stops_at_its_bad_record_with_everything_before_it_committed() {
    on_each_driver(|driver| {
        let broker = TestBroker::start(driver);
        let plane = Options::new(driver, broker.address).start();
        let name = format!("errors-{}", number());
        let next = || {
            let store = plane.store.lock().unwrap();
            store.positions.get(&name).and_then(|all| all.first()).and_then(|one| one.offset.get("next")).cloned()
        };
        let task = direct(&plane, &name, 1000, &[]);
        let (cause, restart) = plane.failed(&task);
        assert!(cause.starts_with("TRANSFORMATION") && !restart, "{cause}");
        assert_eq!((next(), probe(&name).count()), (Some(Scalar::Text("7".to_owned())), 7));
        // With tolerance it goes on there and repeats nothing.
        let again = direct(&plane, &name, 1000, &[("errors.tolerance", "all")]);
        plane.running(&again);
        wait_for("all committed", || (plane.counters(&again).records_committed == 993).then_some(()));
        assert_eq!((probe(&name).count(), plane.counters(&again).records_skipped), (900, 100));
        plane.stop(&again);
        plane.shut_down();
    });
}

/// In front of a broker that takes no message whose number ends with 7, nor a batch with such a message in it.
fn picky_broker(broker: &TestBroker) -> Proxy {
    let proxy = Proxy::start(broker.address, true);
    proxy.judge(|frame, bytes| {
        let is_send = matches!(frame, Frame::Request(310 | 320));
        let taken = || header(bytes)["extFields"]["b"] == "dead" || !body(bytes).windows(2).any(|two| two == b"7 ");
        if is_send && !taken() { Fate::Refuse(13) } else { Fate::Pass }
    });
    proxy
}

#[test]
fn what_the_broker_refuses_is_found_in_its_batch_and_given_up() {
    on_each_driver(|driver| {
        let broker = TestBroker::start(driver);
        broker.make_topic("out", 2);
        let proxy = picky_broker(&broker);
        let plane = Options::new(driver, proxy.address()).start();
        let name = format!("errors-{}", number());
        probe(&name).allowed.store(300, Ordering::SeqCst);
        let own = [("probe", &*name), ("connect.topicname", "out"), ("commit.interval.ms", "20")];
        let config: Vec<_> = own.iter().chain(&TOLERANT).copied().collect();
        let task = plane.run(&name, "test-source", &config);
        wait_for("all committed", || (plane.counters(&task).records_committed == 300).then_some(()));
        let sorted = |topic: &str| {
            let mut numbers = broker.numbers(topic);
            numbers.sort_unstable();
            numbers
        };
        assert!(sorted("out").into_iter().eq((0..300).filter(|number| number % 10 != 7)), "each once");
        assert!(sorted("dead").into_iter().eq((0..300).filter(|number| number % 10 == 7)), "each once");
        let counters = plane.counters(&task);
        assert_eq!((counters.records_out, counters.dead_letters), (270, 30));
        let letter = broker.properties("dead").pop().unwrap();
        assert!(letter.contains(&("__connect.errors.stage".to_owned(), "ROCKETMQ_PRODUCE".to_owned())), "{letter:?}");
        plane.stop(&task);
        plane.shut_down();
    });
}

#[test]
fn what_the_broker_refuses_stops_the_task_at_its_place() {
    on_each_driver(|driver| {
        let broker = TestBroker::start(driver);
        broker.make_topic("out", 2);
        let proxy = picky_broker(&broker);
        let plane = Options::new(driver, proxy.address()).start();
        let name = format!("errors-{}", number());
        probe(&name).allowed.store(300, Ordering::SeqCst);
        let config = [("probe", &*name), ("connect.topicname", "out"), ("commit.interval.ms", "20")];
        let task = plane.launch(&name, "test-source", &config);
        let (cause, restart) = plane.failed(&task);
        assert!(cause.starts_with("ROCKETMQ_PRODUCE") && !restart, "{cause}");
        let store = plane.store.lock().unwrap();
        let next = store.positions[&name][0].offset["next"].clone();
        assert_eq!(next, Scalar::Text("7".to_owned()));
        drop(store);
        plane.shut_down();
    });
}

#[test]
fn a_router_sends_records_to_another_topic() {
    on_each_driver(|driver| {
        let broker = TestBroker::start(driver);
        let plane = Options::new(driver, broker.address).start();
        let name = format!("errors-{}", number());
        probe(&name).allowed.store(100, Ordering::SeqCst);
        let config = [
            ("probe", &*name),
            ("connect.topicname", "orders"),
            ("transforms", "route"),
            ("transforms.route.class", "org.apache.kafka.connect.transforms.RegexRouter"),
            ("transforms.route.regex", "ord(.*)"),
            ("transforms.route.replacement", "routed-$1"),
        ];
        let task = plane.run(&name, "test-source", &config);
        wait_for("all committed", || (plane.counters(&task).records_committed == 100).then_some(()));
        assert_eq!((broker.numbers("routed-ers").len(), broker.content("orders").len()), (100, 0));
        plane.stop(&task);
        plane.shut_down();
    });
}
