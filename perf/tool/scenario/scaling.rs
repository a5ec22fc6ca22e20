//! What a second shard brings, and a third, on one core to all of them: eight queues of the null broker into a
//! blackhole, and direct pipelines, for which nothing has to run beside the worker.

use std::time::Duration;

use serde_json::{Value, json};

use super::alone::take_with;
use super::chain;
use crate::support::TempDir;
use crate::support::worker::Worker;
use crate::tool::machine::cores;
use crate::tool::null_broker::Settings;
use crate::tool::options::{Options, list, setting, setting_if};
use crate::tool::rounds::{Case, Side, compare, merge};
use crate::tool::workers::{Build, Running, wait_count_every};

const QUEUES: usize = 8;
/// Bytes of all records together, by default.
const TOTAL_BYTES: u64 = 1_000_000_000;
/// Bytes of a record that is passed on through a direct pipeline.
const DIRECT_BYTES: usize = 100;
/// About as long one shard takes for the records of a direct pipeline, by default.
const SECONDS: u64 = 6;
/// An address that nothing listens on: a direct pipeline asks no name server.
const NO_NAME_SERVER: &str = "127.0.0.1:1";
const CONNECTOR: &str = "direct";
/// Between two looks at the stored positions: they are a load of their own.
const LOOK_EVERY: Duration = Duration::from_millis(25);

/// A side for each number of shards.
pub fn run(options: &Options) {
    let build = &Build::chosen(options)[0];
    for bytes in list("RMQC_RECORD_BYTES", &[100, 1_024]) {
        let records = setting("RMQC_RECORDS", TOTAL_BYTES / bytes).cast_signed();
        let body_bytes = usize::try_from(bytes).unwrap();
        let settings = Settings { queues: QUEUES, records, body_bytes, ..Settings::default() }.raised_caps();
        from_null(
            options,
            build,
            settings,
            &json!({}),
            format!("null broker to blackhole, {bytes} B, {QUEUES} queues"),
        );
    }
    // Here the worker has most of the work to do, so that the broker beside it takes little of its cores.
    let settings = Settings { queues: QUEUES, ..chain::prepared() };
    from_null(options, build, settings, &chain::chain(), format!("filter, rename and extract, JSON, {QUEUES} queues"));

    let pass = Direct { build, bytes: DIRECT_BYTES, keys: json!({}) };
    pass.measure(options, format!("generator to blackhole, {DIRECT_BYTES} B, nothing beside"));
    let mut keys = chain::transforms();
    keys["record.content"] = json!("json");
    let json = Direct { build, bytes: chain::BODY_BYTES, keys };
    json.measure(options, format!("filter, rename and extract, JSON of {} B, nothing beside", chain::BODY_BYTES));
}

fn compare_shards(options: &Options, name: String, measure: impl Fn(usize) -> Value) {
    let measure = &measure;
    let sides = (1..=cores()).map(|shards| Side::new(format!("{shards} shards"), move || measure(shards)));
    compare(options, &Case { scenario: "scaling", name, primary: "records_per_second" }, sides.collect());
}

fn from_null(options: &Options, build: &Build, settings: Settings, keys: &Value, name: String) {
    compare_shards(options, name, |shards| {
        let mut keys = keys.clone();
        keys["max.tasks"] = json!(shards.to_string());
        take_with(build, settings, &[&format!("cores={shards}")], &keys)
    });
}

/// Generator to blackhole, a task a shard.
struct Direct<'a> {
    build: &'a Build,
    bytes: usize,
    /// Further keys of the connector.
    keys: Value,
}

