//! What the machine denies.

use std::io;

use super::support::seccomp::forbid_io_uring;
use super::visit::{Setup, Visit, number_after};

/// Sets a soft limit; allocates nothing.
fn limit(resource: libc::__rlimit_resource_t, soft: u64) -> impl FnMut() -> io::Result<()> + Send + Sync + 'static {
    move || {
        let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        // SAFETY: the structure outlives both calls.
        let set = unsafe {
            libc::getrlimit(resource, &raw mut limit)
                | libc::setrlimit(resource, &libc::rlimit { rlim_cur: soft, rlim_max: limit.rlim_max.max(soft) })
        };
        if set == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }
}

#[test]
fn a_seccomp_profile_without_io_uring() {
    let mut setup = Setup::new();
    setup.set("ioDriver", "auto");
    setup.visit_as(forbid_io_uring).finds("driver", "warn", "EPERM");
    setup.set("ioDriver", "uring");
    let remedy = setup.visit_as(forbid_io_uring).finds("driver", "fail", "the worker does not start");
    assert!(remedy.contains("seccomp") && remedy.contains("ioDriver=epoll"), "{remedy}");
    setup.set("ioDriver", "epoll");
    setup.visit_as(forbid_io_uring).is_ok("driver");
}

#[test]
fn too_little_lockable_memory() {
    let setup = Setup::new();
    let with_limit = |soft| {
        let mut command = setup.command();
        command.env("RMQC_IO", "uring");
        // SAFETY: plain system calls.
        unsafe { std::os::unix::process::CommandExt::pre_exec(&mut command, limit(libc::RLIMIT_MEMLOCK, soft)) };
        Visit::of(command)
    };
    let remedy = with_limit(64 * 1024).finds("driver", "fail", "65536 bytes may be locked");
    let cured = with_limit(number_after(&remedy, "ulimit -l ") * 1024);
    cured.is_ok("driver");
    cured.is_ok("memlock");
}

#[test]
fn too_few_open_files() {
    let setup = Setup::new();
    let remedy = setup.visit_as(limit(libc::RLIMIT_NOFILE, 64)).finds("open files", "fail", "64 files may be open");
    let wanted = number_after(&remedy, "ulimit -n ");
    setup.visit_as(limit(libc::RLIMIT_NOFILE, wanted)).is_ok("open files");
}

#[test]
fn more_shards_than_cpus() {
    let mut setup = Setup::new();
    setup.set("cores", "1024");
    let remedy = setup.visit().finds("cores", "warn", "1024 shards were asked for");
    assert!(remedy.contains("cores=auto"), "{remedy}");
    setup.set("cores", "1");
    setup.visit().is_ok("cores");
}
