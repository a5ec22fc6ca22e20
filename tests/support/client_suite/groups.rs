//! Groups: their offsets, members, subscriptions, locks and numbers.

use std::net::SocketAddr;

use rmqc_io::driver::Driver;
use rmqc_io::remoting::code::{request, response};
use rmqc_io::remoting::connection::Request;
use serde_json::{Value, json};

use super::{Client, check, pull, pull_with, unique};

fn query_offset(group: &str, topic: &str, queue: i64) -> Request {
    Request::new(request::QUERY_CONSUMER_OFFSET)
        .with("consumerGroup", group)
        .with("topic", topic)
        .with("queueId", queue)
        .with("setZeroIfNotFound", "false")
}

fn commit(group: &str, topic: &str, queue: i64, offset: i64) -> Request {
    Request::new(request::UPDATE_CONSUMER_OFFSET)
        .with("consumerGroup", group)
        .with("topic", topic)
        .with("queueId", queue)
        .with("commitOffset", offset)
}

pub(super) async fn commits(client: &Client) {
    let (topic, group) = (unique("commit"), unique("committer"));
    client.make_topic(&topic).await;
    let unknown = client.code(commit(&group, &topic, 0, 1)).await;
    check("commit of an unknown group", unknown, response::SUBSCRIPTION_GROUP_NOT_EXIST);
    client.call(pull(&group, &topic, 0, 0)).await;
    check("nothing yet", client.code(query_offset(&group, &topic, 0)).await, response::QUERY_NOT_FOUND);
    for offset in [7, 3] {
        check("commit", client.code(commit(&group, &topic, 0, offset)).await, response::SUCCESS);
        let known = client.call(query_offset(&group, &topic, 0)).await;
        check("committed", known.header.fields.number("offset"), Some(offset));
    }
    let mut with_commit = pull_with(&group, &topic, 1, 0, 5, "*");
    for (name, value) in &mut with_commit.fields {
        if *name == "commitOffset" {
            *value = 42.into();
        }
    }
    client.call(with_commit).await;
    let known = client.call(query_offset(&group, &topic, 1)).await;
    check("committed with a pull", known.header.fields.number("offset"), Some(42));
}

pub(super) async fn resets(client: &Client) {
    let (topic, group) = (unique("reset"), unique("resetter"));
    client.make_topic(&topic).await;
    for _ in 0..4 {
        client.send(&topic, 0, b"m", b"").await;
    }
    client.read(&group, &topic, 0, 0, 4).await;
    check("commit", client.code(commit(&group, &topic, 0, 2)).await, response::SUCCESS);
    let reset = Request::new(request::INVOKE_BROKER_TO_RESET_OFFSET)
        .with("topic", &*topic)
        .with("group", &*group)
        .with("timestamp", -1)
        .with("isForce", "true")
        .with("queueId", -1);
    let reset = client.call(reset).await;
    check("reset to the end", reset.header.code, response::SUCCESS);
    let told = client.call(pull(&group, &topic, 0, 2)).await;
    check("told once", told.header.code, response::PULL_OFFSET_MOVED);
    check("where to go on", told.header.fields.number("nextBeginOffset"), Some(4));
    check("not twice", client.code(pull(&group, &topic, 0, 2)).await, response::SUCCESS);
}

fn heartbeat(client_id: &str, group: &str, topic: &str, tags: &str) -> Request {
    // An Apache broker filters by the tags' Java hash codes: for one ASCII character that is its number.
    let tag_set: Vec<&str> = if tags == "*" { Vec::new() } else { vec![tags] };
    let codes: Vec<u8> = tag_set.iter().map(|tag| tag.as_bytes()[0]).collect();
    let subscription = json!({
        "topic": topic, "subString": tags, "tagsSet": tag_set, "codeSet": codes, "subVersion": 5, "expressionType": "TAG",
        "classFilterMode": false,
    });
    let retry = json!({
        "topic": format!("%RETRY%{group}"), "subString": "*", "tagsSet": [], "codeSet": [], "subVersion": 5,
        "expressionType": "TAG", "classFilterMode": false,
    });
    let body = json!({
        "clientID": client_id,
        "producerDataSet": [{"groupName": "suite-producer"}],
        "consumerDataSet": [{
            "groupName": group, "consumeType": "CONSUME_PASSIVELY", "messageModel": "CLUSTERING",
            "consumeFromWhere": "CONSUME_FROM_FIRST_OFFSET", "unitMode": false,
            "subscriptionDataSet": [subscription, retry],
        }],
    });
    Request::new(request::HEART_BEAT).with_body(body.to_string())
}

async fn member_ids(client: &Client, group: &str) -> Option<Vec<String>> {
    let list = Request::new(request::GET_CONSUMER_LIST_BY_GROUP).with("consumerGroup", group);
    let answer = client.call(list).await;
    if answer.header.code != response::SUCCESS {
        check("an unknown group", answer.header.code, response::SYSTEM_ERROR);
        return None;
    }
    let body: Value = serde_json::from_slice(&answer.body).unwrap();
    let mut ids: Vec<String> = serde_json::from_value(body["consumerIdList"].clone()).unwrap();
    ids.sort();
    Some(ids)
}

