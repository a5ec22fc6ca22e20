//! How tests run the tool: as a process, since scenarios read their sizes from the environment.

use std::process::Command;

use serde_json::Value;

use crate::tool;

/// The command line for the process that is the tool.
const ARGUMENTS: &str = "RMQC_PERF_ARGUMENTS";
/// The test that is the tool then.
const TEST: &str = "as_the_tool";

/// To be called by that test.
pub fn as_the_tool() {
    let arguments = std::env::var(ARGUMENTS).unwrap_or_default();
    let arguments: Vec<String> = arguments.split_whitespace().map(str::to_owned).collect();
    tool::run(&arguments).unwrap();
}

/// What a scenario should print.
pub struct Expected<'a> {
    /// Names of its cases, in their order.
    pub cases: &'a [&'a str],
    /// Names of the sides of each.
    pub sides: &'a [&'a str],
    /// Rounds.
    pub rounds: u64,
    /// Numbers that every side of the last case must have, above 0.
    pub numbers: &'a [&'a str],
}

impl<'a> Expected<'a> {
    /// A throughput.
    pub fn throughput(cases: &'a [&'a str], sides: &'a [&'a str], rounds: u64) -> Self {
        Self { cases, sides, rounds, numbers: &["records_per_second", "cpu_us_per_record", "seconds", "records"] }
    }
}

/// Runs the tool and checks what it printed; gives the summaries.
pub fn measure(arguments: &str, environment: &[(&str, &str)], expected: &Expected<'_>) -> Vec<Value> {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", TEST, "--nocapture"]).env(ARGUMENTS, arguments);
    command.env("RMQC_BINARY", crate::support::worker::binary()).envs(environment.iter().copied());
    let output = command.output().unwrap();
    let (text, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{arguments}: {}\n{text}\n{errors}", output.status);
    let lines: Vec<Value> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let (summaries, measured): (Vec<Value>, Vec<Value>) = lines.into_iter().partition(|line| line["summary"] == true);
    let cases: Vec<&str> = summaries.iter().filter_map(|summary| summary["case"].as_str()).collect();
    assert_eq!(cases, expected.cases, "{arguments}\n{text}");
    for summary in &summaries {
        let mut sides: Vec<&str> =
            summary["sides"].as_object().unwrap().iter().map(|(side, _)| side.as_str()).collect();
        let mut wanted = expected.sides.to_vec();
        sides.sort_unstable();
        wanted.sort_unstable();
        assert_eq!(sides, wanted, "{summary}");
        assert!(matches!(summary["verdict"].as_str(), Some("quiet" | "noisy")), "{summary}");
        // Each side once a round, and the first once more.
        let rows = measured.iter().filter(|line| line["case"] == summary["case"]).count();
        assert_eq!(rows as u64, (expected.sides.len() as u64 + 1) * expected.rounds, "{summary}");
    }
    let last = summaries.last().unwrap();
    for (side, name) in expected.sides.iter().flat_map(|side| expected.numbers.iter().map(move |name| (side, name))) {
        let number = &last["sides"][side][name]["median"];
        assert!(number.as_f64().is_some_and(|number| number > 0.0), "{name} of {side}: {last}");
    }
    summaries
}
