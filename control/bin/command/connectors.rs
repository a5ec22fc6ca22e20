//! `rmqc-fast connectors …`: connectors from creation to deletion.

use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};

use super::documents::FileFlags;
use super::output::{array, at, indented, line, members, table};
use super::{Asking, Named, Session, apply, connector_path, time, usage, with_query};

/// Shows, creates, changes, pauses, restarts, stops and deletes connectors.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  rmqc-fast connectors list\n  rmqc-fast connectors create orders -f orders.json\n  \
                        rmqc-fast connectors apply -f all.json --server 10.0.0.5:8082\n  rmqc-fast connectors restart \
                        orders --only-failed"
)]
pub(crate) struct Connectors {
    #[command(flatten)]
    asking: Asking,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Lists all connectors with their state and health.
    #[command(after_help = "Examples:\n  rmqc-fast connectors list\n  rmqc-fast connectors list --json")]
    List,
    /// Shows a connector: state, health and cause, tasks with their last failures, configuration.
    #[command(after_help = "Example:\n  rmqc-fast connectors describe orders")]
    Describe(Named),
    /// Creates a connector; there must be none of that name.
    #[command(after_help = "Examples:\n  rmqc-fast connectors create orders -f orders.json\n  rmqc-fast connectors \
                            create orders -f - --state stopped < orders.properties")]
    Create(CreateFlags),
    /// Creates connectors or changes their configuration to what the files say; tells what was done to each.
    #[command(after_help = "Files hold one connector or several: {\"name\":…,\"config\":{…}}, an array of these, one \
                            JSON document after the other, or Java properties with a name.\n\nExamples:\n  rmqc-fast \
                            connectors apply -f orders.json -f customers.json\n  rmqc-fast connectors apply orders -f \
                            conf/examples/file-sink.json")]
    Apply(FileFlags),
    /// Compares files with what the worker has: exit code 0 equal, 1 different. Secrets are masked.
    #[command(after_help = "Example:\n  rmqc-fast connectors diff -f orders.json")]
    Diff(FileFlags),
    /// Pauses a connector: its tasks stay, but nothing moves.
    #[command(after_help = "Example:\n  rmqc-fast connectors pause orders")]
    Pause(Named),
    /// Lets a paused or stopped connector go on; failed tasks start again too.
    #[command(after_help = "Example:\n  rmqc-fast connectors resume orders")]
    Resume(Named),
    /// Restarts a connector; its tasks only with --tasks or --only-failed.
    #[command(after_help = "Examples:\n  rmqc-fast connectors restart orders --tasks\n  rmqc-fast connectors restart \
                            orders --only-failed")]
    Restart(RestartFlags),
    /// Stops a connector: its tasks drain, commit and leave; configuration and place stay. Offsets can then be changed.
    #[command(after_help = "Example:\n  rmqc-fast connectors stop orders")]
    Stop(Named),
    /// Deletes a connector, on wish with all it remembers.
    #[command(after_help = "Examples:\n  rmqc-fast connectors delete orders\n  rmqc-fast connectors delete orders \
                            --positions --group --yes")]
    Delete(DeleteFlags),
    /// Prints a connector's configuration as key=value lines, secrets masked.
    #[command(after_help = "Example:\n  rmqc-fast connectors config orders --json")]
    Config(Named),
}

#[derive(Args, Debug)]
struct CreateFlags {
    #[command(flatten)]
    file: FileFlags,
    /// What it is to do once it is there.
    #[arg(long, value_enum, default_value_t = InitialState::Running)]
    state: InitialState,
}

/// Target state of a new connector.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum InitialState {
    /// Its tasks run.
    Running,
    /// Its tasks are there, but nothing moves.
    Paused,
    /// It has no tasks yet.
    Stopped,
}

#[derive(Args, Debug)]
struct RestartFlags {
    #[command(flatten)]
    named: Named,
    /// Restart what failed, tasks included, and nothing else.
    #[arg(long)]
    only_failed: bool,
    /// Restart its tasks too: they drain and commit, then start again.
    #[arg(long)]
    tasks: bool,
}

#[derive(Args, Debug)]
struct DeleteFlags {
    #[command(flatten)]
    named: Named,
    /// Forget a source's positions too: one of that name will begin from the start.
    #[arg(long)]
    positions: bool,
    /// Delete a sink's consumer group too, unless the configuration names it.
    #[arg(long)]
    group: bool,
    /// Don't ask.
    #[arg(short, long)]
    yes: bool,
}

