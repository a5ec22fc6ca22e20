//! From a connector's configuration to what its tasks shall be. Pure; everything wrong is said at once.

use std::sync::Arc;

use rmqc_core::chain::Chain;
use rmqc_core::config::Properties;
use rmqc_core::config::connector::{
    CONNECTOR_CLASS, DIRECT_ENABLE, DIRECT_TASK, KEY_CONVERTER, MAX_TASKS, ORDERING, SINK_TASK_CLASS,
    SOURCE_TASK_CLASS, TASK_TYPE, TOPIC_NAME, TOPIC_NAMES, VALUE_CONVERTER, sink_topics,
};
use rmqc_core::config::key::{ConfigError, ConfigErrors, MASK, check_all, is_secret};
use rmqc_core::converter::converter_from_config;
use rmqc_core::registry::{ConnectorFactory, ConnectorKind, connectors, find_connector};

use super::direct::Halves;
use super::{ControlError, known_keys};
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

/// Checks a configuration and splits it into tasks, for a worker of so many shards.
///
/// # Errors
/// A missing or unknown class, else everything that is wrong with the keys, in the Java worker's words where it has any.
pub fn define(
    properties: &Properties,
    defaults: &ConverterDefaults,
    shards: usize,
) -> Result<Definition, ControlError> {
    let Some(class) = CONNECTOR_CLASS.text(properties) else {
        let message = format!("Request config key: {}", CONNECTOR_CLASS.name);
        return Err(ControlError::Invalid(ConfigError::new(CONNECTOR_CLASS.name, message).into()));
    };
    let Some(factory) = find_connector(class) else {
        let known: Vec<_> = connectors().iter().map(|factory| factory.java_class).collect();
        return Err(ControlError::UnknownClass(format!(
            "Failed to find any class that implements Connector and which name matches {class}, available connectors are: {}",
            known.join(", ")
        )));
    };
    let errors = faults(properties, factory, defaults);
    if !errors.is_empty() {
        return Err(ControlError::Invalid(ConfigErrors(errors)));
    }
    // Looked at once more: the faults of what can't be found have been told above.
    let halves = Halves::of(properties).map_err(ControlError::Invalid)?;
    let max_tasks = max_tasks(properties, factory, halves.is_some(), shards);
    let parts = (factory.task_configs)(properties, max_tasks).map_err(ControlError::Invalid)?;
    if parts.is_empty() {
        let message = "The connector taskConfigs is empty, Please check configuration";
        return Err(ControlError::Invalid(ConfigError::new(MAX_TASKS.name, message).into()));
    }
    if let Some(halves) = halves {
        halves.check_split(factory, parts.len()).map_err(|error| ControlError::Invalid(error.into()))?;
    }
    let tasks =
        (0usize..).zip(parts).map(|(index, part)| Arc::new(task_config(properties, part, factory, defaults, index)));
    Ok(Definition { factory, tasks: tasks.collect(), ordered: ORDERING.boolean(properties) })
}

/// Everything wrong with the keys.
fn faults(
    properties: &Properties,
    factory: &'static ConnectorFactory,
    defaults: &ConverterDefaults,
) -> Vec<ConfigError> {
    let mut errors = Vec::new();
    let halves = Halves::of(properties).unwrap_or_else(|wrong| {
        errors.extend(wrong.0);
        None
    });
    let reads_topics = factory.build.kind() == ConnectorKind::Sink && !DIRECT_ENABLE.boolean(properties);
    if reads_topics && sink_topics(properties).is_empty() {
        let message = format!("Config {} cannot be empty", TOPIC_NAMES.name);
        errors.push(ConfigError::new(TOPIC_NAMES.name, message));
    }
    let keys = known_keys(properties, Some(factory));
    for error in check_all(&keys, properties).err().map(|errors| errors.0).unwrap_or_default() {
        push_new(&mut errors, as_java(error, properties));
    }
    for (name, value) in properties {
        if value == MASK && is_secret(name, &keys) {
            errors.push(ConfigError::new(name, format!("Config {name} is the mask of a secret; give its value")));
        }
    }
    let mut complete = properties.clone();
    complete.entry(KEY_CONVERTER.name.to_owned()).or_insert_with(|| defaults.key.clone());
    complete.entry(VALUE_CONVERTER.name.to_owned()).or_insert_with(|| defaults.value.clone());
    for (key, is_key) in [(KEY_CONVERTER, true), (VALUE_CONVERTER, false)] {
        let built = converter_from_config(&key, &complete, is_key);
        errors.extend(built.err().map(|errors| errors.0).unwrap_or_default());
    }
    errors.extend(Chain::from_config(properties).err().map(|errors| errors.0).unwrap_or_default());
    if errors.is_empty() {
        let parts = std::iter::once(factory).chain(halves.into_iter().flat_map(|halves| [halves.source, halves.sink]));
        for error in parts.flat_map(|part| (part.validate)(properties).err().map(|errors| errors.0).unwrap_or_default())
        {
            push_new(&mut errors, error);
        }
    }
    errors
}

/// Tells a fault once, though two parts of a direct connector may find it.
fn push_new(errors: &mut Vec<ConfigError>, error: ConfigError) {
    if !errors.contains(&error) {
        errors.push(error);
    }
}

/// The Java worker's words for a number that is none.
fn as_java(error: ConfigError, properties: &Properties) -> ConfigError {
    if error.key != MAX_TASKS.name {
        return error;
    }
    match MAX_TASKS.text(properties) {
        Some(text) if text.parse::<i32>().is_err() => {
            ConfigError::new(MAX_TASKS.name, format!("For input string: \"{text}\""))
        }
        _ => error,
    }
}

/// How many tasks the connector may split its work into. A sink whose tasks may write side by side gets one task a shard,
/// so that every core has its part, unless it is told otherwise, or must keep an order, for which one shard is home.
fn max_tasks(properties: &Properties, factory: &ConnectorFactory, direct: bool, shards: usize) -> usize {
    let spreads = factory.shardable && !direct && !ORDERING.boolean(properties);
    if spreads && MAX_TASKS.given(properties).is_none() {
        return shards.max(1);
    }
    usize::try_from(MAX_TASKS.integer(properties)).unwrap_or(1).max(1)
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
