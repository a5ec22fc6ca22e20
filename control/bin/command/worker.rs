//! `rmqc-fast worker` and `rmqc-fast health`: the worker itself.

use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use super::output::{array, at, line, members, rows, table};
use super::{Asking, Session};
use crate::EXIT_FAILURE;

/// Shows the worker: version, driver, shards, where its cluster is.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  rmqc-fast worker\n  rmqc-fast worker --server 10.0.0.5:8082 --json")]
pub(crate) struct Worker {
    #[command(flatten)]
    asking: Asking,
}

impl Worker {
    /// Asks and shows.
    ///
    /// # Errors
    /// No worker, or its refusal.
    pub fn run(&self) -> anyhow::Result<ExitCode> {
        self.asking.run(|session| {
            let worker = session.get("/v1/worker")?;
            session.show(&worker, page);
            Ok(ExitCode::SUCCESS)
        })
    }
}

fn page(worker: &Value) -> String {
    let mut text = String::new();
    for (label, pointer) in [
        ("Worker", "/worker_id"),
        ("Version", "/version"),
        ("Up", "/uptime_seconds"),
        ("Driver", "/driver"),
        ("Why", "/driver_reason"),
        ("Pinned", "/pinned"),
        ("Why", "/pin_reason"),
        ("Broker inside", "/embedded_broker"),
    ] {
        let unit = if pointer == "/uptime_seconds" { " s" } else { "" };
        text.push_str(&format!("{:15}{}{unit}\n", format!("{label}:"), line(&at(worker, pointer))));
    }
    let servers: Vec<String> = array(worker, "/name_servers").iter().map(|server| at(server, "")).collect();
    text.push_str(&format!("{:15}{}\n\n", "Name servers:", line(&servers.join(", "))));
    let columns = [
        ("SHARD", "/shard"),
        ("CPU", "/cpu"),
        ("SINCE PROGRESS MS", "/since_progress_ms"),
        ("KICKS", "/kicks"),
        ("REPLACED", "/replaced"),
        ("COMMANDS WAITING", "/commands_waiting"),
    ];
    text.push_str(&rows(array(worker, "/shards"), &columns));
    text
}

/// Tells whether the worker and its connectors are well: exit code 0 yes, 1 something failed or stands still.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  rmqc-fast health\n  rmqc-fast health --json || page-someone")]
pub(crate) struct Health {
    #[command(flatten)]
    asking: Asking,
}

impl Health {
    /// Asks, shows, and judges.
    ///
    /// # Errors
    /// No worker, or its refusal.
    pub fn run(&self) -> anyhow::Result<ExitCode> {
        self.asking.run(|session| {
            let health = health(session)?;
            session.show(&health, health_page);
            let well = health.get("healthy") == Some(&Value::Bool(true));
            Ok(if well { ExitCode::SUCCESS } else { ExitCode::from(EXIT_FAILURE) })
        })
    }
}

/// `{"healthy","worker","connectors":{NAME:{state,cause}}}`.
fn health(session: &Session) -> anyhow::Result<Value> {
    // Its body is for people, its status for machines.
    let worker = session.client.send("GET", "/health", None)?;
    let all = session.get("/v1/connectors?expand=status")?;
    let connectors: serde_json::Map<String, Value> =
        members(&all, "").into_iter().map(|(name, one)| (name.to_owned(), of_connector(one))).collect();
    let well = |one: &Value| !matches!(at(one, "/state").as_str(), "failed" | "stalled");
    let healthy = worker.status == 200 && connectors.values().all(well);
    Ok(json!({ "healthy": healthy, "worker": worker.text.trim(), "connectors": connectors }))
}

fn of_connector(one: &Value) -> Value {
    json!({ "state": at(one, "/status/health/state").to_lowercase(), "cause": one.pointer("/status/health/cause") })
}

fn health_page(health: &Value) -> String {
    let mut text = format!("Worker: {}\n", line(&at(health, "/worker")));
    let connectors = members(health, "/connectors");
    if !connectors.is_empty() {
        let row = |(name, one): &(&str, &Value)| vec![(*name).to_owned(), at(one, "/state"), at(one, "/cause")];
        let rows: Vec<_> = connectors.iter().map(row).collect();
        text.push_str(&table(&["CONNECTOR", "HEALTH", "CAUSE"], &rows));
    }
    text
}
