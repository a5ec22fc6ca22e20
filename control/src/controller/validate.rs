//! Everything that there is to say about a connector's configuration, at once: its keys with their values, what is wrong
//! and what looks wrong. A worker accepts what has no errors here, and nothing else.

use rmqc_core::chain::{self, Chain};
use rmqc_core::config::Properties;
use rmqc_core::config::connector::{
    COMMON_KEYS, CONNECTOR_CLASS, DIRECT_ENABLE, KEY_CONVERTER, MAX_TASKS, ORDERING, SINK_KEYS, SOURCE_KEYS,
    TOPIC_NAME, TOPIC_NAMES, VALUE_CONVERTER, sink_topics,
};
use rmqc_core::config::key::{ConfigError, ConfigErrors, ConfigKey, MASK, check_all};
use rmqc_core::config::provider::refers;
use rmqc_core::config::secret::{Scrubber, passwords_in};
use rmqc_core::converter::{self, converter_from_config};
use rmqc_core::registry::{ConnectorFactory, ConnectorKind, connector_remedy, connectors, find_connector};

use super::direct::Halves;
use super::secrets::{Meaning, scrubber};
use super::warnings::warnings;
use super::{DefineSettings, known_keys};

/// What is to be said about a configuration.
#[derive(Clone)]
pub struct Validation {
    /// What the configuration names; none if it names nothing known.
    pub class: Option<&'static ConnectorFactory>,
    /// All keys that the configuration may have, given or not, each with its own faults.
    pub keys: Vec<CheckedKey>,
    /// Everything wrong, in the order in which the Java worker looks; empty: the configuration is accepted.
    pub errors: Vec<ConfigError>,
    /// What is accepted but has no effect, or is likely not meant.
    pub warnings: Vec<ConfigWarning>,
}

/// One key of a configuration.
#[derive(Clone, Debug)]
pub struct CheckedKey {
    /// Its full name, e.g. `transforms.x.field`.
    pub name: String,
    /// What it means. The name in it is the short one, e.g. `field`.
    pub definition: ConfigKey,
    /// Whose key it is: `Common`, `Errors`, `Source`, `Sink`, the connector's name, `Transforms: x`, `Predicates: p`,
    /// `Key converter`, `Value converter`.
    pub group: String,
    /// The value given, else the default; a secret's is masked, a reference stays one.
    pub value: Option<String>,
    /// What is wrong with it.
    pub errors: Vec<ConfigError>,
}

/// Something that is accepted but should be looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigWarning {
    /// The key.
    pub key: String,
    /// What is odd about it.
    pub message: String,
    /// The key that was likely meant.
    pub likely: Option<String>,
}

/// A configuration looked at from all sides.
pub(super) struct Inspected {
    pub validation: Validation,
    /// The configuration with references replaced: holds secrets.
    pub resolved: Properties,
    /// One configuration a task, as the connector made them of the resolved one; none if anything is wrong.
    pub parts: Vec<Properties>,
    /// All secrets, each with what is shown in its place.
    pub secrets: Vec<(String, String)>,
}

/// Says everything that there is to say about a configuration. A pure function but for what the providers look up, which
/// may block when the configuration holds references.
#[must_use]
pub fn validate(properties: &Properties, settings: &DefineSettings) -> Validation {
    inspect(properties, settings).validation
}

/// Checks everything. Only what has no fault is split into tasks.
pub(super) fn inspect(properties: &Properties, settings: &DefineSettings) -> Inspected {
    let looked_up = settings.providers.resolve(properties);
    let failed = looked_up.failed();
    let mut resolved = looked_up.properties.clone();
    resolved.retain(|key, _| !failed.contains(key.as_str()));
    let mut errors = looked_up.errors.clone();
    let class = find_class(&resolved, &mut errors);
    keep_own_names(&mut resolved, class);
    let halves = Halves::of(&resolved).unwrap_or_else(|wrong| {
        errors.extend(wrong.0);
        None
    });
    faults(&resolved, class, halves, settings, &mut errors);
    // What follows from a reference that stands for nothing has been told with it.
    let mut told = looked_up.errors.len();
    errors.retain(|error| {
        let of_provider = told > 0;
        told = told.saturating_sub(1);
        of_provider || !failed.contains(error.key.as_str())
    });
    let mut parts = Vec::new();
    if let (Some(factory), true) = (class, errors.is_empty()) {
        match split(&resolved, factory, halves, settings.shards) {
            Ok(split) => parts = split,
            Err(wrong) => errors = wrong.0,
        }
    }
    let meaning = Meaning::of(&resolved, class);
    let warnings = warnings(properties, &resolved, &meaning);
    let secrets = meaning.secrets(&looked_up.provided);
    let scrubber = scrubber(&secrets);
    for error in &mut errors {
        complete(error, properties, &resolved, &meaning, &warnings);
        conceal(error, &scrubber);
    }
    let keys = checked_keys(properties, &resolved, class, halves, &meaning, &errors);
    let validation = Validation { class, keys, errors, warnings };
    Inspected { validation, resolved, parts, secrets }
}

