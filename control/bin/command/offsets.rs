//! `rmqc-fast offsets …`: where a connector stands, and how to move it.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{ArgGroup, Args, Subcommand};
use serde_json::{Value, json};

use super::output::{array, at, line, rows};
use super::time::ms_of;
use super::{Asking, Named, Session, connector_path, documents, usage, with_query};
use crate::progress::Waiting;

/// Shows and changes where connectors stand.
#[derive(Args, Debug)]
#[command(after_help = "A connector must be stopped before its offsets can be changed: rmqc-fast connectors stop \
                        NAME.\n\nExamples:\n  rmqc-fast offsets get orders\n  rmqc-fast offsets reset orders --to \
                        2026-05-01T00:00:00Z --dry-run\n  rmqc-fast offsets reset orders --to earliest")]
pub(crate) struct Offsets {
    #[command(flatten)]
    asking: Asking,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Shows a source's positions, or a sink's queue offsets with what is behind them.
    #[command(after_help = "Example:\n  rmqc-fast offsets get orders --json")]
    Get(Named),
    /// Sets offsets of some partitions; an offset of null forgets the partition.
    #[command(after_help = "Examples:\n  rmqc-fast offsets set orders --partition \
                            '{\"topic\":\"orders\",\"broker\":\"broker-a\",\"queue\":0}' --offset '{\"queue_offset\":17}'\n  \
                            rmqc-fast offsets get orders --json > place.json && rmqc-fast offsets set orders -f \
                            place.json --dry-run")]
    Set(SetFlags),
    /// Forgets where a connector stands, or moves all of a sink's queues to a place.
    #[command(
        after_help = "Examples:\n  rmqc-fast offsets reset orders --dry-run\n  rmqc-fast offsets reset orders --to \
                            latest\n  rmqc-fast offsets reset orders --to 1777593600000"
    )]
    Reset(ResetFlags),
}

#[derive(Args, Debug)]
#[command(group = ArgGroup::new("where").required(true).args(["partition", "file"]))]
struct SetFlags {
    #[command(flatten)]
    named: Named,
    /// The partition, as offsets get shows it.
    #[arg(long, value_name = "JSON", requires = "offset")]
    partition: Option<String>,
    /// Its offset: JSON as offsets get shows it, null, `earliest` or `latest`.
    #[arg(long, value_name = "JSON", requires = "partition")]
    offset: Option<String>,
    /// A document {"offsets":[{"partition":…,"offset":…}]}, `-` for stdin.
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Change nothing; print what would be read again or skipped.
    #[arg(long)]
    dry_run: bool,
}

#[derive(Args, Debug)]
struct ResetFlags {
    #[command(flatten)]
    named: Named,
    /// Sinks: `earliest`, `latest`, or a time: RFC 3339 in UTC, or ms since 1970. Sources: `earliest`. Without it a source
    /// forgets everything, and a sink goes back to the first messages still there.
    #[arg(long, value_name = "PLACE", value_parser = place)]
    to: Option<Place>,
    /// Change nothing; print what would be read again or skipped.
    #[arg(long)]
    dry_run: bool,
}

/// Where to go.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    Earliest,
    Latest,
    TimeMs(i64),
}

impl Offsets {
    /// Does what the command line says.
    ///
    /// # Errors
    /// No worker, its refusal, or flags and files that make no sense.
    pub fn run(&self) -> anyhow::Result<ExitCode> {
        self.asking.run(|session| {
            match &self.action {
                Action::Get(named) => get(session, &named.name)?,
                Action::Set(flags) => set(session, flags)?,
                Action::Reset(flags) => reset(session, flags)?,
            }
            Ok(ExitCode::SUCCESS)
        })
    }
}

fn path(name: &str) -> String {
    format!("{}/offsets", connector_path(name))
}

fn get(session: &Session, name: &str) -> anyhow::Result<()> {
    let offsets = session.get(&path(name))?;
    session.show(&offsets, |offsets| {
        let offsets = array(offsets, "/offsets");
        let of_sink = offsets.iter().any(|one| one.get("max").is_some());
        match (offsets.is_empty(), of_sink) {
            (true, _) => "Nothing is stored.".to_owned(),
            (_, false) => rows(offsets, &[("PARTITION", "/partition"), ("OFFSET", "/offset")]),
            (_, true) => rows(
                offsets,
                &[
                    ("TOPIC", "/partition/topic"),
                    ("BROKER", "/partition/broker"),
                    ("QUEUE", "/partition/queue"),
                    ("MIN", "/min"),
                    ("COMMITTED", "/offset/queue_offset"),
                    ("MAX", "/max"),
                    ("LAG", "/lag"),
                ],
            ),
        }
    });
    Ok(())
}

fn set(session: &Session, flags: &SetFlags) -> anyhow::Result<()> {
    let body = match (&flags.file, &flags.partition, &flags.offset) {
        (Some(file), ..) => {
            let text = match documents::text(file) {
                Ok(text) => text,
                Err(error) => return usage(format!("cannot read {}: {error}", file.display())),
            };
            from_file(&json_of(&text, &file.display().to_string())?)
        }
        (None, Some(partition), Some(offset)) => {
            let offset = match offset.as_str() {
                word @ ("earliest" | "latest") => json!(word),
                text => json_of(text, "--offset")?,
            };
            json!({ "offsets": [{ "partition": json_of(partition, "--partition")?, "offset": offset }] })
        }
        _ => return usage("--partition and --offset, or -f, say what to set"),
    };
    alter(session, &flags.named.name, &body, flags.dry_run)
}

