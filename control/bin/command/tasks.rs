//! `rmqc-fast tasks …`: a connector's tasks.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::connectors::{failures, task_table};
use super::output::{array, at, line, members};
use super::{Asking, Named, Session, connector_path};

/// Shows and restarts a connector's tasks.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  rmqc-fast tasks list orders\n  rmqc-fast tasks restart orders 0")]
pub(crate) struct Tasks {
    #[command(flatten)]
    asking: Asking,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Lists the tasks of a connector.
    #[command(after_help = "Example:\n  rmqc-fast tasks list orders --json")]
    List(Named),
    /// Shows one task: state, last failures, configuration.
    #[command(after_help = "Example:\n  rmqc-fast tasks show orders 0")]
    Show(OneTask),
    /// Restarts one task, whatever its state: it drains and commits first if it runs.
    #[command(after_help = "Example:\n  rmqc-fast tasks restart orders 0")]
    Restart(OneTask),
}

#[derive(Args, Debug)]
struct OneTask {
    #[command(flatten)]
    named: Named,
    /// Number of the task, from 0.
    #[arg(value_name = "ID")]
    id: u32,
}

impl Tasks {
    /// Does what the command line says.
    ///
    /// # Errors
    /// No worker, or its refusal.
    pub fn run(&self) -> anyhow::Result<ExitCode> {
        self.asking.run(|session| {
            match &self.action {
                Action::List(named) => list(session, &named.name)?,
                Action::Show(one) => show(session, one)?,
                Action::Restart(one) => restart(session, one)?,
            }
            Ok(ExitCode::SUCCESS)
        })
    }
}

fn list(session: &Session, name: &str) -> anyhow::Result<()> {
    let status = session.get(&format!("{}/status", connector_path(name)))?;
    session.show(&json!(array(&status, "/tasks")), |tasks| {
        let tasks = array(tasks, "");
        if tasks.is_empty() { "No tasks.".to_owned() } else { task_table(tasks) }
    });
    Ok(())
}

fn show(session: &Session, one: &OneTask) -> anyhow::Result<()> {
    let path = connector_path(&one.named.name);
    let status = session.get(&format!("{path}/tasks/{}/status", one.id))?;
    let tasks = session.get(&format!("{path}/tasks"))?;
    let of_this = |task: &&Value| task.pointer("/id/task").and_then(Value::as_u64) == Some(u64::from(one.id));
    let config = array(&tasks, "").iter().find(of_this).and_then(|task| task.get("config")).cloned();
    session.show(&json!({ "status": status, "config": config }), |task| {
        let status = task.get("status").unwrap_or(&Value::Null);
        let mut text = task_table(std::slice::from_ref(status));
        text.push_str(&failures(status));
        text.push_str("\nConfiguration:\n");
        for (key, value) in members(task, "/config") {
            text.push_str(&format!("  {} = {}\n", line(key), line(&at(value, ""))));
        }
        text
    });
    Ok(())
}

fn restart(session: &Session, one: &OneTask) -> anyhow::Result<()> {
    let name = &one.named.name;
    session.change("POST", &format!("{}/tasks/{}/restart", connector_path(name), one.id), None)?;
    let document = json!({ "connector": name, "task": one.id, "action": "restart" });
    session.show(&document, |_| format!("Task {} of {name} is restarted.", one.id));
    Ok(())
}
