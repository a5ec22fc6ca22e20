//! Each master broker: whether it can be reached where the name server says, what it permits, its disk, its clock.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use rmqc_core::config::java;
use rmqc_io::remoting::code::request;
use rmqc_io::remoting::connection::Request;
use rmqc_io::remoting::route::BrokerSeen;
use serde_json::Value;

use super::finding::{Finding, Status};
use super::remote::{Manner, Peer, Trouble};

const CHECK: &str = "broker";
/// Clocks may differ by so much: what can't be told from the time that an answer takes, and from full seconds.
const SKEW_MS_MAX: i64 = 3_000;
/// From so full a disk on a broker refuses messages.
const DISK_FULL: f64 = 0.90;
/// From so full a disk on a broker throws old messages away before their time.
const DISK_NEARLY_FULL: f64 = 0.75;
/// Most bytes of one batch request, by default.
const BATCH_BYTES: i64 = 1_048_576;
/// Permission bits of a broker.
const READ: i64 = 4;
const WRITE: i64 = 2;

/// What a broker tells of itself.
#[derive(Debug)]
struct Facts {
    address: String,
    name: String,
    connected_ms: u128,
    settings: Result<BTreeMap<String, String>, Trouble>,
    figures: Result<BTreeMap<String, String>, Trouble>,
    /// When the figures were asked for and when they were there, in ms since 1970.
    asked_ms: [i64; 2],
    signed: bool,
}

/// Looks at one broker.
pub(crate) fn look(broker: &BrokerSeen, name_server: &str, manner: &Manner) -> Vec<Finding> {
    let Some(address) = &broker.master else {
        let found = "only replicas are registered, so nothing can be written to it";
        let remedy = format!("start the master of {} (brokerId=0): sh bin/mqbroker -n {name_server}", broker.name);
        return vec![Finding::fail(CHECK, &broker.name, found, remedy)];
    };
    let mut peer = match Peer::open(address, manner) {
        Ok(peer) => peer,
        Err(trouble) => return vec![unreachable(&broker.name, address, name_server, &trouble)],
    };
    let begin = now_ms();
    let figures = peer.ask(&Request::new(request::GET_BROKER_RUNTIME_INFO)).and_then(|answer| table(&answer.body));
    let asked_ms = [begin, now_ms()];
    // Who is silent once is not asked again.
    let settings = match &figures {
        Err(trouble @ (Trouble::Silent(_) | Trouble::Odd(_))) => Err(trouble.clone()),
        _ => peer.ask(&Request::new(request::GET_BROKER_CONFIG)).and_then(|answer| settings(&answer.body)),
    };
    judge(&Facts {
        address: address.clone(),
        name: broker.name.clone(),
        connected_ms: peer.connected_after.as_millis(),
        settings,
        figures,
        asked_ms,
        signed: manner.credentials.is_some(),
    })
}

/// This machine's time in ms since 1970.
pub(crate) fn now_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_millis()).unwrap_or(i64::MAX)
}

fn table(body: &[u8]) -> Result<BTreeMap<String, String>, Trouble> {
    let json: Value = serde_json::from_slice(body).map_err(|error| Trouble::Odd(error.to_string()))?;
    let table = json.get("table").and_then(Value::as_object);
    let pairs =
        table.into_iter().flatten().filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())));
    Ok(pairs.collect())
}

fn settings(body: &[u8]) -> Result<BTreeMap<String, String>, Trouble> {
    let text = String::from_utf8_lossy(body);
    Ok(java::parse(&text).map_err(|error| Trouble::Odd(error.to_string()))?.into_iter().collect())
}

fn unreachable(name: &str, address: &str, name_server: &str, trouble: &Trouble) -> Finding {
    let found = format!("the name server gives this address for {name}, and it {}", trouble.told());
    let hint = if is_private(address) { " (it may be an address inside a container or another network)" } else { "" };
    let remedy = format!(
        "set brokerIP1=ADDRESS in broker.conf to an address that this machine reaches, restart the broker{hint}; if the \
         address is right, start the broker (sh bin/mqbroker -n {name_server}) or open the firewall for {address}"
    );
    Finding::fail(CHECK, address, found, remedy)
}

