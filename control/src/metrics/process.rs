//! What Linux tells about this process: CPU time and memory by [`crate::process`], and what only metrics need.

use std::fs;

use super::catalogue as c;
use super::family::Family;
use crate::process::ProcessUse;

/// The process now. What the system does not tell is missing.
#[must_use]
pub fn families() -> Vec<Family> {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let ticks = rustix::param::clock_ticks_per_second() as f64;
    let mut families = Vec::new();
    if let Some(used) = ProcessUse::now() {
        families.push(Family::single(c::PROCESS_CPU, used.cpu_us as f64 / 1e6));
        families.push(Family::single(c::PROCESS_RESIDENT, used.rss_bytes));
    }
    if let Some(stat) = Stat::of(&read("/proc/self/stat")) {
        families.push(Family::single(c::PROCESS_VIRTUAL, stat.virtual_bytes));
        if let Some(boot) = boot_seconds(&read("/proc/stat")) {
            families.push(Family::single(c::PROCESS_START, boot as f64 + stat.start_ticks as f64 / ticks));
        }
        families.push(Family::single(c::PROCESS_THREADS, stat.threads));
    }
    if let Ok(entries) = fs::read_dir("/proc/self/fd") {
        // One of them is that of the look itself.
        families.push(Family::single(c::PROCESS_FDS, entries.count().saturating_sub(1)));
    }
    if let Some(most) = fds_max(&read("/proc/self/limits")) {
        families.push(Family::single(c::PROCESS_FDS_MAX, most));
    }
    families
}

/// What is needed of `/proc/self/stat`.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    threads: u64,
    start_ticks: u64,
    virtual_bytes: u64,
}

impl Stat {
    /// The program's name, in brackets, may hold anything; fields are counted after it.
    fn of(text: &str) -> Option<Self> {
        let fields: Vec<&str> = text.rsplit_once(')')?.1.split_ascii_whitespace().collect();
        let field = |at: usize| fields.get(at)?.parse::<u64>().ok();
        Some(Self { threads: field(17)?, start_ticks: field(19)?, virtual_bytes: field(20)? })
    }
}

fn boot_seconds(text: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}

fn fds_max(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_linux_writes() {
        let text = "7 (a) b) S 1 7 7 0 -1 4194560 1 2 3 4 150 50 0 0 20 0 9 0 123 4096000 250 18446744073709551615 1";
        let stat = Stat { threads: 9, start_ticks: 123, virtual_bytes: 4_096_000 };
        assert_eq!(Stat::of(text), Some(stat));
        assert_eq!(Stat::of("7 (a"), None);
        assert_eq!(boot_seconds("cpu 1 2\nbtime 1700000000\n"), Some(1_700_000_000));
        assert_eq!(fds_max("Max open files            1024                 4096                 files"), Some(1024));
    }

    #[test]
    fn this_process_is_told_in_full() {
        let families = families();
        assert_eq!(families.len(), 7, "{families:?}");
    }
}
