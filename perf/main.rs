//! Measurements end to end: `perf/run SCENARIO`. Each prints one JSON object a line; `perf/report` makes a page of them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a measuring tool: what it meets and does not expect ends the measurement"
)]

#[path = "../tests/support/mod.rs"]
mod support;
mod tool;

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match tool::run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(what) => {
            eprintln!("perf: {what}");
            ExitCode::from(2)
        }
    }
}