/// Whether an address means something else on another machine.
fn is_private(address: &str) -> bool {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    match host.parse::<IpAddr>() {
        Ok(IpAddr::V4(ip)) => ip.is_private() || ip.is_loopback() || ip.is_link_local(),
        Ok(IpAddr::V6(ip)) => ip.is_loopback() || ip.is_unique_local(),
        Err(_) => true,
    }
}

fn judge(facts: &Facts) -> Vec<Finding> {
    if let Some(finding) = no_answer(facts) {
        return vec![finding];
    }
    let mut findings = vec![reached(facts)];
    if let Ok(settings) = &facts.settings {
        findings.push(permission(facts, settings));
        findings.extend(message_size(facts, settings));
    }
    if let Ok(figures) = &facts.figures {
        findings.extend(disk(facts, figures));
        findings.extend(clock(facts, figures));
    }
    findings
}

/// A broker that answers nothing, or refuses everything.
fn no_answer(facts: &Facts) -> Option<Finding> {
    let (Err(settings), Err(figures)) = (&facts.settings, &facts.figures) else { return None };
    if !figures.is_denied() && !settings.is_denied() {
        let silent = matches!(figures, Trouble::Silent(_) | Trouble::Odd(_));
        let remedy =
            "restart the broker (sh bin/mqshutdown broker, then start it): see its logs/rocketmqlogs/broker.log";
        return silent.then(|| Finding::fail(CHECK, &facts.address, figures.told(), remedy));
    }
    let told = if figures.is_denied() { figures.told() } else { settings.told() };
    let remedy = "set aclEnable=true, accessKey=… and secretKey=… in the conf file to an account of the cluster";
    if !facts.signed {
        let found = format!("refuses requests that are not signed: it {told}");
        return Some(Finding::fail(CHECK, &facts.address, found, remedy));
    }
    if is_about_identity(&told) {
        let found = format!("does not take accessKey and secretKey: it {told}");
        let remedy = "correct accessKey and secretKey in the conf file, or make the account (mqadmin createUser)";
        return Some(Finding::fail(CHECK, &facts.address, found, remedy));
    }
    let found = format!("takes the account, but does not let it see its state: it {told}");
    let remedy = "nothing for the worker itself, whose rights on topics are checked for each connector; to see more here let \
                  an administrator's account run the doctor";
    Some(Finding::warn(CHECK, &facts.address, found, remedy))
}

/// Whether a refusal is about who asks, not about what he may do. The code is the same for both.
fn is_about_identity(remark: &str) -> bool {
    let remark = remark.to_ascii_lowercase();
    ["signature", "no acl config", "authentication", "not found", "accesskey"].iter().any(|word| remark.contains(word))
}

fn reached(facts: &Facts) -> Finding {
    let version = facts.figures.as_ref().ok().and_then(|figures| figures.get("brokerVersionDesc"));
    let version = version.map_or("version unknown", String::as_str);
    let setting = |name| facts.settings.as_ref().ok().and_then(|settings: &BTreeMap<_, String>| settings.get(name));
    let creates =
        setting("autoCreateTopicEnable").map(|on| format!(", autoCreateTopicEnable={on}")).unwrap_or_default();
    let found = format!("{} is reached after {} ms: {version}{creates}", facts.name, facts.connected_ms);
    Finding::ok(CHECK, &facts.address, found)
}

fn permission(facts: &Facts, settings: &BTreeMap<String, String>) -> Finding {
    const NAME: &str = "brokerPermission";
    let looked_at = format!("{NAME} of {}", facts.address);
    let permission = settings.get(NAME).and_then(|text| text.parse::<i64>().ok()).unwrap_or(READ | WRITE);
    let lacks = match (permission & READ != 0, permission & WRITE != 0) {
        (true, true) => return Finding::ok(CHECK, looked_at, "messages may be read and written"),
        (true, false) => "messages may be read but not written, so sources stand still",
        (false, true) => "messages may be written but not read, so sinks stand still",
        (false, false) => "messages may neither be read nor written",
    };
    let remedy = format!("mqadmin updateBrokerConfig -b {} -k {NAME} -v 6", facts.address);
    Finding::fail(CHECK, looked_at, format!("{permission}: {lacks}"), remedy)
}

