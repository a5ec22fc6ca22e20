//! Plug-ins: what this binary has built in, its keys, and checks of configurations.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use rmqc_core::config::connector::CONNECTOR_CLASS;
use rmqc_core::config::key::{ConfigKey, KeyKind};
use rmqc_core::registry::{ConnectorKind, connectors, converters, find_connector, predicates, transforms};
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::V1;
use super::connectors::properties;
use super::error::{ErrorBody, V1Error, Wrong};
use super::request::{Asked, JsonBody, Name};
use crate::controller::{CheckedKey, Validation};
use crate::rest::plugin_paths::{self, PathsInfo};
use crate::rest::plugins::keys;
use crate::rest::{Answer, json};

/// A plug-in.
#[derive(Serialize, ToSchema)]
pub(super) struct Plugin {
    /// The Java class that it answers to.
    class: String,
    /// `source`, `sink`, `converter`, `transformation` or `predicate`.
    #[serde(rename = "type")]
    kind: &'static str,
    version: &'static str,
}

/// What a key means.
#[derive(Serialize, ToSchema)]
pub(super) struct KeyDefinition {
    name: String,
    /// `STRING`, `BOOLEAN`, `LONG`, `LIST` or `PASSWORD`.
    #[serde(rename = "type")]
    kind: &'static str,
    required: bool,
    default_value: Option<&'static str>,
    /// `HIGH` for keys that must be given, else `MEDIUM`.
    importance: &'static str,
    documentation: String,
    group: Option<String>,
    width: &'static str,
    display_name: String,
    dependents: Vec<String>,
    order: i32,
}

/// A key's value in a configuration.
#[derive(Serialize, ToSchema)]
struct KeyValue {
    name: String,
    /// The value given, else the default; a secret's is masked.
    value: Option<String>,
    recommended_values: Vec<&'static str>,
    /// What is wrong with it.
    errors: Vec<String>,
    visible: bool,
    /// The same in parts.
    details: Vec<Wrong>,
}

/// One key of a checked configuration.
#[derive(Serialize, ToSchema)]
struct KeyReport {
    definition: KeyDefinition,
    value: KeyValue,
}

/// What is accepted but has no effect, or is likely not meant.
#[derive(Serialize, ToSchema)]
struct Warning {
    key: String,
    reason: String,
    /// The key that was likely meant.
    likely: Option<String>,
}

/// What there is to say about a configuration.
#[derive(Serialize, ToSchema)]
pub(super) struct Report {
    /// The connector's class.
    name: String,
    error_count: usize,
    groups: Vec<String>,
    configs: Vec<KeyReport>,
    /// Everything wrong, once.
    errors: Vec<Wrong>,
    warnings: Vec<Warning>,
}

impl KeyDefinition {
    fn of(name: &str, key: &ConfigKey, group: Option<String>, order: usize) -> Self {
        let required = key.default.is_none();
        let unit = if key.unit.is_empty() { String::new() } else { format!(" (unit: {})", key.unit) };
        Self {
            name: name.to_owned(),
            kind: match key.kind {
                KeyKind::Boolean => "BOOLEAN",
                KeyKind::Integer { .. } => "LONG",
                KeyKind::List => "LIST",
                KeyKind::Secret => "PASSWORD",
                _ => "STRING",
            },
            required,
            default_value: key.default,
            importance: if required { "HIGH" } else { "MEDIUM" },
            documentation: format!("{}{unit}", key.doc),
            group,
            width: if matches!(key.kind, KeyKind::Boolean | KeyKind::Integer { .. }) { "SHORT" } else { "MEDIUM" },
            display_name: name.to_owned(),
            dependents: Vec::new(),
            order: i32::try_from(order).unwrap_or(i32::MAX),
        }
    }
}

impl KeyReport {
    fn of(order: usize, checked: &CheckedKey) -> Self {
        let recommended_values = match checked.definition.kind {
            KeyKind::Boolean => vec!["true", "false"],
            KeyKind::Choice(words) => words.to_vec(),
            _ => Vec::new(),
        };
        let value = KeyValue {
            name: checked.name.clone(),
            value: checked.value.clone(),
            recommended_values,
            errors: checked.errors.iter().map(|error| error.message.clone()).collect(),
            visible: true,
            details: checked.errors.iter().map(Wrong::from).collect(),
        };
        Self {
            definition: KeyDefinition::of(&checked.name, &checked.definition, Some(checked.group.clone()), order),
            value,
        }
    }
}

