//! Messages one by one, in batches, without an answer, and those that must be refused.

use bytes::{Bytes, BytesMut};
use rmqc_io::remoting::code::response;
use rmqc_io::remoting::connection::Request;
use rmqc_io::remoting::message::{body_crc, messages_of_topics, put_item_head, put_item_tail};
use rmqc_io::remoting::properties;

use super::{Client, QUEUES, batch, check, now_ms, pull, send, unique};

pub(super) async fn single_sends(client: &Client) {
    let topic = unique("single");
    client.make_topic(&topic).await;
    let before = now_ms();
    let sent = client.send(&topic, 2, b"Hello", b"TAGS\x01t\x02empty\x01\x02connect.timestamp\x0112\x02").await;
    check("send", sent.header.code, response::SUCCESS);
    let fields = &sent.header.fields;
    check("queue and offset", (fields.number("queueId"), fields.number("queueOffset")), (Some(2), Some(0)));
    check(
        "region and trace",
        (fields.get("MSG_REGION"), fields.get("TRACE_ON")),
        (Some("DefaultRegion"), Some("true")),
    );
    let read = client.read("g-single", &topic, 2, 0, 1).await;
    let message = &read[0];
    check("body", &message.body[..], b"Hello");
    let again = client.call(pull("g-single", &topic, 2, 0)).await;
    let (_, named) = messages_of_topics(again.body).next().unwrap().unwrap();
    check("topic", &named[..], topic.as_bytes());
    check("checksum", message.body_crc, body_crc(b"Hello"));
    check("flag and times", (message.flag, message.born_ms), (77, 1_700_000_000_000));
    assert!(message.store_ms >= before - 1_000, "store time {}", message.store_ms);
    check("message id", Some(&*message.offset_message_id()), fields.get("msgId"));
    let property = |name| properties::find(&message.properties, name);
    check("a property", property("connect.timestamp"), Some(&b"12"[..]));
    check("an empty one", property("empty"), None);
    check("CLUSTER", property("CLUSTER"), Some(&b"DefaultCluster"[..]));
    check("TRACE_ON", property("TRACE_ON"), Some(&b"true"[..]));
    check("UNIQ_KEY", property("UNIQ_KEY"), fields.get("transactionId").map(str::as_bytes));
    let kept = client.send(&topic, 2, b"x", b"UNIQ_KEY\x017F00000100002A9F00000000000004D2\x02").await;
    check("own UNIQ_KEY", kept.header.fields.get("transactionId"), Some("7F00000100002A9F00000000000004D2"));
    let chosen = client.send(&topic, -1, b"x", b"").await;
    assert!((0..QUEUES).contains(&chosen.header.fields.number("queueId").unwrap()), "{:?}", chosen.header);
}

pub(super) async fn refused_sends(client: &Client) {
    let topic = unique("refused");
    client.make_topic(&topic).await;
    check("empty body", client.send(&topic, 0, b"", b"").await.header.code, response::SYSTEM_ERROR);
    let beyond = client.send(&topic, QUEUES, b"x", b"").await;
    check("queue beyond the last", beyond.header.code, response::INVALID_PARAMETER);
    let long = "t".repeat(128);
    check("long topic", client.send(&long, 0, b"x", b"").await.header.code, response::INVALID_PARAMETER);
    let mut large = b"k\x01".to_vec();
    large.resize(32_760, b'v');
    let refused = client.send(&topic, 0, b"x", &large).await;
    check("long properties", refused.header.code, response::MESSAGE_ILLEGAL);
    let body = Bytes::from(vec![b'x'; 4 * 1024 * 1024 + 1]);
    let refused = client.call(send(&topic, 0, b"").with_body(body)).await;
    check("body over 4 MiB", refused.header.code, response::MESSAGE_ILLEGAL);
    let body = Bytes::from(vec![b'x'; 4 * 1024 * 1024]);
    check("body of 4 MiB", client.code(send(&topic, 0, b"").with_body(body)).await, response::SUCCESS);
    check("nothing but that is there", client.read("g-refused", &topic, 0, 0, 1).await.len(), 1);
}

pub(super) async fn batches(client: &Client) {
    let topic = unique("batch");
    client.make_topic(&topic).await;
    let items: Vec<_> = (0..500)
        .map(|number| {
            let body = if number == 7 { Vec::new() } else { format!("body {number}").into_bytes() };
            let properties = if number == 9 { Vec::new() } else { format!("n\x01{number}\x02e\x01\x02").into_bytes() };
            (body, properties)
        })
        .collect();
    let first = client.send_batch(&topic, 1, &items).await;
    check("batch", (first.header.code, first.header.fields.number("queueOffset")), (0, Some(0)));
    let ids = first.header.fields.get("msgId").unwrap().split(',').count();
    check("a message id for each", ids, items.len());
    let second = client.send_batch(&topic, 1, &items[..3]).await;
    check("the next batch follows", second.header.fields.number("queueOffset"), Some(500));
    let read = client.read("g-batch", &topic, 1, 0, 503).await;
    check("messages", read.len(), 503);
    for (at, (message, (body, properties))) in read.iter().zip(items.iter().chain(&items[..3])).enumerate() {
        check("offset", message.queue_offset, at as i64);
        check("body", &message.body[..], &body[..]);
        check("properties as sent", &message.properties[..], &properties[..]);
        check("checksum", message.body_crc, body_crc(body));
    }
    // From the middle of a run of messages.
    let (middle, _) = client.pull_found(|| pull("g-batch", &topic, 1, 321)).await;
    check("the offset asked for", middle[0].queue_offset, 321);
    let few = Request { fields: Vec::new(), ..pull("g-batch", &topic, 1, 0) };
    let few = pull("g-batch", &topic, 1, 100)
        .fields
        .into_iter()
        .fold(few, |few, (name, value)| if name == "maxMsgNums" { few.with(name, 3) } else { few.with(name, value) });
    let (three, next) = client.pull_found(|| few.clone()).await;
    check("no more than asked", (three.len(), next), (3, 103));
}

pub(super) async fn malformed_batches_store_nothing(client: &Client) {
    let topic = unique("malformed");
    client.make_topic(&topic).await;
    let mut body = BytesMut::new();
    put_item_head(&mut body, 4, 0);
    body.extend_from_slice(b"good");
    put_item_tail(&mut body, b"");
    put_item_head(&mut body, 4_000_000, 0);
    body.extend_from_slice(b"cut");
    check("malformed", client.code(batch(&topic, 0).with_body(body.freeze())).await, response::SYSTEM_ERROR);
    let next = client.send_batch(&topic, 0, &[(b"next".to_vec(), Vec::new())]).await;
    check("nothing of it was stored", next.header.fields.number("queueOffset"), Some(0));
    let much = Bytes::from(vec![0; 4 * 1024 * 1024 + 1]);
    check("over 4 MiB", client.code(batch(&topic, 0).with_body(much)).await, response::SYSTEM_ERROR);
}

pub(super) async fn oneway_sends(client: &Client) {
    let topic = unique("oneway");
    client.make_topic(&topic).await;
    for _ in 0..10 {
        client.broker.send_oneway(&send(&topic, 0, b"").with_body(Bytes::from_static(b"m")));
    }
    check("all stored", client.read("g-oneway", &topic, 0, 0, 10).await.len(), 10);
}
