//! Talks to a worker's REST API, for every command that asks one.

use std::io::{BufRead, BufReader};
use std::time::Duration;

use clap::Args;
use serde_json::Value;

use crate::http::agent;

/// Where the worker is.
#[derive(Args, Clone, Debug)]
pub(crate) struct ServerFlags {
    /// The worker's REST API: host:port, http://host:port, or https://host:port of a proxy before it.
    #[arg(long, env = "RMQC_SERVER", value_name = "URL", default_value = "http://127.0.0.1:8082", global = true)]
    pub server: String,
    /// Longest time to wait for an answer.
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=3600), global = true)]
    pub timeout: u64,
}

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RequestError {
    /// No answer at all.
    #[error("no worker answers at {url}: {cause}; is it running? --server names another one")]
    Unreachable {
        /// Where it was looked for.
        url: String,
        /// What the system said.
        cause: String,
    },
    /// An answer that says no.
    #[error("{}", refusal(*status, message, body))]
    Refused {
        /// HTTP status.
        status: u16,
        /// What the worker said.
        message: String,
        /// The whole answer, where it is JSON.
        body: Value,
    },
    /// An answer that is no JSON.
    #[error("{url} answers with something that is no JSON: {cause}; is it an rmqc-fast worker?")]
    Unreadable {
        /// Who answered.
        url: String,
        /// What is wrong with it.
        cause: String,
    },
}

/// An answer, whatever its status.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    /// HTTP status.
    pub status: u16,
    /// Its text.
    pub text: String,
}

/// A worker's REST API.
pub(crate) struct Client {
    agent: ureq::Agent,
    base: String,
    timeout: Duration,
}

impl Client {
    /// A client that connects when something is asked.
    pub fn new(flags: &ServerFlags) -> Self {
        let timeout = Duration::from_secs(flags.timeout);
        let base = flags.server.trim_end_matches('/');
        let base = if base.contains("://") { base.to_owned() } else { format!("http://{base}") };
        Self { agent: agent(timeout), base, timeout }
    }

    /// Sends a request; any answer will do.
    ///
    /// # Errors
    /// When there is no answer.
    pub fn send(&self, method: &str, path: &str, body: Option<String>) -> Result<Reply, RequestError> {
        let url = format!("{}{path}", self.base);
        let unreachable = |cause: String| RequestError::Unreachable { url: url.clone(), cause };
        let request = ureq::http::Request::builder()
            .method(method)
            .uri(&url)
            .header("Content-Type", "application/json")
            .body(body.unwrap_or_default())
            .map_err(|error| unreachable(error.to_string()))?;
        let mut answer = self.agent.run(request).map_err(|error| unreachable(error.to_string()))?;
        let status = answer.status().as_u16();
        let text = answer.body_mut().read_to_string().map_err(|error| unreachable(error.to_string()))?;
        Ok(Reply { status, text })
    }

    /// Asks for an answer that comes bit by bit, for so long at most.
    ///
    /// # Errors
    /// No answer, or one that says no.
    pub fn stream(&self, path: &str, length: Duration) -> Result<impl BufRead, RequestError> {
        let url = format!("{}{path}", self.base);
        let unreachable = |cause: ureq::Error| RequestError::Unreachable { url: url.clone(), cause: cause.to_string() };
        let request = self.agent.get(&url).config().timeout_global(Some(length + self.timeout)).build();
        let mut answer = request.call().map_err(unreachable)?;
        let status = answer.status().as_u16();
        if !(200..300).contains(&status) {
            let text = answer.body_mut().read_to_string().map_err(unreachable)?;
            return Err(refused(status, text));
        }
        Ok(BufReader::new(answer.into_body().into_reader()))
    }

    /// Sends a request and reads the JSON that it is answered with; null for an empty answer.
    ///
    /// # Errors
    /// No answer, one that says no, or one that is no JSON.
    pub fn json(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value, RequestError> {
        self.answer(method, path, body).map(|(_, document)| document)
    }

    /// The same with the answer's status.
    ///
    /// # Errors
    /// The same.
    pub fn answer(&self, method: &str, path: &str, body: Option<&Value>) -> Result<(u16, Value), RequestError> {
        let reply = self.send(method, path, body.map(Value::to_string))?;
        if !(200..300).contains(&reply.status) {
            return Err(refused(reply.status, reply.text));
        }
        let body = if reply.text.is_empty() { Ok(Value::Null) } else { serde_json::from_str(&reply.text) };
        let body = body.map_err(|error| RequestError::Unreadable {
            url: format!("{}{path}", self.base),
            cause: error.to_string(),
        })?;
        Ok((reply.status, body))
    }
}

/// An answer that says no.
fn refused(status: u16, text: String) -> RequestError {
    let body = serde_json::from_str(&text).unwrap_or(Value::Null);
    let message = body.get("message").and_then(Value::as_str).map_or(text, str::to_owned);
    RequestError::Refused { status, message, body }
}

/// What a refusal says: for a configuration each fault on a line of its own, else the message.
fn refusal(status: u16, message: &str, body: &Value) -> String {
    let text = |fault: &Value, member: &str| fault.get(member).and_then(Value::as_str).map(str::to_owned);
    let faults = body.get("errors").and_then(Value::as_array).map_or(&[] as &[Value], Vec::as_slice);
    if faults.is_empty() {
        return format!("{message} (HTTP {status})");
    }
    let mut lines = vec![format!("the configuration is refused (HTTP {status})")];
    for fault in faults {
        let mut line = format!("  {}", text(fault, "key").unwrap_or_default());
        if let Some(value) = text(fault, "value") {
            line.push_str(&format!("={value}"));
        }
        line.push_str(&format!(": {}", text(fault, "reason").unwrap_or_default()));
        if let Some(remedy) = text(fault, "remedy") {
            line.push_str(&format!("; {remedy}"));
        }
        lines.push(line);
    }
    lines.join("\n")
}

/// A name as one segment of a path.
pub(crate) fn segment(name: &str) -> String {
    let mut encoded = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_one_segment() {
        assert_eq!(segment("a b/ü?"), "a%20b%2F%C3%BC%3F");
    }

    #[test]
    fn who_does_not_answer_is_named() {
        let flags = ServerFlags { server: "127.0.0.1:1".to_owned(), timeout: 5 };
        let error = Client::new(&flags).json("GET", "/v1/worker", None).unwrap_err();
        assert!(matches!(&error, RequestError::Unreachable { url, .. } if url == "http://127.0.0.1:1/v1/worker"));
    }
}
