//! What can be measured, a file each; perf/README.md says what each of them is.

mod alone;
mod broker;
mod chain;
mod drivers;
mod latency;
mod many;
mod peers;
mod scaling;
mod start;

use std::time::Duration;

use super::options::Options;
use super::stats::significant;

/// A scenario.
pub struct Scenario {
    /// Its name on the command line.
    pub name: &'static str,
    /// Measures it and prints the results.
    pub run: fn(&Options),
}

const fn scenario(name: &'static str, run: fn(&Options)) -> Scenario {
    Scenario { name, run }
}

/// All of them. `broker` and `peers` start JVMs, `latency` does when its broker is to be a real one.
pub const SCENARIOS: &[Scenario] = &[
    scenario("start", start::run),
    scenario("alone", alone::run),
    scenario("drivers", drivers::run),
    scenario("scaling", scaling::run),
    scenario("chain", chain::run),
    scenario("many", many::run),
    scenario("latency", latency::run),
    scenario("broker", broker::run),
    scenario("peers", peers::run),
];

/// CPU time for each record, in µs.
pub fn per_record(cpu: Duration, records: u64) -> f64 {
    significant(cpu.as_secs_f64() * 1e6 / records as f64)
}
