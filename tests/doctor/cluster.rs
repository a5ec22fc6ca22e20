//! Name servers, brokers, topics.

use std::net::{SocketAddr, TcpListener};

use rmqc_io::embedded::{EmbeddedBroker, EmbeddedSettings};
use rmqc_io::settings::DriverWanted;
use serde_json::json;

use super::fake::{Fake, silent};
use super::support::remoting::call;
use super::support::worker::{file_sink, file_source};
use super::visit::Setup;

fn setup_for(address: impl ToString) -> Setup {
    let mut setup = Setup::new();
    setup.set("namesrvAddr", &address.to_string());
    setup
}

/// An address where nobody listens.
fn dead() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn embedded(setup: &Setup, address: SocketAddr) -> EmbeddedBroker {
    let dir = setup.dir.file("broker");
    EmbeddedBroker::start(EmbeddedSettings { dir, address, driver: DriverWanted::Epoll }).unwrap()
}

#[test]
fn a_dead_name_server() {
    let address = dead();
    let setup = setup_for(address);
    let remedy = setup.visit().finds("name server", "fail", "Connection refused");
    assert!(remedy.contains("mqnamesrv") && remedy.contains("namesrvAddr"), "{remedy}");
    let broker = embedded(&setup, address);
    let visit = setup.visit();
    for check in ["name server", "broker", "clock"] {
        visit.is_ok(check);
    }
    assert_eq!(visit.code, 0, "{}", visit.text);
    broker.stop();
}

#[test]
fn a_name_server_that_accepts_and_never_answers() {
    let (address, _listens) = silent();
    let mut setup = setup_for(address);
    let remedy = setup.visit().finds("name server", "fail", "gives no answer within");
    assert!(remedy.contains("restart the name server"), "{remedy}");
    setup.set("namesrvAddr", &Fake::start().address.to_string());
    setup.visit().is_ok("name server");
}

#[test]
fn a_name_that_does_not_resolve() {
    let mut setup = setup_for("no-such-host.invalid:9876");
    let remedy = setup.visit().finds("name server", "fail", "can't be resolved");
    assert!(remedy.contains("getent hosts no-such-host.invalid"), "{remedy}");
    setup.set("namesrvAddr", &Fake::start().address.to_string());
    setup.visit().is_ok("name server");
}

#[test]
fn a_broker_that_is_not_where_the_name_server_says() {
    let fake = Fake::start();
    let there = dead().to_string();
    fake.state().broker.clone_from(&there);
    let setup = setup_for(fake.address);
    let remedy = setup.visit().finds("broker", "fail", &there);
    assert!(remedy.contains("brokerIP1=") && remedy.contains("container"), "{remedy}");
    fake.state().broker = fake.address.to_string();
    setup.visit().is_ok("broker");
}

#[test]
fn a_broker_that_may_not_be_written() {
    let fake = Fake::start();
    fake.state().settings = "brokerPermission=4\n".to_owned();
    let setup = setup_for(fake.address);
    let remedy = setup.visit().finds("broker", "fail", "read but not written");
    assert!(remedy.contains("updateBrokerConfig") && remedy.contains("brokerPermission -v 6"), "{remedy}");
    fake.state().settings = "brokerPermission=6\n".to_owned();
    setup.visit().is_ok("broker");
}

#[test]
fn a_broker_that_wants_signed_requests() {
    let fake = Fake::start();
    fake.state().account = Some("alice".to_owned());
    let mut setup = setup_for(fake.address);
    let remedy = setup.visit().finds("broker", "fail", "not signed");
    assert!(remedy.contains("aclEnable=true"), "{remedy}");
    for (key, value) in [("aclEnable", "true"), ("accessKey", "alice"), ("secretKey", "s3cret-of-the-test")] {
        setup.set(key, value);
    }
    let visit = setup.visit();
    visit.is_ok("broker");
    assert!(!visit.text.contains("s3cret"), "{}", visit.text);
}

#[test]
fn a_brokers_disk_that_is_nearly_full() {
    let fake = Fake::start();
    fake.state().figures.insert("commitLogDiskRatio".to_owned(), "0.93".into());
    let setup = setup_for(fake.address);
    let remedy = setup.visit().finds("broker", "fail", "93 % used");
    assert!(remedy.contains("fileReservedTime"), "{remedy}");
    fake.state().figures.insert("commitLogDiskRatio".to_owned(), "0.40".into());
    setup.visit().is_ok("broker");
}

