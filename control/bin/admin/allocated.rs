//! What runs on the worker, as the old tool's tables.

use serde_json::{Map, Value};

use super::options::Given;
use super::{Outcome, Server};
use crate::client::RequestError;

const CONNECTORS: &str = "/allocated/connectors";
const TASKS: &str = "/allocated/tasks";

/// Both answers, one after the other.
pub(super) fn info(server: &Server, _: &Given) -> Result<Outcome, RequestError> {
    let (connectors, tasks) = (server.show(CONNECTORS)?, server.show(TASKS)?);
    Ok(Outcome { text: format!("{}\n{}", connectors.text, tasks.text), good: connectors.good && tasks.good })
}

/// A line for each connector.
pub(super) fn connectors(server: &Server, _: &Given) -> Result<Outcome, RequestError> {
    Ok(match server.body(CONNECTORS)? {
        Ok(body) => Outcome { text: connector_table(&body), good: true },
        Err(refusal) => refusal,
    })
}

/// A line for each task.
pub(super) fn tasks(server: &Server, _: &Given) -> Result<Outcome, RequestError> {
    Ok(match server.body(TASKS)? {
        Ok(body) => Outcome { text: task_table(&body), good: true },
        Err(refusal) => refusal,
    })
}

fn connector_table(body: &Value) -> String {
    const WIDTHS: &[usize] = &[25, 15, 17, 25];
    let mut lines = vec![row(WIDTHS, &["connectorName", "status", "topic", "update-timestamp"])];
    for (name, config) in body.as_object().into_iter().flatten() {
        lines.push(row(WIDTHS, &[name, "RUNNING", topic(config), text(config, &["update-timestamp"])]));
    }
    lines.join("\n")
}

fn task_table(body: &Value) -> String {
    const WIDTHS: &[usize] = &[22, 22, 12, 15, 20, 30];
    let header = ["taskName", "connectorName", "status", "topic", "update-timestamp", "taskId"];
    let mut lines = vec![row(WIDTHS, &header)];
    let none = Map::new();
    let by_state = body.as_object().unwrap_or(&none);
    for task in by_state.values().filter_map(Value::as_array).flatten() {
        let config = task.get("config").unwrap_or(&Value::Null);
        let class = text(config, &["task.class", "task-class"]);
        lines.push(row(
            WIDTHS,
            &[
                class.rsplit('.').next().unwrap_or(class),
                text(task, &["connectorName"]),
                text(task, &["taskState"]),
                topic(config),
                text(config, &["update-timestamp"]),
                text(config, &["task.id", "task-id"]),
            ],
        ));
    }
    lines.join("\n")
}

fn topic(config: &Value) -> &str {
    text(config, &["connect.topicname", "connect.topicnames", "topic", "topicNames"])
}

/// The first of these members that is there; empty if none is.
fn text<'v>(object: &'v Value, names: &[&str]) -> &'v str {
    names.iter().find_map(|name| object.get(name)?.as_str()).unwrap_or_default()
}

fn row(widths: &[usize], cells: &[&str]) -> String {
    let padded: Vec<String> = cells.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
    padded.join("  ").trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn tables_have_the_old_columns() {
        let body =
            json!({"in": {"connect.topicname": "t"}, "out": {"connect.topicnames": "a;b", "update-timestamp": "7"}});
        assert_eq!(
            connector_table(&body),
            "connectorName              status           topic              update-timestamp\n\
             in                         RUNNING          t\n\
             out                        RUNNING          a;b                7"
        );
        let body = json!({"pendingTasks": [], "runningTasks": [{"connectorName": "in", "taskState": "RUNNING",
            "config": {"task.id": "0", "task.class": "org.x.FileSourceTask", "connect.topicname": "t"}}]});
        assert_eq!(
            task_table(&body),
            "taskName                connectorName           status        topic            update-timestamp      taskId\n\
             FileSourceTask          in                      RUNNING       t                                      0"
        );
    }
}
