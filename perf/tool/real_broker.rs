//! A real Apache RocketMQ as it is run, not as it is tested: a broker made for tests rolls its small files all the time.

use std::sync::OnceLock;

use rmqc_io::shard::pin::{CpuFacts, set_affinity};
use serde_json::{Map, Value, json};

use super::options::list;
use crate::support::broker::RealBroker;

/// Lines of broker.conf that bring back the sizes which Apache's broker has by itself. Later lines win, so they come
/// before all others.
const APACHE_SIZES: &[&str] = &[
    "mappedFileSizeCommitLog=1073741824",
    "mappedFileSizeConsumeQueue=6000000",
    "maxHashSlotNum=5000000",
    "maxIndexNum=20000000",
];

/// Starts one with further `key=value` lines of broker.conf. It has the CPUs that `RMQC_BROKER_CPUS` lists for itself: all
/// that this thread starts afterwards has the others.
///
/// # Panics
/// If there are no such CPUs, or none besides.
pub fn start(more: &[&str]) -> RealBroker {
    /// Those of the process before anything was divided.
    static CPUS: OnceLock<Vec<usize>> = OnceLock::new();
    let brokers = broker_cpus();
    if brokers.is_empty() {
        return RealBroker::start_with(&lines(more));
    }
    let all = CPUS.get_or_init(|| CpuFacts::gather().cpus);
    let others: Vec<usize> = all.iter().copied().filter(|cpu| !brokers.contains(cpu)).collect();
    let run_on = |cpus: &[usize]| {
        let done = !others.is_empty() && set_affinity(cpus);
        assert!(done, "RMQC_BROKER_CPUS: {brokers:?} for brokers, {others:?} for the rest");
    };
    run_on(&brokers);
    let broker = RealBroker::start_with(&lines(more));
    run_on(&others);
    broker
}

fn broker_cpus() -> Vec<usize> {
    list("RMQC_BROKER_CPUS", &[]).into_iter().map(|cpu| usize::try_from(cpu).unwrap()).collect()
}

/// What results tell of a broker that was started with these lines.
pub fn facts(more: &[&str]) -> Value {
    let settings = lines(more).into_iter().filter_map(|line| line.split_once('='));
    let settings: Map<String, Value> = settings.map(|(key, value)| (key.to_owned(), json!(value))).collect();
    let mut told = json!({ "broker_settings": settings });
    let cpus = broker_cpus();
    if !cpus.is_empty() {
        told["broker_cpus"] = json!(cpus);
    }
    told
}

fn lines<'a>(more: &[&'a str]) -> Vec<&'a str> {
    APACHE_SIZES.iter().copied().chain(more.iter().copied()).collect()
}

#[cfg(test)]
#[allow(
    dead_code,
    unused_imports,
    reason = "the bench target is built for tests without a harness that would run them"
)]
mod tests {
    use super::*;

    #[test]
    fn results_tell_the_settings_by_name_and_the_last_of_each_wins() {
        let told = facts(&["maxIndexNum=7", "maxTransferCountOnMessageInMemory=1024"]);
        let settings = &told["broker_settings"];
        assert_eq!(settings["mappedFileSizeCommitLog"], "1073741824");
        assert_eq!(settings["maxTransferCountOnMessageInMemory"], "1024");
        assert_eq!(settings["maxIndexNum"], "7");
        assert_eq!(settings.as_object().unwrap().len(), 5);
    }
}
