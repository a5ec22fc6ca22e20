//! The Java worker's answers, one after the other, against this worker's.

use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::Value;

use crate::world::{Answer, Wishes, World};

/// The captured files with the number of exchanges in each, so that none is lost unseen.
const STANDALONE: [(&str, usize); 7] = [
    (include_str!("captures/1-fresh.json"), 13),
    (include_str!("captures/2-unknown.json"), 23),
    (include_str!("captures/3-refused.json"), 33),
    (include_str!("captures/4-life.json"), 36),
    (include_str!("captures/5-failing.json"), 18),
    (include_str!("captures/6-names.json"), 10),
    (include_str!("captures/7-deleted.json"), 11),
];
const DISTRIBUTED: [(&str, usize); 1] = [(include_str!("captures/8-distributed.json"), 39)];

/// A state is reached soon after a change; an answer that tells it is asked for again for so long.
const SOON: Duration = Duration::from_secs(5);

/// One file of `captures/`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Capture {
    about: String,
    worker_id: String,
    exchanges: Vec<Exchange>,
}

/// A request of which only the effect matters.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    method: String,
    path: String,
    body: Option<String>,
}

/// A request and its answers: the Java worker's, and this one's where it differs.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Exchange {
    method: String,
    path: String,
    body: Option<String>,
    status: u16,
    #[serde(rename = "type")]
    kind: String,
    json: Option<Value>,
    text: Option<String>,
    ours: Option<Value>,
    why: Option<String>,
    compare: Option<Compare>,
    #[serde(default)]
    before: Vec<Request>,
    /// For the reader.
    #[serde(rename = "note")]
    _note: Option<String>,
}

#[derive(Clone, Copy, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Compare {
    /// The list may have further entries.
    More,
}

impl Exchange {
    /// Whether it is asked once only: its answer tells no state that may still be on its way.
    fn is_change(&self) -> bool {
        let asks = self.method == "GET" || self.method == "HEAD";
        // A list stays a list, whatever its query says.
        let lists = self.path.starts_with("/connectors/list");
        !asks || !lists && ["stop", "pause", "resume", "config="].iter().any(|word| self.path.contains(word))
    }

    /// What is wrong with the data itself.
    fn flaw(&self) -> Option<&'static str> {
        if self.json.is_some() == self.text.is_some() {
            return Some("an answer has a text or a JSON value");
        }
        if (self.ours.is_some() || self.compare.is_some()) != self.why.is_some() {
            return Some("a difference has a reason, and a reason a difference");
        }
        match (&self.ours, &self.json) {
            (Some(ours), Some(java)) if same(java, ours, false) => Some("ours is the Java worker's answer"),
            _ => None,
        }
    }

    /// What is wrong with an answer.
    fn fault(&self, answer: &Answer) -> Option<String> {
        // An answer of ours that differs is always a handled one.
        let (status, kind) = match &self.ours {
            Some(_) => (200, "application/json"),
            None => (self.status, self.kind.as_str()),
        };
        if (answer.status, answer.content_type.as_str()) != (status, kind) {
            return Some(format!("expected {status} {kind}"));
        }
        match self.ours.as_ref().or(self.json.as_ref()) {
            Some(expected) => {
                let more = self.compare == Some(Compare::More);
                (!same(expected, &answer.json(), more)).then(|| format!("expected {expected}"))
            }
            None => (self.text.as_ref() != Some(&answer.body)).then(|| format!("expected {:?}", self.text)),
        }
    }
}

/// Equal, but for the text of a cause, the order of tasks in `/allocated/tasks`, and further entries of lists where told.
fn same(expected: &Value, ours: &Value, more: bool) -> bool {
    match (expected, ours) {
        (Value::Object(expected), Value::Object(ours)) => {
            expected.len() == ours.len()
                && expected.iter().all(|(name, value)| match ours.get(name) {
                    Some(Value::String(_)) if name == "trace" => value.is_string(),
                    Some(other) if name.ends_with("Tasks") => same(&by_name(value), &by_name(other), more),
                    Some(other) => same(value, other, more),
                    None => false,
                })
        }
        (Value::Array(expected), Value::Array(ours)) if more => {
            // In the same order, whatever stands between them.
            let mut rest = ours.iter();
            expected.iter().all(|one| rest.any(|other| other == one))
        }
        (Value::Array(expected), Value::Array(ours)) => {
            expected.len() == ours.len() && expected.iter().zip(ours).all(|(a, b)| same(a, b, more))
        }
        _ => expected == ours,
    }
}

fn by_name(tasks: &Value) -> Value {
    let mut tasks = tasks.as_array().cloned().unwrap_or_default();
    tasks.sort_by_key(|task| task["connectorName"].to_string());
    Value::Array(tasks)
}

/// Asks, again and again where a state may still be on its way; gives what is wrong in the end.
fn try_exchange(world: &World, exchange: &Exchange) -> Option<String> {
    for request in &exchange.before {
        let answer = world.ask(&request.method, &request.path, request.body.as_deref());
        assert_eq!(answer.json()["status"], 200, "{answer:?}");
    }
    let start = Instant::now();
    loop {
        let answer = world.ask(&exchange.method, &exchange.path, exchange.body.as_deref());
        let fault = exchange.fault(&answer)?;
        if exchange.is_change() || start.elapsed() > SOON {
            return Some(format!("{fault}\n     got {answer:?}"));
        }
        std::thread::yield_now();
    }
}

/// Replays files on one worker. An answer is compared with the Java worker's, or with the one that differs on purpose.
fn replay(files: &[(&str, usize)]) {
    let captures: Vec<(Capture, usize)> =
        files.iter().map(|(text, count)| (serde_json::from_str(text).unwrap(), *count)).collect();
    let world = World::start(Wishes { worker_id: &captures[0].0.worker_id, ..Wishes::default() });
    let mut faults = Vec::new();
    for (capture, count) in &captures {
        assert_eq!(capture.exchanges.len(), *count, "{}", capture.about);
        for (number, exchange) in capture.exchanges.iter().enumerate() {
            let place = format!("{} {number}, {} {}", capture.about, exchange.method, exchange.path);
            assert_eq!(exchange.flaw(), None, "{place}");
            if let Some(fault) = try_exchange(&world, exchange) {
                faults.push(format!("{place}: {fault}"));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(world.stop().is_empty());
}

#[test]
fn a_standalone_java_workers_answers_are_ours() {
    replay(&STANDALONE);
}

#[test]
fn a_distributed_java_workers_answers_are_ours() {
    replay(&DISTRIBUTED);
}

#[test]
fn every_captured_exchange_is_there() {
    let count: usize = STANDALONE.iter().chain(&DISTRIBUTED).map(|(_, count)| count).sum();
    assert_eq!(count, 183);
}
