//! `--write`: on each master a topic of its own is made, a message written, read back, and the topic removed again.

use rmqc_io::remoting::code::{request, response};
use rmqc_io::remoting::connection::Request;
use rmqc_io::remoting::message::messages;

use super::brokers::{judge_clock, now_ms};
use super::finding::Finding;
use super::remote::{Manner, Peer, Trouble};

const CHECK: &str = "write";
/// Bits of a pull that needs neither group nor heartbeat: the subscription is in the request.
const PULL_FLAGS: i32 = 4;

/// Which step failed, and how.
struct Failed(&'static str, Trouble);

/// Tries one master.
pub(crate) fn look(address: &str, [name_server, cluster]: [&str; 2], group: &str, manner: &Manner) -> Vec<Finding> {
    let topic = format!("rmqc-fast-doctor-{}-{}", std::process::id(), now_ms());
    let mut broker = match Peer::open(address, manner) {
        Ok(broker) => broker,
        Err(trouble) => return vec![failed(address, &Failed("connect", trouble))],
    };
    let tried = try_out(&mut broker, &topic, group);
    let mut findings = match tried {
        Ok((store_ms, asked_ms)) => {
            vec![
                Finding::ok(CHECK, address, "a topic was made, a message written and read back"),
                judge_clock(address, [store_ms, store_ms], asked_ms),
            ]
        }
        Err(step) => vec![failed(address, &step)],
    };
    // Whatever happened: what was made is removed.
    if let Err(trouble) = remove(&mut broker, &topic, address, name_server, manner) {
        let remedy = format!("mqadmin deleteTopic -n {name_server} -c {cluster} -t {topic}");
        findings.push(Finding::warn(
            CHECK,
            address,
            format!("topic {topic} could not be removed: {}", trouble.told()),
            remedy,
        ));
    }
    findings
}

fn try_out(broker: &mut Peer, topic: &str, group: &str) -> Result<(i64, [i64; 2]), Failed> {
    let step = |name| move |trouble| Failed(name, trouble);
    let create = Request::new(request::UPDATE_AND_CREATE_TOPIC)
        .with("topic", topic)
        .with("defaultTopic", "TBW102")
        .with("readQueueNums", 1)
        .with("writeQueueNums", 1)
        .with("perm", 6)
        .with("topicFilterType", "SINGLE_TAG")
        .with("topicSysFlag", 0)
        .with("order", "false");
    broker.ask(&create).map_err(step("make a topic"))?;
    let begin = now_ms();
    let send = Request::new(request::SEND_MESSAGE_V2)
        .with("a", group)
        .with("b", topic)
        .with("c", "TBW102")
        .with("d", 1)
        .with("e", 0)
        .with("f", 0)
        .with("g", begin)
        .with("h", 0)
        .with("i", "")
        .with_body("rmqc-fast doctor");
    broker.ask(&send).map_err(step("write a message"))?;
    let asked_ms = [begin, now_ms()];
    Ok((read_back(broker, topic, group).map_err(step("read the message back"))?, asked_ms))
}

/// Reads the message and gives the time at which it was stored, in ms since 1970.
fn read_back(broker: &mut Peer, topic: &str, group: &str) -> Result<i64, Trouble> {
    const TRIES: u32 = 20;
    let mut last = Trouble::Odd("the message is not there".to_owned());
    for attempt in 0..TRIES {
        let pull = Request::new(request::PULL_MESSAGE)
            .with("consumerGroup", group)
            .with("topic", topic)
            .with("queueId", 0)
            .with("queueOffset", 0)
            .with("maxMsgNums", 1)
            .with("sysFlag", PULL_FLAGS)
            .with("commitOffset", 0)
            .with("suspendTimeoutMillis", 0)
            .with("subscription", "*")
            .with("subVersion", now_ms())
            .with("expressionType", "TAG");
        match broker.ask(&pull) {
            Ok(answer) => match messages(answer.body).next() {
                Some(Ok(message)) => return Ok(message.store_ms),
                Some(Err(error)) => return Err(Trouble::Odd(error.to_string())),
                None => {}
            },
            // A queue's index is built a moment after the message was confirmed.
            Err(trouble @ Trouble::Refused(17..=21, _)) => last = trouble,
            Err(trouble) => return Err(trouble),
        }
        std::thread::sleep(std::time::Duration::from_millis(u64::from(attempt)));
    }
    Err(last)
}

/// Removes the topic from the broker and from the name server.
fn remove(broker: &mut Peer, topic: &str, address: &str, name_server: &str, manner: &Manner) -> Result<(), Trouble> {
    let in_broker = Request::new(request::DELETE_TOPIC_IN_BROKER).with("topic", topic);
    let removed = match broker.ask(&in_broker) {
        // The connection may have broken in a step before.
        Err(Trouble::Odd(_)) => Peer::open(address, manner)?.ask(&in_broker),
        answer => answer,
    };
    if let Err(trouble) = removed {
        // Brokers without delayed messages remove the topic and then stumble over these: the topic itself is asked for.
        let asked = Request::new(request::GET_TOPIC_CONFIG).with("topic", topic);
        if !matches!(broker.ask(&asked), Err(Trouble::Refused(response::TOPIC_NOT_EXIST, _))) {
            return Err(trouble);
        }
    }
    let in_server = Request::new(request::DELETE_TOPIC_IN_NAMESRV).with("topic", topic);
    Peer::open(name_server, manner)?.ask(&in_server).map(drop)
}

fn failed(address: &str, Failed(step, trouble): &Failed) -> Finding {
    let remedy = if trouble.is_denied() {
        "set aclEnable=true, accessKey and secretKey to an account that may make topics, or make the connectors' topics \
         by hand and set autoCreateTopicEnable=false"
            .to_owned()
    } else if matches!(trouble, Trouble::Refused(14, _)) {
        format!("free space on the broker's disk; mqadmin updateBrokerConfig -b {address} -k brokerPermission -v 6")
    } else {
        format!("see the log of the broker at {address} (logs/rocketmqlogs/broker.log)")
    };
    Finding::fail(CHECK, address, format!("cannot {step}: it {}", trouble.told()), remedy)
}
