//! The table of everything that can be named in a configuration. Entries register themselves; nobody lists them.

use crate::config::Properties;
use crate::config::key::{ConfigErrors, ConfigKey, misspelt};
use crate::connector::{DynSinkTask, DynSourceTask};
use crate::context::TaskContext;
use crate::converter::Converter;
use crate::error::Result;
use crate::predicate::Predicate;
use crate::transform::{Target, Transform, TransformConfig};

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
    /// Whether several of its tasks may write at once, each with its own queues: such a sink gets one task a shard when
    /// its configuration names no `max.tasks`. False for sources, which split their work by themselves.
    pub shardable: bool,
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
    /// One or two sentences for the user: its form.
    pub doc: &'static str,
    /// Its own keys, without `key.converter.` or `value.converter.`.
    pub keys: &'static [ConfigKey],
    /// Builds it from its own keys (prefix stripped), which were checked against their definitions, and `isKey`.
    pub build: fn(&Properties) -> Result<Box<dyn Converter>, ConfigErrors>,
}

inventory::collect!(ConverterFactory);

/// One transform that a configuration can name.
pub struct TransformFactory {
    /// Our name, e.g. `mask-field`.
    pub name: &'static str,
    /// The Java class it answers to, without `$Key` and `$Value`.
    pub java_class: &'static str,
    /// Further Java classes that it answers to: those of Kafka Connect.
    pub aliases: &'static [&'static str],
    /// Whether its class must end with `$Key` or `$Value`.
    pub targets: bool,
    /// One sentence for the user: what it does.
    pub doc: &'static str,
    /// Its own keys.
    pub keys: &'static [ConfigKey],
    /// Builds it. The keys were checked against their definitions.
    pub build: fn(&TransformConfig) -> Result<Box<dyn Transform>, ConfigErrors>,
}

inventory::collect!(TransformFactory);

/// One predicate that a configuration can name.
pub struct PredicateFactory {
    /// Our name, e.g. `has-header-key`.
    pub name: &'static str,
    /// The Java class it answers to.
    pub java_class: &'static str,
    /// One sentence for the user: when it holds.
    pub doc: &'static str,
    /// Its own keys.
    pub keys: &'static [ConfigKey],
    /// Builds it from its own keys, which were checked against their definitions.
    pub build: fn(&Properties) -> Result<Box<dyn Predicate>, ConfigErrors>,
}

inventory::collect!(PredicateFactory);

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

/// All transforms of this binary, sorted by Java class.
#[must_use]
pub fn transforms() -> Vec<&'static TransformFactory> {
    let mut all: Vec<_> = inventory::iter::<TransformFactory>.into_iter().collect();
    all.sort_by_key(|factory| factory.java_class);
    all
}

/// All predicates of this binary, sorted by Java class.
#[must_use]
pub fn predicates() -> Vec<&'static PredicateFactory> {
    let mut all: Vec<_> = inventory::iter::<PredicateFactory>.into_iter().collect();
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

/// Finds what builds a task of that kind by the task's Java class, its simple name, or any name of its connector.
#[must_use]
pub fn find_task(asked: &str, kind: ConnectorKind) -> Option<&'static ConnectorFactory> {
    let is_task = |factory: &&ConnectorFactory| {
        let task_class = factory.java_task_class;
        asked == task_class
            || asked == simple_name(task_class)
            || answers_to(asked, factory.name, factory.java_class, "Connector")
    };
    inventory::iter::<ConnectorFactory>.into_iter().filter(|factory| factory.build.kind() == kind).find(is_task)
}

/// Finds a converter by our name, Java class, simple class name, or that without `Converter`.
#[must_use]
pub fn find_converter(asked: &str) -> Option<&'static ConverterFactory> {
    inventory::iter::<ConverterFactory>
        .into_iter()
        .find(|factory| answers_to(asked, factory.name, factory.java_class, "Converter"))
}

/// Finds a transform by our name, a Java class or its simple name, and the half of the record that `$Key` or `$Value`
/// at its end names.
#[must_use]
pub fn find_transform(asked: &str) -> Option<(&'static TransformFactory, Option<Target>)> {
    let (class, target) = match asked.rsplit_once('$') {
        Some((class, "Key")) => (class, Some(Target::Key)),
        Some((class, "Value")) => (class, Some(Target::Value)),
        Some(_) => return None,
        None => (asked, None),
    };
    let factory = inventory::iter::<TransformFactory>.into_iter().find(|factory| {
        let mut classes = std::iter::once(factory.java_class).chain(factory.aliases.iter().copied());
        classes.any(|java_class| answers_to(class, factory.name, java_class, ""))
    })?;
    (factory.targets || target.is_none()).then_some((factory, target))
}

