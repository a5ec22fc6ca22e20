//! One consumer group shared by our sink and a Java consumer.

use std::time::Duration;

use serde_json::json;

use super::support::broker::RealBroker;
use super::support::java::{self, GroupMember, Outgoing};
use super::support::worker::{Worker, file_sink, wait_lines};
use super::support::{TempDir, unique, wait_until};

/// Members of a group meet at the broker, and each acts on its own clock: the Java client looks every 20 s.
const DEADLINE: Duration = Duration::from_secs(90);

/// What averaging gives a member: the first `queues % members` get one more, in the order of the client ids.
fn averaged(members: &[String], member: &str, queues: u32) -> Vec<u32> {
    let index = members.iter().position(|id| id == member).expect("a member") as u32;
    let (count, extra) = (queues / members.len() as u32, queues % members.len() as u32);
    let first = index * count + index.min(extra);
    (first..first + count + u32::from(index < extra)).collect()
}

#[test]
fn queues_are_shared_with_a_java_consumer_and_taken_over_again() {
    const QUEUES: u32 = 5;
    let (broker, home) = (RealBroker::shared(), TempDir::new("shared"));
    let (topic, group, sink) = (unique("shared"), unique("group"), home.file("out.txt"));
    broker.create_topic(&topic, QUEUES);
    let mut worker = Worker::start(home.path(), broker.namesrv());
    let mut config = file_sink(&sink, &topic);
    config["task.group.id"] = json!(group);
    worker.create("sink", &config);
    wait_until("our sink is in the group", DEADLINE, || broker.members(&group).len() == 1);

    let mut java = GroupMember::join(broker.namesrv(), &topic, &group);
    wait_until("both are in the group", DEADLINE, || broker.members(&group).len() == 2);
    let members = broker.members(&group);
    java.wait("Java has its share", DEADLINE, |java| {
        members.contains(&java.client_id) && java.queues == averaged(&members, &java.client_id, QUEUES)
    });

    // Each queue's message goes to its owner, and to no one else. A queue that changed hands a moment ago may still be
    // with its old owner, so the share is asked for again with new messages until it is what averaging says.
    let theirs = java.queues.clone();
    let ours: Vec<u32> = (0..QUEUES).filter(|queue| !theirs.contains(queue)).collect();
    assert!(!ours.is_empty() && !theirs.is_empty());
    wait_until("every queue is with its owner", DEADLINE, || {
        let round = unique("round");
        let messages: Vec<Outgoing> = (0..QUEUES)
            .map(|queue| Outgoing { queue: Some(queue), ..Outgoing::body(format!("{round}/{queue}")) })
            .collect();
        java::produce(broker.namesrv(), &topic, &messages);
        let our_share = || -> Vec<u32> {
            let text = std::fs::read_to_string(&sink).unwrap_or_default();
            let mut queues: Vec<u32> =
                text.lines().filter_map(|line| line.strip_prefix(&format!("{round}/"))?.parse().ok()).collect();
            queues.sort_unstable();
            queues
        };
        java.wait("all messages of a round are read", DEADLINE, |java| {
            let read_by_java =
                java.messages.iter().filter(|message| message.body.starts_with(round.as_bytes())).count();
            read_by_java + our_share().len() >= QUEUES as usize
        });
        our_share() == ours
    });

    java.leave();
    let messages: Vec<Outgoing> =
        (0..QUEUES).map(|queue| Outgoing { queue: Some(queue), ..Outgoing::body("after") }).collect();
    java::produce(broker.namesrv(), &topic, &messages);
    wait_until("our sink has all queues again", DEADLINE, || {
        let text = std::fs::read_to_string(&sink).unwrap_or_default();
        text.lines().filter(|line| *line == "after").count() >= QUEUES as usize
    });
    worker.stop();
    for queue in 0..QUEUES {
        let (committed, end) = (broker.committed(&group, &topic, queue), broker.max_offset(&topic, queue));
        assert_eq!(committed, Some(end), "queue {queue}");
    }
    let text = String::from_utf8(wait_lines(&sink, 1, DEADLINE)).unwrap();
    assert_eq!(text.lines().filter(|line| *line == "after").count(), QUEUES as usize, "a message was written twice");
}
