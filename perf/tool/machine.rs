//! What the machine is, how busy it is, and what a process has used of it.

use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::repository;

/// CPU time that a process has used so far, user and system, of all its threads also when they are gone. The kernel
/// counts it in nanoseconds, where `/proc/PID/stat` tells hundredths of a second.
///
/// # Panics
/// If there is no such process.
pub fn process_cpu(pid: u32) -> Duration {
    let (mut clock, mut time) = (0, libc::timespec { tv_sec: 0, tv_nsec: 0 });
    // SAFETY: both pointers are to live values.
    let failed = unsafe {
        libc::clock_getcpuclockid(libc::pid_t::try_from(pid).unwrap(), &raw mut clock) != 0
            || libc::clock_gettime(clock, &raw mut time) != 0
    };
    assert!(!failed, "process {pid} is gone");
    duration(&time)
}

/// CPU time of the calling thread so far.
pub fn thread_cpu() -> Duration {
    now(libc::CLOCK_THREAD_CPUTIME_ID)
}

/// The clock that all processes of this machine share, in µs.
pub fn monotonic_us() -> u64 {
    u64::try_from(now(libc::CLOCK_MONOTONIC).as_micros()).unwrap()
}

fn now(clock: libc::clockid_t) -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a live value; these clocks always exist.
    unsafe { libc::clock_gettime(clock, &raw mut time) };
    duration(&time)
}

fn duration(time: &libc::timespec) -> Duration {
    Duration::new(u64::try_from(time.tv_sec).unwrap(), u32::try_from(time.tv_nsec).unwrap())
}

/// A line of `/proc/PID/status` in KiB, such as `VmRSS` (memory now) and `VmHWM` (its peak).
pub fn memory_kib(pid: u32, line: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let found = status.lines().find_map(|text| text.strip_prefix(line)?.strip_prefix(':'));
    found.and_then(|text| text.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

/// Touches so much memory and gives it back, so that what needs it next finds it at hand. A virtual machine may tell its host
/// which pages are free, and each that was taken away costs the next who uses it a way to the host: on one machine files in
/// memory were written seven times slower where nothing had been for half a minute. At most half of what is free is touched.
pub fn warm_memory(bytes: u64) {
    let bytes = usize::try_from(bytes.min(available_memory() / 2)).unwrap();
    let (protection, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    // SAFETY: a mapping of its own, which nothing refers to, is made and taken away. If it can't be had nothing is warm.
    unsafe {
        let place = libc::mmap(std::ptr::null_mut(), bytes, protection, flags | libc::MAP_POPULATE, -1, 0);
        if place != libc::MAP_FAILED {
            libc::munmap(place, bytes);
        }
    }
}

/// Bytes that could be used.
fn available_memory() -> u64 {
    1_024 * memory_info("MemAvailable:").unwrap_or(0)
}

/// A line of `/proc/meminfo`, in KiB.
fn memory_info(line: &str) -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    text.lines().find_map(|found| found.strip_prefix(line)?.split_whitespace().next()?.parse().ok())
}

/// The load average of the last minute.
pub fn load_average() -> f64 {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().next().and_then(|first| first.parse().ok()).unwrap_or(0.0)
}

/// Cores that this process may use.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// What a result needs to be compared with another one.
pub fn facts() -> Value {
    let cpus = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpus.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    json!({
        "cores": cores(),
        "cpu": model.map_or("", |(_, model)| model.trim()),
        "kernel": kernel.trim(),
        "memory_mib": memory_info("MemTotal:").unwrap_or(0) / 1_024,
        "commit": commit(),
        // Null broker, floor and bare client are slow when they are not optimised: no ratio to them means anything then.
        "tool": if cfg!(debug_assertions) { "not optimised" } else { "optimised" },
        "driver": std::env::var("RMQC_IO").unwrap_or_else(|_| "default".to_owned()),
        "worker_settings": std::env::var("RMQC_WORKER").unwrap_or_default(),
    })
}

/// The commit of the tree, with `+changes` if the tree differs from it.
fn commit() -> String {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").arg("-C").arg(repository()).args(arguments).output();
        output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default()
    };
    let changed = !git(&["status", "--porcelain", "--untracked-files=no"]).is_empty();
    format!("{}{}", git(&["rev-parse", "--short=12", "HEAD"]), if changed { "+changes" } else { "" })
}
