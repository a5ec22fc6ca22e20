//! What this process uses of the machine: the one reader of it, for the controller's samples and for metrics.

use std::fs;

/// CPU time and memory of this process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProcessUse {
    /// CPU time of all threads so far, in microseconds.
    pub cpu_us: u64,
    /// Memory that is in RAM now, in bytes.
    pub rss_bytes: u64,
}

impl ProcessUse {
    /// Asks the system; none where it does not tell.
    #[must_use]
    pub fn now() -> Option<Self> {
        let cpu = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
        let seconds_us = u64::try_from(cpu.tv_sec).ok()?.checked_mul(1_000_000)?;
        let cpu_us = seconds_us.checked_add(u64::try_from(cpu.tv_nsec).ok()? / 1000)?;
        let status = fs::read_to_string("/proc/self/status").ok()?;
        Some(Self { cpu_us, rss_bytes: rss_bytes(&status)? })
    }
}

/// The line `VmRSS: 1234 kB` of a status of `/proc`.
fn rss_bytes(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_from_the_status() {
        assert_eq!(rss_bytes("Name:\tx\nVmHWM:\t  9 kB\nVmRSS:\t   12 kB\n"), Some(12 * 1024));
        for wrong in ["", "VmRSS: many kB", "VmRSS: 12", "VmRSS: 18446744073709551615 kB"] {
            assert_eq!(rss_bytes(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn this_process_uses_something() {
        let before = ProcessUse::now().unwrap();
        let mut spent = before;
        while spent.cpu_us == before.cpu_us {
            spent = ProcessUse::now().unwrap();
        }
        assert!(before.rss_bytes > 0 && spent.cpu_us > before.cpu_us);
    }
}
