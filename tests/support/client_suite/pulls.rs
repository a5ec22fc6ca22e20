//! What a pull gives: ends of queues, filters, and pulls that wait.

use std::time::{Duration, Instant};

use rmqc_io::remoting::code::{request, response};
use rmqc_io::remoting::connection::Request;
use rmqc_io::remoting::message::messages;

use super::{Client, DEADLINE, Server, check, now_ms, pull, pull_with, unique};

pub(super) async fn ends_of_queues(client: &Client) {
    let topic = unique("ends");
    client.make_topic(&topic).await;
    check("an empty queue", client.code(pull("g-ends", &topic, 3, 0)).await, response::PULL_NOT_FOUND);
    for _ in 0..3 {
        client.send(&topic, 3, b"m", b"").await;
    }
    client.read("g-ends", &topic, 3, 0, 3).await;
    let at_end = client.call(pull("g-ends", &topic, 3, 3)).await;
    let fields = &at_end.header.fields;
    check("the end", at_end.header.code, response::PULL_NOT_FOUND);
    check("ends told", (fields.number("minOffset"), fields.number("maxOffset")), (Some(0), Some(3)));
    let beyond = client.call(pull("g-ends", &topic, 3, 5)).await;
    check("beyond the end", beyond.header.code, response::PULL_OFFSET_MOVED);
    check("where to go on", beyond.header.fields.number("nextBeginOffset"), Some(3));
    check("lite pull", client.code(Request { code: 361, ..pull("g-ends", &topic, 3, 0) }).await, response::SUCCESS);
    let of_queue = |code| Request::new(code).with("topic", &*topic).with("queueId", 3);
    for (code, field, expected) in [(request::GET_MAX_OFFSET, "offset", 3), (request::GET_MIN_OFFSET, "offset", 0)] {
        check("end", client.call(of_queue(code)).await.header.fields.number(field), Some(expected));
    }
    let first = client.call(of_queue(request::GET_EARLIEST_MSG_STORETIME)).await;
    let first = first.header.fields.number("timestamp").unwrap();
    assert!((now_ms() - first).abs() < 60_000, "{first}");
    for (time, expected) in [(first - 10_000, 0), (now_ms() + 60_000, 3)] {
        let search = of_queue(request::SEARCH_OFFSET_BY_TIMESTAMP).with("timestamp", time);
        let found = client.call(search).await.header.fields.number("offset").unwrap();
        // An Apache broker gives the last message for times behind it, ours the end.
        assert!(found == expected || (client.server == Server::Apache && found == expected - 1), "{time}: {found}");
    }
}

pub(super) async fn filters(client: &Client) {
    let topic = unique("filter");
    client.make_topic(&topic).await;
    for tag in ["a", "b", "c", "a"] {
        client.send(&topic, 0, b"m", format!("TAGS\x01{tag}\x02").as_bytes()).await;
    }
    client.read("g-filter", &topic, 0, 0, 4).await;
    for tags in ["a||b", "a || b"] {
        let (found, next) = client.pull_found(|| pull_with("g-filter", &topic, 0, 0, 4, tags)).await;
        let offsets: Vec<_> = found.iter().map(|message| message.queue_offset).collect();
        check(tags, (offsets, next), (vec![0, 1, 3], 4));
    }
    let none = client.call(pull_with("g-filter", &topic, 0, 0, 4, "other")).await;
    check("no match", none.header.code, response::PULL_RETRY_IMMEDIATELY);
    check("where to go on", none.header.fields.number("nextBeginOffset"), Some(4));
}

pub(super) async fn long_poll_wakes(client: &Client) {
    let topic = unique("poll");
    client.make_topic(&topic).await;
    client.send(&topic, 0, b"first", b"").await;
    client.read("g-poll", &topic, 0, 0, 1).await;
    let waiting = client.broker.call(&pull_with("g-poll", &topic, 0, 1, 6, "*"), DEADLINE);
    // The answer to a later request shows that the pull has arrived; a moment more, that it waits.
    let other = client.call(pull("g-poll", &topic, 1, 0)).await;
    check("another queue", other.header.code, response::PULL_NOT_FOUND);
    let sent = Instant::now();
    check("send", client.send(&topic, 0, b"second", b"").await.header.code, response::SUCCESS);
    let woken = waiting.await.unwrap();
    check("woken", woken.header.code, response::SUCCESS);
    let message = messages(woken.body).next().unwrap().unwrap();
    check("by the message", &message.body[..], b"second");
    let limit = if client.server == Server::Embedded { 500 } else { 5_000 };
    assert!(sent.elapsed() < Duration::from_millis(limit), "woken after {:?}", sent.elapsed());
}

pub(super) async fn long_poll_ends(client: &Client) {
    let topic = unique("poll-end");
    client.make_topic(&topic).await;
    let started = Instant::now();
    let mut request = pull_with("g-poll-end", &topic, 0, 0, 6, "*");
    for (name, value) in &mut request.fields {
        if *name == "suspendTimeoutMillis" {
            *value = 300.into();
        }
    }
    let ended = client.call(request).await;
    check("nothing came", ended.header.code, response::PULL_NOT_FOUND);
    let limit = if client.server == Server::Embedded { 2_000 } else { 8_000 };
    let took = started.elapsed();
    assert!(took >= Duration::from_millis(300) && took < Duration::from_millis(limit), "{took:?}");
}
