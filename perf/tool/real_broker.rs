//! A real Apache RocketMQ as it is run, not as it is tested: a broker made for tests rolls its small files all the time.

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

/// Starts one with further `key=value` lines of broker.conf.
pub fn start(more: &[&str]) -> RealBroker {
    RealBroker::start_with(&lines(more))
}

/// What results tell of a broker that was started with these lines.
pub fn facts(more: &[&str]) -> Value {
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
        let told = facts(&["maxIndexNum=7", "maxTransferCountOnMessageInMemory=1024"]);
        let settings = &told["broker_settings"];
        assert_eq!(settings["mappedFileSizeCommitLog"], "1073741824");
        assert_eq!(settings["maxTransferCountOnMessageInMemory"], "1024");
        assert_eq!(settings["maxIndexNum"], "7");
        assert_eq!(settings.as_object().unwrap().len(), 5);
    }
}