impl Connectors {
    /// Does what the command line says.
    ///
    /// # Errors
    /// No worker, its refusal, or flags and files that make no sense.
    pub fn run(&self) -> anyhow::Result<ExitCode> {
        self.asking.run(|session| {
            match &self.action {
                Action::List => list(session)?,
                Action::Describe(named) => describe(session, &named.name)?,
                Action::Create(flags) => create(session, flags)?,
                Action::Apply(flags) => return apply::apply(session, flags),
                Action::Diff(flags) => return apply::diff(session, flags),
                Action::Pause(named) => set_target(session, &named.name, "pause", "is paused")?,
                Action::Resume(named) => set_target(session, &named.name, "resume", "goes on")?,
                Action::Stop(named) => {
                    set_target(session, &named.name, "stop", "is stopped; connectors resume lets it go on")?;
                }
                Action::Restart(flags) => restart(session, flags)?,
                Action::Delete(flags) => delete(session, flags)?,
                Action::Config(named) => config(session, &named.name)?,
            }
            Ok(ExitCode::SUCCESS)
        })
    }
}

fn list(session: &Session) -> anyhow::Result<()> {
    let all = session.get("/v1/connectors?expand=status&expand=info")?;
    session.show(&all, |all| {
        let connectors = members(all, "");
        if connectors.is_empty() {
            return "No connectors.".to_owned();
        }
        let row = |(name, one): &(&str, &Value)| {
            let tasks = array(one, "/status/tasks");
            let running = tasks.iter().filter(|task| at(task, "/state") == "RUNNING").count();
            vec![
                (*name).to_owned(),
                at(one, "/status/type"),
                at(one, "/status/connector/state"),
                format!("{running}/{}", tasks.len()),
                at(one, "/status/health/state"),
                at(one, "/status/health/cause"),
            ]
        };
        let rows: Vec<_> = connectors.iter().map(row).collect();
        table(&["NAME", "TYPE", "STATE", "RUNNING", "HEALTH", "CAUSE"], &rows)
    });
    Ok(())
}

fn describe(session: &Session, name: &str) -> anyhow::Result<()> {
    let path = connector_path(name);
    let info = session.get(&path)?;
    let status = session.get(&format!("{path}/status"))?;
    session.show(&json!({ "info": info, "status": status }), description);
    Ok(())
}

/// A connector on a page.
fn description(one: &Value) -> String {
    let mut text = String::new();
    for (label, pointer) in [
        ("Name", "/info/name"),
        ("Type", "/info/type"),
        ("State", "/status/connector/state"),
        ("Worker", "/status/connector/worker_id"),
        ("Health", "/status/health/state"),
        ("Cause", "/status/health/cause"),
        ("Limit", "/status/limit/sentence"),
        ("Advice", "/status/limit/advice"),
    ] {
        let value = at(one, pointer);
        if value != "-" && !value.is_empty() {
            text.push_str(&format!("{:13}{}\n", format!("{label}:"), line(&value)));
        }
    }
    if let Some(kind) = one.pointer("/status/last_change/kind").and_then(Value::as_str) {
        text.push_str(&format!("Last change: {} at {}", line(kind), time_at(one, "/status/last_change/at_ms")));
        let cause = at(one, "/status/last_change/cause");
        text.push_str(&if cause == "-" { "\n".to_owned() } else { format!(": {}\n", line(&cause)) });
    }
    if let Some(trace) = one.pointer("/status/connector/trace").and_then(Value::as_str) {
        text.push_str(&format!("Failure:\n{}", indented(trace, 2)));
    }
    let tasks = array(one, "/status/tasks");
    if !tasks.is_empty() {
        text.push_str("\nTasks:\n");
        text.push_str(&indented(&task_table(tasks), 2));
        tasks.iter().for_each(|task| text.push_str(&failures(task)));
    }
    text.push_str("\nConfiguration:\n");
    for (key, value) in members(one, "/info/config") {
        text.push_str(&format!("  {} = {}\n", line(key), line(&at(value, ""))));
    }
    text
}

/// Tasks of a status as a table.
pub(super) fn task_table(tasks: &[Value]) -> String {
    let row = |task: &Value| {
        let waits = match task.pointer("/holding/cause").and_then(Value::as_str) {
            Some(cause) => format!("{}: {cause} ({} tries)", at(task, "/holding/stage"), at(task, "/holding/tries")),
            None => String::new(),
        };
        let pointers = ["/id", "/state", "/phase", "/shard", "/restarts", "/lag_records", "/health/state"];
        let mut cells: Vec<String> = pointers.iter().map(|pointer| at(task, pointer)).collect();
        cells.push(waits);
        cells
    };
    let rows: Vec<_> = tasks.iter().map(row).collect();
    table(&["TASK", "STATE", "PHASE", "SHARD", "RESTARTS", "LAG", "HEALTH", "WAITS FOR"], &rows)
}

