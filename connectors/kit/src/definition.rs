//! What is asked without any outside system: names, keys, bad configurations, the split into tasks, and that building a
//! task touches nothing.

use std::panic::{AssertUnwindSafe, catch_unwind};

use rmqc_core::config::Properties;
use rmqc_core::config::connector::{COMMON_KEYS, SINK_KEYS, SOURCE_KEYS};
use rmqc_core::config::key::{ConfigErrors, ConfigKey, KeyKind, check_all};
use rmqc_core::error::{ConnectError, Retry};
use rmqc_core::registry::{ConnectorFactory, ConnectorKind, TaskBuilder, find_connector};

use crate::exam::{Verdict, Violation};
use crate::nowhere;

/// A rule and how it is asked.
type Rule = (&'static str, fn(&ConnectorFactory) -> Verdict);

const RULES: &[Rule] = &[
    ("the connector is found by all its names", names),
    ("keys are explained, unambiguous, and have good defaults", keys),
    ("the required keys are enough", least_is_enough),
    ("a missing required key is named", missing_key),
    ("a bad value is refused and its key named", bad_value),
    ("all faults are told at once", all_at_once),
    ("the split into tasks is bounded, repeatable and valid", split),
    ("building a task touches nothing outside and refuses a bad configuration", building),
];

/// Keys of a connector's own that are spelled like one of the runtime's because they mean the same: the topic that the
/// file source's `topic` names is that of its records. For any other connector such a key would be taken for the
/// runtime's, too.
const SAME_MEANING: &[(&str, &str)] = &[("file-source", "topic")];

/// Asks all of it.
pub(crate) fn examine(factory: &ConnectorFactory) -> Vec<Violation> {
    let asked = RULES.iter().map(|(rule, ask)| (*rule, ask(factory)));
    asked.filter_map(|(rule, verdict)| verdict.err().map(|found| Violation { rule, found })).collect()
}

/// A verdict of one condition.
pub(crate) fn require(condition: bool, found: impl FnOnce() -> String) -> Verdict {
    if condition { Ok(()) } else { Err(found()) }
}

/// A value that a key of this kind takes.
fn good_value(key: &ConfigKey) -> String {
    match key.kind {
        KeyKind::Text | KeyKind::List | KeyKind::Secret => "x".to_owned(),
        KeyKind::Boolean => "true".to_owned(),
        KeyKind::Integer { min, .. } => min.to_string(),
        KeyKind::CountOrAuto { .. } => "auto".to_owned(),
        KeyKind::Choice(words) => words[0].to_owned(),
    }
}

/// Values that a key of this kind must refuse.
fn bad_values(key: &ConfigKey) -> Vec<String> {
    match key.kind {
        KeyKind::Text | KeyKind::List | KeyKind::Secret => vec![],
        KeyKind::Boolean => vec!["maybe".to_owned(), String::new()],
        KeyKind::Integer { min, max } => {
            let beyond =
                [min.checked_sub(1), max.checked_add(1)].into_iter().flatten().map(|number| number.to_string());
            beyond.chain(["many", "", "1.5", "9223372036854775808"].map(str::to_owned)).collect()
        }
        KeyKind::CountOrAuto { max } => {
            let beyond = ["0".to_owned(), max.saturating_add(1).to_string()];
            beyond.into_iter().chain(["many", "", "-1"].map(str::to_owned)).collect()
        }
        KeyKind::Choice(_) => vec!["no such word".to_owned(), String::new()],
    }
}

/// The least configuration that a connector takes: its required keys.
fn least(factory: &ConnectorFactory) -> Properties {
    let required = factory.keys.iter().filter(|key| key.default.is_none());
    required.map(|key| (key.name.to_owned(), good_value(key))).collect()
}

/// What the runtime does before it starts a connector.
fn checked(factory: &ConnectorFactory, config: &Properties) -> Result<(), ConfigErrors> {
    check_all(factory.keys, config)?;
    (factory.validate)(config)
}

fn names(factory: &ConnectorFactory) -> Verdict {
    let kind = match factory.build.kind() {
        ConnectorKind::Source => "source",
        ConnectorKind::Sink => "sink",
    };
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    require(
        factory.name.bytes().all(plain) && factory.name.rsplit_once('-').is_some_and(|(_, last)| last == kind),
        || format!("name `{}`: expected small letters, digits and `-`, and `-{kind}` at its end", factory.name),
    )?;
    let simple = factory.java_class.rsplit('.').next().unwrap_or_default();
    let Some(short) = simple.strip_suffix("Connector") else {
        return Err(format!("java_class `{}`: expected a class that ends with Connector", factory.java_class));
    };
    let task_class = factory.java_class.replace("Connector", "Task");
    require(factory.java_task_class == task_class, || {
        format!("java_task_class `{}`: expected `{task_class}`", factory.java_task_class)
    })?;
    for asked in [factory.name, factory.java_class, simple, short] {
        let found = find_connector(asked).map(|found| found.name);
        require(found == Some(factory.name), || format!("`{asked}` finds {found:?}; another part has this name"))?;
    }
    Ok(())
}

fn keys(factory: &ConnectorFactory) -> Verdict {
    let runtime_keys = match factory.build.kind() {
        ConnectorKind::Source => SOURCE_KEYS,
        ConnectorKind::Sink => SINK_KEYS,
    };
    let mut names = Vec::new();
    for key in factory.keys.iter().chain(COMMON_KEYS).chain(runtime_keys) {
        require(key.doc.ends_with('.'), || format!("key {}: its doc is no sentence: {:?}", key.name, key.doc))?;
        if let Some(default) = key.default {
            let config = Properties::from([(key.name.to_owned(), default.to_owned())]);
            key.check(&config).map_err(|error| format!("key {}: its own default is refused: {error:?}", key.name))?;
        }
        names.extend(std::iter::once(key.name).chain(key.aliases.iter().copied()));
    }
    names.sort_unstable();
    let mean_the_same = |name: &str| SAME_MEANING.contains(&(factory.name, name));
    match names.windows(2).find(|pair| pair[0] == pair[1] && !mean_the_same(pair[0])) {
        Some(pair) => Err(format!("key {} means two things; every connector has the runtime's keys too", pair[0])),
        None => Ok(()),
    }
}

fn least_is_enough(factory: &ConnectorFactory) -> Verdict {
    checked(factory, &least(factory)).map_err(|errors| format!("{:?} is refused: {errors}", least(factory)))
}

fn missing_key(factory: &ConnectorFactory) -> Verdict {
    for key in factory.keys.iter().filter(|key| key.default.is_none()) {
        let mut config = least(factory);
        config.remove(key.name);
        let named = checked(factory, &config).err().and_then(|errors| errors.0.first().map(|error| error.key.clone()));
        require(named.as_deref() == Some(key.name), || format!("without {}, {named:?} is named", key.name))?;
    }
    Ok(())
}

fn bad_value(factory: &ConnectorFactory) -> Verdict {
    for key in factory.keys {
        for name in std::iter::once(&key.name).chain(key.aliases) {
            for value in bad_values(key) {
                let mut config = least(factory);
                config.insert((*name).to_owned(), value.clone());
                let Err(errors) = (factory.validate)(&config) else {
                    return Err(format!("`validate` takes {name}={value:?}"));
                };
                let named = errors.0.iter().any(|error| error.key == key.name) && errors.to_string().contains(key.name);
                require(named, || format!("{name}={value:?}: {} is not named: {errors}", key.name))?;
            }
        }
    }
    Ok(())
}

/// A configuration in which every key that can be wrong is, and how many these are.
fn all_wrong(factory: &ConnectorFactory) -> (Properties, usize) {
    let faulty = factory.keys.iter().filter_map(|key| Some((key.name.to_owned(), bad_values(key).into_iter().next()?)));
    let faulty: Vec<_> = faulty.collect();
    let count = faulty.len();
    let mut config = least(factory);
    config.extend(faulty);
    (config, count)
}

fn all_at_once(factory: &ConnectorFactory) -> Verdict {
    let (config, faults) = all_wrong(factory);
    let told = (factory.validate)(&config).err().map_or(0, |errors| errors.0.len());
    require(told == faults, || format!("of {faults} faults in {config:?}, {told} are told"))
}

fn split(factory: &ConnectorFactory) -> Verdict {
    let mut config = least(factory);
    for key in factory.keys.iter().filter(|key| key.kind == KeyKind::List) {
        config.insert(key.name.to_owned(), "a,b,c,d,e".to_owned());
    }
    config.insert("value.converter".to_owned(), "string".to_owned());
    for max_tasks in [1, 2, 3, 7, 1024] {
        let split = || (factory.task_configs)(&config, max_tasks).map_err(|errors| format!("{config:?}: {errors}"));
        let tasks = split()?;
        require((1..=max_tasks).contains(&tasks.len()), || format!("{} tasks where {max_tasks} may be", tasks.len()))?;
        require(tasks == split()?, || format!("another split of the same configuration into {max_tasks} tasks"))?;
        for task in &tasks {
            checked(factory, task).map_err(|errors| format!("a task's configuration is refused: {errors}"))?;
            // A task's configuration holds the connector's own keys; others are passed on as they are.
            require(task.get("value.converter").is_some_and(|text| text == "string"), || {
                "a key of the runtime, value.converter, is not passed on to the task".to_owned()
            })?;
        }
    }
    Ok(())
}

fn building(factory: &ConnectorFactory) -> Verdict {
    let tasks = (factory.task_configs)(&least(factory), 2).map_err(|errors| errors.to_string())?;
    for config in tasks {
        build(factory, config)?.map_err(|error| format!("a right configuration is refused: {error}"))?;
    }
    for key in factory.keys {
        let Some(bad) = bad_values(key).into_iter().next() else { continue };
        let mut config = least(factory);
        config.insert(key.name.to_owned(), bad.clone());
        let Err(error) = build(factory, config)? else {
            return Err(format!("a task is built with {}={bad:?}", key.name));
        };
        require(error.retry() == Retry::Fatal, || {
            format!("{}={bad:?}: {:?}, expected Fatal", key.name, error.retry())
        })?;
        require(error.to_string().contains(key.name), || format!("the error does not name {}: {error}", key.name))?;
    }
    Ok(())
}

/// Builds a task where there is no outside world; the outer error is what it asked for.
fn build(factory: &ConnectorFactory, config: Properties) -> Result<Result<(), ConnectError>, String> {
    let built = catch_unwind(AssertUnwindSafe(|| match factory.build {
        TaskBuilder::Source(build) => build(nowhere::context(config)).map(drop),
        TaskBuilder::Sink(build) => build(nowhere::context(config)).map(drop),
    }));
    built.map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
    })
}