fn message_size(facts: &Facts, settings: &BTreeMap<String, String>) -> Option<Finding> {
    let bytes = settings.get("maxMessageSize")?.parse::<i64>().ok()?;
    let looked_at = format!("maxMessageSize of {}", facts.address);
    if bytes >= BATCH_BYTES {
        return Some(Finding::ok(CHECK, looked_at, format!("{bytes} bytes")));
    }
    let found = format!("{bytes} bytes: batches of sources, by default up to {BATCH_BYTES} bytes, are refused");
    let remedy = format!(
        "mqadmin updateBrokerConfig -b {} -k maxMessageSize -v 4194304, or set batch.bytes={} in each source's configuration",
        facts.address,
        bytes.max(1024)
    );
    Some(Finding::fail(CHECK, looked_at, found, remedy))
}

fn disk(facts: &Facts, figures: &BTreeMap<String, String>) -> Option<Finding> {
    let ratio = figures.get("commitLogDiskRatio")?.parse::<f64>().ok()?;
    // Brokers without a figure say -1.
    if !(0.0..=1.0).contains(&ratio) {
        return None;
    }
    let looked_at = format!("disk of {}", facts.address);
    let found = format!("{:.0} % used", ratio * 100.0);
    let status = if ratio >= DISK_FULL {
        Status::Fail
    } else if ratio >= DISK_NEARLY_FULL {
        Status::Warn
    } else {
        return Some(Finding::ok(CHECK, looked_at, found));
    };
    let remedy = format!(
        "free space on the broker's disk, or keep messages shorter: mqadmin updateBrokerConfig -b {} -k fileReservedTime -v 24",
        facts.address
    );
    let found = format!("{found}; from {:.0} % on it takes no message", DISK_FULL * 100.0);
    Some(Finding { status, ..Finding::fail(CHECK, looked_at, found, remedy) })
}

/// The broker's clock: the time of its start, and how long it runs.
fn clock(facts: &Facts, figures: &BTreeMap<String, String>) -> Option<Finding> {
    let started_ms = figures.get("bootTimestamp")?.parse::<i64>().ok()?;
    let (runs_ms, coarse_ms) = match figures.get("runtimeMs") {
        Some(ms) => (ms.parse::<i64>().ok()?, 0),
        None => (runtime_ms(figures.get("runtime")?)?, 1_000),
    };
    let early = started_ms.saturating_add(runs_ms);
    Some(judge_clock(&facts.address, [early, early.saturating_add(coarse_ms)], facts.asked_ms))
}

/// Compares two spans, of which each holds the time at which the broker looked at its clock.
pub(crate) fn judge_clock(address: &str, broker_ms: [i64; 2], ours_ms: [i64; 2]) -> Finding {
    let looked_at = format!("clock of {address}");
    let (ahead, behind) = (broker_ms[0].saturating_sub(ours_ms[1]), ours_ms[0].saturating_sub(broker_ms[1]));
    let skew_ms = ahead.max(behind).max(0);
    if skew_ms <= SKEW_MS_MAX {
        return Finding::ok("clock", looked_at, "agrees with this machine's");
    }
    let which = if ahead > behind { "ahead of" } else { "behind" };
    let found = format!(
        "about {} s {which} this machine's: times of messages, lag and consume.timestamp are off by so much",
        skew_ms / 1000
    );
    Finding::warn("clock", looked_at, found, "timedatectl set-ntp true (or chronyc makestep) on both machines")
}