/// Why a task failed, and how often before.
pub(super) fn failures(task: &Value) -> String {
    let mut text = String::new();
    if let Some(trace) = task.pointer("/trace").and_then(Value::as_str) {
        text.push_str(&format!("  Task {}:\n{}", at(task, "/id"), indented(trace, 4)));
    }
    let history = array(task, "/history");
    if !history.is_empty() {
        text.push_str(&format!("  Last failures of task {}:\n", at(task, "/id")));
        for one in history {
            let (cause, then) = (line(&at(one, "/cause")), line(&at(one, "/then")));
            text.push_str(&format!("    {}  {cause}; {then}\n", time_at(one, "/at_ms")));
        }
    }
    text
}

/// The time that stands at a JSON pointer in ms since 1970.
fn time_at(document: &Value, pointer: &str) -> String {
    document.pointer(pointer).and_then(Value::as_i64).map_or_else(|| "-".to_owned(), time::shown)
}

fn create(session: &Session, flags: &CreateFlags) -> anyhow::Result<()> {
    let connectors = flags.file.read()?;
    let [(name, config)] = connectors.as_slice() else {
        return usage("create takes one connector; connectors apply takes several");
    };
    let state = match flags.state {
        InitialState::Running => "RUNNING",
        InitialState::Paused => "PAUSED",
        InitialState::Stopped => "STOPPED",
    };
    let body = json!({ "name": name, "config": config, "initial_state": state });
    let (_, answer) = session.change("POST", "/v1/connectors", Some(&body))?;
    session.show(&answer, |_| format!("{name} is created."));
    Ok(())
}

fn set_target(session: &Session, name: &str, action: &str, sentence: &str) -> anyhow::Result<()> {
    session.change("PUT", &format!("{}/{action}", connector_path(name)), None)?;
    session.done(name, action, &format!("{name} {sentence}."));
    Ok(())
}

fn restart(session: &Session, flags: &RestartFlags) -> anyhow::Result<()> {
    let name = &flags.named.name;
    let tasks = flags.tasks || flags.only_failed;
    let path = format!("{}/restart?includeTasks={tasks}&onlyFailed={}", connector_path(name), flags.only_failed);
    session.change("POST", &path, None)?;
    let what = match (flags.only_failed, flags.tasks) {
        (true, _) => "is restarted where it failed",
        (false, true) => "and its tasks are restarted",
        (false, false) => "is restarted, its tasks are left as they are; --tasks restarts them too",
    };
    session.done(name, "restart", &format!("{name} {what}."));
    Ok(())
}

fn delete(session: &Session, flags: &DeleteFlags) -> anyhow::Result<()> {
    let name = &flags.named.name;
    if !flags.yes && !confirmed(flags)? {
        return usage(format!("{name} is not deleted"));
    }
    let wish = |wanted: bool| wanted.then(|| "true".to_owned());
    let query = [("positions", wish(flags.positions)), ("group", wish(flags.group))];
    session.change("DELETE", &with_query(&connector_path(name), &query), None)?;
    session.done(name, "delete", &format!("{name} is deleted."));
    Ok(())
}

/// Asks whoever sits at the terminal.
fn confirmed(flags: &DeleteFlags) -> anyhow::Result<bool> {
    let name = &flags.named.name;
    if !std::io::stdin().is_terminal() {
        return usage(format!("deleting {name} needs --yes where nobody can be asked"));
    }
    let too = match (flags.positions, flags.group) {
        (false, false) => "",
        (true, false) => " with its positions",
        (false, true) => " with its consumer group",
        (true, true) => " with its positions and its consumer group",
    };
    let mut err = std::io::stderr().lock();
    write!(err, "Delete {name}{too}? [y/N] ").and_then(|()| err.flush())?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

fn config(session: &Session, name: &str) -> anyhow::Result<()> {
    let config = session.get(&format!("{}/config", connector_path(name)))?;
    session.show(&config, |config| {
        let lines = members(config, "").into_iter().map(|(key, value)| format!("{key}={}\n", at(value, "")));
        lines.collect()
    });
    Ok(())
}
