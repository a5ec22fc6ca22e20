//! The table of everything that can be named in a configuration. Entries register themselves; nobody lists them.

use crate::config::Properties;
use crate::config::key::{ConfigErrors, ConfigKey};
use crate::connector::{DynSinkTask, DynSourceTask};
use crate::context::TaskContext;
use crate::converter::Converter;
use crate::error::Result;

/// Which way a connector moves records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ConnectorKind {
    /// Towards the broker.
    Source,
    /// From the broker.
    Sink,
}

/// Builds one task of a connector.
#[derive(Clone, Copy)]
pub enum TaskBuilder {
    /// Builds a source task. Does no I/O.
    Source(fn(TaskContext) -> Result<Box<dyn DynSourceTask>>),
    /// Builds a sink task. Does no I/O.
    Sink(fn(TaskContext) -> Result<Box<dyn DynSinkTask>>),
}

impl TaskBuilder {
    /// The kind of task it builds.
    #[must_use]
    pub fn kind(&self) -> ConnectorKind {
        match self {
            Self::Source(_) => ConnectorKind::Source,
            Self::Sink(_) => ConnectorKind::Sink,
        }
    }
}

/// One connector that a configuration can name.
pub struct ConnectorFactory {
    /// Our name, e.g. `file-source`.
    pub name: &'static str,
    /// The Java connector class it answers to; `/plugin/list` shows it.
    pub java_class: &'static str,
    /// The Java task class, shown as `task.class` in task configurations.
    pub java_task_class: &'static str,
    /// The connector's own keys; the common ones are added by the runtime.
    pub keys: &'static [ConfigKey],
    /// Checks what single keys can't tell; called after the keys themselves were found right.
    pub validate: fn(&Properties) -> Result<(), ConfigErrors>,
    /// Splits the work: one configuration for each task, at least one, at most `max_tasks`. Must give the same answer
    /// for the same input.
    pub task_configs: fn(config: &Properties, max_tasks: usize) -> Result<Vec<Properties>, ConfigErrors>,
    /// Builds a task.
    pub build: TaskBuilder,
}

inventory::collect!(ConnectorFactory);

/// One converter that a configuration can name.
pub struct ConverterFactory {
    /// Our name, e.g. `string`.
    pub name: &'static str,
    /// The Java class it answers to.
    pub java_class: &'static str,
    /// Builds it from its own keys (prefix stripped) and `isKey`.
    pub build: fn(&Properties) -> Result<Box<dyn Converter>, ConfigErrors>,
}

inventory::collect!(ConverterFactory);

/// All connectors of this binary, sorted by Java class.
#[must_use]
pub fn connectors() -> Vec<&'static ConnectorFactory> {
    let mut all: Vec<_> = inventory::iter::<ConnectorFactory>.into_iter().collect();
    all.sort_by_key(|factory| factory.java_class);
    all
}

/// All converters of this binary, sorted by Java class.
#[must_use]
pub fn converters() -> Vec<&'static ConverterFactory> {
    let mut all: Vec<_> = inventory::iter::<ConverterFactory>.into_iter().collect();
    all.sort_by_key(|factory| factory.java_class);
    all
}

/// The last part of a Java class name.
fn simple_name(java_class: &str) -> &str {
    java_class.rsplit('.').next().unwrap_or(java_class)
}

/// Whether `asked` names the entry: our name, the Java class, its simple name, or that without `suffix`.
fn answers_to(asked: &str, name: &str, java_class: &str, suffix: &str) -> bool {
    let simple = simple_name(java_class);
    asked == name || asked == java_class || asked == simple || simple.strip_suffix(suffix) == Some(asked)
}

/// Finds a connector by our name, Java class, simple class name, or that without `Connector`.
#[must_use]
pub fn find_connector(asked: &str) -> Option<&'static ConnectorFactory> {
    inventory::iter::<ConnectorFactory>
        .into_iter()
        .find(|factory| answers_to(asked, factory.name, factory.java_class, "Connector"))
}

/// Finds a converter by our name, Java class, simple class name, or that without `Converter`.
#[must_use]
pub fn find_converter(asked: &str) -> Option<&'static ConverterFactory> {
    inventory::iter::<ConverterFactory>
        .into_iter()
        .find(|factory| answers_to(asked, factory.name, factory.java_class, "Converter"))
}

/// Names that two entries claim; a start-up error when not empty.
#[must_use]
pub fn duplicate_names() -> Vec<String> {
    let mut names: Vec<&str> = Vec::new();
    names.extend(inventory::iter::<ConnectorFactory>.into_iter().flat_map(|f| [f.name, f.java_class]));
    names.extend(inventory::iter::<ConverterFactory>.into_iter().flat_map(|f| [f.name, f.java_class]));
    names.sort_unstable();
    let twice = names.windows(2).filter_map(|pair| match pair {
        [a, b] if a == b => Some((*a).to_owned()),
        _ => None,
    });
    twice.collect()
}
