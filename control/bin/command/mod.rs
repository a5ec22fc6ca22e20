//! The subcommands that ask a running worker. One file a group; what they have in common is here: where the worker is,
//! how an answer is shown, how a failure is told.

mod apply;
pub(crate) mod connectors;
pub(crate) mod dlq;
mod documents;
pub(crate) mod loggers;
pub(crate) mod offsets;
pub(crate) mod output;
pub(crate) mod pages;
pub(crate) mod plugins;
pub(crate) mod tap;
pub(crate) mod tasks;
mod time;
pub(crate) mod validate;
pub(crate) mod worker;

use std::process::ExitCode;

use clap::Args;
use rmqc_core::config::key::ConfigErrors;
use serde_json::{Value, json};

use crate::client::{Client, RequestError, ServerFlags, segment};
use crate::say;

/// Flags of every command that asks a worker.
#[derive(Args, Clone, Debug)]
pub(crate) struct Asking {
    #[command(flatten)]
    pub server: ServerFlags,
    /// Print one JSON document instead of text, also when it fails.
    #[arg(long, global = true)]
    pub json: bool,
}

/// What a command was given makes no sense: a file that can't be read, flags that don't fit together.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct UsageError(pub String);

/// Gives up with a [`UsageError`].
pub(crate) fn usage<T>(message: impl Into<String>) -> anyhow::Result<T> {
    Err(UsageError(message.into()).into())
}

impl Asking {
    /// Does the work; with `--json` a failure is a document on stdout too.
    pub fn run(&self, work: impl FnOnce(&Session) -> anyhow::Result<ExitCode>) -> anyhow::Result<ExitCode> {
        let result = work(&Session { client: Client::new(&self.server), json: self.json });
        if let (true, Err(error)) = (self.json, &result) {
            say(&failure(error).to_string());
        }
        result
    }
}

/// A failure as a document: `{"error":{"kind","message","status","errors"}}`, the last two null where nobody answered.
fn failure(error: &anyhow::Error) -> Value {
    let kind = match error.downcast_ref::<RequestError>() {
        Some(RequestError::Unreachable { .. }) => "unreachable",
        Some(RequestError::Refused { .. }) => "refused",
        _ if error.is::<UsageError>() || error.is::<ConfigErrors>() => "usage",
        _ => "failed",
    };
    let (status, message, errors) = match error.downcast_ref() {
        Some(RequestError::Refused { status, message, body }) => (Some(status), message.clone(), body.get("errors")),
        _ => (None, format!("{error:#}"), None),
    };
    json!({ "error": { "kind": kind, "message": message, "status": status, "errors": errors } })
}

/// A worker, and how its answers are shown.
pub(crate) struct Session {
    /// The worker.
    pub client: Client,
    json: bool,
}

impl Session {
    pub fn get(&self, path: &str) -> Result<Value, RequestError> {
        self.client.json("GET", path, None)
    }

    /// Asks for a change; gives the answer's status and document.
    fn change(&self, method: &str, path: &str, body: Option<&Value>) -> Result<(u16, Value), RequestError> {
        self.client.answer(method, path, body)
    }

    /// Prints a document, or the text that is made of it.
    pub fn show(&self, document: &Value, text: impl FnOnce(&Value) -> String) {
        if self.json {
            say(&document.to_string());
        } else {
            let text = text(document);
            say(text.trim_end_matches('\n'));
        }
    }

    /// Prints what was done to a connector.
    fn done(&self, connector: &str, action: &str, sentence: &str) {
        self.show(&json!({ "connector": connector, "action": action }), |_| sentence.to_owned());
    }
}

/// The path of a connector in the API.
pub(crate) fn connector_path(name: &str) -> String {
    format!("/v1/connectors/{}", segment(name))
}

/// A path with those parameters that have a value.
fn with_query(path: &str, parameters: &[(&str, Option<String>)]) -> String {
    let pairs: Vec<String> =
        parameters.iter().filter_map(|(name, value)| Some(format!("{name}={}", segment(value.as_deref()?)))).collect();
    if pairs.is_empty() { path.to_owned() } else { format!("{path}?{}", pairs.join("&")) }
}

/// A connector's name on the command line.
#[derive(Args, Debug)]
struct Named {
    /// Name of the connector.
    #[arg(value_name = "NAME")]
    name: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_hold_what_has_a_value() {
        assert_eq!(with_query("/x", &[("a", None)]), "/x");
        assert_eq!(
            with_query("/x", &[("a", Some("1 2".to_owned())), ("b", None), ("c", Some("&".to_owned()))]),
            "/x?a=1%202&c=%26"
        );
    }

    #[test]
    fn a_failure_tells_its_kind() {
        let refused = RequestError::Refused { status: 409, message: "no".to_owned(), body: json!({"errors": [1]}) };
        assert_eq!(
            failure(&refused.into()),
            json!({"error": {"kind": "refused", "message": "no", "status": 409, "errors": [1]}})
        );
        let usage = failure(&UsageError("x".to_owned()).into());
        assert_eq!(usage, json!({"error": {"kind": "usage", "message": "x", "status": null, "errors": null}}));
        assert_eq!(failure(&anyhow::anyhow!("y"))["error"]["kind"], "failed");
    }
}
