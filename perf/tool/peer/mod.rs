//! Others that do the same work, as processes beside the worker.

pub mod kafka;
mod kafka_wire;
pub mod rocketmq;

use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use crate::support::repository;

/// Where the jars of a peer are; they are fetched at the first use.
///
/// # Panics
/// If they can't be fetched.
pub fn jars(name: &str) -> PathBuf {
    let output = Command::new(repository().join("perf/peers/install")).arg(name).output().expect("bash starts");
    assert!(output.status.success(), "perf/peers/install {name}: {}", String::from_utf8_lossy(&output.stderr));
    PathBuf::from(String::from_utf8(output.stdout).expect("text").trim())
}

/// The class path of a folder of jars, and a folder of classes before it.
fn class_path(classes: Option<&Path>, jars: &Path) -> String {
    let classes = classes.map(|folder| format!("{}:", folder.display())).unwrap_or_default();
    format!("{classes}{}/*", jars.display())
}

/// A process that ends with this value, or when this thread does.
struct Process(Child);

impl Process {
    fn spawn(command: &mut Command) -> Self {
        // SAFETY: prctl is a plain system call, allowed between fork and exec.
        unsafe {
            command.pre_exec(|| match libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) {
                0 => Ok(()),
                _ => Err(io::Error::last_os_error()),
            });
        }
        Self(command.spawn().expect("a JDK is there"))
    }

    fn pid(&self) -> u32 {
        self.0.id()
    }

    fn assert_runs(&mut self, what: &str, log: &Path) {
        if let Some(status) = self.0.try_wait().unwrap() {
            let log = std::fs::read_to_string(log).unwrap_or_default();
            panic!("{what} ended: {status}\n{}", &log[log.len().saturating_sub(4_000)..]);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