impl Report {
    fn of(name: &str, validation: &Validation) -> Self {
        let mut groups: Vec<String> = Vec::new();
        for key in &validation.keys {
            if !groups.contains(&key.group) {
                groups.push(key.group.clone());
            }
        }
        let warning = |one: &crate::controller::ConfigWarning| Warning {
            key: one.key.clone(),
            reason: one.message.clone(),
            likely: one.likely.clone(),
        };
        Self {
            name: validation.class.map_or(name, |factory| factory.java_class).to_owned(),
            error_count: validation.errors.len(),
            groups,
            configs: (1..).zip(&validation.keys).map(|(order, key)| KeyReport::of(order, key)).collect(),
            errors: validation.errors.iter().map(Wrong::from).collect(),
            warnings: validation.warnings.iter().map(warning).collect(),
        }
    }
}

/// All plug-ins; by default only connectors.
#[utoipa::path(get, path = "/connector-plugins", tag = "plugins",
    params(("connectorsOnly" = Option<bool>, Query, description = "Default true: sources and sinks only")),
    responses((status = 200, body = Vec<Plugin>)))]
pub(super) async fn list(State(v1): State<Arc<V1>>, asked: Asked) -> Result<Answer, V1Error> {
    let version = v1.app.settings.version;
    let plugin = |class: &str, kind| Plugin { class: class.to_owned(), kind, version };
    let mut all: Vec<Plugin> = connectors()
        .iter()
        .map(|factory| match factory.build.kind() {
            ConnectorKind::Source => plugin(factory.java_class, "source"),
            ConnectorKind::Sink => plugin(factory.java_class, "sink"),
        })
        .collect();
    if !asked.flag("connectorsOnly", true)? {
        all.extend(converters().iter().map(|one| plugin(one.java_class, "converter")));
        for one in transforms() {
            let halves: &[&str] = if one.targets { &["$Key", "$Value"] } else { &[""] };
            all.extend(halves.iter().map(|half| plugin(&format!("{}{half}", one.java_class), "transformation")));
        }
        all.extend(predicates().iter().map(|one| plugin(one.java_class, "predicate")));
    }
    Ok(json(StatusCode::OK, &all))
}

/// The keys of a connector, converter, transform or predicate.
#[utoipa::path(get, path = "/connector-plugins/{name}/config", tag = "plugins",
    params(("name" = String, Path, description = "Name, Java class, or its simple name")),
    responses((status = 200, body = Vec<KeyDefinition>), (status = 404, body = ErrorBody)))]
pub(super) async fn config(Name(name): Name) -> Result<Answer, V1Error> {
    let keys = keys(&name).ok_or_else(|| unknown(&name))?;
    let all: Vec<_> = (1..).zip(&keys).map(|(order, key)| KeyDefinition::of(key.name, key, None, order)).collect();
    Ok(json(StatusCode::OK, &all))
}

fn unknown(name: &str) -> V1Error {
    V1Error::missing(format!("Unknown plugin {name}. GET /v1/connector-plugins names those that there are"))
}

/// Checks a configuration; nothing is changed.
#[utoipa::path(put, path = "/connector-plugins/{name}/config/validate", tag = "plugins",
    request_body = BTreeMap<String, String>,
    params(("name" = String, Path, description = "Connector: name, Java class, or its simple name")),
    responses((status = 200, body = Report), (status = 400, body = ErrorBody), (status = 404, body = ErrorBody)))]
pub(super) async fn validate(
    State(v1): State<Arc<V1>>,
    Name(name): Name,
    JsonBody(mut config): JsonBody<BTreeMap<String, Box<RawValue>>>,
) -> Result<Answer, V1Error> {
    let factory = find_connector(&name).ok_or_else(|| unknown(&name))?;
    // A connector's own name is no key of its configuration.
    config.remove("name");
    let mut properties = properties("", config)?;
    let class = properties.entry(CONNECTOR_CLASS.name.to_owned()).or_insert_with(|| factory.java_class.to_owned());
    if find_connector(class).is_some_and(|other| !std::ptr::eq(other, factory)) {
        return Err(V1Error::bad_request(format!(
            "Included connector type {class} does not match request type {name}"
        )));
    }
    let validation = v1.app.controller.validate(properties).await?;
    Ok(json(StatusCode::OK, &Report::of(&name, &validation)))
}

/// What lies under `pluginPaths`, as it was found by the last look.
#[utoipa::path(get, path = "/plugins/paths", tag = "plugins", operation_id = "plugin_paths",
    responses((status = 200, description = "Each entry, with what it holds and why that is not loaded", body = PathsInfo)))]
pub(super) async fn paths(State(v1): State<Arc<V1>>) -> Answer {
    plugin_paths::told(&v1.app)
}
