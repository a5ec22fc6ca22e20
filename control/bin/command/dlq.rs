//! `rmqc-fast dlq …`: dead letters.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::output::{array, at, line, members, rows, table};
use super::{Asking, Named, Session, connector_path, time, with_query};
use crate::progress::Waiting;

/// Shows a connector's dead letters, and sends them back.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  rmqc-fast dlq list orders\n  rmqc-fast dlq show orders --limit 5\n  rmqc-fast dlq \
                        replay orders --dry-run"
)]
pub(crate) struct Dlq {
    #[command(flatten)]
    asking: Asking,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Counts the dead letters: by queue, by stage and by exception.
    #[command(after_help = "Example:\n  rmqc-fast dlq list orders")]
    List(Named),
    /// Shows dead letters with what was wrong with them.
    #[command(after_help = "Examples:\n  rmqc-fast dlq show orders\n  rmqc-fast dlq show orders --queue 2 --from 100 \
                            --limit 10 --json")]
    Show(ShowFlags),
    /// Sends dead letters back to where they came from, each once, behind the last replay.
    #[command(
        after_help = "Examples:\n  rmqc-fast dlq replay orders --dry-run\n  rmqc-fast dlq replay orders --limit \
                            100\n  rmqc-fast dlq replay orders --queue 0 --from 17 --to 20 --topic orders-again"
    )]
    Replay(ReplayFlags),
}

#[derive(Args, Debug)]
struct ShowFlags {
    #[command(flatten)]
    named: Named,
    /// Only this queue of the dead letter topic.
    #[arg(long)]
    queue: Option<u32>,
    /// From this offset on; without it the newest.
    #[arg(long, value_name = "OFFSET")]
    from: Option<u64>,
    /// Most letters.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
}

#[derive(Args, Debug)]
struct ReplayFlags {
    #[command(flatten)]
    named: Named,
    /// Only this queue of the dead letter topic.
    #[arg(long)]
    queue: Option<u32>,
    /// From this offset on, whether replayed before or not.
    #[arg(long, value_name = "OFFSET", requires = "queue")]
    from: Option<u64>,
    /// Up to this offset, itself not included.
    #[arg(long, value_name = "OFFSET", requires = "queue")]
    to: Option<u64>,
    /// Most letters.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// To this topic instead of each letter's own.
    #[arg(long)]
    topic: Option<String>,
    /// Send nothing; say what would be sent.
    #[arg(long)]
    dry_run: bool,
}

impl Dlq {
    /// Does what the command line says.
    ///
    /// # Errors
    /// No worker, or its refusal.
    pub fn run(&self) -> anyhow::Result<ExitCode> {
        self.asking.run(|session| {
            match &self.action {
                Action::List(named) => list(session, &named.name)?,
                Action::Show(flags) => show(session, flags)?,
                Action::Replay(flags) => replay(session, flags)?,
            }
            Ok(ExitCode::SUCCESS)
        })
    }
}

fn list(session: &Session, name: &str) -> anyhow::Result<()> {
    let summary = session.get(&format!("{}/dlq/summary", connector_path(name)))?;
    session.show(&summary, summary_page);
    Ok(())
}

/// What there is, in which queues, and why.
fn summary_page(summary: &Value) -> String {
    let mut text = format!("{} dead letters in topic {}", at(summary, "/letters"), line(&at(summary, "/topic")));
    if let Some(newest) = summary.pointer("/newest_ms").and_then(Value::as_i64) {
        text.push_str(&format!(", the newest of {}", time::shown(newest)));
    }
    text.push('\n');
    let counts = members(summary, "/by_stage").into_iter().chain(members(summary, "/by_exception"));
    let rows: Vec<Vec<String>> = counts.map(|(what, count)| vec![at(count, ""), what.to_owned()]).collect();
    if !rows.is_empty() {
        text.push_str(&format!("\nOf the last {}:\n{}", at(summary, "/looked_at"), table(&["LETTERS", "WHY"], &rows)));
    }
    let columns = [
        ("BROKER", "/broker"),
        ("QUEUE", "/queue"),
        ("MIN", "/min"),
        ("MAX", "/max"),
        ("LETTERS", "/letters"),
        ("REPLAYED TO", "/replayed_to"),
    ];
    text + &used_queues(summary, "/letters", &columns)
}

/// What was sent, or would be, and what is left.
fn replay_page(answer: &Value) -> String {
    let dry = answer.get("dry_run") == Some(&Value::Bool(true));
    let (replayed, left) = (at(answer, "/replayed"), at(answer, "/left"));
    let would = if dry { "would be replayed" } else { "replayed" };
    let mut text = format!("{replayed} dead letters {would}, {left} left\n");
    for (topic, count) in members(answer, "/by_topic") {
        text.push_str(&format!("  {} to topic {}\n", at(count, ""), line(topic)));
    }
    let columns = [
        ("BROKER", "/broker"),
        ("QUEUE", "/queue"),
        ("FROM", "/from"),
        ("TO", "/to"),
        ("REPLAYED", "/replayed"),
        ("LEFT", "/left"),
    ];
    text + &used_queues(answer, "/replayed", &columns)
}

/// A table of those queues in which there is something.
fn used_queues(document: &Value, counter: &str, columns: &[(&str, &str)]) -> String {
    let used = |queue: &&Value| queue.pointer(counter).and_then(Value::as_i64).is_some_and(|count| count > 0);
    let queues: Vec<Value> = array(document, "/queues").iter().filter(used).cloned().collect();
    if queues.is_empty() { String::new() } else { format!("\n{}", rows(&queues, columns)) }
}

fn show(session: &Session, flags: &ShowFlags) -> anyhow::Result<()> {
    let query = [
        ("queue", flags.queue.map(|queue| queue.to_string())),
        ("from", flags.from.map(|from| from.to_string())),
        ("limit", Some(flags.limit.to_string())),
    ];
    let letters = session.get(&with_query(&format!("{}/dlq", connector_path(&flags.named.name)), &query))?;
    session.show(&letters, |answer| {
        let letters = array(answer, "/letters");
        if letters.is_empty() { "No dead letters.".to_owned() } else { letters.iter().map(letter).collect() }
    });
    Ok(())
}

/// One letter, a member a line.
fn letter(letter: &Value) -> String {
    let mut text = format!("queue {} offset {}\n", line(&at(letter, "/queue")), line(&at(letter, "/queue_offset")));
    for (name, value) in members(letter, "").into_iter().filter(|(name, _)| !matches!(*name, "queue" | "queue_offset"))
    {
        if let Value::Object(object) = value {
            text.push_str(&format!("  {name}:\n"));
            for (key, value) in object {
                text.push_str(&format!("    {} = {}\n", line(key), line(&at(value, ""))));
            }
        } else if !value.is_null() {
            text.push_str(&format!("  {name}: {}\n", line(&at(value, ""))));
        }
    }
    text
}

fn replay(session: &Session, flags: &ReplayFlags) -> anyhow::Result<()> {
    // The worker takes null for what is not asked for.
    let body = json!({
        "queue": flags.queue,
        "from": flags.from,
        "to": flags.to,
        "limit": flags.limit,
        "topic": flags.topic,
        "dry_run": flags.dry_run,
    });
    let path = format!("{}/dlq/replay", connector_path(&flags.named.name));
    let waiting = Waiting::start(if flags.dry_run { "looking at dead letters" } else { "replaying dead letters" });
    let answer = session.change("POST", &path, Some(&body));
    drop(waiting);
    session.show(&answer?.1, replay_page);
    Ok(())
}
