//! Lines of text files: `file-source` follows files and makes a record of each line, `file-sink` appends each record
//! as a line.
//!
//! # Source
//! One partition a file: `{"filename": "<as configured>"}`; offset `{"nextPosition": "<bytes>"}`, the byte behind the
//! line's terminator. Several files are shared out over up to `max.tasks` tasks. The record's value is the line
//! without its terminator, byte for byte, well-formed UTF-8 or not; an empty line is a record of an empty value.
//!
//! *Guarantee:* at least once, in the order of the file; every line once unless the worker crashes.
//!
//! *Limits:* a file is known by its name alone. When it is replaced while the worker is down, that is noticed only if
//! the new file is shorter than the committed position. A file that is cut and then grows beyond the position before
//! anyone looked is taken for the old one. Lines cut away before they were read are gone.
//!
//! # Sink
//! One task, appending to one file. A batch is either in the file as a whole or not at all, as long as nobody else
//! appends to it; the offset is committed after the file's content is on stable storage (see `fsync`).
//!
//! A file that the sink begins, or finds with whole lines, is marked as its own by an extended attribute. In such a file
//! half a line that a killed worker left is cut away at the next start; in others it is ended and kept.
//!
//! *Guarantee:* at least once; a line twice only after a crash or after the disk refused to store what it had taken.

mod config;
mod follower;
mod lines;
mod reader;
mod sink;
mod source;

#[cfg(test)]
mod sink_tests;
#[cfg(test)]
mod source_tests;

pub use config::{FileSinkConfig, FileSourceConfig, Fsync, NullValue, StartAt, Unterminated};
pub use sink::FileSink;
pub use source::FileSource;

use rmqc_core::config::Properties;
use rmqc_core::config::key::ConfigErrors;
use rmqc_core::error::{ConnectError, Stage};
use rmqc_core::registry::{ConnectorFactory, TaskBuilder};

inventory::submit! {
    ConnectorFactory {
        name: "file-source",
        java_class: "org.apache.rocketmq.connect.file.FileSourceConnector",
        java_task_class: "org.apache.rocketmq.connect.file.FileSourceTask",
        keys: config::SOURCE_KEYS,
        validate: |properties| FileSourceConfig::parse(properties).map(drop),
        task_configs: config::source_task_configs,
        shardable: false,
        build: TaskBuilder::Source(|context| {
            let config = FileSourceConfig::parse(&context.config).map_err(bad_config)?;
            Ok(Box::new(FileSource::new(config, &context)?))
        }),
    }
}

inventory::submit! {
    ConnectorFactory {
        name: "file-sink",
        java_class: "org.apache.rocketmq.connect.file.FileSinkConnector",
        java_task_class: "org.apache.rocketmq.connect.file.FileSinkTask",
        keys: config::SINK_KEYS,
        validate: |properties| FileSinkConfig::parse(properties).map(drop),
        task_configs: sink_task_configs,
        shardable: false,
        build: TaskBuilder::Sink(|context| {
            let config = FileSinkConfig::parse(&context.config).map_err(bad_config)?;
            Ok(Box::new(FileSink::new(config, &context)?))
        }),
    }
}

/// Always one task: two writers of one file could neither keep the order nor take a failed batch back.
fn sink_task_configs(properties: &Properties, _max_tasks: usize) -> Result<Vec<Properties>, ConfigErrors> {
    FileSinkConfig::parse(properties)?;
    Ok(vec![properties.clone()])
}

fn bad_config(errors: ConfigErrors) -> ConnectError {
    ConnectError::fatal(Stage::Lifecycle, "bad configuration").caused_by(errors)
}
