//! What the machine allows: the I/O driver and its memory, CPUs, open files, the clock.

use rmqc_core::config::worker::{DriverChoice, PinChoice, WorkerConfig};
use rmqc_io::driver::probe::{self, Obstacle};
use rmqc_io::shard::pin::{CpuFacts, Layout, decide};
use rustix::process::{Resource, getrlimit};

use super::finding::{Finding, Status};
use crate::wire;

/// 1 January 2025, in ms since 1970: no machine with this program has an earlier day.
const EARLIEST_MS: i64 = 1_735_689_600_000;
/// 1 January 2100, in ms since 1970.
const LATEST_MS: i64 = 4_102_444_800_000;
/// Files that a worker without connectors has open, and connections of people and monitoring.
const FILES_BASE: u64 = 128;
/// Files of one shard: rings, timers, bells.
const FILES_A_SHARD: u64 = 16;
/// Files of one task beside its connections: what it reads or writes, and what it follows.
const FILES_A_TASK: u64 = 4;
/// Fewer open files than this are an invitation to trouble later.
const FILES_COMFORTABLE: u64 = 1024;

/// Shards and their CPUs, as the worker would lay them out.
pub(crate) fn layout(config: &WorkerConfig) -> Layout {
    decide(&CpuFacts::gather(), wire::cores(config), wire::pin(config))
}

/// Driver and lockable memory.
pub(crate) fn driver(config: &WorkerConfig, shards: usize) -> Vec<Finding> {
    let obstacle = probe::obstacle(shards);
    let mut findings = vec![judge_driver(config.io_driver, obstacle.as_ref(), &Sandbox::look())];
    if !matches!(obstacle, Some(Obstacle::Memlock(..))) {
        findings.push(judge_memlock(config.io_driver, probe::memlock(shards), shards));
    }
    findings
}

/// What may stand behind a refused `io_uring_setup`.
struct Sandbox {
    /// `kernel.io_uring_disabled`; none on kernels without it.
    disabled: Option<u8>,
    /// Whether a seccomp filter is on this process.
    seccomp: bool,
}

impl Sandbox {
    fn look() -> Self {
        let read = |path| std::fs::read_to_string(path).unwrap_or_default();
        let status = read("/proc/self/status");
        let mode = status.lines().find_map(|line| line.strip_prefix("Seccomp:")).map(str::trim);
        Self { disabled: read("/proc/sys/kernel/io_uring_disabled").trim().parse().ok(), seccomp: mode == Some("2") }
    }

    fn remedy(&self, obstacle: &Obstacle) -> String {
        match obstacle {
            Obstacle::Setup(errno) if *errno == rustix::io::Errno::PERM.raw_os_error() => {
                if self.disabled.is_some_and(|disabled| disabled > 0) {
                    "sysctl -w kernel.io_uring_disabled=0, or set ioDriver=epoll".to_owned()
                } else if self.seccomp {
                    "allow io_uring_setup, io_uring_enter and io_uring_register in the seccomp profile (docker run \
                     --security-opt seccomp=PROFILE.json; SystemCallFilter= in systemd), or set ioDriver=epoll"
                        .to_owned()
                } else {
                    obstacle.remedy().to_owned()
                }
            }
            Obstacle::Memlock(_, needed) => {
                let kib = needed.div_ceil(1024);
                format!(
                    "ulimit -l {kib} (LimitMEMLOCK={needed} in systemd, docker run --ulimit memlock={needed}), or set \
                     ioDriver=epoll"
                )
            }
            other => other.remedy().replace("start with --io epoll", "set ioDriver=epoll"),
        }
    }
}

