//! Each name server: whether it resolves, connects, answers, and which brokers it knows.

use std::time::Instant;

use rmqc_core::config::worker::{ClusterAddress, WorkerConfig};
use rmqc_io::remoting::code::request;
use rmqc_io::remoting::connection::Request;
use rmqc_io::remoting::route::{BrokerSeen, parse_brokers};

use super::finding::{Finding, Status};
use super::pace::Pending;
use super::remote::{Manner, Peer, Trouble};

const CHECK: &str = "name server";
/// Time beyond all limits of the steps that one server may take.
const SPARE: std::time::Duration = std::time::Duration::from_secs(60);

/// What the name servers say.
#[derive(Debug, Default)]
pub(crate) struct Known {
    /// A name server that answers; none when none does.
    pub server: Option<String>,
    /// The brokers that it knows.
    pub brokers: Vec<BrokerSeen>,
}

/// What one of them said, and after how many ms.
type Said = Result<(Vec<BrokerSeen>, u128), Trouble>;

/// Asks all name servers at once.
pub(crate) fn look(config: &WorkerConfig, manner: &Manner) -> (Vec<Finding>, Known) {
    let ClusterAddress::NameServers(addresses) = &config.cluster else {
        let found = "a broker inside the worker is used: for trying and testing, never for production";
        let remedy = "set namesrvAddr=HOST:9876 to your name server for anything but a trial";
        return (vec![Finding::warn(CHECK, "namesrvAddr=embedded", found, remedy)], Known::default());
    };
    let asked: Vec<(String, Pending<Said>)> = addresses
        .iter()
        .map(|address| {
            let (asked, manner) = (address.clone(), manner.clone());
            (address.clone(), Pending::start(move || ask(&asked, &manner)))
        })
        .collect();
    let late = || Trouble::Silent(manner.deadline.step(SPARE).as_millis());
    let said: Vec<(String, Said)> = asked
        .into_iter()
        .map(|(address, pending)| (address, pending.wait(manner.deadline.step(SPARE)).unwrap_or_else(|| Err(late()))))
        .collect();
    judge(said)
}

fn ask(address: &str, manner: &Manner) -> Said {
    let begin = Instant::now();
    let mut peer = Peer::open(address, manner)?;
    let answer = peer.ask(&Request::new(request::GET_BROKER_CLUSTER_INFO))?;
    let brokers = parse_brokers(&answer.body).map_err(Trouble::Odd)?;
    Ok((brokers, begin.elapsed().as_millis()))
}

fn judge(said: Vec<(String, Said)>) -> (Vec<Finding>, Known) {
    let some_answer = said.iter().any(|(_, said)| said.is_ok());
    let (mut findings, mut known) = (Vec::new(), Known::default());
    for (address, said) in said {
        match said {
            Err(trouble) => {
                // The others stand in for it.
                let status = if some_answer { Status::Warn } else { Status::Fail };
                let finding = Finding::fail(CHECK, &address, trouble.told(), remedy(&address, &trouble));
                findings.push(Finding { status, ..finding });
            }
            Ok((brokers, ms)) => {
                let found = format!("answers after {ms} ms; brokers known: {}", brokers.len());
                match &known.server {
                    Some(first) if !same(&known.brokers, &brokers) => {
                        let found = format!("{found}, others than {first} knows");
                        let remedy =
                            "name all name servers in namesrvAddr of every broker, and restart those that lack one";
                        findings.push(Finding::warn(CHECK, &address, found, remedy));
                    }
                    Some(_) => findings.push(Finding::ok(CHECK, &address, found)),
                    None => {
                        findings.push(Finding::ok(CHECK, &address, found));
                        known = Known { server: Some(address), brokers };
                    }
                }
            }
        }
    }
    if known.server.is_some() && known.brokers.is_empty() {
        let server = known.server.clone().unwrap_or_default();
        let remedy = format!("start a broker that registers there: sh bin/mqbroker -n {server}");
        findings.push(Finding::fail("broker", server, "the name server knows no broker", remedy));
    }
    (findings, known)
}

fn same(one: &[BrokerSeen], other: &[BrokerSeen]) -> bool {
    one.len() == other.len() && one.iter().all(|broker| other.contains(broker))
}

fn remedy(address: &str, trouble: &Trouble) -> String {
    match trouble {
        Trouble::Unresolved(_) => {
            format!("correct namesrvAddr, or let the name resolve (getent hosts {})", host(address))
        }
        Trouble::Unreachable(_) => format!(
            "start the name server there (sh bin/mqnamesrv), correct namesrvAddr, or open the firewall for {address}"
        ),
        Trouble::Silent(_) => format!(
            "restart the name server (sh bin/mqshutdown namesrv; sh bin/mqnamesrv): it hangs, or {address} is something else; then \
             correct namesrvAddr"
        ),
        Trouble::Odd(_) => "correct namesrvAddr: the port is a name server's, 9876 unless it was changed".to_owned(),
        Trouble::Refused(3, _) => {
            "correct namesrvAddr: this is a broker's port; the name server's is 9876 unless it was changed".to_owned()
        }
        Trouble::Refused(..) => {
            "set aclEnable=true, accessKey and secretKey to an account of the cluster, or correct namesrvAddr"
                .to_owned()
        }
    }
}

fn host(address: &str) -> &str {
    address.rsplit_once(':').map_or(address, |(host, _)| host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broker(name: &str) -> BrokerSeen {
        BrokerSeen { name: name.to_owned(), cluster: "c".to_owned(), master: None }
    }

    #[test]
    fn one_dead_name_server_of_two_is_a_warning_and_all_dead_a_failure() {
        let dead = || ("a:1".to_owned(), Err(Trouble::Unreachable("refused".to_owned())));
        let alive = |address: &str, brokers| (address.to_owned(), Ok((brokers, 1)));
        let check = |said, expected: &[Status]| {
            let (findings, known) = judge(said);
            assert_eq!(findings.iter().map(|finding| finding.status).collect::<Vec<_>>(), expected, "{findings:?}");
            known.server
        };
        use Status::{Fail, Warn};
        assert_eq!(check(vec![dead()], &[Fail]), None);
        let server = check(vec![dead(), alive("b:1", vec![broker("x")])], &[Warn, Status::Ok]);
        assert_eq!(server.as_deref(), Some("b:1"));
        check(vec![alive("a:1", vec![broker("x")]), alive("b:1", vec![broker("y")])], &[Status::Ok, Warn]);
        check(vec![alive("a:1", Vec::new())], &[Status::Ok, Fail]);
    }
}
