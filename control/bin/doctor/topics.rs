//! Each topic that a connector needs: whether it exists, may be read or written, and whether the group has its rights.

use std::collections::BTreeMap;
use std::sync::Arc;

use rmqc_io::remoting::code::{request, response};
use rmqc_io::remoting::connection::Request;
use rmqc_io::remoting::route::{Route, parse_route};

use super::connectors::{Role, Wanted};
use super::finding::Finding;
use super::remote::{Manner, Peer, Trouble};

const CHECK: &str = "topic";
/// Most topics that are looked at.
const TOPICS_MAX: usize = 1_000;

/// What decides about a topic that is not there.
pub(crate) struct Surroundings<'s> {
    /// A name server that answers.
    pub name_server: &'s str,
    /// Name of the cluster, for the remedies.
    pub cluster: &'s str,
    /// Whether the worker makes missing topics.
    pub auto_create: bool,
    /// Topics that sources write to.
    pub filled: Vec<&'s str>,
    /// Masters that can be reached.
    pub masters: &'s [String],
}

/// Looks at all topics.
pub(crate) fn look(wanted: &[Wanted], around: &Surroundings<'_>, manner: &Manner) -> Vec<Finding> {
    if wanted.is_empty() {
        return Vec::new();
    }
    let mut server = match Peer::open(around.name_server, manner) {
        Ok(server) => server,
        // It answered a moment ago.
        Err(trouble) => return vec![gone(around.name_server, &trouble)],
    };
    let mut brokers = Brokers { manner, open: BTreeMap::new() };
    let mut findings = Vec::new();
    for one in wanted.iter().take(TOPICS_MAX) {
        match route(&mut server, &one.topic) {
            Ok(route) => {
                findings.extend(judge(one, route.as_ref(), around));
                let address = route.as_ref().and_then(|route| route.masters.first()).map(|(_, address)| &**address);
                let reached = address.filter(|address| around.masters.iter().any(|master| master == address));
                findings.extend(reached.and_then(|address| rights(one, address, &mut brokers)));
            }
            Err(trouble @ Trouble::Refused(..)) => {
                let remedy = "set aclEnable=true, accessKey and secretKey to an account that may see the topic";
                findings.push(Finding::fail(CHECK, &one.topic, trouble.told(), remedy));
            }
            Err(trouble) => {
                findings.push(gone(around.name_server, &trouble));
                break;
            }
        }
    }
    if wanted.len() > TOPICS_MAX {
        let found = format!("{} topics are wanted, {TOPICS_MAX} were looked at", wanted.len());
        findings.push(Finding::warn(CHECK, around.name_server, found, "look at the others with --connector FILE"));
    }
    findings
}

fn gone(server: &str, trouble: &Trouble) -> Finding {
    let remedy = "restart the name server, or see whether it is overloaded";
    Finding::fail(CHECK, server, format!("no topic can be looked up: it {}", trouble.told()), remedy)
}

fn route(server: &mut Peer, topic: &str) -> Result<Option<Route>, Trouble> {
    let asked =
        Request::new(request::GET_ROUTEINFO_BY_TOPIC).with("topic", topic).with("acceptStandardJsonOnly", "true");
    match server.ask(&asked) {
        Ok(answer) => parse_route(&Arc::from(topic), &answer.body).map(Some).map_err(Trouble::Odd),
        Err(Trouble::Refused(response::TOPIC_NOT_EXIST, _)) => Ok(None),
        Err(trouble) => Err(trouble),
    }
}

fn judge(one: &Wanted, route: Option<&Route>, around: &Surroundings<'_>) -> Vec<Finding> {
    let looked_at = format!("{} of {}", one.topic, one.connector);
    let admin = |rest: String| {
        format!("mqadmin updateTopic -n {} -c {} -t {} {rest}", around.name_server, around.cluster, one.topic)
    };
    let Some(route) = route else {
        return vec![missing(one, looked_at, around, &admin("-r 16 -w 16 -p 6".to_owned()))];
    };
    let (read, write) = (route.read_queues.len(), route.write_queues.len());
    let counts = format!("{read} queues to read, {write} to write");
    let usable = if one.role == Role::Sink { read } else { write };
    let mut findings = vec![if usable == 0 {
        let verb = if one.role == Role::Sink { "read" } else { "written to" };
        let remedy = format!("{} (and brokerPermission=6 on its brokers)", admin("-p 6".to_owned()));
        Finding::fail(CHECK, &looked_at, format!("no queue may be {verb}: {counts}"), remedy)
    } else {
        Finding::ok(CHECK, &looked_at, counts.clone())
    }];
    if one.role == Role::Sink && usable > 0 {
        if read < write {
            let found = format!("messages in some queues are never read: {counts}");
            findings.push(Finding::warn(CHECK, &looked_at, found, admin(format!("-r {write} -w {write}"))));
        } else if one.tasks > read {
            let found = format!("{} tasks share {read} queues, so some have nothing to do", one.tasks);
            findings.push(Finding::warn(
                CHECK,
                &looked_at,
                found,
                format!("set max.tasks={read}, or {}", admin(format!("-r {0} -w {0}", one.tasks))),
            ));
        }
    }
    findings
}

