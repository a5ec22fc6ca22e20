//! Connectors: what there is, and its configuration.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::IntoResponse as _;
use rmqc_core::config::Properties;
use rmqc_core::config::connector::{TOPIC_NAME, sink_topics};
use rmqc_core::registry::{ConnectorFactory, ConnectorKind};
use rmqc_core::state::TargetState;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::V1;
use super::error::{ErrorBody, V1Error};
use super::request::{Asked, JsonBody, Name, check_name};
use super::running::{ConnectorStatus, Reported};
use crate::controller::{Change, Changed, ConnectorView, Edit, Forget, Must, masked};
use crate::rest::{Answer, input, json};

/// The member that Kafka Connect's clients expect in every configuration. It is not stored: the name is the connector's.
const NAME: &str = "name";

/// A connector's definition.
#[derive(Serialize, ToSchema)]
pub(super) struct ConnectorInfo {
    name: String,
    /// Its configuration, secrets masked.
    config: Properties,
    tasks: Vec<TaskName>,
    /// `source`, `sink` or `unknown`.
    #[serde(rename = "type")]
    kind: &'static str,
}

/// Names a task.
#[derive(Serialize, ToSchema)]
pub(super) struct TaskName {
    connector: String,
    task: u32,
}

/// A task's configuration.
#[derive(Serialize, ToSchema)]
pub(super) struct TaskInfo {
    id: TaskName,
    /// Secrets masked.
    config: Properties,
}

/// One connector in the expanded list.
#[derive(Serialize, ToSchema)]
struct Expanded {
    #[serde(skip_serializing_if = "Option::is_none")]
    info: Option<ConnectorInfo>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<ConnectorStatus>,
}

/// A new connector.
#[derive(Deserialize, ToSchema)]
pub(super) struct NewConnector {
    /// Its name.
    #[serde(default)]
    name: Option<String>,
    /// Its configuration. Numbers, booleans and structures are stored as their JSON text.
    #[schema(value_type = BTreeMap<String, String>)]
    config: BTreeMap<String, Box<RawValue>>,
    /// `RUNNING` (the default), `PAUSED` or `STOPPED`.
    #[serde(default)]
    initial_state: Option<String>,
}

/// The topics of one connector.
#[derive(Serialize, ToSchema)]
pub(super) struct Topics {
    /// Names, in the order of the configuration.
    topics: Vec<String>,
}

/// `source`, `sink`, or `unknown` for a connector that this binary does not have.
pub(super) fn kind(connector: &ConnectorView) -> &'static str {
    match connector.kind() {
        Some(ConnectorKind::Source) => "source",
        Some(ConnectorKind::Sink) => "sink",
        None => "unknown",
    }
}

/// A configuration as `/v1` shows it: always masked, always with the connector's name.
fn shown(name: &str, properties: &Properties, factory: Option<&'static ConnectorFactory>) -> Properties {
    let mut shown = masked(properties, factory);
    shown.insert(NAME.to_owned(), name.to_owned());
    shown
}

impl ConnectorInfo {
    fn of(connector: &ConnectorView) -> Self {
        Self {
            name: connector.name.clone(),
            config: shown(&connector.name, &connector.properties, connector.factory),
            tasks: connector.tasks.iter().map(|task| TaskName::of(&connector.name, task.task.index)).collect(),
            kind: kind(connector),
        }
    }
}

impl TaskName {
    fn of(connector: &str, task: u32) -> Self {
        Self { connector: connector.to_owned(), task }
    }
}

/// One connector as it is now.
pub(super) async fn look(v1: &V1, name: &str) -> Result<ConnectorView, V1Error> {
    let snapshot = v1.app.controller.look().await?;
    snapshot.connector(name).cloned().ok_or_else(|| V1Error::no_connector(name))
}

