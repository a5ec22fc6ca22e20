//! A container that forbids io_uring: `auto` takes epoll and says why, `uring` is an error with a remedy.

use std::process::Command;

use rmqc_core::command::DriverKind;
use rmqc_core::id::ShardId;
use rmqc_io::settings::DriverWanted;

use crate::forbid::forbid_io_uring;
use crate::support::{round_trip, settings, shut_down, start_with, try_start, within};

const CHILD: &str = "RMQC_TEST_CHILD";

/// Runs `body` in a new process of this test binary, which runs only the test of that name.
pub fn in_child(test: &str, body: impl FnOnce()) {
    if std::env::var_os(CHILD).is_some() {
        return body();
    }
    let program = std::env::current_exe().unwrap();
    let child = Command::new(program).args(["--exact", test, "--nocapture"]).env(CHILD, "1").output().unwrap();
    let said = String::from_utf8_lossy(&child.stdout);
    print!("{said}");
    assert!(child.status.success(), "{said}\n{}", String::from_utf8_lossy(&child.stderr));
    assert!(said.contains("1 passed"), "the child ran the test: {said}");
}

#[test]
fn forbidden_io_uring_falls_back_to_epoll_with_the_reason() {
    in_child("seccomp::forbidden_io_uring_falls_back_to_epoll_with_the_reason", || {
        forbid_io_uring().unwrap();
        let port = start_with(&settings(DriverWanted::Auto, 1));
        assert_eq!(port.info().driver, DriverKind::Epoll);
        assert!(port.info().driver_reason.contains("EPERM"), "{}", port.info().driver_reason);
        within(async {
            round_trip(port.as_ref(), ShardId(0), 1).await;
            shut_down(port.as_ref()).await;
        });
        let Err(error) = try_start(&settings(DriverWanted::Uring, 1)) else { panic!("io_uring was forbidden") };
        let error = error.to_string();
        assert!(error.contains("EPERM") && error.contains("--io epoll") && error.contains("seccomp"), "{error}");
    });
}

#[test]
fn little_lockable_memory_is_seen_before_it_hurts() {
    in_child("seccomp::little_lockable_memory_is_seen_before_it_hurts", || {
        let limit = libc::rlimit { rlim_cur: 64 * 1024, rlim_max: 64 * 1024 };
        // SAFETY: the structure outlives the call.
        assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_MEMLOCK, &raw const limit) }, 0);
        let port = start_with(&settings(DriverWanted::Auto, 1));
        assert_eq!(port.info().driver, DriverKind::Epoll);
        assert!(port.info().driver_reason.contains("65536 bytes may be locked"), "{}", port.info().driver_reason);
        within(shut_down(port.as_ref()));
    });
}
