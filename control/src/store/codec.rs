//! The bytes of the stores' files, as the Java worker writes them: one flat JSON object, from base64 of the key's text
//! to base64 of the value's JSON.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rmqc_core::config::Properties;
use rmqc_core::position::{RecordPartition, Scalar, StoredPosition};
use rmqc_core::state::TargetState;
use serde::{Deserialize, Serialize};
use serde_json::{Number, Value};

use super::{StoredConnector, StoredStatus, StoredTaskStatus};

/// What is wrong with a file's bytes, and where.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Damage {
    /// Byte from the file's start.
    pub position: usize,
    /// What was found or expected.
    pub what: String,
}

impl Damage {
    fn new(position: usize, what: impl Into<String>) -> Self {
        Self { position, what: what.into() }
    }
}

/// Decoded entries: key's text and value's JSON, with the place of the entry in the file.
pub(super) struct Entry {
    /// The key's text.
    pub key: String,
    /// The value's JSON text.
    pub value: String,
    /// Byte of the entry from the file's start.
    pub position: usize,
}

impl Entry {
    fn damage(&self, what: impl std::fmt::Display) -> Damage {
        Damage::new(self.position, format!("the entry {:?} {what}", self.key))
    }

    fn parse<'a, T: Deserialize<'a>>(&'a self) -> Result<T, Damage> {
        serde_json::from_str(&self.value).map_err(|error| self.damage(format!("holds no usable value: {error}")))
    }
}

/// Splits a file into its entries.
pub(super) fn decode_file(bytes: &[u8]) -> Result<Vec<Entry>, Damage> {
    let text = std::str::from_utf8(bytes).map_err(|error| Damage::new(error.valid_up_to(), "not UTF-8 text"))?;
    let map: BTreeMap<String, String> = serde_json::from_str(text).map_err(|error| {
        Damage::new(byte_of(text, error.line(), error.column()), format!("no JSON object of texts: {error}"))
    })?;
    let mut entries = Vec::with_capacity(map.len());
    for (key, value) in map {
        let position = text.find(key.as_str()).unwrap_or(0);
        let plain = |part: &str| {
            let bytes = STANDARD.decode(part).map_err(|error| Damage::new(position, format!("no base64: {error}")))?;
            String::from_utf8(bytes).map_err(|_| Damage::new(position, "base64 of something that is not UTF-8 text"))
        };
        entries.push(Entry { key: plain(&key)?, value: plain(&value)?, position });
    }
    Ok(entries)
}

/// Joins entries to a file's bytes, sorted by their base64 keys.
pub(super) fn encode_file(entries: impl IntoIterator<Item = (String, String)>) -> Vec<u8> {
    let encoded: BTreeMap<String, String> =
        entries.into_iter().map(|(key, value)| (STANDARD.encode(key), STANDARD.encode(value))).collect();
    // Texts to texts can't fail to be written as JSON.
    serde_json::to_vec(&encoded).unwrap_or_default()
}

/// The byte at which a line (from 1) and column (from 1) stand.
fn byte_of(text: &str, line: usize, column: usize) -> usize {
    let before: usize = text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
    before + column.saturating_sub(1)
}

