//! What a second shard brings, and a third: eight queues of the null broker into a blackhole, on one core to all of them.

use super::alone::take_with;
use super::chain;
use crate::tool::machine::cores;
use crate::tool::null_broker::Settings;
use crate::tool::options::{Options, list, setting};
use crate::tool::rounds::{Case, Side, compare};
use crate::tool::workers::Build;
use serde_json::{Value, json};

const QUEUES: usize = 8;
/// Bytes of all records together, by default.
const TOTAL_BYTES: u64 = 1_000_000_000;

/// A side for each number of shards.
pub fn run(options: &Options) {
    let build = &Build::chosen(options)[0];
    for bytes in list("RMQC_RECORD_BYTES", &[100, 1_024]) {
        let records = setting("RMQC_RECORDS", TOTAL_BYTES / bytes).cast_signed();
        let body_bytes = usize::try_from(bytes).unwrap();
        let settings = Settings { queues: QUEUES, records, body_bytes, ..Settings::default() }.raised_caps();
        measure(options, build, settings, &json!({}), format!("null broker to blackhole, {bytes} B, {QUEUES} queues"));
    }
    // Here the worker has most of the work to do, so that the broker beside it takes little of its cores.
    let settings = Settings { queues: QUEUES, ..chain::prepared() };
    measure(options, build, settings, &chain::chain(), format!("filter, rename and extract, JSON, {QUEUES} queues"));
}

fn measure(options: &Options, build: &Build, settings: Settings, keys: &Value, name: String) {
    let sides = (1..=cores()).map(|shards| {
        let mut keys = keys.clone();
        keys["max.tasks"] = json!(shards.to_string());
        Side::new(format!("{shards} shards"), move || take_with(build, settings, &[&format!("cores={shards}")], &keys))
    });
    let case = Case { scenario: "scaling", name, primary: "records_per_second" };
    compare(options, &case, sides.collect());
}