/// Values as they are stored: texts, and the JSON of everything else. Null removes, where that is allowed.
fn texts(name: &str, config: BTreeMap<String, Box<RawValue>>) -> Result<BTreeMap<String, Option<String>>, V1Error> {
    let mut texts: BTreeMap<String, Option<String>> =
        config.into_iter().map(|(key, value)| (key, input::text_of(value.get()))).collect();
    match texts.remove(NAME) {
        Some(Some(other)) if other != name => Err(V1Error::bad_request(format!(
            "Connector name configuration ({other}) doesn't match connector name in the URL ({name})"
        ))),
        _ => Ok(texts),
    }
}

/// The same where every key needs a value.
pub(super) fn properties(name: &str, config: BTreeMap<String, Box<RawValue>>) -> Result<Properties, V1Error> {
    let texts = texts(name, config)?.into_iter();
    texts
        .map(|(key, value)| match value {
            Some(value) => Ok((key, value)),
            None => Err(V1Error::bad_request(format!("{key} is null: leave it out, or PATCH the configuration"))),
        })
        .collect()
}

async fn info_answer(v1: &V1, name: &str, changed: Changed) -> Result<Answer, V1Error> {
    let info = ConnectorInfo::of(&look(v1, name).await?);
    if changed != Changed::Created {
        return Ok(json(StatusCode::OK, &info));
    }
    let mut answer = json(StatusCode::CREATED, &info);
    if let Ok(location) = format!("/v1/connectors/{}", encoded(name)).parse() {
        answer.headers_mut().insert(LOCATION, location);
    }
    Ok(answer)
}

/// The text as one segment of a path.
fn encoded(text: &str) -> String {
    use std::fmt::Write as _;
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => encoded.push(char::from(byte)),
            // Writing to a String can't fail.
            other => drop(write!(encoded, "%{other:02X}")),
        }
    }
    encoded
}

/// Names of all connectors; with `expand` their status and definition by name.
#[utoipa::path(get, path = "/connectors", tag = "connectors",
    params(("expand" = Option<Vec<String>>, Query, description = "`status`, `info`, or both")),
    responses((status = 200, description = "Names, or with expand an object by name", body = Vec<String>)))]
pub(super) async fn list(State(v1): State<Arc<V1>>, asked: Asked) -> Result<Answer, V1Error> {
    let snapshot = v1.app.controller.look().await?;
    let wants = |what: &str| asked.all("expand").flat_map(|text| text.split(',')).any(|word| word.trim() == what);
    let (info, status) = (wants("info"), wants("status"));
    if asked.all("expand").next().is_none() {
        let names: Vec<_> = snapshot.connectors.iter().map(|one| one.name.as_str()).collect();
        return Ok(json(StatusCode::OK, &names));
    }
    let reported = if status { Reported::ask(&v1).await? } else { Reported::default() };
    let expand = |one: &ConnectorView| Expanded {
        info: info.then(|| ConnectorInfo::of(one)),
        status: status.then(|| ConnectorStatus::of(one, &v1.app.settings, &reported)),
    };
    let all: BTreeMap<_, _> = snapshot.connectors.iter().map(|one| (one.name.as_str(), expand(one))).collect();
    Ok(json(StatusCode::OK, &all))
}

/// Creates a connector. It is stored when this is answered; its tasks start after that.
#[utoipa::path(post, path = "/connectors", tag = "connectors", request_body = NewConnector,
    responses((status = 201, body = ConnectorInfo), (status = 400, body = ErrorBody), (status = 409, body = ErrorBody)))]
pub(super) async fn create(
    State(v1): State<Arc<V1>>,
    JsonBody(new): JsonBody<NewConnector>,
) -> Result<Answer, V1Error> {
    let name = new.name.unwrap_or_default().trim().to_owned();
    check_name(&name)?;
    let target = new.initial_state.as_deref().map(initial_state).transpose()?;
    let edit = Edit::Replace(properties(&name, new.config)?);
    let change = Change { name: name.clone(), edit, must: Must::BeNew, target, same_is_error: false };
    let changed = v1.app.controller.change(change).await?;
    info_answer(&v1, &name, changed).await
}

