//! How many shards, and whether each gets a CPU of its own: decided from the affinity mask, the CPU quota and the load.

use std::path::{Path, PathBuf};

use crate::settings::{CoresWanted, PinWanted};

/// Part of the CPUs that others may use before `auto` does not pin any more.
const BUSY_SHARE_MAX: f64 = 0.25;
/// CPUs that an affinity mask can name here.
const CPUS_MAX: usize = libc::CPU_SETSIZE as usize;

/// What the system says.
#[derive(Clone, Debug, PartialEq)]
pub struct CpuFacts {
    /// CPUs on which this process may run, ascending.
    pub cpus: Vec<usize>,
    /// CPUs' worth of time that the control group may use, if it is limited.
    pub quota: Option<f64>,
    /// Load average of the last minute.
    pub load: f64,
}

/// What was decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Number of shards.
    pub shards: usize,
    /// Whether they are pinned.
    pub pinned: bool,
    /// CPU of each shard when pinned, otherwise empty.
    pub cpus: Vec<usize>,
    /// Why: one sentence.
    pub reason: String,
}

impl CpuFacts {
    /// Asks the system.
    #[must_use]
    pub fn gather() -> Self {
        let mut cpus = allowed_cpus();
        if cpus.is_empty() {
            cpus = (0..std::thread::available_parallelism().map_or(1, usize::from)).collect();
        }
        Self { cpus, quota: cpu_quota(Path::new("/")), load: load_average() }
    }
}

/// Decides how many shards run, and where.
#[must_use]
pub fn decide(facts: &CpuFacts, cores: CoresWanted, pin: PinWanted) -> Layout {
    let cpus_len = facts.cpus.len().max(1);
    let whole_quota = facts.quota.map_or(cpus_len, |quota| (quota.floor() as usize).max(1));
    let (shards, clamp) = match cores {
        CoresWanted::Auto => (cpus_len.min(whole_quota), String::new()),
        CoresWanted::Exactly(0) => (1, " (0 shards were asked for, 1 is the least)".to_owned()),
        CoresWanted::Exactly(wanted) if wanted > cpus_len => {
            (cpus_len, format!(" ({wanted} shards were asked for, but only {cpus_len} CPUs may be used)"))
        }
        CoresWanted::Exactly(wanted) => (wanted, String::new()),
    };
    let (pinned, why) = match pin {
        PinWanted::On => (true, "pinned, as was asked for".to_owned()),
        PinWanted::Off => (false, "not pinned, as was asked for".to_owned()),
        PinWanted::Auto => own_and_quiet(facts, shards, cpus_len),
    };
    let cpus = if pinned { facts.cpus.iter().copied().take(shards).collect() } else { Vec::new() };
    Layout { shards, pinned, cpus, reason: format!("{why}{clamp}") }
}

fn own_and_quiet(facts: &CpuFacts, shards: usize, cpus_len: usize) -> (bool, String) {
    if let Some(quota) = facts.quota
        && quota < shards as f64
    {
        return (false, format!("not pinned: the CPU quota of {quota:.2} cores gives {shards} shards no whole cores"));
    }
    if facts.load > BUSY_SHARE_MAX * cpus_len as f64 {
        return (
            false,
            format!("not pinned: the load average of {:.2} says that others use the {cpus_len} CPUs", facts.load),
        );
    }
    (true, format!("pinned: {shards} of {cpus_len} CPUs, and they are quiet"))
}

fn allowed_cpus() -> Vec<usize> {
    // SAFETY: a `cpu_set_t` is a bit mask, for which zero is a value.
    let mut mask: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: the mask is as long as the size given.
    if unsafe { libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &raw mut mask) } != 0 {
        return Vec::new();
    }
    // SAFETY: the numbers are below `CPU_SETSIZE`.
    (0..CPUS_MAX).filter(|cpu| unsafe { libc::CPU_ISSET(*cpu, &mask) }).collect()
}

/// Lets this thread, and what it starts from now on, run on these CPUs only; tells whether that was allowed.
pub fn set_affinity(cpus: &[usize]) -> bool {
    // SAFETY: a `cpu_set_t` is a bit mask, for which zero is a value.
    let mut mask: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    for cpu in cpus.iter().filter(|cpu| **cpu < CPUS_MAX) {
        // SAFETY: the number is below `CPU_SETSIZE`.
        unsafe { libc::CPU_SET(*cpu, &mut mask) };
    }
    // SAFETY: the mask is as long as the size given.
    unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const mask) == 0 }
}

/// The process's CPUs before any thread was pinned.
static PROCESS_CPUS: std::sync::OnceLock<Vec<usize>> = std::sync::OnceLock::new();

/// Binds this thread to one CPU; tells whether that was allowed.
pub fn pin_this_thread(cpu: usize) -> bool {
    PROCESS_CPUS.get_or_init(allowed_cpus);
    set_affinity(&[cpu])
}

/// Gives a thread that a pinned one started the process's own CPUs back.
pub fn unpin_this_thread() {
    if let Some(cpus) = PROCESS_CPUS.get() {
        set_affinity(cpus);
    }
}

fn load_average() -> f64 {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().next().and_then(|load| load.parse().ok()).unwrap_or(0.0)
}

