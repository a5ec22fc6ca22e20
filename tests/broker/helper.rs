//! The helpers themselves: a test that trusts a broken broker or a deaf Java client would prove nothing.

use std::time::Duration;

use super::support::broker::RealBroker;
use super::support::java::{self, GroupMember, Outgoing};
use super::support::{lines, unique, wait_until};

/// The Java client looks at its group every 20 s.
const DEADLINE: Duration = Duration::from_secs(120);

/// The Java client reads and finds what it sent itself, also after the broker was killed and started again.
#[test]
fn the_java_client_and_a_restarted_broker_keep_messages() {
    let broker = RealBroker::start_with(super::support::broker::RAISED_PULL_CAPS);
    let topic = "helper";
    broker.create_topic(topic, 2);
    let compressed = "a".repeat(6000);
    let sent = [
        Outgoing {
            keys: Some("k1 k2".into()),
            tags: Some("T".into()),
            queue: Some(1),
            properties: vec![("connect-ext-x".into(), "ü".into())],
            ..Outgoing::body("hello")
        },
        Outgoing { queue: Some(0), ..Outgoing::body(compressed.clone()) },
    ];
    assert_eq!(java::produce(broker.namesrv(), topic, &sent), [(1, 0), (0, 0)]);
    assert_eq!((broker.max_offset(topic, 0), broker.max_offset(topic, 1), broker.stored(topic, 2)), (1, 1, 2));

    broker.restart();
    let got = java::consume(broker.namesrv(), topic, 2, DEADLINE);
    let hello = got.iter().find(|message| message.queue_id == 1).unwrap();
    assert_eq!(hello.body, b"hello");
    for (name, value) in [("KEYS", "k1 k2"), ("TAGS", "T"), ("connect-ext-x", "ü")] {
        assert_eq!(hello.properties.get(name).map(String::as_str), Some(value), "{name}");
    }
    let long = got.iter().find(|message| message.queue_id == 0).unwrap();
    assert!(long.body == compressed.as_bytes());
    assert!(long.store_size < 1000, "the client did not compress: {}", long.store_size);

    let by_key = java::by_key(broker.namesrv(), topic, "k2");
    assert_eq!(by_key.len(), 1);
    assert_eq!(by_key[0].body, b"hello");
    assert_eq!(java::by_unique_key(broker.namesrv(), topic, &hello.msg_id).body, b"hello");
}

/// Two Java members share a group's queues; one that leaves hands its share back.
#[test]
fn java_members_share_a_group() {
    let broker = RealBroker::shared();
    let (topic, group) = (unique("members"), unique("group"));
    broker.create_topic(&topic, 4);
    let mut first = GroupMember::join(broker.namesrv(), &topic, &group);
    first.wait("the only member has all queues", DEADLINE, |first| first.queues == [0, 1, 2, 3]);
    let mut second = GroupMember::join(broker.namesrv(), &topic, &group);
    second.wait("the second member has half", DEADLINE, |second| second.queues.len() == 2);
    assert_eq!(broker.members(&group).len(), 2);
    second.leave();
    first.wait("the first member has all queues again", DEADLINE, |first| first.queues == [0, 1, 2, 3]);
    java::produce(broker.namesrv(), &topic, &[Outgoing::body("x")]);
    first.wait("the message is read", DEADLINE, |first| first.messages.len() == 1);
    first.leave();
    wait_until("the group's offsets are committed", DEADLINE, || {
        (0..4).filter_map(|queue| broker.committed(&group, &topic, queue)).sum::<i64>() == 1
    });
}

/// The check of numbered lines sees each kind of damage.
#[test]
fn the_tally_sees_lost_repeated_and_foreign_lines() {
    let folder = super::support::TempDir::new("tally");
    let path = folder.file("lines.txt");
    lines::append_lines(&path, 0..5).unwrap();
    lines::append_lines(&path, 3..4).unwrap();
    lines::append_lines(&path, 6..8).unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[50] = b'!';
    bytes.extend_from_slice(b"no number\n0000000005 half a line");
    std::fs::write(&path, bytes).unwrap();
    let tally = lines::tally(&path, 7).unwrap();
    let wanted = lines::Tally { lines: 9, distinct: 5, lost: 2, duplicated: 1, foreign: 3 };
    assert_eq!(tally, wanted);
}