fn initial_state(word: &str) -> Result<TargetState, V1Error> {
    match word.to_ascii_uppercase().as_str() {
        "RUNNING" => Ok(TargetState::Started),
        "PAUSED" => Ok(TargetState::Paused),
        "STOPPED" => Ok(TargetState::Stopped),
        _ => Err(V1Error::bad_request(format!("initial_state is \"{word}\", expected RUNNING, PAUSED or STOPPED"))),
    }
}

/// A connector's definition.
#[utoipa::path(get, path = "/connectors/{name}", tag = "connectors",
    params(("name" = String, Path, description = "Connector")),
    responses((status = 200, body = ConnectorInfo), (status = 404, body = ErrorBody)))]
pub(super) async fn get(State(v1): State<Arc<V1>>, Name(name): Name) -> Result<Answer, V1Error> {
    Ok(json(StatusCode::OK, &ConnectorInfo::of(&look(&v1, &name).await?)))
}

/// Deletes a connector. Its positions and its group stay unless it is asked to forget them.
#[utoipa::path(delete, path = "/connectors/{name}", tag = "connectors",
    params(("name" = String, Path, description = "Connector"),
        ("positions" = Option<bool>, Query, description = "Forget a source's positions too"),
        ("group" = Option<bool>, Query, description = "Remove a sink's consumer group too, unless the configuration names it")),
    responses((status = 204, description = "Deleted"), (status = 404, body = ErrorBody), (status = 502, body = ErrorBody)))]
pub(super) async fn delete(State(v1): State<Arc<V1>>, Name(name): Name, asked: Asked) -> Result<Answer, V1Error> {
    let forget = Forget { positions: asked.flag("positions", false)?, group: asked.flag("group", false)? };
    v1.app.controller.remove_and_forget(&name, forget).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// A connector's configuration.
#[utoipa::path(get, path = "/connectors/{name}/config", tag = "connectors",
    params(("name" = String, Path, description = "Connector")),
    responses((status = 200, body = BTreeMap<String, String>), (status = 404, body = ErrorBody)))]
pub(super) async fn config(State(v1): State<Arc<V1>>, Name(name): Name) -> Result<Answer, V1Error> {
    Ok(json(StatusCode::OK, &ConnectorInfo::of(&look(&v1, &name).await?).config))
}

/// Creates a connector or replaces its configuration.
#[utoipa::path(put, path = "/connectors/{name}/config", tag = "connectors", request_body = BTreeMap<String, String>,
    params(("name" = String, Path, description = "Connector")),
    responses((status = 200, body = ConnectorInfo), (status = 201, body = ConnectorInfo), (status = 400, body = ErrorBody)))]
pub(super) async fn put_config(
    State(v1): State<Arc<V1>>,
    Name(name): Name,
    JsonBody(config): JsonBody<BTreeMap<String, Box<RawValue>>>,
) -> Result<Answer, V1Error> {
    let edit = Edit::Replace(properties(&name, config)?);
    let change = Change { name: name.clone(), edit, must: Must::Either, target: None, same_is_error: false };
    let changed = v1.app.controller.change(change).await?;
    info_answer(&v1, &name, changed).await
}

/// Sets some keys of a configuration; null removes a key.
#[utoipa::path(patch, path = "/connectors/{name}/config", tag = "connectors",
    request_body = BTreeMap<String, Option<String>>,
    params(("name" = String, Path, description = "Connector")),
    responses((status = 200, body = ConnectorInfo), (status = 400, body = ErrorBody), (status = 404, body = ErrorBody)))]
pub(super) async fn patch_config(
    State(v1): State<Arc<V1>>,
    Name(name): Name,
    JsonBody(config): JsonBody<BTreeMap<String, Box<RawValue>>>,
) -> Result<Answer, V1Error> {
    let edit = Edit::Patch(texts(&name, config)?);
    let change = Change { name: name.clone(), edit, must: Must::Exist, target: None, same_is_error: false };
    let changed = v1.app.controller.change(change).await?;
    info_answer(&v1, &name, changed).await
}

