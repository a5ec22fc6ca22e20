//! The exam that every registered connector sits, whoever wrote it: names, keys, bad configurations, the split into
//! tasks, and that building a task touches nothing outside.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod nowhere;
mod table;

use rmqc_connectors as _;
use rmqc_core::config::Properties;
use rmqc_core::config::connector::{COMMON_KEYS, SINK_KEYS, SOURCE_KEYS, TOPIC_NAME, TOPIC_NAMES};
use rmqc_core::config::key::{ConfigErrors, ConfigKey, KeyKind, check_all};
use rmqc_core::error::Retry;
use rmqc_core::registry::{ConnectorFactory, ConnectorKind, TaskBuilder, connectors};

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
fn check(factory: &ConnectorFactory, config: &Properties) -> Result<(), ConfigErrors> {
    check_all(factory.keys, config)?;
    (factory.validate)(config)
}

#[test]
fn the_least_configuration_is_enough() {
    for factory in connectors() {
        check(factory, &least(factory)).unwrap_or_else(|errors| panic!("{}: {errors}", factory.name));
    }
}

#[test]
fn a_bad_value_is_refused_and_its_key_named() {
    let mut tried = 0;
    for factory in connectors() {
        for key in factory.keys {
            for name in std::iter::once(&key.name).chain(key.aliases) {
                for value in bad_values(key) {
                    let mut config = least(factory);
                    config.insert((*name).to_owned(), value.clone());
                    let errors = check(factory, &config).expect_err(&format!("{}: {name}={value}", factory.name));
                    assert!(errors.0.iter().any(|error| error.key == key.name), "{}: {errors:?}", factory.name);
                    assert!(errors.to_string().contains(key.name), "{}: {errors}", factory.name);
                    tried += 1;
                }
            }
        }
    }
    assert!(tried > 50, "only {tried} bad values");
}

#[test]
fn a_missing_required_key_is_named() {
    for factory in connectors() {
        for key in factory.keys.iter().filter(|key| key.default.is_none()) {
            let mut config = least(factory);
            config.remove(key.name);
            let errors = check(factory, &config).unwrap_err();
            assert_eq!(errors.0.first().map(|error| error.key.as_str()), Some(key.name), "{}", factory.name);
        }
    }
}

#[test]
fn all_faults_are_told_at_once() {
    for factory in connectors() {
        let faulty: Vec<_> = factory.keys.iter().filter(|key| !bad_values(key).is_empty()).collect();
        let mut config = least(factory);
        config.extend(faulty.iter().map(|key| (key.name.to_owned(), bad_values(key).swap_remove(0))));
        if !faulty.is_empty() {
            let errors = (factory.validate)(&config).unwrap_err();
            assert_eq!(errors.0.len(), faulty.len(), "{}: {errors:?}", factory.name);
        }
    }
}

#[test]
fn keys_are_explained_unambiguous_and_their_defaults_are_good() {
    for factory in connectors() {
        let runtime_keys = match factory.build.kind() {
            ConnectorKind::Source => SOURCE_KEYS,
            ConnectorKind::Sink => SINK_KEYS,
        };
        let mut names = Vec::new();
        for key in factory.keys.iter().chain(COMMON_KEYS).chain(runtime_keys) {
            assert!(!key.doc.is_empty() && key.doc.ends_with('.'), "{}: {}", factory.name, key.name);
            if let Some(default) = key.default {
                let config = Properties::from([(key.name.to_owned(), default.to_owned())]);
                assert_eq!(key.check(&config), Ok(()), "{}: {}", factory.name, key.name);
            }
            // Kafka Connect's `topic` and `topics` stand back where a connector has a key of that name.
            let stands_back = |alias: &&str| {
                [TOPIC_NAME.name, TOPIC_NAMES.name].contains(&key.name)
                    && factory.keys.iter().any(|own| own.name == *alias)
            };
            names.push(key.name);
            names.extend(key.aliases.iter().copied().filter(|alias| !stands_back(alias)));
        }
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count, "{}: a key means two things", factory.name);
    }
}

#[test]
fn the_split_into_tasks_is_bounded_repeatable_and_valid() {
    for factory in connectors() {
        let mut config = least(factory);
        for key in factory.keys.iter().filter(|key| key.kind == KeyKind::List) {
            config.insert(key.name.to_owned(), "a,b,c,d,e".to_owned());
        }
        config.insert("value.converter".to_owned(), "string".to_owned());
        for max_tasks in [1, 2, 3, 7, 1024] {
            let split = || (factory.task_configs)(&config, max_tasks).unwrap();
            let tasks = split();
            assert!((1..=max_tasks).contains(&tasks.len()), "{}: {} of {max_tasks}", factory.name, tasks.len());
            assert_eq!(tasks, split(), "{}", factory.name);
            for task in &tasks {
                check(factory, task).unwrap_or_else(|errors| panic!("{}: {errors}", factory.name));
                // A task's configuration holds the connector's own keys; others are passed on as they are.
                assert_eq!(task.get("value.converter"), config.get("value.converter"), "{}", factory.name);
            }
        }
    }
}

#[test]
fn a_task_is_built_without_touching_the_outside_and_refuses_a_bad_configuration() {
    for factory in connectors() {
        for config in (factory.task_configs)(&least(factory), 2).unwrap() {
            let built = build(factory, config);
            assert!(built.is_ok(), "{}: {:?}", factory.name, built.err());
        }
        if let Some(key) = factory.keys.iter().find(|key| !bad_values(key).is_empty()) {
            let mut config = least(factory);
            config.insert(key.name.to_owned(), bad_values(key).swap_remove(0));
            let error = build(factory, config).unwrap_err();
            assert_eq!(error.retry(), Retry::Fatal, "{}", factory.name);
            assert!(error.to_string().contains(key.name), "{}: {error}", factory.name);
        }
    }
}

fn build(factory: &ConnectorFactory, config: Properties) -> rmqc_core::error::Result<()> {
    match factory.build {
        TaskBuilder::Source(build) => build(nowhere::context(config)).map(drop),
        TaskBuilder::Sink(build) => build(nowhere::context(config)).map(drop),
    }
}
