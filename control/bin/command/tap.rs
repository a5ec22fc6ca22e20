//! `rmqc-fast tap`: a look at records on their way.

use std::io::{BufRead as _, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use serde_json::Value;

use super::output::{at, line, members};
use super::{Asking, Named, connector_path, with_query};

/// Shows a sample of the records that pass, until there were enough or the time is over. Nothing is changed by it.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  rmqc-fast tap orders\n  rmqc-fast tap orders --stage put --every 1000 --limit 20 \
                        --seconds 30\n  rmqc-fast tap orders --json | jq .value"
)]
pub(crate) struct Tap {
    #[command(flatten)]
    asking: Asking,
    #[command(flatten)]
    named: Named,
    /// Only this stage: poll, pull, convert, transform, send or put.
    #[arg(long, value_parser = stage)]
    stage: Option<String>,
    /// Only this task.
    #[arg(long, value_name = "ID")]
    task: Option<u32>,
    /// Every so many-th record of a stage.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    every: u32,
    /// Most records.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: u32,
    /// Longest time.
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
}

fn stage(text: &str) -> Result<String, String> {
    use rmqc_core::tap::TapStage;
    let names: Vec<&str> = TapStage::ALL.iter().map(|stage| stage.name()).collect();
    TapStage::parse(text)
        .map(|stage| stage.name().to_owned())
        .ok_or_else(|| format!("expected one of {}", names.join(", ")))
}

impl Tap {
    /// Shows what comes, line by line, each as soon as it is there. With `--json` a line is a record's document.
    ///
    /// # Errors
    /// No worker, its refusal, or a worker that goes away.
    pub fn run(&self) -> anyhow::Result<ExitCode> {
        self.asking.run(|session| {
            let query = [
                ("stage", self.stage.clone()),
                ("task", self.task.map(|task| task.to_string())),
                ("every", Some(self.every.to_string())),
                ("limit", Some(self.limit.to_string())),
                ("seconds", Some(self.seconds.to_string())),
            ];
            let path = with_query(&format!("{}/tap", connector_path(&self.named.name)), &query);
            let records = session.client.stream(&path, Duration::from_secs(self.seconds))?;
            let mut out = std::io::stdout().lock();
            for record in records.lines() {
                let record = record.context("the worker went away while records were shown")?;
                if record.trim().is_empty() {
                    continue;
                }
                let shown = if session.json { record } else { readable(&record) };
                // Who reads may have seen enough.
                if writeln!(out, "{shown}").and_then(|()| out.flush()).is_err() {
                    break;
                }
            }
            Ok(ExitCode::SUCCESS)
        })
    }
}

/// A record on one line: where and when it was seen, then what it holds.
fn readable(record: &str) -> String {
    let Ok(record) = serde_json::from_str::<Value>(record) else { return line(record) };
    let mut text = String::new();
    let shown = members(&record, "").into_iter().filter(|(_, value)| match value {
        Value::Null | Value::Bool(false) => false,
        Value::String(text) => !text.is_empty(),
        Value::Object(object) => !object.is_empty(),
        Value::Array(elements) => !elements.is_empty(),
        _ => true,
    });
    // The value is the longest, and comes last.
    let (last, first): (Vec<_>, Vec<_>) = shown.partition(|(name, _)| *name == "value");
    for (name, value) in first.into_iter().chain(last) {
        let value = line(&at(value, ""));
        text.push_str(&match name {
            "stage" => format!("{value}  "),
            _ => format!("{name}={value}  "),
        });
    }
    text.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_one_line() {
        let record = r#"{"stage":"put","key":null,"value":"a\nb","queue":3,"cut":false,"properties":{"K":"v"}}"#;
        assert_eq!(readable(record), r#"properties={"K":"v"}  queue=3  put  value=a b"#);
        assert_eq!(readable("no json"), "no json");
    }

    #[test]
    fn stages_are_checked_before_anyone_is_asked() {
        assert_eq!(stage("PUT"), Ok("put".to_owned()));
        assert!(stage("nowhere").unwrap_err().contains("transform"));
    }
}