pub(super) async fn members<D: Driver>(client: &Client, name_server: SocketAddr) {
    let (topic, group) = (unique("member"), unique("members"));
    client.make_topic(&topic).await;
    check("before anybody came", member_ids(client, &group).await, None);
    check("heartbeat", client.code(heartbeat("one", &group, &topic, "*")).await, response::SUCCESS);
    check("one member", member_ids(client, &group).await, Some(vec!["one".to_owned()]));
    let retry = Request::new(request::GET_TOPIC_CONFIG).with("topic", &*format!("%RETRY%{group}"));
    check("the group's retry topic", client.code(retry).await, response::SUCCESS);

    let seen = client.notified.seen();
    let other = Client::start::<D>(name_server, client.server).await;
    check("heartbeat", other.code(heartbeat("two", &group, &topic, "*")).await, response::SUCCESS);
    client.notified.since(seen).await;
    check("two members", member_ids(client, &group).await, Some(vec!["one".to_owned(), "two".to_owned()]));

    let seen = client.notified.seen();
    other.broker.close("the member goes");
    client.notified.since(seen).await;
    check("one left", member_ids(client, &group).await, Some(vec!["one".to_owned()]));
    other.names.close("the member goes");

    let leave = Request::new(request::UNREGISTER_CLIENT).with("clientID", "one").with("consumerGroup", &*group);
    check("unregister", client.code(leave).await, response::SUCCESS);
    check("nobody left", member_ids(client, &group).await.unwrap_or_default(), Vec::<String>::new());
}

pub(super) async fn subscriptions(client: &Client) {
    let (topic, group) = (unique("subscribed"), unique("subscriber"));
    client.make_topic(&topic).await;
    for tag in ["x", "y"] {
        client.send(&topic, 0, b"m", format!("TAGS\x01{tag}\x02").as_bytes()).await;
    }
    client.read("g-subscribed", &topic, 0, 0, 2).await;
    let settings = json!({
        "groupName": group, "consumeEnable": true, "consumeFromMinEnable": true, "consumeBroadcastEnable": true,
        "retryQueueNums": 1, "retryMaxTimes": 16, "brokerId": 0, "whichBrokerWhenConsumeSlowly": 1,
        "notifyConsumerIdsChangedEnable": true,
    });
    let make = Request::new(request::UPDATE_AND_CREATE_SUBSCRIPTIONGROUP).with_body(settings.to_string());
    check("make a group", client.code(make).await, response::SUCCESS);
    let without = |version: i64| {
        let mut request = pull_with(&group, &topic, 0, 0, 0, "*");
        for (name, value) in &mut request.fields {
            if *name == "subVersion" {
                *value = version.into();
            }
        }
        request
    };
    check("no heartbeat yet", client.code(without(5)).await, response::SUBSCRIPTION_NOT_EXIST);
    let told = client.code(heartbeat("subscriber", &group, &topic, "y")).await;
    check("heartbeat", told, response::SUCCESS);
    check("an older one is known", client.code(without(6)).await, response::SUBSCRIPTION_NOT_LATEST);
    let (found, next) = client.pull_found(|| without(5)).await;
    check("its filter", (found.len(), found[0].queue_offset, next), (1, 1, 2));
}

pub(super) async fn locks(client: &Client) {
    let (topic, group) = (unique("lock"), unique("locker"));
    client.make_topic(&topic).await;
    let body = |holder: &str| {
        let queues: Vec<_> =
            (0..2).map(|queue| json!({"topic": topic, "brokerName": client.broker_name, "queueId": queue})).collect();
        json!({"consumerGroup": group, "clientId": holder, "onlyThisBroker": false, "mqSet": queues}).to_string()
    };
    let locked = async |holder: &str| {
        let answer = client.call(Request::new(request::LOCK_BATCH_MQ).with_body(body(holder))).await;
        check("lock", answer.header.code, response::SUCCESS);
        let answer: Value = serde_json::from_slice(&answer.body).unwrap();
        answer["lockOKMQSet"].as_array().unwrap().len()
    };
    check("the first gets both", locked("one").await, 2);
    check("the other none", locked("two").await, 0);
    check("renewed", locked("one").await, 2);
    let unlock = Request::new(request::UNLOCK_BATCH_MQ).with_body(body("one"));
    check("unlock", client.code(unlock).await, response::SUCCESS);
    check("then the other", locked("two").await, 2);
}

pub(super) async fn statistics(client: &Client) {
    let (topic, group) = (unique("stats"), unique("counted"));
    client.make_topic(&topic).await;
    for _ in 0..3 {
        client.send(&topic, 1, b"m", b"").await;
    }
    client.read(&group, &topic, 1, 0, 3).await;
    check("commit", client.code(commit(&group, &topic, 1, 2)).await, response::SUCCESS);
    let answer = client.call(Request::new(request::GET_TOPIC_STATS_INFO).with("topic", &*topic)).await;
    let text = String::from_utf8(answer.body.to_vec()).unwrap();
    assert!(text.contains("\"maxOffset\":3") && text.contains("\"queueId\":1"), "{text}");
    let stats = Request::new(request::GET_CONSUME_STATS).with("consumerGroup", &*group).with("topic", &*topic);
    let text = String::from_utf8(client.call(stats).await.body.to_vec()).unwrap();
    assert!(text.contains("\"consumerOffset\":2") && text.contains("\"brokerOffset\":3"), "{text}");
}