/// A connector's own key goes before another spelling of a common one: what it means is the connector's matter.
fn keep_own_names(properties: &mut Properties, class: Option<&'static ConnectorFactory>) {
    let own = class.map(|factory| factory.keys).unwrap_or_default();
    for key in [TOPIC_NAME, TOPIC_NAMES] {
        let taken = |alias: &str| properties.contains_key(alias) && own.iter().any(|key| key.name == alias);
        if key.aliases.iter().any(|alias| taken(alias)) && !properties.contains_key(key.name) {
            properties.insert(key.name.to_owned(), String::new());
        }
    }
}

/// Adds value and remedy where whoever found the fault left them out. What a reference stands for is no value to show.
fn complete(
    error: &mut ConfigError,
    properties: &Properties,
    resolved: &Properties,
    meaning: &Meaning<'_>,
    warnings: &[ConfigWarning],
) {
    let definition = meaning.definition(&error.key);
    let raw = given(properties, &error.key, definition.as_ref());
    let text = raw.map(|(_, text)| text.trim()).filter(|text| !text.is_empty());
    if let Some((name, raw)) = raw.filter(|(_, raw)| refers(raw)) {
        let stands_for = resolved.get(name).map(|text| text.trim()).unwrap_or_default();
        error.message = error.message.replace(&format!("\"{stands_for}\""), &format!("\"{raw}\""));
        if !error.value.as_deref().is_some_and(refers) {
            error.value = Some(meaning.shown(name, raw).into_owned());
        }
    } else if meaning.is_secret(&error.key) {
        error.value = None;
    } else if error.value.is_none() {
        error.value = text.map(str::to_owned);
    }
    let meant = warnings.iter().find(|warning| warning.likely.as_deref() == Some(error.key.as_str()));
    if let Some(meant) = meant.filter(|_| raw.is_none()) {
        error.remedy = Some(format!("write {} instead of {}", error.key, meant.key));
    } else if error.remedy.is_none() {
        error.remedy = Some(match &definition {
            Some(key) => key.remedy(text).replacen(&format!("set {}:", key.name), &format!("set {}:", error.key), 1),
            None => format!("correct {}, or leave it out", error.key),
        });
    }
}

/// Takes secrets out of what is said about a fault.
fn conceal(error: &mut ConfigError, scrubber: &Scrubber) {
    let texts = [Some(&mut error.message), error.value.as_mut(), error.remedy.as_mut()];
    texts.into_iter().flatten().for_each(|text| scrubber.scrub_in_place(text));
}

/// The spelling of a key that a configuration uses, with its text.
fn given<'p>(properties: &'p Properties, name: &str, key: Option<&ConfigKey>) -> Option<(&'p str, &'p str)> {
    let find = |name: &str| properties.get_key_value(name).map(|(name, text)| (name.as_str(), text.as_str()));
    find(name).or_else(|| {
        let key = key?;
        let prefix = name.strip_suffix(key.name)?;
        key.aliases.iter().find_map(|alias| find(&format!("{prefix}{alias}")))
    })
}

fn find_class(properties: &Properties, errors: &mut Vec<ConfigError>) -> Option<&'static ConnectorFactory> {
    let Some(class) = CONNECTOR_CLASS.text(properties) else {
        let message = format!("Request config key: {}", CONNECTOR_CLASS.name);
        let error = ConfigError::new(CONNECTOR_CLASS.name, message);
        errors.push(error.with_remedy(CONNECTOR_CLASS.remedy(None)));
        return None;
    };
    let found = find_connector(class);
    if found.is_none() {
        let known: Vec<_> = connectors().iter().map(|factory| factory.java_class).collect();
        let message = format!(
            "Failed to find any class that implements Connector and which name matches {class}, available connectors are: {}",
            known.join(", ")
        );
        let error = ConfigError::new(CONNECTOR_CLASS.name, message).with_value(class);
        errors.push(error.with_remedy(connector_remedy(class)));
    }
    found
}

