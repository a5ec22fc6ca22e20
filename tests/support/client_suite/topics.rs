//! Topics and routes, and what is not there.

use std::time::Instant;

use rmqc_io::remoting::code::{request, response};
use rmqc_io::remoting::connection::Request;
use serde_json::{Value, json};

use super::{Client, DEADLINE, QUEUES, Server, check, create_topic, pull, unique};

pub(super) async fn unknown_things(client: &Client) {
    let code = client.code(Request::new(9_999)).await;
    check("an unknown request", code, response::REQUEST_CODE_NOT_SUPPORTED);
    let nowhere = unique("nowhere");
    let route = Request::new(request::GET_ROUTEINFO_BY_TOPIC).with("topic", &*nowhere);
    let route = client.names.call(&route, DEADLINE).await.unwrap();
    check("route of an unknown topic", route.header.code, response::TOPIC_NOT_EXIST);
    check("pull of an unknown topic", client.code(pull("g", &nowhere, 0, 0)).await, response::TOPIC_NOT_EXIST);
    let max = Request::new(request::GET_MAX_OFFSET).with("topic", &*nowhere).with("queueId", 0);
    let max = client.call(max).await;
    check("maximum of an unknown topic", (max.header.code, max.header.fields.number("offset")), (0, Some(0)));
    let config = Request::new(request::GET_TOPIC_CONFIG).with("topic", &*nowhere);
    check("settings of an unknown topic", client.code(config).await, response::TOPIC_NOT_EXIST);
}

pub(super) async fn routes_and_lists(client: &Client) {
    let route = Request::new(request::GET_ROUTEINFO_BY_TOPIC).with("topic", "TBW102");
    check("route of the template", client.names.call(&route, DEADLINE).await.unwrap().header.code, response::SUCCESS);
    let topic = unique("listed");
    client.make_topic(&topic).await;
    let list = Request::new(request::GET_ALL_TOPIC_LIST_FROM_NAMESERVER);
    let list: Value = serde_json::from_slice(&client.names.call(&list, DEADLINE).await.unwrap().body).unwrap();
    assert!(list["topicList"].as_array().unwrap().contains(&json!(topic)), "{list}");
    let config = client.call(Request::new(request::GET_TOPIC_CONFIG).with("topic", &*topic)).await;
    let config: Value = serde_json::from_slice(&config.body).unwrap();
    check("read queues", config["readQueueNums"].as_i64(), Some(QUEUES));
    let all = client.call(Request::new(request::GET_ALL_TOPIC_CONFIG)).await;
    let all: Value = serde_json::from_slice(&all.body).unwrap();
    check("its settings among all", all["topicConfigTable"][&topic]["writeQueueNums"].as_i64(), Some(QUEUES));
    let (about, asked) = (Request::new(request::GET_BROKER_RUNTIME_INFO), Instant::now());
    let info = loop {
        let info = client.broker.call(&about, DEADLINE).await.unwrap();
        // Until its first statistics, a second after it started, an Apache broker fails here by an exception.
        let early = client.server == Server::Apache && info.header.code == response::SYSTEM_ERROR;
        if !early || asked.elapsed() > DEADLINE {
            break info;
        }
    };
    let info: Value = serde_json::from_slice(&info.body).unwrap();
    assert!(info["table"]["bootTimestamp"].is_string(), "{info}");
}

pub(super) async fn topics_come_and_go(client: &Client) {
    let topic = unique("gone");
    client.make_topic(&topic).await;
    check("a send", client.send(&topic, 0, b"one", b"").await.header.code, response::SUCCESS);
    client.read("g-gone", &topic, 0, 0, 1).await;
    let delete = Request::new(request::DELETE_TOPIC_IN_BROKER).with("topic", &*topic);
    let deleted = client.code(delete).await;
    if client.server == Server::Apache && deleted == response::SYSTEM_ERROR {
        // Apache 5.5.0 can't delete a topic when its timer wheel is off.
        return;
    }
    check("delete on the broker", deleted, response::SUCCESS);
    let delete = Request::new(request::DELETE_TOPIC_IN_NAMESRV).with("topic", &*topic);
    let deleted = client.names.call(&delete, DEADLINE).await.unwrap();
    check("delete on the name server", deleted.header.code, response::SUCCESS);
    check("pull of a deleted topic", client.code(pull("g", &topic, 0, 0)).await, response::TOPIC_NOT_EXIST);
    let again = client.send(&topic, 0, b"two", b"").await;
    check("a send makes it again", again.header.code, response::SUCCESS);
    check("from offset 0", again.header.fields.number("queueOffset"), Some(0));
    let bad = client.code(create_topic("no blanks allowed")).await;
    assert!(bad == response::INVALID_PARAMETER || bad == response::SYSTEM_ERROR, "topic with blanks: {bad}");
}