fn missing(one: &Wanted, looked_at: String, around: &Surroundings<'_>, create: &str) -> Finding {
    match (one.role, around.auto_create) {
        (Role::DeadLetters, _) => Finding::ok(CHECK, looked_at, "is not there; it is made with the first dead letter"),
        (Role::Source, true) => {
            Finding::ok(CHECK, looked_at, "is not there; it is made with the first record (autoCreateTopicEnable=true)")
        }
        (Role::Source, false) => {
            let found = "does not exist, and autoCreateTopicEnable=false, so the task fails";
            Finding::fail(CHECK, looked_at, found, format!("{create}, or set autoCreateTopicEnable=true"))
        }
        (Role::Sink, true) if around.filled.contains(&one.topic.as_str()) => {
            Finding::ok(CHECK, looked_at, "is not there; it is made with the first record of the source that fills it")
        }
        (Role::Sink, _) => {
            let found = "does not exist, so there is nothing to read until somebody makes it";
            Finding::warn(CHECK, looked_at, found, create)
        }
    }
}

/// Connections to brokers, opened when one is needed.
struct Brokers<'m> {
    manner: &'m Manner,
    open: BTreeMap<String, Option<Peer>>,
}

impl Brokers<'_> {
    fn ask(&mut self, address: &str, asked: &Request) -> Option<Result<(), Trouble>> {
        let manner = self.manner;
        let peer = self.open.entry(address.to_owned()).or_insert_with(|| Peer::open(address, manner).ok());
        let answer = peer.as_mut()?.ask(asked).map(drop);
        if matches!(answer, Err(Trouble::Silent(_) | Trouble::Odd(_))) {
            *peer = None;
        }
        Some(answer)
    }
}

/// Whether the broker lets this account look at the topic and, for a sink, at its group.
fn rights(one: &Wanted, address: &str, brokers: &mut Brokers<'_>) -> Option<Finding> {
    let (asked, subject, action) = match one.role {
        Role::Sink => {
            let asked = Request::new(request::QUERY_CONSUMER_OFFSET)
                .with("consumerGroup", &*one.group)
                .with("topic", &*one.topic)
                .with("queueId", 0)
                .with("setZeroIfNotFound", "false");
            (asked, format!("group {} on topic {}", one.group, one.topic), "Sub")
        }
        Role::Source | Role::DeadLetters => {
            let asked = Request::new(request::GET_MAX_OFFSET).with("topic", &*one.topic).with("queueId", 0);
            (asked, format!("topic {}", one.topic), "Pub")
        }
    };
    let trouble = brokers.ask(address, &asked)?.err();
    let Some(trouble) = trouble.filter(|trouble| !matches!(trouble, Trouble::Refused(response::QUERY_NOT_FOUND, _)))
    else {
        return Some(Finding::ok("rights", subject, format!("{address} answers")));
    };
    let found = format!("{address} {}", trouble.told());
    if !trouble.is_denied() {
        return Some(Finding::warn("rights", subject, found, format!("see the log of the broker at {address}")));
    }
    let group = if one.role == Role::Sink { format!(",Group:{}", one.group) } else { String::new() };
    let remedy = format!(
        "mqadmin createAcl -b {address} -s User:ACCESSKEY -r Topic:{}{group} -a {action},Get -d Allow (in plain_acl.yml: \
         topicPerms and groupPerms), or set aclEnable=true, accessKey and secretKey to an account that has the right",
        one.topic
    );
    Some(Finding::fail("rights", subject, found, remedy))
}

#[cfg(test)]
mod tests {
    use super::super::finding::Status;
    use super::*;

    fn route_of(read: u32, write: u32, perm: u32) -> Route {
        let body = format!(
            r#"{{"brokerDatas":[{{"brokerName":"b","brokerAddrs":{{"0":"b:1"}}}}],
            "queueDatas":[{{"brokerName":"b","readQueueNums":{read},"writeQueueNums":{write},"perm":{perm}}}]}}"#
        );
        parse_route(&Arc::from("t"), body.as_bytes()).unwrap()
    }

    #[track_caller]
    fn check(role: Role, route: Option<Route>, auto_create: bool, status: Status, says: &str) {
        let around = Surroundings { name_server: "n:1", cluster: "c", auto_create, filled: vec!["u"], masters: &[] };
        let wanted = Wanted { connector: "x".to_owned(), topic: "t".to_owned(), role, group: "g".to_owned(), tasks: 4 };
        let findings = judge(&wanted, route.as_ref(), &around);
        let worst = findings.iter().max_by_key(|finding| finding.status).unwrap();
        assert_eq!(worst.status, status, "{worst:?}");
        assert!(format!("{worst:?}").contains(says), "{worst:?}");
    }

    #[test]
    fn topics_are_judged_by_what_they_are_for() {
        use Role::{DeadLetters, Sink, Source};
        check(Source, None, false, Status::Fail, "mqadmin updateTopic -n n:1 -c c -t t -r 16 -w 16");
        check(Source, None, true, Status::Ok, "is made");
        check(Sink, None, true, Status::Warn, "mqadmin updateTopic");
        check(DeadLetters, None, false, Status::Ok, "dead letter");
        check(Source, Some(route_of(4, 4, 6)), true, Status::Ok, "4 to write");
        check(Source, Some(route_of(4, 4, 4)), true, Status::Fail, "-p 6");
        check(Sink, Some(route_of(4, 4, 2)), true, Status::Fail, "may be read");
        check(Sink, Some(route_of(4, 8, 6)), true, Status::Warn, "-r 8 -w 8");
        check(Sink, Some(route_of(2, 2, 6)), true, Status::Warn, "max.tasks=2");
    }
}