/// Everything wrong with the keys, the class apart.
fn faults(
    properties: &Properties,
    class: Option<&'static ConnectorFactory>,
    halves: Option<Halves>,
    settings: &DefineSettings,
    errors: &mut Vec<ConfigError>,
) {
    let is_sink = class.is_some_and(|factory| factory.build.kind() == ConnectorKind::Sink);
    if is_sink && !DIRECT_ENABLE.boolean(properties) && sink_topics(properties).is_empty() {
        let message = format!("Config {} cannot be empty", TOPIC_NAMES.name);
        errors.push(ConfigError::new(TOPIC_NAMES.name, message).with_remedy(TOPIC_NAMES.remedy(None)));
    }
    let mut keys = known_keys(properties, class);
    if class.is_none() {
        keys.extend(COMMON_KEYS.iter().filter(|key| key.name != CONNECTOR_CLASS.name));
    }
    for error in check_all(&keys, properties).err().map(|errors| errors.0).unwrap_or_default() {
        push_new(errors, as_java(error, properties));
    }
    let meaning = Meaning::of(properties, class);
    let is_mask = |name: &str, value: &str| match meaning.is_secret(name) {
        true => value == MASK,
        false => passwords_in(value).any(|password| password == MASK),
    };
    for (name, _) in properties.iter().filter(|(name, value)| is_mask(name, value)) {
        errors.push(
            ConfigError::new(name, format!("Config {name} is the mask of a secret"))
                .with_remedy("give the secret itself, or a reference to it such as ${file:PATH:KEY}"),
        );
    }
    let mut complete = properties.clone();
    complete.entry(KEY_CONVERTER.name.to_owned()).or_insert_with(|| settings.converters.key.clone());
    complete.entry(VALUE_CONVERTER.name.to_owned()).or_insert_with(|| settings.converters.value.clone());
    for (key, is_key) in [(KEY_CONVERTER, true), (VALUE_CONVERTER, false)] {
        let built = converter_from_config(&key, &complete, is_key);
        errors.extend(built.err().map(|errors| errors.0).unwrap_or_default());
    }
    errors.extend(Chain::from_config(properties).err().map(|errors| errors.0).unwrap_or_default());
    let mut parts: Vec<&'static ConnectorFactory> = class.into_iter().collect();
    parts.extend(halves.into_iter().flat_map(|halves| [halves.source, halves.sink]));
    for part in parts {
        // What a connector says itself presupposes that its single keys are right.
        if check_all(part.keys, properties).is_ok() {
            let wrong = (part.validate)(properties).err().map(|errors| errors.0).unwrap_or_default();
            wrong.into_iter().for_each(|error| push_new(errors, error));
        }
    }
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
            ConfigError { message: format!("For input string: \"{text}\""), ..error }
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

/// The configurations that the connector makes for its tasks.
fn split(
    properties: &Properties,
    factory: &'static ConnectorFactory,
    halves: Option<Halves>,
    shards: usize,
) -> Result<Vec<Properties>, ConfigErrors> {
    let max_tasks = max_tasks(properties, factory, halves.is_some(), shards);
    let parts = (factory.task_configs)(properties, max_tasks)?;
    if parts.is_empty() {
        let message = "The connector taskConfigs is empty, Please check configuration";
        return Err(ConfigError::new(MAX_TASKS.name, message).into());
    }
    if let Some(halves) = halves {
        halves.check_split(factory, parts.len())?;
    }
    Ok(parts)
}

/// All keys with their groups, in the order of the reference page.
fn grouped_keys(
    properties: &Properties,
    class: Option<&'static ConnectorFactory>,
    halves: Option<Halves>,
) -> Vec<(String, ConfigKey, String)> {
    let mut all: Vec<(String, ConfigKey, String)> = Vec::new();
    let mut add = |keys: &[ConfigKey], group: &str| {
        for key in keys {
            if !all.iter().any(|(name, ..)| name == key.name) {
                let group = if group == "Common" && key.name.starts_with("errors.") { "Errors" } else { group };
                all.push((key.name.to_owned(), *key, group.to_owned()));
            }
        }
    };
    add(COMMON_KEYS, "Common");
    if let Some(factory) = class {
        match factory.build.kind() {
            ConnectorKind::Source => add(SOURCE_KEYS, "Source"),
            ConnectorKind::Sink => add(SINK_KEYS, "Sink"),
        }
        add(factory.keys, factory.name);
    }
    if let Some(halves) = halves {
        add(&[TOPIC_NAME], "Source");
        add(halves.source.keys, halves.source.name);
        add(halves.sink.keys, halves.sink.name);
    }
    let converters = [(KEY_CONVERTER, "Key converter"), (VALUE_CONVERTER, "Value converter")];
    let of_converters = converters.iter().filter_map(|(key, title)| Some((converter::part(key, properties)?, *title)));
    let of_converters: Vec<_> = of_converters.map(|(part, title)| (part, title.to_owned())).collect();
    let of_chain = chain::parts(properties).into_iter().map(|part| {
        let title = part.title();
        (part, title)
    });
    for (part, title) in of_converters.into_iter().chain(of_chain) {
        let full = |key: &ConfigKey| (format!("{}.{}", part.prefix, key.name), *key, title.clone());
        all.extend(part.keys.iter().map(full));
    }
    all
}

fn checked_keys(
    properties: &Properties,
    resolved: &Properties,
    class: Option<&'static ConnectorFactory>,
    halves: Option<Halves>,
    meaning: &Meaning<'_>,
    errors: &[ConfigError],
) -> Vec<CheckedKey> {
    let checked = |(name, definition, group): (String, ConfigKey, String)| {
        let given = given(properties, &name, Some(&definition));
        let value = match given {
            Some((spelling, text)) => Some(meaning.shown(spelling, text.trim()).into_owned()),
            None => definition.default.map(str::to_owned),
        };
        let errors = errors.iter().filter(|error| error.key == name).cloned().collect();
        CheckedKey { name, definition, group, value, errors }
    };
    grouped_keys(resolved, class, halves).into_iter().map(checked).collect()
}
