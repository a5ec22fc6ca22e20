//! Three transforms of a JSON record of 200 bytes between decoding and a blackhole, and the same way without them.

use serde_json::{Value, json};

use super::alone::take_with;
use crate::tool::null_broker::Settings;
use crate::tool::null_broker::prepared::Content;
use crate::tool::options::{Options, setting};
use crate::tool::rounds::{Case, Side, compare, merge};
use crate::tool::workers::Build;

/// Bytes of a JSON object.
pub const BODY_BYTES: usize = 200;
const RECORDS: u64 = 5_000_000;

/// What the null broker is to give.
pub fn prepared() -> Settings {
    let records = setting("RMQC_RECORDS", RECORDS).cast_signed();
    Settings { records, body_bytes: BODY_BYTES, content: Content::Json, ..Settings::default() }.raised_caps()
}

/// Keys of a connector that takes JSON.
fn converter() -> Value {
    json!({
        "value.converter": "org.apache.rocketmq.connect.runtime.converter.record.json.JsonConverter",
        "value.converter.schemas.enable": "false",
    })
}

/// The three transforms.
pub fn transforms() -> Value {
    json!({
        "transforms": "filter,rename,extract",
        "transforms.filter.class": "PatternFilter$Value",
        "transforms.filter.pattern": "ERROR|FATAL",
        "transforms.filter.fields": "level",
        "transforms.rename.class": "PatternRename$Value",
        "transforms.rename.field.pattern": "^ok$",
        "transforms.rename.field.replacement": "healthy",
        "transforms.extract.class": "ExtractNestedField$Value",
        "transforms.extract.input.outer.field.name": "user",
        "transforms.extract.input.inner.field.name": "city",
        "transforms.extract.output.field.name": "city",
    })
}

/// Keys of a connector that takes JSON through them.
pub fn chain() -> Value {
    let mut chain = converter();
    merge(&mut chain, &transforms());
    chain
}

/// On one shard: records a second and core.
pub fn run(options: &Options) {
    let (settings, chain, converter) = (prepared(), chain(), converter());
    let mut sides: Vec<Side> = Vec::new();
    for build in Build::chosen(options) {
        let (chain, converter, plain) = (chain.clone(), converter.clone(), build.clone());
        sides.push(Side::new(build.name.clone(), move || take_with(&build, settings, &["cores=1"], &chain)));
        sides.push(Side::new(format!("{} without transforms", plain.name), move || {
            take_with(&plain, settings, &["cores=1"], &converter)
        }));
    }
    let case = Case {
        scenario: "chain",
        name: format!("filter, rename and extract, JSON of {BODY_BYTES} B"),
        primary: "records_per_second",
    };
    compare(options, &case, sides);
}
