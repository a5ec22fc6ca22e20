//! `/plugin/…`: what this binary has built in, which keys it knows, and whether a configuration would do.

use axum::http::Uri;
use rmqc_core::config::connector::CONNECTOR_CLASS;
use rmqc_core::config::key::ConfigKey;
use rmqc_core::registry::{
    ConnectorKind, connectors, converters, find_connector, find_converter, find_predicate, find_transform, transforms,
};

use super::dto::{KeyInfo, PluginInfo, ValidationInfo};
use super::error::ApiError;
use super::input::read;
use super::{Answer, App, query, success};
use crate::controller::keys_of;

fn info(class_name: impl Into<String>, kind: &'static str) -> PluginInfo {
    PluginInfo { class_name: class_name.into(), kind, version: "undefined" }
}

/// Sinks and sources, each by class name.
pub(super) fn list_connectors() -> Answer {
    success(connector_infos())
}

/// Sinks, sources, transforms and converters, each by class name.
pub(super) fn list() -> Answer {
    let mut all = connector_infos();
    let mut classes: Vec<String> = transforms()
        .into_iter()
        .flat_map(|factory| {
            // A class that works on one half of the record is two in Java.
            let halves: &[&str] = if factory.targets { &["$Key", "$Value"] } else { &[""] };
            halves.iter().map(|half| format!("{}{half}", factory.java_class))
        })
        .collect();
    classes.sort();
    all.extend(classes.into_iter().map(|class| info(class, "TRANSFORMATION")));
    all.extend(converters().into_iter().map(|factory| info(factory.java_class, "CONVERTER")));
    success(all)
}

fn connector_infos() -> Vec<PluginInfo> {
    let of = |wanted: ConnectorKind, name: &'static str| {
        let all = connectors().into_iter().filter(move |factory| factory.build.kind() == wanted);
        all.map(move |factory| info(factory.java_class, name))
    };
    of(ConnectorKind::Sink, "SINK").chain(of(ConnectorKind::Source, "SOURCE")).collect()
}

/// The keys of `pluginName`.
pub(super) fn config(uri: &Uri) -> Result<Answer, ApiError> {
    let name = query(uri, "pluginName").unwrap_or_default();
    let name = name.trim();
    if name.is_empty() {
        return Err(ApiError::bad_request("Failed! query param 'pluginName' is required"));
    }
    let keys = keys(name).ok_or_else(|| unknown(name))?;
    Ok(success(keys.iter().map(KeyInfo::of).collect::<Vec<_>>()))
}

/// All keys of a connector, or the own ones of a converter, transform or predicate.
pub(super) fn keys(name: &str) -> Option<Vec<ConfigKey>> {
    let connector = find_connector(name).map(|factory| keys_of(factory).copied().collect());
    connector
        .or_else(|| find_converter(name).map(|factory| factory.keys.to_vec()))
        .or_else(|| find_transform(name).map(|(factory, _)| factory.keys.to_vec()))
        .or_else(|| find_predicate(name).map(|factory| factory.keys.to_vec()))
}

fn unknown(name: &str) -> ApiError {
    ApiError::missing(format!("No plugin of name {name} is in this program; /plugin/list names them"))
}

/// Says what a worker would say of a configuration, and changes nothing. The configuration is the body, or `config` in
/// the query; `pluginName` fills in its class.
pub(super) async fn validate(app: &App, uri: &Uri, body: &[u8]) -> Result<Answer, ApiError> {
    let by_query = query(uri, "config").filter(|_| body.is_empty());
    let mut properties = read(by_query.as_deref().map_or(body, str::as_bytes))?.properties;
    if let Some(name) = query(uri, "pluginName").filter(|name| !name.trim().is_empty()) {
        let named = find_connector(name.trim()).ok_or_else(|| unknown(name.trim()))?;
        let class = properties.entry(CONNECTOR_CLASS.name.to_owned()).or_insert_with(|| named.java_class.to_owned());
        if find_connector(class.trim()).is_none_or(|given| given.java_class != named.java_class) {
            return Err(ApiError::bad_request(format!(
                "pluginName is {name}, but the configuration's connector.class is {class}; leave one of them out"
            )));
        }
    }
    let validation = app.controller.validate(properties).await?;
    Ok(success(ValidationInfo::of(&validation)))
}
