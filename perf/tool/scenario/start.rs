//! From exec to the first answer, the time to stop, and what a worker without connectors costs.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::TempDir;
use crate::tool::machine::{memory_kib, process_cpu};
use crate::tool::null_broker::{NullBroker, Settings};
use crate::tool::options::{Options, setting};
use crate::tool::rounds::{Case, Side, compare};
use crate::tool::stats::{quantile, rounded};
use crate::tool::workers::Build;

/// Starts of one measurement, of which the median counts.
const STARTS: u64 = 5;
/// Seconds of doing nothing.
const IDLE_SECONDS: u64 = 5;

/// Against the null broker: no broker's own start is in the way.
pub fn run(options: &Options) {
    let null = NullBroker::start(Settings::default());
    let builds = Build::chosen(options);
    let sides = builds.iter().map(|build| Side::new(&build.name, || measure(build, &null.address())));
    let case = Case { scenario: "start", name: "start, rest and stop".to_owned(), primary: "start_ms" };
    compare(options, &case, sides.collect());
}

fn measure(build: &Build, namesrv: &str) -> Value {
    let (starts, idle) =
        (setting("RMQC_RUNS", STARTS), Duration::from_secs(setting("RMQC_IDLE_SECONDS", IDLE_SECONDS)));
    let home = TempDir::new("start");
    let mut worker = build.start(home.path(), namesrv, &[]);
    let (mut began, mut ended) = (Vec::new(), Vec::new());
    for _ in 0..starts {
        ended.push(worker.stop().as_secs_f64() * 1e3);
        began.push(worker.start_again().as_secs_f64() * 1e3);
    }
    let cpu = process_cpu(worker.pid());
    std::thread::sleep(idle); // measured is what happens in this time
    let cpu = process_cpu(worker.pid()) - cpu;
    json!({
        "start_ms": rounded(quantile(&began, 0.5), 2),
        "start_ms_least": rounded(quantile(&began, 0.0), 2),
        "stop_ms": rounded(quantile(&ended, 0.5), 2),
        "idle_rss_kib": memory_kib(worker.pid(), "VmRSS"),
        "idle_threads": worker.threads(),
        "idle_cpu_ms_per_second": rounded(cpu.as_secs_f64() * 1e3 / idle.as_secs_f64().max(1e-3), 3),
    })
}