#[test]
fn a_clock_that_differs_from_the_brokers() {
    let fake = Fake::start();
    let setup = setup_for(fake.address);
    for seconds in [-600, 600] {
        fake.shift_clock(seconds);
        let remedy = setup.visit().finds("clock", "warn", if seconds > 0 { "s ahead of" } else { "s behind" });
        assert!(remedy.contains("set-ntp"), "{remedy}");
    }
    fake.shift_clock(0);
    setup.visit().is_ok("clock");
}

#[test]
fn a_missing_topic_that_nobody_makes() {
    let fake = Fake::start();
    let mut setup = setup_for(fake.address);
    setup.set("autoCreateTopicEnable", "false");
    setup.connector("lines", &file_source(&setup.dir.file("in.txt"), "made-by-hand"));
    let remedy = setup.visit().finds("topic", "fail", "does not exist, and autoCreateTopicEnable=false");
    assert!(remedy.contains("mqadmin updateTopic") && remedy.contains("-t made-by-hand"), "{remedy}");
    setup.set("autoCreateTopicEnable", "true");
    setup.visit().is_ok("topic");
    setup.set("autoCreateTopicEnable", "false");
    fake.state().topics.push(("made-by-hand".to_owned(), 4, 6));
    let visit = setup.visit();
    visit.is_ok("topic");
    visit.is_ok("rights");
    assert_eq!(visit.code, 0, "{}", visit.text);
}

#[test]
fn a_sink_whose_topic_nobody_fills() {
    let fake = Fake::start();
    let mut setup = setup_for(fake.address);
    setup.connector("sink", &file_sink(&setup.dir.file("out.txt"), "lines"));
    let remedy = setup.visit().finds("topic", "warn", "nothing to read until somebody makes it");
    assert!(remedy.contains("-c c -t lines"), "{remedy}");
    setup.connector("source", &file_source(&setup.dir.file("in.txt"), "lines"));
    setup.visit().is_ok("topic");
}

#[test]
fn a_topic_that_may_not_be_read() {
    let fake = Fake::start();
    fake.state().topics.push(("closed".to_owned(), 4, 2));
    let mut setup = setup_for(fake.address);
    setup.connector("sink", &file_sink(&setup.dir.file("out.txt"), "closed"));
    let remedy = setup.visit().finds("topic", "fail", "no queue may be read");
    assert!(remedy.contains("-t closed -p 6"), "{remedy}");
    fake.state().topics = vec![("closed".to_owned(), 4, 6)];
    let visit = setup.visit();
    visit.is_ok("topic");
    visit.is_ok("rights");
}

#[test]
fn a_connector_that_is_wrong() {
    let fake = Fake::start();
    let mut setup = setup_for(fake.address);
    setup.connector("bad", &json!({ "connector.class": "file-sink" }));
    setup.visit().finds("connector", "fail", "connect.topicnames");
    setup.arguments.clear();
    setup.connector("good", &file_sink(&setup.dir.file("out.txt"), "t"));
    setup.visit().is_ok("connector");
}

#[test]
fn a_trial_writes_and_leaves_nothing() {
    let mut setup = Setup::new();
    let broker = embedded(&setup, "127.0.0.1:0".parse().unwrap());
    let address = broker.address().to_string();
    setup.set("namesrvAddr", &address);
    let topics = || String::from_utf8(call(&address, 206, json!({})).unwrap().body).unwrap();
    let before = topics();
    setup.arguments.push("--write".to_owned());
    setup.visit().is_ok("write");
    assert_eq!(topics(), before);
    broker.stop();
}

#[test]
fn a_trial_that_is_refused() {
    let fake = Fake::start();
    fake.state().may_create = false;
    let mut setup = setup_for(fake.address);
    setup.visit().is_ok("broker");
    setup.arguments.push("--write".to_owned());
    let remedy = setup.visit().finds("write", "fail", "cannot make a topic");
    assert!(remedy.contains("aclEnable=true"), "{remedy}");
}
