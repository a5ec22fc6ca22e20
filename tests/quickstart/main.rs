//! `rmqc-fast quickstart` as its users run it: the built program, each driver, and a container that forbids io_uring.
//! What it says is not believed: the two files are compared here again.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "in a test a failure is a panic"
)]

#[path = "../support/mod.rs"]
mod support;

mod direct;

use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use rmqc_io::driver::probe;
use support::seccomp::forbid_io_uring;
use support::{TempDir, wait_for};

const LINES: usize = 50_000;
/// Seconds are normal; a busy machine and a debug build need more.
const DEADLINE: Duration = Duration::from_secs(120);

/// A run of the program, and what it said.
struct Run {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Run {
    /// The rest of the line of stdout that starts so.
    fn line(&self, start: &str) -> &str {
        let found = self.stdout.lines().find_map(|line| line.strip_prefix(start));
        found.unwrap_or_else(|| panic!("no line starts with {start:?}\n{self:?}"))
    }

    /// The path that the line of stdout names; another line of that beginning tells of speed.
    fn file(&self, start: &str) -> &Path {
        let found = self.stdout.lines().filter_map(|line| line.strip_prefix(start)).find(|rest| rest.starts_with('/'));
        Path::new(found.unwrap_or_else(|| panic!("no file stands behind {start:?}\n{self:?}")))
    }
}

impl std::fmt::Debug for Run {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "exit code {:?}\n---- stdout\n{}\n---- stderr\n{}", self.code, self.stdout, self.stderr)
    }
}

/// The program with the arguments, in surroundings that set nothing.
fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rmqc-fast"));
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.env_remove("RMQC_IO").env_remove("NAMESRV_ADDR");
    command
}

fn quickstart(home: &Path, io: &str) -> Command {
    program(&["quickstart", "--lines", &LINES.to_string(), "--dir", home.to_str().unwrap(), "--io", io])
}

/// Denies io_uring to the program, as a container does.
fn without_io_uring(mut command: Command) -> Command {
    // SAFETY: the filter is set by two system calls and allocates nothing, so it may stand between fork and exec.
    unsafe { command.pre_exec(forbid_io_uring) };
    command
}

/// Runs to the end; a program that hangs is killed.
fn finish(mut command: Command) -> Run {
    let mut child = command.spawn().unwrap();
    let (mut out, mut err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let mut child = KilledOnDrop(child);
    // A full pipe would hold the program up, so both are read while it runs.
    let stdout = std::thread::spawn(move || std::io::read_to_string(&mut out).unwrap());
    let stderr = std::thread::spawn(move || std::io::read_to_string(&mut err).unwrap());
    let status = wait_for("the program ends", DEADLINE, || child.0.try_wait().unwrap());
    Run { code: status.code(), stdout: stdout.join().unwrap(), stderr: stderr.join().unwrap() }
}

struct KilledOnDrop(std::process::Child);

impl Drop for KilledOnDrop {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn sorted_lines(path: &Path) -> Vec<Vec<u8>> {
    let bytes = std::fs::read(path).unwrap();
    assert_eq!(bytes.last(), Some(&b'\n'), "{} ends with a whole line", path.display());
    let mut lines: Vec<Vec<u8>> = bytes.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
    lines.sort();
    lines
}

/// The run succeeded, said so, and the files agree.
fn check_success(run: &Run, driver: &str) {
    assert_eq!(run.code, Some(0), "{run:?}");
    assert_eq!(run.stdout.lines().last(), Some("lost=0 duplicated=0"), "{run:?}");
    let (input, output) = (sorted_lines(run.file("in: ")), sorted_lines(run.file("out: ")));
    assert_eq!(input.len(), LINES + 1, "the lines asked for, and nothing after the last end");
    // Not assert_eq: fifty thousand lines tell nobody anything.
    assert!(input == output, "the files differ though the program found them equal\n{run:?}");
    assert!(run.line("worker on ").contains(&format!(", driver {driver} (")), "{run:?}");
}

#[test]
fn epoll_moves_every_line_once() {
    let home = TempDir::new("quickstart-epoll");
    check_success(&finish(quickstart(home.path(), "epoll")), "epoll");
}

#[test]
fn io_uring_moves_every_line_once() {
    if let Some(obstacle) = probe::obstacle(std::thread::available_parallelism().map_or(1, usize::from)) {
        println!("not run: {}", obstacle.reason());
        return;
    }
    let home = TempDir::new("quickstart-uring");
    check_success(&finish(quickstart(home.path(), "uring")), "uring");
}

#[test]
fn auto_takes_epoll_where_io_uring_is_forbidden_and_says_why() {
    let home = TempDir::new("quickstart-auto");
    let run = finish(without_io_uring(quickstart(home.path(), "auto")));
    check_success(&run, "epoll");
    assert!(run.line("worker on ").contains("io_uring_setup gives EPERM"), "{run:?}");
}

#[test]
fn uring_where_it_is_forbidden_is_an_error_with_a_remedy() {
    let home = TempDir::new("quickstart-forbidden");
    let run = finish(without_io_uring(quickstart(home.path(), "uring")));
    assert_eq!(run.code, Some(1), "{run:?}");
    for word in ["rmqc-fast: ", "EPERM", "seccomp", "--io epoll"] {
        assert!(run.stderr.contains(word), "no {word:?}\n{run:?}");
    }
    assert!(!run.stdout.contains("lost="), "no verdict without a trial\n{run:?}");
}

#[test]
fn flags_that_can_t_be_meant_are_refused() {
    let home = TempDir::new("quickstart-flags");
    for (arguments, word) in [
        (["--lines", "0"], "--lines"),
        (["--size", "15"], "--size"),
        (["--io", "kqueue"], "--io"),
        (["--cores", "many"], "cores"),
    ] {
        let mut command = program(&["quickstart", "--dir", home.path().to_str().unwrap()]);
        command.args(arguments);
        let run = finish(command);
        assert_eq!(run.code, Some(2), "{arguments:?}\n{run:?}");
        assert!(run.stderr.contains(word), "{arguments:?}\n{run:?}");
    }
}
