//! Records out of nothing, for tests and measurements: `generator-source` makes records from a seed.
//!
//! Record number `n` is a function of the seed and of `n` alone: its value is `n` in decimal, a blank, and letters up
//! to `record.bytes`; with `record.content=json` an object with `n` as its `id`. So whoever gets the records can tell which are missing, which came twice and which were changed.
//! With several tasks, task `i` of `k` makes the records `i`, `i + k`, and so on.
//!
//! Partition `{"stripe": "<i>/<k>"}`, offset `{"next": "<number of the next record>"}`. Another number of tasks makes
//! other partitions, and starts from record 0.
//!
//! *Guarantee:* as strong as the positions: after a crash the records behind the last commit come again, the same.

mod config;
mod content;
mod source;

pub use config::GeneratorConfig;
pub use content::Content;
pub use source::GeneratorSource;

use rmqc_core::config::key::ConfigErrors;
use rmqc_core::error::{ConnectError, Stage};
use rmqc_core::registry::{ConnectorFactory, TaskBuilder};

inventory::submit! {
    ConnectorFactory {
        name: "generator-source",
        java_class: "rmqc.connectors.GeneratorSourceConnector",
        java_task_class: "rmqc.connectors.GeneratorSourceTask",
        keys: config::KEYS,
        validate: |properties| GeneratorConfig::parse(properties).map(drop),
        task_configs: config::task_configs,
        shardable: false,
        build: TaskBuilder::Source(|context| {
            let bad = |errors: ConfigErrors| {
                ConnectError::fatal(Stage::Lifecycle, "bad configuration").caused_by(errors)
            };
            let config = GeneratorConfig::parse(&context.config).map_err(bad)?;
            Ok(Box::new(GeneratorSource::new(config, &context)?))
        }),
    }
}
