//! `rmqc-fast connectors apply` and `diff`: files against what the worker has.

use std::collections::BTreeSet;
use std::process::ExitCode;

use rmqc_core::config::Properties;
use rmqc_core::config::key::{MASK, is_secret};
use serde_json::{Value, json};

use super::documents::{FileFlags, keys_of};
use super::output::{array, at, line};
use super::{Session, connector_path};
use crate::EXIT_FAILURE;
use crate::client::RequestError;
use crate::say_error;

/// Creates or changes every connector of the files. One that is refused does not keep the others from being applied.
///
/// # Errors
/// No worker, or files that make no sense.
pub(super) fn apply(session: &Session, flags: &FileFlags) -> anyhow::Result<ExitCode> {
    let mut results = Vec::new();
    let mut refused = false;
    for (name, config) in flags.read()? {
        let result = match apply_one(session, &name, &config) {
            Ok(result) => json!({ "name": name, "result": result }),
            Err(RequestError::Refused { status, message, body }) => {
                refused = true;
                let errors = body.get("errors");
                let result = json!({ "name": name, "result": "refused", "status": status, "message": message, "errors": errors });
                say_error(&format!("{name}: {}", RequestError::Refused { status, message, body }));
                result
            }
            Err(other) => return Err(other.into()),
        };
        results.push(result);
    }
    session.show(&Value::Array(results), |results| {
        let results = results.as_array().map_or(&[] as &[Value], Vec::as_slice);
        results.iter().map(|one| format!("{} {}\n", at(one, "/name"), at(one, "/result"))).collect()
    });
    Ok(if refused { ExitCode::from(EXIT_FAILURE) } else { ExitCode::SUCCESS })
}

/// Creates or changes one connector, and says which. What is equal as far as the worker shows it is left alone; a secret
/// that it does not show is sent, and counts as a change.
fn apply_one(session: &Session, name: &str, config: &Properties) -> Result<&'static str, RequestError> {
    let path = format!("{}/config", connector_path(name));
    let there = stored(session, &path)?;
    let compared = compared(name, there.as_ref(), config);
    if at(&compared, "/change") == "none" && array(&compared, "/keys").is_empty() {
        return Ok("unchanged");
    }
    let (status, _) = session.change("PUT", &path, Some(&json!(config)))?;
    Ok(if status == 201 { "created" } else { "updated" })
}

/// The configuration that the worker has, if it has one.
fn stored(session: &Session, path: &str) -> Result<Option<Value>, RequestError> {
    match session.get(path) {
        Ok(there) => Ok(Some(there)),
        Err(RequestError::Refused { status: 404, .. }) => Ok(None),
        Err(other) => Err(other),
    }
}

/// Tells what `apply` would change: exit code 0 nothing, 1 something.
///
/// # Errors
/// No worker, its refusal, or files that make no sense.
pub(super) fn diff(session: &Session, flags: &FileFlags) -> anyhow::Result<ExitCode> {
    let mut connectors = Vec::new();
    for (name, config) in flags.read()? {
        let there = stored(session, &format!("{}/config", connector_path(&name)))?;
        connectors.push(compared(&name, there.as_ref(), &config));
    }
    let equal = connectors.iter().all(|one| at(one, "/change") == "none");
    session.show(&json!({ "equal": equal, "connectors": connectors }), text);
    Ok(if equal { ExitCode::SUCCESS } else { ExitCode::from(EXIT_FAILURE) })
}

/// Compares a file's configuration with the worker's. A value that the worker masks can't be compared; it is listed, but
/// does not count as different.
fn compared(name: &str, there: Option<&Value>, file: &Properties) -> Value {
    let Some(there) = there else {
        return json!({ "name": name, "change": "create", "keys": differences(&Properties::new(), file) });
    };
    let members = there.as_object().into_iter().flatten();
    let there: Properties = members.map(|(key, value)| (key.clone(), at(value, ""))).collect();
    let keys = differences(&there, file);
    let change = if keys.iter().any(|one| at(one, "/change") != "hidden") { "update" } else { "none" };
    json!({ "name": name, "change": change, "keys": keys })
}

fn differences(there: &Properties, file: &Properties) -> Vec<Value> {
    let definitions = keys_of(file);
    let shown = |key: &str, value: Option<&String>| match value {
        Some(_) if is_secret(key, &definitions) => json!(MASK),
        value => json!(value),
    };
    let names: BTreeSet<&String> = there.keys().chain(file.keys()).collect();
    let difference = |key: &&String| {
        let (old, new) = (there.get(*key), file.get(*key));
        let change = match (old, new) {
            (Some(old), Some(new)) if old == new => return None,
            // The worker adds the name to what it shows.
            (Some(_), None) if key.as_str() == "name" => return None,
            (None, Some(_)) if key.as_str() == "name" => return None,
            (Some(old), Some(_)) if old == MASK => "hidden",
            (Some(_), Some(_)) => "changed",
            (None, _) => "added",
            (_, None) => "removed",
        };
        Some(json!({ "key": key, "change": change, "worker": shown(key, old), "file": shown(key, new) }))
    };
    names.iter().filter_map(difference).collect()
}

/// Lines as of a patch.
fn text(document: &Value) -> String {
    let mut text = String::new();
    for one in array(document, "/connectors") {
        let name = line(&at(one, "/name"));
        text.push_str(&match at(one, "/change").as_str() {
            "create" => format!("{name}: not on the worker\n"),
            "none" => format!("{name}: equal\n"),
            _ => format!("{name}: differs\n"),
        });
        for key in array(one, "/keys") {
            let pair = |member: &str| format!("{} = {}", line(&at(key, "/key")), line(&at(key, member)));
            text.push_str(&match at(key, "/change").as_str() {
                "hidden" => {
                    format!("  ? {} is a secret that the worker does not show: not compared\n", at(key, "/key"))
                }
                "added" => format!("  + {}\n", pair("/file")),
                "removed" => format!("  - {}\n", pair("/worker")),
                _ => format!("  - {}\n  + {}\n", pair("/worker"), pair("/file")),
            });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn properties(pairs: &[(&str, &str)]) -> Properties {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn what_differs_is_named() {
        let there = json!({"a": "1", "b": "2", "password": MASK, "name": "x", "c": "3"});
        let file = properties(&[("a", "1"), ("b", "4"), ("password", "p"), ("d", "5"), ("token", "t")]);
        let found = compared("x", Some(&there), &file);
        assert_eq!(found["change"], "update");
        let shown = text(&json!({"connectors": [found]}));
        assert_eq!(
            shown,
            "x: differs\n  - b = 2\n  + b = 4\n  - c = 3\n  + d = 5\n  ? password is a secret that the worker does not \
             show: not compared\n  + token = ******\n"
        );
    }

    #[test]
    fn a_hidden_value_is_no_difference() {
        let there = json!({"a": "1", "password": MASK});
        let found = compared("x", Some(&there), &properties(&[("a", "1"), ("password", "p")]));
        assert_eq!(found["change"], "none");
        assert_eq!(compared("x", None, &properties(&[("a", "1")]))["change"], "create");
    }
}
