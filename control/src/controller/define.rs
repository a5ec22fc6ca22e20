//! From a connector's configuration to what its tasks shall be. Pure; everything wrong is said at once.

use std::sync::Arc;

use rmqc_core::config::Properties;
use rmqc_core::config::connector::{
    CONNECTOR_CLASS, DIRECT_ENABLE, DIRECT_TASK, KEY_CONVERTER, ORDERING, SINK_TASK_CLASS, SOURCE_TASK_CLASS,
    TASK_TYPE, TOPIC_NAME, TOPIC_NAMES, VALUE_CONVERTER,
};
use rmqc_core::config::key::ConfigErrors;
use rmqc_core::config::provider::Providers;
use rmqc_core::registry::ConnectorFactory;

use super::ControlError;
use super::validate::{ConfigWarning, Inspected, Validation, inspect};
use crate::worker::Desired;

/// Converters of connectors that name none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConverterDefaults {
    /// `key.converter`.
    pub key: String,
    /// `value.converter`.
    pub value: String,
}

/// A connector that can run.
pub struct Definition {
    /// What builds its tasks.
    pub factory: &'static ConnectorFactory,
    /// One full configuration for each task.
    pub tasks: Vec<Arc<Properties>>,
    /// Whether its tasks stay on one shard.
    pub ordered: bool,
    /// What is accepted but should be looked at.
    pub warnings: Vec<ConfigWarning>,
    /// Its secrets, each with what is shown in its place; to be scrubbed, not to be shown.
    pub secrets: Vec<(String, String)>,
}

impl Definition {
    /// Its tasks, to be wanted.
    #[must_use]
    pub fn desired(&self, paused: bool) -> Vec<Desired> {
        let one = |config: &Arc<Properties>| Desired {
            factory: self.factory,
            config: Arc::clone(config),
            paused,
            ordered: self.ordered,
        };
        self.tasks.iter().map(one).collect()
    }
}

/// What a configuration is checked with. Cheap to clone.
#[derive(Clone, Debug)]
pub struct DefineSettings {
    /// Converters of connectors that name none.
    pub converters: ConverterDefaults,
    /// Shards of this worker.
    pub shards: usize,
    /// Who knows what references stand for.
    pub providers: Arc<Providers>,
}

/// Checks a configuration and splits it into tasks.
///
/// What the tasks' configurations show are references, not what they stand for.
///
/// # Errors
/// A missing or unknown class, else everything that is wrong with the keys, in the Java worker's words where it has any.
pub fn define(properties: &Properties, settings: &DefineSettings) -> Result<Definition, ControlError> {
    let Inspected { validation, resolved, parts, secrets } = inspect(properties, settings);
    let Validation { class, errors, warnings, .. } = validation;
    let Some(factory) = class else {
        let unknown = "Failed to find any class";
        let of_class =
            errors.iter().find(|error| error.key == CONNECTOR_CLASS.name && error.message.starts_with(unknown));
        return Err(match of_class {
            Some(error) => ControlError::UnknownClass(error.message.clone()),
            None => ControlError::Invalid(ConfigErrors(errors)),
        });
    };
    if !errors.is_empty() {
        return Err(ControlError::Invalid(ConfigErrors(errors)));
    }
    let task = |(index, part)| {
        let shown =
            unresolved(task_config(&resolved, part, factory, &settings.converters, index), &resolved, properties);
        Arc::new(shown)
    };
    let tasks = (0usize..).zip(parts).map(task).collect();
    Ok(Definition { factory, tasks, ordered: ORDERING.boolean(&resolved), warnings, secrets })
}

/// One task as it runs.
pub(super) struct Runnable {
    /// Its full configuration, references replaced: to be handed to its shard, and to be shown nowhere.
    pub config: Properties,
    /// The connector's secrets by now, each with what is shown in its place.
    pub secrets: Vec<(String, String)>,
}

/// Makes the configuration with which a task runs. May block.
///
/// # Errors
/// What is wrong with the connector's configuration by now: what a reference stands for may have changed since.
pub(super) fn task_to_run(
    properties: &Properties,
    settings: &DefineSettings,
    index: usize,
) -> Result<Runnable, ControlError> {
    let Inspected { validation, resolved, parts, secrets } = inspect(properties, settings);
    let Some(factory) = validation.class.filter(|_| validation.errors.is_empty()) else {
        return Err(ControlError::Invalid(ConfigErrors(validation.errors)));
    };
    let count = parts.len();
    let part = parts.into_iter().nth(index).ok_or_else(|| {
        ControlError::Conflict(format!(
            "the configuration is now split into {count} tasks, so that there is none of index {index}: what its \
             references stand for has changed; send the configuration again, or restart the worker"
        ))
    })?;
    Ok(Runnable { config: task_config(&resolved, part, factory, &settings.converters, index), secrets })
}

/// A task's configuration as it is shown and stored: with the references of the connector's, even where the connector took
/// what they stand for apart.
fn unresolved(mut task: Properties, resolved: &Properties, properties: &Properties) -> Properties {
    for (key, value) in properties {
        if resolved.get(key) != Some(value)
            && let Some(shown) = task.get_mut(key)
        {
            shown.clone_from(value);
        }
    }
    task
}

/// One task's full configuration: the connector's keys, over them what the connector made for this task, over that what
/// the runtime sets.
fn task_config(
    properties: &Properties,
    part: Properties,
    factory: &ConnectorFactory,
    defaults: &ConverterDefaults,
    index: usize,
) -> Properties {
    let mut config = properties.clone();
    config.extend(part);
    for key in [TOPIC_NAME.name, TOPIC_NAMES.name] {
        if let Some(topics) = properties.get(key) {
            config.insert(key.to_owned(), topics.clone());
        }
    }
    if DIRECT_ENABLE.boolean(properties) {
        config.insert(TASK_TYPE.to_owned(), DIRECT_TASK.to_owned());
        for key in [&SOURCE_TASK_CLASS, &SINK_TASK_CLASS] {
            config.insert(key.name.to_owned(), key.text(properties).unwrap_or_default().to_owned());
        }
    }
    let ordered = if ORDERING.boolean(properties) { "true" } else { "false" };
    for (key, value) in [
        ("task.id", index.to_string().as_str()),
        ("task.class", factory.java_task_class),
        (CONNECTOR_CLASS.name, factory.java_class),
        (ORDERING.name, ordered),
    ] {
        config.insert(key.to_owned(), value.to_owned());
    }
    config.entry(KEY_CONVERTER.name.to_owned()).or_insert_with(|| defaults.key.clone());
    config.entry(VALUE_CONVERTER.name.to_owned()).or_insert_with(|| defaults.value.clone());
    config
}
