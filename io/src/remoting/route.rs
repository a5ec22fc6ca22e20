//! Where a topic's queues are: the name server's answer, read leniently.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use rmqc_core::id::MessageQueue;
use serde::Deserialize;

use super::java_hash::java_hash;

/// Permission bit: queues may be read.
const PERM_READ: u32 = 4;
/// Permission bit: queues may be written.
const PERM_WRITE: u32 = 2;
/// Broker id of a master.
const MASTER: &str = "0";

/// A queue and the address of its broker's master.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueAddress {
    /// Which queue.
    pub queue: MessageQueue,
    /// Master's `host:port`.
    pub address: Rc<str>,
}

/// Route of one topic.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Route {
    /// Queues to send to: brokers by name, queue ids ascending, as the Java client lists them. A key's hash indexes
    /// this list.
    pub write_queues: Vec<QueueAddress>,
    /// Queues to read from, in the same order.
    pub read_queues: Vec<QueueAddress>,
    /// Masters: broker name and address.
    pub masters: Vec<(Arc<str>, Rc<str>)>,
    /// Queue counts by broker: name, readable, writable.
    pub counts: Vec<(Arc<str>, u32, u32)>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RouteJson {
    #[serde(default)]
    broker_datas: Vec<BrokerJson>,
    #[serde(default)]
    queue_datas: Vec<QueueJson>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BrokerJson {
    broker_name: String,
    #[serde(default)]
    broker_addrs: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct QueueJson {
    broker_name: String,
    #[serde(default)]
    read_queue_nums: u32,
    #[serde(default)]
    write_queue_nums: u32,
    #[serde(default)]
    perm: u32,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ClusterJson {
    #[serde(default)]
    broker_addr_table: BTreeMap<String, BrokerAddressesJson>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BrokerAddressesJson {
    #[serde(default)]
    cluster: Option<String>,
    #[serde(default)]
    broker_addrs: BTreeMap<String, String>,
}

/// A broker as a name server knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerSeen {
    /// Broker name.
    pub name: String,
    /// Its cluster, or empty.
    pub cluster: String,
    /// Master's `host:port`; none while only replicas are registered.
    pub master: Option<String>,
}

/// Most queues of one broker that a route is believed to have.
const QUEUES_MAX: u32 = 65_536;

/// Reads the answer of request 105.
///
/// # Errors
/// When it is not the JSON that it should be.
pub fn parse_route(topic: &Arc<str>, body: &[u8]) -> Result<Route, String> {
    let json: RouteJson = serde_json::from_slice(&strict(body)).map_err(|error| error.to_string())?;
    let masters: BTreeMap<&str, Rc<str>> = json
        .broker_datas
        .iter()
        .filter_map(|broker| Some((broker.broker_name.as_str(), Rc::from(broker.broker_addrs.get(MASTER)?.as_str()))))
        .collect();
    let mut queue_datas = json.queue_datas;
    queue_datas.sort_by(|a, b| a.broker_name.cmp(&b.broker_name));
    let mut route = Route::default();
    for data in &queue_datas {
        let broker: Arc<str> = Arc::from(data.broker_name.as_str());
        route.counts.push((broker.clone(), data.read_queue_nums, data.write_queue_nums));
        let Some(address) = masters.get(data.broker_name.as_str()) else { continue };
        route.masters.push((broker.clone(), address.clone()));
        let queues = |count: u32, perm: u32| {
            let count = if data.perm & perm == 0 { 0 } else { count.min(QUEUES_MAX) };
            let queue = |id: u32| MessageQueue {
                topic: topic.clone(),
                broker: broker.clone(),
                queue_id: i32::try_from(id).unwrap_or(i32::MAX),
            };
            (0..count).map(move |id| QueueAddress { queue: queue(id), address: address.clone() }).collect::<Vec<_>>()
        };
        route.write_queues.extend(queues(data.write_queue_nums, PERM_WRITE));
        route.read_queues.extend(queues(data.read_queue_nums, PERM_READ));
    }
    Ok(route)
}

/// Reads the masters' addresses from the answer of request 106.
///
/// # Errors
/// When it is not the JSON that it should be.
pub fn parse_masters(body: &[u8]) -> Result<Vec<(String, String)>, String> {
    let json: ClusterJson = serde_json::from_slice(&strict(body)).map_err(|error| error.to_string())?;
    let master = |(name, broker): (String, BrokerAddressesJson)| Some((name, broker.broker_addrs.get(MASTER)?.clone()));
    Ok(json.broker_addr_table.into_iter().filter_map(master).collect())
}

/// Reads all brokers, by name, from the answer of request 106.
///
/// # Errors
/// When it is not the JSON that it should be.
pub fn parse_brokers(body: &[u8]) -> Result<Vec<BrokerSeen>, String> {
    let json: ClusterJson = serde_json::from_slice(&strict(body)).map_err(|error| error.to_string())?;
    let seen = |(name, broker): (String, BrokerAddressesJson)| BrokerSeen {
        name,
        cluster: broker.cluster.unwrap_or_default(),
        master: broker.broker_addrs.get(MASTER).cloned(),
    };
    Ok(json.broker_addr_table.into_iter().map(seen).collect())
}

/// Turns the Java side's lenient JSON into strict JSON: puts quotes around integer keys.
fn strict(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len().saturating_add(16));
    let mut in_text = false;
    let mut escaped = false;
    let mut key_may_follow = false;
    let mut rest = body;
    while let Some((byte, tail)) = rest.split_first() {
        if in_text {
            in_text = escaped || *byte != b'"';
            escaped = !escaped && *byte == b'\\';
        } else if key_may_follow && (byte.is_ascii_digit() || *byte == b'-') {
            let digits = rest.iter().position(|byte| !byte.is_ascii_digit() && *byte != b'-').unwrap_or(rest.len());
            let (number, after) = rest.split_at(digits);
            let is_key = after.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b':');
            if is_key {
                out.push(b'"');
                out.extend_from_slice(number);
                out.push(b'"');
            } else {
                out.extend_from_slice(number);
            }
            key_may_follow = false;
            rest = after;
            continue;
        } else {
            in_text = *byte == b'"';
            key_may_follow = matches!(byte, b'{' | b',') || (key_may_follow && byte.is_ascii_whitespace());
        }
        out.push(*byte);
        rest = tail;
    }
    out
}

/// Index into the write queues for a key: the Java client's selector by hash.
#[must_use]
pub fn queue_index(key: &str, queues: usize) -> usize {
    let hash = java_hash(key);
    let Ok(count) = i32::try_from(queues) else { return 0 };
    if count == 0 {
        return 0;
    }
    usize::try_from((hash % count).unsigned_abs()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn java_hash_vectors() {
        let cases = [
            ("abc", 8, 2),
            ("abc", 3, 0),
            ("order-1", 8, 6),
            ("order-1", 3, 2),
            ("order-2", 8, 5),
            ("polygenelubricants", 8, 0),
        ];
        for (key, queues, index) in cases {
            assert_eq!(queue_index(key, queues), index, "{key} of {queues}");
        }
        assert_eq!(queue_index("x", 0), 0);
    }

    #[test]
    fn routes_list_masters_queues_by_broker_name() {
        let body = br#"{"brokerDatas":[{"brokerAddrs":{0:"127.0.0.1:2",1:"127.0.0.1:3"},"brokerName":"b","cluster":"c"},
            {"brokerAddrs":{"0":"127.0.0.1:1"},"brokerName":"a"},{"brokerAddrs":{"1":"x"},"brokerName":"z"}],"filterServerTable":{},
            "queueDatas":[{"brokerName":"b","perm":6,"readQueueNums":1,"writeQueueNums":2,"topicSysFlag":0},
            {"brokerName":"a","perm":4,"readQueueNums":1,"writeQueueNums":1},{"brokerName":"z","perm":6,"readQueueNums":4,"writeQueueNums":4}]}"#;
        let route = parse_route(&Arc::from("t"), body).unwrap();
        let shown =
            |queues: &[QueueAddress]| queues.iter().map(|q| format!("{}={}", q.queue, q.address)).collect::<Vec<_>>();
        assert_eq!(shown(&route.write_queues), ["t@b:0=127.0.0.1:2", "t@b:1=127.0.0.1:2"]);
        assert_eq!(shown(&route.read_queues), ["t@a:0=127.0.0.1:1", "t@b:0=127.0.0.1:2"]);
    }

    #[test]
    fn integer_keys_get_quotes_and_nothing_else_does() {
        let lenient = br#"{0:"a{1:b",  -1 : [1,2,{3:4}],"k":5, "e\"{7:":8}"#;
        assert_eq!(strict(lenient), br#"{"0":"a{1:b",  "-1" : [1,2,{"3":4}],"k":5, "e\"{7:":8}"#);
        let masters = parse_masters(br#"{"brokerAddrTable":{"broker-a":{"brokerAddrs":{0:"127.0.0.1:10911"},"brokerName":"broker-a"}},"clusterAddrTable":{"c":["broker-a"]}}"#);
        assert_eq!(masters.unwrap(), [("broker-a".to_owned(), "127.0.0.1:10911".to_owned())]);
        let brokers = parse_brokers(br#"{"brokerAddrTable":{"b":{"brokerAddrs":{1:"127.0.0.1:9"},"cluster":"c"}}}"#);
        let replica_only = BrokerSeen { name: "b".to_owned(), cluster: "c".to_owned(), master: None };
        assert_eq!(brokers.unwrap(), [replica_only]);
    }
}
