//! The control plane's own calls against a real broker.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rmqc_core::cluster_port::{ClusterPort, NewMessage, QueueName};
use rmqc_io::settings::ClusterSettings;

use super::support::broker::RealBroker;
use super::support::java::{self, GroupMember, Outgoing};
use super::support::unique;

const BROKER: &str = "broker-a";
const DEADLINE: Duration = Duration::from_secs(90);

fn port(broker: &RealBroker) -> Arc<dyn ClusterPort> {
    let settings = ClusterSettings {
        name_servers: vec![broker.namesrv().to_owned()],
        credentials: None,
        producer_group: "control".to_owned(),
        auto_create_topic: true,
        operation_timeout: Duration::from_secs(10),
    };
    rmqc_io::start_cluster_client(&settings).unwrap()
}

/// The calls are futures of any runtime.
fn done<T>(call: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(call)
}

fn queue(topic: &str, queue: u32) -> QueueName {
    QueueName { topic: topic.to_owned(), broker: BROKER.to_owned(), queue }
}

#[test]
fn topics_settings_and_members_are_told() {
    let broker = RealBroker::shared();
    let port = port(broker);
    let (topic, group) = (unique("told"), unique("group"));
    done(port.create_topic(&topic, 3)).unwrap();
    super::support::wait_until("the name server lists the topic", DEADLINE, || {
        done(port.topics()).unwrap().contains(&topic) && done(port.topic_queues(&topic)).unwrap().is_some()
    });
    let config = done(port.broker_config(broker.address())).unwrap();
    assert_eq!(config["brokerName"], BROKER);
    assert!(config["maxMessageSize"].parse::<u64>().unwrap() > 0 && config.contains_key("autoCreateTopicEnable"));

    assert_eq!(done(port.group_members(&group)).unwrap(), [""; 0]);
    let mut member = GroupMember::join(broker.namesrv(), &topic, &group);
    member.wait("the member has its queues", DEADLINE, |member| member.queues == [0, 1, 2]);
    assert_eq!(done(port.group_members(&group)).unwrap(), [member.client_id.clone()]);
    member.leave();
}

#[test]
fn messages_are_sent_read_and_found_by_time() {
    let broker = RealBroker::shared();
    let port = port(broker);
    let topic = unique("looked");
    broker.create_topic(&topic, 1);
    // More than one answer's worth, a compressed one among them.
    let long = "the same words again and again ".repeat(500);
    let messages: Vec<Outgoing> = (0..50)
        .map(|number| Outgoing::body(if number == 20 { long.clone() } else { format!("body {number}") }))
        .collect();
    java::produce(broker.namesrv(), &topic, &messages);
    let read = done(port.read(&queue(&topic, 0), 0, 45)).unwrap();
    assert_eq!(read.iter().map(|one| one.offset).collect::<Vec<_>>(), (0..45).collect::<Vec<_>>());
    assert!(read[20].body == long.as_bytes(), "{} bytes", read[20].body.len());
    assert_eq!(read[44].body, "body 44");
    for (offset, count) in [(50, 0), (51, 0), (1_000, 0), (-1, 2), (49, 1)] {
        let read = done(port.read(&queue(&topic, 0), offset, 2)).unwrap();
        assert_eq!(read.len(), count, "from {offset}");
    }

    let properties = [("KEYS", "k1"), ("TAGS", "T"), ("connect-ext-x", "ü"), ("empty", "")];
    let properties: Vec<(String, String)> =
        properties.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let body = Bytes::from_static(b"sent by hand");
    let message = NewMessage { topic: topic.clone(), properties: properties.clone(), body: body.clone() };
    assert_eq!(done(port.send(message)).unwrap(), (queue(&topic, 0), 50));
    let read = done(port.read(&queue(&topic, 0), 50, 5)).unwrap();
    assert_eq!((read.len(), &read[0].body), (1, &body));
    assert!(properties.iter().all(|pair| read[0].properties.contains(pair)), "{:?}", read[0].properties);
    assert_eq!(java::by_key(broker.namesrv(), &topic, "k1")[0].body, body);
    // Without a name for themselves messages are found by the one that the port gives them.
    let message = NewMessage { topic: topic.clone(), properties: Vec::new(), body: Bytes::new() };
    assert_eq!(done(port.send(message)).unwrap().1, 51);

    let stored = read[0].store_ms;
    assert!((0..=50).contains(&done(port.offset_at(&queue(&topic, 0), stored)).unwrap()));
    assert_eq!(done(port.offset_at(&queue(&topic, 0), stored + 3_600_000)).unwrap(), 52);
    let error = done(port.send(NewMessage { topic: unique("nowhere"), properties: Vec::new(), body })).unwrap_err();
    assert!(error.0.contains("create it first"), "{error}");
}

/// A look leaves no trace, and a group stands where it is put, known or not, forwards and backwards.
#[test]
fn groups_stand_where_they_are_put_and_are_forgotten() {
    let broker = RealBroker::shared();
    let port = port(broker);
    let (topic, group) = (unique("stands"), unique("group"));
    broker.create_topic(&topic, 2);
    let messages: Vec<Outgoing> = (0..9).map(|_| Outgoing { queue: Some(1), ..Outgoing::body("x") }).collect();
    java::produce(broker.namesrv(), &topic, &messages);
    assert_eq!(done(port.read(&queue(&topic, 1), 0, 9)).unwrap().len(), 9);
    let shown = || {
        let standing = done(port.standing(&group, &topic)).unwrap();
        standing.iter().map(|one| (one.queue.queue, one.min, one.max, one.committed)).collect::<Vec<_>>()
    };
    assert_eq!(shown(), [(0, 0, 0, None), (1, 0, 9, None)]);
    for offset in [7, 9, 2, 0] {
        done(port.commit(&group, &queue(&topic, 1), offset)).unwrap();
        assert_eq!(shown(), [(0, 0, 0, None), (1, 0, 9, Some(offset))]);
        assert_eq!(broker.committed(&group, &topic, 1), Some(offset));
    }
    // A consumer of the group starts there.
    done(port.commit(&group, &queue(&topic, 1), 6)).unwrap();
    let mut member = GroupMember::join(broker.namesrv(), &topic, &group);
    member.wait("the rest is read", DEADLINE, |member| member.messages.len() >= 3);
    member.leave();
    assert_eq!(member_free(&port, &group), [""; 0]);

    done(port.delete_group(&group)).unwrap();
    done(port.delete_group(&group)).unwrap();
    assert_eq!(shown(), [(0, 0, 0, None), (1, 0, 9, None)]);
    assert!(done(port.commit(&group, &queue(&topic, 2), 0)).unwrap_err().0.contains("2 queues"));
}

fn member_free(port: &Arc<dyn ClusterPort>, group: &str) -> Vec<String> {
    super::support::wait_until("the member has left", DEADLINE, || done(port.group_members(group)).unwrap().is_empty());
    done(port.group_members(group)).unwrap()
}