/// Finds a predicate by our name, Java class or simple class name.
#[must_use]
pub fn find_predicate(asked: &str) -> Option<&'static PredicateFactory> {
    inventory::iter::<PredicateFactory>
        .into_iter()
        .find(|factory| answers_to(asked, factory.name, factory.java_class, ""))
}

/// The last part of a class name without the ending that all classes of its kind share.
fn stem<'n>(name: &'n str, suffix: &str) -> &'n str {
    let simple = simple_name(name);
    simple.strip_suffix(suffix).unwrap_or(simple)
}

/// Of names and Java classes the Java class that `asked` is likely a misspelling of.
fn likely_class(
    asked: &str,
    known: impl IntoIterator<Item = (&'static str, &'static str)>,
    suffix: &str,
) -> Option<&'static str> {
    let asked = simple_name(asked.split('$').next().unwrap_or(asked));
    let mut spellings = Vec::new();
    for (name, class) in known {
        spellings.extend([(name, class), (simple_name(class), class)]);
        // A stem is short, so it is compared with stems only: all of a kind end alike.
        if let Some(near) = misspelt(stem(asked, suffix), [stem(class, suffix)]) {
            spellings.push((near, class));
        }
    }
    let found = misspelt(asked, spellings.iter().map(|(spelling, _)| *spelling))
        .or_else(|| misspelt(stem(asked, suffix), spellings.iter().map(|(spelling, _)| *spelling)))?;
    spellings.iter().find(|(spelling, _)| *spelling == found).map(|(_, class)| *class)
}

/// What to do about a class that is not known: the likely one, else all there are.
fn class_remedy(asked: &str, known: impl IntoIterator<Item = (&'static str, &'static str)>, suffix: &str) -> String {
    let known: Vec<_> = known.into_iter().collect();
    match likely_class(asked, known.iter().copied(), suffix) {
        Some(class) => format!("did you mean {class}?"),
        None => {
            let mut names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
            names.sort_unstable();
            names.dedup();
            format!("write one of {}, or its Java class", names.join(", "))
        }
    }
}

/// What to do about a `connector.class` that names nothing.
#[must_use]
pub fn connector_remedy(asked: &str) -> String {
    class_remedy(asked, connectors().iter().map(|factory| (factory.name, factory.java_class)), "Connector")
}

/// What to do about the class of a direct task's half that names nothing of that kind.
#[must_use]
pub fn task_remedy(asked: &str, kind: ConnectorKind) -> String {
    let of_kind = connectors().into_iter().filter(|factory| factory.build.kind() == kind);
    class_remedy(asked, of_kind.map(|factory| (factory.name, factory.java_task_class)), "Task")
}

/// What to do about a converter that is not known.
#[must_use]
pub fn converter_remedy(asked: &str) -> String {
    class_remedy(asked, converters().iter().map(|factory| (factory.name, factory.java_class)), "Converter")
}

/// What to do about a transform that is not known.
#[must_use]
pub fn transform_remedy(asked: &str) -> String {
    class_remedy(asked, transforms().iter().map(|factory| (factory.name, factory.java_class)), "")
}

/// What to do about a predicate that is not known.
#[must_use]
pub fn predicate_remedy(asked: &str) -> String {
    class_remedy(asked, predicates().iter().map(|factory| (factory.name, factory.java_class)), "")
}

/// Names that two entries claim; a start-up error when not empty.
#[must_use]
pub fn duplicate_names() -> Vec<String> {
    let mut names: Vec<&str> = Vec::new();
    names.extend(inventory::iter::<ConnectorFactory>.into_iter().flat_map(|f| [f.name, f.java_class]));
    names.extend(inventory::iter::<ConverterFactory>.into_iter().flat_map(|f| [f.name, f.java_class]));
    for factory in inventory::iter::<TransformFactory> {
        names.extend([factory.name, factory.java_class].into_iter().chain(factory.aliases.iter().copied()));
    }
    names.extend(inventory::iter::<PredicateFactory>.into_iter().flat_map(|f| [f.name, f.java_class]));
    names.sort_unstable();
    let twice = names.windows(2).filter_map(|pair| match pair {
        [a, b] if a == b => Some((*a).to_owned()),
        _ => None,
    });
    twice.collect()
}