fn judge_driver(choice: DriverChoice, obstacle: Option<&Obstacle>, sandbox: &Sandbox) -> Finding {
    const CHECK: &str = "driver";
    match (choice, obstacle) {
        (DriverChoice::Epoll, _) => Finding::ok(CHECK, "ioDriver=epoll", "epoll is taken, as asked for"),
        (DriverChoice::Auto, None) => Finding::ok(CHECK, "ioDriver=auto", "io_uring may be used and is taken"),
        (DriverChoice::Uring, None) => Finding::ok(CHECK, "ioDriver=uring", "io_uring may be used"),
        (DriverChoice::Auto, Some(obstacle)) => {
            let found = format!("io_uring can't be used, epoll is taken: {}", obstacle.reason());
            Finding::warn(CHECK, "ioDriver=auto", found, sandbox.remedy(obstacle))
        }
        (DriverChoice::Uring, Some(obstacle)) => {
            let found = format!("io_uring can't be used, so the worker does not start: {}", obstacle.reason());
            Finding::fail(CHECK, "ioDriver=uring", found, sandbox.remedy(obstacle))
        }
    }
}

fn judge_memlock(choice: DriverChoice, (limit, needed): (u64, u64), shards: usize) -> Finding {
    const CHECK: &str = "memlock";
    let looked_at = format!("lockable memory for {shards} shards");
    let limit_text = if limit == u64::MAX { "no limit".to_owned() } else { format!("{limit} bytes allowed") };
    if choice == DriverChoice::Epoll {
        return Finding::ok(CHECK, looked_at, format!("{limit_text}; epoll needs none"));
    }
    // A limit that is too low is an obstacle, which the driver's finding tells.
    Finding::ok(CHECK, looked_at, format!("{limit_text}, {needed} needed by io_uring"))
}

/// Number of shards, CPU quota, pinning.
pub(crate) fn cores(config: &WorkerConfig, layout: &Layout) -> Finding {
    judge_cores(config.cores, config.pin, &CpuFacts::gather(), layout)
}

fn judge_cores(cores: Option<usize>, pin: PinChoice, facts: &CpuFacts, layout: &Layout) -> Finding {
    const CHECK: &str = "cores";
    let asked = cores.map_or("auto".to_owned(), |cores| cores.to_string());
    let looked_at = format!("cores={asked}, {} CPUs allowed", facts.cpus.len());
    let quota = facts.quota.map(|quota| format!(", CPU quota {quota:.2}")).unwrap_or_default();
    let found = format!("{} shards{quota}, {}", layout.shards, layout.reason);
    let short = facts.quota.is_some_and(|quota| quota < layout.shards as f64);
    if cores.is_some_and(|cores| cores > layout.shards) {
        return Finding::warn(CHECK, looked_at, found, format!("cores=auto, or cores={}", layout.shards));
    }
    if short && pin == PinChoice::On {
        return Finding::warn(CHECK, looked_at, found, "pin=auto: pinned shards stand still when the quota is used up");
    }
    if short {
        let remedy = format!(
            "give the control group {} CPUs (docker run --cpus={0}, CPUQuota= in systemd), or fewer shards (cores=)",
            layout.shards
        );
        return Finding::warn(CHECK, looked_at, found, remedy);
    }
    Finding::ok(CHECK, looked_at, found)
}

/// Limit of open files, against what tasks with their connections need.
pub(crate) fn open_files(shards: usize, tasks: usize, peers: usize) -> Finding {
    let limit = getrlimit(Resource::Nofile);
    judge_open_files(limit.current, limit.maximum, [shards, tasks, peers])
}

fn judge_open_files(soft: Option<u64>, hard: Option<u64>, [shards, tasks, peers]: [usize; 3]) -> Finding {
    const CHECK: &str = "open files";
    let wide = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
    let a_task = FILES_A_TASK.saturating_add(wide(peers));
    let needed = FILES_BASE
        .saturating_add(FILES_A_SHARD.saturating_mul(wide(shards)))
        .saturating_add(a_task.saturating_mul(wide(tasks)));
    let looked_at = format!("limit for {shards} shards, {tasks} tasks, {peers} name servers and brokers");
    let Some(soft) = soft else { return Finding::ok(CHECK, looked_at, "no limit") };
    let found = format!("{soft} files may be open, about {needed} are needed");
    let status = if soft < needed {
        Status::Fail
    } else if soft < FILES_COMFORTABLE.max(needed) {
        Status::Warn
    } else {
        return Finding::ok(CHECK, looked_at, found);
    };
    let wanted = needed.saturating_mul(2).max(FILES_COMFORTABLE);
    let command = match hard {
        Some(hard) if hard < wanted => "",
        _ => "ulimit -n WANTED in the shell that starts it; ",
    };
    let remedy = format!("{command}LimitNOFILE=WANTED in systemd, docker run --ulimit nofile=WANTED, or nofile in /etc/security/limits.conf")
        .replace("WANTED", &wanted.to_string());
    Finding { status, remedy: Some(remedy), ..Finding::ok(CHECK, looked_at, found) }
}