#[derive(Serialize, Deserialize)]
struct ConnectorJson {
    epoch: i64,
    properties: Properties,
    /// Beside `PAUSED`: it has no tasks at all. The Java worker does not know the member and passes over it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    stopped: bool,
    #[serde(rename = "targetState")]
    target_state: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct TaskJson {
    epoch: i64,
    properties: Properties,
}

/// A connector's entry of `connectorConfig.json`.
pub(super) fn encode_connector(connector: &StoredConnector) -> (String, String) {
    let json = ConnectorJson {
        epoch: connector.epoch,
        properties: connector.properties.clone(),
        stopped: connector.target == TargetState::Stopped,
        target_state: Some(connector.target.java_name().to_owned()),
    };
    (connector.name.clone(), to_text(&json))
}

/// A connector's entry of `taskConfig.json`.
pub(super) fn encode_tasks(connector: &StoredConnector) -> (String, String) {
    let tasks: Vec<_> = connector
        .tasks
        .iter()
        .map(|properties| TaskJson { epoch: connector.epoch, properties: properties.clone() })
        .collect();
    (connector.name.clone(), to_text(&tasks))
}

/// A connector without its tasks.
pub(super) fn decode_connector(entry: &Entry) -> Result<StoredConnector, Damage> {
    let json: ConnectorJson = entry.parse()?;
    let target = match json.target_state.as_deref() {
        None => TargetState::Started,
        Some(name) => {
            TargetState::parse(name).ok_or_else(|| entry.damage(format!("has the unknown target state {name:?}")))?
        }
    };
    // Whoever let it go on without knowing the member is right.
    let stopped = json.stopped && target == TargetState::Paused;
    Ok(StoredConnector {
        name: entry.key.clone(),
        properties: json.properties,
        target: if stopped { TargetState::Stopped } else { target },
        epoch: json.epoch,
        tasks: Vec::new(),
    })
}

/// The tasks of a connector.
pub(super) fn decode_tasks(entry: &Entry) -> Result<Vec<Properties>, Damage> {
    let tasks: Vec<TaskJson> = entry.parse()?;
    Ok(tasks.into_iter().map(|task| task.properties).collect())
}

#[derive(Serialize, Deserialize)]
struct PositionKeyJson {
    namespace: String,
    partition: serde_json::Map<String, Value>,
}

#[derive(Serialize, Deserialize)]
struct PositionValueJson {
    offset: serde_json::Map<String, Value>,
}

/// One position's entry of `position.json`.
pub(super) fn encode_position(connector: &str, position: &StoredPosition) -> (String, String) {
    let key = PositionKeyJson { namespace: connector.to_owned(), partition: to_json(&position.partition.0) };
    (to_text(&key), to_text(&PositionValueJson { offset: to_json(&position.offset) }))
}

/// The connector and the position of an entry.
pub(super) fn decode_position(entry: &Entry) -> Result<(String, StoredPosition), Damage> {
    let key: PositionKeyJson =
        serde_json::from_str(&entry.key).map_err(|error| entry.damage(format!("is no position's key: {error}")))?;
    let value: PositionValueJson = entry.parse()?;
    let partition = RecordPartition(to_scalars(key.partition).map_err(|what| entry.damage(what))?);
    let offset = to_scalars(value.offset).map_err(|what| entry.damage(what))?;
    Ok((key.namespace, StoredPosition { partition, offset }))
}

fn to_json(scalars: &BTreeMap<String, Scalar>) -> serde_json::Map<String, Value> {
    let value = |scalar: &Scalar| match scalar {
        Scalar::Null => Value::Null,
        Scalar::Boolean(truth) => Value::Bool(*truth),
        Scalar::Integer(number) => Value::Number((*number).into()),
        Scalar::Float(number) => Number::from_f64(*number).map_or(Value::Null, Value::Number),
        Scalar::Text(text) => Value::String(text.clone()),
    };
    scalars.iter().map(|(name, scalar)| (name.clone(), value(scalar))).collect()
}

fn to_scalars(json: serde_json::Map<String, Value>) -> Result<BTreeMap<String, Scalar>, String> {
    let scalar = |value: Value| match value {
        Value::Null => Ok(Scalar::Null),
        Value::Bool(truth) => Ok(Scalar::Boolean(truth)),
        Value::String(text) => Ok(Scalar::Text(text)),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => Ok(Scalar::Integer(whole)),
            (None, Some(float)) => Ok(Scalar::Float(float)),
            (None, None) => Err(format!("has the unusable number {number}")),
        },
        Value::Array(_) | Value::Object(_) => Err("has an array or object where a single value belongs".to_owned()),
    };
    json.into_iter().map(|(name, value)| Ok((name, scalar(value)?))).collect()
}

#[derive(Serialize, Deserialize)]
struct ConnectorStatusJson {
    generation: i64,
    id: String,
    state: String,
    trace: Option<String>,
    #[serde(rename = "workerId")]
    worker_id: String,
}

#[derive(Serialize, Deserialize)]
struct TaskStatusJson {
    generation: i64,
    id: TaskIdJson,
    state: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    trace: Option<String>,
    #[serde(rename = "workerId")]
    worker_id: String,
}

#[derive(Serialize, Deserialize)]
struct TaskIdJson {
    connector: String,
    task: u32,
}

/// A connector's entry of `connectorStatus.json`.
pub(super) fn encode_connector_status(status: &StoredStatus) -> (String, String) {
    let json = ConnectorStatusJson {
        generation: status.generation,
        id: status.connector.clone(),
        state: status.state.clone(),
        trace: status.trace.clone(),
        worker_id: status.worker_id.clone(),
    };
    (status.connector.clone(), to_text(&json))
}

/// A connector's entry of `taskStatus.json`.
pub(super) fn encode_task_statuses(status: &StoredStatus) -> (String, String) {
    let tasks: Vec<_> = status
        .tasks
        .iter()
        .map(|task| TaskStatusJson {
            generation: task.generation,
            id: TaskIdJson { connector: status.connector.clone(), task: task.index },
            state: task.state.clone(),
            trace: task.trace.clone(),
            worker_id: status.worker_id.clone(),
        })
        .collect();
    (status.connector.clone(), to_text(&tasks))
}

/// A connector's state without its tasks.
pub(super) fn decode_connector_status(entry: &Entry) -> Result<StoredStatus, Damage> {
    let json: ConnectorStatusJson = entry.parse()?;
    Ok(StoredStatus {
        connector: entry.key.clone(),
        state: json.state,
        trace: json.trace,
        worker_id: json.worker_id,
        generation: json.generation,
        tasks: Vec::new(),
    })
}

/// The states of a connector's tasks.
pub(super) fn decode_task_statuses(entry: &Entry) -> Result<Vec<StoredTaskStatus>, Damage> {
    let tasks: Vec<TaskStatusJson> = entry.parse()?;
    let read = |task: TaskStatusJson| StoredTaskStatus {
        index: task.id.task,
        state: task.state,
        trace: task.trace,
        generation: task.generation,
    };
    Ok(tasks.into_iter().map(read).collect())
}

/// JSON text of something that can always be written: texts, numbers, maps with text keys.
fn to_text(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}