/// The configurations of a connector's tasks.
#[utoipa::path(get, path = "/connectors/{name}/tasks", tag = "connectors",
    params(("name" = String, Path, description = "Connector")),
    responses((status = 200, body = Vec<TaskInfo>), (status = 404, body = ErrorBody)))]
pub(super) async fn tasks(State(v1): State<Arc<V1>>, Name(name): Name) -> Result<Answer, V1Error> {
    let connector = look(&v1, &name).await?;
    let infos = connector.tasks.iter().map(|task| TaskInfo {
        id: TaskName::of(&name, task.task.index),
        config: masked(&task.config, connector.factory),
    });
    Ok(json(StatusCode::OK, &infos.collect::<Vec<_>>()))
}

/// The same by `NAME-TASK`.
#[utoipa::path(get, path = "/connectors/{name}/tasks-config", tag = "connectors",
    params(("name" = String, Path, description = "Connector")),
    responses((status = 200, body = BTreeMap<String, BTreeMap<String, String>>), (status = 404, body = ErrorBody)))]
pub(super) async fn tasks_config(State(v1): State<Arc<V1>>, Name(name): Name) -> Result<Answer, V1Error> {
    let connector = look(&v1, &name).await?;
    let tasks = connector.tasks.iter();
    let configs = tasks.map(|task| (task.task.to_string(), masked(&task.config, connector.factory)));
    Ok(json(StatusCode::OK, &configs.collect::<BTreeMap<_, _>>()))
}

/// The topics that a connector's configuration names.
fn topics_of(connector: &ConnectorView) -> Vec<String> {
    let mut topics = sink_topics(&connector.properties);
    let of_source = TOPIC_NAME.text(&connector.properties).filter(|topic| !topic.is_empty());
    topics.extend(of_source.filter(|_| connector.kind() == Some(ConnectorKind::Source)).map(str::to_owned));
    topics
}

/// The topics that a connector reads or writes by its configuration.
#[utoipa::path(get, path = "/connectors/{name}/topics", tag = "connectors",
    params(("name" = String, Path, description = "Connector")),
    responses((status = 200, body = BTreeMap<String, Topics>), (status = 404, body = ErrorBody)))]
pub(super) async fn topics(State(v1): State<Arc<V1>>, Name(name): Name) -> Result<Answer, V1Error> {
    let topics = Topics { topics: topics_of(&look(&v1, &name).await?) };
    Ok(json(StatusCode::OK, &BTreeMap::from([(name, topics)])))
}

/// Accepted for Kafka Connect's clients. Topics come from the present configuration, so none is ever out of date.
#[utoipa::path(put, path = "/connectors/{name}/topics/reset", tag = "connectors",
    params(("name" = String, Path, description = "Connector")),
    responses((status = 200, description = "Nothing is out of date"), (status = 404, body = ErrorBody)))]
pub(super) async fn reset_topics(State(v1): State<Arc<V1>>, Name(name): Name) -> Result<Answer, V1Error> {
    look(&v1, &name).await?;
    Ok(StatusCode::OK.into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_segment_of_a_path() {
        assert_eq!(encoded("a b/ü~-x"), "a%20b%2F%C3%BC~-x");
    }

    #[test]
    fn a_name_in_the_configuration_must_be_the_connectors() {
        let config = |json: &str| serde_json::from_str(json).unwrap();
        let read = properties("c", config(r#"{"name": "c", "n": 3, "b": true, "o": {"x": [1]}, "t": "é"}"#)).unwrap();
        let expected = [("b", "true"), ("n", "3"), ("o", r#"{"x":[1]}"#), ("t", "é")];
        assert!(read.iter().map(|(k, v)| (k.as_str(), v.as_str())).eq(expected), "{read:?}");
        assert!(properties("c", config(r#"{"name": "d"}"#)).is_err());
        assert!(properties("c", config(r#"{"k": null}"#)).is_err());
        assert_eq!(texts("c", config(r#"{"k": null}"#)).unwrap()["k"], None);
    }
}
