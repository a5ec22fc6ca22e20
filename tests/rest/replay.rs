//! The Java worker's answers, one after the other, against this worker's.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::world::{Answer, Wishes, World};

/// Equal, but for the text of a cause, the order of tasks in `/allocated/tasks`, and parts of lists where told.
fn same(expected: &Value, ours: &Value, part: bool) -> bool {
    match (expected, ours) {
        (Value::Object(expected), Value::Object(ours)) => {
            expected.len() == ours.len()
                && expected.iter().all(|(name, value)| match ours.get(name) {
                    Some(Value::String(_)) if name == "trace" => value.is_string(),
                    Some(other) if name.ends_with("Tasks") => same(&by_name(value), &by_name(other), part),
                    Some(other) => same(value, other, part),
                    None => false,
                })
        }
        (Value::Array(expected), Value::Array(ours)) if part => {
            let mut rest = expected.iter();
            ours.iter().all(|one| rest.any(|other| other == one))
        }
        (Value::Array(expected), Value::Array(ours)) => {
            expected.len() == ours.len() && expected.iter().zip(ours).all(|(a, b)| same(a, b, part))
        }
        _ => expected == ours,
    }
}

fn by_name(tasks: &Value) -> Value {
    let mut tasks = tasks.as_array().cloned().unwrap_or_default();
    tasks.sort_by_key(|task| task["connectorName"].to_string());
    Value::Array(tasks)
}

/// What is wrong with an answer.
fn fault(step: &Value, answer: &Answer) -> Option<String> {
    let part = step["compare"] == "part";
    let ours = step.get("ours");
    // An answer of ours that differs is always a handled one.
    let (status, kind) = match ours {
        Some(_) => (200, "application/json"),
        None => (step["status"].as_u64().unwrap(), step["type"].as_str().unwrap()),
    };
    if (u64::from(answer.status), answer.content_type.as_str()) != (status, kind) {
        return Some(format!("expected {status} {kind}"));
    }
    match ours.or(step.get("json")) {
        Some(expected) => (!same(expected, &answer.json(), part)).then(|| format!("expected {expected}")),
        None => (step["text"] != answer.body.as_str()).then(|| format!("expected {}", step["text"])),
    }
}

#[test]
fn standalone_answers_are_the_java_workers() {
    let steps: Vec<Value> = serde_json::from_str(include_str!("standalone.json")).unwrap();
    let world = World::start(Wishes::default());
    let mut faults = Vec::new();
    for (number, step) in steps.iter().enumerate() {
        assert_eq!(step.get("ours").is_some() || step.get("compare").is_some(), step.get("why").is_some(), "{step}");
        let (method, path) = (step["method"].as_str().unwrap(), step["path"].as_str().unwrap());
        let changes = method != "GET" || path.contains("stop") || path.contains("config=");
        // States are reached soon after a change; answers that tell them are asked for again until they do.
        let start = Instant::now();
        let last = loop {
            let answer = world.ask(method, path, step["body"].as_str());
            match fault(step, &answer) {
                None => break None,
                Some(fault) if changes || start.elapsed() > Duration::from_secs(2) => break Some((fault, answer)),
                Some(_) => std::thread::yield_now(),
            }
        };
        if let Some((fault, answer)) = last {
            faults.push(format!("step {number}, {method} {path}: {fault}\n     got {answer:?}"));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(world.stop().is_empty());
}
