//! May io_uring be used here? Asked of the kernel itself before glommio is touched, which would panic or even end the
//! process where the answer is no.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use rmqc_core::command::DriverKind;

use crate::settings::{DriverWanted, StartError};

/// Lockable memory without which glommio does not start an executor, root or not.
const MEMLOCK_BYTES_MIN: u64 = 512 * 1024;
/// Size of the kernel's `io_uring_params`.
const PARAMS_BYTES: usize = 120;
const REGISTER_PROBE: libc::c_uint = 8;
/// Operations that a probe can describe.
const PROBE_OPS: usize = 256;
const OP_SUPPORTED: u16 = 1;

/// What glommio asks a kernel for, by the numbers of the kernel's interface.
const NEEDED: [(usize, &str); 23] = [
    (0, "NOP"),
    (1, "READV"),
    (2, "WRITEV"),
    (3, "FSYNC"),
    (4, "READ_FIXED"),
    (5, "WRITE_FIXED"),
    (6, "POLL_ADD"),
    (7, "POLL_REMOVE"),
    (9, "SENDMSG"),
    (10, "RECVMSG"),
    (11, "TIMEOUT"),
    (12, "TIMEOUT_REMOVE"),
    (13, "ACCEPT"),
    (15, "LINK_TIMEOUT"),
    (16, "CONNECT"),
    (17, "FALLOCATE"),
    (18, "OPENAT"),
    (19, "CLOSE"),
    (21, "STATX"),
    (22, "READ"),
    (23, "WRITE"),
    (26, "SEND"),
    (27, "RECV"),
];

/// What stands against io_uring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// `io_uring_setup` failed with this errno.
    Setup(i32),
    /// The kernel lacks operations that glommio needs.
    Operations(Vec<&'static str>),
    /// The limit of lockable memory is too low: bytes there are, bytes needed.
    Memlock(u64, u64),
}

impl Obstacle {
    /// One clause for a log line.
    #[must_use]
    pub fn reason(&self) -> String {
        match self {
            Self::Setup(libc::EPERM) => {
                "io_uring_setup gives EPERM (a seccomp profile or the sysctl kernel.io_uring_disabled)".to_owned()
            }
            Self::Setup(libc::ENOSYS) => "io_uring_setup gives ENOSYS (the kernel has no io_uring)".to_owned(),
            Self::Setup(libc::ENOMEM) => {
                "io_uring_setup gives ENOMEM (the limit of lockable memory is used up)".to_owned()
            }
            Self::Setup(errno) => format!("io_uring_setup fails: {}", io::Error::from_raw_os_error(*errno)),
            Self::Operations(names) => format!("the kernel's io_uring lacks {}", names.join(", ")),
            Self::Memlock(limit, needed) => format!("{limit} bytes may be locked in memory and {needed} are needed"),
        }
    }

    /// What the user can do about it.
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Setup(libc::ENOMEM) | Self::Memlock(..) => {
                "raise the limit (ulimit -l, LimitMEMLOCK= in systemd, --ulimit memlock= in docker) or start with --io epoll"
            }
            Self::Setup(libc::EPERM) => {
                "allow io_uring_setup, io_uring_enter and io_uring_register in the container's seccomp profile, \
                 set kernel.io_uring_disabled to 0, or start with --io epoll"
            }
            Self::Setup(_) | Self::Operations(_) => "use Linux 5.8 or later, or start with --io epoll",
        }
    }
}

fn last_errno() -> i32 {
    io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO)
}

/// A small ring of our own.
fn set_up_ring() -> Result<OwnedFd, Obstacle> {
    let mut params = [0_u64; PARAMS_BYTES / size_of::<u64>()];
    // SAFETY: `params` is as long as the kernel's structure, zeroed as it demands, and aligned for it.
    let descriptor = unsafe { libc::syscall(libc::SYS_io_uring_setup, 8_u32, params.as_mut_ptr()) };
    match i32::try_from(descriptor) {
        // SAFETY: the kernel just gave us this descriptor, and nobody else has it.
        Ok(descriptor @ 0..) => Ok(unsafe { OwnedFd::from_raw_fd(descriptor) }),
        _ => Err(Obstacle::Setup(last_errno())),
    }
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
struct ProbeOp {
    op: u8,
    reserved: u8,
    flags: u16,
    reserved2: u32,
}

#[repr(C)]
struct Probe {
    last_op: u8,
    ops_len: u8,
    reserved: u16,
    reserved2: [u32; 3],
    ops: [ProbeOp; PROBE_OPS],
}

/// The needed operations that the kernel lacks.
fn missing_operations(ring: &OwnedFd) -> Result<Vec<&'static str>, Obstacle> {
    let mut probe =
        Probe { last_op: 0, ops_len: 0, reserved: 0, reserved2: [0; 3], ops: [ProbeOp::default(); PROBE_OPS] };
    // SAFETY: `probe` has the kernel's layout, is zeroed as it demands, and has room for the number of operations given.
    let answer = unsafe {
        libc::syscall(
            libc::SYS_io_uring_register,
            ring.as_raw_fd(),
            REGISTER_PROBE,
            &raw mut probe,
            PROBE_OPS as libc::c_uint,
        )
    };
    if answer < 0 {
        return Err(Obstacle::Setup(last_errno()));
    }
    let known = probe.ops.iter().take(usize::from(probe.ops_len));
    let supported: Vec<usize> = known.filter(|op| op.flags & OP_SUPPORTED != 0).map(|op| usize::from(op.op)).collect();
    Ok(NEEDED.iter().filter(|(op, _)| !supported.contains(op)).map(|(_, name)| *name).collect())
}

