//! Say here what the connector does, its delivery guarantee and its limits.

mod config;
// [sink]
mod sink;
// [/sink]
// [source]
mod source;
// [/source]

use rmqc_fast::prelude::*;

/// A task that can't be built from its configuration.
fn bad_config(errors: ConfigErrors) -> ConnectError {
    ConnectError::fatal(Stage::Lifecycle, "bad configuration").caused_by(errors)
}
// [source]

register! {
    ConnectorFactory {
        name: "my-thing-source",
        java_class: "com.example.MyThingSourceConnector",
        java_task_class: "com.example.MyThingSourceTask",
        keys: config::SOURCE_KEYS,
        validate: |properties| config::SourceConfig::parse(properties).map(drop),
        // One task: this source has one part to read. One that has several shares them out over up to `max_tasks`.
        task_configs: |properties, _max_tasks| {
            config::SourceConfig::parse(properties)?;
            Ok(vec![properties.clone()])
        },
        shardable: false,
        build: TaskBuilder::Source(|context| {
            let config = config::SourceConfig::parse(&context.config).map_err(bad_config)?;
            Ok(Box::new(source::MyThingSource::new(config, &context)?))
        }),
    }
}
// [/source]
// [sink]

register! {
    ConnectorFactory {
        name: "my-thing-sink",
        java_class: "com.example.MyThingSinkConnector",
        java_task_class: "com.example.MyThingSinkTask",
        keys: config::SINK_KEYS,
        validate: |properties| config::SinkConfig::parse(properties).map(drop),
        // One task: two could not write to one file. A sink whose tasks may write side by side gives `max_tasks` copies
        // and says `shardable: true`.
        task_configs: |properties, _max_tasks| {
            config::SinkConfig::parse(properties)?;
            Ok(vec![properties.clone()])
        },
        shardable: false,
        build: TaskBuilder::Sink(|context| {
            let config = config::SinkConfig::parse(&context.config).map_err(bad_config)?;
            Ok(Box::new(sink::MyThingSink::new(config, &context)))
        }),
    }
}
// [/sink]
