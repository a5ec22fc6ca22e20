//! The table of throughputs: a row a case, a column a side.

use std::fmt::Write as _;

use super::{Results, Summary, shown};

/// Sides that the table has columns for, and what they are called there.
const COLUMNS: [(&str, &str); 6] = [
    ("worker", "rmqc-fast"),
    ("floor", "floor"),
    ("own client", "its client alone"),
    ("bare client", "bare client"),
    ("java client", "Java client"),
    ("kafka connect", "Kafka Connect"),
];
/// Scenarios whose cases are rows.
const SCENARIOS: [&str; 3] = ["alone", "broker", "peers"];

/// Medians of CPU and rate; a noisy case has none.
pub fn table(results: &Results) -> String {
    let mut out = String::from("| CPU a record, records a second |");
    COLUMNS.iter().for_each(|(_, title)| write!(out, " {title} |").unwrap());
    out.push_str("\n| --- |");
    out.push_str(&" --- |".repeat(COLUMNS.len()));
    let wanted = |summary: &&Summary| SCENARIOS.contains(&summary.text("scenario"));
    for summary in results.summaries.iter().filter(wanted) {
        write!(out, "\n| {} |", summary.text("case")).unwrap();
        for (side, _) in COLUMNS {
            write!(out, " {} |", cell(summary, side)).unwrap();
        }
    }
    out.push('\n');
    out
}

fn cell(summary: &Summary, side: &str) -> String {
    let number = |name: &str| summary.spread(side, name).map(|spread| shown(spread.median));
    match (number("cpu_us_per_record"), number("records_per_second")) {
        (Some(_), Some(_)) if !summary.is_quiet() => format!("noisy: ±{} %", shown(summary.noise_percent())),
        (Some(cpu), Some(rate)) => format!("{cpu} µs, {rate}/s"),
        _ => "–".to_owned(),
    }
}
