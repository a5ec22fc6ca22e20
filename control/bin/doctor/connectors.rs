//! The connectors that there are or shall be: their configurations, and the topics that they need.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rmqc_control::controller::{ConverterDefaults, DefineSettings, define};
use rmqc_core::config::Properties;
use rmqc_core::config::connector::{CONNECTOR_CLASS, DIRECT_ENABLE, DLQ_TOPIC, TASK_GROUP_ID, TOPIC_NAME, sink_topics};
use rmqc_core::config::provider::Providers;
use rmqc_core::config::worker::WorkerConfig;
use rmqc_core::registry::{ConnectorKind, find_connector};
use serde_json::Value;

use super::finding::Finding;
use super::store::Named;
use super::{conf, files};

const CHECK: &str = "connector";

/// What a connector does with a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// It writes to it.
    Source,
    /// It reads from it.
    Sink,
    /// It writes what it gives up to it.
    DeadLetters,
}

/// A topic that a connector needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// The connector.
    pub connector: String,
    /// The topic.
    pub topic: String,
    /// What it is for.
    pub role: Role,
    /// Consumer group of a sink.
    pub group: String,
    /// Number of the connector's tasks.
    pub tasks: usize,
}

/// All connectors looked at.
#[derive(Debug, Default)]
pub(crate) struct Connectors {
    /// What was found.
    pub findings: Vec<Finding>,
    /// Topics needed.
    pub wanted: Vec<Wanted>,
    /// Tasks of all connectors together.
    pub tasks: usize,
}

/// Reads the files named by `--connector`.
pub(crate) fn from_files(paths: &[PathBuf]) -> (Vec<Finding>, Vec<Named>) {
    let (mut findings, mut named) = (Vec::new(), Vec::new());
    for path in paths {
        match read(path) {
            Ok((name, properties)) => {
                findings.extend(files::secrets(path, &properties, &known_keys(&properties)));
                named.push((name, properties));
            }
            Err(why) => {
                let remedy = "give a JSON object of the connector's keys, as conf/examples/file-sink.json has them";
                findings.push(Finding::fail(CHECK, path.display().to_string(), why, remedy));
            }
        }
    }
    (findings, named)
}

fn known_keys(properties: &Properties) -> Vec<rmqc_core::config::key::ConfigKey> {
    let factory = CONNECTOR_CLASS.text(properties).and_then(find_connector);
    factory.map(|factory| factory.keys.to_vec()).unwrap_or_default()
}

fn read(path: &Path) -> Result<Named, String> {
    let text = conf::text(path).map_err(|errors| errors.to_string())?;
    let json: Value = serde_json::from_str(&text).map_err(|error| format!("is no JSON: {error}"))?;
    let outer = json.as_object().ok_or("is no JSON object")?;
    let name = outer.get("name").and_then(Value::as_str).map(str::to_owned);
    let stem = || path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let keys = match outer.get("config") {
        Some(Value::Object(config)) => config,
        _ => outer,
    };
    let text = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    };
    let pair = |(key, value): (&String, &Value)| {
        let value = text(value).ok_or_else(|| format!("the value of {key} is no single value"))?;
        Ok((key.clone(), value))
    };
    Ok((name.unwrap_or_else(stem), keys.iter().map(pair).collect::<Result<_, String>>()?))
}

/// Checks each connector's configuration as the worker does, and collects what it needs.
pub(crate) fn look(named: &[Named], config: &WorkerConfig, shards: usize) -> Connectors {
    let converters = ConverterDefaults { key: config.key_converter.clone(), value: config.value_converter.clone() };
    let providers = Arc::new(Providers::registered(&config.providers));
    let settings = DefineSettings { converters, shards, providers };
    let mut all = Connectors::default();
    for (name, properties) in named {
        let tasks = match define(properties, &settings) {
            Ok(definition) => {
                let tasks = definition.tasks.len();
                let found = format!("{}, tasks: {tasks}", definition.factory.name);
                all.findings.push(Finding::ok(CHECK, name, found));
                tasks
            }
            Err(error) => {
                let remedy = "correct the connector's configuration; conf/reference.md has the keys of each class";
                all.findings.push(Finding::fail(CHECK, name, error.to_string(), remedy));
                0
            }
        };
        all.tasks = all.tasks.saturating_add(tasks);
        all.wanted.extend(wanted(name, properties, tasks));
    }
    all
}

fn wanted(name: &str, properties: &Properties, tasks: usize) -> Vec<Wanted> {
    let own_group = TASK_GROUP_ID.text(properties).filter(|group| !group.is_empty()).map(str::to_owned);
    let group = own_group.unwrap_or_else(|| format!("connect-{name}"));
    let one = |topic: &str, role| Wanted {
        connector: name.to_owned(),
        topic: topic.to_owned(),
        role,
        group: group.clone(),
        tasks,
    };
    let kind = CONNECTOR_CLASS.text(properties).and_then(find_connector).map(|factory| factory.build.kind());
    let direct = DIRECT_ENABLE.boolean(properties);
    let topic = TOPIC_NAME.text(properties).unwrap_or_default();
    let dead_letters = DLQ_TOPIC.text(properties).unwrap_or_default();
    let mut topics = Vec::new();
    if kind == Some(ConnectorKind::Sink) && !direct {
        topics.extend(sink_topics(properties).iter().map(|topic| one(topic, Role::Sink)));
    }
    if kind == Some(ConnectorKind::Source) && !direct && !topic.is_empty() {
        topics.push(one(topic, Role::Source));
    }
    if !dead_letters.is_empty() {
        topics.push(one(dead_letters, Role::DeadLetters));
    }
    topics
}

#[cfg(test)]
mod tests {
    use super::super::finding::Status;
    use super::*;

    #[test]
    fn both_forms_of_a_connectors_file_are_read_and_other_ones_refused() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("my-sink.json");
        for (text, expected) in [
            (r#"{"connector.class":"file-sink","connect.topicnames":"a;b","max.tasks":2}"#, Some("my-sink")),
            (r#"{"name":"other","config":{"connect.topicnames":"a;b"}}"#, Some("other")),
            (r#"{"a":[1]}"#, None),
            ("[]", None),
            ("{", None),
        ] {
            std::fs::write(&file, text).unwrap();
            let (findings, named) = from_files(std::slice::from_ref(&file));
            assert_eq!(named.first().map(|(name, _)| name.as_str()), expected);
            assert_eq!(findings.iter().any(|finding| finding.status == Status::Fail), expected.is_none());
        }
    }

    #[test]
    fn topics_are_wanted_for_what_a_connector_does_with_them() {
        let check = |pairs: &[(&str, &str)], expected: &[(&str, Role, &str)]| {
            let properties = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
            let wanted = wanted("n", &properties, 1);
            let found: Vec<_> = wanted.iter().map(|one| (one.topic.as_str(), one.role, one.group.as_str())).collect();
            assert_eq!(found, expected);
        };
        let sink = ("connector.class", "file-sink");
        check(
            &[sink, ("connect.topicnames", "a;b"), ("errors.deadletterqueue.topic.name", "d")],
            &[("a", Role::Sink, "connect-n"), ("b", Role::Sink, "connect-n"), ("d", Role::DeadLetters, "connect-n")],
        );
        check(&[sink, ("connect.topicnames", "a"), ("task.group.id", "g")], &[("a", Role::Sink, "g")]);
        check(&[("connector.class", "file-source"), ("connect.topicname", "a")], &[("a", Role::Source, "connect-n")]);
        check(&[sink, ("connect.topicnames", "a"), ("connector.direct.enable", "true")], &[]);
    }
}