/// Whether the clock is anywhere near today.
pub(crate) fn clock(now_ms: i64) -> Finding {
    let looked_at = format!("{now_ms} ms since 1970");
    if (EARLIEST_MS..LATEST_MS).contains(&now_ms) {
        return Finding::ok("clock", looked_at, "a possible time");
    }
    let found = "no possible time: before 2025 or after 2099";
    Finding::fail("clock", looked_at, found, "timedatectl set-ntp true, or date -s 'YYYY-MM-DD HH:MM:SS'")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_ring_names_the_very_switch() {
        let setup = Obstacle::Setup(rustix::io::Errno::PERM.raw_os_error());
        for (disabled, seccomp, remedy) in [
            (Some(2), false, "sysctl -w kernel.io_uring_disabled=0"),
            (Some(0), true, "seccomp profile"),
            (None, false, "seccomp"),
        ] {
            let sandbox = Sandbox { disabled, seccomp };
            let finding = judge_driver(DriverChoice::Auto, Some(&setup), &sandbox);
            assert_eq!(finding.status, Status::Warn);
            assert!(finding.remedy.unwrap().contains(remedy));
            assert_eq!(judge_driver(DriverChoice::Uring, Some(&setup), &sandbox).status, Status::Fail);
        }
        let little = Obstacle::Memlock(65_536, 1_048_576);
        let finding = judge_driver(DriverChoice::Uring, Some(&little), &Sandbox { disabled: None, seccomp: false });
        assert!(finding.remedy.unwrap().contains("ulimit -l 1024"));
    }

    #[test]
    fn the_need_for_open_files_grows_with_tasks_and_peers() {
        let check = |soft, hard, counts, status| {
            let finding = judge_open_files(soft, hard, counts);
            assert_eq!(finding.status, status, "{finding:?}");
            assert_eq!(finding.remedy.is_some(), status != Status::Ok);
        };
        check(None, None, [2, 1000, 9], Status::Ok);
        check(Some(1024), None, [2, 1, 2], Status::Ok);
        check(Some(512), None, [2, 1, 2], Status::Warn);
        check(Some(64), Some(64), [2, 1, 2], Status::Fail);
        check(Some(1024), None, [2, 200, 4], Status::Fail);
    }

    #[test]
    fn more_shards_than_cpus_and_short_quotas_are_told() {
        let facts = |quota| CpuFacts { cpus: vec![0, 1], quota, load: 0.0 };
        let check = |cores, quota, shards, pin, status| {
            let layout = Layout { shards, pinned: false, cpus: Vec::new(), reason: "so".to_owned() };
            assert_eq!(judge_cores(cores, pin, &facts(quota), &layout).status, status);
        };
        check(None, None, 2, PinChoice::Auto, Status::Ok);
        check(Some(8), None, 2, PinChoice::Auto, Status::Warn);
        check(Some(2), Some(1.5), 2, PinChoice::On, Status::Warn);
        check(None, Some(0.5), 1, PinChoice::Auto, Status::Warn);
        check(None, Some(1.5), 1, PinChoice::Auto, Status::Ok);
    }

    #[test]
    fn a_clock_that_was_never_set_is_found() {
        assert_eq!(clock(0).status, Status::Fail);
        assert_eq!(clock(1_800_000_000_000).status, Status::Ok);
    }
}
