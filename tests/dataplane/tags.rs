//! Sinks that read certain tags only.

use std::sync::{Arc, Mutex};

use rmqc_io::remoting::code::request;

use super::support::broker::TestBroker;
use super::support::plane::Options;
use super::support::probe::probe;
use super::support::proxy::{Fate, Frame, Proxy, body, header};
use super::support::{number, on_each_driver, wait_for};

#[test]
fn only_the_tags_asked_for_are_read_and_the_others_are_done() {
    on_each_driver(|driver| {
        let broker = TestBroker::start(driver);
        broker.make_topic("t", 1);
        let proxy = Proxy::start(broker.address, true);
        let told = Arc::new(Mutex::new(Vec::new()));
        let notes = told.clone();
        proxy.judge(move |frame, bytes| {
            let mut notes = notes.lock().unwrap();
            match frame {
                Frame::Request(code) if code == i64::from(request::PULL_MESSAGE) => {
                    notes.push(header(bytes)["extFields"]["subscription"].clone());
                }
                Frame::Request(code) if code == i64::from(request::HEART_BEAT) => {
                    let heartbeat: serde_json::Value = serde_json::from_slice(body(bytes)).unwrap();
                    notes.push(heartbeat["consumerDataSet"][0]["subscriptionDataSet"][0]["subString"].clone());
                }
                _ => {}
            }
            Fate::Pass
        });
        let plane = Options::new(driver, proxy.address()).start();
        let name = format!("tags-{}", number());
        let seen = probe(&name);
        let group = format!("connect-{name}");
        let config = [
            ("probe", &*name),
            ("connect.topicnames", "t"),
            ("consume.from.where", "CONSUME_FROM_FIRST_OFFSET"),
            ("commit.interval.ms", "20"),
            ("consume.tags", " Aa|| x "),
        ];
        // "BB" has the hash of "Aa": a broker that looks at hashes sends it.
        let tags = ["x", "y", "BB", "", "Aa", "xx", "BB", "x", "y", ""];
        let send_all = |round: i64| {
            for (at, tag) in (0..).zip(tags) {
                broker.send_tagged("t", 0, tag, format!("{} ", 10 * round + at).as_bytes());
            }
        };
        send_all(0);
        let task = plane.run(&name, "test-sink", &config);
        wait_for("the end", || (broker.committed(&group, "t", 0) == Some(10)).then_some(()));
        // While it waits for more, too.
        send_all(1);
        wait_for("the end", || (broker.committed(&group, "t", 0) == Some(20)).then_some(()));
        plane.stop(&task);
        (0..1000).for_each(|n| broker.send_tagged("t", 0, "y", format!("{n} ").as_bytes()));
        let task = plane.run(&name, "test-sink", &config);
        wait_for("the end", || (broker.committed(&group, "t", 0) == Some(1020)).then_some(()));
        plane.stop(&task);
        let offsets: Vec<i64> = seen.seen.lock().unwrap().iter().map(|seen| seen.offset).collect();
        assert_eq!(offsets, [0, 4, 7, 10, 14, 17], "x and Aa, each once, in order");
        let told = told.lock().unwrap();
        assert!(told.len() > 4 && told.iter().all(|told| told == "Aa||x"), "{told:?}");
        plane.shut_down();
    });
}