fn memlock_limit() -> u64 {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is the structure that the call fills.
    if unsafe { libc::getrlimit(libc::RLIMIT_MEMLOCK, &raw mut limit) } == 0 { limit.rlim_cur } else { 0 }
}

/// The limit of lockable memory, and how much so many shards on io_uring need of it, in bytes.
#[must_use]
pub fn memlock(shards: usize) -> (u64, u64) {
    (memlock_limit(), memlock_needed(may_lock_any(), shards))
}

/// Whether the process may lock memory beyond its limit (`CAP_IPC_LOCK`).
fn may_lock_any() -> bool {
    const CAP_IPC_LOCK: u32 = 14;
    let Ok(status) = std::fs::read_to_string("/proc/self/status") else { return false };
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let bits = effective.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok()).unwrap_or(0);
    bits & (1 << CAP_IPC_LOCK) != 0
}

fn memlock_needed(may_lock_any: bool, shards: usize) -> u64 {
    let shards = u64::try_from(shards).unwrap_or(u64::MAX);
    if may_lock_any { MEMLOCK_BYTES_MIN } else { MEMLOCK_BYTES_MIN.saturating_mul(shards) }
}

fn memlock_obstacle(limit: u64, may_lock_any: bool, shards: usize) -> Option<Obstacle> {
    let needed = memlock_needed(may_lock_any, shards);
    (limit < needed).then_some(Obstacle::Memlock(limit, needed))
}

/// What stands against running that many shards on io_uring, if anything.
#[must_use]
pub fn obstacle(shards: usize) -> Option<Obstacle> {
    let ring = match set_up_ring() {
        Ok(ring) => ring,
        Err(obstacle) => return Some(obstacle),
    };
    match missing_operations(&ring) {
        Ok(missing) if missing.is_empty() => memlock_obstacle(memlock_limit(), may_lock_any(), shards),
        Ok(missing) => Some(Obstacle::Operations(missing)),
        Err(obstacle) => Some(obstacle),
    }
}

/// The driver to use, and one sentence why.
///
/// # Errors
/// When io_uring was asked for and can't be had; the error says why and what to do.
pub fn choose(wanted: DriverWanted, shards: usize) -> Result<(DriverKind, String), StartError> {
    if wanted == DriverWanted::Epoll {
        return Ok((DriverKind::Epoll, "epoll was asked for".to_owned()));
    }
    match (obstacle(shards), wanted) {
        (None, DriverWanted::Uring) => Ok((DriverKind::Uring, "io_uring was asked for".to_owned())),
        (None, _) => Ok((DriverKind::Uring, "io_uring may be used".to_owned())),
        (Some(obstacle), DriverWanted::Uring) => {
            Err(StartError::new(format!("io_uring can't be used: {}", obstacle.reason()), obstacle.remedy()))
        }
        (Some(obstacle), _) => {
            Ok((DriverKind::Epoll, format!("io_uring can't be used: {}; {}", obstacle.reason(), obstacle.remedy())))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_needs_the_memory_of_one_shard_and_others_of_all() {
        let check = |limit, any, shards, expected| assert_eq!(memlock_obstacle(limit, any, shards), expected);
        check(512 * 1024, true, 64, None);
        check(512 * 1024, false, 1, None);
        check(512 * 1024, false, 2, Some(Obstacle::Memlock(512 * 1024, 1024 * 1024)));
        check(64 * 1024, true, 1, Some(Obstacle::Memlock(64 * 1024, 512 * 1024)));
        check(u64::MAX, false, usize::MAX, None);
    }

    #[test]
    fn every_obstacle_has_a_reason_and_a_remedy() {
        for obstacle in [
            Obstacle::Setup(libc::EPERM),
            Obstacle::Setup(libc::ENOSYS),
            Obstacle::Setup(libc::ENOMEM),
            Obstacle::Setup(libc::EMFILE),
            Obstacle::Operations(vec!["STATX"]),
            Obstacle::Memlock(1, 2),
        ] {
            assert!(!obstacle.reason().is_empty());
            assert!(obstacle.remedy().contains("--io epoll"), "{obstacle:?}");
        }
    }

    #[test]
    fn epoll_is_never_refused() {
        assert_eq!(choose(DriverWanted::Epoll, 1).unwrap().0, DriverKind::Epoll);
    }
}
