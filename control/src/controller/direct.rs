//! Direct connectors: the two tasks that one task of theirs holds.

use rmqc_core::config::Properties;
use rmqc_core::config::connector::{DIRECT_ENABLE, SINK_TASK_CLASS, SOURCE_TASK_CLASS};
use rmqc_core::config::key::{ConfigError, ConfigErrors, ConfigKey};
use rmqc_core::registry::{ConnectorFactory, ConnectorKind, connectors, find_task, task_remedy};

/// What the two halves of a direct task are built by.
#[derive(Clone, Copy)]
pub(super) struct Halves {
    pub source: &'static ConnectorFactory,
    pub sink: &'static ConnectorFactory,
}

impl Halves {
    /// The halves that a configuration names; nothing if it is not that of a direct connector.
    ///
    /// # Errors
    /// A class that is missing, unknown, or of the wrong kind, for each half.
    pub fn of(properties: &Properties) -> Result<Option<Self>, ConfigErrors> {
        if !DIRECT_ENABLE.boolean(properties) {
            return Ok(None);
        }
        let source = half(&SOURCE_TASK_CLASS, ConnectorKind::Source, properties);
        let sink = half(&SINK_TASK_CLASS, ConnectorKind::Sink, properties);
        match (source, sink) {
            (Ok(source), Ok(sink)) => Ok(Some(Self { source, sink })),
            (source, sink) => Err(ConfigErrors(source.err().into_iter().chain(sink.err()).collect())),
        }
    }

    /// Whether so many tasks that the connector `splitter` made don't get into each other's way.
    ///
    /// # Errors
    /// Several tasks of a source whose work another connector split would all read the same; a sink that may not write
    /// several times at once would spoil what it writes.
    pub fn check_split(&self, splitter: &'static ConnectorFactory, tasks: usize) -> Result<(), ConfigError> {
        if tasks > 1 && !(std::ptr::eq(splitter, self.source) && self.sink.shardable) {
            let message = format!(
                "Config max.tasks allows {tasks} direct tasks; several need a connector.class that is the source's \
                 own, and a sink that can write several times at once"
            );
            let remedy = "set max.tasks to 1, or name the source's own connector by connector.class";
            return Err(ConfigError::new("max.tasks", message).with_remedy(remedy));
        }
        Ok(())
    }
}

fn half(
    key: &ConfigKey,
    kind: ConnectorKind,
    properties: &Properties,
) -> Result<&'static ConnectorFactory, ConfigError> {
    let class = key.text(properties).unwrap_or_default();
    if class.is_empty() {
        let error = ConfigError::new(key.name, format!("Request config key: {}", key.name));
        return Err(error.with_remedy(format!("{}, or leave {} out", key.remedy(None), DIRECT_ENABLE.name)));
    }
    find_task(class, kind).ok_or_else(|| {
        let known: Vec<_> = connectors()
            .iter()
            .filter(|factory| factory.build.kind() == kind)
            .map(|factory| factory.java_task_class)
            .collect();
        let interface = match kind {
            ConnectorKind::Source => "SourceTask",
            ConnectorKind::Sink => "SinkTask",
        };
        let message = format!(
            "Failed to find any class that implements {interface} and which name matches {class}, available tasks are: {}",
            known.join(", ")
        );
        ConfigError::new(key.name, message).with_value(class).with_remedy(task_remedy(class, kind))
    })
}