/// `[ 1 days, 2 hours, 3 minutes, 4 seconds ]` in ms.
fn runtime_ms(text: &str) -> Option<i64> {
    let mut total_ms: i64 = 0;
    for part in text.trim_matches(['[', ']', ' ']).split(',') {
        let (count, unit) = part.trim().split_once(' ')?;
        let unit_ms = match unit.trim() {
            "days" => 86_400_000,
            "hours" => 3_600_000,
            "minutes" => 60_000,
            "seconds" => 1_000,
            _ => return None,
        };
        total_ms = total_ms.checked_add(count.parse::<i64>().ok()?.checked_mul(unit_ms)?)?;
    }
    Some(total_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(settings: &[(&str, &str)], figures: &[(&str, &str)]) -> Facts {
        let map = |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        Facts {
            address: "b:1".to_owned(),
            name: "broker-a".to_owned(),
            connected_ms: 1,
            settings: Ok(map(settings)),
            figures: Ok(map(figures)),
            asked_ms: [100_000_000, 100_000_010],
            signed: false,
        }
    }

    fn worst(facts: &Facts) -> (Status, String) {
        let finding = judge(facts).into_iter().max_by_key(|finding| finding.status).unwrap();
        (finding.status, format!("{} {}", finding.found, finding.remedy.unwrap_or_default()))
    }

    #[test]
    fn permission_size_and_disk_are_judged() {
        let check = |settings: &[(&str, &str)], figures: &[(&str, &str)], status, says: &str| {
            let (found, text) = worst(&facts(settings, figures));
            assert_eq!(found, status, "{text}");
            assert!(text.contains(says), "{text}");
        };
        check(&[], &[], Status::Ok, "");
        check(&[("brokerPermission", "4")], &[], Status::Fail, "-k brokerPermission -v 6");
        check(&[("brokerPermission", "2")], &[], Status::Fail, "not read");
        check(&[("maxMessageSize", "65536")], &[], Status::Fail, "batch.bytes=65536");
        check(&[("maxMessageSize", "4194304")], &[], Status::Ok, "");
        check(&[], &[("commitLogDiskRatio", "0.95")], Status::Fail, "95 % used");
        check(&[], &[("commitLogDiskRatio", "0.8")], Status::Warn, "80 %");
        check(&[], &[("commitLogDiskRatio", "-1.0")], Status::Ok, "");
    }

    #[test]
    fn the_brokers_clock_is_told_from_its_start_and_its_running_time() {
        assert_eq!(runtime_ms("[ 1 days, 2 hours, 3 minutes, 4 seconds ]"), Some(93_784_000));
        assert_eq!(runtime_ms("[ soon ]"), None);
        let boot = |ms: i64| {
            vec![("bootTimestamp", ms.to_string()), ("runtime", "[ 0 days, 0 hours, 1 minutes, 0 seconds ]".to_owned())]
        };
        for (boot_ms, status) in
            [(99_940_000, Status::Ok), (99_937_000, Status::Ok), (99_900_000, Status::Warn), (99_980_000, Status::Warn)]
        {
            let pairs = boot(boot_ms);
            let pairs: Vec<_> = pairs.iter().map(|(name, value)| (*name, value.as_str())).collect();
            assert_eq!(worst(&facts(&[], &pairs)).0, status, "{boot_ms}");
        }
    }

    #[test]
    fn who_is_refused_hears_whether_it_is_about_him_or_his_rights() {
        let refused = |signed, remark: &str| {
            let trouble = || Trouble::Refused(16, remark.to_owned());
            worst(&Facts { settings: Err(trouble()), figures: Err(trouble()), signed, ..facts(&[], &[]) })
        };
        assert!(refused(false, "no").1.contains("aclEnable=true"));
        let (status, text) = refused(true, "check signature failed");
        assert!(status == Status::Fail && text.contains("correct accessKey"), "{text}");
        assert_eq!(refused(true, "has no permission").0, Status::Warn);
        let silent = Facts { settings: Err(Trouble::Silent(9)), figures: Err(Trouble::Silent(9)), ..facts(&[], &[]) };
        assert_eq!(worst(&silent).0, Status::Fail);
    }
}
