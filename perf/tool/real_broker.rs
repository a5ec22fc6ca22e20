//! A real Apache RocketMQ as it is run, not as it is tested: a broker made for tests rolls its small files all the time.

use std::ops::Deref;

use rmqc_io::shard::pin::{CpuFacts, set_affinity};
use serde_json::{Map, Value, json};

use crate::support::broker::RealBroker;

/// Lines of broker.conf that bring back the sizes which Apache's broker has by itself. Later lines win, so they come
/// before all others.
const APACHE_SIZES: &[&str] = &[
    "mappedFileSizeCommitLog=1073741824",
    "mappedFileSizeConsumeQueue=6000000",
    "maxHashSlotNum=5000000",
    "maxIndexNum=20000000",
];

/// Where a broker runs.
#[derive(Clone, Copy)]
pub enum Cpus {
    /// On the CPUs that all have.
    Shared,
    /// On CPUs of its own if there are two or more, as if it had a machine for itself; `RMQC_BROKER_CPUS` says otherwise:
    /// `shared`, or their numbers.
    Apart,
}

/// A broker on its CPUs. While it is there, this thread has the others, and so has what it starts.
pub struct Placed {
    broker: RealBroker,
    apart: Option<Division>,
    facts: Value,
}

impl Placed {
    /// Starts one with further `key=value` lines of broker.conf.
    ///
    /// # Panics
    /// If the CPUs that it is to have are not there, or no others besides.
    pub fn start(cpus: Cpus, more: &[&str]) -> Self {
        let apart = match cpus {
            Cpus::Shared => None,
            Cpus::Apart => {
                let wanted = std::env::var("RMQC_BROKER_CPUS").unwrap_or_default();
                Division::of(&CpuFacts::gather().cpus, wanted.trim())
            }
        };
        if let Some(Division { brokers, .. }) = &apart {
            run_on(brokers);
        }
        let broker = RealBroker::start_with(&lines(more));
        if let Some(Division { others, .. }) = &apart {
            run_on(others);
        }
        let mut facts = settings(more);
        if let Some(Division { brokers, .. }) = &apart {
            facts["broker_cpus"] = json!(brokers);
        }
        Self { broker, apart, facts }
    }

    /// What results tell of it.
    pub fn facts(&self) -> &Value {
        &self.facts
    }

    /// Makes a topic to send to. What other topics had, which is gigabytes, in memory if the folder is there, is given
    /// back: nobody may read it any more.
    pub fn make_only_topic(&self, name: &str, queues: u32) {
        self.broker.free_old_messages();
        self.broker.create_topic(name, queues);
    }
}

impl Deref for Placed {
    type Target = RealBroker;

    fn deref(&self) -> &RealBroker {
        &self.broker
    }
}

impl Drop for Placed {
    fn drop(&mut self) {
        if let Some(Division { brokers, others }) = &self.apart {
            // What is measured next may want all of them.
            set_affinity(&[&brokers[..], others].concat());
        }
    }
}

fn run_on(cpus: &[usize]) {
    assert!(set_affinity(cpus), "this thread may not run on the CPUs {cpus:?} alone");
}

/// The CPUs of brokers, and all others.
struct Division {
    brokers: Vec<usize>,
    others: Vec<usize>,
}

impl Division {
    /// Of these CPUs, half of them for brokers if nothing else is wanted; nothing if they are not to be divided.
    fn of(all: &[usize], wanted: &str) -> Option<Self> {
        let brokers = match wanted {
            "shared" => return None,
            "" if all.len() < 2 => return None,
            "" => all[..all.len() / 2].to_vec(),
            numbers => {
                let number = |word: &str| {
                    word.parse()
                        .unwrap_or_else(|_| panic!("RMQC_BROKER_CPUS={numbers}: `shared` and numbers are possible"))
                };
                numbers.split_whitespace().map(number).collect()
            }
        };
        let others: Vec<usize> = all.iter().copied().filter(|cpu| !brokers.contains(cpu)).collect();
        let are_there = brokers.iter().all(|cpu| all.contains(cpu)) && !others.is_empty();
        assert!(are_there, "RMQC_BROKER_CPUS: {brokers:?} for brokers, {others:?} for the rest, of {all:?}");
        Some(Self { brokers, others })
    }
}

fn settings(more: &[&str]) -> Value {
    let settings = lines(more).into_iter().filter_map(|line| line.split_once('='));
    let settings: Map<String, Value> = settings.map(|(key, value)| (key.to_owned(), json!(value))).collect();
    json!({ "broker_settings": settings })
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
        let told = settings(&["maxIndexNum=7", "maxTransferCountOnMessageInMemory=1024"]);
        let settings = &told["broker_settings"];
        assert_eq!(settings["mappedFileSizeCommitLog"], "1073741824");
        assert_eq!(settings["maxTransferCountOnMessageInMemory"], "1024");
        assert_eq!(settings["maxIndexNum"], "7");
        assert_eq!(settings.as_object().unwrap().len(), 5);
    }

    #[test]
    fn cpus_are_divided_as_wanted_and_none_is_without() {
        let of = |all: &[usize], wanted| Division::of(all, wanted).map(|division| (division.brokers, division.others));
        assert_eq!(of(&[0, 1], ""), Some((vec![0], vec![1])));
        assert_eq!(of(&[2, 3, 5], ""), Some((vec![2], vec![3, 5])));
        assert_eq!(of(&[7], ""), None);
        assert_eq!(of(&[0, 1], "shared"), None);
        assert_eq!(of(&[0, 1, 2], "0 2"), Some((vec![0, 2], vec![1])));
        for wanted in ["0 1", "9", "x"] {
            assert!(std::panic::catch_unwind(|| of(&[0, 1], wanted)).is_err(), "{wanted}");
        }
    }
}
