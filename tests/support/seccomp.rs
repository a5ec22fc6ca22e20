//! What a container's seccomp profile does: io_uring is forbidden.

use std::io;

/// From now on the three calls of io_uring give EPERM to this thread, to what it starts, and to what it executes.
///
/// Allocates nothing, so that it may be called between fork and exec.
///
/// # Errors
/// When the kernel does not take the filter.
pub fn forbid_io_uring() -> io::Result<()> {
    let instruction = |code: u32, jt, jf, k| libc::sock_filter { code: code as u16, jt, jf, k };
    // On to the next instruction, or over so many of them to the last one.
    let forbid =
        |call: libc::c_long, over| instruction(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, over, 0, call as u32);
    let mut filter = [
        // The number of the call is the first word of what the filter sees.
        instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
        forbid(libc::SYS_io_uring_setup, 3),
        forbid(libc::SYS_io_uring_enter, 2),
        forbid(libc::SYS_io_uring_register, 1),
        instruction(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW),
        instruction(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ERRNO | libc::EPERM as u32),
    ];
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
    // SAFETY: the program points to the filter, which outlives the calls; the kernel copies it.
    let set = unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
            | libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program)
    };
    if set == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