impl Direct<'_> {
    fn measure(&self, options: &Options, name: String) {
        // As many as one shard needs long enough for, whatever the machine.
        let records = setting_if("RMQC_RECORDS").unwrap_or_else(|| {
            let one_shard = |records| self.run(1, records)["seconds"].as_f64().unwrap();
            records_for(setting("RMQC_SECONDS", SECONDS) as f64, one_shard)
        });
        compare_shards(options, name, |shards| self.run(shards, records));
    }

    /// Moves so many records. The end is when the positions of all of them are stored; what the sinks have taken is
    /// counted when they stop.
    fn run(&self, shards: usize, records: u64) -> Value {
        let logs = TempDir::new("scaling");
        let settings = [format!("cores={shards}"), format!("logDir={}", logs.path().display())];
        let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
        let mut running = Running::start(self.build, NO_NAME_SERVER, &settings);
        running.worker.create(CONNECTOR, &self.config(shards, records));
        let stored = || stored(&running.worker);
        wait_count_every(LOOK_EVERY, "records whose positions are stored", records, stored);
        let told = running.measured(records, self.bytes);
        assert_eq!(shards_in_use(&running.worker), shards, "shards with a task");
        running.worker.stop();
        let log = std::fs::read_to_string(logs.file("connect_runtime.log")).unwrap();
        let taken = taken(&log);
        assert_eq!((taken.len(), taken.iter().sum()), (shards, records), "sinks, and records taken by all: {taken:?}");
        told
    }

    fn config(&self, shards: usize, records: u64) -> Value {
        let mut config = json!({
            "connector.class": "generator-source",
            "connector.direct.enable": "true",
            "source.task.class": "generator-source",
            "sink.task.class": "blackhole-sink",
            "max.tasks": shards.to_string(),
            "records": records.to_string(),
            "record.bytes": self.bytes.to_string(),
            // The default window would be committed, and that is a sync of the disk, every few milliseconds.
            "uncommitted.records": "1048576",
            // The last commit is that much behind the last record.
            "commit.interval.ms": "50",
        });
        merge(&mut config, &self.keys);
        config
    }
}

/// Records that are behind the stored positions: every k-th from record i on, for each stripe `i/k`.
fn stored(worker: &Worker) -> u64 {
    let answer = worker.request("GET", &format!("/v1/connectors/{CONNECTOR}/offsets"), "");
    let offsets = answer["offsets"].as_array().unwrap_or_else(|| panic!("no offsets: {answer}"));
    let stripe = |one: &Value| {
        let (first, step) = one["partition"]["stripe"].as_str()?.split_once('/')?;
        let next: u64 = one["offset"]["next"].as_str()?.parse().ok()?;
        Some((next - first.parse::<u64>().ok()?) / step.parse::<u64>().ok()?)
    };
    offsets.iter().map(|one| stripe(one).unwrap_or_else(|| panic!("no generator's position: {one}"))).sum()
}

fn shards_in_use(worker: &Worker) -> usize {
    let status = worker.request("GET", &format!("/v1/connectors/{CONNECTOR}/status"), "");
    let tasks = status["tasks"].as_array().unwrap_or_else(|| panic!("no tasks: {status}"));
    let mut shards: Vec<u64> = tasks.iter().filter_map(|task| task["shard"].as_u64()).collect();
    shards.sort_unstable();
    shards.dedup();
    shards.len()
}

/// What each blackhole says at its stop that it has dropped.
fn taken(log: &str) -> Vec<u64> {
    let dropped = format!(" dropped task={CONNECTOR}-");
    let records = |line: &str| line.split_once(&dropped)?.1.split_once("records=")?.1.split(' ').next()?.parse().ok();
    log.lines().filter_map(records).collect()
}

/// As many records as take about so many seconds, by runs that grow until one takes a second: the start weighs little
/// then. `run` gives the seconds that a number of records takes.
fn records_for(seconds: f64, run: impl Fn(u64) -> f64) -> u64 {
    let mut records = 1_000_000_u64;
    loop {
        let took = run(records).max(1e-3);
        if took >= 1.0 {
            let wanted = records as f64 / took * seconds;
            // A round number is easier to tell from a wrong one.
            return ((wanted / 100_000.0).ceil() as u64).max(1) * 100_000;
        }
        records *= ((1.5 / took).ceil() as u64).clamp(2, 16);
    }
}

#[cfg(test)]
#[allow(
    dead_code,
    unused_imports,
    reason = "the bench target is built for tests without a harness that would run them"
)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn the_records_follow_from_the_rate() {
        for (per_second, wanted) in [(250_000.0, 1_500_000), (1_000_000.0, 6_000_000), (20_000_000.0, 120_000_000)] {
            let runs = Cell::new(0);
            let records = records_for(6.0, |records| {
                runs.set(runs.get() + 1);
                records as f64 / per_second
            });
            assert_eq!(records, wanted, "{per_second} a second");
            assert!(runs.get() <= 4, "{} runs", runs.get());
        }
    }

    #[test]
    fn what_sinks_have_taken_is_read_from_the_log() {
        let log = "10:00 INFO shard-0 - dropped task=direct-0 records=51 bytes=0\n\
                   10:00 INFO control - stopped task=direct-0\n\
                   10:00 INFO shard-1 - dropped task=direct-1 records=50 bytes=9\n\
                   10:00 INFO shard-1 - dropped task=another-1 records=7 bytes=9\n";
        assert_eq!(taken(log), [51, 50]);
    }
}
