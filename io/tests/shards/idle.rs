//! A data plane with nothing to do costs nothing.

use std::time::Duration;

use rmqc_io::settings::DriverWanted;

use crate::seccomp::in_child;
use crate::support::{BOTH, name, shut_down, start, within};

/// How long the idle shards are looked at.
const LOOK: Duration = Duration::from_secs(3);

/// CPU time of this process so far.
fn cpu_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let after_name = stat.rsplit(')').next().unwrap();
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    Duration::from_millis(ticks * 10)
}

fn cost_of_idling(driver: DriverWanted) {
    let port = start(driver, 2);
    let before = cpu_time();
    // Not a wait for something to happen: the time is what is measured over.
    std::thread::sleep(LOOK);
    let spent = cpu_time() - before;
    println!(
        "{}: two idle shards use {:.2} % of a core",
        name(driver),
        100.0 * spent.as_secs_f64() / LOOK.as_secs_f64()
    );
    assert!(spent < LOOK / 50, "{} idles at {spent:?} in {LOOK:?}", name(driver));
    within(shut_down(port.as_ref()));
}

/// In a process of its own, so that no other test's CPU time is counted.
#[test]
fn idle_shards_use_no_cpu() {
    in_child("idle::idle_shards_use_no_cpu", || BOTH.into_iter().for_each(cost_of_idling));
}