/// A document as `offsets get --json` prints it has more members than a change takes.
fn from_file(document: &Value) -> Value {
    let listed = if document.is_array() { array(document, "") } else { array(document, "/offsets") };
    let pick = |one: &Value| json!({ "partition": one.get("partition"), "offset": one.get("offset") });
    json!({ "offsets": listed.iter().map(pick).collect::<Vec<_>>() })
}

fn json_of(text: &str, place: &str) -> anyhow::Result<Value> {
    serde_json::from_str(text).or_else(|error| usage(format!("{place} is no JSON: {error}")))
}

fn alter(session: &Session, name: &str, body: &Value, dry_run: bool) -> anyhow::Result<()> {
    let query = [("dry_run", dry_run.then(|| "true".to_owned()))];
    let waiting = Waiting::start("changing offsets");
    let answer = session.change("PATCH", &with_query(&path(name), &query), Some(body));
    drop(waiting);
    show_changed(session, &answer?.1, dry_run);
    Ok(())
}

fn reset(session: &Session, flags: &ResetFlags) -> anyhow::Result<()> {
    let name = &flags.named.name;
    let Some(place) = &flags.to else {
        let query = [("dry_run", flags.dry_run.then(|| "true".to_owned()))];
        let waiting = Waiting::start("changing offsets");
        let answer = session.change("DELETE", &with_query(&path(name), &query), None);
        drop(waiting);
        show_changed(session, &answer?.1, flags.dry_run);
        return Ok(());
    };
    let info = session.get(&connector_path(name))?;
    let of_source = at(&info, "/type") == "source";
    let offset = match (place, of_source) {
        // What a source has not read yet, and when it was made, only the outside system knows.
        (Place::Latest | Place::TimeMs(_), true) => {
            return usage(format!(
                "{name} is a source; it can be reset to earliest, or set to an offset by offsets set"
            ));
        }
        (Place::Earliest, true) => Value::Null,
        (Place::Earliest, false) => json!("earliest"),
        (Place::Latest, false) => json!("latest"),
        (Place::TimeMs(time), false) => json!({ "timestamp_ms": time }),
    };
    let there = session.get(&path(name))?;
    let edit = |one: &Value| json!({ "partition": one.get("partition"), "offset": offset });
    let edits: Vec<Value> = array(&there, "/offsets").iter().map(edit).collect();
    if edits.is_empty() {
        session.show(&json!({ "message": "nothing is stored" }), |_| format!("Nothing is stored for {name}."));
        return Ok(());
    }
    alter(session, name, &json!({ "offsets": edits }), flags.dry_run)
}

fn show_changed(session: &Session, answer: &Value, dry_run: bool) {
    session.show(answer, |answer| {
        if !dry_run {
            return at(answer, "/message");
        }
        let mut text = "Nothing was changed. It would be:\n".to_owned();
        let columns = [
            ("PARTITION", "/partition"),
            ("FROM", "/from"),
            ("TO", "/to"),
            ("READ AGAIN", "/records_again"),
            ("SKIPPED", "/records_skipped"),
        ];
        text.push_str(&rows(array(answer, "/offsets"), &columns));
        if let Some(refused) = answer.get("refused").and_then(Value::as_str) {
            text.push_str(&format!("It would be refused now: {}\n", line(refused)));
        }
        text
    });
}

/// Reads `earliest`, `latest`, milliseconds or a date and time.
fn place(text: &str) -> Result<Place, String> {
    match text.to_ascii_lowercase().as_str() {
        "earliest" => Ok(Place::Earliest),
        "latest" => Ok(Place::Latest),
        other => other.parse().ok().filter(|ms| *ms >= 0).or_else(|| ms_of(text)).map(Place::TimeMs).ok_or_else(|| {
            "expected earliest, latest, ms since 1970, or a time such as 2026-05-01T12:00:00Z".to_owned()
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read() {
        for (text, expected) in [
            ("earliest", Some(Place::Earliest)),
            ("LATEST", Some(Place::Latest)),
            ("0", Some(Place::TimeMs(0))),
            ("1709222399123", Some(Place::TimeMs(1_709_222_399_123))),
            ("1970-01-01T00:00:00Z", Some(Place::TimeMs(0))),
            ("2024-02-29T15:59:59Z", Some(Place::TimeMs(1_709_222_399_000))),
            ("2024-02-29T15:59:59.5Z", Some(Place::TimeMs(1_709_222_399_500))),
            ("2024-02-29T17:29:59.123456+01:30", Some(Place::TimeMs(1_709_222_399_123))),
            ("2100-03-01T00:00:00-00:00", Some(Place::TimeMs(4_107_542_400_000))),
            ("2023-02-29T00:00:00Z", None),
            ("2024-13-01T00:00:00Z", None),
            ("2024-01-01T24:00:00Z", None),
            ("2024-01-01T00:00:00", None),
            ("2024-01-01", None),
            ("-1", None),
            ("yesterday", None),
            ("2024-01-01T0é:00:00Z", None),
        ] {
            assert_eq!(place(text).ok(), expected, "{text}");
        }
    }

    #[test]
    fn a_printed_document_can_be_set() {
        let printed =
            json!({"offsets": [{"partition": {"queue": 1}, "offset": {"queue_offset": 2}, "min": 0, "max": 9}]});
        assert_eq!(
            from_file(&printed),
            json!({"offsets": [{"partition": {"queue": 1}, "offset": {"queue_offset": 2}}]})
        );
    }
}