/// The tightest CPU quota of the process's control groups, v2 and v1, up to their roots.
fn cpu_quota(root: &Path) -> Option<f64> {
    let groups = std::fs::read_to_string(root.join("proc/self/cgroup")).ok()?;
    let mut tightest: Option<f64> = None;
    for line in groups.lines() {
        let mut parts = line.splitn(3, ':');
        let (Some(_), Some(controllers), Some(path)) = (parts.next(), parts.next(), parts.next()) else { continue };
        let (mount, read): (PathBuf, fn(&Path) -> Option<f64>) = if controllers.is_empty() {
            (root.join("sys/fs/cgroup"), quota_v2)
        } else if controllers.split(',').any(|name| name == "cpu") {
            (root.join("sys/fs/cgroup/cpu"), quota_v1)
        } else {
            continue;
        };
        // In a container the path may be the host's: what is not there is skipped, the mount itself is always looked at.
        let own = mount.join(path.trim_start_matches('/'));
        for folder in own.ancestors().take_while(|folder| folder.starts_with(&mount)) {
            tightest = match (tightest, read(folder)) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (a, b) => a.or(b),
            };
        }
    }
    tightest
}

fn quota_v2(folder: &Path) -> Option<f64> {
    let text = std::fs::read_to_string(folder.join("cpu.max")).ok()?;
    let (quota, period) = text.trim().split_once(' ')?;
    share(quota, period)
}

fn quota_v1(folder: &Path) -> Option<f64> {
    let quota = std::fs::read_to_string(folder.join("cpu.cfs_quota_us")).ok()?;
    let period = std::fs::read_to_string(folder.join("cpu.cfs_period_us")).ok()?;
    share(quota.trim(), period.trim())
}

/// Microseconds of CPU per microseconds of time; nothing for `max` and `-1`.
fn share(quota: &str, period: &str) -> Option<f64> {
    let (quota, period): (f64, f64) = (quota.parse().ok()?, period.parse().ok()?);
    (quota > 0.0 && period > 0.0).then_some(quota / period)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(cpus: usize, quota: Option<f64>, load: f64) -> CpuFacts {
        CpuFacts { cpus: (0..cpus).map(|cpu| cpu * 2).collect(), quota, load }
    }

    #[track_caller]
    fn check(facts: &CpuFacts, cores: CoresWanted, pin: PinWanted, shards: usize, pinned: bool, says: &str) {
        let layout = decide(facts, cores, pin);
        assert_eq!((layout.shards, layout.pinned), (shards, pinned), "{layout:?}");
        assert!(layout.reason.contains(says), "{layout:?}");
        assert_eq!(layout.cpus.len(), if pinned { shards } else { 0 });
        assert!(layout.cpus.iter().all(|cpu| facts.cpus.contains(cpu)));
    }

    #[test]
    fn shards_are_clamped_and_pinned_only_on_own_quiet_cores() {
        use CoresWanted::{Auto, Exactly};
        check(&facts(4, None, 0.1), Auto, PinWanted::Auto, 4, true, "quiet");
        check(&facts(4, None, 3.0), Auto, PinWanted::Auto, 4, false, "load average of 3.00");
        check(&facts(4, Some(2.5), 0.0), Auto, PinWanted::Auto, 2, true, "2 of 4");
        check(&facts(4, Some(0.5), 0.0), Auto, PinWanted::Auto, 1, false, "quota of 0.50");
        check(&facts(4, Some(2.0), 0.0), Exactly(3), PinWanted::Auto, 3, false, "quota");
        check(&facts(2, None, 0.0), Exactly(8), PinWanted::Off, 2, false, "8 shards were asked for");
        check(&facts(2, None, 9.0), Exactly(8), PinWanted::On, 2, true, "only 2 CPUs");
        check(&facts(2, None, 0.0), Exactly(0), PinWanted::Off, 1, false, "1 is the least");
    }

    #[test]
    fn quotas_are_read_from_both_kinds_of_control_groups() {
        let root = std::env::temp_dir().join(format!("rmqc-pin-{}", std::process::id()));
        let put = |path: &str, text: &str| {
            let path = root.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        put("proc/self/cgroup", "0::/a/b\n");
        put("sys/fs/cgroup/a/cpu.max", "150000 100000\n");
        put("sys/fs/cgroup/a/b/cpu.max", "max 100000\n");
        assert_eq!(cpu_quota(&root), Some(1.5));
        put("proc/self/cgroup", "3:memory:/x\n2:cpu,cpuacct:/on/the/host\n");
        put("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "200000\n");
        put("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
        assert_eq!(cpu_quota(&root), Some(2.0));
        put("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n");
        assert_eq!(cpu_quota(&root), None);
        std::fs::remove_dir_all(&root).unwrap();
    }

    #[test]
    fn a_pinned_threads_children_get_all_cpus_back() {
        let before = allowed_cpus();
        let after = std::thread::spawn(|| {
            assert!(pin_this_thread(*allowed_cpus().first().unwrap()));
            assert_eq!(allowed_cpus().len(), 1);
            std::thread::spawn(|| {
                unpin_this_thread();
                allowed_cpus()
            })
            .join()
            .unwrap()
        });
        assert_eq!(after.join().unwrap(), before);
    }
}
