//! A sink that counts records and drops them: the far end of tests and measurements.
//!
//! *Guarantee:* none to give; every record is accepted, nothing is kept. With `put.delay.ms` it is a slow sink, which
//! shows whether everything before it waits as it should.

mod config;
mod sink;

pub use config::BlackholeConfig;
pub use sink::BlackholeSink;

use rmqc_core::config::key::ConfigErrors;
use rmqc_core::error::{ConnectError, Stage};
use rmqc_core::registry::{ConnectorFactory, TaskBuilder};

inventory::submit! {
    ConnectorFactory {
        name: "blackhole-sink",
        java_class: "rmqc.connectors.BlackholeSinkConnector",
        java_task_class: "rmqc.connectors.BlackholeSinkTask",
        keys: config::KEYS,
        validate: |properties| BlackholeConfig::parse(properties).map(drop),
        task_configs: |properties, max_tasks| Ok(vec![properties.clone(); max_tasks.max(1)]),
        shardable: true,
        build: TaskBuilder::Sink(|context| {
            let bad = |errors: ConfigErrors| {
                ConnectError::fatal(Stage::Lifecycle, "bad configuration").caused_by(errors)
            };
            let config = BlackholeConfig::parse(&context.config).map_err(bad)?;
            Ok(Box::new(BlackholeSink::new(&config, &context)))
        }),
    }
}
